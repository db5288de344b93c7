// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of a simulated device, without help from the driver: the test plays the
 * software that answers them (pritest.h). The device's DMA waits in threads meanwhile.
 *
 * What a rule is from is named as in the PCI Express Base Specification, "Page Request
 * Services", if it is about a device, and as in the RISC-V IOMMU Architecture Specification
 * otherwise.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/pci_regs.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/formats.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "pritest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define PAGES		16
#define NONE		RVIOMMU_PRITEST_NO_PASID
#define SUCCESS		RVIOMMU_MODEL_PRGR_SUCCESS
#define INVALID		RVIOMMU_MODEL_PRGR_INVALID
#define FAILURE		RVIOMMU_MODEL_PRGR_FAILURE
#define R		RVIOMMU_MODEL_PAGE_R
#define W		RVIOMMU_MODEL_PAGE_W
#define L		RVIOMMU_MODEL_PAGE_L

/**
 * struct pri_fixture - an instance with one endpoint that sends page requests
 * @test: whose
 * @sim: the instance
 * @dev: the endpoint
 * @id: device_id
 * @group: its group, of which we have DMA ownership
 * @domain: what is attached, empty at first
 * @pages: 64 KiB that IOVAs lead to once they are mapped, in reverse, so that no two pages
 *         become one entry
 * @p: the software
 */
struct pri_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev;
	u32 id;
	struct iommu_group *group;
	struct iommu_domain *domain;
	u8 *pages;
	struct rviommu_pritest p;
};

/* For hooks, which get a device only */
static struct pri_fixture *pri_now;

static void pri_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	rviommu_sim_config_levels(config, 1);
	config->endpoints = 1;
	/* The driver shall not see that it could enable something. */
	config->ats = false;
}

/* A device that sends page requests once it has a domain; its PASIDs see what it sees. */
static void pri_init(struct pri_fixture *f, struct device *dev, u64 *pdt, u64 tc)
{
	rviommu_pritest_pasids(&f->p, dev, pdt);
	rviommu_pritest_context(&f->p, dev, 0, RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_EN_PRI | tc);
	KUNIT_ASSERT_EQ(f->test, rviommu_sim_set_ats(dev, true), 0);
	KUNIT_ASSERT_EQ(f->test, rviommu_sim_enable_pri(dev, 32), 0);
}

static void pri_detach(void *data)
{
	struct pri_fixture *f = data;

	iommu_detach_group(f->domain, f->group);
}

static void pri_down(void *data)
{
	struct pri_fixture *f = data;

	rviommu_sim_disable_pri(f->dev);
	rviommu_sim_reset_pri(f->dev);
	rviommu_sim_set_ats(f->dev, false);
	put_device(f->dev);
}

/* @lg2 entries of the queue; the context has what the config says of responses. */
static struct pri_fixture *pri_up(struct kunit *test, const struct rviommu_sim_config *config,
				  unsigned int lg2)
{
	struct pri_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u64 *pdt = rviommu_simtest_pages(test, SZ_4K);
	struct rviommu_endpoint *ep;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->pages = rviommu_simtest_pages(test, SZ_64K);
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_pri", config);
	f->dev = rviommu_sim_endpoint(f->sim, 0);
	ep = dev_iommu_priv_get(f->dev);
	f->id = ep->ids[0];
	f->group = rviommu_simtest_claim(test, f->dev);
	f->domain = rviommu_simtest_domain(test, f->dev);
	rviommu_pritest_up(test, &f->p, f->dev, lg2);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, f->group), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, pri_detach, f), 0);
	get_device(f->dev);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, pri_down, f), 0);
	pri_init(f, f->dev, pdt, config->prg_pasid ? RVIOMMU_DC_TC_PRPR : 0);
	pri_now = f;
	return f;
}

static struct pri_fixture *pri_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	pri_config(&config);
	return pri_up(test, &config, 6);
}

/* Again, with another allocation; nothing is outstanding. */
static void pri_allocate(struct pri_fixture *f, unsigned int requests)
{
	rviommu_sim_disable_pri(f->dev);
	KUNIT_ASSERT_EQ(f->test, rviommu_sim_enable_pri(f->dev, requests), 0);
}

static struct rviommu_sim_pri_stats pri_stats(struct pri_fixture *f)
{
	struct rviommu_sim_pri_stats stats = {};

	KUNIT_EXPECT_EQ(f->test, rviommu_sim_pri_stats(f->dev, &stats), 0);
	return stats;
}

/* One access can ask for nothing now. */
static void pri_await_waiter(struct pri_fixture *f)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!pri_stats(f).waits) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

static u8 *pri_page(struct pri_fixture *f, unsigned int page)
{
	return f->pages + (PAGES - 1 - page) * SZ_4K;
}

static void pri_map(struct pri_fixture *f, unsigned int page, unsigned int nr, int prot)
{
	for (; nr--; page++)
		KUNIT_EXPECT_EQ(f->test, iommu_map(f->domain, IOVA + page * SZ_4K,
						   virt_to_phys(pri_page(f, page)), SZ_4K, prot,
						   GFP_KERNEL), 0);
}

static void pri_map_rw(struct pri_fixture *f, unsigned int page, unsigned int nr)
{
	pri_map(f, page, nr, IOMMU_READ | IOMMU_WRITE);
}

static struct rviommu_pritest_job *pri_go_op(struct pri_fixture *f, enum rviommu_sim_op op,
					     int pasid, unsigned int page, unsigned int nr,
					     u64 operand)
{
	struct rviommu_sim_dma dma = {
		.op = op, .pv = pasid != NONE, .pasid = pasid != NONE ? pasid : 0,
		.iova = IOVA + page * SZ_4K, .length = nr * SZ_4K, .operand = operand,
	};

	return rviommu_pritest_go(f->test, f->dev, &dma);
}

static struct rviommu_pritest_job *pri_go(struct pri_fixture *f, int pasid, unsigned int page,
					  unsigned int nr)
{
	return pri_go_op(f, RVIOMMU_SIM_FILL, pasid, page, nr, page);
}

