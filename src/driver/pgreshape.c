// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves of another size for what is mapped: demotion makes pages of larger leaves, promotion
 * makes larger leaves of full tables. What is translated, and how, stays the same all the time.
 *
 * Whoever calls this owns nothing of the range. pgtable.h says how it gets along with those who
 * do: announce, wait until everybody has heard of it, replace what nobody has taken back.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "pgtable_private.h"

/* Entries that may take long, looked at in one RCU section */
#define FEW		8
/* How often what owners have taken back is tried again */
#define TRIES		3

/**
 * struct reshape - one demotion or promotion
 * @pt: page table
 * @first: first address of the range
 * @last: last address of the range
 * @visit: called for each entry at the level of @floor_lg2, and for each above that is no
 *         link, under rcu_read_lock(). False: come back to this entry, in another RCU section.
 * @between: called after each RCU section; may sleep
 * @floor_lg2: lg2 of the bytes that an entry covers on the lowest level that is looked at
 * @run: entries that are looked at in one RCU section at most
 * @announced: entries that were marked
 * @spare: demotion: a table for the next leaf to be split
 * @wants: demotion: a table is missing
 * @no_memory: demotion: there is none for more tables
 * @left: demotion: leaves that stayed as they are
 * @tables: promotion: tables that leaves have taken the place of
 * @merged: promotion: how many of those, and how many groups
 */
struct reshape {
	struct rviommu_pgtable *pt;
	u64 first;
	u64 last;
	bool (*visit)(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2);
	void (*between)(struct reshape *r);
	unsigned int floor_lg2;
	unsigned int run;
	unsigned long announced;
	u64 *spare;
	bool wants;
	bool no_memory;
	unsigned long left;
	struct list_head tables;
	unsigned long merged;
};

/**
 * rviommu_pgtable_grace() - until everybody has seen what was announced
 *
 * On return no map, unmap or reader runs that began before. A KUnit test replaces it to
 * act in between.
 */
VISIBLE_IF_KUNIT void rviommu_pgtable_grace(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_pgtable_grace);
	synchronize_rcu();
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_grace);

/* One run of entries of one table, from *@iova on. Returns false at the end of the range. */
static bool reshape_run(struct reshape *r, u64 *iova)
{
	u64 last = r->last, pte, *e;
	unsigned int lg2;
	size_t n;

	if (!rviommu_pt_half(r->pt, iova, &last))
		return false;
	e = rviommu_pt_find(r->pt, *iova, r->floor_lg2, &pte, &lg2);
	n = rviommu_pt_run(*iova & r->pt->va_mask, lg2, r->run);
	while (r->visit(r, e, pte, *iova & ~(BIT_ULL(lg2) - 1), lg2)) {
		*iova = (*iova | (BIT_ULL(lg2) - 1)) + 1;
		if (!*iova || *iova > r->last)
			return false;
		if (!--n || *iova > last)
			break;
		pte = READ_ONCE(*++e);
		if (lg2 != r->floor_lg2 && rviommu_pte_is_link(pte))
			break;
	}
	return true;
}

static void reshape_walk(struct reshape *r, unsigned int run)
{
	u64 iova = r->first;
	bool more;

	r->run = run;
	do {
		rcu_read_lock();
		more = reshape_run(r, &iova);
		rcu_read_unlock();
		if (r->between)
			r->between(r);
		cond_resched();
	} while (more);
}

/* --- demotion --------------------------------------------------------- */

/* A leaf that D says more of than it should: what is only read is never dirty. */
static bool is_coarse(u64 pte)
{
	return rviommu_pte_is_leaf(pte) && pte & RVIOMMU_PTE_W;
}

static bool announce_leaf(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	while (is_coarse(pte)) {
		rviommu_pgtable_seam(e);
		if (try_cmpxchg(e, &pte, pte | RVIOMMU_PTE_ANNOUNCED)) {
			r->announced++;
			break;
		}
	}
	return true;
}

/* The announcement is void: there is no memory. */
static void leave_leaf(struct reshape *r, u64 *e, u64 pte)
{
	while (rviommu_pte_is_leaf(pte) && pte & RVIOMMU_PTE_ANNOUNCED) {
		rviommu_pgtable_seam(e);
		if (try_cmpxchg(e, &pte, pte & ~RVIOMMU_PTE_ANNOUNCED))
			break;
	}
	r->left++;
}

