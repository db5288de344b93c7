// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directories that hardware walks: prepare, publish, retire, of device contexts (ddt.c) and of
 * process contexts (pdt.c) alike.
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
 * a grace period of the hardware (ops->sync) before the first word makes them valid.
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
#include <linux/build_bug.h>
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
#include "step.h"

#define DIR_TABLE_ENTRIES	512	/* of 8 bytes, in a non-leaf table */

/* The word of a context that says whether it is valid, and its bit */
#define DIR_VALID		0
#define DIR_VALID_V		BIT_ULL(0)

static_assert(DIR_VALID == RVIOMMU_DC_TC && DIR_VALID == RVIOMMU_PC_TA);
static_assert(DIR_VALID_V == RVIOMMU_DC_TC_V && DIR_VALID_V == RVIOMMU_PC_TA_V);

/* Attempts to read a context twice with the same result, see rviommu_dir_read() */
#define DIR_READ_TRIES		16

static bool dir_valid(const u64 *words)
{
	return words[DIR_VALID] & DIR_VALID_V;
}

/* The entry of a non-leaf @table that leads to @id. */
static u64 *dir_slot(const struct rviommu_dir_shape *shape, u64 *table, unsigned int level, u32 id)
{
	return table + ((id >> shape->shift[level]) & (DIR_TABLE_ENTRIES - 1));
}

/* The first word of the context of @id in a leaf page. */
static u64 *dir_leaf(const struct rviommu_dir_shape *shape, u64 *page, u32 id)
{
	return page + (id & ((1U << shape->shift[1]) - 1)) * shape->words;
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

static u64 *dir_alloc(const struct rviommu_dir *dir)
{
	return rviommu_page_alloc(dir->ddt->nid, GFP_KERNEL, 0, dir->ddt->pas_lg2);
}

static void dir_spare_add(struct rviommu_dir *dir, u64 *page)
{
	list_add(&rviommu_page_of(page)->node, &dir->spares);
	dir->nr_spares++;
}

static u64 *dir_spare_take(struct rviommu_dir *dir)
{
	struct rviommu_page *page = list_first_entry_or_null(&dir->spares, struct rviommu_page,
							     node);

	if (!page)
		return NULL;
	list_del(&page->node);
	dir->nr_spares--;
	return page->virt;
}

static void dir_spare_free(struct rviommu_dir *dir)
{
	u64 *page;

	while ((page = dir_spare_take(dir)))
		rviommu_page_free(page);
	dir->reserved = 0;
}

/* A page that nobody sees. */
static void dir_give_back(struct rviommu_dir *dir, u64 *page)
{
	if (dir->nr_spares < dir->reserved)
		dir_spare_add(dir, page);
	else
		rviommu_page_free(page);
}

static void dir_store(struct rviommu_dir *dir, u64 *where, u64 value)
{
	dir->ddt->ops->store(dir->ddt, where, value);
}

/**
 * rviommu_dir_init() - an empty directory that nobody can reach: every context invalid
 * @dir: filled in here
 * @shape: what kind it is
 * @ddt: the device directory that it is, or that will lead to it: its physical address width
 *       and node
 * @levels: 1, 2 or 3
 *
 * Until the caller sets @dir->live, right before hardware can find the root, contexts are
 * written by rviommu_dir_prepare() alone.
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_dir_init(struct rviommu_dir *dir, const struct rviommu_dir_shape *shape,
		     struct rviommu_ddt *ddt, u8 levels)
{
	*dir = (struct rviommu_dir){
		.shape = shape, .ddt = ddt, .levels = levels,
		.spares = LIST_HEAD_INIT(dir->spares),
	};
	dir->root = dir_alloc(dir);
	return dir->root ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_init);

/**
 * rviommu_dir_destroy() - free all tables at once
 * @dir: directory; nobody can reach it, or has ever been able to. May have none.
 */
void rviommu_dir_destroy(struct rviommu_dir *dir)
{
	if (dir->root) {
		dir_free(dir->root, dir->levels - 1);
		dir_spare_free(dir);
	}
	dir->root = NULL;
	dir->live = false;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_destroy);

/**
 * rviommu_dir_reserve() - lay pages aside for changes that must not fail
 * @dir: directory; the caller holds the lock of its device directory
 * @pages: leaf pages that the contexts of one such change lie in
 *
 * Return: 0, or -ENOMEM with as many laid aside as before.
 */
int rviommu_dir_reserve(struct rviommu_dir *dir, unsigned int pages)
{
	unsigned int before = dir->reserved;
	u64 *page;

	if (!dir->shape->copies(dir))
		return 0;
	dir->reserved = max(before, pages);
	while (dir->nr_spares < dir->reserved) {
		page = dir_alloc(dir);
		if (!page)
			break;
		dir_spare_add(dir, page);
	}
	if (dir->nr_spares == dir->reserved)
		return 0;
	dir->reserved = before;
	while (dir->nr_spares > before)
		rviommu_page_free(dir_spare_take(dir));
	return -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_reserve);

/**
 * rviommu_dir_leaf_pages() - how many leaf pages contexts lie in
 * @dir: directory
 * @ids: of the contexts
 * @nr: number of @ids
 *
 * Return: the number.
 */
unsigned int rviommu_dir_leaf_pages(const struct rviommu_dir *dir, const u32 *ids, unsigned int nr)
{
	const u8 shift = dir->shape->shift[1];
	unsigned int i, k, pages = 0;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < i && ids[k] >> shift != ids[i] >> shift; k++)
			;
		pages += k == i;
	}
	return pages;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_leaf_pages);

