// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of a device behind a simulated IOMMU, whatever bus the device
 * is on: every access goes through the model and touches real memory.
 *
 * Engines are found by their device. So a job that comes after its device was
 * pulled out finds none, however long somebody holds on to the device.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include <kunit/visibility.h>
#include <rviommu/formats.h>

#include "engine.h"
#include "memory.h"
#include "sim.h"

/* The engine's own memory for one page of a copy. */
#define SIM_CHUNK	PAGE_SIZE

/**
 * rviommu_sim_pattern() - byte of a fill pattern
 * @seed: which pattern
 * @offset: which byte of it
 *
 * Bytes at neighbouring offsets and of neighbouring seeds differ, so that data
 * in the wrong place does not pass for right.
 *
 * Return: the byte.
 */
u8 rviommu_sim_pattern(u64 seed, size_t offset)
{
	u64 x = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x >> (8 * (offset & 7));
}
EXPORT_SYMBOL_GPL(rviommu_sim_pattern);

/**
 * struct sim_access - one part of a job that has its address
 * @p: where the bytes are
 * @held: the model's cookie
 * @use: the ATC's entry, or NULL
 * @flags: interrupts before
 * @denied: the IOMMU answered, and does not permit it: a device may ask for the page
 * @write: if so, what for
 * @iova: and where
 *
 * A fence waits for accesses in hand, and whoever waits for a fence may do so in
 * an interrupt or a timer (the flush queue of the DMA API). Hardware goes on
 * meanwhile; the thread that is our hardware would not, so it is not interrupted.
 */
struct sim_access {
	void *p;
	u8 held;
	struct sim_atc_entry *use;
	unsigned long flags;
	bool denied;
	bool write;
	u64 iova;
};

static void sim_unmap(struct sim_engine *engine, const struct sim_access *access)
{
	/* What was written is visible before a fence that waits for it completes. */
	smp_mb();
	rviommu_model_release(engine->sim->model, access->held);
	sim_atc_unuse(&engine->atc, access->use);
	local_irq_restore(access->flags);
}

/*
 * Ask the ATC and the model for the first part of an access. Returns how many bytes
 * in one page of memory it is, held until sim_unmap(), or -EFAULT.
 */
static ssize_t sim_map(struct sim_engine *engine, struct rviommu_sim_dma *dma, u64 iova,
		       size_t left, bool write, struct sim_access *access)
{
	struct rviommu_model_request req;
	struct rviommu_model_response rsp;
	int ret;

	access->denied = false;
	local_irq_save(access->flags);
	do {
		req = (struct rviommu_model_request) {
			.kind = RVIOMMU_MODEL_UNTRANSLATED,
			.pv = dma->pv,
			.priv = dma->priv,
			.exec = dma->exec && !write,
			.write = write,
			.amo = dma->op == RVIOMMU_SIM_FETCH_ADD,
			.hold = true,
			.device_id = engine->id,
			.process_id = dma->pasid,
			.iova = iova,
			.length = min_t(size_t, left, PAGE_SIZE - offset_in_page(iova)),
		};
		ret = sim_atc_use(&engine->atc, &req, &access->use, &dma->cause);
		if (ret) {
			access->denied = ret == -EACCES;
			goto refused;
		}
		if (!rviommu_model_translate(engine->sim->model, &req, &rsp))
			break;
		sim_atc_unuse(&engine->atc, access->use);
		dma->cause = rsp.cause;
		/* If ATS was switched off meanwhile, it is an untranslated request now. */
		if (!access->use || sim_atc_is_on(&engine->atc))
			goto refused;
	} while (true);

	dma->cause = 0;
	access->held = rsp.held;
	/* Nothing lies there, or an interrupt file that a copy cannot write. */
	if (rsp.mrif || !sim_memory(rsp.spa, rsp.length)) {
		sim_unmap(engine, access);
		return -EFAULT;
	}
	access->p = phys_to_virt(rsp.spa);
	return rsp.length;

refused:
	local_irq_restore(access->flags);
	access->write = write;
	access->iova = iova;
	return -EFAULT;
}

