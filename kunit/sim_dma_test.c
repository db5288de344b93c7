// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA API on a simulated device, with invalidation at once and deferred:
 * drivers map, the device moves bytes, drivers unmap, and then it must not any
 * more. Which of the two it is, is chosen as a user does, by the "type" of the
 * device's IOMMU group in sysfs.
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/kernfs.h>
#include <linux/kthread.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include <rviommu/sim.h>

#include "simtest.h"

#define READ_PAGE_FAULT		13
#define WRITE_PAGE_FAULT	15

/**
 * struct sim_mode - how the DMA API invalidates
 * @name: of the case
 * @group_type: what sysfs calls it
 * @type: and the core
 * @switches: worst cases of the hardware
 */
struct sim_mode {
	const char *name;
	const char *group_type;
	unsigned int type;
	u32 switches;
};

static const struct sim_mode modes[] = {
	{ "strict", "DMA\n", IOMMU_DOMAIN_DMA },
	{ "deferred", "DMA-FQ\n", IOMMU_DOMAIN_DMA_FQ },
	{ "strict, worst case", "DMA\n", IOMMU_DOMAIN_DMA, RVIOMMU_MODEL_SWITCHES },
	{ "deferred, worst case", "DMA-FQ\n", IOMMU_DOMAIN_DMA_FQ, RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(mode, modes, name);

/* As writing to /sys/.../iommu_group/type, for a kernel where nothing is mounted. */
static int sim_set_type(struct device *dev, const char *type)
{
	struct kernfs_node *link, *group, *file = NULL;
	int ret = -ENOENT;

	link = kernfs_find_and_get(dev->kobj.sd, "iommu_group");
	if (!link)
		return ret;
	group = link->symlink.target_kn;
	file = kernfs_find_and_get(group, "type");
	if (file) {
		struct kobject *kobj = group->priv;

		ret = kobj->ktype->sysfs_ops->store(kobj, file->priv, type, strlen(type));
		kernfs_put(file);
	}
	kernfs_put(link);
	return ret < 0 ? ret : 0;
}

static void sim_end(void *sim)
{
	rviommu_sim_destroy(sim);
}

/* An instance with one device whose DMA API works as the test's parameter says. */
static struct device *sim_up(struct kunit *test)
{
	const struct sim_mode *mode = test->param_value;
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct device *dev;

	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.model.switches = mode->switches;
	sim = rviommu_sim_create("rviommu_kunit_sim", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, sim_end, sim), 0);
	dev = rviommu_sim_endpoint(sim, 0);
	KUNIT_ASSERT_EQ(test, sim_set_type(dev, mode->group_type), 0);
	KUNIT_ASSERT_EQ(test, iommu_get_domain_for_dev(dev)->type, mode->type);
	return dev;
}

static void sim_free_pages(void *pages)
{
	free_pages_exact(pages, SZ_64K);
}

/* 64 KiB of zeroes that outlive whoever may still write there. */
static u8 *sim_pages(struct kunit *test)
{
	void *pages = alloc_pages_exact(SZ_64K, GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, sim_free_pages, pages), 0);
	return pages;
}

static void fill(u8 *p, size_t length, u64 seed)
{
	size_t i;

	for (i = 0; i < length; i++)
		p[i] = rviommu_sim_pattern(seed, i);
}

/* The device's part; the cause of a refusal is in *@cause unless that is NULL. */
static int sim_dma(struct device *dev, enum rviommu_sim_op op, u64 iova, size_t length,
		   u64 operand, u16 *cause)
{
	struct rviommu_sim_dma dma = {
		.op = op, .iova = iova, .length = length, .operand = operand,
	};
	int ret = rviommu_sim_dma(dev, &dma);

	if (cause)
		*cause = dma.cause;
	return ret;
}

/*
 * What was unmapped is out of the device's reach: at once, or when the
 * invalidation that was put off is done. Only reads: the memory may be in use again.
 */
static void expect_gone(struct kunit *test, struct device *dev, u64 iova, size_t length)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	size_t i;
	u16 cause;

	if (domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
	for (i = 0; i < length; i += SZ_4K) {
		KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_VERIFY, iova + i, 1, 0, &cause),
				-EFAULT);
		KUNIT_EXPECT_EQ(test, cause, READ_PAGE_FAULT);
	}
}

/* ----- One buffer ----- */

