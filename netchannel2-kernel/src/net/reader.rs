// SPDX-License-Identifier: GPL-2.0

//! Reading a packet's bytes one after the other.

use super::Skb;
use crate::bindings;
use kernel::prelude::*;
use netchannel2_core::units::Bytes;

/// Copies the bytes of a packet in their order, from where the last copy ended.
///
/// Where a packet of many pieces goes to many places, this finds each piece once;
/// [`Skb::copy_bits`] begins with the first one each time. Nothing may sleep while it lives, as it may
/// have a page mapped.
///
/// # Invariants
///
/// - `state` is what `skb_prepare_seq_read()` made of a packet that lives as long as `'a`.
/// - `piece` is the address of `rest` bytes of the packet, behind which are those at `found`.
pub struct Reader<'a> {
    state: bindings::skb_seq_state,
    piece: *const u8,
    rest: usize,
    found: u32,
    /// There are no more pieces, or the walk does not find all of them.
    by_offset: bool,
    packet: &'a Skb,
}

impl<'a> Reader<'a> {
    /// Begins with the first byte of `packet`.
    #[inline]
    pub fn new(packet: &'a Skb) -> Self {
        let mut state = pin_init::zeroed();

        // SAFETY: The packet is valid, and `state` is valid for writes.
        unsafe {
            bindings::skb_prepare_seq_read(packet.as_raw(), 0, packet.length().get(), &mut state)
        };
        // INVARIANT: Prepared above; no piece was found yet.
        Self {
            state,
            piece: core::ptr::null(),
            rest: 0,
            found: 0,
            // It skips lists in lists.
            by_offset: packet.is_nested_list(),
            packet,
        }
    }

    /// Copies the next `length` bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the packet has no more so many.
    ///
    /// # Safety
    ///
    /// `into` is valid for writes of `length` bytes.
    #[inline]
    pub(crate) unsafe fn copy_to(&mut self, mut into: *mut u8, mut length: usize) -> Result {
        while length > 0 {
            if self.rest == 0 && (self.by_offset || !self.find()) {
                // The end, where a further look would not find it again, or lists in lists.
                self.by_offset = true;
                let from = Bytes::new(self.found);

                // SAFETY: By the safety requirement, of which this is what is left.
                unsafe { self.packet.copy_to(from, into, length)? };
                self.found = self.found.saturating_add(u32::try_from(length)?);
                return Ok(());
            }
            let part = length.min(self.rest);

            // SAFETY: By the type invariant and the safety requirement both have as many bytes. A
            // program may write the packet's at the same time: C code copies whatever is there.
            unsafe { bindings::nc2_memcpy(into.cast(), self.piece.cast(), part) };
            // INVARIANT: What is behind the part.
            self.piece = self.piece.wrapping_add(part);
            self.rest -= part;
            into = into.wrapping_add(part);
            length -= part;
        }
        Ok(())
    }

    /// Finds the next piece, if there is one.
    fn find(&mut self) -> bool {
        // SAFETY: By the type invariant the packet lives; the piece that `state` has mapped is used
        // up.
        let length =
            unsafe { bindings::skb_seq_read(self.found, &mut self.piece, &mut self.state) };

        // INVARIANT: As many bytes are at `piece` until the next call.
        self.rest = length as usize;
        self.found = self.found.saturating_add(length);
        length > 0
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; it unmaps the last piece, if one is mapped.
        unsafe { bindings::skb_abort_seq_read(&mut self.state) }
    }
}
