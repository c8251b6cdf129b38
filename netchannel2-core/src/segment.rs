// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which way a packet's bytes travel: a policy, and no state.

pub use crate::wire::Way;

use crate::units::{
    InlineLength,
    PacketLength,
    PAGE_SIZE, //
};

bitflags::bitflags! {
    /// The ways that a packet may take. Inline is always among them for a packet short enough.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ways: u8 {
        /// In the message.
        const INLINE = 1 << 0;
        /// In a pool of pages that were granted once.
        const STAGED = 1 << 1;
        /// On pages that the receiver copies from.
        const GRANTED = 1 << 2;
        /// In a buffer that the receiver lent.
        const POSTED = 1 << 3;
    }
}

impl Ways {
    /// The ways that need no pool.
    pub const WITHOUT_POOL: Self = Self::INLINE.union(Self::GRANTED);
}

/// The length of a packet that may be staged, in bytes; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StagedLength(u16);

impl StagedLength {
    /// Every packet.
    pub const MAX: Self = Self(u16::MAX);

    /// Takes a length of `length` bytes.
    pub const fn new(length: u16) -> Self {
        Self(length)
    }

    /// Returns the number of bytes.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Where one way becomes cheaper than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The longest packet that travels in its message.
    pub inline_max: InlineLength,
    /// The longest packet that travels in slots of a pool, while there are enough.
    pub staged_max: StagedLength,
}

impl Thresholds {
    /// Says whether there is a packet so long that [`choose`] prefers a pool for it to a grant.
    pub const fn stage_any(&self) -> bool {
        let staged_max = self.staged_max.get();
        // CAST: Wider.
        staged_max > self.inline_max.get() && staged_max as u32 >= PacketLength::MIN
    }
}

impl Default for Thresholds {
    /// Up to 256 bytes, copying twice costs less than a grant, a copy hypercall and a FINISH.
    fn default() -> Self {
        Self {
            inline_max: InlineLength::new(256).unwrap_or_default(),
            staged_max: StagedLength::MAX,
        }
    }
}

/// Chooses the way of a packet of `length` bytes.
///
/// Short packets go inline. Others take the first of posted, staged (up to its threshold) and
/// granted that is available, then staged beyond its threshold, and go inline if there is none;
/// one too long for that is granted after all, which takes a copy to pages that may be granted.
#[inline]
pub fn choose(length: PacketLength, thresholds: &Thresholds, available: Ways) -> Way {
    let fits = InlineLength::try_from(length);
    let may_stage = length.get() <= u32::from(thresholds.staged_max.get());
    if fits.is_ok_and(|length| length <= thresholds.inline_max) {
        Way::Inline
    } else if available.contains(Ways::POSTED) {
        Way::Posted
    } else if may_stage && available.contains(Ways::STAGED) {
        Way::Staged
    } else if available.contains(Ways::GRANTED) {
        Way::Granted
    } else if available.contains(Ways::STAGED) {
        Way::Staged
    } else if fits.is_ok() {
        Way::Inline
    } else {
        Way::Granted
    }
}

/// Returns how many of the first bytes of a granted packet travel in its message.
///
/// None: a receiver that copies puts the headers where it wants them in the same operation.
pub fn prefix(_length: PacketLength) -> InlineLength {
    InlineLength::ZERO
}

/// Returns how many pages a packet of `length` bytes takes from the start of a page on, 1 to 16.
pub fn pages_for(length: PacketLength) -> u16 {
    let pages = length.get().div_ceil(u32::from(PAGE_SIZE));
    // At most 16 by the bound of the length.
    u16::try_from(pages).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(length: u32, available: Ways) -> Option<Way> {
        let length = PacketLength::new(length).ok()?;
        Some(choose(length, &Thresholds::default(), available))
    }

    #[test]
    fn short_packets_go_inline() {
        assert_eq!(way(256, Ways::WITHOUT_POOL), Some(Way::Inline));
        assert_eq!(way(257, Ways::WITHOUT_POOL), Some(Way::Granted));
        assert_eq!(way(256, Ways::all()), Some(Way::Inline));
    }

    #[test]
    fn others_go_as_they_may() {
        assert_eq!(way(1514, Ways::all()), Some(Way::Posted));
        assert_eq!(way(1514, Ways::INLINE | Ways::STAGED), Some(Way::Staged));
        let granted = Ways::STAGED | Ways::GRANTED;
        assert_eq!(way(1514, granted), Some(Way::Staged));
        let thresholds = Thresholds {
            staged_max: StagedLength::new(1514),
            ..Thresholds::default()
        };
        for (length, expected) in [(1514, Way::Staged), (1515, Way::Granted)] {
            let length = PacketLength::new(length);
            let way = length.map(|length| choose(length, &thresholds, granted));
            assert_eq!(way, Ok(expected));
        }
        assert_eq!(way(1514, Ways::INLINE), Some(Way::Inline));
        assert_eq!(way(2049, Ways::INLINE), Some(Way::Granted));
    }

    #[test]
    fn a_pool_is_for_packets_that_are_staged() {
        let granted = Ways::WITHOUT_POOL | Ways::STAGED;
        for inline_max in [0, 13, 14, 256, 2048] {
            for staged_max in [0, 1, 13, 14, 15, 255, 256, 257, 2048, 2049, u16::MAX] {
                let thresholds = Thresholds {
                    inline_max: InlineLength::new(inline_max).unwrap_or_default(),
                    staged_max: StagedLength::new(staged_max),
                };
                let stages = (PacketLength::MIN..=PacketLength::MAX).any(|length| {
                    PacketLength::new(length)
                        .is_ok_and(|length| choose(length, &thresholds, granted) == Way::Staged)
                });
                assert_eq!(thresholds.stage_any(), stages, "{thresholds:?}");
            }
        }
    }

    #[test]
    fn pages() {
        let pages = |length| PacketLength::new(length).map(pages_for);
        assert_eq!(pages(14), Ok(1));
        assert_eq!(pages(4096), Ok(1));
        assert_eq!(pages(4097), Ok(2));
        assert_eq!(pages(65_535), Ok(16));
    }
}
