// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The peer's pool against a map of states, and both ends of a pool against each other.

use std::collections::{
    BTreeMap,
    VecDeque, //
};

use netchannel2_core::{
    error::Violation,
    pool::{
        Borrowed,
        ChunkCount,
        ChunkIndex,
        Notice,
        OwnPool,
        PoolSlot,
        SlotEntry,
        CHUNK_PAGES,
        MAX_CHUNKS, //
    },
    units::{
        Bytes,
        RingIndex, //
    },
    wire::{
        Kind,
        PoolAnswer, //
    },
};
use proptest::prelude::*;

fn chunk(index: u8) -> ChunkIndex {
    ChunkIndex::new(index).unwrap()
}

/// Where a chunk is that is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offered,
    Mapped,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    /// By the peer.
    Add,
    Drop,
    /// By the driver, whether it is right or not.
    Mapped,
    Refused,
    Dropped,
}

fn told() -> impl Strategy<Value = (u8, Told)> {
    let what = prop_oneof![
        Just(Told::Add),
        Just(Told::Drop),
        Just(Told::Mapped),
        Just(Told::Refused),
        Just(Told::Dropped),
    ];
    (prop_oneof![4 => 0..3_u8, 1 => 0..MAX_CHUNKS], what)
}

proptest! {
    #![proptest_config(crate::cases(600))]

    #[test]
    fn a_chunk_is_in_one_state(steps in prop::collection::vec(told(), 0..100)) {
        let mut pool = Borrowed::new();
        let mut model = BTreeMap::<u8, State>::new();
        for (index, what) in steps {
            let state = model.get(&index).copied();
            let (from, to) = match what {
                Told::Add => (None, Some(State::Offered)),
                Told::Drop => (Some(State::Mapped), Some(State::Dropped)),
                Told::Mapped => (Some(State::Offered), Some(State::Mapped)),
                Told::Refused => (Some(State::Offered), None),
                Told::Dropped => (Some(State::Dropped), None),
            };
            let expected = |kind: Kind| match state == from {
                true => Ok(()),
                false => Err(Violation::PoolState { kind: kind.to_wire(), chunk: index }),
            };
            match what {
                Told::Add => prop_assert_eq!(pool.on_add(chunk(index)), expected(Kind::PoolAdd)),
                Told::Drop => prop_assert_eq!(pool.on_drop(chunk(index)), expected(Kind::PoolDrop)),
                Told::Mapped => pool.mapped(chunk(index)),
                Told::Refused => pool.refused(chunk(index)),
                Told::Dropped => pool.dropped(chunk(index)),
            }
            if state == from {
                match to {
                    Some(state) => model.insert(index, state),
                    None => model.remove(&index),
                };
            }
            for chunk in ChunkIndex::all() {
                let is_mapped = model.get(&chunk.get()) == Some(&State::Mapped);
                prop_assert_eq!(pool.is_mapped(chunk), is_mapped);
                for slot in chunk.slots() {
                    let expected = match is_mapped {
                        true => Ok(()),
                        false => Err(Violation::PoolSlot(slot)),
                    };
                    prop_assert_eq!(pool.check(slot), expected);
                }
            }
        }
    }
}

/// What travels from the owner, in its order.
enum Message {
    Notice(Notice),
    Packet(RingIndex, Vec<PoolSlot>),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The owner sends a packet in so many slots.
    Send(u16),
    /// The owner allocates, frees and tells.
    Tend,
    Shrink,
    /// The peer takes so many messages.
    Take(usize),
    /// The peer gives back the places of what it has taken.
    Publish,
    /// The peer does what it was asked for longest ago, or refuses to.
    Serve(bool),
    /// The peer asks for a chunk that it has mapped.
    GiveBack(u8),
    /// The owner hears so many answers.
    Hear(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..=18_u16).prop_map(Step::Send),
        4 => Just(Step::Tend),
        1 => Just(Step::Shrink),
        4 => (1..8_usize).prop_map(Step::Take),
        3 => Just(Step::Publish),
        4 => prop::bool::weighted(0.1).prop_map(Step::Serve),
        1 => (0..3_u8).prop_map(Step::GiveBack),
        3 => (1..4_usize).prop_map(Step::Hear),
    ]
}

/// Both ends, and what is on its way between them.
struct Both {
    own: OwnPool<Vec<SlotEntry>>,
    borrowed: Borrowed,
    messages: VecDeque<Message>,
    answers: VecDeque<(ChunkIndex, PoolAnswer)>,
    chores: VecDeque<Notice>,
    produced: RingIndex,
    taken: RingIndex,
    consumed: RingIndex,
}

