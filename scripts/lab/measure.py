"""Measurements of one vif, and tables of them: what `demo` and `bench` share."""
import platform
import re
import subprocess
import time

import hosts
import pktgen
from config import DEBIAN_SCRIPT, OUR_SCRIPT, RELEASE
from lab import Lab
from machine import LabError

# The stock drivers' vif and ours, in one guest and one boot: (title, test network, script).
STACKS = [("stock drivers", 0, DEBIAN_SCRIPT), ("netchannel2", 1, OUR_SCRIPT)]
HOST = 11
# UDP has no brakes: past what the receiver can take, more that is sent is less that is delivered, so that the channel
# that lets a sender go faster would look the slower one. What is compared is the most that arrives with next to no loss.
LOSS, TRIALS = 0.02, 5
# What is offered first: Mbit/s, datagrams a second.
UDP_OFFER, DATAGRAMS_OFFER = 100, 200000
FRAMES, FRAMES_A_SECOND = pktgen.Frames(64), 100000
ROWS = [
    ("tcp in", "TCP into the guest", "Mbit/s"), ("tcp out", "TCP out of the guest", "Mbit/s"),
    ("udp in", "UDP in, at most 2 % lost", "Mbit/s"), ("udp out", "UDP out, at most 2 % lost", "Mbit/s"),
    ("udp in sent", "UDP in, of 100 offered: sent", "Mbit/s"), ("udp in got", "…delivered", "Mbit/s"),
    ("udp out sent", "UDP out, of 100 offered: sent", "Mbit/s"), ("udp out got", "…delivered", "Mbit/s"),
    ("datagrams in", "UDP of 64 bytes in, 64 a call", "1/s"), ("datagrams out", "UDP of 64 bytes out, 64 a call", "1/s"),
    ("frames in", "frames of 64 bytes in", "1/s"), ("frames out", "frames of 64 bytes out", "1/s"),
    ("rtt", "one byte there and back, median", "µs"), ("rr", "transactions of one byte", "1/s"),
]
LOADS = ("tcp", "udp", "datagrams", "frames", "rr")


def boot(folder):
    """A lab with a guest that has one vif of each kind, both carrying packets: (lab, guest)."""
    lab = Lab(folder, "ours")
    guest = lab.new_guest("g1", HOST, vifs=[hosts.vif(net, HOST, script) for _, net, script in STACKS])
    for _, net, _ in STACKS:
        guest.wait_link(net)
    for host in (lab.dom0, guest):
        # Holds a burst while the reader waits for its processor; the default is 45 datagrams.
        host.run("sysctl -qw net.core.rmem_default=1048576")
    return lab, guest


def measure(lab, guest, net, seconds, loads=LOADS):
    """One round of some loads on one vif: row name -> number."""
    traffic = lab.traffic(guest, net)
    into, out = traffic.directions()
    short = max(1, seconds // 2)
    numbers = {}
    if "tcp" in loads:
        numbers |= {"tcp in": traffic.iperf(*into, seconds), "tcp out": traffic.iperf(*out, seconds)}
    if "udp" in loads:
        numbers |= udp("udp in", traffic, into, short) | udp("udp out", traffic, out, short)
    if "datagrams" in loads:
        for name, way in (("datagrams in", into), ("datagrams out", out)):
            numbers[name], _ = most(lambda offer: traffic.datagrams(*way, short, offer), DATAGRAMS_OFFER)
    if "frames" in loads:
        backend, frontend = ends(lab, guest, net)
        address = guest.output(f"cat /sys/class/net/{guest.link(net)}/address")
        numbers |= {"frames in": frames(backend, frontend, address, seconds),
                    "frames out": frames(frontend, backend, pktgen.PAUSE, seconds)}
    if "rr" in loads:
        transactions = traffic.check(*into, "rr", f"--seconds {seconds}")
        numbers |= {"rtt": transactions["p50_us"], "rr": transactions["transactions_s"]}
    return numbers


def udp(name, traffic, direction, seconds):
    """The most UDP that arrives nearly without loss, and what became of the first offer."""
    best, first = most(lambda offer: traffic.udp(*direction, seconds, offer), UDP_OFFER)
    return {name: best, f"{name} sent": first[0], f"{name} got": first[1]}


def most(trial, offer):
    """The most that arrives nearly without loss, by halving, and (sent, delivered) of the first offer.

    `trial` sends so much, and says how much it has sent and how much was delivered.
    """
    best, low, high, first = 0, 0, None, None
    for _ in range(TRIALS):
        sent, delivered = trial(round(offer))
        first = first or (sent, delivered)
        if delivered >= sent * (1 - LOSS):
            best, low = max(best, delivered), offer
            if sent < 0.95 * offer:
                break  # the sender has no more to give
            offer = 2 * offer if high is None else (low + high) / 2
        else:
            high = min(offer, sent)
            offer = (low + high) / 2
    return best, first


def ends(lab, guest, net):
    """The two ends of a vif, as (host, device)."""
    return (lab.dom0, guest.vif(net)), (guest, guest.link(net))


def frames(sender, receiver, target, seconds):
    """How many frames a second arrive at one end of a vif, to be dropped early there, where pktgen sends without pauses
    from the other end.

    For about so many seconds, and with next to no loss: xen-netback drops frames as its queue fills up.
    """
    generator = pktgen.Generator(*sender, target, FRAMES)
    try:
        generator.set_count(FRAMES_A_SECOND * seconds)
        before = arrived(*receiver)
        took = generator.run(60 + 20 * seconds)
        time.sleep(0.5)
        came = min(arrived(*receiver) - before, generator.count)
        if came < generator.count * (1 - LOSS):
            raise LabError(f"{generator.count - came} of {generator.count} frames did not arrive")
    finally:
        generator.remove()
        # Its threads wake up though they have nothing to do, beside what is measured next.
        pktgen.unload(sender[0])
    return came / took


def arrived(host, link):
    return int(host.output(f"cat /sys/class/net/{link}/statistics/rx_packets"))


def table(columns):
    """Those of ROWS that were measured, a column for each of {title: {row: number}}; two columns end in their quotient."""
    lines = [f"{'':38}" + "".join(f"{title:>18}" for title in columns) + ("     ratio" if len(columns) == 2 else "")]
    for key, words, unit in ROWS:
        values = [numbers[key] for numbers in columns.values() if key in numbers]
        if not values:
            continue
        line = f"{words + ', ' + unit:38}" + "".join(f"{value:18.0f}" for value in values)
        if len(values) == 2 and values[0]:
            line += f"{values[1] / values[0]:10.2f}"
        lines.append(line)
    return "\n".join(lines)


def counters(lab, guest, net):
    """`ethtool -S` of both ends of a vif, without the zeroes."""
    parts = []
    for host, link in ends(lab, guest, net):
        lines = [line for line in host.run(f"ethtool -S {link}", check=False).out.splitlines() if not line.endswith(": 0")]
        parts.append(f"{host.name}, {link} (driver {host.driver_of(link)}):\n" + "\n".join(lines[1:] or ["     no counters"]))
    return "\n".join(parts)


def ground():
    """What it is measured on."""
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    qemu = subprocess.check_output(["qemu-system-x86_64", "--version"], text=True).splitlines()[0]
    xen = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version} ", "xen-hypervisor-*-amd64"], text=True)
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "load": open("/proc/loadavg").read().split()[0],
        "qemu": f"{qemu}, software emulation, 2 CPUs",
        "xen": xen.strip(),
        "kernel": f"{RELEASE} in dom0 and guest",
    }
