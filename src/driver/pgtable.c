// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page tables. pgtable.h has the vocabulary and who may race whom.
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

#include "pgtable_private.h"
#include "step.h"

#define PA_LG2_MAX	56
/* Visits between two RCU sections of rviommu_pgtable_for_each() */
#define VISIT_BATCH	16

/* Tables are counted in pages of both sides. */
static_assert(PAGE_SIZE == RVIOMMU_PAGE_SIZE);
static_assert((RVIOMMU_PTE_SPLITTING | RVIOMMU_PTE_MARKS) == RVIOMMU_PTE_RSW);

/* A whole entry of 2^@lg2 bytes from @va, with @left bytes to go? */
static __always_inline bool covers(u64 va, u64 left, unsigned int lg2)
{
	return !(va & (BIT_ULL(lg2) - 1)) && left >> lg2;
}

/* A link that nobody is about to replace. */
static __always_inline bool is_quiet_link(u64 pte)
{
	return (pte & (RVIOMMU_PTE_V | RVIOMMU_PTE_LEAF | RVIOMMU_PTE_MARKS)) == RVIOMMU_PTE_V;
}

/**
 * rviommu_pgtable_table() - an empty table below the root
 * @pt: page table
 * @gfp: the caller's context
 *
 * Return: the table, or NULL.
 */
u64 *rviommu_pgtable_table(const struct rviommu_pgtable *pt, gfp_t gfp)
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
	pt->tracked = RVIOMMU_TRACK_NONE;
	pt->merges = 0;
	mutex_init(&pt->reshape);
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

		if (!rviommu_pte_is_link(pte))
			continue;
		take_tables(rviommu_pte_table(pte), RVIOMMU_PT_ENTRIES, lg2 - RVIOMMU_PT_INDEX_LG2,
			    tables);
		take_table(rviommu_pte_table(pte), tables);
	}
}

/**
 * rviommu_pgtable_destroy() - free all tables, whatever they map
 * @pt: no IOMMU reaches it any more, nor caches what it held; no map or unmap
 *      runs. Readers may, under rcu_read_lock(): memory goes after them.
 */
void rviommu_pgtable_destroy(struct rviommu_pgtable *pt)
{
	size_t n = (size_t)(pt->va_mask >> rviommu_pt_root_lg2(pt)) + 1;
	LIST_HEAD(tables);

	take_tables(pt->root, n, rviommu_pt_root_lg2(pt), &tables);
	take_table(pt->root, &tables);
	pt->root = NULL;
	mutex_destroy(&pt->reshape);
	rviommu_page_retire(&tables);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_destroy);

/*
 * The bits of a leaf that say how memory may be used. 0: a @prot that allows
 * nothing, which no leaf can express (XWR = 0 is a link).
 */
