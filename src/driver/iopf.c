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
#include "inq.h"
#include "iopf.h"
#include "mutate.h"
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
 * @must: it leads back to where the core takes no refusal
 *
 * Where the device has to do without ATS meanwhile, the way back ends without page requests.
 *
 * Return: 0; -ENODEV if it can send none; -ENOMEM; an error of the core.
 */
int rviommu_iopf_get(struct rviommu_endpoint *ep, bool must)
{
	int ret;

	if (!ep->pri.usable || (!ep->ats.usable && !must))
		return -ENODEV;
	if (!ep->ats.usable)
		dev_warn(ep->dev, "its page requests are not served any more\n");
	ret = rviommu_iopf_queue(ep);
	if (!ret)
		ep->pri.users++;
	return ret;
}

/**
 * rviommu_iopf_start() - it has come
 * @ep: the device; its ATS was switched on, if it can be. Its lock is held.
 *
 * One that has to do without ATS meanwhile goes on without page requests.
 *
 * Return: 0 or an error: the device cannot be switched on.
 */
int rviommu_iopf_start(struct rviommu_endpoint *ep)
{
	if (!ep->ats.usable)
		return 0;
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

/* ----- Steps towards quiet ----- */

/**
 * struct iopf_quiet - page requests of a device become quiet, step by step
 * @ep: the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 * @timeout_ms: for so long responses are waited for, by who waits for no handler
 * @late: one had not come until then
 * @error: 0; -EIO: the IOMMU is out of service
 *
 * Of one thread, on its stack.
 */
struct iopf_quiet {
	struct rviommu_endpoint *ep;
	u32 pasid;
	unsigned int timeout_ms;
	bool late;
	int error;
};

typedef void (*iopf_step)(struct iopf_quiet *quiet);

/* The device asks nothing more. */
static void iopf_switch_off(struct iopf_quiet *quiet)
{
	rviommu_pri_disable(quiet->ep);
}

/* What is in the queue is with who handles it, or answered. */
static void iopf_read(struct iopf_quiet *quiet)
{
	rviommu_inq_service(&quiet->ep->iommu->pageq);
}

/* What was being read, or came, until it was closed is no more on its way. */
static void iopf_read_again(struct iopf_quiet *quiet)
{
	iopf_read(quiet);
}

/* What comes now comes from a device that may not ask. */
static void iopf_close(struct iopf_quiet *quiet)
{
	WRITE_ONCE(quiet->ep->pri.enabled, false);
}

/* What is looked at right now is with who handles it. */
static void iopf_pass(struct iopf_quiet *quiet)
{
	rviommu_pri_pass_message(quiet->ep);
}

/* What is not complete is forgotten. */
static void iopf_forget(struct iopf_quiet *quiet)
{
	rviommu_prgs_discard(&quiet->ep->pri.prgs, quiet->pasid);
}

/* What has no response yet gets one: there is nobody any more who could serve it. */
static void iopf_refuse(struct iopf_quiet *quiet)
{
	rviommu_pri_refuse(quiet->ep, quiet->pasid);
}

/* Whoever else has decided on a response has queued it. */
static void iopf_settle(struct iopf_quiet *quiet)
{
	rviommu_prgs_settle(&quiet->ep->pri.prgs, quiet->pasid);
}

/* The responses that were given have reached the device. */
static void iopf_fence(struct iopf_quiet *quiet)
{
	quiet->error = rviommu_cmdq_sync(&quiet->ep->iommu->cmdq, NULL, 0);
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
	struct rviommu_prg_info oldest;
	char whose[32] = "";

	if (rviommu_prgs_list(&ep->pri.prgs, &oldest, 1) && oldest.handed_on)
		scnprintf(whose, sizeof(whose), ", those of PASID %u first", oldest.pid);
	dev_err(ep->dev, "its page requests are handled for too long%s: they are answered, and whoever handles them is waited for\n",
		whose);
	rviommu_pri_refuse(ep, watch->pasid);
	schedule_delayed_work(&watch->work, rviommu_iopf_patience());
}

/*
 * Handlers that run are over. They use the domain, which may be gone soon: so they are waited
 * for however long they take. The device is not kept waiting, and the log says who is. The
 * core has one queue of them for a device, so those of its other PASIDs are waited for, too.
 */
static void iopf_wait_for_handlers(struct iopf_quiet *quiet)
{
	struct iopf_watch watch = { .ep = quiet->ep, .pasid = quiet->pasid };

	INIT_DELAYED_WORK_ONSTACK(&watch.work, iopf_too_long);
	schedule_delayed_work(&watch.work, rviommu_iopf_patience());
	iopf_queue_flush_dev(quiet->ep->dev);
	cancel_delayed_work_sync(&watch.work);
	destroy_delayed_work_on_stack(&watch.work);
}

/* Those who handle them may respond as before, for a while. */
static void iopf_wait_for_responses(struct iopf_quiet *quiet)
{
	struct rviommu_endpoint *ep = quiet->ep;

	quiet->late = !rviommu_prgs_wait(&ep->pri.prgs, quiet->pasid,
					 msecs_to_jiffies(quiet->timeout_ms));
	if (quiet->late)
		dev_warn_ratelimited(ep->dev, "page requests of PASID %u had no response in %u ms: it is given here\n",
				     quiet->pasid, quiet->timeout_ms);
}

/* A PASID is taken away: work that runs is over, so its domain may go. */
static const iopf_step iopf_take_away[] = {
	iopf_read, iopf_forget, iopf_wait_for_handlers, iopf_refuse, iopf_settle, iopf_fence, NULL
};

/* It has to do without ATS: nobody hears of its requests any more, and who has some keeps them. */
static const iopf_step iopf_give_up[] = {
	iopf_switch_off, iopf_read, iopf_close, iopf_read_again, iopf_forget, iopf_refuse,
	iopf_settle, iopf_fence, NULL
};

/* Nobody handles requests any more. Who reads one right now has handed it on by the second read. */
static const iopf_step iopf_take_all[] = {
	iopf_switch_off, iopf_read, iopf_close, iopf_read_again, iopf_forget,
	iopf_wait_for_handlers, iopf_refuse, iopf_settle, iopf_fence, NULL
};

/* For the driver of a device, which has stopped it. */
static const iopf_step iopf_drain[] = {
	iopf_read, iopf_forget, iopf_wait_for_responses, iopf_refuse, iopf_settle, iopf_fence, NULL
};

static const iopf_step iopf_cancel[] = {
	iopf_read, iopf_forget, iopf_refuse, iopf_settle, iopf_fence, NULL
};

/* Somebody else handles them. */
static const iopf_step iopf_replace[] = { iopf_pass, NULL };

static void iopf_nothing(struct iopf_quiet *quiet)
{
}

/* What has no response gets one before anybody is waited for. */
static void iopf_forget_and_refuse(struct iopf_quiet *quiet)
{
	iopf_forget(quiet);
	iopf_refuse(quiet);
}

/* What a mutation run does in the place of a step */
static const struct {
	enum rviommu_mutation what;
	iopf_step step;
	iopf_step instead;
} iopf_wrong[] = {
	{ RVIOMMU_MUTATE_PRI_FLUSH, iopf_read, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_FLUSH, iopf_read_again, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_DISCARD, iopf_forget, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_DISCARD_EARLY, iopf_read, iopf_forget },
	{ RVIOMMU_MUTATE_PRI_DISCARD_EARLY, iopf_forget, iopf_read },
	{ RVIOMMU_MUTATE_PRI_WAIT, iopf_wait_for_handlers, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_REFUSE, iopf_refuse, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_REFUSE_EARLY, iopf_forget, iopf_forget_and_refuse },
	{ RVIOMMU_MUTATE_PRI_FENCE, iopf_fence, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_FENCE_EARLY, iopf_refuse, iopf_fence },
	{ RVIOMMU_MUTATE_PRI_FENCE_EARLY, iopf_fence, iopf_refuse },
	{ RVIOMMU_MUTATE_PRI_SETTLE, iopf_settle, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_SWITCH_OFF, iopf_switch_off, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_CLOSE, iopf_close, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_FLUSH_AGAIN, iopf_read_again, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_RESPONSES, iopf_wait_for_responses, iopf_nothing },
	{ RVIOMMU_MUTATE_PRI_PASS, iopf_pass, iopf_nothing },
};

static void iopf_run(struct iopf_quiet *quiet, const iopf_step *step)
{
	for (; *step; step++)
		rviommu_step(&quiet->ep->iommu->mutate, iopf_wrong, *step)(quiet);
}

/**
 * rviommu_iopf_quiet() - nothing is left of the page requests of a PASID
 * @ep: the device. Its lock is held; nothing of what handles page requests may want that.
 * @pasid: the PASID, which is blocked; IOMMU_NO_PASID: the requester IDs are, and so is PASID 0
 *
 * Not in the IOMMU, not here, and not with who handles them.
 */
void rviommu_iopf_quiet(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	struct iopf_quiet quiet = { .ep = ep, .pasid = pasid };

	if (ep->pri.users)
		iopf_run(&quiet, iopf_take_away);
}

/**
 * rviommu_iopf_replaced() - who handles page requests is another one now
 * @ep: the device. Its lock is held.
 *
 * Nothing is drained: what the first one has it answers. But the core looks up who handles a
 * request, keeps no reference, and sleeps before it asks him: who replaces him forgets him soon.
 * A message that was handed on before the core's own record changes may have found him.
 */
void rviommu_iopf_replaced(struct rviommu_endpoint *ep)
{
	struct iopf_quiet quiet = { .ep = ep };

	iopf_run(&quiet, iopf_replace);
}

/**
 * rviommu_iopf_stop() - nothing is left of the page requests of a device, and none come
 * @ep: the device. Its lock is held.
 *
 * Whoever releases it waits for its handlers here, and not under a lock of others.
 */
void rviommu_iopf_stop(struct rviommu_endpoint *ep)
{
	struct iopf_quiet quiet = { .ep = ep, .pasid = RVIOMMU_PRG_ALL };

	if (ep->pri.queue)
		iopf_run(&quiet, iopf_take_all);
}

/**
 * rviommu_iopf_give_up() - a device has to do without ATS, and so without page requests
 * @ep: the device. Its lock is held.
 *
 * What handles them stays attached, and is asked nothing more; nobody waits for it.
 */
void rviommu_iopf_give_up(struct rviommu_endpoint *ep)
{
	struct iopf_quiet quiet = { .ep = ep, .pasid = RVIOMMU_PRG_ALL };

	if (!ep->pri.users)
		return;
	dev_warn(ep->dev, "its page requests are not served any more\n");
	iopf_run(&quiet, iopf_give_up);
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

/**
 * rviommu_iopf_flush() - what a device has asked until now is with who handles it
 * @dev: the device
 *
 * Of all its PASIDs, for the queue of the IOMMU is one: it has been read up to where it was;
 * groups that are complete were handed on, or answered. Nobody is waited for.
 *
 * Context: may sleep; a driver bound to @dev, and not from what handles its requests.
 * Return: 0; -ENODEV if it is behind no IOMMU of this driver.
 */
int rviommu_iopf_flush(struct device *dev)
{
	struct rviommu_endpoint *ep = rviommu_endpoint_of(dev);

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
	struct iopf_quiet quiet = {
		.ep = rviommu_endpoint_of(dev), .pasid = pasid, .timeout_ms = timeout_ms,
	};

	if (!quiet.ep)
		return -ENODEV;
	if (quiet.ep->pri.usable)
		iopf_run(&quiet, iopf_drain);
	return quiet.error ?: (quiet.late ? -ETIMEDOUT : 0);
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
	struct iopf_quiet quiet = { .ep = rviommu_endpoint_of(dev), .pasid = pasid };

	if (!quiet.ep)
		return -ENODEV;
	if (quiet.ep->pri.usable)
		iopf_run(&quiet, iopf_cancel);
	return quiet.error;
}
EXPORT_SYMBOL_GPL(rviommu_iopf_cancel);
