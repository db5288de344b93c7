// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page request interface of a device (PCI Express Base Specification, "Page Request
 * Services"). A job whose access is not translated asks for the page, and for those that it
 * comes to next, with a Page Request Group; waits for the Page Request Group Response; and
 * tries again if that says Success.
 *
 * Of what is allowed, it does what is hardest on software. The lowest index that is free is
 * used again at once. With "PRG Response PASID Required" each PASID has indices of its own, so
 * the same are in use for several; a response without the PASID is one to nobody. Pages that
 * are there are asked for like others. What is stale stays outstanding until it is answered.
 *
 * Who waits is in pri_job.c: what is here neither sleeps nor knows how long something takes.
 */
#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/pci_regs.h>
#include <linux/seq_file.h>
#include <linux/xarray.h>

#include "pri.h"
#include "sim.h"

#define SIM_PRI_INDICES	512

/* ----- Groups and jobs; the lock is held ----- */

/**
 * sim_pri_may_send() - would a request reach the IOMMU now?
 * @pri: the interface. Its lock is held.
 *
 * Return: true if it would.
 */
bool sim_pri_may_send(const struct sim_pri *pri)
{
	return pri->enabled && !READ_ONCE(pri->shared->failed) && !pri->halted && !pri->gone;
}

/* "PRG Response PASID Required" */
static bool sim_pri_pasid_required(const struct sim_pri *pri)
{
	return pri->sim->config.prg_pasid && pri->sim->config.pasid_bits;
}

/**
 * sim_pri_budget() - how much may be sent now, as the device sees it?
 * @pri: the interface. Its lock is held.
 *
 * Return: number of requests.
 */
unsigned int sim_pri_budget(const struct sim_pri *pri)
{
	u32 limit = min(pri->allocation, pri->sim->config.pri_capacity);

	if (pri->switches & RVIOMMU_SIM_PRI_EXCESS)
		return SIM_PRI_MAX;
	return limit - min(limit, pri->outstanding);
}

/*
 * The lowest index that none of those has that a response cannot be told from: without a PASID
 * in responses, those are all that are open.
 */
static unsigned int sim_pri_index(const struct sim_pri *pri, bool pv, u32 pasid)
{
	DECLARE_BITMAP(used, SIM_PRI_INDICES) = {};
	const struct sim_pri_group *g;

	if (pri->switches & RVIOMMU_SIM_PRI_REUSE)
		return 0;
	list_for_each_entry(g, &pri->open, node)
		if (!sim_pri_pasid_required(pri) ||
		    (g->pv == pv && (!pv || g->pasid == pasid)))
			__set_bit(g->index, used);
	return find_first_zero_bit(used, SIM_PRI_INDICES);
}

/**
 * sim_pri_open() - begin a group
 * @pri: the interface. Its lock is held.
 * @pv: its requests have a PASID
 * @pasid: which
 * @pages: how many requests it will have
 *
 * Return: the group, or NULL: there are too many.
 */
struct sim_pri_group *sim_pri_open(struct sim_pri *pri, bool pv, u32 pasid, unsigned int pages)
{
	struct sim_pri_group *g = list_first_entry_or_null(&pri->free, struct sim_pri_group, node);

	if (!g)
		return NULL;
	g->job = NULL;
	g->index = sim_pri_index(pri, pv, pasid);
	g->pages = pages;
	g->last = false;
	g->pv = pv;
	g->pasid = pasid;
	list_move_tail(&g->node, &pri->open);
	pri->outstanding += pages;
	pri->stats.groups++;
	return g;
}

/**
 * sim_pri_wake() - end the wait of a job, if it waits
 * @job: of an interface whose lock is held
 * @result: of its wait
 */
void sim_pri_wake(struct sim_pri_job *job, int result)
{
	if (!job->waiting)
		return;
	job->waiting = false;
	job->result = result;
	complete(&job->wake);
}

/**
 * sim_pri_wake_others() - whoever waits for no response of its own looks again
 * @pri: the interface. Its lock is held.
 * @result: of their wait
 */
void sim_pri_wake_others(struct sim_pri *pri, int result)
{
	struct sim_pri_job *job;

	list_for_each_entry(job, &pri->jobs, node)
		if (!job->group)
			sim_pri_wake(job, result);
}

