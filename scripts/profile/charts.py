"""The talk's figure, from our counts and from the talk's own numbers, as SVG."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen before)

import classes  # noqa: E402
import costs  # noqa: E402
import tables  # noqa: E402

COLOURS = {
    "usercopy": "#4c72b0", "kern": "#55a868", "xen1": "#c44e52", "grantcopy": "#8172b2", "kern0": "#ccb974",
    "xen0": "#64b5cd", "user1": "#bbbbbb", "user0": "#dddddd", "unattributed": "#000000",
}
# Cost of receiving over native Linux in per cent: the talk's text has these totals, and no numbers for the classes in
# its bars.
TALK = [("native Linux", 0), ("Xen in 2007", 370), ("guest copy and\nfixes, no new card", 100),
        ("multi-queue, grant cache,\n64 packets an interrupt", 23)]
# No date and no random identifiers: the same numbers make the same file.
PLAIN = {"metadata": {"Date": None, "Creator": None}}
matplotlib.rcParams["svg.hashsalt"] = "netchannel2"
matplotlib.rcParams["svg.fonttype"] = "none"


def instructions(result):
    """What is drawn of a result: instructions by class."""
    return {kind: result.typical.net.instructions([kind]) for kind in classes.ALL}


def modelled(units):
    """The same for modelled cycles, in which copies by `rep movsb` show."""
    def cycles(result):
        run = result.typical
        return costs.by_class(run.net, run.interrupts / run.units, units)

    return cycles


def workload(path, load, results, values_of, what):
    """Stacked bars of one workload: a bar for each configuration."""
    figure, axes = plt.subplots(figsize=(1.8 + 1.6 * len(results), 4.8))
    names = [result.case.configuration.title.replace(", ", ",\n") for result in results]
    stack(axes, names, [values_of(result) for result in results], classes.ALL)
    axes.set_ylabel(f"{what} per {load.unit}")
    axes.set_title(load.title, fontsize=10)
    finish(figure, axes, path)


def stack(axes, names, columns, kinds):
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
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def talk(path):
    """The talk's own comparison, from the numbers in its text."""
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    values = [100 + over for _, over in TALK]
    axes.bar([name for name, _ in TALK], values, 0.6, color="#888888")
    for number, value in enumerate(values):
        axes.annotate(f"{value}", (number, value), ha="center", va="bottom")
    axes.set_ylabel("CPU cost, native Linux = 100")
    axes.set_title("The talk (Xen Summit, November 2007): receive UDP, 48 KB messages", fontsize=10)
    finish(figure, axes, path)


def relative(path, results, values_of, what):
    """Ours in the talk's form: the six classes, native Linux = 100, for each receiving workload."""
    names, columns = [], []
    for load, group in tables.by_workload(results).items():
        good = [each for each in group if each.runs]
        native = [each for each in good if each.case.configuration.name == "native"]
        if load.kind != "udp_in" or not native:
            continue
        base = sum(values_of(native[0])[kind] for kind in classes.TALK) / 100
        names += [f"{load.name}\n{each.case.configuration.name}" for each in good]
        columns += [{kind: values_of(each)[kind] / base for kind in classes.TALK} for each in good]
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
    paths = [folder / "talk.svg"]
    talk(paths[0])
    forms = ("", instructions, "instructions"), ("-modelled", modelled(units), "modelled cycles")
    for suffix, values_of, what in forms:
        for load, group in tables.by_workload(results).items():
            if good := [result for result in group if result.runs]:
                paths.append(folder / f"{load.name}{suffix}.svg")
                workload(paths[-1], load, good, values_of, what)
        if relative(folder / f"receive-relative{suffix}.svg", results, values_of, what):
            paths.append(folder / f"receive-relative{suffix}.svg")
    return paths
