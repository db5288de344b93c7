/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page tables: Sv39/Sv48/Sv57 and their x4 second-stage forms.
 *
 * Vocabulary: a *table* is one page of entries (16 KiB for a second-stage root);
 * an *entry* (PTE) is one aligned 64-bit word; a *leaf* maps memory, a *link*
 * points to the next table; *level* 0 is the last. IOVA and PA are in bytes.
 */
#ifndef RVIOMMU_PGTABLE_H
#define RVIOMMU_PGTABLE_H

#include <linux/kconfig.h>
#include <linux/list.h>
#include <linux/types.h>

struct rviommu_pgtable;

/**
 * struct rviommu_pgtable_cfg - what a page table is to be
 * @levels: 3, 4 or 5 (Sv39, Sv48, Sv57; x4 with @second_stage)
 * @second_stage: x4 format: IOVA two bits wider, zero-extended, 16 KiB root, U=1
 * @svnapot: 64 KiB leaves as 16 entries with N=1 may be used
 * @svpbmt: IOMMU_MMIO maps with PBMT = IO (else the bit is ignored)
 * @track_dirty: map writable leaves with D=0; hardware sets it
 * @pas_lg2: physical address width, capabilities.PAS; PAs beyond are refused and
 *           tables are not placed there
 * @nid: NUMA node for tables
 */
struct rviommu_pgtable_cfg {
	u8 levels;
	bool second_stage;
	bool svnapot;
	bool svpbmt;
	bool track_dirty;
	u8 pas_lg2;
	int nid;
};

/**
 * struct rviommu_pgtable_ops - what the page table needs from its owner
 * @sync_walk: a link at @iova covering 2^@size_lg2 bytes was cleared and its
 *             table, which holds no valid entry, is about to be replaced by a
 *             leaf. On return no IOMMU has the link in a walk cache. Called in
 *             the context of map; does not sleep.
 */
struct rviommu_pgtable_ops {
	void (*sync_walk)(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2);
};

/**
 * struct rviommu_pgtable - one page table
 * @cfg: constant after rviommu_pgtable_init()
 * @ops: constant after rviommu_pgtable_init()
 * @root: the root table; constant
 * @pgsizes: leaf sizes as a bit map of bytes (IOMMU core's pgsize_bitmap)
 * @va_mask: bits of an IOVA that select entries or bytes
 * @half_lg2: lg2 of the bytes whose IOVAs agree in all higher bits: half of the
 *            address space in the first stage, all of it in the second
 *
 * Who may race whom: map, unmap, iova_to_phys, for_each and the hardware run
 * without any lock, all at once. Two of them may only meet in one *leaf range*
 * if one is a reader: the IOMMU core's callers own the IOVA range that they map
 * or unmap. They do meet in the tables above it.
 *
 * - Every entry changes by one aligned 64-bit store or cmpxchg.
 * - map installs a missing table by cmpxchg from 0; the loser frees its table,
 *   which nobody saw, and uses the winner's.
 * - A table is taken out in two cases only (a leaf is mapped over an empty
 *   table; an unmap covers the whole range of a table). Its range is owned by
 *   that caller, so no other map or unmap is inside it; readers may be, and are
 *   under rcu_read_lock(): the page is freed after the hardware was
 *   synchronised and an RCU grace period.
 * - Hardware may set A and D in a leaf at any time, by an atomic of its own.
 */
struct rviommu_pgtable {
	struct rviommu_pgtable_cfg cfg;
	const struct rviommu_pgtable_ops *ops;
	u64 *root;
	unsigned long pgsizes;
	u64 va_mask;
	u8 half_lg2;
};

/**
 * struct rviommu_unmapped - what unmaps took out, to be invalidated
 * @tables: struct rviommu_page.node of unlinked tables. To be retired with
 *          rviommu_page_retire() after the walk caches were invalidated.
 * @leaf_lg2: lg2 of the smallest leaf removed in bytes, 0 when none was:
 *            one invalidation per so many bytes reaches every leaf
 *
 * The caller starts with an empty list and 0; several unmaps may add to one.
 *
 * Where an unmap took a part out of a larger leaf, @leaf_lg2 is the size of the
 * pieces removed, and hardware may still hold the larger leaf. That is enough:
 * an IOTINVAL removes every cached translation that contains the leaf entry
 * for its address, the larger one too (spec, "IOMMU Page-Table cache
 * invalidation commands"), and whatever remains cached for the other pieces
 * translates as their new entries do.
 */
struct rviommu_unmapped {
	struct list_head tables;
	unsigned int leaf_lg2;
};

/*
 * rviommu_pgtable_visit_t - called for each valid leaf
 * @arg: the caller's
 * @iova: first byte the leaf translates
 * @pte: the entry as read once
 * @size_lg2: lg2 of the bytes it maps (a NAPOT group is visited once)
 *
 * Called outside the RCU section in which the entry was read, so it may sleep;
 * the entry may have changed since. Non-zero stops the walk and becomes its
 * result.
 */
typedef int (*rviommu_pgtable_visit_t)(void *arg, u64 iova, u64 pte, unsigned int size_lg2);

int rviommu_pgtable_init(struct rviommu_pgtable *pt, const struct rviommu_pgtable_cfg *cfg,
			 const struct rviommu_pgtable_ops *ops);
void rviommu_pgtable_destroy(struct rviommu_pgtable *pt);

int rviommu_pgtable_map(struct rviommu_pgtable *pt, u64 iova, u64 pa, size_t pgsize,
			size_t pgcount, int prot, gfp_t gfp, size_t *mapped);
size_t rviommu_pgtable_unmap(struct rviommu_pgtable *pt, u64 iova, size_t pgsize,
			     size_t pgcount, struct rviommu_unmapped *unmapped);
u64 rviommu_pgtable_iova_to_phys(struct rviommu_pgtable *pt, u64 iova);
int rviommu_pgtable_for_each(struct rviommu_pgtable *pt, u64 iova, u64 last,
			     rviommu_pgtable_visit_t visit, void *arg);

#if IS_ENABLED(CONFIG_KUNIT)
u64 rviommu_napot_piece(u64 pte, unsigned int i);
#endif

/* Width of an IOVA in bits, sign bit included in the first stage. */
static inline unsigned int rviommu_pgtable_va_lg2(const struct rviommu_pgtable_cfg *cfg)
{
	return 12 + 9 * cfg->levels + (cfg->second_stage ? 2 : 0);
}

#endif /* RVIOMMU_PGTABLE_H */
