"""The TCP peer outside: the host's own Linux, in a network of its own that the second card leads to.

Its TCP is a real machine's: it acknowledges once what the sender's card takes in one piece.
"""
import json
import os
import pathlib
import subprocess
import threading

from config import CACHE
from machine import LabError
from source import NEXT_SLOT

# The peer is reached through the second card from any test network.
NET, ADDRESS = "10.0.255.0/24", "10.0.255.2"
DEVICE, MAC = "nc2card", "02:00:00:00:00:02"
# By the host's settings TCP would depend on the host. What is under way is less than queues take: the device has a
# thousand packets and the card's ring 256.
SETTINGS = {
    "ipv4/tcp_congestion_control": "reno",
    "ipv4/tcp_no_metrics_save": "1",
    "ipv4/tcp_rmem": "4096 131072 524288",
    "ipv4/tcp_wmem": "4096 65536 262144",
    "ipv6/conf/default/disable_ipv6": "1",
    # Longer than a run, so that it does not ask again in the middle of it.
    "ipv4/neigh/default/base_reachable_time_ms": "7200000",
}


def enter():
    """Gives this process, and all that it starts, a network of its own with the device for the card."""
    try:
        os.unshare(os.CLONE_NEWNET)
        for name, value in SETTINGS.items():
            path = pathlib.Path("/proc/sys/net") / name
            # Linux may have been started without IPv6.
            if path.exists():
                path.write_text(value)
    except OSError as error:
        raise LabError(f"no network for the TCP peer: {error}") from error
    for command in ("link set lo up", f"tuntap add {DEVICE} mode tap vnet_hdr", f"link set {DEVICE} address {MAC} up",
                    f"addr add {ADDRESS}/16 dev {DEVICE}"):
        done = subprocess.run(["ip", *command.split()], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise LabError(f"no network for the TCP peer (it needs /dev/net/tun): ip {command}: {done.stderr.strip()}")


def qemu_options(mac):
    """What makes QEMU connect a card of address `mac` to the peer."""
    return ["-netdev", f"tap,id=tcp,ifname={DEVICE},script=no,downscript=no,vnet_hdr=on",
            "-device", f"igb,netdev=tcp,mac={mac},addr={NEXT_SLOT}"]


class Peer:
    """`nc2-traffic serve` at ADDRESS, on a port of its own."""

    def __enter__(self):
        self.process = subprocess.Popen([tool(), "serve", "--bind", ADDRESS, "--port", "0", "--json"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        first = self.process.stdout.readline()
        self.port = json.loads(first)["port"]
        # Its later lines are read, so that it never waits for room.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def retransmissions():
    """How many segments the peer has sent again so far."""
    names, values = (line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines()
                     if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def tool():
    """The traffic tool as it is built for the images: static, so that the host runs it too."""
    for folder in ("x86_64-unknown-linux-gnu/release", "release"):
        binary = CACHE / "target" / folder / "nc2-traffic"
        if binary.exists():
            return str(binary)
    raise LabError("there is no nc2-traffic: run scripts/build-tools")
