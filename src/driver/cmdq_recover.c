// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery of the command queue: from what hardware reports, from devices that do not
 * answer, and from hardware that does nothing any more.
 *
 * What hardware tells us is checked before it is used: an index that cannot be ends in
 * rviommu_cmdq_die(), not in a wild access. Nothing here waits: a restart is a series of
 * steps (enum rviommu_cmdq_phase).
 */
#include <kunit/visibility.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/minmax.h>

#include <rviommu/regs.h>

#include "cmdq.h"
#include "cmdq_private.h"
#include "command.h"
#include "filter.h"
#include "queue.h"

/* Looks at a register that is to change, a microsecond apart, while others have to wait. */
#define CMDQ_LOOKS	8

/* ----- Errors ----- */

static void cmdq_report(struct rviommu_cmdq *cq, u32 index, const char *what)
{
	struct rviommu_command cmd = *rviommu_cmdq_slot(cq, index);

	dev_err_ratelimited(cq->q.bus->dev, "cq: command %016llx %016llx in slot %u %s\n",
			    le64_to_cpu(cmd.dword[0]), le64_to_cpu(cmd.dword[1]), index, what);
}

/*
 * The device that @what is for does not answer, or cannot be answered. Its ATC may hold
 * translations of memory that whoever waits for the fences is about to reuse, so before
 * they complete its DMA is blocked: one of its commands becomes the invalidation of its
 * context, the others are left out. (Those that are still to come will be dealt
 * with when their turn comes: there is nothing to block then.)
 */
static void cmdq_lose_device(struct rviommu_cmdq *cq, struct rviommu_command what)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u64 dword0 = le64_to_cpu(what.dword[0]);
	struct rviommu_command instead = rviommu_cmd_barrier();
	u32 i;

	/*
	 * Of all devices: a link to the page that the context lay in before a neighbour's
	 * change may be cached still, and lead to where it is valid.
	 */
	if (cq->device_lost &&
	    cq->device_lost(cq, FIELD_GET(RVIOMMU_CMD_ATS_RID, dword0),
			    FIELD_GET(RVIOMMU_CMD_ATS_DSEG, dword0)))
		instead = rviommu_filter_quarantine(cq->mutate, rviommu_cmd_inval_ddt_all());
	/* One request less is progress, whether or not there was something to block. */
	cq->restarts = 0;
	for (i = cq->head; i != cq->tail; i = (i + 1) & mask) {
		struct rviommu_command *cmd = rviommu_cmdq_slot(cq, i);

		if (!rviommu_cmd_is_ats(*cmd) || !rviommu_cmd_same_device(*cmd, what))
			continue;
		if (rviommu_cmd_is_ats_prgr(*cmd))
			rviommu_cmdq_count(cq, RVIOMMU_CMDQ_UNSENT);
		*cmd = instead;
		instead = rviommu_cmd_barrier();
	}
}

/*
 * Spec cqcsr.cmd_ill: cqh is the index of the illegal command.
 *
 * An invalidation that is simply left out lets devices reach memory that was
 * given to somebody else. So it is widened first; only what cannot be widened
 * is left out: commands of a guest on an IOMMU that, it turns out, knows no
 * guests and has cached nothing of one, and what is no invalidation. A device that
 * cannot be asked to forget is as good as one that does not answer; so is one that cannot
 * be given a response, for which it would wait for ever.
 */
static void cmdq_fix_illegal(struct rviommu_cmdq *cq, u32 index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	const struct rviommu_command illegal = *rviommu_cmdq_slot(cq, index);
	struct rviommu_command wide;

	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_ILLEGAL);
	cmdq_report(cq, index, "is illegal");

	if (rviommu_cmdq_own_fence(cq, illegal) ||
	    rviommu_cmd_equal(illegal, rviommu_cmd_barrier()) ||
	    rviommu_cmd_equal(illegal, rviommu_cmd_iotinval_vma_all()) ||
	    rviommu_cmd_equal(illegal, rviommu_cmd_inval_ddt_all())) {
		rviommu_cmdq_die(cq, "it refuses a command that every IOMMU must execute");
		return;
	}
	if (rviommu_cmd_is_ats(illegal)) {
		cmdq_lose_device(cq, illegal);
		return;
	}
	if (!rviommu_cmd_widen(illegal, &wide)) {
		*rviommu_cmdq_slot(cq, index) = rviommu_cmd_barrier();
		return;
	}
	/* Its like, of which a large unmap has many, would each cost a restart. */
	for (; index != cq->tail; index = (index + 1) & mask) {
		struct rviommu_command *other = rviommu_cmdq_slot(cq, index);

		if (rviommu_cmd_same_shape(*other, illegal) && rviommu_cmd_widen(*other, &wide))
			*other = wide;
	}
}

