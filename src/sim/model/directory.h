/* SPDX-License-Identifier: GPL-2.0-only */
/* Device directory and process directory. Its functions return a cause, 0 if all is well. */
#ifndef RVIOMMU_MODEL_DIRECTORY_H
#define RVIOMMU_MODEL_DIRECTORY_H

#include "cause.h"
#include "xlate.h"

u16 rviommu_m_check_width(struct rviommu_model *m, u32 device_id);
u16 rviommu_m_get_dc(struct rviommu_m_xlate *x, u32 device_id);
u16 rviommu_m_get_pc(struct rviommu_m_xlate *x, u64 *pc);
void rviommu_m_set_second_stage(struct rviommu_m_xlate *x);
void rviommu_m_set_first_stage(struct rviommu_m_xlate *x, u64 fsc, u32 pscid);
unsigned int rviommu_m_pdt_bits(u64 pdtp);

#endif /* RVIOMMU_MODEL_DIRECTORY_H */
