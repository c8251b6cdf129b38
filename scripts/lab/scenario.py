"""How a scenario is declared: `@scenario("name", …)` above a function that takes a `Lab`."""
import dataclasses
import typing

ALL = []


@dataclasses.dataclass
class Scenario:
    name: str
    summary: str
    function: typing.Callable
    kinds: tuple
    seconds: int
    long: bool
    by_name_only: bool
    dom0_options: str
    xen_options: str

    @property
    def boot(self):
        """Scenarios with the same of these share a machine."""
        return self.dom0_options, self.xen_options


def scenario(name, kinds=("ours", "stock"), seconds=120, long=False, by_name_only=False, dom0_options="",
             xen_options=""):
    """`kinds`: the vifs with which it makes sense; `seconds`: its limit; `dom0_options` and `xen_options`: for
    the command lines of the two.

    One that is `long` is for `make check FULL=1`, one that is `by_name_only` not even for that.
    """
    def register(function):
        summary = (function.__doc__ or "").strip().split("\n")[0]
        ALL.append(Scenario(name, summary, function, kinds, seconds, long, by_name_only, dom0_options,
                            xen_options))
        return function
    return register
