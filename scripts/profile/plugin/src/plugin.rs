// SPDX-License-Identifier: GPL-2.0
//! The plugin itself: what happens at each call from QEMU and at each request.
//!
//! Locks are leaves: none is held while another is taken or while QEMU is called for more than the value of a counter.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use nix::time::{clock_gettime, ClockId};

use crate::cache::{Hierarchy, Line, Misses};
use crate::control::{self, Request};
use crate::ffi::{
    self, Block, Executing, Machine, MemoryAccess, PluginId, RegisterHandles, RunningVcpu,
    Scoreboard, StartingVcpu, Target,
};
use crate::granules::{Granules, Label, Slot, CAPACITY};
use crate::icr::{self, Command};
use crate::options::Options;
use crate::pace::{Pace, STRIDE};
use crate::plan::{plan, Instruction, Step, MAX_INSTRUCTION};
use crate::probes::{parse_file, Hits, Key, ProbeCounts, ProbeNumber, ProbeTable, Register};
use crate::snapshot::{Counts, Snapshot, VcpuCounts};
use crate::units::{Nanoseconds, SnapshotNumber, Vcpu};

/// Processors at most: QEMU computes the place of a processor's row in 31 bits.
const MAX_VCPUS: u32 = 64;

/// How long a request waits for a processor to run an instruction at which code can be dropped.
const REFRESH_LIMIT: Duration = Duration::from_secs(30);

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// Everything there is; made once and never dropped.
#[derive(Debug)]
struct Plugin {
    id: PluginId,
    granules: Granules,
    /// Of each slot first its instructions, then its accesses.
    counters: Scoreboard,
    registers: OnceLock<RegisterHandles>,
    probes: RwLock<ProbeTable>,
    hits: ProbeCounts,
    caches: Option<Mutex<Caches>>,
    /// Whether code is translated with calls of the cache model.
    modelling: AtomicBool,
    pace: Pace,
    /// Whether code is translated with looks at the other processors.
    pacing: AtomicBool,
    /// One counter: instructions that the pace has not been told of.
    untold: Scoreboard,
    refresh: Refresh,
    out: Mutex<BufWriter<File>>,
}

/// The cache model and what it has found.
#[derive(Debug)]
struct Caches {
    model: Hierarchy,
    found: Vec<CacheCounts>,
}

/// What the model has found for one processor.
#[derive(Debug, Clone)]
struct CacheCounts {
    by_slot: Vec<Misses>,
    unresolved: u64,
}

/// Requests to translate all code anew.
#[derive(Debug)]
struct Refresh {
    /// One counter: whether a processor is to drop the code at the next instruction that allows it.
    wanted: Scoreboard,
    rounds: Mutex<u64>,
    done: Condvar,
}

/// Sets the plugin up.
pub(crate) fn install(
    id: PluginId,
    machine: &Machine,
    arguments: Vec<Cow<'_, str>>,
) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let options = Options::parse(arguments.iter().map(AsRef::as_ref)).map_err(|it| text(&it))?;
    if !machine.is_x86_64 || machine.max_vcpus > MAX_VCPUS {
        return Err(format!(
            "only for qemu-system-x86_64 with at most {MAX_VCPUS} processors"
        ));
    }
    let mut probes = ProbeTable::default();
    if let Some(path) = &options.probes {
        let in_file = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
        let lines = fs::read_to_string(path).map_err(|it| in_file(&it))?;
        for probe in parse_file(&lines).map_err(|it| in_file(&it))? {
            probes.add(probe);
        }
    }
    let out =
        File::create(&options.out).map_err(|it| format!("{}: {it}", options.out.display()))?;
    let plugin = Plugin {
        id,
        granules: Granules::new(CAPACITY, options.user),
        counters: Scoreboard::new(CAPACITY * 2),
        registers: OnceLock::new(),
        probes: RwLock::new(probes),
        hits: ProbeCounts::new(machine.max_vcpus),
        caches: options
            .cache
            .then(|| Mutex::new(Caches::new(machine.max_vcpus))),
        modelling: AtomicBool::new(false),
        pace: Pace::new(machine.max_vcpus),
        pacing: AtomicBool::new(false),
        untold: Scoreboard::new(1),
        refresh: Refresh {
            wanted: Scoreboard::new(1),
            rounds: Mutex::new(0),
            done: Condvar::new(),
        },
        out: Mutex::new(BufWriter::new(out)),
    };
    let plugin = PLUGIN.get_or_init(|| plugin);
    if let Some(path) = &options.control {
        control::start(path, |request| plugin.answer(request))
            .map_err(|it| format!("{}: {it}", path.display()))?;
    }
    id.register();
    Ok(())
}

/// A processor has started.
pub(crate) fn processor_starts(vcpu: &StartingVcpu<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    match vcpu.registers() {
        Some(handles) => drop(plugin.registers.set(handles)),
        None => eprintln!("nc2-count: this QEMU does not name all registers; probes see zeros"),
    }
}

