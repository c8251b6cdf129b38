# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies about pages, ids, credit and FINISH, which take a history to be seen."""

import time

from frames import junk
from lies import CLOSES, HARMLESS, PACKET_FAILS, lie
from protocol import MAX_OUTSTANDING, PAGE, STATUS_COPY_FAILED, STATUS_OK, finish, packet
from ring import Full
from side import Setup

# The lengths are above what a driver sends inline, so that it grants its answers.
LARGE = 900


# Pages that Xen refuses: only the packet fails.


def _refused(channel, fragments):
    """Sends a packet whose pages cannot be copied and waits for its FINISH."""
    ident = 40
    frame_length = sum(length for _, _, length in fragments)
    channel.seen.statuses.pop(ident, None)
    channel.outstanding[ident] = frame_length
    channel.raw(packet(b"", fragments, ident=ident))
    channel.run(5, lambda: ident in channel.seen.statuses)
    statuses = channel.seen.statuses.get(ident)
    if statuses != [STATUS_COPY_FAILED]:
        raise AssertionError(f"FINISH of the packet has status {statuses} and not [{STATUS_COPY_FAILED}]")
    return f"FINISH with status {STATUS_COPY_FAILED}"


@lie("reference-not-granted", PACKET_FAILS)
def reference_not_granted(channel, _side):
    """A fragment's page was never granted."""
    return _refused(channel, [(30000, 0, 60)])


@lie("reference-huge", PACKET_FAILS)
def reference_huge(channel, _side):
    """A fragment's reference is beyond every grant table."""
    return _refused(channel, [(0xFFFFFFFF, 0, 60)])


@lie("reference-stale", PACKET_FAILS)
def reference_stale(channel, side):
    """A fragment's page is not granted any more."""
    return _refused(channel, [(side.stale_reference(), 0, 60)])


@lie("reference-other-domain", PACKET_FAILS)
def reference_other_domain(channel, side):
    """A fragment's page is granted to another domain."""
    # Domain 32000 does not exist; granting does not ask whether it does.
    return _refused(channel, [(side.share(1, domain=32000).refs[0], 0, 60)])


@lie("reference-half-granted", PACKET_FAILS)
def reference_half_granted(channel, _side):
    """The second of three fragments is not granted, and the others are."""
    good = channel.place(0, junk(channel.host.mac, 600))
    return _refused(channel, [good, (30000, 0, 600), good])


@lie("reference-mixed-batch", PACKET_FAILS)
def reference_mixed_batch(channel, _side):
    """Every other packet of a batch has a page that is not granted; the good ones must arrive."""
    before = dict(channel.seen.statuses)
    channel.seen.statuses.clear()
    for ident in range(16):
        good = channel.place(ident, junk(channel.host.mac, 600))
        fragment = good if ident % 2 == 0 else (30000 + ident, 0, 600)
        channel.outstanding[ident] = 600
        channel.out.put(packet(b"", [fragment], ident=ident))
    channel.flush()
    channel.run(5, lambda: len(channel.seen.statuses) == 16)
    found = {ident: channel.seen.statuses.get(ident) for ident in range(16)}
    wanted = {ident: [STATUS_COPY_FAILED if ident % 2 else STATUS_OK] for ident in range(16)}
    channel.seen.statuses.update(before)
    if found != wanted:
        raise AssertionError(f"FINISHes are {found}")
    return "8 packets copied, 8 refused"


# Honest extremes, which must not be taken for lies.


@lie("fragments-18-tiny", HARMLESS)
def fragments_tiny(channel, _side):
    """A packet has 18 fragments of one byte and some inline, headers in pieces included."""
    frame = channel.host.who_has()
    first = channel.place(0, frame[:18])
    fragments = [(first[0], index, 1) for index in range(18)]
    # Fragments come after the inline bytes, so that the frame is not the question: nobody answers.
    channel.outstanding[50] = 60
    channel.raw(packet(frame[:42], fragments, ident=50))
    channel.run(3, lambda: 50 in channel.seen.statuses)
    return f"FINISH {channel.seen.statuses.get(50)}"


