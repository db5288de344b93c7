// SPDX-License-Identifier: GPL-2.0-only
/*
 * The Page Request Extended Capability of simulated PCI functions (PCI Express Base
 * Specification, "Page Request Extended Capability Structure"): its registers, and what resets
 * and removal do to what is outstanding. The test plays the software (pritest.h); the driver,
 * whose directory has one level here, does not use ATS.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <rviommu/formats.h>
#include <rviommu/sim.h>

#include <uapi/linux/rviommu_sim.h>

#include "pritest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define CAPACITY	11
#define NONE		RVIOMMU_PRITEST_NO_PASID

/**
 * struct fn_pri_fixture - an instance with one function
 * @test: whose
 * @sim: the instance
 * @pdev: the function
 * @pri: where its capability is
 * @group: its group, whose DMA is ours
 * @domain: what is attached, empty at first
 * @pages: memory to be mapped
 * @pdt: its process directory
 * @p: the software
 */
struct fn_pri_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pdev;
	int pri;
	struct iommu_group *group;
	struct iommu_domain *domain;
	u8 *pages;
	u64 *pdt;
	struct rviommu_pritest p;
};

static void fn_pri_detach(void *data)
{
	struct fn_pri_fixture *f = data;

	iommu_detach_group(f->domain, f->group);
}

static u16 fn_ctrl(struct fn_pri_fixture *f)
{
	u16 value = 0;

	pci_read_config_word(f->pdev, f->pri + PCI_PRI_CTRL, &value);
	return value;
}

static u16 fn_status(struct fn_pri_fixture *f)
{
	u16 value = 0;

	pci_read_config_word(f->pdev, f->pri + PCI_PRI_STATUS, &value);
	return value;
}

static u32 fn_allocation(struct fn_pri_fixture *f)
{
	u32 value = 0;

	pci_read_config_dword(f->pdev, f->pri + PCI_PRI_ALLOC_REQ, &value);
	return value;
}

static void fn_set_ctrl(struct fn_pri_fixture *f, u16 value)
{
	pci_write_config_word(f->pdev, f->pri + PCI_PRI_CTRL, value);
}

static void fn_enable(struct fn_pri_fixture *f, u32 allocation)
{
	pci_write_config_dword(f->pdev, f->pri + PCI_PRI_ALLOC_REQ, allocation);
	fn_set_ctrl(f, PCI_PRI_CTRL_ENABLE);
}

static struct rviommu_sim_pri_stats fn_stats(struct fn_pri_fixture *f)
{
	struct rviommu_sim_pri_stats stats = {};

	KUNIT_EXPECT_EQ(f->test, rviommu_sim_pri_stats(&f->pdev->dev, &stats), 0);
	return stats;
}

/*
 * A function that may do all but page requests, and a context that lets it. Where the IOMMU core
 * knows of resets, the driver makes a new context after each.
 */
static void fn_pri_init(struct fn_pri_fixture *f)
{
	struct pci_dev *pdev = f->pdev;
	int pasid = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID);
	int ats = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS);

	rviommu_pritest_pasids(&f->p, &pdev->dev, f->pdt);
	rviommu_pritest_context(&f->p, &pdev->dev, 0, RVIOMMU_DC_TC_EN_ATS |
				RVIOMMU_DC_TC_EN_PRI | RVIOMMU_DC_TC_PRPR);
	pci_set_master(pdev);
	pci_write_config_word(pdev, pasid + PCI_PASID_CTRL, PCI_PASID_CTRL_ENABLE);
	pci_write_config_word(pdev, ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
}

static struct fn_pri_fixture *fn_pri_up_with(struct kunit *test, u64 timeout)
{
	struct fn_pri_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	struct device *dev;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->pdt = rviommu_simtest_pages(test, SZ_4K);
	rviommu_sim_config_init(&config);
	rviommu_sim_config_levels(&config, 1);
	config.endpoints = 0;
	config.pci_functions = 1;
	config.pci_bus = 0;
	config.ats = true;
	config.pri_capacity = CAPACITY;
	if (timeout)
		config.pri_timeout = timeout;
	f->pages = rviommu_simtest_pages(test, SZ_16K);
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_fn_pri", &config);
	dev = rviommu_sim_function(f->sim, 0);
	f->pdev = to_pci_dev(dev);
	f->pri = pci_find_ext_capability(f->pdev, PCI_EXT_CAP_ID_PRI);
	KUNIT_ASSERT_NE(test, f->pri, 0);
	f->group = rviommu_simtest_claim(test, dev);
	f->domain = rviommu_simtest_domain(test, dev);
	rviommu_pritest_up(test, &f->p, dev, 6);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, f->group), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, fn_pri_detach, f), 0);
	fn_pri_init(f);
	return f;
}

