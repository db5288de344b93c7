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
#include <rviommu/bus.h>
#include <rviommu/model.h>
#include <rviommu/sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/device.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/iommu.h"
#include "../src/driver/iopf.h"
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
static void vf_config(struct rviommu_sim_config *config, u64 timeout)
{
	iopftest_config(config);
	config->endpoints = 0;
	config->pci_functions = IOPFTEST_NR_DEVICES;
	config->vfs = VIRTUALS;
	config->pri_capacity = 16;
	config->pri_timeout = timeout;
}

static struct iopftest *vf_up_with(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct pci_dev *pf, *vf;
	struct iopftest *f;

	if (!IS_ENABLED(CONFIG_PCI_IOV))
		kunit_skip(test, "this kernel has no virtual functions");
	f = iopftest_up(test, config);
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

static struct iopftest *vf_up(struct kunit *test, u64 timeout)
{
	struct rviommu_sim_config config;

	vf_config(&config, timeout);
	return vf_up_with(test, &config);
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

/* Each is served by who handles its own. */
static void vf_demand(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	unsigned int page;

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
		KUNIT_EXPECT_EQ(test, f->ep[0]->pri.shared->needed, 0);
	}
	iopftest_expect_clean(f, VIRTUAL);
	iopftest_expect_clean(f, 0);
}

/*
 * It is the only one that needs the interface when it is reset: the core has it blocked, and
 * attached again. That may not fail, so it can switch on what the physical function needs not.
 */
static void vf_reset_alone(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_EQ(test, pci_reset_function(to_pci_dev(f->dev[VIRTUAL])), 0);
	KUNIT_EXPECT_NE(test, vf_enable(f), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 0, 1, 1), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], 0, 1));
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
	/* Nor does it need the physical one to begin with. */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[2]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 1, 1, 2), 0);
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
	iopftest_expect_clean(f, VIRTUAL);
	iopftest_expect_clean(f, 0);
}

static int vf_takes_none(struct iopf_group *group)
{
	return -EBUSY;
}

/*
 * The core takes all devices away, the physical function first, while a virtual one needs the
 * interface. The core wants each to be with its default domain then: so that has a handler here.
 */
static void vf_pulled_out(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	struct rviommu *iommu = f->ep[0]->iommu;
	const u16 ctrl = f->ep[0]->pri.ctrl;
	struct iommu_group *replaced;
	struct iommu_domain *domain;
	u16 value = 0xffff;
	unsigned int i;

	for (i = 0; i < IOPFTEST_NR_DEVICES; i++)
		rviommu_simtest_release(test, f->group[i]);
	/* That of the device whose place the virtual one took */
	replaced = iommu_group_get(rviommu_sim_function(f->sim, VIRTUAL));
	rviommu_simtest_release(test, replaced);
	iommu_group_put(replaced);
	domain = iommu_get_domain_for_dev(f->dev[VIRTUAL]);
	KUNIT_ASSERT_TRUE(test, domain->type & __IOMMU_DOMAIN_PAGING);
	f->group[VIRTUAL] = rviommu_simtest_claim(test, f->dev[VIRTUAL]);
	domain->iopf_handler = vf_takes_none;
	rviommu_simtest_release(test, f->group[VIRTUAL]);
	KUNIT_ASSERT_NE(test, vf_enable(f), 0);

	iommu->bus->hold_devices(iommu->bus, true);
	iommu_device_unregister(&iommu->core);
	KUNIT_EXPECT_NULL(test, rviommu_endpoint_of(f->dev[0]));
	KUNIT_EXPECT_TRUE(test, xa_empty(&iommu->dids));
	pci_read_config_word(to_pci_dev(f->dev[0]), ctrl, &value);
	KUNIT_EXPECT_EQ(test, value & PCI_PRI_CTRL_ENABLE, 0);
	/* For who takes it away once more */
	KUNIT_EXPECT_EQ(test, iommu_device_register(&iommu->core, &rviommu_ops, iommu->dev), 0);
	iommu->bus->hold_devices(iommu->bus, false);
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

/*
 * The PCI core's record of the physical function is written when that needs the interface itself,
 * and by nobody else. So the core does not restore it for a virtual one: the driver does.
 */
static void vf_restored(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct pci_dev *pf = to_pci_dev(f->dev[0]);

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	KUNIT_EXPECT_NE(test, vf_enable(f), 0);
	KUNIT_EXPECT_FALSE(test, pf->pri_enabled);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_TRUE(test, pf->pri_enabled);
	KUNIT_EXPECT_EQ(test, pf->pri_reqs_alloc, f->ep[0]->pri.requests);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_FALSE(test, pf->pri_enabled);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 0, 1, 1), 0);

	/* It slept, with its IOMMU. */
	KUNIT_ASSERT_EQ(test, rviommu_suspend(iommu), 0);
	vf_control(f, 0);
	KUNIT_ASSERT_EQ(test, rviommu_resume(iommu), 0);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_NE(test, vf_enable(f), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[VIRTUAL]->pri.revived), 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 1, 1, 1), 0);
	iopftest_detach(f, VIRTUAL);
	iopftest_expect_clean(f, VIRTUAL);
}

