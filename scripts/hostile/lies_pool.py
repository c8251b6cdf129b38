# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies about pools: chunks that come and go, and packets in their slots."""

import time

import store as keys
from channel import IGNORE, MAP, REFUSE
from frames import junk
from lies import BACK, CLOSES, HARMLESS, add, lie
from protocol import (
    CHUNK_PAGES,
    FEATURE_STAGED,
    FEATURES_KNOWN,
    MAX_CHUNKS,
    MAX_SLOTS,
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
from ring import Full
from side import Setup, Skipped
from store import CLOSED

# Large enough to be staged by the driver under test, small enough for a ping that is inline.
MEDIUM = 900


def _chunk(side):
    """Pages for a chunk, granted as the protocol wants them."""
    return side.share(CHUNK_PAGES, writable=False)


def _offer(channel, side, chunk=0):
    """Has the driver under test map a chunk."""
    pages = _chunk(side)
    answer = channel.offer(chunk, pages)
    if answer != POOL_MAPPED:
        raise Setup(f"the driver under test answers {answer} to a good chunk")
    return pages


def _ignoring(channel, _side):
    channel.offered = IGNORE
    channel.greet()


def _mapping(channel, _side):
    channel.offered = MAP
    channel.greet()


def _wait_offer(channel, seconds=10):
    """Waits for a chunk of the driver under test and returns its number."""
    if not channel.run(seconds, lambda: channel.seen.offers):
        raise Setup("the driver under test offers no chunk")
    return channel.seen.offers[-1]


def _pool(name, about, log, message, expect=CLOSES, **more):
    """A lie in one message."""

    def run(channel, side):
        channel.raw(message(channel, side))

    add(name, about, expect, log, run=run, needs=FEATURE_STAGED, **more)


# POOL_ADD.
_pool("pool-add-chunk-32", "a chunk is offered that no pool has", "pool.chunk is 32: not below 32",
      lambda c, s: pool_add(MAX_CHUNKS, _chunk(s).refs))
_pool("pool-add-chunk-255", "chunk 255 is offered", "pool.chunk is 255: not below 32", lambda c, s: pool_add(255, _chunk(s).refs))
_pool("pool-add-reference-7", "a chunk has a reference that Xen reserves", "pool_add.reference[31] is 7: reserved by Xen",
      lambda c, s: pool_add(0, [*_chunk(s).refs[:31], 7]))
_pool("pool-add-reserved", "POOL_ADD has its reserved field set", "reserved field of message type 5 is 0x10000",
      lambda c, s: pool_add(0, _chunk(s).refs, reserved=0x10000))
_pool("pool-add-flags", "POOL_ADD has a flag", "message.flags is 0x1: not all known",
      lambda c, s: pool_add(0, _chunk(s).refs, flags=1))
_pool("pool-add-size-144", "POOL_ADD is 144 bytes long", "message.size is 144: its contents take 136 bytes",
      lambda c, s: pool_add(0, _chunk(s).refs, size=144) + bytes(8))
_pool("pool-add-size-8", "POOL_ADD is a header alone", "message.size is 8: its contents take 136 bytes",
      lambda c, s: pool_add(0, [], size=8))


@lie("pool-add-twice", CLOSES, "pool.chunk is 0: in no state for a message of type 5", needs=FEATURE_STAGED)
def pool_add_twice(channel, side):
    """A chunk is offered that is mapped already."""
    _offer(channel, side)
    channel.raw(pool_add(0, _chunk(side).refs))


@lie("pool-add-unanswered", CLOSES, "pool.chunk is 5: in no state for a message of type 5", needs=FEATURE_STAGED)
def pool_add_unanswered(channel, side):
    """A chunk is offered twice before it can be answered."""
    refs = _chunk(side).refs
    channel.out.put(pool_add(5, refs))
    channel.raw(pool_add(5, refs))


def _refused(name, about, refs):
    def run(channel, side):
        channel.raw(pool_add(0, refs(side)))
        channel.run(10, lambda: 0 in channel.seen.answers)
        if channel.seen.answers.get(0) != [POOL_REFUSED]:
            raise AssertionError(f"the answer is {channel.seen.answers.get(0)} and not [{POOL_REFUSED}]")
        # The chunk is as it was: the next offer is a good one.
        _offer(channel, side)
        return "refused, and then mapped"

    add(name, about, HARMLESS, run=run, needs=FEATURE_STAGED)


_refused("pool-add-not-granted", "no page of a chunk was ever granted", lambda side: range(30000, 30000 + CHUNK_PAGES))
_refused("pool-add-huge", "the references of a chunk are beyond every grant table", lambda side: [0xFFFFFFFF] * CHUNK_PAGES)
_refused("pool-add-half-granted", "every other page of a chunk is granted",
         lambda side: [ref if at % 2 else 30000 + at for at, ref in enumerate(_chunk(side).refs)])
_refused("pool-add-last-stale", "the last page of a chunk is not granted any more",
         lambda side: [*_chunk(side).refs[:31], side.stale_reference()])


@lie("pool-add-one-page", HARMLESS, needs=FEATURE_STAGED)
def pool_add_one_page(channel, side):
    """All pages of a chunk are one and the same."""
    pages = _chunk(side)
    channel.raw(pool_add(3, [pages.refs[0]] * CHUNK_PAGES))
    channel.run(10, lambda: 3 in channel.seen.answers)
    channel.raw(staged([(3 * CHUNK_PAGES + page, 0, PAGE) for page in range(15)]))
    return f"answer {channel.seen.answers.get(3)}"


@lie("pool-all", HARMLESS, needs=FEATURE_STAGED)
def pool_all(channel, side):
    """All chunks that there may be are offered, on the same pages, used, dropped, and offered again."""
    pages = _chunk(side)
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
_pool("pool-drop-unknown", "a chunk is dropped that was never offered", "pool.chunk is 3: in no state for a message of type 6",
      lambda c, s: pool_drop(3))
_pool("pool-drop-chunk-32", "a chunk is dropped that no pool has", "pool.chunk is 32: not below 32", lambda c, s: pool_drop(32))
_pool("pool-drop-reserved", "POOL_DROP has its reserved field set", "reserved field of message type 6 is 0x1",
      lambda c, s: pool_drop(0, reserved=1))
_pool("pool-drop-answer", "POOL_DROP has the field that only POOL_ANSWER has", "reserved field of message type 6 is 0x2",
      lambda c, s: pool_drop(0, answer=2))
_pool("pool-drop-flags", "POOL_DROP has a flag", "message.flags is 0x4: not all known", lambda c, s: pool_drop(0, flags=4))
_pool("pool-drop-size", "POOL_DROP is 16 bytes long", "message.size is 16: its contents take 8 bytes",
      lambda c, s: pool_drop(0, size=16) + bytes(8))


@lie("pool-drop-twice", CLOSES, "pool.chunk is 0: in no state for a message of type 6", needs=FEATURE_STAGED)
def pool_drop_twice(channel, side):
    """A chunk is dropped twice."""
    _offer(channel, side)
    channel.out.put(pool_drop(0))
    channel.raw(pool_drop(0))


@lie("pool-drop-unanswered", CLOSES, "pool.chunk is 0: in no state for a message of type 6", needs=FEATURE_STAGED)
def pool_drop_unanswered(channel, side):
    """A chunk is dropped before the answer to its offer can be there."""
    channel.out.put(pool_add(0, _chunk(side).refs))
    channel.raw(pool_drop(0))


# POOL_ANSWER.
_STATE_7 = "in no state for a message of type 7"
for _answer, _name in ((POOL_MAPPED, "mapped"), (POOL_REFUSED, "refused"), (POOL_DROPPED, "dropped"), (POOL_GIVE_BACK, "give-back")):
    _pool(f"pool-{_name}-unsolicited", f"a chunk is said to be {_name} that was never offered", f"pool.chunk is 31: {_STATE_7}",
          lambda c, s, answer=_answer: pool_answer(31, answer))
_pool("pool-answer-unknown", "an answer has no meaning", "pool_answer.answer is 4: unknown", lambda c, s: pool_answer(0, 4))
_pool("pool-answer-255", "an answer is 255", "pool_answer.answer is 255: unknown", lambda c, s: pool_answer(0, 255))
_pool("pool-answer-chunk-32", "an answer is about a chunk that no pool has", "pool.chunk is 32: not below 32",
      lambda c, s: pool_answer(32, POOL_MAPPED))
_pool("pool-answer-reserved", "POOL_ANSWER has its reserved field set", "reserved field of message type 7 is 0x8000",
      lambda c, s: pool_answer(0, POOL_MAPPED, reserved=0x8000))
_pool("pool-answer-size", "POOL_ANSWER is 16 bytes long", "message.size is 16: its contents take 8 bytes",
      lambda c, s: pool_answer(0, POOL_MAPPED, size=16) + bytes(8))


def _wrong_answer(name, about, answers, greet=_ignoring, expect=CLOSES):
    """Answers to a chunk that the driver under test has offered."""

    def run(channel, _side):
        chunk = _wait_offer(channel)
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
    _wait_offer(channel)
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
    chunk = _wait_offer(channel)
    channel.pull(50, size=MEDIUM)
    if channel.seen.offers != [chunk]:
        raise AssertionError(f"{channel.seen.offers} are offered though nothing was answered")
    return f"chunk {chunk}; {channel.seen.granted} packets were granted"


add("pool-never-answered", "a chunk is offered and never answered, while packets want it", HARMLESS, greet=_ignoring,
    run=_not_answered, needs=FEATURE_STAGED)


def _given_back(channel, _side):
    _wait_offer(channel)
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


add("pool-gives-back", "every chunk is given back again and again, as soon as it is mapped", HARMLESS, greet=_mapping,
    run=_given_back, needs=FEATURE_STAGED)


def _keeps(channel, _side):
    _wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    channel.keeping = True
    for chunk in list(channel.mapped):
        channel.raw(pool_answer(chunk, POOL_GIVE_BACK))
    channel.run(5, lambda: channel.seen.drops)
    if not channel.seen.drops:
        raise AssertionError("a chunk was given back and is not dropped")
    channel.pull(50, size=MEDIUM)
    return f"{len(channel.mapped)} chunks"


add("pool-drop-never-answered", "a chunk is dropped, stays mapped, and that is never said", HARMLESS, greet=_mapping, run=_keeps,
    needs=FEATURE_STAGED)


def _keeps_closed(channel, side):
    _wait_offer(channel)
    channel.run(5, lambda: channel.mapped)
    if not channel.mapped:
        raise Setup("no chunk is mapped")
    channel.keeping = True
    channel.pull(20, size=MEDIUM)
    side.set_state(CLOSED)
    return f"{len(channel.mapped)} chunks"


add("pool-keeps-mapped", "the pool stays mapped when the channel is closed", CLOSES, greet=_mapping, run=_keeps_closed,
    needs=FEATURE_STAGED)


def _still_mapped(name, about, answer_of):
    """A chunk is said to be let go of, and is mapped all the same."""

    def run(channel, side):
        chunk = _wait_offer(channel)
        # Not by `channel`, which would unmap it as it answers.
        if side.map_peer(channel.seen.references[chunk]) is None:
            raise Setup("the chunk cannot be mapped")
        answer_of(channel, chunk)

    add(name, about, CLOSES, "of its pages are in use", greet=_ignoring, run=run, needs=FEATURE_STAGED)


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


@lie("pool-churn", HARMLESS, needs=FEATURE_STAGED)
def pool_churn(channel, side):
    """Chunks are offered and dropped as fast as they are answered, for five seconds."""
    pages = _chunk(side)
    count, end = 0, time.monotonic() + 5
    while time.monotonic() < end:
        for chunk in range(8):
            if channel.offer(chunk, pages) != POOL_MAPPED:
                raise AssertionError(f"chunk {chunk} is not mapped after {count}")
        for chunk in range(8):
            if channel.drop(chunk) != POOL_DROPPED:
                raise AssertionError(f"chunk {chunk} is not dropped after {count}")
        count += 8
    return f"{count} chunks"


# Staged packets.


def _staged(name, about, log, parts, expect=CLOSES, offer=True, **lies):
    """A packet of the parts; chunk 2 is mapped."""

    def run(channel, side):
        if offer:
            channel.stage(channel.host.who_has(), 2, _offer(channel, side, 2))
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
        "packet.fragment.slot is 64: chunk 2 is not mapped", [(_FIRST, 0, 60)], offer=False)


