#!/usr/bin/env python3
"""Feeds the classifier programs whose counts are known, under plain QEMU: selftest.py [--break WHAT]

That a broken classifier is noticed is tested too; `--break` shows one. Ends in a line of counts.
"""
import argparse
import collections
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest.mock

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import classes  # noqa: E402  (the lab's modules are found by the line above)
import counts  # noqa: E402
import image  # noqa: E402
import probes  # noqa: E402
import snapshot  # noqa: E402
import symbols  # noqa: E402
from config import CACHE, IMAGES  # noqa: E402
from counter import PLUGIN  # noqa: E402

PROGRAMS = CACHE / "target/profile"
EXPECTED = pathlib.Path(__file__).parent / "selftest/expected.json"
LIMIT = 120
BREAKS = ("usercopy", "symbols", "granules", "events")
# The routines stand for functions of a kernel that are classified: what copies, and what does not.
COPYING = {"_copy_to_iter", "rep_movs_alternative"}
# And for functions that are probed, with the same registers.
PROBED = {"copy_words": "_copy_to_iter", "copy_string": "memcpy", "spin": "do_grant_table_op"}
STANDS_FOR = {"copy_words": "_copy_to_iter", "copy_string": "rep_movs_alternative", "spin": "schedule"}


def boot(folder, cache):
    """Runs all programs; the snapshots that their markers took."""
    ramdisk = folder / "ramdisk"
    names = ("init", "count", "copy", "rep")
    ramdisk.write_bytes(image.archive({name: image.file(PROGRAMS / name, 0o755) for name in names}))
    out, control, wanted = folder / "out", folder / "control", folder / "probes"
    wanted.write_text("\n".join(probe_lines()) + "\n")
    options = f"{PLUGIN},out={out},control={control},probes={wanted},user=on" + (",cache=on" if cache else "")
    qemu = subprocess.Popen([
        "qemu-system-x86_64", "-accel", "tcg", "-smp", "1", "-m", "256", "-display", "none", "-no-reboot",
        "-nic", "none", "-serial", f"file:{folder / 'console'}", "-kernel", str(IMAGES / "vmlinuz"),
        "-initrd", str(ramdisk), "-append", "console=ttyS0 loglevel=4 panic=-1 rdinit=/init nokaslr",
        "-plugin", options], stdin=subprocess.DEVNULL)
    try:
        if cache:
            switch_on(control)
        qemu.wait(LIMIT)
    finally:
        qemu.kill()
    return list(snapshot.parse(out.read_text().splitlines()))


def switch_on(control):
    """Has the cache model work from the beginning."""
    end = time.monotonic() + LIMIT
    said = "nothing: it has no control socket"
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            client.connect(str(control))
            client.settimeout(LIMIT)
            client.sendall(b"cache on\n")
            # A processor that does not come by in time is an error of the request, which can be made again.
            said = client.makefile().readline().strip()
            if said == "ok":
                return
        time.sleep(0.05)
    raise AssertionError(f"the plugin does not switch its cache model on; it says {said}")


def probe_lines():
    """A probe for each routine that stands for a function which the profiler probes."""
    registers = {**probes.KERNEL, **probes.XEN}
    lines = []
    for program in ("count", "copy", "rep"):
        for line in subprocess.check_output(["nm", PROGRAMS / program], text=True).splitlines():
            address, _, symbol = line.split()
            if symbol in PROBED:
                lines.append(f"{address} {PROBED[symbol]} {registers[PROBED[symbol]]}")
    return lines


def program_table(name):
    """The symbols of a program, under the names that they stand for."""
    listing = subprocess.check_output(["nm", "-n", PROGRAMS / name], text=True)
    entries = []
    for line in listing.splitlines():
        address, kind, symbol = line.split()
        entries.append((int(address, 16), kind, STANDS_FOR.get(symbol, symbol), name))
    return symbols.build(entries)


def measured(snapshots, program, wanted):
    """What each round of a program counted: a list of Counts."""
    space = classes.Space(1, program_table(program), user_end=0)
    rounds = collections.defaultdict(list)
    for each in snapshots:
        rounds[each.number].append(each)
    return [counts.count(own(snapshot.difference(later, earlier)), {0: space})
            for earlier, later in zip(rounds[wanted["from"]], rounds[wanted["to"]])]


