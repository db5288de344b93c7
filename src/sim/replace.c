// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replacement: two domains have other memory at the same addresses, and take turns while the
 * device reads and writes there: what requests without PASID use, or what a PASID does.
 *
 * Of requests without PASID the first domain is the DMA API's. A PASID has two of ours; while
 * one is in use, the device does as much DMA without, which must not notice.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "exercise.h"
#include "replace.h"

/* The core replaces what is attached to a PASID for iommufd only. */
RVIOMMU_IMPORT_NS(IOMMUFD_INTERNAL);

/*
 * The buffer that is replaced: pages that the device reads, pages that it writes,
 * and a last one for whoever replaces.
 */
#define REPLACE_SIZE		SZ_64K
#define REPLACE_PAGES		(REPLACE_SIZE / SZ_4K)
#define REPLACE_READ_PAGES	(REPLACE_PAGES / 2)
#define REPLACE_WRITE_PAGES	(REPLACE_PAGES - REPLACE_READ_PAGES - 1)
#define REPLACE_OWN_PAGE	(REPLACE_PAGES - 1)

/* What is read, in bytes, and what is written behind it */
#define REPLACE_READ_SIZE	(REPLACE_READ_PAGES * SZ_4K)
#define REPLACE_WRITE_SIZE	(REPLACE_SIZE - REPLACE_READ_SIZE)

/* Where a PASID has it: above what has 32 bits, below what the smallest page tables reach */
#define REPLACE_IOVA		(SZ_1G * 8ULL)

/* Bytes of one DMA of a thread */
#define REPLACE_PIECE		256

/* How long the threads may take for a DMA each, before that is an error. */
#define REPLACE_PATIENCE	(30 * HZ)

/**
 * struct replace_space - what requests with a PASID, or without, find at the same addresses
 * @pasid: the PASID, IOMMU_NO_PASID: without
 * @nr: domains that take turns; 1: it stays; 0: there are no such requests
 * @iova: the buffer, in all of them
 * @domain: the domains; NULL: the DMA API's
 * @handle: the core wants a new one with each replacement
 * @mem: memory, REPLACE_SIZE bytes, that a domain maps there
 * @seed: pattern of the pages for reading in the memory of the first domain; the second's
 *        is @seed + 1
 * @now: the domain in force
 * @attached: it is attached, by us
 */
struct replace_space {
	ioasid_t pasid;
	unsigned int nr;
	dma_addr_t iova;
	struct iommu_domain *domain[2];
	struct iommu_attach_handle handle[2];
	u8 *mem[2];
	u64 seed;
	unsigned int now;
	bool attached;
};

/**
 * struct replace - one command
 * @job: the device, and its threads
 * @group: the device's, with a reference
 * @rid: what requests without PASID use
 * @process: what those with one do
 * @changes: the one of the two that is replaced
 * @change: how: from @changes->now to the other; 0 or the error of the command
 * @gaps: how often the PASID has lost its domain or got one: while it is odd there is none.
 *        Written by the command only.
 * @turns: of the threads: DMA of all requests
 */
struct replace {
	struct ex_job job;
	struct iommu_group *group;
	struct replace_space rid;
	struct replace_space process;
	struct replace_space *changes;
	int (*change)(struct replace *r);
	unsigned int gaps;
	atomic64_t turns;
};

static struct device *replace_dev(const struct replace *r)
{
	return r->job.ex->dev;
}

/* ----- Threads ----- */

/*
 * A DMA is done: 0; or it was refused as it should, because its PASID had no domain at that
 * time: 1; or the command fails.
 */
static int replace_dma(struct replace *r, const struct replace_space *s,
		       struct rviommu_sim_dma *dma, const char *what)
{
	/* Pairs with replace_gap(): where it is even the domain is there for the DMA. */
	unsigned int before = smp_load_acquire(&r->gaps);
	int ret;

	dma->pv = s->pasid != IOMMU_NO_PASID;
	dma->pasid = s->pasid;
	ret = sim_ex_dma(r->job.ex, dma);
	/* Likewise: and who was refused sees why. */
	smp_rmb();
	if (ret == -EFAULT && s == r->changes && (before & 1 || READ_ONCE(r->gaps) != before))
		return 1;
	return ret ? sim_ex_fail(&r->job, ret, what, dma) : 0;
}

