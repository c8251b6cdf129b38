// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is known of the peer's pool.

use super::{
    ChunkIndex,
    PoolSlot,
    MAX_CHUNKS, //
};
use crate::{
    error::Violation,
    wire::Kind, //
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer has no such chunk.
    Absent,
    /// The peer has offered it, and this side has not answered.
    Offered,
    /// Packets may name its slots.
    Mapped,
    /// The peer is done with it, and this side has not answered.
    Dropped,
}

/// The chunks of the peer's pool, by what was said of them.
#[derive(Debug)]
pub struct Borrowed {
    chunks: [State; MAX_CHUNKS as usize],
}

impl Borrowed {
    /// Knows of no chunk.
    pub const fn new() -> Self {
        Self {
            chunks: [State::Absent; MAX_CHUNKS as usize],
        }
    }

    /// Takes note that the peer offers `chunk`.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PoolState`] if it has the chunk already.
    pub fn on_add(&mut self, chunk: ChunkIndex) -> Result<(), Violation> {
        self.go(chunk, State::Absent, State::Offered, Kind::PoolAdd)
    }

    /// Takes note that the peer does not use `chunk` any more.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PoolState`] unless this side has said that it is mapped.
    pub fn on_drop(&mut self, chunk: ChunkIndex) -> Result<(), Violation> {
        self.go(chunk, State::Mapped, State::Dropped, Kind::PoolDrop)
    }

    /// Checks a slot that a packet names.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PoolSlot`] if its chunk is not mapped.
    #[inline]
    pub fn check(&self, slot: PoolSlot) -> Result<(), Violation> {
        match self.state(slot.chunk()) {
            State::Mapped => Ok(()),
            _ => Err(Violation::PoolSlot(slot)),
        }
    }

    /// Says that this side has mapped `chunk`, before the answer goes out.
    pub fn mapped(&mut self, chunk: ChunkIndex) {
        self.answered(chunk, State::Offered, State::Mapped);
    }

    /// Says that this side will not map `chunk`, before the answer goes out.
    pub fn refused(&mut self, chunk: ChunkIndex) {
        self.answered(chunk, State::Offered, State::Absent);
    }

    /// Says that this side has unmapped `chunk`, before the answer goes out.
    pub fn dropped(&mut self, chunk: ChunkIndex) {
        self.answered(chunk, State::Dropped, State::Absent);
    }

    /// Says whether packets may name slots of `chunk`.
    pub fn is_mapped(&self, chunk: ChunkIndex) -> bool {
        self.state(chunk) == State::Mapped
    }

    #[inline]
    fn state(&self, chunk: ChunkIndex) -> State {
        // In bounds by the invariant of the index.
        self.chunks
            .get(chunk.as_usize())
            .copied()
            .unwrap_or(State::Absent)
    }

    fn go(
        &mut self,
        chunk: ChunkIndex,
        from: State,
        to: State,
        kind: Kind,
    ) -> Result<(), Violation> {
        match self.chunks.get_mut(chunk.as_usize()) {
            Some(state) if *state == from => {
                *state = to;
                Ok(())
            }
            _ => Err(Violation::PoolState {
                kind: kind.to_wire(),
                chunk: chunk.get(),
            }),
        }
    }

    /// A mistake of this side changes nothing.
    fn answered(&mut self, chunk: ChunkIndex, from: State, to: State) {
        if let Some(state) = self.chunks.get_mut(chunk.as_usize()) {
            if *state == from {
                *state = to;
            }
        }
    }
}

impl Default for Borrowed {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkIndex = match ChunkIndex::new(3) {
        Some(chunk) => chunk,
        None => panic!(),
    };

    #[test]
    fn a_chunk_comes_and_goes() {
        let mut pool = Borrowed::new();
        let slot = CHUNK.slots().next().unwrap_or(PoolSlot::FIRST);
        let state = |kind: Kind| {
            Err(Violation::PoolState {
                kind: kind.to_wire(),
                chunk: 3,
            })
        };
        for _ in 0..2 {
            assert_eq!(pool.on_drop(CHUNK), state(Kind::PoolDrop));
            assert_eq!(pool.check(slot), Err(Violation::PoolSlot(slot)));
            assert_eq!(pool.on_add(CHUNK), Ok(()));
            assert_eq!(pool.on_add(CHUNK), state(Kind::PoolAdd));
            assert_eq!(pool.on_drop(CHUNK), state(Kind::PoolDrop));
            assert_eq!(pool.check(slot), Err(Violation::PoolSlot(slot)));
            pool.mapped(CHUNK);
            assert_eq!(pool.check(slot), Ok(()));
            assert_eq!(pool.on_drop(CHUNK), Ok(()));
            assert_eq!(pool.check(slot), Err(Violation::PoolSlot(slot)));
            pool.dropped(CHUNK);
        }
        assert_eq!(pool.on_add(CHUNK), Ok(()));
        pool.refused(CHUNK);
        assert_eq!(pool.on_add(CHUNK), Ok(()));
    }
}
