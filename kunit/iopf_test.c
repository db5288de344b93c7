// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of simulated devices through driver and core: demand paging by a handler of the
 * test, domains that come and go while devices wait, and devices that do what they may not.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <rviommu/bus.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/directory.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/prg.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "hw.h"
#include "pritest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define PAGES		16
#define NR_DEVICES	2
#define NR_SPACES	3

/* What a handler does with a group */
enum iopf_mode {
	IOPF_MAP,	/* map what is asked for, in a worker, and say success */
	IOPF_HOLD,	/* keep it */
	IOPF_REFUSE,	/* take it not */
	IOPF_INVALID,	/* say so */
};

/**
 * struct iopf_space - a domain that handles page requests
 * @handle: of the core
 * @domain: the domain
 * @pages: what it maps on demand
 * @mode: how
 * @held: groups that are kept; under @lock
 * @lock: protects @held
 * @groups: how many have come
 */
struct iopf_space {
	struct iommu_attach_handle handle;
	struct iommu_domain *domain;
	u8 *pages;
	enum iopf_mode mode;
	struct list_head held;
	spinlock_t lock; /* see above */
	atomic_t groups;
};

/**
 * struct iopf_fixture - devices and domains
 * @test: whose
 * @sim: the instance
 * @dev: its devices
 * @ep: what the driver knows of them
 * @group: their groups, of which we have DMA ownership
 * @attached: something is attached to their requester IDs
 * @space: domains
 */
struct iopf_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev[NR_DEVICES];
	struct rviommu_endpoint *ep[NR_DEVICES];
	struct iommu_group *group[NR_DEVICES];
	struct iommu_domain *attached[NR_DEVICES];
	struct iopf_space space[NR_SPACES];
};

/* Handlers get a group only. */
static struct iopf_fixture *iopf_now;

static struct iopf_space *iopf_space_of(struct iopf_group *group)
{
	unsigned int i;

	for (i = 0; i < NR_SPACES; i++)
		if (iopf_now->space[i].domain == group->attach_handle->domain)
			return &iopf_now->space[i];
	return NULL;
}

static void iopf_map(struct iopf_space *space, struct iopf_group *group)
{
	struct iopf_fault *fault;

	list_for_each_entry(fault, &group->faults, list) {
		u64 iova = fault->fault.prm.addr;
		unsigned int page = (iova - IOVA) / SZ_4K;

		if (page < PAGES && !iommu_iova_to_phys(space->domain, iova))
			iommu_map(space->domain, iova,
				  virt_to_phys(space->pages + (PAGES - 1 - page) * SZ_4K), SZ_4K,
				  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	}
}

static void iopf_work(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);

	iopf_map(iopf_space_of(group), group);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
}

static int iopf_handler(struct iopf_group *group)
{
	struct iopf_space *space = iopf_space_of(group);

	atomic_inc(&space->groups);
	switch (READ_ONCE(space->mode)) {
	case IOPF_MAP:
		INIT_WORK(&group->work, iopf_work);
		queue_work(group->fault_param->queue->wq, &group->work);
		break;
	case IOPF_HOLD:
		spin_lock(&space->lock);
		list_add_tail(&group->node, &space->held);
		spin_unlock(&space->lock);
		break;
	case IOPF_REFUSE:
		return -EBUSY;
	case IOPF_INVALID:
		iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
		iopf_free_group(group);
		break;
	}
	return 0;
}

/* What is held gets this response. Returns how many that were. */
static unsigned int iopf_let_go(struct iopf_space *space, enum iommu_page_response_code code,
				bool map)
{
	struct iopf_group *group, *next;
	unsigned int nr = 0;
	LIST_HEAD(held);

	spin_lock(&space->lock);
	list_splice_init(&space->held, &held);
	spin_unlock(&space->lock);
	list_for_each_entry_safe(group, next, &held, node) {
		if (map)
			iopf_map(space, group);
		iopf_group_response(group, code);
		iopf_free_group(group);
		nr++;
	}
	return nr;
}

static unsigned int iopf_holds(struct iopf_space *space)
{
	struct iopf_group *group;
	unsigned int nr = 0;

	spin_lock(&space->lock);
	list_for_each_entry(group, &space->held, node)
		nr++;
	spin_unlock(&space->lock);
	return nr;
}

