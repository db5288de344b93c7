// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Memory-mapped register interface": what can be read and written, and what
 * a write sets going.
 */
#include "cache.h"
#include "command.h"
#include "hpm.h"
#include "interrupt.h"
#include "progress.h"
#include "queues.h"
#include "regs.h"
#include "state.h"

#define CSR_CONTROL	(RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE)
#define QOSID_MCID	16
#define OF		BIT_ULL(63)

static u64 ppn_mask(const struct rviommu_model *m)
{
	unsigned int bits = FIELD_GET(RVIOMMU_CAP_PAS, m->cap) - RVIOMMU_PAGE_LG2;

	return ((1ULL << bits) - 1) << 10;
}

static u64 icvec_mask(const struct rviommu_model *m)
{
	return (m->config.vectors - 1) * 0x1111ULL;
}

static u32 qosid_mask(const struct rviommu_model *m)
{
	return ((1U << m->config.rcid_bits) - 1) |
	       ((1U << m->config.mcid_bits) - 1) << QOSID_MCID;
}

static bool queues_on(const struct rviommu_model *m)
{
	return (m->cq.csr | m->fq.csr | m->pq.csr) & (RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
}

static u64 pair(u32 high, u32 low)
{
	return (u64)high << 32 | low;
}

static u64 read_msi(const struct rviommu_model *m, unsigned int offset)
{
	const struct rviommu_m_msi *msi = &m->msi[(offset - RVIOMMU_REG_MSI_ADDR(0)) / 16];

	if (offset & 8)
		return pair(msi->ctl, msi->data);
	return msi->addr;
}

static u64 read_hpm(const struct rviommu_model *m, unsigned int offset)
{
	if (!(m->cap & RVIOMMU_CAP_HPM))
		return 0;
	if (offset == RVIOMMU_REG_IOCOUNTOVF)
		return pair(m->inhibit, rviommu_m_overflows(m));
	if (offset == RVIOMMU_REG_IOHPMCYCLES)
		return m->cycles;
	if (offset < RVIOMMU_REG_IOHPMEVT(0))
		return m->counter[(offset - RVIOMMU_REG_IOHPMCTR(0)) / 8];
	return m->event[(offset - RVIOMMU_REG_IOHPMEVT(0)) / 8];
}

/* The 8 bytes at an aligned offset: one register, or two. */
static u64 read_slot(const struct rviommu_model *m, unsigned int offset)
{
	switch (offset) {
	case RVIOMMU_REG_CAPABILITIES:
		return m->cap;
	case RVIOMMU_REG_FCTL:
		return m->fctl;
	case RVIOMMU_REG_DDTP:
		return m->ddtp | (m->ddtp_busy ? RVIOMMU_DDTP_BUSY : 0);
	case RVIOMMU_REG_CQB:
		return m->cq.base;
	case RVIOMMU_REG_CQH:
		return pair(m->cq.tail, m->cq.head);
	case RVIOMMU_REG_FQB:
		return m->fq.base;
	case RVIOMMU_REG_FQH:
		return pair(m->fq.tail, m->fq.head);
	case RVIOMMU_REG_PQB:
		return m->pq.base;
	case RVIOMMU_REG_PQH:
		return pair(m->pq.tail, m->pq.head);
	case RVIOMMU_REG_CQCSR:
		return pair(m->fq.csr, m->cq.csr);
	case RVIOMMU_REG_PQCSR:
		return pair(m->ipsr, m->pq.csr);
	case RVIOMMU_REG_TR_REQ_IOVA:
		return m->tr_req_iova;
	case RVIOMMU_REG_TR_REQ_CTL:
		return m->tr_req_ctl;
	case RVIOMMU_REG_TR_RESPONSE:
		return m->tr_response;
	case RVIOMMU_REG_QOSID:
		return m->qosid;
	case RVIOMMU_REG_ICVEC:
		return m->icvec;
	}
	if (offset >= RVIOMMU_REG_IOCOUNTOVF && offset < RVIOMMU_REG_TR_REQ_IOVA)
		return read_hpm(m, offset);
	if (offset >= RVIOMMU_REG_MSI_ADDR(0) && offset < RVIOMMU_REG_MSI_ADDR(NR_VECTORS))
		return read_msi(m, offset);
	return 0;
}

static bool aligned(struct rviommu_model *m, unsigned int offset, unsigned int size)
{
	if (offset < RVIOMMU_REG_SIZE && !(offset & (size - 1)))
		return true;
	rviommu_m_unspecified(m, "register access off its natural boundary or the page");
	return false;
}

u32 rviommu_model_read32(struct rviommu_model *m, unsigned int offset)
{
	u64 value = 0;

	rviommu_m_enter(m);
	if (aligned(m, offset, 4))
		value = read_slot(m, offset & ~7U) >> (8 * (offset & 4));
	rviommu_m_leave(m);
	return value;
}
EXPORT_SYMBOL_GPL(rviommu_model_read32);

u64 rviommu_model_read64(struct rviommu_model *m, unsigned int offset)
{
	u64 value = 0;

	rviommu_m_enter(m);
	if (aligned(m, offset, 8))
		value = read_slot(m, offset);
	rviommu_m_leave(m);
	return value;
}
EXPORT_SYMBOL_GPL(rviommu_model_read64);

/* Replace the half of a 64-bit register that offset names; mask is WARL. */
static void write_half(u64 *reg, unsigned int offset, u32 value, u64 mask)
{
	unsigned int shift = 8 * (offset & 4);
	u64 half = mask & (0xffffffffULL << shift);

	*reg = (*reg & ~half) | ((u64)value << shift & half);
}

static void write_fctl(struct rviommu_model *m, u32 value)
{
	u32 new = (m->fctl & ~m->config.fctl_writable) | (value & m->config.fctl_writable);

	if (new == m->fctl)
		return;
	if (FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp) || queues_on(m))
		rviommu_m_unspecified(m, "fctl changed while the IOMMU or a queue is on");
	m->fctl = new;
	if (!(new & RVIOMMU_FCTL_WSI))
		m->cq.csr &= ~RVIOMMU_CQCSR_FENCE_W_IP;
	rviommu_m_cache_recheck(m);
}

