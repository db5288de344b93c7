// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation: which IOMMUs may have cached translations of a domain, and
 * which commands make them forget.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <kunit/visibility.h>

#include "mem.h"
#include "rviommu.h"

/*
 * Commands for one range on an IOMMU that cannot invalidate ranges. More pages
 * than this, and forgetting the whole address space is cheaper for everybody.
 */
#define RVIOMMU_MAX_STRIDES	32

/* IOMMUs that one round issues commands to before it waits for their fences. */
#define RVIOMMU_ROUND		8

/**
 * struct rviommu_inval - what is to be forgotten of a domain
 * @iova: first byte
 * @last: last byte
 * @leaf_lg2: lg2 of the smallest leaf that was there
 * @nonleaf: links were cleared, so walk caches must forget too
 * @all: the whole address space; the others are not looked at
 */
struct rviommu_inval {
	u64 iova;
	u64 last;
	unsigned int leaf_lg2;
	bool nonleaf;
	bool all;
};

static struct rviommu_command rviommu_inval_space(const struct rviommu_domain *dom)
{
	return dom->pt.cfg.second_stage ? rviommu_cmd_iotinval_gvma(dom->gscid) :
					  rviommu_cmd_iotinval_vma(dom->pscid);
}

static unsigned int rviommu_inval_commands(const struct rviommu *iommu,
					   const struct rviommu_domain *dom,
					   const struct rviommu_inval *inval,
					   struct rviommu_command *cmds)
{
	struct rviommu_command space = rviommu_inval_space(dom);
	bool nonleaf = inval->nonleaf;
	unsigned int nr = 0;
	u64 strides;

	if (inval->all && rviommu_mutated(iommu, RVIOMMU_MUTATE_FLUSH_ALL))
		return 0;
	if (!inval->all && rviommu_mutated(iommu, RVIOMMU_MUTATE_IOTINVAL))
		return 0;
	if (nonleaf && rviommu_mutated(iommu, RVIOMMU_MUTATE_NONLEAF))
		nonleaf = false;

	cmds[0] = space;
	if (inval->all)
		return 1;

	/*
	 * A command with an address reaches leaves only (spec "IOTINVAL.VMA
	 * operands"). Links need the NL operand, over the whole range: an
	 * unlinked table may have had empty tables below it, anywhere.
	 */
	if (nonleaf && !(iommu->caps & RVIOMMU_CAP_NL && iommu->caps & RVIOMMU_CAP_S))
		return 1;

	if (iommu->caps & RVIOMMU_CAP_S) {
		unsigned int size_lg2 = max_t(unsigned int, fls64(inval->iova ^ inval->last),
					      RVIOMMU_PAGE_LG2);

		/* all-ones addresses are UNSPECIFIED (spec "Address Range Invalidation") */
		if (size_lg2 >= 64)
			return 1;
		cmds[0] = rviommu_cmd_with_range(space, inval->iova, size_lg2);
		if (nonleaf)
			cmds[0] = rviommu_cmd_with_nonleaf(cmds[0]);
		return 1;
	}

	if (inval->leaf_lg2 > RVIOMMU_PAGE_LG2 &&
	    test_bit(RVIOMMU_QUIRK_SMALL_IOTINVAL, &iommu->quirks))
		return 1;

	strides = (inval->last - inval->iova) >> inval->leaf_lg2;
	if (strides >= RVIOMMU_MAX_STRIDES)
		return 1;
	for (nr = 0; nr <= strides; nr++)
		cmds[nr] = rviommu_cmd_with_addr(space,
						 inval->iova + ((u64)nr << inval->leaf_lg2));
	return nr;
}

/* Out of line: unmaps of a domain that is attached nowhere do without its array. */
static noinline int rviommu_inval_issue(struct rviommu *iommu, const struct rviommu_domain *dom,
					const struct rviommu_inval *inval, u32 *fence)
{
	struct rviommu_command cmds[RVIOMMU_MAX_STRIDES];

	return rviommu_cmdq_issue(&iommu->cmdq, cmds,
				  rviommu_inval_commands(iommu, dom, inval, cmds), fence);
}

static void rviommu_inval_wait(struct rviommu **waiting, const u32 *fences, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		rviommu_cmdq_wait(&waiting[i]->cmdq, fences[i]);
}

/*
 * Make every IOMMU that may have cached translations of @dom forget @inval. On
 * return they have, or are out of service (their ddtp is Off): either way no
 * DMA uses what was there before, and DMA that already went through is visible
 * in memory (the fence orders it, PR and PW).
 *
 * Any context. Takes no lock but that of a command queue.
 */
