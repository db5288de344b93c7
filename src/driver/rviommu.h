/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rviommu.ko: the objects that its files share.
 *
 *   struct rviommu             one IOMMU                         device.c
 *   struct rviommu_endpoint    one device behind it              endpoint.c
 *   struct rviommu_space       what contexts can point to        space.c
 *   struct rviommu_domain      one whose page table is ours      domain.c
 *   struct rviommu_attachment  a device's requests use a domain  attachment.c
 *
 * Dependencies point one way; scripts/layers has the files in their order.
 */
#ifndef RVIOMMU_H
#define RVIOMMU_H

#include <linux/iommu.h>
#include <linux/xarray.h>

#include <rviommu/bus.h>
#include <rviommu/formats.h>

#include "attachment.h"
#include "back.h"
#include "cmdq.h"
#include "compat.h"
#include "directory.h"
#include "fault.h"
#include "invalidate.h"
#include "mutate.h"
#include "pgtable.h"
#include "quirks.h"
#include "space.h"

struct dentry;
struct rviommu;

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
 * @faultq: fault queue
 * @irqs: interrupt vectors
 * @nr_irqs: used entries of @irqs
 * @dids: device_id -> struct rviommu_did. Readers (fault path, debugfs) under
 *        rcu_read_lock(); writers under @ddt.lock.
 * @endpoints_lock: devices come and go one by one, and those that look at all of them wait;
 *                  outside rviommu_endpoint.lock
 * @endpoints: struct rviommu_endpoint.node; under @endpoints_lock
 * @node: on the list of all IOMMUs, rviommu_list_lock
 * @debugfs: directory of this IOMMU
 * @mutate: steps to leave out, BIT(enum rviommu_mutation); only with
 *          CONFIG_RVIOMMU_DEBUG, written by debugfs and tests, read with READ_ONCE
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
	struct rviommu_faultq faultq;
	struct rviommu_irq irqs[RVIOMMU_NR_CAUSES];
	unsigned int nr_irqs;
	struct xarray dids;
	struct mutex endpoints_lock; /* see above */
	struct list_head endpoints;
	struct list_head node;
	struct dentry *debugfs;
	unsigned long mutate;
	spinlock_t ddtp_lock; /* see above */
	bool dead;
};

/* True when the mutation run asks to leave @what out. Never in a package. */
static inline bool rviommu_mutated(const struct rviommu *iommu, enum rviommu_mutation what)
{
	return IS_ENABLED(CONFIG_RVIOMMU_DEBUG) && (READ_ONCE(iommu->mutate) & BIT(what));
}

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
 * enum rviommu_ats_power - can a device be asked to forget?
 * @RVIOMMU_ATS_AWAKE: it can
 * @RVIOMMU_ATS_ASLEEP: not before it wakes up; its configuration can be written
 * @RVIOMMU_ATS_OFF: it has no power, or is not there any more: it has nothing to forget
 */
enum rviommu_ats_power {
	RVIOMMU_ATS_AWAKE,
	RVIOMMU_ATS_ASLEEP,
	RVIOMMU_ATS_OFF,
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
 * @lock: what is attached to it changes, or its ATS. Other devices do not need it, so what waits
 *        for this one waits under it; what changes directories takes ddt.lock inside.
 * @attached: what its requester IDs use: @blocked, if nothing; NULL before the first attach.
 *            Written under @lock, read there or under RCU: rviommu_attached().
 * @blocked: what they have when they are blocked, for which no memory is needed
 * @spare: laid aside for an attachment that must not fail; under @lock
 * @nr_ids: number of @ids
 * @ids: device_ids, sorted as the firmware gave them, no duplicates
 * @faults: faults reported for it
 * @last_fault: the newest one; written by the fault thread under @fault_lock
 * @fault_lock: protects @last_fault; a leaf lock
 * @fault_log: what is said of them; under faultq.lock of @iommu
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
	struct rviommu_attachment *spare;
	atomic64_t faults;
	struct rviommu_fault last_fault;
	spinlock_t fault_lock; /* see above */
	struct rviommu_fault_log fault_log;
	struct rcu_head rcu;
	struct rviommu_pdt pdt;
	struct xarray pasids;
	u32 max_pasids;
	struct rviommu_ats ats;
	bool lost;
	struct rviommu_back back;
	struct rviommu_back pasid_back;
	unsigned int nr_ids;
	u32 ids[] __counted_by(nr_ids);
};

