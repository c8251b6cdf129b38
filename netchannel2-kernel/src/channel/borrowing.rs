// SPDX-License-Identifier: GPL-2.0

//! The peer's pool: pages that are mapped here, and packets that are copied out of them.

use crate::{
    cache::Permit,
    grant::{
        Access,
        ForeignBytes,
        MappedPages, //
    },
    net::ReceiveBuffer, //
};
use kernel::prelude::*;
use netchannel2_core::{
    cache::{
        ChunkSet,
        Standing,
        Tenancy,
        Ticks, //
    },
    grant::Fragment,
    pool::{
        ChunkIndex,
        PoolSlot,
        CHUNK_PAGES,
        MAX_CHUNKS, //
    },
    units::DomId,
    wire::{
        PoolAdd,
        PoolAnswer, //
    },
};

/// How many chunks are mapped from one tick to the next: all that there are, twice. A peer that offers
/// and drops chunks in circles does not keep a thread of this side mapping and unmapping.
const MAPS: u8 = 2 * MAX_CHUNKS;

/// A chunk that is mapped, and leave to have it so.
pub(super) struct Mapping {
    pages: MappedPages,
    /// Given back when the pages are unmapped.
    _permit: Permit,
}

/// The peer's chunks, and what is to be done about them where one may sleep.
pub(super) struct Borrowing {
    /// By chunk: those that are mapped.
    chunks: KVec<Option<Mapping>>,
    /// How those are used of which the peer knows that they are mapped.
    tenancy: Tenancy,
    /// At most one for each chunk, as the peer waits for the answer.
    chores: KVec<Chore>,
    /// How many more may be mapped before the next tick.
    maps: u8,
    counters: CacheCounters,
}

/// What is counted of the peer's chunks.
#[derive(Clone, Copy, Default)]
pub(super) struct CacheCounters {
    /// Chunks that the peer offered and this side did not map.
    pub(super) refused: u64,
    /// Chunks that were asked back for another guest's.
    pub(super) evicted: u64,
    /// Chunks that were asked back because memory was short.
    pub(super) reclaimed: u64,
    /// Chunks that the peer did not give back in time, and that were taken away.
    pub(super) late: u64,
    /// Packets in chunks that were taken away.
    pub(super) lost: u64,
}

/// What [`super::Channel::tend`] is to do.
pub(super) enum Chore {
    /// Map the pages of a chunk.
    Map(PoolAdd),
    /// Refuse one, as many were mapped since the last tick.
    Refuse(ChunkIndex),
    /// Unmap those of a chunk that no packet names any more, if that was not done before.
    Unmap(ChunkIndex, Option<Mapping>),
}

impl Borrowing {
    pub(super) fn new() -> Result<Self> {
        let mut chunks = KVec::with_capacity(usize::from(MAX_CHUNKS), GFP_KERNEL)?;

        for _ in 0..MAX_CHUNKS {
            chunks.push(None, GFP_KERNEL)?;
        }
        Ok(Self {
            chunks,
            tenancy: Tenancy::new(),
            chores: KVec::with_capacity(usize::from(MAX_CHUNKS), GFP_KERNEL)?,
            maps: MAPS,
            counters: CacheCounters::default(),
        })
    }

    /// Returns how many of the peer's pages are mapped.
    pub(super) fn pages(&self) -> u64 {
        self.chunks.iter().flatten().count() as u64 * u64::from(CHUNK_PAGES)
    }

    /// Returns what the peer has of the cache.
    pub(super) fn standing(&self) -> Standing {
        Standing::from(&self.tenancy)
    }

    /// Whether the peer may be asked for a chunk.
    pub(super) fn may_ask(&self, chunk: ChunkIndex) -> bool {
        self.tenancy.not_asked().contains(chunk)
    }

    /// Which chunks are used how.
    pub(super) fn tenancy(&mut self) -> &mut Tenancy {
        &mut self.tenancy
    }

    pub(super) fn counters(&mut self) -> &mut CacheCounters {
        &mut self.counters
    }

    pub(super) fn counted(&self) -> CacheCounters {
        self.counters
    }

