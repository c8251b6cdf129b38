// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages: what is emitted is parsed, and nothing else.

use netchannel2_core::{
    error::Violation,
    grant::GrantRef,
    pool::MAX_CHUNKS,
    units::PacketLength,
    wire::{
        Checksum,
        Features,
        Gso,
        GsoKind,
        HeadLength,
        Kind,
        Message,
        Packet,
        PacketMeta,
        Way,
        MAX_HEAD,
        MAX_MESSAGE, //
    },
};
use proptest::prelude::*;

use crate::packets;

fn emit(message: &Message) -> Vec<u8> {
    let mut head = vec![0xee; MAX_HEAD];
    let length = message.emit(&mut head).unwrap();
    head.truncate(length);
    head
}

/// Returns the type of a message about a chunk.
fn pool_kind(message: &Message) -> Kind {
    match message {
        Message::PoolAdd(_) => Kind::PoolAdd,
        Message::PoolDrop(_) => Kind::PoolDrop,
        _ => Kind::PoolAnswer,
    }
}

fn needed(packet: &Packet) -> Features {
    let mut needed = Features::empty();
    if packet.meta.checksum != Checksum::None {
        needed |= Features::CSUM;
    }
    if let Some(gso) = packet.meta.gso {
        needed |= gso.kind.feature();
    }
    if packet.meta.hash.is_some() {
        needed |= Features::HASH;
    }
    needed
}

