// SPDX-License-Identifier: GPL-2.0-only
/*
 * "IOMMU PCIe ATS commands": messages to devices, and what is known of the Invalidation
 * Requests among them until they are completed.
 */
#include "ats.h"
#include "state.h"

static bool outbox_full(const struct rviommu_model *m)
{
	return m->outbox_tail - m->outbox_head == OUTBOX_SIZE;
}

/* Room for one more message to a device; the outbox is not full. */
static struct rviommu_model_ats_msg *outbox_add(struct rviommu_model *m)
{
	struct rviommu_model_ats_msg *msg = &m->outbox[m->outbox_tail++ % OUTBOX_SIZE];

	memset(msg, 0, sizeof(*msg));
	return msg;
}

static void address(struct rviommu_model_ats_msg *msg, u64 dword0, u64 dword1)
{
	msg->device_id = FIELD_GET(RVIOMMU_CMD_ATS_RID, dword0);
	if (dword0 & RVIOMMU_CMD_ATS_DSV)
		msg->device_id |= FIELD_GET(RVIOMMU_CMD_ATS_DSEG, dword0) << 16;
	msg->pv = dword0 & RVIOMMU_CMD_ATS_PV;
	if (msg->pv)
		msg->process_id = FIELD_GET(RVIOMMU_CMD_ATS_PID, dword0);
	msg->payload = dword1;
}

/* Return: false if there is no tag for it now, or nowhere to put it */
bool rviommu_m_ats_inval(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	struct rviommu_model_ats_msg *msg;
	unsigned int i;

	for (i = 0; i < NR_ITAGS && m->itag[i].busy; i++)
		;
	if (i == NR_ITAGS || outbox_full(m))
		return false;
	msg = outbox_add(m);
	msg->code = RVIOMMU_MODEL_ATS_INVAL;
	msg->itag = i;
	address(msg, dword0, dword1);
	m->itag[i] = (struct rviommu_m_itag) {
		.busy = true,
		.underway = true,
		.device_id = msg->device_id,
	};
	return true;
}

/*
 * The device has got it; maybe it has answered. What is a moment in hardware may be long
 * here, where whoever carries the message can have to wait for a CPU.
 */
void rviommu_m_ats_sent(struct rviommu_model *m, unsigned int itag)
{
	struct rviommu_m_itag *tag = &m->itag[itag];

	tag->underway = false;
	tag->deadline = m->now + m->config.ats_timeout;
	tag->arrival = tag->deadline - 1;
}

bool rviommu_m_ats_prgr(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	struct rviommu_model_ats_msg *msg;

	if (outbox_full(m))
		return false;
	msg = outbox_add(m);
	msg->code = RVIOMMU_MODEL_ATS_PRGR;
	address(msg, dword0, dword1);
	return true;
}

bool rviommu_m_ats_waiting(const struct rviommu_model *m)
{
	unsigned int i;

	for (i = 0; i < NR_ITAGS; i++) {
		if (m->itag[i].busy)
			return true;
	}
	return false;
}

/* A device says that it has done what some tags stand for. */
void rviommu_m_ats_completed(struct rviommu_model *m, u32 device_id, u32 itag_vector,
			     unsigned int count)
{
	struct rviommu_m_itag *tag;
	unsigned int i;
	bool late;

	if (rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_ATS_LOST))
		itag_vector = 0;
	late = rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_ATS_LATE);
	for (i = 0; i < NR_ITAGS; i++) {
		tag = &m->itag[i];
		if (!(itag_vector >> i & 1) || !tag->busy || tag->late ||
		    tag->device_id != device_id)
			continue;
		if (++tag->seen < count)
			continue;
		tag->busy = late;
		tag->late = late;
	}
}

/* Time has passed: late completions come in, others never will. */
void rviommu_m_ats_time(struct rviommu_model *m)
{
	struct rviommu_m_itag *tag;
	unsigned int i;

	for (i = 0; i < NR_ITAGS; i++) {
		tag = &m->itag[i];
		if (!tag->busy || tag->underway)
			continue;
		if (tag->late && tag->arrival <= m->now) {
			tag->busy = false;
		} else if (tag->deadline <= m->now) {
			tag->busy = false;
			m->ats_timed_out = true;
		}
	}
}

void rviommu_m_ats_reset(struct rviommu_model *m)
{
	memset(m->itag, 0, sizeof(m->itag));
}
