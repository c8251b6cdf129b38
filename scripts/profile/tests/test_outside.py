"""The network of the TCP peer, in processes of their own: it is for the whole of one."""
import os
import subprocess
import sys
import unittest
import unittest.mock

import outside
from machine import LabError

SHOW = """
import pathlib, subprocess
import outside
outside.enter()
for name in outside.SETTINGS:
    path = pathlib.Path("/proc/sys/net") / name
    if path.exists():
        print(name, *path.read_text().split())
print("reachable", pathlib.Path(f"/proc/sys/net/ipv4/neigh/{outside.DEVICE}/base_reachable_time_ms").read_text())
print(subprocess.run(["ip", "-4", "-br", "addr"], stdout=subprocess.PIPE, text=True).stdout)
print(subprocess.run(["tc", "qdisc", "show", "dev", outside.DEVICE], stdout=subprocess.PIPE, text=True).stdout)
"""
REFUSED = """
import outside
from machine import LabError
outside.COMMANDS = ("ip link set lo up", "ip tuntap add of-more-than-15-letters mode tap")
try:
    outside.enter()
except LabError as error:
    print(error)
"""
SNMP = """Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RetransSegs InSegs
Tcp: 1 17 99
"""
DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       1       2    0   70    0     0          0         0       1       2    0   71    0     0       0          0
{device}:    3       4    0    5    0     0          0         0       6       7    0    8    0     0       0          0
"""


def python(code):
    """What such a program says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=environment).stdout


class Network(unittest.TestCase):
    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "this machine has no /dev/net/tun")
    def test_it_has_the_card_and_the_settings_and_the_host_keeps_its_own(self):
        said = python(SHOW)
        lines = [line.split() for line in said.splitlines() if line]
        found = {words[0]: words[1:] for words in lines}
        for name, value in outside.SETTINGS.items():
            if name in found or not name.startswith("ipv6/"):
                self.assertEqual(found.pop(name, None), value.split(), said)
        self.assertEqual(found.pop("reachable", None), ["7200000"], said)
        self.assertEqual(found.pop("lo", None), ["UNKNOWN", "127.0.0.1/8"], said)
        self.assertEqual(found.pop(outside.DEVICE, ["", ""])[1], f"{outside.ADDRESS}/16", said)
        self.assertEqual(found.pop("qdisc", [""])[0], "pfifo_fast", said)
        self.assertEqual(found, {}, said)
        self.assertNotIn(outside.DEVICE, outside.DEVICES.read_text())

    def test_what_is_refused_is_named(self):
        said = python(REFUSED)
        self.assertIn("no network for the TCP peer: ", said)
        if "a network namespace" not in said:
            self.assertIn("ip tuntap add of-more-than-15-letters mode tap: ", said)
            self.assertIn("not a valid ifname", said)


class Counts(unittest.TestCase):
    def test_segments_sent_again_and_packets_dropped_are_those_of_the_device(self):
        self.assertEqual(outside.retransmissions(SNMP), 17)
        self.assertEqual(outside.dropped(DEV.format(device=outside.DEVICE)), (5, 8))
        self.assertEqual(outside.dropped(DEV.format(device="eth0")), (0, 0))


class Server(unittest.TestCase):
    def start(self, program):
        """What is wrong with a peer whose tool is such a program."""
        with (unittest.mock.patch.object(outside, "tool", lambda: program),
              self.assertRaises(LabError) as raised, outside.Peer()):
            pass
        return str(raised.exception)

    def test_one_that_does_not_start_says_why(self):
        self.assertIn("at 10.0.255.2 did not start", self.start("/bin/false"))
        self.assertIn("did not start: serve --bind 10.0.255.2", self.start("/bin/echo"))


if __name__ == "__main__":
    unittest.main()
