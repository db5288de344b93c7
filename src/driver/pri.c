// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of a device: its groups, and who is asked to handle them.
 *
 * A message is looked at by one thread at a time (rviommu.pageq.lock), in the order of the
 * queue. A group that is complete goes to the core in one go, so the core, which puts requests
 * together by index alone, has never more than one of a device that is not complete. Its
 * response comes from the handler, at any time, by any thread; or from whoever takes
 * the handler away. rviommu_prgs sees to it that there is one.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/wait.h>

#include "attachment.h"
#include "cmdq.h"
#include "command.h"
#include "endpoint.h"
#include "filter.h"
#include "prg.h"
#include "pri.h"
#include "rviommu.h"
#include "trace.h"

/* ----- Responses ----- */

#if IS_ENABLED(CONFIG_KUNIT)
/**
 * rviommu_pri_seam() - between the decision on a response and its way into the command queue
 * @iommu: of the device
 *
 * Does nothing. Here a test lets others act.
 */
void rviommu_pri_seam(struct rviommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_pri_seam, iommu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_seam);
#endif

/* Nobody waits for it. Returns 0, or -EIO: nothing is translated, nor answered. */
static int pri_send(struct rviommu *iommu, const char *device, u16 rid, u8 seg, bool pv,
		    const struct rviommu_page_message *message, u8 code)
{
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(rid, seg, message->index, code);
	u32 fence;
	int ret;

	if (pv)
		cmd = rviommu_cmd_with_pasid(cmd, message->pid);
	rviommu_pri_seam(iommu);
	ret = rviommu_cmdq_issue(&iommu->cmdq, &cmd, 1, &fence);
	if (!ret && trace_rviommu_page_response_enabled())
		trace_rviommu_page_response(iommu->bus, device, message, code,
					    message->since ? ktime_get_ns() - message->since : 0);
	return ret;
}

static void pri_respond(struct rviommu_endpoint *ep, const struct rviommu_page_message *message,
			u8 code)
{
	/* A handler may come to its end while the system sleeps. */
	if (pri_send(ep->iommu, ep->name, ep->ats.rid, ep->ats.seg,
		     message->pv && ep->pri.pasid, message, code))
		WRITE_ONCE(ep->pri.unsent, true);
}

static void pri_respond_invalid(struct rviommu_endpoint *ep,
				const struct rviommu_page_message *message)
{
	atomic64_inc(&ep->pri.refused);
	pri_respond(ep, message, RVIOMMU_PRG_INVALID);
}

/* A group that is in no list any more: from now on only @answer says that it is not quiet. */
static void pri_answer(struct rviommu_endpoint *ep, struct rviommu_prg_answer *answer, u8 code)
{
	pri_respond(ep, &answer->message, code);
	rviommu_prgs_answered(&ep->pri.prgs, answer);
}

/**
 * struct pri_handler - who handles page requests with a PASID, or without
 * @nr: rviommu_attachment.nr; 0: nobody
 * @known: the core knows him: what it is told now it tells him
 */
struct pri_handler {
	u64 nr;
	bool known;
};

static struct pri_handler pri_handler(struct rviommu_endpoint *ep,
				      const struct rviommu_page_message *message)
{
	struct rviommu_attachment *a;

	guard(rcu)();
	a = rviommu_attached(ep, message->pv ? message->pid : IOMMU_NO_PASID);
	if (!a || !a->faults)
		return (struct pri_handler) {};
	return (struct pri_handler) { .nr = a->nr, .known = rviommu_attachment_is_known(a) };
}

/* Does somebody else handle now what the group asks for? */
static bool pri_was_replaced(struct rviommu_endpoint *ep, const struct rviommu_prg_answer *answer)
{
	u64 nr = pri_handler(ep, &answer->message).nr;

	return nr && nr != answer->handler;
}

/**
 * rviommu_page_response() - iommu_ops: a handler responds
 * @dev: the device
 * @fault: the last request of the group, as it was reported
 * @response: what is said
 *
 * What somebody refused who was replaced meanwhile the device asks again, of who came after him.
 *
 * Response Failure ends the whole interface of a device (PCIe "Page Request Group Response
 * Message"), for all its PASIDs. The core says failure of one group: it had no memory, or its
 * handler takes none any more. So that is an Invalid Request.
 *
 * Context: may sleep; a lock of the core is held.
 */
