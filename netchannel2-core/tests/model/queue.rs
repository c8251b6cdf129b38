// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Both sides of a queue, against lists of what was sent.

mod rules;

use std::collections::VecDeque;

use netchannel2_core::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef, //
    },
    moderation::Settings,
    pool::{
        ChunkCount,
        Notice,
        OwnPool,
        PoolSlot,
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
        Rearm,
        Space, //
    },
    segment::pages_for,
    units::{
        FragmentLength,
        InlineLength,
        PacketId,
        PacketLength,
        PageOffset,
        RingOrder, //
    },
    wire::{
        Features,
        FinishStatus,
        Hash,
        HashKind,
        MaxPackets,
        PacketCount,
        PacketMeta,
        PoolAdd,
        PoolAnswer,
        Purpose,
        SetModeration,
        Way,
        WishNumber, //
    }, //
};
use proptest::prelude::*;

use crate::{
    memory::Memory,
    random::Random, //
};

fn credit(packets: u32) -> MaxPackets {
    MaxPackets::of_any_length(PacketCount::clamped(packets).unwrap())
}

/// A packet that was sent, as the other side is to find it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    way: Way,
    length: PacketLength,
    /// The inline bytes.
    bytes: Vec<u8>,
    fragments: Vec<Fragment>,
    /// Of a staged packet, which gets its slots when it is sent.
    slots: Vec<Fragment<PoolSlot>>,
    meta: PacketMeta,
}

impl Sent {
    fn random(random: &mut Random) -> Self {
        let seed = random.next();
        let content = |count: u32| (0..count).map(|at| (seed ^ at) as u8).collect();
        let meta = PacketMeta {
            hash: Some(Hash {
                kind: HashKind::L4,
                value: seed,
            }),
            ..PacketMeta::default()
        };
        if random.one_in(2) {
            let range = if random.one_in(4) { 2035 } else { 200 };
            let length = 14 + random.below(range);
            return Self {
                way: Way::Inline,
                length: PacketLength::new(length).unwrap(),
                bytes: content(length),
                fragments: Vec::new(),
                slots: Vec::new(),
                meta,
            };
        }
        if random.one_in(2) {
            return Self {
                way: Way::Staged,
                length: PacketLength::new(14 + random.below(65_000)).unwrap(),
                bytes: Vec::new(),
                fragments: Vec::new(),
                slots: Vec::new(),
                meta,
            };
        }
        let fragments: Vec<_> = (0..1 + random.below(15))
            .map(|at| {
                let reference = GrantRef::new(8 + (seed >> 8) + at).unwrap();
                let length = FragmentLength::new(14 + random.below(4000) as u16).unwrap();
                Fragment::new(reference, PageOffset::ZERO, length).unwrap()
            })
            .collect();
        let prefix = if random.one_in(2) {
            0
        } else {
            random.below(300)
        };
        let sum: u32 = fragments
            .iter()
            .map(|fragment| u32::from(fragment.length().get()))
            .sum();
        Self {
            way: Way::Granted,
            length: PacketLength::new(sum + prefix).unwrap(),
            bytes: content(prefix),
            fragments,
            slots: Vec::new(),
            meta,
        }
    }

    /// Takes slots for a staged packet.
    fn stage(&mut self, pool: &mut OwnPool<Vec<SlotEntry>>) -> bool {
        if pool.take(pages_for(self.length)).is_none() {
            return false;
        }
        let mut rest = self.length.get();
        self.slots.clear();
        for slot in pool.taken() {
            let part = rest.min(4096);
            let length = FragmentLength::new(part as u16).unwrap();
            self.slots.push(Fragment::at_start(slot, length));
            rest -= part;
        }
        assert_eq!(rest, 0);
        true
    }
}

/// One side of a queue, with an owner that does what a driver does.
struct Side<'a> {
    sender: Sender<&'a Memory>,
    receiver: Receiver<&'a Memory>,
    pool: OwnPool<Vec<SlotEntry>>,
    /// Packets that are sent and not finished.
    unfinished: VecDeque<PacketId>,
    /// Packets that are received and not finished.
    owed: Vec<PacketId>,
    /// What was sent and not received by the other side.
    in_flight: VecDeque<Sent>,
    /// What could not be sent yet.
    waiting: VecDeque<Sent>,
    /// Whether the event channel has fired since the side last looked.
    event: bool,
    asleep: bool,
    /// The last wish about events that this side had, and the one that the other side has
    /// answered.
    wish: WishNumber,
    in_force: Option<WishNumber>,
}

impl<'a> Side<'a> {
    fn new(sends: &'a Memory, receives: &'a Memory, own_credit: MaxPackets) -> Self {
        Self {
            sender: Sender::new(sends, own_credit, Features::all()),
            receiver: Receiver::new(receives, own_credit, Features::all()),
            pool: OwnPool::new(vec![SlotEntry::default(); 96], ChunkCount::MAX),
            unfinished: VecDeque::new(),
            owed: Vec::new(),
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            event: false,
            asleep: false,
            wish: WishNumber::default(),
            in_force: None,
        }
    }

