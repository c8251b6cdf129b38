#!/usr/bin/env python3
"""Profiles: run.py [PATTERN…] [--list] [--repeat N] [--top N] [--cache] [--set NAME=VALUE…]
        [--compare FOLDER] [--document]

Boots each configuration, runs the workloads, and writes JSON, a text table and charts under one folder, which is
printed. Without PATTERN the default set runs. Exit status 1 when a case failed.
"""
import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import time
import traceback

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import cases  # noqa: E402  (the lab's modules are found by the line above)
import charts  # noqa: E402
import compare  # noqa: E402
import costs  # noqa: E402
import document  # noqa: E402
import drops  # noqa: E402
import experiment  # noqa: E402
import machines  # noqa: E402
import measure  # noqa: E402
import outside  # noqa: E402
import snapshot  # noqa: E402
import stopwatch  # noqa: E402
import tables  # noqa: E402
import workloads  # noqa: E402
from config import CACHE  # noqa: E402
from machine import LabError, take_turn  # noqa: E402

KEPT = 10
START = time.monotonic()
WATCH = stopwatch.Stopwatch()


def main():
    options = arguments()
    try:
        chosen = cases.choose(" ".join(options.patterns).strip() or ("*" if options.list else ""))
    except ValueError as error:
        sys.exit(f"profile: {error}")
    usual = [case in cases.choose() for case in chosen]
    chosen = [dataclasses.replace(case, workload=changed(case.workload, options)) for case in chosen]
    if options.list:
        print("\n".join(f"{case.name:28} {case.configuration.title}: {case.workload.title}" +
                        ("" if by_default else " (by name only)")
                        for case, by_default in zip(chosen, usual, strict=True)))
        return
    try:
        earlier = compare.read(pathlib.Path(options.compare)) if options.compare else None
    except (OSError, ValueError) as error:
        sys.exit(f"profile: --compare {options.compare}: {error}")
    try:
        outside.enter()
    except LabError as error:
        sys.exit(f"profile: {error}")
    units = costs.load()
    folder = pathlib.Path(options.folder) if options.folder else new_folder()
    folder.mkdir(parents=True, exist_ok=True)
    progress(f"{len(chosen)} cases; everything is kept in {folder}")
    with WATCH("waited for another lab"):
        take_turn()
    results = run_all(chosen, options, folder)
    write(folder, results, units, options)
    print(f"\n{(folder / 'profile.txt').read_text()}\nwritten: {folder}")
    failed = [result.case.name for result in results if not result.ok]
    if options.compare:
        failed += compare.against(options.compare, earlier, compare.read(folder))
    if options.document and not failed:
        document.take(folder)
        progress(f"the figures of the documentation are these now: {document.TARGET}")
    progress(f"time: {WATCH.line()}")
    progress(f"{len(results)} cases, failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN",
                        help="configuration/workload, * allowed, or one of the two")
    parser.add_argument("--list", action="store_true", help="name the cases, without PATTERN all there are, and stop")
    parser.add_argument("--repeat", type=positive, metavar="N",
                        help="repetitions at most, fewer if they agree (default: the load's own)")
    parser.add_argument("--top", type=int, default=0, metavar="N",
                        help="also modules, and the N functions with most instructions")
    parser.add_argument("--cache", action="store_true", help="with the cache model, which is slow")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="another burst, rate, eitr, size or count for all workloads chosen")
    parser.add_argument("--compare", metavar="FOLDER", help="fail where an earlier run differs by more than 3 %%")
    parser.add_argument("--document", action="store_true",
                        help="take the figures into Documentation/performance/, if no case failed")
    parser.add_argument("--folder", help="where to write (default: a new one in the cache)")
    return parser.parse_args()


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def changed(workload, options):
    """The workload with other parameters."""
    if options.cache:
        # So slow that no speed can be kept.
        workload = dataclasses.replace(workload, cache=True, speed=0)
    if options.repeat:
        workload = dataclasses.replace(workload, repeat=min(workload.repeat, options.repeat), most=options.repeat)
    for setting in options.set:
        name, _, value = setting.partition("=")
        if name not in ("burst", "rate", "eitr", "size", "count") or not value.isdigit():
            sys.exit(f"profile: --set {setting}: not a number for burst, rate, eitr, size or count")
        if int(value) == 0 and name != "eitr" and not (name == "rate" and workload.kind in workloads.GENERATED):
            sys.exit(f"profile: --set {setting}: 0 is for eitr, and for the rate of rate-*: without pauses")
        if getattr(workload, name) != int(value):
            workload = dataclasses.replace(workload, name=f"{workload.name}-{name}{value}", **{name: int(value)})
    return workload


