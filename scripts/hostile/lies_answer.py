# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies about the pool of the driver under test: what is answered of its chunks, and what stays mapped."""

import time

from channel import MAP, REFUSE
from lies import CLOSES, FRONT, HARMLESS, add
from pools import MEDIUM, ignoring, mapping, pool_lie, wait_offer
from protocol import (
    CHUNK_PAGES,
    FEATURE_STAGED,
    PAGE,
    POOL_DROPPED,
    POOL_GIVE_BACK,
    POOL_MAPPED,
    POOL_REFUSED,
    pool_answer,
)
from ring import Full
from side import Setup
from store import CLOSED

# POOL_ANSWER.
_STATE_7 = "in no state for a message of type 7"
for _answer, _name in ((POOL_MAPPED, "mapped"), (POOL_REFUSED, "refused"), (POOL_DROPPED, "dropped"), (POOL_GIVE_BACK, "give-back")):
    pool_lie(f"pool-{_name}-unsolicited", f"a chunk is said to be {_name} that was never offered", f"pool.chunk is 31: {_STATE_7}",
             lambda c, s, answer=_answer: pool_answer(31, answer))
pool_lie("pool-answer-unknown", "an answer has no meaning", "pool_answer.answer is 4: unknown", lambda c, s: pool_answer(0, 4))
pool_lie("pool-answer-255", "an answer is 255", "pool_answer.answer is 255: unknown", lambda c, s: pool_answer(0, 255))
pool_lie("pool-answer-chunk-32", "an answer is about a chunk that no pool has", "pool.chunk is 32: not below 32",
         lambda c, s: pool_answer(32, POOL_MAPPED))
pool_lie("pool-answer-reserved", "POOL_ANSWER has its reserved field set", "reserved field of message type 7 is 0x8000",
         lambda c, s: pool_answer(0, POOL_MAPPED, reserved=0x8000))
pool_lie("pool-answer-size", "POOL_ANSWER is 16 bytes long", "message.size is 16: its contents take 8 bytes",
         lambda c, s: pool_answer(0, POOL_MAPPED, size=16) + bytes(8))


def _wrong_answer(name, about, answers, greet=ignoring, expect=CLOSES):
    """Answers to a chunk that the driver under test has offered."""

    def run(channel, _side):
        chunk = wait_offer(channel)
        for answer in answers:
            channel.out.put(pool_answer(chunk, answer))
        channel.out.publish()
        channel.wires.notify()

    add(name, about, expect, _STATE_7, greet=greet, run=run, needs=FEATURE_STAGED)


_wrong_answer("pool-mapped-twice", "a chunk is said to be mapped twice", (POOL_MAPPED, POOL_MAPPED))
_wrong_answer("pool-mapped-refused", "a chunk is said to be mapped, and then refused", (POOL_MAPPED, POOL_REFUSED))
_wrong_answer("pool-dropped-early", "a chunk is said to be dropped that is in use", (POOL_MAPPED, POOL_DROPPED))
_wrong_answer("pool-dropped-offered", "a chunk is said to be dropped that is only offered", (POOL_DROPPED,))
_wrong_answer("pool-give-back-offered", "a chunk is given back that is only offered", (POOL_GIVE_BACK,))


def _pretending(channel, _side):
    channel.offered = MAP
    channel.wires.map = lambda _refs: _Nothing()
    channel.greet()


def _pretended(channel, _side):
    wait_offer(channel)
    channel.pull(20, size=MEDIUM)
    # The pings at the end of every lie have to come back.
    channel.offered = REFUSE
    for chunk in list(channel.mapped):
        channel.raw(pool_answer(chunk, POOL_GIVE_BACK))
    if not channel.run(5, lambda: not channel.mapped):
        raise AssertionError("a chunk is given back and not dropped")
    return f"{channel.seen.staged} packets were staged"


add("pool-mapped-lie", "a chunk is said to be mapped and is not: its packets are lost to the liar alone", HARMLESS,
    greet=_pretending, run=_pretended, needs=FEATURE_STAGED)


class _Nothing:
    """Pages that are not mapped."""

    memory = bytearray(CHUNK_PAGES * PAGE)

    def unmap(self):
        """Nothing is."""


def _not_answered(channel, _side):
    """A chunk is offered and never answered, while packets want it."""
    chunk = wait_offer(channel)
    channel.pull(50, size=MEDIUM)
    if channel.seen.offers != [chunk]:
        raise AssertionError(f"{channel.seen.offers} are offered though nothing was answered")
    return f"chunk {chunk}; {channel.seen.granted} packets were granted"


add("pool-never-answered", "a chunk is offered and never answered, while packets want it", HARMLESS, greet=ignoring,
    run=_not_answered, needs=FEATURE_STAGED)


