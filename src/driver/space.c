// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces, as everybody sees them: which there are, what they have counted, which IOMMU
 * can walk one, and how its translations are called. What makes them is in domain.c.
 */
#include <linux/percpu.h>
#include <kunit/visibility.h>

#include "rviommu.h"

LIST_HEAD(rviommu_domains);
/* Protects rviommu_domains, and keeps what is on it alive; and @gone. */
DEFINE_MUTEX(rviommu_domains_lock);
/* What domains counted that are gone: sums over all domains never go down. */
static struct rviommu_domain_stats gone;

/**
 * rviommu_domain_stats() - counters of a domain, summed over the CPUs
 * @dom: the domain
 *
 * Return: the sums, each of them exact some time during the call.
 */
struct rviommu_domain_stats rviommu_domain_stats(const struct rviommu_domain *dom)
{
	struct rviommu_domain_stats sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct rviommu_domain_stats *s = per_cpu_ptr(dom->stats, cpu);

		sum.maps += READ_ONCE(s->maps);
		sum.unmaps += READ_ONCE(s->unmaps);
		sum.syncs += READ_ONCE(s->syncs);
		sum.flushes += READ_ONCE(s->flushes);
	}
	return sum;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_domain_stats);

static void rviommu_stats_add(struct rviommu_domain_stats *sum, const struct rviommu_domain *dom)
{
	struct rviommu_domain_stats stats = rviommu_domain_stats(dom);

	sum->maps += stats.maps;
	sum->unmaps += stats.unmaps;
	sum->syncs += stats.syncs;
	sum->flushes += stats.flushes;
}

/**
 * rviommu_domain_enlist() - a domain can be found from now on
 * @dom: the domain
 */
void rviommu_domain_enlist(struct rviommu_domain *dom)
{
	mutex_lock(&rviommu_domains_lock);
	list_add_tail(&dom->node, &rviommu_domains);
	mutex_unlock(&rviommu_domains_lock);
}

/**
 * rviommu_domain_delist() - it cannot be found any more; what it counted is kept
 * @dom: the domain
 */
void rviommu_domain_delist(struct rviommu_domain *dom)
{
	mutex_lock(&rviommu_domains_lock);
	list_del(&dom->node);
	rviommu_stats_add(&gone, dom);
	mutex_unlock(&rviommu_domains_lock);
}

/**
 * rviommu_domains_stats() - counters of all domains that there are and were
 *
 * Return: the sums.
 */
struct rviommu_domain_stats rviommu_domains_stats(void)
{
	const struct rviommu_domain *dom;
	struct rviommu_domain_stats sum;

	guard(mutex)(&rviommu_domains_lock);
	sum = gone;
	list_for_each_entry(dom, &rviommu_domains, node)
		rviommu_stats_add(&sum, dom);
	return sum;
}

/**
 * rviommu_domain_compatible() - can an IOMMU walk a domain's page table?
 * @dom: the domain
 * @iommu: the IOMMU
 *
 * Return: 0, or -EINVAL: the error by which the core and iommufd know that
 * another domain may do.
 */
int rviommu_domain_compatible(const struct rviommu_domain *dom, const struct rviommu *iommu)
{
	const struct rviommu_pgtable_cfg *cfg = &dom->pt.cfg;
	static const u64 first[] = { RVIOMMU_CAP_SV39, RVIOMMU_CAP_SV48, RVIOMMU_CAP_SV57 };
	static const u64 second[] = { RVIOMMU_CAP_SV39X4, RVIOMMU_CAP_SV48X4, RVIOMMU_CAP_SV57X4 };

	if (!(iommu->caps & (cfg->second_stage ? second : first)[cfg->levels - 3]))
		return -EINVAL;
	if (cfg->svnapot && test_bit(RVIOMMU_QUIRK_NO_SVNAPOT, &iommu->quirks))
		return -EINVAL;
	if (cfg->svpbmt && !(iommu->caps & RVIOMMU_CAP_SVPBMT))
		return -EINVAL;
	if (cfg->pas_lg2 > iommu->pas_lg2)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_domain_compatible);

/**
 * rviommu_space_command() - forget an address space
 * @dom: whose
 *
 * Return: the command.
 */
struct rviommu_command rviommu_space_command(const struct rviommu_domain *dom)
{
	return dom->pt.cfg.second_stage ? rviommu_cmd_iotinval_gvma(dom->gscid) :
					  rviommu_cmd_iotinval_vma(dom->pscid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_space_command);
