// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty tracking, end to end: the simulated IOMMU sets D by compare-and-swap in the tables that
 * map, unmap, demotion and promotion change, and caches the D that it has seen until it is told
 * to forget. Bitmaps are the core's, in memory of user space, read in the order that
 * iommufd reads them in.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/iova_bitmap.h>
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <rviommu/domain.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/compat.h"
#include "../src/driver/dirty.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/pgtable.h"
#include "../src/driver/rviommu.h"
#include "simtest.h"
#include "testdev.h"

RVIOMMU_IMPORT_NS(IOMMUFD);

#define IOVA		0x1000000000ULL
#define RW		(IOMMU_READ | IOMMU_WRITE)
/* Where no machine has memory: those writes are translated, and no byte moves. */
#define FAR		BIT_ULL(55)
#define PASID		5
/* Of any range that is read in one go */
#define PAGES		(SZ_1G / SZ_4K)
#define CAP_FIRST	(RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57)

static ulong writes;
module_param_named(dirty_writes, writes, ulong, 0444);
MODULE_PARM_DESC(dirty_writes, "DMA writes of the dirty tracking race; 0: as many as a run has time for");

/**
 * struct dirty_world - whose writes are tracked
 * @name: of the case
 * @clear: capabilities that the hardware lacks
 * @switches: its worst cases
 * @second: through the second stage
 * @pasid: of a PASID, 0: of the requester ID
 * @ats: the device has a cache of its own
 */
struct dirty_world {
	const char *name;
	u64 clear;
	u32 switches;
	bool second;
	u32 pasid;
	bool ats;
};

static const struct dirty_world worlds[] = {
	{ .name = "first stage" },
	{ .name = "first stage, worst case", .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "first stage, no range", .clear = RVIOMMU_CAP_S },
	{ .name = "first stage, Sv39, no non-leaf",
	  .clear = RVIOMMU_CAP_SV57 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_NL },
	{ .name = "first stage, ATS", .ats = true },
	{ .name = "second stage", .second = true },
	{ .name = "second stage, worst case", .second = true,
	  .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "second stage, no range", .second = true, .clear = RVIOMMU_CAP_S },
	{ .name = "second stage, ATS", .second = true, .ats = true },
	{ .name = "PASID", .pasid = PASID },
	{ .name = "PASID, worst case", .pasid = PASID, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "PASID, ATS", .pasid = PASID, .ats = true },
};

KUNIT_ARRAY_PARAM_DESC(world, worlds, name);

/**
 * struct dirty_fixture - a device, and a domain whose writes can be tracked
 * @test: whose
 * @world: which
 * @sim: the instance
 * @model: its hardware
 * @dev: endpoint 0
 * @ep: what the driver knows of it
 * @group: its group, of which we have DMA ownership
 * @domain: can be tracked, and is attached
 * @dom: the same
 * @attached: it is
 * @user: memory of user space, for a bitmap of PAGES
 * @got: what was in it
 * @want: what shall be in it
 * @rnd: random numbers, the same in each run
 */
struct dirty_fixture {
	struct kunit *test;
	const struct dirty_world *world;
	struct rviommu_sim *sim;
	struct rviommu_model *model;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct iommu_group *group;
	struct iommu_domain *domain;
	struct rviommu_domain *dom;
	bool attached;
	u64 __user *user;
	unsigned long *got;
	unsigned long *want;
	struct rnd_state rnd;
};

static void dirty_detach(struct dirty_fixture *f)
{
	if (f->attached && f->world->pasid)
		iommu_detach_device_pasid(f->domain, f->dev, f->world->pasid);
	else if (f->attached)
		iommu_detach_group(f->domain, f->group);
	f->attached = false;
}

static void dirty_detach_action(void *f)
{
	dirty_detach(f);
}

static int dirty_attach(struct dirty_fixture *f)
{
	int ret = f->world->pasid ?
		  iommu_attach_device_pasid(f->domain, f->dev, f->world->pasid, NULL) :
		  iommu_attach_group(f->domain, f->group);

	f->attached = !ret;
	return ret;
}

static void *dirty_bits(struct kunit *test)
{
	unsigned long *bits = kunit_kcalloc(test, BITS_TO_LONGS(PAGES), sizeof(long), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bits);
	return bits;
}

static struct dirty_fixture *dirty_up(struct kunit *test, const struct dirty_world *world)
{
	struct dirty_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u32 flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	struct rviommu_sim_config config;
	unsigned long user;

	KUNIT_ASSERT_NOT_NULL(test, f);
	if (!IS_ENABLED(CONFIG_IOMMUFD_DRIVER))
		kunit_skip(test, "the kernel has no bitmaps for it");
	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~world->clear;
	config.model.switches = world->switches;
	config.endpoints = 2;
	config.ats = world->ats;
	config.pasid_bits = 8;
	rviommu_model_config_fit(&config.model);
	f->test = test;
	f->world = world;
	prandom_seed_state(&f->rnd, 1);
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_dirty", &config);
	f->model = rviommu_sim_model(f->sim);
	f->dev = rviommu_sim_endpoint(f->sim, 0);
	f->ep = dev_iommu_priv_get(f->dev);
	f->group = rviommu_simtest_claim(test, f->dev);
	if (world->second)
		flags |= IOMMU_HWPT_ALLOC_NEST_PARENT;
	f->domain = rviommu_simtest_keep(test, rviommu_alloc_paging(f->dev, flags));
	f->dom = to_rviommu_domain(f->domain);
	KUNIT_ASSERT_EQ(test, f->dom->space.second_stage, world->second);
	KUNIT_ASSERT_EQ(test, dirty_attach(f), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, dirty_detach_action, f), 0);
	KUNIT_ASSERT_EQ(test, f->ep->ats.on, world->ats);
	user = kunit_vm_mmap(test, NULL, 0, PAGES / 8, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, user, 0);
	KUNIT_ASSERT_LT(test, user, TASK_SIZE);
	f->user = (u64 __user *)user;
	f->got = dirty_bits(test);
	f->want = dirty_bits(test);
	return f;
}