static struct fn_pri_fixture *fn_pri_up(struct kunit *test)
{
	return fn_pri_up_with(test, 0);
}

/* The core wants a device back before it goes. */
static void fn_pri_give_back(struct fn_pri_fixture *f)
{
	kunit_release_action(f->test, fn_pri_detach, f);
	rviommu_simtest_release(f->test, f->group);
}

static struct rviommu_pritest_job *fn_go(struct fn_pri_fixture *f, int pasid, unsigned int page,
					 unsigned int nr)
{
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = pasid != NONE, .pasid = pasid != NONE ? pasid : 0,
		.iova = IOVA + page * SZ_4K, .length = nr * SZ_4K, .operand = 1,
	};

	return rviommu_pritest_go(f->test, &f->pdev->dev, &dma);
}

/* One access can ask for nothing now. */
static void fn_await_waiter(struct fn_pri_fixture *f)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!fn_stats(f).waits) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/* ----- Registers ----- */

static void fn_pri_registers(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct pci_dev *pdev = f->pdev;
	u32 value;
	u8 byte;

	pci_read_config_dword(pdev, f->pri + PCI_PRI_MAX_REQ, &value);
	KUNIT_EXPECT_EQ(test, value, CAPACITY);
	KUNIT_EXPECT_EQ(test, fn_allocation(f), 0);
	KUNIT_EXPECT_EQ(test, fn_ctrl(f), 0);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);

	/* Read-only parts */
	pci_write_config_dword(pdev, f->pri + PCI_PRI_MAX_REQ, ~0);
	pci_read_config_dword(pdev, f->pri + PCI_PRI_MAX_REQ, &value);
	KUNIT_EXPECT_EQ(test, value, CAPACITY);
	pci_write_config_word(pdev, f->pri + PCI_PRI_STATUS, 0xffff);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);

	/* Reset reads as 0, and so does what is reserved. */
	fn_set_ctrl(f, 0xfffe);
	KUNIT_EXPECT_EQ(test, fn_ctrl(f), 0);
	fn_enable(f, 7);
	KUNIT_EXPECT_EQ(test, fn_ctrl(f), PCI_PRI_CTRL_ENABLE);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_PASID);
	/* While it is enabled, a change is undefined. */
	pci_write_config_dword(pdev, f->pri + PCI_PRI_ALLOC_REQ, 9);
	KUNIT_EXPECT_EQ(test, fn_allocation(f), 7);
	pci_read_config_byte(pdev, f->pri + PCI_PRI_STATUS + 1, &byte);
	KUNIT_EXPECT_EQ(test, byte, PCI_PRI_STATUS_PASID >> 8);
	fn_set_ctrl(f, 0);
	pci_write_config_dword(pdev, f->pri + PCI_PRI_ALLOC_REQ, 9);
	KUNIT_EXPECT_EQ(test, fn_allocation(f), 9);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
}

/* Flags go when 1 is written to them, in an access of whatever size, or with Enable. */
static void fn_pri_flags(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct pci_dev *pdev = f->pdev;
	u16 both = PCI_PRI_STATUS_UPRGI | PCI_PRI_STATUS_RF | PCI_PRI_STATUS_PASID;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		fn_enable(f, 1);
		rviommu_pritest_send(&f->p, pci_dev_id(pdev), NONE, 3, RVIOMMU_MODEL_PRGR_SUCCESS);
		rviommu_pritest_send(&f->p, pci_dev_id(pdev), NONE, 3, RVIOMMU_MODEL_PRGR_FAILURE);
		KUNIT_EXPECT_EQ(test, fn_status(f), both);
		pci_write_config_word(pdev, f->pri + PCI_PRI_STATUS, 0);
		KUNIT_EXPECT_EQ(test, fn_status(f), both);
		switch (i) {
		case 0:
			pci_write_config_word(pdev, f->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_RF);
			KUNIT_EXPECT_EQ(test, fn_status(f), both & ~PCI_PRI_STATUS_RF);
			pci_write_config_word(pdev, f->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_UPRGI);
			break;
		case 1:
			pci_write_config_byte(pdev, f->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_UPRGI);
			KUNIT_EXPECT_EQ(test, fn_status(f), both & ~PCI_PRI_STATUS_UPRGI);
			pci_write_config_byte(pdev, f->pri + PCI_PRI_STATUS, 0xff);
			break;
		case 2:
			pci_write_config_dword(pdev, f->pri + PCI_PRI_CTRL,
					       PCI_PRI_CTRL_ENABLE | 3 << 16);
			break;
		case 3:
			/* Written to the control register, they mean something else. */
			fn_set_ctrl(f, PCI_PRI_CTRL_RESET);
			KUNIT_EXPECT_EQ(test, fn_status(f), both | PCI_PRI_STATUS_STOPPED);
			fn_set_ctrl(f, PCI_PRI_CTRL_ENABLE);
			break;
		}
		KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_PASID);
		fn_set_ctrl(f, 0);
	}
}

