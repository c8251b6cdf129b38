# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Ethernet frames of a small host: ARP, ICMP echo, and frames that nobody answers."""

import struct

BROADCAST = b"\xff" * 6
IPV4, ARP, EXPERIMENTAL = 0x0800, 0x0806, 0x88B5


def address(text):
    """Takes an IPv4 address apart."""
    return bytes(int(part) for part in text.split("."))


def mac_of(text):
    """Takes an Ethernet address apart."""
    return bytes.fromhex(text.replace(":", ""))


def checksum(octets):
    """Computes the Internet checksum."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def ethernet(destination, source, kind, payload):
    """Builds a frame, at least as long as Ethernet wants it."""
    return (destination + source + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def junk(source, length):
    """Builds a frame of `length` bytes that every receiver drops."""
    header = BROADCAST + source + struct.pack("!H", EXPERIMENTAL)
    return header + bytes(length - len(header))


def arp(operation, source, source_ip, target, target_ip):
    """Builds an ARP request (1, to everyone) or reply (2)."""
    known = target if operation == 2 else bytes(6)
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + source + source_ip + known + target_ip
    return ethernet(target if operation == 2 else BROADCAST, source, ARP, body)


def ipv4(source_ip, target_ip, protocol, payload):
    """Builds an IPv4 packet."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + source_ip + target_ip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def echo(kind, ident, sequence, data):
    """Builds an ICMP echo request (8) or reply (0)."""
    head = struct.pack("!BBHHH", kind, 0, 0, ident, sequence)
    return head[:2] + struct.pack("!H", checksum(head + data)) + head[4:] + data


class Host:
    """A host that answers ARP and pings, and remembers the pings that were answered."""

    IDENT = 0x4E32

    def __init__(self, mac, ip, peer_ip):
        self.mac, self.ip, self.peer_ip = mac, address(ip), address(peer_ip)
        self.peer_mac = None
        self.answered = set()

    def who_has(self):
        """Builds the question for the peer's Ethernet address."""
        return arp(1, self.mac, self.ip, BROADCAST, self.peer_ip)

    def ping(self, sequence, size):
        """Builds an echo request with `size` bytes of data; the peer's address must be known."""
        body = ipv4(self.ip, self.peer_ip, 1, echo(8, self.IDENT, sequence & 0xFFFF, bytes(i & 0xFF for i in range(size))))
        return ethernet(self.peer_mac, self.mac, IPV4, body)

    def datagram(self, size):
        """Builds a UDP packet with `size` bytes of data; to everyone while the peer's address is not known."""
        head = struct.pack("!HHHH", self.IDENT, 9, 8 + size, 0)
        body = ipv4(self.ip, self.peer_ip, 17, head + bytes(size))
        return ethernet(self.peer_mac or BROADCAST, self.mac, IPV4, body)

    def take(self, frame):
        """Takes a frame and returns the answer to it, or None."""
        if len(frame) < 34:
            return None
        (kind,) = struct.unpack_from("!H", frame, 12)
        if kind == ARP:
            return self._take_arp(frame)
        if kind == IPV4 and frame[23] == 1 and frame[30:34] == self.ip:
            return self._take_icmp(frame)
        return None

    def _take_arp(self, frame):
        (operation,) = struct.unpack_from("!H", frame, 20)
        sender, sender_ip, target_ip = frame[22:28], frame[28:32], frame[38:42]
        if sender_ip == self.peer_ip:
            self.peer_mac = sender
        if operation == 1 and target_ip == self.ip:
            return arp(2, self.mac, self.ip, sender, sender_ip)
        return None

    def _take_icmp(self, frame):
        start = 14 + (frame[14] & 15) * 4
        (total,) = struct.unpack_from("!H", frame, 16)
        message = frame[start : 14 + total]
        if len(message) < 8:
            return None
        kind, _, _, ident, sequence = struct.unpack_from("!BBHHH", message)
        if kind == 0 and ident == self.IDENT:
            self.answered.add(sequence)
        if kind == 8:
            body = ipv4(self.ip, frame[26:30], 1, echo(0, ident, sequence, message[8:]))
            return ethernet(frame[6:12], self.mac, IPV4, body)
        return None