static int dirty_track(struct dirty_fixture *f, bool enable)
{
	const struct iommu_dirty_ops *ops = f->domain->dirty_ops;
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty;
	int ret;

	/* iommufd clears what is left from before by itself. */
	iommu_dirty_bitmap_init(&dirty, NULL, &gather);
	if (enable) {
		ret = ops->read_and_clear_dirty(f->domain, IOVA, SZ_1G, 0, &dirty);
		if (ret)
			return ret;
		iommu_iotlb_sync(f->domain, &gather);
	}
	return ops->set_dirty_tracking(f->domain, enable);
}

/* The bitmap of a range goes to @f->got. */
static int dirty_read(struct dirty_fixture *f, u64 iova, size_t size, unsigned long flags)
{
	size_t bytes = BITS_TO_LONGS(size / SZ_4K) * sizeof(long);
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty;
	struct iova_bitmap *bitmap;
	int ret;

	if (clear_user(f->user, bytes))
		return -EFAULT;
	bitmap = iova_bitmap_alloc(iova, size, SZ_4K, f->user);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	iommu_dirty_bitmap_init(&dirty, bitmap, &gather);
	ret = f->domain->dirty_ops->read_and_clear_dirty(f->domain, iova, size, flags, &dirty);
	if (!(flags & IOMMU_DIRTY_NO_CLEAR))
		iommu_iotlb_sync(f->domain, &gather);
	iova_bitmap_free(bitmap);
	return ret ?: copy_from_user(f->got, f->user, bytes) ? -EFAULT : 0;
}

static unsigned long dirty_weight(struct dirty_fixture *f, size_t size)
{
	return bitmap_weight(f->got, size / SZ_4K);
}

/* An access that is translated, and D set if need be; whatever is there is not touched. */
static int dirty_access(struct dirty_fixture *f, u64 iova, bool write)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.pv = f->world->pasid,
		.process_id = f->world->pasid,
		.write = write,
		.device_id = f->ep->ids[0],
		.iova = iova,
		.length = 8,
	};
	struct rviommu_model_response rsp;

	return rviommu_model_translate(f->model, &req, &rsp);
}

static int dirty_map(struct dirty_fixture *f, u64 iova, u64 pa, size_t size)
{
	return iommu_map(f->domain, iova, pa, size, RW, GFP_KERNEL);
}

static int count_leaf(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	unsigned long *leaves = arg;

	leaves[size_lg2]++;
	return 0;
}

/* How many leaves of each size the domain has goes to @leaves, by lg2 of the bytes. */
static void dirty_leaves(struct dirty_fixture *f, unsigned long *leaves)
{
	memset(leaves, 0, 64 * sizeof(*leaves));
	rviommu_pgtable_for_each(&f->dom->pt, 0, ~0ULL, count_leaf, leaves);
}

/* ----- Exactly what was written to ----- */

/* A GiB of leaves of all sizes: 512 MiB of 2M, 4M of 64K, 4M of 4K, and another GiB of 1G. */
static void dirty_map_all(struct dirty_fixture *f)
{
	struct kunit *test = f->test;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_512M), 0);
	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_512M, FAR + SZ_512M + SZ_64K, SZ_4M), 0);
	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_512M + SZ_4M, FAR + SZ_1G + SZ_4K, SZ_4M), 0);
	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_1G, FAR + 4ULL * SZ_1G, SZ_1G), 0);
}

/* Somewhere in what dirty_map_all() has mapped within a GiB of @base */
static u64 dirty_somewhere(struct dirty_fixture *f, u64 base)
{
	u32 r = prandom_u32_state(&f->rnd);
	size_t at = prandom_u32_state(&f->rnd) & (SZ_1G - 8);

	if (base != IOVA)
		return at;
	switch (r % 3) {
	case 0:
		return at % SZ_512M;
	case 1:
		return SZ_512M + at % SZ_4M;
	default:
		return SZ_512M + SZ_4M + at % SZ_4M;
	}
}

#define WRITES	300

/* Some writes and some reads in a GiB, and what the bitmap says of it, twice. */
static void dirty_round(struct dirty_fixture *f, u64 base)
{
	struct kunit *test = f->test;
	unsigned int i, refused = 0;

	bitmap_zero(f->want, PAGES);
	for (i = 0; i < WRITES; i++) {
		u64 at = dirty_somewhere(f, base) & ~7ULL;

		refused += !!dirty_access(f, base + at, true);
		__set_bit(at / SZ_4K, f->want);
		refused += !!dirty_access(f, base + (dirty_somewhere(f, base) & ~7ULL), false);
	}
	KUNIT_EXPECT_EQ(test, refused, 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, base, SZ_1G, IOMMU_DIRTY_NO_CLEAR), 0);
	KUNIT_EXPECT_TRUE(test, bitmap_equal(f->got, f->want, PAGES));
	KUNIT_ASSERT_EQ(test, dirty_read(f, base, SZ_1G, 0), 0);
	KUNIT_EXPECT_TRUE(test, bitmap_equal(f->got, f->want, PAGES));
	KUNIT_ASSERT_EQ(test, dirty_read(f, base, SZ_1G, IOMMU_DIRTY_NO_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_1G), 0);
}

