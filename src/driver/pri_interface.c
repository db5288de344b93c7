// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page request interface of a device: whether it has one, and when it is on.
 */
#include <kunit/visibility.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "cmdq.h"
#include "endpoint.h"
#include "prg.h"
#include "pri.h"
#include "rviommu.h"

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
	ep->pri.prgs.mutate = &ep->iommu->mutate;
	return ret;
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
	rviommu_prgs_exit(&ep->pri.prgs);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_exit);

/* What the PCI core restores after a sleep or a reset; 0: nothing. It exports no more of it. */
static void pri_tell_pci(struct pci_dev *pdev, unsigned int requests)
{
#ifdef CONFIG_PCI_PRI
	pdev->pri_reqs_alloc = requests;
	pdev->pri_enabled = requests > 0;
#endif
}

/* Does the PCI core know that a function's interface is on? */
static bool pri_told_pci(struct pci_dev *pdev)
{
#ifdef CONFIG_PCI_PRI
	return pdev->pri_enabled;
#else
	return false;
#endif
}

/*
 * That of a virtual function is the physical one's, and is not its to switch on. But it stays on
 * as long as somebody needs it.
 */
static int pri_join(struct rviommu_endpoint *ep)
{
	struct pci_dev *owner = pci_physfn(to_pci_dev(ep->dev));
	struct rviommu_endpoint *physical = rviommu_endpoint_of(&owner->dev);
	int ret;

	if (!physical)
		return pri_told_pci(owner) ? 0 : -ENODEV;
	mutex_lock_nested(&physical->lock, SINGLE_DEPTH_NESTING);
	ret = pri_told_pci(owner) ? 0 : -ENODEV;
	if (!ret && !ep->pri.joined) {
		ep->pri.joined = true;
		physical->pri.virtuals++;
	}
	mutex_unlock(&physical->lock);
	return ret;
}

static void pri_switch_off(struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev = to_pci_dev(ep->dev);

	pri_tell_pci(pdev, 0);
	pci_write_config_word(pdev, ep->pri.ctrl, 0);
}

static void pri_leave(struct rviommu_endpoint *ep)
{
	struct rviommu_endpoint *physical;

	if (!ep->pri.joined)
		return;
	ep->pri.joined = false;
	physical = rviommu_endpoint_of(&pci_physfn(to_pci_dev(ep->dev))->dev);
	mutex_lock_nested(&physical->lock, SINGLE_DEPTH_NESTING);
	if (!--physical->pri.virtuals && !physical->pri.users)
		pri_switch_off(physical);
	mutex_unlock(&physical->lock);
}

