// SPDX-License-Identifier: GPL-2.0
//! `load`: traffic that goes on through outages.
//!
//! A TCP connection echoes blocks and a UDP socket echoes datagrams, both at a
//! steady rate.  Whatever breaks is opened again; outages are counted, and only
//! damaged content, or a run that verifies nothing at all, is a failure.

use crate::content::Content;
use crate::fault::{Fault, Kind};
use crate::gaps::Gaps;
use crate::hello::{Hello, Mode, UNLIMITED};
use crate::load_udp;
use crate::options::{Common, Load};
use crate::report::Report;
use crate::sock::Conn;
use std::thread;
use std::time::{Duration, Instant};

/// The pause before a broken connection is opened again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The longest one attempt to connect lasts: a fresh attempt finds a path that
/// is back sooner than TCP's own, ever slower retries do.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// Steady moments to send at.
pub(crate) struct Pace {
    next: Instant,
    step: Duration,
}

/// Damaged content of a flow: the first cases in words, all of them counted, so
/// that hours of damage take no memory.
#[derive(Default)]
pub(crate) struct Damage {
    /// How often content is damaged.
    pub count: u64,
    first: Vec<String>,
}

/// What the TCP side finds.
struct Flow {
    gaps: Gaps,
    bytes: u64,
    connects: u64,
    failures: u64,
    corrupted: Damage,
    last_failure: Option<String>,
}

/// Runs both flows for the time asked for.
pub(crate) fn run(options: &Load, common: &Common) -> Report {
    let mut report = Report::new("load");
    let start = Instant::now();
    let end = start + options.seconds;
    let (tcp, udp) = thread::scope(|scope| {
        let udp = scope.spawn(|| load_udp::follow(options, common, end));
        (follow_tcp(options, common, end), udp.join())
    });
    report.real("seconds", start.elapsed().as_secs_f64());
    report.whole("tcp_bytes", tcp.bytes);
    report.whole("tcp_connects", tcp.connects);
    report.whole("tcp_failures", tcp.failures);
    report.whole("tcp_outages", tcp.gaps.outages());
    report.whole("tcp_longest_gap_ms", tcp.gaps.longest_ms());
    report.flag("tcp_ends_in_outage", tcp.gaps.ends_silent());
    report.text("tcp_last_failure", tcp.last_failure.unwrap_or_default());
    let mut corrupted = tcp.corrupted.count;
    let mut verified = tcp.bytes;
    tcp.corrupted.describe("TCP", &mut report);
    match udp {
        Ok(udp) => {
            verified += udp.received;
            corrupted += udp.corrupted.count;
            udp.describe(&mut report);
        }
        Err(_) => report.problem("the UDP thread fails"),
    }
    report.whole("corrupted", corrupted);
    report.text("seed", format!("{:#x}", common.seed));
    if verified == 0 {
        report.problem("nothing is verified: neither TCP nor UDP gets through");
    }
    report
}

fn follow_tcp(options: &Load, common: &Common, end: Instant) -> Flow {
    let mut flow = Flow {
        gaps: Gaps::new(options.gap, Instant::now()),
        bytes: 0,
        connects: 0,
        failures: 0,
        corrupted: Damage::default(),
        last_failure: None,
    };
    let mut pace = Pace::new(options.rate);
    while Instant::now() < end {
        // Every connection has content of its own.
        let seed = common.seed.wrapping_add(flow.connects);
        let Err(fault) = one_connection(options, common, seed, end, &mut pace, &mut flow) else {
            break;
        };
        match fault.kind {
            Kind::Corrupt => flow.corrupted.push(fault.what),
            Kind::Network => {
                flow.failures += 1;
                flow.last_failure = Some(fault.what);
            }
        }
        thread::sleep(RETRY_PAUSE);
    }
    flow.gaps.finish(Instant::now());
    flow
}

fn one_connection(
    options: &Load,
    common: &Common,
    seed: u64,
    end: Instant,
    pace: &mut Pace,
    flow: &mut Flow,
) -> Result<(), Fault> {
    let patience = CONNECT_PATIENCE.min(common.timeout);
    let mut conn = Conn::connect(options.addr, patience, common.timeout)?;
    flow.connects += 1;
    let hello = Hello {
        mode: Mode::Echo,
        seed,
        length: UNLIMITED,
        timeout: common.timeout,
    };
    conn.write_full(&hello.encode(), "sending the hello to")?;
    let content = Content::new(seed);
    let mut buf = vec![0; options.block];
    let mut pos = 0;
    while Instant::now() < end {
        let block = content.at(pos, options.block);
        conn.write_full(block, "sending a block to")?;
        conn.read_full(&mut buf, "waiting for a block from")?;
        if let Some(at) = content.first_bad(pos, &buf) {
            let (wrong, right) = (buf[at], block[at]);
            let at = pos + at as u64;
            return Err(Fault::corrupt(format!(
                "byte {at} comes back as {wrong:#04x} instead of {right:#04x}"
            )));
        }
        pos += block.len() as u64;
        flow.bytes += block.len() as u64;
        flow.gaps.alive(Instant::now());
        thread::sleep(
            pace.wait()
                .min(end.saturating_duration_since(Instant::now())),
        );
    }
    // Whether the farewell arrives makes no difference any more.
    let _ = conn.end_writing();
    Ok(())
}

impl Damage {
    /// Notes one more case.
    pub(crate) fn push(&mut self, what: String) {
        self.count += 1;
        if self.first.len() < 8 {
            self.first.push(what);
        }
    }

    /// Adds what there is to a report.
    pub(crate) fn describe(self, flow: &str, report: &mut Report) {
        let unspelled = self.count - self.first.len() as u64;
        for what in self.first {
            report.problem(format!("{flow}: {what}"));
        }
        if unspelled > 0 {
            report.problem(format!("{flow}: damaged {unspelled} more times"));
        }
    }
}

impl Pace {
    /// `rate` moments a second.
    pub(crate) fn new(rate: f64) -> Self {
        Pace {
            next: Instant::now(),
            step: Duration::from_secs_f64(1.0 / rate),
        }
    }

    /// How long until the next moment, which is then used up.
    pub(crate) fn wait(&mut self) -> Duration {
        // After an outage the flow goes on at its rate; it does not catch up.
        let now = Instant::now();
        self.next = (self.next + self.step).max(now);
        self.next.saturating_duration_since(now)
    }
}
