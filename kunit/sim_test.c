// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver on the simulated IOMMU, through the IOMMU core's public interface:
 * every test asserts bytes that a device moved, or did not.
 *
 * The simulated IOMMU caches all it may and forgets only what it is told to, so
 * an invalidation that is missing is a wrong byte here, each time.
 */
#include <kunit/test.h>
#include <linux/fault-inject.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/sim.h>

#include "hw.h"
#include "simtest.h"

#define IOVA			0x1000000000ULL
#define READ_PAGE_FAULT		13
#define WRITE_PAGE_FAULT	15
#define DDT_ENTRY_NOT_VALID	258

/**
 * struct sim_fixture - an instance whose first endpoint is ours
 * @test: whose
 * @sim: the instance
 * @dev: endpoint 0; all of its DMA is blocked until sim_attach()
 * @group: its group, of which we have DMA ownership
 * @handles: the core wants a new one with each replacement
 * @attaches: counts replacements, to take turns with @handles
 * @attached: domain in force through sim_attach(), or NULL
 */
struct sim_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev;
	struct iommu_group *group;
	struct iommu_attach_handle handles[2];
	unsigned int attaches;
	struct iommu_domain *attached;
};

static void sim_detach(struct sim_fixture *f)
{
	if (f->attached)
		iommu_detach_group_handle(f->attached, f->group);
	f->attached = NULL;
}

static void sim_detach_action(void *f)
{
	sim_detach(f);
}

/* Attach a domain in place of whatever is attached, hitless. */
static int sim_attach(struct sim_fixture *f, struct iommu_domain *domain)
{
	bool first = !f->attaches;
	int ret = iommu_replace_group_handle(f->group, domain,
					     &f->handles[f->attaches++ % ARRAY_SIZE(f->handles)]);

	if (ret)
		return ret;
	f->attached = domain;
	/* Added after the domains were: runs before they are freed. */
	return first ? kunit_add_action_or_reset(f->test, sim_detach_action, f) : 0;
}

static struct sim_fixture *sim_up(struct kunit *test, const char *name,
				  const struct rviommu_sim_config *config)
{
	struct sim_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->sim = rviommu_simtest_create(test, name, config);
	f->dev = rviommu_sim_endpoint(f->sim, 0);
	KUNIT_ASSERT_NOT_NULL(test, f->dev);
	f->group = rviommu_simtest_claim(test, f->dev);
	return f;
}

static struct iommu_domain *sim_domain(struct sim_fixture *f)
{
	return rviommu_simtest_domain(f->test, f->dev);
}

static void *sim_pages(struct kunit *test)
{
	return rviommu_simtest_pages(test, SZ_64K);
}

static int sim_map(struct iommu_domain *domain, u64 iova, void *p, size_t size, int prot)
{
	return iommu_map(domain, iova, virt_to_phys(p), size, prot, GFP_KERNEL);
}

/* DMA of endpoint 0; the cause of a refusal is in *@cause unless that is NULL. */
static int sim_dma(struct sim_fixture *f, enum rviommu_sim_op op, u64 iova, size_t length,
		   u64 operand, u16 *cause)
{
	return rviommu_simtest_dma(f->dev, 0, op, iova, length, operand, cause);
}

static bool zeroes(const void *p, size_t length)
{
	return !memchr_inv(p, 0, length);
}

/* ----- What each kind of hardware has to do ----- */

/**
 * struct sim_variant - hardware that makes the driver behave differently
 * @name: of the case
 * @clear: capabilities it lacks
 * @levels: depth of its directory, 0: any
 * @vectors: interrupt vectors, 0: all
 * @queue_lg2: largest queues, 0: as they come
 * @wired: interrupts by wire
 * @switches: worst cases
 */
struct sim_variant {
	const char *name;
	u64 clear;
	unsigned int levels;
	unsigned int vectors;
	u8 queue_lg2;
	bool wired;
	u32 switches;
};

