// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ATC of a simulated device, without help from the driver: here, the endpoint
 * says that it cannot do ATS, and the test does what software has to do.
 *
 * So an unmap leaves what the ATC knows, and a DMA goes on to reach the old page
 * until an Invalidation Request that names it was answered.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/property.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/formats.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "hw.h"

#define IOVA		0x1000000000ULL
#define PAGES		16
#define ATS_DISALLOWED	260

/* PAYLOAD of ATS.INVAL: the size that a run of ones says */
#define INVAL_GLOBAL	BIT_ULL(0)
#define INVAL_SIZE	BIT_ULL(11)
#define INVAL_ALL	(GENMASK_ULL(63, 12) | INVAL_SIZE)

/**
 * struct atc_fixture - an instance with one endpoint, and a domain on it
 * @test: whose
 * @sim: the instance
 * @dev: the endpoint
 * @cmdq: the driver's command queue
 * @id: device_id
 * @group: its group, of which we have DMA ownership
 * @domain: what is attached
 * @attached: it is
 * @handle: the core wants it
 * @pages: 64 KiB that each test's IOVAs lead to, in reverse, so that no two pages
 *         become one entry
 * @others: 64 KiB for a second mapping
 * @pdt: a process directory, %NULL unless atc_pasids() was called
 * @fence: of the request that atc_meanwhile() sends
 * @overtaken: that was answered while an access was on its way
 * @requests: how many atc_meanwhile() sends
 */
struct atc_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev;
	struct rviommu_cmdq *cmdq;
	u32 id;
	struct iommu_group *group;
	struct iommu_domain *domain;
	bool attached;
	struct iommu_attach_handle handle;
	u8 *pages;
	u8 *others;
	u64 *pdt;
	u32 fence;
	bool overtaken;
	unsigned int requests;
};

/* ----- What software does ----- */

static struct rviommu_command atc_inval(struct atc_fixture *f, bool pv, u32 pasid, u64 payload)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_OPCODE, RVIOMMU_CMD_OPCODE_ATS) |
		     FIELD_PREP(RVIOMMU_CMD_FUNC3, RVIOMMU_CMD_ATS_INVAL) |
		     FIELD_PREP(RVIOMMU_CMD_ATS_RID, f->id);

	if (pv)
		dword0 |= RVIOMMU_CMD_ATS_PV | FIELD_PREP(RVIOMMU_CMD_ATS_PID, pasid);
	return (struct rviommu_command){ .dword = { cpu_to_le64(dword0), cpu_to_le64(payload) } };
}

/* Payload for 2^@lg2 bytes */
static u64 atc_range(u64 iova, unsigned int lg2)
{
	if (lg2 == 12)
		return iova;
	return (iova & ~(BIT_ULL(lg2) - 1)) | (BIT_ULL(lg2 - 1) - 1) >> 12 << 12 | INVAL_SIZE;
}

static void atc_send(struct atc_fixture *f, bool pv, u32 pasid, u64 payload)
{
	struct rviommu_command cmd = atc_inval(f, pv, pasid, payload);

	KUNIT_EXPECT_EQ(f->test, rviommu_cmdq_sync(f->cmdq, &cmd, 1), 0);
}

/* The device context, in a directory of one level */
static u64 *atc_dc(struct atc_fixture *f)
{
	u64 ddtp = rviommu_model_read64(rviommu_sim_model(f->sim), RVIOMMU_REG_DDTP);
	u64 *page = phys_to_virt(FIELD_GET(RVIOMMU_DDTP_PPN, ddtp) << 12);

	return page + f->id * RVIOMMU_DC_WORDS_EXT;
}

/* The device is idle, and the driver does not look. */
static void atc_set_dc(struct atc_fixture *f, unsigned int word, u64 value)
{
	struct rviommu_command cmd = rviommu_cmd_inval_ddt(f->id);

	WRITE_ONCE(atc_dc(f)[word], value);
	KUNIT_ASSERT_EQ(f->test, rviommu_cmdq_sync(f->cmdq, &cmd, 1), 0);
}

