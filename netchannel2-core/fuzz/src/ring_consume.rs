// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is done with each input of `ring_consume`; ordinary tests do it too.

use std::cell::{
    Cell,
    RefCell, //
};

use netchannel2_core::{
    pool::{
        ChunkCount,
        OwnPool,
        SlotEntry,
        CHUNK_PAGES, //
    },
    queue::{
        Event,
        Receiver, //
    },
    ring::{
        IndexWord,
        SharedRing, //
    },
    units::{
        RingIndex,
        RingOffset,
        RingOrder, //
    },
    wire::{
        Features,
        FinishStatus,
        MaxPackets,
        PacketCount, //
    },
};

const SIZE: usize = RingOrder::MIN.bytes().as_usize();

/// A ring whose producer is the input.
struct Input {
    bytes: RefCell<Vec<u8>>,
    produced: Cell<u32>,
    accesses: Cell<u32>,
}

impl SharedRing for &Input {
    fn order(&self) -> RingOrder {
        RingOrder::MIN
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        self.accesses.set(self.accesses.get() + 1);
        let at = at.as_usize();
        into.copy_from_slice(&self.bytes.borrow()[at..at + into.len()]);
    }

    fn write(&self, _at: RingOffset, _from: &[u8]) {
        panic!("a consumer does not write into the ring");
    }

    fn load(&self, word: IndexWord) -> u32 {
        self.accesses.set(self.accesses.get() + 1);
        match word {
            IndexWord::Prod => self.produced.get(),
            _ => 0,
        }
    }

    fn store(&self, _word: IndexWord, _value: u32) {}

    fn full_barrier(&self) {}
}

/// Receives what `input` produces in chunks: a byte that says how long, the bytes, and so on.
///
/// A chunk's first bit says whether packets are finished, its second whether the index is moved
/// by what follows instead of by the chunk's length, its third whether chunks of the peer's pool
/// are mapped. This side's pool offers chunks, and packets take all of their slots.
pub(crate) fn ring_consume(mut input: &[u8]) {
    let ring = Input {
        bytes: RefCell::new(vec![0; SIZE]),
        produced: Cell::new(0),
        accesses: Cell::new(0),
    };
    let allowed = MaxPackets::of_any_length(PacketCount::clamped(9).expect("is not zero"));
    let mut receiver = Receiver::new(&ring, allowed, Features::all());
    let mut owed = Vec::new();
    let places = vec![SlotEntry::default(); 3 * usize::from(CHUNK_PAGES)];
    let mut pool = OwnPool::new(places, ChunkCount::MAX);
    let (mut added, mut dropped) = (Vec::new(), Vec::new());
    while let Some(([flags, length], rest)) = input.split_first_chunk() {
        let length = usize::from(*length) * 8;
        let (chunk, rest) = rest.split_at(length.min(rest.len()));
        input = rest;
        let at = ring.produced.get() as usize % SIZE;
        for (place, byte) in (at..).zip(chunk) {
            ring.bytes.borrow_mut()[place % SIZE] = *byte;
        }
        let moved = match (flags & 2, chunk.first_chunk()) {
            (0, _) | (_, None) => length as u32,
            (_, Some(word)) => u32::from_le_bytes(*word),
        };
        ring.produced.set(ring.produced.get().wrapping_add(moved));

        loop {
            ring.accesses.set(0);
            let event = receiver.next();
            assert!(ring.accesses.get() <= 8);
            match event {
                Ok(Some(Event::Packet(mut inline))) => {
                    let mut bytes = vec![0; inline.len().as_usize()];
                    assert_eq!(receiver.copy_inline(&mut inline, &mut bytes), Ok(()));
                    owed.extend(receiver.packet().id);
                    assert!(owed.len() <= 9);
                    let staged = *receiver.packet();
                    for fragment in staged.staged.as_slice() {
                        assert!(receiver.borrowed().is_mapped(fragment.page().chunk()));
                    }
                }
                Ok(Some(Event::PoolAdd(chunk))) => {
                    assert_eq!(receiver.pool_add().map(|add| add.chunk), Some(chunk));
                    added.push(chunk);
                }
                Ok(Some(Event::PoolDrop(chunk))) => dropped.push(chunk),
                Ok(Some(Event::PoolAnswer(chunk, answer))) => {
                    if pool.on_answer(chunk, answer).is_err() {
                        return;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(violation) => {
                    assert!(!violation.to_string().is_empty());
                    return;
                }
            }
        }
        if flags & 1 != 0 {
            for id in owed.drain(..) {
                assert!(receiver.finished(id, FinishStatus::Ok).is_ok());
            }
        }
        for chunk in added.drain(..) {
            match flags & 4 {
                0 => receiver.borrowed().refused(chunk),
                _ => receiver.borrowed().mapped(chunk),
            }
        }
        for chunk in dropped.drain(..) {
            receiver.borrowed().dropped(chunk);
        }
        tend(&mut pool);
        let _ = receiver.publish();
        if receiver.arm().is_err() {
            return;
        }
    }
}

/// Has the pool grow and shrink as its peer says, while packets take all that there is.
fn tend(pool: &mut OwnPool<Vec<SlotEntry>>) {
    if pool.take(pool.free()).is_some() {
        pool.commit(RingIndex::default());
    }
    // None is free any more, so that it grows.
    assert!(pool.take(1).is_none());
    pool.reap(RingIndex::default(), RingIndex::default());
    while let Some(chunk) = pool.next_withdrawn() {
        pool.gone(chunk);
    }
    if let Some(chunk) = pool.grow() {
        pool.prepared(chunk);
    }
    while let Some(notice) = pool.next_notice() {
        pool.told(notice);
    }
    assert_eq!(pool.sent(), 0);
    assert_eq!(pool.free(), u16::from(pool.mapped()) * CHUNK_PAGES);
}
