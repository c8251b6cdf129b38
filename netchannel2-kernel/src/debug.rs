// SPDX-License-Identifier: GPL-2.0

//! A module's folder in debugfs.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::ptr::null_mut;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Arc, //
    }, //
};

/// What a file shows.
pub trait Show: Send + Sync + 'static {
    /// Writes what there is to see.
    fn show(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result;
}

/// A folder in a `static` of a module.
///
/// # Invariants
///
/// `raw` is null or comes from a `KBox<Dir>` that [`Shown`] takes back.
pub struct ModuleFolder {
    raw: Atomic<*mut Dir>,
}

// SAFETY: A `Dir` is a counted reference to an entry that may be used from any thread.
unsafe impl Send for ModuleFolder {}
// SAFETY: As above; the pointer itself is an atomic.
unsafe impl Sync for ModuleFolder {}

impl ModuleFolder {
    /// Creates a folder that is not there yet.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            raw: Atomic::new(null_mut()),
        }
    }

    /// Makes the folder `name`, until the returned [`Shown`] is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if it is there already.
    pub fn start(&'static self, name: &CStr) -> Result<Shown> {
        let folder = KBox::into_raw(KBox::new(Dir::new(name), GFP_KERNEL)?);

        // INVARIANT: `folder` was just made of a box.
        if self.raw.cmpxchg(null_mut(), folder, Full).is_err() {
            // SAFETY: `folder` was made of a box above, and nothing else knows it.
            drop(unsafe { KBox::from_raw(folder) });
            return Err(EBUSY);
        }
        Ok(Shown(self))
    }

    /// Adds the file `name` that shows `what`, until the returned [`ShownFile`] is dropped.
    ///
    /// Callers hold something that keeps [`Shown`] from being dropped: a bound device of a driver
    /// that the module unregisters first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` without the folder.
    pub fn add<T: Show>(&self, name: &CStr, what: Arc<T>) -> Result<ShownFile<T>> {
        let folder = self.raw.load(Acquire);

        if folder.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: By the type invariant `folder` is a live `Dir`, and by the requirement on callers
        // it stays one.
        let folder = unsafe { &*folder };
        let file = folder.read_callback_file(name, what, &|what: &Arc<T>, f| what.show(f));

        Ok(ShownFile(KBox::pin_init(file, GFP_KERNEL)?))
    }
}

impl Default for ModuleFolder {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`ModuleFolder`] that is there; dropping it removes it.
pub struct Shown(&'static ModuleFolder);

impl Drop for Shown {
    fn drop(&mut self) {
        let folder = self.0.raw.xchg(null_mut(), Full);

        if !folder.is_null() {
            // SAFETY: By the type invariant of the folder it comes from a box; it was taken out, so
            // that it is dropped once.
            drop(unsafe { KBox::from_raw(folder) });
        }
    }
}

/// A file; dropping it waits for its readers and removes it.
pub struct ShownFile<T: Show>(#[expect(dead_code)] Pin<KBox<File<Arc<T>>>>);
