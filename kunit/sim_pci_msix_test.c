// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of simulated PCI functions, and the interrupts that they have by it (PCI Local Bus
 * Specification, "Base Addresses", "MSI-X Capability and Table Structure"): by the core's
 * functions, by configuration space, and by the table itself, as a program writes it that has the
 * function.
 *
 * Where no memory was set aside, only what is refused is tested.
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "irqtest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define FUNCTIONS	2
#define VECTORS		RVIOMMU_IRQTEST_VECTORS

/* Where the kernel was told at boot to leave memory alone */
static unsigned long long bar_memory[2];
module_param_hw_array(bar_memory, ullong, iomem, NULL, 0444);
MODULE_PARM_DESC(bar_memory, "START,SIZE of memory for PCI functions (default: none)");

/**
 * struct msix_fixture - an instance with functions that have memory
 * @test: whose
 * @sim: the instance
 * @pdev: its functions
 * @cap: where the first one's capability is; the other's is there, too
 * @memory: of each
 * @irq: their interrupts
 * @domain: of the first one's DMA
 * @page: what is mapped at IOVA
 */
struct msix_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pdev[FUNCTIONS];
	unsigned int cap;
	void __iomem *memory[FUNCTIONS];
	struct rviommu_irqtest irq[FUNCTIONS];
	struct iommu_domain *domain;
	u8 *page;
};

static void msix_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	config->endpoints = 0;
	config->pci_functions = FUNCTIONS;
	config->bar_start = bar_memory[0];
	config->bar_size = bar_memory[1];
}

static void msix_alloc(struct msix_fixture *f, unsigned int i, unsigned int nr, unsigned int kind)
{
	rviommu_irqtest_alloc(f->test, &f->irq[i], f->pdev[i], nr, kind);
}

static void msix_free(struct msix_fixture *f, unsigned int i)
{
	rviommu_irqtest_free(&f->irq[i]);
}

static void msix_down(void *data)
{
	struct msix_fixture *f = data;
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++) {
		msix_free(f, i);
		if (f->memory[i])
			iounmap(f->memory[i]);
	}
}

static void msix_detach(void *data)
{
	struct msix_fixture *f = data;

	iommu_detach_group(f->domain, f->pdev[0]->dev.iommu_group);
}

static void msix_need_memory(struct kunit *test)
{
	if (!bar_memory[1])
		kunit_skip(test, "no memory was set aside (rviommu_kunit.bar_memory)");
}

static struct msix_fixture *msix_up(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct msix_fixture *f;
	unsigned int i;

	msix_need_memory(test);
	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	msix_config(&config);
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_msix", &config);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msix_down, f), 0);
	for (i = 0; i < FUNCTIONS; i++) {
		f->pdev[i] = to_pci_dev(rviommu_sim_function(f->sim, i));
		KUNIT_ASSERT_EQ(test, pci_enable_device(f->pdev[i]), 0);
		pci_set_master(f->pdev[i]);
		f->memory[i] = ioremap(pci_resource_start(f->pdev[i], 0), SZ_4K);
		KUNIT_ASSERT_TRUE(test, !!f->memory[i]);
	}
	f->cap = f->pdev[0]->msix_cap;
	KUNIT_ASSERT_NE(test, f->cap, 0);
	return f;
}

static u16 msix_flags(struct msix_fixture *f)
{
	u16 flags = ~0;

	pci_read_config_word(f->pdev[0], f->cap + PCI_MSIX_FLAGS, &flags);
	return flags;
}

static void msix_set_flags(struct msix_fixture *f, u16 clear, u16 set)
{
	pci_write_config_word(f->pdev[0], f->cap + PCI_MSIX_FLAGS, (msix_flags(f) & ~clear) | set);
}

/* A register of a vector in the table of the first function */
static void __iomem *msix_entry(struct msix_fixture *f, unsigned int vector, unsigned int reg)
{
	u32 table = 0;

	pci_read_config_dword(f->pdev[0], f->cap + PCI_MSIX_TABLE, &table);
	return f->memory[0] + (table & PCI_MSIX_TABLE_OFFSET) + vector * PCI_MSIX_ENTRY_SIZE + reg;
}

