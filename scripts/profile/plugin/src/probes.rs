// SPDX-License-Identifier: GPL-2.0
//! Probes: events counted when the code at an address runs, by the value of a register.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::units::{Address, Vcpu};

/// Values of the key register that one processor tells apart; counts of more go to one key for all of them.
pub const MAX_KEYS: usize = 1 << 16;

/// The general registers, in the order of their numbers in GDB's description of x86-64.
pub const REGISTERS: [&str; 16] = [
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// A general register, or its lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    number: usize,
    half: bool,
}

impl Register {
    /// The low half of `rax`: for `wrmsr` that of the value.
    pub const EAX: Self = Self::half(0);
    /// The low half of `rcx`: for `wrmsr` the number of the register.
    pub const ECX: Self = Self::half(2);
    /// The low half of `rdx`: for `wrmsr` the high half of the value.
    pub const EDX: Self = Self::half(3);

    const fn half(number: usize) -> Self {
        Register { number, half: true }
    }

    /// `rdi` or `r8` for 64 bits, `edi` or `r8d` for 32.
    fn parse(name: &str) -> Result<Self, BadProbe> {
        let whole = |name: &str| REGISTERS.iter().position(|&it| it == name);
        let (full, half) = match (name.strip_prefix('e'), name.strip_suffix('d')) {
            (Some(rest), _) => (format!("r{rest}"), true),
            (_, Some(rest)) => (rest.to_owned(), true),
            _ => (name.to_owned(), false),
        };
        whole(&full)
            .map(|number| Register { number, half })
            .ok_or_else(|| BadProbe(format!("{name:?} is no general register")))
    }

    /// The register's place in [`REGISTERS`].
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// What a probe sees of a register that holds `value`.
    #[must_use]
    pub fn part(self, value: u64) -> u64 {
        if self.half {
            value & u64::from(u32::MAX)
        } else {
            value
        }
    }
}

/// What to count where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub address: Address,
    /// What the counts are called.
    pub name: Arc<str>,
    /// Counts are kept apart by its low 32 bits.
    pub key: Option<Register>,
    /// Its values are added up.
    pub sum: Option<Register>,
}

/// Why a line describes no probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadProbe(String);

impl fmt::Display for BadProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadProbe {}

impl std::str::FromStr for Probe {
    type Err = BadProbe;

    /// Reads `ADDRESS NAME REGISTERS`: `ffff82d040212345 do_grant_table_op rdi,edx`, or `-` for no register.
    fn from_str(line: &str) -> Result<Self, BadProbe> {
        let mut words = line.split_whitespace();
        let (Some(address), Some(name), Some(registers), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(BadProbe(format!("{line:?} is not ADDRESS NAME REGISTERS")));
        };
        let address = u64::from_str_radix(address.strip_prefix("0x").unwrap_or(address), 16)
            .map_err(|_| BadProbe(format!("{address:?} is no hexadecimal address")))?;
        let register = |name: &str| match name {
            "-" => Ok(None),
            name => Register::parse(name).map(Some),
        };
        let (key, sum) = registers.split_once(',').unwrap_or((registers, "-"));
        Ok(Probe {
            address: Address(address),
            name: name.into(),
            key: register(key)?,
            sum: register(sum)?,
        })
    }
}

/// Reads a file of probes: one a line, blank lines and lines from `#` on left out.
///
/// # Errors
///
/// The first line that is no probe, with its number.
pub fn parse_file(text: &str) -> Result<Vec<Probe>, BadProbe> {
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let parsed = lines.map(|(line, number)| {
        line.parse()
            .map_err(|bad: BadProbe| BadProbe(format!("line {number}: {bad}")))
    });
    parsed.collect()
}

/// A probe in a [`ProbeTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProbeNumber(usize);

impl ProbeNumber {
    /// As an index that [`ProbeNumber::of_index`] takes.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }

