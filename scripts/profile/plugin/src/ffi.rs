// SPDX-License-Identifier: GPL-2.0
//! The part of QEMU's plugin interface, version 4, that is used here, and all the unsafe code there is.
//!
//! What may only be called inside a certain callback is a method of a token that only that callback gets.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::marker::PhantomData;
use std::ptr;

use crate::cache::Access;
use crate::granules::Slot;
use crate::plugin;
use crate::probes::{ProbeNumber, Register, REGISTERS};
use crate::units::{Address, SnapshotNumber, Vcpu};

/// Which version of the interface the declarations below are of; QEMU compares it with its own.
#[no_mangle]
pub(crate) static qemu_plugin_version: c_int = 4;

mod raw;

/// Called by QEMU when it loads the plugin; anything but 0 makes it give up.
///
/// # Safety
///
/// `info` and the `argc` strings of `argv` are valid, as QEMU guarantees.
#[no_mangle]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    info: *const raw::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: `info` is valid during this call.
    let info = unsafe { &*info };
    // SAFETY: the name is a string that lasts as long as QEMU.
    let target = unsafe { CStr::from_ptr(info.target_name) };
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: `at` is below `argc`, and each of `argv` is a string that lasts as long as the plugin.
    let arguments = (0..count).map(|at| unsafe { CStr::from_ptr(*argv.add(at)) }.to_string_lossy());
    let machine = Machine {
        is_x86_64: info.system_emulation && target == c"x86_64",
        max_vcpus: u32::try_from(info.max_vcpus).unwrap_or(0),
    };
    match plugin::install(PluginId(id), &machine, arguments.collect()) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("nc2-count: {reason}");
            1
        }
    }
}

/// What the plugin needs to know of the machine.
pub(crate) struct Machine {
    pub(crate) is_x86_64: bool,
    pub(crate) max_vcpus: u32,
}

/// How QEMU knows this plugin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PluginId(u64);

impl PluginId {
    /// Asks for calls of `plugin::{processor_starts, falls_asleep, wakes_up, translate}`.
    pub(crate) fn register(self) {
        // SAFETY: the id is QEMU's own, and the callbacks are functions of the types that QEMU calls.
        unsafe {
            raw::qemu_plugin_register_vcpu_init_cb(self.0, on_vcpu_init);
            raw::qemu_plugin_register_vcpu_idle_cb(self.0, on_vcpu_idle);
            raw::qemu_plugin_register_vcpu_resume_cb(self.0, on_vcpu_resume);
            raw::qemu_plugin_register_vcpu_tb_trans_cb(self.0, on_translate);
        }
    }
}

/// The processors that have started so far.
pub(crate) fn vcpu_count() -> u32 {
    // SAFETY: reads a number; no preconditions.
    u32::try_from(unsafe { raw::qemu_plugin_num_vcpus() }).unwrap_or(0)
}

/// Counters, a row of them for each processor.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    score: *mut c_void,
    counters: usize,
}

// SAFETY: QEMU lets any thread use a scoreboard.
unsafe impl Send for Scoreboard {}
// SAFETY: the same; what is read while a processor adds to it is a value from before or after.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    const COUNTER_BYTES: usize = size_of::<u64>();

    /// A scoreboard with so many counters for each processor, all zero. It is never freed: code may use it to the end.
    pub(crate) fn new(counters: usize) -> Self {
        // SAFETY: any size will do; QEMU ends itself when memory does not suffice.
        let score = unsafe { raw::qemu_plugin_scoreboard_new(counters * Self::COUNTER_BYTES) };
        Scoreboard { score, counters }
    }

    /// What `vcpu` has counted in a counter, 0 for those that do not exist.
    pub(crate) fn get(&self, counter: usize, vcpu: Vcpu) -> u64 {
        match self.entry(counter) {
            // SAFETY: the counter lies in the row, and the processor has one.
            Some(entry) if vcpu.0 < vcpu_count() => unsafe {
                raw::qemu_plugin_u64_get(entry, vcpu.0)
            },
            _ => 0,
        }
    }

    /// Sets a counter of `vcpu`, if that exists.
    pub(crate) fn set(&self, counter: usize, vcpu: Vcpu, value: u64) {
        match self.entry(counter) {
            // SAFETY: the counter lies in the row, and the processor has one.
            Some(entry) if vcpu.0 < vcpu_count() => unsafe {
                raw::qemu_plugin_u64_set(entry, vcpu.0, value);
            },
            _ => {}
        }
    }

    fn entry(&self, counter: usize) -> Option<raw::U64> {
        (counter < self.counters).then(|| raw::U64 {
            score: self.score,
            offset: counter * Self::COUNTER_BYTES,
        })
    }
}

