// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How this side's pool grows and shrinks.

use core::ops::DerefMut;

use super::{
    super::{
        ChunkIndex,
        PoolSlot,
        CHUNK_PAGES, //
    },
    OwnPool,
    SlotEntry, //
};
use crate::{
    error::Violation,
    wire::{
        Kind,
        PoolAnswer, //
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
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

impl<S: DerefMut<Target = [SlotEntry]>> OwnPool<S> {
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
