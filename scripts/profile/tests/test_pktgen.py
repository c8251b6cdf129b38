"""When the packet generator's senders are made anew."""
import dataclasses
import unittest

import pktgen


class Host:
    """Notes the commands that it is to run."""

    def __init__(self):
        self.name, self.commands = "g1", []

    def run(self, command, **_):
        self.commands.append(command)

    def made(self):
        """How often senders were made."""
        return sum("add_device" in command for command in self.commands)


class Ready(unittest.TestCase):
    def setUp(self):
        self.host, self.kept = Host(), {}
        self.frames = pktgen.Frames(64, 64, 4000)

    def ready(self, link="eth0", target="00:16:3e:00:00:01", count=8000, **changed):
        return pktgen.ready(self.kept, self.host, link, target, dataclasses.replace(self.frames, **changed), count)

    def test_another_count_is_for_the_same_senders(self):
        first = self.ready()
        self.assertEqual((first.count, self.host.made()), (8000, 1))
        self.assertIs(self.ready(count=1000), first)
        # Each of 64 senders has sent as many.
        self.assertEqual((first.count, self.host.made()), (960, 1))
        self.assertIn("count 15", self.host.commands[-1])

    def test_all_else_takes_others(self):
        for number, changed in enumerate(({}, {"rate": 1}, {"burst": 1}, {"size": 128}, {"link": "eth1"},
                                          {"target": "00:16:3e:00:00:02"}), 1):
            self.ready(**changed)
            self.assertEqual(self.host.made(), number)

    def test_bursts_have_their_time_and_no_rate_is_no_pause(self):
        self.assertEqual(self.frames.delay, 16_000_000)
        self.assertEqual(pktgen.Frames(64).delay, 0)

    def test_none_is_kept_that_was_not_made(self):
        def fail(command, **_):
            raise RuntimeError(command)

        self.ready()
        self.host.run = fail
        self.assertRaises(RuntimeError, self.ready, link="eth1")
        self.assertEqual(self.kept, {})


if __name__ == "__main__":
    unittest.main()