void rviommu_page_response(struct device *dev, struct iopf_fault *fault,
			   struct iommu_page_response *response)
{
	const struct iommu_fault_page_request *prm = &fault->fault.prm;
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu_prg_answer answer;
	bool again;

	/* Of a request that is not the last one the core says something, too: no cookie. */
	if (!rviommu_prgs_answer(&ep->pri.prgs, prm->private_data[0], &answer))
		return;
	again = response->code != IOMMU_PAGE_RESP_SUCCESS && pri_was_replaced(ep, &answer);
	if (again)
		atomic64_inc(&ep->pri.again);
	pri_answer(ep, &answer, again || response->code == IOMMU_PAGE_RESP_SUCCESS ?
		   RVIOMMU_PRG_SUCCESS : RVIOMMU_PRG_INVALID);
}

/* ----- Messages ----- */

/* Under RCU. */
VISIBLE_IF_KUNIT struct rviommu_endpoint *rviommu_pri_owner(struct rviommu *iommu, u32 id)
{
	struct rviommu_did *did;

	KUNIT_STATIC_STUB_REDIRECT(rviommu_pri_owner, iommu, id);
	did = xa_load(&iommu->dids, id);
	return did ? READ_ONCE(did->owner) : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_owner);

/*
 * The device of a message, or NULL. It stays until pri_end(): what is done with the message
 * sleeps, so RCU is not enough. Who releases a device takes its IDs, and then looks whether it is
 * said to be asking; so the ID is looked up again after that was said.
 */
static struct rviommu_endpoint *pri_begin(struct rviommu *iommu, u32 id)
{
	struct rviommu_endpoint *ep;

	guard(rcu)();
	do {
		ep = rviommu_pri_owner(iommu, id);
		WRITE_ONCE(iommu->asking, ep);
		/* Pairs with the barrier in rviommu_pri_pass_message(). */
		smp_mb();
	} while (ep != rviommu_pri_owner(iommu, id));
	return ep;
}

static void pri_end(struct rviommu *iommu)
{
	/* Whatever was done with the device before: pri_passed(). */
	smp_store_release(&iommu->asked_nr, iommu->asked_nr + 1);
	/* Likewise. */
	smp_store_release(&iommu->asking, NULL);
	wake_up_all(&iommu->asked);
}

static int pri_report(struct rviommu_endpoint *ep, const struct rviommu_page_message *message,
		      u64 cookie)
{
	struct iopf_fault fault = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = (message->pv ? IOMMU_FAULT_PAGE_REQUEST_PASID_VALID : 0) |
				 (message->last ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0) |
				 (message->pv && ep->pri.pasid ?
				  IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID : 0),
			.pasid = message->pv ? message->pid : IOMMU_NO_PASID,
			.grpid = message->index,
			.perm = (message->read ? IOMMU_FAULT_PERM_READ : 0) |
				(message->write ? IOMMU_FAULT_PERM_WRITE : 0) |
				(message->exec ? IOMMU_FAULT_PERM_EXEC : 0) |
				(message->priv ? IOMMU_FAULT_PERM_PRIV : 0),
			.addr = message->addr,
			.private_data = { cookie },
		},
	};

	return iommu_report_device_fault(ep->dev, &fault);
}

/**
 * struct pri_handover - a group on its way to who handles it
 * @ep: the device
 * @group: the group, complete
 * @last: its last request
 * @cookie: of the group
 */
struct pri_handover {
	struct rviommu_endpoint *ep;
	struct rviommu_prg *group;
	struct rviommu_page_message last;
	u64 cookie;
};

/*
 * A request that the core had no memory for is missing where it is handled: the device asks for
 * it again.
 */
static void pri_report_others(struct pri_handover *h)
{
	struct rviommu_prg_request *request;

	list_for_each_entry(request, &h->group->requests, node)
		if (!request->message.last)
			pri_report(h->ep, &request->message, 0);
}