/*
 * Split the NAPOT group at @group, of which the caller owns nothing: its owners may unmap it
 * and map another one in the middle of this. They do not see the marks that make an entry one
 * of the old group, so nothing is done to the new one. All 16 marks at once after the
 * last was set: at that moment all of them were of one group.
 *
 * Returns false if it is somebody else's.
 */
static bool demote_group(u64 *group)
{
	const u64 have = RVIOMMU_PTE_N | RVIOMMU_PTE_ANNOUNCED;

	rviommu_pgtable_mark_group(group, RVIOMMU_PTE_N, 0, RVIOMMU_PTE_ANNOUNCED);
	if (!(rviommu_pt_all16(group) & RVIOMMU_PTE_ANNOUNCED)) {
		rviommu_pgtable_mark_group(group, have, RVIOMMU_PTE_ANNOUNCED, 0);
		return false;
	}
	rviommu_pgtable_split_group(group, RVIOMMU_PTE_ANNOUNCED);
	return true;
}

/* The groups of a last-level table, which begins at @iova, as far as the range has them */
static void demote_groups(struct reshape *r, u64 *table, u64 iova)
{
	unsigned int i;

	for (i = 0; i < RVIOMMU_PT_ENTRIES; i += RVIOMMU_PT_GROUP) {
		const u64 base = iova + ((u64)i << RVIOMMU_PAGE_LG2);
		const u64 any = rviommu_pt_any16(table + i);

		if (!(any & RVIOMMU_PTE_N) || !(any & RVIOMMU_PTE_W) || base > r->last ||
		    base + BIT_ULL(RVIOMMU_NAPOT_LG2) - 1 < r->first)
			continue;
		if (!demote_group(table + i))
			r->left++;
	}
}

/* Which of the 512 pieces of a leaf of 2^@lg2 bytes at @iova the range has */
static unsigned int piece_of(const struct reshape *r, u64 iova, u64 at, unsigned int lg2)
{
	const u64 end = iova | (BIT_ULL(lg2) - 1);

	return (clamp(at, iova, end) - iova) >> (lg2 - RVIOMMU_PT_INDEX_LG2);
}

static bool demote_entry(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	if (rviommu_pte_is_link(pte)) {
		demote_groups(r, rviommu_pte_table(pte), iova);
		return true;
	}
	if (!is_coarse(pte))
		return true;
	/* It was mapped meanwhile, or its owner has taken it back. */
	if (!(pte & RVIOMMU_PTE_ANNOUNCED)) {
		r->left++;
		return true;
	}
	if (!r->spare) {
		r->wants = !r->no_memory;
		if (r->wants)
			return false;
		leave_leaf(r, e, pte);
		return true;
	}
	if (rviommu_pgtable_split_leaf(e, pte, lg2, r->spare, RVIOMMU_PTE_ANNOUNCED,
				       piece_of(r, iova, r->first, lg2),
				       piece_of(r, iova, r->last, lg2)))
		r->spare = NULL;
	/* There may be more to do below it, or by its owner now. */
	return false;
}

static void get_spare(struct reshape *r)
{
	if (!r->wants)
		return;
	r->wants = false;
	/* It can be done without. */
	r->spare = rviommu_pgtable_table(r->pt, GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NORETRY);
	r->no_memory = !r->spare;
}

/**
 * rviommu_pgtable_demote() - make pages of larger leaves
 * @pt: page table; stays while this runs
 * @iova: first address
 * @last: last address; of a leaf that the range has a part of, that part at least becomes
 *        pages. The range may lie across addresses that do not exist.
 *
 * Only leaves that can be written to: what others are is of no interest to those who track
 * writes. Each page inherits D: it may have been written to. So clear D
 * afterwards, not before. Nothing has to be invalidated: what hardware has cached translates
 * the same, goes with an invalidation of any page of it, and cannot set D any more but by
 * walking again.
 *
 * To be called after rviommu_pgtable_track() with %RVIOMMU_TRACK_PAGES, so that there are no new
 * ones.
 *
 * Context: may sleep, and waits for an RCU grace period if there is a larger leaf. Races with
 * map, unmap, readers and hardware; another demotion or promotion waits.
 *
 * Return: 0 if there is no such leaf in the range any more. Else all is mapped as it
 * was, and some leaves are still larger than a page: -ENOMEM; -EAGAIN if owners of parts of
 * them were busy with them, again and again.
 */
