// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the suites of directories share. See dirtest.h.
 */
#include <linux/atomic.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "../src/driver/directory.h"
#include "../src/driver/mem.h"
#include "dirtest.h"
#include "testdev.h"

static int plain_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	return 0;
}

const struct rviommu_ddt_ops dirtest_plain_ops = {
	.store = rviommu_ddt_store,
	.sync = plain_sync,
};

void dirtest_expect_cost(struct kunit *test, const struct observer *o, const char *what,
			 enum rviommu_publish how, const struct dirtest_cost *cost)
{
	KUNIT_EXPECT_EQ_MSG(test, how, cost->how, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, o->stores, cost->stores, "%s: stores", what);
	KUNIT_EXPECT_EQ_MSG(test, o->syncs, cost->syncs, "%s: syncs", what);
}

int dirtest_apply(struct rviommu_ddt *ddt, struct rviommu_dir_update *update,
		  struct observer *o)
{
	int rc;

	mutex_lock(&ddt->lock);
	rc = rviommu_dir_prepare(&ddt->dir, update, 1);
	if (!rc) {
		rviommu_dir_publish(&ddt->dir, update, 1);
		if (o)
			observer_fence_all(o);
		rviommu_dir_retire(&ddt->dir, update, 1);
	}
	mutex_unlock(&ddt->lock);
	return rc;
}

unsigned int dirtest_no_memory(struct kunit *test, struct observer *o, const char *what,
			       int (*change)(void *arg), void *arg)
{
	long live = rviommu_mem_live();
	struct testdev_failures failures;
	unsigned int n;
	int rc;

	for (n = 0; n < 32; n++) {
		testdev_fail(test, &failures, n);
		rc = change(arg);
		testdev_fail(test, &failures, -1);
		if (!rc)
			return n;
		KUNIT_ASSERT_EQ(test, rc, -ENOMEM);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "%s: allocation %u", what, n);
		KUNIT_EXPECT_EQ(test, o->stores, 0);
		KUNIT_EXPECT_EQ(test, o->syncs, 0);
		observer_expect_intact(test, o, what);
	}
	KUNIT_FAIL_AND_ABORT(test, "%s: there is never enough memory", what);
	return n;
}

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
