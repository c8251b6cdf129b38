// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names for things: domains, event channels, packets, queues and versions.

use core::fmt;

use crate::wire::MAX_OUTSTANDING;

/// Identifies a domain (`domid_t` of Xen's `public/xen.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DomId(u16);

impl DomId {
    /// Names the domain `id`.
    pub const fn new(id: u16) -> Self {
        Self(id)
    }

    /// Returns the number that hypercalls use.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Identifies an event channel of a domain (`evtchn_port_t` of Xen's `public/event_channel.h`).
///
/// # Invariants
///
/// Lies in `1..=131_071`: port 0 is never allocated, and 2^17 is what the FIFO layout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventPort(u32);

impl EventPort {
    /// The highest port (`EVTCHN_FIFO_NR_CHANNELS - 1`).
    pub const MAX: u32 = (1 << 17) - 1;

    /// Names the port `port`, or returns [`None`] where no domain can have it.
    pub const fn new(port: u32) -> Option<Self> {
        if port == 0 || port > Self::MAX {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(port))
    }

    /// Returns the number that hypercalls use.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Identifies an unfinished packet among those that one side has outstanding.
///
/// # Invariants
///
/// Is below [`MAX_OUTSTANDING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketId(u16);

impl PacketId {
    /// Stands in the id field of a packet that has none because it needs no FINISH.
    pub const NONE_ON_WIRE: u16 = 0xffff;

    /// Names the packet `id`, or returns [`None`] where `id` is not below [`MAX_OUTSTANDING`].
    pub const fn new(id: u16) -> Option<Self> {
        if id >= MAX_OUTSTANDING {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(id))
    }

    /// Returns the number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the packet's place in a table of [`MAX_OUTSTANDING`] entries.
    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Counts queues; a device has at least one.
///
/// # Invariants
///
/// Is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueCount(u16);

impl QueueCount {
    /// A device with one queue.
    // INVARIANT: Is not zero.
    pub const ONE: Self = Self(1);

    /// Counts `count` queues, or returns [`None`] for none.
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self(count))
    }

    /// Returns the number of queues.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Iterates over the queues, the first one first.
    pub fn indices(self) -> impl Iterator<Item = QueueIndex> {
        (0..self.0).map(QueueIndex::new)
    }
}

/// Identifies a queue of a device; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueIndex(u16);

impl QueueIndex {
    /// Names the queue `index`.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Returns the number of the queue.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Identifies a version of the protocol; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// The version that `Documentation/protocol.md` describes.
    pub const ONE: Self = Self(1);

    /// Names the version `version`.
    pub const fn new(version: u32) -> Self {
        Self(version)
    }

    /// Returns the number in xenstore.
    pub const fn get(self) -> u32 {
        self.0
    }
}

display_the_number!(DomId, EventPort, PacketId, QueueCount, QueueIndex, Version);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stop_at_both_ends() {
        assert_eq!(EventPort::new(0), None);
        assert_eq!(EventPort::new(1).map(EventPort::get), Some(1));
        assert_eq!(EventPort::new(131_071).map(EventPort::get), Some(131_071));
        assert_eq!(EventPort::new(131_072), None);
    }

    #[test]
    fn packet_ids_stay_in_the_table() {
        assert_eq!(PacketId::new(255).map(PacketId::get), Some(255));
        assert_eq!(PacketId::new(256), None);
        assert_eq!(PacketId::new(PacketId::NONE_ON_WIRE), None);
    }

    #[test]
    fn a_device_has_a_queue() {
        assert_eq!(QueueCount::new(0), None);
        assert_eq!(QueueCount::ONE.indices().count(), 1);
    }
}
