// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How many frames an event told of.

use core::fmt;

const BUCKETS: usize = 9;

/// Counts events by how many frames each told of, in powers of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of 0, 1, 2 to 3, 4 to 7 frames and so on; the last one has all that are more.
    buckets: [u64; BUCKETS],
}

impl Histogram {
    /// Nothing counted.
    pub(super) const NONE: Self = Self {
        buckets: [0; BUCKETS],
    };

    /// Counts an event that told of `frames`.
    pub(super) fn count(&mut self, frames: u32) {
        let place = u32::BITS.saturating_sub(frames.leading_zeros());
        let place = crate::units::index(place).min(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket = bucket.wrapping_add(1);
        }
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.wrapping_add(more);
        }
    }

    /// Iterates over the fewest frames of each bucket and how many events there were.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let least = (0..BUCKETS).map(|place| match place {
            0 => 0,
            place => 1_u32.wrapping_shl(u32::try_from(place).unwrap_or(1).wrapping_sub(1)),
        });
        least.zip(self.buckets)
    }
}

/// One line: `1:12 2:0 4:7 …`, each by the fewest frames of its bucket.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (least, count)) in self.iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{least}:{count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let mut histogram = Histogram::default();
        for frames in [0, 1, 2, 3, 4, 7, 8, 127, 128, 500, u32::MAX] {
            histogram.count(frames);
        }
        let mut twice = histogram;
        twice.add(&histogram);
        assert_eq!(
            histogram.to_string(),
            "0:1 1:1 2:2 4:2 8:1 16:0 32:0 64:1 128:3"
        );
        assert_eq!(
            twice.to_string(),
            "0:2 1:2 2:4 4:4 8:2 16:0 32:0 64:2 128:6"
        );
    }
}
