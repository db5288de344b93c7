// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware performance monitor: "Performance-monitoring event selectors"
 * and the registers around it.
 */
#include "hpm.h"
#include "interrupt.h"

#define EVT_ID		GENMASK_ULL(14, 0)
#define EVT_DMASK	BIT_ULL(15)
#define EVT_PID		GENMASK_ULL(35, 16)
#define EVT_DID		GENMASK_ULL(59, 36)
#define EVT_PV		BIT_ULL(60)
#define EVT_DV		BIT_ULL(61)
#define EVT_IDT		BIT_ULL(62)
#define EVT_OF		BIT_ULL(63)

/* Counters that exist, one bit each, iohpmcycles being bit 0 */
u32 rviommu_m_counters(const struct rviommu_model *m)
{
	return (2ULL << m->config.hpm_counters) - 1;
}

u64 rviommu_m_counter_mask(const struct rviommu_model *m)
{
	return ~0ULL >> (64 - m->config.hpm_bits);
}

/* Bit 63 of iohpmcycles is OF. */
u64 rviommu_m_cycles_mask(const struct rviommu_model *m)
{
	return ~0ULL >> (64 - min(m->config.hpm_bits, 63));
}

/* eventID is WARL: what is no event reads as 0. */
u64 rviommu_m_legal_event(u64 event)
{
	return FIELD_GET(EVT_ID, event) > EVENT_LAST ? event & ~EVT_ID : event;
}

static bool supports_idt(unsigned int event)
{
	return event == EVENT_TLB_MISS || event == EVENT_S1_WALK || event == EVENT_S2_WALK;
}

static bool same_id(u64 evt, u32 id)
{
	u32 want = FIELD_GET(EVT_DID, evt);
	u32 ignore = evt & EVT_DMASK ? want ^ (want + 1) : 0;

	return !((id ^ want) & ~ignore & 0xffffff);
}

static bool filter(const struct rviommu_m_xlate *x, u64 evt)
{
	u32 pid = FIELD_GET(EVT_PID, evt);

	if (evt & EVT_IDT) {
		if (!supports_idt(FIELD_GET(EVT_ID, evt)))
			return false;
		if (evt & EVT_DV && (!x->s2.mode || !same_id(evt, x->gscid)))
			return false;
		return !(evt & EVT_PV) || (x->pscv && x->pscid == pid);
	}
	if (evt & EVT_DV && !same_id(evt, x->req->device_id))
		return false;
	return !(evt & EVT_PV) || (x->req->pv && x->req->process_id == pid);
}

void rviommu_m_count_event(struct rviommu_m_xlate *x, unsigned int event)
{
	struct rviommu_model *m = x->m;
	u32 active = m->counting & ~(m->inhibit >> 1);
	unsigned int i;

	if (!active || x->speculative)
		return;
	for (i = 0; i < m->config.hpm_counters; i++) {
		if (!(active >> i & 1) || FIELD_GET(EVT_ID, m->event[i]) != event ||
		    !filter(x, m->event[i]))
			continue;
		m->counter[i] = (m->counter[i] + 1) & rviommu_m_counter_mask(m);
		if (m->counter[i] || m->event[i] & EVT_OF)
			continue;
		m->event[i] |= EVT_OF;
		rviommu_m_raise(m, RVIOMMU_IPSR_PMIP);
	}
}

void rviommu_m_count_cycles(struct rviommu_model *m, u64 n)
{
	u64 mask = rviommu_m_cycles_mask(m);
	u64 old = m->cycles & mask;

	if (!(m->cap & RVIOMMU_CAP_HPM) || m->inhibit & 1)
		return;
	m->cycles = (m->cycles & EVT_OF) | ((old + n) & mask);
	if (n <= mask - old || m->cycles & EVT_OF)
		return;
	m->cycles |= EVT_OF;
	rviommu_m_raise(m, RVIOMMU_IPSR_PMIP);
}

/* iocountovf */
u32 rviommu_m_overflows(const struct rviommu_model *m)
{
	u32 overflows = !!(m->cycles & EVT_OF);
	unsigned int i;

	for (i = 0; i < m->config.hpm_counters; i++) {
		if (m->event[i] & EVT_OF)
			overflows |= 2U << i;
	}
	return overflows;
}
