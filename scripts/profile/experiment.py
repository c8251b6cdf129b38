"""One case, measured: background, repetitions, the mean of the inner ones, and what it was divided by."""
import contextlib
import dataclasses
import functools
import time

import cases
import counts
import drops
import machines
import outside
import probes
import snapshot
from machine import LabError
from workloads import GENERATED, KINDS, TCP_KINDS, Lost

# Seconds for packets and interrupts to come to rest.
SETTLE = 0.1
BACKGROUND = 1.0
# Times without traffic at most, and how far apart the two quietest may be.
BACKGROUNDS, QUIET = 6, 0.1
# Repetitions that are no farther apart need no more: two, or of three and more the median and its neighbours.
# Loads of which some repetitions agree by chance have a number of them at least (`Workload.repeat`).
AGREEMENT = 0.015
INTERRUPTS = "interrupts of the card"
# Of seconds that were measured for a case: more repetitions than three are for short ones.
PATIENCE = 9


@dataclasses.dataclass
class Run:
    """One repetition, each count per unit of work and without background."""

    net: counts.Counts
    background: counts.Counts
    units: float
    payload: int
    seconds: float


@dataclasses.dataclass
class Result:
    """All repetitions of one case, or why there are none."""

    case: object
    runs: list
    problem: str = ""
    drivers: tuple = ()

    @property
    def ok(self):
        return not self.problem

    @functools.cached_property
    def typical(self):
        """The mean of the repetitions, without that with the lowest and that with the highest figure."""
        runs = [self.runs[index] for index in counts.inner([run.net.figure() for run in self.runs])]
        return dataclasses.replace(runs[0], net=counts.mean([run.net for run in runs]),
                                   background=counts.mean([run.background for run in runs]))

    @property
    def spread(self):
        return counts.spread([run.net.figure() for run in self.runs])

    def as_json(self):
        if not self.runs:
            return {"problem": self.problem}
        run = self.typical
        return {
            "configuration": self.case.configuration.name, "workload": self.case.workload.name,
            "parameters": parameters(self.case.workload),
            "unit": self.case.workload.unit, "units": run.units, "payload bytes": run.payload,
            "problem": self.problem, "drivers": self.drivers,
            "spread": self.spread, "too slow": too_slow(self), "totals": [each.net.figure() for each in self.runs],
            "packets per interrupt": per_interrupt(run), "seconds": [each.seconds for each in self.runs],
            "repetitions": [each.net.as_json(40) for each in self.runs],
            "per unit": run.net.as_json(), "background per unit": run.background.as_json(),
        }


def parameters(load):
    """What has to be the same in two runs whose figures are compared."""
    found = {name: value for name, value in dataclasses.asdict(load).items()
             if name in ("kind", "size", "count", "burst", "rate", "eitr", "speed")}
    found["throttled"] = "received and sent"
    if load.kind.startswith("tcp_"):
        found["segments at once"] = outside.LARGEST
    return found


def per_interrupt(run):
    interrupts = run.net.event(INTERRUPTS)
    return 1 / interrupts if interrupts > 0 else None


def too_slow(result):
    """The part of the time in which the host did not run the machine at the speed of the load."""
    speed = result.case.workload.speed
    if not speed:
        return 0.0
    # Whether it was so while the background was taken is another matter.
    lost = [(run.net.event(probes.TOO_SLOW) + run.background.event(probes.TOO_SLOW)) * run.units for run in result.runs]
    return sum(lost) / (sum(run.seconds for run in result.runs) * speed * 1e6)


def describe_batches(run):
    """How many packets met an interrupt of the card, and an event of the channel."""
    found = [("interrupt", per_interrupt(run))]
    found += [(f"event to the {where}", 1 / sent) for where, domain in (("guest", 0), ("driver domain", 1))
              if (sent := run.net.event("event channel sends", domain)) > 0]
    return ", ".join(f"{value:.1f} an {words}" for words, value in found if value)


def interval(machine, speed, during):
    """The counts between two snapshots, before and after `during()`, on a machine of that speed."""
    with machine.counter.speed(speed):
        before = machine.counter.snapshot()
        during()
        after = machine.counter.snapshot()
    return counts.count(snapshot.difference(after, before), machine.spaces)


