// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Positions in a ring.

use core::fmt;

use super::Bytes;

/// Every message starts at a multiple of this many bytes and is as long as one.
pub const ALIGNMENT: u32 = 8;

/// Says how large a ring is: 2^order pages.
///
/// # Invariants
///
/// Lies in [`RingOrder::MIN`]`..=`[`RingOrder::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingOrder(u8);

impl RingOrder {
    /// Four pages: enough for the largest message beside the largest reserve.
    // INVARIANT: The lower bound itself.
    pub const MIN: Self = Self(2);

    /// Sixteen pages, the default.
    // INVARIANT: The upper bound itself.
    pub const MAX: Self = Self(4);

    /// The most pages that a ring has.
    pub const MAX_PAGES: usize = 1 << Self::MAX.0;

    /// Takes 2^`order` pages, or returns [`None`] outside of the bounds.
    #[inline]
    pub const fn new(order: u8) -> Option<Self> {
        if order < Self::MIN.0 || order > Self::MAX.0 {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(order))
    }

    /// Returns the order.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the order as a shift, which the invariant keeps from wrapping.
    #[inline]
    const fn shift(self) -> u32 {
        // CAST: Lossless; `From` is not const.
        self.0 as u32
    }

    /// Returns how many pages the ring has.
    #[inline]
    pub const fn pages(self) -> usize {
        1_usize.wrapping_shl(self.shift())
    }

    /// Returns how many bytes the ring has.
    #[inline]
    pub const fn bytes(self) -> Bytes {
        Bytes::new(4096_u32.wrapping_shl(self.shift()))
    }
}

/// Counts the bytes that ever went through a ring, modulo 2^32.
///
/// Indices are not compared but measured from one another, so that wrapping does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RingIndex(u32);

impl RingIndex {
    /// Where both sides of a ring start.
    pub const START: Self = Self(0);

    /// Takes the index `value`, as found in a control page.
    #[inline]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns the word for the control page.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Moves on by `bytes`.
    #[must_use]
    #[inline]
    pub const fn advance(self, bytes: Bytes) -> Self {
        Self(self.0.wrapping_add(bytes.get()))
    }

    /// Counts the bytes from `earlier` to this index.
    #[inline]
    pub const fn distance(self, earlier: Self) -> Bytes {
        Bytes::new(self.0.wrapping_sub(earlier.0))
    }

    /// Says whether messages may start here.
    #[inline]
    pub const fn is_aligned(self) -> bool {
        self.0 % ALIGNMENT == 0
    }

    /// Locates the index in a ring of size `order`.
    #[inline]
    pub const fn offset(self, order: RingOrder) -> RingOffset {
        RingOffset(self.0 & order.bytes().get().wrapping_sub(1))
    }
}

/// Locates a byte of a ring; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingOffset(u32);

impl RingOffset {
    /// Returns the number of the byte.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number of the byte as an index.
    #[inline]
    pub const fn as_usize(self) -> usize {
        super::index(self.0)
    }

    /// Counts the bytes from here to the end of a ring of size `order`.
    #[inline]
    pub const fn to_end(self, order: RingOrder) -> Bytes {
        order.bytes().saturating_sub(Bytes::new(self.0))
    }

    /// Moves on by `bytes`, without wrapping: the caller stays within one message.
    #[inline]
    pub(crate) const fn forward(self, bytes: Bytes) -> Self {
        Self(self.0.saturating_add(bytes.get()))
    }
}

display_the_number!(RingOrder, RingIndex, RingOffset);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        assert_eq!(RingOrder::new(1), None);
        assert_eq!(RingOrder::new(5), None);
        assert_eq!(RingOrder::MIN.bytes(), Bytes::new(16_384));
        assert_eq!(RingOrder::MAX.pages(), RingOrder::MAX_PAGES);
    }

    #[test]
    fn indices_wrap() {
        let before = RingIndex::new(u32::MAX - 7);
        let after = before.advance(Bytes::new(24));
        assert_eq!(after, RingIndex::new(16));
        assert_eq!(after.distance(before), Bytes::new(24));
        assert_eq!(before.offset(RingOrder::MIN).get(), 16_376);
        assert_eq!(
            before.offset(RingOrder::MIN).to_end(RingOrder::MIN),
            Bytes::new(8)
        );
    }
}
