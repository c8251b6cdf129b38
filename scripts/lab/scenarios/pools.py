"""Pools of pages that are granted once and mapped once: packets cross in them, and they come and go with what needs them."""
import contextlib
import re
import time

from config import STOCK_BACK
from hosts import load_command, unload_command, vif
from machine import LabError
from scenario import scenario
from scenarios.basics import MTU_OVERHEAD, SWEEP_STEP, sweep_both_ways, with_largest_mtu
from scenarios.hostile import address, liar_guest

CHUNK = 32
# Above inline_max, below a page.
MEDIUM = 1000


def counters(host, link):
    """All of `ethtool -S`."""
    lines = host.output(f"ethtool -S {link}").splitlines()
    return {name.strip(): int(value) for name, _, value in (line.rpartition(":") for line in lines) if value.strip().isdigit()}


class Ends:
    """The counters of both ends, and by how much they have grown since."""

    def __init__(self, lab, guest):
        self.places = {"back": (lab.dom0, guest.vif()), "front": (guest, guest.link())}
        self.before = self.read()

    def read(self):
        return {end: counters(*place) for end, place in self.places.items()}

    def grown(self):
        now = self.read()
        return {end: {name: now[end][name] - value for name, value in self.before[end].items()} for end in now}

    def value(self, end, name):
        return counters(*self.places[end])[name]

    def wait_for(self, end, name, is_so, seconds):
        """Until the counter is as it should be; returns what it is."""
        deadline = time.monotonic() + seconds
        while not is_so(value := self.value(end, name)):
            if time.monotonic() > deadline:
                raise LabError(f"{name} of the {end} is {value} after {seconds} s")
            time.sleep(0.5)
        return value

    def wait_pools(self, seconds=20):
        """Until each end has mapped something of the other's pool."""
        for end in self.places:
            self.wait_for(end, "mapped_pages", lambda pages: pages >= CHUNK, seconds)


@contextlib.contextmanager
def with_options(lab, name, host, back="", front=""):
    """A guest whose two drivers were loaded with these parameters; dom0's is loaded anew after it."""
    with drivers_after(lab):
        # Both are removed, as the one that is loaded first is asked first for a vif.
        lab.dom0.load()
        lab.dom0.run(load_command(lab.back, back))
        lab.dom0.run(load_command(STOCK_BACK))
        guest = lab.new_guest(name, host)
        guest.wait_link()
        if front:
            reload_front(lab, guest, front)
        yield guest
        guest.destroy()
        lab.guests.remove(guest)


@contextlib.contextmanager
def drivers_after(lab):
    """Without guests, before and after; dom0's drivers are loaded in their order at last, whatever comes between."""
    lab.no_standing_guest()
    try:
        yield
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


def reload_front(lab, guest, options=""):
    guest.run(f"{unload_command(lab.front)} && {load_command(lab.front, options)}")
    guest.wait_link()


def reload_back(lab, guest, options=""):
    lab.dom0.run(f"{unload_command(lab.back)} && {load_command(lab.back, options)}")
    lab.wait_bridged(guest)
    guest.wait_link()


def bulk(lab, guest, seconds=3):
    """TCP both ways at once, in packets of up to 64 KB, checked."""
    traffic = lab.traffic(guest)
    for client, server, address in traffic.directions():
        traffic.check(client, server, address, "tcp", f"--dir both --seconds {seconds} --streams 4")


