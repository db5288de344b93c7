// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transaction by which requests of a device, without PASID or with one, get another domain.
 * Hitless: DMA in flight sees the old translation or the new one (but see directory.h for a
 * one-level DDT).
 *
 *   reserve  the attachment, and its place in the device's record
 *   enter    unmaps of the new domain reach the device from now on
 *   prepare  the new contexts; everything that can fail is over
 *   renew    what the IOTLB has of the new domain goes, if the device asks by itself
 *   publish  the new contexts are in force
 *   settle   what was cached of the old ones is gone, and DMA that used it has landed
 *   retire   replaced pages are given back
 *   record   the device's record says what its contexts say
 *   leave    unmaps of the old domain reach the device no more
 *
 * A device without PASIDs has its translation in its device context. With the first
 * PASID, that translation moves to PASID 0 of a process directory (DPE = 1: requests
 * without PASID go there), built complete and published with one store, and with
 * the last one it moves back. In between, what changes is one process context at a
 * time.
 *
 *   device context              process directory
 *   V=0                         -              requester IDs blocked, no PASID
 *   V=1, Bare                   -              identity
 *   V=1, iosatp or iohgatp      -              paging
 *   V=1, PDTV, DPE, pdtp  --->  PC 0           V=0, Bare or iosatp, as above
 *                               PC n           the domain of PASID n
 *
 * Who excludes whom: whoever changes something of a device holds its lock; all writers of
 * directories hold ddt.lock of the IOMMU inside, from reserve to leave, so that a copied page
 * misses nothing, and who shares a space is known. What waits for the device alone, its ATS, is
 * done before or after. Hardware, unmap and debugfs hold nothing.
 */
#include "ats.h"
#include "attachment.h"
#include "back.h"
#include "change.h"
#include "cmdq.h"
#include "context.h"
#include "directory.h"
#include "endpoint.h"
#include "mem.h"
#include "mutate.h"
#include "pasid.h"
#include "rviommu.h"
#include "space.h"
#include "trace.h"

static int rviommu_change_reserve(struct rviommu_change *c)
{
	const bool rid = c->pasid == IOMMU_NO_PASID;

	if (c->from && c->new == c->from->domain)
		c->to = c->from;
	else if (rviommu_is_blocked(c->new))
		c->to = rid ? &c->ep->blocked : NULL;
	else
		c->to = rviommu_attachment_get(c->ep, c->pasid, c->new,
					       c->must && (rid || c->from));
	if (!c->to)
		return rviommu_is_blocked(c->new) ? 0 : -ENOMEM;
	return rid || c->from ? 0 : rviommu_xa_reserve(&c->ep->pasids, c->pasid);
}

static int rviommu_change_enter(struct rviommu_change *c)
{
	if (c->to && c->to != c->from) {
		rviommu_attachment_link(c->to);
		c->entered = true;
	}
	return 0;
}

/* Before anything was published: as if it had not begun. */
static void rviommu_change_undo(struct rviommu_change *c)
{
	if (c->pasid != IOMMU_NO_PASID && !c->from)
		xa_release(&c->ep->pasids, c->pasid);
	if (c->entered)
		rviommu_attachment_unlink(c->to);
	if (c->to && c->to != c->from)
		rviommu_attachment_put(c->to);
}

/* ----- Prepare ----- */

/* Is another device attached to what a requester ID of @ep uses? */
static bool rviommu_others_use(const struct rviommu_endpoint *ep, u32 id)
{
	struct rviommu_endpoint *other;
	unsigned int i;

	lockdep_assert_held(&ep->iommu->endpoints_lock);

	list_for_each_entry(other, &ep->iommu->endpoints, node)
		for (i = 0; other != ep && i < other->nr_ids; i++)
			if (other->ids[i] == id &&
			    !rviommu_is_blocked(rviommu_attached_domain(other, IOMMU_NO_PASID)))
				return true;
	return false;
}

/* All device contexts of the device: what its requester IDs use, or its directory. */
static int rviommu_prepare_devices(struct rviommu_change *c, const struct rviommu_attachment *rid,
				   u64 pdtp)
{
	struct rviommu_endpoint *ep = c->ep;
	struct rviommu_dc dc = rviommu_make_dc(ep, rid, pdtp);
	unsigned int i, nr = 0;
	int ret;

	for (i = 0; i < ep->nr_ids; i++) {
		if (c->keep_shared && rviommu_others_use(ep, ep->ids[i]))
			continue;
		ep->updates[nr++] = (struct rviommu_dir_update){
			.id = ep->ids[i], .lost = &ep->lost, .must = c->must, .new.dc = dc,
		};
	}
	ret = rviommu_dir_prepare(&ep->iommu->ddt.dir, ep->updates, nr);
	if (!ret)
		c->nr_devices = nr;
	return ret;
}