/// A processor has nothing to do.
pub(crate) fn falls_asleep(vcpu: Vcpu) {
    let Some(plugin) = PLUGIN.get() else { return };
    plugin.pace.falls_asleep(vcpu);
}

/// A processor has something to do again.
pub(crate) fn wakes_up(vcpu: Vcpu) {
    let Some(plugin) = PLUGIN.get() else { return };
    plugin.pace.wakes_up(vcpu);
}

/// A processor has run a stride, or has sent an interrupt.
pub(crate) fn keep_pace(vcpu: Vcpu) {
    let Some(plugin) = PLUGIN.get() else { return };
    let more = plugin.untold.get(0, vcpu);
    plugin.untold.set(0, vcpu, 0);
    plugin.pace.keep(vcpu, more);
}

/// A processor is about to write to a model-specific register.
pub(crate) fn writes_register(vcpu: Vcpu, running: &RunningVcpu<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    let Some(handles) = plugin.registers.get() else {
        return;
    };
    let read = |half: Register| {
        let value = half.part(running.register(handles, half));
        u32::try_from(value).unwrap_or(0)
    };
    if read(Register::ECX) == icr::ICR {
        let command = Command {
            low: read(Register::EAX),
            destination: read(Register::EDX),
        };
        let more = plugin.untold.get(0, vcpu);
        plugin.pace.sends(vcpu, command, more);
        // The instruction ends its block; the next one looks at the others.
        plugin.untold.set(0, vcpu, STRIDE);
    }
}

/// A block is being translated.
pub(crate) fn translate(block: &Block<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    let instructions: Vec<_> = block.instructions().collect();
    let read = |it: &ffi::BlockInstruction<'_>| {
        let mut bytes = [0; MAX_INSTRUCTION];
        let length = it.copy_bytes(&mut bytes);
        Instruction::new(it.address(), &bytes[..length])
    };
    let code: Vec<Instruction> = instructions.iter().map(read).collect();
    let probes = plugin.probes.read().unwrap_or_else(PoisonError::into_inner);
    let steps = plan(&code, &plugin.granules, &probes);
    drop(probes);
    let modelling = plugin.modelling.load(Ordering::Relaxed);
    let pacing = plugin.pacing.load(Ordering::Relaxed);
    if pacing {
        block.pace(&plugin.untold, 0, code.len() as u64, STRIDE);
    }
    for (at, step) in steps {
        let it = &instructions[at];
        match step {
            Step::Count(slot, n) => it.add(&plugin.counters, instructions_of(slot), n),
            Step::CountAccesses(slot) => {
                it.add_accesses(&plugin.counters, accesses_of(slot));
                if modelling {
                    it.call_access(slot);
                }
            }
            Step::Probe(number) => it.call_probe(number),
            Step::Snapshot(number) => it.call_snapshot(number),
            Step::WriteRegister if pacing => it.call_write_register(),
            Step::WriteRegister => {}
            Step::Refresh => it.call_refresh(&plugin.refresh.wanted, 0),
        }
    }
}

/// The counters of a slot.
fn instructions_of(slot: Slot) -> usize {
    slot.index() * 2
}
fn accesses_of(slot: Slot) -> usize {
    slot.index() * 2 + 1
}

/// A marker is about to run.
pub(crate) fn snapshot(number: SnapshotNumber) {
    let Some(plugin) = PLUGIN.get() else { return };
    if let Err(reason) = plugin.write_snapshot(number) {
        eprintln!("nc2-count: snapshot {}: {reason}", number.0);
    }
}

/// The code at a probe's address is about to run.
pub(crate) fn probe(vcpu: Vcpu, number: ProbeNumber, running: &RunningVcpu<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    let probes = plugin.probes.read().unwrap_or_else(PoisonError::into_inner);
    let Some(probe) = probes.get(number).cloned() else {
        return;
    };
    drop(probes);
    plugin
        .hits
        .hit(vcpu, &probe, |register| match plugin.registers.get() {
            Some(handles) => running.register(handles, register),
            None => 0,
        });
}

/// An access has been made while the cache model is on.
pub(crate) fn access(vcpu: Vcpu, slot: Slot, access: &MemoryAccess<'_>) {
    let Some(caches) = PLUGIN.get().and_then(|it| it.caches.as_ref()) else {
        return;
    };
    let target = access.target();
    let mut caches = lock(caches);
    let Caches { model, found } = &mut *caches;
    let Some(counts) = found.get_mut(vcpu.index()) else {
        return;
    };
    match target {
        Target::Memory {
            address,
            size_shift,
            access,
        } => {
            for line in Line::touched(address, size_shift) {
                counts.by_slot[slot.index()] += model.access(vcpu, line, access);
            }
        }
        Target::Unknown => counts.unresolved += 1,
        Target::Device => {}
    }
}

/// A processor is at an instruction at which code can be dropped, and that is wanted.
pub(crate) fn refresh(executing: &Executing<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    // Asked twice, QEMU drops the code once.
    executing.drop_code(plugin.id);
}

