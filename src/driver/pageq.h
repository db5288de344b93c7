/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page-request queue.
 */
#ifndef RVIOMMU_PAGEQ_H
#define RVIOMMU_PAGEQ_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "queue.h"

struct rviommu;

/**
 * struct rviommu_pageq - the page-request queue of one IOMMU
 * @q: memory and registers; none where the IOMMU or the kernel has no page requests
 * @lock: serialises the functions below against each other, and so what is done for a
 *        message. Nobody waits for a handler of page requests under it.
 * @head: index of the next record to read
 * @running: enabled, and not given up; read anywhere
 * @messages: records read
 * @overflows: pqof seen and cleared
 * @memfaults: pqmf seen and cleared
 * @bad_index: hardware gave a tail outside the queue
 * @strangers: requests of devices that may send none, and that wanted a response
 *
 * The counters are read without the lock, by debugfs.
 */
struct rviommu_pageq {
	struct rviommu_queue q;
	struct mutex lock; /* see above */
	u32 head;
	bool running;
	atomic64_t messages;
	atomic64_t overflows;
	atomic64_t memfaults;
	atomic64_t bad_index;
	atomic64_t strangers;
};

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2);
void rviommu_pageq_destroy(struct rviommu *iommu);
int rviommu_pageq_enable(struct rviommu *iommu);
int rviommu_pageq_disable(struct rviommu *iommu);
void rviommu_pageq_service(struct rviommu *iommu);
#else
static inline int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2)
{
	return 0;
}

static inline void rviommu_pageq_destroy(struct rviommu *iommu)
{
}

static inline int rviommu_pageq_enable(struct rviommu *iommu)
{
	return 0;
}

static inline int rviommu_pageq_disable(struct rviommu *iommu)
{
	return 0;
}

static inline void rviommu_pageq_service(struct rviommu *iommu)
{
}
#endif

#endif /* RVIOMMU_PAGEQ_H */