static int sim_verify(const u8 *p, size_t n, u64 seed, size_t offset, size_t *good)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (READ_ONCE(p[i]) != rviommu_sim_pattern(seed, offset + i))
			break;
	*good = i;
	return i < n ? -EILSEQ : 0;
}

/* Whole pages are what is copied most: of a known length that is twice as fast. */
static void sim_copy(void *to, const void *from, size_t n)
{
	if (n == PAGE_SIZE)
		memcpy(to, from, PAGE_SIZE);
	else
		memcpy(to, from, n);
}

/* What an engine does with @n bytes at @p, the job's bytes from @dma->done on. */
static int sim_touch(struct rviommu_sim_dma *dma, void *p, size_t n, void *copy, size_t *good)
{
	size_t i;

	*good = n;
	switch (dma->op) {
	case RVIOMMU_SIM_READ:
		sim_copy(dma->buf + dma->done, p, n);
		return 0;
	case RVIOMMU_SIM_WRITE:
		sim_copy(p, dma->buf + dma->done, n);
		return 0;
	case RVIOMMU_SIM_COPY:
		sim_copy(p, copy, n);
		return 0;
	case RVIOMMU_SIM_FILL:
		for (i = 0; i < n; i++)
			((u8 *)p)[i] = rviommu_sim_pattern(dma->operand, dma->done + i);
		return 0;
	case RVIOMMU_SIM_VERIFY:
		return sim_verify(p, n, dma->operand, dma->done, good);
	case RVIOMMU_SIM_FETCH_ADD:
		for (i = 0; i < n / sizeof(u64); i++)
			*(u64 *)copy = atomic64_fetch_add(dma->operand, (atomic64_t *)p + i);
		return 0;
	case RVIOMMU_SIM_TRANSLATE:
		break;
	}
	return -EINVAL;
}

/* The bytes of the next part of a copy, into the engine's memory. */
static ssize_t sim_fetch(struct sim_engine *engine, struct rviommu_sim_dma *dma, void *copy,
			 struct sim_access *access)
{
	ssize_t n;

	n = sim_map(engine, dma, dma->src_iova + dma->done, dma->length - dma->done, false,
		    access);
	if (n > 0) {
		sim_copy(copy, access->p, n);
		sim_unmap(engine, access);
	}
	return n;
}

/* Ask for a translation, and keep it in the ATC; *@grant is what it permits. */
static int sim_translate(struct sim_engine *engine, struct rviommu_sim_dma *dma, u64 *grant,
			 struct sim_access *access)
{
	bool write = dma->operand & RVIOMMU_SIM_TRANSLATE_FOR_WRITE;
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.pv = dma->pv,
		.priv = dma->priv,
		.exec = dma->exec,
		.write = write,
		.device_id = engine->id,
		.process_id = dma->pasid,
		.iova = dma->iova,
		.length = 1,
	};
	int ret;

	access->write = write;
	access->iova = dma->iova;
	/* Who answers for the device meanwhile waits for the entry, see struct sim_access. */
	local_irq_save(access->flags);
	ret = sim_atc_is_on(&engine->atc) ?
	      sim_atc_use(&engine->atc, &req, &access->use, &dma->cause) : -EPERM;
	if (!ret) {
		*grant = sim_atc_grant(access->use);
		sim_atc_unuse(&engine->atc, access->use);
		dma->cause = 0;
		dma->done = dma->length;
	}
	local_irq_restore(access->flags);
	access->denied = ret == -EACCES;
	return ret == -EACCES ? -EFAULT : ret;
}

