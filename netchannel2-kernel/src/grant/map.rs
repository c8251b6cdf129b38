// SPDX-License-Identifier: GPL-2.0

//! Mapping pages that the peer has granted.

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::null_mut, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};
use netchannel2_core::{
    grant::GrantRef,
    units::{
        DomId,
        FragmentLength,
        PageOffset, //
    },
};

/// Pages that one hypercall unmaps.
const UNMAP_BATCH: usize = 16;

/// What Xen says if it has no maptrack entry, and if it has no room for another reason.
const NO_MAPTRACK: i32 = bindings::GNTST_no_device_space;
const NO_SPACE: i32 = bindings::GNTST_no_space;

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
/// under the handles of the same place. If all are mapped, `starts` has their addresses.
pub struct MappedPages {
    pages: KVec<*mut bindings::page>,
    /// Where the pages are, in the order of the references.
    starts: KVec<*const u8>,
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
    /// `ENOMEM`; `ENOSPC` if Xen has no room for another mapping; `EACCES` if it refuses one of
    /// the references.
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
        let starts = KVec::with_capacity(count, GFP_KERNEL)?;

        // SAFETY: `pages` has room for `count` pointers.
        to_result(unsafe {
            bindings::gnttab_alloc_pages(i32::try_from(count)?, pages.as_mut_ptr())
        })?;
        // INVARIANT: The pages were just allocated; none is mapped.
        let mut this = Self {
            pages,
            starts,
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

        let mut refused = None;

        for (at, operation) in operations.iter().enumerate() {
            if i32::from(operation.status) != bindings::GNTST_okay as i32 {
                refused = Some(match i32::from(operation.status) {
                    NO_MAPTRACK | NO_SPACE => ENOSPC,
                    _ => EACCES,
                });
                continue;
            }
            // Mapped pages come first, so that those under a handle are the ones to unmap.
            let place = this.handles.len();

            this.pages.swap(place, at);
            // INVARIANT: The page in this place is mapped under the handle.
            this.handles.push(operation.handle, GFP_KERNEL)?;
        }
        if let Some(error) = refused {
            return Err(error);
        }
        for page in &this.pages {
            // SAFETY: The page is valid and mapped.
            let start = unsafe { bindings::nc2_page_address(*page) };

            // INVARIANT: All are mapped.
            this.starts.push(start.cast_const().cast(), GFP_KERNEL)?;
        }
        Ok(this)
    }

    /// Returns bytes of a mapped page; `None` for a page or range that does not exist.
    #[inline]
    pub fn bytes(
        &self,
        page: usize,
        offset: PageOffset,
        length: FragmentLength,
    ) -> Option<ForeignBytes<'_>> {
        if length > offset.room() {
            return None;
        }
        let start = *self.starts.get(page)?;

        // INVARIANT: The page is mapped and the range inside it.
        Some(ForeignBytes {
            start: start.wrapping_add(usize::from(offset.get())),
            length: usize::from(length.get()),
            _pages: PhantomData,
        })
    }
}

/// Bytes that another domain may write at any time: they are only ever copied, by C code.
///
/// # Invariants
///
/// `start` is valid for reads of `length` bytes while `'a` lasts.
#[derive(Clone, Copy)]
pub struct ForeignBytes<'a> {
    start: *const u8,
    length: usize,
    _pages: PhantomData<&'a MappedPages>,
}

impl ForeignBytes<'_> {
    /// Returns how many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Splits off the first `count` bytes, or as many as there are.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Self {
        let length = count.min(self.length);
        let first = Self { length, ..*self };

        // INVARIANT: What follows is inside the range too.
        self.start = self.start.wrapping_add(length);
        self.length -= length;
        first
    }

    /// Copies all of them.
    ///
    /// # Safety
    ///
    /// `into` is valid for writes of as many bytes.
    #[inline]
    pub(crate) unsafe fn copy_to(&self, into: *mut u8) {
        // SAFETY: By the type invariant, and the safety requirement. The peer may write at the
        // same time, so the copy is made by C code.
        unsafe { bindings::nc2_memcpy(into.cast(), self.start.cast(), self.length) }
    }

    /// Copies the first bytes into all of `into`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are fewer.
    pub fn read(mut self, into: &mut [u8]) -> Result {
        let first = self.take(into.len());

        if first.length != into.len() {
            return Err(EINVAL);
        }
        // SAFETY: `into` is as long.
        unsafe { first.copy_to(into.as_mut_ptr()) };
        Ok(())
    }
}

impl Drop for MappedPages {
    fn drop(&mut self) {
        for (pages, handles) in self
            .pages
            .chunks_mut(UNMAP_BATCH)
            .zip(self.handles.chunks(UNMAP_BATCH))
        {
            let mut operations: [bindings::gnttab_unmap_grant_ref; UNMAP_BATCH] =
                pin_init::zeroed();
            let mut count = 0;

            for ((page, handle), operation) in pages.iter().zip(handles).zip(operations.iter_mut())
            {
                // SAFETY: By the type invariant the page is mapped under the handle.
                unsafe {
                    bindings::nc2_gnttab_set_unmap_op(
                        operation,
                        bindings::nc2_page_address(*page),
                        self.flags,
                        *handle,
                    )
                };
                count += 1;
            }
            // SAFETY: There are as many operations and pages as `count` says.
            unsafe {
                bindings::gnttab_unmap_refs(
                    operations.as_mut_ptr(),
                    null_mut(),
                    pages.as_mut_ptr(),
                    count,
                )
            };
        }
        if let Ok(count) = i32::try_from(self.pages.len()) {
            // SAFETY: By the type invariant the pages are the allocator's; none is mapped now.
            unsafe { bindings::gnttab_free_pages(count, self.pages.as_mut_ptr()) };
        }
    }
}
