// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Offer and answer through a xenstore that is a map.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, //
};

use netchannel2_core::{
    error::{
        AccessError,
        HandshakeError, //
    },
    grant::GrantRef,
    handshake::{
        Answer,
        KeyName,
        Negotiated,
        Offer,
        QueueEndpoint,
        RingRefs,
        Store, //
    },
    units::{
        EventPort,
        QueueCount,
        RingOrder,
        Version, //
    },
    wire::Features,
};
use proptest::prelude::*;

#[derive(Clone, Debug, Default, PartialEq)]
struct Map(BTreeMap<String, Vec<u8>>);

impl Map {
    fn set(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.0.insert(key.to_owned(), value.as_ref().to_vec());
    }
}

impl Store for Map {
    type Error = Infallible;

    fn read<'b>(
        &self,
        key: &KeyName,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Infallible> {
        Ok(self.0.get(key.as_str()).map(|value| {
            let length = value.len().min(buffer.len());
            buffer[..length].copy_from_slice(&value[..length]);
            &buffer[..length]
        }))
    }

    fn write(&mut self, key: &KeyName, value: fmt::Arguments<'_>) -> Result<(), Infallible> {
        self.set(key.as_str(), value.to_string());
        Ok(())
    }

    fn remove(&mut self, key: &KeyName) -> Result<(), Infallible> {
        self.0.remove(key.as_str());
        Ok(())
    }
}

fn refs(first: u32, order: RingOrder) -> RingRefs {
    let pages: Vec<_> = (0..order.pages() as u32)
        .filter_map(|page| GrantRef::new(first + page))
        .collect();
    RingRefs::new(order, &pages).unwrap()
}

fn answer(negotiated: Negotiated) -> Answer {
    Answer {
        negotiated,
        queues: [QueueEndpoint {
            control: GrantRef::new(8).unwrap(),
            tx: refs(100, negotiated.order),
            rx: refs(200, negotiated.order),
            port: EventPort::new(17).unwrap(),
        }],
    }
}

fn answered(offer: &Offer) -> Map {
    let mut store = Map::default();
    let negotiated = offer.answer(&Offer::full()).unwrap();
    let Ok(()) = answer(negotiated).write_to(&mut store);
    store
}

fn order() -> impl Strategy<Value = RingOrder> {
    (2..=4_u8).prop_filter_map("in bounds", RingOrder::new)
}

