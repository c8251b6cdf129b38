// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over the kernel interfaces that a Xen network driver needs.
//!
//! This crate is the only place of the project with unsafe code, and with C (`helpers/`, one-line
//! wrappers of macros and inline functions). What it wraps, it wraps as close to the C side's
//! names as possible; protocol and policy are in `netchannel2_core`.
//!
//! | module | subject |
//! |---|---|
//! | [`xenbus`] | drivers, devices, xenstore, transactions, events for user space |
//! | [`event`] | event channels with late EOI |
//! | [`grant`] | granting pages, revoking, mapping, batched copies |
//! | [`ring`] | the shared memory of one queue, from either side |
//! | [`net`] | net devices, NAPI, sk_buffs, page pools, ethtool |
//! | [`channel`] | one queue between netdev and ring: the data path that both drivers share |
//! | [`cache`] | which chunks of guests a driver domain keeps mapped, over all channels |
//! | [`vif`] | what both drivers do with a network interface: lifecycle, parameters |
//! | [`debug`] | a folder in debugfs |
//! | [`sync`], [`timer`], [`ticker`], [`work`] | locks that exclude softirqs, timers, work that comes again and again, work queues of a module |

mod bindings;

pub mod cache;
pub mod channel;
pub mod debug;
pub mod event;
pub mod grant;
pub mod net;
pub mod ring;
pub mod sync;
pub mod ticker;
pub mod timer;
pub mod vif;
pub mod work;
pub mod xenbus;

#[doc(hidden)]
pub const __LOG_PREFIX: &[u8] = b"netchannel2\0";

use core::ffi::c_void;

/// Whether this kernel runs as a Xen domain.
pub fn is_xen_domain() -> bool {
    // SAFETY: The function reads a variable that is constant after early boot.
    unsafe { bindings::nc2_xen_domain() }
}

/// Whether this domain's network devices are paravirtual: an HVM guest may have emulated ones, which
/// the same vifs lie behind.
pub fn has_pv_nic_devices() -> bool {
    // SAFETY: The function reads variables that are constant after early boot.
    unsafe { bindings::nc2_xen_has_pv_nic_devices() }
}

/// Marks the running KUnit test as skipped.
#[cfg(CONFIG_KUNIT = "y")]
pub fn skip_test(reason: &'static kernel::str::CStr) {
    use kernel::str::CStrExt;

    // SAFETY: `reason` is a C string; the call is made from a test.
    unsafe { bindings::nc2_kunit_skip(reason.as_char_ptr()) }
}

/// Turns a reference into the context pointer that C callbacks hand back.
fn context_of<T>(context: &T) -> *mut c_void {
    core::ptr::from_ref(context).cast_mut().cast()
}