static __always_inline u64 prot_bits(const struct rviommu_pgtable *pt, int prot, u8 tracked)
{
	u64 pte = RVIOMMU_PTE_V | RVIOMMU_PTE_A | RVIOMMU_PTE_R;

	if (unlikely(!(prot & (IOMMU_READ | IOMMU_WRITE))))
		return 0;
	/* W without R is reserved: what may be written may be read. */
	if (prot & IOMMU_WRITE)
		pte |= RVIOMMU_PTE_W | (tracked ? 0 : RVIOMMU_PTE_D);
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
 * Give the invalid entry @e the table *@spare. Neighbours may do the same: one wins, and the
 * other keeps its table. Returns the link that is there.
 */
static noinline u64 install_table(u64 *e, u64 **spare)
{
	u64 link = rviommu_table_pte(*spare);
	u64 old = 0;

	rviommu_pgtable_seam(e);
	/* Full order: the zeroes of the table come before its link. */
	if (!try_cmpxchg(e, &old, link))
		return old;
	*spare = NULL;
	return link;
}

/* No valid leaf in @table or below it? Its entries cover 2^@lg2. */
static bool table_is_empty(u64 *table, unsigned int lg2)
{
	unsigned int i;

	for (i = 0; i < RVIOMMU_PT_ENTRIES; i++) {
		u64 pte = READ_ONCE(table[i]);

		if (!rviommu_pte_is_valid(pte))
			continue;
		if (lg2 == RVIOMMU_PAGE_LG2 || !rviommu_pte_is_link(pte) ||
		    !table_is_empty(rviommu_pte_table(pte), lg2 - RVIOMMU_PT_INDEX_LG2))
			return false;
	}
	return true;
}

/*
 * Replace the table that @e links to by the leaf @pte, if the table is empty.
 * Nobody else is inside the 2^@lg2 bytes at @iova but readers and the hardware,
 * which may have the link cached: with the leaf in force and the link still in
 * a walk cache, it would fault on what the leaf maps.
 *
 * Under no RCU section, because of the hardware's time. The table that @e is in stays as long as
 * there is no leaf in @e: it cannot be merged into one, and only who owns all of it could unmap
 * it or map over it.
 */
static noinline int replace_table(struct rviommu_pgtable *pt, u64 *e, u64 iova,
				  unsigned int lg2, u64 pte)
{
	u64 *table = rviommu_pte_table(READ_ONCE(*e));
	LIST_HEAD(tables);

	if (!table_is_empty(table, lg2 - RVIOMMU_PT_INDEX_LG2))
		return -EADDRINUSE;
	take_tables(table, RVIOMMU_PT_ENTRIES, lg2 - RVIOMMU_PT_INDEX_LG2, &tables);
	take_table(table, &tables);

	WRITE_ONCE(*e, 0);
	pt->ops->sync_walk(pt, iova, lg2);
	WRITE_ONCE(*e, pte);
	rviommu_page_retire(&tables);
	return 0;
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

	for (; end - e >= 4 && likely(!rviommu_pt_any4(e)); e += 4, pte += 4 * step)
		set4(e, pte, step);
	for (; e < end && !READ_ONCE(*e); e++, pte += step)
		WRITE_ONCE(*e, pte);
	return e - start;
}

/* The same for groups of 16 entries that are all equal; @n counts groups. */
static __always_inline size_t fill_napot(u64 *e, size_t n, u64 pte, u64 step)
{
	size_t done;

	for (done = 0; done < n; done++, e += RVIOMMU_PT_GROUP, pte += step) {
		if (unlikely(rviommu_pt_any16(e)))
			break;
		set4(e, pte, 0);
		set4(e + 4, pte, 0);
		set4(e + 8, pte, 0);
		set4(e + 12, pte, 0);
	}
	return done;
}

/*
 * Fill what one table has of the @left bytes at @iova with leaves of 2^@pg_lg2 bytes, the
 * first of which is @pte. *@done: bytes filled. *@spare: a table to install where one is
 * missing. Under rcu_read_lock(): tables that others merge into a leaf are freed.
 *
 * Returns 0; -EADDRINUSE; -ENOMEM if a table is missing and @spare is none; -EEXIST if *@link is
 * a link where the next leaf belongs.
 */
static __always_inline int map_run(struct rviommu_pgtable *pt, u64 iova, u64 left, u64 pte,
				   unsigned int pg_lg2, u64 **spare, u64 **link, u64 *done)
{
	/* Entries that leaves of this size lie in; 64K uses those of 4K. */
	const unsigned int leaf_lg2 = pg_lg2 == RVIOMMU_NAPOT_LG2 ? RVIOMMU_PAGE_LG2 : pg_lg2;
	const u64 step = rviommu_pa_pte(BIT_ULL(pg_lg2));
	unsigned int lg2 = rviommu_pt_root_lg2(pt);
	const u64 va = iova & pt->va_mask;
	u64 *e = pt->root + (va >> lg2);
	size_t n, filled;

	*done = 0;
	while (lg2 != leaf_lg2) {
		u64 next = READ_ONCE(*e);

		if (unlikely(!next)) {
			if (!*spare)
				return -ENOMEM;
			next = install_table(e, spare);
		}
		if (unlikely(!rviommu_pte_is_link(next)))
			return -EADDRINUSE;
		lg2 -= RVIOMMU_PT_INDEX_LG2;
		e = rviommu_pt_entry(rviommu_pte_table(next), va, lg2);
	}

	n = rviommu_pt_run(va, lg2, left >> lg2);
	if (pg_lg2 == RVIOMMU_NAPOT_LG2) {
		n /= RVIOMMU_PT_GROUP;
		filled = fill_napot(e, n, pte, step);
	} else {
		filled = fill_leaves(e, n, pte, step);
		if (unlikely(filled < n) && lg2 != RVIOMMU_PAGE_LG2 &&
		    rviommu_pte_is_link(READ_ONCE(e[filled]))) {
			*link = e + filled;
			*done = (u64)filled << pg_lg2;
			return -EEXIST;
		}
	}
	*done = (u64)filled << pg_lg2;
	return unlikely(filled < n) ? -EADDRINUSE : 0;
}

/*
 * What rviommu_pgtable_map() does most: one leaf that is one entry, in a table that is there. One
 * store at the end of one walk. Returns false if it is not so easy; nothing has changed then.
 */
static __always_inline bool map_leaf(struct rviommu_pgtable *pt, u64 iova, u64 pte,
				     unsigned int end_lg2)
{
	unsigned int lg2 = rviommu_pt_root_lg2(pt);
	const u64 va = iova & pt->va_mask;
	u64 *e = pt->root + (va >> lg2);
	u64 next;

	rcu_read_lock();
	next = READ_ONCE(*e);
	while (lg2 != end_lg2 && likely(rviommu_pte_is_link(next))) {
		lg2 -= RVIOMMU_PT_INDEX_LG2;
		e = rviommu_pt_entry(rviommu_pte_table(next), va, lg2);
		next = READ_ONCE(*e);
	}
	/* What is no link and not free either is in the way, and so is what is missing above. */
	if (likely(lg2 == end_lg2 && !next))
		WRITE_ONCE(*e, pte);
	rcu_read_unlock();
	return lg2 == end_lg2 && !next;
}

/* What rviommu_pgtable_map() does, with what was looked at. */
static noinline int map_leaves(struct rviommu_pgtable *pt, u64 iova, u64 left, u64 pte,
			       unsigned int pg_lg2, gfp_t gfp, size_t *mapped)
{
	u64 *spare = NULL, *link;
	int err;

	for (;;) {
		u64 done;

		rcu_read_lock();
		err = map_run(pt, iova, left, pte, pg_lg2, &spare, &link, &done);
		rcu_read_unlock();
		*mapped += done;
		if (likely(done == left))
			break;
		if (err == -EEXIST) {
			err = replace_table(pt, link, iova + done, pg_lg2,
					    pte + rviommu_pa_pte(done));
			if (!err) {
				*mapped += BIT_ULL(pg_lg2);
				done += BIT_ULL(pg_lg2);
			}
			if (done == left)
				break;
		}
		if (err == -ENOMEM) {
			spare = rviommu_pgtable_table(pt, gfp);
			if (!spare)
				break;
		} else if (err) {
			break;
		}
		iova += done;
		left -= done;
		pte += rviommu_pa_pte(done);
	}
	/* Others were faster. */
	if (unlikely(spare))
		rviommu_page_free(spare);
	return err;
}

/*
 * The same in pages, while writes to each are tracked. A larger leaf would become dirty as
 * a whole; replacing it later by pages could not tell any more which of them was written to.
 * Where memory for a table is missing, the smallest larger leaf that does without takes its
 * place, rather than that a map fails only because somebody watches.
 */
static noinline int map_pages(struct rviommu_pgtable *pt, u64 iova, u64 size, u64 pte,
			      unsigned int pg_lg2, gfp_t gfp, size_t *mapped)
{
	const gfp_t frugal = gfp | __GFP_NOWARN | __GFP_NORETRY;

	for (;;) {
		unsigned int lg2 = RVIOMMU_PAGE_LG2;
		size_t more = 0;
		int err;

		err = map_leaves(pt, iova + *mapped, size - *mapped,
				 pte + rviommu_pa_pte(*mapped), lg2, frugal, &more);
		*mapped += more;
		if (err != -ENOMEM)
			return err;
		/* A table is missing, so this is where it begins. */
		more = 0;
		while (err == -ENOMEM && lg2 + RVIOMMU_PT_INDEX_LG2 <= pg_lg2) {
			lg2 += RVIOMMU_PT_INDEX_LG2;
			err = map_leaves(pt, iova + *mapped, BIT_ULL(lg2),
					 pte + rviommu_pa_pte(*mapped), lg2, gfp, &more);
		}
		*mapped += more;
		if (err || *mapped == size)
			return err;
	}
}

/**
 * rviommu_pgtable_map() - map a range
 * @pt: page table
 * @iova: where, aligned to @pgsize
 * @pa: to what, aligned to @pgsize
 * @pgsize: size of each leaf in bytes, one of @pt->pgsizes; smaller ones are made of it
 *          under %RVIOMMU_TRACK_PAGES
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
	const u8 tracked = READ_ONCE(pt->tracked);
	unsigned int pg_lg2;
	u64 pte, size;

	*mapped = 0;
	if (unlikely(!pgsize || (pgsize & (pgsize - 1)) || !(pgsize & pt->pgsizes) || !pgcount ||
		     ((iova | pa) & (pgsize - 1))))
		return -EINVAL;
	pte = prot_bits(pt, prot, tracked);
	if (unlikely(!pte))
		return -EINVAL;

	pg_lg2 = __ffs(pgsize);
	size = pgcount << pg_lg2;
	if (unlikely(size >> pg_lg2 != pgcount || !rviommu_pt_exists(pt, iova, iova + size - 1) ||
		     pa + size - 1 < pa || (pa + size - 1) >> pt->cfg.pas_lg2))
		return -ERANGE;

	pte |= rviommu_pa_pte(pa);
	if (unlikely(tracked == RVIOMMU_TRACK_PAGES) && prot & IOMMU_WRITE)
		return map_pages(pt, iova, size, pte, pg_lg2, gfp, mapped);
	if (pg_lg2 == RVIOMMU_NAPOT_LG2) {
		pte |= RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K;
	} else if (likely(pgcount == 1) && likely(map_leaf(pt, iova, pte, pg_lg2))) {
		*mapped = size;
		return 0;
	}
	return map_leaves(pt, iova, size, pte, pg_lg2, gfp, mapped);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_map);

/**
 * rviommu_pgtable_track() - how writes are tracked from now on
 * @pt: page table
 * @how: what maps shall do
 *
 * What is mapped stays as it is. A map that runs at this moment may still go by what was in
 * force when it began: the result is a leaf that is dirty, or larger than need be.
 */
void rviommu_pgtable_track(struct rviommu_pgtable *pt, enum rviommu_tracking how)
{
	WRITE_ONCE(pt->tracked, how);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_track);

static __always_inline void took_leaf(struct rviommu_unmapped *unmapped, unsigned int lg2)
{
	if (!unmapped->leaf_lg2 || lg2 < unmapped->leaf_lg2)
		unmapped->leaf_lg2 = lg2;
}

#if IS_ENABLED(CONFIG_KUNIT)
/**
 * rviommu_pgtable_seam() - between the reading of an entry and its replacement
 * @e: the entry
 *
 * Does nothing. Here a test lets others act, hardware or another split: each step that
 * replaces an entry by cmpxchg calls it once for each attempt.
 */
void rviommu_pgtable_seam(const u64 *e)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_pgtable_seam, e);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_seam);
#endif

