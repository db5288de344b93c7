// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paging domains: an address space with its page table, its tag in the IOTLB
 * and the IOMMUs that may have cached it.
 */
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/log2.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <uapi/linux/iommufd.h>
#include <kunit/visibility.h>

#include "attach.h"
#include "back.h"
#include "compat.h"
#include "dirty.h"
#include "domain.h"
#include "endpoint.h"
#include "filter.h"
#include "invalidate.h"
#include "mem.h"
#include "mutate.h"
#include "pgtable.h"
#include "quirks.h"
#include "rviommu.h"
#include "space.h"

/*
 * Tags are global: a domain may be attached to any number of IOMMUs under the
 * same one. Tag 0 is left to firmware and to whoever forgets to set one.
 */
#define RVIOMMU_PSCID_MAX	((1U << 20) - 1)
#define RVIOMMU_GSCID_MAX	((1U << 16) - 1)

static DEFINE_IDA(rviommu_pscids);
static DEFINE_IDA(rviommu_gscids);
static DEFINE_IDA(rviommu_domain_ids);

/* ----- All domains, and what they count ----- */

LIST_HEAD(rviommu_domains);
/* Protects rviommu_domains, and keeps what is on it alive; and @gone. */
DEFINE_MUTEX(rviommu_domains_lock);
/* What domains counted that are gone: sums over all domains never go down. */
static struct rviommu_domain_stats gone;

/**
 * rviommu_domain_stats() - counters of a domain, summed over the CPUs
 * @dom: the domain
 *
 * Return: the sums, each of them exact some time during the call.
 */
struct rviommu_domain_stats rviommu_domain_stats(const struct rviommu_domain *dom)
{
	struct rviommu_domain_stats sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct rviommu_domain_stats *s = per_cpu_ptr(dom->stats, cpu);

		sum.maps += READ_ONCE(s->maps);
		sum.unmaps += READ_ONCE(s->unmaps);
		sum.syncs += READ_ONCE(s->syncs);
		sum.flushes += READ_ONCE(s->flushes);
	}
	return sum;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_domain_stats);

static void rviommu_stats_add(struct rviommu_domain_stats *sum, const struct rviommu_domain *dom)
{
	struct rviommu_domain_stats stats = rviommu_domain_stats(dom);

	sum->maps += stats.maps;
	sum->unmaps += stats.unmaps;
	sum->syncs += stats.syncs;
	sum->flushes += stats.flushes;
}

/* It can be found from now on. */
static void rviommu_domain_enlist(struct rviommu_domain *dom)
{
	mutex_lock(&rviommu_domains_lock);
	list_add_tail(&dom->node, &rviommu_domains);
	mutex_unlock(&rviommu_domains_lock);
}

/* It cannot be found any more; what it counted is kept. */
static void rviommu_domain_delist(struct rviommu_domain *dom)
{
	mutex_lock(&rviommu_domains_lock);
	list_del(&dom->node);
	rviommu_stats_add(&gone, dom);
	mutex_unlock(&rviommu_domains_lock);
}

/**
 * rviommu_domain_find() - is a domain on the list?
 * @domain: any, also one that was freed: it is compared, never followed
 *
 * Under rviommu_domains_lock, for as long as the answer is used.
 *
 * Return: the domain, or NULL.
 */
struct rviommu_domain *rviommu_domain_find(const struct iommu_domain *domain)
{
	struct rviommu_domain *dom;

	lockdep_assert_held(&rviommu_domains_lock);
	list_for_each_entry(dom, &rviommu_domains, node)
		if (&dom->space.domain == domain)
			return dom;
	return NULL;
}

/**
 * rviommu_domains_stats() - counters of all domains that there are and were
 *
 * Return: the sums.
 */
struct rviommu_domain_stats rviommu_domains_stats(void)
{
	const struct rviommu_domain *dom;
	struct rviommu_domain_stats sum;

	guard(mutex)(&rviommu_domains_lock);
	sum = gone;
	list_for_each_entry(dom, &rviommu_domains, node)
		rviommu_stats_add(&sum, dom);
	return sum;
}

/* ----- Map and unmap ----- */

static int rviommu_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr,
			     size_t pgsize, size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	rviommu_count(&dom->stats->maps);
	return rviommu_pgtable_map(&dom->pt, iova, paddr, pgsize, pgcount, prot, gfp, mapped);
}

