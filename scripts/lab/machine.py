"""One QEMU with Xen and dom0: power on, the control channel, the logs, power off."""
import collections
import ctypes
import fcntl
import functools
import itertools
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

import image
from config import BOOT_LIMIT, CACHE, COMMAND_LIMIT, IMAGES


class LabError(Exception):
    """Something that the lab itself or a scenario expected did not happen."""


# rdtscp=off: Xen stops PVH guests otherwise. xsave=off and sha-ni=off: QEMU runs instructions of these sets without looking
# whether Xen has given the processor's SIMD registers to this guest, so that two guests on one processor find each
# other's values there: programs crash, checksums go wrong, the kernel's own test of SHA-256 fails as it boots.
CPU = "max,rdtscp=off,xsave=off,sha-ni=off"
# `rep movsb` and `rep stosb`, by which kernels copy where a processor says that they are fast, go byte by byte in QEMU:
# more than half of what a CPU does under bulk load, if the processor says so. It does not here, so that copies go by eight
# bytes.
SLOW_STRINGS = "erms=off,fsrm=off,fsrs=off,fzrm=off"


@functools.cache
def take_turn():
    """Waits until no other lab of this user runs: two at once on two cores make each other's limits pass.

    The turn lasts until this program ends.
    """
    turn = open(CACHE / "lab.lock", "w")
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("# waiting for another lab on this machine to end", flush=True)
        fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def enough_memory(needed):
    """Fails where the machine would be killed in the middle of something: Xen looks at all memory as it boots."""
    fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    free = sum(int(fields[name].split()[0]) for name in ("MemAvailable", "SwapFree")) // 1024
    if free < needed:
        raise LabError(f"the lab's machine needs {needed} MiB of memory, and {free} are available here")