proptest! {
    #![proptest_config(crate::cases(500))]

    #[test]
    fn an_offer_comes_through(
        versions in (0..5_u32, 0..5_u32),
        queues in 1..=u16::MAX,
        order in order(),
        features in any::<u32>(),
    ) {
        let offer = Offer {
            min_version: Version::new(versions.0),
            max_version: Version::new(versions.1),
            max_queues: QueueCount::new(queues).unwrap(),
            max_order: order,
            features: Features::from_bits_truncate(features),
        };
        let mut store = Map::default();
        let Ok(()) = offer.write_to(&mut store);
        prop_assert_eq!(Offer::read_from(&store), Ok(Some(offer)));
        let Ok(()) = Offer::remove_from(&mut store);
        prop_assert_eq!(&store, &Map::default());
        prop_assert_eq!(Offer::read_from(&store), Ok(None));

        let speaks_one = versions.0 <= 1 && versions.1 >= 1;
        match offer.answer(&Offer::full()) {
            Ok(negotiated) => {
                prop_assert!(speaks_one);
                prop_assert_eq!(negotiated.version, Version::ONE);
                prop_assert_eq!(negotiated.order, order);
                prop_assert_eq!(negotiated.features, offer.features);
                let answer = answer(negotiated);
                let Ok(()) = answer.write_to(&mut store);
                prop_assert_eq!(Answer::read_from(&store, &offer), Ok(answer));
                let Ok(()) = Answer::remove_from(&mut store);
                prop_assert_eq!(&store, &Map::default());
            }
            Err(error) => {
                prop_assert!(!speaks_one);
                let (min, max) = versions;
                prop_assert_eq!(error, HandshakeError::NoCommonVersion { min, max });
            }
        }
    }

    #[test]
    fn no_value_breaks_the_reader(
        which in any::<prop::sample::Index>(),
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        ],
    ) {
        let offer = Offer::full();
        let mut store = answered(&offer);
        let Ok(()) = offer.write_to(&mut store);
        let keys: Vec<_> = store.0.keys().cloned().collect();
        store.set(which.get(&keys).as_str(), value);
        if let Err(error) = Offer::read_from(&store) {
            prop_assert!(!error.to_string().is_empty());
        }
        match Answer::read_from(&store, &offer) {
            Ok(answer) => {
                let queue = answer.queues[0];
                let mut all = vec![queue.control];
                all.extend(queue.tx.as_slice());
                all.extend(queue.rx.as_slice());
                let count = all.len();
                all.sort();
                all.dedup();
                prop_assert_eq!(all.len(), count);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// Changes one key of a good answer and returns what the backend says of it.
fn complaint(key: &str, value: Option<&str>) -> String {
    let offer = Offer {
        max_order: RingOrder::MIN,
        features: Features::CSUM,
        ..Offer::full()
    };
    let mut store = answered(&offer);
    match value {
        Some(value) => store.set(key, value),
        None => drop(store.0.remove(key)),
    }
    match Answer::read_from(&store, &offer) {
        Ok(_) => String::new(),
        Err(AccessError::Handshake(error)) => error.to_string(),
        Err(AccessError::Store(never)) => match never {},
    }
}

#[test]
fn complaints_name_key_and_value() {
    let cases = [
        (
            "netchannel2-version",
            Some("2"),
            "netchannel2-version is 2: not in 1..=1",
        ),
        (
            "netchannel2-version",
            None,
            "netchannel2-version is missing",
        ),
        (
            "netchannel2-num-queues",
            Some("0"),
            "netchannel2-num-queues is 0: not in 1..=1",
        ),
        (
            "netchannel2-ring-order",
            Some("3"),
            "netchannel2-ring-order is 3: not in 2..=2",
        ),
        (
            "netchannel2-features",
            Some("0x103"),
            "netchannel2-features has 0x102 (gso-tcpv4 staged): not offered",
        ),
        (
            "netchannel2-features",
            Some("3"),
            "netchannel2-features is \"3\": not a number",
        ),
        (
            "queue-0/tx-ring-ref-3",
            Some("7"),
            "queue-0/tx-ring-ref-3 is 7: not in 8..=4294967295",
        ),
        (
            "queue-0/rx-ring-ref-0",
            Some("103"),
            "queue-0/rx-ring-ref-0 is 103: granted twice in one queue",
        ),
        (
            "queue-0/rx-ring-ref-1",
            None,
            "queue-0/rx-ring-ref-1 is missing",
        ),
        (
            "queue-0/event-channel",
            Some("131072"),
            "queue-0/event-channel is 131072: not in 1..=131071",
        ),
        (
            "queue-0/event-channel",
            Some("17\n"),
            "queue-0/event-channel is \"17?\": not a number",
        ),
        ("queue-0/event-channel", Some("18"), ""),
    ];
    for (key, value, text) in cases {
        assert_eq!(complaint(key, value), text);
    }
}

#[test]
fn an_offer_from_the_future_is_understood() {
    let mut store = Map::default();
    store.set("feature-netchannel2", "7");
    store.set("netchannel2-min-version", "1");
    store.set("netchannel2-max-queues", "100000");
    store.set("netchannel2-max-ring-order", "9");
    store.set("netchannel2-features", "0xffffffff");
    let offer = Offer::read_from(&store).unwrap().unwrap();
    let negotiated = offer.answer(&Offer::full());
    assert_eq!(
        negotiated,
        Ok(Negotiated {
            version: Version::ONE,
            features: Features::all(),
            queues: QueueCount::ONE,
            order: RingOrder::MAX,
        })
    );
}
