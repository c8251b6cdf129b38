"""Snapshots, differences, events, the arithmetic on counts, and the cost model."""
import contextlib
import io
import pathlib
import tempfile
import unittest

import classes
import compare
import costs
import counts
import snapshot
import symbols

TEXT = """\
S 1 1000000000 2
G 0 0 100 50
G 0 ffffffff81000200 1000 400
P 0 do_grant_table_op 5 10 64
E 1
S 2 3000000000 2
G 0 0 100 50
G 0 ffffffff81000200 1500 600
G 1 ffff82d04032b480 30 2000
P 0 do_grant_table_op 5 12 80
P 0 igb_msix_ring 0 2 0
P 1 igb_msix_ring 0 5 0
P 1 do_event_channel_op 4 7 0
P 1 memcpy 0 3 4416
P 1 kernel_memcpy 0 2 128
C 1 ffff82d04032b480 9 4 1
C 1 unresolved 6 0 0
E 2
"""


def tables():
    linux = symbols.kallsyms("ffffffff81000200 T _copy_to_iter\nffffffff81000240 T netif_rx\n")
    return linux, symbols.xen_map("0xffff82d04032b480 T memcpy\n0xffff82d04032b4a0 T memset\n")


def interval():
    earlier, later = snapshot.parse(TEXT.splitlines())
    return snapshot.difference(later, earlier)


def counted():
    linux, xen = tables()
    return counts.count(interval(), {0: classes.Space(0, linux, xen), 1: classes.Space(1, linux, xen)})


class Snapshots(unittest.TestCase):
    def test_only_what_grew_is_in_a_difference(self):
        found = interval()
        self.assertEqual(found.seconds, 2.0)
        self.assertEqual(found.granules, {(0, 0xffffffff81000200): (500, 200), (1, 0xffff82d04032b480): (30, 2000)})
        self.assertEqual(found.probes[0, "do_grant_table_op", 5], (2, 16))

    def test_a_counter_that_shrinks_is_an_error(self):
        earlier, later = snapshot.parse(TEXT.splitlines())
        later.nanoseconds, earlier.nanoseconds = earlier.nanoseconds, later.nanoseconds
        with self.assertRaises(snapshot.Broken):
            snapshot.difference(earlier, later)

    def test_a_full_table_is_an_error(self):
        with self.assertRaises(snapshot.Broken):
            list(snapshot.parse(["S 1 0 1", "G 0 overflow 5 2", "E 1"]))

    def test_other_lines_are_an_error(self):
        for lines in (["G 0 0 1 1"], ["S 1 0 1", "X"], ["S 1 0 1", "E 2"]):
            with self.assertRaises(snapshot.Broken):
                list(snapshot.parse(lines))

    def test_a_growing_file_is_read_snapshot_by_snapshot(self):
        with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "out", "wb", buffering=0) as file:
            reader = snapshot.Reader(file.name)
            cut = TEXT.index("S 2")
            file.write(TEXT[:cut].encode())
            self.assertEqual(reader.next(1).number, 1)
            file.write(TEXT[cut:-2].encode())
            with self.assertRaises(snapshot.Broken):
                reader.next(2, 0.1)
            file.write(TEXT[-2:].encode())
            self.assertEqual(reader.next(2).probes[1, "memcpy", 0], (3, 4416))


