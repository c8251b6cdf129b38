# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Hostile peers for the drivers of Netchannel 2: `python3 main.py front|back LIE…`.

Prints one JSON line for each lie. The log of the driver under test is in another domain: whoever runs this checks it
for the line's `log`.
"""

import argparse
import copy
import json
import sys

import backend
import lies
from frontend import Frontend
from perform import honest, perform
from side import Setup

SIDES = {"front": Frontend, "back": backend.Backend}


def options():
    """Describes the command line."""
    parser = argparse.ArgumentParser(prog="hostile", description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=SIDES, nargs="?", help="front in a guest, back in dom0")
    parser.add_argument("lies", nargs="*", metavar="LIE", help="names, or `all`, or `honest`")
    parser.add_argument("--list", action="store_true", help="print the table of lies as JSON lines and do nothing")
    parser.add_argument("--domain", help="back: the guest, by name or number")
    parser.add_argument("--handle", type=int, help="the number of the vif (default: front 0, back 1)")
    parser.add_argument("--own-ip", help="the address that answers pings (default: front 10.0.0.77, back 10.0.119.254)")
    parser.add_argument("--peer-ip", help="an address behind the driver under test (default: front 10.0.0.1, back by MAC)")
    parser.add_argument("--order", type=int, default=4, help="the order of the rings (default: 4)")
    parser.add_argument("--seconds", type=float, default=20, help="how long `honest` goes on (default: 20)")
    parser.add_argument("--skip", action="append", default=[], metavar="LIE", help="with `all`: leave this one out")
    return parser


def fill_in(arguments):
    """Sets what depends on the role: the lab gives a guest's device the address that its MAC stands for."""
    front = arguments.role == "front"
    if arguments.handle is None:
        arguments.handle = 0 if front else 1
    network = "10.0.0" if front else f"10.0.{backend.NETWORK}"
    arguments.own_ip = arguments.own_ip or f"{network}.{77 if front else 254}"
    arguments.peer_ip = arguments.peer_ip or f"{network}.{1 if front else arguments.handle}"


def chosen(arguments, table):
    """Returns the lies to tell, in order; complains about names that are none."""
    if arguments.lies == ["all"]:
        return [one for one in table.values() if arguments.role in one.roles and one.name not in arguments.skip]
    unknown = [name for name in arguments.lies if name not in table]
    if unknown:
        sys.exit(f"hostile: no lie is called {', '.join(unknown)}; --list names them all")
    wrong = [name for name in arguments.lies if arguments.role not in table[name].roles]
    if wrong:
        sys.exit(f"hostile: {', '.join(wrong)} cannot be told by the {arguments.role}end")
    return [table[name] for name in arguments.lies]


def stages(arguments, told):
    """Pairs each lie with its options: a backend makes a device with another number for each.

    A guest takes its time to let go of a device; one that comes back meanwhile would be taken for the old one.
    """
    for index, one in enumerate(told):
        options = copy.copy(arguments)
        if arguments.role == "back":
            options.handle = (arguments.handle or 1) + index
        fill_in(options)
        yield one, options


def main():
    """Runs the command line and returns the exit status."""
    arguments = options().parse_args()
    table = lies.load()
    if arguments.list:
        for one in table.values():
            if arguments.role in (None, *one.roles):
                row = {key: getattr(one, key) for key in ("name", "roles", "expect", "also", "log", "about", "spends_device")}
                print(json.dumps(row))
        return 0
    if arguments.role is None or not arguments.lies:
        options().error("say who lies, and what: front|back LIE…")
    role = SIDES[arguments.role]
    if arguments.lies == ["honest"]:
        fill_in(arguments)
        results = (honest(role, arguments),)
    else:
        results = (perform(role, options, one) for one, options in stages(arguments, chosen(arguments, table)))
    failed = 0
    for result in results:
        print(json.dumps(result), flush=True)
        failed += not result["ok"]
        if result.get("spent"):
            # The next lie would find no device.
            break
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Setup as problem:
        sys.exit(f"hostile: {problem}")
