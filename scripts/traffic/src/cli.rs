// SPDX-License-Identifier: GPL-2.0
//! The command line, turned into one [`Command`] and its [`Common`] options.

use crate::args::Bag;
use crate::dgram;
use crate::icmp::MAX_PAYLOAD;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The port of `serve` unless `--port` says otherwise.
pub(crate) const PORT: u16 = 5202;

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
    /// How long transactions go on.
    pub seconds: Duration,
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

/// Parses a whole command line, program name first.
pub(crate) fn parse<I>(words: I) -> Result<(Command, Common), String>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut parser = lexopt::Parser::from_iter(words);
    let name = match parser.next().map_err(|e| e.to_string())? {
        Some(lexopt::Arg::Value(value)) => value.to_string_lossy().into_owned(),
        Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => return Ok(help()),
        _ => return Err("the first word names no command".to_owned()),
    };
    let own: &[&str] = match name.as_str() {
        "help" => return Ok(help()),
        "serve" => &["bind", "seconds"],
        "ping-sweep" => &[
            "from",
            "to",
            "step",
            "window",
            "window-bytes",
            "retry-after",
            "max-failures",
        ],
        "tcp" => &["dir", "seconds", "bytes", "streams"],
        "udp" => &["size", "count", "rate", "window", "max-loss"],
        "rr" => &["seconds"],
        "load" => &["seconds", "rate", "size", "block", "gap"],
        _ => return Err(format!("there is no command `{name}`")),
    };
    let Some(bag) = Bag::read(&mut parser, own)? else {
        return Ok(help());
    };
    let common = Common {
        json: bag.has("json"),
        timeout: bag.seconds("timeout")?.unwrap_or(Duration::from_secs(5)),
        seed: bag.whole("seed", 0..=u64::MAX)?.unwrap_or_else(fresh_seed),
    };
    let command = match name.as_str() {
        "serve" => Command::Serve(serve(&bag)?),
        "ping-sweep" => Command::PingSweep(ping_sweep(&bag)?),
        "tcp" => Command::Tcp(tcp(&bag)?),
        "udp" => Command::Udp(udp(&bag)?),
        "rr" => Command::Rr(Rr {
            addr: target(&bag)?,
            seconds: needed_seconds(&bag)?,
        }),
        _ => Command::Load(load(&bag)?),
    };
    Ok((command, common))
}

fn help() -> (Command, Common) {
    let common = Common {
        json: false,
        timeout: Duration::from_secs(5),
        seed: 0,
    };
    (Command::Help, common)
}

