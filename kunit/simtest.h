/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world of suites on the simulated IOMMU: an instance, devices, memory and address
 * spaces that go when the test ends, the last one first; DMA; and what suites ask after a
 * DMA, an attach or a detach.
 */
#ifndef RVIOMMU_KUNIT_SIMTEST_H
#define RVIOMMU_KUNIT_SIMTEST_H

#include <linux/kconfig.h>
#include <linux/types.h>
#include <rviommu/sim.h>

struct device;
struct iommu_domain;
struct iommu_group;
struct kunit;

struct rviommu_sim *rviommu_simtest_create(struct kunit *test, const char *name,
					   const struct rviommu_sim_config *config);
void rviommu_simtest_destroy(struct kunit *test, struct rviommu_sim *sim);
struct iommu_group *rviommu_simtest_claim(struct kunit *test, struct device *dev);
void rviommu_simtest_release(struct kunit *test, struct iommu_group *group);
struct iommu_domain *rviommu_simtest_keep(struct kunit *test, struct iommu_domain *domain);
struct iommu_domain *rviommu_simtest_domain(struct kunit *test, struct device *dev);
void rviommu_simtest_free(struct kunit *test, struct iommu_domain *domain);
void *rviommu_simtest_pages(struct kunit *test, size_t size);
struct iommu_domain *rviommu_simtest_space(struct kunit *test, struct device *dev, u64 iova,
					   size_t size, u8 **pages);

int rviommu_simtest_dma(struct device *dev, u32 pasid, enum rviommu_sim_op op, u64 iova,
			size_t length, u64 operand, u16 *cause);
int rviommu_simtest_fill(struct device *dev, u32 pasid, u64 iova, size_t length, u64 seed);
bool rviommu_simtest_holds(const u8 *p, size_t length, u64 seed);
unsigned int rviommu_simtest_users(struct iommu_domain *domain);
unsigned int rviommu_simtest_cached(struct rviommu_sim *sim, struct iommu_domain *domain);
void rviommu_simtest_expect_forgotten(struct kunit *test, struct rviommu_sim *sim,
				      struct iommu_domain *domain);
void rviommu_simtest_wait(const unsigned long *dmas, unsigned long more);

/**
 * rviommu_simtest_rounds() - how often a race is run
 * @many: how often where nothing looks on
 *
 * Checks of each lock or access, most of all in an emulated machine, make a round take
 * so much longer that a kernel with them has a part of the rounds to do.
 *
 * Return: rounds to run.
 */
static inline unsigned int rviommu_simtest_rounds(unsigned int many)
{
	/* This one delays each access that it watches. */
	if (IS_ENABLED(CONFIG_KCSAN))
		return many / 10;
	if (IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_PROVE_LOCKING))
		return many / 5;
	return many;
}

#endif /* RVIOMMU_KUNIT_SIMTEST_H */
