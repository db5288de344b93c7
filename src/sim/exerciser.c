// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for simulated devices, for user space to try an IOMMU with: it does
 * what drivers do (map, let the device work, unmap) and compares every byte.
 *
 * It binds where a device's driver_override asks for it: to the devices of an
 * instance with struct rviommu_sim_config.exerciser, and wherever the user wants
 * it. It takes commands in debugfs, one at a time per device. Nothing here knows of
 * the model: mappings are the DMA API's and the IOMMU core's, DMA is
 * rviommu_sim_dma().
 */
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "demand.h"
#include "endpoint.h"
#include "engine.h"
#include "exercise.h"
#include "exerciser.h"
#include "replace.h"
#include "sim.h"
#include "text.h"

#define EX_MAX_BYTES	SZ_4M
#define EX_MAX_THREADS	64
#define EX_MAX_ROUNDS	1000000
#define EX_MAX_DEMAND	(EX_MAX_BYTES / SZ_4K)
#define EX_MAX_PASID	(BIT(20) - 1)

/* ----- copy ----- */

/**
 * struct ex_buffers - what a thread of copy works on
 * @src: memory that is contiguous, mapped with dma_map_single()
 * @src_dma: its address for the device
 * @pages: single pages, mapped with dma_map_sgtable()
 * @nr: how many
 * @sgt: the same
 * @coherent: memory of dma_alloc_coherent()
 * @coherent_dma: its address for the device
 */
struct ex_buffers {
	void *src;
	dma_addr_t src_dma;
	struct page **pages;
	unsigned int nr;
	struct sg_table sgt;
	void *coherent;
	dma_addr_t coherent_dma;
};

static void ex_free_buffers(struct ex_job *job, struct ex_buffers *b)
{
	unsigned int i;

	if (b->coherent)
		dma_free_coherent(job->ex->dev, job->bytes, b->coherent, b->coherent_dma);
	sg_free_table(&b->sgt);
	for (i = 0; b->pages && i < b->nr; i++)
		if (b->pages[i])
			__free_page(b->pages[i]);
	kfree(b->pages);
	if (b->src)
		free_pages_exact(b->src, job->bytes);
}

static int ex_alloc_buffers(struct ex_job *job, struct ex_buffers *b)
{
	unsigned int i;
	int ret;

	b->nr = DIV_ROUND_UP(job->bytes, PAGE_SIZE);
	b->src = alloc_pages_exact(job->bytes, GFP_KERNEL);
	b->pages = kcalloc(b->nr, sizeof(*b->pages), GFP_KERNEL);
	if (!b->src || !b->pages)
		return -ENOMEM;
	for (i = 0; i < b->nr; i++) {
		b->pages[i] = alloc_page(GFP_KERNEL);
		if (!b->pages[i])
			return -ENOMEM;
	}
	ret = sg_alloc_table_from_pages(&b->sgt, b->pages, b->nr, 0, job->bytes, GFP_KERNEL);
	if (ret)
		return ret;
	b->coherent = dma_alloc_coherent(job->ex->dev, job->bytes, &b->coherent_dma, GFP_KERNEL);
	if (!b->coherent)
		return -ENOMEM;
	atomic64_inc(&job->ex->mappings);
	return 0;
}

/* What the device does: reads all of @src, writes all of the pages and of @coherent. */
static int ex_copy_dma(struct ex_job *job, struct ex_buffers *b, u64 seed)
{
	struct rviommu_sim_dma fill = {
		.op = RVIOMMU_SIM_FILL, .iova = b->coherent_dma, .length = job->bytes,
		.operand = seed + 1,
	};
	struct rviommu_sim_dma verify = {
		.op = RVIOMMU_SIM_VERIFY, .iova = b->src_dma, .length = job->bytes,
		.operand = seed,
	};
	struct exerciser *ex = job->ex;
	struct scatterlist *sg;
	unsigned int i;
	u64 from = b->src_dma;
	int ret;

	for_each_sgtable_dma_sg(&b->sgt, sg, i) {
		struct rviommu_sim_dma copy = {
			.op = RVIOMMU_SIM_COPY, .src_iova = from, .iova = sg_dma_address(sg),
			.length = sg_dma_len(sg),
		};

		ret = sim_ex_dma(ex, &copy);
		if (ret)
			return sim_ex_fail(job, ret, "copy", &copy);
		from += sg_dma_len(sg);
	}
	ret = sim_ex_dma(ex, &fill);
	if (ret)
		return sim_ex_fail(job, ret, "write to coherent memory", &fill);
	ret = sim_ex_dma(ex, &verify);
	if (!ret)
		return 0;
	return sim_ex_fail(job, ret, "the device reads other bytes than written", &verify);
}

