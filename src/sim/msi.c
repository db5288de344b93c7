// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of PCI functions (PCI Local Bus Specification, "MSI Capability Structure").
 *
 * A message is a write. Where it goes to is what software put into the capability. The
 * host bridge claims one address, its doorbell, before the IOMMU sees the write; all else goes
 * through the IOMMU to memory, like every other write of the function. The doorbell
 * is outside of what any IOMMU of the architecture translates, so no page can be mapped
 * there, and none has to be left free. The bridge looks at who writes: a function
 * reaches its own interrupts and no others.
 */
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/log2.h>
#include <linux/msi.h>
#include <linux/pci.h>

#include "config_space.h"
#include "engine.h"
#include "msi.h"
#include "sriov.h"

/* Not canonical in any mode, and wider than a physical address */
#define SIM_MSI_DOORBELL	(BIT_ULL(63) | 0x51300000)

/*
 * A message's data, 16 bits: the function and its vector. A bridge has so few buses that the low
 * bits of a routing ID say which function it is.
 */
#define SIM_MSI_ID_SHIFT	5
#define SIM_MSI_ID_MASK		(SIM_SRIOV_IDS - 1)
#define SIM_MSI_HWIRQS		(SIM_SRIOV_IDS << SIM_MSI_ID_SHIFT)
static_assert(SIM_MSI_HWIRQS <= 1 << 16);

/* ----- The host bridge: messages become interrupts ----- */

static void sim_msi_ack(struct irq_data *data)
{
}

/* They arrive where the work runs that sends them; any CPU will do. */
static int sim_msi_set_affinity(struct irq_data *data, const struct cpumask *mask, bool force)
{
	irq_data_update_effective_affinity(data, mask);
	return IRQ_SET_MASK_OK_DONE;
}

static void sim_msi_compose(struct irq_data *data, struct msi_msg *msg)
{
	msg->address_hi = upper_32_bits(SIM_MSI_DOORBELL);
	msg->address_lo = lower_32_bits(SIM_MSI_DOORBELL);
	msg->data = irqd_to_hwirq(data);
}

static struct irq_chip sim_msi_chip = {
	.name = "rviommu-sim-msi",
	.irq_ack = sim_msi_ack,
	.irq_set_affinity = sim_msi_set_affinity,
	.irq_compose_msi_msg = sim_msi_compose,
};

/*
 * MSI: all vectors of a function at once, the first of which is the one in its capability. MSI-X:
 * one after the other. The core asks for no more than the function has.
 */
static int sim_msi_alloc(struct irq_domain *domain, unsigned int irq, unsigned int nr, void *arg)
{
	msi_alloc_info_t *info = arg;
	struct pci_dev *pdev = to_pci_dev(info->desc->dev);
	irq_hw_number_t hwirq = (pci_dev_id(pdev) & SIM_MSI_ID_MASK) << SIM_MSI_ID_SHIFT;
	unsigned int i;

	hwirq += info->desc->msi_index;
	for (i = 0; i < nr; i++)
		irq_domain_set_info(domain, irq + i, hwirq + i, &sim_msi_chip, NULL,
				    handle_edge_irq, NULL, "edge");
	return 0;
}

static const struct irq_domain_ops sim_msi_domain_ops = {
	.alloc = sim_msi_alloc,
	.free = irq_domain_free_irqs_common,
};

/* What the core's domain for one function is like. */
static bool sim_msi_init_dev(struct device *dev, struct irq_domain *domain,
			     struct irq_domain *parent, struct msi_domain_info *info)
{
	if (info->bus_token != DOMAIN_BUS_PCI_DEVICE_MSI &&
	    info->bus_token != DOMAIN_BUS_PCI_DEVICE_MSIX)
		return false;
	info->flags |= MSI_FLAG_USE_DEF_DOM_OPS | MSI_FLAG_USE_DEF_CHIP_OPS;
	info->chip->irq_ack = irq_chip_ack_parent;
	return true;
}

static const struct msi_parent_ops sim_msi_parent_ops = {
	.supported_flags = MSI_GENERIC_FLAGS_MASK | MSI_FLAG_MULTI_PCI_MSI | MSI_FLAG_PCI_MSIX |
			   MSI_FLAG_PCI_MSIX_ALLOC_DYN,
	.bus_select_token = DOMAIN_BUS_PCI_MSI,
	.prefix = "rviommu-sim-",
	.init_dev_msi_info = sim_msi_init_dev,
};

/**
 * sim_msi_domain_add() - let a host bridge take messages
 * @msis: filled in
 * @id: of the bridge, unique
 *
 * Isolated: what a function writes interrupts for no other, see sim_msi_write(). That is
 * what VFIO asks for before it lets a program have a function.
 *
 * Return: 0 or -ENOMEM.
 */
int sim_msi_domain_add(struct sim_msi_domain *msis, unsigned int id)
{
	struct irq_domain_info info = {
		.hwirq_max = SIM_MSI_HWIRQS,
		.domain_flags = IRQ_DOMAIN_FLAG_MSI_PARENT | IRQ_DOMAIN_FLAG_ISOLATED_MSI,
		.bus_token = DOMAIN_BUS_PCI_MSI,
		.ops = &sim_msi_domain_ops,
	};
	struct irq_domain *domain;

	info.fwnode = irq_domain_alloc_named_id_fwnode("rviommu-sim-msi", id);
	if (!info.fwnode)
		return -ENOMEM;
	domain = irq_domain_instantiate(&info);
	if (IS_ERR(domain)) {
		irq_domain_free_fwnode(info.fwnode);
		return PTR_ERR(domain);
	}
	domain->msi_parent_ops = &sim_msi_parent_ops;
	msis->domain = domain;
	msis->fwnode = info.fwnode;
	return 0;
}

