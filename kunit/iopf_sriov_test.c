// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of virtual functions (PCI Express Base Specification, "Page Request Services"):
 * they have the interface of the physical function. It is on for all or for none, and each asks
 * for itself.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <rviommu/model.h>
#include <rviommu/sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/rviommu.h"
#include "hw.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"

#define PASID		5
/* The virtual function takes the place of the last device. */
#define VIRTUAL		(IOPFTEST_NR_DEVICES - 1)
#define VIRTUALS	3

/* @timeout: of the device, ns */
static struct iopftest *vf_up(struct kunit *test, u64 timeout)
{
	struct rviommu_sim_config config;
	struct pci_dev *pf, *vf;
	struct iopftest *f;

	if (!IS_ENABLED(CONFIG_PCI_IOV))
		kunit_skip(test, "this kernel has no virtual functions");
	iopftest_config(&config);
	config.endpoints = 0;
	config.pci_functions = IOPFTEST_NR_DEVICES;
	config.vfs = VIRTUALS;
	config.pri_capacity = 16;
	config.pri_timeout = timeout;
	f = iopftest_up(test, &config);
	pf = to_pci_dev(f->dev[0]);
	pci_lock_rescan_remove();
	KUNIT_EXPECT_EQ(test, pci_enable_sriov(pf, 1), 0);
	pci_unlock_rescan_remove();
	f->dev[VIRTUAL] = rviommu_sim_virtual_function(f->sim, 0, 0);
	KUNIT_ASSERT_NOT_NULL(test, f->dev[VIRTUAL]);
	vf = to_pci_dev(f->dev[VIRTUAL]);
	pci_set_master(vf);
	f->ep[VIRTUAL] = dev_iommu_priv_get(&vf->dev);
	f->group[VIRTUAL] = rviommu_simtest_claim(test, &vf->dev);
	return f;
}

static u16 vf_status(struct iopftest *f)
{
	u16 value = 0xffff;

	pci_read_config_word(to_pci_dev(f->dev[0]), f->ep[0]->pri.ctrl - PCI_PRI_CTRL +
			     PCI_PRI_STATUS, &value);
	return value & (PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI | PCI_PRI_STATUS_STOPPED);
}

static void vf_control(struct iopftest *f, u16 value)
{
	pci_write_config_word(to_pci_dev(f->dev[0]), f->ep[0]->pri.ctrl, value);
}

/* Each is served by who handles its own; none without the physical function's interface. */
static void vf_demand(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	unsigned int page;

	KUNIT_EXPECT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), -ENODEV);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, VIRTUAL, PASID, &f->space[2]), 0);
	for (page = 0; page < 4; page++) {
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, page, 1, page), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, page, 1, 10 + page), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, PASID, page, 1, 20 + page), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[0], page, page));
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], page, 10 + page));
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[2], page, 20 + page));
	}
	/* It is not the virtual function's to switch off. */
	iopftest_detach_pasid(f, VIRTUAL, PASID, &f->space[2]);
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 5, 1, 5), 0);
	/* After its reset it asks as before. */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, pci_reset_function(to_pci_dev(f->dev[VIRTUAL])), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 5, 1, 6), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], 5, 6));
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	iopftest_detach(f, VIRTUAL);
	iopftest_detach(f, 0);
	iopftest_expect_clean(f, VIRTUAL);
	iopftest_expect_clean(f, 0);
}

static u16 vf_enable(struct iopftest *f)
{
	u16 value = 0xffff;

	pci_read_config_word(to_pci_dev(f->dev[0]), f->ep[0]->pri.ctrl, &value);
	return value & PCI_PRI_CTRL_ENABLE;
}

/* Nobody handles the physical function's requests any more: those of a virtual one go on. */
static void vf_outlives(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	unsigned int round;

	for (round = 0; round < 2; round++) {
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
		iopftest_detach(f, 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, round, 1, round), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], round, round));
		/* It comes back, without a break for the other. */
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, round, 1, 5), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 4 + round, 1, 6), 0);
		iopftest_detach(f, 0);
		KUNIT_EXPECT_NE(test, vf_enable(f), 0);
		iopftest_detach(f, VIRTUAL);
		/* The last one switches off, whoever it is. */
		KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
		KUNIT_EXPECT_EQ(test, f->ep[0]->pri.virtuals, 0);
	}
	iopftest_expect_clean(f, VIRTUAL);
	iopftest_expect_clean(f, 0);
}

