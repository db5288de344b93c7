// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual functions of simulated PCI functions (PCI Express Base Specification, "Single Root I/O
 * Virtualization and Sharing"): the core enables and disables them as any others, each is on
 * its own for the IOMMU, and nothing of them is left, whoever goes first.
 */
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include <uapi/linux/rviommu_sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "../src/sim/sim.h"
#include "irqtest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define FUNCTIONS	2
#define VIRTUALS	3
#define DEPTH		2
#define VECTORS		2
#define PASID		7

/**
 * struct sv_fixture - an instance whose functions can have virtual ones
 * @test: whose
 * @sim: the instance
 * @pf: its first function
 * @cap: where the capability of that is
 * @iommu: the driver's IOMMU
 */
struct sv_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pf;
	unsigned int cap;
	struct rviommu *iommu;
};

static void sv_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	config->endpoints = 0;
	config->pci_functions = FUNCTIONS;
	config->vfs = VIRTUALS;
	config->pasid_bits = 12;
	config->ats = true;
	config->ats_depth = DEPTH;
}

static void sv_find(struct sv_fixture *f)
{
	struct rviommu_endpoint *ep;

	f->pf = to_pci_dev(rviommu_sim_function(f->sim, 0));
	f->cap = pci_find_ext_capability(f->pf, PCI_EXT_CAP_ID_SRIOV);
	ep = dev_iommu_priv_get(&f->pf->dev);
	f->iommu = ep->iommu;
	pci_set_master(f->pf);
}

static struct sv_fixture *sv_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct sv_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	if (!IS_ENABLED(CONFIG_PCI_IOV))
		kunit_skip(test, "this kernel has no virtual functions");
	f->test = test;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_sriov", config);
	sv_find(f);
	KUNIT_ASSERT_NE(test, f->cap, 0);
	return f;
}

static struct sv_fixture *sv_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	sv_config(&config);
	return sv_up(test, &config);
}

/* As the core does it for sysfs. */
static int sv_enable(struct pci_dev *pf, int nr)
{
	int ret;

	pci_lock_rescan_remove();
	ret = pci_enable_sriov(pf, nr);
	pci_unlock_rescan_remove();
	return ret;
}

static void sv_disable(struct pci_dev *pf)
{
	pci_lock_rescan_remove();
	pci_disable_sriov(pf);
	pci_unlock_rescan_remove();
}

/* A virtual function of the first function, which may master the bus */
static struct pci_dev *sv_virtual(struct sv_fixture *f, unsigned int nr)
{
	struct device *dev = rviommu_sim_virtual_function(f->sim, 0, nr);

	KUNIT_ASSERT_NOT_NULL(f->test, dev);
	pci_set_master(to_pci_dev(dev));
	return to_pci_dev(dev);
}

static struct rviommu_endpoint *sv_endpoint(struct pci_dev *pdev)
{
	return dev_iommu_priv_get(&pdev->dev);
}

static int sv_fill(struct pci_dev *pdev, u64 iova, u64 seed)
{
	return rviommu_simtest_fill(&pdev->dev, 0, iova, SZ_4K, seed);
}

/* What a register of a virtual function says, be the core told of it or not. */
static u32 sv_peek(struct sv_fixture *f, unsigned int nr, unsigned int where)
{
	u32 value = 0;

	pci_bus_read_config_dword(f->pf->bus, f->pf->devfn + 1 + nr, where, &value);
	return value;
}

/* One that was reset, or has come again, answers when nothing moves any more. */
static void sv_wait_ready(struct sv_fixture *f, unsigned int nr)
{
	unsigned long end = jiffies + 30 * HZ;

	while (sv_peek(f, nr, PCI_COMMAND) == ~0U && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_NE(f->test, sv_peek(f, nr, PCI_COMMAND), ~0U);
}

static u16 sv_control(struct sv_fixture *f)
{
	u16 value = 0xffff;

	pci_read_config_word(f->pf, f->cap + PCI_SRIOV_CTRL, &value);
	return value;
}

static void sv_set_control(struct sv_fixture *f, u16 value)
{
	pci_write_config_word(f->pf, f->cap + PCI_SRIOV_CTRL, value);
}

/* The IOMMU is well, and has waited for nobody. */
static void sv_expect_well(struct sv_fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, atomic64_read(&f->iommu->cmdq.events[RVIOMMU_CMDQ_TIMEOUT]), 0);
	KUNIT_EXPECT_FALSE(f->test, rviommu_is_dead(f->iommu));
	KUNIT_EXPECT_FALSE(f->test, READ_ONCE(sv_endpoint(f->pf)->lost));
}

/* ----- What there can be ----- */

/**
 * struct sv_case - functions, and where their virtual ones are
 * @why: words of the reason why that cannot be; NULL: it can
 * @functions: of the bus
 * @bus: its number
 * @vfs: virtual functions of each
 * @offset: to the first
 * @stride: from one to the next
 * @first_id: device_id of an endpoint; 0: there is none
 */
