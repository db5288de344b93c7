/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debugfs: where an IOVA of a device leads to, and the words for what is on the way.
 */
#ifndef RVIOMMU_DEBUGFS_WALK_H
#define RVIOMMU_DEBUGFS_WALK_H

#include <linux/types.h>

struct rviommu_endpoint;
struct seq_file;

void rviommu_show_leaf(struct seq_file *m, u64 attr, unsigned int size_lg2);
const char *rviommu_mode_name(u64 mode, bool second_stage);
int rviommu_parse_pasid(const char *text, u32 *pasid);
int rviommu_walk_ask(struct seq_file *m, char *text);
void rviommu_debugfs_add_walk(struct rviommu_endpoint *ep);

#endif /* RVIOMMU_DEBUGFS_WALK_H */