/* A DMA that nobody needs to do anything for */
static int pri_fill(struct pri_fixture *f, int pasid, unsigned int page, unsigned int nr)
{
	return rviommu_pritest_end(f->test, pri_go(f, pasid, page, nr));
}

static unsigned int pri_index(const struct rviommu_model_page_request *pr)
{
	return FIELD_GET(RVIOMMU_MODEL_PAGE_INDEX, pr->payload);
}

static unsigned int pri_flags(const struct rviommu_model_page_request *pr)
{
	return pr->payload & (R | W | L);
}

static unsigned int pri_pageno(const struct rviommu_model_page_request *pr)
{
	return ((pr->payload & RVIOMMU_MODEL_PAGE_ADDRESS) - IOVA) / SZ_4K;
}

/* The next request has to be this one. */
static struct rviommu_model_page_request pri_expect(struct pri_fixture *f, int pasid,
						    unsigned int page, unsigned int flags,
						    unsigned int index)
{
	struct rviommu_model_page_request pr = rviommu_pritest_read(&f->p);
	struct kunit *test = f->test;

	KUNIT_EXPECT_EQ(test, pr.device_id, f->id);
	KUNIT_EXPECT_EQ(test, pr.pv, pasid != NONE);
	KUNIT_EXPECT_EQ(test, pr.process_id, pasid == NONE ? 0 : pasid);
	KUNIT_EXPECT_EQ(test, pri_pageno(&pr), page);
	KUNIT_EXPECT_EQ(test, pri_flags(&pr), flags);
	KUNIT_EXPECT_EQ(test, pri_index(&pr), index);
	return pr;
}

static void pri_expect_marker(struct pri_fixture *f, u32 pasid)
{
	struct rviommu_model_page_request pr = rviommu_pritest_read(&f->p);

	KUNIT_EXPECT_TRUE(f->test, pr.pv);
	KUNIT_EXPECT_EQ(f->test, pr.process_id, pasid);
	KUNIT_EXPECT_EQ(f->test, pri_flags(&pr), L);
}

static void pri_expect_none(struct pri_fixture *f)
{
	struct rviommu_model_page_request pr;

	KUNIT_EXPECT_FALSE(f->test, rviommu_pritest_poll(&f->p, &pr));
}

static bool pri_holds(struct pri_fixture *f, unsigned int page)
{
	return rviommu_simtest_holds(pri_page(f, page), SZ_4K, page);
}

/* ----- What is asked for ----- */

/* "Page Request Message": one request of each kind of access, and what becomes of it */
static void pri_single(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	job = pri_go(f, NONE, 3, 1);
	pr = pri_expect(f, NONE, 3, W | L, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	pri_map_rw(f, 3, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, pri_holds(f, 3));
	KUNIT_EXPECT_EQ(test, job->dma.page_requests, 1);
	KUNIT_EXPECT_EQ(test, job->dma.cause, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_PASID);

	/* What is there is not asked for. */
	KUNIT_EXPECT_EQ(test, pri_fill(f, NONE, 3, 1), 0);
	pri_expect_none(f);

	job = pri_go_op(f, RVIOMMU_SIM_VERIFY, NONE, 4, 1, 1);
	pr = pri_expect(f, NONE, 4, R | L, 0);
	pri_map(f, 4, 1, IOMMU_READ);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EILSEQ);

	/* Something is there, but not enough. */
	job = pri_go_op(f, RVIOMMU_SIM_FETCH_ADD, NONE, 4, 1, 5);
	pr = pri_expect(f, NONE, 4, R | W | L, 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, IOVA + 4 * SZ_4K, SZ_4K), SZ_4K);
	pri_map_rw(f, 4, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, *(u64 *)pri_page(f, 4), 5);
}

/* A source and a destination that both have to be asked for */
static void pri_copy(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_COPY, .src_iova = IOVA + 8 * SZ_4K, .iova = IOVA,
		.length = SZ_4K,
	};
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	memset(pri_page(f, 8), 0x5a, SZ_4K);
	job = rviommu_pritest_go(test, f->dev, &dma);
	pr = pri_expect(f, NONE, 8, R | L, 0);
	pri_map_rw(f, 8, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	pr = pri_expect(f, NONE, 0, W | L, 0);
	pri_map_rw(f, 0, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, job->dma.page_requests, 2);
	KUNIT_EXPECT_NULL(test, memchr_inv(pri_page(f, 0), 0x5a, SZ_4K));
}

/* With a PASID: which, privileged, for execute. Without, there is neither. */
static void pri_pasid(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_VERIFY, .pv = i & 4, .pasid = 7, .priv = i & 1,
			.exec = i & 2, .iova = IOVA + i * SZ_4K, .length = 8,
		};

		job = rviommu_pritest_go(test, f->dev, &dma);
		pr = pri_expect(f, i & 4 ? 7 : NONE, i, R | L, 0);
		KUNIT_EXPECT_EQ(test, pr.priv, i & 4 && i & 1);
		KUNIT_EXPECT_EQ(test, pr.exec, i & 4 && i & 2);
		rviommu_pritest_respond(&f->p, &pr, INVALID);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	}
}

/* "Page Request Group": all have one index, the last says so, and there is one response. */
static void pri_group(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	unsigned int i;

	job = pri_go(f, 9, 1, 6);
	for (i = 1; i <= 4; i++)
		pr = pri_expect(f, 9, i, W | (i == 4 ? L : 0), 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 4);
	KUNIT_EXPECT_EQ(test, pri_stats(f).open, 1);
	pri_map_rw(f, 1, 4);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	/* What is left of the job */
	pri_expect(f, 9, 5, W, 0);
	pr = pri_expect(f, 9, 6, W | L, 0);
	pri_map_rw(f, 5, 2);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(pri_page(f, 1), SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, job->dma.page_requests, 2);
	KUNIT_EXPECT_EQ(test, pri_stats(f).requests, 6);
	KUNIT_EXPECT_EQ(test, pri_stats(f).groups, 2);
	KUNIT_EXPECT_EQ(test, pri_stats(f).successes, 2);
}

