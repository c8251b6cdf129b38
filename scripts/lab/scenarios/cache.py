"""The grant cache of dom0: a bound over all guests, and chunks that come back when others need them."""
import contextlib
import time

from config import STOCK_BACK
from hosts import load_command, unload_command
from scenario import scenario
from scenarios.ranges import counter
from traffic import serve

CHUNK = 32
# Longer than a pool of a guest waits before it offers a chunk again (10 s) and dom0 for one that it asked for (6 s).
SETTLE = 25


@contextlib.contextmanager
def bounded(lab, pages):
    """Loads dom0's driver anew with another bound; nothing leaks in the block, which makes its own guests."""
    lab.no_standing_guest()
    load(lab, f"cache_pages={pages}")
    try:
        with lab.no_leaks():
            yield
            for guest in lab.guests:
                guest.destroy()
            lab.guests.clear()
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


def load(lab, options):
    for driver in (lab.back, STOCK_BACK):
        lab.dom0.run(unload_command(driver))
    lab.dom0.run(load_command(lab.back, options))
    lab.dom0.run(load_command(STOCK_BACK))


def new_guest(lab, name, host):
    guest = lab.new_guest(name, host, memory=256)
    guest.wait_link()
    return guest


def mapped(lab, guests):
    return [counter(lab.dom0, guest.vif(), "mapped_pages") for guest in guests]


def send(lab, guest, seconds):
    """Starts TCP out of a guest, every byte checked."""
    serve(lab.dom0)
    return guest.start(f"nc2-traffic tcp 10.0.0.1 --dir send --seconds {seconds} --streams 2 --json", seconds + 60)


def keep_to_bound(lab, guests, running, bound):
    """Looks at what is mapped until the commands end; returns what was seen."""
    seen = []
    end = time.monotonic() + 5
    while time.monotonic() < end or any(not one.pending.done.is_set() for one in running):
        pages = mapped(lab, guests)
        every = counter(lab.dom0, guests[0].vif(), "cache_all_pages")
        # Two looks one after the other are no one look at both; what the driver counts itself is.
        lab.expect(every <= bound, f"{every} pages are mapped, {bound} may be")
        lab.expect(max(pages) <= bound, f"{pages} pages are mapped, {bound} may be")
        seen.append(pages)
        time.sleep(0.5)
    for one in running:
        one.wait()
    return seen


def until(lab, what, condition, seconds=SETTLE):
    end = time.monotonic() + seconds
    while not condition():
        lab.expect(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.5)


@scenario("cache_bound", kinds=("ours",), seconds=400, long=True)
def cache_bound(lab):
    """Two guests compete for two chunks: the bound holds, the idle one's goes first, nobody loses its network."""
    bound = 2 * CHUNK
    with bounded(lab, bound):
        first, second = new_guest(lab, "first", 61), new_guest(lab, "second", 62)
        both = (first, second)
        until(lab, "each has a chunk", lambda: mapped(lab, both) == [CHUNK, CHUNK])

        # The second is idle, the first needs more than it has.
        seen = keep_to_bound(lab, both, [send(lab, first, SETTLE)], bound)
        evicted = [counter(lab.dom0, guest.vif(), "cache_evicted") for guest in both]
        # The idle guest may have its one chunk back afterwards.
        lab.expect(evicted[1] > 0, f"{evicted} chunks were asked back")
        lab.expect(max(pages[0] for pages in seen) == bound, "the first guest never had all")

        keep_to_bound(lab, both, [send(lab, guest, SETTLE) for guest in both], bound)
        for guest in both:
            lab.traffic(guest).check(lab.dom0, guest, guest.address(), "tcp", "--dir both --seconds 2")
            for name in ("cache_late", "cache_lost"):
                lab.expect(counter(lab.dom0, guest.vif(), name) == 0, f"{guest.name} has {name}")
            lab.expect(counter(lab.dom0, guest.vif(), "cache_hits") > 0, f"no packet of {guest.name} came through the cache")


