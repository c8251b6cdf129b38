"""What a scenario gets: dom0, guests that end with it, checks, and a record of the commands that ran."""
import contextlib
import time

import hosts
import leaks
import traffic
from config import BACK, DEBIAN_SCRIPT, FRONT, LAB_SCRIPT, OUR_SCRIPT, STOCK_BACK, STOCK_FRONT
from machine import LabError, Machine


class Skip(Exception):
    """Raised by a scenario that cannot run here; the text says why."""


class Lab:
    """One booted machine, and which kind of vif the scenarios are to use: "ours" or "stock".

    `make_machine` is called as `Machine` is, for a machine with further devices.

    Debian's vif-bridge starts some forty programs for one vif, two seconds of the emulated dom0. With `quick_hotplug`
    the lab's own script, which starts two, takes its place: where a vif is given it, and behind ours.

    Unless it is `full`, scenarios do some of their rounds only: see `rounds`.
    """

    def __init__(self, folder, kind, dom0_options="", dom0_cpus=1, make_machine=Machine, quick_hotplug=False, full=False,
                 xen_options=""):
        self.kind = kind
        self.full = full
        self.boot = dom0_options, xen_options
        self.stock_script = LAB_SCRIPT if quick_hotplug else DEBIAN_SCRIPT
        self.script = OUR_SCRIPT if kind == "ours" else self.stock_script
        self.front = FRONT if kind == "ours" else STOCK_FRONT
        self.back = BACK if kind == "ours" else STOCK_BACK
        # What ethtool -i calls them: both stock drivers say "vif".
        self.front_name, self.back_name = ("vif", "vif") if kind == "stock" else (FRONT, BACK)
        self.machine = make_machine(folder, dom0_options, dom0_cpus=dom0_cpus, xen_options=xen_options)
        self.record = []
        # Patterns of log lines that the running scenario provokes.
        self.expected = []
        # What ran last, and how far the logs have been looked at.
        self.last = "boot"
        self.seen = {}
        self.dom0 = hosts.Dom0(self)
        self.guests = []
        self.standing = None
        self.hand_on_to(self.stock_script)
        self.dom0.load(*self.back_drivers())

    def hand_on_to(self, script):
        """Has our hotplug script hand on to this one."""
        self.dom0.run(f"echo VIF_SCRIPT={script} >/etc/default/netchannel2")

    @contextlib.contextmanager
    def debian_hotplug(self):
        """The script for vifs that end in Debian's vif-bridge, as on a host that nobody configured."""
        self.hand_on_to(DEBIAN_SCRIPT)
        try:
            yield OUR_SCRIPT if self.kind == "ours" else DEBIAN_SCRIPT
        finally:
            self.hand_on_to(self.stock_script)

    def back_drivers(self):
        return [BACK, STOCK_BACK] if self.kind == "ours" else [STOCK_BACK]

    def front_drivers(self):
        return [FRONT, STOCK_FRONT] if self.kind == "ours" else [STOCK_FRONT]

    def guest(self):
        """The standing guest, connected: made on first use, kept from scenario to scenario."""
        if self.standing is None or not self.standing.alive():
            self.standing = self.new_guest("g1", 11)
            self.guests.remove(self.standing)
        self.standing.wait_link()
        return self.standing

    def new_guest(self, name, host, vifs=None, drivers=None, create=True, **options):
        """A guest for this scenario only; by default with one vif on test network 0."""
        vifs = [hosts.vif(0, host, self.script)] if vifs is None else vifs
        guest = hosts.Guest(self, name, host, vifs, drivers or self.front_drivers(), **options)
        self.guests.append(guest)
        return guest.create() if create else guest

    def no_standing_guest(self):
        """Ends the standing guest, for scenarios that count what is left without any."""
        if self.standing and self.standing.alive():
            self.standing.destroy()
        self.standing = None

    def rounds(self, full, quick):
        """How often a scenario does the same, or for how many seconds."""
        return full if self.full else quick

    def no_leaks(self):
        return leaks.NoLeaks(self.dom0)

    def traffic(self, guest, net=0):
        return traffic.Traffic(self.dom0, guest, net)

    def wait_bridged(self, guest, index=0):
        """Until udev has put a new device into its bridge, as it does after a driver was loaded again."""
        self.dom0.wait_until(f"[ -e /sys/class/net/{guest.vif(index)}/master ]", 90)

    def note_command(self, result):
        self.record.append(f"[{time.monotonic() - self.machine.started:8.2f}] {result.where}$ {result.command}\n"
                           f"{result.out}{result.err}-> {result.code}\n")

    def unseen(self):
        """The whole lines that the kernels and Xen have printed since the last call, all boot long at first: source -> text."""
        texts = {**self.machine.logs, "xen": self.machine.console()}
        logs = {source: text[self.seen.get(source, 0):text.rfind("\n") + 1] for source, text in texts.items()}
        for source, text in logs.items():
            self.seen[source] = self.seen.get(source, 0) + len(text)
        # dom0's own lines are in its log, but for those of its boot.
        logs["xen"] = "\n".join(line for line in logs["xen"].splitlines() if "(XEN)" in line)
        return logs

    def restore(self):
        """What scenarios begin with, after one that may have ended anywhere: no guest, the drivers in their order."""
        self.tidy()
        self.no_standing_guest()
        self.hand_on_to(self.stock_script)
        self.dom0.load(*self.back_drivers())

    def tidy(self):
        """Ends what the scenario left behind."""
        # Connections to guests that are gone hold what came out of order, and the kernel says so after a minute.
        self.dom0.run("kill $(pidof nc2-traffic-serve) 2>/dev/null; true")
        guests, self.guests = self.guests, []
        for guest in guests:
            if guest.alive():
                guest.destroy()

    @staticmethod
    def expect(condition, message):
        if not condition:
            raise LabError(message)
