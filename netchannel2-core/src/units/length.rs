// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Lengths and offsets, all in bytes.

use core::{
    fmt,
    num::NonZeroU16, //
};

use crate::{
    error::Violation,
    wire::MAX_INLINE, //
};

/// The size of a page as Xen counts it (`XEN_PAGE_SIZE`), whatever the kernel's is.
pub const PAGE_SIZE: u16 = 4096;

/// Counts bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u32);

impl Bytes {
    /// No byte.
    pub const ZERO: Self = Self(0);

    /// Counts `count` bytes.
    #[inline]
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// Returns the number of bytes.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number of bytes as an index.
    #[inline]
    pub const fn as_usize(self) -> usize {
        super::index(self.0)
    }

    /// Adds two counts, stopping at the largest.
    #[must_use]
    #[inline]
    pub const fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// Subtracts `less`, stopping at zero.
    #[must_use]
    #[inline]
    pub const fn saturating_sub(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }
}

impl From<PacketLength> for Bytes {
    #[inline]
    fn from(length: PacketLength) -> Self {
        Self(length.get())
    }
}

/// Counts the bytes of a packet, from its Ethernet header on, without the frame check sequence.
///
/// # Invariants
///
/// Lies in [`PacketLength::MIN`]`..=`[`PacketLength::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketLength(NonZeroU16);

impl PacketLength {
    /// An Ethernet header and nothing else (`ETH_HLEN`).
    pub const MIN: u32 = 14;

    /// The largest packet that a stack sends in one piece (`GSO_LEGACY_MAX_SIZE` is one more).
    pub const MAX: u32 = 65_535;

    /// The length of the largest packet.
    pub const LARGEST: Self = Self(NonZeroU16::MAX);

    /// Counts `length` bytes.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PacketLength`] outside of the bounds.
    #[inline]
    pub fn new(length: u32) -> Result<Self, Violation> {
        if length < Self::MIN {
            return Err(Violation::PacketLength(length));
        }
        // INVARIANT: The lower bound is checked above, the upper one is the width's.
        u16::try_from(length)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or(Violation::PacketLength(length))
    }

    /// Returns the number of bytes.
    #[inline]
    pub fn get(self) -> u32 {
        u32::from(self.0.get())
    }
}

/// Counts the bytes of a packet that lie in its message.
///
/// # Invariants
///
/// Is at most [`MAX_INLINE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InlineLength(u16);

impl InlineLength {
    /// A packet none of whose bytes lie in its message.
    // INVARIANT: Zero is below every limit.
    pub const ZERO: Self = Self(0);

    /// The most that a message takes.
    // INVARIANT: It is the limit.
    pub const MAX: Self = Self(MAX_INLINE);

    /// Counts `length` bytes, or returns [`None`] above [`MAX_INLINE`].
    #[inline]
    pub const fn new(length: u16) -> Option<Self> {
        if length > MAX_INLINE {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(length))
    }

    /// Returns the number of bytes.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the number of bytes as a count.
    #[inline]
    pub fn bytes(self) -> Bytes {
        Bytes(u32::from(self.0))
    }
}

impl TryFrom<PacketLength> for InlineLength {
    type Error = TooLongForInline;

    #[inline]
    fn try_from(length: PacketLength) -> Result<Self, TooLongForInline> {
        Self::new(length.0.get()).ok_or(TooLongForInline)
    }
}

/// Says that a packet is longer than [`MAX_INLINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLongForInline;

/// Locates a byte of a page.
///
/// # Invariants
///
/// Is below [`PAGE_SIZE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageOffset(u16);

impl PageOffset {
    /// The first byte of a page.
    // INVARIANT: Zero is below `PAGE_SIZE`.
    pub const ZERO: Self = Self(0);

    /// Locates the byte `offset`, or returns [`None`] outside of a page.
    #[inline]
    pub const fn new(offset: u16) -> Option<Self> {
        if offset >= PAGE_SIZE {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(offset))
    }

    /// Returns the number of the byte; the first is 0.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Counts the bytes from here to the end of the page.
    #[inline]
    pub const fn room(self) -> FragmentLength {
        // INVARIANT: In `1..=PAGE_SIZE` by the invariant of `Self`.
        FragmentLength(PAGE_SIZE.saturating_sub(self.0))
    }
}

/// Counts the bytes of a fragment, all of which lie on one page.
///
/// # Invariants
///
/// Lies in `1..=`[`PAGE_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentLength(u16);

impl FragmentLength {
    /// A whole page.
    // INVARIANT: The upper bound itself.
    pub const PAGE: Self = Self(PAGE_SIZE);

    /// Counts `length` bytes, or returns [`None`] for none and for more than a page.
    #[inline]
    pub const fn new(length: u16) -> Option<Self> {
        if length == 0 || length > PAGE_SIZE {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(length))
    }

    /// Counts the bytes of a packet, or returns [`None`] for one that is longer than a page.
    #[inline]
    pub const fn of_packet(length: PacketLength) -> Option<Self> {
        Self::new(length.0.get())
    }

    /// Returns the number of bytes.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the number of bytes as a count.
    #[inline]
    pub fn bytes(self) -> Bytes {
        Bytes(u32::from(self.0))
    }
}

display_the_number!(
    Bytes,
    PacketLength,
    InlineLength,
    PageOffset,
    FragmentLength
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_a_header_and_fit_16_bits() {
        assert_eq!(PacketLength::new(13), Err(Violation::PacketLength(13)));
        assert_eq!(PacketLength::new(14).map(PacketLength::get), Ok(14));
        assert_eq!(PacketLength::new(65_535).map(PacketLength::get), Ok(65_535));
        assert_eq!(
            PacketLength::new(65_536),
            Err(Violation::PacketLength(65_536))
        );
        assert_eq!(
            PacketLength::new(0x1_0010),
            Err(Violation::PacketLength(0x1_0010))
        );
    }

    #[test]
    fn page_bounds() {
        assert_eq!(PageOffset::new(4096), None);
        assert_eq!(PageOffset::new(4095).map(|at| at.room().get()), Some(1));
        assert_eq!(PageOffset::ZERO.room(), FragmentLength::PAGE);
        assert_eq!(FragmentLength::new(0), None);
        assert_eq!(FragmentLength::new(4097), None);
        for (length, fits) in [(14, true), (4096, true), (4097, false), (65_535, false)] {
            let fragment = PacketLength::new(length).map(FragmentLength::of_packet);
            assert_eq!(fragment.map(|it| it.is_some()), Ok(fits));
        }
        assert_eq!(InlineLength::new(2049), None);
    }
}
