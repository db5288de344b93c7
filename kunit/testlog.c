// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's log; see testlog.h. */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "testlog.h"

void testlog_start(struct testlog *log)
{
	kmsg_dump_rewind(&log->at);
	log->at.cur_seq = log->at.next_seq;
}

/* Milliseconds that another CPU may take to finish a message it has begun. */
#define PATIENCE	10000

/* How many lines of the levels in @levels, a string of digits, have @text in them. */
static unsigned int testlog_count(struct testlog *log, const char *levels, const char *text)
{
	static atomic_t marks;
	char line[512], mark[40];
	unsigned int nr = 0, waited = 0;
	size_t len;

	/*
	 * Nothing is read behind a message that another CPU has not finished: read up to one
	 * that came after all that count.
	 */
	snprintf(mark, sizeof(mark), "rviommu_kunit: the log to here, %d",
		 atomic_inc_return(&marks));
	pr_info("%s\n", mark);
	while (waited < PATIENCE) {
		/* With its level, as syslog has it: "<7>" is for debugging. */
		if (!kmsg_dump_get_line(&log->at, true, line, sizeof(line), &len)) {
			usleep_range(1000, 2000);
			waited++;
			continue;
		}
		if (strnstr(line, mark, len))
			break;
		if (line[0] == '<' && strchr(levels, line[1]) && strnstr(line, text, len))
			nr++;
	}
	return nr;
}

unsigned int testlog_errors(const struct testlog *log, const char *text)
{
	struct testlog here = *log;

	return testlog_count(&here, "0123", text);
}

unsigned int testlog_lines(struct testlog *log, const char *text)
{
	return testlog_count(log, "0123456", text);
}
