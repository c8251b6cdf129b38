// SPDX-License-Identifier: GPL-2.0
//! The command line, turned into one [`Command`] and its [`Common`] options.

use crate::args::Bag;
use crate::dgram;
use crate::flow;
use crate::icmp::MAX_PAYLOAD;
use crate::options::{
    Command, Common, Direction, Limit, Load, PingSweep, Rr, Serve, Sink, Source, Tcp, Trigger, Udp,
};
use crate::segments;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The port of `serve` unless `--port` says otherwise.
pub(crate) const PORT: u16 = 5202;

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
        "tcp" => &["dir", "seconds", "bytes", "streams", "gate"],
        "udp" => &["size", "count", "rate", "window", "max-loss"],
        "rr" => &["seconds", "count", "gate"],
        "load" => &["seconds", "rate", "size", "block", "gap"],
        "sink" => &["count", "together", "idle"],
        "source" => &["size", "count", "rate", "burst", "segments", "gate"],
        "trigger" => &["word", "gate"],
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
        "rr" => Command::Rr(rr(&bag)?),
        "sink" => Command::Sink(sink(&bag)?),
        "source" => Command::Source(source(&bag)?),
        "trigger" => Command::Trigger(trigger(&bag)?),
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
        gate: gate(bag)?,
    })
}

fn rr(bag: &Bag) -> Result<Rr, String> {
    let limit = match (
        bag.seconds("seconds")?,
        bag.whole("count", 1..=100_000_000)?,
    ) {
        (Some(time), None) => Limit::Time(time),
        (None, Some(count)) => Limit::Bytes(count),
        _ => return Err("the command needs either --seconds or --count".to_owned()),
    };
    Ok(Rr {
        addr: target(bag)?,
        limit,
        gate: gate(bag)?,
    })
}

fn sink(bag: &Bag) -> Result<Sink, String> {
    bag.no_operand()?;
    Ok(Sink {
        port: port(bag, 1)?,
        count: small(bag.needed("count", 1..=100_000_000)?),
        together: bag.has("together"),
        idle: bag.seconds("idle")?,
    })
}

fn source(bag: &Bag) -> Result<Source, String> {
    let size = bag.needed("size", flow::MIN..=dgram::MAX)?;
    let segments = bag.whole("segments", 1..=segments::MAX)?.unwrap_or(1);
    if segments.saturating_mul(size) > dgram::MAX {
        return Err(format!(
            "--segments {segments} of {size} bytes are more than the {} of one call",
            dgram::MAX
        ));
    }
    Ok(Source {
        addr: target(bag)?,
        size: datagram_size(size),
        count: small(bag.needed("count", 1..=100_000_000)?),
        rate: bag.real("rate", 0.01..=10_000_000.0)?,
        burst: small(bag.whole("burst", 1..=65_536)?.unwrap_or(1)),
        segments: small(segments),
        gate: gate(bag)?,
    })
}

fn trigger(bag: &Bag) -> Result<Trigger, String> {
    let word = bag.text("word").unwrap_or_default();
    if word.is_empty() {
        return Err("the command needs --word".to_owned());
    }
    Ok(Trigger {
        file: bag.operand("a file")?.into(),
        word: word.to_owned(),
        gate: gate(bag)?.ok_or("the command needs --gate")?,
    })
}

fn gate(bag: &Bag) -> Result<Option<u16>, String> {
    let given = bag.whole("gate", 1..=65_535)?;
    Ok(given.and_then(|port| u16::try_from(port).ok()))
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
            "x sink --count 5 --port 9",
            "x sink --count 5 --together --idle 0.5",
            "x source 10.0.0.1 --size 64 --count 5 --rate 100 --burst 6 --gate 7",
            "x source 10.0.0.1 --size 64 --count 5 --segments 64",
            "x rr 10.0.0.1 --count 9 --gate 7",
            "x tcp 10.0.0.1 --dir recv --bytes 1 --gate 7",
            "x trigger /proc/net/pktgen/pgctrl --word start --gate 7",
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
            "x rr 10.0.0.1 --seconds 1 --count 1",
            "x rr 10.0.0.1 --count 1 --gate 0",
            "x sink 10.0.0.1 --count 1",
            "x source 10.0.0.1 --size 11 --count 1",
            "x source 10.0.0.1 --size 64 --count 5 --segments 65",
            "x source 10.0.0.1 --size 1472 --count 5 --segments 64",
            "x trigger --word start --gate 7",
            "x trigger /proc/x --gate 7",
            "x trigger /proc/x --word start",
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
