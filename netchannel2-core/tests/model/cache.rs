// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The grant cache against a table of times, with guests that offer, use and give back chunks.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use netchannel2_core::{
    cache::{
        victim,
        CacheLimit,
        Claim,
        Places,
        Standing,
        Tenancy,
        Ticks, //
    },
    pool::{
        ChunkIndex,
        CHUNK_PAGES,
        MAX_CHUNKS, //
    },
};
use proptest::prelude::*;

const GUESTS: usize = 4;
const LIMIT: u32 = 6;
const PATIENCE: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A guest offers its first chunk that is not mapped.
    Offer(usize),
    /// A guest sends packets in the n-th of its chunks.
    Use(usize, usize),
    /// A guest gives up the n-th of its chunks, asked or not.
    Drop(usize, usize),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let guest = 0..GUESTS;
    prop_oneof![
        4 => guest.clone().prop_map(Step::Offer),
        6 => (guest.clone(), 0..8_usize).prop_map(|(guest, chunk)| Step::Use(guest, chunk)),
        1 => (guest, 0..8_usize).prop_map(|(guest, chunk)| Step::Drop(guest, chunk)),
        2 => Just(Step::Tick),
    ]
}

/// What the model knows of a chunk.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The number of the tick in which it was used last.
    used: u32,
    asked: Option<u32>,
}

/// The driver, and beside it the table of what is true.
struct World {
    places: Places,
    tenancies: Vec<Tenancy>,
    truth: BTreeMap<(usize, u8), Known>,
    /// Guests that were refused and not admitted since.
    waiting: BTreeSet<usize>,
    now: u32,
    evictions: u32,
}

impl World {
    fn new(limit: u32) -> Self {
        Self {
            places: Places::new(CacheLimit::for_pages(limit * u32::from(CHUNK_PAGES))),
            tenancies: (0..GUESTS).map(|_| Tenancy::new()).collect(),
            truth: BTreeMap::new(),
            waiting: BTreeSet::new(),
            now: 0,
            evictions: 0,
        }
    }

    fn share(&self, guest: usize) -> u32 {
        let kept =
            |((owner, _), known): (&(usize, u8), &Known)| *owner == guest && known.asked.is_none();
        self.truth.iter().filter(|one| kept(*one)).count() as u32
    }

    fn nth(&self, guest: usize, chunk: usize) -> Option<u8> {
        let own: Vec<_> = self
            .truth
            .keys()
            .filter(|(owner, _)| *owner == guest)
            .collect();
        own.get(chunk % own.len().max(1)).map(|(_, chunk)| *chunk)
    }

    fn use_chunk(&mut self, guest: usize, chunk: usize) {
        if let Some(chunk) = self.nth(guest, chunk) {
            self.tenancies[guest].touch(ChunkIndex::new(chunk).unwrap());
            self.truth.get_mut(&(guest, chunk)).unwrap().used = self.now;
        }
    }

    fn drop_chunk(&mut self, guest: usize, chunk: usize) {
        if let Some(chunk) = self.nth(guest, chunk) {
            self.leave(guest, chunk);
        }
    }

    fn leave(&mut self, guest: usize, chunk: u8) {
        self.tenancies[guest].leave(ChunkIndex::new(chunk).unwrap());
        self.places.release();
        self.truth.remove(&(guest, chunk));
    }

    fn tick(&mut self) {
        self.now += 1;
        for guest in 0..GUESTS {
            self.tenancies[guest].tick();
            while let Some(chunk) = self.tenancies[guest].overdue(Ticks::new(PATIENCE)) {
                let known = self.truth[&(guest, chunk.get())];
                assert!(self.now - known.asked.unwrap() >= u32::from(PATIENCE));
                self.leave(guest, chunk.get());
            }
        }
        for known in self.truth.values() {
            assert!(known
                .asked
                .is_none_or(|since| self.now - since < u32::from(PATIENCE)));
        }
    }

    fn offer(&mut self, guest: usize) {
        let Some(chunk) = (0..MAX_CHUNKS).find(|chunk| !self.truth.contains_key(&(guest, *chunk)))
        else {
            return;
        };
        self.waiting.remove(&guest);
        let share = self.share(guest);
        let waiting: Vec<_> = self
            .waiting
            .iter()
            .map(|other| self.share(*other))
            .collect();
        if self.places.take(share, waiting.iter().copied()).is_some() {
            self.tenancies[guest].enter(ChunkIndex::new(chunk).unwrap());
            let known = Known {
                used: self.now,
                asked: None,
            };
            self.truth.insert((guest, chunk), known);
            return;
        }
        self.waiting.insert(guest);
        if self.places.taken() == self.places.limit().chunks() {
            self.make_room(guest);
        }
    }