#define CAP_PASID	(RVIOMMU_CAP_PD8 | RVIOMMU_CAP_PD17 | RVIOMMU_CAP_PD20)
/* All that an IOMMU with Sv39 need not have. */
#define CAP_OPTIONAL	(RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57 |		\
			 RVIOMMU_CAP_SV32X4 | RVIOMMU_CAP_SV39X4 | RVIOMMU_CAP_SV48X4 |	\
			 RVIOMMU_CAP_SV57X4 | RVIOMMU_CAP_SVRSW60T59B |			\
			 RVIOMMU_CAP_SVPBMT | RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF |	\
			 RVIOMMU_CAP_AMO_MRIF | RVIOMMU_CAP_AMO_HWAD | RVIOMMU_CAP_ATS |	\
			 RVIOMMU_CAP_T2GPA | RVIOMMU_CAP_END | RVIOMMU_CAP_HPM |		\
			 RVIOMMU_CAP_DBG | RVIOMMU_CAP_QOSID | RVIOMMU_CAP_NL |			\
			 RVIOMMU_CAP_S | CAP_PASID)

#define CAP_FIRST	(RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57)

static const struct sim_variant variants[] = {
	{ .name = "everything" },
	{ .name = "worst case", .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "prefetch", .switches = RVIOMMU_MODEL_PREFETCH },
	{ .name = "no Sv57", .clear = RVIOMMU_CAP_SV57 },
	{ .name = "Sv39 only", .clear = RVIOMMU_CAP_SV57 | RVIOMMU_CAP_SV48 },
	{ .name = "second stage only", .clear = CAP_FIRST },
	{ .name = "no range, no non-leaf", .clear = RVIOMMU_CAP_S | RVIOMMU_CAP_NL },
	{ .name = "no range", .clear = RVIOMMU_CAP_S },
	{ .name = "no non-leaf", .clear = RVIOMMU_CAP_NL },
	{ .name = "base format", .clear = RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF |
					  RVIOMMU_CAP_AMO_MRIF },
	{ .name = "no debug registers", .clear = RVIOMMU_CAP_DBG },
	{ .name = "no Svpbmt", .clear = RVIOMMU_CAP_SVPBMT },
	{ .name = "no ATS, no HPM", .clear = RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA |
					     RVIOMMU_CAP_HPM },
	{ .name = "one level", .levels = 1 },
	{ .name = "two levels", .levels = 2 },
	{ .name = "three levels", .levels = 3 },
	{ .name = "one vector", .vectors = 1 },
	{ .name = "two vectors", .vectors = 2 },
	{ .name = "small queues", .queue_lg2 = 2 },
	{ .name = "small queues, worst case", .queue_lg2 = 2, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "wires", .wired = true },
	{ .name = "PD8 only", .clear = RVIOMMU_CAP_PD17 | RVIOMMU_CAP_PD20 },
	{ .name = "as little as there can be", .clear = CAP_OPTIONAL, .levels = 2, .vectors = 1,
	  .queue_lg2 = 2 },
	{ .name = "little, worst case", .clear = CAP_OPTIONAL, .levels = 2, .vectors = 1,
	  .queue_lg2 = 3, .wired = true, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "one wire, worst case", .wired = true, .vectors = 1,
	  .switches = RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(variant, variants, name);

static struct sim_fixture *sim_up_named(struct kunit *test, const char *name,
					const struct sim_variant *v)
{
	struct rviommu_sim_config config;

	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~v->clear;
	config.model.switches = v->switches;
	config.wired = v->wired;
	config.endpoints = 2;
	if (v->vectors)
		config.model.vectors = v->vectors;
	if (v->queue_lg2) {
		config.model.cq_max_lg2 = v->queue_lg2;
		config.model.fq_max_lg2 = v->queue_lg2;
		config.model.pq_max_lg2 = v->queue_lg2;
	}
	if (v->levels)
		KUNIT_ASSERT_EQ(test, rviommu_sim_config_levels(&config, v->levels), 0);
	rviommu_model_config_fit(&config.model);
	return sim_up(test, name, &config);
}

static struct sim_fixture *sim_up_variant(struct kunit *test, const struct sim_variant *v)
{
	return sim_up_named(test, "rviommu_kunit_sim", v);
}

/* Map, DMA, unmap, DMA, map elsewhere, DMA: in pages and in one go. */
static void sim_basic(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct iommu_domain *domain = sim_domain(f);
	bool guest = v->clear == CAP_FIRST;
	u8 *a = sim_pages(test), *b = sim_pages(test);
	u16 cause;
	size_t i;

	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, DDT_ENTRY_NOT_VALID);

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, guest ? 23 : WRITE_PAGE_FAULT);

	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, 2, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_64K, 2));
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_VERIFY, IOVA, SZ_64K, 2, NULL), 0);

	/* A page in the middle goes, and only that. */
	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA + SZ_4K, SZ_4K), SZ_4K);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_VERIFY, IOVA + SZ_4K, 8, 2, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, guest ? 21 : READ_PAGE_FAULT);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_VERIFY, IOVA, SZ_4K, 2, NULL), 0);
	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA + SZ_4K, b, SZ_4K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA + SZ_4K, SZ_4K, 3, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(b, SZ_4K, 3));

	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	for (i = 0; i < SZ_64K; i += SZ_4K)
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA + i, 8, 9, NULL), -EFAULT);

	/* Whole tables come and go: the walk caches must follow. */
	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, b, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, 4, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(b, SZ_64K, 4));
	/* One leaf of 64 KiB is sixteen entries, each of which may be cached. */
	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	for (i = 0; i < SZ_64K; i += SZ_4K)
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA + i, 8, 9, NULL), -EFAULT);

	sim_detach(f);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, DDT_ENTRY_NOT_VALID);
}

