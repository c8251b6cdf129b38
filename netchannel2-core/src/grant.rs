// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages that one side lets the other copy from.

pub mod copy;
pub mod slots;

use core::fmt;

use crate::{
    error::Violation,
    units::{
        FragmentLength,
        PageOffset, //
    },
};

/// Refers to an entry of a domain's grant table (`grant_ref_t` of Xen's `public/grant_table.h`).
///
/// # Invariants
///
/// Is none of the entries that Xen reserves (`GNTTAB_NR_RESERVED_ENTRIES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantRef(u32);

impl GrantRef {
    /// The first entry that is not reserved.
    // INVARIANT: The lower bound itself.
    pub const FIRST: Self = Self(8);

    /// Refers to the entry `reference`, or returns [`None`] for a reserved one.
    #[inline]
    pub const fn new(reference: u32) -> Option<Self> {
        if reference < Self::FIRST.0 {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(reference))
    }

    /// Returns the number that hypercalls use.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for GrantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What names the page of a fragment, in 32 bits of its message.
pub trait PageName: Copy + Eq + fmt::Debug {
    /// A value for places of an array that are not in use.
    const FILLER: Self;

    /// Returns the number on the wire.
    fn to_wire(self) -> u32;

    /// Takes the number of a packet's fragment from the wire.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] that a number is which names no page.
    fn from_wire(fragment: u8, number: u32) -> Result<Self, Violation>;
}

impl PageName for GrantRef {
    const FILLER: Self = Self::FIRST;

    #[inline]
    fn to_wire(self) -> u32 {
        self.0
    }

    #[inline]
    fn from_wire(fragment: u8, reference: u32) -> Result<Self, Violation> {
        Self::new(reference).ok_or(Violation::FragmentReference {
            fragment,
            reference,
        })
    }
}

/// Bytes of one page: a granted one, or a slot of a pool.
///
/// # Invariants
///
/// `offset + length` is at most the size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<P = GrantRef> {
    page: P,
    offset: PageOffset,
    length: FragmentLength,
}

impl Fragment {
    /// Returns the page.
    #[inline]
    pub const fn reference(&self) -> GrantRef {
        self.page
    }
}

impl<P: PageName> Fragment<P> {
    /// A value for places of an array that are not in use.
    // INVARIANT: A whole page from its start.
    pub(crate) const FILLER: Self = Self {
        page: P::FILLER,
        offset: PageOffset::ZERO,
        length: FragmentLength::PAGE,
    };

    /// Takes `length` bytes from `offset` on, or returns [`None`] if they cross the page's end.
    #[inline]
    pub fn new(page: P, offset: PageOffset, length: FragmentLength) -> Option<Self> {
        if length > offset.room() {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self {
            page,
            offset,
            length,
        })
    }

    /// Takes the first `length` bytes of a page.
    #[inline]
    pub const fn at_start(page: P, length: FragmentLength) -> Self {
        // INVARIANT: A length is at most a page.
        Self {
            page,
            offset: PageOffset::ZERO,
            length,
        }
    }

    /// Returns the page.
    #[inline]
    pub const fn page(&self) -> P {
        self.page
    }

    /// Returns where in the page the fragment starts.
    #[inline]
    pub const fn offset(&self) -> PageOffset {
        self.offset
    }

    /// Returns how many bytes the fragment has.
    #[inline]
    pub const fn length(&self) -> FragmentLength {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_entries_are_no_references() {
        assert_eq!(GrantRef::new(7), None);
        assert_eq!(GrantRef::new(8), Some(GrantRef::FIRST));
    }

    #[test]
    fn fragments_end_with_their_page() {
        let fragment = |offset, length| {
            PageOffset::new(offset)
                .zip(FragmentLength::new(length))
                .and_then(|(offset, length)| Fragment::new(GrantRef::FIRST, offset, length))
        };
        assert!(fragment(4000, 96).is_some());
        assert!(fragment(4000, 97).is_none());
    }
}
