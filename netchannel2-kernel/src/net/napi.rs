// SPDX-License-Identifier: GPL-2.0

//! NAPI instances.

use super::{
    NetDevice,
    Skb, //
};
use crate::{
    bindings,
    event::EventHandler, //
};
use core::marker::PhantomData;
use kernel::{
    ffi::c_int,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    },
    types::Opaque, //
};

/// How many packets one poll may hand to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(u32);

impl Budget {
    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What a NAPI instance polls.
pub trait Poll: Send + Sync + 'static {
    /// Processes up to `budget` packets and returns how many there were.
    ///
    /// With less than the budget, [`NapiContext::complete`] has been called.
    fn poll(this: ArcBorrow<'_, Self>, napi: &NapiContext<'_>, budget: Budget) -> u32;
}

/// A NAPI instance of a net device, disabled until [`Napi::enable`].
///
/// # Invariants
///
/// `raw` is added to `device` from initialisation until it is dropped, with [`Napi::poll`].
/// Its poll target is set whenever the instance is enabled.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub struct Napi<P: Poll> {
    #[pin]
    raw: Opaque<bindings::napi_struct>,
    /// Points into an `Arc<P>` while the instance is enabled; written only while it is disabled.
    target: Opaque<*const P>,
    device: Arc<NetDevice>,
    /// Held to enable and disable.
    #[pin]
    switch: Mutex<()>,
}

// SAFETY: A NAPI instance may be used from any thread; `target` is only written while polling is
// disabled, and polling and enabling are ordered by the NAPI state.
unsafe impl<P: Poll> Send for Napi<P> {}
// SAFETY: As above.
unsafe impl<P: Poll> Sync for Napi<P> {}

impl<P: Poll> Napi<P> {
    /// Adds an instance to `device`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(device: Arc<NetDevice>) -> Result<Arc<Self>> {
        let raw_device = device.as_raw();

        Arc::pin_init(
            try_pin_init!(Self {
                device,
                target: Opaque::new(core::ptr::null()),
                switch <- new_mutex!((), "Napi::switch"),
                raw <- Opaque::ffi_init(|slot: *mut bindings::napi_struct| {
                    // SAFETY: `slot` is valid for writes and pinned. The device is valid, and kept
                    // by `device`.
                    unsafe {
                        slot.write(pin_init::zeroed());
                        bindings::nc2_netif_napi_add(raw_device, slot, Some(Self::poll));
                    }
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Polls `target` from now on, until the returned [`EnabledNapi`] is dropped.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the instance is enabled already.
    pub fn enable(self: &Arc<Self>, target: Arc<P>) -> Result<EnabledNapi<P>> {
        let _switch = self.switch.lock();

        // SAFETY: `switch` is held, so nobody writes `target`.
        if unsafe { !(*self.target.get()).is_null() } {
            return Err(EBUSY);
        }
        // SAFETY: The instance is disabled, so nothing reads `target`; `switch` excludes writers.
        unsafe { *self.target.get() = Arc::as_ptr(&target) };
        // SAFETY: By the type invariant the instance is added; it is disabled, as checked above.
        unsafe { bindings::napi_enable(self.raw.get()) };
        Ok(EnabledNapi {
            napi: self.clone(),
            _target: target,
        })
    }

    /// Has the instance polled soon; nothing happens while it is disabled or scheduled already.
    #[inline]
    pub fn schedule(&self) {
        // SAFETY: By the type invariant the instance is added.
        unsafe { bindings::nc2_napi_schedule(self.raw.get()) };
    }

    extern "C" fn poll(raw: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `raw` is the first field of a `repr(C)` `Self`, alive while it is added.
        let this = unsafe { &*raw.cast::<Self>() };
        // SAFETY: Polling begins while the instance is enabled: the target is set and kept alive
        // by `EnabledNapi`, which waits for the last poll to return before it lets go.
        let target = unsafe { ArcBorrow::from_raw(*this.target.get()) };
        let context = NapiContext {
            raw,
            _poll: PhantomData,
        };
        let budget = Budget(budget.unsigned_abs());

        c_int::try_from(P::poll(target, &context, budget).min(budget.0)).unwrap_or(0)
    }
}

impl<P: Poll> EventHandler for Napi<P> {
    fn event(&self) {
        self.schedule();
    }
}

#[pinned_drop]
impl<P: Poll> PinnedDrop for Napi<P> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the instance is added; no `EnabledNapi` exists, as each
        // holds a reference, so it is disabled.
        unsafe { bindings::nc2_netif_napi_del(self.raw.get()) };
        let _ = &self.device;
    }
}

/// A NAPI instance that polls; dropping it waits for a running poll and disables the instance.
pub struct EnabledNapi<P: Poll> {
    napi: Arc<Napi<P>>,
    _target: Arc<P>,
}

impl<P: Poll> Drop for EnabledNapi<P> {
    fn drop(&mut self) {
        let _switch = self.napi.switch.lock();

        // SAFETY: The instance is added and, as `self` exists, enabled.
        unsafe { bindings::napi_disable(self.napi.raw.get()) };
        // A poll that has completed goes on for a moment, with softirqs off.
        //
        // SAFETY: Called where one may sleep, as above.
        unsafe { bindings::synchronize_net() };
        // SAFETY: The instance is disabled, so nothing reads `target`; `switch` excludes writers.
        unsafe { *self.napi.target.get() = core::ptr::null() };
    }
}

/// The proof that a poll function runs, and what it may do.
pub struct NapiContext<'a> {
    raw: *mut bindings::napi_struct,
    _poll: PhantomData<&'a ()>,
}

impl NapiContext<'_> {
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::napi_struct {
        self.raw
    }

    /// Calls `f` in place of a poll function, without a device and with softirqs off.
    ///
    /// # Safety
    ///
    /// `f` does nothing with the context but to allocate memory.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) unsafe fn for_test<R>(f: impl FnOnce(&NapiContext<'_>) -> R) -> Result<R> {
        let mut napi: KBox<bindings::napi_struct> = KBox::new(pin_init::zeroed(), GFP_KERNEL)?;

        // SAFETY: Process context; turned on again below.
        unsafe { bindings::nc2_local_bh_disable() };
        let result = f(&NapiContext {
            raw: &mut *napi,
            _poll: PhantomData,
        });
        // SAFETY: Turned off above.
        unsafe { bindings::nc2_local_bh_enable() };
        Ok(result)
    }

    /// Hands a received packet to the stack, by way of GRO.
    #[inline]
    pub fn receive(&self, skb: Skb) {
        // SAFETY: The context proves that this instance's poll runs; the call takes the packet.
        unsafe { bindings::nc2_napi_gro_receive(self.raw, skb.into_raw()) }
    }

    /// Ends polling until the instance is scheduled again.
    ///
    /// Returns whether polling has ended: if not, the stack polls on by itself.
    #[inline]
    pub fn complete(&self, done: u32) -> Completed {
        let done = c_int::try_from(done).unwrap_or(c_int::MAX);

        // SAFETY: As in `receive`.
        if unsafe { bindings::napi_complete_done(self.raw, done) } {
            Completed::Yes
        } else {
            Completed::No
        }
    }

    /// Has the instance polled again.
    #[inline]
    pub fn reschedule(&self) {
        // SAFETY: As in `receive`.
        unsafe { bindings::nc2_napi_schedule(self.raw) };
    }
}

/// Whether polling has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It has; events must be asked for again.
    Yes,
    /// The stack polls on (busy polling, or a schedule in between).
    No,
}
