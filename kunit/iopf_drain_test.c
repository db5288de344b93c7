// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PASID is made quiet: flushed, drained, cancelled, by its driver or because its domain is taken
 * away; and who has to wait for whom meanwhile.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iopf.h"
#include "../src/driver/prg.h"
#include "../src/driver/pri.h"
#include "../src/driver/device.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "../src/driver/space.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"
#include "testlog.h"

#define PASID	5
#define OTHER	6
/* Never over: what does not happen within it is a failure. */
#define LONG_MS	60000

/**
 * struct drain_thread - somebody else, who acts at a certain moment
 * @f: devices and domains
 * @act: what he does
 * @done: he has
 * @ret: what came of it
 */
struct drain_thread {
	struct iopftest *f;
	int (*act)(struct iopftest *f);
	struct completion done;
	int ret;
};

static int drain_run(void *data)
{
	struct drain_thread *t = data;

	/* What is replaced for the test is so here. */
	current->kunit_test = t->f->test;
	t->ret = t->act(t->f);
	current->kunit_test = NULL;
	complete(&t->done);
	return 0;
}

static struct drain_thread *drain_start(struct iopftest *f, int (*act)(struct iopftest *f))
{
	struct drain_thread *t = kunit_kzalloc(f->test, sizeof(*t), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(f->test, t);
	t->f = f;
	t->act = act;
	init_completion(&t->done);
	task = kthread_run(drain_run, t, "rviommu_drain");
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(task));
	return t;
}

static int drain_end(struct drain_thread *t)
{
	KUNIT_ASSERT_NE(t->f->test, wait_for_completion_timeout(&t->done, 60 * HZ), 0);
	return t->ret;
}

/* @space handles what a PASID of device 0 asks for, and the interface is on throughout. */
static struct iopftest *drain_up(struct kunit *test, enum iopftest_mode mode)
{
	struct iopftest *f = iopftest_up_default(test);

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	f->space[1].mode = mode;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	return f;
}

static void drain_down(struct iopftest *f)
{
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	iopftest_expect_clean(f, 0);
}

static bool drain_is_empty(struct iopftest *f)
{
	struct rviommu_prgs *prgs = &f->ep[0]->pri.prgs;

	guard(spinlock)(&prgs->lock);
	return list_empty(&prgs->partial) && list_empty(&prgs->outstanding) &&
	       list_empty(&prgs->answers);
}

/* Once somebody waits for it, what is held gets its response. */
static int drain_let_go(struct iopftest *f)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!wq_has_sleeper(&f->ep[0]->pri.prgs.answered)) {
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		schedule_timeout_uninterruptible(1);
	}
	return iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, true);
}

/* Who handles them has his say. */
static void drain_waits(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 7);
	struct drain_thread *t;

	iopftest_await_held(f, &f->space[1], 1);
	t = drain_start(f, drain_let_go);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(f->dev[0], PASID, LONG_MS), 0);
	KUNIT_EXPECT_TRUE(test, drain_is_empty(f));
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 0);
	KUNIT_EXPECT_EQ(test, drain_end(t), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], 0, 7));
	drain_down(f);
}

/* He does not say anything: it is said for him, and what he says later is nothing. */
static void drain_times_out(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 7);

	iopftest_await_held(f, &f->space[1], 1);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(f->dev[0], PASID, 1), -ETIMEDOUT);
	KUNIT_EXPECT_TRUE(test, drain_is_empty(f));
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 0);
	drain_down(f);
}

/* Of this PASID, and of no other */
static void drain_cancels(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job[2];

	f->space[2].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, OTHER, &f->space[2]), 0);
	job[0] = iopftest_go(f, 0, PASID, 0, 1, 1);
	job[1] = iopftest_go(f, 0, OTHER, 0, 1, 2);
	iopftest_await_held(f, &f->space[1], 1);
	iopftest_await_held(f, &f->space[2], 1);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[2], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	iopftest_detach_pasid(f, 0, OTHER, &f->space[2]);
	drain_down(f);
}

