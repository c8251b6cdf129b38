// SPDX-License-Identifier: GPL-2.0
//! The model on patterns whose misses are known, and against a plain list of lines.

use proptest::prelude::*;

use super::*;

const A: Vcpu = Vcpu(0);
const B: Vcpu = Vcpu(1);
const KB: u64 = 1024;

/// Reads or writes `bytes` from address `start` in words of 8, and says what missed.
fn sweep(caches: &mut Hierarchy, vcpu: Vcpu, start: u64, bytes: u64, access: Access) -> Misses {
    let mut misses = Misses::default();
    for at in (start..start + bytes).step_by(8) {
        for line in Line::touched(at, 3) {
            misses += caches.access(vcpu, line, access);
        }
    }
    misses
}

fn misses(l1: u64, l2: u64, last: u64) -> Misses {
    Misses { l1, l2, last }
}

#[test]
fn sizes_are_those_documented() {
    let kilobytes = |level: Geometry| (level.sets * level.ways) as u64 * 64 / KB;
    assert_eq!(
        (kilobytes(L1), kilobytes(L2), kilobytes(LAST)),
        (48, 1280, 12 * 1024)
    );
}

#[test]
fn an_access_touches_the_lines_that_it_overlaps() {
    let touched = |start, shift| {
        Line::touched(start, shift)
            .map(|line| line.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(touched(0, 0), [0]);
    assert_eq!(touched(63, 0), [0]);
    assert_eq!(touched(60, 3), [0, 1]);
    assert_eq!(touched(64, 4), [1]);
}

#[test]
fn what_fits_a_level_misses_it_once() {
    for (bytes, first, again) in [
        (48 * KB, misses(768, 768, 768), misses(0, 0, 0)),
        (1280 * KB, misses(20480, 20480, 20480), misses(20480, 0, 0)),
        (
            12288 * KB,
            misses(196_608, 196_608, 196_608),
            misses(196_608, 196_608, 0),
        ),
        (
            13312 * KB,
            misses(212_992, 212_992, 212_992),
            misses(212_992, 212_992, 212_992),
        ),
    ] {
        let mut caches = Hierarchy::new(1);
        assert_eq!(
            sweep(&mut caches, A, 0, bytes, Access::Load),
            first,
            "first {bytes}"
        );
        let second = sweep(&mut caches, A, 0, bytes, Access::Load);
        assert_eq!(second, again, "again {bytes}");
    }
}

#[test]
fn the_least_recently_used_line_goes() {
    let mut level = Level::new(Geometry::new(1, 3));
    for line in [1, 2, 3] {
        assert!(!level.touch(Line(line)));
    }
    assert!(level.touch(Line(1)));
    assert!(!level.touch(Line(4)));
    assert!(level.holds(Line(1)) && level.holds(Line(3)) && !level.holds(Line(2)));
    level.remove(Line(3));
    assert!(!level.touch(Line(5)));
    assert!(level.holds(Line(1)) && level.holds(Line(4)));
}

#[test]
fn a_store_takes_the_line_from_the_other_processor() {
    let mut caches = Hierarchy::new(2);
    let bytes = 16 * KB;
    let lines = 256;
    assert_eq!(
        sweep(&mut caches, A, 0, bytes, Access::Store),
        misses(lines, lines, lines)
    );
    // Copied to by A, read by B: out of the shared level, not out of memory.
    assert_eq!(
        sweep(&mut caches, B, 0, bytes, Access::Load),
        misses(lines, lines, 0)
    );
    // Both read: nobody loses anything.
    assert_eq!(
        sweep(&mut caches, A, 0, bytes, Access::Load),
        misses(0, 0, 0)
    );
    assert_eq!(
        sweep(&mut caches, B, 0, bytes, Access::Store),
        misses(0, 0, 0)
    );
    assert_eq!(
        sweep(&mut caches, A, 0, bytes, Access::Load),
        misses(lines, lines, 0)
    );
}

#[test]
fn a_line_only_another_processor_holds_is_no_miss_of_the_chip() {
    let mut caches = Hierarchy::new(2);
    sweep(&mut caches, A, 0, 64, Access::Load);
    // A keeps the line warm in its L1, where the last level does not see it, while others push it out of there.
    for n in 1..=13u64 {
        sweep(&mut caches, A, 0, 8, Access::Load);
        sweep(&mut caches, B, n * 16384 * 64, 8, Access::Load);
    }
    assert!(!caches.last.holds(Line(0)));
    assert_eq!(sweep(&mut caches, B, 0, 8, Access::Load), misses(1, 1, 0));
}

#[test]
fn an_unknown_processor_changes_nothing() {
    let mut caches = Hierarchy::new(1);
    assert_eq!(caches.access(B, Line(1), Access::Store), Found::L1);
    assert_eq!(caches.access(A, Line(1), Access::Load), Found::Memory);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A level is, set by set, a list of lines ordered by their last use.
    #[test]
    fn a_level_equals_a_list(steps in prop::collection::vec((0u64..64, prop::bool::weighted(0.1)), 1..400)) {
        let geometry = Geometry::new(4, 3);
        let mut level = Level::new(geometry);
        let mut used: Vec<u64> = Vec::new();
        for (line, remove) in steps {
            let peers = |list: &[u64]| list.iter().filter(|&&it| it % 4 == line % 4).count();
            let before = used.iter().position(|&it| it == line);
            if let Some(at) = before {
                used.remove(at);
            }
            if remove {
                level.remove(Line(line));
                prop_assert!(!level.holds(Line(line)));
                continue;
            }
            prop_assert_eq!(level.touch(Line(line)), before.is_some());
            used.insert(0, line);
            if peers(&used) > geometry.ways {
                if let Some(oldest) = used.iter().rposition(|&it| it % 4 == line % 4) {
                    used.remove(oldest);
                }
            }
            for &held in &used {
                prop_assert!(level.holds(Line(held)));
            }
        }
    }
}
