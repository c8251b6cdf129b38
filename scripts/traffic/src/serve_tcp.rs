// SPDX-License-Identifier: GPL-2.0
//! One TCP connection of the server.

use crate::content::{Content, Sum, MAX_SLICE};
use crate::fault::{Fault, Kind};
use crate::hello::{Hello, Mode, Verdict, HELLO, UNLIMITED};
use crate::report::{mbit_per_s, Report};
use crate::serve::Tally;
use crate::sock::Conn;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest a client can make the server wait.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// What became of a connection's content.
#[derive(Default)]
struct Outcome {
    bytes: u64,
    first_bad: Option<u64>,
}

/// Serves one connection to its end.
pub(crate) fn run(stream: TcpStream, peer: SocketAddr, timeout: Duration, tally: &Tally) -> Report {
    let start = Instant::now();
    let mut report = Report::new("serve");
    report.text("event", "connection");
    report.text("peer", peer.to_string());
    let mut outcome = Outcome::default();
    let done = Conn::adopt(stream, peer, timeout)
        .and_then(|mut conn| converse(&mut conn, timeout, &mut outcome, &mut report));
    report.whole("bytes", outcome.bytes);
    report.real("mbit_s", mbit_per_s(outcome.bytes, start.elapsed()));
    tally.tcp_bytes.fetch_add(outcome.bytes, Ordering::Relaxed);
    let mut damaged = outcome.first_bad.is_some();
    if let Some(at) = outcome.first_bad {
        report.problem(format!("content from the client is damaged at byte {at}"));
    }
    if let Err(fault) = done {
        damaged |= fault.kind == Kind::Corrupt;
        report.problem(fault.to_string());
    }
    if damaged {
        tally.corrupted.fetch_add(1, Ordering::Relaxed);
    }
    report
}

fn converse(
    conn: &mut Conn,
    timeout: Duration,
    outcome: &mut Outcome,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut bytes = [0; HELLO];
    conn.read_full(&mut bytes, "waiting for the hello of")?;
    let Some(hello) = Hello::decode(&bytes) else {
        return refuse(conn);
    };
    report.text("mode", hello.mode.name());
    // A client that expects an outage keeps the server patient, too.
    conn.set_timeout(timeout.max(hello.timeout).min(MOST_PATIENCE))?;
    match hello.mode {
        Mode::Sink => sink(conn, &hello, outcome),
        Mode::Source => source(conn, &hello, outcome),
        Mode::Echo => echo(conn, &hello, outcome, MAX_SLICE),
        Mode::Rr => echo(conn, &hello, outcome, 1),
    }
}

/// Tells the client that its hello makes no sense, and lets it finish: closing
/// at once could destroy the verdict on its way.
fn refuse(conn: &mut Conn) -> Result<(), Fault> {
    let verdict = Verdict {
        understood: false,
        bytes: 0,
        sum: 0,
        first_bad: Some(0),
    };
    conn.write_full(&verdict.encode(), "refusing the hello of")?;
    conn.end_writing()?;
    let mut rest = vec![0; 4096];
    for _ in 0..4096 {
        if conn.read(&mut rest, "draining")? == 0 {
            break;
        }
    }
    let peer = conn.peer();
    Err(Fault::corrupt(format!("the hello of {peer} is damaged")))
}

fn sink(conn: &mut Conn, hello: &Hello, outcome: &mut Outcome) -> Result<(), Fault> {
    let content = Content::new(hello.seed);
    let mut sum = Sum::default();
    let mut buf = vec![0; MAX_SLICE];
    loop {
        let count = conn.read(&mut buf, "waiting for content from")?;
        if count == 0 {
            break;
        }
        verify(&content, &buf[..count], outcome);
        sum.add(&buf[..count]);
    }
    let verdict = Verdict {
        understood: true,
        bytes: outcome.bytes,
        sum: sum.value(),
        first_bad: outcome.first_bad,
    };
    conn.write_full(&verdict.encode(), "sending the verdict to")?;
    conn.end_writing()?;
    if hello.length != UNLIMITED && hello.length != outcome.bytes {
        let (got, wanted) = (outcome.bytes, hello.length);
        return Err(Fault::network(format!(
            "the client ends its stream after {got} of {wanted} bytes"
        )));
    }
    Ok(())
}

fn source(conn: &mut Conn, hello: &Hello, outcome: &mut Outcome) -> Result<(), Fault> {
    let content = Content::new(hello.seed);
    let stop = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let mut twin = conn.twin()?;
    thread::scope(|scope| {
        // The client ends an unlimited stream by ending its own direction.
        let watcher = thread::Builder::new()
            .stack_size(crate::serve::STACK)
            .spawn_scoped(scope, || watch(&mut twin, &stop, &done));
        let sent = match watcher {
            Ok(_) => send(conn, &content, hello.length, &stop, outcome),
            Err(e) => Err(Fault::network(format!("starting the watcher thread: {e}"))),
        };
        let ended = conn.end_writing();
        // The watcher goes on until the client closes, so the last bytes are
        // not cut off by a reset.
        done.store(true, Ordering::Relaxed);
        sent.and(ended)
    })
}

/// Reads until the client ends its direction, then says stop.
fn watch(conn: &mut Conn, stop: &AtomicBool, done: &AtomicBool) {
    let mut nothing = [0; 16];
    loop {
        match conn.read(&mut nothing, "waiting for the end of") {
            // Nothing is expected from the client; ignoring it is enough.
            Ok(count) if count > 0 => {}
            Ok(_) => break,
            Err(fault) if fault.what.starts_with("timed out") && !done.load(Ordering::Relaxed) => {}
            Err(_) => break,
        }
    }
    stop.store(true, Ordering::Relaxed);
}

fn send(
    conn: &mut Conn,
    content: &Content,
    length: u64,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    while outcome.bytes < length && !stop.load(Ordering::Relaxed) {
        let left = usize::try_from(length - outcome.bytes).unwrap_or(MAX_SLICE);
        let slice = content.at(outcome.bytes, left.min(MAX_SLICE));
        outcome.bytes += conn.write(slice, "sending content to")? as u64;
    }
    Ok(())
}

fn echo(conn: &mut Conn, hello: &Hello, outcome: &mut Outcome, block: usize) -> Result<(), Fault> {
    let content = Content::new(hello.seed);
    let mut buf = vec![0; block];
    loop {
        let count = conn.read(&mut buf, "waiting for a block from")?;
        if count == 0 {
            return Ok(());
        }
        // Damage goes back as it is: the client names it where a test looks.
        verify(&content, &buf[..count], outcome);
        conn.write_full(&buf[..count], "returning a block to")?;
    }
}

fn verify(content: &Content, data: &[u8], outcome: &mut Outcome) {
    // One damaged byte often shifts all that follow, so the first is enough.
    if outcome.first_bad.is_none() {
        let bad = content.first_bad(outcome.bytes, data);
        outcome.first_bad = bad.map(|at| outcome.bytes + at as u64);
    }
    outcome.bytes += data.len() as u64;
}
