// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Choosing how long events wait by what is measured.
//!
//! The method is that of Linux' `net_dim` (`lib/dim/net_dim.c`): in periods of [`PERIOD`] events,
//! bytes, frames and events a second are measured; a period is *better* than the one before with
//! more bytes, or as many bytes and more frames, or as many of both and fewer events, and only a
//! difference above 10 % counts. By that it climbs a table of [`Level`]s, one step after a period:
//!
//! | state | better | same | worse |
//! |---|---|---|---|
//! | climbing | one level up | back down, rest | back down, rest |
//! | descending | one level down | one level down | back up, rest |
//! | parked | | stay | |
//!
//! A parked level is left as soon as something differs: upwards with more load or more events for
//! it, downwards with less. What differs from `net_dim`: the lower of two equal levels is chosen,
//! since it has the lower latency, so that traffic that cannot be batched ends at the lowest one;
//! and a step that was taken back is not tried again for 1, 2, 4 … 32 periods, until a step has
//! led somewhere.

mod rates;

use self::rates::{
    Period,
    Rates,
    Verdict, //
};
use super::{
    clock::Clock,
    settings::{
        Frames,
        Usecs, //
    },
};

/// How many events a period of measuring has.
pub const PERIOD: u16 = 64;

/// The longest rest, in periods.
const LONGEST_REST: u8 = 32;

/// How long an event waits, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// For this long.
    pub usecs: Usecs,
    /// For this many frames.
    pub frames: Frames,
}

/// The levels of one kind of message, from the lowest latency to the largest batches.
pub type Levels = [Level; 5];

/// The levels for packets.
pub static PACKETS: Levels = [
    level(0, 1),
    level(0, 64),
    level(32, 64),
    level(64, 64),
    level(128, 128),
];

/// The levels for completions, for which nobody waits before many are due.
pub static COMPLETIONS: Levels = [
    level(0, 64),
    level(16, 64),
    level(32, 64),
    level(64, 128),
    level(128, 128),
];

/// A level of the tables, whose numbers are in bounds.
const fn level(usecs: u32, frames: u32) -> Level {
    Level {
        usecs: match Usecs::new(usecs) {
            Ok(usecs) => usecs,
            Err(_) => Usecs::ZERO,
        },
        frames: match Frames::new(frames) {
            Ok(frames) => frames,
            Err(_) => Frames::ONE,
        },
    }
}

/// Where the search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trend {
    /// It has gone one level up.
    Up,
    /// It has gone one level down.
    Down,
    /// It stays until something changes.
    Parked,
    /// It stays for so many periods, and then parks.
    Resting(u8),
}

/// A level that is adapted to the traffic.
///
/// # Invariants
///
/// `at` is an index of `levels`.
#[derive(Clone, Copy, Debug)]
pub struct Adaptive {
    levels: &'static Levels,
    at: usize,
    trend: Trend,
    before: Option<Rates>,
    period: Period,
    /// How many periods the next rest takes.
    rest: u8,
}

impl Adaptive {
    /// Starts at the lowest of `levels`.
    pub const fn new(levels: &'static Levels) -> Self {
        // INVARIANT: There are five levels.
        Self {
            levels,
            at: 0,
            trend: Trend::Up,
            before: None,
            period: Period::NONE,
            rest: 1,
        }
    }

    /// Returns the level.
    #[inline]
    pub fn level(&self) -> Level {
        let [lowest, ..] = *self.levels;
        self.levels.get(self.at).copied().unwrap_or(lowest)
    }

    /// Returns the level's number, from 0.
    pub const fn number(&self) -> usize {
        self.at
    }

    /// Takes note of an event, and of the frames and bytes that were published since the last one.
    pub fn told(&mut self, frames: u64, bytes: u64, clock: &impl Clock) {
        let Some(started) = self.period.started else {
            self.period.started = Some(clock.now());
            return;
        };
        self.period.events = self.period.events.saturating_add(1);
        self.period.frames = self.period.frames.saturating_add(frames);
        self.period.bytes = self.period.bytes.saturating_add(bytes);
        if self.period.events >= PERIOD {
            let now = clock.now();
            let rates = self.period.rates(now.since(started).nanoseconds());
            self.period = Period {
                started: Some(now),
                ..Period::NONE
            };
            self.decide(rates);
        }
    }

    fn decide(&mut self, rates: Rates) {
        let Some(before) = self.before.replace(rates) else {
            self.go(Trend::Up);
            return;
        };
        let verdict = rates.verdict(&before);
        match (self.trend, verdict) {
            (Trend::Up, Verdict::Better) => {
                self.rest = 1;
                self.go(Trend::Up);
            }
            (Trend::Up, _) => {
                self.step(Trend::Down);
                self.repose();
            }
            (Trend::Down, Verdict::Worse) => {
                self.step(Trend::Up);
                self.repose();
            }
            (Trend::Down, _) => {
                self.rest = 1;
                self.go(Trend::Down);
            }
            // What it is compared with stays, so that a slow change is noticed too.
            (Trend::Parked, Verdict::Same) => self.before = Some(before),
            (Trend::Parked, _) => self.go(rates.direction(&before)),
            (Trend::Resting(periods), _) => {
                self.trend = match periods {
                    0 | 1 => Trend::Parked,
                    more => Trend::Resting(more.saturating_sub(1)),
                }
            }
        }
    }

