"""KUnit suites: the image that runs them, the results in a kernel log; run alone, under plain QEMU."""
import collections
import pathlib
import re
import subprocess
import sys

import image
import logscan
from config import CACHE, INSIDE, KUNIT_KERNEL, KUNIT_MODULES, REPO

# A case maps a page that is then revoked, which must be refused: the kernel says so.
EXPECTED = re.compile(r"grant_table: WARNING: g\.e\. 0x[0-9a-f]+ still in use!")
END = "kunit: end of the suites"
# Where suites stand: those of the glue have a module of their own, those of the two modules are within them.
SOURCES = ("netchannel2-kernel/kunit", "netback-kmod/src", "netfront-kmod/src")
# Why a case may skip itself.
NO_XEN, NO_RANGES = "not a Xen domain", "the grant table has version 1"
LIMIT = 300
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024", "-display", "none", "-no-reboot",
        "-nic", "none", "-serial", "stdio", "-monitor", "none"]


# `state` is "passed", "failed" or "skipped", and `reason` why it was skipped.
Case = collections.namedtuple("Case", "suite name state reason")


def modules():
    """The three modules as they are built for the KUnit kernel."""
    return sorted(KUNIT_MODULES.glob("*.ko"))


def suites():
    """The names of all suites that the sources have."""
    texts = [path.read_text() for folder in SOURCES for path in (REPO / folder).rglob("*.rs")]
    return {name for text in texts for name in re.findall(r"#\[kunit_tests\((\w+)\)\]", text)}


def initramfs():
    """A whole initramfs: busybox, the modules with suites and an init."""
    return image.archive({
        "bin/busybox": image.file("/usr/bin/busybox", 0o755),
        "init": image.file(INSIDE / "kunit-init", 0o755),
        **{f"lab/{path.name}": image.file(path) for path in modules()},
        # The kernel opens it for init before init can mount anything.
        "dev/.keep": (0o644, b""),
    })


def results(log):
    """The test cases in a kernel log."""
    cases, pending = [], []
    for line in log.splitlines():
        line = re.sub(r"^\[ *\d+\.\d+\] ?", "", line).rstrip()
        found = re.match(r"(\s*)(not ok|ok) \d+ -? ?(\S+)(.*)", line)
        if not found:
            continue
        depth, verdict, name, rest = len(found[1]) // 4, found[2], found[3], found[4]
        if depth == 1:
            skipped = re.search("# SKIP ?(.*)", rest)
            state = "skipped" if skipped else "passed" if verdict == "ok" else "failed"
            pending.append((name, state, skipped[1] if skipped else ""))
        elif depth == 0:
            # The kernel has suites of its own, which are not ours to count.
            cases += [Case(name, *case) for case in pending if name.startswith("netchannel2")]
            pending = []
    return cases + [Case("unfinished", *case) for case in pending]


def judge(log, may_skip):
    """(cases, problems) of a log in which cases may skip themselves for these reasons."""
    cases = results(log)
    problems = [f"{source}: {line}" for source, line in logscan.scan({"kunit kernel": log}, [EXPECTED])]
    if END not in log:
        problems.append("the suites did not come to their end")
    if "kunit: cannot" in log:
        problems += [line for line in log.splitlines() if "kunit: cannot" in line]
    problems += [f"the suite {name} did not run" for name in sorted(suites() - {case.suite for case in cases})]
    problems += [f"{case.suite}.{case.name} skipped itself: {case.reason}" for case in cases
                 if case.state == "skipped" and case.reason not in may_skip]
    return cases, problems


def run_alone():
    """Boots the KUnit kernel under plain QEMU; returns its console."""
    folder = CACHE / "runs"
    folder.mkdir(exist_ok=True)
    ramdisk = folder / "kunit.img"
    ramdisk.write_bytes(initramfs())
    try:
        done = subprocess.run([*QEMU, "-kernel", str(KUNIT_KERNEL), "-initrd", str(ramdisk),
                               "-append", "console=ttyS0 panic=-1 rdinit=/init"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT)
        log = done.stdout
    except subprocess.TimeoutExpired as expired:
        log = (expired.stdout or b"") + b"\nnot done in time\n"
    log = log.decode(errors="replace").replace("\r", "")
    pathlib.Path(folder / "kunit.log").write_text(log)
    return log


def main():
    cases, problems = judge(run_alone(), {NO_XEN})
    print("KTAP version 1")
    print(f"1..{len(cases) + 1}")
    for number, (suite, name, state, reason) in enumerate(cases, 1):
        skip = f" # SKIP {reason}" if state == "skipped" else ""
        print(f"{'not ok' if state == 'failed' else 'ok'} {number} {suite}.{name}{skip}")
    for problem in problems:
        print(f"# {problem}")
    print(f"{'not ok' if problems else 'ok'} {len(cases) + 1} kunit kernel and its log")
    count = {word: sum(case.state == word for case in cases) for word in ("passed", "failed", "skipped")}
    count["failed" if problems else "passed"] += 1
    if problems:
        print(f"# the whole log: {CACHE}/runs/kunit.log")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    sys.exit(1 if count["failed"] else 0)


if __name__ == "__main__":
    main()