/* May the device do this, as software has set it up? */
static int sim_allowed(const struct sim_engine *engine, const struct rviommu_sim_dma *dma,
		       unsigned int resets)
{
	unsigned long enabled = READ_ONCE(engine->enabled);
	unsigned long need = SIM_ENGINE_MASTER;

	if (READ_ONCE(engine->gone))
		return -ENODEV;
	if (READ_ONCE(engine->resets) != resets)
		return -EIO;
	if (dma->pv) {
		need |= SIM_ENGINE_PASID;
		need |= dma->priv ? SIM_ENGINE_PRIV : 0;
		need |= dma->exec ? SIM_ENGINE_EXEC : 0;
	}
	return need & ~enabled ? -EPERM : 0;
}

/*
 * The next part of a job, of whatever size; @old is what FETCH_ADD found, or TRANSLATE was
 * granted. If it is refused, @access says what was not permitted.
 */
static int sim_dma_part(struct sim_engine *engine, struct rviommu_sim_dma *dma, void *copy,
			u64 *old, struct sim_access *access)
{
	bool write = dma->op != RVIOMMU_SIM_READ && dma->op != RVIOMMU_SIM_VERIFY;
	size_t left = dma->length - dma->done, good;
	void (*in_flight)(struct device *dev);
	ssize_t n;
	int ret;

	if (dma->op == RVIOMMU_SIM_TRANSLATE)
		return sim_translate(engine, dma, old, access);
	if (dma->op == RVIOMMU_SIM_COPY) {
		n = sim_fetch(engine, dma, copy, access);
		if (n < 0)
			return n;
		left = n;
	}
	n = sim_map(engine, dma, dma->iova + dma->done, left, write, access);
	if (n < 0)
		return n;
	in_flight = READ_ONCE(engine->in_flight);
	if (in_flight)
		in_flight(engine->dev);
	ret = sim_touch(dma, access->p, n, dma->op == RVIOMMU_SIM_COPY ? copy : old, &good);
	sim_unmap(engine, access);
	dma->done += good;
	return ret;
}

static int sim_dma_ask(struct sim_engine *engine, const struct rviommu_sim_dma *dma,
		       struct sim_pri_job *job, const struct sim_access *access)
{
	struct sim_pri_fault fault = {
		.iova = access->iova,
		.left = dma->length - dma->done,
		.offset = dma->done,
		.read = !access->write || dma->op == RVIOMMU_SIM_FETCH_ADD,
		.write = access->write,
		.exec = dma->exec && !access->write,
		.priv = dma->priv,
	};

	return sim_pri_send(&engine->pri, job, &fault);
}

/* One step of a job: move bytes, or ask for what is missing; then it returns -EAGAIN. */
static int sim_dma_step(struct sim_engine *engine, struct rviommu_sim_dma *dma,
			struct sim_pri_job *job, void *copy, u64 *old)
{
	struct sim_access access;
	int ret;

	ret = sim_dma_part(engine, dma, copy, old, &access);
	if (ret != -EFAULT || !access.denied)
		return ret;
	return sim_dma_ask(engine, dma, job, &access);
}

static int sim_dma_run(struct sim_engine *engine, struct rviommu_sim_dma *dma, void *copy)
{
	unsigned int resets = READ_ONCE(engine->resets);
	u64 old = dma->operand;
	struct sim_pri_job job;
	int ret = 0;

	sim_pri_begin(&engine->pri, &job, engine->dev, dma->pv, dma->pasid);
	while (dma->done < dma->length && !ret) {
		/* A reset waits until no bytes move any more, and no request is on its way. */
		if (engine->can_reset)
			down_read(&engine->moving);
		ret = sim_allowed(engine, dma, resets);
		if (!ret && sim_pri_stopped(&job))
			ret = -ECANCELED;
		if (!ret)
			ret = sim_dma_step(engine, dma, &job, copy, &old);
		if (engine->can_reset)
			up_read(&engine->moving);
		if (ret == -EAGAIN)
			ret = sim_pri_wait(&engine->pri, &job);
	}
	sim_pri_end(&engine->pri, &job);
	dma->page_requests = job.asked;
	dma->response = job.response;
	if (!ret && (dma->op == RVIOMMU_SIM_FETCH_ADD || dma->op == RVIOMMU_SIM_TRANSLATE))
		dma->operand = old;
	return ret;
}

