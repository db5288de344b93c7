/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the command queue share: its ring, and its recovery.
 *
 * What changes the queue does so under rviommu_cmdq.lock, and is called under it.
 */
#ifndef RVIOMMU_CMDQ_PRIVATE_H
#define RVIOMMU_CMDQ_PRIVATE_H

#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/compiler.h>

#include "cmdq.h"

static inline struct rviommu_command *rviommu_cmdq_slot(struct rviommu_cmdq *cq, u32 index)
{
	return (struct rviommu_command *)cq->q.base + index;
}

/* Slots from head to tail: what is submitted again in a restart. */
static inline u32 rviommu_cmdq_used(const struct rviommu_cmdq *cq)
{
	return (cq->tail - cq->head) & rviommu_queue_mask(&cq->q);
}

static inline void rviommu_cmdq_count(struct rviommu_cmdq *cq, enum rviommu_cmdq_event event)
{
	atomic64_inc(&cq->events[event]);
}

/* Number of the last fence that is complete, whether or not somebody has taken note of it. */
static inline u32 rviommu_cmdq_read_done(const struct rviommu_cmdq *cq)
{
	return le32_to_cpu(READ_ONCE(*READ_ONCE(cq->done)));
}

/* Is it one of the fences that rviommu_cmdq_drain() puts behind batches? */
static inline bool rviommu_cmdq_own_fence(const struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	u32 data = FIELD_GET(RVIOMMU_CMD_IOFENCE_DATA, le64_to_cpu(cmd.dword[0]));

	return rviommu_cmd_equal(cmd, rviommu_cmd_iofence(cq->done_pa, data));
}

static inline void rviommu_cmdq_set_phase(struct rviommu_cmdq *cq, enum rviommu_cmdq_phase phase)
{
	WRITE_ONCE(cq->phase, phase);
	WRITE_ONCE(cq->epoch, cq->epoch + 1);
}

/* cmdq_ring.c */
void rviommu_cmdq_fail(struct rviommu_cmdq *cq);
void rviommu_cmdq_bury(struct rviommu_cmdq *cq, bool last);
void rviommu_cmdq_silence(struct rviommu_cmdq *cq);
void rviommu_cmdq_die(struct rviommu_cmdq *cq, const char *why);
bool rviommu_cmdq_reap(struct rviommu_cmdq *cq);
void rviommu_cmdq_ring(struct rviommu_cmdq *cq);
void rviommu_cmdq_move_done(struct rviommu_cmdq *cq);
void rviommu_cmdq_drain(struct rviommu_cmdq *cq);

/* cmdq_recover.c; for those who wait, not under the lock */
bool rviommu_cmdq_suspicious(struct rviommu_cmdq *cq);
void rviommu_cmdq_suspect(struct rviommu_cmdq *cq, u32 seen, u32 epoch);
void rviommu_cmdq_give_up(struct rviommu_cmdq *cq, u32 seen, u32 epoch);

#endif /* RVIOMMU_CMDQ_PRIVATE_H */
