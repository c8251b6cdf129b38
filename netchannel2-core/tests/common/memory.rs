// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A ring in ordinary memory.

use std::{
    sync::atomic::{
        fence,
        AtomicU32,
        AtomicU8,
        Ordering, //
    },
    vec::Vec,
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

/// A ring in ordinary memory, which panics where it is left.
#[derive(Debug)]
pub(crate) struct Memory {
    order: RingOrder,
    bytes: Vec<AtomicU8>,
    words: [AtomicU32; 4],
}

impl Memory {
    /// Makes a ring that nobody has used; what it holds is not zero, to show what is left of it.
    pub(crate) fn new(order: RingOrder) -> Self {
        Self {
            order,
            bytes: (0..order.bytes().get())
                .map(|_| AtomicU8::new(0xa5))
                .collect(),
            words: Default::default(),
        }
    }

    /// Writes a message's bytes, as the peer may.
    pub(crate) fn put(&self, at: usize, bytes: &[u8]) {
        for (place, byte) in self.bytes[at..at + bytes.len()].iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
    }

    fn word(&self, word: IndexWord) -> &AtomicU32 {
        let place = IndexWord::ALL.iter().position(|it| *it == word);
        &self.words[place.unwrap_or(0)]
    }
}

impl SharedRing for Memory {
    fn order(&self) -> RingOrder {
        self.order
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        let at = at.as_usize();
        for (place, byte) in self.bytes[at..at + into.len()].iter().zip(into) {
            *byte = place.load(Ordering::Relaxed);
        }
    }

    fn write(&self, at: RingOffset, from: &[u8]) {
        self.put(at.as_usize(), from);
    }

    fn load(&self, word: IndexWord) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: IndexWord, value: u32) {
        self.word(word).store(value, Ordering::Release);
    }

    fn full_barrier(&self) {
        fence(Ordering::SeqCst);
    }
}
