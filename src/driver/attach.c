// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching a device's requester IDs and PASIDs to domains: prepare, publish,
 * synchronise, retire. Hitless: DMA in flight sees the old translation or the new
 * one (but see directory.h for a one-level DDT).
 *
 * A device without PASIDs has its translation in its device context. With the first
 * PASID, that translation moves to PASID 0 of a process directory (DPE = 1: requests
 * without PASID go there), built complete and published with one store, and with
 * the last one it moves back. In between, what changes is one process context at a
 * time.
 *
 *   device context              process directory
 *   V=0                         -              requester IDs blocked, no PASID
 *   V=1, Bare                   -              identity
 *   V=1, iosatp or iohgatp      -              paging
 *   V=1, PDTV, DPE, pdtp  --->  PC 0           V=0, Bare or iosatp, as above
 *                               PC n           the domain of PASID n
 *
 * Who excludes whom: all writers hold ddt.lock of the IOMMU from prepare to retire.
 * Hardware, unmap and debugfs hold nothing.
 */
#include <linux/bitfield.h>
#include <kunit/visibility.h>

#include "mem.h"
#include "rviommu.h"

/**
 * rviommu_make_dc() - the complete device context for a domain
 * @iommu: where it is to be installed
 * @domain: identity, blocking or paging
 *
 * Blocking is an invalid context: every transaction is refused and reported as
 * "DDT entry not valid". Requests carry user privilege and A and D are set at
 * map time, so neither SADE/GADE nor anything of tc but V is needed.
 *
 * Return: the context; all zeroes to block.
 */
struct rviommu_dc rviommu_make_dc(const struct rviommu *iommu, struct iommu_domain *domain)
{
	struct rviommu_dc dc = {};
	const struct rviommu_domain *dom;
	u64 ppn;

	if (domain == &rviommu_blocking_domain)
		return dc;

	dc.word[RVIOMMU_DC_TC] = RVIOMMU_DC_TC_V;
	if (domain == &rviommu_identity_domain)
		return dc;

	dom = to_rviommu_domain(domain);
	ppn = virt_to_phys(dom->pt.root) >> RVIOMMU_PAGE_LG2;
	if (dom->pt.cfg.second_stage) {
		dc.word[RVIOMMU_DC_IOHGATP] =
			FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, dom->pt_mode) |
			FIELD_PREP(RVIOMMU_DC_IOHGATP_GSCID, dom->gscid) |
			FIELD_PREP(RVIOMMU_DC_IOHGATP_PPN, ppn);
	} else {
		dc.word[RVIOMMU_DC_TA] = FIELD_PREP(RVIOMMU_DC_TA_PSCID, dom->pscid);
		dc.word[RVIOMMU_DC_FSC] = FIELD_PREP(RVIOMMU_FSC_MODE, dom->pt_mode) |
					  FIELD_PREP(RVIOMMU_FSC_PPN, ppn);
	}
	return dc;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_make_dc);

/**
 * rviommu_make_pc() - the complete process context for a domain
 * @domain: identity, blocking or a first-stage paging domain
 *
 * ENS and SUM stay 0: no request may have supervisor privilege.
 *
 * Return: the context; all zeroes to block.
 */
struct rviommu_pc rviommu_make_pc(struct iommu_domain *domain)
{
	const struct rviommu_domain *dom;
	struct rviommu_pc pc = {};

	if (!domain || domain == &rviommu_blocking_domain)
		return pc;
	pc.word[RVIOMMU_PC_TA] = RVIOMMU_PC_TA_V;
	if (domain == &rviommu_identity_domain)
		return pc;
	dom = to_rviommu_domain(domain);
	pc.word[RVIOMMU_PC_TA] |= FIELD_PREP(RVIOMMU_PC_TA_PSCID, dom->pscid);
	pc.word[RVIOMMU_PC_FSC] = FIELD_PREP(RVIOMMU_FSC_MODE, dom->pt_mode) |
				  FIELD_PREP(RVIOMMU_FSC_PPN,
					     virt_to_phys(dom->pt.root) >> RVIOMMU_PAGE_LG2);
	return pc;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_make_pc);

/* Fill in ep->updates with one target value for all IDs: a domain's, or a directory's. */
static void rviommu_aim(struct rviommu_endpoint *ep, struct iommu_domain *domain, u64 pdtp)
{
	struct rviommu_dc dc = {};
	unsigned int i;

	if (pdtp) {
		dc.word[RVIOMMU_DC_TC] = RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV |
					 RVIOMMU_DC_TC_DPE;
		dc.word[RVIOMMU_DC_FSC] = pdtp;
	} else if (domain) {
		dc = rviommu_make_dc(ep->iommu, domain);
	}
	if (dc.word[RVIOMMU_DC_TC] && ep->ats.usable)
		dc.word[RVIOMMU_DC_TC] |= RVIOMMU_DC_TC_EN_ATS;
	for (i = 0; i < ep->nr_ids; i++)
		ep->updates[i] = (struct rviommu_dir_update){
			.id = ep->ids[i], .lost = &ep->lost, .new.dc = dc,
		};
}