static void test_single(struct kunit *test)
{
	struct device *dev = sim_up(test);
	u8 *a = sim_pages(test);
	dma_addr_t iova;
	u16 cause;

	/* To memory; what is around the buffer stays as it was. */
	iova = dma_map_single(dev, a + 100, SZ_8K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_8K, 1, NULL), 0);
	dma_unmap_single(dev, iova, SZ_8K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a + 100, SZ_8K, 1));
	KUNIT_EXPECT_NULL(test, memchr_inv(a, 0, 100));
	KUNIT_EXPECT_NULL(test, memchr_inv(a + 100 + SZ_8K, 0, SZ_4K));
	expect_gone(test, dev, iova, SZ_8K);

	/* From memory: a device that writes there is refused. */
	fill(a, SZ_4K, 2);
	iova = dma_map_single(dev, a, SZ_4K, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_VERIFY, iova, SZ_4K, 2, NULL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_4K, 3, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, WRITE_PAGE_FAULT);
	dma_unmap_single(dev, iova, SZ_4K, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_4K, 2));
	expect_gone(test, dev, iova, SZ_4K);

	/* Both: atomic operations. */
	memset(a, 0, SZ_4K);
	iova = dma_map_single(dev, a, SZ_4K, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FETCH_ADD, iova, SZ_4K, 7, NULL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FETCH_ADD, iova, 8, 7, NULL), 0);
	dma_unmap_single(dev, iova, SZ_4K, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, ((u64 *)a)[0], 14);
	KUNIT_EXPECT_EQ(test, ((u64 *)a)[SZ_4K / 8 - 1], 7);
	expect_gone(test, dev, iova, SZ_4K);
}

/* ----- Pieces from all over memory ----- */

static void test_sg(struct kunit *test)
{
	static const struct {
		unsigned int offset, length;
	} pieces[] = {
		{ 0, SZ_4K }, { SZ_16K, SZ_8K }, { SZ_8K + 512, 512 }, { SZ_32K, SZ_16K },
		{ SZ_32K + SZ_16K + 64, 1000 },
	};
	struct device *dev = sim_up(test);
	u8 *a = sim_pages(test), *own = sim_pages(test), *copy = sim_pages(test);
	struct scatterlist sgl[ARRAY_SIZE(pieces)], *sg;
	struct {
		u64 iova;
		size_t length;
	} mapped[ARRAY_SIZE(pieces)] = {};
	size_t total = 0, done = 0;
	int i, nents;

	sg_init_table(sgl, ARRAY_SIZE(sgl));
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		sg_set_buf(&sgl[i], a + pieces[i].offset, pieces[i].length);
		total += pieces[i].length;
	}
	fill(own, total, 4);

	nents = dma_map_sg(dev, sgl, ARRAY_SIZE(sgl), DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_GT(test, nents, 0);
	for_each_sg(sgl, sg, nents, i) {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_WRITE, .iova = sg_dma_address(sg),
			.length = sg_dma_len(sg), .buf = own + done,
		};

		KUNIT_EXPECT_EQ(test, rviommu_sim_dma(dev, &dma), 0);
		done += dma.length;
		dma.op = RVIOMMU_SIM_READ;
		dma.buf = copy;
		KUNIT_EXPECT_EQ(test, rviommu_sim_dma(dev, &dma), 0);
		KUNIT_EXPECT_MEMEQ(test, copy, own + done - dma.length, dma.length);
		mapped[i].iova = dma.iova;
		mapped[i].length = dma.length;
	}
	KUNIT_EXPECT_EQ(test, done, total);
	dma_unmap_sg(dev, sgl, ARRAY_SIZE(sgl), DMA_BIDIRECTIONAL);

	KUNIT_EXPECT_EQ(test, sg_copy_to_buffer(sgl, ARRAY_SIZE(sgl), copy, total), total);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(copy, total, 4));
	/* Between the pieces nothing was written. */
	KUNIT_EXPECT_NULL(test, memchr_inv(a + SZ_4K, 0, SZ_4K + 512));
	KUNIT_EXPECT_NULL(test, memchr_inv(a + SZ_8K + SZ_1K, 0, SZ_8K - SZ_1K));
	for (i = 0; i < nents; i++)
		expect_gone(test, dev, mapped[i].iova, mapped[i].length);
}

/* ----- Memory that both use ----- */

static void test_coherent(struct kunit *test)
{
	struct device *dev = sim_up(test);
	dma_addr_t iova;
	u8 *a;

	a = dma_alloc_coherent(dev, SZ_64K, &iova, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, a);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_64K, 5, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_64K, 5));
	fill(a, SZ_64K, 6);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_VERIFY, iova, SZ_64K, 6, NULL), 0);
	dma_free_coherent(dev, SZ_64K, a, iova);
	expect_gone(test, dev, iova, SZ_64K);
}

/* ----- The flush that nobody asks for ----- */

