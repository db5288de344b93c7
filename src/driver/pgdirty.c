// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages were written to: reading D, and clearing it.
 *
 * Nothing here takes a lock or memory, nothing waits, and nothing is in the way of map, unmap
 * and hardware: they change entries as if nobody looked. An entry loses its D by cmpxchg from
 * the very value that is reported, so a clear is of that mapping or of none.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "pgdirty.h"
#include "pgtable_private.h"

/* Runs of entries, each in one table, that are looked at in one RCU section */
#define TABLES		8
/* Runs of pages that 16 entries can add to the list of those that are dirty */
#define RUNS_OF_GROUP	(RVIOMMU_PT_GROUP / 2)

static_assert(RVIOMMU_DIRTY_RUNS > RUNS_OF_GROUP);

static bool has_room(const struct rviommu_dirty *d)
{
	return d->nr <= RVIOMMU_DIRTY_RUNS - RUNS_OF_GROUP;
}

/* What was found adjoins what was found before, or is a run of its own. */
static void add_run(struct rviommu_dirty *d, u64 iova, u64 size)
{
	struct rviommu_dirty_run *run = d->runs + d->nr;

	if (d->nr && run[-1].iova + run[-1].size == iova) {
		run[-1].size += size;
		return;
	}
	*run = (struct rviommu_dirty_run){ .iova = iova, .size = size };
	d->nr++;
}

/* D was cleared in the leaf of 2^@lg2 bytes at @iova, so hardware has to forget it. */
static void add_cleared(struct rviommu_dirty *d, u64 iova, unsigned int lg2)
{
	if (!d->leaf_lg2) {
		d->cleared_first = iova;
		d->leaf_lg2 = lg2;
	}
	d->leaf_lg2 = min(d->leaf_lg2, lg2);
	d->cleared_last = iova + BIT_ULL(lg2) - 1;
}

/* Go on behind @last. */
static void advance(struct rviommu_dirty *d, u64 last)
{
	d->over = last >= d->last;
	d->iova = last + 1;
}

/*
 * Read the leaf @e of 2^@lg2 bytes above the last level, last read as @pte. Returns false if
 * it is a link by now.
 *
 * Of a leaf that the range has a part of, D stands for the rest, too, and stays. So does the D
 * of a leaf that has just taken the place of a table: until that is forgotten, hardware may
 * set D there, so the leaf counts as dirty as long.
 */
static bool read_leaf(struct rviommu_dirty *d, u64 *e, u64 pte, unsigned int lg2)
{
	const u64 base = d->iova & ~(BIT_ULL(lg2) - 1);
	const u64 end = base | (BIT_ULL(lg2) - 1);
	const bool whole = d->iova == base && end <= d->last;
	bool fresh;

	do {
		if (rviommu_pte_is_link(pte))
			return false;
		fresh = pte & RVIOMMU_PTE_FRESH && pte & RVIOMMU_PTE_W;
		if (!rviommu_pte_is_leaf(pte) || !(fresh || pte & RVIOMMU_PTE_D))
			goto clean;
		if (!d->clear || !whole || fresh)
			goto dirty;
		rviommu_pgtable_seam(e);
	} while (!try_cmpxchg(e, &pte, pte & ~RVIOMMU_PTE_D));
	add_cleared(d, base, lg2);
dirty:
	add_run(d, d->iova, min(end, d->last) - d->iova + 1);
	d->largest_lg2 = max(d->largest_lg2, lg2);
clean:
	advance(d, end);
	return true;
}

/* Read at most @n entries above the last level up to @end from @e on, last read as @pte. */
static void read_leaves(struct rviommu_dirty *d, u64 *e, u64 pte, u64 end, unsigned int lg2,
			size_t n)
{
	while (read_leaf(d, e, pte, lg2) && !d->over && d->iova <= end && --n && has_room(d))
		pte = READ_ONCE(*++e);
}

/*
 * Read 16 entries of a last-level table, some of which are dirty. Returns which of the pages
 * @range are dirty, and in *@cleared where D was cleared.
 *
 * Of a NAPOT group hardware may have used any entry for any page: "The operating system must
 * query all NAPOT aliases of a page" (privileged architecture, "Svnapot"). So D in one of
 * them, or in one that was one and is not settled, stands for all 16 pages. It stays
 * where the range has a part of them only. The rest are entries of their own pages.
 */
static unsigned int read_group(u64 *group, unsigned int range, bool clear, unsigned int *cleared)
{
	const unsigned int all = BIT(RVIOMMU_PT_GROUP) - 1;
	unsigned int i, dirty = 0;

	*cleared = 0;
	for (i = 0; i < RVIOMMU_PT_GROUP; i++) {
		u64 pte = READ_ONCE(group[i]);
		unsigned int pages;

		do {
			pages = pte & (RVIOMMU_PTE_N | RVIOMMU_PTE_SPLITTING) ? all : BIT(i);
			if (!(pte & RVIOMMU_PTE_D))
				break;
			if (!clear || pages & ~range) {
				dirty |= pages;
				break;
			}
			rviommu_pgtable_seam(&group[i]);
			if (try_cmpxchg(&group[i], &pte, pte & ~RVIOMMU_PTE_D)) {
				dirty |= pages;
				*cleared |= pages;
				break;
			}
		} while (true);
	}
	return dirty & range;
}