/* What changes of iommu_mode are defined, "Device-directory-table pointer" */
static void judge_mode(struct rviommu_model *m, unsigned int old, unsigned int new)
{
	if (new == RVIOMMU_DDTP_MODE_BARE && old > RVIOMMU_DDTP_MODE_BARE)
		rviommu_m_unspecified(m, "ddtp.iommu_mode to Bare from a directory");
	if (new > RVIOMMU_DDTP_MODE_BARE && old > RVIOMMU_DDTP_MODE_BARE)
		rviommu_m_unspecified(m, "ddtp.iommu_mode from directory to directory");
}

static void write_ddtp(struct rviommu_model *m, unsigned int offset, u32 value)
{
	unsigned int old = FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp);
	unsigned int new = FIELD_GET(RVIOMMU_DDTP_MODE, value);
	u64 ppn = m->ddtp & ppn_mask(m);

	if (m->ddtp_busy) {
		rviommu_m_unspecified(m, "ddtp written while busy");
		return;
	}
	write_half(&m->ddtp, offset, value, ppn_mask(m));
	if (offset & 4)
		return;
	judge_mode(m, old, new);
	if (!new && old > RVIOMMU_DDTP_MODE_BARE && (m->ddtp & ppn_mask(m)) != ppn)
		rviommu_m_unspecified(m, "ddtp.PPN changed on the way to Off");
	/* WARL: a mode that does not exist is not selected. */
	if (new <= RVIOMMU_DDTP_MODE_BARE ||
	    (new <= RVIOMMU_DDTP_MODE_3LVL && m->config.ddtp_modes >> new & 1))
		m->ddtp = (m->ddtp & ~RVIOMMU_DDTP_MODE) | new;
	m->ddtp_busy = true;
}

/*
 * cqb, fqb, pqb: of the index that software owns, only the bits that the
 * queue's size calls for remain.
 */
