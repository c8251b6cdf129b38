// SPDX-License-Identifier: GPL-2.0

//! Xenbus drivers, on the pattern of `kernel::driver`.

use super::{
    kept::Kept,
    rebind::{
        hand_on,
        is_handed_on, //
    },
    watch::{
        run_on_xenwatch,
        UnderWay, //
    },
    Device, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::null_mut, //
};
use kernel::{
    device::{
        Bound,
        BoundInternal,
        Core,
        CoreInternal, //
    },
    driver::{
        DriverLayout,
        RegistrationOps, //
    },
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    sync::aref::ARef,
    types::Opaque,
    ThisModule, //
};
use netchannel2_core::handshake::state::XenbusState;

/// A driver for one xenbus device type.
pub trait Driver: 'static {
    /// Which of the two buses the driver is on.
    type Side: Side;

    /// The private data of a bound device.
    type Data: Send + Sync + 'static;

    /// Takes a device, or declines it with `ENODEV` so that the next driver is asked.
    fn probe(device: &Device<Core<'_>>) -> impl PinInit<Self::Data, Error>;

    /// Called by xenwatch when the other end changed its state, once after the probe, and when a node
    /// changed that was asked for by [`Afterwards::Await`].
    fn otherend_changed(
        device: &Device<Bound>,
        data: Pin<&Self::Data>,
        state: XenbusState,
    ) -> Afterwards;

    /// Called before the domain is saved or migrated, which must hold no page of another one then;
    /// it goes on as if nothing had been if that is called off.
    fn suspend(device: &Device<Bound>, data: Pin<&Self::Data>);

    /// Called after the domain was restored or migrated, with all that Xen shared gone.
    ///
    /// # Errors
    ///
    /// The driver core logs them; the device stays bound.
    fn resume(device: &Device<Bound>, data: Pin<&Self::Data>) -> Result;

    /// Called while the kernel looks for memory to reclaim, once for each of the driver's devices,
    /// often, and on any thread; must neither sleep nor allocate. Backends only.
    ///
    /// Has no device, as xenbus may call it for one that is unbound already: the driver of a device
    /// is found without a lock (`backend_reclaim_memory()`).
    fn reclaim_memory() {}

    /// Called before the device is unbound and its data dropped; no callback runs any more.
    fn unbind(device: &Device<Core<'_>>, data: Pin<&Self::Data>);
}

/// What becomes of a device after its other end changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It stays.
    Stay,
    /// It stays, and this node of its own directory is watched until the next call, for which it need
    /// not have changed.
    Await(&'static CStr),
    /// It is removed: a backend device whose frontend is gone for good.
    Unregister,
    /// It is unbound and the other drivers of its type asked, one of which is in this module.
    HandOn(&'static CStr),
}

/// A xenbus bus: [`Frontend`] or [`Backend`].
///
/// # Safety
///
/// `REGISTER` is one of xenbus' two registration functions.
pub unsafe trait Side: 'static {
    /// The bus's registration function.
    #[doc(hidden)]
    const REGISTER: Register;
}

#[doc(hidden)]
pub struct Register(
    unsafe extern "C" fn(
        *mut bindings::xenbus_driver,
        *mut bindings::module,
        *const c_char,
    ) -> c_int,
);

/// The bus of frontend devices.
pub enum Frontend {}
/// The bus of backend devices.
pub enum Backend {}

// SAFETY: The function is xenbus' own for frontends.
unsafe impl Side for Frontend {
    const REGISTER: Register = Register(bindings::__xenbus_register_frontend);
}

// SAFETY: The function is xenbus' own for backends.
unsafe impl Side for Backend {
    const REGISTER: Register = Register(bindings::__xenbus_register_backend);
}

/// The adapter between [`Driver`] and `kernel::driver::Registration`, for devices of type `vif`.
pub struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY:
// - `bindings::xenbus_driver` is a C type declared as `repr(C)`.
// - `Kept<T>` is the type of the driver's device private data.
// - `struct xenbus_driver` embeds a `struct device_driver` at `DEVICE_DRIVER_OFFSET`.
unsafe impl<T: Driver> DriverLayout for Adapter<T> {
    type DriverType = bindings::xenbus_driver;
    type DriverData<'bound> = Kept<T>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::xenbus_driver, driver);
}

// SAFETY: A call to `unregister` for a given instance of `DriverType` is valid if a preceding call
// to `register` has been successful.
unsafe impl<T: Driver> RegistrationOps for Adapter<T> {
    unsafe fn register(
        driver: &Opaque<bindings::xenbus_driver>,
        name: &'static CStr,
        _module: &'static ThisModule,
    ) -> Result {
        let raw = driver.get();

        // SAFETY: The fields of `struct xenbus_driver` may be set before registration.
        unsafe {
            (*raw).name = name.as_char_ptr();
            (*raw).ids = VIF_IDS.0.as_ptr();
            // The state that a device is left in is the driver's decision: a device handed to
            // the next driver must not be announced as closed.
            (*raw).allow_rebind = true;
            (*raw).not_essential = true;
            // Unbinding by sysfs would wait for xenwatch under the device's lock: see `unregister`.
            (*raw).driver.suppress_bind_attrs = true;
            (*raw).probe = Some(Self::probe_callback);
            (*raw).otherend_changed = Some(Self::otherend_changed_callback);
            (*raw).remove = Some(Self::remove_callback);
            (*raw).suspend = Some(Self::suspend_callback);
            (*raw).resume = Some(Self::resume_callback);
            (*raw).reclaim_memory = Some(Self::reclaim_memory_callback);
        }

        // With no owner, bound devices do not pin the module: `rmmod` unbinds them, as it does
        // for the drivers of a card. All that runs module code ends in `unregister`.
        //
        // SAFETY: `raw` stays pinned and valid until `unregister`; `name` lives for ever.
        to_result(unsafe { (T::Side::REGISTER.0)(raw, null_mut(), name.as_char_ptr()) })
    }

    unsafe fn unregister(driver: &Opaque<bindings::xenbus_driver>) {
        let registered = Registered(driver.get());

        // Unbinding a device waits for xenwatch, with the device's lock held, which xenwatch takes
        // to remove a device or to hand it on: so it is xenwatch that unbinds, as then too.
        //
        // SAFETY: `driver` was registered, and is unregistered once: here, or below if not here.
        if let Err(error) = run_on_xenwatch(move || unsafe { registered.unregister() }) {
            // No memory or no watch is left. This waits for ever if xenwatch takes a lock just then.
            pr_warn!("cannot unbind in xenwatch: {error:?}\n");
            // SAFETY: As above.
            unsafe { registered.unregister() };
            // A device that a callback of this driver has removed or handed on is not waited for by
            // the driver core, but xenwatch is still on its way back through this module.
            UnderWay::wait();
        }
        // xenbus finds a device's driver without a lock to call `reclaim_memory` or to see that there
        // is no `uevent`: somebody may be at it still who found this one before it was unbound. Nobody
        // sleeps on the way, nor does xenwatch behind the end of `UnderWay`: each has left the module
        // when the thread next gives up the processor of its own accord.
        //
        // SAFETY: This may sleep, and holds no lock.
        unsafe { bindings::nc2_synchronize_rcu_tasks() };
    }
}

/// A registered driver.
#[derive(Clone, Copy)]
struct Registered(*mut bindings::xenbus_driver);

// SAFETY: A driver may be unregistered by any thread.
unsafe impl Send for Registered {}

impl Registered {
    /// # Safety
    ///
    /// The driver is registered.
    unsafe fn unregister(self) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::xenbus_unregister_driver(self.0) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(
        raw: *mut bindings::xenbus_device,
        _id: *const bindings::xenbus_device_id,
    ) -> c_int {
        // SAFETY: xenbus calls with a valid device that stays so for the call.
        let device = unsafe { &*raw.cast::<Device<CoreInternal<'_>>>() };

        from_result(|| {
            if is_handed_on(raw) {
                return Err(ENODEV);
            }
            device
                .as_ref()
                .set_drvdata(Kept::<T>::new(T::probe(device)))?;
            Ok(0)
        })
    }

    extern "C" fn otherend_changed_callback(
        raw: *mut bindings::xenbus_device,
        state: bindings::xenbus_state,
    ) {
        let _under_way = UnderWay::new();
        // SAFETY: The watch that calls this is set after a successful probe and taken away, with
        // its running callbacks awaited, before `remove`: the device is bound throughout.
        let device = unsafe { &*raw.cast::<Device<BoundInternal>>() };

        // SAFETY: This is xenwatch, in a callback of the device's watch.
        unsafe { Self::changed(device, XenbusState::from_wire(state)) }
    }

    /// Tells the driver of a change, and does what it asks for.
    ///
    /// # Safety
    ///
    /// The caller is xenwatch, in a callback of a watch of `device` that is taken away before it is
    /// unbound. It holds a reference to the device, which may be neither bound nor registered any
    /// more when this returns.
    pub(super) unsafe fn changed(device: &Device<BoundInternal>, state: XenbusState) {
        // SAFETY: The device is bound, so `set_drvdata` was called with `Kept<T>`.
        let kept = unsafe { device.as_ref().drvdata_borrow::<Kept<T>>() };
        let keep = ARef::<Device>::from(device);

        match T::otherend_changed(device, kept.data(), state) {
            Afterwards::Stay => kept.forget(),
            Afterwards::Await(node) => kept.watch(&keep, node),
            // SAFETY: xenbus registered the device, and xenwatch, which this is, is the one thread
            // that removes xenbus devices. `kept`, which this drops, is not used any more.
            Afterwards::Unregister => unsafe {
                kernel::bindings::device_unregister(keep.as_raw_device())
            },
            // SAFETY: By the safety requirement. `kept`, which this drops, is not used any more.
            Afterwards::HandOn(module) => unsafe { hand_on(&keep, module) },
        }
    }

    extern "C" fn suspend_callback(raw: *mut bindings::xenbus_device) -> c_int {
        // SAFETY: xenbus suspends bound devices only, under the device lock.
        let device = unsafe { &*raw.cast::<Device<BoundInternal>>() };
        // SAFETY: As above.
        let kept = unsafe { device.as_ref().drvdata_borrow::<Kept<T>>() };

        T::suspend(device, kept.data());
        0
    }

    extern "C" fn resume_callback(raw: *mut bindings::xenbus_device) -> c_int {
        // SAFETY: xenbus resumes bound devices only, under the device lock.
        let device = unsafe { &*raw.cast::<Device<BoundInternal>>() };
        // SAFETY: As above.
        let kept = unsafe { device.as_ref().drvdata_borrow::<Kept<T>>() };

        from_result(|| T::resume(device, kept.data()).map(|()| 0))
    }

    extern "C" fn reclaim_memory_callback(_raw: *mut bindings::xenbus_device) {
        T::reclaim_memory();
    }

    extern "C" fn remove_callback(raw: *mut bindings::xenbus_device) {
        // SAFETY: xenbus calls with a valid device, after a successful probe.
        let device = unsafe { &*raw.cast::<Device<CoreInternal<'_>>>() };
        // SAFETY: The probe succeeded, so `set_drvdata` was called with `Kept<T>`; it is dropped
        // after this call.
        let kept = unsafe { device.as_ref().drvdata_borrow::<Kept<T>>() };

        kept.end();
        T::unbind(device, kept.data());
    }
}

/// `vif` and the empty entry that ends the table.
struct Ids([bindings::xenbus_device_id; 2]);

// SAFETY: The table is never written.
unsafe impl Sync for Ids {}

static VIF_IDS: Ids = Ids([device_id(b"vif"), device_id(b"")]);

const fn device_id(name: &[u8]) -> bindings::xenbus_device_id {
    let mut devicetype = [0; 32];
    let mut at = 0;

    while at < name.len() {
        devicetype[at] = name[at] as c_char;
        at += 1;
    }
    bindings::xenbus_device_id { devicetype }
}
