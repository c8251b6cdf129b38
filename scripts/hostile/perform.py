# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Tells one lie, or none, and says what came of it."""

import copy
import time

from lies import CLOSES, DECLINES, HARMLESS, PACKET_FAILS
from protocol import Unexpected
from ring import Full
from side import GONE, Setup, Skipped
from store import CONNECTED, INIT_WAIT

# What must come of a lie.
OUTCOME = {CLOSES: "closed", PACKET_FAILS: "alive", HARMLESS: "alive", DECLINES: "declined"}


def _open(role, options, lie=None):
    """Connects, with what the lie has to say on the way; returns the side and what was said."""
    if lie is not None and lie.order is not None:
        options = copy.copy(options)
        options.order = lie.order
    side = role(options)
    said = []
    try:
        side.prepare()
        keys = side.keys()
        if lie is not None and lie.keys is not None:
            said.append(lie.keys(keys, side))
        side.publish(keys)
        channel = side.connect()
        if channel is not None:
            if lie is not None and lie.greet is not None:
                said.append(lie.greet(channel, side))
            else:
                channel.greet()
    except BaseException:
        side.release()
        raise
    return side, [one for one in said if isinstance(one, str)]


def _tell(side, lie):
    """Runs the lie's last hook on a channel that is known to work; returns what it did."""
    if lie.run is None or side.channel is None:
        return None
    if lie.needs & ~side.features:
        raise Skipped(f"features {lie.needs:#x} are needed and {side.features:#x} negotiated")
    if not side.channel.alive():
        raise Setup("the channel carries no ping before the lie is told")
    return lie.run(side.channel, side)


def _outcome(side, lie):
    """Looks at what the driver under test made of it."""
    # A backend that offers anew has ended the channel too.
    ended = (*GONE, INIT_WAIT) if side.role == "front" else GONE
    if lie.expect == CLOSES and HARMLESS not in lie.also:
        side.wait_peer(ended, lie.patience)
    state = side.peer_state()
    if state in ended:
        return state, "closed"
    if side.channel is None:
        # The driver that has the device then may connect: that it was handed on is in the log, which the caller compares.
        return state, "declined" if state != CONNECTED or lie.expect == DECLINES else "mute"
    if state == CONNECTED and side.channel.alive(size=56) and side.channel.alive(size=900):
        return state, "alive"
    # It may have closed while nobody answered.
    state = side.wait_peer(ended, lie.patience if lie.expect == CLOSES else 1)
    return state, "closed" if state in ended else "mute"


def perform(role, options, lie):
    """Tells a lie and returns what is to be printed about it."""
    start = time.monotonic()
    result = {"lie": lie.name, "role": role.role, "expect": lie.expect, "log": lie.log, "did": lie.about}
    side, details = None, []
    try:
        side, details = _open(role, options, lie)
        try:
            details.append(_tell(side, lie))
        except (Full, Unexpected) as problem:
            # A peer that closes in the middle of a lie leaves the ring as it is.
            if lie.expect != CLOSES:
                raise
            details.append(f"stopped: {problem!r}")
        state, outcome = _outcome(side, lie)
        result["peer_state"], result["outcome"] = state, outcome
        result["ok"] = outcome in {OUTCOME[one] for one in (lie.expect, *lie.also)}
    except Skipped as reason:
        result.update(ok=lie.may_skip, outcome="skipped", finding=str(reason))
    except Setup as problem:
        result.update(ok=False, outcome="no stage", finding=str(problem))
    except (AssertionError, Full, Unexpected, OSError) as problem:
        result.update(ok=False, outcome="finding", finding=f"{type(problem).__name__}: {problem}")
    details = [one for one in details if one]
    if details:
        result["did"] += ": " + "; ".join(details)
    if side is not None:
        result.setdefault("peer_state", side.peer_state())
        _finish(side, lie, result)
    # The frontend cannot make a device; the backend makes one for each lie.
    result["spent"] = lie.spends_device and role.role == "front"
    result["seconds"] = round(time.monotonic() - start, 1)
    return result


def _finish(side, lie, result):
    """Leaves the device as the next lie wants to find it."""
    try:
        if lie.spends_device and side.role == "front":
            side.release()
        else:
            side.close()
    except OSError as problem:
        result["left_behind"] = str(problem)


def honest(role, options):
    """Behaves: answers ARP and pings for a while, over inline and granted packets, and pings in turn."""
    start = time.monotonic()
    result = {"lie": "honest", "role": role.role, "expect": HARMLESS, "log": None, "did": "nothing but answer"}
    side = None
    try:
        side, _ = _open(role, options)
        channel = side.channel
        if channel is None:
            raise Setup("the driver under test closed the device: its log says why")
        result["small"] = channel.alive(size=56)
        result["large"] = channel.alive(size=900)
        while time.monotonic() < start + options.seconds and side.peer_state() == CONNECTED:
            channel.run(0.5)
        result.update(
            packets=channel.seen.packets,
            granted=channel.seen.granted,
            copy_failures=channel.seen.copy_failures,
            finishes=sum(len(statuses) for statuses in channel.seen.statuses.values()),
            outstanding=len(channel.outstanding),
        )
        result["ok"] = result["small"] and result["large"] and side.peer_state() == CONNECTED
    except (Setup, Full, Unexpected, OSError) as problem:
        result.update(ok=False, finding=f"{type(problem).__name__}: {problem}")
    if side is not None:
        result["peer_state"] = side.peer_state()
        side.close()
        result["state_after_close"] = side.peer_state()
    result["seconds"] = round(time.monotonic() - start, 1)
    return result