static void dirty_exact(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, test->param_value);
	unsigned long leaves[64];
	unsigned int i;
	u64 t;

	dirty_map_all(f);
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[30], 1);
	KUNIT_EXPECT_EQ(test, leaves[21], 256);
	KUNIT_EXPECT_EQ(test, leaves[16], 64);
	/* All of it was written to, and is in caches with its D. */
	for (i = 0; i < WRITES; i++)
		KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + dirty_somewhere(f, IOVA), true), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1G + SZ_1M, true), 0);
	t = ktime_get_ns();
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	t = ktime_get_ns() - t;
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[12], PAGES + (SZ_512M + 2 * SZ_4M) / SZ_4K);
	/* Only what is written from now on counts. */
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA + i * SZ_1G, SZ_1G, 0), 0);
		KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_1G), 0);
	}
	for (i = 0; i < 3; i++) {
		dirty_round(f, IOVA);
		dirty_round(f, IOVA + SZ_1G);
	}
	KUNIT_ASSERT_EQ(test, dirty_track(f, false), 0);
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[30], 1);
	KUNIT_EXPECT_EQ(test, leaves[21], 256);
	KUNIT_EXPECT_EQ(test, leaves[16], 64);
	KUNIT_EXPECT_EQ(test, leaves[12], SZ_4M / SZ_4K);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1G, true), 0);
	kunit_info(test, "%s: began in %llu us\n", f->world->name, div_u64(t, 1000));
}

/* ----- With bytes ----- */

/* DMA of the device itself, through its ATC if it has one */
static int dirty_fill(struct dirty_fixture *f, u64 iova, size_t length, u64 seed)
{
	return rviommu_simtest_fill(f->dev, f->world->pasid, iova, length, seed);
}

static void dirty_bytes(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, test->param_value);
	u8 *p = rviommu_simtest_pages(test, SZ_64K);
	unsigned int i, k;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, virt_to_phys(p), SZ_64K), 0);
	KUNIT_ASSERT_EQ(test, dirty_fill(f, IOVA, SZ_64K, 1), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	for (i = 0; i < 16; i++) {
		/* To two pages, and a second time by what is cached */
		for (k = 0; k < 2; k++)
			KUNIT_ASSERT_EQ(test, dirty_fill(f, IOVA + i * SZ_4K + SZ_2K,
							 i < 15 ? SZ_4K : SZ_2K, i), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(p + i * SZ_4K + SZ_2K, SZ_2K, i));
		KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, 0), 0);
		KUNIT_EXPECT_EQ(test, f->got[0], (3UL << i) & 0xffff);
	}
	/* Reads are no writes, and writes may follow them. */
	KUNIT_EXPECT_EQ(test, rviommu_simtest_dma(f->dev, f->world->pasid, RVIOMMU_SIM_VERIFY,
						  IOVA + 15 * SZ_4K + SZ_2K, SZ_2K, 15, NULL), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, 0), 0);
	KUNIT_EXPECT_EQ(test, f->got[0], 0);
	KUNIT_ASSERT_EQ(test, dirty_fill(f, IOVA + 15 * SZ_4K, 8, 3), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, 0), 0);
	KUNIT_EXPECT_EQ(test, f->got[0], 1UL << 15);
}

/* A translation with write permission in a device's cache: the next write has to ask again. */
static void dirty_atc(struct kunit *test)
{
	static const struct dirty_world world = { .name = "ATS", .ats = true };
	struct dirty_fixture *f = dirty_up(test, &world);
	u8 *p = rviommu_simtest_pages(test, SZ_64K);
	struct rviommu_sim_atc_stats before, after;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, virt_to_phys(p), SZ_64K), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_fill(f, IOVA, SZ_8K, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), 2);
	/* Who only looks takes nothing away. */
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, IOMMU_DIRTY_NO_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, f->got[0], 3);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), 2);
	KUNIT_ASSERT_EQ(test, rviommu_sim_atc_stats(f->dev, &before), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, 0), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_atc_stats(f->dev, &after), 0);
	KUNIT_EXPECT_EQ(test, f->got[0], 3);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), 0);
	KUNIT_EXPECT_EQ(test, after.invalidations - before.invalidations, 1);
	KUNIT_ASSERT_EQ(test, dirty_fill(f, IOVA + SZ_4K, 8, 2), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_64K, 0), 0);
	KUNIT_EXPECT_EQ(test, f->got[0], 2);
}

/* However many pages were dirty: one invalidation, and one fence. */
static void dirty_commands(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	atomic64_t *events = f->ep->iommu->cmdq.events;
	s64 commands, fences;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_4M), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	for (i = 0; i < 500; i++)
		KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 2 * i * SZ_4K, true), 0);
	commands = atomic64_read(&events[RVIOMMU_CMDQ_COMMANDS]);
	fences = atomic64_read(&events[RVIOMMU_CMDQ_FENCES]);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_4M, IOMMU_DIRTY_NO_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_4M), 500);
	KUNIT_EXPECT_EQ(test, atomic64_read(&events[RVIOMMU_CMDQ_COMMANDS]), commands);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_4M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_4M), 500);
	KUNIT_EXPECT_EQ(test, atomic64_read(&events[RVIOMMU_CMDQ_COMMANDS]) - commands, 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&events[RVIOMMU_CMDQ_FENCES]) - fences, 1);
	/* Nothing was dirty, so nothing is to be forgotten. */
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_4M, 0), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&events[RVIOMMU_CMDQ_COMMANDS]) - commands, 2);
}