/**
 * struct unmap - one call of rviommu_pgtable_unmap()
 * @pt: page table
 * @out: what has to be invalidated
 * @merges: &rviommu_pgtable.merges before entries were looked at
 * @fresh_lg2: lg2 of the bytes of a fresh leaf that was met; 0: none was
 * @fresh_iova: its first byte
 * @wait: hardware has to forget the table that the leaf has replaced, before anything else is
 *        done
 *
 * It may take hardware longer than an RCU section may last, so the section ends there, and what
 * was met may be another leaf afterwards. It is the same, or one that replaced a table
 * which was forgotten as well, if no merging has begun since before it was met.
 */
struct unmap {
	struct rviommu_pgtable *pt;
	struct rviommu_unmapped *out;
	unsigned long merges;
	unsigned int fresh_lg2;
	u64 fresh_iova;
	bool wait;
};

/* Was the table that the fresh leaf at @iova has replaced forgotten? If not, that is next. */
static bool is_forgotten(struct unmap *u, u64 iova, unsigned int lg2)
{
	iova &= ~(BIT_ULL(lg2) - 1);
	/* After the entry; pairs with rviommu_pgtable_promote(). */
	smp_rmb();
	if (!u->wait && u->fresh_lg2 == lg2 && u->fresh_iova == iova &&
	    u->merges == READ_ONCE(u->pt->merges))
		return true;
	u->fresh_lg2 = lg2;
	u->fresh_iova = iova;
	u->wait = true;
	return false;
}