static void iopf_await_held(struct iopf_fixture *f, struct iopf_space *space, unsigned int nr)
{
	unsigned long end = jiffies + 60 * HZ;

	while (iopf_holds(space) < nr) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

static int iopf_attach(struct iopf_fixture *f, unsigned int dev, struct iopf_space *space)
{
	int ret = iommu_replace_group_handle(f->group[dev], space->domain, &space->handle);

	if (!ret)
		f->attached[dev] = space->domain;
	return ret;
}

static void iopf_detach(struct iopf_fixture *f, unsigned int dev)
{
	if (f->attached[dev])
		iommu_detach_group_handle(f->attached[dev], f->group[dev]);
	f->attached[dev] = NULL;
}

static void iopf_down(void *data)
{
	struct iopf_fixture *f = data;
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++)
		iopf_detach(f, i);
	for (i = 0; i < NR_SPACES; i++)
		iopf_let_go(&f->space[i], IOMMU_PAGE_RESP_INVALID, false);
}

static void iopf_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	config->endpoints = NR_DEVICES;
	config->ats = true;
	config->pasid_bits = 8;
}

static struct iopf_fixture *iopf_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct iopf_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	iopf_now = f;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_iopf", config);
	for (i = 0; i < NR_DEVICES; i++) {
		f->dev[i] = rviommu_sim_endpoint(f->sim, i);
		KUNIT_ASSERT_NOT_NULL(test, f->dev[i]);
		f->ep[i] = dev_iommu_priv_get(f->dev[i]);
		f->group[i] = rviommu_simtest_claim(test, f->dev[i]);
	}
	for (i = 0; i < NR_SPACES; i++) {
		struct iopf_space *space = &f->space[i];

		space->pages = rviommu_simtest_pages(test, SZ_64K);
		space->domain = rviommu_simtest_domain(test, f->dev[0]);
		space->domain->iopf_handler = iopf_handler;
		spin_lock_init(&space->lock);
		INIT_LIST_HEAD(&space->held);
	}
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, iopf_down, f), 0);
	return f;
}

static struct iopf_fixture *iopf_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	iopf_config(&config);
	return iopf_up(test, &config);
}

static struct rviommu_pritest_job *iopf_go(struct iopf_fixture *f, unsigned int dev, u32 pasid,
					   unsigned int page, unsigned int nr, u64 seed)
{
	const struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = pasid, .pasid = pasid,
		.iova = IOVA + page * SZ_4K, .length = nr * SZ_4K, .operand = seed,
	};

	return rviommu_pritest_go(f->test, f->dev[dev], &dma);
}

static int iopf_fill(struct iopf_fixture *f, unsigned int dev, u32 pasid, unsigned int page,
		     unsigned int nr, u64 seed)
{
	return rviommu_pritest_end(f->test, iopf_go(f, dev, pasid, page, nr, seed));
}

static bool iopf_has(struct iopf_space *space, unsigned int page, u64 seed)
{
	return rviommu_simtest_holds(space->pages + (PAGES - 1 - page) * SZ_4K, SZ_4K, seed);
}

static struct rviommu_sim_pri_stats iopf_stats(struct iopf_fixture *f, unsigned int dev)
{
	struct rviommu_sim_pri_stats stats = {};

	KUNIT_EXPECT_EQ(f->test, rviommu_sim_pri_stats(f->dev[dev], &stats), 0);
	return stats;
}

/* Each request has its response, none has two, and nothing is left in the driver. */
static void iopf_expect_clean(struct iopf_fixture *f, unsigned int dev)
{
	struct rviommu_sim_pri_stats stats = iopf_stats(f, dev);
	struct rviommu_prgs *prgs = &f->ep[dev]->pri.prgs;

	KUNIT_EXPECT_EQ(f->test, stats.outstanding, 0);
	KUNIT_EXPECT_EQ(f->test, stats.unexpected, 0);
	KUNIT_EXPECT_EQ(f->test, stats.early, 0);
	KUNIT_EXPECT_EQ(f->test, stats.failures, 0);
	KUNIT_EXPECT_TRUE(f->test, list_empty(&prgs->partial));
	KUNIT_EXPECT_TRUE(f->test, list_empty(&prgs->outstanding));
}

/* Nothing is mapped; the device asks for it, and real bytes move. */
static void iopf_demand(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct iopf_space *space = &f->space[0];
	unsigned int page;

	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, space), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
	for (page = 0; page < PAGES; page++)
		KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, page, 1, page), 0);
	for (page = 0; page < PAGES; page++)
		KUNIT_EXPECT_TRUE(test, iopf_has(space, page, page));
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), PAGES);
	/* What is there is not asked for. */
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, PAGES, 1), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), PAGES);
	iopf_expect_clean(f, 0);

	/* Its interface is off again when nobody handles what it sends. */
	iopf_detach(f, 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 0);
	iopf_expect_clean(f, 0);
}

