// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be attached to requests of a device, where the IOMMU or the device is out of
 * service, too. How it is done is in change.c.
 */
#include <kunit/visibility.h>

#include "ats.h"
#include "attach.h"
#include "attachment.h"
#include "back.h"
#include "change.h"
#include "compat.h"
#include "directory.h"
#include "endpoint.h"
#include "iopf.h"
#include "pri.h"
#include "rviommu.h"
#include "space.h"

/**
 * rviommu_attach_reserve() - have all memory that the first attach needs
 * @ep: the device, nothing is attached yet
 *
 * The core does not accept that the first attach of a device fails, even for want
 * of memory, nor any that leads back. Called with ddt.lock held.
 *
 * Return: 0, or an error of rviommu_dir_prepare().
 */
int rviommu_attach_reserve(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	unsigned int i;
	int ret;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_dir_update update = {
			.id = ep->ids[i], .lost = &ep->lost, .reserve = true,
		};
		struct rviommu_dc dc;

		/* Another device may be using a shared ID already. */
		if (rviommu_ddt_read(&iommu->ddt, ep->ids[i], &dc))
			continue;
		ret = rviommu_dir_prepare(&iommu->ddt.dir, &update, 1);
		if (ret)
			return ret;
		/* Empty tables: entries that become valid owe no invalidation. */
		rviommu_dir_publish(&iommu->ddt.dir, &update, 1);
		rviommu_dir_retire(&iommu->ddt.dir, &update, 1);
	}
	return rviommu_dir_reserve(&iommu->ddt.dir,
				   rviommu_dir_leaf_pages(&iommu->ddt.dir, ep->ids, ep->nr_ids));
}

/**
 * rviommu_attach_without_ats() - a device has to do without ATS from now on
 * @ep: the device; it has no PASIDs
 *
 * It goes on with what it is attached to, unless it goes: see rviommu_detach_begin(). Only the
 * word tc of its contexts changes, for which no memory is needed, and no request that EN_ATS is
 * for is under way then.
 */
void rviommu_attach_without_ats(struct rviommu_endpoint *ep)
{
	guard(mutex)(&ep->lock);
	if (!ep->ats.usable)
		return;
	rviommu_iopf_give_up(ep);
	rviommu_ats_disable(ep);
	WRITE_ONCE(ep->ats.usable, false);
	WARN_ON(rviommu_change_contexts(ep) == RVIOMMU_CHANGE_REFUSED);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach_without_ats);

/* ----- Page requests ----- */

/* Does an attachment handle those of its requests? */
static bool rviommu_handles_faults(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	const struct rviommu_attachment *a = rviommu_attached(ep, pasid);

	return a && a->faults;
}

/**
 * struct rviommu_handover - requests get another domain, and page requests with them
 * @c: which, and what
 * @had: somebody handled page requests before
 * @has: somebody does afterwards
 * @outcome: what became of @c
 */
struct rviommu_handover {
	struct rviommu_change *c;
	bool had;
	bool has;
	enum rviommu_outcome outcome;
};

/*
 * Does it lead back to where the core takes no refusal? It does if the core has noted the domain
 * already. Cores that know nothing of resets note some before they attach them for the first time:
 * there it is nowhere that the requests come from.
 */
static bool rviommu_is_taken_back(const struct rviommu_change *c)
{
	return rviommu_attachment_is_noted(c->ep, c->pasid, c->new) &&
	       (rviommu_core_blocks_resets() || c->must);
}

/* A queue that was given up brings nobody a request. */
static int rviommu_handover_come(struct rviommu_handover *h)
{
	struct rviommu_endpoint *ep = h->c->ep;

	if (!h->has)
		return 0;
	if (!READ_ONCE(ep->iommu->pageq.running) && !h->c->must && !rviommu_is_taken_back(h->c))
		return -ENODEV;
	return rviommu_iopf_get(ep, rviommu_is_taken_back(h->c));
}

/*
 * A request that finds an invalid context is answered with a failure by the IOMMU (spec
 * "PCIe ATS Page Request handling"), which ends the interface. So it goes off before.
 */
