// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way back: to what requests of a device used before, where the core takes no refusal.
 */
#include <linux/mutex.h>
#include <kunit/visibility.h>

#include "back.h"
#include "space.h"

/* Protects every struct rviommu_back, and rviommu_space.backs. */
static DEFINE_MUTEX(rviommu_backs_lock);

/**
 * rviommu_back_set() - where requests of a device can be sent back to
 * @back: of the device
 * @pasid: which requests
 * @domain: to this domain; NULL: nowhere
 */
void rviommu_back_set(struct rviommu_back *back, ioasid_t pasid, struct iommu_domain *domain)
{
	struct rviommu_space *space;

	guard(mutex)(&rviommu_backs_lock);
	if (rviommu_space_of(back->domain))
		list_del(&back->node);
	*back = (struct rviommu_back){ .pasid = pasid, .domain = domain };
	space = rviommu_space_of(domain);
	if (space)
		list_add(&back->node, &space->backs);
}

/**
 * rviommu_back_leads_to() - is this the way back?
 * @back: of a device
 * @pasid: which requests
 * @domain: where they shall go
 *
 * Return: true if they come from there.
 */
bool rviommu_back_leads_to(const struct rviommu_back *back, ioasid_t pasid,
			   const struct iommu_domain *domain)
{
	guard(mutex)(&rviommu_backs_lock);
	return domain && back->pasid == pasid && back->domain == domain;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_back_leads_to);

/**
 * rviommu_back_forget() - no way leads to an address space any more
 * @space: the space, about to be freed
 */
void rviommu_back_forget(struct rviommu_space *space)
{
	struct rviommu_back *back, *next;

	guard(mutex)(&rviommu_backs_lock);
	list_for_each_entry_safe(back, next, &space->backs, node) {
		list_del(&back->node);
		back->domain = NULL;
	}
}