/* Nobody handles them: they get the response that the function knows for its own, and at once. */
static void vf_unasked(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	struct iommu_attach_handle handle[2];
	struct rviommu_sim_pri_stats stats;
	struct iommu_domain *domain;

	domain = rviommu_simtest_domain(test, f->dev[VIRTUAL]);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(f->group[VIRTUAL], domain, &handle[0]), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain, f->dev[VIRTUAL], PASID, &handle[1]),
			0);
	/* While the interface is off nothing is asked. */
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 0, 1, 1), -EFAULT);
	stats = iopftest_stats(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, stats.requests, 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 0, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, PASID, 0, 1, 1), -EFAULT);
	stats = iopftest_stats(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, stats.groups, 2);
	KUNIT_EXPECT_EQ(test, stats.invalid, 2);
	KUNIT_EXPECT_EQ(test, stats.unexpected, 0);
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 2), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[0], 0, 2));
	iopftest_detach(f, 0);
	iommu_detach_device_pasid(domain, f->dev[VIRTUAL], PASID);
	iommu_detach_group_handle(domain, f->group[VIRTUAL]);
}

/* A page request for which the IOMMU finds no context: it responds with a failure. */
static void vf_stray_request(struct iopftest *f)
{
	const struct rviommu_model_page_request pr = {
		.device_id = f->ep[0]->ids[0] ^ 0x80,
		.payload = IOPFTEST_IOVA | RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_L,
	};
	struct rviommu_model_ats_msg msg;

	KUNIT_EXPECT_NE(f->test, rviommu_model_page_request(rviommu_sim_model(f->sim), &pr, &msg),
			RVIOMMU_MODEL_PR_QUEUED);
	rviommu_inq_service(&f->ep[0]->iommu->faultq);
}

/* A Response Failure to one of them ends it for all, until it is enabled anew. */
static void vf_failure(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(f->ep[VIRTUAL]->ats.rid,
							  f->ep[VIRTUAL]->ats.seg, 0,
							  RVIOMMU_MODEL_PRGR_FAILURE);
	struct rviommu_pritest_job *job;

	f->space[0].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	job = iopftest_go(f, 0, 0, 0, 1, 1);
	iopftest_await_held(f, &f->space[0], 1);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_sync(&f->ep[0]->iommu->cmdq, &cmd, 1), 0);
	/* Who waits does so no longer. */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	f->space[0].mode = IOPFTEST_MAP;
	KUNIT_EXPECT_EQ(test, vf_status(f), PCI_PRI_STATUS_RF);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 1, 1, 1), -EFAULT);
	/* One of them, which is blocked, asked all the same. */
	vf_stray_request(f);
	flush_delayed_work(&f->ep[0]->iommu->revive);
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.revived), 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 1, 1, 1), 0);
	iopftest_detach(f, VIRTUAL);
	iopftest_detach(f, 0);
}

/* All together have no more outstanding than the interface may, and it stops when all have. */
static void vf_credits(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 50 * NSEC_PER_MSEC);
	struct rviommu_sim_pri_stats stats[2];
	struct iommu_domain *domain;
	struct iommu_attach_handle handle;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	domain = rviommu_simtest_domain(test, f->dev[VIRTUAL]);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(f->group[VIRTUAL], domain, &handle), 0);
	for (i = 0; i < 2; i++) {
		unsigned int dev = i ? VIRTUAL : 0;

		rviommu_sim_set_pri(f->dev[dev], RVIOMMU_SIM_PRI_LOST | RVIOMMU_SIM_PRI_FLOOD);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, dev, 0, 0, 1, 1), -ETIMEDOUT);
		stats[i] = iopftest_stats(f, dev);
		KUNIT_EXPECT_EQ(test, stats[i].outstanding, 16 / (1 + VIRTUALS));
		rviommu_sim_set_pri(f->dev[dev], 0);
	}
	iommu_detach_group_handle(domain, f->group[VIRTUAL]);
	vf_control(f, 0);
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	vf_control(f, PCI_PRI_CTRL_RESET);
	KUNIT_EXPECT_EQ(test, vf_status(f), PCI_PRI_STATUS_STOPPED);
	for (i = 0; i < 2; i++) {
		stats[i] = iopftest_stats(f, i ? VIRTUAL : 0);
		KUNIT_EXPECT_EQ(test, stats[i].outstanding, 0);
	}
	iopftest_detach(f, 0);
}

static struct kunit_case vf_cases[] = {
	KUNIT_CASE(vf_demand),
	KUNIT_CASE(vf_outlives),
	KUNIT_CASE(vf_unasked),
	KUNIT_CASE(vf_failure),
	KUNIT_CASE(vf_credits),
	{}
};

static struct kunit_suite vf_suite = {
	.name = "rviommu_iopf_sriov",
	.test_cases = vf_cases,
};

kunit_test_suite(vf_suite);
