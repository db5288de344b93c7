// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory fails, once, at each allocation in turn that the kernel makes for page requests: of
 * the driver, of the core, of the exerciser. The thread of the test does what allocates, and
 * only its allocations count.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/limits.h>
#include <linux/pci_regs.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <rviommu/bus.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/iopf.h"
#include "../src/driver/queue.h"
#include "../src/driver/rviommu.h"
#include "../src/sim/demand.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"
#include "testdev.h"

/* No path here has so many allocations. */
#define MANY		1000
#define GROUP_PAGES	4

/* ----- What fails ----- */

/**
 * struct failure_knobs - the kernel's settings, which it lets only user space change
 * @verbose: a trace of each failure goes to the log
 * @slab_ignore: what may sleep does not fail
 * @page_ignore: the same of pages
 * @page_order: nor what is smaller
 */
struct failure_knobs {
	unsigned long verbose[2];
	bool slab_ignore;
	bool page_ignore;
	u32 page_order;
};

static void *failure_knob(const char *where, const char *name)
{
	struct dentry *dir = debugfs_lookup(where, NULL), *file;
	void *knob = NULL;

	file = dir ? debugfs_lookup(name, dir) : NULL;
	if (file)
		knob = d_inode(file)->i_private;
	dput(file);
	dput(dir);
	return knob;
}

static struct failure_knobs failure_set(struct kunit *test, const struct failure_knobs *now)
{
	unsigned long *verbose[2] = {
		failure_knob("failslab", "verbose"), failure_knob("fail_page_alloc", "verbose"),
	};
	bool *slab = failure_knob("failslab", "ignore-gfp-wait");
	bool *page = failure_knob("fail_page_alloc", "ignore-gfp-wait");
	u32 *order = failure_knob("fail_page_alloc", "min-order");
	struct failure_knobs was = {};

	KUNIT_ASSERT_TRUE(test, verbose[0] && verbose[1] && slab && page && order);
	was = (struct failure_knobs) {
		.verbose = { *verbose[0], *verbose[1] }, .slab_ignore = *slab,
		.page_ignore = *page, .page_order = *order,
	};
	WRITE_ONCE(*verbose[0], now->verbose[0]);
	WRITE_ONCE(*verbose[1], now->verbose[1]);
	WRITE_ONCE(*slab, now->slab_ignore);
	WRITE_ONCE(*page, now->page_ignore);
	WRITE_ONCE(*order, now->page_order);
	return was;
}

/*
 * Do something, and let its allocation @nth fail; @pages: those of pages count, too, and not
 * only those of objects. False if it had fewer.
 */
static bool failure_call(struct kunit *test, unsigned int nth, bool pages, int (*act)(void *arg),
			 void *arg, int *ret)
{
	const struct failure_knobs now = { .page_order = pages ? 0 : U32_MAX };
	struct failure_knobs was = failure_set(test, &now);
	unsigned int left;

	WRITE_ONCE(current->fail_nth, nth);
	*ret = act(arg);
	left = READ_ONCE(current->fail_nth);
	WRITE_ONCE(current->fail_nth, 0);
	failure_set(test, &was);
	return !left;
}

/* ----- Requests ----- */

static unsigned int failure_unread(struct rviommu_bus *bus, u32 mask)
{
	return (bus->ops->read32(bus, RVIOMMU_REG_PQT) -
		bus->ops->read32(bus, RVIOMMU_REG_PQH)) & mask;
}

static int failure_service(void *arg)
{
	rviommu_inq_service(arg);
	return 0;
}

/* Until the device has what it asked for, or has heard that it will not have it. */
static void failure_finish(struct iopftest *f, struct rviommu_pritest_job *job)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!completion_done(&job->done)) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		rviommu_inq_service(&f->ep[0]->iommu->pageq);
		schedule_timeout_uninterruptible(1);
	}
}

/*
 * A group of several pages. Without the memory for one of its requests the others are served, and
 * the device asks again; without that for the group it is Invalid Request. Never is a
 * request left for the next group of its index.
 */
