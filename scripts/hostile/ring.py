# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The two ends of a ring, over memory that is shared with the driver under test.

Both ends follow the protocol as long as they are used as they are meant to; `poke` and `raw` are there for those who
lie. Memory is anything that `memoryview` takes, so that both ends can be tested against each other without Xen.
"""

import struct
import threading

from protocol import ALIGNMENT, CONTROL, HEADER_SIZE, MAX_MESSAGE, PAD, PAGE, Unexpected, pad, parse

WORD = 1 << 32


class Control:
    """The control page: one 32-bit word for each index of both rings."""

    def __init__(self, memory):
        # A cast view reads and writes one aligned machine word at a time, which memory of bytes would not.
        self.words = memoryview(memory).cast("B").cast("I")

    def load(self, direction, word):
        """Reads a word once."""
        return self.words[CONTROL[direction][word] // 4]

    def store(self, direction, word, value):
        """Writes a word once."""
        self.words[CONTROL[direction][word] // 4] = value % WORD


_BARRIER = threading.Lock()


def full_barrier():
    """Orders what was written against what is read next: taking a lock is a locked instruction on x86."""
    with _BARRIER:
        pass


def reached(event, old, new):
    """Says whether moving from `old` to `new` reaches the index at which the peer wants to be told."""
    return (new - event) % WORD < (new - old) % WORD


class Full(Exception):
    """The ring has no space for a message."""


class Producer:
    """The end of a ring that writes messages."""

    def __init__(self, control, direction, memory):
        self.control, self.direction = control, direction
        self.memory = memoryview(memory).cast("B")
        self.size = len(self.memory)
        self.produced = self.published = self.consumed = 0
        # The index that is shown in place of the right one, for lies.
        self.shown = None

    def free(self):
        """Returns how many bytes may be written, by what the peer says now."""
        self.consumed = self.control.load(self.direction, "cons")
        return self.size - (self.produced - self.consumed) % WORD

    def to_end(self):
        """Returns how many bytes there are up to the end of the ring."""
        return self.size - self.produced % self.size

    def put(self, message, step=None):
        """Writes a message, with a PAD before it where the ring ends too soon.

        `step` is how far the index moves, for a message that is not as long as it says.
        """
        length = len(message)
        padding = self.to_end() if length > self.to_end() else 0
        if padding + length > self.free():
            raise Full
        if padding:
            self.raw(pad(padding))
            self.produced += padding
        self.raw(message)
        self.produced = (self.produced + (length if step is None else step)) % WORD

    def raw(self, octets):
        """Writes bytes where the next message goes, around the end of the ring if need be; no index moves."""
        at = self.produced % self.size
        first = octets[: self.size - at]
        self.memory[at : at + len(first)] = first
        self.memory[: len(octets) - len(first)] = octets[len(first) :]

    def publish(self):
        """Shows the peer what was written and says whether it wants an event."""
        old, new = self.published, self.produced
        self.control.store(self.direction, "prod", new if self.shown is None else self.shown)
        self.published = new
        full_barrier()
        return old != new and reached(self.control.load(self.direction, "prod_event"), old, new)

    def poke(self, index):
        """Shows a producer index that is not the right one, from now on."""
        self.shown = index
        self.control.store(self.direction, "prod", index)

    def arm(self):
        """Asks for an event as soon as the peer consumes anything."""
        self.control.store(self.direction, "cons_event", self.consumed + 1)
        full_barrier()


class Consumer:
    """The end of a ring that reads messages."""

    def __init__(self, control, direction, memory):
        self.control, self.direction = control, direction
        self.memory = memoryview(memory).cast("B")
        self.size = len(self.memory)
        self.consumed = self.released = 0

    def available(self):
        """Returns how many bytes there are to read; a peer whose index is wrong is a finding."""
        found = self.control.load(self.direction, "prod")
        ahead = (found - self.consumed) % WORD
        if found % ALIGNMENT or ahead > self.size:
            raise Unexpected(f"{self.direction} prod is {found}, consumed are {self.consumed}")
        return ahead

    def next(self):
        """Takes the next message but PADs, or returns None."""
        while (available := self.available()) > 0:
            at = self.consumed % self.size
            head = bytes(self.memory[at : at + HEADER_SIZE])
            kind, _, size = struct.unpack_from("<BBH", head)
            to_end = self.size - at
            bound = to_end if kind == PAD else min(to_end, MAX_MESSAGE)
            # A PAD may be longer than its 16 bits of size say in no ring: the largest is a message less 8.
            if size < HEADER_SIZE or size % ALIGNMENT or size > min(bound, available):
                raise Unexpected(f"{self.direction} message of type {kind} and size {size} at {at}")
            octets = bytes(self.memory[at : at + size])
            self.consumed = (self.consumed + size) % WORD
            if kind != PAD:
                return parse(octets)
        return None

    def publish(self):
        """Gives back what was read and says whether the peer wants an event."""
        old, new = self.released, self.consumed
        if old == new:
            return False
        self.control.store(self.direction, "cons", new)
        self.released = new
        full_barrier()
        return reached(self.control.load(self.direction, "cons_event"), old, new)

    def poke(self, index):
        """Writes the consumer index as it is, for lies."""
        self.control.store(self.direction, "cons", index)

    def arm(self):
        """Asks for an event with the next message and says whether there is one already."""
        self.control.store(self.direction, "prod_event", self.consumed + 1)
        full_barrier()
        return self.available() > 0


def pages(order):
    """Returns how many pages a ring of an order has."""
    return 1 << order


def bytes_of(order):
    """Returns how many bytes a ring of an order has."""
    return PAGE << order
