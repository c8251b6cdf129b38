// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages that one side lets the other copy from.

pub mod copy;
pub mod slots;

use core::fmt;

use crate::units::{
    FragmentLength,
    PageOffset, //
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

/// Bytes of one granted page.
///
/// # Invariants
///
/// `offset + length` is at most the size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    reference: GrantRef,
    offset: PageOffset,
    length: FragmentLength,
}

impl Fragment {
    /// A value for places of an array that are not in use.
    // INVARIANT: A whole page from its start.
    pub(crate) const FILLER: Self = Self {
        reference: GrantRef::FIRST,
        offset: PageOffset::ZERO,
        length: FragmentLength::PAGE,
    };

    /// Takes `length` bytes from `offset` on, or returns [`None`] if they cross the page's end.
    #[inline]
    pub fn new(reference: GrantRef, offset: PageOffset, length: FragmentLength) -> Option<Self> {
        if length > offset.room() {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self {
            reference,
            offset,
            length,
        })
    }

    /// Returns the page.
    #[inline]
    pub const fn reference(&self) -> GrantRef {
        self.reference
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
