// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a period measures, and how two periods compare.

use super::{
    super::clock::Instant,
    Trend, //
};

/// What two periods are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Better,
    Same,
    Worse,
}

/// A period of measuring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    /// When it began, if it has.
    pub(super) started: Option<Instant>,
    pub(super) events: u16,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Period {
    /// One that has not begun.
    pub(super) const NONE: Self = Self {
        started: None,
        events: 0,
        frames: 0,
        bytes: 0,
    };

    /// Returns what was measured if the period has taken so long.
    pub(super) fn rates(&self, nanoseconds: u64) -> Rates {
        let per_second = |count: u64| count.saturating_mul(1_000_000_000) / nanoseconds.max(1);
        Rates {
            bytes: per_second(self.bytes),
            frames: per_second(self.frames),
            events: per_second(u64::from(self.events)),
        }
    }
}

/// What a period has measured, per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    bytes: u64,
    frames: u64,
    events: u64,
}

impl Rates {
    /// Compares a period with the one before.
    pub(super) fn verdict(&self, before: &Self) -> Verdict {
        for (now, before) in [(self.bytes, before.bytes), (self.frames, before.frames)] {
            if differs(now, before) {
                return if now > before {
                    Verdict::Better
                } else {
                    Verdict::Worse
                };
            }
        }
        if !differs(self.events, before.events) {
            Verdict::Same
        } else if self.events < before.events {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }

    /// Returns where to look for a better level after a change.
    pub(super) fn direction(&self, before: &Self) -> Trend {
        let pairs = [
            (self.bytes, before.bytes),
            (self.frames, before.frames),
            (self.events, before.events),
        ];
        match pairs
            .into_iter()
            .find(|(now, before)| differs(*now, *before))
        {
            Some((now, before)) if now < before => Trend::Down,
            _ => Trend::Up,
        }
    }
}

/// Says whether two rates are more than 10 % apart.
fn differs(now: u64, before: u64) -> bool {
    now.abs_diff(before).saturating_mul(10) > before
}
