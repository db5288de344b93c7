// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault queue, and who is told.
 *
 * Nothing here takes a lock that attach or map hold while they wait for the
 * IOMMU, and nothing here waits for commands: a fault may be the reason why
 * somebody else waits.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/ratelimit.h>

#include "endpoint.h"
#include "fault.h"
#include "queue.h"
#include "record.h"
#include "rviommu.h"
#include "trace.h"

#define FQCSR_ERRORS	(RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF)

static void fault_report(struct rviommu *iommu, const struct rviommu_fault *fault)
{
	char device[RVIOMMU_FAULT_NAME] = "", text[RVIOMMU_FAULT_TEXT];
	u64 hidden;
	bool log;

	atomic64_inc(&iommu->faultq.records);
	log = rviommu_endpoint_fault(iommu, fault, &hidden);
	if (!log && !trace_rviommu_fault_enabled())
		return;
	if (fault->ttyp)
		rviommu_endpoint_name(iommu, fault->did, device, sizeof(device));
	trace_rviommu_fault(iommu->bus, device, fault);
	if (!log)
		return;
	rviommu_fault_format(text, sizeof(text), device, fault);
	if (hidden)
		dev_err(iommu->bus->dev, "%s: %s (%llu before it not shown)\n", iommu->bus->name,
			text, hidden);
	else
		dev_err(iommu->bus->dev, "%s: %s\n", iommu->bus->name, text);
}

/*
 * Read records up to the tail as of now: less than a ring full. What comes later
 * raises its own interrupt. False when the tail cannot be.
 */
static bool faultq_drain(struct rviommu *iommu)
{
	struct rviommu_faultq *fq = &iommu->faultq;
	struct rviommu_queue *q = &fq->q;
	const u32 mask = rviommu_queue_mask(q);
	u32 tail = q->bus->ops->read32(q->bus, q->reg_base + RVIOMMU_QUEUE_TAIL);

	if (tail > mask)
		return false;
	/* The records that the tail announced, not what was there before. */
	dma_rmb();

	while (fq->head != tail) {
		const struct rviommu_fault_record *rec = q->base;
		struct rviommu_fault fault = rviommu_fault_decode(&rec[fq->head]);

		fault_report(iommu, &fault);
		fq->head = (fq->head + 1) & mask;
	}
	q->bus->ops->write32(q->bus, q->reg_index, fq->head);
	return true;
}

static void faultq_clear_interrupt(struct rviommu_queue *q)
{
	q->bus->ops->write32(q->bus, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
}

static void faultq_give_up(struct rviommu_faultq *fq, const char *why)
{
	dev_err(fq->q.bus->dev, "fq: %s, faults are not reported any more\n", why);
	WRITE_ONCE(fq->running, false);
}

static void faultq_service(struct rviommu *iommu)
{
	struct rviommu_faultq *fq = &iommu->faultq;
	struct rviommu_queue *q = &fq->q;
	u32 csr;

	lockdep_assert_held(&fq->lock);

	if (!fq->running) {
		/*
		 * A queue that was given up and does not switch off may raise its
		 * interrupt again as soon as it is cleared, for ever. Left pending,
		 * a message is not sent again; a wire has to be cleared.
		 */
		if (!q->on || q->bus->wired)
			faultq_clear_interrupt(q);
		return;
	}

	csr = q->bus->ops->read32(q->bus, q->reg_csr);
	if (rviommu_queue_gone(csr)) {
		dev_err(q->bus->dev, "fq: registers read all ones, the device is gone\n");
		WRITE_ONCE(q->on, false);
		WRITE_ONCE(fq->running, false);
		return;
	}
	if (csr & FQCSR_ERRORS) {
		if (csr & RVIOMMU_QCSR_OF)
			atomic64_inc(&fq->overflows);
		if (csr & RVIOMMU_QCSR_MF)
			atomic64_inc(&fq->memfaults);
		dev_err_ratelimited(q->bus->dev, "fq: %s, fault records were lost\n",
				    csr & RVIOMMU_QCSR_MF ? "memory fault" : "overflow");

		/* Make room first, or the next record would overflow it again. */
		if (!faultq_drain(iommu))
			goto bad_index;
		if (rviommu_queue_write_csr(q, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
					    (csr & FQCSR_ERRORS))) {
			faultq_give_up(fq, "it does not recover from an error");
			return;
		}
	}
	/* Before the tail is read: a record after that raises a new interrupt. */
	faultq_clear_interrupt(q);
	if (faultq_drain(iommu))
		return;

bad_index:
	atomic64_inc(&fq->bad_index);
	faultq_give_up(fq, "its tail is outside the queue");
	if (!rviommu_queue_disable(q))
		faultq_clear_interrupt(q);
}

/**
 * rviommu_faultq_service() - read and report what is in the fault queue
 * @iommu: whose
 *
 * Follows spec "Guidelines for handling interrupts from IOMMU". Clears ipsr.fip.
 * A queue that cannot be trusted is switched off, with one message; DMA stays
 * translated and blocked as before.
 *
 * Context: may sleep; the interrupt thread, and suspend. Bounded: at most one
 * ring of records, two after an error.
 */
void rviommu_faultq_service(struct rviommu *iommu)
{
	mutex_lock(&iommu->faultq.lock);
	faultq_service(iommu);
	mutex_unlock(&iommu->faultq.lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_service);

/**
 * rviommu_faultq_init() - allocate a fault queue
 * @fq: filled in here
 * @bus: register access
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 * @pas_lg2: memory must lie below this physical address
 * @nid: NUMA node
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_faultq_init(struct rviommu_faultq *fq, struct rviommu_bus *bus, u8 entries_lg2,
			u8 pas_lg2, int nid)
{
	memset(fq, 0, sizeof(*fq));
	mutex_init(&fq->lock);
	rviommu_fault_log_init(&fq->log);
	return rviommu_queue_init(&fq->q, bus, "fq", RVIOMMU_REG_FQB, RVIOMMU_REG_FQCSR,
				  ilog2(sizeof(struct rviommu_fault_record)), entries_lg2,
				  pas_lg2, nid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_init);

/**
 * rviommu_faultq_destroy() - give the memory of a fault queue back
 * @fq: initialised or zeroed; nobody uses it any more
 *
 * Context: may sleep.
 */
void rviommu_faultq_destroy(struct rviommu_faultq *fq)
{
	rviommu_queue_destroy(&fq->q);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_destroy);

/**
 * rviommu_faultq_enable() - switch the fault queue on, empty
 * @fq: initialised
 *
 * Context: may sleep.
 * Return: see rviommu_queue_enable().
 */
int rviommu_faultq_enable(struct rviommu_faultq *fq)
{
	int ret;

	mutex_lock(&fq->lock);
	fq->head = 0;
	/* Left pending by whatever was before, it would keep new ones away. */
	faultq_clear_interrupt(&fq->q);
	ret = rviommu_queue_enable(&fq->q, RVIOMMU_QCSR_IE);
	WRITE_ONCE(fq->running, !ret);
	mutex_unlock(&fq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_enable);

/**
 * rviommu_faultq_disable() - switch the fault queue off
 * @fq: initialised
 *
 * Context: may sleep.
 * Return: see rviommu_queue_disable().
 */
int rviommu_faultq_disable(struct rviommu_faultq *fq)
{
	int ret;

	mutex_lock(&fq->lock);
	WRITE_ONCE(fq->running, false);
	ret = rviommu_queue_disable(&fq->q);
	mutex_unlock(&fq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_disable);
