/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Directories of IOMMUs and devices; and, for the tests, what debugfs.c computes apart from the
 * files that show it.
 */
#ifndef RVIOMMU_DEBUGFS_H
#define RVIOMMU_DEBUGFS_H

#include <linux/types.h>

#include <rviommu/formats.h>

#include "mutate.h"

struct rviommu;
struct rviommu_endpoint;
struct seq_file;

void rviommu_show_capabilities(struct seq_file *m, u64 caps);
void rviommu_show_dc(struct seq_file *m, const struct rviommu_dc *dc, unsigned int words);
void rviommu_show_pc(struct seq_file *m, const struct rviommu_pc *pc);
const char *rviommu_mutation_name(unsigned int mutation);
int rviommu_parse_mutation(const char *name, enum rviommu_mutation *mutate);

/* What removes waits for readers: call it with no lock held that they take. */
#ifdef CONFIG_DEBUG_FS
void rviommu_debugfs_init(void);
void rviommu_debugfs_exit(void);
void rviommu_debugfs_add(struct rviommu *iommu);
void rviommu_debugfs_remove(struct rviommu *iommu);
void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep);
void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep);
#else
static inline void rviommu_debugfs_init(void) { }
static inline void rviommu_debugfs_exit(void) { }
static inline void rviommu_debugfs_add(struct rviommu *iommu) { }
static inline void rviommu_debugfs_remove(struct rviommu *iommu) { }
static inline void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep) { }
static inline void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep) { }
#endif

#endif /* RVIOMMU_DEBUGFS_H */
