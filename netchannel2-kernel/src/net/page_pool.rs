// SPDX-License-Identifier: GPL-2.0

//! Page pools: pages that travel up the stack in sk_buffs and come back.
//!
//! C header: [`include/net/page_pool/types.h`](srctree/include/net/page_pool/types.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_uint,
        c_void, //
    },
    prelude::*, //
};

/// A page pool without DMA, allocated from by one NAPI instance.
///
/// # Invariants
///
/// `raw` is a pool that `page_pool_create()` made and that is not destroyed.
pub struct PagePool {
    raw: NonNull<bindings::page_pool>,
}

// SAFETY: A pool may move between threads; allocation is serialised by `&mut self`.
unsafe impl Send for PagePool {}

impl PagePool {
    /// Creates a pool that keeps up to `size` pages for reuse.
    ///
    /// # Errors
    ///
    /// Those of `page_pool_create()`.
    pub fn new(size: u32) -> Result<Self> {
        let mut parameters: bindings::page_pool_params = pin_init::zeroed();

        parameters.__bindgen_anon_1.__bindgen_anon_1.pool_size = size;
        parameters.__bindgen_anon_1.__bindgen_anon_1.nid = kernel::bindings::NUMA_NO_NODE;
        // SAFETY: The parameters are initialised; the pool copies them.
        let raw = from_err_ptr(unsafe { bindings::page_pool_create(&parameters) })?;

        // INVARIANT: The pool was just created.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
        })
    }

    /// Takes a page; `None` if there is no memory.
    #[inline]
    pub(super) fn allocate(&mut self) -> Option<PoolPage> {
        // SAFETY: By the type invariant the pool lives; `&mut self` excludes other allocators.
        let page = NonNull::new(unsafe { bindings::nc2_page_pool_alloc(self.raw.as_ptr()) })?;

        // INVARIANT: The page was just taken from the pool.
        Some(PoolPage {
            page,
            pool: self.raw,
        })
    }

    /// Takes a part of a page, of `size` bytes or some more; `None` if there is no memory.
    #[inline]
    pub(super) fn allocate_part(&mut self, mut size: c_uint) -> Option<PoolPart> {
        // SAFETY: As in `allocate`; `size` is at most a page by the callers' constants.
        let start = unsafe { bindings::nc2_page_pool_alloc_va(self.raw.as_ptr(), &mut size) };

        // INVARIANT: The part was just taken from the pool, which says how long it is.
        Some(PoolPart {
            start: NonNull::new(start)?,
            size,
            pool: self.raw,
        })
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pool lives. It goes when its last page has come back.
        unsafe { bindings::page_pool_destroy(self.raw.as_ptr()) }
    }
}

/// A page taken from a pool.
///
/// # Invariants
///
/// `page` was taken from `pool` and not returned; a pool lives as long as one of its pages is out.
pub(super) struct PoolPage {
    page: NonNull<bindings::page>,
    pool: NonNull<bindings::page_pool>,
}

// SAFETY: Pages may be returned from any context.
unsafe impl Send for PoolPage {}

impl PoolPage {
    /// The start of the page's memory, which is this page's alone.
    #[inline]
    pub(super) fn address(&self) -> *mut u8 {
        // SAFETY: By the type invariant the page is valid; pools without DMA serve lowmem pages.
        unsafe { bindings::nc2_page_address(self.page.as_ptr()) }.cast()
    }

    /// Gives the page to an sk_buff that is marked for recycling.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::page {
        let page = self.page.as_ptr();

        core::mem::forget(self);
        page
    }
}

impl Drop for PoolPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the page is out and its pool alive.
        unsafe { bindings::nc2_page_pool_put(self.pool.as_ptr(), self.page.as_ptr()) }
    }
}

/// A part of a page taken from a pool; other parts of the page are other packets'.
///
/// # Invariants
///
/// `start` is the address of `size` bytes that were taken from `pool` and not returned; a pool lives
/// as long as one of its pages is out.
pub(super) struct PoolPart {
    start: NonNull<c_void>,
    size: c_uint,
    pool: NonNull<bindings::page_pool>,
}

impl PoolPart {
    /// The part's memory, which is this part's alone.
    #[inline]
    pub(super) fn address(&self) -> *mut c_void {
        self.start.as_ptr()
    }

    /// How many bytes it has.
    #[inline]
    pub(super) fn size(&self) -> c_uint {
        self.size
    }

    /// Gives the part to an sk_buff that is marked for recycling.
    #[inline]
    pub(super) fn give_away(self) {
        core::mem::forget(self);
    }
}

impl Drop for PoolPart {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the part is out and its pool alive.
        unsafe { bindings::nc2_page_pool_free_va(self.pool.as_ptr(), self.start.as_ptr()) }
    }
}
