// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault queue, and who is told.
 *
 * Nothing here takes a lock that attach or map hold while they wait for the
 * IOMMU, and nothing here waits for commands: a fault may be the reason why
 * somebody else waits.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>

#include "endpoint.h"
#include "fault.h"
#include "inq.h"
#include "record.h"
#include "rviommu.h"
#include "trace.h"

static void fault_report(struct rviommu *iommu, const struct rviommu_fault *fault)
{
	char device[RVIOMMU_FAULT_NAME] = "", text[RVIOMMU_FAULT_TEXT];
	u64 hidden;
	bool log;

	log = rviommu_endpoint_fault(iommu, fault, &hidden);
	if (!log && !trace_rviommu_fault_enabled())
		return;
	if (fault->ttyp)
		rviommu_endpoint_name(iommu, fault->did, device, sizeof(device));
	trace_rviommu_fault(iommu->bus, device, fault);
	if (!log)
		return;
	rviommu_fault_format(text, sizeof(text), device, fault);
	if (hidden)
		dev_err(iommu->bus->dev, "%s: %s (%llu before it not shown)\n", iommu->bus->name,
			text, hidden);
	else
		dev_err(iommu->bus->dev, "%s: %s\n", iommu->bus->name, text);
}

/* Somebody's page requests may have ended. */
static void faultq_look(struct rviommu *iommu)
{
	if (READ_ONCE(iommu->pageq.running))
		schedule_delayed_work(&iommu->revive, msecs_to_jiffies(RVIOMMU_REVIVE_MS));
}

static void faultq_record(struct rviommu_inq *in, const void *record)
{
	struct rviommu *iommu = container_of(in, struct rviommu, faultq);
	struct rviommu_fault fault = rviommu_fault_decode(record);

	fault_report(iommu, &fault);
	/* Virtual functions share an interface: one that is blocked may end that of others. */
	if (rviommu_fault_ends_requests(&fault))
		faultq_look(iommu);
}

/* A record that was lost may have said so. */
static void faultq_gap(struct rviommu_inq *in)
{
	faultq_look(container_of(in, struct rviommu, faultq));
}

static struct lock_class_key faultq_key;

static_assert(sizeof(struct rviommu_fault_record) <= RVIOMMU_INQ_RECORD);

static const struct rviommu_inq_ops faultq_ops = {
	.name = "fq",
	.reg_base = RVIOMMU_REG_FQB,
	.reg_csr = RVIOMMU_REG_FQCSR,
	.record_lg2 = ilog2(sizeof(struct rviommu_fault_record)),
	.interrupt = RVIOMMU_IPSR_FIP,
	.lost = "fault records",
	.over = "faults are not reported",
	.key = &faultq_key,
	.record = faultq_record,
	.gap = faultq_gap,
};

/**
 * rviommu_faultq_init() - allocate a fault queue
 * @iommu: whose
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_faultq_init(struct rviommu *iommu, u8 entries_lg2)
{
	rviommu_fault_log_init(&iommu->fault_log);
	return rviommu_inq_init(&iommu->faultq, &faultq_ops, iommu->bus, entries_lg2,
				iommu->pas_lg2, iommu->nid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_init);
