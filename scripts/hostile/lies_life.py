# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Lies about states, and peers that vanish: what a device must survive rather than what it must find out."""

import time

from lies import BACK, CLOSES, FRONT, HARMLESS, lie
from side import GONE, Setup
from store import CLOSED, CLOSING, CONNECTED, INIT_WAIT, INITIALISING


def _traffic(channel):
    """Leaves packets under way in both directions."""
    channel.finishing = False
    channel.pull(20, size=900, seconds=2)


@lie("state-closed", CLOSES)
def state_closed(channel, side):
    """The state is Closed in the middle of traffic."""
    _traffic(channel)
    side.set_state(CLOSED)


@lie("state-closing", CLOSES)
def state_closing(channel, side):
    """The state is Closing in the middle of traffic, and stays so."""
    _traffic(channel)
    side.set_state(CLOSING)


@lie("state-initialising", CLOSES, roles=(FRONT,), also=("harmless",))
def state_initialising(channel, side):
    """The frontend starts anew without having closed."""
    _traffic(channel)
    side.set_state(INITIALISING)
    # The backend is right to close, and then to offer again: what must not be is that it stays connected.
    if side.wait_peer((*GONE, INIT_WAIT)) not in (*GONE, INIT_WAIT):
        raise AssertionError("still connected to a frontend that started anew")
    side.set_state(CLOSED)


@lie("state-init-wait", CLOSES, roles=(BACK,), also=("harmless",))
def state_init_wait(channel, side):
    """The backend makes its offer anew without having closed."""
    _traffic(channel)
    side.set_state(INIT_WAIT)
    channel.run(2)
    side.set_state(CLOSED)


@lie("state-init-wait-twice", HARMLESS, roles=(BACK,), hook="keys")
def state_init_wait_twice(values, side):
    """The offer is made twice before the frontend has answered: xenstore tells it twice."""
    side.publish(values)


@lie("state-same", HARMLESS)
def state_same(channel, side):
    """The state is written again and again, the same."""
    for _ in range(200):
        side.set_state(CONNECTED)
    channel.run(2)


@lie("keys-change", HARMLESS, roles=(FRONT,))
def keys_change(channel, side):
    """All keys of the queue change while it runs: nothing is read twice."""
    for key in ("control-ring-ref", "tx-ring-ref-0", "event-channel"):
        side.store.write(f"{side.path}/queue-0/{key}", 1)
    side.set_state(CONNECTED)
    channel.run(2)


@lie("event-storm", HARMLESS)
def event_storm(channel, side):
    """Events come as fast as they can be sent, for five seconds, with nothing to say."""
    return f"{side.storm(5)} events"


@lie("event-storm-traffic", HARMLESS)
def event_storm_traffic(channel, side):
    """Events come as fast as they can be sent, with some packets between them."""
    count, end = 0, time.monotonic() + 5
    while time.monotonic() < end:
        count += side.storm(0.05)
        channel.pull(4, seconds=0.05)
    return f"{count} events"


@lie("vanish", CLOSES)
def vanish(channel, side):
    """Rings and event channel go away without a word, and the state becomes Closed two seconds later."""
    _traffic(channel)
    side.release()
    time.sleep(2)
    side.set_state(CLOSED)


@lie("reconnect", HARMLESS, roles=(FRONT,))
def reconnect(_channel, side):
    """The device closes and connects ten times in a row."""
    for turn in range(10):
        side.close()
        side.prepare()
        side.publish(side.keys())
        channel = side.connect()
        if channel is None:
            raise AssertionError(f"no connection at turn {turn}")
        channel.greet()
        channel.ready()


@lie("reconnect-traffic", HARMLESS, roles=(FRONT,))
def reconnect_traffic(_channel, side):
    """The device closes and connects five times with packets under way."""
    for turn in range(5):
        _traffic(side.channel)
        side.close()
        side.prepare()
        side.publish(side.keys())
        channel = side.connect()
        if channel is None:
            raise AssertionError(f"no connection at turn {turn}")
        channel.greet()
        channel.ready()


# The following take the device with them: a backend removes a vif whose frontend is gone.


@lie("state-0", CLOSES, spends_device=True)
def state_0(channel, side):
    """The state is Unknown in the middle of traffic."""
    _traffic(channel)
    side.set_state(0)


@lie("state-text", CLOSES, spends_device=True)
def state_text(channel, side):
    """The state is no number."""
    _traffic(channel)
    side.set_state("banana")


@lie("states-random", CLOSES, spends_device=True)
def states_random(_channel, side):
    """States come in a random order for five seconds, and Closed at last."""
    # The rings stay: a peer that connects again finds them as they are, which is the next lie.
    written = side.random_states(5, seed=4)
    # What is in them by now is not what this end has seen come.
    side.let_go()
    side.channel = None
    time.sleep(1)
    side.set_state(CLOSED)
    return f"{len(written)} states"


@lie("nodes-removed", CLOSES, spends_device=True)
def nodes_removed(channel, side):
    """The own directory is removed in the middle of traffic."""
    _traffic(channel)
    side.remove_nodes()
    if side.role == BACK:
        # Both directories are gone, and with them the state that could be looked at.
        channel.run(2)


@lie("killed", CLOSES, spends_device=True, roles=(FRONT,))
def killed(channel, side):
    """The directory is emptied first and the memory freed right after."""
    _traffic(channel)
    if not side.store.list(side.path):
        raise Setup("no directory")
    side.remove_nodes()
    side.release()
