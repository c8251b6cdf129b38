// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The grant cache: which chunks of its guests a driver domain keeps mapped.
//!
//! A chunk of a guest's pool is mapped once and serves packet after packet; that is the cache, and
//! [`crate::pool`] is how it is filled. What is here bounds it:
//!
//! * [`Places`] counts the chunks that are mapped, over all guests, against a limit;
//! * [`Tenancy`] knows for how long each chunk of one guest has not been used, and which were asked
//!   back;
//! * [`victim`] chooses the chunk that has to make room for another guest's.
//!
//! Time is in ticks of some seconds, see [`Ticks`]: a packet sets a bit and no more.

mod tenancy;
mod victim;

pub use self::{
    tenancy::Tenancy,
    victim::{
        victim,
        Claim,
        Standing, //
    },
};

use crate::pool::{
    ChunkIndex,
    CHUNK_PAGES, //
};

/// A number of ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u16);

impl Ticks {
    /// None, or less than one.
    pub const ZERO: Self = Self(0);

    /// One.
    pub const ONE: Self = Self(1);

    /// Since its last use, after which a chunk was not used for one whole tick and more.
    pub const IDLE: Self = Self(2);

    /// Makes a number of ticks.
    pub const fn new(ticks: u16) -> Self {
        Self(ticks)
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns one tick more; the largest number stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A set of chunks of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkSet(u32);

static_assertions::const_assert!(crate::pool::MAX_CHUNKS as u32 <= u32::BITS);

impl ChunkSet {
    /// No chunk.
    pub const EMPTY: Self = Self(0);

    /// Adds a chunk.
    #[inline]
    pub fn insert(&mut self, chunk: ChunkIndex) {
        self.0 |= Self::bit(chunk);
    }

    /// Takes a chunk out.
    pub fn remove(&mut self, chunk: ChunkIndex) {
        self.0 &= !Self::bit(chunk);
    }

    /// Says whether a chunk is in the set.
    pub const fn contains(self, chunk: ChunkIndex) -> bool {
        self.0 & Self::bit(chunk) != 0
    }

    /// Counts the chunks.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Iterates over the chunks, the first ones first.
    pub fn iter(self) -> impl Iterator<Item = ChunkIndex> {
        ChunkIndex::all().filter(move |chunk| self.contains(*chunk))
    }

    // Of a number below 32, by the invariant of the index.
    #[inline]
    const fn bit(chunk: ChunkIndex) -> u32 {
        1_u32.wrapping_shl(chunk.get() as u32)
    }
}

/// The most chunks that may be mapped at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimit(u32);

impl CacheLimit {
    /// No chunk may be mapped.
    pub const ZERO: Self = Self(0);

    /// Counts the whole chunks that `pages` pages hold.
    pub const fn for_pages(pages: u32) -> Self {
        // CAST: Wider.
        Self(pages / CHUNK_PAGES as u32)
    }

    /// Returns the number of chunks.
    pub const fn chunks(self) -> u32 {
        self.0
    }
}

/// The places of the cache.
///
/// # Invariants
///
/// `taken` is at most `limit`.
#[derive(Debug)]
pub struct Places {
    limit: CacheLimit,
    taken: u32,
}

impl Places {
    /// Makes `limit` places, all free.
    pub const fn new(limit: CacheLimit) -> Self {
        // INVARIANT: None is taken.
        Self { limit, taken: 0 }
    }

    /// Takes a place for a guest that has `share` chunks, before another is mapped.
    ///
    /// `waiting` are the shares of other guests that were refused a short time ago: those that have
    /// less come first. Returns [`None`] if there is no place for this guest.
    pub fn take(&mut self, share: u32, waiting: impl Iterator<Item = u32>) -> Option<()> {
        let free = self.limit.chunks().saturating_sub(self.taken);
        let ahead = waiting.filter(|other| *other < share).count();
        if usize::try_from(free).is_ok_and(|free| free <= ahead) {
            return None;
        }
        // INVARIANT: One is free at least.
        self.taken = self.taken.wrapping_add(1);
        Some(())
    }

    /// Gives a place back, after the chunk was unmapped.
    pub fn release(&mut self) {
        // INVARIANT: One fewer.
        self.taken = self.taken.saturating_sub(1);
    }

    /// Returns how many places are taken.
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// Returns how many places there are.
    pub const fn limit(&self) -> CacheLimit {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use core::iter::empty;

    use super::*;

    #[test]
    fn pages_make_whole_chunks() {
        assert_eq!(CacheLimit::for_pages(0), CacheLimit::ZERO);
        assert_eq!(CacheLimit::for_pages(31), CacheLimit::ZERO);
        assert_eq!(CacheLimit::for_pages(16384).chunks(), 512);
        assert_eq!(CacheLimit::for_pages(u32::MAX).chunks(), u32::MAX / 32);
    }

    #[test]
    fn there_are_no_more_places_than_the_limit() {
        let mut places = Places::new(CacheLimit::for_pages(64));
        let take = |places: &mut Places| places.take(0, empty());
        assert_eq!(take(&mut places), Some(()));
        assert_eq!(take(&mut places), Some(()));
        assert_eq!(take(&mut places), None);
        places.release();
        assert_eq!(places.taken(), 1);
        assert_eq!(take(&mut places), Some(()));
        assert_eq!(take(&mut Places::new(CacheLimit::ZERO)), None);
    }

    #[test]
    fn a_guest_that_waits_with_less_comes_first() {
        let mut places = Places::new(CacheLimit::for_pages(64));
        assert_eq!(places.take(1, [0, 0].into_iter()), None);
        assert_eq!(places.take(1, [0, 1].into_iter()), Some(()));
        assert_eq!(places.take(1, [0].into_iter()), None);
        assert_eq!(places.take(0, [0].into_iter()), Some(()));
    }

    #[test]
    fn a_set_holds_every_chunk() {
        let mut set = ChunkSet::EMPTY;
        for chunk in ChunkIndex::all() {
            assert!(!set.contains(chunk));
            set.insert(chunk);
            assert!(set.contains(chunk));
        }
        assert_eq!(set.count(), 32);
        for chunk in ChunkIndex::all() {
            set.remove(chunk);
            assert!(set.iter().all(|other| other != chunk));
        }
        assert_eq!(set, ChunkSet::EMPTY);
    }
}
