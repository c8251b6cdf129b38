"""Two runs of one build beside each other: they must agree."""
import json

import classes

LIMIT = 0.03


def differences(earlier, later):
    """case -> relative difference of all instructions, for cases that both runs have."""
    found = {}
    for name, case in later["cases"].items():
        before = earlier["cases"].get(name)
        if before and "per unit" in before and "per unit" in case:
            found[name] = total(case) / total(before) - 1
    return found


def total(case):
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
    print(f"\nCompared with {name}: all instructions, in %")
    for name, difference in found.items():
        print(f"  {name:28}{difference * 100:+8.2f}" + ("  MORE THAN ALLOWED" if abs(difference) > LIMIT else ""))
    if not found:
        print("  the two runs have no case in common")
        return ["comparison"]
    return [f"{name} (compared)" for name, difference in found.items() if abs(difference) > LIMIT]