int rviommu_pgtable_demote(struct rviommu_pgtable *pt, u64 iova, u64 last)
{
	struct reshape r = {
		.pt = pt, .first = iova, .last = last,
		.floor_lg2 = RVIOMMU_PAGE_LG2 + RVIOMMU_PT_INDEX_LG2,
	};
	unsigned int tries;

	might_sleep();
	mutex_lock(&pt->reshape);
	for (tries = 0; tries < TRIES; tries++) {
		r.announced = 0;
		r.visit = announce_leaf;
		r.between = NULL;
		reshape_walk(&r, RVIOMMU_PT_ENTRIES);
		if (r.announced)
			rviommu_pgtable_grace();
		r.left = 0;
		r.visit = demote_entry;
		r.between = get_spare;
		reshape_walk(&r, FEW);
		if (!r.left || r.no_memory)
			break;
	}
	mutex_unlock(&pt->reshape);
	if (r.spare)
		rviommu_page_free(r.spare);
	if (!r.left)
		return 0;
	return r.no_memory ? -ENOMEM : -EAGAIN;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_demote);

/* --- promotion -------------------------------------------------------- */

/*
 * The leaf that does what all @nr leaves from @e on do, whose entries cover 2^@lg2 bytes and have
 * the mark @mark, or none; it has the A and D that any of them has, and no mark. 0 if there is
 * none.
 */
static u64 merged_leaf(const u64 *e, unsigned int nr, unsigned int lg2, u64 mark)
{
	const u64 step = rviommu_pa_pte(BIT_ULL(lg2));
	u64 first = 0, ad = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		u64 pte = READ_ONCE(e[i]);

		if (lg2 == RVIOMMU_PAGE_LG2 && pte & RVIOMMU_PTE_N) {
			pte &= ~(RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K);
			pte += i % RVIOMMU_PT_GROUP * step;
		}
		ad |= pte;
		pte &= ~(RVIOMMU_PTE_A | RVIOMMU_PTE_D);
		if (!i)
			first = pte;
		/* Each mark differs from none, and what is announced is no leaf of one. */
		if (!rviommu_pte_is_leaf(pte) || (pte & RVIOMMU_PTE_MARKS) != mark ||
		    pte != first + i * step)
			return 0;
	}
	if (rviommu_pte_pa(first) & (((u64)nr << lg2) - 1))
		return 0;
	return (first & ~mark) | (ad & (RVIOMMU_PTE_A | RVIOMMU_PTE_D));
}

/* The same of a whole table */
static u64 merged_table(const u64 *table, unsigned int lg2)
{
	return merged_leaf(table, RVIOMMU_PT_ENTRIES, lg2, 0);
}

static bool has_all(const struct reshape *r, u64 iova, unsigned int lg2)
{
	return iova >= r->first && (iova | (BIT_ULL(lg2) - 1)) <= r->last;
}

static bool announce_table(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	if (lg2 != r->floor_lg2 || !rviommu_pte_is_link(pte) || !has_all(r, iova, lg2) ||
	    !merged_table(rviommu_pte_table(pte), lg2 - RVIOMMU_PT_INDEX_LG2))
		return true;
	rviommu_pgtable_seam(e);
	if (try_cmpxchg(e, &pte, pte | RVIOMMU_PTE_ANNOUNCED))
		r->announced++;
	return true;
}

/* Nobody will ask for D: hardware has nothing to do. */
static u64 spared_dirty(const struct reshape *r, u64 leaf)
{
	return leaf & RVIOMMU_PTE_W && !READ_ONCE(r->pt->tracked) ? RVIOMMU_PTE_D : 0;
}

/*
 * Put a leaf in the place of a table. Who is below the link has seen the mark and takes it away
 * before he changes anything there, so what is read here is what is there when the leaf is
 * published, except for A and D.
 */
static bool merge_table(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	u64 *table;
	u64 leaf;

	if (lg2 != r->floor_lg2 || !rviommu_pte_is_link(pte) || !(pte & RVIOMMU_PTE_ANNOUNCED))
		return true;
	table = rviommu_pte_table(pte);
	leaf = merged_table(table, lg2 - RVIOMMU_PT_INDEX_LG2);
	rviommu_pgtable_seam(e);
	if (!leaf) {
		try_cmpxchg(e, &pte, pte & ~RVIOMMU_PTE_ANNOUNCED);
		return true;
	}
	leaf |= spared_dirty(r, leaf);
	if (try_cmpxchg(e, &pte, leaf | RVIOMMU_PTE_FRESH)) {
		rviommu_page_of(table)->iova = iova;
		list_add_tail(&rviommu_page_of(table)->node, &r->tables);
	}
	return true;
}

