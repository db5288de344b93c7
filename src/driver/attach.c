// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching a device's requester IDs to a domain: prepare, publish,
 * synchronise, retire. Hitless: DMA in flight sees the old translation or
 * the new one (but see directory.h for a one-level DDT).
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

/* IDs whose contexts are invalidated one by one; above, all of the directory is. */
#define RVIOMMU_DIDS_ONE_BY_ONE	8

static bool rviommu_has_command(const struct rviommu_command *cmds, unsigned int nr,
				struct rviommu_command cmd)
{
	while (nr--)
		if (cmds[nr].dword[0] == cmd.dword[0] && cmds[nr].dword[1] == cmd.dword[1])
			return true;
	return false;
}

static bool rviommu_is_iodir(struct rviommu_command cmd)
{
	return FIELD_GET(RVIOMMU_CMD_OPCODE, le64_to_cpu(cmd.dword[0])) ==
	       RVIOMMU_CMD_OPCODE_IODIR;
}

/*
 * Queue the first @split of @nr commands with a fence of their own, if there are others
 * behind them. Returns how many were queued.
 */
static unsigned int rviommu_fence_off(struct rviommu *iommu, const struct rviommu_command *cmds,
				      unsigned int split, unsigned int nr)
{
	u32 fence;

	if (!split || split == nr || rviommu_mutated(iommu, RVIOMMU_MUTATE_INVAL_ORDER))
		return 0;
	rviommu_cmdq_issue(&iommu->cmdq, cmds, split, &fence);
	return split;
}

/*
 * Make the IOMMU forget the old contexts. An error means that it was taken out
 * of service (ddtp is Off): then it uses neither the old nor the new one, and
 * there is nothing to undo.
 *
 * The IDs of a device mostly leave the same domain: what is owed for all of them
 * is said once.
 *
 * Between the directory and the translations comes a fence, for commands are executed
 * in any order (spec "Command-Queue Fence commands" and before). DMA that still finds
 * the old context after its translations were invalidated brings them back, and the
 * domain, which this IOMMU is no target of any more, leaves them there for good.
 */
static void rviommu_sync_contexts(struct rviommu *iommu, const struct rviommu_ddt_update *updates,
				  unsigned int nr)
{
	struct rviommu_command cmds[(RVIOMMU_DIDS_ONE_BY_ONE + 1) * RVIOMMU_CONTEXT_COMMANDS];
	struct rviommu_command owed[RVIOMMU_CONTEXT_COMMANDS];
	unsigned int i, k, nr_owed, used = 0, turn, split = 0, first;
	bool changed = false;
	u32 fence;

	for (turn = 0; turn < 2 * nr; turn++) {
		i = turn % nr;
		if (turn == nr)
			split = used;
		if (updates[i].how == RVIOMMU_PUBLISH_NONE)
			continue;
		changed = true;
		nr_owed = rviommu_context_commands(iommu, &updates[i], owed);
		for (k = 0; k < nr_owed; k++) {
			if (rviommu_is_iodir(owed[k]) ? turn >= nr : turn < nr)
				continue;
			if (nr > RVIOMMU_DIDS_ONE_BY_ONE &&
			    rviommu_has_command(&owed[k], 1, rviommu_cmd_inval_ddt(updates[i].did)))
				owed[k] = rviommu_cmd_inval_ddt_all();
			if (!rviommu_has_command(cmds, used, owed[k]))
				cmds[used++] = owed[k];
		}
		/* IDs of many domains: aliases of one device do not have that. */
		if (used + RVIOMMU_CONTEXT_COMMANDS > ARRAY_SIZE(cmds)) {
			first = rviommu_fence_off(iommu, cmds, split, used);
			rviommu_cmdq_issue(&iommu->cmdq, cmds + first, used - first, &fence);
			used = 0;
			split = 0;
		}
	}
	first = rviommu_fence_off(iommu, cmds, split, used);
	/*
	 * The fence is wanted also when nothing has to be forgotten: after the
	 * operation no DMA that was translated before it is still on its way.
	 */
	if (changed && rviommu_mutated(iommu, RVIOMMU_MUTATE_ATTACH_WAIT))
		rviommu_cmdq_issue(&iommu->cmdq, cmds + first, used - first, &fence);
	else if (changed)
		rviommu_cmdq_sync(&iommu->cmdq, cmds + first, used - first);
}

static int rviommu_replace_contexts(struct rviommu *iommu, struct rviommu_ddt_update *updates,
				    unsigned int nr)
{
	int ret;

	ret = rviommu_ddt_prepare(&iommu->ddt, updates, nr);
	if (ret)
		return ret;

	/* Pairs with the barrier in rviommu_inval_targets(). */
	smp_mb();
	rviommu_ddt_publish(&iommu->ddt, updates, nr);
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_RETIRE_PAGE))
		rviommu_ddt_retire(&iommu->ddt, updates, nr);
	rviommu_sync_contexts(iommu, updates, nr);
	rviommu_ddt_retire(&iommu->ddt, updates, nr);
	return 0;
}

/**
 * rviommu_attach_reserve() - have all memory that the first attach needs
 * @ep: the device, nothing is attached yet
 *
 * The core does not accept that the first attach of a device fails, even for want
 * of memory. Called with ddt.lock held.
 *
 * Return: 0, or an error of rviommu_ddt_prepare().
 */
