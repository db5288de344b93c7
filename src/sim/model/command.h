/* SPDX-License-Identifier: GPL-2.0-only */
/* The command queue. */
#ifndef RVIOMMU_MODEL_COMMAND_H
#define RVIOMMU_MODEL_COMMAND_H

#include "state.h"

unsigned int rviommu_m_process(struct rviommu_model *m, unsigned int n);
void rviommu_m_commands_reset(struct rviommu_model *m);
void rviommu_m_commands_end(struct rviommu_model *m);
bool rviommu_m_commands_linger(const struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_COMMAND_H */
