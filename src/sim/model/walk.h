/* SPDX-License-Identifier: GPL-2.0-only */
/* Both stages of address translation. Its functions return a cause, 0 if all is well. */
#ifndef RVIOMMU_MODEL_WALK_H
#define RVIOMMU_MODEL_WALK_H

#include "cause.h"
#include "xlate.h"

u16 rviommu_m_first_stage(struct rviommu_m_xlate *x, u64 iova, struct rviommu_m_mapping *map);
u16 rviommu_m_second_stage(struct rviommu_m_xlate *x, u64 gpa, u8 first,
			   struct rviommu_m_mapping *map);
u16 rviommu_m_implicit(struct rviommu_m_xlate *x, u64 gpa, bool write, u64 *spa);
u16 rviommu_m_context_table(struct rviommu_m_xlate *x, const struct rviommu_m_key *owner,
			    u64 gpa, u64 *spa);
u16 rviommu_m_access_cause(const struct rviommu_m_xlate *x);

#endif /* RVIOMMU_MODEL_WALK_H */