@lie("staged-slot-offered", CLOSES, "packet.fragment.slot is 0: chunk 0 is not mapped", needs=FEATURE_STAGED)
def staged_slot_offered(channel, side):
    """A packet is in a slot of a chunk whose offer is not answered."""
    channel.out.put(pool_add(0, _chunk(side).refs))
    channel.raw(staged([(0, 0, 60)]))


@lie("staged-slot-dropped", CLOSES, "packet.fragment.slot is 64: chunk 2 is not mapped", needs=FEATURE_STAGED)
def staged_slot_dropped(channel, side):
    """A packet is in a slot of a chunk that was dropped."""
    _offer(channel, side, 2)
    channel.out.put(pool_drop(2))
    channel.raw(staged([(_FIRST, 0, 60)]))


@lie("staged-slot-gone", CLOSES, "packet.fragment.slot is 64: chunk 2 is not mapped", needs=FEATURE_STAGED)
def staged_slot_gone(channel, side):
    """A packet is in a slot of a chunk that was dropped and unmapped."""
    _offer(channel, side, 2)
    if channel.drop(2) != POOL_DROPPED:
        raise AssertionError("dropping is not answered")
    channel.raw(staged([(_FIRST, 0, 60)]))


# Honest extremes, and what must not matter.


@lie("staged-extremes", HARMLESS, needs=FEATURE_STAGED)
def staged_extremes(channel, side):
    """Staged packets are short, long, in 18 pieces, in one slot again and again, and with inline bytes before."""
    pages = _offer(channel, side, 2)
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
    pages = _offer(channel, side, 31)
    for size in (56, MEDIUM, 1400, 1472):
        sequence = channel.ping_staged(size, 31, pages, size % 29)
        if not channel.run(5, lambda sequence=sequence: sequence in channel.host.answered):
            raise AssertionError(f"a staged ping of {size} bytes is not answered")
    if channel.drop(31) != POOL_DROPPED:
        raise AssertionError("dropping is not answered")


