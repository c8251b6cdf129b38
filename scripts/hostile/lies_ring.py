# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies in the control page.

A driver reads its peer's producer index whenever it looks for messages, but the consumer index only when its own ring
seems full or a FINISH seems to be missing. So the liar lets it send more than a ring holds.
"""

import random
import time

from lies import CLOSES, HARMLESS, lie

PROD = "ring.prod is"
CONS = "ring.cons is"


def _produce(channel, index):
    channel.out.poke(index)
    channel.wires.notify()
    return f"prod = {index % (1 << 32)} after {channel.out.published}"


@lie("prod-beyond-ring", CLOSES, PROD)
def prod_beyond_ring(channel, _side):
    """The producer index is a ring and 8 bytes ahead."""
    return _produce(channel, channel.out.published + channel.out.size + 8)


@lie("prod-far", CLOSES, PROD)
def prod_far(channel, _side):
    """The producer index is half of all indices ahead."""
    return _produce(channel, channel.out.published + 0x80000000)


@lie("prod-misaligned", CLOSES, PROD)
def prod_misaligned(channel, _side):
    """The producer index is no multiple of 8."""
    return _produce(channel, channel.out.published + 4)


@lie("prod-backwards", CLOSES, PROD)
def prod_backwards(channel, _side):
    """The producer index moves back by 8."""
    return _produce(channel, channel.out.published - 8)


@lie("prod-over-garbage", CLOSES, "message.type is 0: unknown")
def prod_over_garbage(channel, _side):
    """The producer index moves over zeroes."""
    channel.raw(bytes(512))


def _consume(channel, index):
    """Holds the consumer index at a wrong value until the peer must have looked at it."""
    channel.releasing = False
    channel.inn.poke(index)
    # Answers of 250 bytes go inline: 600 of them are more than twice the largest ring.
    channel.pull(600, size=200, seconds=10)
    return f"cons = {index % (1 << 32)} after {channel.inn.released}"


def _peers_prod(channel):
    return channel.control.load(channel.inn.direction, "prod")


@lie("cons-beyond-prod", CLOSES, CONS, order=2)
def cons_beyond_prod(channel, _side):
    """The consumer index is 64 KiB beyond the producer's."""
    return _consume(channel, _peers_prod(channel) + 0x10000)


@lie("cons-far", CLOSES, CONS, order=2)
def cons_far(channel, _side):
    """The consumer index is half of all indices ahead."""
    return _consume(channel, channel.inn.released + 0x80000000)


@lie("cons-misaligned", CLOSES, CONS, order=2)
def cons_misaligned(channel, _side):
    """The consumer index is no multiple of 8."""
    return _consume(channel, channel.inn.released - 4)


@lie("cons-backwards", CLOSES, CONS, order=2)
def cons_backwards(channel, _side):
    """The consumer index moves back by 8, after the peer has seen it."""
    # Once around the ring, so that the peer has read an index that is not zero.
    channel.pull(200, size=200, seconds=10)
    return _consume(channel, channel.inn.released - channel.inn.size)


@lie("cons-stopped", HARMLESS, order=2)
def cons_stopped(channel, _side):
    """Nothing is consumed for five seconds, and then everything."""
    channel.find_peer()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if channel.out.free() > 4096:
            channel.ping(200)
        channel.out.publish()
        channel.wires.notify()
        time.sleep(0.01)
    return f"{channel.inn.available()} bytes waited"


@lie("event-indices-random", HARMLESS)
def event_indices_random(channel, _side):
    """The event indices take random values for three seconds of traffic."""
    choice = random.Random(2)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for end_of_ring, word in ((channel.inn, "prod_event"), (channel.out, "cons_event")):
            channel.control.store(end_of_ring.direction, word, choice.getrandbits(32))
        channel.pull(4, seconds=0.1)


@lie("event-indices-every-byte", HARMLESS)
def event_indices_every_byte(channel, _side):
    """The event indices ask for an event at each byte for three seconds of traffic."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        prod = _peers_prod(channel)
        for _ in range(50):
            channel.control.store(channel.inn.direction, "prod_event", prod + 1)
            channel.control.store(channel.out.direction, "cons_event", channel.out.consumed + 1)
        channel.pull(4, seconds=0.1)


@lie("peer-words-overwritten", HARMLESS)
def peer_words_overwritten(channel, _side):
    """The words that only the peer writes take random values: it never reads them back."""
    choice = random.Random(3)
    # Without those words nobody knows when the peer wants to be told.
    channel.insistent = True
    for _ in range(200):
        channel.control.store(channel.inn.direction, "cons_event", choice.getrandbits(32))
        channel.control.store(channel.out.direction, "prod_event", choice.getrandbits(32))
        channel.pull(1, seconds=0.05)
