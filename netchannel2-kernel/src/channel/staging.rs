// SPDX-License-Identifier: GPL-2.0

//! This side's pool: packets are copied into pages that the peer has mapped.

use super::{
    quarantine::Quarantine,
    tick::Pressure, //
};
use crate::{
    grant::GrantedChunk,
    net::{
        Reader,
        Skb, //
    },
    ring::Ring, //
};
use kernel::{
    prelude::*,
    sync::Mutex,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};
use netchannel2_core::{
    error::Violation,
    grant::Fragment,
    pool::{
        ChunkCount,
        ChunkIndex,
        Notice,
        OwnPool,
        PoolSlot,
        SlotEntry,
        MAX_CHUNKS, //
    },
    queue::{
        SendError,
        Sender, //
    },
    segment::pages_for,
    units::{
        FragmentLength,
        PacketLength,
        RingIndex, //
    },
    wire::{
        Fragments,
        PoolAdd,
        PoolAnswer, //
    },
};

/// How long a chunk is not needed before it is given up.
const IDLE: Delta = Delta::from_secs(5);

/// How long a pool waits that the peer would not let grow.
const HOLD_BACK: Delta = Delta::from_secs(10);

/// This side's pool and its pages.
pub(super) struct Staging {
    pool: OwnPool<KVec<SlotEntry>>,
    /// By chunk: the pages of those that have some.
    chunks: KVec<Option<GrantedChunk>>,
    /// Where the bytes are of the packet that was staged last.
    fragments: Fragments<PoolSlot>,
    counters: StagingCounters,
    /// A packet has found too few slots since it was asked.
    has_run_out: bool,
    /// When it was last looked whether a chunk can be given up.
    last_shrink: Instant<Monotonic>,
    /// When the peer would not let the pool grow.
    held_back: Option<Instant<Monotonic>>,
}

/// What a pool counts.
#[derive(Clone, Copy, Default)]
pub(super) struct StagingCounters {
    /// Packets that found too few free slots, and took another way.
    pub(super) exhausted: u64,
    /// Chunks that the peer mapped.
    pub(super) grown: u64,
    /// Chunks that were given up, of this side's own will or of the peer's.
    pub(super) shrunk: u64,
    /// Chunks that the peer would not map, or for which there were no pages.
    pub(super) refused: u64,
}

impl Staging {
    pub(super) fn new(limit: ChunkCount) -> Result<Self> {
        let mut chunks = KVec::with_capacity(usize::from(MAX_CHUNKS), GFP_KERNEL)?;

        for _ in 0..MAX_CHUNKS {
            chunks.push(None, GFP_KERNEL)?;
        }
        let places = KVec::from_elem(SlotEntry::default(), usize::from(limit.slots()), GFP_KERNEL)?;

        Ok(Self {
            pool: OwnPool::new(places, limit),
            chunks,
            fragments: Fragments::NONE,
            counters: StagingCounters::default(),
            has_run_out: false,
            last_shrink: Instant::now(),
            held_back: None,
        })
    }

    pub(super) fn counters(&self) -> StagingCounters {
        self.counters
    }

    /// Returns how many pages the peer may have mapped.
    pub(super) fn pages(&self) -> u64 {
        self.chunks.iter().flatten().count() as u64 * u64::from(netchannel2_core::pool::CHUNK_PAGES)
    }

    /// Returns how many slots are in messages.
    pub(super) fn in_use(&self) -> u64 {
        self.pool.sent().into()
    }

