// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI functions of a simulated IOMMU, as the PCI core and drivers see them. They are
 * real to both: each test does with them what it would do with any function.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/formats.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include <uapi/linux/rviommu_sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iommu.h"
#include "../src/driver/rviommu.h"
#include "hw.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define FUNCTIONS	3
#define THREADS		3

/**
 * struct fn_fixture - an instance with nothing but functions
 * @test: whose
 * @sim: the instance; NULL when it is gone
 * @page: 64 KiB of zeroes that outlive whoever may still write there
 * @resets: how many resets fn_reset_in_flight() still does
 */
struct fn_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	u8 *page;
	unsigned int resets;
};

static void fn_end(void *data)
{
	struct fn_fixture *f = data;

	rviommu_sim_destroy(f->sim);
}

static void fn_free_pages(void *pages)
{
	free_pages_exact(pages, SZ_64K);
}

static void fn_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	config->endpoints = 0;
	config->pci_functions = FUNCTIONS;
	config->pci_bus = 0;
	config->pasid_bits = 12;
	config->ats = true;
	config->ats_depth = 5;
}

static struct fn_fixture *fn_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct fn_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->page = alloc_pages_exact(SZ_64K, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, f->page);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, fn_free_pages, f->page), 0);
	f->sim = rviommu_sim_create("rviommu_kunit_pci", config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->sim);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, fn_end, f), 0);
	return f;
}

static struct fn_fixture *fn_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	fn_config(&config);
	return fn_up(test, &config);
}

static struct pci_dev *fn_pdev(struct fn_fixture *f, unsigned int index)
{
	struct device *dev = rviommu_sim_function(f->sim, index);

	KUNIT_ASSERT_NOT_NULL(f->test, dev);
	return to_pci_dev(dev);
}

static int fn_fill(struct pci_dev *pdev, u64 iova, size_t length, u64 seed)
{
	return rviommu_simtest_fill(&pdev->dev, 0, iova, length, seed);
}

/* As it stands in the capability; 0 is 32. The core's function is not for modules. */
static unsigned int fn_queue_depth(struct pci_dev *pdev)
{
	int pos = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS);
	u16 cap = 0;

	pci_read_config_word(pdev, pos + PCI_ATS_CAP, &cap);
	return PCI_ATS_CAP_QDEP(cap);
}

/* ----- What there is ----- */

static void fn_appear(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct iommu_group *groups[FUNCTIONS];
	struct iommu_device *ours;
	struct pci_dev *pdev;
	unsigned int i, k;

	for (i = 0; i < FUNCTIONS; i++) {
		pdev = fn_pdev(f, i);
		KUNIT_EXPECT_EQ(test, pci_domain_nr(pdev->bus), pci_domain_nr(fn_pdev(f, 0)->bus));
		KUNIT_EXPECT_GE(test, pci_domain_nr(pdev->bus), 0x1000);
		KUNIT_EXPECT_LE(test, pci_domain_nr(pdev->bus), 0xffff);
		KUNIT_EXPECT_EQ(test, pci_dev_id(pdev), i << 3);
		KUNIT_EXPECT_EQ(test, pci_pcie_type(pdev), PCI_EXP_TYPE_RC_END);
		KUNIT_EXPECT_EQ(test, pdev->class >> 8, PCI_CLASS_ACCELERATOR_PROCESSING);
		KUNIT_EXPECT_EQ(test, pci_max_pasids(pdev), BIT(12));
		KUNIT_EXPECT_EQ(test, pci_pasid_features(pdev),
				PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV);
		KUNIT_EXPECT_TRUE(test, pci_ats_supported(pdev));
		KUNIT_EXPECT_EQ(test, fn_queue_depth(pdev), 5);
		KUNIT_EXPECT_EQ(test, rviommu_sim_ats_depth(&pdev->dev), 5);
		KUNIT_EXPECT_NE(test, pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PRI), 0);
		KUNIT_EXPECT_TRUE(test, device_iommu_mapped(&pdev->dev));
		KUNIT_EXPECT_PTR_EQ(test, pdev->dev.iommu->iommu_dev->ops, &rviommu_ops);
		groups[i] = iommu_group_get(&pdev->dev);
		KUNIT_EXPECT_NOT_NULL(test, groups[i]);
		for (k = 0; k < i; k++)
			KUNIT_EXPECT_PTR_NE(test, groups[i], groups[k]);
	}
	for (i = 0; i < FUNCTIONS; i++)
		iommu_group_put(groups[i]);
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, FUNCTIONS));

	/* Nobody else's device was taken; the machine may have an IOMMU of the driver's itself. */
	ours = fn_pdev(f, 0)->dev.iommu->iommu_dev;
	pdev = NULL;
	for_each_pci_dev(pdev) {
		if (pci_domain_nr(pdev->bus) < 0x1000 && device_iommu_mapped(&pdev->dev))
			KUNIT_EXPECT_PTR_NE(test, pdev->dev.iommu->iommu_dev, ours);
	}
}