static void msix_mask(struct msix_fixture *f, unsigned int vector, bool masked)
{
	writel(masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0,
	       msix_entry(f, vector, PCI_MSIX_ENTRY_VECTOR_CTRL));
}

static void __iomem *msix_pba(struct msix_fixture *f)
{
	u32 pba = 0;

	pci_read_config_dword(f->pdev[0], f->cap + PCI_MSIX_PBA, &pba);
	return f->memory[0] + (pba & PCI_MSIX_PBA_OFFSET);
}

static u64 msix_pending(struct msix_fixture *f)
{
	return readq(msix_pba(f));
}

static void msix_raise(struct msix_fixture *f, unsigned int i, unsigned int vector)
{
	KUNIT_EXPECT_EQ(f->test, rviommu_sim_interrupt(f->sim, i, vector), 0);
}

static void msix_expect(struct msix_fixture *f, unsigned int i, unsigned int vector, int count)
{
	rviommu_irqtest_expect(f->test, &f->irq[i], vector, count);
}

/*
 * What was sent before has arrived, since messages of one function do not overtake each other;
 * @vector is only for this. All that is pending was looked at before.
 */
static void msix_settle(struct msix_fixture *f, unsigned int i, unsigned int vector)
{
	int count = atomic_read(&f->irq[i].count[vector]);

	msix_raise(f, i, vector);
	msix_expect(f, i, vector, count + 1);
}

/* Nothing is pending any more. */
static void msix_sent(struct msix_fixture *f)
{
	unsigned long end = jiffies + 30 * HZ;

	while (msix_pending(f) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_ASSERT_EQ(f->test, msix_pending(f), 0);
}

/* ----- Memory ----- */

/* Without memory a function has none, and nothing that needs it. */
static void msix_none(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct pci_dev *pdev;
	u32 bar = ~0U;
	u16 command;

	msix_config(&config);
	config.bar_start = 0;
	config.bar_size = 0;
	sim = rviommu_simtest_create(test, "rviommu_kunit_msix", &config);
	pdev = to_pci_dev(rviommu_sim_function(sim, 0));
	KUNIT_EXPECT_EQ(test, pci_resource_flags(pdev, 0), 0);
	KUNIT_EXPECT_EQ(test, pdev->msix_cap, 0);
	KUNIT_EXPECT_LT(test, pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX), 0);
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0, ~0U);
	pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0, &bar);
	KUNIT_EXPECT_EQ(test, bar, 0);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_EQ(test, command, 0);
}

static void msix_expect_refused(struct kunit *test, const char *name,
				const struct rviommu_sim_config *config)
{
	struct rviommu_sim *sim = rviommu_sim_create(name, config);

	KUNIT_EXPECT_PTR_EQ(test, sim, ERR_PTR(-EBUSY));
	if (!IS_ERR(sim))
		rviommu_sim_destroy(sim);
}

/* Memory that is somebody's is not taken. */
static void msix_refused(struct kunit *test)
{
	struct rviommu_sim_config config;
	void *page = rviommu_simtest_pages(test, SZ_8K);
	struct resource *taken;

	msix_config(&config);
	config.bar_start = virt_to_phys(page);
	config.bar_size = SZ_8K;
	memset(page, 0x5a, SZ_8K);
	msix_expect_refused(test, "rviommu_kunit_msix", &config);
	KUNIT_EXPECT_NULL(test, memchr_inv(page, 0x5a, SZ_8K));
	if (!bar_memory[1])
		return;
	msix_config(&config);
	taken = request_mem_region(bar_memory[0] + SZ_4K, SZ_4K, "rviommu_kunit");
	KUNIT_ASSERT_NOT_NULL(test, taken);
	msix_expect_refused(test, "rviommu_kunit_msix", &config);
	release_mem_region(bar_memory[0] + SZ_4K, SZ_4K);
	rviommu_simtest_create(test, "rviommu_kunit_msix", &config);
	msix_expect_refused(test, "rviommu_kunit_msix2", &config);
	/* Nor a part of it: what a function has, and what none has (if there is more than that). */
	config.pci_functions = 1;
	config.bar_size = SZ_4K;
	msix_expect_refused(test, "rviommu_kunit_msix2", &config);
	config.bar_start = bar_memory[0] + bar_memory[1] - SZ_4K;
	msix_expect_refused(test, "rviommu_kunit_msix2", &config);
}

