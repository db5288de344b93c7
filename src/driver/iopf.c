// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who handles the page requests of a device: taken up with the first attachment that does, given
 * up after the last, and quiet for a PASID that is taken away.
 *
 * Each device has a queue of the core's for itself: who waits for its handlers waits for no
 * other device's.
 */
#include <linux/iommu.h>

#include "endpoint.h"
#include "inq.h"
#include "iopf.h"
#include "prg.h"
#include "pri.h"
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

/* All that came from the device until now is with its handlers, or answered. */
static void rviommu_iopf_flush(struct rviommu_endpoint *ep)
{
	rviommu_inq_service(&ep->iommu->pageq);
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
	rviommu_iopf_flush(ep);
	rviommu_prgs_discard(&ep->pri.prgs, pasid);
	iopf_queue_flush_dev(ep->dev);
	rviommu_pri_refuse(ep, pasid);
}

/**
 * rviommu_iopf_put() - an attachment that handled page requests has gone
 * @ep: the device. Its lock is held.
 */
void rviommu_iopf_put(struct rviommu_endpoint *ep)
{
	if (--ep->pri.users)
		return;
	rviommu_pri_disable(ep);
	rviommu_iopf_flush(ep);
	WRITE_ONCE(ep->pri.enabled, false);
	/* Who has it in his hands still has handed it on when this returns. */
	rviommu_iopf_flush(ep);
	rviommu_prgs_discard(&ep->pri.prgs, RVIOMMU_PRG_ALL);
	iopf_queue_flush_dev(ep->dev);
	rviommu_pri_refuse(ep, RVIOMMU_PRG_ALL);
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
