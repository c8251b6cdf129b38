// SPDX-License-Identifier: GPL-2.0

//! A contiguous run of grant references, each with a page of its own to lend.

use crate::{
    bindings,
    net::Skb, //
};
use kernel::{
    alloc::Flags,
    error::to_result,
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use netchannel2_core::{
    grant::{
        slots::SlotIndex,
        Fragment,
        GrantRef, //
    },
    units::{
        Bytes,
        DomId,
        FragmentLength,
        PageOffset, //
    },
};

/// A peer still has a page mapped, or a copy from it in flight, that was to be revoked.
#[derive(Clone, Copy, Debug)]
pub struct StillGranted(pub GrantRef);

/// A run of grant references towards one domain, with a page for each.
///
/// A page is lent read-only, for one packet at a time, and holds nothing but that packet: it is
/// allocated zeroed, and what an earlier packet left beyond the end of the next one is zeroed
/// before it is granted. Grant table version 1 can lend whole pages only, so that this copy of the
/// packet is what keeps everything else private; range-limited grants of version 2 are to grant
/// the packet's bytes where they lie instead.
///
/// # Invariants
///
/// - `first..first + pages.len()` are grant references that this run has allocated.
/// - A page with `Lent::Yes` is granted under its reference; all others are not granted.
pub struct GrantRun {
    first: u32,
    peer: DomId,
    pages: KVec<LentPage>,
}

struct LentPage {
    /// Allocated when it is first needed.
    page: Option<Page>,
    /// Bytes from the start that may be other than zero.
    used: usize,
    lent: Lent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lent {
    No,
    Yes,
}

impl GrantRun {
    /// Allocates `count` references for grants to `peer`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table cannot hold so many in a run.
    pub fn new(peer: DomId, count: u16) -> Result<Self> {
        let mut pages = KVec::with_capacity(usize::from(count), GFP_KERNEL)?;
        let mut first = 0;

        for _ in 0..count {
            pages.push(
                LentPage {
                    page: None,
                    used: 0,
                    lent: Lent::No,
                },
                GFP_KERNEL,
            )?;
        }
        // SAFETY: `first` is valid for a write.
        to_result(unsafe {
            bindings::gnttab_alloc_grant_reference_seq(u32::from(count), &mut first)
        })?;
        // INVARIANT: The references were just allocated and nothing is granted.
        Ok(Self { first, peer, pages })
    }

    /// Copies `length` bytes of `skb` from `from` on into the slot's page and lends it to the peer.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the slot is lent; `EINVAL` for a slot or range that does not exist; `ENOMEM`;
    /// `EFAULT` if the packet is shorter.
    pub fn lend(
        &mut self,
        slot: SlotIndex,
        skb: &Skb,
        from: Bytes,
        length: FragmentLength,
        flags: Flags,
    ) -> Result<Fragment> {
        let reference = self.reference(slot)?;
        let peer = self.peer;
        let lent = self.pages.get_mut(usize::from(slot.get())).ok_or(EINVAL)?;

        if lent.lent == Lent::Yes {
            return Err(EBUSY);
        }
        let fragment = Fragment::new(reference, PageOffset::ZERO, length).ok_or(EINVAL)?;
        let page = match &mut lent.page {
            Some(page) => page,
            empty => empty.insert(Page::alloc_page(flags | __GFP_ZERO)?),
        };
        // SAFETY: The page is a valid lowmem page, as no `__GFP_HIGHMEM` was given.
        let start = unsafe { bindings::nc2_page_address(page.as_ptr().cast()) }.cast::<u8>();
        let length = usize::from(length.get()).min(PAGE_SIZE);
        let stale = lent.used.max(length).min(PAGE_SIZE);

        // SAFETY: The page is ours alone: it is not granted, `&mut self` excludes other writers.
        let bytes = unsafe { core::slice::from_raw_parts_mut(start, stale) };
        let (fresh, rest) = bytes.split_at_mut_checked(length).ok_or(EINVAL)?;

        rest.fill(0);
        lent.used = length;
        skb.copy_bits(from, fresh)?;

        // SAFETY: The reference is of this run and not granted; the frame is that of a page which
        // stays allocated until access has ended. It is granted read-only.
        unsafe {
            bindings::gnttab_grant_foreign_access_ref(
                reference.get(),
                peer.get(),
                bindings::nc2_virt_to_gfn(start.cast()),
                1,
            )
        };
        // INVARIANT: The page was just granted.
        lent.lent = Lent::Yes;
        Ok(fragment)
    }

    /// Ends the peer's access to the slot's page.
    ///
    /// # Errors
    ///
    /// [`StillGranted`] if the peer uses it still; the page stays lent, and is not touched.
    pub fn revoke(&mut self, slot: SlotIndex) -> Result<(), StillGranted> {
        let Ok(reference) = self.reference(slot) else {
            return Ok(());
        };
        let Some(lent) = self.pages.get_mut(usize::from(slot.get())) else {
            return Ok(());
        };

        if lent.lent == Lent::No {
            return Ok(());
        }
        // SAFETY: By the type invariant the reference is ours and granted.
        if unsafe { bindings::gnttab_end_foreign_access_ref(reference.get()) } == 0 {
            return Err(StillGranted(reference));
        }
        // INVARIANT: Access has ended.
        lent.lent = Lent::No;
        Ok(())
    }

    /// How many pages are lent.
    pub fn lent(&self) -> usize {
        self.pages
            .iter()
            .filter(|page| page.lent == Lent::Yes)
            .count()
    }

    fn reference(&self, slot: SlotIndex) -> Result<GrantRef> {
        let number = self
            .first
            .checked_add(u32::from(slot.get()))
            .ok_or(EINVAL)?;

        GrantRef::new(number).ok_or(EINVAL)
    }
}

impl Drop for GrantRun {
    fn drop(&mut self) {
        for (at, lent) in (0u32..).zip(self.pages.iter_mut()) {
            let reference = self.first.wrapping_add(at);

            match lent.lent {
                // SAFETY: By the type invariant the reference is ours and not granted.
                Lent::No => unsafe { bindings::gnttab_free_grant_reference(reference) },
                // The kernel frees the reference, and its own hold on the page, when the peer lets
                // go; if it never does, page and reference are lost to use but not to safety.
                //
                // SAFETY: By the type invariant the reference is ours and granted.
                Lent::Yes => unsafe {
                    bindings::gnttab_end_foreign_access(reference, core::ptr::null_mut())
                },
            }
        }
    }
}