/* A virtual function behind another IOMMU than the physical one: it goes without. */
static void vf_elsewhere(struct kunit *test)
{
	struct rviommu_pri_interface *in;
	struct rviommu_sim_config config;
	struct rviommu_endpoint *vf;
	struct rviommu *iommu;
	struct iopftest *f;

	if (!IS_ENABLED(CONFIG_PCI_IOV))
		kunit_skip(test, "this kernel has no virtual functions");
	vf_config(&config, 20ULL * NSEC_PER_SEC);
	f = iopftest_up(test, &config);
	in = f->ep[0]->pri.shared;
	iommu = in->iommu;
	in->iommu = (struct rviommu *)in;
	pci_lock_rescan_remove();
	KUNIT_EXPECT_EQ(test, pci_enable_sriov(to_pci_dev(f->dev[0]), 1), 0);
	pci_unlock_rescan_remove();
	in->iommu = iommu;
	KUNIT_ASSERT_NOT_NULL(test, rviommu_sim_virtual_function(f->sim, 0, 0));
	vf = dev_iommu_priv_get(rviommu_sim_virtual_function(f->sim, 0, 0));
	KUNIT_EXPECT_FALSE(test, vf->pri.usable);
	KUNIT_EXPECT_NULL(test, vf->pri.shared);
	KUNIT_EXPECT_TRUE(test, vf->ats.usable);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&in->sharers));
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	iopftest_detach(f, 0);
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

/* So does one whose fault record was lost. */
static void vf_failure_unseen(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 20ULL * NSEC_PER_SEC);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(f->ep[VIRTUAL]->ats.rid,
							  f->ep[VIRTUAL]->ats.seg, 0,
							  RVIOMMU_MODEL_PRGR_FAILURE);

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_sync(&iommu->cmdq, &cmd, 1), 0);
	KUNIT_EXPECT_EQ(test, vf_status(f), PCI_PRI_STATUS_RF);
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_FQ_OF, 1);
	vf_stray_request(f);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->faultq.overflows), 1);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), 0);
	iopftest_detach(f, 0);
}

static void vf_look(struct iopftest *f)
{
	struct rviommu *iommu = f->ep[0]->iommu;

	schedule_delayed_work(&iommu->revive, 0);
	flush_delayed_work(&iommu->revive);
}

static void vf_fail(struct iopftest *f, unsigned int dev)
{
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(f->ep[dev]->ats.rid, f->ep[dev]->ats.seg,
							  0, RVIOMMU_MODEL_PRGR_FAILURE);

	KUNIT_EXPECT_EQ(f->test, rviommu_cmdq_sync(&f->ep[dev]->iommu->cmdq, &cmd, 1), 0);
	KUNIT_EXPECT_EQ(f->test, vf_status(f) & PCI_PRI_STATUS_RF, PCI_PRI_STATUS_RF);
}

static const unsigned int vf_both[] = { 0, VIRTUAL };

static void vf_which(const unsigned int *dev, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", *dev ? "virtual" : "physical");
}

KUNIT_ARRAY_PARAM(vf_either, vf_both, vf_which);

