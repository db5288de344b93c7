/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the worlds of device and of process directories share: what a change costs, changes
 * for which there is no memory, threads that change a directory while others read it, and
 * a directory that nobody observes.
 */
#ifndef RVIOMMU_KUNIT_DIRTEST_H
#define RVIOMMU_KUNIT_DIRTEST_H

#include <kunit/test.h>
#include <linux/completion.h>

#include "../src/driver/directory.h"
#include "observer.h"

/* Stores as for real hardware, and there is none to synchronise with. */
extern const struct rviommu_ddt_ops dirtest_plain_ops;

/**
 * struct dirtest_cost - what a change must cost, from the tables in Documentation/directory.rst
 * @how: how it is published
 * @stores: stores
 * @syncs: grace periods of the hardware, before it is published
 */
struct dirtest_cost {
	enum rviommu_publish how;
	unsigned int stores;
	unsigned int syncs;
};

/* Was that what it cost? The observer has counted since it started from zero. */
void dirtest_expect_cost(struct kunit *test, const struct observer *o, const char *what,
			 enum rviommu_publish how, const struct dirtest_cost *cost);

/*
 * From prepare to retire of one context, with no one looking. @o: its commands are executed,
 * too; or NULL. Return: as of rviommu_dir_prepare().
 */
int dirtest_apply(struct rviommu_ddt *ddt, struct rviommu_dir_update *update,
		  struct observer *o);

/*
 * Each allocation of a change fails in turn: -ENOMEM, nothing visible, nothing lost. @change
 * makes it, and is called with @arg until it succeeds. Return: allocations that it takes.
 */
unsigned int dirtest_no_memory(struct kunit *test, struct observer *o, const char *what,
			       int (*change)(void *arg), void *arg);

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
