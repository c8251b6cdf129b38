// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A type for every index, identity and length, so that none is taken for another.

/// Displays a newtype as the number in it.
macro_rules! display_the_number {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

mod identity;
mod length;
mod ring;

pub use self::{
    identity::{
        DomId,
        EventPort,
        PacketId,
        QueueCount,
        QueueIndex,
        Version, //
    },
    length::{
        Bytes,
        FragmentLength,
        InlineLength,
        PacketLength,
        PageOffset,
        PAGE_SIZE, //
    },
    ring::{
        RingIndex,
        RingOffset,
        RingOrder,
        ALIGNMENT, //
    },
};

/// Widens `value` to an index; the protocol needs pointers of 32 bits at least.
#[inline]
pub(crate) const fn index(value: u32) -> usize {
    static_assertions::const_assert!(usize::BITS >= u32::BITS);
    // CAST: lossless by the assertion above; `From` is not implemented for 16-bit targets' sake.
    value as usize
}

/// Narrows the length of a slice, which this crate only calls with slices shorter than a ring.
#[inline]
pub(crate) fn length_of<T>(slice: &[T]) -> u32 {
    u32::try_from(slice.len()).unwrap_or(u32::MAX)
}
