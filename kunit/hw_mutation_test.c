// SPDX-License-Identifier: GPL-2.0-only
/*
 * Would anybody notice? Each class of invalidation is left out in turn, and the
 * hardware must then be seen using what it should have forgotten. If it is not,
 * the other tests prove nothing about that class.
 *
 * "Stale" here is always harmless: it leads to a page that the test still owns.
 */
#include "../src/driver/endpoint.h"
#include "../src/driver/mutate.h"
#include "../src/driver/rviommu.h"
#include "hw.h"

#define RW	(IOMMU_READ | IOMMU_WRITE)

/* The IOMMU that is broken right now. */
static struct rviommu *mutated;

static void mutate(struct rviommu_hw_device *hw, enum rviommu_mutation what)
{
	mutated = what ? hw->ep->iommu : NULL;
	WRITE_ONCE(hw->ep->iommu->mutate, what);
}

/* Healthy again, and with an empty cache. */
static void heal(struct kunit *test, struct rviommu_hw_device *hw)
{
	mutate(hw, RVIOMMU_MUTATE_NOTHING);
	KUNIT_EXPECT_EQ(test, rviommu_hw_invalidate(hw->ep->iommu), 0);
}

struct stage {
	const char *name;
	bool second_stage;
};

static const struct stage stages[] = {
	{ "first stage", false },
	{ "second stage", true },
};

KUNIT_ARRAY_PARAM_DESC(stages, stages, name);

static bool second_stage(struct kunit *test)
{
	const struct stage *stage = test->param_value;

	return stage->second_stage;
}

/* Without IOTINVAL a device writes to a page that is not mapped any more. */
static void iotinval(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, second_stage(test));
	struct rviommu_hw_buf *a = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *b = rviommu_hw_alloc(test, PAGE_SIZE);
	const u64 iova = RVIOMMU_HW_IOVA;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_map(test, domain, iova, a, RW);
	rviommu_hw_expect_lands(test, hw, iova, a, 0, 4);
	mutate(hw, RVIOMMU_MUTATE_IOTINVAL);
	rviommu_hw_unmap(test, domain, iova, PAGE_SIZE);
	rviommu_hw_expect_lands(test, hw, iova, a, 0, 4);
	/* Also when there is a new mapping: the old one is used. */
	rviommu_hw_map(test, domain, iova, b, RW);
	rviommu_hw_expect_lands(test, hw, iova, a, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(b));

	heal(test, hw);
	rviommu_hw_poison(a);
	rviommu_hw_expect_lands(test, hw, iova, b, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(a));
	rviommu_hw_unmap(test, domain, iova, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, hw, iova, b);
}

static void nonleaf(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, second_stage(test));
	struct rviommu_hw_buf *small = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *large = rviommu_hw_alloc(test, SZ_2M);
	bool stale;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, small, RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, small, 0, 4);
	mutate(hw, RVIOMMU_MUTATE_NONLEAF);
	/* The table is empty, and a large leaf takes its place. */
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, large, RW);
	/* A walk that begins at a cached link finds nothing in the old table. */
	stale = hw->write(hw, RVIOMMU_HW_IOVA + SZ_1M, 4) || !rviommu_hw_written(large, SZ_1M, 4);
	heal(test, hw);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + SZ_1M, large, SZ_1M, 4);
	if (!stale)
		kunit_skip(test, "this IOMMU caches no links, so nothing can be stale (QEMU)");
}

/* Without INVAL_DDT a replaced domain stays in force. */
static void inval_ddt(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *first = rviommu_hw_domain(test, hw, second_stage(test));
	struct iommu_domain *second = rviommu_hw_domain(test, hw, second_stage(test));
	struct rviommu_hw_buf *a = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *b = rviommu_hw_alloc(test, PAGE_SIZE);

	rviommu_hw_map(test, first, RVIOMMU_HW_IOVA, a, RW);
	rviommu_hw_map(test, second, RVIOMMU_HW_IOVA, b, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, first), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
	mutate(hw, RVIOMMU_MUTATE_INVAL_DDT);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, second), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(b));
	/* Not even blocking takes the device from it. */
	rviommu_hw_detach(hw);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);

	heal(test, hw);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, a);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, second), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, b, 0, 4);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, first), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
}

