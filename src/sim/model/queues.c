// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queues that the IOMMU writes: "Fault/Event-Queue (FQ)" and
 * "Page-Request-Queue (PQ)".
 */
#include "interrupt.h"
#include "mem.h"
#include "queues.h"
#include "state.h"

#define PQ_PRIV		BIT_ULL(33)
#define PQ_EXEC		BIT_ULL(34)

u32 rviommu_m_queue_mask(const struct rviommu_m_queue *q)
{
	return (2ULL << FIELD_GET(RVIOMMU_QB_LOG2SZ_1, q->base)) - 1;
}

u64 rviommu_m_queue_addr(const struct rviommu_m_queue *q, u32 index, unsigned int entry)
{
	u64 base = FIELD_GET(RVIOMMU_QB_PPN, q->base) << RVIOMMU_PAGE_LG2;

	return base + (u64)index * entry;
}

static bool queue_full(const struct rviommu_m_queue *q)
{
	return q->tail == ((q->head - 1) & rviommu_m_queue_mask(q));
}

/* Store a record of n doublewords at the tail. */
static int store(struct rviommu_model *m, struct rviommu_m_queue *q, const u64 *word,
		 unsigned int n)
{
	u64 addr = rviommu_m_queue_addr(q, q->tail, 8 * n);
	unsigned int i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = rviommu_m_write(m, addr + 8 * i, m->fctl & RVIOMMU_FCTL_BE, word[i]);
		if (ret)
			return ret;
	}
	q->tail = (q->tail + 1) & rviommu_m_queue_mask(q);
	return 0;
}

void rviommu_m_fault(struct rviommu_model *m, const struct rviommu_m_fault *f)
{
	struct rviommu_m_queue *q = &m->fq;
	u64 word[4] = {
		FIELD_PREP(RVIOMMU_FAULT_CAUSE, f->cause) |
			FIELD_PREP(RVIOMMU_FAULT_TTYP, f->ttyp) |
			FIELD_PREP(RVIOMMU_FAULT_DID, f->did),
		0, f->iotval, f->iotval2,
	};

	if (f->pv) {
		word[0] |= RVIOMMU_FAULT_PV | FIELD_PREP(RVIOMMU_FAULT_PID, f->pid);
		if (f->priv)
			word[0] |= RVIOMMU_FAULT_PRIV;
	}
	m->stats.faults++;
	if (!(q->csr & RVIOMMU_QCSR_ON) || q->csr & (RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF))
		goto lost;
	if (queue_full(q) || rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_FQ_OF)) {
		q->csr |= RVIOMMU_QCSR_OF;
		goto lost;
	}
	if (rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_FQ_MF) || store(m, q, word, 4)) {
		q->csr |= RVIOMMU_QCSR_MF;
		goto lost;
	}
	if (q->csr & RVIOMMU_QCSR_IE)
		rviommu_m_raise(m, RVIOMMU_IPSR_FIP);
	return;
lost:
	m->stats.faults_lost++;
	rviommu_m_update_ipsr(m);
}

/*
 * Queue a page request. If that fails, *code is the response the IOMMU gives
 * in software's stead ("PCIe ATS Page Request handling").
 */
bool rviommu_m_pq_store(struct rviommu_model *m, const struct rviommu_model_page_request *pr,
			u8 *code)
{
	struct rviommu_m_queue *q = &m->pq;
	u64 word[2] = { FIELD_PREP(RVIOMMU_FAULT_DID, pr->device_id), pr->payload };

	if (pr->pv) {
		word[0] |= RVIOMMU_FAULT_PV | FIELD_PREP(RVIOMMU_FAULT_PID, pr->process_id);
		if (pr->priv)
			word[0] |= PQ_PRIV;
		if (pr->exec)
			word[0] |= PQ_EXEC;
	}

	*code = RVIOMMU_MODEL_PRGR_FAILURE;
	if (!(q->csr & RVIOMMU_QCSR_EN) || !(q->csr & RVIOMMU_QCSR_ON) ||
	    q->csr & RVIOMMU_QCSR_MF)
		return false;
	if (q->csr & RVIOMMU_QCSR_OF || queue_full(q) ||
	    rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_PQ_OF)) {
		*code = RVIOMMU_MODEL_PRGR_SUCCESS;
		q->csr |= RVIOMMU_QCSR_OF;
		rviommu_m_update_ipsr(m);
		return false;
	}
	if (rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_PQ_MF) || store(m, q, word, 2)) {
		q->csr |= RVIOMMU_QCSR_MF;
		rviommu_m_update_ipsr(m);
		return false;
	}
	if (q->csr & RVIOMMU_QCSR_IE)
		rviommu_m_raise(m, RVIOMMU_IPSR_PIP);
	return true;
}
