"""Guests with next to no room for grants and mappings."""
import re

from hosts import vif
from scenario import scenario
from scenarios.pools import CHUNK, Ends, bulk, bulk_load, counters, wait_for


@scenario("tables_full", kinds=("ours",), seconds=500, long=True)
def tables_full(lab):
    """Guests whose tables of grants or mappings are tiny do without pools, say so once, and refuse what does not fit at all."""
    # Linux says that its own table is full, for each chunk.
    lab.expected.append(re.compile(r"max_grant_frames reached"))
    with lab.no_leaks():
        # No entry for a mapping: dom0 grants what it sends.
        guest = lab.new_guest("maptrack", 72, extra_config=["max_maptrack_frames=0"])
        guest.wait_link()
        ends = Ends(lab, guest)
        ends.wait_for("back", "mapped_pages", lambda pages: pages >= CHUNK, 20)
        bulk(lab, guest, 2)
        # Another try, ten seconds after the first one.
        ends.wait_for("front", "cache_refused", lambda count: count >= 2, 40)
        lab.expect(ends.value("front", "mapped_pages") == 0, "something is mapped without an entry")
        lab.expect(ends.grown()["back"]["send_granted_packets"] > 100, f"dom0 grants {ends.grown()['back']['send_granted_packets']} packets")
        said = lab.machine.logs[guest.name].count("the peer's pool cannot be mapped (ENOSPC)")
        lab.expect(said == 1, f"the guest says {said} times that it cannot map")
        guest.destroy()
        lab.guests.remove(guest)
        # 1024 grants, of which a device takes 33 for rings, 256 for packets and 32 for each chunk of its pool, which leaves
        # 320: enough for three devices, the last one without a pool, and not for a fourth. (With 512, Linux does not boot.)
        guest = lab.new_guest("grants", 73, extra_config=["max_grant_frames=2"])
        guest.wait_link()
        for net in (1, 2):
            guest.attach(vif(net, guest.host, lab.script))
            guest.wait_link(net)
        ends = Ends(lab, guest)
        bulk(lab, guest, 3)
        grown = ends.grown()["front"]
        lab.expect(grown["pool_refused"] > 0 and grown["send_granted_packets"] > 0, f"the guest's pool has no end: {grown}")
        second, third = (counters(guest, guest.link(net))["pool_pages"] for net in (1, 2))
        lab.expect((second, third) == (CHUNK, 0), f"the pools of the second and third device have {second} and {third} pages")
        traffic = lab.traffic(guest, net=2)
        for client, server, there in traffic.directions():
            traffic.check(client, server, there, "tcp", "--dir both --seconds 1 --streams 2")
        granted = counters(guest, guest.link(2))["send_granted_packets"]
        lab.expect(granted > 100, f"the third device grants {granted} packets")
        guest.attach(vif(1, guest.host + 1, lab.script))
        refused = re.compile(r"vif-3: closing the channel: cannot set up the queue: [a-z ]+: ENOSPC")
        wait_for(lambda: refused.search(lab.machine.logs[guest.name]), 30, "the guest does not say why the last device has no queue")
        guest.detach(guest.last_device())
        for number in (0, 2):
            said = lab.machine.logs[guest.name].count(f"vif-{number}: the pool cannot grow (ENOSPC)")
            lab.expect(said == 1, f"the guest says {said} times that the pool of vif-{number} cannot grow")
        # The others are as they were.
        for net in (0, 1, 2):
            guest.wait_link(net)
        bulk(lab, guest, 1)
        guest.destroy()
        lab.guests.remove(guest)


@scenario("maptrack_full", kinds=("ours",), seconds=400, long=True, xen_options="gnttab_max_maptrack_frames=1")
def maptrack_full(lab):
    """dom0 with 256 mappings for all that it does: pools stay small, a device that does not fit is refused, and room comes back."""
    # Two for console and xenstore, 33 for the rings of a device, 32 for each chunk of a pool.
    with lab.no_leaks():
        guest = lab.new_guest("track", 74)
        guest.wait_link()
        ends = Ends(lab, guest)
        bulk(lab, guest, 3)
        ends.wait_for("back", "cache_refused", lambda count: count > 0, 30)
        mapped = ends.value("back", "mapped_pages")
        lab.expect(CHUNK <= mapped <= 6 * CHUNK, f"dom0 has mapped {mapped} pages")
        bulk(lab, guest, 2)
        # What is in use is not given up for a new device, which says why it has no queue.
        with bulk_load(lab, guest):
            guest.attach(vif(1, guest.host, lab.script))
            refused = re.compile(rf"vif-{guest.domain}-1: closing the channel: cannot set up the queue: mapping ring-refs: [A-Z]+")
            wait_for(lambda: refused.search(lab.machine.logs["dom0"]), 30, "dom0 does not say why the second device has no queue")
        bulk(lab, guest, 1)
        # Idle chunks make room.
        ends.wait_for("back", "mapped_pages", lambda pages: pages <= 4 * CHUNK, 60)
        guest.detach(1)
        guest.wait_gone(1)
        guest.attach(vif(1, guest.host, lab.script))
        guest.wait_link(1)
        guest.destroy()
        lab.guests.remove(guest)
        guest = lab.new_guest("after", 75)
        guest.wait_link()
        bulk(lab, guest, 1)
        guest.destroy()
        lab.guests.remove(guest)
