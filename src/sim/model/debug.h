/* SPDX-License-Identifier: GPL-2.0-only */
/* Translations asked for through registers. */
#ifndef RVIOMMU_MODEL_DEBUG_H
#define RVIOMMU_MODEL_DEBUG_H

#include "state.h"

void rviommu_m_debug_run(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_DEBUG_H */