struct sv_case {
	const char *why;
	unsigned int functions;
	u8 bus;
	u16 vfs;
	u16 offset;
	u16 stride;
	u32 first_id;
};

static const struct sv_case sv_case_table[] = {
	{ NULL, 0, 1, 0, 1, 1 },
	{ "PCI functions that they belong to", 0, 1, 1, 1, 1 },
	{ NULL, 1, 1, 0, 0, 0 },
	{ NULL, 32, 1, 7, 1, 1 },
	{ "another function", 32, 1, 8, 1, 1 },
	{ "another function", 2, 1, 1, 8, 1 },
	{ NULL, 1, 1, 1, 8, 1 },
	/* One of them needs no stride. */
	{ NULL, 1, 1, 1, 1, 0 },
	{ "behind their physical one", 1, 1, 2, 1, 0 },
	{ "behind their physical one", 1, 1, 1, 0, 1 },
	{ NULL, 32, 1, 8, 0x100, 1 },
	{ "another function", 32, 1, 9, 0x100, 1 },
	{ NULL, 2, 1, 7, 0x100, 0x100 },
	{ "8 buses", 2, 1, 8, 0x100, 0x100 },
	{ "8 buses", 1, 1, 1, 0xffff, 1 },
	{ "8 buses", 1, 1, 0xffff, 1, 0xffff },
	{ NULL, 1, 1, 2047, 1, 1 },
	{ "8 buses", 1, 1, 2048, 1, 1 },
	{ NULL, 1, 0xfe, 1, 0x1ff, 1 },
	{ "behind the last", 1, 0xfe, 1, 0x200, 1 },
	{ "behind the last", 1, 0xff, 1, 0x100, 1 },
	{ "same device IDs", 1, 1, 3, 1, 1, 0x103 },
	{ NULL, 1, 1, 3, 1, 1, 0x104 },
};

static void sv_check(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	const char *why;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sv_case_table); i++) {
		const struct sv_case *c = &sv_case_table[i];

		sv_config(&config);
		config.pci_functions = c->functions;
		config.pci_bus = c->bus;
		config.vfs = c->vfs;
		config.vf_offset = c->offset;
		config.vf_stride = c->stride;
		config.endpoints = c->first_id ? 1 : 0;
		config.first_id = c->first_id;
		why = rviommu_sim_config_check(&config);
		if (!c->why)
			KUNIT_EXPECT_NULL_MSG(test, why, "%u is refused: %s", i, why);
		else
			KUNIT_EXPECT_TRUE_MSG(test, why && strstr(why, c->why), "%u is refused: %s",
					      i, why ?: "not at all");
	}
	/* In a directory of one level, 64 devices: bus 0, slots 0 to 7 */
	sv_config(&config);
	rviommu_sim_config_levels(&config, 1);
	config.pci_bus = 0;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
	config.vf_offset = 53;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
	config.vf_offset = 54;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	sim = rviommu_sim_create("rviommu_kunit_sriov", &config);
	KUNIT_EXPECT_PTR_EQ(test, sim, ERR_PTR(-EINVAL));
	if (!IS_ERR(sim))
		rviommu_sim_destroy(sim);
}

/* ----- What there is ----- */

static void sv_expect_virtual(struct sv_fixture *f, struct pci_dev *vf, unsigned int nr)
{
	struct kunit *test = f->test;
	unsigned int i;
	u32 value;
	u16 ats;

	KUNIT_EXPECT_TRUE(test, vf->is_virtfn);
	KUNIT_EXPECT_PTR_EQ(test, pci_physfn(vf), f->pf);
	KUNIT_EXPECT_EQ(test, pci_dev_id(vf), pci_dev_id(f->pf) + 1 + nr);
	KUNIT_EXPECT_EQ(test, vf->vendor, RVIOMMU_SIM_PCI_VENDOR);
	KUNIT_EXPECT_EQ(test, vf->device, RVIOMMU_SIM_PCI_DEVICE);
	KUNIT_EXPECT_EQ(test, sv_peek(f, nr, PCI_VENDOR_ID), ~0U);
	KUNIT_EXPECT_EQ(test, vf->class, f->pf->class);
	KUNIT_EXPECT_EQ(test, vf->subsystem_device, f->pf->subsystem_device);
	KUNIT_EXPECT_EQ(test, pci_pcie_type(vf), PCI_EXP_TYPE_RC_END);
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		KUNIT_EXPECT_EQ(test, pci_resource_len(vf, i), 0);
	KUNIT_EXPECT_EQ(test, vf->pasid_cap, 0);
	KUNIT_EXPECT_EQ(test, vf->pri_cap, 0);
	KUNIT_EXPECT_EQ(test, vf->pm_cap, 0);
	KUNIT_EXPECT_EQ(test, pci_max_pasids(vf), BIT(12));
	KUNIT_EXPECT_EQ(test, pci_find_ext_capability(vf, PCI_EXT_CAP_ID_SRIOV), 0);
	KUNIT_EXPECT_NE(test, pci_find_ext_capability(vf, PCI_EXT_CAP_ID_ACS), 0);
	KUNIT_EXPECT_NE(test, pci_find_capability(vf, PCI_CAP_ID_MSI), 0);
	KUNIT_EXPECT_NE(test, pci_find_vsec_capability(f->pf, RVIOMMU_SIM_PCI_VENDOR,
						       RVIOMMU_SIM_VSEC_ID), 0);
	pcie_capability_read_dword(vf, PCI_EXP_DEVCAP, &value);
	KUNIT_EXPECT_TRUE(test, value & PCI_EXP_DEVCAP_FLR);
	KUNIT_EXPECT_TRUE(test, pci_ats_supported(vf));
	pci_read_config_word(vf, vf->ats_cap + PCI_ATS_CAP, &ats);
	KUNIT_EXPECT_EQ(test, PCI_ATS_CAP_QDEP(ats), 0);
	/* The driver knows whose queue it is. */
	KUNIT_EXPECT_TRUE(test, sv_endpoint(vf)->ats.usable);
	KUNIT_EXPECT_EQ(test, sv_endpoint(vf)->ats.depth, DEPTH);
	KUNIT_EXPECT_PTR_EQ(test, sv_endpoint(vf)->ats.shared, sv_endpoint(f->pf)->ats.shared);
}