/* IDs whose contexts are invalidated one by one; above, all of the directory is. */
#define RVIOMMU_DIDS_ONE_BY_ONE	8

static bool rviommu_has_command(const struct rviommu_command *cmds, unsigned int nr,
				struct rviommu_command cmd)
{
	while (nr--)
		if (rviommu_cmd_equal(cmds[nr], cmd))
			return true;
	return false;
}

/* Commands for changed directories that are collected before they have to go out */
#define RVIOMMU_OWED_DIRECTORY	(RVIOMMU_DIDS_ONE_BY_ONE + 1)
/* and for the translations behind them */
#define RVIOMMU_OWED_SPACES	(2 * RVIOMMU_OWED_DIRECTORY)

/**
 * struct rviommu_owed - commands on their way to the IOMMU, each of them once
 * @iommu: the IOMMU
 * @directory: IODIR commands
 * @spaces: IOTINVAL commands
 * @nr_directory: entries of @directory
 * @nr_spaces: entries of @spaces
 *
 * The IDs of a device mostly leave the same domain: what is owed for all of them
 * is said once, and fits into one batch.
 *
 * Between the directory and the translations comes a barrier, for commands are executed
 * in any order (spec "Command-Queue (CQ)"; only IOFENCE.C orders them). DMA that
 * still finds the old context after its translations were invalidated brings them
 * back, and the domain, which this IOMMU is no target of any more, leaves them there
 * for good.
 */
struct rviommu_owed {
	struct rviommu *iommu;
	struct rviommu_command directory[RVIOMMU_OWED_DIRECTORY];
	struct rviommu_command spaces[RVIOMMU_OWED_SPACES];
	unsigned int nr_directory;
	unsigned int nr_spaces;
};

/* What is owed, in order, and no more. Returns the number of commands. */
static unsigned int rviommu_owed_commands(struct rviommu_owed *owed, struct rviommu_command *cmds)
{
	unsigned int i, nr = 0;

	for (i = 0; i < owed->nr_directory; i++)
		cmds[nr++] = owed->directory[i];
	if (nr && owed->nr_spaces && !rviommu_mutated(owed->iommu, RVIOMMU_MUTATE_INVAL_ORDER))
		cmds[nr++] = rviommu_cmd_barrier();
	for (i = 0; i < owed->nr_spaces; i++)
		cmds[nr++] = owed->spaces[i];
	owed->nr_directory = 0;
	owed->nr_spaces = 0;
	return nr;
}

/* Commands that rviommu_owed_commands() writes at most */
#define RVIOMMU_OWED_COMMANDS	(RVIOMMU_OWED_DIRECTORY + 1 + RVIOMMU_OWED_SPACES)

static void rviommu_owe(struct rviommu_owed *owed, struct rviommu_command cmd)
{
	bool iodir = rviommu_cmd_is_iodir(cmd);
	struct rviommu_command *list = iodir ? owed->directory : owed->spaces;
	unsigned int *nr = iodir ? &owed->nr_directory : &owed->nr_spaces;
	u32 fence;

	if (rviommu_has_command(list, *nr, cmd))
		return;
	/* IDs of many domains: aliases of one device do not have that. */
	if (*nr == (iodir ? RVIOMMU_OWED_DIRECTORY : RVIOMMU_OWED_SPACES)) {
		struct rviommu_command cmds[RVIOMMU_OWED_COMMANDS];

		rviommu_cmdq_issue(&owed->iommu->cmdq, cmds, rviommu_owed_commands(owed, cmds),
				   &fence);
	}
	list[(*nr)++] = cmd;
}

/* The translations of a domain that something was detached from. */
static void rviommu_owe_domain(struct rviommu_owed *owed, struct iommu_domain *domain)
{
	if (!rviommu_domain_is_paging(domain) ||
	    rviommu_mutated(owed->iommu, RVIOMMU_MUTATE_ATTACH_IOTINVAL))
		return;
	rviommu_owe(owed, rviommu_space_command(to_rviommu_domain(domain)));
}

/*
 * Whatever is owed, and then what the device itself has cached of @pasid, with
 * one fence behind both.
 *
 * The fence is wanted also when nothing has to be forgotten: after the operation no
 * DMA that was translated before it is still on its way.
 *
 * Returns -EIO if the IOMMU was taken out of service (ddtp is Off): then it uses
 * neither the old contexts nor the new ones.
 */
