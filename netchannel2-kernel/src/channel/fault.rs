// SPDX-License-Identifier: GPL-2.0

//! Why a connection has to end.

use core::fmt;
use netchannel2_core::{
    error::Violation,
    grant::GrantRef,
    pool::ChunkIndex,
    units::PacketId, //
};

/// What the peer did that ends the connection.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It broke a rule of the protocol.
    Violation(Violation),
    /// It said that it is done with a packet and holds on to one of its pages.
    StillGranted(PacketId, GrantRef),
    /// It said that it has not mapped a chunk of this side's pool, and uses so many pages of it.
    ChunkInUse(ChunkIndex, u32),
    /// It has taken a packet and does not say that it is done with it.
    MissingFinish(PacketId),
    /// It has made this side owe it more than was agreed: it used an id again before it could see
    /// the FINISH of the packet that had it.
    Overcommitted(PacketId),
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::StillGranted(id, reference) => write!(
                f,
                "finish.id is {}: grant reference {} of that packet is still in use",
                id.get(),
                reference.get()
            ),
            Self::ChunkInUse(chunk, pages) => write!(
                f,
                "pool_answer.chunk is {chunk}: not mapped any more, but {pages} of its pages are in use"
            ),
            Self::MissingFinish(id) => write!(
                f,
                "finish.id {} is missing: the packet was taken long ago",
                id.get()
            ),
            Self::Overcommitted(id) => {
                write!(
                    f,
                    "packet.id is {}: no FINISH can be queued for it",
                    id.get()
                )
            }
        }
    }
}
