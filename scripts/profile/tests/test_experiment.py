"""How often a case is repeated."""
import unittest

import experiment


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


if __name__ == "__main__":
    unittest.main()
