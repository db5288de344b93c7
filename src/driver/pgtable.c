// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page tables. pgtable.h has the vocabulary and who may race whom.
 *
 * Inside this file a *va* is an IOVA without its sign: the bits that select
 * entries and bytes. *lg2* next to an entry is lg2 of the bytes it covers.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include <rviommu/formats.h>

#include "mem.h"
#include "pgtable.h"

#define INDEX_LG2	9
#define ENTRIES		BIT(INDEX_LG2)	/* of every table but an x4 root */
#define NAPOT_ENTRIES	BIT(RVIOMMU_NAPOT_LG2 - RVIOMMU_PAGE_LG2)
#define PA_LG2_MAX	56
/*
 * In a 4 KiB leaf: it comes from a NAPOT group, and what becomes of the group is not
 * settled. One of the two bits that hardware ignores.
 */
#define PTE_SPLITTING	BIT_ULL(8)
/* Visits between two RCU sections of rviommu_pgtable_for_each() */
#define VISIT_BATCH	16

/* Tables are counted in pages of both sides. */
static_assert(PAGE_SIZE == RVIOMMU_PAGE_SIZE);
static_assert(PTE_SPLITTING & RVIOMMU_PTE_RSW);

static __always_inline unsigned int root_lg2(const struct rviommu_pgtable *pt)
{
	return RVIOMMU_PAGE_LG2 + INDEX_LG2 * (pt->cfg.levels - 1);
}

static __always_inline bool is_valid(u64 pte)
{
	return pte & RVIOMMU_PTE_V;
}

static __always_inline bool is_link(u64 pte)
{
	return (pte & (RVIOMMU_PTE_V | RVIOMMU_PTE_LEAF)) == RVIOMMU_PTE_V;
}

static __always_inline bool is_leaf(u64 pte)
{
	return is_valid(pte) && (pte & RVIOMMU_PTE_LEAF);
}

/* A PPN in an entry is two bits lower than in an address. */
static __always_inline u64 pte_pa(u64 pte)
{
	return (pte & RVIOMMU_PTE_PPN) << (RVIOMMU_PAGE_LG2 - RVIOMMU_PTE_PPN_SHIFT);
}

static __always_inline u64 pa_pte(u64 pa)
{
	return pa >> (RVIOMMU_PAGE_LG2 - RVIOMMU_PTE_PPN_SHIFT);
}

static __always_inline u64 *link_table(u64 pte)
{
	return phys_to_virt(pte_pa(pte));
}

static __always_inline u64 table_link(u64 *table)
{
	return pa_pte(virt_to_phys(table)) | RVIOMMU_PTE_V;
}

/* The entry of a table below the root that a @va belongs to. */
static __always_inline u64 *entry(u64 *table, u64 va, unsigned int lg2)
{
	return table + ((va >> lg2) & (ENTRIES - 1));
}

/* How many entries from the one of @va to the end of its table, at most @max. */
static __always_inline size_t run(u64 va, unsigned int lg2, u64 max)
{
	return min_t(u64, max, ENTRIES - ((va >> lg2) & (ENTRIES - 1)));
}

/* A whole entry of 2^@lg2 bytes from @va, with @left bytes to go? */
static __always_inline bool covers(u64 va, u64 left, unsigned int lg2)
{
	return !(va & (BIT_ULL(lg2) - 1)) && left >> lg2;
}

/*
 * Does the table translate all of @iova to @last? The two have no address in
 * between that does not, because they are in the same half.
 */
static __always_inline bool iovas_exist(const struct rviommu_pgtable *pt, u64 iova, u64 last)
{
	s64 half = (s64)iova >> pt->half_lg2;

	return !((iova ^ last) >> pt->half_lg2) && last >= iova &&
	       (!half || (half == -1 && !pt->cfg.second_stage));
}

static u64 *table_alloc(const struct rviommu_pgtable *pt, gfp_t gfp)
{
	return rviommu_page_alloc(pt->cfg.nid, gfp, 0, pt->cfg.pas_lg2);
}

/**
 * rviommu_pgtable_init() - an empty page table
 * @pt: to fill in
 * @cfg: what it is to be; copied
 * @ops: what it needs from its owner; must outlive it
 *
 * Return: 0, -EINVAL for a format that does not exist, -ENOMEM.
 */