impl Both {
    fn new() -> Self {
        let places = vec![SlotEntry::default(); 3 * usize::from(CHUNK_PAGES)];
        Self {
            own: OwnPool::new(places, ChunkCount::MAX),
            borrowed: Borrowed::new(),
            messages: VecDeque::new(),
            answers: VecDeque::new(),
            chores: VecDeque::new(),
            produced: RingIndex::default(),
            taken: RingIndex::default(),
            consumed: RingIndex::default(),
        }
    }

    fn send(&mut self, count: u16) {
        self.own.reap(self.consumed, self.produced);
        if self.own.take(count).is_none() {
            return;
        }
        let slots = self.own.taken().collect();
        self.produced = self.produced.advance(Bytes::new(40));
        self.own.commit(self.produced);
        self.messages
            .push_back(Message::Packet(self.produced, slots));
    }

    fn tend(&mut self) {
        self.own.reap(self.consumed, self.produced);
        while let Some(chunk) = self.own.next_withdrawn() {
            assert!(!self.borrowed.is_mapped(chunk), "{chunk} is mapped");
            self.own.gone(chunk);
        }
        if let Some(chunk) = self.own.grow() {
            self.own.prepared(chunk);
        }
        while let Some(notice) = self.own.next_notice() {
            self.own.told(notice);
            self.messages.push_back(Message::Notice(notice));
        }
    }

    fn take(&mut self, count: usize) -> Result<(), Violation> {
        for _ in 0..count {
            match self.messages.pop_front() {
                None => break,
                Some(Message::Packet(end, slots)) => {
                    slots
                        .iter()
                        .try_for_each(|slot| self.borrowed.check(*slot))?;
                    self.taken = end;
                }
                Some(Message::Notice(notice)) => {
                    match notice {
                        Notice::Add(chunk) => self.borrowed.on_add(chunk)?,
                        Notice::Drop(chunk) => self.borrowed.on_drop(chunk)?,
                    }
                    self.chores.push_back(notice);
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self, refuse: bool) {
        let answer = match self.chores.pop_front() {
            None => return,
            Some(Notice::Add(chunk)) if refuse => {
                self.borrowed.refused(chunk);
                (chunk, PoolAnswer::Refused)
            }
            Some(Notice::Add(chunk)) => {
                self.borrowed.mapped(chunk);
                (chunk, PoolAnswer::Mapped)
            }
            Some(Notice::Drop(chunk)) => {
                self.borrowed.dropped(chunk);
                (chunk, PoolAnswer::Dropped)
            }
        };
        self.answers.push_back(answer);
    }

    fn hear(&mut self, count: usize) -> Result<(), Violation> {
        for _ in 0..count {
            if let Some((chunk, answer)) = self.answers.pop_front() {
                self.own.on_answer(chunk, answer)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Send(count) => self.send(count),
            Step::Tend => self.tend(),
            Step::Shrink => self.own.shrink(),
            Step::Take(count) => self.take(count)?,
            Step::Publish => self.consumed = self.taken,
            Step::Serve(refuse) => self.serve(refuse),
            // As often as it likes, while it has the chunk mapped.
            Step::GiveBack(index) if self.borrowed.is_mapped(chunk(index)) => {
                self.answers.push_back((chunk(index), PoolAnswer::GiveBack));
            }
            Step::GiveBack(_) => {}
            Step::Hear(count) => self.hear(count)?,
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(crate::cases(1000))]

    /// Whatever crosses what, neither end sees the other break a rule, and nothing is lost.
    #[test]
    fn honest_ends_find_no_fault(steps in prop::collection::vec(step(), 0..300)) {
        let mut both = Both::new();
        for step in steps {
            prop_assert_eq!(both.step(step), Ok(()));
        }
        for _ in 0..16 {
            for step in [Step::Tend, Step::Take(1000), Step::Publish, Step::Hear(1000)] {
                prop_assert_eq!(both.step(step), Ok(()));
            }
            for _ in 0..8 {
                both.serve(false);
            }
        }
        prop_assert_eq!(both.own.sent(), 0);
        prop_assert_eq!(both.own.free(), u16::from(both.own.mapped()) * CHUNK_PAGES);
        let mapped = ChunkIndex::all().filter(|chunk| both.borrowed.is_mapped(*chunk));
        prop_assert_eq!(mapped.count(), usize::from(both.own.mapped()));
    }
}