class Machine:
    """Owns QEMU and its files in `folder`: dom0 on the first CPUs, guests on those behind them."""

    # MiB, of which dom0 gets half.
    MEMORY = 6144

    def __init__(self, folder, dom0_options="", extra_files=None, qemu_options=(), dom0_cpus=1, xen_options="",
                 cpu=f"{CPU},{SLOW_STRINGS}", guest_cpus=1):
        self.folder, self.cpu = folder, cpu
        # The CPU of a guest for which no other is named.
        self.dom0_cpus = self.guest_cpu = dom0_cpus
        self.cpus = dom0_cpus + guest_cpus
        self.xen_options = xen_options
        self.console_path, self.words_path = folder / "xen-dom0-console.log", folder / "qemu.log"
        self.logs = collections.defaultdict(str)
        self.logs_changed = threading.Condition()
        self.numbers = itertools.count(1)
        self.answers = {}
        self.ready = threading.Event()
        self.lost = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        take_turn()
        enough_memory(self.MEMORY)
        self.started = time.monotonic()
        ramdisk = folder / "dom0.img"
        image.write_dom0_image(ramdisk, extra_files or {})
        self.agent, self.agent_socket = None, listen(folder / "agent.sock")
        self.qemu = subprocess.Popen(
            [*self._command(ramdisk, dom0_options), *qemu_options],
            stdin=subprocess.DEVNULL, stdout=open(self.words_path, "wb"), stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=die_with_parent)
        self._connect()
        ramdisk.unlink()

    def _command(self, ramdisk, dom0_options):
        return [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", str(self.cpus), "-cpu", self.cpu, "-m", str(self.MEMORY),
            "-display", "none", "-no-reboot", "-nic", "none",
            "-chardev", f"socket,id=console,path={self.folder}/console.sock,server=on,wait=off,logfile={self.console_path}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,path={self.folder}/agent.sock", "-serial", "chardev:agent",
            "-kernel", str(IMAGES / "xen"),
            "-append", "console=com1 com1=115200,8n1 dom0_mem=3072M,max:3072M "
                       f"dom0_max_vcpus={self.dom0_cpus} dom0_vcpus_pin noreboot=1 "
                       f"loglvl=all guest_loglvl=all conring_size=4M {self.xen_options}",
            "-initrd", f"{IMAGES}/vmlinux console=hvc0 loglevel=5 cryptomgr.notests=1 panic=-1 rdinit=/init log_buf_len=4M {dom0_options},{ramdisk}",
        ]

    def _connect(self):
        """Waits for dom0's agent and starts to read what it sends."""
        self.agent_socket.settimeout(1)
        while not self.ready.wait(1 if self.agent else 0):
            if self.qemu.poll() is not None:
                raise LabError(f"QEMU ended with {self.qemu.returncode} before dom0 was up\n{self.tails()}")
            if time.monotonic() - self.started > BOOT_LIMIT:
                self.kill()
                raise LabError(f"dom0 was not up after {BOOT_LIMIT} s\n{self.tails()}")
            if not self.agent:
                self._accept()
        self.boot_seconds = time.monotonic() - self.started

    def _accept(self):
        """Lets QEMU connect the line of dom0's agent, if it comes to it within moments."""
        try:
            self.agent, _ = self.agent_socket.accept()
        except TimeoutError:
            return
        self.agent.settimeout(None)
        threading.Thread(target=self._read_agent, daemon=True).start()

    # -- control channel -------------------------------------------------------------------------

    def ask(self, do, timeout=COMMAND_LIMIT, **arguments):
        """Sends a request to dom0's agent and returns its answer."""
        return self.start(do, timeout, **arguments).wait()

    def start(self, do, timeout=COMMAND_LIMIT, **arguments):
        """Sends a request; the answer is for the returned `Pending`."""
        pending = Pending(self, next(self.numbers), timeout, arguments.get("command", do))
        self.answers[pending.number] = pending
        data = json.dumps({"id": pending.number, "do": do, "timeout": timeout, **arguments}).encode()
        self.agent.sendall(struct.pack(">I", len(data)) + data)
        return pending

    def _read_agent(self):
        stream = self.agent.makefile("rb")
        while message := receive(stream):
            if "log" in message:
                self._keep_log(message["log"], message["text"])
            elif "ready" in message:
                self.ready.set()
            else:
                self.answers.pop(message["id"]).complete(message)
        self.lost.set()
        for pending in list(self.answers.values()):
            pending.complete({"code": "lost", "out": "", "err": "the machine is gone"})

    def _keep_log(self, source, text):
        with open(self.folder / f"{source}.log", "a") as log:
            log.write(text)
        with self.logs_changed:
            self.logs[source] += text
            self.logs_changed.notify_all()

    # -- logs ------------------------------------------------------------------------------------

    def marks(self):
        """How far each log has come: for `since`."""
        return {source: len(text) for source, text in self.logs.items()}

    def since(self, marks):
        """What each log has gained since `marks` was taken."""
        return {source: text[marks.get(source, 0):] for source, text in list(self.logs.items())}

    def wait_for_log(self, source, text, seconds):
        with self.logs_changed:
            if not self.logs_changed.wait_for(lambda: text in self.logs[source], seconds):
                raise LabError(f"{source} did not print {text!r} within {seconds} s\n{self.tails()}")

    def console_size(self):
        return os.path.getsize(self.console_path)

    def console(self, start=0):
        with open(self.console_path, "rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def tails(self, lines=20):
        """The last lines of every console and of QEMU, for a person who wonders why nothing moves."""
        files = {"QEMU": self.words_path, "xen and dom0": self.console_path}
        consoles = {**{name: path.read_bytes().decode(errors="replace") for name, path in files.items() if path.exists()}, **self.logs}
        parts = [f"--- last lines of {name}\n" + "\n".join(text.splitlines()[-lines:]) for name, text in consoles.items() if text]
        return "\n".join(parts)

    # -- the end ---------------------------------------------------------------------------------

    def power_off(self):
        """Switches off through dom0, or pulls the plug when that does not help."""
        try:
            self.start("run", 5, command="sync; echo o > /proc/sysrq-trigger")
            self.qemu.wait(15)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self):
        self.qemu.kill()
        self.qemu.wait()


class Pending:
    """An answer on its way."""

    def __init__(self, machine, number, timeout, what):
        self.machine, self.number, self.timeout, self.what = machine, number, timeout, what
        self.done = threading.Event()

    def complete(self, message):
        self.message = message
        self.done.set()

    def wait(self):
        # The agent ends the command itself when its time is over; the rest is for the way.
        if not self.done.wait(self.timeout + 20):
            raise LabError(f"no answer from dom0 to `{self.what}`\n{self.machine.tails()}")
        return self.message


def receive(stream):
    """The next message of dom0's agent, or None at the end of the machine."""
    try:
        head = stream.read(4)
        return json.loads(stream.read(*struct.unpack(">I", head))) if len(head) == 4 else None
    except (ConnectionError, ValueError):
        return None


def die_with_parent():
    """In a program before exec: the kernel ends it when the runner ends, however that comes."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def listen(path):
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)
    return server