    /// Goes on in a direction, or parks at the end of the levels.
    fn go(&mut self, direction: Trend) {
        let from = self.at;
        self.step(direction);
        self.trend = if self.at == from {
            Trend::Parked
        } else {
            direction
        };
    }

    fn step(&mut self, direction: Trend) {
        // INVARIANT: Within the levels by `min` and by saturation.
        self.at = match direction {
            Trend::Up => self.at.saturating_add(1).min(self.levels.len() - 1),
            Trend::Down => self.at.saturating_sub(1),
            Trend::Parked | Trend::Resting(_) => self.at,
        };
    }

    fn repose(&mut self) {
        self.trend = Trend::Resting(self.rest);
        self.rest = self.rest.saturating_mul(2).min(LONGEST_REST);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{
        super::clock::{
            Instant,
            Span, //
        },
        *, //
    };

    /// A clock that is moved by hand.
    struct ByHand(Cell<Instant>);

    impl ByHand {
        fn new() -> Self {
            Self(Cell::new(Instant::new(1)))
        }

        fn pass(&self, nanoseconds: u64) {
            self.0.set(self.0.get().after(Span::new(nanoseconds)));
        }
    }

    impl Clock for ByHand {
        fn now(&self) -> Instant {
            self.0.get()
        }
    }

    /// Runs `periods` of traffic that has, at each level, this many nanoseconds between events and
    /// this many frames of 1000 bytes in each; returns the levels that they ended with.
    fn run(
        adaptive: &mut Adaptive,
        clock: &ByHand,
        periods: usize,
        traffic: impl Fn(usize) -> (u64, u64),
    ) -> std::vec::Vec<usize> {
        let mut seen = std::vec::Vec::new();
        for _ in 0..periods {
            for _ in 0..PERIOD {
                let (nanoseconds, frames) = traffic(adaptive.at);
                clock.pass(nanoseconds);
                adaptive.told(frames, frames * 1000, clock);
            }
            seen.push(adaptive.at);
        }
        seen
    }

    /// A stream of a packet a microsecond: a level with longer waits has larger batches.
    fn stream(level: usize) -> (u64, u64) {
        let frames = [2, 16, 32, 64, 128][level];
        (frames * 1000, frames)
    }

    /// Round trips, each as long as the wait at a level makes it.
    fn round_trips(level: usize) -> (u64, u64) {
        (
            50_000 + u64::from(PACKETS[level].usecs.get()) * 1000 + level as u64,
            1,
        )
    }

    #[test]
    fn tables_are_ordered() {
        for levels in [PACKETS, COMPLETIONS] {
            for pair in levels.windows(2) {
                assert!(pair[0].usecs <= pair[1].usecs && pair[0].frames <= pair[1].frames);
                assert!(pair[0] != pair[1]);
            }
        }
        assert_eq!(PACKETS[0].frames, Frames::ONE);
        assert_eq!(PACKETS[4].usecs.get(), 128);
    }

    #[test]
    fn a_stream_gets_the_largest_batches() {
        let (mut adaptive, clock) = (Adaptive::new(&PACKETS), ByHand::new());
        assert_eq!(run(&mut adaptive, &clock, 10, stream).last(), Some(&4));
        assert_eq!(run(&mut adaptive, &clock, 100, stream), [4; 100]);
    }

    #[test]
    fn round_trips_get_the_lowest_latency() {
        let (mut adaptive, clock) = (Adaptive::new(&PACKETS), ByHand::new());
        run(&mut adaptive, &clock, 10, round_trips);
        // Tries come ever more seldom.
        let later = run(&mut adaptive, &clock, 200, round_trips);
        assert!(later.iter().filter(|level| **level > 0).count() < 10);
        // From the largest batches it comes back in a few periods.
        run(&mut adaptive, &clock, 20, stream);
        assert_eq!(adaptive.at, 4);
        let back = run(&mut adaptive, &clock, 8, round_trips);
        assert_eq!(back.last(), Some(&0), "{back:?}");
    }

    #[test]
    fn what_changes_nothing_stays_low() {
        let (mut adaptive, clock) = (Adaptive::new(&PACKETS), ByHand::new());
        let seen = run(&mut adaptive, &clock, 300, |_| (20_000, 8));
        assert!(seen.iter().filter(|level| **level > 0).count() < 12);
        assert!(seen.iter().all(|level| *level < 2));
    }

    #[test]
    fn no_time_and_no_frames_are_no_trouble() {
        let (mut adaptive, clock) = (Adaptive::new(&COMPLETIONS), ByHand::new());
        run(&mut adaptive, &clock, 20, |_| (0, 0));
        run(&mut adaptive, &clock, 20, |_| (0, 1 << 40));
        run(&mut adaptive, &clock, 20, |_| (1 << 50, 1));
    }
}
