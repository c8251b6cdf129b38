// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Producers and consumers that sleep.

use loom::{
    sync::{
        Arc,
        Notify as Channel, //
    },
    thread, //
};
use netchannel2_core::{
    ring::{
        Consumer,
        Producer,
        Rearm,
        Reserve,
        Space, //
    },
    wire::{
        Features,
        MessageSize, //
    },
};

use crate::memory::{
    receive,
    receive_all,
    send,
    Ring, //
};

/// The producer sends messages one by one; the consumer sleeps whenever it has found none.
#[test]
fn a_consumer_that_sleeps_is_woken() {
    const MESSAGES: u8 = 2;
    loom::model(|| {
        let ring = Ring::new(8);
        let channel = Arc::new(Channel::new());
        let mut consumer = Consumer::new(ring.clone(), Features::empty());
        let producing = thread::spawn({
            let channel = channel.clone();
            move || {
                let mut producer = Producer::new(ring);
                for number in 0..MESSAGES {
                    assert!(send(&mut producer, 64, number));
                    if producer.publish().is_needed() {
                        channel.notify();
                    }
                }
            }
        });
        receive_all(&mut consumer, &channel, MESSAGES);
        producing.join().unwrap();
    });
}

/// The ring is full; the producer sleeps until the consumer has made space, and sends two more.
#[test]
fn a_producer_that_sleeps_is_woken() {
    const SIZE: u16 = 1984;
    const FULL: u8 = 8;
    loom::model(|| {
        let ring = Ring::new(256);
        let channel = Arc::new(Channel::new());
        let mut producer = Producer::new(ring.clone());
        for number in 0..FULL {
            assert!(send(&mut producer, SIZE, number));
        }
        let _ = producer.publish();
        let consuming = thread::spawn({
            let (ring, channel) = (ring.clone(), channel.clone());
            move || {
                let mut consumer = Consumer::new(ring, Features::empty());
                for number in 0..FULL {
                    assert!(receive(&mut consumer, number));
                    if number % 3 == 2 || number == FULL - 1 {
                        if consumer.publish().is_needed() {
                            channel.notify();
                        }
                    }
                }
            }
        });
        let size = MessageSize::new(SIZE).unwrap();
        for number in 0..2 {
            while !send(&mut producer, SIZE, FULL + number) {
                let space = producer.arm_space_event(size, Reserve::NONE).unwrap();
                if space == Space::Awaited {
                    channel.wait();
                }
            }
            let _ = producer.publish();
        }
        consuming.join().unwrap();
    });
}

/// Both at once: each side's event may be for data or for space, through one channel each.
#[test]
fn space_is_not_used_before_it_is_given_back() {
    const SIZE: u16 = 1984;
    const FULL: u8 = 8;
    loom::model(|| {
        let ring = Ring::new(256);
        let (to_consumer, to_producer) = (Arc::new(Channel::new()), Arc::new(Channel::new()));
        let mut producer = Producer::new(ring.clone());
        let mut consumer = Consumer::new(ring, Features::empty());
        for number in 0..FULL {
            assert!(send(&mut producer, SIZE, number));
        }
        let _ = producer.publish();
        for number in 0..FULL - 1 {
            assert!(receive(&mut consumer, number));
        }
        let consuming = thread::spawn({
            let (to_consumer, to_producer) = (to_consumer.clone(), to_producer.clone());
            move || {
                let mut number = FULL - 1;
                while number < FULL + 1 {
                    if receive(&mut consumer, number) {
                        number += 1;
                        continue;
                    }
                    if consumer.publish().is_needed() {
                        to_producer.notify();
                    }
                    if consumer.arm().unwrap() == Rearm::Idle {
                        to_consumer.wait();
                    }
                }
            }
        });
        let size = MessageSize::new(SIZE).unwrap();
        while !send(&mut producer, SIZE, FULL) {
            let space = producer.arm_space_event(size, Reserve::NONE).unwrap();
            if space == Space::Awaited {
                to_producer.wait();
            }
        }
        if producer.publish().is_needed() {
            to_consumer.notify();
        }
        consuming.join().unwrap();
    });
}