static void dir_collect(u64 *table, unsigned int level, struct list_head *pages)
{
	unsigned int i;

	for (i = 0; level && i < DIR_TABLE_ENTRIES; i++)
		if (table[i] & RVIOMMU_DIRENT_V)
			dir_collect(dir_table(table[i]), level - 1, pages);
	list_add_tail(&rviommu_page_of(table)->node, pages);
}

/**
 * rviommu_dir_retire_all() - free a directory that was in use
 * @dir: directory; nothing points to it any more, what the IOMMU cached of it is
 *       invalidated, and a fence has completed. May have no tables.
 */
void rviommu_dir_retire_all(struct rviommu_dir *dir)
{
	LIST_HEAD(pages);

	if (!dir->root)
		return;
	dir_collect(dir->root, dir->levels - 1, &pages);
	rviommu_page_retire(&pages);
	dir_spare_free(dir);
	dir->root = NULL;
	dir->live = false;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_retire_all);

static int dir_check(const struct rviommu_dir *dir, const struct rviommu_dir_update *updates,
		     unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const struct rviommu_dir_update *u = &updates[i];

		if (u->id >> rviommu_dir_id_lg2(dir))
			return -ERANGE;
		for (j = dir->shape->words; j < dir->shape->given; j++) {
			if (u->new.word[j])
				return -EINVAL;
		}
		for (j = 0; j < i; j++) {
			if (updates[j].id == u->id)
				return -EINVAL;
		}
	}
	return 0;
}

/* What the caller has filled in, and nothing else. */
static void dir_reset(struct rviommu_dir_update *u)
{
	*u = (struct rviommu_dir_update) {
		.id = u->id,
		.reserve = u->reserve,
		.must = u->must,
		.lost = u->lost,
		.new = u->new,
	};
}

/* The tables that one of the @nr earlier updates will link at @slot, or NULL */
static u64 *dir_pending(const struct rviommu_dir_update *updates, unsigned int nr, const u64 *slot)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (updates[i].at.link == slot)
			return updates[i].at.subtree;
	}
	return NULL;
}

/*
 * Find the leaf page of an update. What is missing on the way is built if its context
 * needs it, where nobody can see it: only the topmost new table waits for its link, the
 * ones below are linked at once. It may be one that an earlier update has built.
 * @live: hardware can see the directory; and afterwards, the leaf page. Returns 0 or
 * -ENOMEM; then, too, what was built is in the update.
 */
static int dir_find(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
		    unsigned int index, bool *live)
{
	struct rviommu_dir_update *u = &updates[index];
	unsigned int level = dir->levels - 1;
	u64 *table = dir->root;

	for (; level; level--) {
		u64 *slot = dir_slot(dir->shape, table, level, u->id);
		u64 *next;

		u->at.parent = slot;
		if (*slot & RVIOMMU_DIRENT_V) {
			table = dir_table(*slot);
			continue;
		}
		next = dir_pending(updates, index, slot);
		if (!next) {
			if (!dir_valid(u->new.word) && !u->reserve)
				return 0;
			next = dir_alloc(dir);
			if (!next)
				return -ENOMEM;
			if (*live) {
				u->at.link = slot;
				u->at.subtree = next;
				u->at.subtree_level = level - 1;
			} else {
				*slot = dir_entry(next);
			}
		}
		*live = false;
		table = next;
	}
	u->at.words = dir_leaf(dir->shape, table, u->id);
	return 0;
}

