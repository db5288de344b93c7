/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What suites on the simulated IOMMU ask after a DMA, an attach or a detach.
 */
#ifndef RVIOMMU_KUNIT_SIMTEST_H
#define RVIOMMU_KUNIT_SIMTEST_H

#include <linux/types.h>

struct device;
struct iommu_domain;
struct rviommu_sim;

int rviommu_simtest_fill(struct device *dev, u32 pasid, u64 iova, size_t length, u64 seed);
bool rviommu_simtest_holds(const u8 *p, size_t length, u64 seed);
unsigned int rviommu_simtest_users(struct iommu_domain *domain);
unsigned int rviommu_simtest_cached(struct rviommu_sim *sim, struct iommu_domain *domain);

#endif /* RVIOMMU_KUNIT_SIMTEST_H */