static int rviommu_settle(struct rviommu_owed *owed, struct rviommu_endpoint *ep, ioasid_t pasid)
{
	struct rviommu_command cmds[RVIOMMU_OWED_COMMANDS + RVIOMMU_ATS_COMMANDS];
	unsigned int nr = rviommu_owed_commands(owed, cmds);
	u32 fence;

	nr += rviommu_ats_commands(ep, pasid, cmds + nr);
	if (rviommu_mutated(owed->iommu, RVIOMMU_MUTATE_ATTACH_WAIT))
		return rviommu_cmdq_issue(&owed->iommu->cmdq, cmds, nr, &fence);
	return rviommu_cmdq_sync(&owed->iommu->cmdq, cmds, nr);
}

/*
 * The device is about to ask for translations of @new, which has it among its targets now.
 * A request is answered from the IOTLB, which other devices of the same space have
 * warmed; so that order of targets and context which suffices for walks does not for an
 * ATC: an unmap that has read the targets before this device was there may have its IOTINVAL
 * still before it, and tells the device nothing. What the IOTLB has at this moment goes,
 * and whoever clears an entry from now on finds the device.
 *
 * Without other users it has nothing: the last one to leave took it along.
 */
static void rviommu_renew(struct rviommu_endpoint *ep, struct iommu_domain *new,
			  struct iommu_domain *left)
{
	struct rviommu_command cmd;

	if (new == left || !READ_ONCE(ep->ats.on) || !rviommu_domain_is_paging(new) ||
	    !rviommu_target_is_shared(to_rviommu_domain(new), ep->iommu) ||
	    rviommu_mutated(ep->iommu, RVIOMMU_MUTATE_ATS_RENEW))
		return;
	cmd = rviommu_space_command(to_rviommu_domain(new));
	/* Queueing is a full barrier behind the targets. -EIO: nothing is translated any more. */
	rviommu_cmdq_sync(&ep->iommu->cmdq, &cmd, 1);
}

static bool rviommu_any_published(const struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (updates[i].how != RVIOMMU_PUBLISH_NONE)
			return true;
	return false;
}

/*
 * Install prepared device contexts, by which @pasid uses @new. @left is the domain that is left.
 * Its translations end with a process directory that goes, and with a device that is in
 * quarantine: the device context tells neither.
 */
static int rviommu_install(struct rviommu_endpoint *ep, struct rviommu_dir_update *updates,
			   unsigned int nr, struct iommu_domain *new, struct iommu_domain *left,
			   ioasid_t pasid)
{
	struct rviommu *iommu = ep->iommu;
	struct rviommu_command cmds[RVIOMMU_CONTEXT_COMMANDS];
	struct rviommu_owed owed = { .iommu = iommu };
	unsigned int i, k, nr_cmds;
	int ret = 0;

	rviommu_renew(ep, new, left);
	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	rviommu_dir_publish(&iommu->ddt.dir, updates, nr);
	for (i = 0; i < nr; i++) {
		/* Of all address spaces of the directory only one is left. */
		if (updates[i].old.word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV) {
			nr_cmds = rviommu_ddt_command(iommu, &updates[i], cmds);
			rviommu_owe_domain(&owed, left);
		} else {
			nr_cmds = rviommu_context_commands(iommu, &updates[i], cmds);
		}
		for (k = 0; k < nr_cmds; k++) {
			if (nr > RVIOMMU_DIDS_ONE_BY_ONE &&
			    rviommu_has_command(&cmds[k], 1, rviommu_cmd_inval_ddt(updates[i].id)))
				cmds[k] = rviommu_cmd_inval_ddt_all();
			rviommu_owe(&owed, cmds[k]);
		}
	}
	if (READ_ONCE(ep->lost))
		rviommu_owe_domain(&owed, left);
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_RETIRE_PAGE))
		rviommu_dir_retire(&iommu->ddt.dir, updates, nr);
	if (rviommu_any_published(updates, nr) || owed.nr_spaces)
		ret = rviommu_settle(&owed, ep, pasid);
	rviommu_dir_retire(&iommu->ddt.dir, updates, nr);
	return ret;
}

/* -EIO: published, and the IOMMU is out of service; other errors: nothing happened. */
static int rviommu_replace_contexts(struct rviommu_endpoint *ep,
				    struct rviommu_dir_update *updates, unsigned int nr,
				    struct iommu_domain *new, struct iommu_domain *left)
{
	int ret;