/* Not in the order of addresses: the last request is the last one sent, whatever its page. */
static void pri_shuffle(struct kunit *test)
{
	static const unsigned int pages[] = { 4, 1, 3, 2 };
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	unsigned int i;

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_SHUFFLE);
	job = pri_go(f, 9, 1, 6);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		pr = pri_expect(f, 9, pages[i], W | (i + 1 == ARRAY_SIZE(pages) ? L : 0), 0);
	pri_map_rw(f, 1, 4);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	/* What is left of the job. That the other page is there does not get it on. */
	pri_expect(f, 9, 6, W, 0);
	pr = pri_expect(f, 9, 5, W | L, 0);
	pri_map_rw(f, 6, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	pri_expect(f, 9, 6, W, 0);
	pr = pri_expect(f, 9, 5, W | L, 0);
	pri_map_rw(f, 5, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(pri_page(f, 1), SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, job->dma.page_requests, 3);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
	/* One page has one order. */
	job = pri_go(f, 9, 8, 1);
	pr = pri_expect(f, 9, 8, W | L, 0);
	pri_map_rw(f, 8, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
}

static struct rviommu_pritest_job *pri_second;

/* Between two requests of one group, another one begins. */
static void pri_begin_second(struct device *dev)
{
	struct pri_fixture *f = pri_now;
	unsigned long end = jiffies + 60 * HZ;

	if (pri_second)
		return;
	pri_second = pri_go(f, 21, 8, 1);
	while (pri_stats(f).requests < 2 && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
}

/* Groups of two PASIDs: the same index, interleaved, answered in another order */
static void pri_interleaved(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request first, second;
	struct rviommu_pritest_job *job;

	pri_second = NULL;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_request(f->dev, pri_begin_second), 0);
	job = pri_go(f, 20, 0, 2);
	pri_expect(f, 20, 0, W, 0);
	second = pri_expect(f, 21, 8, W | L, 0);
	first = pri_expect(f, 20, 1, W | L, 0);
	pri_map_rw(f, 0, 2);
	pri_map_rw(f, 8, 1);
	rviommu_pritest_respond(&f->p, &second, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, pri_second), 0);
	KUNIT_EXPECT_TRUE(test, pri_holds(f, 8));
	KUNIT_EXPECT_EQ(test, pri_stats(f).open, 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	rviommu_pritest_respond(&f->p, &first, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, pri_holds(f, 0));
	rviommu_sim_set_in_request(f->dev, NULL);
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);
}

/* Two devices with the same PASID and index: a response is for one of them. */
static void pri_devices(struct kunit *test)
{
	u64 *pdt = rviommu_simtest_pages(test, SZ_4K);
	struct rviommu_model_page_request pr[2];
	struct rviommu_pritest_job *job[2];
	struct rviommu_sim_config config;
	struct iommu_group *group;
	struct pri_fixture *f;
	struct device *dev;
	unsigned int i;

	pri_config(&config);
	config.endpoints = 2;
	f = pri_up(test, &config, 6);
	dev = rviommu_sim_endpoint(f->sim, 1);
	group = rviommu_simtest_claim(test, dev);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(f->domain, group), 0);
	pri_init(f, dev, pdt, RVIOMMU_DC_TC_PRPR);
	for (i = 0; i < 2; i++) {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .pv = true, .pasid = 1,
			.iova = IOVA + i * SZ_4K, .length = SZ_4K, .operand = i,
		};

		job[i] = rviommu_pritest_go(test, i ? dev : f->dev, &dma);
		pr[i] = rviommu_pritest_read(&f->p);
		KUNIT_EXPECT_EQ(test, pr[i].device_id, f->id + i);
		KUNIT_EXPECT_EQ(test, pri_index(&pr[i]), 0);
	}
	pri_map_rw(f, 0, 2);
	rviommu_pritest_respond(&f->p, &pr[1], SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[0]->done));
	rviommu_pritest_respond(&f->p, &pr[0], INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	KUNIT_EXPECT_TRUE(test, pri_holds(f, 1));
	rviommu_sim_disable_pri(dev);
	rviommu_sim_set_ats(dev, false);
	iommu_detach_group(f->domain, group);
}

/*
 * "PRG Response PASID Required": with it, PASIDs have indices of their own, and a response
 * without PASID is to none of their groups. Without it, indices are the function's, and a
 * response with PASID is undefined: it is to nothing here.
 */
static void pri_indices(struct kunit *test)
{
	static const int pasid[] = { 3, NONE, 4, 3 };
	struct rviommu_sim_config config;
	struct pri_fixture *f;
	unsigned int i, k;

	for (k = 0; k < 2; k++) {
		struct rviommu_model_page_request pr[4];
		struct rviommu_pritest_job *job[4];

		pri_config(&config);
		config.prg_pasid = k;
		f = pri_up(test, &config, 6);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), k ? PCI_PRI_STATUS_PASID : 0);
		for (i = 0; i < 4; i++) {
			job[i] = pri_go(f, pasid[i], i, 1);
			pr[i] = pri_expect(f, pasid[i], i, W | L, k ? i == 3 : i);
		}
		/* What is to nobody */
		rviommu_pritest_send(&f->p, f->id, k ? 5 : 3, pri_index(&pr[0]), SUCCESS);
		rviommu_pritest_send(&f->p, f->id, pasid[0], 6, SUCCESS);
		KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 2);
		KUNIT_EXPECT_EQ(test, pri_stats(f).open, 4);
		KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev) & PCI_PRI_STATUS_UPRGI);
		pri_map_rw(f, 0, 4);
		for (i = 4; i--;) {
			KUNIT_EXPECT_FALSE(test, completion_done(&job[i]->done));
			rviommu_pritest_send(&f->p, f->id, k ? pasid[i] : NONE,
					     pri_index(&pr[i]), SUCCESS);
			KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[i]), 0);
			KUNIT_EXPECT_TRUE(test, pri_holds(f, i));
		}
		KUNIT_EXPECT_EQ(test, pri_stats(f).open, 0);
		kunit_release_action(test, pri_down, f);
		kunit_release_action(test, pri_detach, f);
		rviommu_simtest_release(test, f->group);
		rviommu_simtest_free(test, f->domain);
		rviommu_pritest_down(&f->p);
		rviommu_simtest_destroy(test, f->sim);
	}
}