    /// Whether there is anything in the pool.
    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        self.pool.mapped() > 0
    }

    /// Takes back what the peer has consumed.
    #[inline]
    pub(super) fn reap(&mut self, consumed: RingIndex, produced: RingIndex) {
        self.pool.reap(consumed, produced);
    }

    /// Copies a packet into slots; `None` if there are too few.
    #[inline]
    pub(super) fn stage(
        &mut self,
        skb: &Skb,
        length: PacketLength,
    ) -> Option<&[Fragment<PoolSlot>]> {
        if self.pool.take(pages_for(length)).is_none() {
            self.counters.exhausted += 1;
            self.has_run_out = true;
            return None;
        }
        if self.fill(skb, length).is_err() {
            self.pool.cancel();
            return None;
        }
        Some(self.fragments.as_slice())
    }

    #[inline]
    fn fill(&mut self, skb: &Skb, length: PacketLength) -> Result {
        self.fragments.clear();
        match FragmentLength::of_packet(length) {
            Some(length) => self.fill_slot(skb, length),
            None => self.fill_slots(skb, length),
        }
    }

    /// Copies a packet into the one slot that is taken for it.
    #[inline]
    fn fill_slot(&mut self, skb: &Skb, length: FragmentLength) -> Result {
        let slot = self.pool.taken().next().ok_or(EINVAL)?;
        let chunk = self
            .chunks
            .get_mut(slot.chunk().as_usize())
            .and_then(Option::as_mut)
            .ok_or(EINVAL)?;

        chunk.fill_whole(slot.page(), skb, length)?;
        self.fragments
            .push(Fragment::at_start(slot, length))
            .ok_or(EINVAL)
    }

    /// Copies a packet into the slots that are taken for it, page by page.
    fn fill_slots(&mut self, skb: &Skb, length: PacketLength) -> Result {
        let (mut packet, mut rest) = (Reader::new(skb), length.get());

        for slot in self.pool.taken() {
            let part = u16::try_from(rest)
                .ok()
                .and_then(FragmentLength::new)
                .unwrap_or(FragmentLength::PAGE);
            let chunk = self
                .chunks
                .get_mut(slot.chunk().as_usize())
                .and_then(Option::as_mut)
                .ok_or(EINVAL)?;

            chunk.fill(slot.page(), &mut packet, part)?;
            self.fragments
                .push(Fragment::at_start(slot, part))
                .ok_or(EINVAL)?;
            rest = rest.saturating_sub(u32::from(part.get()));
        }
        Ok(())
    }

    /// Takes note that the packet is in a message that ends at `end`.
    #[inline]
    pub(super) fn commit(&mut self, end: RingIndex) {
        self.pool.commit(end);
    }

    /// Takes the slots back of a packet that was not sent.
    pub(super) fn cancel(&mut self) {
        self.pool.cancel();
    }

    /// Whether [`super::Channel::tend`] has something to do.
    #[inline]
    pub(super) fn needs_tending(&self) -> bool {
        (self.pool.wants_to_grow() && self.may_grow()) || self.pool.next_withdrawn().is_some()
    }

    fn may_grow(&self) -> bool {
        self.held_back
            .is_none_or(|since| since.elapsed() >= HOLD_BACK)
    }

    /// Says once that a packet has found too few slots and the pool may grow.
    #[inline]
    pub(super) fn asks_for_tending(&mut self) -> bool {
        core::mem::take(&mut self.has_run_out) && self.needs_tending()
    }

    /// Begins to grow by a chunk, which [`Self::grown`] or [`Self::not_grown`] ends.
    pub(super) fn grow(&mut self) -> Option<ChunkIndex> {
        if !self.may_grow() {
            return None;
        }
        self.held_back = None;
        self.pool.grow()
    }

    /// Has the peer offered the pages of a chunk, with the next [`Self::tell`].
    pub(super) fn grown(&mut self, chunk: ChunkIndex, pages: GrantedChunk) {
        if let Some(place) = self.chunks.get_mut(chunk.as_usize()) {
            *place = Some(pages);
            self.pool.prepared(chunk);
        }
    }

    /// Takes note that there are no pages for a chunk.
    pub(super) fn not_grown(&mut self, chunk: ChunkIndex) {
        self.hold_back();
        self.pool.gone(chunk);
    }

    /// Takes out the pages of a chunk that the peer has let go of, to be freed outside of locks.
    pub(super) fn take_withdrawn(&mut self) -> Option<(ChunkIndex, GrantedChunk)> {
        let chunk = self.pool.next_withdrawn()?;
        let pages = self.chunks.get_mut(chunk.as_usize()).and_then(Option::take);

        self.pool.gone(chunk);
        Some((chunk, pages?))
    }

    /// Takes note of what the peer says of a chunk.
    pub(super) fn on_answer(
        &mut self,
        chunk: ChunkIndex,
        answer: PoolAnswer,
    ) -> Result<(), Violation> {
        let mapped = self.pool.mapped();

        self.pool.on_answer(chunk, answer)?;
        match answer {
            PoolAnswer::Mapped => self.counters.grown += 1,
            PoolAnswer::Dropped => self.counters.shrunk += 1,
            // Asked for once more: it goes already.
            PoolAnswer::GiveBack if self.pool.mapped() == mapped => {}
            PoolAnswer::Refused | PoolAnswer::GiveBack => self.hold_back(),
        }
        Ok(())
    }

    /// Tells the peer of chunks, as far as the ring has space.
    #[inline]
    pub(super) fn tell(&mut self, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        while let Some(notice) = self.pool.next_notice() {
            let result = match notice {
                Notice::Add(chunk) => match self.add(chunk) {
                    Some(add) => sender.send_pool_add(add),
                    None => return Ok(()),
                },
                Notice::Drop(chunk) => sender.send_pool_drop(chunk),
            };

            match result {
                Ok(()) => self.pool.told(notice),
                Err(SendError::Violation(violation)) => return Err(violation),
                // Once more after the next poll.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Gives up chunks that are not needed, without traffic too.
    pub(super) fn tick(&mut self, pressure: Pressure) {
        match pressure {
            Pressure::High => {
                if self.pool.relieve() > 0 {
                    self.held_back = Some(Instant::now());
                }
            }
            Pressure::None if self.last_shrink.elapsed() >= IDLE => {
                self.last_shrink = Instant::now();
                self.pool.shrink();
            }
            Pressure::None => {}
        }
    }

    /// Takes all pages back and returns how many the peer still has mapped: those go into
    /// quarantine.
    pub(super) fn end(mut self, quarantine: &Mutex<Quarantine>) -> u32 {
        let mut count = 0_u32;

        for chunk in self.chunks.drain_all().flatten() {
            let held = chunk.end();

            if !held.is_empty() {
                count = count.saturating_add(u32::try_from(held.len()).unwrap_or(u32::MAX));
                quarantine.lock().keep(held);
            }
        }
        count
    }

    fn add(&self, chunk: ChunkIndex) -> Option<PoolAdd> {
        let pages = self.chunks.get(chunk.as_usize())?.as_ref()?;

        Some(PoolAdd {
            chunk,
            references: pages.references()?,
        })
    }

    fn hold_back(&mut self) {
        self.counters.refused += 1;
        self.held_back = Some(Instant::now());
    }
}
