// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replacement: two domains have other memory at the same addresses, and take turns while the
 * device reads and writes there.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "exercise.h"
#include "replace.h"

/*
 * The buffer that is replaced: pages that the device reads, pages that it writes,
 * and a last one for whoever replaces.
 */
#define EX_REPLACE_SIZE	SZ_64K
#define EX_PAGES	(EX_REPLACE_SIZE / SZ_4K)
#define EX_READ_PAGES	(EX_PAGES / 2)
#define EX_WRITE_PAGES	(EX_PAGES - EX_READ_PAGES - 1)
#define EX_OWN_PAGE	(EX_PAGES - 1)

/* Bytes of one DMA of a thread during replacements. */
#define EX_PIECE	256

/* How long the threads may take for a DMA each, before that is an error. */
#define EX_PATIENCE	(30 * HZ)

/* A piece is all the first domain's or all the second's. */
static int ex_replace_read(struct ex_job *job, unsigned long turn, u8 *buf)
{
	size_t offset = turn * EX_PIECE % (EX_READ_PAGES * SZ_4K);
	struct rviommu_sim_dma read = {
		.op = RVIOMMU_SIM_READ, .iova = job->iova + offset, .length = EX_PIECE, .buf = buf,
	};
	int ret = sim_ex_dma(job->ex, &read);

	if (ret)
		return sim_ex_fail(job, ret, "read during replacement", &read);
	if (!sim_ex_holds(buf, EX_PIECE, job->seed, offset) &&
	    !sim_ex_holds(buf, EX_PIECE, job->seed + 1, offset))
		return sim_ex_fail(job, -EILSEQ, "read bytes that belong to neither domain", &read);
	return 0;
}

static int ex_replace_write(struct ex_job *job, unsigned long turn)
{
	size_t offset = (EX_READ_PAGES + turn % EX_WRITE_PAGES) * SZ_4K;
	struct rviommu_sim_dma write = {
		.op = RVIOMMU_SIM_FILL, .iova = job->iova + offset, .length = EX_PIECE,
		.operand = sim_ex_seed(job->ex, 1),
	};
	int ret = sim_ex_dma(job->ex, &write);

	return ret ? sim_ex_fail(job, ret, "write during replacement", &write) : 0;
}

static int ex_replace_thread(struct ex_job *job, unsigned int index)
{
	unsigned long turn = index;
	int ret = 0;
	u8 *buf;

	buf = kmalloc(EX_PIECE, GFP_KERNEL);
	if (!buf)
		return sim_ex_fail(job, -ENOMEM, "memory of a thread", NULL);
	while (!ret && !sim_ex_stopped(job)) {
		ret = ex_replace_read(job, turn, buf);
		if (!ret)
			ret = ex_replace_write(job, turn);
		atomic64_inc(&job->turns);
		turn++;
		cond_resched();
	}
	kfree(buf);
	return ret;
}

/* Wait until a turn has begun and ended since the call. */
static int ex_wait_turn(struct ex_job *job)
{
	s64 want = atomic64_read(&job->turns) + job->nr + 1;
	unsigned long end = jiffies + EX_PATIENCE;

	while (atomic64_read(&job->turns) < want) {
		if (READ_ONCE(job->ex->gone))
			return -ENODEV;
		if (READ_ONCE(job->stop))
			return READ_ONCE(job->ret) ?: -EINTR;
		if (signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, end))
			return sim_ex_fail(job, -ETIMEDOUT, "the threads do not get on", NULL);
		usleep_range(20, 100);
	}
	return 0;
}

/*
 * One replacement. Once it is over, nothing reads or writes the old memory, and
 * everything the new.
 */
static int ex_replace_once(struct ex_job *job, struct iommu_group *group,
			   struct iommu_domain *domain, u8 *mem[2], bool own)
{
	struct rviommu_sim_dma verify = {
		.op = RVIOMMU_SIM_VERIFY, .iova = job->iova, .length = SZ_4K,
		.operand = job->seed + own,
	};
	struct rviommu_sim_dma fill = {
		.op = RVIOMMU_SIM_FILL, .iova = job->iova + EX_OWN_PAGE * SZ_4K, .length = SZ_4K,
		.operand = sim_ex_seed(job->ex, 1),
	};
	size_t written = EX_READ_PAGES * SZ_4K;
	u8 *old = mem[!own] + written;
	int ret = 0;