static void write_base(struct rviommu_model *m, struct rviommu_m_queue *q, u32 *index,
		       unsigned int offset, u32 value)
{
	if (q->csr & (RVIOMMU_QCSR_ON | RVIOMMU_QCSR_BUSY))
		rviommu_m_unspecified(m, "base of a queue written while it is on");
	write_half(&q->base, offset, value, ppn_mask(m) | RVIOMMU_QB_LOG2SZ_1);
	if (FIELD_GET(RVIOMMU_QB_LOG2SZ_1, q->base) >= q->max_lg2)
		q->base = (q->base & ~RVIOMMU_QB_LOG2SZ_1) | (q->max_lg2 - 1);
	*index &= rviommu_m_queue_mask(q);
	/* The IOMMU's own index must not leave the queue, whatever software does. */
	q->head &= rviommu_m_queue_mask(q);
	q->tail &= rviommu_m_queue_mask(q);
}

/* cqcsr, fqcsr, pqcsr; index is the one that the IOMMU owns */
static void write_csr(struct rviommu_model *m, struct rviommu_m_queue *q, u32 *index, u32 value,
		      u32 errors)
{
	u32 old = q->csr;

	if (old & RVIOMMU_QCSR_BUSY) {
		rviommu_m_unspecified(m, "csr of a queue written while busy");
		return;
	}
	q->csr &= ~(value & errors);
	q->csr = (q->csr & ~CSR_CONTROL) | (value & CSR_CONTROL);
	if (!((old ^ value) & RVIOMMU_QCSR_EN))
		return;
	if (value & RVIOMMU_QCSR_EN) {
		*index = 0;
		q->csr &= ~errors;
	}
	q->csr |= RVIOMMU_QCSR_BUSY;
}

static void write_msi(struct rviommu_model *m, unsigned int offset, u32 value)
{
	unsigned int vector = (offset - RVIOMMU_REG_MSI_ADDR(0)) / 16;
	struct rviommu_m_msi *msi = &m->msi[vector];

	if (vector >= m->config.vectors ||
	    FIELD_GET(RVIOMMU_CAP_IGS, m->cap) == RVIOMMU_IGS_WSI)
		return;
	switch (offset & 0xc) {
	case 0x0:
	case 0x4:
		write_half(&msi->addr, offset, value, RVIOMMU_MSI_ADDR);
		break;
	case 0x8:
		msi->data = value;
		break;
	case 0xc:
		msi->ctl = value & RVIOMMU_MSI_VEC_CTL_M;
		if (!msi->ctl)
			rviommu_m_unmask(m, vector);
		break;
	}
}

static void write_event(struct rviommu_model *m, unsigned int i, unsigned int offset, u32 value)
{
	write_half(&m->event[i], offset, value, ~0ULL);
	m->event[i] = rviommu_m_legal_event(m->event[i]);
	m->counting &= ~(1U << i);
	if (m->event[i] & GENMASK_ULL(14, 0))
		m->counting |= 1U << i;
}

static void write_hpm(struct rviommu_model *m, unsigned int offset, u32 value)
{
	unsigned int i;

	if (!(m->cap & RVIOMMU_CAP_HPM) || offset == RVIOMMU_REG_IOCOUNTOVF)
		return;
	if (offset == RVIOMMU_REG_IOCOUNTINH) {
		m->inhibit = value & rviommu_m_counters(m);
		return;
	}
	if (offset < RVIOMMU_REG_IOHPMCTR(0)) {
		write_half(&m->cycles, offset, value, rviommu_m_cycles_mask(m) | OF);
		return;
	}
	i = (offset - RVIOMMU_REG_IOHPMCTR(0)) / 8 % NR_COUNTERS;
	if (i >= m->config.hpm_counters)
		return;
	if (offset < RVIOMMU_REG_IOHPMEVT(0))
		write_half(&m->counter[i], offset, value, rviommu_m_counter_mask(m));
	else
		write_event(m, i, offset, value);
}

static void write_debug(struct rviommu_model *m, unsigned int offset, u32 value)
{
	u64 ctl = RVIOMMU_TR_REQ_CTL_GO_BUSY | RVIOMMU_TR_REQ_CTL_PRIV | RVIOMMU_TR_REQ_CTL_EXE |
		  RVIOMMU_TR_REQ_CTL_NW | RVIOMMU_TR_REQ_CTL_PID | RVIOMMU_TR_REQ_CTL_PV |
		  RVIOMMU_TR_REQ_CTL_DID;

	if (!(m->cap & RVIOMMU_CAP_DBG))
		return;
	if (m->tr_req_ctl & RVIOMMU_TR_REQ_CTL_GO_BUSY) {
		rviommu_m_unspecified(m, "translation request changed while busy");
		return;
	}
	if (offset < RVIOMMU_REG_TR_REQ_CTL)
		write_half(&m->tr_req_iova, offset, value, RVIOMMU_TR_REQ_IOVA_VPN);
	else
		write_half(&m->tr_req_ctl, offset, value, ctl);
}

