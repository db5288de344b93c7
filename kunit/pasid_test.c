// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs on the simulated IOMMU: through the IOMMU core where it has a way, and
 * always to the bytes that a device moved. The simulated devices have an ATC, so
 * what is cached there has to be forgotten too.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/directory.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/mem.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "hw.h"
#include "simtest.h"
#include "testdev.h"

#define IOVA			0x1000000000ULL
#define READ_PAGE_FAULT		13
#define WRITE_PAGE_FAULT	15
#define DISALLOWED		260
#define PDT_ENTRY_NOT_VALID	266

/**
 * struct pasid_variant - hardware that makes a difference to PASIDs
 * @name: of the case
 * @clear: capabilities it lacks
 * @bits: width of the devices' PASIDs
 * @levels: depth of the device directory, 0: any
 * @depth: expected depth of the process directory
 * @no_ats: devices without ATS
 * @ats_depth: of their invalidate queue, 0: 32
 * @ats_timeout: ns that the IOMMU waits for a device, 0: as long as PCIe lets it
 * @switches: worst cases
 */
struct pasid_variant {
	const char *name;
	u64 clear;
	u8 bits;
	u8 levels;
	u8 depth;
	bool no_ats;
	u8 ats_depth;
	u64 ats_timeout;
	u32 switches;
};

static const struct pasid_variant variants[] = {
	{ .name = "PD20", .bits = 20, .depth = 3 },
	{ .name = "PD17", .bits = 17, .depth = 2 },
	{ .name = "PD8", .bits = 8, .depth = 1 },
	{ .name = "PD20, no ATS", .bits = 20, .depth = 3, .no_ats = true },
	{ .name = "PD8 only", .bits = 20, .depth = 1,
	  .clear = RVIOMMU_CAP_PD17 | RVIOMMU_CAP_PD20 },
	{ .name = "no PD8", .bits = 8, .depth = 2, .clear = RVIOMMU_CAP_PD8 },
	{ .name = "one-level DDT", .bits = 17, .depth = 2, .levels = 1 },
	{ .name = "base format, queue of one", .bits = 17, .depth = 2, .ats_depth = 1,
	  .clear = RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF | RVIOMMU_CAP_AMO_MRIF },
	{ .name = "PD20, worst case", .bits = 20, .depth = 3, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "PD17, worst case", .bits = 17, .depth = 2, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "PD8, worst case", .bits = 8, .depth = 1, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "PD8, no ATS, worst case", .bits = 8, .depth = 1, .no_ats = true,
	  .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "one-level DDT, worst case", .bits = 17, .depth = 2, .levels = 1,
	  .switches = RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(variant, variants, name);

#define NR_DEVICES	4

/**
 * struct pasid_fixture - an instance and its devices, whose DMA is ours
 * @test: whose
 * @sim: the instance
 * @dev: its endpoints
 * @group: their groups
 * @ep: what the driver knows of them
 * @iommu: the driver's IOMMU
 * @live: allocations before anything was attached
 */
struct pasid_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev[NR_DEVICES];
	struct iommu_group *group[NR_DEVICES];
	struct rviommu_endpoint *ep[NR_DEVICES];
	struct rviommu *iommu;
	long live;
};

static struct pasid_fixture *pasid_up(struct kunit *test, const struct pasid_variant *v,
				      const char *name)
{
	struct pasid_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~v->clear;
	config.model.switches = v->switches;
	config.endpoints = NR_DEVICES;
	config.pasid_bits = v->bits;
	config.ats = !v->no_ats;
	config.pri = false;
	config.ats_depth = v->ats_depth ?: 32;
	if (v->ats_timeout)
		config.model.ats_timeout = v->ats_timeout;
	if (v->levels)
		KUNIT_ASSERT_EQ(test, rviommu_sim_config_levels(&config, v->levels), 0);
	rviommu_model_config_fit(&config.model);
	f->test = test;
	f->sim = rviommu_simtest_create(test, name, &config);
	for (i = 0; i < NR_DEVICES; i++) {
		f->dev[i] = rviommu_sim_endpoint(f->sim, i);
		KUNIT_ASSERT_NOT_NULL(test, f->dev[i]);
		f->ep[i] = dev_iommu_priv_get(f->dev[i]);
		f->group[i] = rviommu_simtest_claim(test, f->dev[i]);
	}
	f->iommu = f->ep[0]->iommu;
	return f;
}

/* Before the test ends */
static void pasid_down(struct pasid_fixture *f)
{
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++)
		rviommu_simtest_release(f->test, f->group[i]);
	rviommu_simtest_destroy(f->test, f->sim);
}