/* ----- Jobs ----- */

/* All engines, by device. The lock covers the table and taking references from it. */
static DEFINE_HASHTABLE(sim_engines, 6);
static DEFINE_SPINLOCK(sim_engines_lock);

/**
 * sim_engine_add() - let a device have a DMA engine
 * @engine: part of what describes the device; its memory belongs to the caller
 *          and has to stay until sim_engine_del() returned
 * @sim: behind which instance; likewise
 * @dev: the device that rviommu_sim_dma() will be called with
 * @id: its device_id
 */
void sim_engine_add(struct sim_engine *engine, struct rviommu_sim *sim, struct device *dev,
		    u32 id)
{
	engine->sim = sim;
	engine->dev = dev;
	engine->id = id;
	engine->gone = false;
	refcount_set(&engine->users, 1);
	init_completion(&engine->idle);
	sim_pri_start(&engine->pri);
	spin_lock(&sim_engines_lock);
	hash_add(sim_engines, &engine->node, (unsigned long)dev);
	spin_unlock(&sim_engines_lock);
}

/**
 * sim_engine_del() - no more DMA
 * @engine: from sim_engine_add()
 *
 * Jobs end with -ENODEV where they are; they are waited for. When this returns,
 * nobody touches the engine, its instance or memory for it any more. May sleep.
 */
void sim_engine_del(struct sim_engine *engine)
{
	/* First: where nobody finds it any more, no job goes on. */
	WRITE_ONCE(engine->gone, true);
	spin_lock(&sim_engines_lock);
	hash_del(&engine->node);
	spin_unlock(&sim_engines_lock);
	sim_pri_halt(&engine->pri);
	sim_engine_put(engine);
	wait_for_completion(&engine->idle);
}

/**
 * sim_engine_get() - the engine of a device
 * @dev: the device, to which the caller has a reference; it may be gone
 *
 * Return: the engine, which stays until sim_engine_put(), or NULL: the device has
 * none (any more).
 */
struct sim_engine *sim_engine_get(struct device *dev)
{
	struct sim_engine *engine, *found = NULL;

	spin_lock(&sim_engines_lock);
	hash_for_each_possible(sim_engines, engine, node, (unsigned long)dev) {
		if (engine->dev != dev)
			continue;
		refcount_inc(&engine->users);
		found = engine;
		break;
	}
	spin_unlock(&sim_engines_lock);
	return found;
}

/**
 * sim_engine_find() - the engine of a device_id
 * @sim: the instance
 * @id: device_id
 *
 * Return: as sim_engine_get().
 */
struct sim_engine *sim_engine_find(struct rviommu_sim *sim, u32 id)
{
	struct sim_engine *engine, *found = NULL;
	int bucket;

	spin_lock(&sim_engines_lock);
	hash_for_each(sim_engines, bucket, engine, node) {
		if (engine->sim != sim || engine->id != id)
			continue;
		refcount_inc(&engine->users);
		found = engine;
		break;
	}
	spin_unlock(&sim_engines_lock);
	return found;
}

/**
 * sim_engine_hold() - the engine of a device that is part of the same thing
 * @engine: was added once, and is not being added
 *
 * Return: true, and the engine stays until sim_engine_put(); false: the device is gone.
 */
bool sim_engine_hold(struct sim_engine *engine)
{
	return refcount_inc_not_zero(&engine->users);
}

/**
 * sim_engine_put() - done with an engine
 * @engine: from sim_engine_get() or sim_engine_hold()
 */
void sim_engine_put(struct sim_engine *engine)
{
	if (refcount_dec_and_test(&engine->users))
		complete(&engine->idle);
}

/**
 * sim_engine_run() - a job
 * @engine: held
 * @dma: the job
 *
 * Return: as rviommu_sim_dma().
 */
