// SPDX-License-Identifier: GPL-2.0
//! Outages of a flow that is allowed to have them.

use std::time::{Duration, Instant};

/// Follows when a flow shows signs of life.
#[derive(Debug)]
pub(crate) struct Gaps {
    threshold: Duration,
    last: Instant,
    outages: u64,
    longest: Duration,
    ends_silent: bool,
}

impl Gaps {
    /// A flow that starts now; silence beyond `threshold` is an outage.
    pub(crate) fn new(threshold: Duration, now: Instant) -> Self {
        Gaps {
            threshold,
            last: now,
            outages: 0,
            longest: Duration::ZERO,
            ends_silent: false,
        }
    }

    /// Notes that verified content arrives.
    pub(crate) fn alive(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        self.longest = self.longest.max(gap);
        if gap > self.threshold {
            self.outages += 1;
        }
        self.last = now;
    }

    /// Notes the end of the flow, which may fall into an outage.
    pub(crate) fn finish(&mut self, now: Instant) {
        let before = self.outages;
        let last = self.last;
        self.alive(now);
        self.last = last;
        self.ends_silent = self.outages > before;
    }

    /// Outages seen.
    pub(crate) fn outages(&self) -> u64 {
        self.outages
    }

    /// The longest silence, in milliseconds.
    pub(crate) fn longest_ms(&self) -> u64 {
        u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the flow ends inside an outage.
    pub(crate) fn ends_silent(&self) -> bool {
        self.ends_silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_once_and_the_end_counts_too() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut gaps = Gaps::new(Duration::from_millis(100), start);
        for ms in [50, 120, 900, 950] {
            gaps.alive(at(ms));
        }
        assert_eq!((gaps.outages(), gaps.longest_ms()), (1, 780));
        gaps.finish(at(1000));
        assert!(!gaps.ends_silent());
        gaps.finish(at(5000));
        assert!(gaps.ends_silent());
        assert_eq!((gaps.outages(), gaps.longest_ms()), (2, 4050));
    }
}
