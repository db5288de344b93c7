// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a device, of its interface, or of its IOMMU, while page requests are everywhere:
 * with who handles them, in a worker of his, in half a group, and in the queue of the
 * hardware, where nobody has read them.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/notifier.h>
#include <linux/pci_regs.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/iopf.h"
#include "../src/driver/prg.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"

#define PASID	5

/* Where the requests are, each of a job of its own */
enum {
	END_HELD,	/* with who handles it, and he has not responded */
	END_STALLED,	/* in his worker, which waits */
	END_PARTIAL,	/* the last one of its group has not come */
	END_UNREAD,	/* in the hardware's queue, and nobody was told */
	END_JOBS,
};

/**
 * struct end_scene - a device with requests in all these places
 * @f: devices and domains; device 0, of which one domain handles a PASID, and nothing else
 * @job: whose requests they are
 * @bus: registers of the IOMMU
 * @nb: for the moment at which the device's driver would be unbound
 * @detached: that was
 */
struct end_scene {
	struct iopftest *f;
	struct rviommu_pritest_job *job[END_JOBS];
	struct rviommu_bus *bus;
	struct notifier_block nb;
	unsigned int detached;
};

/* What hooks have no argument for */
static struct end_scene *end_now;

static u32 end_read32(struct end_scene *s, unsigned int offset)
{
	return s->bus->ops->read32(s->bus, offset);
}

static bool end_partial(struct end_scene *s)
{
	struct rviommu_prgs *prgs = &s->f->ep[0]->pri.prgs;

	guard(spinlock)(&prgs->lock);
	return !list_empty(&prgs->partial);
}

static bool end_unread(struct end_scene *s)
{
	return end_read32(s, RVIOMMU_REG_PQT) != end_read32(s, RVIOMMU_REG_PQH);
}

static void end_await(struct end_scene *s, bool (*what)(struct end_scene *s))
{
	unsigned long end = jiffies + 60 * HZ;

	while (!what(s)) {
		KUNIT_ASSERT_FALSE(s->f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/* Somebody waits for handlers: only now the one that is stalled goes on. */
static unsigned long end_patience(void)
{
	complete_all(&end_now->f->space[1].go);
	return RVIOMMU_IOPF_PATIENCE_S * HZ;
}

static struct end_scene *end_up(struct kunit *test)
{
	struct end_scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct rviommu_sim_config config;
	struct iopftest *f;

	KUNIT_ASSERT_NOT_NULL(test, s);
	iopftest_config(&config);
	/* No job gives up: it has a response, or its device goes. */
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	f = iopftest_up(test, &config);
	s->f = f;
	s->bus = f->ep[0]->iommu->bus;
	end_now = s;
	kunit_activate_static_stub(test, rviommu_iopf_patience, end_patience);
	f->space[1].mode = IOPFTEST_STALL;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);

	s->job[END_STALLED] = iopftest_go(f, 0, PASID, 3, 1, 1);
	iopftest_await_stalled(f, &f->space[1]);
	WRITE_ONCE(f->space[1].mode, IOPFTEST_HOLD);
	s->job[END_HELD] = iopftest_go(f, 0, PASID, 0, 1, 1);
	iopftest_await_held(f, &f->space[1], 1);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	s->job[END_PARTIAL] = iopftest_go(f, 0, PASID, 1, 1, 1);
	end_await(s, end_partial);
	rviommu_sim_set_pri(f->dev[0], 0);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	s->job[END_UNREAD] = iopftest_go(f, 0, PASID, 2, 1, 1);
	end_await(s, end_unread);
	return s;
}

/* Each group has had its response, and only one that could be served had a good one. */
static void end_expect_quiet(struct end_scene *s)
{
	struct kunit *test = s->f->test;
	struct rviommu_pri *pri = &s->f->ep[0]->pri;

	KUNIT_EXPECT_TRUE(test, list_empty(&pri->prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&pri->prgs.outstanding));
	KUNIT_EXPECT_FALSE(test, end_unread(s));
	/* Held and stalled; held and unread */
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->groups), 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->refused), 2);
	KUNIT_EXPECT_EQ(test, pri->users, 0);
	KUNIT_EXPECT_FALSE(test, pri->enabled);
	KUNIT_EXPECT_EQ(test, iopftest_holds(&s->f->space[1]), 1);
}

