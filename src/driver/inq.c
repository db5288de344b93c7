// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues that the IOMMU fills: read up to the tail, recovered from errors, given up when
 * they cannot be trusted.
 */
#include <kunit/visibility.h>
#include <linux/export.h>

#include <rviommu/regs.h>

#include "inq.h"
#include "mutate.h"
#include "queue.h"

#define INQ_ERRORS	(RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF)

/*
 * Read records up to the tail as of now: less than a ring full. What comes later
 * raises its own interrupt. False when the tail cannot be.
 */
static bool inq_read(struct rviommu_inq *in)
{
	struct rviommu_queue *q = &in->q;
	const u32 mask = rviommu_queue_mask(q);
	u32 tail = q->bus->ops->read32(q->bus, q->reg_base + RVIOMMU_QUEUE_TAIL);
	u64 record[RVIOMMU_INQ_RECORD / sizeof(u64)];

	if (tail > mask)
		return false;
	/* The records that the tail announced, not what was there before. */
	dma_rmb();

	while (in->head != tail) {
		memcpy(record, q->base + ((size_t)in->head << q->entry_lg2), 1 << q->entry_lg2);
		in->head = (in->head + 1) & mask;
		/* Room first: what becomes of the record may take a while. */
		q->bus->ops->write32(q->bus, q->reg_index, in->head);
		atomic64_inc(&in->records);
		in->ops->record(in, record);
	}
	return true;
}

static void inq_clear_interrupt(struct rviommu_inq *in)
{
	in->q.bus->ops->write32(in->q.bus, RVIOMMU_REG_IPSR, in->ops->interrupt);
}

/* All that came before the loss was read by now, and nothing that comes behind it. */
static bool inq_tell_gap(struct rviommu_inq *in, u32 csr)
{
	if (in->ops->gap)
		in->ops->gap(in);
	return true;
}

static void inq_give_up(struct rviommu_inq *in, const char *why)
{
	dev_err(in->q.bus->dev, "%s: %s, %s any more\n", in->ops->name, why, in->ops->over);
	WRITE_ONCE(in->running, false);
	/* What was to come will not. */
	inq_tell_gap(in, 0);
	if (!rviommu_queue_disable(&in->q))
		inq_clear_interrupt(in);
}

static void inq_bad_index(struct rviommu_inq *in)
{
	atomic64_inc(&in->bad_index);
	inq_give_up(in, "its tail is outside the queue");
}

/* Make room first, or the next record would overflow it again. */
static bool inq_make_room(struct rviommu_inq *in, u32 csr)
{
	if (inq_read(in))
		return true;
	inq_bad_index(in);
	return false;
}

static bool inq_go_on(struct rviommu_inq *in, u32 csr)
{
	if (!rviommu_queue_write_csr(&in->q, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
				     (csr & INQ_ERRORS)))
		return true;
	inq_give_up(in, "it does not recover from an error");
	return false;
}

/* Who was refused for want of memory asks again, and finds room. */
static bool inq_tell_denied(struct rviommu_inq *in, u32 csr)
{
	if (csr & RVIOMMU_QCSR_MF && in->ops->denied)
		in->ops->denied(in);
	return true;
}

typedef bool (*inq_recovery_step)(struct rviommu_inq *in, u32 csr);

static const inq_recovery_step inq_recovery[] = {
	inq_make_room, inq_tell_gap, inq_go_on, inq_tell_denied, NULL
};

static bool inq_do_nothing(struct rviommu_inq *in, u32 csr)
{
	return true;
}

/* What comes behind the loss is read before it. */
static bool inq_go_on_to_gap(struct rviommu_inq *in, u32 csr)
{
	return inq_go_on(in, csr) && inq_make_room(in, csr) && inq_tell_gap(in, csr);
}

/* What a mutation run does in the place of a step */
static const struct {
	enum rviommu_mutation what;
	inq_recovery_step step;
	inq_recovery_step instead;
} inq_wrong[] = {
	{ RVIOMMU_MUTATE_PRI_ROOM, inq_make_room, inq_do_nothing },
	{ RVIOMMU_MUTATE_PRI_GAP, inq_tell_gap, inq_do_nothing },
	{ RVIOMMU_MUTATE_PRI_GAP_EARLY, inq_make_room, inq_tell_gap },
	{ RVIOMMU_MUTATE_PRI_GAP_EARLY, inq_tell_gap, inq_make_room },
	{ RVIOMMU_MUTATE_PRI_GAP_LATE, inq_tell_gap, inq_do_nothing },
	{ RVIOMMU_MUTATE_PRI_GAP_LATE, inq_go_on, inq_go_on_to_gap },
	{ RVIOMMU_MUTATE_PRI_GO_ON, inq_go_on, inq_do_nothing },
	{ RVIOMMU_MUTATE_PRI_DENIED, inq_tell_denied, inq_do_nothing },
};

