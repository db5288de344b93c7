// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: what the driver and its hardware are doing, for people and tests.
 * Documentation/debugfs.rst has the files and the names that stay stable.
 *
 * Every file may be read at any moment: while translations change, while
 * devices and domains come and go, while the IOMMU fails. What keeps the things
 * that a file shows alive while it is read:
 *
 * IOMMU, endpoint
 *	Its files are removed before it is freed, and removing a debugfs file
 *	waits for those who are reading it. Therefore rviommu_debugfs_remove()
 *	and rviommu_debugfs_remove_endpoint() are called without endpoints_lock and
 *	without rviommu_domains_lock: a reader may be waiting for them.
 *
 * Domain
 *	A domain is on the list of domains from before it can be attached until
 *	after its last detach, and it is taken off the list, under
 *	rviommu_domains_lock, before anything of it is torn down. So a domain that
 *	is *found on the list* lives for as long as the lock is held, whatever
 *	attach and detach do meanwhile. What rviommu_attached_domain() says is only
 *	compared with the entries of the list, never followed: it may be about to
 *	be freed.
 *
 * Table page, directory page, target
 *	rcu_read_lock(), as for everyone who reads them.
 *
 * No lock is taken that map, unmap, invalidation or the way of a fault wait
 * for, but for the moment it takes to copy an endpoint's last fault.
 *
 * Errors from debugfs are not looked at: without its files the driver works.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "cmdq.h"
#include "debugfs.h"
#include "debugfs_domain.h"
#include "debugfs_pri.h"
#include "debugfs_walk.h"
#include "directory.h"
#include "domain.h"
#include "endpoint.h"
#include "inq.h"
#include "mutate.h"
#include "queue.h"
#include "quirks.h"
#include "record.h"
#include "rviommu.h"
#include "static.h"

static struct dentry *root;

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

/* --- capabilities ------------------------------------------------------- */

static const struct {
	u64 bit;
	const char *name;
} capability_names[] = {
	{ RVIOMMU_CAP_SV32, "Sv32" },
	{ RVIOMMU_CAP_SV39, "Sv39" },
	{ RVIOMMU_CAP_SV48, "Sv48" },
	{ RVIOMMU_CAP_SV57, "Sv57" },
	{ RVIOMMU_CAP_SVRSW60T59B, "Svrsw60t59b" },
	{ RVIOMMU_CAP_SVPBMT, "Svpbmt" },
	{ RVIOMMU_CAP_SV32X4, "Sv32x4" },
	{ RVIOMMU_CAP_SV39X4, "Sv39x4" },
	{ RVIOMMU_CAP_SV48X4, "Sv48x4" },
	{ RVIOMMU_CAP_SV57X4, "Sv57x4" },
	{ RVIOMMU_CAP_AMO_MRIF, "AMO_MRIF" },
	{ RVIOMMU_CAP_MSI_FLAT, "MSI_FLAT" },
	{ RVIOMMU_CAP_MSI_MRIF, "MSI_MRIF" },
	{ RVIOMMU_CAP_AMO_HWAD, "AMO_HWAD" },
	{ RVIOMMU_CAP_ATS, "ATS" },
	{ RVIOMMU_CAP_T2GPA, "T2GPA" },
	{ RVIOMMU_CAP_END, "END" },
	{ RVIOMMU_CAP_HPM, "HPM" },
	{ RVIOMMU_CAP_DBG, "DBG" },
	{ RVIOMMU_CAP_PD8, "PD8" },
	{ RVIOMMU_CAP_PD17, "PD17" },
	{ RVIOMMU_CAP_PD20, "PD20" },
	{ RVIOMMU_CAP_QOSID, "QOSID" },
	{ RVIOMMU_CAP_NL, "NL" },
	{ RVIOMMU_CAP_S, "S" },
};

/**
 * rviommu_show_capabilities() - the capabilities register in words
 * @m: where to
 * @caps: the register
 */