@scenario("pools_sweep", kinds=("ours",), seconds=400)
def pools_sweep(lab):
    """Packets of all sizes cross in pools, both ways, every byte checked; the counters of both ends agree."""
    guest = lab.guest()
    ends = Ends(lab, guest)
    ends.wait_pools()
    sweep_both_ways(lab, guest, 1500 - MTU_OVERHEAD, 3)
    with_largest_mtu(lab, guest, lambda mtu: sweep_both_ways(lab, guest, mtu - MTU_OVERHEAD, 4 * SWEEP_STEP + 1))
    bulk(lab, guest, 2)
    time.sleep(0.5)
    grown = ends.grown()
    for sender, receiver in (("back", "front"), ("front", "back")):
        sent, received = grown[sender], grown[receiver]
        lab.expect(sent["send_staged_packets"] > 500, f"the {sender} has staged {sent['send_staged_packets']} packets")
        for what in ("packets", "bytes"):
            # Each reading is of one end: what goes meanwhile is in one and not in the other.
            pair = sent[f"send_staged_{what}"], received[f"receive_staged_{what}"]
            lab.expect(abs(pair[0] - pair[1]) <= 0.01 * pair[0], f"{sender} to {receiver}: {pair} staged {what}")
        lab.expect(received["receive_bad_packets"] == 0, f"the {receiver} counts bad packets: {received}")


@scenario("pools_steady", kinds=("ours",), seconds=300)
def pools_steady(lab):
    """Thousands of packets cross without one page granted, mapped, unmapped or copied by Xen for them."""
    # One whose pools have not grown for anything else, and have nothing to give up.
    guest = lab.new_guest("steady", 60)
    guest.wait_link()
    traffic = lab.traffic(guest)
    Ends(lab, guest).wait_pools()

    def load():
        for client, server, address in traffic.directions():
            traffic.check(client, server, address, "udp", "--size 1400 --count 4000 --window 16 --max-loss 1", 120)

    still = ("mapped_pages", "pool_pages", "pool_grown", "pool_shrunk", "pool_refused", "copy_hypercalls",
             "send_granted_packets", "send_finishes")
    # The pools become as large as this load wants them, and give up what they do not need, and then stand still.
    for _ in range(4):
        ends = Ends(lab, guest)
        load()
        grown = ends.grown()
        for end, counts in grown.items():
            lab.expect(counts["send_staged_packets"] >= 4000, f"the {end} has staged {counts['send_staged_packets']} packets of 4000")
        moved = {end: {name: counts[name] for name in still if counts[name]} for end, counts in grown.items()}
        if not any(moved.values()):
            return
    raise LabError(f"while packets went, there moved {moved}")