static void sv_appear(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct iommu_group *groups[3];
	struct pci_dev *vf;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, pci_sriov_get_totalvfs(f->pf), VIRTUALS);
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	KUNIT_EXPECT_EQ(test, sv_enable(f->pf, VIRTUALS + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	KUNIT_EXPECT_EQ(test, pci_num_vf(f->pf), 2);
	groups[2] = f->pf->dev.iommu_group;
	for (i = 0; i < 2; i++) {
		vf = sv_virtual(f, i);
		sv_expect_virtual(f, vf, i);
		groups[i] = vf->dev.iommu_group;
	}
	KUNIT_EXPECT_PTR_NE(test, groups[0], groups[1]);
	KUNIT_EXPECT_PTR_NE(test, groups[0], groups[2]);
	KUNIT_EXPECT_PTR_NE(test, groups[1], groups[2]);
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 2));
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, VIRTUALS));
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 1, 0));
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, FUNCTIONS, 0));
	KUNIT_EXPECT_EQ(test, sv_peek(f, 2, PCI_COMMAND), ~0U);

	sv_disable(f->pf);
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	sv_expect_well(f);
}

/* Of the registers of a virtual function, software changes what it may and nothing else. */
static void sv_expect_masks(struct sv_fixture *f)
{
	struct pci_bus *bus = f->pf->bus;
	const unsigned int devfn = f->pf->devfn + 1;
	const unsigned int exp = pci_pcie_cap(f->pf);
	const unsigned int msi = pci_find_capability(f->pf, PCI_CAP_ID_MSI);
	const unsigned int vsec = pci_find_vsec_capability(f->pf, RVIOMMU_SIM_PCI_VENDOR,
							   RVIOMMU_SIM_VSEC_ID);
	u32 before, mask, ones;
	unsigned int where;

	for (where = 0; where < PCI_CFG_SPACE_EXP_SIZE; where += 4) {
		if (where >= vsec && where < vsec + RVIOMMU_SIM_VSEC_LENGTH)
			continue;
		mask = 0;
		/* All but the reset */
		ones = where == exp + PCI_EXP_DEVCTL ? 0x7fff : ~0U;
		if (where == PCI_COMMAND)
			mask = PCI_COMMAND_MASTER;
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
		else if (where == f->pf->ats_cap + PCI_ATS_CAP)
			mask = PCI_ATS_CTRL_ENABLE << 16;
		before = sv_peek(f, 0, where);
		pci_bus_write_config_dword(bus, devfn, where, ones);
		KUNIT_EXPECT_EQ_MSG(f->test, sv_peek(f, 0, where), before | mask, "at %#x", where);
		pci_bus_write_config_dword(bus, devfn, where, 0);
		KUNIT_EXPECT_EQ_MSG(f->test, sv_peek(f, 0, where), before & ~mask, "at %#x", where);
	}
}

