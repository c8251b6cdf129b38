// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The header that every message starts with.

use zerocopy::little_endian::U16;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::{
    fragments::RawFragment,
    moderation,
    packet::RawPacket,
    pool::{
        PoolAdd,
        RawPoolChunk, //
    },
    Features,
    HEADER_SIZE,
    MAX_FRAGMENTS,
    MAX_HEAD,
    MAX_MESSAGE, //
};
use crate::{
    error::Violation,
    units::Bytes, //
};

/// The first half of a header, as it lies in the ring; its second half depends on the type.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawHeader {
    /// The message's type, a [`Kind`].
    pub kind: u8,
    /// Flags whose meaning depends on the type.
    pub flags: u8,
    /// The message's size in bytes, with this header and with padding to a multiple of 8.
    pub size: U16,
}

static_assertions::const_assert_eq!(size_of::<RawHeader>(), 4);

impl RawHeader {
    /// Checks that there are no flags, as in all messages but PACKET.
    pub(super) const fn without_flags(&self) -> Result<(), Violation> {
        if self.flags != 0 {
            return Err(Violation::Flags {
                kind: self.kind,
                flags: self.flags,
            });
        }
        Ok(())
    }
}

/// The types of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says how much the sender of this message lets its peer have outstanding.
    SetMaxPackets,
    /// Carries a packet.
    Packet,
    /// Gives back packets.
    Finish,
    /// Offers a chunk of staged memory.
    PoolAdd,
    /// Says that a chunk is not used any more.
    PoolDrop,
    /// Says what became of a chunk of the peer's.
    PoolAnswer,
    /// Says how long events may wait.
    SetModeration,
    /// Fills the ring up to its end.
    Pad,
}

impl Kind {
    /// Returns the number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::SetMaxPackets => 1,
            Self::Packet => 2,
            Self::Finish => 3,
            Self::PoolAdd => 5,
            Self::PoolDrop => 6,
            Self::PoolAnswer => 7,
            Self::SetModeration => 4,
            Self::Pad => 255,
        }
    }

    /// Takes a number from the wire.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::UnknownMessage`] for a number without a meaning.
    #[inline]
    pub const fn from_wire(kind: u8) -> Result<Self, Violation> {
        match kind {
            1 => Ok(Self::SetMaxPackets),
            2 => Ok(Self::Packet),
            3 => Ok(Self::Finish),
            5 => Ok(Self::PoolAdd),
            6 => Ok(Self::PoolDrop),
            7 => Ok(Self::PoolAnswer),
            4 => Ok(Self::SetModeration),
            255 => Ok(Self::Pad),
            _ => Err(Violation::UnknownMessage(kind)),
        }
    }

    /// Checks that messages of this type were negotiated.
    #[inline]
    pub(super) fn check(self, negotiated: Features) -> Result<(), Violation> {
        match self {
            Self::PoolAdd | Self::PoolDrop | Self::PoolAnswer
                if !negotiated.contains(Features::STAGED) =>
            {
                Err(Violation::UnknownMessage(self.to_wire()))
            }
            _ => Ok(()),
        }
    }
}

/// The size of a message that is not a PAD.
///
/// # Invariants
///
/// Is a multiple of 8 in `8..=`[`MAX_MESSAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageSize(u16);

impl MessageSize {
    /// The size of the largest message.
    // INVARIANT: The upper bound itself, a multiple of 8 by the assertion below.
    pub const MAX: Self = Self(MAX_MESSAGE);

    /// Takes a size from the wire.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::MessageSize`] out of bounds and between multiples of 8.
    #[inline]
    pub const fn new(size: u16) -> Result<Self, Violation> {
        if size % 8 != 0 || size < HEADER_SIZE || size > MAX_MESSAGE {
            return Err(Violation::MessageSize { size });
        }
        // INVARIANT: Checked above.
        Ok(Self(size))
    }

    /// Rounds `content` up to the size of a message, or returns [`None`] if there is none.
    #[inline]
    pub fn for_content(content: u32) -> Option<Self> {
        let size = content.checked_next_multiple_of(8)?;
        Self::new(u16::try_from(size).ok()?).ok()
    }