int sim_engine_run(struct sim_engine *engine, struct rviommu_sim_dma *dma)
{
	void *copy = NULL;
	int ret;

	dma->done = 0;
	dma->cause = 0;
	dma->page_requests = 0;
	dma->response = 0;
	if (dma->op == RVIOMMU_SIM_FETCH_ADD &&
	    !IS_ALIGNED(dma->iova | dma->length, sizeof(u64)))
		return -EINVAL;
	/* Wider than the device can put into a request */
	if (dma->pv && dma->pasid >> engine->sim->config.pasid_bits)
		return -EINVAL;
	if (dma->op == RVIOMMU_SIM_COPY) {
		copy = kmalloc(SIM_CHUNK, GFP_KERNEL);
		if (!copy)
			return -ENOMEM;
	}
	ret = sim_dma_run(engine, dma, copy);
	kfree(copy);
	return ret;
}

/**
 * sim_engine_post() - a message of the device: a write of four bytes that nobody waits for
 * @engine: added or not; its instance is there
 * @address: where to, untranslated; a multiple of 4
 * @data: what; little-endian
 *
 * It goes through the IOMMU as any other write, and leads to memory, to an interrupt file in
 * memory, or to a fault that is reported. Interrupts are off.
 */
void sim_engine_post(struct sim_engine *engine, u64 address, u32 data)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.write = true,
		.hold = true,
		.device_id = engine->id,
		.iova = address,
		.length = sizeof(data),
	};
	struct rviommu_model *model = engine->sim->model;
	struct rviommu_model_response rsp;

	if (rviommu_model_translate(model, &req, &rsp))
		return;
	if (rsp.mrif)
		rviommu_model_mrif_write(model, &req, &rsp, data);
	else if (sim_memory(rsp.spa, sizeof(data)))
		WRITE_ONCE(*(__le32 *)phys_to_virt(rsp.spa), cpu_to_le32(data));
	/* As in sim_unmap(). */
	smp_mb();
	rviommu_model_release(model, rsp.held);
}

/**
 * rviommu_sim_set_in_flight() - for tests: do something in the middle of an access
 * @dev: the device
 * @fn: called when an access has its address, before its bytes move; interrupts are
 *      off. NULL: nothing. Whoever takes it away waits for DMA that is under way.
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_set_in_flight(struct device *dev, void (*fn)(struct device *dev))
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	WRITE_ONCE(engine->in_flight, fn);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_sim_set_in_flight);

/**
 * rviommu_sim_set_in_request() - for tests: do something in the middle of a Page Request Group
 * @dev: the device
 * @fn: called between two requests of a group; it may sleep. NULL: nothing. Whoever takes it
 *      away waits for DMA that is under way.
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_set_in_request(struct device *dev, void (*fn)(struct device *dev))
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	WRITE_ONCE(engine->pri.in_request, fn);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_sim_set_in_request);

/**
 * rviommu_sim_dma() - let a device move bytes
 * @dev: an endpoint, to which the caller has a reference; it may be gone
 * @dma: the job; its last members say how far it came
 *
 * Any number of threads may use one device. May sleep.
 *
 * Return: 0; -EFAULT: the IOMMU refused an access (@dma->cause), or nothing is
 * where it led (cause 0); -EILSEQ: VERIFY found a wrong byte after @dma->done;
 * -EINVAL; -ENOMEM; -ENODEV: the device is gone, since @dma->done if that is not 0;
 * -EPERM: a PCI function's bus mastering is off, or its PASIDs or their execute or
 * privileged requests, or ATS for TRANSLATE; -EIO: the function was reset; -ECANCELED: the use
 * of its PASID was stopped; -ETIMEDOUT: it asked for pages, and could not get on for longer than
 * rviommu_sim_config.pri_timeout.
 */
int rviommu_sim_dma(struct device *dev, struct rviommu_sim_dma *dma)
{
	struct sim_engine *engine = sim_engine_get(dev);
	int ret;

	if (!engine) {
		dma->done = 0;
		dma->cause = 0;
		return -ENODEV;
	}
	ret = sim_engine_run(engine, dma);
	sim_engine_put(engine);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_dma);
