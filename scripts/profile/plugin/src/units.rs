// SPDX-License-Identifier: GPL-2.0
//! The numbers that the other modules pass around, each with its own type.

use std::fmt;

/// User space ends here; kernel and hypervisor live above.
const USER_END: u64 = 0x8000_0000_0000;

/// A virtual address in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub u64);

impl Address {
    /// Whether the address belongs to user space.
    ///
    /// Firmware and early boot code run below this border too.
    #[must_use]
    pub fn is_user(self) -> bool {
        self.0 < USER_END
    }
}

/// An index of a virtual processor, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vcpu(pub u32);

impl Vcpu {
    /// Every processor of a machine that has `count` of them.
    pub fn all(count: u32) -> impl Iterator<Item = Vcpu> {
        (0..count).map(Vcpu)
    }

    /// As an index into a table with an entry a processor.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Vcpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number that a snapshot is asked for by; markers have 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotNumber(pub u32);

/// Time of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nanoseconds(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_space_ends_at_the_canonical_hole() {
        assert!(Address(0x7fff_ffff_ffff).is_user());
        assert!(!Address(0x8000_0000_0000).is_user());
        assert!(!Address(0xffff_82d0_4020_0000).is_user());
    }
}
