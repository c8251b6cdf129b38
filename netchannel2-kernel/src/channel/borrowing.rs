// SPDX-License-Identifier: GPL-2.0

//! The peer's pool: pages that are mapped here, and packets that are copied out of them.

use crate::{
    grant::{
        Access,
        ForeignBytes,
        MappedPages, //
    },
    net::ReceiveBuffer, //
};
use kernel::prelude::*;
use netchannel2_core::{
    grant::Fragment,
    pool::{
        ChunkIndex,
        PoolSlot,
        CHUNK_PAGES,
        MAX_CHUNKS, //
    },
    units::DomId,
    wire::PoolAdd, //
};

/// The peer's chunks, and what is to be done about them where one may sleep.
pub(super) struct Borrowing {
    /// By chunk: those that are mapped.
    chunks: KVec<Option<MappedPages>>,
    /// At most one for each chunk, as the peer waits for the answer.
    chores: KVec<Chore>,
}

/// What [`super::Channel::tend`] is to do.
pub(super) enum Chore {
    /// Map the pages of a chunk.
    Map(PoolAdd),
    /// Unmap those of a chunk that no packet names any more.
    Unmap(ChunkIndex, MappedPages),
}

impl Borrowing {
    pub(super) fn new() -> Result<Self> {
        let mut chunks = KVec::with_capacity(usize::from(MAX_CHUNKS), GFP_KERNEL)?;

        for _ in 0..MAX_CHUNKS {
            chunks.push(None, GFP_KERNEL)?;
        }
        Ok(Self {
            chunks,
            chores: KVec::with_capacity(usize::from(MAX_CHUNKS), GFP_KERNEL)?,
        })
    }

    /// Returns how many of the peer's pages are mapped.
    pub(super) fn pages(&self) -> u64 {
        self.chunks.iter().flatten().count() as u64 * u64::from(CHUNK_PAGES)
    }

    /// Iterates over the chunks that are mapped.
    pub(super) fn chunks(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        ChunkIndex::all().filter(|chunk| {
            self.chunks
                .get(chunk.as_usize())
                .is_some_and(Option::is_some)
        })
    }

    /// Takes a mapped chunk out, though packets may name it still: those are lost.
    pub(super) fn take_any(&mut self) -> Option<MappedPages> {
        self.chunks.iter_mut().find_map(Option::take)
    }

    /// Whether there is a [`Chore`].
    #[inline]
    pub(super) fn needs_tending(&self) -> bool {
        !self.chores.is_empty()
    }

    /// Takes a chore.
    pub(super) fn next_chore(&mut self) -> Option<Chore> {
        self.chores.pop()
    }

    /// Has a chunk mapped.
    pub(super) fn add(&mut self, add: &PoolAdd) {
        // There is a place for each chunk, and the core has refused a second one.
        let _ = self.chores.push_within_capacity(Chore::Map(*add));
    }

    /// Has a chunk unmapped.
    pub(super) fn drop_chunk(&mut self, chunk: ChunkIndex) {
        let pages = self.chunks.get_mut(chunk.as_usize()).and_then(Option::take);

        if let Some(pages) = pages {
            let _ = self.chores.push_within_capacity(Chore::Unmap(chunk, pages));
        }
    }

    /// Takes note that a chunk is mapped.
    pub(super) fn mapped(&mut self, chunk: ChunkIndex, pages: MappedPages) {
        if let Some(place) = self.chunks.get_mut(chunk.as_usize()) {
            *place = Some(pages);
        }
    }

    /// Copies a packet out of its slots.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the slots are not mapped, which the core has checked.
    #[inline]
    pub(super) fn copy(
        &self,
        fragments: &[Fragment<PoolSlot>],
        into: &mut ReceiveBuffer,
    ) -> Result {
        for fragment in fragments {
            into.append(self.bytes(fragment).ok_or(EINVAL)?)?;
        }
        Ok(())
    }

    #[inline]
    fn bytes(&self, fragment: &Fragment<PoolSlot>) -> Option<ForeignBytes<'_>> {
        let slot = fragment.page();

        self.chunks.get(slot.chunk().as_usize())?.as_ref()?.bytes(
            slot.page(),
            fragment.offset(),
            fragment.length(),
        )
    }
}

/// Maps the pages of a chunk; may sleep.
///
/// # Errors
///
/// `ENOMEM`; `EACCES` if Xen refuses one.
pub(super) fn map(peer: DomId, add: &PoolAdd) -> Result<MappedPages> {
    MappedPages::new(peer, &add.references, Access::Read)
}
