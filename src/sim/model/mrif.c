// SPDX-License-Identifier: GPL-2.0-only
/*
 * The storing of MSIs in memory-resident interrupt files, as the Advanced Interrupt
 * Architecture has it ("MSI PTE, MRIF mode").
 */
#include "mem.h"
#include "msi.h"
#include "progress.h"
#include "translate.h"

/* Sets *notify if the notice MSI is to be sent. */
static u16 store_msi(struct rviommu_model *m, const struct rviommu_model_request *req,
		     const struct rviommu_model_response *rsp, u32 data, bool *notify)
{
	u16 cause = rviommu_m_mrif_shape(req);
	int ret;

	*notify = false;
	if (cause)
		return cause;
	if (req->iova & 4) {
		if (!m->config.mrif_be)
			return 0;
		data = swab32(data);
	}
	/* Not an MSI: accepted and discarded. */
	if (req->iova & 0xff8 || data >> 11)
		return 0;

	ret = rviommu_m_set_bit(m, rsp->mrif_addr + 16 * (data / 64), 1ULL << data % 64,
				m->cap & RVIOMMU_CAP_AMO_MRIF);
	if (ret)
		return ret == RVIOMMU_MODEL_MEM_FAULT ? CAUSE_MRIF_ACCESS : CAUSE_MRIF_CORRUPT;
	*notify = true;
	return 0;
}

int rviommu_model_mrif_write(struct rviommu_model *m, const struct rviommu_model_request *req,
			     struct rviommu_model_response *rsp, u32 data)
{
	struct rviommu_m_xlate x;
	bool notify;

	rviommu_m_enter(m);
	rsp->cause = store_msi(m, req, rsp, data, &notify);
	rsp->status = RVIOMMU_MODEL_OK;
	if (rsp->cause) {
		rsp->status = RVIOMMU_MODEL_ABORT;
		rsp->perms = 0;
		/* The context knows whether the fault is to be reported (DTF). */
		rviommu_m_xlate_init(&x, m, req);
		rviommu_m_translate_stable(&x);
		rviommu_m_report(&x, rsp->cause);
	}
	rviommu_m_leave(m);
	/*
	 * The notice MSI, always little-endian. Nothing says how its failure
	 * would be reported; it is not.
	 */
	if (notify)
		m->ops->msi(m->ctx, rsp->notice_addr, rsp->notice_data);
	return rsp->status;
}
