// SPDX-License-Identifier: GPL-2.0-only
/*
 * ATS: devices that cache translations themselves (spec "Guidelines for enabling
 * and disabling ATS and/or PRI", "Device Address Translation Cache invalidations").
 *
 * DC.tc.EN_ATS is part of every valid context of a device that may use ATS, and
 * never changes while a context is valid. What is switched is the device's own
 * enable: on when its context has become valid, off before it goes invalid.
 *
 * Translated requests are checked by nobody. So ATS is for devices that the kernel
 * trusts (pci_ats_supported() refuses external ones), and one that does not
 * complete an invalidation is blocked before anybody acts as if it had.
 */
#include <linux/device.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <kunit/visibility.h>

#include "atc.h"
#include "ats.h"
#include "attachment.h"
#include "cmdq.h"
#include "directory.h"
#include "endpoint.h"
#include "filter.h"
#include "invalidate.h"
#include "pasid.h"
#include "rviommu.h"
#include "space.h"

static void rviommu_ats_init_pci(struct rviommu_endpoint *ep, struct pci_dev *pdev)
{
	struct pci_dev *owner = pci_physfn(pdev);
	int pos, own = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS);
	u16 cap;

	if (!pci_ats_supported(pdev) || !own)
		return;
	/*
	 * All virtual functions share the queue of the physical one. The core's function
	 * for its depth is not there for modules.
	 */
	pos = pci_find_ext_capability(owner, PCI_EXT_CAP_ID_ATS);
	if (!pos || pci_read_config_word(owner, pos + PCI_ATS_CAP, &cap))
		return;
	/*
	 * Nor has a virtual function a smallest translation unit: it is that of the physical one,
	 * which has to have it before there are any.
	 */
	if (pci_prepare_ats(pdev, PAGE_SHIFT))
		return;
	ep->ats = (struct rviommu_ats){
		.usable = true,
		/* 0 is 32 */
		.depth = PCI_ATS_CAP_QDEP(cap) ?: PCI_ATS_MAX_QDEP,
		.shared = owner,
		.rid = pci_dev_id(pdev),
		.seg = ep->ids[0] >> 16,
		.ctrl = own + PCI_ATS_CTRL,
	};
}

/**
 * rviommu_ats_init() - find out whether a device can use ATS
 * @ep: the device, with its IDs
 *
 * Only a device with one ID: a Routing ID has to mean one device. It has to be its own, too,
 * which is known when others come: rviommu_attach_without_ats(). And not
 * with a one-level DDT, where a context is invalid for a moment whenever it changes:
 * an Invalidation Completion that arrives then may be refused (spec "Translation
 * control", EN_ATS), and the device would seem lost.
 */
void rviommu_ats_init(struct rviommu_endpoint *ep)
{
	const struct rviommu_bus *bus = ep->iommu->bus;
	unsigned int depth;

	if (!(ep->iommu->caps & RVIOMMU_CAP_ATS) || ep->nr_ids != 1 ||
	    ep->iommu->ddt.dir.levels == 1)
		return;
	if (dev_is_pci(ep->dev)) {
		rviommu_ats_init_pci(ep, to_pci_dev(ep->dev));
		return;
	}
	depth = bus->ats ? bus->ats->depth(ep->dev) : 0;
	if (depth)
		ep->ats = (struct rviommu_ats){
			.usable = true,
			.depth = min(depth, 32U),
			.shared = ep->dev,
			.rid = ep->ids[0],
			.seg = ep->ids[0] >> 16,
		};
}

static int rviommu_ats_switch_on(struct rviommu_endpoint *ep)
{
	if (!dev_is_pci(ep->dev))
		return ep->iommu->bus->ats->enable(ep->dev);
	rviommu_pasid_restore(ep);
	return pci_enable_ats(to_pci_dev(ep->dev), PAGE_SHIFT);
}

