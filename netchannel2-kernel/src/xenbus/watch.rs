// SPDX-License-Identifier: GPL-2.0

//! Watching a node of xenstore.

use crate::bindings;
use kernel::{
    error::to_result,
    ffi::c_char,
    prelude::*,
    types::Opaque, //
};

/// Waits until xenwatch, the thread that runs all callbacks of xenbus, has finished the one that it
/// is in.
///
/// Must not be called by xenwatch itself, and under no lock that a callback takes.
pub(super) fn wait_for_xenwatch() {
    // Unregistering a watch waits for the callback that is running, whichever watch that is of.
    if let Err(error) = Watch::new(c"domid") {
        pr_err!("cannot wait for xenwatch: {error:?}\n");
    }
}

/// A watch of one xenstore path that does nothing; dropping it waits for a running callback.
///
/// # Invariants
///
/// `raw` is registered.
#[pin_data(PinnedDrop)]
struct Watch {
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
}

impl Watch {
    fn new(path: &'static CStr) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                // INVARIANT: The watch is registered or the initialiser fails.
                raw <- Opaque::try_ffi_init(|slot: *mut bindings::xenbus_watch| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe {
                        slot.write(pin_init::zeroed());
                        (*slot).node = path.as_char_ptr();
                        (*slot).callback = Some(ignore);
                    }
                    // SAFETY: `slot` is pinned and initialised, and the path lives for ever.
                    to_result(unsafe { bindings::register_xenbus_watch(slot) })
                }),
            }? Error),
            GFP_KERNEL,
        )
    }
}

extern "C" fn ignore(_: *mut bindings::xenbus_watch, _: *const c_char, _: *const c_char) {}

#[pinned_drop]
impl PinnedDrop for Watch {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the watch is registered.
        unsafe { bindings::unregister_xenbus_watch(self.raw.get()) };
    }
}
