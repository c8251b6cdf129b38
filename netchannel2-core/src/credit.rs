// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How much may be outstanding in packets that need a FINISH, and what is.

mod outstanding;

pub use self::outstanding::Outstanding;

use crate::{
    error::Violation,
    units::{
        Bytes,
        PacketLength, //
    },
    wire::MaxPackets, //
};

/// Says that a packet would exceed the allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCredit;

/// An allowance and how much of it is used up.
///
/// # Invariants
///
/// `packets` and `bytes` are within `limit`.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    limit: MaxPackets,
    packets: u16,
    bytes: Bytes,
}

impl Credit {
    /// Takes an allowance of which nothing is used.
    pub const fn new(limit: MaxPackets) -> Self {
        // INVARIANT: Nothing is within every limit.
        Self {
            limit,
            packets: 0,
            bytes: Bytes::ZERO,
        }
    }

    /// Returns the allowance.
    pub const fn limit(&self) -> MaxPackets {
        self.limit
    }

    /// Returns how many packets are outstanding.
    pub const fn packets(&self) -> u16 {
        self.packets
    }

    /// Returns how many bytes are outstanding.
    pub const fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Uses up the allowance for a packet of `length` bytes.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] that exceeding the allowance would be, and uses nothing.
    #[inline]
    pub fn take(&mut self, length: PacketLength) -> Result<(), Violation> {
        self.check(length)?;
        // INVARIANT: Checked above.
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(length.into());
        Ok(())
    }

    /// Says whether the allowance is enough for a packet of `length` bytes.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] that exceeding the allowance would be.
    #[inline]
    pub fn check(&self, length: PacketLength) -> Result<(), Violation> {
        let allowed = self.limit.packets().get();
        if self.packets >= allowed {
            return Err(Violation::TooManyPackets { allowed });
        }
        let allowed = self.limit.bytes();
        // The room is exact: by the invariant nothing saturates.
        if Bytes::from(length) > allowed.saturating_sub(self.bytes) {
            return Err(Violation::TooManyBytes {
                outstanding: self.bytes,
                length,
                allowed,
            });
        }
        Ok(())
    }

    /// Gives back what a packet of `length` bytes took.
    #[inline]
    pub fn give_back(&mut self, length: PacketLength) {
        // INVARIANT: Less is within the limit.
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(length.into());
    }
}
