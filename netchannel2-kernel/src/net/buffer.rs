// SPDX-License-Identifier: GPL-2.0

//! Memory that a received packet is copied into, and becomes an sk_buff in place.

use super::{
    NapiContext,
    PagePool,
    Skb, //
};
use crate::{
    bindings,
    grant::ForeignBytes, //
};
use core::mem::size_of;
use kernel::{
    ffi::c_uint,
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

/// The longest packet that lies on a part of a page of the pool: of longer ones less than six share a
/// page, and the kernel's own allocator has pages for them too.
const SHORT_MAX: u32 = 256;

/// The longest packet that [`ReceiveBuffer::linear`] takes: more would be a page and more.
const LINEAR_MAX: u32 = 3072;

/// Bytes of the packet that the first page holds: what headroom and `skb_shared_info` leave.
const FIRST_PAGE_ROOM: usize = PAGE_SIZE - HEADROOM - SHARED_INFO;

/// The room that `skb_shared_info` takes behind a packet.
const SHARED_INFO: usize = size_of::<bindings::skb_shared_info>().next_multiple_of(64);

// The pages after the first are full, and fragments of the sk_buff.
const _: () = assert!(
    (PacketLength::MAX as usize - FIRST_PAGE_ROOM).div_ceil(PAGE_SIZE)
        <= bindings::MAX_SKB_FRAGS as usize
);

/// An sk_buff whose bytes are still to come.
///
/// A packet that fits is one piece on one page, with `skb_shared_info` behind it, and no header is
/// moved; a larger one continues on further pages.
///
/// # Invariants
///
/// - `skb` has `length` bytes on pages of its own; nobody else has seen it.
/// - The first `linear` of them are the linear part, those behind are whole pages.
/// - The first `filled` of them are written.
pub struct ReceiveBuffer {
    skb: Skb,
    length: PacketLength,
    linear: usize,
    filled: usize,
}

impl ReceiveBuffer {
    /// Takes the pages for a packet of `length`; `None` if there is no memory.
    pub fn new(pool: &mut PagePool, length: PacketLength) -> Option<Self> {
        let mut rest = length.get() as usize;
        let linear = rest.min(FIRST_PAGE_ROOM);
        let first = pool.allocate()?;
        // SAFETY: The memory is a whole page with a reference of its own; the sk_buff's overhead
        // fits behind `HEADROOM + linear` bytes by the definition of `FIRST_PAGE_ROOM`.
        let raw = unsafe { bindings::napi_build_skb(first.address().cast(), PAGE_SIZE as c_uint) };
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
        rest -= linear;
        while rest > 0 {
            let part = rest.min(PAGE_SIZE);
            let page = pool.allocate()?;

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
            rest -= part;
        }
        // INVARIANT: The sk_buff is new and has as many bytes; none is written.
        Some(Self {
            skb,
            length,
            linear,
            filled: 0,
        })
    }

    /// Takes memory for a packet of which no more is needed than it has bytes, or pages for a long
    /// one; `None` if there is no memory.
    #[inline]
    pub fn compact(
        napi: &NapiContext<'_>,
        pool: &mut PagePool,
        length: PacketLength,
    ) -> Option<Self> {
        let bytes = length.get();

        if bytes > LINEAR_MAX {
            return Self::new(pool, length);
        }
        if bytes <= SHORT_MAX {
            return Self::short(pool, length);
        }
        // SAFETY: The context proves that the caller is this instance's poll function; the result
        // is null or a new sk_buff that nothing else refers to.
        let skb = unsafe { Skb::from_raw(bindings::napi_alloc_skb(napi.as_raw(), bytes)) }?;

        // SAFETY: The sk_buff is empty and has that much tail room.
        unsafe { bindings::skb_put(skb.as_raw(), bytes) };
        // INVARIANT: The sk_buff is new and has as many bytes, all linear; none is written.
        Some(Self {
            skb,
            length,
            linear: bytes as usize,
            filled: 0,
        })
    }

    /// Takes a part of a page for a packet of up to [`SHORT_MAX`] bytes.
    #[inline]
    fn short(pool: &mut PagePool, length: PacketLength) -> Option<Self> {
        let bytes = length.get();
        let room = HEADROOM + (bytes as usize).next_multiple_of(64) + SHARED_INFO;
        let part = pool.allocate_part(room as c_uint)?;
        // SAFETY: The memory is the part's alone; the sk_buff's overhead fits behind
        // `HEADROOM + bytes` bytes of it, as `room` is made up so. The result is null or a new
        // sk_buff that nothing else refers to.
        let skb = unsafe { Skb::from_raw(bindings::napi_build_skb(part.address(), part.size())) }?;

        part.give_away();
        // SAFETY: The sk_buff is empty and has room for both, as above. Its head is from a page pool,
        // as recycling demands.
        unsafe {
            bindings::nc2_skb_reserve(skb.as_raw(), HEADROOM as i32);
            bindings::skb_put(skb.as_raw(), bytes);
            bindings::nc2_skb_mark_for_recycle(skb.as_raw());
        }
        // INVARIANT: The sk_buff is new and has as many bytes, all linear; none is written.
        Some(Self {
            skb,
            length,
            linear: bytes as usize,
            filled: 0,
        })
    }

    /// Does what [`Self::compact`] does, outside of a poll function.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn compact_for_test(pool: &mut PagePool, length: PacketLength) -> Option<Self> {
        // SAFETY: `compact` does nothing else with the context.
        unsafe { NapiContext::for_test(|napi| Self::compact(napi, pool, length)) }
            .ok()
            .flatten()
    }

    /// Copies `bytes` behind those that are written.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are more than are missing; then the buffer is of no use any more.
    #[inline]
    pub fn append(&mut self, mut bytes: ForeignBytes<'_>) -> Result {
        while !bytes.is_empty() {
            let (start, room) = self.next_place().ok_or(EINVAL)?;
            let part = bytes.take(room);

            // SAFETY: The place has room for as many bytes, and nobody else refers to it.
            unsafe { part.copy_to(start) };
            // INVARIANT: So many more are written.
            self.filled += part.len();
        }
        Ok(())
    }

    /// Where the next byte goes, and how many have room there.
    #[inline]
    fn next_place(&self) -> Option<(*mut u8, usize)> {
        let raw = self.skb.as_raw();

        if self.filled < self.linear {
            // SAFETY: By the type invariant the sk_buff is valid and its linear part as long.
            let start = unsafe { (*raw).data };

            return Some((start.wrapping_add(self.filled), self.linear - self.filled));
        }
        let (behind, rest) = (self.filled - self.linear, self.missing() as usize);
        let (page, offset) = (behind / PAGE_SIZE, behind % PAGE_SIZE);

        if rest == 0 {
            return None;
        }
        // SAFETY: By the type invariant the bytes behind the linear part are on pages that are
        // fragments of the sk_buff, of which this is one as bytes are missing.
        let start = unsafe { bindings::nc2_skb_frag_address(raw, u32::try_from(page).ok()?) };

        Some((
            start.cast::<u8>().wrapping_add(offset),
            rest.min(PAGE_SIZE - offset),
        ))
    }

    /// Has `fill` write the packet's first bytes, as many as `prefix` says.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are more than the packet has or the first page holds.
    pub fn fill_prefix(&mut self, prefix: InlineLength, fill: impl FnOnce(&mut [u8])) -> Result {
        let count = usize::from(prefix.get());

        if count > self.linear {
            return Err(EINVAL);
        }
        if count == 0 {
            return Ok(());
        }
        // SAFETY: The bytes are the first of the sk_buff's linear part, which nobody else refers
        // to; they are zeroed before a reference to them is made, so they are initialised.
        let bytes = unsafe {
            let start = (*self.skb.as_raw()).data;

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
        let mut skip = self.filled;

        self.skb.pieces().filter_map(move |piece| {
            // What is filled lies on the first piece.
            let filled = core::mem::take(&mut skip);
            let offset = usize::from(piece.offset().get()).checked_add(filled)?;
            let length = usize::from(piece.length().get()).checked_sub(filled)?;

            DestSegment::new(
                piece.own_frame(),
                PageOffset::new(u16::try_from(offset).ok()?)?,
                FragmentLength::new(u16::try_from(length).ok()?)?,
            )
        })
    }

    /// Returns the packet, whose bytes must have been filled in.
    pub fn into_skb(self) -> Skb {
        self.skb
    }

    /// Returns the packet if [`Self::append`] has written all of it.
    #[inline]
    pub fn complete(self) -> Option<Skb> {
        (self.missing() == 0).then_some(self.skb)
    }
}

fn pieces(length: PacketLength) -> usize {
    1 + (length.get() as usize)
        .saturating_sub(FIRST_PAGE_ROOM)
        .div_ceil(PAGE_SIZE)
}
