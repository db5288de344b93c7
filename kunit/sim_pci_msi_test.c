// SPDX-License-Identifier: GPL-2.0-only
/*
 * Message-signalled interrupts of simulated PCI functions (PCI Local Bus Specification, "MSI
 * Capability Structure"): by the core's functions, as any driver has them, and by the registers.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "irqtest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define FUNCTIONS	2
#define VECTORS		RVIOMMU_IRQTEST_VECTORS

/**
 * struct msi_fixture - an instance with functions
 * @test: whose
 * @sim: the instance
 * @pdev: its functions
 * @cap: where the first one's capability is; the other's is there, too
 * @irq: their interrupts
 * @domain: of the first one's DMA
 * @page: what is mapped at IOVA
 */
struct msi_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pdev[FUNCTIONS];
	unsigned int cap;
	struct rviommu_irqtest irq[FUNCTIONS];
	struct iommu_domain *domain;
	u8 *page;
};

static void msi_alloc(struct msi_fixture *f, unsigned int i, unsigned int nr)
{
	rviommu_irqtest_alloc(f->test, &f->irq[i], f->pdev[i], nr, PCI_IRQ_MSI);
}

static void msi_free(struct msi_fixture *f, unsigned int i)
{
	rviommu_irqtest_free(&f->irq[i]);
}

static void msi_down(void *data)
{
	struct msi_fixture *f = data;
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++)
		msi_free(f, i);
}

static void msi_detach(void *data)
{
	struct msi_fixture *f = data;

	iommu_detach_group(f->domain, f->pdev[0]->dev.iommu_group);
}

static struct msi_fixture *msi_up(struct kunit *test)
{
	struct msi_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	rviommu_sim_config_init(&config);
	config.endpoints = 0;
	config.pci_functions = FUNCTIONS;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_msi", &config);
	for (i = 0; i < FUNCTIONS; i++) {
		f->pdev[i] = to_pci_dev(rviommu_sim_function(f->sim, i));
		pci_set_master(f->pdev[i]);
	}
	f->cap = pci_find_capability(f->pdev[0], PCI_CAP_ID_MSI);
	KUNIT_ASSERT_NE(test, f->cap, 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msi_down, f), 0);
	return f;
}

static u32 msi_get(struct msi_fixture *f, unsigned int reg)
{
	u32 value = ~0U;

	pci_read_config_dword(f->pdev[0], f->cap + reg, &value);
	return value;
}

static void msi_put(struct msi_fixture *f, unsigned int reg, u32 value)
{
	pci_write_config_dword(f->pdev[0], f->cap + reg, value);
}

static void msi_raise(struct msi_fixture *f, unsigned int i, unsigned int vector)
{
	KUNIT_EXPECT_EQ(f->test, rviommu_sim_interrupt(f->sim, i, vector), 0);
}

static void msi_expect(struct msi_fixture *f, unsigned int i, unsigned int vector, int count)
{
	rviommu_irqtest_expect(f->test, &f->irq[i], vector, count);
}

/*
 * What was sent before has arrived, since messages of one function do not overtake each other;
 * @vector is only for this.
 */
static void msi_settle(struct msi_fixture *f, unsigned int i, unsigned int vector)
{
	int count = atomic_read(&f->irq[i].count[vector]);

	msi_raise(f, i, vector);
	msi_expect(f, i, vector, count + 1);
}

/* Nothing is pending any more. */
static void msi_sent(struct msi_fixture *f)
{
	unsigned long end = jiffies + 30 * HZ;

	while (msi_get(f, PCI_MSI_PENDING_64) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(f->test, msi_get(f, PCI_MSI_PENDING_64), 0);
}

/* Each vector is an interrupt of its own, and nobody can raise that of somebody else. */
static void msi_vectors(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);
	unsigned int i, v, k;

	KUNIT_EXPECT_EQ(test, pci_msi_vec_count(f->pdev[0]), VECTORS);
	for (i = 0; i < FUNCTIONS; i++) {
		KUNIT_EXPECT_TRUE(test,
				  iommu_group_has_isolated_msi(f->pdev[i]->dev.iommu_group));
		msi_alloc(f, i, VECTORS);
	}
	for (i = 0; i < FUNCTIONS; i++) {
		for (v = 0; v < VECTORS; v++) {
			msi_raise(f, i, v);
			msi_expect(f, i, v, 1);
		}
	}
	for (i = 0; i < FUNCTIONS; i++)
		for (k = 0; k < VECTORS; k++)
			KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[i].count[k]), 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, FUNCTIONS, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, 0, VECTORS), -EINVAL);
}