static void sim_pri_wake_all(struct sim_pri *pri, int result)
{
	struct sim_pri_job *job;

	list_for_each_entry(job, &pri->jobs, node)
		sim_pri_wake(job, result);
}

/* A group's requests are not outstanding any more. */
static void sim_pri_close(struct sim_pri *pri, struct sim_pri_group *g, int result)
{
	struct sim_pri_job *job = g->job;

	pri->outstanding -= g->pages;
	list_move(&g->node, &pri->free);
	if (!job)
		return;
	job->group = NULL;
	sim_pri_wake(job, result);
}

static void sim_pri_close_all(struct sim_pri *pri, int result)
{
	struct sim_pri_group *g, *next;

	list_for_each_entry_safe(g, next, &pri->open, node)
		sim_pri_close(pri, g, result);
	sim_pri_wake_others(pri, result);
}

/* ----- Responses ----- */

/* The status says so, in the registers that the interface has or shares. */
static void sim_pri_note(struct sim_pri *pri, u16 flag)
{
	struct sim_pri *shared = pri->shared;

	if (shared != pri)
		raw_spin_lock_nested(&shared->lock, SINGLE_DEPTH_NESTING);
	shared->flags |= flag;
	if (flag == PCI_PRI_STATUS_RF)
		WRITE_ONCE(shared->failed, true);
	if (shared != pri)
		raw_spin_unlock(&shared->lock);
}

/* None of its groups will have a response. */
static void sim_pri_give_up(struct sim_pri *pri)
{
	struct sim_pri_group *g;

	list_for_each_entry(g, &pri->open, node)
		if (g->job)
			g->job->response = RVIOMMU_MODEL_PRGR_FAILURE;
	sim_pri_close_all(pri, -EFAULT);
}

/*
 * "Response Code Field": after a Response Failure, and that is what unused codes are, too, no
 * request is sent and no response heard until the interface is enabled anew.
 */
static void sim_pri_fail(struct sim_pri *pri)
{
	pri->stats.failures++;
	sim_pri_note(pri, PCI_PRI_STATUS_RF);
	sim_pri_give_up(pri);
}

/* Nor will those of others that share the interface. No lock is held. */
static void sim_pri_fail_others(struct sim_pri *pri)
{
	unsigned long index, flags;
	struct sim_pri *other;

	rcu_read_lock();
	xa_for_each(&pri->sim->pris, index, other) {
		if (other == pri || other->shared != pri->shared)
			continue;
		raw_spin_lock_irqsave(&other->lock, flags);
		sim_pri_give_up(other);
		raw_spin_unlock_irqrestore(&other->lock, flags);
	}
	rcu_read_unlock();
}

/*
 * What a response is to: the oldest group of that index, and that PASID if it has to have one,
 * whose last request was sent.
 */
static struct sim_pri_group *sim_pri_find(struct sim_pri *pri,
					  const struct rviommu_model_ats_msg *msg, bool last)
{
	unsigned int index = FIELD_GET(RVIOMMU_MODEL_PRGR_INDEX, msg->payload);
	struct sim_pri_group *g;

	list_for_each_entry(g, &pri->open, node) {
		bool pv = g->pv && sim_pri_pasid_required(pri);

		if (g->last == last && g->index == index && msg->pv == pv &&
		    (!pv || msg->process_id == g->pasid))
			return g;
	}
	return NULL;
}

static void sim_pri_take(struct sim_pri *pri, const struct rviommu_model_ats_msg *msg)
{
	u8 code = FIELD_GET(RVIOMMU_MODEL_PRGR_CODE, msg->payload);
	bool good = code == RVIOMMU_MODEL_PRGR_SUCCESS;
	struct sim_pri_group *g;

	if (!good && code != RVIOMMU_MODEL_PRGR_INVALID) {
		sim_pri_fail(pri);
		return;
	}
	g = sim_pri_find(pri, msg, true);
	if (!g) {
		sim_pri_note(pri, PCI_PRI_STATUS_UPRGI);
		if (sim_pri_find(pri, msg, false))
			pri->stats.early++;
		else
			pri->stats.unexpected++;
		return;
	}
	if (g->job)
		g->job->response = code;
	if (good)
		pri->stats.successes++;
	else
		pri->stats.invalid++;
	sim_pri_close(pri, g, good ? 0 : -EFAULT);
	sim_pri_wake_others(pri, 0);
}

