// SPDX-License-Identifier: GPL-2.0

//! Pages that the peer may read for as long as they exist.

use super::GrantedPages;
use crate::{
    bindings,
    net::{
        Reader,
        Skb, //
    },
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
pub struct GrantedChunk(GrantedPages);

impl GrantedChunk {
    /// Allocates and grants the pages; may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table is full.
    pub fn new(peer: DomId) -> Result<Self> {
        let mut pages = GrantedPages::with_capacity(PAGES)?;

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
                // SAFETY: The page was allocated and granted above.
                Ok(granted) => unsafe { pages.push(page, granted)? },
                Err(error) => {
                    // SAFETY: The page was just allocated and is not granted.
                    unsafe { bindings::nc2_put_page(page) };
                    return Err(error);
                }
            }
        }
        Ok(Self(pages))
    }

    /// Returns the references of the pages, in their order.
    pub fn references(&self) -> Option<[GrantRef; PAGES]> {
        let mut references = [GrantRef::FIRST; PAGES];

        for (page, place) in references.iter_mut().enumerate() {
            *place = self.0.get(page)?.1;
        }
        Some(references)
    }

    /// Copies the next bytes of a packet to the start of a page.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such page; `EFAULT` if the packet has no more so many.
    #[inline]
    pub fn fill(&mut self, page: usize, packet: &mut Reader<'_>, length: FragmentLength) -> Result {
        let (page, _) = self.0.get(page).ok_or(EINVAL)?;
        let length = usize::from(length.get()).min(PAGE_SIZE);

        // SAFETY: By the invariant of `GrantedPages` the page is ours, and it is as long.
        unsafe { packet.copy_to(bindings::nc2_page_address(page).cast(), length) }
    }

    /// Copies the first bytes of a packet to the start of a page.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such page; `EFAULT` if the packet has not so many.
    #[inline]
    pub fn fill_whole(&mut self, page: usize, packet: &Skb, length: FragmentLength) -> Result {
        let (page, _) = self.0.get(page).ok_or(EINVAL)?;
        let length = usize::from(length.get()).min(PAGE_SIZE);

        // SAFETY: By the invariant of `GrantedPages` the page is ours, and it is as long.
        unsafe { packet.copy_to(Bytes::ZERO, bindings::nc2_page_address(page).cast(), length) }
    }

    /// Ends the peer's access, and returns the pages that it uses all the same.
    pub fn end(mut self) -> GrantedPages {
        self.0.end();
        self.0
    }
}
