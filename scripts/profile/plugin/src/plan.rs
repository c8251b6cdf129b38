// SPDX-License-Identifier: GPL-2.0
//! What is to be counted in a block of code that QEMU translates.

use crate::granules::{Granules, Slot};
use crate::probes::{ProbeNumber, ProbeTable};
use crate::units::{Address, SnapshotNumber};

/// Longest instruction of x86.
pub const MAX_INSTRUCTION: usize = 15;

/// The no-op `nopl 0x4e4332NN(%rax,%rax,1)` up to its number, and what follows the number.
const MARKER_HEAD: [u8; 4] = [0x0f, 0x1f, 0x84, 0x00];
const MARKER_TAIL: [u8; 3] = [0x32, 0x43, 0x4e];

/// One instruction of a block.
#[derive(Debug, Clone, Copy)]
pub struct Instruction {
    address: Address,
    length: usize,
    bytes: [u8; MAX_INSTRUCTION],
}

impl Instruction {
    /// An instruction of these bytes, of which no more than [`MAX_INSTRUCTION`] are looked at.
    #[must_use]
    pub fn new(address: Address, bytes: &[u8]) -> Self {
        let mut held = [0; MAX_INSTRUCTION];
        let length = bytes.len().min(MAX_INSTRUCTION);
        held[..length].copy_from_slice(&bytes[..length]);
        Instruction {
            address,
            length,
            bytes: held,
        }
    }

    /// The snapshot that a marker asks for.
    fn marker(&self) -> Option<SnapshotNumber> {
        let rest = self.bytes[..self.length].strip_prefix(&MARKER_HEAD)?;
        let (&number, tail) = rest.split_first()?;
        (tail == MARKER_TAIL).then_some(SnapshotNumber(number.into()))
    }

    /// Whether this is `hlt` or `iret`, which every processor runs now and then, busy or idle.
    fn recurs(&self) -> bool {
        matches!(self.bytes[..self.length], [0xf4] | [0xcf] | [0x48, 0xcf])
    }

    /// Whether this is `wrmsr`, by which a processor sends interrupts to others, among other things.
    fn writes_register(&self) -> bool {
        self.bytes[..self.length] == [0x0f, 0x30]
    }
}

/// What to do at an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before it: count so many instructions.
    Count(Slot, u64),
    /// After each of its accesses: count one.
    CountAccesses(Slot),
    /// Before it: count a hit.
    Probe(ProbeNumber),
    /// Before it: write a snapshot.
    Snapshot(SnapshotNumber),
    /// Before it: translate everything anew, if that is asked for.
    Refresh,
    /// Before it: see whether it sends an interrupt.
    WriteRegister,
}