	ret = rviommu_dir_prepare(&ep->iommu->ddt.dir, updates, nr);
	return ret ?: rviommu_install(ep, updates, nr, new, left, IOMMU_NO_PASID);
}

/*
 * Replace one process context in the device's live directory: that of @new, in place of that of
 * @left. Errors as above. Does not fail, nor need memory, if @new is NULL, to block.
 */
static int rviommu_replace_process(struct rviommu_endpoint *ep, u32 pid,
				   struct iommu_domain *new, struct iommu_domain *left)
{
	struct rviommu_dir_update update = { .id = pid, .new.pc = rviommu_make_pc(new) };
	struct rviommu_owed owed = { .iommu = ep->iommu };
	struct rviommu_ddt *ddt = &ep->iommu->ddt;
	struct rviommu_command cmd;
	u64 *root;
	int ret;
	u32 i;

	ret = rviommu_dir_prepare(&ep->pdt.dir, &update, 1);
	if (ret)
		return ret;
	/* With one level the entry that points to the page is DC.fsc: one word. */
	root = rviommu_dir_new_root(&update, 1);
	if (root) {
		rviommu_aim(ep, NULL, rviommu_pdt_pdtp(ep->pdt.dir.levels, root));
		ret = rviommu_dir_prepare(&ddt->dir, ep->updates, ep->nr_ids);
		if (ret) {
			rviommu_dir_abort(&ep->pdt.dir, &update, 1);
			return ret;
		}
	}

	rviommu_renew(ep, new, left);
	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	rviommu_dir_publish(&ep->pdt.dir, &update, 1);
	if (root)
		rviommu_dir_publish(&ddt->dir, ep->updates, ep->nr_ids);
	if (update.how != RVIOMMU_PUBLISH_NONE) {
		for (i = 0; i < ep->nr_ids; i++)
			if (rviommu_pdt_command(ep->iommu, &update, ep->ids[i], &cmd))
				rviommu_owe(&owed, cmd);
		rviommu_owe_domain(&owed, left);
		ret = rviommu_settle(&owed, ep, pid);
	}
	rviommu_dir_retire(&ep->pdt.dir, &update, 1);
	if (root)
		rviommu_dir_retire(&ddt->dir, ep->updates, ep->nr_ids);
	return ret;
}

/**
 * rviommu_attach_reserve() - have all memory that the first attach needs
 * @ep: the device, nothing is attached yet
 *
 * The core does not accept that the first attach of a device fails, even for want
 * of memory. Called with ddt.lock held.
 *
 * Return: 0, or an error of rviommu_dir_prepare().
 */
int rviommu_attach_reserve(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	unsigned int i;
	int ret;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_dir_update update = {
			.id = ep->ids[i], .lost = &ep->lost, .reserve = true,
		};
		struct rviommu_dc dc;

		/* Another device may be using a shared ID already. */
		if (rviommu_ddt_read(&iommu->ddt, ep->ids[i], &dc))
			continue;
		ret = rviommu_dir_prepare(&iommu->ddt.dir, &update, 1);
		if (ret)
			return ret;
		/* Empty tables: entries that become valid owe no invalidation. */
		rviommu_dir_publish(&iommu->ddt.dir, &update, 1);
		rviommu_dir_retire(&iommu->ddt.dir, &update, 1);
	}
	return 0;
}

/**
 * rviommu_attach_without_ats() - a device has to do without ATS from now on
 * @ep: the device; it has no PASIDs. ddt.lock is held.
 *
 * It goes on with what it is attached to. Only the word tc of its contexts changes, for
 * which no memory is needed, and no request that EN_ATS is for is under way then.
 */
void rviommu_attach_without_ats(struct rviommu_endpoint *ep)
{
	struct iommu_domain *domain = ep->domain;
	int ret;

	if (!ep->ats.usable)
		return;
	rviommu_ats_disable(ep);
	if (rviommu_domain_is_paging(domain))
		rviommu_target_remove_atc(to_rviommu_domain(domain), ep, IOMMU_NO_PASID);
	WRITE_ONCE(ep->ats.usable, false);
	if (!domain || domain == &rviommu_blocking_domain)
		return;
	rviommu_aim(ep, domain, 0);
	ret = rviommu_replace_contexts(ep, ep->updates, ep->nr_ids, domain, domain);
	WARN_ON(ret && ret != -EIO);
}

/* No translation of the requester IDs points to the domain any more; ddt.lock is held. */
static void rviommu_let_go(struct rviommu_endpoint *ep)
{
	if (rviommu_domain_is_paging(ep->domain))
		rviommu_target_remove_device(to_rviommu_domain(ep->domain), ep, IOMMU_NO_PASID);
	WRITE_ONCE(ep->domain, NULL);
}