/* What an instance leaves out is not there. */
static void fn_capabilities(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct pci_dev *pdev;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct rviommu_sim *sim;

		fn_config(&config);
		config.ats = i & 1;
		config.pri = i & 2;
		config.pasid_bits = i & 4 ? 20 : 0;
		config.ats_depth = 32;
		sim = rviommu_sim_create("rviommu_kunit_pci", &config);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
		pdev = to_pci_dev(rviommu_sim_function(sim, 0));
		KUNIT_EXPECT_EQ(test, pci_ats_supported(pdev), config.ats);
		KUNIT_EXPECT_EQ(test, !!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PRI),
				config.ats && config.pri);
		KUNIT_EXPECT_EQ(test, !!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID),
				!!config.pasid_bits);
		if (config.ats)
			KUNIT_EXPECT_EQ(test, fn_queue_depth(pdev), 0);
		if (config.pasid_bits)
			KUNIT_EXPECT_EQ(test, pci_max_pasids(pdev), BIT(20));
		rviommu_sim_destroy(sim);
	}

	fn_config(&config);
	config.pci_functions = 33;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	config.pci_functions = 32;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
	rviommu_sim_config_levels(&config, 1);
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	config.pci_functions = 8;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
	config.endpoints = 1;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	config.first_id = 17;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
}

/* Of everything, software changes what it may and nothing else. */
static void fn_write_masks(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 0);
	unsigned int exp = pci_pcie_cap(pdev), where;
	unsigned int msi = pci_find_capability(pdev, PCI_CAP_ID_MSI);
	unsigned int vsec = pci_find_vsec_capability(pdev, RVIOMMU_SIM_PCI_VENDOR,
						     RVIOMMU_SIM_VSEC_ID);
	u32 before, after, mask;

	/* While ATS is on, those of PASIDs cannot be changed. */
	pci_write_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, 0);
	for (where = 0; where < PCI_CFG_SPACE_EXP_SIZE; where += 4) {
		/* The engine's registers are a subject of their own. */
		if (where >= vsec && where < vsec + RVIOMMU_SIM_VSEC_LENGTH)
			continue;
		mask = 0;
		if (where == PCI_COMMAND)
			mask = PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			       PCI_COMMAND_INTX_DISABLE;
		else if (where == PCI_CACHE_LINE_SIZE || where == PCI_INTERRUPT_LINE)
			mask = 0xff;
		else if (where == exp + PCI_EXP_DEVCTL)
			mask = 0x781f;
		else if (where == msi)
			mask = 0x71 << 16;
		else if (where == msi + PCI_MSI_ADDRESS_LO)
			mask = ~3U;
		else if (where == msi + PCI_MSI_ADDRESS_HI)
			mask = ~0U;
		else if (where == msi + PCI_MSI_DATA_64)
			mask = 0xffff;
		else if (where == msi + PCI_MSI_MASK_64)
			mask = 0xff;
		else if (where == pdev->pm_cap + PCI_PM_CTRL)
			mask = PCI_PM_CTRL_STATE_MASK;
		else if (where == pdev->pasid_cap + PCI_PASID_CAP)
			mask = 7 << 16;
		else if (where == pdev->ats_cap + PCI_ATS_CAP)
			mask = 0x801fU << 16;
		else if (where == pdev->pri_cap + PCI_PRI_CTRL)
			mask = PCI_PRI_CTRL_ENABLE | PCI_PRI_STATUS_STOPPED << 16;
		else if (where == pdev->pri_cap + PCI_PRI_ALLOC_REQ)
			mask = ~0U;
		pci_read_config_dword(pdev, where, &before);
		/* All but the reset */
		pci_write_config_dword(pdev, where, where == exp + PCI_EXP_DEVCTL ? 0x7fff : ~0U);
		pci_read_config_dword(pdev, where, &after);
		KUNIT_EXPECT_EQ_MSG(test, (before ^ after) & ~mask, 0, "at %#x", where);
		if (where != pdev->pri_cap + PCI_PRI_CTRL)
			KUNIT_EXPECT_EQ_MSG(test, after & mask, mask, "at %#x", where);
		pci_write_config_dword(pdev, where, 0);
		pci_read_config_dword(pdev, where, &after);
		if (where != pdev->pri_cap + PCI_PRI_CTRL)
			KUNIT_EXPECT_EQ_MSG(test, after & mask, 0, "at %#x", where);
		pci_write_config_dword(pdev, where, before);
	}
}

