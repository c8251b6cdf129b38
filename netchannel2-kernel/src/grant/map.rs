// SPDX-License-Identifier: GPL-2.0

//! Mapping pages that the peer has granted.

use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};
use netchannel2_core::{
    grant::GrantRef,
    units::DomId, //
};

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// Pages of another domain, mapped here until dropped.
///
/// # Invariants
///
/// `pages` were allocated by `gnttab_alloc_pages()`; the first `handles.len()` of them are mapped
/// under the handles of the same place.
pub struct MappedPages {
    pages: KVec<*mut bindings::page>,
    handles: KVec<u32>,
    flags: u32,
}

// SAFETY: A mapping may be used and undone by any thread.
unsafe impl Send for MappedPages {}

impl MappedPages {
    /// Maps the pages that `peer` has granted under `references`, all or none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EACCES` if Xen refuses one of the references.
    pub fn new(peer: DomId, references: &[GrantRef], access: Access) -> Result<Self> {
        let count = references.len();
        let flags = bindings::GNTMAP_host_map
            | match access {
                Access::Read => bindings::GNTMAP_readonly,
                Access::ReadWrite => 0,
            };
        let mut pages = KVec::from_elem(null_mut(), count, GFP_KERNEL)?;
        let mut operations = KVec::with_capacity(count, GFP_KERNEL)?;
        let handles = KVec::with_capacity(count, GFP_KERNEL)?;

        // SAFETY: `pages` has room for `count` pointers.
        to_result(unsafe {
            bindings::gnttab_alloc_pages(i32::try_from(count)?, pages.as_mut_ptr())
        })?;
        // INVARIANT: The pages were just allocated; none is mapped.
        let mut this = Self {
            pages,
            handles,
            flags,
        };

        for (page, reference) in this.pages.iter().zip(references) {
            let mut operation: bindings::gnttab_map_grant_ref = pin_init::zeroed();

            // SAFETY: The page is valid and `operation` may be written.
            unsafe {
                bindings::nc2_gnttab_set_map_op(
                    &mut operation,
                    bindings::nc2_page_address(*page),
                    flags,
                    reference.get(),
                    peer.get(),
                )
            };
            operations.push(operation, GFP_KERNEL)?;
        }
        // SAFETY: As many operations as pages; no kernel-mapping operations.
        to_result(unsafe {
            bindings::gnttab_map_refs(
                operations.as_mut_ptr(),
                null_mut(),
                this.pages.as_mut_ptr(),
                u32::try_from(count)?,
            )
        })?;

        let mut refused = false;

        for (at, operation) in operations.iter().enumerate() {
            if i32::from(operation.status) != bindings::GNTST_okay as i32 {
                refused = true;
                continue;
            }
            // Mapped pages come first, so that those under a handle are the ones to unmap.
            let place = this.handles.len();

            this.pages.swap(place, at);
            // INVARIANT: The page in this place is mapped under the handle.
            this.handles.push(operation.handle, GFP_KERNEL)?;
        }
        if refused {
            return Err(EACCES);
        }
        Ok(this)
    }

    /// Copies bytes out of a mapped page.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a page or range that does not exist.
    pub fn read(&self, page: usize, offset: usize, into: &mut [u8]) -> Result {
        let end = offset.checked_add(into.len()).ok_or(EINVAL)?;
        let page = *self.pages.get(page).ok_or(EINVAL)?;

        if end > PAGE_SIZE {
            return Err(EINVAL);
        }
        // SAFETY: The page is mapped and the range inside it. The peer may write at the same time,
        // so the copy is made by C code.
        unsafe {
            bindings::nc2_memcpy(
                into.as_mut_ptr().cast(),
                bindings::nc2_page_address(page).byte_add(offset),
                into.len(),
            )
        };
        Ok(())
    }
}

impl Drop for MappedPages {
    fn drop(&mut self) {
        for (page, handle) in self.pages.iter_mut().zip(self.handles.iter()) {
            let mut operation: bindings::gnttab_unmap_grant_ref = pin_init::zeroed();

            // SAFETY: By the type invariant the page is mapped under the handle.
            unsafe {
                bindings::nc2_gnttab_set_unmap_op(
                    &mut operation,
                    bindings::nc2_page_address(*page),
                    self.flags,
                    *handle,
                );
                bindings::gnttab_unmap_refs(&mut operation, null_mut(), page, 1);
            }
        }
        if let Ok(count) = i32::try_from(self.pages.len()) {
            // SAFETY: By the type invariant the pages are the allocator's; none is mapped now.
            unsafe { bindings::gnttab_free_pages(count, self.pages.as_mut_ptr()) };
        }
    }
}