/* A gather describes one range at one stride: the smallest leaf in it reaches all of them. */
static noinline size_t rviommu_gather_range(struct iommu_domain *domain,
					    struct iommu_iotlb_gather *gather, unsigned long iova,
					    size_t size, size_t leaf, struct list_head *tables)
{
	/* The tables of this unmap join only after an older range was flushed on its own. */
	if (iommu_iotlb_gather_is_disjoint(gather, iova, size))
		iommu_iotlb_sync(domain, gather);
	if (!gather->pgsize || leaf < gather->pgsize)
		gather->pgsize = leaf;
	iommu_iotlb_gather_add_range(gather, iova, size);
	if (tables)
		list_splice(tables, rviommu_gather_pages(gather));
	return size;
}

static noinline size_t rviommu_unmap_range(struct iommu_domain *domain, unsigned long iova,
					   size_t pgsize, size_t pgcount,
					   struct iommu_iotlb_gather *gather)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);
	struct rviommu_unmapped out = { .tables = LIST_HEAD_INIT(out.tables) };
	size_t size = rviommu_pgtable_unmap(&dom->pt, iova, pgsize, pgcount, &out);
	unsigned long flags;

	if (!size)
		return 0;
	if (!iommu_iotlb_gather_queued(gather))
		return rviommu_gather_range(domain, gather, iova, size, 1UL << out.leaf_lg2,
					    &out.tables);
	if (!list_empty(&out.tables)) {
		spin_lock_irqsave(&dom->pending_lock, flags);
		list_splice(&out.tables, &dom->pending);
		spin_unlock_irqrestore(&dom->pending_lock, flags);
	}
	return size;
}

static size_t rviommu_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize,
				  size_t pgcount, struct iommu_iotlb_gather *gather)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	rviommu_count(&dom->stats->unmaps);
	/* Most are of one page, and gather nothing else. The rest is out of their way. */
	if (pgcount != 1 || !rviommu_pgtable_unmap_leaf(&dom->pt, iova, pgsize))
		return rviommu_unmap_range(domain, iova, pgsize, pgcount, gather);
	if (iommu_iotlb_gather_queued(gather))
		return pgsize;
	if (gather->end)
		return rviommu_gather_range(domain, gather, iova, pgsize, pgsize, NULL);
	gather->pgsize = pgsize;
	gather->start = iova;
	gather->end = iova + pgsize - 1;
	return pgsize;
}

/**
 * struct rviommu_flush - unlinked tables on their way out
 * @dom: whose
 * @gather: what was unmapped; NULL: everything may have been, some time ago
 * @tables: the tables, once they are collected
 */
struct rviommu_flush {
	struct rviommu_domain *dom;
	struct iommu_iotlb_gather *gather;
	struct list_head tables;
};

/* Before the invalidation: only what it covers may be retired. */
static void rviommu_flush_collect(struct rviommu_flush *flush)
{
	struct rviommu_domain *dom = flush->dom;
	unsigned long flags;

	if (flush->gather) {
		/* Not the core's to free: it knows neither RCU nor our descriptor. */
		list_splice_init(rviommu_gather_pages(flush->gather), &flush->tables);
		return;
	}
	spin_lock_irqsave(&dom->pending_lock, flags);
	list_splice_init(&dom->pending, &flush->tables);
	spin_unlock_irqrestore(&dom->pending_lock, flags);
}

static void rviommu_flush_invalidate(struct rviommu_flush *flush)
{
	const struct rviommu_space *space = &flush->dom->space;
	struct iommu_iotlb_gather *gather = flush->gather;

	if (gather)
		rviommu_invalidate_range(space, gather->start, gather->end, ilog2(gather->pgsize),
					 true);
	else
		rviommu_invalidate_all(space);
}

static void rviommu_flush_retire(struct rviommu_flush *flush)
{
	rviommu_page_retire(&flush->tables);
}

#define RVIOMMU_FLUSH_STEPS	3

typedef void (*rviommu_flush_step)(struct rviommu_flush *flush);

