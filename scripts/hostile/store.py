# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Xenstore over libxenstore, and the names of the protocol's keys.

In dom0 the library talks to xenstored's socket, in a guest to /dev/xen/xenbus; relative paths are below the domain's
own directory.
"""

import ctypes
import errno
import os
import time

UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED, RECONFIGURING, RECONFIGURED = range(9)

# What a backend publishes.
FEATURE = "feature-netchannel2"
MIN_VERSION = "netchannel2-min-version"
MAX_QUEUES = "netchannel2-max-queues"
MAX_RING_ORDER = "netchannel2-max-ring-order"
# What both publish.
FEATURES = "netchannel2-features"
# What a frontend answers.
VERSION = "netchannel2-version"
NUM_QUEUES = "netchannel2-num-queues"
RING_ORDER = "netchannel2-ring-order"
CONTROL_REF = "queue-0/control-ring-ref"
EVENT_CHANNEL = "queue-0/event-channel"


def ring_ref(direction, page):
    """Names the reference of one page of a ring."""
    return f"queue-0/{direction}-ring-ref-{page}"


class _Permission(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint), ("perms", ctypes.c_int)]


NO_ACCESS, READ_ACCESS = 0, 1


class Store:
    """A connection to xenstore."""

    def __init__(self):
        self.lib = ctypes.CDLL("libxenstore.so.4", use_errno=True)
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [ctypes.c_void_p]
        self.lib.xs_open.restype = ctypes.c_void_p
        self.lib.xs_open.argtypes = [ctypes.c_ulong]
        self.handle = self.lib.xs_open(0)
        if not self.handle:
            raise OSError(ctypes.get_errno(), "xs_open: is xenstore reachable?")
        handle, transaction, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
        count = ctypes.POINTER(ctypes.c_uint)
        for name, result, arguments in (
            ("xs_read", ctypes.c_void_p, (handle, transaction, text, count)),
            ("xs_write", ctypes.c_bool, (handle, transaction, text, text, ctypes.c_uint)),
            ("xs_rm", ctypes.c_bool, (handle, transaction, text)),
            ("xs_mkdir", ctypes.c_bool, (handle, transaction, text)),
            ("xs_directory", ctypes.c_void_p, (handle, transaction, text, count)),
            ("xs_set_permissions", ctypes.c_bool, (handle, transaction, text, handle, ctypes.c_uint)),
            ("xs_transaction_start", ctypes.c_uint32, (handle,)),
            ("xs_transaction_end", ctypes.c_bool, (handle, transaction, ctypes.c_bool)),
        ):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments

    def _check(self, ok, what):
        if not ok:
            code = ctypes.get_errno()
            raise OSError(code, f"{what}: {os.strerror(code)}")

    def read(self, path):
        """Reads a value, or returns None if there is none."""
        length = ctypes.c_uint()
        pointer = self.lib.xs_read(self.handle, 0, path.encode(), ctypes.byref(length))
        if not pointer:
            if ctypes.get_errno() in (errno.ENOENT, errno.EACCES):
                return None
            self._check(False, f"read {path}")
        value = ctypes.string_at(pointer, length.value).decode(errors="replace")
        self.libc.free(pointer)
        return value

    def list(self, path):
        """Returns the names below a path."""
        number = ctypes.c_uint()
        pointer = self.lib.xs_directory(self.handle, 0, path.encode(), ctypes.byref(number))
        if not pointer:
            return []
        # One allocation holds the array and the names.
        names = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_char_p))[: number.value]
        self.libc.free(pointer)
        return [name.decode() for name in names]

    def write(self, path, value, transaction=0):
        """Writes a value."""
        octets = str(value).encode()
        done = self.lib.xs_write(self.handle, transaction, path.encode(), octets, len(octets))
        self._check(done, f"write {path}")

    def remove(self, path, transaction=0):
        """Removes a path and all below it; it need not be there."""
        if not self.lib.xs_rm(self.handle, transaction, path.encode()) and ctypes.get_errno() != errno.ENOENT:
            self._check(False, f"remove {path}")

    def write_all(self, base, values):
        """Writes keys below `base` at once; those whose value is None are removed."""
        while True:
            transaction = self.lib.xs_transaction_start(self.handle)
            self._check(transaction, "transaction")
            for key, value in values.items():
                if value is None:
                    self.remove(f"{base}/{key}", transaction)
                else:
                    self.write(f"{base}/{key}", value, transaction)
            if self.lib.xs_transaction_end(self.handle, transaction, False):
                return
            if ctypes.get_errno() != errno.EAGAIN:
                self._check(False, f"write below {base}")

    def make(self, path, owner, reader):
        """Makes a directory of one domain that another may read."""
        self._check(self.lib.xs_mkdir(self.handle, 0, path.encode()), f"make {path}")
        permissions = (_Permission * 2)(_Permission(owner, NO_ACCESS), _Permission(reader, READ_ACCESS))
        done = self.lib.xs_set_permissions(self.handle, 0, path.encode(), ctypes.addressof(permissions), 2)
        self._check(done, f"permissions of {path}")

    def state(self, path):
        """Reads the state of a device's directory; one that is not there or no number is UNKNOWN."""
        value = self.read(f"{path}/state")
        return int(value) if value and value.isdigit() else UNKNOWN

    def wait_state(self, path, states, seconds):
        """Waits until a device's directory has one of `states` and returns the one that it has at last."""
        end = time.monotonic() + seconds
        while (state := self.state(path)) not in states and time.monotonic() < end:
            time.sleep(0.02)
        return state
