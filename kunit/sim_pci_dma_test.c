// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of simulated PCI functions, by its registers, as a driver or a program uses
 * it: every command, every way in which one can end, and everything that no driver does.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include <uapi/linux/rviommu_sim.h>

#include "irqtest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define SIZE		SZ_64K
#define PASID		300
#define VECTORS		RVIOMMU_IRQTEST_VECTORS

/* The rings are in the last page. */
#define RING_IOVA	(IOVA + SIZE - SZ_4K)
#define RING_LG2	3
#define RING_NR		BIT(RING_LG2)

/**
 * struct dma_fixture - an instance with one function, and what it reaches
 * @test: whose
 * @sim: the instance
 * @pdev: the function
 * @vsec: where its registers are
 * @group: its group
 * @domain: without PASID
 * @page: mapped there at IOVA
 * @pasid_domain: with PASID
 * @pasid_page: mapped there, likewise
 * @irq: its interrupts
 * @hooked: how often the hook ran
 * @act: when the hook does something: that often before
 * @action: what
 * @acted: it has been done
 * @seen: what it saw
 */
struct dma_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pdev;
	unsigned int vsec;
	struct iommu_group *group;
	struct iommu_domain *domain;
	u8 *page;
	struct iommu_domain *pasid_domain;
	u8 *pasid_page;
	struct rviommu_irqtest irq;
	unsigned int hooked;
	unsigned int act;
	void (*action)(struct dma_fixture *f);
	bool acted;
	u32 seen;
};

/* The hook knows its device only; cases run one after the other. */
static struct dma_fixture *dma_fixture;

static u32 dma_get(struct dma_fixture *f, unsigned int reg)
{
	u32 value = 0;

	pci_read_config_dword(f->pdev, f->vsec + reg, &value);
	return value;
}

static void dma_put(struct dma_fixture *f, unsigned int reg, u32 value)
{
	pci_write_config_dword(f->pdev, f->vsec + reg, value);
}

static void dma_free_vectors(void *data)
{
	struct dma_fixture *f = data;

	rviommu_irqtest_free(&f->irq);
}

static void dma_vectors(struct dma_fixture *f)
{
	KUNIT_ASSERT_EQ(f->test, kunit_add_action_or_reset(f->test, dma_free_vectors, f), 0);
	rviommu_irqtest_alloc(f->test, &f->irq, f->pdev, VECTORS, PCI_IRQ_MSI);
}

static void dma_detach(void *data)
{
	struct dma_fixture *f = data;

	iommu_detach_group(f->domain, f->group);
}

static void dma_detach_pasid(void *data)
{
	struct dma_fixture *f = data;

	iommu_detach_device_pasid(f->pasid_domain, &f->pdev->dev, PASID);
}

static struct dma_fixture *dma_up(struct kunit *test)
{
	struct dma_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	struct device *dev;

	KUNIT_ASSERT_NOT_NULL(test, f);
	dma_fixture = f;
	f->test = test;
	rviommu_sim_config_init(&config);
	config.endpoints = 0;
	config.pci_functions = 1;
	config.pasid_bits = 12;
	config.ats = true;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_dma", &config);
	dev = rviommu_sim_function(f->sim, 0);
	f->pdev = to_pci_dev(dev);
	f->vsec = pci_find_vsec_capability(f->pdev, RVIOMMU_SIM_PCI_VENDOR, RVIOMMU_SIM_VSEC_ID);
	KUNIT_ASSERT_NE(test, f->vsec, 0);
	f->group = rviommu_simtest_claim(test, dev);
	f->domain = rviommu_simtest_space(test, dev, IOVA, SIZE, &f->page);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, f->group), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, dma_detach, f), 0);
	pci_set_master(f->pdev);
	return f;
}

static void dma_attach_pasid(struct dma_fixture *f)
{
	struct device *dev = &f->pdev->dev;

	f->pasid_domain = rviommu_simtest_space(f->test, dev, IOVA, SIZE, &f->pasid_page);
	KUNIT_ASSERT_EQ(f->test, iommu_attach_device_pasid(f->pasid_domain, dev, PASID, NULL), 0);
	KUNIT_ASSERT_EQ(f->test, kunit_add_action_or_reset(f->test, dma_detach_pasid, f), 0);
}

static struct rviommu_sim_descriptor dma_command(u32 command, u64 iova, u64 length, u64 operand)
{
	return (struct rviommu_sim_descriptor) {
		.command = cpu_to_le32(command),
		.pasid = cpu_to_le32(PASID),
		.iova = cpu_to_le64(iova),
		.source = cpu_to_le64(IOVA),
		.length = cpu_to_le64(length),
		.operand = cpu_to_le64(operand),
	};
}

