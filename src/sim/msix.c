// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of PCI functions that have memory (PCI Local Bus Specification, "MSI-X Capability and
 * Table Structure"). Table and pending bits are in that memory, where whoever has the function
 * reads and writes them, a program that has it by VFIO included. What it writes as a message may be
 * anything: messages go where those of MSI go, by the same rules.
 *
 * A write into the table cannot be noticed. So a vector that is pending and masked is looked
 * at again and again, at first after a tick, then ever less often, but ten times a second at
 * least. It is looked at in any case when something else happens to the function.
 */
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/msi.h>
#include <linux/pci_regs.h>
#include <linux/string.h>

#include "bar.h"
#include "config_space.h"
#include "engine.h"
#include "msi.h"
#include "msix.h"

/* In the function's memory */
#define SIM_MSIX_TABLE		0
#define SIM_MSIX_PBA		(RVIOMMU_SIM_BAR_SIZE / 2)

#define SIM_MSIX_WAIT		(HZ / 10)

/**
 * struct sim_msix_entry - a vector in the table
 * @lo: PCI_MSIX_ENTRY_LOWER_ADDR
 * @hi: PCI_MSIX_ENTRY_UPPER_ADDR
 * @data: PCI_MSIX_ENTRY_DATA
 * @ctrl: PCI_MSIX_ENTRY_VECTOR_CTRL
 */
struct sim_msix_entry {
	u32 lo, hi, data, ctrl;
};

/**
 * sim_msix_layout() - a capability as it comes out of reset
 * @value: its bytes, the link to the next one aside
 * @writable: bits that software can write
 */
void sim_msix_layout(u8 *value, u8 *writable)
{
	rviommu_cfg_put(value, 0, 1, PCI_CAP_ID_MSIX);
	rviommu_cfg_put(value, PCI_MSIX_FLAGS, 2, SIM_MSI_VECTORS - 1);
	rviommu_cfg_put(writable, PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE |
			PCI_MSIX_FLAGS_MASKALL);
	rviommu_cfg_put(value, PCI_MSIX_TABLE, 4, SIM_MSIX_TABLE);
	rviommu_cfg_put(value, PCI_MSIX_PBA, 4, SIM_MSIX_PBA);
}

static u16 sim_msix_flags(const struct sim_msix *msix)
{
	return msix->cap ? rviommu_cfg_get(msix->cap, PCI_MSIX_FLAGS, 2) : 0;
}

static bool sim_msix_enabled(const struct sim_msix *msix)
{
	return sim_msix_flags(msix) & PCI_MSIX_FLAGS_ENABLE;
}

/* Could it send anything that is pending and not masked in the table? */
static bool sim_msix_can_send(const struct sim_msix *msix)
{
	const struct sim_engine *engine = msix->msi->engine;

	return sim_msix_enabled(msix) && !(sim_msix_flags(msix) & PCI_MSIX_FLAGS_MASKALL) &&
	       msix->bar->memory && !READ_ONCE(engine->gone) &&
	       READ_ONCE(engine->enabled) & SIM_ENGINE_MASTER;
}

static void sim_msix_set_pending(struct sim_msix *msix, u32 pending)
{
	if (pending == msix->pending)
		return;
	msix->pending = pending;
	if (msix->bar->memory)
		writeq(pending, msix->bar->memory + SIM_MSIX_PBA);
}

static struct sim_msix_entry sim_msix_read(const struct sim_msix *msix, unsigned int vector)
{
	void __iomem *at = msix->bar->memory + SIM_MSIX_TABLE + vector * PCI_MSIX_ENTRY_SIZE;

	return (struct sim_msix_entry) {
		.ctrl = readl(at + PCI_MSIX_ENTRY_VECTOR_CTRL),
		.lo = readl(at + PCI_MSIX_ENTRY_LOWER_ADDR),
		.hi = readl(at + PCI_MSIX_ENTRY_UPPER_ADDR),
		.data = readl(at + PCI_MSIX_ENTRY_DATA),
	};
}

/*
 * The message of a vector, unless that is masked. Who writes an entry masks it before: one that
 * does not read the same twice is masked by now.
 */
static bool sim_msix_message(const struct sim_msix *msix, unsigned int vector,
			     struct sim_msix_entry *entry)
{
	struct sim_msix_entry again;

	*entry = sim_msix_read(msix, vector);
	again = sim_msix_read(msix, vector);
	return !(entry->ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT) &&
	       !memcmp(entry, &again, sizeof(again));
}

