// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The peer.

use std::cell::{
    Cell,
    RefCell, //
};

use netchannel2_core::{
    ring::{
        IndexWord,
        SharedRing, //
    },
    units::{
        RingOffset,
        RingOrder, //
    },
};

use crate::{
    memory::Memory,
    random::Random, //
};

/// Memory that its peer may change at every access of this side.
pub(crate) struct Hostile<'a> {
    memory: &'a Memory,
    random: RefCell<Random>,
    /// The peer misbehaves once in so many accesses.
    rate: u32,
    accesses: Cell<u32>,
}

impl<'a> Hostile<'a> {
    pub(crate) fn new(memory: &'a Memory, seed: u64, rate: u32) -> Self {
        Self {
            memory,
            random: RefCell::new(Random::new(seed)),
            rate,
            accesses: Cell::new(0),
        }
    }

    /// Runs one call and checks that it ends soon.
    pub(crate) fn bounded<T>(&self, limit: u32, call: impl FnOnce() -> T) -> T {
        self.accesses.set(0);
        let value = call();
        assert!(self.accesses.get() <= limit, "{}", self.accesses.get());
        value
    }

    fn disturb(&self, near: u32) {
        self.accesses.set(self.accesses.get() + 1);
        let mut random = self.random.borrow_mut();
        if !random.one_in(self.rate) {
            return;
        }
        let size = self.memory.order().bytes().get();
        match random.below(4) {
            0 => {
                let word = IndexWord::ALL[random.below(4) as usize];
                let value = match random.below(4) {
                    0 => random.next(),
                    1 => random.next() & !7,
                    2 => self.memory.load(word).wrapping_add(random.below(64)),
                    _ => self.memory.load(word).wrapping_sub(random.below(64) & !7),
                };
                self.memory.store(word, value);
            }
            1 => {
                let at = random.below(size) as usize;
                self.memory.put(at, &[random.next().to_le_bytes()[0]]);
            }
            _ => {
                // Where this side is looking.
                let at = near.wrapping_add(random.below(48)) % size;
                let value = match random.below(3) {
                    0 => 0,
                    1 => random.below(4).to_le_bytes()[0],
                    _ => random.next().to_le_bytes()[0],
                };
                self.memory.put(at as usize, &[value]);
            }
        }
    }
}

impl SharedRing for Hostile<'_> {
    fn order(&self) -> RingOrder {
        self.memory.order()
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        self.disturb(at.get());
        self.memory.read(at, into);
        self.disturb(at.get());
    }

    fn write(&self, at: RingOffset, from: &[u8]) {
        self.memory.write(at, from);
        self.disturb(at.get());
    }

    fn load(&self, word: IndexWord) -> u32 {
        self.disturb(0);
        self.memory.load(word)
    }

    fn store(&self, word: IndexWord, value: u32) {
        self.memory.store(word, value);
        self.disturb(0);
    }

    fn full_barrier(&self) {
        self.disturb(0);
    }
}
