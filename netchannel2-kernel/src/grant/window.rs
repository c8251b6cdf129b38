// SPDX-License-Identifier: GPL-2.0

//! Entries of grant table version 2, mapped so that a range of a page can be granted.
//!
//! The kernel's own interface grants whole pages only. A second mapping of the frames that hold
//! the entries makes the rest of version 2 usable: an entry that is limited to a range of bytes
//! (`GTF_sub_page` of Xen's `public/grant_table.h`) may be copied from and not mapped, so that the
//! peer sees those bytes only, and that it can be revoked at once.

use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};
use netchannel2_core::{
    grant::slots::SlotIndex,
    units::{
        DomId,
        FragmentLength,
        PageOffset, //
    },
};

/// Entries, and status words, on one page.
const ENTRIES: usize = PAGE_SIZE / size_of::<bindings::grant_entry_v2>();
const STATUS_WORDS: usize = PAGE_SIZE / size_of::<bindings::grant_status_t>();

/// Rounds in which an access that Xen says is under way may end: it is one copy of a hypercall.
const PATIENCE: u32 = 1000;

// CAST: These are bits of a `u16`.
const PERMIT: u16 =
    (bindings::GTF_permit_access | bindings::GTF_readonly | bindings::GTF_sub_page) as u16;
const IN_USE: u16 = (bindings::GTF_reading | bindings::GTF_writing) as u16;

/// The number of a machine page that this domain owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u64);

impl Frame {
    /// Returns the frame of a lowmem address; `None` if the page is another domain's, or none.
    pub(crate) fn of(address: *const u8) -> Option<Self> {
        // SAFETY: Only the number of the page is used.
        let entry = unsafe { bindings::nc2_p2m_entry(address.cast()) };

        // The topmost bits say that the page is foreign, or has no entry of its own.
        (entry >> 62 == 0).then_some(Self(entry as u64))
    }
}

/// The entries of one run of references.
///
/// # Invariants
///
/// `entries` and `status` are mapped, and hold the entries and status words of the references
/// `first..first + count`.
pub(super) struct Window {
    entries: MappedFrames,
    status: MappedFrames,
    first: usize,
    count: u16,
}

impl Window {
    /// Maps the entries of `count` references from `first` on, which the caller has allocated.
    ///
    /// Returns `None` where there is nothing to map: the domain's table has version 1, or the
    /// domain is not paravirtualised and cannot map a frame of the table twice.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of the hypercalls; `EIO` if Xen does not list the frames.
    pub(super) fn new(first: u32, count: u16) -> Result<Option<Self>> {
        // SAFETY: These have no preconditions.
        if unsafe { !bindings::nc2_xen_pv_domain() || bindings::nc2_grant_table_version() != 2 } {
            return Ok(None);
        }
        let first = first as usize;
        let last = first + usize::from(count.max(1)) - 1;
        let frames = table_frames()?;
        let status = status_frames(frames.len())?;
        let page = |list: &KVec<u64>, from: usize, to: usize| -> Result<MappedFrames> {
            MappedFrames::new(list.get(from..=to).ok_or(EIO)?)
        };

        // INVARIANT: The frames are those in which the references lie.
        Ok(Some(Self {
            entries: page(&frames, first / ENTRIES, last / ENTRIES)?,
            status: page(&status, first / STATUS_WORDS, last / STATUS_WORDS)?,
            first,
            count,
        }))
    }

    /// Lets `peer` copy `length` bytes of `frame` from `offset` on, under the reference of `slot`,
    /// whose entry is not in use.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such slot.
    pub(super) fn permit(
        &mut self,
        slot: SlotIndex,
        peer: DomId,
        frame: Frame,
        offset: PageOffset,
        length: FragmentLength,
    ) -> Result {
        let entry = self.entry(slot)?;

        // SAFETY: By the type invariant the entry is mapped. It is invalid, so that Xen does not
        // look at the rest of it until the flags are set, behind the write barrier.
        unsafe {
            (*entry).sub_page.page_off = offset.get();
            (*entry).sub_page.length = length.get();
            (*entry).sub_page.frame = frame.0;
            (*entry).hdr.domid = peer.get();
            // Pairs with Xen's read barrier between the flags and the rest of an entry.
            bindings::nc2_virt_wmb();
            (&raw mut (*entry).hdr.flags).write_volatile(PERMIT);
        }
        Ok(())
    }

    /// Makes the entry of `slot` invalid; [`Self::is_free`] then says whether a copy goes on.
    pub(super) fn forbid(&mut self, slot: SlotIndex) {
        if let Ok(entry) = self.entry(slot) {
            // SAFETY: By the type invariant the entry is mapped.
            unsafe { (&raw mut (*entry).hdr.flags).write_volatile(0) };
        }
    }

