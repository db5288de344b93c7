// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who handles the page requests of a device: taken up with the first attachment that does, given
 * up after the last, and quiet for a PASID that is taken away.
 *
 * Each device has a queue of the core's for itself: who waits for its handlers waits for no
 * other device's.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include <rviommu/page_request.h>

#include "cmdq.h"
#include "endpoint.h"
#include "filter.h"
#include "inq.h"
#include "iopf.h"
#include "prg.h"
#include "pri.h"
#include "registry.h"
#include "rviommu.h"

/* It stays until the device goes: taken out of it, groups that a user still has would be freed. */
static int rviommu_iopf_queue(struct rviommu_endpoint *ep)
{
	struct iopf_queue *queue;
	int ret;

	if (ep->pri.queue)
		return 0;
	queue = iopf_queue_alloc(ep->name);
	if (!queue)
		return -ENOMEM;
	ret = iopf_queue_add_device(queue, ep->dev);
	if (ret)
		iopf_queue_free(queue);
	else
		ep->pri.queue = queue;
	return ret;
}

/**
 * rviommu_iopf_get() - an attachment that handles page requests is about to come
 * @ep: the device. Its lock is held.
 *
 * Return: 0; -ENODEV if it can send none; -ENOMEM; an error of the core.
 */
int rviommu_iopf_get(struct rviommu_endpoint *ep)
{
	int ret;

	if (!ep->pri.usable || !ep->ats.usable)
		return -ENODEV;
	ret = rviommu_iopf_queue(ep);
	if (!ret)
		ep->pri.users++;
	return ret;
}

/**
 * rviommu_iopf_start() - it has come
 * @ep: the device; its ATS was switched on, if it can be. Its lock is held.
 *
 * Return: 0 or an error: the device cannot be switched on.
 */
int rviommu_iopf_start(struct rviommu_endpoint *ep)
{
	return ep->ats.enabled ? rviommu_pri_enable(ep) : -ENODEV;
}

/**
 * rviommu_iopf_patience() - how long somebody who handles page requests may take
 *
 * A function so that a test need not wait for it.
 *
 * Return: jiffies.
 */
unsigned long rviommu_iopf_patience(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_iopf_patience);
	return RVIOMMU_IOPF_PATIENCE_S * HZ;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_iopf_patience);

/* What is in the queue is with who handles it, or answered. */
static void iopf_read(struct rviommu_endpoint *ep)
{
	if (rviommu_filter_step(ep->iommu, RVIOMMU_MUTATE_PRI_FLUSH))
		rviommu_inq_service(&ep->iommu->pageq);
}

/* And what is not complete is forgotten. */
static void iopf_forget(struct rviommu_endpoint *ep, u32 pasid)
{
	iopf_read(ep);
	if (rviommu_filter_step(ep->iommu, RVIOMMU_MUTATE_PRI_DISCARD))
		rviommu_prgs_discard(&ep->pri.prgs, pasid);
}

/* The responses that were given have reached the device. */
static int iopf_fence(struct rviommu_endpoint *ep)
{
	if (!rviommu_filter_step(ep->iommu, RVIOMMU_MUTATE_PRI_FENCE))
		return 0;
	return rviommu_cmdq_sync(&ep->iommu->cmdq, NULL, 0);
}

/**
 * struct iopf_watch - somebody waits for handlers
 * @work: runs when they have taken too long
 * @ep: the device
 * @pasid: for what they are waited
 */
struct iopf_watch {
	struct delayed_work work;
	struct rviommu_endpoint *ep;
	u32 pasid;
};

static void iopf_too_long(struct work_struct *work)
{
	struct iopf_watch *watch = container_of(to_delayed_work(work), struct iopf_watch, work);
	struct rviommu_endpoint *ep = watch->ep;

	dev_err(ep->dev, "its page requests are handled for too long: they are answered, and whoever handles them is waited for\n");
	rviommu_pri_refuse(ep, watch->pasid);
	schedule_delayed_work(&watch->work, rviommu_iopf_patience());
}

/*
 * Handlers that run are over. They use the domain, which may be gone soon: so they are waited
 * for however long they take. The device is not kept waiting, and the log says who is.
 */
static void iopf_wait_for_handlers(struct rviommu_endpoint *ep, u32 pasid)
{
	struct iopf_watch watch = { .ep = ep, .pasid = pasid };

	INIT_DELAYED_WORK_ONSTACK(&watch.work, iopf_too_long);
	schedule_delayed_work(&watch.work, rviommu_iopf_patience());
	iopf_queue_flush_dev(ep->dev);
	cancel_delayed_work_sync(&watch.work);
	destroy_delayed_work_on_stack(&watch.work);
}

/**
 * rviommu_iopf_quiet() - nothing is left of the page requests of a PASID
 * @ep: the device. Its lock is held; nothing of what handles page requests may want that.
 * @pasid: the PASID, which is blocked; IOMMU_NO_PASID: the requester IDs are, and so is PASID 0
 *
 * What is in the hardware's queue is read; what is not complete is forgotten; work that
 * runs is over, so the domain may go; and what has no response yet (a user has not read it,
 * or not responded) gets one: there is nobody any more who could serve it.
 */
