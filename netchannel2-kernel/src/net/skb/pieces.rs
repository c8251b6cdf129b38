// SPDX-License-Identifier: GPL-2.0

//! Where the bytes of a packet lie, page by page.

use super::Skb;
use crate::{
    bindings,
    grant::Frame, //
};
use core::marker::PhantomData;
use kernel::page::PAGE_SIZE;
use netchannel2_core::units::{
    FragmentLength,
    PageOffset, //
};

impl Skb {
    /// Iterates over the packet's own bytes, page by page: not over those of a list
    /// ([`Self::is_list`]).
    #[inline]
    pub fn pieces(&self) -> Pieces<'_> {
        // SAFETY: By the type invariant.
        let (start, length) = unsafe {
            let raw = self.as_raw();

            (
                (*raw).data.cast_const(),
                (*raw).len.wrapping_sub((*raw).data_len),
            )
        };

        // INVARIANT: The linear part.
        Pieces {
            skb: self,
            start,
            rest: length,
            next: 0,
        }
    }
}

/// Bytes of a packet that lie on one page.
///
/// # Invariants
///
/// `start` is the address of as many bytes of a packet that lives as long as `'a`.
pub struct Piece<'a> {
    start: *const u8,
    length: FragmentLength,
    _packet: PhantomData<&'a Skb>,
}

impl Piece<'_> {
    /// Returns where on its page the piece starts.
    pub fn offset(&self) -> PageOffset {
        u16::try_from(self.start.addr() % PAGE_SIZE)
            .ok()
            .and_then(PageOffset::new)
            .unwrap_or(PageOffset::ZERO)
    }

    /// Returns how many bytes it has.
    pub fn length(&self) -> FragmentLength {
        self.length
    }

    /// Returns the number of its page, which is this domain's own.
    pub(in crate::net) fn own_frame(&self) -> usize {
        // SAFETY: The page's memory is mapped and part of the kernel's direct map.
        unsafe { bindings::nc2_virt_to_gfn(self.start.cast()) }
    }

    /// Returns its page; `None` if that is another domain's.
    pub(crate) fn frame(&self) -> Option<Frame> {
        Frame::of(self.start)
    }
}

/// The pieces of a packet in order: its linear part, then its fragments.
///
/// # Invariants
///
/// `start` is the address of `rest` bytes of `skb`; `next` is the fragment behind them.
pub struct Pieces<'a> {
    skb: &'a Skb,
    start: *const u8,
    rest: u32,
    next: u32,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let raw = self.skb.as_raw();

        while self.rest == 0 {
            // SAFETY: The packet is valid, and the fragment one that it has.
            unsafe {
                if self.next >= u32::from((*self.skb.shared_info()).nr_frags) {
                    return None;
                }
                // INVARIANT: The next fragment.
                self.start = bindings::nc2_skb_frag_address(raw, self.next)
                    .cast_const()
                    .cast();
                self.rest = bindings::nc2_skb_frag_size(raw, self.next);
            }
            self.next += 1;
        }

        let room = PAGE_SIZE - self.start.addr() % PAGE_SIZE;
        let length = room.min(self.rest as usize);
        let piece = Piece {
            start: self.start,
            length: FragmentLength::new(u16::try_from(length).ok()?)?,
            _packet: PhantomData,
        };

        // INVARIANT: What is behind the piece.
        self.start = self.start.wrapping_add(length);
        self.rest -= u32::try_from(length).ok()?;
        Some(piece)
    }
}