def _maps(channel, _side):
    _wait_offer(channel)
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


add("pool-maps", "the pool is mapped and read, as an honest side does, and given back", HARMLESS, greet=_mapping, run=_maps,
    needs=FEATURE_STAGED)


@lie("pool-wakes-late", HARMLESS, needs=FEATURE_STAGED, roles=(BACK,))
def pool_wakes_late(channel, side):
    """A chunk is asked back because the guest is about to be saved, while the liar sleeps; then the guest goes on."""
    pages = _offer(channel, side)
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
    pages = _offer(channel, side)
    for page in range(8):
        sequence = channel.ping_staged(MEDIUM, 0, pages, page)
        if not channel.run(5, lambda sequence=sequence: sequence in channel.host.answered):
            raise AssertionError("a staged ping is not answered after the chunk was offered again")
    return "asleep for three seconds; the chunk was dropped, and offered and used again"


@lie("staged-changes", HARMLESS, needs=FEATURE_STAGED)
def staged_changes(channel, side):
    """Staged packets change while they are copied, for three seconds."""
    pages = _offer(channel, side)
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


@lie("pool-unshared", HARMLESS, needs=FEATURE_STAGED)
def pool_unshared(channel, side):
    """The liar stops sharing a chunk that the driver under test has mapped, and sends packets in it."""
    pages = _offer(channel, side, 1)
    pages.unshare()
    for page in range(CHUNK_PAGES):
        channel.raw(staged([(CHUNK_PAGES + page, 0, 60)]))
    channel.run(1)


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
