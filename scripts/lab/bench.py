#!/usr/bin/env python3
"""Measures this channel and the stock drivers in turn, in one boot:
bench.py [--rounds N] [--seconds N] [--only LOAD…] [--json FILE]"""
import argparse
import json
import statistics
import sys

import measure
from machine import LabError
from run import new_run_folder


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=measure.LOADS, default=measure.LOADS, metavar="LOAD",
                        help=f"some of {', '.join(measure.LOADS)}")
    parser.add_argument("--json", help="default: bench.json in the run's folder")
    options = parser.parse_args()
    folder = new_run_folder()
    ground = measure.ground()
    print("\n".join(f"{key:7} {value}" for key, value in ground.items()), flush=True)
    lab, guest = measure.boot(folder)
    rounds = {title: [] for title, *_ in measure.STACKS}
    for number in range(options.rounds):
        # Alternating, and who is first changes: what drifts on the machine falls on both alike.
        for title, net, _ in measure.STACKS[:: 1 if number % 2 == 0 else -1]:
            rounds[title].append(measure.measure(lab, guest, net, options.seconds, options.only))
            print(f"round {number + 1}/{options.rounds}, {title}: " +
                  ", ".join(f"{key} {value:.0f}" for key, value in rounds[title][-1].items()), flush=True)
    medians = {title: {key: statistics.median(each[key] for each in values) for key in values[0]} for title, values in rounds.items()}
    print(f"\nmedians of {options.rounds} rounds of {options.seconds} s\n{measure.table(medians)}")
    print(f"\nCounters of the channel\n{measure.counters(lab, guest, 1)}")
    path = options.json or folder / "bench.json"
    with open(path, "w") as file:
        json.dump({"ground": ground, "seconds": options.seconds, "rounds": rounds, "medians": medians}, file, indent=1)
    print(f"\nwritten: {path}")
    lab.machine.power_off()


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"bench: {error}")
