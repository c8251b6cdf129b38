"""Interrupt moderation: its knobs at both ends, what they do to events, and that nothing is lost by them."""
import re
import time

from config import STOCK_BACK
from hosts import load_command, unload_command
from machine import LabError
from scenario import scenario

KNOBS = ("rx-usecs", "rx-frames", "tx-usecs", "tx-frames")
FOLDER = "/sys/class/net/{}/netchannel2"
# dom0's defaults of max_usecs and max_frames.
MAX_USECS, MAX_FRAMES = 1000, 128


def coalesce(host, link):
    """What `ethtool -c` shows: a dictionary with adaptive-rx and -tx as "on" or "off", and the numbers."""
    out = host.output(f"ethtool -c {link}")
    found = dict(re.findall(r"^([rt]x-(?:usecs|frames)):\s*(\d+)", out, re.M))
    adaptive = re.search(r"Adaptive RX: (\w+)\s+TX: (\w+)", out)
    if not adaptive or len(found) != 4:
        raise LabError(f"ethtool -c {link} says {out}")
    return {**{knob: int(found[knob]) for knob in KNOBS}, "adaptive-rx": adaptive[1], "adaptive-tx": adaptive[2]}


def counters(host, link):
    """`ethtool -S` as a dictionary."""
    return {name: int(value) for name, value in re.findall(r"^\s*(\w+): (\d+)$", host.output(f"ethtool -S {link}"), re.M)}


def set_fixed(host, link, **values):
    host.run(f"ethtool -C {link} adaptive-rx off adaptive-tx off")
    # What is so already is an error in older versions of ethtool, and none of interest.
    for knob, value in values.items():
        knob = knob.replace("_", "-")
        if coalesce(host, link)[knob] != value:
            host.run(f"ethtool -C {link} {knob} {value}")


def set_adaptive(host, link):
    host.run(f"ethtool -C {link} adaptive-rx on adaptive-tx on")


def ends(lab, guest):
    """(host, link, the other host, its link)."""
    back, front = guest.vif(), guest.link()
    return ((guest, front, lab.dom0, back), (lab.dom0, back, guest, front))


@scenario("moderation_knobs", kinds=("ours",), seconds=200)
def moderation_knobs(lab):
    """Each knob goes through ethtool and sysfs and back, at both ends; wrong ones are refused by name."""
    guest = lab.guest()
    for host, link, _, _ in ends(lab, guest):
        shown = coalesce(host, link)
        lab.expect(shown["adaptive-rx"] == shown["adaptive-tx"] == "on", f"{host.name}: the default is {shown}")
        folder = FOLDER.format(link)
        set_fixed(host, link, rx_usecs=77, rx_frames=33, tx_usecs=0, tx_frames=99)
        shown = coalesce(host, link)
        lab.expect([shown[knob] for knob in KNOBS] == [77, 33, 0, 99], f"{host.name}: {shown} after 77 33 0 99")
        in_sysfs = host.output(f"cd {folder}; cat rx_usecs rx_frames tx_usecs tx_frames adaptive_rx adaptive_tx").split()
        lab.expect(in_sysfs == ["77", "33", "0", "99", "0", "0"], f"{host.name}: sysfs says {in_sysfs}")
        host.run(f"echo 44 >{folder}/rx_usecs; echo 1 >{folder}/adaptive_tx")
        shown = coalesce(host, link)
        lab.expect(shown["rx-usecs"] == 44 and shown["adaptive-tx"] == "on", f"{host.name}: {shown} after sysfs")
        host.run(f"ethtool -Q {link} queue_mask 0x1 --coalesce adaptive-tx off tx-usecs 55")
        lab.expect(coalesce(host, link)["tx-usecs"] == 55, f"{host.name}: -Q does not set")
        per_queue = host.output(f"ethtool -Q {link} queue_mask 0x1 --show-coalesce")
        lab.expect(re.search(r"tx-usecs:\s*55", per_queue), f"{host.name}: -Q shows {per_queue}")
        refused(lab, host, link, folder)
        set_adaptive(host, link)
    guest.run("ping -q -c 5 -i 0.2 10.0.0.1")


def refused(lab, host, link, folder):
    before = coalesce(host, link)
    for words, expected in (
            ("rx-usecs 10001", "rx_usecs is 10001: not in 0..=10000"),
            ("tx-usecs 4294967295", "tx_usecs is 4294967295: not in 0..=10000"),
            ("rx-frames 0", "rx_frames is 0: not in 1..=128"),
            ("tx-frames 129", "tx_frames is 129: not in 1..=128"),
            ("rx-usecs-irq 5", "unsupported")):
        result = host.run(f"ethtool -C {link} {words}", check=False)
        lab.expect(not result.ok and expected in result.err + result.out,
                   f"{host.name}: ethtool -C {words} ends with {result.code}: {result.out}{result.err}")
    host.run(f"ethtool -C {link} adaptive-rx on")
    result = host.run(f"ethtool -C {link} rx-usecs 5", check=False)
    lab.expect(not result.ok and "rx_usecs has no effect while adaptive_rx is on" in result.err + result.out,
               f"{host.name}: rx-usecs beside adaptive-rx: {result.out}{result.err}")
    host.run(f"ethtool -C {link} adaptive-rx off")
    for knob, value in (("rx_usecs", "10001"), ("tx_frames", "0"), ("adaptive_rx", "2"), ("max_usecs", "70000"),
                        ("max_frames", "129"), ("max_usecs", "banana"), ("rx_frames", "-1"), ("rx_frames", "")):
        result = host.run(f"echo '{value}' >{folder}/{knob}", check=False)
        lab.expect(not result.ok, f"{host.name}: {knob} takes {value!r}")
    lab.expect(coalesce(host, link) == before, f"{host.name}: {coalesce(host, link)} after what was refused, {before} before")


