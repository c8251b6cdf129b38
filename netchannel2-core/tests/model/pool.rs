// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The own pool against lists of numbers, with a peer that answers and consumes when it likes.

use std::collections::{
    BTreeSet,
    VecDeque, //
};

use netchannel2_core::{
    pool::{
        ChunkCount,
        ChunkIndex,
        Notice,
        OwnPool,
        PoolSlot,
        SlotEntry,
        CHUNK_PAGES, //
    },
    units::{
        Bytes,
        RingIndex, //
    },
    wire::PoolAnswer, //
};
use proptest::prelude::*;

const CHUNKS: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Send(u16),
    Cancel(u16),
    /// The peer consumes so many of the messages in the ring.
    Consume(usize),
    /// The driver does what there is to do: pages, messages.
    Tend,
    /// The peer answers one message, with a refusal or without.
    Answer(bool),
    GiveBack(u8),
    Shrink,
    Relieve,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..=18_u16).prop_map(Step::Send),
        1 => (1..=18_u16).prop_map(Step::Cancel),
        3 => (0..6_usize).prop_map(Step::Consume),
        4 => Just(Step::Tend),
        4 => prop::bool::weighted(0.1).prop_map(Step::Answer),
        1 => (0..CHUNKS).prop_map(Step::GiveBack),
        1 => Just(Step::Shrink),
        1 => Just(Step::Relieve),
    ]
}

#[derive(Default)]
struct Model {
    /// Messages that the peer has not consumed: where they end and which slots they name.
    ring: VecDeque<(RingIndex, Vec<PoolSlot>)>,
    produced: RingIndex,
    consumed: RingIndex,
    /// What the peer has not answered.
    asked: VecDeque<Notice>,
    /// The chunks that the peer has mapped.
    mapped: BTreeSet<u8>,
    /// The chunks that have pages.
    pages: BTreeSet<u8>,
}

type Pool = OwnPool<Vec<SlotEntry>>;

impl Model {
    fn send(&mut self, pool: &mut Pool, count: u16) {
        pool.reap(self.consumed, self.produced);
        if pool.take(count).is_none() {
            return;
        }
        let slots: Vec<_> = pool.taken().collect();
        assert_eq!(slots.len(), usize::from(count));
        let in_use: Vec<_> = self
            .ring
            .iter()
            .flat_map(|(_, slots)| slots)
            .copied()
            .collect();
        for slot in &slots {
            assert!(
                self.mapped.contains(&slot.chunk().get()),
                "{slot} is not mapped"
            );
            assert!(!in_use.contains(slot), "{slot} is in a message");
        }
        assert_eq!(
            slots
                .iter()
                .map(|slot| slot.get())
                .collect::<BTreeSet<_>>()
                .len(),
            slots.len()
        );
        self.produced = self.produced.advance(Bytes::new(40));
        pool.commit(self.produced);
        self.ring.push_back((self.produced, slots));
    }

    fn consume(&mut self, count: usize) {
        for (end, _) in self.ring.drain(..count.min(self.ring.len())) {
            self.consumed = end;
        }
    }

    fn tend(&mut self, pool: &mut Pool) {
        pool.reap(self.consumed, self.produced);
        if let Some(chunk) = pool.grow() {
            assert!(self.pages.insert(chunk.get()), "{chunk} has pages already");
            pool.prepared(chunk);
        }
        while let Some(chunk) = pool.next_withdrawn() {
            assert!(self.pages.remove(&chunk.get()), "{chunk} has no pages");
            assert!(
                !self.mapped.contains(&chunk.get()),
                "{chunk} is mapped still"
            );
            pool.gone(chunk);
        }
        while let Some(notice) = pool.next_notice() {
            if let Notice::Drop(chunk) = notice {
                // Nothing in the ring names it.
                for (_, slots) in &self.ring {
                    assert!(slots.iter().all(|slot| slot.chunk() != chunk));
                }
            }
            self.asked.push_back(notice);
            pool.told(notice);
        }
    }

    fn answer(&mut self, pool: &mut Pool, refuse: bool) {
        let (chunk, answer) = match self.asked.pop_front() {
            None => return,
            Some(Notice::Add(chunk)) if refuse => (chunk, PoolAnswer::Refused),
            Some(Notice::Add(chunk)) => {
                self.mapped.insert(chunk.get());
                (chunk, PoolAnswer::Mapped)
            }
            Some(Notice::Drop(chunk)) => {
                self.mapped.remove(&chunk.get());
                (chunk, PoolAnswer::Dropped)
            }
        };
        pool.on_answer(chunk, answer).unwrap();
    }
}

