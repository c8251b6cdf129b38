// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reading and writing xenstore.

use core::fmt;

use super::KeyName;
use crate::error::{
    AccessError,
    Excerpt,
    HandshakeError, //
};

/// One side's directory of a device in xenstore.
pub trait Store {
    /// How xenstore fails.
    type Error;

    /// Reads a key into `buffer` and returns its value, or [`None`] if there is no such key.
    ///
    /// Of a value longer than `buffer` the beginning is returned, which then fills `buffer`.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    fn read<'b>(
        &self,
        key: &KeyName,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Self::Error>;

    /// Writes a key.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    fn write(&mut self, key: &KeyName, value: fmt::Arguments<'_>) -> Result<(), Self::Error>;

    /// Removes a key, which need not be there.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    fn remove(&mut self, key: &KeyName) -> Result<(), Self::Error>;
}

/// The bounds of a number.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Bounds {
    /// Any number.
    pub(super) const ANY: Self = Self {
        min: 0,
        max: u32::MAX,
    };
}

/// Longer than any number that is accepted: a value that fills it may have been cut.
const BUFFER: usize = 24;

/// Reads a decimal number, or [`None`] if there is no such key.
pub(super) fn find<S: Store>(
    store: &S,
    key: &KeyName,
    bounds: Bounds,
) -> Result<Option<u32>, AccessError<S::Error>> {
    let mut buffer = [0; BUFFER];
    let Some(text) = store.read(key, &mut buffer).map_err(AccessError::Store)? else {
        return Ok(None);
    };
    let value = number(text, Radix::Decimal).ok_or_else(|| malformed(key, text))?;
    let Bounds { min, max } = bounds;
    if value < min || value > max {
        return Err(HandshakeError::OutOfRange {
            key: *key,
            value,
            min,
            max,
        }
        .into());
    }
    Ok(Some(value))
}

/// Reads a decimal number that must be there.
pub(super) fn require<S: Store>(
    store: &S,
    key: &KeyName,
    bounds: Bounds,
) -> Result<u32, AccessError<S::Error>> {
    find(store, key, bounds)?.ok_or_else(|| HandshakeError::Missing { key: *key }.into())
}

/// Reads a hexadecimal number that must be there.
pub(super) fn require_hex<S: Store>(
    store: &S,
    key: &KeyName,
) -> Result<u32, AccessError<S::Error>> {
    let mut buffer = [0; BUFFER];
    let text = store
        .read(key, &mut buffer)
        .map_err(AccessError::Store)?
        .ok_or(HandshakeError::Missing { key: *key })?;
    number(text, Radix::Hexadecimal).ok_or_else(|| malformed(key, text).into())
}

fn malformed(key: &KeyName, text: &[u8]) -> HandshakeError {
    HandshakeError::Malformed {
        key: *key,
        value: Excerpt::new(text),
    }
}

#[derive(Clone, Copy)]
enum Radix {
    Decimal,
    Hexadecimal,
}

/// Takes digits and nothing else, with `0x` before hexadecimal ones.
fn number(text: &[u8], radix: Radix) -> Option<u32> {
    if text.len() >= BUFFER {
        return None;
    }
    let (digits, radix) = match radix {
        Radix::Decimal => (text, 10),
        Radix::Hexadecimal => (text.strip_prefix(b"0x")?, 16),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, digit| {
        value
            .checked_mul(radix)?
            .checked_add(char::from(*digit).to_digit(radix)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        let decimal = |text: &[u8]| number(text, Radix::Decimal);
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        for bad in [
            &b""[..],
            b"4294967296",
            b"-1",
            b"+1",
            b" 1",
            b"1\n",
            b"0x1",
            b"1\0",
        ] {
            assert_eq!(decimal(bad), None);
        }
        let hexadecimal = |text: &[u8]| number(text, Radix::Hexadecimal);
        assert_eq!(hexadecimal(b"0x1f"), Some(31));
        assert_eq!(hexadecimal(b"0xFFFFFFFF"), Some(u32::MAX));
        assert_eq!(hexadecimal(b"0x"), None);
        assert_eq!(hexadecimal(b"1f"), None);
        assert_eq!(hexadecimal(b"0x100000000"), None);
        assert_eq!(hexadecimal(b"0x00000000000000000001f"), Some(31));
        // May be the beginning of a longer one.
        assert_eq!(hexadecimal(b"0x0000000000000000000000"), None);
        assert_eq!(decimal(b"000000000000000000000000"), None);
    }
}