/* Is there an ATS.INVAL between @index and the fence before it? */
static bool cmdq_asks(struct rviommu_cmdq *cq, u32 index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);

	for (; index != cq->head; index = (index - 1) & mask) {
		struct rviommu_command cmd = *rviommu_cmdq_slot(cq, (index - 1) & mask);

		if (rviommu_cmd_is_iofence(cmd))
			return false;
		if (rviommu_cmd_is_ats_inval(cmd))
			return true;
	}
	return false;
}

/* The number of the first fence of ours from @index on. */
static u32 cmdq_fence_from(struct rviommu_cmdq *cq, u32 index)
{
	for (; index != cq->tail; index = (index + 1) & rviommu_queue_mask(&cq->q)) {
		struct rviommu_command cmd = *rviommu_cmdq_slot(cq, index);

		if (rviommu_cmdq_own_fence(cq, cmd))
			return FIELD_GET(RVIOMMU_CMD_IOFENCE_DATA, le64_to_cpu(cmd.dword[0]));
	}
	return cq->issued;
}

/*
 * Devices are asked again, one after the other, until the fence behind slot @index. All of
 * them had the whole time together already; @devices have it once more, but share it: a
 * handful of silent ones must not hold a CPU up for longer than the kernel lets it be.
 */
static void cmdq_ask_again(struct rviommu_cmdq *cq, u32 index, unsigned int devices)
{
	WRITE_ONCE(cq->again_us, cq->timeout_us / devices);
	WRITE_ONCE(cq->again_until, cmdq_fence_from(cq, index));
	WRITE_ONCE(cq->again, true);
}

/*
 * Need a device not be asked any more what @cmd asks? Only of a command that the hardware waits
 * for: the IOTINVAL that it follows is complete, so what is taken from the device now does not
 * come back. Not of those that are still to come.
 */
static bool cmdq_is_away(struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	u64 dword0 = le64_to_cpu(cmd.dword[0]);

	return cq->device_away && cq->device_away(cq, FIELD_GET(RVIOMMU_CMD_ATS_RID, dword0),
						  FIELD_GET(RVIOMMU_CMD_ATS_DSEG, dword0));
}

/*
 * What the fence in slot @index waits for. Those that need not be asked any more are left out;
 * of the others, how many devices are there, one after the other, and *@last for one of them.
 */
static unsigned int cmdq_unanswered(struct rviommu_cmdq *cq, u32 index,
				    struct rviommu_command *last, bool *left_out)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	unsigned int devices = 0;
	u32 i;

	for (i = index; i != cq->head; i = (i - 1) & mask) {
		struct rviommu_command *cmd = rviommu_cmdq_slot(cq, (i - 1) & mask);

		if (rviommu_cmd_is_iofence(*cmd))
			break;
		if (!rviommu_cmd_is_ats_inval(*cmd))
			continue;
		if (cmdq_is_away(cq, *cmd)) {
			rviommu_cmdq_count(cq, RVIOMMU_CMDQ_AWAY);
			*cmd = rviommu_cmd_barrier();
			*left_out = true;
			continue;
		}
		devices += !devices || !rviommu_cmd_same_device(*cmd, *last);
		*last = *cmd;
	}
	cq->head = i;
	return devices;
}

/*
 * Spec cqcsr.cmd_to: cqh is the index of the fence that noticed. Only ATS.INVAL can
 * have timed out, and only one that lies behind the fence before: everything up to
 * that one is complete and leaves the window.
 *
 * Whoever sleeps, or has gone, is left out, and the others are asked again: they may have
 * answered. If all that are left go to one device, it is that one. If not, they are submitted
 * again with a fence behind each device's (spec "IOMMU PCIe ATS commands", note on
 * IOFENCE.C), and the next timeout tells.
 */
