// SPDX-License-Identifier: GPL-2.0-only
/*
 * What suites on the simulated IOMMU ask after a DMA, an attach or a detach.
 */
#include <linux/iommu.h>
#include <rviommu/sim.h>

#include "../src/driver/rviommu.h"
#include "simtest.h"

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
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = pasid, .pasid = pasid, .iova = iova,
		.length = length, .operand = seed,
	};

	return rviommu_sim_dma(dev, &dma);
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
	const struct rviommu_targets *targets;
	unsigned int i, sum = 0;

	rcu_read_lock();
	targets = rcu_dereference(to_rviommu_domain(domain)->targets);
	for (i = 0; targets && i < targets->nr; i++)
		sum += targets->t[i].users;
	rcu_read_unlock();
	return sum;
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
	u32 pscid = to_rviommu_domain(domain)->pscid;

	return rviommu_model_list_cached(rviommu_sim_model(sim),
					 BIT(RVIOMMU_MODEL_S1) | BIT(RVIOMMU_MODEL_S1_NONLEAF),
					 simtest_of_pscid, &pscid);
}
