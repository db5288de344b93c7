/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ATS: who may use it, and when.
 */
#ifndef RVIOMMU_ATS_H
#define RVIOMMU_ATS_H

#include <linux/types.h>

struct rviommu;
struct rviommu_cmdq;
struct rviommu_endpoint;

void rviommu_ats_init(struct rviommu_endpoint *ep);
void rviommu_ats_enable(struct rviommu_endpoint *ep);
void rviommu_ats_disable(struct rviommu_endpoint *ep);
void rviommu_ats_take_back(struct rviommu_endpoint *ep);
void rviommu_ats_suspend(struct rviommu *iommu);
void rviommu_ats_resume(struct rviommu *iommu);
bool rviommu_ats_device_lost(struct rviommu_cmdq *cq, u16 rid, u8 seg);
bool rviommu_ats_device_away(struct rviommu_cmdq *cq, u16 rid, u8 seg);

#endif /* RVIOMMU_ATS_H */
