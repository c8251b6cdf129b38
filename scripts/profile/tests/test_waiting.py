"""What of a disassembly is taken for waiting."""
import unittest

import waiting

LISTING = """
ffff82d040200000 <__bitmap_empty>:
ffff82d040200000:	mov    %rdi,%r8
ffff82d04020001e:	jmp    ffff82d040200004 <__bitmap_empty+0x4>
ffff82d040200020:	jmp    ffff82d040200100 <__x86_return_thunk>

ffff82d040200100 <__x86_return_thunk>:
ffff82d040200100:	ret

ffff82d040200200 <on_selected_cpus>:
ffff82d040200200:	push   %r15
ffff82d040200230:	call   ffff82d040200000 <__bitmap_empty>
ffff82d04020023e:	jmp    ffff82d040200242 <on_selected_cpus+0x42>
ffff82d040200240:	pause
ffff82d040200242:	call   ffff82d040200000 <__bitmap_empty>
ffff82d040200252:	je     ffff82d040200240 <on_selected_cpus+0x40>
ffff82d040200260:	pop    %rbx

ffff82d040200300 <rcu_barrier>:
ffff82d040200300:	pause
ffff82d040200302:	call   ffff82d040200000 <work>
ffff82d040200340:	jne    ffff82d040200300 <rcu_barrier>
"""


def found(listing):
    return {address & 0xfff for address in waiting.granules(listing.splitlines())}


class Loops(unittest.TestCase):
    def test_a_tight_loop_counts_with_its_predicate_and_no_more(self):
        self.assertEqual(found(LISTING), {0x000, 0x010, 0x020, 0x240, 0x250, 0x300})

    def test_functions_of_one_name_all_count(self):
        other = """
ffff82d040200400 <rcu_barrier>:
ffff82d040200400:	ret
"""
        self.assertEqual(found(LISTING + other), found(LISTING))

    def test_a_predicate_that_no_loop_asks_is_work(self):
        self.assertEqual(found(LISTING.replace("pause", "nop")), set())


if __name__ == "__main__":
    unittest.main()
