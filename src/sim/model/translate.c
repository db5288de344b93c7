// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Process to translate an IOVA", and what becomes of its outcome: a response
 * to the device, a fault record, or for ATS translation requests one of the
 * responses of "PCIe ATS translation request handling".
 */
#include "internal.h"

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
u16 rviommu_m_translate(struct rviommu_m_xlate *x)
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

/* "PCIe ATS translation request handling": the response that a cause calls for */
static u8 ats_status(u16 cause)
{
	switch (cause) {
	case 0:
	case CAUSE_INSTR_PAGE:
	case CAUSE_READ_PAGE:
	case CAUSE_WRITE_PAGE:
	case CAUSE_INSTR_GUEST:
	case CAUSE_READ_GUEST:
	case CAUSE_WRITE_GUEST:
	case CAUSE_PDT_INVALID:
	case CAUSE_MSI_PTE_INVALID:
		return RVIOMMU_MODEL_OK;
	case CAUSE_ALL_DISALLOWED:
	case CAUSE_DDT_ACCESS:
	case CAUSE_DDT_INVALID:
	case CAUSE_DDT_MISCONFIGURED:
	case CAUSE_DISALLOWED:
		return RVIOMMU_MODEL_UR;
	}
	/* And data corruption, "Reliability, Availability, and Serviceability". */
	return RVIOMMU_MODEL_CA;
}

static void answer_ats(struct rviommu_m_xlate *x, struct rviommu_model_response *rsp)
{
	rsp->priv = x->priv;
	if (rsp->cause)
		return;
	if (!x->req->exec || !(rsp->perms & RVIOMMU_MODEL_R))
		rsp->perms &= ~RVIOMMU_MODEL_X;
	rsp->global = x->result.global;
	rsp->untranslated_only = x->mrif;
	if (x->req->cxl)
		rsp->cxl_io = x->msi || x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_T2GPA ||
			      x->result.pbmt;
}

/* Count an access whose bytes still have to move. */
static u8 hold(struct rviommu_model *m, const struct rviommu_model_request *req)
{
	u8 cookie = 0;

	/* Two bits each: 1 = held, 2 = in which epoch */
	if (!req->write || req->amo) {
		rviommu_shim_up(&m->held[0][m->epoch[0]]);
		cookie |= 1 | m->epoch[0] << 1;
	}
	if (req->write) {
		rviommu_shim_up(&m->held[1][m->epoch[1]]);
		cookie |= (1 | m->epoch[1] << 1) << 2;
	}
	return cookie;
}

/*
 * Hardly ever does anything wait for it, and then no lock is needed. Either this sees
 * what waits -- a command in the queue, ddtp on its way to Off -- or what waits, having
 * put itself there, sees the count that was taken down.
 */
void rviommu_model_release(struct rviommu_model *m, u8 held)
{
	unsigned int i;

	for (i = 0; i < 2; i++, held >>= 2) {
		if (held & 1)
			rviommu_shim_down(&m->held[i][held >> 1 & 1]);
	}
	if (likely(READ_ONCE(m->cq.head) == READ_ONCE(m->cq.tail) && !READ_ONCE(m->ddtp_busy)))
		return;
	rviommu_m_enter(m);
	if (!rviommu_m_switch(m, RVIOMMU_MODEL_ASYNC))
		rviommu_m_settle(m);
	rviommu_m_leave(m);
}
EXPORT_SYMBOL_GPL(rviommu_model_release);