/* Is another device attached to what a requester ID of @ep uses? ddt.lock is held. */
static bool rviommu_others_use(const struct rviommu_endpoint *ep, u32 id)
{
	const struct rviommu_endpoint *other;
	unsigned int i;

	list_for_each_entry(other, &ep->iommu->endpoints, node)
		for (i = 0; other != ep && other->domain &&
		     other->domain != &rviommu_blocking_domain && i < other->nr_ids; i++)
			if (other->ids[i] == id)
				return true;
	return false;
}

/*
 * Make the device's contexts invalid. Cannot fail, because the core has nothing else to
 * fall back on: one context at a time, each becomes invalid in one word. A
 * requester ID that another device uses too (a PCI alias) keeps its context if
 * @shared says so. One that has the ID and is not attached yet does not use it: the core may
 * free the domain that only @ep was attached to.
 */
static void rviommu_invalidate_contexts(struct rviommu_endpoint *ep, bool shared)
{
	unsigned int i;
	int ret;

	rviommu_ats_disable(ep);
	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_dir_update update = { .id = ep->ids[i], .lost = &ep->lost };

		if (shared && rviommu_others_use(ep, ep->ids[i]))
			continue;
		ret = rviommu_replace_contexts(ep, &update, 1, NULL, ep->domain);
		WARN_ON(ret && ret != -EIO);
	}
}

/* Block the requester IDs. PASIDs go on; a directory without any, see rviommu_collapse(), goes. */
static void rviommu_block(struct rviommu_endpoint *ep)
{
	mutex_lock(&ep->iommu->ddt.lock);
	if (ep->pdt.dir.root && !xa_empty(&ep->pasids)) {
		int ret = rviommu_replace_process(ep, IOMMU_NO_PASID, NULL,
						  ep->domain);

		WARN_ON(ret && ret != -EIO);
	} else {
		rviommu_invalidate_contexts(ep, false);
		rviommu_dir_retire_all(&ep->pdt.dir);
	}
	if (ep->domain != &rviommu_blocking_domain)
		rviommu_back_set(&ep->back, ep, IOMMU_NO_PASID, ep->domain);
	rviommu_let_go(ep);
	WRITE_ONCE(ep->domain, &rviommu_blocking_domain);
	mutex_unlock(&ep->iommu->ddt.lock);
}

/*
 * Replace what the requester IDs use without memory for it, and so not hitless: block, then
 * attach. For the way back only, where the core has nothing to do with an error but to leave
 * the device blocked. Returns 0 or -EIO.
 */
static int rviommu_break(struct rviommu_endpoint *ep, struct iommu_domain *new)
{
	if (ep->pdt.dir.root && !xa_empty(&ep->pasids)) {
		rviommu_replace_process(ep, IOMMU_NO_PASID, NULL, ep->domain);
		return rviommu_replace_process(ep, IOMMU_NO_PASID, new, NULL);
	}
	rviommu_invalidate_contexts(ep, false);
	rviommu_aim(ep, new, 0);
	return rviommu_replace_contexts(ep, ep->updates, ep->nr_ids, new, NULL);
}

/* Is the IOMMU out of service, or the device, for good? Not under ddt.lock. */
static bool rviommu_out(struct rviommu_endpoint *ep)
{
	if (READ_ONCE(ep->lost)) {
		mutex_lock(&ep->iommu->ddt.lock);
		rviommu_ats_take_back(ep);
		mutex_unlock(&ep->iommu->ddt.lock);
	}
	return rviommu_is_dead(ep->iommu) || READ_ONCE(ep->lost);
}

/**
 * rviommu_attach() - attach or replace what all requester IDs of a device use
 * @ep: the device
 * @new: identity, blocking, or a paging domain of this driver
 *
 * The old domain stays in force until the new one is. May sleep.
 *
 * The way back needs no memory: to the core's own default domain, and to the domain before
 * this one, when another device of the group could not follow. Without it all is blocked
 * for a moment.
 *
 * On an IOMMU that is out of service everything is blocked, because ddtp is Off, and
 * so is everything of a device that is lost. There the way back is open, to the core's own
 * default domain and to the domain before this one: the core knows no error
 * there, and frees the other domain in any case. So @ep lets go of that one, and is
 * blocked by the driver's record, too. Nobody else's domain is accepted any
 * more, but the current one is: the core attaches it again after a reset. A lost
 * device is in service again when it was blocked completely, see rviommu_ats_take_back().
 *
 * Return: 0, always for the blocking domain; -EINVAL if the IOMMU cannot use
 * @new; -EBUSY if PASIDs are attached, which exclude a second-stage @new; -ENOMEM; -EIO
 * if the IOMMU or the device is out of service. On error the old attachment is as it
 * was.
 */