@lie("length-65535", HARMLESS)
def length_65535(channel, _side):
    """The longest packet is sent, all of it from one page."""
    reference, _, _ = channel.place(0, junk(channel.host.mac, PAGE))
    fragments = [(reference, 0, PAGE)] * 15 + [(reference, 0, PAGE - 1)]
    channel.outstanding[51] = 65535
    channel.raw(packet(b"", fragments, ident=51))
    channel.run(3, lambda: 51 in channel.seen.statuses)
    return f"FINISH {channel.seen.statuses.get(51)}"


# Ids and credit. Whether the driver under test sees the rule broken depends on whether it is done with the first
# packet when it looks at the second, so that either outcome is right.


@lie("id-duplicate", CLOSES, "packet.id is 5: outstanding already", also=("harmless",))
def id_duplicate(channel, _side):
    """Two packets of one batch have the same id."""
    fragment = channel.place(0, junk(channel.host.mac, 600))
    for _ in range(2):
        channel.out.put(packet(b"", [fragment], ident=5))
    channel.out.publish()
    channel.wires.notify()
    channel.run(2)


@lie("credit-exceeded", CLOSES, "packet.id is", also=("harmless",))
def credit_exceeded(channel, _side):
    """More packets than are allowed come at once."""
    allowed = channel.limit[0]
    for ident in range(allowed + 1):
        fragment = channel.place(ident, junk(channel.host.mac, 300))
        channel.out.put(packet(b"", [fragment], ident=ident % MAX_OUTSTANDING))
    channel.out.publish()
    channel.wires.notify()
    channel.run(2)
    return f"{allowed + 1} packets where {allowed} are allowed"


@lie("credit-exceeded-long", CLOSES, "packet.", also=("harmless",))
def credit_exceeded_long(channel, _side):
    """As many of the longest packets come at once as the ring holds."""
    reference, _, _ = channel.place(0, junk(channel.host.mac, PAGE))
    fragments = [(reference, 0, PAGE)] * 15 + [(reference, 0, PAGE - 1)]
    count = 0
    try:
        for ident in range(MAX_OUTSTANDING):
            channel.out.put(packet(b"", fragments, ident=ident))
            count += 1
    except Full:
        pass
    channel.out.publish()
    channel.wires.notify()
    channel.run(3)
    return f"{count} packets of 65535 bytes"


# FINISH.


def _pull_unfinished(channel, count):
    """Lets the driver under test grant packets that are not finished; returns what is owed."""
    channel.finishing = False
    channel.pull(count, size=LARGE, seconds=10)
    if not channel.owed:
        raise Setup("the driver under test granted no packet: nothing to finish wrongly")
    owed, channel.owed = channel.owed, []
    channel.finishing = True
    return owed


@lie("finish-twice", CLOSES, "finish.id is")
def finish_twice(channel, _side):
    """A packet is finished twice in one message."""
    owed = _pull_unfinished(channel, 1)
    channel.raw(finish([owed[0], owed[0]]))
    return f"id {owed[0][0]}"


@lie("finish-again", CLOSES, "finish.id is")
def finish_again(channel, _side):
    """A packet is finished, and later once more."""
    owed = _pull_unfinished(channel, 1)
    channel.raw(finish(owed[:1]))
    channel.run(0.5)
    channel.raw(finish(owed[:1]))
    return f"id {owed[0][0]}"


@lie("finish-backwards", HARMLESS)
def finish_backwards(channel, _side):
    """Packets are finished last first, one by one."""
    owed = _pull_unfinished(channel, 20)
    for entry in reversed(owed):
        channel.raw(finish([entry]))
    return f"{len(owed)} packets"


@lie("finish-failed", HARMLESS)
def finish_failed(channel, _side):
    """Each packet is finished as one that could not be received, in all ways that there are."""
    owed = _pull_unfinished(channel, 12)
    channel.raw(finish([(ident, index % 4) for index, (ident, _) in enumerate(owed)]))
    return f"{len(owed)} packets"


