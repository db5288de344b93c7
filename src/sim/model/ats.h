/* SPDX-License-Identifier: GPL-2.0-only */
/* ATS commands. */
#ifndef RVIOMMU_MODEL_ATS_H
#define RVIOMMU_MODEL_ATS_H

#include "state.h"

bool rviommu_m_ats_inval(struct rviommu_model *m, u64 dword0, u64 dword1);
bool rviommu_m_ats_prgr(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_ats_sent(struct rviommu_model *m, unsigned int itag);
bool rviommu_m_ats_waiting(const struct rviommu_model *m);
void rviommu_m_ats_completed(struct rviommu_model *m, u32 device_id, u32 itag_vector,
			     unsigned int count);
void rviommu_m_ats_time(struct rviommu_model *m);
void rviommu_m_ats_reset(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_ATS_H */