/* Records were lost. False: it was given up. */
static bool inq_recover(struct rviommu_inq *in, u32 csr)
{
	const inq_recovery_step *step;

	if (csr & RVIOMMU_QCSR_OF)
		atomic64_inc(&in->overflows);
	if (csr & RVIOMMU_QCSR_MF)
		atomic64_inc(&in->memfaults);
	dev_err_ratelimited(in->q.bus->dev, "%s: %s, %s were lost\n", in->ops->name,
			    csr & RVIOMMU_QCSR_MF ? "memory fault" : "overflow", in->ops->lost);
	for (step = inq_recovery; *step; step++)
		if (!rviommu_step(in->mutate, inq_wrong, *step)(in, csr))
			return false;
	return true;
}

static void inq_service(struct rviommu_inq *in)
{
	struct rviommu_queue *q = &in->q;
	u32 csr;

	lockdep_assert_held(&in->lock);
	if (!in->running) {
		/*
		 * A queue that was given up and does not switch off may raise its
		 * interrupt again as soon as it is cleared, for ever. Left pending,
		 * a message is not sent again; a wire has to be cleared.
		 */
		if (!q->on || q->bus->wired)
			inq_clear_interrupt(in);
		return;
	}
	csr = q->bus->ops->read32(q->bus, q->reg_csr);
	if (rviommu_queue_gone(csr)) {
		dev_err(q->bus->dev, "%s: registers read all ones, the device is gone\n",
			in->ops->name);
		WRITE_ONCE(q->on, false);
		WRITE_ONCE(in->running, false);
		inq_tell_gap(in, 0);
		return;
	}
	if (csr & INQ_ERRORS && !inq_recover(in, csr))
		return;
	/* Before the tail is read: a record after that raises a new interrupt. */
	inq_clear_interrupt(in);
	if (!inq_read(in))
		inq_bad_index(in);
}

/**
 * rviommu_inq_service() - what is in a queue is acted on
 * @in: the queue
 *
 * On return all records that were in it when it was called have been seen by its
 * rviommu_inq_ops.record. Follows spec "Guidelines for handling interrupts from IOMMU"; clears
 * its bit of ipsr. A queue that cannot be trusted is switched off, with one message; DMA stays
 * translated and blocked as before.
 *
 * Context: may sleep; the interrupt thread, suspend, whoever flushes. Bounded: at most one ring
 * of records, two after an error.
 */
void rviommu_inq_service(struct rviommu_inq *in)
{
	if (!in->q.base)
		return;
	mutex_lock(&in->lock);
	inq_service(in);
	mutex_unlock(&in->lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inq_service);

/**
 * rviommu_inq_init() - allocate a queue
 * @in: filled in here
 * @ops: what it is about; constant
 * @bus: register access
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 * @pas_lg2: memory must lie below this physical address
 * @nid: NUMA node
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_inq_init(struct rviommu_inq *in, const struct rviommu_inq_ops *ops,
		     struct rviommu_bus *bus, u8 entries_lg2, u8 pas_lg2, int nid)
{
	memset(in, 0, sizeof(*in));
	in->ops = ops;
	mutex_init(&in->lock);
	lockdep_set_class_and_name(&in->lock, ops->key, ops->name);
	return rviommu_queue_init(&in->q, bus, ops->name, ops->reg_base, ops->reg_csr,
				  ops->record_lg2, entries_lg2, pas_lg2, nid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inq_init);

/**
 * rviommu_inq_destroy() - give the memory of a queue back
 * @in: initialised or zeroed; nobody uses it any more
 *
 * Context: may sleep.
 */
void rviommu_inq_destroy(struct rviommu_inq *in)
{
	rviommu_queue_destroy(&in->q);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inq_destroy);

/**
 * rviommu_inq_enable() - switch a queue on, empty
 * @in: initialised or zeroed
 *
 * Context: may sleep.
 * Return: see rviommu_queue_enable().
 */
int rviommu_inq_enable(struct rviommu_inq *in)
{
	int ret;

	if (!in->q.base)
		return 0;
	mutex_lock(&in->lock);
	/* Of what came before a suspend the rest will not come. */
	if (in->ops->gap)
		in->ops->gap(in);
	in->head = 0;
	/* Left pending by whatever was before, it would keep new ones away. */
	inq_clear_interrupt(in);
	ret = rviommu_queue_enable(&in->q, RVIOMMU_QCSR_IE);
	WRITE_ONCE(in->running, !ret);
	mutex_unlock(&in->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inq_enable);

/**
 * rviommu_inq_disable() - switch a queue off
 * @in: initialised or zeroed
 *
 * Context: may sleep.
 * Return: see rviommu_queue_disable().
 */
int rviommu_inq_disable(struct rviommu_inq *in)
{
	int ret;

	if (!in->q.base)
		return 0;
	mutex_lock(&in->lock);
	WRITE_ONCE(in->running, false);
	ret = rviommu_queue_disable(&in->q);
	mutex_unlock(&in->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_inq_disable);
