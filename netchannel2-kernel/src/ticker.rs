// SPDX-License-Identifier: GPL-2.0

//! Work that comes again and again, in process context.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use kernel::{
    container_of,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// What a [`Ticker`] calls.
pub trait Tick: Send + Sync + 'static {
    /// Milliseconds from the end of one call to the next, rounded to whole seconds so that many
    /// tickers wake a processor once.
    const PERIOD: u32;

    /// Does what there is to do; may sleep.
    fn tick(&self);
}

/// Calls [`Tick::tick`] every [`Tick::PERIOD`], until it is dropped.
///
/// # Invariants
///
/// `work` is set up with [`Self::run`], and disabled before `target` is dropped.
#[pin_data(PinnedDrop)]
pub struct Ticker<T: Tick> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    target: Arc<T>,
}

// SAFETY: The work may be queued and disabled by any thread, and `T` may be used by any.
unsafe impl<T: Tick> Send for Ticker<T> {}
// SAFETY: As above; there are no methods that take a shared reference.
unsafe impl<T: Tick> Sync for Ticker<T> {}

impl<T: Tick> Ticker<T> {
    /// Has `target` called from now on, the first time after one period.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn start(target: Arc<T>) -> Result<Pin<KBox<Self>>> {
        let ticker = KBox::pin_init(
            pin_init!(Self {
                // INVARIANT: It is set up here.
                work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                    // SAFETY: `slot` is valid for writes, and pinned until `drop` has disabled the
                    // work.
                    unsafe { bindings::nc2_init_delayed_work(slot, Some(Self::run)) }
                }),
                target,
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: By the type invariant the work is set up.
        unsafe { bindings::nc2_queue_delayed_work(ticker.work.get(), T::PERIOD) };
        Ok(ticker)
    }

    /// # Safety
    ///
    /// `work` is that of a live `Self`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the safety requirement `work` is in the field of a `Self`, which waits for
        // this call before it goes.
        let this = unsafe {
            let work = container_of!(work, bindings::delayed_work, work);

            &*container_of!(Opaque::cast_from(work), Self, work)
        };

        this.target.tick();
        // SAFETY: By the type invariant the work is set up; nothing is queued once it is disabled.
        unsafe { bindings::nc2_queue_delayed_work(this.work.get(), T::PERIOD) };
    }
}

#[pinned_drop]
impl<T: Tick> PinnedDrop for Ticker<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the work is set up. The call waits for one that runs, and
        // keeps it from queueing itself again.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
    }
}
