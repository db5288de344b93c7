/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Directories that hardware walks: the device directory table (DDT) of an IOMMU,
 * and the process directory tables (PDT) of its devices.
 *
 * Every change, of a device context or of a process context, is prepare, publish,
 * synchronise, retire (design section 2), with rviommu_dir_*():
 *
 *   prepare  everything that can fail; nothing is visible
 *   publish  cannot fail: the new context is in force
 *   (the caller invalidates and fences; see change.c)
 *   retire   frees what was replaced, through RCU
 *   abort    instead of publish: as if prepare had never been
 *
 * What has to go on without memory (rviommu_dir_update.must) takes the copies of leaf pages from
 * those that rviommu_dir_reserve() laid aside; what they replace takes their place. So there is
 * always enough for the next one.
 */
#ifndef RVIOMMU_DIRECTORY_H
#define RVIOMMU_DIRECTORY_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <rviommu/formats.h>

#include "mutate.h"

#define RVIOMMU_DIR_LEVELS_MAX	3

struct rviommu_ddt;
struct rviommu_dir;
struct rviommu_dir_update;
struct rviommu_step;

/**
 * struct rviommu_dir_shape - a kind of directory
 * @shift: lowest bit of the ID that counts at each level; level 0 is the leaf page
 * @id_lg2: width of an ID in bits, with one level and with more
 * @words: 64-bit words of a context in memory. Bit 0 of the first one is V.
 * @given: words of rviommu_dir_update.new that the caller fills in; what is not in
 *         memory has to be zero
 * @no_grace: mutation that leaves out the grace period before V = 1
 * @copies: can a copy of a leaf page take its place? Else a context of several words
 *          is broken first.
 * @sync: the grace period of the hardware (rviommu_ddt_ops.sync), for whoever may have read
 *        a context of @id, or with @all of any ID
 * @store_last: the last stores of a publish: rviommu_dir_store_last(), and what has to be
 *              around it
 *
 * Indices of non-leaf levels are 9 bits wide; where the spec has a narrower root,
 * @id_lg2 excludes the rest.
 */
struct rviommu_dir_shape {
	u8 shift[RVIOMMU_DIR_LEVELS_MAX];
	u8 id_lg2[RVIOMMU_DIR_LEVELS_MAX];
	u8 words;
	u8 given;
	enum rviommu_mutation no_grace;
	bool (*copies)(const struct rviommu_dir *dir);
	void (*sync)(struct rviommu_dir *dir, u32 id, bool all);
	void (*store_last)(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			   unsigned int nr);
};

/**
 * struct rviommu_dir - one directory
 * @shape: what kind it is
 * @ddt: the device directory that it is, or that leads to it: its lock, its way to the hardware,
 *       and where tables have to be
 * @root: root table, one page; NULL when there is no directory
 * @levels: 1 to %RVIOMMU_DIR_LEVELS_MAX
 * @live: hardware may walk it; before, changes are made in place
 * @spares: pages laid aside (struct rviommu_page.node)
 * @nr_spares: number of @spares; @reserved, but between prepare and retire
 * @reserved: so many leaf pages one change may have to copy, and must not fail to
 *
 * Writers hold rviommu_ddt.lock. Hardware, and rviommu_dir_read() under RCU, look at any
 * time. Leaf pages that have become empty stay until the whole directory goes.
 */
struct rviommu_dir {
	const struct rviommu_dir_shape *shape;
	struct rviommu_ddt *ddt;
	u64 *root;
	u8 levels;
	bool live;
	struct list_head spares;
	unsigned int nr_spares;
	unsigned int reserved;
};