/* Functions have a page each, of what was set aside, which a driver can have. */
static void msix_bars(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	struct resource *res;
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++) {
		res = &f->pdev[i]->resource[0];
		KUNIT_EXPECT_EQ(test, resource_size(res), SZ_4K);
		KUNIT_EXPECT_EQ(test, res->flags & (IORESOURCE_MEM | IORESOURCE_MEM_64 |
						    IORESOURCE_PREFETCH | IORESOURCE_UNSET),
				IORESOURCE_MEM | IORESOURCE_MEM_64);
		KUNIT_EXPECT_GE(test, res->start, bar_memory[0]);
		KUNIT_EXPECT_LT(test, res->end, bar_memory[0] + bar_memory[1]);
		KUNIT_EXPECT_NOT_NULL(test, res->parent);
		KUNIT_EXPECT_EQ(test, pci_request_region(f->pdev[i], 0, "rviommu_kunit"), 0);
		pci_release_region(f->pdev[i], 0);
	}
	KUNIT_EXPECT_NE(test, pci_resource_start(f->pdev[0], 0), pci_resource_start(f->pdev[1], 0));
	/* It is memory, and as it came out of reset but for the table. */
	KUNIT_EXPECT_EQ(test, readl(f->memory[0] + SZ_4K - 4), 0);
	writel(0x12345678, f->memory[0] + SZ_4K - 4);
	KUNIT_EXPECT_EQ(test, readl(f->memory[0] + SZ_4K - 4), 0x12345678);
	KUNIT_EXPECT_EQ(test, readl(f->memory[1] + SZ_4K - 4), 0);
	for (i = 0; i < VECTORS; i++)
		KUNIT_EXPECT_EQ(test, readl(msix_entry(f, i, PCI_MSIX_ENTRY_VECTOR_CTRL)),
				PCI_MSIX_ENTRY_CTRL_MASKBIT);
	KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev[0]), 0);
	KUNIT_EXPECT_EQ(test, readl(f->memory[0] + SZ_4K - 4), 0);
}

/* Software asks for the size by writing ones. */
static void msix_sizing(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	struct pci_dev *pdev = f->pdev[0];
	u32 before[2], after[2];
	unsigned int i;
	u16 command;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_TRUE(test, command & PCI_COMMAND_MEMORY);
	writel(0x12345678, f->memory[0] + SZ_4K - 4);
	pci_write_config_word(pdev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	for (i = 0; i < 2; i++) {
		pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i, &before[i]);
		pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i, ~0U);
		pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i, &after[i]);
		pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i, before[i]);
	}
	pci_write_config_word(pdev, PCI_COMMAND, command);
	KUNIT_EXPECT_EQ(test, after[0], ~0xfffU | PCI_BASE_ADDRESS_MEM_TYPE_64);
	KUNIT_EXPECT_EQ(test, after[1], ~0U);
	KUNIT_EXPECT_EQ(test, (before[0] & ~0xfU) | (u64)before[1] << 32,
			pci_resource_start(pdev, 0));
	/* The memory did not notice. */
	KUNIT_EXPECT_EQ(test, readl(f->memory[0] + SZ_4K - 4), 0x12345678);
	for (i = PCI_BASE_ADDRESS_2; i <= PCI_BASE_ADDRESS_5; i += 4) {
		pci_write_config_dword(pdev, i, ~0U);
		pci_read_config_dword(pdev, i, &after[0]);
		KUNIT_EXPECT_EQ(test, after[0], 0);
	}
	/* Of the capability, software changes what it may. */
	pci_write_config_dword(pdev, f->cap, ~0U);
	pci_write_config_dword(pdev, f->cap + PCI_MSIX_TABLE, ~0U);
	pci_write_config_dword(pdev, f->cap + PCI_MSIX_PBA, ~0U);
	KUNIT_EXPECT_EQ(test, msix_flags(f), PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL |
			(VECTORS - 1));
	KUNIT_EXPECT_EQ(test, msix_entry(f, 0, 0) - f->memory[0], 0);
	KUNIT_EXPECT_EQ(test, msix_pba(f) - f->memory[0], SZ_2K);
}

