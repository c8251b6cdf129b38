// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The index protocol under every interleaving and every reordering that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p netchannel2-core --test loom`. A wake-up that
//! is lost shows as a deadlock; bytes that are read before they are visible, or after their place
//! was given back, show as a wrong message.

#![cfg(loom)]

use std::{
    cell::Cell,
    sync::Mutex, //
};

use loom::{
    sync::{
        atomic::{
            fence,
            AtomicU32,
            Ordering, //
        },
        Arc,
        Notify as Channel, //
    },
    thread, //
};
use netchannel2_core::{
    knobs::Switch,
    moderation::{
        Action,
        Cause,
        Clock,
        Frames,
        Instant,
        Limits,
        Moderator,
        Rule,
        Settings,
        Span,
        Usecs,
        Work, //
    },
    ring::{
        Consumer,
        IndexWord,
        Producer,
        Rearm,
        Reserve,
        SharedRing,
        Space, //
    },
    units::{
        Bytes,
        InlineLength,
        PacketLength,
        RingOffset,
        RingOrder, //
    },
    wire::{
        Features,
        Fragments,
        Message,
        MessageSize,
        Packet,
        PacketMeta,
        Way, //
    },
};

/// How many bytes of the ring share a stamp; every message of these tests starts at a multiple.
const STAMPED: u32 = 64;

/// A ring whose words are loom's.
///
/// The bytes are ordinary ones, of which a reader sees the last written. Beside them lie stamps,
/// which count the writes and are relaxed, so that loom lets a reader see an old one wherever
/// nothing orders it after the writes.
struct Memory {
    words: [AtomicU32; 4],
    stamps: Vec<AtomicU32>,
    bytes: Mutex<(Vec<u8>, Vec<u32>)>,
}

impl Memory {
    fn new(stamps: usize) -> Self {
        let size = RingOrder::MIN.bytes().as_usize();
        Self {
            words: std::array::from_fn(|_| AtomicU32::new(0)),
            stamps: (0..stamps).map(|_| AtomicU32::new(0)).collect(),
            bytes: Mutex::new((vec![0; size], vec![0; stamps])),
        }
    }

    fn stamp(&self, at: RingOffset) -> usize {
        (at.get() / STAMPED) as usize % self.stamps.len()
    }

    fn word(&self, word: IndexWord) -> &AtomicU32 {
        &self.words[IndexWord::ALL.iter().position(|it| *it == word).unwrap()]
    }
}

/// One side's handle.
#[derive(Clone)]
struct Ring(Arc<Memory>);

impl SharedRing for Ring {
    fn order(&self) -> RingOrder {
        RingOrder::MIN
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        let stamp = self.0.stamp(at);
        let seen = self.0.stamps[stamp].load(Ordering::Relaxed);
        let bytes = self.0.bytes.lock().unwrap();
        assert_eq!(seen, bytes.1[stamp], "read before it is visible");
        let at = at.as_usize();
        into.copy_from_slice(&bytes.0[at..at + into.len()]);
    }

    fn write(&self, at: RingOffset, from: &[u8]) {
        let stamp = self.0.stamp(at);
        let count = {
            let mut bytes = self.0.bytes.lock().unwrap();
            let start = at.as_usize();
            bytes.0[start..start + from.len()].copy_from_slice(from);
            bytes.1[stamp] += 1;
            bytes.1[stamp]
        };
        self.0.stamps[stamp].store(count, Ordering::Relaxed);
    }

    fn load(&self, word: IndexWord) -> u32 {
        self.0.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: IndexWord, value: u32) {
        self.0.word(word).store(value, Ordering::Release);
    }

