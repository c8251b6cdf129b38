"""What is profiled: configurations times workloads. Each list grows by one line with each mode or load that exists."""
import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A network stack under test.

    `net` and `script` are those of its vif. The commands in `dom0` and `guest` choose its mode; `{vif}` and `{link}`
    stand for its two devices.
    """

    name: str
    title: str
    machine: str
    net: int = 0
    script: str = ""
    dom0: tuple = ()
    guest: tuple = ()
    # For the command lines of the two kernels: what differs here needs a boot of its own.
    dom0_options: str = ""
    guest_options: str = ""
    # Whether the card's receive offload puts UDP together that is only forwarded (`rx-udp-gro-forwarding`): off is
    # Linux's default, on is what our hotplug script makes.
    udp_gro: str = "off"
    # How much of a load comes before the first repetition: adaptive moderation takes hundreds of events to settle.
    warm_up: float = 1 / 8
    # Of the workloads, those in which it differs from another configuration, and of these the default set's.
    workloads: tuple = ("*",)
    usual: tuple = ("*",)

    @property
    def boot(self):
        """Configurations with the same of these share a machine."""
        return self.machine, self.dom0_options, self.guest_options


# Without pools: every packet that is not inline is granted.
GRANTED = "netchannel2_back.staged_max=0 netchannel2_front.staged_max=0"
VERSION_2 = f"grant_table.version=2 {GRANTED}"
# Where it matters that the card puts UDP together.
UDP_IN = ("in-64", "in-64-together", "in-1472*")
SETTLED = 1 / 2
ADAPTIVE = ("[ $(cat /sys/class/net/{link}/netchannel2/adaptive_rx) = 1 ] || ethtool -C {link} adaptive-rx on",)
# Interrupts of the card, and events of the channel, for 6 and for 64 packets: the loads and the configurations.
THROTTLED = ("in-1472-b6", "in-1472")
# Each way by itself, for all sizes: where one becomes cheaper than another is what inline_max and staged_max are for.
# TCP has packets of up to 64 KB, which do not go inline.
SHORT, ANY = ("rate-*",), ("rate-*", "tcp-*")


def only(inline_max, staged_max):
    """Parameters of both drivers."""
    return " ".join(f"{driver}.inline_max={inline_max} {driver}.staged_max={staged_max}"
                    for driver in ("netchannel2_back", "netchannel2_front"))


LONG = ("echo 10000 >/sys/class/net/{vif}/netchannel2/max_usecs",)
CONFIGURATIONS = [
    Configuration("native", "native Linux", "native"),
    Configuration("stock", "Xen, netback and netfront", "xen", 0, "vif-bridge"),
    Configuration("ours", "Xen, netchannel2", "xen", 1, "vif-netchannel2", guest=ADAPTIVE, udp_gro="on",
                  warm_up=SETTLED),
    Configuration("ours-ranges", "Xen, netchannel2, range grants", "xen", 1, "vif-netchannel2", udp_gro="on",
                  dom0_options=VERSION_2, guest_options=VERSION_2, warm_up=SETTLED, workloads=("in-[14]*",),
                  usual=("in-1472", "in-48k-b6")),
    Configuration("ours-no-udp-gro", "Xen, netchannel2, UDP not put together", "xen", 1, "vif-netchannel2",
                  guest=ADAPTIVE, warm_up=SETTLED, workloads=UDP_IN, usual=THROTTLED),
    Configuration("ours-frames-6", "Xen, netchannel2, 6 packets an event", "xen", 1, "vif-netchannel2", dom0=LONG,
                  guest=("ethtool -C {link} adaptive-rx off rx-usecs 10000 rx-frames 6",), workloads=THROTTLED),
    Configuration("ours-frames-64", "Xen, netchannel2, 64 packets or 10 ms an event", "xen", 1, "vif-netchannel2",
                  dom0=LONG,
                  guest=("ethtool -C {link} adaptive-rx off rx-usecs 10000 rx-frames 64",), workloads=THROTTLED),
    *(Configuration(f"way-{name}", f"Xen, netchannel2, every packet {name}", "xen", 1, "vif-netchannel2",
                    dom0_options=only(*most), guest_options=only(*most), warm_up=SETTLED, workloads=sizes, usual=())
      for name, most, sizes in (("inline", (2048, 0), SHORT), ("staged", (0, 65535), ANY), ("granted", (0, 0), ANY))),
    Configuration("native-udp-gro", "native Linux, UDP put together", "native", udp_gro="on", workloads=UDP_IN,
                  usual=("in-1472",)),
    Configuration("stock-udp-gro", "Xen, netback and netfront, UDP put together", "xen", 0, "vif-bridge",
                  udp_gro="on", workloads=UDP_IN, usual=("in-1472",)),
]


@dataclasses.dataclass(frozen=True)
class Workload:
    """A load: `kind` names its function in workloads.py, the rest are its parameters.

    `rate` is in frames a second, bursts are of `burst` frames, and `eitr` is what `ethtool -C` sets as rx-usecs. QEMU's
    igb waits about twice as long: so chosen, it interrupts about once for each burst; for cache-1472 it cannot wait so
    long. What it did is in the results. The rate is half of what the slowest guest takes: queues that have no room lose
    packets, and no case may. Small bursts are slower still, so that each is done with before the next comes; but for
    in-1472-b8, where the guest is at work all the time: a host that slows down then makes the stock drivers lose some.
    pktgen (rate-*) waits for room itself.
    """

    name: str
    title: str
    kind: str
    size: int = 0
    count: int = 0
    burst: int = 64
    rate: int = 4000
    eitr: int = 7400
    # Repetitions at least.
    repeat: int = 2
    # With the cache model, which makes the machine slow.
    cache: bool = False
    # Beyond the talk's comparison: runs by name only.
    by_name_only: bool = False
    # Which machines can run it.
    machines: tuple = ("native", "xen")

    @property
    def unit(self):
        """What costs are given for one of."""
        if self.kind.startswith("tcp_"):
            return "1448 bytes"
        return "transaction" if self.kind == "transactions" else "packet"


BIG = 49152

WORKLOADS = [
    Workload("in-64", "receive UDP, 64 bytes, 64 packets an interrupt", "udp_in", 64, 8000),
    Workload("in-1472", "receive UDP, 1472 bytes, 64 packets an interrupt", "udp_in", 1472, 8000),
    Workload("in-1472-b8", "receive UDP, 1472 bytes, bursts of 8", "udp_in", 1472, 20000, 8, 8000, 400,
             repeat=3),
    Workload("in-1472-b6", "receive UDP, 1472 bytes, 6 packets an interrupt", "udp_in", 1472, 8000, 6, 2500, 800),
    Workload("in-48k", "receive UDP, 48 KB, 64 packets an interrupt", "udp_in", BIG, 240),
    Workload("in-48k-b6", "receive UDP, 48 KB, 6 packets an interrupt", "udp_in", BIG, 150, 6, 2500, 1100),
    Workload("out-1472", "send UDP, 1472 bytes", "udp_out", 1472, 16000, repeat=4),
    Workload("tcp-in", "receive TCP", "tcp_in", count=64 << 20, eitr=100),
    Workload("tcp-out", "send TCP", "tcp_out", count=32 << 20, eitr=100, repeat=4),
    Workload("rr", "one byte there and back", "transactions", count=2500, eitr=400, repeat=3),
    Workload("guests-1472", "guest to guest UDP, 1472 bytes, one at a time", "udp_guests", 1472, 1200, 1, 300, repeat=3,
             machines=("xen",)),
    Workload("guests-tcp", "guest to guest TCP", "tcp_guests", count=32 << 20, repeat=3, machines=("xen",)),
    Workload("rate-in-64", "frames of 64 bytes from dom0, dropped early by the guest", "rate_in", 64, 16000,
             rate=16000, repeat=4, machines=("xen",)),
    Workload("rate-out-64", "frames of 64 bytes from the guest, dropped early by dom0", "rate_out", 64, 16000,
             rate=16000, repeat=4, machines=("xen",)),
    Workload("cache-1472", "receive UDP, 1472 bytes, with the cache model", "udp_in", 1472, 3200, 64, 500, 8000,
             repeat=3, cache=True),
    *(Workload(f"rate-{way}-{size}", f"the same with {size} bytes", f"rate_{way}", size, 16000, rate=16000, repeat=4,
               by_name_only=True, machines=("xen",)) for size in (256, 512, 1500) for way in ("in", "out")),
    Workload("in-64-together", "receive UDP, 64 bytes, by a program that uses UDP_GRO", "udp_in_together", 64, 16000,
             by_name_only=True),
    Workload("dom0-tcp-in", "TCP from a program in dom0 to the guest", "tcp_from_dom0", count=64 << 20, repeat=4,
             by_name_only=True, machines=("xen",)),
    Workload("dom0-tcp-out", "TCP from the guest to a program in dom0", "tcp_to_dom0", count=64 << 20, repeat=4,
             by_name_only=True, machines=("xen",)),
    Workload("out-48k", "send UDP, 48 KB", "udp_out", BIG, 240, by_name_only=True),
    Workload("out-64", "send UDP, 64 bytes", "udp_out", 64, 8000, by_name_only=True),
]


@dataclasses.dataclass(frozen=True)
class Case:
    configuration: Configuration
    workload: Workload

    @property
    def name(self):
        return f"{self.configuration.name}/{self.workload.name}"


def choose(pattern=""):
    """The cases that `pattern` names: `CONFIGURATION/WORKLOAD` with wildcards, or only one of the two, or several.

    Without a pattern, the default set.
    """
    every = [Case(configuration, workload) for configuration in CONFIGURATIONS for workload in WORKLOADS
             if configuration.machine in workload.machines and named(workload, configuration.workloads)]
    if not pattern:
        return [case for case in every
                if not case.workload.by_name_only and named(case.workload, case.configuration.usual)]
    words = pattern.replace(",", " ").split()
    chosen = [case for case in every if any(matches(case, word) for word in words)]
    for word in words:
        if not any(matches(case, word) for case in every):
            raise ValueError(f"no case is called {word}; configurations: "
                             f"{', '.join(each.name for each in CONFIGURATIONS)}; workloads: "
                             f"{', '.join(each.name for each in WORKLOADS)}")
    return chosen


def named(workload, patterns):
    return any(fnmatch.fnmatchcase(workload.name, pattern) for pattern in patterns)


def matches(case, word):
    return any(fnmatch.fnmatchcase(name, word) for name in (
        case.name, case.configuration.name, case.workload.name))