/* ----- Responses ----- */

/* "Response Code Field": what each of them does to the access, and to later ones */
static void pri_invalid(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr[2];
	struct rviommu_pritest_job *job[2];

	job[0] = pri_go(f, 1, 0, 1);
	pr[0] = pri_expect(f, 1, 0, W | L, 0);
	job[1] = pri_go(f, 2, 1, 1);
	pr[1] = pri_expect(f, 2, 1, W | L, 0);
	/* It is the answer to the access, even if the page is there by now. */
	pri_map_rw(f, 0, 2);
	rviommu_pritest_respond(&f->p, &pr[0], INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	KUNIT_EXPECT_EQ(test, job[0]->dma.response, INVALID);
	KUNIT_EXPECT_FALSE(test, pri_holds(f, 0));
	KUNIT_EXPECT_FALSE(test, completion_done(&job[1]->done));
	rviommu_pritest_respond(&f->p, &pr[1], SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).invalid, 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_PASID);
}

static void pri_failure(struct kunit *test)
{
	static const u8 codes[] = { FAILURE, 2, 14 };
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr[2];
	struct rviommu_pritest_job *job[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		job[0] = pri_go(f, 1, 0, 1);
		pr[0] = pri_expect(f, 1, 0, W | L, 0);
		job[1] = pri_go(f, 2, 1, 1);
		pr[1] = pri_expect(f, 2, 1, W | L, 0);
		rviommu_pritest_respond(&f->p, &pr[0], codes[i]);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
		KUNIT_EXPECT_EQ(test, job[0]->dma.response, FAILURE);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -EFAULT);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev),
				PCI_PRI_STATUS_RF | PCI_PRI_STATUS_PASID);
		/* Nothing is heard and nothing sent. */
		rviommu_pritest_respond(&f->p, &pr[1], SUCCESS);
		KUNIT_EXPECT_EQ(test, pri_stats(f).ignored, i + 1);
		KUNIT_EXPECT_EQ(test, pri_fill(f, 3, 2, 1), -EFAULT);
		pri_expect_none(f);
		/* Disabled, it stops at once; enabled, it works. */
		rviommu_sim_disable_pri(f->dev);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_RF |
				PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
		KUNIT_EXPECT_EQ(test, rviommu_sim_enable_pri(f->dev, 32), 0);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_PASID);
	}
	KUNIT_EXPECT_EQ(test, pri_stats(f).failures, i);
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);
}

/* A second response to a group, and one before its last request */
static void pri_unexpected(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	pri_map_rw(f, 0, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev),
			PCI_PRI_STATUS_UPRGI | PCI_PRI_STATUS_PASID);

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_NO_LAST);
	job = pri_go(f, 1, 1, 1);
	pr = pri_expect(f, 1, 1, W, 0);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, pri_stats(f).early, 1);
	KUNIT_EXPECT_EQ(test, pri_stats(f).open, 1);
	rviommu_sim_disable_pri(f->dev);
	rviommu_sim_reset_pri(f->dev);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
}

/* Success that changes nothing: the device asks again, and has the page in the end. */
static void pri_again(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	unsigned int i;

	job = pri_go(f, 1, 0, 1);
	for (i = 0; i < 5; i++) {
		pr = pri_expect(f, 1, 0, W | L, 0);
		rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	}
	pr = pri_expect(f, 1, 0, W | L, 0);
	pri_map_rw(f, 0, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, job->dma.page_requests, 6);
}

/* ----- When there is none ----- */

/* Nothing is asked for, and the access is refused at once. */
static void pri_off(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;

	rviommu_sim_disable_pri(f->dev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev),
			PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 0, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_enable_pri(f->dev, 0), 0);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 0, 1), -EFAULT);
	pri_allocate(f, 32);
	rviommu_sim_set_ats(f->dev, false);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 0, 1), -EFAULT);
	rviommu_sim_set_ats(f->dev, true);
	/* Not a missing page, but a device that may not ask for translations */
	rviommu_pritest_context(&f->p, f->dev, RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_EN_PRI |
				RVIOMMU_DC_TC_PRPR, 0);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 0, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, pri_stats(f).requests, 0);

	/* "PCIe ATS Page Request handling": EN_PRI is 0, Invalid Request */
	rviommu_pritest_context(&f->p, f->dev, 0, RVIOMMU_DC_TC_EN_ATS);
	rviommu_sim_disable_pri(f->dev);
	pri_expect_none(f);
	KUNIT_EXPECT_FALSE(test, rviommu_pritest_poll(&f->p, &pr));
}

/* "PCIe ATS Page Request handling": what the IOMMU itself answers, and with what */
static void pri_iommu_answers(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	/* Its Invalid Request has no PASID where PRPR is not set. */
	pri_config(&config);
	config.prg_pasid = false;
	f = pri_up(test, &config, 6);
	rviommu_pritest_context(&f->p, f->dev, RVIOMMU_DC_TC_EN_PRI, 0);
	job = pri_go(f, 1, 0, 3);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, job->dma.response, INVALID);
	KUNIT_EXPECT_EQ(test, pri_stats(f).requests, 3);
	KUNIT_EXPECT_EQ(test, pri_stats(f).discarded, 3);
	KUNIT_EXPECT_EQ(test, pri_stats(f).answered, 1);
	KUNIT_EXPECT_EQ(test, pri_stats(f).open, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), 0);
	rviommu_pritest_context(&f->p, f->dev, 0, RVIOMMU_DC_TC_EN_PRI);

	/* Queue memory is not there: Response Failure, with PASID, for this and all others. */
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	job = pri_go(f, 1, 0, 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, job->dma.response, FAILURE);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_RF);
	KUNIT_EXPECT_TRUE(test, rviommu_pritest_csr(&f->p) & RVIOMMU_QCSR_MF);
	rviommu_pritest_clear(&f->p, RVIOMMU_QCSR_MF);
	pri_expect_none(f);
}

