// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interfaces that have failed, or whose device waits for a response that was lost: what is
 * forgotten, when they are switched on again, and whom nobody waits for meanwhile. Those that
 * several functions share are in iopf_sriov_test.c.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <rviommu/bus.h>
#include <rviommu/model.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/device.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iopf.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"

/* The device is told that it failed. */
static void face_fail(struct iopftest *f, unsigned int dev)
{
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(f->ep[dev]->ats.rid, f->ep[dev]->ats.seg,
							  0, RVIOMMU_MODEL_PRGR_FAILURE);

	KUNIT_EXPECT_EQ(f->test, rviommu_cmdq_sync(&f->ep[dev]->iommu->cmdq, &cmd, 1), 0);
	KUNIT_EXPECT_TRUE(f->test, rviommu_sim_pri_status(f->dev[dev]) & PCI_PRI_STATUS_RF);
}

static void face_look(struct iopftest *f)
{
	struct rviommu *iommu = f->ep[0]->iommu;

	schedule_delayed_work(&iommu->revive, 0);
	flush_delayed_work(&iommu->revive);
}

static s64 face_revived(struct iopftest *f, unsigned int dev)
{
	return atomic64_read(&f->ep[dev]->pri.revived);
}

/* A handler of one device hangs, and who detaches the device waits for him: others are revived. */
static void face_beside_handler(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_thread *detach, *look;
	struct rviommu_pritest_job *job;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	detach = iopftest_detach_waits(f, &job);
	KUNIT_EXPECT_TRUE(test, mutex_is_locked(&f->ep[0]->lock));

	face_fail(f, 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 1, 2), -EFAULT);
	look = iopftest_start(f, face_look);
	KUNIT_EXPECT_TRUE(test, iopftest_ends(look));
	KUNIT_EXPECT_EQ(test, face_revived(f, 1), 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 1, 2), 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&detach->done));

	complete_all(&f->space[0].go);
	KUNIT_EXPECT_TRUE(test, iopftest_ends(detach));
	KUNIT_EXPECT_TRUE(test, iopftest_ends(look));
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopftest_expect_clean(f, 0);
}

/* The IOMMU queues what comes, and tells nobody. */
static void face_read_not(struct iopftest *f, bool not)
{
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;

	bus->ops->write32(bus, RVIOMMU_REG_PQCSR,
			  RVIOMMU_QCSR_EN | (not ? 0 : RVIOMMU_QCSR_IE));
}

static void face_await_unread(struct iopftest *f)
{
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	unsigned long end = jiffies + 60 * HZ;

	while (bus->ops->read32(bus, RVIOMMU_REG_PQT) == bus->ops->read32(bus, RVIOMMU_REG_PQH)) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/* What was sent before it failed, and is still unread, is forgotten with the rest. */
static void face_unread(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_pritest_job *job;

	f->space[0].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	face_read_not(f, true);
	job = iopftest_go(f, 0, 0, 0, 1, 1);
	face_await_unread(f);
	face_fail(f, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	face_look(f);
	KUNIT_EXPECT_EQ(test, face_revived(f, 0), 1);
	face_read_not(f, false);
	rviommu_iopf_flush(f->dev[0]);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_sync(&f->ep[0]->iommu->cmdq, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 0);
	f->space[0].mode = IOPFTEST_MAP;
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
}

/**
 * struct face_sleeper - a device that cannot be looked at
 * @real: what looks
 * @ops: what looks in its place
 * @asleep: it says nothing
 * @looks: how often it was asked then
 */
static struct face_sleeper {
	const struct rviommu_pri_ops *real;
	struct rviommu_pri_ops ops;
	bool asleep;
	unsigned int looks;
} face_sleeper;

static u16 face_status(struct device *dev)
{
	if (!face_sleeper.asleep)
		return face_sleeper.real->status(dev);
	face_sleeper.looks++;
	return ~0;
}

static void face_wake(void *bus)
{
	((struct rviommu_bus *)bus)->pri = face_sleeper.real;
}

static struct iopftest *face_sleeper_up(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;

	face_sleeper = (struct face_sleeper) { .real = bus->pri, .ops = *bus->pri };
	face_sleeper.ops.status = face_status;
	bus->pri = &face_sleeper.ops;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, face_wake, bus), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	return f;
}

/* The response to a request is lost, and the IOMMU wakes up before the device. */
static struct rviommu_pritest_job *face_lose(struct iopftest *f, unsigned int page)
{
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job;

	f->space[0].mode = IOPFTEST_HOLD;
	job = iopftest_go(f, 0, 0, page, 1, 1);
	iopftest_await_held(f, &f->space[0], 1);
	KUNIT_ASSERT_EQ(f->test, rviommu_suspend(iommu), 0);
	KUNIT_EXPECT_EQ(f->test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	f->space[0].mode = IOPFTEST_MAP;
	face_sleeper.looks = 0;
	face_sleeper.asleep = true;
	KUNIT_ASSERT_EQ(f->test, rviommu_resume(iommu), 0);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(f->test, face_sleeper.looks, 1);
	KUNIT_EXPECT_FALSE(f->test, completion_done(&job->done));
	return job;
}

/* It asks again, and finds the interface on by then, or not yet. */
static void face_expect_on(struct iopftest *f, struct rviommu_pritest_job *job)
{
	rviommu_pritest_end(f->test, job);
	KUNIT_EXPECT_EQ(f->test, face_revived(f, 0), 1);
	KUNIT_EXPECT_EQ(f->test, iopftest_fill(f, 0, 0, 1, 1, 2), 0);
	iopftest_expect_clean(f, 0);
}

/* It is looked at again until it has woken up. */
static void face_asleep(struct kunit *test)
{
	struct iopftest *f = face_sleeper_up(test);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job = face_lose(f, 0);

	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&iommu->revive));
	face_sleeper.asleep = false;
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&iommu->revive));
	face_expect_on(f, job);
}

