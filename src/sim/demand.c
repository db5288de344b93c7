// SPDX-License-Identifier: GPL-2.0-only
/*
 * Demand paging: a device copies memory in an address space in which nothing is mapped. What it
 * comes to it asks for, and a handler of page requests, which the IOMMU core knows by our
 * domain, maps that page then.
 *
 * Who meets whom: works of the handler run beside each other, in a queue of the core's that the
 * IOMMU's driver waits for before the domain is detached. So what they use may go after that.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "compat.h"
#include "demand.h"
#include "exercise.h"

/*
 * An address space that handles page requests of a device without PASID is attached with a
 * handle. That is for iommufd, in a namespace of its own; declared in drivers/iommu.
 */
RVIOMMU_IMPORT_NS(IOMMUFD_INTERNAL);

/* Above what has 32 bits, below what the smallest page tables reach */
#define DEMAND_IOVA	(SZ_1G * 8ULL)

/**
 * struct demand - one command: an address space, and who maps it
 * @handle: the core's: how the handler finds the rest
 * @job: the device, and its threads
 * @domain: the address space
 * @pasid: the device uses it with this PASID; IOMMU_NO_PASID: without
 * @nr: pages that are read, and that are written
 * @pages: memory: those that are read, nothing, those that are written. By their place
 *         behind DEMAND_IOVA.
 * @lock: protects what follows
 * @mapped: which of @pages
 * @seen: what has come to the handler
 */
struct demand {
	struct iommu_attach_handle handle;
	struct ex_job job;
	struct iommu_domain *domain;
	ioasid_t pasid;
	unsigned int nr;
	struct page **pages;
	struct mutex lock; /* see above */
	unsigned long *mapped;
	struct ex_demand seen;
};

/* ----- The handler ----- */

/* One page, unless somebody has mapped it before. The lock is held. */
static int demand_map(struct demand *d, const struct iommu_fault_page_request *prm)
{
	u64 page = (prm->addr - DEMAND_IOVA) / SZ_4K;
	bool to = page > d->nr;
	int ret;

	if (prm->addr < DEMAND_IOVA || page > 2 * d->nr || !d->pages[page])
		return -EFAULT;
	if (test_bit(page, d->mapped))
		return 0;
	ret = iommu_map(d->domain, prm->addr, page_to_phys(d->pages[page]), SZ_4K,
			IOMMU_READ | (to ? IOMMU_WRITE : 0), GFP_KERNEL);
	if (ret)
		return ret;
	__set_bit(page, d->mapped);
	d->seen.pages++;
	return 0;
}

static void demand_work(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);
	struct demand *d = container_of(group->attach_handle, struct demand, handle);
	struct iopf_fault *fault;
	int ret = 0;

	scoped_guard(mutex, &d->lock) {
		list_for_each_entry(fault, &group->faults, list) {
			d->seen.requests++;
			ret = demand_map(d, &fault->fault.prm) ?: ret;
		}
		d->seen.groups++;
	}
	iopf_group_response(group, ret ? IOMMU_PAGE_RESP_INVALID : IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
}

/**
 * sim_ex_demand_queue() - a group gets its worker
 * @group: the group, with its work
 *
 * A function so that a test can be the worker, and be without memory.
 */
void sim_ex_demand_queue(struct iopf_group *group)
{
	KUNIT_STATIC_STUB_REDIRECT(sim_ex_demand_queue, group);
	queue_work(group->fault_param->queue->wq, &group->work);
}
EXPORT_SYMBOL_IF_KUNIT(sim_ex_demand_queue);

/* It may sleep, but who calls it has more to do. */
static int demand_handler(struct iopf_group *group)
{
	INIT_WORK(&group->work, demand_work);
	sim_ex_demand_queue(group);
	return 0;
}

/* ----- The device ----- */

static u64 demand_iova(const struct demand *d, bool to, size_t offset)
{
	return DEMAND_IOVA + (to ? (d->nr + 1) * (u64)SZ_4K : 0) + offset;
}

/* A thread's part of the pages. */
static int demand_copy(struct ex_job *job, unsigned int index)
{
	struct demand *d = container_of(job, struct demand, job);
	size_t from = (u64)d->nr * index / job->nr * SZ_4K;
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_COPY, .pv = d->pasid, .pasid = d->pasid,
		.src_iova = demand_iova(d, false, from), .iova = demand_iova(d, true, from),
		.length = (u64)d->nr * (index + 1) / job->nr * SZ_4K - from,
	};
	int ret = sim_ex_dma(job->ex, &dma);

	return ret ? sim_ex_fail(job, ret, "copy on demand", &dma) : 0;
}

/* What is nobody's page is asked for in vain. */
static int demand_beyond(struct demand *d)
{
	u64 word;
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_READ, .pv = d->pasid, .pasid = d->pasid,
		.iova = demand_iova(d, false, d->nr * (size_t)SZ_4K), .length = sizeof(word),
		.buf = &word,
	};
	int ret = rviommu_sim_dma(d->job.ex->dev, &dma);

	if (ret == -EFAULT && dma.response == RVIOMMU_MODEL_PRGR_INVALID)
		return 0;
	return sim_ex_fail(&d->job, ret ?: -EILSEQ, "a page that is nobody's", &dma);
}

