// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's log; see testlog.h. */
#include <linux/string.h>

#include "testlog.h"

void testlog_start(struct testlog *log)
{
	kmsg_dump_rewind(&log->at);
	log->at.cur_seq = log->at.next_seq;
}

unsigned int testlog_lines(struct testlog *log, const char *text)
{
	char line[512];
	unsigned int nr = 0;
	size_t len;

	/* With its level, as syslog has it: "<7>" is for debugging. */
	while (kmsg_dump_get_line(&log->at, true, line, sizeof(line), &len))
		if (!strstarts(line, "<7>") && strnstr(line, text, len))
			nr++;
	return nr;
}