/* A page, and a domain that maps it at IOVA. */
static struct iommu_domain *pasid_space(struct pasid_fixture *f, u8 **page)
{
	return rviommu_simtest_space(f->test, f->dev[0], IOVA, SZ_4K, page);
}

static int pasid_dma(struct device *dev, u32 pasid, enum rviommu_sim_op op, size_t length,
		     u64 seed, u16 *cause)
{
	return rviommu_simtest_dma(dev, pasid, op, IOVA, length, seed, cause);
}

static int pasid_fill(struct device *dev, u32 pasid, u64 seed)
{
	return rviommu_simtest_fill(dev, pasid, IOVA, SZ_4K, seed);
}

/* Older kernels attach to PASIDs, but only newer ones replace there. */
static int pasid_replace(struct pasid_fixture *f, unsigned int i, u32 pasid,
			 struct iommu_domain *domain)
{
	return rviommu_attach_pasid(f->ep[i], pasid, domain, NULL);
}

static bool has_pdt(struct pasid_fixture *f, unsigned int i)
{
	struct rviommu_dc dc;

	return rviommu_ddt_read(&f->iommu->ddt, f->ep[i]->ids[0], &dc) &&
	       dc.word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV;
}

/* ----- Attach, replace, remove ----- */

static void pasid_basic(struct kunit *test)
{
	const struct pasid_variant *v = test->param_value;
	struct pasid_fixture *f = pasid_up(test, v, "rviommu_kunit_pasid");
	u32 max = min(BIT(v->bits), BIT(rviommu_pdt_pid_lg2(v->depth)));
	const u32 pasid[3] = { 1, 255, max - 1 == 255 ? 254 : max - 1 };
	struct iommu_domain *domain[4];
	u8 *page[4];
	unsigned int i;
	long live;
	u16 cause;

	for (i = 0; i < 4; i++)
		domain[i] = pasid_space(f, &page[i]);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(domain[3], f->group[0]), 0);
	KUNIT_EXPECT_EQ(test, f->ep[0]->max_pasids, max);
	KUNIT_EXPECT_EQ(test, f->ep[0]->ats.on, !v->no_ats && v->levels != 1);
	live = testdev_live();

	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 30), 0);
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 1, RVIOMMU_SIM_FILL, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, DISALLOWED);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain[i], f->dev[0], pasid[i],
								NULL), 0);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid[i], 1 + i), 0);
	}
	KUNIT_EXPECT_EQ(test, f->ep[0]->pdt.dir.levels, v->depth);
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 2, RVIOMMU_SIM_FILL, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, PDT_ENTRY_NOT_VALID);
	/* Each wrote its own; the requester ID's translation has only moved. */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[i], SZ_4K, 1 + i));
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[3], SZ_4K, 30));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 31), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[3], SZ_4K, 31));

	/* Replace, and the same once more. */
	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, pasid[0], domain[1]), 0);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid[0], 5), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[0], SZ_4K, 1));
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 5));
	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, pasid[0], domain[1]), 0);
	rviommu_simtest_expect_forgotten(f->test, f->sim, domain[0]);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[0]), 0);

	/* An unmap reaches every PASID, and the device's own cache. */
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain[1], IOVA, SZ_4K), SZ_4K);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], pasid[i], RVIOMMU_SIM_FILL, 8, 9,
						&cause), -EFAULT);
		KUNIT_EXPECT_EQ(test, cause, WRITE_PAGE_FAULT);
	}
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 5));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid[2], 6), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[2], SZ_4K, 6));

	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, pasid[0], domain[0]), 0);
	for (i = 0; i < 3; i++) {
		iommu_detach_device_pasid(domain[i], f->dev[0], pasid[i]);
		KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], pasid[i], RVIOMMU_SIM_FILL, 8, 9,
						&cause), -EFAULT);
		KUNIT_EXPECT_EQ(test, cause, i < 2 ? PDT_ENTRY_NOT_VALID : DISALLOWED);
		KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev[0], true, pasid[i]), 0);
		rviommu_simtest_expect_forgotten(f->test, f->sim, domain[i]);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[i]), 0);
	}
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 0));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 32), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[3], SZ_4K, 32));
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	iommu_detach_group(domain[3], f->group[0]);
}

