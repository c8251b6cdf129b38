"""Initramfs images: the unchanging base from `scripts/setup`, and an overlay with what the project itself puts in.

The kernel unpacks concatenated archives one after the other, so a rebuilt module never touches the big image.
"""
import pathlib
import subprocess

from config import CACHE, HOTPLUG, IMAGES, INSIDE, KUNIT_KERNEL, MODULES, STOCK_BACK


def archive(files):
    """A cpio archive (newc) of `files`: path -> (mode, content); the folders on the way are made."""
    out, number = bytearray(), 0
    entries = {}
    for path in files:
        for parent in reversed(pathlib.PurePosixPath(path).parents[:-1]):
            entries.setdefault(str(parent), (0o040755, b""))
    entries.update({path: (0o100000 | mode, data) for path, (mode, data) in files.items()})
    entries["TRAILER!!!"] = (0, b"")
    for path, (mode, data) in entries.items():
        number += 1
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def file(path, mode=0o644):
    return mode, pathlib.Path(path).read_bytes()


def guest_agent():
    """The guest's control agent, a static binary that is built when its source changes."""
    source, binary = INSIDE / "guest-agent.rs", CACHE / "lab" / "guest-agent"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(exist_ok=True)
        subprocess.run(["rustc", "--edition", "2021", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols",
                        "-o", binary, source], check=True, cwd=binary.parent)
    return binary


def modules():
    """The project's modules without their debug information, which is nine tenths of them."""
    stripped = CACHE / "lab" / "stripped"
    stripped.mkdir(parents=True, exist_ok=True)
    files = {}
    for ko in MODULES.glob("*.ko"):
        copy = stripped / ko.name
        if not copy.exists() or copy.stat().st_mtime_ns != ko.stat().st_mtime_ns:
            subprocess.run(["strip", "--strip-debug", "--preserve-dates", "-o", copy, ko], check=True)
        files[f"lab/{ko.name}"] = file(copy)
    return files


def traffic_tool():
    """The traffic tool, where it is built: the static binary that both sides run."""
    for folder in ("x86_64-unknown-linux-gnu/release", "release"):
        binary = CACHE / "target" / folder / "nc2-traffic"
        if binary.exists():
            return {"usr/bin/nc2-traffic": file(binary, 0o755)}
    return {}


def guest_image():
    """The whole guest image: base and overlay."""
    files = {
        "init": file(INSIDE / "guest-init", 0o755),
        "lab/configure-links": file(INSIDE / "configure-links", 0o755),
        "lab/guest-agent": file(guest_agent(), 0o755),
        **modules(),
        **traffic_tool(),
    }
    return pad((IMAGES / "guest.cpio.zst").read_bytes()) + archive(files)


def dom0_overlay(extra):
    """What is appended to dom0's base; `extra` are further files of the same form as `archive` takes."""
    files = {
        "init": file(INSIDE / "dom0-init", 0o755),
        "lab/agent.py": file(INSIDE / "agent.py"),
        "lab/xenstore.py": file(INSIDE / "xenstore.py"),
        "lab/vmlinux": file(IMAGES / "vmlinux"),
        "lab/guest.img": (0o644, guest_image()),
        **modules(),
        **hotplug_files(),
        "etc/xen/scripts/vif-lab": file(INSIDE / "vif-lab", 0o755),
        # udev would load it for any vif, in the middle of a change of drivers too, and the order decides: see Dom0.load.
        "etc/modprobe.d/lab.conf": (0o644, f"blacklist {STOCK_BACK}\n".encode()),
        **kunit_files(),
        **traffic_tool(),
        **extra,
    }
    return archive(files)


def kunit_files():
    """The KUnit kernel and its image, which run as a guest as well."""
    import kunit  # it in turn uses this module
    if not (KUNIT_KERNEL.exists() and kunit.modules()):
        return {}
    return {"lab/kunit-vmlinuz": file(KUNIT_KERNEL), "lab/kunit.img": (0o644, kunit.initramfs())}


def hotplug_files():
    """The project's hotplug script and udev rules, at the places where a host has them."""
    files = {}
    for path in HOTPLUG.iterdir() if HOTPLUG.is_dir() else []:
        if path.suffix == ".rules":
            files[f"usr/lib/udev/rules.d/{path.name}"] = file(path)
        elif path.name.startswith("vif"):
            files[f"etc/xen/scripts/{path.name}"] = file(path, 0o755)
    return files


def pad(data):
    """The next archive starts at a multiple of four."""
    return data + bytes(-len(data) % 4)


def write_dom0_image(path, extra):
    """Writes base and overlay to `path`."""
    with open(path, "wb") as image:
        image.write(pad((IMAGES / "dom0.cpio.zst").read_bytes()))
        image.write(dom0_overlay(extra))