/* It may be answered before the next step returns. */
static void pri_await_response(struct pri_handover *h)
{
	atomic64_inc(&h->ep->pri.groups);
	rviommu_prgs_hand_on(&h->ep->pri.prgs, h->group);
}

/* An error says that it has been answered. */
static void pri_report_last(struct pri_handover *h)
{
	pri_report(h->ep, &h->last, h->cookie);
}

#define PRI_HANDOVER_STEPS	3

typedef void (*pri_handover_step)(struct pri_handover *h);

/* The right order, and wrong ones: so that tests can show that they would notice. */
static const pri_handover_step pri_handover_order[PRI_HANDOVER_STEPS] = {
	pri_report_others, pri_await_response, pri_report_last,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static void pri_report_none(struct pri_handover *h)
{
}

static const pri_handover_step pri_handover_no_others[PRI_HANDOVER_STEPS] = {
	pri_report_none, pri_await_response, pri_report_last,
};

static const pri_handover_step pri_handover_late[PRI_HANDOVER_STEPS] = {
	pri_report_others, pri_report_last, pri_await_response,
};

static const pri_handover_step *pri_handover_steps(const struct rviommu *iommu)
{
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_PRI_OTHERS))
		return pri_handover_no_others;
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_PRI_LATE))
		return pri_handover_late;
	return pri_handover_order;
}
#else
static const pri_handover_step *pri_handover_steps(const struct rviommu *iommu)
{
	return pri_handover_order;
}
#endif

/* All of it in one go. */
static void pri_hand_on(struct rviommu_endpoint *ep, struct rviommu_prg *group)
{
	struct pri_handover h = {
		.ep = ep, .group = group, .cookie = group->cookie,
		.last = list_last_entry(&group->requests, struct rviommu_prg_request,
					node)->message,
	};
	const pri_handover_step *steps = pri_handover_steps(ep->iommu);
	unsigned int i;

	for (i = 0; i < PRI_HANDOVER_STEPS; i++)
		steps[i](&h);
}

/*
 * A request that is not the last one of its group: is it worth keeping? R and W say what a device
 * seeks. One that seeks neither is no Stop Marker, which has L (spec "Page-Request-Queue (PQ)"),
 * and there is nothing that could be served. What nobody handles is not kept for whoever has
 * the PASID next.
 */
static bool pri_is_kept(struct rviommu_endpoint *ep, const struct rviommu_page_message *message)
{
	return (message->read || message->write) && pri_handler(ep, message).nr;
}

/* Its last request has come. */
static void pri_complete(struct rviommu_endpoint *ep, struct rviommu_prg *group,
			 const struct rviommu_page_message *message)
{
	const struct pri_handler handler = pri_handler(ep, message);
	struct rviommu_page_message last = *message;

	if (handler.nr && handler.known) {
		group->handler = handler.nr;
		pri_hand_on(ep, group);
		return;
	}
	last.since = group->since;
	rviommu_prgs_refuse(&ep->pri.prgs, group);
	if (!handler.nr) {
		pri_respond_invalid(ep, &last);
		return;
	}
	/* Not for long. */
	atomic64_inc(&ep->pri.again);
	pri_respond(ep, &last, RVIOMMU_PRG_SUCCESS);
}

static void pri_request(struct rviommu_endpoint *ep, const struct rviommu_page_message *message)
{
	const struct rviommu_page_message request = rviommu_filter_page_message(ep->iommu,
										*message);
	struct rviommu_prg *group;

	if (!message->read && !message->write)
		dev_warn_ratelimited(ep->dev, "asks for a page without saying what for\n");
	if (!message->last &&
	    !rviommu_filter_kept(&ep->iommu->mutate, pri_is_kept(ep, message))) {
		atomic64_inc(&ep->pri.dropped);
		return;
	}
	switch (rviommu_prgs_add(&ep->pri.prgs, &request, &group)) {
	case RVIOMMU_PRG_KEPT:
		break;
	case RVIOMMU_PRG_COMPLETE:
		pri_complete(ep, group, &request);
		break;
	case RVIOMMU_PRG_REFUSED:
		dev_warn_ratelimited(ep->dev, "asks for more pages than it may\n");
		pri_respond_invalid(ep, message);
		break;
	case RVIOMMU_PRG_DROPPED:
		atomic64_inc(&ep->pri.dropped);
		break;
	}
}

