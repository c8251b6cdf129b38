// SPDX-License-Identifier: GPL-2.0

//! What a channel has done where one may sleep: pages of pools come and go.

use super::{
    borrowing::{
        self,
        Chore,
        Mapping, //
    },
    receive::ReceiveSide,
    Channel,
    Fault,
    Shortage, //
};
use crate::{
    cache::{
        self,
        TenantId, //
    },
    grant::{
        has_spare_references,
        GrantedChunk, //
    },
    net::Poll, //
};
use kernel::{
    prelude::*,
    sync::atomic::Relaxed,
    time::{
        delay::fsleep,
        Delta, //
    },
};
use netchannel2_core::{
    cache::ChunkSet,
    pool::{
        ChunkIndex,
        CHUNK_PAGES, //
    },
    queue::Queued,
    units::DomId,
    wire::{
        PoolAdd,
        PoolAnswer, //
    },
};

/// How often, every 10 ms, it is looked whether the peer has taken its pages back.
const PATIENCE: u32 = 100;

/// After how many looks it is asked once more: by each message the peer notices what it has been
/// given back meanwhile, without which it does not drop a chunk.
const ASK: u32 = 10;

/// How many references of the grant table pools leave free, beside those of a chunk: what another
/// device needs to connect, so that pools do not keep it from doing so.
const SPARE: u16 = 320;

/// Whether [`Channel::tend`] has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chores {
    /// It has not.
    None,
    /// It has: the driver is to call it in process context.
    Waiting,
}

/// Tells one connection of a channel from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(pub(super) u32);

impl<P: Poll> Channel<P> {
    /// Maps, unmaps, allocates and frees pages of the pools; may sleep.
    ///
    /// The connection may end meanwhile: then what was made for it is given up.
    pub fn tend(&self) {
        while self.grow_own() || self.free_own() || self.serve_peer() {}
    }

    /// Has the peer take all of its pages back, but for the rings; may sleep.
    ///
    /// Nobody else [tends](Self::tend) the channel meanwhile, nor afterwards until it may have pages
    /// of the peer again.
    ///
    /// A peer that does not within a second has them taken away. If the channel goes on then, packets
    /// on them are lost until the peer is awake and drops them, as it was asked to.
    pub fn give_back(&self) {
        for wait in 0..PATIENCE {
            self.tend();
            let asked = match &mut *self.receive.lock() {
                Some(side) if side.borrowed().is_empty() => return,
                Some(side) if wait % ASK == 0 => {
                    let all = side.borrowing().tenancy().mapped();

                    self.ask_back(side, all)
                }
                Some(_) => Ok(0),
                None => return,
            };

            if let Err(fault) = asked {
                self.fail(fault);
                break;
            }
            fsleep(Delta::from_millis(10));
        }
        while let Some(mapping) = self.take_any() {
            drop(mapping);
        }
    }

    /// Asks the peer for chunks of its pool, and returns how many.
    pub(super) fn ask_back(
        &self,
        receive: &mut ReceiveSide<P>,
        chunks: ChunkSet,
    ) -> Result<u64, Fault> {
        let mut asked = 0;

        for chunk in chunks.iter() {
            // The lock of `receive` keeps the connection from ending in between.
            let queued = match &mut *self.send.lock() {
                Some(side) => side.answer(chunk, PoolAnswer::GiveBack)?,
                None => Queued::No,
            };

            if queued == Queued::Yes {
                receive.borrowing().told(chunk, PoolAnswer::GiveBack);
                asked += 1;
            }
        }
        Ok(asked)
    }

    fn take_any(&self) -> Option<Mapping> {
        match &mut *self.receive.lock() {
            Some(side) => side.borrowing().take_any(),
            None => None,
        }
    }

