// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI functions of a simulated IOMMU in the hands of the cores: resets, which the IOMMU
 * core has the driver prepare for and recover from, and PASIDs replaced under DMA.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/directory.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "hw.h"
#include "simtest.h"
#include "testdev.h"

#define IOVA			0x1000000000ULL
#define FUNCTIONS		2
#define PASIDS			2
/* The second is in another page of the directory. */
#define PASID(i)		(1 + 300 * (i))

enum reset_rid { RID_DMA_API, RID_IDENTITY, RID_PAGING, RID_BLOCKED };

/**
 * struct reset_case - what a function is attached to when it is reset
 * @name: of the case
 * @rid: its requester ID
 * @pasids: PASIDs with domains
 * @switches: worst cases
 */
struct reset_case {
	const char *name;
	enum reset_rid rid;
	unsigned int pasids;
	u32 switches;
};

static const struct reset_case reset_cases[] = {
	{ .name = "DMA API", .rid = RID_DMA_API },
	{ .name = "identity", .rid = RID_IDENTITY },
	{ .name = "paging", .rid = RID_PAGING, .switches = RVIOMMU_MODEL_SWITCHES },
	{ .name = "identity, PASIDs", .rid = RID_IDENTITY, .pasids = PASIDS },
	{ .name = "paging, PASIDs", .rid = RID_PAGING, .pasids = PASIDS },
	{ .name = "blocked, PASIDs", .rid = RID_BLOCKED, .pasids = PASIDS },
	{ .name = "paging, PASIDs, worst case", .rid = RID_PAGING, .pasids = PASIDS,
	  .switches = RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(reset, reset_cases, name);

/**
 * struct reset_fixture - an instance with functions, whose DMA is ours
 * @test: whose
 * @sim: the instance
 * @pdev: its functions
 * @ep: what the driver knows of them
 * @group: their groups
 * @claimed: functions from the first on whose groups were claimed
 * @iommu: the driver's IOMMU
 * @c: the case, for the hook
 * @rid: domain of the requester ID, or NULL
 * @page: its pages
 * @pasid: domains of the PASIDs; the last is for attempts
 * @pasid_page: their pages
 * @handle: for the core
 * @in_reset: how often the hook ran
 * @wrong: line of the first thing that the hook found wrong, 0: none
 */
struct reset_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct pci_dev *pdev[FUNCTIONS];
	struct rviommu_endpoint *ep[FUNCTIONS];
	struct iommu_group *group[FUNCTIONS];
	unsigned int claimed;
	struct rviommu *iommu;
	const struct reset_case *c;
	struct iommu_domain *rid;
	u8 *page;
	struct iommu_domain *pasid[PASIDS + 1];
	u8 *pasid_page[PASIDS + 1];
	struct iommu_attach_handle handle[2];
	unsigned int in_reset;
	int wrong;
};

static void reset_release(void *data)
{
	struct reset_fixture *f = data;

	while (f->claimed)
		iommu_group_release_dma_owner(f->group[--f->claimed]);
}

static struct reset_fixture *reset_up(struct kunit *test, u32 switches, u64 ats_timeout)
{
	struct reset_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	if (test->param_value && !rviommu_core_blocks_resets())
		kunit_skip(test, "the IOMMU core does not know of resets");
	f->test = test;
	rviommu_sim_config_init(&config);
	config.endpoints = 0;
	config.pci_functions = FUNCTIONS;
	config.pasid_bits = 12;
	config.ats = true;
	config.ats_depth = 5;
	config.model.switches = switches;
	if (ats_timeout)
		config.model.ats_timeout = ats_timeout;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_reset", &config);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, reset_release, f), 0);
	for (i = 0; i < FUNCTIONS; i++) {
		f->pdev[i] = to_pci_dev(rviommu_sim_function(f->sim, i));
		f->ep[i] = dev_iommu_priv_get(&f->pdev[i]->dev);
		f->group[i] = f->pdev[i]->dev.iommu_group;
		pci_set_master(f->pdev[i]);
	}
	f->iommu = f->ep[0]->iommu;
	return f;
}

static void reset_claim(struct reset_fixture *f)
{
	for (; f->claimed < FUNCTIONS; f->claimed++)
		KUNIT_ASSERT_EQ(f->test, iommu_group_claim_dma_owner(f->group[f->claimed], f), 0);
}

/* Two pages, and a domain that maps them at IOVA. */
static struct iommu_domain *reset_space(struct reset_fixture *f, u8 **page)
{
	return rviommu_simtest_space(f->test, &f->pdev[0]->dev, IOVA, SZ_8K, page);
}

static int reset_fill(struct pci_dev *pdev, u32 pasid, u64 iova, u64 seed)
{
	return rviommu_simtest_fill(&pdev->dev, pasid, iova, 64, seed);
}

/* A DMA reaches @page, by the way that leads there. */
static void reset_expect_reaches(struct reset_fixture *f, u32 pasid, u64 iova, const u8 *page,
				 u64 seed)
{
	KUNIT_EXPECT_EQ_MSG(f->test, reset_fill(f->pdev[0], pasid, iova, seed), 0, "PASID %u",
			    pasid);
	KUNIT_EXPECT_TRUE_MSG(f->test, rviommu_simtest_holds(page, 64, seed), "PASID %u", pasid);
}

static s64 reset_events(struct reset_fixture *f, enum rviommu_cmdq_event event)
{
	return atomic64_read(&f->iommu->cmdq.events[event]);
}

static void reset_expect_quiet(struct reset_fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, reset_events(f, RVIOMMU_CMDQ_TIMEOUT), 0);
	KUNIT_EXPECT_EQ(f->test, reset_events(f, RVIOMMU_CMDQ_RESTARTS), 0);
	KUNIT_EXPECT_FALSE(f->test, rviommu_is_dead(f->iommu));
	KUNIT_EXPECT_FALSE(f->test, READ_ONCE(f->ep[0]->lost));
}

