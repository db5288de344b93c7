// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: the way of one IOVA of a device through all tables, from the root of the device
 * directory to memory.
 *
 * The file is asked by a write, and answers those who read from the same open file. So
 * several may ask at once. Directories are looked at as hardware does it, under RCU; the page
 * table is that of the domain that is attached, which is on the list of domains and stays as
 * long as its lock is held.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "debugfs_walk.h"
#include "directory.h"
#include "domain.h"
#include "endpoint.h"
#include "mem.h"
#include "pgtable.h"
#include "rviommu.h"
#include "static.h"
#include "step.h"

#define PASID_MAX	(BIT(20) - 1)

/**
 * struct walk - an open file
 * @ep: the device
 * @lock: protects the rest: the question
 * @asked: there is one
 * @iova: the address
 * @pasid: of the request, or IOMMU_NO_PASID
 */
struct walk {
	struct rviommu_endpoint *ep;
	struct mutex lock; /* see above */
	bool asked;
	u64 iova;
	u32 pasid;
};

/**
 * rviommu_mode_name() - a format of page tables
 * @mode: RVIOMMU_ATP_MODE_*
 * @second_stage: of the second stage
 *
 * Return: its name.
 */
const char *rviommu_mode_name(u64 mode, bool second_stage)
{
	switch (mode) {
	case RVIOMMU_ATP_MODE_BARE:
		return "bare";
	case RVIOMMU_ATP_MODE_SV39:
		return second_stage ? "sv39x4" : "sv39";
	case RVIOMMU_ATP_MODE_SV48:
		return second_stage ? "sv48x4" : "sv48";
	case RVIOMMU_ATP_MODE_SV57:
		return second_stage ? "sv57x4" : "sv57";
	}
	return "reserved";
}

/**
 * rviommu_show_leaf() - the end of a line about leaves: size, flags and memory type
 * @m: where to
 * @attr: the entry; its address does not count
 * @size_lg2: lg2 of the bytes that it maps
 */
void rviommu_show_leaf(struct seq_file *m, u64 attr, unsigned int size_lg2)
{
	static const struct {
		u64 bit;
		char name;
	} flags[] = {
		{ RVIOMMU_PTE_R, 'r' }, { RVIOMMU_PTE_W, 'w' }, { RVIOMMU_PTE_X, 'x' },
		{ RVIOMMU_PTE_U, 'u' }, { RVIOMMU_PTE_G, 'g' }, { RVIOMMU_PTE_A, 'a' },
		{ RVIOMMU_PTE_D, 'd' }, { RVIOMMU_PTE_N, 'n' },
	};
	static const char * const pbmt[] = { "pma", "nc", "io", "reserved" };
	static const char unit[] = "KMGT";
	unsigned int i, lg2 = size_lg2 - 10;
	char text[ARRAY_SIZE(flags) + 1] = "";

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		text[i] = attr & flags[i].bit ? flags[i].name : '-';
	seq_printf(m, "%u%c %s %s\n", 1U << lg2 % 10, unit[lg2 / 10], text,
		   pbmt[FIELD_GET(RVIOMMU_PTE_PBMT, attr)]);
}

static void show_step(struct seq_file *m, const char *name, const struct rviommu_step *step,
		      const char *what)
{
	seq_printf(m, "%s level %u table %#llx index %u entry %#018llx %s\n", name, step->level,
		   step->table, step->index, step->entry, what);
}

/* The last one is a context, the others are links; V is the same bit in all of them. */
static void show_directory(struct seq_file *m, const char *name, const struct rviommu_step *steps,
			   unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		show_step(m, name, &steps[i], !(steps[i].entry & RVIOMMU_DIRENT_V) ? "invalid" :
			  steps[i].level ? "link" : "context");
}

static void show_contexts(struct seq_file *m, const struct walk *walk)
{
	struct rviommu_step steps[RVIOMMU_STEPS_MAX];
	struct rviommu_endpoint *ep = walk->ep;
	struct rviommu_ddt *ddt = &ep->iommu->ddt;
	unsigned int nr;

	seq_printf(m, "device_id %#08x\n", ep->ids[0]);
	show_directory(m, "device_directory", steps,
		       rviommu_dir_steps(&ddt->dir, ep->ids[0], steps));
	/* Where there is one, requests without a PASID use process 0. */
	nr = rviommu_pdt_steps(ddt, ep->ids[0], walk->pasid, steps);
	if (nr)
		seq_printf(m, "process_id %#07x\n", walk->pasid);
	show_directory(m, "process_directory", steps, nr);
}

static void show_table(struct seq_file *m, const struct rviommu_domain *dom, u64 iova)
{
	struct rviommu_step steps[RVIOMMU_STEPS_MAX];
	unsigned int i, nr, lg2;
	u64 pte, mask;

	nr = rviommu_pgtable_steps(&dom->pt, iova, steps);
	for (i = 0; i < nr; i++) {
		pte = steps[i].entry;
		show_step(m, "page_table", &steps[i], !(pte & RVIOMMU_PTE_V) ? "invalid" :
			  pte & RVIOMMU_PTE_LEAF ? "leaf" : "link");
	}
	if (!nr || !(pte & RVIOMMU_PTE_V)) {
		seq_printf(m, "result %s\n", nr ? "not_mapped" : "no_such_address");
		return;
	}
	lg2 = RVIOMMU_PAGE_LG2 + 9 * steps[nr - 1].level;
	if (pte & RVIOMMU_PTE_N)
		lg2 = RVIOMMU_NAPOT_LG2;
	mask = BIT_ULL(lg2) - 1;
	seq_puts(m, "leaf ");
	rviommu_show_leaf(m, pte, lg2);
	seq_printf(m, "physical %#018llx\n",
		   ((FIELD_GET(RVIOMMU_PTE_PPN, pte) << RVIOMMU_PAGE_LG2) & ~mask) |
		   (iova & mask));
	seq_puts(m, "result mapped\n");
}