/* ----- What the requester IDs do meanwhile ----- */

static int takes_no_fault(struct iopf_group *group)
{
	return -ENODEV;
}

static void pasid_requester(struct kunit *test)
{
	const struct pasid_variant *v = test->param_value;
	struct pasid_fixture *f = pasid_up(test, v, "rviommu_kunit_pasid");
	struct iommu_domain *domain[3];
	u8 *page[3];
	unsigned int i;
	u16 cause;

	for (i = 0; i < 3; i++)
		domain[i] = pasid_space(f, &page[i]);

	/* No page requests, for a PASID neither. */
	domain[0]->iopf_handler = takes_no_fault;
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(domain[0], f->dev[0], 7, NULL), -ENODEV);
	domain[0]->iopf_handler = NULL;

	/* Blocked: a PASID works all the same. */
	KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain[0], f->dev[0], 7, NULL), 0);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 7, 1), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[0], SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 0, RVIOMMU_SIM_FILL, 8, 9, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, PDT_ENTRY_NOT_VALID);

	/* Each in turn, with the PASID there. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], domain[1]), 0);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 2), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 2));
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], domain[2]), 0);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 3), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 2));
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[2], SZ_4K, 3));
	rviommu_simtest_expect_forgotten(f->test, f->sim, domain[1]);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[1]), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], &rviommu_identity_domain), 0);
	{
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .iova = virt_to_phys(page[1]), .length = SZ_4K,
			.operand = 4,
		};

		KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev[0], &dma), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 4));
	}
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 0, RVIOMMU_SIM_FILL, 8, 9, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev[0], false, 0), 0);
	rviommu_simtest_expect_forgotten(f->test, f->sim, domain[2]);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 7, 5), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[0], SZ_4K, 5));

	/* Blocked, and the last PASID goes: ATS is off, because nothing is translated. */
	iommu_detach_device_pasid(domain[0], f->dev[0], 7);
	KUNIT_EXPECT_FALSE(test, f->ep[0]->ats.on);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(f->dev[0]));
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 7, RVIOMMU_SIM_FILL, 8, 9, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, pasid_dma(f->dev[0], 0, RVIOMMU_SIM_FILL, 8, 9, &cause), -EFAULT);
	rviommu_simtest_expect_forgotten(f->test, f->sim, domain[0]);

	/* Identity on a PASID. */
	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, 9, &rviommu_identity_domain), 0);
	{
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .pv = true, .pasid = 9,
			.iova = virt_to_phys(page[1]), .length = SZ_4K, .operand = 6,
		};

		KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev[0], &dma), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[1], SZ_4K, 6));
		rviommu_detach_pasid(f->ep[0], 9);
		KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev[0], &dma), -EFAULT);
	}
}

/* ----- Under DMA ----- */

/* Commands that an asynchronous IOMMU gets on with between two DMAs of a thread */
#define HAMMER_COMMANDS	4

/* In a page: what a thread writes, what it reads, and what the test writes; bytes */
#define HAMMERED	0
#define CONSTANT	64
#define TRIED		128
#define AREA		64

/**
 * struct pasid_hammer - a thread that lets a device write and read
 * @sim: the instance. Its own worker alone would have to wait for a CPU while the
 *       driver waits for it, which is where nearly all of the time went.
 * @dev: the device
 * @pasid: with this PASID, 0: without
 * @seed: of the pattern that it writes, and if @reads, that it finds
 * @reads: there is something to read
 * @dmas: so far
 * @faults: of which were refused
 * @foreign: of which read something else
 */
struct pasid_hammer {
	struct rviommu_sim *sim;
	struct device *dev;
	u32 pasid;
	u64 seed;
	bool reads;
	unsigned long dmas;
	unsigned long faults;
	unsigned long foreign;
};