/* Memory that is led elsewhere has the vectors masked; outside of the window it is nowhere. */
static void msix_moved(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	struct pci_dev *pdev = f->pdev[0];
	u32 lo;

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_settle(f, 0, 0);
	pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0, &lo);
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0, lo + bar_memory[1]);
	msix_raise(f, 0, 1);
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0, lo - SZ_4K);
	msix_raise(f, 0, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 0);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0, lo);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(1));
	KUNIT_EXPECT_EQ(test, readl(msix_entry(f, 1, PCI_MSIX_ENTRY_VECTOR_CTRL)),
			PCI_MSIX_ENTRY_CTRL_MASKBIT);
	KUNIT_EXPECT_EQ(test, readl(msix_entry(f, 1, PCI_MSIX_ENTRY_UPPER_ADDR)), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 0);
}

/* A function that is removed and found again has its memory again. */
static void msix_rescan(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	resource_size_t start = pci_resource_start(f->pdev[1], 0);
	struct pci_bus *bus = f->pdev[1]->bus;

	iounmap(f->memory[1]);
	f->memory[1] = NULL;
	pci_stop_and_remove_bus_device_locked(f->pdev[1]);
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 1));
	pci_lock_rescan_remove();
	pci_rescan_bus(bus);
	pci_unlock_rescan_remove();
	KUNIT_ASSERT_NOT_NULL(test, rviommu_sim_function(f->sim, 1));
	f->pdev[1] = to_pci_dev(rviommu_sim_function(f->sim, 1));
	KUNIT_EXPECT_EQ(test, pci_resource_start(f->pdev[1], 0), start);
	KUNIT_EXPECT_EQ(test, pci_enable_device(f->pdev[1]), 0);
	pci_set_master(f->pdev[1]);
	msix_alloc(f, 1, VECTORS, PCI_IRQ_MSIX);
	msix_settle(f, 1, 7);
}

/* ----- Interrupts ----- */

/* Each vector is an interrupt of its own, and nobody can raise that of somebody else. */
static void msix_vectors(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	unsigned int i, v, k;

	KUNIT_EXPECT_EQ(test, pci_msix_vec_count(f->pdev[0]), VECTORS);
	KUNIT_EXPECT_TRUE(test, pci_msix_can_alloc_dyn(f->pdev[0]));
	for (i = 0; i < FUNCTIONS; i++)
		msix_alloc(f, i, VECTORS, PCI_IRQ_MSIX);
	for (i = 0; i < FUNCTIONS; i++) {
		for (v = 0; v < VECTORS; v++) {
			msix_raise(f, i, v);
			msix_expect(f, i, v, 1);
		}
	}
	for (i = 0; i < FUNCTIONS; i++)
		for (k = 0; k < VECTORS; k++)
			KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[i].count[k]), 1);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	/* Of fewer than there are, each is its own; the others are masked. */
	msix_free(f, 0);
	msix_alloc(f, 0, 2, PCI_IRQ_MSIX);
	msix_raise(f, 0, 7);
	msix_settle(f, 0, 0);
	msix_settle(f, 0, 1);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(7));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[0]), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 1);
}

/* A masked vector is pending until it is not masked any more, and arrives then, once. */
static void msix_masked(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_mask(f, 3, true);
	msix_raise(f, 0, 3);
	msix_raise(f, 0, 3);
	msix_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(3));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[3]), 0);
	/* What is written there makes no interrupt. */
	writeq(~0ULL, msix_pba(f));
	msix_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[4]), 0);
	/* Nobody is told that it is unmasked. */
	msix_mask(f, 3, false);
	msix_expect(f, 0, 3, 1);
	msix_settle(f, 0, 0);
	msix_expect(f, 0, 3, 1);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
}