    /// Sends what waits, in order, as far as it goes.
    fn send(&mut self) -> Result<(), SendError> {
        let (consumed, produced) = self.sender.progress().unwrap();
        self.pool.reap(consumed, produced);
        while let Some(sent) = self.waiting.front_mut() {
            if sent.way == Way::Staged && !sent.stage(&mut self.pool) {
                // A driver takes another way.
                self.waiting.pop_front();
                continue;
            }
            let inline = InlineLength::new(sent.bytes.len() as u16).unwrap();
            let may = self.sender.can_send(
                sent.way,
                sent.length,
                inline,
                sent.fragments.len() + sent.slots.len(),
            );
            let result = match sent.way {
                Way::Inline => self.sender.send_inline(sent.meta, sent.length, |writer| {
                    for piece in sent.bytes.chunks(100) {
                        writer.write(piece).unwrap();
                    }
                    assert!(writer.write(&[0]).is_err());
                }),
                Way::Staged => {
                    let result = self.sender.send_staged(sent.meta, sent.length, &sent.slots);
                    match result {
                        Ok(end) => self.pool.commit(end),
                        Err(_) => self.pool.cancel(),
                    }
                    result.map(|_| ())
                }
                _ => self
                    .sender
                    .send_granted(sent.meta, sent.length, &sent.bytes, &sent.fragments)
                    .map(|id| {
                        assert!(!self.unfinished.contains(&id));
                        self.unfinished.push_back(id);
                    }),
            };
            assert_eq!(may, result);
            result?;
            self.in_flight.extend(self.waiting.pop_front());
        }
        Ok(())
    }

    /// Has the pool grow and shrink.
    fn tend(&mut self) {
        if let Some(chunk) = self.pool.grow() {
            self.pool.prepared(chunk);
        }
        while let Some(chunk) = self.pool.next_withdrawn() {
            self.pool.gone(chunk);
        }
        while let Some(notice) = self.pool.next_notice() {
            let result = match notice {
                Notice::Add(chunk) => self.sender.send_pool_add(PoolAdd {
                    chunk,
                    references: [GrantRef::FIRST; CHUNK_PAGES as usize],
                }),
                Notice::Drop(chunk) => self.sender.send_pool_drop(chunk),
            };
            match result {
                Ok(()) => self.pool.told(notice),
                Err(_) => break,
            }
        }
    }

    /// Takes one message, which `peer` has sent.
    fn receive(&mut self, peer: &mut VecDeque<Sent>) -> Result<bool, Violation> {
        let Some(event) = self.receiver.next()? else {
            return Ok(false);
        };
        match event {
            Event::Ready(limit) => self.sender.on_set_max_packets(limit)?,
            Event::Finish => {
                for finish in self.receiver.finishes().iter() {
                    self.sender.on_finish(finish)?;
                    self.unfinished.retain(|id| *id != finish.id);
                }
            }
            Event::SetModeration => {
                let said = self.receiver.moderation().unwrap();
                match said.purpose {
                    // Answered each time, as a side with limits does.
                    Purpose::Wish => self.sender.set_moderation(SetModeration {
                        purpose: Purpose::InForce,
                        ..said
                    }),
                    Purpose::InForce => self.in_force = Some(said.number),
                }
            }
            Event::Packet(mut inline) => {
                let packet = *self.receiver.packet();
                let mut bytes = vec![0; inline.len().as_usize()];
                self.receiver.copy_inline(&mut inline, &mut bytes).unwrap();
                let received = Sent {
                    way: packet.way,
                    length: packet.length,
                    bytes,
                    fragments: packet.fragments.as_slice().to_vec(),
                    slots: packet.staged.as_slice().to_vec(),
                    meta: packet.meta,
                };
                assert_eq!(Some(received), peer.pop_front());
                self.owed.extend(packet.id);
            }
            Event::PoolAdd(chunk) => {
                self.receiver.borrowed().mapped(chunk);
                self.sender.queue_answer(chunk, PoolAnswer::Mapped);
            }
            Event::PoolDrop(chunk) => {
                self.receiver.borrowed().dropped(chunk);
                self.sender.queue_answer(chunk, PoolAnswer::Dropped);
            }
            Event::PoolAnswer(chunk, answer) => self.pool.on_answer(chunk, answer)?,
        }
        Ok(true)
    }

    fn wish(&mut self) {
        self.wish = self.wish.next();
        self.sender.set_moderation(SetModeration {
            purpose: Purpose::Wish,
            number: self.wish,
            settings: Settings::IMMEDIATE,
        });
    }