/*
 * "Page-Request-Queue": while it is full, the IOMMU says Success to the last request of a
 * group, and the device asks again, until there is room.
 */
static void pri_overflow(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;
	unsigned long end = jiffies + 60 * HZ;
	u64 answered;

	pri_config(&config);
	/* Three fit. */
	f = pri_up(test, &config, 2);
	job = pri_go(f, 1, 0, 4);
	while (pri_stats(f).answered < 3) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	KUNIT_EXPECT_TRUE(test, rviommu_pritest_csr(&f->p) & RVIOMMU_QCSR_OF);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	/* What is left of the first group, whose last request was dropped and answered */
	pri_expect(f, 1, 0, W, 0);
	pri_expect(f, 1, 1, W, 0);
	pri_expect(f, 1, 2, W, 0);
	pri_map_rw(f, 0, 4);
	rviommu_pritest_clear(&f->p, RVIOMMU_QCSR_OF);
	/* The device may have asked once more before the pages were there. */
	while (!completion_done(&job->done)) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		if (rviommu_pritest_poll(&f->p, &pr) && pri_flags(&pr) & L)
			rviommu_pritest_respond(&f->p, &pr, SUCCESS);
		schedule_timeout_uninterruptible(1);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	answered = pri_stats(f).answered;
	KUNIT_EXPECT_GE(test, answered, 3);
	KUNIT_EXPECT_EQ(test, pri_stats(f).early, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
}

/*
 * The IOMMU need not respond itself. Then nobody does, until software empties the interface,
 * since no record says which device it was.
 */
static void pri_overflow_silent(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	f = pri_up(test, &config, 6);
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PR_SILENT, 1);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 0, 1), -ETIMEDOUT);
	pri_expect_none(f);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	rviommu_pritest_clear(&f->p, RVIOMMU_QCSR_OF);
	rviommu_sim_disable_pri(f->dev);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev) & PCI_PRI_STATUS_STOPPED);
	rviommu_sim_reset_pri(f->dev);
	pri_allocate(f, 1);
	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
}

/* ----- How much may be outstanding ----- */

/* "Outstanding Page Request Allocation": groups get smaller, accesses wait for others. */
static void pri_budget(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request first, second;
	struct rviommu_pritest_job *job[2];

	pri_allocate(f, 3);
	job[0] = pri_go(f, 1, 0, 2);
	pri_expect(f, 1, 0, W, 0);
	first = pri_expect(f, 1, 1, W | L, 0);
	job[1] = pri_go(f, 2, 4, 2);
	second = pri_expect(f, 2, 4, W | L, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 3);
	pri_map_rw(f, 4, 1);
	rviommu_pritest_respond(&f->p, &second, SUCCESS);
	second = pri_expect(f, 2, 5, W | L, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).waits, 0);

	/* Nothing is left for a third. */
	job[1] = pri_go(f, 3, 8, 2);
	pri_await_waiter(f);
	pri_expect_none(f);
	rviommu_pritest_respond(&f->p, &first, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	pri_expect(f, 3, 8, W, 0);
	first = pri_expect(f, 3, 9, W | L, 0);
	rviommu_pritest_respond(&f->p, &first, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -EFAULT);
	rviommu_pritest_respond(&f->p, &second, INVALID);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
}

/* More than the device can have is no use to it. */
static void pri_capacity(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job[2];
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_capacity = 2;
	config.pri_pages = 2;
	f = pri_up(test, &config, 6);
	job[0] = pri_go(f, 1, 0, 4);
	pri_expect(f, 1, 0, W, 0);
	pr = pri_expect(f, 1, 1, W | L, 0);
	job[1] = pri_go(f, 2, 4, 1);
	pri_await_waiter(f);
	pri_expect_none(f);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	pr = pri_expect(f, 2, 4, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -EFAULT);
}

/* ----- Stopping, and no response ----- */

/* "Stopped": not before what is outstanding is answered. Nothing new is asked for. */
static void pri_disable(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job[2];

	pri_allocate(f, 1);
	job[0] = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	job[1] = pri_go(f, 2, 1, 1);
	pri_await_waiter(f);
	rviommu_sim_disable_pri(f->dev);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev), PCI_PRI_STATUS_PASID);
	KUNIT_EXPECT_EQ(test, rviommu_sim_enable_pri(f->dev, 1), -EBUSY);
	KUNIT_EXPECT_EQ(test, pri_fill(f, 3, 2, 1), -EFAULT);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[0]->done));
	pri_map_rw(f, 0, 1);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev),
			PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
	pri_expect_none(f);
}

/* "Reset": it has effect while the interface is not enabled only, and then at once. */
static void pri_reset(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	rviommu_sim_reset_pri(f->dev);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	rviommu_sim_disable_pri(f->dev);
	rviommu_sim_reset_pri(f->dev);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_pri_status(f->dev),
			PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID);
	/* The response is late. */
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev) & PCI_PRI_STATUS_UPRGI);
}

/* No response: the access ends, what was asked for stays outstanding until it is answered. */
static void pri_timeout(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	f = pri_up(test, &config, 6);
	pri_allocate(f, 1);
	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	/* So there is nothing left to ask with. */
	KUNIT_EXPECT_EQ(test, pri_fill(f, 1, 1, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, pri_stats(f).timeouts, 2);
	pri_expect_none(f);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);

	/* The same when the device does not hear them. */
	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_LOST);
	pri_map_rw(f, 0, 1);
	job = pri_go(f, 1, 1, 1);
	pr = pri_expect(f, 1, 1, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, pri_stats(f).lost, 1);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
}

