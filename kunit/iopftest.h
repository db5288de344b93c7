/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices that send page requests, and domains that handle them in ways that a test chooses.
 */
#ifndef RVIOMMU_KUNIT_IOPFTEST_H
#define RVIOMMU_KUNIT_IOPFTEST_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <rviommu/sim.h>

struct kunit;
struct rviommu_endpoint;
struct rviommu_pritest_job;

#define IOPFTEST_IOVA		0x1000000000ULL
#define IOPFTEST_PAGES		16
#define IOPFTEST_NR_DEVICES	3
#define IOPFTEST_NR_SPACES	4

/**
 * enum iopftest_mode - what a handler does with a group
 * @IOPFTEST_MAP: map what is asked for, in a worker, and say success
 * @IOPFTEST_HOLD: keep it
 * @IOPFTEST_STALL: as @IOPFTEST_MAP, but not before the test says so; the worker waits
 * @IOPFTEST_REFUSE: take it not
 * @IOPFTEST_INVALID: say so
 */
enum iopftest_mode {
	IOPFTEST_MAP,
	IOPFTEST_HOLD,
	IOPFTEST_STALL,
	IOPFTEST_REFUSE,
	IOPFTEST_INVALID,
};

/**
 * struct iopftest_space - a domain that handles page requests
 * @handle: of the core
 * @domain: the domain
 * @pages: what it maps on demand
 * @mapping: protects what is mapped: workers run beside each other
 * @mode: how
 * @held: groups that are kept; under @lock
 * @lock: protects @held
 * @groups: how many have come
 * @mixed: of which so many were of more than one thing that a device asked for
 * @stalled: workers that have come to wait for @go
 * @closed: it is not attached: none may come
 * @wrong: groups that came when it was @closed
 * @own: pages that may be asked for, a bit each; all of them unless a test says so
 * @strange: groups that asked for others
 * @go: those that are stalled go on
 */
struct iopftest_space {
	struct iommu_attach_handle handle;
	struct iommu_domain *domain;
	u8 *pages;
	struct mutex mapping; /* see above */
	enum iopftest_mode mode;
	struct list_head held;
	spinlock_t lock; /* see above */
	atomic_t groups;
	atomic_t mixed;
	atomic_t stalled;
	bool closed;
	atomic_t wrong;
	unsigned long own;
	atomic_t strange;
	struct completion go;
};

/**
 * struct iopftest - devices and domains
 * @test: whose
 * @sim: the instance
 * @dev: its devices
 * @ep: what the driver knows of them
 * @group: their groups, of which we have DMA ownership
 * @attached: something is attached to their requester IDs
 * @space: domains
 */
struct iopftest {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev[IOPFTEST_NR_DEVICES];
	struct rviommu_endpoint *ep[IOPFTEST_NR_DEVICES];
	struct iommu_group *group[IOPFTEST_NR_DEVICES];
	struct iommu_domain *attached[IOPFTEST_NR_DEVICES];
	struct iopftest_space space[IOPFTEST_NR_SPACES];
};

/**
 * struct iopftest_thread - somebody else, who acts meanwhile
 * @f: devices and domains
 * @act: what he does
 * @done: he has
 */
struct iopftest_thread {
	struct iopftest *f;
	void (*act)(struct iopftest *f);
	struct completion done;
};

void iopftest_config(struct rviommu_sim_config *config);
struct iopftest *iopftest_up(struct kunit *test, const struct rviommu_sim_config *config);
struct iopftest *iopftest_up_default(struct kunit *test);

int iopftest_attach(struct iopftest *f, unsigned int dev, struct iopftest_space *space);
void iopftest_detach(struct iopftest *f, unsigned int dev);
int iopftest_attach_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			  struct iopftest_space *space);
int iopftest_replace_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			   struct iopftest_space *space);
void iopftest_detach_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			   struct iopftest_space *space);

struct rviommu_pritest_job *iopftest_go(struct iopftest *f, unsigned int dev, u32 pasid,
					unsigned int page, unsigned int nr, u64 seed);
int iopftest_fill(struct iopftest *f, unsigned int dev, u32 pasid, unsigned int page,
		  unsigned int nr, u64 seed);
bool iopftest_has(struct iopftest_space *space, unsigned int page, u64 seed);

void iopftest_unmap(struct iopftest_space *space, unsigned int page, unsigned int nr);
unsigned int iopftest_let_go(struct iopftest_space *space, enum iommu_page_response_code code,
			     bool map);
unsigned int iopftest_holds(struct iopftest_space *space);
void iopftest_await_held(struct iopftest *f, struct iopftest_space *space, unsigned int nr);
void iopftest_await_groups(struct iopftest *f, struct iopftest_space *space, unsigned int nr);
void iopftest_await_stalled(struct iopftest *f, struct iopftest_space *space);

struct iopftest_thread *iopftest_start(struct iopftest *f, void (*act)(struct iopftest *f));
bool iopftest_ends(struct iopftest_thread *t);
struct iopftest_thread *iopftest_detach_waits(struct iopftest *f,
					      struct rviommu_pritest_job **job);

struct rviommu_sim_pri_stats iopftest_stats(struct iopftest *f, unsigned int dev);
void iopftest_expect_clean(struct iopftest *f, unsigned int dev);

#endif /* RVIOMMU_KUNIT_IOPFTEST_H */
