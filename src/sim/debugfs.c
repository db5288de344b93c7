// SPDX-License-Identifier: GPL-2.0-only
/* What user space sees of an instance, and can do to its hardware. */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
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

/*
 * Operations of "dma": their names, what they do, and how many bytes of it. Nobody waits longer
 * than for 16 MiB. What is read, the file keeps; what is written, the command has in its last word.
 */
static const struct sim_dma_name {
	const char *name;
	enum rviommu_sim_op op;
	u64 max;
} sim_dma_names[] = {
	{ "fill", RVIOMMU_SIM_FILL, SZ_16M },
	{ "verify", RVIOMMU_SIM_VERIFY, SZ_16M },
	{ "copy", RVIOMMU_SIM_COPY, SZ_16M },
	{ "read", RVIOMMU_SIM_READ, SZ_4K },
	{ "write", RVIOMMU_SIM_WRITE, sizeof(u64) },
};

/**
 * struct sim_dma_file - an open "dma"
 * @sim: the instance
 * @lock: protects the rest; held while a DMA goes on
 * @length: bytes that the last "read" got
 * @data: these
 */
struct sim_dma_file {
	struct rviommu_sim *sim;
	struct mutex lock; /* see above */
	size_t length;
	u8 data[SZ_4K];
};

static const struct sim_dma_name *sim_dma_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sim_dma_names); i++)
		if (!strcmp(name, sim_dma_names[i].name))
			return &sim_dma_names[i];
	return NULL;
}

/* "DEVICE_ID PASID OP IOVA BYTES OPERAND": Documentation/simulator.rst */
static int sim_dma_parse(struct rviommu_sim *sim, char *text, u32 *id, struct rviommu_sim_dma *dma)
{
	u64 device_id, pasid = 0, length;
	const struct sim_dma_name *name;
	const char *word[6];

	if (sim_words(text, word, 6) != 6)
		return -EINVAL;
	name = sim_dma_name(word[2]);
	if (!name)
		return -EINVAL;
	dma->pv = strcmp(word[1], "none");
	if (sim_number(sim->name, "DEVICE_ID", word[0], 0, U32_MAX, &device_id) ||
	    (dma->pv && sim_number(sim->name, "PASID", word[1], 0, U32_MAX, &pasid)) ||
	    sim_number(sim->name, "IOVA", word[3], 0, U64_MAX, &dma->iova) ||
	    sim_number(sim->name, "BYTES", word[4], 0, name->max, &length) ||
	    sim_number(sim->name, "OPERAND", word[5], 0, U64_MAX, &dma->operand))
		return -EINVAL;
	*id = device_id;
	dma->pasid = pasid;
	dma->length = length;
	dma->op = name->op;
	if (dma->op == RVIOMMU_SIM_COPY)
		dma->src_iova = dma->operand;
	return 0;
}

/* Under file->lock */
static int sim_dma(struct sim_dma_file *file, char *text)
{
	struct rviommu_sim *sim = file->sim;
	struct rviommu_sim_dma dma = { .buf = file->data };
	struct sim_engine *engine;
	__le64 value;
	u32 id;
	int ret;

	ret = sim_dma_parse(sim, text, &id, &dma);
	if (ret)
		return ret;
	value = cpu_to_le64(dma.operand);
	file->length = 0;
	if (dma.op == RVIOMMU_SIM_WRITE)
		memcpy(file->data, &value, sizeof(value));
	engine = sim_engine_find(sim, id);
	if (!engine)
		return -ENODEV;
	ret = sim_engine_run(engine, &dma);
	sim_engine_put(engine);
	if (!ret && dma.op == RVIOMMU_SIM_READ)
		file->length = dma.length;
	return ret;
}

/* The engine of a device that a word names; a reference, or an error pointer. */
static struct sim_engine *sim_engine_named(struct rviommu_sim *sim, const char *word)
{
	struct sim_engine *engine;
	u64 id;

	if (sim_number(sim->name, "DEVICE_ID", word, 0, U32_MAX, &id))
		return ERR_PTR(-EINVAL);
	engine = sim_engine_find(sim, id);
	return engine ?: ERR_PTR(-ENODEV);
}

/* "DEVICE_ID SWITCHES": RVIOMMU_SIM_PRI_* */
static int sim_pri_switches(struct rviommu_sim *sim, char *text)
{
	struct sim_engine *engine;
	const char *word[2];
	u64 switches;

	if (sim_words(text, word, 2) != 2 ||
	    sim_number(sim->name, "SWITCHES", word[1], 0, RVIOMMU_SIM_PRI_SWITCHES, &switches))
		return -EINVAL;
	engine = sim_engine_named(sim, word[0]);
	if (IS_ERR(engine))
		return PTR_ERR(engine);
	sim_pri_set_switches(&engine->pri, switches);
	sim_engine_put(engine);
	return 0;
}

/* "DEVICE_ID PASID" */
static int sim_stop_pasid(struct rviommu_sim *sim, char *text)
{
	struct sim_engine *engine;
	const char *word[2];
	u64 pasid;
	int ret;

	if (sim_words(text, word, 2) != 2 ||
	    sim_number(sim->name, "PASID", word[1], 0, BIT(20) - 1, &pasid))
		return -EINVAL;
	engine = sim_engine_named(sim, word[0]);
	if (IS_ERR(engine))
		return PTR_ERR(engine);
	ret = sim_pri_stop(&engine->pri, pasid);
	sim_engine_put(engine);
	return ret;
}

