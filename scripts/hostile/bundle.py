# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Packs the hostile peers for a guest that has no Python: `python3 bundle.py OUTPUT`, run in dom0.

The output is a cpio archive to be appended to any initramfs: all of it is below /hostile, with an interpreter,
exactly the modules and libraries that this program has loaded itself, and the kernel modules that it needs. In the
guest, `/hostile/run front LIE…` is the command line of main.py.
"""

import argparse
import ctypes
import glob
import lzma
import os
import sys

import backend  # noqa: F401  (imported, as everything below, to be found among what is loaded)
import frontend  # noqa: F401
import lies
import main  # noqa: F401

PREFIX = "hostile"
LIBRARIES = ("libxengnttab.so.1", "libxenevtchn.so.1", "libxenstore.so.4")
KERNEL_MODULES = ("xen-evtchn", "xen-gntdev", "xen-gntalloc")
LOADER = "ld-linux-x86-64.so.2"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

RUN = f"""#!/bin/sh
# Loads what the kernel has as modules, once, and runs the program with its own libraries.
for module in {" ".join(KERNEL_MODULES)}; do
    grep -q "^$(echo $module | tr - _) " /proc/modules || insmod /{PREFIX}/modules/$module.ko
done
PYTHONHOME=/{PREFIX} PYTHONDONTWRITEBYTECODE=1 exec /{PREFIX}/lib/{LOADER} --library-path /{PREFIX}/lib \\
    /{PREFIX}/bin/python3 /{PREFIX}/main.py "$@"
"""


def entry(number, path, mode, data):
    """Builds one entry of a cpio archive of the format newc."""
    name = path.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files):
    """Builds a cpio archive of path -> (mode, content), with the folders on the way."""
    entries = {}
    for path, (mode, data) in files.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            entries.setdefault("/".join(parts[:depth]), (0o040755, b""))
        entries[path] = (0o100000 | mode, data)
    entries["TRAILER!!!"] = (0, b"")
    return b"".join(entry(number, path, *content) for number, (path, content) in enumerate(entries.items(), 1))


def read(path):
    """Reads a file."""
    with open(path, "rb") as file:
        return file.read()


def libraries():
    """Returns the shared libraries that this process has mapped, by the names that programs ask for."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if "/" in line}
    found = {}
    for path in paths:
        name = os.path.basename(path)
        if ".so" not in name or "lib-dynload" in path:
            continue
        # libxenstore.so.4.0 is asked for as libxenstore.so.4.
        aliases = [link for link in glob.glob(f"{os.path.dirname(path)}/*.so*") if os.path.realpath(link) == path]
        for alias in (path, *aliases):
            found[os.path.basename(alias)] = path
    return found


def python_files():
    """Returns the files of all Python modules that are loaded: place below the prefix -> path."""
    standard = os.path.dirname(os.__file__)
    own = os.path.dirname(os.path.abspath(__file__))
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not path:
            continue
        path = os.path.abspath(path)
        if path.startswith(own + os.sep):
            found[os.path.relpath(path, own)] = path
        elif path.startswith(standard + os.sep):
            found[f"lib/{VERSION}/{os.path.relpath(path, standard)}"] = path
    return found


def kernel_modules():
    """Returns the kernel modules, unpacked: name -> content."""
    found = {}
    for name in KERNEL_MODULES:
        paths = glob.glob(f"/usr/lib/modules/*/kernel/drivers/xen/{name}.ko*")
        if not paths:
            sys.exit(f"bundle: no module {name} in /usr/lib/modules")
        data = read(paths[0])
        found[f"{name}.ko"] = lzma.decompress(data) if paths[0].endswith(".xz") else data
    return found


def contents():
    """Returns everything that goes in: path -> (mode, content)."""
    for name in LIBRARIES:
        ctypes.CDLL(name)
    lies.load()
    files = {f"{PREFIX}/run": (0o755, RUN.encode())}
    files[f"{PREFIX}/bin/python3"] = (0o755, read(os.path.realpath(sys.executable)))
    for place, path in python_files().items():
        files[f"{PREFIX}/{place}"] = (0o644, read(path))
    for name, path in libraries().items():
        files[f"{PREFIX}/lib/{name}"] = (0o755, read(path))
    for name, data in kernel_modules().items():
        files[f"{PREFIX}/modules/{name}"] = (0o644, data)
    # Where the interpreter looks for its version-independent landmark; it may be empty.
    files.setdefault(f"{PREFIX}/lib/{VERSION}/lib-dynload/.keep", (0o644, b""))
    return files


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    with open(parser.parse_args().output, "wb") as target:
        target.write(archive(contents()))