/* Of fewer than it asked for, a function uses those that it has. */
static void msi_fewer(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);

	msi_alloc(f, 0, 2);
	msi_raise(f, 0, 7);
	msi_expect(f, 0, 1, 1);
	msi_raise(f, 0, 4);
	msi_expect(f, 0, 0, 1);
	msi_free(f, 0);
	msi_alloc(f, 0, 1);
	msi_raise(f, 0, 7);
	msi_expect(f, 0, 0, 1);
	/* The reserved values of Multiple Message Enable are no more than there are. */
	msi_put(f, 0, msi_get(f, 0) | PCI_MSI_FLAGS_QSIZE << 16);
	msi_put(f, PCI_MSI_MASK_64, ~0U);
	msi_raise(f, 0, 7);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(7));
}

/* A masked vector is pending until it is not masked any more, and arrives then, once. */
static void msi_mask(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);

	msi_alloc(f, 0, VECTORS);
	msi_put(f, PCI_MSI_MASK_64, BIT(3));
	msi_raise(f, 0, 3);
	msi_raise(f, 0, 3);
	msi_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(3));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[3]), 0);
	/* Read only */
	msi_put(f, PCI_MSI_PENDING_64, ~0U);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(3));
	msi_put(f, PCI_MSI_PENDING_64, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(3));
	/* Another one's mask lets nothing go. */
	msi_put(f, PCI_MSI_MASK_64, BIT(3) | BIT(4));
	msi_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[3]), 0);
	msi_put(f, PCI_MSI_MASK_64, BIT(4));
	msi_expect(f, 0, 3, 1);
	msi_settle(f, 0, 0);
	msi_expect(f, 0, 3, 1);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
}

/* By the interrupt core, which masks with its own lock held. */
static void msi_disable(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);
	int irq;

	msi_alloc(f, 0, VECTORS);
	irq = pci_irq_vector(f->pdev[0], 2);
	disable_irq(irq);
	/* The first is the core's to keep, and makes it mask; the second is the function's. */
	msi_raise(f, 0, 2);
	msi_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_MASK_64), BIT(2));
	msi_raise(f, 0, 2);
	msi_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(2));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[2]), 0);
	enable_irq(irq);
	msi_expect(f, 0, 2, 2);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_MASK_64), 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
	KUNIT_EXPECT_EQ(test, irq_set_affinity(irq, cpumask_of(0)), 0);
	msi_raise(f, 0, 2);
	msi_expect(f, 0, 2, 3);
}

/* A message is a write: it needs bus mastering, and what is not enabled is not there. */
static void msi_off(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);

	/* Nobody has asked for any. */
	msi_raise(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
	msi_alloc(f, 0, VECTORS);
	pci_clear_master(f->pdev[0]);
	msi_raise(f, 0, 1);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(1));
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 0);
	pci_set_master(f->pdev[0]);
	msi_expect(f, 0, 1, 1);

	pci_clear_master(f->pdev[0]);
	msi_raise(f, 0, 1);
	msi_put(f, 0, msi_get(f, 0) & ~(PCI_MSI_FLAGS_ENABLE << 16));
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
	msi_put(f, 0, msi_get(f, 0) | PCI_MSI_FLAGS_ENABLE << 16);
	pci_set_master(f->pdev[0]);
	msi_settle(f, 0, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[1]), 1);
	msi_free(f, 0);
	msi_raise(f, 0, 1);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
}

/* What the data names has to be the function's own. */
static void msi_isolated(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);
	u32 own, other = 0;
	unsigned int v;

	msi_alloc(f, 0, VECTORS);
	msi_alloc(f, 1, VECTORS);
	own = msi_get(f, PCI_MSI_DATA_64);
	pci_read_config_dword(f->pdev[1], f->cap + PCI_MSI_DATA_64, &other);
	KUNIT_EXPECT_NE(test, own, other);
	msi_put(f, PCI_MSI_DATA_64, other);
	for (v = 0; v < VECTORS; v++)
		msi_raise(f, 0, v);
	msi_sent(f);
	msi_put(f, PCI_MSI_DATA_64, 0xffff);
	for (v = 0; v < VECTORS; v++)
		msi_raise(f, 0, v);
	msi_sent(f);
	msi_put(f, PCI_MSI_DATA_64, own);
	msi_settle(f, 0, 0);
	for (v = 0; v < VECTORS; v++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[1].count[v]), 0);
}

