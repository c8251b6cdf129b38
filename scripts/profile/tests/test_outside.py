"""The network of the TCP peer, in a process of its own: it is for the whole of one."""
import os
import subprocess
import sys
import unittest

import outside

SHOW = """
import subprocess, outside
outside.enter()
print(open("/proc/sys/net/ipv4/tcp_congestion_control").read().strip())
print(subprocess.run(["ip", "-br", "addr"], stdout=subprocess.PIPE, text=True).stdout)
"""
# As where there is no device to be had.
WITHOUT = """
import outside
from machine import LabError
outside.DEVICE = "a name that no device can have"
try:
    outside.enter()
except LabError as error:
    print(error)
"""


def python(code):
    """What such a program says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=environment).stdout


class Network(unittest.TestCase):
    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "this machine has no /dev/net/tun")
    def test_it_has_the_card_and_the_settings_and_nothing_of_the_hosts(self):
        said = python(SHOW)
        algorithm, *devices = said.split("\n")
        self.assertEqual(algorithm, "reno", said)
        found = {line.split()[0]: line.split()[2:] for line in devices if line}
        self.assertEqual(found.pop("lo", None), ["127.0.0.1/8", "::1/128"] if "::1" in said else ["127.0.0.1/8"], said)
        self.assertEqual(found, {outside.DEVICE: [f"{outside.ADDRESS}/16"]}, said)

    def test_the_host_keeps_its_network(self):
        python(SHOW)
        here = subprocess.run(["ip", "-br", "link"], stdout=subprocess.PIPE, text=True).stdout
        self.assertNotIn(outside.DEVICE, here)

    def test_what_is_missing_is_named(self):
        said = python(WITHOUT)
        self.assertIn("no network for the TCP peer", said)
        self.assertIn("/dev/net/tun", said)

    def test_segments_sent_again_are_read_by_name(self):
        self.assertGreaterEqual(outside.retransmissions(), 0)
