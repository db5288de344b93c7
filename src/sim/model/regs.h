/* SPDX-License-Identifier: GPL-2.0-only */
/* The register file. */
#ifndef RVIOMMU_MODEL_REGS_H
#define RVIOMMU_MODEL_REGS_H

#include "state.h"

void rviommu_m_regs_reset(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_REGS_H */