/* Does not fail, nor need memory, if they shall use nothing. */
static int rviommu_prepare_process(struct rviommu_change *c)
{
	struct rviommu_dir *dir = &c->ep->pdt.dir;
	u64 *root;
	int ret;

	c->process[0] = (struct rviommu_dir_update){
		.id = c->pasid, .must = c->must, .new.pc = rviommu_make_pc(c->to),
	};
	ret = rviommu_dir_prepare(dir, c->process, 1);
	if (ret)
		return ret;
	c->nr_process = 1;
	/* With one level the entry that points to the page is DC.fsc: one word. */
	root = rviommu_dir_new_root(c->process, 1);
	if (!root)
		return 0;
	ret = rviommu_prepare_devices(c, NULL, rviommu_pdt_pdtp(dir->levels, root));
	if (ret) {
		rviommu_dir_abort(dir, c->process, 1);
		c->nr_process = 0;
	}
	return ret;
}

/* Does another device have one of the IDs? Its requests would use our directory. */
static bool rviommu_shares_ids(struct rviommu_endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_did *did = xa_load(&ep->iommu->dids, ep->ids[i]);

		if (did && did->users > 1)
			return true;
	}
	return false;
}

static int rviommu_prepare_expand(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;
	struct rviommu_dir *dir = &ep->pdt.dir;
	int ret;

	if (rviommu_shares_ids(ep))
		return -EBUSY;
	ret = rviommu_pdt_init(&ep->pdt, &ep->iommu->ddt, rviommu_pasid_levels(ep), ep->ids[0],
			       ep->nr_ids > 1);
	if (ret)
		return ret;
	c->process[0] = (struct rviommu_dir_update){
		.new.pc = rviommu_make_pc(rviommu_attached(ep, IOMMU_NO_PASID)),
	};
	c->process[1] = (struct rviommu_dir_update){
		.id = c->pasid, .new.pc = rviommu_make_pc(c->to),
	};
	/* One process context changes at a time. */
	ret = rviommu_dir_reserve(dir, 1);
	/* Nobody sees them yet: that is all there is to do. */
	if (!ret)
		ret = rviommu_dir_prepare(dir, c->process, 2);
	if (!ret)
		ret = rviommu_prepare_devices(c, NULL, rviommu_pdt_pdtp(dir->levels, dir->root));
	if (ret)
		rviommu_dir_destroy(dir);
	return ret;
}

/* Is @pasid the only one? */
static bool rviommu_last_pasid(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	unsigned long index = 0;
	void *first = xa_find(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);

	return first && index == pasid &&
	       !xa_find_after(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);
}

static enum rviommu_change_kind rviommu_change_kind(const struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;

	if (c->pasid == IOMMU_NO_PASID)
		return ep->pdt.dir.root ? RVIOMMU_CHANGE_PROCESS : RVIOMMU_CHANGE_DEVICE;
	if (!ep->pdt.dir.root)
		return RVIOMMU_CHANGE_EXPAND;
	return !c->to && rviommu_last_pasid(ep, c->pasid) ? RVIOMMU_CHANGE_COLLAPSE :
							     RVIOMMU_CHANGE_PROCESS;
}

static int rviommu_prepare_kind(struct rviommu_change *c)
{
	int ret = 0;

	switch (c->kind) {
	case RVIOMMU_CHANGE_DEVICE:
		ret = rviommu_prepare_devices(c, c->to, 0);
		break;
	case RVIOMMU_CHANGE_PROCESS:
		ret = rviommu_prepare_process(c);
		break;
	case RVIOMMU_CHANGE_EXPAND:
		ret = rviommu_prepare_expand(c);
		break;
	case RVIOMMU_CHANGE_COLLAPSE:
		c->must = true;
		ret = rviommu_prepare_devices(c, rviommu_attached(c->ep, IOMMU_NO_PASID), 0);
		break;
	}
	return ret;
}

/* ----- Publish, settle, retire ----- */

/*
 * The device is about to ask for translations of the new domain, which has it among its targets
 * now. A request is answered from the IOTLB, which other devices of the same space have
 * warmed; so that order of targets and context which suffices for walks does not for an
 * ATC: an unmap that has read the targets before this device was there may have its IOTINVAL
 * still before it, and tells the device nothing. What the IOTLB has at this moment goes,
 * and whoever clears an entry from now on finds the device.
 *
 * Without other users it has nothing: the last one to leave took it along.
 */