/* Let the first function be attached as the case says. */
static void reset_attach(struct reset_fixture *f, const struct reset_case *c)
{
	struct kunit *test = f->test;
	unsigned int i;

	f->c = c;
	for (i = 0; i <= PASIDS; i++)
		f->pasid[i] = reset_space(f, &f->pasid_page[i]);
	f->rid = reset_space(f, &f->page);
	if (c->rid != RID_DMA_API)
		reset_claim(f);
	if (c->rid == RID_PAGING || c->rid == RID_IDENTITY)
		KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(f->group[0],
								 c->rid == RID_PAGING ? f->rid :
								 &rviommu_identity_domain,
								 &f->handle[0]), 0);
	for (i = 0; i < c->pasids; i++)
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(f->pasid[i], &f->pdev[0]->dev,
								PASID(i), NULL), 0);
}

static void reset_detach(struct reset_fixture *f)
{
	unsigned int i;

	for (i = 0; i < f->c->pasids; i++)
		iommu_detach_device_pasid(f->pasid[i], &f->pdev[0]->dev, PASID(i));
	if (f->c->rid == RID_PAGING || f->c->rid == RID_IDENTITY)
		iommu_detach_group_handle(f->c->rid == RID_PAGING ? f->rid :
					  &rviommu_identity_domain, f->group[0]);
	for (i = 0; i < PASIDS; i++)
		KUNIT_EXPECT_EQ(f->test, rviommu_simtest_users(f->pasid[i]), 0);
	KUNIT_EXPECT_EQ(f->test, rviommu_simtest_users(f->rid), 0);
}

/* Everything that is attached works, and with ATS if @ats says so. */
static void reset_expect_works(struct reset_fixture *f, u64 seed, bool ats)
{
	struct kunit *test = f->test;
	struct pci_dev *pdev = f->pdev[0];
	unsigned int i;

	if (f->c->rid == RID_PAGING)
		reset_expect_reaches(f, 0, IOVA, f->page, seed);
	else if (f->c->rid == RID_IDENTITY)
		reset_expect_reaches(f, 0, virt_to_phys(f->page), f->page, seed);
	else
		KUNIT_EXPECT_EQ(test, reset_fill(pdev, 0, IOVA, seed), -EFAULT);
	for (i = 0; i < f->c->pasids; i++)
		reset_expect_reaches(f, PASID(i), IOVA, f->pasid_page[i], seed + 1 + i);
	KUNIT_EXPECT_EQ(test, rviommu_sim_ats_enabled(&pdev->dev), ats);
	KUNIT_EXPECT_EQ(test, f->ep[0]->ats.on, ats);
	KUNIT_EXPECT_EQ(test, (bool)pdev->ats_enabled, ats);
}

/* ----- While the function is in a reset ----- */