static int drain_drain(struct device *dev, ioasid_t pasid)
{
	return rviommu_iopf_drain(dev, pasid, LONG_MS);
}

static int drain_flush(struct device *dev, ioasid_t pasid)
{
	return rviommu_iopf_flush(dev);
}

/* What can be said of a PASID, and what becomes of a group that is not complete */
static const struct drain_how {
	const char *name;
	int (*say)(struct device *dev, ioasid_t pasid);
	bool forgets;
} drain_hows[] = {
	{ "flush", drain_flush, false },
	{ "drain", drain_drain, true },
	{ "cancel", rviommu_iopf_cancel, true },
};

KUNIT_ARRAY_PARAM_DESC(drain_all, drain_hows, name);

/* The last request of a group never comes: it is not left for the next user of the PASID. */
static void drain_partial(struct kunit *test)
{
	const struct drain_how *how = test->param_value;
	struct rviommu_sim_config config;
	struct rviommu_prgs *prgs;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri_timeout = 20 * NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	prgs = &f->ep[0]->pri.prgs;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	KUNIT_EXPECT_NE(test, iopftest_fill(f, 0, PASID, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_flush(f->dev[0]), 0);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&prgs->partial));
	/* That of another one stays. */
	KUNIT_EXPECT_EQ(test, how->say(f->dev[0], OTHER), 0);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&prgs->partial));
	KUNIT_EXPECT_EQ(test, how->say(f->dev[0], PASID), 0);
	KUNIT_EXPECT_EQ(test, list_empty(&prgs->partial), how->forgets);
	rviommu_sim_set_pri(f->dev[0], 0);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	KUNIT_EXPECT_TRUE(test, drain_is_empty(f));
}

/* The IOMMU queues what comes, and tells nobody. */
static void drain_read_not(struct iopftest *f)
{
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;

	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
}

/* What has come meanwhile, too. */
static void drain_read_again(struct iopftest *f)
{
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;

	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_EXPECT_EQ(f->test, rviommu_iopf_flush(f->dev[0]), 0);
}

static struct rviommu_pritest_job *drain_go_unread(struct iopftest *f, u32 pasid)
{
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	struct rviommu_pritest_job *job;
	unsigned long end;

	drain_read_not(f);
	job = iopftest_go(f, 0, pasid, 0, 1, 3);
	for (end = jiffies + 60 * HZ; bus->ops->read32(bus, RVIOMMU_REG_PQT) ==
				      bus->ops->read32(bus, RVIOMMU_REG_PQH);) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	return job;
}

/* It is read all the same. */
static void drain_reads(struct kunit *test)
{
	const struct drain_how *how = test->param_value;
	struct iopftest *f = drain_up(test, IOPFTEST_MAP);
	struct rviommu_pritest_job *job = drain_go_unread(f, PASID);

	KUNIT_EXPECT_EQ(test, how->say(f->dev[0], PASID), 0);
	/* Who handles it was asked at once; whether he was quicker than a cancellation is open. */
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[1].groups), 1);
	if (how->say == rviommu_iopf_cancel)
		rviommu_pritest_end(test, job);
	else
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	drain_read_again(f);
	drain_down(f);
}

/* A device without page requests, and one that is not ours */
static void drain_of_none(struct kunit *test)
{
	const struct drain_how *how = test->param_value;
	struct rviommu_sim_config config;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri = false;
	f = iopftest_up(test, &config);
	KUNIT_EXPECT_EQ(test, how->say(f->dev[0], PASID), 0);
	KUNIT_EXPECT_EQ(test, how->say(f->ep[0]->iommu->dev, PASID), -ENODEV);
}