static int ex_map_src(struct ex_job *job, struct ex_buffers *b)
{
	b->src_dma = dma_map_single(job->ex->dev, b->src, job->bytes, DMA_TO_DEVICE);
	if (dma_mapping_error(job->ex->dev, b->src_dma))
		return sim_ex_fail(job, -ENOMEM, "dma_map_single", NULL);
	atomic64_inc(&job->ex->mappings);
	return 0;
}

static void ex_unmap_src(struct ex_job *job, struct ex_buffers *b)
{
	dma_unmap_single(job->ex->dev, b->src_dma, job->bytes, DMA_TO_DEVICE);
}

static int ex_map_pages(struct ex_job *job, struct ex_buffers *b)
{
	int ret = dma_map_sgtable(job->ex->dev, &b->sgt, DMA_FROM_DEVICE, 0);

	if (ret)
		return sim_ex_fail(job, ret, "dma_map_sgtable", NULL);
	atomic64_inc(&job->ex->mappings);
	return 0;
}

static void ex_unmap_pages(struct ex_job *job, struct ex_buffers *b)
{
	dma_unmap_sgtable(job->ex->dev, &b->sgt, DMA_FROM_DEVICE, 0);
}

/*
 * Addresses that were freed last are used first. So the two mappings are made in
 * either order in turns: each gets the other's addresses of the round before, and a
 * translation that should be forgotten leads to the wrong memory.
 */
static int ex_copy_mapped(struct ex_job *job, struct ex_buffers *b, u64 seed, bool pages_first)
{
	int (*map[2])(struct ex_job *job, struct ex_buffers *b) = { ex_map_src, ex_map_pages };
	void (*unmap[2])(struct ex_job *job, struct ex_buffers *b) = {
		ex_unmap_src, ex_unmap_pages,
	};
	int ret;

	ret = map[pages_first](job, b);
	if (ret)
		return ret;
	ret = map[!pages_first](job, b);
	if (!ret) {
		ret = ex_copy_dma(job, b, seed);
		unmap[!pages_first](job, b);
	}
	unmap[pages_first](job, b);
	return ret;
}

static int ex_copy_round(struct ex_job *job, struct ex_buffers *b, bool pages_first)
{
	u64 seed = sim_ex_seed(job->ex, 2);
	unsigned int i;
	int ret;

	sim_ex_fill(b->src, job->bytes, seed, 0);
	for (i = 0; i < b->nr; i++)
		clear_page(page_address(b->pages[i]));
	ret = ex_copy_mapped(job, b, seed, pages_first);
	if (ret)
		return ret;

	for (i = 0; i < b->nr; i++) {
		size_t offset = (size_t)i * PAGE_SIZE;

		if (!sim_ex_holds(page_address(b->pages[i]), min(job->bytes - offset, PAGE_SIZE),
				  seed, offset))
			return sim_ex_fail(job, -EILSEQ, "the device copied other bytes", NULL);
	}
	if (!sim_ex_holds(b->coherent, job->bytes, seed + 1, 0))
		return sim_ex_fail(job, -EILSEQ, "coherent memory has other bytes", NULL);
	return 0;
}

static int ex_copy_thread(struct ex_job *job, unsigned int index)
{
	struct ex_buffers b = {};
	unsigned int i;
	int ret;

	ret = ex_alloc_buffers(job, &b);
	if (ret)
		sim_ex_fail(job, ret, "buffers", NULL);
	for (i = 0; !ret && i < job->rounds && !sim_ex_stopped(job); i++) {
		ret = ex_copy_round(job, &b, i & 1);
		cond_resched();
	}
	ex_free_buffers(job, &b);
	return ret;
}