static void rviommu_inval_targets(struct rviommu_domain *dom, const struct rviommu_inval *inval)
{
	const struct rviommu_targets *targets;
	struct rviommu *waiting[RVIOMMU_ROUND];
	u32 fences[RVIOMMU_ROUND];
	unsigned int i, nr = 0;

	/*
	 * Pairs with the barrier in rviommu_attach(): either this sees the new
	 * target, or the hardware's first walk sees the cleared entry.
	 */
	smp_mb();

	rcu_read_lock();
	targets = rcu_dereference(dom->targets);
	for (i = 0; targets && i < targets->nr; i++) {
		struct rviommu *iommu = targets->t[i].iommu;

		if (!READ_ONCE(targets->t[i].users))
			continue;
		if (nr == RVIOMMU_ROUND) {
			rviommu_inval_wait(waiting, fences, nr);
			nr = 0;
		}
		if (!rviommu_inval_issue(iommu, dom, inval, &fences[nr]) &&
		    !rviommu_mutated(iommu, RVIOMMU_MUTATE_UNMAP_WAIT))
			waiting[nr++] = iommu;
	}
	rviommu_inval_wait(waiting, fences, nr);
	rcu_read_unlock();
}

/**
 * rviommu_invalidate_range() - forget a range of a domain everywhere
 * @dom: the domain
 * @iova: first byte
 * @last: last byte
 * @leaf_lg2: lg2 of the smallest leaf removed, in bytes
 * @nonleaf: tables were unlinked in the range
 */
void rviommu_invalidate_range(struct rviommu_domain *dom, u64 iova, u64 last,
			      unsigned int leaf_lg2, bool nonleaf)
{
	struct rviommu_inval inval = {
		.leaf_lg2 = max_t(unsigned int, leaf_lg2, RVIOMMU_PAGE_LG2),
		.nonleaf = nonleaf,
	};

	/*
	 * A leaf of 64 KiB is sixteen entries. Hardware may cache each of them, and a
	 * command with an address forgets the one at that address (privileged
	 * architecture, "Svnapot": cached "for any or all j").
	 */
	if (inval.leaf_lg2 == RVIOMMU_NAPOT_LG2 &&
	    !rviommu_domain_mutated(dom, RVIOMMU_MUTATE_NAPOT_STRIDE))
		inval.leaf_lg2 = RVIOMMU_PAGE_LG2;
	/*
	 * From the beginning of a leaf, so that one command per leaf reaches the
	 * last one too.
	 */
	inval.iova = round_down(iova, 1ULL << inval.leaf_lg2);
	inval.last = last;
	rviommu_count(&dom->stats->syncs);
	rviommu_inval_targets(dom, &inval);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_invalidate_range);

/**
 * rviommu_invalidate_all() - forget everything of a domain, everywhere
 * @dom: the domain
 */
void rviommu_invalidate_all(struct rviommu_domain *dom)
{
	static const struct rviommu_inval inval = { .all = true };

	rviommu_count(&dom->stats->flushes);
	rviommu_inval_targets(dom, &inval);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_invalidate_all);

/**
 * rviommu_domain_mutes() - does a mutation run concern a domain?
 * @dom: the domain
 * @what: the step
 *
 * Return: true if an IOMMU that it is attached to shall leave @what out.
 */
bool rviommu_domain_mutes(const struct rviommu_domain *dom, enum rviommu_mutation what)
{
	const struct rviommu_targets *targets;
	bool mutes = false;
	unsigned int i;

	rcu_read_lock();
	targets = rcu_dereference(dom->targets);
	for (i = 0; targets && i < targets->nr; i++)
		if (READ_ONCE(targets->t[i].users))
			mutes |= rviommu_mutated(targets->t[i].iommu, what);
	rcu_read_unlock();
	return mutes;
}

static void rviommu_targets_free(struct rcu_head *rcu)
{
	rviommu_free(container_of(rcu, struct rviommu_targets, rcu));
}

/*
 * The entry of an IOMMU, in use or not. Of one that is not, @iommu is a number: the
 * IOMMU may be gone, and the one that is compared may be another at its address.
 */
static struct rviommu_target *rviommu_target_find(struct rviommu_targets *targets,
						  const struct rviommu *iommu)
{
	unsigned int i;

	for (i = 0; targets && i < targets->nr; i++)
		if (targets->t[i].iommu == iommu)
			return &targets->t[i];
	return NULL;
}

/**
 * rviommu_target_add() - invalidations of a domain go to this IOMMU too
 * @dom: the domain
 * @iommu: where it is about to be attached
 *
 * Counts: each add wants its rviommu_target_remove(). May sleep. Needs no memory where
 * the array has an entry of @iommu, in use or not.
 *
 * Return: 0 or -ENOMEM, with nothing changed.
 */