static void failure_requests(struct kunit *test)
{
	unsigned int nth, refused = 0, again = 0;
	struct rviommu_sim_config config;
	struct rviommu_inq *pageq;
	struct rviommu_bus *bus;
	struct iopftest *f;
	bool failed = true;

	iopftest_config(&config);
	config.pri_pages = GROUP_PAGES;
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	f = iopftest_up(test, &config);
	pageq = &f->ep[0]->iommu->pageq;
	bus = pageq->q.bus;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	for (nth = 1; failed && nth < MANY; nth++) {
		struct rviommu_sim_pri_stats before = iopftest_stats(f, 0), after;
		struct rviommu_pritest_job *job = iopftest_go(f, 0, 0, 0, GROUP_PAGES, nth);
		unsigned long end = jiffies + 60 * HZ;
		int ret;

		while (failure_unread(bus, rviommu_queue_mask(&pageq->q)) < GROUP_PAGES) {
			KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
			schedule_timeout_uninterruptible(1);
		}
		failed = failure_call(test, nth, false, failure_service, pageq, &ret);
		failure_finish(f, job);
		ret = rviommu_pritest_end(test, job);
		after = iopftest_stats(f, 0);
		/* One response per group, and it was taken for that of the group. */
		KUNIT_EXPECT_EQ(test, after.responses - before.responses,
				after.groups - before.groups);
		KUNIT_EXPECT_EQ(test, after.invalid - before.invalid, ret ? 1 : 0);
		KUNIT_EXPECT_TRUE(test, ret == 0 || ret == -EFAULT);
		iopftest_expect_clean(f, 0);
		if (!failed)
			KUNIT_EXPECT_EQ(test, after.groups - before.groups, 1);
		refused += ret ? 1 : 0;
		again += !ret && after.groups - before.groups > 1 ? 1 : 0;
		/* What was left of an earlier group would be mapped with this one. */
		if (ret)
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(f->space[0].domain,
								 IOPFTEST_IOVA), 0);
		else
			KUNIT_EXPECT_EQ(test, iommu_unmap(f->space[0].domain, IOPFTEST_IOVA,
							  GROUP_PAGES * SZ_4K),
					GROUP_PAGES * SZ_4K);
	}
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_EXPECT_FALSE(test, failed);
	/* Each of its requests but the last; and the group */
	KUNIT_EXPECT_EQ(test, again, GROUP_PAGES - 1);
	KUNIT_EXPECT_EQ(test, refused, 1);
}

/* ----- The first who handles them ----- */

static int failure_attach(void *arg)
{
	struct iopftest *f = arg;

	return iopftest_attach(f, 0, &f->space[0]);
}

#define PASID	5

static int failure_attach_pasid(void *arg)
{
	struct iopftest *f = arg;

	return iopftest_attach_pasid(f, 0, PASID, &f->space[1]);
}

/* What is attached, and how it is taken away. */
static const struct failure_attach_how {
	const char *name;
	int (*attach)(void *f);
	unsigned int space;
} failure_hows[] = {
	{ "requester ID", failure_attach, 0 },
	{ "PASID", failure_attach_pasid, 1 },
};

KUNIT_ARRAY_PARAM_DESC(failure_how, failure_hows, name);

static void failure_detach(struct iopftest *f, const struct failure_attach_how *how)
{
	if (how->space)
		iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	else
		iopftest_detach(f, 0);
}

