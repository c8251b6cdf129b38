// SPDX-License-Identifier: GPL-2.0
#include "helpers.h"

bool nc2_in_softirq(void)
{
	return in_softirq();
}

void nc2_spin_lock(spinlock_t *lock)
{
	spin_lock(lock);
}

void nc2_spin_unlock(spinlock_t *lock)
{
	spin_unlock(lock);
}

void nc2_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void nc2_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

int nc2_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

void nc2_init_delayed_work(struct delayed_work *work,
			   void (*function)(struct work_struct *work))
{
	INIT_DELAYED_WORK(work, function);
}

void nc2_queue_delayed_work(struct delayed_work *work, unsigned int ms)
{
	queue_delayed_work(system_dfl_wq, work,
			   round_jiffies_relative(msecs_to_jiffies(ms)));
}

void nc2_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

struct workqueue_struct *nc2_alloc_workqueue(const char *name, bool freezable)
{
	return alloc_workqueue("%s", WQ_UNBOUND | (freezable ? WQ_FREEZABLE : 0),
			       0, name);
}