static void sim_pri_hear(struct sim_pri *pri, const struct rviommu_model_ats_msg *msg)
{
	bool was_failed = true;
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	if (!pri->gone) {
		was_failed = READ_ONCE(pri->shared->failed);
		pri->stats.responses++;
		if (pri->switches & RVIOMMU_SIM_PRI_LOST)
			pri->stats.lost++;
		else if (was_failed)
			pri->stats.ignored++;
		else
			sim_pri_take(pri, msg);
	}
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (!was_failed && READ_ONCE(pri->shared->failed))
		sim_pri_fail_others(pri);
}

/**
 * sim_pri_response() - a Page Request Group Response of the IOMMU reaches a device
 * @sim: the instance
 * @msg: the message; lost if no device of that ID is there
 */
void sim_pri_response(struct rviommu_sim *sim, const struct rviommu_model_ats_msg *msg)
{
	struct sim_pri *pri;

	rcu_read_lock();
	pri = xa_load(&sim->pris, msg->device_id);
	if (pri)
		sim_pri_hear(pri, msg);
	rcu_read_unlock();
}

/* ----- Requests ----- */

/**
 * sim_pri_message() - send a Page Request or Stop Marker
 * @pri: the interface; nothing in it says whether this is right
 * @pr: the message
 *
 * If the IOMMU cannot tell software of it, it may respond itself, and does so before this
 * returns. Any context but under the lock.
 */
void sim_pri_message(struct sim_pri *pri, const struct rviommu_model_page_request *pr)
{
	bool marker = (pr->payload & (RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_W |
				      RVIOMMU_MODEL_PAGE_L)) == RVIOMMU_MODEL_PAGE_L;
	struct rviommu_model_ats_msg answer;
	unsigned long flags;
	int ret;

	ret = rviommu_model_page_request(pri->sim->model, pr, &answer);
	raw_spin_lock_irqsave(&pri->lock, flags);
	if (marker)
		pri->stats.markers++;
	else
		pri->stats.requests++;
	if (ret != RVIOMMU_MODEL_PR_QUEUED)
		pri->stats.discarded++;
	if (ret == RVIOMMU_MODEL_PR_ANSWERED)
		pri->stats.answered++;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (ret == RVIOMMU_MODEL_PR_ANSWERED)
		sim_pri_hear(pri, &answer);
}

/**
 * sim_pri_send_marker() - send a Stop Marker
 * @pri: the interface
 * @pasid: of this PASID
 *
 * "Stop Marker Messages": they are nobody's credit, and have no response.
 */
void sim_pri_send_marker(struct sim_pri *pri, u32 pasid)
{
	struct rviommu_model_page_request pr = {
		.device_id = pri->id,
		.process_id = pasid,
		.pv = true,
		.payload = RVIOMMU_MODEL_PAGE_L,
	};

	sim_pri_message(pri, &pr);
}

/**
 * sim_pri_send_single() - send a group of one request that nobody waits for
 * @pri: the interface
 * @pr: the PASID and what is asked for; gets an index
 *
 * Return: false if there cannot be one.
 */
bool sim_pri_send_single(struct sim_pri *pri, struct rviommu_model_page_request *pr)
{
	struct sim_pri_group *g = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	if (sim_pri_may_send(pri) && sim_pri_budget(pri))
		g = sim_pri_open(pri, pr->pv, pr->process_id, 1);
	if (g) {
		g->last = !(pri->switches & RVIOMMU_SIM_PRI_NO_LAST);
		pr->payload &= ~(RVIOMMU_MODEL_PAGE_INDEX | RVIOMMU_MODEL_PAGE_L);
		pr->payload |= FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, g->index);
		pr->payload |= g->last ? RVIOMMU_MODEL_PAGE_L : 0;
	}
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (g)
		sim_pri_message(pri, pr);
	return g;
}

/* RVIOMMU_SIM_PRI_FLOOD: all that may be sent at this moment is. */
static void sim_pri_flood(struct sim_pri *pri, const struct rviommu_model_page_request *pr)
{
	struct rviommu_model_page_request more = *pr;
	unsigned long flags;
	unsigned int left;

	raw_spin_lock_irqsave(&pri->lock, flags);
	left = pri->switches & RVIOMMU_SIM_PRI_FLOOD ? sim_pri_budget(pri) : 0;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	while (left-- && sim_pri_send_single(pri, &more))
		;
}

