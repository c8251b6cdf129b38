// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The driver under test, for tests of the hostile peers: the core crate and the smallest host.
//!
//! `hostile-oracle store` reads `key=value` lines and prints what the frontend's answer (`answer`)
//! or the backend's offer (`offer`) that they make is worth. `hostile-oracle front|back FILE ORDER
//! FEATURES` runs a queue in a file that the hostile peer has mapped, as the peer of the role that
//! is named; each line on standard input is an event, and each line on standard output says how
//! the queue is after it.

mod host;
mod memory;
mod peer;
mod staging;
mod store;

use std::{
    env,
    io::{
        self,
        BufRead as _, //
    },
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["store", what] => store::judge(what),
        [role, file, order, features] => queue(role, file, order, features),
        _ => {
            Err("usage: hostile-oracle store answer|offer | front|back FILE ORDER FEATURES".into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("hostile-oracle: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn queue(
    role: &str,
    file: &str,
    order: &str,
    features: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut peer = peer::Peer::new(role, file, order.parse()?, features.parse()?)?;
    println!("ready");
    for _event in io::stdin().lock().lines() {
        match peer.turn() {
            Ok(()) => println!("fine"),
            Err(violation) => {
                println!("violation: {violation}");
                return Ok(());
            }
        }
    }
    Ok(())
}
