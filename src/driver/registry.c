// SPDX-License-Identifier: GPL-2.0-only
/*
 * All IOMMUs of this driver: how a device finds its own.
 */
#include <linux/list.h>
#include <linux/mutex.h>

#include "registry.h"
#include "rviommu.h"

LIST_HEAD(rviommu_list);
/* Protects rviommu_list. Taken when IOMMUs and devices come and go. */
DEFINE_MUTEX(rviommu_list_lock);

/**
 * rviommu_find() - the IOMMU that a firmware node stands for
 * @fwnode: from an iommu_fwspec
 *
 * Return: the IOMMU, or NULL. It stays while the core probes or has a device of
 * it: the core holds a module reference then.
 */
struct rviommu *rviommu_find(const struct fwnode_handle *fwnode)
{
	struct rviommu *iommu, *found = NULL;

	mutex_lock(&rviommu_list_lock);
	list_for_each_entry(iommu, &rviommu_list, node)
		if (iommu->bus->fwnode == fwnode)
			found = iommu;
	mutex_unlock(&rviommu_list_lock);
	return found;
}

/**
 * rviommu_enlist() - an IOMMU can be found from now on
 * @iommu: the IOMMU
 */
void rviommu_enlist(struct rviommu *iommu)
{
	mutex_lock(&rviommu_list_lock);
	list_add_tail(&iommu->node, &rviommu_list);
	mutex_unlock(&rviommu_list_lock);
}

/**
 * rviommu_delist() - it cannot be found any more
 * @iommu: the IOMMU
 */
void rviommu_delist(struct rviommu *iommu)
{
	mutex_lock(&rviommu_list_lock);
	list_del(&iommu->node);
	mutex_unlock(&rviommu_list_lock);
}