/* ----- Permissions ----- */

static void sim_permissions(struct kunit *test)
{
	static const struct {
		int prot;
		bool read, write, exec;
	} cases[] = {
		{ IOMMU_READ, true, false, true },
		{ IOMMU_READ | IOMMU_NOEXEC, true, false, false },
		{ IOMMU_READ | IOMMU_WRITE, true, true, true },
		{ IOMMU_READ | IOMMU_WRITE | IOMMU_NOEXEC, true, true, false },
		/* W without R is a reserved encoding: readable, too. */
		{ IOMMU_WRITE, true, true, true },
		/* Requests without PASID have user privilege, whatever is asked. */
		{ IOMMU_READ | IOMMU_WRITE | IOMMU_PRIV, true, true, true },
		{ IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO, true, true, true },
	};
	struct sim_fixture *f = sim_up_variant(test, &variants[0]);
	struct iommu_domain *domain = sim_domain(f);
	u8 *a = sim_pages(test);
	unsigned int i;
	int want;

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rviommu_sim_dma exec = {
			.op = RVIOMMU_SIM_VERIFY, .exec = true, .iova = IOVA, .length = 8,
		};

		memset(a, 0, SZ_4K);
		KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_4K, cases[i].prot), 0);
		want = 0;
		if (!cases[i].write)
			want = -EFAULT;
		KUNIT_EXPECT_EQ_MSG(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 5, NULL), want,
				    "write, case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_simtest_holds(a, 8, 5), cases[i].write,
				    "bytes, case %u", i);
		/* What was not written is not there, where it may be read at all. */
		want = 0;
		if (!cases[i].write)
			want = -EILSEQ;
		if (!cases[i].read)
			want = -EFAULT;
		KUNIT_EXPECT_EQ_MSG(test, sim_dma(f, RVIOMMU_SIM_VERIFY, IOVA, 8, 5, NULL), want,
				    "read, case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_dma(f->dev, &exec) == -EFAULT, !cases[i].exec,
				    "execute, case %u", i);
		KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	}
}

/* ----- Large leaves, and parts taken out of them ----- */

static void sim_parts(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct iommu_domain *domain = sim_domain(f);
	u8 *a = sim_pages(test);
	u64 pa = virt_to_phys(a), big, base;

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	/* A 2 MiB leaf around the buffer; only the buffer is touched. */
	base = round_down(pa, SZ_2M);
	big = IOVA + (pa - base);
	KUNIT_ASSERT_EQ(test, iommu_map(domain, IOVA, base, SZ_2M, IOMMU_READ | IOMMU_WRITE,
					GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, big, SZ_64K, 6, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_64K, 6));

	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, big + SZ_8K, SZ_4K), SZ_4K);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, big + SZ_8K, 8, 7, NULL), -EFAULT);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_VERIFY, big, SZ_8K, 6, NULL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, big + SZ_8K + SZ_4K, 8, 7, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a + SZ_8K + SZ_4K, 8, 7));
	KUNIT_EXPECT_FALSE(test, rviommu_simtest_holds(a + SZ_8K, 8, 7));

	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, big + SZ_8K - IOVA), big + SZ_8K - IOVA);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, big, 8, 8, NULL), -EFAULT);
}

