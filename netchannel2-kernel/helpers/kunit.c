// SPDX-License-Identifier: GPL-2.0
#include <kunit/test-bug.h>
#include <kunit/test.h>

#include "helpers.h"

#if IS_ENABLED(CONFIG_KUNIT)
void nc2_kunit_skip(const char *reason)
{
	kunit_mark_skipped(kunit_get_current_test(), "%s", reason);
}

struct sk_buff *nc2_alloc_skb(unsigned int size)
{
	return alloc_skb(size, GFP_KERNEL);
}

void nc2_local_bh_disable(void)
{
	local_bh_disable();
}

void nc2_local_bh_enable(void)
{
	local_bh_enable();
}
#endif
