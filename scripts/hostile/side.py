# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What a hostile frontend and a hostile backend have in common."""

import random
import time

from channel import Channel, Wires
from frames import Host, mac_of
from protocol import PAGE
from ring import Control, bytes_of
from store import CLOSED, CLOSING, UNKNOWN, Store
from xen import Events, Mapping, Sharing

GONE = (CLOSING, CLOSED, UNKNOWN)

# Seconds until the peer must have followed; under emulation beside a build everything is slow.
CONNECT_LIMIT = 30


class Setup(Exception):
    """The stage could not be set: no verdict on the driver under test."""


class Skipped(Exception):
    """There is nothing to lie about between these two; no verdict, and no fault."""


class Side:
    """A device, seen from one side of it.

    Subclasses know `path` (the own directory), `peer_path`, `peer_domain`, and how to connect.
    """

    role = None

    def __init__(self, options):
        self.options = options
        self.store = Store()
        self.sharing, self.mapping, self.events = Sharing(), Mapping(), Events()
        self.path = self.peer_path = self.peer_domain = None
        self.port = None
        self.channel = None
        # What both sides may use; known when the channel is.
        self.features = 0
        self.resources = []

    # Xenstore

    def set_state(self, state):
        """Writes the own state."""
        self.store.write(f"{self.path}/state", state)

    def peer_state(self):
        """Reads the peer's state."""
        return self.store.state(self.peer_path)

    def wait_peer(self, states, seconds=10):
        """Waits for one of some states of the peer, while the channel, if there is one, keeps running."""
        if self.channel is None:
            return self.store.wait_state(self.peer_path, states, seconds)
        self.channel.run(seconds, lambda: self.peer_state() in states)
        return self.peer_state()

    # Resources

    def share(self, count, domain=None, writable=True):
        """Grants pages, to the peer unless another domain is named."""
        shared = self.sharing.share(self.peer_domain if domain is None else domain, count, writable)
        self.resources.append(shared.unshare)
        return shared

    def map_peer(self, refs):
        """Maps pages of the peer for reading; None if Xen refuses."""
        try:
            mapped = self.mapping.map(self.peer_domain, refs, writable=False)
        except OSError:
            return None
        # Not among the resources: a liar may keep it for as long as this process lives.
        return mapped

    def stale_reference(self):
        """Returns a reference that was granted to the peer and is not any more."""
        shared = self.sharing.share(self.peer_domain, 1)
        shared.unshare()
        return shared.refs[0]

    def unbound_port(self, domain):
        """Allocates an event channel that `domain` may bind."""
        port = self.events.unbound(domain)
        self.resources.append(lambda: self.events.unbind(port))
        return port

    def let_go(self):
        """Unmaps what is mapped of the peer's pool, but for a liar who keeps it."""
        if self.channel is not None:
            self.channel.let_go()

    def release(self):
        """Gives back everything, last things first; what the peer still holds Xen keeps for it."""
        self.let_go()
        self.channel = None
        while self.resources:
            try:
                self.resources.pop()()
            except OSError:
                pass

    # Channel

    def open_channel(self, memory, pool):
        """Makes the channel over the control page and the two rings, in one run of memory."""
        order = self.order
        length = bytes_of(order)
        view = memoryview(memory).cast("B")
        wires = Wires(
            role=self.role,
            control=Control(view[:PAGE]),
            tx=view[PAGE : PAGE + length],
            rx=view[PAGE + length : PAGE + 2 * length],
            notify=lambda: self.events.notify(self.port),
            wait=self.events.wait,
            copy=lambda ref, offset, length: self.mapping.copy(self.peer_domain, ref, offset, length),
            map=self.map_peer,
            pool=pool,
        )
        host = Host(mac_of(self.own_mac()), self.options.own_ip, self.options.peer_ip)
        self.channel = Channel(wires, host)
        return self.channel

    def storm(self, seconds):
        """Sends events as fast as it goes, with nothing to say; returns how many."""
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(64):
                self.events.notify(self.port)
            count += 64
        return count

    def random_states(self, seconds, seed):
        """Writes states in a random order, numbers without a meaning among them."""
        choice = random.Random(seed)
        written, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            state = choice.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4294967296, "banana", ""])
            self.set_state(state)
            written.append(state)
            time.sleep(choice.choice([0.0, 0.001, 0.02]))
        return written

    # For subclasses

    order = 4

    def own_mac(self):
        """Returns the Ethernet address that this side speaks with."""
        raise NotImplementedError

    def keys(self):
        """Returns the keys that an honest side writes; lies change them before they are written."""
        raise NotImplementedError

    def prepare(self):
        """Brings the device to the point where the keys are to be written."""
        raise NotImplementedError

    def publish(self, keys):
        """Writes the keys and the state that goes with them."""
        raise NotImplementedError

    def connect(self):
        """Follows the peer up to a running channel; None if the peer gives up before."""
        raise NotImplementedError

    def close(self):
        """Takes the device down, so that the next lie finds a fresh one."""
        raise NotImplementedError