int rviommu_pgtable_init(struct rviommu_pgtable *pt, const struct rviommu_pgtable_cfg *cfg,
			 const struct rviommu_pgtable_ops *ops)
{
	unsigned int va_lg2 = rviommu_pgtable_va_lg2(cfg);
	unsigned long sizes = SZ_4K | SZ_2M | SZ_1G;

	if (cfg->levels < 3 || cfg->levels > 5)
		return -EINVAL;
	if (cfg->pas_lg2 <= RVIOMMU_PAGE_LG2 || cfg->pas_lg2 > PA_LG2_MAX)
		return -EINVAL;

	if (cfg->levels > 3)
		sizes |= BIT_ULL(39);
	if (cfg->svnapot)
		sizes |= SZ_64K;

	pt->cfg = *cfg;
	pt->ops = ops;
	pt->pgsizes = sizes & (BIT_ULL(cfg->pas_lg2) - 1);
	pt->va_mask = BIT_ULL(va_lg2) - 1;
	pt->half_lg2 = cfg->second_stage ? va_lg2 : va_lg2 - 1;
	pt->root = rviommu_page_alloc(cfg->nid, GFP_KERNEL_ACCOUNT, cfg->second_stage ? 2 : 0,
				      cfg->pas_lg2);
	return pt->root ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_init);

static void take_table(u64 *table, struct list_head *tables)
{
	list_add_tail(&rviommu_page_of(table)->node, tables);
}

/* Put the tables below the first @n entries of @table, whose entries cover 2^@lg2, onto @tables. */
static void take_tables(u64 *table, size_t n, unsigned int lg2, struct list_head *tables)
{
	size_t i;

	if (lg2 == RVIOMMU_PAGE_LG2)
		return;
	for (i = 0; i < n; i++) {
		u64 pte = READ_ONCE(table[i]);

		if (!is_link(pte))
			continue;
		take_tables(link_table(pte), ENTRIES, lg2 - INDEX_LG2, tables);
		take_table(link_table(pte), tables);
	}
}

/**
 * rviommu_pgtable_destroy() - free all tables, whatever they map
 * @pt: no IOMMU reaches it any more, nor caches what it held; no map or unmap
 *      runs. Readers may, under rcu_read_lock(): memory goes after them.
 */
void rviommu_pgtable_destroy(struct rviommu_pgtable *pt)
{
	size_t n = (size_t)(pt->va_mask >> root_lg2(pt)) + 1;
	LIST_HEAD(tables);

	take_tables(pt->root, n, root_lg2(pt), &tables);
	take_table(pt->root, &tables);
	pt->root = NULL;
	rviommu_page_retire(&tables);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_destroy);

/*
 * The bits of a leaf that say how memory may be used. 0: a @prot that allows
 * nothing, which no leaf can express (XWR = 0 is a link).
 */
static __always_inline u64 prot_bits(const struct rviommu_pgtable *pt, int prot)
{
	u64 pte = RVIOMMU_PTE_V | RVIOMMU_PTE_A | RVIOMMU_PTE_R;

	if (unlikely(!(prot & (IOMMU_READ | IOMMU_WRITE))))
		return 0;
	/* W without R is reserved: what may be written may be read. */
	if (prot & IOMMU_WRITE)
		pte |= RVIOMMU_PTE_W | (pt->cfg.track_dirty ? 0 : RVIOMMU_PTE_D);
	if (!(prot & IOMMU_NOEXEC))
		pte |= RVIOMMU_PTE_X;
	/*
	 * Requests without a PASID are at user privilege, and without U none of
	 * them could use the mapping: IOMMU_PRIV cannot be expressed, and is a hint.
	 */
	pte |= RVIOMMU_PTE_U;
	if (pt->cfg.svpbmt && (prot & IOMMU_MMIO))
		pte |= FIELD_PREP(RVIOMMU_PTE_PBMT, RVIOMMU_PTE_PBMT_IO);
	return pte;
}

/*
 * Give the invalid entry @e a table. Neighbours may do the same: one wins.
 * Returns the link that is there, or 0 without memory.
 */
