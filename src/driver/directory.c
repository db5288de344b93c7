// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directories that hardware walks: prepare, publish, retire.
 *
 * The IOMMU is a reader that takes no lock. It follows the entries of the
 * non-leaf tables to a leaf page and reads the words of a context there, one
 * by one, in any order, at any time (spec "Device-Directory-Table (DDT)"). Two
 * things bound what it can put together: a 64-bit word is read as a whole, and
 * after IODIR.INVAL_DDT and IOFENCE.C it has forgotten what it read before.
 *
 * So a change is one store, wherever that is possible: of a word of the context
 * when only that word differs, else of the entry that points to the leaf page,
 * after a copy of the page was edited. The copy holds the neighbours' contexts
 * unchanged, so that their devices notice nothing.
 *
 * An invalid context is *not* memory that nobody can see: hardware may read its
 * words and find V last. Words stored into it in place are therefore followed by
 * a grace period of the hardware (ops->sync) before tc makes them valid.
 * Otherwise a walk that read fsc before and tc after would combine a stale
 * root with the new tc, and could cache that for good, because V 0 -> 1 is
 * followed by no invalidation. A walk that saw V = 1 before the context
 * went invalid needs no such care: whoever made it invalid owed, and completed,
 * the invalidation of RVIOMMU_PUBLISH_WORD before giving up the lock, and
 * that ended the walk.
 */

#include <linux/align.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include <kunit/visibility.h>

#include "directory.h"
#include "mem.h"
#include "mutate.h"

#define DIR_LEVELS_MAX		3
#define DIR_INDEX_LG2		9	/* 512 entries of 8 bytes in a non-leaf table */
#define DIR_TABLE_ENTRIES	BIT(DIR_INDEX_LG2)

/* Attempts to read a context twice with the same result, see rviommu_ddt_read() */
#define DIR_READ_TRIES		16

/**
 * struct dir_shape - how an ID selects entries in a kind of directory
 * @shift: lowest bit of the ID that counts at each level; level 0 is the leaf page
 * @entry_words: 64-bit words of an entry of the leaf page
 *
 * Indices of non-leaf levels are %DIR_INDEX_LG2 bits wide; where the spec has a
 * narrower root, the check of the ID's width has already excluded the rest.
 */
struct dir_shape {
	u8 shift[DIR_LEVELS_MAX];
	u8 entry_words;
};

/* Spec "Process to translate an IOVA", steps 3 and 4 */
static const struct dir_shape ddt_base = {
	.shift = { 0, 7, 16 },
	.entry_words = RVIOMMU_DC_WORDS_BASE,
};

static const struct dir_shape ddt_extended = {
	.shift = { 0, 6, 15 },
	.entry_words = RVIOMMU_DC_WORDS_EXT,
};

/* Spec "Process Directory Table (PDT)": 8, 9 and 3 bits of the process_id */
static const struct dir_shape pdt_shape = {
	.shift = { 0, 8, 17 },
	.entry_words = RVIOMMU_PC_WORDS,
};

static const struct dir_shape *ddt_shape(const struct rviommu_ddt *ddt)
{
	return ddt->dc_words == RVIOMMU_DC_WORDS_EXT ? &ddt_extended : &ddt_base;
}

/* The entry of a non-leaf @table that leads to @id. */
static u64 *dir_slot(const struct dir_shape *shape, u64 *table, unsigned int level, u32 id)
{
	return table + ((id >> shape->shift[level]) & (DIR_TABLE_ENTRIES - 1));
}

/* The first word of the entry of @id in a leaf page. */
static u64 *dir_leaf(const struct dir_shape *shape, u64 *page, u32 id)
{
	return page + (id & ((1U << shape->shift[1]) - 1)) * shape->entry_words;
}

static u64 dir_entry(const u64 *table)
{
	return RVIOMMU_DIRENT_V |
	       FIELD_PREP(RVIOMMU_DIRENT_PPN, virt_to_phys((void *)table) >> RVIOMMU_PAGE_LG2);
}

static u64 *dir_table(u64 entry)
{
	return phys_to_virt((phys_addr_t)FIELD_GET(RVIOMMU_DIRENT_PPN, entry) << RVIOMMU_PAGE_LG2);
}

/* The table page that a word lies in. */
static u64 *dir_page(u64 *word)
{
	return PTR_ALIGN_DOWN(word, RVIOMMU_PAGE_SIZE);
}

/* Frees @table and everything below it; nobody can reach it (any more). */
static void dir_free(u64 *table, unsigned int level)
{
	unsigned int i;

	if (level) {
		for (i = 0; i < DIR_TABLE_ENTRIES; i++) {
			if (table[i] & RVIOMMU_DIRENT_V)
				dir_free(dir_table(table[i]), level - 1);
		}
	}
	rviommu_page_free(table);
}

