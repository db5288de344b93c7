// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA that waits for pages: it asks for what is not translated, waits for the response, and tries
 * again; and the end of a PASID's use, which ends such jobs.
 *
 * What PCIe leaves undefined ends somewhere here: no wait is longer than
 * rviommu_sim_config.pri_timeout.
 */
#include <linux/bitfield.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/sched.h>

#include <rviommu/formats.h>

#include "pri.h"
#include "sim.h"

#define SIM_PRI_PAGE	BIT_ULL(RVIOMMU_PAGE_LG2)

/* ----- Jobs ----- */

static unsigned long sim_pri_patience(const struct sim_pri *pri)
{
	return nsecs_to_jiffies(pri->sim->config.pri_timeout) + 1;
}

static void sim_pri_list(struct sim_pri *pri, struct sim_pri_job *job)
{
	if (job->listed)
		return;
	job->listed = true;
	init_completion(&job->wake);
	list_add_tail(&job->node, &pri->jobs);
}

/**
 * sim_pri_begin() - a job begins
 * @pri: the interface of its device
 * @job: filled in
 * @dev: the device
 * @pv: the job has a PASID
 * @pasid: which
 */
void sim_pri_begin(struct sim_pri *pri, struct sim_pri_job *job, struct device *dev, bool pv,
		   u32 pasid)
{
	unsigned long flags;

	/* The rest is filled in when the job gets into the list: most never do. */
	job->dev = dev;
	job->group = NULL;
	job->waiting = false;
	job->asked = 0;
	job->response = 0;
	job->pv = pv;
	job->pasid = pv ? pasid : 0;
	job->stopped = false;
	job->tries = 0;
	job->listed = false;
	/* Others are stopped by nobody, and are known when they ask. */
	if (!pv)
		return;
	raw_spin_lock_irqsave(&pri->lock, flags);
	sim_pri_list(pri, job);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_end() - a job is over
 * @pri: as of sim_pri_begin()
 * @job: likewise
 */
void sim_pri_end(struct sim_pri *pri, struct sim_pri_job *job)
{
	unsigned long flags;

	if (!job->listed)
		return;
	raw_spin_lock_irqsave(&pri->lock, flags);
	list_del(&job->node);
	if (job->group)
		job->group->job = NULL;
	sim_pri_wake_others(pri, 0);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
}

/**
 * sim_pri_stopped() - shall this job end?
 * @job: the job
 *
 * Return: true if the use of its PASID was stopped.
 */
bool sim_pri_stopped(const struct sim_pri_job *job)
{
	return READ_ONCE(job->stopped);
}

/* Is it still worth asking? Returns 0 or -ETIMEDOUT. */
static int sim_pri_try(struct sim_pri *pri, struct sim_pri_job *job, u64 offset)
{
	if (!job->tries++ || job->offset != offset) {
		job->tries = 1;
		job->offset = offset;
		job->begun = jiffies;
		return 0;
	}
	if (time_before(jiffies, job->begun + sim_pri_patience(pri)))
		return 0;
	pri->stats.timeouts++;
	return -ETIMEDOUT;
}

/*
 * Let a job have a group of at most @nr requests. Returns how many it has, 0: none now, the
 * job waits for others to have their responses; or an error. The lock is held.
 */
static int sim_pri_join(struct sim_pri *pri, struct sim_pri_job *job, u64 offset, unsigned int nr)
{
	int ret;

	if (pri->gone || pri->halted)
		return -ENODEV;
	if (job->stopped)
		return -ECANCELED;
	/* Nothing can be asked for: the access is refused for good. */
	if (!sim_pri_may_send(pri) || (!pri->outstanding && !sim_pri_budget(pri)))
		return -EFAULT;
	ret = sim_pri_try(pri, job, offset);
	if (ret)
		return ret;
	sim_pri_list(pri, job);
	reinit_completion(&job->wake);
	job->waiting = true;
	nr = min(nr, sim_pri_budget(pri));
	if (nr)
		job->group = sim_pri_open(pri, job->pv, job->pasid, nr);
	if (job->group) {
		job->group->job = job;
		job->asked++;
		return nr;
	}
	pri->stats.waits++;
	return 0;
}

/*
 * The next request of a job's group. Returns false if the group is no more. The lock is taken
 * for each, so that whatever ends groups can come in between.
 */
static bool sim_pri_next(struct sim_pri *pri, struct sim_pri_job *job, bool last,
			 struct rviommu_model_page_request *pr)
{
	struct sim_pri_group *g;
	unsigned long flags;

	raw_spin_lock_irqsave(&pri->lock, flags);
	g = job->group;
	if (g) {
		/* The response may be there before the message is out of our hands. */
		g->last = last && !(pri->switches & RVIOMMU_SIM_PRI_NO_LAST);
		pr->payload &= ~(RVIOMMU_MODEL_PAGE_INDEX | RVIOMMU_MODEL_PAGE_L);
		pr->payload |= FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, g->index);
		pr->payload |= g->last ? RVIOMMU_MODEL_PAGE_L : 0;
	}
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	return g;
}

