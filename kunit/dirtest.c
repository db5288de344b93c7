// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the suites of directories share. See dirtest.h.
 */
#include <linux/atomic.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "dirtest.h"

static int plain_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	return 0;
}

const struct rviommu_ddt_ops dirtest_plain_ops = {
	.store = rviommu_ddt_store,
	.sync = plain_sync,
};

/**
 * struct dirtest_race - what the threads of one race have in common
 * @go: all have been started, or never will be
 * @writers: threads that still write
 */
struct dirtest_race {
	struct completion go;
	atomic_t writers;
};

static int run_thread(void *data)
{
	struct dirtest_thread *t = data;
	unsigned int n;

	wait_for_completion(&t->race->go);
	if (t->write) {
		for (n = 1; n <= DIRTEST_CHANGES; n++) {
			t->write(t, n);
			cond_resched();
		}
		atomic_dec(&t->race->writers);
	} else {
		for (n = 0; atomic_read(&t->race->writers) > 0; n++) {
			t->read(t, n);
			if (n % 64 == 0)
				cond_resched();
		}
	}
	complete(&t->done);
	return 0;
}

void dirtest_run(struct kunit *test, struct dirtest_thread *threads, unsigned int nr)
{
	struct dirtest_race race = { .go = COMPLETION_INITIALIZER_ONSTACK(race.go) };
	unsigned int i, started;

	for (started = 0; started < nr; started++) {
		struct dirtest_thread *t = &threads[started];

		t->race = &race;
		t->failed = 0;
		init_completion(&t->done);
		if (IS_ERR(kthread_run(run_thread, t, "rviommu-dir/%u", started)))
			break;
		/* None of them looks before the signal. */
		if (t->write)
			atomic_inc(&race.writers);
	}
	complete_all(&race.go);
	for (i = 0; i < started; i++) {
		wait_for_completion(&threads[i].done);
		KUNIT_EXPECT_EQ_MSG(test, threads[i].failed, 0, "thread %u", i);
	}
	KUNIT_EXPECT_EQ(test, started, nr);
}
