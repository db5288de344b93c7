// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Command-Queue (CQ)": fetching, checking and executing commands.
 */
#include "ats.h"
#include "cache.h"
#include "command.h"
#include "directory.h"
#include "interrupt.h"
#include "mem.h"
#include "queues.h"
#include "state.h"

#define IOTINVAL_RESERVED0	(BIT_ULL(11) | GENMASK_ULL(43, 35) | GENMASK_ULL(63, 60))
#define IOTINVAL_RESERVED1	(GENMASK_ULL(8, 0) | GENMASK_ULL(63, 62))
#define IOFENCE_RESERVED0	GENMASK_ULL(31, 14)
#define IOFENCE_RESERVED1	GENMASK_ULL(63, 62)
#define IODIR_RESERVED0		(GENMASK_ULL(11, 10) | BIT_ULL(32) | GENMASK_ULL(39, 34))
#define ATS_RESERVED0		(GENMASK_ULL(11, 10) | GENMASK_ULL(39, 34))

enum outcome {
	DONE,
	WAIT,	/* try again later */
	STOP,	/* an error bit is set */
};

static bool iotinval_ok(u64 cap, u64 dword0, u64 dword1)
{
	u64 reserved0 = IOTINVAL_RESERVED0, reserved1 = IOTINVAL_RESERVED1;

	if (!(cap & RVIOMMU_CAP_NL))
		reserved0 |= RVIOMMU_CMD_IOTINVAL_NL;
	if (!(cap & RVIOMMU_CAP_S))
		reserved1 |= RVIOMMU_CMD_IOTINVAL_S;
	if (dword0 & reserved0 || dword1 & reserved1)
		return false;
	switch (FIELD_GET(RVIOMMU_CMD_FUNC3, dword0)) {
	case RVIOMMU_CMD_IOTINVAL_VMA:
		return true;
	case RVIOMMU_CMD_IOTINVAL_GVMA:
		return !(dword0 & RVIOMMU_CMD_IOTINVAL_PSCV);
	}
	return false;
}

static bool iofence_ok(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	if (dword0 & IOFENCE_RESERVED0 || dword1 & IOFENCE_RESERVED1)
		return false;
	if (dword0 & RVIOMMU_CMD_IOFENCE_WSI && !(m->fctl & RVIOMMU_FCTL_WSI))
		return false;
	return FIELD_GET(RVIOMMU_CMD_FUNC3, dword0) == RVIOMMU_CMD_IOFENCE_C;
}

static unsigned int process_id_bits(u64 cap)
{
	if (cap & RVIOMMU_CAP_PD20)
		return 20;
	if (cap & RVIOMMU_CAP_PD17)
		return 17;
	return cap & RVIOMMU_CAP_PD8 ? 8 : 0;
}

/*
 * "Must not be wider than supported" is taken as: illegal if it is. A mode
 * without a directory supports every width.
 */
static bool iodir_ok(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	u32 pid = FIELD_GET(RVIOMMU_CMD_IODIR_PID, dword0);

	if (dword0 & IODIR_RESERVED0 || dword1)
		return false;
	if (dword0 & RVIOMMU_CMD_IODIR_DV &&
	    FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp_active) >= RVIOMMU_DDTP_MODE_1LVL &&
	    rviommu_m_check_width(m, FIELD_GET(RVIOMMU_CMD_IODIR_DID, dword0)))
		return false;
	switch (FIELD_GET(RVIOMMU_CMD_FUNC3, dword0)) {
	case RVIOMMU_CMD_IODIR_INVAL_DDT:
		return !pid;
	case RVIOMMU_CMD_IODIR_INVAL_PDT:
		return dword0 & RVIOMMU_CMD_IODIR_DV && !(pid >> process_id_bits(m->cap));
	}
	return false;
}

static bool ats_ok(u64 cap, u64 dword0)
{
	if (!(cap & RVIOMMU_CAP_ATS) || dword0 & ATS_RESERVED0)
		return false;
	return FIELD_GET(RVIOMMU_CMD_FUNC3, dword0) <= RVIOMMU_CMD_ATS_PRGR;
}

/* Neither illegal nor unsupported */
static bool command_ok(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	switch (FIELD_GET(RVIOMMU_CMD_OPCODE, dword0)) {
	case RVIOMMU_CMD_OPCODE_IOTINVAL:
		return iotinval_ok(m->cap, dword0, dword1);
	case RVIOMMU_CMD_OPCODE_IOFENCE:
		return iofence_ok(m, dword0, dword1);
	case RVIOMMU_CMD_OPCODE_IODIR:
		return iodir_ok(m, dword0, dword1);
	case RVIOMMU_CMD_OPCODE_ATS:
		return ats_ok(m->cap, dword0);
	}
	return false;
}