/* PASIDs 0 to 255 see what the device sees without PASID. */
static void atc_pasids(struct atc_fixture *f)
{
	u64 fsc = atc_dc(f)[RVIOMMU_DC_FSC];
	u64 pscid = atc_dc(f)[RVIOMMU_DC_TA] & RVIOMMU_DC_TA_PSCID;
	unsigned int i;

	for (i = 0; i < 256; i++) {
		f->pdt[2 * i + RVIOMMU_PC_TA] = RVIOMMU_PC_TA_V | RVIOMMU_PC_TA_ENS |
						RVIOMMU_PC_TA_SUM | pscid;
		f->pdt[2 * i + RVIOMMU_PC_FSC] = fsc;
	}
	WRITE_ONCE(atc_dc(f)[RVIOMMU_DC_FSC],
		   FIELD_PREP(RVIOMMU_FSC_MODE, RVIOMMU_PDTP_MODE_PD8) |
		   virt_to_phys(f->pdt) >> 12);
	atc_set_dc(f, RVIOMMU_DC_TC,
		   atc_dc(f)[RVIOMMU_DC_TC] | RVIOMMU_DC_TC_PDTV | RVIOMMU_DC_TC_DPE);
}

static int atc_map(struct atc_fixture *f, u8 *to, unsigned int page, unsigned int nr, int prot)
{
	unsigned int i;
	int ret = 0;

	for (i = page; i < page + nr && !ret; i++)
		ret = iommu_map(f->domain, IOVA + i * SZ_4K,
				virt_to_phys(to + (PAGES - 1 - i) * SZ_4K), SZ_4K, prot,
				GFP_KERNEL);
	return ret;
}

static void atc_unmap(struct atc_fixture *f, unsigned int page, unsigned int nr)
{
	KUNIT_ASSERT_EQ(f->test, iommu_unmap(f->domain, IOVA + page * SZ_4K, nr * SZ_4K),
			nr * SZ_4K);
}

/* ----- What the device does ----- */

static int atc_job(struct atc_fixture *f, enum rviommu_sim_op op, int pasid, unsigned int page,
		   unsigned int nr, u64 seed)
{
	struct rviommu_sim_dma dma = {
		.op = op, .pv = pasid >= 0, .pasid = pasid >= 0 ? pasid : 0,
		.iova = IOVA + page * SZ_4K, .length = nr * SZ_4K, .operand = seed,
	};

	return rviommu_sim_dma(f->dev, &dma);
}

static int atc_fill(struct atc_fixture *f, unsigned int page, unsigned int nr, u64 seed)
{
	return atc_job(f, RVIOMMU_SIM_FILL, -1, page, nr, seed);
}

static unsigned int atc_holds(struct atc_fixture *f)
{
	return rviommu_sim_list_atc(f->dev, NULL, NULL);
}

static struct rviommu_sim_atc_stats atc_stats(struct atc_fixture *f)
{
	struct rviommu_sim_atc_stats stats;

	KUNIT_ASSERT_EQ(f->test, rviommu_sim_atc_stats(f->dev, &stats), 0);
	return stats;
}

static bool atc_clean(const u8 *p)
{
	return !memchr_inv(p, 0, PAGES * SZ_4K);
}

/* ----- The machine ----- */

static void atc_end(void *data)
{
	struct atc_fixture *f = data;

	rviommu_sim_set_ats(f->dev, false);
	if (f->attached)
		iommu_detach_group_handle(f->domain, f->group);
	if (!IS_ERR_OR_NULL(f->domain))
		iommu_domain_free(f->domain);
	if (f->group) {
		iommu_group_release_dma_owner(f->group);
		iommu_group_put(f->group);
	}
	rviommu_sim_destroy(f->sim);
}

static void atc_free_pages(void *pages)
{
	free_pages_exact(pages, PAGES * SZ_4K);
}

static void *atc_pages(struct kunit *test)
{
	void *pages = alloc_pages_exact(PAGES * SZ_4K, GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, atc_free_pages, pages), 0);
	return pages;
}

static void atc_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	rviommu_sim_config_levels(config, 1);
	config->endpoints = 1;
	config->ats = false;
}

static struct atc_fixture *atc_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct atc_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct iommu_group *group;
	struct rviommu_endpoint *ep;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->pages = atc_pages(test);
	f->others = atc_pages(test);
	f->pdt = atc_pages(test);
	f->sim = rviommu_sim_create("rviommu_kunit_atc", config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->sim);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, atc_end, f), 0);
	f->dev = rviommu_sim_endpoint(f->sim, 0);
	KUNIT_ASSERT_NOT_NULL(test, f->dev);
	ep = dev_iommu_priv_get(f->dev);
	f->cmdq = &ep->iommu->cmdq;
	f->id = ep->ids[0];
	group = iommu_group_get(f->dev);
	KUNIT_ASSERT_NOT_NULL(test, group);
	KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(group, f), 0);
	f->group = group;
	f->domain = iommu_paging_domain_alloc(f->dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->domain);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(group, f->domain, &f->handle), 0);
	f->attached = true;

	atc_set_dc(f, RVIOMMU_DC_TC, atc_dc(f)[RVIOMMU_DC_TC] | RVIOMMU_DC_TC_EN_ATS);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_ats(f->dev, true), 0);
	return f;
}

