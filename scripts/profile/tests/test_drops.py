"""Where packets are dropped, and where the time of a run goes."""
import subprocess
import types
import unittest

import drops
import stopwatch


class Host:
    """Stands for a domain: a shell here, with what its `tc` says."""

    def __init__(self, name, queues=""):
        self.name, self.queues = name, queues

    def start(self, command):
        shell = f"tc() {{ printf '%s' '{self.queues}'; }}\n{command}"
        out = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True).stdout
        return types.SimpleNamespace(wait=lambda: types.SimpleNamespace(out=out))


def queue(dropped):
    return ("qdisc pfifo_fast 0: dev vif1.0 root refcnt 2 bands 3 priomap  1 2 2 2\n"
            f" Sent 19 bytes 9 pkt (dropped {dropped}, overlimits 0 requeues 0)\n backlog 0b 0p requeues 0\n")


class Drops(unittest.TestCase):
    def test_what_grew_is_named(self):
        host = Host("dom0", queue(2))
        machine = types.SimpleNamespace(cards_host=host, subject=host, peer=None)
        before = drops.counters(machine)
        self.assertEqual(before["dom0", "queue before vif1.0"], 2)
        self.assertIn(("dom0", "lo rx_dropped"), before)
        self.assertIn(("dom0", "backlog of the processor"), before)
        self.assertIn(("dom0", "UDP, no room at the socket"), before)
        host.queues = queue(9)
        self.assertIn("dom0, queue before vif1.0: 7", drops.since(before, drops.counters(machine)))
        self.assertEqual(drops.since(before, before), "no counter of drops has grown")

    def test_each_look_names_what_grew_since_the_one_before(self):
        host = Host("dom0", queue(2))
        machine = types.SimpleNamespace(cards_host=host, subject=host, peer=None, dropped={})
        drops.since_last(machine)
        host.queues = queue(5)
        self.assertIn("dom0, queue before vif1.0: 3", drops.since_last(machine))
        self.assertNotIn("vif1.0", drops.since_last(machine))


class Time(unittest.TestCase):
    def test_seconds_are_summed_by_activity_also_of_what_fails(self):
        watch = stopwatch.Stopwatch()
        for activity in ("booted", "measured", "booted"):
            with self.assertRaises(OSError), watch(activity):
                raise OSError
        self.assertEqual(set(watch.seconds), {"booted", "measured"})
        self.assertIn("measured 0 s", watch.line())


if __name__ == "__main__":
    unittest.main()
