// SPDX-License-Identifier: GPL-2.0-only
/*
 * The address translation cache in a device (PCIe ATS). Of what the
 * specification allows, it does what is hardest on software: all that may be kept
 * is kept, as large as it was answered, and leaves when a request says so. A
 * request is answered when every DMA that used what it removed has reached memory.
 *
 * Entries without PASID and those of each PASID are apart: a request reaches the
 * one or the other. Global entries serve every PASID and only go by a request for
 * all of them.
 */
#include <linux/bitfield.h>
#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/interval_tree_generic.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <rviommu/formats.h>

#include "atc.h"
#include "sim.h"

/* PAYLOAD of ATS.INVAL, spec "IOMMU PCIe ATS commands" */
#define INVAL_GLOBAL	BIT_ULL(0)
#define INVAL_SIZE	BIT_ULL(11)
#define INVAL_ADDRESS	GENMASK_ULL(63, RVIOMMU_PAGE_LG2)

/* Names of spaces that no PASID has */
#define SPACE_NONE	BIT(20)
#define SPACE_GLOBAL	BIT(21)

/**
 * struct sim_atc_space - the entries of one PASID; there is none without entries
 * @node: in sim_atc.spaces
 * @key: PASID, or SPACE_*
 * @tree: entries by the range they cover; ranges may overlap
 */
struct sim_atc_space {
	struct hlist_node node;
	u32 key;
	struct rb_root_cached tree;
};

/**
 * struct sim_atc_entry - one answer of the IOMMU
 * @rb: in the space's tree, while @space
 * @first: first byte of the range
 * @last: last byte of the range
 * @subtree_last: the tree's
 * @node: in sim_atc.entries, dead or draining
 * @space: where it is; NULL once it may not be used again
 * @spa: where @first leads to
 * @size_lg2: log2 of the range's bytes
 * @perms: RVIOMMU_MODEL_R, W, X
 * @priv: for accesses in privileged mode
 * @untranslated: U: accesses there have to be untranslated
 * @users: DMAs under way; an entry in no tree is freed with the last
 */
struct sim_atc_entry {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	struct list_head node;
	struct sim_atc_space *space;
	u64 spa;
	u8 size_lg2;
	u8 perms;
	bool priv;
	bool untranslated;
	unsigned int users;
};

#define SIM_FIRST(e)	((e)->first)
#define SIM_LAST(e)	((e)->last)

INTERVAL_TREE_DEFINE(struct sim_atc_entry, rb, u64, subtree_last, SIM_FIRST, SIM_LAST,
		     static __maybe_unused, sim_tree)

/* ----- Entries; the lock is held ----- */

static struct hlist_head *sim_bucket(struct sim_atc *atc, u32 key)
{
	return &atc->spaces[key % SIM_ATC_BUCKETS ^ key / SIM_ATC_BUCKETS % SIM_ATC_BUCKETS];
}

static struct sim_atc_space *sim_space(struct sim_atc *atc, u32 key)
{
	struct sim_atc_space *space;

	hlist_for_each_entry(space, sim_bucket(atc, key), node)
		if (space->key == key)
			return space;
	return NULL;
}

static u32 sim_key(bool pv, u32 process_id)
{
	return pv ? process_id : SPACE_NONE;
}

/* No access finds it from now on. */
static void sim_forget(struct sim_atc *atc, struct sim_atc_entry *e)
{
	struct sim_atc_space *space = e->space;

	sim_tree_remove(e, &space->tree);
	e->space = NULL;
	atc->stats.entries--;
	if (e->users) {
		list_move_tail(&e->node, &atc->dead);
	} else {
		list_del(&e->node);
		kfree(e);
	}
	if (RB_EMPTY_ROOT(&space->tree.rb_root)) {
		hlist_del(&space->node);
		kfree(space);
	}
}