/* The IOMMU is out of service: nothing is left here. */
static void drain_dead(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri_timeout = 500 * NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	f->space[1].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	job = iopftest_go(f, 0, PASID, 0, 1, 1);
	iopftest_await_held(f, &f->space[1], 1);
	rviommu_cmdq_kill(&f->ep[0]->iommu->cmdq, "a test wants it");
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), -EIO);
	KUNIT_EXPECT_TRUE(test, drain_is_empty(f));
	/* Nobody can tell the device. */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
}

/* A handler of one device that takes its time holds up no other. */
static void drain_alone(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_STALL);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 1);

	iopftest_await_groups(f, &f->space[1], 1);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[2]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 2), 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(f->dev[1], IOMMU_NO_PASID, LONG_MS), 0);
	iopftest_detach(f, 1);
	/* Nor another PASID of the same device */
	KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(f->dev[0], OTHER, LONG_MS), 0);
	KUNIT_EXPECT_FALSE(test, drain_is_empty(f));
	complete(&f->space[1].go);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	drain_down(f);
}

static int drain_detach(struct iopftest *f)
{
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	return 0;
}

/* Somebody is about to wait for handlers. */
static struct completion drain_waiting;

static unsigned long drain_tell(void)
{
	complete(&drain_waiting);
	return RVIOMMU_IOPF_PATIENCE_S * HZ;
}

/* Others go on: what they ask for is served, they are drained, attached and detached. */
static int drain_others_live(struct iopftest *f)
{
	int ret;

	ret = rviommu_simtest_fill(f->dev[1], 0, IOPFTEST_IOVA, 4 * SZ_4K, 2) ?:
	      rviommu_iopf_drain(f->dev[1], IOMMU_NO_PASID, LONG_MS) ?:
	      iopftest_attach(f, 2, &f->space[3]) ?:
	      rviommu_simtest_fill(f->dev[2], 0, IOPFTEST_IOVA, 4 * SZ_4K, 2);
	iopftest_detach(f, 2);
	/* Nor does another PASID of the same device have to wait. */
	return ret ?: rviommu_iopf_drain(f->dev[0], OTHER, LONG_MS);
}

/*
 * Somebody waits for the handler of one device, with the lock of that device held, because the
 * domain of a PASID goes: others do not wait for him.
 */
static void drain_detach_alone(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_STALL);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 1);
	struct drain_thread *detach, *others;

	iopftest_await_stalled(f, &f->space[1]);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[2]), 0);
	init_completion(&drain_waiting);
	kunit_activate_static_stub(test, rviommu_iopf_patience, drain_tell);
	detach = drain_start(f, drain_detach);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&drain_waiting, 60 * HZ), 0UL);
	KUNIT_EXPECT_TRUE(test, mutex_is_locked(&f->ep[0]->lock));
	others = drain_start(f, drain_others_live);
	KUNIT_EXPECT_EQ(test, drain_end(others), 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&detach->done));
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	complete(&f->space[1].go);
	KUNIT_EXPECT_EQ(test, drain_end(detach), 0);
	/* What it was told to try again is not there any more. */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopftest_expect_clean(f, 0);
	iopftest_expect_clean(f, 1);
	iopftest_expect_clean(f, 2);
}

static unsigned long drain_impatient(void)
{
	return 1;
}

/*
 * The domain of a PASID is taken away while its handler runs, and does not end: the device hears
 * of it all the same, and the domain is there until the handler has ended.
 */
static void drain_detach_stalled(struct iopftest *f)
{
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 1);
	struct drain_thread *t;
	struct testlog log;
	char text[96];

	snprintf(text, sizeof(text), "%s: its page requests are handled for too long",
		 dev_name(f->dev[0]));
	testlog_start(&log);
	kunit_activate_static_stub(f->test, rviommu_iopf_patience, drain_impatient);
	iopftest_await_groups(f, &f->space[1], 1);
	t = drain_start(f, drain_detach);
	KUNIT_EXPECT_EQ(f->test, rviommu_pritest_end(f->test, job), -EFAULT);
	KUNIT_EXPECT_FALSE(f->test, completion_done(&t->done));
	/* The log says who is waited for, and goes on to. */
	KUNIT_EXPECT_GE(f->test, testlog_errors(&log, text), 1);
	complete(&f->space[1].go);
	KUNIT_EXPECT_EQ(f->test, drain_end(t), 0);
	iopftest_expect_clean(f, 0);
}