@lie("finish-never", CLOSES, "is missing: the packet was taken long ago", also=("harmless",), patience=60)
def finish_never(channel, _side):
    """No packet is finished, until the driver under test has no credit left."""
    channel.finishing = False
    channel.pull(1000, size=LARGE, seconds=20)
    kept = len(channel.owed)
    # Longer than a watchdog of the stack, and with nothing else to say.
    channel.run(15)
    channel.finishing = True
    return f"{kept} packets were kept for 15 seconds"


@lie("finish-while-mapped", CLOSES, "of that packet is still in use", also=("harmless",))
def finish_while_mapped(channel, side):
    """Pages are mapped, their packets finished, and the mappings kept for five seconds."""
    owed = _pull_unfinished(channel, 8)
    mapped = []
    for reference in sorted({reference for reference, _, _ in channel.kept}):
        try:
            mapped.append(side.mapping.map(side.peer_domain, [reference], writable=False))
        except OSError:
            # A range-limited entry is for copying only, or an older packet's page is not granted any more.
            continue
    channel.raw(finish(owed))
    # New packets want pages and references meanwhile.
    channel.pull(40, size=LARGE, seconds=5)
    channel.run(3)
    for mapping in mapped:
        mapping.unmap()
    return f"{len(mapped)} pages stayed mapped"


@lie("finish-while-copied", CLOSES, "of that packet is still in use", also=("harmless",))
def finish_while_copied(channel, side):
    """Packets are finished and copied on and on, so that Xen reads them while they are revoked."""
    owed = _pull_unfinished(channel, 24)
    late = refused = 0
    for entry, (reference, offset, length) in zip(owed, channel.kept[-len(owed):]):
        copies = side.mapping.repeated_copy(side.peer_domain, reference, offset, length, 2000)
        # The driver under test revokes while the copies go on: the first ones come through, and the last ones do not.
        channel.raw(finish([entry]))
        done = copies()
        late += done
        refused += done < 2000
        channel.run(0.01)
    return f"{late} copies after the FINISH, cut short for {refused} of {len(owed)} packets"


@lie("read-beyond", HARMLESS)
def read_beyond(channel, side):
    """The bytes before and behind granted packets are copied: Xen refuses, or there are only zeroes."""
    owed = _pull_unfinished(channel, 8)
    refused = zero = 0
    for reference, offset, length in channel.kept[-len(owed):]:
        if side.mapping.copy(side.peer_domain, reference, offset, length) is None:
            raise AssertionError(f"reference {reference} is refused within its packet")
        behind = offset + length
        for start, end in ((0, offset), (offset - 1, offset), (behind, behind + 1), (behind, PAGE), (0, PAGE)):
            if not 0 <= start < end <= PAGE:
                continue
            found = side.mapping.copy(side.peer_domain, reference, start, end - start)
            if found is None:
                refused += 1
                continue
            zero += 1
            beyond = found[: max(0, offset - start)] + found[max(0, behind - start) :]
            if any(beyond):
                raise AssertionError(f"reference {reference} shows bytes {start} to {end}, the packet has {offset} to {behind}")
    channel.raw(finish(owed))
    return f"{refused} copies refused, {zero} with zeroes around the packet"


@lie("message-changes", CLOSES, "is", also=("harmless",))
def message_changes(channel, _side):
    """Messages change between right and wrong while they are read, for three seconds."""
    right = packet(channel.host.who_has())
    wrong = (packet(channel.host.who_has(), size=65528), packet(channel.host.who_has(), fragments=18, way=2, ident=1))
    end, count = time.monotonic() + 3, 0
    while time.monotonic() < end:
        try:
            at = channel.out.produced
            channel.out.put(right)
        except Full:
            channel.run(0.01)
            continue
        channel.out.publish()
        channel.wires.notify()
        place = at % channel.out.size
        if place + len(right) > channel.out.size:
            continue
        for turn in range(200):
            channel.out.memory[place : place + 32] = (wrong[turn % 2] if turn % 3 else right)[:32]
        count += 1
    return f"{count} messages"
