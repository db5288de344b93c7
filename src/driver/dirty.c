// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty tracking of domains: begun, read and ended while DMA, map and unmap go on.
 *
 * Where the state of D is on its way from a write to a bitmap, and who empties it:
 *
 *   what                          why it need not set D       who makes it forget
 *   IOTLB, a leaf with D=1        D was set                   IOTINVAL of the leaf's range
 *   ATC, a translation with W     D was set before it was     ATS.INVAL of the range, behind the
 *                                 answered                    IOTLB: else it is answered from there
 *   walk caches                   they have links, no D       nobody: the leaf is read again
 *   DMA under way                 D was set                   the fence behind them waits for it
 *
 * So D is cleared, then both are invalidated with one range and one fence, and only then
 * is the bitmap used ("Accessed (A)/Dirty (D) bit updates and page promotions"; "IOMMU updating of
 * PTE accessed (A) and dirty (D) updates" has D visible before the write). A write until then
 * is in a page of this bitmap; one that comes later sets D, and is in the next.
 *
 * Who unmaps reads the range right before, without clearing, and with the device's DMA to it
 * stopped: unmap keeps no record.
 */
#include <linux/align.h>
#include <linux/iommu.h>
#include <linux/sched.h>
#include <kunit/visibility.h>

#include <rviommu/domain.h>
#include <rviommu/regs.h>

#include "compat.h"
#include "dirty.h"
#include "domain.h"
#include "filter.h"
#include "invalidate.h"
#include "mutate.h"
#include "pgdirty.h"
#include "pgtable.h"
#include "rviommu.h"
#include "space.h"

RVIOMMU_IMPORT_NS(IOMMUFD);

/**
 * rviommu_tracks() - can writes through an IOMMU be tracked?
 * @iommu: the IOMMU
 *
 * It has to set D by itself. Without the core's bitmap nobody would be told.
 *
 * Return: true if they can.
 */
bool rviommu_tracks(const struct rviommu *iommu)
{
	return IS_ENABLED(CONFIG_IOMMUFD_DRIVER) && iommu->caps & RVIOMMU_CAP_AMO_HWAD;
}

/**
 * struct rviommu_dirty_read - one read of a range, on its way through its steps
 * @dom: whose
 * @first: first address
 * @last: last address
 * @clear: what is dirty becomes clean
 * @bitmap: where it is noted; NULL: nowhere, tracking begins
 * @d: what was found
 *
 * Of one thread, on its stack. Map, unmap and other reads go on meanwhile.
 */
struct rviommu_dirty_read {
	struct rviommu_domain *dom;
	u64 first;
	u64 last;
	bool clear;
	struct iommu_dirty_bitmap *bitmap;
	struct rviommu_dirty d;
};

/* Outside of all locks and RCU sections: memory of user space may have to be brought in. */
static void rviommu_dirty_record(struct iommu_dirty_bitmap *bitmap, const struct rviommu_dirty *d)
{
	unsigned int i;

	for (i = 0; i < d->nr; i++)
		iommu_dirty_bitmap_record(bitmap, d->runs[i].iova, d->runs[i].size);
}

static void rviommu_dirty_scan(struct rviommu_dirty_read *read)
{
	struct rviommu_dirty *d = &read->d;

	rviommu_dirty_begin(d, read->first, read->last, read->clear);
	while (rviommu_pgtable_read_dirty(&read->dom->pt, d)) {
		if (read->bitmap)
			rviommu_dirty_record(read->bitmap, d);
		cond_resched();
	}
}

/* One range, at the stride of the smallest leaf in it. */
static void rviommu_dirty_gather(struct iommu_iotlb_gather *gather, const struct rviommu_dirty *d)
{
	const size_t size = BIT(d->leaf_lg2);

	if (!gather->pgsize || size < gather->pgsize)
		gather->pgsize = size;
	iommu_iotlb_gather_add_range(gather, d->cleared_first,
				     d->cleared_last - d->cleared_first + 1);
}

/*
 * The caller invalidates what is in the gather, after this and perhaps after other ranges, all
 * at once.
 */
static void rviommu_dirty_forget(struct rviommu_dirty_read *read)
{
	const struct rviommu_dirty *d = &read->d;

	if (!d->leaf_lg2)
		return;
	if (read->bitmap && read->bitmap->gather) {
		rviommu_dirty_gather(read->bitmap->gather, d);
		return;
	}
	rviommu_count(&read->dom->stats->syncs);
	rviommu_invalidate_range(&read->dom->space, d->cleared_first, d->cleared_last, d->leaf_lg2,
				 false);
}

#define RVIOMMU_DIRTY_STEPS	2

typedef void (*rviommu_dirty_step)(struct rviommu_dirty_read *read);

/* The right order, and wrong ones: so that tests can show that they would notice. */
static const rviommu_dirty_step rviommu_dirty_order[RVIOMMU_DIRTY_STEPS] = {
	rviommu_dirty_scan, rviommu_dirty_forget,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static void rviommu_dirty_forget_before(struct rviommu_dirty_read *read)
{
	if (read->clear)
		rviommu_invalidate_all(&read->dom->space);
}

static void rviommu_dirty_forget_nothing(struct rviommu_dirty_read *read)
{
}

static const rviommu_dirty_step rviommu_dirty_forget_early[RVIOMMU_DIRTY_STEPS] = {
	rviommu_dirty_forget_before, rviommu_dirty_scan,
};

static const rviommu_dirty_step rviommu_dirty_forget_never[RVIOMMU_DIRTY_STEPS] = {
	rviommu_dirty_scan, rviommu_dirty_forget_nothing,
};

static const rviommu_dirty_step *rviommu_dirty_steps(const struct rviommu_dirty_read *read)
{
	const struct rviommu_space *space = &read->dom->space;

	if (rviommu_space_mutes(space, read->bitmap ? RVIOMMU_MUTATE_DIRTY_INVAL :
						      RVIOMMU_MUTATE_DIRTY_START))
		return rviommu_dirty_forget_never;
	if (read->bitmap && rviommu_space_mutes(space, RVIOMMU_MUTATE_DIRTY_EARLY))
		return rviommu_dirty_forget_early;
	return rviommu_dirty_order;
}
#else
static const rviommu_dirty_step *rviommu_dirty_steps(const struct rviommu_dirty_read *read)
{
	return rviommu_dirty_order;
}
#endif

static void rviommu_dirty_read(struct rviommu_dirty_read *read)
{
	const rviommu_dirty_step *steps = rviommu_dirty_steps(read);
	unsigned int i;

	for (i = 0; i < RVIOMMU_DIRTY_STEPS; i++)
		steps[i](read);
}

/*
 * Pages first, then clean, so that the first bitmap has what was written to and not what is beside
 * it. Of leaves that there is no memory to split D stands for the whole. What was dirty before is
 * of no interest: whoever wants the pages takes all of them, once this is over.
 */
static void rviommu_dirty_start(struct rviommu_domain *dom)
{
	struct rviommu_dirty_read read = { .dom = dom, .last = ~0ULL, .clear = true };

	rviommu_pgtable_track(&dom->pt, RVIOMMU_TRACK_PAGES);
	rviommu_pgtable_demote(&dom->pt, 0, ~0ULL);
	rviommu_dirty_read(&read);
}

static void rviommu_dirty_stop(struct rviommu_domain *dom)
{
	rviommu_pgtable_track(&dom->pt, RVIOMMU_TRACK_NONE);
	rviommu_pgtable_promote(&dom->pt, 0, ~0ULL);
}

static int rviommu_set_dirty_tracking(struct iommu_domain *domain, bool enable)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	/* iommufd may be asked for both at once. */
	guard(mutex)(&dom->tracking);
	if (enable)
		rviommu_dirty_start(dom);
	else if (dom->pt.tracked)
		rviommu_dirty_stop(dom);
	return 0;
}

/*
 * iommufd reads, without a bitmap, also before it begins to track: for D that is left from
 * before. Nothing is done then: beginning does it, with the pages that there are by then.
 *
 * A leaf that is larger than a page, because there was no memory or because its map had begun
 * before, is reported whole, and then there is another attempt to split it.
 *
 * Where the bitmap's memory is gone the core does not say so, and these pages are lost
 * with it.
 */
static int rviommu_read_and_clear_dirty(struct iommu_domain *domain, unsigned long iova,
					size_t size, unsigned long flags,
					struct iommu_dirty_bitmap *bitmap)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);
	struct rviommu_dirty_read read = {
		.dom = dom, .first = iova, .last = iova + size - 1,
		.clear = !(flags & IOMMU_DIRTY_NO_CLEAR), .bitmap = bitmap,
	};

	if (!size || !IS_ALIGNED(iova | size, RVIOMMU_PAGE_SIZE))
		return -EINVAL;
	if (!READ_ONCE(dom->pt.tracked))
		return bitmap->bitmap ? -EINVAL : 0;
	rviommu_dirty_read(&read);
	if (read.clear && read.d.largest_lg2 > RVIOMMU_PAGE_LG2)
		rviommu_pgtable_demote(&dom->pt, read.first, read.last);
	return 0;
}

const struct iommu_dirty_ops rviommu_dirty_ops = {
	.set_dirty_tracking = rviommu_set_dirty_tracking,
	.read_and_clear_dirty = rviommu_read_and_clear_dirty,
};

/**
 * rviommu_domain_promote() - make larger leaves of what is mapped piecemeal in a domain
 * @domain: a paging domain of this driver, kept by the caller
 * @iova: first address
 * @last: last address
 *
 * What is translated, and how, stays the same all the time, so DMA, map and unmap go on. 512
 * leaves that fill a table and adjoin in memory become one, from the smallest up. Memory
 * for tables is given back. May sleep, for RCU grace periods and for invalidations.
 *
 * Return: how many tables have become leaves; -EBUSY while writes are tracked, for which the
 * leaves have to be small.
 */
long rviommu_domain_promote(struct iommu_domain *domain, u64 iova, u64 last)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	guard(mutex)(&dom->tracking);
	if (dom->pt.tracked)
		return -EBUSY;
	return rviommu_pgtable_promote(&dom->pt, iova, last);
}
EXPORT_SYMBOL_GPL(rviommu_domain_promote);