/* ----- DMA ----- */

static void fn_dma_api(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 1);
	struct iommu_domain *domain;
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)), 0);
	iova = dma_map_single(&pdev->dev, f->page, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(&pdev->dev, iova));
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, iova, SZ_4K, 1), -EPERM);
	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, iova, SZ_4K, 1), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_4K, 1));
	dma_unmap_single(&pdev->dev, iova, SZ_4K, DMA_FROM_DEVICE);
	/* Deferred, the invalidation comes some time. */
	domain = iommu_get_domain_for_dev(&pdev->dev);
	if (domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
	if (domain->type != IOMMU_DOMAIN_IDENTITY)
		KUNIT_EXPECT_EQ(test, fn_fill(pdev, iova, SZ_4K, 2), -EFAULT);
	pci_clear_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, iova, SZ_4K, 1), -EPERM);
}

/* A function with a domain of our own; undone by fn_release(). */
static struct iommu_domain *fn_claim(struct fn_fixture *f, struct pci_dev *pdev,
				     struct iommu_attach_handle *handle)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	struct iommu_domain *domain = iommu_paging_domain_alloc(&pdev->dev);

	KUNIT_ASSERT_NOT_NULL(f->test, group);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(f->test, domain);
	KUNIT_ASSERT_EQ(f->test, iommu_group_claim_dma_owner(group, f), 0);
	KUNIT_ASSERT_EQ(f->test, iommu_replace_group_handle(group, domain, handle), 0);
	iommu_group_put(group);
	return domain;
}

static void fn_release(struct pci_dev *pdev, struct iommu_domain *domain)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);

	iommu_detach_group_handle(domain, group);
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	iommu_domain_free(domain);
}

static int fn_map(struct fn_fixture *f, struct iommu_domain *domain)
{
	return iommu_map(domain, IOVA, virt_to_phys(f->page), SZ_64K, IOMMU_READ | IOMMU_WRITE,
			 GFP_KERNEL);
}

static void fn_domain(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 2);
	struct iommu_attach_handle handle;
	struct iommu_domain *domain = fn_claim(f, pdev, &handle);

	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, fn_map(f, domain), 0);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 2), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_64K, 2));
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_64K), SZ_64K);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 3), -EFAULT);
	fn_release(pdev, domain);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 3), -EFAULT);
}

/* Requests with PASID leave the function when its registers say so. */
static void fn_pasid(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 0);
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_VERIFY, .pv = true, .pasid = 3, .iova = IOVA, .length = 8,
	};
	unsigned int ctrl = pdev->pasid_cap + PCI_PASID_CTRL;
	u16 value, now;

	pci_set_master(pdev);
	/* While ATS is on that is undefined, and has no effect here. */
	pci_read_config_word(pdev, ctrl, &value);
	pci_write_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
	pci_write_config_word(pdev, ctrl, ~value & PCI_PASID_CTRL_ENABLE);
	pci_read_config_word(pdev, ctrl, &now);
	KUNIT_EXPECT_EQ(test, now, value);
	pci_write_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, 0);
	pci_write_config_word(pdev, ctrl, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EPERM);
	pci_write_config_word(pdev, ctrl, PCI_PASID_CTRL_ENABLE);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EFAULT);
	dma.priv = true;
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EPERM);
	pci_write_config_word(pdev, ctrl, PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_PRIV);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EFAULT);
	dma.exec = true;
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EPERM);
	pci_write_config_word(pdev, ctrl, PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_PRIV |
			      PCI_PASID_CTRL_EXEC);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EFAULT);
	dma.pasid = BIT(12);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EINVAL);
}

static u64 *fn_dc(struct fn_fixture *f, struct pci_dev *pdev)
{
	u64 ddtp = rviommu_model_read64(rviommu_sim_model(f->sim), RVIOMMU_REG_DDTP);
	u64 *page = phys_to_virt(FIELD_GET(RVIOMMU_DDTP_PPN, ddtp) << 12);

	return page + pci_dev_id(pdev) * RVIOMMU_DC_WORDS_EXT;
}

static void fn_send(struct fn_fixture *f, struct pci_dev *pdev, struct rviommu_command cmd)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(&pdev->dev);

	KUNIT_EXPECT_EQ(f->test, rviommu_cmdq_sync(&ep->iommu->cmdq, &cmd, 1), 0);
}

