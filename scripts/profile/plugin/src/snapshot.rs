// SPDX-License-Identifier: GPL-2.0
//! A snapshot of all counters, and the text that it is written as.

use std::io::{self, Write};
use std::sync::Arc;

use crate::cache::Misses;
use crate::granules::Label;
use crate::probes::{Hits, Key};
use crate::units::{Nanoseconds, SnapshotNumber, Vcpu};

/// What one slot of the table has counted on one processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions begun.
    pub instructions: u64,
    /// Loads and stores done.
    pub accesses: u64,
}

/// What one processor has counted since it was switched on.
#[derive(Debug, Clone, Default)]
pub struct VcpuCounts {
    /// By granule.
    pub granules: Vec<(Label, Counts)>,
    /// By probe and key.
    pub probes: Vec<(Arc<str>, Key, Hits)>,
    /// By granule, of the cache model.
    pub misses: Vec<(Label, Misses)>,
    /// Accesses that the cache model could not look up.
    pub unresolved: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As it was asked for.
    pub number: SnapshotNumber,
    /// When the copy of the counters began.
    pub time: Nanoseconds,
    /// By number of processor.
    pub vcpus: Vec<VcpuCounts>,
}

impl Snapshot {
    /// Writes the snapshot, leaving out what is zero, and flushes it.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let SnapshotNumber(number) = self.number;
        writeln!(out, "S {number} {} {}", self.time.0, self.vcpus.len())?;
        for (vcpu, counts) in (0..).map(Vcpu).zip(&self.vcpus) {
            counts.write(vcpu, out)?;
        }
        writeln!(out, "E {number}")?;
        out.flush()
    }
}

impl VcpuCounts {
    fn write(&self, vcpu: Vcpu, out: &mut impl Write) -> io::Result<()> {
        for (label, it) in &self.granules {
            if *it != Counts::default() {
                writeln!(out, "G {vcpu} {label} {} {}", it.instructions, it.accesses)?;
            }
        }
        for (name, key, hits) in &self.probes {
            writeln!(out, "P {vcpu} {name} {key} {} {}", hits.count, hits.sum)?;
        }
        for (label, it) in &self.misses {
            if *it != Misses::default() {
                writeln!(out, "C {vcpu} {label} {} {} {}", it.l1, it.l2, it.last)?;
            }
        }
        if self.unresolved != 0 {
            writeln!(out, "C {vcpu} unresolved {} 0 0", self.unresolved)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::granules::{Granules, UserCode};
    use crate::units::Address;

    #[test]
    fn the_text_has_what_is_not_zero() {
        let granules = Granules::new(8, UserCode::Whole);
        let label = |address| Label::Granule(granules.granule(Address(address)));
        let counts = |instructions, accesses| Counts {
            instructions,
            accesses,
        };
        let first = VcpuCounts {
            granules: vec![
                (Label::Overflow, counts(0, 0)),
                (label(0x40_0000), counts(7, 0)),
                (label(0xffff_82d0_4020_0018), counts(0, 3)),
                (label(0xffff_82d0_4020_0020), counts(0, 0)),
            ],
            probes: vec![(
                "do_sched_op".into(),
                Key::Value(1),
                Hits { count: 4, sum: 9 },
            )],
            misses: vec![
                (label(0), Misses::default()),
                (
                    label(0xffff_82d0_4020_0018),
                    Misses {
                        l1: 3,
                        l2: 2,
                        last: 1,
                    },
                ),
            ],
            unresolved: 0,
        };
        let second = VcpuCounts {
            granules: vec![(Label::Overflow, counts(5, 2))],
            unresolved: 6,
            ..VcpuCounts::default()
        };
        let snapshot = Snapshot {
            number: SnapshotNumber(11),
            time: Nanoseconds(123),
            vcpus: vec![first, second],
        };
        let mut text = Vec::new();
        snapshot.write(&mut text).expect("memory takes everything");
        let expected = "S 11 123 2\n\
            G 0 0 7 0\n\
            G 0 ffff82d040200010 0 3\n\
            P 0 do_sched_op 1 4 9\n\
            C 0 ffff82d040200010 3 2 1\n\
            G 1 overflow 5 2\n\
            C 1 unresolved 6 0 0\n\
            E 11\n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }
}
