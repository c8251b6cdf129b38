// SPDX-License-Identifier: GPL-2.0

//! Telling user space of a device.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use super::Device;
use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    device::DeviceContext,
    error::to_result,
    prelude::*, //
};

impl<Ctx: DeviceContext> Device<Ctx> {
    /// Sends the event `online` of the device, with `variables` as udev and hotplug scripts see them,
    /// each a `NAME=value`, beside those of xenbus.
    ///
    /// They are in no other event. With a `uevent` callback they would be, but the driver core calls
    /// that on any thread and waits for it nowhere: not when the device is unbound and not when the
    /// driver is unregistered.
    ///
    /// # Errors
    ///
    /// Those of `kobject_uevent_env()`: `ENOMEM` if the event has no room for the variables.
    pub fn announce_online(&self, variables: &[&CStr]) -> Result {
        let mut list = KVec::with_capacity(variables.len() + 1, GFP_KERNEL)?;

        for variable in variables {
            list.push(variable.as_char_ptr().cast_mut(), GFP_KERNEL)?;
        }
        list.push(null_mut(), GFP_KERNEL)?;
        // SAFETY: By the type invariant the device is valid; the list ends with a null pointer, and
        // the strings are copied.
        to_result(unsafe { bindings::nc2_uevent_online(self.as_raw_device(), list.as_mut_ptr()) })
    }
}
