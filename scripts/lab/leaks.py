"""What must be as before when devices have come and gone."""
import re
import time

from machine import LabError

# What caches may keep: skbs per CPU and per slab, pages of page pools and slabs; tables that grow to the most that was
# ever needed at once, a frame being 512 grants or 256 mappings; address space for foreign pages, in sections of memory.
SLACK = {"skbs": 2000, "dom0 KiB": 48 * 1024, "grant frames": 8, "maptrack frames": 8, "scratch KiB": 128 * 1024,
         "Xen MiB": 8}
# The same after rounds that are all alike, where nothing has a reason to grow by as much as one page for each round.
ALIKE = {**SLACK, "dom0 KiB": 16 * 1024, "grant frames": 0, "maptrack frames": 0, "scratch KiB": 0}


def active_grants(dom0):
    """Active grant entries by granting domain, as Xen counts them."""
    return parse_grants(grant_tables(dom0))


def grant_tables(dom0):
    """What Xen prints of all grant tables."""
    dom0.run("xl dmesg -c >/dev/null; xl debug-keys g")
    return dom0.output("xl dmesg")


def parse_frames(text):
    """(grant frames, maptrack frames) of all domains together: an entry that is granted and not in use is in no list."""
    found = re.findall(r"(\d+) frames \(\d+ max\), (\d+) maptrack frames", text)
    return sum(int(grants) for grants, _ in found), sum(int(maps) for _, maps in found)


def parse_grants(text):
    grants, domain = {}, None
    for line in text.splitlines():
        if head := re.search(r"grant-table for (?:remote|local)[: ]+d(\d+)", line):
            domain = int(head[1])
        elif domain is not None and re.search(r"\[0x[0-9a-f]+\] ", line):
            grants[domain] = grants.get(domain, 0) + 1
    return grants


def pool_pages(dom0):
    """Pages that the two ends of the vifs in dom0 hold mapped of each other's pools, by what the drivers count."""
    return int(dom0.output("for d in /sys/class/net/vif*; do ethtool -S ${d##*/} 2>/dev/null; done | "
                           "awk '/ (pool|mapped)_pages:/ {sum += $2} END {print sum + 0}'"))


class Census:
    """The counts at one moment."""

    def __init__(self, dom0):
        tables = grant_tables(dom0)
        frames, tracks = parse_frames(tables)
        # Domain ids change when a guest is made anew: the sum stays. Pools of a device that is there come and go.
        active = sum(parse_grants(tables).values()) - pool_pages(dom0)
        self.counts = {"active grants": active, "grant frames": frames, "maptrack frames": tracks}
        out = dom0.output(
            "xenstore-list /local/domain/0/backend/vif 2>/dev/null | wc -l; "
            "xl list | tail -n +2 | wc -l; "
            "grep -cE 'xenbus_map_ring|gnttab|netchannel2|nc2' /proc/vmallocinfo; "
            "awk '/^skbuff_head_cache/ {print $2}' /proc/slabinfo; "
            "awk '/MemAvailable/ {print -$2}' /proc/meminfo; "
            "ls -d /sys/class/net/vif* 2>/dev/null | wc -l; "
            "sed -n 's/^ *\\([0-9a-f]*\\)-\\([0-9a-f]*\\) : Xen scratch/\\1 \\2/p' /proc/iomem | "
            "while read -r from to; do echo $(((0x$to - 0x$from + 1) / 1024)); done | awk '{sum += $1} END {print sum + 0}'; "
            "xl info | awk '/^free_memory/ {print -$3}'; "
            # None is an answer too: grep says so with its status.
            "grep -c -E 'vif|netchannel2' /proc/interrupts; true")
        names = ["vif domains in xenstore", "domains", "ring mappings", "skbs", "dom0 KiB", "vif devices",
                 "scratch KiB", "Xen MiB", "vif interrupts"]
        self.counts.update(zip(names, map(int, out.split())))

    def growth(self, before, slack=None):
        """What has grown beyond its slack: name -> (before, now)."""
        slack = SLACK if slack is None else slack
        return {name: (before.counts[name], now) for name, now in self.counts.items()
                if now > before.counts[name] + slack.get(name, 0)}


class NoLeaks:
    """`with NoLeaks(dom0):` fails when something that the block used is not given back within `seconds`."""

    def __init__(self, dom0, seconds=20):
        self.dom0, self.seconds = dom0, seconds

    def __enter__(self):
        self.before = Census(self.dom0)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        end = time.monotonic() + self.seconds
        while growth := Census(self.dom0).growth(self.before):
            if time.monotonic() > end:
                words = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in growth.items())
                raise LabError(f"not given back within {self.seconds} s: {words}")
            time.sleep(1)
