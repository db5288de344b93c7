/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debugfs: the page requests of a device.
 */
#ifndef RVIOMMU_DEBUGFS_PRI_H
#define RVIOMMU_DEBUGFS_PRI_H

#include <linux/kconfig.h>

struct rviommu_endpoint;

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
void rviommu_debugfs_add_pri(struct rviommu_endpoint *ep);
#else
static inline void rviommu_debugfs_add_pri(struct rviommu_endpoint *ep) { }
#endif

#endif /* RVIOMMU_DEBUGFS_PRI_H */
