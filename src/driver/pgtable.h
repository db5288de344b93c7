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
#include <linux/mutex.h>
#include <linux/types.h>

struct rviommu_pgtable;
struct rviommu_step;

/**
 * struct rviommu_pgtable_cfg - what a page table is to be
 * @levels: 3, 4 or 5 (Sv39, Sv48, Sv57; x4 with @second_stage)
 * @second_stage: x4 format: IOVA two bits wider, zero-extended, 16 KiB root, U=1
 * @svnapot: 64 KiB leaves as 16 entries with N=1 may be used
 * @svpbmt: IOMMU_MMIO maps with PBMT = IO (else the bit is ignored)
 * @pas_lg2: physical address width, capabilities.PAS; PAs beyond are refused and
 *           tables are not placed there
 * @nid: NUMA node for tables
 */
struct rviommu_pgtable_cfg {
	u8 levels;
	bool second_stage;
	bool svnapot;
	bool svpbmt;
	u8 pas_lg2;
	int nid;
};

/**
 * enum rviommu_tracking - how writes are tracked
 * @RVIOMMU_TRACK_NONE: not at all: what is mapped is dirty, and hardware has nothing to do
 * @RVIOMMU_TRACK_LEAVES: what is mapped is clean (D=0), hardware sets D; leaves are as large as
 *                        asked for
 * @RVIOMMU_TRACK_PAGES: the same, and what can be written to is mapped in 4 KiB pages as
 *                       long as there is memory for tables
 */
enum rviommu_tracking {
	RVIOMMU_TRACK_NONE,
	RVIOMMU_TRACK_LEAVES,
	RVIOMMU_TRACK_PAGES,
};

/**
 * struct rviommu_pgtable_ops - what the page table needs from its owner
 * @sync_walk: links within the 2^@size_lg2 bytes at @iova were cleared or replaced
 *             by leaves. On return no IOMMU has one of them in a walk cache, nor a
 *             translation that came through them, of whatever size. Called in
 *             the contexts of map and unmap; does not sleep.
 */
struct rviommu_pgtable_ops {
	void (*sync_walk)(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2);
};