static bool reset_refused(struct reset_fixture *f, u8 kind, u32 pasid, u64 iova)
{
	struct rviommu_model_request req = {
		.kind = kind, .pv = pasid, .process_id = pasid, .write = true,
		.device_id = pci_dev_id(f->pdev[0]), .iova = iova, .length = 8,
	};
	struct rviommu_model_response rsp;

	return rviommu_model_translate(rviommu_sim_model(f->sim), &req, &rsp) &&
	       rsp.cause == RVIOMMU_HW_DDT_ENTRY_NOT_VALID;
}

#define reset_check(f, condition)						\
do {										\
	if (!(condition) && !(f)->wrong)					\
		(f)->wrong = __LINE__;						\
} while (0)

/* Between prepare and done of the core; the group's lock is free. */
static void reset_hook(unsigned int index, void *arg)
{
	struct reset_fixture *f = arg;
	s64 timeouts = reset_events(f, RVIOMMU_CMDQ_TIMEOUT);
	struct device *dev = &f->pdev[0]->dev;
	unsigned int i;

	f->in_reset++;
	reset_check(f, !index);
	/* Nothing that the function might still send gets anywhere. */
	for (i = 0; i <= f->c->pasids; i++) {
		u32 pasid = i ? PASID(i - 1) : 0;

		reset_check(f, reset_refused(f, RVIOMMU_MODEL_UNTRANSLATED, pasid, IOVA));
		reset_check(f, reset_refused(f, RVIOMMU_MODEL_ATS_REQUEST, pasid, IOVA));
	}
	reset_check(f, reset_refused(f, RVIOMMU_MODEL_TRANSLATED, 0, virt_to_phys(f->page)));
	reset_check(f, rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID) ==
		       &rviommu_blocking_domain);
	reset_check(f, xa_empty(&f->ep[0]->pasids));
	reset_check(f, !f->ep[0]->ats.on);
	for (i = 0; i < f->c->pasids; i++)
		reset_check(f, !rviommu_simtest_users(f->pasid[i]));

	/* Who wants to attach something has to come again. */
	reset_check(f, iommu_attach_device_pasid(f->pasid[PASIDS], dev, 9, NULL) == -EBUSY);
	if (f->claimed)
		reset_check(f, iommu_replace_group_handle(f->group[0], f->pasid[PASIDS],
							  &f->handle[1]) == -EBUSY);
	/* Who unmaps need not, and nobody waits for a function that does not answer. */
	if (iommu_iova_to_phys(f->rid, IOVA + SZ_4K))
		reset_check(f, iommu_unmap(f->rid, IOVA + SZ_4K, SZ_4K) == SZ_4K);
	reset_check(f, reset_events(f, RVIOMMU_CMDQ_TIMEOUT) == timeouts);
	if (f->claimed > 1 &&
	    rviommu_attached_domain(f->ep[1], IOMMU_NO_PASID) == &rviommu_identity_domain)
		reset_check(f, !reset_fill(f->pdev[1], 0, virt_to_phys(f->page) + 128, 7));
}

/**
 * struct reset_hammer - a thread that lets a function write
 * @pdev: the function
 * @pasid: with this PASID, 0: without
 * @iova: where
 * @dmas: so far
 * @failed: of which did not succeed
 * @odd: of which ended as none should
 */
struct reset_hammer {
	struct pci_dev *pdev;
	u32 pasid;
	u64 iova;
	unsigned long dmas;
	unsigned long failed;
	unsigned long odd;
};

