// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device directory of an IOMMU: device contexts, and what of a change is theirs alone.
 * A lost device is blocked by whoever cannot wait for the writers (quarantine).
 */
#include <linux/export.h>
#include <linux/io.h>
#include <linux/string.h>

#include <kunit/visibility.h>

#include "directory.h"
#include "mutate.h"

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

/* The parent of a one-level DDT is ddtp, which must not change while on. */
static bool ddt_copies(const struct rviommu_dir *dir)
{
	return dir->levels > 1;
}

static void ddt_sync(struct rviommu_dir *dir, u32 did, bool all)
{
	/* -EIO: no walk is left that could be waited for. */
	dir->ddt->ops->sync(dir->ddt, did, all);
}

static bool ddt_lost(const struct rviommu_dir_update *u)
{
	return u->lost && READ_ONCE(*u->lost);
}

/*
 * What went into quarantine since prepare stays there: contexts that are about to
 * be stored, and their neighbours in copies, of which quarantine knows only the
 * page that they were copied from.
 */
static void ddt_keep_quarantine(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
				unsigned int nr)
{
	const unsigned int words = dir->shape->words;
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const u64 *page = updates[i].copy ?
				  rviommu_dir_live_page(dir, &updates[i]) : NULL;

		for (j = RVIOMMU_DC_TC; page && j < RVIOMMU_PAGE_SIZE / sizeof(u64); j += words)
			if (!(page[j] & RVIOMMU_DC_TC_V))
				updates[i].copy[j] &= ~RVIOMMU_DC_TC_V;
	}
	for (i = 0; i < nr; i++) {
		struct rviommu_dir_update *u = &updates[i];

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
			memcpy(&u->new.word[1], &u->at.words[1], (words - 1) * sizeof(u64));
	}
}

static void ddt_store_last(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			   unsigned int nr)
{
	struct rviommu_ddt *ddt = dir->ddt;
	unsigned long flags;

	if (!ddt->can_lose) {
		rviommu_dir_store_last(dir, updates, nr);
		return;
	}
	spin_lock_irqsave(&ddt->quarantine, flags);
	ddt_keep_quarantine(dir, updates, nr);
	rviommu_dir_store_last(dir, updates, nr);
	spin_unlock_irqrestore(&ddt->quarantine, flags);
}

/* Spec "Process to translate an IOVA", steps 3 and 4 */
static const struct rviommu_dir_shape ddt_base = {
	.shift = { 0, 7, 16 },
	.id_lg2 = { 7, 16, 24 },
	.words = RVIOMMU_DC_WORDS_BASE,
	.given = RVIOMMU_DC_WORDS_EXT,
	.no_grace = RVIOMMU_MUTATE_VALID_GRACE,
	.copies = ddt_copies,
	.sync = ddt_sync,
	.store_last = ddt_store_last,
};

static const struct rviommu_dir_shape ddt_extended = {
	.shift = { 0, 6, 15 },
	.id_lg2 = { 6, 15, 24 },
	.words = RVIOMMU_DC_WORDS_EXT,
	.given = RVIOMMU_DC_WORDS_EXT,
	.no_grace = RVIOMMU_MUTATE_VALID_GRACE,
	.copies = ddt_copies,
	.sync = ddt_sync,
	.store_last = ddt_store_last,
};

/**
 * rviommu_ddt_init() - an empty directory: every context invalid
 * @ddt: directory, uninitialised
 * @ops: how it reaches the hardware; must outlive @ddt
 * @levels: 1, 2 or 3
 * @extended: 8-word contexts (capabilities.MSI_FLAT) instead of 4
 * @pas_lg2: width of physical addresses in bits that tables must fit
 * @nid: NUMA node for tables
 *
 * The caller programs ddtp with the physical address of the root.
 *
 * Return: 0, -EINVAL for another number of levels, -ENOMEM.
 */
int rviommu_ddt_init(struct rviommu_ddt *ddt, const struct rviommu_ddt_ops *ops, u8 levels,
		     bool extended, u8 pas_lg2, int nid)
{
	int ret;

	if (!levels || levels > RVIOMMU_DIR_LEVELS_MAX)
		return -EINVAL;

	ddt->ops = ops;
	ddt->pas_lg2 = pas_lg2;
	ddt->nid = nid;
	ret = rviommu_dir_init(&ddt->dir, extended ? &ddt_extended : &ddt_base, ddt, levels);
	if (ret)
		return ret;
	/* From now on ddtp may lead here at any time. */
	ddt->dir.live = true;
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
	rviommu_dir_destroy(&ddt->dir);
	mutex_destroy(&ddt->lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_destroy);

/**
 * rviommu_ddt_quarantine() - block a device, now, and for as long as it is lost
 * @ddt: directory
 * @did: device_id
 *
 * For whoever cannot wait for the writers' lock, because a writer may be waiting
 * for it: the command queue, of a device that answers no more. The caller has set
 * the flag that rviommu_dir_update.lost of later updates points to, and now
 * owes IODIR.INVAL_DDT of all devices and a fence: a writer may have replaced the page that
 * the context is in, and not have had its link forgotten yet.
 *
 * Context: any.
 */
void rviommu_ddt_quarantine(struct rviommu_ddt *ddt, u32 did)
{
	unsigned long flags;
	u64 *words;

	spin_lock_irqsave(&ddt->quarantine, flags);
	words = rviommu_dir_walk(&ddt->dir, did);
	if (words && words[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V)
		ddt->ops->store(ddt, &words[RVIOMMU_DC_TC], 0);
	spin_unlock_irqrestore(&ddt->quarantine, flags);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_quarantine);

/**
 * rviommu_ddt_read() - the context in force for a device, for showing it
 * @ddt: directory
 * @did: device_id
 * @dc: where to put the context; all zero when there is none
 *
 * As rviommu_dir_read().
 *
 * Return: true and a valid context; false when it is invalid, when @did is wider
 * than the directory, or when it kept changing.
 */
bool rviommu_ddt_read(const struct rviommu_ddt *ddt, u32 did, struct rviommu_dc *dc)
{
	/* In the base format the last words are not in memory. */
	*dc = (struct rviommu_dc){};
	return rviommu_dir_read(&ddt->dir, did, dc->word);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_read);
