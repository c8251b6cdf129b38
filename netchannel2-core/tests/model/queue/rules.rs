// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One rule of a queue at a time.

use netchannel2_core::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef, //
    },
    pool::ChunkIndex,
    queue::{
        Event,
        Flush,
        Queued,
        Receiver,
        SendError,
        Sender, //
    },
    ring::SharedRing,
    units::{
        Bytes,
        FragmentLength,
        PacketId,
        PacketLength,
        PageOffset,
        RingIndex,
        RingOrder, //
    },
    wire::{
        Checksum,
        Features,
        Finish,
        FinishStatus,
        MaxPackets,
        PacketCount,
        PacketMeta,
        PoolAnswer, //
    }, //
};

use super::{
    credit,
    settle,
    Side, //
};
use crate::memory::Memory;

/// Connects two sides that have told each other what they allow.
fn connected(rings: &[Memory; 2], packets: u32) -> [Side<'_>; 2] {
    let mut sides = [
        Side::new(&rings[0], &rings[1], credit(packets)),
        Side::new(&rings[1], &rings[0], credit(packets)),
    ];
    settle(&mut sides);
    sides
}

fn rings() -> [Memory; 2] {
    [Memory::new(RingOrder::MIN), Memory::new(RingOrder::MIN)]
}

/// Returns bytes of a ring, as its other side may see them.
fn bytes(memory: &Memory, at: u32, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let at = RingIndex::new(at).offset(memory.order());
    memory.read(at, &mut bytes);
    bytes
}

fn granted(sender: &mut Sender<&Memory>) -> Result<PacketId, SendError> {
    let fragment = Fragment::new(
        GrantRef::FIRST,
        PageOffset::ZERO,
        FragmentLength::new(1500).unwrap(),
    )
    .unwrap();
    let length = PacketLength::new(1500).unwrap();
    sender.send_granted(PacketMeta::default(), length, &[], &[fragment])
}

fn inline(sender: &mut Sender<&Memory>) -> Result<(), SendError> {
    let length = PacketLength::new(60).unwrap();
    sender.send_inline(PacketMeta::default(), length, |_| {})
}

#[test]
fn every_finish_has_space_in_a_ring_full_of_packets() {
    let rings = rings();
    let [mut a, mut b] = connected(&rings, 256);
    // As much as the credit allows, all of it received but not finished.
    for _ in 0..256 {
        granted(&mut a.sender).unwrap();
        let _ = a.sender.publish().unwrap();
        let Some(Event::Packet(_)) = b.receiver.next().unwrap() else {
            panic!("no packet");
        };
        b.owed.extend(b.receiver.packet().id);
        let _ = b.receiver.publish();
    }
    assert_eq!(granted(&mut a.sender), Err(SendError::NoCredit));
    // The other ring is full, and nobody reads it.
    while inline(&mut b.sender).is_ok() {}
    assert_eq!(inline(&mut b.sender), Err(SendError::RingFull));
    // Each FINISH in a message of its own takes the most space.
    while !b.owed.is_empty() {
        b.finish(0);
        assert_eq!(b.sender.flush_finishes(), Ok(Flush::Done));
    }
    assert_eq!(b.sender.counters().finish_messages, 256);
}

#[test]
fn nothing_is_sent_before_the_peer_allows_it() {
    let rings = rings();
    let mut a = Side::new(&rings[0], &rings[1], credit(4));
    assert!(!a.sender.ready());
    assert_eq!(inline(&mut a.sender), Err(SendError::NotReady));
    assert_eq!(granted(&mut a.sender), Err(SendError::NotReady));
    let rings = self::rings();
    let [mut a, _] = connected(&rings, 4);
    assert!(a.sender.ready());
    assert_eq!(inline(&mut a.sender), Ok(()));
}

