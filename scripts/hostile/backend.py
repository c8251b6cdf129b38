# SPDX-License-Identifier: GPL-2.0 OR MIT
"""A backend in the userland of dom0, for the frontend module of a guest.

It makes the device itself, as a toolstack would, rather than through xl: a device that appears takes a second, one
guest sees every lie without a reboot, and libxl's time limits do not matter. Neither netchannel2_back nor
xen-netback may be loaded in dom0.
"""

import time

import store as keys
from channel import POOL_PAGES
from protocol import FEATURES_KNOWN
from side import CONNECT_LIMIT, Setup, Side
from store import CLOSED, CLOSING, CONNECTED, INIT_WAIT, INITIALISED, INITIALISING, UNKNOWN

GATEWAY_MAC = "00:16:3e:ff:ff:01"
# In the lab a guest gives itself the address 10.0.NETWORK.HANDLE, by its MAC 00:16:3e:00:NETWORK:HANDLE.
NETWORK = 119


class Backend(Side):
    """A vif that is made for one lie and removed after it."""

    role = "back"

    def __init__(self, options):
        super().__init__(options)
        self.peer_domain = self._domain(options.domain)
        handle = options.handle
        self.path = f"/local/domain/0/backend/vif/{self.peer_domain}/{handle}"
        self.peer_path = f"/local/domain/{self.peer_domain}/device/vif/{handle}"
        self.pool = None

    def _domain(self, name):
        if name is None:
            raise Setup("--domain NAME|ID says which guest is meant")
        for domain in self.store.list("/local/domain"):
            if name == domain or self.store.read(f"/local/domain/{domain}/name") == name:
                return int(domain)
        raise Setup(f"no domain {name}")

    def own_mac(self):
        return GATEWAY_MAC

    def guest_mac(self):
        """Returns the Ethernet address of the guest's device."""
        return f"00:16:3e:00:{NETWORK:02x}:{self.options.handle & 0xFF:02x}"

    def prepare(self):
        """Makes both directories anew, as libxl does for a vif with a script."""
        self.remove_nodes()
        time.sleep(0.1)
        own, peer = self.path, self.peer_path
        self.store.make(own, 0, self.peer_domain)
        self.store.make(peer, self.peer_domain, 0)
        common = {"handle": self.options.handle, "mac": self.guest_mac(), "state": INITIALISING}
        self.store.write_all(
            own,
            {
                **common,
                "frontend": peer,
                "frontend-id": self.peer_domain,
                "online": 1,
                "script": "vif-netchannel2",
                "bridge": "none",
                "hotplug-status": "connected",
            },
        )
        self.store.write_all(peer, {**common, "backend": own, "backend-id": 0})
        # The frontend finds the device before it finds an offer, as it does with libxl.
        time.sleep(0.3)

    def keys(self):
        """Describes what this backend can do."""
        return {
            keys.FEATURE: 1,
            keys.MIN_VERSION: 1,
            keys.MAX_QUEUES: 1,
            keys.MAX_RING_ORDER: self.options.order,
            keys.FEATURES: f"{FEATURES_KNOWN:#x}",
        }

    def publish(self, keys):
        self.store.write_all(self.path, {**keys, "state": INIT_WAIT})

    def connect(self):
        """Maps what the frontend answers with."""
        answered = (INITIALISED, CONNECTED, CLOSING, CLOSED)
        if self.store.wait_state(self.peer_path, answered, CONNECT_LIMIT) not in (INITIALISED, CONNECTED):
            return None
        self.order = int(self._answer(keys.RING_ORDER))
        self.features = int(self._answer(keys.FEATURES), 16)
        count = 1 << self.order
        refs = [self._answer(keys.CONTROL_REF)]
        refs += [self._answer(keys.ring_ref(way, page)) for way in ("tx", "rx") for page in range(count)]
        mapped = self.mapping.map(self.peer_domain, [int(ref) for ref in refs])
        self.resources.append(mapped.unmap)
        self.port = self.events.interdomain(self.peer_domain, int(self._answer(keys.EVENT_CHANNEL)))
        self.resources.append(lambda port=self.port: self.events.unbind(port))
        self.pool = self.share(POOL_PAGES, writable=False)
        self.set_state(CONNECTED)
        return self.open_channel(mapped.memory, self.pool)

    def _answer(self, key):
        value = self.store.read(f"{self.peer_path}/{key}")
        if value is None:
            raise Setup(f"frontend says it is connected, but {key} is missing")
        return value

    def remove_nodes(self):
        """Removes both directories, which unplugs the device from the guest."""
        self.store.remove(self.peer_path)
        self.store.remove(self.path)

    def close(self):
        """Closes, waits for the frontend to let go, and unplugs."""
        self.let_go()
        if self.store.state(self.path) != UNKNOWN:
            self.store.write_all(self.path, {"online": 0, "state": CLOSING})
            self.store.wait_state(self.peer_path, (CLOSED, UNKNOWN), 5)
        self.release()
        self.remove_nodes()
        # The guest's own watch removes the device; the next one must not look like the same.
        time.sleep(0.2)
