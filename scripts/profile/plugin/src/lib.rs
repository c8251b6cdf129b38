// SPDX-License-Identifier: GPL-2.0
//! `nc2-count`: a plugin of QEMU's emulator that counts what a machine does, by processor and address of code.
//!
//! It knows no symbols: it writes snapshots of its counters, and the reader of two of them subtracts and classifies.
//! README.md has the options, the file formats, and what a count is and is not.

pub mod cache;
pub mod control;
pub mod granules;
pub mod icr;
pub mod options;
pub mod pace;
pub mod plan;
pub mod probes;
pub mod snapshot;
pub mod speed;
pub mod units;

// QEMU's symbols exist only inside QEMU, so that a test has neither of these.
#[cfg(not(test))]
mod ffi;
#[cfg(not(test))]
mod plugin;
