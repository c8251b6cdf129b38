// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pools in the file of the queue: one chunk of this peer's own, and the hostile peer's chunks.

use std::{
    collections::HashMap,
    os::unix::fs::FileExt as _, //
};

use netchannel2_core::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef, //
    },
    pool::{
        ChunkCount,
        ChunkIndex,
        Notice,
        OwnPool,
        PoolSlot,
        SlotEntry,
        CHUNK_PAGES, //
    },
    queue::{
        Receiver,
        SendError,
        Sender, //
    },
    segment::pages_for,
    units::{
        FragmentLength,
        PacketLength, //
    },
    wire::{
        Features,
        PacketMeta,
        PoolAdd,
        PoolAnswer, //
    },
};

use crate::{
    memory::FileRing,
    peer::NOT_GRANTED, //
};

const PAGE: u64 = 4096;
const PAGES: usize = CHUNK_PAGES as usize;

/// The reference of the first page of this peer's chunk.
const OWN_PAGES: u32 = 101;

/// The reference of the first page of the file that the hostile peer may grant.
const SHARED_PAGES: u32 = 1000;

pub struct Staging {
    pool: OwnPool<Vec<SlotEntry>>,
    /// Once the hostile peer would not have a chunk, there is no other.
    is_held_back: bool,
    /// What the hostile peer's chunks are made of.
    chunks: HashMap<u8, [GrantRef; PAGES]>,
    /// Chunks that came and went since the last turn.
    added: Vec<ChunkIndex>,
    dropped: Vec<ChunkIndex>,
}

impl Staging {
    pub fn new(features: Features) -> Self {
        let limit = match features.contains(Features::STAGED) {
            true => ChunkCount::MAX,
            false => ChunkCount::ZERO,
        };
        Self {
            pool: OwnPool::new(vec![SlotEntry::default(); PAGES], limit),
            is_held_back: false,
            chunks: HashMap::new(),
            added: Vec::new(),
            dropped: Vec::new(),
        }
    }

    pub fn add(&mut self, add: &PoolAdd) {
        self.chunks.insert(add.chunk.get(), add.references);
        self.added.push(add.chunk);
    }

    pub fn drop_chunk(&mut self, chunk: ChunkIndex) {
        self.dropped.push(chunk);
    }

    pub fn on_answer(&mut self, chunk: ChunkIndex, answer: PoolAnswer) -> Result<(), Violation> {
        self.is_held_back |= matches!(answer, PoolAnswer::Refused | PoolAnswer::GiveBack);
        self.pool.on_answer(chunk, answer)
    }

    /// Does what a driver does where it may sleep, after the messages of a turn.
    pub fn tend(
        &mut self,
        sender: &mut Sender<FileRing>,
        receiver: &mut Receiver<FileRing>,
    ) -> Result<(), Violation> {
        let (consumed, produced) = sender.progress()?;
        self.pool.reap(consumed, produced);
        for chunk in self.added.drain(..) {
            let references = self.chunks.get(&chunk.get()).into_iter().flatten();
            let mut granted = references.map(|reference| reference.get() < NOT_GRANTED);
            if granted.all(|granted| granted) {
                receiver.borrowed().mapped(chunk);
                sender.queue_answer(chunk, PoolAnswer::Mapped);
            } else {
                receiver.borrowed().refused(chunk);
                sender.queue_answer(chunk, PoolAnswer::Refused);
            }
        }
        for chunk in self.dropped.drain(..) {
            receiver.borrowed().dropped(chunk);
            sender.queue_answer(chunk, PoolAnswer::Dropped);
        }
        if !self.is_held_back {
            if let Some(chunk) = self.pool.grow() {
                self.pool.prepared(chunk);
            }
        }
        while let Some(chunk) = self.pool.next_withdrawn() {
            self.pool.gone(chunk);
        }
        while sender.ready() {
            let Some(notice) = self.pool.next_notice() else {
                break;
            };
            let result = match notice {
                Notice::Add(chunk) => sender.send_pool_add(PoolAdd {
                    chunk,
                    references: own_references(),
                }),
                Notice::Drop(chunk) => sender.send_pool_drop(chunk),
            };
            match result {
                Ok(()) => self.pool.told(notice),
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Sends a packet in slots, or returns [`None`] where there are none.
    pub fn send(
        &mut self,
        sender: &mut Sender<FileRing>,
        memory: &FileRing,
        length: PacketLength,
        frame: &[u8],
    ) -> Option<Result<(), SendError>> {
        self.pool.take(pages_for(length))?;
        let mut slots = Vec::new();
        for (slot, part) in self.pool.taken().zip(frame.chunks(PAGE as usize)) {
            let at = memory.data() + PAGE * (1 + slot.page() as u64);
            memory
                .file
                .write_all_at(part, at)
                .expect("the file can be written");
            let length = u16::try_from(part.len()).ok().and_then(FragmentLength::new);
            slots.push(Fragment::at_start(slot, length?));
        }
        let result = sender.send_staged(PacketMeta::default(), length, &slots);
        match result {
            Ok(end) => self.pool.commit(end),
            Err(_) => self.pool.cancel(),
        }
        Some(result.map(|_| ()))
    }

    /// Returns the bytes of a packet in slots of the hostile peer's.
    pub fn read(&self, memory: &FileRing, fragments: &[Fragment<PoolSlot>]) -> Vec<u8> {
        let mut frame = Vec::new();
        for fragment in fragments {
            let mut part = vec![0; usize::from(fragment.length().get())];
            let slot = fragment.page();
            let references = self.chunks.get(&slot.chunk().get());
            let reference = references.and_then(|references| references.get(slot.page()));
            let page = reference.and_then(|reference| reference.get().checked_sub(SHARED_PAGES));
            if let Some(page) = page.filter(|page| *page < u32::from(CHUNK_PAGES)) {
                let first = memory.data() + PAGE * (1 + u64::from(CHUNK_PAGES) + u64::from(page));
                let at = first + u64::from(fragment.offset().get());
                memory
                    .file
                    .read_exact_at(&mut part, at)
                    .expect("the file has that page");
            }
            frame.extend(part);
        }
        frame
    }
}

fn own_references() -> [GrantRef; PAGES] {
    let mut references = [GrantRef::FIRST; PAGES];
    for (reference, number) in references.iter_mut().zip(OWN_PAGES..) {
        *reference = GrantRef::new(number).expect("is not reserved");
    }
    references
}