/* The registers of both kinds, without the core */
static void sv_registers(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	const unsigned int nr = f->cap + PCI_SRIOV_NUM_VF, pages = f->cap + PCI_SRIOV_SYS_PGSIZE;
	u32 value;
	u16 word;

	/* No more than there are; no page size that there is not. */
	pci_write_config_word(f->pf, nr, VIRTUALS + 1);
	pci_read_config_word(f->pf, nr, &word);
	KUNIT_EXPECT_EQ(test, word, 0);
	pci_write_config_dword(f->pf, pages, 0x10);
	pci_read_config_dword(f->pf, pages, &value);
	KUNIT_EXPECT_EQ(test, value, 0x10);
	pci_write_config_dword(f->pf, pages, 4);
	pci_write_config_dword(f->pf, pages, 3);
	pci_read_config_dword(f->pf, pages, &value);
	KUNIT_EXPECT_EQ(test, value, 0x10);

	pci_write_config_word(f->pf, nr, 2);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	sv_set_control(f, 0xffff);
	KUNIT_EXPECT_EQ(test, sv_control(f), PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), PCI_STATUS_CAP_LIST << 16);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 1, PCI_COMMAND), PCI_STATUS_CAP_LIST << 16);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 2, PCI_COMMAND), ~0U);
	/* While they are there, their number stays. */
	pci_write_config_word(f->pf, nr, 1);
	pci_write_config_dword(f->pf, pages, 1);
	pci_read_config_word(f->pf, nr, &word);
	KUNIT_EXPECT_EQ(test, word, 2);
	pci_read_config_dword(f->pf, pages, &value);
	KUNIT_EXPECT_EQ(test, value, 0x10);
	sv_expect_masks(f);

	/* Gone, and back as new */
	pci_bus_write_config_word(f->pf->bus, f->pf->devfn + 1, PCI_COMMAND, PCI_COMMAND_MASTER);
	sv_set_control(f, 0);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	sv_set_control(f, PCI_SRIOV_CTRL_VFE);
	sv_wait_ready(f, 0);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), PCI_STATUS_CAP_LIST << 16);
	sv_set_control(f, 0);
	pci_write_config_word(f->pf, nr, 0);
	pci_write_config_dword(f->pf, f->cap + PCI_SRIOV_INITIAL_VF, ~0U);
	pci_read_config_dword(f->pf, f->cap + PCI_SRIOV_INITIAL_VF, &value);
	KUNIT_EXPECT_EQ(test, value, VIRTUALS << 16 | VIRTUALS);
}

/* ----- Each on its own ----- */

/* The same addresses, and each finds what is its own there. */
static void sv_isolated(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct iommu_domain *domain[3];
	struct pci_dev *fn[3];
	unsigned int i, k;
	u8 *page[3];

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	fn[0] = f->pf;
	for (i = 0; i < 3; i++) {
		if (i)
			fn[i] = sv_virtual(f, i - 1);
		domain[i] = rviommu_simtest_space(test, &fn[i]->dev, IOVA, SZ_8K, &page[i]);
		KUNIT_ASSERT_EQ(test, iommu_attach_group(domain[i], fn[i]->dev.iommu_group), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(&fn[i]->dev));
	}
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, sv_fill(fn[i], IOVA, 10 + i), 0);
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[i], SZ_4K, 10 + i));
		KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&fn[i]->dev, false, 0), 0);
	}
	/* What one loses the others keep. */
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, iommu_unmap(domain[i], IOVA, SZ_4K), SZ_4K);
		for (k = 0; k < 3; k++)
			KUNIT_EXPECT_EQ(test, sv_fill(fn[k], IOVA, 20 + i), k <= i ? -EFAULT : 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[i], SZ_4K,
							      i ? 20 + i - 1 : 10));
	}
	for (i = 0; i < 3; i++)
		iommu_detach_group(domain[i], fn[i]->dev.iommu_group);
	sv_disable(f->pf);
	sv_expect_well(f);
}

/* The PASIDs of a virtual function are its own, whether it has any is the physical one's. */
static void sv_pasid(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	const unsigned int ctrl = f->pf->pasid_cap + PCI_PASID_CTRL;
	struct iommu_domain *domain[2];
	struct pci_dev *fn[2];
	u16 value, before;
	unsigned int i;
	u8 *page[2];

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	fn[0] = f->pf;
	fn[1] = sv_virtual(f, 0);
	for (i = 0; i < 2; i++) {
		rviommu_simtest_claim(test, &fn[i]->dev);
		domain[i] = rviommu_simtest_space(test, &fn[i]->dev, IOVA, SZ_4K, &page[i]);
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain[i], &fn[i]->dev, PASID,
								NULL), 0);
	}
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(&fn[i]->dev, PASID, IOVA, SZ_4K, 1 + i),
				0);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page[i], SZ_4K, 1 + i));

	/* While ATS is on in any of them, a change is undefined, and has no effect here. */
	pci_read_config_word(f->pf, ctrl, &before);
	pci_write_config_word(f->pf, f->pf->ats_cap + PCI_ATS_CTRL, 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(&fn[1]->dev));
	pci_write_config_word(f->pf, ctrl, 0);
	pci_read_config_word(f->pf, ctrl, &value);
	KUNIT_EXPECT_EQ(test, value, before);
	pci_write_config_word(fn[1], fn[1]->ats_cap + PCI_ATS_CTRL, 0);
	pci_write_config_word(f->pf, ctrl, 0);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(&fn[1]->dev, PASID, IOVA, 8, 1), -EPERM);
	pci_write_config_word(f->pf, ctrl, before);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(&fn[1]->dev, PASID, IOVA, 8, 1), 0);
	for (i = 0; i < 2; i++)
		iommu_detach_device_pasid(domain[i], &fn[i]->dev, PASID);
	/* Whose group is empty has been given back. */
	rviommu_simtest_release(test, fn[1]->dev.iommu_group);
	sv_disable(f->pf);
	sv_expect_well(f);
}