/* The interface stays on, */
static void drain_stalled(struct kunit *test)
{
	drain_detach_stalled(drain_up(test, IOPFTEST_STALL));
}

/* or goes off, as that was the last one. */
static void drain_stalled_last(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);

	f->space[1].mode = IOPFTEST_STALL;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	drain_detach_stalled(f);
}

static void drain_suspend(struct iopftest *f)
{
	KUNIT_EXPECT_EQ(f->test, rviommu_suspend(f->ep[0]->iommu), 0);
}

/* Whoever suspends has come to the device, and devices may come and go; or, in a minute, not. */
static bool drain_leaves_others(struct iopftest *f)
{
	struct mutex *lock = &f->ep[0]->iommu->endpoints_lock;
	unsigned long end = jiffies + 60 * HZ;

	while (!time_after(jiffies, end)) {
		if (refcount_read(&f->ep[0]->refs) > 1 && mutex_trylock(lock)) {
			mutex_unlock(lock);
			return true;
		}
		schedule_timeout_uninterruptible(1);
	}
	return false;
}

/* A handler does not end, and the system goes to sleep: it waits, and others do not. */
static void drain_stalled_suspend(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_thread *detach, *suspend;
	struct rviommu_pritest_job *job;

	detach = iopftest_detach_waits(f, &job);
	suspend = iopftest_start(f, drain_suspend);
	KUNIT_EXPECT_TRUE(test, drain_leaves_others(f));
	KUNIT_EXPECT_FALSE(test, completion_done(&suspend->done));

	complete_all(&f->space[0].go);
	KUNIT_EXPECT_TRUE(test, iopftest_ends(detach));
	KUNIT_EXPECT_TRUE(test, iopftest_ends(suspend));
	KUNIT_EXPECT_EQ(test, rviommu_resume(f->ep[0]->iommu), 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopftest_expect_clean(f, 0);
}

/*
 * Each who has the PASID is asked for pages of his own, which those before and behind him are not;
 * and for those behind them, whoever he is.
 */
#define TENURES		3
#define TENURE_PAGES	4
#define COMMON_PAGE	(TENURES * TENURE_PAGES)

/**
 * struct drain_load - a device that never stops
 * @f: devices and domains
 * @stop: it shall
 */
struct drain_load {
	struct iopftest *f;
	bool stop;
};

static int drain_load(void *data)
{
	struct drain_load *load = data;
	unsigned int i;

	/* Refused whenever nothing is attached */
	for (i = 0; !READ_ONCE(load->stop); i++) {
		u64 page = COMMON_PAGE + i % (IOPFTEST_PAGES - COMMON_PAGE);

		rviommu_simtest_fill(load->f->dev[0], PASID, IOPFTEST_IOVA + page * SZ_4K,
				     SZ_4K, 0);
		cond_resched();
	}
	return 0;
}

static void drain_await_sent(struct iopftest *f, u64 requests)
{
	unsigned long end = jiffies + 60 * HZ;

	while (iopftest_stats(f, 0).requests < requests) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/*
 * One who has the PASID. In the end the device is told to use it no more, and waits for no
 * response: what it has asked may be anywhere. With @unread it is in the queue, and is read when
 * the next one has the PASID, at the latest.
 */
static void drain_tenure(struct iopftest *f, struct iopftest_space *space, unsigned int round,
			 bool unread)
{
	const unsigned int page = round % TENURES * TENURE_PAGES;
	int ret, before = atomic_read(&space->groups);
	struct rviommu_pritest_job *job;
	u64 sent;

	iopftest_unmap(space, 0, IOPFTEST_PAGES);
	WRITE_ONCE(space->own, GENMASK(page + TENURE_PAGES - 1, page) |
			       GENMASK(IOPFTEST_PAGES - 1, COMMON_PAGE));
	WRITE_ONCE(space->closed, false);
	KUNIT_EXPECT_EQ(f->test, iopftest_attach_pasid(f, 0, PASID, space), 0);
	if (unread)
		drain_read_not(f);
	else
		drain_read_again(f);
	/* Whoever has been reading until now has ended. */
	KUNIT_EXPECT_EQ(f->test, rviommu_iopf_flush(f->dev[0]), 0);
	sent = iopftest_stats(f, 0).requests;
	job = iopftest_go(f, 0, PASID, page, TENURE_PAGES, round);
	/*
	 * The load has one, and another one if an interrupt was on its way; the rest of the group
	 * is sent before the device has stopped.
	 */
	if (unread)
		drain_await_sent(f, sent + TENURE_PAGES);
	else if (round % 8 < 2)
		/* Now and then it gets to something. */
		iopftest_await_groups(f, space, before + 1);
	KUNIT_EXPECT_EQ(f->test, rviommu_sim_stop_pasid(f->dev[0], PASID), 0);
	ret = rviommu_pritest_end(f->test, job);
	KUNIT_EXPECT_TRUE_MSG(f->test, !ret || ret == -ECANCELED, "round %u: %d", round, ret);
	iopftest_detach_pasid(f, 0, PASID, space);
	WRITE_ONCE(space->closed, true);
	KUNIT_EXPECT_TRUE(f->test, drain_is_empty(f));
}

/*
 * A PASID goes from one user to the other, again and again, and the device does not stop asking:
 * no request reaches who has it no more, or not yet.
 */
static void drain_reused(struct kunit *test)
{
	unsigned int i, round, rounds = rviommu_simtest_rounds(1000);
	struct rviommu_sim_config config;
	struct drain_load load = {};
	struct task_struct *task;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri_pages = TENURE_PAGES;
	f = iopftest_up(test, &config);
	load.f = f;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	f->space[1].closed = true;
	f->space[2].closed = true;
	task = kthread_run(drain_load, &load, "rviommu_load");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	for (round = 0; round < rounds; round++)
		drain_tenure(f, &f->space[1 + round % 2], round, round % 4 == 3);
	WRITE_ONCE(load.stop, true);
	kthread_stop_put(task);
	drain_read_again(f);
	for (i = 1; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].wrong), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].strange), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].mixed), 0);
		KUNIT_EXPECT_GE(test, atomic_read(&f->space[i].groups), rounds / 8);
	}
	iopftest_expect_clean(f, 0);
	/* All the time another one was served. */
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 2, 1), 0);
}

