"""Counts of one interval by class, module, function and event, and the arithmetic on them."""
import collections
import dataclasses
import functools
import statistics

import classes
import probes


@dataclasses.dataclass
class Counts:
    """What was counted: all values are totals, or quotients of such."""

    seconds: float = 0.0
    # class -> [instructions, accesses]
    kinds: dict = dataclasses.field(default_factory=dict)
    # domain -> instructions on its CPU, without those of the packet generator and of waiting
    domains: dict = dataclasses.field(default_factory=dict)
    # (class, module) -> instructions
    modules: dict = dataclasses.field(default_factory=dict)
    # (class, module, function) -> instructions
    functions: dict = dataclasses.field(default_factory=dict)
    # (domain, event) -> number
    events: dict = dataclasses.field(default_factory=dict)
    # class -> [L1, L2, last-level misses]
    misses: dict = dataclasses.field(default_factory=dict)

    def instructions(self, kinds=classes.WORK):
        return sum(self.kinds.get(kind, (0, 0))[0] for kind in kinds)

    def figure(self):
        """What repetitions and runs are compared by: instructions, or misses of L1 in copies where the cache model is
        on. It makes the machine so slow that ticks, which come by time, are a large part of everything else.
        """
        if not self.misses:
            return self.instructions()
        return sum(self.misses.get(kind, (0,))[0] for kind in classes.COPIES)

    def accesses(self, kinds=classes.WORK):
        return sum(self.kinds.get(kind, (0, 0))[1] for kind in kinds)

    def event(self, name, domain=None):
        return sum(number for (where, what), number in self.events.items()
                   if what == name and domain in (None, where))

    def __truediv__(self, divisor):
        return self._combine(None, lambda own, _: own / divisor)

    def plus(self, other):
        return dataclasses.replace(self._combine(other, lambda own, more: own + more),
                                   seconds=self.seconds + other.seconds)

    def minus(self, background):
        """Without what the idle machine does in the same time."""
        share = self.seconds / background.seconds if background.seconds else 0
        return self._combine(background, lambda own, other: own - share * other)

    def _combine(self, other, function):
        def numbers(name):
            own, theirs = getattr(self, name), getattr(other, name) if other else {}
            return {key: function(own.get(key, 0), theirs.get(key, 0)) for key in {**own, **theirs}}

        def rows(name, width):
            own, theirs = getattr(self, name), getattr(other, name) if other else {}
            none = [0] * width
            return {key: [function(a, b) for a, b in zip(own.get(key, none), theirs.get(key, none))]
                    for key in {**own, **theirs}}

        return Counts(self.seconds, rows("kinds", 2), numbers("domains"), numbers("modules"), numbers("functions"),
                      numbers("events"), rows("misses", 3))

    def as_json(self, functions=200):
        return {
            "seconds": self.seconds,
            "classes": {kind: {"instructions": row[0], "accesses": row[1]} for kind, row in self.kinds.items()},
            "domains": {"guest" if domain else "dom0": number for domain, number in self.domains.items()},
            "modules": [[*key, number] for key, number in largest(self.modules)],
            "functions": [[*key, number] for key, number in largest(self.functions, functions)],
            "events": [[*key, number] for key, number in sorted(self.events.items(), key=str)],
            "misses": {kind: dict(zip(("l1", "l2", "last"), row)) for kind, row in self.misses.items()},
        }


def largest(numbers, limit=None):
    return sorted(numbers.items(), key=lambda item: -item[1])[:limit]


def count(interval, spaces):
    """The counts of an interval; `spaces` gives the code of each virtual CPU."""
    counts = Counts(interval.seconds)
    kinds = collections.defaultdict(lambda: [0, 0])
    domains, modules, functions = collections.Counter(), collections.Counter(), collections.Counter()
    for (vcpu, granule), (instructions, accesses) in interval.granules.items():
        place = spaces[vcpu].place(granule)
        row = kinds[place.kind]
        row[0] += instructions
        row[1] += accesses
        if place.module != classes.GENERATOR and place.kind not in classes.WAITING:
            domains[spaces[vcpu].domain] += instructions
        modules[place.kind, place.module] += instructions
        functions[place.kind, place.module, place.function] += instructions
    misses = collections.defaultdict(lambda: [0, 0, 0])
    for (vcpu, granule), row in interval.misses.items():
        kind = spaces[vcpu].place(granule).kind if granule >= 0 else "unresolved"
        for level, number in enumerate(row):
            misses[kind][level] += number
    counts.kinds, counts.misses = dict(kinds), dict(misses)
    counts.domains, counts.modules, counts.functions = dict(domains), dict(modules), dict(functions)
    counts.events = probes.events(interval.probes, {vcpu: space.domain for vcpu, space in spaces.items()})
    return counts


def mean(several):
    """Each count's mean."""
    total = functools.reduce(Counts.plus, several)
    return dataclasses.replace(total / len(several), seconds=total.seconds / len(several))


def inner(values):
    """Where the values are that are neither the lowest nor the highest; all of one or two."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return order[1:-1] if len(order) > 2 else order


def spread(values):
    """From the lowest to the highest, as a share of the mean of `inner`."""
    middle = statistics.mean(values[index] for index in inner(values))
    return (max(values) - min(values)) / middle if middle else 0.0
