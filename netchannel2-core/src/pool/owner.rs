// SPDX-License-Identifier: GPL-2.0 OR MIT

//! This side's own pool: which slots are free, and which the peer may still read.

mod chunks;

pub use self::chunks::Notice;

use core::ops::DerefMut;

use self::chunks::State;
use super::{
    ChunkCount,
    PoolSlot,
    MAX_CHUNKS, //
};
use crate::units::RingIndex;

/// What is kept of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotEntry {
    /// The next slot of the list that this one is in.
    next: u16,
    /// Where the message ends that names the slot.
    end: RingIndex,
}

/// This side's pool.
///
/// Slots are used last in, first out, so that few pages stay in the processors' caches; those in
/// messages are in a queue, as the peer gives the places of messages back in their order.
///
/// # Invariants
///
/// * Every slot of a mapped chunk is in one of three lists through `entries`: `free` ones from
///   `free_head`, `taken` ones from `taken_head`, and `sent` ones from `sent_head` to `sent_tail`.
///   The lists of the last two may hold slots of draining chunks too, which count them.
/// * `mapped` counts the mapped chunks, and `present` those that are not absent.
#[derive(Debug)]
pub struct OwnPool<S> {
    entries: S,
    chunks: [State; MAX_CHUNKS as usize],
    limit: ChunkCount,
    mapped: u8,
    present: u8,
    free_head: u16,
    free: u16,
    taken_head: u16,
    taken_tail: u16,
    taken: u16,
    sent_head: u16,
    sent_tail: u16,
    sent: u16,
    /// The fewest that were free since [`Self::shrink`] looked.
    fewest_free: u16,
    /// A packet has found too few free slots.
    is_short: bool,
}

impl<S: DerefMut<Target = [SlotEntry]>> OwnPool<S> {
    /// Makes a pool without chunks, which grows to `limit` of them at most, or as many as
    /// `entries` has places for their slots.
    pub fn new(entries: S, limit: ChunkCount) -> Self {
        // INVARIANT: There are no chunks and all lists are empty.
        Self {
            entries,
            chunks: [State::Absent; MAX_CHUNKS as usize],
            limit,
            mapped: 0,
            present: 0,
            free_head: 0,
            free: 0,
            taken_head: 0,
            taken_tail: 0,
            taken: 0,
            sent_head: 0,
            sent_tail: 0,
            sent: 0,
            fewest_free: 0,
            is_short: false,
        }
    }

    /// Returns how many slots are free.
    pub const fn free(&self) -> u16 {
        self.free
    }

    /// Returns how many slots are in messages that the peer may still read.
    pub const fn sent(&self) -> u16 {
        self.sent
    }

    /// Returns how many chunks are in use.
    pub const fn mapped(&self) -> u8 {
        self.mapped
    }

    /// Takes `count` free slots, [`Self::taken`], or none if there are fewer.
    ///
    /// They are given back by [`Self::cancel`], or sent by [`Self::commit`], before more are taken.
    #[inline]
    pub fn take(&mut self, count: u16) -> Option<()> {
        if count > self.free || count == 0 || self.taken != 0 {
            self.is_short |= count > self.free;
            return None;
        }
        let first = self.free_head;
        let mut last = first;
        for _ in 1..count {
            last = self.next(last);
        }
        // INVARIANT: The first `count` slots of the free list become the taken ones.
        self.free_head = self.next(last);
        self.free = self.free.wrapping_sub(count);
        self.taken_head = first;
        self.taken_tail = last;
        self.taken = count;
        if self.free < self.fewest_free {
            self.fewest_free = self.free;
        }
        Some(())
    }

    /// Iterates over the slots that [`Self::take`] took.
    #[inline]
    pub fn taken(&self) -> impl Iterator<Item = PoolSlot> + '_ {
        let mut next = self.taken_head;
        (0..self.taken).map_while(move |_| {
            let slot = PoolSlot::new(next.into())?;
            next = self.next(next);
            Some(slot)
        })
    }

    /// Gives the slots back that were taken, and not sent.
    pub fn cancel(&mut self) {
        if self.taken == 0 {
            return;
        }
        let (head, tail) = (self.free_head, self.taken_tail);
        if let Some(entry) = self.entries.get_mut(usize::from(tail)) {
            entry.next = head;
        }
        // INVARIANT: The taken slots are at the head of the free ones.
        self.free_head = self.taken_head;
        self.free = self.free.wrapping_add(self.taken);
        self.taken = 0;
    }

    /// Takes note that the taken slots are in a message that ends at `end`.
    #[inline]
    pub fn commit(&mut self, end: RingIndex) {
        let mut slot = self.taken_head;
        for _ in 0..self.taken {
            let Some(entry) = self.entries.get_mut(usize::from(slot)) else {
                return;
            };
            entry.end = end;
            slot = entry.next;
        }
        // INVARIANT: The taken slots are at the tail of the sent ones.
        if self.sent == 0 {
            self.sent_head = self.taken_head;
        } else {
            let (head, tail) = (self.taken_head, self.sent_tail);
            if let Some(entry) = self.entries.get_mut(usize::from(tail)) {
                entry.next = head;
            }
        }
        self.sent_tail = self.taken_tail;
        self.sent = self.sent.wrapping_add(self.taken);
        self.taken = 0;
    }

    /// Takes the slots back whose messages the peer has consumed, in a ring that was produced up
    /// to `produced`.
    #[inline]
    pub fn reap(&mut self, consumed: RingIndex, produced: RingIndex) {
        let unread = produced.distance(consumed);
        while self.sent > 0 {
            let slot = self.sent_head;
            let Some(entry) = self.entries.get(usize::from(slot)).copied() else {
                return;
            };
            if produced.distance(entry.end) < unread {
                return;
            }
            // INVARIANT: The slot leaves the sent ones, and goes where its chunk is.
            self.sent_head = entry.next;
            self.sent = self.sent.wrapping_sub(1);
            self.put(slot);
        }
    }

    /// Takes back a slot that is in no list.
    #[inline]
    fn put(&mut self, slot: u16) {
        let Some(chunk) = PoolSlot::new(slot.into()).map(PoolSlot::chunk) else {
            return;
        };
        match self.chunks.get_mut(chunk.as_usize()) {
            Some(State::Draining(left)) => *left = left.saturating_sub(1),
            _ => self.push(slot),
        }
    }

    #[inline]
    fn push(&mut self, slot: u16) {
        let head = self.free_head;
        if let Some(entry) = self.entries.get_mut(usize::from(slot)) {
            entry.next = head;
            self.free_head = slot;
            self.free = self.free.wrapping_add(1);
        }
    }

    #[inline]
    fn next(&self, slot: u16) -> u16 {
        self.entries
            .get(usize::from(slot))
            .map_or(0, |entry| entry.next)
    }
}
