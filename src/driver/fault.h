/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fault queue, and who is told.
 */
#ifndef RVIOMMU_FAULT_H
#define RVIOMMU_FAULT_H

#include <linux/types.h>

struct rviommu;

/* Enough for the name of a device, and for everything that is said of a fault. */
#define RVIOMMU_FAULT_NAME	48
#define RVIOMMU_FAULT_TEXT	256

int rviommu_faultq_init(struct rviommu *iommu, u8 entries_lg2);

#endif /* RVIOMMU_FAULT_H */
