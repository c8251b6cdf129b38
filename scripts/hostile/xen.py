# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Grants and event channels from userland, over Xen's own libraries.

Needs the kernel modules xen-gntalloc (sharing), xen-gntdev (mapping, copying) and xen-evtchn. Memory comes out as
ctypes arrays over what the libraries mapped: reading or writing one goes straight to the shared page.
"""

import ctypes
import os
import select

from protocol import PAGE

PROT_READ, PROT_WRITE = 1, 2

COPY_SOURCE_IS_GRANT = 1


def _library(name):
    return ctypes.CDLL(name, use_errno=True)


def _failed(what):
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


def _signature(function, result, *arguments):
    function.restype = result
    function.argtypes = arguments


def _memory(address, pages):
    return (ctypes.c_ubyte * (pages * PAGE)).from_address(address)


class _Handle:
    """An open library handle."""

    library, opener = None, None

    def __init__(self):
        self.lib = _library(self.library)
        opener = getattr(self.lib, self.opener)
        _signature(opener, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self.handle = opener(None, 0)
        if not self.handle:
            raise _failed(self.opener)

    def call(self, name, result, *arguments):
        """Calls a function of the library with the handle as its first argument."""
        function = getattr(self.lib, name)
        _signature(function, result, ctypes.c_void_p, *(kind for kind, _ in arguments))
        return function(self.handle, *(value for _, value in arguments))


class Shared:
    """Pages of this domain that are granted to another one."""

    def __init__(self, owner, address, refs):
        self.owner, self.address, self.refs = owner, address, list(refs)
        self.memory = _memory(address, len(self.refs))

    def page(self, index, count=1):
        """Returns a view of some of the pages."""
        return memoryview(self.memory).cast("B")[index * PAGE : (index + count) * PAGE]

    def unshare(self):
        """Ends the grants; the memory must not be touched any more."""
        if self.address:
            kinds = ((ctypes.c_void_p, self.address), (ctypes.c_uint32, len(self.refs)))
            self.owner.call("xengntshr_unshare", ctypes.c_int, *kinds)
            self.address = None


class Sharing(_Handle):
    """Grants pages of this domain (/dev/xen/gntalloc)."""

    library, opener = "libxengnttab.so.1", "xengntshr_open"

    def share(self, domain, count, writable=True):
        """Allocates zeroed pages and grants them to `domain`."""
        refs = (ctypes.c_uint32 * count)()
        address = self.call(
            "xengntshr_share_pages",
            ctypes.c_void_p,
            (ctypes.c_uint32, domain),
            (ctypes.c_int, count),
            (ctypes.POINTER(ctypes.c_uint32), refs),
            (ctypes.c_int, int(writable)),
        )
        if not address:
            raise _failed(f"share {count} pages with domain {domain}")
        return Shared(self, address, refs)


class Mapped:
    """Pages of another domain."""

    def __init__(self, owner, address, count):
        self.owner, self.address, self.count = owner, address, count
        self.memory = _memory(address, count)

    def unmap(self):
        """Gives the pages back; the memory must not be touched any more."""
        if self.address:
            kinds = ((ctypes.c_void_p, self.address), (ctypes.c_uint32, self.count))
            self.owner.call("xengnttab_unmap", ctypes.c_int, *kinds)
            self.address = None


class _CopyPointer(ctypes.Union):
    class _Foreign(ctypes.Structure):
        _fields_ = [("ref", ctypes.c_uint32), ("offset", ctypes.c_uint16), ("domid", ctypes.c_uint16)]

    _fields_ = [("virt", ctypes.c_void_p), ("foreign", _Foreign)]


class _CopySegment(ctypes.Structure):
    """struct xengnttab_grant_copy_segment."""

    _fields_ = [
        ("source", _CopyPointer),
        ("dest", _CopyPointer),
        ("len", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("status", ctypes.c_int16),
    ]


class Mapping(_Handle):
    """Maps and copies pages of other domains (/dev/xen/gntdev)."""

    library, opener = "libxengnttab.so.1", "xengnttab_open"

    def map(self, domain, refs, writable=True):
        """Maps granted pages at one run of addresses."""
        array = (ctypes.c_uint32 * len(refs))(*refs)
        address = self.call(
            "xengnttab_map_domain_grant_refs",
            ctypes.c_void_p,
            (ctypes.c_uint32, len(refs)),
            (ctypes.c_uint32, domain),
            (ctypes.POINTER(ctypes.c_uint32), array),
            (ctypes.c_int, PROT_READ | PROT_WRITE if writable else PROT_READ),
        )
        if not address:
            raise _failed(f"map {list(refs)} of domain {domain}")
        return Mapped(self, address, len(refs))

    def copy(self, domain, ref, offset, length):
        """Copies bytes of a granted page and returns them, or None where Xen refuses."""
        buffer = (ctypes.c_ubyte * length)()
        segment = _CopySegment(len=length, flags=COPY_SOURCE_IS_GRANT)
        segment.source.foreign.ref = ref
        segment.source.foreign.offset = offset
        segment.source.foreign.domid = domain
        segment.dest.virt = ctypes.addressof(buffer)
        # A pointer, as the status comes back in the segment.
        kinds = ((ctypes.c_uint32, 1), (ctypes.c_void_p, ctypes.addressof(segment)))
        if self.call("xengnttab_grant_copy", ctypes.c_int, *kinds) != 0 or segment.status != 0:
            return None
        return bytes(buffer)

    def repeated_copy(self, domain, ref, offset, length, count):
        """Prepares `count` copies of the same bytes of a granted page.

        Returns what makes them, and returns how many Xen let through.
        """
        buffer = (ctypes.c_ubyte * length)()
        segments = (_CopySegment * count)()
        for segment in segments:
            segment.len, segment.flags = length, COPY_SOURCE_IS_GRANT
            segment.source.foreign.ref, segment.source.foreign.offset, segment.source.foreign.domid = ref, offset, domain
            segment.dest.virt = ctypes.addressof(buffer)
        kinds = ((ctypes.c_uint32, count), (ctypes.c_void_p, ctypes.addressof(segments)))

        def make():
            self.call("xengnttab_grant_copy", ctypes.c_int, *kinds)
            return sum(segment.status == 0 for segment in segments)

        return make


class Events(_Handle):
    """Event channels (/dev/xen/evtchn)."""

    library, opener = "libxenevtchn.so.1", "xenevtchn_open"

    def unbound(self, domain):
        """Allocates a port that `domain` may bind."""
        return self._port("xenevtchn_bind_unbound_port", domain)

    def interdomain(self, domain, port):
        """Binds a port of `domain` to a new one of this domain."""
        return self._port("xenevtchn_bind_interdomain", domain, port)

    def _port(self, name, *values):
        port = self.call(name, ctypes.c_int, *((ctypes.c_uint32, value) for value in values))
        if port < 0:
            raise _failed(f"{name} {values}")
        return port

    def notify(self, port):
        """Sends an event; a port that nobody is bound to takes it too."""
        self.call("xenevtchn_notify", ctypes.c_int, (ctypes.c_uint32, port))

    def unbind(self, port):
        """Closes a port."""
        self.call("xenevtchn_unbind", ctypes.c_int, (ctypes.c_uint32, port))

    def wait(self, seconds):
        """Waits for any event and takes it; returns whether one came."""
        fd = self.call("xenevtchn_fd", ctypes.c_int)
        if not select.select([fd], [], [], seconds)[0]:
            return False
        port = self.call("xenevtchn_pending", ctypes.c_int)
        if port >= 0:
            self.call("xenevtchn_unmask", ctypes.c_int, (ctypes.c_uint32, port))
        return True
