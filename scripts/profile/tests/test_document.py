"""The page of figures and the charts, from made-up results."""
import pathlib
import tempfile
import unittest

import cases
import charts
import costs
import counts
import document
import experiment


def result(name, factor):
    """A result of four repetitions whose counts are `factor` times as large as the smallest."""
    case, = cases.choose(name)

    def run(share):
        kinds = {"kern": [1000 * factor * share, 10], "usercopy": [50, 5]}
        found = counts.Counts(1.0, kinds, {0: 300 * factor, 1: 700})
        found.events = {(0, "event channel sends"): 0.125 * factor, (1, "event channel sends"): 0.5,
                        (0, "interrupts of the card"): 1 / 64, (1, "hypercalls"): 0.5 * factor,
                        (1, "bytes copied to and from user space"): 1472.0}
        return experiment.Run(found, counts.Counts(1.0, {"kern": [5, 1]}), 12000, 1 << 20, 1.5)

    # The inner two of four have a mean that none of them has.
    return experiment.Result(case, [run(share) for share in (0.996, 1.01, 0.99, 1.004)])


def results():
    names = [("native/in-48k-b6", 1), ("stock/in-48k-b6", 3), ("stock/rate-in-64", 4), ("ours/rate-in-64", 2),
             ("native/in-1472-b6", 1), ("stock/in-1472-b6", 3), ("ours-frames-6/in-1472-b6", 2)]
    broken, = cases.choose("ours/rr")
    return [*(result(*each) for each in names), experiment.Result(broken, [], "it hangs")]


class Figures(unittest.TestCase):
    def page(self, folder):
        drawn = charts.draw(folder, results(), costs.load())
        return drawn, document.figures(results(), costs.load(), {"cpu": "none"}, drawn)

    def test_a_run_becomes_a_page_and_its_charts(self):
        with tempfile.TemporaryDirectory() as name:
            folder, target = pathlib.Path(name) / "run", pathlib.Path(name) / "documentation"
            folder.mkdir()
            drawn, page = self.page(folder)
            (folder / document.FIGURES).write_text(page)
            target.mkdir()
            (target / "of-an-earlier-run.svg").touch()
            document.take(folder, target)
            self.assertIn("| kern | 1000 | 3000 |", page)
            self.assertIn("| over native, % | +0 | +190 |", page)
            self.assertIn("| packet rate against stock, by the busier CPU | 1.00 | 1.71 |", page)
            self.assertIn("| packets per interrupt of the card | 64.0 | 64.0 |", page)
            self.assertIn("| hypercalls | 0.500 | 1.500 |", page)
            self.assertIn("| event channel sends, by the driver domain | 0.125 | 0.375 |", page)
            self.assertIn("| the card at 6 | stock | ours-frames-6 |", page)
            self.assertIn("| packets per event to the guest | 2.7 | 4.0 |", page)
            self.assertIn("| in-48k-b6, instructions | +190 |", page)
            self.assertIn("| `stock` | Xen, netback and netfront |", page)
            self.assertIn("FAILED: ours/rr", page)
            self.assertIn("| in-48k-b6 | 1050 (1.9%) | 3050 (2.0%) |  |", page)
            self.assertEqual({path.name for path in target.iterdir()},
                             {"figures.md", "talk.svg", "throttling.svg", "rate-in-64.svg", "receive-relative.svg",
                              "receive-relative-modelled.svg"})
            self.assertLess(max(path.stat().st_size for path in drawn), 60_000)
            self.assertTrue(all(path.read_text().startswith("<?xml") for path in drawn))

    def test_the_same_counts_make_the_same_files(self):
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            one, two = (self.page(pathlib.Path(each)) for each in (first, second))
            self.assertEqual(one[1], two[1])
            self.assertEqual([path.read_bytes() for path in one[0]], [path.read_bytes() for path in two[0]])

    def test_what_is_no_run_is_refused(self):
        with tempfile.TemporaryDirectory() as name, self.assertRaises(SystemExit):
            document.take(pathlib.Path(name), pathlib.Path(name) / "documentation")


if __name__ == "__main__":
    unittest.main()
