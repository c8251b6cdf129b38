# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies in xenstore, told before there is a channel."""

import time

import store as keys
from lies import BACK, CLOSES, DECLINES, FRONT, HARMLESS, add
from side import Setup

HUGE = 4294967295
TOO_HUGE = 4294967296


def _set(key, value):
    def hook(values, _side):
        values[key] = value
        return f"{key} = {value!r}"

    return hook


def _numbers(role, prefix, key, bad, expect=CLOSES):
    """Enters a lie for each bad value: (name, value, what follows the key in the log)."""
    for name, value, log in bad:
        about = f"{key} is missing" if value is None else f"{key} is {value!r}"
        add(f"{prefix}-{name}", about, expect, f"{key} {log}", roles=(role,), keys=_set(key, value))


def _garbage(low, high):
    return [
        ("missing", None, "is missing"),
        ("text", "banana", 'is "banana": not a number'),
        ("negative", "-1", 'is "-1": not a number'),
        ("empty", "", 'is "": not a number'),
        ("33-bits", TOO_HUGE, f'is "{TOO_HUGE}": not a number'),
        ("long", "1" * 400, 'is "' + "1" * 24),
        ("control", "1\n\x1b[31m", 'is "1??[31m": not a number'),
        ("huge", HUGE, f"is {HUGE}: not in {low}..={high}"),
    ]


# The frontend's answer.

_numbers(FRONT, "version", keys.VERSION, [("0", 0, "is 0: not in 1..=1"), ("2", 2, "is 2: not in 1..=1")])
_numbers(FRONT, "version", keys.VERSION, _garbage(1, 1)[1:])
# A frontend that answers without a version is a classic one.
add("version-missing", f"{keys.VERSION} is missing", DECLINES, "the guest has no Netchannel 2", roles=(FRONT,),
    keys=_set(keys.VERSION, None), also=(CLOSES,), spends_device=True)


def _new_again(values, side):
    values[keys.VERSION] = None
    side.publish(values)
    end = time.monotonic() + 20
    while side.store.read(f"{side.peer_path}/{keys.FEATURE}") is not None:
        if time.monotonic() > end:
            raise Setup("the vif is not handed on")
    # The driver has taken its offer back, and has not let go of the device yet.
    side.set_state(keys.INITIALISING)
    time.sleep(3)
    if side.store.read(f"{side.peer_path}/{keys.FEATURE}") is not None:
        raise AssertionError("the driver has the vif that it handed on, and has forgotten what its frontend did")
    # Another driver has the vif now, with which there is nothing to settle.
    side.connect = lambda: None


add("version-missing-and-new", "the frontend is a classic one, and a new one while the vif is handed on", DECLINES,
    "the guest has no Netchannel 2", roles=(FRONT,), keys=_new_again, also=(CLOSES,), spends_device=True)
_numbers(FRONT, "queues", keys.NUM_QUEUES, [("0", 0, "is 0: not in 1..="), ("65536", 65536, "is 65536: not in 1..=")])
_numbers(FRONT, "queues", keys.NUM_QUEUES, _garbage(1, "")[:3])
_numbers(FRONT, "order", keys.RING_ORDER, [(str(n), n, f"is {n}: not in 2..=") for n in (0, 1, 5, 31, 32, 255)])
_numbers(FRONT, "order", keys.RING_ORDER, _garbage(2, "")[:3])
_numbers(
    FRONT,
    "features",
    keys.FEATURES,
    [
        ("unknown", "0x80000000", "has 0x80000000 (unknown 0x80000000): not offered"),
        ("posted", "0x200", "has 0x200 (posted): not offered"),
        ("decimal", "31", 'is "31": not a number'),
        ("missing", None, "is missing"),
        ("text", "0xbanana", 'is "0xbanana": not a number'),
        ("33-bits", "0x100000000", 'is "0x100000000": not a number'),
    ],
)
_numbers(
    FRONT,
    "control-ref",
    keys.CONTROL_REF,
    [
        ("missing", None, "is missing"),
        ("0", 0, "is 0: not in 8..="),
        ("7", 7, "is 7: not in 8..="),
        ("text", "banana", 'is "banana": not a number'),
        ("33-bits", TOO_HUGE, f'is "{TOO_HUGE}": not a number'),
    ],
)
_numbers(FRONT, "tx-ref", keys.ring_ref("tx", 3), [("missing", None, "is missing"), ("0", 0, "is 0: not in 8..=")])
_numbers(FRONT, "rx-ref", keys.ring_ref("rx", 0), [("missing", None, "is missing"), ("0", 0, "is 0: not in 8..=")])
_numbers(
    FRONT,
    "port",
    keys.EVENT_CHANNEL,
    [
        ("missing", None, "is missing"),
        ("0", 0, "is 0: not in 1..=131071"),
        ("131072", 131072, "is 131072: not in 1..=131071"),
        ("huge", HUGE, f"is {HUGE}: not in 1..=131071"),
        ("text", "banana", 'is "banana": not a number'),
    ],
)

# The following are numbers as they should be, of things that are not there: Xen says so when the backend maps or binds.
MAPPING = "cannot set up the queue: mapping ring-refs"
BINDING = "cannot set up the queue: binding event-channel"


