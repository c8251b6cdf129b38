// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fragments of a packet.

use core::fmt;

use zerocopy::little_endian::{
    U16,
    U32, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::MAX_FRAGMENTS;
use crate::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef,
        PageName, //
    },
    units::{
        FragmentLength,
        PageOffset, //
    },
};

/// A fragment, as it lies in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawFragment {
    /// The page: a reference into the sender's grant table, or a slot of its pool.
    pub page: U32,
    /// Where in the page the fragment starts.
    pub offset: U16,
    /// How many bytes it has.
    pub length: U16,
}

impl RawFragment {
    /// The size of the structure.
    pub(crate) const SIZE: u16 = 8;

    #[inline]
    pub(super) fn parse<P: PageName>(&self, place: u8) -> Result<Fragment<P>, Violation> {
        let page = P::from_wire(place, self.page.get())?;
        let (offset, length) = (self.offset.get(), self.length.get());
        PageOffset::new(offset)
            .zip(FragmentLength::new(length))
            .and_then(|(offset, length)| Fragment::new(page, offset, length))
            .ok_or(Violation::FragmentRange {
                fragment: place,
                offset,
                length,
            })
    }
}

static_assertions::const_assert_eq!(size_of::<RawFragment>(), RawFragment::SIZE as usize);

impl<P: PageName> From<Fragment<P>> for RawFragment {
    #[inline]
    fn from(fragment: Fragment<P>) -> Self {
        Self {
            page: U32::new(fragment.page().to_wire()),
            offset: U16::new(fragment.offset().get()),
            length: U16::new(fragment.length().get()),
        }
    }
}

/// The fragments of one packet, in the order of its bytes.
///
/// # Invariants
///
/// `length` is at most [`MAX_FRAGMENTS`].
#[derive(Clone, Copy)]
pub struct Fragments<P = GrantRef> {
    fragments: [Fragment<P>; MAX_FRAGMENTS as usize],
    length: u8,
}

impl<P: PageName> Fragments<P> {
    /// A packet without fragments.
    // INVARIANT: Zero is within the bound.
    pub const NONE: Self = Self {
        fragments: [Fragment::FILLER; MAX_FRAGMENTS as usize],
        length: 0,
    };

    /// Copies `fragments`, or returns [`None`] if there are more than [`MAX_FRAGMENTS`].
    pub fn from_slice(fragments: &[Fragment<P>]) -> Option<Self> {
        let mut copy = Self::NONE;
        copy.fragments
            .get_mut(..fragments.len())?
            .copy_from_slice(fragments);
        // INVARIANT: The array is that long, so the length is within the bound.
        copy.length = u8::try_from(fragments.len()).ok()?;
        Some(copy)
    }

    /// Adds a fragment, or returns [`None`] if there are [`MAX_FRAGMENTS`] already.
    #[inline]
    pub fn push(&mut self, fragment: Fragment<P>) -> Option<()> {
        *self.fragments.get_mut(usize::from(self.length))? = fragment;
        // INVARIANT: The entry exists, so the length was below the bound.
        self.length = self.length.saturating_add(1);
        Some(())
    }

    /// Forgets all fragments.
    #[inline]
    pub fn clear(&mut self) {
        // INVARIANT: Zero is within the bound.
        self.length = 0;
    }

    /// Returns the fragments.
    #[inline]
    pub fn as_slice(&self) -> &[Fragment<P>] {
        self.fragments
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// Returns how many fragments there are, as on the wire.
    pub const fn count(&self) -> u8 {
        self.length
    }

    /// Adds up the fragments' lengths, in bytes: at most 18 pages.
    #[inline]
    pub fn sum(&self) -> u32 {
        sum(self.as_slice())
    }
}

/// Adds up the fragments' lengths, in bytes: at most 18 pages.
#[inline]
pub(super) fn sum<P: PageName>(fragments: &[Fragment<P>]) -> u32 {
    fragments
        .iter()
        .map(|fragment| u32::from(fragment.length().get()))
        .fold(0, u32::saturating_add)
}

impl<P: PageName> PartialEq for Fragments<P> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<P: PageName> Eq for Fragments<P> {}

impl<P: PageName> fmt::Debug for Fragments<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PoolSlot;

    fn raw(page: u32, offset: u16, length: u16) -> RawFragment {
        RawFragment {
            page: U32::new(page),
            offset: U16::new(offset),
            length: U16::new(length),
        }
    }

    #[test]
    fn fragments_stay_on_their_page() {
        for (offset, length) in [(0, 4096), (4095, 1), (1, 4095)] {
            let fragment = raw(8, offset, length).parse::<GrantRef>(0);
            assert_eq!(fragment.map(|it| it.length().get()), Ok(length));
        }
        for (offset, length) in [(0, 0), (0, 4097), (1, 4096), (4096, 1), (65_535, 1)] {
            assert_eq!(
                raw(8, offset, length).parse::<GrantRef>(2),
                Err(Violation::FragmentRange {
                    fragment: 2,
                    offset,
                    length
                })
            );
        }
    }

    #[test]
    fn reserved_references_are_refused() {
        assert_eq!(
            raw(7, 0, 1).parse::<GrantRef>(1),
            Err(Violation::FragmentReference {
                fragment: 1,
                reference: 7
            })
        );
        assert_eq!(
            raw(1024, 0, 1).parse::<PoolSlot>(1),
            Err(Violation::FragmentSlot {
                fragment: 1,
                slot: 1024
            })
        );
    }

    #[test]
    fn eighteen_fit() {
        let fragments = [Fragment::<GrantRef>::FILLER; 19];
        assert_eq!(Fragments::from_slice(&fragments), None);
        let eighteen = fragments.get(..18).and_then(Fragments::from_slice);
        assert_eq!(eighteen.map(|it| it.count()), Some(18));
        assert_eq!(eighteen.and_then(|mut it| it.push(Fragment::FILLER)), None);
    }
}
