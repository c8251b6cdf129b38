// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The chunks of one guest.

use super::{
    ChunkSet,
    Ticks, //
};
use crate::pool::{
    ChunkIndex,
    MAX_CHUNKS, //
};

/// What is known of a chunk that is mapped.
#[derive(Clone, Copy, Debug, Default)]
struct Stay {
    /// How many ticks ago it was used last.
    idle: Ticks,
    /// How many ticks ago it was asked back, if it was.
    asked: Option<Ticks>,
}

/// The chunks of one guest that are mapped, by their use.
#[derive(Debug, Default)]
pub struct Tenancy {
    mapped: ChunkSet,
    /// Those that packets were copied out of since the last tick.
    used: ChunkSet,
    stays: [Stay; MAX_CHUNKS as usize],
}

impl Tenancy {
    /// Knows of no chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note that a chunk is mapped.
    pub fn enter(&mut self, chunk: ChunkIndex) {
        self.mapped.insert(chunk);
        // A new chunk has a whole tick to be used in.
        self.used.insert(chunk);
        self.set(chunk, Stay::default());
    }

    /// Takes note that a chunk is not mapped any more.
    pub fn leave(&mut self, chunk: ChunkIndex) {
        self.mapped.remove(chunk);
        self.used.remove(chunk);
    }

    /// Takes note that a packet was copied out of a chunk.
    #[inline]
    pub fn touch(&mut self, chunk: ChunkIndex) {
        self.used.insert(chunk);
    }

    /// Takes note that the guest was asked to give a chunk back.
    pub fn ask(&mut self, chunk: ChunkIndex) {
        let mut stay = self.stay(chunk);
        stay.asked = stay.asked.or(Some(Ticks::ZERO));
        self.set(chunk, stay);
    }

    /// Lets a tick pass.
    pub fn tick(&mut self) {
        for chunk in self.mapped.iter() {
            let stay = self.stay(chunk);
            let idle = match self.used.contains(chunk) {
                true => Ticks::ONE,
                false => stay.idle.next(),
            };
            let asked = stay.asked.map(Ticks::next);
            self.set(chunk, Stay { idle, asked });
        }
        self.used = ChunkSet::EMPTY;
    }

    /// Returns the chunk that was not used for longest, of those that were not asked back, and how
    /// many ticks ago it was used.
    pub fn oldest(&self) -> Option<(ChunkIndex, Ticks)> {
        // The last of equals, as the guest takes the first ones first.
        self.kept()
            .map(|chunk| (chunk, self.idle(chunk)))
            .max_by_key(|(_, idle)| *idle)
    }

    /// Returns the chunks that are [`Ticks::IDLE`], and were not asked back.
    pub fn idle_ones(&self) -> ChunkSet {
        let mut idle = ChunkSet::EMPTY;
        for chunk in self.kept() {
            if self.idle(chunk) >= Ticks::IDLE {
                idle.insert(chunk);
            }
        }
        idle
    }

    /// Returns the chunks that are mapped, asked back or not.
    pub fn mapped(&self) -> ChunkSet {
        self.mapped
    }

    /// Returns the chunks that were not asked back.
    pub fn not_asked(&self) -> ChunkSet {
        let mut kept = ChunkSet::EMPTY;
        for chunk in self.kept() {
            kept.insert(chunk);
        }
        kept
    }

    /// Returns a chunk that was asked back `patience` ticks ago or more.
    pub fn overdue(&self, patience: Ticks) -> Option<ChunkIndex> {
        self.mapped.iter().find(|chunk| {
            self.stay(*chunk)
                .asked
                .is_some_and(|since| since >= patience)
        })
    }

    /// Returns how many chunks are mapped and were not asked back: what the guest has of the cache.
    pub fn share(&self) -> u32 {
        self.not_asked().count()
    }

    /// Those that were not asked back.
    fn kept(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        self.mapped
            .iter()
            .filter(|chunk| self.stay(*chunk).asked.is_none())
    }

    fn idle(&self, chunk: ChunkIndex) -> Ticks {
        match self.used.contains(chunk) {
            true => Ticks::ZERO,
            false => self.stay(chunk).idle,
        }
    }

    fn stay(&self, chunk: ChunkIndex) -> Stay {
        // In bounds by the invariant of the index.
        self.stays
            .get(chunk.as_usize())
            .copied()
            .unwrap_or_default()
    }

    fn set(&mut self, chunk: ChunkIndex, stay: Stay) {
        if let Some(place) = self.stays.get_mut(chunk.as_usize()) {
            *place = stay;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn chunk(index: u8) -> ChunkIndex {
        match ChunkIndex::new(index) {
            Some(chunk) => chunk,
            None => panic!(),
        }
    }

    #[test]
    fn a_chunk_that_is_not_used_grows_old() {
        let mut tenancy = Tenancy::new();
        tenancy.enter(chunk(1));
        tenancy.enter(chunk(4));
        tenancy.tick();
        assert_eq!(tenancy.idle_ones(), ChunkSet::EMPTY, "they are new");
        tenancy.touch(chunk(4));
        tenancy.tick();
        assert_eq!(tenancy.idle_ones().iter().last(), Some(chunk(1)));
        tenancy.tick();
        assert_eq!(tenancy.oldest(), Some((chunk(1), Ticks::new(3))));
        tenancy.touch(chunk(1));
        assert_eq!(
            tenancy.oldest(),
            Some((chunk(4), Ticks::IDLE)),
            "a use counts at once"
        );
        tenancy.leave(chunk(4));
        assert_eq!(tenancy.oldest(), Some((chunk(1), Ticks::ZERO)));
        tenancy.leave(chunk(1));
        assert_eq!(tenancy.oldest(), None);
    }

    #[test]
    fn a_chunk_is_asked_back_once() {
        let mut tenancy = Tenancy::new();
        tenancy.enter(chunk(0));
        tenancy.enter(chunk(2));
        tenancy.ask(chunk(2));
        assert_eq!(tenancy.share(), 1);
        for _ in 0..3 {
            tenancy.tick();
        }
        tenancy.ask(chunk(2));
        assert_eq!(
            tenancy.oldest().map(|(chunk, _)| chunk.get()),
            Some(0),
            "one that was asked back is not asked again"
        );
        assert_eq!(tenancy.overdue(Ticks::new(4)), None);
        assert_eq!(tenancy.overdue(Ticks::new(3)), Some(chunk(2)));
        tenancy.leave(chunk(2));
        assert_eq!(tenancy.overdue(Ticks::ZERO), None);
        tenancy.enter(chunk(2));
        assert_eq!(tenancy.overdue(Ticks::ZERO), None, "it is another stay");
    }
}
