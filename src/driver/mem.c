// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of the driver: pages that hardware walks, and everything else.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "mem.h"

/*
 * Pages that one RCU callback frees at most. RCU limits how many callbacks run
 * in a row, not how long one of them takes: the tables of one large unmap would
 * otherwise all be freed in a single softirq.
 */
#define RETIRE_BATCH	128

static struct kmem_cache *page_cache;
static atomic_long_t live;

/**
 * rviommu_alloc_fails() - shall the next allocation fail?
 *
 * Always false; a KUnit test replaces it with a static stub. Asked once for
 * each piece of memory, so a page and its descriptor are two failures.
 *
 * Return: false.
 */
bool rviommu_alloc_fails(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_alloc_fails);
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_alloc_fails);

/**
 * rviommu_zalloc() - zeroed memory that hardware does not see
 * @size: bytes
 * @gfp: the caller's context
 *
 * Return: memory for rviommu_free(), or NULL.
 */
void *rviommu_zalloc(size_t size, gfp_t gfp)
{
	void *ptr = rviommu_alloc_fails() ? NULL : kzalloc(size, gfp);

	if (ptr)
		atomic_long_inc(&live);
	return ptr;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_zalloc);

/**
 * rviommu_free() - give memory of rviommu_zalloc() back, at once
 * @ptr: the memory, or NULL
 */
void rviommu_free(const void *ptr)
{
	if (!ptr)
		return;
	atomic_long_dec(&live);
	kfree(ptr);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_free);

/**
 * rviommu_xa_reserve() - a later xa_store() at an index needs no memory
 * @xa: the array
 * @index: where
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int rviommu_xa_reserve(struct xarray *xa, unsigned long index)
{
	return rviommu_alloc_fails() ? -ENOMEM : xa_reserve(xa, index, GFP_KERNEL);
}

/**
 * rviommu_xa_store() - xa_store() of a new entry
 * @xa: the array
 * @index: where
 * @entry: what
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int rviommu_xa_store(struct xarray *xa, unsigned long index, void *entry)
{
	return rviommu_alloc_fails() ? -ENOMEM : xa_err(xa_store(xa, index, entry, GFP_KERNEL));
}

/**
 * rviommu_ida_alloc() - a small number that nobody has
 * @ida: who has which
 * @min: the smallest
 * @max: the largest
 *
 * Context: may sleep.
 * Return: the number; -ENOSPC when there is none, -ENOMEM.
 */
int rviommu_ida_alloc(struct ida *ida, unsigned int min, unsigned int max)
{
	return rviommu_alloc_fails() ? -ENOMEM : ida_alloc_range(ida, min, max, GFP_KERNEL);
}

/**
 * rviommu_percpu_alloc() - zeroed memory for each CPU
 * @size: bytes
 * @align: of them
 * @gfp: the caller's context
 *
 * Return: memory for free_percpu(), or NULL.
 */
void __percpu *rviommu_percpu_alloc(size_t size, size_t align, gfp_t gfp)
{
	return rviommu_alloc_fails() ? NULL : __alloc_percpu_gfp(size, align, gfp);
}

/**
 * rviommu_devm_zalloc() - zeroed memory that goes with a device
 * @dev: the device
 * @size: bytes
 *
 * Return: the memory, or NULL.
 */
void *rviommu_devm_zalloc(struct device *dev, size_t size)
{
	return rviommu_alloc_fails() ? NULL : devm_kzalloc(dev, size, GFP_KERNEL);
}

/**
 * rviommu_devm_name() - the name of the IOMMU that a device is
 * @dev: the device
 *
 * Return: the name, which goes with the device, or NULL.
 */
const char *rviommu_devm_name(struct device *dev)
{
	return rviommu_alloc_fails() ? NULL :
	       devm_kasprintf(dev, GFP_KERNEL, "rviommu-%s", dev_name(dev));
}

/**
 * rviommu_strdup() - a copy of a string
 * @s: the string
 *
 * Return: the copy, for kfree(), or NULL.
 */
char *rviommu_strdup(const char *s)
{
	return rviommu_alloc_fails() ? NULL : kstrdup(s, GFP_KERNEL);
}

/**
 * rviommu_resv_region() - a reserved region for the core's list
 * @pa: its address
 * @size: bytes
 * @prot: IOMMU_*
 * @type: what kind
 *
 * Return: the region, or NULL.
 */
struct iommu_resv_region *rviommu_resv_region(phys_addr_t pa, size_t size, int prot,
					      enum iommu_resv_type type)
{
	return rviommu_alloc_fails() ? NULL :
	       iommu_alloc_resv_region(pa, size, prot, type, GFP_KERNEL);
}

/* Both sums that /proc/meminfo and the memory cgroup show of page tables. */
static void account(struct page *page, long pages)
{
	mod_node_page_state(page_pgdat(page), NR_IOMMU_PAGES, pages);
	mod_lruvec_page_state(page, NR_SECONDARY_PAGETABLE, pages);
}

static bool too_high(struct page *page, unsigned int order, unsigned int pas_lg2)
{
	return pas_lg2 < 64 && (page_to_phys(page) + (PAGE_SIZE << order) - 1) >> pas_lg2;
}

