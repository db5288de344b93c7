// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the hardware gets on: what register writes have begun is finished, commands are
 * executed, interrupts and messages leave. Whoever was in the model sees to it on the way
 * out.
 */
#include "ats.h"
#include "command.h"
#include "debug.h"
#include "interrupt.h"
#include "progress.h"
#include "queues.h"
#include "state.h"

/* The way to Off ends when all that was processed is committed. */
static void settle_ddtp(struct rviommu_model *m)
{
	if (!m->ddtp_busy)
		return;
	if (m->ddtp_active != m->ddtp) {
		m->ddtp_active = m->ddtp;
		m->generation++;
	}
	/* Pairs with the one in rviommu_model_release(). */
	rviommu_shim_mb();
	if (!FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp) &&
	    (rviommu_shim_counted(&m->held[0][0]) || rviommu_shim_counted(&m->held[0][1]) ||
	     rviommu_shim_counted(&m->held[1][0]) || rviommu_shim_counted(&m->held[1][1])))
		return;
	m->ddtp_busy = false;
}

static void settle_queue(struct rviommu_m_queue *q)
{
	if (!(q->csr & RVIOMMU_QCSR_BUSY))
		return;
	q->csr &= ~(RVIOMMU_QCSR_BUSY | RVIOMMU_QCSR_ON);
	if (q->csr & RVIOMMU_QCSR_EN)
		q->csr |= RVIOMMU_QCSR_ON;
}

/* Finish what register writes have begun. */
void rviommu_m_settle(struct rviommu_model *m)
{
	settle_ddtp(m);
	if (!rviommu_m_commands_linger(m))
		settle_queue(&m->cq);
	settle_queue(&m->fq);
	settle_queue(&m->pq);
	if (!(m->cq.csr & RVIOMMU_QCSR_ON))
		rviommu_m_commands_reset(m);
	rviommu_m_debug_run(m);
}

void rviommu_m_enter(struct rviommu_model *m)
{
	rviommu_shim_lock(&m->lock);
}

static bool deliver_msi(struct rviommu_model *m)
{
	struct rviommu_m_fault f = { .cause = CAUSE_MSI_WRITE, .ttyp = TTYP_NONE };
	unsigned long flags;
	unsigned int vector;
	u32 data;
	int ret;

	if (!m->nr_msi_out)
		return false;
	for (vector = 0; !m->msi_out[vector]; vector++)
		;
	m->msi_out[vector]--;
	m->nr_msi_out--;
	f.iotval = m->msi[vector].addr;
	data = m->msi[vector].data;
	if (m->fctl & RVIOMMU_FCTL_BE)
		data = swab32(data);
	if (f.iotval >> FIELD_GET(RVIOMMU_CAP_PAS, m->cap)) {
		ret = RVIOMMU_MODEL_MEM_FAULT;
	} else {
		flags = rviommu_shim_pause(&m->lock);
		ret = m->ops->msi(m->ctx, f.iotval, data);
		rviommu_shim_resume(&m->lock, flags);
	}
	if (ret)
		rviommu_m_fault(m, &f);
	return true;
}

static bool deliver_message(struct rviommu_model *m)
{
	struct rviommu_model_ats_msg msg;
	unsigned long flags;

	if (m->outbox_head == m->outbox_tail)
		return false;
	msg = m->outbox[m->outbox_head++ % OUTBOX_SIZE];
	flags = rviommu_shim_pause(&m->lock);
	m->ops->ats(m->ctx, &msg);
	rviommu_shim_resume(&m->lock, flags);
	if (msg.code == RVIOMMU_MODEL_ATS_INVAL)
		rviommu_m_ats_sent(m, msg.itag);
	return true;
}

static bool deliver_wires(struct rviommu_model *m)
{
	u16 now = rviommu_m_wires(m), changed = now ^ m->wires;
	unsigned long flags;
	unsigned int vector;

	if (!changed)
		return false;
	m->wires = now;
	flags = rviommu_shim_pause(&m->lock);
	for (vector = 0; vector < NR_VECTORS; vector++) {
		if (changed >> vector & 1)
			m->ops->wire(m->ctx, vector, now >> vector & 1);
	}
	rviommu_shim_resume(&m->lock, flags);
	return true;
}

static bool idle(const struct rviommu_model *m)
{
	return !m->nr_msi_out && m->outbox_head == m->outbox_tail &&
	       rviommu_m_wires(m) == m->wires;
}

/*
 * Process commands and release the lock. Only one caller at a time delivers; a callback that
 * comes back here leaves its own deliveries to the one below it on the stack,
 * another thread to the one at work.
 */
void rviommu_m_leave(struct rviommu_model *m)
{
	if (!m->delivering) {
		m->delivering = true;
		for (;;) {
			while (deliver_msi(m) || deliver_message(m) || deliver_wires(m))
				;
			/* Whatever the caller did, commands may have waited for it ... */
			if (!rviommu_m_switch(m, RVIOMMU_MODEL_ASYNC)) {
				rviommu_m_process(m, ~0U);
				/* ... and the end of the queue for them. */
				if (m->cq_lingers)
					rviommu_m_settle(m);
			}
			if (idle(m))
				break;
		}
		m->delivering = false;
	}
	rviommu_shim_unlock(&m->lock);
}