/*
 * Take the entry @e above the last level, which has a mark, back from whoever is about to
 * replace it, or from whoever has put a leaf in the place of a table. The caller is going to
 * change what is mapped there, and invalidates that, but not the table. Returns the entry,
 * which has no mark; 0 if that has to wait.
 */
static noinline u64 settle(struct unmap *u, u64 *e, u64 iova, unsigned int lg2)
{
	u64 pte = READ_ONCE(*e);
	u64 new;

	do {
		new = pte & ~RVIOMMU_PTE_MARKS;
		if (new == pte)
			break;
		if (pte & RVIOMMU_PTE_FRESH) {
			if (!is_forgotten(u, iova, lg2))
				return 0;
			/* The table may have had a D that did not get here yet. */
			if (pte & RVIOMMU_PTE_W)
				new |= RVIOMMU_PTE_D;
		}
		rviommu_pgtable_seam(e);
	} while (!try_cmpxchg(e, &pte, new));
	return new;
}

/* Read the entry @e above the last level, of whose range the caller owns a part at least. */
static __always_inline u64 own(struct unmap *u, u64 *e, u64 iova, unsigned int lg2)
{
	u64 pte = READ_ONCE(*e);

	return likely(!(pte & RVIOMMU_PTE_MARKS)) ? pte : settle(u, e, iova, lg2);
}

