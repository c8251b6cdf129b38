// SPDX-License-Identifier: GPL-2.0
//! `sink` and `source`: datagrams one way, numbered, with hardly any work done
//! beside sending and receiving.
//!
//! ```text
//!  0  magic   "NC2S"
//!  4  seq     its number in the run
//!  8  length  of the whole datagram; what follows is not looked at
//! ```

use crate::fault::{is_interrupt, is_timeout, Fault};
use crate::gate::{self, Ask, State};
use crate::options::{Common, Sink, Source};
use crate::report::Report;
use crate::{segments, sock};
use socket2::SockRef;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the header.
pub(crate) const HEADER: usize = 12;
/// The smallest datagram: a header alone.
pub(crate) const MIN: u64 = HEADER as u64;
const MAGIC: [u8; 4] = *b"NC2S";

/// The header of datagram `seq`.
fn header(seq: u32, len: usize) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&seq.to_be_bytes());
    head[8..].copy_from_slice(&(len as u32).to_be_bytes());
    head
}

/// The number of a datagram that has all its bytes.
fn number(data: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?));
    (data.starts_with(&MAGIC) && word(8)? as usize == data.len()).then_some(())?;
    word(4)
}

/// Which datagrams of a run have come.
#[derive(Default)]
struct Seen {
    marks: Vec<u64>,
    received: u64,
    duplicates: u64,
    reordered: u64,
    damaged: u64,
    newest: Option<u32>,
    /// Calls that brought any.
    reads: u64,
    /// When the first and the last call were made that did, where a pause ends
    /// the run: the clock costs more than a small datagram.
    times: Option<(Instant, Instant)>,
}

impl Seen {
    fn new(count: u32) -> Self {
        Seen {
            marks: vec![0; count as usize / 64 + 1],
            ..Seen::default()
        }
    }

    fn note(&mut self, seq: u32, count: u32) {
        let (word, bit) = (seq as usize / 64, 1u64 << (seq % 64));
        match self.marks.get_mut(word) {
            Some(marks) if seq < count && *marks & bit == 0 => {
                *marks |= bit;
                self.received += 1;
            }
            Some(_) if seq < count => self.duplicates += 1,
            _ => self.damaged += 1,
        }
        if self.newest.is_some_and(|newest| newest > seq) {
            self.reordered += 1;
        } else {
            self.newest = Some(seq);
        }
    }
}

/// Receives until the driver says end, or no more come; every datagram has to
/// be there then.
pub(crate) fn sink(options: &Sink, common: &Common) -> Report {
    let mut report = Report::new("sink");
    let mut seen = Seen::new(options.count);
    if let Err(fault) = receive(options, common, &mut seen) {
        report.problem(fault.to_string());
    }
    let expected = u64::from(options.count);
    let lost = expected.saturating_sub(seen.received);
    for (what, count) in [
        ("are lost", lost),
        ("arrive twice", seen.duplicates),
        ("arrive damaged", seen.damaged),
    ] {
        if count > 0 {
            report.problem(format!("{count} of {expected} datagrams {what}"));
        }
    }
    report.whole("expected", expected);
    report.whole("received", seen.received);
    report.whole("reads", seen.reads);
    if let Some((first, last)) = seen.times {
        report.real("seconds", (last - first).as_secs_f64());
    }
    report.whole("lost", lost);
    report.whole("duplicates", seen.duplicates);
    report.whole("reordered", seen.reordered);
    report.whole("damaged", seen.damaged);
    report
}

fn receive(options: &Sink, common: &Common, seen: &mut Seen) -> Result<(), Fault> {
    let doing = format!("receiving on UDP port {}", options.port);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, options.port))
        .map_err(|e| Fault::network(format!("{doing}: {e}")))?;
    let room = sock::grow(&SockRef::from(&socket));
    socket
        .set_read_timeout(Some(common.timeout))
        .map_err(|e| Fault::io(&doing, common.timeout, &e))?;
    if options.together {
        segments::take_together(&socket)?;
    }
    let mut buf = vec![0; 65_536.min(room.max(2048))];
    let mut inbox = Inbox {
        socket: &socket,
        expected: options.count,
        state: State::Ready,
        driver: None,
    };
    while inbox.state != State::Ended {
        let read = if options.together {
            segments::receive(&socket, &mut buf)
        } else {
            let read = socket.recv_from(&mut buf);
            read.map(|(count, peer)| (count, count, peer))
        };
        let (count, each, peer) = match read {
            Ok(received) => received,
            Err(e) if is_interrupt(&e) => continue,
            Err(e) if is_timeout(&e) && seen.times.is_some() => break,
            Err(e) => return Err(Fault::io(&doing, common.timeout, &e)),
        };
        let before = seen.received;
        if count == 0 {
            seen.damaged += 1;
        }
        for datagram in buf[..count].chunks(each.max(1)) {
            inbox.take(datagram, peer, seen);
        }
        if seen.received == before {
            continue;
        }
        seen.reads += 1;
        if let Some(idle) = options.idle {
            let now = Instant::now();
            if let Some((_, last)) = &mut seen.times {
                *last = now;
            } else {
                seen.times = Some((now, now));
                let set = socket.set_read_timeout(Some(idle));
                set.map_err(|e| Fault::io(&doing, idle, &e))?;
            }
        }
    }
    Ok(())
}

