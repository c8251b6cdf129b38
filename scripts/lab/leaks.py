"""What must be as before when devices have come and gone."""
import re
import time

from machine import LabError

# Objects that caches inside the kernel may keep: skbs per CPU and per slab, pages of page pools and slabs.
SLACK = {"skbs": 2000, "dom0 KiB": 48 * 1024}


def active_grants(dom0):
    """Active grant entries by granting domain, as Xen counts them."""
    dom0.run("xl dmesg -c >/dev/null; xl debug-keys g")
    return parse_grants(dom0.output("xl dmesg"))


def parse_grants(text):
    grants, domain = {}, None
    for line in text.splitlines():
        if head := re.search(r"grant-table for (?:remote|local)[: ]+d(\d+)", line):
            domain = int(head[1])
        elif domain is not None and re.search(r"\[0x[0-9a-f]+\] ", line):
            grants[domain] = grants.get(domain, 0) + 1
    return grants


class Census:
    """The counts at one moment."""

    def __init__(self, dom0):
        # Domain ids change when a guest is made anew: the sum stays.
        self.counts = {"active grants": sum(active_grants(dom0).values())}
        out = dom0.output(
            "xenstore-list /local/domain/0/backend/vif 2>/dev/null | wc -l; "
            "xl list | tail -n +2 | wc -l; "
            "grep -cE 'xenbus_map_ring|gnttab|netchannel2|nc2' /proc/vmallocinfo; "
            "awk '/^skbuff_head_cache/ {print $2}' /proc/slabinfo; "
            "awk '/MemAvailable/ {print -$2}' /proc/meminfo; "
            "ls -d /sys/class/net/vif* 2>/dev/null | wc -l; "
            # None is an answer too: grep says so with its status.
            "grep -c -E 'vif|netchannel2' /proc/interrupts; true")
        names = ["vif domains in xenstore", "domains", "ring mappings", "skbs", "dom0 KiB", "vif devices", "vif interrupts"]
        self.counts.update(zip(names, map(int, out.split())))

    def growth(self, before):
        """What has grown beyond its slack: name -> (before, now)."""
        return {name: (before.counts[name], now) for name, now in self.counts.items()
                if now > before.counts[name] + SLACK.get(name, 0)}


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
