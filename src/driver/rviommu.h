/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One IOMMU. The other objects that files share:
 *
 *   struct rviommu_endpoint    one device behind an IOMMU        endpoint.h
 *   struct rviommu_space       what contexts can point to        space.h
 *   struct rviommu_domain      one whose page table is ours      domain.h
 *   struct rviommu_attachment  a device's requests use a domain  attachment.h
 *
 * Each file includes what it uses. Dependencies point one way; scripts/layers has the files in
 * their order.
 */
#ifndef RVIOMMU_H
#define RVIOMMU_H

#include <linux/compiler.h>
#include <linux/iommu.h>
#include <linux/kconfig.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <rviommu/bus.h>
#include <rviommu/formats.h>

#include "cmdq.h"
#include "directory.h"
#include "inq.h"
#include "mutate.h"
#include "record.h"

/* How much later at least: a device that fails all the time costs no more. Milliseconds. */
#define RVIOMMU_REVIVE_MS	100

struct dentry;
struct rviommu;
struct rviommu_endpoint;

/**
 * struct rviommu_irq - one interrupt vector of an IOMMU
 * @iommu: whose
 * @causes: RVIOMMU_IPSR_* bits that icvec routes to it
 * @irq: Linux interrupt number
 */
struct rviommu_irq {
	struct rviommu *iommu;
	u32 causes;
	int irq;
};

/**
 * struct rviommu - one IOMMU
 * @bus: registers and interrupts; owned by the bus glue
 * @dev: parent device
 * @core: what the IOMMU core knows
 * @caps: capabilities register
 * @fctl: features control as programmed
 * @icvec: interrupt routing as programmed
 * @boot_mode: ddtp.iommu_mode that firmware left: Off (whatever was no Bare) or Bare
 * @quirks: RVIOMMU_QUIRK_*, constant once registered
 * @pas_lg2: physical address width
 * @nid: NUMA node
 * @ddt: device directory
 * @cmdq: command queue
 * @faultq: fault queue. Nothing that waits for a command is done under its lock.
 * @fault_log: of faults that no device is known to have caused; under faultq.lock
 * @pageq: page-request queue; its memory is NULL where the IOMMU or the kernel has no page
 *         requests. Nobody waits for a handler of page requests under its lock.
 * @asking: the device whose message is looked at, or NULL; written under pageq.lock, so there is
 *          one at a time. It is not freed meanwhile: rviommu_pri_pass_message().
 * @asked: somebody may wait for @asking to be another one
 * @asked_nr: messages that were handed on; written under pageq.lock
 * @revive: devices whose page requests have failed are looked for, a moment after one may have;
 *          only with a page-request queue
 * @revive_looks: how often it has come again, because a device could not be looked at. Its own,
 *                and of resume, which it does not run beside.
 * @strangers: requests of devices that may send none; read by debugfs
 * @irqs: interrupt vectors
 * @nr_irqs: used entries of @irqs
 * @dids: device_id -> struct rviommu_did. Readers (fault path, debugfs) under
 *        rcu_read_lock(); writers under @ddt.lock.
 * @endpoints_lock: devices come and go one by one, and those that look at all of them wait;
 *                  outside rviommu_endpoint.lock
 * @endpoints: struct rviommu_endpoint.node; under @endpoints_lock
 * @node: on the list of all IOMMUs, rviommu_list_lock
 * @debugfs: directory of this IOMMU
 * @mutate: the step to leave out; only with CONFIG_RVIOMMU_DEBUG, written by debugfs and tests,
 *          read with READ_ONCE
 * @ddtp_lock: serialises writers of ddtp: whoever brings the IOMMU up or down, and the
 *             command queue when it dies. A leaf lock, inside cmdq.lock; interrupts off,
 *             never held while waiting for the IOMMU.
 * @dead: out of service: the command queue was given up and ddtp was set to
 *        Off. Set once, from any context; read with READ_ONCE. Once it is set no
 *        other mode is written; who writes one looks under @ddtp_lock.
 *
 * Lifetime: rviommu_probe() to rviommu_remove(). The IOMMU core holds a module
 * reference per endpoint, a domain holds one too. Invalidation reaches an IOMMU
 * through SRCU and RCU: rviommu_remove() waits for both when the queues are off, before it
 * frees anything of them.
 */
struct rviommu {
	struct rviommu_bus *bus;
	struct device *dev;
	struct iommu_device core;
	u64 caps;
	u32 fctl;
	u64 icvec;
	u8 boot_mode;
	unsigned long quirks;
	u8 pas_lg2;
	int nid;
	struct rviommu_ddt ddt;
	struct rviommu_cmdq cmdq;
	struct rviommu_inq faultq;
	struct rviommu_fault_log fault_log;
	struct rviommu_inq pageq;
	struct rviommu_endpoint *asking;
	wait_queue_head_t asked;
	u64 asked_nr;
	struct delayed_work revive;
	unsigned int revive_looks;
	atomic64_t strangers;
	struct rviommu_irq irqs[RVIOMMU_NR_CAUSES];
	unsigned int nr_irqs;
	struct xarray dids;
	struct mutex endpoints_lock; /* see above */
	struct list_head endpoints;
	struct list_head node;
	struct dentry *debugfs;
	enum rviommu_mutation mutate;
	spinlock_t ddtp_lock; /* see above */
	bool dead;
};

/* True when the mutation run asks to leave @what out. Never in a package. */
static inline bool rviommu_mutated(const struct rviommu *iommu, enum rviommu_mutation what)
{
	return IS_ENABLED(CONFIG_RVIOMMU_DEBUG) && READ_ONCE(iommu->mutate) == what;
}

static inline u32 rviommu_read32(struct rviommu *iommu, unsigned int reg)
{
	return iommu->bus->ops->read32(iommu->bus, reg);
}

static inline u64 rviommu_read64(struct rviommu *iommu, unsigned int reg)
{
	return rviommu_bus_read64(iommu->bus, reg);
}

static inline void rviommu_write32(struct rviommu *iommu, unsigned int reg, u32 value)
{
	iommu->bus->ops->write32(iommu->bus, reg, value);
}

static inline void rviommu_write64(struct rviommu *iommu, unsigned int reg, u64 value)
{
	rviommu_bus_write64(iommu->bus, reg, value);
}

static inline bool rviommu_is_dead(const struct rviommu *iommu)
{
	return READ_ONCE(iommu->dead);
}

#endif /* RVIOMMU_H */
