// SPDX-License-Identifier: GPL-2.0

//! Watching a node of xenstore.

use crate::bindings;
use kernel::{
    error::to_result,
    ffi::c_char,
    prelude::*,
    str::CString,
    sync::Arc,
    types::Opaque, //
};

/// What a [`Watch`] tells of changes.
pub trait WatchHandler: Send + Sync + 'static {
    /// Called by xenwatch once at the start and after every change.
    ///
    /// Must not take a lock that is held where the watch is dropped.
    fn fired(this: &Arc<Self>);
}

/// A watch of one xenstore path; dropping it waits for a running callback.
///
/// Must not be dropped under a lock that a xenbus callback takes.
///
/// # Invariants
///
/// `raw` is registered, and its `node` is `path`'s string.
#[pin_data(PinnedDrop)]
pub struct Watch<H: WatchHandler> {
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
    path: CString,
    handler: Arc<H>,
}

// SAFETY: A watch may be registered, run and dropped in different threads.
unsafe impl<H: WatchHandler> Send for Watch<H> {}
// SAFETY: Shared references give access to nothing.
unsafe impl<H: WatchHandler> Sync for Watch<H> {}

impl<H: WatchHandler> Watch<H> {
    /// Watches `path` until dropped.
    ///
    /// # Errors
    ///
    /// Those of `register_xenbus_watch()`; `ENOMEM`.
    pub fn new(path: CString, handler: Arc<H>) -> Result<Pin<KBox<Self>>> {
        let node = path.as_char_ptr();

        KBox::try_pin_init(
            try_pin_init!(Self {
                path,
                handler,
                // INVARIANT: The watch is registered below or the initialiser fails.
                raw <- Opaque::try_ffi_init(|slot: *mut bindings::xenbus_watch| {
                    // SAFETY: `slot` is valid for writes. The string is `path`'s allocation, which
                    // moving `path` leaves where it is.
                    unsafe {
                        slot.write(pin_init::zeroed());
                        (*slot).node = node;
                        (*slot).callback = Some(Self::callback);
                    }
                    // SAFETY: `slot` is pinned and initialised. `path` and `handler` are fields
                    // that are initialised before this one.
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
        // SAFETY: `raw` is the field of a `Self` that is alive while its watch is registered.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(raw), Self, raw) };

        H::fired(&this.handler);
    }
}

#[pinned_drop]
impl<H: WatchHandler> PinnedDrop for Watch<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the watch is registered.
        unsafe { bindings::unregister_xenbus_watch(self.raw.get()) };
        let _ = &self.path;
    }
}