/**
 * struct drain_moment - what others do at a certain moment of one thread
 * @f: devices and domains
 * @same: somebody who has to wait until that moment is over
 * @passed: he did not; or that moment came
 * @other: what became of those who need not wait
 * @gone: the device that was released then
 */
struct drain_moment {
	struct iopftest *f;
	struct drain_thread *same;
	bool passed;
	int other;
	struct rviommu_endpoint *gone;
};

/* Locks of the core may be held: a failure must not end the thread here. */
static void drain_act(struct drain_moment *m, int (*same)(struct iopftest *f),
		      struct wait_queue_head *where, int (*other)(struct iopftest *f))
{
	struct drain_thread *t = drain_start(m->f, other);
	unsigned long end = jiffies + 60 * HZ;

	m->other = wait_for_completion_timeout(&t->done, 60 * HZ) ? t->ret : -ETIMEDOUT;
	m->same = drain_start(m->f, same);
	while (!wq_has_sleeper(where) && !completion_done(&m->same->done) &&
	       time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	m->passed = completion_done(&m->same->done);
}

/* The moment has come: who had to wait did, and goes on now; who had not to did not. */
static void drain_expect_waited(struct kunit *test, struct drain_moment *m)
{
	KUNIT_ASSERT_NOT_NULL(test, m->same);
	KUNIT_EXPECT_EQ(test, m->other, 0);
	KUNIT_EXPECT_FALSE(test, m->passed);
	KUNIT_EXPECT_EQ(test, drain_end(m->same), 0);
}

static int drain_this(struct iopftest *f)
{
	return rviommu_iopf_drain(f->dev[0], PASID, LONG_MS);
}

static int drain_others(struct iopftest *f)
{
	return rviommu_iopf_drain(f->dev[0], OTHER, LONG_MS) ?:
	       rviommu_iopf_drain(f->dev[1], IOMMU_NO_PASID, LONG_MS);
}

static void drain_decided(struct rviommu *iommu)
{
	struct drain_moment *m = kunit_get_current_test()->priv;

	drain_act(m, drain_this, &m->f->ep[0]->pri.prgs.answered, drain_others);
}

/*
 * Who responds has decided to, and nothing is queued yet: a fence would say that the response is
 * with the device. Another PASID and another device have nothing to do with it.
 */
static void drain_behind_response(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 7);
	struct drain_moment m = { .f = f };