/* The right order, and wrong ones: so that tests can show that they would notice. */
static const rviommu_flush_step rviommu_flush_order[RVIOMMU_FLUSH_STEPS] = {
	rviommu_flush_collect, rviommu_flush_invalidate, rviommu_flush_retire,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static const rviommu_flush_step rviommu_flush_retire_first[RVIOMMU_FLUSH_STEPS] = {
	rviommu_flush_collect, rviommu_flush_retire, rviommu_flush_invalidate,
};

static const rviommu_flush_step rviommu_flush_collect_late[RVIOMMU_FLUSH_STEPS] = {
	rviommu_flush_invalidate, rviommu_flush_collect, rviommu_flush_retire,
};

static const rviommu_flush_step *rviommu_flush_steps(const struct rviommu_flush *flush)
{
	const struct rviommu_space *space = &flush->dom->space;

	if (rviommu_space_mutes(space, flush->gather ? RVIOMMU_MUTATE_RETIRE_TABLES :
						       RVIOMMU_MUTATE_RETIRE_PENDING))
		return rviommu_flush_retire_first;
	if (!flush->gather && rviommu_space_mutes(space, RVIOMMU_MUTATE_PENDING))
		return rviommu_flush_collect_late;
	return rviommu_flush_order;
}
#else
static const rviommu_flush_step *rviommu_flush_steps(const struct rviommu_flush *flush)
{
	return rviommu_flush_order;
}
#endif

/* Out of line: most unmaps take no table out. */
static noinline void rviommu_flush(struct rviommu_domain *dom, struct iommu_iotlb_gather *gather)
{
	struct rviommu_flush flush = {
		.dom = dom, .gather = gather, .tables = LIST_HEAD_INIT(flush.tables),
	};
	const rviommu_flush_step *steps = rviommu_flush_steps(&flush);
	unsigned int i;

	for (i = 0; i < RVIOMMU_FLUSH_STEPS; i++)
		steps[i](&flush);
}

static void rviommu_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	if (!gather->pgsize)
		return;
	rviommu_count(&dom->stats->syncs);
	if (unlikely(!list_empty(rviommu_gather_pages(gather))))
		rviommu_flush(dom, gather);
	else
		rviommu_invalidate_range(&dom->space, gather->start, gather->end,
					 ilog2(gather->pgsize), false);
}

static void rviommu_flush_iotlb_all(struct iommu_domain *domain)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	rviommu_count(&dom->stats->flushes);
	rviommu_flush(dom, NULL);
}

static phys_addr_t rviommu_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return rviommu_pgtable_iova_to_phys(&to_rviommu_domain(domain)->pt, iova);
}

RVIOMMU_IOVA_TO_PHYS_THUNK(rviommu_iova_to_phys)

static int rviommu_attach_paging(struct iommu_domain *domain, struct device *dev,
				 struct iommu_domain *old)
{
	return rviommu_attach(dev_iommu_priv_get(dev), domain);
}

RVIOMMU_ATTACH_THUNK(rviommu_attach_paging)

static int rviommu_attach_pasid_paging(struct iommu_domain *domain, struct device *dev,
				       ioasid_t pasid, struct iommu_domain *old)
{
	return rviommu_attach_pasid(dev_iommu_priv_get(dev), pasid, domain, old);
}

RVIOMMU_PASID_THUNK(rviommu_attach_pasid_paging)

/* Give everything back that rviommu_domain_create() got so far. */
static void rviommu_domain_destroy(struct rviommu_domain *dom)
{
	if (dom->space.pscid)
		ida_free(&rviommu_pscids, dom->space.pscid);
	if (dom->space.gscid)
		ida_free(&rviommu_gscids, dom->space.gscid);
	if (dom->id)
		ida_free(&rviommu_domain_ids, dom->id);
	if (dom->pt.root)
		rviommu_pgtable_destroy(&dom->pt);
	free_percpu(dom->stats);
	mutex_destroy(&dom->tracking);
	rviommu_space_exit(&dom->space);
	rviommu_free(dom);
}

static void rviommu_domain_free(struct iommu_domain *domain)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	rviommu_back_forget(&dom->space);
	rviommu_domain_delist(dom);

	/* No hardware reaches them: every detach forgot the whole domain. */
	rviommu_page_retire(&dom->pending);
	rviommu_domain_destroy(dom);
	module_put(THIS_MODULE);
}