static void sim_forget_range(struct sim_atc *atc, struct sim_atc_space *space, u64 first,
			     u64 last)
{
	struct sim_atc_entry *e, *next;

	for (e = sim_tree_iter_first(&space->tree, first, last); e; e = next) {
		/* The space goes with its last entry. */
		next = sim_tree_iter_next(e, first, last);
		sim_forget(atc, e);
	}
}

static void sim_forget_all(struct sim_atc *atc)
{
	struct sim_atc_entry *e, *next;

	list_for_each_entry_safe(e, next, &atc->entries, node)
		sim_forget(atc, e);
	atc->generation++;
}

/* The first @nr requests are in no queue any more; the lock is held. */
static void sim_dequeue(struct sim_atc *atc, unsigned int nr)
{
	atc->queued -= nr;
	memmove(&atc->queue[0], &atc->queue[nr], atc->queued * sizeof(atc->queue[0]));
	atomic_sub(nr, &atc->shared->waiting);
}

/*
 * Do what was asked for where no lock could be taken. The lock is held, and nobody
 * has looked at anything yet.
 */
static void sim_catch_up(struct sim_atc *atc)
{
	unsigned int todo;

	if (likely(!atomic_read(&atc->todo)))
		return;
	todo = atomic_xchg(&atc->todo, 0);
	sim_forget_all(atc);
	if (todo & SIM_ATC_DROP_QUEUE) {
		list_splice_tail_init(&atc->draining, &atc->dead);
		atc->stats.lost += atc->queued;
		sim_dequeue(atc, atc->queued);
	}
}

static u8 sim_need(const struct rviommu_model_request *req)
{
	u8 need = 0;

	if (req->write)
		need |= RVIOMMU_MODEL_W;
	if (!req->write || req->amo)
		need |= RVIOMMU_MODEL_R;
	if (req->exec)
		need |= RVIOMMU_MODEL_X;
	return need;
}

static struct sim_atc_entry *sim_find_in(struct sim_atc *atc, u32 key, u64 iova, bool priv,
					 u8 need)
{
	struct sim_atc_space *space = sim_space(atc, key);
	struct sim_atc_entry *e;

	if (!space)
		return NULL;
	for (e = sim_tree_iter_first(&space->tree, iova, iova); e;
	     e = sim_tree_iter_next(e, iova, iova))
		if (e->priv == priv && !(need & ~e->perms))
			return e;
	return NULL;
}

static struct sim_atc_entry *sim_find(struct sim_atc *atc, const struct rviommu_model_request *req)
{
	struct sim_atc_entry *e;
	bool priv = req->pv && req->priv;
	u8 need = sim_need(req);

	e = sim_find_in(atc, sim_key(req->pv, req->process_id), req->iova, priv, need);
	if (!e && req->pv)
		e = sim_find_in(atc, SPACE_GLOBAL, req->iova, priv, need);
	return e;
}

/* An entry that permits no more than @new does, and says the same otherwise */
static bool sim_includes(const struct sim_atc_entry *new, const struct sim_atc_entry *e)
{
	return e->first == new->first && e->last == new->last && e->spa == new->spa &&
	       e->priv == new->priv && e->untranslated == new->untranslated &&
	       !(e->perms & ~new->perms);
}

/* Takes @new, and @space if there was none of that key. */
static void sim_insert(struct sim_atc *atc, u32 key, struct sim_atc_entry *new,
		       struct sim_atc_space **spare)
{
	struct sim_atc_space *space = sim_space(atc, key);
	struct sim_atc_entry *e, *next;

	if (!space) {
		space = *spare;
		*spare = NULL;
		space->key = key;
		space->tree = RB_ROOT_CACHED;
		hlist_add_head(&space->node, sim_bucket(atc, key));
	}
	new->space = space;
	sim_tree_insert(new, &space->tree);
	list_add_tail(&new->node, &atc->entries);
	atc->stats.entries++;
	for (e = sim_tree_iter_first(&space->tree, new->first, new->last); e; e = next) {
		next = sim_tree_iter_next(e, new->first, new->last);
		if (e != new && sim_includes(new, e))
			sim_forget(atc, e);
	}
	while (atc->limit && atc->stats.entries > atc->limit) {
		atc->stats.evictions++;
		sim_forget(atc, list_first_entry(&atc->entries, struct sim_atc_entry, node));
	}
}

