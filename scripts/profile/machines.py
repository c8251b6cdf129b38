"""The machines that are profiled: native Linux, and Xen with dom0 and guests, each with a card and the plugin."""
import functools
import pathlib
import subprocess

import hosts
import image
import kallsyms
import lab
import outside
import pktgen
import probes
import symbols
import waiting
from classes import Space
from config import DEBIAN_SCRIPT, FRONT, IMAGES, INSIDE, OUR_SCRIPT, REPO, STOCK_FRONT
from counter import Counter
from machine import CPU, LabError, Machine
from source import World

HOST, SECOND_HOST = 11, 12
CARD, TCP_CARD = "00:16:3e:00:00:0b", "00:16:3e:00:03:0b"
DOM0_CARD, DOM0_TCP_CARD = "00:16:3e:ff:00:64", "00:16:3e:ff:00:65"
# What Xen hides from a PV guest of the lab's processor: AVX goes with XSAVE, and page tables have four levels.
NATIVE_CPU = f"{CPU},avx=off,avx2=off,la57=off"
# Each of the two guests has a CPU of its own.
GUEST_CPU, SECOND_GUEST_CPU = 1, 2
# The emulated processor's clock looks unsteady to Linux, which would change to a dearer one in the middle of a run.
STEADY_CLOCK = "tsc=nowatchdog"
# Without the interrupt of Xen's serial line: where the emulator is slow one takes milliseconds, and then Xen gives it
# up and looks at the line a thousand times a second, from there on. Nothing is read from that line here.
QUIET_CONSOLE = "com1=115200,8n1,0x3f8,-1"


def xen_map():
    """The hypervisor's map file, from the debug package of the version that boots; its code is beside it."""
    maps = sorted(pathlib.Path("/usr/lib/debug/boot").glob("xen-syms-*.map"))
    if not maps:
        raise LabError("the hypervisor's symbols are not installed: run scripts/setup")
    return maps[-1]


def waiting_loops():
    """The granules of the hypervisor's code in which it waits for another CPU."""
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", xen_map().with_suffix("")], stdout=subprocess.PIPE,
                          text=True, check=True)
    found = waiting.granules(code.stdout.splitlines())
    if not found:
        raise LabError("the hypervisor's code has no `pause`: what waits in it cannot be told")
    return found


def card_probe(table):
    """The requests by which the cards' interrupts are counted; `table` is that of the kernel with their driver."""
    lines = probes.requests(probes.CARD, table)
    if not lines:
        raise LabError(f"the cards' driver has none of {', '.join(probes.CARD)}: their interrupts cannot be counted")
    return lines


# Seconds that QEMU may take to end.
ENDING = 2


class EmulatorEnded(LabError):
    """QEMU ended by itself."""


def check_alive(machine, error):
    """Raises EmulatorEnded where QEMU's end is the reason of an error."""
    try:
        # Its sockets close before it has ended.
        code = machine.qemu.wait(ENDING)
    except subprocess.TimeoutExpired:
        return
    raise EmulatorEnded(f"QEMU ended with {code}") from error


class NativeQemu(Machine):
    """QEMU with Linux alone: dom0's image and agent, another init."""

    MEMORY = 1024

    def _command(self, ramdisk, dom0_options):
        # Machine wrote dom0's image there, which has guests and modules besides.
        with open(ramdisk, "wb") as file:
            file.write(image.pad((IMAGES / "dom0.cpio.zst").read_bytes()))
            file.write(image.archive({
                "init": image.file(REPO / "scripts/profile/native-init", 0o755),
                "lab/agent.py": image.file(INSIDE / "agent.py"),
                "lab/xenstore.py": image.file(INSIDE / "xenstore.py"),
                "lab/configure-links": image.file(INSIDE / "configure-links", 0o755),
                **image.traffic_tool(),
            }))
        return [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "1", "-cpu", NATIVE_CPU, "-m", str(self.MEMORY),
            "-display", "none", "-no-reboot", "-nic", "none",
            "-chardev", f"socket,id=console,path={self.folder}/console.sock,server=on,wait=off,"
                        f"logfile={self.console_path}", "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,path={self.folder}/agent.sock", "-serial", "chardev:agent",
            "-kernel", str(IMAGES / "vmlinuz"), "-initrd", str(ramdisk),
            # Without relocation the kernel's symbols are where a PV guest has them.
            "-append", f"console=ttyS0 loglevel=5 panic=-1 rdinit=/init nokaslr {STEADY_CLOCK}",
        ]


