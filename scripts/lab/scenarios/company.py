"""Beside, under and instead of the stock drivers; other kinds of guest."""
import re

from config import STOCK_BACK, STOCK_FRONT
from hosts import vif
from scenario import scenario

# A hotplug script that is at work on an interface for two seconds, and says so if it has lost it.
SLOW_SCRIPT = """#!/bin/sh
[ "$1" = online ] || exit 0
before=none after=lost
read -r before <"/sys/class/net/$vif/ifindex" && sleep 2 && read -r after <"/sys/class/net/$vif/ifindex"
[ "$before" = "$after" ] && exec /etc/xen/scripts/vif-lab online
xenstore-write "$XENBUS_PATH/hotplug-error" "$vif was $before and is $after" "$XENBUS_PATH/hotplug-status" error
exit 1
"""


def both_ways(lab, guest, net=0):
    traffic, seconds = lab.traffic(guest, net), lab.rounds(2, 1)
    for client, server, address in traffic.directions():
        traffic.check(client, server, address, "tcp", f"--dir both --seconds {seconds}")


@scenario("stock_and_ours", kinds=("ours",), seconds=240)
def stock_and_ours(lab):
    """One guest with a stock vif and one of ours: both carry traffic at once."""
    guest = lab.new_guest("both", 25, vifs=[vif(0, 25, lab.stock_script), vif(1, 25, lab.script)])
    for net, driver in ((0, "vif"), (1, lab.back_name)):
        guest.wait_link(net)
        found = lab.dom0.driver_of(guest.vif(net))
        lab.expect(found == driver, f"{guest.vif(net)} belongs to {found}, not to {driver}")
    with lab.traffic(guest, 0):
        both_ways(lab, guest, 1)
    with lab.traffic(guest, 1):
        both_ways(lab, guest, 0)


@scenario("guest_without_module", kinds=("ours",), seconds=240)
def guest_without_module(lab):
    """An opted-in vif of a guest that only has xen-netfront is handed to xen-netback and works."""
    guest = lab.new_guest("classic", 26, drivers=[STOCK_FRONT])
    guest.wait_link()
    found = lab.dom0.driver_of(guest.vif())
    lab.expect(found == "vif", f"{guest.vif()} belongs to {found}, not to xen-netback")
    both_ways(lab, guest)


@scenario("attach_without_module", kinds=("ours",), seconds=300, long=True)
def attach_without_module(lab):
    """An opted-in vif that is attached to a running guest with only xen-netfront: handed on when its script has run."""
    # Of xen-netfront 7.3 in any guest, if a vif goes before all that it sent is done: once, and without harm.
    lab.expected += [re.compile(r"WARNING: include/linux/mm.h:\d+ at xennet_disconnect_backend"),
                     re.compile("Call Trace:")]
    guest = lab.new_guest("classic", 26, drivers=[STOCK_FRONT])
    guest.wait_link()

    def attach():
        guest.attach(vif(1, guest.host, lab.script))
        guest.wait_link(1)
        device = guest.last_device()
        found = lab.dom0.driver_of(guest.vif(device))
        lab.expect(found == "vif", f"{guest.vif(device)} belongs to {found}, not to xen-netback")
        guest.detach(device)
        guest.wait_gone(device)

    # The frontend answers long before either script is done.
    lab.dom0.put("/etc/xen/scripts/vif-slow", SLOW_SCRIPT, 0o755)
    try:
        lab.hand_on_to("vif-slow")
        for _ in range(lab.rounds(2, 1)):
            attach()
        with lab.debian_hotplug():
            for _ in range(lab.rounds(4, 2)):
                attach()
    finally:
        lab.hand_on_to(lab.stock_script)


@scenario("host_without_module", kinds=("ours",), seconds=240)
def host_without_module(lab):
    """A guest with our module on a host without it: xen-netfront takes the vif and works."""
    lab.no_standing_guest()
    lab.dom0.load(STOCK_BACK)
    try:
        guest = lab.new_guest("modern", 27, vifs=[vif(0, 27, lab.stock_script)])
        guest.wait_link()
        found = guest.driver_of(guest.link())
        lab.expect(found == "vif", f"the guest's device belongs to {found}, not to xen-netfront")
        both_ways(lab, guest)
        guest.destroy()
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


@scenario("host_changes_driver", kinds=("ours",), seconds=240, long=True)
def host_changes_driver(lab):
    """A connected frontend whose host changes to xen-netback: xen-netfront takes the vif, and finds nothing of ours in xenstore."""
    lab.no_standing_guest()
    guest = lab.new_guest("changing", 27)
    guest.wait_link()
    folder = f"/local/domain/{guest.domain}/device/vif/0"
    ours = f"xenstore-ls {folder} | grep -e netchannel2 -e control-ring-ref -e '[rt]x-ring-ref-[0-9]'"
    lab.expect(lab.dom0.run(ours, check=False).ok, "no answer of ours while connected")
    guest.all_ours = False
    try:
        lab.dom0.load(STOCK_BACK)
        guest.wait_link()
        found = guest.driver_of(guest.link())
        lab.expect(found == "vif", f"the guest's device belongs to {found}, not to xen-netfront")
        left = lab.dom0.run(ours, check=False)
        lab.expect(not left.ok, f"left of the answer: {left.out}")
        both_ways(lab, guest)
        guest.destroy()
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


@scenario("pvh", seconds=240)
def pvh(lab):
    """A PVH guest connects and carries traffic."""
    guest = lab.new_guest("pvh", 28, kind="pvh")
    guest.wait_link()
    lab.expect(guest.driver_of(guest.link()) == lab.front_name, "another driver has the PVH guest's device")
    both_ways(lab, guest)


@scenario("two_guests", seconds=300)
def two_guests(lab):
    """Two guests exchange packets through the bridge."""
    first = lab.guest()
    second = lab.new_guest("second", 29)
    second.wait_link()
    first.run(f"ping -q -c 3 -i 0.2 {second.address()}")
    lab.traffic(second).check(first, second, second.address(), "tcp", "--dir both --seconds 2")
