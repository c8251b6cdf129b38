"""Results as text: per workload a column for each configuration, and the tables of events, costs and caches."""
import classes
import costs
from experiment import per_interrupt, too_slow

WIDTH = 14
LABEL = 54
# Counts of events that get a row; hypercalls by number and grant operations by kind follow by themselves.
EVENT_ROWS = ["hypercalls", "event channel sends", "upcalls", "entries into the PV kernel", "copies by Xen",
              "bytes copied by Xen", "copies to and from user space", "bytes copied to and from user space",
              "copies inside a kernel", "bytes copied inside a kernel"]
EVENT_PREFIXES = ["grant operations: ", "grant hypercalls: ", "TLB flushes: ", "hypercall "]
SPREAD_LIMIT = 0.03
TOO_SLOW_LIMIT = 0.02


def row(words, values, form="{:.0f}"):
    cells = "".join(f"{'-' if value is None else form.format(value):>{WIDTH}}" for value in values)
    return f"  {words:{LABEL}}{cells}"


def by_workload(results):
    """workload -> its results, in the order in which they were made."""
    groups = {}
    for result in results:
        groups.setdefault(result.case.workload, []).append(result)
    return groups


def table(results, units, top=0):
    """Everything, as text."""
    parts = []
    for workload, group in by_workload(results).items():
        good = [result for result in group if result.runs]
        failures = [f"  {result.case.name} FAILED: {result.problem}" for result in group if not result.ok]
        head = f"{workload.name}: {workload.title}; per {workload.unit}"
        parts.append("\n".join([head, *section(good, units, top), *failures]))
    return "\n\n".join(parts)


def section(group, units, top):
    if not group:
        return []
    runs = [result.typical for result in group]
    lines = [row("", [result.case.configuration.name for result in group], "{}"), *class_rows(runs)]
    native = next((run for result, run in zip(group, runs) if result.case.configuration.name == "native"), None)
    if native and len(runs) > 1:
        lines.append(row("overhead over native, six classes, %", [overhead(run, native) for run in runs], "{:+.0f}"))
    lines += [
        row("spread of the repetitions, %", [result.spread * 100 for result in group], "{:.1f}"),
        row("background beside these", [run.background.instructions() for run in runs]),
        *domain_rows(group),
        row("memory accesses", [run.net.accesses() for run in runs]),
        row("packets per interrupt of the card", [per_interrupt(run) for run in runs], "{:.1f}"),
        *event_rows(runs), *cost_rows(runs, units), *miss_rows(runs)]
    for result in group:
        if result.spread > SPREAD_LIMIT:
            lines.append(f"  {result.case.name}: the repetitions differ by more than {SPREAD_LIMIT:.0%}")
        if (share := too_slow(result)) > TOO_SLOW_LIMIT:
            lines.append(f"  {result.case.name}: the host was too slow for {share:.0%} of the time")
        if top:
            lines += top_functions(result, top)
    return lines


def overhead(run, native):
    return (run.net.instructions(classes.TALK) / native.net.instructions(classes.TALK) - 1) * 100


def class_rows(runs):
    lines = [row(f"{kind}: {classes.WORDS[kind]}"[:LABEL], [run.net.instructions([kind]) for run in runs])
             for kind in classes.ALL
             if not kind.startswith(classes.GENERATOR) or any(run.net.instructions([kind]) for run in runs)]
    lines.insert(len(classes.TALK), row("the six together, instructions",
                                        [run.net.instructions(classes.TALK) for run in runs]))
    return lines + [row("all instructions, without waiting", [run.net.instructions() for run in runs])]


def domain_rows(group):
    return [row(*values) for values in domain_values(group)]


def domain_values(group):
    """What each domain's CPU does, as (words, values, form): where nothing waits, the busier one sets the pace."""
    runs = [result.typical for result in group]
    if not any(0 in run.net.domains for run in runs):
        return []
    found = [(f"{words}, all but pktgen", [run.net.domains.get(domain) for run in runs], "{:.0f}")
             for domain, words in ((0, "CPU of the driver domain"), (1, "CPU of the guest"))]
    busiest = [max(run.net.domains.values()) for run in runs]
    stock = next((value for value, result in zip(busiest, group) if result.case.configuration.name == "stock"), None)
    if stock and group[0].case.workload.kind.startswith("rate_"):
        found.append(("packet rate against stock, by the busier CPU", [stock / value for value in busiest], "{:.2f}"))
    return found


def event_rows(runs):
    seen = {name for run in runs for (_, name), number in run.net.events.items() if abs(number) > 0.0005}
    names = [name for name in EVENT_ROWS if name in seen]
    for prefix in EVENT_PREFIXES:
        names += sorted(name for name in seen if name.startswith(prefix))
    return [row(words, values, "{:.3f}") for name in names for words, values in event_values(runs, name)]


def event_values(runs, name):
    """How often an event was, as (words, values); of those that go from one domain to the other, also who sent them."""
    found = [(name, [run.net.event(name) for run in runs])]
    if name == "event channel sends":
        found += [(f"{name}, by {words}", [run.net.event(name, domain) for run in runs])
                  for domain, words in ((0, "the driver domain"), (1, "the guest"))]
    return found


def cost_rows(runs, units):
    parts = [costs.cycles(run.net, units) for run in runs]
    kinds = [costs.by_class(run.net, units) for run in runs]
    return [row("modelled cycles", [sum(part.values()) for part in parts]),
            *(row(f"  modelled cycles, {kind}", [each[kind] for each in kinds]) for kind in classes.TALK),
            *(row(f"  of these: {words}", [part[name] for part in parts]) for name, words in costs.WORDS.items()
              if any(part[name] for part in parts))]


def modelled_cycles(run, units, kinds=classes.ALL):
    """The modelled cycles of a run in some classes."""
    cycles = costs.by_class(run.net, units)
    return sum(cycles[kind] for kind in kinds)


def miss_rows(runs):
    return [row(words, values, "{:.1f}") for words, values in miss_values(runs)]


def miss_values(runs):
    """Misses of the cache model, where it was on, as (words, values)."""
    if not any(run.net.misses for run in runs):
        return []
    found = []
    for level, words in enumerate(("L1", "L2", "last level")):
        for kind in classes.ALL:
            values = [run.net.misses.get(kind, (0, 0, 0))[level] for run in runs]
            if any(value > 0.05 for value in values):
                found.append((f"modelled {words} misses, {kind}", values))
    return found


def top_functions(result, count):
    functions = sorted(result.typical.net.functions.items(), key=lambda item: -item[1])[:count]
    modules = sorted(result.typical.net.modules.items(), key=lambda item: -item[1])
    return [f"  {result.case.name}, by module:",
            *(f"    {number:9.1f}  {kind:10} {module}" for (kind, module), number in modules if number >= 1),
            f"  {result.case.name}, by function:",
            *(f"    {number:9.1f}  {kind:10} {module:24} {name}" for (kind, module, name), number in functions)]


def cost_sources(units):
    """The unit costs of the model with their sources."""
    lines = [f"  {name:20}{unit['cycles']:8}  {unit['sure']}: {unit['source']}" for name, unit in units.items()]
    return "\n".join(["Unit costs of the model, in cycles (scripts/profile/costs.toml)", *lines])
