"""KUnit suites in a Xen guest, where hypercalls, grants and event channels are real."""
import kunit
from machine import LabError
from scenario import scenario
from lab import Skip

LIMIT = 120


@scenario("kunit_guest", kinds=("ours",), seconds=240)
def kunit_guest(lab):
    """The KUnit kernel as a PV guest runs the same suites; those that need Xen do not skip there."""
    return suites(lab, "kunit", 1)


@scenario("kunit_guest_v2", kinds=("ours",), seconds=240)
def kunit_guest_v2(lab):
    """The same with grant table version 2, where those that need ranges do not skip."""
    return suites(lab, "kunit2", 2)


def suites(lab, name, version):
    """The cases that ran in a guest with this version of the grant table, for the report."""
    if not lab.dom0.run("test -f /lab/kunit.img", check=False).ok:
        raise Skip("the KUnit kernel or its modules are not built")
    lab.expected.append(kunit.EXPECTED)
    guest = lab.new_guest(name, 30, vifs=[], create=False, kernel="/lab/kunit-vmlinuz", ramdisk="/lab/kunit.img",
                          options=f"loglevel=8 grant_table.version={version}")  # KTAP is what printk calls information
    guest.create(ready=False)
    lab.machine.wait_for_log(guest.name, kunit.END, LIMIT)
    cases, problems = kunit.judge(lab.machine.logs[guest.name], {kunit.NO_RANGES} if version == 1 else ())
    if problems:
        raise LabError("\n".join(problems))
    return [(f"{case.suite}.{case.name}", case.state) for case in cases]