/// Where datagrams and the driver's words arrive.
struct Inbox<'a> {
    socket: &'a UdpSocket,
    expected: u32,
    state: State,
    /// Who is told that all have come.
    driver: Option<SocketAddr>,
}

impl Inbox<'_> {
    fn take(&mut self, data: &[u8], peer: SocketAddr, seen: &mut Seen) {
        if let Some(seq) = number(data) {
            seen.note(seq, self.expected);
            if seen.received == u64::from(self.expected) && self.state != State::Done {
                self.state = State::Done;
                self.tell();
            }
        } else if let Some(ask) = gate::decode(data) {
            self.driver = Some(peer);
            match ask {
                Ask::Go if self.state == State::Ready => self.state = State::Running,
                Ask::End => self.state = State::Ended,
                _ => {}
            }
            self.tell();
        } else {
            seen.damaged += 1;
        }
    }

    /// Says how far it is; a word that is lost is asked for again.
    fn tell(&self) {
        if let Some(driver) = self.driver {
            let _ = self.socket.send_to(&gate::encode(self.state), driver);
        }
    }
}

/// Sends, and with a gate when the driver says go.
pub(crate) fn source(options: &Source, common: &Common) -> Report {
    let mut report = Report::new("source");
    let mut sent = 0;
    match send(options, common, &mut sent) {
        Ok(took) => report.real("seconds", took.as_secs_f64()),
        Err(fault) => report.problem(fault.to_string()),
    }
    report.whole("sent", sent);
    report.whole("bytes", sent * options.size as u64);
    report
}

/// How long it takes, without the wait at the gate.
fn send(options: &Source, common: &Common, sent: &mut u64) -> Result<Duration, Fault> {
    let mut gate = gate::open(options.gate, common.timeout)?;
    let (socket, _) = sock::udp_client(options.addr, common.timeout)?;
    if options.segments > 1 {
        segments::cut(&socket, options.size)?;
    }
    let mut data = vec![0; options.size * options.segments as usize];
    gate::wait_go(&mut gate)?;
    let start = Instant::now();
    let mut pause = 0;
    for first in (0..options.count).step_by(options.segments as usize) {
        if first >= pause {
            pause = first.saturating_add(options.burst);
            if let Some(rate) = options.rate {
                let due = start + Duration::from_secs_f64(f64::from(first) / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        let last = options.count.min(first.saturating_add(options.segments));
        for (seq, datagram) in (first..last).zip(data.chunks_mut(options.size)) {
            datagram[..HEADER].copy_from_slice(&header(seq, options.size));
        }
        let call = &data[..options.size * (last - first) as usize];
        loop {
            match socket.send(call) {
                Ok(_) => break,
                Err(e) if is_interrupt(&e) => {}
                // The queue of the device is full: it drains.
                Err(e) if crate::udp::no_buffers(&e) => thread::sleep(Duration::from_millis(1)),
                Err(e) => {
                    let doing = format!("sending to {}", options.addr);
                    return Err(Fault::io(&doing, common.timeout, &e));
                }
            }
        }
        *sent += u64::from(last - first);
    }
    let took = start.elapsed();
    gate::finish(&mut gate)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_the_trip() {
        let mut data = vec![0; 64];
        data[..HEADER].copy_from_slice(&header(7, 64));
        assert_eq!(number(&data), Some(7));
        assert_eq!(number(&data[..63]), None);
        assert_eq!(number(&data[..5]), None);
        data[0] = b'X';
        assert_eq!(number(&data), None);
    }

    #[test]
    fn every_datagram_is_accounted_for() {
        let mut seen = Seen::new(100);
        for seq in [0, 2, 1, 2, 99, 100] {
            seen.note(seq, 100);
        }
        assert_eq!((seen.received, seen.duplicates), (4, 1));
        assert_eq!((seen.reordered, seen.damaged), (1, 1));
    }
}