/* ----- Requests ----- */

static void fn_pri_request(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	u16 value;

	/* Disabled, or without PASIDs: no request */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, fn_go(f, 1, 0, 1)), -EFAULT);
	fn_enable(f, 2);
	job = fn_go(f, 1, 0, 4);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, pr.device_id, pci_dev_id(f->pdev));
	KUNIT_EXPECT_EQ(test, pr.process_id, 1);
	KUNIT_EXPECT_EQ(test, pr.payload, IOVA | RVIOMMU_MODEL_PAGE_W);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, pr.payload, (IOVA + SZ_4K) | RVIOMMU_MODEL_PAGE_W |
			RVIOMMU_MODEL_PAGE_L);
	KUNIT_EXPECT_EQ(test, fn_stats(f).outstanding, 2);
	/* A request is no transaction that is pending. */
	pcie_capability_read_word(f->pdev, PCI_EXP_DEVSTA, &value);
	KUNIT_EXPECT_FALSE(test, value & PCI_EXP_DEVSTA_TRPND);
	/* Reset does nothing while it is enabled. */
	fn_set_ctrl(f, PCI_PRI_CTRL_ENABLE | PCI_PRI_CTRL_RESET);
	KUNIT_EXPECT_EQ(test, fn_stats(f).outstanding, 2);
	/* Stopping, it waits for the response. */
	fn_set_ctrl(f, 0);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_PASID);
	KUNIT_EXPECT_EQ(test, iommu_map(f->domain, IOVA, virt_to_phys(f->pages), SZ_16K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->pages, SZ_16K, 1));
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
}

/* The Reset bit, with and behind the one that clears Enable */
static void fn_pri_reset(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct rviommu_pritest_job *job;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fn_enable(f, 1);
		job = fn_go(f, 1, 0, 1);
		rviommu_pritest_read(&f->p);
		if (i)
			fn_set_ctrl(f, 0);
		fn_set_ctrl(f, PCI_PRI_CTRL_RESET);
		KUNIT_EXPECT_EQ(test, fn_ctrl(f), 0);
		KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
		KUNIT_EXPECT_EQ(test, fn_stats(f).outstanding, 0);
	}
}

/* ----- Function-level reset, removal ----- */

/* Those who wait for a response, and those who wait for others to have theirs, end. */
static void fn_pri_flr(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job[2];

	fn_enable(f, 1);
	job[0] = fn_go(f, NONE, 0, 1);
	pr = rviommu_pritest_read(&f->p);
	job[1] = fn_go(f, 1, 1, 1);
	fn_await_waiter(f);
	KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev), 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -EIO);
	KUNIT_EXPECT_EQ(test, fn_ctrl(f), 0);
	KUNIT_EXPECT_EQ(test, fn_allocation(f), 0);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
	KUNIT_EXPECT_EQ(test, fn_stats(f).outstanding, 0);

	/* The response comes to a function that knows of nothing. */
	fn_pri_init(f);
	fn_enable(f, 1);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_SUCCESS);
	KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_UPRGI | PCI_PRI_STATUS_PASID);
	job[0] = fn_go(f, NONE, 0, 1);
	pr = rviommu_pritest_read(&f->p);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
}

