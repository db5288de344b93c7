// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Process to translate an IOVA", and the fault record that may become of it.
 */
#include "directory.h"
#include "hpm.h"
#include "msi.h"
#include "queues.h"
#include "state.h"
#include "translate.h"
#include "walk.h"

/* Range of a translation when no stage limits it: what is recommended for ATS */
#define BARE_SIZE_LG2		30

#define ALL_PERMS	(RVIOMMU_MODEL_R | RVIOMMU_MODEL_W | RVIOMMU_MODEL_X)

void rviommu_m_xlate_init(struct rviommu_m_xlate *x, struct rviommu_model *m,
			  const struct rviommu_model_request *req)
{
	memset(x, 0, sizeof(*x));
	x->m = m;
	x->req = req;
	x->generation = m->generation;
	x->ats = req->kind == RVIOMMU_MODEL_ATS_REQUEST;
	x->pv = req->pv;
	x->pid = req->process_id;
	/* Without a process ID the privilege mode is User, "Placement and data flow". */
	x->priv = req->pv && req->priv;
	x->need = RVIOMMU_MODEL_R;
	if (req->exec)
		x->need = RVIOMMU_MODEL_X;
	else if (req->write)
		x->need = RVIOMMU_MODEL_W;
}

/* Step 7: is this kind of transaction allowed by the device context? */
static bool allowed(const struct rviommu_m_xlate *x)
{
	u64 tc = x->dc[RVIOMMU_DC_TC], fsc = x->dc[RVIOMMU_DC_FSC];

	if (x->req->kind > RVIOMMU_MODEL_ATS_REQUEST)
		return false;
	if (x->req->kind != RVIOMMU_MODEL_UNTRANSLATED && !(tc & RVIOMMU_DC_TC_EN_ATS))
		return false;
	if (!x->pv)
		return true;
	if (!(tc & RVIOMMU_DC_TC_PDTV))
		return false;
	return !FIELD_GET(RVIOMMU_FSC_MODE, fsc) || !(x->pid >> rviommu_m_pdt_bits(fsc));
}

/* Steps 9 to 16: find the first stage. */
static u16 select_first_stage(struct rviommu_m_xlate *x)
{
	u64 tc = x->dc[RVIOMMU_DC_TC], fsc = x->dc[RVIOMMU_DC_FSC];
	u32 did = x->req->device_id;
	u64 pc[RVIOMMU_PC_WORDS];
	u16 cause;

	if (x->req->kind == RVIOMMU_MODEL_TRANSLATED)
		return 0;	/* a GPA, under T2GPA */
	if (!(tc & RVIOMMU_DC_TC_PDTV)) {
		x->owner.kind = RVIOMMU_MODEL_DC;
		x->owner.device_id = did;
		x->owner.index = did;
		rviommu_m_set_first_stage(x, fsc, FIELD_GET(RVIOMMU_DC_TA_PSCID,
							    x->dc[RVIOMMU_DC_TA]));
		return 0;
	}
	if (!x->pv) {
		if (!(tc & RVIOMMU_DC_TC_DPE))
			return 0;
		x->pid = 0;
	}
	if (!FIELD_GET(RVIOMMU_FSC_MODE, fsc))
		return 0;

	cause = rviommu_m_get_pc(x, pc);
	if (cause)
		return cause;
	if (x->priv && !(pc[RVIOMMU_PC_TA] & RVIOMMU_PC_TA_ENS))
		return CAUSE_DISALLOWED;
	x->sum = pc[RVIOMMU_PC_TA] & RVIOMMU_PC_TA_SUM;
	x->owner.kind = RVIOMMU_MODEL_PC;
	x->owner.device_id = did;
	x->owner.index = x->pid;
	rviommu_m_set_first_stage(x, pc[RVIOMMU_PC_FSC],
				  FIELD_GET(RVIOMMU_DC_TA_PSCID, pc[RVIOMMU_PC_TA]));
	return 0;
}

/* Can this IOMMU put the address on the bus? "Capabilities": 0 to 2^PAS - 1 */
static u16 check_pas(const struct rviommu_m_xlate *x)
{
	if (x->result.pa >> FIELD_GET(RVIOMMU_CAP_PAS, x->m->cap))
		return rviommu_m_access_cause(x);
	return 0;
}

/* Steps 17 to 19 */
static u16 two_stages(struct rviommu_m_xlate *x)
{
	struct rviommu_m_mapping first, second, *result = &x->result;
	u16 cause;

	cause = rviommu_m_first_stage(x, x->req->iova, &first);
	if (cause)
		return cause;
	if (rviommu_m_is_msi(x, first.pa, RVIOMMU_PAGE_LG2))
		cause = rviommu_m_msi(x, first.pa, &second);
	else
		cause = rviommu_m_second_stage(x, first.pa, first.perms, &second);
	if (cause)
		return cause;

	result->pa = second.pa;
	result->size_lg2 = min(first.size_lg2, second.size_lg2);
	if (result->size_lg2 == 64)
		result->size_lg2 = BARE_SIZE_LG2;
	/* No interrupt file may hide in the range that the answer speaks for. */
	while (!x->msi && result->size_lg2 > RVIOMMU_PAGE_LG2 &&
	       rviommu_m_is_msi(x, first.pa, result->size_lg2))
		result->size_lg2--;
	result->perms = first.perms & second.perms;
	/* The first stage's memory type overrides the second's (Svpbmt). */
	result->pbmt = first.pbmt ? first.pbmt : second.pbmt;
	result->global = first.global && x->req->pv && !x->msi;
	cause = check_pas(x);
	if (cause)
		return cause;
	if (x->ats && x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_T2GPA)
		result->pa = first.pa;
	return 0;
}

