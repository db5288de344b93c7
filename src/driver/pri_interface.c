// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page request interface of a device, or of a physical function and its virtual ones: who has
 * it, when it is on, and what becomes of it when it has failed.
 */
#include <kunit/visibility.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "cmdq.h"
#include "endpoint.h"
#include "inq.h"
#include "mem.h"
#include "mutate.h"
#include "prg.h"
#include "pri.h"
#include "rviommu.h"

/* ----- Who has it ----- */

static LIST_HEAD(pri_interfaces);
/* Protects the list. Taken when devices come and go; outside the lock of an interface. */
static DEFINE_MUTEX(pri_interfaces_lock);

/* Virtual functions have that of the physical one. */
static struct device *pri_owning_device(const struct rviommu_endpoint *ep)
{
	return dev_is_pci(ep->dev) ? &pci_physfn(to_pci_dev(ep->dev))->dev : ep->dev;
}

static struct rviommu_pri_interface *pri_find(const struct device *owner)
{
	struct rviommu_pri_interface *in;

	list_for_each_entry(in, &pri_interfaces, node)
		if (in->owner == owner)
			return in;
	return NULL;
}

static struct rviommu_pri_interface *pri_create(const struct rviommu_endpoint *ep)
{
	struct rviommu_pri_interface *in = rviommu_zalloc(sizeof(*in), GFP_KERNEL);

	if (!in)
		return NULL;
	in->iommu = ep->iommu;
	in->owner = pri_owning_device(ep);
	in->ctrl = ep->pri.ctrl;
	in->requests = ep->pri.requests;
	refcount_set(&in->refs, 1);
	mutex_init(&in->lock);
	INIT_LIST_HEAD(&in->sharers);
	list_add_tail(&in->node, &pri_interfaces);
	return in;
}

static void pri_put(struct rviommu_pri_interface *in)
{
	if (!refcount_dec_and_test(&in->refs))
		return;
	mutex_destroy(&in->lock);
	rviommu_free(in);
}

/*
 * A device comes: first or not, and whichever of them it is. 0; -ENOMEM; -EXDEV: the others are
 * behind another IOMMU, of which nobody here may know when it goes.
 */
static int pri_share(struct rviommu_endpoint *ep)
{
	struct rviommu_pri_interface *in;

	guard(mutex)(&pri_interfaces_lock);
	in = pri_find(pri_owning_device(ep)) ?: pri_create(ep);
	if (!in)
		return -ENOMEM;
	if (in->iommu != ep->iommu)
		return -EXDEV;
	ep->pri.shared = in;
	guard(mutex)(&in->lock);
	list_add_tail(&ep->pri.sharer, &in->sharers);
	return 0;
}

/*
 * How many requests a device may have outstanding. A group of more than the queue has room for
 * could never be complete: what is lost the IOMMU answers with Success (spec "PCIe ATS Page
 * Request handling"), and the device asks again, for ever. Several devices may fill the queue
 * together; then some ask again, and get on.
 */
static unsigned int pri_limit(const struct rviommu_endpoint *ep, u32 capacity)
{
	const u32 room = rviommu_queue_mask(&ep->iommu->pageq.q);
	const u32 wanted = min(capacity, RVIOMMU_PRI_REQUESTS);

	if (wanted > room)
		dev_notice(ep->dev, "may have %u page requests outstanding instead of %u: the IOMMU's queue has no room for more\n",
			   room, wanted);
	return min(wanted, room);
}

static void pri_init_pci(struct rviommu_endpoint *ep, struct pci_dev *pdev)
{
	struct pci_dev *owner = pci_physfn(pdev);
	int pos = pci_find_ext_capability(owner, PCI_EXT_CAP_ID_PRI);
	u32 capacity;
	u16 status;

	/*
	 * Virtual functions have the interface of the physical one. When that is on, they may send
	 * requests, too, be it somebody's wish or not, and have to get responses of the right kind.
	 * Without the PCI core's part nobody would switch it on again after a sleep or a reset.
	 */
	if (!IS_ENABLED(CONFIG_PCI_PRI) || !pos ||
	    pci_read_config_dword(owner, pos + PCI_PRI_MAX_REQ, &capacity) || !capacity ||
	    pci_read_config_word(owner, pos + PCI_PRI_STATUS, &status))
		return;
	ep->pri.usable = true;
	ep->pri.pasid = status & PCI_PRI_STATUS_PASID;
	ep->pri.ctrl = pos + PCI_PRI_CTRL;
	ep->pri.requests = pri_limit(ep, capacity);
}

