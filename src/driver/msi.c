// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that devices write their MSIs to. On RISC-V an MSI is a write like any
 * other: the IOMMU translates it, so an address space without the IMSIC's pages
 * is one without interrupts. The core maps what is reported here in the domains of the
 * DMA API; in those of VFIO and iommufd nobody does, and nobody may map anything else
 * there: an MSI would be written into it.
 */
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "mem.h"
#include "msi.h"

#if IS_ENABLED(CONFIG_RISCV_IMSIC)
#include <linux/irqchip/riscv-imsic.h>

static phys_addr_t rviommu_imsic_page(unsigned int cpu)
{
	const struct imsic_global_config *imsic = imsic_get_global_config();

	return imsic && imsic->local ? per_cpu_ptr(imsic->local, cpu)->msi_pa : 0;
}
#else
/* No interrupt controller here takes MSIs through an IOMMU of this kind. */
static phys_addr_t rviommu_imsic_page(unsigned int cpu)
{
	return 0;
}
#endif

/**
 * rviommu_msi_page() - where MSIs for a CPU are written to
 * @cpu: the CPU
 *
 * A KUnit test has pages where there is no IMSIC.
 *
 * Return: physical address of the page; 0: there is none.
 */
phys_addr_t rviommu_msi_page(unsigned int cpu)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_msi_page, cpu);
	return rviommu_imsic_page(cpu);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_msi_page);

static int rviommu_msi_region(struct list_head *head, phys_addr_t pa, enum iommu_resv_type type)
{
	struct iommu_resv_region *region;

	region = rviommu_resv_region(pa, SZ_4K, IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO, type);
	if (!region)
		return -ENOMEM;
	list_add_tail(&region->list, head);
	return 0;
}

/**
 * rviommu_msi_regions() - report the interrupt files of all CPUs
 * @dev: the device
 * @head: list of struct iommu_resv_region
 *
 * Each page twice, because no kind of region says both: relaxable, so that it is mapped
 * one to one in DMA-API domains (with the stricter type the core would not let VFIO or
 * iommufd have the device), and as one of MSIs, so that VFIO and iommufd, which ignore
 * the first, leave a hole there.
 *
 * Return: 0 or -ENOMEM, with fewer regions.
 */
int rviommu_msi_regions(struct device *dev, struct list_head *head)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		phys_addr_t pa = rviommu_msi_page(cpu);
		int ret;

		if (!pa)
			continue;
		ret = rviommu_msi_region(head, pa, IOMMU_RESV_MSI);
		if (!ret)
			ret = rviommu_msi_region(head, pa, IOMMU_RESV_DIRECT_RELAXABLE);
		if (ret)
			return ret;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_msi_regions);