static int pasid_hammer(void *data)
{
	struct pasid_hammer *h = data;

	do {
		struct rviommu_sim_dma read = {
			.op = RVIOMMU_SIM_VERIFY, .pv = h->pasid, .pasid = h->pasid,
			.iova = IOVA + CONSTANT, .length = AREA, .operand = h->seed,
		};
		int ret = 0;

		rviommu_model_run(rviommu_sim_model(h->sim), HAMMER_COMMANDS);
		if (rviommu_simtest_fill(h->dev, h->pasid, IOVA + HAMMERED, AREA, h->seed))
			h->faults++;
		if (h->reads)
			ret = rviommu_sim_dma(h->dev, &read);
		if (ret == -EILSEQ)
			h->foreign++;
		else if (ret)
			h->faults++;
		WRITE_ONCE(h->dmas, h->dmas + 1);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

/* The requester ID's translation moves to PASID 0 and back while it is used. */
static void pasid_migrate(struct kunit *test)
{
	const struct pasid_variant *v = test->param_value;
	struct pasid_fixture *f = pasid_up(test, v, "rviommu_kunit_pasid");
	struct pasid_hammer h = { .sim = f->sim, .dev = f->dev[0], .seed = 11 };
	const unsigned int rounds = v->switches ? 50 : rviommu_simtest_rounds(300);
	struct iommu_domain *rid, *domain;
	struct task_struct *task;
	u8 *rid_page, *page;
	unsigned int i;

	rid = pasid_space(f, &rid_page);
	domain = pasid_space(f, &page);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(rid, f->group[0]), 0);
	task = kthread_run(pasid_hammer, &h, "pasid_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < rounds; i++) {
		u32 pasid = 1 + i % 200;

		KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(domain, f->dev[0], pasid, NULL),
				0);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid, i), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, SZ_4K, i));
		if (i % 16 == 1)
			rviommu_simtest_wait(&h.dmas, 1);
		iommu_detach_device_pasid(domain, f->dev[0], pasid);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid, i), -EFAULT);
		if (i % 16 == 2)
			rviommu_simtest_wait(&h.dmas, 1);
	}
	kthread_stop(task);
	/* Break before make is what a one-level directory has to do (directory.h). */
	if (v->levels != 1)
		KUNIT_EXPECT_EQ(test, h.faults, 0);
	KUNIT_EXPECT_GT(test, h.dmas, 0);
	iommu_detach_group(rid, f->group[0]);
}

#define NR_SPACES	64
#define NR_HAMMERS	4

/* Nothing but what the thread of this space writes, as much of it as has arrived */
static bool hammered(const u8 *p, u64 seed)
{
	size_t i;

	for (i = 0; i < AREA; i++)
		if (p[HAMMERED + i] && p[HAMMERED + i] != rviommu_sim_pattern(seed, i))
			return false;
	return true;
}

/*
 * Each thread's PASID is replaced by the next of 64 address spaces, in turn. Space n is
 * only ever the one of thread n % 4: bytes of another are found out wherever they turn up.
 */