static u64 *ddt_alloc(struct rviommu_ddt *ddt)
{
	return rviommu_page_alloc(ddt->nid, GFP_KERNEL, 0, ddt->pas_lg2);
}

static bool dc_valid(const struct rviommu_dc *dc)
{
	return dc->word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V;
}

/**
 * rviommu_ddt_store() - rviommu_ddt_ops.store for real hardware
 * @ddt: directory
 * @where: word in a table that hardware may be reading
 * @value: what to store
 *
 * dma_wmb() and not smp_store_release(): the reader is no CPU, and a kernel for
 * one CPU has no barrier in the latter. Software readers get their release from
 * it, too.
 */
void rviommu_ddt_store(struct rviommu_ddt *ddt, u64 *where, u64 value)
{
	dma_wmb();
	WRITE_ONCE(*where, value);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_store);

/**
 * rviommu_ddt_init() - an empty directory: every context invalid
 * @ddt: directory, uninitialised
 * @ops: how it reaches the hardware; must outlive @ddt
 * @levels: 1, 2 or 3
 * @extended: 8-word contexts (capabilities.MSI_FLAT) instead of 4
 * @pas_lg2: width of physical addresses in bits that tables must fit
 * @nid: NUMA node for tables
 *
 * The caller programs ddtp with the physical address of @ddt->root.
 *
 * Return: 0, -EINVAL for another number of levels, -ENOMEM.
 */
int rviommu_ddt_init(struct rviommu_ddt *ddt, const struct rviommu_ddt_ops *ops, u8 levels,
		     bool extended, u8 pas_lg2, int nid)
{
	if (!levels || levels > DIR_LEVELS_MAX)
		return -EINVAL;

	ddt->ops = ops;
	ddt->levels = levels;
	ddt->dc_words = extended ? RVIOMMU_DC_WORDS_EXT : RVIOMMU_DC_WORDS_BASE;
	ddt->pas_lg2 = pas_lg2;
	ddt->nid = nid;
	ddt->root = ddt_alloc(ddt);
	if (!ddt->root)
		return -ENOMEM;
	mutex_init(&ddt->lock);
	spin_lock_init(&ddt->quarantine);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_init);

/**
 * rviommu_ddt_destroy() - free all tables
 * @ddt: directory
 *
 * The IOMMU walks it no more (ddtp is Off or Bare, and not busy), there are no
 * writers, and debugfs readers are gone.
 */
void rviommu_ddt_destroy(struct rviommu_ddt *ddt)
{
	dir_free(ddt->root, ddt->levels - 1);
	ddt->root = NULL;
	mutex_destroy(&ddt->lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_destroy);

static int ddt_check(const struct rviommu_ddt *ddt, const struct rviommu_ddt_update *updates,
		     unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const struct rviommu_ddt_update *u = &updates[i];

		if (u->did >> rviommu_ddt_did_lg2(ddt->levels,
						  ddt->dc_words == RVIOMMU_DC_WORDS_EXT))
			return -ERANGE;
		for (j = ddt->dc_words; j < RVIOMMU_DC_WORDS_EXT; j++) {
			if (u->new.word[j])
				return -EINVAL;
		}
		for (j = 0; j < i; j++) {
			if (updates[j].did == u->did)
				return -EINVAL;
		}
	}
	return 0;
}

/* The tables that one of the @nr earlier updates will link at @slot, or NULL */
static u64 *ddt_pending(const struct rviommu_ddt_update *updates, unsigned int nr, const u64 *slot)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (updates[i].at.link == slot)
			return updates[i].at.subtree;
	}
	return NULL;
}

/*
 * Find the leaf page of @id, from @table at @level down. What is missing on the way is
 * built if @build says so, where nobody can see it: only the topmost new table
 * waits for its link, the ones below are linked at once. It may be one that the @nr
 * earlier @updates have built. @live: hardware can see @table; and afterwards, the
 * leaf page. Returns 0 or -ENOMEM; then, too, what was built is in @at.
 */
static int dir_find(struct rviommu_ddt *ddt, const struct dir_shape *shape, u64 *table,
		    unsigned int level, u32 id, bool build,
		    const struct rviommu_ddt_update *updates, unsigned int nr, bool *live,
		    struct rviommu_dir_place *at)
{
	for (; level; level--) {
		u64 *slot = dir_slot(shape, table, level, id);
		u64 *next;

		at->parent = slot;
		if (*slot & RVIOMMU_DIRENT_V) {
			table = dir_table(*slot);
			continue;
		}
		next = ddt_pending(updates, nr, slot);
		if (!next) {
			if (!build)
				return 0;
			next = ddt_alloc(ddt);
			if (!next)
				return -ENOMEM;
			if (*live) {
				at->link = slot;
				at->subtree = next;
				at->subtree_level = level - 1;
			} else {
				*slot = dir_entry(next);
			}
		}
		*live = false;
		table = next;
	}
	at->words = dir_leaf(shape, table, id);
	return 0;
}

