"""How often a case is repeated, what its background is, and whether the host kept up."""
import unittest
import unittest.mock

import cases
import counts
import experiment
import probes


class Enough(unittest.TestCase):
    def enough(self, *totals, each=2):
        return experiment.is_enough(list(totals), each * len(totals))

    def test_one_is_never_enough(self):
        self.assertFalse(self.enough(1000, each=100))

    def test_two_that_agree_are(self):
        self.assertTrue(self.enough(1000, 1014))
        self.assertFalse(self.enough(1000, 1016))

    def test_two_that_do_not_agree_are_not_however_long_they_took(self):
        self.assertFalse(self.enough(1000, 1100, each=100))

    def test_of_more_the_median_and_its_neighbours_must_agree(self):
        self.assertFalse(self.enough(1000, 1100, 1005))
        self.assertTrue(self.enough(900, 1000, 1005, 1010, 1200, each=1))
        self.assertFalse(self.enough(900, 950, 1000, 1050, 1100, each=1))

    def test_a_long_case_ends_with_three(self):
        self.assertTrue(self.enough(1000, 1100, 1200, each=3))
        self.assertFalse(self.enough(1000, 1100, 1200, each=1))


class TooSlow(unittest.TestCase):
    def test_it_is_a_part_of_the_time(self):
        load = cases.Workload("load", "", "udp_in", speed=10)
        # 2 seconds at 10 million instructions a second, of which the host did not run 5 million.
        net = counts.Counts(events={(0, probes.TOO_SLOW): 5e6 / 100})
        run = experiment.Run(net, counts.Counts(), 100, 0, 2.0)
        case = cases.Case(cases.CONFIGURATIONS[0], load)
        self.assertAlmostEqual(experiment.too_slow(experiment.Result(case, [run])), 0.25)


class Quiet:
    """A machine whose background is as it is told, one time after the other."""

    def __init__(self, *rates):
        self.rates = list(rates)
        self.taken = 0

    def without_generators(self):
        pass


class Background(unittest.TestCase):
    def background(self, *rates):
        machine = Quiet(*rates)

        def interval(machine, _speed, _during):
            machine.taken += 1
            return counts.Counts(1.0, {"kern": [machine.rates.pop(0), 0]})

        with unittest.mock.patch.object(experiment, "interval", interval), \
                unittest.mock.patch.object(experiment.time, "sleep"):
            return experiment.background(machine).instructions(), machine.taken

    def test_two_that_agree_are_enough(self):
        self.assertEqual(self.background(700, 710, 100), (700, 2))

    def test_what_booting_left_is_waited_for(self):
        self.assertEqual(self.background(1700, 1100, 760, 730, 100), (730, 4))

    def test_it_ends_where_none_agree(self):
        self.assertEqual(self.background(6000, 5000, 4000, 3000, 2000, 1000, 0), (1000, 6))


if __name__ == "__main__":
    unittest.main()