/* Three functions, a queue for two requests: who invalidates has to know that it is one. */
static void sv_depth(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct rviommu_sim_atc_stats stats;
	struct iommu_domain *domain;
	struct pci_dev *fn[3];
	unsigned int i, k;
	u8 *page;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	domain = rviommu_simtest_space(test, &f->pf->dev, IOVA, SZ_64K, &page);
	for (i = 0; i < 3; i++) {
		fn[i] = i ? sv_virtual(f, i - 1) : f->pf;
		KUNIT_ASSERT_EQ(test, iommu_attach_group(domain, fn[i]->dev.iommu_group), 0);
		rviommu_sim_set_atc(&fn[i]->dev, RVIOMMU_SIM_ATC_LATE);
	}
	for (k = 0; k < 16; k++) {
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, sv_fill(fn[i], IOVA + k * SZ_4K, k), 0);
		KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA + k * SZ_4K, SZ_4K), SZ_4K);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, sv_fill(fn[i], IOVA + k * SZ_4K, k), -EFAULT);
	}
	for (i = 0; i < 3; i++) {
		rviommu_sim_atc_stats(&fn[i]->dev, &stats);
		KUNIT_EXPECT_GE(test, stats.invalidations, 16);
		KUNIT_EXPECT_EQ(test, stats.overflows, 0);
		rviommu_sim_set_atc(&fn[i]->dev, 0);
		iommu_detach_group(domain, fn[i]->dev.iommu_group);
	}
	sv_disable(f->pf);
	sv_expect_well(f);
}

/*
 * The smallest translation unit is the physical function's. One that has another has virtual ones
 * without ATS, and nobody tries.
 */
static void sv_unit(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct pci_dev *vf;

	KUNIT_EXPECT_EQ(test, f->pf->ats_stu, PAGE_SHIFT);
	f->pf->ats_stu = PAGE_SHIFT + 1;
	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	vf = sv_virtual(f, 0);
	KUNIT_EXPECT_TRUE(test, pci_ats_supported(vf));
	KUNIT_EXPECT_FALSE(test, sv_endpoint(vf)->ats.usable);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(&vf->dev));
	f->pf->ats_stu = PAGE_SHIFT;
	sv_disable(f->pf);
	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(&sv_virtual(f, 0)->dev));
}

/* A command that does nothing, and says so by an interrupt */
static void sv_ring(struct pci_dev *pdev, unsigned int vector)
{
	unsigned int vsec = pci_find_vsec_capability(to_pci_dev(&pci_physfn(pdev)->dev),
						     RVIOMMU_SIM_PCI_VENDOR, RVIOMMU_SIM_VSEC_ID);

	pci_write_config_dword(pdev, vsec + RVIOMMU_SIM_REG_COMMAND, RVIOMMU_SIM_CMD_NOP |
			       RVIOMMU_SIM_COMMAND_INTERRUPT | vector << 16);
	pci_write_config_dword(pdev, vsec + RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
}

static void sv_expect_interrupts(struct sv_fixture *f)
{
	struct kunit *test = f->test;
	struct rviommu_irqtest irq[3] = {};
	unsigned int i, v;

	for (i = 0; i < 3; i++)
		rviommu_irqtest_alloc(test, &irq[i], i ? sv_virtual(f, i - 1) : f->pf, VECTORS,
				      PCI_IRQ_MSI);
	for (i = 0; i < 3; i++) {
		for (v = 0; v < VECTORS; v++) {
			sv_ring(irq[i].pdev, v);
			rviommu_irqtest_expect(test, &irq[i], v, 1);
		}
	}
	/* Each came once, and to its own. */
	for (i = 0; i < 3; i++)
		for (v = 0; v < VECTORS; v++)
			rviommu_irqtest_expect(test, &irq[i], v, 1);
	for (i = 0; i < 3; i++)
		rviommu_irqtest_free(&irq[i]);
}

static void sv_msi(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	sv_expect_interrupts(f);
}

/* They may be on other buses than the physical function. */
static void sv_buses(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct sv_fixture *f;
	struct pci_dev *vf;
	unsigned int i;
	u8 *page;

	sv_config(&config);
	config.pci_bus = 0xfd;
	config.vf_offset = 0x100;
	config.vf_stride = 0x80;
	f = sv_up(test, &config);
	KUNIT_EXPECT_EQ(test, sv_enable(f->pf, VIRTUALS), 0);
	for (i = 0; i < VIRTUALS; i++) {
		struct iommu_domain *domain;

		vf = sv_virtual(f, i);
		KUNIT_EXPECT_EQ(test, pci_dev_id(vf), 0xfe00 + i * 0x80);
		domain = rviommu_simtest_space(test, &vf->dev, IOVA, SZ_4K, &page);
		KUNIT_ASSERT_EQ(test, iommu_attach_group(domain, vf->dev.iommu_group), 0);
		KUNIT_EXPECT_EQ(test, sv_fill(vf, IOVA, i), 0);
		KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, SZ_4K, i));
		iommu_detach_group(domain, vf->dev.iommu_group);
	}
	sv_expect_interrupts(f);
	sv_disable(f->pf);
	KUNIT_EXPECT_NULL(test, pci_find_bus(pci_domain_nr(f->pf->bus), 0xfe));
	sv_expect_well(f);
}

