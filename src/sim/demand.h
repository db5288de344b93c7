/* SPDX-License-Identifier: GPL-2.0-only */
/* Demand paging, a command of the exerciser. */
#ifndef RVIOMMU_SIM_DEMAND_H
#define RVIOMMU_SIM_DEMAND_H

#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/types.h>

struct exerciser;
struct iommu_attach_handle;
struct iommu_domain;
struct iommu_group;
struct iopf_group;

int iommu_attach_group_handle(struct iommu_domain *domain, struct iommu_group *group,
			      struct iommu_attach_handle *handle);
void iommu_detach_group_handle(struct iommu_domain *domain, struct iommu_group *group);

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int sim_ex_demand(struct exerciser *ex, unsigned int pages, unsigned int threads, u32 pasid);
void sim_ex_demand_queue(struct iopf_group *group);
#else
static inline int sim_ex_demand(struct exerciser *ex, unsigned int pages, unsigned int threads,
				u32 pasid)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* RVIOMMU_SIM_DEMAND_H */