/* It handles page requests from the first to the last byte, or nothing of it is there. */
static void failure_first(struct kunit *test)
{
	const struct failure_attach_how *how = test->param_value;
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *space = &f->space[how->space];
	struct rviommu_pri *pri = &f->ep[0]->pri;
	unsigned int nth, refused = 0, pasid = how->space ? PASID : 0;
	bool failed = true;
	int ret;

	for (nth = 1; failed && nth < MANY; nth++) {
		failed = failure_call(test, nth, true, how->attach, f, &ret);
		if (ret) {
			KUNIT_EXPECT_EQ_MSG(test, ret, -ENOMEM, "allocation %u", nth);
			KUNIT_EXPECT_TRUE(test, failed);
			KUNIT_EXPECT_EQ_MSG(test, pri->users, 0, "allocation %u", nth);
			KUNIT_EXPECT_FALSE(test, pri->enabled);
			KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev[0]) &
						PCI_PRI_STATUS_STOPPED);
			KUNIT_EXPECT_EQ(test, rviommu_simtest_users(space->domain), 0);
			refused++;
		} else {
			KUNIT_EXPECT_EQ(test, pri->users, 1);
			KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, pasid, 0, 1, nth), 0);
			KUNIT_EXPECT_TRUE(test, iopftest_has(space, 0, nth));
			iopftest_expect_clean(f, 0);
			failure_detach(f, how);
			iommu_unmap(space->domain, IOPFTEST_IOVA, SZ_4K);
		}
		/* The next one is the first again. */
		rviommu_iopf_exit(f->ep[0]);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	/* At least the queue, its workqueue, and what the core knows of the device */
	KUNIT_EXPECT_GE(test, refused, 3);
	kunit_info(test, "%u allocations, %u of them necessary", nth - 2, refused);
}

/* ----- The exerciser ----- */

static int failure_exercise(void *arg)
{
	struct rviommu_sim_results results;

	return rviommu_sim_exercise(arg, "demand 3 1", &results);
}

/* "demand" works, or says that there is no memory, and the device can be used as before. */
static void failure_demand(struct kunit *test)
{
	struct rviommu_sim_config config;
	unsigned int nth, refused = 0;
	struct rviommu_endpoint *ep;
	struct rviommu_sim *sim;
	bool failed = true;
	struct device *dev;
	int ret;

	iopftest_config(&config);
	config.exerciser = true;
	sim = rviommu_simtest_create(test, "rviommu_kunit_failure", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	ep = dev_iommu_priv_get(dev);
	for (nth = 1; failed && nth < MANY; nth++) {
		failed = failure_call(test, nth, true, failure_exercise, dev, &ret);
		/* Or the device had no memory for what it was allowed, so it may not do it. */
		KUNIT_EXPECT_TRUE_MSG(test, ret == -ENOMEM || ret == -EFAULT || !ret,
				      "allocation %u: %d", nth, ret);
		refused += ret ? 1 : 0;
		KUNIT_EXPECT_EQ(test, ep->pri.users, 0);
		KUNIT_EXPECT_TRUE(test, list_empty(&ep->pri.prgs.partial));
		KUNIT_EXPECT_TRUE(test, list_empty(&ep->pri.prgs.outstanding));
		rviommu_iopf_exit(ep);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	KUNIT_EXPECT_EQ(test, ret, 0);
	/* The list of pages, which are mapped, and six pages, at least */
	KUNIT_EXPECT_GE(test, refused, 8);
	kunit_info(test, "%u allocations, %u of them necessary", nth - 2, refused);
}

/* ----- Who maps for it ----- */

/**
 * struct failure_worker - the thread of the test is the worker of "demand"
 * @test: the test
 * @nth: allocation that fails when the first group is handled; 0: none
 * @failed: it did
 */
struct failure_worker {
	struct kunit *test;
	unsigned int nth;
	bool failed;
};

/* What is called in place of sim_ex_demand_queue() has no argument for it. */
static struct failure_worker *failure_worker_now;

static int failure_work(void *work)
{
	((struct work_struct *)work)->func(work);
	return 0;
}

static void failure_queue(struct iopf_group *group)
{
	struct failure_worker *w = failure_worker_now;
	int ret;

	if (!w->nth) {
		failure_work(&group->work);
		return;
	}
	w->failed = failure_call(w->test, w->nth, true, failure_work, &group->work, &ret);
	w->nth = 0;
}

/**
 * struct failure_user - "demand", in a thread of its own
 * @dev: the device
 * @ret: how it ended
 * @done: it has
 */
struct failure_user {
	struct device *dev;
	int ret;
	struct completion done;
};

static int failure_use(void *data)
{
	struct failure_user *user = data;

	user->ret = rviommu_sim_exercise(user->dev, "demand 1 1", NULL);
	complete(&user->done);
	return 0;
}

/* All of it; what it ended with */
static int failure_demand_once(struct kunit *test, struct rviommu_inq *pageq, struct device *dev)
{
	struct failure_user *user = kunit_kzalloc(test, sizeof(*user), GFP_KERNEL);
	unsigned long end = jiffies + 60 * HZ;
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, user);
	user->dev = dev;
	init_completion(&user->done);
	task = kthread_run(failure_use, user, "failure_use");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	while (!completion_done(&user->done)) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		rviommu_inq_service(pageq);
		schedule_timeout_uninterruptible(1);
	}
	return user->ret;
}