static struct atc_fixture *atc_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	atc_config(&config);
	return atc_up(test, &config);
}

/* ----- Tests ----- */

/* What was learned is used again, and nothing but a request ends that. */
static void atc_remembers(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);

	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 2, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 2);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), 2);
	KUNIT_EXPECT_EQ(test, atc_stats(f).requests, 2);
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_VERIFY, -1, 0, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).requests, 2);

	/* The IOTLB is invalidated, the ATC is not. */
	atc_unmap(f, 0, 2);
	memset(f->pages, 0, PAGES * SZ_4K);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 2, 2), 0);
	KUNIT_EXPECT_FALSE(test, atc_clean(f->pages));
	KUNIT_ASSERT_EQ(test, atc_map(f, f->others, 0, 2, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 2, 2), 0);
	KUNIT_EXPECT_TRUE(test, atc_clean(f->others));

	/* One page, then the other. */
	atc_send(f, false, 0, IOVA);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 3), 0);
	KUNIT_EXPECT_FALSE(test, atc_clean(f->others));
	memset(f->others, 0, PAGES * SZ_4K);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 1, 1, 3), 0);
	KUNIT_EXPECT_TRUE(test, atc_clean(f->others));
	atc_unmap(f, 0, 2);
	atc_send(f, false, 0, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 4), -EFAULT);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 1, 1, 4), -EFAULT);
	KUNIT_EXPECT_EQ(test, atc_stats(f).invalidations, 2);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
}

/* The range that a request names: that, and nothing more. */
static void atc_ranges(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	unsigned int lg2, page, before, i;

	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, PAGES, IOMMU_READ | IOMMU_WRITE), 0);
	for (lg2 = 12; lg2 <= 17; lg2++) {
		unsigned int size = min(PAGES, 1U << (lg2 - 12));

		for (page = 0; page < PAGES; page += 5) {
			unsigned int first = round_down(page, size);

			KUNIT_EXPECT_EQ(test, atc_fill(f, 0, PAGES, lg2), 0);
			KUNIT_EXPECT_EQ(test, atc_holds(f), PAGES);
			atc_send(f, false, 0, atc_range(IOVA + page * SZ_4K, lg2));
			KUNIT_EXPECT_EQ_MSG(test, atc_holds(f), PAGES - size, "2^%u page %u", lg2,
					    page);
			before = atc_stats(f).requests;
			for (i = first; i < first + size; i++)
				KUNIT_EXPECT_EQ(test, atc_fill(f, i, 1, lg2), 0);
			KUNIT_EXPECT_EQ(test, atc_stats(f).requests, before + size);
		}
	}
	/* Somewhere else, in front and behind */
	atc_send(f, false, 0, atc_range(IOVA - SZ_64K, 16));
	atc_send(f, false, 0, atc_range(IOVA + SZ_64K, 16));
	KUNIT_EXPECT_EQ(test, atc_holds(f), PAGES);
}

/* An entry as large as the answer goes when any part of it is named. */
static void atc_large(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	u64 base = round_down(virt_to_phys(f->pages), SZ_2M);
	unsigned int page = (virt_to_phys(f->pages) - base) / SZ_4K;

	KUNIT_ASSERT_EQ(test, iommu_map(f->domain, IOVA, base, SZ_2M, IOMMU_READ | IOMMU_WRITE,
					GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, page, PAGES, 1), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	KUNIT_EXPECT_EQ(test, atc_stats(f).requests, 1);
	atc_send(f, false, 0, IOVA + SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	atc_send(f, false, 0, IOVA + SZ_2M - SZ_4K);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
}

/* Entries of each PASID, and those without one, only go by their own requests. */
static void atc_pasid(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	int pasid;

	atc_pasids(f);
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, PAGES, IOMMU_READ | IOMMU_WRITE), 0);
	for (pasid = -1; pasid < 4; pasid++)
		KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_FILL, pasid, 0, PAGES, 5), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 5 * PAGES);

	atc_send(f, true, 2, atc_range(IOVA, 13));
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, true, 2), PAGES - 2);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 5 * PAGES - 2);
	atc_send(f, false, 0, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, true, 0), PAGES);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 4 * PAGES - 2);
	atc_send(f, true, 0, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 3 * PAGES - 2);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, PAGES, 6), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 4 * PAGES - 2);
	/* All PASIDs is not: without PASID, too. */
	atc_send(f, true, 1, atc_range(IOVA, 16) | INVAL_GLOBAL);
	KUNIT_EXPECT_EQ(test, atc_holds(f), PAGES);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, false, 0), PAGES);
	/* What such requests leave is used, what they removed is asked for again. */
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_FILL, 3, 0, 1, 7), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, true, 3), 1);
	/* Wider than the device's PASIDs */
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_FILL, BIT(20), 0, 1, 7), -EINVAL);
}