/* The same for all vectors at once, by configuration space */
static void msix_function_mask(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	unsigned int v;

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_mask(f, 5, true);
	msix_set_flags(f, 0, PCI_MSIX_FLAGS_MASKALL);
	for (v = 0; v < VECTORS; v++)
		msix_raise(f, 0, v);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(VECTORS) - 1);
	for (v = 0; v < VECTORS; v++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[v]), 0);
	msix_set_flags(f, PCI_MSIX_FLAGS_MASKALL, 0);
	for (v = 0; v < VECTORS; v++)
		msix_expect(f, 0, v, v != 5);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(5));
}

/* By the interrupt core, which masks with its own lock held, and whose unmasking nobody sees */
static void msix_disable(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	unsigned int i, rounds = rviommu_simtest_rounds(50);
	int irq;

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	irq = pci_irq_vector(f->pdev[0], 2);
	for (i = 0; i < rounds; i++) {
		disable_irq(irq);
		/* The first is the core's to keep, and makes it mask. */
		msix_raise(f, 0, 2);
		msix_settle(f, 0, 0);
		KUNIT_EXPECT_EQ(test, readl(msix_entry(f, 2, PCI_MSIX_ENTRY_VECTOR_CTRL)) & 1, 1);
		msix_raise(f, 0, 2);
		msix_settle(f, 0, 0);
		KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(2));
		KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[2]), 2 * i);
		enable_irq(irq);
		msix_expect(f, 0, 2, 2 * i + 2);
		KUNIT_ASSERT_EQ(test, msix_pending(f), 0);
	}
	KUNIT_EXPECT_EQ(test, irq_set_affinity(irq, cpumask_of(0)), 0);
	msix_settle(f, 0, 2);
}

/* A message is a write: it needs bus mastering, and what is not enabled is not there. */
static void msix_off(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);

	/* Nobody has asked for any. */
	msix_raise(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	pci_clear_master(f->pdev[0]);
	msix_raise(f, 0, 1);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(1));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 0);
	pci_set_master(f->pdev[0]);
	msix_expect(f, 0, 1, 1);

	pci_clear_master(f->pdev[0]);
	msix_raise(f, 0, 1);
	msix_set_flags(f, PCI_MSIX_FLAGS_ENABLE, 0);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	msix_set_flags(f, 0, PCI_MSIX_FLAGS_ENABLE);
	pci_set_master(f->pdev[0]);
	msix_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 1);
	msix_free(f, 0);
	msix_raise(f, 0, 1);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
}

