/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What goes wrong in a simulated IOMMU when the kernel's fault injection says so.
 */
#ifndef RVIOMMU_SIM_FAILURE_H
#define RVIOMMU_SIM_FAILURE_H

#include <linux/fault-inject.h>

#include <rviommu/model.h>

struct dentry;

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
/**
 * struct sim_failures - of one instance
 * @attr: how often, and when; user space writes it through debugfs at any time, as all
 *        attributes of the kernel's fault injection are written: each number by itself
 */
struct sim_failures {
	struct fault_attr attr[RVIOMMU_MODEL_NR_INJECTIONS];
};

void sim_failures_init(struct sim_failures *failures);
bool sim_failure(struct sim_failures *failures, enum rviommu_model_injection what);
void sim_failures_debugfs(struct sim_failures *failures, struct dentry *dir);
void sim_failures_forget(struct sim_failures *failures);
#else
struct sim_failures {
};

static inline void sim_failures_init(struct sim_failures *failures)
{
}

static inline bool sim_failure(struct sim_failures *failures, enum rviommu_model_injection what)
{
	return false;
}

static inline void sim_failures_debugfs(struct sim_failures *failures, struct dentry *dir)
{
}

static inline void sim_failures_forget(struct sim_failures *failures)
{
}
#endif

#endif /* RVIOMMU_SIM_FAILURE_H */
