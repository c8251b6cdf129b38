"""What becomes of the cases of a machine that fails."""
import contextlib
import pathlib
import subprocess
import types
import unittest
import unittest.mock

import cases
import experiment
import machines
import run
from machine import LabError


class Boots(unittest.TestCase):
    def setUp(self):
        self.chosen = cases.choose("native/in-64 native/in-1472 native/rr")
        self.booted = []
        self.enterContext(contextlib.redirect_stdout(None))

    def run_all(self, *ends):
        """The problems of all cases, by name, where machines end so: one case each, then this error."""
        ends = iter(ends)

        def boot(configurations, place, cache):
            self.booted.append(place.name)
            return unittest.mock.Mock(machine=types.SimpleNamespace(boot_seconds=1, qemu=self.qemu(None)))

        def run_machine(machine, configurations, group, options, results):
            results.append(experiment.Result(group[0], []))
            if (error := next(ends)) is not None:
                machine.machine.qemu = self.qemu(-11 if isinstance(error, machines.EmulatorEnded) else None)
                raise error
            results += [experiment.Result(case, []) for case in group[1:]]

        with (unittest.mock.patch.object(machines, "boot", boot),
              unittest.mock.patch.object(run, "run_machine", run_machine)):
            results = run.run_all(self.chosen, None, pathlib.Path("/nowhere"))
        self.assertEqual([result.case for result in results], self.chosen)
        return [result.problem for result in results]

    @staticmethod
    def qemu(code):
        def wait(timeout):
            if code is None:
                raise subprocess.TimeoutExpired("qemu", timeout)
            return code

        return types.SimpleNamespace(wait=wait)

    def test_an_emulator_that_ends_by_itself_is_booted_once_more_for_what_is_left(self):
        self.assertEqual(self.run_all(machines.EmulatorEnded(), None), ["", "", ""])
        self.assertEqual(self.booted, ["boot1", "boot1-again"])

    def test_one_that_does_so_again_is_given_up(self):
        problems = self.run_all(machines.EmulatorEnded(), machines.EmulatorEnded())
        self.assertEqual(problems, ["", "", "QEMU ended with -11, and did so before"])

    def test_another_fault_is_kept_with_the_cases_that_were_not_run(self):
        self.assertEqual(self.run_all(LabError("no card")), ["", "no card", "no card"])
        self.assertEqual(self.booted, ["boot1"])


if __name__ == "__main__":
    unittest.main()