#[test]
fn the_first_message_says_what_is_allowed_and_no_other_does() {
    let rings = rings();
    let mut receiver = Receiver::new(&rings[0], credit(1), Features::all());
    let mut sender = Sender::new(&rings[0], credit(1), Features::all());
    sender.on_set_max_packets(credit(9)).unwrap();
    assert_eq!(
        sender.on_set_max_packets(credit(9)),
        Err(Violation::CreditTwice)
    );
    inline(&mut sender).unwrap();
    let _ = sender.publish().unwrap();
    // Overwrite SET_MAX_PACKETS by the packet behind it.
    let packet = bytes(&rings[0], 16, 96);
    rings[0].put(0, &packet);
    assert_eq!(receiver.next().err(), Some(Violation::NotReady { kind: 2 }));

    let rings = self::rings();
    let mut receiver = Receiver::new(&rings[0], credit(1), Features::all());
    let mut sender = Sender::new(&rings[0], credit(1), Features::all());
    sender.on_set_max_packets(credit(9)).unwrap();
    let _ = sender.publish().unwrap();
    assert!(matches!(receiver.next(), Ok(Some(Event::Ready(_)))));
    inline(&mut sender).unwrap();
    let _ = sender.publish().unwrap();
    let first = bytes(&rings[0], 0, 16);
    rings[0].put(16, &first);
    assert_eq!(receiver.next().err(), Some(Violation::CreditTwice));
}

/// Returns what a receiver that allows `packets` says of a sender that was told otherwise.
fn greedy(packets: u32, step: impl Fn(&mut Sender<&Memory>, u32)) -> Violation {
    let rings = rings();
    let mut receiver = Receiver::new(&rings[0], credit(packets), Features::all());
    let mut sender = Sender::new(&rings[0], credit(1), Features::all());
    sender.on_set_max_packets(credit(256)).unwrap();
    for round in 0..300 {
        step(&mut sender, round);
        let _ = sender.publish().unwrap();
        loop {
            match receiver.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(violation) => return violation,
            }
        }
        let _ = receiver.publish();
    }
    panic!("nothing was found");
}

#[test]
fn the_peer_keeps_its_credit() {
    let violation = greedy(5, |sender, _| {
        granted(sender).unwrap();
    });
    assert_eq!(violation, Violation::TooManyPackets { allowed: 5 });
    let id = PacketId::new(0).unwrap();
    let status = FinishStatus::Ok;
    let violation = greedy(256, |sender, _| {
        let id = granted(sender).unwrap();
        sender.on_finish(Finish { id, status }).unwrap();
    });
    // All ids are taken, so that one comes again; it is looked at before their number.
    assert_eq!(violation, Violation::DuplicateId(id));
}

#[test]
fn bytes_are_limited_too() {
    let one = MaxPackets::new(PacketCount::MAX, Bytes::new(65_535)).unwrap();
    let rings = rings();
    let mut sender = Sender::new(&rings[0], one, Features::all());
    sender.on_set_max_packets(one).unwrap();
    for _ in 0..43 {
        granted(&mut sender).unwrap();
    }
    assert_eq!(granted(&mut sender), Err(SendError::NoCredit));
    let oldest = sender.oldest_unfinished().unwrap();
    let status = FinishStatus::CopyFailed;
    let finish = Finish { id: oldest, status };
    assert_eq!(sender.on_finish(finish).map(PacketLength::get), Ok(1500));
    assert_eq!(
        sender.on_finish(finish),
        Err(Violation::FinishUnknown(oldest.get()))
    );
    assert_eq!(sender.counters().peer_copy_errors, 1);
    assert!(granted(&mut sender).is_ok());
    assert_eq!(sender.counters().no_credit, 1);
}

#[test]
fn a_packet_that_is_kept_is_found_out() {
    let rings = rings();
    let [mut a, mut b] = connected(&rings, 8);
    let id = granted(&mut a.sender).unwrap();
    let _ = a.sender.publish().unwrap();
    assert_eq!(a.sender.missing_finish(), Ok(None));
    assert!(matches!(b.receiver.next(), Ok(Some(Event::Packet(_)))));
    assert_eq!(a.sender.missing_finish(), Ok(None));
    let _ = b.receiver.publish();
    assert_eq!(a.sender.missing_finish(), Ok(Some(id)));
}

