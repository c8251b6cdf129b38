// SPDX-License-Identifier: GPL-2.0
//! `ping-sweep`: one ICMP echo of every payload size in a range.

use crate::fault::{is_interrupt, is_timeout, Fault};
use crate::icmp::{Echo, Reply};
use crate::options::{Common, PingSweep};
use crate::report::{mbit_per_s, Report};
use crate::sock;
use crate::udp::no_buffers;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Times a request is sent again before its size counts as lost.
const RETRIES: u8 = 3;

/// How long a receive waits before overdue requests are looked for.
const TICK: Duration = Duration::from_millis(20);

/// Replies received in a row before overdue requests are looked for.
const BATCH: u32 = 64;

/// One request on its way.
struct Probe {
    size: usize,
    sent: Instant,
    retries: u8,
}

struct Sweep<'a> {
    options: &'a PingSweep,
    timeout: Duration,
    socket: Socket,
    echo: Echo,
    /// The next size to send, in case there is one.
    next: u32,
    probes: Vec<Probe>,
    bytes_out: usize,
    /// Sizes that were sent more than once may be answered more than once.
    repeated: Vec<bool>,
    tally: Tally,
    report: Report,
}

#[derive(Default)]
struct Tally {
    sent: u64,
    passed: u64,
    lost: u64,
    corrupted: u64,
    retransmits: u64,
    duplicates: u64,
    bytes: u64,
}

/// Sweeps the range and accounts for every size.
pub(crate) fn run(options: &PingSweep, common: &Common) -> Report {
    let mut report = Report::new("ping-sweep");
    let socket = match open(options) {
        Ok(socket) => socket,
        Err(fault) => {
            report.problem(fault.to_string());
            return report;
        }
    };
    // The identifier tells apart sweeps that run at the same time.
    let ident = (std::process::id() & 0xffff) as u16;
    let mut sweep = Sweep {
        options,
        timeout: common.timeout,
        socket,
        echo: Echo::new(ident, common.seed),
        next: options.from,
        probes: Vec::new(),
        bytes_out: 0,
        repeated: vec![false; options.to as usize + 1],
        tally: Tally::default(),
        report,
    };
    let start = Instant::now();
    if let Err(fault) = sweep.exchange() {
        sweep.report.fatal(fault.to_string());
    }
    sweep.finish(start.elapsed(), common)
}

fn open(options: &PingSweep) -> Result<Socket, Fault> {
    let peer = SocketAddr::from((options.addr, 0));
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
    let socket =
        raw.map_err(|e| Fault::network(format!("opening a raw ICMP socket (root only): {e}")))?;
    // Connected, so other hosts' ICMP takes no room in the buffer.
    socket
        .connect(&peer.into())
        .and_then(|()| {
            socket.set_read_timeout(Some(TICK))?;
            socket.set_write_timeout(Some(Duration::from_secs(1)))
        })
        .map_err(|e| {
            Fault::network(format!("aiming a raw ICMP socket at {}: {e}", options.addr))
        })?;
    sock::grow(&socket);
    Ok(socket)
}