    fn finish(&mut self, which: usize) {
        if self.owed.is_empty() {
            return;
        }
        let id = self.owed.swap_remove(which % self.owed.len());
        self.receiver.finished(id, FinishStatus::Ok).unwrap();
        self.sender.queue_finish(id, FinishStatus::Ok).unwrap();
        assert_eq!(
            self.sender.queue_finish(id, FinishStatus::Ok),
            Err(FinishError::Duplicate(id))
        );
    }
}

/// Does all that a driver does when its event comes, and goes to sleep if there is nothing left.
fn poll(side: &mut Side<'_>, peer: &mut Side<'_>) {
    side.event = false;
    side.asleep = false;
    while side.receive(&mut peer.in_flight).unwrap() {}
    while !side.owed.is_empty() {
        side.finish(0);
    }
    let blocked = side.send();
    peer.event |= side.receiver.publish().is_needed();
    peer.event |= side.sender.publish().unwrap().is_needed();
    let is_short = blocked == Err(SendError::RingFull)
        || side.sender.queued_finishes() > 0
        || side.sender.owes_moderation();
    if is_short && side.sender.arm_space().unwrap() == Space::Available {
        side.event = true;
    }
    match side.receiver.arm().unwrap() {
        Rearm::Idle => side.asleep = true,
        Rearm::MoreWork => side.event = true,
    }
}

/// Leaves a side that shows what it did, and sleeps only with nothing left to do of its own.
fn rest(side: &mut Side<'_>, peer: &mut Side<'_>) {
    peer.event |= side.receiver.publish().is_needed();
    peer.event |= side.sender.publish().unwrap().is_needed();
    side.asleep &=
        side.owed.is_empty() && side.waiting.is_empty() && side.sender.queued_finishes() == 0;
    side.asleep &= !side.sender.owes_moderation();
}

/// Lets the sides run by nothing but their events until all is received and finished.
fn settle(sides: &mut [Side<'_>; 2]) {
    for _ in 0..2000 {
        let [a, b] = sides;
        if a.event || !a.asleep {
            poll(a, b);
        }
        if b.event || !b.asleep {
            poll(b, a);
        }
        if !a.event && !b.event && a.asleep && b.asleep {
            break;
        }
    }
    let states = sides.each_ref().map(|side| {
        (
            (side.event, side.asleep),
            side.waiting.front().map(|sent| (sent.way, sent.length)),
            side.in_flight.len(),
            side.unfinished.len(),
            side.sender.queued_finishes(),
        )
    });
    for side in sides {
        assert!(
            side.waiting.is_empty(),
            "asleep with packets to send: {states:?}"
        );
        assert!(side.in_flight.is_empty(), "asleep with packets to receive");
        assert!(side.unfinished.is_empty(), "asleep with packets unfinished");
        let unanswered = side.wish != side.in_force.unwrap_or_default();
        assert!(!unanswered, "asleep with a wish unanswered");
        assert_eq!(side.sender.outstanding().count(), 0);
        assert_eq!(side.receiver.outstanding(), 0);
        assert_eq!(side.sender.missing_finish(), Ok(None));
    }
}

proptest! {
    #![proptest_config(crate::cases(150))]

    #[test]
    fn packets_come_in_order_and_nothing_stops_for_good(
        seed in any::<u64>(),
        order in 2..=4_u8,
        packets in (1..=256_u32, 1..=256_u32),
        steps in 0..600_u32,
    ) {
        let order = RingOrder::new(order).unwrap();
        let rings = [Memory::new(order), Memory::new(order)];
        let mut sides = [
            Side::new(&rings[0], &rings[1], credit(packets.0)),
            Side::new(&rings[1], &rings[0], credit(packets.1)),
        ];
        let mut random = Random::new(seed);
        for _ in 0..steps {
            let [a, b] = &mut sides;
            let (side, peer) = if random.one_in(2) { (a, b) } else { (b, a) };
            match random.below(12) {
                0..=2 => {
                    let count = random.below(12);
                    side.waiting.extend((0..count).map(|_| Sent::random(&mut random)));
                    let _ = side.send();
                }
                3 => {
                    for _ in 0..random.below(20) {
                        let _ = side.receive(&mut peer.in_flight).unwrap();
                    }
                }
                4 => side.finish(random.next() as usize),
                5 => {
                    for _ in 0..random.below(80) {
                        side.finish(random.next() as usize);
                    }
                }
                6 => peer.event |= side.receiver.publish().is_needed(),
                7 => peer.event |= side.sender.publish().unwrap().is_needed(),
                8 => side.tend(),
                9 => side.pool.shrink(),
                10 => side.wish(),
                _ => poll(side, peer),
            }
        }
        let [a, b] = &mut sides;
        rest(a, b);
        rest(b, a);
        settle(&mut sides);
    }
}