/* ----- Beginning, ending, and what goes on meanwhile ----- */

static void dirty_begin_end(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	const struct iommu_dirty_ops *ops = f->domain->dirty_ops;
	struct iommu_dirty_bitmap dirty;
	unsigned long leaves[64];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA, true), 0);
	/* Not tracked: there is nothing to be read, and nothing to be ended. */
	KUNIT_EXPECT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, dirty_track(f, false), 0);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
		KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
		KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 0);
		KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 7 * SZ_4K, true), 0);
		/* Begun once more: from now on */
		if (i == 1) {
			KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
			KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
			KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 0);
			KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 7 * SZ_4K, true), 0);
		}
		/* Maps are tracked, and in pages. */
		KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_2M, FAR + SZ_2M, SZ_2M), 0);
		dirty_leaves(f, leaves);
		KUNIT_EXPECT_EQ(test, leaves[21], 0);
		KUNIT_EXPECT_EQ(test, leaves[12], 1024);
		KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_2M + SZ_4K, true), 0);
		KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_4M, 0), 0);
		KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_4M), 2);
		KUNIT_EXPECT_TRUE(test, test_bit(7, f->got) && test_bit(513, f->got));
		KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, IOVA + SZ_2M, SZ_2M), SZ_2M);
		KUNIT_ASSERT_EQ(test, dirty_track(f, false), 0);
		KUNIT_EXPECT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), -EINVAL);
		dirty_leaves(f, leaves);
		KUNIT_EXPECT_EQ(test, leaves[21], 1);
		KUNIT_EXPECT_EQ(test, leaves[12], 0);
	}
	/* What no caller should ask for */
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	iommu_dirty_bitmap_init(&dirty, NULL, NULL);
	KUNIT_EXPECT_EQ(test, ops->read_and_clear_dirty(f->domain, IOVA, 0, 0, &dirty), -EINVAL);
	KUNIT_EXPECT_EQ(test, ops->read_and_clear_dirty(f->domain, IOVA + 8, SZ_4K, 0, &dirty),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, ops->read_and_clear_dirty(f->domain, IOVA, SZ_2K, 0, &dirty),
			-EINVAL);
	/* Who gathers nothing has it invalidated at once. */
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA, true), 0);
	KUNIT_EXPECT_EQ(test, ops->read_and_clear_dirty(f->domain, IOVA, SZ_2M, 0, &dirty), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 1);
}

/* Attached to nothing, replaced and attached again: what was written to is still known. */
static void dirty_replace(struct kunit *test)
{
	static const struct dirty_world pasid = { .name = "PASID", .pasid = PASID };
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	struct iommu_domain *plain = rviommu_simtest_domain(test, f->dev);

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_2M), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(plain, IOVA, FAR, SZ_2M, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 3 * SZ_4K, true), 0);
	/* One that is not tracked takes its place: its writes are nobody's. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep, plain), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 4 * SZ_4K, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(3, f->got));
	/* Also when it was attached to two, and of one of them is no more. */
	KUNIT_ASSERT_EQ(test, rviommu_attach_pasid(f->ep, PASID, f->domain, NULL), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep, f->domain), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 3 * SZ_4K, true), 0);
	f->world = &pasid;
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 5 * SZ_4K, true), 0);
	rviommu_detach_pasid(f->ep, PASID);
	f->world = &worlds[0];
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 2);
	KUNIT_EXPECT_TRUE(test, test_bit(3, f->got) && test_bit(5, f->got));
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 6 * SZ_4K, true), 0);
	dirty_detach(f);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(6, f->got));
	/* Begun and ended while it is attached nowhere, too */
	KUNIT_ASSERT_EQ(test, dirty_track(f, false), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_attach(f), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + 8 * SZ_4K, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(8, f->got));
}

/* Who unmaps stops the DMA there, reads without clearing, and unmaps: nothing else knows. */
static void dirty_unmap(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_2M), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1M, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_8K, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA + SZ_1M, SZ_1M, IOMMU_DIRTY_NO_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_1M), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(0, f->got));
	KUNIT_ASSERT_EQ(test, iommu_unmap(f->domain, IOVA + SZ_1M, SZ_1M), SZ_1M);
	/* Another mapping has its own D. */
	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_1M, FAR + SZ_1G, SZ_1M), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1M + SZ_4K, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_read(f, IOVA, SZ_2M, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_2M), 2);
	KUNIT_EXPECT_TRUE(test, test_bit(2, f->got) && test_bit(257, f->got));
}

/* ----- No memory ----- */

/*
 * Allocation @nth fails when tracking begins, and all that come later. A leaf that stays larger is
 * reported whole and cleared, and split when there is memory. Returns false if it was not missed.
 */
