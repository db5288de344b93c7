/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts. */
#ifndef RVIOMMU_MODEL_INTERRUPT_H
#define RVIOMMU_MODEL_INTERRUPT_H

#include "state.h"

void rviommu_m_raise(struct rviommu_model *m, u32 causes);
void rviommu_m_update_ipsr(struct rviommu_model *m);
void rviommu_m_unmask(struct rviommu_model *m, unsigned int vector);
u16 rviommu_m_wires(const struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_INTERRUPT_H */
