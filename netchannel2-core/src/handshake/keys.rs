// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The names of xenstore keys, below the device's directory of the side that writes them.

use core::{
    ffi::CStr,
    fmt::{
        self,
        Write as _, //
    },
};

use crate::units::QueueIndex;

/// The backend's highest version; its presence says that the backend speaks this protocol.
pub const FEATURE: KeyName = KeyName::constant("feature-netchannel2");

/// The backend's lowest version.
pub const MIN_VERSION: KeyName = KeyName::constant("netchannel2-min-version");

/// The most queues that the backend takes.
pub const MAX_QUEUES: KeyName = KeyName::constant("netchannel2-max-queues");

/// The largest ring order that the backend takes.
pub const MAX_RING_ORDER: KeyName = KeyName::constant("netchannel2-max-ring-order");

/// The features that the backend has, or those that the frontend picked; hexadecimal.
pub const FEATURES: KeyName = KeyName::constant("netchannel2-features");

/// The version that the frontend picked.
pub const VERSION: KeyName = KeyName::constant("netchannel2-version");

/// The number of queues that the frontend set up.
pub const NUM_QUEUES: KeyName = KeyName::constant("netchannel2-num-queues");

/// The order of the rings that the frontend set up.
pub const RING_ORDER: KeyName = KeyName::constant("netchannel2-ring-order");

/// Names the grant reference of a queue's control page.
pub fn control_ring_ref(queue: QueueIndex) -> KeyName {
    KeyName::format(format_args!("queue-{queue}/control-ring-ref"))
}

/// Names the grant reference of a page of a queue's ring from the frontend.
pub fn tx_ring_ref(queue: QueueIndex, page: u8) -> KeyName {
    KeyName::format(format_args!("queue-{queue}/tx-ring-ref-{page}"))
}

/// Names the grant reference of a page of a queue's ring to the frontend.
pub fn rx_ring_ref(queue: QueueIndex, page: u8) -> KeyName {
    KeyName::format(format_args!("queue-{queue}/rx-ring-ref-{page}"))
}

/// Names a queue's event channel.
pub fn event_channel(queue: QueueIndex) -> KeyName {
    KeyName::format(format_args!("queue-{queue}/event-channel"))
}

/// A key, relative to a device's directory.
///
/// # Invariants
///
/// The first `length` bytes are UTF-8 without a zero, and a zero follows them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyName {
    bytes: [u8; Self::CAPACITY],
    length: u8,
}

impl KeyName {
    /// One more than the longest key, `queue-65535/control-ring-ref`, and more.
    const CAPACITY: usize = 40;

    /// Copies a name that is shorter than the capacity; a longer one fails to compile in a const.
    const fn constant(name: &str) -> Self {
        let from = name.as_bytes();
        assert!(from.len() < Self::CAPACITY);
        let mut bytes = [0; Self::CAPACITY];
        let mut at = 0;
        while at < from.len() {
            bytes[at] = from[at];
            at += 1;
        }
        // INVARIANT: Shorter than the capacity, so that a zero follows.
        Self {
            bytes,
            // CAST: Below the capacity.
            #[expect(clippy::cast_possible_truncation, reason = "below the capacity")]
            length: from.len() as u8,
        }
    }

    /// Formats a name; what does not fit is left out.
    fn format(name: fmt::Arguments<'_>) -> Self {
        // INVARIANT: Empty and zero.
        let mut key = Self {
            bytes: [0; Self::CAPACITY],
            length: 0,
        };
        // All names fit, as the longest does.
        let _ = key.write_fmt(name);
        key
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// Returns the name as C takes it.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl fmt::Write for KeyName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let end = start.checked_add(text.len()).ok_or(fmt::Error)?;
        if end >= Self::CAPACITY {
            return Err(fmt::Error);
        }
        self.bytes
            .get_mut(start..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        // INVARIANT: Below the capacity as checked above, so that a zero follows.
        self.length = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_fits() {
        let longest = control_ring_ref(QueueIndex::new(u16::MAX));
        assert_eq!(longest.as_str(), "queue-65535/control-ring-ref");
        assert_eq!(longest.as_c_str(), c"queue-65535/control-ring-ref");
        assert_eq!(
            tx_ring_ref(QueueIndex::new(u16::MAX), u8::MAX).as_str(),
            "queue-65535/tx-ring-ref-255"
        );
        assert_eq!(FEATURE.as_str(), "feature-netchannel2");
    }
}
