/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Invalidation: what IOMMUs and devices have to forget of an address space, and who waits for
 * whom.
 */
#ifndef RVIOMMU_INVALIDATE_H
#define RVIOMMU_INVALIDATE_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include "filter.h"

struct rviommu_space;

/**
 * struct rviommu_inval - what is to be forgotten of an address space
 * @why: RVIOMMU_WHY_FLUSH: the whole of it, and only @why is looked at; else what is below
 * @iova: first byte; aligned to @stride_lg2
 * @last: last byte
 * @leaf_lg2: lg2 of the smallest leaf that was there
 * @stride_lg2: lg2 of what one command with an address reaches of it
 * @nonleaf: links were cleared, so walk caches must forget too
 */
struct rviommu_inval {
	enum rviommu_why why;
	u64 iova;
	u64 last;
	unsigned int leaf_lg2;
	unsigned int stride_lg2;
	bool nonleaf;
};

void rviommu_invalidate_range(const struct rviommu_space *space, u64 iova, u64 last,
			      unsigned int leaf_lg2, bool nonleaf);
void rviommu_invalidate_link(const struct rviommu_space *space, u64 iova, unsigned int size_lg2);
void rviommu_invalidate_all(const struct rviommu_space *space);

int rviommu_inval_begin(void);
void rviommu_inval_end(int section);
void rviommu_inval_synchronize(void);
void rviommu_inval_call(struct rcu_head *rcu, rcu_callback_t func);
void rviommu_inval_barrier(void);

#endif /* RVIOMMU_INVALIDATE_H */