/* A function has interrupts of one kind at a time, and can change. */
static void msix_or_msi(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	unsigned int msi = f->pdev[0]->msi_cap;
	u32 flags, pending;

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	/* No software is to enable both. With both, it is MSI-X. */
	pci_read_config_dword(f->pdev[0], msi, &flags);
	pci_write_config_dword(f->pdev[0], msi + PCI_MSI_MASK_64, ~0U);
	pci_write_config_dword(f->pdev[0], msi, flags | PCI_MSI_FLAGS_ENABLE << 16);
	msix_settle(f, 0, 1);
	msix_mask(f, 2, true);
	msix_raise(f, 0, 2);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(2));
	pci_read_config_dword(f->pdev[0], msi + PCI_MSI_PENDING_64, &pending);
	KUNIT_EXPECT_EQ(test, pending, 0);
	pci_write_config_dword(f->pdev[0], msi, flags);
	pci_write_config_dword(f->pdev[0], msi + PCI_MSI_MASK_64, 0);
	msix_free(f, 0);

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSI);
	KUNIT_EXPECT_FALSE(test, msix_flags(f) & PCI_MSIX_FLAGS_ENABLE);
	msix_settle(f, 0, 3);
	pci_write_config_dword(f->pdev[0], msi + PCI_MSI_MASK_64, BIT(2));
	msix_raise(f, 0, 2);
	pci_read_config_dword(f->pdev[0], msi + PCI_MSI_PENDING_64, &pending);
	KUNIT_EXPECT_EQ(test, pending, BIT(2));
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	/* From then on it is as if those were not enabled. */
	msix_set_flags(f, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_read_config_dword(f->pdev[0], msi + PCI_MSI_PENDING_64, &pending);
	KUNIT_EXPECT_EQ(test, pending, 0);
	msix_set_flags(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
	pci_write_config_dword(f->pdev[0], msi + PCI_MSI_MASK_64, 0);
	msix_settle(f, 0, 2);
	msix_free(f, 0);
	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_settle(f, 0, 4);
}

/* What the data names has to be the function's own. */
static void msix_isolated(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	void __iomem *data;
	unsigned int v;
	u32 own;

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_alloc(f, 1, VECTORS, PCI_IRQ_MSIX);
	KUNIT_EXPECT_TRUE(test, iommu_group_has_isolated_msi(f->pdev[0]->dev.iommu_group));
	data = msix_entry(f, 1, PCI_MSIX_ENTRY_DATA);
	own = readl(data);
	for (v = 0; v < VECTORS; v++) {
		u32 other = readl(f->memory[1] + (msix_entry(f, v, PCI_MSIX_ENTRY_DATA) -
						  f->memory[0]));

		KUNIT_EXPECT_NE(test, other, own);
		writel(other, data);
		msix_raise(f, 0, 1);
		msix_sent(f);
		/* Nor by what is beyond what it names */
		writel(other | BIT(31), data);
		msix_raise(f, 0, 1);
		msix_sent(f);
	}
	writel(~0U, data);
	msix_raise(f, 0, 1);
	msix_sent(f);
	writel(own, data);
	msix_settle(f, 0, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 1);
	for (v = 0; v < VECTORS; v++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[1].count[v]), 0);
}

static u64 msix_faults(struct msix_fixture *f)
{
	struct rviommu_model_stats stats;

	rviommu_model_get_stats(rviommu_sim_model(f->sim), &stats);
	return stats.faults;
}

/*
 * The memory of functions is none that a DMA reaches: the kernel has a page structure for it, and
 * may have nothing mapped there.
 */
static void msix_no_dma(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	struct device *dev = &f->pdev[0]->dev;
	const u64 iova = IOVA + SZ_4K;
	void __iomem *last = f->memory[1] + SZ_4K - 4;

	f->domain = rviommu_simtest_space(test, dev, IOVA, SZ_4K, &f->page);
	KUNIT_ASSERT_EQ(test, iommu_map(f->domain, iova, pci_resource_start(f->pdev[1], 0), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, rviommu_simtest_claim(test, dev)), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msix_detach, f), 0);
	writel(0x12345678, last);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(dev, IOMMU_NO_PASID, iova, SZ_4K, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, readl(last), 0x12345678);
	/* Nor is a message. */
	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	writel(upper_32_bits(iova), msix_entry(f, 5, PCI_MSIX_ENTRY_UPPER_ADDR));
	writel(lower_32_bits(iova + SZ_4K - 4), msix_entry(f, 5, PCI_MSIX_ENTRY_LOWER_ADDR));
	msix_raise(f, 0, 5);
	msix_settle(f, 0, 2);
	KUNIT_EXPECT_EQ(test, readl(last), 0x12345678);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(dev, IOMMU_NO_PASID, IOVA, SZ_4K, 1), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_4K, 1));
}