static void pasid_replacements(struct kunit *test, const struct pasid_variant *v,
			       unsigned int rounds)
{
	struct pasid_fixture *f = pasid_up(test, v, "rviommu_kunit_pasid");
	unsigned long faults = 0, dmas = 0, foreign = 0;
	struct iommu_domain *domain[NR_SPACES];
	struct task_struct *task[NR_HAMMERS];
	struct pasid_hammer h[NR_HAMMERS];
	unsigned int i, k, stale = 0, missed = 0;
	u8 *page[NR_SPACES], *old, *new;
	s64 fences;

	for (i = 0; i < NR_SPACES; i++) {
		domain[i] = pasid_space(f, &page[i]);
		for (k = 0; k < AREA; k++)
			page[i][CONSTANT + k] = rviommu_sim_pattern(11 + i % NR_HAMMERS, k);
	}
	for (i = 0; i < NR_HAMMERS; i++) {
		h[i] = (struct pasid_hammer){
			.sim = f->sim, .dev = f->dev[i / 2], .pasid = 1 + 100 * (i % 2),
			.seed = 11 + i, .reads = true,
		};
		KUNIT_ASSERT_EQ(test, pasid_replace(f, i / 2, h[i].pasid, domain[i]), 0);
	}
	for (i = 0; i < NR_HAMMERS; i++) {
		task[i] = kthread_run(pasid_hammer, &h[i], "pasid_hammer/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task[i]);
		/* They take what is left of the CPUs, and it is enough. */
		set_user_nice(task[i], MAX_NICE);
	}
	fences = atomic64_read(&f->iommu->cmdq.events[RVIOMMU_CMDQ_WAITERS]);
	for (i = 0; i < rounds; i++) {
		k = i % NR_HAMMERS;
		old = page[i % NR_SPACES];
		new = page[(i + NR_HAMMERS) % NR_SPACES];
		/* Nothing has got there since it was replaced the last time. */
		stale += !!memchr_inv(new + HAMMERED, 0, AREA);
		if (pasid_replace(f, k / 2, h[k].pasid, domain[(i + NR_HAMMERS) % NR_SPACES]))
			missed++;
		/* The operation is over: from now on nothing reaches the old page. */
		foreign += !hammered(old, h[k].seed);
		memset(old + HAMMERED, 0, AREA);
		if (i % 64 == 0)
			missed += rviommu_simtest_fill(f->dev[k / 2], h[k].pasid, IOVA + TRIED,
						       AREA, i) ||
				  !rviommu_simtest_holds(new + TRIED, AREA, i);
		/* With one CPU the devices write when they are let. */
		if (i % 1024 == 1)
			rviommu_simtest_wait(&h[k].dmas, 1);
		if (i % 4096 == 0)
			cond_resched();
	}
	fences = atomic64_read(&f->iommu->cmdq.events[RVIOMMU_CMDQ_WAITERS]) - fences;
	for (i = 0; i < NR_HAMMERS; i++) {
		kthread_stop(task[i]);
		faults += h[i].faults;
		dmas += h[i].dmas;
		foreign += h[i].foreign;
	}
	for (i = 0; i < NR_HAMMERS; i++)
		rviommu_detach_pasid(f->ep[i / 2], h[i].pasid);
	for (i = 0; i < NR_SPACES; i++) {
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[i]), 0);
		rviommu_simtest_expect_forgotten(f->test, f->sim, domain[i]);
	}
	/* With one level of each, the root is DC.fsc: one word, hitless as well. */
	KUNIT_EXPECT_EQ(test, faults, 0);
	KUNIT_EXPECT_EQ(test, foreign, 0);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, missed, 0);
	KUNIT_EXPECT_GT(test, dmas, 0);
	/* One synchronisation each, exactly. */
	KUNIT_EXPECT_EQ(test, fences, rounds);
	kunit_info(test, "%u replacements, %lu DMAs, %lu faults, %lu foreign, %lld synchronisations\n",
		   rounds, 2 * dmas, faults, foreign, fences);
}

static void pasid_replace_under_dma(struct kunit *test)
{
	pasid_replacements(test, test->param_value, rviommu_simtest_rounds(2000));
}

/*
 * With all worst cases at once. A million takes minutes; where each access is emulated
 * or checked, or where there is one CPU, less has to do.
 */
static void pasid_replace_many(struct kunit *test)
{
	static const struct pasid_variant worst = {
		.bits = 20, .depth = 3, .switches = RVIOMMU_MODEL_SWITCHES,
	};
	bool fast = IS_ENABLED(CONFIG_UML) && IS_ENABLED(CONFIG_SMP) && !IS_ENABLED(CONFIG_KASAN);

	pasid_replacements(test, &worst, fast ? 1000000 : 5000);
}

/* ----- Refused ----- */

static void pasid_refused(struct kunit *test)
{
	static const struct pasid_variant narrow = {
		.clear = RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57, .bits = 8, .depth = 1,
	};
	static const struct pasid_variant none = { .bits = 0 };
	struct pasid_fixture *f = pasid_up(test, &variants[2], "rviommu_kunit_pasid");
	struct pasid_fixture *other = pasid_up(test, &narrow, "rviommu_kunit_other");
	struct pasid_fixture *without = pasid_up(test, &none, "rviommu_kunit_without");
	struct iommu_domain *guest, *domain;
	u8 *page;

	guest = rviommu_simtest_keep(test, rviommu_alloc_nest_parent(f->dev[0]));
	domain = pasid_space(f, &page);

	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 256, domain), -EINVAL);
	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 0, domain), -EINVAL);
	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 1, guest), -EINVAL);
	KUNIT_EXPECT_EQ(test, pasid_replace(other, 0, 1, domain), -EINVAL);
	KUNIT_EXPECT_EQ(test, pasid_replace(without, 0, 1, domain), -EOPNOTSUPP);

	/* One or the other: a second stage, or PASIDs. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], guest), 0);
	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 1, domain), -EBUSY);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, 1, domain), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], guest), -EBUSY);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 1, 1), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(guest), 0);

	/* Nothing there: nothing happens. */
	rviommu_detach_pasid(f->ep[0], 2);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 1, 2), 0);
	rviommu_detach_pasid(f->ep[0], 1);
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 0));
}

