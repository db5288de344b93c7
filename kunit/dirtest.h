/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of device and of process directories share: threads that change a
 * directory while others read it, and a directory that nobody observes.
 */
#ifndef RVIOMMU_KUNIT_DIRTEST_H
#define RVIOMMU_KUNIT_DIRTEST_H

#include <kunit/test.h>
#include <linux/completion.h>

#include "../src/driver/directory.h"

/* Stores as for real hardware, and there is none to synchronise with. */
extern const struct rviommu_ddt_ops dirtest_plain_ops;

/* Turns of a thread that writes */
#define DIRTEST_CHANGES		4000

/**
 * struct dirtest_thread - one thread of a race
 * @write: makes change @n, which is 1 to %DIRTEST_CHANGES; NULL: the thread reads
 * @read: looks, turn after turn while any thread writes
 * @arg: for them
 * @id: what it is about: a device_id, a process_id
 * @failed: turns that found something wrong; written by the thread, read when all have
 *          ended
 * @race: the race it is in, while it runs
 * @done: it has ended
 *
 * The test fills in all up to @id.
 */
struct dirtest_thread {
	void (*write)(struct dirtest_thread *t, unsigned int n);
	void (*read)(struct dirtest_thread *t, unsigned int n);
	void *arg;
	u32 id;
	unsigned int failed;
	struct dirtest_race *race;
	struct completion done;
};

/* Run all of them at once, and expect that none failed. Not on a stack. */
void dirtest_run(struct kunit *test, struct dirtest_thread *threads, unsigned int nr);

#endif /* RVIOMMU_KUNIT_DIRTEST_H */
