// SPDX-License-Identifier: GPL-2.0
//! Which counter an address of code counts in.
//!
//! Code is counted by granules of 16 bytes: functions of the kernel and of Xen start at such borders, so that a reader
//! with the symbol tables can add granules up to functions. Counters lie in a table of fixed size; a granule gets its
//! slot when its code is first translated and keeps it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::units::Address;

/// Bytes of code that share a counter.
pub const GRANULE_BYTES: u64 = 16;

/// Granules that the table holds; booting Linux alone takes a fifth of them.
pub const CAPACITY: usize = 1 << 19;

/// A granule of code, by its first address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Granule(u64);

impl Granule {
    /// All of user space, unless it is split.
    pub const USER: Granule = Granule(0);
}

impl fmt::LowerHex for Granule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a slot of the table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Code of this granule.
    Granule(Granule),
    /// Code for which no slot was left.
    Overflow,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Granule(granule) => write!(f, "{granule:x}"),
            Label::Overflow => f.write_str("overflow"),
        }
    }
}

/// A place in a table of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

impl Slot {
    /// Counts what found no slot of its own.
    pub const OVERFLOW: Slot = Slot(0);

    /// As an index into a table of `CAPACITY` entries.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }

    /// The slot of an index that [`Slot::index`] gave.
    #[must_use]
    pub fn of_index(index: usize) -> Slot {
        Slot(index)
    }
}

/// How user space is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserCode {
    /// In one granule.
    #[default]
    Whole,
    /// In granules like the rest.
    Split,
}

/// The slots given out so far.
#[derive(Debug)]
pub struct Granules {
    user: UserCode,
    capacity: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Granule, Slot>,
    /// By slot; slot 0 is the overflow's and has no entry here.
    granules: Vec<Granule>,
}

impl Granules {
    /// A table of `capacity` slots, one of them for the overflow.
    #[must_use]
    pub fn new(capacity: usize, user: UserCode) -> Self {
        Granules {
            user,
            capacity,
            table: Mutex::default(),
        }
    }

    /// The granule that `address` counts in.
    #[must_use]
    pub fn granule(&self, address: Address) -> Granule {
        if address.is_user() && self.user == UserCode::Whole {
            Granule::USER
        } else {
            Granule(address.0 & !(GRANULE_BYTES - 1))
        }
    }

    /// The slot of `granule`, a new one at its first time.
    #[must_use]
    pub fn slot(&self, granule: Granule) -> Slot {
        let mut table = self.lock();
        if let Some(&slot) = table.slots.get(&granule) {
            return slot;
        }
        let next = table.granules.len() + 1;
        if next >= self.capacity {
            return Slot::OVERFLOW;
        }
        table.granules.push(granule);
        table.slots.insert(granule, Slot(next));
        Slot(next)
    }

    /// Every slot given out, the overflow's first.
    #[must_use]
    pub fn used(&self) -> Vec<(Slot, Label)> {
        let table = self.lock();
        let own = table.granules.iter().enumerate();
        let own = own.map(|(at, &granule)| (Slot(at + 1), Label::Granule(granule)));
        std::iter::once((Slot::OVERFLOW, Label::Overflow))
            .chain(own)
            .collect()
    }

    /// A panic elsewhere leaves the table whole: each change is complete before the next.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XEN: u64 = 0xffff_82d0_4020_0000;

    #[test]
    fn sixteen_bytes_share_a_slot() {
        let granules = Granules::new(8, UserCode::Whole);
        let slot = |address| granules.slot(granules.granule(Address(address)));
        assert_eq!(slot(XEN), slot(XEN + 15));
        assert_ne!(slot(XEN), slot(XEN + 16));
        assert_ne!(slot(XEN), slot(XEN - 1));
        assert_eq!(slot(XEN + 3), slot(XEN));
    }

    #[test]
    fn user_space_is_one_granule_unless_split() {
        let whole = Granules::new(8, UserCode::Whole);
        assert_eq!(whole.granule(Address(0x40_1234)), Granule::USER);
        assert_eq!(whole.granule(Address(0x7fff_ffff_fff0)), Granule::USER);
        assert_eq!(
            format!("{:x}", whole.granule(Address(XEN + 7))),
            "ffff82d040200000"
        );
        let split = Granules::new(8, UserCode::Split);
        assert_eq!(format!("{:x}", split.granule(Address(0x40_1234))), "401230");
    }

    #[test]
    fn what_does_not_fit_counts_as_overflow() {
        let granules = Granules::new(3, UserCode::Whole);
        let slot = |n: u64| granules.slot(granules.granule(Address(XEN + n * GRANULE_BYTES)));
        let first = slot(0);
        let second = slot(1);
        assert!(first != Slot::OVERFLOW && second != Slot::OVERFLOW);
        assert_eq!((slot(2), slot(3)), (Slot::OVERFLOW, Slot::OVERFLOW));
        assert_eq!((slot(0), slot(1)), (first, second));
        let used: Vec<String> = granules
            .used()
            .iter()
            .map(|(_, label)| label.to_string())
            .collect();
        assert_eq!(used, ["overflow", "ffff82d040200000", "ffff82d040200010"]);
    }

    #[test]
    fn threads_agree_on_slots() {
        let granules = Granules::new(5000, UserCode::Whole);
        let run = || -> Vec<Slot> {
            (0..4000u64)
                .map(|n| granules.slot(granules.granule(Address(XEN + n * GRANULE_BYTES))))
                .collect()
        };
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(run);
            let other = scope.spawn(run);
            (one.join(), other.join())
        });
        assert_eq!(one.ok(), other.ok());
        assert_eq!(granules.used().len(), 4001);
    }
}
