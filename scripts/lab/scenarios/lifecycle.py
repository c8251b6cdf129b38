"""Drivers, devices and guests come and go under traffic; nothing stays behind."""
import re
import time

from config import OUR_SCRIPT
from hosts import load_command, unload_command, vif
from scenario import scenario

# (all, those of a quick check)
ROUNDS = 20, 3
KILLS = 10, 2
UNLOADS = 20, 4


@scenario("reload_front", kinds=("ours",), seconds=600)
def reload_front(lab):
    """The guest's driver is removed and loaded again under traffic, again and again. (The stock one stays in use.)"""
    guest = lab.new_guest("reload", 21)
    guest.wait_link()
    traffic = lab.traffic(guest)
    with lab.no_leaks(), traffic:
        for _ in range(lab.rounds(*ROUNDS)):
            guest.run(f"{unload_command(lab.front)} && {load_command(lab.front)}")
            traffic.recovers()


@scenario("reload_back", kinds=("ours",), seconds=600)
def reload_back(lab):
    """dom0's driver is removed and loaded again under traffic, again and again. (The stock frontend does not come back.)"""
    lab.no_standing_guest()
    guest = lab.new_guest("reload", 22)
    guest.wait_link()
    traffic = lab.traffic(guest)
    with lab.no_leaks(), traffic:
        for _ in range(lab.rounds(*ROUNDS)):
            lab.dom0.run(f"{unload_command(lab.back)} && {load_command(lab.back)}")
            lab.wait_bridged(guest)
            traffic.recovers()
    guest.destroy()
    lab.dom0.load(*lab.back_drivers())


@scenario("open_debugfs", kinds=("ours",), seconds=120)
def open_debugfs(lab):
    """A file in debugfs that somebody has open keeps the module, but not its device, and is closed without harm."""
    lab.no_standing_guest()
    guest = lab.new_guest("open", 23, vifs=[vif(0, 23, lab.script), vif(1, 23, lab.script)])
    guest.wait_link(0)
    guest.wait_link(1)
    device = guest.last_device()
    # (where, its driver, the file)
    for host, driver, of_vif in ((lab.dom0, lab.back, f"vif-{guest.domain}-{device}"), (guest, lab.front, f"vif-{device}")):
        folder = f"/sys/kernel/debug/{driver}"
        host.run(f"grep -q 'towards this end' {folder}/{of_vif}")
        # The file is read in part, then not any more.
        said = host.run(f"exec 3<{folder}/{of_vif} && head -c 1 <&3 && rmmod {driver}", check=False)
        lab.expect(not said.ok and "is in use" in said.out + said.err,
                   f"rmmod while a file is open: {said.code}, {said.out}{said.err}")
    file = f"/sys/kernel/debug/{lab.back}/vif-{guest.domain}-{device}"
    holding = lab.dom0.start(f"exec 3<{file} && while [ -e {file} ]; do sleep 0.1; done; cat <&3")
    guest.detach(device)
    guest.wait_gone(device)
    said = holding.wait(check=False)
    lab.expect(not said.ok and "put/output" in said.err, f"a file whose device has gone: {said.code}, {said.out}{said.err}")
    for host, driver in ((guest, lab.front), (lab.dom0, lab.back)):
        host.run(unload_command(driver))
        host.run(load_command(driver))
    lab.wait_bridged(guest)
    guest.wait_link()
    guest.destroy()
    lab.dom0.load(*lab.back_drivers())


@scenario("without_debugfs", kinds=("ours",), seconds=240, long=True, dom0_options="debugfs=off")
def without_debugfs(lab):
    """Where the kernels have debugfs switched off, both modules load all the same, and carry traffic."""
    guest = lab.new_guest("nodebug", 24, options="debugfs=off")
    guest.wait_link()
    for host, driver, link in ((lab.dom0, lab.back_name, guest.vif()), (guest, lab.front_name, guest.link())):
        lab.expect(host.driver_of(link) == driver, f"{link} belongs to {host.driver_of(link)}, not to {driver}")
        lab.expect("debugfs=off" in host.output("cat /proc/cmdline"), f"{driver} has debugfs")
    traffic = lab.traffic(guest)
    traffic.check(lab.dom0, guest, traffic.there, "tcp", "--dir both --seconds 1")