/**
 * rviommu_pri_init() - find out whether a device can send page requests
 * @ep: the device, with its ATS
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_pri_init(struct rviommu_endpoint *ep)
{
	const struct rviommu_bus *bus = ep->iommu->bus;
	unsigned int capacity;
	int ret;

	if (!ep->ats.usable || !READ_ONCE(ep->iommu->pageq.running))
		return 0;
	if (dev_is_pci(ep->dev)) {
		pri_init_pci(ep, to_pci_dev(ep->dev));
	} else {
		capacity = bus->pri ? bus->pri->capacity(ep->dev) : 0;
		ep->pri.usable = capacity;
		ep->pri.requests = pri_limit(ep, capacity);
		ep->pri.pasid = capacity && bus->pri->status(ep->dev) & PCI_PRI_STATUS_PASID;
	}
	if (!ep->pri.usable)
		return 0;
	ret = rviommu_prgs_init(&ep->pri.prgs, ep->pri.requests);
	if (ret)
		return ret;
	ep->pri.prgs.mutate = &ep->iommu->mutate;
	ret = pri_share(ep);
	if (ret)
		rviommu_prgs_exit(&ep->pri.prgs);
	if (ret != -EXDEV)
		return ret;
	dev_warn(ep->dev, "may send no page requests: who shares its interface is behind another IOMMU\n");
	ep->pri.usable = false;
	return 0;
}

/* ----- On and off ----- */

/*
 * What the PCI core restores after a sleep or a reset; 0: nothing. It exports no more of it. The
 * record is the function's own, and shares a word with what others of its threads write: so it
 * says what the physical function itself needs. Where only virtual ones do, pri_take_down() finds
 * out that the interface is off.
 */
static void pri_tell_pci(const struct rviommu_endpoint *ep, unsigned int requests)
{
#ifdef CONFIG_PCI_PRI
	if (!dev_is_pci(ep->dev) || ep->dev != ep->pri.shared->owner)
		return;
	to_pci_dev(ep->dev)->pri_reqs_alloc = requests;
	to_pci_dev(ep->dev)->pri_enabled = requests > 0;
#endif
}

/* All this is under the lock of the interface. */

/* Was it switched off by a reset, or by a sleep? */
static bool pri_was_reset(const struct rviommu_pri_interface *in)
{
	u16 ctrl;

	return dev_is_pci(in->owner) &&
	       !pci_read_config_word(to_pci_dev(in->owner), in->ctrl, &ctrl) &&
	       !(ctrl & PCI_PRI_CTRL_ENABLE);
}

static u16 pri_status(const struct rviommu_pri_interface *in)
{
	u16 status;

	if (!dev_is_pci(in->owner))
		return in->iommu->bus->pri->status(in->owner);
	if (pci_read_config_word(to_pci_dev(in->owner), in->ctrl - PCI_PRI_CTRL + PCI_PRI_STATUS,
				 &status))
		return ~0;
	return status;
}

static void pri_switch_off(struct rviommu_pri_interface *in)
{
	in->on = false;
	if (!dev_is_pci(in->owner)) {
		in->iommu->bus->pri->disable(in->owner);
		return;
	}
	pci_write_config_word(to_pci_dev(in->owner), in->ctrl, 0);
}