@scenario("moderation_bounds", kinds=("ours",), seconds=200, long=True)
def moderation_bounds(lab):
    """An administrator's bounds cut what the other end asks for, which sees it; bad parameters are refused at load."""
    guest = lab.new_guest("bounds", 62)
    guest.wait_link()
    for asking, link, bounding, other in ends(lab, guest):
        folder = FOLDER.format(other)
        lab.expect(bounding.output(f"cat {folder}/max_usecs {folder}/max_frames").split() == [str(MAX_USECS), str(MAX_FRAMES)],
                   f"{bounding.name} has other bounds")
        set_fixed(asking, link, rx_usecs=5000, rx_frames=128, tx_usecs=10)
        shows(lab, asking, link, **{"rx-usecs": MAX_USECS, "rx-frames": 128, "tx-usecs": 10})
        bounding.run(f"echo 70 >{folder}/max_usecs; echo 16 >{folder}/max_frames")
        shows(lab, asking, link, **{"rx-usecs": 70, "rx-frames": 16, "tx-usecs": 10})
        # What is not touched stays wanted, and comes back with the bounds.
        asking.run(f"ethtool -C {link} tx-usecs 20")
        bounding.run(f"echo 10000 >{folder}/max_usecs; echo 128 >{folder}/max_frames")
        shows(lab, asking, link, **{"rx-usecs": 5000, "rx-frames": 128, "tx-usecs": 20})
        bounding.run(f"echo {MAX_USECS} >{folder}/max_usecs")
        set_adaptive(asking, link)
    guest.run(unload_command(lab.front))
    for options, expected in (("rx_usecs=10001", "rx_usecs is 10001: not in 0..=10000"),
                              ("tx_frames=0", "tx_frames is 0: not in 1..=128"),
                              ("adaptive_rx=2", "adaptive_rx is 2: not in 0..=1"),
                              ("max_frames=1000", "max_frames is 1000: not in 1..=128")):
        result = guest.run(load_command(lab.front, options), check=False)
        lab.expect(not result.ok, f"{lab.front} is loaded with {options}")
        lab.expect(expected in guest.output("dmesg | tail -n 5"), f"no words about {options}")
    guest.run(load_command(lab.front, "adaptive_rx=0 rx_usecs=123 max_usecs=9"))
    guest.wait_link()
    lab.expect(coalesce(guest, guest.link())["rx-usecs"] == 123, "the parameter rx_usecs is not the device's")
    lab.expect(guest.output(f"cat {FOLDER.format(guest.link())}/max_usecs") == "9", "the parameter max_usecs is not the device's")


def shows(lab, host, link, seconds=5, **expected):
    """Waits until `ethtool -c` shows what the other end has said."""
    end = time.monotonic() + seconds
    while True:
        shown = coalesce(host, link)
        if all(shown[knob] == value for knob, value in expected.items()):
            return
        lab.expect(time.monotonic() < end, f"{host.name}: {link} shows {shown}, expected {expected}")
        time.sleep(0.1)


@scenario("moderation_timer", kinds=("ours",), seconds=200, long=True)
def moderation_timer(lab):
    """A burst that ends short of the frames is delivered by the timer, to either end; frames end the wait sooner."""
    guest = lab.guest()
    for host, link, other, peer_link in ends(lab, guest):
        other.run(f"echo 10000 >{FOLDER.format(peer_link)}/max_usecs")
        address = guest.address() if host is guest else "10.0.0.1"
        set_fixed(host, link, rx_usecs=10000, rx_frames=64, tx_usecs=0, tx_frames=64)
        shows(lab, host, link, **{"rx-usecs": 10000})
        before = counters(other, peer_link)
        # Each ping is a burst of one.
        out = other.output(f"ping -c 10 -i 0.3 {address}")
        waited = counters(other, peer_link)["event_time_reached"] - before["event_time_reached"]
        mean = float(re.search(r"= [\d.]+/([\d.]+)/", out)[1])
        lab.expect(" 0% packet loss" in out, f"{other.name}: pings are lost: {out}")
        # One or two may meet an end that is awake for another packet.
        lab.expect(waited >= 8, f"{other.name} raised {waited} events by time for 10 pings")
        lab.expect(mean >= 10, f"{other.name}: a ping takes {mean} ms, with a wait of 10 ms")
        set_fixed(host, link, rx_frames=1)
        before = counters(other, peer_link)
        out = other.output(f"ping -c 10 -i 0.3 {address}")
        after = counters(other, peer_link)
        lab.expect(after["event_time_reached"] == before["event_time_reached"], f"{other.name} waits with rx-frames 1")
        lab.expect(after["event_immediate"] > before["event_immediate"], f"{other.name} raises no event at once")
        set_fixed(host, link, rx_frames=4)
        before = counters(other, peer_link)
        # More than four packets within 10 ms: frames end the wait.
        other.run(f"ping -q -c 400 -f -l 40 {address}", check=False)
        reached = counters(other, peer_link)["event_frames_reached"] - before["event_frames_reached"]
        lab.expect(reached > 0, f"{other.name} raised no event by frames")
        set_adaptive(host, link)
        other.run(f"echo {MAX_USECS} >{FOLDER.format(peer_link)}/max_usecs")