impl Sweep<'_> {
    fn exchange(&mut self) -> Result<(), Fault> {
        let mut packet = vec![0; 65_536];
        let mut batch = 0;
        while self.next <= self.options.to || !self.probes.is_empty() {
            self.fill_window()?;
            let quiet = match (&self.socket).read(&mut packet) {
                Ok(count) => {
                    self.receive(&packet[..count]);
                    false
                }
                Err(e) if is_interrupt(&e) => false,
                Err(e) if is_timeout(&e) => true,
                Err(e) => return Err(self.fault("waiting for a reply from", &e)),
            };
            batch += 1;
            if quiet || batch >= BATCH {
                batch = 0;
                self.check_overdue()?;
            }
            let failed = self.tally.lost + self.tally.corrupted;
            if failed >= self.options.max_failures as u64 {
                return Err(Fault::network(format!(
                    "the sweep gives up after {failed} failures, before size {}",
                    self.next
                )));
            }
        }
        Ok(())
    }

    fn fill_window(&mut self) -> Result<(), Fault> {
        while self.next <= self.options.to && self.probes.len() < self.options.window {
            let size = self.next as usize;
            let fits = self.bytes_out + size <= self.options.window_bytes;
            if !fits && !self.probes.is_empty() {
                break;
            }
            self.transmit(size)?;
            self.probes.push(Probe {
                size,
                sent: Instant::now(),
                retries: 0,
            });
            self.bytes_out += size;
            self.tally.sent += 1;
            self.next += self.options.step;
        }
        Ok(())
    }

    fn transmit(&mut self, size: usize) -> Result<(), Fault> {
        let head = self.echo.request(size);
        let parts = [IoSlice::new(&head), IoSlice::new(self.echo.payload(size))];
        match self.socket.send_vectored(&parts) {
            Ok(_) => Ok(()),
            // Left to the retry, like a packet lost further on.
            Err(e) if is_interrupt(&e) || is_timeout(&e) || no_buffers(&e) => Ok(()),
            Err(e) => Err(self.fault(&format!("sending size {size} to"), &e)),
        }
    }

    fn receive(&mut self, packet: &[u8]) {
        let (size, bad) = match self.echo.judge(packet) {
            Reply::Foreign => return,
            Reply::Sound(size) => (size, None),
            Reply::Bad(size, what) => (size, Some(what)),
        };
        let Some(index) = self.probes.iter().position(|probe| probe.size == size) else {
            // A size that was sent once is answered once.
            if self.repeated.get(size) != Some(&true) {
                self.tally.duplicates += 1;
                self.report
                    .problem(format!("size {size}: one reply too many"));
            }
            if let Some(what) = bad {
                self.tally.corrupted += 1;
                self.report.problem(what);
            }
            return;
        };
        let probe = self.probes.swap_remove(index);
        self.bytes_out -= probe.size;
        match bad {
            None => {
                self.tally.passed += 1;
                self.tally.bytes += size as u64;
            }
            Some(what) => {
                self.tally.corrupted += 1;
                self.report.problem(what);
            }
        }
    }

    fn check_overdue(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let mut index = 0;
        while let Some(probe) = self.probes.get_mut(index) {
            // The last attempt waits as long as any other socket operation.
            let last = probe.retries == RETRIES;
            let patience = if last {
                self.timeout
            } else {
                self.options.retry_after
            };
            if now.saturating_duration_since(probe.sent) < patience {
                index += 1;
                continue;
            }
            let size = probe.size;
            if last {
                self.probes.swap_remove(index);
                self.bytes_out -= size;
                self.tally.lost += 1;
                self.report.problem(format!(
                    "size {size}: no reply to {} requests, the last within {} s",
                    u32::from(RETRIES) + 1,
                    patience.as_secs_f64()
                ));
                continue;
            }
            probe.retries += 1;
            probe.sent = now;
            if let Some(mark) = self.repeated.get_mut(size) {
                *mark = true;
            }
            self.tally.retransmits += 1;
            self.transmit(size)?;
            index += 1;
        }
        Ok(())
    }

    fn fault(&self, doing: &str, error: &io::Error) -> Fault {
        Fault::io(
            &format!("{doing} {}", self.options.addr),
            self.timeout,
            error,
        )
    }

    fn finish(self, time: Duration, common: &Common) -> Report {
        let Sweep {
            options,
            tally,
            mut report,
            ..
        } = self;
        report.whole("from", options.from.into());
        report.whole("to", options.to.into());
        report.whole("step", options.step.into());
        report.real("seconds", time.as_secs_f64());
        report.whole("sizes", tally.sent);
        report.whole("passed", tally.passed);
        report.whole("lost", tally.lost);
        report.whole("corrupted", tally.corrupted);
        report.whole("retransmits", tally.retransmits);
        report.whole("duplicates", tally.duplicates);
        report.whole("bytes", tally.bytes);
        report.real("mbit_s", mbit_per_s(tally.bytes, time));
        report.text("seed", format!("{:#x}", common.seed));
        report
    }
}