/*
 * Without IOTINVAL on attach, what a domain had cached survives the time in which
 * nobody tells the IOMMU of its changes.
 */
static void attach_iotinval(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *first = rviommu_hw_domain(test, hw, second_stage(test));
	struct iommu_domain *second = rviommu_hw_domain(test, hw, second_stage(test));
	struct rviommu_hw_buf *a = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *b = rviommu_hw_alloc(test, PAGE_SIZE);

	rviommu_hw_map(test, first, RVIOMMU_HW_IOVA, a, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, first), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
	mutate(hw, RVIOMMU_MUTATE_ATTACH_IOTINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, second), 0);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, a);
	rviommu_hw_unmap(test, first, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_map(test, first, RVIOMMU_HW_IOVA, b, RW);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, first), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(b));

	heal(test, hw);
	rviommu_hw_poison(a);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, b, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(a));
}

/* Without the flush of all, what was unmapped in deferred mode stays mapped. */
static void flush_all(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, second_stage(test));
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct iommu_iotlb_gather gather;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf, 0, 4);
	mutate(hw, RVIOMMU_MUTATE_FLUSH_ALL);
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, RVIOMMU_HW_IOVA, PAGE_SIZE, &gather),
			PAGE_SIZE);
	iommu_flush_iotlb_all(domain);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf, 0, 4);

	mutate(hw, RVIOMMU_MUTATE_NOTHING);
	iommu_flush_iotlb_all(domain);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, buf);
}

/* Without INVAL_PDT a replaced domain of a PASID stays in force. */
static void inval_pdt(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_pasids(test);
	struct iommu_domain *first = rviommu_hw_domain(test, hw, false);
	struct iommu_domain *second = rviommu_hw_domain(test, hw, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	const u32 pasid = 5;
	u64 before;

	rviommu_hw_map(test, first, RVIOMMU_HW_IOVA, buf, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_claim(hw), 0);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach_pasid(hw, pasid, first), 0);
	before = rviommu_hw_translate(test, hw, pasid, RVIOMMU_HW_IOVA);
	KUNIT_EXPECT_FALSE(test, before & RVIOMMU_TR_RESPONSE_FAULT);
	mutate(hw, RVIOMMU_MUTATE_INVAL_PDT);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach_pasid(hw, pasid, second), 0);
	KUNIT_EXPECT_EQ(test, rviommu_hw_translate(test, hw, pasid, RVIOMMU_HW_IOVA), before);

	heal(test, hw);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_translate(test, hw, pasid, RVIOMMU_HW_IOVA) &
			  RVIOMMU_TR_RESPONSE_FAULT);
}

/* A test that was cut short leaves nothing broken, nor stale. */
static void mutation_exit(struct kunit *test)
{
	if (mutated) {
		WRITE_ONCE(mutated->mutate, RVIOMMU_MUTATE_NOTHING);
		rviommu_hw_invalidate(mutated);
		mutated = NULL;
	}
	rviommu_hw_test_exit(test);
}

static struct kunit_case mutation_cases[] = {
	KUNIT_CASE_PARAM(iotinval, stages_gen_params),
	KUNIT_CASE_PARAM(nonleaf, stages_gen_params),
	KUNIT_CASE_PARAM(inval_ddt, stages_gen_params),
	KUNIT_CASE_PARAM(attach_iotinval, stages_gen_params),
	KUNIT_CASE_PARAM(flush_all, stages_gen_params),
	KUNIT_CASE(inval_pdt),
	{ }
};

static struct kunit_suite mutation_suite = {
	.name = "rviommu_hw_mutation",
	.suite_init = rviommu_hw_init,
	.suite_exit = rviommu_hw_exit,
	.exit = mutation_exit,
	.test_cases = mutation_cases,
};

kunit_test_suite(mutation_suite);
