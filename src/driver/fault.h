/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fault queue, and who is told.
 */
#ifndef RVIOMMU_FAULT_H
#define RVIOMMU_FAULT_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/types.h>

#include <rviommu/formats.h>

#include "queue.h"
#include "record.h"

struct rviommu;

/**
 * struct rviommu_faultq - the fault queue of one IOMMU
 * @q: memory and registers
 * @lock: serialises the functions below against each other. Nothing that waits
 *        for a command is done under it.
 * @head: index of the next record to read
 * @running: enabled, and not given up; read anywhere
 * @records: records read
 * @overflows: fqof seen and cleared
 * @memfaults: fqmf seen and cleared
 * @bad_index: hardware gave a tail outside the queue
 * @log: of records that no device is known to have caused; under @lock
 *
 * The counters are read without the lock, by debugfs.
 */
struct rviommu_faultq {
	struct rviommu_queue q;
	struct mutex lock; /* see above */
	u32 head;
	bool running;
	atomic64_t records;
	atomic64_t overflows;
	atomic64_t memfaults;
	atomic64_t bad_index;
	struct rviommu_fault_log log;
};

/* Enough for the name of a device, and for everything that is said of a fault. */
#define RVIOMMU_FAULT_NAME	48
#define RVIOMMU_FAULT_TEXT	256

int rviommu_faultq_init(struct rviommu_faultq *fq, struct rviommu_bus *bus, u8 entries_lg2,
			u8 pas_lg2, int nid);
void rviommu_faultq_destroy(struct rviommu_faultq *fq);
int rviommu_faultq_enable(struct rviommu_faultq *fq);
int rviommu_faultq_disable(struct rviommu_faultq *fq);
void rviommu_faultq_service(struct rviommu *iommu);

#endif /* RVIOMMU_FAULT_H */
