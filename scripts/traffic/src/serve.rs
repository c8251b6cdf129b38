// SPDX-License-Identifier: GPL-2.0
//! `serve`: the peer of every other command but `ping-sweep`.

use crate::fault::Fault;
use crate::options::{Common, Serve};
use crate::report::{line, Report};
use crate::{serve_tcp, serve_udp};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Stack of a thread that moves content; its buffers are on the heap.
pub(crate) const STACK: usize = 256 << 10;

/// Connections served at once; more wait in the listen queue.
const MOST_CONNECTIONS: u64 = 256;

/// What the server counts.
#[derive(Default)]
pub(crate) struct Tally {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections being served.
    pub open: AtomicU64,
    /// Content bytes over TCP, both ways.
    pub tcp_bytes: AtomicU64,
    /// Sound datagrams returned.
    pub datagrams: AtomicU64,
    /// Damaged datagrams, and connections with damaged content.
    pub corrupted: AtomicU64,
}

/// Serves until the time is up, or for ever.
pub(crate) fn run(options: &Serve, common: &Common) -> Report {
    let mut report = Report::new("serve");
    let tally = Arc::new(Tally::default());
    if let Err(fault) = start(options, common, &tally) {
        report.problem(fault.to_string());
        return report;
    }
    match options.seconds {
        Some(time) => {
            let end = Instant::now() + time;
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                thread::sleep(left.max(Duration::from_millis(1)));
            }
        }
        None => loop {
            thread::park();
        },
    }
    let corrupted = tally.corrupted.load(Ordering::Relaxed);
    report.text("event", "end");
    report.whole("connections", tally.connections.load(Ordering::Relaxed));
    report.whole("tcp_bytes", tally.tcp_bytes.load(Ordering::Relaxed));
    report.whole("datagrams", tally.datagrams.load(Ordering::Relaxed));
    report.whole("corrupted", corrupted);
    if corrupted > 0 {
        report.problem(format!("{corrupted} pieces of content arrive damaged"));
    }
    report
}

fn start(options: &Serve, common: &Common, tally: &Arc<Tally>) -> Result<(), Fault> {
    let (listener, socket, addr) = bind(options.bind)?;
    let mut report = Report::new("serve");
    report.text("event", "listening");
    report.text("address", addr.ip().to_string());
    report.whole("port", addr.port().into());
    report.print(common.json);
    let (json, timeout) = (common.json, common.timeout);
    let udp_tally = Arc::clone(tally);
    spawn("udp", move || serve_udp::run(&socket, &udp_tally, json))?;
    let tcp_tally = Arc::clone(tally);
    spawn("accept", move || {
        accept(&listener, &tcp_tally, timeout, json);
    })
}

/// Opens TCP and UDP on the same port, which the kernel picks if it is 0.
fn bind(wanted: SocketAddr) -> Result<(TcpListener, UdpSocket, SocketAddr), Fault> {
    let listener = TcpListener::bind(wanted)
        .map_err(|e| Fault::network(format!("listening on TCP {wanted}: {e}")))?;
    let addr = listener
        .local_addr()
        .map_err(|e| Fault::network(format!("asking for the TCP port: {e}")))?;
    let socket = UdpSocket::bind(addr)
        .map_err(|e| Fault::network(format!("listening on UDP {addr}: {e}")))?;
    Ok((listener, socket, addr))
}

fn accept(listener: &TcpListener, tally: &Arc<Tally>, timeout: Duration, json: bool) {
    loop {
        let full = tally.open.load(Ordering::Relaxed) >= MOST_CONNECTIONS;
        let accepted = if full { None } else { listener.accept().ok() };
        let Some((stream, peer)) = accepted else {
            // Out of descriptors, or at the limit: some connection ends soon.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        tally.connections.fetch_add(1, Ordering::Relaxed);
        tally.open.fetch_add(1, Ordering::Relaxed);
        let own = Arc::clone(tally);
        let spawned = spawn("connection", move || {
            let report = serve_tcp::run(stream, peer, timeout, &own);
            own.open.fetch_sub(1, Ordering::Relaxed);
            report.print(json);
        });
        if let Err(fault) = spawned {
            // The stream is gone with the closure, which the peer notices.
            tally.open.fetch_sub(1, Ordering::Relaxed);
            line(&format!("serve: {fault}"));
        }
    }
}

/// Starts a detached thread.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(body)
        .map(drop)
        .map_err(|e| Fault::network(format!("starting the {name} thread: {e}")))
}
