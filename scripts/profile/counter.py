"""The plugin inside QEMU: its options, its control socket, and the snapshots that it writes."""
import contextlib
import itertools
import socket

from config import CACHE
from machine import LabError
from snapshot import Reader

# A rate that is none.
UNLIMITED = 0
PLUGIN = CACHE / "target/release/libnc2_count.so"


class Counter:
    """The plugin of one QEMU that runs, or will run, with its files in `folder`."""

    def __init__(self, folder, cache=False):
        self.folder, self.cache = folder, cache
        self.out, self.socket_path = folder / "counters.txt", folder / "control.sock"
        self.numbers = itertools.count(1000)
        self.reader = Reader(self.out)
        if not PLUGIN.exists():
            raise LabError(f"there is no {PLUGIN}: run scripts/profile/build")

    def qemu_options(self):
        # The plugin appends nothing to what an earlier QEMU wrote.
        self.out.unlink(missing_ok=True)
        cache = ",cache=on" if self.cache else ""
        return ["-plugin", f"{PLUGIN},out={self.out},control={self.socket_path}{cache}"]

    def ask(self, request):
        """Has the plugin do something; one connection a request, since it serves one at a time."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(60)
            control.connect(str(self.socket_path))
            control.sendall(request.encode() + b"\n")
            answer = control.makefile().readline().strip()
        if answer != "ok":
            raise LabError(f"the plugin answers {answer!r} to {request[:80]!r}")

    def snapshot(self):
        """The counters as they are now."""
        number = next(self.numbers)
        self.ask(f"snapshot {number}")
        return self.reader.next(number)

    def probe(self, lines):
        if lines:
            self.ask("probe " + ";".join(lines))

    def keep_pace(self, on):
        """Whether the processors keep one pace, though not a certain speed."""
        self.ask(f"pace {UNLIMITED if on else 'off'}")

    @contextlib.contextmanager
    def speed(self, rate):
        """Has processors that keep one pace run so many million instructions a second, and not more."""
        self.ask(f"pace {rate}")
        try:
            yield
        finally:
            self.ask(f"pace {UNLIMITED}")

    @contextlib.contextmanager
    def modelled_caches(self):
        """Has the plugin model caches, which are empty at first."""
        self.ask("cache on")
        try:
            yield
        finally:
            self.ask("cache off")

    def remove_output(self):
        """The counters are hundreds of megabytes; the results hold what matters of them."""
        self.out.unlink(missing_ok=True)
