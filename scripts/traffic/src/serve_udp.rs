// SPDX-License-Identifier: GPL-2.0
//! The server's UDP side: sound datagrams go back, damaged ones are refused.

use crate::dgram::{self, Seen};
use crate::fault::{is_interrupt, is_timeout};
use crate::report::Report;
use crate::serve::Tally;
use crate::sock;
use socket2::SockRef;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Damaged datagrams that get a line of their own; the rest is only counted.
const MOST_LINES: u64 = 64;

/// Answers datagrams for ever.
pub(crate) fn run(socket: &UdpSocket, tally: &Tally, json: bool) {
    sock::grow(&SockRef::from(socket));
    // One more byte than the largest datagram shows one that is too long.
    let mut buf = vec![0; 65_536];
    loop {
        let (count, peer) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            Err(e) => {
                if !is_interrupt(&e) && !is_timeout(&e) {
                    // Errors of earlier replies surface here; none is ours.
                    thread::sleep(Duration::from_millis(1));
                }
                continue;
            }
        };
        let data = &buf[..count];
        match dgram::inspect(data) {
            Seen::Sound(_) => {
                // A reply that cannot leave is a lost one, which the client counts.
                if socket.send_to(data, peer).is_ok() {
                    tally.datagrams.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Answering refusals would let two servers talk for ever.
            Seen::Refusal(_) => {}
            Seen::BadContent(header, at) => {
                let what = format!("datagram {} of {count} bytes: byte {at}", header.seq);
                complain(tally, peer, what, json);
                let refusal = dgram::refusal(header.session, header.seq);
                let _ = socket.send_to(&refusal, peer);
            }
            Seen::BadHeader => {
                let what = format!("a datagram of {count} bytes: its header");
                complain(tally, peer, what, json);
                let refusal = dgram::refusal(0, dgram::UNKNOWN);
                let _ = socket.send_to(&refusal, peer);
            }
        }
    }
}

fn complain(tally: &Tally, peer: SocketAddr, what: String, json: bool) {
    if tally.corrupted.fetch_add(1, Ordering::Relaxed) < MOST_LINES {
        let mut report = Report::new("serve");
        report.text("event", "datagram");
        report.text("peer", peer.to_string());
        report.problem(format!("{what} arrives damaged"));
        report.print(json);
    }
}