int rviommu_attach(struct rviommu_endpoint *ep, struct iommu_domain *new)
{
	struct rviommu *iommu = ep->iommu;
	struct iommu_domain *old;
	bool late, early; /* only in a mutation run */
	int ret;

	if (new == &rviommu_blocking_domain) {
		rviommu_block(ep);
		return 0;
	}
	if (rviommu_out(ep)) {
		if (new == ep->domain)
			return 0;
		if (new->type == IOMMU_DOMAIN_UNMANAGED &&
		    !rviommu_back_leads_to(&ep->back, IOMMU_NO_PASID, new))
			return -EIO;
		/* The core takes the device for attached to @new, and frees what was before. */
		rviommu_block(ep);
		return 0;
	}
	if (rviommu_domain_is_paging(new)) {
		ret = rviommu_domain_compatible(to_rviommu_domain(new), iommu);
		if (ret)
			return ret;
	}

	mutex_lock(&iommu->ddt.lock);
	old = ep->domain;
	late = rviommu_mutated(iommu, RVIOMMU_MUTATE_TARGET_LATE);
	early = rviommu_mutated(iommu, RVIOMMU_MUTATE_TARGET_EARLY);
	if (!xa_empty(&ep->pasids) && rviommu_domain_is_paging(new) &&
	    to_rviommu_domain(new)->pt.cfg.second_stage) {
		ret = -EBUSY;
		goto unlock;
	}
	if (early && rviommu_domain_is_paging(old) && new != old)
		rviommu_target_remove_device(to_rviommu_domain(old), ep, IOMMU_NO_PASID);
	if (rviommu_domain_is_paging(new) && new != old && !late) {
		ret = rviommu_target_add_device(to_rviommu_domain(new), ep, IOMMU_NO_PASID);
		if (ret)
			goto unlock;
	}
	if (ep->pdt.dir.root && !xa_empty(&ep->pasids)) {
		ret = rviommu_replace_process(ep, IOMMU_NO_PASID, new, old);
	} else {
		rviommu_aim(ep, new, 0);
		ret = rviommu_replace_contexts(ep, ep->updates, ep->nr_ids, new, old);
	}
	if (ret == -ENOMEM && old && (new->type != IOMMU_DOMAIN_UNMANAGED ||
				      rviommu_back_leads_to(&ep->back, IOMMU_NO_PASID, new)))
		ret = rviommu_break(ep, new);
	/* One that could not go with the last PASID, see rviommu_collapse(). */
	if ((!ret || ret == -EIO) && xa_empty(&ep->pasids))
		rviommu_dir_retire_all(&ep->pdt.dir);
	/* Out of service: everything is blocked, and the new domain is as good as the old. */
	if (ret == -EIO)
		ret = 0;
	if (ret) {
		if (rviommu_domain_is_paging(new) && new != old)
			rviommu_target_remove_device(to_rviommu_domain(new), ep, IOMMU_NO_PASID);
		goto unlock;
	}
	if (late && rviommu_domain_is_paging(new) && new != old)
		rviommu_target_add_device(to_rviommu_domain(new), ep, IOMMU_NO_PASID);
	WRITE_ONCE(ep->domain, new);
	if (new != old)
		rviommu_back_set(&ep->back, ep, IOMMU_NO_PASID, old);
	if (rviommu_domain_is_paging(old) && new != old && !early)
		rviommu_target_remove_device(to_rviommu_domain(old), ep, IOMMU_NO_PASID);
	rviommu_ats_enable(ep);
unlock:
	mutex_unlock(&iommu->ddt.lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach);

/* The first PASID: the requester IDs' translation moves to PASID 0. */
static int rviommu_expand(struct rviommu_endpoint *ep, u32 pid, struct iommu_domain *new)
{
	struct rviommu_dir_update contexts[] = {
		{ .id = 0, .new.pc = rviommu_make_pc(ep->domain) },
		{ .id = pid, .new.pc = rviommu_make_pc(new) },
	};
	struct rviommu_ddt *ddt = &ep->iommu->ddt;
	struct rviommu_pdt pdt;
	int ret;

	ret = rviommu_pdt_init(&pdt, ddt, rviommu_pasid_levels(ep), ep->ids[0], ep->nr_ids > 1);
	if (ret)
		return ret;
	ret = rviommu_dir_prepare(&pdt.dir, contexts, ARRAY_SIZE(contexts));
	if (!ret) {
		rviommu_aim(ep, NULL, rviommu_pdt_pdtp(pdt.dir.levels, pdt.dir.root));
		ret = rviommu_dir_prepare(&ddt->dir, ep->updates, ep->nr_ids);
	}
	if (ret) {
		rviommu_dir_destroy(&pdt.dir);
		return ret;
	}
	pdt.dir.live = true;
	ep->pdt = pdt;
	return rviommu_install(ep, ep->updates, ep->nr_ids, new, NULL, pid);
}

/*
 * The last PASID is @pid, of domain @left: the requester IDs' translation moves back.
 * For want of memory the directory stays, with that PASID blocked, which cannot fail.
 */
static int rviommu_collapse(struct rviommu_endpoint *ep, u32 pid, struct iommu_domain *left)
{
	int ret;

	if (!ep->domain || ep->domain == &rviommu_blocking_domain)
		rviommu_ats_disable(ep);
	rviommu_aim(ep, ep->domain, 0);
	ret = rviommu_dir_prepare(&ep->iommu->ddt.dir, ep->updates, ep->nr_ids);
	if (ret)
		return rviommu_replace_process(ep, pid, NULL, left);
	ret = rviommu_install(ep, ep->updates, ep->nr_ids, NULL, left, pid);
	rviommu_dir_retire_all(&ep->pdt.dir);
	return ret;
}

/* Is @pasid the only one? */
static bool rviommu_last_pasid(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	unsigned long index = 0;
	void *domain = xa_find(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);

	return domain && index == pasid &&
	       !xa_find_after(&ep->pasids, &index, ULONG_MAX, XA_PRESENT);
}

/* Does another device have one of the IDs? Its requests would use our directory. */
static bool rviommu_shares_ids(struct rviommu_endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_did *did = xa_load(&ep->iommu->dids, ep->ids[i]);

		if (did && did->users > 1)
			return true;
	}
	return false;
}