class Recorder:
    """What Host and Dom0 of the lab need of it: a machine, and somebody who notes the commands."""

    def __init__(self, machine):
        self.machine = machine
        self.record = []

    note_command = lab.Lab.note_command


class Profiled:
    """A machine with a card that the world outside sends to, one for TCP, and the plugin.

    `subject` is where the packets end or begin; `cards_host` has the cards.
    """

    def __init__(self, folder, cache=False):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.counter = Counter(folder, cache)
        self.world = World(folder, "card")
        self.settings = {}
        # By host: the packet generator that the last load has left there. It holds its device, which cannot go before
        # it is removed.
        self.generators = {}
        # Where its module may be loaded.
        self.generating = set()
        # Counters of drops as drops.py has read them last.
        self.dropped = {}
        self.peer = None

    def card(self, mac):
        """The name of the device with this address."""
        name = self.cards_host.output(f"for d in /sys/class/net/*/device; do d=${{d%/device}}; "
                                      f"[ \"$(cat $d/address)\" = {mac} ] && echo ${{d##*/}}; done; true")
        if not name:
            raise LabError(f"{self.cards_host.name} has no card {mac}\n{self.machine.tails()}")
        return name

    def throttle(self, number, microseconds):
        """Sets the EITR of a card, for what it has received and for what it has sent: so long from one interrupt to the
        next at least.
        """
        if self.settings.get(number) != microseconds:
            card, wanted = self.cards[number], [f"rx-usecs: {microseconds}", f"tx-usecs: {microseconds}"]
            # The driver refuses what is set already, so that only the result is looked at.
            tried = self.cards_host.run(f"ethtool -C {card} rx-usecs {microseconds} tx-usecs {microseconds} 2>&1",
                                        check=False)
            said = self.cards_host.output(
                f"ethtool -c {card} | sed -n 's/^\\([rt]x-usecs:\\)[ \t]*/\\1 /p'").splitlines()
            if said != wanted:
                raise LabError(f"the throttle of {card} is {', '.join(said)}, not {', '.join(wanted)}: "
                               f"{tried.out.strip()}")
            self.settings[number] = microseconds

    def set_cards(self, configuration, tcp):
        """Sets whether UDP that is only forwarded is put together by the first card's receive offload, and whether the
        second card is up, if they are not so already.
        """
        if self.settings.get("cards") != (configuration.udp_gro, tcp):
            # What fails half-way leaves nothing to go by.
            self.settings.pop("cards", None)
            self.cards_host.run(f"set -e; ip link set {self.cards[0]} up; "
                                f"ip link set {self.cards[1]} {'up' if tcp else 'down'}; "
                                f"ethtool -K {self.cards[0]} rx-udp-gro-forwarding {configuration.udp_gro}")
            self.settings["cards"] = configuration.udp_gro, tcp

    def begin_anew(self, configuration):
        """Has both ends of a vif forget what adaptive moderation has found out so far."""

    def without_generators(self):
        """Removes packet generators: their threads wake up ten times a second, though they have nothing to do."""

    def quiet(self):
        """Stops what Linux does by itself and in bouts: it samples which memory is in use. And has it begin each stream
        as it began the one before, knowing nothing of that, and send it in the pieces in which a fast machine sends.
        """
        for host in {self.subject, self.cards_host, self.peer} - {None}:
            host.run("f=/sys/module/damon_stat/parameters/enabled; [ ! -e $f ] || echo N >$f; "
                     "cd /proc/sys/net/ipv4; echo 1 >tcp_no_metrics_save; "
                     f"echo {outside.LARGEST} >tcp_min_tso_segs")

    def finish(self):
        """Switches off and leaves a record of what was run."""
        try:
            (self.folder / "commands.log").write_text("".join(self.lab.record))
        finally:
            # There is one device for the second card: no other machine can start before.
            self.machine.power_off()
        self.counter.remove_output()


