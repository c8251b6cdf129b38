# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Every lie that needs no Xen is told to the core crate: it must do what the table says, in the words of the table.

Run with `python3 -m unittest discover -s scripts/hostile/tests`; needs cargo.
"""

import argparse
import unittest

import oracle
import lies
from perform import honest, perform

# Only Xen, or a whole driver with its states, can answer to these.
NEEDS_XEN = {
    "control-ref-stale",
    "control-ref-huge",
    "control-ref-read-only",
    "tx-ref-stale",
    "tx-ref-huge",
    "rx-ref-stale",
    "tx-ref-other-domain",
    "port-other-domain",
    "port-closed",
    "port-unused",
    "version-missing-and-new",
    "pool-refused-mapped",
    "pool-dropped-mapped",
    "pool-refused-mapped-closed",
    "pool-wakes-late",
    "pool-churn",
    "finish-while-copied",
    "vanish",
    "reconnect",
    "reconnect-traffic",
}

OPTIONS = argparse.Namespace(order=4, own_ip="10.0.0.77", peer_ip="10.0.0.1", handle=0, seconds=2)


class Lies(unittest.TestCase):
    """The table against the core crate."""

    @classmethod
    def setUpClass(cls):
        oracle.OracleSide.binary = oracle.build()
        oracle.Clock().install()

    def tell(self, role):
        """Tells every lie in one role."""
        for one in lies.load().values():
            if role.role in one.roles and one.name not in NEEDS_XEN:
                with self.subTest(lie=one.name, role=role.role):
                    sides = []

                    def make(options, sides=sides):
                        sides.append(role(options))
                        return sides[-1]

                    make.role = role.role
                    result = perform(make, OPTIONS, one)
                    verdict = sides[0].verdict
                    self.assertTrue(result["ok"], f"{result}, verdict {verdict!r}")
                    if one.log and result["outcome"] == "closed":
                        self.assertIn(one.log, verdict)
                    if one.expect in (lies.HARMLESS, lies.PACKET_FAILS):
                        self.assertIsNone(verdict)

    def test_frontend(self):
        """Lies of the frontend."""
        self.tell(oracle.OracleFrontend)

    def test_backend(self):
        """Lies of the backend."""
        self.tell(oracle.OracleBackend)

    def test_honest(self):
        """Without a lie everything works, inline and granted."""
        for role in (oracle.OracleFrontend, oracle.OracleBackend):
            for order in (2, 4):
                with self.subTest(role=role.role, order=order):
                    options = argparse.Namespace(**{**vars(OPTIONS), "order": order})
                    result = honest(role, options)
                    self.assertTrue(result["ok"], result)
                    self.assertGreater(result["granted"], 0)

    def test_table(self):
        """Names, expectations and roles are what the command line knows."""
        for one in lies.load().values():
            self.assertIn(one.expect, lies.EXPECTATIONS)
            self.assertTrue(set(one.also) <= set(lies.EXPECTATIONS))
            self.assertTrue(set(one.roles) <= set(lies.BOTH))
            self.assertTrue(one.keys or one.greet or one.run)


if __name__ == "__main__":
    unittest.main()