static noinline u64 install_table(const struct rviommu_pgtable *pt, u64 *e, gfp_t gfp)
{
	u64 *table = table_alloc(pt, gfp);
	u64 old = 0;

	if (!table)
		return 0;
	/* Full order: the zeroes of the table come before its link. */
	if (try_cmpxchg(e, &old, table_link(table)))
		return table_link(table);
	rviommu_page_free(table);
	return old;
}

/* No valid leaf in @table or below it? Its entries cover 2^@lg2. */
static bool table_is_empty(u64 *table, unsigned int lg2)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		u64 pte = READ_ONCE(table[i]);

		if (!is_valid(pte))
			continue;
		if (lg2 == RVIOMMU_PAGE_LG2 || !is_link(pte) ||
		    !table_is_empty(link_table(pte), lg2 - INDEX_LG2))
			return false;
	}
	return true;
}

/*
 * Replace the table that @e links to by the leaf @pte, if the table is empty.
 * Nobody else is inside the 2^@lg2 bytes at @iova but readers and the hardware,
 * which may have the link cached: with the leaf in force and the link still in
 * a walk cache, it would fault on what the leaf maps.
 */
static noinline int replace_table(struct rviommu_pgtable *pt, u64 *e, u64 iova,
				  unsigned int lg2, u64 pte)
{
	u64 *table = link_table(READ_ONCE(*e));
	LIST_HEAD(tables);

	if (!table_is_empty(table, lg2 - INDEX_LG2))
		return -EADDRINUSE;
	take_tables(table, ENTRIES, lg2 - INDEX_LG2, &tables);
	take_table(table, &tables);

	WRITE_ONCE(*e, 0);
	pt->ops->sync_walk(pt, iova, lg2);
	WRITE_ONCE(*e, pte);
	rviommu_page_retire(&tables);
	return 0;
}

/* What any of four entries has, and what all of them have. */
static __always_inline u64 any4(const u64 *e)
{
	return READ_ONCE(e[0]) | READ_ONCE(e[1]) | READ_ONCE(e[2]) | READ_ONCE(e[3]);
}

static __always_inline u64 all4(const u64 *e)
{
	return READ_ONCE(e[0]) & READ_ONCE(e[1]) & READ_ONCE(e[2]) & READ_ONCE(e[3]);
}

static __always_inline void set4(u64 *e, u64 pte, u64 step)
{
	WRITE_ONCE(e[0], pte);
	WRITE_ONCE(e[1], pte + step);
	WRITE_ONCE(e[2], pte + 2 * step);
	WRITE_ONCE(e[3], pte + 3 * step);
}

/*
 * Fill @n entries from @e with leaves, the first of which is @pte and each next
 * one @step higher. Returns how many it filled: it stops at one in use. The
 * caller owns the range, so what was read as free stays free until the store.
 */
static __always_inline size_t fill_leaves(u64 *e, size_t n, u64 pte, u64 step)
{
	u64 *const start = e;
	u64 *const end = e + n;

	for (; end - e >= 4 && likely(!any4(e)); e += 4, pte += 4 * step)
		set4(e, pte, step);
	for (; e < end && !READ_ONCE(*e); e++, pte += step)
		WRITE_ONCE(*e, pte);
	return e - start;
}

/* The same for groups of 16 entries that are all equal; @n counts groups. */
static __always_inline size_t fill_napot(u64 *e, size_t n, u64 pte, u64 step)
{
	size_t done;

	for (done = 0; done < n; done++, e += NAPOT_ENTRIES, pte += step) {
		if (unlikely(any4(e) | any4(e + 4) | any4(e + 8) | any4(e + 12)))
			break;
		set4(e, pte, 0);
		set4(e + 4, pte, 0);
		set4(e + 8, pte, 0);
		set4(e + 12, pte, 0);
	}
	return done;
}

