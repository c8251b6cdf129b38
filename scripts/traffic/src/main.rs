// SPDX-License-Identifier: GPL-2.0
//! `nc2-traffic`: content-checked network traffic for the Netchannel 2 tests.
//!
//! Every byte that crosses the path under test is predictable from a seed and
//! a position, so a frontend or backend that drops, repeats, swaps or damages
//! a page is caught at the first wrong byte, and the report names its offset.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// What every command shares.
mod args; // option table and typed option values
mod cli; // the command line, turned into one `Command`
mod content; // bytes predictable from (seed, position)
mod fault; // errors that say what was being waited for
mod gaps; // outages of a flow that is allowed to have them
mod gate; // begin and end of a load, decided by a driver
mod hist; // latency percentiles in constant memory
mod options; // what a command line asks for
mod report; // one result, as text or as one line of JSON
mod sock; // sockets with time-outs and room for bursts
mod usage; // the help text

// What travels over the wire.
mod dgram; // UDP datagram layout
mod hello; // TCP connection header and verdict
mod icmp; // ICMP echo packets
mod segments; // many datagrams in one call

// The server side.
mod serve;
mod serve_tcp;
mod serve_udp;

// The client side, one file a command.
mod flow;
mod load;
mod load_udp;
mod ping;
mod rr;
mod tcp;
mod trigger;
mod udp;

use options::Command;
use std::process::ExitCode;

/// Exit code for a command line that cannot be run.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let (command, common) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(what) => {
            eprintln!("nc2-traffic: {what}\nTry `nc2-traffic --help`.");
            return ExitCode::from(USAGE);
        }
    };
    let report = match &command {
        Command::Help => {
            report::line(usage::TEXT);
            return ExitCode::SUCCESS;
        }
        Command::Serve(options) => serve::run(options, &common),
        Command::PingSweep(options) => ping::run(options, &common),
        Command::Tcp(options) => tcp::run(options, &common),
        Command::Udp(options) => udp::run(options, &common),
        Command::Rr(options) => rr::run(options, &common),
        Command::Load(options) => load::run(options, &common),
        Command::Sink(options) => flow::sink(options, &common),
        Command::Source(options) => flow::source(options, &common),
        Command::Trigger(options) => trigger::run(options, &common),
    };
    report.print(common.json);
    if report.ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
