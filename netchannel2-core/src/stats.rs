// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Counters of a queue, for `ethtool -S` and the like.

use crate::{
    moderation::Cause,
    ring::Notify,
    units::PacketLength,
    wire::{
        FinishBatch,
        FinishStatus,
        Way, //
    },
};

/// Defines a set of counters with their names.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident as $prefix:literal { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// The counters' names, in the order of [`Self::values`].
            pub const NAMES: [&'static str; [$(stringify!($field)),*].len()] =
                [$(stringify!($field)),*];

            /// Nothing counted.
            pub const NONE: Self = Self { $($field: 0,)* };

            /// The names with the prefix that tells the sets of one queue apart.
            pub const LABELS: [&'static str; Self::NAMES.len()] =
                [$(concat!($prefix, stringify!($field))),*];

            /// Returns the counters' values, in the order of [`Self::NAMES`].
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$field),*]
            }

            /// Iterates over names and values.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                Self::NAMES.into_iter().zip(self.values())
            }

            /// Adds the counters of another queue.
            #[inline]
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
            }
        }
    };
}

counters! {
    /// What a sender counts.
    SendCounters as "send_" {
        /// Packets sent in their message.
        inline_packets,
        /// Bytes of those packets.
        inline_bytes,
        /// Packets sent in slots of this side's pool.
        staged_packets,
        /// Bytes of those packets.
        staged_bytes,
        /// Packets sent for the peer to copy.
        granted_packets,
        /// Bytes of those packets.
        granted_bytes,
        /// FINISHes sent, one for each packet.
        finishes,
        /// Messages that those FINISHes took.
        finish_messages,
        /// Publications of messages that reached the peer's event index.
        events_wanted,
        /// Publications of messages that did not.
        events_suppressed,
        /// Waits for space in the ring.
        ring_full,
        /// Packets that found the peer's allowance used up.
        no_credit,
        /// Packets that the peer could not copy.
        peer_copy_errors,
        /// Packets that the peer had no memory for.
        peer_no_memory,
        /// Packets that the peer's stack would not take.
        peer_bad_packets,
    }
}

counters! {
    /// What a receiver counts.
    ReceiveCounters as "receive_" {
        /// Packets received in their message.
        inline_packets,
        /// Bytes of those packets.
        inline_bytes,
        /// Packets received in slots of the peer's pool.
        staged_packets,
        /// Bytes of those packets.
        staged_bytes,
        /// Packets received for this side to copy.
        granted_packets,
        /// Bytes of those packets.
        granted_bytes,
        /// FINISHes received, one for each packet.
        finishes,
        /// Messages that those FINISHes took.
        finish_messages,
        /// Publications of space that reached the peer's event index.
        events_wanted,
        /// Publications of space that did not.
        events_suppressed,
        /// Packets that this side could not copy.
        copy_errors,
        /// Packets that this side had no memory for.
        no_memory,
        /// Packets that this side's stack would not take.
        bad_packets,
    }
}

counters! {
    /// What the side that raises events counts.
    EventCounters as "event_" {
        /// Events that could not wait.
        immediate,
        /// Events with as many frames as they may wait for.
        frames_reached,
        /// Events that had waited as long as they may.
        time_reached,
        /// Events at the end of a batch.
        batch_end,
        /// Events that tell of ring space, or before waiting for the peer.
        room,
        /// Events that were not raised, as the peer had moved on by itself.
        overtaken,
    }
}

impl EventCounters {
    /// Counts an event.
    pub(crate) fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Immediate => &mut self.immediate,
            Cause::Frames => &mut self.frames_reached,
            Cause::Time => &mut self.time_reached,
            Cause::BatchEnd => &mut self.batch_end,
            Cause::Room => &mut self.room,
        };
        add(counter, 1);
    }

    /// Counts an event that was not raised.
    pub(crate) fn count_overtaken(&mut self) {
        add(&mut self.overtaken, 1);
    }

    /// Returns how many events were raised.
    pub fn raised(&self) -> u64 {
        [
            self.immediate,
            self.frames_reached,
            self.time_reached,
            self.batch_end,
            self.room,
        ]
        .into_iter()
        .fold(0, u64::wrapping_add)
    }
}

impl SendCounters {
    /// Returns how many packets were sent, whichever way.
    #[inline]
    pub fn packets(&self) -> u64 {
        self.inline_packets
            .wrapping_add(self.staged_packets)
            .wrapping_add(self.granted_packets)
    }