static void cmdq_fix_timeout(struct rviommu_cmdq *cq, u32 index)
{
	struct rviommu_command last = {};
	bool left_out = false;
	unsigned int devices = cmdq_unanswered(cq, index, &last, &left_out);

	/* Fewer requests are progress. */
	if (left_out) {
		cq->restarts = 0;
		return;
	}
	if (!devices) {
		cmdq_report(cq, index, "waited in vain for no device");
	} else if (devices == 1) {
		cmdq_lose_device(cq, last);
	} else {
		cq->split = (index - cq->head) & rviommu_queue_mask(&cq->q);
		cmdq_ask_again(cq, index, devices);
	}
}

/* ----- The restart ----- */

/*
 * Spec cqcsr.cmd_to: all other commands before the fence in slot @index have completed. So no
 * response among them is sent again: the device may have used its index again.
 */
static void cmdq_keep_responses(struct rviommu_cmdq *cq, u32 index)
{
	u32 i;

	for (i = cq->head; i != index; i = (i + 1) & rviommu_queue_mask(&cq->q))
		if (rviommu_cmd_is_ats_prgr(*rviommu_cmdq_slot(cq, i)))
			*rviommu_cmdq_slot(cq, i) = rviommu_cmd_barrier();
}

/* Is there an ATS.INVAL that may not be complete? */
static bool cmdq_has_asked(struct rviommu_cmdq *cq)
{
	u32 i;

	for (i = cq->head; i != cq->tail; i = (i + 1) & rviommu_queue_mask(&cq->q))
		if (rviommu_cmd_is_ats_inval(*rviommu_cmdq_slot(cq, i)))
			return true;
	return false;
}

/* How many commands of the window may have been executed? The queue is off. */
static u32 cmdq_fetched(const struct rviommu_cmdq *cq)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u32 cqh = cq->q.bus->ops->read32(cq->q.bus, RVIOMMU_REG_CQH);

	return cqh > mask ? rviommu_cmdq_used(cq) :
			    min((cqh - cq->head) & mask, rviommu_cmdq_used(cq));
}

/*
 * A command that may have been executed, or aborted (spec cqcsr.cqen). Whatever the IOMMU
 * does twice does no harm. But a device may take a response that comes twice for one to a
 * later group with the same index; so it is Success now, by which the device tries again, and
 * asks again where that was wrong. That is counted: one group may have had two.
 */
static struct rviommu_command cmdq_again(struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	if (!rviommu_cmd_is_ats_prgr(cmd))
		return cmd;
	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_AGAIN);
	return rviommu_cmd_as_success(cmd);
}

/*
 * Submit again everything since the last fence that completed (spec cqcsr, note on
 * resubmission). cqh can only be set to 0, by switching on; so the window moves to the
 * start of the ring. The queue is off.
 */
static void cmdq_resubmit(struct rviommu_cmdq *cq)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	const u64 old_pa = cq->done_pa;
	const struct rviommu_command *asked = NULL;
	u32 i, n = rviommu_cmdq_used(cq), fetched = cmdq_fetched(cq);

	for (i = 0; i < n; i++)
		cq->scratch[i] = *rviommu_cmdq_slot(cq, (cq->head + i) & mask);
	for (i = 0; i < fetched; i++)
		cq->scratch[i] = cmdq_again(cq, cq->scratch[i]);

	rviommu_cmdq_move_done(cq);
	cq->head = 0;
	cq->tail = 0;
	for (i = 0; i < n; i++) {
		struct rviommu_command cmd = cq->scratch[i];
		u32 fence = FIELD_GET(RVIOMMU_CMD_IOFENCE_DATA, le64_to_cpu(cmd.dword[0]));
		bool own = rviommu_cmd_equal(cmd, rviommu_cmd_iofence(old_pa, fence));

		/* cq->reserve has kept the room; see cmdq_fix_timeout(). */
		if (i < cq->split && rviommu_cmd_is_ats_inval(cmd)) {
			if (asked && !rviommu_cmd_same_device(cmd, *asked) &&
			    cq->tail + n - i < mask)
				*rviommu_cmdq_slot(cq, cq->tail++) = rviommu_cmd_barrier();
			asked = &cq->scratch[i];
		}
		if (own)
			cmd = rviommu_cmd_iofence(cq->done_pa, fence);
		*rviommu_cmdq_slot(cq, cq->tail++) = cmd;
		if (own)
			cq->fence_end[fence & mask] = cq->tail & mask;
	}
	cq->tail &= mask;
	cq->split = 0;
}

