/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty tracking of domains: what iommufd calls.
 */
#ifndef RVIOMMU_DIRTY_H
#define RVIOMMU_DIRTY_H

#include <linux/types.h>

struct iommu_dirty_ops;
struct rviommu;

extern const struct iommu_dirty_ops rviommu_dirty_ops;

bool rviommu_tracks(const struct rviommu *iommu);

#endif /* RVIOMMU_DIRTY_H */