static void dma_doorbell(struct dma_fixture *f, const struct rviommu_sim_descriptor *d)
{
	const __le32 *word = (const __le32 *)d;
	unsigned int i;

	for (i = 0; i < offsetof(struct rviommu_sim_descriptor, status) / 4; i++)
		dma_put(f, RVIOMMU_SIM_REG_COMMAND + 4 * i, le32_to_cpu(word[i]));
	dma_put(f, RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
}

/* ... until a register has these bits */
static u32 dma_await(struct dma_fixture *f, unsigned int reg, u32 mask, u32 value)
{
	unsigned long end = jiffies + 30 * HZ;

	while ((dma_get(f, reg) & mask) != value && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(f->test, dma_get(f, reg) & mask, value);
	return dma_get(f, reg);
}

static void dma_result(struct dma_fixture *f, struct rviommu_sim_descriptor *d)
{
	__le32 *word = (__le32 *)d;
	unsigned int i;

	dma_await(f, RVIOMMU_SIM_REG_DOORBELL, ~0U, 0);
	for (i = 0; i < sizeof(*d) / 4; i++)
		word[i] = cpu_to_le32(dma_get(f, RVIOMMU_SIM_REG_COMMAND + 4 * i));
}

/* Carried out by the register; returns its status. */
static u32 dma_run(struct dma_fixture *f, struct rviommu_sim_descriptor *d)
{
	dma_doorbell(f, d);
	dma_result(f, d);
	return le32_to_cpu(d->status);
}

static u32 dma_do(struct dma_fixture *f, u32 command, u64 iova, u64 length, u64 operand)
{
	struct rviommu_sim_descriptor d = dma_command(command, iova, length, operand);

	return dma_run(f, &d);
}

static void dma_expect_count(struct dma_fixture *f, unsigned int vector, int count)
{
	rviommu_irqtest_expect(f->test, &f->irq, vector, count);
}

static void dma_hook(struct device *dev)
{
	struct dma_fixture *f = dma_fixture;

	if (f->hooked++ != f->act)
		return;
	f->action(f);
	/* Who sees this sees what it saw. */
	smp_store_release(&f->acted, true);
}

/* In the middle of an access, after so many others */
static void dma_in_flight(struct dma_fixture *f, unsigned int act,
			  void (*action)(struct dma_fixture *f))
{
	f->hooked = 0;
	f->acted = false;
	f->act = act;
	f->action = action;
	KUNIT_ASSERT_EQ(f->test, rviommu_sim_set_in_flight(&f->pdev->dev, dma_hook), 0);
}

/* ----- One command ----- */

static void dma_layout(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	u32 features = dma_get(f, RVIOMMU_SIM_REG_FEATURES);
	u32 header = dma_get(f, PCI_VNDR_HEADER);

	KUNIT_EXPECT_EQ(test, PCI_VNDR_HEADER_REV(header), RVIOMMU_SIM_VSEC_REVISION);
	KUNIT_EXPECT_EQ(test, PCI_VNDR_HEADER_LEN(header), RVIOMMU_SIM_VSEC_LENGTH);
	KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_FEATURES_RINGS, features), RVIOMMU_SIM_RINGS);
	KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_FEATURES_VECTORS, features), VECTORS);
	KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_FEATURES_COMMANDS, features), 0x7f);
}

static void dma_commands(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d;
	u64 *words = (u64 *)f->page;

	d = dma_command(RVIOMMU_SIM_CMD_NOP, 1, 2, 3);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), 0);

	d = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA + 5, SZ_8K, 7);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), SZ_8K);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d.info), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.result), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page + 5, SZ_8K, 7));

	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_VERIFY, IOVA + 5, SZ_8K, 7),
			RVIOMMU_SIM_STATUS_OK);

	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_COPY, IOVA + SZ_16K, SZ_8K, 0),
			RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, memcmp(f->page, f->page + SZ_16K, SZ_8K), 0);

	words[0] = 100;
	words[1] = 200;
	d = dma_command(RVIOMMU_SIM_CMD_FETCH_ADD, IOVA, 16, 3);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.result), 200);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), 16);
	KUNIT_EXPECT_EQ(test, words[0], 103);
	KUNIT_EXPECT_EQ(test, words[1], 203);

	/* Nothing is everywhere. */
	d = dma_command(RVIOMMU_SIM_CMD_FILL, 0, 0, 7);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
}

