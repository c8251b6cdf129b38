// SPDX-License-Identifier: GPL-2.0
//! `udp`: content-checked echo datagrams with a window.

use crate::dgram::{self, Seen};
use crate::fault::{is_interrupt, is_timeout, Fault};
use crate::options::{Common, Udp};
use crate::report::{mbit_per_s, Report};
use crate::sock;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// What is known about one datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Returned,
    Refused,
    Lost,
}

/// One run over one socket.
struct Run<'a> {
    options: &'a Udp,
    socket: UdpSocket,
    session: u32,
    timeout: Duration,
    window: usize,
    /// By sequence number; as long as what is sent.
    states: Vec<State>,
    /// Oldest first; datagrams no longer pending leave when they get to the front.
    flight: VecDeque<(u32, Instant)>,
    pending: usize,
    newest: Option<u32>,
    tally: Tally,
    report: Report,
}

#[derive(Default)]
struct Tally {
    received: u64,
    corrupted: u64,
    duplicates: u64,
    reordered: u64,
    late: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Sends all datagrams and accounts for each.
pub(crate) fn run(options: &Udp, common: &Common) -> Report {
    let mut report = Report::new("udp");
    // Pacing needs a fine tick, a window only one to notice losses by.
    let tick = Duration::from_millis(if options.rate.is_some() { 2 } else { 50 });
    let (socket, room) = match sock::udp_client(options.addr, tick) {
        Ok(opened) => opened,
        Err(fault) => {
            report.problem(fault.to_string());
            return report;
        }
    };
    let mut run = Run {
        options,
        socket,
        session: dgram::session(common.seed),
        timeout: common.timeout,
        window: sock::fitting_window(options.window, options.size, room),
        states: Vec::new(),
        flight: VecDeque::new(),
        pending: 0,
        newest: None,
        tally: Tally::default(),
        report,
    };
    if let Err(fault) = run.exchange() {
        run.report.fatal(fault.to_string());
    }
    run.finish(common)
}

impl Run<'_> {
    fn exchange(&mut self) -> Result<(), Fault> {
        let count = self.options.count as usize;
        let start = Instant::now();
        let mut buf = vec![0; 65_536];
        while self.states.len() < count || self.pending > 0 {
            while self.states.len() < count && self.pending < self.window && self.due(start) {
                if !self.send()? {
                    break;
                }
            }
            match self.socket.recv(&mut buf) {
                Ok(size) => self.receive(&buf[..size]),
                Err(e) if is_interrupt(&e) => {}
                Err(e) if is_timeout(&e) => self.expire(),
                Err(e) => return Err(self.fault("waiting for a datagram from", &e)),
            }
        }
        Ok(())
    }

    fn due(&self, start: Instant) -> bool {
        match self.options.rate {
            Some(rate) => start.elapsed().as_secs_f64() * rate >= self.states.len() as f64,
            None => true,
        }
    }

