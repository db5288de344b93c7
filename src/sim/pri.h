/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page request interface of a device (PCIe PRI): what it asks software for when the IOMMU
 * does not translate, and what it makes of the responses.
 */
#ifndef RVIOMMU_SIM_PRI_H
#define RVIOMMU_SIM_PRI_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <rviommu/sim.h>

struct device;
struct rviommu_sim;

/* Page requests that a device can have outstanding, at most */
#define SIM_PRI_MAX	64

/* Groups that it can have open: half of them for a device that has more than it was allocated */
#define SIM_PRI_GROUPS	(2 * SIM_PRI_MAX)

/**
 * struct sim_pri_group - a Page Request Group that has no response yet
 * @node: in sim_pri.open, the oldest first, or sim_pri.free
 * @job: who waits for the response; NULL: nobody
 * @index: Page Request Group Index
 * @pages: requests, which count as outstanding from the moment that the group is opened
 * @last: the last one was sent, or is about to be: a response may come
 * @pv: the requests have a PASID
 * @pasid: which
 */
struct sim_pri_group {
	struct list_head node;
	struct sim_pri_job *job;
	u16 index;
	u16 pages;
	bool last;
	bool pv;
	u32 pasid;
};

/**
 * struct sim_pri_job - a job of the DMA engine that may ask for pages; on its stack
 * @node: in sim_pri.jobs, if @listed
 * @dev: the device; a name only
 * @group: what it waits for; NULL while @waiting: until somebody else has a response
 * @wake: ends the wait
 * @waiting: for @wake
 * @result: of the wait
 * @asked: groups that it had
 * @response: code of the last response
 * @pv: the job is a PASID's
 * @pasid: which
 * @stopped: the PASID's use was stopped: the job shall end
 * @begun: when it began to wait for the part at @offset, jiffies
 * @offset: which part of the job
 * @tries: how often it asked for that part
 * @listed: @node is in the list
 *
 * All but the job's own business (@begun and what follows) is under sim_pri.lock.
 */
struct sim_pri_job {
	struct list_head node;
	struct device *dev;
	struct sim_pri_group *group;
	struct completion wake;
	bool waiting;
	int result;
	unsigned int asked;
	u8 response;
	bool pv;
	u32 pasid;
	bool stopped;
	unsigned long begun;
	u64 offset;
	unsigned int tries;
	bool listed;
};

/**
 * struct sim_pri_fault - an access that the IOMMU does not translate
 * @iova: where
 * @left: bytes of the job from there on
 * @offset: how far the job is
 * @read: it reads
 * @write: it writes
 * @exec: it reads for execute
 * @priv: in privileged mode
 */
struct sim_pri_fault {
	u64 iova;
	u64 left;
	u64 offset;
	bool read;
	bool write;
	bool exec;
	bool priv;
};

/**
 * struct sim_pri - the page request interface of one device
 * @sim: the instance; constant
 * @id: device_id; constant
 * @shared: whose status is its: its own, or that of the physical function. Constant once it can
 *          be used.
 * @lock: protects the rest. Raw: configuration space is accessed under a raw lock. Taken with
 *        interrupts off: responses arrive anywhere. The model is not called under it. That of
 *        @shared is taken inside.
 * @in_request: a test's; READ_ONCE and WRITE_ONCE
 * @enabled: the Enable bit
 * @failed: of @shared: there was a Response Failure: nothing is sent and nothing heard until
 *          @enabled is cleared and set again. Read with READ_ONCE by who shares it.
 * @halted: its engine ends
 * @gone: the device hears nothing any more
 * @marker_due: a Stop Marker is late
 * @marker_pasid: for this PASID
 * @flags: of @shared: PCI_PRI_STATUS_RF, PCI_PRI_STATUS_UPRGI
 * @switches: RVIOMMU_SIM_PRI_*
 * @allocation: requests that it may have outstanding
 * @outstanding: requests that it has
 * @open: groups that have no response
 * @free: unused ones
 * @jobs: those that have asked, those of PASIDs, and those who stop a PASID
 * @groups: all of them
 * @stats: counters
 *
 * A job that sends races responses to what it has sent, stops of its PASID, resets and the
 * end of the device. Each of them takes the lock, and ends groups by taking them away from the
 * job; before each request the job looks whether its group is still there.
 */
struct sim_pri {
	struct rviommu_sim *sim;
	u32 id;
	struct sim_pri *shared;
	raw_spinlock_t lock; /* see above */
	void (*in_request)(struct device *dev);
	bool enabled;
	bool failed;
	bool halted;
	bool gone;
	bool marker_due;
	u32 marker_pasid;
	u16 flags;
	u32 switches;
	u32 allocation;
	unsigned int outstanding;
	struct list_head open;
	struct list_head free;
	struct list_head jobs;
	struct sim_pri_group groups[SIM_PRI_GROUPS];
	struct rviommu_sim_pri_stats stats;
};

int sim_pri_add(struct sim_pri *pri, struct rviommu_sim *sim, u32 id);
void sim_pri_del(struct sim_pri *pri);
void sim_pri_share(struct sim_pri *pri, struct sim_pri *with);
void sim_pri_start(struct sim_pri *pri);
void sim_pri_halt(struct sim_pri *pri);
void sim_pri_pull(struct sim_pri *pri);

void sim_pri_enable(struct sim_pri *pri, bool on);
void sim_pri_allocate(struct sim_pri *pri, u32 allocation);
void sim_pri_reset(struct sim_pri *pri);
void sim_pri_reset_function(struct sim_pri *pri);
void sim_pri_clear_status(struct sim_pri *pri, u16 flags);
u16 sim_pri_status(struct sim_pri *pri);

void sim_pri_set_switches(struct sim_pri *pri, u32 switches);
void sim_pri_get_stats(struct sim_pri *pri, struct rviommu_sim_pri_stats *stats);
void sim_pri_response(struct rviommu_sim *sim, const struct rviommu_model_ats_msg *msg);
void sim_pri_debugfs(struct rviommu_sim *sim);

/* For pri_job.c */
bool sim_pri_may_send(const struct sim_pri *pri);
unsigned int sim_pri_budget(const struct sim_pri *pri);
struct sim_pri_group *sim_pri_open(struct sim_pri *pri, bool pv, u32 pasid, unsigned int pages);
void sim_pri_wake(struct sim_pri_job *job, int result);
void sim_pri_wake_others(struct sim_pri *pri, int result);
void sim_pri_send_marker(struct sim_pri *pri, u32 pasid);
bool sim_pri_send_single(struct sim_pri *pri, struct rviommu_model_page_request *pr);
void sim_pri_first_sent(struct sim_pri *pri, const struct rviommu_model_page_request *pr);
void sim_pri_message(struct sim_pri *pri, const struct rviommu_model_page_request *pr);

/* pri_job.c */
void sim_pri_begin(struct sim_pri *pri, struct sim_pri_job *job, struct device *dev, bool pv,
		   u32 pasid);
void sim_pri_end(struct sim_pri *pri, struct sim_pri_job *job);
bool sim_pri_stopped(const struct sim_pri_job *job);
int sim_pri_send(struct sim_pri *pri, struct sim_pri_job *job, const struct sim_pri_fault *fault);
int sim_pri_wait(struct sim_pri *pri, struct sim_pri_job *job);
int sim_pri_stop(struct sim_pri *pri, u32 pasid);

#endif /* RVIOMMU_SIM_PRI_H */
