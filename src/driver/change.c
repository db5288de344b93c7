// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transaction by which requests of a device, without PASID or with one, get another domain.
 * Hitless: DMA in flight sees the old translation or the new one (but see directory.h for a
 * one-level DDT).
 *
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
 * Who excludes whom: all writers hold ddt.lock of the IOMMU from prepare to retire.
 * Hardware, unmap and debugfs hold nothing.
 */
#include "change.h"
#include "mem.h"
#include "rviommu.h"

/* Do the requests get a paging domain that they do not have yet? */
static bool rviommu_change_enters(const struct rviommu_change *c)
{
	return c->new != c->old && rviommu_domain_is_paging(c->new);
}

static int rviommu_change_enter(struct rviommu_change *c)
{
	int ret = 0;

	if (c->pasid != IOMMU_NO_PASID && c->new && !c->old)
		ret = rviommu_xa_reserve(&c->ep->pasids, c->pasid);
	if (!ret && rviommu_change_enters(c)) {
		ret = rviommu_target_add_device(to_rviommu_domain(c->new), c->ep, c->pasid);
		c->entered = !ret;
	}
	return ret;
}

static void rviommu_change_unenter(struct rviommu_change *c)
{
	if (c->pasid != IOMMU_NO_PASID && !c->old)
		xa_release(&c->ep->pasids, c->pasid);
	if (c->entered)
		rviommu_target_remove_device(to_rviommu_domain(c->new), c->ep, c->pasid);
	c->entered = false;
}

/* ----- Prepare ----- */

/* Is another device attached to what a requester ID of @ep uses? ddt.lock is held. */
static bool rviommu_others_use(const struct rviommu_endpoint *ep, u32 id)
{
	const struct rviommu_endpoint *other;
	unsigned int i;

	list_for_each_entry(other, &ep->iommu->endpoints, node)
		for (i = 0; other != ep && !rviommu_is_blocked(other->domain) &&
		     i < other->nr_ids; i++)
			if (other->ids[i] == id)
				return true;
	return false;
}