def background(machine):
    """What the machine does without traffic: the quietest of some times, of which two agree, since booting goes on for
    a while.
    """
    machine.without_generators()
    time.sleep(SETTLE)
    samples = []
    while len(samples) < BACKGROUNDS:
        samples.append(interval(machine, cases.Workload.speed, lambda: time.sleep(BACKGROUND)))
        samples.sort(key=rate)
        if len(samples) > 1 and rate(samples[1]) < rate(samples[0]) * (1 + QUIET):
            break
    return samples[0]


def rate(sample):
    return sample.instructions() / sample.seconds


def run_once(machine, case, idle, watch):
    """One repetition of a case."""
    load = case.workload
    with watch("programs started"):
        if load.anew:
            machine.begin_anew(case.configuration)
        work = KINDS[load.kind](machine, load)
        next(work)
        time.sleep(SETTLE)

    def during():
        next(work)
        time.sleep(SETTLE)

    with contextlib.ExitStack() as stack:
        if load.cache:
            stack.enter_context(machine.counter.modelled_caches())
        stack.enter_context(watch("measured"))
        gross = interval(machine, load.speed, during)
    with watch("programs ended"):
        outcome = end(work)
    net = gross.minus(idle)
    rest = idle / (idle.seconds / gross.seconds)
    return Run(net / outcome.units, rest / outcome.units, outcome.units, outcome.payload, gross.seconds)


def warm_up(machine, case):
    """A part of the load, not counted: first packets make neighbours, buffers and code that later ones find."""
    machine.begin_anew(case.configuration)
    load = case.workload
    # The modelled caches are empty at the start of each repetition: here they make the machine as slow as it is then.
    with machine.counter.modelled_caches() if load.cache else contextlib.nullcontext():
        work = KINDS[load.kind](machine, dataclasses.replace(load, count=max(1, int(load.count * load.warm_up))))
        next(work)
        with machine.counter.speed(load.speed):
            next(work)
        end(work)


def end(work):
    """Lets a workload end; what it returns."""
    try:
        next(work)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a workload yields twice")


def measure(machine, case, idle, watch, progress):
    """As many repetitions of a case as it may have, fewer where the first ones agree; a loss or any other fault ends it
    and is kept as its problem.
    """
    result = Result(case, [])
    try:
        with watch("machine made ready"):
            tcp = case.workload.kind in TCP_KINDS
            machine.use(case.configuration, tcp)
            machine.throttle(int(tcp), case.workload.eitr)
            if case.workload.kind not in GENERATED:
                machine.without_generators()
            result.drivers = machine.drivers()
        with watch("warmed up"):
            warm_up(machine, case)
        for number in range(case.workload.most):
            run = run_once(machine, case, idle, watch)
            result.runs.append(run)
            progress(f"{case.name}: repetition {number + 1}, {run.net.instructions():.0f} instructions a "
                     f"{case.workload.unit}, " + describe_batches(run))
            if len(result.runs) >= case.workload.repeat and is_enough(
                    [run.net.figure() for run in result.runs], sum(run.seconds for run in result.runs)):
                break
    except (LabError, snapshot.Broken, OSError) as error:
        machines.check_alive(machine.machine, error)
        result.problem = str(error).split("\n--- last lines")[0]
        if isinstance(error, Lost):
            result.problem += f" ({drops.since_last(machine)})"
        clean(machine)
        progress(f"{case.name}: FAILED: {result.problem}")
    if case.workload.kind in GENERATED:
        # Their frames are dropped on purpose.
        drops.since_last(machine)
    return result


def is_enough(totals, seconds):
    """Whether the middle of these repetitions, which took so long, is settled."""
    if len(totals) < 2:
        return False
    totals = sorted(totals)
    middle = (len(totals) - 1) // 2
    near = totals[max(middle - 1, 0):middle + 2]
    if near[-1] <= near[0] * (1 + AGREEMENT):
        return True
    return len(totals) >= 3 and seconds + seconds / len(totals) > PATIENCE


def clean(machine):
    """Ends programs that a failed run left behind."""
    for host in {machine.subject, machine.peer, machine.cards_host} - {None}:
        host.run("kill $(pidof nc2-traffic) 2>/dev/null; true", check=False)