/// A block under translation.
pub(crate) struct Block<'a>(*mut c_void, PhantomData<&'a ()>);

impl<'a> Block<'a> {
    /// Its instructions.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = BlockInstruction<'a>> {
        let block = self.0;
        // SAFETY: the block is valid during the callback that has the token.
        let count = unsafe { raw::qemu_plugin_tb_n_insns(block) };
        (0..count).map(move |at| {
            // SAFETY: the same, and the index is below the count.
            let instruction = unsafe { raw::qemu_plugin_tb_get_insn(block, at) };
            BlockInstruction(instruction, PhantomData)
        })
    }

    /// Before each execution calls `plugin::keep_pace` where a counter is `limit` or more, then adds `amount` to it.
    pub(crate) fn pace(&self, scoreboard: &Scoreboard, counter: usize, amount: u64, limit: u64) {
        if let Some(entry) = scoreboard.entry(counter) {
            // SAFETY: the block is valid during the callback that has the token, the counter exists as long as the
            // code, and the callback lives as long as QEMU.
            unsafe {
                raw::qemu_plugin_register_vcpu_tb_exec_cond_cb(
                    self.0,
                    on_pace,
                    raw::NO_REGISTERS,
                    raw::AT_LEAST,
                    entry,
                    limit,
                    ptr::null_mut(),
                );
                raw::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
                    self.0,
                    raw::ADD,
                    entry,
                    amount,
                );
            }
        }
    }
}

/// An instruction of a block under translation.
pub(crate) struct BlockInstruction<'a>(*mut c_void, PhantomData<&'a ()>);

impl BlockInstruction<'_> {
    /// Where it begins.
    pub(crate) fn address(&self) -> Address {
        // SAFETY: the instruction is valid during the callback that has the token.
        Address(unsafe { raw::qemu_plugin_insn_vaddr(self.0) })
    }

    /// Copies as many of its bytes as fit, and says how many.
    pub(crate) fn copy_bytes(&self, to: &mut [u8]) -> usize {
        // SAFETY: the instruction is valid, and `to` has room for its length.
        unsafe { raw::qemu_plugin_insn_data(self.0, to.as_mut_ptr().cast(), to.len()) }
    }

    /// Adds `amount` to a counter before each execution.
    pub(crate) fn add(&self, scoreboard: &Scoreboard, counter: usize, amount: u64) {
        if let Some(entry) = scoreboard.entry(counter) {
            // SAFETY: the instruction is valid, and the counter exists as long as the code.
            unsafe {
                raw::qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                    self.0,
                    raw::ADD,
                    entry,
                    amount,
                );
            }
        }
    }

    /// Adds one to a counter after each access.
    pub(crate) fn add_accesses(&self, scoreboard: &Scoreboard, counter: usize) {
        if let Some(entry) = scoreboard.entry(counter) {
            // SAFETY: the instruction is valid, and the counter exists as long as the code.
            unsafe {
                raw::qemu_plugin_register_vcpu_mem_inline_per_vcpu(
                    self.0,
                    raw::LOADS_AND_STORES,
                    raw::ADD,
                    entry,
                    1,
                );
            }
        }
    }

    /// Calls `plugin::snapshot` before each execution.
    pub(crate) fn call_snapshot(&self, number: SnapshotNumber) {
        let number = usize::try_from(number.0).unwrap_or(0);
        self.call(on_marker, raw::NO_REGISTERS, number);
    }

    /// Calls `plugin::probe` before each execution.
    pub(crate) fn call_probe(&self, number: ProbeNumber) {
        self.call(on_probe, raw::READS_REGISTERS, number.index());
    }

    /// Calls `plugin::writes_register` before each execution.
    pub(crate) fn call_write_register(&self) {
        self.call(on_write_register, raw::READS_REGISTERS, 0);
    }

    fn call(&self, callback: raw::ExecuteCallback, flags: c_uint, data: usize) {
        // SAFETY: the instruction is valid, the callback lives as long as QEMU, and `data` is a number for it alone.
        unsafe {
            raw::qemu_plugin_register_vcpu_insn_exec_cb(
                self.0,
                callback,
                flags,
                ptr::without_provenance_mut(data),
            );
        }
    }

    /// Calls `plugin::refresh` before executions at which a counter is not 0.
    pub(crate) fn call_refresh(&self, scoreboard: &Scoreboard, counter: usize) {
        if let Some(entry) = scoreboard.entry(counter) {
            // SAFETY: as for `call` and `add`.
            unsafe {
                raw::qemu_plugin_register_vcpu_insn_exec_cond_cb(
                    self.0,
                    on_refresh,
                    raw::NO_REGISTERS,
                    raw::NOT_EQUAL,
                    entry,
                    0,
                    ptr::null_mut(),
                );
            }
        }
    }

    /// Calls `plugin::access` after each access.
    pub(crate) fn call_access(&self, slot: Slot) {
        let data = ptr::without_provenance_mut(slot.index());
        // SAFETY: as for `call`.
        unsafe {
            raw::qemu_plugin_register_vcpu_mem_cb(
                self.0,
                on_access,
                raw::NO_REGISTERS,
                raw::LOADS_AND_STORES,
                data,
            );
        }
    }
}

