/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the IOMMU core calls.
 */
#ifndef RVIOMMU_IOMMU_H
#define RVIOMMU_IOMMU_H

#include <linux/iommu.h>

struct device;

extern const struct iommu_ops rviommu_ops;
struct iommu_group *rviommu_bus_group(struct device *dev);

#endif /* RVIOMMU_IOMMU_H */