static int reset_hammer(void *data)
{
	struct reset_hammer *h = data;

	do {
		int ret = reset_fill(h->pdev, h->pasid, h->iova, 11);

		if (ret)
			h->failed++;
		if (ret && ret != -EPERM && ret != -EIO && ret != -EFAULT)
			h->odd++;
		WRITE_ONCE(h->dmas, h->dmas + 1);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

/* As a user does it through sysfs, and VFIO: everything is as it was before. */
static void reset_restores(struct kunit *test)
{
	const struct reset_case *c = test->param_value;
	struct reset_fixture *f = reset_up(test, c->switches, 0);
	struct reset_hammer h[3] = {};
	struct task_struct *task[3];
	struct iommu_domain *domain;
	unsigned int i, users;
	unsigned long failed;
	struct rviommu_dc dc;
	long live;

	reset_attach(f, c);
	/* The other one goes on, whatever happens. */
	if (f->claimed > 1)
		KUNIT_ASSERT_EQ(test, iommu_attach_group(&rviommu_identity_domain, f->group[1]), 0);
	h[0] = (struct reset_hammer){ .pdev = f->pdev[0], .iova = IOVA + 1024 };
	if (c->rid == RID_IDENTITY)
		h[0].iova = virt_to_phys(f->page) + 1024;
	h[1] = (struct reset_hammer){ .pdev = f->pdev[0], .iova = IOVA + 1024,
				      .pasid = c->pasids ? PASID(0) : 0 };
	h[2] = (struct reset_hammer){ .pdev = f->pdev[1], .iova = virt_to_phys(f->page) + 2048 };
	reset_expect_works(f, 20, true);
	if (c->rid == RID_PAGING)
		reset_expect_reaches(f, 0, IOVA + SZ_4K, f->page + SZ_4K, 22);
	domain = rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID);
	users = rviommu_simtest_users(f->rid);
	for (i = 0; i < 3; i++) {
		task[i] = kthread_run(reset_hammer, &h[i], "reset_hammer/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task[i]);
		rviommu_simtest_wait(&h[i].dmas, 1);
	}
	rviommu_sim_set_reset_hook(f->sim, reset_hook, f);
	for (i = 0; i < 2; i++) {
		live = testdev_live();
		KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
		KUNIT_EXPECT_EQ(test, f->in_reset, i + 1);
		KUNIT_EXPECT_EQ_MSG(test, f->wrong, 0, "found wrong in the reset at this line");
		rviommu_simtest_wait(&h[0].dmas, 1);
		failed = h[0].failed;
		reset_expect_works(f, 30 + 10 * i, true);
		/* What was unmapped meanwhile is unmapped. */
		if (c->rid == RID_PAGING)
			KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], 0, IOVA + SZ_4K, 2), -EFAULT);
		rviommu_simtest_wait(&h[0].dmas, 3);
		if (c->rid == RID_PAGING || c->rid == RID_IDENTITY)
			KUNIT_EXPECT_EQ(test, h[0].failed, failed);
		KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID),
				    domain);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(f->rid), users);
		/* Leaves of the unmapped page may be gone, and nothing came. */
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
		/* For the next time */
		KUNIT_EXPECT_EQ(test, iommu_map(f->rid, IOVA + SZ_4K,
						virt_to_phys(f->page) + SZ_4K, SZ_4K,
						IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
		if (c->rid == RID_PAGING)
			reset_expect_reaches(f, 0, IOVA + SZ_4K, f->page + SZ_4K, 23);
	}
	rviommu_sim_set_reset_hook(f->sim, NULL, NULL);
	for (i = 0; i < 3; i++) {
		kthread_stop(task[i]);
		KUNIT_EXPECT_EQ(test, h[i].odd, 0);
	}
	if (f->claimed > 1) {
		KUNIT_EXPECT_EQ(test, h[2].failed, 0);
		iommu_detach_group(&rviommu_identity_domain, f->group[1]);
	}
	/* An unmap reaches the ATC again. */
	for (i = 0; i < c->pasids; i++) {
		KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&f->pdev[0]->dev, true, PASID(i)), 0);
		KUNIT_EXPECT_EQ(test, iommu_unmap(f->pasid[i], IOVA, SZ_8K), SZ_8K);
		KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], PASID(i), IOVA, 1), -EFAULT);
	}
	if (c->rid == RID_PAGING) {
		KUNIT_EXPECT_EQ(test, iommu_unmap(f->rid, IOVA, SZ_8K), SZ_8K);
		KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], 0, IOVA, 1), -EFAULT);
	}
	reset_expect_quiet(f);
	reset_detach(f);
	if (c->rid != RID_DMA_API)
		KUNIT_EXPECT_FALSE(test, rviommu_ddt_read(&f->iommu->ddt, f->ep[0]->ids[0], &dc));
}

/* ----- Devices and IOMMUs that are out of service ----- */

/*
 * A function that completes no invalidation is blocked. A reset brings it back, without
 * ATS; taken out and put in again it has that, too.
 */
