// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of devices: completions of Invalidation Requests, and page requests ("PCIe ATS
 * Page Request handling").
 */
#include "ats.h"
#include "directory.h"
#include "progress.h"
#include "queues.h"
#include "translate.h"

/*
 * What stands between a message of a device and its taker, 0 if nothing does; @need are
 * the bits of DC.tc that permit it. *code is the response that a page request gets if it
 * gets no further.
 *
 * "Translation control": without EN_ATS an Invalidation Completion is an unsupported
 * request, and the request that it answers is never completed. The same holds in Bare
 * mode ("Device-directory-table pointer") and where no context says otherwise. So an
 * IOMMU may refuse what "Guidelines for enabling and disabling ATS and/or PRI" has
 * devices send after EN_ATS was cleared, and this one does.
 */
static u16 message_cause(struct rviommu_m_xlate *x, u64 need, u8 *code)
{
	u16 cause;

	*code = RVIOMMU_MODEL_PRGR_FAILURE;
	switch (FIELD_GET(RVIOMMU_DDTP_MODE, x->m->ddtp_active)) {
	case RVIOMMU_DDTP_MODE_OFF:
		return CAUSE_ALL_DISALLOWED;
	case RVIOMMU_DDTP_MODE_BARE:
		*code = RVIOMMU_MODEL_PRGR_INVALID;
		return CAUSE_DISALLOWED;
	}
	cause = rviommu_m_check_width(x->m, x->req->device_id);
	if (cause) {
		*code = RVIOMMU_MODEL_PRGR_INVALID;
		return cause;
	}
	cause = rviommu_m_get_dc(x, x->req->device_id);
	if (cause)
		return cause;
	if (~x->dc[RVIOMMU_DC_TC] & need) {
		*code = RVIOMMU_MODEL_PRGR_INVALID;
		return CAUSE_DISALLOWED;
	}
	return 0;
}

static void report_message(struct rviommu_m_xlate *x, u16 cause, u64 message)
{
	struct rviommu_m_fault f = {
		.cause = cause,
		.ttyp = TTYP_MESSAGE,
		.pv = x->pv,
		.pid = x->pid,
		.priv = x->priv,
		.did = x->req->device_id,
		.iotval = message,
	};

	/* Of the causes here, DTF silences this one. */
	if (cause == CAUSE_DISALLOWED && x->dc_found &&
	    x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_DTF)
		return;
	rviommu_m_fault(x->m, &f);
}

void rviommu_model_inval_completion(struct rviommu_model *m, u32 device_id, u32 itag_vector,
				    unsigned int count)
{
	struct rviommu_model_request req = { .device_id = device_id };
	struct rviommu_m_xlate x;
	unsigned int tries = 0;
	u16 cause;
	u8 code;	/* nobody responds to a completion */

	rviommu_m_enter(m);
	do {
		rviommu_m_xlate_init(&x, m, &req);
		cause = message_cause(&x, RVIOMMU_DC_TC_EN_ATS, &code);
	} while (m->generation != x.generation && ++tries < MAX_RETRIES);
	if (cause)
		report_message(&x, cause, MESSAGE_INVAL_COMPLETION);
	else
		rviommu_m_ats_completed(m, device_id, itag_vector, count);
	rviommu_m_leave(m);
}
EXPORT_SYMBOL_GPL(rviommu_model_inval_completion);

int rviommu_model_page_request(struct rviommu_model *m,
			       const struct rviommu_model_page_request *pr,
			       struct rviommu_model_ats_msg *answer)
{
	struct rviommu_model_request req = {
		.device_id = pr->device_id,
		.process_id = pr->process_id,
		.pv = pr->pv,
		.priv = pr->priv,
	};
	struct rviommu_m_xlate x;
	bool queued = false, answered, prpr;
	unsigned int tries = 0;
	u16 cause;
	u8 code;

	rviommu_m_enter(m);
	do {
		rviommu_m_xlate_init(&x, m, &req);
		cause = message_cause(&x, RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_EN_PRI, &code);
	} while (m->generation != x.generation && ++tries < MAX_RETRIES);
	if (cause)
		report_message(&x, cause, MESSAGE_PAGE_REQUEST);
	else
		queued = rviommu_m_pq_store(m, pr, &code);
	prpr = x.dc_found && x.dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PRPR;
	/*
	 * If it is not the last of a group, or a Stop Marker, nobody waits. If somebody does,
	 * "the IOMMU itself may generate" a response.
	 */
	answered = !queued && pr->payload & RVIOMMU_MODEL_PAGE_L &&
		   pr->payload & (RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_W) &&
		   !rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_PR_SILENT);
	rviommu_m_leave(m);

	if (queued)
		return RVIOMMU_MODEL_PR_QUEUED;
	if (!answered)
		return RVIOMMU_MODEL_PR_DISCARDED;
	memset(answer, 0, sizeof(*answer));
	answer->code = RVIOMMU_MODEL_ATS_PRGR;
	answer->device_id = pr->device_id;
	answer->pv = pr->pv && (prpr || code == RVIOMMU_MODEL_PRGR_FAILURE);
	answer->process_id = answer->pv ? pr->process_id : 0;
	answer->payload = FIELD_PREP(RVIOMMU_MODEL_PRGR_INDEX,
				     FIELD_GET(RVIOMMU_MODEL_PAGE_INDEX, pr->payload)) |
			  FIELD_PREP(RVIOMMU_MODEL_PRGR_CODE, code);
	return RVIOMMU_MODEL_PR_ANSWERED;
}
EXPORT_SYMBOL_GPL(rviommu_model_page_request);