static u16 pass_through(struct rviommu_m_xlate *x)
{
	x->result.pa = x->req->iova;
	x->result.size_lg2 = BARE_SIZE_LG2;
	x->result.perms = ALL_PERMS;
	return check_pas(x);
}

/* Return: 0, or the cause of the fault */
static u16 translate(struct rviommu_m_xlate *x)
{
	const struct rviommu_model_request *req = x->req;
	struct rviommu_model *m = x->m;
	u16 cause;

	switch (FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp_active)) {
	case RVIOMMU_DDTP_MODE_OFF:
		return CAUSE_ALL_DISALLOWED;
	case RVIOMMU_DDTP_MODE_BARE:
		if (req->kind != RVIOMMU_MODEL_UNTRANSLATED)
			return CAUSE_DISALLOWED;
		return pass_through(x);
	}

	cause = rviommu_m_check_width(m, req->device_id);
	if (!cause)
		cause = rviommu_m_get_dc(x, req->device_id);
	if (cause)
		return cause;
	if (!allowed(x))
		return CAUSE_DISALLOWED;
	if (req->kind == RVIOMMU_MODEL_TRANSLATED &&
	    !(x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_T2GPA))
		return pass_through(x);
	rviommu_m_set_second_stage(x);
	cause = select_first_stage(x);
	if (cause)
		return cause;
	return two_stages(x);
}

/* Put a fault of this translation into the fault queue. */
void rviommu_m_report(struct rviommu_m_xlate *x, u16 cause)
{
	const struct rviommu_model_request *req = x->req;
	struct rviommu_m_fault f = {
		.cause = cause,
		.pv = req->pv,
		.pid = req->pv ? req->process_id : 0,
		.priv = x->priv,
		.did = req->device_id,
		.iotval = req->iova,
		.iotval2 = x->iotval2,
	};

	/*
	 * Of the causes that are reported in spite of DTF, this alone can be met
	 * after the context was found ("Fault record CAUSE field encodings").
	 */
	if (x->dc_found && x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_DTF && cause != CAUSE_INTERNAL)
		return;
	if (x->ats) {
		f.ttyp = TTYP_ATS;
	} else {
		f.ttyp = req->exec ? TTYP_EXEC : req->write ? TTYP_WRITE : TTYP_READ;
		if (req->kind == RVIOMMU_MODEL_TRANSLATED)
			f.ttyp += TTYP_TRANSLATED;
	}
	rviommu_m_fault(x->m, &f);
}

/*
 * An invalidation promises that what was read before it is not used after it:
 * a translation that it crosses starts again.
 *
 * A TLB miss is counted here, once for the request and when its IDs are known: the first
 * may have been on the way to the process context, which has the PSCID.
 */
u16 rviommu_m_translate_stable(struct rviommu_m_xlate *x)
{
	struct rviommu_model *m = x->m;
	unsigned int tries;
	u16 cause;

	for (tries = 0; tries < MAX_RETRIES; tries++) {
		cause = translate(x);
		if (likely(m->generation == x->generation)) {
			if (x->missed)
				rviommu_m_count(x, EVENT_TLB_MISS);
			return cause;
		}
		m->stats.retries++;
		rviommu_m_xlate_init(x, m, x->req);
	}
	return CAUSE_INTERNAL;
}

/*
 * Read what is near the thing just used, as an IOMMU may at any time. What is
 * valid gets cached; nothing else comes of it.
 */
void rviommu_m_prefetch(struct rviommu_m_xlate *x)
{
	struct rviommu_m_mapping map, second;
	u64 random = rviommu_m_random(x->m);
	u64 pc[RVIOMMU_PC_WORDS];
	struct rviommu_m_xlate y = *x;
	u64 iova = x->req->iova;

	if (!x->dc_found)
		return;
	y.speculative = true;
	iova ^= (1 + (random & 15)) << (random & 16 ? 21 : 12);
	if (!rviommu_m_first_stage(&y, iova, &map))
		rviommu_m_second_stage(&y, map.pa, map.perms, &second);
	if (x->owner.kind == RVIOMMU_MODEL_PC) {
		y.pid ^= 1 + (random >> 5 & 3);
		rviommu_m_get_pc(&y, pc);
	}
	/* ddtp may have been turned off while the context was read. */
	if (x->m->generation != y.generation)
		return;
	/* Never wider than the directory: no level has fewer than six bits. */
	rviommu_m_get_dc(&y, x->req->device_id ^ (1 + (random >> 7 & 7)));
}