/* Report what read_group() found of the 16 pages at @base. */
static void add_group(struct rviommu_dirty *d, u64 base, unsigned int dirty, unsigned int cleared)
{
	unsigned int i, end;

	for (i = 0; i < RVIOMMU_PT_GROUP; i = end) {
		const bool set = dirty & BIT(i);

		for (end = i + 1; end < RVIOMMU_PT_GROUP && set == !!(dirty & BIT(end)); end++)
			;
		if (set)
			add_run(d, base + ((u64)i << RVIOMMU_PAGE_LG2),
				(u64)(end - i) << RVIOMMU_PAGE_LG2);
	}
	if (cleared) {
		add_cleared(d, base + ((u64)__ffs(cleared) << RVIOMMU_PAGE_LG2), RVIOMMU_PAGE_LG2);
		add_cleared(d, base + ((u64)__fls(cleared) << RVIOMMU_PAGE_LG2), RVIOMMU_PAGE_LG2);
	}
	if (dirty)
		d->largest_lg2 = max_t(unsigned int, d->largest_lg2, RVIOMMU_PAGE_LG2);
}

/* Which of the 16 pages at @base does the range have, from where it is now? */
static unsigned int pages_in_range(const struct rviommu_dirty *d, u64 base)
{
	unsigned int first = 0, last = RVIOMMU_PT_GROUP - 1;

	if (d->iova > base)
		first = (d->iova - base) >> RVIOMMU_PAGE_LG2;
	if (d->last - base < BIT_ULL(RVIOMMU_NAPOT_LG2))
		last = (d->last - base) >> RVIOMMU_PAGE_LG2;
	return GENMASK(last, first);
}

/* Read the pages from @e to the end of their table, or of the range. */
static void read_pages(struct rviommu_dirty *d, u64 *e)
{
	u64 *group = PTR_ALIGN_DOWN(e, RVIOMMU_PT_GROUP * sizeof(*e));
	u64 *const end = PTR_ALIGN_DOWN(e, RVIOMMU_PAGE_SIZE) + RVIOMMU_PT_ENTRIES;
	u64 base = d->iova & ~(BIT_ULL(RVIOMMU_NAPOT_LG2) - 1);
	unsigned int dirty, cleared;
	bool over;

	for (;;) {
		/* Most are clean, and nothing else is done with them. */
		for (; !(rviommu_pt_any16(group) & RVIOMMU_PTE_D); group += RVIOMMU_PT_GROUP) {
			over = d->last - base < BIT_ULL(RVIOMMU_NAPOT_LG2);
			base += BIT_ULL(RVIOMMU_NAPOT_LG2);
			if (over || group + RVIOMMU_PT_GROUP == end) {
				advance(d, base - 1);
				return;
			}
		}
		/* Not before the place where the range begins. */
		d->iova = max(d->iova, base);
		if (!has_room(d))
			return;
		dirty = read_group(group, pages_in_range(d, base), d->clear, &cleared);
		add_group(d, base, dirty, cleared);
		base += BIT_ULL(RVIOMMU_NAPOT_LG2);
		group += RVIOMMU_PT_GROUP;
		advance(d, base - 1);
		if (d->over || group == end)
			return;
	}
}

/**
 * rviommu_dirty_begin() - a range to be read
 * @d: to fill in, for rviommu_pgtable_read_dirty()
 * @iova: first address; the page that it is in counts
 * @last: last address; the page that it is in counts, too
 * @clear: clear D in what is reported
 *
 * The range may lie across addresses that do not exist.
 */
void rviommu_dirty_begin(struct rviommu_dirty *d, u64 iova, u64 last, bool clear)
{
	*d = (struct rviommu_dirty){
		.iova = iova & ~(u64)(RVIOMMU_PAGE_SIZE - 1),
		.last = last | (RVIOMMU_PAGE_SIZE - 1),
		.clear = clear,
		.over = iova > last,
	};
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dirty_begin);

/**
 * rviommu_pgtable_read_dirty() - find some of the dirty pages of a range
 * @pt: page table; stays while this runs
 * @d: of rviommu_dirty_begin(), or as the last call left it
 *
 * To be called until it returns false. What is in &rviommu_dirty.runs has to be used before
 * the next call: nobody else will be told. After the last call, what was cleared has to be
 * invalidated (&rviommu_dirty.leaf_lg2), and only then may the pages be looked at: until
 * then hardware writes to them without setting D again ("Accessed (A)/Dirty (D) bit
 * updates and page promotions").
 *
 * A page that was written to is reported, the exact page if it is mapped as one. A larger leaf
 * is reported as far as the range has it, and cleared if the range has all of it.
 *
 * Races with everything: of what is being unmapped or mapped, the state before or after is
 * told. A write that comes while it runs is told now, or the next time.
 *
 * Context: any, also under rcu_read_lock(). Looks at a bounded number of entries; the caller
 * may sleep between two calls.
 *
 * Return: true if it looked at something, also if nothing there was dirty.
 */
bool rviommu_pgtable_read_dirty(struct rviommu_pgtable *pt, struct rviommu_dirty *d)
{
	unsigned int tables, lg2;
	u64 pte, *e;

	d->nr = 0;
	if (d->over)
		return false;
	rcu_read_lock();
	for (tables = 0; tables < TABLES && !d->over && has_room(d); tables++) {
		u64 end = d->last;

		if (!rviommu_pt_half(pt, &d->iova, &end)) {
			d->over = true;
			break;
		}
		e = rviommu_pt_find(pt, d->iova, RVIOMMU_PAGE_LG2, &pte, &lg2);
		if (lg2 == RVIOMMU_PAGE_LG2)
			read_pages(d, e);
		else
			read_leaves(d, e, pte, end, lg2,
				    rviommu_pt_run(d->iova & pt->va_mask, lg2,
						   RVIOMMU_PT_ENTRIES));
	}
	rcu_read_unlock();
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_read_dirty);
