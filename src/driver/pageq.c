// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page-request queue: messages of devices, in their order, to whom they concern.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/workqueue.h>

#include <rviommu/formats.h>
#include <rviommu/regs.h>

#include "inq.h"
#include "pageq.h"
#include "prg.h"
#include "pri.h"
#include "rviommu.h"

static void pageq_record(struct rviommu_inq *in, const void *record)
{
	struct rviommu_page_message message = rviommu_page_decode(record);

	rviommu_pri_message(container_of(in, struct rviommu, pageq), &message);
}

/*
 * Messages were lost, the last ones of groups among them: what is not complete may never be.
 * Those who had sent a last one may have got a response of the IOMMU, which is Success when the
 * queue was full (spec "PCIe ATS Page Request handling"): they try again.
 */
static void pageq_gap(struct rviommu_inq *in)
{
	rviommu_pri_discard(container_of(in, struct rviommu, pageq));
}

/* Not before the fault is cleared: until then it responds so to all. */
static void pageq_denied(struct rviommu_inq *in)
{
	struct rviommu *iommu = container_of(in, struct rviommu, pageq);

	schedule_delayed_work(&iommu->revive, msecs_to_jiffies(RVIOMMU_REVIVE_MS));
}

static struct lock_class_key pageq_key;

static_assert(sizeof(struct rviommu_page_request) <= RVIOMMU_INQ_RECORD);

/* Without it the IOMMU itself responds to those that want a response, with a failure. */
static const struct rviommu_inq_ops pageq_ops = {
	.name = "pq",
	.reg_base = RVIOMMU_REG_PQB,
	.reg_csr = RVIOMMU_REG_PQCSR,
	.record_lg2 = ilog2(sizeof(struct rviommu_page_request)),
	.interrupt = RVIOMMU_IPSR_PIP,
	.lost = "page requests",
	.over = "page requests are not served",
	.key = &pageq_key,
	.record = pageq_record,
	.gap = pageq_gap,
	.denied = pageq_denied,
};

/**
 * rviommu_pageq_init() - allocate a page-request queue
 * @iommu: whose; one without ATS has none
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_pageq_init(struct rviommu *iommu, u8 entries_lg2)
{
	int ret;

	if (!(iommu->caps & RVIOMMU_CAP_ATS))
		return 0;
	ret = rviommu_inq_init(&iommu->pageq, &pageq_ops, iommu->bus, entries_lg2,
			       iommu->pas_lg2, iommu->nid);
	iommu->pageq.mutate = &iommu->mutate;
	INIT_DELAYED_WORK(&iommu->revive, rviommu_pri_revive);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pageq_init);