/* ----- Replacement under DMA ----- */

/**
 * struct sim_hammer - a thread whose device writes all the time
 * @f: the device
 * @writes: DMAs so far
 * @faults: of which were refused
 */
struct sim_hammer {
	struct sim_fixture *f;
	unsigned long writes;
	unsigned long faults;
};

static int sim_hammer(void *data)
{
	struct sim_hammer *h = data;

	do {
		u64 iova = IOVA + (h->writes % 16) * SZ_4K;

		if (sim_dma(h->f, RVIOMMU_SIM_FILL, iova, 64, 11, NULL))
			h->faults++;
		WRITE_ONCE(h->writes, h->writes + 1);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

/*
 * Two domains map the same IOVAs to different pages. After each replacement
 * the old pages are filled with something else and must stay so: a write that
 * begins after the replacement has to go to the new domain's.
 */
static void sim_replace(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct iommu_domain *domain[2] = { sim_domain(f), sim_domain(f) };
	u8 *pages[2] = { sim_pages(test), sim_pages(test) };
	u8 *around = sim_pages(test);
	struct sim_hammer h = { .f = f };
	const unsigned int rounds = rviommu_simtest_rounds(500);
	struct task_struct *task;
	unsigned int i, stale = 0, missed = 0;

	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, sim_map(domain[i], IOVA, pages[i], SZ_64K,
					      IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_ASSERT_EQ(test, sim_attach(f, domain[0]), 0);
	task = kthread_run(sim_hammer, &h, "sim_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);

	for (i = 1; i <= rounds; i++) {
		u8 *old = pages[(i + 1) & 1], *new = pages[i & 1];

		KUNIT_EXPECT_EQ(test, sim_attach(f, domain[i & 1]), 0);
		/* The operation is over: nothing reaches the old pages any more. */
		memset(old, 0, SZ_64K);
		if (sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, i, NULL))
			missed++;
		stale += !zeroes(old, SZ_64K);
		missed += zeroes(new, SZ_64K);
		/* With one CPU the device writes when it is let. */
		if (i % 16 == 1)
			rviommu_simtest_wait(&h.writes, 1);
	}
	kthread_stop(task);

	/* Break before make is what a one-level directory has to do (directory.h). */
	if (v->levels != 1)
		KUNIT_EXPECT_EQ(test, h.faults, 0);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, missed, 0);
	KUNIT_EXPECT_GT(test, h.writes, 0);
	KUNIT_EXPECT_TRUE(test, zeroes(around, SZ_64K));
	kunit_info(test, "%u replacements, %lu writes, %lu faults\n", rounds, h.writes, h.faults);
}

/* ----- Two IOMMUs, one domain ----- */

static void sim_two_instances(struct kunit *test)
{
	struct sim_fixture *f = sim_up_variant(test, &variants[0]);
	struct iommu_domain *domain = sim_domain(f);
	struct rviommu_sim_config config;
	struct sim_fixture *g;
	u8 *a = sim_pages(test), *b = sim_pages(test);

	rviommu_sim_config_init(&config);
	g = sim_up(test, "rviommu_kunit_sim2", &config);
	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	KUNIT_ASSERT_EQ(test, sim_attach(g, domain), 0);

	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_4K, 31, NULL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_VERIFY, IOVA, SZ_4K, 31, NULL), 0);
	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 32, NULL), -EFAULT);
	KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_FILL, IOVA, 8, 32, NULL), -EFAULT);

	sim_detach(g);
	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, b, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_4K, 33, NULL), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_FILL, IOVA, SZ_4K, 34, NULL), -EFAULT);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(b, SZ_4K, 33));
}

