// SPDX-License-Identifier: GPL-2.0
//! `tcp`: content-checked streams to the server, from it, or both at once.

use crate::content::{Content, Sum, MAX_SLICE};
use crate::fault::Fault;
use crate::gate;
use crate::hello::{Hello, Mode, Verdict, UNLIMITED, VERDICT};
use crate::options::{Common, Direction, Limit, Tcp};
use crate::report::{mbit_per_s, Report};
use crate::sock::Conn;
use std::thread;
use std::time::Instant;

/// Bytes that a stream hands to the kernel in one call: what Linux makes one
/// piece of for a device, 45 segments of an Ethernet.  A call of more would
/// leave a short rest, which goes by itself or with the next, as it happens.
const WRITE: usize = 45 * 1448;

/// How one connection ends.
struct Outcome {
    name: String,
    bytes: u64,
    sum: u64,
    fault: Option<Fault>,
}

/// Runs all streams and adds them up.
pub(crate) fn run(options: &Tcp, common: &Common) -> Report {
    let mut report = Report::new("tcp");
    let mut gate = match gate::open(options.gate, common.timeout) {
        Ok(gate) => gate,
        Err(fault) => {
            report.problem(fault.to_string());
            return report;
        }
    };
    if let Err(fault) = gate::wait_go(&mut gate) {
        report.problem(fault.to_string());
        return report;
    }
    let start = Instant::now();
    let (sent, received) = thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for stream in 0..options.streams {
            if options.dir != Direction::Recv {
                let (name, seed) = identify("send", common, stream, 0);
                senders.push(scope.spawn(move || outcome(send, name, seed, options, common)));
            }
            if options.dir != Direction::Send {
                let (name, seed) = identify("recv", common, stream, 1);
                receivers.push(scope.spawn(move || outcome(recv, name, seed, options, common)));
            }
        }
        let collect = |threads: Vec<thread::ScopedJoinHandle<'_, Outcome>>| {
            let all = threads.into_iter().map(thread::ScopedJoinHandle::join);
            all.collect::<Vec<_>>()
        };
        (collect(senders), collect(receivers))
    });
    let time = start.elapsed();
    if let Err(fault) = gate::finish(&mut gate) {
        report.problem(fault.to_string());
    }
    report.text(
        "dir",
        match options.dir {
            Direction::Send => "send",
            Direction::Recv => "recv",
            Direction::Both => "both",
        },
    );
    report.whole("streams", options.streams.into());
    report.real("seconds", time.as_secs_f64());
    let (sent_bytes, sent_sum) = add_up(sent, &mut report);
    let (received_bytes, received_sum) = add_up(received, &mut report);
    report.whole("bytes", sent_bytes + received_bytes);
    report.whole("bytes_sent", sent_bytes);
    report.whole("bytes_received", received_bytes);
    report.real("mbit_s", mbit_per_s(sent_bytes + received_bytes, time));
    report.real("mbit_s_sent", mbit_per_s(sent_bytes, time));
    report.real("mbit_s_received", mbit_per_s(received_bytes, time));
    let sum = sent_sum.wrapping_add(received_sum);
    report.text("checksum", format!("{sum:016x}"));
    report.text("seed", format!("{:#x}", common.seed));
    report
}

fn identify(what: &str, common: &Common, stream: u32, side: u64) -> (String, u64) {
    let seed = common.seed.wrapping_add(u64::from(stream) * 2 + side);
    (format!("{what} stream {stream}"), seed)
}

fn add_up(outcomes: Vec<thread::Result<Outcome>>, report: &mut Report) -> (u64, u64) {
    let mut bytes = 0;
    let mut sum = 0u64;
    for outcome in outcomes {
        let Ok(outcome) = outcome else {
            report.problem("a stream's thread fails");
            continue;
        };
        bytes += outcome.bytes;
        sum = sum.wrapping_add(outcome.sum);
        if let Some(fault) = outcome.fault {
            report.problem(format!("{}: {fault}", outcome.name));
        }
    }
    (bytes, sum)
}

type Body = fn(&mut Conn, &Content, &Tcp, &mut Sum) -> Result<(), Fault>;