/* ----- Invalidation Requests ----- */

/* What it is about goes, without waiting for anybody. The lock is held. */
static void sim_begin(struct sim_atc *atc, struct sim_atc_request *r)
{
	struct sim_atc_space *space;
	struct hlist_node *next;
	unsigned int i;

	atc->generation++;
	if (r->global) {
		for (i = 0; i < SIM_ATC_BUCKETS; i++)
			hlist_for_each_entry_safe(space, next, &atc->spaces[i], node)
				if (space->key != SPACE_NONE)
					sim_forget_range(atc, space, r->first, r->last);
	} else {
		space = sim_space(atc, sim_key(r->pv, r->process_id));
		if (space)
			sim_forget_range(atc, space, r->first, r->last);
	}
	/* One that was dropped for another reason may have been meant, too. */
	list_splice_tail_init(&atc->dead, &atc->draining);
	r->begun = true;
}

/*
 * Get on with the queue as far as DMAs under way permit. The lock is held.
 * Returns the tags of those to be answered, one bit each.
 */
static u32 sim_process(struct sim_atc *atc)
{
	u32 done = 0;

	sim_catch_up(atc);
	while (atc->queued) {
		if (!atc->queue[0].begun)
			sim_begin(atc, &atc->queue[0]);
		if (!list_empty(&atc->draining))
			break;
		if (atc->switches & RVIOMMU_SIM_ATC_LOST || READ_ONCE(atc->asleep)) {
			atc->stats.lost++;
		} else {
			atc->stats.answers++;
			done |= BIT(atc->queue[0].itag);
		}
		sim_dequeue(atc, 1);
	}
	return done;
}

static void sim_answer(struct sim_atc *atc, u32 done)
{
	if (done)
		rviommu_model_inval_completion(atc->sim->model, atc->id, done, 1);
}

/* The range that a request names: the lowest 0 above bit 11 says its size. */
static void sim_range(u64 payload, u64 *first, u64 *last)
{
	u64 address = payload & INVAL_ADDRESS, size = BIT_ULL(RVIOMMU_PAGE_LG2);

	if (payload & INVAL_SIZE) {
		u64 ones = address | (size - 1);

		/* All ones: all there is. Twice the bit of the lowest 0 otherwise. */
		size = ones == U64_MAX ? 0 : (~ones & (ones + 1)) << 1;
	}
	*first = address & -size;
	*last = *first + size - 1;
	if (!size) {
		*first = 0;
		*last = U64_MAX;
	}
}

static void sim_invalidate(struct sim_atc *atc, const struct rviommu_model_ats_msg *msg)
{
	struct sim_atc_request *r;
	unsigned long flags;
	bool late = false;
	u32 done = 0;

	spin_lock_irqsave(&atc->lock, flags);
	if (atc->gone)
		goto out;
	sim_catch_up(atc);
	atc->stats.invalidations++;
	if (READ_ONCE(atc->asleep)) {
		atc->stats.lost++;
		goto out;
	}
	if (atomic_read(&atc->shared->waiting) >= atc->depth)
		atc->stats.overflows++;
	/* Only after a time-out can there be more than there are tags. */
	if (atc->queued == SIM_ATC_QUEUE)
		goto out;
	atomic_inc(&atc->shared->waiting);
	r = &atc->queue[atc->queued++];
	*r = (struct sim_atc_request) {
		.itag = msg->itag,
		.pv = msg->pv,
		.global = msg->pv && msg->payload & INVAL_GLOBAL,
		.process_id = msg->process_id,
	};
	sim_range(msg->payload, &r->first, &r->last);
	late = atc->switches & RVIOMMU_SIM_ATC_LATE;
	if (!late)
		done = sim_process(atc);
out:
	spin_unlock_irqrestore(&atc->lock, flags);
	sim_answer(atc, done);
	if (late) {
		WRITE_ONCE(atc->sim->atc_late, true);
		if (atc->sim->worker)
			wake_up_process(atc->sim->worker);
	}
}

