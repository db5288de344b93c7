/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address spaces: what a context can point to, whoever keeps the page table.
 */
#ifndef RVIOMMU_SPACE_H
#define RVIOMMU_SPACE_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "command.h"

struct rviommu;

/**
 * struct rviommu_space - what translates, as contexts and caches know it
 * @domain: the core's part
 * @second_stage: guest-physical addresses: iohgatp and not fsc of a context leads to it
 * @mode: RVIOMMU_ATP_MODE_* of iosatp or iohgatp
 * @pscid: tag of its translations; first stage, else 0
 * @gscid: tag of its translations; second stage, else 0
 * @root: physical address of the root table
 * @needs: RVIOMMU_CAP_* that an IOMMU needs to walk it
 * @svnapot: it may have leaves of 64 KiB
 * @pas_lg2: width of the physical addresses in it
 * @lock: serialises writers of the lists below; inside rviommu_ddt.lock
 * @attachments: struct rviommu_attachment.node, all of them. Readers under @lock, or RCU.
 * @targets: struct rviommu_attachment.target: those that whoever invalidates has to look at,
 *           the ones of an IOMMU together, and of those the ones of a device. Readers
 *           (unmap, from any context) under SRCU (rviommu_inval_begin()), or to have a look
 *           under rcu_read_lock(); writers under @lock.
 *           Order against attach: attach adds the target, smp_mb(), publishes the context;
 *           unmap clears the entry, smp_mb(), reads the list. So one of the two sees the other.
 * @backs: struct rviommu_back.node: ways that lead back here; rviommu_backs_lock
 *
 * All but the lists is constant from before the first attach on. A page table of ours
 * (struct rviommu_domain) is one who provides it.
 */
struct rviommu_space {
	struct iommu_domain domain;
	bool second_stage;
	u8 mode;
	u32 pscid;
	u16 gscid;
	phys_addr_t root;
	u64 needs;
	bool svnapot;
	u8 pas_lg2;
	struct mutex lock; /* see above */
	struct list_head attachments;
	struct list_head targets;
	struct list_head backs;
};

void rviommu_space_init(struct rviommu_space *space);
void rviommu_space_exit(struct rviommu_space *space);
int rviommu_space_compatible(const struct rviommu_space *space, const struct rviommu *iommu);
struct rviommu_command rviommu_space_command(const struct rviommu_space *space);

static inline struct rviommu_space *to_rviommu_space(struct iommu_domain *domain)
{
	return container_of(domain, struct rviommu_space, domain);
}

/* Does nothing go through, with this domain or with none? */
static inline bool rviommu_is_blocked(const struct iommu_domain *domain)
{
	return !domain || domain->type == IOMMU_DOMAIN_BLOCKED;
}

/* The address space that a domain is; NULL if it is none, but identity or nothing. */
static inline struct rviommu_space *rviommu_space_of(struct iommu_domain *domain)
{
	if (rviommu_is_blocked(domain) || domain->type == IOMMU_DOMAIN_IDENTITY)
		return NULL;
	return to_rviommu_space(domain);
}

#endif /* RVIOMMU_SPACE_H */