/**
 * rviommu_pgtable_split_leaf() - a table takes the place of a leaf
 * @e: the leaf, under rcu_read_lock()
 * @pte: as last read
 * @lg2: of the bytes that it maps
 * @table: that nobody else has seen
 * @have: marks without which the leaf is somebody else's by now; 0 for an owner
 * @first: of the 512 pieces, this one and those
 * @last: up to this one are announced, if they can be split further
 *
 * The pieces translate the same: what the spec allows in one store ("Accessed
 * (A)/Dirty (D) bit updates and page promotions"). Hardware may set A and D
 * until the very store, hence cmpxchg: each piece inherits them, so the record
 * of a write may grow but is never lost. An update that comes after it finds that the
 * entry is another one, and walks again ("Virtual Address Translation Process" with
 * hardware updating: it compares the whole entry).
 *
 * Return: whether @table is in the tree; else it is the caller's. In any case the entry has
 * to be read again.
 */
bool rviommu_pgtable_split_leaf(u64 *e, u64 pte, unsigned int lg2, u64 *table, u64 have,
				unsigned int first, unsigned int last)
{
	const unsigned int piece_lg2 = lg2 - RVIOMMU_PT_INDEX_LG2;
	const u64 step = rviommu_pa_pte(BIT_ULL(piece_lg2));
	unsigned int i;

	do {
		const u64 piece = pte & ~RVIOMMU_PTE_MARKS;

		for (i = 0; i < RVIOMMU_PT_ENTRIES; i++)
			table[i] = piece + i * step;
		for (i = first; piece_lg2 != RVIOMMU_PAGE_LG2 && i <= last; i++)
			table[i] |= RVIOMMU_PTE_ANNOUNCED;
		rviommu_pgtable_seam(e);
		if (try_cmpxchg(e, &pte, rviommu_table_pte(table)))
			return true;
	} while (rviommu_pte_is_leaf(pte) && (pte & have) == have);
	return false;
}

/* As an owner. Returns false when there is no memory; nothing has changed then. */
static noinline bool split_own_leaf(struct rviommu_pgtable *pt, u64 *e, u64 pte, unsigned int lg2)
{
	u64 *table = rviommu_pgtable_table(pt, GFP_ATOMIC | __GFP_NOWARN);

	if (!table)
		return false;
	/* If not, somebody unmaps another part of the same leaf and was faster. */
	if (!rviommu_pgtable_split_leaf(e, pte, lg2, table, 0, 1, 0))
		rviommu_page_free(table);
	return true;
}

/*
 * Of the 16 entries at @group, replace each that has the bits @have: without the bits
 * @clear, with @set. All others are somebody else's and are left alone, whatever they become
 * meanwhile.
 */
static void replace_in_group(u64 *group, u64 have, u64 clear, u64 set)
{
	unsigned int i;

	for (i = 0; i < RVIOMMU_PT_GROUP; i++) {
		u64 old = READ_ONCE(group[i]);
		u64 new;

		do {
			new = (old & ~clear) | set;
			if ((old & have) != have || new == old)
				break;
			rviommu_pgtable_seam(&group[i]);
		} while (!try_cmpxchg(&group[i], &old, new));
	}
}

/**
 * rviommu_pgtable_mark_group() - change marks in a NAPOT group
 * @group: its 16 entries
 * @have: only of those that have all these bits
 * @clear: bits to clear
 * @set: bits to set
 */
void rviommu_pgtable_mark_group(u64 *group, u64 have, u64 clear, u64 set)
{
	replace_in_group(group, have, clear, set);
}

/*
 * What entry @i of a group becomes in the first round of a split: the leaf of its page, with the
 * mark. Also what is announced and has no N yet: others of its group may have it.
 */
static u64 split_entry(u64 pte, unsigned int i)
{
	if (pte & RVIOMMU_PTE_N)
		return ((pte & ~(RVIOMMU_PTE_N | RVIOMMU_PTE_NAPOT64K)) | RVIOMMU_PTE_SPLITTING) +
		       i * rviommu_pa_pte(RVIOMMU_PAGE_SIZE);
	return pte & RVIOMMU_PTE_ANNOUNCED ? pte | RVIOMMU_PTE_SPLITTING : pte;
}

/**
 * rviommu_pgtable_split_group() - a NAPOT group becomes 4 KiB leaves that translate the same
 * @group: its 16 entries, or 16 that were about to become one
 * @mark: what each of them has if the caller owns none of its pages; 0 if he owns one
 *
 * Others may do the same at the same time, and be anywhere in it; what one has done the other
 * finds done. pgtable.h says why it takes three rounds.
 */
