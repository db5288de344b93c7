// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation: which commands make IOMMUs, and devices, forget what they may have cached of
 * an address space.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/rculist.h>
#include <linux/srcu.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "atc.h"
#include "attachment.h"
#include "cmdq.h"
#include "command.h"
#include "endpoint.h"
#include "filter.h"
#include "invalidate.h"
#include "mutate.h"
#include "quirks.h"
#include "rviommu.h"
#include "space.h"

/*
 * Commands for one range on an IOMMU that cannot invalidate ranges. More pages
 * than this, and forgetting the whole address space is cheaper for everybody.
 */
#define RVIOMMU_MAX_STRIDES	32

/* IOMMUs that one round issues commands to before it waits for their fences. */
#define RVIOMMU_ROUND		8

/*
 * Whoever invalidates: it keeps the targets that he found, with their IOMMUs and devices, alive
 * until the last fence has completed. Not plain RCU: a queue may be restarted meanwhile, and a
 * device may take its minute to answer, which is more than a grace period may.
 *
 * Who frees one of them waits for plain RCU, too, for those who only have a look.
 */
DEFINE_STATIC_SRCU(rviommu_inval_srcu);

/**
 * rviommu_inval_begin() - somebody invalidates, and the targets that he finds stay
 *
 * Context: any.
 * Return: for rviommu_inval_end().
 */
