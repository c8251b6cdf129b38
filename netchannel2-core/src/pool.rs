// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Staged memory: pages that one side grants once and the other maps once.
//!
//! Each side may have a pool, which it alone writes and its peer alone reads. A packet is copied
//! into slots of the pool, its message names the slots, and the peer copies it out: no grant
//! operation and no hypercall for any packet. The slots are the owner's again when the peer gives
//! the place of the message back.
//!
//! A pool grows and shrinks by chunks of [`CHUNK_PAGES`] pages:
//!
//! | the owner ([`OwnPool`]) | the peer ([`Borrowed`]) |
//! |---|---|
//! | POOL_ADD: here is a chunk | POOL_ANSWER mapped, or refused |
//! | | POOL_ANSWER give-back: please drop it |
//! | POOL_DROP: no message names it any more | POOL_ANSWER dropped: it is not mapped any more |

mod borrowed;
mod owner;

pub use self::{
    borrowed::Borrowed,
    owner::{
        Notice,
        OwnPool,
        SlotEntry, //
    },
};

use core::fmt;

use crate::{
    error::Violation,
    grant::PageName, //
};

/// The pages of a chunk; a slot is a page.
pub const CHUNK_PAGES: u16 = 32;

/// The most chunks of a pool.
pub const MAX_CHUNKS: u8 = 32;

/// The most slots of a pool.
pub const MAX_SLOTS: u16 = CHUNK_PAGES * MAX_CHUNKS as u16;

/// Identifies a chunk of a pool; the first is 0.
///
/// # Invariants
///
/// Is below [`MAX_CHUNKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkIndex(u8);

impl ChunkIndex {
    /// Names the chunk `index`, or returns [`None`] where it is not below [`MAX_CHUNKS`].
    #[inline]
    pub const fn new(index: u8) -> Option<Self> {
        if index >= MAX_CHUNKS {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(index))
    }

    /// Returns the number on the wire.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the number as an index.
    #[inline]
    pub fn as_usize(self) -> usize {
        usize::from(self.0)
    }

    /// Iterates over all chunks.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        // INVARIANT: They are below the bound.
        (0..MAX_CHUNKS).map(Self)
    }

    /// Iterates over the chunk's slots.
    pub fn slots(self) -> impl Iterator<Item = PoolSlot> {
        let first = u16::from(self.0).wrapping_mul(CHUNK_PAGES);
        // INVARIANT: The chunk is below its bound, so the slots are below theirs.
        (0..CHUNK_PAGES).map(move |page| PoolSlot(first.wrapping_add(page)))
    }
}

/// Identifies a slot of a pool, a page of one of its chunks; the first is 0.
///
/// # Invariants
///
/// Is below [`MAX_SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolSlot(u16);

impl PoolSlot {
    /// The first slot.
    // INVARIANT: Zero is below the bound.
    pub const FIRST: Self = Self(0);

    /// Names the slot `slot`, or returns [`None`] where it is not below [`MAX_SLOTS`].
    #[inline]
    pub const fn new(slot: u32) -> Option<Self> {
        // CAST: Wider; then lossless, as checked.
        if slot >= MAX_SLOTS as u32 {
            return None;
        }
        // INVARIANT: Checked above.
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        Some(Self(slot as u16))
    }

    /// Returns the number on the wire.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the chunk that the slot is a page of.
    #[inline]
    pub const fn chunk(self) -> ChunkIndex {
        // INVARIANT: By that of `self`.
        #[expect(clippy::cast_possible_truncation, reason = "below MAX_CHUNKS")]
        ChunkIndex((self.0 / CHUNK_PAGES) as u8)
    }

    /// Returns which page of its chunk the slot is.
    #[inline]
    pub const fn page(self) -> usize {
        // CAST: Wider.
        (self.0 % CHUNK_PAGES) as usize
    }
}

impl PageName for PoolSlot {
    const FILLER: Self = Self::FIRST;

    #[inline]
    fn to_wire(self) -> u32 {
        self.0.into()
    }

    #[inline]
    fn from_wire(fragment: u8, slot: u32) -> Result<Self, Violation> {
        Self::new(slot).ok_or(Violation::FragmentSlot { fragment, slot })
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PoolSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many chunks a pool may have.
///
/// # Invariants
///
/// Is at most [`MAX_CHUNKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkCount(u8);

impl ChunkCount {
    /// No pool at all.
    // INVARIANT: Zero is within the bound.
    pub const ZERO: Self = Self(0);

    /// The largest pool.
    // INVARIANT: The bound itself.
    pub const MAX: Self = Self(MAX_CHUNKS);

    /// Counts the chunks that hold at most `pages` pages, or returns [`None`] for more than
    /// [`MAX_SLOTS`].
    pub const fn for_pages(pages: u16) -> Option<Self> {
        if pages > MAX_SLOTS {
            return None;
        }
        // INVARIANT: Checked above.
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_CHUNKS")]
        Some(Self((pages / CHUNK_PAGES) as u8))
    }

    /// Returns the number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns how many slots so many chunks have.
    pub fn slots(self) -> u16 {
        u16::from(self.0).wrapping_mul(CHUNK_PAGES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_belong_to_their_chunk() {
        for chunk in ChunkIndex::all() {
            for (page, slot) in chunk.slots().enumerate() {
                assert_eq!((slot.chunk(), slot.page()), (chunk, page));
                assert_eq!(PoolSlot::new(slot.get().into()), Some(slot));
            }
        }
        assert_eq!(ChunkIndex::new(MAX_CHUNKS), None);
        assert_eq!(PoolSlot::new(MAX_SLOTS.into()), None);
    }

    #[test]
    fn pages_make_whole_chunks() {
        let chunks = |pages| ChunkCount::for_pages(pages).map(ChunkCount::get);
        assert_eq!(chunks(0), Some(0));
        assert_eq!(chunks(31), Some(0));
        assert_eq!(chunks(32), Some(1));
        assert_eq!(chunks(1024), Some(32));
        assert_eq!(chunks(1025), None);
    }
}