/**
 * sim_msi_domain_del() - undo sim_msi_domain_add(), when all functions are gone
 * @msis: the domain, or one that was not added
 */
void sim_msi_domain_del(struct sim_msi_domain *msis)
{
	if (!msis->domain)
		return;
	irq_domain_remove(msis->domain);
	irq_domain_free_fwnode(msis->fwnode);
	msis->domain = NULL;
}

/**
 * sim_msi_write() - send a message of a function
 * @msi: interrupts of the function
 * @address: where to
 * @data: what
 *
 * One to the doorbell that names an interrupt which is not the function's, or that nobody has,
 * ends there. Called without a lock: the handler of the interrupt runs here.
 */
void sim_msi_write(struct sim_msi *msi, u64 address, u32 data)
{
	if (address != SIM_MSI_DOORBELL)
		sim_engine_post(msi->engine, address, data);
	else if (data >> SIM_MSI_ID_SHIFT == (msi->id & SIM_MSI_ID_MASK))
		generic_handle_domain_irq_safe(msi->bridge->domain, data);
}

/* ----- The capability; its lock is held ----- */

/**
 * sim_msi_layout() - a capability as it comes out of reset
 * @value: its bytes, the link to the next one aside
 * @writable: bits that software can write
 */
void sim_msi_layout(u8 *value, u8 *writable)
{
	rviommu_cfg_put(value, 0, 1, PCI_CAP_ID_MSI);
	rviommu_cfg_put(value, PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT |
			ilog2(SIM_MSI_VECTORS) << 1);
	rviommu_cfg_put(writable, PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	rviommu_cfg_put(writable, PCI_MSI_ADDRESS_LO, 4, ~3U);
	rviommu_cfg_put(writable, PCI_MSI_ADDRESS_HI, 4, ~0U);
	rviommu_cfg_put(writable, PCI_MSI_DATA_64, 2, 0xffff);
	rviommu_cfg_put(writable, PCI_MSI_MASK_64, 4, BIT(SIM_MSI_VECTORS) - 1);
}

static bool sim_msi_enabled(const struct sim_msi *msi)
{
	return !msi->unused && rviommu_cfg_get(msi->cap, PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

/* Vectors that it was allotted; more than there are, and the reserved values, are all. */
static unsigned int sim_msi_nr(const struct sim_msi *msi)
{
	u16 flags = rviommu_cfg_get(msi->cap, PCI_MSI_FLAGS, 2);

	return min(1U << (flags & PCI_MSI_FLAGS_QSIZE) / 16, (unsigned int)SIM_MSI_VECTORS);
}

/* A function that may not master the bus sends no messages, which are writes, either. */
static u32 sim_msi_due(const struct sim_msi *msi)
{
	if (!sim_msi_enabled(msi) || READ_ONCE(msi->engine->gone) ||
	    !(READ_ONCE(msi->engine->enabled) & SIM_ENGINE_MASTER))
		return 0;
	return rviommu_cfg_get(msi->cap, PCI_MSI_PENDING_64, 4) &
	       ~rviommu_cfg_get(msi->cap, PCI_MSI_MASK_64, 4);
}

static void sim_msi_work(struct irq_work *work)
{
	struct sim_msi *msi = container_of(work, struct sim_msi, work);
	unsigned long due, flags;
	unsigned int vector;
	u32 data, pending;
	u64 address;

	raw_spin_lock_irqsave(msi->lock, flags);
	due = sim_msi_due(msi);
	pending = rviommu_cfg_get(msi->cap, PCI_MSI_PENDING_64, 4);
	rviommu_cfg_put(msi->cap, PCI_MSI_PENDING_64, 4, pending & ~due);
	address = rviommu_cfg_get(msi->cap, PCI_MSI_ADDRESS_LO, 4) |
		  (u64)rviommu_cfg_get(msi->cap, PCI_MSI_ADDRESS_HI, 4) << 32;
	/* It changes the low bits, as many as it has vectors for. */
	data = rviommu_cfg_get(msi->cap, PCI_MSI_DATA_64, 2) & ~(sim_msi_nr(msi) - 1);
	raw_spin_unlock_irqrestore(msi->lock, flags);
	for_each_set_bit(vector, &due, SIM_MSI_VECTORS)
		sim_msi_write(msi, address, data | vector);
}

/**
 * sim_msi_init() - the interrupts of a function that is not there yet
 * @msi: the interrupts, all members but @work filled in
 */
void sim_msi_init(struct sim_msi *msi)
{
	init_irq_work(&msi->work, sim_msi_work);
}

/**
 * sim_msi_apply() - let what software wrote come true
 * @msi: interrupts of the function, whose lock is held
 *
 * While its messages are not enabled, a function has none to send.
 */
void sim_msi_apply(struct sim_msi *msi)
{
	if (!sim_msi_enabled(msi))
		rviommu_cfg_put(msi->cap, PCI_MSI_PENDING_64, 4, 0);
	else if (sim_msi_due(msi))
		irq_work_queue(&msi->work);
}

/**
 * sim_msi_raise() - a function has something to say
 * @msi: its interrupts; the lock is held
 * @vector: which; of those that it was not allotted, one that it was
 *
 * Until the message is sent the vector is pending: while it is masked, or the function may
 * not master the bus.
 */
void sim_msi_raise(struct sim_msi *msi, unsigned int vector)
{
	u32 pending = rviommu_cfg_get(msi->cap, PCI_MSI_PENDING_64, 4);

	if (!sim_msi_enabled(msi))
		return;
	pending |= BIT(vector & (sim_msi_nr(msi) - 1));
	rviommu_cfg_put(msi->cap, PCI_MSI_PENDING_64, 4, pending);
	sim_msi_apply(msi);
}