/*
 * Of a device that is not known, or sends page requests although its interface is off, or is on
 * for others that share it: it gets the response that it may wait for. If it is not known, nobody
 * knows whether with a PASID.
 */
static void pri_stranger(struct rviommu *iommu, const struct rviommu_endpoint *ep,
			 const char *device, const struct rviommu_page_message *message)
{
	bool pasid = message->pv && ep && ep->pri.usable && ep->pri.pasid;

	dev_warn_ratelimited(iommu->dev, "page request of device %#x, which may send none\n",
			     message->did);
	atomic64_inc(&iommu->strangers);
	if (!message->last)
		return;
	pri_send(iommu, device, message->did, message->did >> 16, pasid, message,
		 RVIOMMU_PRG_INVALID);
}

/**
 * rviommu_pri_message() - a message of a device has come
 * @iommu: the IOMMU
 * @message: the message
 *
 * Context: may sleep; rviommu.pageq.lock is held.
 */
void rviommu_pri_message(struct rviommu *iommu, const struct rviommu_page_message *message)
{
	struct rviommu_endpoint *ep = pri_begin(iommu, message->did);
	const char *device = ep ? ep->name : "unknown";

	trace_rviommu_page_request(iommu->bus, device, message);
	/* It says that a PASID is quiet: who takes the PASID away finds out by himself. */
	if (rviommu_page_is_stop_marker(message)) {
		if (ep)
			atomic64_inc(&ep->pri.dropped);
	} else if (ep && READ_ONCE(ep->pri.enabled)) {
		pri_request(ep, message);
	} else {
		pri_stranger(iommu, ep, device, message);
	}
	pri_end(iommu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_message);

/* Is it over with the message of @ep that was looked at when @nr had been handed on? */
static bool pri_passed(const struct rviommu *iommu, const struct rviommu_endpoint *ep, u64 nr)
{
	/* Pairs with pri_end(). */
	if (smp_load_acquire(&iommu->asking) != ep)
		return true;
	/* Likewise: the one that is looked at now may be another one of the device. */
	return smp_load_acquire(&iommu->asked_nr) != nr;
}

/**
 * rviommu_pri_pass_message() - a message of a device that is looked at now has been handed on
 * @ep: the device
 *
 * One, if there is one: whatever comes behind it finds what was changed before. A message of
 * another device is not waited for, nor one that comes to another IOMMU, nor readers of RCU.
 *
 * Context: may sleep.
 */
void rviommu_pri_pass_message(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	u64 nr;

	/* Pairs with the barrier in pri_begin(). */
	smp_mb();
	nr = READ_ONCE(iommu->asked_nr);
	wait_event(iommu->asked, pri_passed(iommu, ep, nr));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_pass_message);

/**
 * rviommu_pri_discard() - messages were lost
 * @iommu: the IOMMU
 *
 * Groups that are not complete may never be: of all its devices, for nobody knows of which one
 * they were.
 *
 * Context: may sleep; rviommu.pageq.lock is held.
 */
void rviommu_pri_discard(struct rviommu *iommu)
{
	struct rviommu_did *did;
	unsigned long id;

	guard(rcu)();
	xa_for_each(&iommu->dids, id, did) {
		struct rviommu_endpoint *ep = READ_ONCE(did->owner);

		if (ep && ep->pri.usable)
			rviommu_prgs_discard(&ep->pri.prgs, RVIOMMU_PRG_ALL);
	}
}

/**
 * rviommu_pri_refuse() - groups that are outstanding are answered here, and not handled any more
 * @ep: the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 *
 * Those that are outstanding now: a device may go on asking.
 */
void rviommu_pri_refuse(struct rviommu_endpoint *ep, u32 pasid)
{
	const u64 newest = rviommu_prgs_newest(&ep->pri.prgs);
	struct rviommu_prg_answer answer;

	while (rviommu_prgs_take(&ep->pri.prgs, pasid, newest, &answer)) {
		atomic64_inc(&ep->pri.refused);
		pri_answer(ep, &answer, RVIOMMU_PRG_INVALID);
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_refuse);
