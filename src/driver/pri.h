/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page requests of a device: its interface, its groups, and who is asked to handle them.
 */
#ifndef RVIOMMU_PRI_H
#define RVIOMMU_PRI_H

#include <linux/atomic.h>
#include <linux/iommu.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#include "prg.h"

struct rviommu;
struct rviommu_endpoint;
struct work_struct;

/* Requests that a device may have outstanding, if it can have so many and the queue, too */
#define RVIOMMU_PRI_REQUESTS	64

/**
 * struct rviommu_pri - the page request interface of one device
 * @usable: it has one, and IOMMU and kernel have what serves it: DC.tc.EN_PRI is set whenever
 *          EN_ATS is. Constant once probed.
 * @pasid: it expects the PASID of its request in the response (DC.tc.PRPR). Constant.
 * @ctrl: of a PCI function: its Page Request control register, or the physical function's
 * @requests: how many it may have outstanding. Constant.
 * @joined: of a virtual function: it is one of the physical one's @virtuals. Under the device's
 *          lock.
 * @virtuals: of a physical function: virtual ones that need its interface. Under the device's
 *            lock, which theirs are outside of.
 * @enabled: its own enable is on; written under the device's lock, read with READ_ONCE
 * @users: attachments that handle page requests; under the device's lock
 * @queue: the core's: what handles them; from the first of @users on, until the device goes.
 *         Under the device's lock.
 * @prgs: its groups; has a lock of its own
 * @groups: groups that were handed on
 * @refused: responses "Invalid Request" that were given without a handler
 * @again: responses "Success" that were given without one who had served anything: the device asks
 *         again, and whoever handles its requests now serves them
 * @dropped: requests that got no response, because of what the device did wrong; and Stop
 *           Markers
 * @unsent: a response could not be queued, while the IOMMU was suspended: the device waits for it
 *          until its interface is switched on again
 * @revived: times that the interface had failed, and was switched on again
 *
 * Part of the endpoint. The counters are read by debugfs, without a lock.
 */
struct rviommu_pri {
	bool usable;
	bool pasid;
	u16 ctrl;
	unsigned int requests;
	bool joined;
	unsigned int virtuals;
	bool enabled;
	unsigned int users;
	struct iopf_queue *queue;
	struct rviommu_prgs prgs;
	atomic64_t groups;
	atomic64_t refused;
	atomic64_t again;
	atomic64_t dropped;
	bool unsent;
	atomic64_t revived;
};

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int rviommu_pri_init(struct rviommu_endpoint *ep);
void rviommu_pri_exit(struct rviommu_endpoint *ep);
int rviommu_pri_enable(struct rviommu_endpoint *ep);
void rviommu_pri_disable(struct rviommu_endpoint *ep);
void rviommu_pri_message(struct rviommu *iommu, const struct rviommu_page_message *message);
void rviommu_pri_discard(struct rviommu *iommu);
void rviommu_pri_pass_message(struct rviommu_endpoint *ep);
void rviommu_pri_refuse(struct rviommu_endpoint *ep, u32 pasid);
void rviommu_pri_revive(struct work_struct *work);
void rviommu_page_response(struct device *dev, struct iopf_fault *fault,
			   struct iommu_page_response *response);
#else
static inline int rviommu_pri_init(struct rviommu_endpoint *ep)
{
	return 0;
}

static inline void rviommu_pri_disable(struct rviommu_endpoint *ep)
{
}

static inline void rviommu_pri_exit(struct rviommu_endpoint *ep)
{
}
#endif

#if IS_ENABLED(CONFIG_KUNIT)
struct rviommu_endpoint *rviommu_pri_owner(struct rviommu *iommu, u32 id);
void rviommu_pri_seam(struct rviommu *iommu);
#else
static inline void rviommu_pri_seam(struct rviommu *iommu)
{
}
#endif

#endif /* RVIOMMU_PRI_H */
