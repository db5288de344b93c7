/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For drivers of devices that send page requests: to make a PASID quiet.
 *
 * A driver that wants to give a PASID to somebody else stops the device's work for it first:
 * what the device goes on asking is as new to these functions as to anybody. Then it drains, if
 * who handles the requests is to have his say, or cancels. To replace a translation needs
 * neither: what was asked is answered, and the device asks again.
 *
 * Who handles requests (iommu_domain.iopf_handler) is called where those of all devices of an IOMMU
 * are read: he passes them on and returns, and does what waits in a worker.
 *
 * A domain that is taken away from a device or a PASID is cancelled anyway.
 */
#ifndef RVIOMMU_PAGE_REQUEST_H
#define RVIOMMU_PAGE_REQUEST_H

#include <linux/iommu.h>
#include <linux/kconfig.h>

struct device;

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int rviommu_iopf_flush(struct device *dev);
int rviommu_iopf_drain(struct device *dev, ioasid_t pasid, unsigned int timeout_ms);
int rviommu_iopf_cancel(struct device *dev, ioasid_t pasid);
#else
/* Nobody asks, so all is quiet. */
static inline int rviommu_iopf_flush(struct device *dev)
{
	return 0;
}

static inline int rviommu_iopf_drain(struct device *dev, ioasid_t pasid, unsigned int timeout_ms)
{
	return 0;
}

static inline int rviommu_iopf_cancel(struct device *dev, ioasid_t pasid)
{
	return 0;
}
#endif

#endif /* RVIOMMU_PAGE_REQUEST_H */
