// SPDX-License-Identifier: GPL-2.0

//! Work queues that end with their module.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    },
    workqueue::{
        Queue,
        RawWorkItem, //
    }, //
};

/// What becomes of work while the domain is suspended, from before its devices are until after
/// they are back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuringSuspend {
    /// It waits, and the suspend for what runs already.
    Frozen,
    /// It goes on.
    Running,
}

/// A work queue in a `static` of a module.
///
/// Work runs code of the module, so the module must not leave while some is queued:
/// [`Running`], kept by the module's state, drains the queue when it is dropped.
///
/// # Invariants
///
/// `raw` is null or a `workqueue_struct` that [`ModuleQueue::start`] allocated and that no
/// [`Running`] has destroyed yet.
pub struct ModuleQueue {
    raw: Atomic<*mut bindings::workqueue_struct>,
}

// SAFETY: A `workqueue_struct` may be used from any thread.
unsafe impl Send for ModuleQueue {}
// SAFETY: As above; the pointer itself is an atomic.
unsafe impl Sync for ModuleQueue {}

impl ModuleQueue {
    /// Creates a queue that takes no work yet.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            raw: Atomic::new(null_mut()),
        }
    }

    /// Starts the queue until the returned [`Running`] is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if the queue runs already.
    pub fn start(
        &'static self,
        name: &'static CStr,
        during_suspend: DuringSuspend,
    ) -> Result<Running> {
        let freezable = during_suspend == DuringSuspend::Frozen;
        // SAFETY: `name` is a C string that lives for ever.
        let queue = unsafe { bindings::nc2_alloc_workqueue(name.as_char_ptr(), freezable) };

        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: `queue` was allocated above.
        if self.raw.cmpxchg(null_mut(), queue, Full).is_err() {
            // SAFETY: `queue` was allocated above and nothing else knows it.
            unsafe { bindings::destroy_workqueue(queue) };
            return Err(EBUSY);
        }
        Ok(Running(self))
    }

    /// Queues `work`; drops it if the queue does not run.
    ///
    /// Callers hold something that keeps [`Running`] from being dropped: a bound device of a
    /// driver that the module unregisters first.
    pub fn enqueue<W, const ID: u64>(&self, work: W)
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        let raw = self.raw.load(Acquire);

        if !raw.is_null() {
            // SAFETY: By the type invariant `raw` is a live work queue.
            let _ = unsafe { Queue::from_raw(raw) }.enqueue(work);
        }
    }
}

impl Default for ModuleQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`ModuleQueue`] that takes work; dropping it waits for all of it and ends the queue.
pub struct Running(&'static ModuleQueue);

impl Drop for Running {
    fn drop(&mut self) {
        let raw = self.0.raw.xchg(null_mut(), Full);

        if !raw.is_null() {
            // SAFETY: By the invariant of `ModuleQueue`, `raw` is a live work queue; it was taken
            // out, so that it is destroyed once.
            unsafe { bindings::destroy_workqueue(raw) };
        }
    }
}