/* Anywhere else than the bridge's doorbell it is a write to memory, and translated. */
static void msix_elsewhere(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	struct device *dev = &f->pdev[0]->dev;
	unsigned long end = jiffies + 30 * HZ;
	struct iommu_group *group;
	u64 faults;

	group = rviommu_simtest_claim(test, dev);
	f->domain = rviommu_simtest_space(test, dev, IOVA, SZ_4K, &f->page);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, group), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msix_detach, f), 0);
	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	faults = msix_faults(f);
	writel(upper_32_bits(IOVA), msix_entry(f, 5, PCI_MSIX_ENTRY_UPPER_ADDR));
	writel(lower_32_bits(IOVA + 8), msix_entry(f, 5, PCI_MSIX_ENTRY_LOWER_ADDR));
	writel(0xabcd1234, msix_entry(f, 5, PCI_MSIX_ENTRY_DATA));
	msix_raise(f, 0, 5);
	while (!READ_ONCE(*(u32 *)(f->page + 8)) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, *(u64 *)(f->page + 8), 0xabcd1234);
	KUNIT_EXPECT_EQ(test, msix_faults(f), faults);
	/* Nothing is there. */
	writel(lower_32_bits(IOVA + SZ_4K), msix_entry(f, 5, PCI_MSIX_ENTRY_LOWER_ADDR));
	msix_raise(f, 0, 5);
	while (msix_faults(f) == faults && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, msix_faults(f), faults + 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[5]), 0);
}

/* A reset forgets what is pending, and the table; what the core restores works. */
static void msix_reset(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);

	msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
	msix_mask(f, 3, true);
	msix_raise(f, 0, 3);
	KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(3));
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	msix_settle(f, 0, 0);
	msix_settle(f, 0, 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[3]), 1);
	KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev[0]), 0);
	KUNIT_EXPECT_EQ(test, readl(msix_entry(f, 3, PCI_MSIX_ENTRY_VECTOR_CTRL)),
			PCI_MSIX_ENTRY_CTRL_MASKBIT);
	KUNIT_EXPECT_EQ(test, readl(msix_entry(f, 3, PCI_MSIX_ENTRY_UPPER_ADDR)), 0);
	msix_raise(f, 0, 3);
	KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	msix_free(f, 0);
}

/* Functions go while vectors are pending and masked, which somebody looks at again and again. */
static void msix_hotplug(struct kunit *test)
{
	struct msix_fixture *f = msix_up(test);
	unsigned int i;

	for (i = 0; i < 6; i++) {
		msix_alloc(f, 0, VECTORS, PCI_IRQ_MSIX);
		msix_mask(f, 3, true);
		msix_raise(f, 0, 3);
		msix_settle(f, 0, 0);
		KUNIT_EXPECT_EQ(test, msix_pending(f), BIT(3));
		/* No driver is bound that would free what it has. */
		msix_free(f, 0);
		msix_set_flags(f, 0, PCI_MSIX_FLAGS_ENABLE);
		msix_raise(f, 0, 3);
		rviommu_sim_remove_function(f->sim, 0, i & 1);
		KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, 0, 3), -ENODEV);
		KUNIT_ASSERT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
		f->pdev[0] = to_pci_dev(rviommu_sim_function(f->sim, 0));
		KUNIT_EXPECT_EQ(test, pci_enable_device(f->pdev[0]), 0);
		pci_set_master(f->pdev[0]);
		/* The new one knows nothing of it. */
		KUNIT_EXPECT_EQ(test, msix_pending(f), 0);
	}
}

static struct kunit_case msix_cases[] = {
	KUNIT_CASE(msix_none),
	KUNIT_CASE(msix_refused),
	KUNIT_CASE(msix_bars),
	KUNIT_CASE(msix_sizing),
	KUNIT_CASE(msix_moved),
	KUNIT_CASE(msix_rescan),
	KUNIT_CASE(msix_vectors),
	KUNIT_CASE(msix_masked),
	KUNIT_CASE(msix_function_mask),
	KUNIT_CASE(msix_disable),
	KUNIT_CASE(msix_off),
	KUNIT_CASE(msix_or_msi),
	KUNIT_CASE(msix_isolated),
	KUNIT_CASE(msix_elsewhere),
	KUNIT_CASE(msix_no_dma),
	KUNIT_CASE(msix_reset),
	KUNIT_CASE(msix_hotplug),
	{}
};

static struct kunit_suite msix_suite = {
	.name = "rviommu_sim_pci_msix",
	.test_cases = msix_cases,
};

kunit_test_suite(msix_suite);
