// SPDX-License-Identifier: GPL-2.0-only
/* What user space sees of an instance, and can do to its hardware. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <kunit/visibility.h>

#include "atc.h"
#include "debugfs.h"
#include "engine.h"
#include "pci.h"
#include "sim.h"
#include "text.h"

static struct dentry *sim_debugfs_root;

static int sim_counters_show(struct seq_file *s, void *unused)
{
	struct rviommu_sim *sim = s->private;
	struct rviommu_model_stats stats;

	rviommu_model_get_stats(sim->model, &stats);
	seq_printf(s, "requests %llu\nretries %llu\ncommands %llu\nreads %llu\nhits %llu\n",
		   stats.requests, stats.retries, stats.commands, stats.reads, stats.hits);
	seq_printf(s, "evictions %llu\nfaults %llu\nfaults_lost %llu\nunspecified %llu\n",
		   stats.evictions, stats.faults, stats.faults_lost, stats.unspecified);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(sim_counters);

static bool sim_print_cached(const struct rviommu_model_cached *entry, void *arg)
{
	static const char * const kinds[RVIOMMU_MODEL_NR_KINDS] = {
		[RVIOMMU_MODEL_DDTE] = "DDT", [RVIOMMU_MODEL_DC] = "DC",
		[RVIOMMU_MODEL_PDTE] = "PDT", [RVIOMMU_MODEL_PC] = "PC",
		[RVIOMMU_MODEL_S1] = "leaf", [RVIOMMU_MODEL_S1_NONLEAF] = "non-leaf",
		[RVIOMMU_MODEL_S2] = "second-stage leaf",
		[RVIOMMU_MODEL_S2_NONLEAF] = "second-stage non-leaf",
		[RVIOMMU_MODEL_MSI] = "MSI",
	};

	seq_printf(arg, "%s device %#x pscid %#x gscid %#x addr %#llx lg2 %u word %#llx\n",
		   kinds[entry->kind], entry->device_id, entry->pscid, entry->gscid, entry->addr,
		   entry->shift, entry->word[0]);
	return true;
}

static int sim_caches_show(struct seq_file *s, void *unused)
{
	struct rviommu_sim *sim = s->private;

	rviommu_model_list_cached(sim->model, BIT(RVIOMMU_MODEL_NR_KINDS) - 1,
				  sim_print_cached, s);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(sim_caches);

static int sim_switches_get(void *data, u64 *value)
{
	struct rviommu_sim *sim = data;

	*value = READ_ONCE(sim->config.model.switches);
	return 0;
}

static int sim_switches_set(void *data, u64 value)
{
	struct rviommu_sim *sim = data;

	if (value & ~(u64)RVIOMMU_MODEL_SWITCHES)
		return -EINVAL;
	WRITE_ONCE(sim->config.model.switches, value);
	rviommu_model_set_switches(sim->model, value);
	wake_up_process(sim->worker);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(sim_switches, sim_switches_get, sim_switches_set, "%#llx\n");

/* "WHAT TIMES": see enum rviommu_model_injection */
static int sim_inject(struct rviommu_sim *sim, char *text)
{
	const char *word[2];
	u64 what, times;

	if (sim_words(text, word, 2) != 2 ||
	    sim_number(sim->name, "WHAT", word[0], 0, RVIOMMU_MODEL_NR_INJECTIONS - 1, &what) ||
	    sim_number(sim->name, "TIMES", word[1], 0, U32_MAX, &times))
		return -EINVAL;
	rviommu_model_inject(sim->model, what, times);
	return 0;
}

static ssize_t sim_inject_write(struct file *file, const char __user *from, size_t count,
				loff_t *pos)
{
	struct rviommu_sim *sim = file->private_data;
	char text[32] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	return sim_inject(sim, text) ?: count;
}

static const struct file_operations sim_inject_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = sim_inject_write,
};

/* Nobody waits longer than for this many bytes. */
#define SIM_DMA_MAX	SZ_16M