static void fn_reset_in_request(struct device *dev)
{
	/* Whoever waited for its end would hold it up. */
	pcie_capability_set_word(to_pci_dev(dev), PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
}

/* In the middle of a group: the rest of it is not sent. */
static void fn_pri_flr_in_group(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	fn_enable(f, 4);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_request(&f->pdev->dev, fn_reset_in_request), 0);
	job = fn_go(f, 1, 0, 4);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EIO);
	rviommu_sim_set_in_request(&f->pdev->dev, NULL);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_FALSE(test, pr.payload & RVIOMMU_MODEL_PAGE_L);
	KUNIT_EXPECT_FALSE(test, rviommu_pritest_poll(&f->p, &pr));
	KUNIT_EXPECT_EQ(test, fn_stats(f).outstanding, 0);
}

/* With notice and without, with requests outstanding; the next one in that slot is new. */
static void fn_pri_removal(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct fn_pri_fixture *f = fn_pri_up(test);
		struct rviommu_model_page_request pr;
		struct rviommu_pritest_job *job[2];

		fn_enable(f, 1);
		job[0] = fn_go(f, NONE, 0, 1);
		pr = rviommu_pritest_read(&f->p);
		job[1] = fn_go(f, 1, 1, 1);
		fn_await_waiter(f);
		fn_pri_give_back(f);
		KUNIT_EXPECT_FALSE(test, completion_done(&job[0]->done));
		rviommu_sim_remove_function(f->sim, 0, i);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -ENODEV);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -ENODEV);
		rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_SUCCESS);
		KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
		f->pdev = to_pci_dev(rviommu_sim_function(f->sim, 0));
		KUNIT_EXPECT_EQ(test, fn_status(f), PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
		KUNIT_EXPECT_EQ(test, fn_stats(f).requests, 0);
		rviommu_simtest_free(test, f->domain);
		rviommu_pritest_down(&f->p);
		rviommu_simtest_destroy(test, f->sim);
	}
}

/* ----- Of commands in the registers ----- */

static u32 fn_register(struct fn_pri_fixture *f, unsigned int reg)
{
	u16 vsec = pci_find_vsec_capability(f->pdev, RVIOMMU_SIM_PCI_VENDOR, RVIOMMU_SIM_VSEC_ID);
	u32 value = 0;

	pci_read_config_dword(f->pdev, vsec + reg, &value);
	return value;
}

static void fn_command(struct fn_pri_fixture *f, u32 code, unsigned int page)
{
	u16 vsec = pci_find_vsec_capability(f->pdev, RVIOMMU_SIM_PCI_VENDOR, RVIOMMU_SIM_VSEC_ID);
	const struct rviommu_sim_descriptor d = {
		.command = cpu_to_le32(code | RVIOMMU_SIM_COMMAND_PASID),
		.pasid = cpu_to_le32(1),
		.iova = cpu_to_le64(IOVA + page * SZ_4K),
		.length = cpu_to_le64(SZ_4K),
		.operand = cpu_to_le64(code == RVIOMMU_SIM_CMD_FILL ? 7 : 0),
	};
	const __le32 *word = (const __le32 *)&d;
	unsigned int i;

	for (i = 0; i < offsetof(struct rviommu_sim_descriptor, status) / 4; i++)
		pci_write_config_dword(f->pdev, vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i,
				       le32_to_cpu(word[i]));
	pci_write_config_dword(f->pdev, vsec + RVIOMMU_SIM_REG_DOORBELL,
			       RVIOMMU_SIM_DOORBELL_GO);
}

