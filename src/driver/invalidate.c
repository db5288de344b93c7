// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation: which IOMMUs may have cached translations of a domain, and
 * which commands make them forget.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/srcu.h>
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
 * Whoever had read the targets of a domain before this was called has no fence left to wait for.
 */
void rviommu_inval_synchronize(void)
{
	synchronize_srcu(&rviommu_inval_srcu);
}

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

static unsigned int rviommu_inval_commands(const struct rviommu *iommu,
					   const struct rviommu_domain *dom,
					   const struct rviommu_inval *inval,
					   struct rviommu_command *cmds)
{
	struct rviommu_command space = rviommu_space_command(dom);
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

/**
 * struct rviommu_atc_batch - Invalidation Requests for devices behind one IOMMU
 * @cmds: a barrier, so that they come after the IOMMU's own caches (spec "Device
 *        Address Translation Cache invalidations": else the ATC could be filled from
 *        there again) and after all earlier ones, then the commands
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

static struct rviommu_command rviommu_atc_command(const struct rviommu_target *t,
						  const struct rviommu_inval *inval)
{
	struct rviommu_command cmd = rviommu_cmd_ats_inval(t->ep->ats.rid, t->ep->ats.seg);

	if (t->pasid != IOMMU_NO_PASID)
		cmd = rviommu_cmd_with_pasid(cmd, t->pasid);
	if (inval->all)
		return cmd;
	return rviommu_cmd_with_atc_range(cmd, inval->iova,
					  max_t(unsigned int, fls64(inval->iova ^ inval->last),
						RVIOMMU_PAGE_LG2));
}

/*
 * Invalidation Requests to the devices behind @iommu, whose entries begin at
 * @first. Returns the first entry that is not theirs; *@fence becomes the last fence,
 * which stays as it is if there was nothing to send.
 */
static noinline unsigned int rviommu_inval_devices(struct rviommu *iommu,
						   const struct rviommu_targets *targets,
						   unsigned int first,
						   const struct rviommu_inval *inval, u32 *fence)
{
	const unsigned int skip = rviommu_mutated(iommu, RVIOMMU_MUTATE_ATS_ORDER);
	struct rviommu_atc_batch batch = { .cmds = { rviommu_cmd_barrier() } };
	unsigned int i;

	for (i = first; i < targets->nr && targets->t[i].ep; i++) {
		const struct rviommu_target *t = &targets->t[i];

		if (!READ_ONCE(t->users) || !rviommu_ats_asks(t->ep) ||
		    rviommu_mutated(iommu, RVIOMMU_MUTATE_ATS_INVAL))
			continue;
		if (!rviommu_atc_fits(iommu, &batch, t->ep)) {
			rviommu_cmdq_issue(&iommu->cmdq, batch.cmds + skip, 1 + batch.nr - skip,
					   fence);
			batch.nr = 0;
		}
		batch.eps[batch.nr++] = t->ep;
		batch.cmds[batch.nr] = rviommu_atc_command(t, inval);
	}
	if (batch.nr)
		rviommu_cmdq_issue(&iommu->cmdq, batch.cmds + skip, 1 + batch.nr - skip, fence);
	return i;
}

static void rviommu_inval_wait(struct rviommu **waiting, const u32 *fences, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		rviommu_cmdq_wait(&waiting[i]->cmdq, fences[i]);
}

/* The next IOMMU from entry @i on where the domain is in use; the end if there is none. */
static unsigned int rviommu_inval_next(const struct rviommu_targets *targets, unsigned int i)
{
	/* A device's is in use only if its IOMMU's is. */
	while (i < targets->nr && (targets->t[i].ep || !READ_ONCE(targets->t[i].users)))
		i++;
	return i;
}

/*
 * Make the IOMMUs and devices of @dom forget @inval. Out of line: unmaps of a domain that is
 * attached nowhere do without the arrays.
 */
static noinline void rviommu_inval_rounds(struct rviommu_domain *dom,
					  const struct rviommu_inval *inval)
{
	struct rviommu *waiting[RVIOMMU_ROUND];
	const struct rviommu_targets *targets;
	u32 fences[RVIOMMU_ROUND];
	unsigned int i, nr = 0;
	int section = rviommu_inval_begin();

	targets = srcu_dereference(dom->targets, &rviommu_inval_srcu);
	for (i = rviommu_inval_next(targets, 0); i < targets->nr;
	     i = rviommu_inval_next(targets, i)) {
		struct rviommu *iommu = targets->t[i++].iommu;

		if (nr == RVIOMMU_ROUND) {
			rviommu_inval_wait(waiting, fences, nr);
			nr = 0;
		}
		if (rviommu_inval_issue(iommu, dom, inval, &fences[nr]))
			continue;
		waiting[nr] = iommu;
		if (i < targets->nr && targets->t[i].ep)
			i = rviommu_inval_devices(iommu, targets, i, inval, &fences[nr]);
		if (!rviommu_mutated(iommu, RVIOMMU_MUTATE_UNMAP_WAIT))
			nr++;
	}
	rviommu_inval_wait(waiting, fences, nr);
	rviommu_inval_end(section);
}

/*
 * Make every IOMMU that may have cached translations of @dom forget @inval. On
 * return they have, or are out of service (their ddtp is Off): either way no
 * DMA uses what was there before, and DMA that already went through is visible
 * in memory (the fence orders it, PR and PW).
 *
 * Any context. Takes no lock but that of a command queue.
 */
static __always_inline void rviommu_inval_targets(struct rviommu_domain *dom,
						  const struct rviommu_inval *inval)
{
	const struct rviommu_targets *targets;
	bool used;

	/*
	 * Pairs with the barriers before a context is published (change.c, ats.c): either this
	 * sees the new target, or the hardware's first walk sees the cleared entry.
	 */
	smp_mb();

	/* A look, for those that are attached nowhere. */
	rcu_read_lock();
	targets = rcu_dereference(dom->targets);
	used = targets && rviommu_inval_next(targets, 0) < targets->nr;
	rcu_read_unlock();
	if (used)
		rviommu_inval_rounds(dom, inval);
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

static void rviommu_targets_drop(struct rcu_head *rcu)
{
	call_rcu(rcu, rviommu_targets_free);
}

/*
 * The entry of a cache, in use or not. Of one that is not, the pointers are numbers:
 * what they pointed to may be gone, and what is compared another at its address.
 */
static struct rviommu_target *rviommu_target_find(struct rviommu_targets *targets,
						  const struct rviommu_target *what)
{
	unsigned int i;

	for (i = 0; targets && i < targets->nr; i++) {
		struct rviommu_target *t = &targets->t[i];

		if (t->iommu == what->iommu && t->ep == what->ep && t->pasid == what->pasid)
			return t;
	}
	return NULL;
}

/* Where @what goes in @targets to keep its order. */
static unsigned int rviommu_target_place(const struct rviommu_targets *targets,
					 const struct rviommu_target *what)
{
	unsigned int i, place = targets->nr;

	if (!what->ep)
		return place;
	for (i = 0; i < targets->nr; i++) {
		if (targets->t[i].iommu != what->iommu)
			continue;
		place = i + 1;
		/* Behind the last of the same device, else of the same IOMMU. */
		if (targets->t[i].ep == what->ep &&
		    (place == targets->nr || targets->t[place].ep != what->ep))
			break;
	}
	return place;
}

/* Protects every struct rviommu_back, and rviommu_domain.backs. */
static DEFINE_MUTEX(rviommu_backs_lock);

/**
 * rviommu_back_set() - where requests of a device can be sent back to
 * @back: of @ep
 * @ep: the device
 * @pasid: which requests
 * @domain: to this domain; NULL: nowhere
 */
void rviommu_back_set(struct rviommu_back *back, struct rviommu_endpoint *ep, ioasid_t pasid,
		      struct iommu_domain *domain)
{
	mutex_lock(&rviommu_backs_lock);
	if (rviommu_domain_is_paging(back->domain))
		list_del(&back->node);
	*back = (struct rviommu_back){ .ep = ep, .pasid = pasid, .domain = domain };
	if (rviommu_domain_is_paging(domain))
		list_add(&back->node, &to_rviommu_domain(domain)->backs);
	mutex_unlock(&rviommu_backs_lock);
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
	bool leads;

	mutex_lock(&rviommu_backs_lock);
	leads = domain && back->pasid == pasid && back->domain == domain;
	mutex_unlock(&rviommu_backs_lock);
	return leads;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_back_leads_to);

/**
 * rviommu_back_forget() - no way leads to a domain any more
 * @dom: the domain, about to be freed
 */
void rviommu_back_forget(struct rviommu_domain *dom)
{
	struct rviommu_back *back, *next;

	mutex_lock(&rviommu_backs_lock);
	list_for_each_entry_safe(back, next, &dom->backs, node) {
		list_del(&back->node);
		back->domain = NULL;
	}
	mutex_unlock(&rviommu_backs_lock);
}

/*
 * Has an entry to stay, although it may not be in use? Of one that is not, the pointers
 * are numbers: a way back has the numbers of those that exist. rviommu_backs_lock is held.
 */
static bool rviommu_target_stays(const struct rviommu_domain *dom, const struct rviommu_target *t)
{
	const struct rviommu_back *back;

	if (t->users)
		return true;
	list_for_each_entry(back, &dom->backs, node)
		if (t->iommu == back->ep->iommu &&
		    (!t->ep || (t->ep == back->ep && t->pasid == back->pasid)))
			return true;
	return false;
}

static int rviommu_target_get(struct rviommu_domain *dom, const struct rviommu_target *what)
{
	struct rviommu_targets *old, *new;
	struct rviommu_target *target;
	unsigned int i, place, used = 0;
	int ret = 0;

	mutex_lock(&dom->targets_lock);
	old = rcu_dereference_protected(dom->targets, lockdep_is_held(&dom->targets_lock));
	target = rviommu_target_find(old, what);
	if (target) {
		WRITE_ONCE(target->users, target->users + 1);
		goto unlock;
	}

	mutex_lock(&rviommu_backs_lock);
	for (i = 0; old && i < old->nr; i++)
		used += rviommu_target_stays(dom, &old->t[i]);
	new = rviommu_zalloc(struct_size(new, t, used + 1), GFP_KERNEL);
	if (!new) {
		ret = -ENOMEM;
		goto unlock_backs;
	}
	new->nr = used + 1;
	used = 0;
	for (i = 0; old && i < old->nr; i++)
		if (rviommu_target_stays(dom, &old->t[i]))
			new->t[used++] = old->t[i];
	new->nr = used;
	place = rviommu_target_place(new, what);
	new->nr = used + 1;
	memmove(&new->t[place + 1], &new->t[place], (used - place) * sizeof(new->t[0]));
	new->t[place] = *what;
	new->t[place].users = 1;
	rcu_assign_pointer(dom->targets, new);
	if (old)
		rviommu_inval_call(&old->rcu, rviommu_targets_drop);
unlock_backs:
	mutex_unlock(&rviommu_backs_lock);
unlock:
	mutex_unlock(&dom->targets_lock);
	return ret;
}

static void rviommu_target_put(struct rviommu_domain *dom, const struct rviommu_target *what)
{
	struct rviommu_target *target;

	mutex_lock(&dom->targets_lock);
	target = rviommu_target_find(rcu_dereference_protected(dom->targets,
							       lockdep_is_held(&dom->targets_lock)),
				     what);
	if (!WARN_ON(!target || !target->users))
		WRITE_ONCE(target->users, target->users - 1);
	mutex_unlock(&dom->targets_lock);
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
	return rviommu_target_get(dom, &(struct rviommu_target){ .iommu = iommu });
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_add);

/**
 * rviommu_target_remove() - undo one rviommu_target_add()
 * @dom: the domain
 * @iommu: where it was attached; it has no cached translation of @dom any more,
 *         unless another attachment there remains
 *
 * Cannot fail: an entry with no users stays in the array and is passed over, until another
 * is added and no way back needs it.
 */
void rviommu_target_remove(struct rviommu_domain *dom, struct rviommu *iommu)
{
	rviommu_target_put(dom, &(struct rviommu_target){ .iommu = iommu });
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_remove);

/**
 * rviommu_target_add_device() - invalidations of a domain go where a device caches it
 * @dom: the domain
 * @ep: the device: its IOMMU, and its ATC if it has one
 * @pasid: what the domain is about to be attached to; IOMMU_NO_PASID: its requester IDs
 *
 * As rviommu_target_add().
 *
 * Return: 0 or -ENOMEM, with nothing changed.
 */
int rviommu_target_add_device(struct rviommu_domain *dom, struct rviommu_endpoint *ep,
			      ioasid_t pasid)
{
	struct rviommu_target atc = { .iommu = ep->iommu, .ep = ep, .pasid = pasid };
	int ret;

	ret = rviommu_target_add(dom, ep->iommu);
	if (ret || !ep->ats.usable)
		return ret;
	ret = rviommu_target_get(dom, &atc);
	if (ret)
		rviommu_target_remove(dom, ep->iommu);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_add_device);

/**
 * rviommu_target_is_shared() - is a domain attached to an IOMMU more than once?
 * @dom: the domain
 * @iommu: where
 *
 * Under ddt.lock of @iommu, under which attachments there come and go.
 *
 * Return: true if it is.
 */
bool rviommu_target_is_shared(struct rviommu_domain *dom, struct rviommu *iommu)
{
	const struct rviommu_target *target;
	bool shared;

	mutex_lock(&dom->targets_lock);
	target = rviommu_target_find(rcu_dereference_protected(dom->targets,
							       lockdep_is_held(&dom->targets_lock)),
				     &(struct rviommu_target){ .iommu = iommu });
	shared = target && target->users > 1;
	mutex_unlock(&dom->targets_lock);
	return shared;
}

/**
 * rviommu_target_remove_atc() - a device caches nothing of a domain any more, nor will it
 * @dom: the domain, which stays attached
 * @ep: the device; its ATS is off
 * @pasid: what it is attached to
 */
void rviommu_target_remove_atc(struct rviommu_domain *dom, struct rviommu_endpoint *ep,
			       ioasid_t pasid)
{
	struct rviommu_target atc = { .iommu = ep->iommu, .ep = ep, .pasid = pasid };

	rviommu_target_put(dom, &atc);
}

/**
 * rviommu_target_remove_device() - undo one rviommu_target_add_device()
 * @dom: the domain
 * @ep: the device
 * @pasid: what it was attached to
 *
 * An unmap that runs at this moment may still send the device an Invalidation
 * Request; after rviommu_inval_synchronize() none does.
 */
void rviommu_target_remove_device(struct rviommu_domain *dom, struct rviommu_endpoint *ep,
				  ioasid_t pasid)
{
	if (ep->ats.usable)
		rviommu_target_remove_atc(dom, ep, pasid);
	rviommu_target_remove(dom, ep->iommu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_target_remove_device);

