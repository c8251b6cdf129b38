// SPDX-License-Identifier: GPL-2.0

//! Watching a node of xenstore, and running something on the thread that calls watches.
//!
//! C source: [`drivers/xen/xenbus/xenbus_xs.c`](srctree/drivers/xen/xenbus/xenbus_xs.c)

use crate::bindings;
use kernel::{
    error::to_result,
    ffi::c_char,
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Completion,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// Runs `errand` on xenwatch, the thread that runs all callbacks of xenbus, between two of them,
/// and waits until xenwatch has left it.
///
/// Must not be called by xenwatch itself, and under no lock that a callback takes.
///
/// # Errors
///
/// Those of `register_xenbus_watch()`; `ENOMEM`. `errand` has not run then and will not.
pub(super) fn run_on_xenwatch<F: FnOnce() + Send + Unpin + 'static>(errand: F) -> Result {
    let errand = Arc::pin_init(Errand::new(errand), GFP_KERNEL)?;
    // Any node would do, even one that is not there.
    let watch = Watch::new(CString::try_from(c"domid")?, errand.clone())?;

    errand.done.wait_for_completion();
    // Waits for the callback, which is on its way back through this module.
    drop(watch);
    Ok(())
}

/// 1 while xenwatch, which is one thread, is in a callback of this module.
static UNDER_WAY: Atomic<u32> = Atomic::new(0);

/// A callback of xenwatch that goes on until this is dropped; behind that it does not sleep.
pub(super) struct UnderWay(());

impl UnderWay {
    /// Notes that xenwatch is in a callback.
    pub(super) fn new() -> Self {
        UNDER_WAY.store(1, Relaxed);
        Self(())
    }

    /// Waits until the callback ends that xenwatch is in, for which no memory is needed.
    ///
    /// As [`run_on_xenwatch`] it must not be called by xenwatch, and under no lock that a callback
    /// takes.
    pub(super) fn wait() {
        while UNDER_WAY.load(Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.store(0, Release);
    }
}

/// What is told of the changes of a node.
pub(super) trait Changed: Clone + Send + Sync + 'static {
    /// Called by xenwatch, once when the watch is registered and then for every change.
    ///
    /// May drop the watch, as `self` is a clone of what that has.
    fn changed(self);
}

/// A watch of one xenstore path; dropping it waits for a running callback, of whichever watch, unless
/// it is xenwatch that drops it.
///
/// # Invariants
///
/// `raw` is registered with [`Self::callback`], and its node is `_path`.
#[pin_data(PinnedDrop)]
pub(super) struct Watch<C: Changed> {
    context: C,
    _path: CString,
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
}

// SAFETY: A watch may be unregistered by any thread, and the context may be sent to one.
unsafe impl<C: Changed> Send for Watch<C> {}

impl<C: Changed> Watch<C> {
    /// Watches `path`.
    ///
    /// # Errors
    ///
    /// Those of `register_xenbus_watch()`; `ENOMEM`.
    pub(super) fn new(path: CString, context: C) -> Result<Pin<KBox<Self>>> {
        // The characters are on the heap: they stay where they are when `path` moves.
        let node = path.as_char_ptr();

        KBox::try_pin_init(
            try_pin_init!(Self {
                context,
                _path: path,
                // The last field, as xenwatch may call from here on.
                // INVARIANT: The watch is registered or the initialiser fails.
                raw <- Opaque::try_ffi_init(|slot: *mut bindings::xenbus_watch| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe {
                        slot.write(pin_init::zeroed());
                        (*slot).node = node;
                        (*slot).callback = Some(Self::callback);
                    }
                    // SAFETY: `slot` is pinned and initialised, and the path lives as long.
                    to_result(unsafe { bindings::register_xenbus_watch(slot) })
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    extern "C" fn callback(
        raw: *mut bindings::xenbus_watch,
        _path: *const c_char,
        _token: *const c_char,
    ) {
        let _under_way = UnderWay::new();
        let raw = raw.cast::<Opaque<bindings::xenbus_watch>>();
        // SAFETY: Only `new` names this callback, for the field `raw` of a `Watch<C>`.
        let this = unsafe { kernel::container_of!(raw, Self, raw) };
        // SAFETY: The watch is not dropped before the callback is over but by the callback, and the
        // field was initialised before registration. No reference is kept.
        let context = unsafe { (*this).context.clone() };

        context.changed();
    }
}

#[pinned_drop]
impl<C: Changed> PinnedDrop for Watch<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the watch is registered.
        unsafe { bindings::unregister_xenbus_watch(self.raw.get()) };
    }
}

/// Something to be done once.
#[pin_data]
struct Errand<F> {
    #[pin]
    todo: Mutex<Option<F>>,
    #[pin]
    done: Completion,
}

impl<F: FnOnce()> Errand<F> {
    fn new(todo: F) -> impl PinInit<Self> {
        pin_init!(Self {
            todo <- new_mutex!(Some(todo), "netchannel2::Errand"),
            done <- Completion::new(),
        })
    }
}

impl<F: FnOnce() + Send + Unpin + 'static> Changed for Arc<Errand<F>> {
    fn changed(self) {
        let todo = self.todo.lock().take();

        // A watch fires anew when a domain is resumed.
        if let Some(todo) = todo {
            todo();
            self.done.complete_all();
        }
    }
}