static void rviommu_ats_switch_off(struct rviommu_endpoint *ep)
{
	if (dev_is_pci(ep->dev))
		pci_disable_ats(to_pci_dev(ep->dev));
	else
		ep->iommu->bus->ats->disable(ep->dev);
}

/*
 * Does nothing answer where the device's registers were? pci_device_is_present() would not do: it
 * asks the physical function, and a virtual one goes with VF Enable, be it by a reset.
 */
static bool rviommu_ats_absent(const struct rviommu_endpoint *ep)
{
	u16 ctrl;

	if (!dev_is_pci(ep->dev))
		return false;
	return pci_read_config_word(to_pci_dev(ep->dev), ep->ats.ctrl, &ctrl) ||
	       PCI_POSSIBLE_ERROR(ctrl);
}

/* Requests with @pasid, or without */
static void rviommu_ats_forget_one(struct rviommu_endpoint *ep, ioasid_t pasid,
				   enum rviommu_why why)
{
	struct rviommu_command cmds[RVIOMMU_ATS_COMMANDS];
	unsigned int nr;

	if (!rviommu_ats_asks(ep))
		return;
	rviommu_ats_commands(ep, pasid, cmds);
	nr = rviommu_filter(ep->iommu, why, cmds, RVIOMMU_ATS_COMMANDS);
	if (nr)
		rviommu_cmdq_sync(&ep->iommu->cmdq, cmds, nr);
}

/* All that it may have cached */
static void rviommu_ats_forget(struct rviommu_endpoint *ep, enum rviommu_why why)
{
	struct rviommu_attachment *a;
	unsigned long pasid;

	rviommu_ats_forget_one(ep, IOMMU_NO_PASID, why);
	xa_for_each(&ep->pasids, pasid, a)
		rviommu_ats_forget_one(ep, pasid, why);
}

static int rviommu_ats_renew_space(struct rviommu_endpoint *ep, const struct rviommu_space *space,
				   u32 *fence)
{
	struct rviommu_command cmd;
	unsigned int nr = 0;

	if (space) {
		cmd = rviommu_space_command(space);
		nr = rviommu_filter(ep->iommu, RVIOMMU_WHY_ENABLE, &cmd, 1);
	}
	return rviommu_cmdq_issue(&ep->iommu->cmdq, &cmd, nr, fence);
}

/*
 * Whoever unmaps from now on tells the device. Whoever read before that it need not has
 * queued an IOTINVAL, but the IOMMU may not have executed it; or has read the targets
 * before the device was there, and has it still before him. So the IOTLB, from which the
 * device would be answered, forgets the spaces that the device can ask for. Returns 0, or
 * -EIO if the IOMMU is out of service.
 */
static int rviommu_ats_renew(struct rviommu_endpoint *ep)
{
	const struct rviommu_attachment *a = rviommu_attached(ep, IOMMU_NO_PASID);
	unsigned long pasid;
	u32 fence;
	int ret;

	ret = rviommu_ats_renew_space(ep, rviommu_attachment_space(a), &fence);
	xa_for_each(&ep->pasids, pasid, a)
		if (!ret && a->space)
			ret = rviommu_ats_renew_space(ep, a->space, &fence);
	return ret ?: rviommu_cmdq_wait(&ep->iommu->cmdq, fence);
}

/**
 * rviommu_ats_enable() - the device may use ATS
 * @ep: the device; its context is valid now, and all records are up to date. Its lock is
 *      held.
 *
 * The spec wants the device to be idle, but it need not be: whoever unmaps has to reach
 * its ATC from the moment that it can ask for translations. So @on comes first, and a
 * device that was not switched on yet completes what it is asked like any other.
 *
 * A device that cannot be switched on works without.
 */