static bool dirty_without(struct dirty_fixture *f, int nth)
{
	struct kunit *test = f->test;
	struct testdev_failures failures;
	unsigned long leaves[64], want;

	testdev_fail(test, &failures, nth);
	KUNIT_EXPECT_EQ(test, dirty_track(f, true), 0);
	testdev_fail(test, &failures, TESTDEV_ALL);
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[30] * PAGES + leaves[21] * 512 + leaves[12], PAGES);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1G - SZ_4K, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_read(f, IOVA, SZ_1G, 0), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(0, f->got) && test_bit(PAGES - 1, f->got));
	/* From the front: the first and the last one of them are 2M if all or any are. */
	want = leaves[30] ? PAGES : (leaves[21] == 512 ? 512 : 1) + (leaves[21] ? 512 : 1);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_1G), want);
	/* It was tried again, in vain; now there is memory. */
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1G - SZ_4K, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_read(f, IOVA, SZ_1G, 0), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(PAGES - 1, f->got));
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + SZ_1G - SZ_8K, true), 0);
	KUNIT_EXPECT_EQ(test, dirty_read(f, IOVA, SZ_1G, 0), 0);
	KUNIT_EXPECT_EQ(test, dirty_weight(f, SZ_1G), 1);
	KUNIT_EXPECT_EQ(test, dirty_track(f, false), 0);
	return leaves[30] || leaves[21];
}

static void dirty_no_memory(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	int nth;

	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA, FAR, SZ_1G), 0);
	for (nth = 0; dirty_without(f, nth); nth += nth < 5 ? 1 : 120)
		KUNIT_ASSERT_LT(test, nth, 2000);
	/* A GiB takes more than 512 tables. */
	KUNIT_EXPECT_GT(test, nth, 512);
}

/* ----- Which domains there are ----- */

/* IOMMUs that cannot set D: refused, by the errors that the core and iommufd know. */
static void dirty_refuse(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	struct rviommu_sim_config config;
	struct iommu_domain *domain;
	struct rviommu_endpoint *ep;
	struct rviommu_sim *sim;
	struct device *dev;

	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~RVIOMMU_CAP_AMO_HWAD;
	config.endpoints = 1;
	config.first_id = 64;
	config.pasid_bits = 8;
	rviommu_model_config_fit(&config.model);
	sim = rviommu_simtest_create(test, "rviommu_kunit_clean", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	ep = dev_iommu_priv_get(dev);
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(f->dev, IOMMU_CAP_DIRTY_TRACKING));
	KUNIT_EXPECT_FALSE(test, device_iommu_capable(dev, IOMMU_CAP_DIRTY_TRACKING));
	domain = rviommu_alloc_paging(dev, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(domain), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, f->domain), -EINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(ep, PASID, f->domain, NULL), -EINVAL);
	/* One that is not tracked does, and has no such ops. */
	domain = rviommu_simtest_domain(test, f->dev);
	KUNIT_EXPECT_NULL(test, domain->dirty_ops);
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(ep, PASID, domain, NULL), 0);
	rviommu_detach_pasid(ep, PASID);
}

struct flags_kind {
	const char *name;
	u64 clear;
};

static const struct flags_kind flags_kinds[] = {
	{ "everything", 0 },
	{ "no AMO_HWAD", RVIOMMU_CAP_AMO_HWAD },
	{ "first stage only", RVIOMMU_CAP_SV32X4 | RVIOMMU_CAP_SV39X4 | RVIOMMU_CAP_SV48X4 |
			      RVIOMMU_CAP_SV57X4 },
	{ "second stage only", CAP_FIRST },
	{ "second only, no AMO_HWAD", CAP_FIRST | RVIOMMU_CAP_AMO_HWAD },
};

KUNIT_ARRAY_PARAM_DESC(flags, flags_kinds, name);

/* What a combination of flags shall give: "first", "second", with "+d" if it can be tracked */
static const char *flags_want(u32 flags, u64 clear)
{
	const bool nest = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
	const bool dirty = flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	const bool pasid = flags & RVIOMMU_ALLOC_PASID;
	const bool first = !(clear & RVIOMMU_CAP_SV39), second = !(clear & RVIOMMU_CAP_SV39X4);

	/* FAULT_ID_VALID is the core's: a driver never sees it. */
	if (flags & IOMMU_HWPT_FAULT_ID_VALID || (nest && pasid))
		return "-";
	if (dirty && (clear & RVIOMMU_CAP_AMO_HWAD || !IS_ENABLED(CONFIG_IOMMUFD_DRIVER)))
		return "-";
	if (nest || (!first && !pasid))
		return !second ? "-" : dirty ? "second+d" : "second";
	return !first ? "-" : dirty ? "first+d" : "first";
}

static const char *flags_got(struct kunit *test, struct device *dev, u32 flags)
{
	struct iommu_domain *domain = rviommu_domain_alloc_paging_flags(dev, flags, NULL);
	struct rviommu_domain *dom;
	const char *got;

	if (IS_ERR(domain)) {
		KUNIT_EXPECT_EQ(test, PTR_ERR(domain), -EOPNOTSUPP);
		return "-";
	}
	dom = to_rviommu_domain(domain);
	/* iommufd sets no type. */
	KUNIT_EXPECT_EQ(test, domain->type, IOMMU_DOMAIN_UNMANAGED);
	KUNIT_EXPECT_EQ(test, !!domain->dirty_ops,
			!!(dom->space.needs & RVIOMMU_CAP_AMO_HWAD));
	KUNIT_EXPECT_EQ(test, !!dom->space.gscid, dom->space.second_stage);
	if (dom->space.second_stage) {
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(dom->space.root, SZ_16K));
		got = domain->dirty_ops ? "second+d" : "second";
	} else {
		got = domain->dirty_ops ? "first+d" : "first";
	}
	domain->ops->free(domain);
	return got;
}