static void fn_forget(struct fn_fixture *f, struct pci_dev *pdev)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_OPCODE, RVIOMMU_CMD_OPCODE_ATS) |
		     FIELD_PREP(RVIOMMU_CMD_FUNC3, RVIOMMU_CMD_ATS_INVAL) |
		     FIELD_PREP(RVIOMMU_CMD_ATS_RID, pci_dev_id(pdev));

	fn_send(f, pdev, (struct rviommu_command){
		.dword = { cpu_to_le64(dword0), cpu_to_le64(GENMASK_ULL(63, 11)) },
	});
}

/* The ATC, switched by the function's register; EN_ATS is set by hand. */
static void fn_ats(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iommu_attach_handle handle;
	struct iommu_domain *domain;
	struct fn_fixture *f;
	struct pci_dev *pdev;
	unsigned int ctrl;
	u64 *dc;

	fn_config(&config);
	rviommu_sim_config_levels(&config, 1);
	f = fn_up(test, &config);
	pdev = fn_pdev(f, 2);
	ctrl = pdev->ats_cap + PCI_ATS_CTRL;
	domain = fn_claim(f, pdev, &handle);
	KUNIT_EXPECT_EQ(test, fn_map(f, domain), 0);
	dc = fn_dc(f, pdev);
	WRITE_ONCE(dc[RVIOMMU_DC_TC], dc[RVIOMMU_DC_TC] | RVIOMMU_DC_TC_EN_ATS);
	fn_send(f, pdev, rviommu_cmd_inval_ddt(pci_dev_id(pdev)));

	pci_set_master(pdev);
	pci_write_config_word(pdev, ctrl, 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(&pdev->dev));
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_list_atc(&pdev->dev, NULL, NULL), 0);
	pci_write_config_word(pdev, ctrl, PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(&pdev->dev));
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 2), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_64K, 2));
	KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	fn_forget(f, pdev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 3), 0);
	KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	KUNIT_EXPECT_EQ(test, pcie_flr(pdev), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(&pdev->dev));
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	fn_release(pdev, domain);
}

/*
 * Asleep, it answers nobody who asks it to forget something. What knows of it, the driver,
 * does not ask, and what has become stale meanwhile is used by nobody after it has woken up.
 */
static void fn_sleep(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 0);
	struct rviommu_sim_atc_stats before, after;
	struct iommu_attach_handle handle;
	struct iommu_domain *domain = fn_claim(f, pdev, &handle);
	struct rviommu_endpoint *ep = dev_iommu_priv_get(&pdev->dev);
	u16 value;

	KUNIT_EXPECT_EQ(test, fn_map(f, domain), 0);
	KUNIT_ASSERT_TRUE(test, rviommu_sim_ats_enabled(&pdev->dev));
	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), 0);
	KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	rviommu_sim_atc_stats(&pdev->dev, &before);

	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D1), -EIO);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D3hot), 0);
	KUNIT_EXPECT_TRUE(test, pdev->current_state == PCI_D3hot);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), -EPERM);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	rviommu_sim_atc_stats(&pdev->dev, &after);
	KUNIT_EXPECT_EQ(test, after.invalidations, before.invalidations);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D0), 0);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_4K, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA + SZ_4K, SZ_4K, 2), 0);

	/* A state that it does not have */
	pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &value);
	pci_write_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, value | 2);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA + SZ_4K, SZ_4K, 2), 0);
	pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &value);
	KUNIT_EXPECT_EQ(test, value, PCI_PM_CTRL_NO_SOFT_RESET);
	fn_release(pdev, domain);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(ep->lost));
}

/**
 * struct fn_unmap - a thread that unmaps
 * @domain: from this
 * @unmapped: bytes of the page at IOVA
 */
struct fn_unmap {
	struct iommu_domain *domain;
	size_t unmapped;
};

static int fn_unmap_thread(void *data)
{
	struct fn_unmap *u = data;

	u->unmapped = iommu_unmap(u->domain, IOVA, SZ_4K);
	return 0;
}

/*
 * The PCI core takes note of its sleep later than it sleeps. In between it is asked, and does not
 * answer; when the core has taken note it is not waited for, nor is it lost.
 */
