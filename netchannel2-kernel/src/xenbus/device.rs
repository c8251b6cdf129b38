// SPDX-License-Identifier: GPL-2.0

//! A xenbus device.

use super::Directory;
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    device,
    error::to_result,
    prelude::*,
    str::CString,
    sync::aref::AlwaysRefCounted,
    types::Opaque, //
};
use netchannel2_core::{
    handshake::state::{
        Online,
        XenbusState, //
    },
    units::DomId, //
};

/// A `struct xenbus_device`.
///
/// # Invariants
///
/// A [`Device`] instance represents a valid `struct xenbus_device` created by the C portion of
/// the kernel.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::xenbus_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    pub(crate) fn as_raw(&self) -> *mut bindings::xenbus_device {
        self.0.get()
    }

    pub(crate) fn as_raw_device(&self) -> *mut bindings::device {
        // SAFETY: By the type invariant the pointer is valid; only an address is computed.
        unsafe { &raw mut (*self.as_raw()).dev }
    }

    /// Returns the device's name, such as `vif-3-0`.
    pub fn name(&self) -> &CStr {
        let device: &device::Device<Ctx> = self.as_ref();

        device.name()
    }

    /// Returns the device's own xenstore directory, such as `backend/vif/3/0`.
    pub fn nodename(&self) -> &CStr {
        // SAFETY: `nodename` is a C string inside the device's own allocation; it never changes.
        unsafe { CStr::from_char_ptr((*self.as_raw()).nodename) }
    }

    /// Returns the device's own directory for reading and writing.
    pub fn store(&self) -> Directory<'_> {
        Directory::new(self.nodename())
    }

    /// Writes the device's state to xenstore, where the peer watches it.
    ///
    /// # Errors
    ///
    /// Those of `xenbus_switch_state()`, which has reported them in xenstore already.
    pub fn switch_state(&self, state: XenbusState) -> Result {
        // SAFETY: By the type invariant the device is valid.
        to_result(unsafe { bindings::xenbus_switch_state(self.as_raw(), state.to_wire()) })
    }

    /// Returns the domain at the other end.
    pub fn otherend_id(&self) -> DomId {
        // SAFETY: By the type invariant the device is valid; xenbus read the id before the probe.
        let id = unsafe { (*self.as_raw()).otherend_id };

        DomId::new(u16::try_from(id).unwrap_or(bindings::DOMID_INVALID as u16))
    }

    /// Reads the state of the device at `path`.
    pub fn read_state(&self, path: &CStr) -> XenbusState {
        // SAFETY: The device is valid and `path` a C string.
        let state =
            unsafe { bindings::xenbus_read_driver_state(self.as_raw(), path.as_char_ptr()) };

        XenbusState::from_wire(state)
    }

    /// Tells whether the toolstack wants a backend device to stay.
    pub fn online(&self) -> Online {
        // SAFETY: By the type invariant the device is valid.
        if unsafe { bindings::xenbus_dev_is_online(self.as_raw()) } != 0 {
            Online::Online
        } else {
            Online::Offline
        }
    }
}

impl Device<device::Bound> {
    /// Returns the path of the other end's xenstore directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn otherend(&self) -> Result<CString> {
        // SAFETY: A bound device has an `otherend`, a C string that is freed after `remove`.
        let path = unsafe { CStr::from_char_ptr((*self.as_raw()).otherend) };

        Ok(CString::try_from(path)?)
    }
}

// SAFETY: `Device` is a transparent wrapper of a type that does not depend on its generic argument.
kernel::impl_device_context_deref!(unsafe { Device });
kernel::impl_device_context_into_aref!(Device);

// SAFETY: Instances of `Device` are always reference-counted.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference guarantees that the refcount is non-zero.
        unsafe { kernel::bindings::get_device(self.as_raw_device()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The safety requirements guarantee that the refcount is non-zero.
        unsafe {
            kernel::bindings::put_device(
                obj.cast::<u8>()
                    .add(offset_of!(bindings::xenbus_device, dev))
                    .cast()
                    .as_ptr(),
            )
        }
    }
}

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant `dev` is a valid `struct device`; a context of the bus
        // device is one of the device that it embeds.
        unsafe { &*self.as_raw_device().cast() }
    }
}

// SAFETY: A `Device` is always reference-counted and can be released from any thread.
unsafe impl Send for Device {}

// SAFETY: `Device` can be shared among threads because all of its methods are thread safe.
unsafe impl Sync for Device {}

// SAFETY: As for `Device<Normal>`.
unsafe impl Sync for Device<device::Bound> {}
