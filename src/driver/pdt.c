// SPDX-License-Identifier: GPL-2.0-only
/* The process directories of devices: process contexts. */
#include <linux/bitfield.h>
#include <linux/container_of.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include <kunit/visibility.h>

#include "directory.h"
#include "mutate.h"

/* With one level the parent of the page is DC.fsc, see rviommu_dir_new_root(). */
static bool pdt_copies(const struct rviommu_dir *dir)
{
	return true;
}

/* Hardware reads a process context on behalf of a device: forgetting that one will do. */
static void pdt_sync(struct rviommu_dir *dir, u32 pid, bool all)
{
	struct rviommu_pdt *pdt = container_of(dir, struct rviommu_pdt, dir);

	/* -EIO: no walk is left that could be waited for. */
	dir->ddt->ops->sync(dir->ddt, pdt->did, pdt->several);
}

/* Spec "Process Directory Table (PDT)": 8, 9 and 3 bits of the process_id */
static const struct rviommu_dir_shape pdt_shape = {
	.shift = { 0, 8, 17 },
	.id_lg2 = { 8, 17, 20 },
	.words = RVIOMMU_PC_WORDS,
	.given = RVIOMMU_PC_WORDS,
	.no_grace = RVIOMMU_MUTATE_PDT_GRACE,
	.copies = pdt_copies,
	.sync = pdt_sync,
	.store_last = rviommu_dir_store_last,
};

/**
 * rviommu_pdt_init() - an empty process directory that nobody can reach
 * @pdt: filled in here
 * @ddt: the device's directory: its physical address width and node
 * @levels: 1, 2 or 3
 * @did: a device_id of the device
 * @several: it has more of them
 *
 * Until the caller sets @pdt->dir.live, right before DC.fsc points to it, contexts are
 * written by rviommu_dir_prepare() alone.
 *
 * Return: 0 or -ENOMEM.
 */
int rviommu_pdt_init(struct rviommu_pdt *pdt, struct rviommu_ddt *ddt, u8 levels, u32 did,
		     bool several)
{
	pdt->did = did;
	pdt->several = several;
	return rviommu_dir_init(&pdt->dir, &pdt_shape, ddt, levels);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_init);

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

/**
 * rviommu_pdt_pid_lg2() - width of a process_id (spec "pdtp": PD8, PD17, PD20)
 * @levels: 1, 2 or 3
 *
 * Return: bits.
 */
unsigned int rviommu_pdt_pid_lg2(u8 levels)
{
	return pdt_shape.id_lg2[levels - 1];
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_pid_lg2);

/*
 * The directory that the context of a device leads to now; false if there is none. Under
 * rcu_read_lock(): its tables are not freed meanwhile.
 */
static bool pdt_find(const struct rviommu_ddt *ddt, u32 did, struct rviommu_dir *dir)
{
	struct rviommu_dc dc;
	u64 fsc;

	*dir = (struct rviommu_dir){ .shape = &pdt_shape };
	if (!rviommu_ddt_read(ddt, did, &dc) || !(dc.word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV))
		return false;
	fsc = dc.word[RVIOMMU_DC_FSC];
	dir->levels = FIELD_GET(RVIOMMU_FSC_MODE, fsc);
	/* More than three: words of two contexts, see rviommu_dir_read(). */
	if (!dir->levels || dir->levels > RVIOMMU_DIR_LEVELS_MAX)
		return false;
	dir->root = phys_to_virt((phys_addr_t)FIELD_GET(RVIOMMU_FSC_PPN, fsc) << RVIOMMU_PAGE_LG2);
	return true;
}

/**
 * rviommu_pdt_read() - the process context in force, for showing it
 * @ddt: the device's directory
 * @did: device_id
 * @pid: process_id
 * @pc: where to put the context; all zero when there is none
 *
 * From the device context down, as hardware does it, and with the limits of
 * rviommu_dir_read(). Takes no lock.
 *
 * A root that is replaced meanwhile does not change any more: what is found there was in
 * force when it was replaced, which is in the call.
 *
 * Return: true and a valid context, or false.
 */
bool rviommu_pdt_read(const struct rviommu_ddt *ddt, u32 did, u32 pid, struct rviommu_pc *pc)
{
	struct rviommu_dir dir;

	*pc = (struct rviommu_pc){};
	/* Tables that are found during the call are not freed during the call. */
	guard(rcu)();
	return pdt_find(ddt, did, &dir) && rviommu_dir_read(&dir, pid, pc->word);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_read);

/**
 * rviommu_pdt_steps() - one walk through a process directory, for showing it
 * @ddt: the device's directory
 * @did: device_id
 * @pid: process_id
 * @steps: as of rviommu_dir_steps()
 *
 * Return: how many there are; 0 when the device has no process directory.
 */
unsigned int rviommu_pdt_steps(const struct rviommu_ddt *ddt, u32 did, u32 pid,
			       struct rviommu_step *steps)
{
	struct rviommu_dir dir;

	guard(rcu)();
	return pdt_find(ddt, did, &dir) ? rviommu_dir_steps(&dir, pid, steps) : 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_steps);
