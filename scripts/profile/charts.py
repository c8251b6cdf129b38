"""The talk's figure, from our counts and from the talk's own numbers, and a chart for each workload, as SVG."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen before)

import classes  # noqa: E402
import costs  # noqa: E402
import tables  # noqa: E402
import throttle  # noqa: E402

COLOURS = {
    "usercopy": "#4c72b0", "kern": "#55a868", "xen1": "#c44e52", "grantcopy": "#8172b2", "kern0": "#ccb974",
    "xen0": "#64b5cd", "user1": "#bbbbbb", "user0": "#dddddd",
    "pktgen1": "#eecccc", "pktgen0": "#ccddee", "unattributed": "#000000",
    "total": "#888888",
}
# Cost of receiving over native Linux in per cent: the talk's text has these totals, and no numbers for the classes in
# its bars.
TALK = [("native\nLinux", 0), ("Xen", 370), ("guest copy,\nfixes", 100),
        ("multi-queue,\ngrant cache,\n64 an interrupt", 23)]
# What it measured, as workloads here.
TALK_LOADS = ("in-48k-b6", "in-48k")
# The configurations that the charts of all receiving loads have; the rest is in each load's own.
RELATIVE = ("native", "stock", "ours", "ours-ranges")
# No date and no random identifiers: the same numbers make the same file.
PLAIN = {"metadata": {"Date": None, "Creator": None}}
matplotlib.rcParams["svg.hashsalt"] = "netchannel2"
matplotlib.rcParams["svg.fonttype"] = "none"


def instructions(result):
    """What is drawn of a result: instructions by class."""
    return {kind: result.typical.net.instructions([kind]) for kind in classes.WORK}


def modelled(units):
    """The same for modelled cycles, in which copies by `rep movsb` show."""
    def cycles(result):
        run = result.typical
        return costs.by_class(run.net, units)

    return cycles


def workload(path, load, results, values_of, what):
    """Stacked bars of one workload: a bar for each configuration."""
    figure, axes = plt.subplots(figsize=(1.8 + 1.6 * len(results), 4.8))
    names = [result.case.configuration.title.replace(", ", ",\n") for result in results]
    stack(axes, names, [values_of(result) for result in results], classes.WORK)
    axes.set_ylabel(f"{what} per {load.unit}")
    axes.set_title(load.title, fontsize=10)
    finish(figure, axes, path)


def stack(axes, names, columns, kinds, legend=True):
    """One bar a column, a piece of it for each class that has any."""
    bottom = [0.0] * len(columns)
    for kind in kinds:
        # Less background than the idle machine happened to have is nothing to draw.
        values = [max(0.0, column[kind]) for column in columns]
        if max(values) < 0.005 * max(sum(column.values()) for column in columns):
            continue
        axes.bar(range(len(columns)), values, 0.6, bottom=bottom, label=kind, color=COLOURS[kind])
        bottom = [a + b for a, b in zip(bottom, values)]
    for number, total in enumerate(bottom):
        axes.annotate(f"{total:.0f}", (number, total), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(columns)), names, fontsize=7)
    axes.margins(y=0.08)
    if not legend:
        return
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def talk(path, results, forms):
    """The talk's totals, and beside them our counts of the same load in the talk's form, as far as there are any.

    `forms` are what is drawn: functions of a result, each with its words.
    """
    loads = [(load, group) for load, group in tables.by_workload(results).items() if load.name in TALK_LOADS]
    panels = [(values_of, what, *bars) for values_of, what in forms if (bars := relative_bars(loads, values_of))[0]]
    widths = [len(TALK), *(max(2, len(names)) for _, _, names, _ in panels)]
    figure, every = plt.subplots(1, len(widths), figsize=(1.5 + 0.8 * sum(widths), 4.8), sharey=True, squeeze=False,
                                 width_ratios=widths, layout="constrained")
    first = every[0][0]
    stack(first, [name for name, _ in TALK], [{"total": 100 + over} for _, over in TALK], ("total",), legend=False)
    first.set_ylabel("cost of receiving UDP, 48 KB, native Linux = 100")
    first.set_title("the talk, 2007: cycles, measured", fontsize=9)
    for number, (axes, (_, what, names, columns)) in enumerate(zip(every[0][1:], panels), 1):
        stack(axes, names, columns, classes.TALK, legend=number == len(panels))
        axes.set_title(f"here: {what}", fontsize=9)
    for axes in every[0]:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", **PLAIN)
    plt.close(figure)


def throttled(path, results):
    """Card and channel at 6 and at 64 packets: the cost, and below it how many events reach the guest."""
    groups = throttle.found(results)
    if not groups:
        return False
    figure, every = plt.subplots(2, len(groups), figsize=(1.6 + 4.4 * len(groups), 6.4), sharey="row", squeeze=False,
                                 height_ratios=(3, 2), layout="constrained")
    for number, (load, native, bars) in enumerate(groups):
        above, below = every[0][number], every[1][number]
        names = [throttle.BARS[each.case.configuration.name] for each in bars]
        base = sum(instructions(native)[kind] for kind in classes.TALK) / 100
        columns = [{kind: count / base for kind, count in instructions(each).items()} for each in bars]
        stack(above, names, columns, classes.TALK, legend=number == len(groups) - 1)
        above.axhline(100, color="black", linewidth=0.8, linestyle="--")
        above.set_title(f"the card: {load.burst} packets an interrupt", fontsize=10)
        sent = [throttle.events(each.typical) for each in bars]
        below.bar(range(len(bars)), sent, 0.6, color=COLOURS["total"])
        for place, value in enumerate(sent):
            below.annotate(f"{value:.3f}", (place, value), ha="center", va="bottom", fontsize=8)
        below.set_xticks(range(len(bars)), names, fontsize=7)
        below.set_xlabel("the channel: packets an event", fontsize=8)
        below.margins(y=0.12)
    every[0][0].set_ylabel("instructions, native Linux = 100")
    every[1][0].set_ylabel("events to the guest\nper packet")
    for axes in every.flat:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", **PLAIN)
    plt.close(figure)
    return True


def relative_bars(loads, values_of):
    """Names and columns of the six classes, native Linux = 100, of those (workload, results) that have native Linux."""
    names, columns = [], []
    for load, group in loads:
        good = [each for each in group if each.runs]
        native = [each for each in good if each.case.configuration.name == "native"]
        if not native:
            continue
        base = sum(values_of(native[0])[kind] for kind in classes.TALK) / 100
        names += [f"{each.case.configuration.name}\n{load.name}" for each in good]
        columns += [{kind: values_of(each)[kind] / base for kind in classes.TALK} for each in good]
    return names, columns


def relative(path, results, values_of, what):
    """Ours in the talk's form: the six classes, native Linux = 100, for each load of UDP from outside."""
    loads = [(load, [result for result in group if result.case.configuration.name in RELATIVE])
             for load, group in tables.by_workload(results).items() if load.kind.startswith("udp_in") and not load.cache]
    names, columns = relative_bars(loads, values_of)
    if not columns:
        return False
    figure, axes = plt.subplots(figsize=(2 + 0.95 * len(columns), 4.8))
    stack(axes, names, columns, classes.TALK)
    axes.set_ylabel(f"{what} of the six classes, native Linux = 100")
    finish(figure, axes, path)
    return True


def finish(figure, axes, path):
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", **PLAIN)
    plt.close(figure)


def draw(folder, results, units):
    """All charts; their paths."""
    forms = ("", instructions, "instructions"), ("-modelled", modelled(units), "modelled cycles")
    paths = [folder / "talk.svg"]
    talk(paths[0], results, [form[1:] for form in forms])
    if throttled(folder / "throttling.svg", results):
        paths.append(folder / "throttling.svg")
    for suffix, values_of, what in forms:
        for load, group in tables.by_workload(results).items():
            if good := [result for result in group if result.runs]:
                paths.append(folder / f"{load.name}{suffix}.svg")
                workload(paths[-1], load, good, values_of, what)
        if relative(folder / f"receive-relative{suffix}.svg", results, values_of, what):
            paths.append(folder / f"receive-relative{suffix}.svg")
    return paths