void rviommu_pgtable_split_group(u64 *group, u64 mark)
{
	const u64 have = RVIOMMU_PTE_SPLITTING | mark;
	u64 ad = 0;
	unsigned int i;

	for (i = 0; i < RVIOMMU_PT_GROUP; i++) {
		u64 old = READ_ONCE(group[i]);
		u64 new;

		do {
			new = split_entry(old, i);
			if ((old & mark) != mark || new == old)
				break;
			rviommu_pgtable_seam(&group[i]);
		} while (!try_cmpxchg(&group[i], &old, new));
	}
	for (i = 0; i < RVIOMMU_PT_GROUP; i++) {
		u64 pte = READ_ONCE(group[i]);

		if ((pte & have) == have)
			ad |= pte & (RVIOMMU_PTE_A | RVIOMMU_PTE_D);
	}
	replace_in_group(group, have, 0, ad);
	replace_in_group(group, have, RVIOMMU_PTE_SPLITTING | RVIOMMU_PTE_ANNOUNCED, 0);
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
	const u64 group = RVIOMMU_PTE_N | RVIOMMU_PTE_SPLITTING;
	u64 *const start = e;
	u64 *const end = e + n;

	while (e < end) {
		u64 pte = READ_ONCE(*e);

		if (unlikely(!rviommu_pte_is_valid(pte)))
			break;
		if (pte & (group | RVIOMMU_PTE_ANNOUNCED)) {
			/*
			 * Who owns the whole group does not meet one that is being split. One that
			 * is only announced may have holes.
			 */
			if (!(pte & group) ||
			    !IS_ALIGNED((unsigned long)e, RVIOMMU_PT_GROUP * sizeof(*e)) ||
			    end - e < RVIOMMU_PT_GROUP) {
				rviommu_pgtable_split_group(PTR_ALIGN_DOWN(e, RVIOMMU_PT_GROUP *
									   sizeof(*e)), 0);
				continue;
			}
			clear_napot(e);
			e += RVIOMMU_PT_GROUP;
			took_leaf(unmapped, RVIOMMU_NAPOT_LG2);
			continue;
		}
		do {
			WRITE_ONCE(*e, 0);
			if (++e == end)
				break;
			pte = READ_ONCE(*e);
		} while ((pte & (RVIOMMU_PTE_V | group | RVIOMMU_PTE_ANNOUNCED)) == RVIOMMU_PTE_V);
		unmapped->leaf_lg2 = RVIOMMU_PAGE_LG2;
	}
	return e - start;
}

/* The same for leaves of 2^@lg2 bytes above the last level, from @iova on. */
static size_t clear_large(struct unmap *u, u64 *e, size_t n, u64 iova, unsigned int lg2)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!rviommu_pte_is_leaf(own(u, &e[i], iova + ((u64)i << lg2), lg2)))
			break;
		WRITE_ONCE(e[i], 0);
	}
	if (i)
		took_leaf(u->out, lg2);
	return i;
}

/* Bits that all entries of a table have. */
static u64 common_bits(const u64 *table)
{
	u64 all = ~0ULL;
	unsigned int i;

	for (i = 0; i < RVIOMMU_PT_ENTRIES && rviommu_pte_is_valid(all); i += 8)
		all &= rviommu_pt_all4(table + i) & rviommu_pt_all4(table + i + 4);
	return all;
}

/*
 * Unmap all that the link @e, last read as @link, covers: 2^@lg2 bytes at @iova. A
 * full table is unlinked as it is, with its leaves in it: as long as hardware
 * has the link cached, their state is that of cached leaves, and one
 * invalidation ends both. A table with a hole is cleared up to the hole and
 * stays.
 *
 * Returns the bytes unmapped.
 */
static u64 unmap_table(struct unmap *u, u64 *e, u64 link, u64 iova, unsigned int lg2)
{
	u64 *table = rviommu_pte_table(link);

	lg2 -= RVIOMMU_PT_INDEX_LG2;
	if (lg2 == RVIOMMU_PAGE_LG2) {
		u64 all = common_bits(table);

		if (!rviommu_pte_is_valid(all))
			return (u64)clear_small(table, RVIOMMU_PT_ENTRIES, u->out) << lg2;
		took_leaf(u->out, all & RVIOMMU_PTE_N ? RVIOMMU_NAPOT_LG2 : RVIOMMU_PAGE_LG2);
	} else {
		size_t i = 0;

		while (i < RVIOMMU_PT_ENTRIES) {
			const u64 at = iova + ((u64)i << lg2);
			u64 pte = own(u, &table[i], at, lg2);
			u64 done;

			if (rviommu_pte_is_link(pte)) {
				done = unmap_table(u, &table[i], pte, at, lg2);
				if (done != BIT_ULL(lg2))
					return ((u64)i << lg2) + done;
				i++;
			} else if (rviommu_pte_is_valid(pte)) {
				i += clear_large(u, &table[i], RVIOMMU_PT_ENTRIES - i, at, lg2);
			} else {
				return (u64)i << lg2;
			}
		}
	}
	WRITE_ONCE(*e, 0);
	take_table(table, &u->out->tables);
	return BIT_ULL(lg2 + RVIOMMU_PT_INDEX_LG2);
}

