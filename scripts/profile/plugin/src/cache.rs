// SPDX-License-Identifier: GPL-2.0
//! A model of caches: per processor an L1 data cache and an L2, behind them a last level that all share.
//!
//! Sizes and ways are those of a server core of about 2020. Lines are 64 bytes, addresses physical, replacement is
//! least recently used, and a miss fills every level of the processor that asks. No level includes another: a line
//! that one level drops stays in the others. A store takes the line away from the other processors' private levels.
//! A line that the last level lacks but another processor holds is handed over inside the chip, and so is no miss of
//! the last level.

use std::ops::AddAssign;

use crate::units::Vcpu;

const LINE_SHIFT: u32 = 6;

/// A line of physical memory, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line(u64);

impl Line {
    const NONE: Line = Line(u64::MAX);

    /// The lines that `1 << size_shift` bytes at physical address `start` lie in.
    pub fn touched(start: u64, size_shift: u32) -> impl Iterator<Item = Line> {
        let last = start.saturating_add((1 << size_shift.min(LINE_SHIFT)) - 1);
        (start >> LINE_SHIFT..=last >> LINE_SHIFT).map(Line)
    }
}

/// Size and ways of one level.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    sets: usize,
    ways: usize,
}

impl Geometry {
    /// The sets must be a power of two, as in the levels below.
    const fn new(sets: usize, ways: usize) -> Self {
        assert!(sets.is_power_of_two() && ways > 0);
        Geometry { sets, ways }
    }
}

/// 48 KB.
const L1: Geometry = Geometry::new(64, 12);
/// 1.25 MB.
const L2: Geometry = Geometry::new(2048, 10);
/// 12 MB.
const LAST: Geometry = Geometry::new(16384, 12);

/// One cache: which lines it holds.
#[derive(Debug)]
struct Level {
    geometry: Geometry,
    /// Set after set, in each the most recently used line first.
    lines: Box<[Line]>,
}

impl Level {
    fn new(geometry: Geometry) -> Self {
        Level {
            geometry,
            lines: vec![Line::NONE; geometry.sets * geometry.ways].into(),
        }
    }

    fn set(&mut self, line: Line) -> &mut [Line] {
        let sets = self.geometry.sets;
        // Truncation keeps the low bits, which are all that the remainder needs.
        let set = usize::try_from(line.0 % sets as u64).unwrap_or(0);
        let start = set * self.geometry.ways;
        &mut self.lines[start..start + self.geometry.ways]
    }

    /// Makes `line` the most recently used of its set; says whether it was there.
    fn touch(&mut self, line: Line) -> bool {
        let set = self.set(line);
        let found = set.iter().position(|&held| held == line);
        let place = found.unwrap_or(set.len() - 1);
        set[..=place].rotate_right(1);
        set[0] = line;
        found.is_some()
    }

    fn holds(&mut self, line: Line) -> bool {
        self.set(line).contains(&line)
    }

    /// Forgets `line`; its place is the next to be filled.
    fn remove(&mut self, line: Line) {
        let set = self.set(line);
        if let Some(at) = set.iter().position(|&held| held == line) {
            set[at..].rotate_left(1);
            if let Some(last) = set.last_mut() {
                *last = Line::NONE;
            }
        }
    }
}

/// The levels that one processor has to itself.
#[derive(Debug)]
struct Private {
    l1: Level,
    l2: Level,
}

/// Whether an access reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    Load,
    /// Writes.
    Store,
}

/// Where an access found its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In the processor's L1.
    L1,
    /// In the processor's L2.
    L2,
    /// In the last level, or with another processor.
    Chip,
    /// In memory.
    Memory,
}

/// Misses of each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Misses {
    /// Of the L1 data cache.
    pub l1: u64,
    /// Of the L2.
    pub l2: u64,
    /// Of the last level.
    pub last: u64,
}

impl AddAssign<Found> for Misses {
    fn add_assign(&mut self, found: Found) {
        self.l1 += u64::from(found != Found::L1);
        self.l2 += u64::from(matches!(found, Found::Chip | Found::Memory));
        self.last += u64::from(found == Found::Memory);
    }
}

/// The caches of a machine.
#[derive(Debug)]
pub struct Hierarchy {
    private: Vec<Private>,
    last: Level,
}

impl Hierarchy {
    /// Empty caches for `vcpus` processors.
    #[must_use]
    pub fn new(vcpus: u32) -> Self {
        let private = Vcpu::all(vcpus).map(|_| Private {
            l1: Level::new(L1),
            l2: Level::new(L2),
        });
        Hierarchy {
            private: private.collect(),
            last: Level::new(LAST),
        }
    }

    /// Accesses `line` from `vcpu`; a processor beyond those known counts as found in L1.
    pub fn access(&mut self, vcpu: Vcpu, line: Line, access: Access) -> Found {
        let Some(own) = self.private.get_mut(vcpu.index()) else {
            return Found::L1;
        };
        let in_l1 = own.l1.touch(line);
        let in_l2 = !in_l1 && own.l2.touch(line);
        let mut shared = false;
        if !(in_l1 || in_l2) {
            shared = self.last.touch(line)
                || self
                    .others(vcpu)
                    .any(|it| it.l1.holds(line) || it.l2.holds(line));
        }
        if access == Access::Store {
            for other in self.others(vcpu) {
                other.l1.remove(line);
                other.l2.remove(line);
            }
        }
        match (in_l1, in_l2, shared) {
            (true, _, _) => Found::L1,
            (_, true, _) => Found::L2,
            (_, _, true) => Found::Chip,
            _ => Found::Memory,
        }
    }

    fn others(&mut self, vcpu: Vcpu) -> impl Iterator<Item = &mut Private> {
        let all = self.private.iter_mut().enumerate();
        all.filter(move |(at, _)| *at != vcpu.index())
            .map(|(_, it)| it)
    }
}

#[cfg(test)]
mod tests;