/// Where QEMU keeps the general registers, the same for all processors of a machine.
#[derive(Debug)]
pub(crate) struct RegisterHandles([*mut c_void; REGISTERS.len()]);

// SAFETY: a handle is a name for a register and belongs to no thread; see `RunningVcpu::register` for its use.
unsafe impl Send for RegisterHandles {}
// SAFETY: the same.
unsafe impl Sync for RegisterHandles {}

/// Shows that a processor starts on this thread.
pub(crate) struct StartingVcpu<'a>(PhantomData<&'a *const ()>);

impl StartingVcpu<'_> {
    /// Looks the registers up; `None` where QEMU lacks one of them.
    pub(crate) fn registers(&self) -> Option<RegisterHandles> {
        let mut handles = [ptr::null_mut(); REGISTERS.len()];
        // SAFETY: this thread runs a processor that is initialised, and the array becomes this function's.
        let array = unsafe { raw::qemu_plugin_get_registers() };
        // SAFETY: the array is valid until it is freed below.
        let (data, length) = unsafe {
            (
                (*array).data.cast::<raw::RegisterDescriptor>(),
                (*array).len,
            )
        };
        for at in 0..usize::try_from(length).unwrap_or(0) {
            // SAFETY: the array holds `length` descriptors; `read_unaligned` asks nothing of where glib put them.
            let descriptor = unsafe { data.add(at).read_unaligned() };
            if descriptor.name.is_null() || descriptor.feature.is_null() {
                continue;
            }
            // SAFETY: QEMU's names are strings that last as long as QEMU.
            let (name, feature) = unsafe {
                (
                    CStr::from_ptr(descriptor.name),
                    CStr::from_ptr(descriptor.feature),
                )
            };
            let number = REGISTERS
                .iter()
                .position(|it| it.as_bytes() == name.to_bytes());
            if let (Some(number), true) = (number, feature == c"org.gnu.gdb.i386.core") {
                handles[number] = descriptor.handle;
            }
        }
        // SAFETY: the array is this function's to free, and nothing points into it any more.
        unsafe { raw::g_array_free(array, 1) };
        handles
            .iter()
            .all(|it| !it.is_null())
            .then_some(RegisterHandles(handles))
    }
}

/// Shows that this thread runs code of a processor, whose registers are up to date.
pub(crate) struct RunningVcpu<'a>(PhantomData<&'a *const ()>);

impl RunningVcpu<'_> {
    /// The value of a register, 0 if QEMU fails to read it.
    pub(crate) fn register(&self, handles: &RegisterHandles, register: Register) -> u64 {
        let mut value = [0; size_of::<u64>()];
        // SAFETY: no preconditions; the array becomes this function's.
        let array = unsafe { raw::g_byte_array_new() };
        // SAFETY: the handle comes from QEMU, the array is valid, and the token says that registers may be read here.
        let size = unsafe { raw::qemu_plugin_read_register(handles.0[register.number()], array) };
        // SAFETY: the array is valid until it is freed below.
        let (data, length) = unsafe { ((*array).data, (*array).len) };
        let length = usize::try_from(length)
            .unwrap_or(0)
            .min(usize::try_from(size).unwrap_or(0));
        if length >= value.len() {
            // SAFETY: the array holds at least that many bytes.
            unsafe { ptr::copy_nonoverlapping(data, value.as_mut_ptr(), value.len()) };
        }
        // SAFETY: the array is this function's to free, and nothing points into it any more.
        unsafe { raw::g_byte_array_free(array, 1) };
        u64::from_le_bytes(value)
    }
}

