/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page requests of a device: its interface, its groups, and who is asked to handle them.
 */
#ifndef RVIOMMU_PRI_H
#define RVIOMMU_PRI_H

#include <linux/atomic.h>
#include <linux/iommu.h>
#include <linux/kconfig.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "prg.h"

struct device;
struct iopf_queue;
struct rviommu;
struct rviommu_endpoint;
struct work_struct;

/* Requests that a device may have outstanding, if it can have so many and the queue, too */
#define RVIOMMU_PRI_REQUESTS	64

/* How often an interface that cannot be looked at is looked at again, and after what time */
#define RVIOMMU_PRI_LOOKS	60
#define RVIOMMU_PRI_LOOK_MS	1000

/**
 * struct rviommu_pri_interface - a page request interface, of one device or of several
 * @node: on the list of all of them, while there are @sharers
 * @refs: that list's, and those of who looks at all of an IOMMU's
 * @iommu: the IOMMU that its devices are behind. Constant.
 * @owner: the device whose registers it is in: of virtual functions the physical one. Constant;
 *         it exists while there are @sharers, be it that the driver knows it no more.
 * @ctrl: see struct rviommu_pri, as @requests
 * @requests: how many may be outstanding
 * @lock: protects the rest
 * @sharers: struct rviommu_pri.sharer: all devices that have it, from their probe until they
 *           have gone, in need of it or not
 * @needed: so many need it: rviommu_pri.needs
 * @on: it is on, for all of them
 * @down: it was on, and failed: it is off until all have forgotten what they asked
 *
 * A physical function and its virtual ones have one interface (PCIe "Page Request Services"). It
 * is nobody's more than another's: on while one needs it. Those come and go, be it the physical one
 * first, because its IOMMU was pulled out.
 *
 * Devices that are attached and detached race each other and rviommu_pri_revive(), of which there
 * is one at a time. Each attach and detach holds the lock of its own device, and may wait under
 * that for a handler as long as it takes. So nobody here takes that of another device; and
 * under @lock nobody waits for more than configuration space. Revive is several steps, with @down
 * between them: it lets go of @lock to read the queue and to wait for commands. A device that
 * joins meanwhile leaves it to revive to switch it on; when the last one leaves there is nothing
 * left to do.
 */
struct rviommu_pri_interface {
	struct list_head node;
	refcount_t refs;
	struct rviommu *iommu;
	struct device *owner;
	u16 ctrl;
	unsigned int requests;
	struct mutex lock; /* see above */
	struct list_head sharers;
	unsigned int needed;
	bool on;
	bool down;
};

/**
 * struct rviommu_pri - the page requests of one device
 * @usable: it has one, and IOMMU and kernel have what serves it: DC.tc.EN_PRI is set whenever
 *          EN_ATS is. Constant once probed.
 * @pasid: it expects the PASID of its request in the response (DC.tc.PRPR). Constant.
 * @ctrl: of a PCI function: its Page Request control register, or the physical function's
 * @requests: how many it may have outstanding. Constant.
 * @shared: its interface, which others may have, too; NULL if it is not @usable. Set before the
 *          device can be found by an ID, until it cannot any more.
 * @sharer: on rviommu_pri_interface.sharers
 * @needs: it needs the interface; under the interface's lock
 * @unsettled: its responses are waited for by rviommu_pri_revive(); likewise
 * @enabled: its requests are handled; written under the device's lock, read with READ_ONCE
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
 *          until its interface is switched on again. Written by who responds, and under the
 *          interface's lock; READ_ONCE and WRITE_ONCE.
 * @revived: times that the interface had failed, and was switched on again while it was needed
 *
 * Part of the endpoint. The counters are read by debugfs, without a lock.
 */
struct rviommu_pri {
	bool usable;
	bool pasid;
	u16 ctrl;
	unsigned int requests;
	struct rviommu_pri_interface *shared;
	struct list_head sharer;
	bool needs;
	bool unsettled;
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