/**
 * sim_pri_first_sent() - send what the first request of a group brings along
 * @pri: the interface
 * @pr: the request
 *
 * The Stop Marker that its PASID still owes, and a flood.
 */
void sim_pri_first_sent(struct sim_pri *pri, const struct rviommu_model_page_request *pr)
{
	unsigned long flags;
	bool due;

	raw_spin_lock_irqsave(&pri->lock, flags);
	due = pri->marker_due && pr->pv && pri->marker_pasid == pr->process_id;
	if (due)
		pri->marker_due = false;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (due)
		sim_pri_send_marker(pri, pr->process_id);
	sim_pri_flood(pri, pr);
}

/* ----- What software sets; any context, under any raw lock ----- */

/**
 * sim_pri_enable() - the Enable bit
 * @pri: the interface
 * @on: the bit
 *
 * When it becomes 1, what the status says of the time before is cleared. When it becomes 0
 * nothing new is sent; what is outstanding waits for its responses.
 */
void sim_pri_enable(struct sim_pri *pri, bool on)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	if (on && !pri->enabled) {
		pri->flags = 0;
		WRITE_ONCE(pri->failed, false);
	}
	pri->enabled = on;
	if (!on)
		sim_pri_wake_others(pri, 0);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_allocate() - Outstanding Page Request Allocation
 * @pri: the interface; while it is enabled a change is undefined, and has no effect here
 * @allocation: requests that it may have outstanding
 */
void sim_pri_allocate(struct sim_pri *pri, u32 allocation)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	if (!pri->enabled)
		pri->allocation = allocation;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_reset() - the Reset bit
 * @pri: the interface; while it is enabled nothing happens
 *
 * Nothing is outstanding any more.
 */
void sim_pri_reset(struct sim_pri *pri)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	if (!pri->enabled)
		sim_pri_close_all(pri, 0);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_reset_function() - a function-level reset
 * @pri: the interface: as after power-on
 */
void sim_pri_reset_function(struct sim_pri *pri)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	pri->enabled = false;
	WRITE_ONCE(pri->failed, false);
	pri->marker_due = false;
	pri->flags = 0;
	pri->allocation = 0;
	sim_pri_close_all(pri, -EIO);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_clear_status() - software has written 1 to flags of the status
 * @pri: the interface
 * @flags: PCI_PRI_STATUS_RF, PCI_PRI_STATUS_UPRGI
 */
void sim_pri_clear_status(struct sim_pri *pri, u16 flags)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&pri->lock, irq);
	pri->flags &= ~flags;
	raw_spin_unlock_irqrestore(&pri->lock, irq);
}

/**
 * sim_pri_status() - the Page Request Status register
 * @pri: the interface
 *
 * Stopped is undefined while the interface is enabled, and 0 here.
 *
 * Return: PCI_PRI_STATUS_RF and so on.
 */
u16 sim_pri_status(struct sim_pri *pri)
{
	unsigned long flags;
	u16 status;

	raw_spin_lock_irqsave(&pri->lock, flags);
	status = pri->flags;
	if (!pri->enabled && list_empty(&pri->open))
		status |= PCI_PRI_STATUS_STOPPED;
	if (sim_pri_pasid_required(pri))
		status |= PCI_PRI_STATUS_PASID;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	return status;
}

/* ----- From add to del ----- */

/**
 * sim_pri_start() - the engine of the device begins to work
 * @pri: the interface
 */
void sim_pri_start(struct sim_pri *pri)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	pri->halted = false;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_halt() - the engine of the device ends
 * @pri: the interface: jobs that wait do so no longer; what is outstanding stays
 */
void sim_pri_halt(struct sim_pri *pri)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	pri->halted = true;
	sim_pri_wake_all(pri, -ENODEV);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_pull() - the device is gone: it hears nothing
 * @pri: the interface
 */