/*
 * Unmap what one entry or one run of leaves has of the @left bytes at @iova. Returns the bytes
 * unmapped; *@over: there is a hole, or no memory. Under rcu_read_lock(): whoever replaces
 * entries that are not his announces it, and waits for those who have not seen that.
 */
static __always_inline u64 unmap_run(struct unmap *u, u64 iova, u64 left, bool *over)
{
	struct rviommu_pgtable *pt = u->pt;
	unsigned int lg2 = rviommu_pt_root_lg2(pt);
	const u64 va = iova & pt->va_mask;
	u64 *e = pt->root + (va >> lg2);
	u64 pte = 0, want, done;

	while (lg2 != RVIOMMU_PAGE_LG2) {
		pte = own(u, e, iova, lg2);
		if (covers(va, left, lg2))
			break;
		if (rviommu_pte_is_link(pte)) {
			lg2 -= RVIOMMU_PT_INDEX_LG2;
			e = rviommu_pt_entry(rviommu_pte_table(pte), va, lg2);
		} else if (unlikely(!rviommu_pte_is_valid(pte)) ||
			   unlikely(!split_own_leaf(pt, e, pte, lg2))) {
			*over = true;
			return 0;
		}
	}

	if (lg2 == RVIOMMU_PAGE_LG2) {
		want = (u64)rviommu_pt_run(va, lg2, left >> lg2) << lg2;
		done = (u64)clear_small(e, want >> lg2, u->out) << lg2;
	} else if (rviommu_pte_is_link(pte)) {
		want = BIT_ULL(lg2);
		done = unmap_table(u, e, pte, iova, lg2);
	} else {
		want = (u64)rviommu_pt_run(va, lg2, left >> lg2) << lg2;
		done = (u64)clear_large(u, e, want >> lg2, iova, lg2) << lg2;
		/* A hole ends it, a table is the next turn's. */
		if (done)
			want = done;
	}
	*over = unlikely(done != want);
	return done;
}

/*
 * A fresh leaf was met, in an RCU section that is over. Was it met after merges were looked at, its
 * table is forgotten now; else it has to be met once more.
 */
static noinline void wait_forgotten(struct unmap *u)
{
	/* Before entries are looked at again; pairs with rviommu_pgtable_promote(). */
	const unsigned long merges = smp_load_acquire(&u->pt->merges);

	u->wait = false;
	if (u->merges == merges)
		u->pt->ops->sync_walk(u->pt, u->fresh_iova, u->fresh_lg2);
	else
		u->fresh_lg2 = 0;
	u->merges = merges;
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
 * No record of D is kept. Whoever wants it stops the DMA to the range and reads it before,
 * by rviommu_pgtable_read_dirty().
 *
 * Context: any; the caller owns the IOVA range. The caller orders the removal
 * against what it reads next (smp_mb()), invalidates, then retires the tables.
 *
 * Return: bytes unmapped from @iova on; 0 also for a range that cannot be.
 */
size_t rviommu_pgtable_unmap(struct rviommu_pgtable *pt, u64 iova, size_t pgsize,
			     size_t pgcount, struct rviommu_unmapped *unmapped)
{
	struct unmap u = { .pt = pt, .out = unmapped };
	unsigned int pg_lg2;
	u64 size, left;
	bool over;

	if (unlikely(!pgsize || (pgsize & (pgsize - 1)) || !(pgsize & pt->pgsizes) || !pgcount ||
		     (iova & (pgsize - 1))))
		return 0;
	pg_lg2 = __ffs(pgsize);
	size = pgcount << pg_lg2;
	if (unlikely(size >> pg_lg2 != pgcount || !rviommu_pt_exists(pt, iova, iova + size - 1)))
		return 0;

	left = size;
	do {
		u64 done;

		rcu_read_lock();
		done = unmap_run(&u, iova, left, &over);
		rcu_read_unlock();
		iova += done;
		left -= done;
		if (unlikely(u.wait)) {
			wait_forgotten(&u);
			over = false;
		}
	} while (unlikely(left) && !over);
	return size - left;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_unmap);

/*
 * The end of rviommu_pgtable_unmap_leaf(), under rcu_read_lock(): what has a mark, or is
 * below an entry with one, is not for here.
 */
static __always_inline bool clear_leaf(struct rviommu_pgtable *pt, u64 va, size_t size)
{
	const bool napot = size == BIT(RVIOMMU_NAPOT_LG2);
	const unsigned int end_lg2 = napot ? RVIOMMU_PAGE_LG2 : __ffs(size);
	unsigned int lg2 = rviommu_pt_root_lg2(pt);
	u64 *e = pt->root + (va >> lg2);
	u64 pte = READ_ONCE(*e);

	while (lg2 != end_lg2) {
		if (unlikely(!is_quiet_link(pte)))
			return false;
		lg2 -= RVIOMMU_PT_INDEX_LG2;
		e = rviommu_pt_entry(rviommu_pte_table(pte), va, lg2);
		pte = READ_ONCE(*e);
	}
	if (unlikely(!rviommu_pte_is_leaf(pte) || pte & RVIOMMU_PTE_MARKS ||
		     napot != !!(pte & RVIOMMU_PTE_N)))
		return false;
	if (pte & RVIOMMU_PTE_N)
		clear_napot(e);
	else
		WRITE_ONCE(*e, 0);
	return true;
}

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
	bool done;

	/* A leaf lies in one half. */
	if (unlikely(!is_power_of_2(size) || !(size & pt->pgsizes) || iova & (size - 1) ||
		     !rviommu_pt_exists(pt, iova, iova)))
		return false;

	rcu_read_lock();
	done = clear_leaf(pt, iova & pt->va_mask, size);
	rcu_read_unlock();
	return done;
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
	unsigned int lg2;
	u64 pte;

	if (unlikely(!rviommu_pt_exists(pt, iova, iova)))
		return 0;

	rcu_read_lock();
	rviommu_pt_find(pt, iova, RVIOMMU_PAGE_LG2, &pte, &lg2);
	rcu_read_unlock();

	if (unlikely(!rviommu_pte_is_leaf(pte)))
		return 0;
	if (pte & RVIOMMU_PTE_N)
		lg2 = RVIOMMU_NAPOT_LG2;
	return (rviommu_pte_pa(pte) & ~(BIT_ULL(lg2) - 1)) | (iova & (BIT_ULL(lg2) - 1));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_iova_to_phys);