    /// Whether nothing is mapped, and nothing is to be.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.iter().all(Option::is_none) && self.chores.is_empty()
    }

    /// Takes a mapped chunk out, though packets may name it still: those are lost until the peer
    /// drops it.
    pub(super) fn take_any(&mut self) -> Option<Mapping> {
        let dropped = self.chores.iter_mut().find_map(|chore| match chore {
            Chore::Unmap(_, mapping) => mapping.take(),
            Chore::Map(_) | Chore::Refuse(_) => None,
        });

        dropped.or_else(|| self.chunks.iter_mut().find_map(Option::take))
    }

    /// Returns the chunks that were taken away though the peer could not be asked for them: it uses
    /// them until it is.
    pub(super) fn not_asked(&self) -> ChunkSet {
        let mut chunks = ChunkSet::EMPTY;

        for chunk in self.tenancy.not_asked().iter() {
            if let Some(None) = self.chunks.get(chunk.as_usize()) {
                chunks.insert(chunk);
            }
        }
        chunks
    }

    /// Takes out a chunk that was asked back `patience` ago or longer: packets that name it are
    /// lost until the peer drops it.
    pub(super) fn take_overdue(&mut self, patience: Ticks) -> Option<Mapping> {
        loop {
            let chunk = self.tenancy.overdue(patience)?;

            self.tenancy.leave(chunk);
            if let Some(mapping) = self.take_out(chunk) {
                self.counters.late += 1;
                return Some(mapping);
            }
        }
    }

    /// Whether there is a [`Chore`].
    #[inline]
    pub(super) fn needs_tending(&self) -> bool {
        !self.chores.is_empty()
    }

    /// Takes a chore.
    pub(super) fn next_chore(&mut self) -> Option<Chore> {
        let chore = self.chores.pop()?;
        let Chore::Map(add) = &chore else {
            return Some(chore);
        };

        match self.maps.checked_sub(1) {
            Some(rest) => {
                self.maps = rest;
                Some(chore)
            }
            None => Some(Chore::Refuse(add.chunk)),
        }
    }

    /// Lets a tick pass.
    pub(super) fn tick(&mut self) {
        self.tenancy.tick();
        self.maps = MAPS;
    }

    /// Has a chunk mapped.
    pub(super) fn add(&mut self, add: &PoolAdd) {
        // There is a place for each chunk, and the core has refused a second one.
        let _ = self.chores.push_within_capacity(Chore::Map(*add));
    }

    /// Has a chunk unmapped.
    pub(super) fn drop_chunk(&mut self, chunk: ChunkIndex) {
        let mapping = self.take_out(chunk);

        self.tenancy.leave(chunk);
        // The peer waits for the answer even if the chunk was taken away before.
        let _ = self
            .chores
            .push_within_capacity(Chore::Unmap(chunk, mapping));
    }

    /// Takes note that a chunk is mapped.
    pub(super) fn mapped(&mut self, chunk: ChunkIndex, mapping: Mapping) {
        if let Some(place) = self.chunks.get_mut(chunk.as_usize()) {
            *place = Some(mapping);
        }
    }

    /// Takes note of what the peer is told of a chunk.
    pub(super) fn told(&mut self, chunk: ChunkIndex, answer: PoolAnswer) {
        match answer {
            PoolAnswer::Mapped => self.tenancy.enter(chunk),
            PoolAnswer::Refused => self.counters.refused += 1,
            PoolAnswer::GiveBack => self.tenancy.ask(chunk),
            PoolAnswer::Dropped => {}
        }
    }

    /// Copies a packet out of its slots.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the slots are not mapped any more; the core has checked that they were.
    #[inline]
    pub(super) fn copy(
        &mut self,
        fragments: &[Fragment<PoolSlot>],
        into: &mut ReceiveBuffer,
    ) -> Result {
        for fragment in fragments {
            self.tenancy.touch(fragment.page().chunk());
            let Some(bytes) = self.bytes(fragment) else {
                self.counters.lost += 1;
                return Err(EINVAL);
            };

            into.append(bytes)?;
        }
        Ok(())
    }

    fn take_out(&mut self, chunk: ChunkIndex) -> Option<Mapping> {
        self.chunks.get_mut(chunk.as_usize()).and_then(Option::take)
    }

    #[inline]
    fn bytes(&self, fragment: &Fragment<PoolSlot>) -> Option<ForeignBytes<'_>> {
        let slot = fragment.page();

        self.chunks
            .get(slot.chunk().as_usize())?
            .as_ref()?
            .pages
            .bytes(slot.page(), fragment.offset(), fragment.length())
    }
}

/// Maps the pages of a chunk, for which there is leave; may sleep.
///
/// # Errors
///
/// `ENOMEM`; `ENOSPC` if Xen has no room; `EACCES` if it refuses one.
pub(super) fn map(peer: DomId, add: &PoolAdd, permit: Permit) -> Result<Mapping> {
    Ok(Mapping {
        pages: MappedPages::new(peer, &add.references, Access::Read)?,
        _permit: permit,
    })
}
