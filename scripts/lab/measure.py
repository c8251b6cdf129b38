"""Measurements of one vif, and tables of them: what `demo` and `bench` share."""
import platform
import re
import subprocess

import hosts
from config import RELEASE
from lab import Lab

# The stock drivers' vif and ours, in one guest and one boot: (title, test network, script).
STACKS = [("stock drivers", 0, "vif-bridge"), ("netchannel2", 1, "vif-netchannel2")]
HOST = 11
# An offered rate that the emulated machine can receive: a flood would measure how much of it is thrown away.
UDP = "-u -b 100M -l 1400"
ROWS = [
    ("tcp in", "TCP into the guest", "Mbit/s"), ("tcp out", "TCP out of the guest", "Mbit/s"),
    ("udp in", "UDP into the guest, of 100", "Mbit/s"), ("udp out", "UDP out of the guest, of 100", "Mbit/s"),
    ("rtt", "one byte there and back, median", "µs"), ("rr", "transactions of one byte", "1/s"),
]


def boot(folder):
    """A lab with a guest that has one vif of each kind, both carrying packets: (lab, guest)."""
    lab = Lab(folder, "ours")
    guest = lab.new_guest("g1", HOST, vifs=[hosts.vif(net, HOST, script) for _, net, script in STACKS])
    for _, net, _ in STACKS:
        guest.wait_link(net)
    return lab, guest


def measure(lab, guest, net, seconds):
    """One round on one vif: row name -> number."""
    traffic = lab.traffic(guest, net)
    into, out = traffic.directions()
    transactions = traffic.check(*into, "rr", f"--seconds {seconds}")
    return {
        "tcp in": traffic.iperf(*into, seconds),
        "tcp out": traffic.iperf(*out, seconds),
        "udp in": traffic.iperf(*into, seconds, UDP),
        "udp out": traffic.iperf(*out, seconds, UDP),
        "rtt": transactions["p50_us"],
        "rr": transactions["transactions_s"],
    }


def table(columns):
    """Rows of ROWS, one column for each of {title: {row: number}}; more than one column ends in their quotient."""
    lines = [f"{'':38}" + "".join(f"{title:>18}" for title in columns) + ("     ratio" if len(columns) == 2 else "")]
    for key, words, unit in ROWS:
        values = [numbers[key] for numbers in columns.values()]
        line = f"{words + ', ' + unit:38}" + "".join(f"{value:18.0f}" for value in values)
        if len(values) == 2 and values[0]:
            line += f"{values[1] / values[0]:10.2f}"
        lines.append(line)
    return "\n".join(lines)


def counters(lab, guest, net):
    """`ethtool -S` of both ends of a vif, without the zeroes."""
    parts = []
    for host, link in ((lab.dom0, guest.vif(net)), (guest, guest.link(net))):
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