/**
 * struct rviommu_domain_stats - what happened to a domain
 * @maps: map calls
 * @unmaps: unmap calls
 * @syncs: invalidations of a range
 * @flushes: invalidations of the whole domain
 *
 * Each CPU counts its own: map and unmap share no cache line. An interrupt that
 * counts, too, in the middle of it may cost a count; switching interrupts off
 * would cost every map and unmap as much as half of its walk.
 */
struct rviommu_domain_stats {
	u64 maps;
	u64 unmaps;
	u64 syncs;
	u64 flushes;
};

static inline void rviommu_count(u64 __percpu *counter)
{
	preempt_disable();
	raw_cpu_inc(*counter);
	preempt_enable();
}

/**
 * struct rviommu_domain - an address space with a page table of ours
 * @space: what contexts and caches know of it
 * @pt: page table
 * @pending: unlinked table pages (struct rviommu_page.node) whose unmap was
 *           deferred to flush_iotlb_all
 * @pending_lock: protects @pending; interrupts off
 * @stats: counters, per CPU; rviommu_domain_stats()
 * @node: on the list of all domains, for debugfs; rviommu_domains_lock
 * @id: small number, for debugfs
 */
struct rviommu_domain {
	struct rviommu_space space;
	struct rviommu_pgtable pt;
	struct list_head pending;
	spinlock_t pending_lock; /* see above */
	struct rviommu_domain_stats __percpu *stats;
	struct list_head node;
	unsigned int id;
};

/* device.c: one IOMMU from bring-up to removal */
int rviommu_probe(struct rviommu *iommu, struct rviommu_bus *bus);
void rviommu_remove(struct rviommu *iommu);
void rviommu_shutdown(struct rviommu *iommu);
int rviommu_suspend(struct rviommu *iommu);
int rviommu_resume(struct rviommu *iommu);
void rviommu_wait_for_readers(struct rviommu *iommu);

/* registry.c: all IOMMUs */
struct rviommu *rviommu_find(const struct fwnode_handle *fwnode);
void rviommu_enlist(struct rviommu *iommu);
void rviommu_delist(struct rviommu *iommu);
extern struct list_head rviommu_list;
extern struct mutex rviommu_list_lock;

/* mmio.c: registers in memory */
const struct rviommu_bus_ops *rviommu_mmio_bus_ops(void);

/* pci.c, platform.c: bus glue */
#if IS_ENABLED(CONFIG_RVIOMMU_PCI)
int rviommu_pci_register(void);
void rviommu_pci_unregister(void);
#else
static inline int rviommu_pci_register(void)
{
	return 0;
}

static inline void rviommu_pci_unregister(void)
{
}
#endif

#if IS_ENABLED(CONFIG_RVIOMMU_PLATFORM)
int rviommu_platform_register(void);
void rviommu_platform_unregister(void);
int rviommu_platform_wait(struct device *dev);
#else
static inline int rviommu_platform_register(void)
{
	return 0;
}

static inline void rviommu_platform_unregister(void)
{
}
#endif

/* virtual.c: IOMMUs that other modules bring */
int rviommu_virtual_register(void);
void rviommu_virtual_unregister(void);

/* iommu.c: what the IOMMU core calls */
extern const struct iommu_ops rviommu_ops;
struct iommu_group *rviommu_bus_group(struct device *dev);

/* static.c: domains that are no address spaces */
extern struct iommu_domain rviommu_identity_domain;
extern struct iommu_domain rviommu_blocking_domain;
void rviommu_remove_pasid(struct device *dev, ioasid_t pasid);

/* endpoint.c: devices, their IDs and names */
bool rviommu_snoops(struct device *dev);
struct rviommu_endpoint *rviommu_other_owner(struct rviommu *iommu, u32 did,
					     const struct rviommu_endpoint *not);