void rviommu_show_capabilities(struct seq_file *m, u64 caps)
{
	static const char * const igs[] = { "MSI", "wired", "MSI or wired", "reserved" };
	u64 unknown = caps & ~(RVIOMMU_CAP_VERSION | RVIOMMU_CAP_IGS | RVIOMMU_CAP_PAS);
	unsigned int i;

	seq_printf(m, "capabilities %#018llx\n", caps);
	seq_printf(m, "version %llu.%llu\n", FIELD_GET(RVIOMMU_CAP_VERSION_MAJOR, caps),
		   caps & RVIOMMU_CAP_VERSION & ~RVIOMMU_CAP_VERSION_MAJOR);
	seq_printf(m, "physical_address_bits %llu\n", FIELD_GET(RVIOMMU_CAP_PAS, caps));
	seq_printf(m, "interrupts %s\n", igs[FIELD_GET(RVIOMMU_CAP_IGS, caps)]);
	seq_puts(m, "has");
	for (i = 0; i < ARRAY_SIZE(capability_names); i++) {
		unknown &= ~capability_names[i].bit;
		if (caps & capability_names[i].bit)
			seq_printf(m, " %s", capability_names[i].name);
	}
	seq_puts(m, "\nhas_not");
	for (i = 0; i < ARRAY_SIZE(capability_names); i++)
		if (!(caps & capability_names[i].bit))
			seq_printf(m, " %s", capability_names[i].name);
	seq_puts(m, "\n");
	if (unknown)
		seq_printf(m, "unknown_bits %#llx\n", unknown);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_show_capabilities);

static void show_irqs(struct seq_file *m, const struct rviommu *iommu)
{
	static const char * const causes[RVIOMMU_NR_CAUSES] = {
		"command_queue", "fault_queue", "performance", "page_requests",
	};
	unsigned int i, cause;

	for (i = 0; i < iommu->nr_irqs; i++) {
		seq_printf(m, "vector %u irq %d:", i, iommu->irqs[i].irq);
		for (cause = 0; cause < RVIOMMU_NR_CAUSES; cause++)
			if (iommu->irqs[i].causes & BIT(cause))
				seq_printf(m, " %s", causes[cause]);
		seq_puts(m, "\n");
	}
}

