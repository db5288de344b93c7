// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring of the command queue: what is put in, what is complete, and its end.
 *
 * What hardware tells us is checked before it is used: a fence number that cannot be
 * ends in rviommu_cmdq_die(). Nothing here waits.
 */
#include <linux/cache.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include <rviommu/regs.h>

#include "cmdq_private.h"
#include "command.h"
#include "filter.h"
#include "queue.h"
#include "trace.h"

/* Distance of two places of rviommu_cmdq.done */
#define CMDQ_DONE_LINE	max_t(unsigned int, L1_CACHE_BYTES, 64)

/* Slots that producers may use; one more stays empty, because tail == head means empty. */
static u32 cmdq_room(const struct rviommu_cmdq *cq)
{
	u32 taken = rviommu_cmdq_used(cq) + cq->reserve;
	u32 mask = rviommu_queue_mask(&cq->q);

	return taken < mask ? mask - taken : 0;
}

/**
 * rviommu_cmdq_fail() - nothing that waits for room will be queued
 * @cq: the queue
 */
void rviommu_cmdq_fail(struct rviommu_cmdq *cq)
{
	struct rviommu_cmdq_batch *batch, *next;

	list_for_each_entry_safe(batch, next, &cq->pending, link) {
		list_del(&batch->link);
		WRITE_ONCE(batch->state, RVIOMMU_CMDQ_FAILED);
	}
}

/**
 * rviommu_cmdq_bury() - a queue that was given up comes to its end
 * @cq: the queue
 * @last: there is no more time
 *
 * Waiters are told only when the owner has stopped what they wait for. Until then it is to be
 * called again.
 */
void rviommu_cmdq_bury(struct rviommu_cmdq *cq, bool last)
{
	if (cq->on_dead && !cq->on_dead(cq, last))
		return;
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	WRITE_ONCE(cq->running, false);
	rviommu_cmdq_fail(cq);
}

/**
 * rviommu_cmdq_silence() - a dead queue raises no interrupts
 * @cq: the queue
 *
 * An error bit that stays would go on raising them, so it is to have no interrupt
 * enable. Not while it is busy (spec cqcsr.busy): looked at again when an interrupt comes.
 */
void rviommu_cmdq_silence(struct rviommu_cmdq *cq)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr = bus->ops->read32(bus, cq->q.reg_csr);

	if (!rviommu_queue_gone(csr) && !(csr & RVIOMMU_QCSR_BUSY) &&
	    csr & (RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE))
		bus->ops->write32(bus, cq->q.reg_csr, 0);
}

/**
 * rviommu_cmdq_die() - give a queue up
 * @cq: the queue
 * @why: for the one message
 *
 * Waits for nothing: who may wait goes on with it, see %RVIOMMU_CMDQ_DIES.
 */
void rviommu_cmdq_die(struct rviommu_cmdq *cq, const char *why)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr;

	lockdep_assert_held(&cq->lock);

	if (cq->dead)
		return;
	csr = bus->ops->read32(bus, cq->q.reg_csr);
	dev_err(bus->dev, "cq: %s: the IOMMU is out of service and DMA through it is blocked (cqcsr %#x, slots %u to %u, fences %u to %u)\n",
		why, csr, cq->head, cq->tail, cq->completed, cq->issued);

	WRITE_ONCE(cq->dead, true);
	rviommu_cmdq_silence(cq);
	/* Nobody is told before it is over, nor of a queue that had not begun to run again. */
	WRITE_ONCE(cq->running, true);
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_DIES);
	rviommu_cmdq_bury(cq, false);
}

/**
 * rviommu_cmdq_reap() - take note of completed fences
 * @cq: the queue
 *
 * Return: false when the queue died of what was there.
 */