    /// The probe of an index that [`ProbeNumber::index`] gave.
    #[must_use]
    pub fn of_index(index: usize) -> Self {
        ProbeNumber(index)
    }
}

/// All probes, by number and by address. Probes are added and never removed.
#[derive(Debug, Default)]
pub struct ProbeTable {
    probes: Vec<Probe>,
    at: HashMap<Address, Vec<ProbeNumber>>,
}

impl ProbeTable {
    /// Adds `probe`, unless it is there already.
    pub fn add(&mut self, probe: Probe) {
        let at = self.at.entry(probe.address).or_default();
        if !at.iter().any(|number| self.probes[number.0] == probe) {
            at.push(ProbeNumber(self.probes.len()));
            self.probes.push(probe);
        }
    }

    /// The probes of an address.
    #[must_use]
    pub fn at(&self, address: Address) -> &[ProbeNumber] {
        self.at.get(&address).map_or(&[], Vec::as_slice)
    }

    /// The probe of a number.
    #[must_use]
    pub fn get(&self, number: ProbeNumber) -> Option<&Probe> {
        self.probes.get(number.0)
    }
}

/// By what counts of one name are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The low half of the key register; 0 where a probe has none.
    Value(u32),
    /// All values that came after [`MAX_KEYS`] others.
    Overflow,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Value(value) => value.fmt(f),
            Key::Overflow => f.write_str("overflow"),
        }
    }
}

/// How often a probe was hit, and the sum of its second register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// Executions of the address.
    pub count: u64,
    /// Sum over them, modulo 2⁶⁴.
    pub sum: u64,
}

/// Hits of all probes on one processor.
#[derive(Debug, Default)]
struct PerVcpu(HashMap<(Arc<str>, Key), Hits>);

/// Hits of all probes on all processors.
#[derive(Debug)]
pub struct ProbeCounts(Vec<Mutex<PerVcpu>>);

impl ProbeCounts {
    /// No hits on `vcpus` processors.
    #[must_use]
    pub fn new(vcpus: u32) -> Self {
        ProbeCounts(Vcpu::all(vcpus).map(|_| Mutex::default()).collect())
    }

    /// Counts a hit of `probe`; `read` gives the registers that it wants.
    pub fn hit(&self, vcpu: Vcpu, probe: &Probe, read: impl Fn(Register) -> u64) {
        let Some(counts) = self.0.get(vcpu.index()) else {
            return;
        };
        let value = |register: Option<Register>| register.map_or(0, |it| it.part(read(it)));
        let low = value(probe.key) & u64::from(u32::MAX);
        let mut id = (
            Arc::clone(&probe.name),
            u32::try_from(low).map_or(Key::Overflow, Key::Value),
        );
        let counts = &mut lock(counts).0;
        if counts.len() >= MAX_KEYS && !counts.contains_key(&id) {
            id.1 = Key::Overflow;
        }
        let hits = counts.entry(id).or_default();
        hits.count += 1;
        hits.sum = hits.sum.wrapping_add(value(probe.sum));
    }

    /// The hits on `vcpu` so far, ordered by name and key.
    #[must_use]
    pub fn of(&self, vcpu: Vcpu) -> Vec<(Arc<str>, Key, Hits)> {
        let Some(counts) = self.0.get(vcpu.index()) else {
            return Vec::new();
        };
        let counts = lock(counts);
        let mut all: Vec<_> = counts
            .0
            .iter()
            .map(|((name, key), &hits)| (Arc::clone(name), *key, hits))
            .collect();
        drop(counts);
        all.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        all
    }
}

