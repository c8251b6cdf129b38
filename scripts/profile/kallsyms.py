"""The symbols of kernels that run, read once and kept: the way is a serial line, slow where the plugin counts each
instruction.
"""
import base64
import gzip
import hashlib
import zlib

import symbols
from config import CACHE, RELEASE
from machine import LabError

FOLDER = CACHE / "profile"
# Of modules that are built again and again, so many are kept.
KEPT = 20
PACKED = "/run/kallsyms.gz"
# A function whose address shows that kept symbols are those of the kernel that runs.
LANDMARK = "_copy_to_iter"
# What decides the symbols of loaded modules: where they lie, and which builds they are.
PLACES = "awk '{print $1, $6}' /proc/modules | sort"
BUILDS = "cat /sys/module/*/notes/.note.gnu.build-id | base64"


def of_kernel(host):
    """The kernel's own: the same in all machines, as none of them moves the kernel."""
    kept = FOLDER / f"kernel-symbols-{RELEASE}.gz"
    if not kept.exists():
        host.run(f"awk '$4 == \"\" && $2 ~ /[tTwW]/' /proc/kallsyms | gzip >{PACKED}", 120)
        keep(kept, base64.b64decode(host.machine.ask("get", 400, path=PACKED)["data"]))
    table = unpack(kept)
    said = host.output(f"awk '$3 == \"{LANDMARK}\" {{print $1}}' /proc/kallsyms", 120)
    if not any(symbol.name == LANDMARK and symbol.start == int(said, 16) for symbol in table.symbols):
        kept.unlink()
        raise LabError(f"{host.name} has {LANDMARK} at {said}, and {kept} does not say so: removed it, run this again")
    return table


def of_modules(host):
    """Those of the modules that a domain has loaded."""
    key = hashlib.sha256(host.output(f"{PLACES}; {BUILDS}", 120).encode()).hexdigest()
    kept = FOLDER / f"module-symbols-{key[:32]}.gz"
    if not kept.exists():
        keep(kept, read(host, "["))
        for old in sorted(FOLDER.glob("module-symbols-*.gz"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink()
    return unpack(kept)


def of_module(host, module):
    """Those of one module."""
    return symbols.kallsyms(gzip.decompress(read(host, f"[{module}]")).decode())


def read(host, which):
    """The lines of functions with `which` in them, packed."""
    return base64.b64decode(host.output(
        f"grep -F '{which}' /proc/kallsyms | awk '$2 ~ /[tTwW]/ {{print $1, $2, $3, $4}}' | gzip | base64", 120))


def keep(path, packed):
    """Writes a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(packed)
    new.rename(path)


def unpack(path):
    """The symbols in a file that was kept; one that is damaged is removed."""
    try:
        return symbols.kallsyms(gzip.decompress(path.read_bytes()).decode())
    except (ValueError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        path.unlink()
        raise LabError(f"{path} is damaged ({error}): removed it, run this again") from error
