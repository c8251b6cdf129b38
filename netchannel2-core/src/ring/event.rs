// SPDX-License-Identifier: GPL-2.0 OR MIT

//! When to raise an event.

use crate::units::RingIndex;

/// Says whether the peer asked to be told of what was just published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a peer that is not notified may sleep for good"]
pub enum Notify {
    /// The event channel is to be notified.
    Needed,
    /// The peer is awake, or waits for more.
    NotNeeded,
}

impl Notify {
    /// Says whether an event is to be sent.
    #[inline]
    pub fn is_needed(self) -> bool {
        self == Self::Needed
    }

    /// Combines two rings' answers for the one event channel that they share.
    #[inline]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Needed => self,
            Self::NotNeeded => other,
        }
    }
}

/// Says whether moving an index from `old` to `new` reached the peer's `event`.
///
/// True where `event` lies in `old + 1..=new`, in wrapping arithmetic (as
/// `RING_PUSH_REQUESTS_AND_CHECK_NOTIFY` of Xen's `io/ring.h`).
#[inline]
pub(super) fn reached(event: RingIndex, old: RingIndex, new: RingIndex) -> Notify {
    if new.distance(event) < new.distance(old) {
        Notify::Needed
    } else {
        Notify::NotNeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_reached_once() {
        let at = RingIndex::new;
        for base in [0, 96, u32::MAX - 15] {
            let index = |add: u32| at(base.wrapping_add(add));
            assert_eq!(reached(index(0), index(0), index(16)), Notify::NotNeeded);
            assert_eq!(reached(index(1), index(0), index(16)), Notify::Needed);
            assert_eq!(reached(index(16), index(0), index(16)), Notify::Needed);
            assert_eq!(reached(index(17), index(0), index(16)), Notify::NotNeeded);
            assert_eq!(reached(index(1), index(16), index(32)), Notify::NotNeeded);
            assert_eq!(reached(index(1), index(0), index(0)), Notify::NotNeeded);
        }
    }
}
