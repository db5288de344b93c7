/* SPDX-License-Identifier: GPL-2.0-only */
/* The queues that the IOMMU writes. */
#ifndef RVIOMMU_MODEL_QUEUES_H
#define RVIOMMU_MODEL_QUEUES_H

#include "cause.h"
#include "state.h"

/* Transaction types of fault records */
#define TTYP_NONE		0
#define TTYP_EXEC		1
#define TTYP_READ		2
#define TTYP_WRITE		3
#define TTYP_TRANSLATED		4	/* added to the three above */
#define TTYP_ATS		8
#define TTYP_MESSAGE		9

/* PCIe message codes, as reported in iotval */
#define MESSAGE_INVAL_COMPLETION	2
#define MESSAGE_PAGE_REQUEST		4

/**
 * struct rviommu_m_fault - one record for the fault queue
 * @cause: CAUSE
 * @ttyp: TTYP
 * @pv: PV
 * @priv: PRIV
 * @pid: PID
 * @did: DID
 * @iotval: iotval
 * @iotval2: iotval2
 */
struct rviommu_m_fault {
	u16 cause;
	u8 ttyp;
	bool pv;
	bool priv;
	u32 pid;
	u32 did;
	u64 iotval;
	u64 iotval2;
};

u64 rviommu_m_queue_addr(const struct rviommu_m_queue *q, u32 index, unsigned int entry);
u32 rviommu_m_queue_mask(const struct rviommu_m_queue *q);
void rviommu_m_fault(struct rviommu_model *m, const struct rviommu_m_fault *f);
bool rviommu_m_pq_store(struct rviommu_model *m, const struct rviommu_model_page_request *pr,
			u8 *code);

#endif /* RVIOMMU_MODEL_QUEUES_H */
