/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Queues that the IOMMU fills: what the fault queue and the page-request queue have in common.
 */
#ifndef RVIOMMU_INQ_H
#define RVIOMMU_INQ_H

#include <linux/atomic.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "mutate.h"
#include "queue.h"

struct rviommu_inq;

/* Bytes of the largest record. */
#define RVIOMMU_INQ_RECORD	32

/**
 * struct rviommu_inq_ops - what a queue is about
 * @name: "fq" or "pq", for messages
 * @reg_base: %RVIOMMU_REG_FQB ...
 * @reg_csr: %RVIOMMU_REG_FQCSR ...
 * @record_lg2: lg2 of the size of a record in bytes, at most that of %RVIOMMU_INQ_RECORD
 * @interrupt: its bit in ipsr
 * @lost: "... were lost", when the IOMMU had no room or no memory for a record
 * @over: what is not done any more without it
 * @key: each queue's lock is of a class of its own: what is done under them differs
 * @record: a record has come; the queue's lock is held
 * @gap: records were lost, or the rest of what there was will not come; the queue's lock is held.
 *       May be NULL.
 * @denied: records had no memory, and new ones have again; the queue's lock is held. May be NULL.
 */
struct rviommu_inq_ops {
	const char *name;
	u16 reg_base;
	u16 reg_csr;
	u8 record_lg2;
	u32 interrupt;
	const char *lost;
	const char *over;
	struct lock_class_key *key;
	void (*record)(struct rviommu_inq *in, const void *record);
	void (*gap)(struct rviommu_inq *in);
	void (*denied)(struct rviommu_inq *in);
};

/**
 * struct rviommu_inq - a queue that the IOMMU fills
 * @q: memory and registers; its base is NULL where the IOMMU or the kernel has no use for it
 * @ops: what it is about
 * @lock: serialises the functions below against each other, and so what is done for a record.
 *        A response waits for room in the command queue under it, and the core asks who handles
 *        page requests, which must not wait for anything (rviommu/page_request.h). No command is
 *        waited for.
 * @head: index of the next record to read
 * @running: enabled, and not given up; read anywhere
 * @records: records read
 * @overflows: overflows seen and cleared (fqof, pqof)
 * @memfaults: memory faults seen and cleared (fqmf, pqmf)
 * @bad_index: hardware gave a tail outside the queue
 * @mutate: the step that a mutation run leaves out (mutate.h), or NULL
 *
 * The counters are read without the lock, by debugfs.
 */
struct rviommu_inq {
	struct rviommu_queue q;
	const struct rviommu_inq_ops *ops;
	struct mutex lock; /* see above */
	u32 head;
	bool running;
	atomic64_t records;
	atomic64_t overflows;
	atomic64_t memfaults;
	atomic64_t bad_index;
	const enum rviommu_mutation *mutate;
};

int rviommu_inq_init(struct rviommu_inq *in, const struct rviommu_inq_ops *ops,
		     struct rviommu_bus *bus, u8 entries_lg2, u8 pas_lg2, int nid);
void rviommu_inq_destroy(struct rviommu_inq *in);
int rviommu_inq_enable(struct rviommu_inq *in);
int rviommu_inq_disable(struct rviommu_inq *in);
void rviommu_inq_service(struct rviommu_inq *in);

#endif /* RVIOMMU_INQ_H */
