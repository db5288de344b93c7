// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts: what a device context or a process context says, and what hardware has to forget
 * when it changes (spec "Caching in-memory data structures").
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <kunit/visibility.h>

#include "atc.h"
#include "attachment.h"
#include "cmdq.h"
#include "command.h"
#include "context.h"
#include "directory.h"
#include "endpoint.h"
#include "filter.h"
#include "mutate.h"
#include "quirks.h"
#include "rviommu.h"
#include "space.h"

/* DC.fsc or PC.fsc that leads to the page table of a first stage */
static u64 rviommu_space_fsc(const struct rviommu_space *space)
{
	return FIELD_PREP(RVIOMMU_FSC_MODE, space->mode) |
	       FIELD_PREP(RVIOMMU_FSC_PPN, space->root >> RVIOMMU_PAGE_LG2);
}

/* What a device context says of an address space */
static void rviommu_dc_space(struct rviommu_dc *dc, const struct rviommu_space *space)
{
	if (space->second_stage) {
		dc->word[RVIOMMU_DC_IOHGATP] =
			FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, space->mode) |
			FIELD_PREP(RVIOMMU_DC_IOHGATP_GSCID, space->gscid) |
			FIELD_PREP(RVIOMMU_DC_IOHGATP_PPN, space->root >> RVIOMMU_PAGE_LG2);
	} else {
		dc->word[RVIOMMU_DC_TA] = FIELD_PREP(RVIOMMU_DC_TA_PSCID, space->pscid);
		dc->word[RVIOMMU_DC_FSC] = rviommu_space_fsc(space);
	}
}

/*
 * What DC.tc says of any valid context of a device, with whatever is attached.
 *
 * SADE and GADE, where the IOMMU has them, for all: they are per device, and a domain may be
 * tracked for one PASID of it. They cost nothing where nothing is tracked, because A and D are set
 * at map time then, so there is nothing to update ("IOMMU updating of PTE accessed (A) and dirty
 * (D) updates" recommends just that). And so tc is the same before, while and after something is
 * tracked: no context changes for it, and no change of domain has one word more.
 *
 * (A guest's first stage, should it be nested, will want its own choice of SADE.)
 */
static u64 rviommu_dc_tc(const struct rviommu_endpoint *ep)
{
	u64 tc = RVIOMMU_DC_TC_V;

	if (ep->iommu->caps & RVIOMMU_CAP_AMO_HWAD)
		tc |= RVIOMMU_DC_TC_SADE | RVIOMMU_DC_TC_GADE;
	if (ep->ats.usable)
		tc |= RVIOMMU_DC_TC_EN_ATS | (ep->pri.usable ? RVIOMMU_DC_TC_EN_PRI : 0) |
		      (ep->pri.pasid ? RVIOMMU_DC_TC_PRPR : 0);
	return tc;
}

/**
 * rviommu_make_dc() - the complete device context of a device
 * @ep: the device
 * @rid: what its requester IDs use, if @pdtp is 0; NULL: nothing
 * @pdtp: its process directory, as DC.fsc says it; 0: none
 *
 * Blocking is an invalid context: every transaction is refused and reported as
 * "DDT entry not valid". Requests carry user privilege.
 *
 * Return: the context; all zeroes to block.
 */
struct rviommu_dc rviommu_make_dc(const struct rviommu_endpoint *ep,
				  const struct rviommu_attachment *rid, u64 pdtp)
{
	struct rviommu_dc dc = {};

	if (pdtp) {
		dc.word[RVIOMMU_DC_TC] = rviommu_dc_tc(ep) | RVIOMMU_DC_TC_PDTV |
					 RVIOMMU_DC_TC_DPE;
		dc.word[RVIOMMU_DC_FSC] = pdtp;
	} else if (rid && !rviommu_is_blocked(rid->domain)) {
		dc.word[RVIOMMU_DC_TC] = rviommu_dc_tc(ep);
		if (rid->space)
			rviommu_dc_space(&dc, rid->space);
	}
	return dc;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_make_dc);