/**
 * rviommu_pgtable_map() - map a range
 * @pt: page table
 * @iova: where, aligned to @pgsize
 * @pa: to what, aligned to @pgsize
 * @pgsize: size of each leaf in bytes, one of @pt->pgsizes
 * @pgcount: how many
 * @prot: IOMMU_READ, IOMMU_WRITE and their modifiers. %IOMMU_WRITE alone maps
 *        readable, too, for want of an encoding. %IOMMU_PRIV and
 *        %IOMMU_CACHE change nothing: requests are at user privilege, and the
 *        IOMMU is coherent.
 * @gfp: for tables
 * @mapped: bytes mapped, exactly, also on error. Nothing else changed then,
 *          except that tables may have been added, which are kept.
 *
 * Context: any that @gfp allows; the caller owns the IOVA range. May call
 * &rviommu_pgtable_ops.sync_walk.
 *
 * Return: 0; -EINVAL misaligned, no pages, a size or @prot that cannot be;
 * -ERANGE an IOVA or a physical address that does not exist; -EADDRINUSE
 * something is mapped there; -ENOMEM.
 */
int rviommu_pgtable_map(struct rviommu_pgtable *pt, u64 iova, u64 pa, size_t pgsize,
			size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	unsigned int pg_lg2, leaf_lg2, lg2;
	u64 pte, step, size, va, left;
	u64 *e;

	*mapped = 0;
	if (unlikely(!pgsize || (pgsize & (pgsize - 1)) || !(pgsize & pt->pgsizes) || !pgcount ||
		     ((iova | pa) & (pgsize - 1))))
		return -EINVAL;
	pte = prot_bits(pt, prot);
	if (unlikely(!pte))
		return -EINVAL;

	pg_lg2 = __ffs(pgsize);
	size = pgcount << pg_lg2;
	if (unlikely(size >> pg_lg2 != pgcount || !iovas_exist(pt, iova, iova + size - 1) ||
		     pa + size - 1 < pa || (pa + size - 1) >> pt->cfg.pas_lg2))
		return -ERANGE;

	/* Entries that leaves of this size lie in; 64K uses those of 4K. */
	leaf_lg2 = pg_lg2 == RVIOMMU_NAPOT_LG2 ? RVIOMMU_PAGE_LG2 : pg_lg2;
	pte |= pa_pte(pa);
	if (pg_lg2 == RVIOMMU_NAPOT_LG2)
		pte |= RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K;
	step = pa_pte(pgsize);

	va = iova & pt->va_mask;
	left = size;
	do {
		size_t n, done;

		lg2 = root_lg2(pt);
		e = pt->root + (va >> lg2);
		while (lg2 != leaf_lg2) {
			u64 link = READ_ONCE(*e);

			if (unlikely(!link)) {
				link = install_table(pt, e, gfp);
				if (!link)
					return -ENOMEM;
			}
			if (unlikely(!is_link(link)))
				return -EADDRINUSE;
			lg2 -= INDEX_LG2;
			e = entry(link_table(link), va, lg2);
		}

		if (likely(pgcount == 1) && pg_lg2 != RVIOMMU_NAPOT_LG2 && likely(!READ_ONCE(*e))) {
			WRITE_ONCE(*e, pte);
			*mapped = size;
			return 0;
		}
		n = run(va, lg2, left >> lg2);
		if (pg_lg2 == RVIOMMU_NAPOT_LG2) {
			n /= NAPOT_ENTRIES;
			done = fill_napot(e, n, pte, step);
		} else {
			done = fill_leaves(e, n, pte, step);
			if (unlikely(done < n) && lg2 != RVIOMMU_PAGE_LG2 &&
			    is_link(READ_ONCE(e[done]))) {
				int err = replace_table(pt, e + done,
							iova + *mapped + ((u64)done << lg2),
							lg2, pte + done * step);

				/* The rest of the run, if any, is the next turn's. */
				if (!err)
					n = ++done;
			}
		}
		*mapped += (u64)done << pg_lg2;
		if (unlikely(done < n))
			return -EADDRINUSE;
		pte += done * step;
		va += (u64)done << pg_lg2;
		left -= (u64)done << pg_lg2;
	} while (unlikely(left));
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_map);

static __always_inline void took_leaf(struct rviommu_unmapped *unmapped, unsigned int lg2)
{
	if (!unmapped->leaf_lg2 || lg2 < unmapped->leaf_lg2)
		unmapped->leaf_lg2 = lg2;
}

/**
 * rviommu_pgtable_seam() - between the reading of a live entry and its replacement
 * @e: the entry
 *
 * Does nothing. Here a test lets others act, hardware or another split: each step that
 * replaces a live entry calls it once for each attempt.
 */