@scenario("unload_while_vifs_go", kinds=("ours",), seconds=600)
def unload_while_vifs_go(lab):
    """dom0's driver is removed while its vifs are: the thread that does the one must not wait for that of the other."""
    lab.no_standing_guest()
    dom0, handles = lab.dom0, range(90, 98)
    # Alone: after its first round it would be asked after the stock one.
    dom0.load(lab.back)
    # Vifs between dom0 and nobody, so that a round takes seconds. The frontends are where no driver looks for them.
    backend, frontend = "/local/domain/0/backend/vif/0", "/local/domain/0/data/nobody"
    nodes = " ".join(f"{frontend}/{n}/state 1 {backend}/{n}/frontend {frontend}/{n} {backend}/{n}/frontend-id 0 {backend}/{n}/handle {n} "
                     f"{backend}/{n}/script {OUR_SCRIPT} {backend}/{n}/online 0 {backend}/{n}/state 1" for n in handles)
    there = " && ".join(f"[ -e /sys/bus/xen-backend/drivers/{lab.back}/vif-0-{n} -a -e /sys/class/net/vif0.{n} ]" for n in handles)
    goes = (
        # xenwatch finds the devices' directories gone.
        f"xenstore-rm {backend}",
        # xenwatch is called by each device, which then asks to be removed.
        "xenstore-write " + " ".join(f"{frontend}/{n}/state 6" for n in handles))
    rounds = lab.rounds(*UNLOADS)
    try:
        for number in range(rounds):
            dom0.run(f"xenstore-write {nodes}")
            dom0.wait_until(there, 30)
            # From well before the removal to its end.
            later = 0.04 * (number // 2) / rounds
            dom0.run(f"({goes[number % 2]}) & sleep {later:.3f}; rmmod {lab.back} && wait", 30)
            dom0.run(f"xenstore-rm {frontend}; xenstore-rm {backend} 2>/dev/null; {load_command(lab.back)}", 30)
    finally:
        dom0.load(*lab.back_drivers())


@scenario("attach_detach", seconds=600)
def attach_detach(lab):
    """A second device is attached and detached under traffic, again and again."""
    guest = lab.guest()
    traffic = lab.traffic(guest, net=1)
    with lab.no_leaks():
        # It goes on between the rounds, and meets a device that comes or goes at every moment.
        with traffic:
            for _ in range(lab.rounds(*ROUNDS)):
                guest.attach(vif(1, guest.host, lab.script))
                guest.wait_link(1)
                time.sleep(0.5)
                device = guest.last_device()
                guest.detach(device)
                guest.wait_gone(device)
    guest.wait_link()


@scenario("kill", seconds=900)
def kill(lab):
    """Guests are destroyed under traffic."""
    def victim(number):
        return lab.new_guest(f"victim{number}", 100 + number, create=False).create(ready=False)

    lab.no_standing_guest()
    kills = lab.rounds(*KILLS)
    with lab.no_leaks():
        following = victim(0)
        for number in range(kills):
            # dom0 makes the next one while this one boots.
            guest, following = following, victim(number + 1) if number + 1 < kills else None
            guest.wait_agent()
            guest.wait_link()
            with lab.traffic(guest) as traffic:
                traffic.carries()
                guest.destroy()
            lab.guests.remove(guest)


@scenario("pause", seconds=240, long=True)
def pause(lab):
    """A guest stands still for 15 s under traffic from dom0, and goes on."""
    # From the stack's watchdog the backend learns that the guest takes nothing, and switches the carrier off.
    lab.expected.append(re.compile(r"netchannel2_back .* NETDEV WATCHDOG: .* timed out"))
    guest = lab.guest()
    traffic = lab.traffic(guest)
    with traffic:
        lab.dom0.run(f"xl pause {guest.name}")
        time.sleep(15)
        lab.dom0.run("true")
        lab.dom0.run(f"xl unpause {guest.name}")
        traffic.recovers()
    traffic.check(lab.dom0, guest, traffic.there, "tcp", "--dir both --seconds 1")


@scenario("save_restore", seconds=300)
def save_restore(lab):
    """A guest is saved to a file, restored from it, and has its network again."""
    guest = lab.new_guest("saved", 24)
    guest.wait_link()
    before = lab.traffic(guest)
    before.check(lab.dom0, guest, before.there, "tcp", "--dir both --seconds 1")
    for _ in range(lab.rounds(2, 1)):
        lab.dom0.run(f"xl save {guest.name} /run/saved.img", 120)
        lab.dom0.run("xl restore /run/saved.img", 120)
        guest.domain = int(lab.dom0.output(f"xl domid {guest.name}"))
        guest.wait_agent()
        guest.wait_link()
    lab.expect(guest.driver_of(guest.link()) == lab.front_name, "another driver has the device after restore")
    after = lab.traffic(guest)
    after.check(lab.dom0, guest, after.there, "tcp", "--dir both --seconds 1")
    lab.dom0.run("rm -f /run/saved.img")
