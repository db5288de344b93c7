/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains that are no address spaces.
 */
#ifndef RVIOMMU_STATIC_H
#define RVIOMMU_STATIC_H

#include <linux/iommu.h>

struct device;

extern struct iommu_domain rviommu_identity_domain;
extern struct iommu_domain rviommu_blocking_domain;
void rviommu_remove_pasid(struct device *dev, ioasid_t pasid);

#endif /* RVIOMMU_STATIC_H */