static int rviommu_handover_off(struct rviommu_handover *h)
{
	if (h->had && rviommu_is_blocked(h->c->new) && h->c->ep->pri.users == 1)
		rviommu_pri_disable(h->c->ep);
	return 0;
}

static int rviommu_handover_change(struct rviommu_handover *h)
{
	h->outcome = rviommu_change(h->c);
	if (h->outcome != RVIOMMU_CHANGE_REFUSED)
		return 0;
	if (h->has)
		rviommu_iopf_put(h->c->ep);
	return h->c->error;
}

static int rviommu_handover_go(struct rviommu_handover *h)
{
	if (h->had && h->has)
		rviommu_iopf_replaced(h->c->ep);
	else if (h->had)
		rviommu_iopf_quiet(h->c->ep, h->c->pasid);
	if (h->had)
		rviommu_iopf_put(h->c->ep);
	if (h->has)
		rviommu_attachment_made(rviommu_attached(h->c->ep, h->c->pasid));
	return 0;
}

#define RVIOMMU_HANDOVER_STEPS	4

typedef int (*rviommu_handover_step)(struct rviommu_handover *h);

/* The right order, and a wrong one: so that tests can show that they would notice. */
static const rviommu_handover_step rviommu_handover_order[RVIOMMU_HANDOVER_STEPS] = {
	rviommu_handover_come, rviommu_handover_off, rviommu_handover_change, rviommu_handover_go,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static const rviommu_handover_step rviommu_handover_off_late[RVIOMMU_HANDOVER_STEPS] = {
	rviommu_handover_come, rviommu_handover_change, rviommu_handover_off, rviommu_handover_go,
};

static const rviommu_handover_step *rviommu_handover_steps(const struct rviommu *iommu)
{
	return rviommu_mutated(iommu, RVIOMMU_MUTATE_PRI_OFF) ? rviommu_handover_off_late :
								 rviommu_handover_order;
}
#else
static const rviommu_handover_step *rviommu_handover_steps(const struct rviommu *iommu)
{
	return rviommu_handover_order;
}
#endif

/*
 * Requests of a device get another domain, or none, and page requests with them: who handles
 * them is there before, and what had handled them is left alone afterwards. Replaced by another
 * handler it goes on with what it has.
 */
static enum rviommu_outcome rviommu_change_handler(struct rviommu_change *c)
{
	struct rviommu_handover h = {
		.c = c, .had = rviommu_handles_faults(c->ep, c->pasid),
		.has = c->new && c->new->iopf_handler,
	};
	const rviommu_handover_step *steps = rviommu_handover_steps(c->ep->iommu);
	unsigned int i;
	int ret;

	for (i = 0; i < RVIOMMU_HANDOVER_STEPS; i++) {
		ret = steps[i](&h);
		if (ret) {
			c->error = ret;
			return RVIOMMU_CHANGE_REFUSED;
		}
	}
	return h.outcome;
}

/*
 * After a change: the device may use ATS, and page requests if somebody handles them. Where the
 * core takes no refusal a device that cannot be switched on, maybe because it has been pulled
 * out, goes on without.
 */
static int rviommu_attach_start(const struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;
	int ret;

	/* The first one may have made the context valid. */
	rviommu_ats_enable(ep);
	ret = ep->pri.users ? rviommu_iopf_start(ep) : 0;
	if (!ret || !rviommu_is_taken_back(c))
		return ret;
	dev_warn(ep->dev, "its page requests cannot be switched on again (%d)\n", ret);
	return 0;
}

/*
 * The way back of a change that was made, and is not to be: that the device's own enables fail is
 * known only when its context is valid. Refused it cannot be: memory for it is laid aside, and
 * the core's queue is there if somebody had handled page requests.
 */
static void rviommu_attach_undo(struct rviommu_endpoint *ep, ioasid_t pasid,
				struct iommu_domain *old)
{
	struct rviommu_change undo = { .ep = ep, .pasid = pasid, .new = old, .must = true };

	WARN_ON(rviommu_change_handler(&undo) == RVIOMMU_CHANGE_REFUSED);
}

/* ----- Out of service ----- */

/**
 * enum rviommu_verdict - what becomes of an attach
 * @RVIOMMU_VERDICT_CHANGE: it is done
 * @RVIOMMU_VERDICT_KEEP: success, and nothing is to be done
 * @RVIOMMU_VERDICT_BLOCK: success, and the requests are blocked: by the driver's record, too,
 *                         because the core frees what they used before
 * @RVIOMMU_VERDICT_REFUSE: -EIO
 */
enum rviommu_verdict {
	RVIOMMU_VERDICT_CHANGE,
	RVIOMMU_VERDICT_KEEP,
	RVIOMMU_VERDICT_BLOCK,
	RVIOMMU_VERDICT_REFUSE,
};

/* Is the IOMMU out of service, or the device, for good? */
static bool rviommu_out(struct rviommu_endpoint *ep)
{
	rviommu_ats_take_back(ep);
	return rviommu_is_dead(ep->iommu) || READ_ONCE(ep->lost);
}

/* Do requests go to where the core may send them back to, and takes no refusal? */
static bool rviommu_goes_back(struct rviommu_endpoint *ep, ioasid_t pasid,
			      const struct iommu_domain *new)
{
	if (pasid != IOMMU_NO_PASID)
		return rviommu_back_leads_to(&ep->pasid_back, pasid, new);
	/*
	 * Its own default domain, the domain before this one, and this one: a core may attach that
	 * once more when the next one was refused.
	 */
	return new->type != IOMMU_DOMAIN_UNMANAGED ||
	       new == rviommu_attached_domain(ep, pasid) ||
	       rviommu_back_leads_to(&ep->back, pasid, new);
}

/*
 * Where nothing is translated any more. What is there already stays: the core attaches it again
 * after a reset, when the blocking domain is what it says was there before. The way back ends
 * blocked; anything else is refused.
 */
static enum rviommu_verdict rviommu_judge(struct rviommu_endpoint *ep, ioasid_t pasid,
					  const struct iommu_domain *new,
					  const struct iommu_domain *said)
{
	if (!rviommu_out(ep))
		return RVIOMMU_VERDICT_CHANGE;
	if (pasid == IOMMU_NO_PASID ? new == rviommu_attached_domain(ep, pasid) :
				      said && rviommu_is_blocked(said))
		return RVIOMMU_VERDICT_KEEP;
	return rviommu_goes_back(ep, pasid, new) ? RVIOMMU_VERDICT_BLOCK :
						   RVIOMMU_VERDICT_REFUSE;
}

/* Cannot fail, for the core has nothing else to fall back on. */
static void rviommu_block(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	struct rviommu_change c = { .ep = ep, .pasid = pasid };

	if (pasid == IOMMU_NO_PASID || rviommu_attached(ep, pasid))
		WARN_ON(rviommu_change_handler(&c) == RVIOMMU_CHANGE_REFUSED);
}

/* ----- Requester IDs ----- */

static bool rviommu_is_second_stage(const struct rviommu_space *space)
{
	return space && space->second_stage;
}

/* 0, or why not */
static int rviommu_attach_rid(struct rviommu_endpoint *ep, struct iommu_domain *new)
{
	struct rviommu_change c = {
		.ep = ep, .pasid = IOMMU_NO_PASID, .new = new,
		.must = rviommu_goes_back(ep, IOMMU_NO_PASID, new),
	};
	struct iommu_domain *old = rviommu_attached_domain(ep, IOMMU_NO_PASID);
	const struct rviommu_space *space = rviommu_space_of(new);
	int ret = 0;

	if (space)
		ret = rviommu_space_compatible(space, ep->iommu);
	if (!ret && !xa_empty(&ep->pasids) && rviommu_is_second_stage(space))
		ret = -EBUSY;
	if (ret)
		return ret;
	switch (rviommu_change_handler(&c)) {
	case RVIOMMU_CHANGE_REFUSED:
		return c.error;
	case RVIOMMU_CHANGE_OUT:
		/* Everything is blocked, and the new domain is as good as the old. */
		return 0;
	case RVIOMMU_CHANGE_DONE:
		break;
	}
	ret = rviommu_attach_start(&c);
	if (ret)
		rviommu_attach_undo(ep, IOMMU_NO_PASID, old);
	return ret;
}

/* ----- PASIDs ----- */

static int rviommu_pasid_possible(struct rviommu_endpoint *ep, ioasid_t pasid,
				  struct iommu_domain *new)
{
	const struct rviommu_space *space = rviommu_space_of(new);

	if (!ep->max_pasids)
		return -EOPNOTSUPP;
	if (pasid == IOMMU_NO_PASID || pasid >= ep->max_pasids)
		return -EINVAL;
	if (!space)
		return 0;
	/* With a Bare second stage, and not the other way round. */
	if (space->second_stage)
		return -EINVAL;
	return rviommu_space_compatible(space, ep->iommu);
}

/* 0, or why not */
static int rviommu_attach_process(struct rviommu_endpoint *ep, ioasid_t pasid,
				  struct iommu_domain *new, struct iommu_domain *said)
{
	struct rviommu_attachment *rid = rviommu_attached(ep, IOMMU_NO_PASID);
	struct iommu_domain *old = rviommu_attached_domain(ep, pasid);
	struct rviommu_change c = {
		.ep = ep, .pasid = pasid, .new = new,
		.must = rviommu_goes_back(ep, pasid, new),
	};
	int ret = 0;

	/* The core does not know of a PASID that could not be attached again. */
	WARN_ONCE(old && said && said != old,
		  "%s: the core's record of PASID %u is not ours\n", ep->name, pasid);
	if (rviommu_is_second_stage(rviommu_attachment_space(rid)))
		return -EBUSY;
	if (new == old)
		return 0;
	switch (rviommu_change_handler(&c)) {
	case RVIOMMU_CHANGE_REFUSED:
		return c.error;
	case RVIOMMU_CHANGE_OUT:
		ret = -EIO;
		break;
	case RVIOMMU_CHANGE_DONE:
		ret = rviommu_attach_start(&c);
		break;
	}
	/* The core's record stays as it is when it is told so. */
	if (ret)
		rviommu_attach_undo(ep, pasid, old);
	return ret;
}

/* ----- What the core asks for ----- */

/* Attach or replace, as far as there is something that translates; 0, or why not. */
static int rviommu_attach_requests(struct rviommu_endpoint *ep, ioasid_t pasid,
				   struct iommu_domain *new, struct iommu_domain *said)
{
	int ret = 0;

	guard(mutex)(&ep->lock);
	switch (rviommu_judge(ep, pasid, new, said)) {
	case RVIOMMU_VERDICT_KEEP:
		break;
	case RVIOMMU_VERDICT_REFUSE:
		ret = -EIO;
		break;
	case RVIOMMU_VERDICT_BLOCK:
		rviommu_block(ep, pasid);
		break;
	case RVIOMMU_VERDICT_CHANGE:
		ret = pasid == IOMMU_NO_PASID ? rviommu_attach_rid(ep, new) :
						rviommu_attach_process(ep, pasid, new, said);
		break;
	}
	return ret;
}

/**
 * rviommu_attach() - attach or replace what all requester IDs of a device use
 * @ep: the device
 * @new: identity, blocking, or a paging domain of this driver
 *
 * The old domain stays in force until the new one is. May sleep.
 *
 * The way back needs no memory: to the core's own default domain, and to the domain before
 * this one, when another device of the group could not follow.
 *
 * On an IOMMU that is out of service everything is blocked, because ddtp is Off, and
 * so is everything of a device that is lost. There the way back is open, to the core's own
 * default domain and to the domain before this one: the core knows no error
 * there, and frees the other domain in any case. So @ep lets go of that one, and is
 * blocked by the driver's record, too. Nobody else's domain is accepted any
 * more, but the current one is: the core attaches it again after a reset. A lost
 * device is in service again when it was blocked completely, see rviommu_ats_take_back().
 *
 * Return: 0, always for the blocking domain; -EINVAL if the IOMMU cannot use
 * @new; -EBUSY if PASIDs are attached, which exclude a second-stage @new; -ENOMEM; -EIO
 * if the IOMMU or the device is out of service. On error the old attachment is as it
 * was.
 */
int rviommu_attach(struct rviommu_endpoint *ep, struct iommu_domain *new)
{
	if (rviommu_is_blocked(new)) {
		guard(mutex)(&ep->lock);
		rviommu_block(ep, IOMMU_NO_PASID);
		return 0;
	}
	return rviommu_attach_requests(ep, IOMMU_NO_PASID, new, NULL);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach);

/**
 * rviommu_attach_pasid() - attach or replace what a PASID of a device uses
 * @ep: the device
 * @pasid: the PASID
 * @new: identity, or a first-stage paging domain
 * @old: what the core says is attached; NULL: nothing, or it does not say
 *
 * As rviommu_attach(): the old domain stays in force until the new one is; after
 * the return no cache holds anything of the old one for this PASID. The driver's own
 * record decides what the old one is. May sleep.
 *
 * The way back to the domain before this one needs no memory, as in rviommu_attach().
 *
 * After a reset the core attaches what was there, with the blocking domain as @old, and
 * takes no refusal, nor does it on the way back: where the IOMMU is out of service nothing is
 * attached, nor translated, and that is no error then.
 *
 * Return: 0; -EOPNOTSUPP if the device or the IOMMU has no PASIDs; -EINVAL if it
 * has not this one, or if it cannot use @new: a second-stage domain, or one of a
 * format that the IOMMU has not; -EBUSY if the requester IDs exclude PASIDs, because
 * they use a second-stage domain or are another device's, too; -ENOMEM; -EIO if the
 * IOMMU or the device is out of service. On error the old attachment is as it was.
 */
int rviommu_attach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid, struct iommu_domain *new,
			 struct iommu_domain *old)
{
	int ret = rviommu_pasid_possible(ep, pasid, new);