/// QEMU has dropped all code and all callbacks; no processor runs.
pub(crate) fn refreshed() {
    let Some(plugin) = PLUGIN.get() else { return };
    plugin.refresh.want(false);
    plugin.id.register();
    *lock(&plugin.refresh.rounds) += 1;
    plugin.refresh.done.notify_all();
}

impl Plugin {
    /// Does what a client asks for.
    fn answer(&self, request: Request) -> Result<(), String> {
        match request {
            Request::Snapshot(number) => self.write_snapshot(number),
            Request::Probes(probes) => {
                let mut table = self.probes.write().unwrap_or_else(PoisonError::into_inner);
                probes.into_iter().for_each(|it| table.add(it));
                drop(table);
                self.refresh.run()
            }
            Request::Cache(on) => {
                let caches = self
                    .caches
                    .as_ref()
                    .ok_or("the plugin was loaded without cache=on")?;
                if on && !self.modelling.load(Ordering::Relaxed) {
                    // What ran in between has changed real caches and not the model's.
                    lock(caches).empty();
                }
                self.modelling.store(on, Ordering::Relaxed);
                self.refresh.run()
            }
            Request::Pace(rate) => {
                if let Some(rate) = rate {
                    self.pace.begin(rate);
                }
                let before = self.pacing.swap(rate.is_some(), Ordering::Relaxed);
                // Another speed needs no other code.
                if before == rate.is_some() {
                    return Ok(());
                }
                let done = self.refresh.run();
                if done.is_err() {
                    self.pacing.store(before, Ordering::Relaxed);
                }
                done
            }
        }
    }

    fn write_snapshot(&self, number: SnapshotNumber) -> Result<(), String> {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|it| it.to_string())?;
        let time = Duration::from(time).as_nanos();
        let labels = self.granules.used();
        let vcpus = Vcpu::all(ffi::vcpu_count()).map(|vcpu| self.counts(vcpu, &labels));
        let snapshot = Snapshot {
            number,
            time: Nanoseconds(u64::try_from(time).unwrap_or(u64::MAX)),
            vcpus: vcpus.collect(),
        };
        snapshot
            .write(&mut *lock(&self.out))
            .map_err(|it| it.to_string())
    }

    fn counts(&self, vcpu: Vcpu, labels: &[(Slot, Label)]) -> VcpuCounts {
        let of_slot = |&(slot, label): &(Slot, Label)| {
            let counts = Counts {
                instructions: self.counters.get(instructions_of(slot), vcpu),
                accesses: self.counters.get(accesses_of(slot), vcpu),
            };
            (label, counts)
        };
        let mut counts = VcpuCounts {
            granules: labels.iter().map(of_slot).collect(),
            ..VcpuCounts::default()
        };
        if let Some(caches) = &self.caches {
            let caches = lock(caches);
            if let Some(found) = caches.found.get(vcpu.index()) {
                counts.misses = labels
                    .iter()
                    .map(|&(slot, label)| (label, found.by_slot[slot.index()]))
                    .collect();
                counts.unresolved = found.unresolved;
            }
        }
        counts.probes = self.hits.of(vcpu);
        // What is lost is lost for the machine.
        let lost = if vcpu.0 == 0 { self.pace.lost() } else { 0 };
        let of_pace = [
            ("pace_given_up", self.pace.given_up(vcpu)),
            ("pace_lost", lost),
        ];
        for (name, count) in of_pace.into_iter().filter(|&(_, count)| count != 0) {
            let hits = Hits { count, sum: 0 };
            counts.probes.push((name.into(), Key::Value(0), hits));
        }
        counts
    }
}

impl Caches {
    fn new(vcpus: u32) -> Self {
        let none = CacheCounts {
            by_slot: vec![Misses::default(); CAPACITY],
            unresolved: 0,
        };
        Caches {
            model: Hierarchy::new(vcpus),
            found: Vcpu::all(vcpus).map(|_| none.clone()).collect(),
        }
    }

    /// Forgets all lines and keeps the counts.
    fn empty(&mut self) {
        let vcpus = u32::try_from(self.found.len()).unwrap_or(0);
        self.model = Hierarchy::new(vcpus);
    }
}

impl Refresh {
    fn want(&self, wanted: bool) {
        for vcpu in Vcpu::all(ffi::vcpu_count()) {
            self.wanted.set(0, vcpu, wanted.into());
        }
    }

    /// Has all code translated anew and waits until that is begun.
    fn run(&self) -> Result<(), String> {
        let rounds = lock(&self.rounds);
        let before = *rounds;
        self.want(true);
        let (rounds, _) = self
            .done
            .wait_timeout_while(rounds, REFRESH_LIMIT, |rounds| *rounds == before)
            .unwrap_or_else(PoisonError::into_inner);
        if *rounds == before {
            return Err(format!(
                "no processor got to it in {} s",
                REFRESH_LIMIT.as_secs()
            ));
        }
        Ok(())
    }
}

/// A panic elsewhere leaves what is locked usable: the counters are each whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
