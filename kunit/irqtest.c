// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts of a PCI function that a suite has asked for, and counts. */
#include <kunit/test.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/sched.h>

#include "irqtest.h"

/**
 * rviommu_irqtest_count() - an interrupt handler that counts
 * @irq: the interrupt
 * @count: the counter, an atomic_t
 *
 * Return: IRQ_HANDLED.
 */
irqreturn_t rviommu_irqtest_count(int irq, void *count)
{
	atomic_inc(count);
	return IRQ_HANDLED;
}

/**
 * rviommu_irqtest_alloc() - ask for the interrupts of a function
 * @test: which ends if the function does not get them
 * @t: filled in; has none
 * @pdev: the function
 * @nr: how many
 * @kind: PCI_IRQ_MSI or PCI_IRQ_MSIX
 */
void rviommu_irqtest_alloc(struct kunit *test, struct rviommu_irqtest *t, struct pci_dev *pdev,
			   unsigned int nr, unsigned int kind)
{
	unsigned int v;

	t->pdev = pdev;
	KUNIT_ASSERT_EQ(test, pci_alloc_irq_vectors(pdev, nr, nr, kind), nr);
	for (v = 0; v < nr; v++) {
		atomic_set(&t->count[v], 0);
		KUNIT_ASSERT_EQ(test, request_irq(pci_irq_vector(pdev, v), rviommu_irqtest_count,
						  0, "rviommu_kunit", &t->count[v]), 0);
		t->nr++;
	}
}

/**
 * rviommu_irqtest_free() - give them back
 * @t: those; or none
 */
void rviommu_irqtest_free(struct rviommu_irqtest *t)
{
	unsigned int v;

	for (v = 0; v < t->nr; v++)
		free_irq(pci_irq_vector(t->pdev, v), &t->count[v]);
	if (t->nr)
		pci_free_irq_vectors(t->pdev);
	t->nr = 0;
}

/**
 * rviommu_irqtest_expect() - that many have come; they come from where the message is sent, soon
 * @test: which expects it
 * @t: of a function
 * @vector: of which vector
 * @count: that many, and no more
 */
void rviommu_irqtest_expect(struct kunit *test, struct rviommu_irqtest *t, unsigned int vector,
			    int count)
{
	unsigned long end = jiffies + 30 * HZ;

	while (atomic_read(&t->count[vector]) < count && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&t->count[vector]), count, "%s, vector %u",
			    pci_name(t->pdev), vector);
}
