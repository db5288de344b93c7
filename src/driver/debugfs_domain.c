// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: address spaces. All that there are, and with its page table that of a device, or of
 * one of its PASIDs.
 *
 * The file of PASIDs is asked by a write, as "walk" is, and answers those who read from the same
 * open file: so several may ask at once. Requests without a PASID have a file of their own, which
 * may be read where nothing may be written (lockdown).
 *
 * What keeps a domain while it is read is at the head of debugfs.c. A page table is dumped in
 * pieces (one read() each), and each piece looks the domain up again and holds
 * rviommu_domains_lock to its end; between two of them the domain may change or go away.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "debugfs_domain.h"
#include "debugfs_walk.h"
#include "domain.h"
#include "endpoint.h"
#include "pgtable.h"
#include "rviommu.h"
#include "space.h"
#include "static.h"

/* ----- Domains ----- */

/**
 * rviommu_show_stats() - what was counted of one domain, or of all
 * @m: where to
 * @stats: the counters
 */
void rviommu_show_stats(struct seq_file *m, const struct rviommu_domain_stats *stats)
{
	seq_printf(m, "maps %llu\nunmaps %llu\nsyncs %llu\nflushes %llu\n",
		   stats->maps, stats->unmaps, stats->syncs, stats->flushes);
}

static const char *type_name(const struct iommu_domain *domain)
{
	switch (domain->type) {
	case IOMMU_DOMAIN_UNMANAGED:
		return "unmanaged";
	case IOMMU_DOMAIN_DMA:
		return "dma";
	case IOMMU_DOMAIN_DMA_FQ:
		return "dma-fq";
	}
	return "other";
}

/* How often it is attached where */
static void show_attached(struct seq_file *m, struct rviommu_space *space)
{
	const struct rviommu_attachment *target, *a;
	const struct rviommu *iommu = NULL;
	unsigned int nr;

	guard(mutex)(&space->lock);
	list_for_each_entry(target, &space->targets, target) {
		if (target->ep->iommu == iommu)
			continue;
		iommu = target->ep->iommu;
		nr = 0;
		list_for_each_entry(a, &space->attachments, node)
			nr += a->ep->iommu == iommu;
		seq_printf(m, "attached_on %s %u\n", iommu->bus->name, nr);
	}
}

static void show_domain(struct seq_file *m, struct rviommu_domain *dom)
{
	bool second_stage = dom->space.second_stage;
	struct rviommu_domain_stats stats = rviommu_domain_stats(dom);

	seq_printf(m, "domain %u\n", dom->id);
	seq_printf(m, "type %s\n", type_name(&dom->space.domain));
	seq_printf(m, "stage %s\n", second_stage ? "second" : "first");
	seq_printf(m, "mode %s\n", rviommu_mode_name(dom->space.mode, second_stage));
	if (second_stage)
		seq_printf(m, "gscid %u\n", dom->space.gscid);
	else
		seq_printf(m, "pscid %u\n", dom->space.pscid);
	seq_printf(m, "page_sizes %#lx\n", dom->pt.pgsizes);
	rviommu_show_stats(m, &stats);
	show_attached(m, &dom->space);
}

static void *domains_start(struct seq_file *m, loff_t *pos)
{
	mutex_lock(&rviommu_domains_lock);
	return seq_list_start(&rviommu_domains, *pos);
}

static void *domains_next(struct seq_file *m, void *v, loff_t *pos)
{
	return seq_list_next(v, &rviommu_domains, pos);
}

static void domains_stop(struct seq_file *m, void *v)
{
	mutex_unlock(&rviommu_domains_lock);
}

static int domains_show(struct seq_file *m, void *v)
{
	show_domain(m, list_entry(v, struct rviommu_domain, node));
	seq_puts(m, "\n");
	return 0;
}

static const struct seq_operations domains_sops = {
	.start = domains_start,
	.next = domains_next,
	.stop = domains_stop,
	.show = domains_show,
};
DEFINE_SEQ_ATTRIBUTE(domains);

/* ----- Page tables ----- */

