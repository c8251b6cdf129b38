// SPDX-License-Identifier: GPL-2.0

//! High resolution timers that are started again and again under a lock.
//!
//! `kernel::time::hrtimer` gives a handle for each start, whose drop cancels the timer and waits
//! for its callback: not what a holder of a spin lock may do. Here starting leaves nothing behind,
//! and the timer is cancelled with its owner.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use kernel::{
    bindings,
    prelude::*,
    sync::Arc,
    time::{
        self,
        Monotonic, //
    },
    types::Opaque, //
};
use netchannel2_core::moderation::{
    Clock,
    Instant,
    Span, //
};

/// What happens when a [`Timer`] expires.
pub trait TimerHandler: Send + Sync + 'static {
    /// Called in interrupt context, once for each start that was not replaced by another.
    fn expired(&self);
}

/// A timer, stopped until [`Timer::start`].
///
/// # Invariants
///
/// `raw` is set up with [`Self::expire`], and cancelled before `handler` is dropped.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub struct Timer<H: TimerHandler> {
    #[pin]
    raw: Opaque<bindings::hrtimer>,
    handler: Arc<H>,
}

// SAFETY: A timer may be used and cancelled from any thread, and so may the handler.
unsafe impl<H: TimerHandler> Send for Timer<H> {}
// SAFETY: The kernel's functions lock the timer.
unsafe impl<H: TimerHandler> Sync for Timer<H> {}

impl<H: TimerHandler> Timer<H> {
    /// Creates a timer that is stopped.
    pub fn new(handler: Arc<H>) -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|slot: *mut bindings::hrtimer| {
                // SAFETY: `slot` is valid for writes and pinned until `drop` has cancelled the
                // timer.
                unsafe {
                    bindings::hrtimer_setup(
                        slot,
                        Some(Self::expire),
                        bindings::CLOCK_MONOTONIC as bindings::clockid_t,
                        bindings::hrtimer_mode_HRTIMER_MODE_REL,
                    );
                }
            }),
            handler,
        })
    }

    /// Has the timer expire once, after `wait`; a start before this one counts no more.
    pub fn start(&self, wait: Span) {
        let nanoseconds = i64::try_from(wait.nanoseconds()).unwrap_or(i64::MAX);

        // SAFETY: By the type invariant the timer is set up.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.raw.get(),
                nanoseconds,
                0,
                bindings::hrtimer_mode_HRTIMER_MODE_REL,
            );
        }
    }

    /// # Safety
    ///
    /// `raw` is the timer of a live `Self`.
    unsafe extern "C" fn expire(raw: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the safety requirement `raw` is the first field of a `repr(C)` `Self`, which
        // waits for this call before it goes.
        let this = unsafe { &*raw.cast::<Self>() };

        this.handler.expired();
        bindings::hrtimer_restart::HRTIMER_NORESTART
    }
}

#[pinned_drop]
impl<H: TimerHandler> PinnedDrop for Timer<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the timer is set up. The call waits for a callback that
        // runs; nobody can start the timer any more, as nobody else has it.
        unsafe { bindings::hrtimer_cancel(self.raw.get()) };
    }
}

/// The kernel's monotonic clock.
#[derive(Clone, Copy)]
pub struct MonotonicClock {
    start: time::Instant<Monotonic>,
}

impl MonotonicClock {
    /// Creates a clock that is near 0 now.
    pub fn new() -> Self {
        Self {
            start: time::Instant::now(),
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Instant {
        Instant::new(self.start.elapsed().as_nanos().unsigned_abs())
    }
}