/* Success for ever, and no page: that ends, too. */
static void pri_futile(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;
	unsigned long end = jiffies + 60 * HZ;

	pri_config(&config);
	config.pri_timeout = 100 * NSEC_PER_MSEC;
	f = pri_up(test, &config, 6);
	job = pri_go(f, 1, 0, 1);
	while (!completion_done(&job->done)) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		if (rviommu_pritest_poll(&f->p, &pr))
			rviommu_pritest_respond(&f->p, &pr, SUCCESS);
		schedule_timeout_uninterruptible(1);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	KUNIT_EXPECT_GT(test, job->dma.page_requests, 1);
}

/* The device goes: its DMA ends, whatever it waits for. */
static void pri_removed(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job[2];

	pri_allocate(f, 1);
	job[0] = pri_go(f, NONE, 0, 1);
	pr = pri_expect(f, NONE, 0, W | L, 0);
	job[1] = pri_go(f, 1, 1, 1);
	pri_await_waiter(f);
	/* The core wants it back before. */
	kunit_release_action(test, pri_detach, f);
	rviommu_simtest_release(test, f->group);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[0]->done));
	rviommu_sim_remove_endpoint(f->sim, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), -ENODEV);
	/* A response to what is not there */
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_sim_enable_pri(f->dev, 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), -ENODEV);
}

/* ----- A PASID is stopped ----- */

/* "Stop Marker Messages": behind all requests of this use, whose responses change nothing */
static void pri_stop(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request old, other, new;
	struct rviommu_pritest_job *job[3];

	job[0] = pri_go(f, 1, 0, 2);
	pri_expect(f, 1, 0, W, 0);
	old = pri_expect(f, 1, 1, W | L, 0);
	job[1] = pri_go(f, 2, 2, 1);
	other = pri_expect(f, 2, 2, W | L, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -ECANCELED);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[1]->done));
	pri_expect_marker(f, 1);
	pri_expect_none(f);
	/* A marker is nobody's credit. */
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 3);
	KUNIT_EXPECT_EQ(test, pri_stats(f).markers, 1);

	/* The next use has an index of its own while the old one is outstanding. */
	job[2] = pri_go(f, 1, 4, 1);
	new = pri_expect(f, 1, 4, W | L, 1);
	pri_map_rw(f, 0, 6);
	rviommu_pritest_respond(&f->p, &old, SUCCESS);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[2]->done));
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 2);
	rviommu_pritest_respond(&f->p, &new, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[2]), 0);
	rviommu_pritest_respond(&f->p, &other, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
	KUNIT_EXPECT_FALSE(test, pri_holds(f, 0));
	KUNIT_EXPECT_TRUE(test, pri_holds(f, 4));
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);
}

/* What is stale holds up others, until it is answered. */
static void pri_stale_credit(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	pri_allocate(f, 1);
	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ECANCELED);
	pri_expect_marker(f, 1);
	job = pri_go(f, 2, 1, 1);
	pri_await_waiter(f);
	pri_expect_none(f);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	pr = pri_expect(f, 2, 1, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
}

static int pri_stopped_with;

static void pri_stop_in_request(struct device *dev)
{
	pri_stopped_with = rviommu_sim_stop_pasid(dev, 1);
}

/*
 * "Managing PASID Usage on PRG Requests": a group that was begun is sent to its end. The stop
 * comes from the middle of it, so it waits in vain, and no longer than it may.
 */
static void pri_stop_in_group(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	f = pri_up(test, &config, 6);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_request(f->dev, pri_stop_in_request), 0);
	job = pri_go(f, 1, 0, 2);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ECANCELED);
	rviommu_sim_set_in_request(f->dev, NULL);
	KUNIT_EXPECT_EQ(test, pri_stopped_with, -ETIMEDOUT);
	pri_expect(f, 1, 0, W, 0);
	pr = pri_expect(f, 1, 1, W | L, 0);
	pri_expect_none(f);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	pri_expect_marker(f, 1);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
}

/* A device without Stop Markers has had all responses when it says that it has stopped. */
static void pri_stop_waits(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_model_page_request pr, other;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.stop_markers = false;
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	f = pri_up(test, &config, 6);
	job = pri_go(f, 2, 1, 1);
	other = pri_expect(f, 2, 1, W | L, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	job = pri_go(f, 1, 0, 1);
	pr = pri_expect(f, 1, 0, W | L, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ECANCELED);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	pri_expect_none(f);
	/* The other one's was not waited for. */
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	rviommu_pritest_respond(&f->p, &other, SUCCESS);
	KUNIT_EXPECT_EQ(test, pri_stats(f).markers, 0);
}

/* ----- Worst cases ----- */

/* A Stop Marker that comes with the next use, or never; a request behind it */
static void pri_markers(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_LATE_MARKER);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	pri_expect_none(f);
	/* It is still owed when another one is. */
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 2), 0);
	pri_expect_marker(f, 1);
	job = pri_go(f, 3, 0, 1);
	pr = pri_expect(f, 3, 0, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	job = pri_go(f, 2, 0, 2);
	pri_expect(f, 2, 0, W, 0);
	pri_expect_marker(f, 2);
	pr = pri_expect(f, 2, 1, W | L, 0);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_NO_MARKER);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 1), 0);
	pri_expect_none(f);
	KUNIT_EXPECT_EQ(test, pri_stats(f).markers, 2);

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_AFTER_STOP);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 5), 0);
	pri_expect_marker(f, 5);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_TRUE(test, pr.pv);
	KUNIT_EXPECT_EQ(test, pr.process_id, 5);
	KUNIT_EXPECT_EQ(test, pri_flags(&pr), R | L);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);

	/* Nothing is sent by an interface that is off. */
	rviommu_sim_disable_pri(f->dev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_stop_pasid(f->dev, 5), 0);
	pri_expect_none(f);
}

