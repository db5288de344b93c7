// SPDX-License-Identifier: GPL-2.0-only
/*
 * A very large number of replacements on the simulated IOMMU in its worst case, under
 * several threads of DMA: no fault, and no byte that belongs to neither domain.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/sim.h>

#include "hw.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
/* Commands that an asynchronous IOMMU gets on with between two DMAs of a thread */
#define COMMANDS	4

/* Emulated, with each access checked, or with one CPU, fewer have to do. */
#define REPLACEMENTS							\
	(IS_ENABLED(CONFIG_UML) && IS_ENABLED(CONFIG_SMP) &&		\
	 !IS_ENABLED(CONFIG_KASAN) ? 100000 : 5000)
#define WRITERS		3
#define BYTES		64
/* The writers' pages, and one for the thread that replaces */
#define SLOTS		(WRITERS + 1)

/**
 * struct replace_fixture - a device, its two domains, and 64 KiB for each of them
 * @sim: the instance
 * @dev: endpoint 0
 * @group: its group, of which we have DMA ownership
 * @handles: the core wants a new one with each replacement
 * @domain: both map the same addresses
 * @pages: to these
 * @attached: the one in force
 */
struct replace_fixture {
	struct rviommu_sim *sim;
	struct device *dev;
	struct iommu_group *group;
	struct iommu_attach_handle handles[2];
	struct iommu_domain *domain[2];
	u8 *pages[2];
	struct iommu_domain *attached;
};

static int replace_attach(struct replace_fixture *f, unsigned int which)
{
	int ret = iommu_replace_group_handle(f->group, f->domain[which], &f->handles[which]);

	if (!ret)
		f->attached = f->domain[which];
	return ret;
}

static void replace_down(void *data)
{
	struct replace_fixture *f = data;
	unsigned int i;

	if (f->attached)
		iommu_detach_group_handle(f->attached, f->group);
	for (i = 0; i < 2; i++)
		if (!IS_ERR_OR_NULL(f->domain[i]))
			iommu_domain_free(f->domain[i]);
	if (f->group) {
		iommu_group_release_dma_owner(f->group);
		iommu_group_put(f->group);
	}
	rviommu_sim_destroy(f->sim);
	for (i = 0; i < 2; i++)
		if (f->pages[i])
			free_pages_exact(f->pages[i], SZ_64K);
}

static struct replace_fixture *replace_up(struct kunit *test)
{
	struct replace_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct iommu_group *group;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, replace_down, f), 0);
	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.model.switches = RVIOMMU_MODEL_SWITCHES;
	sim = rviommu_sim_create("rviommu_kunit_replace", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	f->sim = sim;
	f->dev = rviommu_sim_endpoint(sim, 0);
	group = iommu_group_get(f->dev);
	KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(group, f), 0);
	f->group = group;
	for (i = 0; i < 2; i++) {
		f->pages[i] = alloc_pages_exact(SZ_64K, GFP_KERNEL | __GFP_ZERO);
		KUNIT_ASSERT_NOT_NULL(test, f->pages[i]);
		f->domain[i] = iommu_paging_domain_alloc(f->dev);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->domain[i]);
		KUNIT_ASSERT_EQ(test, iommu_map(f->domain[i], IOVA, virt_to_phys(f->pages[i]),
						SZ_64K, IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	}
	return f;
}

static int replace_fill(struct device *dev, u64 iova, u64 seed)
{
	return rviommu_simtest_fill(dev, 0, iova, BYTES, seed);
}

/**
 * struct replace_writer - one of several threads of the device, each in a page of its own
 * @sim: the instance. Its own worker alone would have to wait for a CPU while the
 *       driver waits for it, which is where nearly all of the time went.
 * @dev: the device
 * @iova: where it writes
 * @writes: DMAs so far
 * @faults: of which were refused
 */
struct replace_writer {
	struct rviommu_sim *sim;
	struct device *dev;
	u64 iova;
	unsigned long writes;
	unsigned long faults;
};

static int replace_write(void *data)
{
	struct replace_writer *w = data;

	do {
		rviommu_model_run(rviommu_sim_model(w->sim), COMMANDS);
		if (replace_fill(w->dev, w->iova, w->writes))
			w->faults++;
		WRITE_ONCE(w->writes, w->writes + 1);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

static void replace_wait_write(struct replace_writer *w)
{
	unsigned long seen = READ_ONCE(w->writes);

	while (READ_ONCE(w->writes) == seen)
		schedule_timeout_uninterruptible(1);
}

/* What is written begins at each page. */
static bool replace_untouched(const u8 *p)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		if (memchr_inv(p + i * SZ_4K, 0, BYTES))
			return false;
	return true;
}

static void replace_clear(u8 *p)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		memset(p + i * SZ_4K, 0, BYTES);
}

static void replace_many(struct kunit *test)
{
	struct replace_fixture *f = replace_up(test);
	const size_t own = WRITERS * SZ_4K;
	unsigned int i, k, stale = 0, missed = 0, failed = 0;
	struct replace_writer w[WRITERS] = {};
	struct task_struct *task[WRITERS];
	unsigned long writes = 0, faults = 0;

	KUNIT_ASSERT_EQ(test, replace_attach(f, 0), 0);
	for (k = 0; k < WRITERS; k++) {
		w[k].sim = f->sim;
		w[k].dev = f->dev;
		w[k].iova = IOVA + k * SZ_4K;
		task[k] = kthread_run(replace_write, &w[k], "replace_write");
		if (IS_ERR(task[k]))
			break;
		/* They take what is left of the CPUs, and it is enough. */
		set_user_nice(task[k], MAX_NICE);
	}
	KUNIT_EXPECT_EQ(test, k, WRITERS);

	for (i = 1; i <= REPLACEMENTS && k; i++) {
		u8 *old = f->pages[(i + 1) & 1], *new = f->pages[i & 1];

		/* Nothing has got there since it was replaced the last time. */
		stale += !replace_untouched(new);
		failed += !!replace_attach(f, i & 1);
		/* The operation is over: nothing reaches the old pages any more. */
		replace_clear(old);
		missed += replace_fill(f->dev, IOVA + own, i) ||
			  !rviommu_simtest_holds(new + own, BYTES, i);
		stale += !replace_untouched(old);
		/* With one CPU the devices write when they are let. */
		if (i % 256 == 1)
			replace_wait_write(&w[i / 256 % k]);
	}
	while (k--) {
		kthread_stop(task[k]);
		writes += w[k].writes;
		faults += w[k].faults;
	}

	KUNIT_EXPECT_EQ(test, failed, 0);
	KUNIT_EXPECT_EQ(test, faults, 0);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, missed, 0);
	for (i = 0; i < 2; i++) {
		replace_clear(f->pages[i]);
		KUNIT_EXPECT_NULL(test, memchr_inv(f->pages[i], 0, SZ_64K));
	}
	kunit_info(test, "%u replacements, %lu writes of %u threads, %lu faults\n",
		   REPLACEMENTS, writes, WRITERS, faults);
}

static struct kunit_case replace_cases[] = {
	KUNIT_CASE_SLOW(replace_many),
	{}
};

static struct kunit_suite replace_suite = {
	.name = "rviommu_sim_replace",
	.test_cases = replace_cases,
};

kunit_test_suite(replace_suite);
