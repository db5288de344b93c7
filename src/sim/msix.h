/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts of PCI functions that have memory: MSI-X. */
#ifndef RVIOMMU_SIM_MSIX_H
#define RVIOMMU_SIM_MSIX_H

#include <linux/irq_work.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct sim_bar;
struct sim_msi;

/* Bytes of the capability */
#define SIM_MSIX_SIZE	12

/**
 * struct sim_msix - the interrupts of one function, of either kind
 * @msi: those that need no memory; says where messages go, and whose lock this is under
 * @bar: the function's memory, where table and pending bits are
 * @cap: the capability; NULL: the function has none, only @msi
 * @pending: what is in the pending bits, which are for software to look at
 * @wait: ticks until it is looked at the table again
 * @work: sends messages, as that of @msi does
 * @poll: looks at the table: who unmasks a vector there does not ring
 */
struct sim_msix {
	struct sim_msi *msi;
	struct sim_bar *bar;
	u8 *cap;
	u32 pending;
	unsigned long wait;
	struct irq_work work;
	struct delayed_work poll;
};

void sim_msix_layout(u8 *value, u8 *writable);
void sim_msix_init(struct sim_msix *msix);
void sim_msix_clear(struct sim_msix *msix);
void sim_msix_apply(struct sim_msix *msix);
void sim_msix_raise(struct sim_msix *msix, unsigned int vector);
void sim_msix_flush(struct sim_msix *msix);

#endif /* RVIOMMU_SIM_MSIX_H */