bool rviommu_cmdq_reap(struct rviommu_cmdq *cq)
{
	u32 done = rviommu_cmdq_read_done(cq);

	if (done == cq->completed)
		return true;
	if (done - cq->completed > cq->issued - cq->completed) {
		rviommu_cmdq_die(cq, "a fence that was never issued completed");
		return false;
	}
	if (cq->again && done - cq->again_until <= cq->issued - cq->again_until)
		WRITE_ONCE(cq->again, false);
	WRITE_ONCE(cq->completed, done);
	cq->head = cq->fence_end[done & rviommu_queue_mask(&cq->q)];
	cq->restarts = 0;
	return true;
}

static void cmdq_put(struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	*rviommu_cmdq_slot(cq, cq->tail) = cmd;
	cq->tail = (cq->tail + 1) & rviommu_queue_mask(&cq->q);
	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_COMMANDS);
	trace_rviommu_command(cq->q.bus, &cmd);
}

static struct rviommu_command cmdq_fence(struct rviommu_cmdq *cq, u32 fence)
{
	return rviommu_filter_fence(cq->mutate, rviommu_cmd_iofence(cq->done_pa, fence));
}

/**
 * rviommu_cmdq_ring() - the hardware is told of what is in the ring
 * @cq: the queue
 */
void rviommu_cmdq_ring(struct rviommu_cmdq *cq)
{
	cq->q.bus->ops->write32(cq->q.bus, RVIOMMU_REG_CQT, cq->tail);
}

/**
 * rviommu_cmdq_move_done() - fences write to a place that no earlier one knows
 * @cq: the queue; it is off
 */
void rviommu_cmdq_move_done(struct rviommu_cmdq *cq)
{
	size_t offset = offset_in_page(cq->done) + CMDQ_DONE_LINE;
	__le32 *done = cq->done_page + (offset < PAGE_SIZE ? offset : 0);

	WRITE_ONCE(*done, cpu_to_le32(cq->completed));
	cq->done_pa = virt_to_phys(done);
	/* The number there, before anybody is sent there to read it. */
	smp_store_release(&cq->done, done);
}

/**
 * rviommu_cmdq_drain() - queue everything that waits, and one fence behind it
 * @cq: the queue
 *
 * Oldest first, as far as there is room. The last free slot is kept for that fence.
 */
void rviommu_cmdq_drain(struct rviommu_cmdq *cq)
{
	struct llist_node *arrived = llist_reverse_order(llist_del_all(&cq->incoming));
	struct rviommu_cmdq_batch *batch, *next;
	const u32 fence = cq->issued + 1;
	bool queued = false;
	LIST_HEAD(served);

	lockdep_assert_held(&cq->lock);

	llist_for_each_entry(batch, arrived, node)
		list_add_tail(&batch->link, &cq->pending);
	/* They wait for the end of the restart, or of the queue. */
	if (cq->running && cq->phase != RVIOMMU_CMDQ_RUNS)
		return;

	while (cq->running && !list_empty(&cq->pending)) {
		batch = list_first_entry(&cq->pending, struct rviommu_cmdq_batch, link);

		if (cmdq_room(cq) <= batch->nr && !rviommu_cmdq_reap(cq))
			break;
		for (; batch->nr && cmdq_room(cq) >= 2; batch->nr--) {
			cmdq_put(cq, *batch->cmds++);
			queued = true;
		}
		if (batch->nr || !cmdq_room(cq))
			break;
		list_move_tail(&batch->link, &served);
	}

	if (!cq->running || cq->phase != RVIOMMU_CMDQ_RUNS) {
		list_splice(&served, &cq->pending);
		if (!cq->running)
			rviommu_cmdq_fail(cq);
		return;
	}
	if (!queued && list_empty(&served))
		return;

	/* Before the doorbell: whoever sees the fence done must see it issued. */
	WRITE_ONCE(cq->issued, fence);
	cmdq_put(cq, cmdq_fence(cq, fence));
	cq->fence_end[fence & rviommu_queue_mask(&cq->q)] = cq->tail;
	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_FENCES);
	rviommu_cmdq_ring(cq);

	list_for_each_entry_safe(batch, next, &served, link) {
		batch->fence = fence;
		WRITE_ONCE(batch->state, RVIOMMU_CMDQ_QUEUED);
	}
}
