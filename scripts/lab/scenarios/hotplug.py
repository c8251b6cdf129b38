"""What our hotplug script does to the interfaces of vifs and to the driver domain's network cards."""
import contextlib

from config import DEBIAN_SCRIPT, LAB_SCRIPT, STOCK_FRONT
from hosts import load_command, unload_command, vif
from scenario import scenario

LOG = "/var/log/xen/xen-hotplug.log"
NET = 2
CARD_MAC = "00:16:3e:ff:03:01"


@contextlib.contextmanager
def card(lab):
    """A card of dom0's in the bridge of network 2, by name: the lab has none, and xen-netfront in dom0 makes one."""
    dom0 = lab.dom0
    dom0.run(f"{load_command(STOCK_FRONT)} && xl network-attach 0 mac={CARD_MAC} bridge=br0 script={LAB_SCRIPT}")
    find = f"grep -lx {CARD_MAC} /sys/class/net/*/address | cut -d/ -f5"
    # udev renames it when it has seen it.
    dom0.wait_until(f"udevadm settle; [ -n \"$({find})\" ]")
    name = dom0.output(find)
    # Its other end leads nowhere.
    dom0.run(f"ip link set {name} master br{NET} up; ip link set vif0.0 nomaster")
    try:
        yield name
    finally:
        dom0.run(f"xl network-detach 0 {CARD_MAC} && {unload_command(STOCK_FRONT)}")


def detach(guest, device, vifname=None):
    """Takes a device away, and waits until its backend, which may have a name of its own, has left dom0."""
    guest.detach(device)
    guest.wait_gone(device)
    if vifname:
        guest.dom0.wait_until(f"[ ! -e /sys/class/net/{vifname} ]", 20)


def check_rebind(lab, guest, device, interface):
    """Expects that our script's `rebind`, called for an interface that is up, leaves everything as it is."""
    dom0, path = lab.dom0, f"backend/vif/{guest.domain}/{device}"
    # Out of its bridge, where another run of the script for the toolstack would put it back.
    dom0.run(f"ip link set {interface} nomaster")
    dom0.run(f"XENBUS_PATH={path} vif={guest.vif(device)} /etc/xen/scripts/vif-netchannel2 rebind")
    status = dom0.store(f"{path}/hotplug-status")
    lab.expect(status == "connected", f"{interface}: hotplug-status is {status} after another rebind")
    lab.expect(not dom0.run(f"[ -e /sys/class/net/{interface}/master ]", check=False).ok,
               f"{interface} is up, and the script has run for it a second time")
    dom0.run(f"ip link set {interface} master br{NET}")
    guest.wait_link(NET)


@scenario("hotplug_rebind", kinds=("ours",), seconds=240, long=True)
def hotplug_rebind(lab):
    """udev's rebind sets an interface up that takes another's place, renamed ones too, and leaves one alone that is up."""
    dom0 = lab.dom0
    dom0.load(*lab.back_drivers())
    guest = lab.guest()
    with lab.debian_hotplug() as script:
        for vifname in (None, "renamed"):
            guest.attach(vif(NET, guest.host, script, vifname and f"vifname={vifname}"))
            guest.wait_link(NET)
            device = guest.last_device()
            interface = vifname or guest.vif(device)
            check_rebind(lab, guest, device, interface)
            dom0.load(*lab.back_drivers())
            dom0.wait_until(f"[ -e /sys/class/net/{interface}/master ]")
            guest.wait_link(NET)
            check_rebind(lab, guest, device, interface)
            detach(guest, device, vifname)
        # Of a guest that makes xen-netback take the vif.
        classic = lab.new_guest("renamed", 58, vifs=[vif(NET, 58, script, "vifname=renamed")], drivers=[STOCK_FRONT])
        classic.wait_link(NET)
        found = dom0.driver_of("renamed")
        lab.expect(found == "vif", f"the vif of a guest with xen-netfront belongs to {found}")
        check_rebind(lab, classic, 0, "renamed")
    lab.wait_bridged(guest)
    guest.wait_link()


@scenario("hotplug_udp_gro", kinds=("ours",), seconds=240, long=True)
def hotplug_udp_gro(lab):
    """Cards in the bridge of our vif put UDP together, unless UDP_GRO says no; a wrong setting is named in the log."""
    dom0 = lab.dom0
    # Ours is asked first, whatever a scenario left.
    dom0.load(*lab.back_drivers())
    guest = lab.guest()

    def feature(device):
        return dom0.output(f"ethtool -k {device} | sed -n 's/^rx-udp-gro-forwarding: //p'")

    def lines():
        return dom0.output(f"touch {LOG}; grep '^vif-netchannel2: ' {LOG}; true").splitlines()

    def attach(setting, vifname=None):
        """The state of card, vif and log when a second vif has come with the setting."""
        lab.hand_on_to(DEBIAN_SCRIPT if vifname else lab.stock_script)
        dom0.run(f"echo '{setting}' >>/etc/default/netchannel2; rm -f {LOG}")
        guest.attach(vif(NET, guest.host, lab.script, vifname and f"vifname={vifname}"))
        guest.wait_link(NET)
        device = guest.last_device()
        found = feature(name), feature(vifname or guest.vif(device)), lines()
        detach(guest, device, vifname)
        return found

    with card(lab) as name:
        try:
            lab.expect(feature(name) == "off", f"{name}'s rx-udp-gro-forwarding begins as {feature(name)}")
            found = attach("UDP_GRO=no")
            lab.expect(found == ("off", "off", []), f"UDP_GRO=no: {found}")
            found = attach("UDP_GRO=perhaps")
            lab.expect(found[:2] == ("off", "off") and len(found[2]) == 1 and 'UDP_GRO is "perhaps"' in found[2][0],
                       f"UDP_GRO=perhaps: {found}")
            found = attach("")
            lab.expect(found[:2] == ("on", "off") and len(found[2]) == 1 and f"{name} in br{NET}" in found[2][0],
                       f"by default: {found}")
            found = attach("UDP_GRO=yes")
            lab.expect(found == ("on", "off", []), f"a second time: {found}")
            dom0.run(f"ethtool -K {name} rx-udp-gro-forwarding off")
            found = attach("", vifname="renamed")
            lab.expect(found[:2] == ("on", "off") and len(found[2]) == 1, f"with a vifname: {found}")
            # As below a bond, whose name has no device behind it: the tree of a host that has one.
            said = dom0.output("d=/run/net; mkdir -p $d/bridge/lower_bond $d/bond/lower_c1 $d/bond/lower_c2 $d/c1/device "
                               "$d/c2/device $d/vif9.0/device $d/bridge/lower_vif9.0; "
                               "echo backend/vif/9/0 >$d/vif9.0/device/nodename; "
                               "unshare -m sh -c 'mount --bind /run/net /sys/class/net && "
                               "eval \"$(sed -n \"/^cards_below() {/,/^}/p\" /etc/xen/scripts/vif-netchannel2)\" && "
                               "cards_below bridge'; rm -r $d")
            lab.expect(said.split() == ["c1", "c2"], f"below a bond in a bridge there are {said.split()}, not c1 and c2")
        finally:
            lab.hand_on_to(lab.stock_script)
