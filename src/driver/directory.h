/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Directories that hardware walks: the device directory table (DDT) of an IOMMU,
 * and the process directory tables (PDT) of its devices.
 *
 * Every change is prepare, publish, synchronise, retire (design section 2), with
 * rviommu_ddt_*() for device contexts and rviommu_pdt_*() for process contexts:
 *
 *   prepare  everything that can fail; nothing is visible
 *   publish  cannot fail: the new context is in force
 *   (the caller invalidates and fences; see attach.c)
 *   retire   frees what was replaced, through RCU
 *   abort    instead of publish: as if prepare had never been
 */
#ifndef RVIOMMU_DIRECTORY_H
#define RVIOMMU_DIRECTORY_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <rviommu/formats.h>

struct rviommu_ddt;

/**
 * struct rviommu_ddt_ops - the seam between a directory and its observer
 * @store: store one 64-bit word that hardware may be reading: single-copy
 *         atomic, after all earlier stores of this CPU are visible (release).
 *         rviommu_ddt_store() is the one for real hardware.
 * @sync: IODIR.INVAL_DDT of @did (of all devices when @all) and a completed
 *        IOFENCE.C: what the IOMMU cached is gone, and a walk that began before
 *        has read its last word. Called by rviommu_ddt_publish() only, where a
 *        context must not be made valid (or rewritten) while a walk may still
 *        hold words that it read earlier.
 *        Returns 0, or -EIO when the IOMMU is out of service (then nothing
 *        walks the directory any more, and the change goes on).
 *
 * Both are called with rviommu_ddt.lock held; @sync may sleep, and @store too, unless
 * devices can be lost.
 */
struct rviommu_ddt_ops {
	void (*store)(struct rviommu_ddt *ddt, u64 *where, u64 value);
	int (*sync)(struct rviommu_ddt *ddt, u32 did, bool all);
};

/**
 * struct rviommu_ddt - the device directory of one IOMMU
 * @ops: constant
 * @lock: serialises writers: held from prepare to retire or abort, so that a
 *        copied page cannot miss another writer's change. Readers in software
 *        (debugfs) take rcu_read_lock() instead; hardware takes nothing.
 * @quarantine: what a publish stores last, it stores under this lock, interrupts
 *              off; so rviommu_ddt_quarantine(), which cannot take @lock, is not
 *              undone by a copy that was made before it. A leaf lock.
 * @can_lose: devices can go into quarantine; ops->store is called under @quarantine
 *            then. Constant while devices are there.
 * @root: root table, one page; constant between init and destroy
 * @levels: 1, 2 or 3
 * @dc_words: 64-bit words of a context: 4 (base format) or 8 (extended)
 * @pas_lg2: tables must lie below this physical address (bits)
 * @nid: NUMA node for tables
 * @mutate: word of the mutation run (mutate.h), or NULL
 */
struct rviommu_ddt {
	const struct rviommu_ddt_ops *ops;
	struct mutex lock;	/* writers, from prepare to retire */
	spinlock_t quarantine;	/* the last stores of a publish */
	bool can_lose;
	u64 *root;
	u8 levels;
	u8 dc_words;
	u8 pas_lg2;
	int nid;
	const unsigned long *mutate;
};

/**
 * enum rviommu_publish - how a change becomes visible, and what it then owes
 * @RVIOMMU_PUBLISH_NONE: old and new are equal (or both invalid): nothing was
 *                        stored, nothing is owed
 * @RVIOMMU_PUBLISH_VALID: an invalid context became valid, by one store of tc or,
 *                         where its leaf page is new, of the entry that links the
 *                         page. Other words of the context that had to change
 *                         were stored before, with ops->sync in between. Nothing
 *                         is owed (spec "Caching invalid entries").
 * @RVIOMMU_PUBLISH_WORD: one word of a live context changed in place (going
 *                        invalid is a change of tc only): IODIR.INVAL_DDT DV=1
 * @RVIOMMU_PUBLISH_PAGE: a copy of the leaf page replaced it through the
 *                        parent's entry: IODIR.INVAL_DDT DV=0
 * @RVIOMMU_PUBLISH_BREAK: one-level DDT: break before make, not hitless:
 *                         IODIR.INVAL_DDT DV=1
 *
 * What is owed here is only the directory's share of the table in spec
 * "Changing device directory table entry"; the IOTINVALs follow from
 * rviommu_ddt_update.old.
 */
enum rviommu_publish {
	RVIOMMU_PUBLISH_NONE,
	RVIOMMU_PUBLISH_VALID,
	RVIOMMU_PUBLISH_WORD,
	RVIOMMU_PUBLISH_PAGE,
	RVIOMMU_PUBLISH_BREAK,
};

/**
 * struct rviommu_dir_place - where the context of an update is
 * @words: of the context: in the live leaf page, in its copy, or in a leaf page that
 *         publish will link. NULL when there is no leaf page and none is needed.
 * @parent: entry that points to the leaf page; NULL with one level
 * @link: live entry, not valid yet, that publish makes point to @subtree
 * @subtree: new tables that nobody can reach before publish
 * @subtree_level: 0 when @subtree is a leaf page
 */
struct rviommu_dir_place {
	u64 *words;
	u64 *parent;
	u64 *link;
	u64 *subtree;
	u8 subtree_level;
};