static int rviommu_change_renew(struct rviommu_change *c)
{
	struct rviommu *iommu = c->ep->iommu;
	struct rviommu_command cmd;

	if (c->to == c->from || !rviommu_attachment_space(c->to) || !READ_ONCE(c->ep->ats.on) ||
	    !rviommu_attachment_shares(c->to))
		return 0;
	cmd = rviommu_space_command(c->to->space);
	/* Queueing is a full barrier behind the targets. -EIO: nothing is translated any more. */
	rviommu_cmdq_sync(&iommu->cmdq, &cmd, 1);
	return 0;
}

static void rviommu_change_trace(const struct rviommu_endpoint *ep, bool process,
				 const struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i;

	if (!trace_rviommu_publish_enabled())
		return;
	for (i = 0; i < nr; i++)
		if (updates[i].how != RVIOMMU_PUBLISH_NONE)
			trace_rviommu_publish(ep->iommu->bus, ep->name, process, &updates[i]);
}

static int rviommu_change_publish(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;

	if (c->kind == RVIOMMU_CHANGE_EXPAND)
		ep->pdt.dir.live = true;
	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	c->published = true;
	if (c->nr_process)
		rviommu_dir_publish(&ep->pdt.dir, c->process, c->nr_process);
	rviommu_dir_publish(&ep->iommu->ddt.dir, ep->updates, c->nr_devices);
	rviommu_change_trace(ep, true, c->process, c->nr_process);
	rviommu_change_trace(ep, false, ep->updates, c->nr_devices);
	return 0;
}

static bool rviommu_any_published(const struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (updates[i].how != RVIOMMU_PUBLISH_NONE)
			return true;
	return false;
}

/*
 * The old domain's translations end with a process directory that goes, and with a device that is
 * in quarantine: the device context tells neither.
 */
static int rviommu_change_settle(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;
	struct rviommu_owed owed = { .ep = ep, .process = c->kind == RVIOMMU_CHANGE_PROCESS };
	const struct rviommu_space *left = rviommu_attachment_space(c->from);
	bool published;

	if (owed.process) {
		published = rviommu_any_published(c->process, c->nr_process);
		if (published)
			rviommu_owe_process(&owed, c->process, left);
	} else {
		published = rviommu_any_published(ep->updates, c->nr_devices);
		rviommu_owe_devices(&owed, ep->updates, c->nr_devices, left);
		if (READ_ONCE(ep->lost))
			rviommu_owe_space(&owed, left);
	}
	if (published || owed.nr_spaces)
		c->error = rviommu_owed_settle(&owed, c->pasid);
	return 0;
}

static int rviommu_change_retire(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;

	rviommu_dir_retire(&ep->iommu->ddt.dir, ep->updates, c->nr_devices);
	if (c->nr_process)
		rviommu_dir_retire(&ep->pdt.dir, c->process, c->nr_process);
	if (c->kind == RVIOMMU_CHANGE_COLLAPSE)
		rviommu_dir_retire_all(&ep->pdt.dir);
	return 0;
}

static int rviommu_change_prepare(struct rviommu_change *c)
{
	c->kind = rviommu_change_kind(c);
	return rviommu_prepare_kind(c);
}

/* ----- Records ----- */

static int rviommu_change_record(struct rviommu_change *c)
{
	struct iommu_domain *left = c->from ? c->from->domain : NULL;
	struct rviommu_endpoint *ep = c->ep;

	if (c->pasid == IOMMU_NO_PASID) {
		rcu_assign_pointer(ep->attached, c->to);
		/* From one way of being blocked to another nobody goes back. */
		if (c->to != c->from && !(rviommu_is_blocked(c->new) && rviommu_is_blocked(left)))
			rviommu_back_set(&ep->back, IOMMU_NO_PASID, left);
	} else if (c->to) {
		/* Cannot fail: the entry is there. */
		xa_store(&ep->pasids, c->pasid, c->to, GFP_KERNEL);
		rviommu_back_set(&ep->pasid_back, c->pasid, left);
	} else {
		xa_erase(&ep->pasids, c->pasid);
	}
	return 0;
}

static int rviommu_change_leave(struct rviommu_change *c)
{
	if (c->from && c->to != c->from)
		rviommu_attachment_unlink(c->from);
	return 0;
}

/* ----- The order ----- */

#define RVIOMMU_CHANGE_STEPS	10

/**
 * struct rviommu_change_order - steps, in their order
 * @wrong: the mutation run that takes this order; not of the first one
 * @release: only when the device goes
 * @step: each returns an error, which matters up to publish only; ends with NULL
 *
 * An error before publish undoes all steps.
 */
struct rviommu_change_order {
	enum rviommu_mutation wrong;
	bool release;
	int (*step[RVIOMMU_CHANGE_STEPS])(struct rviommu_change *c);
};