static int ex_copy(struct exerciser *ex, size_t bytes, unsigned int threads, unsigned int rounds)
{
	struct ex_job job = {
		.ex = ex, .run = ex_copy_thread, .nr = threads, .bytes = bytes, .rounds = rounds,
	};
	int ret;

	ret = sim_ex_start(&job);
	return ret ?: sim_ex_finish(&job);
}

/* ----- touch ----- */

/* A refusal is no error, it may be what was asked for. */
static int ex_touch(struct exerciser *ex, u64 iova, bool write)
{
	u64 word;
	struct rviommu_sim_dma dma = {
		/* Adding 0 is a write that changes nothing, wherever it goes. */
		.op = write ? RVIOMMU_SIM_FETCH_ADD : RVIOMMU_SIM_READ,
		.iova = iova, .length = sizeof(word), .buf = &word,
	};
	int ret;

	if (!IS_ALIGNED(iova, sizeof(word)))
		return -EINVAL;
	ret = sim_ex_dma(ex, &dma);
	if (ret && ret != -EFAULT)
		return ret;
	guard(mutex)(&ex->text_lock);
	ex->touched = iova;
	ex->touched_write = write;
	ex->touched_blocked = ret;
	ex->touched_cause = dma.cause;
	ex->touched_any = true;
	return 0;
}

/* ----- debugfs ----- */

static int ex_number(struct exerciser *ex, const char *what, const char *text, u64 max, u64 *value)
{
	return sim_number(dev_name(ex->dev), what, text, 1, max, value);
}

/* copy BYTES THREADS ROUNDS */
static int ex_copy_command(struct exerciser *ex, const char **word)
{
	u64 bytes, threads, rounds;

	if (ex_number(ex, "BYTES", word[0], EX_MAX_BYTES, &bytes) ||
	    ex_number(ex, "THREADS", word[1], EX_MAX_THREADS, &threads) ||
	    ex_number(ex, "ROUNDS", word[2], EX_MAX_ROUNDS, &rounds))
		return -EINVAL;
	return ex_copy(ex, bytes, threads, rounds);
}

/* replace TIMES [THREADS [PASID [detach|keep]]] */
static int ex_replace_command(struct exerciser *ex, const char **word, unsigned int nr)
{
	u64 times, threads = 2, pasid = IOMMU_NO_PASID;
	enum ex_replace_how how = EX_REPLACE;

	if (ex_number(ex, "TIMES", word[0], EX_MAX_ROUNDS, &times) ||
	    (nr > 1 && ex_number(ex, "THREADS", word[1], EX_MAX_THREADS, &threads)) ||
	    (nr > 2 && ex_number(ex, "PASID", word[2], EX_MAX_PASID, &pasid)))
		return -EINVAL;
	if (nr > 3 && !strcmp(word[3], "detach"))
		how = EX_REPLACE_DETACH;
	else if (nr > 3 && !strcmp(word[3], "keep"))
		how = EX_REPLACE_KEEP;
	else if (nr > 3)
		return -EINVAL;
	return sim_ex_replace(ex, times, threads, pasid, how);
}

/* touch IOVA [read|write] */
static int ex_touch_command(struct exerciser *ex, const char **word, unsigned int nr)
{
	bool write = nr > 1 && !strcmp(word[1], "write");
	u64 iova;

	if ((nr > 1 && !write && strcmp(word[1], "read")) ||
	    sim_number(dev_name(ex->dev), "IOVA", word[0], 0, U64_MAX, &iova))
		return -EINVAL;
	return ex_touch(ex, iova, write);
}

/* demand PAGES THREADS [PASID] */
static int ex_demand_command(struct exerciser *ex, const char **word, unsigned int nr)
{
	u64 pages, threads, pasid = IOMMU_NO_PASID;

	if (ex_number(ex, "PAGES", word[0], EX_MAX_DEMAND, &pages) ||
	    ex_number(ex, "THREADS", word[1], EX_MAX_THREADS, &threads) ||
	    (nr > 2 && ex_number(ex, "PASID", word[2], EX_MAX_PASID, &pasid)))
		return -EINVAL;
	return sim_ex_demand(ex, pages, threads, pasid);
}