/* How a command can end, and that what it has done until then is right. */
static void dma_errors(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d;
	unsigned int i;

	d = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA + SIZE - SZ_4K, SZ_8K, 1);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_FAULT);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), SZ_4K);
	/* Store/AMO page fault; by ATS the function only knows that it may not. */
	if (!rviommu_sim_ats_enabled(&f->pdev->dev))
		KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_INFO_CAUSE, le32_to_cpu(d.info)), 15);
	/* The next one knows nothing of it. */
	d = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d.info), 0);

	f->page[77] ^= 1;
	d = dma_command(RVIOMMU_SIM_CMD_VERIFY, IOVA, SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_MISMATCH);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), 77);

	/* Codes and bits that do not exist, or mean nothing */
	for (i = RVIOMMU_SIM_CMD_NR; i < 0x100; i++)
		KUNIT_EXPECT_EQ(test, dma_do(f, i, IOVA, 8, 0), RVIOMMU_SIM_STATUS_INVALID);
	for (i = 0; i < 32; i++)
		if (BIT(i) & ~(0xffU | RVIOMMU_SIM_COMMAND_PASID | RVIOMMU_SIM_COMMAND_INTERRUPT |
			       RVIOMMU_SIM_COMMAND_VECTOR))
			KUNIT_EXPECT_EQ_MSG(test, dma_do(f, BIT(i), IOVA, 8, 0),
					    RVIOMMU_SIM_STATUS_INVALID, "bit %u", i);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FETCH_ADD, IOVA + 4, 8, 1),
			RVIOMMU_SIM_STATUS_INVALID);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FETCH_ADD, IOVA, 12, 1),
			RVIOMMU_SIM_STATUS_INVALID);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, RVIOMMU_SIM_MAX_LENGTH + 1, 1),
			RVIOMMU_SIM_STATUS_INVALID);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, ~0ULL, 1),
			RVIOMMU_SIM_STATUS_INVALID);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_TRANSLATE, IOVA, 0, 2),
			RVIOMMU_SIM_STATUS_INVALID);
	/* Whose? */
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_STOP_PASID, 0, 0, 0),
			RVIOMMU_SIM_STATUS_INVALID);
	/* Where no address is */
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, ~0ULL, 8, 1),
			RVIOMMU_SIM_STATUS_FAULT);

	pci_clear_master(f->pdev);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, 8, 1),
			RVIOMMU_SIM_STATUS_NOT_ENABLED);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_NOP, 0, 0, 0), RVIOMMU_SIM_STATUS_OK);
}

static void dma_pasids(struct kunit *test)
{
	const u32 fill = RVIOMMU_SIM_CMD_FILL | RVIOMMU_SIM_COMMAND_PASID;
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d;

	dma_attach_pasid(f);
	KUNIT_EXPECT_EQ(test, dma_do(f, fill, IOVA, SZ_4K, 1), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->pasid_page, SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, f->page[0], 0);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, SZ_4K, 2),
			RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_4K, 2));
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->pasid_page, SZ_4K, 1));
	/* Not attached, not there, not in a request */
	d = dma_command(fill, IOVA, SZ_4K, 3);
	d.pasid = cpu_to_le32(PASID + 1);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_FAULT);
	d.pasid = cpu_to_le32(BIT(12));
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_INVALID);
	d.pasid = cpu_to_le32(~0U);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_INVALID);
	d.command = cpu_to_le32(RVIOMMU_SIM_CMD_STOP_PASID | RVIOMMU_SIM_COMMAND_PASID);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_INVALID);
	/* The driver enables no privileged requests. */
	KUNIT_EXPECT_EQ(test, dma_do(f, fill | RVIOMMU_SIM_COMMAND_PRIV, IOVA, SZ_4K, 3),
			RVIOMMU_SIM_STATUS_NOT_ENABLED);
	/* Nothing there is for execution. */
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_VERIFY | RVIOMMU_SIM_COMMAND_PASID,
				     IOVA, SZ_4K, 1), RVIOMMU_SIM_STATUS_OK);
	KUNIT_ASSERT_EQ(test, iommu_unmap(f->pasid_domain, IOVA, SIZE), SIZE);
	KUNIT_ASSERT_EQ(test, iommu_map(f->pasid_domain, IOVA, virt_to_phys(f->pasid_page), SIZE,
					IOMMU_READ | IOMMU_WRITE | IOMMU_NOEXEC, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_VERIFY | RVIOMMU_SIM_COMMAND_PASID,
				     IOVA, SZ_4K, 1), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_VERIFY | RVIOMMU_SIM_COMMAND_PASID |
				     RVIOMMU_SIM_COMMAND_EXEC, IOVA, SZ_4K, 1),
			RVIOMMU_SIM_STATUS_FAULT);
}

static void dma_translate(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct device *dev = &f->pdev->dev;
	unsigned int ctrl = f->pdev->ats_cap + PCI_ATS_CTRL, before;
	struct rviommu_sim_descriptor d;

	if (!rviommu_sim_ats_enabled(dev))
		pci_write_config_word(f->pdev, ctrl, PCI_ATS_CTRL_ENABLE);
	before = rviommu_sim_count_atc(dev, false, 0);
	d = dma_command(RVIOMMU_SIM_CMD_TRANSLATE, IOVA, 0, RVIOMMU_SIM_TRANSLATE_WRITE);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.result) & 7,
			RVIOMMU_SIM_GRANT_READ | RVIOMMU_SIM_GRANT_WRITE);
	KUNIT_EXPECT_GE(test, FIELD_GET(RVIOMMU_SIM_GRANT_SIZE_LG2, le64_to_cpu(d.result)), 12);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), 0);
	KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(dev, false, 0), before);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_TRANSLATE, IOVA + SIZE, 0, 0),
			RVIOMMU_SIM_STATUS_FAULT);
	/* Which is no fault for the IOMMU */
	KUNIT_EXPECT_EQ(test, f->page[0], 0);
	pci_write_config_word(f->pdev, ctrl, 0);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_TRANSLATE, IOVA, 0, 0),
			RVIOMMU_SIM_STATUS_NOT_ENABLED);
	if (f->pdev->ats_enabled)
		pci_write_config_word(f->pdev, ctrl, PCI_ATS_CTRL_ENABLE);
}

