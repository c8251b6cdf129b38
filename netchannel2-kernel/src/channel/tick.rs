// SPDX-License-Identifier: GPL-2.0

//! What a channel does every few seconds, with traffic and without: chunks grow old, are asked back
//! and taken away; this side's pool gives up what is idle.

use super::{
    borrowing::Mapping,
    Channel,
    Fault, //
};
use crate::{
    cache::{
        self,
        Tenant, //
    },
    net::Poll,
    ticker::Tick, //
};
use kernel::sync::atomic::Relaxed;
use netchannel2_core::{
    cache::{
        ChunkSet,
        Standing,
        Ticks, //
    },
    pool::ChunkIndex,
};

/// For how many ticks a chunk that was asked back is waited for: 4 to 6 seconds.
const PATIENCE: Ticks = Ticks::new(3);

/// Whether memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    /// It is not.
    None,
    /// It is.
    High,
}

impl<P: Poll> Tick for Channel<P> {
    const PERIOD: u32 = 2000;

    fn tick(&self) {
        let pressure = self.pressure();

        if let Err(fault) = self.tick_borrowed(pressure).and(self.tick_own(pressure)) {
            self.fail(fault);
        }
        let tending = self.tending.lock();

        // Unmapped outside the lock of the side, and before a closing side goes on.
        while let Some(mapping) = self.take_overdue() {
            drop(mapping);
        }
        drop(tending);
        self.quarantine.lock().look();
    }
}

impl<P: Poll> Tenant for Channel<P> {
    fn standing(&self) -> Option<Standing> {
        self.receive
            .lock()
            .as_ref()
            .map(|side| side.borrowed().standing())
    }

    fn give_way(&self, chunk: ChunkIndex) {
        let asked = match &mut *self.receive.lock() {
            Some(side) if side.borrowed().may_ask(chunk) => {
                let mut one = ChunkSet::EMPTY;

                one.insert(chunk);
                self.ask_back(side, one)
                    .map(|asked| side.borrowing().counters().evicted += asked)
            }
            _ => Ok(()),
        };

        if let Err(fault) = asked {
            self.fail(fault);
        }
    }
}

impl<P: Poll> Channel<P> {
    /// Whether memory was said to be short since the last call.
    fn pressure(&self) -> Pressure {
        let now = cache::pressure();

        match self.pressed.xchg(now, Relaxed) == now {
            true => Pressure::None,
            false => Pressure::High,
        }
    }

    /// Lets a tick pass for the peer's chunks, and asks for those that are gone already, and idle ones
    /// where memory is short.
    fn tick_borrowed(&self, pressure: Pressure) -> Result<(), Fault> {
        let mut guard = self.receive.lock();
        let Some(side) = &mut *guard else {
            return Ok(());
        };

        side.borrowing().tick();
        let gone = side.borrowed().not_asked();

        self.ask_back(side, gone)?;
        if pressure == Pressure::High {
            let idle = side.borrowing().tenancy().idle_ones();
            let asked = self.ask_back(side, idle)?;

            side.borrowing().counters().reclaimed += asked;
        }
        Ok(())
    }

    /// Gives up chunks of this side's pool that are not needed.
    fn tick_own(&self, pressure: Pressure) -> Result<(), Fault> {
        match &mut *self.send.lock() {
            Some(side) => {
                // What the peer has consumed is free again.
                side.tell_of_chunks()?;
                side.staging().tick(pressure);
                side.tell_of_chunks()
            }
            None => Ok(()),
        }
    }

    fn take_overdue(&self) -> Option<Mapping> {
        match &mut *self.receive.lock() {
            Some(side) => side.borrowing().take_overdue(PATIENCE),
            None => None,
        }
    }
}