static const struct rviommu_pri_ops *iopf_real_ops;
static unsigned int iopf_valid;

static void iopf_disable(struct device *dev)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu_dc dc;

	iopf_valid += rviommu_ddt_read(&ep->iommu->ddt, ep->ids[0], &dc);
	iopf_real_ops->disable(dev);
}

/* Its interface goes off before its context is invalid, which the IOMMU answers with a failure. */
static void iopf_off_first(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	struct rviommu_pri_ops ops = *bus->pri;

	iopf_real_ops = bus->pri;
	iopf_valid = 0;
	ops.disable = iopf_disable;
	bus->pri = &ops;
	KUNIT_EXPECT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	bus->pri = iopf_real_ops;
	KUNIT_EXPECT_EQ(test, iopf_valid, 1);
	iopf_expect_clean(f, 0);
}

/* Groups of several pages go to the handler as a whole. */
static void iopf_groups(struct kunit *test)
{
	struct iopf_fixture *f;
	struct rviommu_sim_config config;
	struct iopf_space *space;

	iopf_config(&config);
	config.pri_pages = 8;
	f = iopf_up(test, &config);
	space = &f->space[0];
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, space), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 8, 5), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
	KUNIT_EXPECT_EQ(test, iopf_stats(f, 0).requests, 8);
	iopf_expect_clean(f, 0);
}

static const bool iopf_with_pasid[] = { false, true };

static void iopf_desc(const bool *with, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "responses %s PASID", *with ? "with" : "without");
}

KUNIT_ARRAY_PARAM(iopf_responses, iopf_with_pasid, iopf_desc);

/* Two PASIDs and the requester ID at a time, with equal indices; each gets its own pages. */
static void iopf_pasids(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job[3];
	struct iopf_fixture *f;
	unsigned int i, page;

	iopf_config(&config);
	config.prg_pasid = *(const bool *)test->param_value;
	f = iopf_up(test, &config);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.pasid, config.prg_pasid);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	for (i = 1; i < 3; i++)
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(f->space[i].domain, f->dev[0], i,
								&f->space[i].handle), 0);
	for (page = 0; page < PAGES; page++) {
		for (i = 0; i < 3; i++)
			job[i] = iopf_go(f, 0, i, page, 1, 10 * page + i);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[i]), 0);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_TRUE(test, iopf_has(&f->space[i], page, 10 * page + i));
	}
	iopf_expect_clean(f, 0);
	for (i = 1; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].groups), PAGES);
		iommu_detach_device_pasid(f->space[i].domain, f->dev[0], i);
	}
	/* The others' interface stays on. */
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 1);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
}

/*
 * The domain is taken away while its handler has a request: the device hears of it at once, a
 * later response is none, and the next user of the PASID is not asked.
 */
static void iopf_taken_away(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct iopf_space *space = &f->space[1], *next = &f->space[2];
	struct rviommu_pritest_job *job;
	unsigned int round;

	/* So that the interface is on throughout */
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	for (round = 0; round < 20; round++) {
		space->mode = IOPF_HOLD;
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(space->domain, f->dev[0], 5,
								&space->handle), 0);
		job = iopf_go(f, 0, 5, 0, 1, round);
		iopf_await_held(f, space, 1);
		KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
		iommu_detach_device_pasid(space->domain, f->dev[0], 5);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
		iopf_expect_clean(f, 0);

		/* Somebody else has the PASID now. */
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(next->domain, f->dev[0], 5,
								&next->handle), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&next->groups), round);
		KUNIT_EXPECT_EQ(test, iopf_let_go(space, IOMMU_PAGE_RESP_SUCCESS, false), 1);
		iopf_expect_clean(f, 0);
		KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 5, round % PAGES, 1, round), 0);
		KUNIT_EXPECT_TRUE(test, iopf_has(next, round % PAGES, round));
		if (round < PAGES)
			KUNIT_EXPECT_EQ(test, atomic_read(&next->groups), round + 1);
		iommu_detach_device_pasid(next->domain, f->dev[0], 5);
		KUNIT_EXPECT_EQ(test, iommu_unmap(next->domain, IOVA + round % PAGES * SZ_4K,
						  SZ_4K), SZ_4K);
	}
	/* All the time the first one was served. */
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 2, 1), 0);
}