/**
 * struct rviommu_ddt_update - one context on its way into the directory
 * @did: device_id
 * @new: the complete target value
 * @lost: the device is in quarantine (rviommu_ddt_quarantine()) once this is true:
 *        then its context stays invalid, whatever @new says. NULL: it never is.
 * @reserve: link the tables that the context needs although @new is invalid, so
 *           that making it valid later needs no memory
 * @old: what was in force at prepare; all zero when that was invalid
 * @how: chosen by prepare
 * @at: where it is
 * @copy: edited copy of the leaf page; PAGE only, and only in the first of the
 *        updates that share the page: that one publishes and owns it
 * @replaced: leaf page to retire; set by publish where there was a @copy
 *
 * The caller fills in @did, @new, @lost and @reserve and leaves the rest to prepare. On the stack
 * of one writer, under rviommu_ddt.lock.
 *
 * Several updates may be prepared under one hold of the lock (a device with
 * several IDs); then all are published by one call. Each becomes visible
 * atomically, in order; updates that share a leaf page that is copied become
 * visible together.
 */
struct rviommu_ddt_update {
	u32 did;
	bool reserve;
	const bool *lost;
	struct rviommu_dc new;
	struct rviommu_dc old;
	enum rviommu_publish how;
	struct rviommu_dir_place at;
	u64 *copy;
	u64 *replaced;
};

int rviommu_ddt_init(struct rviommu_ddt *ddt, const struct rviommu_ddt_ops *ops, u8 levels,
		     bool extended, u8 pas_lg2, int nid);
void rviommu_ddt_destroy(struct rviommu_ddt *ddt);

int rviommu_ddt_prepare(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			unsigned int nr);
void rviommu_ddt_publish(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			 unsigned int nr);
void rviommu_ddt_retire(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
			unsigned int nr);
void rviommu_ddt_abort(struct rviommu_ddt *ddt, struct rviommu_ddt_update *updates,
		       unsigned int nr);

bool rviommu_ddt_read(struct rviommu_ddt *ddt, u32 did, struct rviommu_dc *dc);

void rviommu_ddt_store(struct rviommu_ddt *ddt, u64 *where, u64 value);
void rviommu_ddt_quarantine(struct rviommu_ddt *ddt, u32 did);

/**
 * struct rviommu_pdt - the process directory of one device
 * @root: root table, one page; NULL when the device has none
 * @levels: 1 (PD8), 2 (PD17) or 3 (PD20)
 * @live: hardware may walk it; before, changes are made in place
 *
 * Changed under rviommu_ddt.lock of the device's IOMMU; hardware and
 * rviommu_pdt_read() look at any time. Leaf pages that have become empty stay
 * until the whole directory goes, which it does with the device's last PASID.
 */
struct rviommu_pdt {
	u64 *root;
	u8 levels;
	bool live;
};

/**
 * struct rviommu_pdt_update - one process context on its way into a directory
 * @pid: process_id
 * @new: the complete target value
 * @old: what was in force at prepare; all zero when that was invalid
 * @how: chosen by prepare. WORD owes IODIR.INVAL_PDT of @pid. PAGE owes
 *       IODIR.INVAL_DDT DV=1 (spec "Changing process directory table entry": a
 *       non-leaf PDT entry, or with one level DC.fsc). VALID and NONE owe nothing.
 * @at: where it is; with one level the parent of the leaf page is DC.fsc
 * @copy: edited copy of the leaf page; PAGE only. With one level it becomes the
 *        root when published, and the caller publishes the new DC.fsc with it.
 * @replaced: page to retire; set by publish
 *
 * The caller fills in @pid and @new.
 */
struct rviommu_pdt_update {
	u32 pid;
	struct rviommu_pc new;
	struct rviommu_pc old;
	enum rviommu_publish how;
	struct rviommu_dir_place at;
	u64 *copy;
	u64 *replaced;
};

int rviommu_pdt_init(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt, u8 levels);
void rviommu_pdt_destroy(struct rviommu_pdt *pdt);
void rviommu_pdt_retire_all(struct rviommu_pdt *pdt);
u64 rviommu_pdt_pdtp(u8 levels, const u64 *root);

int rviommu_pdt_prepare(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt,
			struct rviommu_pdt_update *update);
void rviommu_pdt_publish(struct rviommu_ddt *ddt, struct rviommu_pdt *pdt,
			 struct rviommu_pdt_update *update, u32 did, bool all);
void rviommu_pdt_retire(struct rviommu_ddt *ddt, struct rviommu_pdt_update *update);
void rviommu_pdt_abort(struct rviommu_ddt *ddt, struct rviommu_pdt_update *update);

bool rviommu_pdt_read(struct rviommu_ddt *ddt, u32 did, u32 pid, struct rviommu_pc *pc);

/* Width of a process_id in bits (spec "pdtp": PD8, PD17, PD20). */
static inline unsigned int rviommu_pdt_pid_lg2(u8 levels)
{
	return levels == 1 ? 8 : levels == 2 ? 17 : 20;
}

/* Width of a device_id in bits that this directory can hold. */
static inline unsigned int rviommu_ddt_did_lg2(u8 levels, bool extended)
{
	unsigned int lg2 = (extended ? 6 : 7) + 9 * (levels - 1);

	return lg2 > 24 ? 24 : lg2;
}

#endif /* RVIOMMU_DIRECTORY_H */
