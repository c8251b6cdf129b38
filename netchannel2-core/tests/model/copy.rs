// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Copy plans against copying byte by byte.

use std::collections::HashMap;

use netchannel2_core::{
    grant::{
        copy::{
            plan,
            DestSegment,
            PlanError, //
        },
        Fragment, //
    },
    units::{
        FragmentLength,
        PageOffset, //
    },
};
use proptest::prelude::*;

use crate::packets;

/// The byte at `offset` of the peer's page `reference`.
fn source_byte(reference: u32, offset: usize) -> u8 {
    (reference.wrapping_mul(31) as usize + offset * 7 + (offset >> 8)) as u8
}

fn segment() -> impl Strategy<Value = (u16, u16)> {
    (1..=4096_u16).prop_flat_map(|room| (0..=4096 - room, Just(room)))
}

fn segments(layout: &[(u16, u16)]) -> Vec<DestSegment<usize>> {
    let of = |(frame, (offset, room)): (usize, &(u16, u16))| {
        let offset = PageOffset::new(*offset).unwrap();
        DestSegment::new(frame, offset, FragmentLength::new(*room).unwrap()).unwrap()
    };
    layout.iter().enumerate().map(of).collect()
}

proptest! {
    #![proptest_config(crate::cases(1000))]

    #[test]
    fn copies_what_a_loop_over_bytes_copies(
        source in prop::collection::vec(packets::fragment(4096), 0..=18),
        dest in prop::collection::vec(segment(), 0..30),
    ) {
        let wanted: Vec<u8> = source.iter().flat_map(|fragment: &Fragment| {
            let start = usize::from(fragment.offset().get());
            let reference = fragment.reference().get();
            (start..start + usize::from(fragment.length().get()))
                .map(move |at| source_byte(reference, at))
        }).collect();
        let places: Vec<(usize, usize)> = dest.iter().enumerate().flat_map(|(frame, place)| {
            let start = usize::from(place.0);
            (start..start + usize::from(place.1)).map(move |at| (frame, at))
        }).collect();

        let mut copied = HashMap::new();
        let mut operations = 0;
        let result = plan(&source, segments(&dest), |op| {
            operations += 1;
            for at in 0..usize::from(op.length.get()) {
                let from = usize::from(op.source_offset.get()) + at;
                let to = usize::from(op.dest_offset.get()) + at;
                assert!(from < 4096 && to < 4096);
                let byte = source_byte(op.source.get(), from);
                assert_eq!(copied.insert((op.dest, to), byte), None);
            }
            Ok::<(), ()>(())
        });

        prop_assert!(operations <= source.len() + dest.len());
        if places.len() < wanted.len() {
            prop_assert_eq!(result, Err(PlanError::DestTooShort));
        } else {
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(copied.len(), wanted.len());
            for (place, byte) in places.iter().zip(&wanted) {
                prop_assert_eq!(copied.get(place), Some(byte));
            }
        }
    }
}

#[test]
fn an_error_of_the_taker_stops_the_plan() {
    let dest = [DestSegment::page(0)];
    let whole = FragmentLength::PAGE;
    let reference = netchannel2_core::grant::GrantRef::FIRST;
    let source = Fragment::new(reference, PageOffset::ZERO, whole).unwrap();
    let result = plan(&[source], dest, |_| Err("full"));
    assert_eq!(result, Err(PlanError::Emit("full")));
}
