# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The table of lies.

A lie is a name, what the driver under test must do about it, what its one log line must contain, and up to three
hooks: `keys(keys, side)` changes what is about to be written to xenstore, `greet(channel, side)` speaks first instead
of SET_MAX_PACKETS, and `run(channel, side)` does its work on a channel that has just carried a ping. A hook may return
a text that says what it did; everything else is done as an honest side does it.

What the driver under test must do (`expect`):

closes    end the channel: state Closing or Closed, and one log line that names the field and the value
packet    fail the one packet with a FINISH that says so, and go on
harmless  nothing that can be seen: a ping still comes back
declines  leave the device alone, to another driver
"""

import importlib
from dataclasses import dataclass

FRONT, BACK = "front", "back"
BOTH = (FRONT, BACK)

CLOSES, PACKET_FAILS, HARMLESS, DECLINES = "closes", "packet", "harmless", "declines"
EXPECTATIONS = (CLOSES, PACKET_FAILS, HARMLESS, DECLINES)

GROUPS = ("lies_store", "lies_ring", "lies_message", "lies_packet", "lies_grant", "lies_pool", "lies_answer", "lies_staged",
          "lies_life")


@dataclass(frozen=True)
class Lie:
    """One lie."""

    name: str
    about: str
    expect: str
    # What the log line must contain; None where nothing has to be logged, or where the words are not fixed.
    log: str | None = None
    roles: tuple = BOTH
    # Other outcomes that are right, where it depends on timing which rule the peer sees broken.
    also: tuple = ()
    keys: object = None
    greet: object = None
    run: object = None
    # The ring order to use, where small rings make the point sooner.
    order: int | None = None
    # Features that have to be negotiated, or there is nothing to lie about.
    needs: int = 0
    # Seconds until the peer must have closed.
    patience: float = 15
    # Says that the device does not outlive the lie: the toolstack has to detach it and attach a new one.
    spends_device: bool = False
    # Whether it may be skipped, as it needs somebody else's help; any other that is skipped has proven nothing.
    may_skip: bool = False


TABLE = {}


def add(name, about, expect, log=None, **more):
    """Enters a lie."""
    if name in TABLE:
        raise ValueError(f"two lies are called {name}")
    TABLE[name] = Lie(name=name, about=about, expect=expect, log=log, **more)


def lie(name, expect, log=None, hook="run", **more):
    """Enters the decorated function as a lie with one hook; the first line of its docstring says what it is about."""

    def enter(function):
        about = function.__doc__.strip().splitlines()[0].rstrip(".")
        add(name, about, expect, log, **{hook: function}, **more)
        return function

    return enter


def load():
    """Fills the table, in the order in which lies are best told: those that spend the device come last."""
    if not TABLE:
        for group in GROUPS:
            importlib.import_module(group)
    return dict(sorted(TABLE.items(), key=lambda item: item[1].spends_device))
