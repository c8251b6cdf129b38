// SPDX-License-Identifier: GPL-2.0

//! Pages that the peer has access to, and may keep longer than it should.

use crate::bindings;
use kernel::prelude::*;
use netchannel2_core::grant::GrantRef;

/// A page and the reference under which it is granted.
struct Granted {
    page: *mut bindings::page,
    reference: GrantRef,
}

/// Pages of this domain, each granted to the peer as a whole.
///
/// # Invariants
///
/// Each page is this domain's, allocated for `self` alone, and granted under its reference.
pub struct GrantedPages(KVec<Granted>);

// SAFETY: The pages are plain memory; the references belong to the domain.
unsafe impl Send for GrantedPages {}

impl GrantedPages {
    /// Holds no page.
    pub const fn new() -> Self {
        // INVARIANT: There are no pages.
        Self(KVec::new())
    }

    /// Holds no page, and has room for `count`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn with_capacity(count: usize) -> Result<Self> {
        // INVARIANT: There are no pages.
        Ok(Self(KVec::with_capacity(count, GFP_KERNEL)?))
    }

    /// Takes a page over, for which there is room.
    ///
    /// # Errors
    ///
    /// `ENOSPC`, and the page is the caller's, if there is none.
    ///
    /// # Safety
    ///
    /// The page is this domain's, allocated and not in use by others, and granted under
    /// `reference`.
    pub(super) unsafe fn push(&mut self, page: *mut bindings::page, reference: GrantRef) -> Result {
        // INVARIANT: By the safety requirement.
        self.0
            .push_within_capacity(Granted { page, reference })
            .map_err(|_| ENOSPC)
    }

    /// Returns how many pages there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a page and its reference.
    pub(super) fn get(&self, page: usize) -> Option<(*mut bindings::page, GrantRef)> {
        self.0
            .get(page)
            .map(|granted| (granted.page, granted.reference))
    }

    /// Ends the peer's access, frees the pages that it does not use, and returns how many are left.
    pub fn end(&mut self) -> usize {
        // INVARIANT: What is taken out is not granted any more, and freed.
        self.0.retain(|granted| {
            // SAFETY: By the type invariant the reference is ours and granted.
            let ended =
                unsafe { bindings::gnttab_try_end_foreign_access(granted.reference.get()) != 0 };

            if ended {
                // SAFETY: By the type invariant the page is ours alone.
                unsafe { bindings::nc2_put_page(granted.page) };
            }
            !ended
        });
        self.len()
    }

    /// Takes over all pages of `other`; where there is no memory to note them, the kernel does.
    pub fn absorb(&mut self, mut other: Self) {
        if self.0.reserve(other.len(), GFP_KERNEL).is_err() {
            return;
        }
        // INVARIANT: They are granted as before, and `other` has them no more.
        while let Some(granted) = other.0.pop() {
            let _ = self.0.push_within_capacity(granted);
        }
    }
}

impl Default for GrantedPages {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for GrantedPages {
    fn drop(&mut self) {
        for granted in self.0.iter() {
            // Frees the page at once, or when the peer lets go of it.
            //
            // SAFETY: By the type invariant the page is granted under the reference, and ours.
            unsafe {
                bindings::gnttab_end_foreign_access(granted.reference.get(), granted.page);
            };
        }
    }
}
