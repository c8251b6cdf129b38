"""A xenstore client over the daemon's socket: one connection, no library, no program started per access."""
import select
import socket
import struct

READ, WATCH, WRITE, RM, WATCH_EVENT, ERROR = 2, 4, 11, 13, 15, 16
HEADER = struct.Struct("<IIII")


class Xenstore:
    def __init__(self, path="/run/xenstored/socket"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.events = 0

    def read(self, path):
        """The node's value, or None where there is none."""
        return self._ask(READ, path.encode() + b"\0")

    def write(self, path, value):
        if self._ask(WRITE, path.encode() + b"\0" + value.encode()) is None:
            raise OSError(f"xenstore refuses to write {path}")

    def remove(self, path):
        self._ask(RM, path.encode() + b"\0")

    def watch(self, path):
        self._ask(WATCH, path.encode() + b"\0token\0")

    def wait(self, seconds):
        """Returns at the next watch event, or when the time is over."""
        if self.events == 0 and select.select([self.socket], [], [], seconds)[0]:
            self._receive()
        self.events = 0

    def _ask(self, kind, payload):
        self.socket.sendall(HEADER.pack(kind, 0, 0, len(payload)) + payload)
        while True:
            kind, payload = self._receive()
            if kind == ERROR:
                return None
            if kind != WATCH_EVENT:
                return payload

    def _receive(self):
        kind, _, _, size = HEADER.unpack(self._exactly(HEADER.size))
        payload = self._exactly(size)
        self.events += kind == WATCH_EVENT
        return kind, payload

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise OSError("xenstored closed the connection")
            data += part
        return data
