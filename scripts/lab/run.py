#!/usr/bin/env python3
"""Runs lab scenarios: run.py [--vif ours|stock] [--full] [--list] [--dom0-cpus N] [NAME…]

Without names and without --full, those that are not long, and of what a scenario repeats some rounds only.

Boots the machine once for all of them that want the same options of Xen and dom0. A scenario fails when it raises, when a limit passes, or when any kernel
printed a line that `logscan` knows as bad. Everything is kept under $CACHE/runs/.
"""
import argparse
import importlib
import os
import pathlib
import signal
import sys
import time
import traceback

import leaks  # noqa: F401  (imported here so that an error in it ends the run before a boot)
import logscan
import report
import scenario
from config import CACHE
from hosts import have_modules
from lab import Lab, Skip
from machine import LabError

KEPT_RUNS = 10
# So many boots that fail one after the other end the run.
FAILED_BOOTS = 3
# Seconds by which the log streams lag behind the commands.
LOG_DELAY = 0.3


def main():
    options = arguments()
    for path in sorted((pathlib.Path(__file__).parent / "scenarios").glob("*.py")):
        importlib.import_module(f"scenarios.{path.stem}")
    # Stable, so that those which want the same machine stay in their order.
    chosen = sorted((entry for entry in scenario.ALL if wanted(entry, options)), key=lambda entry: entry.boot)
    if options.list:
        print("\n".join(f"{entry.name:24} {entry.summary}" for entry in chosen))
        return
    if unknown := set(options.names) - {entry.name for entry in scenario.ALL}:
        sys.exit(f"no scenario is called {', '.join(sorted(unknown))}; --list names them")
    folder = new_run_folder()
    results = report.Report(folder / "results.ktap")
    results.start(len(chosen))
    results.note(f"vif: {options.vif}; logs: {folder}")
    run_all(chosen, options, folder, results)
    sys.exit(0 if results.end() else 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vif", choices=("ours", "stock"), default="ours" if have_modules() else "stock")
    parser.add_argument("--full", action="store_true", help="long scenarios too, and all rounds of each")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--repeat", type=int, default=1, help="run the chosen scenarios so many times")
    parser.add_argument("--dom0-cpus", type=int, default=1, help="processors of dom0, beside the guests' one (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME")
    return parser.parse_args()


def wanted(entry, options):
    if options.names:
        return entry.name in options.names
    return options.vif in entry.kinds and not entry.by_name_only and (options.full or options.list or not entry.long)


def run_all(chosen, options, folder, results):
    lab, boots, failed_boots = None, 0, 0
    for entry in sorted(chosen * options.repeat, key=lambda entry: entry.boot):
        if lab and lab.boot != entry.boot:
            switch_off(lab, results)
            lab = None
        if lab is None:
            boots += 1
            try:
                lab = Lab(folder / f"boot{boots}", options.vif, entry.dom0_options, options.dom0_cpus, quick_hotplug=True,
                          xen_options=entry.xen_options, full=options.full or bool(options.names))
                results.note(f"dom0 up after {lab.machine.boot_seconds:.1f} s {' '.join(entry.boot)}".rstrip())
                failed_boots = 0
            except LabError as error:
                results.result(entry.name, str(error))
                failed_boots += 1
                if failed_boots >= FAILED_BOOTS:
                    sys.exit("the machine does not boot")
                continue
        usable = run_one(lab, entry, folder / f"{results.passed + results.failed + results.skipped + 1:02}-{entry.name}", results)
        if not usable or lab.machine.lost.is_set() or not answers(lab):
            results.note("the machine is gone or hangs: the next scenario gets a new one")
            lab.machine.kill()
            lab = None
    if lab:
        switch_off(lab, results)


def switch_off(lab, results):
    """Ends a machine; what its kernels have said at last is the last scenario's doing."""
    time.sleep(LOG_DELAY)
    if words := bad_words(lab.unseen(), lab.expected):
        results.result(f"after {lab.last}", words)
    lab.machine.power_off()


def bad_words(logs, expected):
    """What is bad in these logs, in words; "" if nothing is."""
    bad = logscan.scan(logs, expected)
    return "a kernel printed:\n" + "\n".join(f"{source}: {line}" for source, line in bad[:20]) if bad else ""


def run_one(lab, entry, folder, results):
    """Runs a scenario and reports it; returns whether the machine can be used further."""
    before, console, start = lab.unseen(), lab.machine.console_size(), time.monotonic()
    problem = skip = None
    # What came since the last look is that scenario's doing, or the boot's, and has to be as it expected.
    if words := bad_words(before, lab.expected):
        problem = f"before this scenario, after {lab.last}, {words}"
    lab.last = entry.name
    lab.record.clear()
    lab.expected.clear()
    parts = []
    try:
        with limit(entry.seconds):
            parts = entry.function(lab) or []
    except Skip as reason:
        skip = str(reason)
    except LabError as error:
        problem = joined(problem, str(error))
    except Exception:
        problem = joined(problem, traceback.format_exc())
    try:
        with limit(120):
            lab.tidy()
    except Exception as error:
        problem = problem or f"tidying up: {error}"
    time.sleep(LOG_DELAY)
    logs = lab.unseen()
    if words := bad_words(logs, lab.expected):
        problem = f"{problem or 'the scenario itself passed'}\n{words}"
    if problem:
        skip = None
    report.keep(folder, {source: text for source, text in logs.items() if source != "xen"}, lab.machine.console(console), lab.record)
    if problem and "--- last lines" not in problem:
        problem += "\n" + lab.machine.tails()
    for name, state in parts:
        results.result(f"{entry.name}: {name}", "failed in the guest" if state == "failed" else None, "by itself" if state == "skipped" else None)
    results.result(entry.name, problem and f"{problem}\nlogs: {folder}", skip, time.monotonic() - start)
    return not problem or restored(lab)


def joined(*parts):
    return "\n".join(part for part in parts if part)


def restored(lab):
    """Makes the lab after a failed scenario what a scenario expects; returns whether that went well."""
    try:
        with limit(120):
            lab.restore()
        return True
    except Exception:
        return False


class limit:
    """Ends what hangs: raises LabError in the main thread after `seconds`."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.expire)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def expire(self, *_):
        raise LabError(f"not done within {self.seconds} s")

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)


def answers(lab):
    try:
        return lab.machine.ask("run", 15, command="true")["code"] == 0
    except (LabError, OSError):
        return False


def new_run_folder():
    runs = CACHE / "runs"
    runs.mkdir(exist_ok=True)
    for old in sorted(path for path in runs.iterdir() if path.is_dir() and not path.is_symlink())[:-KEPT_RUNS]:
        os.system(f"rm -rf '{old}'")
    folder = runs / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
