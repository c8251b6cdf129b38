"""A guest comes up and carries packets."""
import time

from config import DEBIAN_SCRIPT
from hosts import vif
from scenario import scenario

MTU_OVERHEAD = 28  # IPv4 and ICMP headers
SWEEP_STEP = 61    # for the largest MTU, coprime to the page size: every offset within a page comes up


@scenario("stock_ping")
def stock_ping(lab):
    """The lab itself: a guest on the stock drivers answers ping."""
    guest = lab.new_guest("plain", 31, vifs=[vif(0, 31, DEBIAN_SCRIPT)])
    guest.wait_link()
    lab.expect(guest.driver_of(guest.link()) == "vif", "the guest's device is not xen-netfront's")


@scenario("connect")
def connect(lab):
    """The guest's vif is taken by the drivers under test, and answers ping."""
    guest = lab.guest()
    back, front = lab.dom0.driver_of(guest.vif()), guest.driver_of(guest.link())
    lab.expect(back == lab.back_name, f"dom0's {guest.vif()} belongs to {back}")
    lab.expect(front == lab.front_name, f"the guest's device belongs to {front}")
    lab.dom0.run(f"ping -q -c 5 -i 0.2 {guest.address()}")
    guest.run("ping -q -c 5 -i 0.2 10.0.0.1")


@scenario("hotplug")
def hotplug(lab):
    """Debian's vif-bridge, to which our hotplug script hands on by default, bridges a vif; after a reload udev does."""
    guest = lab.guest()
    with lab.debian_hotplug() as script:
        guest.attach(vif(1, guest.host, script))
        guest.wait_link(1)
        device = guest.last_device()
        # What only vif-bridge does: it tells the guest its MTU.
        mtu = lab.dom0.store(f"/local/domain/{guest.domain}/device/vif/{device}/mtu")
        lab.expect(mtu == "1500", f"vif-bridge wrote the MTU {mtu}")
        if lab.kind == "ours":
            lab.dom0.load(*lab.back_drivers())
            lab.wait_bridged(guest, device)
            guest.wait_link(1)
        guest.detach(device)
        guest.wait_gone(device)
        lab.wait_bridged(guest)
    guest.wait_link()


# Sends datagrams of some sizes and prints those of which the kernel says when they were sent.
STAMPED = """
import select, socket, sys
TIMESTAMPING, TX_SOFTWARE, SOFTWARE = 37, 1 << 1, 1 << 4
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, TIMESTAMPING, TX_SOFTWARE | SOFTWARE)
errors = select.poll()
errors.register(out, 0)
for size in sys.argv[2:]:
    out.sendto(bytes(int(size)), (sys.argv[1], 9))
    while errors.poll(5000):
        if any(kind == TIMESTAMPING for _, kind, _ in out.recvmsg(4096, 512, socket.MSG_ERRQUEUE)[1]):
            print(size)
            break
"""


@scenario("time_stamps")
def time_stamps(lab):
    """Programs that ask when their packet was sent are told, whatever its size."""
    guest = lab.guest()
    sizes = ["10", "400", "1400"]
    stamped = lab.dom0.output(f"python3 -c '{STAMPED}' {guest.address()} {' '.join(sizes)}").split()
    lab.expect(stamped == sizes, f"of {sizes} only {stamped} had a time stamp")


def sweep_both_ways(lab, guest, largest, step):
    traffic = lab.traffic(guest)
    for client, server, address in traffic.directions():
        traffic.check(client, server, address, "ping-sweep", f"--from 0 --to {largest} --step {step}", 240)


@scenario("sweep")
def sweep(lab):
    """ICMP echoes of every size that fits an MTU of 1500, content-checked, both ways."""
    sweep_both_ways(lab, lab.guest(), 1500 - MTU_OVERHEAD, 1)


def with_largest_mtu(lab, guest, action):
    """Runs action(mtu) with the largest MTU that both ends take."""
    back, front = guest.vif(), guest.link()
    largest = "ip -d link show {} | grep -o 'maxmtu [0-9]*' | cut -d' ' -f2"
    mtu = min(int(lab.dom0.output(largest.format(back))), int(guest.output(largest.format(front))))

    def set_mtu(value):
        guest.run(f"ip link set {front} mtu {value}")
        lab.dom0.run(f"ip link set {back} mtu {value}; ip link set br0 mtu {value}")

    set_mtu(mtu)
    try:
        action(mtu)
    finally:
        set_mtu(1500)


@scenario("sweep_large", seconds=300)
def sweep_large(lab):
    """Sizes up to the largest MTU that both ends take, in steps that visit every offset in a page."""
    guest = lab.guest()
    with_largest_mtu(lab, guest, lambda mtu: sweep_both_ways(lab, guest, mtu - MTU_OVERHEAD, SWEEP_STEP))


@scenario("sweep_every", seconds=3600, by_name_only=True)
def sweep_every(lab):
    """Every single size up to the largest MTU."""
    guest = lab.guest()
    with_largest_mtu(lab, guest, lambda mtu: sweep_both_ways(lab, guest, mtu - MTU_OVERHEAD, 1))


@scenario("tcp_udp", seconds=240)
def tcp_udp(lab):
    """TCP, UDP and one-byte transactions both ways, every byte checked; iperf3 both ways."""
    guest = lab.guest()
    traffic = lab.traffic(guest)
    for client, server, address in traffic.directions():
        traffic.check(client, server, address, "tcp", f"--dir both --seconds {lab.rounds(3, 1)} --streams 2")
        for size in (20, 200, 1472, 9000, 40000):
            traffic.check(client, server, address, "udp", f"--size {size} --count 500 --window 8 --max-loss 1")
        traffic.check(client, server, address, "rr", "--seconds 1")
        traffic.iperf(client, server, address, lab.rounds(2, 1))


@scenario("agent")
def agent(lab):
    """The control channels, dom0's and a guest's, answer within a second."""
    guest = lab.guest()
    for host in (lab.dom0, guest):
        times = []
        for _ in range(10):
            start = time.monotonic()
            host.run("true")
            times.append(time.monotonic() - start)
        # The best of ten: this machine may be busy with other things. Alone it takes a tenth of this.
        lab.expect(min(times) < 1, f"a command in {host.name} takes {min(times):.2f} s at best")
