// SPDX-License-Identifier: GPL-2.0

//! What a channel lacks, which its administrator is told once.

use kernel::{
    fmt,
    prelude::*, //
};

/// What there is not enough of; the channel does without.
#[derive(Clone, Copy, Debug)]
pub enum Shortage {
    /// A chunk of this side's pool could not be made: no memory, or no room in the grant table.
    OwnPool(Error),
    /// A chunk of the peer's pool could not be mapped: no memory, no room in Xen's table of mappings,
    /// or it was not granted.
    PeersPool(Error),
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnPool(error) => write!(
                f,
                "the pool cannot grow ({error:?}): packets without room in it are granted"
            ),
            Self::PeersPool(error) => write!(
                f,
                "the peer's pool cannot be mapped ({error:?}): Xen copies what the peer grants instead"
            ),
        }
    }
}

/// The shortages of a channel, of each kind the first one: what a peer can bring about again and
/// again is said but once.
#[derive(Default)]
pub(super) struct Shortages {
    own_pool: Say,
    peers_pool: Say,
}

/// Whether a shortage was said.
#[derive(Clone, Copy, Default)]
enum Say {
    /// There is none.
    #[default]
    Nothing,
    /// It is to be said.
    Pending(Shortage),
    /// It was.
    Done,
}

impl Shortages {
    /// Takes note of a shortage.
    pub(super) fn note(&mut self, shortage: Shortage) {
        let place = match shortage {
            Shortage::OwnPool(_) => &mut self.own_pool,
            Shortage::PeersPool(_) => &mut self.peers_pool,
        };

        if let Say::Nothing = place {
            *place = Say::Pending(shortage);
        }
    }

    /// Takes a shortage that is to be said.
    pub(super) fn take(&mut self) -> Option<Shortage> {
        [&mut self.own_pool, &mut self.peers_pool]
            .into_iter()
            .find_map(|place| match *place {
                Say::Pending(shortage) => {
                    *place = Say::Done;
                    Some(shortage)
                }
                Say::Nothing | Say::Done => None,
            })
    }
}
