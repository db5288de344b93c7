/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts of a PCI function that a suite has asked for, and counts. */
#ifndef RVIOMMU_KUNIT_IRQTEST_H
#define RVIOMMU_KUNIT_IRQTEST_H

#include <linux/atomic.h>
#include <linux/interrupt.h>

struct kunit;
struct pci_dev;

#define RVIOMMU_IRQTEST_VECTORS		8

/**
 * struct rviommu_irqtest - the interrupts of one function
 * @pdev: the function
 * @nr: vectors that it has now; 0: none
 * @count: interrupts that arrived, by vector, since it has them
 *
 * Zeroed by whoever owns it; it does not go before rviommu_irqtest_free().
 */
struct rviommu_irqtest {
	struct pci_dev *pdev;
	unsigned int nr;
	atomic_t count[RVIOMMU_IRQTEST_VECTORS];
};

irqreturn_t rviommu_irqtest_count(int irq, void *count);
void rviommu_irqtest_alloc(struct kunit *test, struct rviommu_irqtest *t, struct pci_dev *pdev,
			   unsigned int nr, unsigned int kind);
void rviommu_irqtest_free(struct rviommu_irqtest *t);
void rviommu_irqtest_expect(struct kunit *test, struct rviommu_irqtest *t, unsigned int vector,
			    int count);

#endif /* RVIOMMU_KUNIT_IRQTEST_H */