VISIBLE_IF_KUNIT void rviommu_pgtable_seam(const u64 *e)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_pgtable_seam, e);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_seam);

/*
 * Replace the leaf @e of 2^@lg2 bytes, last read as @pte, by a table of 512
 * leaves that translate the same: what the spec allows in one store ("Accessed
 * (A)/Dirty (D) bit updates and page promotions"). Hardware may set A and D
 * until the very store, hence cmpxchg: each piece inherits them, so the record
 * of a write may grow but is never lost.
 *
 * Returns false when there is no memory; nothing has changed then. On true the
 * entry has to be read again.
 */
static noinline bool split_leaf(struct rviommu_pgtable *pt, u64 *e, u64 pte, unsigned int lg2)
{
	u64 step = pa_pte(BIT_ULL(lg2 - INDEX_LG2));
	u64 *table = table_alloc(pt, GFP_ATOMIC | __GFP_NOWARN);
	unsigned int i;

	if (!table)
		return false;
	do {
		for (i = 0; i < ENTRIES; i++)
			table[i] = pte + i * step;
		rviommu_pgtable_seam(e);
		if (try_cmpxchg(e, &pte, table_link(table)))
			return true;
	} while (is_leaf(pte));

	/* Somebody unmaps another part of the same leaf and was faster. */
	rviommu_page_free(table);
	return true;
}

/*
 * Of the 16 entries at @group, replace each that has the bit @have: without the bits
 * @clear, with @set, and entry i with i times @step on top. All others are somebody
 * else's and are left alone, whatever they become meanwhile.
 */
static void replace_in_group(u64 *group, u64 have, u64 clear, u64 set, u64 step)
{
	unsigned int i;

	for (i = 0; i < NAPOT_ENTRIES; i++) {
		u64 old = READ_ONCE(group[i]);
		u64 new;

		do {
			new = ((old & ~clear) | set) + i * step;
			if (!(old & have) || new == old)
				break;
			rviommu_pgtable_seam(&group[i]);
		} while (!try_cmpxchg(&group[i], &old, new));
	}
}

/*
 * Turn the 16 entries of the NAPOT group that @e is in into 4 KiB leaves that
 * translate the same. The caller owns the page of @e. Others may do the same at the same
 * time, and be anywhere in it; what one has done the other finds done. pgtable.h says why
 * it takes three rounds.
 */
static noinline void split_napot(u64 *e)
{
	u64 *group = PTR_ALIGN_DOWN(e, NAPOT_ENTRIES * sizeof(*e));
	u64 ad = 0;
	unsigned int i;

	replace_in_group(group, RVIOMMU_PTE_N, RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K, PTE_SPLITTING,
			 pa_pte(RVIOMMU_PAGE_SIZE));
	for (i = 0; i < NAPOT_ENTRIES; i++) {
		u64 pte = READ_ONCE(group[i]);

		if (pte & PTE_SPLITTING)
			ad |= pte & (RVIOMMU_PTE_A | RVIOMMU_PTE_D);
	}
	replace_in_group(group, PTE_SPLITTING, 0, ad, 0);
	replace_in_group(group, PTE_SPLITTING, PTE_SPLITTING, 0, 0);
}

static __always_inline void clear_napot(u64 *e)
{
	set4(e, 0, 0);
	set4(e + 4, 0, 0);
	set4(e + 8, 0, 0);
	set4(e + 12, 0, 0);
}

/*
 * Clear up to @n entries of a last-level table from @e, until an invalid one.
 * Returns how many were cleared.
 */