static void fn_falls_asleep(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 0);
	struct iommu_attach_handle handle;
	struct fn_unmap u = { .domain = fn_claim(f, pdev, &handle) };
	struct rviommu_endpoint *ep = dev_iommu_priv_get(&pdev->dev);
	struct rviommu_cmdq *cq = &ep->iommu->cmdq;
	struct rviommu_sim_atc_stats before, after;
	struct task_struct *task;

	KUNIT_EXPECT_EQ(test, fn_map(f, u.domain), 0);
	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), 0);
	rviommu_sim_atc_stats(&pdev->dev, &before);
	/* Longer than anybody waits here: the simulated hardware does not give up before. */
	cq->timeout_us = 20 * RVIOMMU_FENCE_TIMEOUT_US;
	pci_write_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, (__force u16)PCI_D3hot);
	task = kthread_create(fn_unmap_thread, &u, "rviommu-unmap");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	wake_up_process(task);
	do {
		schedule_timeout_uninterruptible(1);
		rviommu_sim_atc_stats(&pdev->dev, &after);
	} while (after.lost == before.lost);
	KUNIT_EXPECT_EQ(test, READ_ONCE(u.unmapped), 0);
	WRITE_ONCE(pdev->current_state, PCI_D3hot);
	KUNIT_EXPECT_EQ(test, kthread_stop_put(task), 0);
	cq->timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	KUNIT_EXPECT_EQ(test, u.unmapped, SZ_4K);
	KUNIT_EXPECT_EQ(test, atomic64_read(&cq->events[RVIOMMU_CMDQ_AWAY]), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&cq->events[RVIOMMU_CMDQ_TIMEOUT]), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(&pdev->dev));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(ep->lost));

	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D0), 0);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_4K, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA + SZ_4K, SZ_4K, 2), 0);
	fn_release(pdev, u.domain);
}

/* Put to sleep behind the driver's back, it is asked, and is lost. A reset wakes it. */
static void fn_sleep_unknown(struct kunit *test)
{
	struct iommu_attach_handle handle;
	struct rviommu_sim_config config;
	struct rviommu_sim_atc_stats stats;
	struct rviommu_endpoint *ep;
	struct iommu_domain *domain;
	struct fn_fixture *f;
	struct pci_dev *pdev;

	fn_config(&config);
	config.model.ats_timeout = 100 * NSEC_PER_MSEC;
	f = fn_up(test, &config);
	pdev = fn_pdev(f, 0);
	ep = dev_iommu_priv_get(&pdev->dev);
	domain = fn_claim(f, pdev, &handle);
	KUNIT_EXPECT_EQ(test, fn_map(f, domain), 0);
	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, SZ_64K, 1), 0);
	pci_write_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, (__force u16)PCI_D3hot);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(ep->lost));
	rviommu_sim_atc_stats(&pdev->dev, &stats);
	KUNIT_EXPECT_GT(test, stats.lost, 0);
	KUNIT_EXPECT_EQ(test, pcie_flr(pdev), 0);
	pci_set_master(pdev);
	/* Awake; and blocked, where the core does not tell the driver of a reset. */
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA + SZ_4K, SZ_4K, 1),
			rviommu_core_blocks_resets() ? 0 : -EFAULT);
	fn_release(pdev, domain);
}

/* ----- Resets ----- */

static void fn_reset_in_flight(struct device *dev)
{
	struct fn_fixture *f = kunit_get_current_test()->priv;
	u32 value;

	if (!f->resets)
		return;
	f->resets--;
	pcie_capability_set_word(to_pci_dev(dev), PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	/* It is not over while bytes move. */
	pci_read_config_dword(to_pci_dev(dev), PCI_COMMAND, &value);
	KUNIT_EXPECT_EQ(f->test, value, ~0U);
}

/* The reset is over: whoever begins another looks at the configuration space first. */
static void fn_wait_ready(struct pci_dev *pdev)
{
	unsigned long end = jiffies + 10 * HZ;
	u32 value;

	/* Until then an access finds no function. */
	while ((pci_read_config_dword(pdev, PCI_COMMAND, &value) || value == ~0U) &&
	       time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
}

/* A job that a reset meets ends where it is, and the reset after it. */
static void fn_reset(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 0);
	struct iommu_attach_handle handle;
	struct iommu_domain *domain = fn_claim(f, pdev, &handle);
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = SZ_64K, .operand = 4,
	};
	u16 command;

	KUNIT_EXPECT_EQ(test, fn_map(f, domain), 0);
	pci_set_master(pdev);
	test->priv = f;
	f->resets = 1;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_flight(&pdev->dev, fn_reset_in_flight), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EIO);
	rviommu_sim_set_in_flight(&pdev->dev, NULL);
	KUNIT_EXPECT_EQ(test, dma.done, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), -EPERM);
	fn_wait_ready(pdev);

	/* As a driver does it, which waits until it is over. */
	KUNIT_EXPECT_EQ(test, pcie_flr(pdev), 0);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_EQ(test, command, 0);
	pci_set_master(pdev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, SZ_64K, 4));
	/* With what it had before */
	KUNIT_EXPECT_EQ(test, pci_reset_function(pdev), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(&pdev->dev, &dma), 0);
	fn_release(pdev, domain);
}

