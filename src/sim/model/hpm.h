/* SPDX-License-Identifier: GPL-2.0-only */
/* The hardware performance monitor. */
#ifndef RVIOMMU_MODEL_HPM_H
#define RVIOMMU_MODEL_HPM_H

#include "xlate.h"

/* Events of the HPM, "Performance-monitoring event selectors" */
#define EVENT_UNTRANSLATED	1
#define EVENT_TRANSLATED	2
#define EVENT_ATS		3
#define EVENT_TLB_MISS		4
#define EVENT_DDT_WALK		5
#define EVENT_PDT_WALK		6
#define EVENT_S1_WALK		7
#define EVENT_S2_WALK		8
#define EVENT_LAST		8

void rviommu_m_count_event(struct rviommu_m_xlate *x, unsigned int event);

/* An event has happened. */
static inline void rviommu_m_count(struct rviommu_m_xlate *x, unsigned int event)
{
	if (unlikely(x->m->counting))
		rviommu_m_count_event(x, event);
}

void rviommu_m_count_cycles(struct rviommu_model *m, u64 n);
u32 rviommu_m_overflows(const struct rviommu_model *m);
u32 rviommu_m_counters(const struct rviommu_model *m);
u64 rviommu_m_counter_mask(const struct rviommu_model *m);
u64 rviommu_m_cycles_mask(const struct rviommu_model *m);
u64 rviommu_m_legal_event(u64 event);

#endif /* RVIOMMU_MODEL_HPM_H */
