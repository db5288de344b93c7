// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of devices: each gets a response, for ATS translation requests one of those of
 * "PCIe ATS translation request handling". Whose bytes still have to move is counted
 * until it says that they have.
 */
#include "hpm.h"
#include "progress.h"
#include "state.h"
#include "translate.h"

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