static int demand_check(struct demand *d)
{
	unsigned int i;

	for (i = 0; i < d->nr; i++)
		if (!sim_ex_holds(page_address(d->pages[d->nr + 1 + i]), SZ_4K, d->job.seed,
				  (size_t)i * SZ_4K))
			return sim_ex_fail(&d->job, -EILSEQ, "the device copied other bytes", NULL);
	return 0;
}

static int demand_run(struct demand *d)
{
	u64 begun = ktime_get_ns();
	int ret;

	ret = sim_ex_start(&d->job);
	if (ret)
		return ret;
	ret = sim_ex_finish(&d->job);
	if (ret)
		return ret;
	d->seen.ns = ktime_get_ns() - begun;
	return demand_check(d) ?: demand_beyond(d);
}

/* ----- The address space ----- */

static int demand_attach(struct demand *d)
{
	struct device *dev = d->job.ex->dev;
	struct iommu_group *group;
	int ret;

	if (d->pasid != IOMMU_NO_PASID) {
		ret = iommu_attach_device_pasid(d->domain, dev, d->pasid, &d->handle);
	} else {
		group = iommu_group_get(dev);
		ret = group ? iommu_attach_group_handle(d->domain, group, &d->handle) : -ENODEV;
		iommu_group_put(group);
	}
	/* That is what a driver says of a device that cannot do this, too. */
	if (ret == -ENODEV)
		ret = -EOPNOTSUPP;
	return ret ? sim_ex_fail(&d->job, ret, "attach, to page on demand", NULL) : 0;
}

/* The device does not use it any more: all DMA is over. */
static void demand_detach(struct demand *d)
{
	struct device *dev = d->job.ex->dev;
	struct iommu_group *group;

	if (d->pasid != IOMMU_NO_PASID) {
		rviommu_sim_stop_pasid(dev, d->pasid);
		iommu_detach_device_pasid(d->domain, dev, d->pasid);
		return;
	}
	group = iommu_group_get(dev);
	iommu_detach_group_handle(d->domain, group);
	iommu_group_put(group);
}

static void demand_free(struct demand *d)
{
	unsigned int i;

	if (!IS_ERR_OR_NULL(d->domain))
		iommu_domain_free(d->domain);
	for (i = 0; d->pages && i <= 2 * d->nr; i++)
		if (d->pages[i])
			__free_page(d->pages[i]);
	kfree(d->pages);
	bitmap_free(d->mapped);
	mutex_destroy(&d->lock);
}

static int demand_alloc(struct demand *d)
{
	unsigned int i;

	d->pages = kcalloc(2 * d->nr + 1, sizeof(*d->pages), GFP_KERNEL);
	d->mapped = bitmap_zalloc(2 * d->nr + 1, GFP_KERNEL);
	if (!d->pages || !d->mapped)
		return -ENOMEM;
	for (i = 0; i <= 2 * d->nr; i++) {
		if (i == d->nr)
			continue;
		d->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!d->pages[i])
			return -ENOMEM;
		if (i < d->nr)
			sim_ex_fill(page_address(d->pages[i]), SZ_4K, d->job.seed,
				    (size_t)i * SZ_4K);
	}
	d->domain = iommu_paging_domain_alloc(d->job.ex->dev);
	if (IS_ERR(d->domain))
		return PTR_ERR(d->domain);
	d->domain->iopf_handler = demand_handler;
	return 0;
}

/**
 * sim_ex_demand() - let a device copy what is mapped when it comes to it
 * @ex: the device
 * @pages: how many it copies
 * @threads: so many threads share them
 * @pasid: with this PASID, or IOMMU_NO_PASID: then the DMA API is without its domain meanwhile
 *
 * Return: 0; -EOPNOTSUPP: the device can send no page requests, or the IOMMU's driver serves
 * none, or it has no PASIDs; -EINVAL: it has not this one; else as rviommu_sim_exercise().
 */
int sim_ex_demand(struct exerciser *ex, unsigned int pages, unsigned int threads, u32 pasid)
{
	struct demand d = {
		.job.ex = ex, .job.run = demand_copy, .job.nr = threads,
		.job.seed = sim_ex_seed(ex, 1), .pasid = pasid, .nr = pages,
	};
	int ret;

	ret = pasid == IOMMU_NO_PASID ? 0 : sim_ex_check_pasid(ex, pasid);
	if (ret)
		return ret;
	mutex_init(&d.lock);
	ret = demand_alloc(&d);
	if (!ret)
		ret = demand_attach(&d);
	if (!ret) {
		ret = demand_run(&d);
		demand_detach(&d);
		atomic64_add(d.seen.pages, &ex->mappings);
		guard(mutex)(&ex->text_lock);
		ex->demand = d.seen;
	}
	demand_free(&d);
	return ret;
}
