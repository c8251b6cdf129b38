// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A ring under loom, and messages that can be told apart.

use std::sync::Mutex;

use loom::sync::{
    atomic::{
        fence,
        AtomicU32,
        Ordering, //
    },
    Arc,
    Notify, //
};
use netchannel2_core::{
    ring::{
        Consumer,
        IndexWord,
        Producer,
        Rearm,
        Reserve,
        SharedRing, //
    },
    units::{
        Bytes,
        InlineLength,
        PacketLength,
        RingOffset,
        RingOrder, //
    },
    wire::{
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
pub(crate) struct Ring(Arc<Memory>);

impl Ring {
    /// A ring whose bytes have so many stamps.
    pub(crate) fn new(stamps: usize) -> Self {
        Self(Arc::new(Memory::new(stamps)))
    }
}

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
pub(crate) fn send(producer: &mut Producer<Ring>, size: u16, number: u8) -> bool {
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
pub(crate) fn receive(consumer: &mut Consumer<Ring>, number: u8) -> bool {
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

/// Receives this many packets, and sleeps whenever there is none.
pub(crate) fn receive_all(consumer: &mut Consumer<Ring>, channel: &Notify, count: u8) {
    let mut number = 0;

    while number < count {
        if receive(consumer, number) {
            number += 1;
            continue;
        }
        let _ = consumer.publish();
        if consumer.arm().unwrap() == Rearm::Idle {
            channel.wait();
        }
    }
}