proptest! {
    #![proptest_config(crate::cases(600))]

    #[test]
    fn slots_are_free_or_in_messages(steps in prop::collection::vec(step(), 0..200)) {
        let places = vec![SlotEntry::default(); usize::from(CHUNK_PAGES) * usize::from(CHUNKS)];
        let mut pool = Pool::new(places, ChunkCount::MAX);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Send(count) => model.send(&mut pool, count),
                Step::Cancel(count) => {
                    let free = pool.free();
                    let _ = pool.take(count);
                    pool.cancel();
                    prop_assert_eq!(pool.free(), free);
                }
                Step::Consume(count) => model.consume(count),
                Step::Tend => model.tend(&mut pool),
                Step::Answer(refuse) => model.answer(&mut pool, refuse),
                Step::GiveBack(chunk) => {
                    let is_mapped = model.mapped.contains(&chunk);
                    let chunk = ChunkIndex::new(chunk).unwrap();
                    let result = pool.on_answer(chunk, PoolAnswer::GiveBack);
                    prop_assert_eq!(result.is_ok(), is_mapped);
                }
                Step::Shrink => pool.shrink(),
                Step::Relieve => {
                    let (mapped, free) = (pool.mapped(), pool.free());
                    let given = pool.relieve();
                    prop_assert_eq!(pool.mapped(), mapped - given);
                    prop_assert!(u16::from(given) * CHUNK_PAGES <= free);
                }
            }
            pool.reap(model.consumed, model.produced);
            let named: usize = model.ring.iter().map(|(_, slots)| slots.len()).sum();
            prop_assert_eq!(usize::from(pool.sent()), named);
        }
        // At rest nothing is lost: every slot of a chunk in use is free.
        model.consume(usize::MAX);
        for _ in 0..8 {
            model.tend(&mut pool);
            while !model.asked.is_empty() {
                model.answer(&mut pool, false);
            }
        }
        prop_assert_eq!(pool.sent(), 0);
        prop_assert_eq!(pool.free(), u16::from(pool.mapped()) * CHUNK_PAGES);
        prop_assert_eq!(usize::from(pool.mapped()), model.mapped.len());
        prop_assert_eq!(&model.pages, &model.mapped);
    }
}

#[test]
fn answers_that_were_not_asked_for_are_refused() {
    let mut pool = Pool::new(vec![SlotEntry::default(); 64], ChunkCount::MAX);
    let chunk = ChunkIndex::new(0).unwrap();
    let all = [
        PoolAnswer::Mapped,
        PoolAnswer::Refused,
        PoolAnswer::Dropped,
        PoolAnswer::GiveBack,
    ];
    for answer in all {
        assert!(pool.on_answer(chunk, answer).is_err());
    }
    assert_eq!(pool.grow(), Some(chunk));
    pool.prepared(chunk);
    for answer in all {
        assert!(pool.on_answer(chunk, answer).is_err());
    }
    let notice = pool.next_notice().unwrap();
    pool.told(notice);
    for answer in [PoolAnswer::Dropped, PoolAnswer::GiveBack] {
        assert!(pool.on_answer(chunk, answer).is_err());
    }
    assert!(pool.on_answer(chunk, PoolAnswer::Mapped).is_ok());
    assert!(pool.on_answer(chunk, PoolAnswer::Mapped).is_err());
}

#[test]
fn an_idle_chunk_is_given_up() {
    let mut pool = Pool::new(vec![SlotEntry::default(); 96], ChunkCount::MAX);
    let mut model = Model::default();
    for _ in 0..2 {
        let _ = pool.take(CHUNK_PAGES + 1);
        model.tend(&mut pool);
        model.answer(&mut pool, false);
    }
    assert_eq!(pool.mapped(), 2);
    // The first look starts the count, the second finds a chunk that was not needed.
    pool.shrink();
    assert_eq!(pool.take(CHUNK_PAGES + 1), Some(()));
    pool.cancel();
    pool.shrink();
    assert_eq!(pool.mapped(), 2);
    pool.shrink();
    assert_eq!(pool.mapped(), 1);
    pool.shrink();
    assert_eq!(pool.mapped(), 1, "the last one stays");
}

#[test]
fn a_chunk_that_is_given_up_is_not_wanted_back() {
    let mut pool = Pool::new(vec![SlotEntry::default(); 64], ChunkCount::MAX);
    let mut model = Model::default();
    for _ in 0..2 {
        let _ = pool.take(CHUNK_PAGES + 1);
        model.tend(&mut pool);
        model.answer(&mut pool, false);
    }
    // As large as it may be, and too small once.
    assert_eq!(pool.take(2 * CHUNK_PAGES + 1), None);
    pool.shrink();
    pool.shrink();
    for _ in 0..3 {
        model.tend(&mut pool);
        model.answer(&mut pool, false);
    }
    assert_eq!((pool.mapped(), model.pages.len()), (1, 1));
    assert_eq!(pool.grow(), None);
    assert_eq!(pool.take(CHUNK_PAGES + 1), None);
    assert!(pool.grow().is_some(), "but when it is needed it is");
}

#[test]
fn all_idle_chunks_are_given_up_where_memory_is_short() {
    let mut pool = Pool::new(vec![SlotEntry::default(); 96], ChunkCount::MAX);
    let mut model = Model::default();
    for _ in 0..3 {
        let _ = pool.take(3 * CHUNK_PAGES);
        pool.cancel();
        model.tend(&mut pool);
        model.answer(&mut pool, false);
    }
    assert_eq!(pool.mapped(), 3);
    assert_eq!(pool.relieve(), 0, "they are new");
    pool.shrink();
    // A packet needs one chunk, and one page of the next.
    assert_eq!(pool.take(CHUNK_PAGES + 1), Some(()));
    pool.cancel();
    assert_eq!(pool.relieve(), 1);
    model.tend(&mut pool);
    model.answer(&mut pool, false);
    model.tend(&mut pool);
    assert_eq!(pool.mapped(), 2);
    assert_eq!(pool.relieve(), 2, "the last one too");
    assert_eq!(pool.free(), 0);
}
