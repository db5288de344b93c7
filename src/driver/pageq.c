// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page-request queue: messages of devices, in their order, to whom they concern.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/log2.h>

#include <rviommu/regs.h>

#include "pageq.h"
#include "prg.h"
#include "pri.h"
#include "queue.h"
#include "rviommu.h"

#define PQCSR_ERRORS	(RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF)

/*
 * Read records up to the tail as of now: less than a ring full. What comes later
 * raises its own interrupt. False when the tail cannot be.
 */
static bool pageq_read(struct rviommu *iommu)
{
	struct rviommu_pageq *pq = &iommu->pageq;
	struct rviommu_queue *q = &pq->q;
	const u32 mask = rviommu_queue_mask(q);
	u32 tail = q->bus->ops->read32(q->bus, q->reg_base + RVIOMMU_QUEUE_TAIL);

	if (tail > mask)
		return false;
	/* The records that the tail announced, not what was there before. */
	dma_rmb();

	while (pq->head != tail) {
		const struct rviommu_page_request *records = q->base;
		struct rviommu_page_message message = rviommu_page_decode(&records[pq->head]);

		pq->head = (pq->head + 1) & mask;
		/* Room first: what becomes of the message may take a while. */
		q->bus->ops->write32(q->bus, q->reg_index, pq->head);
		atomic64_inc(&pq->messages);
		rviommu_pri_message(iommu, &message);
	}
	return true;
}

static void pageq_clear_interrupt(struct rviommu_queue *q)
{
	q->bus->ops->write32(q->bus, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_PIP);
}

/* Without it the IOMMU itself responds to those that want a response, with a failure. */
static void pageq_give_up(struct rviommu_pageq *pq, const char *why)
{
	dev_err(pq->q.bus->dev, "pq: %s, page requests are not served any more\n", why);
	WRITE_ONCE(pq->running, false);
	if (!rviommu_queue_disable(&pq->q))
		pageq_clear_interrupt(&pq->q);
}

/*
 * Messages were lost, the last ones of groups among them: what is not complete may never be.
 * Those who had sent a last one may have got a response of the IOMMU, which is Success when the
 * queue was full (spec "PCIe ATS Page Request handling"): they try again.
 */
static bool pageq_recover(struct rviommu *iommu, u32 csr)
{
	struct rviommu_pageq *pq = &iommu->pageq;

	if (csr & RVIOMMU_QCSR_OF)
		atomic64_inc(&pq->overflows);
	if (csr & RVIOMMU_QCSR_MF)
		atomic64_inc(&pq->memfaults);
	dev_err_ratelimited(pq->q.bus->dev, "pq: %s, page requests were lost\n",
			    csr & RVIOMMU_QCSR_MF ? "memory fault" : "overflow");
	/* What is there is complete, as far as it is; and there is room then. */
	if (!pageq_read(iommu))
		return false;
	rviommu_pri_discard(iommu);
	if (rviommu_queue_write_csr(&pq->q, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
				    (csr & PQCSR_ERRORS))) {
		pageq_give_up(pq, "it does not recover from an error");
		return false;
	}
	return true;
}

static void pageq_service(struct rviommu *iommu)
{
	struct rviommu_pageq *pq = &iommu->pageq;
	struct rviommu_queue *q = &pq->q;
	u32 csr;

	lockdep_assert_held(&pq->lock);
	if (!pq->running) {
		/* As of the fault queue: one that does not switch off stays pending. */
		if (!q->on || q->bus->wired)
			pageq_clear_interrupt(q);
		return;
	}
	csr = q->bus->ops->read32(q->bus, q->reg_csr);
	if (rviommu_queue_gone(csr)) {
		dev_err(q->bus->dev, "pq: registers read all ones, the device is gone\n");
		WRITE_ONCE(q->on, false);
		WRITE_ONCE(pq->running, false);
		return;
	}
	if (csr & PQCSR_ERRORS && !pageq_recover(iommu, csr) && !pq->running)
		return;
	/* Before the tail is read: a message after that raises a new interrupt. */
	pageq_clear_interrupt(q);
	if (!pageq_read(iommu)) {
		atomic64_inc(&pq->bad_index);
		pageq_give_up(pq, "its tail is outside the queue");
	}
}

/**
 * rviommu_pageq_service() - what is in the page-request queue is handed on
 * @iommu: whose
 *
 * On return all messages that were in the queue when it was called are: groups that are
 * complete are with their handlers. Follows spec "Guidelines for handling interrupts from
 * IOMMU"; clears ipsr.pip. A queue that cannot be trusted is switched off, with one message.
 *
 * Context: may sleep; the interrupt thread, and whoever flushes. Bounded: at most one ring of
 * messages, two after an error.
 */
void rviommu_pageq_service(struct rviommu *iommu)
{
	if (!iommu->pageq.q.base) {
		rviommu_write32(iommu, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_PIP);
		return;
	}
	mutex_lock(&iommu->pageq.lock);
	pageq_service(iommu);
	mutex_unlock(&iommu->pageq.lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pageq_service);

/**
 * rviommu_pageq_init() - allocate a page-request queue
 * @iommu: whose; one without ATS has none
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2)
{
	struct rviommu_pageq *pq = &iommu->pageq;

	memset(pq, 0, sizeof(*pq));
	mutex_init(&pq->lock);
	if (!(iommu->caps & RVIOMMU_CAP_ATS))
		return 0;
	return rviommu_queue_init(&pq->q, iommu->bus, "pq", RVIOMMU_REG_PQB, RVIOMMU_REG_PQCSR,
				  ilog2(sizeof(struct rviommu_page_request)), entries_lg2,
				  iommu->pas_lg2, iommu->nid);
}

/**
 * rviommu_pageq_destroy() - give the memory of a page-request queue back
 * @iommu: whose; nobody uses it any more
 *
 * Context: may sleep.
 */
void rviommu_pageq_destroy(struct rviommu *iommu)
{
	if (iommu->pageq.q.base)
		rviommu_queue_destroy(&iommu->pageq.q);
}

/**
 * rviommu_pageq_enable() - switch the page-request queue on, empty
 * @iommu: whose
 *
 * Context: may sleep.
 * Return: see rviommu_queue_enable().
 */
int rviommu_pageq_enable(struct rviommu *iommu)
{
	struct rviommu_pageq *pq = &iommu->pageq;
	int ret;

	if (!pq->q.base)
		return 0;
	mutex_lock(&pq->lock);
	/* Of what came before a suspend the rest will not come. */
	rviommu_pri_discard(iommu);
	pq->head = 0;
	/* Left pending by whatever was before, it would keep new ones away. */
	pageq_clear_interrupt(&pq->q);
	ret = rviommu_queue_enable(&pq->q, RVIOMMU_QCSR_IE);
	WRITE_ONCE(pq->running, !ret);
	mutex_unlock(&pq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pageq_enable);

/**
 * rviommu_pageq_disable() - switch the page-request queue off
 * @iommu: whose
 *
 * Context: may sleep.
 * Return: see rviommu_queue_disable().
 */
int rviommu_pageq_disable(struct rviommu *iommu)
{
	struct rviommu_pageq *pq = &iommu->pageq;
	int ret;

	if (!pq->q.base)
		return 0;
	mutex_lock(&pq->lock);
	WRITE_ONCE(pq->running, false);
	ret = rviommu_queue_disable(&pq->q);
	mutex_unlock(&pq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pageq_disable);