static int ddt_find(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
		    unsigned int index)
{
	struct rviommu_ddt_update *u = &updates[index];
	bool live = true;
	int ret;

	ret = dir_find(ddt, ddt_shape(ddt), ddt->root, ddt->levels - 1, u->did,
		       dc_valid(&u->new) || u->reserve, updates, index, &live, &u->at);
	if (ret || !u->at.words)
		return ret;
	if (u->at.words[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V)
		memcpy(u->old.word, u->at.words, ddt->dc_words * sizeof(u64));
	/* Nobody sees the page yet: all that is left to publish is the link. */
	if (!live && dc_valid(&u->new))
		memcpy(u->at.words, u->new.word, ddt->dc_words * sizeof(u64));
	return 0;
}

static enum rviommu_publish ddt_choose(const struct rviommu_ddt *ddt,
				       const struct rviommu_ddt_update *u)
{
	unsigned int i, differ = 0;

	if (!dc_valid(&u->old))
		return dc_valid(&u->new) ? RVIOMMU_PUBLISH_VALID : RVIOMMU_PUBLISH_NONE;
	/*
	 * Only tc says V = 0. The other words become don't-care; they stay as they
	 * are, because hardware may have read V = 1 and be reading them still.
	 */
	if (!dc_valid(&u->new))
		return RVIOMMU_PUBLISH_WORD;

	for (i = 0; i < ddt->dc_words; i++)
		differ += u->old.word[i] != u->new.word[i];
	if (!differ)
		return RVIOMMU_PUBLISH_NONE;
	if (differ == 1)
		return RVIOMMU_PUBLISH_WORD;
	/* The parent of a one-level DDT is ddtp, which must not change while on. */
	return ddt->levels > 1 && !rviommu_mutates(ddt, RVIOMMU_MUTATE_COPY_PAGE) ?
	       RVIOMMU_PUBLISH_PAGE : RVIOMMU_PUBLISH_BREAK;
}

/*
 * Copy the leaf page of @owner and apply to the copy what any of the updates
 * changes in that page: stored in the old page instead, it would be lost
 * when the copy takes over.
 */
static int ddt_copy_page(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			 unsigned int nr, struct rviommu_ddt_update *owner)
{
	u64 *page = dir_page(owner->at.words);
	unsigned int i;
	u64 *copy;

	copy = ddt_alloc(ddt);
	if (!copy)
		return -ENOMEM;
	/* Under the lock nobody stores to the page, and hardware never does. */
	memcpy(copy, page, RVIOMMU_PAGE_SIZE);
	owner->copy = copy;

	for (i = 0; i < nr; i++) {
		struct rviommu_ddt_update *u = &updates[i];

		if (u->how == RVIOMMU_PUBLISH_NONE || dir_page(u->at.words) != page)
			continue;
		u->how = RVIOMMU_PUBLISH_PAGE;
		u->at.words = copy + (u->at.words - page);
		memcpy(u->at.words, u->new.word, ddt->dc_words * sizeof(u64));
	}
	return 0;
}

/**
 * rviommu_ddt_prepare() - everything of a change that can fail
 * @ddt: directory; the caller holds its lock, and goes on holding it until
 *       rviommu_ddt_retire() or rviommu_ddt_abort()
 * @updates: contexts to change; @did, @new and @reserve filled in
 * @nr: number of @updates
 *
 * Nothing is visible yet, neither to hardware nor to readers in software: new
 * tables and copies of leaf pages are reachable only from @updates.
 *
 * Return: 0, after which rviommu_ddt_publish() cannot fail; -ERANGE when a
 * device_id is wider than the directory; -EINVAL when one appears twice, or when
 * a base-format directory is given a context with extended words; -ENOMEM. After
 * an error there is nothing to abort.
 */
int rviommu_ddt_prepare(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			unsigned int nr)
{
	unsigned int i;
	int rc;

	lockdep_assert_held(&ddt->lock);

	rc = ddt_check(ddt, updates, nr);
	if (rc)
		return rc;

	for (i = 0; i < nr; i++) {
		updates[i] = (struct rviommu_ddt_update) {
			.did = updates[i].did,
			.reserve = updates[i].reserve,
			.lost = updates[i].lost,
			.new = updates[i].new,
		};
	}
	for (i = 0; i < nr; i++) {
		rc = ddt_find(ddt, updates, i);
		if (rc)
			goto abort;
		updates[i].how = ddt_choose(ddt, &updates[i]);
	}
	for (i = 0; i < nr; i++) {
		/* One that shares an earlier one's page was moved to the copy there. */
		if (updates[i].how != RVIOMMU_PUBLISH_PAGE ||
		    dir_page(updates[i].at.words) != dir_table(*updates[i].at.parent))
			continue;
		rc = ddt_copy_page(ddt, updates, nr, &updates[i]);
		if (rc)
			goto abort;
	}
	return 0;

abort:
	rviommu_ddt_abort(ddt, updates, nr);
	return rc;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_prepare);

/* Updates whose context is invalid, in place, while its words are stored */
static bool ddt_rewrites(const struct rviommu_ddt_update *u)
{
	return u->how == RVIOMMU_PUBLISH_VALID || u->how == RVIOMMU_PUBLISH_BREAK;
}

/* One ops->sync for all updates of one call that need it */
struct ddt_grace {
	u32 did;
	unsigned int nr;
};

static void ddt_grace_need(struct ddt_grace *grace, u32 did)
{
	if (!grace->nr || grace->did != did)
		grace->nr++;
	grace->did = did;
}

static void ddt_grace_wait(struct rviommu_ddt *ddt, struct ddt_grace *grace)
{
	/* -EIO: no walk is left that could be waited for. */
	if (grace->nr)
		ddt->ops->sync(ddt, grace->did, grace->nr > 1);
	*grace = (struct ddt_grace) {};
}

static bool ddt_lost(const struct rviommu_ddt_update *u)
{
	return u->lost && READ_ONCE(*u->lost);
}

/*
 * What went into quarantine since prepare stays there: contexts that are about to
 * be stored, and their neighbours in copies, of which quarantine knows only the
 * page that they were copied from.
 */
static void ddt_keep_quarantine(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
				unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const u64 *page = updates[i].copy ? dir_table(*updates[i].at.parent) : NULL;

		for (j = RVIOMMU_DC_TC; page && j < DIR_TABLE_ENTRIES; j += ddt->dc_words)
			if (!(page[j] & RVIOMMU_DC_TC_V))
				updates[i].copy[j] &= ~RVIOMMU_DC_TC_V;
	}
	for (i = 0; i < nr; i++) {
		struct rviommu_ddt_update *u = &updates[i];

		/* Neighbours that this call makes valid were in the page as invalid. */
		if (u->how == RVIOMMU_PUBLISH_PAGE)
			u->at.words[RVIOMMU_DC_TC] = u->new.word[RVIOMMU_DC_TC];
		if (!ddt_lost(u))
			continue;
		u->new.word[RVIOMMU_DC_TC] = 0;
		/* In a copy, or in a page that is not linked yet: nobody looks there. */
		if (u->how == RVIOMMU_PUBLISH_PAGE ||
		    (u->how == RVIOMMU_PUBLISH_VALID &&
		     u->at.words[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V))
			u->at.words[RVIOMMU_DC_TC] = 0;
		/* One store, as for any context that goes invalid. */
		if (u->how == RVIOMMU_PUBLISH_WORD)
			memcpy(&u->new.word[1], &u->at.words[1], (ddt->dc_words - 1) * sizeof(u64));
	}
}

/**
 * rviommu_ddt_quarantine() - block a device, now, and for as long as it is lost
 * @ddt: directory
 * @did: device_id
 *
 * For whoever cannot wait for the writers' lock, because a writer may be waiting
 * for it: the command queue, of a device that answers no more. The caller has set
 * the flag that rviommu_ddt_update.lost of later updates points to, and now
 * owes IODIR.INVAL_DDT of all devices and a fence: a writer may have replaced the page that
 * the context is in, and not have had its link forgotten yet.
 *
 * Context: any.
 */
void rviommu_ddt_quarantine(struct rviommu_ddt *ddt, u32 did)
{
	const struct dir_shape *shape = ddt_shape(ddt);
	unsigned int level = ddt->levels - 1;
	u64 *table = ddt->root;
	unsigned long flags;

	spin_lock_irqsave(&ddt->quarantine, flags);
	for (; level; level--) {
		u64 entry = READ_ONCE(*dir_slot(shape, table, level, did));

		if (!(entry & RVIOMMU_DIRENT_V))
			goto unlock;
		table = dir_table(entry);
	}
	table = dir_leaf(shape, table, did);
	if (table[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V)
		ddt->ops->store(ddt, &table[RVIOMMU_DC_TC], 0);
unlock:
	spin_unlock_irqrestore(&ddt->quarantine, flags);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_quarantine);

/* What makes the changes visible: one store for each. */
static void ddt_store_last(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			   unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		struct rviommu_ddt_update *u = &updates[i];

		if (u->at.link) {
			ddt->ops->store(ddt, u->at.link, dir_entry(u->at.subtree));
		} else if (u->copy) {
			u->replaced = dir_table(*u->at.parent);
			ddt->ops->store(ddt, u->at.parent, dir_entry(u->copy));
		} else if (ddt_rewrites(u)) {
			/* Equal if the context lies in an earlier update's new page. */
			if (u->at.words[RVIOMMU_DC_TC] != u->new.word[RVIOMMU_DC_TC])
				ddt->ops->store(ddt, &u->at.words[RVIOMMU_DC_TC],
						u->new.word[RVIOMMU_DC_TC]);
		} else if (u->how == RVIOMMU_PUBLISH_WORD) {
			/* The first that differs; of a context going invalid that is tc. */
			for (j = 0; j < ddt->dc_words && u->at.words[j] == u->new.word[j]; j++)
				;
			if (j < ddt->dc_words)
				ddt->ops->store(ddt, &u->at.words[j], u->new.word[j]);
		}
	}
}

/**
 * rviommu_ddt_publish() - make prepared changes visible
 * @ddt: directory, locked since rviommu_ddt_prepare()
 * @updates: the prepared array
 * @nr: number of @updates
 *
 * Cannot fail. Afterwards the new contexts are in force for every walk that
 * starts, except that the IOMMU may go on using what it has cached; the caller
 * now issues what each @how owes, completes a fence, and only then calls
 * rviommu_ddt_retire().
 *
 * May sleep (ops->sync).
 */
void rviommu_ddt_publish(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			 unsigned int nr)
{
	struct ddt_grace grace = {};
	unsigned long flags;
	unsigned int i, j;

	lockdep_assert_held(&ddt->lock);

	/* Break: after this grace period no walk is left that saw V = 1. */
	for (i = 0; i < nr; i++) {
		if (updates[i].how != RVIOMMU_PUBLISH_BREAK ||
		    rviommu_mutates(ddt, RVIOMMU_MUTATE_BREAK))
			continue;
		ddt->ops->store(ddt, &updates[i].at.words[RVIOMMU_DC_TC], 0);
		ddt_grace_need(&grace, updates[i].did);
	}
	if (!rviommu_mutates(ddt, RVIOMMU_MUTATE_BREAK_GRACE))
		ddt_grace_wait(ddt, &grace);

	/* After this one none is left that read a word before it was stored. */
	for (i = 0; i < nr; i++) {
		struct rviommu_ddt_update *u = &updates[i];

		if (!ddt_rewrites(u))
			continue;
		for (j = 0; j < ddt->dc_words; j++) {
			if (j == RVIOMMU_DC_TC || u->at.words[j] == u->new.word[j])
				continue;
			ddt->ops->store(ddt, &u->at.words[j], u->new.word[j]);
			ddt_grace_need(&grace, u->did);
		}
	}
	if (!rviommu_mutates(ddt, RVIOMMU_MUTATE_VALID_GRACE))
		ddt_grace_wait(ddt, &grace);

	if (!ddt->can_lose) {
		ddt_store_last(ddt, updates, nr);
		return;
	}
	spin_lock_irqsave(&ddt->quarantine, flags);
	ddt_keep_quarantine(ddt, updates, nr);
	ddt_store_last(ddt, updates, nr);
	spin_unlock_irqrestore(&ddt->quarantine, flags);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_publish);

/**
 * rviommu_ddt_retire() - free what a published change replaced
 * @ddt: directory, locked since rviommu_ddt_prepare()
 * @updates: the published array
 * @nr: number of @updates
 *
 * The caller has completed the invalidations that the updates owed, and the fence
 * after them: no walk of the hardware is left in a replaced page. Readers in
 * software are waited for by RCU. Does not sleep.
 */
void rviommu_ddt_retire(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			unsigned int nr)
{
	LIST_HEAD(pages);
	unsigned int i;

	lockdep_assert_held(&ddt->lock);

	for (i = 0; i < nr; i++) {
		if (!updates[i].replaced)
			continue;
		list_add_tail(&rviommu_page_of(updates[i].replaced)->node, &pages);
		updates[i].replaced = NULL;
	}
	if (!list_empty(&pages))
		rviommu_page_retire(&pages);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_retire);

/**
 * rviommu_ddt_abort() - as if rviommu_ddt_prepare() had never been called
 * @ddt: directory, locked since rviommu_ddt_prepare()
 * @updates: the prepared array, not published
 * @nr: number of @updates
 *
 * Frees at once: nobody has seen anything of it, new tables included.
 */
void rviommu_ddt_abort(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
		       unsigned int nr)
{
	unsigned int i;

	lockdep_assert_held(&ddt->lock);

	for (i = 0; i < nr; i++) {
		struct rviommu_ddt_update *u = &updates[i];

		if (u->at.subtree)
			dir_free(u->at.subtree, u->at.subtree_level);
		if (u->copy)
			rviommu_page_free(u->copy);
		u->at.link = NULL;
		u->at.subtree = NULL;
		u->copy = NULL;
		u->at.words = NULL;
		u->how = RVIOMMU_PUBLISH_NONE;
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_abort);

/* One walk, as hardware does it. Returns the words, or NULL where an entry is invalid. */
static const u64 *ddt_walk(struct rviommu_ddt *ddt, u32 did)
{
	const struct dir_shape *shape = ddt_shape(ddt);
	unsigned int level = ddt->levels - 1;
	u64 *table = ddt->root;

	for (; level; level--) {
		/* The address depends on the entry: no barrier needed. */
		u64 entry = READ_ONCE(*dir_slot(shape, table, level, did));

		if (!(entry & RVIOMMU_DIRENT_V))
			return NULL;
		table = dir_table(entry);
	}
	return dir_leaf(shape, table, did);
}

/**
 * rviommu_ddt_read() - the context in force for a device, for showing it
 * @ddt: directory
 * @did: device_id
 * @dc: where to put the context; all zero when there is none
 *
 * Takes no lock and never delays a writer: any context, also under
 * rviommu_ddt.lock. Reads until two walks in a row give the same words from the
 * same page. What it returns was in force at some moment of the call, unless
 * the context changed twice or more between the two walks and every word came
 * out twice the same (A -> B -> A, with reads in just the wrong places);
 * no invalidation may rest on it.
 *
 * Return: true and a valid context; false when it is invalid, when @did is wider
 * than the directory, or when it kept changing.
 */
bool rviommu_ddt_read(struct rviommu_ddt *ddt, u32 did, struct rviommu_dc *dc)
{
	const u64 *where, *seen = NULL;
	unsigned int i, try;
	bool same;

	memset(dc, 0, sizeof(*dc));
	if (did >> rviommu_ddt_did_lg2(ddt->levels, ddt->dc_words == RVIOMMU_DC_WORDS_EXT))
		return false;

	/* A page cannot be freed and come back as another during the loop. */
	guard(rcu)();
	for (try = 0; try < DIR_READ_TRIES; try++) {
		where = ddt_walk(ddt, did);
		if (!where)
			break;
		same = where == seen;
		seen = where;
		for (i = 0; i < ddt->dc_words; i++) {
			/* In order: words that follow a valid tc are its own or later ones. */
			u64 word = smp_load_acquire(&where[i]);

			same &= word == dc->word[i];
			dc->word[i] = word;
		}
		if (same && dc_valid(dc))
			return true;
		if (!dc_valid(dc))
			break;
	}
	memset(dc, 0, sizeof(*dc));
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_read);

/* ----- Process directories ----- */

static bool pc_valid(const struct rviommu_pc *pc)
{
	return pc->word[RVIOMMU_PC_TA] & RVIOMMU_PC_TA_V;
}

/**
 * rviommu_pdt_init() - an empty process directory that nobody can reach
 * @ddt: the device's directory: its physical address width and node
 * @pdt: filled in here
 * @levels: 1, 2 or 3
 *
 * Until the caller sets @pdt->live, right before DC.fsc points to it, contexts are
 * written by rviommu_pdt_prepare() alone.
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_pdt_init(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt, u8 levels)
{
	u64 *root = ddt_alloc(ddt);

	if (!root)
		return -ENOMEM;
	*pdt = (struct rviommu_pdt){ .root = root, .levels = levels };
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_init);

/**
 * rviommu_pdt_destroy() - free a process directory at once
 * @pdt: directory; nobody has ever been able to reach it
 */
void rviommu_pdt_destroy(struct rviommu_pdt *pdt)
{
	if (pdt->root)
		dir_free(pdt->root, pdt->levels - 1);
	*pdt = (struct rviommu_pdt){};
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_destroy);

static void dir_collect(u64 *table, unsigned int level, struct list_head *pages)
{
	unsigned int i;

	for (i = 0; level && i < DIR_TABLE_ENTRIES; i++)
		if (table[i] & RVIOMMU_DIRENT_V)
			dir_collect(dir_table(table[i]), level - 1, pages);
	list_add_tail(&rviommu_page_of(table)->node, pages);
}

/**
 * rviommu_pdt_retire_all() - free a process directory that was in use
 * @pdt: directory; no device context points to it any more, what the IOMMU cached
 *       of it is invalidated, and a fence has completed
 */
void rviommu_pdt_retire_all(struct rviommu_pdt *pdt)
{
	LIST_HEAD(pages);

	if (!pdt->root)
		return;
	dir_collect(pdt->root, pdt->levels - 1, &pages);
	rviommu_page_retire(&pages);
	*pdt = (struct rviommu_pdt){};
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_retire_all);

/**
 * rviommu_pdt_pdtp() - value of DC.fsc for a process directory
 * @levels: its depth
 * @root: its root table
 *
 * Return: the word; spec "Process-directory-table pointer (pdtp)".
 */
u64 rviommu_pdt_pdtp(u8 levels, const u64 *root)
{
	return FIELD_PREP(RVIOMMU_FSC_MODE, RVIOMMU_PDTP_MODE_PD8 + levels - 1) |
	       FIELD_PREP(RVIOMMU_FSC_PPN, virt_to_phys((void *)root) >> RVIOMMU_PAGE_LG2);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_pdtp);

static int pdt_find(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt,
		    struct rviommu_pdt_update *u)
{
	bool live = pdt->live;
	int ret;

	ret = dir_find(ddt, &pdt_shape, pdt->root, pdt->levels - 1, u->pid, pc_valid(&u->new),
		       NULL, 0, &live, &u->at);
	if (ret || !u->at.words)
		return ret;
	if (!live)
		memcpy(u->at.words, u->new.word, sizeof(u->new.word));
	else if (u->at.words[RVIOMMU_PC_TA] & RVIOMMU_PC_TA_V)
		memcpy(u->old.word, u->at.words, sizeof(u->old.word));
	return 0;
}

static enum rviommu_publish pdt_choose(const struct rviommu_pdt_update *u)
{
	unsigned int i, differ = 0;

	if (!pc_valid(&u->old))
		return pc_valid(&u->new) ? RVIOMMU_PUBLISH_VALID : RVIOMMU_PUBLISH_NONE;
	/* As in ddt_choose(): only ta says so, fsc stays. */
	if (!pc_valid(&u->new))
		return RVIOMMU_PUBLISH_WORD;
	for (i = 0; i < RVIOMMU_PC_WORDS; i++)
		differ += u->old.word[i] != u->new.word[i];
	if (differ < 2)
		return differ ? RVIOMMU_PUBLISH_WORD : RVIOMMU_PUBLISH_NONE;
	return RVIOMMU_PUBLISH_PAGE;
}

/**
 * rviommu_pdt_prepare() - everything of a change that can fail
 * @ddt: the device's directory, locked until retire or abort
 * @pdt: process directory
 * @update: @pid and @new filled in
 *
 * Nothing is visible yet; but if @pdt is not live, that was all there is to do.
 * Needs no memory when @new is invalid.
 *
 * Return: 0, after which rviommu_pdt_publish() cannot fail; -ERANGE when the
 * process_id is wider than the directory; -ENOMEM. After an error there is nothing
 * to abort.
 */
int rviommu_pdt_prepare(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt,
			struct rviommu_pdt_update *update)
{
	struct rviommu_pdt_update *u = update;
	u64 *page;
	int ret;

	lockdep_assert_held(&ddt->lock);

	if (u->pid >> rviommu_pdt_pid_lg2(pdt->levels))
		return -ERANGE;
	*u = (struct rviommu_pdt_update){ .pid = u->pid, .new = u->new };
	ret = pdt_find(ddt, pdt, u);
	if (ret)
		goto abort;
	u->how = pdt->live ? pdt_choose(u) : RVIOMMU_PUBLISH_NONE;
	if (u->how != RVIOMMU_PUBLISH_PAGE)
		return 0;

	page = dir_page(u->at.words);
	ret = -ENOMEM;
	u->copy = ddt_alloc(ddt);
	if (!u->copy)
		goto abort;
	memcpy(u->copy, page, RVIOMMU_PAGE_SIZE);
	u->at.words = u->copy + (u->at.words - page);
	memcpy(u->at.words, u->new.word, sizeof(u->new.word));
	return 0;

abort:
	rviommu_pdt_abort(ddt, u);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_prepare);

/**
 * rviommu_pdt_publish() - make a prepared change visible
 * @ddt: the device's directory, locked since rviommu_pdt_prepare()
 * @pdt: process directory
 * @update: the prepared change
 * @did: device_id of the device, for ops->sync
 * @all: the device has more than one
 *
 * Cannot fail. A copy of the root (one level) is only made the root here: it is in
 * force when the caller has published the DC.fsc that points to it, which is
 * prepared from @update->copy and must follow at once.
 *
 * May sleep (ops->sync).
 */
void rviommu_pdt_publish(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt,
			 struct rviommu_pdt_update *update, u32 did, bool all)
{
	struct rviommu_pdt_update *u = update;
	u64 *ta = u->at.words ? &u->at.words[RVIOMMU_PC_TA] : NULL;
	u64 *fsc = u->at.words ? &u->at.words[RVIOMMU_PC_FSC] : NULL;

	lockdep_assert_held(&ddt->lock);

	if (u->at.link) {
		ddt->ops->store(ddt, u->at.link, dir_entry(u->at.subtree));
		return;
	}
	switch (u->how) {
	case RVIOMMU_PUBLISH_VALID:
		/* See the head of this file: V = 0 does not keep hardware from reading fsc. */
		if (*fsc != u->new.word[RVIOMMU_PC_FSC]) {
			ddt->ops->store(ddt, fsc, u->new.word[RVIOMMU_PC_FSC]);
			if (!rviommu_mutates(ddt, RVIOMMU_MUTATE_PDT_GRACE))
				ddt->ops->sync(ddt, did, all);
		}
		ddt->ops->store(ddt, ta, u->new.word[RVIOMMU_PC_TA]);
		break;
	case RVIOMMU_PUBLISH_WORD:
		if (*ta != u->new.word[RVIOMMU_PC_TA])
			ddt->ops->store(ddt, ta, u->new.word[RVIOMMU_PC_TA]);
		else
			ddt->ops->store(ddt, fsc, u->new.word[RVIOMMU_PC_FSC]);
		break;
	case RVIOMMU_PUBLISH_PAGE:
		if (u->at.parent) {
			u->replaced = dir_table(*u->at.parent);
			ddt->ops->store(ddt, u->at.parent, dir_entry(u->copy));
		} else {
			u->replaced = pdt->root;
			pdt->root = u->copy;
		}
		break;
	case RVIOMMU_PUBLISH_NONE:
	case RVIOMMU_PUBLISH_BREAK:
		break;
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_publish);

/**
 * rviommu_pdt_retire() - free what a published change replaced
 * @ddt: the device's directory, locked since rviommu_pdt_prepare()
 * @update: the published change
 *
 * As rviommu_ddt_retire(): what the update owed is done, and a fence completed.
 */
void rviommu_pdt_retire(struct rviommu_ddt *ddt, struct rviommu_pdt_update *update)
{
	LIST_HEAD(pages);

	lockdep_assert_held(&ddt->lock);

	if (!update->replaced)
		return;
	list_add_tail(&rviommu_page_of(update->replaced)->node, &pages);
	update->replaced = NULL;
	rviommu_page_retire(&pages);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_retire);

/**
 * rviommu_pdt_abort() - as if rviommu_pdt_prepare() had never been called
 * @ddt: the device's directory, locked since rviommu_pdt_prepare()
 * @update: the prepared change, not published
 */
void rviommu_pdt_abort(struct rviommu_ddt *ddt, struct rviommu_pdt_update *update)
{
	lockdep_assert_held(&ddt->lock);

	if (update->at.subtree)
		dir_free(update->at.subtree, update->at.subtree_level);
	if (update->copy)
		rviommu_page_free(update->copy);
	*update = (struct rviommu_pdt_update){ .pid = update->pid, .new = update->new };
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_abort);

/**
 * rviommu_pdt_read() - the process context in force, for showing it
 * @ddt: the device's directory
 * @did: device_id
 * @pid: process_id
 * @pc: where to put the context; all zero when there is none
 *
 * From the device context down, as hardware does it, and with the limits of
 * rviommu_ddt_read(). Takes no lock.
 *
 * Return: true and a valid context, or false.
 */
bool rviommu_pdt_read(struct rviommu_ddt *ddt, u32 did, u32 pid, struct rviommu_pc *pc)
{
	unsigned int level, mode, try;
	struct rviommu_dc dc;
	const u64 *leaf;
	u64 *table;

	/* Tables that are found during the call are not freed during the call. */
	guard(rcu)();
	for (try = 0; try < DIR_READ_TRIES; try++) {
		memset(pc, 0, sizeof(*pc));
		if (!rviommu_ddt_read(ddt, did, &dc) ||
		    !(dc.word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV))
			return false;
		mode = FIELD_GET(RVIOMMU_FSC_MODE, dc.word[RVIOMMU_DC_FSC]);
		/* More than three: words of two contexts, see rviommu_ddt_read(). */
		if (!mode || mode > DIR_LEVELS_MAX || pid >> rviommu_pdt_pid_lg2(mode))
			return false;
		table = phys_to_virt((phys_addr_t)FIELD_GET(RVIOMMU_FSC_PPN,
							    dc.word[RVIOMMU_DC_FSC]) <<
				     RVIOMMU_PAGE_LG2);
		for (level = mode - 1; level; level--) {
			u64 entry = READ_ONCE(*dir_slot(&pdt_shape, table, level, pid));

			if (!(entry & RVIOMMU_DIRENT_V))
				return false;
			table = dir_table(entry);
		}
		leaf = dir_leaf(&pdt_shape, table, pid);
		/* In order: fsc is what follows a valid ta, or is newer. */
		pc->word[RVIOMMU_PC_TA] = smp_load_acquire(&leaf[RVIOMMU_PC_TA]);
		/* And ta is looked at again after it. */
		pc->word[RVIOMMU_PC_FSC] = smp_load_acquire(&leaf[RVIOMMU_PC_FSC]);
		if (!pc_valid(pc))
			break;
		if (READ_ONCE(leaf[RVIOMMU_PC_TA]) == pc->word[RVIOMMU_PC_TA])
			return true;
	}
	memset(pc, 0, sizeof(*pc));
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_read);