static int dir_place(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
		     unsigned int index)
{
	const size_t size = dir->shape->words * sizeof(u64);
	struct rviommu_dir_update *u = &updates[index];
	bool live = dir->live;
	int ret;

	ret = dir_find(dir, updates, index, &live);
	if (ret || !u->at.words)
		return ret;
	if (dir->live && dir_valid(u->at.words))
		memcpy(u->old.word, u->at.words, size);
	/* Nobody sees the page yet: all that is left to publish is the link, if that. */
	if (!dir->live || (!live && dir_valid(u->new.word)))
		memcpy(u->at.words, u->new.word, size);
	return 0;
}

/* Does a copy of its leaf page take the place of a context of which several words change? */
#ifdef CONFIG_RVIOMMU_DEBUG
static bool dir_copies(const struct rviommu_dir *dir)
{
	return dir->shape->copies(dir) && !rviommu_mutates(dir->ddt, RVIOMMU_MUTATE_COPY_PAGE);
}
#else
static bool dir_copies(const struct rviommu_dir *dir)
{
	return dir->shape->copies(dir);
}
#endif

static enum rviommu_publish dir_choose(const struct rviommu_dir *dir,
				       const struct rviommu_dir_update *u)
{
	unsigned int i, differ = 0;

	if (!dir_valid(u->old.word))
		return dir_valid(u->new.word) ? RVIOMMU_PUBLISH_VALID : RVIOMMU_PUBLISH_NONE;
	/*
	 * Only the first word says V = 0. The others become don't-care; they stay as they
	 * are, because hardware may have read V = 1 and be reading them still.
	 */
	if (!dir_valid(u->new.word))
		return RVIOMMU_PUBLISH_WORD;

	for (i = 0; i < dir->shape->words; i++)
		differ += u->old.word[i] != u->new.word[i];
	if (!differ)
		return RVIOMMU_PUBLISH_NONE;
	if (differ == 1)
		return RVIOMMU_PUBLISH_WORD;
	return dir_copies(dir) ? RVIOMMU_PUBLISH_PAGE : RVIOMMU_PUBLISH_BREAK;
}

/*
 * Copy the leaf page of @owner and apply to the copy what any of the updates
 * changes in that page: stored in the old page instead, it would be lost
 * when the copy takes over.
 */
static int dir_copy_page(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			 unsigned int nr, struct rviommu_dir_update *owner)
{
	u64 *page = dir_page(owner->at.words);
	unsigned int i;
	u64 *copy;

	copy = rviommu_page_alloc_unset(dir->ddt->nid, GFP_KERNEL, dir->ddt->pas_lg2);
	if (!copy && owner->must)
		copy = dir_spare_take(dir);
	if (!copy)
		return -ENOMEM;
	/* Under the lock nobody stores to the page, and hardware never does. */
	memcpy(copy, page, RVIOMMU_PAGE_SIZE);
	owner->copy = copy;

	for (i = 0; i < nr; i++) {
		struct rviommu_dir_update *u = &updates[i];

		if (u->how == RVIOMMU_PUBLISH_NONE || dir_page(u->at.words) != page)
			continue;
		u->how = RVIOMMU_PUBLISH_PAGE;
		u->at.words = copy + (u->at.words - page);
		memcpy(u->at.words, u->new.word, dir->shape->words * sizeof(u64));
	}
	return 0;
}

/**
 * rviommu_dir_live_page() - the leaf page that hardware finds the context of an update in
 * @dir: directory
 * @update: prepared, not published; its leaf page exists
 *
 * Return: the page that a copy takes the place of.
 */
u64 *rviommu_dir_live_page(const struct rviommu_dir *dir, const struct rviommu_dir_update *update)
{
	return update->at.parent ? dir_table(*update->at.parent) : dir->root;
}

/**
 * rviommu_dir_prepare() - everything of a change that can fail
 * @dir: directory; the caller holds the lock of its device directory, and goes on holding
 *       it until rviommu_dir_retire() or rviommu_dir_abort()
 * @updates: contexts to change; @id, @new, @lost, @reserve and @must filled in
 * @nr: number of @updates
 *
 * Nothing is visible yet, neither to hardware nor to readers in software: new
 * tables and copies of leaf pages are reachable only from @updates. But if @dir is not live,
 * that was all there is to do, and what an error leaves there goes with @dir.
 *
 * Needs no memory for contexts that become invalid, unless they are to be reserved; nor, of a
 * change that must not fail, for valid ones that change and lie in no more leaf pages than
 * rviommu_dir_reserve() knows of.
 *
 * Return: 0, after which rviommu_dir_publish() cannot fail; -ERANGE when an
 * ID is wider than the directory; -EINVAL when one appears twice, or when
 * a base-format directory is given a context with extended words; -ENOMEM. After
 * an error there is nothing to abort.
 */
