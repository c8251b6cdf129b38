// SPDX-License-Identifier: GPL-2.0
//! A gate: when a load begins and when its program ends is decided by a
//! driver elsewhere, by datagrams.
//!
//! A profiler counts between the two, so that neither starting the program nor
//! reporting falls into what it counts.
//!
//! ```text
//!  0  magic   "NC2G"
//!  4  word    what the driver asks (1 to 3) or the program answers (129 on)
//!  5  zero    three bytes
//! ```

use crate::fault::{is_interrupt, Fault};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Bytes of a message.
const LENGTH: usize = 8;
const MAGIC: [u8; 4] = *b"NC2G";

/// What a driver asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Say where you are.
    Hello,
    /// Begin.
    Go,
    /// Report and exit.
    End,
}

/// Where the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for [`Ask::Go`].
    Ready,
    /// It works.
    Running,
    /// All its work is done; it waits for [`Ask::End`].
    Done,
    /// It is about to exit.
    Ended,
}

/// What a datagram asks, if it is a gate's at all.
pub(crate) fn decode(data: &[u8]) -> Option<Ask> {
    let rest = data.strip_prefix(&MAGIC)?;
    match rest {
        [1, 0, 0, 0] => Some(Ask::Hello),
        [2, 0, 0, 0] => Some(Ask::Go),
        [3, 0, 0, 0] => Some(Ask::End),
        _ => None,
    }
}

/// The datagram that says `state`.
pub(crate) fn encode(state: State) -> [u8; LENGTH] {
    let word = match state {
        State::Ready => 129,
        State::Running => 130,
        State::Done => 131,
        State::Ended => 132,
    };
    let mut data = [0; LENGTH];
    data[..4].copy_from_slice(&MAGIC);
    data[4] = word;
    data
}

/// A gate with a port of its own.
pub(crate) struct Gate {
    socket: UdpSocket,
    driver: Option<SocketAddr>,
    patience: Duration,
}

impl Gate {
    /// Opens the gate on `port`; each of its waits lasts `patience` at most.
    pub(crate) fn open(port: u16, patience: Duration) -> Result<Self, Fault> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
            .map_err(|e| Fault::network(format!("opening the gate on UDP port {port}: {e}")))?;
        Ok(Gate {
            socket,
            driver: None,
            patience,
        })
    }

    /// Waits until the driver says go.
    pub(crate) fn wait_go(&mut self) -> Result<(), Fault> {
        self.wait(Ask::Go, State::Ready)?;
        self.say(State::Running);
        Ok(())
    }

    /// Tells the driver that the work is done and waits until it says end.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.say(State::Done);
        self.wait(Ask::End, State::Done)?;
        self.say(State::Ended);
        Ok(())
    }

    /// Waits for `wanted`; to all else the answer is `state`.
    fn wait(&mut self, wanted: Ask, state: State) -> Result<(), Fault> {
        let doing = format!("waiting for {wanted:?} at the gate");
        let end = Instant::now() + self.patience;
        let mut buf = [0; LENGTH + 1];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.socket
                .set_read_timeout(Some(left))
                .map_err(|e| Fault::io(&doing, self.patience, &e))?;
            match self.socket.recv_from(&mut buf) {
                Ok((count, peer)) => {
                    let Some(ask) = decode(&buf[..count]) else {
                        continue;
                    };
                    self.driver = Some(peer);
                    if ask == wanted {
                        return Ok(());
                    }
                    self.say(state);
                }
                Err(e) if is_interrupt(&e) => {}
                Err(e) => return Err(Fault::io(&doing, self.patience, &e)),
            }
        }
    }

    fn say(&self, state: State) {
        if let Some(driver) = self.driver {
            // A driver that misses an answer asks again.
            let _ = self.socket.send_to(&encode(state), driver);
        }
    }
}

/// Waits at the gate if there is one.
pub(crate) fn wait_go(gate: &mut Option<Gate>) -> Result<(), Fault> {
    gate.as_mut().map_or(Ok(()), Gate::wait_go)
}

/// Finishes at the gate if there is one.
pub(crate) fn finish(gate: &mut Option<Gate>) -> Result<(), Fault> {
    gate.as_mut().map_or(Ok(()), Gate::finish)
}

/// Opens the gate that the command line asks for.
pub(crate) fn open(port: Option<u16>, patience: Duration) -> Result<Option<Gate>, Fault> {
    port.map(|port| Gate::open(port, patience)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn only_what_a_driver_says_is_understood() {
        assert_eq!(decode(b"NC2G\x01\0\0\0"), Some(Ask::Hello));
        assert_eq!(decode(b"NC2G\x03\0\0\0"), Some(Ask::End));
        for other in [&b"NC2G"[..], b"NC2G\x01\0\0\0\0", b"NC2G\x81\0\0\0", b""] {
            assert_eq!(decode(other), None);
        }
        assert_eq!(decode(&encode(State::Done)), None);
    }

    #[test]
    fn the_driver_begins_and_ends() {
        let mut gate = Gate::open(0, Duration::from_secs(5)).unwrap();
        let port = gate.socket.local_addr().unwrap().port();
        let program = thread::spawn(move || gate.wait_go().and_then(|()| gate.finish()));
        let driver = UdpSocket::bind("127.0.0.1:0").unwrap();
        driver.connect(("127.0.0.1", port)).unwrap();
        let answer = |ask: u8| {
            let mut data = *b"NC2G\0\0\0\0";
            data[4] = ask;
            driver.send(&data).unwrap();
            let mut buf = [0; 16];
            let count = driver.recv(&mut buf).unwrap();
            buf[..count].to_vec()
        };
        assert_eq!(answer(1), encode(State::Ready));
        assert_eq!(answer(2), encode(State::Running));
        let mut buf = [0; 16];
        let count = driver.recv(&mut buf).unwrap();
        assert_eq!(buf[..count], encode(State::Done));
        assert_eq!(answer(3), encode(State::Ended));
        assert!(program.join().unwrap().is_ok());
    }

    #[test]
    fn a_gate_that_nobody_opens_is_a_fault() {
        let mut gate = Gate::open(0, Duration::from_millis(30)).unwrap();
        let what = gate.wait_go().unwrap_err().what;
        assert_eq!(what, "timed out after 0.03 s waiting for Go at the gate");
    }
}
