// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the commands of the exerciser have in common. Nothing here knows of the model: DMA is
 * rviommu_sim_dma().
 */
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/slab.h>

#include "exercise.h"

/* ----- Bytes ----- */

/**
 * sim_ex_fill() - fill memory with a pattern
 * @p: the memory
 * @n: bytes
 * @seed: which pattern
 * @offset: of the first byte in the pattern
 */
void sim_ex_fill(u8 *p, size_t n, u64 seed, size_t offset)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = rviommu_sim_pattern(seed, offset + i);
}

/**
 * sim_ex_holds() - does memory have a pattern?
 * @p: the memory
 * @n: bytes
 * @seed: which pattern
 * @offset: of the first byte in the pattern
 *
 * Return: true if each byte is of the pattern.
 */
bool sim_ex_holds(const u8 *p, size_t n, u64 seed, size_t offset)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (READ_ONCE(p[i]) != rviommu_sim_pattern(seed, offset + i))
			return false;
	return true;
}

/**
 * sim_ex_seed() - patterns that nobody has used
 * @ex: the device
 * @nr: how many
 *
 * Return: the first seed; the others follow.
 */
u64 sim_ex_seed(struct exerciser *ex, unsigned int nr)
{
	return atomic64_add_return(nr, &ex->seed) - nr;
}

/**
 * sim_ex_dma() - let the device work, and count it
 * @ex: the device
 * @dma: the job
 *
 * Return: as rviommu_sim_dma().
 */
int sim_ex_dma(struct exerciser *ex, struct rviommu_sim_dma *dma)
{
	int ret = rviommu_sim_dma(ex->dev, dma);

	atomic64_inc(&ex->dmas);
	atomic64_add(dma->done, &ex->bytes);
	if (ret == -EFAULT)
		atomic64_inc(&ex->refused);
	return ret;
}

/**
 * sim_ex_check_pasid() - can a device have a PASID?
 * @ex: the device
 * @pasid: the PASID
 *
 * The core says nothing of a device without PASIDs, because others of its group may have
 * some.
 *
 * Return: 0; -EOPNOTSUPP: it has none at all; -EINVAL: not this one. The log says so.
 */
int sim_ex_check_pasid(struct exerciser *ex, u32 pasid)
{
	u32 max = ex->dev->iommu ? ex->dev->iommu->max_pasids : 0;

	if (!max) {
		dev_err(ex->dev, "the device has no PASIDs\n");
		return -EOPNOTSUPP;
	}
	if (pasid >= max) {
		dev_err(ex->dev, "the device has PASIDs up to %u, and not %u\n", max - 1, pasid);
		return -EINVAL;
	}
	return 0;
}

/* ----- Threads ----- */

/**
 * sim_ex_fail() - a command does not succeed
 * @job: the command
 * @ret: an error; -EILSEQ: bytes are not what they should be
 * @what: went wrong
 * @dma: with this job, or NULL
 *
 * The first error of a command is its result, and is explained; that the device was
 * pulled out needs no explanation.
 *
 * Return: the error, -EIO for -EILSEQ.
 */
int sim_ex_fail(struct ex_job *job, int ret, const char *what, const struct rviommu_sim_dma *dma)
{
	struct exerciser *ex = job->ex;

	if (ret == -EILSEQ) {
		atomic64_inc(&ex->mismatches);
		ret = -EIO;
	}
	WRITE_ONCE(job->stop, true);
	if (cmpxchg(&job->ret, 0, ret) || ret == -ENODEV)
		return ret;
	if (dma)
		dev_err(ex->dev, "%s at %#llx + %#zx%s: error %d, cause %u\n", what, dma->iova,
			dma->done, dma->pv ? " with PASID" : "", ret, dma->cause);
	else
		dev_err(ex->dev, "%s: error %d\n", what, ret);
	return ret;
}

/**
 * sim_ex_stopped() - shall the threads of a command end?
 * @job: the command
 *
 * Return: true if they shall.
 */
bool sim_ex_stopped(const struct ex_job *job)
{
	return READ_ONCE(job->stop) || READ_ONCE(job->ex->gone);
}

static void ex_thread(struct work_struct *work)
{
	struct ex_thread *thread = container_of(work, struct ex_thread, work);
	struct ex_job *job = thread->job;

	job->run(job, thread->index);
	if (atomic_dec_and_test(&job->left))
		complete(&job->done);
}

/**
 * sim_ex_start() - let the threads of a command run
 * @job: the command
 *
 * Return: 0 or -ENOMEM.
 */
int sim_ex_start(struct ex_job *job)
{
	unsigned int i;

	job->threads = kcalloc(job->nr, sizeof(*job->threads), GFP_KERNEL);
	if (!job->threads)
		return -ENOMEM;
	init_completion(&job->done);
	atomic_set(&job->left, job->nr);
	for (i = 0; i < job->nr; i++) {
		job->threads[i].job = job;
		job->threads[i].index = i;
		INIT_WORK(&job->threads[i].work, ex_thread);
		queue_work(job->ex->wq, &job->threads[i].work);
	}
	return 0;
}

/**
 * sim_ex_finish() - wait for the threads of a command
 * @job: from sim_ex_start()
 *
 * They end by themselves, or by sim_ex_stopped(), or because of a signal to the caller.
 *
 * Return: 0, or the first error of the command.
 */
int sim_ex_finish(struct ex_job *job)
{
	unsigned int i;

	if (wait_for_completion_interruptible(&job->done)) {
		WRITE_ONCE(job->stop, true);
		cmpxchg(&job->ret, 0, -EINTR);
	}
	for (i = 0; i < job->nr; i++)
		flush_work(&job->threads[i].work);
	kfree(job->threads);
	if (READ_ONCE(job->ex->gone))
		cmpxchg(&job->ret, 0, -ENODEV);
	return job->ret;
}
