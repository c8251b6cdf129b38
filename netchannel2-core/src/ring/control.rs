// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The control page: where the words of both rings of a queue lie.
//!
//! Each side's words share a cache line that only this side writes, and the two lines are 128
//! bytes apart, since processors fetch lines in pairs.

/// The direction of a ring, seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the frontend to the backend.
    Tx,
    /// From the backend to the frontend.
    Rx,
}

/// A word of one ring, free-running and in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexWord {
    /// How far the producer has produced; the producer writes it.
    Prod,
    /// Which value of `Prod` the consumer wants to hear of; the consumer writes it.
    ProdEvent,
    /// How far the consumer has consumed; the consumer writes it.
    Cons,
    /// Which value of `Cons` the producer wants to hear of; the producer writes it.
    ConsEvent,
}

impl IndexWord {
    /// All words of a ring.
    pub const ALL: [Self; 4] = [Self::Prod, Self::ProdEvent, Self::Cons, Self::ConsEvent];
}

/// Locates a 32-bit word of a control page, in bytes from its start.
///
/// # Invariants
///
/// Is a multiple of 4 below 144.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlOffset(u8);

impl ControlOffset {
    /// Returns the offset in bytes.
    pub const fn get(self) -> u16 {
        // CAST: Lossless; `From` is not const.
        self.0 as u16
    }

    /// Returns the offset in bytes as an index.
    pub const fn as_usize(self) -> usize {
        // CAST: Lossless; `From` is not const.
        self.0 as usize
    }
}

const FRONTEND: u8 = 0;
const BACKEND: u8 = 128;

/// Locates `word` of the ring of the given direction.
#[inline]
pub const fn offset(direction: Direction, word: IndexWord) -> ControlOffset {
    let (producer, consumer) = match direction {
        Direction::Tx => (FRONTEND, BACKEND),
        Direction::Rx => (BACKEND, FRONTEND),
    };
    // INVARIANT: Each is one of two blocks plus a multiple of 4 below 16.
    ControlOffset(match word {
        IndexWord::Prod => producer,
        IndexWord::ConsEvent => producer + 4,
        IndexWord::Cons => consumer + 8,
        IndexWord::ProdEvent => consumer + 12,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_where_the_protocol_says() {
        let tx = IndexWord::ALL.map(|word| offset(Direction::Tx, word).get());
        let rx = IndexWord::ALL.map(|word| offset(Direction::Rx, word).get());
        assert_eq!(tx, [0, 140, 136, 4]);
        assert_eq!(rx, [128, 12, 8, 132]);
    }
}
