/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What suites on the simulated IOMMU ask after a DMA, an attach or a detach.
 */
#ifndef RVIOMMU_KUNIT_SIMTEST_H
#define RVIOMMU_KUNIT_SIMTEST_H

#include <linux/kconfig.h>
#include <linux/types.h>

struct device;
struct iommu_domain;
struct rviommu_sim;

int rviommu_simtest_fill(struct device *dev, u32 pasid, u64 iova, size_t length, u64 seed);
bool rviommu_simtest_holds(const u8 *p, size_t length, u64 seed);
unsigned int rviommu_simtest_users(struct iommu_domain *domain);
unsigned int rviommu_simtest_cached(struct rviommu_sim *sim, struct iommu_domain *domain);

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
