// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domains that are no address spaces: identity, and blocking.
 */
#include <linux/iommu.h>
#include <kunit/visibility.h>

#include "attach.h"
#include "compat.h"
#include "static.h"

static int rviommu_attach_static(struct iommu_domain *domain, struct device *dev,
				 struct iommu_domain *old)
{
	return rviommu_attach(dev_iommu_priv_get(dev), domain);
}

RVIOMMU_ATTACH_THUNK(rviommu_attach_static)

static int rviommu_attach_pasid_identity(struct iommu_domain *domain, struct device *dev,
					 ioasid_t pasid, struct iommu_domain *old)
{
	return rviommu_attach_pasid(dev_iommu_priv_get(dev), pasid, domain, old);
}

RVIOMMU_PASID_THUNK(rviommu_attach_pasid_identity)

/**
 * rviommu_remove_pasid() - what the core calls to take a domain away from a PASID
 * @dev: the device
 * @pasid: the PASID
 */
void rviommu_remove_pasid(struct device *dev, ioasid_t pasid)
{
	rviommu_detach_pasid(dev_iommu_priv_get(dev), pasid);
}

RVIOMMU_BLOCK_PASID_THUNK(rviommu_remove_pasid)

static const struct iommu_domain_ops rviommu_identity_ops = {
	.attach_dev = RVIOMMU_ATTACH_OP(rviommu_attach_static),
	.set_dev_pasid = RVIOMMU_PASID_OP(rviommu_attach_pasid_identity),
};

static const struct iommu_domain_ops rviommu_blocking_ops = {
	.attach_dev = RVIOMMU_ATTACH_OP(rviommu_attach_static),
	RVIOMMU_BLOCK_PASID_OPS(rviommu_remove_pasid)
};

struct iommu_domain rviommu_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &rviommu_identity_ops,
};
EXPORT_SYMBOL_IF_KUNIT(rviommu_identity_domain);

struct iommu_domain rviommu_blocking_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &rviommu_blocking_ops,
};
EXPORT_SYMBOL_IF_KUNIT(rviommu_blocking_domain);