int rviommu_target_add(struct rviommu_domain *dom, struct rviommu *iommu)
{
	struct rviommu_targets *old, *new;
	struct rviommu_target *target;
	unsigned int i, used = 0;
	int ret = 0;

	mutex_lock(&dom->targets_lock);
	old = rcu_dereference_protected(dom->targets, lockdep_is_held(&dom->targets_lock));
	target = rviommu_target_find(old, iommu);
	if (target) {
		WRITE_ONCE(target->users, target->users + 1);
		goto unlock;
	}

	for (i = 0; old && i < old->nr; i++)
		used += !!old->t[i].users;
	new = rviommu_zalloc(struct_size(new, t, used + 1), GFP_KERNEL);
	if (!new) {
		ret = -ENOMEM;
		goto unlock;
	}
	new->nr = used + 1;
	used = 0;
	for (i = 0; old && i < old->nr; i++)
		if (old->t[i].users)
			new->t[used++] = old->t[i];
	new->t[used].iommu = iommu;
	new->t[used].users = 1;
	rcu_assign_pointer(dom->targets, new);
	if (old)
		call_rcu(&old->rcu, rviommu_targets_free);
unlock:
	mutex_unlock(&dom->targets_lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_add);

/**
 * rviommu_target_remove() - undo one rviommu_target_add()
 * @dom: the domain
 * @iommu: where it was attached; it has no cached translation of @dom any more,
 *         unless another attachment there remains
 *
 * Cannot fail: an entry with no users stays in the array and is passed over.
 */
void rviommu_target_remove(struct rviommu_domain *dom, struct rviommu *iommu)
{
	struct rviommu_target *target;

	mutex_lock(&dom->targets_lock);
	target = rviommu_target_find(rcu_dereference_protected(dom->targets,
							       lockdep_is_held(&dom->targets_lock)),
				     iommu);
	if (!WARN_ON(!target || !target->users))
		WRITE_ONCE(target->users, target->users - 1);
	mutex_unlock(&dom->targets_lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_remove);

/**
 * rviommu_context_commands() - what a changed device context owes
 * @iommu: the IOMMU
 * @update: the change, published
 * @cmds: room for %RVIOMMU_CONTEXT_COMMANDS commands
 *
 * Spec "Changing device directory table entry": the values tested are the old
 * ones.
 *
 * Return: number of commands written; 0 when nothing has to be forgotten.
 */
unsigned int rviommu_context_commands(struct rviommu *iommu,
				      const struct rviommu_ddt_update *update,
				      struct rviommu_command *cmds)
{
	u64 iohgatp = update->old.word[RVIOMMU_DC_IOHGATP];
	u64 tc = update->old.word[RVIOMMU_DC_TC];
	u64 fsc = update->old.word[RVIOMMU_DC_FSC];
	unsigned int nr = 0;

	switch (update->how) {
	case RVIOMMU_PUBLISH_NONE:
		return 0;
	case RVIOMMU_PUBLISH_VALID:
		if (!test_bit(RVIOMMU_QUIRK_NOTIFY_VALID, &iommu->quirks))
			return 0;
		cmds[nr++] = rviommu_cmd_inval_ddt(update->did);
		return nr;
	case RVIOMMU_PUBLISH_WORD:
	case RVIOMMU_PUBLISH_BREAK:
		cmds[nr++] = rviommu_cmd_inval_ddt(update->did);
		break;
	case RVIOMMU_PUBLISH_PAGE:
		cmds[nr++] = rviommu_mutated(iommu, RVIOMMU_MUTATE_DDT_LINKS) ?
			     rviommu_cmd_inval_ddt(update->did) : rviommu_cmd_inval_ddt_all();
		break;
	}
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_INVAL_DDT))
		nr = 0;
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_ATTACH_IOTINVAL))
		return nr;

	if (FIELD_GET(RVIOMMU_DC_IOHGATP_MODE, iohgatp) != RVIOMMU_ATP_MODE_BARE) {
		u16 gscid = FIELD_GET(RVIOMMU_DC_IOHGATP_GSCID, iohgatp);

		if (!rviommu_mutated(iommu, RVIOMMU_MUTATE_GUEST_VMA))
			cmds[nr++] = rviommu_cmd_iotinval_vma_gscid(gscid);
		if (!rviommu_mutated(iommu, RVIOMMU_MUTATE_GUEST_GVMA))
			cmds[nr++] = rviommu_cmd_iotinval_gvma(gscid);
	} else if (tc & RVIOMMU_DC_TC_PDTV) {
		cmds[nr++] = rviommu_cmd_iotinval_vma_all();
	} else if (FIELD_GET(RVIOMMU_FSC_MODE, fsc) != RVIOMMU_ATP_MODE_BARE) {
		u32 pscid = FIELD_GET(RVIOMMU_DC_TA_PSCID, update->old.word[RVIOMMU_DC_TA]);

		cmds[nr++] = rviommu_cmd_iotinval_vma(pscid);
	}
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_context_commands);
