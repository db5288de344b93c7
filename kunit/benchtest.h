/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What benchmarks have in common: samples in their order, and a while in which no test runs.
 */
#ifndef RVIOMMU_KUNIT_BENCHTEST_H
#define RVIOMMU_KUNIT_BENCHTEST_H

#include <linux/sched.h>
#include <linux/sort.h>
#include <linux/types.h>

struct kunit;

static inline int benchtest_compare(const void *a, const void *b)
{
	const u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/**
 * benchtest_median() - put samples in their order
 * @samples: afterwards the smallest one is the first
 * @nr: how many
 *
 * Return: the one in the middle.
 */
static inline u64 benchtest_median(u64 *samples, unsigned int nr)
{
	sort(samples, nr, sizeof(*samples), benchtest_compare, NULL);
	return samples[nr / 2];
}

/**
 * benchtest_run_no_test() - until benchtest_run_test()
 *
 * The seams of the driver look for stubs of the test that runs, a lock and a list for each of
 * them. Who measures runs no test for that long.
 *
 * Return: the test.
 */
static inline struct kunit *benchtest_run_no_test(void)
{
	struct kunit *test = current->kunit_test;

	current->kunit_test = NULL;
	return test;
}

/**
 * benchtest_run_test() - the end of that
 * @test: from benchtest_run_no_test()
 */
static inline void benchtest_run_test(struct kunit *test)
{
	current->kunit_test = test;
}

#endif /* RVIOMMU_KUNIT_BENCHTEST_H */
