#!/usr/bin/env python3
"""The figures of Documentation/: document.py FOLDER takes those of the run in FOLDER, as `run.py --document` does.

A run writes `figures.md` and its charts beside everything else; this takes over what the documentation shows of them.
"""
import pathlib
import re
import shutil
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import charts  # noqa: E402  (the lab's modules are found by the line above)
import classes  # noqa: E402
import tables  # noqa: E402
import throttle  # noqa: E402
from config import REPO  # noqa: E402

TARGET = REPO / "Documentation" / "performance"
FIGURES = "figures.md"
# The charts that the documentation shows; every other is in the run's own folder.
CHARTS = ("talk", "throttling", "receive-relative", "receive-relative-modelled", "rate-in-64", "rate-out-64", "tcp-in",
          "tcp-out")
# Of the events, those that have a row.
EVENTS = [
    "hypercalls", "event channel sends", "upcalls", "entries into the PV kernel", "grant operations: copy",
    "grant operations: map", "grant operations: unmap", "TLB flushes: flush_area_local", "copies by Xen",
    "bytes copied by Xen", "copies to and from user space", "bytes copied to and from user space",
    "copies inside a kernel", "bytes copied inside a kernel",
]


def figures(results, units, ground, paths):
    """The page of figures, in Markdown."""
    failed = [result.case.name for result in results if not result.ok]
    configurations = dict.fromkeys(result.case.configuration for result in results)
    lines = [
        "# Figures", "",
        "Made by `make profile ARGS=--document`; [performance.md](../performance.md) says what the figures are and are",
        "not, what the classes mean, and how each load and configuration is made. Instructions of an emulated machine",
        "per packet (TCP: per 1448 bytes, `rr`: per transaction), background subtracted, the mean of",
        "the repetitions without the lowest and the highest, of two of both; fewer are better.", "",
        *(f"* {name}: {value}" for name, value in ground.items()), "",
        *table_head(["column", "what"]), *(table_row([f"`{each.name}`", each.title]) for each in configurations),
    ]
    if failed:
        lines += ["", f"FAILED: {', '.join(failed)}"]
    groups = {load: [result for result in group if result.runs] for load, group in tables.by_workload(results).items()}
    groups = {load: group for load, group in groups.items() if group}
    drawn = [path.name for path in paths if path.stem in CHARTS]
    lines += ["", *overview(groups)]
    if "talk.svg" in drawn:
        lines += ["", "## The talk's figure", "",
                  "The talk measured, in cycles, how much more than on native Linux it costs to receive datagrams of",
                  "48 KB: 370 % with Xen as it was in 2007, 100 % with the copy made by the guest and several fixes,",
                  "and 23 % with a card of several queues, a grant cache and 64 packets an interrupt. Here:", "",
                  *talk(groups, units), "", "![The talk's figure, and the same load here](talk.svg)"]
    if "throttling.svg" in drawn:
        lines += ["", "## Throttling: 6 and 64 packets an interrupt, and an event", "", *throttling(results), "",
                  "![Card and channel at 6 and at 64 packets](throttling.svg)"]
    for load, group in groups.items():
        lines += ["", f"## {load.name}: {load.title}", "", *section(group, units)]
        if f"{load.name}.svg" in drawn:
            lines += ["", f"![{load.title}]({load.name}.svg)"]
    rest = [name for name in drawn if name.startswith("receive-relative")]
    if rest:
        lines += ["", "## Receiving, native Linux = 100", "", *(f"![{name}]({name})" for name in rest)]
    return "\n".join([*lines, ""])


def overview(groups):
    """All instructions of every case, and how far its repetitions are apart."""
    names = list(dict.fromkeys(result.case.configuration.name for group in groups.values() for result in group))
    lines = table_head(["all instructions (spread)", *names])
    for load, group in groups.items():
        found = {result.case.configuration.name: result for result in group}
        cells = [f"{found[name].typical.net.instructions():.0f} ({found[name].spread:.1%})" if name in found else ""
                 for name in names]
        lines.append(table_row([load.name, *cells]))
    return lines


def talk(groups, units):
    """Of the talk's load: over native Linux, in instructions and in modelled cycles."""
    loads = {load: {result.case.configuration.name: result.typical for result in group}
             for load, group in groups.items() if load.name in charts.TALK_LOADS}
    names = list(dict.fromkeys(name for runs in loads.values() for name in runs if name != "native"))
    lines = table_head(["over native, six classes, %", *names])
    for load, runs in loads.items():
        for what, cost in (("instructions", lambda run: run.net.instructions(classes.TALK)),
                           ("modelled cycles", lambda run: tables.modelled_cycles(run, units, classes.TALK))):
            if "native" in runs:
                cells = [f"{(cost(runs[name]) / cost(runs['native']) - 1) * 100:+.0f}" if name in runs else ""
                         for name in names]
                lines.append(table_row([f"{load.name}, {what}", *cells]))
    return lines


def throttling(results):
    """The table of the talk's experiment: a column for each setting of the channel, the card's one after the other."""
    lines = []
    for load, native, bars in throttle.found(results):
        lines += table_head([f"the card at {load.burst}", *(each.case.configuration.name for each in bars)])
        columns = [throttle.values(native, each) for each in bars]
        for words, form in throttle.FORMS.items():
            cells = ("" if column[words] is None else form.format(column[words]) for column in columns)
            lines.append(table_row([words, *cells]))
        lines.append("")
    return lines[:-1]


def section(group, units):
    """The table of one workload."""
    runs = [result.typical for result in group]
    native = next((run for result, run in zip(group, runs) if result.case.configuration.name == "native"), None)
    lines = table_head([f"per {group[0].case.workload.unit}", *(result.case.configuration.name for result in group)])

    def row(words, values, form="{:.0f}"):
        lines.append(table_row([words, *("" if value is None else form.format(value) for value in values)]))

    for kind in classes.ALL:
        values = [run.net.instructions([kind]) for run in runs]
        if kind in classes.TALK or max(values) >= 0.5:
            row(kind, values)
    row("**the six together**", [run.net.instructions(classes.TALK) for run in runs])
    if native and len(runs) > 1:
        row("over native, %", [tables.overhead(run, native) for run in runs], "{:+.0f}")
    for words, values, form in tables.domain_values(group):
        row(words, values, form)
    row("background beside these", [run.background.instructions() for run in runs])
    row("modelled cycles", [tables.modelled_cycles(run, units) for run in runs])
    row("memory accesses", [run.net.accesses() for run in runs])
    row("packets per interrupt of the card", [tables.per_interrupt(run) for run in runs], "{:.1f}")
    for name in EVENTS:
        for words, values in tables.event_values(runs, name):
            if max(values) > 0.0005:
                row(words, values, "{:.3f}")
    for words, values in tables.miss_values(runs):
        row(words, values, "{:.1f}")
    return lines


def table_head(cells):
    return [table_row(cells), table_row(["---", *["---:"] * (len(cells) - 1)])]


def table_row(cells):
    return f"| {' | '.join(cells)} |"


def take(folder, target=TARGET):
    """Takes the figures of a run into the documentation, and only the charts that they show; what was there goes."""
    page = folder / FIGURES
    if not page.exists():
        raise SystemExit(f"document: {folder} is not the folder of a run: it has no {FIGURES}")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    text = page.read_text()
    for name in [FIGURES, *re.findall(r"\]\(([\w.-]+\.svg)\)", text)]:
        shutil.copy(folder / name, target / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    take(pathlib.Path(sys.argv[1]))