/* At the end of a command, good or bad, if it asks for that */
static void dma_interrupts(struct kunit *test)
{
	const u32 irq = RVIOMMU_SIM_COMMAND_INTERRUPT;
	struct dma_fixture *f = dma_up(test);
	unsigned int v;

	dma_vectors(f);
	for (v = 0; v < VECTORS; v++) {
		dma_do(f, RVIOMMU_SIM_CMD_FILL | irq | v << 16, IOVA, SZ_4K, 1);
		dma_expect_count(f, v, 1);
		dma_do(f, RVIOMMU_SIM_CMD_FILL | irq | v << 16, IOVA + SIZE, SZ_4K, 1);
		dma_expect_count(f, v, 2);
		dma_do(f, 0xff | irq | v << 16, 0, 0, 1);
		dma_expect_count(f, v, 3);
	}
	dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, SZ_4K, 1);
	dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA + SIZE, SZ_4K, 1);
	dma_do(f, RVIOMMU_SIM_CMD_NOP | irq, 0, 0, 0);
	dma_expect_count(f, 0, 4);
	for (v = 1; v < VECTORS; v++)
		KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[v]), 3);
}

/* ----- While one is under way ----- */

static void dma_act_busy(struct dma_fixture *f)
{
	f->seen = dma_get(f, RVIOMMU_SIM_REG_DOORBELL);
	dma_put(f, RVIOMMU_SIM_REG_COMMAND, RVIOMMU_SIM_CMD_VERIFY);
	dma_put(f, RVIOMMU_SIM_REG_COMMAND + 8, 0);
	dma_put(f, RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
	dma_put(f, RVIOMMU_SIM_REG_DOORBELL, 0);
}

/* Nothing of it changes, and nothing is begun. */
static void dma_busy(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, SZ_16K, 5);

	dma_in_flight(f, 0, dma_act_busy);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, f->seen, RVIOMMU_SIM_DOORBELL_BUSY);
	KUNIT_EXPECT_EQ(test, f->hooked, 4);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d.command), RVIOMMU_SIM_CMD_FILL);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.iova), IOVA);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_16K, 5));
}

static void dma_act_master(struct dma_fixture *f)
{
	pci_write_config_word(f->pdev, PCI_COMMAND, 0);
}

/* Bus mastering off: it ends where it is, and says so when it may. */
static void dma_master(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d = dma_command(RVIOMMU_SIM_CMD_FILL |
						      RVIOMMU_SIM_COMMAND_INTERRUPT, IOVA, SZ_16K,
						      5);

	dma_vectors(f);
	dma_in_flight(f, 1, dma_act_master);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_NOT_ENABLED);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), SZ_8K);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_8K, 5));
	KUNIT_EXPECT_EQ(test, f->page[SZ_8K], 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[0]), 0);
	pci_set_master(f->pdev);
	dma_expect_count(f, 0, 1);
}

static void dma_act_sleep(struct dma_fixture *f)
{
	pci_write_config_word(f->pdev, f->pdev->pm_cap + PCI_PM_CTRL, (__force u16)PCI_D3hot);
}

/* D3hot: likewise; its registers can be read, and written. */
static void dma_sleep(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d = dma_command(RVIOMMU_SIM_CMD_FILL |
						      RVIOMMU_SIM_COMMAND_INTERRUPT, IOVA, SZ_16K,
						      5);

	dma_vectors(f);
	dma_in_flight(f, 1, dma_act_sleep);
	KUNIT_EXPECT_EQ(test, dma_run(f, &d), RVIOMMU_SIM_STATUS_NOT_ENABLED);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(d.done), SZ_8K);
	KUNIT_EXPECT_EQ(test, f->page[SZ_8K], 0);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_NOP, 0, 0, 0), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[0]), 0);
	pci_write_config_word(f->pdev, f->pdev->pm_cap + PCI_PM_CTRL, 0);
	dma_expect_count(f, 0, 1);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, SZ_16K, 5),
			RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_16K, 5));
}

static void dma_act_reset(struct dma_fixture *f)
{
	pcie_capability_set_word(f->pdev, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	/* It is not over while a command is carried out. */
	f->seen = 0;
	pci_read_config_dword(f->pdev, PCI_COMMAND, &f->seen);
}

/* The reset that the hook does has begun, and is over. */
static void dma_wait_ready(struct dma_fixture *f)
{
	unsigned long end = jiffies + 30 * HZ;
	u32 value;

	while (!smp_load_acquire(&f->acted) && time_before(jiffies, end)) /* see dma_hook() */
		schedule_timeout_uninterruptible(1);
	while ((pci_read_config_dword(f->pdev, PCI_COMMAND, &value) || value == ~0U) &&
	       time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
}

static void dma_expect_registers_clear(struct dma_fixture *f)
{
	unsigned int reg;

	for (reg = RVIOMMU_SIM_REG_COMMAND; reg < RVIOMMU_SIM_VSEC_LENGTH; reg += 4)
		KUNIT_EXPECT_EQ_MSG(f->test, dma_get(f, reg), 0, "at %#x", reg);
}

/* A reset ends it, and whoever comes after the reset sees and hears nothing of it. */
static void dma_reset(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor d = dma_command(RVIOMMU_SIM_CMD_FILL |
						      RVIOMMU_SIM_COMMAND_INTERRUPT, IOVA, SZ_16K,
						      5);

	dma_vectors(f);
	pci_save_state(f->pdev);
	dma_in_flight(f, 1, dma_act_reset);
	dma_doorbell(f, &d);
	dma_wait_ready(f);
	KUNIT_EXPECT_EQ(test, f->seen, ~0U);
	KUNIT_EXPECT_EQ(test, f->hooked, 2);
	dma_expect_registers_clear(f);
	pci_restore_state(f->pdev);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_8K, 5));
	KUNIT_EXPECT_EQ(test, f->page[SZ_8K], 0);
	dma_do(f, RVIOMMU_SIM_CMD_NOP | RVIOMMU_SIM_COMMAND_INTERRUPT, 0, 0, 0);
	dma_expect_count(f, 0, 1);
}