int rviommu_inval_begin(void)
	__acquires(&rviommu_inval_srcu)
{
	return srcu_read_lock(&rviommu_inval_srcu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inval_begin);

/**
 * rviommu_inval_end() - he waits for nothing any more
 * @section: from rviommu_inval_begin()
 */
void rviommu_inval_end(int section)
	__releases(&rviommu_inval_srcu)
{
	srcu_read_unlock(&rviommu_inval_srcu, section);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inval_end);

/**
 * rviommu_inval_synchronize() - wait for those who invalidate
 *
 * Whoever had read the targets of a space before this was called has no fence left to wait for.
 */
void rviommu_inval_synchronize(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_inval_synchronize);
	synchronize_srcu(&rviommu_inval_srcu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inval_synchronize);

/**
 * rviommu_inval_call() - call a function when nobody invalidates any more what was there
 * @rcu: in what is about to be freed
 * @func: called from a context that cannot sleep
 */
void rviommu_inval_call(struct rcu_head *rcu, rcu_callback_t func)
{
	call_srcu(&rviommu_inval_srcu, rcu, func);
}

/**
 * rviommu_inval_barrier() - all that was given to rviommu_inval_call() was called
 */
void rviommu_inval_barrier(void)
{
	srcu_barrier(&rviommu_inval_srcu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inval_barrier);

static unsigned int rviommu_inval_commands(const struct rviommu *iommu,
					   struct rviommu_command space,
					   const struct rviommu_inval *what,
					   struct rviommu_command *cmds)
{
	const struct rviommu_inval inval = rviommu_filter_inval(iommu, *what);
	unsigned int nr;
	u64 strides;

	cmds[0] = space;
	if (inval.why == RVIOMMU_WHY_FLUSH)
		return 1;

	/*
	 * A command with an address reaches leaves only (spec "IOTINVAL.VMA
	 * operands"). Links need the NL operand, over the whole range: an
	 * unlinked table may have had empty tables below it, anywhere.
	 */
	if (inval.nonleaf && !(iommu->caps & RVIOMMU_CAP_NL && iommu->caps & RVIOMMU_CAP_S))
		return 1;

	if (iommu->caps & RVIOMMU_CAP_S) {
		unsigned int size_lg2 = max_t(unsigned int, fls64(inval.iova ^ inval.last),
					      RVIOMMU_PAGE_LG2);

		/* all-ones addresses are UNSPECIFIED (spec "Address Range Invalidation") */
		if (size_lg2 >= 64)
			return 1;
		cmds[0] = rviommu_cmd_with_range(space, inval.iova, size_lg2);
		if (inval.nonleaf)
			cmds[0] = rviommu_cmd_with_nonleaf(cmds[0]);
		return 1;
	}

	if (inval.stride_lg2 > RVIOMMU_PAGE_LG2 &&
	    test_bit(RVIOMMU_QUIRK_SMALL_IOTINVAL, &iommu->quirks))
		return 1;

	strides = (inval.last - inval.iova) >> inval.stride_lg2;
	if (strides >= RVIOMMU_MAX_STRIDES)
		return 1;
	for (nr = 0; nr <= strides; nr++)
		cmds[nr] = rviommu_cmd_with_addr(space,
						 inval.iova + ((u64)nr << inval.stride_lg2));
	return nr;
}

/* Out of line: unmaps of a space that is attached nowhere do without its array. */
static noinline int rviommu_inval_issue(struct rviommu *iommu, const struct rviommu_space *space,
					const struct rviommu_inval *inval, u32 *fence)
{
	struct rviommu_command cmds[RVIOMMU_MAX_STRIDES];
	unsigned int nr = rviommu_inval_commands(iommu, rviommu_space_command(space), inval, cmds);

	nr = rviommu_filter(iommu, inval->why, cmds, nr);
	return rviommu_cmdq_issue_atomic(&iommu->cmdq, cmds, nr, fence);
}

/**
 * struct rviommu_atc_batch - Invalidation Requests for devices behind one IOMMU
 * @cmds: room for a barrier, then the commands
 * @eps: the device that each is for
 * @nr: entries of @eps
 */
struct rviommu_atc_batch {
	struct rviommu_command cmds[1 + RVIOMMU_ATS_SEGMENT];
	const struct rviommu_endpoint *eps[RVIOMMU_ATS_SEGMENT];
	unsigned int nr;
};

/* Is there room for one more, in the batch and in the device's queue? */
static bool rviommu_atc_fits(const struct rviommu *iommu, const struct rviommu_atc_batch *batch,
			     const struct rviommu_endpoint *ep)
{
	unsigned int i, outstanding = 0;

	if (batch->nr == rviommu_cmdq_ats_segment(&iommu->cmdq))
		return false;
	for (i = 0; i < batch->nr; i++)
		outstanding += batch->eps[i]->ats.shared == ep->ats.shared;
	return outstanding < ep->ats.depth;
}

static struct rviommu_command rviommu_atc_command(const struct rviommu_attachment *t,
						  const struct rviommu_inval *inval)
{
	struct rviommu_command cmd = rviommu_cmd_ats_inval(t->ep->ats.rid, t->ep->ats.seg);

	if (t->pasid != IOMMU_NO_PASID)
		cmd = rviommu_cmd_with_pasid(cmd, t->pasid);
	if (inval->why == RVIOMMU_WHY_FLUSH)
		return cmd;
	return rviommu_cmd_with_atc_range(cmd, inval->iova,
					  max_t(unsigned int, fls64(inval->iova ^ inval->last),
						RVIOMMU_PAGE_LG2));
}

/*
 * Behind a barrier, so that they come after the IOMMU's own caches (spec "Device Address
 * Translation Cache invalidations": else the ATC could be filled from there again) and after
 * all earlier ones.
 */
static void rviommu_atc_issue(struct rviommu *iommu, struct rviommu_atc_batch *batch,
			      enum rviommu_why why, u32 *fence)
{
	unsigned int nr;

	batch->cmds[0] = rviommu_cmd_barrier();
	nr = rviommu_filter(iommu, why, batch->cmds, 1 + batch->nr);
	rviommu_cmdq_issue_atomic(&iommu->cmdq, batch->cmds, nr, fence);
	batch->nr = 0;
}

/*
 * Has the device of a target to be asked? @fence is behind the IOTINVAL. One that sleeps might
 * wake up before that is executed, and fill its cache from the IOTLB again: what it remembers is
 * taken from it when the IOTLB has forgotten.
 */
static bool rviommu_inval_asks(const struct rviommu_endpoint *ep, u32 fence)
{
	if (!READ_ONCE(ep->ats.on))
		return false;
	if (!rviommu_ats_away(ep))
		return true;
	rviommu_cmdq_wait_atomic(&ep->iommu->cmdq, fence);
	return rviommu_ats_asks(ep);
}

/* The first target that is visited, or the one behind @t; NULL: there is none. */
static struct rviommu_attachment *rviommu_inval_next(const struct rviommu_space *space,
						     const struct rviommu_attachment *t)
{
	struct list_head *next = rcu_dereference_check(list_next_rcu(t ? &t->target :
								     &space->targets),
						       srcu_read_lock_held(&rviommu_inval_srcu));

	return next == &space->targets ? NULL : list_entry(next, struct rviommu_attachment, target);
}

/*
 * Invalidation Requests to the devices behind an IOMMU, whose targets begin with @t. Returns
 * the first target that is not theirs; *@fence becomes the last fence, which stays as it is
 * if there was nothing to send.
 */
static noinline struct rviommu_attachment *
rviommu_inval_devices(const struct rviommu_space *space, struct rviommu_attachment *t,
		      const struct rviommu_inval *inval, u32 *fence)
{
	struct rviommu *iommu = t->ep->iommu;
	struct rviommu_atc_batch batch = {};

	for (; t && t->ep->iommu == iommu; t = rviommu_inval_next(space, t)) {
		if (!rviommu_inval_asks(t->ep, *fence))
			continue;
		if (!rviommu_atc_fits(iommu, &batch, t->ep))
			rviommu_atc_issue(iommu, &batch, inval->why, fence);
		batch.eps[batch.nr++] = t->ep;
		batch.cmds[batch.nr] = rviommu_atc_command(t, inval);
	}
	if (batch.nr)
		rviommu_atc_issue(iommu, &batch, inval->why, fence);
	return t;
}

/*
 * The target behind those of the same IOMMU as @t. Most IOMMUs have one, of a device without
 * a cache of its own.
 */
static struct rviommu_attachment *rviommu_inval_behind(const struct rviommu_space *space,
						       struct rviommu_attachment *t,
						       const struct rviommu_inval *inval,
						       u32 *fence)
{
	const struct rviommu *iommu = t->ep->iommu;
	struct rviommu_attachment *next = rviommu_inval_next(space, t);

	if (READ_ONCE(t->ep->ats.on) || (next && next->ep->iommu == iommu))
		return rviommu_inval_devices(space, t, inval, fence);
	return next;
}

static void rviommu_inval_wait(struct rviommu **waiting, const u32 *fences, unsigned int nr,
			       enum rviommu_why why)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		rviommu_cmdq_wait_atomic(&waiting[i]->cmdq,
					 rviommu_filter_awaited(waiting[i], why, fences[i]));
}

/*
 * Make the IOMMUs and devices of @space forget @inval. Out of line: unmaps of a space that is
 * attached nowhere do without the arrays.
 */
static noinline void rviommu_inval_rounds(const struct rviommu_space *space,
					  const struct rviommu_inval *inval)
{
	struct rviommu *waiting[RVIOMMU_ROUND];
	struct rviommu_attachment *t;
	u32 fences[RVIOMMU_ROUND];
	unsigned int nr = 0;
	int section = rviommu_inval_begin();

	t = rviommu_inval_next(space, NULL);
	while (t) {
		struct rviommu *iommu = t->ep->iommu;
		bool dead;

		if (nr == RVIOMMU_ROUND) {
			rviommu_inval_wait(waiting, fences, nr, inval->why);
			nr = 0;
		}
		fences[nr] = 0;
		dead = rviommu_inval_issue(iommu, space, inval, &fences[nr]);
		waiting[nr] = iommu;
		t = rviommu_inval_behind(space, t, inval, &fences[nr]);
		if (!dead)
			nr++;
	}
	rviommu_inval_wait(waiting, fences, nr, inval->why);
	rviommu_inval_end(section);
}

/*
 * Make every IOMMU that may have cached translations of @space forget @inval. On
 * return they have, or are out of service (their ddtp is Off): either way no
 * DMA uses what was there before, and DMA that already went through is visible
 * in memory (the fence orders it, PR and PW).
 *
 * Any context. Takes no lock but that of a command queue.
 */
static __always_inline void rviommu_inval_targets(const struct rviommu_space *space,
						  const struct rviommu_inval *inval)
{
	/*
	 * Pairs with the barriers before a context is published (change.c, ats.c): either this
	 * sees the new target, or the hardware's first walk sees the cleared entry.
	 */
	smp_mb();

	/* A look, for those that are attached nowhere. */
	if (!list_empty(&space->targets))
		rviommu_inval_rounds(space, inval);
}

/*
 * A leaf of 64 KiB is sixteen entries. Hardware may cache each of them, and a
 * command with an address forgets the one at that address (privileged
 * architecture, "Svnapot": cached "for any or all j").
 */
static unsigned int rviommu_inval_stride(unsigned int leaf_lg2)
{
	return leaf_lg2 == RVIOMMU_NAPOT_LG2 ? RVIOMMU_PAGE_LG2 : leaf_lg2;
}

/**
 * rviommu_invalidate_range() - forget a range of an address space everywhere
 * @space: the space
 * @iova: first byte
 * @last: last byte
 * @leaf_lg2: lg2 of the smallest leaf removed, in bytes
 * @nonleaf: tables were unlinked in the range
 */
void rviommu_invalidate_range(const struct rviommu_space *space, u64 iova, u64 last,
			      unsigned int leaf_lg2, bool nonleaf)
{
	struct rviommu_inval inval = {
		.why = RVIOMMU_WHY_UNMAP,
		.last = last,
		.leaf_lg2 = max_t(unsigned int, leaf_lg2, RVIOMMU_PAGE_LG2),
		.nonleaf = nonleaf,
	};

	inval.stride_lg2 = rviommu_inval_stride(inval.leaf_lg2);
	/*
	 * From the beginning of a leaf, so that one command per leaf reaches the
	 * last one too.
	 */
	inval.iova = round_down(iova, 1ULL << inval.stride_lg2);
	rviommu_inval_targets(space, &inval);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_invalidate_range);

/**
 * rviommu_invalidate_link() - forget a link to a table everywhere
 * @space: the space
 * @iova: first byte of what the table maps
 * @size_lg2: lg2 of its size, which is that of the leaf that will take its place
 */
void rviommu_invalidate_link(const struct rviommu_space *space, u64 iova, unsigned int size_lg2)
{
	const struct rviommu_inval inval = {
		.why = RVIOMMU_WHY_LINK,
		.iova = iova,
		.last = iova + (1ULL << size_lg2) - 1,
		.leaf_lg2 = size_lg2,
		.stride_lg2 = rviommu_inval_stride(size_lg2),
		.nonleaf = true,
	};

	rviommu_inval_targets(space, &inval);
}

/**
 * rviommu_invalidate_all() - forget everything of an address space, everywhere
 * @space: the space
 */
void rviommu_invalidate_all(const struct rviommu_space *space)
{
	static const struct rviommu_inval inval = { .why = RVIOMMU_WHY_FLUSH };

	rviommu_inval_targets(space, &inval);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_invalidate_all);