    /// Returns the size on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the size as a count of bytes.
    #[inline]
    pub fn bytes(self) -> Bytes {
        Bytes::new(u32::from(self.0))
    }
}

static_assertions::const_assert_eq!(MAX_MESSAGE % 8, 0);

/// The number of bytes at the start of a message that are to be copied and checked.
///
/// # Invariants
///
/// Lies in `8..=`[`MAX_HEAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLength(u16);

impl HeadLength {
    /// Finds the length in the first 8 bytes of a message.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if no message starts like this.
    #[inline]
    pub fn of(first: [u8; 8]) -> Result<Self, Violation> {
        let [kind, ..] = first;
        Self::of_kind(Kind::from_wire(kind)?, first)
    }

    /// Does as [`Self::of`] for a message whose type is known.
    #[inline]
    pub(crate) fn of_kind(kind: Kind, first: [u8; 8]) -> Result<Self, Violation> {
        let [_, _, low, high, .., fragments] = first;
        let size = u16::from_le_bytes([low, high]);
        let length = match kind {
            Kind::SetMaxPackets => 16,
            Kind::SetModeration => moderation::SIZE,
            Kind::Finish => size,
            Kind::Packet if fragments > MAX_FRAGMENTS => {
                return Err(Violation::FragmentCount { fragments, way: 2 })
            }
            Kind::Packet => RawPacket::SIZE + u16::from(fragments) * RawFragment::SIZE,
            Kind::PoolAdd => PoolAdd::SIZE,
            Kind::PoolDrop | Kind::PoolAnswer => RawPoolChunk::SIZE,
            Kind::Pad => HEADER_SIZE,
        };
        if length < HEADER_SIZE || usize::from(length) > MAX_HEAD {
            return Err(Violation::MessageSize { size });
        }
        // INVARIANT: Checked above.
        Ok(Self(length))
    }

    /// Returns the number of bytes as an index.
    #[inline]
    pub fn as_usize(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the number of bytes as a count.
    #[inline]
    pub fn bytes(self) -> Bytes {
        Bytes::new(u32::from(self.0))
    }
}

// The count of fragments is the last byte of the first 8, and every head fits.
static_assertions::const_assert_eq!(core::mem::offset_of!(RawPacket, fragments), 7);
static_assertions::const_assert!(
    MAX_HEAD >= RawPacket::SIZE as usize + MAX_FRAGMENTS as usize * RawFragment::SIZE as usize
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_there_and_back() {
        for number in 0..=u8::MAX {
            match Kind::from_wire(number) {
                Ok(kind) => assert_eq!(kind.to_wire(), number),
                Err(error) => assert_eq!(error, Violation::UnknownMessage(number)),
            }
        }
    }

    #[test]
    fn sizes_are_multiples_of_eight_in_bounds() {
        assert_eq!(MessageSize::for_content(9).map(MessageSize::get), Some(16));
        assert_eq!(MessageSize::for_content(2225), None);
        assert_eq!(MessageSize::for_content(u32::MAX), None);
        for size in [0, 4, 12, 2232] {
            assert_eq!(MessageSize::new(size), Err(Violation::MessageSize { size }));
        }
        assert_eq!(MessageSize::new(2224), Ok(MessageSize::MAX));
    }

    #[test]
    fn heads_hold_what_is_checked() {
        let packet = |fragments| HeadLength::of([2, 0, 0, 0, 0, 0, 0, fragments]);
        assert_eq!(packet(18).map(HeadLength::as_usize), Ok(176));
        assert!(packet(19).is_err());
        let finish = |size: u16| {
            let [low, high] = size.to_le_bytes();
            HeadLength::of([3, 0, low, high, 0, 0, 0, 0])
        };
        assert_eq!(finish(264).map(HeadLength::as_usize), Ok(264));
        assert!(finish(265).is_err());
        assert!(finish(0).is_err());
    }
}
