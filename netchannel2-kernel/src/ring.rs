// SPDX-License-Identifier: GPL-2.0

//! The shared memory of a queue: a control page and two rings.
//!
//! The frontend allocates and grants it, the backend maps it. Either way the peer may write any of
//! it at any time, so Rust never makes a reference to it: bytes are copied by C code, and words
//! are read and written by the kernel's own acquire and release accessors.

use crate::{
    bindings,
    net::Skb,
    xenbus::Device, //
};
use core::ptr::null_mut;
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use netchannel2_core::{
    grant::GrantRef,
    handshake::{
        QueueEndpoint,
        RingRefs, //
    },
    ring::{
        control::{
            offset,
            Direction, //
        },
        IndexWord,
        SharedRing, //
    },
    units::{
        Bytes,
        EventPort,
        RingOffset,
        RingOrder, //
    },
};

/// The memory of one queue.
///
/// # Invariants
///
/// `control` is a page, `tx` and `rx` are `order.pages()` pages each, mapped until `self` is
/// dropped.
pub struct QueueMemory {
    order: RingOrder,
    control: Area,
    tx: Area,
    rx: Area,
}

/// Some pages that are shared with the peer.
///
/// # Invariants
///
/// `start` is what xenbus allocated or mapped, and `backing` says which.
struct Area {
    start: *mut c_void,
    backing: Backing,
}

enum Backing {
    /// Allocated here and granted to the backend under the first `pages` references.
    Granted {
        references: [u32; RingOrder::MAX_PAGES],
        pages: u32,
    },
    /// The frontend's, mapped here.
    Mapped { device: ARef<Device> },
}

// SAFETY: The memory is accessed by atomic words and copies only, from any thread.
unsafe impl Send for QueueMemory {}
// SAFETY: As above.
unsafe impl Sync for QueueMemory {}

impl QueueMemory {
    /// Allocates the memory of a queue and grants it to the backend.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table is full.
    pub fn grant(device: &Device, order: RingOrder) -> Result<Self> {
        // INVARIANT: Each area has the pages that it must have.
        Ok(Self {
            order,
            control: Area::grant(device, 1)?,
            tx: Area::grant(device, order.pages())?,
            rx: Area::grant(device, order.pages())?,
        })
    }

    /// Maps the memory that the frontend offers in `endpoint`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if Xen refuses a reference; `ENOMEM`.
    pub fn map(device: &Device, endpoint: &QueueEndpoint, order: RingOrder) -> Result<Self> {
        // INVARIANT: Each area has the pages that it must have: an endpoint has as many references
        // as its order has pages.
        Ok(Self {
            order,
            control: Area::map(device, &[endpoint.control])?,
            tx: Area::map(device, endpoint.tx.as_slice())?,
            rx: Area::map(device, endpoint.rx.as_slice())?,
        })
    }

    /// Describes memory of [`Self::grant`] for the backend; `None` for memory of [`Self::map`].
    pub fn endpoint(&self, port: EventPort) -> Option<QueueEndpoint> {
        Some(QueueEndpoint {
            control: self.control.references()?.next()?,
            tx: self.tx.ring_references(self.order)?,
            rx: self.rx.ring_references(self.order)?,
            port,
        })
    }

    /// Ends the backend's access to memory of [`Self::grant`] up to the first page that it uses still,
    /// and says whether there is one: the kernel has a line in the log for each. To be called when this
    /// side is done with the memory, whose other pages are taken back when it is dropped.
    pub fn withdraw(&self) -> bool {
        [&self.control, &self.tx, &self.rx]
            .into_iter()
            .filter_map(Area::references)
            .flatten()
            // SAFETY: The references are of this memory and allocated until it is dropped, where
            // ending access once more does no harm.
            .any(|reference| unsafe {
                bindings::gnttab_end_foreign_access_ref(reference.get()) == 0
            })
    }

    /// Returns the ring of the given direction.
    pub fn ring(self: &Arc<Self>, direction: Direction) -> Ring {
        let area = match direction {
            Direction::Tx => &self.tx,
            Direction::Rx => &self.rx,
        };

        // INVARIANT: By those of the memory, which the ring keeps.
        Ring {
            start: area.start.cast(),
            length: self.order.bytes().as_usize(),
            memory: self.clone(),
            direction,
        }
    }
}

impl Area {
    fn grant(device: &Device, pages: usize) -> Result<Self> {
        let mut references = [0; RingOrder::MAX_PAGES];
        let mut start = null_mut();
        let pages = u32::try_from(pages)?;

        // SAFETY: The device is valid and `references` has room for the most pages of a ring.
        to_result(unsafe {
            bindings::xenbus_setup_ring(
                device.as_raw(),
                kernel::bindings::GFP_KERNEL,
                &mut start,
                pages,
                references.as_mut_ptr(),
            )
        })?;
        // INVARIANT: Allocated above.
        Ok(Self {
            start,
            backing: Backing::Granted { references, pages },
        })
    }