/**
 * rviommu_pgtable_steps() - the way to one address, for showing it
 * @pt: page table
 * @iova: address, of any alignment
 * @steps: where to put the entries on the way, %RVIOMMU_STEPS_MAX of them, the root's first. The
 *         last is a leaf, or not valid.
 *
 * Context: any; races with everything, as rviommu_pgtable_iova_to_phys().
 *
 * Return: how many there are; 0 when no table translates @iova.
 */
unsigned int rviommu_pgtable_steps(const struct rviommu_pgtable *pt, u64 iova,
				   struct rviommu_step *steps)
{
	unsigned int nr = 0, level = pt->cfg.levels - 1, lg2 = rviommu_pt_root_lg2(pt);
	u64 va = iova & pt->va_mask;
	u64 *table = pt->root;
	u64 *e = table + (va >> lg2);

	if (!rviommu_pt_exists(pt, iova, iova))
		return 0;
	guard(rcu)();
	for (;; level--) {
		struct rviommu_step *step = &steps[nr++];

		*step = (struct rviommu_step) {
			.table = virt_to_phys(table),
			.level = level,
			.index = e - table,
			.entry = READ_ONCE(*e),
		};
		if (!level || !rviommu_pte_is_link(step->entry))
			return nr;
		table = rviommu_pte_table(step->entry);
		lg2 -= RVIOMMU_PT_INDEX_LG2;
		e = rviommu_pt_entry(table, va, lg2);
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pgtable_steps);

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
	unsigned int lg2, n = 0;
	u64 pte, next, *e;
	size_t left;

	rcu_read_lock();
	e = rviommu_pt_find(pt, *iova, RVIOMMU_PAGE_LG2, &pte, &lg2);
	left = rviommu_pt_run(*iova & pt->va_mask, lg2, RVIOMMU_PT_ENTRIES);
	for (;;) {
		unsigned int size_lg2 = lg2;
		size_t step;

		if (rviommu_pte_is_leaf(pte)) {
			if (pte & RVIOMMU_PTE_N)
				size_lg2 = RVIOMMU_NAPOT_LG2;
			batch[n].iova = *iova & ~(BIT_ULL(size_lg2) - 1);
			batch[n].pte = pte & ~RVIOMMU_PTE_MARKS;
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
		if (lg2 != RVIOMMU_PAGE_LG2 && rviommu_pte_is_link(pte))
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
	for (;;) {
		u64 end = last;

		if (!rviommu_pt_half(pt, &iova, &end))
			break;
		n = collect(pt, &iova, end, batch);
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