/* A domain that one of two IOMMUs cannot walk is refused there, and only there. */
static void sim_two_kinds(struct kunit *test)
{
	static const struct sim_variant sv39 = {
		.clear = RVIOMMU_CAP_SV57 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57X4 |
			 RVIOMMU_CAP_SV48X4,
		.queue_lg2 = 3, .switches = RVIOMMU_MODEL_SWITCHES,
	};
	struct sim_fixture *f = sim_up_variant(test, &variants[0]);
	struct sim_fixture *g = sim_up_named(test, "rviommu_kunit_sim2", &sv39);
	struct iommu_domain *wide = sim_domain(f), *narrow = sim_domain(g);
	u8 *a = sim_pages(test);
	unsigned int i;
	u16 cause;

	KUNIT_EXPECT_EQ(test, sim_attach(f, wide), 0);
	KUNIT_EXPECT_EQ(test, iommu_replace_group_handle(g->group, wide, &g->handles[0]), -EINVAL);
	KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_FILL, IOVA, 8, 1, &cause), -EFAULT);
	KUNIT_EXPECT_EQ(test, cause, DDT_ENTRY_NOT_VALID);

	KUNIT_ASSERT_EQ(test, sim_attach(g, narrow), 0);
	KUNIT_ASSERT_EQ(test, sim_attach(f, narrow), 0);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, sim_map(narrow, IOVA, a, SZ_64K, IOMMU_READ | IOMMU_WRITE),
				0);
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_4K, i, NULL), 0);
		KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_VERIFY, IOVA, SZ_4K, i, NULL), 0);
		KUNIT_ASSERT_EQ(test, iommu_unmap(narrow, IOVA, SZ_64K), SZ_64K);
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, NULL), -EFAULT);
		KUNIT_EXPECT_EQ(test, sim_dma(g, RVIOMMU_SIM_FILL, IOVA, 8, 1, NULL), -EFAULT);
	}
}

/* ----- Counters ----- */

static void sim_counters(struct kunit *test)
{
	struct sim_fixture *f = sim_up_variant(test, &variants[0]);
	struct rviommu_model *model = rviommu_sim_model(f->sim);
	struct iommu_domain *domain = sim_domain(f);
	struct rviommu_model_stats a, b;
	u8 *p = sim_pages(test);

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, p, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);

	/* Cold: the tables are read. */
	rviommu_model_get_stats(model, &a);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_16K, 1, NULL), 0);
	rviommu_model_get_stats(model, &b);
	KUNIT_EXPECT_EQ(test, b.requests - a.requests, 4);
	KUNIT_EXPECT_GT(test, b.reads, a.reads);
	/* Warm: they are not. */
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_16K, 1, NULL), 0);
	rviommu_model_get_stats(model, &a);
	KUNIT_EXPECT_EQ(test, a.requests - b.requests, 4);
	KUNIT_EXPECT_EQ(test, a.reads, b.reads);
	KUNIT_EXPECT_EQ(test, a.commands, b.commands);
	KUNIT_EXPECT_EQ(test, a.faults, b.faults);

	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	rviommu_model_get_stats(model, &b);
	KUNIT_EXPECT_GT(test, b.commands, a.commands);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, NULL), -EFAULT);
	rviommu_model_get_stats(model, &a);
	KUNIT_EXPECT_EQ(test, a.faults - b.faults, 1);
	KUNIT_EXPECT_EQ(test, a.faults_lost, 0);
	/* A record for which there is no room. */
	rviommu_model_inject(model, RVIOMMU_MODEL_INJECT_FQ_OF, 1);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 1, NULL), -EFAULT);
	rviommu_model_get_stats(model, &b);
	KUNIT_EXPECT_EQ(test, b.faults - a.faults, 1);
	KUNIT_EXPECT_EQ(test, b.faults_lost, 1);
	KUNIT_EXPECT_EQ(test, b.unspecified, 0);
	KUNIT_EXPECT_EQ(test, b.evictions, 0);
}

/* Hardware that caches little is slower, and no different. */
static void sim_little_cache(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_stats stats;
	struct iommu_domain *domain;
	struct sim_fixture *f;
	u8 *p = sim_pages(test);
	unsigned int i;

	rviommu_sim_config_init(&config);
	config.model.cache_limit = 4;
	f = sim_up(test, "rviommu_kunit_sim", &config);
	domain = sim_domain(f);
	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	for (i = 0; i < 4; i++) {
		KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, p, SZ_64K, IOMMU_READ | IOMMU_WRITE),
				0);
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, i, NULL), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(p, SZ_64K, i));
		KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 9, NULL), -EFAULT);
	}
	rviommu_model_get_stats(rviommu_sim_model(f->sim), &stats);
	KUNIT_EXPECT_GT(test, stats.evictions, 0);
	KUNIT_EXPECT_EQ(test, stats.unspecified, 0);
}

/* ----- Errors of the hardware ----- */

