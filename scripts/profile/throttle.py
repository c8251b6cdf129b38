"""The talk's throttling: what 6 and 64 packets for each interrupt of the card, and each event of the channel, cost."""
import cases
import classes
import tables

# Loads by how many packets meet an interrupt of the card, and what is compared, in the order of the bars.
BARS = {"stock": "stock", "ours-frames-6": "6", "ours-frames-64": "64", "ours-no-udp-gro": "adaptive",
        "ours": "adaptive,\nUDP put\ntogether"}


def found(results):
    """[(workload, native result, results to be compared)] of the loads with native Linux and a throttled channel."""
    groups = []
    for load, group in tables.by_workload(results).items():
        good = {result.case.configuration.name: result for result in group if result.runs}
        bars = [good[name] for name in BARS if name in good]
        if load.name in cases.THROTTLED and "native" in good and {"ours-frames-6", "ours-frames-64"} & set(good):
            groups.append((load, good["native"], bars))
    return sorted(groups, key=lambda group: group[0].burst)


def events(run):
    """Events that the driver domain sends to the guest, per packet."""
    return run.net.event("event channel sends", 0)


def values(native, result):
    """The figures of one bar, by words; None where there is none."""
    run = result.typical
    sent = events(run)
    return {
        "the six together": run.net.instructions(classes.TALK),
        "over native, %": tables.overhead(run, native.typical),
        "packets per interrupt of the card": tables.per_interrupt(run),
        "events to the guest per packet": sent,
        "packets per event to the guest": 1 / sent if sent > 0 else None,
        "upcalls in the guest per packet": run.net.event("upcalls", 1),
    }


FORMS = {"the six together": "{:.0f}", "over native, %": "{:+.0f}", "packets per interrupt of the card": "{:.1f}",
         "events to the guest per packet": "{:.3f}", "packets per event to the guest": "{:.1f}",
         "upcalls in the guest per packet": "{:.3f}"}