class Arithmetic(unittest.TestCase):
    def test_classes_and_events(self):
        found = counted()
        self.assertEqual(found.kinds, {"kern0": [500, 200], "grantcopy": [30, 2000]})
        self.assertEqual(found.functions["kern0", "vmlinux", "_copy_to_iter"], 500)
        self.assertEqual(found.event("grant operations: copy"), 16)
        self.assertEqual(found.event("grant operations: copy", 1), 0)
        self.assertEqual(found.event("hypercall 32 event_channel_op"), 7)
        self.assertEqual(found.event("event channel sends"), 7)
        self.assertEqual(found.event("hypercalls"), 9)
        # What the other domain has at that address is no interrupt of the card.
        self.assertEqual(found.event("interrupts of the card"), 2)
        self.assertEqual(found.event("bytes copied by Xen"), 4416)
        self.assertEqual(found.event("bytes copied inside a kernel", 1), 128)
        self.assertEqual(found.misses, {"grantcopy": [9, 4, 1], "unresolved": [6, 0, 0]})

    def test_each_domain_s_cpu_is_summed_without_the_generator(self):
        linux, xen = tables()
        generator = symbols.kallsyms("ffffffffc0200000 t pktgen_xmit\t[pktgen]\n")
        both = {0: classes.Space(0, linux, xen), 1: classes.Space(1, linux + generator, xen)}
        work = interval()
        work.granules[1, 0xffffffffc0200000] = (7, 3)
        found = counts.count(work, both)
        self.assertEqual(found.kinds["pktgen1"], [7, 3])
        self.assertEqual(found.domains, {0: 500, 1: 30})
        self.assertEqual((found / 10).as_json()["domains"], {"dom0": 50, "guest": 3})

    def test_waiting_is_counted_and_no_part_of_the_work(self):
        linux, xen = tables()
        spaces = {0: classes.Space(0, linux, xen),
                  1: classes.Space(1, linux, xen, loops=frozenset([0xffff82d04032b480]))}
        found = counts.count(interval(), spaces)
        self.assertEqual(found.kinds["waiting1"], [30, 2000])
        self.assertEqual((found.instructions(), found.instructions(classes.ALL)), (500, 530))
        self.assertEqual(found.domains, {0: 500})

    def test_background_is_subtracted_by_time(self):
        idle = counted()
        idle.seconds = 20.0
        self.assertEqual(counted().minus(idle).kinds["kern0"], [450, 180])
        only_idle = counts.Counts(4.0, {"user0": [10, 2]})
        self.assertEqual(counted().minus(only_idle).kinds["user0"], [-5, -1])

    def test_runs_are_compared_by_misses_in_copies_where_these_are_modelled(self):
        found = counts.Counts(1.0, {"kern": [100, 0], "waiting0": [50, 0]})
        self.assertEqual(found.figure(), 100)
        found.misses = {"kern": [70, 3, 1], "usercopy": [7, 6, 0], "grantcopy": [5, 0, 0]}
        self.assertEqual(found.figure(), 12)

    def test_a_unit_of_work_is_a_quotient(self):
        self.assertEqual((counted() / 10).kinds["kern0"], [50, 20])

    def test_the_mean_has_every_count(self):
        once = counted()
        found = counts.mean([once, once / 3, once])
        self.assertAlmostEqual(found.kinds["kern0"][0], 500 * 7 / 9)
        self.assertAlmostEqual(found.event("hypercalls"), 7)
        self.assertEqual((found.seconds, counts.mean([once]).kinds), (once.seconds, once.kinds))

    def test_what_is_shown_of_repetitions_and_their_spread(self):
        self.assertEqual(counts.inner([7]), [0])
        self.assertEqual(counts.inner([7, 5]), [1, 0])
        self.assertEqual(counts.inner([5, 1, 3]), [2])
        self.assertEqual(counts.inner([4, 1, 3, 2]), [3, 2])
        self.assertAlmostEqual(counts.spread([100, 98, 101]), 0.03)


class Model(unittest.TestCase):
    def test_every_cost_has_a_source(self):
        units = costs.load()
        self.assertTrue(all(unit["source"] for unit in units.values()))

    def test_cycles_are_the_sum_of_their_parts(self):
        units = {name: {"cycles": 1} for name in costs.WORDS}
        parts = costs.cycles(counted(), units)
        self.assertEqual(parts["instruction"], 530)
        self.assertEqual((parts["copy"], parts["byte_copied"]), (5, 4416 + 128))
        self.assertEqual([parts[name] for name in costs.MISSES], [15, 4, 1])
        self.assertEqual((parts["hypercall"], parts["event_channel_send"], parts["interrupt"]), (9, 7, 2))

    def test_classes_pay_for_what_they_cause(self):
        units = {name: {"cycles": 1} for name in costs.WORDS}
        kinds = costs.by_class(counted(), units)
        self.assertEqual(sum(kinds.values()), sum(costs.cycles(counted(), units).values()))
        # Instructions, bytes, copies begun, and misses of three levels.
        self.assertEqual(kinds["grantcopy"], 30 + 4416 + 3 + 9 + 4 + 1)
        # Nothing of Xen itself ran in these counts: they look like native Linux.
        self.assertEqual(kinds["kern0"], 500)

    def test_a_cost_without_a_source_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "costs.toml"
            path.write_text("[instruction]\ncycles = 1\nsure = \"read\"\n")
            with self.assertRaises(ValueError):
                costs.load(path)


class Comparison(unittest.TestCase):
    def test_runs_are_compared_case_by_case(self):
        def run(instructions, rate=1):
            kinds = {"kern": {"instructions": instructions}, "waiting0": {"instructions": 10 ** 9 - instructions}}
            case = {"parameters": {"rate": rate}, "per unit": {"classes": kinds}}
            return {"cases": {"a/b": case, "c/d": {}}}

        self.assertAlmostEqual(compare.differences(run(100), run(102))["a/b"], 0.02)
        self.assertEqual(compare.differences({"cases": {}}, run(1)), {})
        self.assertEqual(compare.differences(run(100), run(100, rate=2)), {"a/b": None})
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(compare.against("earlier", run(100), run(102)), [])
            self.assertEqual(compare.against("earlier", run(100), run(104)), ["a/b (compared)"])
            self.assertEqual(compare.against("earlier", run(100), run(100, rate=2)), ["a/b (compared)"])
            self.assertEqual(compare.against("earlier", {"cases": {}}, run(100)), ["comparison"])
        self.assertEqual(said.getvalue().count("ANOTHER LOAD"), 1)
        self.assertEqual(said.getvalue().count("MORE THAN ALLOWED"), 1)


if __name__ == "__main__":
    unittest.main()
