# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies in packets that can be seen in the message alone."""

import store as keys
from lies import CLOSES, HARMLESS, add, lie
from protocol import (
    CSUM_PARTIAL,
    CSUM_VALID,
    FEATURE_CSUM,
    FEATURE_GSO_TCPV4,
    FEATURE_GSO_UDP_L4,
    FRAGMENT_SIZE,
    GSO_TCPV4,
    GSO_UDP_L4,
    NO_ID,
    PACKET_HEAD,
    WAY_GRANTED,
    WAY_INLINE,
    packet,
    rounded,
)

# The frame of all lies below is a question for the peer's address: 60 bytes, which fill a message of 96.
LENGTH = 60
SIZE = rounded(PACKET_HEAD + LENGTH)


def _inline(name, about, log, **lies):
    def run(channel, _side):
        channel.raw(packet(channel.host.who_has(), **lies))

    add(name, about, CLOSES, log, run=run)


def _granted(name, about, log, parts_of=None, **lies):
    """A packet of one fragment, or of what `parts_of(reference)` says."""

    def run(channel, _side):
        reference, offset, length = channel.place(0, channel.host.who_has())
        parts = [(reference, offset, length)] if parts_of is None else parts_of(reference)
        channel.raw(packet(b"", parts, **lies))

    add(name, about, CLOSES, log, run=run)


# Lengths.
for _length in (0, 13, 65536, 0xFFFFFFFF):
    _inline(f"length-{_length}", f"a packet has {_length} bytes", f"packet.length is {_length}: not in 14..=65535",
            length=_length)
_inline("inline-beyond-message", "more bytes are inline than the message has",
        f"message.size is {SIZE}: its contents take 1032 bytes", inline_length=1000, length=1000)
_inline("inline-2049", "more bytes are inline than may be", "packet.inline_length is 2049: at most 2048",
        inline_length=2049, length=2049)
_inline("inline-65535", "65535 bytes are inline", "packet.inline_length is 65535", inline_length=65535, length=65535)
_inline("inline-too-short", "an inline packet is not all inline", "packet.inline_length is 32", inline_length=32)
_inline("inline-too-long", "more bytes are inline than the packet has", "packet.inline_length is 60", length=59)
_inline("packet-size-short", "a packet's message is shorter than its head", "message.size is 16: its contents take 32",
        size=16)



@lie("packet-size-long", CLOSES, f"message.size is {SIZE + 8}: its contents take {SIZE}")
def packet_size_long(channel, _side):
    """A packet's message is longer than its contents."""
    channel.raw(packet(channel.host.who_has(), size=SIZE + 8) + bytes(8))


# Ways and ids.
for _way in (3, 4, 255):
    _inline(f"way-{_way}", f"a packet travels by way {_way}", f"packet.way is {_way}: unknown or not negotiated", way=_way)
_inline("inline-with-id", "an inline packet has an id", "packet.id is 3", ident=3)
_granted("granted-without-id", "a granted packet has no id", "packet.id is 65535", ident=NO_ID)
_granted("id-256", "a granted packet has an id beyond all", "packet.id is 256: not below 256", ident=256)
_granted("id-65534", "a granted packet has the highest id that is none", "packet.id is 65534", ident=65534)

# Fragments.
_inline("granted-without-fragments", "a granted packet has no fragment", "packet.fragments is 0", way=WAY_GRANTED, ident=0)
_granted("inline-with-fragments", "an inline packet has a fragment", "packet.fragments is 1", way=WAY_INLINE, ident=NO_ID)
_granted("fragments-19", "a packet has 19 fragments", "packet.fragments is 19", lambda ref: [(ref, 0, 60)] * 19)
_granted("fragments-255", "a packet says that it has 255 fragments", "packet.fragments is 255", fragments=255)
_granted("fragments-beyond-message", "a packet has more fragments than its message",
         f"message.size is {PACKET_HEAD + FRAGMENT_SIZE}: its contents take 176 bytes", fragments=18)
_granted("fragment-crosses-page", "a fragment crosses the end of its page",
         "packet.fragment[0].length is 200: offset 4000 + length crosses the page", lambda ref: [(ref, 4000, 200)])