/**
 * struct rviommu_ddt_ops - the seam between a directory and its observer
 * @store: store one 64-bit word that hardware may be reading: single-copy
 *         atomic, after all earlier stores of this CPU are visible (release).
 *         rviommu_ddt_store() is the one for real hardware.
 * @sync: IODIR.INVAL_DDT of @did (of all devices when @all) and a completed
 *        IOFENCE.C: what the IOMMU cached is gone, and a walk that began before
 *        has read its last word. Called by rviommu_dir_publish() only, where a
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
 * @dir: its root is constant between init and destroy
 * @ops: constant
 * @lock: serialises writers of this directory and of those of its devices: held from prepare
 *        to retire or abort, so that a copied page cannot miss another writer's change.
 *        Readers in software (debugfs) take rcu_read_lock() instead; hardware takes nothing.
 * @quarantine: what a publish stores last, it stores under this lock, interrupts
 *              off; so rviommu_ddt_quarantine(), which cannot take @lock, is not
 *              undone by a copy that was made before it. A leaf lock. Device contexts only.
 * @can_lose: devices can go into quarantine; ops->store is called under @quarantine
 *            then. Constant while devices are there.
 * @pas_lg2: tables must lie below this physical address (bits)
 * @nid: NUMA node for tables
 * @mutate: the step that a mutation run leaves out (mutate.h), or NULL
 */
struct rviommu_ddt {
	struct rviommu_dir dir;
	const struct rviommu_ddt_ops *ops;
	struct mutex lock;	/* writers, from prepare to retire */
	spinlock_t quarantine;	/* the last stores of a publish */
	bool can_lose;
	u8 pas_lg2;
	int nid;
	const enum rviommu_mutation *mutate;
};

/**
 * struct rviommu_pdt - the process directory of one device
 * @dir: below rviommu_ddt of the device's IOMMU
 * @did: device_id of the device
 * @several: the device has more than one: each of them leads here
 *
 * It goes as a whole, with the device's last PASID.
 */
struct rviommu_pdt {
	struct rviommu_dir dir;
	u32 did;
	bool several;
};

/**
 * enum rviommu_publish - how a change becomes visible, and what it then owes
 * @RVIOMMU_PUBLISH_NONE: old and new are equal (or both invalid): nothing was
 *                        stored, nothing is owed
 * @RVIOMMU_PUBLISH_VALID: an invalid context became valid, by one store of its first word
 *                         or, where its leaf page is new, of the entry that links the
 *                         page. Other words of the context that had to change
 *                         were stored before, with the grace period in between. Nothing
 *                         is owed (spec "Caching invalid entries").
 * @RVIOMMU_PUBLISH_WORD: one word of a live context changed in place (going
 *                        invalid is a change of the first only): IODIR.INVAL_DDT DV=1,
 *                        or IODIR.INVAL_PDT of the process
 * @RVIOMMU_PUBLISH_PAGE: a copy of the leaf page replaced it through the
 *                        parent's entry: IODIR.INVAL_DDT DV=0. Of a process: DV=1 (spec
 *                        "Changing process directory table entry": a non-leaf PDT entry,
 *                        or with one level DC.fsc).
 * @RVIOMMU_PUBLISH_BREAK: one-level DDT: break before make, not hitless:
 *                         IODIR.INVAL_DDT DV=1
 *
 * What is owed here is only the directory's share of the tables in spec
 * "Changing device directory table entry" and "Changing process directory table entry";
 * the IOTINVALs follow from rviommu_dir_update.old.
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
 * union rviommu_dir_context - a context of either kind, as a value on the CPU
 * @word: its words; those that its kind has
 * @dc: in a device directory
 * @pc: in a process directory
 */
union rviommu_dir_context {
	u64 word[RVIOMMU_DC_WORDS_EXT];
	struct rviommu_dc dc;
	struct rviommu_pc pc;
};

