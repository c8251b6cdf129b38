# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies in staged packets, and what must not be taken for one."""

import time

from frames import junk
from lies import CLOSES, HARMLESS, add, lie
from pools import MEDIUM, chunk_pages, offer
from protocol import (
    CHUNK_PAGES,
    FEATURE_STAGED,
    MAX_SLOTS,
    PAGE,
    POOL_DROPPED,
    pool_add,
    pool_drop,
    staged,
)
from ring import Full


def _staged(name, about, log, parts, expect=CLOSES, offered=True, **lies):
    """A packet of the parts; chunk 2 is mapped."""

    def run(channel, side):
        if offered:
            channel.stage(channel.host.who_has(), 2, offer(channel, side, 2))
        channel.raw(staged(parts, **lies))

    add(name, about, expect, log, run=run, needs=FEATURE_STAGED)


_FIRST = 2 * CHUNK_PAGES
_staged("staged-slot-1024", "a packet is in a slot that no pool has", "packet.fragment[0].slot is 1024: not below 1024",
        [(MAX_SLOTS, 0, 60)])
_staged("staged-slot-huge", "a packet is in slot 4294967295", "packet.fragment[1].slot is 4294967295: not below 1024",
        [(_FIRST, 0, 60), (0xFFFFFFFF, 0, 60)])
_staged("staged-slot-unmapped", "a packet is in a slot of a chunk that was never offered",
        "packet.fragment.slot is 97: chunk 3 is not mapped", [(_FIRST, 0, 60), (_FIRST + 33, 0, 60)])
_staged("staged-with-id", "a staged packet has an id", "packet.id is 5", [(_FIRST, 0, 60)], ident=5)
_staged("staged-without-fragments", "a staged packet has no fragment", "packet.fragments is 0", [], inline=bytes(60))
_staged("staged-fragments-19", "a staged packet has 19 fragments", "packet.fragments is 19", [(_FIRST, 0, 60)] * 19)
_staged("staged-sum-short", "a staged packet's fragments are one byte short",
        "packet.length is 61: inline bytes and fragments add up to 60", [(_FIRST, 0, 60)], length=61)
_staged("staged-sum-long", "a staged packet's fragments are one byte long",
        "packet.length is 59: inline bytes and fragments add up to 60", [(_FIRST, 0, 60)], length=59)
_staged("staged-crosses-page", "a staged fragment crosses the end of its slot",
        "packet.fragment[0].length is 200: offset 4000 + length crosses the page", [(_FIRST, 4000, 200)])
_staged("staged-length-0", "a staged fragment is empty", "packet.fragment[1].length is 0: empty",
        [(_FIRST, 0, 60), (_FIRST, 0, 0)])
_staged("staged-inline-all", "a staged packet is all inline and has a fragment", "packet.inline_length is 60",
        [(_FIRST, 0, 60)], inline=bytes(60), length=60)
_staged("staged-before-mapped", "a packet is in a slot of a chunk while there is none",
        "packet.fragment.slot is 64: chunk 2 is not mapped", [(_FIRST, 0, 60)], offered=False)


@lie("staged-slot-offered", CLOSES, "packet.fragment.slot is 0: chunk 0 is not mapped", needs=FEATURE_STAGED)
def staged_slot_offered(channel, side):
    """A packet is in a slot of a chunk whose offer is not answered."""
    channel.out.put(pool_add(0, chunk_pages(side).refs))
    channel.raw(staged([(0, 0, 60)]))


@lie("staged-slot-dropped", CLOSES, "packet.fragment.slot is 64: chunk 2 is not mapped", needs=FEATURE_STAGED)
def staged_slot_dropped(channel, side):
    """A packet is in a slot of a chunk that was dropped."""
    offer(channel, side, 2)
    channel.out.put(pool_drop(2))
    channel.raw(staged([(_FIRST, 0, 60)]))


@lie("staged-slot-gone", CLOSES, "packet.fragment.slot is 64: chunk 2 is not mapped", needs=FEATURE_STAGED)
def staged_slot_gone(channel, side):
    """A packet is in a slot of a chunk that was dropped and unmapped."""
    offer(channel, side, 2)
    if channel.drop(2) != POOL_DROPPED:
        raise AssertionError("dropping is not answered")
    channel.raw(staged([(_FIRST, 0, 60)]))


# Honest extremes, and what must not matter.


@lie("staged-extremes", HARMLESS, needs=FEATURE_STAGED)
def staged_extremes(channel, side):
    """Staged packets are short, long, in 18 pieces, in one slot again and again, and with inline bytes before."""
    pages = offer(channel, side, 2)
    frame = junk(channel.host.mac, PAGE)
    channel.stage(frame, 2, pages)
    for parts, inline in (
        ([(_FIRST, 0, 14)], b""),
        ([(_FIRST, 4095, 1)] * 18, b""),
        ([(_FIRST, 0, PAGE)] * 15 + [(_FIRST, 0, PAGE - 1)], b""),
        ([(_FIRST, 0, 1)], frame[:2048]),
        ([(_FIRST, 17, PAGE - 17), (_FIRST + 31, 4095, 1)], frame[:13]),
        ([(_FIRST, 0, PAGE)], frame[:1500]),
    ):
        channel.raw(staged(parts, inline=inline))
    channel.run(1)


@lie("staged-honest", HARMLESS, needs=FEATURE_STAGED)
def staged_honest(channel, side):
    """Pings go in slots of a pool that is offered, and are answered; then it is dropped."""
    pages = offer(channel, side, 31)
    for size in (56, MEDIUM, 1400, 1472):
        sequence = channel.ping_staged(size, 31, pages, size % 29)
        if not channel.run(5, lambda sequence=sequence: sequence in channel.host.answered):
            raise AssertionError(f"a staged ping of {size} bytes is not answered")
    if channel.drop(31) != POOL_DROPPED:
        raise AssertionError("dropping is not answered")


@lie("staged-changes", HARMLESS, needs=FEATURE_STAGED)
def staged_changes(channel, side):
    """Staged packets change while they are copied, for three seconds."""
    pages = offer(channel, side)
    right = channel.host.ping(1, 1400)
    wrong = bytes(0xFF ^ octet for octet in right)
    end, count = time.monotonic() + 3, 0
    while time.monotonic() < end:
        try:
            for page in range(16):
                channel.out.put(staged(channel.stage(right, 0, pages, page)))
            channel.out.publish()
            channel.wires.notify()
            count += 16
        except Full:
            pass
        for turn in range(64):
            pages.page(turn % 16)[: len(right)] = right if turn % 3 else wrong
        channel.run(0)
    return f"{count} packets"