static int capabilities_show(struct seq_file *m, void *unused)
{
	struct rviommu *iommu = m->private;
	bool extended = iommu->ddt.dir.shape->words == RVIOMMU_DC_WORDS_EXT;
	unsigned int quirk;

	rviommu_show_capabilities(m, iommu->caps);
	seq_printf(m, "fctl %#x\n", iommu->fctl);
	seq_printf(m, "ddt_levels %u\n", iommu->ddt.dir.levels);
	seq_printf(m, "device_id_bits %u\n", rviommu_dir_id_lg2(&iommu->ddt.dir));
	seq_printf(m, "device_context %s\n", extended ? "extended" : "base");
	seq_printf(m, "usable_physical_address_bits %u\n", iommu->pas_lg2);
	seq_printf(m, "command_queue_entries %u\n", 1U << iommu->cmdq.q.entries_lg2);
	seq_printf(m, "fault_queue_entries %u\n", 1U << iommu->faultq.q.entries_lg2);
	seq_printf(m, "interrupts_used %s\n", iommu->bus->wired ? "wired" : "MSI");
	show_irqs(m, iommu);
	seq_printf(m, "left_behind_as %s\n",
		   iommu->boot_mode == RVIOMMU_DDTP_MODE_BARE ? "bare" : "off");
	for_each_set_bit(quirk, &iommu->quirks, RVIOMMU_NR_QUIRKS)
		seq_printf(m, "quirk %s: %s\n", rviommu_quirk_name(quirk),
			   rviommu_quirk_reason(quirk));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(capabilities);

/* --- queues ------------------------------------------------------------- */

static void show_queue(struct seq_file *m, struct rviommu *iommu, const struct rviommu_queue *q)
{
	u32 csr = rviommu_read32(iommu, q->reg_csr);

	seq_printf(m, "%s_entries %u\n", q->name, 1U << q->entries_lg2);
	seq_printf(m, "%s_on %s\n", q->name, yes_no(csr & RVIOMMU_QCSR_ON));
	seq_printf(m, "%s_csr %#x\n", q->name, csr);
	seq_printf(m, "%s_head %u\n", q->name,
		   rviommu_read32(iommu, q->reg_base + RVIOMMU_QUEUE_HEAD));
	seq_printf(m, "%s_tail %u\n", q->name,
		   rviommu_read32(iommu, q->reg_base + RVIOMMU_QUEUE_TAIL));
}

static int queues_show(struct seq_file *m, void *unused)
{
	struct rviommu *iommu = m->private;
	struct rviommu_cmdq *cq = &iommu->cmdq;

	seq_printf(m, "out_of_service %s\n", yes_no(rviommu_is_dead(iommu)));
	show_queue(m, iommu, &cq->q);
	/* Without the lock, which unmap needs: each is right, not all at once. */
	seq_printf(m, "cq_dead %s\n", yes_no(READ_ONCE(cq->dead)));
	seq_printf(m, "cq_oldest_slot %u\n", READ_ONCE(cq->head));
	seq_printf(m, "cq_next_slot %u\n", READ_ONCE(cq->tail));
	seq_printf(m, "cq_fences_issued %u\n", READ_ONCE(cq->issued));
	seq_printf(m, "cq_fences_seen %u\n", READ_ONCE(cq->completed));
	seq_printf(m, "cq_fences_done %u\n", le32_to_cpu(READ_ONCE(*READ_ONCE(cq->done))));
	seq_printf(m, "cq_restarts_in_a_row %u\n", READ_ONCE(cq->restarts));
	show_queue(m, iommu, &iommu->faultq.q);
	if (iommu->pageq.q.base)
		show_queue(m, iommu, &iommu->pageq.q);
	seq_printf(m, "ipsr %#x\n", rviommu_read32(iommu, RVIOMMU_REG_IPSR));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(queues);

/* --- counters ----------------------------------------------------------- */

static int counters_show(struct seq_file *m, void *unused)
{
	static const char * const events[RVIOMMU_CMDQ_NR_EVENTS] = {
		[RVIOMMU_CMDQ_COMMANDS] = "commands",
		[RVIOMMU_CMDQ_FENCES] = "fences",
		[RVIOMMU_CMDQ_WAITERS] = "waiters",
		[RVIOMMU_CMDQ_FULL] = "full",
		[RVIOMMU_CMDQ_ILLEGAL] = "illegal",
		[RVIOMMU_CMDQ_TIMEOUT] = "timeout",
		[RVIOMMU_CMDQ_MEMFAULT] = "memfault",
		[RVIOMMU_CMDQ_RESTARTS] = "restarts",
		[RVIOMMU_CMDQ_AWAY] = "away",
		[RVIOMMU_CMDQ_AGAIN] = "responses_again",
		[RVIOMMU_CMDQ_UNSENT] = "responses_unsent",
	};
	struct rviommu *iommu = m->private;
	struct rviommu_inq *fq = &iommu->faultq;
	struct rviommu_inq *pq = &iommu->pageq;
	struct rviommu_domain_stats sum;
	struct rviommu_endpoint *ep;
	unsigned int i;

	for (i = 0; i < RVIOMMU_CMDQ_NR_EVENTS; i++)
		seq_printf(m, "%s %lld\n", events[i], atomic64_read(&iommu->cmdq.events[i]));
	seq_printf(m, "fault_records %lld\n", atomic64_read(&fq->records));
	seq_printf(m, "fault_overflows %lld\n", atomic64_read(&fq->overflows));
	seq_printf(m, "fault_memfaults %lld\n", atomic64_read(&fq->memfaults));
	seq_printf(m, "fault_bad_index %lld\n", atomic64_read(&fq->bad_index));
	seq_printf(m, "page_messages %lld\n", atomic64_read(&pq->records));
	seq_printf(m, "page_overflows %lld\n", atomic64_read(&pq->overflows));
	seq_printf(m, "page_memfaults %lld\n", atomic64_read(&pq->memfaults));
	seq_printf(m, "page_bad_index %lld\n", atomic64_read(&pq->bad_index));
	seq_printf(m, "page_strangers %lld\n", atomic64_read(&iommu->strangers));

	sum = rviommu_domains_stats();
	rviommu_show_stats(m, &sum);

	guard(mutex)(&iommu->endpoints_lock);
	list_for_each_entry(ep, &iommu->endpoints, node) {
		seq_printf(m, "faults_%s %lld\n", ep->name, atomic64_read(&ep->faults));
		if (!ep->pri.usable)
			continue;
		seq_printf(m, "page_groups_%s %lld\n", ep->name, atomic64_read(&ep->pri.groups));
		seq_printf(m, "page_refused_%s %lld\n", ep->name, atomic64_read(&ep->pri.refused));
		seq_printf(m, "page_dropped_%s %lld\n", ep->name, atomic64_read(&ep->pri.dropped));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

/* --- devices ------------------------------------------------------------ */

static const struct {
	u64 bit;
	const char *name;
} tc_names[] = {
	{ RVIOMMU_DC_TC_V, "V" },
	{ RVIOMMU_DC_TC_EN_ATS, "EN_ATS" },
	{ RVIOMMU_DC_TC_EN_PRI, "EN_PRI" },
	{ RVIOMMU_DC_TC_T2GPA, "T2GPA" },
	{ RVIOMMU_DC_TC_DTF, "DTF" },
	{ RVIOMMU_DC_TC_PDTV, "PDTV" },
	{ RVIOMMU_DC_TC_PRPR, "PRPR" },
	{ RVIOMMU_DC_TC_GADE, "GADE" },
	{ RVIOMMU_DC_TC_SADE, "SADE" },
	{ RVIOMMU_DC_TC_DPE, "DPE" },
	{ RVIOMMU_DC_TC_SBE, "SBE" },
	{ RVIOMMU_DC_TC_SXL, "SXL" },
};

static void show_fsc(struct seq_file *m, u64 fsc, bool pdtv)
{
	static const char * const pdt[] = { "bare", "pd8", "pd17", "pd20" };
	u64 mode = FIELD_GET(RVIOMMU_FSC_MODE, fsc);

	if (pdtv)
		seq_printf(m, " pdtp %s", mode < ARRAY_SIZE(pdt) ? pdt[mode] : "reserved");
	else
		seq_printf(m, " iosatp %s", rviommu_mode_name(mode, false));
	if (mode)
		seq_printf(m, " root %#llx", FIELD_GET(RVIOMMU_FSC_PPN, fsc) << RVIOMMU_PAGE_LG2);
}

/**
 * rviommu_show_dc() - a device context, raw and decoded
 * @m: where to
 * @dc: the context
 * @words: how many words it has in memory
 */
void rviommu_show_dc(struct seq_file *m, const struct rviommu_dc *dc, unsigned int words)
{
	static const char * const names[RVIOMMU_DC_WORDS_EXT] = {
		[RVIOMMU_DC_TC] = "tc",
		[RVIOMMU_DC_IOHGATP] = "iohgatp",
		[RVIOMMU_DC_TA] = "ta",
		[RVIOMMU_DC_FSC] = "fsc",
		[RVIOMMU_DC_MSIPTP] = "msiptp",
		[RVIOMMU_DC_MSI_ADDR_MASK] = "msi_addr_mask",
		[RVIOMMU_DC_MSI_ADDR_PATTERN] = "msi_addr_pattern",
		[RVIOMMU_DC_RESERVED] = "reserved",
	};
	unsigned int i, word;
	u64 value, mode;

	for (word = 0; word < words; word++) {
		value = dc->word[word];
		seq_printf(m, "%s %#018llx", names[word], value);
		switch (word) {
		case RVIOMMU_DC_TC:
			for (i = 0; i < ARRAY_SIZE(tc_names); i++)
				if (value & tc_names[i].bit)
					seq_printf(m, " %s", tc_names[i].name);
			break;
		case RVIOMMU_DC_IOHGATP:
			mode = FIELD_GET(RVIOMMU_DC_IOHGATP_MODE, value);
			seq_printf(m, " %s", rviommu_mode_name(mode, true));
			if (mode)
				seq_printf(m, " gscid %llu root %#llx",
					   FIELD_GET(RVIOMMU_DC_IOHGATP_GSCID, value),
					   FIELD_GET(RVIOMMU_DC_IOHGATP_PPN, value) <<
					   RVIOMMU_PAGE_LG2);
			break;
		case RVIOMMU_DC_TA:
			seq_printf(m, " pscid %llu", FIELD_GET(RVIOMMU_DC_TA_PSCID, value));
			break;
		case RVIOMMU_DC_FSC:
			show_fsc(m, value, dc->word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV);
			break;
		}
		seq_puts(m, "\n");
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_show_dc);

static int context_show(struct seq_file *m, void *unused)
{
	struct rviommu_endpoint *ep = m->private;
	struct rviommu_ddt *ddt = &ep->iommu->ddt;
	unsigned int i;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_dc dc;

		seq_printf(m, "%sdevice_id %#08x\n", i ? "\n" : "", ep->ids[i]);
		rviommu_ddt_read(ddt, ep->ids[i], &dc);
		rviommu_show_dc(m, &dc, ddt->dir.shape->words);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(context);

/**
 * rviommu_show_pc() - a process context, raw and decoded
 * @m: where to
 * @pc: the context
 */
void rviommu_show_pc(struct seq_file *m, const struct rviommu_pc *pc)
{
	u64 ta = pc->word[RVIOMMU_PC_TA], fsc = pc->word[RVIOMMU_PC_FSC];

	seq_printf(m, "ta %#018llx%s%s%s pscid %llu\n", ta, ta & RVIOMMU_PC_TA_V ? " V" : "",
		   ta & RVIOMMU_PC_TA_ENS ? " ENS" : "", ta & RVIOMMU_PC_TA_SUM ? " SUM" : "",
		   FIELD_GET(RVIOMMU_PC_TA_PSCID, ta));
	seq_printf(m, "fsc %#018llx", fsc);
	show_fsc(m, fsc, false);
	seq_puts(m, "\n");
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_show_pc);

/*
 * The processes of a device: PASID 0, if the requester ID's translations are
 * there, and those that something is attached to. The position is the PASID, and
 * what a reader gets for it is one more: NULL is the end.
 */
static void *processes_from(struct rviommu_endpoint *ep, loff_t *pos)
{
	unsigned long pasid = *pos;
	struct rviommu_pc pc;

	if (pasid > U32_MAX)
		return NULL;
	if ((pasid || !rviommu_pdt_read(&ep->iommu->ddt, ep->ids[0], 0, &pc)) &&
	    !xa_find(&ep->pasids, &pasid, U32_MAX, XA_PRESENT))
		return NULL;
	*pos = pasid;
	return (void *)(pasid + 1);
}

static void *processes_start(struct seq_file *m, loff_t *pos)
{
	return processes_from(m->private, pos);
}

static void *processes_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return processes_from(m->private, pos);
}

static void processes_stop(struct seq_file *m, void *v)
{
}

static int processes_show(struct seq_file *m, void *v)
{
	struct rviommu_endpoint *ep = m->private;
	u32 pasid = (unsigned long)v - 1;
	const struct iommu_domain *domain;
	const struct rviommu_domain *dom;
	struct rviommu_pc pc;

	seq_printf(m, "process_id %#07x\n", pasid);
	/* It may go at any time: compared, never followed. */
	domain = rviommu_attached_domain(ep, pasid);
	scoped_guard(mutex, &rviommu_domains_lock) {
		dom = rviommu_domain_find(domain);
		if (dom)
			seq_printf(m, "domain %u\n", dom->id);
		else
			seq_printf(m, "domain %s\n",
				   domain == &rviommu_identity_domain ? "identity" : "none");
	}
	rviommu_pdt_read(&ep->iommu->ddt, ep->ids[0], pasid, &pc);
	rviommu_show_pc(m, &pc);
	seq_puts(m, "\n");
	return 0;
}

static const struct seq_operations processes_sops = {
	.start = processes_start,
	.next = processes_next,
	.stop = processes_stop,
	.show = processes_show,
};
DEFINE_SEQ_ATTRIBUTE(processes);

static int faults_show(struct seq_file *m, void *unused)
{
	struct rviommu_endpoint *ep = m->private;
	struct rviommu_fault fault;

	seq_printf(m, "faults %lld\n", atomic64_read(&ep->faults));
	if (!atomic64_read(&ep->faults))
		return 0;

	spin_lock(&ep->fault_lock);
	fault = ep->last_fault;
	spin_unlock(&ep->fault_lock);

	seq_printf(m, "last_cause %u %s\n", fault.cause, rviommu_fault_cause_name(fault.cause));
	seq_printf(m, "last_type %u %s\n", fault.ttyp, rviommu_fault_ttyp_name(fault.ttyp));
	seq_printf(m, "last_device_id %#08x\n", fault.did);
	if (fault.pv)
		seq_printf(m, "last_process_id %u%s\n", fault.pid,
			   fault.priv ? " supervisor" : "");
	seq_printf(m, "last_iotval %#018llx\n", fault.iotval);
	seq_printf(m, "last_iotval2 %#018llx\n", fault.iotval2);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(faults);

/**
 * rviommu_debugfs_add_endpoint() - show a device
 * @ep: the device, complete
 */
void rviommu_debugfs_add_endpoint(struct rviommu_endpoint *ep)
{
	struct dentry *devices;

	if (IS_ERR_OR_NULL(ep->iommu->debugfs))
		return;
	devices = debugfs_lookup("devices", ep->iommu->debugfs);
	if (!devices)
		return;
	ep->debugfs = debugfs_create_dir(ep->name, devices);
	dput(devices);
	debugfs_create_file("context", 0400, ep->debugfs, ep, &context_fops);
	rviommu_debugfs_add_domain(ep);
	debugfs_create_file("faults", 0444, ep->debugfs, ep, &faults_fops);
	debugfs_create_file("processes", 0400, ep->debugfs, ep, &processes_fops);
	rviommu_debugfs_add_walk(ep);
	if (ep->pri.usable)
		rviommu_debugfs_add_pri(ep);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_debugfs_add_endpoint);

/**
 * rviommu_debugfs_remove_endpoint() - show a device no more
 * @ep: the device
 *
 * Waits for readers, so the caller holds no lock that they take. On return
 * nobody uses @ep on behalf of debugfs.
 */
void rviommu_debugfs_remove_endpoint(struct rviommu_endpoint *ep)
{
	debugfs_remove(ep->debugfs);
	ep->debugfs = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_debugfs_remove_endpoint);

/* --- mutations ---------------------------------------------------------- */

static const char * const mutation_names[RVIOMMU_NR_MUTATIONS] = {
	[RVIOMMU_MUTATE_NOTHING] = "none",
	[RVIOMMU_MUTATE_IOTINVAL] = "iotinval",
	[RVIOMMU_MUTATE_NONLEAF] = "nonleaf",
	[RVIOMMU_MUTATE_INVAL_DDT] = "inval_ddt",
	[RVIOMMU_MUTATE_ATTACH_IOTINVAL] = "attach_iotinval",
	[RVIOMMU_MUTATE_FLUSH_ALL] = "flush_all",
	[RVIOMMU_MUTATE_NAPOT_STRIDE] = "napot_stride",
	[RVIOMMU_MUTATE_SYNC_WALK] = "sync_walk",
	[RVIOMMU_MUTATE_UNMAP_WAIT] = "unmap_wait",
	[RVIOMMU_MUTATE_ATTACH_WAIT] = "attach_wait",
	[RVIOMMU_MUTATE_ACCESSES] = "accesses",
	[RVIOMMU_MUTATE_DDT_LINKS] = "ddt_links",
	[RVIOMMU_MUTATE_GUEST_VMA] = "guest_vma",
	[RVIOMMU_MUTATE_GUEST_GVMA] = "guest_gvma",
	[RVIOMMU_MUTATE_INVAL_ORDER] = "inval_order",
	[RVIOMMU_MUTATE_TARGET_LATE] = "target_late",
	[RVIOMMU_MUTATE_TARGET_EARLY] = "target_early",
	[RVIOMMU_MUTATE_COPY_PAGE] = "copy_page",
	[RVIOMMU_MUTATE_BREAK] = "break",
	[RVIOMMU_MUTATE_BREAK_GRACE] = "break_grace",
	[RVIOMMU_MUTATE_VALID_GRACE] = "valid_grace",
	[RVIOMMU_MUTATE_RETIRE_PAGE] = "retire_page",
	[RVIOMMU_MUTATE_RETIRE_TABLES] = "retire_tables",
	[RVIOMMU_MUTATE_RETIRE_PENDING] = "retire_pending",
	[RVIOMMU_MUTATE_PENDING] = "pending",
	[RVIOMMU_MUTATE_RELEASE] = "release",
	[RVIOMMU_MUTATE_RESUME] = "resume",
	[RVIOMMU_MUTATE_INVAL_PDT] = "inval_pdt",
	[RVIOMMU_MUTATE_PDT_GRACE] = "pdt_grace",
	[RVIOMMU_MUTATE_ATS_INVAL] = "ats_inval",
	[RVIOMMU_MUTATE_ATTACH_ATS_INVAL] = "attach_ats",
	[RVIOMMU_MUTATE_ATS_ORDER] = "ats_order",
	[RVIOMMU_MUTATE_ATS_RENEW] = "ats_renew",
	[RVIOMMU_MUTATE_ATS_ENABLE_RENEW] = "ats_enable_renew",
	[RVIOMMU_MUTATE_QUARANTINE] = "quarantine",
	[RVIOMMU_MUTATE_ATS_RESUME] = "ats_resume",
	[RVIOMMU_MUTATE_DIRTY_INVAL] = "dirty_inval",
	[RVIOMMU_MUTATE_DIRTY_EARLY] = "dirty_early",
	[RVIOMMU_MUTATE_DIRTY_START] = "dirty_start",
	[RVIOMMU_MUTATE_PRI_FLUSH] = "pri_flush",
	[RVIOMMU_MUTATE_PRI_DISCARD] = "pri_discard",
	[RVIOMMU_MUTATE_PRI_REFUSE] = "pri_refuse",
	[RVIOMMU_MUTATE_PRI_GAP] = "pri_gap",
	[RVIOMMU_MUTATE_PRI_OFF] = "pri_off",
	[RVIOMMU_MUTATE_PRI_OTHERS] = "pri_others",
	[RVIOMMU_MUTATE_PRI_LATE] = "pri_late",
	[RVIOMMU_MUTATE_PRI_FENCE] = "pri_fence",
	[RVIOMMU_MUTATE_PRI_REUSE] = "pri_reuse",
	[RVIOMMU_MUTATE_PRI_KEY] = "pri_key",
	[RVIOMMU_MUTATE_PRI_EARLY] = "pri_early",
	[RVIOMMU_MUTATE_PRI_DISCARD_EARLY] = "pri_discard_early",
	[RVIOMMU_MUTATE_PRI_WAIT] = "pri_wait",
	[RVIOMMU_MUTATE_PRI_FENCE_EARLY] = "pri_fence_early",
	[RVIOMMU_MUTATE_PRI_GAP_EARLY] = "pri_gap_early",
	[RVIOMMU_MUTATE_PRI_SETTLE] = "pri_settle",
	[RVIOMMU_MUTATE_PRI_SWITCH_OFF] = "pri_switch_off",
	[RVIOMMU_MUTATE_PRI_CLOSE] = "pri_close",
	[RVIOMMU_MUTATE_PRI_FLUSH_AGAIN] = "pri_flush_again",
	[RVIOMMU_MUTATE_PRI_RESPONSES] = "pri_responses",
	[RVIOMMU_MUTATE_PRI_ROOM] = "pri_room",
	[RVIOMMU_MUTATE_PRI_GO_ON] = "pri_go_on",
	[RVIOMMU_MUTATE_PRI_GAP_LATE] = "pri_gap_late",
	[RVIOMMU_MUTATE_PRI_DENIED] = "pri_denied",
	[RVIOMMU_MUTATE_PRI_REFUSE_EARLY] = "pri_refuse_early",
	[RVIOMMU_MUTATE_PRI_PASS] = "pri_pass",
	[RVIOMMU_MUTATE_PRI_SPOILED] = "pri_spoiled",
	[RVIOMMU_MUTATE_PRI_KEPT] = "pri_kept",
	[RVIOMMU_MUTATE_FACE_OFF] = "face_off",
	[RVIOMMU_MUTATE_FACE_READ] = "face_read",
	[RVIOMMU_MUTATE_FACE_FORGET] = "face_forget",
	[RVIOMMU_MUTATE_FACE_FORGET_EARLY] = "face_forget_early",
	[RVIOMMU_MUTATE_FACE_SETTLE] = "face_settle",
	[RVIOMMU_MUTATE_FACE_FENCE] = "face_fence",
	[RVIOMMU_MUTATE_FACE_FENCE_EARLY] = "face_fence_early",
	[RVIOMMU_MUTATE_FACE_ON] = "face_on",
	[RVIOMMU_MUTATE_FACE_ON_EARLY] = "face_on_early",
};

/**
 * rviommu_mutation_name() - what a step is called here
 * @mutation: enum rviommu_mutation
 *
 * Return: its name.
 */
const char *rviommu_mutation_name(unsigned int mutation)
{
	return mutation_names[mutation];
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_mutation_name);

/**
 * rviommu_parse_mutation() - a step by its name
 * @name: a step, or "none" or nothing
 * @mutate: value for rviommu.mutate; untouched on error
 *
 * Return: 0 or -EINVAL.
 */
int rviommu_parse_mutation(const char *name, enum rviommu_mutation *mutate)
{
	int which = *name ? match_string(mutation_names, RVIOMMU_NR_MUTATIONS, name) :
			    RVIOMMU_MUTATE_NOTHING;

	if (which < 0)
		return -EINVAL;
	*mutate = which;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_parse_mutation);

static int mutate_show(struct seq_file *m, void *unused)
{
	struct rviommu *iommu = m->private;
	const enum rviommu_mutation mutate = READ_ONCE(iommu->mutate);
	unsigned int i;

	for (i = 0; i < RVIOMMU_NR_MUTATIONS; i++)
		seq_printf(m, i == mutate ? "%s[%s]" : "%s%s", i ? " " : "", mutation_names[i]);
	seq_puts(m, "\n");
	return 0;
}

static ssize_t mutate_write(struct file *file, const char __user *ubuf, size_t count,
			    loff_t *ppos)
{
	struct rviommu *iommu = file_inode(file)->i_private;
	enum rviommu_mutation mutate;
	char buf[32];
	int ret;

	if (*ppos || count >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, count))
		return -EFAULT;
	buf[count] = '\0';
	ret = rviommu_parse_mutation(strim(buf), &mutate);
	if (ret)
		return ret;
	WRITE_ONCE(iommu->mutate, mutate);
	return count;
}
DEFINE_SHOW_STORE_ATTRIBUTE(mutate);

/* --- coming and going --------------------------------------------------- */

/**
 * rviommu_debugfs_add() - show an IOMMU
 * @iommu: the IOMMU: queues, directory and interrupts are set up, and no device
 *         has been probed behind it yet
 */
void rviommu_debugfs_add(struct rviommu *iommu)
{
	struct dentry *dir;

	/* Never NULL for a parent: that would be the root of all debugfs. */
	if (!root)
		return;
	dir = debugfs_create_dir(iommu->bus->name, root);
	iommu->debugfs = dir;
	debugfs_create_file("capabilities", 0444, dir, iommu, &capabilities_fops);
	debugfs_create_file("queues", 0444, dir, iommu, &queues_fops);
	debugfs_create_file("counters", 0444, dir, iommu, &counters_fops);
	debugfs_create_dir("devices", dir);
	if (IS_ENABLED(CONFIG_RVIOMMU_DEBUG))
		debugfs_create_file("mutate", 0600, dir, iommu, &mutate_fops);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_debugfs_add);

/**
 * rviommu_debugfs_remove() - show an IOMMU no more
 * @iommu: the IOMMU; all endpoints behind it were released, its queues and
 *         directory still exist
 *
 * Waits for readers, so the caller holds no lock that they take.
 */
void rviommu_debugfs_remove(struct rviommu *iommu)
{
	debugfs_remove(iommu->debugfs);
	iommu->debugfs = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_debugfs_remove);

/**
 * rviommu_debugfs_init() - before the first IOMMU
 */
void rviommu_debugfs_init(void)
{
	root = debugfs_create_dir("rviommu", NULL);
	rviommu_debugfs_add_domains(root);
}

/**
 * rviommu_debugfs_exit() - after the last IOMMU
 */
void rviommu_debugfs_exit(void)
{
	debugfs_remove(root);
	root = NULL;
}