/* Letters of FLAGS; "-" alone stands for none. Returns false if there is another one. */
static bool sim_page_flags(const char *text, struct rviommu_model_page_request *pr)
{
	for (; *text; text++) {
		switch (*text) {
		case 'r':
			pr->payload |= RVIOMMU_MODEL_PAGE_R;
			break;
		case 'w':
			pr->payload |= RVIOMMU_MODEL_PAGE_W;
			break;
		case 'l':
			pr->payload |= RVIOMMU_MODEL_PAGE_L;
			break;
		case 'x':
			pr->exec = true;
			break;
		case 'p':
			pr->priv = true;
			break;
		case '-':
			break;
		default:
			return false;
		}
	}
	return true;
}

/* "DEVICE_ID PASID FLAGS INDEX ADDRESS": Documentation/simulator.rst */
static int sim_page_request(struct rviommu_sim *sim, char *text)
{
	struct rviommu_model_page_request pr = {};
	u64 pasid = 0, index, address;
	struct sim_engine *engine;
	const char *word[5];

	if (sim_words(text, word, 5) != 5)
		return -EINVAL;
	pr.pv = strcmp(word[1], "none");
	if ((pr.pv && sim_number(sim->name, "PASID", word[1], 0, BIT(20) - 1, &pasid)) ||
	    !sim_page_flags(word[2], &pr) ||
	    sim_number(sim->name, "INDEX", word[3], 0, 511, &index) ||
	    sim_number(sim->name, "ADDRESS", word[4], 0, U64_MAX, &address))
		return -EINVAL;
	pr.process_id = pasid;
	pr.payload |= FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, index) |
		      (address & RVIOMMU_MODEL_PAGE_ADDRESS);
	engine = sim_engine_named(sim, word[0]);
	if (IS_ERR(engine))
		return PTR_ERR(engine);
	pr.device_id = engine->id;
	sim_pri_message(&engine->pri, &pr);
	sim_engine_put(engine);
	return 0;
}

/* A file that takes commands, one a write */
#define SIM_COMMAND_FILE(name)								\
static ssize_t name##_write(struct file *file, const char __user *from, size_t count,	\
			    loff_t *pos)						\
{											\
	char text[96] = {};								\
											\
	if (count >= sizeof(text))							\
		return -EINVAL;								\
	if (copy_from_user(text, from, count))						\
		return -EFAULT;								\
	return name(file->private_data, text) ?: count;					\
}											\
											\
static const struct file_operations name##_fops = {					\
	.owner = THIS_MODULE,								\
	.open = simple_open,								\
	.write = name##_write,								\
}

SIM_COMMAND_FILE(sim_inject);
SIM_COMMAND_FILE(sim_pri_switches);
SIM_COMMAND_FILE(sim_stop_pasid);
SIM_COMMAND_FILE(sim_page_request);

static int sim_dma_open(struct inode *inode, struct file *file)
{
	struct sim_dma_file *dma = kzalloc(sizeof(*dma), GFP_KERNEL);

	if (!dma)
		return -ENOMEM;
	dma->sim = inode->i_private;
	mutex_init(&dma->lock);
	file->private_data = dma;
	return 0;
}

static int sim_dma_release(struct inode *inode, struct file *file)
{
	struct sim_dma_file *dma = file->private_data;

	mutex_destroy(&dma->lock);
	kfree(dma);
	return 0;
}

static ssize_t sim_dma_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct sim_dma_file *dma = file->private_data;
	char text[128] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	guard(mutex)(&dma->lock);
	return sim_dma(dma, text) ?: count;
}

static ssize_t sim_dma_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct sim_dma_file *dma = file->private_data;

	guard(mutex)(&dma->lock);
	return simple_read_from_buffer(to, count, pos, dma->data, dma->length);
}

static const struct file_operations sim_dma_fops = {
	.owner = THIS_MODULE,
	.open = sim_dma_open,
	.read = sim_dma_read,
	.write = sim_dma_write,
	.llseek = default_llseek,
	.release = sim_dma_release,
};

static int sim_dma_command(struct rviommu_sim *sim, char *text)
{
	struct sim_dma_file *dma = kzalloc(sizeof(*dma), GFP_KERNEL);
	int ret;

	if (!dma)
		return -ENOMEM;
	dma->sim = sim;
	mutex_init(&dma->lock);
	ret = sim_dma(dma, text);
	mutex_destroy(&dma->lock);
	kfree(dma);
	return ret;
}

/**
 * rviommu_sim_command() - for tests: what a write to a file in debugfs does
 * @sim: the instance
 * @file: name of the file: inject, dma, pri_switches, stop_pasid, page_request or functions
 * @text: what is written; taken apart
 *
 * Return: 0 or the error of the write; -ENOENT: there is no such file.
 */
int rviommu_sim_command(struct rviommu_sim *sim, const char *file, char *text)
{
	if (!strcmp(file, "inject"))
		return sim_inject(sim, text);
	if (!strcmp(file, "dma"))
		return sim_dma_command(sim, text);
	if (!strcmp(file, "pri_switches"))
		return sim_pri_switches(sim, text);
	if (!strcmp(file, "stop_pasid"))
		return sim_stop_pasid(sim, text);
	if (!strcmp(file, "page_request"))
		return sim_page_request(sim, text);
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
	debugfs_create_file("dma", 0600, sim->debugfs, sim, &sim_dma_fops);
	debugfs_create_file("pri_switches", 0200, sim->debugfs, sim, &sim_pri_switches_fops);
	debugfs_create_file("stop_pasid", 0200, sim->debugfs, sim, &sim_stop_pasid_fops);
	debugfs_create_file("page_request", 0200, sim->debugfs, sim, &sim_page_request_fops);
	sim_failures_debugfs(&sim->failures, sim->debugfs);
	sim_atc_debugfs(sim);
	sim_pri_debugfs(sim);
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