static void sim_msix_work(struct irq_work *work)
{
	struct sim_msix *msix = container_of(work, struct sim_msix, work);
	struct sim_msix_entry entry[SIM_MSI_VECTORS];
	unsigned long due = 0, pending, flags;
	unsigned int vector;

	raw_spin_lock_irqsave(msix->msi->lock, flags);
	if (sim_msix_can_send(msix)) {
		pending = msix->pending;
		for_each_set_bit(vector, &pending, SIM_MSI_VECTORS)
			if (sim_msix_message(msix, vector, &entry[vector]))
				due |= BIT(vector);
		sim_msix_set_pending(msix, pending & ~due);
		if (msix->pending)
			schedule_delayed_work(&msix->poll, msix->wait);
	}
	raw_spin_unlock_irqrestore(msix->msi->lock, flags);
	for_each_set_bit(vector, &due, SIM_MSI_VECTORS)
		sim_msi_write(msix->msi, (entry[vector].lo & ~3U) | (u64)entry[vector].hi << 32,
			      entry[vector].data);
}

/* Let it look at the table, if that can make a difference. */
static void sim_msix_look(struct sim_msix *msix)
{
	if (msix->pending && sim_msix_can_send(msix))
		irq_work_queue(&msix->work);
}

static void sim_msix_poll(struct work_struct *work)
{
	struct sim_msix *msix = container_of(to_delayed_work(work), struct sim_msix, poll);
	unsigned long flags;

	raw_spin_lock_irqsave(msix->msi->lock, flags);
	msix->wait = min(2 * msix->wait, (unsigned long)SIM_MSIX_WAIT);
	sim_msix_look(msix);
	raw_spin_unlock_irqrestore(msix->msi->lock, flags);
}

/**
 * sim_msix_init() - the interrupts of a function that is not there yet
 * @msix: the interrupts, with @msi, @bar and @cap filled in
 */
void sim_msix_init(struct sim_msix *msix)
{
	msix->wait = 1;
	init_irq_work(&msix->work, sim_msix_work);
	INIT_DELAYED_WORK(&msix->poll, sim_msix_poll);
}

/* ----- The lock of configuration space is held ----- */

/**
 * sim_msix_clear() - the table as it comes out of reset, in memory that is all 0
 * @msix: interrupts of the function
 */
void sim_msix_clear(struct sim_msix *msix)
{
	void __iomem *at = msix->bar->memory;
	unsigned int vector;

	if (!at)
		return;
	for (vector = 0; vector < SIM_MSI_VECTORS; vector++)
		writel(PCI_MSIX_ENTRY_CTRL_MASKBIT, at + SIM_MSIX_TABLE +
		       vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL);
	writeq(msix->pending, at + SIM_MSIX_PBA);
}

/**
 * sim_msix_apply() - let what software wrote into configuration space come true
 * @msix: interrupts of the function
 *
 * While these messages are enabled there is no MSI. Software is not to enable both.
 */
void sim_msix_apply(struct sim_msix *msix)
{
	msix->msi->unused = sim_msix_enabled(msix);
	if (!msix->msi->unused)
		sim_msix_set_pending(msix, 0);
	msix->wait = 1;
	sim_msix_look(msix);
}

/**
 * sim_msix_raise() - a function has something to say, be it by MSI-X or by MSI
 * @msix: its interrupts
 * @vector: which
 *
 * Until the message is sent the vector is pending, as with MSI. One that software has not
 * set up is masked.
 */
void sim_msix_raise(struct sim_msix *msix, unsigned int vector)
{
	if (!sim_msix_enabled(msix)) {
		sim_msi_raise(msix->msi, vector);
		return;
	}
	sim_msix_set_pending(msix, msix->pending | BIT(vector % SIM_MSI_VECTORS));
	msix->wait = 1;
	sim_msix_look(msix);
}

/* ----- It is not ----- */

/**
 * sim_msix_flush() - wait until no message is on its way
 * @msix: interrupts of a function that sends no more: it is in a reset, or it is gone
 *
 * May sleep.
 */
void sim_msix_flush(struct sim_msix *msix)
{
	irq_work_sync(&msix->msi->work);
	irq_work_sync(&msix->work);
	/* Either may have begun the other before it came to that. */
	cancel_delayed_work_sync(&msix->poll);
	irq_work_sync(&msix->work);
}
