// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Settings of an administrator, checked.

use core::fmt;

use crate::{
    pool::{
        ChunkCount,
        MAX_SLOTS, //
    },
    segment::{
        StagedLength,
        Thresholds, //
    },
    units::InlineLength, //
};

/// A setting that is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    name: &'static str,
    value: u16,
    most: u16,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: at most {}", self.name, self.value, self.most)
    }
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On, 1.
    On,
    /// Off, 0.
    Off,
}

impl Switch {
    /// Takes the setting `name`.
    ///
    /// # Errors
    ///
    /// Returns [`OutOfBounds`] for anything but 0 and 1.
    pub const fn new(name: &'static str, value: u8) -> Result<Self, OutOfBounds> {
        match value {
            0 => Ok(Self::Off),
            1 => Ok(Self::On),
            // CAST: Wider.
            value => Err(OutOfBounds {
                name,
                value: value as u16,
                most: 1,
            }),
        }
    }

    /// Says whether it is on.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Takes `inline_max` and `staged_max`, the longest packets in bytes that travel in their message
/// and in slots of a pool.
///
/// # Errors
///
/// Returns [`OutOfBounds`] for an `inline_max` above [`InlineLength::MAX`].
pub fn thresholds(inline_max: u16, staged_max: u16) -> Result<Thresholds, OutOfBounds> {
    let inline_max = InlineLength::new(inline_max).ok_or(OutOfBounds {
        name: "inline_max",
        value: inline_max,
        most: InlineLength::MAX.get(),
    })?;
    Ok(Thresholds {
        inline_max,
        staged_max: StagedLength::new(staged_max),
    })
}

/// Takes `pool_pages`, the most pages of a pool: of none at all where `thresholds` stage no packet.
///
/// # Errors
///
/// Returns [`OutOfBounds`] above [`MAX_SLOTS`].
pub fn pool_chunks(pool_pages: u16, thresholds: &Thresholds) -> Result<ChunkCount, OutOfBounds> {
    let chunks = ChunkCount::for_pages(pool_pages).ok_or(OutOfBounds {
        name: "pool_pages",
        value: pool_pages,
        most: MAX_SLOTS,
    })?;
    Ok(match thresholds.stage_any() {
        true => chunks,
        false => ChunkCount::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn inline_max_has_a_bound() {
        let inline_max = |value| thresholds(value, 0).map(|taken| taken.inline_max.get());
        assert_eq!(inline_max(0), Ok(0));
        assert_eq!(inline_max(2048), Ok(2048));
        let error = inline_max(2049).map_err(|error| error.to_string());
        assert_eq!(error, Err("inline_max is 2049: at most 2048".into()));
        assert!(inline_max(u16::MAX).is_err());
    }

    #[test]
    fn pool_pages_has_a_bound() {
        let thresholds = Thresholds::default();
        assert_eq!(pool_chunks(1024, &thresholds), Ok(ChunkCount::MAX));
        let error = pool_chunks(1025, &thresholds).map_err(|error| error.to_string());
        assert_eq!(error, Err("pool_pages is 1025: at most 1024".into()));
    }

    #[test]
    fn no_pool_without_packets_for_it() -> Result<(), OutOfBounds> {
        for (inline_max, staged_max) in [(256, 0), (0, 0), (0, 13), (256, 256), (2048, 700)] {
            let thresholds = thresholds(inline_max, staged_max)?;
            assert_eq!(pool_chunks(512, &thresholds), Ok(ChunkCount::ZERO));
            // A wrong value is wrong all the same.
            assert!(pool_chunks(1025, &thresholds).is_err());
        }
        for (inline_max, staged_max) in [(0, 14), (256, 257), (2048, u16::MAX)] {
            let thresholds = thresholds(inline_max, staged_max)?;
            assert_eq!(pool_chunks(1024, &thresholds), Ok(ChunkCount::MAX));
        }
        Ok(())
    }

    #[test]
    fn switches_have_two_positions() {
        assert_eq!(Switch::new("all_vifs", 0), Ok(Switch::Off));
        assert_eq!(Switch::new("all_vifs", 1), Ok(Switch::On));
        let error = Switch::new("all_vifs", 2).map_err(|error| error.to_string());
        assert_eq!(error, Err("all_vifs is 2: at most 1".into()));
    }
}
