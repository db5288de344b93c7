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
 * @reg_index: offset of the index that software writes: the tail of the command
 *             queue, the head of the others
 * @on: switched on by rviommu_queue_enable() and not known to be off since.
 *      Written by whoever may write the csr, read anywhere.
 *
 * The functions below do not lock and do not sleep: the owner of the queue
 * serialises them, with a lock or by being the only one.
 */
struct rviommu_queue {
	struct rviommu_bus *bus;
	const char *name;
	void *base;
	u8 entry_lg2;
	u8 entries_lg2;
	u16 reg_base;
	u16 reg_csr;
	u16 reg_index;
	bool on;
};

/* offsets from rviommu_queue.reg_base */
#define RVIOMMU_QUEUE_HEAD	8
#define RVIOMMU_QUEUE_TAIL	12

int rviommu_queue_init(struct rviommu_queue *q, struct rviommu_bus *bus, const char *name,
		       unsigned int reg_base, unsigned int reg_csr, u8 entry_lg2,
		       u8 entries_lg2, u8 pas_lg2, int nid);
bool rviommu_queue_destroy(struct rviommu_queue *q);
int rviommu_queue_enable(struct rviommu_queue *q, u32 csr_extra);
int rviommu_queue_enable_begin(struct rviommu_queue *q);
int rviommu_queue_enable_step(struct rviommu_queue *q, u32 csr_extra);
int rviommu_queue_disable(struct rviommu_queue *q);
int rviommu_queue_disable_step(struct rviommu_queue *q);
int rviommu_queue_wait_idle(struct rviommu_queue *q, u32 *csr);
int rviommu_queue_write_csr(struct rviommu_queue *q, u32 value);
unsigned int rviommu_queue_timeout_us(void);

/* Index mask: entries - 1. */
static inline u32 rviommu_queue_mask(const struct rviommu_queue *q)
{
	return (1U << q->entries_lg2) - 1;
}

/*
 * A read that no register of an IOMMU can give (reserved bits read 0, spec
 * "Memory-mapped register interface"): the device fell off its bus.
 */
static inline bool rviommu_queue_gone(u32 csr)
{
	return csr == ~0U;
}

#endif /* RVIOMMU_QUEUE_H */