    /// Makes pages for a chunk of this side's pool, if it is to grow.
    fn grow_own(&self) -> bool {
        let begun = match &mut *self.send.lock() {
            Some(side) => side
                .staging()
                .grow()
                .map(|chunk| (chunk, side.peer(), side.generation())),
            None => None,
        };
        let Some((chunk, peer, generation)) = begun else {
            return false;
        };
        let pages = match has_spare_references(SPARE + CHUNK_PAGES) {
            true => GrantedChunk::new(peer),
            false => Err(ENOSPC),
        };

        if let Err(error) = &pages {
            self.shortages.lock().note(Shortage::OwnPool(*error));
        }
        let mut pages = Some(pages);
        let told = match &mut *self.send.lock() {
            Some(side) if side.generation() == generation => match pages.take() {
                Some(Ok(pages)) => {
                    side.staging().grown(chunk, pages);
                    side.tell_of_chunks()
                }
                _ => {
                    side.staging().not_grown(chunk);
                    Ok(())
                }
            },
            _ => Ok(()),
        };

        // Those of a connection that is over are freed here, outside the lock.
        drop(pages);
        if let Err(fault) = told {
            self.fail(fault);
        }
        true
    }

    /// Frees the pages of a chunk that the peer says it has let go of.
    fn free_own(&self) -> bool {
        // Held to the end: what is found then is one of this connection's breaches.
        let _tending = self.tending.lock();
        let withdrawn = match &mut *self.send.lock() {
            Some(side) => side.staging().take_withdrawn(),
            None => None,
        };
        let Some((chunk, pages)) = withdrawn else {
            return false;
        };
        let held = pages.end();

        if !held.is_empty() {
            // A peer that may keep pages of each chunk would have ever more of them.
            let kept = u32::try_from(held.len()).unwrap_or(u32::MAX);

            self.kept.fetch_add(kept, Relaxed);
            self.quarantine.lock().keep(held);
            self.fail(Fault::ChunkInUse(chunk, kept));
        }
        true
    }

    /// Waits until nothing is mapped, unmapped or freed any more for a connection that is over: its
    /// peer is to find none of its pages in use.
    pub(super) fn await_tending(&self) {
        drop(self.tending.lock());
    }

    /// Maps or unmaps a chunk of the peer's pool.
    fn serve_peer(&self) -> bool {
        let _tending = self.tending.lock();
        let begun = match &mut *self.receive.lock() {
            Some(side) => side
                .borrowing()
                .next_chore()
                .map(|chore| (chore, side.peer(), side.generation())),
            None => None,
        };
        let Some((chore, peer, generation)) = begun else {
            return false;
        };

        match chore {
            Chore::Map(add) => self.map(peer, generation, &add),
            Chore::Refuse(chunk) => self.answer(generation, chunk, PoolAnswer::Refused),
            Chore::Unmap(chunk, mapping) => {
                drop(mapping);
                self.answer(generation, chunk, PoolAnswer::Dropped);
            }
        }
        true
    }

    fn map(&self, peer: DomId, generation: Generation, add: &PoolAdd) {
        let mapped = cache::admit(TenantId::of(self))
            .ok_or(EBUSY)
            .and_then(|permit| borrowing::map(peer, add, permit));
        let answer = match &mapped {
            Ok(_) => PoolAnswer::Mapped,
            Err(_) => PoolAnswer::Refused,
        };

        match &mapped {
            // The cache has no place: it has counted that.
            Err(error) if *error == EBUSY => {}
            Err(error) => self.shortages.lock().note(Shortage::PeersPool(*error)),
            Ok(_) => {}
        }
        if matches!(mapped, Err(error) if error == ENOMEM || error == ENOSPC) {
            cache::make_room(TenantId::of(self));
        }
        let mut mapping = mapped.ok();

        match &mut *self.receive.lock() {
            Some(side) if side.generation() == generation => {
                if let Some(mapping) = mapping.take() {
                    side.borrowing().mapped(add.chunk, mapping);
                }
            }
            _ => {}
        }
        // Pages of a connection that is over are unmapped here, outside the lock.
        drop(mapping);
        self.answer(generation, add.chunk, answer);
    }

    /// Tells the peer what became of a chunk.
    fn answer(&self, generation: Generation, chunk: ChunkIndex, answer: PoolAnswer) {
        let told = match &mut *self.receive.lock() {
            Some(side) if side.generation() == generation => {
                side.answered(chunk, answer);
                side.borrowing().told(chunk, answer);
                // The lock of `receive` keeps the connection from ending in between.
                match &mut *self.send.lock() {
                    // Nothing else is queued of a chunk whose answer the peer waits for, but for
                    // give-backs, which give way.
                    Some(side) => side.answer(chunk, answer).map(|_| ()),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        };

        if let Err(violation) = told {
            self.fail(violation.into());
        }
    }
}