/*
 * Which page of a group of @nr comes as its @i-th. RVIOMMU_SIM_PRI_SHUFFLE: from both ends in turn,
 * so that neither is any order of addresses kept, nor is the last request that of the last page.
 */
static unsigned int sim_pri_place(unsigned int i, unsigned int nr, bool shuffle)
{
	if (!shuffle)
		return i;
	return i & 1 ? i / 2 : nr - 1 - i / 2;
}

/* @pr is the request for the group's first page. */
static void sim_pri_send_group(struct sim_pri *pri, struct sim_pri_job *job,
			       struct rviommu_model_page_request *pr, unsigned int nr,
			       bool shuffle)
{
	void (*in_request)(struct device *dev);
	const u64 first = pr->payload;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		pr->payload = first + sim_pri_place(i, nr, shuffle) * SIM_PRI_PAGE;
		if (!sim_pri_next(pri, job, i + 1 == nr, pr))
			return;
		sim_pri_message(pri, pr);
		if (!i)
			sim_pri_first_sent(pri, pr);
		in_request = READ_ONCE(pri->in_request);
		if (in_request && i + 1 < nr)
			in_request(job->dev);
	}
}

/**
 * sim_pri_send() - ask for what an access needs
 * @pri: the interface
 * @job: the job; it may have to wait
 * @fault: what is missing
 *
 * The group asks for the page of the access and those that the job comes to behind it, as far
 * as rviommu_sim_config.pri_pages and what the device may send allow. They are asked for in the
 * order of their addresses, or in none with RVIOMMU_SIM_PRI_SHUFFLE. A group that was begun is
 * sent to its end, even if its job has to end ("Managing PASID Usage on PRG Requests").
 *
 * Process context.
 *
 * Return: -EAGAIN: sim_pri_wait() is next; -EFAULT: the device cannot ask; -ENODEV: it
 * goes; -ECANCELED: the PASID was stopped; -ETIMEDOUT: it has asked for too long.
 */
int sim_pri_send(struct sim_pri *pri, struct sim_pri_job *job, const struct sim_pri_fault *fault)
{
	u64 first = fault->iova / SIM_PRI_PAGE;
	u64 last = (fault->iova + fault->left - 1) / SIM_PRI_PAGE;
	struct rviommu_model_page_request pr = {
		.device_id = pri->id,
		.process_id = job->pasid,
		.pv = job->pv,
		.priv = job->pv && fault->priv,
		.exec = job->pv && fault->exec,
		.payload = first * SIM_PRI_PAGE,
	};
	unsigned long flags;
	bool shuffle;
	int nr;

	pr.payload |= fault->read ? RVIOMMU_MODEL_PAGE_R : 0;
	pr.payload |= fault->write ? RVIOMMU_MODEL_PAGE_W : 0;
	raw_spin_lock_irqsave(&pri->lock, flags);
	nr = sim_pri_join(pri, job, fault->offset,
			  min_t(u64, last - first + 1, pri->sim->config.pri_pages));
	/* For the whole group: a switch in the middle would let it ask for a page twice. */
	shuffle = pri->switches & RVIOMMU_SIM_PRI_SHUFFLE;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (nr < 0)
		return nr;
	sim_pri_send_group(pri, job, &pr, nr, shuffle);
	return -EAGAIN;
}

/* Wait to be woken, until @end at the latest. Returns the result, or -ETIMEDOUT. */
static int sim_pri_sleep(struct sim_pri *pri, struct sim_pri_job *job, unsigned long end)
{
	long left = end - jiffies;
	unsigned long flags;
	int ret;

	wait_for_completion_timeout(&job->wake, max(left, 1L));
	raw_spin_lock_irqsave(&pri->lock, flags);
	ret = job->result;
	if (job->waiting) {
		pri->stats.timeouts++;
		ret = -ETIMEDOUT;
	}
	job->waiting = false;
	/* Nobody waits for the response any more, if it comes. */
	if (job->group)
		job->group->job = NULL;
	job->group = NULL;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	return ret;
}

