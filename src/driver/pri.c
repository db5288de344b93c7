// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of a device: its interface, its groups, and who is asked to handle them.
 *
 * A message is looked at by one thread at a time (rviommu.pageq.lock), in the order of the
 * queue. A group that is complete goes to the core in one go, so the core, which puts requests
 * together by index alone, has never more than one of a device that is not complete. Its
 * response comes from the handler, at any time, by any thread; or from whoever takes
 * the handler away. rviommu_prgs sees to it that there is one.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/pci.h>
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

static void pri_send(struct rviommu *iommu, const char *device, u16 rid, u8 seg, bool pv,
		     const struct rviommu_page_message *message, u8 code)
{
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(rid, seg, message->index, code);
	u32 fence;

	if (pv)
		cmd = rviommu_cmd_with_pasid(cmd, message->pid);
	rviommu_pri_seam(iommu);
	/* Nobody waits for it. -EIO: nothing is translated any more, nor answered. */
	rviommu_cmdq_issue(&iommu->cmdq, &cmd, 1, &fence);
	if (trace_rviommu_page_response_enabled())
		trace_rviommu_page_response(iommu->bus, device, message, code,
					    message->since ? ktime_get_ns() - message->since : 0);
}

static void pri_respond(struct rviommu_endpoint *ep, const struct rviommu_page_message *message,
			u8 code)
{
	pri_send(ep->iommu, ep->name, ep->ats.rid, ep->ats.seg, message->pv && ep->pri.pasid,
		 message, code);
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
 * rviommu_page_response() - iommu_ops: a handler responds
 * @dev: the device
 * @fault: the last request of the group, as it was reported
 * @response: what is said
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

	/* Of a request that is not the last one the core says something, too: no cookie. */
	if (rviommu_prgs_answer(&ep->pri.prgs, prm->private_data[0], &answer))
		pri_answer(ep, &answer, response->code == IOMMU_PAGE_RESP_SUCCESS ?
			   RVIOMMU_PRG_SUCCESS : RVIOMMU_PRG_INVALID);
}

/* ----- Messages ----- */

/*
 * The device of a message, or NULL. It stays until pri_end(): what is done with the message
 * sleeps, so RCU is not enough.
 */
static struct rviommu_endpoint *pri_begin(struct rviommu *iommu, u32 id)
{
	struct rviommu_endpoint *ep;
	struct rviommu_did *did;

	guard(rcu)();
	did = xa_load(&iommu->dids, id);
	ep = did ? READ_ONCE(did->owner) : NULL;
	/* Inside: who has waited for readers of RCU sees it, rviommu_pri_await_message(). */
	WRITE_ONCE(iommu->asking, ep);
	return ep;
}

static void pri_end(struct rviommu *iommu)
{
	smp_store_release(&iommu->asking, NULL);
	wake_up_all(&iommu->asked);
}

/* Does somebody handle requests with this PASID, or without? */
static bool pri_is_handled(struct rviommu_endpoint *ep, const struct rviommu_page_message *message)
{
	const struct rviommu_attachment *a;

	guard(rcu)();
	a = rviommu_attached(ep, message->pv ? message->pid : IOMMU_NO_PASID);
	return a && a->faults;
}

static int pri_report(struct rviommu_endpoint *ep, const struct rviommu_page_message *message,
		      u64 cookie)
{
	struct iopf_fault fault = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = (message->pv ? IOMMU_FAULT_PAGE_REQUEST_PASID_VALID : 0) |
				 (message->last ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0) |
				 (ep->pri.pasid ? IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID : 0),
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

static void pri_request(struct rviommu_endpoint *ep, const struct rviommu_page_message *message)
{
	const struct rviommu_page_message request = rviommu_filter_page_message(ep->iommu,
										*message);
	struct rviommu_page_message last = request;
	struct rviommu_prgs *prgs = &ep->pri.prgs;
	struct rviommu_prg *group;

	switch (rviommu_prgs_add(prgs, &request, &group)) {
	case RVIOMMU_PRG_KEPT:
		break;
	case RVIOMMU_PRG_COMPLETE:
		if (pri_is_handled(ep, message)) {
			pri_hand_on(ep, group);
			break;
		}
		last.since = group->since;
		rviommu_prgs_refuse(prgs, group);
		pri_respond_invalid(ep, &last);
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
	if (!message->last)
		return;
	atomic64_inc(&iommu->strangers);
	pri_send(iommu, device, message->did, message->did >> 16, pasid, message, RVIOMMU_PRG_INVALID);
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

/**
 * rviommu_pri_pass_message() - a message of a device that is looked at now has been handed on
 * @ep: the device
 *
 * A message of another device is not waited for, nor one that comes to another IOMMU.
 *
 * Context: may sleep.
 */
void rviommu_pri_pass_message(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;

	wait_event(iommu->asked, smp_load_acquire(&iommu->asking) != ep);
}

/**
 * rviommu_pri_await_message() - nobody looks at a message of a device any more
 * @ep: the device; it has none of its IDs any more
 *
 * Context: may sleep.
 */
void rviommu_pri_await_message(struct rviommu_endpoint *ep)
{
	/* Who has found it by one of its IDs has said so. */
	synchronize_rcu();
	rviommu_pri_pass_message(ep);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pri_await_message);

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

/* ----- The device's own interface ----- */

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
		rviommu_pri_await_message(ep);
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
static int pri_enable_pci(struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev = to_pci_dev(ep->dev);
	const int base = ep->pri.ctrl - PCI_PRI_CTRL;
	u16 status;

	if (pdev->is_virtfn)
		return pri_join(ep);
	if (pci_read_config_word(pdev, base + PCI_PRI_STATUS, &status))
		return -EIO;
	/* It was left on for the virtual ones. */
	if (ep->pri.virtuals && !(status & PCI_PRI_STATUS_STOPPED))
		return 0;
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
