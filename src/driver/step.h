/* SPDX-License-Identifier: GPL-2.0-only */
/* What a walk through tables finds, for showing it. */
#ifndef RVIOMMU_STEP_H
#define RVIOMMU_STEP_H

#include <linux/types.h>

/* Levels of the deepest tables that there are, Sv57 */
#define RVIOMMU_STEPS_MAX	5

/**
 * struct rviommu_step - a table on the way, and the entry that was looked at
 * @table: physical address of the table
 * @level: 0 is the last one
 * @index: which entry it is; in the leaf page of a directory, which context
 * @entry: what was read; of a context its first word
 */
struct rviommu_step {
	u64 table;
	unsigned int level;
	unsigned int index;
	u64 entry;
};

#endif /* RVIOMMU_STEP_H */
