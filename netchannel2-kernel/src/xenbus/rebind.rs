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
/// The caller's own driver is asked too and declines with `ENODEV`. The `module` is loaded first,
/// if it is not; without it the device stays unbound until a driver is.
///
/// Sleeps, and waits for xenwatch: not for callbacks of the device itself.
///
/// # Errors
///
/// That of `device_attach()`; `ENODEV` if no driver took the device.
pub fn hand_to_next_driver(device: &ARef<Device>, module: &CStr) -> Result {
    // SAFETY: `module` is a C string. A missing module is no error: the driver may be built in.
    let _ = unsafe { bindings::nc2_request_module(module.as_char_ptr()) };
    // SAFETY: The reference keeps the device valid.
    unsafe { bindings::device_release_driver(device.as_raw_device()) };
    // SAFETY: As above.
    let bound = unsafe { bindings::device_attach(device.as_raw_device()) };

    match bound {
        ..0 => Err(Error::from_errno(bound)),
        0 => Err(ENODEV),
        _ => Ok(()),
    }
}