/**
 * sim_pri_wait() - wait for the response
 * @pri: the interface
 * @job: from sim_pri_send()
 *
 * May sleep, for rviommu_sim_config.pri_timeout at most.
 *
 * Return: 0: try again; -EFAULT: the response was another than Success; -ETIMEDOUT: there was
 * none; -ECANCELED: the PASID was stopped; -EIO: the device was reset; -ENODEV: it goes.
 */
int sim_pri_wait(struct sim_pri *pri, struct sim_pri_job *job)
{
	int ret = sim_pri_sleep(pri, job, job->begun + sim_pri_patience(pri));

	/* Success that changed nothing, as from a full queue: somebody has to get on first. */
	if (!ret && job->tries > 1)
		schedule_timeout_uninterruptible(1);
	return ret;
}

/* ----- The end of a PASID's use ----- */

/* Have those ended that were to? The lock is held. */
static bool sim_pri_quiet(struct sim_pri *pri, u32 pasid)
{
	const struct sim_pri_group *g;
	const struct sim_pri_job *job;

	list_for_each_entry(job, &pri->jobs, node)
		if (job->stopped && job->pasid == pasid)
			return false;
	if (pri->sim->config.stop_markers)
		return true;
	list_for_each_entry(g, &pri->open, node)
		if (g->pv && g->pasid == pasid)
			return false;
	return true;
}

/* End the jobs of a PASID. Returns 0, -ETIMEDOUT or -ENODEV. */
static int sim_pri_stop_jobs(struct sim_pri *pri, u32 pasid)
{
	unsigned long flags, end = jiffies + sim_pri_patience(pri);
	struct sim_pri_job self = {}, *job;
	int ret;

	raw_spin_lock_irqsave(&pri->lock, flags);
	list_for_each_entry(job, &pri->jobs, node) {
		if (!job->pv || job->pasid != pasid)
			continue;
		WRITE_ONCE(job->stopped, true);
		sim_pri_wake(job, -ECANCELED);
	}
	sim_pri_list(pri, &self);
	while (true) {
		ret = pri->gone || pri->halted ? -ENODEV : 0;
		if (ret || sim_pri_quiet(pri, pasid))
			break;
		ret = -ETIMEDOUT;
		if (time_after(jiffies, end))
			break;
		reinit_completion(&self.wake);
		self.waiting = true;
		raw_spin_unlock_irqrestore(&pri->lock, flags);
		sim_pri_sleep(pri, &self, end);
		raw_spin_lock_irqsave(&pri->lock, flags);
	}
	list_del(&self.node);
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	return ret;
}

/*
 * Say that what comes from now on is of another use. A marker that is late takes the place of
 * an earlier one that is, which goes out now.
 */
static void sim_pri_mark(struct sim_pri *pri, u32 pasid)
{
	unsigned long flags;
	bool send;

	raw_spin_lock_irqsave(&pri->lock, flags);
	send = pri->sim->config.stop_markers && sim_pri_may_send(pri) &&
	       !(pri->switches & RVIOMMU_SIM_PRI_NO_MARKER);
	if (send && pri->switches & RVIOMMU_SIM_PRI_LATE_MARKER) {
		send = pri->marker_due;
		pri->marker_due = true;
		swap(pri->marker_pasid, pasid);
	}
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (send)
		sim_pri_send_marker(pri, pasid);
}

/**
 * sim_pri_stop() - end the use of a PASID ("Managing PASID Usage on PRG Requests")
 * @pri: the interface
 * @pasid: which
 *
 * Its jobs end; each group that they began is sent to its end. With
 * rviommu_sim_config.stop_markers, what is outstanding is stale, and a Stop Marker follows it.
 * Without, the responses are waited for. Jobs that begin later are of another use.
 *
 * May sleep, for rviommu_sim_config.pri_timeout at most.
 *
 * Return: 0; -ETIMEDOUT: not all responses came; -ENODEV: the device goes.
 */
int sim_pri_stop(struct sim_pri *pri, u32 pasid)
{
	struct rviommu_model_page_request pr = {
		.device_id = pri->id,
		.process_id = pasid,
		.pv = true,
		.payload = RVIOMMU_MODEL_PAGE_R,
	};
	unsigned long flags;
	bool after;
	int ret;

	ret = sim_pri_stop_jobs(pri, pasid);
	if (ret)
		return ret;
	sim_pri_mark(pri, pasid);
	raw_spin_lock_irqsave(&pri->lock, flags);
	after = pri->switches & RVIOMMU_SIM_PRI_AFTER_STOP;
	raw_spin_unlock_irqrestore(&pri->lock, flags);
	if (after)
		sim_pri_send_single(pri, &pr);
	return 0;
}
