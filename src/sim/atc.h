/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The address translation cache in a device (PCIe ATS): what it was told about
 * addresses, until it is told to forget.
 */
#ifndef RVIOMMU_SIM_ATC_H
#define RVIOMMU_SIM_ATC_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <rviommu/sim.h>

struct rviommu_sim;
struct sim_atc_entry;

#define SIM_ATC_BUCKETS		32

/* Tags of an Invalidation Request: the IOMMU never has more under way. */
#define SIM_ATC_QUEUE		32

/* What is left to do for whoever takes the lock next */
#define SIM_ATC_FORGET		BIT(0)
#define SIM_ATC_DROP_QUEUE	BIT(1)

/**
 * struct sim_atc_request - an Invalidation Request that was not answered yet
 * @itag: to be named in the completion
 * @begun: entries were removed; only DMAs that still use them are missing
 * @pv: it is about @process_id; else about what was asked for without PASID
 * @global: it is about all PASIDs
 * @process_id: PASID
 * @first: first byte of the range
 * @last: last byte of the range
 */
struct sim_atc_request {
	u8 itag;
	bool begun;
	bool pv;
	bool global;
	u32 process_id;
	u64 first;
	u64 last;
};

/**
 * struct sim_atc - the ATC of one device
 * @sim: the instance; constant
 * @id: device_id; constant
 * @depth: requests that the device says it can queue; constant
 * @shared: the ATC that has the queue's depth: itself, or that of the physical function.
 *          Constant once requests can come.
 * @waiting: requests in the queues of all those
 * @on: the device asks for translations; written without the lock, which cannot be
 *      taken where configuration space is written
 * @asleep: the device may send nothing, likewise; READ_ONCE and WRITE_ONCE
 * @todo: SIM_ATC_FORGET and so on, done before anything else under the lock
 * @lock: protects the rest. Taken with interrupts off: messages arrive anywhere.
 *        The model is not called under it.
 * @gone: the device answers nothing any more
 * @switches: RVIOMMU_SIM_ATC_*
 * @limit: entries that it holds at most, 0: no limit
 * @generation: of everything it was told to forget
 * @spaces: a tree of entries per PASID, hashed by it
 * @entries: all in a tree, the oldest first
 * @dead: entries in no tree any more that a DMA is using
 * @draining: those of them that queue[0] waits for
 * @queue: requests in order of arrival
 * @queued: how many
 * @stats: counters
 */
struct sim_atc {
	struct rviommu_sim *sim;
	u32 id;
	unsigned int depth;
	struct sim_atc *shared;
	atomic_t waiting;
	bool on;
	bool asleep;
	atomic_t todo;
	spinlock_t lock; /* see above */
	bool gone;
	u32 switches;
	unsigned int limit;
	u64 generation;
	struct hlist_head spaces[SIM_ATC_BUCKETS];
	struct list_head entries;
	struct list_head dead;
	struct list_head draining;
	struct sim_atc_request queue[SIM_ATC_QUEUE];
	unsigned int queued;
	struct rviommu_sim_atc_stats stats;
};

int sim_atc_add(struct sim_atc *atc, struct rviommu_sim *sim, u32 id);
void sim_atc_del(struct sim_atc *atc);
void sim_atc_share(struct sim_atc *atc, struct sim_atc *with);
void sim_atc_pull(struct sim_atc *atc);
void sim_atc_enable(struct sim_atc *atc, bool on);
void sim_atc_sleep(struct sim_atc *atc, bool asleep);
void sim_atc_reset(struct sim_atc *atc);
bool sim_atc_is_on(struct sim_atc *atc);
int sim_atc_use(struct sim_atc *atc, struct rviommu_model_request *req,
		struct sim_atc_entry **use, u16 *cause);
u64 sim_atc_grant(const struct sim_atc_entry *use);
void sim_atc_unuse(struct sim_atc *atc, struct sim_atc_entry *use);

void sim_atc_set_switches(struct sim_atc *atc, u32 switches);
void sim_atc_get_stats(struct sim_atc *atc, struct rviommu_sim_atc_stats *stats);
unsigned int sim_atc_list(struct sim_atc *atc,
			  bool (*fn)(const struct rviommu_sim_atc_entry *entry, void *arg),
			  void *arg);

void sim_atc_message(struct rviommu_sim *sim, const struct rviommu_model_ats_msg *msg);
void sim_atc_work(struct rviommu_sim *sim);
void sim_atc_debugfs(struct rviommu_sim *sim);

#endif /* RVIOMMU_SIM_ATC_H */
