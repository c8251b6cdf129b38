"""What a scenario gets: dom0, guests that end with it, checks, and a record of the commands that ran."""
import time

import hosts
import leaks
import traffic
from config import BACK, FRONT, STOCK_BACK, STOCK_FRONT
from machine import LabError, Machine


class Skip(Exception):
    """Raised by a scenario that cannot run here; the text says why."""


class Lab:
    """One booted machine, and which kind of vif the scenarios are to use: "ours" or "stock".

    `make_machine` is called as `Machine` is, for a machine with further devices.
    """

    def __init__(self, folder, kind, dom0_options="", dom0_cpus=1, make_machine=Machine):
        self.kind = kind
        self.dom0_options = dom0_options
        self.script = "vif-netchannel2" if kind == "ours" else "vif-bridge"
        self.front = FRONT if kind == "ours" else STOCK_FRONT
        self.back = BACK if kind == "ours" else STOCK_BACK
        # What ethtool -i calls them: both stock drivers say "vif".
        self.front_name, self.back_name = ("vif", "vif") if kind == "stock" else (FRONT, BACK)
        self.machine = make_machine(folder, dom0_options, dom0_cpus=dom0_cpus)
        self.record = []
        # Patterns of log lines that the running scenario provokes.
        self.expected = []
        self.dom0 = hosts.Dom0(self)
        self.guests = []
        self.standing = None
        self.dom0.load(*self.back_drivers())

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

    def tidy(self):
        """Ends what the scenario left behind."""
        guests, self.guests = self.guests, []
        for guest in guests:
            if guest.alive():
                guest.destroy()

    @staticmethod
    def expect(condition, message):
        if not condition:
            raise LabError(message)
