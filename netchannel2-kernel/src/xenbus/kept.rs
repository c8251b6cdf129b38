// SPDX-License-Identifier: GPL-2.0

//! What is kept for a bound device: the driver's data, and the watch of a node that it awaits.

use super::{
    driver::{
        Adapter,
        Driver, //
    },
    watch::{
        Changed,
        Watch, //
    },
    Device, //
};
use core::marker::PhantomData;
use kernel::{
    device::BoundInternal,
    new_mutex,
    prelude::*,
    str::{
        BStr,
        CString, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};

/// The device private data of a driver.
#[pin_data]
pub struct Kept<T: Driver> {
    /// Changed by xenwatch, and by the thread that unbinds.
    #[pin]
    awaited: Mutex<Awaited<T>>,
    /// 1 when the log has been told that a node cannot be watched: the peer has that tried as often as
    /// it likes.
    said: Atomic<u32>,
    #[pin]
    data: T::Data,
}

/// The node that a driver awaits.
enum Awaited<T: Driver> {
    None,
    Node(#[expect(dead_code)] Pin<KBox<Watch<Told<T>>>>),
    /// None any more: the device is being unbound.
    Ended,
}

impl<T: Driver> Kept<T> {
    /// Keeps what a probe makes.
    pub(super) fn new(data: impl PinInit<T::Data, Error>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            awaited <- new_mutex!(Awaited::None, "netchannel2::Awaited"),
            said: Atomic::new(0),
            data <- data,
        }? Error)
    }

    /// Returns the driver's own data.
    pub(super) fn data(self: Pin<&Self>) -> Pin<&T::Data> {
        // SAFETY: The field is pinned with the whole.
        unsafe { self.map_unchecked(|this| &this.data) }
    }

    /// Has [`Driver::otherend_changed`] called when `node` of the device's directory changes, and
    /// once at once. xenwatch only, for a bound device.
    pub(super) fn watch(&self, device: &ARef<Device>, node: &CStr) {
        let mut awaited = self.awaited.lock();

        if !matches!(*awaited, Awaited::None) {
            return;
        }
        match watch_node(device, node) {
            Ok(watch) => *awaited = Awaited::Node(watch),
            Err(error) => {
                if self.said.xchg(1, Relaxed) == 0 {
                    dev_err!(device, "cannot watch {node:?}: {error:?}\n");
                }
            }
        }
    }

    /// Ends what [`Self::watch`] has begun, if it has.
    pub(super) fn forget(&self) {
        let mut awaited = self.awaited.lock();

        if let Awaited::Node(_) = *awaited {
            let old = core::mem::replace(&mut *awaited, Awaited::None);

            drop(awaited);
            // Not under the lock, which a callback takes that this waits for.
            drop(old);
        }
    }

    /// As [`Self::forget`], for good: no callback runs any more when this returns, but one that
    /// called it.
    pub(super) fn end(&self) {
        let old = core::mem::replace(&mut *self.awaited.lock(), Awaited::Ended);

        drop(old);
    }
}

fn watch_node<T: Driver>(device: &ARef<Device>, node: &CStr) -> Result<Pin<KBox<Watch<Told<T>>>>> {
    let (folder, node) = (device.nodename(), BStr::from_bytes(node.to_bytes()));
    let path = CString::try_from_fmt(fmt!("{}/{node}", BStr::from_bytes(folder.to_bytes())))?;

    Watch::new(
        path,
        Told {
            device: device.clone(),
            _driver: PhantomData,
        },
    )
}

/// Who is told of an awaited node.
///
/// # Invariants
///
/// The device is bound to a driver of `T` while a watch with this may call.
struct Told<T: Driver> {
    device: ARef<Device>,
    _driver: PhantomData<fn(T)>,
}

impl<T: Driver> Clone for Told<T> {
    fn clone(&self) -> Self {
        // INVARIANT: As before.
        Self {
            device: self.device.clone(),
            _driver: PhantomData,
        }
    }
}

impl<T: Driver> Changed for Told<T> {
    fn changed(self) {
        // SAFETY: By the type invariant the device is bound: `Kept::end`, which is called before it is
        // unbound, waits for this callback.
        let device = unsafe { &*self.device.as_raw().cast::<Device<BoundInternal>>() };
        // SAFETY: A bound device has an `otherend`, which changes in xenwatch only.
        let otherend = unsafe { CStr::from_char_ptr((*device.as_raw()).otherend) };
        let state = device.read_state(otherend);

        // SAFETY: xenwatch calls this, for a watch that `Kept::end` takes away. `self` holds the
        // device.
        unsafe { Adapter::<T>::changed(device, state) }
    }
}
