// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of a PCI function as software sees it: registers in a vendor-specific
 * capability of configuration space, and rings of commands in memory. What the bits mean is
 * in <linux/rviommu_sim.h>, what moves the bytes in engine.c.
 */
#include <linux/bitfield.h>
#include <linux/errno.h>
#include <linux/pci_regs.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "config_space.h"
#include "engine.h"
#include "msi.h"
#include "msix.h"
#include "registers.h"
#include "sim.h"

static_assert(sizeof(struct rviommu_sim_descriptor) == 64);

/* What software says of a command, and what the function does */
#define SIM_COMMAND_SIZE	offsetof(struct rviommu_sim_descriptor, status)
#define SIM_RESULT_SIZE		(sizeof(struct rviommu_sim_descriptor) - SIM_COMMAND_SIZE)
#define SIM_REG_RESULT		(RVIOMMU_SIM_REG_COMMAND + SIM_COMMAND_SIZE)

#define SIM_RING_SIZE		(RVIOMMU_SIM_REG_RING(1) - RVIOMMU_SIM_REG_RING(0))

#define SIM_COMMAND_BITS	(RVIOMMU_SIM_COMMAND_CODE | RVIOMMU_SIM_COMMAND_PASID |		\
				 RVIOMMU_SIM_COMMAND_PRIV | RVIOMMU_SIM_COMMAND_EXEC |		\
				 RVIOMMU_SIM_COMMAND_INTERRUPT | RVIOMMU_SIM_COMMAND_VECTOR)

/* ----- Carrying a command out ----- */

/* What the engine calls a command; NOP and STOP_PASID move nothing */
static const enum rviommu_sim_op sim_ops[RVIOMMU_SIM_CMD_NR] = {
	[RVIOMMU_SIM_CMD_COPY] = RVIOMMU_SIM_COPY,
	[RVIOMMU_SIM_CMD_FILL] = RVIOMMU_SIM_FILL,
	[RVIOMMU_SIM_CMD_VERIFY] = RVIOMMU_SIM_VERIFY,
	[RVIOMMU_SIM_CMD_FETCH_ADD] = RVIOMMU_SIM_FETCH_ADD,
	[RVIOMMU_SIM_CMD_TRANSLATE] = RVIOMMU_SIM_TRANSLATE,
};

static u32 sim_status(int error)
{
	switch (error) {
	case 0:
		return RVIOMMU_SIM_STATUS_OK;
	case -EFAULT:
		return RVIOMMU_SIM_STATUS_FAULT;
	case -EILSEQ:
		return RVIOMMU_SIM_STATUS_MISMATCH;
	case -EINVAL:
		return RVIOMMU_SIM_STATUS_INVALID;
	case -EPERM:
		return RVIOMMU_SIM_STATUS_NOT_ENABLED;
	case -ECANCELED:
		return RVIOMMU_SIM_STATUS_STOPPED;
	case -ETIMEDOUT:
		return RVIOMMU_SIM_STATUS_NO_RESPONSE;
	case -ENOMEM:
		return RVIOMMU_SIM_STATUS_NO_MEMORY;
	}
	/* -EIO: reset, -ENODEV */
	return RVIOMMU_SIM_STATUS_ABORTED;
}

static int sim_parse(const struct rviommu_sim_descriptor *d, struct rviommu_sim_dma *dma)
{
	const u32 command = le32_to_cpu(d->command);
	const u32 code = FIELD_GET(RVIOMMU_SIM_COMMAND_CODE, command);
	const u64 length = le64_to_cpu(d->length);

	if (command & ~SIM_COMMAND_BITS || code >= RVIOMMU_SIM_CMD_NR ||
	    length > RVIOMMU_SIM_MAX_LENGTH)
		return -EINVAL;
	*dma = (struct rviommu_sim_dma) {
		.op = sim_ops[code],
		.pv = command & RVIOMMU_SIM_COMMAND_PASID,
		.priv = command & RVIOMMU_SIM_COMMAND_PRIV,
		.exec = command & RVIOMMU_SIM_COMMAND_EXEC,
		.pasid = le32_to_cpu(d->pasid),
		.iova = le64_to_cpu(d->iova),
		.src_iova = le64_to_cpu(d->source),
		.length = length,
		.operand = le64_to_cpu(d->operand),
	};
	if ((dma->priv || dma->exec || code == RVIOMMU_SIM_CMD_STOP_PASID) && !dma->pv)
		return -EINVAL;
	if (code == RVIOMMU_SIM_CMD_TRANSLATE) {
		if (dma->operand & ~(u64)RVIOMMU_SIM_TRANSLATE_WRITE)
			return -EINVAL;
		dma->length = 1;
	}
	return 0;
}

