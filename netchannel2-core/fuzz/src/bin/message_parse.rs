// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fuzzes the parser of messages.

#![no_main]

#[path = "../message_parse.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::message_parse(input));
