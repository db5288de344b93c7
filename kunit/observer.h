/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer: what hardware can see while directories change.
 *
 * It stands for the least kind hardware that the specification allows. Every store
 * and every synchronisation of a publish goes through rviommu_ddt_ops; before and
 * after each of them the observer works out every context that a walk could put
 * together out of what memory has held so far:
 *
 * - an entry of a non-leaf table of the DDT may have been read at any of the states
 *   since the last IODIR.INVAL_DDT DV=0 (hardware may cache it);
 * - each word of a device context, independently of the others and in any order, at
 *   any state since then or since the last IODIR.INVAL_DDT DV=1 of the device, not
 *   before the entry that led to it was read;
 * - where such a context has a process directory, an entry of its non-leaf tables,
 *   at any state since the same commands, not before DC.fsc was read;
 * - each word of a process context likewise; for these, IODIR.INVAL_PDT ends it, too.
 *
 * A command counts when an IOFENCE.C after it has completed: then the walks that began
 * before are over (spec "IOMMU directory cache invalidation commands", "Caching
 * in-memory data structures").
 *
 * All of these contexts must be ones that were in force as a whole. The observer
 * shares no code with the driver: it has its own walk. It also compares what the
 * driver's own readers say, and finds memory that changed without a store, and pages
 * that are retired while a walk may still come by.
 */
#ifndef RVIOMMU_KUNIT_OBSERVER_H
#define RVIOMMU_KUNIT_OBSERVER_H

#include <kunit/test.h>

#include "../src/driver/directory.h"

#define OBSERVER_LOG		256
#define OBSERVER_DEVICES	8
#define OBSERVER_PROCESSES	6
#define OBSERVER_ALLOWED	24
#define OBSERVER_PAGES		32
#define OBSERVER_PAGE_WORDS	(RVIOMMU_PAGE_SIZE / sizeof(u64))

/**
 * struct observed_process - a process_id that the observer walks to
 * @pid: process_id; 0 stands for the requests without one, too (DPE)
 * @cut: stores older than this are behind an IODIR.INVAL_PDT and a fence
 * @nr: entries of @allowed
 * @allowed: what may be found
 * @found: what was
 * @invalid_allowed: as @allowed, for "no valid context"
 * @invalid_found: as @found
 */
struct observed_process {
	u32 pid;
	unsigned int cut;
	unsigned int nr;
	struct rviommu_pc allowed[OBSERVER_ALLOWED];
	bool found[OBSERVER_ALLOWED];
	bool invalid_allowed;
	bool invalid_found;
};

/**
 * struct observed - a device_id that the observer walks to
 * @did: device_id
 * @cut: stores older than this are behind an IODIR.INVAL_DDT and a fence
 * @nr: entries of @allowed
 * @allowed: what may be found
 * @found: what was
 * @invalid_allowed: as @allowed, for "no valid context"
 * @invalid_found: as @found
 * @pdt: if not NULL, the device's process directory in the driver's own record: where
 *       it has a root, a context that points to it is allowed
 * @process: process_ids; without any, no process directory is looked at
 * @nr_processes: entries of @process
 */
struct observed {
	u32 did;
	unsigned int cut;
	unsigned int nr;
	struct rviommu_dc allowed[OBSERVER_ALLOWED];
	bool found[OBSERVER_ALLOWED];
	bool invalid_allowed;
	bool invalid_found;
	const struct rviommu_pdt *pdt;
	struct observed_process process[OBSERVER_PROCESSES];
	unsigned int nr_processes;
};

/**
 * struct observer - one observer of one device directory
 * @ops: what the directory has while it is observed
 * @under: if not NULL, the operations in whose place @ops are: they synchronise, and
 *         say what was executed through observer_execute(). Else @sync_result counts.
 * @ddt: directory
 * @sync_result: what ops->sync returns
 * @log: stores that are over, oldest first: what was there before
 * @logged: entries of @log
 * @cut_all: stores older than this are behind an IODIR.INVAL_DDT DV=0 and a fence
 * @device: whom it watches
 * @nr_devices: entries of @device
 * @shadow: what memory must hold if every store went through the seam
 * @nr_pages: entries of @shadow
 * @command: IODIR commands that no fence has followed yet
 * @nr_commands: entries of @command
 * @retired: pages that the driver thinks nobody reaches any more
 * @nr_retired: entries of @retired
 * @stores: stores
 * @syncs: calls of ops->sync
 * @syncs_all: those for all devices
 * @torn: contexts seen that never were in force
 * @invalid: times that none was seen where one had to be
 * @bypassed: changes of memory that no store announced
 * @reached: pages that were retired and could still be walked
 * @example: the first of @torn
 *
 * Zeroed by the test, and too large for a stack. Tests read and reset the counters.
 */
struct observer {
	struct rviommu_ddt_ops ops;
	const struct rviommu_ddt_ops *under;
	struct rviommu_ddt *ddt;
	int sync_result;
	struct {
		u64 *where;
		u64 before;
	} log[OBSERVER_LOG];
	unsigned int logged;
	unsigned int cut_all;
	struct observed device[OBSERVER_DEVICES];
	unsigned int nr_devices;
	struct {
		u64 *page;
		u64 word[OBSERVER_PAGE_WORDS];
	} shadow[OBSERVER_PAGES];
	unsigned int nr_pages;
	u64 command[32];
	unsigned int nr_commands;
	u64 *retired[OBSERVER_PAGES];
	unsigned int nr_retired;

	unsigned int stores;
	unsigned int syncs;
	unsigned int syncs_all;
	unsigned int torn;
	unsigned int invalid;
	unsigned int bypassed;
	unsigned int reached;
	char example[120];
};

/* Observe @ddt, whose ops must become (or become here, if it has some) @o->ops. */
void observer_init(struct observer *o, struct rviommu_ddt *ddt);

/* From now on watch a device; what is in force is what may be found. */
struct observed *observer_watch(struct observer *o, u32 did);
struct observed_process *observer_watch_process(struct observer *o, struct observed *d, u32 pid);
/* Whom it watches already, or NULL */
struct observed *observer_watched(struct observer *o, u32 did);

/* From now on @dc (@pc) is in force, as well as what was before. */
void observer_allow(struct observed *d, const struct rviommu_dc *dc);
void observer_allow_process(struct observed_process *p, const struct rviommu_pc *pc);
/* From now on only this one is; whatever was found is forgotten. */
void observer_allow_only(struct observed *d, const struct rviommu_dc *dc);
void observer_allow_only_process(struct observed_process *p, const struct rviommu_pc *pc);
/* Has it been found? */
bool observer_found(const struct observed *d, const struct rviommu_dc *dc);
bool observer_found_process(const struct observed_process *p, const struct rviommu_pc *pc);

/* One look at everything. */
void observer_look(struct observer *o);
/* The two operations, for tests that do what the driver must not do */
void observer_store(struct rviommu_ddt *ddt, u64 *where, u64 value);
int observer_sync(struct rviommu_ddt *ddt, u32 did, bool all);

/* IODIR commands, completed by a fence: of all, of one device, of one process */
void observer_fence_all(struct observer *o);
void observer_fence(struct observer *o, u32 did);
void observer_fence_process(struct observer *o, u32 did, u32 pid);
/* A command was executed, spec "Command-Queue (CQ)". */
void observer_execute(struct observer *o, u64 dword0);

/* The driver retires pages: can a walk still come by? Takes them from the list. */
void observer_retire(struct observer *o, struct list_head *pages);
/* Free them. */
void observer_free_retired(struct observer *o);

/* Tables have changed where nobody looked; no more. */
void observer_refresh(struct observer *o);
/* Everything older is behind a fence for all devices; only what is in force is allowed. */
void observer_settle(struct observer *o);
/* No torn context, none invalid, no change behind its back; starts again from zero. */
void observer_expect_intact(struct kunit *test, struct observer *o, const char *what);

/* The words of a context as they lie in memory now; NULL without a leaf page */
u64 *observer_words(struct observer *o, u32 did);
u64 *observer_process_words(struct observer *o, u32 did, u32 pid);
/* The entry that leads to a leaf page, which exists; not with one level */
u64 *observer_parent(struct observer *o, u32 did);
u64 *observer_process_parent(struct observer *o, u32 did, u32 pid);

#endif /* RVIOMMU_KUNIT_OBSERVER_H */
