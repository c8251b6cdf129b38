# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies about the liar's own pool: chunks that come and go."""

import time

import store as keys
from frames import junk
from lies import BACK, CLOSES, HARMLESS, add, lie
from pools import MEDIUM, chunk_pages, offer, pool_lie
from protocol import (
    CHUNK_PAGES,
    FEATURE_STAGED,
    FEATURES_KNOWN,
    MAX_CHUNKS,
    PAGE,
    POOL_DROPPED,
    POOL_GIVE_BACK,
    POOL_MAPPED,
    POOL_REFUSED,
    pool_add,
    pool_answer,
    pool_drop,
    staged,
)
from side import Skipped

# POOL_ADD.
pool_lie("pool-add-chunk-32", "a chunk is offered that no pool has", "pool.chunk is 32: not below 32",
         lambda c, s: pool_add(MAX_CHUNKS, chunk_pages(s).refs))
pool_lie("pool-add-chunk-255", "chunk 255 is offered", "pool.chunk is 255: not below 32", lambda c, s: pool_add(255, chunk_pages(s).refs))
pool_lie("pool-add-reference-7", "a chunk has a reference that Xen reserves", "pool_add.reference[31] is 7: reserved by Xen",
         lambda c, s: pool_add(0, [*chunk_pages(s).refs[:31], 7]))
pool_lie("pool-add-reserved", "POOL_ADD has its reserved field set", "reserved field of message type 5 is 0x10000",
         lambda c, s: pool_add(0, chunk_pages(s).refs, reserved=0x10000))
pool_lie("pool-add-flags", "POOL_ADD has a flag", "message.flags is 0x1: not all known",
         lambda c, s: pool_add(0, chunk_pages(s).refs, flags=1))
pool_lie("pool-add-size-144", "POOL_ADD is 144 bytes long", "message.size is 144: its contents take 136 bytes",
         lambda c, s: pool_add(0, chunk_pages(s).refs, size=144) + bytes(8))
pool_lie("pool-add-size-8", "POOL_ADD is a header alone", "message.size is 8: its contents take 136 bytes",
         lambda c, s: pool_add(0, [], size=8))


@lie("pool-add-twice", CLOSES, "pool.chunk is 0: in no state for a message of type 5", needs=FEATURE_STAGED)
def pool_add_twice(channel, side):
    """A chunk is offered that is mapped already."""
    offer(channel, side)
    channel.raw(pool_add(0, chunk_pages(side).refs))


@lie("pool-add-unanswered", CLOSES, "pool.chunk is 5: in no state for a message of type 5", needs=FEATURE_STAGED)
def pool_add_unanswered(channel, side):
    """A chunk is offered twice before it can be answered."""
    refs = chunk_pages(side).refs
    channel.out.put(pool_add(5, refs))
    channel.raw(pool_add(5, refs))


def _refused(name, about, refs):
    def run(channel, side):
        channel.raw(pool_add(0, refs(side)))
        channel.run(10, lambda: 0 in channel.seen.answers)
        if channel.seen.answers.get(0) != [POOL_REFUSED]:
            raise AssertionError(f"the answer is {channel.seen.answers.get(0)} and not [{POOL_REFUSED}]")
        # The chunk is as it was: the next offer is a good one.
        offer(channel, side)
        return "refused, and then mapped"

    add(name, about, HARMLESS, run=run, needs=FEATURE_STAGED)


_refused("pool-add-not-granted", "no page of a chunk was ever granted", lambda side: range(30000, 30000 + CHUNK_PAGES))
_refused("pool-add-huge", "the references of a chunk are beyond every grant table", lambda side: [0xFFFFFFFF] * CHUNK_PAGES)
_refused("pool-add-half-granted", "every other page of a chunk is granted",
         lambda side: [ref if at % 2 else 30000 + at for at, ref in enumerate(chunk_pages(side).refs)])
_refused("pool-add-last-stale", "the last page of a chunk is not granted any more",
         lambda side: [*chunk_pages(side).refs[:31], side.stale_reference()])


@lie("pool-add-one-page", HARMLESS, needs=FEATURE_STAGED)
def pool_add_one_page(channel, side):
    """All pages of a chunk are one and the same."""
    pages = chunk_pages(side)
    channel.raw(pool_add(3, [pages.refs[0]] * CHUNK_PAGES))
    channel.run(10, lambda: 3 in channel.seen.answers)
    channel.raw(staged([(3 * CHUNK_PAGES + page, 0, PAGE) for page in range(15)]))
    return f"answer {channel.seen.answers.get(3)}"


@lie("pool-all", HARMLESS, needs=FEATURE_STAGED)
def pool_all(channel, side):
    """All chunks that there may be are offered, on the same pages, used, dropped, and offered again."""
    pages = chunk_pages(side)
    for turn in range(2):
        for chunk in range(MAX_CHUNKS):
            answer = channel.offer(chunk, pages, 20)
            if answer != POOL_MAPPED:
                raise AssertionError(f"turn {turn}: the answer to chunk {chunk} is {answer}")
        for chunk in range(MAX_CHUNKS):
            channel.raw(staged(channel.stage(junk(channel.host.mac, 3 * PAGE), chunk, pages, 29)))
        channel.run(1)
        for chunk in range(MAX_CHUNKS):
            answer = channel.drop(chunk, 20)
            if answer != POOL_DROPPED:
                raise AssertionError(f"turn {turn}: the answer to dropping chunk {chunk} is {answer}")
    return f"{MAX_CHUNKS} chunks, twice"


# POOL_DROP.
pool_lie("pool-drop-unknown", "a chunk is dropped that was never offered", "pool.chunk is 3: in no state for a message of type 6",
         lambda c, s: pool_drop(3))