/* The core's timer puts an end to what was unmapped; nothing else has to happen. */
static void test_timer(struct kunit *test)
{
	struct device *dev = sim_up(test);
	u8 *a = sim_pages(test);
	unsigned int tries = 0;
	dma_addr_t iova;

	iova = dma_map_single(dev, a, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_4K, 7, NULL), 0);
	dma_unmap_single(dev, iova, SZ_4K, DMA_FROM_DEVICE);
	while (sim_dma(dev, RVIOMMU_SIM_FILL, iova, 8, 8, NULL) != -EFAULT) {
		/* Strict, the first one must fail. */
		KUNIT_ASSERT_EQ(test, iommu_get_domain_for_dev(dev)->type, IOMMU_DOMAIN_DMA_FQ);
		KUNIT_ASSERT_LT(test, tries++, 10 * HZ);
		schedule_timeout_uninterruptible(1);
	}
}

/* ----- Many at once ----- */

/**
 * struct sim_user - a thread as a driver has them: map, DMA, unmap, again
 * @dev: the device, shared
 * @pages: 64 KiB of its own
 * @id: which thread
 * @rounds: how often
 * @wrong: how often the bytes were not there, or others
 * @task: the thread
 */
struct sim_user {
	struct device *dev;
	u8 *pages;
	unsigned int id;
	unsigned int rounds;
	unsigned int wrong;
	struct task_struct *task;
};

static int sim_use(void *data)
{
	struct sim_user *u = data;
	unsigned int i;

	for (i = 0; i < u->rounds; i++) {
		/* Sizes that the allocator of IOVAs caches and gives out again. */
		size_t length = SZ_4K << (i % 3);
		u8 *p = u->pages + (i % 4) * SZ_16K;
		u64 seed = u->id * 100000 + i;
		dma_addr_t iova;

		iova = dma_map_single(u->dev, p, length, DMA_FROM_DEVICE);
		if (dma_mapping_error(u->dev, iova)) {
			u->wrong++;
			continue;
		}
		if (sim_dma(u->dev, RVIOMMU_SIM_FILL, iova, length, seed, NULL))
			u->wrong++;
		dma_unmap_single(u->dev, iova, length, DMA_FROM_DEVICE);
		if (!rviommu_simtest_holds(p, length, seed))
			u->wrong++;
		cond_resched();
	}
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/*
 * IOVAs are given out again and again. One that is still cached for somebody else
 * takes the bytes to a wrong page, where their owner, or this one, misses them.
 */
static void test_threads(struct kunit *test)
{
	struct device *dev = sim_up(test);
	struct sim_user users[4] = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(users); i++) {
		users[i] = (struct sim_user){
			.dev = dev, .pages = sim_pages(test), .id = i, .rounds = 300,
		};
		users[i].task = kthread_run(sim_use, &users[i], "sim_user");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, users[i].task);
	}
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		kthread_stop(users[i].task);
		KUNIT_EXPECT_EQ(test, users[i].wrong, 0);
	}
}

/* ----- Another type under a mapping, and back ----- */

static void test_type(struct kunit *test)
{
	struct device *dev = sim_up(test);
	u8 *a = sim_pages(test);
	dma_addr_t iova;

	iova = dma_map_single(dev, a, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	/* From strict to deferred what is mapped stays. */
	KUNIT_ASSERT_EQ(test, sim_set_type(dev, "DMA-FQ\n"), 0);
	KUNIT_EXPECT_EQ(test, iommu_get_domain_for_dev(dev)->type, IOMMU_DOMAIN_DMA_FQ);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_4K, 9, NULL), 0);
	dma_unmap_single(dev, iova, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_4K, 9));
	expect_gone(test, dev, iova, SZ_4K);

	/* Nothing is translated, nothing is refused. */
	KUNIT_ASSERT_EQ(test, sim_set_type(dev, "identity\n"), 0);
	iova = dma_map_single(dev, a, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, iova, virt_to_phys(a));
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, iova, SZ_4K, 10, NULL), 0);
	dma_unmap_single(dev, iova, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_4K, 10));

	/* And of that nothing is left. */
	KUNIT_ASSERT_EQ(test, sim_set_type(dev, "DMA\n"), 0);
	KUNIT_EXPECT_EQ(test, iommu_get_domain_for_dev(dev)->type, IOMMU_DOMAIN_DMA);
	KUNIT_EXPECT_EQ(test, sim_dma(dev, RVIOMMU_SIM_FILL, virt_to_phys(a), SZ_4K, 11, NULL),
			-EFAULT);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_4K, 10));
}

static struct kunit_case sim_dma_cases[] = {
	KUNIT_CASE_PARAM(test_single, mode_gen_params),
	KUNIT_CASE_PARAM(test_sg, mode_gen_params),
	KUNIT_CASE_PARAM(test_coherent, mode_gen_params),
	KUNIT_CASE_PARAM(test_timer, mode_gen_params),
	KUNIT_CASE_PARAM(test_threads, mode_gen_params),
	KUNIT_CASE_PARAM(test_type, mode_gen_params),
	{}
};

static struct kunit_suite sim_dma_suite = {
	.name = "rviommu_sim_dma",
	.test_cases = sim_dma_cases,
};

kunit_test_suite(sim_dma_suite);