@scenario("cache_none", kinds=("ours",), seconds=200, long=True)
def cache_none(lab):
    """With a bound of 0 nothing of a guest is mapped, and packets take the other ways."""
    with bounded(lab, 0):
        guest = new_guest(lab, "none", 63)
        keep_to_bound(lab, [guest], [send(lab, guest, 5)], 0)
        lab.expect(counter(lab.dom0, guest.vif(), "cache_refused") > 0, "no chunk was refused")
        lab.expect(counter(lab.dom0, guest.vif(), "cache_misses") > 0, "no packet was copied by a hypercall")


@scenario("cache_pressure", kinds=("ours",), seconds=300, long=True)
def cache_pressure(lab):
    """Memory is short in dom0: idle chunks of guests and of dom0's own pools go, and come again with traffic."""
    with bounded(lab, 16384):
        guest = new_guest(lab, "pressed", 64)
        traffic = lab.traffic(guest)
        traffic.check(guest, lab.dom0, "10.0.0.1", "tcp", "--dir both --seconds 5 --streams 2")
        vif = guest.vif()
        until(lab, "chunks are mapped", lambda: mapped(lab, [guest])[0] > 0)
        lab.expect(counter(lab.dom0, vif, "pool_pages") > 0, "dom0's pool has no pages")
        time.sleep(8)
        lab.dom0.run("echo 2 >/proc/sys/vm/drop_caches")
        until(lab, "nothing is mapped", lambda: mapped(lab, [guest])[0] == 0, 10)
        until(lab, "dom0's pool is empty", lambda: counter(lab.dom0, vif, "pool_pages") == 0, 10)
        lab.expect(counter(lab.dom0, vif, "cache_reclaimed") > 0, "no chunk was asked back")
        hits = counter(lab.dom0, vif, "cache_hits")
        traffic.check(guest, lab.dom0, "10.0.0.1", "tcp", f"--dir both --seconds {SETTLE} --streams 2")
        lab.expect(mapped(lab, [guest])[0] > 0, "no chunk has come again")
        lab.expect(counter(lab.dom0, vif, "cache_hits") > hits, "no packet comes through the cache")
        for name in ("cache_late", "cache_lost"):
            lab.expect(counter(lab.dom0, vif, name) == 0, f"{name} is not 0")


@scenario("cache_late", kinds=("ours",), seconds=300, long=True)
def cache_late(lab):
    """A paused guest does not give its chunks back: they are taken away, and it goes on when it wakes."""
    bound = 2 * CHUNK
    marks = lab.machine.marks()
    with bounded(lab, bound):
        first, second = new_guest(lab, "asleep", 65), new_guest(lab, "awake", 66)
        both = (first, second)
        keep_to_bound(lab, both, [send(lab, first, 5)], bound)
        until(lab, "all places are taken", lambda: sum(mapped(lab, both)) == bound)
        before = mapped(lab, both)
        lab.dom0.run(f"xl pause {first.name}")
        keep_to_bound(lab, both, [send(lab, second, SETTLE)], bound)
        late = counter(lab.dom0, first.vif(), "cache_late")
        lab.expect(late > 0, f"no chunk was taken away; {before} pages were mapped, now {mapped(lab, both)}")
        lab.dom0.run(f"xl unpause {first.name}")
        lab.traffic(first).recovers()
        for guest in both:
            lab.traffic(guest).check(guest, lab.dom0, "10.0.0.1", "tcp", "--dir both --seconds 5")
        closings = [f"{source}: {line}" for source, text in lab.machine.since(marks).items() for line in text.splitlines()
                    if "closing" in line]
        lab.expect(not closings, f"a channel was closed: {closings}")


@scenario("cache_idle", kinds=("ours",), seconds=200, long=True)
def cache_idle(lab):
    """Without traffic the pools of both ends shrink to a chunk."""
    with bounded(lab, 16384):
        guest = new_guest(lab, "idle", 67)
        lab.traffic(guest).check(guest, lab.dom0, "10.0.0.1", "tcp", "--dir both --seconds 5 --streams 4")
        ends = ((lab.dom0, guest.vif()), (guest, guest.link()))
        lab.expect(max(counter(*end, "pool_pages") for end in ends) > CHUNK, "no pool has grown")
        until(lab, "both pools have one chunk",
              lambda: all(counter(*end, "pool_pages") <= CHUNK for end in ends), 120)
