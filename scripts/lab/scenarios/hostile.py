"""Hostile peers from scripts/hostile tell their lies to the drivers under test."""
import contextlib
import io
import json
import os
import re
import tarfile
import time

from config import FRONT, REPO
from hosts import vif
from lab import Skip
from machine import LabError
from scenario import scenario

SOURCE = REPO / "scripts/hostile"
FOLDER = "/run/hostile"
# A few lies at a time, so that what a log gains belongs to few, and fewer than a driver bears on one device.
BATCH = 6
# One lie for each rule that a peer may break: what `make check FULL=1` tells. The rest is told by name.
SAMPLE = {
    "front": "version-2 order-5 features-unknown tx-ref-stale port-closed prod-far cons-far first-packet size-7 type-200 "
             "length-65536 id-256 fragment-crosses-page csum-both reference-not-granted finish-unknown finish-twice "
             "credit-exceeded pool-add-twice pool-mapped-unsolicited pool-keeps-mapped staged-slot-1024 staged-slot-dropped "
             "staged-with-id way-1-not-negotiated moderation-packet-usecs-10001 moderation-flood vanish",
    "back": "offer-version-0 offer-order-0 offer-features-text prod-far cons-far first-packet size-7 type-200 "
            "length-65536 id-256 fragment-crosses-page csum-both reference-not-granted finish-unknown finish-twice "
            "credit-exceeded pool-add-twice pool-mapped-unsolicited pool-keeps-mapped staged-slot-1024 staged-slot-dropped "
            "staged-with-id way-1-not-negotiated moderation-packet-usecs-10001 moderation-flood vanish",
}
# Of these, one for each part of the driver: what `make check` tells.
QUICK = {
    "front": "version-2 prod-far size-7 fragment-crosses-page reference-not-granted finish-twice staged-slot-dropped "
             "moderation-flood vanish",
    "back": "offer-version-0 prod-far type-200 csum-both finish-unknown pool-keeps-mapped staged-slot-1024 vanish",
}
# How a driver begins the line that says why a channel ends.
CLOSING = "closing the channel: "
# Seconds for one lie under emulation beside a build; most take three.
LIE_LIMIT = 90

# What Xen says of the references that the liars make up, and Linux of pages that a liar holds on to or of packets that
# it never finishes: it is their doing.
EXPECTED = re.compile(r"\(XEN\).*grant_table\.c.*(Bad|bad) (grant )?ref|\(XEN\).*grant_table\.c.*Bad (flags|handle|frame)"
                      r"|deferring g\.e\. |WARNING: g\.e\. 0x[0-9a-f]+ still in use|NETDEV WATCHDOG: .* timed out")


@scenario("hostile_self", kinds=("ours", "stock"), seconds=300, long=True)
def hostile_self(lab):
    """The hostile frontend and the hostile backend, both behaving, carry pings between each other."""
    with liar_guest(lab, "liar", vifs=[]) as guest, no_backends(lab):
        guest.run("/hostile/run --list >/dev/null", 120)
        back = lab.dom0.start(tell("back", ["honest"], f"--domain {guest.domain} --seconds 90"), 180)
        guest.wait_until("ls /sys/bus/xen/devices | grep -q vif-1", 30)
        options = "--handle 1 --own-ip 10.0.119.1 --peer-ip 10.0.119.254 --seconds 5"
        front = results(guest.run(f"/hostile/run front honest {options}", 120, check=False))
        back = results(back.wait(check=False))
        for result in (*front, *back):
            lab.expect(result["small"] and result["large"], f"no pings: {result}")
        lab.expect(front[0]["ok"], f"the frontend's side: {front}")


@scenario("hostile_front_sample", kinds=("ours",), seconds=700)
def hostile_front_sample(lab):
    """A hostile frontend tells netchannel2_back one lie for each rule."""
    lying_frontend(lab, lab.rounds(SAMPLE, QUICK)["front"].split())


@scenario("hostile_back_sample", kinds=("ours",), seconds=700)
def hostile_back_sample(lab):
    """A hostile backend tells netchannel2_front one lie for each rule."""
    lying_backend(lab, lab.rounds(SAMPLE, QUICK)["back"].split())


