/* SPDX-License-Identifier: GPL-2.0-only */
/* What user space sees of an instance. */
#ifndef RVIOMMU_SIM_DEBUGFS_H
#define RVIOMMU_SIM_DEBUGFS_H

struct rviommu_sim;

void sim_debugfs_register(void);
void sim_debugfs_unregister(void);
void sim_debugfs_add(struct rviommu_sim *sim);

#endif /* RVIOMMU_SIM_DEBUGFS_H */
