/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory that a simulated IOMMU and the devices behind it reach: all that there is. */
#ifndef RVIOMMU_SIM_MEMORY_H
#define RVIOMMU_SIM_MEMORY_H

#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/pfn.h>

/*
 * The kernel has a struct page for more than it has mapped: for holes, and for what it was told to
 * leave alone, such as the memory of our own functions. Those are reserved. So is what it keeps
 * from its own image and tables, where no DMA has business; but for the page of zeroes.
 */
static inline bool sim_memory_page(const struct page *page)
{
	return page && (!PageReserved(page) || page == ZERO_PAGE(0));
}

/**
 * sim_memory() - is there memory that a DMA can reach?
 * @addr: physical address
 * @size: bytes; within one page
 *
 * Return: true if there is.
 */
static inline bool sim_memory(u64 addr, size_t size)
{
	return sim_memory_page(pfn_to_online_page(PHYS_PFN(addr))) &&
	       offset_in_page(addr) + size <= PAGE_SIZE;
}

#endif /* RVIOMMU_SIM_MEMORY_H */
