/* SPDX-License-Identifier: GPL-2.0-only */
/* How the hardware gets on, and the way into the model and out of it. */
#ifndef RVIOMMU_MODEL_PROGRESS_H
#define RVIOMMU_MODEL_PROGRESS_H

#include "state.h"

void rviommu_m_settle(struct rviommu_model *m);
/* Takes the lock. */
void rviommu_m_enter(struct rviommu_model *m);
/* Processes commands, delivers interrupts and messages, releases the lock. */
void rviommu_m_leave(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_PROGRESS_H */