static int run_visit(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	u64 pa = FIELD_GET(RVIOMMU_PTE_PPN, pte) << RVIOMMU_PAGE_LG2;
	u64 attr = pte & ~RVIOMMU_PTE_PPN;
	struct rviommu_run *run = arg;

	/* In a NAPOT leaf the low bits of the PPN are its size. */
	pa &= ~((1ULL << size_lg2) - 1);

	if (!run->leaves) {
		run->iova = iova;
		run->pa = pa;
		run->attr = attr;
		run->leaf_lg2 = size_lg2;
	} else if (iova != run->last + 1 || pa != run->pa + (iova - run->iova) ||
		   attr != run->attr || size_lg2 != run->leaf_lg2 ||
		   run->leaves == RVIOMMU_RUN_LEAVES) {
		return 1;
	}
	run->last = iova + (1ULL << size_lg2) - 1;
	run->leaves++;
	return 0;
}

/**
 * rviommu_run_next() - the first run of leaves at or above an IOVA
 * @pt: page table; may be changing
 * @iova: where to begin. A leaf that covers it counts as a whole.
 * @run: the answer
 *
 * To go through a table, begin at 0 and go on at @run->last + 1 until that
 * is 0 or false is returned.
 *
 * Return: true if there is one.
 */
bool rviommu_run_next(struct rviommu_pgtable *pt, u64 iova, struct rviommu_run *run)
{
	*run = (struct rviommu_run){};
	rviommu_pgtable_for_each(pt, iova, U64_MAX, run_visit, run);
	return run->leaves;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_run_next);

/**
 * rviommu_show_run() - one line of a dump
 * @m: where to
 * @run: what
 */
void rviommu_show_run(struct seq_file *m, const struct rviommu_run *run)
{
	seq_printf(m, "%#018llx-%#018llx %#018llx %u x ", run->iova, run->last, run->pa,
		   run->leaves);
	rviommu_show_leaf(m, run->attr, run->leaf_lg2);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_show_run);

/**
 * struct dump - an open devices/<device>/domain or pasid_domain
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without; IOMMU_PASID_INVALID: nobody has asked
 * @dom: the domain whose head was shown. Followed only after it was found on the
 *       list again, under the same hold of the lock.
 * @id: its number: another domain may come to lie where it was
 * @run: the current line
 * @leaves: visited in this piece
 *
 * All of it is under rviommu_domains_lock, which each piece needs anyway.
 */
struct dump {
	struct rviommu_endpoint *ep;
	ioasid_t pasid;
	struct rviommu_domain *dom;
	unsigned int id;
	struct rviommu_run run;
	unsigned int leaves;
};

/*
 * Positions of the seq_file: 0 is the head of the dump, 1 + (IOVA in pages) the
 * first line at or above an IOVA, the largest number is the end. It goes on by
 * IOVA and not by line, so nothing is kept from one piece to the next, and
 * tables may change between them.
 */
#define DUMP_END	((loff_t)(1ULL << (64 - RVIOMMU_PAGE_LG2)) + 1)

static loff_t dump_after(const struct rviommu_run *run)
{
	u64 next = run->last + 1;

	return next ? (loff_t)(next >> RVIOMMU_PAGE_LG2) + 1 : DUMP_END;
}

static void *dump_line(struct dump *dump, loff_t pos)
{
	if (pos >= DUMP_END ||
	    !rviommu_run_next(&dump->dom->pt, (u64)(pos - 1) << RVIOMMU_PAGE_LG2, &dump->run))
		return NULL;
	dump->leaves += dump->run.leaves;
	return &dump->run;
}

static void *dump_start(struct seq_file *m, loff_t *pos)
{
	struct dump *dump = m->private;
	struct rviommu_domain *dom;

	mutex_lock(&rviommu_domains_lock);
	dump->leaves = 0;
	if (dump->pasid == IOMMU_PASID_INVALID)
		return ERR_PTR(-ENODATA);
	if (!*pos)
		return SEQ_START_TOKEN;
	if (!dump->dom || *pos >= DUMP_END)
		return NULL;
	dom = rviommu_domain_find(rviommu_attached_domain(dump->ep, dump->pasid));
	if (dom != dump->dom || dom->id != dump->id)
		return dump;
	return dump_line(dump, *pos);
}

static void *dump_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct dump *dump = m->private;

	if (v == SEQ_START_TOKEN)
		*pos = 1;
	else if (v == dump)
		*pos = DUMP_END;
	else
		*pos = dump_after(v);

	/*
	 * NULL ends this piece; whether there is more is found out by the next
	 * one, which begins with what dump_start() says. So the lock is held for
	 * the head, or for a limited number of leaves.
	 */
	if (v == SEQ_START_TOKEN || v == dump || dump->leaves >= RVIOMMU_RUN_LEAVES)
		return NULL;
	/* The device may have left it since dump_start() looked, but there it is. */
	return dump_line(dump, *pos);
}