/**
 * sim_atc_message() - a message of the IOMMU reaches a device
 * @sim: the instance
 * @msg: the message; lost if no device of that ID is there
 */
void sim_atc_message(struct rviommu_sim *sim, const struct rviommu_model_ats_msg *msg)
{
	struct sim_atc *atc;

	if (msg->code != RVIOMMU_MODEL_ATS_INVAL)
		return;
	rcu_read_lock();
	atc = xa_load(&sim->atcs, msg->device_id);
	if (atc)
		sim_invalidate(atc, msg);
	rcu_read_unlock();
}

/**
 * sim_atc_work() - devices that answer late do so now
 * @sim: the instance
 */
void sim_atc_work(struct rviommu_sim *sim)
{
	unsigned long index, flags;
	struct sim_atc *atc;
	u32 done;

	if (!READ_ONCE(sim->atc_late))
		return;
	WRITE_ONCE(sim->atc_late, false);
	rcu_read_lock();
	xa_for_each(&sim->atcs, index, atc) {
		spin_lock_irqsave(&atc->lock, flags);
		done = sim_process(atc);
		spin_unlock_irqrestore(&atc->lock, flags);
		sim_answer(atc, done);
	}
	rcu_read_unlock();
}

/* ----- Accesses ----- */

/* Let @use be what the access goes through; the lock is held. */
static void sim_take(struct sim_atc_entry *e, struct rviommu_model_request *req,
		     struct sim_atc_entry **use)
{
	if (e->untranslated)
		return;
	e->users++;
	*use = e;
	req->kind = RVIOMMU_MODEL_TRANSLATED;
	req->length = min(req->length - 1, e->last - req->iova) + 1;
	req->iova = e->spa + (req->iova - e->first);
	/* Translated requests have no PASID ("Translated Requests with PASID" is off). */
	req->pv = false;
	req->priv = false;
	req->process_id = 0;
}

/*
 * Ask the IOMMU. Returns 0; -EFAULT: it does not translate for this device; -EACCES: what it
 * translates permits nothing ("PCIe ATS translation request handling").
 */
static int sim_ask(struct sim_atc *atc, const struct rviommu_model_request *req,
		   struct sim_atc_entry *e, bool *global, u16 *cause)
{
	struct rviommu_model_request ask = *req;
	struct rviommu_model_response rsp;
	u64 mask;

	ask.kind = RVIOMMU_MODEL_ATS_REQUEST;
	ask.hold = false;
	ask.amo = false;
	ask.iova = round_down(req->iova, BIT_ULL(RVIOMMU_PAGE_LG2));
	ask.length = BIT_ULL(RVIOMMU_PAGE_LG2);
	rviommu_model_translate(atc->sim->model, &ask, &rsp);
	if (rsp.status != RVIOMMU_MODEL_OK || !rsp.perms) {
		*cause = rsp.cause;
		return rsp.status == RVIOMMU_MODEL_OK ? -EACCES : -EFAULT;
	}
	mask = BIT_ULL(rsp.size_lg2) - 1;
	e->first = ask.iova & ~mask;
	e->last = ask.iova | mask;
	e->spa = rsp.spa & ~mask;
	e->size_lg2 = rsp.size_lg2;
	e->perms = rsp.perms;
	e->priv = rsp.priv;
	e->untranslated = rsp.untranslated_only;
	*global = rsp.global;
	return 0;
}

