"""dom0 and guests as a scenario sees them: run commands, create, attach, wait."""
import base64
import time

from config import (BACK, COMMAND_LIMIT, FRONT, GUEST_LIMIT, MODULES, OUR_SCRIPT, STOCK_BACK, STOCK_FRONT)
from machine import LabError


class Result:
    """What a command did."""

    def __init__(self, where, command, message):
        self.where, self.command = where, command
        self.code, self.out, self.err = message["code"], message.get("out", ""), message.get("err", "")

    @property
    def ok(self):
        return self.code == 0

    def check(self):
        if not self.ok:
            raise LabError(f"{self.where}: `{self.command}` ended with {self.code}\n{self.out}{self.err}".rstrip())
        return self


class Running:
    """A command that was started and not yet waited for."""

    def __init__(self, where, command, pending, note):
        self.where, self.command, self.pending, self.note = where, command, pending, note

    def wait(self, check=True):
        result = Result(self.where, self.command, self.pending.wait())
        self.note(result)
        return result.check() if check else result


class Host:
    """Where commands run; `note` keeps a record of them."""

    name = "host"

    def __init__(self, lab):
        self.lab, self.machine = lab, lab.machine

    def run(self, command, timeout=COMMAND_LIMIT, check=True):
        return self.start(command, timeout).wait(check)

    def start(self, command, timeout=COMMAND_LIMIT):
        return Running(self.name, command, self._ask(command, timeout), self.lab.note_command)

    def output(self, command, timeout=COMMAND_LIMIT):
        return self.run(command, timeout).out.strip()

    def wait_until(self, command, seconds=GUEST_LIMIT, pause=0.2):
        """Runs the command again and again until it succeeds."""
        end = time.monotonic() + seconds
        while True:
            result = self.run(command, check=False)
            if result.ok:
                return result
            if result.code == "gone" or time.monotonic() > end:
                raise LabError(f"{self.name}: `{command}` did not succeed within {seconds} s: {result.out}{result.err}")
            time.sleep(pause)

    def driver_of(self, link):
        return self.output(f"ethtool -i {link} | sed -n 's/^driver: //p'")


class Dom0(Host):
    name = "dom0"

    def _ask(self, command, timeout):
        return self.machine.start("run", timeout, command=command)

    def put(self, path, data, mode=0o644):
        data = data.encode() if isinstance(data, str) else data
        self._ask_agent("put", path, mode=mode, data=base64.b64encode(data).decode())

    def get(self, path):
        return base64.b64decode(self._ask_agent("get", path)["data"])

    def _ask_agent(self, do, path, **arguments):
        answer = self.machine.ask(do, path=path, **arguments)
        Result(self.name, f"{do} {path}", answer).check()
        return answer

    def load(self, *drivers):
        """Makes `drivers` the loaded backends, in this order: who registered first is asked first for a vif."""
        for driver in (STOCK_BACK, BACK):
            if self.run(f"grep -q '^{driver.replace('-', '_')} ' /proc/modules", check=False).ok:
                self.run(unload_command(driver))
        for driver in drivers:
            self.run(load_command(driver))

    def store(self, path):
        """A xenstore value, or None."""
        result = self.run(f"xenstore-read {path}", check=False)
        return result.out.rstrip("\n") if result.ok else None


def load_command(driver, options=""):
    """Loads a stock module by its name, and one of the project's by its file.

    Either gets its parameters from the kernel's command line too (`MODULE.NAME=VALUE`).
    """
    if driver in (STOCK_FRONT, STOCK_BACK):
        return f"modprobe {driver} {options}"
    return f"insmod /lab/{driver}.ko $(tr ' ' '\\n' </proc/cmdline | sed -n 's/^{driver}[.]//p') {options}"


def unload_command(driver):
    """Removes a driver, which may be in use for a moment still."""
    return f"for i in $(seq 50); do rmmod {driver} 2>/dev/null && break; sleep 0.2; done; ! grep -q '^{driver.replace('-', '_')} ' /proc/modules"


def have_modules():
    return (MODULES / f"{FRONT}.ko").exists() and (MODULES / f"{BACK}.ko").exists()


def vif(net, host, script, extra=""):
    """A vif line of xl's configuration: host `host` of test network `net`."""
    return f"mac=00:16:3e:00:{net:02x}:{host:02x},bridge=br{net},script={script}" + (f",{extra}" if extra else "")


def is_ours(line):
    """Whether a vif line is opted in."""
    return f"script={OUR_SCRIPT}" in line.split(",")


