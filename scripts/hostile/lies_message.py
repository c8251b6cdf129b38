# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies in messages that are not packets, and in what every message has."""

import struct

import store as keys
from channel import IGNORE
from lies import CLOSES, HARMLESS, add, lie
from protocol import (
    FEATURE_MODERATION,
    FINISH,
    MAX_FRAMES,
    MAX_MESSAGE,
    MAX_USECS,
    MIN_CREDIT_BYTES,
    MODERATION_IN_FORCE,
    PACKET,
    STATUS_OK,
    finish,
    packet,
    pad,
    set_max_packets,
    set_moderation,
)

PLENTY = 64 * MIN_CREDIT_BYTES


# The first message.


def _first(name, message, log, about, expect=CLOSES, then=None):
    def greet(channel, _side):
        channel.inn.arm()
        channel.raw(message(channel))
        if then is not None:
            channel.raw(then)

    add(name, about, expect, log, greet=greet)


def _header(kind, size, flags=0):
    return struct.pack("<BBHI", kind, flags, size, 0)


_first("first-packet", lambda c: packet(c.host.who_has()), "message.type is 2: SET_MAX_PACKETS must come first",
       "the first message is a packet")
_first("first-finish", lambda c: finish([(0, STATUS_OK)]), "message.type is 3: SET_MAX_PACKETS must come first",
       "the first message is a FINISH")
_first("first-pad", lambda c: pad(64), "pad.size is 64: from offset 0", "the first message is a PAD")
_first("credit-twice", lambda c: set_max_packets(64, PLENTY), "message.type is 1: SET_MAX_PACKETS came twice",
       "SET_MAX_PACKETS comes twice", then=set_max_packets(64, PLENTY))
_first("credit-0-packets", lambda c: set_max_packets(0, PLENTY), "set_max_packets.max_packets is 0: allows no packet",
       "SET_MAX_PACKETS allows no packet")
_first("credit-tiny-bytes", lambda c: set_max_packets(64, 65534), "set_max_packets.max_bytes is 65534: below 65535",
       "SET_MAX_PACKETS allows less than one packet")
_first("credit-reserved", lambda c: set_max_packets(64, PLENTY, reserved=7), "reserved field of message type 1 is 0x7",
       "SET_MAX_PACKETS has its reserved field set")
_first("credit-flags", lambda c: set_max_packets(64, PLENTY, flags=1), "message.flags is 0x1: not all known",
       "SET_MAX_PACKETS has a flag")
_first("credit-size-24", lambda c: set_max_packets(64, PLENTY, size=24) + bytes(8), "message.size is 24: its contents",
       "SET_MAX_PACKETS is 24 bytes long")
_first("credit-size-8", lambda c: _header(1, 8), "message.size is 8: its contents take 16 bytes",
       "SET_MAX_PACKETS is 8 bytes long")
_first("credit-huge", lambda c: set_max_packets(0xFFFFFFFF, 0xFFFFFFFF), None,
       "SET_MAX_PACKETS allows more than there are ids", HARMLESS)
_first("credit-one", lambda c: set_max_packets(1, MIN_CREDIT_BYTES), None,
       "SET_MAX_PACKETS allows one packet at a time", HARMLESS)


@lie("credit-late", HARMLESS, hook="greet")
def credit_late(channel, _side):
    """SET_MAX_PACKETS comes after five seconds, and nothing before it: a chunk that was offered is not answered."""
    offered, channel.offered = channel.offered, IGNORE
    channel.inn.arm()
    channel.run(5)
    channel.greet()
    channel.offered = offered


# What every message has.


def _message(name, message, log, about, step=None):
    def run(channel, _side):
        channel.raw(message(channel), step)

    add(name, about, CLOSES, log, run=run)


def _sized(size):
    return lambda channel: packet(channel.host.who_has(), size=size)


for _size in (0, 4, 7, 12, 100):
    _message(f"size-{_size}", _sized(_size), f"message.size is {_size}: not a multiple of 8",
             f"a message says that it has {_size} bytes")
for _size in (MAX_MESSAGE + 8, 65528):
    _message(f"size-{_size}", _sized(_size), f"message.size is {_size}: not a multiple of 8 in 8..={MAX_MESSAGE}",
             f"a message says that it has {_size} bytes")
