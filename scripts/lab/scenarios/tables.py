"""Guests with next to no room for grants and mappings."""
import re

from hosts import vif
from scenario import scenario
from scenarios.pools import CHUNK, Ends, bulk, counters, wait_for


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
        # 1024 grants, of which a device takes 33 for rings, 256 for packets and 32 for each chunk of its pool: enough for
        # three devices and one chunk more, and not for a fourth. (With 512, Linux does not boot.)
        guest = lab.new_guest("grants", 73, extra_config=["max_grant_frames=2"])
        guest.wait_link()
        for host in (guest.host, guest.host + 1):
            guest.attach(vif(1, host, lab.script))
            lab.dom0.wait_until(f"ping -c 1 -i 0.2 -w 5 -q 10.0.1.{host}", 30)
        ends = Ends(lab, guest)
        bulk(lab, guest, 5)
        grown = ends.grown()["front"]
        lab.expect(grown["pool_refused"] > 0 and grown["send_granted_packets"] > 0, f"the guest's pool has no end: {grown}")
        guest.attach(vif(1, guest.host + 2, lab.script))
        log = lab.machine.logs[guest.name]
        said = log.count("the pool cannot grow (ENOSPC)")
        lab.expect(said == 1, f"the guest says {said} times that the pool cannot grow: {log[-2000:]}")
        refused = re.compile(r"vif-3: closing the channel: cannot set up the queue: [a-z ]+: ENOSPC")
        wait_for(lambda: refused.search(lab.machine.logs[guest.name]), 30, "the guest does not say why the last device has no queue")
        guest.detach(guest.last_device())
        # The others are as they were.
        guest.wait_link(0)
        bulk(lab, guest, 1)
        guest.destroy()
        lab.guests.remove(guest)