/**
 * rviommu_make_pc() - the complete process context of what is attached to a PASID
 * @a: the attachment: identity, nothing, or of a first stage; NULL: nothing
 *
 * ENS and SUM stay 0: no request may have supervisor privilege.
 *
 * Return: the context; all zeroes to block.
 */
struct rviommu_pc rviommu_make_pc(const struct rviommu_attachment *a)
{
	struct rviommu_pc pc = {};

	if (!a || rviommu_is_blocked(a->domain))
		return pc;
	pc.word[RVIOMMU_PC_TA] = RVIOMMU_PC_TA_V;
	if (!a->space)
		return pc;
	pc.word[RVIOMMU_PC_TA] |= FIELD_PREP(RVIOMMU_PC_TA_PSCID, a->space->pscid);
	pc.word[RVIOMMU_PC_FSC] = rviommu_space_fsc(a->space);
	return pc;
}

/**
 * rviommu_ddt_command() - the directory's share of what a changed device context owes
 * @iommu: the IOMMU
 * @update: the change, published
 * @cmd: the command
 *
 * Return: false if nothing has to be forgotten.
 */
bool rviommu_ddt_command(const struct rviommu *iommu, const struct rviommu_dir_update *update,
			 struct rviommu_command *cmd)
{
	switch (update->how) {
	case RVIOMMU_PUBLISH_NONE:
		return false;
	case RVIOMMU_PUBLISH_VALID:
		if (!test_bit(RVIOMMU_QUIRK_NOTIFY_VALID, &iommu->quirks))
			return false;
		*cmd = rviommu_cmd_inval_ddt(update->id);
		return true;
	case RVIOMMU_PUBLISH_WORD:
	case RVIOMMU_PUBLISH_BREAK:
		*cmd = rviommu_cmd_inval_ddt(update->id);
		break;
	case RVIOMMU_PUBLISH_PAGE:
		*cmd = rviommu_cmd_inval_ddt_all();
		break;
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ddt_command);

/**
 * rviommu_pdt_command() - the directory's share of what a changed process context owes
 * @iommu: the IOMMU
 * @update: the change, published
 * @did: device_id
 * @cmd: the command
 *
 * Return: false if nothing has to be forgotten.
 */
bool rviommu_pdt_command(const struct rviommu *iommu, const struct rviommu_dir_update *update,
			 u32 did, struct rviommu_command *cmd)
{
	switch (update->how) {
	case RVIOMMU_PUBLISH_NONE:
	case RVIOMMU_PUBLISH_BREAK:
		return false;
	case RVIOMMU_PUBLISH_VALID:
		if (!test_bit(RVIOMMU_QUIRK_NOTIFY_VALID, &iommu->quirks))
			return false;
		*cmd = rviommu_cmd_inval_pdt(did, update->id);
		return true;
	case RVIOMMU_PUBLISH_WORD:
		*cmd = rviommu_cmd_inval_pdt(did, update->id);
		break;
	case RVIOMMU_PUBLISH_PAGE:
		/* A non-leaf entry of the PDT, or DC.fsc itself. */
		*cmd = rviommu_cmd_inval_ddt(did);
		break;
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pdt_command);

/**
 * rviommu_context_commands() - what a changed device context owes
 * @iommu: the IOMMU
 * @update: the change, published
 * @cmds: room for %RVIOMMU_CONTEXT_COMMANDS commands
 *
 * Spec "Changing device directory table entry": the values tested are the old
 * ones.
 *
 * Return: number of commands written; 0 when nothing has to be forgotten.
 */
unsigned int rviommu_context_commands(const struct rviommu *iommu,
				      const struct rviommu_dir_update *update,
				      struct rviommu_command *cmds)
{
	u64 iohgatp = update->old.word[RVIOMMU_DC_IOHGATP];
	u64 tc = update->old.word[RVIOMMU_DC_TC];
	u64 fsc = update->old.word[RVIOMMU_DC_FSC];
	unsigned int nr = 0;

	if (rviommu_ddt_command(iommu, update, &cmds[nr]))
		nr++;
	if (update->how == RVIOMMU_PUBLISH_NONE || update->how == RVIOMMU_PUBLISH_VALID)
		return nr;
	if (FIELD_GET(RVIOMMU_DC_IOHGATP_MODE, iohgatp) != RVIOMMU_ATP_MODE_BARE) {
		u16 gscid = FIELD_GET(RVIOMMU_DC_IOHGATP_GSCID, iohgatp);

		cmds[nr++] = rviommu_cmd_iotinval_vma_gscid(gscid);
		cmds[nr++] = rviommu_cmd_iotinval_gvma(gscid);
	} else if (tc & RVIOMMU_DC_TC_PDTV) {
		cmds[nr++] = rviommu_cmd_iotinval_vma_all();
	} else if (FIELD_GET(RVIOMMU_FSC_MODE, fsc) != RVIOMMU_ATP_MODE_BARE) {
		u32 pscid = FIELD_GET(RVIOMMU_DC_TA_PSCID, update->old.word[RVIOMMU_DC_TA]);

		cmds[nr++] = rviommu_cmd_iotinval_vma(pscid);
	}
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_context_commands);

/* ----- What is owed ----- */

static bool rviommu_has_command(const struct rviommu_command *cmds, unsigned int nr,
				struct rviommu_command cmd)
{
	while (nr--)
		if (rviommu_cmd_equal(cmds[nr], cmd))
			return true;
	return false;
}

/* What is owed, in order, and no more. Returns the number of commands. */
static unsigned int rviommu_owed_commands(struct rviommu_owed *owed, struct rviommu_command *cmds)
{
	unsigned int i, nr = 0;

	for (i = 0; i < owed->nr_directory; i++)
		cmds[nr++] = owed->directory[i];
	if (nr && owed->nr_spaces)
		cmds[nr++] = rviommu_cmd_barrier();
	for (i = 0; i < owed->nr_spaces; i++)
		cmds[nr++] = owed->spaces[i];
	owed->nr_directory = 0;
	owed->nr_spaces = 0;
	return nr;
}

/* Commands that rviommu_owed_commands() writes at most */
#define RVIOMMU_OWED_COMMANDS	(RVIOMMU_OWED_DIRECTORY + 1 + RVIOMMU_OWED_SPACES)

static enum rviommu_why rviommu_owed_why(const struct rviommu_owed *owed)
{
	return owed->process ? RVIOMMU_WHY_PROCESS : RVIOMMU_WHY_ATTACH;
}

/* IDs of many domains: aliases of one device do not have that. */
static noinline void rviommu_owed_flush(struct rviommu_owed *owed)
{
	struct rviommu_command cmds[RVIOMMU_OWED_COMMANDS];
	unsigned int nr = rviommu_owed_commands(owed, cmds);
	struct rviommu *iommu = owed->ep->iommu;
	u32 fence;

	nr = rviommu_filter_links(iommu, rviommu_owed_why(owed), owed->ep->ids[0], cmds, nr);
	rviommu_cmdq_issue(&iommu->cmdq, cmds, nr, &fence);
}

static void rviommu_owe(struct rviommu_owed *owed, struct rviommu_command cmd)
{
	bool iodir = rviommu_cmd_is_iodir(cmd);
	struct rviommu_command *list = iodir ? owed->directory : owed->spaces;
	unsigned int *nr = iodir ? &owed->nr_directory : &owed->nr_spaces;

	if (rviommu_has_command(list, *nr, cmd))
		return;
	if (*nr == (iodir ? RVIOMMU_OWED_DIRECTORY : RVIOMMU_OWED_SPACES))
		rviommu_owed_flush(owed);
	list[(*nr)++] = cmd;
}

/**
 * rviommu_owe_space() - the translations of an address space that was left
 * @owed: what is owed
 * @space: the space; NULL: there are none
 */
void rviommu_owe_space(struct rviommu_owed *owed, const struct rviommu_space *space)
{
	if (space)
		rviommu_owe(owed, rviommu_space_command(space));
}

/**
 * rviommu_owe_devices() - what changed device contexts owe
 * @owed: what is owed
 * @updates: the changes, published
 * @nr: number of @updates
 * @left: address space that was left with a process directory that went; NULL: none
 */
void rviommu_owe_devices(struct rviommu_owed *owed, const struct rviommu_dir_update *updates,
			 unsigned int nr, const struct rviommu_space *left)
{
	struct rviommu *iommu = owed->ep->iommu;
	struct rviommu_command cmds[RVIOMMU_CONTEXT_COMMANDS];
	unsigned int i, k, nr_cmds;

	for (i = 0; i < nr; i++) {
		/* Of all address spaces of the directory only one is left. */
		if (updates[i].old.word[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV) {
			nr_cmds = rviommu_ddt_command(iommu, &updates[i], cmds);
			rviommu_owe_space(owed, left);
		} else {
			nr_cmds = rviommu_context_commands(iommu, &updates[i], cmds);
		}
		for (k = 0; k < nr_cmds; k++) {
			if (nr > RVIOMMU_DIDS_ONE_BY_ONE &&
			    rviommu_cmd_equal(cmds[k], rviommu_cmd_inval_ddt(updates[i].id)))
				cmds[k] = rviommu_cmd_inval_ddt_all();
			rviommu_owe(owed, cmds[k]);
		}
	}
}

/**
 * rviommu_owe_process() - what a changed process context owes
 * @owed: what is owed
 * @update: the change, published
 * @left: address space that was left; NULL: none
 */
void rviommu_owe_process(struct rviommu_owed *owed, const struct rviommu_dir_update *update,
			 const struct rviommu_space *left)
{
	const struct rviommu_endpoint *ep = owed->ep;
	struct rviommu_command cmd;
	unsigned int i;

	for (i = 0; i < ep->nr_ids; i++)
		if (rviommu_pdt_command(ep->iommu, update, ep->ids[i], &cmd))
			rviommu_owe(owed, cmd);
	rviommu_owe_space(owed, left);
}

static int rviommu_owed_send(const struct rviommu_owed *owed, struct rviommu_command *cmds,
			     unsigned int nr)
{
	const enum rviommu_why why = rviommu_owed_why(owed);
	struct rviommu *iommu = owed->ep->iommu;
	u32 fence;
	int ret;

	nr = rviommu_filter_links(iommu, why, owed->ep->ids[0], cmds, nr);
	ret = rviommu_cmdq_issue(&iommu->cmdq, cmds, nr, &fence);
	return ret ?: rviommu_cmdq_wait(&iommu->cmdq, rviommu_filter_awaited(iommu, why, fence));
}

/**
 * rviommu_owed_settle() - hardware forgets what it has to
 * @owed: what is owed, and nothing afterwards
 * @pasid: which requests of the device: what it has cached of them goes, too
 *
 * One fence is behind both. It is wanted also when nothing has to be forgotten: after the
 * operation no DMA that was translated before it is still on its way.
 *
 * Return: 0, or -EIO if the IOMMU was taken out of service (ddtp is Off): then it uses
 * neither the old contexts nor the new ones.
 */
int rviommu_owed_settle(struct rviommu_owed *owed, ioasid_t pasid)
{
	struct rviommu_command cmds[RVIOMMU_OWED_COMMANDS + RVIOMMU_ATS_COMMANDS];
	unsigned int nr = rviommu_owed_commands(owed, cmds);
	const struct rviommu_endpoint *ep = owed->ep;
	const bool on = READ_ONCE(ep->ats.on), away = rviommu_ats_away(ep);
	int ret;

	if (on && !away) {
		rviommu_ats_commands(ep, pasid, cmds + nr);
		nr += RVIOMMU_ATS_COMMANDS;
	}
	ret = rviommu_owed_send(owed, cmds, nr);
	if (ret || !away || !rviommu_ats_asks(ep))
		return ret;
	/* It has woken up, and may have asked before the IOMMU had forgotten. */
	rviommu_ats_commands(ep, pasid, cmds);
	return rviommu_owed_send(owed, cmds, RVIOMMU_ATS_COMMANDS);
}
