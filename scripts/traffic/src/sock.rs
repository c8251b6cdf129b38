// SPDX-License-Identifier: GPL-2.0
//! Sockets with time-outs and room for bursts.

use crate::fault::{is_interrupt, Fault};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{SockRef, Socket};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// Receive buffer asked for where bursts of large datagrams arrive.
const RECV_BUFFER: usize = 8 << 20;

/// Kernel memory one IP fragment in a receive buffer is charged with: a page
/// of data from a network frontend, and the descriptors around it.
const FRAGMENT_COST: usize = 5120;

/// Payload of one IP fragment on a path with the usual MTU.
const FRAGMENT: usize = 1480;

/// A TCP connection and the longest one operation on it waits.
pub(crate) struct Conn {
    stream: TcpStream,
    peer: SocketAddr,
    timeout: Duration,
}

impl Conn {
    /// Connects within `patience`; later operations wait up to `timeout`.
    pub(crate) fn connect(
        peer: SocketAddr,
        patience: Duration,
        timeout: Duration,
    ) -> Result<Self, Fault> {
        let doing = format!("connecting to {peer}");
        let stream = TcpStream::connect_timeout(&peer, patience)
            .map_err(|e| Fault::io(&doing, patience, &e))?;
        Conn::adopt(stream, peer, timeout)
    }

    /// Takes over a connection that is there already.
    pub(crate) fn adopt(
        stream: TcpStream,
        peer: SocketAddr,
        timeout: Duration,
    ) -> Result<Self, Fault> {
        let mut conn = Conn {
            stream,
            peer,
            timeout,
        };
        // Small requests are measured, so they leave at once.
        let nodelay = conn.stream.set_nodelay(true);
        nodelay.map_err(|e| conn.fault("setting up the connection with", &e))?;
        conn.set_timeout(timeout)?;
        Ok(conn)
    }

    /// Changes the longest one operation waits.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.timeout = timeout;
        self.stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| self.stream.set_write_timeout(Some(timeout)))
            .map_err(|e| self.fault("setting time-outs of the connection with", &e))
    }

    /// A second handle on the same connection.
    pub(crate) fn twin(&self) -> Result<Self, Fault> {
        let stream = self.stream.try_clone();
        Ok(Conn {
            stream: stream.map_err(|e| self.fault("duplicating the connection with", &e))?,
            peer: self.peer,
            timeout: self.timeout,
        })
    }

    /// Reads what is there, at least one byte; 0 is the end of the stream.
    /// `doing` reads like "waiting for content from"; the peer is appended.
    pub(crate) fn read(&mut self, buf: &mut [u8], doing: &str) -> Result<usize, Fault> {
        loop {
            match self.stream.read(buf) {
                Ok(count) => return Ok(count),
                Err(e) if is_interrupt(&e) => {}
                Err(e) => return Err(self.fault(doing, &e)),
            }
        }
    }

    /// Fills `buf`.
    pub(crate) fn read_full(&mut self, buf: &mut [u8], doing: &str) -> Result<(), Fault> {
        let mut have = 0;
        while have < buf.len() {
            let count = self.read(&mut buf[have..], doing)?;
            if count == 0 {
                let (peer, wanted) = (self.peer, buf.len());
                return Err(Fault::network(format!(
                    "{doing} {peer}: the connection ends after {have} of {wanted} bytes"
                )));
            }
            have += count;
        }
        Ok(())
    }

    /// Writes some of `data`, at least one byte.
    pub(crate) fn write(&mut self, data: &[u8], doing: &str) -> Result<usize, Fault> {
        loop {
            match self.stream.write(data) {
                Ok(0) => return Err(Fault::network(format!("{doing} {}: no room", self.peer))),
                Ok(count) => return Ok(count),
                Err(e) if is_interrupt(&e) => {}
                Err(e) => return Err(self.fault(doing, &e)),
            }
        }
    }

    /// Writes all of `data`.
    pub(crate) fn write_full(&mut self, data: &[u8], doing: &str) -> Result<(), Fault> {
        let mut done = 0;
        while done < data.len() {
            done += self.write(&data[done..], doing)?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more is written.
    pub(crate) fn end_writing(&self) -> Result<(), Fault> {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .map_err(|e| self.fault("ending the stream to", &e))
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn fault(&self, doing: &str, error: &std::io::Error) -> Fault {
        Fault::io(&format!("{doing} {}", self.peer), self.timeout, error)
    }
}

/// A UDP socket that talks to `peer` only and wakes every `tick`.
pub(crate) fn udp_client(peer: SocketAddr, tick: Duration) -> Result<(UdpSocket, usize), Fault> {
    let any = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let doing = format!("opening a UDP socket to {peer}");
    UdpSocket::bind(any)
        .and_then(|socket| {
            socket.connect(peer)?;
            socket.set_read_timeout(Some(tick))?;
            socket.set_write_timeout(Some(tick.max(Duration::from_secs(1))))?;
            let room = grow(&SockRef::from(&socket));
            Ok((socket, room))
        })
        .map_err(|e| Fault::io(&doing, tick, &e))
}

/// Asks for a large receive buffer and returns what there is then.
pub(crate) fn grow(socket: &Socket) -> usize {
    // Root may exceed the system's limit; anybody else gets what it allows.
    if set_socket_recv_buffer_size_force(socket.as_fd(), RECV_BUFFER).is_err() {
        // A smaller buffer only narrows the window, so failing is fine.
        let _ = socket.set_recv_buffer_size(RECV_BUFFER);
    }
    socket.recv_buffer_size().unwrap_or(0)
}

/// How many datagrams of `size` bytes a receive buffer of `room` bytes holds,
/// at least one and at most `wanted`.
pub(crate) fn fitting_window(wanted: usize, size: usize, room: usize) -> usize {
    let cost = (size.div_ceil(FRAGMENT)).max(1) * FRAGMENT_COST;
    wanted.min(room / cost).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn windows_fit_the_buffer() {
        assert_eq!(fitting_window(32, 100, 1 << 20), 32);
        assert_eq!(fitting_window(32, 65_507, 425_984), 1);
        assert_eq!(fitting_window(32, 20, 0), 1);
    }

    #[test]
    fn silence_and_early_ends_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let short = Duration::from_millis(50);
        let mut conn = Conn::connect(addr, short, short).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let mut byte = [0; 4];
        let fault = conn.read_full(&mut byte, "waiting for a word from");
        let what = fault.unwrap_err().what;
        assert_eq!(
            what,
            format!("timed out after 0.05 s waiting for a word from {addr}")
        );
        drop(peer);
        let what = conn.read_full(&mut byte, "waiting for a word from");
        assert!(what.unwrap_err().what.contains("ends after 0 of 4 bytes"));
    }
}
