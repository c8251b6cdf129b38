// SPDX-License-Identifier: GPL-2.0

//! Copying packets from the peer's granted pages, many in one hypercall.

use crate::{
    bindings,
    net::ReceiveBuffer, //
};
use kernel::prelude::*;
use netchannel2_core::{
    grant::{
        copy::plan,
        Fragment, //
    },
    units::DomId,
};

/// Whether a packet's copies have all succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStatus {
    /// All bytes are there.
    Complete,
    /// Xen refused a copy with this `GNTST_*` status; the buffer's contents are undefined.
    Refused(i16),
}

/// Packets that wait for their bytes, and the copies that bring them.
///
/// `T` is what the caller keeps of each packet.
///
/// # Invariants
///
/// Each of `operations` writes into memory of a buffer in `packets`.
pub struct CopyBatch<T> {
    peer: DomId,
    operations: KVec<bindings::gnttab_copy>,
    packets: KVec<Waiting<T>>,
}

struct Waiting<T> {
    /// `None` for a packet that has its bytes already and waits for its turn.
    buffer: Option<ReceiveBuffer>,
    keep: T,
    /// One past the packet's last operation.
    end: usize,
}

impl<T> CopyBatch<T> {
    /// Creates a batch with room for so many packets and copy operations.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(peer: DomId, packets: usize, operations: usize) -> Result<Self> {
        Ok(Self {
            peer,
            operations: KVec::with_capacity(operations, GFP_KERNEL)?,
            packets: KVec::with_capacity(packets, GFP_KERNEL)?,
        })
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether a packet with these fragments fits for sure.
    pub fn has_room(&self, fragments: &[Fragment], buffer: &ReceiveBuffer) -> bool {
        // Every boundary on either side splits an operation at most once.
        let operations = fragments.len() + buffer.pieces();

        self.packets.len() < self.packets.capacity()
            && self.operations.len() + operations <= self.operations.capacity()
    }

    /// Adds the copies that fill `buffer` from the peer's `fragments`.
    ///
    /// # Errors
    ///
    /// Gives buffer and `keep` back when the batch is full or the fragments are not as long as what
    /// is missing in the buffer.
    pub fn add(
        &mut self,
        buffer: ReceiveBuffer,
        fragments: &[Fragment],
        keep: T,
    ) -> Result<(), (ReceiveBuffer, T)> {
        let planned: u32 = fragments
            .iter()
            .map(|fragment| u32::from(fragment.length().get()))
            .sum();

        // A buffer that is not filled to its last byte would show what was there before.
        if planned != buffer.missing() {
            return Err((buffer, keep));
        }
        let start = self.operations.len();
        let (peer, operations) = (self.peer, &mut self.operations);

        let planned = plan(fragments, buffer.segments(), |op| {
            let mut raw: bindings::gnttab_copy = pin_init::zeroed();

            raw.source.u.ref_ = op.source.get();
            raw.source.domid = peer.get();
            raw.source.offset = op.source_offset.get();
            raw.dest.u.gmfn = op.dest;
            raw.dest.domid = bindings::DOMID_SELF as u16;
            raw.dest.offset = op.dest_offset.get();
            raw.len = op.length.get();
            raw.flags = bindings::GNTCOPY_source_gref as u16;
            // Xen may leave a status untouched (XSA-318): what it did not set is an error.
            raw.status = bindings::GNTST_general_error as i16;
            operations.push_within_capacity(raw).map_err(|_| ENOSPC)
        });

        let end = self.operations.len();

        if planned.is_err() || self.packets.len() == self.packets.capacity() {
            self.operations.truncate(start);
            return Err((buffer, keep));
        }
        // INVARIANT: The operations write into `buffer`, which `packets` now holds: there is room.
        let _ = self.packets.push_within_capacity(Waiting {
            buffer: Some(buffer),
            keep,
            end,
        });
        Ok(())
    }

    /// Adds a packet that needs no copy, behind those that were added before.
    ///
    /// # Errors
    ///
    /// Gives `keep` back when the batch is full.
    pub fn add_ready(&mut self, keep: T) -> Result<(), T> {
        if self.packets.len() == self.packets.capacity() {
            return Err(keep);
        }
        let _ = self.packets.push_within_capacity(Waiting {
            buffer: None,
            keep,
            end: self.operations.len(),
        });
        Ok(())
    }

    /// Copies all and hands each packet over, in the order in which they were added.
    ///
    /// Returns how many copy operations were in the hypercall.
    pub fn execute(&mut self, mut each: impl FnMut(Option<ReceiveBuffer>, T, CopyStatus)) -> u32 {
        let count = u32::try_from(self.operations.len()).unwrap_or(0);

        if count > 0 {
            // Not `gnttab_batch_copy()`, which sleeps while a page of the peer is paged out: such a
            // packet is lost. If the hypercall itself fails, each status is the error set above.
            //
            // SAFETY: The operations are initialised; by the type invariant they write into
            // buffers that `packets` owns.
            unsafe { bindings::nc2_grant_copy(self.operations.as_mut_ptr(), count) };
        }

        let (operations, mut start) = (&self.operations, 0);

        for waiting in self.packets.drain_all() {
            let status = operations
                .get(start..waiting.end)
                .unwrap_or_default()
                .iter()
                .map(|op| op.status)
                .find(|&status| i32::from(status) != bindings::GNTST_okay as i32)
                .map_or(CopyStatus::Complete, CopyStatus::Refused);

            start = waiting.end;
            each(waiting.buffer, waiting.keep, status);
        }
        self.operations.clear();
        count
    }
}