proptest! {
    #![proptest_config(crate::cases(2000))]

    #[test]
    fn parse_undoes_emit(message in packets::message()) {
        let head = emit(&message);
        prop_assert_eq!(Message::parse(&head, Features::all()), Ok(message));
    }

    #[test]
    fn the_first_bytes_say_how_long_the_head_is(message in packets::message()) {
        let head = emit(&message);
        let first = *head.first_chunk().unwrap();
        prop_assert_eq!(HeadLength::of(first).map(HeadLength::as_usize), Ok(head.len()));
    }

    #[test]
    fn a_short_buffer_is_refused(message in packets::message(), short in 1..64_usize) {
        let mut head = emit(&message);
        let length = head.len().saturating_sub(short);
        head.truncate(length);
        prop_assert!(message.emit(&mut head).is_err());
        prop_assert!(Message::parse(&head, Features::all()).is_err());
    }

    #[test]
    fn features_are_needed(packet in packets::packet(), negotiated in 0..512_u32) {
        let negotiated = Features::from_bits_truncate(negotiated);
        let missing = needed(&packet).difference(negotiated);
        let parsed = Message::parse(&emit(&Message::Packet(packet)), negotiated);
        if packet.way == Way::Staged && !negotiated.contains(Features::STAGED) {
            prop_assert_eq!(parsed, Err(Violation::Way(Way::Staged.to_wire())));
        } else if missing.is_empty() {
            prop_assert_eq!(parsed, Ok(Message::Packet(packet)));
        } else {
            prop_assert_eq!(parsed, Err(Violation::NotNegotiated(missing)));
        }
    }

    #[test]
    fn packets_are_cut_into_as_many_segments_as_a_stack_makes_of_one(
        kind in prop::sample::select(vec![GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::UdpL4]),
        size in prop_oneof![0..1024_u16, any::<u16>()],
        length in prop_oneof![16..2048_u32, 16..=65_535_u32],
        headers in 42..=128_u32,
    ) {
        let meta = PacketMeta {
            checksum: Checksum::Partial { start: 14, offset: 0 },
            gso: Some(Gso { kind, size }),
            hash: None,
        };
        let accepted = meta.check(PacketLength::new(length).unwrap(), Features::all()).is_ok();
        let segments = |headers| length.saturating_sub(headers).div_ceil(size.max(1).into());
        // The headers are those of Ethernet, IPv4 and UDP at least.
        let (many, few) = match kind {
            GsoKind::UdpL4 => (segments(42) > 128 + 86, segments(headers) <= 128),
            _ => (segments(42) > 65_493 / 8 + 1, size >= 8),
        };
        prop_assert!(!(accepted && many));
        prop_assert!(accepted || !(few && (1..length).contains(&size.into())));
    }

    #[test]
    fn pools_are_negotiated(message in packets::pool_message(), negotiated in 0..1024_u32) {
        let negotiated = Features::from_bits_truncate(negotiated);
        let expected = match negotiated.contains(Features::STAGED) {
            true => Ok(message),
            false => Err(Violation::UnknownMessage(pool_kind(&message).to_wire())),
        };
        prop_assert_eq!(Message::parse(&emit(&message), negotiated), expected);
    }

    #[test]
    fn what_is_wrong_with_a_message_about_a_chunk_is_named(
        message in packets::pool_message(),
        // Behind the type.
        at in 1..8_usize,
        value in prop_oneof![0..40_u8, any::<u8>()],
    ) {
        let mut head = emit(&message);
        if head[at] == value {
            return Ok(());
        }
        head[at] = value;
        let kind = pool_kind(&message).to_wire();
        let is_answer = matches!(message, Message::PoolAnswer(..));
        let expected = match at {
            1 => Err(Violation::Flags { kind, flags: value }),
            2 | 3 => Err(Violation::MessageSizeMismatch {
                size: u16::from_le_bytes([head[2], head[3]]),
                expected: head.len() as u32,
            }),
            4 if value >= MAX_CHUNKS => Err(Violation::PoolChunk(value)),
            5 if is_answer && value > 3 => Err(Violation::PoolAnswer(value)),
            4 => Ok(()),
            5 if is_answer => Ok(()),
            _ => {
                // POOL_ADD has one reserved field, the others have one behind the answer's place.
                let first = match message {
                    Message::PoolAdd(_) => 5,
                    _ => 5 + usize::from(at > 5),
                };
                let value = u32::from(value) << (8 * (at - first));
                Err(Violation::Reserved { kind, value })
            }
        };
        prop_assert_eq!(Message::parse(&head, Features::all()).map(|_| ()), expected);
    }

    #[test]
    fn reserved_references_are_named(mut add in packets::pool_add(), page in 0..32_usize, reference in 0..8_u32) {
        let mut head = emit(&Message::PoolAdd(add));
        head[8 + 4 * page..][..4].copy_from_slice(&reference.to_le_bytes());
        let expected = Violation::PoolReference { page: page as u16, reference };
        prop_assert_eq!(Message::parse(&head, Features::all()), Err(expected));
        // Every other one has its place.
        add.references[page] = GrantRef::FIRST;
        head[8 + 4 * page..][..4].copy_from_slice(&GrantRef::FIRST.get().to_le_bytes());
        prop_assert_eq!(Message::parse(&head, Features::all()), Ok(Message::PoolAdd(add)));
    }

    #[test]
    fn sizes_are_aligned_and_bounded(packet in packets::packet()) {
        let size = packet.size().unwrap().get();
        prop_assert_eq!(size % 8, 0);
        prop_assert!(size <= MAX_MESSAGE);
        prop_assert!(size >= packet.head_size() + packet.inline_length.get());
        prop_assert!(size - packet.head_size() - packet.inline_length.get() < 8);
    }

    #[test]
    fn whatever_is_accepted_is_what_would_be_emitted(
        message in packets::message(),
        changes in prop::collection::vec((0..MAX_HEAD, any::<u8>()), 0..4),
    ) {
        let mut head = emit(&message);
        for (at, value) in changes {
            let length = head.len();
            head[at % length] = value;
        }
        match Message::parse(&head, Features::all()) {
            // A PAD's size is the ring's to check, and its other bytes have no meaning.
            Ok(Message::Pad) => {}
            // The number of packets is clamped.
            Ok(Message::SetMaxPackets(limit)) => {
                prop_assert!(limit.packets().get() <= 256);
                prop_assert!(limit.bytes().get() >= 65_535);
            }
            Ok(parsed) => prop_assert_eq!(emit(&parsed), &head[..emit(&parsed).len()]),
            Err(violation) => prop_assert!(!violation.to_string().is_empty()),
        }
    }

    #[test]
    fn random_bytes_do_not_panic(
        kind in prop_oneof![1..=7_u8, any::<u8>()],
        mut head in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..MAX_HEAD),
        features in any::<u32>(),
    ) {
        if let Some(first) = head.first_mut() {
            *first = kind;
        }
        let _ = Message::parse(&head, Features::from_bits_truncate(features));
        if let Some(first) = head.first_chunk() {
            let _ = HeadLength::of(*first);
        }
    }
}