/* ----- Rings ----- */

static unsigned int dma_ring(unsigned int ring, unsigned int reg)
{
	return RVIOMMU_SIM_REG_RING(ring) + reg;
}

/* Where the ring is in memory */
static struct rviommu_sim_descriptor *dma_descriptors(struct dma_fixture *f, unsigned int ring)
{
	return (struct rviommu_sim_descriptor *)(f->page + SIZE - SZ_4K) + ring * RING_NR;
}

static void dma_ring_on(struct dma_fixture *f, unsigned int ring, u32 control)
{
	u64 base = RING_IOVA + ring * RING_NR * sizeof(struct rviommu_sim_descriptor);

	dma_put(f, dma_ring(ring, RVIOMMU_SIM_RING_BASE_LO), lower_32_bits(base));
	dma_put(f, dma_ring(ring, RVIOMMU_SIM_RING_BASE_HI), upper_32_bits(base));
	dma_put(f, dma_ring(ring, RVIOMMU_SIM_RING_CONTROL), control | RVIOMMU_SIM_RING_ENABLE |
		FIELD_PREP(RVIOMMU_SIM_RING_LG2, RING_LG2));
}

static void dma_ring_tail(struct dma_fixture *f, unsigned int ring, u32 tail)
{
	dma_put(f, dma_ring(ring, RVIOMMU_SIM_RING_TAIL), tail);
}

/* It has come that far, and rests. */
static void dma_ring_expect(struct dma_fixture *f, unsigned int ring, u32 head, u32 status)
{
	dma_await(f, dma_ring(ring, RVIOMMU_SIM_RING_STATUS), RVIOMMU_SIM_RING_BUSY, 0);
	KUNIT_EXPECT_EQ(f->test, dma_get(f, dma_ring(ring, RVIOMMU_SIM_RING_STATUS)), status);
	KUNIT_EXPECT_EQ(f->test, dma_get(f, dma_ring(ring, RVIOMMU_SIM_RING_HEAD)), head);
}

/* All of them, several times round, each descriptor with what is its own */
static void dma_rings(struct kunit *test)
{
	const u32 fill = RVIOMMU_SIM_CMD_FILL;
	struct dma_fixture *f = dma_up(test);
	unsigned int ring, i, tail[RVIOMMU_SIM_RINGS] = {};
	struct rviommu_sim_descriptor *d;

	dma_attach_pasid(f);
	dma_vectors(f);
	for (ring = 0; ring < RVIOMMU_SIM_RINGS; ring++)
		dma_ring_on(f, ring, 0);
	for (i = 0; i < 3 * RING_NR; i++) {
		for (ring = 0; ring < RVIOMMU_SIM_RINGS; ring++) {
			u64 iova = IOVA + ring * SZ_4K;

			d = &dma_descriptors(f, ring)[tail[ring]];
			*d = dma_command(fill, iova, SZ_4K, i);
			if (i & 1)
				d->command |= cpu_to_le32(RVIOMMU_SIM_COMMAND_PASID);
			if (i % 4 == 3)
				d->command |= cpu_to_le32(RVIOMMU_SIM_COMMAND_INTERRUPT |
							  ring << 16);
			tail[ring] = (tail[ring] + 1) % RING_NR;
			/* A few at a time */
			if (i % 3 == 2)
				dma_ring_tail(f, ring, tail[ring]);
		}
		for (ring = 0; i % 3 == 2 && ring < RVIOMMU_SIM_RINGS; ring++)
			dma_ring_expect(f, ring, tail[ring], 0);
	}
	for (ring = 0; ring < RVIOMMU_SIM_RINGS; ring++) {
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page + ring * SZ_4K, SZ_4K,
							      i - 2));
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->pasid_page + ring * SZ_4K, SZ_4K,
							      i - 1));
		d = dma_descriptors(f, ring);
		for (tail[ring] = 0; tail[ring] < RING_NR; tail[ring]++, d++) {
			KUNIT_EXPECT_EQ(test, le32_to_cpu(d->status), RVIOMMU_SIM_STATUS_OK);
			KUNIT_EXPECT_EQ(test, le64_to_cpu(d->done), SZ_4K);
		}
		/* Two that are close may be one message. */
		KUNIT_EXPECT_GT(test, atomic_read(&f->irq.count[ring]), 0);
		KUNIT_EXPECT_LE(test, atomic_read(&f->irq.count[ring]), 3 * RING_NR / 4);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[RVIOMMU_SIM_RINGS]), 0);
}