static const struct iommu_domain_ops rviommu_paging_ops = {
	.attach_dev = RVIOMMU_ATTACH_OP(rviommu_attach_paging),
	.set_dev_pasid = RVIOMMU_PASID_OP(rviommu_attach_pasid_paging),
	.map_pages = rviommu_map_pages,
	.unmap_pages = rviommu_unmap_pages,
	.flush_iotlb_all = rviommu_flush_iotlb_all,
	.iotlb_sync = rviommu_iotlb_sync,
	RVIOMMU_IOVA_TO_PHYS_OP(rviommu_iova_to_phys),
	.free = rviommu_domain_free,
};

static void rviommu_sync_walk(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2)
{
	struct rviommu_domain *dom = container_of(pt, struct rviommu_domain, pt);

	rviommu_count(&dom->stats->syncs);
	rviommu_invalidate_link(&dom->space, iova, size_lg2);
}

static const struct rviommu_pgtable_ops rviommu_pt_ops = {
	.sync_walk = rviommu_sync_walk,
};

/*
 * Four levels are enough for any machine that exists and one step shorter than
 * five; three when there is no choice. Sv57 without Sv48 is not legal in the
 * first stage (spec "capabilities"), but nothing says so of the second.
 */
static int rviommu_domain_levels(const struct rviommu *iommu, bool second_stage)
{
	static const struct {
		u64 first, second;
		int levels;
	} formats[] = {
		{ RVIOMMU_CAP_SV48, RVIOMMU_CAP_SV48X4, 4 },
		{ RVIOMMU_CAP_SV39, RVIOMMU_CAP_SV39X4, 3 },
		{ RVIOMMU_CAP_SV57, RVIOMMU_CAP_SV57X4, 5 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (iommu->caps & (second_stage ? formats[i].second : formats[i].first))
			return formats[i].levels;
	return -EOPNOTSUPP;
}

/* What the core, contexts and IOMMUs have to know of its page table */
static void rviommu_domain_fill(struct rviommu_domain *dom, const struct rviommu_pgtable_cfg *cfg)
{
	static const u64 first[] = { RVIOMMU_CAP_SV39, RVIOMMU_CAP_SV48, RVIOMMU_CAP_SV57 };
	static const u64 second[] = { RVIOMMU_CAP_SV39X4, RVIOMMU_CAP_SV48X4, RVIOMMU_CAP_SV57X4 };
	struct rviommu_space *space = &dom->space;
	int va_lg2 = rviommu_pgtable_va_lg2(cfg);

	space->second_stage = cfg->second_stage;
	space->mode = RVIOMMU_ATP_MODE_SV39 + cfg->levels - 3;
	space->root = virt_to_phys(dom->pt.root);
	space->needs = (cfg->second_stage ? second : first)[cfg->levels - 3] |
		       (cfg->svpbmt ? RVIOMMU_CAP_SVPBMT : 0);
	space->svnapot = cfg->svnapot;
	space->pas_lg2 = cfg->pas_lg2;
	space->domain.type = IOMMU_DOMAIN_UNMANAGED;
	space->domain.ops = &rviommu_paging_ops;
	space->domain.pgsize_bitmap = dom->pt.pgsizes;
	/* The first stage's upper half is sign-extended: not part of an aperture. */
	space->domain.geometry.aperture_end =
		BIT_ULL(cfg->second_stage ? va_lg2 : va_lg2 - 1) - 1;
	space->domain.geometry.force_aperture = true;
}

/**
 * rviommu_domain_create() - a paging domain in a format that an IOMMU knows
 * @iommu: the IOMMU it will be attached to first
 * @second_stage: guest-physical addresses, x4 format
 *
 * A module reference goes with it: a domain may outlive every device.
 *
 * Return: the domain; -EOPNOTSUPP if the IOMMU has no such stage; -ENOMEM;
 * -ENOSPC when all tags are in use.
 */
struct rviommu_domain *rviommu_domain_create(struct rviommu *iommu, bool second_stage)
{
	struct rviommu_pgtable_cfg cfg = {
		.second_stage = second_stage,
		.svnapot = !test_bit(RVIOMMU_QUIRK_NO_SVNAPOT, &iommu->quirks),
		.svpbmt = iommu->caps & RVIOMMU_CAP_SVPBMT,
		.pas_lg2 = iommu->pas_lg2,
		.nid = iommu->nid,
	};
	struct rviommu_domain *dom;
	int ret;

	ret = rviommu_domain_levels(iommu, second_stage);
	if (ret < 0)
		return ERR_PTR(ret);
	cfg.levels = ret;

	dom = rviommu_zalloc(sizeof(*dom), GFP_KERNEL_ACCOUNT);
	if (!dom)
		return ERR_PTR(-ENOMEM);
	rviommu_space_init(&dom->space);
	spin_lock_init(&dom->pending_lock);
	mutex_init(&dom->tracking);
	INIT_LIST_HEAD(&dom->pending);

	ret = -ENOMEM;
	dom->stats = rviommu_percpu_alloc(sizeof(*dom->stats), __alignof__(*dom->stats),
					  GFP_KERNEL_ACCOUNT);
	if (!dom->stats)
		goto err;
	ret = rviommu_ida_alloc(&rviommu_domain_ids, 1, INT_MAX);
	if (ret < 0)
		goto err;
	dom->id = ret;
	ret = second_stage ? rviommu_ida_alloc(&rviommu_gscids, 1, RVIOMMU_GSCID_MAX) :
			     rviommu_ida_alloc(&rviommu_pscids, 1, RVIOMMU_PSCID_MAX);
	if (ret < 0)
		goto err;
	if (second_stage)
		dom->space.gscid = ret;
	else
		dom->space.pscid = ret;
	ret = rviommu_pgtable_init(&dom->pt, &cfg, &rviommu_pt_ops);
	if (ret)
		goto err;

	rviommu_domain_fill(dom, &cfg);
	__module_get(THIS_MODULE);
	rviommu_domain_enlist(dom);
	return dom;

err:
	rviommu_domain_destroy(dom);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_domain_create);

/* Writes through it can be tracked; an IOMMU that cannot set D is none for it. */
static void rviommu_domain_allow_tracking(struct rviommu_domain *dom)
{
	dom->space.needs |= RVIOMMU_CAP_AMO_HWAD;
	dom->space.domain.dirty_ops = &rviommu_dirty_ops;
}

/**
 * rviommu_domain_alloc_paging_flags() - iommu_ops: a paging domain for a device
 * @dev: the device
 * @flags: IOMMU_HWPT_ALLOC_NEST_PARENT asks for the second stage, which no PASID can
 *         use; IOMMU_HWPT_ALLOC_PASID for a domain that can; IOMMU_HWPT_ALLOC_DIRTY_TRACKING
 *         for one whose writes can be tracked, of either stage. No other flag is supported.
 * @user_data: none is defined
 *
 * A second stage is an address space as good as a first one; nothing can be nested in it yet, and
 * the core says so to whoever tries.
 *
 * Return: the domain, or an error of rviommu_domain_create(); -EOPNOTSUPP for
 * other flags, for those that exclude each other, and where the IOMMU cannot set D.
 */
struct iommu_domain *rviommu_domain_alloc_paging_flags(struct device *dev, u32 flags,
						       const struct iommu_user_data *user_data)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	bool second_stage = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
	bool tracks = flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	bool pasid = flags & RVIOMMU_ALLOC_PASID;
	struct rviommu_domain *dom;

	if (flags & ~(IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
		      RVIOMMU_ALLOC_PASID) || user_data || (second_stage && pasid) ||
	    (tracks && !rviommu_tracks(ep->iommu)))
		return ERR_PTR(-EOPNOTSUPP);
	/* An IOMMU for virtual machines only may have nothing but the second stage. */
	if (!pasid && rviommu_domain_levels(ep->iommu, false) < 0)
		second_stage = true;
	dom = rviommu_domain_create(ep->iommu, second_stage);
	if (IS_ERR(dom))
		return ERR_CAST(dom);
	if (tracks)
		rviommu_domain_allow_tracking(dom);
	return &dom->space.domain;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_domain_alloc_paging_flags);

/**
 * rviommu_domain_ids_destroy() - free the allocators of tags, at module exit
 */
void rviommu_domain_ids_destroy(void)
{
	ida_destroy(&rviommu_pscids);
	ida_destroy(&rviommu_gscids);
	ida_destroy(&rviommu_domain_ids);
}