/* As rviommu_page_alloc(), with what @page_gfp says of their contents */
static void *page_alloc(int nid, gfp_t gfp, gfp_t page_gfp, unsigned int order,
			unsigned int pas_lg2)
{
	struct rviommu_page *desc;
	struct page *page;

	if (rviommu_alloc_fails())
		return NULL;

	/* The counters know a run of pages only as a folio. */
	if (order)
		page_gfp |= __GFP_COMP;
	page_gfp |= gfp;
	page = alloc_pages_node(nid, page_gfp, order);
	if (page && too_high(page, order, pas_lg2)) {
		__free_pages(page, order);
		page = alloc_pages_node(nid, page_gfp | GFP_DMA32, order);
		if (page && too_high(page, order, pas_lg2)) {
			__free_pages(page, order);
			page = NULL;
		}
	}
	if (!page)
		return NULL;

	desc = rviommu_alloc_fails() ? NULL : kmem_cache_alloc_node(page_cache, gfp, nid);
	if (!desc) {
		__free_pages(page, order);
		return NULL;
	}

	INIT_LIST_HEAD(&desc->node);
	desc->virt = page_address(page);
	desc->nid = page_to_nid(page);
	desc->order = order;
	set_page_private(page, (unsigned long)desc);
	account(page, 1L << order);
	atomic_long_inc(&live);
	return desc->virt;
}

/**
 * rviommu_page_alloc() - zeroed pages that hardware can walk
 * @nid: NUMA node, or %NUMA_NO_NODE
 * @gfp: the caller's context; %__GFP_ACCOUNT charges the memory cgroup
 * @order: lg2 of the number of PAGE_SIZE pages; the memory is aligned to its size
 * @pas_lg2: no byte of it may lie at or above 2^@pas_lg2
 *
 * Memory too high for the IOMMU is given back, and the zone below 4 GiB
 * asked instead. An IOMMU with fewer address bits than that gets what happens
 * to lie low enough, or nothing.
 *
 * Return: the kernel address, or NULL.
 */
void *rviommu_page_alloc(int nid, gfp_t gfp, unsigned int order, unsigned int pas_lg2)
{
	return page_alloc(nid, gfp, __GFP_ZERO, order, pas_lg2);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_page_alloc);

/**
 * rviommu_page_alloc_unset() - a page that the caller fills before hardware can find it
 * @nid: as for rviommu_page_alloc()
 * @gfp: likewise
 * @pas_lg2: likewise
 *
 * Whatever was there before still is: who copies a whole page need not have it cleared.
 *
 * Return: the kernel address, or NULL.
 */
void *rviommu_page_alloc_unset(int nid, gfp_t gfp, unsigned int pas_lg2)
{
	return page_alloc(nid, gfp, 0, 0, pas_lg2);
}

static void page_put(struct rviommu_page *desc)
{
	struct page *page = virt_to_page(desc->virt);

	set_page_private(page, 0);
	account(page, -(1L << desc->order));
	__free_pages(page, desc->order);
	kmem_cache_free(page_cache, desc);
	atomic_long_dec(&live);
}

/**
 * rviommu_page_free() - give pages back at once
 * @virt: from rviommu_page_alloc(), or NULL. Neither hardware nor an RCU reader
 *        can have it.
 */
void rviommu_page_free(void *virt)
{
	if (virt)
		page_put(rviommu_page_of(virt));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_page_free);

static void retire_batch(struct rcu_head *rcu)
{
	struct rviommu_page *first = container_of(rcu, struct rviommu_page, rcu);
	struct rviommu_page *desc, *next;

	/* The ring has no head: @first stands for it and goes last. */
	list_for_each_entry_safe(desc, next, &first->node, node)
		page_put(desc);
	page_put(first);
}

/**
 * rviommu_page_retire() - give pages back after an RCU grace period
 * @pages: struct rviommu_page.node of the pages; empty on return
 *
 * The caller has seen to it that no IOMMU reaches the pages any more. Software
 * that does holds rcu_read_lock().
 *
 * Context: any. Allocates nothing.
 */
void rviommu_page_retire(struct list_head *pages)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_page_retire, pages);
	while (!list_empty(pages)) {
		struct rviommu_page *first = list_first_entry(pages, struct rviommu_page, node);
		struct list_head *last = &first->node;
		unsigned int n = 1;
		LIST_HEAD(batch);

		while (n < RETIRE_BATCH && !list_is_last(last, pages)) {
			last = last->next;
			n++;
		}
		list_cut_position(&batch, pages, last);
		list_del(&batch);
		call_rcu(&first->rcu, retire_batch);
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_page_retire);

/**
 * rviommu_mem_live() - how much is allocated
 *
 * Return: runs of pages plus rviommu_zalloc() memory. What was retired counts
 * until its grace period has ended: rviommu_inval_barrier() and rcu_barrier() before
 * comparing.
 */
long rviommu_mem_live(void)
{
	return atomic_long_read(&live);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_mem_live);

/**
 * rviommu_mem_init() - before the first allocation
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_mem_init(void)
{
	/* Only struct page points to descriptors: kmemleak does not look there. */
	page_cache = kmem_cache_create("rviommu_page", sizeof(struct rviommu_page), 0,
				       SLAB_NOLEAKTRACE, NULL);
	return page_cache ? 0 : -ENOMEM;
}

/**
 * rviommu_mem_exit() - after the last allocation was freed or retired
 */
void rviommu_mem_exit(void)
{
	/* Descriptors and our code in call_rcu() callbacks. */
	rcu_barrier();
	WARN_ON(atomic_long_read(&live));
	kmem_cache_destroy(page_cache);
	page_cache = NULL;
}
