"""A guest is saved and goes on: its suspend is called off."""
import re
import time

from config import FRONT
from scenario import scenario
from scenarios.hostile import install, no_backends, results, tell
from scenarios.pools import Ends, bulk


@scenario("save_checkpoint", kinds=("ours",), seconds=400, long=True)
def save_checkpoint(lab):
    """A guest is saved under traffic and goes on (`xl save -c`), twice: its connection stays, and its pools are there again."""
    lab.expected.append(re.compile(r"netchannel2_back .* NETDEV WATCHDOG: .* timed out"))
    guest = lab.new_guest("check", 70)
    guest.wait_link()
    bulk(lab, guest, 1)
    with lab.no_leaks():
        for _ in range(2):
            ends = Ends(lab, guest)
            ends.wait_pools(30)
            with lab.traffic(guest) as traffic:
                time.sleep(1)
                checkpoint(guest)
                traffic.recovers()
            ends.wait_pools(30)
            lost = {end: counts["cache_lost"] for end, counts in ends.grown().items()}
            lab.expect(not any(lost.values()), f"packets were lost in chunks that were taken away: {lost}")
            bulk(lab, guest, 1)
    lab.expect(int(lab.dom0.output(f"xl domid {guest.name}")) == guest.domain, "it is another domain")
    connected = lab.dom0.output(f"dmesg | grep -c 'vif-{guest.domain}-0: connected'")
    lab.expect(connected == "1", f"the guest has connected {connected} times")


@scenario("save_checkpoint_late", kinds=("ours",), seconds=400, long=True)
def save_checkpoint_late(lab):
    """A backend that sleeps while the guest is suspended has its chunk taken away, and gets it mapped anew when it goes on."""
    install(lab)
    lab.no_standing_guest()
    with no_backends(lab):
        guest = lab.new_guest("late", 71, vifs=[], drivers=[FRONT])
        lie = lab.dom0.start(tell("back", ["pool-wakes-late"], f"--domain {guest.domain} --handle 2"), 300)
        guest.wait_until("[ $(ethtool -S eth0 | sed -n 's/^ *mapped_pages: //p') -ge 32 ]", 60)
        checkpoint(guest)
        said = results(lie.wait(check=False))[0]
        lab.expect(said["ok"] and said["outcome"] == "alive", f"the liar says {said}")
        log = lab.machine.logs[guest.name]
        lab.expect("closing the channel" not in log, f"the guest says {log[-500:]}")


def checkpoint(guest):
    """Suspends the guest, saves it, and calls the suspend off."""
    guest.dom0.run(f"xl save -c {guest.name} /run/check.img && rm /run/check.img", 150)