int rviommu_dir_prepare(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			unsigned int nr)
{
	unsigned int i;
	int rc;

	lockdep_assert_held(&dir->ddt->lock);

	rc = dir_check(dir, updates, nr);
	if (rc)
		return rc;

	for (i = 0; i < nr; i++)
		dir_reset(&updates[i]);
	for (i = 0; i < nr; i++) {
		rc = dir_place(dir, updates, i);
		if (rc)
			goto abort;
		if (dir->live)
			updates[i].how = dir_choose(dir, &updates[i]);
	}
	for (i = 0; i < nr; i++) {
		/* One that shares an earlier one's page was moved to the copy there. */
		if (updates[i].how != RVIOMMU_PUBLISH_PAGE ||
		    dir_page(updates[i].at.words) != rviommu_dir_live_page(dir, &updates[i]))
			continue;
		rc = dir_copy_page(dir, updates, nr, &updates[i]);
		if (rc)
			goto abort;
	}
	return 0;

abort:
	rviommu_dir_abort(dir, updates, nr);
	return rc;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_prepare);

/**
 * rviommu_dir_new_root() - does a prepared change need what points to the root to change?
 * @updates: the prepared array
 * @nr: number of @updates
 *
 * Return: the copy that rviommu_dir_publish() makes the root of a directory of one level. It is
 * in force when the caller has published what points to it (DC.fsc), which is prepared
 * between and must follow at once. NULL: the root stays.
 */
u64 *rviommu_dir_new_root(const struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (updates[i].copy && !updates[i].at.parent)
			return updates[i].copy;
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_new_root);

/* Updates whose context is invalid, in place, while its words are stored */
static bool dir_rewrites(const struct rviommu_dir_update *u)
{
	return u->how == RVIOMMU_PUBLISH_VALID || u->how == RVIOMMU_PUBLISH_BREAK;
}

/**
 * struct dir_publication - changes that are being made visible
 * @dir: directory
 * @updates: the changes
 * @nr: number of @updates
 * @id: of those that need a grace period of the hardware, the last one
 * @waiting: how many of them there are: one grace period is for all
 */
struct dir_publication {
	struct rviommu_dir *dir;
	struct rviommu_dir_update *updates;
	unsigned int nr;
	u32 id;
	unsigned int waiting;
};

static void dir_grace_need(struct dir_publication *p, u32 id)
{
	if (!p->waiting || p->id != id)
		p->waiting++;
	p->id = id;
}

static void dir_grace(struct dir_publication *p)
{
	if (p->waiting)
		p->dir->shape->sync(p->dir, p->id, p->waiting > 1);
	p->waiting = 0;
}

/* After the grace period that this needs no walk is left that saw V = 1. */
static void dir_break(struct dir_publication *p)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		if (p->updates[i].how != RVIOMMU_PUBLISH_BREAK)
			continue;
		dir_store(p->dir, &p->updates[i].at.words[DIR_VALID], 0);
		dir_grace_need(p, p->updates[i].id);
	}
}

/* After the grace period that this needs none is left that read a word before it was stored. */
static void dir_rewrite(struct dir_publication *p)
{
	struct rviommu_dir *dir = p->dir;
	unsigned int i, j;

	for (i = 0; i < p->nr; i++) {
		struct rviommu_dir_update *u = &p->updates[i];

		if (!dir_rewrites(u))
			continue;
		for (j = 0; j < dir->shape->words; j++) {
			if (j == DIR_VALID || u->at.words[j] == u->new.word[j])
				continue;
			dir_store(dir, &u->at.words[j], u->new.word[j]);
			dir_grace_need(p, u->id);
		}
	}
}

static void dir_store_copy(struct rviommu_dir *dir, struct rviommu_dir_update *u)
{
	u->replaced = rviommu_dir_live_page(dir, u);
	if (u->at.parent)
		dir_store(dir, u->at.parent, dir_entry(u->copy));
	else
		dir->root = u->copy;
}

/**
 * rviommu_dir_store_last() - what makes prepared changes visible: one store for each
 * @dir: directory
 * @updates: the prepared array
 * @nr: number of @updates
 *
 * The last part of rviommu_dir_publish(), for rviommu_dir_shape.store_last.
 */
