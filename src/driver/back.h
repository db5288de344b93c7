/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way back: to what requests of a device used before, where the core takes no refusal.
 */
#ifndef RVIOMMU_BACK_H
#define RVIOMMU_BACK_H

#include <linux/iommu.h>
#include <linux/list.h>

struct rviommu_space;

/**
 * struct rviommu_back - where requests of a device may be sent back to
 * @pasid: which requests; IOMMU_NO_PASID: those without
 * @domain: what they used before what they use now; NULL: nothing, or it is gone
 * @node: on rviommu_space.backs of @domain, if that is an address space
 *
 * When another device of a group cannot follow, the core sends those that could back to what
 * they had, and takes no error. This says whether that is what it is doing. The
 * domain takes the way along when it is freed: what comes to its place is another.
 *
 * Part of the endpoint. Under rviommu_backs_lock, which is inside ddt.lock.
 */
struct rviommu_back {
	ioasid_t pasid;
	struct iommu_domain *domain;
	struct list_head node;
};

void rviommu_back_set(struct rviommu_back *back, ioasid_t pasid, struct iommu_domain *domain);
bool rviommu_back_leads_to(const struct rviommu_back *back, ioasid_t pasid,
			   const struct iommu_domain *domain);
void rviommu_back_forget(struct rviommu_space *space);

#endif /* RVIOMMU_BACK_H */
