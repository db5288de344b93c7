// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Debug support": a translation asked for through registers.
 */
#include "debug.h"
#include "hpm.h"
#include "state.h"
#include "translate.h"

static u64 response(const struct rviommu_m_mapping *map)
{
	unsigned int bits = map->size_lg2 - RVIOMMU_PAGE_LG2;
	u64 ppn = map->pa >> RVIOMMU_PAGE_LG2;
	u64 s = 0;

	if (bits) {
		/* The size is in the PPN: ones below the lowest zero. */
		ppn &= ~((1ULL << bits) - 1);
		ppn |= (1ULL << (bits - 1)) - 1;
		s = RVIOMMU_TR_RESPONSE_S;
	}
	return s | FIELD_PREP(RVIOMMU_TR_RESPONSE_PPN, ppn) |
	       FIELD_PREP(RVIOMMU_TR_RESPONSE_PBMT, map->pbmt);
}

void rviommu_m_debug_run(struct rviommu_model *m)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.device_id = FIELD_GET(RVIOMMU_TR_REQ_CTL_DID, m->tr_req_ctl),
		.pv = m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_PV,
		.priv = m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_PRIV,
		.exec = m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_EXE,
		.write = !(m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_NW),
		.iova = m->tr_req_iova,
		.length = 4,
	};
	struct rviommu_m_xlate x;
	u16 cause;

	if (!(m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_GO_BUSY) || m->tr_running)
		return;
	m->tr_running = true;
	if (req.exec && req.write) {
		rviommu_m_unspecified(m, "tr_req_ctl with Exe = 1 and NW = 0");
		req.write = false;
	}
	if (req.pv)
		req.process_id = FIELD_GET(RVIOMMU_TR_REQ_CTL_PID, m->tr_req_ctl);

	rviommu_m_xlate_init(&x, m, &req);
	rviommu_m_count(&x, EVENT_UNTRANSLATED);
	cause = rviommu_m_translate_stable(&x);
	if (!cause && x.mrif)
		cause = CAUSE_DISALLOWED;
	if (cause) {
		rviommu_m_report(&x, cause);
		m->tr_response = RVIOMMU_TR_RESPONSE_FAULT;
	} else {
		m->tr_response = response(&x.result);
	}
	m->tr_req_ctl &= ~RVIOMMU_TR_REQ_CTL_GO_BUSY;
	m->tr_running = false;
}
