/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that MSIs are written to.
 */
#ifndef RVIOMMU_MSI_H
#define RVIOMMU_MSI_H

#include <linux/types.h>

struct device;
struct list_head;

int rviommu_msi_regions(struct device *dev, struct list_head *head);
phys_addr_t rviommu_msi_page(unsigned int cpu);

#endif /* RVIOMMU_MSI_H */