/* As much as may be outstanding, between the requests of another group */
static void pri_flood(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request first, pr[8];
	struct rviommu_pritest_job *job;
	unsigned int i;

	pri_allocate(f, 10);
	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_FLOOD);
	job = pri_go(f, 1, 0, 2);
	pri_expect(f, 1, 0, W, 0);
	for (i = 0; i < 8; i++)
		pr[i] = pri_expect(f, 1, 0, W | L, i + 1);
	first = pri_expect(f, 1, 1, W | L, 0);
	pri_expect_none(f);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 10);
	for (i = 0; i < 8; i++)
		rviommu_pritest_respond(&f->p, &pr[i], SUCCESS);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 2);
	pri_map_rw(f, 0, 2);
	rviommu_pritest_respond(&f->p, &first, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);
}

/* A flood into a queue that is full ends: the IOMMU answers each of them at once. */
static void pri_flood_overflow(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	config.pri_switches = RVIOMMU_SIM_PRI_FLOOD | RVIOMMU_SIM_PRI_EXCESS;
	f = pri_up(test, &config, 1);
	job = pri_go(f, 1, 0, 1);
	/* Only the first is in the queue, and has no response. */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 1);
	KUNIT_EXPECT_EQ(test, pri_stats(f).answered, pri_stats(f).requests - 1);
	KUNIT_EXPECT_GT(test, pri_stats(f).answered, 32);
	KUNIT_EXPECT_TRUE(test, rviommu_pritest_csr(&f->p) & RVIOMMU_QCSR_OF);
}

/* Groups without a last request, of which no response can be meant */
static void pri_no_last(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job;
	struct pri_fixture *f;

	pri_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	config.pri_switches = RVIOMMU_SIM_PRI_NO_LAST;
	f = pri_up(test, &config, 6);
	job = pri_go(f, 1, 0, 2);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ETIMEDOUT);
	pri_expect(f, 1, 0, W, 0);
	pri_expect(f, 1, 1, W, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 2);
}

/* One index for all that is outstanding: responses are taken for the oldest. */
static void pri_reuse(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job[2];

	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_REUSE);
	job[0] = pri_go(f, 1, 0, 1);
	pri_expect(f, 1, 0, W | L, 0);
	job[1] = pri_go(f, 1, 1, 1);
	pr = pri_expect(f, 1, 1, W | L, 0);
	pri_map_rw(f, 0, 2);
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&job[1]->done));
	rviommu_pritest_respond(&f->p, &pr, SUCCESS);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
}

/* More than it was allocated */
static void pri_excess(struct kunit *test)
{
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	struct rviommu_pritest_job *job;
	unsigned int i;

	pri_allocate(f, 1);
	rviommu_sim_set_pri(f->dev, RVIOMMU_SIM_PRI_EXCESS);
	job = pri_go(f, 1, 0, 4);
	for (i = 0; i < 4; i++)
		pr = pri_expect(f, 1, i, W | (i == 3 ? L : 0), 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 4);
	rviommu_pritest_respond(&f->p, &pr, INVALID);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
}

/* ----- Under load ----- */

#define JOBS		4
#define JOB_PAGES	(PAGES / JOBS)

/**
 * struct pri_load - what the software has read and not answered
 * @pr: last requests
 * @nr: how many
 * @mapped: bit per page
 */
struct pri_load {
	struct rviommu_model_page_request pr[64];
	unsigned int nr;
	unsigned long mapped;
};

/* Read what there is, map it, and answer one of the groups, any. */
static void pri_serve(struct pri_fixture *f, struct pri_load *load)
{
	struct rviommu_model_page_request pr;
	unsigned int i, page;

	while (load->nr < ARRAY_SIZE(load->pr) && rviommu_pritest_poll(&f->p, &pr)) {
		page = pri_pageno(&pr);
		if (!__test_and_set_bit(page, &load->mapped))
			pri_map_rw(f, page, 1);
		if (pri_flags(&pr) & L)
			load->pr[load->nr++] = pr;
	}
	if (!load->nr) {
		schedule_timeout_uninterruptible(1);
		return;
	}
	i = get_random_u32_below(load->nr);
	rviommu_pritest_respond(&f->p, &load->pr[i], SUCCESS);
	load->pr[i] = load->pr[--load->nr];
}

static bool pri_all_done(struct rviommu_pritest_job **job)
{
	unsigned int i;

	for (i = 0; i < JOBS; i++)
		if (!completion_done(&job[i]->done))
			return false;
	return true;
}

/* Jobs of several PASIDs and of none; each response reaches who asked, in whatever order. */
static void pri_load(struct kunit *test)
{
	static const int pasid[JOBS] = { 1, 2, NONE, 2 };
	struct pri_load *load = kunit_kzalloc(test, sizeof(*load), GFP_KERNEL);
	struct pri_fixture *f = pri_up_default(test);
	unsigned long end = jiffies + 60 * HZ;
	struct rviommu_pritest_job *job[JOBS];
	unsigned int round, i;

	KUNIT_ASSERT_NOT_NULL(test, load);
	for (round = 0; round < 20; round++) {
		rviommu_sim_set_pri(f->dev, round & 1 ? RVIOMMU_SIM_PRI_FLOOD : 0);
		for (i = 0; i < JOBS; i++)
			job[i] = pri_go_op(f, RVIOMMU_SIM_FILL, pasid[i], i * JOB_PAGES, JOB_PAGES,
					   round + i);
		while (!pri_all_done(job) || pri_stats(f).outstanding) {
			KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
			pri_serve(f, load);
		}
		for (i = 0; i < JOBS; i++) {
			KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[i]), 0);
			KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(pri_page(f, i * JOB_PAGES),
								      SZ_4K, round + i));
		}
		KUNIT_EXPECT_EQ(test, load->mapped, BIT(PAGES) - 1);
		KUNIT_EXPECT_EQ(test, iommu_unmap(f->domain, IOVA, SZ_64K), SZ_64K);
		rviommu_pritest_forget(&f->p, f->id);
		load->mapped = 0;
	}
	KUNIT_EXPECT_EQ(test, pri_stats(f).unexpected, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).early, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).timeouts, 0);
	KUNIT_EXPECT_EQ(test, pri_stats(f).groups, pri_stats(f).successes);
}

/* ----- Ways in ----- */

