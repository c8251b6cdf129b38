// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties of the core, held against models too plain to be wrong.

#![cfg(not(loom))]
#![allow(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test are small"
)]

#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/packets.rs"]
mod packets;
#[path = "../common/random.rs"]
mod random;

mod borrowed;
mod cache;
mod copy;
mod credit;
mod handshake;
mod moderation;
mod pool;
mod queue;
mod ring;
mod slots;
mod states;
mod wire;

/// Tries each property `count` times, and leaves no files behind.
fn cases(count: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(count)
    }
}