pool_lie("pool-drop-chunk-32", "a chunk is dropped that no pool has", "pool.chunk is 32: not below 32", lambda c, s: pool_drop(32))
pool_lie("pool-drop-reserved", "POOL_DROP has its reserved field set", "reserved field of message type 6 is 0x1",
         lambda c, s: pool_drop(0, reserved=1))
pool_lie("pool-drop-answer", "POOL_DROP has the field that only POOL_ANSWER has", "reserved field of message type 6 is 0x2",
         lambda c, s: pool_drop(0, answer=2))
pool_lie("pool-drop-flags", "POOL_DROP has a flag", "message.flags is 0x4: not all known", lambda c, s: pool_drop(0, flags=4))
pool_lie("pool-drop-size", "POOL_DROP is 16 bytes long", "message.size is 16: its contents take 8 bytes",
         lambda c, s: pool_drop(0, size=16) + bytes(8))


@lie("pool-drop-twice", CLOSES, "pool.chunk is 0: in no state for a message of type 6", needs=FEATURE_STAGED)
def pool_drop_twice(channel, side):
    """A chunk is dropped twice."""
    offer(channel, side)
    channel.out.put(pool_drop(0))
    channel.raw(pool_drop(0))


@lie("pool-drop-unanswered", CLOSES, "pool.chunk is 0: in no state for a message of type 6", needs=FEATURE_STAGED)
def pool_drop_unanswered(channel, side):
    """A chunk is dropped before the answer to its offer can be there."""
    channel.out.put(pool_add(0, chunk_pages(side).refs))
    channel.raw(pool_drop(0))


@lie("pool-churn", HARMLESS, needs=FEATURE_STAGED)
def pool_churn(channel, side):
    """Chunks are offered and dropped as fast as they are answered, for five seconds: some 64 are mapped each two seconds."""
    pages = chunk_pages(side)
    mapped, refused, start = 0, 0, time.monotonic()
    while time.monotonic() < start + 5:
        answers = [channel.offer(chunk, pages) for chunk in range(8)]
        if set(answers) - {POOL_MAPPED, POOL_REFUSED}:
            raise AssertionError(f"the answers are {answers} after {mapped} chunks")
        taken = [chunk for chunk, answer in enumerate(answers) if answer == POOL_MAPPED]
        for chunk in taken:
            if channel.drop(chunk) != POOL_DROPPED:
                raise AssertionError(f"chunk {chunk} is not dropped after {mapped}")
        mapped, refused = mapped + len(taken), refused + len(answers) - len(taken)
    # One tick more than have passed whole, and the rest of the one before.
    most = 2 * MAX_CHUNKS * (int(time.monotonic() - start) // 2 + 2)
    if mapped > most:
        raise AssertionError(f"{mapped} chunks are mapped, and {most} are the most")
    return f"{mapped} chunks mapped, {refused} refused"


@lie("pool-unshared", HARMLESS, needs=FEATURE_STAGED)
def pool_unshared(channel, side):
    """The liar stops sharing a chunk that the driver under test has mapped, and sends packets in it."""
    pages = offer(channel, side, 1)
    pages.unshare()
    for page in range(CHUNK_PAGES):
        channel.raw(staged([(CHUNK_PAGES + page, 0, 60)]))
    channel.run(1)


@lie("pool-wakes-late", HARMLESS, needs=FEATURE_STAGED, roles=(BACK,), may_skip=True)
def pool_wakes_late(channel, side):
    """A chunk is asked back because the guest is about to be saved, while the liar sleeps; then the guest goes on."""
    pages = offer(channel, side)
    if not channel.run(60, lambda: POOL_GIVE_BACK in channel.seen.answers.get(0, [])):
        raise Skipped("nobody suspends the guest")
    # The driver under test waits for a second.
    time.sleep(3)
    # Those that were sent while it was suspended are in a chunk that it had to take away; they are lost.
    asked = [channel.ping_staged(MEDIUM, 0, pages, page) for page in range(8)]
    if not channel.alive(seconds=90):
        raise AssertionError("the guest does not go on")
    if channel.host.answered & set(asked):
        raise AssertionError("the chunk was mapped while the guest was saved")
    if channel.drop(0) != POOL_DROPPED:
        raise AssertionError("dropping is not answered")
    pages = offer(channel, side)
    for page in range(8):
        sequence = channel.ping_staged(MEDIUM, 0, pages, page)
        if not channel.run(5, lambda sequence=sequence: sequence in channel.host.answered):
            raise AssertionError("a staged ping is not answered after the chunk was offered again")
    return "asleep for three seconds; the chunk was dropped, and offered and used again"


# Without the feature.


def _no_staging(values, _side):
    values[keys.FEATURES] = f"{int(values[keys.FEATURES], 16) & ~FEATURE_STAGED & FEATURES_KNOWN:#x}"


def _unnegotiated(name, about, log, message):
    def run(channel, _side):
        channel.raw(message())

    add(name, about, CLOSES, log, keys=_no_staging, run=run)


_unnegotiated("way-1-not-negotiated", "a packet is staged, which was not negotiated",
              "packet.way is 1: unknown or not negotiated", lambda: staged([(0, 0, 60)]))
_unnegotiated("pool-add-not-negotiated", "a chunk is offered, which was not negotiated", "message.type is 5: unknown",
              lambda: pool_add(0, range(100, 132)))
_unnegotiated("pool-answer-not-negotiated", "a chunk is given back, which was not negotiated", "message.type is 7: unknown",
              lambda: pool_answer(0, POOL_GIVE_BACK))
add("staged-off", "nothing is staged where it was not negotiated", HARMLESS, keys=_no_staging,
    run=lambda channel, side: f"{channel.seen.staged} staged" if channel.pull(20, size=MEDIUM) else "nothing came")
