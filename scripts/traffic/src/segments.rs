// SPDX-License-Identifier: GPL-2.0
//! Many datagrams in one call: sent in one piece that the kernel or a device
//! further down cuts up (`UDP_SEGMENT`), and read as they came (`UDP_GRO`).

use crate::fault::Fault;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{recvmsg, setsockopt, ControlMessageOwned, MsgFlags, SockaddrIn};
use std::io::{Error, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams that one call sends at most: `UDP_MAX_SEGMENTS` of Linux before 6.9.
pub(crate) const MAX: u64 = 64;

/// Has what is sent on `socket` cut into datagrams of `size` bytes.
pub(crate) fn cut(socket: &UdpSocket, size: usize) -> Result<(), Fault> {
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    setsockopt(socket, UdpGsoSegment, &size)
        .map_err(|e| Fault::network(format!("setting UDP_SEGMENT to {size}: {e}")))
}

/// Has datagrams that came together stay so until they are read.
pub(crate) fn take_together(socket: &UdpSocket) -> Result<(), Fault> {
    setsockopt(socket, UdpGroSegment, &true)
        .map_err(|e| Fault::network(format!("setting UDP_GRO: {e}")))
}

/// Reads what came together: its bytes, those of each datagram in it but the
/// last, and the sender. For an IPv4 socket.
pub(crate) fn receive(
    socket: &UdpSocket,
    buf: &mut [u8],
) -> Result<(usize, usize, SocketAddr), Error> {
    let mut room = nix::cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(buf)];
    let message = recvmsg::<SockaddrIn>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut room),
        MsgFlags::empty(),
    )?;
    let each = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
        _ => None,
    });
    let sender = message
        .address
        .ok_or_else(|| Error::new(ErrorKind::InvalidData, "a datagram without a sender"))?;
    Ok((
        message.bytes,
        each.unwrap_or(message.bytes),
        SocketAddr::V4(SocketAddrV4::from(sender)),
    ))
}