/* A piece is all of one domain. */
static bool replace_known(const struct replace_space *s, const u8 *buf, size_t offset)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		if (sim_ex_holds(buf, REPLACE_PIECE, s->seed + i, offset))
			return true;
	return false;
}

static int replace_read(struct replace *r, const struct replace_space *s, unsigned long turn,
			u8 *buf)
{
	size_t offset = turn * REPLACE_PIECE % REPLACE_READ_SIZE;
	struct rviommu_sim_dma read = {
		.op = RVIOMMU_SIM_READ, .iova = s->iova + offset, .length = REPLACE_PIECE,
		.buf = buf,
	};
	int ret = replace_dma(r, s, &read, "read during replacement");

	if (ret || replace_known(s, buf, offset))
		return ret;
	return sim_ex_fail(&r->job, -EILSEQ, "read bytes that belong to neither domain", &read);
}

static int replace_write(struct replace *r, const struct replace_space *s, unsigned long turn)
{
	size_t offset = REPLACE_READ_SIZE + turn % REPLACE_WRITE_PAGES * SZ_4K;
	struct rviommu_sim_dma write = {
		.op = RVIOMMU_SIM_FILL, .iova = s->iova + offset, .length = REPLACE_PIECE,
		.operand = sim_ex_seed(r->job.ex, 1),
	};

	return replace_dma(r, s, &write, "write during replacement");
}

static int replace_turn(struct replace *r, const struct replace_space *s, unsigned long turn,
			u8 *buf)
{
	int ret = s->nr ? replace_read(r, s, turn, buf) : 0;

	if (ret >= 0 && s->nr)
		ret = replace_write(r, s, turn);
	return min(ret, 0);
}

static int replace_thread(struct ex_job *job, unsigned int index)
{
	struct replace *r = container_of(job, struct replace, job);
	unsigned long turn = index;
	int ret = 0;
	u8 *buf;

	buf = kmalloc(REPLACE_PIECE, GFP_KERNEL);
	if (!buf)
		return sim_ex_fail(job, -ENOMEM, "memory of a thread", NULL);
	while (!ret && !sim_ex_stopped(job)) {
		ret = replace_turn(r, &r->process, turn, buf) ?:
		      replace_turn(r, &r->rid, turn, buf);
		atomic64_inc(&r->turns);
		turn++;
		cond_resched();
	}
	kfree(buf);
	return ret;
}

/* Wait until a turn has begun and ended since the call. */
static int replace_wait_turn(struct replace *r)
{
	s64 want = atomic64_read(&r->turns) + r->job.nr + 1;
	unsigned long end = jiffies + REPLACE_PATIENCE;

	while (atomic64_read(&r->turns) < want) {
		if (READ_ONCE(r->job.ex->gone))
			return -ENODEV;
		if (READ_ONCE(r->job.stop))
			return READ_ONCE(r->job.ret) ?: -EINTR;
		if (signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, end))
			return sim_ex_fail(&r->job, -ETIMEDOUT, "the threads do not get on", NULL);
		usleep_range(20, 100);
	}
	return 0;
}

/* ----- What is seen of a replacement ----- */

/* Everything reaches the memory of the domain in force. */
static int replace_reaches(struct replace *r, const struct replace_space *s)
{
	struct rviommu_sim_dma verify = {
		.op = RVIOMMU_SIM_VERIFY, .iova = s->iova, .length = SZ_4K,
		.operand = s->seed + s->now,
	};
	struct rviommu_sim_dma fill = {
		.op = RVIOMMU_SIM_FILL, .iova = s->iova + REPLACE_OWN_PAGE * SZ_4K,
		.length = SZ_4K, .operand = sim_ex_seed(r->job.ex, 1),
	};
	int ret;

	ret = replace_dma(r, s, &verify, "read after replacement") ?:
	      replace_dma(r, s, &fill, "write after replacement");
	if (ret)
		return ret;
	if (!sim_ex_holds(s->mem[s->now] + REPLACE_OWN_PAGE * SZ_4K, SZ_4K, fill.operand, 0))
		return sim_ex_fail(&r->job, -EILSEQ,
				   "what was written after a replacement is not there", &fill);
	return 0;
}

/* What is attached to nothing stays as it is; that was cleared before. */
static int replace_rests(struct replace *r, const u8 *mem)
{
	int ret = replace_wait_turn(r);

	if (ret)
		return ret;
	if (memchr_inv(mem + REPLACE_READ_SIZE, 0, REPLACE_WRITE_SIZE))
		return sim_ex_fail(&r->job, -EILSEQ,
				   "a write reached memory that had been replaced", NULL);
	return 0;
}