/* The right one, and wrong ones: so that tests can show that they would notice. */
static const struct rviommu_change_order rviommu_change_orders[] = {
	{
		.step = {
			rviommu_change_reserve, rviommu_change_enter, rviommu_change_prepare,
			rviommu_change_renew, rviommu_change_publish, rviommu_change_settle,
			rviommu_change_retire, rviommu_change_record, rviommu_change_leave,
		},
	},
#ifdef CONFIG_RVIOMMU_DEBUG
	{
		.wrong = RVIOMMU_MUTATE_TARGET_LATE,
		.step = {
			rviommu_change_reserve, rviommu_change_prepare, rviommu_change_publish,
			rviommu_change_settle, rviommu_change_retire, rviommu_change_enter,
			rviommu_change_record, rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_TARGET_EARLY,
		.step = {
			rviommu_change_reserve, rviommu_change_leave, rviommu_change_enter,
			rviommu_change_prepare, rviommu_change_renew, rviommu_change_publish,
			rviommu_change_settle, rviommu_change_retire, rviommu_change_record,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_RETIRE_PAGE,
		.step = {
			rviommu_change_reserve, rviommu_change_enter, rviommu_change_prepare,
			rviommu_change_renew, rviommu_change_publish, rviommu_change_retire,
			rviommu_change_settle, rviommu_change_record, rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_ATS_RENEW,
		.step = {
			rviommu_change_reserve, rviommu_change_enter, rviommu_change_prepare,
			rviommu_change_publish, rviommu_change_settle, rviommu_change_retire,
			rviommu_change_record, rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_RELEASE,
		.release = true,
		.step = { rviommu_change_reserve, rviommu_change_record, rviommu_change_leave },
	},
#endif
};

static const struct rviommu_change_order *rviommu_change_order(const struct rviommu_change *c)
{
	unsigned int i;

	for (i = 1; i < ARRAY_SIZE(rviommu_change_orders); i++)
		if (rviommu_mutated(c->ep->iommu, rviommu_change_orders[i].wrong) &&
		    (c->keep_shared || !rviommu_change_orders[i].release))
			return &rviommu_change_orders[i];
	return &rviommu_change_orders[0];
}

/* All steps, or none: false. */
static bool rviommu_change_run(struct rviommu_change *c)
{
	const struct rviommu_change_order *order = rviommu_change_order(c);
	unsigned int i;
	int ret;

	guard(mutex)(&c->ep->iommu->ddt.lock);
	for (i = 0; order->step[i]; i++) {
		ret = order->step[i](c);
		if (ret && !c->published) {
			rviommu_change_undo(c);
			c->error = ret;
			return false;
		}
	}
	return true;
}

/* Do the device's contexts go invalid, all of them? Then it may not use ATS any more. */
static bool rviommu_change_silences(const struct rviommu_change *c)
{
	if (!rviommu_is_blocked(c->new))
		return false;
	if (c->pasid == IOMMU_NO_PASID)
		return xa_empty(&c->ep->pasids);
	return rviommu_is_blocked(rviommu_attached_domain(c->ep, IOMMU_NO_PASID)) &&
	       rviommu_last_pasid(c->ep, c->pasid);
}

/**
 * rviommu_change() - requests of a device get another domain
 * @c: which, and what; the device's lock is held
 *
 * Return: what became of it.
 */
enum rviommu_outcome rviommu_change(struct rviommu_change *c)
{
	lockdep_assert_held(&c->ep->lock);
	c->from = rviommu_attached(c->ep, c->pasid);
	/* Cannot be refused then. */
	if (rviommu_change_silences(c))
		rviommu_ats_disable(c->ep);
	if (!rviommu_change_run(c))
		return RVIOMMU_CHANGE_REFUSED;
	if (c->from && c->to != c->from)
		rviommu_attachment_put(c->from);
	return c->error ? RVIOMMU_CHANGE_OUT : RVIOMMU_CHANGE_DONE;
}

/**
 * rviommu_change_contexts() - what a device's own state says in its contexts is new
 * @ep: the device; it has no PASIDs. Its lock is held.
 *
 * Its requester IDs go on with what they are attached to.
 *
 * Return: what became of it.
 */
enum rviommu_outcome rviommu_change_contexts(struct rviommu_endpoint *ep)
{
	struct iommu_domain *domain = rviommu_attached_domain(ep, IOMMU_NO_PASID);
	struct rviommu_change c = { .ep = ep, .pasid = IOMMU_NO_PASID, .new = domain };

	/* Contexts that are invalid say nothing. */
	return rviommu_is_blocked(domain) ? RVIOMMU_CHANGE_DONE : rviommu_change(&c);
}