void rviommu_dir_store_last(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			    unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		struct rviommu_dir_update *u = &updates[i];

		if (u->at.link) {
			dir_store(dir, u->at.link, dir_entry(u->at.subtree));
		} else if (u->copy) {
			dir_store_copy(dir, u);
		} else if (dir_rewrites(u)) {
			/* Equal if the context lies in an earlier update's new page. */
			if (u->at.words[DIR_VALID] != u->new.word[DIR_VALID])
				dir_store(dir, &u->at.words[DIR_VALID], u->new.word[DIR_VALID]);
		} else if (u->how == RVIOMMU_PUBLISH_WORD) {
			/* The first that differs; of a context going invalid that with V. */
			for (j = 0; j < dir->shape->words && u->at.words[j] == u->new.word[j]; j++)
				;
			if (j < dir->shape->words)
				dir_store(dir, &u->at.words[j], u->new.word[j]);
		}
	}
}

static void dir_store_last(struct dir_publication *p)
{
	p->dir->shape->store_last(p->dir, p->updates, p->nr);
}

#define DIR_STEPS	6

typedef void (*dir_step)(struct dir_publication *p);

/* The right order, and wrong ones: so that tests can show that they would notice. */
static const dir_step dir_order[DIR_STEPS] = {
	dir_break, dir_grace, dir_rewrite, dir_grace, dir_store_last,
};

#ifdef CONFIG_RVIOMMU_DEBUG
static const dir_step dir_no_break[DIR_STEPS] = {
	dir_rewrite, dir_grace, dir_store_last,
};

static const dir_step dir_no_break_grace[DIR_STEPS] = {
	dir_break, dir_rewrite, dir_grace, dir_store_last,
};

static const dir_step dir_no_valid_grace[DIR_STEPS] = {
	dir_break, dir_grace, dir_rewrite, dir_store_last,
};

static const dir_step *dir_steps(const struct rviommu_dir *dir)
{
	if (rviommu_mutates(dir->ddt, RVIOMMU_MUTATE_BREAK))
		return dir_no_break;
	if (rviommu_mutates(dir->ddt, RVIOMMU_MUTATE_BREAK_GRACE))
		return dir_no_break_grace;
	return rviommu_mutates(dir->ddt, dir->shape->no_grace) ? dir_no_valid_grace : dir_order;
}
#else
static const dir_step *dir_steps(const struct rviommu_dir *dir)
{
	return dir_order;
}
#endif

/**
 * rviommu_dir_publish() - make prepared changes visible
 * @dir: directory, locked since rviommu_dir_prepare()
 * @updates: the prepared array
 * @nr: number of @updates
 *
 * Cannot fail. Afterwards the new contexts are in force for every walk that
 * starts, except that the IOMMU may go on using what it has cached; the caller
 * now issues what each @how owes, completes a fence, and only then calls
 * rviommu_dir_retire(). See rviommu_dir_new_root() for the one exception.
 *
 * May sleep (ops->sync).
 */
void rviommu_dir_publish(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			 unsigned int nr)
{
	struct dir_publication p = { .dir = dir, .updates = updates, .nr = nr };
	const dir_step *step;

	lockdep_assert_held(&dir->ddt->lock);
	for (step = dir_steps(dir); *step; step++)
		(*step)(&p);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_publish);

/**
 * rviommu_dir_retire() - free what a published change replaced
 * @dir: directory, locked since rviommu_dir_prepare()
 * @updates: the published array
 * @nr: number of @updates
 *
 * The caller has completed the invalidations that the updates owed, and the fence
 * after them: no walk of the hardware is left in a replaced page. Readers in
 * software are waited for by RCU: here, if the page has to be laid aside in the place of
 * one that was taken because there was no memory.
 */
void rviommu_dir_retire(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			unsigned int nr)
{
	LIST_HEAD(pages);
	unsigned int i;

	lockdep_assert_held(&dir->ddt->lock);

	for (i = 0; i < nr; i++) {
		if (!updates[i].replaced)
			continue;
		if (dir->nr_spares < dir->reserved) {
			synchronize_rcu();
			dir_spare_add(dir, updates[i].replaced);
		} else {
			list_add_tail(&rviommu_page_of(updates[i].replaced)->node, &pages);
		}
		updates[i].replaced = NULL;
	}
	if (!list_empty(&pages))
		rviommu_page_retire(&pages);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_retire);