static __always_inline size_t clear_small(u64 *e, size_t n, struct rviommu_unmapped *unmapped)
{
	u64 *const start = e;
	u64 *const end = e + n;

	while (e < end) {
		u64 pte = READ_ONCE(*e);

		if (unlikely(!is_valid(pte)))
			break;
		if (pte & (RVIOMMU_PTE_N | PTE_SPLITTING)) {
			/* Who owns the whole group does not meet one that is being split. */
			if (!IS_ALIGNED((unsigned long)e, NAPOT_ENTRIES * sizeof(*e)) ||
			    end - e < NAPOT_ENTRIES) {
				split_napot(e);
				continue;
			}
			clear_napot(e);
			e += NAPOT_ENTRIES;
			took_leaf(unmapped, RVIOMMU_NAPOT_LG2);
			continue;
		}
		do {
			WRITE_ONCE(*e, 0);
			if (++e == end)
				break;
			pte = READ_ONCE(*e);
		} while ((pte & (RVIOMMU_PTE_V | RVIOMMU_PTE_N | PTE_SPLITTING)) == RVIOMMU_PTE_V);
		unmapped->leaf_lg2 = RVIOMMU_PAGE_LG2;
	}
	return e - start;
}

/* The same for leaves of 2^@lg2 bytes above the last level. */
static size_t clear_large(u64 *e, size_t n, unsigned int lg2, struct rviommu_unmapped *unmapped)
{
	size_t i;

	for (i = 0; i < n && is_leaf(READ_ONCE(e[i])); i++)
		WRITE_ONCE(e[i], 0);
	if (i)
		took_leaf(unmapped, lg2);
	return i;
}

/* Bits that all entries of a table have. */
static u64 common_bits(const u64 *table)
{
	u64 all = ~0ULL;
	unsigned int i;

	for (i = 0; i < ENTRIES && is_valid(all); i += 8)
		all &= all4(table + i) & all4(table + i + 4);
	return all;
}

/*
 * Unmap all that the link @e, last read as @link, covers: 2^@lg2 bytes. A
 * full table is unlinked as it is, with its leaves in it: as long as hardware
 * has the link cached, their state is that of cached leaves, and one
 * invalidation ends both. A table with a hole is cleared up to the hole and
 * stays.
 *
 * Returns the bytes unmapped.
 */
static u64 unmap_table(u64 *e, u64 link, unsigned int lg2, struct rviommu_unmapped *unmapped)
{
	u64 *table = link_table(link);

	lg2 -= INDEX_LG2;
	if (lg2 == RVIOMMU_PAGE_LG2) {
		u64 all = common_bits(table);

		if (!is_valid(all))
			return (u64)clear_small(table, ENTRIES, unmapped) << lg2;
		took_leaf(unmapped, all & RVIOMMU_PTE_N ? RVIOMMU_NAPOT_LG2 : RVIOMMU_PAGE_LG2);
	} else {
		size_t i = 0;

		while (i < ENTRIES) {
			u64 pte = READ_ONCE(table[i]);
			u64 done;

			if (is_link(pte)) {
				done = unmap_table(&table[i], pte, lg2, unmapped);
				if (done != BIT_ULL(lg2))
					return ((u64)i << lg2) + done;
				i++;
			} else if (is_valid(pte)) {
				i += clear_large(&table[i], ENTRIES - i, lg2, unmapped);
			} else {
				return (u64)i << lg2;
			}
		}
	}
	WRITE_ONCE(*e, 0);
	take_table(table, &unmapped->tables);
	return BIT_ULL(lg2 + INDEX_LG2);
}

/**
 * rviommu_pgtable_unmap() - unmap a range up to its first hole
 * @pt: page table
 * @iova: where, aligned to @pgsize
 * @pgsize: one of @pt->pgsizes. Says how long the range is, not what was mapped
 *          there: smaller leaves are removed, of a larger one a part.
 * @pgcount: how many
 * @unmapped: what has to be invalidated is added here
 *
 * Taking a part out of a leaf replaces it by smaller ones first, which needs
 * memory (at most one table a level at each end of the range). Without it the
 * range ends before that leaf, which stays as it is.
 *
 * Context: any; the caller owns the IOVA range. The caller orders the removal
 * against what it reads next (smp_mb()), invalidates, then retires the tables.
 *
 * Return: bytes unmapped from @iova on; 0 also for a range that cannot be.
 */
