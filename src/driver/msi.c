// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that devices write their MSIs to. On RISC-V an MSI is a write like any
 * other: the IOMMU translates it, so an address space without the IMSIC's pages
 * is one without interrupts. The core maps what is reported here in the domains of the
 * DMA API; in those of VFIO and iommufd nobody does.
 */
#include <linux/iommu.h>
#include <linux/sizes.h>

#include "rviommu.h"

#if IS_ENABLED(CONFIG_RISCV_IMSIC)
#include <linux/irqchip/riscv-imsic.h>

/**
 * rviommu_msi_regions() - report the interrupt files of all CPUs
 * @dev: the device
 * @head: list of struct iommu_resv_region
 *
 * Mapped one to one in DMA-API domains. Relaxable: with the stricter type the
 * core would not let VFIO or iommufd have the device, for which an MSI page
 * is no reason.
 *
 * Return: 0 or -ENOMEM, with fewer regions.
 */
int rviommu_msi_regions(struct device *dev, struct list_head *head)
{
	const struct imsic_global_config *imsic = imsic_get_global_config();
	struct iommu_resv_region *region;
	int cpu;

	if (!imsic || !imsic->local)
		return 0;
	for_each_possible_cpu(cpu) {
		phys_addr_t pa = per_cpu_ptr(imsic->local, cpu)->msi_pa;

		if (!pa)
			continue;
		region = iommu_alloc_resv_region(pa, SZ_4K,
						 IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO,
						 IOMMU_RESV_DIRECT_RELAXABLE, GFP_KERNEL);
		if (!region)
			return -ENOMEM;
		list_add_tail(&region->list, head);
	}
	return 0;
}
#else
/* No interrupt controller here takes MSIs through an IOMMU of this kind. */
int rviommu_msi_regions(struct device *dev, struct list_head *head)
{
	return 0;
}
#endif