def _stale(key):
    def hook(values, side):
        values[key] = side.stale_reference()
        return f"{key} = {values[key]}, which is granted to nobody any more"

    return hook


def _for_another(values, side):
    key = keys.ring_ref("tx", 1)
    values[key] = side.share(1, domain=side.domain).refs[0]
    return f"{key} = {values[key]}, which is granted to domain {side.domain}"


def _read_only(values, side):
    values[keys.CONTROL_REF] = side.share(1, writable=False).refs[0]
    return f"{keys.CONTROL_REF} = {values[keys.CONTROL_REF]}, which may only be read"


def _duplicate(key, of):
    def hook(values, _side):
        values[key] = values[of]

    return hook


def _no_queue(values, _side):
    for key in [key for key in values if key.startswith("queue-0/")]:
        values[key] = None


def _port_of_another(values, side):
    # A domain cannot bind a channel that waits for another one.
    values[keys.EVENT_CHANNEL] = side.unbound_port(side.domain)


def _closed_port(values, side):
    port = side.events.unbound(side.peer_domain)
    side.events.unbind(port)
    values[keys.EVENT_CHANNEL] = port


FRONT_HOOKS = (
    ("control-ref-stale", "the control page is granted to nobody", MAPPING, _stale(keys.CONTROL_REF)),
    ("control-ref-huge", "the control page's reference is beyond every table", MAPPING, _set(keys.CONTROL_REF, HUGE)),
    ("control-ref-read-only", "the control page may only be read", MAPPING, _read_only),
    ("tx-ref-stale", "a page of tx is granted to nobody", MAPPING, _stale(keys.ring_ref("tx", 2))),
    ("tx-ref-huge", "a page of tx has a reference beyond every table", MAPPING, _set(keys.ring_ref("tx", 0), HUGE)),
    ("rx-ref-stale", "the last page of rx is granted to nobody", MAPPING, _stale(keys.ring_ref("rx", 3))),
    ("tx-ref-other-domain", "a page of tx is granted to another domain", MAPPING, _for_another),
    ("rx-ref-duplicate", "a page of rx is one of tx", "granted twice in one queue",
     _duplicate(keys.ring_ref("rx", 1), keys.ring_ref("tx", 1))),
    ("tx-ref-is-control", "a page of tx is the control page", "granted twice in one queue",
     _duplicate(keys.ring_ref("tx", 0), keys.CONTROL_REF)),
    ("queue-keys-missing", "there are no keys of the queue", f"{keys.CONTROL_REF} is missing", _no_queue),
    ("port-other-domain", "the event channel waits for another domain", BINDING, _port_of_another),
    ("port-closed", "the event channel is closed", BINDING, _closed_port),
    ("port-unused", "the event channel was never allocated", BINDING, _set(keys.EVENT_CHANNEL, 4000)),
)

for _name, _about, _log, _hook in FRONT_HOOKS:
    # Rings of the least order have pages 0 to 3, all of which the names above are about.
    add(_name, _about, CLOSES, _log, roles=(FRONT,), keys=_hook, order=2)

# The backend's offer. What is more than the frontend knows is no lie but the future, and is to be ignored.

add("offer-missing", "there is no offer", DECLINES, "the host has no Netchannel 2", roles=(BACK,),
    keys=lambda values, _side: values.update(dict.fromkeys(values)))
_numbers(
    BACK,
    "offer-version",
    keys.FEATURE,
    [
        ("0", 0, "is 0: none of 1..=0 is spoken here"),
        ("text", "banana", 'is "banana": not a number'),
        ("33-bits", TOO_HUGE, f'is "{TOO_HUGE}": not a number'),
    ],
)
add("offer-versions-too-high", "the lowest version is 7 and the highest 9", CLOSES,
    f"{keys.FEATURE} is 9: none of 7..=9 is spoken here", roles=(BACK,),
    keys=lambda values, _side: values.update({keys.FEATURE: 9, keys.MIN_VERSION: 7}))
_numbers(BACK, "offer-min-version", keys.MIN_VERSION, _garbage(0, "")[:3])
_numbers(BACK, "offer-queues", keys.MAX_QUEUES, [("0", 0, "is 0: not in 1..="), *_garbage(1, "")[:2]])
_numbers(BACK, "offer-order", keys.MAX_RING_ORDER, [(str(n), n, f"is {n}: not in 2..=") for n in (0, 1)])
_numbers(BACK, "offer-order", keys.MAX_RING_ORDER, _garbage(2, "")[:2])
_numbers(
    BACK,
    "offer-features",
    keys.FEATURES,
    [
        ("missing", None, "is missing"),
        ("decimal", "31", 'is "31": not a number'),
        ("text", "0xbanana", 'is "0xbanana": not a number'),
    ],
)
for _name, _key, _value in (
    ("offer-version-9", keys.FEATURE, 9),
    ("offer-queues-65536", keys.MAX_QUEUES, 65536),
    ("offer-order-5", keys.MAX_RING_ORDER, 5),
    ("offer-order-huge", keys.MAX_RING_ORDER, HUGE),
    ("offer-features-all", keys.FEATURES, "0xffffffff"),
    ("offer-features-none", keys.FEATURES, "0x0"),
):
    add(_name, f"{_key} is {_value!r}", HARMLESS, None, roles=(BACK,), keys=_set(_key, _value))