static void dirty_flags(struct kunit *test)
{
	const struct flags_kind *kind = test->param_value;
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct device *dev;
	char line[80];
	u32 flags;

	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~kind->clear;
	config.endpoints = 1;
	config.pasid_bits = 8;
	rviommu_model_config_fit(&config.model);
	sim = rviommu_simtest_create(test, "rviommu_kunit_flags", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	kunit_info(test, "%s: NEST_PARENT, DIRTY_TRACKING, FAULT_ID_VALID, PASID\n", kind->name);
	for (flags = 0; flags < 16; flags++) {
		const char *want = flags_want(flags, kind->clear);
		const char *got = flags_got(test, dev, flags);

		/* Flags that the kernel does not know are none. */
		if (flags & 8 && !RVIOMMU_ALLOC_PASID)
			want = "-";
		KUNIT_EXPECT_STREQ(test, got, want);
		scnprintf(line, sizeof(line), "%c %c %c %c  %s", flags & 1 ? 'N' : '.',
			  flags & 2 ? 'D' : '.', flags & 4 ? 'F' : '.', flags & 8 ? 'P' : '.', got);
		kunit_info(test, "%s\n", line);
	}
}

/* ----- Promotion on its own ----- */

static void dirty_promote(struct kunit *test)
{
	struct dirty_fixture *f = dirty_up(test, &worlds[0]);
	unsigned long leaves[64];
	u64 at;

	/* A guest that was mapped in pages */
	for (at = 0; at < SZ_4M; at += SZ_4K)
		KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + at, FAR + at, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA, true), 0);
	KUNIT_ASSERT_EQ(test, dirty_track(f, true), 0);
	KUNIT_EXPECT_EQ(test, rviommu_domain_promote(f->domain, 0, ~0ULL), -EBUSY);
	KUNIT_ASSERT_EQ(test, dirty_track(f, false), 0);
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[21], 2);
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, IOVA + SZ_4K, SZ_4K), SZ_4K);
	KUNIT_ASSERT_EQ(test, dirty_map(f, IOVA + SZ_4K, FAR + SZ_4K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, rviommu_domain_promote(f->domain, IOVA + SZ_2M, IOVA + SZ_4M - 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_domain_promote(f->domain, IOVA, IOVA + SZ_4M - 1), 1);
	dirty_leaves(f, leaves);
	KUNIT_EXPECT_EQ(test, leaves[21], 2);
	KUNIT_EXPECT_EQ(test, leaves[12], 0);
	for (at = 0; at < SZ_4M; at += SZ_4K)
		KUNIT_EXPECT_EQ(test, dirty_access(f, IOVA + at, true), 0);
}

/* ----- No write is lost ----- */

/*
 * A migration: whoever reads copies the pages that are dirty. Chunk by chunk the owner stops the
 * devices, reads without clearing, copies what that says, and unmaps: then the copy has to be what
 * was written, because the last write to a page was in a bitmap, or is in this one. Meanwhile the
 * devices write to the other chunks, leaves are split and merged, and pages beside those that are
 * written to are unmapped.
 */
#define RACE_CHUNKS	4
#define RACE_PAGES	((unsigned int)(SZ_2M / SZ_4K))	/* of a chunk */
#define RACE_WRITERS	3
/* The pages at the end of a chunk: nobody writes to them. */
#define RACE_QUIET	16
#define RACE_WRITTEN	(RACE_PAGES - RACE_QUIET)
/* So many writes, and everybody else has another turn. */
#define RACE_TURN	400
/* Of everything else at least */
#define RACE_ENOUGH	40
/* In all, where nothing looks on */
#define RACE_WRITES	10000000

struct race;

/**
 * struct race_writer - one that writes
 * @race: what for
 * @busy: it is writing
 * @rnd: where to
 * @writes: so far
 * @refused: of these
 */
struct race_writer {
	struct race *race;
	/* Held during each DMA; who has it sees that none is under way. */
	struct mutex busy;
	struct rnd_state rnd;
	unsigned long writes;
	unsigned long refused;
};

/**
 * struct race - a migration, and what goes on meanwhile
 * @f: the fixture
 * @chunk: memory of each chunk
 * @copy: what the migration has of each page
 * @copying: a bitmap is on its way from the domain to @copy
 * @mm: where the bitmap is
 * @turn: whoever waits for more writes
 * @read: writes when whoever reads had its last turn
 * @owned: writes when the owner had
 * @stopped: chunks that nobody writes to, by number
 * @writer: those who write
 * @copied: pages that were found dirty
 * @lost: pages that were written to, and are not in @copy
 * @failed: maps and unmaps
 * @remapped: chunks
 * @aside: pages that are not written to
 * @merged: tables that became leaves
 */
struct race {
	struct dirty_fixture *f;
	u8 *chunk[RACE_CHUNKS];
	u64 *copy;
	/* What is copied is of now, and not overwritten by what is older. */
	struct mutex copying;
	struct mm_struct *mm;
	wait_queue_head_t turn;
	unsigned long read, owned;
	unsigned long stopped;
	struct race_writer writer[RACE_WRITERS];
	unsigned long copied, lost, failed, remapped, aside, merged;
};

static unsigned long race_writes(struct race *race)
{
	unsigned long writes = 0;
	unsigned int i;

	for (i = 0; i < RACE_WRITERS; i++)
		writes += READ_ONCE(race->writer[i].writes);
	return writes;
}

/* Wait until devices have done something since @seen, which they may be waiting for. */
static void race_turn(struct race *race, unsigned long *seen)
{
	wait_event(race->turn, race_writes(race) >= *seen + RACE_TURN || kthread_should_stop());
	WRITE_ONCE(*seen, race_writes(race));
	wake_up_all(&race->turn);
}

/* Nobody writes for long without that somebody reads, and somebody unmaps. */
static bool race_is_due(struct race *race)
{
	const unsigned long writes = race_writes(race);

	return writes > READ_ONCE(race->read) + 4 * RACE_TURN ||
	       writes > READ_ONCE(race->owned) + 4 * RACE_TURN;
}

static u64 race_iova(unsigned int chunk, unsigned int page)
{
	return IOVA + chunk * (u64)SZ_2M + (u64)page * SZ_4K;
}

static int race_map(struct race *race, unsigned int chunk, unsigned int page, size_t size)
{
	return dirty_map(race->f, race_iova(chunk, page),
			 virt_to_phys(race->chunk[chunk]) + (u64)page * SZ_4K, size);
}

static bool race_unmap(struct race *race, unsigned int chunk, unsigned int page, size_t size)
{
	return iommu_unmap(race->f->domain, race_iova(chunk, page), size) == size;
}

static int race_write(void *data)
{
	struct race_writer *w = data;
	struct race *race = w->race;
	u32 pasid = race->f->world->pasid;

	while (!kthread_should_stop()) {
		const u32 r = prandom_u32_state(&w->rnd);
		const unsigned int chunk = r % RACE_CHUNKS, page = (r >> 8) % RACE_WRITTEN;

		mutex_lock(&w->busy);
		if (!test_bit(chunk, &race->stopped)) {
			w->refused += !!rviommu_simtest_dma(race->f->dev, pasid,
							    RVIOMMU_SIM_FETCH_ADD,
							    race_iova(chunk, page), 8, 1, NULL);
			WRITE_ONCE(w->writes, w->writes + 1);
		}
		mutex_unlock(&w->busy);
		if (!(r >> 26)) {
			wake_up_all(&race->turn);
			wait_event(race->turn, !race_is_due(race) || kthread_should_stop());
			cond_resched();
		}
	}
	return 0;
}

static int race_reshape(void *data)
{
	struct race *race = data;
	struct rviommu_pgtable *pt = &race->f->dom->pt;
	const u64 last = race_iova(RACE_CHUNKS, 0) - 1;
	unsigned long seen = 0;

	while (!kthread_should_stop()) {
		WRITE_ONCE(race->merged, race->merged + rviommu_pgtable_promote(pt, IOVA, last));
		race_turn(race, &seen);
		rviommu_pgtable_demote(pt, IOVA, last);
		race_turn(race, &seen);
	}
	return 0;
}

/* Bring what a range says is dirty up to date in the copy. */
static void race_copy(struct race *race, unsigned int chunk, unsigned int nr, unsigned long flags)
{
	struct dirty_fixture *f = race->f;
	unsigned int bit;

	lockdep_assert_held(&race->copying);
	if (dirty_read(f, race_iova(chunk, 0), nr * (size_t)SZ_2M, flags)) {
		race->failed++;
		return;
	}
	for_each_set_bit(bit, f->got, nr * RACE_PAGES) {
		const unsigned int at = chunk + bit / RACE_PAGES, page = bit % RACE_PAGES;

		race->copy[at * RACE_PAGES + page] =
			READ_ONCE(*(u64 *)(race->chunk[at] + (size_t)page * SZ_4K));
		race->copied++;
	}
}

/* Of a chunk that is not written to at the moment, the copy is what is there. */
static void race_compare(struct race *race, unsigned int chunk)
{
	unsigned int page;

	for (page = 0; page < RACE_PAGES; page++)
		race->lost += race->copy[chunk * RACE_PAGES + page] !=
			      *(u64 *)(race->chunk[chunk] + (size_t)page * SZ_4K);
}

/* In the order that iommufd asks for: stopped, read, unmapped. */
static void race_remap(struct race *race, unsigned int chunk)
{
	const size_t part = race->remapped & 1 ? 9 * SZ_4K : 0;
	unsigned int i;

	set_bit(chunk, &race->stopped);
	for (i = 0; i < RACE_WRITERS; i++) {
		mutex_lock(&race->writer[i].busy);
		mutex_unlock(&race->writer[i].busy);
	}
	mutex_lock(&race->copying);
	race_copy(race, chunk, 1, IOMMU_DIRTY_NO_CLEAR);
	race_compare(race, chunk);
	mutex_unlock(&race->copying);
	/* A part of it first: leaves that have just been merged are split. */
	if (part)
		race->failed += !race_unmap(race, chunk, 0, part);
	race->failed += !race_unmap(race, chunk, part / SZ_4K, SZ_2M - part);
	race->failed += !!race_map(race, chunk, 0, SZ_2M);
	clear_bit(chunk, &race->stopped);
	WRITE_ONCE(race->remapped, race->remapped + 1);
}

/* Beside pages that are written to */
static void race_aside(struct race *race, unsigned int chunk)
{
	const unsigned int page = RACE_WRITTEN + race->aside % RACE_QUIET;

	race->failed += !race_unmap(race, chunk, page, SZ_4K);
	race->failed += !!race_map(race, chunk, page, SZ_4K);
	WRITE_ONCE(race->aside, race->aside + 1);
}

static int race_own(void *data)
{
	struct race *race = data;
	unsigned int n;

	kthread_use_mm(race->mm);
	for (n = 0; !kthread_should_stop(); n++) {
		race_turn(race, &race->owned);
		if (n / RACE_CHUNKS % 2)
			race_remap(race, n % RACE_CHUNKS);
		else
			race_aside(race, n % RACE_CHUNKS);
	}
	kthread_unuse_mm(race->mm);
	return 0;
}

static bool race_over(struct race *race, unsigned long limit)
{
	return race_writes(race) >= limit && READ_ONCE(race->remapped) >= RACE_ENOUGH &&
	       READ_ONCE(race->aside) >= RACE_ENOUGH && READ_ONCE(race->merged) >= RACE_ENOUGH;
}

static struct race *race_up(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, race);
	race->f = dirty_up(test, test->param_value);
	race->copy = kunit_kcalloc(test, RACE_CHUNKS * RACE_PAGES, sizeof(u64), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, race->copy);
	race->mm = current->mm;
	mutex_init(&race->copying);
	init_waitqueue_head(&race->turn);
	for (i = 0; i < RACE_CHUNKS; i++) {
		race->chunk[i] = rviommu_simtest_pages(test, SZ_2M);
		KUNIT_ASSERT_EQ(test, race_map(race, i, 0, SZ_2M), 0);
	}
	for (i = 0; i < RACE_WRITERS; i++) {
		race->writer[i].race = race;
		mutex_init(&race->writer[i].busy);
		prandom_seed_state(&race->writer[i].rnd, i + 1);
	}
	return race;
}