/* One of them waits for a response that was lost: all are told to ask again, and all forget. */
static void vf_response_lost(struct kunit *test)
{
	const unsigned int loser = *(const unsigned int *)test->param_value;
	struct iopftest *f = vf_up(test, 60ULL * NSEC_PER_SEC);
	const unsigned int other = loser ? 0 : VIRTUAL;
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		f->space[i].mode = IOPFTEST_HOLD;
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, vf_both[i], &f->space[i]), 0);
		job[i] = iopftest_go(f, vf_both[i], 0, 0, 1, 1);
		iopftest_await_held(f, &f->space[i], 1);
		f->space[i].mode = IOPFTEST_MAP;
	}
	KUNIT_ASSERT_EQ(test, rviommu_suspend(iommu), 0);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[!!loser], IOMMU_PAGE_RESP_SUCCESS, false),
			1);
	KUNIT_ASSERT_EQ(test, rviommu_resume(iommu), 0);
	flush_delayed_work(&iommu->revive);
	/* What it asked before, with the index that it uses again, is nothing any more. */
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[other]->pri.revived), 1);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[!loser], IOMMU_PAGE_RESP_INVALID, false),
			1);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_sync(&iommu->cmdq, NULL, 0), 0);
	for (i = 0; i < 2; i++) {
		/* It asks again, and finds the interface on by then, or not yet. */
		rviommu_pritest_end(test, job[i]);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, vf_both[i], 0, 1, 1, 2), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[i], 1, 2));
		iopftest_expect_clean(f, vf_both[i]);
	}
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&iommu->revive));
	iopftest_detach(f, VIRTUAL);
	iopftest_detach(f, 0);
}

/**
 * struct vf_sleeper - the physical function cannot be looked at
 * @f: devices and domains
 * @real: what reads its configuration space
 * @ops: what reads it in its place
 * @asleep: its status reads all ones
 */
static struct vf_sleeper {
	struct iopftest *f;
	struct pci_ops *real;
	struct pci_ops ops;
	bool asleep;
} vf_sleeper;

static int vf_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	const struct vf_sleeper *s = &vf_sleeper;

	if (!s->asleep || devfn != to_pci_dev(s->f->dev[0])->devfn ||
	    where != s->f->ep[0]->pri.ctrl - PCI_PRI_CTRL + PCI_PRI_STATUS)
		return s->real->read(bus, devfn, where, size, value);
	*value = ~0U;
	return PCIBIOS_SUCCESSFUL;
}

static int vf_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	return vf_sleeper.real->write(bus, devfn, where, size, value);
}

static void vf_wake(void *bus)
{
	pci_bus_set_ops(bus, vf_sleeper.real);
}

static void vf_sleeper_up(struct iopftest *f)
{
	struct pci_bus *bus = to_pci_dev(f->dev[0])->bus;

	vf_sleeper = (struct vf_sleeper) { .f = f, .ops = { .read = vf_read, .write = vf_write } };
	vf_sleeper.real = bus->ops;
	pci_bus_set_ops(bus, &vf_sleeper.ops);
	KUNIT_ASSERT_EQ(f->test, kunit_add_action_or_reset(f->test, vf_wake, bus), 0);
}

/*
 * It is the virtual function's response that was lost, and the physical one that sleeps on, longer
 * than somebody looks for it. It is awake when it needs the interface itself.
 */
static void vf_asleep(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 60ULL * NSEC_PER_SEC);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job;
	unsigned int looks;

	vf_sleeper_up(f);
	f->space[1].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	job = iopftest_go(f, VIRTUAL, 0, 0, 1, 1);
	iopftest_await_held(f, &f->space[1], 1);
	KUNIT_ASSERT_EQ(test, rviommu_suspend(iommu), 0);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	f->space[1].mode = IOPFTEST_MAP;
	vf_sleeper.asleep = true;
	KUNIT_ASSERT_EQ(test, rviommu_resume(iommu), 0);
	for (looks = 0; delayed_work_pending(&iommu->revive) && looks < 1000; looks++)
		flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, looks, 1 + RVIOMMU_PRI_LOOKS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[VIRTUAL]->pri.revived), 0);
	vf_sleeper.asleep = false;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[VIRTUAL]->pri.revived), 1);
	rviommu_pritest_end(test, job);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 1, 1, 2), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 2), 0);
	iopftest_detach(f, VIRTUAL);
	iopftest_detach(f, 0);
	iopftest_expect_clean(f, VIRTUAL);
	iopftest_expect_clean(f, 0);
}