/// What to do in a block: each step with the index of its instruction, in the order of registration.
///
/// Consecutive instructions of one granule are counted together before the first of them. A marker ends such a run, so
/// that its snapshot has what comes before it, itself, and nothing of what comes after it.
#[must_use]
pub fn plan(block: &[Instruction], granules: &Granules, probes: &ProbeTable) -> Vec<(usize, Step)> {
    let slots: Vec<Slot> = block
        .iter()
        .map(|it| granules.slot(granules.granule(it.address)))
        .collect();
    let mut steps = Vec::with_capacity(block.len() + 4);
    let mut begin = 0;
    while begin < block.len() {
        let run = slots[begin..].iter().take_while(|&&it| it == slots[begin]);
        let marker = block[begin..].iter().position(|it| it.marker().is_some());
        let length = run.count().min(marker.map_or(usize::MAX, |at| at + 1));
        steps.push((begin, Step::Count(slots[begin], length as u64)));
        for (at, instruction) in block.iter().enumerate().skip(begin).take(length) {
            steps.push((at, Step::CountAccesses(slots[at])));
            let hit = probes.at(instruction.address).iter();
            steps.extend(hit.map(|&number| (at, Step::Probe(number))));
            steps.extend(
                instruction
                    .marker()
                    .map(|number| (at, Step::Snapshot(number))),
            );
            if instruction.recurs() {
                steps.push((at, Step::Refresh));
            }
            if instruction.writes_register() {
                steps.push((at, Step::WriteRegister));
            }
        }
        begin += length;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::granules::UserCode;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const KERNEL: u64 = 0xffff_ffff_8100_0000;
    const NOP: &[u8] = &[0x90];

    /// A marker with this number.
    fn marker(number: u8) -> [u8; 8] {
        [0x0f, 0x1f, 0x84, 0x00, number, 0x32, 0x43, 0x4e]
    }

    /// Instructions one after the other.
    fn block(start: u64, instructions: &[&[u8]]) -> Vec<Instruction> {
        let mut address = start;
        let mut next = |bytes: &&[u8]| {
            let it = Instruction::new(Address(address), bytes);
            address += bytes.len() as u64;
            it
        };
        instructions.iter().map(&mut next).collect()
    }

    fn counts(steps: &[(usize, Step)]) -> Vec<(usize, u64)> {
        let count = |&(at, step): &(usize, Step)| match step {
            Step::Count(_, n) => Some((at, n)),
            _ => None,
        };
        steps.iter().filter_map(count).collect()
    }

    fn granules() -> Granules {
        Granules::new(1000, UserCode::Whole)
    }

    #[test]
    fn instructions_of_a_granule_are_counted_together() {
        let steps = plan(
            &block(KERNEL + 13, &[NOP, &[0x66, 0x90], NOP, NOP]),
            &granules(),
            &ProbeTable::default(),
        );
        // The second begins in the first granule and ends in the next: where it begins counts.
        assert_eq!(counts(&steps), [(0, 2), (2, 2)]);
    }

    #[test]
    fn a_marker_ends_a_run_after_itself() {
        let steps = plan(
            &block(KERNEL, &[NOP, &marker(7), NOP, NOP]),
            &granules(),
            &ProbeTable::default(),
        );
        assert_eq!(counts(&steps), [(0, 2), (2, 2)]);
        let at = |wanted: Step| steps.iter().position(|&(_, step)| step == wanted);
        let snapshot = at(Step::Snapshot(SnapshotNumber(7)));
        assert_eq!(snapshot.map(|it| steps[it].0), Some(1));
        assert!(snapshot < steps.iter().position(|&(at, _)| at == 2));
    }

    #[test]
    fn a_marker_that_begins_a_run_is_counted_before_its_snapshot() {
        let steps = plan(
            &block(KERNEL, &[&marker(1), NOP]),
            &granules(),
            &ProbeTable::default(),
        );
        assert_eq!(counts(&steps), [(0, 1), (1, 1)]);
        assert!(matches!(steps[0], (0, Step::Count(..))));
        assert!(steps.contains(&(0, Step::Snapshot(SnapshotNumber(1)))));
    }

    #[test]
    fn only_the_marker_is_a_marker() {
        let is = |bytes: &[u8]| Instruction::new(Address(0), bytes).marker();
        assert_eq!(is(&marker(255)), Some(SnapshotNumber(255)));
        for other in [
            &[0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0][..],
            &[0x0f, 0x1f, 0x84, 0x01, 1, 0x32, 0x43, 0x4e],
            &[0x0f, 0x1f, 0x84, 0x00, 1, 0x32, 0x43],
            &[0x66, 0x0f, 0x1f, 0x84, 0x00, 1, 0x32, 0x43, 0x4e],
            NOP,
            &[],
        ] {
            assert_eq!(is(other), None, "{other:x?}");
        }
    }

    #[test]
    fn probes_and_instructions_of_use_are_found() {
        let mut probes = ProbeTable::default();
        let line = format!("{:x} here rdi", KERNEL + 1);
        probes.add(line.parse().expect("a probe"));
        let steps = plan(
            &block(KERNEL, &[NOP, NOP, &[0x0f, 0x30], &[0x48, 0xcf]]),
            &granules(),
            &probes,
        );
        let others: Vec<_> = steps
            .iter()
            .filter(|(_, step)| !matches!(step, Step::Count(..) | Step::CountAccesses(_)))
            .collect();
        let expected = [
            (1, Step::Probe(probes.at(Address(KERNEL + 1))[0])),
            (2, Step::WriteRegister),
            (3, Step::Refresh),
        ];
        assert_eq!(others, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn user_space_is_one_run_until_a_marker() {
        let steps = plan(
            &block(0x40_1000, &[NOP; 40]),
            &granules(),
            &ProbeTable::default(),
        );
        assert_eq!(counts(&steps), [(0, 40)]);
    }

    /// What a table shows after `spin` of the self-test has run, in turns of its loop of four.
    fn spin(granules: &Granules, turns: u64) -> Vec<(String, u64)> {
        let head = block(KERNEL, &[&[0xb9, 0x40, 0x42, 0x0f, 0x00]]);
        let body = block(
            KERNEL + 5,
            &[
                &[0x48, 0x83, 0xc0, 0x03],
                &[0x48, 0x31, 0xc2],
                &[0xff, 0xc9],
                &[0x75, 0xf5],
            ],
        );
        let mut shown = HashMap::new();
        for (code, times) in [(head, 1), (body, turns)] {
            for (_, step) in plan(&code, granules, &ProbeTable::default()) {
                if let Step::Count(slot, n) = step {
                    *shown.entry(slot).or_insert(0) += n * times;
                }
            }
        }
        let labels = granules.used().into_iter();
        labels
            .filter_map(|(slot, label)| Some((label.to_string(), *shown.get(&slot)?)))
            .collect()
    }

    #[test]
    fn a_broken_table_shows_in_the_counts() {
        let expected = [("ffffffff81000000".to_owned(), 4001)];
        assert_eq!(spin(&granules(), 1000), expected);
        let full = Granules::new(1, UserCode::Whole);
        assert_eq!(spin(&full, 1000), [("overflow".to_owned(), 4001)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A block that runs through counts each instruction once, where its granule says.
        #[test]
        fn every_instruction_counts_once(start in 0u64..64, lengths in prop::collection::vec(1usize..=15, 0..40)) {
            let granules = granules();
            let bytes: Vec<Vec<u8>> = lengths.iter().map(|&it| match it {
                8 => marker(3).to_vec(),
                length => vec![0x90; length],
            }).collect();
            let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
            let block = block(KERNEL + start, &bytes);
            let mut wanted: HashMap<Slot, u64> = HashMap::new();
            for it in &block {
                *wanted.entry(granules.slot(granules.granule(it.address))).or_default() += 1;
            }
            let steps = plan(&block, &granules, &ProbeTable::default());
            let mut counted: HashMap<Slot, u64> = HashMap::new();
            let mut watched = vec![];
            for (at, step) in steps {
                match step {
                    Step::Count(slot, n) => *counted.entry(slot).or_default() += n,
                    Step::CountAccesses(_) => watched.push(at),
                    _ => {}
                }
            }
            prop_assert_eq!(counted, wanted);
            prop_assert_eq!(watched, (0..block.len()).collect::<Vec<_>>());
        }
    }
}