static void atc_set_global(struct atc_fixture *f, unsigned int page)
{
	u64 fsc = f->pdt[RVIOMMU_PC_FSC], *table = phys_to_virt((fsc & RVIOMMU_FSC_PPN) << 12);
	unsigned int shift = 12 + 9 * (FIELD_GET(RVIOMMU_FSC_MODE, fsc) - 6);
	u64 iova = IOVA + page * SZ_4K;

	for (;; shift -= 9) {
		u64 *pte = &table[iova >> shift & 511];

		if (shift == 12) {
			*pte |= RVIOMMU_PTE_G;
			return;
		}
		table = phys_to_virt(FIELD_GET(RVIOMMU_PTE_PPN, *pte) << 12);
	}
}

/* One global entry serves every PASID, until a request for all of them. */
static void atc_global(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	u64 asked;

	atc_pasids(f);
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	atc_set_global(f, 0);
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_FILL, 1, 0, 1, 1), 0);
	asked = atc_stats(f).requests;
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_FILL, 2, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).requests, asked);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev, true, 1), 0);
	atc_send(f, true, 1, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	atc_send(f, true, 1, INVAL_ALL | INVAL_GLOBAL);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
}

/* What is not permitted is asked for again, and no right is made up. */
static void atc_permissions(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	struct rviommu_sim_dma exec = {
		.op = RVIOMMU_SIM_VERIFY, .exec = true, .iova = IOVA, .length = 8, .operand = 9,
	};
	struct rviommu_sim_dma add = {
		.op = RVIOMMU_SIM_FETCH_ADD, .iova = IOVA, .length = 8, .operand = 1,
	};

	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_NOEXEC), 0);
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_VERIFY, -1, 0, 1, 9), -EILSEQ);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 9), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &exec), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &add), -EFAULT);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	KUNIT_EXPECT_TRUE(test, atc_clean(f->pages));
	atc_unmap(f, 0, 1);
	/* More than before needs no request. */
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 9), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &exec), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &add), 0);
	/* Less than before does. */
	atc_unmap(f, 0, 1);
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 10), 0);
	atc_send(f, false, 0, IOVA);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 11), -EFAULT);
	KUNIT_EXPECT_EQ(test, atc_job(f, RVIOMMU_SIM_VERIFY, -1, 0, 1, 10), 0);
}

/* In the middle of an access, requests for what it uses are sent. */
static void atc_meanwhile(struct device *dev)
{
	struct kunit *test = kunit_get_current_test();
	struct atc_fixture *f = test->priv;
	u64 answers = atc_stats(f).answers;
	struct rviommu_command cmds[8];
	unsigned int i;

	if (!f->requests)
		return;
	for (i = 0; i < f->requests; i++)
		cmds[i] = atc_inval(f, false, 0, IOVA);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_issue_atomic(f->cmdq, cmds, f->requests, &f->fence), 0);
	f->requests = 0;
	/*
	 * Nothing is answered by now, and a look does not help. (The fence alone would
	 * not tell: it waits for the access, too.)
	 */
	rviommu_model_read32(rviommu_sim_model(f->sim), RVIOMMU_REG_CQH);
	f->overtaken = atc_stats(f).answers != answers;
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
}

/* A request is answered when the DMAs that used the entry have reached memory. */
static void atc_in_flight(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);

	test->priv = f;
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_flight(f->dev, atc_meanwhile), 0);
	f->requests = 1;
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 1), 0);
	KUNIT_EXPECT_FALSE(test, f->overtaken);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait(f->cmdq, f->fence), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).answers, 1);
	/* Then it was removed and asked for again by nobody. */
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_in_flight(f->dev, NULL), 0);
}