static void reset_lost(struct kunit *test)
{
	const struct reset_case *c = test->param_value;
	struct reset_fixture *f = reset_up(test, c->switches, 100 * NSEC_PER_MSEC);
	struct iommu_domain *last;
	s64 timeouts;
	u8 *page;

	if (c->rid != RID_PAGING && !c->pasids) {
		kunit_skip(test, "nothing to unmap");
		return;
	}
	reset_attach(f, c);
	reset_expect_works(f, 20, true);
	last = c->pasids ? f->pasid[0] : f->rid;
	page = c->pasids ? f->pasid_page[0] : f->page;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(&f->pdev[0]->dev, RVIOMMU_SIM_ATC_LOST), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(last, IOVA, SZ_4K), SZ_4K);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(f->ep[0]->lost));
	timeouts = reset_events(f, RVIOMMU_CMDQ_TIMEOUT);
	KUNIT_EXPECT_GT(test, timeouts, 0);
	KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], 0, IOVA, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], PASID(0), IOVA, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(f->pasid[PASIDS], &f->pdev[0]->dev, 9,
							NULL), -EIO);
	/* Nobody else has noticed more than the delay. */
	KUNIT_EXPECT_FALSE(test, READ_ONCE(f->ep[1]->lost));

	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(f->ep[0]->lost));
	KUNIT_EXPECT_EQ(test, iommu_map(last, IOVA, virt_to_phys(page), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	reset_expect_works(f, 30, false);
	KUNIT_EXPECT_EQ(test, rviommu_sim_list_atc(&f->pdev[0]->dev, NULL, NULL), 0);
	/* Translations that it might have kept are of no use. */
	{
		struct rviommu_model_request req = {
			.kind = RVIOMMU_MODEL_TRANSLATED, .device_id = f->ep[0]->ids[0],
			.iova = virt_to_phys(page), .length = 8, .write = true,
		};
		struct rviommu_model_response rsp;

		KUNIT_EXPECT_NE(test, rviommu_model_translate(rviommu_sim_model(f->sim), &req,
							      &rsp), 0);
	}
	KUNIT_EXPECT_EQ(test, iommu_unmap(last, IOVA, SZ_4K), SZ_4K);
	KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], c->pasids ? PASID(0) : 0, IOVA, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, reset_events(f, RVIOMMU_CMDQ_TIMEOUT), timeouts);
	reset_detach(f);

	reset_release(f);
	rviommu_sim_remove_function(f->sim, 0, false);
	KUNIT_ASSERT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(rviommu_sim_function(f->sim, 0)));
}

/* That a function does not answer shows only when the core prepares for its reset. */
static void reset_lost_meanwhile(struct kunit *test)
{
	const struct reset_case *c = test->param_value;
	struct reset_fixture *f = reset_up(test, c->switches, 100 * NSEC_PER_MSEC);

	reset_attach(f, c);
	reset_expect_works(f, 20, true);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(&f->pdev[0]->dev, RVIOMMU_SIM_ATC_LOST), 0);
	rviommu_sim_set_reset_hook(f->sim, reset_hook, f);
	KUNIT_EXPECT_EQ(test, reset_events(f, RVIOMMU_CMDQ_TIMEOUT), 0);
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
	KUNIT_EXPECT_EQ(test, f->in_reset, 1);
	KUNIT_EXPECT_FALSE(test, rviommu_is_dead(f->iommu));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(f->ep[0]->lost));
	KUNIT_EXPECT_EQ_MSG(test, f->wrong, 0, "found wrong in the reset at this line");
	reset_expect_works(f, 30, false);
	/* And once more, with nothing to go wrong. */
	KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
	reset_expect_works(f, 40, false);
	rviommu_sim_set_reset_hook(f->sim, NULL, NULL);
	reset_detach(f);
}

/* The IOMMU is out of service, and a user resets a function. All of it stays blocked. */
static void reset_dead(struct kunit *test)
{
	const struct reset_case *c = test->param_value;
	struct reset_fixture *f = reset_up(test, c->switches, 0);
	unsigned int i;

	reset_attach(f, c);
	reset_expect_works(f, 20, true);
	rviommu_cmdq_kill(&f->iommu->cmdq, "a test wants it so");
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, pci_reset_function(f->pdev[0]), 0);
		KUNIT_EXPECT_EQ(test, reset_fill(f->pdev[0], 0, IOVA, 1), -EFAULT);
	}
	/* Nobody gets anything new. */
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(f->pasid[PASIDS], &f->pdev[0]->dev, 9,
							NULL), -EIO);
	if (f->claimed)
		KUNIT_EXPECT_EQ(test, iommu_replace_group_handle(f->group[0], f->pasid[PASIDS],
								 &f->handle[1]), -EIO);
	reset_detach(f);
}

/* ----- PASIDs replaced under DMA ----- */