static const enum rviommu_model_injection sim_errors[] = {
	RVIOMMU_MODEL_INJECT_CQ_MF, RVIOMMU_MODEL_INJECT_CQ_ILL, RVIOMMU_MODEL_INJECT_CQ_TO,
	RVIOMMU_MODEL_INJECT_FQ_MF, RVIOMMU_MODEL_INJECT_FQ_OF,
};

/*
 * Commands and records meet errors, one or some in a row; the outcome is the same.
 * Not so when what replaces an illegal command is illegal as well: see sim_dead().
 */
static void sim_queue_errors(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct rviommu_model *model = rviommu_sim_model(f->sim);
	struct iommu_domain *domain = sim_domain(f);
	u8 *a = sim_pages(test);
	unsigned int i, times;

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	for (times = 1; times <= 3; times++) {
		for (i = 0; i < ARRAY_SIZE(sim_errors); i++) {
			KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_64K,
						      IOMMU_READ | IOMMU_WRITE), 0);
			KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, i, NULL),
					0);
			KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_64K, i));
			rviommu_model_inject(model, sim_errors[i],
					     sim_errors[i] == RVIOMMU_MODEL_INJECT_CQ_ILL ?
					     1 : times);
			KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
			KUNIT_EXPECT_EQ_MSG(test,
					    sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 99, NULL),
					    -EFAULT, "injection %u", sim_errors[i]);
			rviommu_model_inject(model, sim_errors[i], 0);
		}
	}
}

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
/* What is mapped is reached, what is not is not. */
static void sim_round(struct sim_fixture *f, struct iommu_domain *domain, u8 *a, u64 seed)
{
	struct kunit *test = f->test;

	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, seed, NULL), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(a, SZ_64K, seed));
	KUNIT_ASSERT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, 8, 99, NULL), -EFAULT);
}

/* Errors that the kernel's fault injection decides on: as often as it says, and no more. */
static void sim_kernel_errors(struct kunit *test)
{
	struct sim_fixture *f = sim_up_variant(test, test->param_value);
	struct iommu_domain *domain = sim_domain(f);
	u8 *a = sim_pages(test);
	unsigned int i, rounds;

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	for (i = 0; i < ARRAY_SIZE(sim_errors); i++) {
		struct fault_attr *attr = rviommu_sim_fault_attr(f->sim, sim_errors[i]);

		/* Of a command that every IOMMU must execute it would be the end. */
		if (sim_errors[i] == RVIOMMU_MODEL_INJECT_CQ_ILL)
			continue;
		atomic_set(&attr->times, 2);
		attr->interval = 2;
		sim_round(f, domain, a, i);
		KUNIT_EXPECT_EQ(test, atomic_read(&attr->times), 2);
		WRITE_ONCE(attr->probability, 100);
		/* What the driver has not noticed yet does not happen a second time. */
		for (rounds = 0; rounds < 1000 && atomic_read(&attr->times); rounds++) {
			sim_round(f, domain, a, rounds);
			schedule_timeout_uninterruptible(1);
		}
		KUNIT_EXPECT_EQ_MSG(test, atomic_read(&attr->times), 0, "injection %u",
				    sim_errors[i]);
		sim_round(f, domain, a, ~i);
	}
}
#else
static void sim_kernel_errors(struct kunit *test)
{
	kunit_skip(test, "the kernel has no fault injection");
}
#endif

/* The same with devices that write, and fault, all the time, and domains that change. */
static void sim_errors_replace(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct rviommu_model *model = rviommu_sim_model(f->sim);
	struct iommu_domain *domain[2] = { sim_domain(f), sim_domain(f) };
	u8 *pages[2] = { sim_pages(test), sim_pages(test) };
	struct sim_hammer h = { .f = f };
	struct task_struct *task;
	unsigned int i, stale = 0, missed = 0;

	/* Half of what the thread writes to is not there. */
	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, sim_map(domain[i], IOVA, pages[i], SZ_32K,
					      IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_ASSERT_EQ(test, sim_attach(f, domain[0]), 0);
	task = kthread_run(sim_hammer, &h, "sim_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 1; i <= 60; i++) {
		u8 *old = pages[(i + 1) & 1], *new = pages[i & 1];

		/* No command of an attach may be illegal. */
		if (sim_errors[i % ARRAY_SIZE(sim_errors)] != RVIOMMU_MODEL_INJECT_CQ_ILL)
			rviommu_model_inject(model, sim_errors[i % ARRAY_SIZE(sim_errors)], 1);
		KUNIT_EXPECT_EQ(test, sim_attach(f, domain[i & 1]), 0);
		memset(old, 0, SZ_32K);
		if (sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_32K, i, NULL))
			missed++;
		stale += !zeroes(old, SZ_32K);
		missed += zeroes(new, SZ_32K);
		if (i % 16 == 1)
			rviommu_simtest_wait(&h.writes, 1);
	}
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, missed, 0);
	KUNIT_EXPECT_GT(test, h.faults, 0);
}

