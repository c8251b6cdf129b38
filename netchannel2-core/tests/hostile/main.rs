// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A peer that writes whatever it likes into shared memory, at any time.
//!
//! Whatever it does, each call ends after a bounded number of accesses, stays within the ring and
//! returns a value or a violation. The peer is honest most of the time, so that it gets past the
//! first checks.

#![cfg(not(loom))]

#[path = "../common/memory.rs"]
mod memory;
mod peer;
#[path = "../common/random.rs"]
mod random;

use netchannel2_core::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef, //
    },
    moderation::Settings,
    pool::{
        ChunkCount,
        ChunkIndex,
        Notice,
        OwnPool,
        SlotEntry,
        CHUNK_PAGES, //
    },
    queue::{
        Event,
        FinishError,
        Receiver,
        SendError,
        Sender, //
    },
    ring::{
        Consumer,
        Producer,
        Reserve,
        SharedRing, //
    },
    units::{
        FragmentLength,
        PacketId,
        PacketLength,
        PageOffset,
        RingOrder, //
    },
    wire::{
        Features,
        Finish,
        FinishStatus,
        MaxPackets,
        MessageSize,
        PacketCount,
        PacketMeta,
        PoolAdd,
        PoolAnswer, //
        Purpose,
        SetModeration,
        WishNumber, //
    },
};

use crate::{
    memory::Memory,
    peer::Hostile,
    random::Random, //
};

/// More than any call but those that send FINISHes needs.
const FEW: u32 = 60;

/// Enough for 256 FINISHes, each in a message of its own.
const MANY: u32 = 256 * 16;

fn credit(packets: u32) -> MaxPackets {
    MaxPackets::of_any_length(PacketCount::clamped(packets).unwrap_or(PacketCount::MAX))
}

fn fragment(random: &mut Random) -> Option<Fragment> {
    let reference = GrantRef::new(random.next())?;
    let length = FragmentLength::new(u16::try_from(random.below(4096)).ok()?)?;
    Fragment::new(reference, PageOffset::ZERO, length)
}

fn add(chunk: ChunkIndex) -> PoolAdd {
    PoolAdd {
        chunk,
        references: [GrantRef::FIRST; CHUNK_PAGES as usize],
    }
}

/// Sends something valid.
fn send<R: SharedRing>(sender: &mut Sender<R>, random: &mut Random) -> Result<(), SendError> {
    let meta = PacketMeta::default();
    if random.one_in(2) {
        let Ok(length) = PacketLength::new(14 + random.below(2034)) else {
            return Ok(());
        };
        return sender.send_inline(meta, length, |writer| {
            let _ = writer.write(&[1; 60]);
        });
    }
    let fragments: Vec<_> = (0..1 + random.below(17))
        .filter_map(|_| fragment(random))
        .collect();
    let sum = fragments.iter().map(|it| u32::from(it.length().get()));
    match PacketLength::new(sum.sum()) {
        Ok(length) => sender.send_granted(meta, length, &[], &fragments).map(drop),
        Err(_) => Ok(()),
    }
}

/// How often the run saw what it is for.
#[derive(Debug, Default)]
struct Seen {
    packets: u32,
    finishes: u32,
    chunks: u32,
    moderations: u32,
    violations: u32,
}

