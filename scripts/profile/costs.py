"""The cost model: modelled cycles from counted instructions, bytes and events, with the unit costs of costs.toml.

It is a model. Wherever its numbers are shown they are called modelled.
"""
import pathlib
import tomllib

import classes

PATH = pathlib.Path(__file__).with_name("costs.toml")
# What of the counts each unit cost is multiplied with; instructions have no name.
EVENTS = {
    "hypercall": ("hypercalls",),
    "event_channel_send": ("event channel sends",),
    "pv_entry": ("entries into the PV kernel",),
    "interrupt": ("interrupts of the card",),
    "tlb_flush": ("TLB flushes: flush_area_local", "TLB flushes: flush_tlb_func",
                  "TLB flushes: native_flush_tlb_local"),
    "copy": ("copies by Xen", "copies to and from user space", "copies inside a kernel"),
    "byte_copied": ("bytes copied by Xen", "bytes copied to and from user space", "bytes copied inside a kernel"),
}
# The cache model's levels, which count only where it is on.
MISSES = ("l1_miss", "l2_miss", "last_miss")
SURE = ("read", "derived", "estimate")
WORDS = {
    "instruction": "instructions", "copy": "copies begun", "byte_copied": "bytes copied", "hypercall": "hypercalls",
    "event_channel_send": "event-channel sends", "pv_entry": "entries into a PV kernel", "tlb_flush": "TLB flushes",
    "interrupt": "interrupts of the card", "l1_miss": "L1 misses (cache model)", "l2_miss": "L2 misses (cache model)",
    "last_miss": "last-level misses (cache model)",
}


def load(path=PATH):
    """Unit costs by name, each {cycles, sure, source}."""
    units = tomllib.loads(pathlib.Path(path).read_text())
    for name, unit in units.items():
        if not isinstance(unit.get("cycles"), (int, float)) or unit["cycles"] < 0 or not unit.get("source"):
            raise ValueError(f"{path}: {name} needs cycles and a source")
        if unit.get("sure") not in SURE:
            raise ValueError(f"{path}: {name} must say how sure it is: {', '.join(SURE)}")
    missing = set(WORDS) - set(units)
    if missing:
        raise ValueError(f"{path}: no cost for {', '.join(sorted(missing))}")
    return units


def shares(counts, units):
    """Modelled cycles by (class, part) for one unit of work; `counts` are per unit of work too."""
    found = {}

    def add(kind, part, number):
        found[kind, part] = found.get((kind, part), 0.0) + number * units[part]["cycles"]

    for kind in classes.WORK:
        add(kind, "instruction", counts.instructions([kind]))
    on_xen = any(counts.instructions([kind]) for kind in ("xen0", "xen1"))
    for part, names in EVENTS.items():
        for name in names:
            for domain in (0, 1):
                add(payer(name, domain, on_xen), part, counts.event(name, domain))
    for kind, misses in counts.misses.items():
        for part, number in zip(MISSES, misses, strict=True):
            add(kind if kind in classes.ALL else "unattributed", part, number)
    return found


def payer(event, domain, on_xen):
    """The class that an event of a domain costs."""
    if event.endswith("by Xen"):
        return "grantcopy"
    if event.endswith("to and from user space"):
        return "usercopy" if domain else "kern0"
    if event.endswith("inside a kernel"):
        return "kern" if domain else "kern0"
    if on_xen:
        return f"xen{domain}"
    return "kern"


def cycles(counts, units):
    """Modelled cycles of each part."""
    parts = dict.fromkeys(WORDS, 0.0)
    for (_, part), number in shares(counts, units).items():
        parts[part] += number
    return parts


def by_class(counts, units):
    """Modelled cycles of each class."""
    kinds = dict.fromkeys(classes.ALL, 0.0)
    for (kind, _), number in shares(counts, units).items():
        kinds[kind] += number
    return kinds
