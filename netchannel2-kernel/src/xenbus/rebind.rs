// SPDX-License-Identifier: GPL-2.0

//! Giving a device to the next driver of its type.
//!
//! C source: [`drivers/base/dd.c`](srctree/drivers/base/dd.c)

use super::Device;
use crate::bindings;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// Unbinds `device` and asks the drivers of its bus anew, in the order of their registration.
///
/// The driver that had it is asked too and declines with `ENODEV`. If none takes it, `module` is
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
    // SAFETY: As above.
    if unsafe { bindings::device_attach(device.as_raw_device()) } != 1 {
        // SAFETY: `module` is a C string.
        let _ = unsafe { bindings::nc2_request_module_nowait(module.as_char_ptr()) };
        dev_info!(
            device,
            "no driver takes the vif yet: waiting for {module:?}\n"
        );
    }
}