void sim_pri_pull(struct sim_pri *pri)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	pri->gone = true;
	sim_pri_close_all(pri, -ENODEV);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_add() - let a device have a page request interface, which is off
 * @pri: part of what describes the device; its memory belongs to the caller and has to stay
 *       until an RCU grace period after sim_pri_del()
 * @sim: behind which instance; likewise
 * @id: its device_id
 *
 * Return: 0, -EBUSY: there is a device of that ID, or -ENOMEM.
 */
int sim_pri_add(struct sim_pri *pri, struct rviommu_sim *sim, u32 id)
{
	unsigned int i;
	int ret;

	memset(pri, 0, sizeof(*pri));
	pri->sim = sim;
	pri->id = id;
	pri->shared = pri;
	pri->switches = sim->config.pri_switches;
	raw_spin_lock_init(&pri->lock);
	INIT_LIST_HEAD(&pri->open);
	INIT_LIST_HEAD(&pri->free);
	INIT_LIST_HEAD(&pri->jobs);
	for (i = 0; i < SIM_PRI_GROUPS; i++)
		list_add_tail(&pri->groups[i].node, &pri->free);
	ret = xa_insert(&sim->pris, id, pri, GFP_KERNEL);
	if (ret)
		pri->sim = NULL;
	return ret;
}

/**
 * sim_pri_del() - the end of a page request interface
 * @pri: from sim_pri_add(); no DMA is under way. A response may reach it until an RCU grace
 *       period later, which sim_atc_del() waits for.
 */
void sim_pri_del(struct sim_pri *pri)
{
	xa_erase(&pri->sim->pris, pri->id);
}

/**
 * sim_pri_share() - a virtual function has the interface of the physical one
 * @pri: the virtual function's, which is off
 * @with: the physical function's, which stays longer
 *
 * Each has its own groups: a response comes to who has asked. What software sets in the one
 * interface its owner hands on to each, and of what the device may have outstanding a part.
 */
void sim_pri_share(struct sim_pri *pri, struct sim_pri *with)
{
	pri->shared = with;
}

/* ----- Looking in ----- */

/**
 * sim_pri_set_switches() - choose how badly it behaves
 * @pri: the interface
 * @switches: RVIOMMU_SIM_PRI_* that are on from now on
 */
void sim_pri_set_switches(struct sim_pri *pri, u32 switches)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	pri->switches = switches;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_get_stats() - what it has seen
 * @pri: the interface
 * @stats: filled in
 */
void sim_pri_get_stats(struct sim_pri *pri, struct rviommu_sim_pri_stats *stats)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	*stats = pri->stats;
	stats->outstanding = pri->outstanding;
	stats->open = list_count_nodes(&pri->open);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

static int sim_pri_devices_show(struct seq_file *s, void *unused)
{
	struct rviommu_sim *sim = s->private;
	struct rviommu_sim_pri_stats st;
	u32 allocation, switches;
	unsigned long index, flags;
	struct sim_pri *pri;
	bool on;

	rcu_read_lock();
	xa_for_each(&sim->pris, index, pri) {
		/* Nothing is printed under a raw lock. */
		raw_spin_lock_irqsave(&pri->lock, flags);
		on = pri->enabled;
		allocation = pri->allocation;
		switches = pri->switches;
		raw_spin_unlock_irqrestore(&pri->lock, flags);
		sim_pri_get_stats(pri, &st);
		seq_printf(s, "device %#x %s status %#x allocation %u outstanding %llu open %llu switches %#x\n",
			   pri->id, on ? "on" : "off", sim_pri_status(pri), allocation,
			   st.outstanding, st.open, switches);
		seq_printf(s, "  requests %llu groups %llu markers %llu discarded %llu answered %llu waits %llu timeouts %llu\n",
			   st.requests, st.groups, st.markers, st.discarded, st.answered, st.waits,
			   st.timeouts);
		seq_printf(s, "  responses %llu successes %llu invalid %llu failures %llu unexpected %llu early %llu ignored %llu lost %llu\n",
			   st.responses, st.successes, st.invalid, st.failures, st.unexpected,
			   st.early, st.ignored, st.lost);
	}
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(sim_pri_devices);

/**
 * sim_pri_debugfs() - a file about the page requests of all devices
 * @sim: the instance, whose directory is there
 */
void sim_pri_debugfs(struct rviommu_sim *sim)
{
	debugfs_create_file("pri", 0400, sim->debugfs, sim, &sim_pri_devices_fops);
}
