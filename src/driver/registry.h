/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All IOMMUs.
 */
#ifndef RVIOMMU_REGISTRY_H
#define RVIOMMU_REGISTRY_H

#include <linux/list.h>
#include <linux/mutex.h>

struct fwnode_handle;
struct rviommu;

struct rviommu *rviommu_find(const struct fwnode_handle *fwnode);
void rviommu_enlist(struct rviommu *iommu);
void rviommu_delist(struct rviommu *iommu);
extern struct list_head rviommu_list;
extern struct mutex rviommu_list_lock;

#endif /* RVIOMMU_REGISTRY_H */
