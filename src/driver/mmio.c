// SPDX-License-Identifier: GPL-2.0-only
/*
 * The register bus of an IOMMU whose registers are mapped memory.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/io.h>

#include "glue.h"

static u32 rviommu_mmio_read32(struct rviommu_bus *bus, unsigned int offset)
{
	return readl(bus->regs + offset);
}

static void rviommu_mmio_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	writel(value, bus->regs + offset);
}

static const struct rviommu_bus_ops rviommu_mmio_ops = {
	.read32 = rviommu_mmio_read32,
	.write32 = rviommu_mmio_write32,
};

/**
 * rviommu_mmio_bus_ops() - access to registers that are mapped memory
 *
 * For the bus glue, which sets rviommu_bus.regs. A KUnit test has other registers.
 *
 * Return: the operations.
 */
const struct rviommu_bus_ops *rviommu_mmio_bus_ops(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_mmio_bus_ops);
	return &rviommu_mmio_ops;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_mmio_bus_ops);
