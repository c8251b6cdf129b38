// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where a queue's memory and event channel are.

use core::fmt;

use super::{
    keys,
    store::{
        require,
        Bounds, //
    },
    KeyName,
    Store, //
};
use crate::{
    error::{
        AccessError,
        HandshakeError, //
    },
    grant::GrantRef,
    units::{
        EventPort,
        QueueIndex,
        RingOrder, //
    },
};

/// The pages of a ring.
///
/// # Invariants
///
/// The places behind the ring's pages hold [`GrantRef::FIRST`], so that equality is the pages'.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RingRefs {
    references: [GrantRef; RingOrder::MAX_PAGES],
    order: RingOrder,
}

impl RingRefs {
    /// Takes the pages of a ring, in order, or returns [`None`] if `order` needs another number.
    pub fn new(order: RingOrder, pages: &[GrantRef]) -> Option<Self> {
        let mut references = [GrantRef::FIRST; RingOrder::MAX_PAGES];
        let places = references.get_mut(..order.pages())?;
        if places.len() != pages.len() {
            return None;
        }
        places.copy_from_slice(pages);
        // INVARIANT: Only the places of pages were written.
        Some(Self { references, order })
    }

    /// Returns the size of the ring.
    pub const fn order(&self) -> RingOrder {
        self.order
    }

    /// Returns the pages, in order.
    pub fn as_slice(&self) -> &[GrantRef] {
        self.references
            .get(..self.order.pages())
            .unwrap_or_default()
    }
}

impl fmt::Debug for RingRefs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Where a queue's memory and event channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEndpoint {
    /// The control page.
    pub control: GrantRef,
    /// The ring from the frontend.
    pub tx: RingRefs,
    /// The ring to the frontend.
    pub rx: RingRefs,
    /// The event channel, a port of the frontend's domain.
    pub port: EventPort,
}

impl QueueEndpoint {
    /// Writes the endpoint of `queue` into the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn write_to<S: Store>(&self, store: &mut S, queue: QueueIndex) -> Result<(), S::Error> {
        let key = keys::control_ring_ref(queue);
        store.write(&key, format_args!("{}", self.control))?;
        for (page, reference) in (0..=u8::MAX).zip(self.tx.as_slice()) {
            store.write(&keys::tx_ring_ref(queue, page), format_args!("{reference}"))?;
        }
        for (page, reference) in (0..=u8::MAX).zip(self.rx.as_slice()) {
            store.write(&keys::rx_ring_ref(queue, page), format_args!("{reference}"))?;
        }
        store.write(&keys::event_channel(queue), format_args!("{}", self.port))
    }

    /// Reads the endpoint of `queue` from the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an [`AccessError`] if xenstore fails, if a key is missing or out of bounds, or if
    /// a page is granted twice.
    pub fn read_from<S: Store>(
        store: &S,
        queue: QueueIndex,
        order: RingOrder,
    ) -> Result<Self, AccessError<S::Error>> {
        let mut seen = Seen {
            references: [GrantRef::FIRST; 2 * RingOrder::MAX_PAGES + 1],
            count: 0,
        };
        let control = seen.read(store, &keys::control_ring_ref(queue))?;
        let tx = seen.read_ring(store, order, |page| keys::tx_ring_ref(queue, page))?;
        let rx = seen.read_ring(store, order, |page| keys::rx_ring_ref(queue, page))?;
        let key = keys::event_channel(queue);
        let bounds = Bounds {
            min: 1,
            max: EventPort::MAX,
        };
        let port = require(store, &key, bounds)?;
        let port = EventPort::new(port).ok_or(out_of_range(key, port, bounds))?;
        Ok(Self {
            control,
            tx,
            rx,
            port,
        })
    }

    /// Removes the endpoint of `queue` from the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn remove_from<S: Store>(store: &mut S, queue: QueueIndex) -> Result<(), S::Error> {
        store.remove(&keys::control_ring_ref(queue))?;
        for page in (0..=u8::MAX).take(RingOrder::MAX_PAGES) {
            store.remove(&keys::tx_ring_ref(queue, page))?;
            store.remove(&keys::rx_ring_ref(queue, page))?;
        }
        store.remove(&keys::event_channel(queue))
    }
}

/// The references of one queue that were read so far.
struct Seen {
    references: [GrantRef; 2 * RingOrder::MAX_PAGES + 1],
    count: usize,
}

impl Seen {
    /// Reads a reference that was not read before.
    fn read<S: Store>(
        &mut self,
        store: &S,
        key: &KeyName,
    ) -> Result<GrantRef, AccessError<S::Error>> {
        let bounds = Bounds {
            min: GrantRef::FIRST.get(),
            max: u32::MAX,
        };
        let value = require(store, key, bounds)?;
        let reference = GrantRef::new(value).ok_or(out_of_range(*key, value, bounds))?;
        if self
            .references
            .iter()
            .take(self.count)
            .any(|seen| *seen == reference)
        {
            return Err(HandshakeError::DuplicateReference {
                key: *key,
                reference: value,
            }
            .into());
        }
        if let Some(place) = self.references.get_mut(self.count) {
            *place = reference;
            self.count = self.count.saturating_add(1);
        }
        Ok(reference)
    }

    fn read_ring<S: Store>(
        &mut self,
        store: &S,
        order: RingOrder,
        key: impl Fn(u8) -> KeyName,
    ) -> Result<RingRefs, AccessError<S::Error>> {
        let mut references = [GrantRef::FIRST; RingOrder::MAX_PAGES];
        for (page, place) in (0..=u8::MAX).zip(references.iter_mut().take(order.pages())) {
            *place = self.read(store, &key(page))?;
        }
        // INVARIANT: Only the places of pages were written.
        Ok(RingRefs { references, order })
    }
}

fn out_of_range(key: KeyName, value: u32, bounds: Bounds) -> HandshakeError {
    HandshakeError::OutOfRange {
        key,
        value,
        min: bounds.min,
        max: bounds.max,
    }
}
