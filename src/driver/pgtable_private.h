/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the page table share: entries, their marks, and the way down.
 *
 * In these files a *va* is an IOVA without its sign: the bits that select
 * entries and bytes. *lg2* next to an entry is lg2 of the bytes it covers.
 */
#ifndef RVIOMMU_PGTABLE_PRIVATE_H
#define RVIOMMU_PGTABLE_PRIVATE_H

#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include <rviommu/formats.h>

#include "mem.h"
#include "pgtable.h"

#define RVIOMMU_PT_INDEX_LG2	9
#define RVIOMMU_PT_ENTRIES	BIT(RVIOMMU_PT_INDEX_LG2)	/* of every table but an x4 root */
#define RVIOMMU_PT_GROUP	BIT(RVIOMMU_NAPOT_LG2 - RVIOMMU_PAGE_LG2)

/*
 * Marks, in the two bits that hardware ignores; pgtable.h says who sets and who heeds them.
 *
 * In a 4 KiB leaf: it comes from a NAPOT group, and what becomes of the group is not
 * settled.
 */
#define RVIOMMU_PTE_SPLITTING	BIT_ULL(8)
/* In a leaf above the last level: hardware may still have the table that it replaces. */
#define RVIOMMU_PTE_FRESH	BIT_ULL(8)
/*
 * Somebody who owns nothing of it is about to replace this entry: a leaf by a table, a table
 * by a leaf, or, in an entry of a NAPOT group, the group by 4 KiB leaves.
 */
#define RVIOMMU_PTE_ANNOUNCED	BIT_ULL(9)
#define RVIOMMU_PTE_MARKS	(RVIOMMU_PTE_FRESH | RVIOMMU_PTE_ANNOUNCED)

static __always_inline unsigned int rviommu_pt_root_lg2(const struct rviommu_pgtable *pt)
{
	return RVIOMMU_PAGE_LG2 + RVIOMMU_PT_INDEX_LG2 * (pt->cfg.levels - 1);
}

static __always_inline bool rviommu_pte_is_valid(u64 pte)
{
	return pte & RVIOMMU_PTE_V;
}

static __always_inline bool rviommu_pte_is_link(u64 pte)
{
	return (pte & (RVIOMMU_PTE_V | RVIOMMU_PTE_LEAF)) == RVIOMMU_PTE_V;
}

static __always_inline bool rviommu_pte_is_leaf(u64 pte)
{
	return rviommu_pte_is_valid(pte) && (pte & RVIOMMU_PTE_LEAF);
}

/* A PPN in an entry is two bits lower than in an address. */
static __always_inline u64 rviommu_pte_pa(u64 pte)
{
	return (pte & RVIOMMU_PTE_PPN) << (RVIOMMU_PAGE_LG2 - RVIOMMU_PTE_PPN_SHIFT);
}

static __always_inline u64 rviommu_pa_pte(u64 pa)
{
	return pa >> (RVIOMMU_PAGE_LG2 - RVIOMMU_PTE_PPN_SHIFT);
}

static __always_inline u64 *rviommu_pte_table(u64 pte)
{
	return phys_to_virt(rviommu_pte_pa(pte));
}

static __always_inline u64 rviommu_table_pte(u64 *table)
{
	return rviommu_pa_pte(virt_to_phys(table)) | RVIOMMU_PTE_V;
}

/* The entry of a table below the root that a @va belongs to. */
static __always_inline u64 *rviommu_pt_entry(u64 *table, u64 va, unsigned int lg2)
{
	return table + ((va >> lg2) & (RVIOMMU_PT_ENTRIES - 1));
}

/* How many entries from the one of @va to the end of its table, at most @max. */
static __always_inline size_t rviommu_pt_run(u64 va, unsigned int lg2, u64 max)
{
	return min_t(u64, max,
		     RVIOMMU_PT_ENTRIES - ((va >> lg2) & (RVIOMMU_PT_ENTRIES - 1)));
}

/*
 * Does the table translate all of @iova to @last? The two have no address in
 * between that does not, because they are in the same half.
 */
static __always_inline bool rviommu_pt_exists(const struct rviommu_pgtable *pt, u64 iova, u64 last)
{
	s64 half = (s64)iova >> pt->half_lg2;

	return !((iova ^ last) >> pt->half_lg2) && last >= iova &&
	       (!half || (half == -1 && !pt->cfg.second_stage));
}

/*
 * The first address from @iova to @last that exists, and the last one of its half; false if
 * there is none.
 */
static inline bool rviommu_pt_half(const struct rviommu_pgtable *pt, u64 *iova, u64 *last)
{
	if (*iova > *last)
		return false;
	if (!rviommu_pt_exists(pt, *iova, *iova)) {
		u64 upper = ~0ULL << pt->half_lg2;

		if (pt->cfg.second_stage || upper > *last || *iova > upper)
			return false;
		*iova = upper;
	}
	*last = min(*last, *iova | ~(~0ULL << pt->half_lg2));
	return true;
}

/*
 * The entry for @iova at the level of @floor_lg2, or the one above that is no link. *@pte is
 * what was read of it. Under rcu_read_lock().
 */
static __always_inline u64 *rviommu_pt_find(const struct rviommu_pgtable *pt, u64 iova,
					    unsigned int floor_lg2, u64 *pte, unsigned int *lg2)
{
	u64 va = iova & pt->va_mask;
	u64 *e;

	*lg2 = rviommu_pt_root_lg2(pt);
	e = pt->root + (va >> *lg2);
	*pte = READ_ONCE(*e);
	while (*lg2 != floor_lg2 && rviommu_pte_is_link(*pte)) {
		*lg2 -= RVIOMMU_PT_INDEX_LG2;
		e = rviommu_pt_entry(rviommu_pte_table(*pte), va, *lg2);
		*pte = READ_ONCE(*e);
	}
	return e;
}

/* What any of four entries has, and what all of them have. */
static __always_inline u64 rviommu_pt_any4(const u64 *e)
{
	return READ_ONCE(e[0]) | READ_ONCE(e[1]) | READ_ONCE(e[2]) | READ_ONCE(e[3]);
}

static __always_inline u64 rviommu_pt_any16(const u64 *e)
{
	return rviommu_pt_any4(e) | rviommu_pt_any4(e + 4) | rviommu_pt_any4(e + 8) |
	       rviommu_pt_any4(e + 12);
}

static __always_inline u64 rviommu_pt_all4(const u64 *e)
{
	return READ_ONCE(e[0]) & READ_ONCE(e[1]) & READ_ONCE(e[2]) & READ_ONCE(e[3]);
}

static __always_inline u64 rviommu_pt_all16(const u64 *e)
{
	return rviommu_pt_all4(e) & rviommu_pt_all4(e + 4) & rviommu_pt_all4(e + 8) &
	       rviommu_pt_all4(e + 12);
}

#if !IS_ENABLED(CONFIG_KUNIT)
static inline void rviommu_pgtable_seam(const u64 *e) { }
#endif

u64 *rviommu_pgtable_table(const struct rviommu_pgtable *pt, gfp_t gfp);
bool rviommu_pgtable_split_leaf(u64 *e, u64 pte, unsigned int lg2, u64 *table, u64 have,
				unsigned int first, unsigned int last);
void rviommu_pgtable_split_group(u64 *group, u64 mark);
void rviommu_pgtable_mark_group(u64 *group, u64 have, u64 clear, u64 set);

#endif /* RVIOMMU_PGTABLE_PRIVATE_H */