/* What goes wrong in a command is the command's; what goes wrong with it stops the ring. */
static void dma_ring_errors(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor *d = dma_descriptors(f, 0);
	u32 status;

	dma_vectors(f);
	dma_ring_on(f, 0, RVIOMMU_SIM_RING_INTERRUPT | 5 << 16);
	d[0] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA + SIZE, 8, 1);
	d[1] = dma_command(0xff, 0, 0, 0);
	d[2] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, 8, 1);
	dma_ring_tail(f, 0, 3);
	dma_ring_expect(f, 0, 3, 0);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[0].status), RVIOMMU_SIM_STATUS_FAULT);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[1].status), RVIOMMU_SIM_STATUS_INVALID);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[2].status), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[5]), 0);

	/* It cannot be read any more. */
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, RING_IOVA, SZ_4K), SZ_4K);
	dma_ring_tail(f, 0, 5);
	status = dma_await(f, dma_ring(0, RVIOMMU_SIM_RING_STATUS), RVIOMMU_SIM_RING_BUSY |
			   RVIOMMU_SIM_RING_ERROR, RVIOMMU_SIM_RING_ERROR);
	KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_RING_ERROR_STATUS, status),
			RVIOMMU_SIM_STATUS_FAULT);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_HEAD)), 3);
	dma_expect_count(f, 5, 1);
	/* Mapped again, it stays stopped until it is switched off and on. */
	KUNIT_EXPECT_EQ(test, iommu_map(f->domain, RING_IOVA, virt_to_phys(d), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	dma_ring_tail(f, 0, 6);
	dma_ring_expect(f, 0, 3, status);
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL), 0);
	dma_ring_on(f, 0, RVIOMMU_SIM_RING_INTERRUPT | 5 << 16);
	dma_ring_expect(f, 0, 0, 0);
	d[0] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, 8, 9);
	dma_ring_tail(f, 0, 1);
	dma_ring_expect(f, 0, 1, 0);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[0].status), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[5]), 1);

	/* It can be read, and not be written. */
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, RING_IOVA, SZ_4K), SZ_4K);
	KUNIT_EXPECT_EQ(test, iommu_map(f->domain, RING_IOVA, virt_to_phys(d), SZ_4K, IOMMU_READ,
					GFP_KERNEL), 0);
	d[0] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, 8, 10);
	dma_ring_on(f, 0, 0);
	dma_ring_tail(f, 0, 1);
	status = dma_await(f, dma_ring(0, RVIOMMU_SIM_RING_STATUS), RVIOMMU_SIM_RING_BUSY |
			   RVIOMMU_SIM_RING_ERROR, RVIOMMU_SIM_RING_ERROR);
	KUNIT_EXPECT_EQ(test, FIELD_GET(RVIOMMU_SIM_RING_ERROR_STATUS, status),
			RVIOMMU_SIM_STATUS_FAULT);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[0].status), RVIOMMU_SIM_STATUS_NONE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, 8, 10));

	/* With a PASID that the function may not use */
	dma_put(f, dma_ring(1, RVIOMMU_SIM_RING_PASID), RVIOMMU_SIM_PASID_VALID | 0xfffff);
	dma_ring_on(f, 1, 0);
	dma_ring_tail(f, 1, 1);
	dma_ring_expect(f, 1, 0, RVIOMMU_SIM_RING_ERROR | RVIOMMU_SIM_STATUS_INVALID << 8);
	/* Without bus mastering */
	pci_clear_master(f->pdev);
	dma_ring_on(f, 2, 0);
	dma_ring_tail(f, 2, 1);
	dma_ring_expect(f, 2, 0, RVIOMMU_SIM_RING_ERROR | RVIOMMU_SIM_STATUS_NOT_ENABLED << 8);
}

/* Of a PASID's memory */
static void dma_ring_pasid(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor *d;

	dma_attach_pasid(f);
	d = (struct rviommu_sim_descriptor *)(f->pasid_page + SIZE - SZ_4K);
	d[0] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA, SZ_4K, 1);
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_PASID), RVIOMMU_SIM_PASID_VALID | PASID);
	dma_ring_on(f, 0, 0);
	dma_ring_tail(f, 0, 1);
	dma_ring_expect(f, 0, 1, 0);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(d[0].status), RVIOMMU_SIM_STATUS_OK);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, f->pasid_page[0], 0);
}

static void dma_act_ring(struct dma_fixture *f)
{
	unsigned int i;

	/* Fixed while it is on, and while it stops */
	for (i = 0; i < 2; i++) {
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_PASID), ~0U);
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_BASE_LO), 0);
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_BASE_HI), 0);
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_HEAD), 0);
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_STATUS), 0);
		/* The second one does not switch it on again. */
		dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL), i ? 0xffff0001 : 0xffff0000);
	}
	f->seen = dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_STATUS));
}