static void show_translation(struct seq_file *m, const struct walk *walk)
{
	const struct iommu_domain *domain;
	const struct rviommu_domain *dom;

	guard(mutex)(&rviommu_domains_lock);
	/* It may go at any time, unless it is on the list. */
	domain = rviommu_attached_domain(walk->ep, walk->pasid);
	dom = rviommu_domain_find(domain);
	if (dom) {
		seq_printf(m, "domain %u\n", dom->id);
		seq_printf(m, "mode %s\n",
			   rviommu_mode_name(dom->space.mode, dom->space.second_stage));
		show_table(m, dom, walk->iova);
	} else if (domain == &rviommu_identity_domain) {
		seq_printf(m, "domain identity\nphysical %#018llx\nresult mapped\n", walk->iova);
	} else {
		seq_printf(m, "domain %s\nresult blocked\n",
			   domain == &rviommu_blocking_domain ? "blocking" : "none");
	}
}

static int walk_show(struct seq_file *m, void *unused)
{
	struct walk *walk = m->private;

	guard(mutex)(&walk->lock);
	if (!walk->asked)
		return -ENODATA;
	seq_printf(m, "iova %#018llx\n", walk->iova);
	if (walk->pasid == IOMMU_NO_PASID)
		seq_puts(m, "pasid none\n");
	else
		seq_printf(m, "pasid %u\n", walk->pasid);
	show_contexts(m, walk);
	show_translation(m, walk);
	return 0;
}

/**
 * rviommu_parse_pasid() - which requests of a device somebody asks for
 * @text: a PASID, which is 1 or more, or "none"
 * @pasid: the answer: the PASID, or IOMMU_NO_PASID; untouched on error
 *
 * Return: 0; -EINVAL: it is no number; -ERANGE: no PASID is that small or large.
 */
int rviommu_parse_pasid(const char *text, u32 *pasid)
{
	u32 value;
	int ret;

	if (!strcmp(text, "none")) {
		*pasid = IOMMU_NO_PASID;
		return 0;
	}
	ret = kstrtou32(text, 0, &value);
	if (ret)
		return ret;
	if (value == IOMMU_NO_PASID || value > PASID_MAX)
		return -ERANGE;
	*pasid = value;
	return 0;
}

/* "IOVA [PASID]" */
static int walk_parse(char *text, u64 *iova, u32 *pasid)
{
	char *word;
	int ret;

	text = strim(text);
	word = strsep(&text, " ");
	ret = kstrtou64(word, 0, iova);
	if (ret)
		return ret;
	return rviommu_parse_pasid(text ?: "none", pasid);
}

/**
 * rviommu_walk_ask() - what a write to the file does
 * @m: of the open file, which is read from its beginning afterwards
 * @text: the question; taken apart
 *
 * Return: 0; -EINVAL or -ERANGE: it is none, and the one before stays.
 */
int rviommu_walk_ask(struct seq_file *m, char *text)
{
	struct walk *walk = m->private;
	u64 iova;
	u32 pasid;
	int ret;

	ret = walk_parse(text, &iova, &pasid);
	if (ret)
		return ret;
	guard(mutex)(&walk->lock);
	walk->iova = iova;
	walk->pasid = pasid;
	walk->asked = true;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_walk_ask);

static ssize_t walk_write(struct file *file, const char __user *ubuf, size_t count, loff_t *ppos)
{
	char text[48] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, count))
		return -EFAULT;
	return rviommu_walk_ask(file->private_data, text) ?: count;
}

static int walk_open(struct inode *inode, struct file *file)
{
	struct walk *walk = rviommu_zalloc(sizeof(*walk), GFP_KERNEL);
	int ret;

	if (!walk)
		return -ENOMEM;
	walk->ep = inode->i_private;
	mutex_init(&walk->lock);
	ret = single_open(file, walk_show, walk);
	if (ret)
		rviommu_free(walk);
	return ret;
}

static int walk_release(struct inode *inode, struct file *file)
{
	struct walk *walk = ((struct seq_file *)file->private_data)->private;

	mutex_destroy(&walk->lock);
	rviommu_free(walk);
	return single_release(inode, file);
}

static const struct file_operations walk_fops = {
	.owner = THIS_MODULE,
	.open = walk_open,
	.read = seq_read,
	.write = walk_write,
	.llseek = seq_lseek,
	.release = walk_release,
};

/**
 * rviommu_debugfs_add_walk() - a file that can be asked where an IOVA leads to
 * @ep: the device, which has its directory
 */
void rviommu_debugfs_add_walk(struct rviommu_endpoint *ep)
{
	debugfs_create_file("walk", 0600, ep->debugfs, ep, &walk_fops);
}