/* Ask and remember. Returns 1 to look again, 0 if there is no memory for it, or an error. */
static int sim_fill(struct sim_atc *atc, const struct rviommu_model_request *req, u64 generation,
		    u16 *cause)
{
	struct sim_atc_entry *e = kzalloc(sizeof(*e), GFP_ATOMIC | __GFP_NOWARN);
	struct sim_atc_space *space = kzalloc(sizeof(*space), GFP_ATOMIC | __GFP_NOWARN);
	unsigned long flags;
	bool global, on;
	u8 perms;
	int ret;

	if (!e || !space) {
		ret = 0;
		goto out;
	}
	ret = sim_ask(atc, req, e, &global, cause);
	if (ret)
		goto out;
	perms = e->perms;
	ret = 1;
	spin_lock_irqsave(&atc->lock, flags);
	on = sim_atc_is_on(atc);
	sim_catch_up(atc);
	atc->stats.requests++;
	/* What was asked before a request to forget may not be kept after it. */
	if (on && atc->generation == generation) {
		sim_insert(atc, global ? SPACE_GLOBAL : sim_key(req->pv, req->process_id), e,
			   &space);
		e = NULL;
		/* What permits not enough is no translation for this access. */
		if (sim_need(req) & ~perms)
			ret = -EACCES;
	}
	spin_unlock_irqrestore(&atc->lock, flags);
out:
	kfree(space);
	kfree(e);
	return ret;
}

/**
 * sim_atc_use() - what an access of the device becomes
 * @atc: the cache
 * @req: untranslated; made a translated one if the cache can, and cut to what its
 *       entry covers
 * @use: the entry, to be given back with sim_atc_unuse() when the bytes have moved;
 *       NULL: none, @req stays untranslated
 * @cause: of a refusal
 *
 * Any context; without memory for an entry the access stays untranslated.
 *
 * Return: 0; -EFAULT: the IOMMU does not translate for the device; -EACCES: it does not permit
 * this access, which is what a device with a page request interface may ask for.
 */
int sim_atc_use(struct sim_atc *atc, struct rviommu_model_request *req,
		struct sim_atc_entry **use, u16 *cause)
{
	struct sim_atc_entry *e;
	unsigned long flags;
	u64 generation;
	bool on;
	int ret;

	*use = NULL;
	/* Off is off at any moment of an access; what is to be forgotten waits. */
	if (!sim_atc_is_on(atc))
		return 0;
	do {
		spin_lock_irqsave(&atc->lock, flags);
		on = sim_atc_is_on(atc);
		sim_catch_up(atc);
		generation = atc->generation;
		e = on ? sim_find(atc, req) : NULL;
		if (e) {
			atc->stats.hits++;
			sim_take(e, req, use);
		}
		spin_unlock_irqrestore(&atc->lock, flags);
		if (e || !on)
			return 0;
		ret = sim_fill(atc, req, generation, cause);
	} while (ret > 0);
	return ret;
}

/**
 * sim_atc_grant() - what an entry permits
 * @use: from sim_atc_use()
 *
 * Return: %RVIOMMU_MODEL_R and so on, and log2 of the bytes that it covers in bits 15 to 8; 0
 * without an entry: accesses there have to be untranslated.
 */
u64 sim_atc_grant(const struct sim_atc_entry *use)
{
	return use ? use->perms | use->size_lg2 << 8 : 0;
}

/**
 * sim_atc_unuse() - the bytes of an access have moved
 * @atc: the cache
 * @use: from sim_atc_use(); NULL is allowed
 */
void sim_atc_unuse(struct sim_atc *atc, struct sim_atc_entry *use)
{
	unsigned long flags;
	u32 done = 0;

	if (!use)
		return;
	spin_lock_irqsave(&atc->lock, flags);
	if (!--use->users && !use->space) {
		list_del(&use->node);
		kfree(use);
		/* A request that waits is the only thing that could get on. */
		if (atc->queued && atc->queue[0].begun)
			done = sim_process(atc);
	}
	spin_unlock_irqrestore(&atc->lock, flags);
	sim_answer(atc, done);
}

/* ----- From add to del ----- */

/**
 * sim_atc_is_on() - does the device ask for translations?
 * @atc: the cache
 *
 * Return: true if so.
 */
bool sim_atc_is_on(struct sim_atc *atc)
{
	/* Who sees it on sees that it was emptied before. */
	return smp_load_acquire(&atc->on);
}