/* The queue has been switched off. Commands that had been fetched may have completed until now. */
static int cmdq_stopped(struct rviommu_cmdq *cq)
{
	u32 head = cq->head;

	if (!rviommu_cmdq_reap(cq))
		return 0;
	if (cq->head != head)
		cq->split = 0;
	else if (cq->silent)
		cmdq_fix_timeout(cq, cq->silent_at);
	cq->silent = false;
	cmdq_resubmit(cq);
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_STARTS);
	return rviommu_queue_enable_begin(&cq->q);
}

static void cmdq_started(struct rviommu_cmdq *cq)
{
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	rviommu_cmdq_ring(cq);
	/* Whoever came meanwhile. */
	rviommu_cmdq_drain(cq);
}

/* One look at what @cq->phase waits for; -EAGAIN: look again later. */
static int cmdq_look(struct rviommu_cmdq *cq)
{
	int ret = 0;

	switch (cq->phase) {
	case RVIOMMU_CMDQ_RUNS:
		break;
	case RVIOMMU_CMDQ_STOPS:
		ret = rviommu_queue_disable_step(&cq->q);
		if (!ret)
			ret = cmdq_stopped(cq);
		if (ret && ret != -EAGAIN)
			rviommu_cmdq_die(cq, "it cannot be switched off after an error");
		break;
	case RVIOMMU_CMDQ_STARTS:
		ret = rviommu_queue_enable_step(&cq->q, RVIOMMU_QCSR_IE);
		if (!ret)
			cmdq_started(cq);
		else if (ret != -EAGAIN)
			rviommu_cmdq_die(cq, "it cannot be switched on after an error");
		break;
	case RVIOMMU_CMDQ_DIES:
		rviommu_cmdq_bury(cq, false);
		ret = -EAGAIN;
		break;
	}
	return ret;
}

/* Go on as far as the hardware is ready, or will be in a moment. */
static void cmdq_step(struct rviommu_cmdq *cq)
{
	unsigned int looks = CMDQ_LOOKS;

	while (cq->phase != RVIOMMU_CMDQ_RUNS && looks)
		if (cmdq_look(cq) == -EAGAIN && --looks)
			udelay(1);
}

/* It has taken too long. */
static void cmdq_step_last(struct rviommu_cmdq *cq)
{
	switch (cq->phase) {
	case RVIOMMU_CMDQ_RUNS:
		break;
	case RVIOMMU_CMDQ_STOPS:
		rviommu_cmdq_die(cq, "it cannot be switched off after an error");
		break;
	case RVIOMMU_CMDQ_STARTS:
		rviommu_cmdq_die(cq, "it cannot be switched on after an error");
		break;
	case RVIOMMU_CMDQ_DIES:
		rviommu_cmdq_bury(cq, true);
		break;
	}
}

/* Switch the queue off and on, and submit again what is not complete then. */
static void cmdq_restart(struct rviommu_cmdq *cq)
{
	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_RESTARTS);
	if (++cq->restarts > RVIOMMU_CMDQ_MAX_RESTARTS) {
		rviommu_cmdq_die(cq, "it fails again and again");
		return;
	}
	cq->asked = cmdq_has_asked(cq);
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_STOPS);
	cmdq_step(cq);
}

/* ----- What is wrong? ----- */

/* Something is, in slot @index; @csr says what. */
static void cmdq_repair(struct rviommu_cmdq *cq, u32 index, u32 csr)
{
	if (csr & RVIOMMU_CQCSR_CMD_ILL)
		cmdq_fix_illegal(cq, index);
	if (csr & RVIOMMU_CQCSR_CMD_TO) {
		rviommu_cmdq_count(cq, RVIOMMU_CMDQ_TIMEOUT);
		cmdq_fix_timeout(cq, index);
		cmdq_keep_responses(cq, index);
	}
	if (csr & RVIOMMU_QCSR_MF) {
		rviommu_cmdq_count(cq, RVIOMMU_CMDQ_MEMFAULT);
		cmdq_report(cq, index, "met a memory fault");
	}
	if (!cq->dead)
		cmdq_restart(cq);
}

