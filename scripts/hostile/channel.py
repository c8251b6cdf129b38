# SPDX-License-Identifier: GPL-2.0 OR MIT
"""One running queue as an honest side runs it, with handles for those who lie.

The role only says which ring is whose: the frontend produces into tx, the backend into rx. Nothing here waits for
events alone: rings are polled every few milliseconds, so that a lie about event indices cannot mute the liar.
"""

import time
from dataclasses import dataclass, field

from frames import junk
from protocol import (
    CHUNK_PAGES,
    FINISH,
    MAX_INLINE,
    MAX_OUTSTANDING,
    MIN_CREDIT_BYTES,
    PACKET,
    PACKET_HEAD,
    PAGE,
    POOL_ADD,
    POOL_ANSWER,
    POOL_DROP,
    POOL_DROPPED,
    POOL_MAPPED,
    POOL_REFUSED,
    SET_MAX_PACKETS,
    STATUS_COPY_FAILED,
    STATUS_OK,
    WAY_STAGED,
    Unexpected,
    finish,
    packet,
    pool_add,
    pool_answer,
    pool_drop,
    rounded,
    set_max_packets,
    staged,
)
from ring import Consumer, Full, Producer

OWN_PACKETS = 64
# Pages that are granted for packets, one for each packet: enough to be over any credit.
POOL_PAGES = MAX_OUTSTANDING + 2
INLINE_LIMIT = 256
POLL = 0.005

# What is done about a chunk that the peer offers.
REFUSE, MAP, IGNORE = "refuse", "map", "ignore"


@dataclass
class Wires:
    """What a channel runs on; set up by the frontend, found by the backend."""

    role: str
    control: object
    tx: object
    rx: object
    notify: object
    wait: object
    # copy(reference, offset, length): bytes of a page that the peer granted, or None.
    copy: object
    # map(references): pages that the peer granted, as a `xen.Mapped` or its like, or None.
    map: object
    # Pages granted to the peer, as a `xen.Shared` or its like.
    pool: object


@dataclass
class Seen:
    """What the driver under test did."""

    packets: int = 0
    granted: int = 0
    staged: int = 0
    copy_failures: int = 0
    # Chunks that the peer offered, and those that it dropped, in order; and the references of the former.
    offers: list = field(default_factory=list)
    references: dict = field(default_factory=dict)
    drops: list = field(default_factory=list)
    # What the peer answered about own chunks, by chunk.
    answers: dict = field(default_factory=dict)
    statuses: dict = field(default_factory=dict)