static int ex_command(struct exerciser *ex, const char *command)
{
	char text[sizeof(ex->command)];
	const char *word[5];
	unsigned int nr;

	if (strscpy(text, command) < 0)
		return -EINVAL;
	nr = sim_words(text, word, ARRAY_SIZE(word));
	if (nr == 4 && !strcmp(word[0], "copy"))
		return ex_copy_command(ex, word + 1);
	if (nr >= 2 && nr <= 5 && !strcmp(word[0], "replace"))
		return ex_replace_command(ex, word + 1, nr - 1);
	if ((nr == 2 || nr == 3) && !strcmp(word[0], "touch"))
		return ex_touch_command(ex, word + 1, nr - 1);
	if ((nr == 3 || nr == 4) && !strcmp(word[0], "demand"))
		return ex_demand_command(ex, word + 1, nr - 1);
	return -EINVAL;
}

static int ex_exercise(struct exerciser *ex, const char *command)
{
	int ret;

	ret = mutex_lock_interruptible(&ex->lock);
	if (ret)
		return ret;
	if (READ_ONCE(ex->gone)) {
		mutex_unlock(&ex->lock);
		return -ENODEV;
	}
	scoped_guard(mutex, &ex->text_lock) {
		strscpy(ex->command, command, sizeof(ex->command));
		ex->running = true;
	}
	ret = ex_command(ex, command);
	scoped_guard(mutex, &ex->text_lock) {
		ex->running = false;
		ex->status = ret;
	}
	mutex_unlock(&ex->lock);
	return ret;
}

static ssize_t ex_run_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct exerciser *ex = file->private_data;
	char text[sizeof(ex->command)] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	return ex_exercise(ex, strim(text)) ?: count;
}

static const struct file_operations ex_run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = ex_run_write,
};

static int ex_results_show(struct seq_file *s, void *unused)
{
	struct exerciser *ex = s->private;

	guard(mutex)(&ex->text_lock);
	if (ex->command[0]) {
		seq_printf(s, "command %s\n", ex->command);
		if (ex->running)
			seq_puts(s, "status running\n");
		else
			seq_printf(s, "status %d\n", ex->status);
	}
	seq_printf(s, "bytes %lld\n", atomic64_read(&ex->bytes));
	seq_printf(s, "dmas %lld\n", atomic64_read(&ex->dmas));
	seq_printf(s, "refused %lld\n", atomic64_read(&ex->refused));
	seq_printf(s, "mappings %lld\n", atomic64_read(&ex->mappings));
	seq_printf(s, "replacements %lld\n", atomic64_read(&ex->replacements));
	seq_printf(s, "mismatches %lld\n", atomic64_read(&ex->mismatches));
	if (ex->touched_any) {
		seq_printf(s, "touched %#llx %s\n", ex->touched,
			   ex->touched_write ? "write" : "read");
		seq_printf(s, "touched_blocked %s\n", ex->touched_blocked ? "yes" : "no");
		seq_printf(s, "touched_cause %u\n", ex->touched_cause);
	}
	if (ex->demand.groups) {
		seq_printf(s, "demand_groups %llu\n", ex->demand.groups);
		seq_printf(s, "demand_requests %llu\n", ex->demand.requests);
		seq_printf(s, "demand_pages %llu\n", ex->demand.pages);
		seq_printf(s, "demand_ns %llu\n", ex->demand.ns);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ex_results);

/* ----- Driver ----- */

/**
 * sim_exerciser_probe() - take a device
 * @dev: a device on any bus, whose drivers are all called SIM_EXERCISER; it can do DMA
 *
 * Return: 0; -ENODEV: it is somebody else's, told to use this driver; -ENOMEM.
 */
int sim_exerciser_probe(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);
	struct dentry *parent;
	struct exerciser *ex;

	if (!engine)
		return -ENODEV;
	/* Stays until the device is gone. */
	parent = engine->sim->debugfs;
	sim_engine_put(engine);

	ex = kzalloc(sizeof(*ex), GFP_KERNEL);
	if (!ex)
		return -ENOMEM;
	ex->dev = dev;
	ex->wq = alloc_workqueue("rviommu_sim", WQ_UNBOUND, 0);
	if (!ex->wq) {
		kfree(ex);
		return -ENOMEM;
	}
	refcount_set(&ex->users, 1);
	init_completion(&ex->idle);
	mutex_init(&ex->lock);
	mutex_init(&ex->text_lock);
	/* The device can do what the IOMMU can: any address, any length. */
	dma_set_max_seg_size(dev, UINT_MAX);
	dev_set_drvdata(dev, ex);
	ex->dir = debugfs_create_dir(dev_name(dev), parent);
	debugfs_create_file("run", 0200, ex->dir, ex, &ex_run_fops);
	debugfs_create_file("results", 0444, ex->dir, ex, &ex_results_fops);
	return 0;
}

