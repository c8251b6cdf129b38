# SPDX-License-Identifier: GPL-2.0 OR MIT
"""A side of a device whose peer is the core crate in another process, for tests of the lies without Xen.

The queue is a file that both have open; an event is a line on a pipe. Time is made up, so that waiting costs none.
"""

import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import store as keys
from channel import POOL_PAGES
from protocol import CHUNK_PAGES, FEATURES_KNOWN, PAGE
from ring import bytes_of
from side import Side
from store import CLOSED, CONNECTED, INIT_WAIT

STALE, OTHER_DOMAIN, PEERS_PAGE = 30001, 30002, 100
# The oracle's chunk, and pages of the file that this side shares.
PEERS_CHUNK, OWN_CHUNK = 101, 1000


def build():
    """Builds the oracle and returns its path."""
    folder = HERE.parent / "oracle"
    target = os.environ.get("CARGO_TARGET_DIR", str(folder / "target"))
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=folder, check=True)
    return str(Path(target) / "debug" / "hostile-oracle")


class Clock:
    """Made-up time: looking at it takes some."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        """Stands for time.monotonic."""
        self.now += 0.0002
        return self.now

    def sleep(self, seconds):
        """Stands for time.sleep."""
        self.now += seconds

    def install(self):
        """Takes the place of the real clock in this process."""
        time.monotonic, time.sleep = self.monotonic, self.sleep


class FakeStore:
    """Xenstore as far as the lies of a running channel use it."""

    def __init__(self, side):
        self.side = side

    def write(self, _path, _value):
        """Nobody looks."""

    def list(self, _path):
        """Returns what is never looked into."""
        return ["state"]

    def state(self, _path):
        """Returns the peer's state, the only one that is asked for."""
        return self.side.peer_state()

    def wait_state(self, _path, _states, _seconds):
        """Does not wait."""
        return self.side.peer_state()


class Pages:
    """Pages that stand for granted ones."""

    def __init__(self, refs, memory=None):
        self.refs = refs
        self.memory = bytearray(len(refs) * PAGE) if memory is None else memory

    def page(self, index, count=1):
        """Returns a view of some of the pages."""
        return memoryview(self.memory)[index * PAGE : (index + count) * PAGE]

    def unmap(self):
        """Stands for `Mapped.unmap`."""

    def unshare(self):
        """Stands for `Shared.unshare`."""


class OracleSide(Side):
    """A front or a back whose peer is the oracle."""

    binary = None

    def __init__(self, options):
        self.options = options
        self.store = FakeStore(self)
        self.path, self.peer_path, self.peer_domain, self.domain = "own", "peer", 0, 9
        self.order = options.order
        self.resources = []
        self.channel = self.process = None
        self.verdict = None
        self.features = FEATURES_KNOWN
        self.mapping = self
        self.events = self

    def own_mac(self):
        return "00:16:3e:00:00:09"

    def prepare(self):
        self.verdict = None

    def peer_state(self):
        if self.channel is None and "has no Netchannel 2" in str(self.verdict):
            return keys.INITIALISING
        return CLOSED if self.verdict else CONNECTED

    def set_state(self, state):
        if state in (INIT_WAIT, CONNECTED):
            return
        self.verdict = self.verdict or "closed by the state"

    def judge(self, what, values):
        """Asks the core crate what it makes of an offer or an answer."""
        lines = "".join(f"{key}={str(value)}".replace("\n", "\\n") + "\n" for key, value in values.items() if value is not None)
        command = [self.binary, "store", what]
        verdict = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout.strip()
        if verdict != "accepted":
            self.verdict = verdict
        if verdict == f"{keys.VERSION} is missing":
            # What a backend takes for a classic frontend.
            self.verdict = "the guest has no Netchannel 2"
        if verdict == "no offer":
            self.verdict = "the host has no Netchannel 2"
        self.features = int(str(values.get(keys.FEATURES) or "0x0"), 16) & FEATURES_KNOWN if verdict == "accepted" else 0

    def connect(self):
        if self.verdict:
            return None
        length = PAGE + 2 * bytes_of(self.order) + PAGE + 2 * CHUNK_PAGES * PAGE
        file = tempfile.NamedTemporaryFile(dir="/dev/shm")
        file.truncate(length)
        self.memory = mmap.mmap(file.fileno(), length)
        command = [self.binary, self.role, file.name, str(self.order), str(self.features)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.file = file
        self.port = 1
        return self.open_channel(self.memory, Pages(range(200, 200 + POOL_PAGES)))

    def notify(self, _port):
        """An event: the peer takes its turn."""
        if self.verdict or self.process.poll() is not None:
            return
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        if line != "fine":
            self.verdict = line.removeprefix("violation: ") or "oracle died"

    def storm(self, seconds):
        """A storm that takes the oracle no minute."""
        for _ in range(200):
            self.notify(self.port)
        time.sleep(seconds)
        return 200

    def wait(self, seconds):
        """Waits for nothing."""
        time.sleep(seconds)

    def copy(self, _domain, ref, offset, length):
        """Copies from the one page that the oracle grants."""
        start = PAGE + 2 * bytes_of(self.order) + offset
        return bytes(self.memory[start : start + length]) if ref == PEERS_PAGE else None

    def map(self, _domain, refs, writable=True):
        """Maps the oracle's chunk, and else nothing."""
        if refs == list(range(PEERS_CHUNK, PEERS_CHUNK + CHUNK_PAGES)):
            return Pages(refs, self._chunk(0))
        return Pages(refs)

    def share(self, count, domain=None, writable=True):
        if count == CHUNK_PAGES and domain is None and self.channel is not None:
            return Pages(range(OWN_CHUNK, OWN_CHUNK + count), self._chunk(1))
        first = 40 if domain is None else OTHER_DOMAIN
        return Pages(range(first, first + count))

    def _chunk(self, index):
        start = PAGE + 2 * bytes_of(self.order) + PAGE + index * CHUNK_PAGES * PAGE
        return memoryview(self.memory)[start : start + CHUNK_PAGES * PAGE]

    def unbound_port(self, _domain):
        return 5

    def unbound(self, _domain):
        """Stands for `Events.unbound`."""
        return 6

    def unbind(self, _port):
        """Stands for `Events.unbind`."""

    def stale_reference(self):
        return STALE

    def remove_nodes(self):
        self.verdict = self.verdict or "nodes removed"

    def release(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def close(self):
        self.release()


class OracleFrontend(OracleSide):
    """A hostile frontend."""

    role = "front"

    def keys(self):
        count = 1 << self.order
        answer = {
            keys.VERSION: 1,
            keys.FEATURES: f"{FEATURES_KNOWN:#x}",
            keys.NUM_QUEUES: 1,
            keys.RING_ORDER: self.order,
            keys.CONTROL_REF: 40,
            keys.EVENT_CHANNEL: 5,
        }
        for page in range(count):
            answer[keys.ring_ref("tx", page)] = 41 + page
            answer[keys.ring_ref("rx", page)] = 41 + count + page
        return answer

    def publish(self, values):
        self.judge("answer", values)


class OracleBackend(OracleSide):
    """A hostile backend."""

    role = "back"

    def keys(self):
        return {
            keys.FEATURE: 1,
            keys.MIN_VERSION: 1,
            keys.MAX_QUEUES: 1,
            keys.MAX_RING_ORDER: self.options.order,
            keys.FEATURES: f"{FEATURES_KNOWN:#x}",
        }

    def publish(self, values):
        self.judge("offer", values)
