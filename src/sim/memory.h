/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory that a simulated IOMMU and the devices behind it reach: all that there is. */
#ifndef RVIOMMU_SIM_MEMORY_H
#define RVIOMMU_SIM_MEMORY_H

#include <linux/mm.h>
#include <linux/pfn.h>

/**
 * sim_memory() - is there memory that a DMA can reach?
 * @addr: physical address
 * @size: bytes; within one page
 *
 * Return: true if there is.
 */
static inline bool sim_memory(u64 addr, size_t size)
{
	return pfn_valid(PHYS_PFN(addr)) && offset_in_page(addr) + size <= PAGE_SIZE;
}

#endif /* RVIOMMU_SIM_MEMORY_H */
