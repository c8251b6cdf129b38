"""Grant table version 2: the peer reaches the bytes of a packet and no others."""
import re

from hosts import load_command, vif
from scenario import scenario
from scenarios.basics import MTU_OVERHEAD, SWEEP_STEP, sweep_both_ways, with_largest_mtu
from scenarios.hostile import lying_frontend

# Without pools, by which packets would go otherwise.
GRANTED = "netchannel2_back.staged_max=0 netchannel2_front.staged_max=0"
VERSION_2 = f"grant_table.version=2 {GRANTED}"


def counter(host, link, name):
    """One of `ethtool -S`."""
    return int(host.output(f"ethtool -S {link} | sed -n 's/^ *{name}: //p'"))


def carry(lab, guest):
    """Packets of all sizes and TCP both ways, every byte checked."""
    sweep_both_ways(lab, guest, 1500 - MTU_OVERHEAD, 13)
    with_largest_mtu(lab, guest, lambda mtu: sweep_both_ways(lab, guest, mtu - MTU_OVERHEAD, 8 * SWEEP_STEP + 1))
    traffic = lab.traffic(guest)
    for client, server, address in traffic.directions():
        traffic.check(client, server, address, "tcp", "--dir both --seconds 1 --streams 2")
        traffic.check(client, server, address, "udp", "--size 40000 --count 300 --window 8 --max-loss 1")


@scenario("range_grants", kinds=("ours",), seconds=400, long=True, dom0_options=VERSION_2)
def range_grants(lab):
    """dom0 lends packets where they lie, as ranges, to a guest with either version of its own table."""
    for version, host in ((1, 51), (2, 52)):
        guest = lab.new_guest(f"table{version}", host, options=f"grant_table.version={version} {GRANTED}")
        with lab.no_leaks():
            guest.wait_link()
            carry(lab, guest)
        for side, link, ranges in ((lab.dom0, guest.vif(), True), (guest, guest.link(), False)):
            in_place, copied = counter(side, link, "send_in_place"), counter(side, link, "send_copied")
            lab.expect((in_place > 0) == ranges, f"{side.name} lent {in_place} packets in place to table {version}")
            lab.expect((copied > 0) != ranges, f"{side.name} copied {copied} packets with table {version}")
        lab.expect("ranges of bytes" in lab.dom0.output(f"dmesg | grep 'vif-{guest.domain}-0: connected' | tail -n 1"),
                   "dom0's log does not say that it lends ranges")
        guest.destroy()


@scenario("range_lifecycle", kinds=("ours",), seconds=400, long=True, dom0_options=VERSION_2)
def range_lifecycle(lab):
    """With ranges too, drivers are loaded again and guests destroyed under traffic, and nothing stays behind."""
    lab.no_standing_guest()
    with lab.no_leaks():
        for number in range(2):
            # Loaded again beside xen-netback, ours is asked after it for a new guest's vif.
            lab.dom0.load(*lab.back_drivers())
            guest = lab.new_guest(f"ranges{number}", 53 + number, options=VERSION_2)
            guest.wait_link()
            traffic = lab.traffic(guest)
            with traffic:
                for _ in range(3):
                    guest.run(f"rmmod {lab.front} && {load_command(lab.front)}")
                    traffic.recovers()
                    lab.dom0.run(f"rmmod {lab.back} && {load_command(lab.back)}")
                    lab.wait_bridged(guest)
                    traffic.recovers()
                guest.destroy()
            lab.guests.remove(guest)
    lab.dom0.load(*lab.back_drivers())


@scenario("range_save", kinds=("ours",), seconds=200, long=True, dom0_options=VERSION_2)
def range_save(lab):
    """A guest whose own grant table has version 2 is saved and restored."""
    guest = lab.new_guest("ranges", 56, options=VERSION_2)
    guest.wait_link()
    carry(lab, guest)
    lab.dom0.run(f"xl save {guest.name} /run/saved.img", 120)
    lab.dom0.run("xl restore /run/saved.img; rm -f /run/saved.img", 120)
    guest.domain = int(lab.dom0.output(f"xl domid {guest.name}"))
    guest.wait_agent()
    guest.wait_link()
    carry(lab, guest)


@scenario("range_two_guests", kinds=("ours",), seconds=300, long=True, dom0_options=VERSION_2)
def range_two_guests(lab):
    """Packets from a guest of xen-netback, whose pages are foreign to dom0, reach a guest of ours."""
    ours = lab.guest()
    stock = lab.new_guest("foreign", 55, vifs=[vif(0, 55, lab.stock_script)])
    stock.wait_link()
    for client, server in ((stock, ours), (ours, stock)):
        lab.traffic(server).check(client, server, server.address(), "tcp", "--dir both --seconds 2")


@scenario("range_refused", kinds=("ours",), seconds=200, long=True, dom0_options=VERSION_2)
def range_refused(lab):
    """A hostile guest asks Xen for bytes around those that dom0 lends, and Xen refuses every one."""
    said = lying_frontend(lab, ["read-beyond", "finish-while-copied"])
    lab.expect(re.search(r"[1-9]\d* copies refused, 0 with zeroes", said["read-beyond"]["did"]), f"the liar says {said}")
    lab.expect(re.search(r"cut short for [1-9]", said["finish-while-copied"]["did"]), f"the liar says {said}")
