"""The world outside the card: a host on the other end of QEMU's `-netdev dgram`, one unix datagram a frame.

It answers ARP, sends numbered datagrams in bursts at a rate, counts those that come, and drives the gates of
`nc2-traffic` (scripts/traffic/src/gate.rs).
"""
import contextlib
import itertools
import os
import socket
import struct
import threading
import time

import frames
from machine import LabError

MAC = frames.mac("02:00:00:00:00:64")
HOST = 100
HELLO, GO, END = 1, 2, 3
READY, RUNNING, DONE, ENDED = 129, 130, 131, 132
DRIVER_PORT = 5300
# The virtual functions of a card take up two slots behind it: cards are two slots apart.
SLOT, NEXT_SLOT = 4, 6


class World:
    """One host on one network card."""

    def __init__(self, folder, name):
        self.here, self.there = str(folder / f"{name}-world.sock"), str(folder / f"{name}-card.sock")
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if os.path.exists(self.here):
            os.unlink(self.here)
        self.socket.bind(self.here)
        self.changed = threading.Condition()
        self.neighbours, self.states = {}, {}
        self.net = 0
        self.forget()
        threading.Thread(target=self._receive, daemon=True).start()

    def qemu_options(self, mac):
        """What makes QEMU connect a card of address `mac` to this world."""
        return ["-netdev", f"dgram,id={self.name},local.type=unix,local.path={self.there},"
                           f"remote.type=unix,remote.path={self.here}",
                "-device", f"igb,netdev={self.name},mac={mac},addr={SLOT}"]

    # -- addresses -------------------------------------------------------------------------------

    def join(self, net):
        """Becomes 10.0.<net>.100."""
        with self.changed:
            self.net = net
            self.neighbours.clear()

    @property
    def address(self):
        return frames.address(f"10.0.{self.net}.{HOST}")

    def resolve(self, address, seconds=30):
        """The MAC of `address`, asked for until it answers: then the way there works."""
        target = frames.address(address)
        request = frames.arp(frames.ARP_REQUEST, MAC, self.address, bytes(6), target)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._send(request)
            with self.changed:
                if self.changed.wait_for(lambda: target in self.neighbours, 0.3):
                    return self.neighbours[target]
        raise LabError(f"{address} does not answer on the card within {seconds} s")

    # -- gates -----------------------------------------------------------------------------------

    def ask(self, address, port, word, state, alive=lambda: True, seconds=60, again=0.3):
        """Tells the program at `address` and `port` `word`, until its answer is `state` or it is not `alive`."""
        key = frames.address(address), port
        target = self.neighbours.get(key[0]) or self.resolve(address), key[0]
        data = frames.GATE_MAGIC + bytes([word, 0, 0, 0])
        frame = frames.udp_frame((MAC, self.address), target, (DRIVER_PORT, port), data)
        end = time.monotonic() + seconds
        with self.changed:
            self.states.pop(key, None)
        while time.monotonic() < end and alive():
            self._send(frame)
            if self.wait_state(address, port, state, again):
                return
        with self.changed:
            said = sorted(self.states.get(key, ()))
        raise LabError(f"the program at {address}:{port} said {said or 'nothing'}, not {state}")

    def wait_state(self, address, port, state, seconds):
        """Whether the program has said `state` since it was last asked, or does within `seconds`."""
        key = frames.address(address), port
        with self.changed:
            return self.changed.wait_for(lambda: state in self.states.get(key, ()), seconds)

    # -- datagrams -------------------------------------------------------------------------------

    def flood(self, address, port, size, count, burst, rate):
        """Sends `count` datagrams of `size` bytes: bursts of `burst` frames, `rate` frames a second."""
        target = self.resolve(address), frames.address(address)
        made = frames.Datagrams((MAC, self.address), target, (DRIVER_PORT, port), size)
        stream = itertools.chain.from_iterable(map(made.frames, range(count)))
        start = time.monotonic()
        for number in itertools.count():
            chunk = list(itertools.islice(stream, burst))
            if not chunk:
                return
            pause = start + number * burst / rate - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            for frame in chunk:
                self._send(frame)

    def forget(self):
        """Begins a new count of what comes."""
        with self.changed:
            self.numbers, self.frames, self.twice, self.damaged = set(), 0, 0, 0
            self.reassembly = frames.Reassembly()

    def wait_count(self, count, seconds):
        """Whether `count` different datagrams have come, or come within `seconds`."""
        end = time.monotonic() + seconds
        while len(self.numbers) < count and time.monotonic() < end:
            time.sleep(0.02)
        return len(self.numbers) >= count

    # -- the wire --------------------------------------------------------------------------------

    def _send(self, frame):
        try:
            # Blocks while QEMU has not read what came before: nothing is lost on this wire.
            self.socket.sendto(frame, self.there)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise LabError(f"QEMU has no card {self.name}: {error}") from error

    def _receive(self):
        while True:
            frame = self.socket.recv(65536)
            kind = frame[12:14]
            if kind == b"\x08\x06" and len(frame) >= 42:
                self._arp(frame)
            elif kind == b"\x08\x00":
                self._ip(frame)

    def _arp(self, frame):
        operation, = struct.unpack_from(">H", frame, 20)
        sender_mac, sender, target = frame[22:28], frame[28:32], frame[38:42]
        if operation == frames.ARP_REQUEST and target == self.address:
            with contextlib.suppress(LabError):
                self._send(frames.arp(frames.ARP_REPLY, MAC, self.address, sender_mac, sender))
        with self.changed:
            self.neighbours[sender] = sender_mac
            self.changed.notify_all()

    def _ip(self, frame):
        if frame[30:34] != self.address:
            return
        self.frames += 1
        datagram = self.reassembly.add(frame)
        if datagram is None:
            return
        source, port, _, data = datagram
        if data.startswith(frames.FLOW_MAGIC) and len(data) >= frames.FLOW_HEADER.size:
            _, number, size = frames.FLOW_HEADER.unpack_from(data)
            if size != len(data):
                self.damaged += 1
            elif number in self.numbers:
                self.twice += 1
            else:
                self.numbers.add(number)
        elif data.startswith(frames.GATE_MAGIC) and len(data) == 8:
            with self.changed:
                # A set: one state may follow another before anybody looks.
                self.states.setdefault((source, port), set()).add(data[4])
                self.changed.notify_all()