    /// Sends the next datagram; `false` if there is no room for it just now.
    fn send(&mut self) -> Result<bool, Fault> {
        let seq = self.states.len() as u32;
        let size = self.options.size;
        let head = dgram::header(self.session, seq, size);
        let body = dgram::body(self.session, seq, size);
        let parts = [IoSlice::new(&head), IoSlice::new(body)];
        let sent = SockRef::from(&self.socket).send_vectored(&parts);
        match sent {
            Ok(_) => {}
            Err(e) if is_interrupt(&e) => return Ok(false),
            // The receive that follows waits a tick, which drains a queue.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock || no_buffers(&e) => {
                if self.pending == 0 {
                    return Err(self.fault("sending a datagram to", &e));
                }
                return Ok(false);
            }
            Err(e) => return Err(self.fault("sending a datagram to", &e)),
        }
        let now = Instant::now();
        self.tally.first.get_or_insert(now);
        self.states.push(State::Pending);
        self.flight.push_back((seq, now));
        self.pending += 1;
        // Datagrams behind a reply that arrives are only noticed here.
        self.trim();
        Ok(true)
    }

    fn receive(&mut self, data: &[u8]) {
        self.tally.last = Some(Instant::now());
        let seen = dgram::inspect(data);
        let (header, state) = match seen {
            Seen::Sound(header) if header.session == self.session => {
                if header.len as usize != self.options.size {
                    return self.corrupt(format!("a reply has {} bytes", header.len));
                }
                (header, State::Returned)
            }
            Seen::BadContent(header, at) if header.session == self.session => {
                let (seq, len) = (header.seq, data.len());
                self.corrupt(format!(
                    "reply {seq} of {len} bytes is damaged at byte {at}"
                ));
                (header, State::Refused)
            }
            Seen::Refusal(header) if header.session == self.session => {
                let seq = header.seq;
                self.corrupt(format!("datagram {seq} reaches the server damaged"));
                (header, State::Refused)
            }
            Seen::Refusal(header) if header.seq == dgram::UNKNOWN => {
                let what = "a datagram reaches the server with a damaged header";
                return self.corrupt(what.to_owned());
            }
            Seen::BadHeader => {
                let len = data.len();
                return self.corrupt(format!("a reply of {len} bytes has a damaged header"));
            }
            // A sound datagram of an earlier run on the same port.
            _ => return,
        };
        self.settle(header.seq, state);
    }

    fn settle(&mut self, seq: u32, state: State) {
        let Some(slot) = self.states.get_mut(seq as usize) else {
            return self.corrupt(format!("reply {seq} answers nothing that was sent"));
        };
        match *slot {
            State::Pending => self.pending -= 1,
            // It is not lost after all, only slower than the time-out.
            State::Lost => self.tally.late += 1,
            State::Returned | State::Refused => {
                self.tally.duplicates += 1;
                return;
            }
        }
        *slot = state;
        if state == State::Returned {
            self.tally.received += 1;
        }
        if self.newest.is_some_and(|newest| newest > seq) {
            self.tally.reordered += 1;
        } else {
            self.newest = Some(seq);
        }
        self.trim();
    }

    /// Drops settled datagrams from the front of the flight.
    fn trim(&mut self) {
        while let Some((seq, _)) = self.flight.front() {
            if self.states.get(*seq as usize) == Some(&State::Pending) {
                break;
            }
            self.flight.pop_front();
        }
        self.expire();
    }

    /// Gives up on datagrams older than the time-out.
    fn expire(&mut self) {
        while let Some((seq, sent)) = self.flight.front().copied() {
            let slot = self.states.get_mut(seq as usize);
            match slot {
                Some(state) if *state == State::Pending => {
                    if sent.elapsed() < self.timeout {
                        break;
                    }
                    *state = State::Lost;
                    self.pending -= 1;
                }
                _ => {}
            }
            self.flight.pop_front();
        }
    }

    fn corrupt(&mut self, what: String) {
        self.tally.corrupted += 1;
        self.report.problem(what);
    }

    fn fault(&self, doing: &str, error: &io::Error) -> Fault {
        Fault::io(
            &format!("{doing} {}", self.options.addr),
            self.timeout,
            error,
        )
    }

    fn finish(self, common: &Common) -> Report {
        let Run {
            options,
            states,
            tally,
            mut report,
            window,
            ..
        } = self;
        let sent = states.len() as u64;
        let gone = |state: &&State| matches!(state, State::Lost | State::Pending);
        let lost = states.iter().filter(gone).count() as u64;
        let percent = lost as f64 * 100.0 / sent.max(1) as f64;
        let time = match (tally.first, tally.last) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        };
        if percent > options.max_loss_percent {
            report.problem(format!(
                "{lost} of {sent} datagrams get no reply within {} s ({percent:.3} %)",
                common.timeout.as_secs_f64()
            ));
        }
        if tally.duplicates > 0 {
            report.problem(format!("{} replies arrive twice", tally.duplicates));
        }
        if tally.received == 0 {
            report.problem("nothing is verified");
        }
        report.whole("size", options.size as u64);
        report.whole("window", window as u64);
        report.real("seconds", time.as_secs_f64());
        report.whole("sent", sent);
        report.whole("received", tally.received);
        report.whole("lost", lost);
        report.real("loss_percent", percent);
        report.whole("corrupted", tally.corrupted);
        report.whole("duplicates", tally.duplicates);
        report.whole("reordered", tally.reordered);
        report.whole("late", tally.late);
        let bytes = tally.received * options.size as u64;
        report.real("mbit_s", mbit_per_s(bytes, time));
        report.text("seed", format!("{:#x}", common.seed));
        report
    }
}

/// Whether the kernel is out of buffers for the moment (ENOBUFS, which has no
/// [`io::ErrorKind`]).
pub(crate) fn no_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