static void replace_clear(u8 *mem)
{
	memset(mem + REPLACE_READ_SIZE, 0, REPLACE_WRITE_SIZE);
}

/*
 * One replacement. Once it is over, nothing reads or writes the old memory, and
 * everything the new.
 */
static int replace_once(struct replace *r)
{
	struct replace_space *s = r->changes;
	u8 *old = s->mem[s->now];
	int ret;

	ret = r->change(r);
	if (ret)
		return ret;
	s->now = !s->now;
	atomic64_inc(&r->job.ex->replacements);
	replace_clear(old);
	return replace_reaches(r, s) ?: replace_rests(r, old);
}

/* ----- Replacements ----- */

/* By the core's public interface, which never passes through a blocked state. */
static int replace_requester(struct replace *r)
{
	struct iommu_domain *domain = r->rid.domain[1];
	int ret = 0;

	if (r->rid.now)
		iommu_detach_group(domain, r->group);
	else
		ret = iommu_attach_group(domain, r->group);
	r->rid.attached = !r->rid.now && !ret;
	return ret ? sim_ex_fail(&r->job, ret, "iommu_attach_group", NULL) : 0;
}

static int replace_pasid(struct replace *r)
{
	struct replace_space *s = &r->process;
	unsigned int next = !s->now;
	int ret = rviommu_replace_device_pasid(s->domain[next], replace_dev(r), s->pasid,
					       &s->handle[next]);

	return ret ? sim_ex_fail(&r->job, ret, "iommu_replace_device_pasid", NULL) : 0;
}

static int replace_attach(struct replace *r, unsigned int which)
{
	struct replace_space *s = &r->process;
	int ret = iommu_attach_device_pasid(s->domain[which], replace_dev(r), s->pasid,
					    &s->handle[which]);

	s->attached = !ret;
	if (!ret)
		return 0;
	return sim_ex_fail(&r->job, ret, ret == -EBUSY ? "the PASID is in use, or none can be" :
							 "iommu_attach_device_pasid", NULL);
}

static void replace_detach(struct replace *r)
{
	struct replace_space *s = &r->process;

	if (s->attached)
		iommu_detach_device_pasid(s->domain[s->now], replace_dev(r), s->pasid);
	s->attached = false;
}

/* From now on DMA may be refused, or may not any more. */
static void replace_gap(struct replace *r)
{
	/* Pairs with replace_dma(): who sees that there is a domain again finds it. */
	smp_store_release(&r->gaps, r->gaps + 1);
	/* Likewise: who is refused sees that there is none. */
	smp_mb();
}

/* The PASID has no domain: its DMA is refused, and reaches nothing. */
static int replace_refused(struct replace *r)
{
	const struct replace_space *s = &r->process;
	struct rviommu_sim_dma fill = {
		.op = RVIOMMU_SIM_FILL, .iova = s->iova + REPLACE_OWN_PAGE * SZ_4K,
		.length = SZ_4K,
	};
	int ret;

	replace_clear(s->mem[s->now]);
	ret = replace_dma(r, s, &fill, "write after a detach");
	if (ret < 0)
		return ret;
	if (!ret)
		return sim_ex_fail(&r->job, -EILSEQ, "DMA works that should be refused", &fill);
	return replace_rests(r, s->mem[s->now]);
}

/* By what all kernels have */
static int replace_by_detach(struct replace *r)
{
	int ret;

	replace_gap(r);
	replace_detach(r);
	ret = replace_refused(r) ?: replace_attach(r, !r->process.now);
	if (!ret)
		replace_gap(r);
	return ret;
}

static int replace_run(struct replace *r, unsigned int times)
{
	unsigned int i;
	int ret;

	ret = r->process.nr ? replace_attach(r, 0) : 0;
	if (ret)
		return ret;
	ret = sim_ex_start(&r->job);
	if (!ret) {
		for (i = 0; !ret && i < times; i++)
			ret = replace_once(r);
		WRITE_ONCE(r->job.stop, true);
		ret = sim_ex_finish(&r->job) ?: ret;
	}
	replace_detach(r);
	if (r->rid.attached)
		iommu_detach_group(r->rid.domain[1], r->group);
	return ret;
}

/* ----- Memory and domains ----- */

