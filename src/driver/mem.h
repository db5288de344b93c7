/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of the driver: pages that hardware walks, and everything else.
 *
 * Every allocation of an IOMMU, a device and a domain goes through this file, also where the
 * kernel allocates for us: one stub makes each of them fail in turn under KUnit. What the kernel
 * allocates to map registers or for interrupts fails by its own fault injection, in
 * scripts/guest/failures.sh.
 */
#ifndef RVIOMMU_MEM_H
#define RVIOMMU_MEM_H

#include <linux/gfp_types.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct device;
struct ida;
struct xarray;

/**
 * struct rviommu_page - descriptor of a run of pages that hardware walks
 * @node: links pages that are unlinked but not yet retired, or being retired.
 *        Owned by whoever took the page out of the tree.
 * @rcu: only of the first page of a retired list
 * @iova: of a table that a leaf has taken the place of, before it is retired: what it mapped
 * @virt: kernel address of the first byte
 * @nid: NUMA node it was accounted to
 * @order: lg2 of the number of PAGE_SIZE pages
 *
 * A separate object and not fields of struct page: list and RCU head must be
 * usable at the same time (background/001), and struct page promises neither
 * to an out-of-tree module. Found from the page through page_private().
 *
 * Lifetime: rviommu_page_alloc() to either rviommu_page_free() (nobody else
 * ever saw the page) or rviommu_page_retire().
 */
struct rviommu_page {
	struct list_head node;
	union {
		struct rcu_head rcu;
		u64 iova;
	};
	void *virt;
	int nid;
	unsigned int order;
};

bool rviommu_alloc_fails(void);

void *rviommu_zalloc(size_t size, gfp_t gfp);
void rviommu_free(const void *ptr);

int rviommu_xa_reserve(struct xarray *xa, unsigned long index);
int rviommu_xa_store(struct xarray *xa, unsigned long index, void *entry);
int rviommu_ida_alloc(struct ida *ida, unsigned int min, unsigned int max);
void __percpu *rviommu_percpu_alloc(size_t size, size_t align, gfp_t gfp);
void *rviommu_devm_zalloc(struct device *dev, size_t size);
const char *rviommu_devm_name(struct device *dev);
char *rviommu_strdup(const char *s);
struct iommu_resv_region *rviommu_resv_region(phys_addr_t pa, size_t size, int prot,
					      enum iommu_resv_type type);

void *rviommu_page_alloc(int nid, gfp_t gfp, unsigned int order, unsigned int pas_lg2);
void *rviommu_page_alloc_unset(int nid, gfp_t gfp, unsigned int pas_lg2);
void rviommu_page_free(void *virt);
void rviommu_page_retire(struct list_head *pages);

/**
 * rviommu_page_of() - the descriptor of a page from rviommu_page_alloc()
 * @virt: what rviommu_page_alloc() returned
 *
 * Return: the descriptor.
 */
static inline struct rviommu_page *rviommu_page_of(void *virt)
{
	return (struct rviommu_page *)page_private(virt_to_page(virt));
}

int rviommu_mem_init(void);
void rviommu_mem_exit(void);
long rviommu_mem_live(void);

#endif /* RVIOMMU_MEM_H */