/* Hardware that refuses every command: no DMA gets through it any more, and it can go. */
static void sim_dead(struct kunit *test)
{
	const struct sim_variant *v = test->param_value;
	struct sim_fixture *f = sim_up_variant(test, v);
	struct rviommu_model *model = rviommu_sim_model(f->sim);
	struct iommu_domain *domain = sim_domain(f), *other = sim_domain(f);
	u8 *a = sim_pages(test);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, sim_attach(f, domain), 0);
	KUNIT_ASSERT_EQ(test, sim_map(domain, IOVA, a, SZ_64K, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA, SZ_64K, 1, NULL), 0);
	rviommu_model_inject(model, RVIOMMU_MODEL_INJECT_CQ_ILL, 1000);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	rviommu_model_inject(model, RVIOMMU_MODEL_INJECT_CQ_ILL, 0);
	memset(a, 0, SZ_64K);
	for (i = 0; i < SZ_64K; i += SZ_4K)
		KUNIT_EXPECT_EQ(test, sim_dma(f, RVIOMMU_SIM_FILL, IOVA + i, 8, 2, NULL), -EFAULT);
	KUNIT_EXPECT_TRUE(test, zeroes(a, SZ_64K));
	KUNIT_EXPECT_NE(test, sim_attach(f, other), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA + SZ_4K, SZ_32K), SZ_32K);
}

static const struct sim_variant error_variants[] = {
	{ .name = "everything" },
	{ .name = "worst case", .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "small queues, one vector, worst case", .queue_lg2 = 2, .vectors = 1,
	  .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "wires", .wired = true },
};

KUNIT_ARRAY_PARAM_DESC(error_variant, error_variants, name);

/* ----- Devices that go ----- */

/* Whoever still has a reference to a device has no DMA engine with it. */
static void sim_gone(struct kunit *test)
{
	struct rviommu_sim_dma dma = { .op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = 8 };
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct device *dev;

	rviommu_sim_config_init(&config);
	sim = rviommu_sim_create("rviommu_kunit_sim", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	dev = get_device(rviommu_sim_endpoint(sim, 1));
	rviommu_sim_remove_endpoint(sim, 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(dev, &dma), -ENODEV);
	KUNIT_EXPECT_NULL(test, rviommu_sim_endpoint(sim, 1));
	/* Twice is once; what never was is nothing. */
	rviommu_sim_remove_endpoint(sim, 1);
	rviommu_sim_remove_endpoint(sim, config.endpoints);
	rviommu_sim_destroy(sim);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(dev, &dma), -ENODEV);
	put_device(dev);
}

/**
 * struct sim_writer - a thread whose device writes until it is gone
 * @dev: the device, to which we have a reference
 * @iova: 64 KiB that it may write to
 * @jobs: so far
 * @end: what the last one said
 * @task: the thread
 */
struct sim_writer {
	struct device *dev;
	u64 iova;
	unsigned long jobs;
	int end;
	struct task_struct *task;
};