def _given_back(channel, _side):
    wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    if not channel.mapped:
        raise Setup("no chunk is mapped")
    count, end = 0, time.monotonic() + 15
    while time.monotonic() < end:
        for chunk in list(channel.mapped):
            try:
                for _ in range(20):
                    channel.out.put(pool_answer(chunk, POOL_GIVE_BACK))
                    count += 1
            except Full:
                break
        channel.run(0.02)
    # A pool that is not wanted waits for a while before it tries again.
    if len(channel.seen.offers) > 3:
        raise AssertionError(f"{len(channel.seen.offers)} chunks were offered in 15 seconds")
    return f"{count} times; {len(channel.seen.offers)} offers, {len(channel.seen.drops)} drops"


add("pool-gives-back", "every chunk is given back again and again, as soon as it is mapped", HARMLESS, greet=mapping,
    run=_given_back, needs=FEATURE_STAGED)


def _keeps(channel, _side):
    wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    channel.keeping = True
    for chunk in list(channel.mapped):
        channel.raw(pool_answer(chunk, POOL_GIVE_BACK))
    channel.run(5, lambda: channel.seen.drops)
    if not channel.seen.drops:
        raise AssertionError("a chunk was given back and is not dropped")
    channel.pull(50, size=MEDIUM)
    return f"{len(channel.mapped)} chunks"


add("pool-drop-never-answered", "a chunk is dropped, stays mapped, and that is never said", HARMLESS, greet=mapping, run=_keeps,
    needs=FEATURE_STAGED)


def _keeps_closed(channel, side):
    wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    if not channel.mapped:
        raise Setup("no chunk is mapped")
    channel.keeping = True
    channel.pull(20, size=MEDIUM)
    side.set_state(CLOSED)
    return f"{len(channel.mapped)} chunks"


add("pool-keeps-mapped", "the pool stays mapped when the channel is closed", CLOSES, greet=mapping, run=_keeps_closed,
    needs=FEATURE_STAGED)


def _still_mapped(name, about, answer_of):
    """A chunk is said to be let go of, and is mapped all the same."""

    def run(channel, side):
        chunk = wait_offer(channel)
        # Not by `channel`, which would unmap it as it answers.
        if side.map_peer(channel.seen.references[chunk]) is None:
            raise Setup("the chunk cannot be mapped")
        answer_of(channel, chunk)

    add(name, about, CLOSES, "of its pages are in use", greet=ignoring, run=run, needs=FEATURE_STAGED)


def _drop_it(channel, chunk):
    channel.keeping = True
    channel.mapped[chunk] = None
    # At once, so that no packet comes in between.
    channel.out.put(pool_answer(chunk, POOL_MAPPED))
    channel.raw(pool_answer(chunk, POOL_GIVE_BACK))
    if not channel.run(5, lambda: channel.seen.drops):
        raise AssertionError("a chunk is given back and not dropped")
    channel.raw(pool_answer(chunk, POOL_DROPPED))


_still_mapped("pool-refused-mapped", "a chunk is refused and mapped all the same",
              lambda channel, chunk: channel.raw(pool_answer(chunk, POOL_REFUSED)))
_still_mapped("pool-dropped-mapped", "a chunk is said to be unmapped and stays mapped", _drop_it)


# The breaches that a driver bears.
BREACHES = 8


def _kept_and_gone(channel, side):
    for turn in range(BREACHES):
        chunk = wait_offer(channel)
        if side.map_peer(channel.seen.references[chunk]) is None:
            raise Setup("the chunk cannot be mapped")
        channel.raw(pool_answer(chunk, POOL_REFUSED))
        # The driver is told of the end of the connection while it finds out.
        side.close()
        side.prepare()
        side.publish(side.keys())
        channel = side.connect()
        if channel is None:
            if turn < BREACHES - 1:
                raise AssertionError(f"no connection after {turn + 1} breaches")
            return
        ignoring(channel, side)
    raise AssertionError(f"another connection after {BREACHES} breaches")


add("pool-refused-mapped-closed", "a chunk is refused and mapped all the same, and the connection closed at once, again and again",
    CLOSES, "the peer broke the protocol too often", roles=(FRONT,), greet=ignoring, run=_kept_and_gone, needs=FEATURE_STAGED,
    spends_device=True)


def _maps(channel, _side):
    wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    if not channel.pull(100, size=MEDIUM):
        raise AssertionError("pings are not answered")
    if channel.seen.staged < 50:
        raise AssertionError(f"only {channel.seen.staged} packets were staged")
    if not channel.alive(MEDIUM):
        raise AssertionError("a staged answer is damaged")
    for chunk in list(channel.mapped):
        channel.raw(pool_answer(chunk, POOL_GIVE_BACK))
    if not channel.run(5, lambda: not channel.mapped):
        raise AssertionError("a chunk is given back and not dropped")
    before = channel.seen.granted
    if not channel.pull(20, size=MEDIUM) or channel.seen.granted == before:
        raise AssertionError("without a pool nothing is granted")
    return f"{channel.seen.staged} packets were staged, {channel.seen.granted} granted"


add("pool-maps", "the pool is mapped and read, as an honest side does, and given back", HARMLESS, greet=mapping, run=_maps,
    needs=FEATURE_STAGED)