/* A virtual function sleeps with the physical one, and is not asked to forget then. */
static void sv_sleep(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct rviommu_sim_atc_stats before, after;
	struct iommu_domain *domain;
	struct pci_dev *vf;
	u8 *page;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	vf = sv_virtual(f, 0);
	domain = rviommu_simtest_space(test, &vf->dev, IOVA, SZ_8K, &page);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(domain, vf->dev.iommu_group), 0);
	KUNIT_EXPECT_EQ(test, sv_fill(vf, IOVA, 1), 0);
	rviommu_sim_atc_stats(&vf->dev, &before);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(f->pf, PCI_D3hot), 0);
	KUNIT_EXPECT_EQ(test, sv_fill(vf, IOVA, 1), -EPERM);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SZ_4K), SZ_4K);
	rviommu_sim_atc_stats(&vf->dev, &after);
	KUNIT_EXPECT_EQ(test, after.invalidations, before.invalidations);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(f->pf, PCI_D0), 0);
	KUNIT_EXPECT_EQ(test, sv_fill(vf, IOVA, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, sv_fill(vf, IOVA + SZ_4K, 2), 0);
	iommu_detach_group(domain, vf->dev.iommu_group);
	sv_disable(f->pf);
	sv_expect_well(f);
}

/* ----- Under DMA ----- */

/* Far from what the DMA API would give first */
#define SV_HAMMER_IOVA	0x10000000ULL

/**
 * struct sv_hammer - a thread whose function does DMA all the time
 * @task: the thread
 * @dev: the function, held
 * @iova: where
 * @jobs: jobs so far
 * @result: of the last one
 * @odd: how many ended in a way that cannot be
 * @resets: how many a reset ended, or found the bus taken away, or the function blocked as the
 *          core does it for a reset
 */
struct sv_hammer {
	struct task_struct *task;
	struct device *dev;
	dma_addr_t iova;
	unsigned long jobs;
	int result;
	unsigned long odd;
	unsigned long resets;
};

static int sv_hammer_work(void *data)
{
	struct sv_hammer *h = data;

	do {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .iova = h->iova, .length = SZ_8K, .operand = 9,
		};
		int ret = rviommu_sim_dma(h->dev, &dma);

		if (ret == -EIO || ret == -EPERM || ret == -EFAULT)
			h->resets++;
		else if (ret && ret != -ENODEV)
			h->odd++;
		h->result = ret;
		WRITE_ONCE(h->jobs, h->jobs + 1);
		cond_resched();
	} while (!kthread_should_stop());
	put_device(h->dev);
	return 0;
}

