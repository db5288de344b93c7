/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the commands of the exerciser have in common: bytes that can be told apart, DMA that is
 * counted, threads that end when somebody wants them to.
 */
#ifndef RVIOMMU_SIM_EXERCISE_H
#define RVIOMMU_SIM_EXERCISE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <rviommu/sim.h>

struct dentry;
struct device;

/**
 * struct ex_demand - what a device asked for
 * @groups: Page Request Groups
 * @requests: pages in them
 * @pages: pages that were mapped for them
 * @ns: how long the device took
 */
struct ex_demand {
	u64 groups;
	u64 requests;
	u64 pages;
	u64 ns;
};

/**
 * struct exerciser - one device that is exercised (its driver data)
 * @dev: the device
 * @dir: its directory in debugfs
 * @wq: runs the threads of commands
 * @gone: the driver lets go of the device: commands end, and no more begin. Set once;
 *        READ_ONCE and WRITE_ONCE
 * @users: who may use this without a file of ours, and one until ex_remove(). Taken under
 *         the device's lock, which ex_remove() is called with.
 * @idle: of which there is none left
 * @lock: held by the command that runs
 * @text_lock: protects @command, @status, @running, @demand and the members that begin
 *             with @touched; a leaf
 * @command: the last command
 * @status: how it ended, 0 or a negative errno; 0 while it runs
 * @running: it has not ended yet
 * @touched: where the last touch went
 * @touched_write: it was a write
 * @touched_blocked: the IOMMU refused it
 * @touched_cause: why
 * @touched_any: there was one
 * @demand: what the last demand saw; no groups: there was none
 * @seed: of the last pattern; no two DMAs write the same bytes
 * @bytes: that the device moved
 * @dmas: jobs of the device
 * @refused: of which the IOMMU refused so many
 * @mappings: of the DMA API and of the domains that replaced it
 * @replacements: of one domain by another
 * @mismatches: comparisons that failed
 */
struct exerciser {
	struct device *dev;
	struct dentry *dir;
	struct workqueue_struct *wq;
	bool gone;
	refcount_t users;
	struct completion idle;
	struct mutex lock; /* see above */
	struct mutex text_lock; /* see above */
	char command[64];
	int status;
	bool running;
	u64 touched;
	bool touched_write;
	bool touched_blocked;
	u16 touched_cause;
	bool touched_any;
	struct ex_demand demand;
	atomic64_t seed;
	atomic64_t bytes;
	atomic64_t dmas;
	atomic64_t refused;
	atomic64_t mappings;
	atomic64_t replacements;
	atomic64_t mismatches;
};

struct ex_job;

/**
 * struct ex_thread - one thread of a command
 * @work: runs it
 * @job: the command
 * @index: from 0
 */
struct ex_thread {
	struct work_struct work;
	struct ex_job *job;
	unsigned int index;
};

/**
 * struct ex_job - what the threads of a command share
 * @ex: the device
 * @run: what each of them does; ends soon after sim_ex_stopped()
 * @threads: the threads
 * @nr: how many
 * @left: how many have not ended
 * @done: none is left
 * @stop: they shall end
 * @ret: the first error, or 0
 * @bytes: copy: size of a buffer
 * @rounds: copy: how often
 * @seed: demand: of the pattern
 */
struct ex_job {
	struct exerciser *ex;
	int (*run)(struct ex_job *job, unsigned int index);
	struct ex_thread *threads;
	unsigned int nr;
	atomic_t left;
	struct completion done;
	bool stop;
	int ret;
	size_t bytes;
	unsigned int rounds;
	u64 seed;
};

void sim_ex_fill(u8 *p, size_t n, u64 seed, size_t offset);
bool sim_ex_holds(const u8 *p, size_t n, u64 seed, size_t offset);
u64 sim_ex_seed(struct exerciser *ex, unsigned int nr);
int sim_ex_dma(struct exerciser *ex, struct rviommu_sim_dma *dma);
int sim_ex_check_pasid(struct exerciser *ex, u32 pasid);
int sim_ex_fail(struct ex_job *job, int ret, const char *what, const struct rviommu_sim_dma *dma);
bool sim_ex_stopped(const struct ex_job *job);
int sim_ex_start(struct ex_job *job);
int sim_ex_finish(struct ex_job *job);

#endif /* RVIOMMU_SIM_EXERCISE_H */