/* "DEVICE_ID PASID OP IOVA BYTES SEED": Documentation/simulator.rst */
static int sim_dma_parse(struct rviommu_sim *sim, char *text, u32 *id, struct rviommu_sim_dma *dma)
{
	u64 device_id, pasid = 0, length;
	const char *word[6];

	if (sim_words(text, word, 6) != 6)
		return -EINVAL;
	dma->pv = strcmp(word[1], "none");
	if (sim_number(sim->name, "DEVICE_ID", word[0], 0, U32_MAX, &device_id) ||
	    (dma->pv && sim_number(sim->name, "PASID", word[1], 0, U32_MAX, &pasid)) ||
	    sim_number(sim->name, "IOVA", word[3], 0, U64_MAX, &dma->iova) ||
	    sim_number(sim->name, "BYTES", word[4], 0, SIM_DMA_MAX, &length) ||
	    sim_number(sim->name, "SEED", word[5], 0, U64_MAX, &dma->operand))
		return -EINVAL;
	*id = device_id;
	dma->pasid = pasid;
	dma->length = length;
	if (!strcmp(word[2], "fill"))
		dma->op = RVIOMMU_SIM_FILL;
	else if (!strcmp(word[2], "verify"))
		dma->op = RVIOMMU_SIM_VERIFY;
	else
		return -EINVAL;
	return 0;
}

static int sim_dma(struct rviommu_sim *sim, char *text)
{
	struct rviommu_sim_dma dma = {};
	struct sim_engine *engine;
	u32 id;
	int ret;

	ret = sim_dma_parse(sim, text, &id, &dma);
	if (ret)
		return ret;
	engine = sim_engine_find(sim, id);
	if (!engine)
		return -ENODEV;
	ret = sim_engine_run(engine, &dma);
	sim_engine_put(engine);
	return ret;
}

static ssize_t sim_dma_write(struct file *file, const char __user *from, size_t count,
			     loff_t *pos)
{
	char text[96] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	return sim_dma(file->private_data, text) ?: count;
}

static const struct file_operations sim_dma_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = sim_dma_write,
};

/**
 * rviommu_sim_command() - for tests: what a write to a file in debugfs does
 * @sim: the instance
 * @file: name of the file: inject, dma or functions
 * @text: what is written; taken apart
 *
 * Return: 0 or the error of the write; -ENOENT: there is no such file.
 */
int rviommu_sim_command(struct rviommu_sim *sim, const char *file, char *text)
{
	if (!strcmp(file, "inject"))
		return sim_inject(sim, text);
	if (!strcmp(file, "dma"))
		return sim_dma(sim, text);
	if (!strcmp(file, "functions") && sim->pci)
		return sim_pci_command(sim, text);
	return -ENOENT;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_sim_command);

/**
 * sim_debugfs_add() - the directory of an instance
 * @sim: the instance, whose hardware works; @debugfs becomes its directory
 */
void sim_debugfs_add(struct rviommu_sim *sim)
{
	sim->debugfs = debugfs_create_dir(sim->name, sim_debugfs_root);
	debugfs_create_file("counters", 0444, sim->debugfs, sim, &sim_counters_fops);
	debugfs_create_file("caches", 0400, sim->debugfs, sim, &sim_caches_fops);
	debugfs_create_file_unsafe("switches", 0600, sim->debugfs, sim, &sim_switches);
	debugfs_create_file("inject", 0200, sim->debugfs, sim, &sim_inject_fops);
	debugfs_create_file("dma", 0200, sim->debugfs, sim, &sim_dma_fops);
	sim_atc_debugfs(sim);
}

/**
 * sim_debugfs_register() - before any instance is built
 */
void sim_debugfs_register(void)
{
	sim_debugfs_root = debugfs_create_dir("rviommu_sim", NULL);
}

/**
 * sim_debugfs_unregister() - after all instances are gone
 */
void sim_debugfs_unregister(void)
{
	debugfs_remove_recursive(sim_debugfs_root);
}
