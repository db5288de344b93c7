/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be attached to a device.
 */
#ifndef RVIOMMU_ATTACH_H
#define RVIOMMU_ATTACH_H

#include <linux/iommu.h>

struct rviommu_endpoint;

int rviommu_attach(struct rviommu_endpoint *ep, struct iommu_domain *new);
int rviommu_attach_reserve(struct rviommu_endpoint *ep);
void rviommu_attach_without_ats(struct rviommu_endpoint *ep);
void rviommu_detach_begin(struct rviommu_endpoint *ep);
void rviommu_detach_release(struct rviommu_endpoint *ep);
int rviommu_attach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid, struct iommu_domain *new,
			 struct iommu_domain *old);
void rviommu_detach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid);

#endif /* RVIOMMU_ATTACH_H */