/* ----- Beside a handler of the physical function ----- */

/* The virtual one comes, works, goes, and comes back, be it after a failure. */
static bool vf_fails;

static void vf_lives(struct iopftest *f)
{
	struct kunit *test = f->test;

	KUNIT_EXPECT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(f->dev[VIRTUAL], 0, IOPFTEST_IOVA, SZ_4K, 2), 0);
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	if (vf_fails) {
		vf_fail(f, VIRTUAL);
		vf_look(f);
	}
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[VIRTUAL]->pri.revived), vf_fails);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(f->dev[VIRTUAL], 0, IOPFTEST_IOVA + SZ_4K,
						   SZ_4K, 2), 0);
}

static const bool vf_failures[] = { false, true };

static void vf_failure_desc(const bool *fails, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "with%s a failure", *fails ? "" : "out");
}

KUNIT_ARRAY_PARAM(vf_with, vf_failures, vf_failure_desc);

/*
 * Who detaches the physical function waits for its handler, which hangs: the virtual one does
 * not. What the handler says when the interface was switched on again meanwhile is not said.
 */
static void vf_beside_handler(struct kunit *test)
{
	struct iopftest *f = vf_up(test, 60ULL * NSEC_PER_SEC);
	struct iopftest_thread *detach, *live;
	struct rviommu_pritest_job *job;

	detach = iopftest_detach_waits(f, &job);
	vf_fails = *(const bool *)test->param_value;
	live = iopftest_start(f, vf_lives);
	KUNIT_EXPECT_TRUE(test, iopftest_ends(live));
	KUNIT_EXPECT_FALSE(test, completion_done(&detach->done));
	complete_all(&f->space[0].go);
	KUNIT_EXPECT_TRUE(test, iopftest_ends(detach));
	KUNIT_EXPECT_TRUE(test, iopftest_ends(live));
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, VIRTUAL).unexpected, 0);
	KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
}

/* One in quarantine does not keep it from the others, and is none for whom it is switched on. */
static void vf_quarantine(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	vf_config(&config, 20ULL * NSEC_PER_SEC);
	config.model.ats_timeout = NSEC_PER_MSEC;
	f = vf_up_with(test, &config);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, VIRTUAL, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, VIRTUAL, 0, 0, 1, 1), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev[VIRTUAL], RVIOMMU_SIM_ATC_LOST), 0);
	iopftest_unmap(&f->space[1], 0, 1);
	KUNIT_ASSERT_TRUE(test, READ_ONCE(f->ep[VIRTUAL]->lost));
	vf_fail(f, VIRTUAL);
	vf_look(f);
	KUNIT_EXPECT_EQ(test, vf_status(f), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_NE(test, vf_enable(f), 0);
	vf_fail(f, VIRTUAL);
	vf_look(f);
	KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
	/* For another one it is. */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), 0);
	iopftest_detach(f, 0);
	iopftest_detach(f, VIRTUAL);
	KUNIT_EXPECT_EQ(test, vf_enable(f), 0);
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
	KUNIT_CASE(vf_reset_alone),
	KUNIT_CASE(vf_pulled_out),
	KUNIT_CASE(vf_unasked),
	KUNIT_CASE(vf_restored),
	KUNIT_CASE(vf_elsewhere),
	KUNIT_CASE(vf_failure),
	KUNIT_CASE(vf_failure_unseen),
	KUNIT_CASE_PARAM(vf_response_lost, vf_either_gen_params),
	KUNIT_CASE(vf_asleep),
	KUNIT_CASE_PARAM(vf_beside_handler, vf_with_gen_params),
	KUNIT_CASE(vf_quarantine),
	KUNIT_CASE(vf_credits),
	{}
};

static struct kunit_suite vf_suite = {
	.name = "rviommu_iopf_sriov",
	.test_cases = vf_cases,
};

kunit_test_suite(vf_suite);