static void dump_stop(struct seq_file *m, void *v)
{
	mutex_unlock(&rviommu_domains_lock);
}

static void dump_head(struct seq_file *m, struct dump *dump)
{
	struct iommu_domain *domain = rviommu_attached_domain(dump->ep, dump->pasid);
	struct rviommu_domain *dom = rviommu_domain_find(domain);

	dump->dom = dom;
	if (dump->pasid != IOMMU_NO_PASID)
		seq_printf(m, "pasid %u\n", dump->pasid);
	if (dom) {
		dump->id = dom->id;
		show_domain(m, dom);
		seq_puts(m, "# iova physical leaves flags memory_type\n");
		return;
	}
	if (domain == &rviommu_identity_domain)
		seq_puts(m, "type identity\n");
	else if (domain == &rviommu_blocking_domain)
		seq_puts(m, "type blocking\n");
	else
		seq_puts(m, "type none\n");
}

static int dump_show(struct seq_file *m, void *v)
{
	struct dump *dump = m->private;

	if (v == SEQ_START_TOKEN)
		dump_head(m, dump);
	else if (v == dump)
		seq_puts(m, "# the device was attached to another domain, end\n");
	else
		rviommu_show_run(m, v);
	return 0;
}

static const struct seq_operations dump_sops = {
	.start = dump_start,
	.next = dump_next,
	.stop = dump_stop,
	.show = dump_show,
};

static int dump_open_for(struct inode *inode, struct file *file, ioasid_t pasid)
{
	struct dump *dump = __seq_open_private(file, &dump_sops, sizeof(*dump));

	if (!dump)
		return -ENOMEM;
	dump->ep = inode->i_private;
	dump->pasid = pasid;
	/* A piece may end early, which a seek through the lines would not expect. */
	return nonseekable_open(inode, file);
}

static int dump_open(struct inode *inode, struct file *file)
{
	return dump_open_for(inode, file, IOMMU_NO_PASID);
}

static const struct file_operations dump_fops = {
	.owner = THIS_MODULE,
	.open = dump_open,
	.read = seq_read,
	.release = seq_release_private,
};

/* ----- Page tables of PASIDs ----- */

/**
 * rviommu_dump_ask() - what a write to devices/<device>/pasid_domain does
 * @m: of the open file, which is read from its beginning afterwards
 * @text: a PASID, or "none"; taken apart
 *
 * Return: 0; -EINVAL or -ERANGE: it is none, and the one before stays.
 */
int rviommu_dump_ask(struct seq_file *m, char *text)
{
	struct dump *dump = m->private;
	ioasid_t pasid;
	int ret;

	ret = rviommu_parse_pasid(strim(text), &pasid);
	if (ret)
		return ret;
	guard(mutex)(&rviommu_domains_lock);
	dump->pasid = pasid;
	dump->dom = NULL;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_dump_ask);

static ssize_t pasid_dump_write(struct file *file, const char __user *ubuf, size_t count,
				loff_t *ppos)
{
	char text[16] = {};
	int ret;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, count))
		return -EFAULT;
	ret = rviommu_dump_ask(file->private_data, text);
	if (ret)
		return ret;
	/* Nobody can seek there. */
	*ppos = 0;
	return count;
}

static int pasid_dump_open(struct inode *inode, struct file *file)
{
	return dump_open_for(inode, file, IOMMU_PASID_INVALID);
}

static const struct file_operations pasid_dump_fops = {
	.owner = THIS_MODULE,
	.open = pasid_dump_open,
	.read = seq_read,
	.write = pasid_dump_write,
	.release = seq_release_private,
};

/* ----- Coming ----- */

/**
 * rviommu_debugfs_add_domains() - a file with all address spaces
 * @dir: the directory of all IOMMUs
 */
void rviommu_debugfs_add_domains(struct dentry *dir)
{
	debugfs_create_file("domains", 0444, dir, NULL, &domains_fops);
}

/**
 * rviommu_debugfs_add_domain() - show the address spaces of a device
 * @ep: the device, which has its directory
 */
void rviommu_debugfs_add_domain(struct rviommu_endpoint *ep)
{
	debugfs_create_file("domain", 0400, ep->debugfs, ep, &dump_fops);
	debugfs_create_file("pasid_domain", 0600, ep->debugfs, ep, &pasid_dump_fops);
}