/* A domain of ours, and its memory */
static int replace_make(struct replace *r, struct replace_space *s, unsigned int which)
{
	int ret;

	s->mem[which] = alloc_pages_exact(REPLACE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!s->mem[which])
		return -ENOMEM;
	s->domain[which] = iommu_paging_domain_alloc(replace_dev(r));
	if (IS_ERR(s->domain[which]))
		return PTR_ERR(s->domain[which]);
	ret = iommu_map(s->domain[which], s->iova, virt_to_phys(s->mem[which]), REPLACE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		return ret;
	atomic64_inc(&r->job.ex->mappings);
	sim_ex_fill(s->mem[which], REPLACE_READ_SIZE, s->seed + which, 0);
	return 0;
}

static int replace_make_requester(struct replace *r)
{
	struct replace_space *s = &r->rid;

	s->mem[0] = dma_alloc_coherent(replace_dev(r), REPLACE_SIZE, &s->iova, GFP_KERNEL);
	if (!s->mem[0])
		return -ENOMEM;
	atomic64_inc(&r->job.ex->mappings);
	sim_ex_fill(s->mem[0], REPLACE_READ_SIZE, s->seed, 0);
	return s->nr > 1 ? replace_make(r, s, 1) : 0;
}

static int replace_make_process(struct replace *r)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < r->process.nr; i++)
		ret = replace_make(r, &r->process, i);
	return ret;
}

static void replace_free(struct replace *r, struct replace_space *s)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->mem); i++) {
		if (!IS_ERR_OR_NULL(s->domain[i]))
			iommu_domain_free(s->domain[i]);
		if (!s->mem[i])
			continue;
		if (s == &r->rid && !i)
			dma_free_coherent(replace_dev(r), REPLACE_SIZE, s->mem[i], s->iova);
		else
			free_pages_exact(s->mem[i], REPLACE_SIZE);
	}
}

/* Who takes turns, and how; 0, or why that cannot be. */
static int replace_choose(struct replace *r, enum ex_replace_how how)
{
	int ret;

	r->changes = &r->rid;
	r->change = replace_requester;
	r->rid.nr = r->process.pasid == IOMMU_NO_PASID || how == EX_REPLACE_KEEP ? 2 : 1;
	if (r->process.pasid == IOMMU_NO_PASID)
		return 0;
	ret = sim_ex_check_pasid(r->job.ex, r->process.pasid);
	if (ret)
		return ret;
	r->process.nr = 1;
	if (how == EX_REPLACE_KEEP)
		return 0;
	r->process.nr = 2;
	r->changes = &r->process;
	r->change = how == EX_REPLACE_DETACH ? replace_by_detach : replace_pasid;
	if (how == EX_REPLACE_DETACH || rviommu_core_replaces_pasids())
		return 0;
	dev_err(replace_dev(r),
		"the IOMMU core of this kernel replaces no PASID's domain: say detach, or keep\n");
	return -EOPNOTSUPP;
}

/**
 * sim_ex_replace() - replace a device's domain under DMA
 * @ex: the device
 * @times: how often
 * @threads: so many threads of it do DMA meanwhile
 * @pasid: with this PASID, too; IOMMU_NO_PASID: only without
 * @how: whose domain, if there is a PASID, and how
 *
 * Return: 0; -EOPNOTSUPP: the device has no PASIDs, or the core replaces no PASID's
 * domain; -EINVAL: the device has not this one; -EBUSY: it is in use; else as
 * rviommu_sim_exercise().
 */
int sim_ex_replace(struct exerciser *ex, unsigned int times, unsigned int threads, u32 pasid,
		   enum ex_replace_how how)
{
	struct replace r = {
		.job.ex = ex, .job.run = replace_thread, .job.nr = threads,
		.rid.seed = sim_ex_seed(ex, 2), .process.seed = sim_ex_seed(ex, 2),
		.process.pasid = pasid, .process.iova = REPLACE_IOVA,
	};
	int ret;

	ret = replace_choose(&r, how);
	if (ret)
		return ret;
	r.group = iommu_group_get(ex->dev);
	if (!r.group)
		return -ENODEV;
	ret = replace_make_requester(&r) ?: replace_make_process(&r);
	if (!ret)
		ret = replace_run(&r, times);
	replace_free(&r, &r.process);
	replace_free(&r, &r.rid);
	iommu_group_put(r.group);
	return ret;
}
