// SPDX-License-Identifier: GPL-2.0
//! What a command line asks for: one [`Command`] with its options, and [`Common`] ones.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Options every command takes.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// Print one JSON object on one line instead of text.
    pub json: bool,
    /// The longest any one socket operation waits.
    pub timeout: Duration,
    /// The seed all content of this run derives from.
    pub seed: u64,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// `--help`
    Help,
    /// `serve`
    Serve(Serve),
    /// `ping-sweep`
    PingSweep(PingSweep),
    /// `tcp`
    Tcp(Tcp),
    /// `udp`
    Udp(Udp),
    /// `rr`
    Rr(Rr),
    /// `load`
    Load(Load),
    /// `sink`
    Sink(Sink),
    /// `source`
    Source(Source),
    /// `trigger`
    Trigger(Trigger),
}

/// Options of `serve`.
#[derive(Debug)]
pub(crate) struct Serve {
    /// Where TCP and UDP listen; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Stop after this long; for ever when absent.
    pub seconds: Option<Duration>,
}

/// Options of `ping-sweep`.
#[derive(Debug)]
pub(crate) struct PingSweep {
    /// Who is pinged.
    pub addr: Ipv4Addr,
    /// The first payload size.
    pub from: u32,
    /// The last payload size, itself included.
    pub to: u32,
    /// From one size to the next.
    pub step: u32,
    /// The most echo requests outstanding.
    pub window: usize,
    /// The most payload bytes outstanding, one request being always allowed.
    pub window_bytes: usize,
    /// How long a request waits for its reply before it is sent again.
    pub retry_after: Duration,
    /// The sweep gives up after this many failed sizes.
    pub max_failures: usize,
}

/// Which way the bytes of `tcp` go, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Client to server.
    Send,
    /// Server to client.
    Recv,
    /// Both at once, on separate connections.
    Both,
}

/// When a transfer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// After this long.
    Time(Duration),
    /// After this many bytes on each connection.
    Bytes(u64),
}

/// Options of `tcp`.
#[derive(Debug)]
pub(crate) struct Tcp {
    /// The server.
    pub addr: SocketAddr,
    /// Which way the bytes go.
    pub dir: Direction,
    /// When each connection ends.
    pub limit: Limit,
    /// Connections at once, in each direction.
    pub streams: u32,
    /// The UDP port of the gate that the transfer waits at.
    pub gate: Option<u16>,
}

/// Options of `udp`.
#[derive(Debug)]
pub(crate) struct Udp {
    /// The server.
    pub addr: SocketAddr,
    /// Payload bytes of each datagram, header included.
    pub size: usize,
    /// Datagrams to send.
    pub count: u32,
    /// Datagrams a second; as fast as the window allows when absent.
    pub rate: Option<f64>,
    /// The most datagrams outstanding.
    pub window: usize,
    /// The share of datagrams that may be lost.
    pub max_loss_percent: f64,
}

/// Options of `rr`.
#[derive(Debug)]
pub(crate) struct Rr {
    /// The server.
    pub addr: SocketAddr,
    /// When the transactions end; bytes are transactions.
    pub limit: Limit,
    /// The UDP port of the gate that the transactions wait at.
    pub gate: Option<u16>,
}

/// Options of `load`.
#[derive(Debug)]
pub(crate) struct Load {
    /// The server.
    pub addr: SocketAddr,
    /// How long the traffic goes on.
    pub seconds: Duration,
    /// Datagrams, and TCP blocks, a second.
    pub rate: f64,
    /// Payload bytes of each datagram.
    pub size: usize,
    /// Bytes of each TCP block.
    pub block: usize,
    /// Silence longer than this counts as an outage.
    pub gap: Duration,
}

/// Options of `sink`.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Where datagrams are received, and the driver's words.
    pub port: u16,
    /// Datagrams to receive.
    pub count: u32,
    /// Whether the kernel may hand over several in one read.
    pub together: bool,
    /// Ends after so long without one, once the first has come; when the
    /// driver says so when absent.
    pub idle: Option<Duration>,
}

/// Options of `source`.
#[derive(Debug)]
pub(crate) struct Source {
    /// The receiver.
    pub addr: SocketAddr,
    /// Payload bytes of each datagram, header included.
    pub size: usize,
    /// Datagrams to send.
    pub count: u32,
    /// Datagrams a second; as fast as they go when absent.
    pub rate: Option<f64>,
    /// Datagrams sent without a pause.
    pub burst: u32,
    /// Datagrams that one call sends, cut by the kernel or the device.
    pub segments: u32,
    /// The UDP port of the gate that the source waits at.
    pub gate: Option<u16>,
}

/// Options of `trigger`.
#[derive(Debug)]
pub(crate) struct Trigger {
    /// The file of the kernel that is written.
    pub file: PathBuf,
    /// What is written, in one go.
    pub word: String,
    /// The UDP port of the gate that the write waits at.
    pub gate: u16,
}
