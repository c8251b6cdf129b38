// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SET_MAX_PACKETS: how much the peer may have outstanding.

use core::fmt;

use zerocopy::{
    little_endian::{
        U16,
        U32, //
    },
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::{
    header::{
        Kind,
        RawHeader, //
    },
    message::truncated,
    MAX_OUTSTANDING,
    MIN_CREDIT_BYTES, //
};
use crate::{
    error::Violation,
    units::Bytes, //
};

/// SET_MAX_PACKETS, as it lies in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawSetMaxPackets {
    /// Type 1, no flags, size 16.
    pub header: RawHeader,
    /// How many packets that need a FINISH may be outstanding.
    pub max_packets: U32,
    /// How many bytes those packets may have together.
    pub max_bytes: U32,
    /// Zero.
    pub reserved: U32,
}

const SIZE: u16 = 16;

static_assertions::const_assert_eq!(size_of::<RawSetMaxPackets>(), SIZE as usize);

/// Counts packets that may be outstanding.
///
/// # Invariants
///
/// Lies in `1..=`[`MAX_OUTSTANDING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketCount(u16);

impl PacketCount {
    /// The most packets.
    // INVARIANT: The upper bound itself.
    pub const MAX: Self = Self(MAX_OUTSTANDING);

    /// Counts `count` packets, at most [`MAX_OUTSTANDING`], or returns [`None`] for none.
    pub fn clamped(count: u32) -> Option<Self> {
        if count == 0 {
            return None;
        }
        // INVARIANT: Not zero as checked above, and `min` keeps it below the upper bound.
        Some(Self(
            u16::try_from(count).map_or(MAX_OUTSTANDING, |count| count.min(MAX_OUTSTANDING)),
        ))
    }

    /// Returns the number of packets.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PacketCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much one side lets the other have outstanding in packets that need a FINISH.
///
/// # Invariants
///
/// `bytes` is at least [`MIN_CREDIT_BYTES`], so that one packet of any length may always be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPackets {
    packets: PacketCount,
    bytes: Bytes,
}

impl MaxPackets {
    /// Allows `packets` with `bytes` together.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::CreditBytes`] if not even one packet of any length is allowed.
    pub const fn new(packets: PacketCount, bytes: Bytes) -> Result<Self, Violation> {
        if bytes.get() < MIN_CREDIT_BYTES {
            return Err(Violation::CreditBytes(bytes.get()));
        }
        // INVARIANT: Checked above.
        Ok(Self { packets, bytes })
    }

    /// Allows `packets` of any length.
    pub fn of_any_length(packets: PacketCount) -> Self {
        // INVARIANT: At least one packet of at least `MIN_CREDIT_BYTES`.
        Self {
            packets,
            bytes: Bytes::new(u32::from(packets.0) * MIN_CREDIT_BYTES),
        }
    }

    /// Returns how many packets may be outstanding.
    pub const fn packets(self) -> PacketCount {
        self.packets
    }

    /// Returns how many bytes may be outstanding.
    pub const fn bytes(self) -> Bytes {
        self.bytes
    }

    /// Checks a SET_MAX_PACKETS, which lies in private memory.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Violation> {
        let (raw, _) = RawSetMaxPackets::ref_from_prefix(head).map_err(|_| truncated(head))?;
        raw.header.without_flags()?;
        let size = raw.header.size.get();
        if size != SIZE {
            return Err(Violation::MessageSizeMismatch {
                size,
                expected: u32::from(SIZE),
            });
        }
        if raw.reserved.get() != 0 {
            return Err(Violation::Reserved {
                kind: Kind::SetMaxPackets.to_wire(),
                value: raw.reserved.get(),
            });
        }
        let packets = raw.max_packets.get();
        let packets = PacketCount::clamped(packets).ok_or(Violation::CreditPackets(packets))?;
        Self::new(packets, Bytes::new(raw.max_bytes.get()))
    }

    pub(super) fn to_raw(self) -> RawSetMaxPackets {
        RawSetMaxPackets {
            header: RawHeader {
                kind: Kind::SetMaxPackets.to_wire(),
                flags: 0,
                size: U16::new(SIZE),
            },
            max_packets: U32::new(u32::from(self.packets.0)),
            max_bytes: U32::new(self.bytes.get()),
            reserved: U32::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    fn raw(packets: u32, bytes: u32) -> RawSetMaxPackets {
        RawSetMaxPackets {
            max_packets: U32::new(packets),
            max_bytes: U32::new(bytes),
            ..MaxPackets::of_any_length(PacketCount::MAX).to_raw()
        }
    }

    #[test]
    fn none_is_a_violation_and_many_are_clamped() {
        assert_eq!(
            MaxPackets::parse(raw(0, 65_535).as_bytes()),
            Err(Violation::CreditPackets(0))
        );
        assert_eq!(
            MaxPackets::parse(raw(1, 65_534).as_bytes()),
            Err(Violation::CreditBytes(65_534))
        );
        let most = MaxPackets::parse(raw(u32::MAX, u32::MAX).as_bytes());
        assert_eq!(most.map(MaxPackets::packets), Ok(PacketCount::MAX));
        let one = MaxPackets::parse(raw(1, 65_535).as_bytes());
        assert_eq!(one.map(|one| one.packets().get()), Ok(1));
    }

    #[test]
    fn reserved_is_zero() {
        let raw = RawSetMaxPackets {
            reserved: U32::new(7),
            ..raw(1, 65_535)
        };
        assert_eq!(
            MaxPackets::parse(raw.as_bytes()),
            Err(Violation::Reserved { kind: 1, value: 7 })
        );
    }
}