_message("size-beyond-produced", lambda c: packet(bytes(1000)), "message.size is 1032: only 64 bytes are produced",
         "a message is longer than what is produced", step=64)
for _kind in (0, 200, 254):
    _message(f"type-{_kind}", lambda c, kind=_kind: _header(kind, 16) + bytes(8), f"message.type is {_kind}: unknown",
             f"a message has type {_kind}")


def _at_end(name, leave, message, log, about, step=None):
    """A message `leave` bytes before the end of the ring, or at its beginning for None."""

    def run(channel, _side):
        at = channel.out.size if leave is None else leave
        reached = channel.advance_to_end(at)
        octets = message(channel)
        # Not `raw`, which would not let a message cross the end of the ring.
        channel.out.raw(octets)
        channel.out.produced += len(octets) if step is None else step
        channel.out.publish()
        channel.wires.notify()
        return None if reached else f"{channel.out.to_end()} bytes before the end instead of {at}"

    add(name, about, CLOSES, log, run=run, order=2)


_at_end("message-wraps", 48, lambda c: packet(c.host.who_has()), "message.size is 96: the ring ends after 48 bytes",
        "a message crosses the end of the ring")
_at_end("pad-short", 64, lambda c: pad(56) + bytes(56), "pad.size is 56: from offset 16320 the ring ends after 64",
        "a PAD ends before the ring")
_at_end("pad-long", 64, lambda c: pad(72) + bytes(64), "pad.size is 72: from offset 16320 the ring ends after 64",
        "a PAD ends after the ring")
_at_end("pad-0", 64, lambda c: pad(0) + bytes(56), "pad.size is 0: from offset 16320", "a PAD has no size")
_at_end("pad-at-start", None, lambda c: pad(64) + bytes(56), "pad.size is 64: from offset 0",
        "a PAD is at the beginning of the ring")
_at_end("pad-unproduced", 64, lambda c: pad(64), "message.size is 64: only 8 bytes are produced",
        "a PAD is longer than what is produced", step=8)
_at_end("pad-flags", 64, lambda c: pad(64, flags=1) + bytes(56), "message.flags is 0x1: not all known",
        "a PAD has a flag")


@lie("pad-honest", HARMLESS, order=2)
def pad_honest(channel, _side):
    """The ring is filled to each distance from its end, as an honest peer does."""
    missed = [leave for leave in range(8, 257, 8) if not channel.advance_to_end(leave)]
    return f"missed {missed}" if missed else None


# FINISH.


def _finish(name, message, log, about):
    _message(f"finish-{name}", message, log, about)


_finish("unknown", lambda c: finish([(255, STATUS_OK)]), "finish.id is 255: not outstanding",
        "a packet is finished that was never sent")
_finish("id-256", lambda c: finish([(256, STATUS_OK)]), "finish.id is 256", "a FINISH has an id beyond all")
_finish("id-65535", lambda c: finish([(65535, STATUS_OK)]), "finish.id is 65535", "a FINISH has an inline packet's id")
_finish("count-0", lambda c: finish([]), "finish.count is 0: not in 1..=64", "a FINISH has no entry")
_finish("count-65", lambda c: finish([(0, STATUS_OK)], count=65), "finish.count is 65: not in 1..=64",
        "a FINISH has more entries than it may")
_finish("count-beyond-size", lambda c: finish([(0, STATUS_OK)], count=8), "message.size is 16: its contents take 40",
        "a FINISH has more entries than bytes")
_finish("count-below-size", lambda c: finish([(0, STATUS_OK)] * 8, count=1), "message.size is 40: its contents take 16",
        "a FINISH has more bytes than entries")
_finish("65-entries", lambda c: finish([(0, STATUS_OK)] * 65), "message.size is 272",
        "a FINISH is longer than any may be")
_finish("status", lambda c: finish([(0, 9)]), "finish.entry[0].status is 9: unknown", "a FINISH has an unknown status")
_finish("reserved", lambda c: finish([(0, STATUS_OK)], reserved=1), "reserved field of message type 3 is 0x1",
        "a FINISH has its reserved field set")