/* Replaced while a request is outstanding: it is answered, and tried again by the new one. */
static void iopf_replaced(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct iopf_space *from = &f->space[0], *to = &f->space[1];
	struct rviommu_pritest_job *job;

	from->mode = IOPF_HOLD;
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, from), 0);
	job = iopf_go(f, 0, 0, 3, 1, 33);
	iopf_await_held(f, from, 1);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, to), 0);
	KUNIT_EXPECT_EQ(test, iopf_holds(from), 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	KUNIT_EXPECT_EQ(test, iopf_let_go(from, IOMMU_PAGE_RESP_SUCCESS, false), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, iopf_has(to, 3, 33));
	KUNIT_EXPECT_EQ(test, atomic_read(&to->groups), 1);
	iopf_expect_clean(f, 0);
}

/* What a handler can say, or not take; the interface goes on. */
static void iopf_not_served(struct kunit *test)
{
	static const enum iopf_mode modes[] = { IOPF_INVALID, IOPF_REFUSE };
	struct iopf_fixture *f = iopf_up_default(test);
	struct iopf_space *space = &f->space[0];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, space), 0);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		space->mode = modes[i];
		KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, i, 1, 1), -EFAULT);
		iopf_expect_clean(f, 0);
		space->mode = IOPF_MAP;
		KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, i, 1, 2), 0);
	}
	KUNIT_EXPECT_EQ(test, iopf_stats(f, 0).invalid, 2);
	/* A PASID that nothing is attached to */
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 7, 0, 1, 1), -EFAULT);
	iopf_expect_clean(f, 0);
}

/* A slow handler of one device holds up no other: neither its requests nor its detach. */
static void iopf_alone(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct rviommu_pritest_job *job;

	f->space[0].mode = IOPF_HOLD;
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	job = iopf_go(f, 0, 0, 0, 1, 1);
	iopf_await_held(f, &f->space[0], 1);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 1, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 1, 0, 0, 4, 2), 0);
	iopf_detach(f, 1);
	iopf_expect_clean(f, 1);
	KUNIT_EXPECT_EQ(test, iopf_holds(&f->space[0]), 1);
	KUNIT_EXPECT_EQ(test, iopf_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	iopf_expect_clean(f, 0);
}

/* Messages are lost: nothing is stuck, and what is asked for again is served. */
static void iopf_overflow(struct kunit *test)
{
	static const unsigned int injections[] = {
		RVIOMMU_MODEL_INJECT_PQ_OF, RVIOMMU_MODEL_INJECT_PQ_MF,
	};
	struct iopf_fixture *f;
	struct rviommu_sim_config config;
	unsigned int i;

	iopf_config(&config);
	config.pri_pages = 4;
	f = iopf_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	for (i = 0; i < ARRAY_SIZE(injections); i++) {
		int ret;

		rviommu_model_inject(rviommu_sim_model(f->sim), injections[i], 1);
		ret = iopf_fill(f, 0, 0, 4 * i, 4, i);
		/* A memory fault is answered with a failure, by the IOMMU itself. */
		if (injections[i] == RVIOMMU_MODEL_INJECT_PQ_OF)
			KUNIT_EXPECT_EQ(test, ret, 0);
	}
	/* The device may have heard of it before the driver has. */
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.overflows), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.memfaults), 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	/* Of that the device recovers when it is attached anew. */
	iopf_detach(f, 0);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 8, 4, 9), 0);
}

/* What is not complete is forgotten when messages were lost, of whichever device. */
static void iopf_overflow_partial(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopf_fixture *f;

	iopf_config(&config);
	config.pri_timeout = 20 * NSEC_PER_MSEC;
	f = iopf_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 1, &f->space[1]), 0);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	KUNIT_EXPECT_NE(test, iopf_fill(f, 0, 0, 0, 1, 1), 0);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_FALSE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	iopf_fill(f, 1, 0, 0, 1, 1);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.overflows), 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	rviommu_sim_set_pri(f->dev[0], 0);
}

/* The IOMMU has queued a request, and nobody was told, when the domain is taken away. */
static void iopf_flush(struct kunit *test)
{
	struct rviommu_pritest_job *job;
	struct rviommu_sim_config config;
	struct rviommu_bus *bus;
	struct iopf_fixture *f;
	unsigned long end;

	iopf_config(&config);
	config.pri_timeout = 5ULL * NSEC_PER_SEC;
	f = iopf_up(test, &config);
	bus = f->ep[0]->iommu->bus;
	/* So that the interface is on throughout */
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(f->space[1].domain, f->dev[0], 5,
							&f->space[1].handle), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	job = iopf_go(f, 0, 5, 0, 1, 1);
	for (end = jiffies + 60 * HZ; bus->ops->read32(bus, RVIOMMU_REG_PQT) ==
				      bus->ops->read32(bus, RVIOMMU_REG_PQH);) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	iommu_detach_device_pasid(f->space[1].domain, f->dev[0], 5);
	iopf_expect_clean(f, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[1].groups), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 1, 1), 0);
}

