"""What a kernel must not have printed."""
import re

BAD = re.compile("|".join([
    r"\bWARNING: (?!.*modpost)", r"\bBUG\b", r"\bOops\b", r"Call Trace", r"general protection", r"unable to handle",
    r"possible circular locking", r"possible recursive locking", r"inconsistent lock state", r"suspicious RCU",
    r"lock held when returning", r"held lock freed", r"bad unlock balance", r"sleeping function called",
    r"scheduling while atomic", r"blocked for more than \d+ seconds", r"soft lockup", r"rcu.*detected.*stall",
    r"page_pool_release_retry", r"refcount_t:", r"list_(add|del) corruption", r"Kernel panic", r"Bad page state",
    r"still has \d+ grant", r"deferring g\.e\.", r"unregister_netdevice: waiting", r"NETDEV WATCHDOG",
    r"transmit queue \d+ timed out", r"memory leak", r"KASAN:", r"UBSAN:", r"rust_kernel: panicked", r"panicked at",
    r"irq \d+: nobody cared", r"leaking grant", r"unpin_user_page", r"slab-use-after", r"Poison overwritten",
    r"\(XEN\).*(d\d+v\d+ .*(crash|fault)|grant_table\.c.*(Bad|bad)|Assertion|Xen BUG|FATAL)",
]))

# Lines that stock kernels and Xen print in this lab whatever drivers run. Exact words, each with its reason.
KNOWN = [re.compile(text) for text in [
]]


def scan(logs, expected=()):
    """The bad lines of each log: [(source, line)]; `expected` are further patterns that are not bad here."""
    return [(source, line) for source, text in logs.items() for line in text.splitlines()
            if BAD.search(line) and not any(known.search(line) for known in (*KNOWN, *expected))]
