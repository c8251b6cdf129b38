// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Both sides of a queue, against lists of what was sent.

mod rules;
mod sent;
mod side;

use netchannel2_core::{
    queue::SendError,
    ring::{
        Rearm,
        Space, //
    },
    units::RingOrder,
    wire::{
        MaxPackets,
        PacketCount, //
    }, //
};
use proptest::prelude::*;

use self::{
    sent::Sent,
    side::Side, //
};
use crate::{
    memory::Memory,
    random::Random, //
};

fn credit(packets: u32) -> MaxPackets {
    MaxPackets::of_any_length(PacketCount::clamped(packets).unwrap())
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
    let is_short = blocked == Err(SendError::RingFull) || side.sender.owes();
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
    side.asleep &= side.owed.is_empty() && side.waiting.is_empty() && !side.sender.owes();
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