class Channel:
    """A queue."""

    def __init__(self, wires, host):
        self.wires, self.host = wires, host
        own, other = ("tx", "rx") if wires.role == "front" else ("rx", "tx")
        rings = {"tx": wires.tx, "rx": wires.rx}
        self.control = wires.control
        self.out = Producer(wires.control, own, rings[own])
        self.inn = Consumer(wires.control, other, rings[other])
        self.limit = None
        self.outstanding = {}
        self.owed = []
        self.kept = []
        # The peer's chunks, mapped, and answers about them that are to be sent.
        self.mapped = {}
        self.replies = []
        self.seen = Seen()
        self.sequence = 0
        # Switches for lies: whether FINISHes go out, and whether consumed bytes are given back.
        self.finishing = True
        self.releasing = True
        # Whether the peer is woken each time, wanted or not.
        self.insistent = False
        # Refused chunks make the driver under test grant its packets, which most lies are about.
        self.offered = REFUSE
        # Whether a chunk stays mapped and is not answered for when the peer drops it.
        self.keeping = False

    # Speaking

    def greet(self):
        """Says what the peer may have outstanding, which is the first thing to say."""
        self.out.put(set_max_packets(OWN_PACKETS, OWN_PACKETS * MIN_CREDIT_BYTES))
        self.inn.arm()
        self.flush()

    def flush(self):
        """Sends the FINISHes that are owed, shows the peer everything and wakes it if it wants that."""
        while self.finishing and self.owed:
            try:
                self.out.put(finish(self.owed[:32]))
            except Full:
                break
            del self.owed[:32]
        while self.replies:
            try:
                self.out.put(pool_answer(*self.replies[0]))
            except Full:
                break
            del self.replies[0]
        wanted = self.out.publish()
        if self.releasing:
            wanted = self.inn.publish() or wanted
        if wanted or self.insistent:
            self.wires.notify()

    def raw(self, message, step=None):
        """Sends a message as it is, and wakes the peer whether it wants or not: it is to see the lie."""
        self.out.put(message, step)
        self.out.publish()
        self.wires.notify()

    def try_put(self, message):
        """Sends a message as it is, or returns False if there is no space for it."""
        try:
            self.out.put(message)
        except Full:
            return False
        return True

    def send(self, frame):
        """Sends a frame, inline if it is short and granted if not; False if there is no room for it."""
        try:
            if len(frame) <= INLINE_LIMIT:
                self.out.put(packet(frame))
                return True
            return self.send_granted(frame) is not None
        except Full:
            return False

    def send_granted(self, frame, **lies):
        """Sends a frame on pages of the pool and returns its id, or None if there is no credit."""
        limit = min(self.limit[0] if self.limit else 0, len(self.wires.pool.refs))
        ident = next((one for one in range(limit) if one not in self.outstanding), None)
        if ident is None:
            return None
        fragments = [self.place(ident, frame)]
        self.out.put(packet(b"", fragments, **{"ident": ident, **lies}))
        self.outstanding[ident] = len(frame)
        return ident

    def offer(self, chunk, pages, seconds=5):
        """Offers a chunk on shared pages and returns what the peer answers, or None."""
        self.seen.answers.pop(chunk, None)
        self.raw(pool_add(chunk, pages.refs))
        return self._answer(chunk, seconds)

    def drop(self, chunk, seconds=5):
        """Says that a chunk is not used any more and returns what the peer answers, or None."""
        self.seen.answers.pop(chunk, None)
        self.raw(pool_drop(chunk))
        return self._answer(chunk, seconds)

    def _answer(self, chunk, seconds):
        self.run(seconds, lambda: chunk in self.seen.answers)
        answers = self.seen.answers.get(chunk)
        return answers[-1] if answers else None

    def stage(self, frame, chunk, pages, first=0):
        """Puts a frame on pages of an own chunk, from one on, and returns the fragments that name their slots."""
        parts = []
        for at in range(0, len(frame), PAGE):
            page, octets = first + at // PAGE, frame[at : at + PAGE]
            pages.page(page)[: len(octets)] = octets
            parts.append((chunk * CHUNK_PAGES + page, 0, len(octets)))
        return parts

    def ping_staged(self, size, chunk, pages, first=0):
        """Sends a ping in slots of an own chunk and returns its number."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.host.answered.discard(self.sequence)
        self.raw(staged(self.stage(self.host.ping(self.sequence, size), chunk, pages, first)))
        return self.sequence

    def let_go(self):
        """Unmaps the peer's chunks, which comes before saying that the channel is closed."""
        while not self.keeping and self.mapped:
            _, pages = self.mapped.popitem()
            pages.unmap()

    def place(self, index, octets, offset=0):
        """Puts bytes on a page of the pool and returns the fragment that they are."""
        self.wires.pool.page(index)[offset : offset + len(octets)] = octets
        return (self.wires.pool.refs[index], offset, len(octets))

    def advance_to_end(self, leave):
        """Sends packets that nobody wants until exactly `leave` bytes of the ring are before its end."""
        smallest = rounded(PACKET_HEAD + 14)
        deadline = time.monotonic() + 10
        while (rest := (self.out.to_end() - leave) % self.out.size) > 0 and time.monotonic() < deadline:
            largest = PACKET_HEAD + 1000
            # What is left after this message is nothing, or enough for another one.
            size = rest if smallest <= rest <= largest else min(largest, max(rest - smallest, smallest))
            size = min(size, self.out.to_end()) if self.out.to_end() >= smallest else smallest
            try:
                self.out.put(packet(junk(self.host.mac, size - PACKET_HEAD)))
            except Full:
                pass
            self.run(0)
        return self.out.to_end() == leave

    # Listening

    def poll(self):
        """Takes all that the peer has to say; returns how many messages that were."""
        count = 0
        while (message := self.inn.next()) is not None:
            count += 1
            if message.kind == SET_MAX_PACKETS:
                self.limit = (min(message.max_packets, MAX_OUTSTANDING), message.max_bytes)
            elif message.kind == FINISH:
                for ident, status in message.entries:
                    self.outstanding.pop(ident, None)
                    self.seen.statuses.setdefault(ident, []).append(status)
            elif message.kind == PACKET:
                self._take_packet(message)
            elif message.kind in (POOL_ADD, POOL_DROP, POOL_ANSWER):
                self._take_pool(message)
        return count

    def _take_pool(self, message):
        chunk = message.chunk
        if message.kind == POOL_ANSWER:
            self.seen.answers.setdefault(chunk, []).append(message.answer)
        elif message.kind == POOL_DROP:
            self.seen.drops.append(chunk)
            if chunk not in self.mapped:
                raise Unexpected(f"chunk {chunk} is dropped and not mapped")
            if not self.keeping:
                self.mapped.pop(chunk).unmap()
                self.replies.append((chunk, POOL_DROPPED))
        else:
            self.seen.offers.append(chunk)
            self.seen.references[chunk] = message.references
            if chunk in self.mapped:
                raise Unexpected(f"chunk {chunk} is offered and mapped")
            if self.offered == MAP and (pages := self.wires.map(message.references)) is not None:
                self.mapped[chunk] = pages
                self.replies.append((chunk, POOL_MAPPED))
            elif self.offered != IGNORE:
                self.replies.append((chunk, POOL_REFUSED))

    def _slot(self, slot, offset, length):
        pages = self.mapped.get(slot // CHUNK_PAGES)
        if pages is None:
            raise Unexpected(f"a packet names slot {slot}, which is not mapped")
        start = slot % CHUNK_PAGES * PAGE + offset
        return bytes(memoryview(pages.memory).cast("B")[start : start + length])

    def _take_packet(self, message):
        self.seen.packets += 1
        frame, status = message.inline, STATUS_OK
        if message.way == WAY_STAGED:
            self.seen.staged += 1
            frame += b"".join(self._slot(*fragment) for fragment in message.fragments)
            message.fragments = []
        for reference, offset, length in message.fragments:
            self.kept.append((reference, offset, length))
            part = self.wires.copy(reference, offset, length)
            if part is None:
                status = STATUS_COPY_FAILED
                self.seen.copy_failures += 1
                break
            frame += part
        del self.kept[:-64]
        if message.fragments:
            self.seen.granted += 1
            self.owed.append((message.ident, status))
        if status == STATUS_OK and (answer := self.host.take(frame)) is not None:
            self.send(answer)

    def run(self, seconds, until=lambda: False):
        """Plays the honest side for a while, or until something is so; returns whether it is."""
        end = time.monotonic() + seconds
        while True:
            busy = self.poll()
            self.flush()
            if until():
                return True
            if time.monotonic() >= end:
                return False
            if not busy and not self.inn.arm():
                self.wires.wait(POLL)

    # Traffic

    def ready(self, seconds=10):
        """Waits until the peer has said what it allows."""
        return self.run(seconds, lambda: self.limit is not None)

    def find_peer(self, seconds=10):
        """Asks for the peer's Ethernet address until it is known."""
        end = time.monotonic() + seconds
        while self.host.peer_mac is None and time.monotonic() < end:
            self.send(self.host.who_has())
            self.run(0.5, lambda: self.host.peer_mac is not None)
        return self.host.peer_mac is not None

    def alive(self, size=56, seconds=10):
        """Says whether a ping through the driver under test comes back."""
        if not self.find_peer(seconds):
            return False
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sequence = self.ping(size)
            if self.run(0.5, lambda: sequence in self.host.answered):
                return True
        return False

    def pull(self, count, size=900, seconds=5):
        """Makes the peer send `count` packets: answers to pings, granted ones if `size` is above its inline limit.

        The pings themselves go inline, whatever their length, so that they need no credit.
        """
        if not self.find_peer():
            return False
        before = self.seen.packets
        end = time.monotonic() + seconds
        sent = 0
        while self.seen.packets - before < count and time.monotonic() < end:
            for _ in range(min(8, count - sent)):
                try:
                    self.ping(size)
                    sent += 1
                except Full:
                    break
            self.run(0.02)
        return self.seen.packets - before >= count

    def ping(self, size):
        """Sends a ping, inline whatever its length, and returns its number."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.host.answered.discard(self.sequence)
        self.out.put(packet(self.host.ping(self.sequence, min(size, MAX_INLINE - 60))))
        return self.sequence
