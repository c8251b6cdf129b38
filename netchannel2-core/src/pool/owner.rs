// SPDX-License-Identifier: GPL-2.0 OR MIT

//! This side's own pool: which slots are free, and which the peer may still read.

use core::ops::DerefMut;

use super::{
    ChunkCount,
    ChunkIndex,
    PoolSlot,
    CHUNK_PAGES,
    MAX_CHUNKS, //
};
use crate::{
    error::Violation,
    units::RingIndex,
    wire::{
        Kind,
        PoolAnswer, //
    },
};

/// What is kept of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotEntry {
    /// The next slot of the list that this one is in.
    next: u16,
    /// Where the message ends that names the slot.
    end: RingIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There are no pages.
    Absent,
    /// The driver makes pages.
    Preparing,
    /// There are pages, to be offered.
    Prepared,
    /// The peer has not answered the offer.
    Offered,
    /// In use.
    Mapped,
    /// Not to be used any more; so many slots are in messages still.
    Draining(u16),
    /// The peer is told that the chunk is not used any more, and has not answered.
    Dropped,
    /// The peer has no access, and the driver may free the pages.
    Withdrawn,
}

/// What the peer is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// POOL_ADD, with the references of the chunk's pages.
    Add(ChunkIndex),
    /// POOL_DROP.
    Drop(ChunkIndex),
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

    /// Says whether a packet has found too few slots, and there may be another chunk.
    pub fn wants_to_grow(&self) -> bool {
        // One at a time, the first at once.
        (self.is_short || self.present == 0)
            && self.present == self.mapped
            && self.absent().is_some()
    }

    /// Begins to grow: the driver makes pages for the chunk, and says [`Self::prepared`].
    pub fn grow(&mut self) -> Option<ChunkIndex> {
        if !self.wants_to_grow() {
            return None;
        }
        let chunk = self.absent()?;
        self.is_short = false;
        // INVARIANT: One more is not absent.
        self.present = self.present.wrapping_add(1);
        self.set(chunk, State::Preparing);
        Some(chunk)
    }

    /// Says that the chunk has pages, which the peer may map once it is told.
    pub fn prepared(&mut self, chunk: ChunkIndex) {
        if self.state(chunk) == State::Preparing {
            self.set(chunk, State::Prepared);
        }
    }

    /// Says that the chunk has no pages: it was not to be had, or [`Self::next_withdrawn`].
    pub fn gone(&mut self, chunk: ChunkIndex) {
        if matches!(self.state(chunk), State::Preparing | State::Withdrawn) {
            // INVARIANT: One more is absent.
            self.present = self.present.wrapping_sub(1);
            self.set(chunk, State::Absent);
        }
    }

    /// Returns what the peer is to be told next; [`Self::told`] says that it is.
    pub fn next_notice(&self) -> Option<Notice> {
        if self.present == self.mapped {
            return None;
        }
        ChunkIndex::all().find_map(|chunk| match self.state(chunk) {
            State::Prepared => Some(Notice::Add(chunk)),
            State::Draining(0) => Some(Notice::Drop(chunk)),
            _ => None,
        })
    }

    /// Says that the message of `notice` is in the ring.
    pub fn told(&mut self, notice: Notice) {
        match notice {
            Notice::Add(chunk) => self.set(chunk, State::Offered),
            Notice::Drop(chunk) => self.set(chunk, State::Dropped),
        }
    }

    /// Takes note of what the peer answers.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PoolState`] if there is nothing to answer so.
    pub fn on_answer(&mut self, chunk: ChunkIndex, answer: PoolAnswer) -> Result<(), Violation> {
        match (answer, self.state(chunk)) {
            (PoolAnswer::Mapped, State::Offered) => self.enter(chunk),
            (PoolAnswer::Refused, State::Offered) | (PoolAnswer::Dropped, State::Dropped) => {
                self.set(chunk, State::Withdrawn);
            }
            (PoolAnswer::GiveBack, State::Mapped) => self.drain(chunk),
            // It goes already.
            (PoolAnswer::GiveBack, State::Draining(_) | State::Dropped) => {}
            _ => {
                return Err(Violation::PoolState {
                    kind: Kind::PoolAnswer.to_wire(),
                    chunk: chunk.get(),
                })
            }
        }
        Ok(())
    }

    /// Returns a chunk that the peer has no access to any more; the driver frees the pages and
    /// says [`Self::gone`].
    pub fn next_withdrawn(&self) -> Option<ChunkIndex> {
        if self.present == self.mapped {
            return None;
        }
        ChunkIndex::all().find(|chunk| self.state(*chunk) == State::Withdrawn)
    }

    /// Begins to give up a chunk, if one has not been needed since the last call, and the pool
    /// has another.
    ///
    /// The peer is to be told, see [`Self::next_notice`].
    pub fn shrink(&mut self) {
        let fewest = core::mem::replace(&mut self.fewest_free, self.free);
        if fewest < CHUNK_PAGES || self.mapped < 2 || self.present != self.mapped {
            return;
        }
        let last = ChunkIndex::all()
            .filter(|chunk| self.state(*chunk) == State::Mapped)
            .last();
        if let Some(chunk) = last {
            // A packet that found too few slots did so long ago, when there could be no more.
            self.is_short = false;
            self.drain(chunk);
        }
    }

    /// Begins to give up all chunks that were not needed since [`Self::shrink`] looked last, and
    /// returns how many they are.
    ///
    /// The peer is to be told, see [`Self::next_notice`].
    pub fn relieve(&mut self) -> u8 {
        let spare = self.fewest_free.min(self.free) / CHUNK_PAGES;
        let mut given = 0_u8;
        for chunk in ChunkIndex::all().rev() {
            if u16::from(given) < spare && self.state(chunk) == State::Mapped {
                self.drain(chunk);
                given = given.wrapping_add(1);
            }
        }
        if given > 0 {
            self.is_short = false;
        }
        given
    }

    /// Returns the chunk that would be next, if the limit allows one.
    fn absent(&self) -> Option<ChunkIndex> {
        if self.present >= self.limit.get() {
            return None;
        }
        let places = self.entries.len();
        ChunkIndex::all()
            .take_while(|chunk| {
                usize::from(CHUNK_PAGES).saturating_mul(chunk.as_usize().saturating_add(1))
                    <= places
            })
            .find(|chunk| self.state(*chunk) == State::Absent)
    }

    /// Puts a chunk into use.
    fn enter(&mut self, chunk: ChunkIndex) {
        self.set(chunk, State::Mapped);
        for slot in chunk.slots() {
            self.put(slot.get());
        }
        // INVARIANT: All of its slots are free.
        self.mapped = self.mapped.wrapping_add(1);
        // A new chunk has a whole period to be needed in.
        self.fewest_free = 0;
    }

    /// Takes a mapped chunk's free slots out of the list.
    fn drain(&mut self, chunk: ChunkIndex) {
        let (mut slot, count) = (self.free_head, self.free);
        let mut left = CHUNK_PAGES;
        self.free = 0;
        // INVARIANT: The list is made anew, of the slots of other chunks.
        for _ in 0..count {
            let next = self.next(slot);
            if PoolSlot::new(slot.into()).map(PoolSlot::chunk) == Some(chunk) {
                left = left.wrapping_sub(1);
            } else {
                self.push(slot);
            }
            slot = next;
        }
        // INVARIANT: One mapped chunk fewer.
        self.mapped = self.mapped.wrapping_sub(1);
        self.fewest_free = self.free;
        self.set(chunk, State::Draining(left));
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

    fn state(&self, chunk: ChunkIndex) -> State {
        // In bounds by the invariant of the index.
        self.chunks
            .get(chunk.as_usize())
            .copied()
            .unwrap_or(State::Absent)
    }

    fn set(&mut self, chunk: ChunkIndex, state: State) {
        if let Some(place) = self.chunks.get_mut(chunk.as_usize()) {
            *place = state;
        }
    }
}