void rviommu_ats_enable(struct rviommu_endpoint *ep)
{
	int ret;

	if (!ep->ats.usable || ep->ats.enabled || READ_ONCE(ep->lost) ||
	    rviommu_is_dead(ep->iommu))
		return;
	WRITE_ONCE(ep->ats.on, true);
	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	ret = rviommu_ats_renew(ep);
	if (!ret)
		ret = rviommu_ats_switch_on(ep);
	if (ret) {
		WRITE_ONCE(ep->ats.on, false);
		dev_warn_ratelimited(ep->dev, "ATS cannot be enabled (%d)\n", ret);
		return;
	}
	ep->ats.enabled = true;
}

/**
 * rviommu_ats_disable() - the device uses ATS no more
 * @ep: the device; its context is still valid, so that it can complete what it is
 *      asked here. Its lock is held.
 *
 * On return its ATC is empty and stays so, and no Invalidation Request is on its way
 * or will be: it may be reset, or go.
 */
void rviommu_ats_disable(struct rviommu_endpoint *ep)
{
	if (!ep->ats.enabled)
		return;
	/* One that was pulled out will answer nothing, and has nothing left. */
	if (rviommu_ats_absent(ep))
		WRITE_ONCE(ep->ats.on, false);
	rviommu_ats_switch_off(ep);
	ep->ats.enabled = false;
	rviommu_ats_forget(ep, RVIOMMU_WHY_ATTACH);
	WRITE_ONCE(ep->ats.on, false);
	/* Unmaps that have seen it on have queued what they ask, and that is executed. */
	rviommu_inval_synchronize();
	rviommu_cmdq_sync(&ep->iommu->cmdq, NULL, 0);
}

/*
 * The device that has the first ID from *@id on, with a reference, or NULL. One that uses ATS has
 * its ID for itself.
 */
static struct rviommu_endpoint *rviommu_ats_next(struct rviommu *iommu, unsigned long *id)
{
	struct rviommu_did *did;

	guard(mutex)(&iommu->endpoints_lock);
	did = xa_find(&iommu->dids, id, ULONG_MAX, XA_PRESENT);
	return did ? rviommu_endpoint_get(did->owner) : NULL;
}

/*
 * Each under its own lock, and under none that others need: who has that may wait for handlers of
 * the device, and what is done may wait for the device. One that goes meanwhile has no ATS then.
 */
static void rviommu_ats_each(struct rviommu *iommu, void (*act)(struct rviommu_endpoint *ep))
{
	struct rviommu_endpoint *ep;
	unsigned long id = 0;

	for (; (ep = rviommu_ats_next(iommu, &id)); id++) {
		scoped_guard(mutex, &ep->lock)
			act(ep);
		rviommu_endpoint_put(ep);
	}
}

static void rviommu_ats_put_away(struct rviommu_endpoint *ep)
{
	if (ep->ats.enabled && rviommu_ats_power(ep) != RVIOMMU_ATS_OFF)
		rviommu_ats_close(ep);
}

/**
 * rviommu_ats_suspend() - devices do without their caches until rviommu_ats_resume()
 * @iommu: the IOMMU, whose command queue is about to be switched off; its devices are suspended
 *
 * An unmap meanwhile reaches no ATC, and one may outlive the suspend.
 */
void rviommu_ats_suspend(struct rviommu *iommu)
{
	rviommu_ats_each(iommu, rviommu_ats_put_away);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_suspend);

static void rviommu_ats_reopen(struct rviommu_endpoint *ep)
{
	/* A lost one stays without, until it is taken back. */
	if (!ep->ats.enabled || !READ_ONCE(ep->ats.on))
		return;
	rviommu_ats_forget(ep, RVIOMMU_WHY_START);
	if (dev_is_pci(ep->dev) && rviommu_ats_power(ep) == RVIOMMU_ATS_AWAKE)
		pci_write_config_word(to_pci_dev(ep->dev), ep->ats.ctrl, PCI_ATS_CTRL_ENABLE);
}

/**
 * rviommu_ats_resume() - devices may use their caches again, which are empty
 * @iommu: the IOMMU, which translates again
 *
 * A function that has not woken up yet gets its enable back from the PCI core then. What is no
 * PCI function is asked.
 */