# Values that seem to come at random and are the same each time; bounds are changed beside the settings.
CHANGES = """cd %(folder)s || exit; i=%(start)s; end=$(( $(date +%%s) + %(seconds)s ))
pick() { n=$1; shift; shift $(( (i * n + i / 3) %% $# )); echo $1; }
while [ $(date +%%s) -lt $end ]; do
    i=$((i + 1))
    pick 3 0 50 1000 10000 >max_usecs; pick 5 1 8 128 >max_frames
    for way in rx tx; do
        echo 0 >adaptive_$way; pick 7 0 1 20 300 10000 >${way}_usecs; pick 11 1 2 17 64 128 >${way}_frames
        pick 13 0 1 0 >adaptive_$way
    done
    sleep 0.1
done
echo $i"""


@scenario("moderation_random", kinds=("ours",), seconds=600, long=True)
def moderation_random(lab):
    """Knobs are changed at random at both ends under traffic: no stall, no damage."""
    guest = lab.new_guest("random", 64)
    guest.wait_link()
    traffic = lab.traffic(guest)
    places = ends(lab, guest)
    seconds = 180
    with traffic:
        changing = [host.start(CHANGES % {"folder": FOLDER.format(link), "seconds": seconds, "start": start}, seconds + 60)
                    for start, (host, link, _, _) in enumerate(places)]
        changes = [int(running.wait().out.split()[-1]) for running in changing]
        lab.dom0.run(f"ping -q -c 3 -W 5 {guest.address()}")
    lab.expect(min(changes) > seconds // 2, f"only {changes} changes")
    for host, link, _, _ in places:
        found = counters(host, link)
        lab.expect(sum(found[f"event_{cause}"] for cause in ("frames_reached", "time_reached", "batch_end")) > 0,
                   f"{host.name}: no event was moderated: {found}")
    traffic.check(lab.dom0, guest, traffic.there, "tcp", "--dir both --seconds 2")


@scenario("moderation_survives", kinds=("ours",), seconds=400, long=True)
def moderation_survives(lab):
    """Settings outlive a reload of the other end's driver, and a guest's outlive save and restore."""
    lab.no_standing_guest()
    try:
        survives(lab)
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


def survives(lab):
    guest = lab.new_guest("keeps", 65, memory=256)
    guest.wait_link()
    set_fixed(lab.dom0, guest.vif(), rx_usecs=333, rx_frames=22)
    guest.run(f"{unload_command(lab.front)} && {load_command(lab.front)}")
    guest.wait_link()
    shows(lab, lab.dom0, guest.vif(), **{"rx-usecs": 333, "rx-frames": 22})
    raises(lab, lab.dom0, guest, guest.link())
    set_fixed(guest, guest.link(), rx_usecs=444, rx_frames=11)
    # The stock driver behind ours again, so that ours is asked first for the restored guest's vif.
    for driver in (lab.back, STOCK_BACK):
        lab.dom0.run(f"{unload_command(driver)} && {load_command(driver)}")
    lab.wait_bridged(guest)
    guest.wait_link()
    shows(lab, guest, guest.link(), **{"rx-usecs": 444, "rx-frames": 11})
    raises(lab, guest, lab.dom0, guest.vif())
    lab.dom0.run(f"xl save {guest.name} /run/saved.img", 120)
    lab.dom0.run("xl restore /run/saved.img; rm -f /run/saved.img", 120)
    guest.domain = int(lab.dom0.output(f"xl domid {guest.name}"))
    guest.wait_agent()
    guest.wait_link()
    shows(lab, guest, guest.link(), **{"rx-usecs": 444, "rx-frames": 11})
    raises(lab, guest, lab.dom0, guest.vif())
    guest.destroy()


def raises(lab, host, other, link):
    """Fails unless `other` keeps `host`'s events back as long as it has been told, after a new connection too."""
    before = counters(other, link)["event_time_reached"]
    other.run(f"ping -q -c 5 -i 0.2 {lab_address(lab, host)}")
    lab.expect(counters(other, link)["event_time_reached"] > before, f"{other.name} does not do as {host.name} wishes any more")


def lab_address(lab, host):
    return "10.0.0.1" if host is lab.dom0 else host.address()