@scenario("hostile_front", kinds=("ours",), seconds=3600, by_name_only=True)
def hostile_front(lab):
    """A hostile frontend in a guest tells every lie: netchannel2_back ends channel or packet, and says why once."""
    lying_frontend(lab)


@scenario("hostile_back", kinds=("ours",), seconds=3600, by_name_only=True)
def hostile_back(lab):
    """A hostile backend in dom0 tells every lie: netchannel2_front closes or goes on, and says why once."""
    lying_backend(lab)


def lying_frontend(lab, names=None):
    """Tells netchannel2_back lies from a guest: those with these names, or all; returns what came of each."""
    network = [vif(0, 41, "vif-netchannel2")]
    with liar_guest(lab, "liar", vifs=network) as guest:
        honest = results(guest.run(f"/hostile/run front honest {address(guest)} --seconds 1", 120, check=False))
        lab.expect(honest[0]["ok"], f"the backend does not even work with an honest peer: {honest}")
        problems, said = [], {}
        for batch in batches(table(lab, "front", names)):
            said |= check_batch(lab, batch, "dom0", problems,
                                lambda names: guest.run(f"/hostile/run front {names} {address(guest)}",
                                                        LIE_LIMIT * len(names.split()), check=False))
            renew(lab, guest, network[0])
        lab.expect(not problems, f"{len(problems)} lies:\n" + "\n".join(problems))
        return said


def lying_backend(lab, names=None):
    """Tells netchannel2_front lies from dom0: those with these names, or all."""
    install(lab)
    lab.no_standing_guest()
    with no_backends(lab):
        guest = lab.new_guest("prey", 42, vifs=[], drivers=[FRONT])
        options = f"--domain {guest.domain}"
        honest = results(lab.dom0.run(tell("back", ["honest"], f"{options} --seconds 1"), 120, check=False))
        lab.expect(honest[0]["ok"], f"the frontend does not even work with an honest peer: {honest}")
        problems = []
        for number, batch in enumerate(batches(table(lab, "back", names))):
            # Each lie has a device of its own, with a number that has not been used for long: see main.py.
            numbered = f"{options} --handle {2 + number * BATCH % 240}"
            check_batch(lab, batch, guest.name, problems,
                        lambda names, numbered=numbered: lab.dom0.run(tell("back", names.split(), numbered),
                                                                      LIE_LIMIT * len(names.split()), check=False))
            lab.expect(guest.run("true", check=False).ok, f"the guest is gone after {[one['name'] for one in batch]}")
        lab.expect(not problems, f"{len(problems)} lies:\n" + "\n".join(problems))


def install(lab):
    """Puts the programs into dom0, and has the scenario expect what Xen and Linux say of liars."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path in sorted(SOURCE.glob("*.py")):
            tar.add(path, arcname=path.name)
    lab.dom0.put("/run/hostile.tar.gz", data.getvalue())
    lab.dom0.run(f"mkdir -p {FOLDER} && tar -xzf /run/hostile.tar.gz -C {FOLDER}")
    lab.expected.append(EXPECTED)


@contextlib.contextmanager
def liar_guest(lab, name, vifs):
    """A guest without network driver whose image has the hostile programs."""
    install(lab)
    image = f"/run/{name}.img"
    # An archive that is appended starts at a multiple of four.
    lab.dom0.run(f"python3 {FOLDER}/bundle.py /run/hostile.cpio && cp /lab/guest.img {image} && "
                 f"truncate -s %4 {image} && cat /run/hostile.cpio >>{image} && rm /run/hostile.cpio", 120)
    guest = lab.new_guest(name, 41, vifs=vifs, drivers=["xen-evtchn"], ramdisk=image)
    try:
        yield guest
    finally:
        lab.dom0.run(f"rm -f {image}", check=False)


@contextlib.contextmanager
def no_backends(lab):
    """dom0 without any driver for vifs."""
    lab.no_standing_guest()
    lab.dom0.load()
    try:
        yield
    finally:
        lab.tidy()
        lab.dom0.load(*lab.back_drivers())


def tell(role, names, options):
    return f"python3 {FOLDER}/main.py {role} {' '.join(names)} {options}"


def table(lab, role, names=None):
    """The lies of a role, those that spend the device last: only those named here, or in NC2_LIES, or all."""
    lies = [json.loads(line) for line in lab.dom0.output(f"python3 {FOLDER}/main.py --list").splitlines()]
    own = [lie for lie in lies if role in lie["roles"]]
    # Those in NC2_LIES may be for the other role.
    known = own if names else lies
    only = names or os.environ.get("NC2_LIES", "").split()
    unknown = set(only) - {lie["name"] for lie in known}
    lab.expect(not unknown, f"no lie is called {', '.join(sorted(unknown))}")
    chosen = [lie for lie in own if not only or lie["name"] in only]
    if not chosen:
        raise Skip(f"none of the lies in NC2_LIES is for a {role}end to tell")
    return chosen


def batches(lies):
    """Groups the lies; one that spends the device is alone."""
    group = []
    for lie in lies:
        if lie["spends_device"]:
            if group:
                yield group
            group = []
            yield [lie]
            continue
        group.append(lie)
        if len(group) == BATCH:
            yield group
            group = []
    if group:
        yield group


def address(guest):
    return f"--own-ip {guest.address()} --peer-ip 10.0.0.1 --handle {handle(guest)}"


def handle(guest):
    """The number of the guest's vif, which is another one after each attaching."""
    return guest.dom0.output(f"xenstore-list /local/domain/{guest.domain}/device/vif | tail -n 1") or "0"