/* Switched off in the middle, it ends with the command that it is in. */
static void dma_ring_off(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor *d = dma_descriptors(f, 0);
	u32 control = FIELD_PREP(RVIOMMU_SIM_RING_LG2, RING_LG2);
	unsigned int i;

	for (i = 0; i < 4; i++)
		d[i] = dma_command(RVIOMMU_SIM_CMD_FILL, IOVA + i * SZ_4K, SZ_4K, i);
	dma_ring_on(f, 0, 0);
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_BASE_LO), 0);
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_PASID), ~0U);
	dma_put(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL), ~0U);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL)),
			control | RVIOMMU_SIM_RING_ENABLE);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_PASID)), 0);
	/* Each: read, fill, two to write back. In the second fill. */
	dma_in_flight(f, 5, dma_act_ring);
	dma_ring_tail(f, 0, 4);
	dma_ring_expect(f, 0, 2, 0);
	KUNIT_EXPECT_EQ(test, f->seen, RVIOMMU_SIM_RING_BUSY);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_CONTROL)), control);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_PASID)), 0);
	KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(0, RVIOMMU_SIM_RING_BASE_HI)),
			upper_32_bits(RING_IOVA));
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, le32_to_cpu(d[i].status), i < 2 ? RVIOMMU_SIM_STATUS_OK :
				RVIOMMU_SIM_STATUS_NONE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page + SZ_4K, SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, f->page[SZ_8K], 0);
	/* Off, it hears no doorbell. */
	dma_ring_tail(f, 0, 3);
	dma_ring_expect(f, 0, 2, 0);
}

/* Each way of going wrong, with each size */
static void dma_ring_sizes(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	u32 control, error = RVIOMMU_SIM_RING_ERROR | RVIOMMU_SIM_STATUS_INVALID << 8;
	unsigned int lg2;

	for (lg2 = 0; lg2 < 16; lg2++) {
		bool good = lg2 && lg2 <= RVIOMMU_SIM_RING_MAX_LG2;

		control = FIELD_PREP(RVIOMMU_SIM_RING_LG2, lg2) | RVIOMMU_SIM_RING_ENABLE;
		dma_put(f, dma_ring(3, RVIOMMU_SIM_RING_CONTROL), control);
		KUNIT_EXPECT_EQ(test, dma_get(f, dma_ring(3, RVIOMMU_SIM_RING_CONTROL)),
				good ? control : control & ~RVIOMMU_SIM_RING_ENABLE);
		dma_ring_expect(f, 3, 0, good ? 0 : error);
		dma_put(f, dma_ring(3, RVIOMMU_SIM_RING_CONTROL), 0);
	}
}

static void dma_ring_reset(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct rviommu_sim_descriptor *d = dma_descriptors(f, 0);
	unsigned int i;

	dma_vectors(f);
	pci_save_state(f->pdev);
	for (i = 0; i < 4; i++)
		d[i] = dma_command(RVIOMMU_SIM_CMD_FILL | RVIOMMU_SIM_COMMAND_INTERRUPT |
				   i << 16, IOVA + i * SZ_4K, SZ_4K, i);
	/* In the fill of the second, and where what became of it is written */
	for (i = 5; i < 8; i++) {
		d[0].status = 0;
		d[1].status = 0;
		dma_ring_on(f, 0, RVIOMMU_SIM_RING_INTERRUPT | 5 << 16);
		dma_in_flight(f, i, dma_act_reset);
		dma_ring_tail(f, 0, 4);
		dma_wait_ready(f);
		KUNIT_EXPECT_EQ(test, f->seen, ~0U);
		KUNIT_EXPECT_EQ(test, f->hooked, i + 1);
		dma_expect_registers_clear(f);
		KUNIT_EXPECT_EQ(test, le32_to_cpu(d[0].status), RVIOMMU_SIM_STATUS_OK);
		KUNIT_EXPECT_EQ(test, le32_to_cpu(d[1].status), i < 7 ? RVIOMMU_SIM_STATUS_NONE :
				RVIOMMU_SIM_STATUS_OK);
		KUNIT_EXPECT_EQ(test, f->page[SZ_8K], 0);
		pci_restore_state(f->pdev);
	}
	rviommu_sim_set_in_flight(&f->pdev->dev, NULL);
	dma_do(f, RVIOMMU_SIM_CMD_NOP | RVIOMMU_SIM_COMMAND_INTERRUPT | 7 << 16, 0, 0, 0);
	dma_expect_count(f, 7, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[1]), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->irq.count[5]), 0);
}

/* ----- Hostile software ----- */

static void dma_write(struct dma_fixture *f, unsigned int reg, unsigned int size, u32 value)
{
	switch (size) {
	case 1:
		pci_write_config_byte(f->pdev, f->vsec + reg, value);
		break;
	case 2:
		pci_write_config_word(f->pdev, f->vsec + reg, value);
		break;
	case 4:
		pci_write_config_dword(f->pdev, f->vsec + reg, value);
		break;
	}
}