/* ----- Failures ----- */

static atomic_t pasid_allocs;
static int pasid_fail_at;

static bool pasid_alloc_fails(void)
{
	return atomic_inc_return(&pasid_allocs) - 1 == pasid_fail_at;
}

/* Fail each allocation in turn until it works; false if it never did, or at once. */
static bool pasid_fails_first(struct pasid_fixture *f, u32 pasid, struct iommu_domain *domain,
			      struct iommu_domain *unchanged, const u8 *page)
{
	struct kunit *test = f->test;
	unsigned int used = rviommu_simtest_users(domain);
	long live;
	int ret;

	for (pasid_fail_at = 0; pasid_fail_at < 32; pasid_fail_at++) {
		live = testdev_live();
		atomic_set(&pasid_allocs, 0);
		kunit_activate_static_stub(test, rviommu_alloc_fails, pasid_alloc_fails);
		ret = pasid_replace(f, 0, pasid, domain);
		kunit_deactivate_static_stub(test, rviommu_alloc_fails);
		if (!ret) {
			/* Not although something failed: that would not be hitless. */
			KUNIT_EXPECT_LE(test, atomic_read(&pasid_allocs), pasid_fail_at);
			return pasid_fail_at;
		}
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain), used);
		/* What was there works on, and nothing else. */
		if (unchanged) {
			KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid, 70 + pasid_fail_at), 0);
			KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, SZ_4K,
								      70 + pasid_fail_at));
			KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], pasid),
					    (void *)unchanged);
		} else {
			KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], pasid, 1), -EFAULT);
			KUNIT_EXPECT_NULL(test, rviommu_attached_domain(f->ep[0], pasid));
		}
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	return false;
}

static void pasid_without_memory(struct kunit *test)
{
	const struct pasid_variant *v = test->param_value;
	struct pasid_fixture *f = pasid_up(test, v, "rviommu_kunit_pasid");
	struct iommu_domain *rid, *domain[3];
	u8 *rid_page, *page[3];
	unsigned int i;

	rid = pasid_space(f, &rid_page);
	for (i = 0; i < 3; i++)
		domain[i] = pasid_space(f, &page[i]);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(rid, f->group[0]), 0);
	KUNIT_EXPECT_TRUE(test, pasid_fails_first(f, 1, domain[0], NULL, NULL));
	KUNIT_EXPECT_TRUE(test, pasid_fails_first(f, 200, domain[1], NULL, NULL));
	KUNIT_EXPECT_TRUE(test, pasid_fails_first(f, 1, domain[2], domain[0], page[0]));
	/* Only the way back of the last one needs no memory. */
	KUNIT_EXPECT_TRUE(test, pasid_fails_first(f, 200, domain[0], domain[1], page[1]));
	KUNIT_EXPECT_TRUE(test, pasid_fails_first(f, 200, domain[2], domain[0], page[0]));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 3), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(rid_page, SZ_4K, 3));

	/* Removal fails never, and the directory goes with the last one. */
	kunit_activate_static_stub(test, rviommu_alloc_fails, pasid_alloc_fails);
	pasid_fail_at = 0;
	for (i = 0; i < 2; i++) {
		atomic_set(&pasid_allocs, 0);
		rviommu_detach_pasid(f->ep[0], i ? 200 : 1);
	}
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 200, 1), -EFAULT);
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 0));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 4), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(rid_page, SZ_4K, 4));
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[1]), 0);
	iommu_detach_group(rid, f->group[0]);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(rid, f->group[0]), 0);
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 0));
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 0, 5), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(rid_page, SZ_4K, 5));
	iommu_detach_group(rid, f->group[0]);
}

static void pasid_out_of_service(struct kunit *test)
{
	struct pasid_fixture *f = pasid_up(test, &variants[0], "rviommu_kunit_pasid");
	struct iommu_domain *domain[3];
	unsigned int i;
	u8 *page[3];

	for (i = 0; i < 3; i++)
		domain[i] = pasid_space(f, &page[i]);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], domain[2]), 0);
	KUNIT_ASSERT_EQ(test, pasid_replace(f, 0, 1, domain[0]), 0);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 1, 1), 0);
	rviommu_cmdq_kill(&f->iommu->cmdq, "a test wants it so");
	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 1, domain[1]), -EIO);
	KUNIT_EXPECT_EQ(test, pasid_replace(f, 0, 2, domain[1]), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[1]), 0);
	KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], 1), (void *)domain[0]);
	KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], 1, 2), -EFAULT);
	rviommu_detach_pasid(f->ep[0], 1);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[0]), 0);

	/* After a reset the core takes no refusal of what was there, and of nothing else. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], domain[1]), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], domain[2]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 1, domain[0],
						   &rviommu_blocking_domain), 0);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[i]), 0);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[0], i, 3), -EFAULT);
}

/* ----- Many attachments ----- */

