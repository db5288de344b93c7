/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's log says while a test does something.
 */
#ifndef RVIOMMU_KUNIT_TESTLOG_H
#define RVIOMMU_KUNIT_TESTLOG_H

#include <linux/kmsg_dump.h>

/**
 * struct testlog - a place in the kernel's log
 * @at: the next record to read
 */
struct testlog {
	struct kmsg_dump_iter at;
};

/* What is said from now on. */
void testlog_start(struct testlog *log);

/*
 * How many error messages since the same have @text in them. Leaves the place as it is.
 */
unsigned int testlog_errors(const struct testlog *log, const char *text);

/*
 * How many lines since testlog_start(), or since the last call of this, have @text in
 * them. Debug messages do not count: they are in the log only where somebody asks.
 */
unsigned int testlog_lines(struct testlog *log, const char *text);

#endif /* RVIOMMU_KUNIT_TESTLOG_H */