#[test]
fn own_mistakes_are_not_sent() {
    let rings = rings();
    let mut sender = Sender::new(&rings[0], credit(9), Features::empty());
    sender.on_set_max_packets(credit(9)).unwrap();
    let length = PacketLength::new(100).unwrap();
    let partial = |start| PacketMeta {
        checksum: Checksum::Partial { start, offset: 16 },
        ..PacketMeta::default()
    };
    assert_eq!(
        sender.send_inline(partial(34), length, |_| {}),
        Err(SendError::Malformed(Violation::NotNegotiated(
            Features::CSUM
        )))
    );
    for start in [13, 83] {
        assert!(matches!(
            sender.send_inline(partial(start), length, |_| {}),
            Err(SendError::Malformed(Violation::ChecksumRange { .. }))
        ));
    }
    let valid = PacketMeta {
        checksum: Checksum::Valid,
        ..PacketMeta::default()
    };
    assert_eq!(sender.send_inline(valid, length, |_| {}), Ok(()));
    assert_eq!(
        sender.send_granted(valid, length, &[0; 100], &[]),
        Err(SendError::Malformed(Violation::FragmentCount {
            fragments: 0,
            way: 2
        }))
    );
    let long = PacketLength::new(2049).unwrap();
    assert_eq!(
        sender.send_inline(valid, long, |_| {}),
        Err(SendError::TooBig)
    );
}

#[test]
fn what_is_left_out_is_zero() {
    let rings = rings();
    let [mut a, mut b] = connected(&rings, 8);
    let length = PacketLength::new(101).unwrap();
    let meta = PacketMeta::default();
    let sent = a
        .sender
        .send_inline(meta, length, |writer| writer.write(&[9; 20]).unwrap());
    assert_eq!(sent, Ok(()));
    let _ = a.sender.publish().unwrap();
    let Ok(Some(Event::Packet(mut inline))) = b.receiver.next() else {
        panic!("no packet");
    };
    let mut bytes = [1; 101];
    b.receiver.copy_inline(&mut inline, &mut bytes).unwrap();
    assert!(bytes
        .iter()
        .zip(0..)
        .all(|(byte, at)| *byte == if at < 20 { 9 } else { 0 }));
    // The padding behind them, at 16 for SET_MAX_PACKETS, 32 for the head and 101.
    assert_eq!(self::bytes(&rings[0], 149, 3), [0; 3]);
}

#[test]
fn bytes_go_straight_into_the_ring_or_nothing_is_sent() {
    let rings = rings();
    let [mut a, mut b] = connected(&rings, 8);
    let length = PacketLength::new(101).unwrap();
    let meta = PacketMeta::default();
    let failed = a.sender.send_inline_from(meta, length, |ring, at, count| {
        ring.write(at, &[7; 50]);
        assert_eq!(count.get(), 101);
        Err(SendError::Unreadable)
    });
    assert_eq!(failed, Err(SendError::Unreadable));
    assert_eq!(a.sender.counters().packets(), 0);
    let sent = a.sender.send_inline_from(meta, length, |ring, at, _| {
        ring.write(at, &[9; 101]);
        Ok(())
    });
    assert_eq!(sent, Ok(()));
    let _ = a.sender.publish().unwrap();
    let Ok(Some(Event::Packet(mut inline))) = b.receiver.next() else {
        panic!("no packet");
    };
    let mut bytes = [1; 101];
    b.receiver.copy_inline(&mut inline, &mut bytes).unwrap();
    assert_eq!(bytes, [9; 101]);
    assert_eq!(self::bytes(&rings[0], 149, 3), [0; 3]);
    assert!(matches!(b.receiver.next(), Ok(None)));
}

#[test]
fn a_give_back_gives_way_to_any_other_answer() {
    let rings = rings();
    let [mut a, _] = connected(&rings, 4);
    let chunk = ChunkIndex::new(5).unwrap();
    assert_eq!(
        a.sender.queue_answer(chunk, PoolAnswer::GiveBack),
        Queued::Yes
    );
    // The peer has dropped the chunk meanwhile: this is what it waits for.
    assert_eq!(
        a.sender.queue_answer(chunk, PoolAnswer::Dropped),
        Queued::Yes
    );
    assert_eq!(
        a.sender.queue_answer(chunk, PoolAnswer::GiveBack),
        Queued::No
    );
    let produced = a.sender.progress().unwrap().1;
    let _ = a.sender.publish().unwrap();
    assert_eq!(a.sender.progress().unwrap().1.distance(produced).get(), 8);
    assert_eq!(
        bytes(&rings[0], produced.get(), 8),
        [7, 0, 8, 0, 5, 2, 0, 0]
    );
    assert_eq!(
        a.sender.queue_answer(chunk, PoolAnswer::Mapped),
        Queued::Yes
    );
}