/* ----- Coming and going ----- */

/**
 * struct fn_flight - a job that is in the middle of an access when its function goes
 * @before: begins it when the function is to lose its engine
 * @after: hears that it has lost it
 * @dev: the function
 * @task: whose job it is, on the other CPU
 * @dma: the job: two accesses
 * @ret: how it ended
 * @accesses: so far
 * @begun: the first one has; READ_ONCE and WRITE_ONCE
 * @lost: the function has no engine any more; likewise
 * @early: and had none while that access was under way
 */
struct fn_flight {
	struct notifier_block before;
	struct notifier_block after;
	struct device *dev;
	struct task_struct *task;
	struct rviommu_sim_dma dma;
	int ret;
	unsigned int accesses;
	bool begun;
	bool lost;
	bool early;
};

/*
 * The first access takes until nobody finds the engine any more; and so much longer that
 * who does not wait for it would be ahead. Interrupts are off.
 */
static void fn_hold_access(struct device *dev)
{
	struct fn_flight *flight = kthread_data(current);
	unsigned int ms;

	if (flight->accesses++)
		return;
	WRITE_ONCE(flight->begun, true);
	for (ms = 0; ms < 10000 && rviommu_sim_set_in_flight(dev, fn_hold_access) != -ENODEV; ms++)
		mdelay(1);
	for (ms = 0; ms < 20 && !READ_ONCE(flight->lost); ms++)
		mdelay(1);
	flight->early = READ_ONCE(flight->lost);
}

static int fn_flight_job(void *data)
{
	struct fn_flight *flight = data;

	flight->ret = rviommu_sim_dma(flight->dev, &flight->dma);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* It does not sleep then: the other CPU, with its interrupts off, might have the timer. */
static int fn_flight_before(struct notifier_block *nb, unsigned long action, void *dev)
{
	struct fn_flight *flight = container_of(nb, struct fn_flight, before);
	unsigned int ms;

	if (action != BUS_NOTIFY_DEL_DEVICE || dev != flight->dev)
		return NOTIFY_DONE;
	flight->task = kthread_run_on_cpu(fn_flight_job, flight, 1, "fn_flight");
	for (ms = 0; ms < 10000 && !IS_ERR(flight->task) && !READ_ONCE(flight->begun); ms++)
		mdelay(1);
	return NOTIFY_OK;
}

static int fn_flight_after(struct notifier_block *nb, unsigned long action, void *dev)
{
	struct fn_flight *flight = container_of(nb, struct fn_flight, after);

	if (action == BUS_NOTIFY_DEL_DEVICE && dev == flight->dev)
		WRITE_ONCE(flight->lost, true);
	return NOTIFY_DONE;
}

/* By the DMA API, so that nothing has to be given back before the function goes */
static void fn_flight_prepare(struct fn_fixture *f, struct fn_flight *flight)
{
	struct device *dev = flight->dev;

	pci_set_master(to_pci_dev(dev));
	KUNIT_ASSERT_EQ(f->test, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);
	flight->dma.iova = dma_map_single(dev, f->page, SZ_64K, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(f->test, dma_mapping_error(dev, flight->dma.iova));
	KUNIT_ASSERT_EQ(f->test, rviommu_sim_set_in_flight(dev, fn_hold_access), 0);
}

/* A job that the end of its function meets ends where it is, and is waited for. */
static void fn_removal(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 1);
	/* The simulator's is between them. */
	struct fn_flight flight = {
		.before = { .notifier_call = fn_flight_before, .priority = 2 },
		.after = { .notifier_call = fn_flight_after },
		.dev = &pdev->dev,
		.dma = { .op = RVIOMMU_SIM_FILL, .length = 2 * PAGE_SIZE, .operand = 6 },
	};

	if (!cpu_online(0) || !cpu_online(1))
		kunit_skip(test, "the job and who removes its function need a CPU each");
	set_cpus_allowed_ptr(current, cpumask_of(0));
	fn_flight_prepare(f, &flight);
	pci_dev_get(pdev);
	bus_register_notifier(&pci_bus_type, &flight.before);
	bus_register_notifier(&pci_bus_type, &flight.after);
	rviommu_sim_remove_function(f->sim, 1, false);
	bus_unregister_notifier(&pci_bus_type, &flight.after);
	bus_unregister_notifier(&pci_bus_type, &flight.before);
	KUNIT_EXPECT_FALSE(test, IS_ERR_OR_NULL(flight.task));
	if (!IS_ERR_OR_NULL(flight.task))
		kthread_stop(flight.task);
	pci_dev_put(pdev);
	KUNIT_EXPECT_TRUE(test, flight.lost);
	KUNIT_EXPECT_FALSE(test, flight.early);
	KUNIT_EXPECT_EQ(test, flight.ret, -ENODEV);
	KUNIT_EXPECT_EQ(test, flight.accesses, 1);
	KUNIT_EXPECT_EQ(test, flight.dma.done, PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(f->page, PAGE_SIZE, 6));
	KUNIT_EXPECT_NULL(test, memchr_inv(f->page + PAGE_SIZE, 0, PAGE_SIZE));
}

/**
 * struct fn_hammer - a thread whose function does DMA all the time
 * @dev: the function, held
 * @jobs: jobs so far
 * @odd: of which ended in a way that cannot be
 */
struct fn_hammer {
	struct device *dev;
	unsigned long jobs;
	unsigned long odd;
};

static int fn_hammer(void *data)
{
	struct fn_hammer *h = data;

	do {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = SZ_64K, .operand = 9,
		};
		int ret = rviommu_sim_dma(h->dev, &dma);

		if (ret && ret != -ENODEV && ret != -EPERM && ret != -EFAULT && ret != -EIO)
			h->odd++;
		WRITE_ONCE(h->jobs, h->jobs + 1);
		cond_resched();
	} while (!kthread_should_stop());
	put_device(h->dev);
	return 0;
}

