/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the command, fault and page-request queues have in common: memory,
 * sizing by WARL, switching on and off with bounded waits.
 */
#ifndef RVIOMMU_QUEUE_H
#define RVIOMMU_QUEUE_H

#include <linux/types.h>

#include <rviommu/bus.h>

/*
 * Bound of every wait for a BUSY, *ON or Go bit. Spec gives none; a second is
 * far beyond what an implementation needs and short enough for a probe.
 */
#define RVIOMMU_BUSY_TIMEOUT_US		1000000

/**
 * struct rviommu_queue - one in-memory queue of an IOMMU
 * @bus: register access
 * @name: "cq", "fq" or "pq", for messages
 * @base: memory, naturally aligned (spec cqb, fqb, pqb); NULL before init
 * @entry_lg2: lg2 of an entry in bytes
 * @entries_lg2: lg2 of the number of entries
 * @reg_base: offset of the base register (cqb ...); head and tail follow it at +8
 *            and +12
 * @reg_csr: offset of the control and status register (cqcsr ...)
 */
struct rviommu_queue {
	struct rviommu_bus *bus;
	const char *name;
	void *base;
	u8 entry_lg2;
	u8 entries_lg2;
	u16 reg_base;
	u16 reg_csr;
};

/* offsets from rviommu_queue.reg_base */
#define RVIOMMU_QUEUE_HEAD	8
#define RVIOMMU_QUEUE_TAIL	12

int rviommu_queue_init(struct rviommu_queue *q, struct rviommu_bus *bus, const char *name,
		       unsigned int reg_base, unsigned int reg_csr, u8 entry_lg2,
		       u8 entries_lg2, u8 pas_lg2, int nid);
void rviommu_queue_destroy(struct rviommu_queue *q);
int rviommu_queue_enable(struct rviommu_queue *q, u32 csr_extra);
int rviommu_queue_disable(struct rviommu_queue *q);
int rviommu_queue_wait_idle(struct rviommu_queue *q, u32 *csr);
int rviommu_queue_write_csr(struct rviommu_queue *q, u32 value);

/* Index mask: entries - 1. */
static inline u32 rviommu_queue_mask(const struct rviommu_queue *q)
{
	return (1U << q->entries_lg2) - 1;
}

#endif /* RVIOMMU_QUEUE_H */
