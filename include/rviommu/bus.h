/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The register bus: how the driver reaches one IOMMU, whoever provides it.
 *
 * A PCI function, a platform device, the simulated IOMMU and the fake of the
 * KUnit suites each fill in one struct rviommu_bus and call rviommu_probe().
 */
#ifndef RVIOMMU_BUS_H
#define RVIOMMU_BUS_H

#include <linux/device.h>
#include <linux/types.h>

#include <rviommu/regs.h>

struct rviommu_bus;

/*
 * Name of a platform device whose platform data is a pointer to a struct
 * rviommu_bus: how another module brings an IOMMU to the driver. The bus must
 * live until the device is unregistered.
 */
#define RVIOMMU_BUS_DEVICE	"rviommu-bus"

/**
 * struct rviommu_bus_ops - access to the register page
 * @read32: naturally aligned 32-bit read at a byte offset
 * @write32: naturally aligned 32-bit write. All earlier stores of this CPU to
 *           memory are visible to the IOMMU before the write is (the doorbell
 *           rule: writel(), not writel_relaxed()), and so are its earlier writes to
 *           registers.
 *
 * Both are called from any context, also with interrupts off; they do not sleep.
 *
 * There is nothing wider. Whether an access of 8 bytes is one to the IOMMU is
 * UNSPECIFIED (spec "Memory-mapped register interface"), and there are interconnects
 * that split it in the wrong order, or refuse it. Two accesses of 4 bytes are right
 * everywhere; see rviommu_bus_read64().
 */
struct rviommu_bus_ops {
	u32 (*read32)(struct rviommu_bus *bus, unsigned int offset);
	void (*write32)(struct rviommu_bus *bus, unsigned int offset, u32 value);
};

/**
 * struct rviommu_ats_ops - ATS of devices that are no PCI functions
 * @depth: invalidate queue depth of a device; 0: it has no ATS
 * @enable: let it send translation requests; 0 or an error
 * @disable: it sends none any more, and those that it sent are answered. It goes on
 *           completing Invalidation Requests.
 *
 * The driver calls all of them from process context, one at a time for a device.
 */
struct rviommu_ats_ops {
	unsigned int (*depth)(struct device *dev);
	int (*enable)(struct device *dev);
	void (*disable)(struct device *dev);
};

/**
 * struct rviommu_pri_ops - page requests of devices that are no PCI functions
 * @capacity: page requests that a device can have outstanding; 0: it sends none
 * @status: its status, as a PCI function's Page Request Status register:
 *          PCI_PRI_STATUS_RF, _UPRGI, _STOPPED (while it is not enabled) and _PASID
 * @enable: let it have up to so many requests outstanding; flags of the status are clear
 *          then. 0 or an error. Only while it has stopped.
 * @disable: it sends no new ones; those that are outstanding wait for their responses, and
 *           the last one makes it stop
 * @reset: while it is not enabled: it stops at once. Nothing is outstanding any more, and
 *         it takes a response for an unexpected one.
 *
 * The driver calls all of them from process context, one at a time for a device.
 */
struct rviommu_pri_ops {
	unsigned int (*capacity)(struct device *dev);
	u16 (*status)(struct device *dev);
	int (*enable)(struct device *dev, unsigned int requests);
	void (*disable)(struct device *dev);
	void (*reset)(struct device *dev);
};

/**
 * struct rviommu_bus - one IOMMU as the driver finds it
 * @ops: register access
 * @regs: mapped registers; only rviommu_mmio_bus_ops() use it
 * @dev: parent of the IOMMU; log messages and devres belong to it
 * @fwnode: what devices behind the IOMMU name in their iommu_fwspec
 * @name: short name for logs, sysfs and debugfs; unique
 * @irqs: Linux interrupt number of each vector
 * @nr_irqs: vectors in @irqs, at least 1, at most %RVIOMMU_NR_CAUSES
 * @wired: the interrupts are wires, not messages (fctl.WSI = 1)
 * @prepare_msi: for a bus whose MSIs are programmed in the register page itself
 *               (platform): write address and data of each vector again, after
 *               a reset or resume. NULL when somebody else does it (PCI).
 * @ats: ATS of its devices that are no PCI functions; NULL: they have none
 * @pri: page requests of its devices that are no PCI functions; NULL: they send none
 * @hold_devices: for a bus whose devices can go at any time: none does from a call with
 *                true, which waits, to the one with false, by the same thread. The IOMMU
 *                core lists the groups of an IOMMU that is registered, and goes through
 *                the list without holding them (bus_iommu_probe()); a
 *                device that goes meanwhile takes its group along. NULL: they do not go.
 * @quirks: RVIOMMU_QUIRK_* bits that the bus glue knows from an ID; see
 *          src/driver/quirks.h
 *
 * Filled in by the owner before rviommu_probe() and constant until
 * rviommu_remove() has returned.
 */
struct rviommu_bus {
	const struct rviommu_bus_ops *ops;
	void __iomem *regs;
	struct device *dev;
	struct fwnode_handle *fwnode;
	const char *name;
	int irqs[RVIOMMU_NR_CAUSES];
	unsigned int nr_irqs;
	bool wired;
	void (*prepare_msi)(struct rviommu_bus *bus);
	const struct rviommu_ats_ops *ats;
	const struct rviommu_pri_ops *pri;
	void (*hold_devices)(struct rviommu_bus *bus, bool hold);
	unsigned long quirks;
};

/**
 * rviommu_bus_read64() - read a register of 8 bytes
 * @bus: the bus
 * @offset: of the register
 *
 * By its halves, at two moments: for registers that do not change meanwhile, or whose
 * bits that do are all in one half (ddtp.busy, tr_req_ctl.Go/Busy). tr_response is
 * constant as long as nothing is asked. Of a counter that runs, the high half has to be
 * read again, and all of it if that changed.
 *
 * Return: its value.
 */
static inline u64 rviommu_bus_read64(struct rviommu_bus *bus, unsigned int offset)
{
	u64 high = bus->ops->read32(bus, offset + 4);

	return high << 32 | bus->ops->read32(bus, offset);
}

/**
 * rviommu_bus_write64() - write a register of 8 bytes
 * @bus: the bus
 * @offset: of the register
 * @value: for it
 *
 * The high half first, as registers are made for (spec "Memory-mapped register
 * interface", note): what sets something going is in the low half. In ddtp that is
 * iommu_mode, and busy follows a write to iommu_mode; PPN is don't-care in Off and Bare,
 * and does not change on the way to Off. cqb, fqb and pqb are written while their queue
 * is off, an entry of msi_cfg_tbl while it is masked, tr_req_iova while nothing is asked;
 * of icvec the high half is reserved; tr_req_ctl has Go/Busy in the low one.
 */
static inline void rviommu_bus_write64(struct rviommu_bus *bus, unsigned int offset, u64 value)
{
	bus->ops->write32(bus, offset + 4, value >> 32);
	bus->ops->write32(bus, offset, value);
}

#endif /* RVIOMMU_BUS_H */
