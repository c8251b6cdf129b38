// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Credit and the table of outstanding packets against a queue of them.

use std::collections::VecDeque;

use netchannel2_core::{
    credit::{
        Credit,
        Outstanding, //
    },
    error::Violation,
    units::{
        PacketId,
        PacketLength, //
    },
};
use proptest::prelude::*;

use crate::packets;

#[derive(Clone, Debug)]
enum Step {
    Send(u32),
    Finish(usize),
    FinishAnything(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (14..=65_535_u32).prop_map(Step::Send),
        4 => any::<usize>().prop_map(Step::Finish),
        1 => (0..256_u16).prop_map(Step::FinishAnything),
    ]
}

proptest! {
    #![proptest_config(crate::cases(500))]

    #[test]
    fn counts_what_is_outstanding(
        limit in packets::max_packets(),
        steps in prop::collection::vec(step(), 0..600),
    ) {
        let mut credit = Credit::new(limit);
        let mut table = Outstanding::new();
        let mut model: VecDeque<(PacketId, PacketLength)> = VecDeque::new();
        for step in steps {
            let id = match step {
                Step::Send(length) => {
                    let length = PacketLength::new(length).unwrap();
                    let bytes: u64 = model.iter().map(|it| u64::from(it.1.get())).sum();
                    let allowed = model.len() < usize::from(limit.packets().get())
                        && bytes + u64::from(length.get()) <= u64::from(limit.bytes().get());
                    prop_assert_eq!(credit.take(length).is_ok(), allowed);
                    if allowed {
                        let next = table.peek();
                        let id = table.allocate(length);
                        prop_assert!(id.is_some());
                        prop_assert_eq!(next, id);
                        prop_assert!(model.iter().all(|it| Some(it.0) != id));
                        model.extend(id.map(|id| (id, length)));
                    }
                    continue;
                }
                Step::Finish(which) if !model.is_empty() => model[which % model.len()].0,
                Step::Finish(_) => continue,
                Step::FinishAnything(id) => PacketId::new(id).unwrap(),
            };
            let place = model.iter().position(|it| it.0 == id);
            match place.and_then(|place| model.remove(place)) {
                Some((_, length)) => {
                    prop_assert_eq!(table.finish(id), Ok(length));
                    credit.give_back(length);
                }
                None => {
                    prop_assert_eq!(table.finish(id), Err(Violation::FinishUnknown(id.get())));
                }
            }
            prop_assert_eq!(usize::from(table.count()), model.len());
            prop_assert_eq!(usize::from(credit.packets()), model.len());
            prop_assert_eq!(table.oldest(), model.front().map(|it| it.0));
        }
    }
}

#[test]
fn an_id_rests_before_it_is_used_again() {
    let length = PacketLength::new(60).unwrap();
    let mut table = Outstanding::new();
    let first = table.allocate(length).unwrap();
    assert_eq!(table.finish(first), Ok(length));
    for _ in 0..255 {
        let id = table.allocate(length).unwrap();
        assert_ne!(id, first);
        assert_eq!(table.finish(id), Ok(length));
    }
    assert_eq!(table.allocate(length), Some(first));
}
