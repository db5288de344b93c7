/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address spaces with a page table of ours.
 */
#ifndef RVIOMMU_DOMAIN_H
#define RVIOMMU_DOMAIN_H

#include <linux/container_of.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "pgtable.h"
#include "space.h"

struct device;
struct iommu_user_data;
struct rviommu;

/**
 * struct rviommu_domain_stats - what happened to a domain
 * @maps: map calls
 * @unmaps: unmap calls
 * @syncs: invalidations of a range
 * @flushes: invalidations of the whole domain
 *
 * Each CPU counts its own: map and unmap share no cache line. An interrupt that
 * counts, too, in the middle of it may cost a count; switching interrupts off
 * would cost every map and unmap as much as half of its walk.
 */
struct rviommu_domain_stats {
	u64 maps;
	u64 unmaps;
	u64 syncs;
	u64 flushes;
};

static inline void rviommu_count(u64 __percpu *counter)
{
	preempt_disable();
	raw_cpu_inc(*counter);
	preempt_enable();
}

/**
 * struct rviommu_domain - an address space with a page table of ours
 * @space: what contexts and caches know of it
 * @pt: page table
 * @pending: unlinked table pages (struct rviommu_page.node) whose unmap was
 *           deferred to flush_iotlb_all
 * @pending_lock: protects @pending; interrupts off
 * @stats: counters, per CPU; rviommu_domain_stats()
 * @node: on the list of all domains, for debugfs; rviommu_domains_lock
 * @id: small number, for debugfs
 * @tracking: dirty tracking begins and ends, one at a time, and without it who promotes; outside
 *            rviommu_pgtable.reshape. Readers do without.
 */
struct rviommu_domain {
	struct rviommu_space space;
	struct rviommu_pgtable pt;
	struct list_head pending;
	spinlock_t pending_lock; /* see above */
	struct rviommu_domain_stats __percpu *stats;
	struct list_head node;
	unsigned int id;
	struct mutex tracking; /* see above */
};

struct iommu_domain *rviommu_domain_alloc_paging_flags(struct device *dev, u32 flags,
						       const struct iommu_user_data *user_data);
struct rviommu_domain *rviommu_domain_create(struct rviommu *iommu, bool second_stage);
struct rviommu_domain_stats rviommu_domain_stats(const struct rviommu_domain *dom);
struct rviommu_domain_stats rviommu_domains_stats(void);
struct rviommu_domain *rviommu_domain_find(const struct iommu_domain *domain);
extern struct list_head rviommu_domains;
extern struct mutex rviommu_domains_lock;
void rviommu_domain_ids_destroy(void);

static inline struct rviommu_domain *to_rviommu_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct rviommu_domain, space.domain);
}

#endif /* RVIOMMU_DOMAIN_H */