size_t rviommu_pgtable_unmap(struct rviommu_pgtable *pt, u64 iova, size_t pgsize,
			     size_t pgcount, struct rviommu_unmapped *unmapped)
{
	unsigned int pg_lg2, lg2;
	u64 size, va, left, want, done;

	if (unlikely(!pgsize || (pgsize & (pgsize - 1)) || !(pgsize & pt->pgsizes) || !pgcount ||
		     (iova & (pgsize - 1))))
		return 0;
	pg_lg2 = __ffs(pgsize);
	size = pgcount << pg_lg2;
	if (unlikely(size >> pg_lg2 != pgcount || !iovas_exist(pt, iova, iova + size - 1)))
		return 0;

	va = iova & pt->va_mask;
	left = size;
	do {
		u64 *e, pte;

		lg2 = root_lg2(pt);
		e = pt->root + (va >> lg2);
		for (;;) {
			pte = READ_ONCE(*e);
			if (lg2 == RVIOMMU_PAGE_LG2 || covers(va, left, lg2))
				break;
			if (is_link(pte)) {
				lg2 -= INDEX_LG2;
				e = entry(link_table(pte), va, lg2);
			} else if (unlikely(!is_valid(pte)) ||
				   unlikely(!split_leaf(pt, e, pte, lg2))) {
				return size - left;
			}
		}

		if (lg2 == RVIOMMU_PAGE_LG2) {
			want = (u64)run(va, lg2, left >> lg2) << lg2;
			done = (u64)clear_small(e, want >> lg2, unmapped) << lg2;
		} else if (is_link(pte)) {
			want = BIT_ULL(lg2);
			done = unmap_table(e, pte, lg2, unmapped);
		} else {
			want = (u64)run(va, lg2, left >> lg2) << lg2;
			done = (u64)clear_large(e, want >> lg2, lg2, unmapped) << lg2;
			/* A hole ends it, a table is the next turn's. */
			if (done)
				want = done;
		}
		va += done;
		left -= done;
		if (unlikely(done != want))
			break;
	} while (unlikely(left));
	return size - left;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_unmap);

/**
 * rviommu_pgtable_unmap_leaf() - unmap what is one leaf
 * @pt: page table
 * @iova: where, aligned to @size
 * @size: of the leaf in bytes, one of @pt->pgsizes
 *
 * As rviommu_pgtable_unmap(), for the unmap that is the most frequent: one store at the
 * end of one walk. What has to be invalidated is one leaf of @size, and no table.
 *
 * Context: any; the caller owns the IOVA range, and orders as for
 * rviommu_pgtable_unmap().
 *
 * Return: false if it is not one leaf that is mapped there; nothing has changed then.
 */
bool rviommu_pgtable_unmap_leaf(struct rviommu_pgtable *pt, u64 iova, size_t size)
{
	const bool napot = size == BIT(RVIOMMU_NAPOT_LG2);
	unsigned int end_lg2, lg2 = root_lg2(pt);
	u64 va = iova & pt->va_mask;
	u64 *e, pte;

	/* A leaf lies in one half. */
	if (unlikely(!is_power_of_2(size) || !(size & pt->pgsizes) || iova & (size - 1) ||
		     !iovas_exist(pt, iova, iova)))
		return false;

	end_lg2 = napot ? RVIOMMU_PAGE_LG2 : __ffs(size);
	e = pt->root + (va >> lg2);
	pte = READ_ONCE(*e);
	while (lg2 != end_lg2) {
		if (unlikely(!is_link(pte)))
			return false;
		lg2 -= INDEX_LG2;
		e = entry(link_table(pte), va, lg2);
		pte = READ_ONCE(*e);
	}
	if (unlikely(!is_leaf(pte) || pte & PTE_SPLITTING || napot != !!(pte & RVIOMMU_PTE_N)))
		return false;
	if (pte & RVIOMMU_PTE_N)
		clear_napot(e);
	else
		WRITE_ONCE(*e, 0);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_unmap_leaf);

/**
 * rviommu_pgtable_iova_to_phys() - translate one address
 * @pt: page table
 * @iova: address, of any alignment
 *
 * Context: any; races with everything. What it tells of a range that is being
 * mapped or unmapped is the state before or after.
 *
 * Return: the physical address, 0 where nothing is mapped.
 */
