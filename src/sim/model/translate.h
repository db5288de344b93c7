/* SPDX-License-Identifier: GPL-2.0-only */
/* The process to translate an IOVA. */
#ifndef RVIOMMU_MODEL_TRANSLATE_H
#define RVIOMMU_MODEL_TRANSLATE_H

#include "cause.h"
#include "xlate.h"

/*
 * How often a request may start again because invalidations keep crossing it.
 * A translation then ends with "Internal data path error".
 */
#define MAX_RETRIES		1000

void rviommu_m_report(struct rviommu_m_xlate *x, u16 cause);
u16 rviommu_m_translate_stable(struct rviommu_m_xlate *x);
void rviommu_m_prefetch(struct rviommu_m_xlate *x);
void rviommu_m_xlate_init(struct rviommu_m_xlate *x, struct rviommu_model *m,
			  const struct rviommu_model_request *req);

#endif /* RVIOMMU_MODEL_TRANSLATE_H */
