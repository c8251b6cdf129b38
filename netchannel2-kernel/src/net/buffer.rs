// SPDX-License-Identifier: GPL-2.0

//! Memory that a received packet is copied into, and becomes an sk_buff in place.

use super::{
    page_pool::PoolPage,
    PagePool,
    Skb, //
};
use crate::bindings;
use core::mem::size_of;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use netchannel2_core::{
    grant::copy::DestSegment,
    units::{
        FragmentLength,
        InlineLength,
        PacketLength,
        PageOffset, //
    },
};

/// Bytes before the packet for headers that the stack may push (`NET_SKB_PAD`).
const HEADROOM: usize = 64;

/// The most pages a packet takes: the first loses head and tail room, the rest are full.
const PAGES: usize = 1 + (PacketLength::MAX as usize - FIRST_PAGE_ROOM).div_ceil(PAGE_SIZE);

/// Bytes of the packet that the first page holds: what headroom and `skb_shared_info` leave.
const FIRST_PAGE_ROOM: usize =
    PAGE_SIZE - HEADROOM - size_of::<bindings::skb_shared_info>().next_multiple_of(64);

// The pages after the first are fragments of the sk_buff.
const _: () = assert!(PAGES - 1 <= bindings::MAX_SKB_FRAGS as usize);

/// Pages for one packet.
///
/// A packet that fits is one piece on one page, with `skb_shared_info` behind it, and no header is
/// moved; a larger one continues on further pages.
///
/// # Invariants
///
/// - The first `pieces()` entries of `pages` are `Some`, and hold `length` bytes.
/// - The first `filled` bytes of the packet are written; they lie on the first page.
pub struct ReceiveBuffer {
    pages: [Option<PoolPage>; PAGES],
    length: PacketLength,
    filled: usize,
}

impl ReceiveBuffer {
    /// Takes the pages for a packet of `length`; `None` if there is no memory.
    pub fn new(pool: &mut PagePool, length: PacketLength) -> Option<Self> {
        let mut pages = [const { None }; PAGES];

        for slot in pages.iter_mut().take(pieces(length)) {
            *slot = Some(pool.allocate()?);
        }
        // INVARIANT: The loop filled as many entries as the length needs.
        Some(Self {
            pages,
            length,
            filled: 0,
        })
    }

    /// Has `fill` write the packet's first bytes, as many as `prefix` says.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are more than the packet has or the first page holds.
    pub fn fill_prefix(&mut self, prefix: InlineLength, fill: impl FnOnce(&mut [u8])) -> Result {
        let count = usize::from(prefix.get());
        let page = self.pages.iter().flatten().next().ok_or(EINVAL)?;

        if count > FIRST_PAGE_ROOM.min(self.length.get() as usize) {
            return Err(EINVAL);
        }
        // SAFETY: The bytes lie on the page, which is this buffer's alone, behind the headroom;
        // they are zeroed before a reference to them is made, so they are initialised.
        let bytes = unsafe {
            let start = page.address().add(HEADROOM);

            start.write_bytes(0, count);
            core::slice::from_raw_parts_mut(start, count)
        };
        fill(bytes);
        // INVARIANT: The bytes were written just now.
        self.filled = count;
        Ok(())
    }

    /// Returns how many bytes are still to be written.
    pub fn missing(&self) -> u32 {
        self.length.get().saturating_sub(self.filled as u32)
    }

    /// On how many pages the packet lies.
    pub fn pieces(&self) -> usize {
        pieces(self.length)
    }

    /// Returns where the packet's missing bytes go, by frame.
    pub fn segments(&self) -> impl Iterator<Item = DestSegment<usize>> + '_ {
        self.spans().filter_map(|(page, offset, length)| {
            DestSegment::new(
                // SAFETY: The page's memory is mapped and part of the kernel's direct map.
                unsafe { bindings::nc2_virt_to_gfn(page.address().cast()) },
                PageOffset::new(u16::try_from(offset).ok()?)?,
                FragmentLength::new(u16::try_from(length).ok()?)?,
            )
        })
    }

    /// Makes an sk_buff of the pages; `None` if there is no memory.
    ///
    /// The bytes must have been filled in.
    pub fn into_skb(mut self) -> Option<Skb> {
        let length = self.length.get() as usize;
        let mut pages = self.pages.iter_mut().filter_map(Option::take);
        let first = pages.next()?;
        let linear = length.min(FIRST_PAGE_ROOM);
        // SAFETY: The memory is a whole page with a reference of its own; the sk_buff's overhead
        // fits behind `HEADROOM + linear` bytes by the definition of `FIRST_PAGE_ROOM`.
        let raw = unsafe {
            bindings::napi_build_skb(first.address().cast(), PAGE_SIZE as kernel::ffi::c_uint)
        };
        // SAFETY: `raw`, if not null, is a new sk_buff that nothing else refers to.
        let skb = unsafe { Skb::from_raw(raw) }?;

        first.into_raw();
        // SAFETY: The sk_buff is empty and has room for both, as above. Its head page and every
        // page added are from a page pool, as recycling demands.
        unsafe {
            bindings::nc2_skb_reserve(skb.as_raw(), HEADROOM as i32);
            bindings::skb_put(skb.as_raw(), linear as u32);
            bindings::nc2_skb_mark_for_recycle(skb.as_raw());
        }

        let mut rest = length - linear;

        for page in pages {
            let part = rest.min(PAGE_SIZE);

            rest -= part;
            // SAFETY: The sk_buff takes the page over; there are no more than `MAX_SKB_FRAGS`.
            unsafe {
                bindings::nc2_skb_add_rx_frag(
                    skb.as_raw(),
                    page.into_raw(),
                    0,
                    part as i32,
                    PAGE_SIZE as u32,
                )
            };
        }
        Some(skb)
    }

    /// Page, offset and length of what is missing of each piece.
    fn spans(&self) -> impl Iterator<Item = (&PoolPage, usize, usize)> {
        let mut rest = self.missing() as usize;
        let filled = self.filled;

        self.pages
            .iter()
            .flatten()
            .enumerate()
            .map(move |(at, page)| {
                let (offset, room) = match at {
                    0 => (HEADROOM + filled, FIRST_PAGE_ROOM - filled),
                    _ => (0, PAGE_SIZE),
                };
                let length = rest.min(room);

                rest -= length;
                (page, offset, length)
            })
    }
}

fn pieces(length: PacketLength) -> usize {
    1 + (length.get() as usize)
        .saturating_sub(FIRST_PAGE_ROOM)
        .div_ceil(PAGE_SIZE)
}
