// SPDX-License-Identifier: GPL-2.0-only
/*
 * The world of suites on the simulated IOMMU. See simtest.h.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/sched.h>
#include <rviommu/sim.h>

#include "../src/driver/domain.h"
#include "simtest.h"
#include "testdev.h"

static void simtest_destroy(void *sim)
{
	rviommu_sim_destroy(sim);
}

/**
 * rviommu_simtest_create() - an instance
 * @test: whose; it goes with it
 * @name: as of rviommu_sim_create()
 * @config: likewise
 *
 * Return: the instance.
 */
struct rviommu_sim *rviommu_simtest_create(struct kunit *test, const char *name,
					   const struct rviommu_sim_config *config)
{
	struct rviommu_sim *sim = rviommu_sim_create(name, config);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, simtest_destroy, sim), 0);
	return sim;
}

/**
 * rviommu_simtest_destroy() - the end of an instance before the test's
 * @test: whose
 * @sim: from rviommu_simtest_create(); its devices' DMA is nobody's
 */
void rviommu_simtest_destroy(struct kunit *test, struct rviommu_sim *sim)
{
	kunit_release_action(test, simtest_destroy, sim);
}

static void simtest_release(void *group)
{
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
}

/**
 * rviommu_simtest_claim() - have the DMA of a device
 * @test: whose it is until its end
 * @dev: the device, alone in its group
 *
 * Return: the group.
 */
struct iommu_group *rviommu_simtest_claim(struct kunit *test, struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, group);
	ret = iommu_group_claim_dma_owner(group, test);
	if (ret)
		iommu_group_put(group);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, simtest_release, group), 0);
	return group;
}

/**
 * rviommu_simtest_release() - have the DMA of a device no longer
 * @test: whose it was
 * @group: from rviommu_simtest_claim()
 */
void rviommu_simtest_release(struct kunit *test, struct iommu_group *group)
{
	kunit_release_action(test, simtest_release, group);
}

static void simtest_free_domain(void *domain)
{
	iommu_domain_free(domain);
}

/**
 * rviommu_simtest_keep() - a domain that a test has made, until it ends
 * @test: whose
 * @domain: the domain, or an error
 *
 * Return: the domain.
 */
struct iommu_domain *rviommu_simtest_keep(struct kunit *test, struct iommu_domain *domain)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, simtest_free_domain, domain), 0);
	return domain;
}

/**
 * rviommu_simtest_domain() - an empty address space
 * @test: whose; it goes with it
 * @dev: for which device
 *
 * Return: a paging domain.
 */
struct iommu_domain *rviommu_simtest_domain(struct kunit *test, struct device *dev)
{
	return rviommu_simtest_keep(test, iommu_paging_domain_alloc(dev));
}

/**
 * rviommu_simtest_free() - the end of a domain before the test's
 * @test: whose
 * @domain: one of those above; attached nowhere
 */
void rviommu_simtest_free(struct kunit *test, struct iommu_domain *domain)
{
	kunit_release_action(test, simtest_free_domain, domain);
}

/**
 * struct simtest_pages - memory of a test
 * @pages: where it is
 * @size: bytes
 */
struct simtest_pages {
	void *pages;
	size_t size;
};

static void simtest_free_pages(void *data)
{
	const struct simtest_pages *p = data;

	free_pages_exact(p->pages, p->size);
}

/**
 * rviommu_simtest_pages() - memory that outlives whoever may still write there
 * @test: whose; it goes with it
 * @size: bytes, a power of two and no less than a page
 *
 * Return: zeroes, aligned to their size.
 */
void *rviommu_simtest_pages(struct kunit *test, size_t size)
{
	struct simtest_pages *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->size = size;
	p->pages = alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, p->pages);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, simtest_free_pages, p), 0);
	return p->pages;
}

/**
 * rviommu_simtest_space() - an address space with memory in it
 * @test: whose; both go with it
 * @dev: for which device
 * @iova: where
 * @size: as of rviommu_simtest_pages()
 * @pages: becomes the memory
 *
 * Return: a domain that maps it for reading and writing.
 */