int rviommu_attach_reserve(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	unsigned int i;
	int ret;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_ddt_update update = { .did = ep->ids[i], .reserve = true };
		struct rviommu_dc dc;

		/* Another device may be using a shared ID already. */
		if (rviommu_ddt_read(&iommu->ddt, ep->ids[i], &dc))
			continue;
		ret = rviommu_ddt_prepare(&iommu->ddt, &update, 1);
		if (ret)
			return ret;
		/* Empty tables: entries that become valid owe no invalidation. */
		rviommu_ddt_publish(&iommu->ddt, &update, 1);
		rviommu_ddt_retire(&iommu->ddt, &update, 1);
	}
	return 0;
}

/* No translation points to the domain any more; ddt.lock is held. */
static void rviommu_let_go(struct rviommu_endpoint *ep)
{
	if (rviommu_domain_is_paging(ep->domain))
		rviommu_target_remove(to_rviommu_domain(ep->domain), ep->iommu);
	WRITE_ONCE(ep->domain, NULL);
}

/*
 * Block all requester IDs. Cannot fail, because the core has nothing else to fall
 * back on: one context at a time, each becomes invalid in one word.
 */
static void rviommu_block(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	unsigned int i;

	mutex_lock(&iommu->ddt.lock);
	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_ddt_update update = { .did = ep->ids[i] };

		WARN_ON(rviommu_replace_contexts(iommu, &update, 1));
	}
	rviommu_let_go(ep);
	WRITE_ONCE(ep->domain, &rviommu_blocking_domain);
	mutex_unlock(&iommu->ddt.lock);
}

/**
 * rviommu_attach() - attach or replace what all requester IDs of a device use
 * @ep: the device
 * @new: identity, blocking, or a paging domain of this driver
 *
 * The old domain stays in force until the new one is. May sleep.
 *
 * On an IOMMU that is out of service everything is blocked, because ddtp is Off.
 * There @ep lets go of its domain whatever comes next, and the way back to the
 * core's own default domain is open: the core knows no error there, and frees the
 * old domain in any case. Nobody else's domain is accepted any more.
 *
 * Return: 0, always for the blocking domain; -EINVAL if the IOMMU cannot use
 * @new; -ENOMEM; -EIO if the IOMMU is out of service. On error the old attachment
 * is as it was, except with -EIO.
 */
int rviommu_attach(struct rviommu_endpoint *ep, struct iommu_domain *new)
{
	struct rviommu_ddt_update *updates = ep->updates;
	struct rviommu *iommu = ep->iommu;
	struct iommu_domain *old;
	struct rviommu_dc dc;
	bool late, early; /* only in a mutation run */
	unsigned int i;
	int ret;

	if (new == &rviommu_blocking_domain) {
		rviommu_block(ep);
		return 0;
	}
	if (rviommu_is_dead(iommu)) {
		rviommu_block(ep);
		return new->type == IOMMU_DOMAIN_UNMANAGED ? -EIO : 0;
	}
	if (rviommu_domain_is_paging(new)) {
		ret = rviommu_domain_compatible(to_rviommu_domain(new), iommu);
		if (ret)
			return ret;
	}

	dc = rviommu_make_dc(iommu, new);
	mutex_lock(&iommu->ddt.lock);
	for (i = 0; i < ep->nr_ids; i++)
		updates[i] = (struct rviommu_ddt_update){ .did = ep->ids[i], .new = dc };
	old = ep->domain;
	late = rviommu_mutated(iommu, RVIOMMU_MUTATE_TARGET_LATE);
	early = rviommu_mutated(iommu, RVIOMMU_MUTATE_TARGET_EARLY);
	if (early && rviommu_domain_is_paging(old) && new != old)
		rviommu_target_remove(to_rviommu_domain(old), iommu);
	if (rviommu_domain_is_paging(new) && new != old && !late) {
		ret = rviommu_target_add(to_rviommu_domain(new), iommu);
		if (ret)
			goto unlock;
	}
	ret = rviommu_replace_contexts(iommu, updates, ep->nr_ids);
	if (ret) {
		if (rviommu_domain_is_paging(new) && new != old)
			rviommu_target_remove(to_rviommu_domain(new), iommu);
		goto unlock;
	}
	if (late && rviommu_domain_is_paging(new) && new != old)
		rviommu_target_add(to_rviommu_domain(new), iommu);
	WRITE_ONCE(ep->domain, new);
	if (rviommu_domain_is_paging(old) && new != old && !early)
		rviommu_target_remove(to_rviommu_domain(old), iommu);
unlock:
	mutex_unlock(&iommu->ddt.lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attach);

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
	struct rviommu *iommu = ep->iommu;
	unsigned int i;

	lockdep_assert_held(&iommu->ddt.lock);
	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_ddt_update update = { .did = ep->ids[i] };
		struct rviommu_did *did = xa_load(&iommu->dids, ep->ids[i]);

		if ((did && did->users > 1) || rviommu_mutated(iommu, RVIOMMU_MUTATE_RELEASE))
			continue;
		WARN_ON(rviommu_replace_contexts(iommu, &update, 1));
	}
	rviommu_let_go(ep);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_detach_release);