static void fn_hammers_start(struct fn_fixture *f, struct pci_dev *pdev, struct fn_hammer *h,
			     struct task_struct **tasks)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		h[i] = (struct fn_hammer){ .dev = get_device(&pdev->dev) };
		tasks[i] = kthread_run(fn_hammer, &h[i], "fn_hammer");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(f->test, tasks[i]);
		while (!READ_ONCE(h[i].jobs))
			schedule_timeout_uninterruptible(1);
	}
}

static void fn_hammers_stop(struct fn_fixture *f, struct fn_hammer *h, struct task_struct **tasks)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		kthread_stop(tasks[i]);
		KUNIT_EXPECT_EQ(f->test, h[i].odd, 0);
	}
}

static void fn_hotplug(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct task_struct *tasks[THREADS];
	struct fn_hammer hammers[THREADS];
	unsigned int i;

	KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, FUNCTIONS), -EINVAL);
	for (i = 0; i < 6; i++) {
		struct pci_dev *pdev = pci_dev_get(fn_pdev(f, 1));

		pci_set_master(pdev);
		fn_hammers_start(f, pdev, hammers, tasks);
		rviommu_sim_remove_function(f->sim, 1, i & 1);
		KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 1));
		KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, 8, 1), -ENODEV);
		KUNIT_EXPECT_EQ(test, rviommu_sim_ats_depth(&pdev->dev), 0);
		/* Once more does nothing. */
		rviommu_sim_remove_function(f->sim, 1, i & 1);
		KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 1), 0);
		/* They hold the old one. */
		fn_hammers_stop(f, hammers, tasks);
		KUNIT_EXPECT_PTR_NE(test, pdev, fn_pdev(f, 1));
		pci_dev_put(pdev);
	}
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_function(f->sim, 0));
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_function(f->sim, 2));
}

/* ... by what user space writes; a number that does not fit is no other one. */
static void fn_commands(struct kunit *test)
{
	static const struct {
		const char *text;
		int ret;
	} commands[] = {
		{ "add 1", -EEXIST }, { "remove 1", 0 }, { "add 1", 0 }, { "surprise 1", 0 },
		{ "add 4294967297", -EINVAL }, { "add 3", -EINVAL }, { "add -1", -EINVAL },
		{ "add 1 1", -EINVAL }, { "add", -EINVAL }, { "take 1", -EINVAL },
		{ "add 0x1\n", 0 },
	};
	struct fn_fixture *f = fn_up_default(test);
	unsigned int i;
	char text[32];

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		strscpy(text, commands[i].text);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_command(f->sim, "functions", text),
				    commands[i].ret, "%s", commands[i].text);
	}
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_function(f->sim, 1));
}