/* A function that is gone has no engine, though somebody may still look at its registers. */
static int sim_move(struct sim_registers *regs, struct rviommu_sim_dma *dma)
{
	int ret;

	if (!sim_engine_hold(regs->engine))
		return -ENODEV;
	ret = sim_engine_run(regs->engine, dma);
	sim_engine_put(regs->engine);
	return ret;
}

static int sim_stop_pasid(struct sim_registers *regs, u32 pasid)
{
	struct sim_engine *engine = regs->engine;
	int ret;

	if (!sim_engine_hold(engine))
		return -ENODEV;
	ret = pasid >> engine->sim->config.pasid_bits ? -EINVAL : sim_pri_stop(&engine->pri, pasid);
	sim_engine_put(engine);
	return ret;
}

static int sim_carry_out(struct sim_registers *regs, u32 code, struct rviommu_sim_dma *dma)
{
	switch (code) {
	case RVIOMMU_SIM_CMD_NOP:
		return 0;
	case RVIOMMU_SIM_CMD_STOP_PASID:
		return sim_stop_pasid(regs, dma->pasid);
	}
	return sim_move(regs, dma);
}

/* Returns the status that it wrote into the descriptor. */
static u32 sim_execute(struct sim_registers *regs, struct rviommu_sim_descriptor *d)
{
	struct rviommu_sim_dma dma = {};
	int ret = sim_parse(d, &dma);
	u64 result = 0;
	u32 code;

	code = FIELD_GET(RVIOMMU_SIM_COMMAND_CODE, le32_to_cpu(d->command));
	if (!ret)
		ret = sim_carry_out(regs, code, &dma);
	if (!ret && (code == RVIOMMU_SIM_CMD_FETCH_ADD || code == RVIOMMU_SIM_CMD_TRANSLATE))
		result = dma.operand;
	d->status = cpu_to_le32(sim_status(ret));
	d->info = cpu_to_le32(FIELD_PREP(RVIOMMU_SIM_INFO_CAUSE, dma.cause) |
			      FIELD_PREP(RVIOMMU_SIM_INFO_RESPONSE, dma.response) |
			      FIELD_PREP(RVIOMMU_SIM_INFO_REQUESTS,
					 min(dma.page_requests, 0xfffU)));
	d->done = cpu_to_le64(code == RVIOMMU_SIM_CMD_TRANSLATE ? 0 : dma.done);
	d->result = cpu_to_le64(result);
	return sim_status(ret);
}

/* ----- Registers; the lock is held ----- */

static u32 sim_get(const struct sim_registers *regs, unsigned int reg)
{
	return rviommu_cfg_get(regs->cap, reg, 4);
}

static void sim_set(struct sim_registers *regs, unsigned int reg, u32 value)
{
	rviommu_cfg_put(regs->cap, reg, 4, value);
}

/* What a command asked for when it is over */
static void sim_interrupt(struct sim_registers *regs, const struct rviommu_sim_descriptor *d)
{
	u32 command = le32_to_cpu(d->command);

	if (command & RVIOMMU_SIM_COMMAND_INTERRUPT)
		sim_msix_raise(regs->msix, FIELD_GET(RVIOMMU_SIM_COMMAND_VECTOR, command));
}

/* What software can write of a register of a ring, as it is now */
static u32 sim_ring_mask(const struct sim_registers *regs, unsigned int ring, unsigned int reg)
{
	u32 control = sim_get(regs, ring + RVIOMMU_SIM_RING_CONTROL);
	bool on = control & RVIOMMU_SIM_RING_ENABLE;
	bool fixed = on || sim_get(regs, ring + RVIOMMU_SIM_RING_STATUS) & RVIOMMU_SIM_RING_BUSY;

	switch (reg) {
	case RVIOMMU_SIM_RING_CONTROL:
		if (on)
			return RVIOMMU_SIM_RING_ENABLE;
		return fixed ? 0 : RVIOMMU_SIM_RING_ENABLE | RVIOMMU_SIM_RING_INTERRUPT |
				   RVIOMMU_SIM_RING_LG2 | RVIOMMU_SIM_RING_VECTOR;
	case RVIOMMU_SIM_RING_PASID:
		return fixed ? 0 : RVIOMMU_SIM_PASID_VALID | RVIOMMU_SIM_PASID_VALUE;
	case RVIOMMU_SIM_RING_BASE_LO:
		return fixed ? 0 : ~(u32)(sizeof(struct rviommu_sim_descriptor) - 1);
	case RVIOMMU_SIM_RING_BASE_HI:
		return fixed ? 0 : ~0U;
	case RVIOMMU_SIM_RING_TAIL:
		return on ? BIT(FIELD_GET(RVIOMMU_SIM_RING_LG2, control)) - 1 : 0;
	}
	return 0;
}

