// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Time, as far as moderation needs it.

use super::Usecs;

/// A point in time, in nanoseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Takes the clock's reading.
    #[inline]
    pub const fn new(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Returns the point that lies `span` later.
    #[must_use]
    #[inline]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns how long ago `earlier` was; nothing if it was not.
    #[inline]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Takes a number of nanoseconds.
    #[inline]
    pub const fn new(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Returns the number of nanoseconds.
    #[inline]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// Returns `factor` times this.
    #[must_use]
    #[inline]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl From<Usecs> for Span {
    #[inline]
    fn from(usecs: Usecs) -> Self {
        // At most 10^4 times 10^3.
        Self(u64::from(usecs.get()).saturating_mul(1000))
    }
}

/// A clock that never goes back.
pub trait Clock {
    /// Reads the clock.
    fn now(&self) -> Instant;
}
