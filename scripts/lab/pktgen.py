"""Linux's packet generator in dom0 or in a guest: frames straight into a driver, with no socket behind them.

The frames are such that whoever gets them drops them early: they carry an MPLS label, which no protocol takes.
"""
import dataclasses

from machine import LabError

CONTROL = "/proc/net/pktgen/pgctrl"
THREAD = "/proc/net/pktgen/kpktgend_0"
LABEL = "00010100"
# A bridge drops what is sent to it before it looks for a port: IEEE 802.1D keeps the address for pause frames.
PAUSE = "01:80:c2:00:00:01"
# Where the frames' IP headers, which nobody reads, claim to go.
NOWHERE = "192.0.2.1"


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames of `size` bytes in bursts of `burst`, `rate` frames a second; without pauses where there is no rate."""

    size: int
    burst: int = 1
    rate: int = 0

    @property
    def delay(self):
        """Nanoseconds from one burst to the next."""
        return self.burst * 1_000_000_000 // self.rate if self.rate else 0


class Generator:
    """pktgen on one device of `host`, set to send frames to one address.

    pktgen waits between frames of one of its senders, and has none that sends bursts: as many senders as a burst has
    frames, each as slow as bursts come, wake up together.
    """

    def __init__(self, host, link, target, frames):
        self.host, self.made_for = host, (link, target, frames)
        settings = [f"delay {frames.delay}", f"pkt_size {frames.size}", "clone_skb 0",
                    f"dst_mac {target}", f"dst {NOWHERE}", f"mpls {LABEL}", "flag NO_TIMESTAMP"]
        words = " ".join(f"'{setting}'" for setting in settings)
        host.run("modprobe pktgen")
        host.run(f"set -e; echo rem_device_all >{THREAD}; i=0; while [ $i -lt {frames.burst} ]; do d={link}@$i; "
                 f"echo add_device $d >{THREAD}; for s in {words}; do echo $s >/proc/net/pktgen/$d; done; "
                 "i=$((i + 1)); done")

    def set_count(self, count):
        """How many frames the next start sends: as many whole bursts as `count` frames have, and one at least."""
        burst = self.made_for[-1].burst
        each = max(1, count // burst)
        self.count = each * burst
        self.host.run(f"set -e; for d in /proc/net/pktgen/*@*; do echo count {each} >$d; done")

    def check(self):
        """Whether it has sent everything, without errors."""
        said = self.host.output("cat /proc/net/pktgen/*@* | "
                                "awk '/pkts-sofar/ {n += $2; e += $4} END {print n + 0, e + 0}'")
        if said != f"{self.count} 0":
            raise LabError(f"pktgen in {self.host.name}: packets sent and errors are {said}, not {self.count} 0")

    def run(self, seconds):
        """Starts it and waits until it has sent everything, for at most so long; how many seconds that took."""
        self.host.run(f"echo start >{CONTROL}", seconds)
        self.check()
        return max(int(each) for each in self.host.output(
            "sed -n 's/^Result: OK: \\([0-9]*\\).*/\\1/p' /proc/net/pktgen/*@*").split()) / 1e6

    def remove(self):
        """Takes its senders away; the module stays for the next ones."""
        self.host.run(f"echo rem_device_all >{THREAD}", check=False)


def ready(kept, host, link, target, frames, count):
    """The generator for a load: the one in `kept`, by host, if it was made for the same, as making it takes long."""
    generator = kept.pop(host.name, None)
    if generator is None or generator.made_for != (link, target, frames):
        generator = Generator(host, link, target, frames)
    generator.set_count(count)
    kept[host.name] = generator
    return generator


def unload(host):
    """Removes the module, which may not be there; LabError where it stays."""
    host.run("rmmod pktgen 2>&1; ! grep '^pktgen ' /proc/modules")