static int rviommu_pasid_possible(struct rviommu_endpoint *ep, ioasid_t pasid,
				  struct iommu_domain *new)
{
	if (!ep->max_pasids)
		return -EOPNOTSUPP;
	if (pasid == IOMMU_NO_PASID || pasid >= ep->max_pasids)
		return -EINVAL;
	if (!rviommu_domain_is_paging(new))
		return 0;
	/* With a Bare second stage, and not the other way round. */
	if (to_rviommu_domain(new)->pt.cfg.second_stage)
		return -EINVAL;
	return rviommu_domain_compatible(to_rviommu_domain(new), ep->iommu);
}

static void rviommu_drop_pasid(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	struct iommu_domain *now = xa_load(&ep->pasids, pasid);
	int ret;

	if (!now)
		return;
	if (rviommu_last_pasid(ep, pasid))
		ret = rviommu_collapse(ep, pasid, now);
	else
		ret = rviommu_replace_process(ep, pasid, NULL, now);
	WARN_ON(ret && ret != -EIO);
	xa_erase(&ep->pasids, pasid);
	if (rviommu_domain_is_paging(now))
		rviommu_target_remove_device(to_rviommu_domain(now), ep, pasid);
}

/*
 * The same where the IOMMU or the device is out of service: nothing is translated. The core
 * takes no refusal after a reset, when the blocking domain is @old, nor on the way back: there
 * it frees the domain that is attached now.
 */
static int rviommu_attach_pasid_out(struct rviommu_endpoint *ep, ioasid_t pasid,
				    struct iommu_domain *new, struct iommu_domain *old)
{
	bool back;

	if (old == &rviommu_blocking_domain)
		return 0;
	mutex_lock(&ep->iommu->ddt.lock);
	back = rviommu_back_leads_to(&ep->pasid_back, pasid, new);
	if (back)
		rviommu_drop_pasid(ep, pasid);
	mutex_unlock(&ep->iommu->ddt.lock);
	return back ? 0 : -EIO;
}

/**
 * rviommu_attach_pasid() - attach or replace what a PASID of a device uses
 * @ep: the device
 * @pasid: the PASID
 * @new: identity, or a first-stage paging domain
 * @old: what the core says is attached; NULL: nothing, or it does not say
 *
 * As rviommu_attach(): the old domain stays in force until the new one is; after
 * the return no cache holds anything of the old one for this PASID. The driver's own
 * record decides what the old one is. May sleep.
 *
 * The way back to the domain before this one needs no memory, as in rviommu_attach().
 *
 * After a reset the core attaches what was there, with the blocking domain as @old, and
 * takes no refusal, nor does it on the way back: where the IOMMU is out of service nothing is
 * attached, nor translated, and that is no error then.
 *
 * Return: 0; -EOPNOTSUPP if the device or the IOMMU has no PASIDs; -EINVAL if it
 * has not this one, or if it cannot use @new: a second-stage domain, or one of a
 * format that the IOMMU has not; -EBUSY if the requester IDs exclude PASIDs, because
 * they use a second-stage domain or are another device's, too; -ENOMEM; -EIO if the
 * IOMMU or the device is out of service. On error the old attachment is as it was.
 */