	test->priv = &m;
	iopftest_await_held(f, &f->space[1], 1);
	kunit_activate_static_stub(test, rviommu_pri_seam, drain_decided);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	drain_expect_waited(test, &m);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	drain_down(f);
}

static int drain_await_this(struct iopftest *f)
{
	rviommu_pri_pass_message(f->ep[0]);
	return 0;
}

static int drain_await_other(struct iopftest *f)
{
	rviommu_pri_pass_message(f->ep[1]);
	return 0;
}

static int drain_asked(struct iopf_group *group)
{
	struct drain_moment *m = kunit_get_current_test()->priv;

	drain_act(m, drain_await_this, &m->f->ep[0]->iommu->asked, drain_await_other);
	return -EBUSY;
}

/*
 * A message is looked at by this thread; @asked is where it is handed on, and refuses it. @ret is
 * what becomes of what the device wanted.
 */
static void drain_look_at(struct iopftest *f, struct drain_moment *m, u32 pasid,
			  struct iopftest_space *space, int (*asked)(struct iopf_group *group),
			  int ret)
{
	struct rviommu_pritest_job *job;

	f->test->priv = m;
	space->domain->iopf_handler = asked;
	job = drain_go_unread(f, pasid);
	KUNIT_EXPECT_EQ(f->test, rviommu_iopf_flush(f->dev[0]), 0);
	drain_expect_waited(f->test, m);
	drain_read_again(f);
	KUNIT_EXPECT_EQ(f->test, rviommu_pritest_end(f->test, job), ret);
}

/* The message of a device is looked at: the device stays meanwhile, and another one may go. */
static void drain_during_message(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct drain_moment m = { .f = f };

	drain_look_at(f, &m, PASID, &f->space[1], drain_asked, -EFAULT);
	drain_down(f);
}

static int drain_replace_this(struct iopftest *f)
{
	return iopftest_attach(f, 0, &f->space[2]);
}

static int drain_replace_other(struct iopftest *f)
{
	int ret = iopftest_attach(f, 1, &f->space[3]);

	return ret ?: iopftest_attach(f, 1, &f->space[2]);
}

static int drain_asked_replaced(struct iopf_group *group)
{
	struct drain_moment *m = kunit_get_current_test()->priv;

	drain_act(m, drain_replace_this, &m->f->ep[0]->iommu->asked, drain_replace_other);
	return -EBUSY;
}

/*
 * Who handles requests is replaced while one is on its way to him. The core has found him, and
 * keeps nothing that would make him stay.
 */
static void drain_replaced_during_message(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct drain_moment m = { .f = f };

	drain_look_at(f, &m, 0, &f->space[0], drain_asked_replaced, 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 2), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[2], 0, 2));
	drain_down(f);
}

static struct iommu_attach_handle *drain_core_is_late(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	static struct iommu_attach_handle before;

	return &before;
}

