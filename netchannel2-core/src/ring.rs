// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A byte stream of messages in shared memory, with one producer and one consumer.
//!
//! Each side keeps its own index and the last good one of its peer in private memory; the words
//! in the control page are written for the peer and never read back. The peer's words are checked
//! each time they are read.
//!
//! # Ordering
//!
//! | side | writes | then | reads | pairs with |
//! |---|---|---|---|---|
//! | producer | message | release | `Prod` | the consumer's acquire of `Prod` |
//! | consumer | (its reads of the message) | release | `Cons` | the producer's acquire of `Cons` |
//! | producer, publishing | `Prod` | full barrier | `ProdEvent` | the consumer's arming |
//! | consumer, arming | `ProdEvent` | full barrier | `Prod` | the producer's publishing |
//! | consumer, publishing | `Cons` | full barrier | `ConsEvent` | the producer's arming |
//! | producer, arming | `ConsEvent` | full barrier | `Cons` | the consumer's publishing |
//!
//! Of each of the last two pairs at least one side sees what the other wrote: either the event is
//! sent or the re-check finds that it is not needed, so that no wake-up is lost.

mod consumer;
pub mod control;
mod event;
mod producer;

pub(crate) use self::consumer::Taken;

pub use self::{
    consumer::{
        Consumer,
        InlineBytes,
        InlineError,
        Rearm,
        Received, //
    },
    control::IndexWord,
    event::Notify,
    producer::{
        BeginError,
        Producer,
        Reserve,
        Slot,
        SlotOverrun,
        Space, //
    },
};

use crate::units::{
    RingOffset,
    RingOrder, //
};

/// Memory that is shared with the peer: one ring and its four words of the control page.
///
/// The peer may change all of it at any time. Implementations copy with volatile accesses or their
/// like and hand out no reference into it.
pub trait SharedRing {
    /// Returns the size of the ring, which never changes.
    fn order(&self) -> RingOrder;

    /// Copies bytes of the ring into private memory.
    ///
    /// Callers stay within the ring: `at` plus the length is at most its size.
    fn read(&self, at: RingOffset, into: &mut [u8]);

    /// Copies bytes of private memory into the ring.
    ///
    /// Callers stay within the ring: `at` plus the length is at most its size.
    fn write(&self, at: RingOffset, from: &[u8]);

    /// Reads a word of the control page once, with acquire ordering (`smp_load_acquire`).
    fn load(&self, word: IndexWord) -> u32;

    /// Writes a word of the control page once, with release ordering (`smp_store_release`).
    fn store(&self, word: IndexWord, value: u32);

    /// Orders every access before it against every access after it (`virt_mb`).
    fn full_barrier(&self);
}

impl<R: SharedRing> SharedRing for &R {
    fn order(&self) -> RingOrder {
        (**self).order()
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        (**self).read(at, into);
    }

    fn write(&self, at: RingOffset, from: &[u8]) {
        (**self).write(at, from);
    }

    fn load(&self, word: IndexWord) -> u32 {
        (**self).load(word)
    }

    fn store(&self, word: IndexWord, value: u32) {
        (**self).store(word, value);
    }

    fn full_barrier(&self) {
        (**self).full_barrier();
    }
}