/**
 * sim_atc_enable() - the ATS enable bit of the device
 * @atc: the cache
 * @on: the bit
 *
 * An ATC is empty when it begins to work (PCIe: setting the bit is an implicit
 * invalidation). Clearing the bit leaves everything in it: software sends
 * Invalidation Requests after that ("Guidelines for enabling and disabling ATS and/or
 * PRI").
 *
 * Any context, under any lock. Calls for one device are the caller's to serialise.
 */
void sim_atc_enable(struct sim_atc *atc, bool on)
{
	if (on && !READ_ONCE(atc->on))
		atomic_or(SIM_ATC_FORGET, &atc->todo);
	/* Emptied first: see sim_atc_is_on(). */
	smp_store_release(&atc->on, on);
}

/**
 * sim_atc_sleep() - the device sleeps (D3hot), or has woken up
 * @atc: the cache, which keeps what it has
 * @asleep: which
 *
 * A device that sleeps sends nothing. An Invalidation Request that comes meanwhile, or is still
 * waited for, is not answered then or later, and one that comes removes nothing.
 *
 * As sim_atc_enable().
 */
void sim_atc_sleep(struct sim_atc *atc, bool asleep)
{
	WRITE_ONCE(atc->asleep, asleep);
}

/**
 * sim_atc_reset() - a function-level reset
 * @atc: the cache: empty afterwards and off; requests in the queue are lost
 *
 * As sim_atc_enable().
 */
void sim_atc_reset(struct sim_atc *atc)
{
	WRITE_ONCE(atc->on, false);
	WRITE_ONCE(atc->asleep, false);
	atomic_or(SIM_ATC_FORGET | SIM_ATC_DROP_QUEUE, &atc->todo);
}

/**
 * sim_atc_pull() - the device is gone: it answers nothing
 * @atc: the cache
 */
void sim_atc_pull(struct sim_atc *atc)
{
	unsigned long flags;

	spin_lock_irqsave(&atc->lock, flags);
	atc->gone = true;
	sim_dequeue(atc, atc->queued);
	spin_unlock_irqrestore(&atc->lock, flags);
}

/**
 * sim_atc_add() - let a device have an ATC, which is off
 * @atc: part of what describes the device; its memory belongs to the caller and has
 *       to stay until sim_atc_del() returned
 * @sim: behind which instance; likewise
 * @id: its device_id
 *
 * Return: 0, -EBUSY: there is a device of that ID, or -ENOMEM.
 */
int sim_atc_add(struct sim_atc *atc, struct rviommu_sim *sim, u32 id)
{
	int ret;

	memset(atc, 0, sizeof(*atc));
	atc->sim = sim;
	atc->id = id;
	atc->depth = sim->config.ats_depth;
	atc->limit = sim->config.atc_limit;
	atc->shared = atc;
	spin_lock_init(&atc->lock);
	INIT_LIST_HEAD(&atc->entries);
	INIT_LIST_HEAD(&atc->dead);
	INIT_LIST_HEAD(&atc->draining);
	ret = xa_insert(&sim->atcs, id, atc, GFP_KERNEL);
	if (ret)
		atc->sim = NULL;
	return ret;
}

/**
 * sim_atc_del() - the end of an ATC
 * @atc: from sim_atc_add(); no DMA is under way
 *
 * When this returns, no message reaches it. May sleep.
 */
void sim_atc_del(struct sim_atc *atc)
{
	unsigned long flags;

	xa_erase(&atc->sim->atcs, atc->id);
	synchronize_rcu();
	spin_lock_irqsave(&atc->lock, flags);
	sim_forget_all(atc);
	spin_unlock_irqrestore(&atc->lock, flags);
}

/**
 * sim_atc_share() - a virtual function queues requests where the physical one does
 * @atc: the virtual function's, to which no request is sent yet
 * @with: the physical function's, which stays longer
 *
 * Each is on its own but for the depth of the queue (PCIe "ATS Capability Register").
 */
