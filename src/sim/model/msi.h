/* SPDX-License-Identifier: GPL-2.0-only */
/* Translation of the addresses of MSIs. */
#ifndef RVIOMMU_MODEL_MSI_H
#define RVIOMMU_MODEL_MSI_H

#include "cause.h"
#include "xlate.h"

bool rviommu_m_is_msi(const struct rviommu_m_xlate *x, u64 gpa, unsigned int size_lg2);
u16 rviommu_m_mrif_shape(const struct rviommu_model_request *req);
u16 rviommu_m_msi(struct rviommu_m_xlate *x, u64 gpa, struct rviommu_m_mapping *map);

#endif /* RVIOMMU_MODEL_MSI_H */
