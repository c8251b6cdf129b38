// SPDX-License-Identifier: GPL-2.0

//! Pages that the peer may read for as long as they exist.

use crate::{
    bindings,
    net::Skb, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};
use netchannel2_core::{
    grant::GrantRef,
    pool::CHUNK_PAGES,
    units::{
        Bytes,
        DomId,
        FragmentLength, //
    },
};

const PAGES: usize = CHUNK_PAGES as usize;

/// The pages of a chunk of this side's pool, granted read-only to the peer.
///
/// They are zeroed when they are allocated, so that the peer sees nothing but packets for it.
///
/// # Invariants
///
/// Each of `pages` is a zeroed page of this domain, allocated for `self` alone and granted under
/// the reference of the same place in `references`.
pub struct GrantedChunk {
    pages: KVec<*mut bindings::page>,
    references: KVec<GrantRef>,
}

// SAFETY: The pages are plain memory, written through `&mut self` only.
unsafe impl Send for GrantedChunk {}

impl GrantedChunk {
    /// Allocates and grants the pages; may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table is full.
    pub fn new(peer: DomId) -> Result<Self> {
        // INVARIANT: There are no pages.
        let mut this = Self {
            pages: KVec::with_capacity(PAGES, GFP_KERNEL)?,
            references: KVec::with_capacity(PAGES, GFP_KERNEL)?,
        };

        for _ in 0..PAGES {
            // SAFETY: No preconditions.
            let page = unsafe { bindings::nc2_alloc_zeroed_page() };

            if page.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: The page was just allocated; it stays so until access has ended. It is
            // granted read-only.
            let reference = unsafe {
                bindings::gnttab_grant_foreign_access(
                    peer.get(),
                    bindings::nc2_virt_to_gfn(bindings::nc2_page_address(page)),
                    1,
                )
            };
            let granted = to_result(reference.min(0))
                .and_then(|()| GrantRef::new(reference.unsigned_abs()).ok_or(ENOSPC));

            match granted {
                Ok(granted) => {
                    // INVARIANT: The page is granted; there is room for both.
                    this.pages.push(page, GFP_KERNEL)?;
                    this.references.push(granted, GFP_KERNEL)?;
                }
                Err(error) => {
                    // SAFETY: The page was just allocated and is not granted.
                    unsafe { bindings::nc2_put_page(page) };
                    return Err(error);
                }
            }
        }
        Ok(this)
    }

    /// Returns the references of the pages, in their order.
    pub fn references(&self) -> Option<[GrantRef; PAGES]> {
        self.references.as_slice().try_into().ok()
    }

    /// Copies bytes of a packet, from `from` on, to the start of a page.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such page; `EFAULT` if the packet is shorter.
    pub fn fill(&mut self, page: usize, skb: &Skb, from: Bytes, length: FragmentLength) -> Result {
        let page = *self.pages.get(page).ok_or(EINVAL)?;
        let length = usize::from(length.get()).min(PAGE_SIZE);

        // SAFETY: By the type invariant the page is ours, and it is as long.
        unsafe { skb.copy_to(from, bindings::nc2_page_address(page).cast(), length) }
    }

    /// Ends the peer's access, frees the pages, and returns how many of them the peer uses still:
    /// those are freed when it lets go of them.
    pub fn withdraw(mut self) -> u32 {
        self.end()
    }

    fn end(&mut self) -> u32 {
        let mut kept = 0;

        for (page, reference) in self.pages.iter().zip(self.references.iter()) {
            // SAFETY: By the type invariant the page is granted under the reference.
            if unsafe { bindings::gnttab_try_end_foreign_access(reference.get()) } != 0 {
                // SAFETY: Access has ended, and by the type invariant the page is ours.
                unsafe { bindings::nc2_put_page(*page) };
                continue;
            }
            kept += 1;
            // Frees the page when the peer lets go of it.
            //
            // SAFETY: By the type invariant the page is granted under the reference, and ours.
            unsafe { bindings::gnttab_end_foreign_access(reference.get(), *page) };
        }
        // INVARIANT: None of them is ours any more.
        self.pages.clear();
        self.references.clear();
        kept
    }
}

impl Drop for GrantedChunk {
    fn drop(&mut self) {
        self.end();
    }
}