void sim_atc_share(struct sim_atc *atc, struct sim_atc *with)
{
	atc->shared = with;
}

/* ----- Looking in ----- */

/**
 * sim_atc_set_switches() - choose how badly it behaves
 * @atc: the cache
 * @switches: RVIOMMU_SIM_ATC_* that are on from now on
 */
void sim_atc_set_switches(struct sim_atc *atc, u32 switches)
{
	unsigned long flags;

	spin_lock_irqsave(&atc->lock, flags);
	atc->switches = switches;
	spin_unlock_irqrestore(&atc->lock, flags);
}

/**
 * sim_atc_get_stats() - what it has seen
 * @atc: the cache
 * @stats: filled in
 */
void sim_atc_get_stats(struct sim_atc *atc, struct rviommu_sim_atc_stats *stats)
{
	unsigned long flags;

	spin_lock_irqsave(&atc->lock, flags);
	sim_catch_up(atc);
	*stats = atc->stats;
	spin_unlock_irqrestore(&atc->lock, flags);
}

/**
 * sim_atc_list() - look at its entries
 * @atc: the cache
 * @fn: called for each, with a spinlock held; the entry counts if it returns true. NULL: all
 *      count.
 * @arg: second argument of @fn
 *
 * Return: number of entries that count.
 */
unsigned int sim_atc_list(struct sim_atc *atc,
			  bool (*fn)(const struct rviommu_sim_atc_entry *entry, void *arg),
			  void *arg)
{
	const struct sim_atc_entry *e;
	unsigned int n = 0;
	unsigned long flags;

	spin_lock_irqsave(&atc->lock, flags);
	sim_catch_up(atc);
	list_for_each_entry(e, &atc->entries, node) {
		u32 key = e->space->key;
		struct rviommu_sim_atc_entry entry = {
			.pv = key != SPACE_NONE,
			.global = key == SPACE_GLOBAL,
			.process_id = key < SPACE_NONE ? key : 0,
			.priv = e->priv,
			.untranslated_only = e->untranslated,
			.perms = e->perms,
			.size_lg2 = e->size_lg2,
			.iova = e->first,
			.spa = e->spa,
		};

		if (!fn || fn(&entry, arg))
			n++;
	}
	spin_unlock_irqrestore(&atc->lock, flags);
	return n;
}

/* ----- debugfs ----- */

static int sim_atc_show(struct seq_file *s, void *unused)
{
	struct rviommu_sim *sim = s->private;
	const struct sim_atc_entry *e;
	unsigned long index, flags;
	struct sim_atc *atc;

	rcu_read_lock();
	xa_for_each(&sim->atcs, index, atc) {
		spin_lock_irqsave(&atc->lock, flags);
		sim_catch_up(atc);
		seq_printf(s, "device %#x %s entries %llu hits %llu requests %llu invalidations %llu overflows %llu lost %llu\n",
			   atc->id, sim_atc_is_on(atc) ? "on" : "off", atc->stats.entries,
			   atc->stats.hits, atc->stats.requests, atc->stats.invalidations,
			   atc->stats.overflows, atc->stats.lost);
		list_for_each_entry(e, &atc->entries, node) {
			seq_printf(s, "  addr %#llx lg2 %u spa %#llx perms %#x ", e->first,
				   e->size_lg2, e->spa, e->perms);
			if (e->space->key < SPACE_NONE)
				seq_printf(s, "pasid %#x\n", e->space->key);
			else
				seq_puts(s, e->space->key == SPACE_NONE ? "no pasid\n" :
					 "every pasid\n");
		}
		spin_unlock_irqrestore(&atc->lock, flags);
	}
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(sim_atc);

/**
 * sim_atc_debugfs() - a file about the ATCs of all devices
 * @sim: the instance, whose directory is there
 */
void sim_atc_debugfs(struct rviommu_sim *sim)
{
	debugfs_create_file("atc", 0400, sim->debugfs, sim, &sim_atc_fops);
}
