// SPDX-License-Identifier: GPL-2.0
//! Types, constants and functions of `qemu-plugin.h` and of glib, as they are declared there.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// What the emulator says of the machine.
#[repr(C)]
pub(crate) struct Info {
    pub(super) target_name: *const c_char,
    _version_min: c_int,
    _version_cur: c_int,
    pub(super) system_emulation: bool,
    _smp_vcpus: c_int,
    pub(super) max_vcpus: c_int,
}

/// A `uint64_t` at `offset` in each processor's entry of `score`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct U64 {
    pub(super) score: *mut c_void,
    pub(super) offset: usize,
}

#[repr(C)]
pub(super) struct RegisterDescriptor {
    pub(super) handle: *mut c_void,
    pub(super) name: *const c_char,
    pub(super) feature: *const c_char,
}

/// glib's `GArray`.
#[repr(C)]
pub(super) struct Array {
    pub(super) data: *mut c_void,
    pub(super) len: c_uint,
}

/// glib's `GByteArray`.
#[repr(C)]
pub(super) struct ByteArray {
    pub(super) data: *mut u8,
    pub(super) len: c_uint,
}

/// Of `enum qemu_plugin_cb_flags`.
pub(super) const NO_REGISTERS: c_uint = 0;
pub(super) const READS_REGISTERS: c_uint = 1;
/// Of `enum qemu_plugin_mem_rw`.
pub(super) const LOADS_AND_STORES: c_uint = 3;
/// Of `enum qemu_plugin_op`.
pub(super) const ADD: c_uint = 0;
/// Of `enum qemu_plugin_cond`.
pub(super) const NOT_EQUAL: c_uint = 3;
pub(super) const AT_LEAST: c_uint = 7;

pub(super) type SimpleCallback = extern "C" fn(u64);
pub(super) type VcpuCallback = extern "C" fn(u64, c_uint);
pub(super) type TranslateCallback = extern "C" fn(u64, *mut c_void);
pub(super) type ExecuteCallback = extern "C" fn(c_uint, *mut c_void);
pub(super) type AccessCallback = extern "C" fn(c_uint, u32, u64, *mut c_void);

extern "C" {
    pub(super) fn qemu_plugin_register_vcpu_init_cb(id: u64, callback: VcpuCallback);
    pub(super) fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: TranslateCallback);
    pub(super) fn qemu_plugin_register_vcpu_idle_cb(id: u64, callback: VcpuCallback);
    pub(super) fn qemu_plugin_register_vcpu_resume_cb(id: u64, callback: VcpuCallback);
    pub(super) fn qemu_plugin_reset(id: u64, callback: SimpleCallback);
    pub(super) fn qemu_plugin_num_vcpus() -> c_int;

    pub(super) fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    pub(super) fn qemu_plugin_tb_get_insn(block: *const c_void, index: usize) -> *mut c_void;
    pub(super) fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut c_void,
        operation: c_uint,
        entry: U64,
        operand: u64,
    );
    pub(super) fn qemu_plugin_register_vcpu_tb_exec_cond_cb(
        block: *mut c_void,
        callback: ExecuteCallback,
        flags: c_uint,
        condition: c_uint,
        entry: U64,
        operand: u64,
        data: *mut c_void,
    );

    pub(super) fn qemu_plugin_insn_data(
        insn: *const c_void,
        to: *mut c_void,
        length: usize,
    ) -> usize;
    pub(super) fn qemu_plugin_insn_vaddr(insn: *const c_void) -> u64;

    pub(super) fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        insn: *mut c_void,
        operation: c_uint,
        entry: U64,
        operand: u64,
    );
    pub(super) fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut c_void,
        callback: ExecuteCallback,
        flags: c_uint,
        data: *mut c_void,
    );
    pub(super) fn qemu_plugin_register_vcpu_insn_exec_cond_cb(
        insn: *mut c_void,
        callback: ExecuteCallback,
        flags: c_uint,
        condition: c_uint,
        entry: U64,
        operand: u64,
        data: *mut c_void,
    );
    pub(super) fn qemu_plugin_register_vcpu_mem_inline_per_vcpu(
        insn: *mut c_void,
        which: c_uint,
        operation: c_uint,
        entry: U64,
        operand: u64,
    );
    pub(super) fn qemu_plugin_register_vcpu_mem_cb(
        insn: *mut c_void,
        callback: AccessCallback,
        flags: c_uint,
        which: c_uint,
        data: *mut c_void,
    );

    pub(super) fn qemu_plugin_mem_size_shift(info: u32) -> c_uint;
    pub(super) fn qemu_plugin_mem_is_store(info: u32) -> bool;
    pub(super) fn qemu_plugin_get_hwaddr(info: u32, address: u64) -> *mut c_void;
    pub(super) fn qemu_plugin_hwaddr_is_io(address: *const c_void) -> bool;
    pub(super) fn qemu_plugin_hwaddr_phys_addr(address: *const c_void) -> u64;

    pub(super) fn qemu_plugin_get_registers() -> *mut Array;
    pub(super) fn qemu_plugin_read_register(handle: *mut c_void, buffer: *mut ByteArray) -> c_int;

    pub(super) fn qemu_plugin_scoreboard_new(entry_size: usize) -> *mut c_void;
    pub(super) fn qemu_plugin_u64_get(entry: U64, vcpu: c_uint) -> u64;
    pub(super) fn qemu_plugin_u64_set(entry: U64, vcpu: c_uint, value: u64);

    pub(super) fn g_array_free(array: *mut Array, free_data: c_int) -> *mut c_char;
    pub(super) fn g_byte_array_new() -> *mut ByteArray;
    pub(super) fn g_byte_array_free(array: *mut ByteArray, free_data: c_int) -> *mut u8;
}