	return ret ?: rviommu_attach_requests(ep, pasid, new, old);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach_pasid);

/**
 * rviommu_detach_pasid() - block a PASID
 * @ep: the device
 * @pasid: the PASID; nothing happens if nothing is attached to it
 *
 * Cannot fail: a process context becomes invalid in one word. On return no cache, of
 * the IOMMU or of the device, holds anything of the PASID.
 */
void rviommu_detach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	guard(mutex)(&ep->lock);
	rviommu_block(ep, pasid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_pasid);

/* ----- Release ----- */

/**
 * rviommu_detach_begin() - nothing of a device that goes has to be waited for any more
 * @ep: the device; the core will not attach it again
 *
 * Neither who handles its page requests, nor the device itself, which is asked to forget while
 * its context is valid. Not under a lock of others, as what follows is.
 */
void rviommu_detach_begin(struct rviommu_endpoint *ep)
{
	guard(mutex)(&ep->lock);
	rviommu_iopf_stop(ep);
	rviommu_ats_disable(ep);
	WRITE_ONCE(ep->ats.usable, false);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_begin);

/**
 * rviommu_detach_release() - block what only this device uses, before it goes
 * @ep: the device; the core will not attach it again
 *
 * A requester ID that another device has too (a PCI alias) keeps its context:
 * that device goes on. Called with endpoints_lock held. Cannot fail: a context
 * becomes invalid in one word.
 */
void rviommu_detach_release(struct rviommu_endpoint *ep)
{
	struct rviommu_change c = { .ep = ep, .pasid = IOMMU_NO_PASID, .keep_shared = true };
	struct rviommu_attachment *a;
	unsigned long pasid;

	lockdep_assert_held(&ep->iommu->endpoints_lock);
	guard(mutex)(&ep->lock);
	/* The core removes them before it releases the device. */
	WARN_ON(!xa_empty(&ep->pasids));
	xa_for_each(&ep->pasids, pasid, a) {
		struct rviommu_change drop = { .ep = ep, .pasid = pasid };

		rviommu_change_handler(&drop);
	}
	xa_destroy(&ep->pasids);
	WARN_ON(rviommu_change_handler(&c) == RVIOMMU_CHANGE_REFUSED);
	rviommu_back_set(&ep->back, IOMMU_NO_PASID, NULL);
	rviommu_back_set(&ep->pasid_back, IOMMU_NO_PASID, NULL);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_release);
