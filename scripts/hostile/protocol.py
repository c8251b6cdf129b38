# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Messages of Netchannel 2: constants, builders that can be told to lie, and parsers.

A builder fills every field with what is right and then takes what its caller says instead, so that a lie is one
keyword: `packet(frame, length=13)`. Nothing here checks what it builds; that is the task of the driver under test.
`Documentation/protocol.md` is the protocol in prose.
"""

import struct
from dataclasses import dataclass, field

PAGE = 4096
ALIGNMENT = 8

SET_MAX_PACKETS, PACKET, FINISH, SET_MODERATION, PAD = 1, 2, 3, 4, 255
POOL_ADD, POOL_DROP, POOL_ANSWER = 5, 6, 7

HEADER_SIZE = 8
PACKET_HEAD = 32
FRAGMENT_SIZE = 8
MAX_INLINE = 2048
MAX_FRAGMENTS = 18
MAX_MESSAGE = PACKET_HEAD + MAX_FRAGMENTS * FRAGMENT_SIZE + MAX_INLINE
MAX_OUTSTANDING = 256
MAX_FINISHES = 64
MAX_LENGTH = 65535
MIN_LENGTH = 14
MIN_CREDIT_BYTES = 65535
NO_ID = 0xFFFF

WAY_INLINE, WAY_STAGED, WAY_GRANTED, WAY_POSTED = 0, 1, 2, 3

CSUM_PARTIAL, CSUM_VALID = 1, 2
GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 1, 2, 3
HASH_L3, HASH_L4 = 1, 2

FEATURE_CSUM, FEATURE_GSO_TCPV4, FEATURE_GSO_TCPV6, FEATURE_GSO_UDP_L4, FEATURE_HASH = (1 << bit for bit in range(5))
FEATURE_MODERATION = 1 << 5
FEATURE_STAGED = 1 << 8
FEATURES_KNOWN = 0x3F | FEATURE_STAGED

MODERATION_WISH, MODERATION_IN_FORCE = 0, 1
MAX_USECS, MAX_FRAMES = 10000, 128

STATUS_OK, STATUS_COPY_FAILED, STATUS_NO_MEMORY, STATUS_BAD_PACKET = 0, 1, 2, 3

# Staged memory: a slot is a page of a chunk.
CHUNK_PAGES, MAX_CHUNKS = 32, 32
MAX_SLOTS = CHUNK_PAGES * MAX_CHUNKS
POOL_MAPPED, POOL_REFUSED, POOL_DROPPED, POOL_GIVE_BACK = 0, 1, 2, 3

RESERVED_REFERENCES = 8
MIN_ORDER, MAX_ORDER = 2, 4

# Offsets in the control page of one ring's words, by direction. The frontend writes the first cache line and the
# backend the one at 128: a producer its index and the consumer index that it waits for, a consumer the reverse.
CONTROL = {
    "tx": {"prod": 0, "cons_event": 4, "cons": 136, "prod_event": 140},
    "rx": {"prod": 128, "cons_event": 132, "cons": 8, "prod_event": 12},
}


def rounded(size):
    """Rounds a size up to a multiple of 8."""
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def set_max_packets(packets, octets, **lies):
    """Builds SET_MAX_PACKETS. Lies: kind, flags, size, reserved."""
    return struct.pack(
        "<BBHIII",
        lies.get("kind", SET_MAX_PACKETS),
        lies.get("flags", 0),
        lies.get("size", 16),
        packets,
        octets,
        lies.get("reserved", 0),
    )


def set_moderation(**lies):
    """Builds SET_MODERATION that wishes for every event at once. Lies: every field, by the protocol's name."""
    return struct.pack(
        "<BBHBBHIIII",
        lies.get("kind", SET_MODERATION),
        lies.get("flags", 0),
        lies.get("size", 24),
        lies.get("purpose", MODERATION_WISH),
        lies.get("adaptive", 0),
        lies.get("number", 0),
        lies.get("packet_usecs", 0),
        lies.get("packet_frames", 1),
        lies.get("completion_usecs", 0),
        lies.get("completion_frames", 1),
    )


def pad(size, **lies):
    """Builds the head of a PAD, which is all of it that is read. Lies: flags."""
    return struct.pack("<BBHI", PAD, lies.get("flags", 0), size & 0xFFFF, 0)


def finish(entries, **lies):
    """Builds a FINISH of (id, status) pairs. Lies: flags, size, count, reserved, entry_reserved, padding."""
    content = HEADER_SIZE + 4 * len(entries)
    size = rounded(content)
    message = struct.pack(
        "<BBHHH",
        FINISH,
        lies.get("flags", 0),
        lies.get("size", size),
        lies.get("count", len(entries)),
        lies.get("reserved", 0),
    )
    for ident, status in entries:
        message += struct.pack("<HBB", ident, status, lies.get("entry_reserved", 0))
    return message + bytes([lies.get("padding", 0)]) * (size - content)


def pool_add(chunk, references, **lies):
    """Builds a POOL_ADD. Lies: flags, size, reserved."""
    head = struct.pack(
        "<BBHBBH",
        POOL_ADD,
        lies.get("flags", 0),
        lies.get("size", HEADER_SIZE + 4 * CHUNK_PAGES),
        chunk,
        lies.get("reserved", 0) & 0xFF,
        lies.get("reserved", 0) >> 8,
    )
    return head + struct.pack(f"<{len(references)}I", *references)


def pool_drop(chunk, **lies):
    """Builds a POOL_DROP. Lies: flags, size, answer (which is reserved), reserved."""
    return _pool_chunk(POOL_DROP, chunk, lies.get("answer", 0), lies)


