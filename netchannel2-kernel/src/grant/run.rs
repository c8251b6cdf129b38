// SPDX-License-Identifier: GPL-2.0

//! A contiguous run of grant references.

use super::{
    window::{
        Frame,
        Window, //
    },
    GrantedPages, //
};
use crate::{
    bindings,
    net::{
        Piece,
        Skb, //
    },
};

use kernel::{
    alloc::Flags,
    error::to_result,
    fmt,
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
    knobs::Switch,
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

/// How much of a page a grant shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantVersion {
    /// The whole page: grant table version 1, or a domain that cannot write version 2 itself.
    WholePage,
    /// The bytes of the packet: grant table version 2.
    Range,
}

impl fmt::Display for GrantVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WholePage => "whole pages (grant table version 1)",
            Self::Range => "ranges of bytes (grant table version 2)",
        })
    }
}

/// A run of grant references towards one domain, each a slot.
///
/// With grant table version 2 the bytes of a packet are lent where they lie, and the peer can
/// reach no others, see [`Self::lend_piece`].
///
/// With version 1 a page is lent as a whole, so that it must hold nothing but one packet: each
/// slot has a page of its own, allocated zeroed, and what an earlier packet left beyond the end of
/// the next one is zeroed before it is granted, see [`Self::lend_copy`].
///
/// # Invariants
///
/// - `first..first + slots.len()` are grant references that this run has allocated, but for those of
///   slots with `Lent::Left`, which it has given away.
/// - A slot with `Lent::Yes` is granted under its reference; all others are not granted.
/// - `window`, if any, holds the entries of the run; they are written in no other way.
pub struct GrantRun {
    first: u32,
    peer: DomId,
    slots: KVec<Lending>,
    window: Option<Window>,
}

