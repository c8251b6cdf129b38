"""Symbol tables and classes."""
import unittest

import classes
import symbols

KALLSYMS = """\
0000000000010000 A pcpu_hot
ffffffff81000000 T _text
ffffffff81000100 t __pfx_helper
ffffffff81000110 t helper
ffffffff81000200 T _copy_to_iter
ffffffff81000240 T netif_rx
ffffffff81000240 t __netif_rx_alias
ffffffff81000300 D some_data
ffffffffc0200000 t xennet_poll\t[xen_netfront]
ffffffffc0200100 t xennet_start_xmit\t[xen_netfront]
ffffffffc0300000 t nc2_poll\t[netchannel2_front]
"""
XEN_MAP = """\
0xffff82d040200000 T _stext
0xffff82d040227130 T do_grant_table_op
0xffff82d0402287f8 t grant_table.c#gnttab_copy
0xffff82d04032b480 T memcpy
0xffff82d04032b4a0 T memset
0xffff82d040400000 D data
"""


class Tables(unittest.TestCase):
    def setUp(self):
        self.linux, self.xen = symbols.kallsyms(KALLSYMS), symbols.xen_map(XEN_MAP)

    def test_a_function_reaches_to_the_next_symbol(self):
        self.assertEqual(self.linux.find(0xffffffff810001ff).name, "helper")
        self.assertEqual(self.linux.find(0xffffffff81000200).name, "_copy_to_iter")
        self.assertIsNone(self.linux.find(0xffffffff80ffffff))

    def test_data_ends_a_function_and_is_none(self):
        self.assertEqual(self.linux.find(0xffffffff810002ff).name, "netif_rx")
        self.assertIsNone(self.linux.find(0xffffffff81000300))

    def test_of_two_names_the_global_one_is_taken(self):
        self.assertEqual(self.linux.find(0xffffffff81000240).name, "netif_rx")

    def test_modules_are_told_apart_and_end(self):
        self.assertEqual(self.linux.find(0xffffffffc0200110).module, "xen_netfront")
        self.assertIsNone(self.linux.find(0xffffffffc0250000))
        self.assertEqual(self.linux.find(0xffffffffc0300010).module, "netchannel2_front")

    def test_local_functions_of_xen_lose_their_file(self):
        self.assertEqual(self.xen.find(0xffff82d0402287f8).name, "gnttab_copy")
        self.assertEqual(self.xen.address("memcpy"), 0xffff82d04032b480)

    def test_hidden_addresses_are_an_error(self):
        with self.assertRaises(ValueError):
            symbols.kallsyms("0000000000000000 T _text\n")


class Classes(unittest.TestCase):
    def setUp(self):
        linux, xen = symbols.kallsyms(KALLSYMS), symbols.xen_map(XEN_MAP)
        self.dom0, self.guest = classes.Space(0, linux, xen), classes.Space(1, linux, xen)
        self.native = classes.Space(1, linux)

    def kind(self, space, address):
        return space.place(address).kind

    def test_the_six_of_the_talk(self):
        copy, driver = 0xffffffff81000210, 0xffffffffc0200100
        self.assertEqual(self.kind(self.guest, copy), "usercopy")
        self.assertEqual(self.kind(self.guest, driver), "kern")
        self.assertEqual(self.kind(self.dom0, copy), "kern0")
        self.assertEqual(self.kind(self.dom0, driver), "kern0")
        self.assertEqual(self.kind(self.guest, 0xffff82d040227140), "xen1")
        self.assertEqual(self.kind(self.dom0, 0xffff82d040227140), "xen0")
        for space in (self.guest, self.dom0):
            self.assertEqual(self.kind(space, 0xffff82d04032b480), "grantcopy")

    def test_user_space_is_that_of_its_domain(self):
        self.assertEqual(self.kind(self.dom0, 0), "user0")
        self.assertEqual(self.kind(self.guest, 0x401000), "user1")

    def test_nothing_without_a_symbol_is_attributed(self):
        self.assertEqual(self.kind(self.guest, 0xffffffffc1000000), "unattributed")
        # Native Linux has no hypervisor whose code could lie there.
        self.assertEqual(self.kind(self.native, 0xffff82d040227140), "unattributed")

    def test_code_that_xen_makes_at_boot_is_xens(self):
        self.assertEqual(self.kind(self.dom0, 0xffff82d0bffff000), "xen0")

    def test_where_xen_turns_round_is_waiting(self):
        xen = symbols.xen_map("0xffff82d040240f10 T _spin_lock\n0xffff82d040240f50 T _spin_lock_cb\n")
        space = classes.Space(0, symbols.kallsyms(KALLSYMS), xen, loops=frozenset([0xffff82d040240f40]))
        self.assertEqual(self.kind(space, 0xffff82d040240f30), "xen0")
        self.assertEqual(space.place(0xffff82d040240f40), classes.Place("waiting0", "xen0", "_spin_lock"))

    def test_every_class_has_words(self):
        self.assertEqual(set(classes.WORDS), set(classes.ALL))


if __name__ == "__main__":
    unittest.main()