/* All device contexts of the device: a domain's, or a directory's. */
static int rviommu_prepare_devices(struct rviommu_change *c, struct iommu_domain *domain,
				   u64 pdtp)
{
	struct rviommu_endpoint *ep = c->ep;
	struct rviommu_dc dc = rviommu_endpoint_dc(ep, domain, pdtp);
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
		.id = c->pasid, .must = c->must, .new.pc = rviommu_make_pc(c->new),
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

static int rviommu_prepare_expand(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;
	struct rviommu_dir *dir = &ep->pdt.dir;
	int ret;

	ret = rviommu_pdt_init(&ep->pdt, &ep->iommu->ddt, rviommu_pasid_levels(ep), ep->ids[0],
			       ep->nr_ids > 1);
	if (ret)
		return ret;
	c->process[0] = (struct rviommu_dir_update){ .new.pc = rviommu_make_pc(ep->domain) };
	c->process[1] = (struct rviommu_dir_update){
		.id = c->pasid, .new.pc = rviommu_make_pc(c->new),
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
	void *domain = xa_find(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);

	return domain && index == pasid &&
	       !xa_find_after(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);
}

static enum rviommu_change_kind rviommu_change_kind(const struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;

	if (c->pasid == IOMMU_NO_PASID)
		return ep->pdt.dir.root ? RVIOMMU_CHANGE_PROCESS : RVIOMMU_CHANGE_DEVICE;
	if (!ep->pdt.dir.root)
		return RVIOMMU_CHANGE_EXPAND;
	return !c->new && rviommu_last_pasid(ep, c->pasid) ? RVIOMMU_CHANGE_COLLAPSE :
							     RVIOMMU_CHANGE_PROCESS;
}

static int rviommu_prepare_kind(struct rviommu_change *c)
{
	int ret = 0;

	switch (c->kind) {
	case RVIOMMU_CHANGE_DEVICE:
		ret = rviommu_prepare_devices(c, c->new, 0);
		break;
	case RVIOMMU_CHANGE_PROCESS:
		ret = rviommu_prepare_process(c);
		break;
	case RVIOMMU_CHANGE_EXPAND:
		ret = rviommu_prepare_expand(c);
		break;
	case RVIOMMU_CHANGE_COLLAPSE:
		c->must = true;
		ret = rviommu_prepare_devices(c, c->ep->domain, 0);
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

	if (!rviommu_change_enters(c) || !READ_ONCE(c->ep->ats.on) ||
	    !rviommu_target_is_shared(to_rviommu_domain(c->new), iommu))
		return 0;
	cmd = rviommu_space_command(to_rviommu_domain(c->new));
	/* Queueing is a full barrier behind the targets. -EIO: nothing is translated any more. */
	rviommu_cmdq_sync(&iommu->cmdq, &cmd, 1);
	return 0;
}

/* Do the device's contexts go invalid, all of them? Then it may not use ATS any more. */
static bool rviommu_change_silences(const struct rviommu_change *c)
{
	if (c->kind == RVIOMMU_CHANGE_DEVICE)
		return rviommu_is_blocked(c->new);
	return c->kind == RVIOMMU_CHANGE_COLLAPSE && rviommu_is_blocked(c->ep->domain);
}

static int rviommu_change_publish(struct rviommu_change *c)
{
	struct rviommu_endpoint *ep = c->ep;

	if (rviommu_change_silences(c))
		rviommu_ats_disable(ep);
	if (c->kind == RVIOMMU_CHANGE_EXPAND)
		ep->pdt.dir.live = true;
	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	c->published = true;
	if (c->nr_process)
		rviommu_dir_publish(&ep->pdt.dir, c->process, c->nr_process);
	rviommu_dir_publish(&ep->iommu->ddt.dir, ep->updates, c->nr_devices);
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
	bool published;

	if (owed.process) {
		published = rviommu_any_published(c->process, c->nr_process);
		if (published)
			rviommu_owe_process(&owed, c->process, c->old);
	} else {
		published = rviommu_any_published(ep->updates, c->nr_devices);
		rviommu_owe_devices(&owed, ep->updates, c->nr_devices, c->old);
		if (READ_ONCE(ep->lost))
			rviommu_owe_space(&owed, c->old);
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

/* Contexts alone, of the kind that was chosen: no record changes, nor any target. */
static int rviommu_change_install(struct rviommu_change *c)
{
	int ret = rviommu_prepare_kind(c);

	if (ret) {
		c->error = ret;
		return ret;
	}
	rviommu_change_publish(c);
	rviommu_change_settle(c);
	rviommu_change_retire(c);
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
	struct rviommu_endpoint *ep = c->ep;

	if (c->pasid == IOMMU_NO_PASID) {
		WRITE_ONCE(ep->domain, c->new);
		/* From one way of being blocked to another nobody goes back. */
		if (c->new != c->old &&
		    !(rviommu_is_blocked(c->new) && rviommu_is_blocked(c->old)))
			rviommu_back_set(&ep->back, ep, IOMMU_NO_PASID, c->old);
	} else if (c->new) {
		/* Cannot fail: the entry is there. */
		xa_store(&ep->pasids, c->pasid, c->new, GFP_KERNEL);
		rviommu_back_set(&ep->pasid_back, ep, c->pasid, c->old);
	} else {
		xa_erase(&ep->pasids, c->pasid);
	}
	return 0;
}

static int rviommu_change_leave(struct rviommu_change *c)
{
	if (c->new != c->old && rviommu_domain_is_paging(c->old))
		rviommu_target_remove_device(to_rviommu_domain(c->old), c->ep, c->pasid);
	return 0;
}

/* ----- The order ----- */

#define RVIOMMU_CHANGE_STEPS	9

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
			rviommu_change_enter, rviommu_change_prepare, rviommu_change_renew,
			rviommu_change_publish, rviommu_change_settle, rviommu_change_retire,
			rviommu_change_record, rviommu_change_leave,
		},
	},
#ifdef CONFIG_RVIOMMU_DEBUG
	{
		.wrong = RVIOMMU_MUTATE_TARGET_LATE,
		.step = {
			rviommu_change_prepare, rviommu_change_renew, rviommu_change_publish,
			rviommu_change_settle, rviommu_change_retire, rviommu_change_enter,
			rviommu_change_record, rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_TARGET_EARLY,
		.step = {
			rviommu_change_leave, rviommu_change_enter, rviommu_change_prepare,
			rviommu_change_renew, rviommu_change_publish, rviommu_change_settle,
			rviommu_change_retire, rviommu_change_record,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_RETIRE_PAGE,
		.step = {
			rviommu_change_enter, rviommu_change_prepare, rviommu_change_renew,
			rviommu_change_publish, rviommu_change_retire, rviommu_change_settle,
			rviommu_change_record, rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_ATS_RENEW,
		.step = {
			rviommu_change_enter, rviommu_change_prepare, rviommu_change_publish,
			rviommu_change_settle, rviommu_change_retire, rviommu_change_record,
			rviommu_change_leave,
		},
	}, {
		.wrong = RVIOMMU_MUTATE_RELEASE,
		.release = true,
		.step = { rviommu_change_record, rviommu_change_leave },
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

/**
 * rviommu_change() - requests of a device get another domain
 * @c: which, and what; ddt.lock is held
 *
 * Return: what became of it.
 */
enum rviommu_outcome rviommu_change(struct rviommu_change *c)
{
	const struct rviommu_change_order *order = rviommu_change_order(c);
	unsigned int i;
	int ret;

	lockdep_assert_held(&c->ep->iommu->ddt.lock);
	for (i = 0; order->step[i]; i++) {
		ret = order->step[i](c);
		if (ret && !c->published) {
			rviommu_change_unenter(c);
			c->error = ret;
			return RVIOMMU_CHANGE_REFUSED;
		}
	}
	return c->error ? RVIOMMU_CHANGE_OUT : RVIOMMU_CHANGE_DONE;
}

/**
 * rviommu_change_contexts() - the same, of the contexts alone
 * @c: which, and what; ddt.lock is held. No record changes, nor any target.
 *
 * Return: what became of it.
 */
enum rviommu_outcome rviommu_change_contexts(struct rviommu_change *c)
{
	c->kind = rviommu_change_kind(c);
	if (rviommu_change_install(c))
		return RVIOMMU_CHANGE_REFUSED;
	return c->error ? RVIOMMU_CHANGE_OUT : RVIOMMU_CHANGE_DONE;
}
