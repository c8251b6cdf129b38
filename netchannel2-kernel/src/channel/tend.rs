// SPDX-License-Identifier: GPL-2.0

//! What a channel has done where one may sleep: pages of pools come and go.

use super::{
    borrowing::{
        self,
        Chore, //
    },
    receive::ReceiveSide,
    Channel,
    Fault, //
};
use crate::{
    grant::{
        GrantedChunk,
        MappedPages, //
    },
    net::Poll, //
};
use kernel::time::{
    delay::fsleep,
    Delta, //
};
use netchannel2_core::{
    error::Violation,
    pool::ChunkIndex,
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
    /// A peer that does not within a second has them taken away, and loses the packets on them.
    pub fn give_back(&self) {
        for wait in 0..PATIENCE {
            let asked = match &mut *self.receive.lock() {
                Some(side) if side.mapped_pages() == 0 => return,
                Some(side) if wait % ASK == 0 => self.ask_back(side),
                Some(_) => Ok(()),
                None => return,
            };

            if let Err(violation) = asked {
                self.fail(violation.into());
                return;
            }
            self.tend();
            fsleep(Delta::from_millis(10));
        }
        while let Some(pages) = self.take_any() {
            drop(pages);
        }
    }

    fn ask_back(&self, receive: &mut ReceiveSide<P>) -> Result<(), Violation> {
        match &mut *self.send.lock() {
            Some(side) => receive
                .borrowing()
                .chunks()
                .try_for_each(|chunk| side.answer(chunk, PoolAnswer::GiveBack)),
            None => Ok(()),
        }
    }

    fn take_any(&self) -> Option<MappedPages> {
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
        let mut pages = Some(GrantedChunk::new(peer));
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

    /// Frees the pages of a chunk that the peer has let go of.
    fn free_own(&self) -> bool {
        let withdrawn = match &mut *self.send.lock() {
            Some(side) => side.staging().take_withdrawn(),
            None => None,
        };
        let Some((chunk, pages)) = withdrawn else {
            return false;
        };

        // A peer that may keep pages of each chunk would have ever more of them.
        match pages.withdraw() {
            0 => {}
            kept => self.fail(Fault::ChunkInUse(chunk, kept)),
        }
        true
    }

    /// Maps or unmaps a chunk of the peer's pool.
    fn serve_peer(&self) -> bool {
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
            Chore::Unmap(chunk, pages) => {
                drop(pages);
                self.answer(generation, chunk, PoolAnswer::Dropped);
            }
        }
        true
    }

    fn map(&self, peer: DomId, generation: Generation, add: &PoolAdd) {
        let mut pages = borrowing::map(peer, add).ok();
        let answer = match pages {
            Some(_) => PoolAnswer::Mapped,
            None => PoolAnswer::Refused,
        };

        match &mut *self.receive.lock() {
            Some(side) if side.generation() == generation => {
                if let Some(pages) = pages.take() {
                    side.borrowing().mapped(add.chunk, pages);
                }
            }
            _ => {}
        }
        // Pages of a connection that is over are unmapped here, outside the lock.
        drop(pages);
        self.answer(generation, add.chunk, answer);
    }

    /// Tells the peer what became of a chunk.
    fn answer(&self, generation: Generation, chunk: ChunkIndex, answer: PoolAnswer) {
        let told = match &mut *self.receive.lock() {
            Some(side) if side.generation() == generation => {
                side.answered(chunk, answer);
                // The lock of `receive` keeps the connection from ending in between.
                match &mut *self.send.lock() {
                    Some(side) => side.answer(chunk, answer),
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