/* Find out whether something is wrong with a queue that runs. */
static void cmdq_examine(struct rviommu_cmdq *cq)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr = bus->ops->read32(bus, cq->q.reg_csr), cqh;

	if (rviommu_queue_gone(csr)) {
		rviommu_cmdq_die(cq, "registers read all ones, the device is gone");
		return;
	}
	if (!(csr & (RVIOMMU_QCSR_ON | RVIOMMU_QCSR_BUSY | RVIOMMU_CQCSR_ERRORS))) {
		rviommu_cmdq_die(cq, "it was switched off behind the driver's back");
		return;
	}
	/* After the csr: fences before the command in error are in memory by now. */
	if (!rviommu_cmdq_reap(cq))
		return;
	/* Never asked for; but left set, it would raise interrupts for ever. */
	if (csr & RVIOMMU_CQCSR_FENCE_W_IP && !(csr & RVIOMMU_QCSR_BUSY))
		bus->ops->write32(bus, cq->q.reg_csr, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
				  RVIOMMU_CQCSR_FENCE_W_IP);
	if (!(csr & RVIOMMU_CQCSR_ERRORS))
		return;

	cqh = bus->ops->read32(bus, RVIOMMU_REG_CQH);
	if (cqh > rviommu_queue_mask(&cq->q) ||
	    ((cqh - cq->head) & rviommu_queue_mask(&cq->q)) >= rviommu_cmdq_used(cq))
		rviommu_cmdq_die(cq, "it reports an error in a slot that holds no command");
	else
		cmdq_repair(cq, cqh, csr);
}

static void cmdq_recover(struct rviommu_cmdq *cq)
{
	lockdep_assert_held(&cq->lock);

	if (cq->dead)
		rviommu_cmdq_silence(cq);
	if (!cq->running)
		return;
	if (cq->phase == RVIOMMU_CMDQ_RUNS)
		cmdq_examine(cq);
	else
		cmdq_step(cq);
}

/**
 * rviommu_cmdq_handle_errors() - find out what is wrong and repair it
 * @cq: the queue
 *
 * For the command queue's interrupt, whose handler clears ipsr.cip *after* this
 * (spec "Guidelines for handling interrupts from IOMMU"), and for waiters.
 * Does nothing when nothing is wrong or the queue is not running.
 *
 * Context: any. Does not wait: where the hardware takes its time, whoever waits for
 * the queue goes on with it.
 */
void rviommu_cmdq_handle_errors(struct rviommu_cmdq *cq)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	cmdq_recover(cq);
	spin_unlock_irqrestore(&cq->lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_handle_errors);

/**
 * rviommu_cmdq_is_quiet() - can the queue be kept from raising interrupts?
 * @cq: the queue
 *
 * Return: false if it was given up and still has its interrupt enable, because it is busy.
 */
bool rviommu_cmdq_is_quiet(struct rviommu_cmdq *cq)
{
	u32 csr;

	if (!READ_ONCE(cq->dead))
		return true;
	csr = cq->q.bus->ops->read32(cq->q.bus, cq->q.reg_csr);
	return rviommu_queue_gone(csr) || !(csr & RVIOMMU_QCSR_IE);
}

/* ----- For those who wait ----- */

/**
 * rviommu_cmdq_suspicious() - is there reason to take the lock and look closer?
 * @cq: the queue
 *
 * Without it, because every waiter asks. The three reads of fences are in this order because
 * completed, done and issued only ever follow each other.
 *
 * Return: true if rviommu_cmdq_handle_errors() is due.
 */
bool rviommu_cmdq_suspicious(struct rviommu_cmdq *cq)
{
	u32 csr, completed, done;

	if (READ_ONCE(cq->phase) != RVIOMMU_CMDQ_RUNS)
		return true;
	csr = cq->q.bus->ops->read32(cq->q.bus, cq->q.reg_csr);
	if (csr & RVIOMMU_CQCSR_ERRORS || !(csr & RVIOMMU_QCSR_ON))
		return true;

	completed = READ_ONCE(cq->completed);
	smp_rmb(); /* no later than done */
	done = rviommu_cmdq_read_done(cq);
	dma_rmb();
	return done - completed > READ_ONCE(cq->issued) - completed;
}