_granted("fragment-offset-4096", "a fragment starts behind its page", "packet.fragment[0].length is 60: offset 4096",
         lambda ref: [(ref, 4096, 60)])
_granted("fragment-offset-65535", "a fragment's end does not fit 16 bits",
         "packet.fragment[0].length is 60: offset 65535", lambda ref: [(ref, 65535, 60)])
_granted("fragment-length-0", "a fragment is empty", "packet.fragment[1].length is 0: empty",
         lambda ref: [(ref, 0, 60), (ref, 0, 0)])
_granted("fragment-length-65535", "a fragment is longer than a page", "packet.fragment[0].length is 65535",
         lambda ref: [(ref, 0, 65535)])
_granted("fragment-sum-short", "the fragments are one byte short",
         "packet.length is 61: inline bytes and fragments add up to 60", length=61)
_granted("fragment-sum-long", "the fragments are one byte long",
         "packet.length is 59: inline bytes and fragments add up to 60", length=59)
_granted("fragment-sum-18-pages", "18 whole pages add up to more than the packet",
         "packet.length is 8192: inline bytes and fragments add up to 73728",
         lambda ref: [(ref, 0, 4096)] * 18, length=8192)
_granted("reference-0", "a fragment has Xen's first reserved reference", "packet.fragment[0].reference is 0: reserved",
         lambda ref: [(0, 0, 60)])
_granted("reference-7", "a fragment has Xen's last reserved reference", "packet.fragment[0].reference is 7: reserved",
         lambda ref: [(7, 0, 60)])

# Flags and fields that must be zero.
_inline("reserved-16", "the first reserved field is set", "reserved field of message type 2 is 0x1", reserved=1)
_inline("reserved-32", "the second reserved field is set", "reserved field of message type 2 is 0x80000000",
        reserved_too=0x80000000)
_inline("flags-unknown", "a packet has an unknown flag", "message.flags is 0x80: not all known", flags=0x80)

# Checksum, segmentation, hash.
_inline("csum-both", "the checksum is partial and valid", "packet.flags is 0x3: contradicts itself", flags=3)
_inline("csum-without-flag", "there is a place of the checksum without a flag", "packet.flags is 0x0: contradicts itself",
        csum_start=14)
_inline("csum-valid-with-place", "a valid checksum has a place", "packet.flags is 0x2: contradicts itself",
        flags=CSUM_VALID, csum_offset=16)
_inline("csum-start-beyond", "the checksum starts behind the packet", "packet.csum_start is 60: ",
        flags=CSUM_PARTIAL, csum_start=60)
_inline("csum-offset-beyond", "the checksum goes behind the packet", "packet.csum_start is 20: ",
        flags=CSUM_PARTIAL, csum_start=20, csum_offset=65535)
_inline("csum-start-65535", "the checksum starts at 65535", "packet.csum_start is 65535", flags=CSUM_PARTIAL,
        csum_start=65535, csum_offset=65535)
_inline("csum-on-header", "the checksum goes into the Ethernet header",
        "packet.csum_start is 0: inside the Ethernet header", flags=CSUM_PARTIAL)
_inline("gso-type", "a packet is to be cut in an unknown way", "packet.gso_type is 9: unknown", flags=CSUM_PARTIAL,
        csum_start=34, csum_offset=16, gso_type=9, gso_size=20)
_inline("gso-without-csum", "a packet to be cut has no partial checksum",
        "packet.flags is 0x0: gso_type needs a partial checksum", gso_type=GSO_TCPV4, gso_size=20)
_inline("gso-size-0", "segments have no bytes", "packet.gso_size is 0", flags=CSUM_PARTIAL, csum_start=34,
        csum_offset=16, gso_type=GSO_TCPV4)
_inline("gso-size-beyond", "segments are as long as the packet", f"packet.gso_size is {LENGTH}", flags=CSUM_PARTIAL,
        csum_start=34, csum_offset=16, gso_type=GSO_TCPV4, gso_size=LENGTH)
_inline("gso-size-7", "TCP is to be cut into segments of 7 bytes", "packet.gso_size is 7: does not go with gso_type 1",
        flags=CSUM_PARTIAL, csum_start=34, csum_offset=16, gso_type=GSO_TCPV4, gso_size=7)