static u64 msi_faults(struct msi_fixture *f)
{
	struct rviommu_model_stats stats;

	rviommu_model_get_stats(rviommu_sim_model(f->sim), &stats);
	return stats.faults;
}

/* Anywhere else than the bridge's doorbell it is a write to memory, and translated. */
static void msi_elsewhere(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);
	struct device *dev = &f->pdev[0]->dev;
	unsigned long end = jiffies + 30 * HZ;
	struct iommu_group *group;
	u32 lo, hi;
	u64 faults;

	group = rviommu_simtest_claim(test, dev);
	f->domain = rviommu_simtest_space(test, dev, IOVA, SZ_4K, &f->page);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, group), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msi_detach, f), 0);
	msi_alloc(f, 0, VECTORS);
	lo = msi_get(f, PCI_MSI_ADDRESS_LO);
	hi = msi_get(f, PCI_MSI_ADDRESS_HI);
	faults = msi_faults(f);
	msi_put(f, PCI_MSI_ADDRESS_HI, upper_32_bits(IOVA));
	msi_put(f, PCI_MSI_ADDRESS_LO, lower_32_bits(IOVA + 8));
	msi_put(f, PCI_MSI_DATA_64, 0xab07);
	msi_raise(f, 0, 5);
	while (!READ_ONCE(*(u32 *)(f->page + 8)) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, *(u64 *)(f->page + 8), 0xab05);
	KUNIT_EXPECT_EQ(test, msi_faults(f), faults);
	/* Nothing is there. */
	msi_put(f, PCI_MSI_ADDRESS_LO, lower_32_bits(IOVA + SZ_4K));
	msi_raise(f, 0, 5);
	while (msi_faults(f) == faults && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, msi_faults(f), faults + 1);
	/* And nothing can be mapped where the doorbell is. */
	KUNIT_EXPECT_NE(test, iommu_map(f->domain, (u64)hi << 32 | lo, virt_to_phys(f->page),
					SZ_4K, IOMMU_WRITE, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(dev, 0, (u64)hi << 32 | lo, 4, 1), -EFAULT);
	msi_put(f, PCI_MSI_ADDRESS_LO, lo);
	msi_put(f, PCI_MSI_ADDRESS_HI, hi);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[5]), 0);
}

/* A reset forgets what is pending; what the core restores works. */
static void msi_reset(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);

	msi_alloc(f, 0, VECTORS);
	msi_put(f, PCI_MSI_MASK_64, BIT(3));
	msi_raise(f, 0, 3);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), BIT(3));
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
	msi_put(f, PCI_MSI_MASK_64, 0);
	msi_raise(f, 0, 0);
	msi_expect(f, 0, 0, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq[0].count[3]), 0);
	KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev[0]), 0);
	msi_raise(f, 0, 0);
	KUNIT_EXPECT_EQ(test, msi_get(f, PCI_MSI_PENDING_64), 0);
	/* Whatever was taken away by that, freeing copes with it. */
	msi_free(f, 0);
}

/* ----- Functions that go ----- */

/**
 * struct msi_driver - a driver of the functions of one test
 * @driver: for the core
 * @domain: PCI domain of the functions that it takes
 * @count: interrupts that arrived
 * @bound: functions that it has
 */
static struct msi_driver {
	struct pci_driver driver;
	int domain;
	atomic_t count;
	unsigned int bound;
} msi_driver;

static int msi_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	if (pci_domain_nr(pdev->bus) != msi_driver.domain || PCI_SLOT(pdev->devfn) != 1)
		return -ENODEV;
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	if (ret < 0)
		return ret;
	ret = request_irq(pci_irq_vector(pdev, 0), rviommu_irqtest_count, 0,
			  "rviommu_kunit_msi", &msi_driver.count);
	if (ret) {
		pci_free_irq_vectors(pdev);
		return ret;
	}
	pci_set_master(pdev);
	msi_driver.bound++;
	return 0;
}

static void msi_remove(struct pci_dev *pdev)
{
	msi_driver.bound--;
	free_irq(pci_irq_vector(pdev, 0), &msi_driver.count);
	pci_free_irq_vectors(pdev);
}