u64 rviommu_pgtable_iova_to_phys(struct rviommu_pgtable *pt, u64 iova)
{
	u64 va = iova & pt->va_mask;
	unsigned int lg2;
	u64 pte, *e;

	if (unlikely(!iovas_exist(pt, iova, iova)))
		return 0;

	rcu_read_lock();
	lg2 = root_lg2(pt);
	e = pt->root + (va >> lg2);
	for (;;) {
		pte = READ_ONCE(*e);
		if (lg2 == RVIOMMU_PAGE_LG2 || !is_link(pte))
			break;
		lg2 -= INDEX_LG2;
		e = entry(link_table(pte), va, lg2);
	}
	rcu_read_unlock();

	if (unlikely(!is_leaf(pte)))
		return 0;
	if (pte & RVIOMMU_PTE_N)
		lg2 = RVIOMMU_NAPOT_LG2;
	return (pte_pa(pte) & ~(BIT_ULL(lg2) - 1)) | (iova & (BIT_ULL(lg2) - 1));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_iova_to_phys);

struct visit {
	u64 iova;
	u64 pte;
	unsigned int lg2;
};

/*
 * Collect leaves from *@iova to @last, both in one half, out of one table.
 * Advances *@iova to the first address it did not look at, which is 0 when
 * that was the last one there is. Returns how many were collected.
 */
static unsigned int collect(struct rviommu_pgtable *pt, u64 *iova, u64 last,
			    struct visit batch[VISIT_BATCH])
{
	unsigned int lg2 = root_lg2(pt);
	u64 va = *iova & pt->va_mask;
	unsigned int n = 0;
	u64 pte, next, *e;
	size_t left;

	rcu_read_lock();
	e = pt->root + (va >> lg2);
	pte = READ_ONCE(*e);
	while (lg2 != RVIOMMU_PAGE_LG2 && is_link(pte)) {
		lg2 -= INDEX_LG2;
		e = entry(link_table(pte), va, lg2);
		pte = READ_ONCE(*e);
	}

	left = run(va, lg2, ENTRIES);
	for (;;) {
		unsigned int size_lg2 = lg2;
		size_t step;

		if (is_leaf(pte)) {
			if (pte & RVIOMMU_PTE_N)
				size_lg2 = RVIOMMU_NAPOT_LG2;
			batch[n].iova = *iova & ~(BIT_ULL(size_lg2) - 1);
			batch[n].pte = pte & ~PTE_SPLITTING;
			batch[n].lg2 = size_lg2;
			n++;
		}
		next = (*iova | (BIT_ULL(size_lg2) - 1)) + 1;
		step = (next - (*iova & ~(BIT_ULL(lg2) - 1))) >> lg2;
		*iova = next;
		if (!next || next > last || step >= left || n == VISIT_BATCH)
			break;
		left -= step;
		e += step;
		pte = READ_ONCE(*e);
		if (lg2 != RVIOMMU_PAGE_LG2 && is_link(pte))
			break;
	}
	rcu_read_unlock();
	return n;
}

/**
 * rviommu_pgtable_for_each() - look at all leaves of a range
 * @pt: page table; stays while this runs
 * @iova: first address
 * @last: last address. The range may lie across addresses that do not exist.
 * @visit: called for each leaf, in the order of IOVAs; also for one that only
 *         a part of the range is in
 * @arg: for @visit
 *
 * Races with everything: a leaf that was there all the time is visited once (as
 * several smaller ones, or in part more than once, if it is split meanwhile).
 *
 * Context: may sleep. Each RCU section looks at one table at most, so a
 * dump of a large domain holds up nobody.
 *
 * Return: 0, or what @visit returned to end it.
 */
int rviommu_pgtable_for_each(struct rviommu_pgtable *pt, u64 iova, u64 last,
			     rviommu_pgtable_visit_t visit, void *arg)
{
	struct visit batch[VISIT_BATCH];
	unsigned int i, n;
	int ret;

	might_sleep();
	while (iova <= last) {
		if (!iovas_exist(pt, iova, iova)) {
			u64 upper = ~0ULL << pt->half_lg2;

			if (pt->cfg.second_stage || upper > last)
				break;
			iova = upper;
		}

		n = collect(pt, &iova, min(last, iova | ~(~0ULL << pt->half_lg2)), batch);
		for (i = 0; i < n; i++) {
			ret = visit(arg, batch[i].iova, batch[i].pte, batch[i].lg2);
			if (ret)
				return ret;
		}
		if (!iova)
			break;
		cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_for_each);
