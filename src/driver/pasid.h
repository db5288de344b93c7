/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which PASIDs a device can have.
 */
#ifndef RVIOMMU_PASID_H
#define RVIOMMU_PASID_H

#include <linux/types.h>

struct rviommu;
struct rviommu_endpoint;

void rviommu_pasid_init(struct rviommu_endpoint *ep);
void rviommu_pasid_exit(struct rviommu_endpoint *ep);
void rviommu_pasid_restore(struct rviommu_endpoint *ep);
u32 rviommu_pasid_limit(const struct rviommu *iommu);
u8 rviommu_pasid_levels(const struct rviommu_endpoint *ep);

#endif /* RVIOMMU_PASID_H */
