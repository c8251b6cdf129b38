// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Rules of xenstore.

use core::fmt;

use crate::{
    handshake::KeyName,
    wire::Features, //
};

/// The beginning of a value that the peer wrote, for a message about it.
///
/// # Invariants
///
/// The first `length` bytes are printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::CAPACITY],
    length: u8,
}

impl Excerpt {
    const CAPACITY: usize = 24;

    /// Copies the beginning of `value`, with a question mark for whatever is not printable.
    pub fn new(value: &[u8]) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        for (to, from) in bytes.iter_mut().zip(value) {
            let printable = from.is_ascii_graphic() || *from == b' ';
            *to = if printable { *from } else { b'?' };
        }
        let length = u8::try_from(value.len().min(Self::CAPACITY)).unwrap_or_default();
        // INVARIANT: The loop lets through nothing but printable ASCII.
        Self { bytes, length }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A rule that the peer broke in xenstore, or nothing in common with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// A key is missing.
    Missing {
        /// The key.
        key: KeyName,
    },
    /// A value is not the number that it should be.
    Malformed {
        /// The key.
        key: KeyName,
        /// The beginning of its value.
        value: Excerpt,
    },
    /// A number is out of bounds.
    OutOfRange {
        /// The key.
        key: KeyName,
        /// Its value.
        value: u32,
        /// The lowest value allowed.
        min: u32,
        /// The highest value allowed.
        max: u32,
    },
    /// The peer claims features that were not offered.
    Features {
        /// The key.
        key: KeyName,
        /// The features that were not offered, known or unknown.
        unexpected: u32,
    },
    /// The two sides have no version in common.
    NoCommonVersion {
        /// The peer's lowest version.
        min: u32,
        /// The peer's highest version.
        max: u32,
    },
    /// A grant reference appears twice in one queue.
    DuplicateReference {
        /// The key where it appears again.
        key: KeyName,
        /// The reference.
        reference: u32,
    },
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(f, "{key} is missing"),
            Self::Malformed { key, value } => write!(f, "{key} is {value}: not a number"),
            Self::OutOfRange {
                key,
                value,
                min,
                max,
            } => write!(f, "{key} is {value}: not in {min}..={max}"),
            Self::Features { key, unexpected } => write!(
                f,
                "{key} has {unexpected:#x} ({}): not offered",
                Features::names(*unexpected)
            ),
            Self::NoCommonVersion { min, max } => write!(
                f,
                "feature-netchannel2 is {max}: none of {min}..={max} is spoken here"
            ),
            Self::DuplicateReference { key, reference } => {
                write!(f, "{key} is {reference}: granted twice in one queue")
            }
        }
    }
}

impl core::error::Error for HandshakeError {}

/// What can go wrong when reading what the peer wrote: xenstore itself, or the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError<E> {
    /// Xenstore failed.
    Store(E),
    /// The peer broke a rule.
    Handshake(HandshakeError),
}

impl<E> From<HandshakeError> for AccessError<E> {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl<E: fmt::Display> fmt::Display for AccessError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "xenstore: {error}"),
            Self::Handshake(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn excerpts_are_short_and_printable() {
        let excerpt = Excerpt::new(b"12\n\x1b[2J\xff45678901234567890123456789");
        assert_eq!(excerpt.as_str(), "12??[2J?4567890123456789");
        assert_eq!(Excerpt::new(b"").to_string(), "\"\"");
    }
}