/**
 * rviommu_dir_abort() - as if rviommu_dir_prepare() had never been called
 * @dir: directory, locked since rviommu_dir_prepare()
 * @updates: the prepared array, not published
 * @nr: number of @updates
 *
 * Frees at once: nobody has seen anything of it, new tables included. (What was prepared
 * in a directory that is not live stays.)
 */
void rviommu_dir_abort(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
		       unsigned int nr)
{
	unsigned int i;

	lockdep_assert_held(&dir->ddt->lock);

	for (i = 0; i < nr; i++) {
		struct rviommu_dir_update *u = &updates[i];

		if (u->at.subtree)
			dir_free(u->at.subtree, u->at.subtree_level);
		if (u->copy)
			dir_give_back(dir, u->copy);
		dir_reset(u);
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_abort);

/**
 * rviommu_dir_walk() - one walk, as hardware does it
 * @dir: directory
 * @id: not wider than the directory
 *
 * Under rcu_read_lock(), or a lock that keeps tables from being replaced.
 *
 * Return: the words of the context, or NULL where an entry is invalid.
 */
u64 *rviommu_dir_walk(const struct rviommu_dir *dir, u32 id)
{
	unsigned int level = dir->levels - 1;
	u64 *table = dir->root;

	for (; level; level--) {
		/* The address depends on the entry: no barrier needed. */
		u64 entry = READ_ONCE(*dir_slot(dir->shape, table, level, id));

		if (!(entry & RVIOMMU_DIRENT_V))
			return NULL;
		table = dir_table(entry);
	}
	return dir_leaf(dir->shape, table, id);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_walk);

/**
 * rviommu_dir_steps() - one walk, for showing it
 * @dir: directory
 * @id: device_id or process_id
 * @steps: where to put what is on the way, %RVIOMMU_DIR_LEVELS_MAX of them, the root first. The
 *         last is the context, or an entry that is not valid.
 *
 * Takes no lock. Each entry was there when it was read, and the next one is in the table that it
 * led to.
 *
 * Return: how many there are; 0 when @id is wider than the directory.
 */
unsigned int rviommu_dir_steps(const struct rviommu_dir *dir, u32 id, struct rviommu_step *steps)
{
	unsigned int nr = 0, level = dir->levels - 1;
	u64 *table = dir->root, *e;

	if (id >> rviommu_dir_id_lg2(dir))
		return 0;
	guard(rcu)();
	for (;; level--) {
		struct rviommu_step *step = &steps[nr++];

		e = level ? dir_slot(dir->shape, table, level, id) :
			    dir_leaf(dir->shape, table, id);
		*step = (struct rviommu_step) {
			.table = virt_to_phys(table),
			.level = level,
			.index = (e - table) / (level ? 1 : dir->shape->words),
			.entry = READ_ONCE(*e),
		};
		if (!level || !(step->entry & RVIOMMU_DIRENT_V))
			return nr;
		table = dir_table(step->entry);
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dir_steps);

/**
 * rviommu_dir_read() - the context in force, for showing it
 * @dir: directory
 * @id: device_id or process_id
 * @words: where to put the words of the context; all zero when there is none
 *
 * Takes no lock and never delays a writer: any context, also under
 * rviommu_ddt.lock. Reads until two walks in a row give the same words from the
 * same page. What it returns was in force at some moment of the call, unless
 * the context changed twice or more between the two walks and every word came
 * out twice the same (A -> B -> A, with reads in just the wrong places);
 * no invalidation may rest on it.
 *
 * Return: true and a valid context; false when it is invalid, when @id is wider
 * than the directory, or when it kept changing.
 */
bool rviommu_dir_read(const struct rviommu_dir *dir, u32 id, u64 *words)
{
	const unsigned int nr = dir->shape->words;
	const u64 *where, *seen = NULL;
	unsigned int i, try;
	bool same;

	memset(words, 0, nr * sizeof(u64));
	if (id >> rviommu_dir_id_lg2(dir))
		return false;

	/* A page cannot be freed and come back as another during the loop. */
	guard(rcu)();
	for (try = 0; try < DIR_READ_TRIES; try++) {
		where = rviommu_dir_walk(dir, id);
		if (!where)
			break;
		same = where == seen;
		seen = where;
		for (i = 0; i < nr; i++) {
			/* In order: words that follow a valid one are its own or later ones. */
			u64 word = smp_load_acquire(&where[i]);

			same &= word == words[i];
			words[i] = word;
		}
		if (!dir_valid(words))
			break;
		if (same)
			return true;
	}
	memset(words, 0, nr * sizeof(u64));
	return false;
}