static void pasid_many(struct kunit *test)
{
	static const struct pasid_variant quiet = {
		.bits = 20, .depth = 3, .no_ats = true,
	};
	struct pasid_fixture *f[2] = {
		pasid_up(test, &quiet, "rviommu_kunit_pasid"),
		pasid_up(test, &quiet, "rviommu_kunit_other"),
	};
	s64 commands[2], waiters[2];
	struct iommu_domain *domain;
	unsigned int i, k, pasid;
	u8 *page;

	domain = pasid_space(f[0], &page);
	for (k = 0; k < 2; k++)
		for (i = 0; i < NR_DEVICES; i++)
			for (pasid = 1; pasid <= 125; pasid++)
				KUNIT_ASSERT_EQ(test, pasid_replace(f[k], i, pasid * 512, domain),
						0);
	for (k = 0; k < 2; k++)
		for (i = 0; i < NR_DEVICES; i++) {
			KUNIT_EXPECT_EQ(test, pasid_fill(f[k]->dev[i], 125 * 512, 8 + i), 0);
			KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, SZ_4K, 8 + i));
		}
	for (k = 0; k < 2; k++) {
		commands[k] = atomic64_read(&f[k]->iommu->cmdq.events[RVIOMMU_CMDQ_COMMANDS]);
		waiters[k] = atomic64_read(&f[k]->iommu->cmdq.events[RVIOMMU_CMDQ_WAITERS]);
	}
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	/* A thousand attachments; each IOMMU is told once, with one fence. */
	for (k = 0; k < 2; k++) {
		KUNIT_EXPECT_EQ(test, atomic64_read(&f[k]->iommu->cmdq.events
						    [RVIOMMU_CMDQ_COMMANDS]) - commands[k], 2);
		KUNIT_EXPECT_EQ(test, atomic64_read(&f[k]->iommu->cmdq.events
						    [RVIOMMU_CMDQ_WAITERS]) - waiters[k], 1);
		for (i = 0; i < NR_DEVICES; i++)
			for (pasid = 1; pasid <= 125; pasid++)
				KUNIT_EXPECT_EQ(test, pasid_fill(f[k]->dev[i], pasid * 512, 1),
						-EFAULT);
	}
	for (k = 0; k < 2; k++)
		for (i = 0; i < NR_DEVICES; i++)
			for (pasid = 1; pasid <= 125; pasid++)
				rviommu_detach_pasid(f[k]->ep[i], pasid * 512);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain), 0);
}

/* ----- ATS ----- */

/* More PASIDs than a device can queue invalidations for; it is never asked for more. */
static void pasid_ats_depth(struct kunit *test)
{
	static const u8 depth[] = { 1, 3, 32 };
	unsigned int i, k;

	for (k = 0; k < ARRAY_SIZE(depth); k++) {
		const struct pasid_variant v = {
			.bits = 8, .depth = 1, .ats_depth = depth[k],
			.switches = RVIOMMU_MODEL_ASYNC,
		};
		struct pasid_fixture *f = pasid_up(test, &v, "rviommu_kunit_pasid");
		struct rviommu_sim_atc_stats stats;
		struct iommu_domain *domain;
		u8 *page;

		domain = pasid_space(f, &page);
		for (i = 0; i < 100; i++)
			KUNIT_ASSERT_EQ(test, pasid_replace(f, i % 2, 1 + i, domain), 0);
		for (i = 0; i < 100; i++)
			KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i % 2], 1 + i, i), 0);
		KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(f->dev[0], true, 1), 0);
		KUNIT_EXPECT_EQ(test, rviommu_sim_set_atc(f->dev[0], RVIOMMU_SIM_ATC_LATE), 0);
		KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
		for (i = 0; i < 100; i++)
			KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i % 2], 1 + i, i), -EFAULT);
		for (i = 0; i < 2; i++) {
			KUNIT_ASSERT_EQ(test, rviommu_sim_atc_stats(f->dev[i], &stats), 0);
			KUNIT_EXPECT_EQ(test, stats.overflows, 0);
			KUNIT_EXPECT_GE(test, stats.invalidations, 50);
			KUNIT_EXPECT_GT(test, stats.requests, 0);
		}
		for (i = 0; i < 100; i++)
			rviommu_detach_pasid(f->ep[i % 2], 1 + i);
		rviommu_simtest_free(test, domain);
		pasid_down(f);
	}
}