#define SPACES		16
#define HAMMERS		4

/**
 * struct replace_hammer - a thread that lets a function write and read with a PASID
 * @pdev: the function
 * @pasid: the PASID
 * @space: pages of all address spaces
 * @dmas: so far
 * @faults: of which were refused
 * @foreign: reads that were not of one of those spaces, and of only one
 */
struct replace_hammer {
	struct pci_dev *pdev;
	u32 pasid;
	u8 **space;
	unsigned long dmas;
	unsigned long faults;
	unsigned long foreign;
};

static int replace_hammer(void *data)
{
	struct replace_hammer *h = data;
	u8 buf[64];

	do {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_READ, .pv = true, .pasid = h->pasid,
			.iova = IOVA + SZ_4K, .length = sizeof(buf), .buf = buf,
		};
		unsigned int i;

		if (rviommu_sim_dma(&h->pdev->dev, &dma)) {
			h->faults++;
		} else {
			for (i = 0; i < SPACES; i++)
				if (!memcmp(buf, h->space[i] + SZ_4K, sizeof(buf)))
					break;
			h->foreign += i == SPACES;
		}
		if (reset_fill(h->pdev, h->pasid, IOVA, 11))
			h->faults++;
		WRITE_ONCE(h->dmas, h->dmas + 1);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

static int replace_pasid(struct reset_fixture *f, unsigned int k, u32 pasid,
			 struct iommu_domain *domain, struct iommu_attach_handle *handle)
{
	if (!rviommu_core_replaces_pasids())
		return rviommu_attach_pasid(f->ep[k], pasid, domain, NULL);
	return rviommu_replace_device_pasid(domain, &f->pdev[k]->dev, pasid, handle);
}

static void replace_under_dma(struct kunit *test, u32 switches, u32 atc, unsigned int rounds)
{
	struct reset_fixture *f = reset_up(test, switches, 0);
	struct iommu_attach_handle handle[HAMMERS][2];
	struct iommu_domain *domain[SPACES];
	unsigned long faults = 0, dmas = 0, foreign = 0;
	unsigned int i, k, seed, stale = 0, missed = 0;
	struct task_struct *task[HAMMERS];
	struct replace_hammer h[HAMMERS];
	u64 start = ktime_get_ns();
	u8 *page[SPACES], *old;

	reset_claim(f);
	for (i = 0; i < SPACES; i++) {
		domain[i] = reset_space(f, &page[i]);
		for (k = 0; k < 64; k++)
			page[i][SZ_4K + k] = rviommu_sim_pattern(100 + i, k);
	}
	for (i = 0; i < HAMMERS; i++) {
		h[i] = (struct replace_hammer){
			.pdev = f->pdev[i / 2], .pasid = PASID(i % 2), .space = page,
		};
		KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(&h[i].pdev->dev, atc), 0);
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain[i], &h[i].pdev->dev,
								h[i].pasid, &handle[i][0]), 0);
	}
	for (i = 0; i < HAMMERS; i++) {
		task[i] = kthread_run(replace_hammer, &h[i], "replace_hammer/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task[i]);
	}
	for (i = 0; i < rounds; i++) {
		k = i % HAMMERS;
		old = page[i % SPACES];
		/* Nothing has got there since it was replaced the last time. */
		stale += !!memchr_inv(page[(i + HAMMERS) % SPACES], 0, 64);
		/* Each thread's space is the next one but three of the others. */
		if (replace_pasid(f, k / 2, h[k].pasid, domain[(i + HAMMERS) % SPACES],
				  &handle[k][(i / HAMMERS + 1) % 2]))
			missed++;
		/* The operation is over: nothing reaches the old page any more. */
		memset(old, 0, 64);
		if (i % 16 == 3) {
			seed = 200 + i;
			old = page[(i + HAMMERS) % SPACES];
			if (reset_fill(h[k].pdev, h[k].pasid, IOVA + 128, seed))
				missed++;
			missed += !rviommu_simtest_holds(old + 128, 64, seed);
			old = page[i % SPACES];
		}
		/* A PASID that comes and goes, in a page of the directory that is in use */
		if (i % 64 == 5) {
			missed += !!iommu_attach_device_pasid(domain[0], &f->pdev[0]->dev, 5, NULL);
			missed += !!reset_fill(f->pdev[0], 5, IOVA + 256, i);
			missed += !rviommu_simtest_holds(page[0] + 256, 64, i);
			iommu_detach_device_pasid(domain[0], &f->pdev[0]->dev, 5);
			memset(page[0] + 256, 0, 64);
			missed += reset_fill(f->pdev[0], 5, IOVA + 256, i) != -EFAULT;
			missed += !!rviommu_sim_count_atc(&f->pdev[0]->dev, true, 5);
			stale += !!memchr_inv(page[0] + 256, 0, 64);
		}
		if (i % 512 == 1)
			while (READ_ONCE(h[k].dmas) < i / 512)
				schedule_timeout_uninterruptible(1);
		stale += !!memchr_inv(old, 0, 64);
	}
	for (i = 0; i < HAMMERS; i++) {
		kthread_stop(task[i]);
		faults += h[i].faults;
		dmas += h[i].dmas;
		foreign += h[i].foreign;
	}
	for (i = 0; i < HAMMERS; i++) {
		k = (rounds + (i - rounds) % HAMMERS) % SPACES;
		iommu_detach_device_pasid(domain[k], &h[i].pdev->dev, h[i].pasid);
		KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(&h[i].pdev->dev, true, h[i].pasid), 0);
	}
	for (i = 0; i < SPACES; i++)
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(domain[i]), 0);
	KUNIT_EXPECT_EQ(test, faults, 0);
	KUNIT_EXPECT_EQ(test, foreign, 0);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, missed, 0);
	KUNIT_EXPECT_GT(test, dmas, 0);
	reset_expect_quiet(f);
	kunit_info(test, "%u replacements in %llu ms, %lu DMAs, %lu faults, %lu foreign\n", rounds,
		   (ktime_get_ns() - start) / NSEC_PER_MSEC, dmas, faults, foreign);
}