struct iommu_domain *rviommu_simtest_space(struct kunit *test, struct device *dev, u64 iova,
					   size_t size, u8 **pages)
{
	struct iommu_domain *domain = rviommu_simtest_domain(test, dev);

	*pages = rviommu_simtest_pages(test, size);
	KUNIT_ASSERT_EQ(test, iommu_map(domain, iova, virt_to_phys(*pages), size,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	return domain;
}

/**
 * rviommu_simtest_dma() - let a device do something
 * @dev: simulated endpoint or function
 * @pasid: with this PASID, 0: without
 * @op: what
 * @iova: where
 * @length: bytes
 * @operand: as of struct rviommu_sim_dma
 * @cause: becomes the cause of a refusal, or 0; NULL: nobody asks
 *
 * Return: as of rviommu_sim_dma().
 */
int rviommu_simtest_dma(struct device *dev, u32 pasid, enum rviommu_sim_op op, u64 iova,
			size_t length, u64 operand, u16 *cause)
{
	struct rviommu_sim_dma dma = {
		.op = op, .pv = pasid, .pasid = pasid, .iova = iova, .length = length,
		.operand = operand,
	};
	int ret = rviommu_sim_dma(dev, &dma);

	if (cause)
		*cause = dma.cause;
	return ret;
}

/**
 * rviommu_simtest_fill() - let a device write a pattern
 * @dev: simulated endpoint or function
 * @pasid: with this PASID, 0: without
 * @iova: where to
 * @length: bytes
 * @seed: of the pattern
 *
 * Return: as of rviommu_sim_dma().
 */
int rviommu_simtest_fill(struct device *dev, u32 pasid, u64 iova, size_t length, u64 seed)
{
	return rviommu_simtest_dma(dev, pasid, RVIOMMU_SIM_FILL, iova, length, seed, NULL);
}

/**
 * rviommu_simtest_holds() - has the pattern arrived?
 * @p: memory
 * @length: bytes
 * @seed: of the pattern
 *
 * Return: true if each byte is of the pattern.
 */
bool rviommu_simtest_holds(const u8 *p, size_t length, u64 seed)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (p[i] != rviommu_sim_pattern(seed, i))
			return false;
	return true;
}

/**
 * rviommu_simtest_users() - uses of a domain that its invalidations know
 * @domain: a paging domain
 *
 * Return: their sum over IOMMUs and ATCs; 0: attached nowhere.
 */
unsigned int rviommu_simtest_users(struct iommu_domain *domain)
{
	return testdev_users(domain, NULL, false) + testdev_users(domain, NULL, true);
}

static bool simtest_of_pscid(const struct rviommu_model_cached *entry, void *arg)
{
	return entry->pscid == *(u32 *)arg;
}

/**
 * rviommu_simtest_cached() - what an IOMMU has cached of a domain's page tables
 * @sim: the IOMMU
 * @domain: a first-stage domain
 *
 * Return: number of entries of its PSCID.
 */
unsigned int rviommu_simtest_cached(struct rviommu_sim *sim, struct iommu_domain *domain)
{
	u32 pscid = to_rviommu_domain(domain)->space.pscid;

	return rviommu_model_list_cached(rviommu_sim_model(sim),
					 BIT(RVIOMMU_MODEL_S1) | BIT(RVIOMMU_MODEL_S1_NONLEAF),
					 simtest_of_pscid, &pscid);
}

/**
 * rviommu_simtest_expect_forgotten() - nothing is left of a domain
 * @test: whose
 * @sim: where it was attached
 * @domain: a first-stage domain that is attached nowhere there
 */
void rviommu_simtest_expect_forgotten(struct kunit *test, struct rviommu_sim *sim,
				      struct iommu_domain *domain)
{
	KUNIT_EXPECT_EQ(test, rviommu_simtest_cached(sim, domain), 0);
}

/**
 * rviommu_simtest_wait() - wait for another thread's DMA
 * @dmas: what it counts them in, with WRITE_ONCE
 * @more: how many, from now on
 */
void rviommu_simtest_wait(const unsigned long *dmas, unsigned long more)
{
	unsigned long seen = READ_ONCE(*dmas);

	while (READ_ONCE(*dmas) - seen < more)
		schedule_timeout_uninterruptible(1);
}
