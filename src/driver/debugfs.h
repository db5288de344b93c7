/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of debugfs say, apart from the files: for each other, and for the tests. The
 * rest of the driver uses the declarations at the end.
 */
#ifndef RVIOMMU_DEBUGFS_H
#define RVIOMMU_DEBUGFS_H

#include <linux/bits.h>
#include <linux/types.h>

#include <rviommu/formats.h>

#include "pgtable.h"

struct dentry;
struct rviommu;
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
void rviommu_show_stats(struct seq_file *m, const struct rviommu_domain_stats *stats);
void rviommu_show_run(struct seq_file *m, const struct rviommu_run *run);
void rviommu_show_leaf(struct seq_file *m, u64 attr, unsigned int size_lg2);
const char *rviommu_mode_name(u64 mode, bool second_stage);
int rviommu_parse_pasid(const char *text, u32 *pasid);
int rviommu_walk_ask(struct seq_file *m, char *text);
int rviommu_dump_ask(struct seq_file *m, char *text);
void rviommu_show_capabilities(struct seq_file *m, u64 caps);
void rviommu_show_dc(struct seq_file *m, const struct rviommu_dc *dc, unsigned int words);
void rviommu_show_pc(struct seq_file *m, const struct rviommu_pc *pc);
const char *rviommu_mutation_name(unsigned int mutation);
int rviommu_parse_mutation(const char *name, unsigned long *mutate);

/* What removes waits for readers: call it with no lock held that they take. */
#ifdef CONFIG_DEBUG_FS
void rviommu_debugfs_init(void);
void rviommu_debugfs_exit(void);
void rviommu_debugfs_add(struct rviommu *iommu);
void rviommu_debugfs_remove(struct rviommu *iommu);
void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep);
void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep);
void rviommu_debugfs_add_domains(struct dentry *dir);
void rviommu_debugfs_add_domain(struct rviommu_endpoint *ep);
void rviommu_debugfs_add_walk(struct rviommu_endpoint *ep);
#if IS_ENABLED(CONFIG_IOMMU_IOPF)
void rviommu_debugfs_add_pri(struct rviommu_endpoint *ep);
#else
static inline void rviommu_debugfs_add_pri(struct rviommu_endpoint *ep) { }
#endif
#else
static inline void rviommu_debugfs_init(void) { }
static inline void rviommu_debugfs_exit(void) { }
static inline void rviommu_debugfs_add(struct rviommu *iommu) { }
static inline void rviommu_debugfs_remove(struct rviommu *iommu) { }
static inline void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep) { }
static inline void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep) { }
#endif

#endif /* RVIOMMU_DEBUGFS_H */