/* Hardware has forgotten @table: its D are all there will be, and the leaf gets them. */
static void settle_merged(struct reshape *r, const u64 *table, u64 iova)
{
	unsigned int i, lg2;
	u64 pte, new, d = 0;
	u64 *e;

	for (i = 0; i < RVIOMMU_PT_ENTRIES; i++)
		d |= READ_ONCE(table[i]) & RVIOMMU_PTE_D;
	rcu_read_lock();
	e = rviommu_pt_find(r->pt, iova, r->floor_lg2, &pte, &lg2);
	do {
		/* An owner was here: then it is dirty, if it is still there. */
		if (lg2 != r->floor_lg2 || !rviommu_pte_is_leaf(pte) ||
		    !(pte & RVIOMMU_PTE_FRESH))
			break;
		new = (pte & ~RVIOMMU_PTE_FRESH) | d;
		rviommu_pgtable_seam(e);
	} while (!try_cmpxchg(e, &pte, new));
	rcu_read_unlock();
}

/* Synchronise and retire what was merged in one run, all of it below one entry. */
static void retire_merged(struct reshape *r)
{
	struct rviommu_page *page;
	unsigned int span_lg2;

	if (list_empty(&r->tables))
		return;
	page = list_first_entry(&r->tables, struct rviommu_page, node);
	span_lg2 = r->floor_lg2;
	if (!list_is_singular(&r->tables))
		span_lg2 = min_t(unsigned int, span_lg2 + RVIOMMU_PT_INDEX_LG2, r->pt->half_lg2);
	r->pt->ops->sync_walk(r->pt, page->iova & ~(BIT_ULL(span_lg2) - 1), span_lg2);
	list_for_each_entry(page, &r->tables, node) {
		settle_merged(r, page->virt, page->iova);
		r->merged++;
	}
	rviommu_page_retire(&r->tables);
}

/* Sixteen pages that a NAPOT group would do the same for, with that mark */
static bool is_group_to_be(const u64 *group, u64 mark)
{
	return !(rviommu_pt_any16(group) & RVIOMMU_PTE_N) &&
	       merged_leaf(group, RVIOMMU_PT_GROUP, RVIOMMU_PAGE_LG2, mark);
}

static bool announce_groups(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	u64 *group, *end;

	if (!rviommu_pte_is_link(pte))
		return true;
	group = rviommu_pte_table(pte);
	end = group + RVIOMMU_PT_ENTRIES;
	for (; group < end; group += RVIOMMU_PT_GROUP, iova += BIT_ULL(RVIOMMU_NAPOT_LG2)) {
		if (!has_all(r, iova, RVIOMMU_NAPOT_LG2) || !is_group_to_be(group, 0))
			continue;
		rviommu_pgtable_mark_group(group, RVIOMMU_PTE_V, 0, RVIOMMU_PTE_ANNOUNCED);
		r->announced++;
	}
	return true;
}

/*
 * Give N to 16 pages, one after the other. Who comes for one of them meanwhile finds N or the
 * mark there, and makes pages of all 16 first; so the next one has no mark any more, and what was
 * begun is undone by him. Returns false in that case.
 */
static bool merge_group(struct reshape *r, u64 *group)
{
	const u64 any = RVIOMMU_PTE_N | RVIOMMU_PTE_SPLITTING | RVIOMMU_PTE_ANNOUNCED;
	const u64 step = rviommu_pa_pte(RVIOMMU_PAGE_SIZE);
	unsigned int i;

	if (!is_group_to_be(group, RVIOMMU_PTE_ANNOUNCED)) {
		rviommu_pgtable_mark_group(group, RVIOMMU_PTE_ANNOUNCED, RVIOMMU_PTE_ANNOUNCED, 0);
		return false;
	}
	for (i = 0; i < RVIOMMU_PT_GROUP; i++) {
		u64 pte = READ_ONCE(group[i]);
		u64 new;

		do {
			if ((pte & any) != RVIOMMU_PTE_ANNOUNCED)
				return false;
			new = pte - i * step;
			new |= RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K | spared_dirty(r, pte);
			rviommu_pgtable_seam(&group[i]);
		} while (!try_cmpxchg(&group[i], &pte, new));
	}
	rviommu_pgtable_mark_group(group, RVIOMMU_PTE_N | RVIOMMU_PTE_ANNOUNCED,
				   RVIOMMU_PTE_ANNOUNCED, 0);
	return true;
}

