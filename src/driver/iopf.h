/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who handles the page requests of a device: taken up, flushed, and given up.
 */
#ifndef RVIOMMU_IOPF_H
#define RVIOMMU_IOPF_H

#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/kconfig.h>

struct rviommu_endpoint;

/* How long who handles page requests may take before the log says so */
#define RVIOMMU_IOPF_PATIENCE_S		10

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int rviommu_iopf_get(struct rviommu_endpoint *ep, bool must);
int rviommu_iopf_start(struct rviommu_endpoint *ep);
void rviommu_iopf_put(struct rviommu_endpoint *ep);
void rviommu_iopf_give_up(struct rviommu_endpoint *ep);
void rviommu_iopf_quiet(struct rviommu_endpoint *ep, ioasid_t pasid);
void rviommu_iopf_replaced(struct rviommu_endpoint *ep);
void rviommu_iopf_stop(struct rviommu_endpoint *ep);
void rviommu_iopf_exit(struct rviommu_endpoint *ep);
unsigned long rviommu_iopf_patience(void);
#else
static inline int rviommu_iopf_get(struct rviommu_endpoint *ep, bool must)
{
	return -ENODEV;
}

static inline int rviommu_iopf_start(struct rviommu_endpoint *ep)
{
	return -ENODEV;
}

static inline void rviommu_iopf_put(struct rviommu_endpoint *ep)
{
}

static inline void rviommu_iopf_give_up(struct rviommu_endpoint *ep)
{
}

static inline void rviommu_iopf_quiet(struct rviommu_endpoint *ep, ioasid_t pasid)
{
}

static inline void rviommu_iopf_replaced(struct rviommu_endpoint *ep)
{
}

static inline void rviommu_iopf_stop(struct rviommu_endpoint *ep)
{
}

static inline void rviommu_iopf_exit(struct rviommu_endpoint *ep)
{
}
#endif

#endif /* RVIOMMU_IOPF_H */