fn outcome(body: Body, name: String, seed: u64, options: &Tcp, common: &Common) -> Outcome {
    let mut sum = Sum::default();
    let receives = name.starts_with("recv");
    let hello = Hello {
        mode: if receives { Mode::Source } else { Mode::Sink },
        seed,
        length: match options.limit {
            Limit::Bytes(bytes) => bytes,
            Limit::Time(_) => UNLIMITED,
        },
        timeout: common.timeout,
    };
    let done = Conn::connect(options.addr, common.timeout, common.timeout).and_then(|mut conn| {
        conn.write_full(&hello.encode(), "sending the hello to")?;
        body(&mut conn, &Content::new(seed), options, &mut sum)
    });
    Outcome {
        name,
        bytes: sum.bytes(),
        sum: sum.value(),
        fault: done.err(),
    }
}

fn send(conn: &mut Conn, content: &Content, options: &Tcp, sum: &mut Sum) -> Result<(), Fault> {
    let written = write_content(conn, content, options, sum);
    // A server that gives up early says why in its verdict.
    let verdict = conn
        .end_writing()
        .and_then(|()| read_verdict(conn))
        .map_err(|fault| match &written {
            Err(first) => first.clone(),
            Ok(()) => fault,
        })?;
    if !verdict.understood {
        return Err(Fault::corrupt("the server receives a damaged hello"));
    }
    if let Some(at) = verdict.first_bad {
        return Err(Fault::corrupt(format!(
            "the server receives damaged content from byte {at} on"
        )));
    }
    written?;
    if verdict.bytes != sum.bytes() {
        let (theirs, ours) = (verdict.bytes, sum.bytes());
        return Err(Fault::corrupt(format!(
            "the server receives {theirs} of {ours} bytes"
        )));
    }
    if verdict.sum != sum.value() {
        let (theirs, ours) = (verdict.sum, sum.value());
        return Err(Fault::corrupt(format!(
            "the server computes checksum {theirs:016x} instead of {ours:016x}"
        )));
    }
    Ok(())
}

fn write_content(
    conn: &mut Conn,
    content: &Content,
    options: &Tcp,
    sum: &mut Sum,
) -> Result<(), Fault> {
    let start = Instant::now();
    loop {
        let left = match options.limit {
            Limit::Time(time) if start.elapsed() >= time => 0,
            Limit::Time(_) => WRITE,
            Limit::Bytes(bytes) => {
                usize::try_from(bytes - sum.bytes()).map_or(WRITE, |l| l.min(WRITE))
            }
        };
        if left == 0 {
            return Ok(());
        }
        let slice = content.at(sum.bytes(), left);
        let count = conn.write(slice, "sending content to")?;
        sum.add(&slice[..count]);
    }
}

fn read_verdict(conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut bytes = [0; VERDICT];
    conn.read_full(&mut bytes, "waiting for the verdict of")?;
    Verdict::decode(&bytes).ok_or_else(|| Fault::corrupt("the server's verdict is damaged"))
}

fn recv(conn: &mut Conn, content: &Content, options: &Tcp, sum: &mut Sum) -> Result<(), Fault> {
    let start = Instant::now();
    let mut buf = vec![0; MAX_SLICE];
    let mut stopped = false;
    loop {
        if let Limit::Time(time) = options.limit {
            if !stopped && start.elapsed() >= time {
                conn.end_writing()?;
                stopped = true;
            }
        }
        let count = conn.read(&mut buf, "waiting for content from")?;
        if count == 0 {
            break;
        }
        let pos = sum.bytes();
        if let Some(at) = content.first_bad(pos, &buf[..count]) {
            let (at, got) = (pos + at as u64, buf[at]);
            let wanted = content.at(at, 1)[0];
            return Err(Fault::corrupt(format!(
                "byte {at} from the server is {got:#04x} instead of {wanted:#04x}"
            )));
        }
        sum.add(&buf[..count]);
    }
    let got = sum.bytes();
    match options.limit {
        Limit::Bytes(wanted) if got != wanted => Err(Fault::network(format!(
            "the server ends its stream after {got} of {wanted} bytes"
        ))),
        Limit::Time(_) if !stopped => Err(Fault::network(format!(
            "the server ends its stream after {got} bytes, before it is told to"
        ))),
        _ => Ok(()),
    }
}