/* Until the hammer has done some more */
static void sv_hammer_wait(struct sv_hammer *h)
{
	unsigned long end = jiffies + 30 * HZ, until = READ_ONCE(h->jobs) + 3;

	while (READ_ONCE(h->jobs) < until && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
}

/* Mapped here, and not for a driver: nothing has to be given back before the function goes. */
static dma_addr_t sv_hammer_map(struct sv_fixture *f, struct pci_dev *pdev, u8 *page)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&pdev->dev);

	if (!(domain->type & __IOMMU_DOMAIN_PAGING))
		return virt_to_phys(page);
	iommu_unmap(domain, SV_HAMMER_IOVA, SZ_8K);
	KUNIT_ASSERT_EQ(f->test, iommu_map(domain, SV_HAMMER_IOVA, virt_to_phys(page), SZ_8K,
					   IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	return SV_HAMMER_IOVA;
}

static void sv_hammer_start(struct sv_fixture *f, struct sv_hammer *h, struct pci_dev *pdev)
{
	u8 *page = rviommu_simtest_pages(f->test, SZ_8K);
	dma_addr_t iova = sv_hammer_map(f, pdev, page);

	*h = (struct sv_hammer){ .dev = get_device(&pdev->dev), .iova = iova };
	h->task = kthread_run(sv_hammer_work, h, "sv_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(f->test, h->task);
	sv_hammer_wait(h);
	KUNIT_EXPECT_EQ(f->test, h->result, 0);
}

static void sv_hammer_stop(struct sv_fixture *f, struct sv_hammer *h)
{
	kthread_stop(h->task);
	KUNIT_EXPECT_EQ(f->test, h->odd, 0);
}

/* The reset of a virtual function is nobody else's. */
static void sv_reset_virtual(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct sv_hammer hammer[3];
	struct pci_dev *vf;
	unsigned int i;
	u16 command;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	for (i = 0; i < 3; i++)
		sv_hammer_start(f, &hammer[i], i ? sv_virtual(f, i - 1) : f->pf);
	vf = to_pci_dev(hammer[1].dev);
	KUNIT_EXPECT_EQ(test, pcie_flr(vf), 0);
	sv_hammer_wait(&hammer[1]);
	KUNIT_EXPECT_EQ(test, hammer[1].result, -EPERM);
	pci_read_config_word(vf, PCI_COMMAND, &command);
	KUNIT_EXPECT_EQ(test, command, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(&vf->dev, false, 0), 0);
	KUNIT_EXPECT_TRUE(test, sv_control(f) & PCI_SRIOV_CTRL_VFE);
	pci_set_master(vf);
	sv_hammer_wait(&hammer[1]);
	KUNIT_EXPECT_EQ(test, hammer[1].result, 0);
	/* As a driver does it, with all that was there before */
	KUNIT_EXPECT_EQ(test, pci_reset_function(vf), 0);
	sv_hammer_wait(&hammer[1]);
	KUNIT_EXPECT_EQ(test, hammer[1].result, 0);
	for (i = 0; i < 3; i++)
		sv_hammer_stop(f, &hammer[i]);
	KUNIT_EXPECT_GT(test, hammer[1].resets, 0);
	KUNIT_EXPECT_EQ(test, hammer[0].resets, 0);
	KUNIT_EXPECT_EQ(test, hammer[2].resets, 0);
	sv_expect_well(f);
}

/* That of the physical one takes them away; the core brings them back, as new. */
static void sv_reset_physical(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	unsigned long end = jiffies + 60 * HZ;
	struct sv_hammer hammer;
	struct pci_dev *vf;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	vf = sv_virtual(f, 0);
	sv_hammer_start(f, &hammer, vf);
	/* At once, whatever else is written later */
	pcie_capability_set_word(f->pf, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	while (sv_control(f) == 0xffff && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, sv_control(f), 0);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), ~0U);
	sv_hammer_wait(&hammer);
	KUNIT_EXPECT_EQ(test, hammer.result, -EPERM);
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pf), 0);
	sv_hammer_stop(f, &hammer);
	/* The core knows of them as before, and nobody waits for who is not there. */
	sv_disable(f->pf);
	sv_expect_well(f);

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 1), 0);
	vf = sv_virtual(f, 0);
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pf), 0);
	sv_wait_ready(f, 0);
	KUNIT_EXPECT_EQ(test, sv_peek(f, 0, PCI_COMMAND), PCI_STATUS_CAP_LIST << 16);
	pci_set_master(vf);
	sv_hammer_start(f, &hammer, vf);
	sv_hammer_stop(f, &hammer);
	sv_disable(f->pf);
	sv_expect_well(f);
}

/* Who switches them off behind the core's back ends their DMA; and the core does not wait. */
static void sv_switch_off(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct sv_hammer hammer[2];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	for (i = 0; i < 2; i++)
		sv_hammer_start(f, &hammer[i], sv_virtual(f, i));
	sv_set_control(f, PCI_SRIOV_CTRL_MSE);
	for (i = 0; i < 2; i++) {
		sv_hammer_wait(&hammer[i]);
		KUNIT_EXPECT_EQ(test, hammer[i].result, -EPERM);
		KUNIT_EXPECT_EQ(test, sv_peek(f, i, PCI_COMMAND), ~0U);
		KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(hammer[i].dev, false, 0), 0);
	}
	sv_disable(f->pf);
	for (i = 0; i < 2; i++) {
		sv_hammer_wait(&hammer[i]);
		KUNIT_EXPECT_EQ(test, hammer[i].result, -ENODEV);
		sv_hammer_stop(f, &hammer[i]);
	}
	sv_expect_well(f);
	KUNIT_EXPECT_EQ(test, sv_enable(f->pf, 2), 0);
}

/* ----- Coming and going ----- */

/* Nobody but us has a function that has gone. */
static void sv_expect_unused(struct sv_fixture *f, struct pci_dev *pdev)
{
	unsigned long end = jiffies + 30 * HZ;

	while (kref_read(&pdev->dev.kobj.kref) > 1 && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(f->test, kref_read(&pdev->dev.kobj.kref), 1);
	pci_dev_put(pdev);
}

/* The physical function goes, with virtual ones that nobody has disabled. */
static void sv_unplug(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct sv_hammer hammer[2];
	struct sv_fixture *f;
	unsigned int i, k;

	/* Another function would have the first one: the core lets them depend on each other. */
	sv_config(&config);
	config.pci_functions = 1;
	f = sv_up(test, &config);
	for (k = 0; k < 2; k++) {
		struct pci_dev *pf = pci_dev_get(f->pf);

		KUNIT_ASSERT_EQ(test, sv_enable(pf, 2), 0);
		for (i = 0; i < 2; i++)
			sv_hammer_start(f, &hammer[i], sv_virtual(f, i));
		rviommu_sim_remove_function(f->sim, 0, k & 1);
		KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 0));
		for (i = 0; i < 2; i++) {
			KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, i));
			sv_hammer_wait(&hammer[i]);
			KUNIT_EXPECT_EQ(test, hammer[i].result, -ENODEV);
			sv_hammer_stop(f, &hammer[i]);
		}
		sv_expect_unused(f, pf);
		KUNIT_ASSERT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
		sv_find(f);
		KUNIT_EXPECT_EQ(test, pci_num_vf(f->pf), 0);
		KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	}
	KUNIT_EXPECT_EQ(test, sv_enable(f->pf, 1), 0);
	KUNIT_EXPECT_TRUE(test, sv_endpoint(sv_virtual(f, 0))->ats.usable);
	sv_expect_well(f);
}