static void write_pq(struct rviommu_model *m, unsigned int offset, u32 value)
{
	if (!(m->cap & RVIOMMU_CAP_ATS))
		return;
	switch (offset) {
	case RVIOMMU_REG_PQB:
	case RVIOMMU_REG_PQB + 4:
		write_base(m, &m->pq, &m->pq.head, offset, value);
		break;
	case RVIOMMU_REG_PQH:
		m->pq.head = value & rviommu_m_queue_mask(&m->pq);
		break;
	case RVIOMMU_REG_PQCSR:
		write_csr(m, &m->pq, &m->pq.tail, value, RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF);
		break;
	}
}

static void write_cqcsr(struct rviommu_model *m, u32 value)
{
	bool was_on = m->cq.csr & RVIOMMU_QCSR_EN;

	write_csr(m, &m->cq, &m->cq.head, value,
		  RVIOMMU_CQCSR_ERRORS | RVIOMMU_CQCSR_FENCE_W_IP);
	if (!was_on && m->cq.csr & RVIOMMU_QCSR_EN)
		rviommu_m_commands_reset(m);
	if (was_on && !(m->cq.csr & RVIOMMU_QCSR_EN))
		rviommu_m_commands_end(m);
}

static void write_register(struct rviommu_model *m, unsigned int offset, u32 value)
{
	switch (offset) {
	case RVIOMMU_REG_FCTL:
		write_fctl(m, value);
		return;
	case RVIOMMU_REG_DDTP:
	case RVIOMMU_REG_DDTP + 4:
		write_ddtp(m, offset, value);
		return;
	case RVIOMMU_REG_CQB:
	case RVIOMMU_REG_CQB + 4:
		write_base(m, &m->cq, &m->cq.tail, offset, value);
		return;
	case RVIOMMU_REG_CQT:
		m->cq.tail = value & rviommu_m_queue_mask(&m->cq);
		return;
	case RVIOMMU_REG_FQB:
	case RVIOMMU_REG_FQB + 4:
		write_base(m, &m->fq, &m->fq.head, offset, value);
		return;
	case RVIOMMU_REG_FQH:
		m->fq.head = value & rviommu_m_queue_mask(&m->fq);
		return;
	case RVIOMMU_REG_CQCSR:
		write_cqcsr(m, value);
		return;
	case RVIOMMU_REG_FQCSR:
		write_csr(m, &m->fq, &m->fq.tail, value, RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF);
		return;
	case RVIOMMU_REG_IPSR:
		/* Causes that persist set their bit again, see settle. */
		m->ipsr &= ~value;
		return;
	case RVIOMMU_REG_QOSID:
		if (m->cap & RVIOMMU_CAP_QOSID)
			m->qosid = value & qosid_mask(m);
		return;
	case RVIOMMU_REG_ICVEC:
	case RVIOMMU_REG_ICVEC + 4:
		write_half(&m->icvec, offset, value, icvec_mask(m));
		return;
	}
	if (offset >= RVIOMMU_REG_PQB && offset <= RVIOMMU_REG_PQCSR)
		write_pq(m, offset, value);
	else if (offset >= RVIOMMU_REG_IOCOUNTOVF && offset < RVIOMMU_REG_TR_REQ_IOVA)
		write_hpm(m, offset, value);
	else if (offset >= RVIOMMU_REG_TR_REQ_IOVA && offset < RVIOMMU_REG_TR_RESPONSE)
		write_debug(m, offset, value);
	else if (offset >= RVIOMMU_REG_MSI_ADDR(0) && offset < RVIOMMU_REG_MSI_ADDR(NR_VECTORS))
		write_msi(m, offset, value);
}

static void after_write(struct rviommu_model *m)
{
	if (!rviommu_m_switch(m, RVIOMMU_MODEL_ASYNC))
		rviommu_m_settle(m);
	rviommu_m_update_ipsr(m);
}

