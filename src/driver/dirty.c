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

static void rviommu_dirty_invalidate(struct rviommu_domain *dom, const struct rviommu_dirty *d)
{
	rviommu_count(&dom->stats->syncs);
	rviommu_invalidate_range(&dom->space, d->cleared_first, d->cleared_last, d->leaf_lg2,
				 false);
}

/*
 * All that is mapped is clean, and whoever writes to it from now on says so. What was dirty is
 * of no interest: whoever wants the pages takes all of them, once this is over.
 */
static void rviommu_dirty_clear(struct rviommu_domain *dom)
{
	struct rviommu_dirty d;

	rviommu_dirty_begin(&d, 0, ~0ULL, true);
	while (rviommu_pgtable_read_dirty(&dom->pt, &d))
		cond_resched();
	if (d.leaf_lg2 && !rviommu_space_mutes(&dom->space, RVIOMMU_MUTATE_DIRTY_START))
		rviommu_dirty_invalidate(dom, &d);
}

/*
 * Pages first, then clean, so that the first bitmap has what was written to and not what is beside
 * it. Of leaves that there is no memory to split D stands for the whole.
 */
static void rviommu_dirty_start(struct rviommu_domain *dom)
{
	rviommu_pgtable_track(&dom->pt, RVIOMMU_TRACK_PAGES);
	rviommu_pgtable_demote(&dom->pt, 0, ~0ULL);
	rviommu_dirty_clear(dom);
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

/* Outside of all locks and RCU sections: memory of user space may have to be brought in. */
static void rviommu_dirty_record(struct iommu_dirty_bitmap *bitmap, const struct rviommu_dirty *d)
{
	unsigned int i;

	for (i = 0; i < d->nr; i++)
		iommu_dirty_bitmap_record(bitmap, d->runs[i].iova, d->runs[i].size);
}

/*
 * The caller invalidates what is in the gather, after this and perhaps after other ranges, all
 * at once. One range, at the stride of the smallest leaf in it.
 */
static void rviommu_dirty_gather(struct rviommu_domain *dom, const struct rviommu_dirty *d,
				 struct iommu_iotlb_gather *gather)
{
	const size_t size = BIT(d->leaf_lg2);

	if (!d->leaf_lg2 || rviommu_space_mutes(&dom->space, RVIOMMU_MUTATE_DIRTY_INVAL) ||
	    rviommu_space_mutes(&dom->space, RVIOMMU_MUTATE_DIRTY_EARLY))
		return;
	if (!gather) {
		rviommu_dirty_invalidate(dom, d);
		return;
	}
	if (!gather->pgsize || size < gather->pgsize)
		gather->pgsize = size;
	iommu_iotlb_gather_add_range(gather, d->cleared_first,
				     d->cleared_last - d->cleared_first + 1);
}

/* The wrong order, so that tests can show that they would notice. */
static void rviommu_dirty_early(struct rviommu_domain *dom)
{
	if (rviommu_space_mutes(&dom->space, RVIOMMU_MUTATE_DIRTY_EARLY))
		rviommu_invalidate_all(&dom->space);
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
	const bool clear = !(flags & IOMMU_DIRTY_NO_CLEAR);
	struct rviommu_dirty d;

	if (!size || !IS_ALIGNED(iova | size, RVIOMMU_PAGE_SIZE))
		return -EINVAL;
	if (!READ_ONCE(dom->pt.tracked))
		return bitmap->bitmap ? -EINVAL : 0;
	if (clear)
		rviommu_dirty_early(dom);
	rviommu_dirty_begin(&d, iova, iova + size - 1, clear);
	while (rviommu_pgtable_read_dirty(&dom->pt, &d)) {
		rviommu_dirty_record(bitmap, &d);
		cond_resched();
	}
	rviommu_dirty_gather(dom, &d, bitmap->gather);
	if (clear && d.largest_lg2 > RVIOMMU_PAGE_LG2)
		rviommu_pgtable_demote(&dom->pt, iova, iova + size - 1);
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