def renew(lab, guest, line):
    """A fresh device in place of one whose backend is gone."""
    guest.dom0.run(f"xl network-detach {guest.name} {handle(guest)}", 60, check=False)
    guest.attach(line)
    guest.wait_until("ls /sys/bus/xen/devices | grep -q vif", 30)


def results(command):
    """The JSON lines of a command."""
    lines = [line for line in command.out.splitlines() if line.startswith("{")]
    if not lines:
        raise LabError(f"{command.where}: `{command.command}` ended with {command.code} and no result\n{command.out}{command.err}")
    return [json.loads(line) for line in lines]


def check_batch(lab, batch, source, problems, run):
    """Tells the lies of a batch, and holds the log of the driver under test against what they should make it say.

    Returns what the liar says of each.
    """
    before = len(lab.machine.logs[source])
    found = {}
    command = run(" ".join(lie["name"] for lie in batch))
    with contextlib.suppress(LabError):
        found = {result["lie"]: result for result in results(command)}
    time.sleep(0.5)
    log = lab.machine.logs[source][before:]
    # The kernel's own line for a page that is mapped: none for each of hundreds.
    in_use = log.count("still in use!")
    if in_use > len(batch):
        problems.append(f"{[lie['name'] for lie in batch]}: {source} said {in_use} times that a page is still in use")
    at = 0
    for lie in batch:
        result = found.get(lie["name"])
        if result is None:
            problems.append(f"{lie['name']}: no result ({command.code}): {command.out[-300:]}{command.err[-300:]}")
            continue
        if not result["ok"]:
            problems.append(f"{lie['name']}: {json.dumps(result)}")
        if lie["log"] and result.get("outcome") in ("closed", "declined"):
            # In the order in which they were told: each has its own line, behind those of the lies before it.
            place = log.find(lie["log"], at)
            if place < 0:
                problems.append(f"{lie['name']}: {source} did not say {lie['log']!r}")
            else:
                at = place + len(lie["log"])
    problems += repetitions(batch, found, log)
    return found


def repetitions(batch, found, log):
    """What the driver under test has said more often than once for each lie."""
    # What may have a line: an end has one, and so has a device that is left alone.
    ended = [lie for lie in batch if found.get(lie["name"], {}).get("outcome") not in ("alive", "skipped")]
    lines = log.splitlines()
    for words, lies in [(CLOSING, ended)] + [(lie["log"], [one for one in ended if lie["log"] in (one["log"] or lie["log"])])
                                             for lie in ended if lie["log"]]:
        said = [line for line in lines if words in line]
        if len(said) > len(lies):
            yield f"{', '.join(lie['name'] for lie in lies) or batch[0]['name']}: said {len(said)} times: {said}"
