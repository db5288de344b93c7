/* SPDX-License-Identifier: GPL-2.0-only */
/* Implicit memory accesses; they return RVIOMMU_MODEL_MEM_*. */
#ifndef RVIOMMU_MODEL_MEM_H
#define RVIOMMU_MODEL_MEM_H

#include "state.h"

int rviommu_m_read(struct rviommu_model *m, u64 addr, bool be, u64 *value);
int rviommu_m_read_words(struct rviommu_model *m, u64 addr, bool be, u64 *word, unsigned int n);
int rviommu_m_write(struct rviommu_model *m, u64 addr, bool be, u64 value);
int rviommu_m_write32(struct rviommu_model *m, u64 addr, bool be, u32 value);
int rviommu_m_read_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 *pte);
int rviommu_m_cas_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 old, u64 new,
		      bool *done);
int rviommu_m_set_bit(struct rviommu_model *m, u64 addr, u64 bit, bool atomic);

#endif /* RVIOMMU_MODEL_MEM_H */