/*
 * Who handles requests was replaced, and the core has not noted that yet: it would ask who may be
 * gone. Nobody is asked, and the device is not told that it may not.
 */
static void drain_core_lags(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job;

	kunit_activate_static_stub(test, rviommu_attachment_handle, drain_core_is_late);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[2]), 0);
	job = drain_go_unread(f, 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_flush(f->dev[0]), 0);
	kunit_deactivate_static_stub(test, rviommu_attachment_handle);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[0].groups), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[2].groups), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.again), 1);
	/* It has. */
	drain_read_again(f);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[0].groups), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[2].groups), 1);
	drain_down(f);
}

static unsigned long drain_no_lag(const struct rviommu_attachment *a)
{
	return 0;
}

static int drain_asked_lagging(struct iopf_group *group)
{
	struct drain_moment *m = kunit_get_current_test()->priv;
	struct rviommu_endpoint *ep = m->f->ep[0];
	bool known;

	drain_act(m, drain_replace_this, &ep->iommu->asked, drain_replace_other);
	scoped_guard(rcu)
		known = rviommu_attachment_is_known(rviommu_attached(ep, IOMMU_NO_PASID));
	KUNIT_EXPECT_FALSE(m->f->test, known);
	return -EBUSY;
}

/* The time that the core has to note it begins when the attach is over, not with it. */
static void drain_core_lags_long(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct drain_moment m = { .f = f };

	kunit_activate_static_stub(test, rviommu_attachment_handle, drain_core_is_late);
	kunit_activate_static_stub(test, rviommu_attachment_lag, drain_no_lag);
	drain_look_at(f, &m, 0, &f->space[0], drain_asked_lagging, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[2].groups), 1);
	drain_down(f);
}

/* After a reset the core had noted it before: somebody is asked at once. */
static void drain_core_knows(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct iommu_domain *domain = f->space[0].domain;

	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], domain), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 2), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[0].groups), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.again), 0);
	drain_down(f);
}

#define ASKS	10

/* The device asks again as soon as it has its response, so often. */
static void drain_asks_again(struct rviommu *iommu)
{
	struct drain_moment *m = kunit_get_current_test()->priv;
	const struct rviommu_page_message message = {
		.did = m->f->ep[0]->ids[0], .pid = PASID, .pv = true, .read = true, .last = true,
	};
	struct rviommu_prgs *prgs = &m->f->ep[0]->pri.prgs;
	struct rviommu_prg *group;

	if (m->other == ASKS || rviommu_prgs_add(prgs, &message, &group) != RVIOMMU_PRG_COMPLETE)
		return;
	rviommu_prgs_hand_on(prgs, group);
	m->other++;
}

/* What it has asked until now is cancelled, and nobody is busy with it for ever. */
static void drain_cancels_once(struct kunit *test)
{
	struct iopftest *f = drain_up(test, IOPFTEST_HOLD);
	struct rviommu_pritest_job *job = iopftest_go(f, 0, PASID, 0, 1, 1);
	struct drain_moment m = { .f = f };

	test->priv = &m;
	iopftest_await_held(f, &f->space[1], 1);
	kunit_activate_static_stub(test, rviommu_pri_seam, drain_asks_again);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), 0);
	kunit_deactivate_static_stub(test, rviommu_pri_seam);
	KUNIT_EXPECT_EQ(test, m.other, 1);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&f->ep[0]->pri.prgs.outstanding));
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), 0);
	KUNIT_EXPECT_TRUE(test, drain_is_empty(f));
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
}

static int drain_exit_this(struct iopftest *f)
{
	rviommu_pri_exit(f->ep[0]);
	return 0;
}

static int drain_exit_other(struct iopftest *f)
{
	rviommu_pri_exit(f->ep[1]);
	return 0;
}

static void drain_answers_stranger(struct rviommu *iommu)
{
	struct drain_moment *m = kunit_get_current_test()->priv;

	drain_act(m, drain_exit_this, &iommu->asked, drain_exit_other);
}