@scenario("pools_grow", kinds=("ours",), seconds=400, long=True)
def pools_grow(lab):
    """Pools grow with their load up to pool_pages and no further, and shrink to one chunk when little is left of it."""
    limit = 2 * CHUNK
    with with_options(lab, "grow", 61, f"pool_pages={limit + CHUNK - 1}", f"pool_pages={limit}") as guest:
        ends = Ends(lab, guest)
        ends.wait_pools()
        first = {end: ends.value(end, "pool_pages") for end in ends.places}
        bulk(lab, guest, 5)
        largest = {end: ends.value(end, "pool_pages") for end in ends.places}
        grown = ends.grown()
        for end, other in (("back", "front"), ("front", "back")):
            lab.expect(first[end] >= CHUNK, f"the {end}'s pool began with {first[end]} pages")
            lab.expect(largest[end] == limit, f"the {end}'s pool has {largest[end]} pages under load, and may have {limit}")
            mapped = ends.value(other, "mapped_pages")
            lab.expect(mapped <= limit, f"the {other} has mapped {mapped} pages")
            # What has no room is granted.
            exhausted, granted = grown[end]["pool_exhausted"], grown[end]["send_granted_packets"]
            lab.expect(exhausted > 0 and granted > 0, f"the {end} found its pool exhausted {exhausted} times and granted {granted} packets")
        # A little traffic, by which they notice that they are too large.
        with lab.traffic(guest):
            for end, other in (("back", "front"), ("front", "back")):
                ends.wait_for(end, "pool_pages", lambda pages: pages == CHUNK, 90)
                ends.wait_for(other, "mapped_pages", lambda pages: pages == CHUNK, 5)
        for end, counts in ends.grown().items():
            lab.expect(counts["pool_shrunk"] >= largest[end] // CHUNK - 1, f"the {end} counts {counts['pool_shrunk']} chunks less")
            lab.expect(counts["pool_refused"] == 0, f"the {end} counts {counts['pool_refused']} refusals")
        bulk(lab, guest, 1)


@scenario("pools_off", kinds=("ours",), seconds=500, long=True)
def pools_off(lab):
    """With pool_pages=0 at either end or both, or staged_max=0, packets are granted instead, and all is as before."""
    default, none, unused = (512, ""), (0, "pool_pages=0"), (0, "staged_max=0")
    for number, sides in enumerate(((none, default), (default, none), (unused, unused))):
        with with_options(lab, f"off{number}", 62 + number, *(options for _, options in sides)) as guest:
            pages = dict(zip(("back", "front"), (count for count, _ in sides)))
            ends = Ends(lab, guest)
            for end, other in (("back", "front"), ("front", "back")):
                if pages[end]:
                    ends.wait_for(other, "mapped_pages", lambda count: count >= CHUNK, 20)
            sweep_both_ways(lab, guest, 1500 - MTU_OVERHEAD, 29)
            bulk(lab, guest, 1)
            grown = ends.grown()
            for end, counts in grown.items():
                staged, granted = counts["send_staged_packets"], counts["send_granted_packets"]
                lab.expect((staged > 0) == (pages[end] > 0), f"{pages}: the {end} has staged {staged} packets")
                lab.expect(granted > 0 or pages[end], f"{pages}: the {end} has granted {granted} packets")
                lab.expect(pages[end] or ends.value(end, "pool_pages") == 0, f"{pages}: the {end} has a pool")


@scenario("pools_staged_max", kinds=("ours",), seconds=300, long=True)
def pools_staged_max(lab):
    """Packets up to staged_max are staged and longer ones granted, at both ends."""
    with with_options(lab, "most", 66, "staged_max=700", "staged_max=700") as guest:
        Ends(lab, guest).wait_pools()
        for size, way, other in ((600, "staged", "granted"), (900, "granted", "staged")):
            ends = Ends(lab, guest)
            lab.dom0.run(f"ping -q -c 50 -i 0.02 -s {size} {guest.address()}")
            guest.run(f"ping -q -c 50 -i 0.02 -s {size} 10.0.0.1")
            for end, counts in ends.grown().items():
                right, wrong = counts[f"send_{way}_packets"], counts[f"send_{other}_packets"]
                lab.expect(right >= 100 and wrong == 0, f"of packets of {size} the {end} {way} {right} and {other} {wrong}")


@scenario("pools_bounds", kinds=("ours",), seconds=200)
def pools_bounds(lab):
    """A pool_pages that is too large keeps either module from loading, with a line that names it."""
    lab.no_standing_guest()
    try:
        lab.dom0.load()
        # The frontend looks at its parameters before it looks where it is.
        for driver in (lab.back, lab.front):
            said = lab.dom0.run(f"{load_command(driver, 'pool_pages=1025')}; dmesg | tail -n 5", check=False).out
            lab.expect(f"{driver}: pool_pages is 1025: at most 1024" in said, f"dom0 said of {driver}: {said}")
            lab.expect(not lab.dom0.run(f"grep -q ^{driver} /proc/modules", check=False).ok, f"{driver} is loaded all the same")
    finally:
        lab.dom0.load(*lab.back_drivers())


@scenario("pools_save", kinds=("ours",), seconds=400, long=True)
def pools_save(lab):
    """A guest that has dom0's pages mapped is saved under traffic and restored, twice, and the pools are there again."""
    # Where saving takes its time, the backend learns that the guest takes nothing.
    lab.expected.append(re.compile(r"netchannel2_back .* NETDEV WATCHDOG: .* timed out"))
    guest = lab.new_guest("spool", 67, memory=256)
    guest.wait_link()
    bulk(lab, guest, 1)
    for _ in range(2):
        ends = Ends(lab, guest)
        ends.wait_pools()
        with lab.no_leaks():
            with lab.traffic(guest):
                time.sleep(1)
                lab.dom0.run(f"xl save {guest.name} /run/spool.img", 120)
                lab.dom0.run("xl restore /run/spool.img && rm /run/spool.img", 120)
                guest.domain = int(lab.dom0.output(f"xl domid {guest.name}"))
                guest.wait_agent()
                guest.wait_link()
            Ends(lab, guest).wait_pools()
        bulk(lab, guest, 1)


@scenario("pools_lifecycle", kinds=("ours",), seconds=600, long=True)
def pools_lifecycle(lab):
    """Under bulk traffic, drivers are loaded again, a device comes and goes, and the guest is destroyed; nothing stays."""
    with drivers_after(lab), lab.no_leaks():
        guest = lab.new_guest("cycle", 68)
        guest.wait_link()
        # Before the drivers are loaded again: after that the stock ones, older then, are asked first for a device.
        guest.attach(vif(1, guest.host, lab.script))
        guest.wait_link(1)
        lab.expect(guest.driver_of(guest.link(1)) == lab.front_name, "another driver has the second device")
        with bulk_load(lab, guest, net=1):
            time.sleep(2)
            device = lab.dom0.output(f"xenstore-list /local/domain/{guest.domain}/device/vif | sort -n | tail -n 1")
            guest.detach(device)
            lab.dom0.wait_until(f"! ip link show vif{guest.domain}.{device} 2>/dev/null", 20)
        for _ in range(3):
            for again in (reload_front, reload_back):
                with bulk_load(lab, guest):
                    Ends(lab, guest).wait_pools()
                    again(lab, guest)
        with bulk_load(lab, guest):
            time.sleep(2)
            guest.destroy()
        lab.guests.remove(guest)


@contextlib.contextmanager
def bulk_load(lab, guest, net=0):
    """As much TCP as goes, both ways, while the block runs; it may break with its device."""
    traffic = lab.traffic(guest, net)
    command = "while :; do nc2-traffic tcp {} --dir both --seconds 3 --streams 2 || sleep 0.2; done"
    with traffic:
        for client, _, address in traffic.directions():
            client.run(f"setsid /bin/sh -c 'echo $$ >>/run/load.pids; {command.format(address)}' >/dev/null 2>&1 </dev/null &")
        yield


@scenario("pools_kept", kinds=("ours",), seconds=300, long=True)
def pools_kept(lab):
    """What a hostile guest keeps mapped of dom0's pool is in quarantine while it lives, and freed when it is gone."""
    lab.no_standing_guest()
    with lab.no_leaks(), grant_messages(lab), liar_guest(lab, "keeper", [vif(0, 41, "vif-netchannel2")]) as guest:
        before = len(lab.machine.logs["dom0"])

        def count(what):
            return len(re.findall(rf"{what} g\.e\. ", lab.machine.logs["dom0"][before:]))

        # It tells other lies meanwhile: the process lives, and with it what it has mapped.
        lies = guest.start(f"/hostile/run front pool-keeps-mapped event-storm event-storm-traffic {address(guest)}", 200)
        wait_for(lambda: counters(lab.dom0, guest.vif()).get("quarantined_pages", 0) >= CHUNK, 60, "no page is kept for the guest")
        guest.destroy()
        lab.guests.remove(guest)
        lies.wait(check=False)
        # What Xen has not unmapped when the device goes is the kernel's to free.
        wait_for(lambda: count("freeing") == count("deferring"), 60, "not all pages are freed")


@contextlib.contextmanager
def grant_messages(lab):
    """dom0 says which pages it cannot free at once, and when it has."""
    control = "/sys/kernel/debug/dynamic_debug/control"
    lab.dom0.run(f"mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug; echo 'file grant-table.c +p' >{control}")
    try:
        yield
    finally:
        lab.dom0.run(f"echo 'file grant-table.c -p' >{control}")


def wait_for(is_so, seconds, otherwise):
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise LabError(otherwise)
        time.sleep(0.5)