static const struct pci_device_id msi_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x10f0) },
	{}
};

static void msi_unregister(void *unused)
{
	pci_unregister_driver(&msi_driver.driver);
}

/* A thread whose function interrupts all the time */
static int msi_hammer(void *data)
{
	struct rviommu_sim *sim = data;

	while (!kthread_should_stop()) {
		rviommu_sim_interrupt(sim, 1, 0);
		cond_resched();
	}
	return 0;
}

/*
 * A function goes, by notice and without, while it interrupts, while an interrupt is
 * pending, and while one waits in the core.
 */
static void msi_hotplug(struct kunit *test)
{
	struct msi_fixture *f = msi_up(test);
	struct task_struct *task;
	unsigned int i;
	int before;

	msi_driver = (struct msi_driver) {
		.driver = {
			.name = "rviommu_kunit_msi", .id_table = msi_ids, .probe = msi_probe,
			.remove = msi_remove,
		},
		.domain = pci_domain_nr(f->pdev[0]->bus),
	};
	KUNIT_ASSERT_EQ(test, pci_register_driver(&msi_driver.driver), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, msi_unregister, NULL), 0);
	KUNIT_ASSERT_EQ(test, msi_driver.bound, 1);
	task = kthread_run(msi_hammer, f->sim, "msi_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < 6; i++) {
		before = atomic_read(&msi_driver.count);
		while (atomic_read(&msi_driver.count) == before)
			schedule_timeout_uninterruptible(1);
		rviommu_sim_remove_function(f->sim, 1, i & 1);
		KUNIT_EXPECT_EQ(test, msi_driver.bound, 0);
		KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, 1, 0), -ENODEV);
		KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 1), 0);
		KUNIT_EXPECT_EQ(test, msi_driver.bound, 1);
	}
	kthread_stop(task);

	for (i = 0; i < 4; i++) {
		f->pdev[1] = to_pci_dev(rviommu_sim_function(f->sim, 1));
		if (i & 1)
			pci_write_config_dword(f->pdev[1], f->cap + PCI_MSI_MASK_64, 1);
		else
			disable_irq(pci_irq_vector(f->pdev[1], 0));
		before = atomic_read(&msi_driver.count);
		KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, 1, 0), 0);
		rviommu_sim_remove_function(f->sim, 1, i & 2);
		KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 1), 0);
		/* The new one knows nothing of it. */
		KUNIT_EXPECT_EQ(test, atomic_read(&msi_driver.count), before);
		KUNIT_EXPECT_EQ(test, rviommu_sim_interrupt(f->sim, 1, 0), 0);
		while (atomic_read(&msi_driver.count) == before)
			schedule_timeout_uninterruptible(1);
		KUNIT_EXPECT_EQ(test, atomic_read(&msi_driver.count), before + 1);
	}
}

/* ... by what user space writes. */
static void msi_commands(struct kunit *test)
{
	static const struct {
		const char *text;
		int ret;
	} commands[] = {
		{ "interrupt 0 2", 0 }, { "interrupt 0 8", -EINVAL }, { "interrupt 0", -EINVAL },
		{ "interrupt 2 0", -EINVAL }, { "interrupt 0 1 1", -EINVAL },
		{ "add 0 1", -EINVAL }, { "interrupt 0 -1", -EINVAL }, { "remove 1", 0 },
		{ "interrupt 1 0", -ENODEV },
	};
	struct msi_fixture *f = msi_up(test);
	unsigned int i;
	char text[32];

	msi_alloc(f, 0, VECTORS);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		strscpy(text, commands[i].text);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_command(f->sim, "functions", text),
				    commands[i].ret, "%s", commands[i].text);
	}
	msi_expect(f, 0, 2, 1);
}

static struct kunit_case msi_cases[] = {
	KUNIT_CASE(msi_vectors),
	KUNIT_CASE(msi_fewer),
	KUNIT_CASE(msi_mask),
	KUNIT_CASE(msi_disable),
	KUNIT_CASE(msi_off),
	KUNIT_CASE(msi_isolated),
	KUNIT_CASE(msi_elsewhere),
	KUNIT_CASE(msi_reset),
	KUNIT_CASE(msi_hotplug),
	KUNIT_CASE(msi_commands),
	{}
};

static struct kunit_suite msi_suite = {
	.name = "rviommu_sim_pci_msi",
	.test_cases = msi_cases,
};

kunit_test_suite(msi_suite);