/* A function is not plugged in when one of its virtual ones cannot be. */
static void sv_in_the_way(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	unsigned long first = pci_dev_id(f->pf), id;
	unsigned int i;

	rviommu_sim_remove_function(f->sim, 0, false);
	for (i = 0; i < 2; i++) {
		struct xarray *xa = i ? &f->sim->pris : &f->sim->atcs;

		KUNIT_ASSERT_EQ(test, xa_reserve(xa, first + 2, GFP_KERNEL), 0);
		KUNIT_EXPECT_EQ(test, rviommu_sim_add_function(f->sim, 0), -EBUSY);
		KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 0));
		for (id = first; id < first + 1 + VIRTUALS; id++) {
			KUNIT_EXPECT_NULL(test, xa_load(&f->sim->atcs, id));
			KUNIT_EXPECT_NULL(test, xa_load(&f->sim->pris, id));
		}
		xa_release(xa, first + 2);
	}
	KUNIT_ASSERT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
	sv_find(f);
	KUNIT_EXPECT_EQ(test, sv_enable(f->pf, VIRTUALS), 0);
	sv_expect_well(f);
}

/*
 * Who takes the physical function out by himself leaves the virtual ones; we do not, nor what they
 * hold of it.
 */
static void sv_orphans(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	struct pci_dev *pf = pci_dev_get(f->pf);
	struct sv_hammer hammer;
	unsigned int refs;

	KUNIT_ASSERT_EQ(test, sv_enable(pf, 1), 0);
	sv_hammer_start(f, &hammer, sv_virtual(f, 0));
	pci_stop_and_remove_bus_device_locked(pf);
	refs = kref_read(&pf->dev.kobj.kref);
	KUNIT_EXPECT_NULL(test, rviommu_sim_function(f->sim, 0));
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	rviommu_sim_remove_function(f->sim, 0, false);
	KUNIT_EXPECT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	sv_hammer_wait(&hammer);
	KUNIT_EXPECT_EQ(test, hammer.result, -ENODEV);
	sv_hammer_stop(f, &hammer);
	KUNIT_EXPECT_EQ(test, pci_num_vf(pf), 0);
	KUNIT_EXPECT_LT(test, kref_read(&pf->dev.kobj.kref), refs);
	pci_dev_put(pf);
}

/* Everything goes at once, under DMA. */
static void sv_destroy(struct kunit *test)
{
	struct sv_fixture *f = sv_up_default(test);
	int domain = pci_domain_nr(f->pf->bus);
	struct sv_hammer hammer[3];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, sv_enable(f->pf, 2), 0);
	for (i = 0; i < 3; i++)
		sv_hammer_start(f, &hammer[i], i ? sv_virtual(f, i - 1) : f->pf);
	rviommu_simtest_destroy(test, f->sim);
	for (i = 0; i < 3; i++) {
		sv_hammer_wait(&hammer[i]);
		KUNIT_EXPECT_EQ(test, hammer[i].result, -ENODEV);
		sv_hammer_stop(f, &hammer[i]);
	}
	KUNIT_EXPECT_NULL(test, pci_find_bus(domain, 1));
}

static struct kunit_case sv_cases[] = {
	KUNIT_CASE(sv_check),
	KUNIT_CASE(sv_appear),
	KUNIT_CASE(sv_registers),
	KUNIT_CASE(sv_isolated),
	KUNIT_CASE(sv_pasid),
	KUNIT_CASE(sv_depth),
	KUNIT_CASE(sv_unit),
	KUNIT_CASE(sv_msi),
	KUNIT_CASE(sv_buses),
	KUNIT_CASE(sv_sleep),
	KUNIT_CASE(sv_reset_virtual),
	KUNIT_CASE(sv_reset_physical),
	KUNIT_CASE(sv_switch_off),
	KUNIT_CASE(sv_unplug),
	KUNIT_CASE(sv_in_the_way),
	KUNIT_CASE(sv_orphans),
	KUNIT_CASE(sv_destroy),
	{}
};

static struct kunit_suite sv_suite = {
	.name = "rviommu_sim_pci_sriov",
	.test_cases = sv_cases,
};

kunit_test_suite(sv_suite);