    /// Waits for a moment until no copy from an entry that was forbidden goes on.
    ///
    /// A full barrier comes between [`Self::forbid`] and this.
    pub(super) fn is_free(&self, slot: SlotIndex) -> bool {
        let Ok(status) = self.status_word(slot) else {
            return true;
        };

        for _ in 0..PATIENCE {
            // SAFETY: By the type invariant the word is mapped; Xen writes it.
            if unsafe { status.read_volatile() } & IN_USE == 0 {
                // Pairs with Xen's barrier between its last access and the clearing of the word:
                // the page is not reused before.
                //
                // SAFETY: A barrier has no preconditions.
                unsafe { bindings::nc2_virt_mb() };
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }

    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Has the status word of `slot` say that Xen copies, or does not.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn pretend_copying(&mut self, slot: SlotIndex, copying: bool) -> Result {
        let word = self.status_word(slot)?.cast_mut();
        let value = match copying {
            true => bindings::GTF_reading as bindings::grant_status_t,
            false => 0,
        };

        // SAFETY: By the type invariant the word is mapped; Xen does not use the entry.
        unsafe { word.write_volatile(value) };
        Ok(())
    }

    fn entry(&self, slot: SlotIndex) -> Result<*mut bindings::grant_entry_v2> {
        let index = self.index(slot)?;
        let page = self
            .entries
            .page(index / ENTRIES - self.first / ENTRIES)
            .ok_or(EINVAL)?;

        Ok(page
            .cast::<bindings::grant_entry_v2>()
            .wrapping_add(index % ENTRIES))
    }

    fn status_word(&self, slot: SlotIndex) -> Result<*const bindings::grant_status_t> {
        let index = self.index(slot)?;
        let page = self
            .status
            .page(index / STATUS_WORDS - self.first / STATUS_WORDS)
            .ok_or(EINVAL)?;

        Ok(page
            .cast::<bindings::grant_status_t>()
            .wrapping_add(index % STATUS_WORDS))
    }

    fn index(&self, slot: SlotIndex) -> Result<usize> {
        if slot.get() >= self.count {
            return Err(EINVAL);
        }
        Ok(self.first + slot.as_usize())
    }
}

/// The frames of this domain's grant table.
fn table_frames() -> Result<KVec<u64>> {
    let mut size: bindings::gnttab_query_size = pin_init::zeroed();

    size.dom = bindings::DOMID_SELF as u16;
    operate(bindings::GNTTABOP_query_size, &mut size)?;

    let mut frames = KVec::from_elem(0usize, size.nr_frames as usize, GFP_KERNEL)?;
    let mut setup: bindings::gnttab_setup_table = pin_init::zeroed();

    setup.dom = bindings::DOMID_SELF as u16;
    setup.nr_frames = size.nr_frames;
    setup.frame_list = frames.as_mut_ptr();
    operate(bindings::GNTTABOP_setup_table, &mut setup)?;
    okay(setup.status)?;

    let mut list = KVec::with_capacity(frames.len(), GFP_KERNEL)?;

    for frame in frames {
        list.push(frame as u64, GFP_KERNEL)?;
    }
    Ok(list)
}

/// The frames of the status words that belong to so many frames of entries.
fn status_frames(entries: usize) -> Result<KVec<u64>> {
    let count = entries
        .checked_mul(ENTRIES)
        .ok_or(EINVAL)?
        .div_ceil(STATUS_WORDS);
    let mut frames = KVec::from_elem(0, count, GFP_KERNEL)?;
    let mut get: bindings::gnttab_get_status_frames = pin_init::zeroed();

    get.dom = bindings::DOMID_SELF as u16;
    get.nr_frames = u32::try_from(count)?;
    get.frame_list = frames.as_mut_ptr();
    operate(bindings::GNTTABOP_get_status_frames, &mut get)?;
    okay(get.status)?;
    Ok(frames)
}

fn operate<T>(command: u32, operation: &mut T) -> Result {
    // SAFETY: The operation is what the command takes, and lives through the call.
    to_result(unsafe { bindings::nc2_grant_table_op(command, (&raw mut *operation).cast(), 1) })
}

fn okay(status: i16) -> Result {
    match i32::from(status) == bindings::GNTST_okay as i32 {
        true => Ok(()),
        false => Err(EIO),
    }
}

/// Machine frames of the grant table at addresses of this domain.
///
/// # Invariants
///
/// `pages` were allocated by `gnttab_alloc_pages()`; the first `mapped` of their addresses lead to
/// frames of the grant table, for as long as `self` lives.
struct MappedFrames {
    pages: KVec<*mut bindings::page>,
    mapped: usize,
}

// SAFETY: The mappings may be used and undone by any thread.
unsafe impl Send for MappedFrames {}

impl MappedFrames {
    fn new(frames: &[u64]) -> Result<Self> {
        let mut pages = KVec::from_elem(null_mut(), frames.len(), GFP_KERNEL)?;

        // SAFETY: `pages` has room for as many pointers.
        to_result(unsafe {
            bindings::gnttab_alloc_pages(i32::try_from(frames.len())?, pages.as_mut_ptr())
        })?;
        // INVARIANT: The pages were just allocated, and none is mapped.
        let mut this = Self { pages, mapped: 0 };

        for (page, frame) in this.pages.iter().zip(frames) {
            // SAFETY: The page has an address and no memory of its own, so that nothing else is
            // reached through it.
            to_result(unsafe {
                bindings::nc2_map_frame(bindings::nc2_page_address(*page), *frame as usize)
            })?;
            // INVARIANT: One more is mapped.
            this.mapped += 1;
        }
        Ok(this)
    }

    fn page(&self, at: usize) -> Option<*mut core::ffi::c_void> {
        let page = self.pages.get(at)?;

        // SAFETY: By the type invariant the page is valid.
        Some(unsafe { bindings::nc2_page_address(*page) })
    }
}

impl Drop for MappedFrames {
    fn drop(&mut self) {
        for page in self.pages.iter().take(self.mapped) {
            // SAFETY: By the type invariant the address was mapped here; nobody uses it any more.
            unsafe { bindings::nc2_unmap_frame(bindings::nc2_page_address(*page)) };
        }
        if let Ok(count) = i32::try_from(self.pages.len()) {
            // SAFETY: By the type invariant the pages are the allocator's; none is mapped now.
            unsafe { bindings::gnttab_free_pages(count, self.pages.as_mut_ptr()) };
        }
    }
}
