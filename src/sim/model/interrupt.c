// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: "Interrupt pending status register", "Interrupt-cause-to-vector
 * register", "MSI configuration table". What is sent leaves when the lock is
 * released.
 */
#include "interrupt.h"

static unsigned int vector_of(const struct rviommu_model *m, unsigned int cause)
{
	return m->icvec >> (4 * cause) & 0xf;
}

static void send_msi(struct rviommu_model *m, unsigned int vector)
{
	m->msi_out[vector]++;
	m->nr_msi_out++;
}

/* Set bits of ipsr; a message goes out for each that was 0. */
void rviommu_m_raise(struct rviommu_model *m, u32 causes)
{
	u32 risen = causes & ~m->ipsr;
	unsigned int i, vector;

	m->ipsr |= causes;
	if (m->fctl & RVIOMMU_FCTL_WSI)
		return;
	for (i = 0; i < RVIOMMU_NR_CAUSES; i++) {
		if (!(risen >> i & 1))
			continue;
		vector = vector_of(m, i);
		if (m->msi[vector].ctl & RVIOMMU_MSI_VEC_CTL_M)
			m->msi_pending |= 1U << vector;
		else
			send_msi(m, vector);
	}
}

/* Causes that last as long as a condition does */
void rviommu_m_update_ipsr(struct rviommu_model *m)
{
	u32 causes = 0;

	if (m->cq.csr & RVIOMMU_QCSR_IE &&
	    m->cq.csr & (RVIOMMU_CQCSR_ERRORS | RVIOMMU_CQCSR_FENCE_W_IP))
		causes |= RVIOMMU_IPSR_CIP;
	if (m->fq.csr & RVIOMMU_QCSR_IE && m->fq.csr & (RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF))
		causes |= RVIOMMU_IPSR_FIP;
	if (m->pq.csr & RVIOMMU_QCSR_IE && m->pq.csr & (RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF))
		causes |= RVIOMMU_IPSR_PIP;
	rviommu_m_raise(m, causes);
}

/* The mask bit of a vector went from 1 to 0. */
void rviommu_m_unmask(struct rviommu_model *m, unsigned int vector)
{
	if (m->msi_pending >> vector & 1)
		send_msi(m, vector);
	m->msi_pending &= ~(1U << vector);
}

/* Levels of the wires, one bit per vector */
u16 rviommu_m_wires(const struct rviommu_model *m)
{
	unsigned int i;
	u16 wires = 0;

	if (!(m->fctl & RVIOMMU_FCTL_WSI))
		return 0;
	for (i = 0; i < RVIOMMU_NR_CAUSES; i++) {
		if (m->ipsr >> i & 1)
			wires |= 1U << vector_of(m, i);
	}
	return wires;
}