/* How it ended, after so many groups of requests, the last of which had that response */
static void fn_expect_end(struct fn_pri_fixture *f, u32 status, u32 requests, u32 response)
{
	const unsigned int at = RVIOMMU_SIM_REG_COMMAND;
	unsigned long end = jiffies + 60 * HZ;
	u32 info;

	while (fn_register(f, RVIOMMU_SIM_REG_DOORBELL) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(f->test, fn_register(f, RVIOMMU_SIM_REG_DOORBELL), 0);
	KUNIT_EXPECT_EQ(f->test, status,
			fn_register(f, at + offsetof(struct rviommu_sim_descriptor, status)));
	info = fn_register(f, at + offsetof(struct rviommu_sim_descriptor, info));
	KUNIT_EXPECT_EQ(f->test, FIELD_GET(RVIOMMU_SIM_INFO_REQUESTS, info), requests);
	KUNIT_EXPECT_EQ(f->test, FIELD_GET(RVIOMMU_SIM_INFO_RESPONSE, info), response);
}

/* It waits while the function asks, and says what came of that. */
static void fn_pri_command(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up(test);
	struct rviommu_model_page_request pr;

	fn_enable(f, 4);
	fn_command(f, RVIOMMU_SIM_CMD_FILL, 0);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, pr.process_id, 1);
	KUNIT_EXPECT_EQ(test, fn_register(f, RVIOMMU_SIM_REG_DOORBELL), RVIOMMU_SIM_DOORBELL_BUSY);
	KUNIT_EXPECT_EQ(test, iommu_map(f->domain, IOVA, virt_to_phys(f->pages), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_SUCCESS);
	fn_expect_end(f, RVIOMMU_SIM_STATUS_OK, 1, RVIOMMU_MODEL_PRGR_SUCCESS);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->pages, SZ_4K, 7));

	/* A translation and nothing else, of which this one is for reads */
	fn_command(f, RVIOMMU_SIM_CMD_TRANSLATE, 1);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, pr.payload, (IOVA + SZ_4K) | RVIOMMU_MODEL_PAGE_R |
			RVIOMMU_MODEL_PAGE_L);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_INVALID);
	fn_expect_end(f, RVIOMMU_SIM_STATUS_FAULT, 1, RVIOMMU_MODEL_PRGR_INVALID);

	fn_command(f, RVIOMMU_SIM_CMD_FILL, 2);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(&f->pdev->dev, 1), 0);
	fn_expect_end(f, RVIOMMU_SIM_STATUS_STOPPED, 1, RVIOMMU_MODEL_PRGR_SUCCESS);
	/* Behind its Stop Marker */
	rviommu_pritest_read(&f->p);
	rviommu_pritest_respond(&f->p, &pr, RVIOMMU_MODEL_PRGR_INVALID);
	/* A register stops a PASID, too. */
	fn_command(f, RVIOMMU_SIM_CMD_STOP_PASID, 0);
	fn_expect_end(f, RVIOMMU_SIM_STATUS_OK, 0, 0);
	KUNIT_EXPECT_EQ(test, fn_stats(f).markers, 2);
}

/* Nobody answers. */
static void fn_pri_command_late(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up_with(test, NSEC_PER_MSEC);

	fn_enable(f, 4);
	fn_command(f, RVIOMMU_SIM_CMD_FILL, 0);
	fn_expect_end(f, RVIOMMU_SIM_STATUS_NO_RESPONSE, 1, 0);
}

/* A reset and a removal do not wait for an answer. */
static void fn_pri_command_ends(struct kunit *test)
{
	struct fn_pri_fixture *f = fn_pri_up_with(test, 3600ULL * NSEC_PER_SEC);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fn_enable(f, 4);
		fn_command(f, RVIOMMU_SIM_CMD_FILL, 0);
		rviommu_pritest_read(&f->p);
		KUNIT_EXPECT_EQ(test, pcie_flr(f->pdev), 0);
		KUNIT_EXPECT_EQ(test, fn_register(f, RVIOMMU_SIM_REG_DOORBELL), 0);
		KUNIT_EXPECT_EQ(test, fn_register(f, RVIOMMU_SIM_REG_COMMAND), 0);
		fn_pri_init(f);
	}
	fn_enable(f, 4);
	fn_command(f, RVIOMMU_SIM_CMD_FILL, 0);
	rviommu_pritest_read(&f->p);
	fn_pri_give_back(f);
	rviommu_sim_remove_function(f->sim, 0, false);
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 0));
}

static struct kunit_case fn_pri_cases[] = {
	KUNIT_CASE(fn_pri_registers),
	KUNIT_CASE(fn_pri_flags),
	KUNIT_CASE(fn_pri_request),
	KUNIT_CASE(fn_pri_reset),
	KUNIT_CASE(fn_pri_flr),
	KUNIT_CASE(fn_pri_flr_in_group),
	KUNIT_CASE(fn_pri_removal),
	KUNIT_CASE(fn_pri_command),
	KUNIT_CASE(fn_pri_command_late),
	KUNIT_CASE(fn_pri_command_ends),
	{}
};

static struct kunit_suite fn_pri_suite = {
	.name = "rviommu_sim_pci_pri",
	.test_cases = fn_pri_cases,
};

kunit_test_suite(fn_pri_suite);
