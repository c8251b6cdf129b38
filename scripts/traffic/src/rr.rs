// SPDX-License-Identifier: GPL-2.0
//! `rr`: one-byte TCP requests and responses, one at a time.

use crate::content::{Content, MAX_SLICE};
use crate::fault::Fault;
use crate::gate;
use crate::hello::{Hello, Mode, UNLIMITED};
use crate::hist::Histogram;
use crate::options::{Common, Limit, Rr};
use crate::report::Report;
use crate::sock::Conn;
use std::time::{Duration, Instant};

/// Runs transactions until the time is up or all are made.
pub(crate) fn run(options: &Rr, common: &Common) -> Report {
    let mut report = Report::new("rr");
    let mut hist = Histogram::new();
    let mut time = Duration::ZERO;
    if let Err(fault) = transact(options, common, &mut hist, &mut time) {
        report.problem(fault.to_string());
    } else if hist.total() == 0 {
        report.problem("no transaction completes");
    }
    let seconds = time.as_secs_f64();
    let rate = if seconds > 0.0 {
        hist.total() as f64 / seconds
    } else {
        0.0
    };
    report.real("seconds", seconds);
    report.whole("transactions", hist.total());
    report.real("transactions_s", rate);
    report.real("min_us", hist.min_us());
    report.real("mean_us", hist.mean_us());
    report.real("p50_us", hist.percentile_us(0.5));
    report.real("p90_us", hist.percentile_us(0.9));
    report.real("p99_us", hist.percentile_us(0.99));
    report.real("p999_us", hist.percentile_us(0.999));
    report.real("max_us", hist.max_us());
    report.text("seed", format!("{:#x}", common.seed));
    report
}

fn transact(
    options: &Rr,
    common: &Common,
    hist: &mut Histogram,
    time: &mut Duration,
) -> Result<(), Fault> {
    let mut gate = gate::open(options.gate, common.timeout)?;
    let mut conn = Conn::connect(options.addr, common.timeout, common.timeout)?;
    let hello = Hello {
        mode: Mode::Rr,
        seed: common.seed,
        length: UNLIMITED,
        timeout: common.timeout,
    };
    conn.write_full(&hello.encode(), "sending the hello to")?;
    let content = Content::new(common.seed);
    gate::wait_go(&mut gate)?;
    let start = Instant::now();
    let mut before = start;
    let mut response = [0];
    for number in 0u64.. {
        // The slice is looked up once for many transactions.
        let place = (number % MAX_SLICE as u64) as usize;
        let request = &content.at(number - place as u64, MAX_SLICE)[place..=place];
        conn.write_full(request, "sending a request to")?;
        conn.read_full(&mut response, "waiting for a response from")?;
        let now = Instant::now();
        if response != *request {
            return Err(Fault::corrupt(format!(
                "response {number} is {:#04x} instead of {:#04x}",
                response[0], request[0]
            )));
        }
        hist.add(now.duration_since(before));
        before = now;
        *time = now.duration_since(start);
        let over = match options.limit {
            Limit::Time(limit) => *time >= limit,
            Limit::Bytes(count) => number + 1 >= count,
        };
        if over {
            break;
        }
    }
    gate::finish(&mut gate)?;
    conn.end_writing()
}
