/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VFIO selftests need of libuuid, which there is not for every machine and architecture.
 */
#ifndef RVIOMMU_SELFTESTS_UUID_H
#define RVIOMMU_SELFTESTS_UUID_H

#include <stdio.h>
#include <string.h>

typedef unsigned char uuid_t[16];

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". Returns 0 or -1. */
static inline int uuid_parse(const char *text, uuid_t uuid)
{
	static const unsigned char at[16] = {
		0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34,
	};
	unsigned int i;

	if (strlen(text) != 36)
		return -1;
	for (i = 0; i < 16; i++)
		if (sscanf(text + at[i], "%2hhx", &uuid[i]) != 1)
			return -1;
	return 0;
}

#endif /* RVIOMMU_SELFTESTS_UUID_H */