def pool_answer(chunk, answer, **lies):
    """Builds a POOL_ANSWER. Lies: flags, size, reserved."""
    return _pool_chunk(POOL_ANSWER, chunk, answer, lies)


def _pool_chunk(kind, chunk, answer, lies):
    head = (kind, lies.get("flags", 0), lies.get("size", HEADER_SIZE))
    return struct.pack("<BBHBBH", *head, chunk, answer, lies.get("reserved", 0))


def staged(parts, **lies):
    """Builds a PACKET that is staged in slots: (slot, offset, length). Lies: as those of `packet`, and inline."""
    inline = lies.pop("inline", b"")
    return packet(inline, parts, **{"way": WAY_STAGED, "ident": NO_ID, **lies})


def packet(inline=b"", parts=(), **lies):
    """Builds a PACKET of inline bytes and parts, which are fragments: (reference, offset, length).

    Inline if there are no parts, granted otherwise, in which case `ident` names the id. Lies: every field of the
    message, by the name that the protocol has for it.
    """
    granted = len(parts) > 0
    head = PACKET_HEAD + FRAGMENT_SIZE * len(parts)
    size = rounded(head + len(inline))
    message = struct.pack(
        "<BBHHBBIHBBHHHHII",
        lies.get("kind", PACKET),
        lies.get("flags", 0),
        lies.get("size", size),
        lies.get("ident", 0 if granted else NO_ID),
        lies.get("way", WAY_GRANTED if granted else WAY_INLINE),
        lies.get("fragments", len(parts)),
        lies.get("length", len(inline) + sum(length for _, _, length in parts)),
        lies.get("inline_length", len(inline)),
        lies.get("gso_type", 0),
        lies.get("hash_type", 0),
        lies.get("gso_size", 0),
        lies.get("csum_start", 0),
        lies.get("csum_offset", 0),
        lies.get("reserved", 0),
        lies.get("hash", 0),
        lies.get("reserved_too", 0),
    )
    for reference, offset, length in parts:
        message += struct.pack("<IHH", reference, offset, length)
    message += inline
    return message + bytes(size - len(message))


@dataclass
class Message:
    """A message that was received; which fields mean something depends on `kind`."""

    kind: int
    size: int
    flags: int = 0
    ident: int = NO_ID
    way: int = WAY_INLINE
    length: int = 0
    fragments: list = field(default_factory=list)
    inline: bytes = b""
    gso_type: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    max_packets: int = 0
    max_bytes: int = 0
    purpose: int = 0
    number: int = 0
    # packet_usecs, packet_frames, completion_usecs, completion_frames
    moderation: tuple = ()
    entries: list = field(default_factory=list)
    chunk: int = 0
    answer: int = 0
    references: list = field(default_factory=list)


class Unexpected(Exception):
    """The driver under test said something that the protocol does not allow: a finding of its own."""


def parse(octets):
    """Takes one whole message apart."""
    if len(octets) < HEADER_SIZE:
        raise Unexpected(f"message of {len(octets)} bytes")
    kind, flags, size = struct.unpack_from("<BBH", octets)
    message = Message(kind=kind, size=size, flags=flags)
    if kind == SET_MAX_PACKETS and size == 16:
        message.max_packets, message.max_bytes = struct.unpack_from("<II", octets, 4)
    elif kind == SET_MODERATION and size == 24:
        message.purpose, _, message.number, *values = struct.unpack_from("<BBHIIII", octets, 4)
        message.moderation = tuple(values)
    elif kind == FINISH:
        (count,) = struct.unpack_from("<H", octets, 4)
        if rounded(HEADER_SIZE + 4 * count) != size:
            raise Unexpected(f"finish of {count} entries in {size} bytes")
        for place in range(count):
            ident, status, _ = struct.unpack_from("<HBB", octets, HEADER_SIZE + 4 * place)
            message.entries.append((ident, status))
    elif kind == PACKET and size >= PACKET_HEAD:
        _parse_packet(octets, message)
    elif kind in (POOL_ADD, POOL_DROP, POOL_ANSWER):
        _parse_pool(octets, message)
    elif kind != PAD:
        raise Unexpected(f"message of type {kind} and size {size}")
    return message


def _parse_pool(octets, message):
    pages = CHUNK_PAGES if message.kind == POOL_ADD else 0
    if message.size != HEADER_SIZE + 4 * pages or message.flags:
        raise Unexpected(f"pool message of type {message.kind}, size {message.size}, flags {message.flags}")
    message.chunk, message.answer, reserved = struct.unpack_from("<BBH", octets, 4)
    if message.chunk >= MAX_CHUNKS or reserved or message.kind != POOL_ANSWER and message.answer:
        raise Unexpected(f"pool message of type {message.kind} is {octets[:HEADER_SIZE].hex()}")
    message.references = list(struct.unpack_from(f"<{pages}I", octets, HEADER_SIZE))


def _parse_packet(octets, message):
    (
        message.ident,
        message.way,
        fragments,
        message.length,
        inline_length,
        message.gso_type,
        _hash_type,
        message.gso_size,
        message.csum_start,
        message.csum_offset,
    ) = struct.unpack_from("<HBBIHBBHHH", octets, 4)
    start = PACKET_HEAD + FRAGMENT_SIZE * fragments
    if rounded(start + inline_length) != message.size:
        raise Unexpected(f"packet of {fragments} fragments and {inline_length} inline bytes in {message.size}")
    for place in range(fragments):
        message.fragments.append(struct.unpack_from("<IHH", octets, PACKET_HEAD + FRAGMENT_SIZE * place))
    message.inline = octets[start : start + inline_length]
