"""The plugin's output: absolute counters at moments, and what was counted between two of them."""
import dataclasses
import os
import time


class Broken(Exception):
    """The counters cannot be trusted."""


@dataclasses.dataclass
class Snapshot:
    """All counters of all virtual CPUs at one moment."""

    number: int
    nanoseconds: int
    vcpus: int
    # (vcpu, granule) -> (instructions, memory accesses)
    granules: dict = dataclasses.field(default_factory=dict)
    # (vcpu, probe, key) -> (events, sum modulo 2^64); the key is a number, or "overflow" for too many of them
    probes: dict = dataclasses.field(default_factory=dict)
    # (vcpu, granule) -> (L1, L2, last-level misses); granule -1: accesses that the model could not look up
    misses: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Interval:
    """What was counted between two snapshots, in the same form."""

    seconds: float
    granules: dict
    probes: dict
    misses: dict


def parse(lines):
    """The snapshots in `lines`, each whole, in their order."""
    current = None
    for line in lines:
        word = line.split()
        if not word:
            continue
        kind = word[0]
        if kind == "S":
            current = Snapshot(int(word[1]), int(word[2]), int(word[3]))
        elif current is None:
            raise Broken(f"counters outside a snapshot: {line!r}")
        elif kind == "G":
            if word[2] == "overflow":
                raise Broken(f"the plugin's table of granules is full: {word[3]} instructions have no place")
            current.granules[int(word[1]), int(word[2], 16)] = (int(word[3]), int(word[4]))
        elif kind == "P":
            key = word[3] if word[3] == "overflow" else int(word[3])
            current.probes[int(word[1]), word[2], key] = (int(word[4]), int(word[5]))
        elif kind == "C" and word[2] == "unresolved":
            # Accesses whose physical address QEMU did not know: in the table as a place of their own.
            current.misses[int(word[1]), -1] = (int(word[3]), 0, 0)
        elif kind == "C":
            current.misses[int(word[1]), int(word[2], 16)] = (int(word[3]), int(word[4]), int(word[5]))
        elif kind == "E":
            if int(word[1]) != current.number:
                raise Broken(f"snapshot {current.number} ends as {word[1]}")
            yield current
            current = None
        else:
            raise Broken(f"the plugin wrote {line!r}")


class Reader:
    """Reads the plugin's output while it grows."""

    def __init__(self, path):
        self.path = path
        self.offset = 0

    def next(self, number, seconds=30):
        """The next snapshot, which must be `number`."""
        end = time.monotonic() + seconds
        while True:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
            size = end_of_snapshot(data)
            if size:
                self.offset += size
                # Gives the disk back what has been read: the plugin goes on behind the hole.
                os.truncate(self.path, 0)
                snapshot, *more = parse(data[:size].decode().splitlines())
                if snapshot.number != number or more:
                    raise Broken(f"snapshot {snapshot.number} came where {number} was asked for")
                return snapshot
            if time.monotonic() > end:
                raise Broken(f"the plugin did not write snapshot {number} within {seconds} s")
            time.sleep(0.05)


def end_of_snapshot(data):
    """How many bytes the snapshots at the beginning of `data` have, or 0 while the last of them is not whole."""
    start = 0 if data.startswith(b"E ") else data.rfind(b"\nE ") + 1
    if not data[start:].startswith(b"E "):
        return 0
    end = data.find(b"\n", start)
    return 0 if end < 0 else end + 1


def difference(later, earlier):
    """The interval between two snapshots of one machine."""
    if later.nanoseconds < earlier.nanoseconds or later.vcpus != earlier.vcpus:
        raise Broken("the snapshots are not of one machine, or in the wrong order")
    return Interval((later.nanoseconds - earlier.nanoseconds) / 1e9, *(
        subtract(getattr(later, name), getattr(earlier, name)) for name in ("granules", "probes", "misses")))


def subtract(later, earlier):
    """What grew, entry by entry; a counter that shrinks is not one."""
    grown = {}
    for key, values in later.items():
        before = earlier.get(key)
        if before == values:
            continue
        change = tuple(a - b for a, b in zip(values, before, strict=True)) if before else values
        if min(change) < 0:
            raise Broken(f"the counter {key} went from {before} to {values}")
        grown[key] = change
    return grown