/*
 * Does the hardware wait for devices? Then *@index is the slot of the fence that is not complete.
 * cqh may have gone on to that, or stay at a request until that is answered.
 */
static bool cmdq_waits_for_devices(struct rviommu_cmdq *cq, u32 *index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u32 cqh = cq->q.bus->ops->read32(cq->q.bus, RVIOMMU_REG_CQH);

	if (cqh <= mask && rviommu_cmd_is_ats_inval(*rviommu_cmdq_slot(cq, cqh)))
		cqh = (cqh + 1) & mask;
	*index = cqh;
	return cqh <= mask && ((cqh - cq->head) & mask) < rviommu_cmdq_used(cq) &&
	       cmdq_asks(cq, cqh);
}

/* Not a command may change while the queue is on. */
static void cmdq_restart_at(struct rviommu_cmdq *cq, u32 index)
{
	cq->silent = true;
	cq->silent_at = index;
	cmdq_restart(cq);
}

/*
 * No fence has completed for long. If the one that is being processed waits for
 * devices, it is theirs to blame: the timeout of hardware may be longer than ours.
 */
static void cmdq_stuck(struct rviommu_cmdq *cq)
{
	bool waits;
	u32 index;

	if (!rviommu_cmdq_reap(cq))
		return;
	waits = cmdq_waits_for_devices(cq, &index);
	/* If one completed just now, whoever is asked since then has time. */
	if (rviommu_cmdq_read_done(cq) != cq->completed)
		return;
	if (!waits) {
		rviommu_cmdq_die(cq, "no fence completes any more");
		return;
	}
	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_TIMEOUT);
	cmdq_restart_at(cq, index);
}

/* Does the fence in slot @index wait for a device that need not be asked any more? */
static bool cmdq_waits_in_vain(struct rviommu_cmdq *cq, u32 index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u32 i;

	for (i = index; i != cq->head; i = (i - 1) & mask) {
		struct rviommu_command cmd = *rviommu_cmdq_slot(cq, (i - 1) & mask);

		if (rviommu_cmd_is_iofence(cmd))
			break;
		if (rviommu_cmd_is_ats_inval(cmd) && cmdq_is_away(cq, cmd))
			return true;
	}
	return false;
}

/* Has nothing happened since a waiter looked? */
static bool cmdq_stands(const struct rviommu_cmdq *cq, u32 seen, u32 epoch)
{
	return cq->running && READ_ONCE(cq->epoch) == epoch && rviommu_cmdq_read_done(cq) == seen;
}

/**
 * rviommu_cmdq_suspect() - it takes longer than a device needs that is awake
 * @cq: the queue
 * @seen: number of the last fence that was complete when the wait began
 * @epoch: rviommu_cmdq.epoch then
 *
 * One may have gone to sleep after it was asked, when nobody could know: that is no reason to
 * wait until the hardware gives up.
 */
void rviommu_cmdq_suspect(struct rviommu_cmdq *cq, u32 seen, u32 epoch)
{
	unsigned long flags;
	u32 index;

	spin_lock_irqsave(&cq->lock, flags);
	if (cmdq_stands(cq, seen, epoch) && cq->phase == RVIOMMU_CMDQ_RUNS &&
	    rviommu_cmdq_reap(cq) && cmdq_waits_for_devices(cq, &index) &&
	    rviommu_cmdq_read_done(cq) == seen && cmdq_waits_in_vain(cq, index))
		cmdq_restart_at(cq, index);
	spin_unlock_irqrestore(&cq->lock, flags);
}

/**
 * rviommu_cmdq_give_up() - nothing has happened for longer than it may
 * @cq: the queue
 * @seen: as for rviommu_cmdq_suspect()
 * @epoch: likewise
 *
 * Whoever is to blame, hardware or a device, has had its time.
 */
void rviommu_cmdq_give_up(struct rviommu_cmdq *cq, u32 seen, u32 epoch)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	if (cmdq_stands(cq, seen, epoch)) {
		if (cq->phase == RVIOMMU_CMDQ_RUNS)
			cmdq_stuck(cq);
		else
			cmdq_step_last(cq);
	}
	spin_unlock_irqrestore(&cq->lock, flags);
}