fn serve(bag: &Bag) -> Result<Serve, String> {
    bag.no_operand()?;
    let ip = match bag.text("bind") {
        Some(given) => address(given)?,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok(Serve {
        bind: SocketAddr::new(ip, port(bag, 0)?),
        seconds: bag.seconds("seconds")?,
    })
}

fn ping_sweep(bag: &Bag) -> Result<PingSweep, String> {
    let IpAddr::V4(addr) = address(bag.operand("an IPv4 address")?)? else {
        return Err("ping-sweep speaks IPv4 only".to_owned());
    };
    let from = small(bag.needed("from", 0..=MAX_PAYLOAD as u64)?);
    let to = small(bag.needed("to", u64::from(from)..=MAX_PAYLOAD as u64)?);
    Ok(PingSweep {
        addr,
        from,
        to,
        step: small(bag.whole("step", 1..=65_535)?.unwrap_or(1)),
        window: small(bag.whole("window", 1..=1024)?.unwrap_or(32)) as usize,
        // The kernel that answers has buffers for two of the largest replies
        // and drops what goes beyond, so more is not sent to it at once.
        window_bytes: small(bag.whole("window-bytes", 1..=16 << 20)?.unwrap_or(131_072)) as usize,
        retry_after: bag.millis("retry-after", 1000)?,
        max_failures: small(bag.whole("max-failures", 1..=65_536)?.unwrap_or(16)) as usize,
    })
}

fn tcp(bag: &Bag) -> Result<Tcp, String> {
    let addr = target(bag)?;
    let dir = match bag.text("dir") {
        Some("send") => Direction::Send,
        Some("recv") => Direction::Recv,
        Some("both") => Direction::Both,
        Some(other) => return Err(format!("--dir is `{other}`, not send, recv or both")),
        None => return Err("the command needs --dir send|recv|both".to_owned()),
    };
    // The largest count is the wire's mark for "no limit".
    let bytes = bag.whole("bytes", 1..=u64::MAX - 1)?;
    let limit = match (bag.seconds("seconds")?, bytes) {
        (Some(time), None) => Limit::Time(time),
        (None, Some(bytes)) => Limit::Bytes(bytes),
        _ => return Err("the command needs either --seconds or --bytes".to_owned()),
    };
    Ok(Tcp {
        addr,
        dir,
        limit,
        streams: small(bag.whole("streams", 1..=64)?.unwrap_or(1)),
    })
}

fn udp(bag: &Bag) -> Result<Udp, String> {
    Ok(Udp {
        addr: target(bag)?,
        size: datagram_size(bag.needed("size", dgram::MIN..=dgram::MAX)?),
        count: small(bag.needed("count", 1..=100_000_000)?),
        rate: bag.real("rate", 0.01..=10_000_000.0)?,
        window: small(bag.whole("window", 1..=65_536)?.unwrap_or(32)) as usize,
        max_loss_percent: bag.real("max-loss", 0.0..=100.0)?.unwrap_or(0.0),
    })
}

fn load(bag: &Bag) -> Result<Load, String> {
    Ok(Load {
        addr: target(bag)?,
        seconds: needed_seconds(bag)?,
        rate: bag.real("rate", 0.1..=100_000.0)?.unwrap_or(100.0),
        size: datagram_size(bag.whole("size", dgram::MIN..=dgram::MAX)?.unwrap_or(1200)),
        block: small(bag.whole("block", 1..=65_536)?.unwrap_or(16_384)) as usize,
        gap: bag.millis("gap", 1000)?,
    })
}

fn target(bag: &Bag) -> Result<SocketAddr, String> {
    let ip = address(bag.operand("the server's IP address")?)?;
    Ok(SocketAddr::new(ip, port(bag, 1)?))
}

fn port(bag: &Bag, lowest: u64) -> Result<u16, String> {
    let given = bag.whole("port", lowest..=65_535)?;
    Ok(given.and_then(|p| u16::try_from(p).ok()).unwrap_or(PORT))
}

fn needed_seconds(bag: &Bag) -> Result<Duration, String> {
    bag.seconds("seconds")?
        .ok_or_else(|| "the command needs --seconds".to_owned())
}

fn address(given: &str) -> Result<IpAddr, String> {
    // Names are not looked up: a static binary in an initramfs has no resolver.
    given
        .parse()
        .map_err(|_| format!("`{given}` is not an IP address"))
}

fn datagram_size(value: u64) -> usize {
    small(value) as usize
}

/// Narrows a number whose option range already fits.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A seed that differs from run to run, so stale traffic never verifies.
fn fresh_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (now.as_secs() << 32) ^ (u64::from(now.subsec_nanos()) << 12) ^ u64::from(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, Common), String> {
        parse(line.split_whitespace())
    }

    #[test]
    fn every_command_parses() {
        for line in [
            "x serve",
            "x serve --port 0 --bind ::1 --seconds 2 --json",
            "x ping-sweep 10.0.0.1 --from 0 --to 65507 --step 7 --window 8",
            "x tcp 10.0.0.1 --dir both --bytes 100000 --streams 4 --port 9",
            "x udp fd00::1 --size 1472 --count 10 --rate 5 --max-loss 0.5",
            "x rr 10.0.0.1 --seconds 0.5 --timeout 60",
            "x load 10.0.0.1 --seconds 30 --seed 0xbeef",
        ] {
            assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
        }
        assert!(matches!(parsed("x --help"), Ok((Command::Help, _))));
        assert!(matches!(parsed("x tcp --help"), Ok((Command::Help, _))));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "x",
            "x dance",
            "x serve 10.0.0.1",
            "x ping-sweep ::1 --from 0 --to 1",
            "x ping-sweep 10.0.0.1 --from 9 --to 8",
            "x ping-sweep 10.0.0.1 --from 9 --to 65508",
            "x tcp 10.0.0.1 --dir up --bytes 1",
            "x tcp 10.0.0.1 --dir send",
            "x tcp 10.0.0.1 --dir send --bytes 1 --seconds 1",
            "x udp 10.0.0.1 --size 3 --count 1",
            "x rr host --seconds 1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn seeds_are_kept() {
        let (_, common) = parsed("x rr 10.0.0.1 --seconds 1 --seed 0x10").unwrap();
        assert_eq!(common.seed, 16);
        assert_eq!(common.timeout, Duration::from_secs(5));
    }
}