    /// Returns how many bytes those packets had.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.inline_bytes
            .wrapping_add(self.staged_bytes)
            .wrapping_add(self.granted_bytes)
    }

    /// Counts a packet that was sent.
    #[inline]
    pub(crate) fn packet(&mut self, way: Way, length: PacketLength) {
        let (packets, bytes) = match way {
            Way::Inline => (&mut self.inline_packets, &mut self.inline_bytes),
            Way::Staged => (&mut self.staged_packets, &mut self.staged_bytes),
            Way::Granted | Way::Posted => (&mut self.granted_packets, &mut self.granted_bytes),
        };
        add(packets, 1);
        add(bytes, length.get());
    }

    /// Counts a message that gives back packets.
    pub(crate) fn finishes(&mut self, batch: &FinishBatch) {
        add(&mut self.finish_messages, 1);
        add(&mut self.finishes, u32::from(batch.count()));
    }

    /// Counts what became of a packet at the peer.
    #[inline]
    pub(crate) fn finished(&mut self, status: FinishStatus) {
        match status {
            FinishStatus::Ok => {}
            FinishStatus::CopyFailed => add(&mut self.peer_copy_errors, 1),
            FinishStatus::NoMemory => add(&mut self.peer_no_memory, 1),
            FinishStatus::BadPacket => add(&mut self.peer_bad_packets, 1),
        }
    }

    /// Counts a publication.
    #[inline]
    pub(crate) fn published(&mut self, notify: Notify) {
        match notify {
            Notify::Needed => add(&mut self.events_wanted, 1),
            Notify::NotNeeded => add(&mut self.events_suppressed, 1),
        }
    }

    /// Counts a wait for space.
    pub(crate) fn waits_for_space(&mut self) {
        add(&mut self.ring_full, 1);
    }

    /// Counts a packet that found no credit.
    pub(crate) fn found_no_credit(&mut self) {
        add(&mut self.no_credit, 1);
    }
}

impl ReceiveCounters {
    /// Counts a packet that was received.
    #[inline]
    pub(crate) fn packet(&mut self, way: Way, length: PacketLength) {
        let (packets, bytes) = match way {
            Way::Inline => (&mut self.inline_packets, &mut self.inline_bytes),
            Way::Staged => (&mut self.staged_packets, &mut self.staged_bytes),
            Way::Granted | Way::Posted => (&mut self.granted_packets, &mut self.granted_bytes),
        };
        add(packets, 1);
        add(bytes, length.get());
    }

    /// Counts a message that gives back packets.
    pub(crate) fn finishes(&mut self, batch: &FinishBatch) {
        add(&mut self.finish_messages, 1);
        add(&mut self.finishes, u32::from(batch.count()));
    }

    /// Counts what became of a packet here.
    #[inline]
    pub(crate) fn finished(&mut self, status: FinishStatus) {
        match status {
            FinishStatus::Ok => {}
            FinishStatus::CopyFailed => add(&mut self.copy_errors, 1),
            FinishStatus::NoMemory => add(&mut self.no_memory, 1),
            FinishStatus::BadPacket => add(&mut self.bad_packets, 1),
        }
    }

    /// Counts a publication.
    #[inline]
    pub(crate) fn published(&mut self, notify: Notify) {
        match notify {
            Notify::Needed => add(&mut self.events_wanted, 1),
            Notify::NotNeeded => add(&mut self.events_suppressed, 1),
        }
    }
}

#[inline]
fn add(counter: &mut u64, more: u32) {
    *counter = counter.wrapping_add(u64::from(more));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_count_whichever_way_they_go() {
        let mut counters = SendCounters::default();
        let ways = [Way::Inline, Way::Staged, Way::Granted, Way::Posted];
        for way in ways {
            counters.packet(way, PacketLength::LARGEST);
        }
        assert_eq!(counters.packets(), 4);
        assert_eq!(counters.bytes(), 4 * 65_535);
    }

    #[test]
    fn names_go_with_values() {
        let mut counters = SendCounters {
            ring_full: 7,
            ..SendCounters::default()
        };
        counters.add(&counters.clone());
        assert!(counters.iter().any(|it| it == ("ring_full", 14)));
        assert_eq!(counters.values().len(), SendCounters::NAMES.len());
    }
}