void rviommu_iopf_quiet(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	if (!ep->pri.users)
		return;
	iopf_forget(ep, pasid);
	iopf_wait_for_handlers(ep, pasid);
	rviommu_pri_refuse(ep, pasid);
	iopf_fence(ep);
}

/**
 * rviommu_iopf_stop() - nothing is left of the page requests of a device, and none come
 * @ep: the device. Its lock is held.
 *
 * Whoever releases it waits for its handlers here, and not under a lock of others.
 */
void rviommu_iopf_stop(struct rviommu_endpoint *ep)
{
	if (!ep->pri.queue)
		return;
	rviommu_pri_disable(ep);
	iopf_read(ep);
	WRITE_ONCE(ep->pri.enabled, false);
	/* Who has it in his hands still has handed it on when this returns. */
	iopf_forget(ep, RVIOMMU_PRG_ALL);
	iopf_wait_for_handlers(ep, RVIOMMU_PRG_ALL);
	rviommu_pri_refuse(ep, RVIOMMU_PRG_ALL);
	iopf_fence(ep);
}

/**
 * rviommu_iopf_put() - an attachment that handled page requests has gone
 * @ep: the device. Its lock is held.
 */
void rviommu_iopf_put(struct rviommu_endpoint *ep)
{
	if (!--ep->pri.users)
		rviommu_iopf_stop(ep);
}

/**
 * rviommu_iopf_exit() - the device goes
 * @ep: the device; nothing is attached, and it has none of its IDs any more
 */
void rviommu_iopf_exit(struct rviommu_endpoint *ep)
{
	if (!ep->pri.queue)
		return;
	iopf_queue_remove_device(ep->pri.queue, ep->dev);
	iopf_queue_free(ep->pri.queue);
	ep->pri.queue = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_iopf_exit);

/* ----- For drivers of devices ----- */

/* NULL: it is not behind an IOMMU of ours. Its driver calls, so it stays. */
static struct rviommu_endpoint *iopf_device(struct device *dev)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);

	return fwspec && rviommu_find(fwspec->iommu_fwnode) ? dev_iommu_priv_get(dev) : NULL;
}

/**
 * rviommu_iopf_flush() - what a device has asked until now is with who handles it
 * @dev: the device
 *
 * The queue of the IOMMU has been read up to where it was; groups that are complete were
 * handed on, or answered. Nobody is waited for.
 *
 * Context: may sleep; a driver bound to @dev, and not from what handles its requests.
 * Return: 0; -ENODEV if it is behind no IOMMU of this driver.
 */
int rviommu_iopf_flush(struct device *dev)
{
	struct rviommu_endpoint *ep = iopf_device(dev);

	if (!ep)
		return -ENODEV;
	rviommu_inq_service(&ep->iommu->pageq);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_iopf_flush);

/**
 * rviommu_iopf_drain() - what a device has asked until now has its response
 * @dev: the device, which asks nothing more for @pasid
 * @pasid: of this PASID; IOMMU_NO_PASID: of its requester IDs
 * @timeout_ms: for so long who handles them is waited for
 *
 * On return no group of the PASID is left, complete or not: not in the IOMMU, not here, and the
 * device has all responses. That is so after -ETIMEDOUT, too: what had none until then got
 * Invalid Request, and the response of who comes too late is none.
 * Other devices' handlers are not waited for, and no lock is held that other devices need.
 *
 * Context: may sleep; as rviommu_iopf_flush().
 * Return: 0; -ETIMEDOUT; -ENODEV as rviommu_iopf_flush(); -EIO: the IOMMU is out of service,
 * nothing is left here, and nobody knows of the device.
 */
int rviommu_iopf_drain(struct device *dev, ioasid_t pasid, unsigned int timeout_ms)
{
	struct rviommu_endpoint *ep = iopf_device(dev);
	bool answered;

	if (!ep)
		return -ENODEV;
	if (!ep->pri.usable)
		return 0;
	iopf_forget(ep, pasid);
	answered = rviommu_prgs_wait(&ep->pri.prgs, pasid, msecs_to_jiffies(timeout_ms));
	if (!answered) {
		dev_warn_ratelimited(dev, "page requests of PASID %u had no response in %u ms: it is given here\n",
				     pasid, timeout_ms);
		rviommu_pri_refuse(ep, pasid);
	}
	return iopf_fence(ep) ?: (answered ? 0 : -ETIMEDOUT);
}
EXPORT_SYMBOL_GPL(rviommu_iopf_drain);

/**
 * rviommu_iopf_cancel() - what a device has asked until now is Invalid Request
 * @dev: the device, which asks nothing more for @pasid
 * @pasid: of this PASID; IOMMU_NO_PASID: of its requester IDs
 *
 * As rviommu_iopf_drain(), and waits for nobody who handles requests.
 *
 * Context: may sleep; as rviommu_iopf_flush().
 * Return: 0; -ENODEV; -EIO: as rviommu_iopf_drain().
 */
int rviommu_iopf_cancel(struct device *dev, ioasid_t pasid)
{
	struct rviommu_endpoint *ep = iopf_device(dev);

	if (!ep)
		return -ENODEV;
	if (!ep->pri.usable)
		return 0;
	iopf_forget(ep, pasid);
	rviommu_pri_refuse(ep, pasid);
	return iopf_fence(ep);
}
EXPORT_SYMBOL_GPL(rviommu_iopf_cancel);