/*
 * Two of four devices never complete an invalidation. They are found out, one by one,
 * and blocked; the others, and whoever unmapped, go on.
 */
static void pasid_ats_lost(struct kunit *test)
{
	struct pasid_variant patient = *(const struct pasid_variant *)test->param_value;
	const struct pasid_variant *v = &patient;
	struct iommu_domain *domain, *next;
	struct pasid_fixture *f;
	u8 *page, *next_page;
	unsigned int i;

	/* In the first case the driver loses its patience, in the others the IOMMU does. */
	if (test->param_value != &variants[0])
		patient.ats_timeout = 100 * NSEC_PER_MSEC;
	f = pasid_up(test, v, "rviommu_kunit_pasid");
	if (test->param_value == &variants[0])
		f->iommu->cmdq.timeout_us = 100000;
	if (v->no_ats || v->levels == 1) {
		kunit_skip(test, "no ATS");
		return;
	}
	domain = pasid_space(f, &page);
	next = pasid_space(f, &next_page);
	for (i = 0; i < NR_DEVICES; i++) {
		KUNIT_ASSERT_EQ(test, pasid_replace(f, i, 1, domain), 0);
		KUNIT_ASSERT_EQ(test, pasid_replace(f, i, 2, domain), 0);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i], 1, i), 0);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i], 2, i), 0);
	}
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_atc(f->dev[0], RVIOMMU_SIM_ATC_LOST), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_atc(f->dev[2], RVIOMMU_SIM_ATC_LOST), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);

	KUNIT_EXPECT_FALSE(test, rviommu_is_dead(f->iommu));
	memset(page, 0, SZ_4K);
	for (i = 0; i < NR_DEVICES; i++) {
		KUNIT_EXPECT_EQ(test, READ_ONCE(f->ep[i]->lost), i % 2 == 0);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i], 1, 1), -EFAULT);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i], 2, 1), -EFAULT);
		KUNIT_EXPECT_EQ(test, pasid_replace(f, i, 1, next), i % 2 ? 0 : -EIO);
		KUNIT_EXPECT_EQ(test, pasid_fill(f->dev[i], 1, 1 + i), i % 2 ? 0 : -EFAULT);
		if (i % 2)
			KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(next_page, SZ_4K, 1 + i));
	}
	KUNIT_EXPECT_NULL(test, memchr_inv(page, 0, SZ_4K));
	/* Its context stays invalid whatever its neighbours' do, and whatever is attached. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[1], next), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[1], domain), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], next), -EIO);
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 0));
	KUNIT_EXPECT_FALSE(test, has_pdt(f, 2));
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[1], &rviommu_blocking_domain), 0);
	for (i = 0; i < NR_DEVICES; i++) {
		rviommu_detach_pasid(f->ep[i], 1);
		rviommu_detach_pasid(f->ep[i], 2);
	}
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain), 0);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(next), 0);
}

static struct kunit_case pasid_cases[] = {
	KUNIT_CASE_PARAM(pasid_basic, variant_gen_params),
	KUNIT_CASE_PARAM(pasid_requester, variant_gen_params),
	KUNIT_CASE_PARAM(pasid_migrate, variant_gen_params),
	KUNIT_CASE_PARAM(pasid_replace_under_dma, variant_gen_params),
	KUNIT_CASE_SLOW(pasid_replace_many),
	KUNIT_CASE(pasid_refused),
	KUNIT_CASE_PARAM(pasid_without_memory, variant_gen_params),
	KUNIT_CASE(pasid_out_of_service),
	KUNIT_CASE(pasid_many),
	KUNIT_CASE(pasid_ats_depth),
	KUNIT_CASE_PARAM(pasid_ats_lost, variant_gen_params),
	{}
};

static struct kunit_suite pasid_suite = {
	.name = "rviommu_pasid",
	.test_cases = pasid_cases,
};

kunit_test_suite(pasid_suite);