/* What user space writes into files */
static void pri_commands(struct kunit *test)
{
	static const struct {
		const char *file, *text;
		int ret;
	} tries[] = {
		{ "pri_switches", "0x10 0x20", 0 },
		{ "pri_switches", "0x10 0x200", -EINVAL },
		{ "pri_switches", "0x10", -EINVAL },
		{ "pri_switches", "0x11 0", -ENODEV },
		{ "stop_pasid", "0x10 1", 0 },
		{ "stop_pasid", "0x10 0x100000", -EINVAL },
		{ "stop_pasid", "x 1", -EINVAL },
		{ "stop_pasid", "0x11 1", -ENODEV },
		{ "page_request", "0x10 none rwl 511 0x1000", 0 },
		{ "page_request", "0x10 3 rxp 1 0x1fff", 0 },
		{ "page_request", "0x10 3 l 0 0", 0 },
		{ "page_request", "0x10 3 - 0 0", 0 },
		{ "page_request", "0x10 3 rz 0 0", -EINVAL },
		{ "page_request", "0x10 3 r 512 0", -EINVAL },
		{ "page_request", "0x10 0x100000 r 0 0", -EINVAL },
		{ "page_request", "0x10 3 r 0", -EINVAL },
		{ "page_request", "0x11 3 r 0 0", -ENODEV },
	};
	struct pri_fixture *f = pri_up_default(test);
	struct rviommu_model_page_request pr;
	char text[96];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		strscpy(text, tries[i].text, sizeof(text));
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_command(f->sim, tries[i].file, text),
				    tries[i].ret, "%s %s", tries[i].file, tries[i].text);
	}
	/* The switch was there when the PASID was stopped: no marker. */
	KUNIT_EXPECT_EQ(test, pri_stats(f).markers, 1);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_FALSE(test, pr.pv);
	KUNIT_EXPECT_EQ(test, pr.payload, 0x1000 | 511 << 3 | R | W | L);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_TRUE(test, pr.pv && pr.priv && pr.exec);
	KUNIT_EXPECT_EQ(test, pr.payload, 0x1000 | 1 << 3 | R);
	pri_expect_marker(f, 3);
	pr = rviommu_pritest_read(&f->p);
	KUNIT_EXPECT_EQ(test, pr.payload, 0);
	pri_expect_none(f);
	/* The device does not know of any of them. */
	KUNIT_EXPECT_EQ(test, pri_stats(f).outstanding, 0);
}

/* What a driver finds: rviommu_bus.pri */
static void pri_bus(struct kunit *test)
{
	struct rviommu_sim_config config;
	const struct rviommu_pri_ops *ops;
	struct rviommu_endpoint *ep;
	struct rviommu_sim *sim;
	struct device *dev;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		rviommu_sim_config_init(&config);
		config.endpoints = 1;
		config.ats = i & 1;
		config.pri = i & 2;
		config.pri_capacity = 17;
		sim = rviommu_simtest_create(test, "rviommu_kunit_pri", &config);
		dev = rviommu_sim_endpoint(sim, 0);
		ep = dev_iommu_priv_get(dev);
		ops = ep->iommu->bus->pri;
		KUNIT_ASSERT_NOT_NULL(test, ops);
		KUNIT_EXPECT_EQ(test, ops->capacity(dev), i == 3 ? 17 : 0);
		rviommu_simtest_destroy(test, sim);
	}
	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.pasid_bits = 0;
	sim = rviommu_simtest_create(test, "rviommu_kunit_pri", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	/* Without PASIDs the bit is reserved. */
	KUNIT_EXPECT_EQ(test, ops->status(dev), PCI_PRI_STATUS_STOPPED);
	KUNIT_EXPECT_EQ(test, ops->enable(dev, 3), 0);
	KUNIT_EXPECT_EQ(test, ops->enable(dev, 3), -EBUSY);
	KUNIT_EXPECT_EQ(test, ops->status(dev), 0);
	ops->disable(dev);
	ops->reset(dev);
	KUNIT_EXPECT_EQ(test, ops->status(dev), PCI_PRI_STATUS_STOPPED);
}

static struct kunit_case pri_cases[] = {
	KUNIT_CASE(pri_single),
	KUNIT_CASE(pri_copy),
	KUNIT_CASE(pri_pasid),
	KUNIT_CASE(pri_group),
	KUNIT_CASE(pri_shuffle),
	KUNIT_CASE(pri_interleaved),
	KUNIT_CASE(pri_devices),
	KUNIT_CASE(pri_indices),
	KUNIT_CASE(pri_invalid),
	KUNIT_CASE(pri_failure),
	KUNIT_CASE(pri_unexpected),
	KUNIT_CASE(pri_again),
	KUNIT_CASE(pri_off),
	KUNIT_CASE(pri_iommu_answers),
	KUNIT_CASE(pri_overflow),
	KUNIT_CASE(pri_overflow_silent),
	KUNIT_CASE(pri_budget),
	KUNIT_CASE(pri_capacity),
	KUNIT_CASE(pri_disable),
	KUNIT_CASE(pri_reset),
	KUNIT_CASE(pri_timeout),
	KUNIT_CASE(pri_futile),
	KUNIT_CASE(pri_removed),
	KUNIT_CASE(pri_stop),
	KUNIT_CASE(pri_stale_credit),
	KUNIT_CASE(pri_stop_in_group),
	KUNIT_CASE(pri_stop_waits),
	KUNIT_CASE(pri_markers),
	KUNIT_CASE(pri_flood),
	KUNIT_CASE(pri_flood_overflow),
	KUNIT_CASE(pri_no_last),
	KUNIT_CASE(pri_reuse),
	KUNIT_CASE(pri_excess),
	KUNIT_CASE(pri_load),
	KUNIT_CASE(pri_commands),
	KUNIT_CASE(pri_bus),
	{}
};

static struct kunit_suite pri_suite = {
	.name = "rviommu_sim_pri",
	.test_cases = pri_cases,
};

kunit_test_suite(pri_suite);
