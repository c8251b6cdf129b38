"""The TCP peer outside: the host's own Linux, in a network of its own that the second card leads to.

Its TCP is a real machine's: it acknowledges once what the sender's card takes in one piece.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import threading

from config import CACHE
from machine import LabError, die_with_parent
from source import NEXT_SLOT

# The peer is reached through the second card from any test network.
NET, ADDRESS = "10.0.255.0/24", "10.0.255.2"
DEVICE, MAC = "nc2card", "02:00:00:00:00:02"
# How many segments TCP hands to a device at once: what Linux puts into the 64 KB of an IP packet. By what it sends in a
# millisecond it would make the fewest here, where everything is slow.
LARGEST = 45
# By the host's settings TCP would depend on the host. What is under way is less than queues take: the device has a
# thousand packets and the card's ring 256. What is for IPv6 may not be there.
SETTINGS = {
    "ipv4/tcp_congestion_control": "reno",
    "ipv4/tcp_no_metrics_save": "1",
    "ipv4/tcp_min_tso_segs": str(LARGEST),
    "ipv4/tcp_rmem": "4096 131072 524288",
    "ipv4/tcp_wmem": "4096 65536 262144",
    "ipv6/conf/default/disable_ipv6": "1",
}
COMMANDS = (
    "ip link set lo up",
    f"ip tuntap add {DEVICE} mode tap vnet_hdr",
    f"ip link set {DEVICE} address {MAC} txqueuelen 1000 up",
    # The host's own choice may pace streams by a clock.
    f"tc qdisc replace dev {DEVICE} root pfifo_fast",
    # In milliseconds, longer than a run, so that it does not ask again in the middle of it.
    f"ip ntable change name arp_cache dev {DEVICE} base_reachable 7200000",
    f"ip address add {ADDRESS}/16 dev {DEVICE}",
)
DEVICES, SNMP = pathlib.Path("/proc/net/dev"), pathlib.Path("/proc/net/snmp")


def enter():
    """Gives this process, and all that it starts, a network of its own with the device for the card.

    Both end with the last of them.
    """
    try:
        os.unshare(os.CLONE_NEWNET)
    except OSError as error:
        raise LabError(f"no network for the TCP peer: a network namespace: {error}") from error
    for name, value in SETTINGS.items():
        path = pathlib.Path("/proc/sys/net") / name
        try:
            if path.exists() or not name.startswith("ipv6/"):
                path.write_text(value)
        except OSError as error:
            raise LabError(f"no network for the TCP peer: {path} = {value}: {error.strerror}") from error
    for command in COMMANDS:
        try:
            done = subprocess.run(command.split(), stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise LabError(f"no network for the TCP peer: {command}: {error}") from error
        if done.returncode:
            needs = " (it needs /dev/net/tun)" if " tuntap " in command else ""
            raise LabError(f"no network for the TCP peer: {command}: {done.stderr.strip()}{needs}")


def qemu_options(mac):
    """What makes QEMU connect a card of address `mac` to the peer."""
    return ["-netdev", f"tap,id=tcp,ifname={DEVICE},script=no,downscript=no,vnet_hdr=on",
            "-device", f"igb,netdev=tcp,mac={mac},addr={NEXT_SLOT}"]


class Peer:
    """`nc2-traffic serve` at ADDRESS, on a port of its own."""

    def __enter__(self):
        with tempfile.TemporaryFile("w+") as words:
            self.process = subprocess.Popen([tool(), "serve", "--bind", ADDRESS, "--port", "0", "--json"],
                                            stdout=subprocess.PIPE, stderr=words, text=True,
                                            preexec_fn=die_with_parent)
            first = self.process.stdout.readline()
            try:
                self.port = json.loads(first)["port"]
            except (ValueError, KeyError) as error:
                self.__exit__()
                self.process.stdout.close()
                words.seek(0)
                raise LabError(f"nc2-traffic serve at {ADDRESS} did not start: "
                               f"{first.strip()} {words.read().strip()}".rstrip()) from error
        # Its later lines are read, so that it never waits for room.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def retransmissions(said):
    """How many segments a Linux has sent again so far, by what its SNMP says."""
    names, values = (line.split() for line in said.splitlines() if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def dropped(said):
    """How many packets the device has dropped so far, from the card and to it, by what DEVICES says."""
    counts = next((line.split(":")[1].split() for line in said.splitlines() if line.split(":")[0].strip() == DEVICE),
                  None)
    return (int(counts[3]), int(counts[11])) if counts else (0, 0)


def tool():
    """The traffic tool as it is built for the images: static, so that the host runs it too."""
    for folder in ("x86_64-unknown-linux-gnu/release", "release"):
        binary = CACHE / "target" / folder / "nc2-traffic"
        if binary.exists():
            return str(binary)
    raise LabError("there is no nc2-traffic: run scripts/build-tools")