static bool merge_groups(struct reshape *r, u64 *e, u64 pte, u64 iova, unsigned int lg2)
{
	u64 *group, *end;

	if (!rviommu_pte_is_link(pte))
		return true;
	group = rviommu_pte_table(pte);
	end = group + RVIOMMU_PT_ENTRIES;
	for (; group < end; group += RVIOMMU_PT_GROUP)
		if (rviommu_pt_any16(group) & RVIOMMU_PTE_ANNOUNCED)
			r->merged += merge_group(r, group);
	return true;
}

/*
 * Groups of what is left in pages. Sixteen entries change one by one, each to what translates the
 * same, so none is invalid at any time, and nothing has to be invalidated: hardware may go
 * on with the pages that it has cached, and who unmaps a group invalidates each page of it.
 */
static void promote_groups(struct reshape *r)
{
	r->floor_lg2 = RVIOMMU_PAGE_LG2 + RVIOMMU_PT_INDEX_LG2;
	r->announced = 0;
	r->visit = announce_groups;
	r->between = NULL;
	reshape_walk(r, FEW);
	if (!r->announced)
		return;
	rviommu_pgtable_grace();
	r->visit = merge_groups;
	reshape_walk(r, FEW);
}

/**
 * rviommu_pgtable_promote() - make larger leaves of what is mapped piecemeal
 * @pt: page table; stays while this runs
 * @iova: first address
 * @last: last address; a table that is not all in the range stays. The range may lie across
 *        addresses that do not exist.
 *
 * A table becomes a leaf if all its entries are leaves that one of the next size would do
 * the same for: physical addresses, permissions, memory type. Of what stays in pages, sixteen
 * become a NAPOT group on the same condition. That is done without an invalid moment: "The IOMMU
 * may use either the old non-leaf PTE or the new non-leaf PTE but the
 * behavior is otherwise well defined" ("Accessed (A)/Dirty (D) bit updates and page
 * promotions"). The leaf is dirty if one of its parts was, or becomes so until hardware has
 * forgotten the table.
 *
 * Needs no memory, and gives some back.
 *
 * Context: may sleep, and waits for RCU grace periods and for invalidations, one for all that
 * becomes leaves of one table. Races with map, unmap, readers and hardware; another demotion or
 * promotion waits.
 *
 * Return: how many tables have become leaves, and how often sixteen pages a group.
 */
unsigned long rviommu_pgtable_promote(struct rviommu_pgtable *pt, u64 iova, u64 last)
{
	struct reshape r = {
		.pt = pt, .first = iova, .last = last, .tables = LIST_HEAD_INIT(r.tables),
	};
	unsigned int lg2;

	might_sleep();
	mutex_lock(&pt->reshape);
	for (lg2 = RVIOMMU_PAGE_LG2 + RVIOMMU_PT_INDEX_LG2; lg2 <= rviommu_pt_root_lg2(pt);
	     lg2 += RVIOMMU_PT_INDEX_LG2) {
		if (!(pt->pgsizes & BIT_ULL(lg2)))
			continue;
		r.floor_lg2 = lg2;
		r.announced = 0;
		r.visit = announce_table;
		r.between = NULL;
		reshape_walk(&r, RVIOMMU_PT_ENTRIES);
		if (!r.announced)
			continue;
		rviommu_pgtable_grace();
		/* Each cmpxchg of a leaf is a full barrier; pairs with is_forgotten(). */
		WRITE_ONCE(pt->merges, pt->merges + 1);
		r.visit = merge_table;
		r.between = retire_merged;
		reshape_walk(&r, RVIOMMU_PT_ENTRIES);
	}
	if (pt->pgsizes & BIT_ULL(RVIOMMU_NAPOT_LG2))
		promote_groups(&r);
	mutex_unlock(&pt->reshape);
	return r.merged;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_promote);
