// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every part of the model may need of its whole: chance, injected errors, and ways
 * to whoever runs it.
 */
#include "state.h"

/* splitmix64 */
u64 rviommu_m_random(struct rviommu_model *m)
{
	u64 z = m->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

bool rviommu_m_injected(struct rviommu_model *m, enum rviommu_model_injection what)
{
	if (likely(!m->inject[what]))
		return m->ops->fails && m->ops->fails(m->ctx, what);
	m->inject[what]--;
	return true;
}

void rviommu_m_unspecified(struct rviommu_model *m, const char *what)
{
	m->stats.unspecified++;
	if (m->ops->unspecified)
		m->ops->unspecified(m->ctx, what);
}

/*
 * The lock is not held meanwhile, so no pointer into the caches survives
 * this, and invalidations may happen.
 */
void rviommu_m_other_work(struct rviommu_model *m)
{
	const struct rviommu_model_ops *ops = m->ops;
	unsigned long flags;

	if (!ops->other_work)
		return;
	if (ops->has_other_work && !ops->has_other_work(m->ctx)) {
		flags = rviommu_shim_pause(&m->lock);
		rviommu_shim_resume(&m->lock, flags);
		return;
	}
	rviommu_shim_unlock(&m->lock);
	ops->other_work(m->ctx);
	rviommu_shim_lock(&m->lock);
}