    fn make_room(&mut self, asker: usize) {
        let guests = self.tenancies.iter().enumerate().map(|(guest, tenancy)| {
            let claim = match guest == asker {
                true => Claim::Asks,
                false => Claim::Holds,
            };
            (guest, claim, Standing::from(tenancy))
        });
        let chosen = victim(guests);
        let kept: Vec<_> = self
            .truth
            .iter()
            .filter(|(_, known)| known.asked.is_none())
            .collect();
        let oldest = kept.iter().map(|(_, known)| known.used).min();
        let most = (0..GUESTS)
            .filter(|guest| *guest != asker)
            .map(|guest| self.share(guest))
            .max()
            .unwrap();
        let share = self.share(asker);
        match chosen {
            Some((guest, chunk)) => {
                let known = self.truth[&(guest, chunk.get())];
                assert_ne!(guest, asker);
                assert_eq!(known.asked, None, "asked twice");
                if oldest.is_some_and(|used| used + 2 <= self.now) {
                    assert_eq!(Some(known.used), oldest, "another was not used for longer");
                } else {
                    let of_guest = |(owner, _): &(usize, u8)| *owner == guest;
                    assert!(self.share(guest) == most && most >= share + 2);
                    assert!(
                        kept.iter()
                            .filter(|(key, _)| of_guest(key))
                            .all(|(_, other)| other.used >= known.used),
                        "the guest has an older one"
                    );
                }
                self.tenancies[guest].ask(chunk);
                self.truth.get_mut(&(guest, chunk.get())).unwrap().asked = Some(self.now);
                self.evictions += 1;
            }
            None => {
                let own_is_oldest = kept
                    .iter()
                    .all(|((guest, _), known)| *guest == asker || Some(known.used) != oldest);
                assert!(
                    match oldest {
                        Some(used) if used + 2 <= self.now => own_is_oldest,
                        _ => most < share + 2,
                    },
                    "one would have been to spare"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(600))]

    #[test]
    fn the_bound_holds_and_the_oldest_goes(steps in prop::collection::vec(step(), 0..250)) {
        let mut world = World::new(LIMIT);
        for step in steps {
            match step {
                Step::Offer(guest) => world.offer(guest),
                Step::Use(guest, chunk) => world.use_chunk(guest, chunk),
                Step::Drop(guest, chunk) => world.drop_chunk(guest, chunk),
                Step::Tick => world.tick(),
            }
            prop_assert!(world.places.taken() <= LIMIT);
            prop_assert_eq!(world.places.taken() as usize, world.truth.len());
            for guest in 0..GUESTS {
                prop_assert_eq!(world.tenancies[guest].share(), world.share(guest));
            }
        }
    }

    /// However unequal they begin: busy guests that want all they can get end with equal shares,
    /// and then leave each other alone.
    #[test]
    fn busy_guests_come_to_equal_shares(limit in 1..40_u32, begin in prop::collection::vec(0..GUESTS, 0..40)) {
        let mut world = World::new(limit);
        for guest in begin {
            world.offer(guest);
        }
        let mut settled = 0;
        for round in 0..60 {
            for guest in 0..GUESTS {
                for chunk in 0..MAX_CHUNKS.into() {
                    world.use_chunk(guest, chunk);
                }
            }
            let before = world.evictions;
            for guest in 0..GUESTS {
                world.offer(guest);
            }
            if round >= 50 {
                settled += world.evictions - before;
            }
            // They give back what they are asked for.
            let asked: Vec<_> = world
                .truth
                .iter()
                .filter(|(_, known)| known.asked.is_some())
                .map(|(key, _)| *key)
                .collect();
            for (guest, chunk) in asked {
                world.leave(guest, chunk);
            }
        }
        let shares: Vec<_> = (0..GUESTS).map(|guest| world.share(guest)).collect();
        let (least, most) = (*shares.iter().min().unwrap(), *shares.iter().max().unwrap());
        prop_assert!(most - least <= 1, "shares are {:?}", shares);
        prop_assert_eq!(settled, 0, "they still take chunks from each other");
    }
}