/* PCIe "Page Request Control Register": only when it has stopped; a reset makes it. */
static int pri_enable_pci(struct rviommu_pri_interface *in)
{
	struct pci_dev *pdev = to_pci_dev(in->owner);
	const int base = in->ctrl - PCI_PRI_CTRL;
	u16 status;

	if (pci_read_config_word(pdev, base + PCI_PRI_STATUS, &status))
		return -EIO;
	if (!(status & PCI_PRI_STATUS_STOPPED))
		pci_write_config_word(pdev, in->ctrl, PCI_PRI_CTRL_RESET);
	pci_write_config_dword(pdev, base + PCI_PRI_ALLOC_REQ, in->requests);
	/* What it says of the past is cleared by what is written. */
	pci_write_config_word(pdev, base + PCI_PRI_STATUS,
			      PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
	return pci_write_config_word(pdev, in->ctrl, PCI_PRI_CTRL_ENABLE) ? -EIO : 0;
}

static int pri_enable_other(struct rviommu_pri_interface *in)
{
	const struct rviommu_pri_ops *ops = in->iommu->bus->pri;

	if (!(ops->status(in->owner) & PCI_PRI_STATUS_STOPPED))
		ops->reset(in->owner);
	return ops->enable(in->owner, in->requests);
}

static void pri_forget_groups(struct rviommu_prgs *prgs)
{
	const u64 newest = rviommu_prgs_newest(prgs);
	struct rviommu_prg_answer answer;

	rviommu_prgs_discard(prgs, RVIOMMU_PRG_ALL);
	while (rviommu_prgs_take(prgs, RVIOMMU_PRG_ALL, newest, &answer))
		rviommu_prgs_answered(prgs, &answer);
}

/*
 * What was asked before has no response any more: it would be taken for one to a later group. Of
 * all that share it, also of one that is being detached, and whose handler is waited for.
 */
static void pri_forget_all(struct rviommu_pri_interface *in)
{
	struct rviommu_pri *pri;

	list_for_each_entry(pri, &in->sharers, sharer) {
		pri_forget_groups(&pri->prgs);
		pri->unsettled = true;
	}
}

/* It begins anew: nobody waits for a response from the time before. */
static int pri_switch_on(struct rviommu_pri_interface *in)
{
	struct rviommu_pri *pri;
	int ret;

	pri_forget_all(in);
	list_for_each_entry(pri, &in->sharers, sharer)
		WRITE_ONCE(pri->unsent, false);
	ret = dev_is_pci(in->owner) ? pri_enable_pci(in) : pri_enable_other(in);
	in->on = !ret;
	return ret;
}

/* A response to one of those that share it was lost, be it that it needs it no more. */
static bool pri_lost_response(const struct rviommu_pri_interface *in)
{
	const struct rviommu_pri *pri;

	list_for_each_entry(pri, &in->sharers, sharer)
		if (READ_ONCE(pri->unsent))
			return true;
	return false;
}

/*
 * A device needs it. A virtual function switches the physical one's on, too. The core has it
 * blocked for a reset, does not say that it is no more than that, nor when its domain goes
 * meanwhile: so one that is blocked has left, and may have been the last. After the reset, which
 * the interface takes no part in, the domain is attached again, and that may not fail.
 */
static int pri_join(struct rviommu_endpoint *ep)
{
	struct rviommu_pri_interface *in = ep->pri.shared;
	int ret = 0;

	guard(mutex)(&in->lock);
	if (!in->on && !in->down)
		ret = pri_switch_on(in);
	/* One that is down is switched on when all have forgotten; maybe nobody was about to. */
	else if (in->down || pri_lost_response(in))
		schedule_delayed_work(&in->iommu->revive, 0);
	if (!ret && !ep->pri.needs) {
		ep->pri.needs = true;
		in->needed++;
		pri_tell_pci(ep, in->requests);
	}
	return ret;
}

/* The last one switches off, whoever it is. To say so once more does no harm. */
static void pri_leave(struct rviommu_endpoint *ep)
{
	struct rviommu_pri_interface *in = ep->pri.shared;

	if (ep->pri.needs) {
		in->needed--;
		pri_tell_pci(ep, 0);
	}
	ep->pri.needs = false;
	if (in->needed)
		return;
	in->down = false;
	pri_switch_off(in);
}

/**
 * rviommu_pri_enable() - the device may send page requests
 * @ep: the device; its ATS is on, and what handles them is there. Its lock is held.
 *
 * Return: 0 or an error.
 */
int rviommu_pri_enable(struct rviommu_endpoint *ep)
{
	int ret;

	if (ep->pri.enabled)
		return 0;
	/* First: what it sends at once is taken from the queue at once. */
	WRITE_ONCE(ep->pri.enabled, true);
	ret = pri_join(ep);
	if (ret)
		WRITE_ONCE(ep->pri.enabled, false);
	return ret;
}

/**
 * rviommu_pri_disable() - the device sends no page requests any more
 * @ep: the device. Its lock is held.
 *
 * What it has sent before may be in the queue still, and is a stranger's, unless the queue
 * was read first; then it gets its response all the same.
 */
void rviommu_pri_disable(struct rviommu_endpoint *ep)
{
	if (!ep->pri.enabled)
		return;
	guard(mutex)(&ep->pri.shared->lock);
	pri_leave(ep);
}

static void pri_unshare(struct rviommu_endpoint *ep)
{
	struct rviommu_pri_interface *in = ep->pri.shared;
	bool last;

	guard(mutex)(&pri_interfaces_lock);
	scoped_guard(mutex, &in->lock) {
		if (ep->pri.needs)
			pri_leave(ep);
		list_del(&ep->pri.sharer);
		last = list_empty(&in->sharers);
	}
	ep->pri.shared = NULL;
	if (!last)
		return;
	list_del(&in->node);
	pri_put(in);
}

/**
 * rviommu_pri_exit() - nobody looks at a message of the device any more
 * @ep: the device; it has none of its IDs any more, or never had
 */
void rviommu_pri_exit(struct rviommu_endpoint *ep)
{
	/* Be it one that may send none: who reads what it sends all the same has it, too. */
	if (ep->iommu->pageq.q.base)
		rviommu_pri_pass_message(ep);
	if (ep->pri.shared)
		pri_unshare(ep);
	rviommu_prgs_exit(&ep->pri.prgs);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_exit);

/* ----- Responses that ended it, or were lost ----- */

/**
 * struct pri_round - all interfaces of an IOMMU are looked at once
 * @iommu: the IOMMU
 * @down: some have failed, and are off now
 * @blind: some may have, or have, and cannot be looked at: the function has no power, or has gone
 *
 * Of one thread, on its stack.
 */
struct pri_round {
	struct rviommu *iommu;
	bool down;
	bool blind;
};

/*
 * Has Response Failure ended it, or a reset; or does one of those who share it wait for a response
 * that was lost? That is asked once, for all of them.
 */
static void pri_take_down(struct rviommu_pri_interface *in, struct pri_round *round)
{
	u16 status;

	guard(mutex)(&in->lock);
	if (!in->needed)
		return;
	status = pri_status(in);
	if (PCI_POSSIBLE_ERROR(status)) {
		round->blind |= in->on || in->down || pri_lost_response(in);
		return;
	}
	if (in->on && (status & PCI_PRI_STATUS_RF || pri_was_reset(in) ||
		       pri_lost_response(in))) {
		pri_switch_off(in);
		in->down = true;
	}
	round->down |= in->down;
}

/* Before the fence: what was decided on in time is on its way then. */
static void pri_forget(struct rviommu_pri_interface *in, struct pri_round *round)
{
	guard(mutex)(&in->lock);
	if (in->down)
		pri_forget_all(in);
}

/* With a reference, or NULL. It has not gone: it would not be found here. */
static struct rviommu_endpoint *pri_unsettled(struct rviommu_pri_interface *in)
{
	struct rviommu_pri *pri;

	guard(mutex)(&in->lock);
	list_for_each_entry(pri, &in->sharers, sharer) {
		if (!pri->unsettled)
			continue;
		pri->unsettled = false;
		return rviommu_endpoint_get(container_of(pri, struct rviommu_endpoint, pri));
	}
	return NULL;
}

/* Who had decided on a response before has queued it. Not under the lock: that may take time. */
static void pri_settle(struct rviommu_pri_interface *in, struct pri_round *round)
{
	struct rviommu_endpoint *ep;

	while ((ep = pri_unsettled(in))) {
		rviommu_prgs_settle(&ep->pri.prgs, RVIOMMU_PRG_ALL);
		rviommu_endpoint_put(ep);
	}
}

/* One in quarantine is not switched on again for its own sake. */
static bool pri_is_wanted(const struct rviommu_pri_interface *in)
{
	struct rviommu_pri *pri;

	list_for_each_entry(pri, &in->sharers, sharer)
		if (pri->needs &&
		    !READ_ONCE(container_of(pri, struct rviommu_endpoint, pri)->lost))
			return true;
	return false;
}

static void pri_restart(struct rviommu_pri_interface *in, struct pri_round *round)
{
	struct rviommu_pri *pri;
	int ret;

	guard(mutex)(&in->lock);
	if (!in->down)
		return;
	if (PCI_POSSIBLE_ERROR(pri_status(in))) {
		round->blind = true;
		return;
	}
	in->down = false;
	if (!pri_is_wanted(in))
		return;
	ret = pri_switch_on(in);
	if (ret) {
		dev_err(in->owner, "its page request interface has failed, and cannot be switched on (%d)\n",
			ret);
		return;
	}
	list_for_each_entry(pri, &in->sharers, sharer)
		if (pri->needs)
			atomic64_inc(&pri->revived);
	dev_warn_ratelimited(in->owner, "its page request interface had failed: what it had asked is forgotten\n");
}

/* The interface of the first device with an ID from *@id on that has one, with a reference. */
static struct rviommu_pri_interface *pri_next(struct rviommu *iommu, unsigned long *id)
{
	struct rviommu_did *did;

	guard(mutex)(&iommu->endpoints_lock);
	xa_for_each_start(&iommu->dids, *id, did, *id) {
		struct rviommu_pri_interface *in = did->owner->pri.shared;

		/* It has its IDs for as long as it shares. */
		if (!in)
			continue;
		refcount_inc(&in->refs);
		return in;
	}
	return NULL;
}

/* More than once where several share one: the second time there is nothing to do. */
static void pri_each(struct pri_round *round, void (*act)(struct rviommu_pri_interface *in,
							  struct pri_round *round))
{
	struct rviommu_pri_interface *in;
	unsigned long id = 0;

	for (; (in = pri_next(round->iommu, &id)); id++) {
		act(in, round);
		pri_put(in);
	}
}

/* ----- Steps towards a new beginning ----- */

typedef void (*pri_step)(struct pri_round *round);

static void pri_step_off(struct pri_round *round)
{
	pri_each(round, pri_take_down);
}

/* What was sent before it was off: it would be handed on afterwards. */
static void pri_step_read(struct pri_round *round)
{
	rviommu_inq_service(&round->iommu->pageq);
}

static void pri_step_forget(struct pri_round *round)
{
	pri_each(round, pri_forget);
}

static void pri_step_settle(struct pri_round *round)
{
	pri_each(round, pri_settle);
}

static void pri_step_fence(struct pri_round *round)
{
	/* -EIO: nothing is translated any more, nor answered. */
	rviommu_cmdq_sync(&round->iommu->cmdq, NULL, 0);
}

static void pri_step_on(struct pri_round *round)
{
	pri_each(round, pri_restart);
}

static const pri_step pri_revival[] = {
	pri_step_off, pri_step_read, pri_step_forget, pri_step_settle, pri_step_fence,
	pri_step_on, NULL
};

static void pri_step_none(struct pri_round *round)
{
}

/* What a mutation run does in the place of a step */
static const struct {
	enum rviommu_mutation what;
	pri_step step;
	pri_step instead;
} pri_wrong[] = {
	{ RVIOMMU_MUTATE_FACE_OFF, pri_step_off, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_READ, pri_step_read, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_FORGET, pri_step_forget, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_FORGET_EARLY, pri_step_read, pri_step_forget },
	{ RVIOMMU_MUTATE_FACE_FORGET_EARLY, pri_step_forget, pri_step_read },
	{ RVIOMMU_MUTATE_FACE_SETTLE, pri_step_settle, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_FENCE, pri_step_fence, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_FENCE_EARLY, pri_step_settle, pri_step_fence },
	{ RVIOMMU_MUTATE_FACE_FENCE_EARLY, pri_step_fence, pri_step_settle },
	{ RVIOMMU_MUTATE_FACE_ON, pri_step_on, pri_step_none },
	{ RVIOMMU_MUTATE_FACE_ON_EARLY, pri_step_fence, pri_step_on },
	{ RVIOMMU_MUTATE_FACE_ON_EARLY, pri_step_on, pri_step_fence },
};

/*
 * What could not be looked at may be after a while: a function wakes up after its IOMMU. Not for
 * ever, for it may have been pulled out. Later the next event leads here.
 */
static void pri_look_again(struct pri_round *round)
{
	struct rviommu *iommu = round->iommu;

	if (!round->blind)
		iommu->revive_looks = 0;
	else if (iommu->revive_looks++ < RVIOMMU_PRI_LOOKS)
		schedule_delayed_work(&iommu->revive, msecs_to_jiffies(RVIOMMU_PRI_LOOK_MS));
}

/**
 * rviommu_pri_revive() - interfaces that a Response Failure has ended are switched on again
 * @work: rviommu.revive
 *
 * The IOMMU itself responds so to a request that it cannot store, or for which it finds no valid
 * context (spec "PCIe ATS Page Request handling"). The status of the device says so, and it sends
 * none any more (PCIe "Page Request Status Register"). Virtual functions have the physical
 * one's: all that share it forget, before it goes on.
 *
 * The same for those whose response was lost because the IOMMU slept.
 *
 * Nobody's handler is waited for, nor the lock of a device under which somebody else does.
 */
void rviommu_pri_revive(struct work_struct *work)
{
	struct rviommu *iommu = container_of(to_delayed_work(work), struct rviommu, revive);
	struct pri_round round = { .iommu = iommu };
	const pri_step *step;

	if (!READ_ONCE(iommu->pageq.running))
		return;
	for (step = pri_revival; *step; step++) {
		rviommu_step(&iommu->mutate, pri_wrong, *step)(&round);
		/* The first one finds out. */
		if (!round.down)
			break;
	}
	pri_look_again(&round);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_revive);