/* A message of the first device, which may send none. */
static void drain_strange_message(struct kunit *test, struct drain_moment *m)
{
	struct rviommu_page_message message = { .read = true, .last = true };
	struct rviommu_sim_config config;
	struct rviommu *iommu;

	iopftest_config(&config);
	config.pri = false;
	m->f = iopftest_up(test, &config);
	iommu = m->f->ep[0]->iommu;
	message.did = m->f->ep[0]->ids[0];
	test->priv = m;
	mutex_lock(&iommu->pageq.lock);
	rviommu_pri_message(iommu, &message);
	mutex_unlock(&iommu->pageq.lock);
}

/* The same of one that may send none, and does. */
static void drain_during_strange_message(struct kunit *test)
{
	struct drain_moment m = {};

	kunit_activate_static_stub(test, rviommu_pri_seam, drain_answers_stranger);
	drain_strange_message(test, &m);
	drain_expect_waited(test, &m);
}

/* Between the lookup and what is said of it, a device that goes has its ID taken. */
static struct rviommu_endpoint *drain_owner_goes(struct rviommu *iommu, u32 id)
{
	struct drain_moment *m = kunit_get_current_test()->priv;
	struct rviommu_did *did = xa_load(&iommu->dids, id);
	struct rviommu_endpoint *ep = READ_ONCE(did->owner);

	if (ep)
		m->gone = ep;
	WRITE_ONCE(did->owner, NULL);
	return ep;
}

static void drain_nobody_is_asking(struct rviommu *iommu)
{
	struct drain_moment *m = kunit_get_current_test()->priv;

	m->passed = true;
	KUNIT_EXPECT_PTR_EQ(kunit_get_current_test(), READ_ONCE(iommu->asking), NULL);
}

/* Who released it saw nobody asking, and has freed it: it is not the device of the message. */
static void drain_gone_before_message(struct kunit *test)
{
	struct drain_moment m = {};
	struct rviommu_did *did;

	kunit_activate_static_stub(test, rviommu_pri_owner, drain_owner_goes);
	kunit_activate_static_stub(test, rviommu_pri_seam, drain_nobody_is_asking);
	drain_strange_message(test, &m);
	KUNIT_EXPECT_TRUE(test, m.passed);
	KUNIT_ASSERT_PTR_EQ(test, m.gone, m.f->ep[0]);
	did = xa_load(&m.gone->iommu->dids, m.gone->ids[0]);
	WRITE_ONCE(did->owner, m.gone);
}

static struct kunit_case drain_cases[] = {
	KUNIT_CASE(drain_waits),
	KUNIT_CASE(drain_times_out),
	KUNIT_CASE(drain_cancels),
	KUNIT_CASE_PARAM(drain_partial, drain_all_gen_params),
	KUNIT_CASE_PARAM(drain_reads, drain_all_gen_params),
	KUNIT_CASE_PARAM(drain_of_none, drain_all_gen_params),
	KUNIT_CASE(drain_dead),
	KUNIT_CASE(drain_alone),
	KUNIT_CASE(drain_detach_alone),
	KUNIT_CASE(drain_stalled),
	KUNIT_CASE(drain_stalled_last),
	KUNIT_CASE(drain_stalled_suspend),
	KUNIT_CASE(drain_behind_response),
	KUNIT_CASE(drain_during_message),
	KUNIT_CASE(drain_during_strange_message),
	KUNIT_CASE(drain_gone_before_message),
	KUNIT_CASE(drain_replaced_during_message),
	KUNIT_CASE(drain_core_lags),
	KUNIT_CASE(drain_core_lags_long),
	KUNIT_CASE(drain_core_knows),
	KUNIT_CASE(drain_cancels_once),
	KUNIT_CASE(drain_reused),
	{}
};

static struct kunit_suite drain_suite = {
	.name = "rviommu_iopf_drain",
	.test_cases = drain_cases,
};

kunit_test_suite(drain_suite);