/// Shows that this thread runs code of a processor.
pub(crate) struct Executing<'a>(PhantomData<&'a *const ()>);

impl Executing<'_> {
    /// Has all code dropped and the plugin's callbacks too, then `plugin::refreshed` called while no processor runs.
    ///
    /// Elsewhere than on a processor's thread QEMU drops the callbacks at once while processors may be using them.
    pub(crate) fn drop_code(&self, id: PluginId) {
        // SAFETY: the id is QEMU's own, and the token says that this is a processor's thread.
        unsafe { raw::qemu_plugin_reset(id.0, on_reset) }
    }
}

/// An access to memory that has just been made.
pub(crate) struct MemoryAccess<'a> {
    info: u32,
    address: u64,
    here: PhantomData<&'a *const ()>,
}

/// What an access went to.
pub(crate) enum Target {
    /// Memory at a physical address.
    Memory {
        address: u64,
        size_shift: u32,
        access: Access,
    },
    /// A device.
    Device,
    /// Something that QEMU can no longer look up.
    Unknown,
}

impl MemoryAccess<'_> {
    /// Looks up where it went.
    pub(crate) fn target(&self) -> Target {
        // SAFETY: `info` and `address` are those of the callback that has the token.
        let hardware = unsafe { raw::qemu_plugin_get_hwaddr(self.info, self.address) };
        if hardware.is_null() {
            return Target::Unknown;
        }
        // SAFETY: the handle is not null and valid during this callback.
        if unsafe { raw::qemu_plugin_hwaddr_is_io(hardware) } {
            return Target::Device;
        }
        // SAFETY: the same for the first; the others only take `info` apart.
        let (address, size_shift, store) = unsafe {
            (
                raw::qemu_plugin_hwaddr_phys_addr(hardware),
                raw::qemu_plugin_mem_size_shift(self.info),
                raw::qemu_plugin_mem_is_store(self.info),
            )
        };
        let access = if store { Access::Store } else { Access::Load };
        Target::Memory {
            address,
            size_shift,
            access,
        }
    }
}

extern "C" fn on_vcpu_init(_id: u64, _vcpu: c_uint) {
    plugin::processor_starts(&StartingVcpu(PhantomData));
}

extern "C" fn on_vcpu_idle(_id: u64, vcpu: c_uint) {
    plugin::falls_asleep(Vcpu(vcpu));
}

extern "C" fn on_vcpu_resume(_id: u64, vcpu: c_uint) {
    plugin::wakes_up(Vcpu(vcpu));
}

extern "C" fn on_pace(vcpu: c_uint, _data: *mut c_void) {
    plugin::keep_pace(Vcpu(vcpu));
}

extern "C" fn on_write_register(vcpu: c_uint, _data: *mut c_void) {
    plugin::writes_register(Vcpu(vcpu), &RunningVcpu(PhantomData));
}

extern "C" fn on_translate(_id: u64, block: *mut c_void) {
    plugin::translate(&Block(block, PhantomData));
}

extern "C" fn on_marker(_vcpu: c_uint, data: *mut c_void) {
    plugin::snapshot(SnapshotNumber(
        u32::try_from(data.addr()).unwrap_or(u32::MAX),
    ));
}

extern "C" fn on_probe(vcpu: c_uint, data: *mut c_void) {
    plugin::probe(
        Vcpu(vcpu),
        ProbeNumber::of_index(data.addr()),
        &RunningVcpu(PhantomData),
    );
}

extern "C" fn on_refresh(_vcpu: c_uint, _data: *mut c_void) {
    plugin::refresh(&Executing(PhantomData));
}

extern "C" fn on_reset(_id: u64) {
    plugin::refreshed();
}

extern "C" fn on_access(vcpu: c_uint, info: u32, address: u64, data: *mut c_void) {
    let access = MemoryAccess {
        info,
        address,
        here: PhantomData,
    };
    plugin::access(Vcpu(vcpu), Slot::of_index(data.addr()), &access);
}
