"""Two runs of one build beside each other: they must agree."""
import json

import classes

LIMIT = 0.03


def differences(earlier, later):
    """case -> relative difference of what is compared, for cases of both runs; None where the load was another."""
    found = {}
    for name, case in later["cases"].items():
        before = earlier["cases"].get(name)
        if before and "per unit" in before and "per unit" in case:
            alike = before.get("parameters") == case.get("parameters")
            found[name] = total(case) / total(before) - 1 if alike else None
    return found


def total(case):
    """All instructions, or with the cache model the copies' misses of the first level: `counts.Counts.figure`."""
    misses = case["per unit"].get("misses")
    if misses:
        return sum(row["l1"] for kind, row in misses.items() if kind in classes.COPIES)
    return sum(row["instructions"] for kind, row in case["per unit"]["classes"].items() if kind in classes.WORK)


def read(folder):
    """What a run has written to its folder, as `against` wants it.

    Raises OSError or ValueError where there is no such run.
    """
    run = json.loads((folder / "profile.json").read_text())
    if not isinstance(run, dict) or "cases" not in run:
        raise ValueError("its profile.json has no cases")
    return run


def against(name, earlier, later):
    """Prints the differences of two runs, of which the earlier has this name; returns the cases beyond the limit."""
    found = differences(earlier, later)
    print(f"\nCompared with {name}: all instructions (cache-*: misses of L1 in copies), in %")
    for name, difference in found.items():
        if difference is None:
            print(f"  {name:28}  ANOTHER LOAD: its parameters differ")
        else:
            print(f"  {name:28}{difference * 100:+8.2f}" + ("" if agrees(difference) else "  MORE THAN ALLOWED"))
    if not found:
        print("  the two runs have no case in common")
        return ["comparison"]
    return [f"{name} (compared)" for name, difference in found.items() if not agrees(difference)]


def agrees(difference):
    return difference is not None and abs(difference) <= LIMIT
