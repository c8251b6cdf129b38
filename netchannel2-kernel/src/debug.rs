// SPDX-License-Identifier: GPL-2.0

//! A module's folder in debugfs.
//!
//! The files are the module's own: one that is open keeps the module from being removed, but no
//! device from going. The `kernel` crate's files have no owner in Linux 7.3, and closing one after
//! its module has gone runs into freed memory.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::{
    ffi::c_void,
    ptr::{
        null,
        null_mut, //
    },
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_int,
    fmt,
    module::this_module,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Arc,
        ArcBorrow, //
    },
    ModuleMetadata, //
};

/// What the owner of this domain may see.
const MODE: bindings::umode_t = 0o400;

/// What a file shows.
pub trait Show: Send + Sync + 'static {
    /// Writes what there is to see.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A folder in a `static` of a module.
///
/// # Invariants
///
/// - `raw` is null or comes from an `Arc<Folder>` that [`Shown`] takes back.
/// - `operations` are of files with an [`Entry`], and owned by the module that the folder is in.
pub struct ModuleFolder {
    raw: Atomic<*mut Folder>,
    operations: bindings::file_operations,
}

// SAFETY: A `Folder` may be used from any thread.
unsafe impl Send for ModuleFolder {}
// SAFETY: As above; the pointer itself is an atomic, and the operations are never written.
unsafe impl Sync for ModuleFolder {}

impl ModuleFolder {
    /// Creates a folder of module `M` that is not there yet.
    pub const fn of<M: ModuleMetadata>() -> Self {
        // INVARIANT: The pointer is null; the module is the owner.
        Self {
            raw: Atomic::new(null_mut()),
            operations: bindings::file_operations {
                owner: this_module::<M>().as_ptr(),
                open: Some(open),
                read: Some(bindings::seq_read),
                llseek: Some(bindings::seq_lseek),
                release: Some(bindings::single_release),
                ..pin_init::zeroed()
            },
        }
    }

    /// Makes the folder `name`, until the returned [`Shown`] and all its files are dropped.
    ///
    /// Where debugfs is off there is none, and no files: nobody but people who look for them needs
    /// them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if it is there already.
    pub fn start(&'static self, name: &CStr) -> Result<Shown> {
        // SAFETY: `name` is a C string; without a parent the folder is in debugfs' root.
        let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), null_mut()) };
        let Ok(dentry) = from_err_ptr(dentry) else {
            return Ok(Shown(self));
        };
        // INVARIANT: The folder was just made.
        let folder = Arc::new(Folder(dentry), GFP_KERNEL).inspect_err(|_| {
            // SAFETY: The folder was made above, and nothing is in it.
            unsafe { bindings::debugfs_remove(dentry) }
        })?;
        let raw = Arc::into_raw(folder).cast_mut();

        // INVARIANT: `raw` was just made of an `Arc`.
        if self.raw.cmpxchg(null_mut(), raw, Full).is_err() {
            // SAFETY: `raw` was made of an `Arc` above, and nothing else knows it.
            drop(unsafe { Arc::from_raw(raw.cast_const()) });
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
    /// `ENOMEM`; `ENODEV` without the folder; those of `debugfs_create_file()`.
    pub fn add<T: Show>(&'static self, name: &CStr, what: Arc<T>) -> Result<ShownFile> {
        let raw = self.raw.load(Acquire);

        if raw.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: By the type invariant `raw` comes from an `Arc`, and by the requirement on callers
        // that is not taken back meanwhile.
        let folder: Arc<Folder> = unsafe { ArcBorrow::from_raw(raw.cast_const()) }.into();
        let entry = KBox::new(Entry(what), GFP_KERNEL)?;
        // SAFETY: `name` is a C string, and the folder is there. The entry is where it is until the
        // file was removed, and the operations are so for as long as the module, which an open file
        // keeps.
        let dentry = from_err_ptr(unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                MODE,
                folder.0,
                (&raw const *entry).cast_mut().cast(),
                null(),
                &self.operations,
            )
        })?;

        // INVARIANT: The file was just made.
        Ok(ShownFile {
            dentry,
            _entry: entry,
            _folder: folder,
        })
    }
}

/// A folder that is there; dropping it removes it.
///
/// # Invariants
///
/// The directory entry is that of a folder which only this removes.
struct Folder(*mut bindings::dentry);

// SAFETY: debugfs may be called by any thread.
unsafe impl Send for Folder {}
// SAFETY: As above.
unsafe impl Sync for Folder {}

impl Drop for Folder {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Each file holds the folder, so that it is empty.
        unsafe { bindings::debugfs_remove(self.0) }
    }
}

/// A [`ModuleFolder`] that is there, if debugfs is; dropping it removes it when its last file has gone.
pub struct Shown(&'static ModuleFolder);

impl Drop for Shown {
    fn drop(&mut self) {
        let raw = self.0.raw.xchg(null_mut(), Full);

        if !raw.is_null() {
            // SAFETY: By the type invariant of the folder it comes from an `Arc`; it was taken out,
            // so that it is dropped once.
            drop(unsafe { Arc::from_raw(raw.cast_const()) });
        }
    }
}

/// A file; dropping it removes it, and waits for those who read it right then.
///
/// Somebody may have it open still, and reads no more but `EIO`.
///
/// # Invariants
///
/// `dentry` is of a file in the folder that only this removes and whose private pointer is `_entry`.
pub struct ShownFile {
    dentry: *mut bindings::dentry,
    _entry: KBox<Entry>,
    _folder: Arc<Folder>,
}

// SAFETY: debugfs may be called by any thread, and what is shown may be sent to one.
unsafe impl Send for ShownFile {}
// SAFETY: There is nothing to be done with a reference.
unsafe impl Sync for ShownFile {}

impl Drop for ShownFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. What is shown is dropped afterwards.
        unsafe { bindings::debugfs_remove(self.dentry) }
    }
}

/// What a file's private pointer leads to.
struct Entry(Arc<dyn Show>);

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// Opens a file of a [`ModuleFolder`].
extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: debugfs calls with the inode of the file and one that is being opened. `show` is called
    // with the inode's private pointer.
    unsafe { bindings::single_open(file, Some(show), (*inode).i_private) }
}

/// Shows a file of a [`ModuleFolder`].
extern "C" fn show(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: `open` gave the private pointer, which is that of an entry. debugfs calls none of a
    // file that was removed, and removing waits for this call.
    let entry = unsafe { &*(*seq).private.cast::<Entry>() };
    // SAFETY: The file is valid and nobody else's during the call.
    let seq = unsafe { SeqFile::from_raw(seq) };

    seq_print!(seq, "{entry}");
    0
}