/* More requests than the device can queue are noticed, and none is lost. */
static void atc_depth(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct atc_fixture *f;

	atc_config(&config);
	config.ats_depth = 4;
	f = atc_up(test, &config);
	test->priv = f;
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_in_flight(f->dev, atc_meanwhile), 0);
	f->requests = 4;
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 1), 0);
	KUNIT_EXPECT_FALSE(test, f->overtaken);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait(f->cmdq, f->fence), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).overflows, 0);
	f->requests = 6;
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 2), 0);
	KUNIT_EXPECT_FALSE(test, f->overtaken);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait(f->cmdq, f->fence), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).overflows, 2);
	KUNIT_EXPECT_EQ(test, atc_stats(f).invalidations, 10);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_in_flight(f->dev, NULL), 0);
}

/* Late answers come; lost ones do not, and the IOMMU says so. */
static void atc_answers(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_cmdq *cmdq;
	struct atc_fixture *f;

	atc_config(&config);
	config.model.ats_timeout = 1000 * 1000;
	f = atc_up(test, &config);
	cmdq = f->cmdq;
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev, RVIOMMU_SIM_ATC_LOST), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 1), 0);
	atc_send(f, false, 0, IOVA);
	KUNIT_EXPECT_EQ(test, atomic64_read(&cmdq->events[RVIOMMU_CMDQ_TIMEOUT]), 1);
	KUNIT_EXPECT_EQ(test, atc_stats(f).lost, 1);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
}

static void atc_late(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev, RVIOMMU_SIM_ATC_LATE), 0);
	for (i = 0; i < 20; i++) {
		KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 4, IOMMU_READ | IOMMU_WRITE), 0);
		KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 4, i), 0);
		KUNIT_EXPECT_EQ(test, atc_holds(f), 4);
		atc_unmap(f, 0, 4);
		atc_send(f, false, 0, atc_range(IOVA, 14));
		KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
		KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, i), -EFAULT);
	}
	KUNIT_EXPECT_EQ(test, atc_stats(f).invalidations, i);
}

/* A device that is gone answers nothing, one that has no ATS on does. */
static void atc_gone(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_cmdq *cmdq;
	struct atc_fixture *f;

	atc_config(&config);
	config.model.ats_timeout = 1000 * 1000;
	f = atc_up(test, &config);
	cmdq = f->cmdq;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_ats(f->dev, false), 0);
	atc_send(f, false, 0, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, atomic64_read(&cmdq->events[RVIOMMU_CMDQ_TIMEOUT]), 0);
	f->id++;
	atc_send(f, false, 0, INVAL_ALL);
	KUNIT_EXPECT_EQ(test, atomic64_read(&cmdq->events[RVIOMMU_CMDQ_TIMEOUT]), 1);
	f->id--;
}

/* Switched off, the device asks no more, but forgets only when told. */
static void atc_enable(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	struct rviommu_sim_dma dma = { .op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = 8 };

	KUNIT_EXPECT_TRUE(test, rviommu_sim_ats_enabled(f->dev));
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 2, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_ats(f->dev, false), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_ats_enabled(f->dev));
	KUNIT_EXPECT_EQ(test, atc_holds(f), 2);
	atc_unmap(f, 0, 2);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, 1, 2), -EFAULT);
	atc_send(f, false, 0, IOVA);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 1);
	/* An ATC that begins to work is empty. */
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_ats(f->dev, true), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 0);
	/* And without EN_ATS the IOMMU answers nothing. */
	atc_set_dc(f, RVIOMMU_DC_TC, atc_dc(f)[RVIOMMU_DC_TC] & ~RVIOMMU_DC_TC_EN_ATS);
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, 1, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &dma), -EFAULT);
	KUNIT_EXPECT_EQ(test, dma.cause, ATS_DISALLOWED);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_ats(f->dev, false), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_dma(f->dev, &dma), 0);
}

static void atc_limit(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct atc_fixture *f;

	atc_config(&config);
	config.atc_limit = 3;
	f = atc_up(test, &config);
	KUNIT_ASSERT_EQ(test, atc_map(f, f->pages, 0, PAGES, IOMMU_READ | IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, atc_fill(f, 0, PAGES, 1), 0);
	KUNIT_EXPECT_EQ(test, atc_holds(f), 3);
	KUNIT_EXPECT_EQ(test, atc_stats(f).evictions, PAGES - 3);
	/* The oldest went. */
	KUNIT_EXPECT_EQ(test, atc_fill(f, PAGES - 3, 3, 2), 0);
	KUNIT_EXPECT_EQ(test, atc_stats(f).requests, PAGES);
}

/* ----- Under load ----- */

static int atc_hammer(void *data)
{
	struct atc_fixture *f = data;

	do {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = PAGES * SZ_4K,
			.operand = 77,
		};

		rviommu_sim_dma(f->dev, &dma);
		cond_resched();
	} while (!kthread_should_stop());
	return 0;
}

