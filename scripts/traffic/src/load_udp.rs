// SPDX-License-Identifier: GPL-2.0
//! The UDP side of `load`.

use crate::dgram::{self, Seen};
use crate::fault::{is_interrupt, is_timeout};
use crate::gaps::Gaps;
use crate::load::{Damage, Pace, RETRY_PAUSE};
use crate::options::{Common, Load};
use crate::report::Report;
use crate::sock;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

/// How long replies are waited for after the last datagram.
const GRACE: Duration = Duration::from_secs(1);

/// How long a receive waits before the next datagram may be due.
const TICK: Duration = Duration::from_millis(2);

/// What the UDP side finds.
pub(crate) struct Flow {
    gaps: Gaps,
    session: u32,
    sent: u64,
    /// Sound replies.
    pub received: u64,
    duplicates: u64,
    errors: u64,
    /// Whether the reply to a datagram is there, by sequence number.
    answered: Vec<bool>,
    /// What is wrong with damaged replies.
    pub corrupted: Damage,
    last_error: Option<String>,
}

impl Flow {
    /// Adds what was found to the report of both flows.
    pub(crate) fn describe(self, report: &mut Report) {
        report.whole("udp_sent", self.sent);
        report.whole("udp_received", self.received);
        report.whole("udp_lost", self.sent.saturating_sub(self.received));
        report.whole("udp_duplicates", self.duplicates);
        report.whole("udp_errors", self.errors);
        report.whole("udp_outages", self.gaps.outages());
        report.whole("udp_longest_gap_ms", self.gaps.longest_ms());
        report.flag("udp_ends_in_outage", self.gaps.ends_silent());
        report.text("udp_last_error", self.last_error.unwrap_or_default());
        self.corrupted.describe("UDP", report);
    }

    fn error(&mut self, what: String) {
        self.errors += 1;
        self.last_error = Some(what);
    }
}

/// Keeps datagrams going until `end`.
pub(crate) fn follow(options: &Load, common: &Common, end: Instant) -> Flow {
    let mut flow = Flow {
        gaps: Gaps::new(options.gap, Instant::now()),
        session: dgram::session(common.seed),
        sent: 0,
        received: 0,
        duplicates: 0,
        errors: 0,
        answered: Vec::new(),
        corrupted: Damage::default(),
        last_error: None,
    };
    let mut pace = Pace::new(options.rate);
    while Instant::now() < end {
        match sock::udp_client(options.addr, TICK) {
            Ok((socket, _)) => match one_socket(&socket, options, end, &mut pace, &mut flow) {
                Ok(()) => break,
                Err(e) => flow.error(format!("datagrams to {}: {e}", options.addr)),
            },
            Err(fault) => flow.error(fault.what),
        }
        thread::sleep(RETRY_PAUSE);
    }
    // Silence after the end is no outage: nothing is sent any more.
    flow.gaps.finish(end);
    flow
}

/// Uses one socket until `end`, or until an error calls for a new one.
fn one_socket(
    socket: &UdpSocket,
    options: &Load,
    end: Instant,
    pace: &mut Pace,
    flow: &mut Flow,
) -> io::Result<()> {
    let mut buf = vec![0; 65_536];
    let mut due = Instant::now();
    loop {
        let now = Instant::now();
        let over = now >= end;
        if over && (flow.received == flow.sent || now >= end + GRACE) {
            break;
        }
        if !over && now >= due {
            send(socket, options.size, flow)?;
            due = Instant::now() + pace.wait();
        }
        match socket.recv(&mut buf) {
            Ok(count) => receive(&buf[..count], flow),
            Err(e) if is_timeout(&e) || is_interrupt(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn send(socket: &UdpSocket, size: usize, flow: &mut Flow) -> io::Result<()> {
    let seq = flow.answered.len() as u32;
    let head = dgram::header(flow.session, seq, size);
    let body = dgram::body(flow.session, seq, size);
    let parts = [IoSlice::new(&head), IoSlice::new(body)];
    match SockRef::from(socket).send_vectored(&parts) {
        Ok(_) => {}
        // A full queue during an outage: this datagram is as good as lost.
        Err(e) if is_timeout(&e) || is_interrupt(&e) || crate::udp::no_buffers(&e) => {}
        Err(e) => return Err(e),
    }
    flow.answered.push(false);
    flow.sent += 1;
    Ok(())
}

fn receive(data: &[u8], flow: &mut Flow) {
    let len = data.len();
    match dgram::inspect(data) {
        Seen::Sound(header) if header.session == flow.session => {
            match flow.answered.get_mut(header.seq as usize) {
                Some(answered) if !*answered => {
                    *answered = true;
                    flow.received += 1;
                    flow.gaps.alive(Instant::now());
                }
                Some(_) => flow.duplicates += 1,
                None => {
                    let seq = header.seq;
                    let what = format!("reply {seq} answers nothing that was sent");
                    flow.corrupted.push(what);
                }
            }
        }
        Seen::Sound(_) => {}
        Seen::BadContent(header, at) => flow.corrupted.push(format!(
            "reply {} of {len} bytes is damaged at byte {at}",
            header.seq
        )),
        Seen::Refusal(header) => flow.corrupted.push(match header.seq {
            dgram::UNKNOWN => "a datagram reaches the server with a damaged header".to_owned(),
            seq => format!("datagram {seq} reaches the server damaged"),
        }),
        Seen::BadHeader => flow
            .corrupted
            .push(format!("a reply of {len} bytes has a damaged header")),
    }
}