/* The user removes a function, and scans for it; and the machine goes while it is away. */
static void fn_rescan(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct pci_dev *pdev = fn_pdev(f, 1);
	struct pci_bus *bus = pdev->bus;

	pci_set_master(pdev);
	pci_stop_and_remove_bus_device_locked(pdev);
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 1));
	pci_lock_rescan_remove();
	pci_rescan_bus(bus);
	pci_unlock_rescan_remove();
	pdev = fn_pdev(f, 1);
	KUNIT_EXPECT_TRUE(test, device_iommu_mapped(&pdev->dev));
	KUNIT_EXPECT_EQ(test, fn_fill(pdev, IOVA, 8, 1), -EFAULT);
	pci_stop_and_remove_bus_device_locked(pdev);
	pci_stop_and_remove_bus_device_locked(fn_pdev(f, 2));
	rviommu_sim_remove_function(f->sim, 2, true);
	pci_lock_rescan_remove();
	pci_rescan_bus(bus);
	pci_unlock_rescan_remove();
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_function(f->sim, 1));
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 2));
	pci_stop_and_remove_bus_device_locked(fn_pdev(f, 0));
}

/**
 * struct fn_plugger - a thread that plugs a function in
 * @sim: of which instance
 * @begun: it runs
 * @ret: how it ended
 */
struct fn_plugger {
	struct rviommu_sim *sim;
	bool begun;
	int ret;
};

static int fn_plug(void *data)
{
	struct fn_plugger *p = data;

	WRITE_ONCE(p->begun, true);
	p->ret = rviommu_sim_add_function(p->sim, 1);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/*
 * While somebody scans the bus, a function that is being plugged in is not there yet: it
 * would be found, and be added again by whoever plugs it in.
 */
static void fn_plug_beside_rescan(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct fn_plugger p = { .sim = f->sim, .ret = 1 };
	struct pci_bus *bus = fn_pdev(f, 0)->bus;
	unsigned long end = jiffies + 30 * HZ;
	struct task_struct *task;
	struct device *found;

	rviommu_sim_remove_function(f->sim, 1, false);
	task = kthread_create(fn_plug, &p, "fn_plug");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	pci_lock_rescan_remove();
	wake_up_process(task);
	/* It comes as far as it can, which is to our lock: nothing else there is waited for. */
	while ((!READ_ONCE(p.begun) || READ_ONCE(task->__state) != TASK_UNINTERRUPTIBLE) &&
	       time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	pci_rescan_bus(bus);
	found = rviommu_sim_function(f->sim, 1);
	pci_unlock_rescan_remove();
	kthread_stop(task);
	KUNIT_EXPECT_TRUE(test, time_before(jiffies, end));
	KUNIT_EXPECT_NULL(test, found);
	KUNIT_EXPECT_EQ(test, p.ret, 0);
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_function(f->sim, 1));
}

/* Everything goes at once, under DMA. */
static void fn_destroy(struct kunit *test)
{
	struct fn_fixture *f = fn_up_default(test);
	struct rviommu_sim_config config;
	struct task_struct *tasks[THREADS];
	struct fn_hammer hammers[THREADS];
	unsigned int i;
	int domain;

	fn_config(&config);
	for (i = 0; i < 4; i++) {
		struct rviommu_sim *other = rviommu_sim_create("rviommu_kunit_pci2", &config);
		struct pci_dev *pdev;

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
		pdev = to_pci_dev(rviommu_sim_function(other, 0));
		domain = pci_domain_nr(pdev->bus);
		KUNIT_EXPECT_NE(test, domain, pci_domain_nr(fn_pdev(f, 0)->bus));
		pci_set_master(pdev);
		fn_hammers_start(f, pdev, hammers, tasks);
		rviommu_sim_destroy(other);
		fn_hammers_stop(f, hammers, tasks);
		KUNIT_EXPECT_NULL(test, pci_find_bus(domain, 0));
	}
}

static struct kunit_case fn_cases[] = {
	KUNIT_CASE(fn_appear),
	KUNIT_CASE(fn_capabilities),
	KUNIT_CASE(fn_write_masks),
	KUNIT_CASE(fn_dma_api),
	KUNIT_CASE(fn_domain),
	KUNIT_CASE(fn_pasid),
	KUNIT_CASE(fn_ats),
	KUNIT_CASE(fn_sleep),
	KUNIT_CASE(fn_falls_asleep),
	KUNIT_CASE(fn_sleep_unknown),
	KUNIT_CASE(fn_reset),
	KUNIT_CASE(fn_removal),
	KUNIT_CASE(fn_hotplug),
	KUNIT_CASE(fn_commands),
	KUNIT_CASE(fn_rescan),
	KUNIT_CASE(fn_plug_beside_rescan),
	KUNIT_CASE(fn_destroy),
	{}
};

static struct kunit_suite fn_suite = {
	.name = "rviommu_sim_pci",
	.test_cases = fn_cases,
};

kunit_test_suite(fn_suite);
