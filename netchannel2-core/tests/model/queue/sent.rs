// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets as they are sent.

use netchannel2_core::{
    grant::{
        Fragment,
        GrantRef, //
    },
    pool::{
        OwnPool,
        PoolSlot,
        SlotEntry, //
    },
    segment::pages_for,
    units::{
        FragmentLength,
        PacketLength,
        PageOffset, //
    },
    wire::{
        Hash,
        HashKind,
        PacketMeta,
        Way, //
    }, //
};

use crate::random::Random;

/// A packet that was sent, as the other side is to find it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) way: Way,
    pub(super) length: PacketLength,
    /// The inline bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) fragments: Vec<Fragment>,
    /// Of a staged packet, which gets its slots when it is sent.
    pub(super) slots: Vec<Fragment<PoolSlot>>,
    pub(super) meta: PacketMeta,
}

impl Sent {
    pub(super) fn random(random: &mut Random) -> Self {
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
    pub(super) fn stage(&mut self, pool: &mut OwnPool<Vec<SlotEntry>>) -> bool {
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