    fn full_barrier(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Sends a packet that takes `size` bytes of the ring and whose bytes are `number`.
fn send(producer: &mut Producer<Ring>, size: u16, number: u8) -> bool {
    let length = PacketLength::new(u32::from(size) - 32).unwrap();
    let packet = Packet {
        id: None,
        length,
        way: Way::Inline,
        inline_length: InlineLength::try_from(length).unwrap(),
        fragments: Fragments::NONE,
        staged: Fragments::NONE,
        meta: PacketMeta::default(),
    };
    let mut message = vec![number; usize::from(size)];
    Message::Packet(packet).emit(&mut message).unwrap();
    let size = MessageSize::new(size).unwrap();
    let Ok(mut slot) = producer.begin(size, Reserve::NONE) else {
        return false;
    };
    slot.write(Bytes::ZERO, &message).unwrap();
    slot.commit();
    true
}

/// Takes a packet, if there is one, and checks that it is `number`.
fn receive(consumer: &mut Consumer<Ring>, number: u8) -> bool {
    let Some(mut received) = consumer.next().unwrap() else {
        return false;
    };
    let mut bytes = [0; 4];
    consumer
        .copy_inline(&mut received.inline, &mut bytes)
        .unwrap();
    assert_eq!(bytes, [number; 4]);
    true
}

/// The producer sends messages one by one; the consumer sleeps whenever it has found none.
#[test]
fn a_consumer_that_sleeps_is_woken() {
    const MESSAGES: u8 = 2;
    loom::model(|| {
        let ring = Ring(Arc::new(Memory::new(8)));
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
        let mut number = 0;
        while number < MESSAGES {
            if receive(&mut consumer, number) {
                number += 1;
                continue;
            }
            let _ = consumer.publish();
            if consumer.arm().unwrap() == Rearm::Idle {
                channel.wait();
            }
        }
        producing.join().unwrap();
    });
}

/// The ring is full; the producer sleeps until the consumer has made space, and sends two more.
#[test]
fn a_producer_that_sleeps_is_woken() {
    const SIZE: u16 = 1984;
    const FULL: u8 = 8;
    loom::model(|| {
        let ring = Ring(Arc::new(Memory::new(256)));
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
        let ring = Ring(Arc::new(Memory::new(256)));
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

/// Time that passes when the timer is waited for.
struct Time(Cell<Instant>);

impl Clock for Time {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// The producing side with its moderator, as a driver runs them.
struct Moderated {
    producer: Producer<Ring>,
    moderator: Moderator,
    time: Time,
    channel: Arc<Channel>,
}

impl Moderated {
    fn new(ring: Ring, channel: Arc<Channel>, frames: u32, usecs: u32) -> Self {
        let packets = Rule {
            usecs: Usecs::new(usecs).unwrap(),
            frames: Frames::new(frames).unwrap(),
            adaptive: Switch::Off,
        };
        let mut moderator = Moderator::new();
        let settings = Settings {
            packets,
            ..Settings::IMMEDIATE
        };
        moderator.configure(settings, Limits::NONE);
        Self {
            producer: Producer::new(ring),
            moderator,
            time: Time(Cell::new(Instant::new(0))),
            channel,
        }
    }

    fn send(&mut self, number: u8) {
        assert!(send(&mut self.producer, 64, number));
        let since = self.producer.published();
        let notify = self.producer.publish();
        let work = Work {
            packets: 1,
            bytes: 32,
            completions: 0,
        };
        let action = self.moderator.published(work, notify, since, &self.time);
        self.act(action);
    }

    /// The timer, which fires for what is owed and for nothing else.
    fn fire(&mut self) {
        let action = self.moderator.settle(&self.time);
        if let Action::At(time) = action {
            assert!(time > self.time.now());
            self.time.0.set(time.after(Span::new(1)));
            let action = self.moderator.settle(&self.time);
            assert!(matches!(action, Action::Raise(Cause::Time)));
            self.act(action);
        } else {
            self.act(action);
        }
        assert_eq!(self.moderator.owed_since(), None);
    }

    fn act(&mut self, action: Action) {
        let Action::Raise(cause) = action else {
            return;
        };
        if let (true, Some(since)) = (cause != Cause::Immediate, self.moderator.owed_since()) {
            if self.producer.is_consumed_beyond(since).unwrap() {
                self.moderator.dropped();
                return;
            }
        }
        self.channel.notify();
        self.moderator.raised(cause, &self.time);
    }
}

/// Runs a producer that moderates beside a consumer that sleeps, and may be woken for nothing.
fn moderated(frames: u32, usecs: u32, between: bool) {
    const MESSAGES: u8 = 2;
    let mut builder = loom::model::Builder::new();
    // With the timer between the messages there are too many steps for all of their orders.
    builder.preemption_bound = if between { Some(3) } else { None };
    builder.check(move || {
        let ring = Ring(Arc::new(Memory::new(8)));
        let channel = Arc::new(Channel::new());
        let mut consumer = Consumer::new(ring.clone(), Features::empty());
        let producing = thread::spawn({
            let channel = channel.clone();
            move || {
                let mut side = Moderated::new(ring, channel, frames, usecs);
                for number in 0..MESSAGES {
                    side.send(number);
                    if between {
                        side.fire();
                    }
                }
                side.fire();
            }
        });
        // Another reason to look, such as a packet of its own that it has to send.
        channel.notify();
        let mut number = 0;
        while number < MESSAGES {
            if receive(&mut consumer, number) {
                number += 1;
                continue;
            }
            let _ = consumer.publish();
            if consumer.arm().unwrap() == Rearm::Idle {
                channel.wait();
            }
        }
        producing.join().unwrap();
    });
}

/// The event is the timer's, after the last message.
#[test]
fn a_moderated_consumer_is_woken_by_the_timer() {
    moderated(3, 100, false);
}

/// Each event is the timer's, whatever the consumer has seen by then.
#[test]
fn a_moderated_consumer_is_woken_between() {
    moderated(3, 100, true);
    moderated(3, 0, true);
}

/// The event comes with the second message, unless the consumer has moved on by then.
#[test]
fn a_moderated_consumer_is_woken_by_frames() {
    moderated(2, 100, false);
}
