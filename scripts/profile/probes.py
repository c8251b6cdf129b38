"""Which events the plugin counts by name, and what becomes of the counts: hypercalls, grant operations, copies."""

# xen/include/public/xen.h: the numbers of the hypercalls.
HYPERCALLS = {
    0: "set_trap_table", 1: "mmu_update", 2: "set_gdt", 3: "stack_switch", 4: "set_callbacks", 5: "fpu_taskswitch",
    6: "sched_op_compat", 7: "platform_op", 8: "set_debugreg", 9: "get_debugreg", 10: "update_descriptor",
    12: "memory_op", 13: "multicall", 14: "update_va_mapping", 15: "set_timer_op", 16: "event_channel_op_compat",
    17: "xen_version", 18: "console_io", 19: "physdev_op_compat", 20: "grant_table_op", 21: "vm_assist",
    22: "update_va_mapping_otherdomain", 23: "iret", 24: "vcpu_op", 25: "set_segment_base", 26: "mmuext_op",
    27: "xsm_op", 28: "nmi_op", 29: "sched_op", 30: "callback_op", 32: "event_channel_op", 33: "physdev_op",
    34: "hvm_op", 35: "sysctl", 36: "domctl", 37: "kexec_op", 40: "xenpmu_op", 41: "dm_op", 42: "hypfs_op",
}
# xen/include/public/grant_table.h
GRANT_OPERATIONS = {
    0: "map", 1: "unmap", 2: "setup_table", 3: "dump_table", 4: "transfer", 5: "copy", 6: "query_size",
    7: "unmap_and_replace", 8: "set_version", 9: "get_status_frames", 10: "get_version", 11: "swap_grant_ref",
    12: "cache_flush",
}
# xen/include/public/event_channel.h
EVENT_CHANNEL_SEND = 4

# Registers of the probes: the key, and what is added up. Arguments of C functions are in rdi, rsi, rdx, rcx.
XEN = {f"do_{name}": "-" for name in HYPERCALLS.values()}
XEN |= {
    "do_grant_table_op": "edi,edx",     # kind of operation, how many
    "do_event_channel_op": "edi,-",
    "do_sched_op": "edi,-",
    "memcpy": "-,rdx",                  # bytes
    "create_bounce_frame": "-",         # entries into a PV kernel: system calls, exceptions, events
    "flush_area_local": "-",
    "flush_area_mask": "-",
}
KERNEL = {
    "xen_evtchn_do_upcall": "-",
    "_copy_to_iter": "-,rsi",           # bytes
    "_copy_from_iter": "-,rsi",
    "flush_tlb_func": "-",
    "native_flush_tlb_local": "-",
    "memcpy": "-,rdx",
}
# Of a module, whose addresses are those of one domain: only the CPU of the cards' domain counts.
CARD = {"igb_msix_ring": "-"}
CARD_CPU = 0
# What the plugin itself counts so: see its README.md.
GIVEN_UP, LOST = "pace_given_up", "pace_lost"
TOO_SLOW = "instructions that the host was too slow for"
# Xen has a function of this name too: in the plugin's output the kernel's is called otherwise.
RENAMED = {"memcpy": "kernel_memcpy"}


def requests(names, table):
    """Lines for the plugin: one for each of `names` that the table has."""
    called = RENAMED if names is KERNEL else {}
    found = ((table.address(name), called.get(name, name), registers) for name, registers in names.items())
    return [f"{address:x} {name} {registers}" for address, name, registers in found if address is not None]


def events(probes, domains):
    """Counts by event from the plugin's `(vcpu, name, key): (count, sum)`; `domains` gives each vcpu's domain.

    The names are for people, `hypercall 20 grant_table_op` and so on; domain 0 and the guest are apart.
    """
    numbers = {f"do_{name}": number for number, name in HYPERCALLS.items()}
    found = {}

    def add(domain, name, count):
        found[domain, name] = found.get((domain, name), 0) + count

    for (vcpu, name, key), (count, total) in probes.items():
        domain = domains[vcpu]
        if name in numbers:
            add(domain, f"hypercall {numbers[name]} {name.removeprefix('do_')}", count)
            add(domain, "hypercalls", count)
        if name == "do_grant_table_op":
            kind = GRANT_OPERATIONS.get(key, key)
            add(domain, f"grant operations: {kind}", total)
            add(domain, f"grant hypercalls: {kind}", count)
        elif name == "do_event_channel_op" and key == EVENT_CHANNEL_SEND:
            add(domain, "event channel sends", count)
        elif name == "memcpy":
            add(domain, "copies by Xen", count)
            add(domain, "bytes copied by Xen", total)
        elif name == "kernel_memcpy":
            add(domain, "copies inside a kernel", count)
            add(domain, "bytes copied inside a kernel", total)
        elif name == "create_bounce_frame":
            add(domain, "entries into the PV kernel", count)
        elif name in ("flush_area_local", "flush_area_mask", "flush_tlb_func", "native_flush_tlb_local"):
            add(domain, f"TLB flushes: {name}", count)
        elif name in CARD and vcpu == CARD_CPU:
            add(domain, "interrupts of the card", count)
        elif name == GIVEN_UP:
            add(domain, "waits for another CPU given up by the emulator", count)
        elif name == LOST:
            add(domain, TOO_SLOW, count)
        elif name == "xen_evtchn_do_upcall":
            add(domain, "upcalls", count)
        elif name in ("_copy_to_iter", "_copy_from_iter"):
            add(domain, "copies to and from user space", count)
            add(domain, "bytes copied to and from user space", total)
    return found