void rviommu_ats_resume(struct rviommu *iommu)
{
	rviommu_ats_each(iommu, rviommu_ats_reopen);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_resume);

/**
 * rviommu_ats_take_back() - a lost device may begin anew, without ATS
 * @ep: the device. Its lock is held.
 *
 * Nothing happens unless the device is lost, and all of it is blocked now: requester IDs
 * and PASIDs. That is how the core leaves it for a reset, and between two users. A
 * context that is made then has EN_ATS = 0, which refuses whatever the device may
 * still do with its ATC, so it does not matter whether there was a reset.
 */
void rviommu_ats_take_back(struct rviommu_endpoint *ep)
{
	if (!READ_ONCE(ep->lost) || rviommu_is_dead(ep->iommu) || ep->ats.enabled ||
	    !xa_empty(&ep->pasids) ||
	    !rviommu_is_blocked(rviommu_attached_domain(ep, IOMMU_NO_PASID)))
		return;
	/* Its Invalidation Requests that are still queued: they are not blamed on it again. */
	if (rviommu_cmdq_sync(&ep->iommu->cmdq, NULL, 0))
		return;
	WRITE_ONCE(ep->ats.usable, false);
	WRITE_ONCE(ep->lost, false);
	dev_info(ep->dev, "in service again, without ATS\n");
}

/* Under RCU. A device that may use ATS has its ID for itself, so it is the ID's owner. */
static struct rviommu_endpoint *rviommu_ats_device(struct rviommu *iommu, u16 rid, u8 seg,
						   unsigned long *id)
{
	struct rviommu_endpoint *ep;
	struct rviommu_did *entry;

	xa_for_each(&iommu->dids, *id, entry) {
		ep = READ_ONCE(entry->owner);
		if (ep && READ_ONCE(ep->ats.usable) && ep->ats.rid == rid && ep->ats.seg == seg)
			return ep;
	}
	return NULL;
}

/**
 * rviommu_ats_device_lost() - rviommu_cmdq.device_lost
 * @cq: the command queue
 * @rid: Routing ID of the device that does not answer
 * @seg: its segment
 *
 * Under the queue's lock, with interrupts off: takes no lock but the directory's
 * for quarantine.
 *
 * Return: true if its context has just been made invalid, and IODIR.INVAL_DDT
 * is owed; false if no such device is there, its ATS is off, or it is lost already.
 */
bool rviommu_ats_device_lost(struct rviommu_cmdq *cq, u16 rid, u8 seg)
{
	struct rviommu *iommu = container_of(cq, struct rviommu, cmdq);
	struct rviommu_endpoint *ep;
	unsigned long id;

	guard(rcu)();
	ep = rviommu_ats_device(iommu, rid, seg, &id);
	if (!ep || READ_ONCE(ep->lost) || !READ_ONCE(ep->ats.on))
		return false;
	WRITE_ONCE(ep->ats.on, false);
	WRITE_ONCE(ep->lost, true);
	rviommu_ddt_quarantine(&iommu->ddt, id);
	dev_err(iommu->dev,
		"%s does not complete ATS invalidations: all of its DMA is blocked until it is reset or removed\n",
		ep->name);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_device_lost);

/**
 * rviommu_ats_device_away() - rviommu_cmdq.device_away
 * @cq: the command queue
 * @rid: Routing ID of the device
 * @seg: its segment
 *
 * As rviommu_ats_device_lost().
 *
 * Return: true if it went to sleep, or went, after it had been asked.
 */
bool rviommu_ats_device_away(struct rviommu_cmdq *cq, u16 rid, u8 seg)
{
	struct rviommu *iommu = container_of(cq, struct rviommu, cmdq);
	struct rviommu_endpoint *ep;
	unsigned long id;

	guard(rcu)();
	ep = rviommu_ats_device(iommu, rid, seg, &id);
	return ep && !rviommu_ats_asks(ep);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_device_away);
