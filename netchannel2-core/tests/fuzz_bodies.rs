// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The bodies of the fuzz targets with random inputs, so that they are compiled and run by
//! everybody and not only where there is a fuzzer.

#![cfg(not(loom))]
#![allow(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test are small"
)]

#[path = "../fuzz/src/message_parse.rs"]
mod message_parse;
#[path = "common/packets.rs"]
mod packets;
#[path = "../fuzz/src/ring_consume.rs"]
mod ring_consume;

use netchannel2_core::{
    pool::ChunkIndex,
    wire::{
        MaxPackets,
        Message,
        PacketCount,
        PoolAnswer, //
    },
};
use proptest::prelude::*;

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(count)
    }
}

/// Returns a whole message: its head, and zeroes for the rest.
fn whole(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let head = message.emit(&mut bytes).expect("the buffer is large");
    bytes.truncate(match message {
        Message::Packet(packet) => packet.size().map_or(head, |size| size.get().into()),
        _ => head,
    });
    bytes
}

/// Returns a chunk of input for `ring_consume`.
fn chunk(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let pieces = bytes.chunks(255 * 8).map(|piece| {
        let count = (piece.len() / 8) as u8;
        [&[flags & 5, count], piece].concat()
    });
    pieces.collect::<Vec<_>>().concat()
}

/// Returns a message about one of few chunks, or a packet, with the flags that map them mostly.
fn pool_step() -> impl Strategy<Value = (u8, Message)> {
    let message = prop_oneof![
        3 => (packets::pool_add(), 0..2_u8).prop_map(|(mut add, chunk)| {
            add.chunk = ChunkIndex::new(chunk).expect("is in bounds");
            Message::PoolAdd(add)
        }),
        1 => (0..2_u8).prop_map(|chunk| {
            Message::PoolDrop(ChunkIndex::new(chunk).expect("is in bounds"))
        }),
        2 => (0..2_u8, 0..4_u8).prop_map(|(chunk, answer)| {
            let chunk = ChunkIndex::new(chunk).expect("is in bounds");
            Message::PoolAnswer(chunk, PoolAnswer::from_wire(answer).expect("has a meaning"))
        }),
        6 => packets::packet_in_slots(0..64).prop_map(Message::Packet),
    ];
    (prop_oneof![4 => Just(5_u8), 1 => Just(1_u8)], message)
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn message_parse(message in packets::message(), change in (any::<usize>(), any::<u8>())) {
        let mut input = whole(&message);
        let length = input.len();
        input[change.0 % length] ^= change.1;
        input.splice(0..0, [0xff, 0xff]);
        message_parse::message_parse(&input);
    }

    #[test]
    fn ring_consume(
        messages in prop::collection::vec((any::<u8>(), packets::message()), 0..20),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3),
    ) {
        let first = MaxPackets::of_any_length(PacketCount::MAX);
        let mut input = chunk(0, &whole(&Message::SetMaxPackets(first)));
        for (flags, message) in &messages {
            input.extend(chunk(*flags, &whole(message)));
        }
        for (at, value) in changes {
            let length = input.len();
            input[at % length] = value;
        }
        ring_consume::ring_consume(&input);
    }

    /// Chunks are offered and used, all by the rules but for few.
    #[test]
    fn ring_consume_pools(steps in prop::collection::vec(pool_step(), 1..30)) {
        let first = MaxPackets::of_any_length(PacketCount::MAX);
        let mut input = chunk(0, &whole(&Message::SetMaxPackets(first)));
        for (flags, message) in &steps {
            input.extend(chunk(*flags, &whole(message)));
        }
        ring_consume::ring_consume(&input);
    }

    #[test]
    fn anything(input in prop::collection::vec(any::<u8>(), 0..600)) {
        message_parse::message_parse(&input);
        ring_consume::ring_consume(&input);
    }
}
