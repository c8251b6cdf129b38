"""How each kind of workload runs: a program is started and waits at its gate, does its work, and reports.

Each kind is a generator: it yields once when everything waits, so that the counters can be read, and once more when
all the work is done; then it ends what it started and returns how many units of work there were. A loss raises.
"""
import dataclasses
import json

import classes
import outside
import pktgen
import traffic
from machine import LabError
from pktgen import CONTROL, PAUSE
from source import DONE, END, ENDED, GO, HELLO, READY, RUNNING

# The server between guests has its own port, for UDP too.
PORT, GATE, SERVER = 5210, 5301, 5202
# Seconds beyond what a load should take.
PATIENCE = 60
SEGMENT = 1448


class Lost(LabError):
    """Packets did not arrive: what was counted is not the cost of the load."""


@dataclasses.dataclass
class Outcome:
    """What a run was: its units, and beside it packets and bytes of payload."""

    units: float
    payload: int
    said: dict


class Program:
    """`nc2-traffic` in a guest, in dom0 or in native Linux, behind its gate."""

    def __init__(self, machine, host, address, arguments, gate):
        self.world, self.address, self.gate = machine.world, address, gate
        self.running = host.start(f"nc2-traffic {arguments} --json --timeout {2 * PATIENCE}", 3 * PATIENCE)
        # Again and again until it listens.
        self.tell(HELLO, READY, 0.05)

    def tell(self, word, state, again=0.3):
        """Tells it `word` until it answers `state`; what it said instead, if it ends meanwhile."""
        try:
            self.world.ask(self.address, self.gate, word, state, lambda: not self.running.pending.done.is_set(),
                           again=again)
        except LabError as error:
            if not self.running.pending.done.is_set():
                raise
            result = self.running.wait(check=False)
            raise LabError(f"nc2-traffic ended with {result.code}: {result.out}{result.err}".strip()) from error

    def go(self):
        self.tell(GO, RUNNING)

    def wait_done(self, seconds=2 * PATIENCE):
        return self.world.wait_state(self.address, self.gate, DONE, seconds)

    def work(self, what):
        """Has it go, and waits until it is done; `what` names the work for who reads that it never ends."""
        self.go()
        if not self.wait_done():
            raise LabError(f"{what} did not end in {2 * PATIENCE} s")

    def end(self):
        """Has it report; its exit code is not looked at, its words are."""
        self.tell(END, ENDED)
        result = self.running.wait(check=False)
        try:
            said = json.loads(result.out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise LabError(f"nc2-traffic said nothing ({result.code}): {result.out}{result.err}") from None
        if not said["ok"]:
            raise Lost("; ".join(said["problems"]))
        return said


def udp_in(machine, load):
    """From outside through the card to a socket."""
    return (yield from flooded(machine, load, ""))


def udp_in_together(machine, load):
    """The same, to a program that takes what came together in one call (UDP_GRO)."""
    return (yield from flooded(machine, load, "--together"))


def flooded(machine, load, options):
    """Datagrams from outside to a sink with such options."""
    sink = Program(machine, machine.subject, machine.address,
                   f"sink --port {PORT} --count {load.count} {options}", PORT)
    sink.go()
    yield
    machine.world.flood(machine.address, PORT, load.size, load.count, load.burst, load.rate)
    # What is lost does not come any more; the sink says how much that is.
    sink.wait_done(3)
    yield
    said = sink.end()
    return Outcome(load.count * frames_of(load.size), load.count * load.size, said)


def udp_out(machine, load):
    """From a socket through the card to the outside."""
    world = machine.world
    pace = load.rate / frames_of(load.size)
    burst = max(1, load.burst // frames_of(load.size))
    target = f"10.0.{world.net}.100"
    source = Program(machine, machine.subject, machine.address,
                     f"source {target} --size {load.size} --count {load.count} --rate {pace:.2f} --burst {burst} "
                     f"--port {PORT} --gate {GATE}", GATE)
    world.forget()
    yield
    source.go()
    done = source.wait_done()
    arrived = world.wait_count(load.count, 3)
    yield
    said = source.end()
    if not (done and arrived) or world.twice or world.damaged:
        raise Lost(f"{len(world.numbers)} of {load.count} datagrams arrived, {world.twice} twice, "
                   f"{world.damaged} damaged")
    return Outcome(load.count * frames_of(load.size), load.count * load.size, said)


def udp_guests(machine, load):
    """From one guest to the other."""
    there = machine.peer.address(machine.net)
    sink = Program(machine, machine.peer, there, f"sink --port {PORT} --count {load.count}", PORT)
    sink.go()
    source = Program(machine, machine.subject, machine.address,
                     f"source {there} --size {load.size} --count {load.count} --rate {load.rate} --burst {load.burst} "
                     f"--port {PORT} --gate {GATE}", GATE)
    yield
    source.go()
    source.wait_done()
    sink.wait_done(3)
    yield
    said = sink.end()
    source.end()
    return Outcome(load.count * frames_of(load.size), load.count * load.size, said)


def tcp_in(machine, load):
    """A stream from a peer outside."""
    yield from stream(machine, load, "recv")
    return Outcome(load.count / SEGMENT, load.count, {})


def tcp_out(machine, load):
    """A stream to a peer outside."""
    yield from stream(machine, load, "send")
    return Outcome(load.count / SEGMENT, load.count, {})


def stream(machine, load, direction):
    with outside.Peer() as peer:
        before = retransmissions(machine.subject)
        client = Program(machine, machine.subject, machine.address,
                         f"tcp {outside.ADDRESS} --dir {direction} --bytes {load.count} --port {peer.port} "
                         f"--gate {GATE}", GATE)
        yield
        client.work(f"a stream of {load.count} bytes")
        yield
        client.end()
        again = retransmissions(machine.subject) - before
        if again > load.count / SEGMENT / 1000:
            raise Lost(f"{again} segments were sent again")


def tcp_guests(machine, load):
    """A stream from one guest to the other."""
    return (yield from served(machine, load, first(machine), (machine.peer, machine.peer.address(machine.net))))


def tcp_from_dom0(machine, load):
    """A stream from a program in dom0 to the guest."""
    return (yield from served(machine, load, dom0(machine), first(machine)))


def tcp_to_dom0(machine, load):
    """A stream from the guest to a program in dom0."""
    return (yield from served(machine, load, first(machine), dom0(machine)))


def first(machine):
    """The guest whose packets are counted, as a host and its address."""
    return machine.subject, machine.address


def dom0(machine):
    return machine.cards_host, f"10.0.{machine.net}.1"


def served(machine, load, sender, receiver):
    """A stream between two hosts of the machine, each with its address."""
    (host, here), (server, there) = sender, receiver
    traffic.serve(server)
    client = Program(machine, host, here,
                     f"tcp {there} --dir send --bytes {load.count} --port {SERVER} --gate {GATE}", GATE)
    yield
    client.work(f"a stream of {load.count} bytes")
    yield
    said = client.end()
    return Outcome(load.count / SEGMENT, load.count, said)


def transactions(machine, load):
    """One byte to a peer outside and back, one at a time."""
    with outside.Peer() as peer:
        client = Program(machine, machine.subject, machine.address,
                         f"rr {outside.ADDRESS} --count {load.count} --port {peer.port} --gate {GATE}", GATE)
        yield
        client.work(f"{load.count} transactions")
        yield
        said = client.end()
    return Outcome(load.count, load.count, said)


def rate_in(machine, load):
    """From dom0's packet generator through the vif, to where the guest's stack drops frames that no protocol takes."""
    backend, frontend = machine.ends
    target = frontend[0].output(f"cat /sys/class/net/{frontend[1]}/address")
    return (yield from generated(machine, load, backend, frontend, target, f"10.0.{machine.net}.1"))


def rate_out(machine, load):
    """From the guest's packet generator through the vif, to where dom0's bridge drops frames of its own protocols."""
    backend, frontend = machine.ends
    return (yield from generated(machine, load, frontend, backend, PAUSE, machine.address))


def generated(machine, load, sender, receiver, target, gate):
    """Frames of pktgen from one end of a vif to the other; `gate` is the address where the sender hears the driver."""
    host, link = sender
    frames = pktgen.Frames(load.size, load.burst, load.rate)
    machine.generating.add(host)
    generator = pktgen.ready(machine.generators, host, link, target, frames, load.count)
    try:
        machine.learn(host, classes.GENERATOR)
        # The receiver first, and after the load last, so that what passes between two readings is not taken for lost.
        before = [statistics(*end) for end in (receiver, sender)][::-1]
        trigger = Program(machine, host, gate, f"trigger {CONTROL} --word start --gate {GATE}", GATE)
        yield
        trigger.work(f"sending {generator.count} frames")
        yield
        trigger.end()
        generator.check()
        sent, received = ({name: now - then[name] for name, now in statistics(*end).items()}
                          for end, then in zip((sender, receiver), before))
        # The driver's own words at the gate are counted by both ends.
        if received["rx_packets"] < max(generator.count, sent["tx_packets"]) or sent["tx_dropped"]:
            raise Lost(f"{sent['tx_packets']} of {generator.count} frames and some words were sent, "
                       f"{sent['tx_dropped']} dropped, {received['rx_packets']} arrived")
        return Outcome(generator.count, generator.count * load.size, sent)
    except BaseException:
        # It may be at work still, if no other has taken its place.
        if machine.generators.get(host.name) is generator:
            del machine.generators[host.name]
            generator.remove()
        raise


def statistics(host, link):
    """Counters of a network device."""
    names = ("rx_packets", "tx_packets", "tx_dropped")
    values = host.output("cat " + " ".join(f"/sys/class/net/{link}/statistics/{name}" for name in names))
    return dict(zip(names, map(int, values.split()), strict=True))


KINDS = {function.__name__: function for function in (
    udp_in, udp_in_together, udp_out, udp_guests, tcp_in, tcp_out, tcp_guests, tcp_from_dom0, tcp_to_dom0, transactions,
    rate_in, rate_out)}
GENERATED = {"rate_in", "rate_out"}
# These need the card that leads to a TCP peer.
TCP_KINDS = {"tcp_in", "tcp_out", "transactions"}


def frames_of(size):
    """How many frames carry a datagram of `size` bytes."""
    return -(-(8 + size) // 1480)


def retransmissions(host):
    """How many segments a host and the TCP peer outside have sent again so far."""
    return sum(map(outside.retransmissions, (host.output(f"cat {outside.SNMP}"), outside.SNMP.read_text())))
