// SPDX-License-Identifier: GPL-2.0-only
/*
 * The register bus of an IOMMU whose registers are mapped memory.
 */
#include <linux/io.h>
#include <linux/io-64-nonatomic-hi-lo.h>

#include "rviommu.h"

static u32 rviommu_mmio_read32(struct rviommu_bus *bus, unsigned int offset)
{
	return readl(bus->regs + offset);
}

static u64 rviommu_mmio_read64(struct rviommu_bus *bus, unsigned int offset)
{
	return readq(bus->regs + offset);
}

static void rviommu_mmio_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	writel(value, bus->regs + offset);
}

static void rviommu_mmio_write64(struct rviommu_bus *bus, unsigned int offset, u64 value)
{
	writeq(value, bus->regs + offset);
}

const struct rviommu_bus_ops rviommu_mmio_ops = {
	.read32 = rviommu_mmio_read32,
	.read64 = rviommu_mmio_read64,
	.write32 = rviommu_mmio_write32,
	.write64 = rviommu_mmio_write64,
};
