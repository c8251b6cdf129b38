// SPDX-License-Identifier: GPL-2.0
//! Latency percentiles in constant memory.
//!
//! Values fall into buckets whose width grows with the value (32 to each power
//! of two), so a percentile is exact to about three percent however long a run
//! lasts, and a small guest never has to hold every sample.

use std::time::Duration;

/// Buckets to each power of two, as a power of two.
const FINE: u32 = 5;
const BUCKETS: usize = (64 - FINE as usize + 1) << FINE;

/// Counts of latencies.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Histogram {
    /// A histogram without samples.
    pub(crate) fn new() -> Self {
        Histogram {
            counts: vec![0; BUCKETS],
            total: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Adds one sample.
    pub(crate) fn add(&mut self, sample: Duration) {
        let nanos = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// Samples added.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The mean in microseconds, zero without samples.
    pub(crate) fn mean_us(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.sum as f64 / self.total as f64 / 1000.0
    }

    /// The smallest sample in microseconds, zero without samples.
    pub(crate) fn min_us(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.min as f64 / 1000.0
    }

    /// The largest sample in microseconds.
    pub(crate) fn max_us(&self) -> f64 {
        self.max as f64 / 1000.0
    }

    /// The latency in microseconds that `share` (0 to 1) of samples stay under.
    pub(crate) fn percentile_us(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return ceiling(index).clamp(self.min, self.max) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn bucket(value: u64) -> usize {
    if value < 1 << FINE {
        return value as usize;
    }
    let shift = value.ilog2() - FINE;
    ((shift as usize) << FINE) + (value >> shift) as usize
}

/// The largest value a bucket holds.
fn ceiling(index: usize) -> u64 {
    if index < 2 << FINE {
        return index as u64;
    }
    let shift = (index >> FINE) - 1;
    let top = (index - (shift << FINE)) as u64;
    (top << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_monotonic_and_tight() {
        let mut last = 0;
        for exponent in 0..63 {
            for value in [1u64 << exponent, (1 << exponent) + (1 << exponent) / 3] {
                let index = bucket(value);
                assert!(index >= last && index < BUCKETS);
                last = index;
                let top = ceiling(index);
                assert!(
                    top >= value && top - value <= value / 31 + 1,
                    "{value} {top}"
                );
            }
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert_eq!(ceiling(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles_follow_the_samples() {
        let mut hist = Histogram::new();
        assert_eq!(hist.percentile_us(0.5), 0.0);
        for micros in 1..=1000 {
            hist.add(Duration::from_micros(micros));
        }
        let median = hist.percentile_us(0.5);
        assert!((485.0..=520.0).contains(&median), "{median}");
        assert_eq!(hist.percentile_us(1.0), 1000.0);
        assert_eq!((hist.min_us(), hist.max_us()), (1.0, 1000.0));
        assert!((hist.mean_us() - 500.5).abs() < 0.01);
    }
}