def run_all(chosen, options, folder):
    """Boots each machine once and runs on it all cases that it can."""
    boots = {}
    for case in chosen:
        boots.setdefault(case.configuration.boot, []).append(case)
    results = []
    for number, group in enumerate(boots.values(), 1):
        try:
            run_boot(group, options, folder / f"boot{number}", results)
        except machines.EmulatorEnded as error:
            # QEMU 10 may do that when the plugin has it translate all code anew: it frees the plugin's callbacks while
            # another processor's thread, on its way to sleep, looks at them.
            progress(f"{error}: once more, with what is left")
            try:
                run_boot(without(group, results), options, folder / f"boot{number}-again", results)
            except machines.EmulatorEnded as again:
                give_up(group, results, f"{again}, and did so before")
    return sorted(results, key=lambda result: chosen.index(result.case))


def run_boot(group, options, place, results):
    """Boots a machine, and adds to `results` those of the cases in `group`, which share it."""
    configurations = list(dict.fromkeys(case.configuration for case in group))
    progress(f"booting {', '.join(each.name for each in configurations)}")
    machine = None
    try:
        with WATCH("booted"):
            machine = machines.boot(configurations, place, any(case.workload.cache for case in group))
        progress(f"up after {machine.machine.boot_seconds:.0f} s")
        run_machine(machine, configurations, group, options, results)
    except Exception as error:
        if machine:
            machines.check_alive(machine.machine, error)
        if isinstance(error, machines.EmulatorEnded):
            raise
        # What this machine did not come to is lost; other machines go on.
        problem = str(error) if isinstance(error, (LabError, snapshot.Broken, OSError)) else traceback.format_exc()
        progress(f"this machine failed: {problem}")
        give_up(group, results, problem.splitlines()[0])
    finally:
        if machine:
            with WATCH("switched off"):
                finish(machine)


def without(group, results):
    """The cases of `group` that have no result."""
    done = {result.case for result in results}
    return [case for case in group if case not in done]


def give_up(group, results, problem):
    """Adds to `results` that the cases of `group` that have none have this problem."""
    results += [experiment.Result(case, [], problem) for case in without(group, results)]


def finish(machine):
    """Switches a machine off, which may be gone already."""
    try:
        machine.finish()
    except OSError as error:
        progress(f"switching off: {error}")


def run_machine(machine, configurations, group, options, results):
    """Adds to `results` those of all cases of one machine; those that need a second guest come last."""
    for two in (False, True):
        cases_now = [case for case in group if case.workload.kind.endswith("_guests") == two]
        if cases_now and two:
            progress("starting a second guest")
            with WATCH("booted"):
                machine.add_peer()
        # What is idle differs by the vif in use and by the number of guests.
        idle = {}
        for configuration in configurations:
            own = [case for case in cases_now if case.configuration is configuration]
            if not own:
                continue
            if configuration.net not in idle:
                with WATCH("background"):
                    machine.use(configuration)
                    idle[configuration.net] = background = experiment.background(machine)
                rate = experiment.rate(background) / 1e6
                progress(f"{configuration.name}: background is {rate:.2f} million instructions a second")
            drops.since_last(machine)
            for case in own:
                results.append(experiment.measure(machine, case, idle[configuration.net], WATCH, progress))


def write(folder, results, units, options):
    """All that a later reader needs, under one folder."""
    text = tables.table(results, units, options.top)
    ground = {"date": time.strftime("%Y-%m-%d"), **measure.ground()}
    notes = ["Counts of instructions under software emulation, background subtracted; cycles and caches are models.",
             *(f"{key}: {value}" for key, value in ground.items())]
    (folder / "profile.txt").write_text("\n".join([*notes, "", text, "", tables.cost_sources(units), ""]))
    (folder / "profile.json").write_text(json.dumps({
        "ground": ground, "seconds": time.monotonic() - START,
        "seconds by activity": WATCH.seconds, "unit costs": units,
        "cases": {result.case.name: {**result.as_json(), **modelled(result, units)} for result in results},
    }, indent=1))
    drawn = charts.draw(folder, results, units)
    (folder / document.FIGURES).write_text(document.figures(results, units, ground, drawn))


def modelled(result, units):
    if not result.runs:
        return {}
    run = result.typical
    return {"modelled cycles": {"parts": costs.cycles(run.net, units), "classes": costs.by_class(run.net, units)}}


def new_folder():
    """A folder for this run; the oldest are removed."""
    runs = CACHE / "profile"
    runs.mkdir(exist_ok=True)
    for old in sorted(path for path in runs.iterdir() if path.is_dir())[:-KEPT]:
        shutil.rmtree(old)
    return runs / time.strftime("%Y%m%d-%H%M%S")


def progress(text):
    seconds = int(time.monotonic() - START)
    print(f"[{seconds // 60:2}:{seconds % 60:02}] {text}", flush=True)


if __name__ == "__main__":
    main()
