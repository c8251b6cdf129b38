"""What an executed instruction belongs to: the talk's six classes, and finer the module and the function.

CPU pinning tells the domains apart, the address tells the hypervisor, the kernel and user space apart, and symbols
tell the rest.
"""
import dataclasses

# The talk's classes, in the order of its figure, from the bottom up.
TALK = ("usercopy", "kern", "xen1", "grantcopy", "kern0", "xen0")
# What the talk's figure leaves out. The number is that of the domain: 0 the driver domain, 1 the guest.
BESIDE = ("user1", "user0", "pktgen1", "pktgen0", "waiting1", "waiting0", "unattributed")
ALL = TALK + BESIDE
# How long Xen waits for another CPU is a matter of when the emulator's threads get a processor: no work of a packet.
WAITING = ("waiting1", "waiting0")
WORK = tuple(kind for kind in ALL if kind not in WAITING)
# Routines that do nothing but copy: what the cache model is for.
COPIES = ("usercopy", "grantcopy")
WORDS = {
    "usercopy": "copies between the guest's kernel and user space",
    "kern": "the rest of the guest's kernel",
    "xen1": "Xen on the guest's CPU, without the copy",
    "grantcopy": "the copy inside Xen's grant operations",
    "kern0": "the driver domain's kernel",
    "xen0": "Xen on the driver domain's CPU, without the copy",
    "user1": "the guest's programs",
    "user0": "the driver domain's programs",
    "pktgen1": "the packet generator in the guest",
    "pktgen0": "the packet generator in the driver domain",
    "waiting1": "Xen on the guest's CPU, waiting for another CPU",
    "waiting0": "Xen on the driver domain's CPU, waiting likewise",
    "unattributed": "kernel code without a symbol",
}

GRANULE = 16
USER_END = 0x0000_8000_0000_0000
# What Xen keeps to itself of a PV guest's address space.
XEN_START, XEN_END = 0xffff_8000_0000_0000, 0xffff_8800_0000_0000

# Routines that copy between kernel and user space. With fast short `rep movsb`, which the emulated CPU has, the copy
# is inlined into most of these; without, it is rep_movs_alternative.
USERCOPY = frozenset("""
    rep_movs_alternative rep_stos_alternative copy_user_generic copy_to_nontemporal __copy_user_nocache
    _copy_to_user _copy_from_user raw_copy_to_user raw_copy_from_user __copy_user_flushcache copy_user_flushcache
    _copy_to_iter _copy_from_iter __copy_from_iter _copy_from_iter_nocache _copy_mc_to_iter copy_mc_to_user
    copy_page_to_iter copy_page_from_iter copy_folio_from_iter_atomic simple_copy_to_iter
    copy_to_user_iter copy_from_user_iter memcpy_to_iter memcpy_from_iter
    csum_and_copy_to_iter csum_and_copy_to_user csum_and_copy_from_user csum_and_copy_from_iter_full
    csum_partial_copy_generic copy_from_user_iter_csum copy_to_user_iter_csum
    copy_to_user_nofault copy_from_user_nofault
""".split())
# Makes the load of some workloads inside a domain, where a card or a program makes that of others.
GENERATOR = "pktgen"
# Xen's copying of data between domains; its copies of hypercall arguments are other functions.
GRANT_COPY = frozenset(["memcpy"])


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a granule of code belongs."""

    kind: str
    module: str
    function: str


@dataclasses.dataclass
class Space:
    """The code that one virtual CPU of the emulator runs.

    `domain` is 0 for the driver domain and 1 for a guest, or for native Linux, which is what a guest is compared with.
    `loops` are the granules of Xen in which it turns round until another CPU has done something.
    """

    domain: int
    kernel: object
    xen: object = None
    user_end: int = USER_END
    loops: frozenset = frozenset()

    def __post_init__(self):
        self.places = {}

    def place(self, granule):
        """The place of the 16 bytes at `granule`."""
        found = self.places.get(granule)
        if found is None:
            found = self.places[granule] = self._place(granule)
        return found

    def _place(self, granule):
        if granule < self.user_end:
            return Place(f"user{self.domain}", "user", "user")
        # Functions start at granules; where two pieces of assembly share one, it is the one in its middle.
        middle = granule + GRANULE // 2
        if self.xen is not None and XEN_START <= granule < XEN_END:
            symbol = self.xen.find(middle)
            # The stubs by which system calls enter Xen are made at boot and have no symbol.
            name = symbol.name if symbol else "[made at boot]"
            if granule in self.loops:
                return Place(f"waiting{self.domain}", f"xen{self.domain}", name)
            return Place("grantcopy" if name in GRANT_COPY else f"xen{self.domain}", f"xen{self.domain}", name)
        symbol = self.kernel.find(middle)
        if symbol is None:
            return Place("unattributed", "unknown", f"[{granule & ~0xfff:x}]")
        if symbol.module == GENERATOR:
            return Place(f"{GENERATOR}{self.domain}", symbol.module, symbol.name)
        if self.domain == 0:
            return Place("kern0", symbol.module, symbol.name)
        return Place("usercopy" if symbol.name in USERCOPY else "kern", symbol.module, symbol.name)
