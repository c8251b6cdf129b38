// SPDX-License-Identifier: GPL-2.0

//! Giving a device to the next driver of its type.
//!
//! C source: [`drivers/base/dd.c`](srctree/drivers/base/dd.c)

use super::Device;
use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
    },
};

/// The device whose drivers [`hand_on`] is asking. Only xenwatch, which is one thread, writes it, and
/// the driver core asks them on the same thread.
static HANDED_ON: Atomic<*mut bindings::xenbus_device> = Atomic::new(null_mut());

/// Whether a probe is of the device that this module's driver is handing on.
pub(super) fn is_handed_on(device: *mut bindings::xenbus_device) -> bool {
    HANDED_ON.load(Relaxed) == device
}

/// Unbinds `device` and asks the other drivers of its bus, in the order of their registration.
///
/// The driver that had it does not take it again, whatever the other end says by then: a peer that
/// could have its device made anew would be forgiven its breaches. If none takes it, `module` is
/// asked for: a driver that is registered later finds the device by itself.
///
/// # Safety
///
/// The caller is xenwatch, in a callback of a watch that is taken away when the device is unbound:
/// unbinding waits for xenwatch otherwise, with the device's lock held, which xenwatch takes to
/// remove a device.
pub(super) unsafe fn hand_on(device: &ARef<Device>, module: &CStr) {
    // SAFETY: The reference keeps the device valid.
    unsafe { bindings::device_release_driver(device.as_raw_device()) };
    HANDED_ON.store(device.as_raw(), Relaxed);
    // SAFETY: As above.
    let attached = unsafe { bindings::device_attach(device.as_raw_device()) };
    HANDED_ON.store(null_mut(), Relaxed);

    if attached != 1 {
        // SAFETY: `module` is a C string.
        let _ = unsafe { bindings::nc2_request_module_nowait(module.as_char_ptr()) };
        dev_info!(
            device,
            "no driver takes the vif yet: waiting for {module:?}\n"
        );
    }
}
