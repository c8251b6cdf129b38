// SPDX-License-Identifier: GPL-2.0
//! A speed for all processors: so many instructions in a microsecond, whatever the host could run in it.
//!
//! Devices, timers and the world outside go by the host's time. With a speed that the host can keep, a millisecond of
//! theirs is as many instructions in one run as in another.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// By how much a processor may be ahead of its time: the host's sleep is too coarse for less.
const AHEAD: Duration = Duration::from_micros(100);

/// By how much it may be behind and still catch up. What the host has not given it beyond that is lost.
const BEHIND: Duration = Duration::from_millis(10);

/// Instructions in a microsecond, 0 for as many as the host can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u32);

impl Rate {
    fn instructions(self, time: Duration) -> u64 {
        let all = time.as_nanos() * u128::from(self.0) / 1000;
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    fn time(self, instructions: u64) -> Duration {
        let all = u128::from(instructions) * 1000 / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(all).unwrap_or(u64::MAX))
    }
}

/// The machine's time, in instructions.
#[derive(Debug)]
pub struct Speed {
    start: Instant,
    rate: AtomicU32,
    /// What the rate has more of since the start than the time: what it had when the time was set, and what the host was
    /// too slow for since then.
    less: AtomicI64,
    /// That, when the time was set.
    set: AtomicI64,
    /// What the host was too slow for before that.
    lost_before: AtomicU64,
}

impl Speed {
    /// As fast as the host can.
    #[must_use]
    pub fn new() -> Self {
        Speed {
            start: Instant::now(),
            rate: AtomicU32::new(0),
            less: AtomicI64::new(0),
            set: AtomicI64::new(0),
            lost_before: AtomicU64::new(0),
        }
    }

    /// Goes on at another rate, and the time from `now`.
    pub fn begin(&self, rate: Rate, now: u64) {
        self.lost_before.store(self.lost(), Relaxed);
        self.rate.store(rate.0, Relaxed);
        let less = signed(rate.instructions(self.start.elapsed())) - signed(now);
        self.set.store(less, Relaxed);
        self.less.store(less, Relaxed);
    }

    /// How far a processor is that has always run.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.at(self.start.elapsed())
    }

    /// How long one has to wait who is as far as `progress`.
    #[must_use]
    pub fn ahead(&self, progress: u64) -> Duration {
        self.ahead_at(self.start.elapsed(), progress)
    }

    /// Instructions that the host was too slow for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let now = self.less.load(Relaxed) - self.set.load(Relaxed);
        self.lost_before.load(Relaxed) + u64::try_from(now).unwrap_or(0)
    }

    fn rate(&self) -> Rate {
        Rate(self.rate.load(Relaxed))
    }

    fn at(&self, time: Duration) -> u64 {
        let all = signed(self.rate().instructions(time));
        u64::try_from(all - self.less.load(Relaxed)).unwrap_or(0)
    }

    fn ahead_at(&self, time: Duration, progress: u64) -> Duration {
        let rate = self.rate();
        if rate.0 == 0 {
            return Duration::ZERO;
        }
        let due = progress.saturating_add(rate.instructions(BEHIND));
        let less = signed(rate.instructions(time)) - signed(due);
        self.less.fetch_max(less, Relaxed);
        let ahead = rate.time(progress.saturating_sub(self.at(time)));
        if ahead > AHEAD {
            ahead
        } else {
            Duration::ZERO
        }
    }
}

/// For differences: half of the numbers are years.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Default for Speed {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate(50);

    /// A speed whose time began with it.
    fn speed() -> Speed {
        let speed = Speed::new();
        speed.rate.store(RATE.0, Relaxed);
        speed
    }

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn who_is_ahead_waits_as_long_as_that_takes() {
        let speed = speed();
        assert_eq!(speed.ahead_at(ms(2), 100_000), Duration::ZERO);
        assert_eq!(speed.ahead_at(ms(2), 104_000), Duration::ZERO);
        assert_eq!(speed.ahead_at(ms(2), 150_000), ms(1));
        assert_eq!(speed.lost(), 0);
    }

    #[test]
    fn who_is_behind_catches_up_but_not_for_long() {
        let speed = speed();
        // 10 ms behind: nothing is lost yet.
        assert_eq!(speed.ahead_at(ms(12), 100_000), Duration::ZERO);
        assert_eq!(speed.lost(), 0);
        assert_eq!(speed.ahead_at(ms(12), 650_000), ms(1));
        // 15 ms behind.
        assert_eq!(speed.ahead_at(ms(27), 600_000), Duration::ZERO);
        assert_eq!(speed.lost(), 250_000);
        assert_eq!(speed.at(ms(27)), 1_100_000);
        assert_eq!(speed.ahead_at(ms(27), 1_150_000), ms(1));
    }

    #[test]
    fn a_time_goes_on_from_where_it_is_set_and_what_was_lost_adds_up() {
        let speed = speed();
        let _late = speed.ahead_at(ms(15), 0);
        assert_eq!(speed.lost(), 250_000);
        speed.begin(RATE, 1 << 40);
        assert_eq!(speed.lost(), 250_000);
        assert!(speed.now() >= 1 << 40 && speed.now() < (1 << 40) + 50_000_000);
        let _late = speed.ahead_at(speed.start.elapsed() + ms(15), 1 << 40);
        assert!(speed.lost() >= 500_000);
    }

    #[test]
    fn without_a_rate_nobody_waits_and_there_is_no_time() {
        let speed = Speed::new();
        assert_eq!(speed.ahead_at(ms(1), 1 << 40), Duration::ZERO);
        assert_eq!((speed.at(ms(1000)), speed.lost()), (0, 0));
    }
}
