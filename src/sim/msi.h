/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts of PCI functions: MSI, and what the host bridge makes of any messages. */
#ifndef RVIOMMU_SIM_MSI_H
#define RVIOMMU_SIM_MSI_H

#include <linux/irq_work.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct fwnode_handle;
struct irq_domain;
struct sim_engine;

/* Vectors of one function; a power of two, and at most 32 */
#define SIM_MSI_VECTORS	8

/* Bytes of the capability: 64-bit address, a mask for each vector */
#define SIM_MSI_SIZE	24

/**
 * struct sim_msi_domain - where the messages of a bridge's functions become interrupts
 * @domain: parent of the core's domain for each function
 * @fwnode: its name
 */
struct sim_msi_domain {
	struct irq_domain *domain;
	struct fwnode_handle *fwnode;
};

/**
 * struct sim_msi - the interrupts of one function
 * @engine: who writes a message that goes to memory, and says whether the function may write
 * @bridge: where its messages go
 * @id: routing ID of the function
 * @lock: the one of configuration space
 * @cap: the capability in there
 * @unused: it is as if they were not enabled: the function has others, and these are
 * @work: sends messages
 *
 * Whoever raises a vector, or unmasks one, may hold any lock, that of the interrupt itself
 * among them. So messages are sent from @work, of which irq_work_sync() waits for the end.
 */
struct sim_msi {
	struct sim_engine *engine;
	const struct sim_msi_domain *bridge;
	u16 id;
	raw_spinlock_t *lock; /* see above */
	u8 *cap;
	bool unused;
	struct irq_work work;
};

int sim_msi_domain_add(struct sim_msi_domain *msis, unsigned int id);
void sim_msi_domain_del(struct sim_msi_domain *msis);
void sim_msi_write(struct sim_msi *msi, u64 address, u32 data);

void sim_msi_layout(u8 *value, u8 *writable);
void sim_msi_init(struct sim_msi *msi);
void sim_msi_apply(struct sim_msi *msi);
void sim_msi_raise(struct sim_msi *msi, unsigned int vector);

#endif /* RVIOMMU_SIM_MSI_H */
