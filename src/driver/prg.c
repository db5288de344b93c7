// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page Request Groups: which requests of a device belong together, and which of its groups
 * wait for a response.
 *
 * A group is known by PASID and index: groups of several PASIDs may have the same index at a
 * time. Nothing here allocates but rviommu_prgs_init(), and nothing waits but
 * rviommu_prgs_wait() and rviommu_prgs_settle().
 */
#include <linux/bitfield.h>
#include <linux/timekeeping.h>
#include <kunit/visibility.h>

#include "mem.h"
#include "mutate.h"
#include "prg.h"

/**
 * rviommu_page_decode() - a record of the page-request queue as the driver uses it
 * @record: as it lies in the queue (spec "Page-Request-Queue (PQ)")
 *
 * Return: the message.
 */
struct rviommu_page_message rviommu_page_decode(const struct rviommu_page_request *record)
{
	u64 hdr = le64_to_cpu(record->hdr), payload = le64_to_cpu(record->payload);
	bool pv = hdr & RVIOMMU_PAGE_PV;

	return (struct rviommu_page_message) {
		.did = FIELD_GET(RVIOMMU_PAGE_DID, hdr),
		.pid = pv ? FIELD_GET(RVIOMMU_PAGE_PID, hdr) : 0,
		.index = FIELD_GET(RVIOMMU_PAGE_INDEX, payload),
		.addr = payload & RVIOMMU_PAGE_ADDR,
		.pv = pv,
		/* Valid with a PASID only. */
		.priv = pv && hdr & RVIOMMU_PAGE_PRIV,
		.exec = pv && hdr & RVIOMMU_PAGE_EXEC,
		.read = payload & RVIOMMU_PAGE_R,
		.write = payload & RVIOMMU_PAGE_W,
		.last = payload & RVIOMMU_PAGE_L,
	};
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_page_decode);

/**
 * rviommu_page_is_stop_marker() - does a message say that a PASID is used no more?
 * @message: the message
 *
 * Spec "Page-Request-Queue (PQ)": L, and neither R nor W. It wants no response. It should have a
 * PASID ("PCIe ATS Page Request handling"); one that has none asks for nothing either, and the
 * IOMMU itself would not respond to it.
 *
 * Return: true if it does.
 */
bool rviommu_page_is_stop_marker(const struct rviommu_page_message *message)
{
	return message->last && !message->read && !message->write;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_page_is_stop_marker);

/**
 * rviommu_prgs_init() - a device sends page requests from now on
 * @prgs: filled in here
 * @requests: how many it may have outstanding, at least 1
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_prgs_init(struct rviommu_prgs *prgs, unsigned int requests)
{
	struct rviommu_prg_request *request;
	struct rviommu_prg *group;
	unsigned int i;

	spin_lock_init(&prgs->lock);
	INIT_LIST_HEAD(&prgs->partial);
	INIT_LIST_HEAD(&prgs->outstanding);
	INIT_LIST_HEAD(&prgs->answers);
	INIT_LIST_HEAD(&prgs->free);
	INIT_LIST_HEAD(&prgs->free_requests);
	init_waitqueue_head(&prgs->answered);
	prgs->mutate = NULL;
	prgs->cookie = 0;
	prgs->memory = rviommu_zalloc(array_size(requests, sizeof(*group) + sizeof(*request)),
				      GFP_KERNEL);
	if (!prgs->memory)
		return -ENOMEM;
	group = prgs->memory;
	request = (struct rviommu_prg_request *)(group + requests);
	for (i = 0; i < requests; i++) {
		INIT_LIST_HEAD(&group[i].requests);
		list_add_tail(&group[i].node, &prgs->free);
		list_add_tail(&request[i].node, &prgs->free_requests);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_init);

/**
 * rviommu_prgs_exit() - it sends none any more
 * @prgs: of the device; nothing is outstanding, or nobody knows of it
 */
void rviommu_prgs_exit(struct rviommu_prgs *prgs)
{
	rviommu_free(prgs->memory);
	prgs->memory = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_exit);

/* Is a group one of @pasid? */
static bool prg_is_of(const struct rviommu_prg *group, u32 pasid)
{
	return pasid == RVIOMMU_PRG_ALL || group->pid == pasid;
}

/* ----- Which group a message is of ----- */

typedef bool (*prg_compare)(const struct rviommu_prg *group,
			    const struct rviommu_page_message *message);