struct Lending {
    /// Allocated when it is first needed.
    page: Option<Page>,
    /// Bytes from the start of the page that may be other than zero.
    used: usize,
    lent: Lent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lent {
    No,
    Yes,
    /// Reference and page are not the run's any more.
    Left,
}

impl GrantRun {
    /// Allocates `count` references for grants to `peer`, limited to ranges if `ranges` allows that
    /// and the domain's grant table has version 2.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table cannot hold so many in a run.
    pub fn new(peer: DomId, count: u16, ranges: Switch) -> Result<Self> {
        let mut slots = KVec::with_capacity(usize::from(count), GFP_KERNEL)?;
        let mut first = 0;

        for _ in 0..count {
            slots.push(
                Lending {
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
        let mut run = Self {
            first,
            peer,
            slots,
            window: None,
        };

        if ranges.is_on() {
            run.window = Window::new(first, count)?;
        }
        Ok(run)
    }

    /// Returns how many references there are.
    pub fn count(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// Returns how much of a page a grant of this run shows.
    pub fn version(&self) -> GrantVersion {
        match self.window {
            Some(_) => GrantVersion::Range,
            None => GrantVersion::WholePage,
        }
    }

    /// Lends bytes of a packet where they lie; the packet is kept until they are revoked.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the slot is lent; `EINVAL` for a slot that does not exist; `EOPNOTSUPP` if the
    /// run lends whole pages only, or the page is another domain's.
    pub fn lend_piece(&mut self, slot: SlotIndex, piece: &Piece<'_>) -> Result<Fragment> {
        let fragment =
            Fragment::new(self.reference(slot)?, piece.offset(), piece.length()).ok_or(EINVAL)?;
        let frame = piece.frame().ok_or(EOPNOTSUPP)?;
        let lending = self.slots.get_mut(slot.as_usize()).ok_or(EINVAL)?;
        let window = self.window.as_mut().ok_or(EOPNOTSUPP)?;

        if lending.lent == Lent::Yes {
            return Err(EBUSY);
        }
        window.permit(slot, self.peer, frame, piece.offset(), piece.length())?;
        // INVARIANT: The range was just granted.
        lending.lent = Lent::Yes;
        Ok(fragment)
    }

    /// Copies `length` bytes of `skb` from `from` on into the slot's page and lends it to the peer.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the slot is lent; `EINVAL` for a slot or range that does not exist; `ENOMEM`;
    /// `EFAULT` if the packet is shorter.
    pub fn lend_copy(
        &mut self,
        slot: SlotIndex,
        skb: &Skb,
        from: Bytes,
        length: FragmentLength,
        flags: Flags,
    ) -> Result<Fragment> {
        let reference = self.reference(slot)?;
        let peer = self.peer;
        let lending = self.slots.get_mut(slot.as_usize()).ok_or(EINVAL)?;

        if lending.lent == Lent::Yes {
            return Err(EBUSY);
        }
        let fragment = Fragment::new(reference, PageOffset::ZERO, length).ok_or(EINVAL)?;
        let page = match &mut lending.page {
            Some(page) => page,
            empty => empty.insert(Page::alloc_page(flags | __GFP_ZERO)?),
        };
        // SAFETY: The page is a valid lowmem page, as no `__GFP_HIGHMEM` was given.
        let start = unsafe { bindings::nc2_page_address(page.as_ptr().cast()) }.cast::<u8>();
        let bytes = usize::from(length.get()).min(PAGE_SIZE);
        let stale = lending.used.max(bytes).min(PAGE_SIZE);

        // SAFETY: The page is ours alone: it is not granted, `&mut self` excludes other writers.
        let content = unsafe { core::slice::from_raw_parts_mut(start, stale) };
        let (fresh, rest) = content.split_at_mut_checked(bytes).ok_or(EINVAL)?;

        rest.fill(0);
        lending.used = bytes;
        skb.copy_bits(from, fresh)?;

        match &mut self.window {
            Some(window) => {
                let frame = Frame::of(start).ok_or(EFAULT)?;

                window.permit(slot, peer, frame, PageOffset::ZERO, length)?;
            }
            // SAFETY: The reference is of this run and not granted; the frame is that of a page
            // which stays allocated until access has ended. It is granted read-only.
            None => unsafe {
                bindings::gnttab_grant_foreign_access_ref(
                    reference.get(),
                    peer.get(),
                    bindings::nc2_virt_to_gfn(start.cast()),
                    1,
                );
            },
        }
        // INVARIANT: The page was just granted.
        lending.lent = Lent::Yes;
        Ok(fragment)
    }

    /// Ends the peer's access to what the slots lend.
    ///
    /// # Errors
    ///
    /// [`StillGranted`] with the first that the peer uses still: such stay lent, and their memory is
    /// not to be touched. So do all whole pages that come after it, as the kernel has a line in the log
    /// for each that is in use.
    pub fn revoke(
        &mut self,
        slots: impl Iterator<Item = SlotIndex> + Clone,
    ) -> Result<(), StillGranted> {
        if let Some(window) = &mut self.window {
            for slot in slots.clone() {
                window.forbid(slot);
            }
            // Between the flags of all entries and the status words of all: pairs with Xen's, which
            // sets the status and then looks at the flags again.
            //
            // SAFETY: A barrier has no preconditions.
            unsafe { bindings::nc2_virt_mb() };
        }
        let mut result = Ok(());

        for slot in slots {
            result = result.and(self.end_access(slot));
            if result.is_err() && self.window.is_none() {
                break;
            }
        }
        result
    }

    /// Ends the peer's access to all whole pages, without a line in the log, and returns how many it
    /// uses all the same, and those; where there is no memory to note them, the kernel does.
    ///
    /// Of ranges, [`Self::revoke`] tells.
    pub fn end(mut self) -> (usize, GrantedPages) {
        let mut held = GrantedPages::with_capacity(self.lent()).unwrap_or_default();
        let mut count = 0;

        if self.window.is_some() {
            return (count, held);
        }
        for (at, lending) in (0u32..).zip(self.slots.iter_mut()) {
            let Some(reference) = GrantRef::new(self.first.wrapping_add(at)) else {
                continue;
            };

            if lending.lent != Lent::Yes {
                continue;
            }
            // INVARIANT: The reference is freed here, or given away with the page.
            lending.lent = Lent::Left;
            // SAFETY: By the type invariant the reference is ours and granted.
            if unsafe { bindings::gnttab_try_end_foreign_access(reference.get()) != 0 } {
                continue;
            }
            count += 1;
            if let Some(page) = lending.page.take() {
                let raw = page.as_ptr().cast();

                core::mem::forget(page);
                // SAFETY: By the type invariant the page is granted under the reference; both were the
                // run's alone.
                if unsafe { held.push(raw, reference) }.is_err() {
                    // SAFETY: As above. The kernel frees both when the peer lets go.
                    unsafe { bindings::gnttab_end_foreign_access(reference.get(), raw) };
                }
            }
        }
        (count, held)
    }

    /// How many slots are lent.
    pub fn lent(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.lent == Lent::Yes)
            .count()
    }

    /// Has all slots that are lent look as if Xen copied from them without end, or not any more;
    /// for tests.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the run lends whole pages.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn pretend_copying(&mut self, copying: bool) -> Result {
        let window = self.window.as_mut().ok_or(EOPNOTSUPP)?;

        for (slot, lending) in SlotIndex::all(window.count()).zip(&self.slots) {
            if lending.lent == Lent::Yes {
                window.pretend_copying(slot, copying)?;
            }
        }
        Ok(())
    }

    fn end_access(&mut self, slot: SlotIndex) -> Result<(), StillGranted> {
        let Ok(reference) = self.reference(slot) else {
            return Ok(());
        };
        let Some(lending) = self.slots.get_mut(slot.as_usize()) else {
            return Ok(());
        };

        if lending.lent != Lent::Yes {
            return Ok(());
        }
        let ended = match &self.window {
            Some(window) => window.is_free(slot),
            // SAFETY: By the type invariant the reference is ours and granted.
            None => unsafe { bindings::gnttab_end_foreign_access_ref(reference.get()) != 0 },
        };

        if !ended {
            return Err(StillGranted(reference));
        }
        // INVARIANT: Access has ended.
        lending.lent = Lent::No;
        Ok(())
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
        if self.window.is_some() {
            // With version 1 the kernel does it, below.
            let _ = self.revoke(SlotIndex::all(self.count()));
        }
        for (at, lending) in (0u32..).zip(self.slots.iter_mut()) {
            let reference = self.first.wrapping_add(at);

            match (lending.lent, &self.window) {
                // SAFETY: By the type invariant the reference is ours and not granted.
                (Lent::No, _) => unsafe { bindings::gnttab_free_grant_reference(reference) },
                // The kernel frees the reference, and its own hold on the page, when the peer lets
                // go; if it never does, page and reference are lost to use but not to safety.
                //
                // SAFETY: By the type invariant the reference is ours and granted.
                (Lent::Yes, None) => unsafe {
                    bindings::gnttab_end_foreign_access(reference, core::ptr::null_mut())
                },
                // A copy that has not ended long after it was forbidden: lost, but not unsafe.
                (Lent::Yes, Some(_)) => core::mem::forget(lending.page.take()),
                (Lent::Left, _) => {}
            }
        }
    }
}
