// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a side wants of the events towards it, and what an administrator allows.

use core::fmt;

use crate::{
    knobs::Switch,
    wire::MAX_OUTSTANDING, //
};

/// A value outside of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The value.
    pub value: u32,
    /// The lowest that is allowed.
    pub least: u16,
    /// The highest that is allowed.
    pub most: u16,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not in {}..={}", self.value, self.least, self.most)
    }
}

impl core::error::Error for OutOfRange {}

/// How many microseconds an event may wait.
///
/// # Invariants
///
/// Is at most 10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usecs(u16);

impl Usecs {
    /// No time.
    // INVARIANT: Below the bound.
    pub const ZERO: Self = Self(0);

    /// The longest time.
    // INVARIANT: The bound itself.
    pub const MAX: Self = Self(10_000);

    /// Takes a number of microseconds.
    ///
    /// # Errors
    ///
    /// Returns [`OutOfRange`] above [`Self::MAX`].
    pub const fn new(value: u32) -> Result<Self, OutOfRange> {
        match within(value, Self::ZERO.0, Self::MAX.0) {
            // INVARIANT: In bounds, as checked.
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(error),
        }
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How many packets or completions an event may wait for.
///
/// # Invariants
///
/// Lies in `1..=128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frames(u16);

impl Frames {
    /// One, which never waits.
    // INVARIANT: The lower bound itself.
    pub const ONE: Self = Self(1);

    /// The most: half of what may be outstanding, so that a sender whose allowance is used up has
    /// half of it back before it waits for time to pass.
    // INVARIANT: The upper bound itself.
    pub const MAX: Self = Self(MAX_OUTSTANDING / 2);

    /// Takes a number of frames.
    ///
    /// # Errors
    ///
    /// Returns [`OutOfRange`] for 0 and above [`Self::MAX`].
    pub const fn new(value: u32) -> Result<Self, OutOfRange> {
        match within(value, Self::ONE.0, Self::MAX.0) {
            // INVARIANT: In bounds, as checked.
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(error),
        }
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

const fn within(value: u32, least: u16, most: u16) -> Result<u16, OutOfRange> {
    // CAST: Wider.
    if value < least as u32 || value > most as u32 {
        return Err(OutOfRange { value, least, most });
    }
    // CAST: At most `most`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most `most`, which is as wide"
    )]
    Ok(value as u16)
}

/// When events about one kind of message come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long the event may wait after the first frame.
    pub usecs: Usecs,
    /// With how many frames it comes at the latest.
    pub frames: Frames,
    /// Whether [`super::adaptive`] chooses both instead.
    pub adaptive: Switch,
}

impl Rule {
    /// Every event at once.
    pub const IMMEDIATE: Self = Self {
        usecs: Usecs::ZERO,
        frames: Frames::ONE,
        adaptive: Switch::Off,
    };

    /// Returns the rule with both values kept within `limits`.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self {
            usecs: self.usecs.min(limits.usecs),
            frames: self.frames.min(limits.frames),
            adaptive: self.adaptive,
        }
    }
}

/// What one side wants of the events towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For packets towards that side.
    pub packets: Rule,
    /// For completions of packets from that side.
    pub completions: Rule,
}

impl Settings {
    /// Every event at once, as before the peer has said anything.
    pub const IMMEDIATE: Self = Self {
        packets: Rule::IMMEDIATE,
        completions: Rule::IMMEDIATE,
    };

    /// Returns the settings with all values kept within `limits`.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self {
            packets: self.packets.within(limits),
            completions: self.completions.within(limits),
        }
    }
}

/// The most that an administrator lets the peer ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time.
    pub usecs: Usecs,
    /// The most frames.
    pub frames: Frames,
}

impl Limits {
    /// Everything that can be asked for.
    pub const NONE: Self = Self {
        usecs: Usecs::MAX,
        frames: Frames::MAX,
    };
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn errors_name_the_limits() {
        let text = |error: OutOfRange| error.to_string();
        assert_eq!(Usecs::new(0).map(Usecs::get), Ok(0));
        assert_eq!(Usecs::new(10_000), Ok(Usecs::MAX));
        assert_eq!(
            Usecs::new(10_001).map_err(text),
            Err("10001: not in 0..=10000".into())
        );
        assert_eq!(
            Frames::new(0).map_err(text),
            Err("0: not in 1..=128".into())
        );
        assert_eq!(Frames::new(128), Ok(Frames::MAX));
        assert_eq!(
            Frames::new(u32::MAX).map_err(text),
            Err("4294967295: not in 1..=128".into())
        );
    }

    #[test]
    fn limits_cut_and_change_nothing_else() {
        let limits = Limits {
            usecs: Usecs(50),
            frames: Frames(16),
        };
        let high = Rule {
            usecs: Usecs(100),
            frames: Frames(8),
            adaptive: Switch::On,
        };
        let cut = high.within(limits);
        assert_eq!(
            cut,
            Rule {
                usecs: Usecs(50),
                ..high
            }
        );
        assert_eq!(high.within(Limits::NONE), high);
    }
}
