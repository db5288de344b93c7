/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices behind an IOMMU: their IDs, their names, and what is known of each.
 */
#ifndef RVIOMMU_ENDPOINT_H
#define RVIOMMU_ENDPOINT_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "attachment.h"
#include "back.h"
#include "directory.h"
#include "pri.h"
#include "record.h"

struct dentry;
struct device;
struct iommu_fwspec;
struct rviommu;

/**
 * struct rviommu_did - one device_id in use
 * @owner: the endpoint that registered it first and still exists
 * @users: endpoints that have this ID (PCI aliases share one); under ddt.lock
 * @rcu: freed through RCU
 */
struct rviommu_did {
	struct rviommu_endpoint *owner;
	unsigned int users;
	struct rcu_head rcu;
};

/**
 * struct rviommu_ats - address translation service of one device
 * @usable: it has ATS, the IOMMU has, and both may use it: DC.tc.EN_ATS is set
 *          whenever its context is valid. Set by probe; cleared under the device's lock: while
 *          nothing is attached when a lost device comes back, and when another device
 *          comes that has the same ID.
 * @enabled: the device's own enable is on; under the device's lock
 * @on: the device may send translation requests, so its ATC has to be invalidated.
 *      Written under the device's lock, and by the command queue when the device is lost;
 *      read by unmap with READ_ONCE.
 * @depth: Invalidation Requests that may be outstanding at a time
 * @shared: whose queue that is: the device, or the physical function of a virtual one
 * @rid: Routing ID, for ATS.INVAL
 * @seg: its segment
 * @ctrl: of a PCI function: its ATS control register
 */
struct rviommu_ats {
	bool usable;
	bool enabled;
	bool on;
	u8 depth;
	const void *shared;
	u16 rid;
	u8 seg;
	u16 ctrl;
};

/**
 * struct rviommu_endpoint - one device behind an IOMMU (dev_iommu_priv)
 * @iommu: whose
 * @dev: the device; valid from probe_device to release_device
 * @name: copy of its name, for the fault path
 * @lock: what is attached to it changes, or its ATS. Other devices do not need it, nor is it taken
 *        for them. So what waits for this one, or for who handles its page requests, waits under
 *        it; what changes directories takes ddt.lock inside. A page request interface that others
 *        have, too, has a lock of its own.
 * @attached: what its requester IDs use: @blocked, if nothing; NULL before the first attach.
 *            Written under @lock, read there or under RCU: rviommu_attached().
 * @blocked: what they have when they are blocked, for which no memory is needed
 * @attachments: how many it has had; under @lock
 * @spare: laid aside for an attachment that must not fail; under @lock
 * @nr_ids: number of @ids
 * @ids: device_ids, sorted as the firmware gave them, no duplicates
 * @faults: faults reported for it
 * @last_fault: the newest one; written by the fault thread under @fault_lock
 * @fault_lock: protects @last_fault; a leaf lock
 * @fault_log: what is said of them; under faultq.lock of @iommu
 * @refs: what the IOMMU core has, and whoever found it on @node and goes on without
 *        rviommu.endpoints_lock
 * @rcu: freed through SRCU and RCU: an unmap, or the fault path, may still hold it
 * @node: on rviommu.endpoints
 * @debugfs: its directory
 * @linked: it has a device link to its IOMMU. Constant once probed.
 * @updates: one for each of @ids, for the writer who holds @lock and ddt.lock: the first
 *           attach of a device must not fail
 * @pdt: process directory; exists while a PASID is attached. Under @lock and ddt.lock, one of
 *       which is enough to look whether there is one.
 * @pasids: PASID -> struct rviommu_attachment, never PASID 0. As @attached.
 * @max_pasids: PASIDs below this one can be attached; 0: none. Constant.
 * @ats: ATS of the device
 * @pri: its page requests
 * @lost: it does not complete ATS invalidations; all of its DMA is blocked until
 *        rviommu_ats_take_back(). Set by the command queue under its lock, cleared
 *        under @lock while nothing is asked of the device; read with READ_ONCE.
 * @back: the way back of its requester IDs
 * @pasid_back: the way back of the PASID that got a domain last
 */
struct rviommu_endpoint {
	struct rviommu *iommu;
	struct rviommu_dir_update *updates;
	struct list_head node;
	struct dentry *debugfs;
	struct device *dev;
	bool linked;
	char name[48];
	struct mutex lock; /* see above */
	struct rviommu_attachment __rcu *attached;
	struct rviommu_attachment blocked;
	u64 attachments;
	struct rviommu_attachment *spare;
	atomic64_t faults;
	struct rviommu_fault last_fault;
	spinlock_t fault_lock; /* see above */
	struct rviommu_fault_log fault_log;
	refcount_t refs;
	struct rcu_head rcu;
	struct rviommu_pdt pdt;
	struct xarray pasids;
	u32 max_pasids;
	struct rviommu_ats ats;
	struct rviommu_pri pri;
	bool lost;
	struct rviommu_back back;
	struct rviommu_back pasid_back;
	unsigned int nr_ids;
	u32 ids[] __counted_by(nr_ids);
};

bool rviommu_snoops(struct device *dev);
struct rviommu_endpoint *rviommu_other_owner(struct rviommu *iommu, u32 did,
					     const struct rviommu_endpoint *not);
int rviommu_take_ids(struct rviommu_endpoint *ep, const struct iommu_fwspec *fwspec);
int rviommu_get_dids(struct rviommu_endpoint *ep);
void rviommu_put_dids(struct rviommu_endpoint *ep, unsigned int nr);
struct rviommu_endpoint *rviommu_endpoint_create(struct rviommu *iommu, unsigned int nr_ids);
struct rviommu_endpoint *rviommu_endpoint_of(struct device *dev);
struct rviommu_endpoint *rviommu_endpoint_get(struct rviommu_endpoint *ep);
void rviommu_endpoint_put(struct rviommu_endpoint *ep);
bool rviommu_endpoint_fault(struct rviommu *iommu, const struct rviommu_fault *fault,
			    u64 *hidden);
void rviommu_endpoint_name(struct rviommu *iommu, u32 did, char *buf, size_t size);

#endif /* RVIOMMU_ENDPOINT_H */