_finish("entry-reserved", lambda c: finish([(0, STATUS_OK)], entry_reserved=2),
        "reserved field of message type 3 is 0x2", "an entry of a FINISH has its reserved field set")
_finish("padding", lambda c: finish([(0, STATUS_OK)], padding=3), "reserved field of message type 3 is 0x3",
        "the padding of a FINISH is not zero")
_finish("flags", lambda c: finish([(0, STATUS_OK)], flags=1), "message.flags is 0x1: not all known",
        "a FINISH has a flag")
_finish("size-8", lambda c: _header(FINISH, 8), "finish.count is 0", "a FINISH is a header alone")
_message("packet-size-8", lambda c: _header(PACKET, 8), "message.size is 8: its contents take 32 bytes",
         "a packet is a header alone")


# SET_MODERATION.


def _moderation(name, log, about, **lies):
    def run(channel, _side):
        channel.raw(set_moderation(**lies) + bytes(max(0, lies.get("size", 24) - 24)))

    add(f"moderation-{name}", about, CLOSES, log, run=run, needs=FEATURE_MODERATION)


for _field, _values, _bounds in (
    ("packet_usecs", (MAX_USECS + 1, 0xFFFFFFFF), f"0..={MAX_USECS}"),
    ("completion_usecs", (MAX_USECS + 1, 0x80000000), f"0..={MAX_USECS}"),
    ("packet_frames", (0, MAX_FRAMES + 1, 0xFFFFFFFF), f"1..={MAX_FRAMES}"),
    ("completion_frames", (0, MAX_FRAMES + 1), f"1..={MAX_FRAMES}"),
):
    for _value in _values:
        _moderation(f"{_field.replace('_', '-')}-{_value}", f"set_moderation.{_field} is {_value}: not in {_bounds}",
                    f"SET_MODERATION has {_field} {_value}", **{_field: _value})
_moderation("purpose", "set_moderation.purpose is 2: unknown", "SET_MODERATION has an unknown purpose", purpose=2)
_moderation("adaptive", "set_moderation.adaptive is 0x84: not all known", "SET_MODERATION has unknown adaptive bits",
            adaptive=0x84)
_moderation("flags", "message.flags is 0x1: not all known", "SET_MODERATION has a flag", flags=1)
_moderation("size-32", "message.size is 32: its contents take 24 bytes", "SET_MODERATION is 32 bytes long", size=32)
_moderation("size-16", "message.size is 16: its contents take 24 bytes", "SET_MODERATION is 16 bytes long", size=16)
_first("moderation-first", lambda c: set_moderation(), "message.type is 4: SET_MAX_PACKETS must come first",
       "the first message is a SET_MODERATION")


def _without_moderation(values, _side):
    values[keys.FEATURES] = f"{int(values[keys.FEATURES], 16) & ~FEATURE_MODERATION:#x}"


add("moderation-not-negotiated", "a SET_MODERATION comes that was not negotiated", CLOSES, "message.type is 4: unknown",
    keys=_without_moderation, run=lambda channel, _side: channel.raw(set_moderation()))


@lie("moderation-longest", HARMLESS, needs=FEATURE_MODERATION)
def moderation_longest(channel, _side):
    """Events are to wait as long as they may: a peer that slows itself down."""
    channel.raw(set_moderation(packet_usecs=MAX_USECS, packet_frames=MAX_FRAMES, completion_usecs=MAX_USECS,
                               completion_frames=MAX_FRAMES))


@lie("moderation-flood", HARMLESS, needs=FEATURE_MODERATION)
def moderation_flood(channel, _side):
    """Wishes come in thousands, each different from the last."""
    sent = 0
    for number in range(3000):
        message = set_moderation(number=number, packet_usecs=number, packet_frames=1 + number % MAX_FRAMES,
                                 adaptive=number % 4)
        if not channel.run(5, lambda message=message: channel.try_put(message)):
            break
        sent += 1
    channel.run(0.1)
    return f"{sent} wishes"


@lie("moderation-unasked", HARMLESS, needs=FEATURE_MODERATION)
def moderation_unasked(channel, _side):
    """Answers come to wishes that nobody had."""
    for number in (0, 1, 777, 65535):
        channel.raw(set_moderation(purpose=MODERATION_IN_FORCE, number=number, packet_usecs=9999, packet_frames=77))
