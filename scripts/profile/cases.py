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
    # Whether adaptive moderation is switched on anew before loads or repetitions (`Workload.anew`): it goes its way by
    # what was before, and some loads have too few events for it to forget that.
    adaptive: bool = False
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
    Configuration("ours", "Xen, netchannel2", "xen", 1, "vif-netchannel2", udp_gro="on", adaptive=True),
    Configuration("ours-ranges", "Xen, netchannel2, range grants", "xen", 1, "vif-netchannel2", udp_gro="on",
                  dom0_options=VERSION_2, guest_options=VERSION_2, adaptive=True, workloads=("in-[14]*",),
                  usual=("in-1472", "in-48k-b6")),
    Configuration("ours-no-udp-gro", "Xen, netchannel2, UDP not put together", "xen", 1, "vif-netchannel2",
                  adaptive=True, workloads=UDP_IN, usual=THROTTLED),
    Configuration("ours-frames-6", "Xen, netchannel2, 6 packets an event", "xen", 1, "vif-netchannel2", dom0=LONG,
                  guest=("ethtool -C {link} adaptive-rx off rx-usecs 10000 rx-frames 6",), workloads=THROTTLED),
    Configuration("ours-frames-64", "Xen, netchannel2, 64 packets or 10 ms an event", "xen", 1, "vif-netchannel2",
                  dom0=LONG,
                  guest=("ethtool -C {link} adaptive-rx off rx-usecs 10000 rx-frames 64",), workloads=THROTTLED),
    *(Configuration(f"way-{name}", f"Xen, netchannel2, every packet {name}", "xen", 1, "vif-netchannel2",
                    dom0_options=only(*most), guest_options=only(*most), adaptive=True, workloads=sizes, usual=())
      for name, most, sizes in (("inline", (2048, 0), SHORT), ("staged", (0, 65535), ANY), ("granted", (0, 0), ANY))),
    Configuration("native-udp-gro", "native Linux, UDP put together", "native", udp_gro="on", workloads=UDP_IN,
                  usual=("in-1472",)),
    Configuration("stock-udp-gro", "Xen, netback and netfront, UDP put together", "xen", 0, "vif-bridge",
                  udp_gro="on", workloads=UDP_IN, usual=("in-1472",)),
]


@dataclasses.dataclass(frozen=True)
class Workload:
    """A load: `kind` names its function in workloads.py, the rest are its parameters.

    `rate` is in frames a second, bursts are of `burst` frames, and `eitr` is what `ethtool -C` sets as rx-usecs and
    as tx-usecs, 8191 at most. QEMU's igb waits about twice as long: so chosen, it interrupts about once for each
    burst; for cache-1472 it cannot wait so long. What it did is in the results. The rate is two thirds of what the
    slowest guest takes: queues that have no room lose packets, and no case may. Small bursts are slower still, so
    that each is done with before the next comes; but for in-1472-b8, where the next comes while the guest is at
    work. rate-* have no pauses (`burst` 1, `rate` 0): pktgen itself waits for room.

    `speed` is how many million instructions a second each processor runs while it is measured: what a host of two
    processors has to spare. Streams and transactions have a peer that takes a part of the host, a second guest has a
    processor that takes another. Where the host was too slow, the results say so. With the cache model, which makes the
    host so slow that ticks would be most of the work, 0: as fast as it can.
    """

    name: str
    title: str
    kind: str
    size: int = 0
    count: int = 0
    burst: int = 64
    rate: int = 3750
    eitr: int = 7900
    # Repetitions at least, and at most.
    repeat: int = 2
    most: int = 5
    speed: int = 40
    # How much of it comes before the first repetition, uncounted.
    warm_up: float = 1 / 4
    # Whether adaptive moderation begins anew with each repetition, else with the load: where there are many events, as
    # with transactions and between guests, what it tries at first would be most of a repetition.
    anew: bool = True
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
    Workload("in-64", "receive UDP, 64 bytes, 64 packets an interrupt", "udp_in", 64, 6400),
    Workload("in-1472", "receive UDP, 1472 bytes, 64 packets an interrupt", "udp_in", 1472, 6400),
    Workload("in-1472-b8", "receive UDP, 1472 bytes, bursts of 8", "udp_in", 1472, 6000, 8, 2500, 1280),
    Workload("in-1472-b6", "receive UDP, 1472 bytes, 6 packets an interrupt", "udp_in", 1472, 3000, 6, 1200, 1670),
    Workload("in-48k", "receive UDP, 48 KB, 64 packets an interrupt", "udp_in", BIG, 240),
    Workload("in-48k-b6", "receive UDP, 48 KB, 6 packets an interrupt", "udp_in", BIG, 90, 6, 1200, 2300),
    Workload("out-1472", "send UDP, 1472 bytes", "udp_out", 1472, 4800, rate=1600, speed=25),
    Workload("tcp-in", "receive TCP", "tcp_in", count=24 << 20, eitr=1000, warm_up=1 / 2, speed=25),
    Workload("tcp-out", "send TCP", "tcp_out", count=24 << 20, eitr=1000, repeat=4, most=6, warm_up=1 / 4,
             speed=25),
    Workload("rr", "one byte there and back", "transactions", count=1000, eitr=400, warm_up=1 / 2,
             speed=25, anew=False),
    Workload("guests-1472", "guest to guest UDP, 1472 bytes, one at a time", "udp_guests", 1472, 800, 1, 200,
             warm_up=1 / 2, speed=25, anew=False, machines=("xen",)),
    Workload("guests-tcp", "guest to guest TCP", "tcp_guests", count=24 << 20, repeat=3, warm_up=1 / 2, speed=25,
             anew=False, machines=("xen",)),
    Workload("rate-in-64", "frames of 64 bytes from dom0, dropped early by the guest", "rate_in", 64, 12000, 1, 0,
             speed=25, machines=("xen",)),
    Workload("rate-out-64", "frames of 64 bytes from the guest, dropped early by dom0", "rate_out", 64, 12000, 1, 0,
             speed=25, machines=("xen",)),
    Workload("cache-1472", "receive UDP, 1472 bytes, with the cache model", "udp_in", 1472, 960, 64, 250, 8000,
             speed=0, cache=True),
    *(Workload(f"rate-{way}-{size}", f"the same with {size} bytes", f"rate_{way}", size, 12000, 1, 0, speed=25,
               by_name_only=True, machines=("xen",)) for size in (256, 512, 1500) for way in ("in", "out")),
    Workload("in-64-together", "receive UDP, 64 bytes, by a program that uses UDP_GRO", "udp_in_together", 64, 8000,
             by_name_only=True),
    Workload("dom0-tcp-in", "TCP from a program in dom0 to the guest", "tcp_from_dom0", count=32 << 20,
             speed=25, by_name_only=True, machines=("xen",)),
    Workload("dom0-tcp-out", "TCP from the guest to a program in dom0", "tcp_to_dom0", count=32 << 20, speed=25,
             by_name_only=True, machines=("xen",)),
    Workload("out-48k", "send UDP, 48 KB", "udp_out", BIG, 120, rate=1600, speed=25, by_name_only=True),
    Workload("out-64", "send UDP, 64 bytes", "udp_out", 64, 4000, rate=1600, speed=25, by_name_only=True),
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
