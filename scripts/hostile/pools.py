# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What lies about pools have in common."""

from channel import IGNORE, MAP
from lies import CLOSES, add
from protocol import CHUNK_PAGES, FEATURE_STAGED, POOL_MAPPED
from side import Setup

# Large enough to be staged by the driver under test, small enough for a ping that is inline.
MEDIUM = 900


def chunk_pages(side):
    """Pages for a chunk, granted as the protocol wants them."""
    return side.share(CHUNK_PAGES, writable=False)


def offer(channel, side, chunk=0):
    """Has the driver under test map a chunk."""
    pages = chunk_pages(side)
    answer = channel.offer(chunk, pages)
    if answer != POOL_MAPPED:
        raise Setup(f"the driver under test answers {answer} to a good chunk")
    return pages


def ignoring(channel, _side):
    channel.offered = IGNORE
    channel.greet()


def mapping(channel, _side):
    channel.offered = MAP
    channel.greet()


def wait_offer(channel, seconds=10):
    """Waits for a chunk of the driver under test and returns its number."""
    if not channel.run(seconds, lambda: channel.seen.offers):
        raise Setup("the driver under test offers no chunk")
    return channel.seen.offers[-1]


def pool_lie(name, about, log, message, expect=CLOSES, **more):
    """A lie in one message."""

    def run(channel, side):
        channel.raw(message(channel, side))

    add(name, about, expect, log, run=run, needs=FEATURE_STAGED, **more)