/**
 * struct prg_rules - how groups are told apart, and which of them can be served
 * @joins: does a message belong to a group whose last request has not come?
 * @repeats: is it one of a group that waits for its response? One is all that an index can get.
 * @serves: may a group be handed on whose last request has come?
 */
struct prg_rules {
	prg_compare joins;
	prg_compare repeats;
	bool (*serves)(const struct rviommu_prg *group);
};

static bool prg_has_key(const struct rviommu_prg *group,
			const struct rviommu_page_message *message)
{
	return group->index == message->index && group->pv == message->pv &&
	       group->pid == message->pid;
}

/* Of one that found no room for a request nobody knows what it asks for. */
static bool prg_is_whole(const struct rviommu_prg *group)
{
	return !group->spoiled;
}

/* The right rules, and wrong ones: so that tests can show that they would notice. */
static const struct prg_rules prg_right = {
	.joins = prg_has_key, .repeats = prg_has_key, .serves = prg_is_whole,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static bool prg_has_index(const struct rviommu_prg *group,
			  const struct rviommu_page_message *message)
{
	return group->index == message->index;
}

static bool prg_never(const struct rviommu_prg *group, const struct rviommu_page_message *message)
{
	return false;
}

static bool prg_always(const struct rviommu_prg *group)
{
	return true;
}

static const struct prg_rules prg_by_index = {
	.joins = prg_has_index, .repeats = prg_has_index, .serves = prg_is_whole,
};

static const struct prg_rules prg_reuse = {
	.joins = prg_has_key, .repeats = prg_never, .serves = prg_is_whole,
};

static const struct prg_rules prg_spoiled = {
	.joins = prg_has_key, .repeats = prg_has_key, .serves = prg_always,
};

static const struct prg_rules *prg_rules(const struct rviommu_prgs *prgs)
{
	if (rviommu_mutates(prgs, RVIOMMU_MUTATE_PRI_KEY))
		return &prg_by_index;
	if (rviommu_mutates(prgs, RVIOMMU_MUTATE_PRI_REUSE))
		return &prg_reuse;
	if (rviommu_mutates(prgs, RVIOMMU_MUTATE_PRI_SPOILED))
		return &prg_spoiled;
	return &prg_right;
}
#else
static const struct prg_rules *prg_rules(const struct rviommu_prgs *prgs)
{
	return &prg_right;
}
#endif

static struct rviommu_prg *prg_find(struct list_head *list, prg_compare is,
				    const struct rviommu_page_message *message)
{
	struct rviommu_prg *group;

	list_for_each_entry(group, list, node)
		if (is(group, message))
			return group;
	return NULL;
}

static void prg_release(struct rviommu_prgs *prgs, struct rviommu_prg *group)
{
	list_splice_init(&group->requests, &prgs->free_requests);
	list_move(&group->node, &prgs->free);
}

/* The group of a message, which may be its first one; NULL: there is no room. */
static struct rviommu_prg *prg_get(struct rviommu_prgs *prgs,
				   const struct rviommu_page_message *message)
{
	struct rviommu_prg *group = prg_find(&prgs->partial, prg_rules(prgs)->joins, message);

	if (group)
		return group;
	group = list_first_entry_or_null(&prgs->free, struct rviommu_prg, node);
	if (!group)
		return NULL;
	group->cookie = ++prgs->cookie;
	group->since = ktime_get_ns();
	group->pid = message->pid;
	group->index = message->index;
	group->pv = message->pv;
	group->spoiled = false;
	group->handler = 0;
	list_move_tail(&group->node, &prgs->partial);
	return group;
}

/**
 * rviommu_prgs_add() - a request has come
 * @prgs: of the device
 * @message: the request, no Stop Marker
 * @group: the group that is complete, if it is. It is the caller's until he calls
 *         rviommu_prgs_hand_on() or rviommu_prgs_refuse(), which he does before he adds another
 *         request.
 *
 * Context: any but an interrupt. One at a time for a device.
 * Return: what becomes of it.
 */
enum rviommu_prg_fate rviommu_prgs_add(struct rviommu_prgs *prgs,
				       const struct rviommu_page_message *message,
				       struct rviommu_prg **group)
{
	struct rviommu_prg_request *request;
	struct rviommu_prg *found;

	guard(spinlock)(&prgs->lock);
	if (prg_find(&prgs->outstanding, prg_rules(prgs)->repeats, message))
		return RVIOMMU_PRG_DROPPED;
	found = prg_get(prgs, message);
	request = list_first_entry_or_null(&prgs->free_requests, struct rviommu_prg_request, node);
	if (!found)
		return message->last ? RVIOMMU_PRG_REFUSED : RVIOMMU_PRG_DROPPED;
	if (request) {
		request->message = *message;
		request->message.since = found->since;
		list_move_tail(&request->node, &found->requests);
	} else {
		found->spoiled = true;
	}
	if (!message->last)
		return request ? RVIOMMU_PRG_KEPT : RVIOMMU_PRG_DROPPED;
	if (!prg_rules(prgs)->serves(found)) {
		prg_release(prgs, found);
		return RVIOMMU_PRG_REFUSED;
	}
	list_del_init(&found->node);
	*group = found;
	return RVIOMMU_PRG_COMPLETE;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_add);

/**
 * rviommu_prgs_hand_on() - a group waits for its response from now on
 * @prgs: of the device
 * @group: the group, complete. It may be answered, and be another one, as soon as this is called.
 */
void rviommu_prgs_hand_on(struct rviommu_prgs *prgs, struct rviommu_prg *group)
{
	guard(spinlock)(&prgs->lock);
	list_add_tail(&group->node, &prgs->outstanding);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_hand_on);

/**
 * rviommu_prgs_refuse() - nobody handles a group
 * @prgs: of the device
 * @group: the group, complete: the caller sends the response
 */
void rviommu_prgs_refuse(struct rviommu_prgs *prgs, struct rviommu_prg *group)
{
	guard(spinlock)(&prgs->lock);
	prg_release(prgs, group);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_refuse);

/*
 * Take the oldest group out of those that are outstanding: of @pasid, and from @oldest to @newest.
 * @answer becomes one to its last request. False if there is none.
 */
static bool prgs_take(struct rviommu_prgs *prgs, u32 pasid, u64 oldest, u64 newest,
		      struct rviommu_prg_answer *answer)
{
	struct rviommu_prg *group;
	bool found = false;

	spin_lock(&prgs->lock);
	list_for_each_entry(group, &prgs->outstanding, node) {
		if (!prg_is_of(group, pasid) || group->cookie < oldest || group->cookie > newest)
			continue;
		answer->cookie = group->cookie;
		answer->handler = group->handler;
		answer->message = list_last_entry(&group->requests, struct rviommu_prg_request,
						  node)->message;
		list_add_tail(&answer->node, &prgs->answers);
		prg_release(prgs, group);
		found = true;
		break;
	}
	spin_unlock(&prgs->lock);
	if (found)
		wake_up_all(&prgs->answered);
	return found;
}

/**
 * rviommu_prgs_answer() - may a group have its response?
 * @prgs: of the device
 * @cookie: of the group; 0 is that of none
 * @answer: filled in here, and the caller's until rviommu_prgs_answered()
 *
 * Context: any but an interrupt.
 * Return: true if the caller sends it; false if somebody else does, or has.
 */
bool rviommu_prgs_answer(struct rviommu_prgs *prgs, u64 cookie,
			 struct rviommu_prg_answer *answer)
{
	return cookie && prgs_take(prgs, RVIOMMU_PRG_ALL, cookie, cookie, answer);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_answer);

/**
 * rviommu_prgs_discard() - what is not complete is forgotten
 * @prgs: of the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 *
 * They want no response: their last request has not come, and if it comes it will be a group
 * of its own.
 *
 * Return: how many groups that were.
 */
unsigned int rviommu_prgs_discard(struct rviommu_prgs *prgs, u32 pasid)
{
	struct rviommu_prg *group, *next;
	unsigned int nr = 0;

	guard(spinlock)(&prgs->lock);
	list_for_each_entry_safe(group, next, &prgs->partial, node) {
		if (!prg_is_of(group, pasid))
			continue;
		prg_release(prgs, group);
		nr++;
	}
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_discard);

/**
 * rviommu_prgs_newest() - which group is the newest?
 * @prgs: of the device
 *
 * A device that goes on asking keeps nobody who looks no further.
 *
 * Return: its cookie; 0 if there has been none.
 */
u64 rviommu_prgs_newest(struct rviommu_prgs *prgs)
{
	guard(spinlock)(&prgs->lock);
	return prgs->cookie;
}

/**
 * rviommu_prgs_take() - a group that is outstanding gets its response from the caller
 * @prgs: of the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 * @newest: up to this one
 * @answer: as for rviommu_prgs_answer()
 *
 * The oldest. Whoever handles it finds that it was answered, rviommu_prgs_answer().
 *
 * Return: false if there is none.
 */
bool rviommu_prgs_take(struct rviommu_prgs *prgs, u32 pasid, u64 newest,
		       struct rviommu_prg_answer *answer)
{
	return prgs_take(prgs, pasid, 0, newest, answer);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_take);

/**
 * rviommu_prgs_answered() - a response is queued
 * @prgs: of the device
 * @answer: from rviommu_prgs_answer() or rviommu_prgs_take()
 */
void rviommu_prgs_answered(struct rviommu_prgs *prgs, struct rviommu_prg_answer *answer)
{
	spin_lock(&prgs->lock);
	list_del(&answer->node);
	spin_unlock(&prgs->lock);
	wake_up_all(&prgs->answered);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_answered);

static void prg_describe(struct rviommu_prg *group, bool handed_on,
			 struct rviommu_prg_info *info)
{
	*info = (struct rviommu_prg_info) {
		.since = group->since,
		.pid = group->pid,
		.index = group->index,
		.pv = group->pv,
		.handed_on = handed_on,
		.requests = list_count_nodes(&group->requests),
	};
}

/**
 * rviommu_prgs_list() - which groups are there now?
 * @prgs: of the device
 * @info: filled in: those that are handed on first, then the others, the oldest first each
 * @max: for so many
 *
 * A device has no more groups and requests than it may have outstanding: that bounds how long
 * this keeps others waiting.
 *
 * Return: how many.
 */
unsigned int rviommu_prgs_list(struct rviommu_prgs *prgs, struct rviommu_prg_info *info,
			       unsigned int max)
{
	struct rviommu_prg *group;
	unsigned int nr = 0;

	guard(spinlock)(&prgs->lock);
	list_for_each_entry(group, &prgs->outstanding, node)
		if (nr < max)
			prg_describe(group, true, &info[nr++]);
	list_for_each_entry(group, &prgs->partial, node)
		if (nr < max)
			prg_describe(group, false, &info[nr++]);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_list);

static bool prgs_quiet(struct rviommu_prgs *prgs, u32 pasid, u64 newest)
{
	struct rviommu_prg *group;

	guard(spinlock)(&prgs->lock);
	list_for_each_entry(group, &prgs->outstanding, node)
		if (prg_is_of(group, pasid) && group->cookie <= newest)
			return false;
	return true;
}

/**
 * rviommu_prgs_wait() - wait until groups have their responses
 * @prgs: of the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 * @timeout: for so long, jiffies
 *
 * Those that are outstanding now: a device that goes on asking keeps nobody waiting. May sleep.
 *
 * Return: true if they have; false if the time was over before.
 */
bool rviommu_prgs_wait(struct rviommu_prgs *prgs, u32 pasid, unsigned long timeout)
{
	const u64 newest = rviommu_prgs_newest(prgs);

	return wait_event_timeout(prgs->answered, prgs_quiet(prgs, pasid, newest), timeout);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_wait);

static bool prgs_settled(struct rviommu_prgs *prgs, u32 pasid, u64 newest)
{
	struct rviommu_prg_answer *answer;

	guard(spinlock)(&prgs->lock);
	list_for_each_entry(answer, &prgs->answers, node)
		if ((pasid == RVIOMMU_PRG_ALL || answer->message.pid == pasid) &&
		    answer->cookie <= newest)
			return false;
	return true;
}

/**
 * rviommu_prgs_settle() - responses that somebody has decided on are queued
 * @prgs: of the device
 * @pasid: of this PASID, or %RVIOMMU_PRG_ALL
 *
 * Those to groups that are there now, or were. Takes as long as it takes to queue them: whoever
 * does waits for room in the command queue of the device's own IOMMU, which is bounded.
 * May sleep.
 */
void rviommu_prgs_settle(struct rviommu_prgs *prgs, u32 pasid)
{
	const u64 newest = rviommu_prgs_newest(prgs);

	wait_event(prgs->answered, prgs_settled(prgs, pasid, newest));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_prgs_settle);