class Native(Profiled):
    """Native Linux on the emulated card."""

    def __init__(self, folder, cache=False):
        super().__init__(folder, cache)
        self.machine = NativeQemu(folder, qemu_options=[
            *self.counter.qemu_options(), *self.world.qemu_options(CARD), *outside.qemu_options(TCP_CARD)])
        self.lab = Recorder(self.machine)
        self.cards_host = self.subject = hosts.Dom0(self.lab)

    def set_up(self):
        self.cards = [self.card(CARD), self.card(TCP_CARD)]
        self.address = f"10.0.0.{HOST}"
        self.subject.wait_until(f"ip -o addr show dev {self.cards[1]} | grep -q 'inet 10'", 30)
        self.subject.run(f"ip route replace {outside.NET} dev {self.cards[1]}")
        table = kallsyms.of_kernel(self.subject) + kallsyms.of_modules(self.subject)
        self.spaces = {0: Space(1, table)}
        self.counter.probe([*probes.requests(probes.KERNEL, table), *card_probe(table)])
        self.quiet()
        self.counter.keep_pace(True)

    def use(self, configuration, tcp=False):
        """Makes the machine ready for a configuration; here there is one."""
        self.set_cards(configuration, tcp)
        if tcp:
            self.subject.run(f"ip route replace {outside.NET} dev {self.cards[1]}")
        self.world.resolve(self.address)

    def drivers(self):
        return (self.subject.driver_of(self.cards[0]),)


