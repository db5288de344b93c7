/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page-request queue.
 */
#ifndef RVIOMMU_PAGEQ_H
#define RVIOMMU_PAGEQ_H

#include <linux/kconfig.h>
#include <linux/types.h>

struct rviommu;

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2);
#else
static inline int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2)
{
	return 0;
}
#endif

#endif /* RVIOMMU_PAGEQ_H */