# What `wait_link` makes dom0 say.
NOT_OURS = "with the stock driver: "


class Guest(Host):
    """A guest domain. Its n-th vif is on test network n, where its address is 10.0.n.<host>."""

    def __init__(self, lab, name, host, vifs, drivers, kind="pv", kernel="/lab/vmlinux", ramdisk="/lab/guest.img",
                 memory=256, vcpus=1, options="", extra_config=(), cpu=None):
        super().__init__(lab)
        self.name, self.host, self.vifs = name, host, vifs
        # Whether each of its vifs belongs to our drivers, so that one with xen-netback is the lab's mistake.
        self.all_ours = FRONT in drivers and all(is_ours(line) for line in vifs)
        self.config = "\n".join([
            f'name="{name}"', f'type="{kind}"', f'kernel="{kernel}"', f'ramdisk="{ramdisk}"', f"memory={memory}",
            # Not emulated time stamps: each would be a trap into Xen.
            f"vcpus={vcpus}", f'cpus="{lab.machine.guest_cpu if cpu is None else cpu}"', 'tsc_mode="native"', 'on_crash="preserve"', 'on_reboot="destroy"',
            # Boots with warnings only, which is much faster on a console; its init turns the rest on.
            f'extra="console=hvc0 loglevel=5 cryptomgr.notests=1 rdinit=/init panic=-1 lab.drivers={",".join(drivers)} {options}"',
            "vif=[" + ",".join(f"'{line}'" for line in vifs) + "]", *extra_config, ""])
        self.domain = None

    def _ask(self, command, timeout):
        return self.machine.start("guest", timeout, domain=self.domain, command=command)

    @property
    def dom0(self):
        return self.lab.dom0

    def address(self, net=0):
        return f"10.0.{net}.{self.host}"

    def vif(self, index=0):
        """The name of the device's backend in dom0."""
        return f"vif{self.domain}.{index}"

    def create(self, ready=True):
        self.dom0.put(f"/run/{self.name}.cfg", self.config)
        self.dom0.run(f"xl create -q /run/{self.name}.cfg", GUEST_LIMIT)
        self.domain = int(self.dom0.output(f"xl domid {self.name}"))
        if ready:
            self.wait_agent()
        return self

    def wait_agent(self):
        """Until the guest's init has come as far as its agent."""
        result = self.run("true", GUEST_LIMIT, check=False)
        if not result.ok:
            raise LabError(f"{self.name} did not come up ({result.code})\n{self.machine.tails()}")

    def wait_link(self, net=0, seconds=GUEST_LIMIT):
        """Until the guest answers on test network `net`; fails when the stock driver has a vif that is to be ours."""
        # One program that asks five times a second, and ends with the first answer; the rest is the shell's own.
        others = f"/sys/bus/xen-backend/drivers/vif/vif-{self.domain}-*"
        said = self.dom0.wait_until(f"ping -c 1 -i 0.2 -w 5 -q {self.address(net)} && "
                                    f"for d in {others}; do [ ! -e $d ] || echo \"{NOT_OURS}$d\"; done", seconds).out
        if self.all_ours and NOT_OURS in said:
            raise LabError(f"{self.name}: {said[said.index(NOT_OURS):]}")

    def alive(self):
        return self.domain is not None and self.dom0.run(f"xl domid {self.name}", check=False).ok

    def destroy(self):
        self.dom0.run(f"xl destroy {self.name}", GUEST_LIMIT)
        self.domain = None

    def attach(self, line):
        self.all_ours = self.all_ours and is_ours(line)
        self.dom0.run(f"xl network-attach {self.name} " + " ".join(f"'{part}'" for part in line.split(",")), GUEST_LIMIT)

    def detach(self, index):
        self.dom0.run(f"xl network-detach {self.name} {index}", GUEST_LIMIT)

    def last_device(self):
        """The number of the vif that was attached last."""
        return max(map(int, self.dom0.output(f"xenstore-list /local/domain/{self.domain}/device/vif").split()))

    def wait_gone(self, index):
        """Until the device's backend has left dom0."""
        self.dom0.wait_until(f"[ ! -e /sys/class/net/{self.vif(index)} ]", 20)

    def link(self, net=0):
        """The name of the guest's network device on test network `net`."""
        mac = f"00:16:3e:00:{net:02x}:{self.host:02x}"
        return self.output(f"for d in /sys/class/net/*; do [ \"$(cat $d/address)\" = {mac} ] && echo ${{d##*/}}; done; true")