static bool is_fence(u64 dword0)
{
	return FIELD_GET(RVIOMMU_CMD_OPCODE, dword0) == RVIOMMU_CMD_OPCODE_IOFENCE;
}

/* Any command but a fence */
static enum outcome execute(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	unsigned int func = FIELD_GET(RVIOMMU_CMD_FUNC3, dword0);
	u32 did = FIELD_GET(RVIOMMU_CMD_IODIR_DID, dword0);

	switch (FIELD_GET(RVIOMMU_CMD_OPCODE, dword0)) {
	case RVIOMMU_CMD_OPCODE_IOTINVAL:
		if (func == RVIOMMU_CMD_IOTINVAL_VMA)
			rviommu_m_inval_vma(m, dword0, dword1);
		else
			rviommu_m_inval_gvma(m, dword0, dword1);
		break;
	case RVIOMMU_CMD_OPCODE_IODIR:
		if (func == RVIOMMU_CMD_IODIR_INVAL_DDT)
			rviommu_m_inval_ddt(m, dword0 & RVIOMMU_CMD_IODIR_DV, did);
		else
			rviommu_m_inval_pdt(m, did, FIELD_GET(RVIOMMU_CMD_IODIR_PID, dword0));
		break;
	case RVIOMMU_CMD_OPCODE_ATS:
		if (func == RVIOMMU_CMD_ATS_INVAL) {
			if (!rviommu_m_ats_inval(m, dword0, dword1))
				return WAIT;
		} else if (!rviommu_m_ats_prgr(m, dword0, dword1)) {
			return WAIT;
		}
		break;
	}
	m->stats.commands++;
	return DONE;
}

/* Execute one of the fetched commands, whichever. */
static enum outcome execute_delayed(struct rviommu_model *m)
{
	unsigned int i = rviommu_m_random(m) % m->nr_delayed;
	enum outcome outcome = execute(m, m->delayed[i][0], m->delayed[i][1]);

	if (outcome != DONE)
		return outcome;
	m->nr_delayed--;
	memmove(m->delayed[i], m->delayed[i + 1], (m->nr_delayed - i) * sizeof(m->delayed[0]));
	return DONE;
}

static enum outcome stop(struct rviommu_model *m, u32 error)
{
	m->cq.csr |= error;
	rviommu_m_update_ipsr(m);
	return STOP;
}

/*
 * Wait for the accesses that were processed before this fence. Later ones
 * count in the other epoch, so that the wait ends.
 */
static bool accesses_committed(struct rviommu_model *m, u64 dword0)
{
	unsigned int i;
	u8 want = 0;

	/* Pairs with the one in rviommu_model_release(). */
	rviommu_shim_mb();
	if (!m->fence_begun) {
		if (dword0 & RVIOMMU_CMD_IOFENCE_PR)
			want |= 1;
		if (dword0 & RVIOMMU_CMD_IOFENCE_PW)
			want |= 2;
		for (i = 0; i < 2; i++) {
			if (want >> i & 1 && rviommu_shim_counted(&m->held[i][!m->epoch[i]]))
				return false;	/* of a fence that was given up */
		}
		for (i = 0; i < 2; i++)
			m->epoch[i] ^= want >> i & 1;
		m->fence_waits = want;
		m->fence_begun = true;
	}
	for (i = 0; i < 2; i++) {
		if (m->fence_waits >> i & 1 && rviommu_shim_counted(&m->held[i][!m->epoch[i]]))
			return false;
	}
	return true;
}

/* "IOMMU Command-queue Fence commands" */
static enum outcome fence(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	u64 addr = FIELD_GET(RVIOMMU_CMD_IOFENCE_ADDR, dword1) << 2;
	u32 resets;

	while (m->nr_delayed) {
		if (execute_delayed(m) != DONE)
			return WAIT;
		if (!m->nr_delayed)
			break;
		/* Between two commands anything may happen, to this queue, too. */
		resets = m->cq_resets;
		rviommu_m_other_work(m);
		if (m->cq_resets != resets)
			return WAIT;
	}
	if (rviommu_m_ats_waiting(m))
		return WAIT;
	if (m->ats_timed_out || rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_CQ_TO)) {
		m->ats_timed_out = false;
		return stop(m, RVIOMMU_CQCSR_CMD_TO);
	}
	if (!accesses_committed(m, dword0))
		return WAIT;
	m->fence_begun = false;
	if (dword0 & RVIOMMU_CMD_IOFENCE_AV &&
	    rviommu_m_write32(m, addr, m->fctl & RVIOMMU_FCTL_BE,
			      FIELD_GET(RVIOMMU_CMD_IOFENCE_DATA, dword0)))
		return stop(m, RVIOMMU_QCSR_MF);
	if (dword0 & RVIOMMU_CMD_IOFENCE_WSI) {
		m->cq.csr |= RVIOMMU_CQCSR_FENCE_W_IP;
		rviommu_m_update_ipsr(m);
	}
	m->stats.commands++;
	return DONE;
}

