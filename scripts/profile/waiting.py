"""Where the hypervisor's code waits for another CPU: how long that takes depends on the emulator's host."""
import re

from classes import GRANULE

FUNCTION = re.compile(r"[0-9a-f]+ <(\S+)>:$")
INSTRUCTION = re.compile(r"([0-9a-f]+):\s+(\S+)\s*(\S*)(?: <(\S+?)>)?")
# A loop that is longer does some work each time round.
TIGHT = 32
# Functions that loops ask whether they are to go on, and that hardly anything else asks so often.
PREDICATES = ("__bitmap_empty",)


def granules(listing):
    """The granules of waiting, from the lines of `objdump -d --no-show-raw-insn`.

    A loop that waits has a `pause`. Where it is tight, all that it touches counts, and the predicate that it calls;
    otherwise what is beside the `pause`.
    """
    found = set()
    functions = list(split(listing))
    predicates = {name: code for name, code in functions if name in PREDICATES}
    for _, code in functions:
        jumps = [(address, int(operand, 16)) for address, name, operand, _ in code
                 if name.startswith("j") and re.fullmatch("[0-9a-f]+", operand)]
        for pause in (address for address, name, *_ in code if name == "pause"):
            start, end = min(((to, at) for at, to in jumps if to <= pause <= at and at - to <= TIGHT),
                             key=lambda loop: loop[1] - loop[0], default=(pause, pause))
            found |= touched(start, end)
            for _, _, _, callee in (each for each in code if start <= each[0] <= end and each[1] == "call"):
                if callee in predicates:
                    found |= touched(predicates[callee][0][0], predicates[callee][-1][0])
    return frozenset(found)


def split(listing):
    """Functions and their instructions, as (address, name, operand, symbol of the operand)."""
    name, code = None, []
    for line in listing:
        if match := FUNCTION.match(line):
            if code:
                yield name, code
            name, code = match[1], []
        elif match := INSTRUCTION.match(line.strip()):
            code.append((int(match[1], 16), match[2], match[3], match[4]))
    if code:
        yield name, code


def touched(first, last):
    """The granules from that of one address to that of another."""
    return set(range(first // GRANULE * GRANULE, last + 1, GRANULE))
