// SPDX-License-Identifier: GPL-2.0-only
/*
 * A queue for page requests that overflows again and again: two devices ask for as much as they
 * can, and more than they may, while their address spaces are taken away and replaced, and a
 * third one, which behaves, lives from demand paging.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "simtest.h"

#define PASID		5
#define FLOODERS	2
#define QUEUE_LG2	2

/**
 * struct storm_flooder - a device that never stops asking
 * @dev: the device
 * @pasid: with this PASID, 0: without
 * @stop: it shall
 * @task: its thread
 */
struct storm_flooder {
	struct device *dev;
	u32 pasid;
	bool stop;
	struct task_struct *task;
};

static int storm_flood(void *data)
{
	struct storm_flooder *flooder = data;
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = flooder->pasid, .pasid = flooder->pasid,
		.length = 4 * SZ_4K,
	};
	unsigned int i;

	for (i = 0; !READ_ONCE(flooder->stop); i++) {
		dma.iova = IOPFTEST_IOVA + 4 * i % IOPFTEST_PAGES * SZ_4K;
		/* Whatever becomes of it, it ends. */
		rviommu_sim_dma(flooder->dev, &dma);
		cond_resched();
	}
	return 0;
}

static void storm_end(void *data)
{
	struct storm_flooder *flooder = data;

	WRITE_ONCE(flooder->stop, true);
	if (flooder->task)
		kthread_stop_put(flooder->task);
	flooder->task = NULL;
}

static void storm_begin(struct iopftest *f, struct storm_flooder *flooder, unsigned int dev,
			u32 pasid)
{
	struct task_struct *task;

	flooder->dev = f->dev[dev];
	flooder->pasid = pasid;
	rviommu_sim_set_pri(f->dev[dev], RVIOMMU_SIM_PRI_FLOOD | RVIOMMU_SIM_PRI_EXCESS);
	task = kthread_run(storm_flood, flooder, "rviommu_storm");
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(task));
	flooder->task = get_task_struct(task);
	KUNIT_ASSERT_EQ(f->test, kunit_add_action_or_reset(f->test, storm_end, flooder), 0);
}

/* In the middle of a group of the third device, once a round: the last request is lost. */
static struct rviommu_sim *storm_sim;
static atomic_t storm_lose;

static void storm_in_request(struct device *dev)
{
	if (atomic_xchg(&storm_lose, 0))
		rviommu_model_inject(rviommu_sim_model(storm_sim), RVIOMMU_MODEL_INJECT_PQ_OF, 1);
}

static struct iopftest *storm_up(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	iopftest_config(&config);
	config.model.pq_max_lg2 = QUEUE_LG2;
	/* What never fits into the queue is never served. */
	config.pri_pages = 2;
	/* Nobody gives up: each group has its response. */
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	f = iopftest_up(test, &config);
	/* The first one's interface is on throughout. */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[3]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 2, &f->space[3]), 0);
	storm_sim = f->sim;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_request(f->dev[2], storm_in_request), 0);
	return f;
}

/* All have what they asked for, or know that they will not. */
static void storm_settle(struct iopftest *f)
{
	unsigned long end = jiffies + 60 * HZ;
	unsigned int i;

	for (i = 0; i < IOPFTEST_NR_DEVICES; i++)
		while (iopftest_stats(f, i).outstanding) {
			KUNIT_ASSERT_FALSE_MSG(f->test, time_after(jiffies, end),
					       "device %u waits", i);
			schedule_timeout_uninterruptible(1);
		}
}

static void storm_expect_answered(struct iopftest *f, unsigned int dev)
{
	struct rviommu_sim_pri_stats stats = iopftest_stats(f, dev);

	iopftest_expect_clean(f, dev);
	/* Those that were lost have that of the IOMMU, and only that. */
	KUNIT_EXPECT_EQ(f->test, stats.groups, stats.successes + stats.invalid);
	KUNIT_EXPECT_EQ(f->test, stats.responses, stats.groups);
	KUNIT_EXPECT_EQ(f->test, stats.timeouts, 0);
	KUNIT_EXPECT_LE(f->test, stats.answered, stats.discarded);
}

/* Each of those who flood has asked for something again. */
static void storm_await(struct iopftest *f, const u64 *before)
{
	unsigned long end = jiffies + 60 * HZ;
	unsigned int i;

	for (i = 0; i < FLOODERS; i++)
		while (iopftest_stats(f, i).requests == before[i]) {
			KUNIT_ASSERT_FALSE_MSG(f->test, time_after(jiffies, end),
					       "device %u asks for nothing", i);
			schedule_timeout_uninterruptible(1);
		}
}

static void storm_queue(struct kunit *test)
{
	unsigned int i, round, page, rounds = rviommu_simtest_rounds(500);
	struct storm_flooder *flooder = kunit_kcalloc(test, FLOODERS, sizeof(*flooder), GFP_KERNEL);
	struct iopftest *f = storm_up(test);
	struct rviommu_inq *pageq = &f->ep[0]->iommu->pageq;
	u64 before[FLOODERS];

	KUNIT_ASSERT_NOT_NULL(test, flooder);
	storm_begin(f, &flooder[0], 0, PASID);
	storm_begin(f, &flooder[1], 1, 0);
	for (round = 0; round < rounds; round++) {
		struct iopftest_space *from = &f->space[1 + round % 2];
		struct iopftest_space *to = &f->space[1 + (round + 1) % 2];

		for (i = 0; i < FLOODERS; i++)
			before[i] = iopftest_stats(f, i).requests;
		/* The first one's is taken away and comes back; the second one's is replaced. */
		iopftest_detach_pasid(f, 0, PASID, &f->space[0]);
		iopftest_unmap(&f->space[0], 0, IOPFTEST_PAGES);
		KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[0]), 0);
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, to), 0);
		iopftest_unmap(from, 0, IOPFTEST_PAGES);
		storm_await(f, before);
		/* One request is lost at least. The third one has what it asks for. */
		page = 2 * round % IOPFTEST_PAGES;
		iopftest_unmap(&f->space[3], page, 2);
		atomic_set(&storm_lose, 1);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 2, 0, page, 2, round), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[3], page, round));
		rviommu_inq_service(pageq);
	}
	for (i = 0; i < FLOODERS; i++) {
		rviommu_sim_set_pri(flooder[i].dev, 0);
		kunit_release_action(test, storm_end, &flooder[i]);
	}
	storm_settle(f);
	rviommu_inq_service(pageq);
	KUNIT_EXPECT_GE(test, atomic64_read(&pageq->overflows), rounds);
	KUNIT_EXPECT_TRUE(test, pageq->running);
	for (i = 0; i < IOPFTEST_NR_DEVICES; i++)
		storm_expect_answered(f, i);
	/* What was left of groups that lost their end came in no other. */
	for (i = 0; i < IOPFTEST_NR_SPACES; i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].mixed), 0);
	/* Of its requests some may have been lost, but none was refused. */
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 2).invalid, 0);
	/* And all of them work. */
	iopftest_detach_pasid(f, 0, PASID, &f->space[0]);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[2]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, PASID, 0, 4, 1), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 2), 0);
	iopftest_detach_pasid(f, 0, PASID, &f->space[2]);
}

static struct kunit_case storm_cases[] = {
	KUNIT_CASE_SLOW(storm_queue),
	{}
};

static struct kunit_suite storm_suite = {
	.name = "rviommu_iopf_storm",
	.test_cases = storm_cases,
};

kunit_test_suite(storm_suite);
