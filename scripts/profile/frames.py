"""Ethernet frames with ARP, IPv4 and UDP, written and read: what a host beyond the card sends and receives."""
import socket
import struct

ETHERTYPE_IP, ETHERTYPE_ARP = 0x0800, 0x0806
ARP_REQUEST, ARP_REPLY = 1, 2
UDP = 17
BROADCAST = b"\xff" * 6
MORE_FRAGMENTS = 0x2000
# Bytes of a fragment's payload on an Ethernet: a multiple of 8.
FRAGMENT = 1480
FLOW_MAGIC, GATE_MAGIC = b"NC2S", b"NC2G"
FLOW_HEADER = struct.Struct(">4sII")


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(target, source, kind):
    return target + source + struct.pack(">H", kind)


def arp(operation, source, sender, target_mac, target):
    """An ARP frame; addresses of hosts are four bytes."""
    to = BROADCAST if operation == ARP_REQUEST else target_mac
    body = struct.pack(">HHBBH", 1, ETHERTYPE_IP, 6, 4, operation) + source + sender + target_mac + target
    return ethernet(to, source, ETHERTYPE_ARP) + body


def add_words(data):
    """The sum of the 16-bit words of `data`, not yet folded."""
    if len(data) % 2:
        data += b"\0"
    return sum(struct.unpack(f">{len(data) // 2}H", data))


def checksum(total):
    """The Internet checksum of what sums up to `total`."""
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_header(source, target, length, identification, flags_offset):
    """An IPv4 header for `length` bytes of UDP."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, identification, flags_offset, 64, UDP, 0, source, target)
    return head[:10] + struct.pack(">H", checksum(add_words(head))) + head[12:]


class Datagrams:
    """Makes the frames of numbered datagrams, quickly: all that does not change is computed once."""

    def __init__(self, source, target, ports, size):
        """`source` and `target` are (MAC, address) pairs, `ports` the UDP ports in this order."""
        if size < FLOW_HEADER.size:
            raise ValueError(f"{size} bytes have no room for a number")
        self.ethernet = ethernet(target[0], source[0], ETHERTYPE_IP)
        self.addresses = source[1], target[1]
        self.size = size
        self.ports = ports
        self.rest = bytes(size - FLOW_HEADER.size)
        pseudo = source[1] + target[1] + struct.pack(">HH", UDP, 8 + size)
        fixed = struct.pack(">HHH", *ports, 8 + size) + FLOW_HEADER.pack(FLOW_MAGIC, 0, size)
        self.sum = add_words(pseudo) + add_words(fixed) + add_words(self.rest)

    def frames(self, number):
        """The frames of datagram `number`: several, if it is larger than an Ethernet carries."""
        # All ones instead of zero, which would say that there is no checksum.
        check = checksum(self.sum + (number >> 16) + (number & 0xffff)) or 0xffff
        head = struct.pack(">HHHH", *self.ports, 8 + self.size, check) + FLOW_HEADER.pack(FLOW_MAGIC, number, self.size)
        datagram = head + self.rest
        if len(datagram) <= FRAGMENT:
            # Not to be fragmented: no identification is needed.
            return [self.ethernet + ip_header(*self.addresses, len(datagram), 0, 0x4000) + datagram]
        frames = []
        for offset in range(0, len(datagram), FRAGMENT):
            piece = datagram[offset:offset + FRAGMENT]
            flags = MORE_FRAGMENTS if offset + FRAGMENT < len(datagram) else 0
            header = ip_header(*self.addresses, len(piece), number & 0xffff, flags | offset // 8)
            frames.append(self.ethernet + header + piece)
        return frames

    def frames_each(self):
        """How many frames a datagram has."""
        return -(-(8 + self.size) // FRAGMENT)


def udp_frame(source, target, ports, payload):
    """One frame with one datagram; `source`, `target` and `ports` as for Datagrams."""
    pseudo = source[1] + target[1] + struct.pack(">HH", UDP, 8 + len(payload))
    head = struct.pack(">HHH", *ports, 8 + len(payload))
    check = checksum(add_words(pseudo) + add_words(head) + add_words(payload)) or 0xffff
    datagram = head + struct.pack(">H", check) + payload
    return (ethernet(target[0], source[0], ETHERTYPE_IP) + ip_header(source[1], target[1], len(datagram), 0, 0x4000)
            + datagram)


def address(text):
    return socket.inet_aton(text)


class Reassembly:
    """Takes IPv4 frames and gives whole UDP datagrams: (source address, source port, target port, payload)."""

    def __init__(self):
        self.parts = {}

    def add(self, frame):
        """The datagram that `frame` completes, or None."""
        if len(frame) < 34 or frame[12:14] != b"\x08\x00" or frame[23] != UDP:
            return None
        length, identification, flags = struct.unpack_from(">HHH", frame, 16)
        payload = frame[14 + (frame[14] & 15) * 4:14 + length]
        if flags & 0x3fff == 0:
            return self._datagram(frame[26:30], payload)
        key = frame[26:30], identification
        parts = self.parts.setdefault(key, {})
        parts[(flags & 0x1fff) * 8] = payload, bool(flags & MORE_FRAGMENTS)
        whole = b""
        while (part := parts.get(len(whole))) is not None:
            whole += part[0]
            if not part[1]:
                del self.parts[key]
                return self._datagram(frame[26:30], whole)
        return None

    @staticmethod
    def _datagram(source, data):
        if len(data) < 8:
            return None
        from_port, to_port, length = struct.unpack_from(">HHH", data)
        return (source, from_port, to_port, data[8:length]) if length == len(data) else None
