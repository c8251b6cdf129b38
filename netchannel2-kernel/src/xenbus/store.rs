// SPDX-License-Identifier: GPL-2.0

//! Reading and writing xenstore.

use super::Transaction;
use crate::bindings;
use core::{
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::Arguments,
    prelude::*,
    str::CString, //
};
use netchannel2_core::handshake::{
    KeyName,
    Store, //
};

/// A directory in xenstore.
#[derive(Clone, Copy)]
pub struct Directory<'a> {
    path: &'a CStr,
    transaction: bindings::xenbus_transaction,
}

impl<'a> Directory<'a> {
    /// Names the directory at `path`.
    pub fn new(path: &'a CStr) -> Self {
        Self {
            path,
            transaction: bindings::xenbus_transaction { id: 0 },
        }
    }

    /// The same directory, as part of `transaction`.
    pub fn within(self, transaction: &'a Transaction) -> Self {
        Self {
            path: self.path,
            transaction: transaction.raw(),
        }
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &'a CStr {
        self.path
    }

    /// Reads the value of `node`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of `xenbus_read()` but `ENOENT`.
    pub fn read(&self, node: &CStr) -> Result<Option<Text>> {
        let mut length = 0;
        // SAFETY: Both paths are C strings and `length` is valid for a write.
        let value = from_err_ptr(unsafe {
            bindings::xenbus_read(
                self.transaction,
                self.path.as_char_ptr(),
                node.as_char_ptr(),
                &mut length,
            )
        });

        match value {
            // INVARIANT: `xenbus_read()` returned `length` bytes of kmalloc memory.
            Ok(value) => Ok(NonNull::new(value.cast()).map(|start| Text {
                start,
                length: length as usize,
            })),
            Err(error) if error == ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `value` to `node`.
    ///
    /// # Errors
    ///
    /// Those of `xenbus_write()`; `ENOMEM`.
    pub fn write(&self, node: &CStr, value: Arguments<'_>) -> Result {
        let value = CString::try_from_fmt(value)?;

        // SAFETY: All three are C strings.
        to_result(unsafe {
            bindings::xenbus_write(
                self.transaction,
                self.path.as_char_ptr(),
                node.as_char_ptr(),
                value.as_char_ptr(),
            )
        })
    }

    /// Removes `node`, which may be missing.
    ///
    /// # Errors
    ///
    /// Those of `xenbus_rm()` but `ENOENT`.
    pub fn remove(&self, node: &CStr) -> Result {
        // SAFETY: Both are C strings.
        let result = to_result(unsafe {
            bindings::xenbus_rm(
                self.transaction,
                self.path.as_char_ptr(),
                node.as_char_ptr(),
            )
        });

        match result {
            Err(error) if error == ENOENT => Ok(()),
            other => other,
        }
    }
}

impl Store for Directory<'_> {
    type Error = Error;

    fn read<'b>(&self, key: &KeyName, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>> {
        let Some(text) = Directory::read(self, key.as_c_str())? else {
            return Ok(None);
        };
        let length = text.as_bytes().len().min(buffer.len());
        let into = buffer.get_mut(..length).ok_or(EINVAL)?;

        into.copy_from_slice(text.as_bytes().get(..length).ok_or(EINVAL)?);
        Ok(Some(into))
    }

    fn write(&mut self, key: &KeyName, value: Arguments<'_>) -> Result {
        Directory::write(self, key.as_c_str(), value)
    }

    fn remove(&mut self, key: &KeyName) -> Result {
        Directory::remove(self, key.as_c_str())
    }
}

/// A value read from xenstore: any bytes, of the peer's choice.
///
/// # Invariants
///
/// `start` points to `length` bytes that `kfree()` frees and that nothing else refers to.
pub struct Text {
    start: NonNull<u8>,
    length: usize,
}

impl Text {
    /// Returns the bytes of the value, without the NUL that ends it.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant `start` is valid for `length` bytes.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory is kfree()'s and ours alone.
        unsafe { kernel::bindings::kfree(self.start.as_ptr().cast()) }
    }
}