/* A device whose interface was switched on by somebody else */
static void iopf_stranger(struct kunit *test)
{
	struct iopf_fixture *f = iopf_up_default(test);
	struct rviommu *iommu = f->ep[0]->iommu;

	f->space[0].domain->iopf_handler = NULL;
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->strangers), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_enable_pri(f->dev[0], 8), 0);
	KUNIT_EXPECT_EQ(test, iopf_fill(f, 0, 0, 0, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->strangers), 1);
	KUNIT_EXPECT_EQ(test, iopf_stats(f, 0).outstanding, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_disable_pri(f->dev[0]), 0);
}

/* Devices that do what they may not: only they suffer. */
static void iopf_hostile(struct kunit *test)
{
	static const u32 switches[] = {
		RVIOMMU_SIM_PRI_FLOOD, RVIOMMU_SIM_PRI_FLOOD | RVIOMMU_SIM_PRI_EXCESS,
		RVIOMMU_SIM_PRI_NO_LAST, RVIOMMU_SIM_PRI_REUSE, RVIOMMU_SIM_PRI_LOST,
		RVIOMMU_SIM_PRI_AFTER_STOP, RVIOMMU_SIM_PRI_SWITCHES,
	};
	struct rviommu_sim_config config;
	struct iopf_fixture *f;
	unsigned int i, k;

	iopf_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	config.pri_pages = 4;
	f = iopf_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopf_attach(f, 1, &f->space[1]), 0);
	for (i = 0; i < ARRAY_SIZE(switches); i++) {
		KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
		rviommu_sim_set_pri(f->dev[0], switches[i]);
		/* Whatever becomes of it, it ends. */
		for (k = 0; k < 4; k++)
			iopf_fill(f, 0, 0, 4 * k, 4, k);
		KUNIT_EXPECT_EQ_MSG(test, iopf_fill(f, 1, 0, i, 1, i), 0, "%#x", switches[i]);
		rviommu_sim_set_pri(f->dev[0], 0);
		iopf_detach(f, 0);
		KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
		KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
		iommu_unmap(f->space[0].domain, IOVA, SZ_64K);
		/* And works, when it behaves. */
		KUNIT_ASSERT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
		KUNIT_EXPECT_EQ_MSG(test, iopf_fill(f, 0, 0, 0, 4, i), 0, "%#x", switches[i]);
		iopf_detach(f, 0);
		iommu_unmap(f->space[0].domain, IOVA, SZ_64K);
	}
}

/* Devices that can send none */
static void iopf_impossible(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopf_fixture *f;

	iopf_config(&config);
	config.pri = false;
	f = iopf_up(test, &config);
	KUNIT_EXPECT_EQ(test, iopf_attach(f, 0, &f->space[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(f->space[1].domain, f->dev[0], 5,
							&f->space[1].handle), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(f->space[0].domain), 0);
	f->space[0].domain->iopf_handler = NULL;
	KUNIT_EXPECT_EQ(test, iopf_attach(f, 0, &f->space[0]), 0);
}

static struct kunit_case iopf_cases[] = {
	KUNIT_CASE(iopf_demand),
	KUNIT_CASE(iopf_off_first),
	KUNIT_CASE(iopf_groups),
	KUNIT_CASE_PARAM(iopf_pasids, iopf_responses_gen_params),
	KUNIT_CASE(iopf_taken_away),
	KUNIT_CASE(iopf_replaced),
	KUNIT_CASE(iopf_not_served),
	KUNIT_CASE(iopf_alone),
	KUNIT_CASE(iopf_overflow),
	KUNIT_CASE(iopf_overflow_partial),
	KUNIT_CASE(iopf_flush),
	KUNIT_CASE(iopf_stranger),
	KUNIT_CASE(iopf_hostile),
	KUNIT_CASE(iopf_impossible),
	{}
};

static struct kunit_suite iopf_suite = {
	.name = "rviommu_iopf",
	.test_cases = iopf_cases,
};

kunit_test_suite(iopf_suite);