/* Everything written everywhere, in every size; then it works as if nothing had been. */
static void dma_hostile(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	unsigned int reg, size, i;

	/* Only what cannot be written anyway is left to it. */
	KUNIT_ASSERT_EQ(test, iommu_unmap(f->domain, IOVA, SIZE), SIZE);
	for (reg = 0; reg < RVIOMMU_SIM_VSEC_LENGTH; reg++) {
		for (size = 1; size <= 4; size *= 2) {
			if (reg % size)
				continue;
			for (i = 0; i < 8 * size; i++) {
				dma_write(f, reg, size, BIT(i));
				dma_write(f, reg, size, ~BIT(i));
			}
			dma_write(f, reg, size, 0);
			dma_write(f, reg, size, ~0U);
		}
	}
	/* With all others as that left them */
	for (i = 0; i < 64; i++)
		for (reg = 0; reg < RVIOMMU_SIM_VSEC_LENGTH; reg += 4)
			dma_write(f, reg, 4, (i * 0x9e3779b9U) ^ (reg * 0x85ebca6bU));
	KUNIT_EXPECT_EQ(test, dma_get(f, RVIOMMU_SIM_REG_FEATURES) &
			RVIOMMU_SIM_FEATURES_RINGS, RVIOMMU_SIM_RINGS);
	KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev), 0);
	dma_expect_registers_clear(f);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(f->page, 0, SIZE), NULL);
	KUNIT_ASSERT_EQ(test, iommu_map(f->domain, IOVA, virt_to_phys(f->page), SIZE,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	pci_set_master(f->pdev);
	KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_FILL, IOVA, SZ_4K, 3),
			RVIOMMU_SIM_STATUS_OK);
}

/* ----- Functions that go ----- */

/**
 * struct dma_hammer - a thread that rings doorbells all the time
 * @pdev: the function, held
 * @vsec: where its registers are
 * @rounds: so far
 */
struct dma_hammer {
	struct pci_dev *pdev;
	unsigned int vsec;
	unsigned long rounds;
};

static int dma_hammer(void *data)
{
	struct dma_hammer *h = data;
	u32 i = 0;

	while (!kthread_should_stop()) {
		pci_write_config_dword(h->pdev, h->vsec + RVIOMMU_SIM_REG_DOORBELL, 1);
		pci_write_config_dword(h->pdev, h->vsec + dma_ring(0, RVIOMMU_SIM_RING_TAIL), ++i);
		WRITE_ONCE(h->rounds, h->rounds + 1);
		cond_resched();
	}
	return 0;
}

/* By notice, without, and as the user does it; its commands are under way each time. */
static void dma_hotplug(struct kunit *test)
{
	struct dma_fixture *f = dma_up(test);
	struct pci_bus *bus = f->pdev->bus;
	struct task_struct *task;
	struct dma_hammer h;
	unsigned int i;

	kunit_release_action(test, dma_detach, f);
	rviommu_simtest_release(test, f->group);
	for (i = 0; i < 6; i++) {
		h = (struct dma_hammer) { .pdev = pci_dev_get(f->pdev), .vsec = f->vsec };
		pci_set_master(f->pdev);
		dma_put(f, RVIOMMU_SIM_REG_COMMAND, RVIOMMU_SIM_CMD_FILL);
		dma_put(f, RVIOMMU_SIM_REG_COMMAND + 0x18, SZ_4K);
		dma_ring_on(f, 0, 0);
		task = kthread_run(dma_hammer, &h, "dma_hammer");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		rviommu_simtest_wait(&h.rounds, 3);
		if (i % 3 < 2) {
			rviommu_sim_remove_function(f->sim, 0, i % 3);
			KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
		} else {
			pci_stop_and_remove_bus_device_locked(f->pdev);
			pci_lock_rescan_remove();
			pci_rescan_bus(bus);
			pci_unlock_rescan_remove();
		}
		kthread_stop(task);
		pci_dev_put(h.pdev);
		f->pdev = to_pci_dev(rviommu_sim_function(f->sim, 0));
		KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev), 0);
		KUNIT_EXPECT_EQ(test, dma_do(f, RVIOMMU_SIM_CMD_NOP, 0, 0, 0),
				RVIOMMU_SIM_STATUS_OK);
	}
}

static struct kunit_case dma_cases[] = {
	KUNIT_CASE(dma_layout),
	KUNIT_CASE(dma_commands),
	KUNIT_CASE(dma_errors),
	KUNIT_CASE(dma_pasids),
	KUNIT_CASE(dma_translate),
	KUNIT_CASE(dma_interrupts),
	KUNIT_CASE(dma_busy),
	KUNIT_CASE(dma_master),
	KUNIT_CASE(dma_sleep),
	KUNIT_CASE(dma_reset),
	KUNIT_CASE(dma_rings),
	KUNIT_CASE(dma_ring_errors),
	KUNIT_CASE(dma_ring_pasid),
	KUNIT_CASE(dma_ring_off),
	KUNIT_CASE(dma_ring_sizes),
	KUNIT_CASE(dma_ring_reset),
	KUNIT_CASE(dma_hostile),
	KUNIT_CASE(dma_hotplug),
	{}
};

static struct kunit_suite dma_suite = {
	.name = "rviommu_sim_pci_dma",
	.test_cases = dma_cases,
};

kunit_test_suite(dma_suite);