class Xen(Profiled):
    """Xen, dom0 with the cards on CPU 0 and a guest on CPU 1 that has one vif for each configuration; CPU 2 is for
    a second guest.
    """

    def __init__(self, folder, configurations, cache=False):
        super().__init__(folder, cache)
        options = [*self.counter.qemu_options(), *self.world.qemu_options(DOM0_CARD),
                   *outside.qemu_options(DOM0_TCP_CARD)]
        # Configurations of one boot agree in their options.
        # With fast strings (see `SLOW_STRINGS`): a copy is one instruction, and its bytes are counted beside.
        self.lab = lab.Lab(folder, "ours", f"{configurations[0].dom0_options} {STEADY_CLOCK}",
                           make_machine=functools.partial(Machine, qemu_options=options, cpu=CPU, guest_cpus=2),
                           quick_hotplug=True, xen_options=QUIET_CONSOLE)
        self.machine = self.lab.machine
        self.cards_host = self.lab.dom0
        # In place of Debian's script the lab's own, which starts few programs.
        self.vifs = {configuration.net: self.lab.stock_script if configuration.script == DEBIAN_SCRIPT
                     else configuration.script for configuration in configurations}
        self.guest_options = f"{configurations[0].guest_options} {STEADY_CLOCK}"
        self.net = None
        self.links, self.driver_names = {}, {}

    def set_up(self):
        # udev renames the cards when it has seen them.
        self.cards_host.run("modprobe igb; udevadm settle -t 20")
        self.cards = [self.card(DOM0_CARD), self.card(DOM0_TCP_CARD)]
        ours = [net for net, script in self.vifs.items() if script == OUR_SCRIPT]
        # As on a host, where the card is in the bridge before the guest comes.
        for net in ours:
            self.cards_host.run(f"ip link set {self.cards[0]} master br{net} up")
        self.subject = self._guest("g1", HOST, GUEST_CPU)
        if ours and "forwarding: on" not in self.cards_host.output(f"ethtool -k {self.cards[0]} | grep udp-gro"):
            raise LabError(f"{OUR_SCRIPT} left the card's rx-udp-gro-forwarding as it was")
        self._read_symbols()
        self.quiet()
        # From here on: booting would take twice as long.
        self.counter.keep_pace(True)

    def add_peer(self):
        """A second guest, for traffic from guest to guest."""
        self.without_generators()
        self.counter.keep_pace(False)
        # The hotplug script of the new guest sets up the card too.
        self.settings.pop("cards", None)
        self.peer = self._guest("g2", SECOND_HOST, SECOND_GUEST_CPU)
        space = self.spaces[SECOND_GUEST_CPU]
        learned = Space(space.domain, space.kernel + kallsyms.of_modules(self.peer), space.xen, loops=space.loops)
        self.spaces = self.first_spaces = {**self.first_spaces, SECOND_GUEST_CPU: learned}
        self.quiet()
        self.counter.keep_pace(True)
        # The new guest has to learn its routes.
        self.net = None

    def _guest(self, name, host, cpu):
        vifs = [hosts.vif(net, host, script) for net, script in sorted(self.vifs.items())]
        guest = self.lab.new_guest(name, host, vifs, [FRONT, STOCK_FRONT], options=self.guest_options, cpu=cpu)
        for net in self.vifs:
            guest.wait_link(net)
        return guest

    def _read_symbols(self):
        xen = symbols.xen_map(xen_map().read_text())
        core = kallsyms.of_kernel(self.cards_host)
        dom0 = core + kallsyms.of_modules(self.cards_host)
        guest = core + kallsyms.of_modules(self.subject)
        loops = waiting_loops()
        self.spaces = self.first_spaces = {
            0: Space(0, dom0, xen, loops=loops), GUEST_CPU: Space(1, guest, xen, loops=loops),
            # Which has nothing but Xen and the kernel's own symbols until there is a second guest.
            SECOND_GUEST_CPU: Space(1, core, xen, loops=loops)}
        # Modules that were loaded later, by the CPU that runs them.
        self.learned = set()
        # A function of the kernel counts once for both domains: the plugin tells the CPUs apart.
        lines = [*probes.requests(probes.XEN, xen), *probes.requests(probes.KERNEL, core), *card_probe(dom0)]
        self.counter.probe(lines)

    def without_generators(self):
        for host in self.generating:
            pktgen.unload(host)
        self.generating.clear()
        self.generators.clear()
        self.spaces, self.learned = self.first_spaces, set()

    def learn(self, host, module):
        """Takes in the symbols of a module that was loaded after the boot, once."""
        vcpu = 0 if host is self.cards_host else GUEST_CPU
        if (vcpu, module) not in self.learned:
            space = self.spaces[vcpu]
            kernel = space.kernel + kallsyms.of_module(host, module)
            self.spaces = {**self.spaces, vcpu: Space(space.domain, kernel, space.xen, loops=space.loops)}
            self.learned.add((vcpu, module))

    @property
    def address(self):
        return self.subject.address(self.net)

    def use(self, configuration, tcp=False):
        """Moves the cards into the bridge of the configuration's vif."""
        if self.net != configuration.net:
            bridge = f"br{configuration.net}"
            for card in self.cards:
                self.cards_host.run(f"ip link set {card} master {bridge}")
            self.net = configuration.net
            self.world.join(self.net)
            for guest in filter(None, (self.subject, self.peer)):
                guest.run(f"ip route replace {outside.NET} dev {self.link(guest)}")
        self.set_cards(configuration, tcp)
        for host, commands in ((self.cards_host, configuration.dom0), (self.subject, configuration.guest)):
            for command in commands:
                host.run(command.format(vif=self.subject.vif(self.index()), link=self.link(self.subject)))
        self.world.resolve(self.address)

    def link(self, guest):
        """The name of a guest's device that is in use."""
        key = guest.name, self.net
        if key not in self.links:
            self.links[key] = guest.link(self.net)
        return self.links[key]

    def index(self):
        """Which of the guest's devices is in use."""
        return sorted(self.vifs).index(self.net)

    @property
    def ends(self):
        """The two ends of the vif in use, as (host, name of its device): the driver domain's and the guest's."""
        return ((self.cards_host, self.subject.vif(self.index())), (self.subject, self.link(self.subject)))

    def begin_anew(self, configuration):
        guests = [guest for guest in (self.subject, self.peer) if guest and configuration.adaptive]
        ends = [(self.cards_host, guest.vif(self.index())) for guest in guests]
        ends += [(guest, self.link(guest)) for guest in guests]
        # Switched off and on: then it is as it was when the devices came.
        command = "ethtool -C {0} adaptive-rx off adaptive-tx off && ethtool -C {0} adaptive-rx on adaptive-tx on"
        for running in [host.start(command.format(link)) for host, link in ends]:
            running.wait()

    def drivers(self):
        """What the two ends of the vif in use say that they are."""
        if self.net not in self.driver_names:
            self.driver_names[self.net] = tuple(host.driver_of(link) for host, link in self.ends)
        return self.driver_names[self.net]


def boot(configurations, folder, cache=False):
    """The machine for configurations that share one (`Configuration.boot`)."""
    if configurations[0].machine == "native":
        machine = Native(folder, cache)
    else:
        machine = Xen(folder, configurations, cache)
    try:
        machine.set_up()
    except BaseException as error:
        check_alive(machine.machine, error)
        # Nobody else can: two machines at once would be too slow for their limits.
        machine.machine.kill()
        raise
    return machine