/// A panic elsewhere leaves the counts whole: each hit is one change.
fn lock(counts: &Mutex<PerVcpu>) -> MutexGuard<'_, PerVcpu> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(line: &str) -> Probe {
        line.parse().expect("a probe")
    }

    #[test]
    fn a_line_says_where_what_and_which_registers() {
        let it = probe("ffff82d040212345 do_grant_table_op rdi,edx");
        assert_eq!(it.address, Address(0xffff_82d0_4021_2345));
        assert_eq!(&*it.name, "do_grant_table_op");
        let registers = [it.key, it.sum].map(|it| it.map(|it| (REGISTERS[it.number], it.half)));
        assert_eq!(registers, [Some(("rdi", false)), Some(("rdx", true))]);
        assert_eq!(Register::parse("ecx"), Ok(Register::ECX));
        assert_eq!(probe("0x10 a -").key, None);
        assert_eq!(probe("10 a -,rdx").sum, Register::parse("rdx").ok());
        assert_eq!(
            Register::parse("r8d"),
            Ok(Register {
                number: 8,
                half: true
            })
        );
    }

    #[test]
    fn bad_lines_are_refused_with_their_number() {
        for line in [
            "",
            "10",
            "10 a",
            "xyz a -",
            "10 a rip",
            "10 a edid",
            "10 a rdi,rsi,rdx",
            "10 a - b",
        ] {
            assert!(line.parse::<Probe>().is_err(), "{line:?}");
        }
        let bad = parse_file("# comment\n\n10 a -\n10 a rxx\n").expect_err("line 4");
        assert_eq!(bad.to_string(), "line 4: \"rxx\" is no general register");
        assert_eq!(parse_file("10 a -\n20 b rax\n").map(|it| it.len()), Ok(2));
    }

    #[test]
    fn probes_of_one_address_are_all_found_and_none_twice() {
        let mut table = ProbeTable::default();
        for line in ["10 a rdi", "10 b -", "20 c -", "10 a rdi"] {
            table.add(probe(line));
        }
        let names = |address| -> Vec<_> {
            let probes = table.at(Address(address)).iter();
            probes
                .filter_map(|&it| table.get(it))
                .map(|it| &*it.name)
                .collect()
        };
        assert_eq!(names(0x10), ["a", "b"]);
        assert_eq!(names(0x20), ["c"]);
        assert!(names(0x30).is_empty());
    }

    #[test]
    fn hits_are_kept_by_processor_name_and_key() {
        let counts = ProbeCounts::new(2);
        let grant = probe("10 grant rdi,edx");
        let read = |rdi: u64, rdx: u64| {
            move |it: Register| {
                if REGISTERS[it.number] == "rdi" {
                    rdi
                } else {
                    rdx
                }
            }
        };
        counts.hit(Vcpu(0), &grant, read(5, 3));
        counts.hit(Vcpu(0), &grant, read(5, 0xffff_ffff_0000_0004));
        counts.hit(Vcpu(0), &grant, read(0xffff_ffff_0000_0007, 1));
        counts.hit(Vcpu(1), &probe("20 iret -"), read(9, 9));
        counts.hit(Vcpu(2), &grant, read(5, 3));
        let hits = |count, sum| Hits { count, sum };
        let own = |name: &str, key, hits| (Arc::from(name), Key::Value(key), hits);
        assert_eq!(
            counts.of(Vcpu(0)),
            [own("grant", 5, hits(2, 7)), own("grant", 7, hits(1, 1))]
        );
        assert_eq!(counts.of(Vcpu(1)), [own("iret", 0, hits(1, 0))]);
        assert!(counts.of(Vcpu(2)).is_empty());
    }

    #[test]
    fn keys_without_end_share_the_overflow() {
        let counts = ProbeCounts::new(1);
        let it = probe("10 pointer rdi");
        for n in 0..MAX_KEYS as u64 + 5 {
            counts.hit(Vcpu(0), &it, |_| n);
        }
        counts.hit(Vcpu(0), &it, |_| 3);
        let all = counts.of(Vcpu(0));
        assert_eq!(all.len(), MAX_KEYS + 1);
        assert_eq!(all[3].2.count, 2);
        assert_eq!(
            all.last().map(|it| (it.1, it.2.count)),
            Some((Key::Overflow, 5))
        );
    }
}