/* PCIe "Page Request Control Register": only when it has stopped; a reset makes it. */
static int pri_switch_on(struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev = to_pci_dev(ep->dev);
	const int base = ep->pri.ctrl - PCI_PRI_CTRL;
	u16 status;

	if (pci_read_config_word(pdev, base + PCI_PRI_STATUS, &status))
		return -EIO;
	if (!(status & PCI_PRI_STATUS_STOPPED))
		pci_write_config_word(pdev, ep->pri.ctrl, PCI_PRI_CTRL_RESET);
	pci_write_config_dword(pdev, base + PCI_PRI_ALLOC_REQ, ep->pri.requests);
	/* What it says of the past is cleared by what is written. */
	pci_write_config_word(pdev, base + PCI_PRI_STATUS,
			      PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
	if (pci_write_config_word(pdev, ep->pri.ctrl, PCI_PRI_CTRL_ENABLE))
		return -EIO;
	pri_tell_pci(pdev, ep->pri.requests);
	return 0;
}

static int pri_enable_pci(struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev = to_pci_dev(ep->dev);

	if (pdev->is_virtfn)
		return pri_join(ep);
	/* It was left on for the virtual ones. */
	return ep->pri.virtuals && pri_told_pci(pdev) ? 0 : pri_switch_on(ep);
}

static int pri_enable_other(struct rviommu_endpoint *ep)
{
	const struct rviommu_pri_ops *ops = ep->iommu->bus->pri;

	if (!(ops->status(ep->dev) & PCI_PRI_STATUS_STOPPED))
		ops->reset(ep->dev);
	return ops->enable(ep->dev, ep->pri.requests);
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
	ret = dev_is_pci(ep->dev) ? pri_enable_pci(ep) : pri_enable_other(ep);
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
	if (!dev_is_pci(ep->dev))
		ep->iommu->bus->pri->disable(ep->dev);
	else if (to_pci_dev(ep->dev)->is_virtfn)
		pri_leave(ep);
	else if (!ep->pri.virtuals)
		pri_switch_off(ep);
}

/* ----- Responses that ended it, or were lost ----- */

static u16 pri_status(const struct rviommu_endpoint *ep)
{
	u16 status;

	if (!dev_is_pci(ep->dev))
		return ep->iommu->bus->pri->status(ep->dev);
	if (pci_read_config_word(pci_physfn(to_pci_dev(ep->dev)),
				 ep->pri.ctrl - PCI_PRI_CTRL + PCI_PRI_STATUS, &status))
		return ~0;
	return status;
}

/*
 * Has Response Failure ended the interface that a device has, or shares, or does it wait for a
 * response that was lost? Its lock is held; it is in use. One that has gone, or has no power,
 * remembers nothing.
 */
static bool pri_has_failed(const struct rviommu_endpoint *ep)
{
	const u16 status = pri_status(ep);

	return !PCI_POSSIBLE_ERROR(status) &&
	       (status & PCI_PRI_STATUS_RF || READ_ONCE(ep->pri.unsent));
}

/* What a virtual function waits for, the physical one has to be switched on for. */
static void pri_pass_on(struct rviommu_endpoint *ep)
{
	struct rviommu_endpoint *physical;

	if (!ep->pri.joined || !READ_ONCE(ep->pri.unsent))
		return;
	physical = rviommu_endpoint_of(&pci_physfn(to_pci_dev(ep->dev))->dev);
	WRITE_ONCE(physical->pri.unsent, true);
	WRITE_ONCE(ep->pri.unsent, false);
}

/* What it asked before has no response any more: it would be taken for one to a later group. */
static void pri_forget(struct rviommu_endpoint *ep)
{
	struct rviommu_prgs *prgs = &ep->pri.prgs;
	const u64 newest = rviommu_prgs_newest(prgs);
	struct rviommu_prg_answer answer;

	guard(mutex)(&ep->lock);
	if (!ep->pri.enabled || !pri_has_failed(ep))
		return;
	rviommu_prgs_discard(prgs, RVIOMMU_PRG_ALL);
	while (rviommu_prgs_take(prgs, RVIOMMU_PRG_ALL, newest, &answer))
		rviommu_prgs_answered(prgs, &answer);
	rviommu_prgs_settle(prgs, RVIOMMU_PRG_ALL);
	/* -EIO: nothing is translated any more, nor answered. */
	rviommu_cmdq_sync(&ep->iommu->cmdq, NULL, 0);
	pri_pass_on(ep);
}

static int pri_switch_on_again(struct rviommu_endpoint *ep)
{
	if (!dev_is_pci(ep->dev)) {
		ep->iommu->bus->pri->disable(ep->dev);
		return pri_enable_other(ep);
	}
	pri_switch_off(ep);
	return pri_switch_on(ep);
}

static void pri_restart(struct rviommu_endpoint *ep)
{
	int ret;

	guard(mutex)(&ep->lock);
	if (!(ep->pri.enabled || ep->pri.virtuals) || ep->pri.joined || !pri_has_failed(ep))
		return;
	WRITE_ONCE(ep->pri.unsent, false);
	ret = pri_switch_on_again(ep);
	if (ret) {
		dev_err(ep->dev, "its page request interface has failed, and cannot be switched on (%d)\n",
			ret);
		return;
	}
	atomic64_inc(&ep->pri.revived);
	dev_warn_ratelimited(ep->dev, "its page request interface had failed: what it had asked is forgotten\n");
}

/* The device with the first ID from *@id on, with a reference, or NULL. */
static struct rviommu_endpoint *pri_next(struct rviommu *iommu, unsigned long *id)
{
	struct rviommu_did *did;

	guard(mutex)(&iommu->endpoints_lock);
	did = xa_find(&iommu->dids, id, ULONG_MAX, XA_PRESENT);
	return did ? rviommu_endpoint_get(did->owner) : NULL;
}

static void pri_each(struct rviommu *iommu, void (*act)(struct rviommu_endpoint *ep))
{
	struct rviommu_endpoint *ep;
	unsigned long id = 0;

	for (; (ep = pri_next(iommu, &id)); id++) {
		if (ep->pri.usable)
			act(ep);
		rviommu_endpoint_put(ep);
	}
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
 */
void rviommu_pri_revive(struct work_struct *work)
{
	struct rviommu *iommu = container_of(to_delayed_work(work), struct rviommu, revive);

	if (!READ_ONCE(iommu->pageq.running))
		return;
	pri_each(iommu, pri_forget);
	pri_each(iommu, pri_restart);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_revive);
