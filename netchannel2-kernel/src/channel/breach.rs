// SPDX-License-Identifier: GPL-2.0

//! How often a peer may break the protocol.

use kernel::prelude::*;

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was lent is back.
    Clean,
    /// The peer broke the protocol, or keeps pages that were lent to it.
    Breach,
}

/// What a breach means for further connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the loss of the last chance is worth a line in the log"]
pub enum Chance {
    /// It was not the last allowed one, or none at all, or the chance was lost before.
    Unchanged,
    /// It was the last one that was allowed.
    JustLost,
}

/// How often the peer of a device has broken the protocol.
///
/// Each time may leave it with the pages of one connection, and this side with a line in the log.
/// That is what bounds both: after [`Self::MAX`] times there is no further connection until the
/// device is made anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaches(u32);

impl Breaches {
    /// The most there may be.
    pub const MAX: u32 = 8;

    /// What [`Self::check`] is about, for a message.
    pub const NAME: &'static str = "the peer broke the protocol too often";

    /// Notes how a connection has ended, and says whether there may be another one.
    pub fn count(&mut self, ending: Ending) -> Chance {
        if ending == Ending::Breach {
            self.0 = self.0.saturating_add(1);
            if self.0 == Self::MAX {
                return Chance::JustLost;
            }
        }
        Chance::Unchanged
    }

    /// Says whether there may be another connection.
    ///
    /// # Errors
    ///
    /// `EBUSY` if not.
    pub fn check(&self) -> Result {
        if self.0 >= Self::MAX {
            return Err(EBUSY);
        }
        Ok(())
    }
}