static void answer(struct rviommu_m_xlate *x, struct rviommu_model_response *rsp)
{
	const struct rviommu_model_request *req = x->req;
	u64 left;

	rsp->status = RVIOMMU_MODEL_ABORT;
	if (x->ats)
		rsp->status = ats_status(rsp->cause);
	else if (!rsp->cause)
		rsp->status = RVIOMMU_MODEL_OK;
	if (rsp->status != RVIOMMU_MODEL_OK)
		rviommu_m_report(x, rsp->cause);
	rsp->iotval2 = x->iotval2;

	if (!rsp->cause) {
		rsp->spa = x->result.pa;
		rsp->perms = x->result.perms;
		rsp->size_lg2 = x->result.size_lg2;
		rsp->pbmt = x->result.pbmt;
		rsp->mrif = x->mrif;
		rsp->mrif_addr = x->mrif_addr;
		rsp->notice_addr = x->notice_addr;
		rsp->notice_data = x->notice_data;
		left = (1ULL << rsp->size_lg2) - (req->iova & ((1ULL << rsp->size_lg2) - 1));
		rsp->length = min(left, req->length);
		if (x->dc_found) {
			rsp->rcid = FIELD_GET(RVIOMMU_DC_TA_RCID, x->dc[RVIOMMU_DC_TA]);
			rsp->mcid = FIELD_GET(RVIOMMU_DC_TA_MCID, x->dc[RVIOMMU_DC_TA]);
		} else {
			rsp->rcid = x->m->qosid & 0xfff;
			rsp->mcid = x->m->qosid >> 16 & 0xfff;
		}
		if (req->hold && !x->ats && !x->mrif)
			rsp->held = hold(x->m, req);
	}
	if (x->ats)
		answer_ats(x, rsp);
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
		cause = rviommu_m_translate(x);
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
 * Answers given lately, so that not each access of a stream searches all
 * caches. They are no more than those caches say: any invalidation ends them
 * all, and faults, ATS and MRIFs are not among them. With a cache_limit there are
 * none, since they do not count.
 */
static struct rviommu_m_recent *recent_slot(struct rviommu_model *m,
					    const struct rviommu_model_request *req)
{
	u64 h = (req->iova >> RVIOMMU_PAGE_LG2) + req->device_id * 0x9e3779b1ULL;

	if (req->pv)
		h += req->process_id * 0x85ebca77ULL;
	return &m->recent[(h ^ h >> 16) % NR_RECENT];
}

static u32 recent_what(const struct rviommu_model_request *req)
{
	return 1 | req->pv << 1 | req->priv << 2 | req->exec << 3 | req->write << 4 |
	       req->kind << 8;
}

static bool answer_again(struct rviommu_model *m, const struct rviommu_model_request *req,
			 struct rviommu_model_response *rsp)
{
	const struct rviommu_m_recent *recent = recent_slot(m, req);
	u64 offset = req->iova & ((1ULL << RVIOMMU_PAGE_LG2) - 1);

	if (recent->generation != m->generation || recent->what != recent_what(req) ||
	    recent->page != req->iova >> RVIOMMU_PAGE_LG2 ||
	    recent->device_id != req->device_id ||
	    recent->process_id != (req->pv ? req->process_id : 0))
		return false;
	/* The monitor wants to see the whole process, prefetch begins with it. */
	if (m->counting || rviommu_m_switch(m, RVIOMMU_MODEL_PREFETCH))
		return false;
	*rsp = recent->rsp;
	rsp->spa |= offset;
	rsp->length = min(rsp->length - offset, req->length);
	if (req->hold)
		rsp->held = hold(m, req);
	m->stats.requests++;
	m->stats.hits++;
	return true;
}

static void remember(const struct rviommu_m_xlate *x, const struct rviommu_model_response *rsp)
{
	const struct rviommu_model_request *req = x->req;
	struct rviommu_model *m = x->m;
	struct rviommu_m_recent *recent;
	u64 page_mask = (1ULL << RVIOMMU_PAGE_LG2) - 1;

	if (rsp->status != RVIOMMU_MODEL_OK || x->ats || x->mrif || !x->dc_found ||
	    m->cache.limit)
		return;
	recent = recent_slot(m, req);
	recent->generation = m->generation;
	recent->page = req->iova >> RVIOMMU_PAGE_LG2;
	recent->device_id = req->device_id;
	recent->process_id = req->pv ? req->process_id : 0;
	recent->what = recent_what(req);
	recent->rsp = *rsp;
	recent->rsp.held = 0;
	recent->rsp.spa &= ~page_mask;
	recent->rsp.length = (1ULL << rsp->size_lg2) -
			     (req->iova & ~page_mask & ((1ULL << rsp->size_lg2) - 1));
}

/*
 * Search all caches, and memory. Not part of its caller: kernels that clear all
 * variables on the stack would clear @x there for each answer that is given again.
 */
static noinline void answer_anew(struct rviommu_model *m,
				 const struct rviommu_model_request *req,
				 struct rviommu_model_response *rsp)
{
	struct rviommu_m_xlate x;

	memset(rsp, 0, sizeof(*rsp));
	rviommu_m_xlate_init(&x, m, req);
	m->stats.requests++;
	if (req->kind <= RVIOMMU_MODEL_ATS_REQUEST)
		rviommu_m_count(&x, EVENT_UNTRANSLATED + req->kind);
	rsp->cause = rviommu_m_translate_stable(&x);
	answer(&x, rsp);
	remember(&x, rsp);
	if (unlikely(rviommu_m_switch(m, RVIOMMU_MODEL_PREFETCH)))
		rviommu_m_prefetch(&x);
}

int rviommu_model_translate(struct rviommu_model *m, const struct rviommu_model_request *req,
			    struct rviommu_model_response *rsp)
{
	rviommu_shim_lock(&m->lock);
	/* Then nothing has changed that something could have waited for. */
	if (likely(answer_again(m, req, rsp))) {
		rviommu_shim_unlock(&m->lock);
		return rsp->status;
	}
	answer_anew(m, req, rsp);
	rviommu_m_leave(m);
	return rsp->status;
}
EXPORT_SYMBOL_GPL(rviommu_model_translate);

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