static int sim_write_until_gone(void *data)
{
	struct sim_writer *w = data;

	do {
		struct rviommu_sim_dma dma = {
			.op = w->jobs & 1 ? RVIOMMU_SIM_COPY : RVIOMMU_SIM_FILL,
			.iova = w->iova, .src_iova = w->iova + SZ_32K, .length = SZ_8K,
			.operand = 41,
		};

		w->end = rviommu_sim_dma(w->dev, &dma);
		WRITE_ONCE(w->jobs, w->jobs + 1);
		cond_resched();
	} while (!w->end && !kthread_should_stop());
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

#define REMOVAL_WRITERS	3

/**
 * struct sim_busy - a device that is in use
 * @pages: 64 KiB where it writes
 * @writers: threads that make it write
 */
struct sim_busy {
	u8 *pages;
	struct sim_writer writers[REMOVAL_WRITERS];
};

static void sim_busy_start(struct kunit *test, struct sim_busy *busy, struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	u64 iova = virt_to_phys(busy->pages);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, domain);
	if (domain->type != IOMMU_DOMAIN_IDENTITY) {
		iova = IOVA;
		KUNIT_ASSERT_EQ(test, sim_map(domain, iova, busy->pages, SZ_64K,
					      IOMMU_READ | IOMMU_WRITE), 0);
	}
	for (i = 0; i < REMOVAL_WRITERS; i++) {
		struct sim_writer *w = &busy->writers[i];

		*w = (struct sim_writer){ .dev = get_device(dev), .iova = iova };
		w->task = kthread_run(sim_write_until_gone, w, "sim_writer");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w->task);
	}
	for (i = 0; i < REMOVAL_WRITERS; i++)
		while (!READ_ONCE(busy->writers[i].jobs))
			schedule_timeout_uninterruptible(1);
}

/* The device is gone: nothing is written any more, and everybody was told. */
static void sim_busy_end(struct kunit *test, struct sim_busy *busy)
{
	unsigned int i;

	memset(busy->pages, 0, SZ_64K);
	for (i = 0; i < REMOVAL_WRITERS; i++) {
		unsigned long jobs = READ_ONCE(busy->writers[i].jobs);

		/* One job may have been under way; more than a few are too many. */
		while (!READ_ONCE(busy->writers[i].end) &&
		       READ_ONCE(busy->writers[i].jobs) < jobs + 16)
			schedule_timeout_uninterruptible(1);
	}
	for (i = 0; i < REMOVAL_WRITERS; i++) {
		kthread_stop(busy->writers[i].task);
		KUNIT_EXPECT_EQ(test, busy->writers[i].end, -ENODEV);
		put_device(busy->writers[i].dev);
	}
	KUNIT_EXPECT_TRUE(test, zeroes(busy->pages, SZ_64K));
}

/* One device is pulled out under DMA, then the instance from under the other. */
static void sim_removal(struct kunit *test)
{
	struct sim_busy busy[2] = {
		{ .pages = sim_pages(test) }, { .pages = sim_pages(test) },
	};
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	unsigned int round, i;

	rviommu_sim_config_init(&config);
	config.endpoints = 2;
	for (round = 0; round < 24; round++) {
		config.model.switches = round & 1 ? RVIOMMU_MODEL_SWITCHES : 0;
		sim = rviommu_sim_create("rviommu_kunit_sim", &config);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
		for (i = 0; i < 2; i++)
			sim_busy_start(test, &busy[i], rviommu_sim_endpoint(sim, i));
		rviommu_sim_remove_endpoint(sim, 0);
		sim_busy_end(test, &busy[0]);
		/* The other one did not notice. */
		for (i = 0; i < REMOVAL_WRITERS; i++)
			KUNIT_EXPECT_EQ(test, READ_ONCE(busy[1].writers[i].end), 0);
		rviommu_sim_destroy(sim);
		sim_busy_end(test, &busy[1]);
	}
}

static struct kunit_case sim_cases[] = {
	KUNIT_CASE_PARAM(sim_basic, variant_gen_params),
	KUNIT_CASE_PARAM(sim_parts, variant_gen_params),
	KUNIT_CASE(sim_permissions),
	KUNIT_CASE_PARAM(sim_replace, variant_gen_params),
	KUNIT_CASE(sim_two_instances),
	KUNIT_CASE(sim_two_kinds),
	KUNIT_CASE(sim_counters),
	KUNIT_CASE(sim_little_cache),
	KUNIT_CASE_PARAM(sim_queue_errors, error_variant_gen_params),
	KUNIT_CASE_PARAM(sim_kernel_errors, error_variant_gen_params),
	KUNIT_CASE_PARAM(sim_errors_replace, error_variant_gen_params),
	KUNIT_CASE_PARAM(sim_dead, error_variant_gen_params),
	KUNIT_CASE(sim_gone),
	KUNIT_CASE(sim_removal),
	{}
};

static struct kunit_suite sim_suite = {
	.name = "rviommu_sim",
	.test_cases = sim_cases,
};

kunit_test_suite(sim_suite);
