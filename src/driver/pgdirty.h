/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages of a page table were written to.
 */
#ifndef RVIOMMU_PGDIRTY_H
#define RVIOMMU_PGDIRTY_H

#include <linux/types.h>

struct rviommu_pgtable;

/* Runs of dirty pages that one call finds at most */
#define RVIOMMU_DIRTY_RUNS	32

/**
 * struct rviommu_dirty_run - adjacent dirty pages
 * @iova: of the first byte
 * @size: in bytes
 */
struct rviommu_dirty_run {
	u64 iova;
	u64 size;
};

/**
 * struct rviommu_dirty - a range that is being read, and what was found
 * @iova: where the next call goes on
 * @last: last address of the range
 * @clear: clear D in what is reported
 * @over: the range has been read
 * @nr: how many of @runs the last call found
 * @runs: what the last call found, in the order of addresses
 * @cleared_first: first byte of the leaves that D was cleared in, by all calls so far
 * @cleared_last: last byte of them
 * @leaf_lg2: lg2 of the smallest leaf that D was cleared in, 0 if in none: one invalidation
 *            per so many bytes from @cleared_first to @cleared_last reaches every leaf
 * @largest_lg2: lg2 of the largest leaf that was dirty, 0 if none was. More than that of a
 *               page: pages were reported that were perhaps not written to, and
 *               rviommu_pgtable_demote() would make it better the next time.
 *
 * Belongs to the caller; a call needs nothing that the last one left in the page table.
 */
struct rviommu_dirty {
	u64 iova;
	u64 last;
	bool clear;
	bool over;
	unsigned int nr;
	struct rviommu_dirty_run runs[RVIOMMU_DIRTY_RUNS];
	u64 cleared_first;
	u64 cleared_last;
	unsigned int leaf_lg2;
	unsigned int largest_lg2;
};

void rviommu_dirty_begin(struct rviommu_dirty *d, u64 iova, u64 last, bool clear);
bool rviommu_pgtable_read_dirty(struct rviommu_pgtable *pt, struct rviommu_dirty *d);

#endif /* RVIOMMU_PGDIRTY_H */
