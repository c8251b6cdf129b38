// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The index protocol under every interleaving and every reordering that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p netchannel2-core --test loom`. A wake-up that
//! is lost shows as a deadlock; bytes that are read before they are visible, or after their place
//! was given back, show as a wrong message.

#![cfg(loom)]

mod memory;
mod moderated;
mod wakeups;
