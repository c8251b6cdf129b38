# SPDX-License-Identifier: GPL-2.0 OR MIT
"""A frontend in the userland of a guest that has no netfront driver loaded."""

import contextlib

import store as keys
from channel import POOL_PAGES
from protocol import FEATURES_KNOWN
from side import CONNECT_LIMIT, Setup, Side
from store import CLOSED, CLOSING, CONNECTED, INIT_WAIT, INITIALISING, UNKNOWN


class Frontend(Side):
    """The device `device/vif/HANDLE` of this guest."""

    role = "front"

    def __init__(self, options):
        super().__init__(options)
        domain = self.store.read("domid")
        if domain is None:
            raise Setup("no domid in xenstore: is this a guest, with /dev/xen/xenbus?")
        self.path = f"/local/domain/{domain}/device/vif/{options.handle}"
        self.peer_path = self.store.read(f"{self.path}/backend")
        self.peer_domain = int(self.store.read(f"{self.path}/backend-id") or 0)
        self.domain = int(domain)
        if self.peer_path is None:
            raise Setup(f"no device at {self.path}: add a vif to the guest")
        self.order = options.order
        self.memory = None
        self.pool = None

    def own_mac(self):
        return self.store.read(f"{self.path}/mac")

    def prepare(self):
        """Waits for the backend's offer; a device that was used is sent through Closed first."""
        if self.store.state(self.path) != INITIALISING or self.peer_state() != INIT_WAIT:
            self.set_state(CLOSED)
            # A backend that has not closed would not see the next state as a new start.
            self.store.wait_state(self.peer_path, (CLOSED, INIT_WAIT, UNKNOWN), 10)
            self.set_state(INITIALISING)
        state = self.store.wait_state(self.peer_path, (INIT_WAIT,), 10)
        if state != INIT_WAIT:
            raise Setup(f"backend is in state {state}, not InitWait")
        if self.store.read(f"{self.peer_path}/{keys.FEATURE}") is None:
            raise Setup("backend makes no offer: is netchannel2_back bound to the vif?")

    def keys(self):
        """Allocates the queue and describes it."""
        count = 1 + 2 * (1 << self.order)
        self.memory = self.share(count)
        self.pool = self.share(POOL_PAGES, writable=False)
        self.port = self.unbound_port(self.peer_domain)
        offered = int(self.store.read(f"{self.peer_path}/{keys.FEATURES}") or "0x0", 16)
        self.features = offered & FEATURES_KNOWN
        answer = {
            keys.VERSION: 1,
            keys.FEATURES: f"{self.features:#x}",
            keys.NUM_QUEUES: 1,
            keys.RING_ORDER: self.order,
            keys.CONTROL_REF: self.memory.refs[0],
            keys.EVENT_CHANNEL: self.port,
        }
        for page in range(1 << self.order):
            answer[keys.ring_ref("tx", page)] = self.memory.refs[1 + page]
            answer[keys.ring_ref("rx", page)] = self.memory.refs[1 + (1 << self.order) + page]
        return answer

    def publish(self, keys):
        self.store.write_all(self.path, {**keys, "state": CONNECTED})

    def connect(self):
        if self.store.wait_state(self.peer_path, (CONNECTED, CLOSING, CLOSED), CONNECT_LIMIT) != CONNECTED:
            return None
        return self.open_channel(self.memory.memory, self.pool)

    def remove_nodes(self):
        """Removes all that stands in the own directory but what the toolstack protects, as the directory itself."""
        for name in self.store.list(self.path):
            with contextlib.suppress(PermissionError):
                self.store.remove(f"{self.path}/{name}")

    def close(self):
        """Closes and withdraws the answer; the toolstack's keys stay."""
        self.let_go()
        try:
            self.set_state(CLOSED)
            self.store.wait_state(self.peer_path, (CLOSED, UNKNOWN), 5)
            answer = (keys.VERSION, keys.FEATURES, keys.NUM_QUEUES, keys.RING_ORDER, "queue-0")
            self.store.write_all(self.path, dict.fromkeys(answer))
        except PermissionError:
            # The toolstack has taken the device away meanwhile.
            pass
        self.release()