/*
 * The worker has no memory to map what is asked for: that is one response, Invalid Request, and
 * nothing is left, neither of the page nor of the tables that it was to be in.
 */
static void failure_demand_worker(struct kunit *test)
{
	struct failure_worker w = { .test = test };
	struct rviommu_sim_pri_stats before = {}, after = {};
	struct rviommu_sim_config config;
	struct rviommu_endpoint *ep;
	unsigned int nth, refused = 0;
	struct rviommu_bus *bus;
	struct rviommu_sim *sim;
	struct device *dev;
	long live;
	int ret;

	iopftest_config(&config);
	config.exerciser = true;
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	sim = rviommu_simtest_create(test, "rviommu_kunit_failure", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	ep = dev_iommu_priv_get(dev);
	bus = ep->iommu->bus;
	failure_worker_now = &w;
	kunit_activate_static_stub(test, sim_ex_demand_queue, failure_queue);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	/* What stays from the first time on is there. */
	KUNIT_ASSERT_EQ(test, failure_demand_once(test, &ep->iommu->pageq, dev), 0);
	live = testdev_live();
	w.failed = true;
	for (nth = 1; w.failed && nth < MANY; nth++) {
		w.nth = nth;
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_stats(dev, &before), 0);
		ret = failure_demand_once(test, &ep->iommu->pageq, dev);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_stats(dev, &after), 0);
		KUNIT_EXPECT_TRUE_MSG(test, !ret || ret == -EFAULT, "allocation %u: %d", nth, ret);
		refused += ret ? 1 : 0;
		/* The page that could not be mapped, or the one that is nobody's */
		KUNIT_EXPECT_EQ(test, after.invalid - before.invalid, 1);
		KUNIT_EXPECT_EQ(test, after.groups - before.groups, ret ? 1 : 3);
		KUNIT_EXPECT_EQ(test, after.responses - before.responses,
				after.groups - before.groups);
		KUNIT_EXPECT_EQ(test, after.outstanding, 0);
		KUNIT_EXPECT_EQ(test, after.unexpected, 0);
		KUNIT_EXPECT_EQ(test, ep->pri.users, 0);
		KUNIT_EXPECT_TRUE(test, list_empty(&ep->pri.prgs.partial));
		KUNIT_EXPECT_TRUE(test, list_empty(&ep->pri.prgs.outstanding));
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	kunit_deactivate_static_stub(test, sim_ex_demand_queue);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_EXPECT_FALSE(test, w.failed);
	KUNIT_EXPECT_EQ(test, ret, 0);
	/* Two tables below the root, at least */
	KUNIT_EXPECT_GE(test, refused, 2);
	kunit_info(test, "%u allocations, %u of them necessary", nth - 2, refused);
}

static struct kunit_case failure_cases[] = {
	KUNIT_CASE(failure_requests),
	KUNIT_CASE_PARAM(failure_first, failure_how_gen_params),
	KUNIT_CASE(failure_demand),
	KUNIT_CASE(failure_demand_worker),
	{}
};

static struct kunit_suite failure_suite = {
	.name = "rviommu_iopf_failure",
	.test_cases = failure_cases,
};

kunit_test_suite(failure_suite);