static u32 sim_mask(const struct sim_registers *regs, unsigned int reg)
{
	const unsigned int first = RVIOMMU_SIM_REG_RING(0);
	unsigned int in_ring;

	if (reg >= first) {
		in_ring = (reg - first) % SIM_RING_SIZE;
		return sim_ring_mask(regs, reg - in_ring, in_ring);
	}
	if (reg < RVIOMMU_SIM_REG_COMMAND || reg >= SIM_REG_RESULT)
		return 0;
	return sim_get(regs, RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY ? 0 : ~0U;
}

/* While it is busy, nobody hears. */
static void sim_doorbell(struct sim_registers *regs)
{
	if (sim_get(regs, RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY)
		return;
	memset(regs->cap + SIM_REG_RESULT, 0, SIM_RESULT_SIZE);
	sim_set(regs, RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_BUSY);
	queue_work(regs->wq, &regs->worker[0].work);
}

/* A ring that is switched on is empty. */
static void sim_ring_begin(struct sim_registers *regs, unsigned int ring)
{
	u32 control = sim_get(regs, ring + RVIOMMU_SIM_RING_CONTROL);
	unsigned int lg2 = FIELD_GET(RVIOMMU_SIM_RING_LG2, control);

	sim_set(regs, ring + RVIOMMU_SIM_RING_HEAD, 0);
	sim_set(regs, ring + RVIOMMU_SIM_RING_TAIL, 0);
	sim_set(regs, ring + RVIOMMU_SIM_RING_STATUS, 0);
	if (lg2 && lg2 <= RVIOMMU_SIM_RING_MAX_LG2)
		return;
	sim_set(regs, ring + RVIOMMU_SIM_RING_CONTROL, control & ~RVIOMMU_SIM_RING_ENABLE);
	sim_set(regs, ring + RVIOMMU_SIM_RING_STATUS, RVIOMMU_SIM_RING_ERROR |
		FIELD_PREP(RVIOMMU_SIM_RING_ERROR_STATUS, RVIOMMU_SIM_STATUS_INVALID));
}

static void sim_ring_doorbell(struct sim_registers *regs, unsigned int ring)
{
	u32 status = sim_get(regs, ring + RVIOMMU_SIM_RING_STATUS);

	if (!(sim_get(regs, ring + RVIOMMU_SIM_RING_CONTROL) & RVIOMMU_SIM_RING_ENABLE) ||
	    status & RVIOMMU_SIM_RING_ERROR)
		return;
	sim_set(regs, ring + RVIOMMU_SIM_RING_STATUS, status | RVIOMMU_SIM_RING_BUSY);
	queue_work(regs->wq, &regs->worker[1 + (ring - RVIOMMU_SIM_REG_RING(0)) /
					   SIM_RING_SIZE].work);
}

/**
 * sim_registers_write() - software writes into the capability
 * @regs: the registers, whose lock is held
 * @where: offset; naturally aligned
 * @size: bytes, at most 4
 * @value: what it writes
 *
 * Atomic context.
 */
void sim_registers_write(struct sim_registers *regs, unsigned int where, unsigned int size,
			 u32 value)
{
	const unsigned int reg = where & ~3U, shift = where % 4 * BITS_PER_BYTE;
	const u32 bytes = GENMASK(size * BITS_PER_BYTE - 1, 0) << shift;
	const u32 written = value << shift & bytes, old = sim_get(regs, reg);
	const u32 mask = sim_mask(regs, reg) & bytes;
	const unsigned int first = RVIOMMU_SIM_REG_RING(0);

	sim_set(regs, reg, (old & ~mask) | (written & mask));
	if (reg == RVIOMMU_SIM_REG_DOORBELL && written & RVIOMMU_SIM_DOORBELL_GO)
		sim_doorbell(regs);
	if (reg < first)
		return;
	if ((reg - first) % SIM_RING_SIZE == RVIOMMU_SIM_RING_CONTROL &&
	    ~old & sim_get(regs, reg) & RVIOMMU_SIM_RING_ENABLE)
		sim_ring_begin(regs, reg - RVIOMMU_SIM_RING_CONTROL);
	if ((reg - first) % SIM_RING_SIZE == RVIOMMU_SIM_RING_TAIL)
		sim_ring_doorbell(regs, reg - RVIOMMU_SIM_RING_TAIL);
}

/* ----- Workers ----- */

static void sim_command_work(struct work_struct *work)
{
	struct sim_worker *worker = container_of(work, struct sim_worker, work);
	struct sim_registers *regs = worker->regs;
	struct rviommu_sim_descriptor d = {};
	unsigned int resets;
	unsigned long flags;
	bool busy;

	raw_spin_lock_irqsave(regs->lock, flags);
	busy = sim_get(regs, RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY;
	resets = READ_ONCE(regs->engine->resets);
	memcpy(&d, regs->cap + RVIOMMU_SIM_REG_COMMAND, SIM_COMMAND_SIZE);
	raw_spin_unlock_irqrestore(regs->lock, flags);
	if (!busy)
		return;
	sim_execute(regs, &d);
	raw_spin_lock_irqsave(regs->lock, flags);
	if (READ_ONCE(regs->engine->resets) == resets) {
		memcpy(regs->cap + SIM_REG_RESULT, (u8 *)&d + SIM_COMMAND_SIZE,
		       SIM_RESULT_SIZE);
		sim_set(regs, RVIOMMU_SIM_REG_DOORBELL, 0);
		sim_interrupt(regs, &d);
	}
	raw_spin_unlock_irqrestore(regs->lock, flags);
}

/**
 * struct sim_ring_step - one descriptor of a ring
 * @d: its copy
 * @iova: where it is
 * @pasid: RVIOMMU_SIM_PASID_* that it is there with
 * @resets: of the function, before
 * @status: of moving it, RVIOMMU_SIM_STATUS_*
 * @cause: of a fault in that
 */
struct sim_ring_step {
	struct rviommu_sim_descriptor d;
	u64 iova;
	u32 pasid;
	unsigned int resets;
	u32 status;
	u16 cause;
};

/* Which is next? If there is none, the ring is not busy any more. */
static bool sim_ring_next(struct sim_registers *regs, unsigned int ring,
			  struct sim_ring_step *step)
{
	unsigned long flags;
	u32 head, status;
	bool more;

	raw_spin_lock_irqsave(regs->lock, flags);
	head = sim_get(regs, ring + RVIOMMU_SIM_RING_HEAD);
	status = sim_get(regs, ring + RVIOMMU_SIM_RING_STATUS);
	more = sim_get(regs, ring + RVIOMMU_SIM_RING_CONTROL) & RVIOMMU_SIM_RING_ENABLE &&
	       head != sim_get(regs, ring + RVIOMMU_SIM_RING_TAIL) &&
	       !(status & RVIOMMU_SIM_RING_ERROR);
	step->iova = sim_get(regs, ring + RVIOMMU_SIM_RING_BASE_LO) |
		     (u64)sim_get(regs, ring + RVIOMMU_SIM_RING_BASE_HI) << 32;
	step->iova += head * sizeof(step->d);
	step->pasid = sim_get(regs, ring + RVIOMMU_SIM_RING_PASID);
	step->resets = READ_ONCE(regs->engine->resets);
	if (!more)
		sim_set(regs, ring + RVIOMMU_SIM_RING_STATUS, status & ~RVIOMMU_SIM_RING_BUSY);
	raw_spin_unlock_irqrestore(regs->lock, flags);
	return more;
}

/* Move @size bytes at @offset of the descriptor, unless something went wrong before. */
static void sim_ring_move(struct sim_registers *regs, struct sim_ring_step *step,
			  enum rviommu_sim_op op, size_t offset, size_t size)
{
	struct rviommu_sim_dma dma = {
		.op = op,
		.pv = step->pasid & RVIOMMU_SIM_PASID_VALID,
		.pasid = FIELD_GET(RVIOMMU_SIM_PASID_VALUE, step->pasid),
		.iova = step->iova + offset,
		.length = size,
		.buf = (u8 *)&step->d + offset,
	};

	if (step->status != RVIOMMU_SIM_STATUS_OK)
		return;
	step->status = sim_status(sim_move(regs, &dma));
	step->cause = dma.cause;
}

/* The status comes after the rest: who sees it may use that. */
static void sim_ring_execute(struct sim_registers *regs, struct sim_ring_step *step)
{
	step->status = RVIOMMU_SIM_STATUS_OK;
	sim_ring_move(regs, step, RVIOMMU_SIM_READ, 0, sizeof(step->d));
	if (step->status != RVIOMMU_SIM_STATUS_OK)
		return;
	if (sim_execute(regs, &step->d) == RVIOMMU_SIM_STATUS_ABORTED)
		step->status = RVIOMMU_SIM_STATUS_ABORTED;
	sim_ring_move(regs, step, RVIOMMU_SIM_WRITE, SIM_COMMAND_SIZE + sizeof(step->d.status),
		      SIM_RESULT_SIZE - sizeof(step->d.status));
	sim_ring_move(regs, step, RVIOMMU_SIM_WRITE, SIM_COMMAND_SIZE, sizeof(step->d.status));
}

static void sim_ring_done(struct sim_registers *regs, unsigned int ring,
			  const struct sim_ring_step *step)
{
	u32 control = sim_get(regs, ring + RVIOMMU_SIM_RING_CONTROL), head;

	if (step->status == RVIOMMU_SIM_STATUS_OK) {
		head = sim_get(regs, ring + RVIOMMU_SIM_RING_HEAD) + 1;
		head &= BIT(FIELD_GET(RVIOMMU_SIM_RING_LG2, control)) - 1;
		sim_set(regs, ring + RVIOMMU_SIM_RING_HEAD, head);
		sim_interrupt(regs, &step->d);
		return;
	}
	sim_set(regs, ring + RVIOMMU_SIM_RING_STATUS, RVIOMMU_SIM_RING_BUSY |
		RVIOMMU_SIM_RING_ERROR |
		FIELD_PREP(RVIOMMU_SIM_RING_ERROR_STATUS, step->status) |
		FIELD_PREP(RVIOMMU_SIM_RING_ERROR_CAUSE, step->cause));
	if (control & RVIOMMU_SIM_RING_INTERRUPT)
		sim_msix_raise(regs->msix, FIELD_GET(RVIOMMU_SIM_RING_VECTOR, control));
}

static void sim_ring_work(struct work_struct *work)
{
	struct sim_worker *worker = container_of(work, struct sim_worker, work);
	struct sim_registers *regs = worker->regs;
	struct sim_ring_step step;
	unsigned long flags;

	while (sim_ring_next(regs, worker->reg, &step)) {
		sim_ring_execute(regs, &step);
		raw_spin_lock_irqsave(regs->lock, flags);
		if (READ_ONCE(regs->engine->resets) == step.resets)
			sim_ring_done(regs, worker->reg, &step);
		raw_spin_unlock_irqrestore(regs->lock, flags);
		cond_resched();
	}
}

/* ----- From init to the end of the function ----- */

/**
 * sim_registers_layout() - the capability as it comes out of reset
 * @value: its bytes; the header that all extended capabilities have is another's
 */
void sim_registers_layout(u8 *value)
{
	rviommu_cfg_put(value, PCI_VNDR_HEADER, 4, RVIOMMU_SIM_VSEC_ID |
			RVIOMMU_SIM_VSEC_REVISION << 16 | RVIOMMU_SIM_VSEC_LENGTH << 20);
	rviommu_cfg_put(value, RVIOMMU_SIM_REG_FEATURES, 4,
			FIELD_PREP(RVIOMMU_SIM_FEATURES_RINGS, RVIOMMU_SIM_RINGS) |
			FIELD_PREP(RVIOMMU_SIM_FEATURES_VECTORS, SIM_MSI_VECTORS) |
			FIELD_PREP(RVIOMMU_SIM_FEATURES_COMMANDS, BIT(RVIOMMU_SIM_CMD_NR) - 1));
}

/**
 * sim_registers_init() - the registers of a function that is not there yet
 * @regs: the registers, all members but @worker filled in
 */
void sim_registers_init(struct sim_registers *regs)
{
	unsigned int i;

	for (i = 0; i < SIM_WORKERS; i++) {
		regs->worker[i].regs = regs;
		if (i)
			regs->worker[i].reg = RVIOMMU_SIM_REG_RING(i - 1);
		INIT_WORK(&regs->worker[i].work, i ? sim_ring_work : sim_command_work);
	}
}

/**
 * sim_registers_flush() - wait until no command is carried out
 * @regs: the registers, of a function whose jobs end: it is in a reset, or it is gone
 *
 * May sleep.
 */
void sim_registers_flush(struct sim_registers *regs)
{
	unsigned int i;

	for (i = 0; i < SIM_WORKERS; i++)
		flush_work(&regs->worker[i].work);
}
