"""The list of cases."""
import unittest

import cases
import workloads


class Cases(unittest.TestCase):
    def test_the_default_set_has_every_configuration(self):
        chosen = cases.choose()
        self.assertEqual({case.configuration.name for case in chosen},
                         {each.name for each in cases.CONFIGURATIONS if each.usual})
        self.assertFalse(any(case.workload.by_name_only for case in chosen))

    def test_native_linux_has_no_guests(self):
        self.assertFalse(any(case.workload.kind.endswith("_guests") for case in cases.choose("native")))

    def test_patterns(self):
        self.assertEqual([case.name for case in cases.choose("stock/rr")], ["stock/rr"])
        chosen = [case.name for case in cases.choose("native/in-1472*")]
        self.assertEqual(chosen, ["native/in-1472", "native/in-1472-b8", "native/in-1472-b6"])
        self.assertEqual({case.configuration.name for case in cases.choose("rr")},
                         {each.name for each in cases.CONFIGURATIONS if each.workloads == ("*",)})
        self.assertEqual(len(cases.choose("native/rr stock/rr")), 2)
        with self.assertRaises(ValueError):
            cases.choose("no-such-case")

    def test_udp_put_together_is_usual_for_ours_alone(self):
        together = {each.name for each in cases.CONFIGURATIONS if each.udp_gro == "on"}
        self.assertEqual(together, {"ours", "ours-ranges", "native-udp-gro", "stock-udp-gro"})
        usual = [case.name for case in cases.choose() if case.configuration.name.endswith("udp-gro")]
        self.assertEqual(usual, ["ours-no-udp-gro/in-1472", "ours-no-udp-gro/in-1472-b6", "native-udp-gro/in-1472",
                                 "stock-udp-gro/in-1472"])
        self.assertEqual({case.workload.name for case in cases.choose("stock-udp-gro")},
                         {"in-64", "in-64-together", "in-1472", "in-1472-b8", "in-1472-b6"})

    def test_every_kind_is_there_and_names_are_unique(self):
        self.assertLessEqual({load.kind for load in cases.WORKLOADS}, set(workloads.KINDS))
        for entries in (cases.WORKLOADS, cases.CONFIGURATIONS):
            names = [entry.name for entry in entries]
            self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
