"""What long use leaves behind: nothing that grows."""
import contextlib
import time

import leaks
from machine import LabError
from scenario import scenario
from scenarios.pools import CHUNK, MEDIUM, Ends, bulk, counters, drivers_after, reload_back, reload_front

ROUNDS = 100
# Seconds; as many packets as an hour brings to a guest that has some thousand a second, on an emulated machine.
SOAK = 1800
# Pools grow with what the machine lets through at some moment: two of 512 pages, one mapping and one grant for each.
# Xen's tables keep what was needed at once; what is not given back is among the active grants.
POOLS_GROWN = {**leaks.ALIKE, "grant frames": 2, "maptrack frames": 4}


@scenario("rounds", kinds=("ours",), seconds=7200, by_name_only=True)
def rounds(lab):
    """100 times connected and disconnected, each time with pools in use: grants, mappings and pages are as many as before."""
    with drivers_after(lab):
        guest = lab.new_guest("rounds", 69)
        guest.wait_link()

        def turn(number):
            again = reload_front if number % 2 else reload_back
            again(lab, guest)
            ends = Ends(lab, guest)
            ends.wait_pools(60)
            lab.dom0.run(f"ping -q -c 20 -i 0.01 -s {MEDIUM} {guest.address()}")
            # What a round needs most is needed once before the count begins.
            if number % 10 < 2:
                bulk(lab, guest, 1)

        for number in range(4):
            turn(number)
        for end, place in Ends(lab, guest).places.items():
            lab.expect(counters(*place)["pool_pages"] >= CHUNK, f"the {end} has no pool")
        with unchanged(lab, guest):
            for number in range(ROUNDS):
                turn(number)
        guest.destroy()
        lab.guests.remove(guest)


@scenario("soak", kinds=("ours",), seconds=7200, by_name_only=True)
def soak(lab):
    """Half an hour of TCP and UDP in packets of all sizes, both ways, every byte checked: grants, mappings and pages are as many as before."""
    with drivers_after(lab):
        guest = lab.new_guest("soak", 76)
        guest.wait_link()
        load(lab, guest)
        with unchanged(lab, guest, POOLS_GROWN):
            ends, end = Ends(lab, guest), time.monotonic() + SOAK
            while time.monotonic() < end:
                load(lab, guest)
        grown = ends.grown()
        guest.destroy()
        lab.guests.remove(guest)
    into, out_of = (sum(grown[end][f"send_{way}_packets"] for way in ("inline", "staged", "granted")) for end in ("back", "front"))
    return [(f"{into} packets into the guest and {out_of} out of it", "passed")]


def load(lab, guest):
    """Some seconds of everything."""
    traffic = lab.traffic(guest)
    bulk(lab, guest, 5)
    for client, server, address in traffic.directions():
        for size in (20, 200, 1472, 9000, 40000):
            traffic.check(client, server, address, "udp", f"--size {size} --count 2000 --window 16 --max-loss 1")
        traffic.check(client, server, address, "rr", "--seconds 1")


@contextlib.contextmanager
def unchanged(lab, guest, slack=leaks.ALIKE):
    """Fails when dom0 or the guest holds more after the block than before."""
    before, inside = leaks.Census(lab.dom0), guest_memory(guest)
    yield
    deadline = time.monotonic() + 30
    while growth := leaks.Census(lab.dom0).growth(before, slack):
        if time.monotonic() > deadline:
            raise LabError(f"there is more than before: {growth}")
        time.sleep(2)
    lab.expect(inside - guest_memory(guest) < 8 * 1024, f"the guest had {inside} KiB and has {guest_memory(guest)}")


def guest_memory(guest):
    """KiB that are available in the guest, once its caches are empty."""
    return int(guest.output("echo 3 >/proc/sys/vm/drop_caches; awk '/MemAvailable/ {print $2}' /proc/meminfo"))
