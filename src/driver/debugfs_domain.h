/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debugfs: address spaces; and, for the tests, what is computed apart from the files that show it.
 */
#ifndef RVIOMMU_DEBUGFS_DOMAIN_H
#define RVIOMMU_DEBUGFS_DOMAIN_H

#include <linux/bits.h>
#include <linux/types.h>

#include "pgtable.h"

struct dentry;
struct rviommu_domain_stats;
struct rviommu_endpoint;
struct seq_file;

/*
 * Leaves that one line of a dump stands for at most, so that nobody waits long
 * for a dump of a huge table. A longer run goes on in the next line.
 */
#define RVIOMMU_RUN_LEAVES	BIT(18)

/**
 * struct rviommu_run - leaves side by side, in IOVA and in memory, alike otherwise
 * @iova: first byte
 * @last: last byte
 * @pa: where @iova leads to
 * @attr: the entries without their address
 * @leaf_lg2: lg2 of the size of each leaf in bytes
 * @leaves: how many
 */
struct rviommu_run {
	u64 iova;
	u64 last;
	u64 pa;
	u64 attr;
	unsigned int leaf_lg2;
	unsigned int leaves;
};

bool rviommu_run_next(struct rviommu_pgtable *pt, u64 iova, struct rviommu_run *run);
void rviommu_show_run(struct seq_file *m, const struct rviommu_run *run);
void rviommu_show_stats(struct seq_file *m, const struct rviommu_domain_stats *stats);
int rviommu_dump_ask(struct seq_file *m, char *text);
void rviommu_debugfs_add_domains(struct dentry *dir);
void rviommu_debugfs_add_domain(struct rviommu_endpoint *ep);

#endif /* RVIOMMU_DEBUGFS_DOMAIN_H */