/* What the driver of the device does when it is unbound */
static void end_detach(struct end_scene *s)
{
	struct iopftest *f = s->f;

	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	end_expect_quiet(s);
	s->detached++;
}

/* Who has held a group all the time responds to it: that is nothing any more. */
static void end_too_late(struct end_scene *s)
{
	KUNIT_EXPECT_EQ(s->f->test,
			iopftest_let_go(&s->f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
}

static void end_expect_jobs(struct end_scene *s, int ret)
{
	unsigned int i;

	for (i = 0; i < END_JOBS; i++)
		KUNIT_EXPECT_EQ_MSG(s->f->test, rviommu_pritest_end(s->f->test, s->job[i]), ret,
				    "job %u", i);
}

/* Nobody uses it any more; it stays. */
static void end_unused(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;
	struct rviommu_sim_pri_stats stats;

	end_detach(s);
	stats = iopftest_stats(f, 0);
	KUNIT_EXPECT_EQ(test, stats.responses, 3);
	KUNIT_EXPECT_EQ(test, stats.successes, 1);
	KUNIT_EXPECT_EQ(test, stats.invalid, 2);
	end_too_late(s);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 3);
	/* Half a group has no response: the device has to be told otherwise. */
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&s->job[END_PARTIAL]->done));
	rviommu_sim_reset_pri(f->dev[0]);
	end_expect_jobs(s, -EFAULT);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 0);
}

/*
 * Its interface is reset behind our back: it knows of none of them, and hears the responses all
 * the same. When its driver has said so it works again.
 */
static void end_reset(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;

	rviommu_sim_disable_pri(f->dev[0]);
	rviommu_sim_reset_pri(f->dev[0]);
	end_expect_jobs(s, -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
	/* The one that was not read was handed on before it was cancelled. */
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.groups), 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.refused), 3);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 3);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 2);
	complete_all(&f->space[1].go);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 3);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_UPRGI);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 4, 9), 0);
}

/*
 * Device 0 has no DMA any more, and is about to go: its driver is unbound. A group that is held
 * has to be given back by then: the core looks at its device (iopf_group_response()).
 */
static int end_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct end_scene *s = container_of(nb, struct end_scene, nb);
	u32 tail;

	if (action != BUS_NOTIFY_DEL_DEVICE || data != s->f->dev[0])
		return NOTIFY_DONE;
	end_expect_jobs(s, -ENODEV);
	end_detach(s);
	tail = end_read32(s, RVIOMMU_REG_CQT);
	end_too_late(s);
	KUNIT_EXPECT_EQ(s->f->test, end_read32(s, RVIOMMU_REG_CQT), tail);
	rviommu_simtest_release(s->f->test, s->f->group[0]);
	return NOTIFY_OK;
}

static void end_unwatch(void *nb)
{
	bus_unregister_notifier(&platform_bus_type, nb);
}

static void end_watch(struct end_scene *s)
{
	s->nb.notifier_call = end_notify;
	KUNIT_ASSERT_EQ(s->f->test, bus_register_notifier(&platform_bus_type, &s->nb), 0);
	KUNIT_ASSERT_EQ(s->f->test,
			kunit_add_action_or_reset(s->f->test, end_unwatch, &s->nb), 0);
}

/* It is pulled out. Others are served all the time. */
static void end_removed(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;

	end_watch(s);
	rviommu_sim_remove_endpoint(f->sim, 0);
	KUNIT_ASSERT_EQ(test, s->detached, 1);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 1);
}

/* And its IOMMU with it, of which the other devices have no requests. */
static void end_destroyed(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	unsigned int i;

	end_watch(s);
	for (i = 1; i < IOPFTEST_NR_DEVICES; i++)
		rviommu_simtest_release(test, s->f->group[i]);
	rviommu_simtest_destroy(test, s->f->sim);
	KUNIT_EXPECT_EQ(test, s->detached, 1);
}

static struct kunit_case end_cases[] = {
	KUNIT_CASE(end_unused),
	KUNIT_CASE(end_reset),
	KUNIT_CASE(end_removed),
	KUNIT_CASE(end_destroyed),
	{}
};

static struct kunit_suite end_suite = {
	.name = "rviommu_iopf_end",
	.test_cases = end_cases,
};

kunit_test_suite(end_suite);