static void reset_replace(struct kunit *test)
{
	replace_under_dma(test, 0, 0, rviommu_simtest_rounds(3000));
}

static void reset_replace_worst_case(struct kunit *test)
{
	replace_under_dma(test, RVIOMMU_MODEL_SWITCHES, RVIOMMU_SIM_ATC_LATE, 500);
}

/* ----- A function that sleeps, and many that do not answer ----- */

/*
 * What the kernel knows to be asleep is not asked, and does not use what it remembers when it
 * wakes up.
 */
static void reset_asleep(struct kunit *test)
{
	static const struct reset_case c = { .rid = RID_PAGING };
	struct reset_fixture *f = reset_up(test, 0, 0);
	struct pci_dev *pdev = f->pdev[0];

	reset_attach(f, &c);
	reset_expect_works(f, 1, true);
	KUNIT_EXPECT_GT(test, rviommu_sim_count_atc(&pdev->dev, false, 0), 0);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D3hot), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->rid, IOVA, SZ_4K), SZ_4K);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(&pdev->dev));
	reset_expect_quiet(f);

	KUNIT_EXPECT_EQ(test, pci_set_power_state(pdev, PCI_D0), 0);
	KUNIT_EXPECT_EQ(test, reset_fill(pdev, 0, IOVA, 2), -EFAULT);
	reset_expect_reaches(f, 0, IOVA + SZ_4K, f->page + SZ_4K, 3);
	/* As the PCI core does where more than sleep has been. */
	pci_write_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_EQ(test, reset_fill(pdev, 0, IOVA, 4), -EFAULT);
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->rid, IOVA + SZ_4K, SZ_4K), SZ_4K);
	KUNIT_EXPECT_EQ(test, reset_fill(pdev, 0, IOVA + SZ_4K, 5), -EFAULT);
	reset_expect_quiet(f);
	reset_detach(f);
}

#define MANY		32
#define MANY_ROUNDS	12

/**
 * struct many - functions that share an address space
 * @sim: the instance
 * @dev: its functions; references
 * @domain: what all of them are attached to
 * @page: what it maps at IOVA
 * @handle: for the core
 */
struct many {
	struct rviommu_sim *sim;
	struct device *dev[MANY];
	struct iommu_domain *domain;
	u8 *page;
	struct iommu_attach_handle handle[MANY];
};

static bool many_is_silent(unsigned int i)
{
	return i % 4 == 1;
}

static bool many_is_pulled(unsigned int i)
{
	return i % 8 >= 5 && i % 8 <= 6;
}

