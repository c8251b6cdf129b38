// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Settings as an administrator knows them: plain numbers by the names of `ethtool -C`, where rx
//! is what arrives at the device and tx what it sends.

use core::fmt;

use super::settings::{
    Frames,
    Limits,
    OutOfRange,
    Rule,
    Settings,
    Usecs, //
};
use crate::knobs::Switch;

/// A setting by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// How many microseconds an event about received packets may wait.
    RxUsecs,
    /// With how many received packets it comes at the latest.
    RxFrames,
    /// Whether both are chosen by what is measured.
    AdaptiveRx,
    /// How many microseconds an event about sent packets that are done with may wait.
    TxUsecs,
    /// With how many such packets it comes at the latest.
    TxFrames,
    /// Whether both are chosen by what is measured.
    AdaptiveTx,
    /// The most microseconds that the peer may ask for.
    MaxUsecs,
    /// The most frames that the peer may ask for.
    MaxFrames,
}

impl Knob {
    /// All of them, each at the place that its number is.
    pub const ALL: [Self; 8] = [
        Self::RxUsecs,
        Self::RxFrames,
        Self::AdaptiveRx,
        Self::TxUsecs,
        Self::TxFrames,
        Self::AdaptiveTx,
        Self::MaxUsecs,
        Self::MaxFrames,
    ];

    /// Returns the name, as of a module's parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RxUsecs => "rx_usecs",
            Self::RxFrames => "rx_frames",
            Self::AdaptiveRx => "adaptive_rx",
            Self::TxUsecs => "tx_usecs",
            Self::TxFrames => "tx_frames",
            Self::AdaptiveTx => "adaptive_tx",
            Self::MaxUsecs => "max_usecs",
            Self::MaxFrames => "max_frames",
        }
    }
}

/// Why settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnobError {
    /// A value is out of bounds.
    OutOfRange(Knob, OutOfRange),
    /// A switch, which the second one is, is on, so that the first one would have no effect.
    Adaptive(Knob, Knob),
}

impl fmt::Display for KnobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(knob, range) => write!(f, "{} is {range}", knob.name()),
            Self::Adaptive(knob, switch) => write!(
                f,
                "{} has no effect while {} is on",
                knob.name(),
                switch.name()
            ),
        }
    }
}

/// The numbers of a device's settings, not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// [`Knob::RxUsecs`]
    pub rx_usecs: u32,
    /// [`Knob::RxFrames`]
    pub rx_frames: u32,
    /// [`Knob::AdaptiveRx`], 0 or 1
    pub adaptive_rx: u32,
    /// [`Knob::TxUsecs`]
    pub tx_usecs: u32,
    /// [`Knob::TxFrames`]
    pub tx_frames: u32,
    /// [`Knob::AdaptiveTx`], 0 or 1
    pub adaptive_tx: u32,
}