/* After the answer, no thread of the device reaches the old pages. */
static void atc_load(struct kunit *test)
{
	struct atc_fixture *f = atc_up_default(test);
	struct task_struct *tasks[3];
	unsigned int i, stale = 0, unused = 0;

	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		tasks[i] = kthread_run(atc_hammer, f, "atc_hammer");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tasks[i]);
	}
	for (i = 0; i < 100; i++) {
		u8 *pages = i & 1 ? f->others : f->pages;

		if (i & 2)
			rviommu_sim_set_atc(f->dev, RVIOMMU_SIM_ATC_LATE);
		else
			rviommu_sim_set_atc(f->dev, 0);
		KUNIT_EXPECT_EQ(test, atc_map(f, pages, 0, PAGES, IOMMU_READ | IOMMU_WRITE), 0);
		KUNIT_EXPECT_EQ(test, atc_fill(f, 0, PAGES, 77), 0);
		schedule_timeout_uninterruptible(1);
		atc_unmap(f, 0, PAGES);
		atc_send(f, false, 0, atc_range(IOVA, 16));
		unused += atc_clean(pages);
		memset(pages, 0, PAGES * SZ_4K);
		if (!(i & 7))
			schedule_timeout_uninterruptible(1);
		stale += !atc_clean(pages);
		stale += atc_holds(f);
	}
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		kthread_stop(tasks[i]);
	KUNIT_EXPECT_EQ(test, stale, 0);
	KUNIT_EXPECT_EQ(test, unused, 0);
}

/* The core learns from the property how many PASIDs there are. */
static void atc_property(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	struct device *dev;
	u32 bits = 99;

	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.ats = true;
	config.pasid_bits = 9;
	config.ats_depth = 7;
	sim = rviommu_sim_create("rviommu_kunit_atc", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	dev = rviommu_sim_endpoint(sim, 0);
	KUNIT_EXPECT_EQ(test, device_property_read_u32(dev, "pasid-num-bits", &bits), 0);
	KUNIT_EXPECT_EQ(test, bits, 9);
	KUNIT_EXPECT_EQ(test, rviommu_sim_ats_depth(dev), 7);
	get_device(dev);
	rviommu_sim_destroy(sim);
	KUNIT_EXPECT_EQ(test, rviommu_sim_ats_depth(dev), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_set_ats(dev, true), -ENODEV);
	put_device(dev);

	config.ats = false;
	config.pasid_bits = 0;
	sim = rviommu_sim_create("rviommu_kunit_atc", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	dev = rviommu_sim_endpoint(sim, 0);
	KUNIT_EXPECT_NE(test, device_property_read_u32(dev, "pasid-num-bits", &bits), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_ats_depth(dev), 0);
	rviommu_sim_destroy(sim);

	config.pasid_bits = 21;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	config.pasid_bits = 20;
	KUNIT_EXPECT_NULL(test, rviommu_sim_config_check(&config));
	config.ats_depth = 33;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
	config.ats_depth = 0;
	KUNIT_EXPECT_NOT_NULL(test, rviommu_sim_config_check(&config));
}

static struct kunit_case atc_cases[] = {
	KUNIT_CASE(atc_remembers),
	KUNIT_CASE(atc_ranges),
	KUNIT_CASE(atc_large),
	KUNIT_CASE(atc_pasid),
	KUNIT_CASE(atc_global),
	KUNIT_CASE(atc_permissions),
	KUNIT_CASE(atc_in_flight),
	KUNIT_CASE(atc_depth),
	KUNIT_CASE(atc_answers),
	KUNIT_CASE(atc_late),
	KUNIT_CASE(atc_gone),
	KUNIT_CASE(atc_enable),
	KUNIT_CASE(atc_limit),
	KUNIT_CASE(atc_load),
	KUNIT_CASE(atc_property),
	{}
};

static struct kunit_suite atc_suite = {
	.name = "rviommu_sim_atc",
	.test_cases = atc_cases,
};

kunit_test_suite(atc_suite);
