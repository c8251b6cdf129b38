// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fuzzes the receiving half of a queue.

#![no_main]

#[path = "../ring_consume.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::ring_consume(input));