def own(interval):
    """The interval without the kernel's own code, which is not what the program was written to count."""
    interval.granules = {key: row for key, row in interval.granules.items() if key[1] < classes.USER_END}
    interval.misses = {key: row for key, row in interval.misses.items() if 0 <= key[1] < classes.USER_END}
    return interval


def undisturbed(rounds):
    """The rounds in which no other program ran: the machine's init is woken now and then, and has other functions."""
    return [found for found in rounds if "unattributed" not in found.kinds]


def expectations(wanted):
    """What the classifier must find: totals by class, and by function."""
    kinds, functions = {}, {}
    for name, values in wanted["symbols"].items():
        stands = STANDS_FOR.get(name, name)
        kind = "usercopy" if stands in COPYING else "kern"
        row = kinds.setdefault(kind, [0, 0])
        row[0] += values["instructions"]
        row[1] += values["accesses"]
        functions[stands] = values["instructions"]
    return kinds, functions


def check(program, wanted, rounds):
    """The problems with what was measured."""
    kinds, functions = expectations(wanted)
    for number, found in enumerate(rounds, 1):
        if found.kinds != kinds:
            yield f"round {number}: classes are {found.kinds}, not {kinds}"
        names = {name: value for (_, _, name), value in found.functions.items()}
        if names != functions:
            yield f"round {number}: functions are {names}, not {functions}"
        # Hypercalls themselves are counted beside what they are for.
        events = {name: value for (_, name), value in found.events.items() if not name.startswith("hypercall")}
        if events != wanted["events"]:
            yield f"round {number}: events are {events}, not {wanted['events']}"


def check_misses(wanted, rounds):
    for name, values in wanted["symbols"].items():
        if "l1_misses" not in values:
            continue
        kind = "usercopy" if STANDS_FOR.get(name, name) in COPYING else "kern"
        for number, found in enumerate(rounds, 1):
            misses = found.misses.get(kind, [0])[0]
            # An interrupt of the kernel between may take a few lines away.
            if not values["l1_misses"] <= misses <= values["l1_misses"] * 1.01:
                yield f"round {number}: {misses} L1 misses in {name}, not {values['l1_misses']}"


def broken(what):
    """Breaks the classifier as long as the returned context lasts."""
    whole_find, whole_place, whole_events = symbols.SymbolTable.find, classes.Space.place, probes.events
    patch = unittest.mock.patch.object
    return {
        "usercopy": lambda: patch(classes, "USERCOPY", frozenset()),
        "symbols": lambda: patch(symbols.SymbolTable, "find", lambda self, address: whole_find(self, address + 0x20)),
        "granules": lambda: patch(classes.Space, "place",
                                  lambda self, granule: whole_place(self, granule - granule % 64)),
        "events": lambda: patch(probes, "events", lambda counted, domains: whole_events(
            {key: (count, count) for key, (count, _) in counted.items()}, domains)),
        None: contextlib.nullcontext,
    }[what]()


def found_problems(snapshots, program, wanted, cache):
    """What is wrong with the rounds of a program."""
    rounds = undisturbed(measured(snapshots, program, wanted))
    problems = list(check_misses(wanted, rounds) if cache else check(program, wanted, rounds))
    if not rounds:
        problems.append("no round of it: it did not run, or not alone, or the classifier does not know it")
    return problems


def report(words, problems):
    """Prints a line of the result; whether it is good."""
    print(f"{'not ok' if problems else 'ok'} {words}")
    print("".join(f"#   {problem}\n" for problem in problems), end="", flush=True)
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--break", dest="broken", choices=BREAKS)
    options = parser.parse_args()
    expected = {name: value for name, value in json.loads(EXPECTED.read_text()).items() if name != "comment"}
    passed = []
    for cache in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            snapshots = boot(pathlib.Path(folder), cache)
        with broken(options.broken):
            for program, wanted in expected.items():
                what = "cache model" if cache else "classes and functions"
                passed.append(report(f"{program}, {what}", found_problems(snapshots, program, wanted, cache)))
        if cache or options.broken:
            continue
        # The same counts, classified wrongly, have to be noticed.
        for what in BREAKS:
            with broken(what):
                noticed = any(found_problems(snapshots, *program, cache) for program in expected.items())
            passed.append(report(f"a classifier with broken {what} is noticed", [] if noticed else ["it is not"]))
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed, 0 skipped")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
