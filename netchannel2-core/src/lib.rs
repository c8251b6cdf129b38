// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The protocol of Netchannel 2: what a frontend and a backend say to each other, and what each
//! of them believes of the other.
//!
//! The crate is pure. It knows no kernel type and no unsafe code: memory that is shared with the
//! peer comes in through [`ring::SharedRing`] and xenstore through [`handshake::Store`], so that
//! both modules, the tests and the fuzzers run the very same code.
//!
//! From the bottom to the top:
//!
//! * [`error`] names what a peer can do wrong, one variant for each rule.
//! * [`units`] holds a type for every index, identity and length.
//! * [`grant`] covers pages that one side lets the other copy from, copy plans, slots.
//! * [`wire`] holds the messages, raw and validated.
//! * [`ring`] is a byte stream in shared memory with one producer and one consumer.
//! * [`pool`] covers staged memory: pages granted once and mapped once.
//! * [`cache`] bounds how much of guests' pools a driver domain keeps mapped.
//! * [`credit`] says how much may be outstanding, and what is.
//! * [`queue`] joins these to the two halves of a queue, [`queue::Sender`] and [`queue::Receiver`].
//! * [`segment`] chooses which way a packet's bytes travel.
//! * [`handshake`] covers xenstore keys, negotiation and the device's states.
//! * [`moderation`] decides when an event is raised.
//! * [`knobs`] checks what an administrator sets.
//! * [`stats`] counts.
//!
//! `Documentation/protocol.md` is the protocol in prose. Words are used in one sense only: *rx* is
//! towards the guest and *tx* is from it, whichever side speaks.
//!
//! # Trust
//!
//! Neither side trusts the other. Everything that the peer writes is copied out of shared memory
//! once and checked once, here; a rule that it breaks is an [`error::Violation`], which ends this
//! one channel. Nothing that the peer does can make this crate panic, loop without bound or touch
//! memory outside the ring.

// Kbuild passes `-Zcrate-attr=no_std` itself.
#![cfg_attr(not(CONFIG_RUST), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod cache;
pub mod credit;
pub mod error;
pub mod grant;
pub mod handshake;
pub mod knobs;
pub mod moderation;
pub mod pool;
pub mod queue;
pub mod ring;
pub mod segment;
pub mod stats;
pub mod units;
pub mod wire;