/**
 * struct rviommu_pgtable - one page table
 * @cfg: constant after rviommu_pgtable_init()
 * @ops: constant after rviommu_pgtable_init()
 * @reshape: who replaces what is not his, one at a time
 * @merges: promotions that have begun to replace tables, counted from 1 by those under @reshape,
 *          before they replace any
 * @tracked: enum rviommu_tracking; rviommu_pgtable_track()
 * @root: the root table; constant
 * @pgsizes: leaf sizes as a bit map of bytes (IOMMU core's pgsize_bitmap)
 * @va_mask: bits of an IOVA that select entries or bytes
 * @half_lg2: lg2 of the bytes whose IOVAs agree in all higher bits: half of the
 *            address space in the first stage, all of it in the second
 *
 * Who may race whom: map, unmap, iova_to_phys, for_each and the hardware run
 * without any lock, all at once. What callers of map and unmap are asked for is that
 * each owns the pages of its IOVA range, as the IOMMU core's callers do: no other map
 * or unmap has one of them at the same time. They do meet in the tables above their
 * ranges, and in a leaf that several of them own parts of. Readers and hardware are
 * everywhere.
 *
 * - Every entry changes by one aligned 64-bit store or cmpxchg.
 * - A plain store is for an entry that no other map or unmap may change: one of
 *   which the caller owns all pages. A and D that hardware sets in it meanwhile go
 *   with the mapping.
 * - An entry of which the caller owns a part only is changed by cmpxchg, from a value
 *   that was looked at whole, to one that translates the same. It fails, and is looked
 *   at again, if anybody was faster: hardware that set A or D, another split, or an
 *   owner who has cleared or mapped his part. So no A or D is lost, none is written
 *   into an entry that is another one by now, and what one split has done another does
 *   not do again.
 * - map installs a missing table by cmpxchg from 0; the loser keeps its table,
 *   which nobody saw, and uses the winner's.
 * - A table is taken out in three cases only (a leaf is mapped over an empty
 *   table; an unmap covers the whole range of a table; its leaves are merged into
 *   one, see below). In the first two its range is owned by
 *   that caller, so no other map or unmap is inside it, nor a split: who splits
 *   owns one page of the leaf at least, until he is through. Readers may be, and are
 *   under rcu_read_lock(): the page is freed after the hardware was
 *   synchronised and an RCU grace period.
 * - Who clears D (pgdirty.c) changes nothing else, by cmpxchg from the entry that he
 *   reports, in a table that is in the tree or was when his RCU section began. He owns
 *   nothing, and nobody has to know of him: who replaces the entry by cmpxchg looks at it
 *   again, who replaces it by a plain store ends the mapping, and D goes with it.
 * - Hardware may set A and D in a leaf at any time, by an atomic of its own that
 *   compares the whole entry. Of a NAPOT group the entry that it sets them in need not
 *   be that of the page.
 *
 * Splitting. A larger leaf becomes a link to 512 smaller ones in one cmpxchg; whoever
 * is second finds the link. A NAPOT group is 16 entries that change one by one. In
 * between some have N=1 and some N=0, all with the same translation, permissions and
 * memory type. That is the one change that may be made to valid entries (IOMMU spec,
 * "Accessed (A)/Dirty (D) bit updates and page promotions"), and entries of one group
 * need not be equal ("Svnapot" of the privileged architecture: bits 5 to 0 have to
 * be): each is one on its own, and hardware may use what any of them says for the page
 * that it is at. But of any that has N=1 it may make translations of all 16 pages. So
 * a page may be unmapped only when no entry of its group has N=1 any more: a cached
 * translation of it could come back from a neighbour after its last invalidation. Hence
 * three rounds, and a mark, of the bits that are software's, in a 4 KiB leaf of a group
 * that is not settled:
 *
 *   1. each entry with N=1 becomes the leaf of its page, with the mark; so does one that is about
 *      to get N, see below
 *   2. each with the mark gets the A and D that any with the mark has
 *   3. each with the mark loses it
 *
 * Whoever wants to clear an entry with N=1 or with the mark takes all three first, where
 * others may have begun. As long as no entry has lost its mark, all 16 have it after
 * round 1, with what hardware set in each while N was 1; so whoever is the first to begin
 * round 3 has told all of them the A and D of all. An entry without N and mark means that
 * somebody was that far: no N=1 is left, A and D are told, and it is its owner's alone,
 * to be cleared and mapped again by plain stores, under the eyes of those who are still
 * on their way and look for the mark. A new group cannot come meanwhile: each of them
 * owns a page of the old one. cmpxchg is fully
 * ordered, so who reads an entry without the mark, clears it and invalidates after a
 * barrier does so after the stores of round 1, whoever made them.
 *
 * Reshaping (pgreshape.c). Demotion puts tables in the place of larger leaves, promotion leaves
 * in the place of full tables, on behalf of somebody who owns nothing of it. Owners come and
 * go meanwhile, with plain stores to just these entries and below them. Hence:
 *
 *   1. announce: each entry that is to be replaced gets a mark, by cmpxchg
 *   2. wait: map and unmap are RCU readers from their first look at an entry to the
 *      last store that follows from it. After a grace period all who have not seen the
 *      mark are through. One for all entries of a range.
 *   3. replace: by cmpxchg from the entry with the mark
 *
 * Unmap takes a mark that it meets on its way down away, by cmpxchg, before it does anything;
 * then 3 fails, and the entry is the owner's as ever. A map has nothing to take back: a leaf
 * is in its way, and so is a table that is full. Nobody else sets the mark, one at a time
 * does (@reshape), and an entry that is mapped anew has none. The pieces of a leaf
 * that is split are born with it, so they can be split further at once.
 *
 * A NAPOT group has no entry of its own to be announced in. Its 16 entries get the mark; when all
 * have it at once, the three rounds above are made, of entries with the mark only. The owners may
 * unmap the group in the middle of that, and map a new one: that has no mark, and is left
 * alone. There is nothing to wait for: an owner's plain store to an entry of a group ends what is
 * mapped there, whatever that is by then, and loses no table.
 *
 * Promotion to a NAPOT group is announced in its 16 pages, and waits for the grace period, too:
 * whoever unmaps one of them by a plain store has to be through before another one has N. After
 * that N comes to one entry after the other, which translates as it did, and the marks go last.
 * Who comes for a page of it finds N or the mark in whichever entry he looks at, and makes the
 * three rounds, of entries with N or the announcement: the mark of a split is all that the
 * others' D of his page goes by. He leaves none of either, so the next entry cannot get N any more.
 *
 * A leaf that has taken the place of a table is *fresh* until hardware has forgotten the table,
 * of which it may have the link in a walk cache. As long,
 * - D may be set in the table. The leaf has what was set before, and counts as dirty; then it
 *   gets the rest.
 * - who unmaps the leaf, or a part of it, invalidates leaves, and not that link: hardware
 *   would find what he unmapped again, in the old table. So he makes hardware forget the table
 *   himself, before (&rviommu_pgtable_ops.sync_walk), and what he leaves of the leaf is dirty.
 */
struct rviommu_pgtable {
	struct rviommu_pgtable_cfg cfg;
	const struct rviommu_pgtable_ops *ops;
	/* One at a time replaces entries that are not his. */
	struct mutex reshape;
	unsigned long merges;
	u8 tracked;
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
 * @pte: the entry as read once, without the mark of a split
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
void rviommu_pgtable_track(struct rviommu_pgtable *pt, enum rviommu_tracking how);
bool rviommu_pgtable_unmap_leaf(struct rviommu_pgtable *pt, u64 iova, size_t size);
int rviommu_pgtable_demote(struct rviommu_pgtable *pt, u64 iova, u64 last);
unsigned long rviommu_pgtable_promote(struct rviommu_pgtable *pt, u64 iova, u64 last);
u64 rviommu_pgtable_iova_to_phys(struct rviommu_pgtable *pt, u64 iova);
unsigned int rviommu_pgtable_steps(const struct rviommu_pgtable *pt, u64 iova,
				   struct rviommu_step *steps);
int rviommu_pgtable_for_each(struct rviommu_pgtable *pt, u64 iova, u64 last,
			     rviommu_pgtable_visit_t visit, void *arg);

#if IS_ENABLED(CONFIG_KUNIT)
void rviommu_pgtable_seam(const u64 *e);
void rviommu_pgtable_grace(void);
#endif

/* Width of an IOVA in bits, sign bit included in the first stage. */
static inline unsigned int rviommu_pgtable_va_lg2(const struct rviommu_pgtable_cfg *cfg)
{
	return 12 + 9 * cfg->levels + (cfg->second_stage ? 2 : 0);
}

#endif /* RVIOMMU_PGTABLE_H */