static void many_up(struct kunit *test, struct many *m)
{
	struct rviommu_sim_config config;
	unsigned int i;

	rviommu_sim_config_init(&config);
	config.endpoints = 0;
	config.pci_functions = MANY;
	config.ats = true;
	config.model.switches = RVIOMMU_MODEL_SWITCHES;
	config.model.ats_timeout = 20 * NSEC_PER_MSEC;
	m->sim = rviommu_sim_create("rviommu_kunit_many", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, m->sim);
	m->page = (u8 *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->page);
	for (i = 0; i < MANY; i++) {
		m->dev[i] = get_device(rviommu_sim_function(m->sim, i));
		pci_set_master(to_pci_dev(m->dev[i]));
		KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(m->dev[i], m), 0);
	}
	m->domain = iommu_paging_domain_alloc(m->dev[0]);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, m->domain);
	for (i = 0; i < MANY; i++)
		KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(m->dev[i]->iommu_group, m->domain,
								 &m->handle[i]), 0);
}

/* The page is mapped, all who can use it, and it goes again. */
static void many_round(struct kunit *test, struct many *m, u64 seed)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(test, iommu_map(m->domain, IOVA, virt_to_phys(m->page), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	for (i = 0; i < MANY; i++) {
		int ret = m->dev[i] ? rviommu_simtest_fill(m->dev[i], 0, IOVA, 64, seed + i) : 0;

		/* Who does not answer is blocked, unless a reset has given it another chance. */
		if (!many_is_silent(i))
			KUNIT_EXPECT_EQ_MSG(test, ret, 0, "function %u", i);
	}
	KUNIT_EXPECT_EQ(test, iommu_unmap(m->domain, IOVA, SZ_4K), SZ_4K);
	for (i = 0; i < MANY; i++) {
		int ret = m->dev[i] ? rviommu_simtest_fill(m->dev[i], 0, IOVA, 64, seed) : -EFAULT;

		KUNIT_EXPECT_EQ_MSG(test, ret, -EFAULT, "function %u reaches it", i);
	}
}

static void many_pull(struct many *m, unsigned int i)
{
	struct device *dev = m->dev[i];

	m->dev[i] = NULL;
	iommu_detach_group_handle(m->domain, dev->iommu_group);
	iommu_device_release_dma_owner(dev);
	rviommu_sim_remove_function(m->sim, i, true);
	put_device(dev);
}

/*
 * Many functions share an address space, some of them complete no invalidation, some are reset
 * and some pulled out meanwhile. Nobody reaches what was unmapped, and whoever answers goes on.
 */
static void reset_many_silent(struct kunit *test)
{
	struct many *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int i, round;

	KUNIT_ASSERT_NOT_NULL(test, m);
	many_up(test, m);
	many_round(test, m, 1);
	for (i = 0; i < MANY; i++)
		if (many_is_silent(i))
			rviommu_sim_set_atc(m->dev[i], RVIOMMU_SIM_ATC_LOST);
	for (round = 0; round < MANY_ROUNDS; round++) {
		many_round(test, m, 100 * (round + 1));
		i = round * 5 % MANY;
		if (m->dev[i])
			pci_reset_function(to_pci_dev(m->dev[i]));
		i = (round * 11 + 5) % MANY;
		if (m->dev[i] && many_is_pulled(i))
			many_pull(m, i);
	}
	for (i = 0; i < MANY; i++) {
		if (!m->dev[i])
			continue;
		iommu_detach_group_handle(m->domain, m->dev[i]->iommu_group);
		iommu_device_release_dma_owner(m->dev[i]);
		put_device(m->dev[i]);
	}
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(m->domain), 0);
	iommu_domain_free(m->domain);
	rviommu_sim_destroy(m->sim);
	free_page((unsigned long)m->page);
}

static struct kunit_case reset_kunit_cases[] = {
	KUNIT_CASE_PARAM(reset_restores, reset_gen_params),
	KUNIT_CASE_PARAM(reset_lost, reset_gen_params),
	KUNIT_CASE_PARAM(reset_lost_meanwhile, reset_gen_params),
	KUNIT_CASE_PARAM(reset_dead, reset_gen_params),
	KUNIT_CASE_SLOW(reset_replace),
	KUNIT_CASE_SLOW(reset_replace_worst_case),
	KUNIT_CASE(reset_asleep),
	KUNIT_CASE(reset_many_silent),
	{}
};

static struct kunit_suite reset_suite = {
	.name = "rviommu_sim_pci_reset",
	.test_cases = reset_kunit_cases,
};

kunit_test_suite(reset_suite);