impl Knobs {
    /// Returns the numbers of `settings`.
    pub fn of(settings: &Settings) -> Self {
        let Settings {
            packets,
            completions,
        } = settings;
        Self {
            rx_usecs: packets.usecs.get().into(),
            rx_frames: packets.frames.get().into(),
            adaptive_rx: packets.adaptive.is_on().into(),
            tx_usecs: completions.usecs.get().into(),
            tx_frames: completions.frames.get().into(),
            adaptive_tx: completions.adaptive.is_on().into(),
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// Returns [`KnobError::OutOfRange`] for the first one that is out of bounds.
    pub fn settings(&self) -> Result<Settings, KnobError> {
        Ok(Settings {
            packets: Rule {
                usecs: usecs(Knob::RxUsecs, self.rx_usecs)?,
                frames: frames(Knob::RxFrames, self.rx_frames)?,
                adaptive: switch(Knob::AdaptiveRx, self.adaptive_rx)?,
            },
            completions: Rule {
                usecs: usecs(Knob::TxUsecs, self.tx_usecs)?,
                frames: frames(Knob::TxFrames, self.tx_frames)?,
                adaptive: switch(Knob::AdaptiveTx, self.adaptive_tx)?,
            },
        })
    }

    /// Checks the numbers as a change of those that were `shown`, and returns what is `wanted` then.
    ///
    /// Numbers that differ from what is shown are changed, the others stay as they are wanted:
    /// what is shown may be less than that.
    ///
    /// # Errors
    ///
    /// Those of [`Self::settings`]; [`KnobError::Adaptive`] for a change that would have no effect
    /// since the values are adaptive, and stay so.
    pub fn change(&self, shown: &Self, wanted: &Self) -> Result<Settings, KnobError> {
        let settings = self.settings()?;
        let mut merged = *wanted;
        for knob in Knob::ALL {
            let Some(value) = self
                .get(knob)
                .filter(|value| Some(*value) != shown.get(knob))
            else {
                continue;
            };
            let (rule, switch) = match knob {
                Knob::RxUsecs | Knob::RxFrames => (settings.packets, Knob::AdaptiveRx),
                Knob::TxUsecs | Knob::TxFrames => (settings.completions, Knob::AdaptiveTx),
                _ => (Rule::IMMEDIATE, knob),
            };
            if rule.adaptive.is_on() {
                return Err(KnobError::Adaptive(knob, switch));
            }
            merged = merged.with(knob, value);
        }
        merged.settings()
    }

    /// Returns a number, if it is one of a device's settings.
    pub fn get(&self, knob: Knob) -> Option<u32> {
        let mut copy = *self;
        copy.place(knob).copied()
    }

    /// Changes a number, if it is one of a device's settings.
    #[must_use]
    pub fn with(mut self, knob: Knob, value: u32) -> Self {
        if let Some(place) = self.place(knob) {
            *place = value;
        }
        self
    }

    fn place(&mut self, knob: Knob) -> Option<&mut u32> {
        match knob {
            Knob::RxUsecs => Some(&mut self.rx_usecs),
            Knob::RxFrames => Some(&mut self.rx_frames),
            Knob::AdaptiveRx => Some(&mut self.adaptive_rx),
            Knob::TxUsecs => Some(&mut self.tx_usecs),
            Knob::TxFrames => Some(&mut self.tx_frames),
            Knob::AdaptiveTx => Some(&mut self.adaptive_tx),
            Knob::MaxUsecs | Knob::MaxFrames => None,
        }
    }
}

impl Limits {
    /// Checks an administrator's limits.
    ///
    /// # Errors
    ///
    /// Returns [`KnobError::OutOfRange`] for the first one that is out of bounds.
    pub fn new(max_usecs: u32, max_frames: u32) -> Result<Self, KnobError> {
        Ok(Self {
            usecs: usecs(Knob::MaxUsecs, max_usecs)?,
            frames: frames(Knob::MaxFrames, max_frames)?,
        })
    }
}

fn usecs(knob: Knob, value: u32) -> Result<Usecs, KnobError> {
    Usecs::new(value).map_err(|range| KnobError::OutOfRange(knob, range))
}

fn frames(knob: Knob, value: u32) -> Result<Frames, KnobError> {
    Frames::new(value).map_err(|range| KnobError::OutOfRange(knob, range))
}

fn switch(knob: Knob, value: u32) -> Result<Switch, KnobError> {
    match value {
        0 => Ok(Switch::Off),
        1 => Ok(Switch::On),
        value => Err(KnobError::OutOfRange(
            knob,
            OutOfRange {
                value,
                least: 0,
                most: 1,
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::string::{
        String,
        ToString as _, //
    };

    use super::*;

    const KNOBS: Knobs = Knobs {
        rx_usecs: 10,
        rx_frames: 20,
        adaptive_rx: 0,
        tx_usecs: 30,
        tx_frames: 40,
        adaptive_tx: 1,
    };

    fn refused<T: fmt::Debug>(result: Result<T, KnobError>) -> String {
        result.map_or_else(|error| error.to_string(), |taken| std::format!("{taken:?}"))
    }

    #[test]
    fn knobs_have_their_places() {
        for (place, knob) in Knob::ALL.into_iter().enumerate() {
            assert_eq!(knob as usize, place);
        }
    }

    #[test]
    fn numbers_go_there_and_back() {
        let settings = KNOBS.settings().unwrap();
        assert_eq!(Knobs::of(&settings), KNOBS);
        for knob in Knob::ALL {
            let changed = KNOBS.with(knob, 1);
            assert!(changed.get(knob).is_none_or(|value| value == 1));
            assert!(changed.settings().is_ok());
        }
    }

    #[test]
    fn errors_name_the_knob_and_the_limit() {
        for (knob, value, text) in [
            (Knob::RxUsecs, 10_001, "rx_usecs is 10001: not in 0..=10000"),
            (Knob::RxFrames, 0, "rx_frames is 0: not in 1..=128"),
            (Knob::AdaptiveRx, 2, "adaptive_rx is 2: not in 0..=1"),
            (Knob::TxUsecs, 70_000, "tx_usecs is 70000: not in 0..=10000"),
            (Knob::TxFrames, 129, "tx_frames is 129: not in 1..=128"),
            (Knob::AdaptiveTx, 9, "adaptive_tx is 9: not in 0..=1"),
        ] {
            assert_eq!(refused(KNOBS.with(knob, value).settings()), text);
        }
        assert_eq!(
            refused(Limits::new(10_001, 1)),
            "max_usecs is 10001: not in 0..=10000"
        );
        assert_eq!(
            refused(Limits::new(0, 0)),
            "max_frames is 0: not in 1..=128"
        );
        assert_eq!(Limits::new(10_000, 128), Ok(Limits::NONE));
    }

    #[test]
    fn what_is_adaptive_is_not_set() {
        let change = |knobs: Knobs| knobs.change(&KNOBS, &KNOBS);
        assert_eq!(change(KNOBS), KNOBS.settings());
        let rx = KNOBS.with(Knob::RxUsecs, 5);
        assert_eq!(change(rx), rx.settings());
        assert_eq!(
            refused(change(KNOBS.with(Knob::TxUsecs, 5))),
            "tx_usecs has no effect while adaptive_tx is on"
        );
        let on = KNOBS.with(Knob::AdaptiveRx, 1);
        assert_eq!(change(on), on.settings());
        assert_eq!(
            refused(change(on.with(Knob::RxFrames, 9))),
            "rx_frames has no effect while adaptive_rx is on"
        );
        let off = KNOBS.with(Knob::AdaptiveTx, 0).with(Knob::TxFrames, 9);
        assert_eq!(change(off), off.settings());
    }

    #[test]
    fn what_is_not_changed_stays_wanted() {
        // The peer does with 10 what was to be 500.
        let wanted = KNOBS.with(Knob::RxUsecs, 500);
        let changed = KNOBS.with(Knob::RxFrames, 9);
        assert_eq!(
            changed.change(&KNOBS, &wanted),
            wanted.with(Knob::RxFrames, 9).settings()
        );
    }
}
