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
 * @read64: naturally aligned 64-bit read; may be two 32-bit accesses
 * @write32: naturally aligned 32-bit write. All earlier stores of this CPU to
 *           memory are visible to the IOMMU before the write is (the doorbell
 *           rule: writel(), not writel_relaxed()).
 * @write64: naturally aligned 64-bit write; may be two 32-bit accesses, the
 *           high half first (spec "Memory-mapped register interface").
 *           Ordered like @write32.
 *
 * All four are called from any context, also with interrupts off; they do not
 * sleep.
 */
struct rviommu_bus_ops {
	u32 (*read32)(struct rviommu_bus *bus, unsigned int offset);
	u64 (*read64)(struct rviommu_bus *bus, unsigned int offset);
	void (*write32)(struct rviommu_bus *bus, unsigned int offset, u32 value);
	void (*write64)(struct rviommu_bus *bus, unsigned int offset, u64 value);
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
 * @hold_devices: for a bus whose devices can go at any time: none does from a call with
 *                true, which waits, to the one with false, by the same thread. The IOMMU
 *                core lists the groups of an IOMMU that is registered, and goes through
 *                the list without holding them (bus_iommu_probe() of Linux 7.2); a
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
	void (*hold_devices)(struct rviommu_bus *bus, bool hold);
	unsigned long quirks;
};

#endif /* RVIOMMU_BUS_H */