static void ex_put(struct exerciser *ex)
{
	if (refcount_dec_and_test(&ex->users))
		complete(&ex->idle);
}

/**
 * sim_exerciser_remove() - let go of a device
 * @dev: as of sim_exerciser_probe()
 *
 * Commands end after the round that they are in, and those that wait do not begin. A DMA that
 * waits for a page does so no longer: whoever should respond may never.
 */
void sim_exerciser_remove(struct device *dev)
{
	struct exerciser *ex = dev_get_drvdata(dev);
	struct sim_engine *engine = sim_engine_get(dev);

	WRITE_ONCE(ex->gone, true);
	if (engine)
		sim_pri_halt(&engine->pri);
	debugfs_remove_recursive(ex->dir);
	ex_put(ex);
	wait_for_completion(&ex->idle);
	if (engine) {
		sim_pri_start(&engine->pri);
		sim_engine_put(engine);
	}
	destroy_workqueue(ex->wq);
	mutex_destroy(&ex->lock);
	mutex_destroy(&ex->text_lock);
	kfree(ex);
}

static int ex_probe(struct platform_device *pdev)
{
	return sim_exerciser_probe(&pdev->dev);
}

static void ex_remove(struct platform_device *pdev)
{
	sim_exerciser_remove(&pdev->dev);
}

static struct platform_driver ex_driver = {
	.probe = ex_probe,
	.remove = ex_remove,
	.driver = {
		.name = SIM_EXERCISER,
	},
};

/* On each bus one driver has that name: ours. */
static bool ex_is_bound(struct device *dev)
{
	return dev->driver && !strcmp(dev->driver->name, SIM_EXERCISER) && dev_get_drvdata(dev);
}

/**
 * rviommu_sim_exercise() - run a command on a device, as user space does
 * @dev: an endpoint or function that has this driver, to which the caller has a reference; it
 *       may be gone
 * @command: what would be written to "run" in debugfs
 * @results: where to put the device's counts, or NULL
 *
 * May sleep, and takes as long as the command does, or until the driver is told to let
 * go of the device.
 *
 * Return: 0; -EINVAL: no such command; -EIO: a byte was not what it should be;
 * -EFAULT: the IOMMU refused a DMA that it should not; -EOPNOTSUPP: the device can send no
 * page requests, or has no PASIDs, or the kernel replaces none; -EBUSY: a PASID is in use;
 * -EINTR; -ENODEV: the device is gone, or its driver; -ETIMEDOUT; -ENOMEM; an
 * error of the IOMMU core. The log says which comparison or DMA it was.
 */
int rviommu_sim_exercise(struct device *dev, const char *command,
			 struct rviommu_sim_results *results)
{
	struct exerciser *ex;
	int ret;

	scoped_guard(device, dev) {
		if (!ex_is_bound(dev))
			return -ENODEV;
		ex = dev_get_drvdata(dev);
		refcount_inc(&ex->users);
	}
	ret = ex_exercise(ex, command);
	if (results)
		*results = (struct rviommu_sim_results){
			.bytes = atomic64_read(&ex->bytes),
			.dmas = atomic64_read(&ex->dmas),
			.refused = atomic64_read(&ex->refused),
			.mappings = atomic64_read(&ex->mappings),
			.replacements = atomic64_read(&ex->replacements),
			.mismatches = atomic64_read(&ex->mismatches),
			.cause = ex->touched_cause,
			.demand_groups = ex->demand.groups,
			.demand_requests = ex->demand.requests,
			.demand_pages = ex->demand.pages,
		};
	ex_put(ex);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_exercise);

/**
 * sim_exerciser_register() - before any instance is built
 *
 * Return: 0, or an error of the driver core.
 */
int sim_exerciser_register(void)
{
	return platform_driver_register(&ex_driver);
}

/**
 * sim_exerciser_unregister() - after all instances are gone
 */
void sim_exerciser_unregister(void)
{
	platform_driver_unregister(&ex_driver);
}
