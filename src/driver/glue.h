/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How IOMMUs are found: as functions, as devices, brought by other modules.
 */
#ifndef RVIOMMU_GLUE_H
#define RVIOMMU_GLUE_H

#include <linux/kconfig.h>

#include <rviommu/bus.h>

struct device;

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

#endif /* RVIOMMU_GLUE_H */