static void dirty_race(struct kunit *test)
{
	struct race *race = race_up(test);
	unsigned long limit = writes ?: rviommu_simtest_rounds(RACE_WRITES);
	struct task_struct *task[RACE_WRITERS + 2] = {};
	unsigned long reads = 0, refused = 0;
	bool all = true;
	unsigned int i;
	u64 t;

	/* Worst cases and a device's own cache take their time for each of them. */
	if (race->f->world->switches || race->f->world->ats)
		limit /= 10;
	KUNIT_ASSERT_EQ(test, dirty_track(race->f, true), 0);
	for (i = 0; i < RACE_WRITERS; i++)
		task[i] = kthread_run(race_write, &race->writer[i], "dirty_write");
	task[i++] = kthread_run(race_reshape, race, "dirty_reshape");
	task[i] = kthread_run(race_own, race, "dirty_own");
	for (i = 0; i < ARRAY_SIZE(task); i++)
		all &= !IS_ERR(task[i]);
	KUNIT_EXPECT_TRUE(test, all);
	t = ktime_get_ns();
	while (all && !race_over(race, limit)) {
		race_turn(race, &race->read);
		mutex_lock(&race->copying);
		race_copy(race, 0, RACE_CHUNKS, 0);
		mutex_unlock(&race->copying);
		reads++;
	}
	t = ktime_get_ns() - t;
	for (i = 0; i < ARRAY_SIZE(task); i++)
		if (!IS_ERR(task[i]))
			kthread_stop(task[i]);
	mutex_lock(&race->copying);
	race_copy(race, 0, RACE_CHUNKS, 0);
	mutex_unlock(&race->copying);
	for (i = 0; i < RACE_CHUNKS; i++)
		race_compare(race, i);
	for (i = 0; i < RACE_WRITERS; i++)
		refused += race->writer[i].refused;
	KUNIT_EXPECT_EQ(test, race->lost, 0);
	KUNIT_EXPECT_EQ(test, refused, 0);
	KUNIT_EXPECT_EQ(test, race->failed, 0);
	kunit_info(test, "%s: %lu writes in %llu ms, %lu reads, %lu pages copied, %lu chunks and %lu pages remapped, %lu promotions\n",
		   race->f->world->name, race_writes(race), div_u64(t, 1000000), reads,
		   race->copied, race->remapped, race->aside, race->merged);
}

static const struct dirty_world race_worlds[] = {
	{ .name = "first stage" },
	{ .name = "second stage, worst case", .second = true,
	  .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "PASID, ATS", .pasid = PASID, .ats = true },
};

KUNIT_ARRAY_PARAM_DESC(race, race_worlds, name);

static struct kunit_case dirty_cases[] = {
	KUNIT_CASE_PARAM(dirty_exact, world_gen_params),
	KUNIT_CASE_PARAM(dirty_bytes, world_gen_params),
	KUNIT_CASE(dirty_atc),
	KUNIT_CASE(dirty_commands),
	KUNIT_CASE(dirty_begin_end),
	KUNIT_CASE(dirty_replace),
	KUNIT_CASE(dirty_unmap),
	KUNIT_CASE(dirty_no_memory),
	KUNIT_CASE(dirty_refuse),
	KUNIT_CASE_PARAM(dirty_flags, flags_gen_params),
	KUNIT_CASE(dirty_promote),
	KUNIT_CASE_PARAM_ATTR(dirty_race, race_gen_params, { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite dirty_suite = {
	.name = "rviommu_dirty",
	.test_cases = dirty_cases,
};

kunit_test_suite(dirty_suite);