void rviommu_model_write32(struct rviommu_model *m, unsigned int offset, u32 value)
{
	rviommu_m_enter(m);
	if (aligned(m, offset, 4)) {
		write_register(m, offset, value);
		after_write(m);
	}
	rviommu_m_leave(m);
}

static bool is_pair(unsigned int offset)
{
	switch (offset) {
	case RVIOMMU_REG_CQH:
	case RVIOMMU_REG_FQH:
	case RVIOMMU_REG_PQH:
	case RVIOMMU_REG_CQCSR:
	case RVIOMMU_REG_PQCSR:
	case RVIOMMU_REG_IOCOUNTOVF:
		return true;
	}
	return offset >= RVIOMMU_REG_MSI_ADDR(0) && offset & 8;
}

void rviommu_model_write64(struct rviommu_model *m, unsigned int offset, u64 value)
{
	rviommu_m_enter(m);
	if (aligned(m, offset, 8)) {
		if (is_pair(offset))
			rviommu_m_unspecified(m, "64-bit access to two 32-bit registers");
		write_register(m, offset + 4, value >> 32);
		write_register(m, offset, value);
		after_write(m);
	}
	rviommu_m_leave(m);
}

/* Values that the specification leaves open, taken at their most surprising */
static void randomize(struct rviommu_model *m)
{
	static const unsigned int offsets[] = {
		RVIOMMU_REG_CQB, RVIOMMU_REG_FQB, RVIOMMU_REG_PQB, RVIOMMU_REG_ICVEC,
		RVIOMMU_REG_TR_REQ_IOVA, RVIOMMU_REG_QOSID, RVIOMMU_REG_IOHPMCYCLES,
	};
	unsigned int i, offset;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		value = rviommu_m_random(m);
		write_register(m, offsets[i], value);
		if (offsets[i] != RVIOMMU_REG_QOSID)
			write_register(m, offsets[i] + 4, value >> 32);
	}
	write_register(m, RVIOMMU_REG_CQT, rviommu_m_random(m));
	write_register(m, RVIOMMU_REG_FQH, rviommu_m_random(m));
	write_register(m, RVIOMMU_REG_PQH, rviommu_m_random(m));
	write_register(m, RVIOMMU_REG_IOCOUNTINH, rviommu_m_random(m));
	for (offset = RVIOMMU_REG_IOHPMCTR(0); offset < RVIOMMU_REG_TR_REQ_IOVA; offset += 4)
		write_register(m, offset, rviommu_m_random(m));
	for (offset = RVIOMMU_REG_MSI_ADDR(0); offset < RVIOMMU_REG_MSI_ADDR(NR_VECTORS);
	     offset += 4)
		write_register(m, offset, rviommu_m_random(m));
	write_half(&m->ddtp, 0, rviommu_m_random(m), ppn_mask(m));
	write_half(&m->ddtp, 4, rviommu_m_random(m), ppn_mask(m));
	/* "QoS Identifiers Extension", reset behaviour */
	if (m->config.ddtp_reset == RVIOMMU_DDTP_MODE_BARE)
		m->qosid &= ~0xfffU;
}

static void reset_queue(struct rviommu_m_queue *q, u8 max_lg2)
{
	memset(q, 0, sizeof(*q));
	q->max_lg2 = max_lg2;
}

/* "Reset behavior" */
void rviommu_m_regs_reset(struct rviommu_model *m)
{
	m->fctl = m->config.fctl_reset;
	m->ddtp = m->config.ddtp_reset;
	m->ddtp_busy = false;
	reset_queue(&m->cq, m->config.cq_max_lg2);
	reset_queue(&m->fq, m->config.fq_max_lg2);
	reset_queue(&m->pq, m->config.pq_max_lg2);
	m->ipsr = 0;
	m->icvec = 0;
	memset(m->msi, 0, sizeof(m->msi));
	m->msi_pending = 0;
	m->inhibit = 0;
	m->cycles = 0;
	memset(m->counter, 0, sizeof(m->counter));
	memset(m->event, 0, sizeof(m->event));
	m->counting = 0;
	m->tr_req_iova = 0;
	m->tr_req_ctl = 0;
	m->tr_response = 0;
	m->qosid = 0;
	if (rviommu_m_switch(m, RVIOMMU_MODEL_RANDOM_RESET))
		randomize(m);
	m->ddtp_active = m->ddtp;
}
