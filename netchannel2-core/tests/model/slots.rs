// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The slot pool against sets of numbers.

use std::collections::HashSet;

use netchannel2_core::grant::slots::{
    Chain,
    SlotIndex,
    SlotPool, //
};
use proptest::prelude::*;

const SLOTS: usize = 24;

#[derive(Clone, Debug)]
enum Step {
    Take(u16),
    Release(usize),
    Quarantine(usize),
    Restore(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..=10_u16).prop_map(Step::Take),
        3 => any::<usize>().prop_map(Step::Release),
        1 => (0..SLOTS).prop_map(Step::Quarantine),
        1 => (0..SLOTS).prop_map(Step::Restore),
    ]
}

#[derive(Default)]
struct Model {
    free: HashSet<u16>,
    chains: Vec<(Chain, Vec<SlotIndex>)>,
    kept_back: HashSet<u16>,
}

impl Model {
    fn taken(&self) -> HashSet<u16> {
        let slots = self.chains.iter().flat_map(|(_, slots)| slots);
        slots.map(|slot| slot.get()).collect()
    }
}

proptest! {
    #![proptest_config(crate::cases(1000))]

    #[test]
    fn slots_are_in_one_place(steps in prop::collection::vec(step(), 0..80)) {
        let mut pool = SlotPool::<SLOTS>::new();
        let every = pool.take_chain(SLOTS as u16).unwrap();
        let slots: Vec<_> = pool.iter(&every).collect();
        pool.release(every);
        let mut model = Model {
            free: slots.iter().map(|slot| slot.get()).collect(),
            ..Model::default()
        };
        prop_assert_eq!(model.free.len(), SLOTS);

        for step in steps {
            match step {
                Step::Take(count) => match pool.take_chain(count) {
                    Some(chain) => {
                        let slots: Vec<_> = pool.iter(&chain).collect();
                        prop_assert_eq!(slots.len(), usize::from(count));
                        prop_assert_eq!(chain.count(), count);
                        for slot in &slots {
                            prop_assert!(model.free.remove(&slot.get()));
                        }
                        model.chains.push((chain, slots));
                    }
                    None => prop_assert!(usize::from(count) > model.free.len()),
                },
                Step::Release(which) if !model.chains.is_empty() => {
                    let which = which % model.chains.len();
                    let (chain, slots) = model.chains.swap_remove(which);
                    pool.release(chain);
                    let back = slots.iter().map(|slot| slot.get());
                    model.free.extend(back.filter(|slot| !model.kept_back.contains(slot)));
                }
                Step::Release(_) => {}
                Step::Quarantine(slot) => {
                    let slot = slots[slot];
                    pool.quarantine(slot);
                    model.kept_back.insert(slot.get());
                    model.free.remove(&slot.get());
                }
                Step::Restore(slot) => {
                    let slot = slots[slot];
                    pool.restore(slot);
                    if model.kept_back.remove(&slot.get()) && !model.taken().contains(&slot.get()) {
                        model.free.insert(slot.get());
                    }
                }
            }
            let taken = model.taken();
            prop_assert_eq!(usize::from(pool.free()), model.free.len());
            prop_assert_eq!(usize::from(pool.taken()), taken.len());
            let quarantined = model.kept_back.difference(&taken).count();
            prop_assert_eq!(usize::from(pool.quarantined()), quarantined);
        }
    }
}
