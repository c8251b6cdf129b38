// SPDX-License-Identifier: GPL-2.0

//! Telling user space of a device.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use super::Device;
use crate::bindings;
use kernel::{
    device::DeviceContext,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// The variables of an event, as udev and hotplug scripts see them.
///
/// # Invariants
///
/// Is a `struct kobj_uevent_env` that the driver core is filling.
#[repr(transparent)]
pub struct UeventEnv(Opaque<bindings::kobj_uevent_env>);

impl UeventEnv {
    /// # Safety
    ///
    /// `raw` is an environment that the driver core gave out to be filled, for as long as `'a`.
    pub(super) unsafe fn from_raw<'a>(raw: *mut bindings::kobj_uevent_env) -> &'a mut Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &mut *raw.cast() }
    }

    /// Adds a variable.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the event has no more room.
    pub fn add(&mut self, name: &CStr, value: &CStr) -> Result {
        // SAFETY: By the type invariant; both are C strings.
        to_result(unsafe {
            bindings::nc2_add_uevent_var(self.0.get(), name.as_char_ptr(), value.as_char_ptr())
        })
    }
}

impl<Ctx: DeviceContext> Device<Ctx> {
    /// Sends the event `online` of the device, with what [`super::Driver::uevent`] adds to it.
    ///
    /// # Errors
    ///
    /// Those of `kobject_uevent()`.
    pub fn announce_online(&self) -> Result {
        // SAFETY: By the type invariant the device is valid.
        to_result(unsafe { bindings::nc2_uevent_online(self.as_raw_device()) })
    }
}