	if (own)
		ret = iommu_attach_group(domain, group);
	else
		iommu_detach_group(domain, group);
	if (ret)
		return sim_ex_fail(job, ret, "iommu_attach_group", NULL);
	atomic64_inc(&job->ex->replacements);

	memset(old, 0, EX_REPLACE_SIZE - written);
	ret = sim_ex_dma(job->ex, &verify);
	if (ret)
		return sim_ex_fail(job, ret, "read after replacement", &verify);
	ret = sim_ex_dma(job->ex, &fill);
	if (ret)
		return sim_ex_fail(job, ret, "write after replacement", &fill);
	if (!sim_ex_holds(mem[own] + EX_OWN_PAGE * SZ_4K, SZ_4K, fill.operand, 0))
		return sim_ex_fail(job, -EILSEQ,
				   "what was written after a replacement is not there", &fill);
	ret = ex_wait_turn(job);
	if (ret)
		return ret;
	if (memchr_inv(old, 0, EX_REPLACE_SIZE - written))
		return sim_ex_fail(job, -EILSEQ, "a write reached memory that had been replaced",
				   NULL);
	return 0;
}

/*
 * The domain of the DMA API and one of ours take turns, by the core's public
 * interface, which never passes through a blocked state.
 */
static int ex_replace_run(struct ex_job *job, struct iommu_domain *domain, u8 *mem[2],
			  unsigned int times)
{
	struct iommu_group *group = iommu_group_get(job->ex->dev);
	unsigned int i;
	int ret;

	if (!group)
		return -ENODEV;
	ret = sim_ex_start(job);
	if (ret)
		goto put;
	for (i = 0; !ret && i < times; i++)
		ret = ex_replace_once(job, group, domain, mem, !(i & 1));
	WRITE_ONCE(job->stop, true);
	ret = sim_ex_finish(job) ?: ret;
	if (iommu_get_domain_for_dev(job->ex->dev) == domain)
		iommu_detach_group(domain, group);
put:
	iommu_group_put(group);
	return ret;
}

/**
 * sim_ex_replace() - replace a device's domain under DMA
 * @ex: the device
 * @times: how often
 * @threads: so many threads of it do DMA meanwhile
 *
 * Return: as rviommu_sim_exercise().
 */
int sim_ex_replace(struct exerciser *ex, unsigned int times, unsigned int threads)
{
	struct ex_job job = {
		.ex = ex, .run = ex_replace_thread, .nr = threads, .seed = sim_ex_seed(ex, 2),
	};
	struct device *dev = ex->dev;
	struct iommu_domain *domain;
	u8 *mem[2];
	int ret;

	mem[0] = dma_alloc_coherent(dev, EX_REPLACE_SIZE, &job.iova, GFP_KERNEL);
	mem[1] = alloc_pages_exact(EX_REPLACE_SIZE, GFP_KERNEL | __GFP_ZERO);
	domain = iommu_paging_domain_alloc(dev);
	ret = PTR_ERR_OR_ZERO(domain);
	if (!mem[0] || !mem[1])
		ret = -ENOMEM;
	if (ret)
		goto free;
	ret = iommu_map(domain, job.iova, virt_to_phys(mem[1]), EX_REPLACE_SIZE,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		goto free;
	atomic64_add(2, &ex->mappings);
	sim_ex_fill(mem[0], EX_READ_PAGES * SZ_4K, job.seed, 0);
	sim_ex_fill(mem[1], EX_READ_PAGES * SZ_4K, job.seed + 1, 0);
	ret = ex_replace_run(&job, domain, mem, times);
	iommu_unmap(domain, job.iova, EX_REPLACE_SIZE);
free:
	if (!IS_ERR(domain))
		iommu_domain_free(domain);
	if (mem[1])
		free_pages_exact(mem[1], EX_REPLACE_SIZE);
	if (mem[0])
		dma_free_coherent(dev, EX_REPLACE_SIZE, mem[0], job.iova);
	return ret;
}
