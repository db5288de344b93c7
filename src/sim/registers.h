/* SPDX-License-Identifier: GPL-2.0-only */
/* The DMA engine of a PCI function as software sees it: registers, and commands in memory. */
#ifndef RVIOMMU_SIM_REGISTERS_H
#define RVIOMMU_SIM_REGISTERS_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <uapi/linux/rviommu_sim.h>

struct sim_engine;
struct sim_msix;
struct sim_registers;

/* Who carries commands out: one for the register, one for each ring */
#define SIM_WORKERS	(1 + RVIOMMU_SIM_RINGS)

/**
 * struct sim_worker - carries out commands, one after the other
 * @work: runs while there are any
 * @regs: whose
 * @reg: offset of its registers
 */
struct sim_worker {
	struct work_struct work;
	struct sim_registers *regs;
	unsigned int reg;
};

/**
 * struct sim_registers - the registers of one function
 * @engine: moves the bytes
 * @msix: its interrupts
 * @wq: where workers run
 * @lock: the one of configuration space. Raw, taken in atomic context: a doorbell only
 *        queues a worker.
 * @cap: the capability in there. It is all the state that there is: BUSY of the register and
 *       of each ring is set with a doorbell, and cleared by the worker.
 * @worker: those of the register and of the rings
 *
 * A worker races software, other workers, resets and the end of the function. It takes the
 * lock for each look at the registers. Between two of them a reset may have cleared
 * everything: then sim_engine.resets has changed, and the worker leaves the registers alone. No
 * reset ends before the workers have, so none sees what software does after it.
 */
struct sim_registers {
	struct sim_engine *engine;
	struct sim_msix *msix;
	struct workqueue_struct *wq;
	raw_spinlock_t *lock; /* see above */
	u8 *cap;
	struct sim_worker worker[SIM_WORKERS];
};

void sim_registers_layout(u8 *value);
void sim_registers_init(struct sim_registers *regs);
void sim_registers_write(struct sim_registers *regs, unsigned int where, unsigned int size,
			 u32 value);
void sim_registers_flush(struct sim_registers *regs);

#endif /* RVIOMMU_SIM_REGISTERS_H */