/// Lets this side run against a peer that is honest but for what [`Hostile`] does to its words.
fn run(seed: u64, rate: u32, seen: &mut Seen) -> Result<(), Violation> {
    let order = RingOrder::MIN;
    let (to_peer, from_peer) = (Memory::new(order), Memory::new(order));
    let features = Features::all();
    let own = credit(40);
    let sends = Hostile::new(&to_peer, seed, rate);
    let receives = Hostile::new(&from_peer, seed ^ 0xffff, rate);
    let mut random = Random::new(seed.wrapping_add(7));
    let mut sender = Sender::new(&sends, own, features);
    let mut receiver = Receiver::new(&receives, own, features);
    let mut peer_sender = Sender::new(&from_peer, credit(30), features);
    let mut peer_receiver = Receiver::new(&to_peer, credit(30), features);
    // The peer is taken at its word, though it may read what nobody wrote.
    let _ = peer_sender.on_set_max_packets(own);

    let mut pool = OwnPool::new(vec![SlotEntry::default(); 64], ChunkCount::MAX);
    let mut owed = Vec::new();
    let mut peer_owes = Vec::new();
    for _ in 0..400 {
        match random.below(12) {
            0 if random.one_in(4) => {
                if let Some(chunk) = pool.grow() {
                    pool.prepared(chunk);
                    if sends
                        .bounded(FEW, || sender.send_pool_add(add(chunk)))
                        .is_ok()
                    {
                        pool.told(Notice::Add(chunk));
                    }
                }
            }
            0..=1 => match sends.bounded(FEW + 40, || send(&mut sender, &mut random)) {
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(SendError::Malformed(violation)) => panic!("own mistake: {violation}"),
                Ok(()) | Err(_) => {}
            },
            2..=4 => {
                let event = receives.bounded(FEW, || receiver.next())?;
                match event {
                    Some(Event::Ready(limit)) => sender.on_set_max_packets(limit)?,
                    Some(Event::Finish) => {
                        for finish in receiver.finishes().iter() {
                            sender.on_finish(finish)?;
                            seen.finishes += 1;
                        }
                    }
                    Some(Event::SetModeration) => seen.moderations += 1,
                    Some(Event::Packet(mut inline)) => {
                        seen.packets += 1;
                        let mut bytes = vec![0; inline.len().as_usize()];
                        let copied = receiver.copy_inline(&mut inline, &mut bytes);
                        assert_eq!(copied, Ok(()));
                        owed.extend(receiver.packet().id);
                    }
                    Some(Event::PoolAdd(chunk)) => {
                        receiver.borrowed().mapped(chunk);
                        sender.queue_answer(chunk, PoolAnswer::Mapped);
                        seen.chunks += 1;
                    }
                    Some(Event::PoolDrop(chunk)) => {
                        receiver.borrowed().dropped(chunk);
                        sender.queue_answer(chunk, PoolAnswer::Dropped);
                    }
                    Some(Event::PoolAnswer(chunk, answer)) => pool.on_answer(chunk, answer)?,
                    None => {}
                }
                assert!(receiver.outstanding() <= 40);
            }
            5 => {
                while let Some(id) = owed.pop() {
                    assert!(receiver.finished(id, FinishStatus::Ok).is_ok());
                    // Used again before the peer could see its FINISH, for which there was no space.
                    sender
                        .queue_finish(id, FinishStatus::Ok)
                        .map_err(|FinishError::Duplicate(id)| Violation::DuplicateId(id))?;
                }
            }
            6 => {
                let _ = sends.bounded(MANY, || sender.publish())?;
                let _ = receives.bounded(FEW, || receiver.publish());
            }
            7 => {
                let _ = receives.bounded(FEW, || receiver.arm())?;
                let _ = sends.bounded(FEW, || sender.arm_space())?;
                let _ = sends.bounded(FEW, || sender.missing_finish())?;
            }
            8..=9 => {
                let _ = send(&mut peer_sender, &mut random);
                if random.one_in(8) {
                    let chunk = ChunkIndex::new(random.below(3).to_le_bytes()[0]);
                    let _ = chunk.map(|chunk| peer_sender.send_pool_add(add(chunk)));
                    peer_sender.set_moderation(SetModeration {
                        purpose: Purpose::Wish,
                        number: WishNumber::default(),
                        settings: Settings::IMMEDIATE,
                    });
                }
                for id in peer_owes.drain(..) {
                    let _ = peer_receiver.finished(id, FinishStatus::Ok);
                    let _ = peer_sender.queue_finish(id, FinishStatus::Ok);
                }
                let _ = peer_sender.publish();
            }
            _ => {
                match peer_receiver.next() {
                    Ok(Some(Event::Packet(_))) => peer_owes.extend(peer_receiver.packet().id),
                    Ok(Some(Event::Finish)) => {
                        for finish in peer_receiver.finishes().iter() {
                            let _ = peer_sender.on_finish(finish);
                        }
                    }
                    _ => {}
                }
                let _ = peer_receiver.publish();
            }
        }
    }
    Ok(())
}

#[test]
fn a_peer_gets_nothing_but_violations() {
    let mut seen = Seen::default();
    for seed in 0..3000 {
        let rate = [3, 20, 100, 400][usize::try_from(seed % 4).unwrap_or(0)];
        if let Err(violation) = run(seed, rate, &mut seen) {
            assert!(!violation.to_string().is_empty());
            seen.violations += 1;
        }
    }
    // Neither did every run end at once, nor did the peer keep quiet.
    assert!(seen.packets > 3000, "{seen:?}");
    assert!(seen.finishes > 1000, "{seen:?}");
    assert!(seen.chunks > 1000, "{seen:?}");
    assert!(seen.moderations > 1000, "{seen:?}");
    assert!(seen.violations > 1000, "{seen:?}");
}

#[test]
fn a_channel_that_is_broken_may_be_used_on() {
    for seed in 0..300 {
        let memory = Memory::new(RingOrder::MIN);
        let hostile = Hostile::new(&memory, seed, 2);
        let mut random = Random::new(seed);
        let mut producer = Producer::new(&hostile);
        let mut consumer = Consumer::new(&hostile, Features::all());
        let mut inline = None;
        for _ in 0..500 {
            match random.below(6) {
                0 => {
                    if let Ok(slot) = producer.begin(MessageSize::MAX, Reserve::NONE) {
                        slot.commit();
                    }
                }
                1 => drop(hostile.bounded(FEW, || producer.publish())),
                2 => {
                    let _ = hostile.bounded(FEW, || {
                        producer.arm_space_event(MessageSize::MAX, Reserve::NONE)
                    });
                }
                3 => {
                    let received = hostile.bounded(FEW, || consumer.next());
                    inline = received.ok().flatten().map(|it| it.inline).or(inline);
                }
                4 => {
                    let _ = hostile.bounded(FEW, || consumer.publish());
                    let _ = hostile.bounded(FEW, || consumer.arm());
                }
                _ => {
                    if let Some(inline) = &mut inline {
                        let mut bytes = [0; 40];
                        let _ = hostile.bounded(FEW, || consumer.copy_inline(inline, &mut bytes));
                    }
                }
            }
            assert!(producer.free() <= RingOrder::MIN.bytes());
            assert!(consumer.available() <= RingOrder::MIN.bytes());
        }
    }
}

#[test]
fn finishes_of_nothing_are_found_out() {
    let memory = Memory::new(RingOrder::MIN);
    let mut sender = Sender::new(&memory, credit(1), Features::all());
    for id in (0..256).filter_map(PacketId::new) {
        let status = FinishStatus::Ok;
        let unknown = Violation::FinishUnknown(id.get());
        assert_eq!(sender.on_finish(Finish { id, status }), Err(unknown));
    }
}