int rviommu_attach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid, struct iommu_domain *new,
			 struct iommu_domain *old)
{
	struct rviommu *iommu = ep->iommu;
	struct iommu_domain *now;
	int ret;

	ret = rviommu_pasid_possible(ep, pasid, new);
	if (ret)
		return ret;

	if (rviommu_out(ep))
		return rviommu_attach_pasid_out(ep, pasid, new, old);

	mutex_lock(&iommu->ddt.lock);
	now = xa_load(&ep->pasids, pasid);
	/* The core does not know of a PASID that could not be attached again. */
	WARN_ONCE(now && old && old != now,
		  "%s: the core's record of PASID %u is not ours\n", ep->name, pasid);
	ret = -EBUSY;
	if (rviommu_domain_is_paging(ep->domain) &&
	    to_rviommu_domain(ep->domain)->pt.cfg.second_stage)
		goto unlock;
	if (rviommu_shares_ids(ep))
		goto unlock;
	ret = 0;
	if (new == now)
		goto unlock;

	if (!now) {
		ret = rviommu_alloc_fails() ? -ENOMEM :
		      xa_reserve(&ep->pasids, pasid, GFP_KERNEL);
		if (ret)
			goto unlock;
	}
	if (rviommu_domain_is_paging(new)) {
		ret = rviommu_target_add_device(to_rviommu_domain(new), ep, pasid);
		if (ret)
			goto unreserve;
	}
	if (ep->pdt.dir.root)
		ret = rviommu_replace_process(ep, pasid, new, now);
	else
		ret = rviommu_expand(ep, pasid, new);
	if (ret == -ENOMEM && now && rviommu_back_leads_to(&ep->pasid_back, pasid, new)) {
		rviommu_replace_process(ep, pasid, NULL, now);
		ret = rviommu_replace_process(ep, pasid, new, NULL);
	}
	/* Also with -EIO: then nothing is translated any more, and the record says so. */
	if (ret) {
		if (rviommu_domain_is_paging(new))
			rviommu_target_remove_device(to_rviommu_domain(new), ep, pasid);
		goto unreserve;
	}
	/* Cannot fail: the entry is there. */
	xa_store(&ep->pasids, pasid, new, GFP_KERNEL);
	rviommu_back_set(&ep->pasid_back, ep, pasid, now);
	if (rviommu_domain_is_paging(now))
		rviommu_target_remove_device(to_rviommu_domain(now), ep, pasid);
	/* The first one may have made the context valid. */
	rviommu_ats_enable(ep);
	goto unlock;

unreserve:
	if (!now)
		xa_release(&ep->pasids, pasid);
unlock:
	mutex_unlock(&iommu->ddt.lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach_pasid);

/**
 * rviommu_detach_pasid() - block a PASID
 * @ep: the device
 * @pasid: the PASID; nothing happens if nothing is attached to it
 *
 * Cannot fail: a process context becomes invalid in one word. On return no cache, of
 * the IOMMU or of the device, holds anything of the PASID.
 */
void rviommu_detach_pasid(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	mutex_lock(&ep->iommu->ddt.lock);
	rviommu_drop_pasid(ep, pasid);
	mutex_unlock(&ep->iommu->ddt.lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_pasid);

/**
 * rviommu_detach_release() - block what only this device uses, before it goes
 * @ep: the device; the core will not attach it again
 *
 * A requester ID that another device has too (a PCI alias) keeps its context:
 * that device goes on. Called with ddt.lock held. Cannot fail: a context
 * becomes invalid in one word.
 */
void rviommu_detach_release(struct rviommu_endpoint *ep)
{
	unsigned long pasid;
	void *domain;

	lockdep_assert_held(&ep->iommu->ddt.lock);
	/* The core removes them before it releases the device. */
	WARN_ON(!xa_empty(&ep->pasids));
	xa_for_each(&ep->pasids, pasid, domain)
		rviommu_drop_pasid(ep, pasid);
	xa_destroy(&ep->pasids);
	if (!rviommu_mutated(ep->iommu, RVIOMMU_MUTATE_RELEASE))
		rviommu_invalidate_contexts(ep, true);
	rviommu_dir_retire_all(&ep->pdt.dir);
	rviommu_let_go(ep);
	rviommu_back_set(&ep->back, ep, IOMMU_NO_PASID, NULL);
	rviommu_back_set(&ep->pasid_back, ep, IOMMU_NO_PASID, NULL);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_release);