/**
 * struct rviommu_dir_update - one context on its way into a directory
 * @id: device_id or process_id
 * @reserve: link the tables that the context needs although @new is invalid, so
 *           that making it valid later needs no memory
 * @must: must not fail for want of a page to copy to
 * @lost: the device is in quarantine (rviommu_ddt_quarantine()) once this is true:
 *        then its context stays invalid, whatever @new says. NULL: it never is. Looked at
 *        in device directories only.
 * @new: the complete target value
 * @old: what was in force at prepare; all zero when that was invalid
 * @how: chosen by prepare
 * @at: where it is
 * @copy: edited copy of the leaf page; PAGE only, and only in the first of the
 *        updates that share the page: that one publishes and owns it. With one level it
 *        becomes the root, see rviommu_dir_new_root().
 * @replaced: leaf page to retire; set by publish where there was a @copy
 *
 * The caller fills in @id, @new, @lost, @reserve and @must, and leaves the rest to prepare. On the
 * stack of one writer, under rviommu_ddt.lock.
 *
 * Several updates may be prepared under one hold of the lock (a device with
 * several IDs, several processes); then all are published by one call. Each becomes visible
 * atomically, in order; updates that share a leaf page that is copied become
 * visible together.
 */
struct rviommu_dir_update {
	u32 id;
	bool reserve;
	bool must;
	const bool *lost;
	union rviommu_dir_context new;
	union rviommu_dir_context old;
	enum rviommu_publish how;
	struct rviommu_dir_place at;
	u64 *copy;
	u64 *replaced;
};

/* Any directory: directory.c */
int rviommu_dir_init(struct rviommu_dir *dir, const struct rviommu_dir_shape *shape,
		     struct rviommu_ddt *ddt, u8 levels);
void rviommu_dir_destroy(struct rviommu_dir *dir);
int rviommu_dir_reserve(struct rviommu_dir *dir, unsigned int pages);
unsigned int rviommu_dir_leaf_pages(const struct rviommu_dir *dir, const u32 *ids,
				    unsigned int nr);
void rviommu_dir_retire_all(struct rviommu_dir *dir);

int rviommu_dir_prepare(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			unsigned int nr);
void rviommu_dir_publish(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			 unsigned int nr);
void rviommu_dir_retire(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			unsigned int nr);
void rviommu_dir_abort(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
		       unsigned int nr);
u64 *rviommu_dir_new_root(const struct rviommu_dir_update *updates, unsigned int nr);

void rviommu_dir_store_last(struct rviommu_dir *dir, struct rviommu_dir_update *updates,
			    unsigned int nr);
u64 *rviommu_dir_live_page(const struct rviommu_dir *dir, const struct rviommu_dir_update *update);
u64 *rviommu_dir_walk(const struct rviommu_dir *dir, u32 id);
bool rviommu_dir_read(const struct rviommu_dir *dir, u32 id, u64 *words);
unsigned int rviommu_dir_steps(const struct rviommu_dir *dir, u32 id, struct rviommu_step *steps);

/* Width of an ID in bits that this directory can hold */
static inline unsigned int rviommu_dir_id_lg2(const struct rviommu_dir *dir)
{
	return dir->shape->id_lg2[dir->levels - 1];
}

/* Device directories: ddt.c */
int rviommu_ddt_init(struct rviommu_ddt *ddt, const struct rviommu_ddt_ops *ops, u8 levels,
		     bool extended, u8 pas_lg2, int nid);
void rviommu_ddt_destroy(struct rviommu_ddt *ddt);
bool rviommu_ddt_read(const struct rviommu_ddt *ddt, u32 did, struct rviommu_dc *dc);
void rviommu_ddt_store(struct rviommu_ddt *ddt, u64 *where, u64 value);
void rviommu_ddt_quarantine(struct rviommu_ddt *ddt, u32 did);

/* Process directories: pdt.c */
int rviommu_pdt_init(struct rviommu_pdt *pdt, struct rviommu_ddt *ddt, u8 levels, u32 did,
		     bool several);
u64 rviommu_pdt_pdtp(u8 levels, const u64 *root);
unsigned int rviommu_pdt_pid_lg2(u8 levels);
bool rviommu_pdt_read(const struct rviommu_ddt *ddt, u32 did, u32 pid, struct rviommu_pc *pc);
unsigned int rviommu_pdt_steps(const struct rviommu_ddt *ddt, u32 did, u32 pid,
			       struct rviommu_step *steps);

#endif /* RVIOMMU_DIRECTORY_H */
