// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which chunk makes room.

use super::{
    Tenancy,
    Ticks, //
};
use crate::pool::ChunkIndex;

/// What a guest has of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many chunks, without those that were asked back.
    pub share: u32,
    /// The chunk that was not used for longest, and how many ticks ago it was used.
    pub oldest: Option<(ChunkIndex, Ticks)>,
}

impl From<&Tenancy> for Standing {
    fn from(tenancy: &Tenancy) -> Self {
        Self {
            share: tenancy.share(),
            oldest: tenancy.oldest(),
        }
    }
}

/// Whether a guest is the one that wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It wants one.
    Asks,
    /// It may have to give one up.
    Holds,
}

/// Chooses the guest and the chunk of it that makes room for the guest that asks.
///
/// If a chunk is [`Ticks::IDLE`], it is the one that was not used for longest; of equals, one of
/// the guest that has most. There is none if that is a chunk of the guest that asks: it would gain
/// nothing.
///
/// If all are in use, it is the oldest of the guest that has most, and there is none unless that
/// guest has at least two more than the one that asks. So busy guests come to equal shares and rest
/// there, rather than take the same places from each other in turn.
pub fn victim<K: Copy>(
    mut guests: impl Iterator<Item = (K, Claim, Standing)> + Clone,
) -> Option<(K, ChunkIndex)> {
    let holders = guests.clone().filter_map(|(guest, claim, standing)| {
        let (chunk, idle) = standing.oldest?;
        Some((guest, claim, standing.share, chunk, idle))
    });
    let (guest, claim, _, chunk, idle) = holders
        .clone()
        .max_by_key(|(_, claim, share, _, idle)| (*idle, *claim == Claim::Holds, *share))?;
    if idle >= Ticks::IDLE {
        return (claim == Claim::Holds).then_some((guest, chunk));
    }
    let share = guests
        .find(|(_, claim, _)| *claim == Claim::Asks)
        .map_or(0, |(_, _, standing)| standing.share);
    holders
        .filter(|(_, claim, ..)| *claim == Claim::Holds)
        .max_by_key(|(_, _, share, _, idle)| (*share, *idle))
        .filter(|(_, _, most, ..)| *most >= share.saturating_add(2))
        .map(|(guest, _, _, chunk, _)| (guest, chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(name: char, claim: Claim, share: u32, idle: u16) -> (char, Claim, Standing) {
        let oldest = ChunkIndex::new(0).map(|chunk| (chunk, Ticks::new(idle)));
        (
            name,
            claim,
            Standing {
                share,
                oldest: oldest.filter(|_| share > 0),
            },
        )
    }

    fn chosen(guests: &[(char, Claim, Standing)]) -> Option<char> {
        victim(guests.iter().copied()).map(|(name, _)| name)
    }

    #[test]
    fn the_oldest_goes() {
        let asks = guest('a', Claim::Asks, 3, 0);
        let (b, c) = (
            guest('b', Claim::Holds, 1, 7),
            guest('c', Claim::Holds, 9, 6),
        );
        assert_eq!(chosen(&[asks, b, c]), Some('b'));
        assert_eq!(chosen(&[b, c, asks]), Some('b'));
        assert_eq!(chosen(&[asks]), None);
        assert_eq!(chosen(&[guest('a', Claim::Asks, 0, 0)]), None);
    }

    #[test]
    fn of_busy_guests_the_one_with_most_gives() {
        let asks = |share| guest('a', Claim::Asks, share, 0);
        let (b, c) = (
            guest('b', Claim::Holds, 2, 0),
            guest('c', Claim::Holds, 4, 0),
        );
        assert_eq!(chosen(&[asks(0), b, c]), Some('c'));
        assert_eq!(chosen(&[asks(2), b, c]), Some('c'));
        assert_eq!(chosen(&[asks(3), b, c]), None, "nothing would be won");
        assert_eq!(chosen(&[asks(5), b, c]), None);
    }

    #[test]
    fn nobody_gives_for_a_guest_that_has_the_oldest_itself() {
        let (asks, b) = (
            guest('a', Claim::Asks, 2, 5),
            guest('b', Claim::Holds, 2, 4),
        );
        assert_eq!(chosen(&[asks, b]), None);
        let b = guest('b', Claim::Holds, 2, 5);
        assert_eq!(
            chosen(&[asks, b]),
            Some('b'),
            "of equals, not the asker's own"
        );
    }
}
