/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the driver does with its domains beyond what the IOMMU core can ask for.
 */
#ifndef RVIOMMU_PUBLIC_DOMAIN_H
#define RVIOMMU_PUBLIC_DOMAIN_H

#include <linux/types.h>

struct iommu_domain;

long rviommu_domain_promote(struct iommu_domain *domain, u64 iova, u64 last);

#endif /* RVIOMMU_PUBLIC_DOMAIN_H */