int rviommu_take_ids(struct rviommu_endpoint *ep, const struct iommu_fwspec *fwspec);
int rviommu_get_dids(struct rviommu_endpoint *ep);
void rviommu_put_dids(struct rviommu_endpoint *ep, unsigned int nr);
struct rviommu_endpoint *rviommu_endpoint_create(struct rviommu *iommu, unsigned int nr_ids);
void rviommu_endpoint_destroy(struct rviommu_endpoint *ep);
void rviommu_endpoint_retire(struct rviommu_endpoint *ep);
bool rviommu_endpoint_fault(struct rviommu *iommu, const struct rviommu_fault *fault,
			    u64 *hidden);
void rviommu_endpoint_name(struct rviommu *iommu, u32 did, char *buf, size_t size);

/* msi.c: pages that MSIs are written to */
int rviommu_msi_regions(struct device *dev, struct list_head *head);
phys_addr_t rviommu_msi_page(unsigned int cpu);

/* attach.c: what may be attached to a device */
int rviommu_attach(struct rviommu_endpoint *ep, struct iommu_domain *new);
int rviommu_attach_reserve(struct rviommu_endpoint *ep);
void rviommu_attach_without_ats(struct rviommu_endpoint *ep);
void rviommu_detach_release(struct rviommu_endpoint *ep);
int rviommu_attach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid, struct iommu_domain *new,
			 struct iommu_domain *old);
void rviommu_detach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid);

/* pasid.c: which PASIDs a device can have */
void rviommu_pasid_init(struct rviommu_endpoint *ep);
void rviommu_pasid_exit(struct rviommu_endpoint *ep);
void rviommu_pasid_restore(struct rviommu_endpoint *ep);
u32 rviommu_pasid_limit(const struct rviommu *iommu);
u8 rviommu_pasid_levels(const struct rviommu_endpoint *ep);

/* atc.c: a device's own translation cache, as whoever invalidates sees it */
enum rviommu_ats_power rviommu_ats_power(const struct rviommu_endpoint *ep);
bool rviommu_ats_close(const struct rviommu_endpoint *ep);
bool rviommu_ats_asks(const struct rviommu_endpoint *ep);
unsigned int rviommu_ats_commands(const struct rviommu_endpoint *ep, ioasid_t pasid,
				  struct rviommu_command *cmds);
/* commands that rviommu_ats_commands() writes at most */
#define RVIOMMU_ATS_COMMANDS	2

/* ats.c: who may use it, and when */
void rviommu_ats_init(struct rviommu_endpoint *ep);
void rviommu_ats_enable(struct rviommu_endpoint *ep);
void rviommu_ats_disable(struct rviommu_endpoint *ep);
void rviommu_ats_take_back(struct rviommu_endpoint *ep);
void rviommu_ats_suspend(struct rviommu *iommu);
void rviommu_ats_resume(struct rviommu *iommu);
bool rviommu_ats_device_lost(struct rviommu_cmdq *cq, u16 rid, u8 seg);

/* domain.c: paging domains */
struct iommu_domain *rviommu_domain_alloc_paging_flags(struct device *dev, u32 flags,
						       const struct iommu_user_data *user_data);
struct rviommu_domain *rviommu_domain_create(struct rviommu *iommu, bool second_stage);
struct rviommu_domain_stats rviommu_domain_stats(const struct rviommu_domain *dom);
struct rviommu_domain_stats rviommu_domains_stats(void);
extern struct list_head rviommu_domains;
extern struct mutex rviommu_domains_lock;
void rviommu_domain_ids_destroy(void);

/* debugfs.c. What removes waits for readers: call it with no lock held that they take. */
#ifdef CONFIG_DEBUG_FS
void rviommu_debugfs_init(void);
void rviommu_debugfs_exit(void);
void rviommu_debugfs_add(struct rviommu *iommu);
void rviommu_debugfs_remove(struct rviommu *iommu);
void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep);
void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep);
#else
static inline void rviommu_debugfs_init(void) { }
static inline void rviommu_debugfs_exit(void) { }
static inline void rviommu_debugfs_add(struct rviommu *iommu) { }
static inline void rviommu_debugfs_remove(struct rviommu *iommu) { }
static inline void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep) { }
static inline void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep) { }
#endif

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

static inline struct rviommu_domain *to_rviommu_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct rviommu_domain, space.domain);
}

static inline bool rviommu_is_dead(const struct rviommu *iommu)
{
	return READ_ONCE(iommu->dead);
}

#endif /* RVIOMMU_H */