static enum outcome delay(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	if (m->nr_delayed == NR_DELAYED && execute_delayed(m) != DONE)
		return WAIT;
	m->delayed[m->nr_delayed][0] = dword0;
	m->delayed[m->nr_delayed][1] = dword1;
	m->nr_delayed++;
	return DONE;
}

/* Take one command from the queue. */
static enum outcome step(struct rviommu_model *m)
{
	u64 addr = rviommu_m_queue_addr(&m->cq, m->cq.head, sizeof(struct rviommu_command));
	bool be = m->fctl & RVIOMMU_FCTL_BE;
	u32 resets = m->cq_resets;
	enum outcome outcome;
	u64 dword[2];

	if (rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_CQ_MF) ||
	    rviommu_m_read(m, addr, be, &dword[0]) || rviommu_m_read(m, addr + 8, be, &dword[1]))
		return stop(m, RVIOMMU_QCSR_MF);
	if (!command_ok(m, dword[0], dword[1]) ||
	    rviommu_m_injected(m, RVIOMMU_MODEL_INJECT_CQ_ILL))
		return stop(m, RVIOMMU_CQCSR_CMD_ILL);

	if (is_fence(dword[0]))
		outcome = fence(m, dword[0], dword[1]);
	else if (rviommu_m_switch(m, RVIOMMU_MODEL_DELAY_COMMANDS))
		outcome = delay(m, dword[0], dword[1]);
	else
		outcome = execute(m, dword[0], dword[1]);
	/* Aborted, when the queue was turned off meanwhile. */
	m->cq_fetched = outcome == WAIT && m->cq_resets == resets;
	if (outcome == DONE)
		m->cq.head = (m->cq.head + 1) & rviommu_m_queue_mask(&m->cq);
	return outcome;
}

/* Is there a command to be fetched, or one that was, to be gone on with? */
static bool may_step(const struct rviommu_model *m)
{
	if (!(m->cq.csr & RVIOMMU_QCSR_ON) || m->cq.csr & RVIOMMU_CQCSR_ERRORS ||
	    m->cq.head == m->cq.tail)
		return false;
	return m->cq.csr & RVIOMMU_QCSR_EN || (m->cq_lingers && m->cq_fetched);
}

/* Return: number of commands taken */
unsigned int rviommu_m_process(struct rviommu_model *m, unsigned int n)
{
	unsigned int done = 0;

	/* Somebody is at it, in the middle of a fence. */
	if (m->processing)
		return 0;
	m->processing = true;
	/* Some commands linger; others, by chance, do not. */
	while (m->nr_delayed && (!rviommu_m_switch(m, RVIOMMU_MODEL_DELAY_COMMANDS) ||
				 m->cq_lingers || !(rviommu_m_random(m) & 15))) {
		if (execute_delayed(m) != DONE)
			goto out;
	}
	while (done < n && may_step(m)) {
		if (step(m) != DONE)
			break;
		done++;
	}
out:
	m->processing = false;
	return done;
}

/* Commands that were fetched are aborted. */
static void abort_commands(struct rviommu_model *m)
{
	m->nr_delayed = 0;
	m->cq_fetched = false;
	m->fence_begun = false;
	m->cq_resets++;
}

/*
 * cqen was set to 0: commands that were fetched are completed or aborted, as an
 * implementation may ("Command-queue CSR", note). Those that wait for devices end with
 * the queue: no later fence waits for them.
 */
void rviommu_m_commands_end(struct rviommu_model *m)
{
	m->cq_lingers = rviommu_m_switch(m, RVIOMMU_MODEL_LINGER) && rviommu_m_ats_waiting(m);
	m->cq_finishes = m->cq_lingers && rviommu_m_random(m) & 1;
	if (!m->cq_lingers)
		rviommu_m_ats_reset(m);
	if (!m->cq_finishes)
		abort_commands(m);
}

/* Is a queue that was turned off still at work? */
bool rviommu_m_commands_linger(const struct rviommu_model *m)
{
	if (!m->cq_lingers)
		return false;
	if (rviommu_m_ats_waiting(m))
		return true;
	return m->cq_finishes && !(m->cq.csr & RVIOMMU_CQCSR_ERRORS) &&
	       (m->nr_delayed || may_step(m));
}

/* The queue is off: nothing of what was fetched is left. */
void rviommu_m_commands_reset(struct rviommu_model *m)
{
	abort_commands(m);
	m->ats_timed_out = false;
	m->cq_lingers = false;
}