_inline("gso-size-without-type", "there is a size of segments and no type", "packet.gso_size is 20", gso_size=20)


@lie("gso-segments-many", CLOSES, "packet.gso_size is 1: does not go with gso_type 3 and length 2048")
def gso_segments_many(channel, _side):
    """UDP is to be cut into 2006 segments."""
    channel.raw(packet(channel.host.datagram(2006), flags=CSUM_PARTIAL, csum_start=34, csum_offset=6,
                       gso_type=GSO_UDP_L4, gso_size=1))


_inline("hash-type", "the hash is of an unknown type", "packet.hash_type is 3: unknown", hash_type=3, hash=1)
_inline("hash-without-type", "there is a hash of no type", "packet.hash is 0xdead: hash_type is none", hash=0xDEAD)


def _no_features(values, _side):
    values[keys.FEATURES] = "0x0"


def _unnegotiated(name, about, log, **lies):
    def run(channel, _side):
        channel.raw(packet(channel.host.who_has(), **lies))

    add(name, about, CLOSES, log, keys=_no_features, run=run)


_unnegotiated("csum-not-negotiated", "a checksum is said to be valid, which was not negotiated",
              "packet uses features 0x1: not negotiated", flags=CSUM_VALID)
_unnegotiated("gso-not-negotiated", "a packet is to be cut, which was not negotiated",
              "packet uses features 0x3: not negotiated", flags=CSUM_PARTIAL, csum_start=34, csum_offset=16,
              gso_type=GSO_TCPV4, gso_size=20)
_unnegotiated("hash-not-negotiated", "a packet has a hash, which was not negotiated",
              "packet uses features 0x10: not negotiated", hash_type=1, hash=1)


# The following keep every rule of the protocol; it is the stack behind the driver that must not be led astray.


def _odd(name, about, frame, needs=0, **lies):
    def run(channel, _side):
        for _ in range(16):
            channel.raw(packet(frame(channel.host), **lies))
        channel.run(1)

    add(name, about, HARMLESS, None, run=run, needs=needs)


_odd("gso-on-arp", "ARP is to be cut as TCP", lambda h: h.who_has(), FEATURE_CSUM | FEATURE_GSO_TCPV4,
     flags=CSUM_PARTIAL, csum_start=34, csum_offset=16, gso_type=GSO_TCPV4, gso_size=20)
_odd("gso-udp-on-arp", "ARP is to be cut as UDP", lambda h: h.who_has(), FEATURE_CSUM | FEATURE_GSO_UDP_L4,
     flags=CSUM_PARTIAL, csum_start=34, csum_offset=6, gso_type=GSO_UDP_L4, gso_size=20)
_odd("gso-tcp-on-udp", "UDP is to be cut as TCP", lambda h: h.datagram(600), FEATURE_CSUM | FEATURE_GSO_TCPV4,
     flags=CSUM_PARTIAL, csum_start=34, csum_offset=16, gso_type=GSO_TCPV4, gso_size=100)
_odd("gso-128-segments", "UDP is to be cut into 128 segments", lambda h: h.datagram(128),
     FEATURE_CSUM | FEATURE_GSO_UDP_L4, flags=CSUM_PARTIAL, csum_start=34, csum_offset=6, gso_type=GSO_UDP_L4, gso_size=1)
_odd("header-alone", "a packet is an Ethernet header alone", lambda h: h.who_has()[:14])
_odd("ip-cut-short", "an IPv4 packet ends in its header", lambda h: h.ping(1, 56)[:18])
_odd("vlan-cut-short", "a VLAN tag is cut short", lambda h: h.who_has()[:12] + b"\x81\x00")
_odd("own-address-claimed", "packets come from the peer's own address", lambda h: h.peer_mac * 2 + b"\x88\xb5" + bytes(46))


@lie("length-14-and-2048", HARMLESS)
def length_extremes(channel, _side):
    """The shortest and the longest inline packets are sent, which is no lie."""
    frame = channel.host.who_has().ljust(2048, b"\0")
    for length in (14, 15, 2047, 2048):
        channel.raw(packet(frame[:length]))
    channel.run(1)