    fn map(device: &Device, references: &[GrantRef]) -> Result<Self> {
        let mut raw = [0; RingOrder::MAX_PAGES];
        let mut start = null_mut();
        let count = u32::try_from(references.len())?;

        for (to, reference) in raw.iter_mut().zip(references) {
            *to = reference.get();
        }
        // SAFETY: The device is valid and `raw` holds `count` references.
        to_result(unsafe {
            bindings::xenbus_map_ring_valloc(device.as_raw(), raw.as_mut_ptr(), count, &mut start)
        })?;
        // INVARIANT: Mapped above.
        Ok(Self {
            start,
            backing: Backing::Mapped {
                device: device.into(),
            },
        })
    }

    fn references(&self) -> Option<impl Iterator<Item = GrantRef> + '_> {
        match &self.backing {
            Backing::Granted { references, pages } => Some(
                references
                    .iter()
                    .take(*pages as usize)
                    .filter_map(|&reference| GrantRef::new(reference)),
            ),
            Backing::Mapped { .. } => None,
        }
    }

    fn ring_references(&self, order: RingOrder) -> Option<RingRefs> {
        let mut references = [GrantRef::FIRST; RingOrder::MAX_PAGES];
        let mut count = 0;

        for (to, reference) in references.iter_mut().zip(self.references()?) {
            *to = reference;
            count += 1;
        }
        RingRefs::new(order, references.get(..count)?)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        match &mut self.backing {
            // A page that the backend has mapped still is kept by the kernel until it lets go.
            //
            // SAFETY: By the type invariant these are what `xenbus_setup_ring()` set.
            Backing::Granted { references, pages } => unsafe {
                bindings::xenbus_teardown_ring(&mut self.start, *pages, references.as_mut_ptr())
            },
            Backing::Mapped { device } => {
                // SAFETY: By the type invariant `start` is what was mapped; the device is kept.
                unsafe { bindings::xenbus_unmap_ring_vfree(device.as_raw(), self.start) };
            }
        }
    }
}

/// One ring of a queue, for the core's producer or consumer.
///
/// # Invariants
///
/// `start` is where the direction's area of `memory` begins, and `length` how many bytes it has.
#[derive(Clone)]
pub struct Ring {
    start: *mut u8,
    length: usize,
    memory: Arc<QueueMemory>,
    direction: Direction,
}

// SAFETY: As `QueueMemory`, of which `start` is a part; the other fields may be sent and shared by
// themselves.
unsafe impl Send for Ring {}
// SAFETY: As above.
unsafe impl Sync for Ring {}

impl Ring {
    /// The address of `length` bytes of the ring, if they are inside it.
    #[inline]
    fn range(&self, at: RingOffset, length: usize) -> Option<*mut u8> {
        let end = at.as_usize().checked_add(length)?;

        if end > self.length {
            return None;
        }
        Some(self.start.wrapping_add(at.as_usize()))
    }

    /// Copies the first `length` bytes of a packet into the ring.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the packet is shorter; `EINVAL` if they would leave the ring.
    #[inline]
    pub(crate) fn write_packet(&self, at: RingOffset, packet: &Skb, length: Bytes) -> Result {
        let to = self.range(at, length.as_usize()).ok_or(EINVAL)?;

        // SAFETY: The range is inside the ring, which is mapped. The peer may access it at the same
        // time: C code writes to it.
        unsafe { packet.copy_to(Bytes::ZERO, to, length.as_usize()) }
    }

    #[inline]
    fn word(&self, word: IndexWord) -> *mut u32 {
        let offset = offset(self.direction, word).as_usize();

        self.memory
            .control
            .start
            .cast::<u8>()
            .wrapping_add(offset)
            .cast()
    }
}

impl SharedRing for Ring {
    #[inline]
    fn order(&self) -> RingOrder {
        self.memory.order
    }

    #[inline]
    fn read(&self, at: RingOffset, into: &mut [u8]) {
        if let Some(from) = self.range(at, into.len()) {
            // SAFETY: The range is inside the ring, which is mapped. The peer may write it at the
            // same time: C code copies whatever is there.
            unsafe {
                bindings::nc2_memcpy(into.as_mut_ptr().cast(), from.cast(), into.len());
            }
        }
    }

    #[inline]
    fn write(&self, at: RingOffset, from: &[u8]) {
        if let Some(to) = self.range(at, from.len()) {
            // SAFETY: As in `read`.
            unsafe { bindings::nc2_memcpy(to.cast(), from.as_ptr().cast(), from.len()) };
        }
    }

    #[inline]
    fn load(&self, word: IndexWord) -> u32 {
        // SAFETY: The word lies in the control page, aligned, which is mapped.
        unsafe { bindings::nc2_load_acquire(self.word(word)) }
    }

    #[inline]
    fn store(&self, word: IndexWord, value: u32) {
        // SAFETY: As in `load`.
        unsafe { bindings::nc2_store_release(self.word(word), value) }
    }

    #[inline]
    fn full_barrier(&self) {
        // SAFETY: A barrier has no preconditions.
        unsafe { bindings::nc2_virt_mb() }
    }
}