/* It had failed, and slept when it was looked at. */
static void face_failed_asleep(struct kunit *test)
{
	struct iopftest *f = face_sleeper_up(test);
	struct rviommu *iommu = f->ep[0]->iommu;

	face_fail(f, 0);
	face_sleeper.asleep = true;
	face_look(f);
	KUNIT_EXPECT_EQ(test, face_revived(f, 0), 0);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&iommu->revive));
	face_sleeper.asleep = false;
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, face_revived(f, 0), 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 2), 0);
}

/* Not for ever. Later whatever leads there, another sleep among it, finds it as it was. */
static void face_asleep_long(struct kunit *test)
{
	struct iopftest *f = face_sleeper_up(test);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job = face_lose(f, 0);

	while (delayed_work_pending(&iommu->revive) && face_sleeper.looks < 1000)
		flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, face_sleeper.looks, 1 + RVIOMMU_PRI_LOOKS);
	face_look(f);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&iommu->revive));
	KUNIT_EXPECT_EQ(test, face_revived(f, 0), 0);
	KUNIT_ASSERT_EQ(test, rviommu_suspend(iommu), 0);
	KUNIT_ASSERT_EQ(test, rviommu_resume(iommu), 0);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&iommu->revive));
	face_sleeper.asleep = false;
	face_look(f);
	face_expect_on(f, job);
}

/* All of its DMA is blocked, and each of its requests would end the interface again. */
static void face_quarantine(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	iopftest_config(&config);
	config.model.ats_timeout = NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev[0], RVIOMMU_SIM_ATC_LOST), 0);
	iopftest_unmap(&f->space[0], 0, 1);
	KUNIT_ASSERT_TRUE(test, READ_ONCE(f->ep[0]->lost));
	face_fail(f, 0);
	face_fail(f, 1);
	face_look(f);
	KUNIT_EXPECT_EQ(test, face_revived(f, 0), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
	KUNIT_EXPECT_EQ(test, face_revived(f, 1), 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 1, 1), 0);
}

static struct kunit_case face_cases[] = {
	KUNIT_CASE(face_beside_handler),
	KUNIT_CASE(face_unread),
	KUNIT_CASE(face_asleep),
	KUNIT_CASE(face_failed_asleep),
	KUNIT_CASE(face_asleep_long),
	KUNIT_CASE(face_quarantine),
	{}
};

static struct kunit_suite face_suite = {
	.name = "rviommu_pri_interface",
	.test_cases = face_cases,
};

kunit_test_suite(face_suite);
