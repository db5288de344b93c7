// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command queue: submission, fences, recovery.
 *
 * A producer adds its batch to a lockless list and takes the lock. Whoever has
 * the lock queues everything on the list, in order, and one fence behind it;
 * so under contention one fence and one doorbell serve many producers. The fence
 * writes its number to memory (IOFENCE.C with AV=1), and that word is what
 * everybody polls: registers are read only when it takes long.
 *
 * What hardware tells us is checked before it is used: a fence number or an
 * index that cannot be ends in rviommu_cmdq_kill(), not in a wild access and
 * not in a wait without end. Nothing here sleeps but a wait that may.
 */
#include <kunit/visibility.h>
#include <linux/align.h>
#include <linux/bitfield.h>
#include <linux/cache.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/nmi.h>

#include <rviommu/regs.h>

#include "cmdq.h"
#include "command.h"
#include "filter.h"
#include "mem.h"
#include "queue.h"
#include "trace.h"

/* Turns that a waiter only looks at memory; most fences complete meanwhile. */
#define CMDQ_SPINS	512
/* After those, microseconds from one look at the registers to the next. */
#define CMDQ_CHECK_US	64
/* And from one word to the watchdog to the next. */
#define CMDQ_WATCHDOG_US	1000000
/* Who may sleep does after so many microseconds, and looks at the registers so much later. */
#define CMDQ_NAP_MIN_US		CMDQ_CHECK_US
#define CMDQ_NAP_MAX_US		2000
/* Nobody was waited for longer than that without a look, whatever the scheduler did. */
#define CMDQ_NAP_COUNTS_US	20000
/* When a device is suspected of being asleep: the first time, then after twice as long. */
#define CMDQ_AWAY_US		1000
/* Looks at a register that is to change, a microsecond apart, while others have to wait. */
#define CMDQ_LOOKS	8
/* Distance of two places of rviommu_cmdq.done */
#define CMDQ_DONE_LINE	max_t(unsigned int, L1_CACHE_BYTES, 64)

/*
 * Fewest entries that work: one slot always stays empty, and a command needs
 * its fence in the ring with it.
 */
#define CMDQ_MIN_LG2	2

/* ----- The ring ----- */

static struct rviommu_command *cmdq_slot(struct rviommu_cmdq *cq, u32 index)
{
	return (struct rviommu_command *)cq->q.base + index;
}

static void cmdq_count(struct rviommu_cmdq *cq, enum rviommu_cmdq_event event)
{
	atomic64_inc(&cq->events[event]);
}

/* Slots from head to tail: what is submitted again in a restart. */
static u32 cmdq_used(const struct rviommu_cmdq *cq)
{
	return (cq->tail - cq->head) & rviommu_queue_mask(&cq->q);
}

/* Slots that producers may use; one more stays empty, because tail == head means empty. */
static u32 cmdq_room(const struct rviommu_cmdq *cq)
{
	u32 taken = cmdq_used(cq) + cq->reserve;
	u32 mask = rviommu_queue_mask(&cq->q);

	return taken < mask ? mask - taken : 0;
}

static u32 cmdq_read_done(const struct rviommu_cmdq *cq)
{
	return le32_to_cpu(READ_ONCE(*READ_ONCE(cq->done)));
}

static bool cmdq_own_fence(const struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	u32 data = FIELD_GET(RVIOMMU_CMD_IOFENCE_DATA, le64_to_cpu(cmd.dword[0]));

	return rviommu_cmd_equal(cmd, rviommu_cmd_iofence(cq->done_pa, data));
}

static void cmdq_fail_batches(struct rviommu_cmdq *cq)
{
	struct rviommu_cmdq_batch *batch, *next;

	list_for_each_entry_safe(batch, next, &cq->pending, link) {
		list_del(&batch->link);
		WRITE_ONCE(batch->state, RVIOMMU_CMDQ_FAILED);
	}
}

static void cmdq_set_phase(struct rviommu_cmdq *cq, enum rviommu_cmdq_phase phase)
{
	WRITE_ONCE(cq->phase, phase);
	WRITE_ONCE(cq->epoch, cq->epoch + 1);
}

/* Waiters are told only when the owner has stopped what they wait for. */
static void cmdq_bury(struct rviommu_cmdq *cq, bool last)
{
	if (cq->on_dead && !cq->on_dead(cq, last))
		return;
	cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	WRITE_ONCE(cq->running, false);
	cmdq_fail_batches(cq);
}

/*
 * An error bit that stays would go on raising interrupts, so a dead queue is to have no interrupt
 * enable. Not while it is busy (spec cqcsr.busy): looked at again when an interrupt comes.
 */
static void cmdq_silence(struct rviommu_cmdq *cq)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr = bus->ops->read32(bus, cq->q.reg_csr);

	if (!rviommu_queue_gone(csr) && !(csr & RVIOMMU_QCSR_BUSY) &&
	    csr & (RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE))
		bus->ops->write32(bus, cq->q.reg_csr, 0);
}

static void cmdq_kill(struct rviommu_cmdq *cq, const char *why)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr;

	lockdep_assert_held(&cq->lock);

	if (cq->dead)
		return;
	csr = bus->ops->read32(bus, cq->q.reg_csr);
	dev_err(bus->dev, "cq: %s: the IOMMU is out of service and DMA through it is blocked (cqcsr %#x, slots %u to %u, fences %u to %u)\n",
		why, csr, cq->head, cq->tail, cq->completed, cq->issued);

	WRITE_ONCE(cq->dead, true);
	cmdq_silence(cq);
	/* Nobody is told before it is over, nor of a queue that had not begun to run again. */
	WRITE_ONCE(cq->running, true);
	cmdq_set_phase(cq, RVIOMMU_CMDQ_DIES);
	cmdq_bury(cq, false);
}

/* Take note of completed fences. False when the queue died of what was there. */
static bool cmdq_reap(struct rviommu_cmdq *cq)
{
	u32 done = cmdq_read_done(cq);

	if (done == cq->completed)
		return true;
	if (done - cq->completed > cq->issued - cq->completed) {
		cmdq_kill(cq, "a fence that was never issued completed");
		return false;
	}
	if (cq->again && done - cq->again_until <= cq->issued - cq->again_until)
		WRITE_ONCE(cq->again, false);
	WRITE_ONCE(cq->completed, done);
	cq->head = cq->fence_end[done & rviommu_queue_mask(&cq->q)];
	cq->restarts = 0;
	return true;
}

static void cmdq_put(struct rviommu_cmdq *cq, struct rviommu_command cmd)
{
	*cmdq_slot(cq, cq->tail) = cmd;
	cq->tail = (cq->tail + 1) & rviommu_queue_mask(&cq->q);
	cmdq_count(cq, RVIOMMU_CMDQ_COMMANDS);
	trace_rviommu_command(cq->q.bus, &cmd);
}

static struct rviommu_command cmdq_fence(struct rviommu_cmdq *cq, u32 fence)
{
	return rviommu_filter_fence(cq->mutate, rviommu_cmd_iofence(cq->done_pa, fence));
}

static void cmdq_ring(struct rviommu_cmdq *cq)
{
	cq->q.bus->ops->write32(cq->q.bus, RVIOMMU_REG_CQT, cq->tail);
}

/*
 * Queue everything that waits, oldest first, as far as there is room, and one
 * fence behind it. The last free slot is kept for that fence.
 */
static void cmdq_drain(struct rviommu_cmdq *cq)
{
	struct llist_node *arrived = llist_reverse_order(llist_del_all(&cq->incoming));
	struct rviommu_cmdq_batch *batch, *next;
	const u32 fence = cq->issued + 1;
	bool queued = false;
	LIST_HEAD(served);

	lockdep_assert_held(&cq->lock);

	llist_for_each_entry(batch, arrived, node)
		list_add_tail(&batch->link, &cq->pending);
	/* They wait for the end of the restart, or of the queue. */
	if (cq->running && cq->phase != RVIOMMU_CMDQ_RUNS)
		return;

	while (cq->running && !list_empty(&cq->pending)) {
		batch = list_first_entry(&cq->pending, struct rviommu_cmdq_batch, link);

		if (cmdq_room(cq) <= batch->nr && !cmdq_reap(cq))
			break;
		for (; batch->nr && cmdq_room(cq) >= 2; batch->nr--) {
			cmdq_put(cq, *batch->cmds++);
			queued = true;
		}
		if (batch->nr || !cmdq_room(cq))
			break;
		list_move_tail(&batch->link, &served);
	}

	if (!cq->running || cq->phase != RVIOMMU_CMDQ_RUNS) {
		list_splice(&served, &cq->pending);
		if (!cq->running)
			cmdq_fail_batches(cq);
		return;
	}
	if (!queued && list_empty(&served))
		return;

	/* Before the doorbell: whoever sees the fence done must see it issued. */
	WRITE_ONCE(cq->issued, fence);
	cmdq_put(cq, cmdq_fence(cq, fence));
	cq->fence_end[fence & rviommu_queue_mask(&cq->q)] = cq->tail;
	cmdq_count(cq, RVIOMMU_CMDQ_FENCES);
	cmdq_ring(cq);

	list_for_each_entry_safe(batch, next, &served, link) {
		batch->fence = fence;
		WRITE_ONCE(batch->state, RVIOMMU_CMDQ_QUEUED);
	}
}

/* ----- Errors ----- */

static void cmdq_report(struct rviommu_cmdq *cq, u32 index, const char *what)
{
	struct rviommu_command cmd = *cmdq_slot(cq, index);

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
		struct rviommu_command *cmd = cmdq_slot(cq, i);

		if (!rviommu_cmd_is_ats(*cmd) || !rviommu_cmd_same_device(*cmd, what))
			continue;
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
	const struct rviommu_command illegal = *cmdq_slot(cq, index);
	struct rviommu_command wide;

	cmdq_count(cq, RVIOMMU_CMDQ_ILLEGAL);
	cmdq_report(cq, index, "is illegal");

	if (cmdq_own_fence(cq, illegal) || rviommu_cmd_equal(illegal, rviommu_cmd_barrier()) ||
	    rviommu_cmd_equal(illegal, rviommu_cmd_iotinval_vma_all()) ||
	    rviommu_cmd_equal(illegal, rviommu_cmd_inval_ddt_all())) {
		cmdq_kill(cq, "it refuses a command that every IOMMU must execute");
		return;
	}
	if (rviommu_cmd_is_ats(illegal)) {
		cmdq_lose_device(cq, illegal);
		return;
	}
	if (!rviommu_cmd_widen(illegal, &wide)) {
		*cmdq_slot(cq, index) = rviommu_cmd_barrier();
		return;
	}
	/* Its like, of which a large unmap has many, would each cost a restart. */
	for (; index != cq->tail; index = (index + 1) & mask) {
		struct rviommu_command *other = cmdq_slot(cq, index);

		if (rviommu_cmd_same_shape(*other, illegal) && rviommu_cmd_widen(*other, &wide))
			*other = wide;
	}
}

/* Is there an ATS.INVAL between @index and the fence before it? */
static bool cmdq_asks(struct rviommu_cmdq *cq, u32 index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);

	for (; index != cq->head; index = (index - 1) & mask) {
		struct rviommu_command cmd = *cmdq_slot(cq, (index - 1) & mask);

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
		struct rviommu_command cmd = *cmdq_slot(cq, index);

		if (cmdq_own_fence(cq, cmd))
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
		struct rviommu_command *cmd = cmdq_slot(cq, (i - 1) & mask);

		if (rviommu_cmd_is_iofence(*cmd))
			break;
		if (!rviommu_cmd_is_ats_inval(*cmd))
			continue;
		if (cmdq_is_away(cq, *cmd)) {
			cmdq_count(cq, RVIOMMU_CMDQ_AWAY);
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

/* Let the fences of the next run write to a place that no earlier one knows. */
static void cmdq_move_done(struct rviommu_cmdq *cq)
{
	size_t offset = offset_in_page(cq->done) + CMDQ_DONE_LINE;
	__le32 *done = cq->done_page + (offset < PAGE_SIZE ? offset : 0);

	WRITE_ONCE(*done, cpu_to_le32(cq->completed));
	cq->done_pa = virt_to_phys(done);
	/* The number there, before anybody is sent there to read it. */
	smp_store_release(&cq->done, done);
}

/* Is there an ATS.INVAL that may not be complete? */
static bool cmdq_has_asked(struct rviommu_cmdq *cq)
{
	u32 i;

	for (i = cq->head; i != cq->tail; i = (i + 1) & rviommu_queue_mask(&cq->q))
		if (rviommu_cmd_is_ats_inval(*cmdq_slot(cq, i)))
			return true;
	return false;
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
	u32 i, n = cmdq_used(cq);

	for (i = 0; i < n; i++)
		cq->scratch[i] = *cmdq_slot(cq, (cq->head + i) & mask);

	cmdq_move_done(cq);
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
				*cmdq_slot(cq, cq->tail++) = rviommu_cmd_barrier();
			asked = &cq->scratch[i];
		}
		*cmdq_slot(cq, cq->tail++) = own ? rviommu_cmd_iofence(cq->done_pa, fence) : cmd;
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

	if (!cmdq_reap(cq))
		return 0;
	if (cq->head != head)
		cq->split = 0;
	else if (cq->silent)
		cmdq_fix_timeout(cq, cq->silent_at);
	cq->silent = false;
	cmdq_resubmit(cq);
	cmdq_set_phase(cq, RVIOMMU_CMDQ_STARTS);
	return rviommu_queue_enable_begin(&cq->q);
}

static void cmdq_started(struct rviommu_cmdq *cq)
{
	cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	cmdq_ring(cq);
	/* Whoever came meanwhile. */
	cmdq_drain(cq);
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
			cmdq_kill(cq, "it cannot be switched off after an error");
		break;
	case RVIOMMU_CMDQ_STARTS:
		ret = rviommu_queue_enable_step(&cq->q, RVIOMMU_QCSR_IE);
		if (!ret)
			cmdq_started(cq);
		else if (ret != -EAGAIN)
			cmdq_kill(cq, "it cannot be switched on after an error");
		break;
	case RVIOMMU_CMDQ_DIES:
		cmdq_bury(cq, false);
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
		cmdq_kill(cq, "it cannot be switched off after an error");
		break;
	case RVIOMMU_CMDQ_STARTS:
		cmdq_kill(cq, "it cannot be switched on after an error");
		break;
	case RVIOMMU_CMDQ_DIES:
		cmdq_bury(cq, true);
		break;
	}
}

/* Switch the queue off and on, and submit again what is not complete then. */
static void cmdq_restart(struct rviommu_cmdq *cq)
{
	cmdq_count(cq, RVIOMMU_CMDQ_RESTARTS);
	if (++cq->restarts > RVIOMMU_CMDQ_MAX_RESTARTS) {
		cmdq_kill(cq, "it fails again and again");
		return;
	}
	cq->asked = cmdq_has_asked(cq);
	cmdq_set_phase(cq, RVIOMMU_CMDQ_STOPS);
	cmdq_step(cq);
}

static void cmdq_recover(struct rviommu_cmdq *cq)
{
	struct rviommu_bus *bus = cq->q.bus;
	u32 csr, cqh;

	lockdep_assert_held(&cq->lock);

	if (cq->dead)
		cmdq_silence(cq);
	if (!cq->running)
		return;
	if (cq->phase != RVIOMMU_CMDQ_RUNS) {
		cmdq_step(cq);
		return;
	}
	csr = bus->ops->read32(bus, cq->q.reg_csr);
	if (rviommu_queue_gone(csr)) {
		cmdq_kill(cq, "registers read all ones, the device is gone");
		return;
	}
	if (!(csr & (RVIOMMU_QCSR_ON | RVIOMMU_QCSR_BUSY | RVIOMMU_CQCSR_ERRORS))) {
		cmdq_kill(cq, "it was switched off behind the driver's back");
		return;
	}
	/* After the csr: fences before the command in error are in memory by now. */
	if (!cmdq_reap(cq))
		return;
	/* Never asked for; but left set, it would raise interrupts for ever. */
	if (csr & RVIOMMU_CQCSR_FENCE_W_IP && !(csr & RVIOMMU_QCSR_BUSY))
		bus->ops->write32(bus, cq->q.reg_csr, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
				  RVIOMMU_CQCSR_FENCE_W_IP);
	if (!(csr & RVIOMMU_CQCSR_ERRORS))
		return;

	cqh = bus->ops->read32(bus, RVIOMMU_REG_CQH);
	if (cqh > rviommu_queue_mask(&cq->q) ||
	    ((cqh - cq->head) & rviommu_queue_mask(&cq->q)) >= cmdq_used(cq)) {
		cmdq_kill(cq, "it reports an error in a slot that holds no command");
		return;
	}

	if (csr & RVIOMMU_CQCSR_CMD_ILL)
		cmdq_fix_illegal(cq, cqh);
	if (csr & RVIOMMU_CQCSR_CMD_TO) {
		cmdq_count(cq, RVIOMMU_CMDQ_TIMEOUT);
		cmdq_fix_timeout(cq, cqh);
	}
	if (csr & RVIOMMU_QCSR_MF) {
		cmdq_count(cq, RVIOMMU_CMDQ_MEMFAULT);
		cmdq_report(cq, cqh, "met a memory fault");
	}
	if (!cq->dead)
		cmdq_restart(cq);
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

/* ----- Waiting ----- */

/*
 * One wait, which @sleeps if it may: @turns looks so far, @stuck_us microseconds since the number
 * of the last completed fence, @seen, last changed, or what the queue is about, @epoch; devices
 * are suspected of being asleep at @away_us.
 */
struct cmdq_wait {
	bool sleeps;
	unsigned int turns;
	unsigned int stuck_us;
	unsigned int away_us;
	u32 seen;
	u32 epoch;
};

/* Are devices asked for the second time? Nobody need have taken note of the fence yet. */
static bool cmdq_asks_again(const struct rviommu_cmdq *cq)
{
	u32 until = READ_ONCE(cq->again_until);

	return READ_ONCE(cq->again) && cmdq_read_done(cq) - until > READ_ONCE(cq->issued) - until;
}

/* How long nothing at all may happen, in microseconds. */
static unsigned int cmdq_patience(const struct rviommu_cmdq *cq)
{
	switch (READ_ONCE(cq->phase)) {
	case RVIOMMU_CMDQ_RUNS:
		return cmdq_asks_again(cq) ? READ_ONCE(cq->again_us) : cq->timeout_us;
	case RVIOMMU_CMDQ_STOPS:
		if (READ_ONCE(cq->asked))
			return cq->ats_timeout_us;
		fallthrough;
	default:
		return rviommu_queue_timeout_us();
	}
}

/*
 * Is there reason to take the lock and look closer? Without it, because every
 * waiter asks. The three reads are in this order because completed, done and
 * issued only ever follow each other.
 */
static bool cmdq_suspicious(struct rviommu_cmdq *cq)
{
	u32 csr, completed, done;

	if (READ_ONCE(cq->phase) != RVIOMMU_CMDQ_RUNS)
		return true;
	csr = cq->q.bus->ops->read32(cq->q.bus, cq->q.reg_csr);
	if (csr & RVIOMMU_CQCSR_ERRORS || !(csr & RVIOMMU_QCSR_ON))
		return true;

	completed = READ_ONCE(cq->completed);
	smp_rmb(); /* no later than done */
	done = cmdq_read_done(cq);
	dma_rmb();
	return done - completed > READ_ONCE(cq->issued) - completed;
}

/* Has something happened to the queue, by whomever, since the waiter last looked? */
static bool cmdq_goes_on(const struct rviommu_cmdq *cq, const struct cmdq_wait *wait)
{
	return READ_ONCE(cq->epoch) != wait->epoch;
}

/*
 * Does the hardware wait for devices? Then *@index is the slot of the fence that is not complete.
 * cqh may have gone on to that, or stay at a request until that is answered.
 */
static bool cmdq_waits_for_devices(struct rviommu_cmdq *cq, u32 *index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u32 cqh = cq->q.bus->ops->read32(cq->q.bus, RVIOMMU_REG_CQH);

	if (cqh <= mask && rviommu_cmd_is_ats_inval(*cmdq_slot(cq, cqh)))
		cqh = (cqh + 1) & mask;
	*index = cqh;
	return cqh <= mask && ((cqh - cq->head) & mask) < cmdq_used(cq) && cmdq_asks(cq, cqh);
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

	if (!cmdq_reap(cq))
		return;
	waits = cmdq_waits_for_devices(cq, &index);
	/* If one completed just now, whoever is asked since then has time. */
	if (cmdq_read_done(cq) != cq->completed)
		return;
	if (!waits) {
		cmdq_kill(cq, "no fence completes any more");
		return;
	}
	cmdq_count(cq, RVIOMMU_CMDQ_TIMEOUT);
	cmdq_restart_at(cq, index);
}

/* Does the fence in slot @index wait for a device that need not be asked any more? */
static bool cmdq_waits_in_vain(struct rviommu_cmdq *cq, u32 index)
{
	const u32 mask = rviommu_queue_mask(&cq->q);
	u32 i;

	for (i = index; i != cq->head; i = (i - 1) & mask) {
		struct rviommu_command cmd = *cmdq_slot(cq, (i - 1) & mask);

		if (rviommu_cmd_is_iofence(cmd))
			break;
		if (rviommu_cmd_is_ats_inval(cmd) && cmdq_is_away(cq, cmd))
			return true;
	}
	return false;
}

/*
 * It takes longer than a device needs that is awake. One may have gone to sleep after it was
 * asked, when nobody could know: that is no reason to wait until the hardware gives up.
 */
static void cmdq_suspect(struct rviommu_cmdq *cq, const struct cmdq_wait *wait)
{
	unsigned long flags;
	u32 index;

	spin_lock_irqsave(&cq->lock, flags);
	if (cq->running && cq->phase == RVIOMMU_CMDQ_RUNS && !cmdq_goes_on(cq, wait) &&
	    cmdq_reap(cq) && cmdq_waits_for_devices(cq, &index) &&
	    cmdq_read_done(cq) == wait->seen && cmdq_waits_in_vain(cq, index))
		cmdq_restart_at(cq, index);
	spin_unlock_irqrestore(&cq->lock, flags);
}

static void cmdq_give_up(struct rviommu_cmdq *cq, struct cmdq_wait *wait)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	if (cmdq_read_done(cq) == wait->seen && !cmdq_goes_on(cq, wait) && cq->running) {
		if (cq->phase == RVIOMMU_CMDQ_RUNS)
			cmdq_stuck(cq);
		else
			cmdq_step_last(cq);
	}
	wait->stuck_us = 0;
	spin_unlock_irqrestore(&cq->lock, flags);
}

/* Microseconds that passed; the longer the wait takes, the longer. */
static unsigned int cmdq_nap(const struct cmdq_wait *wait)
{
	unsigned int us = clamp(wait->stuck_us / 4, CMDQ_NAP_MIN_US, CMDQ_NAP_MAX_US);
	u64 since = ktime_get_mono_fast_ns();

	usleep_range(us, 2 * us);
	return clamp_t(u64, (ktime_get_mono_fast_ns() - since) / NSEC_PER_USEC, us,
		       CMDQ_NAP_COUNTS_US);
}

/* Microseconds that passed */
static unsigned int cmdq_pause(const struct cmdq_wait *wait)
{
	if (wait->sleeps && wait->stuck_us >= CMDQ_NAP_MIN_US)
		return cmdq_nap(wait);
	udelay(1);
	return 1;
}

/* From time to time, and after each nap */
static void cmdq_look_closer(struct rviommu_cmdq *cq, struct cmdq_wait *wait)
{
	if (cmdq_suspicious(cq))
		rviommu_cmdq_handle_errors(cq);
	if (!cq->device_away || wait->stuck_us < wait->away_us)
		return;
	wait->away_us = 2 * wait->stuck_us;
	cmdq_suspect(cq, wait);
}

/* Let a little time pass, and see that the wait has an end. */
static void cmdq_poll(struct rviommu_cmdq *cq, struct cmdq_wait *wait)
{
	unsigned int us;
	u32 done;

	if (wait->turns++ < CMDQ_SPINS) {
		cpu_relax();
		return;
	}
	us = cmdq_pause(wait);
	done = cmdq_read_done(cq);
	/* What was submitted again has all of the time again. */
	if (done != wait->seen || cmdq_goes_on(cq, wait) || wait->turns == CMDQ_SPINS + 1) {
		wait->seen = done;
		wait->epoch = READ_ONCE(cq->epoch);
		wait->stuck_us = 0;
		wait->away_us = CMDQ_AWAY_US;
	}
	if (us > 1 || wait->turns % CMDQ_CHECK_US == 0)
		cmdq_look_closer(cq, wait);
	/* A device may take its minute, and it is known who holds this CPU up. */
	if (wait->turns % CMDQ_WATCHDOG_US == 0)
		touch_nmi_watchdog();
	wait->stuck_us += us;
	if (wait->stuck_us > cmdq_patience(cq))
		cmdq_give_up(cq, wait);
}

/* Until the queue runs, or does not any more. */
static void cmdq_finish(struct rviommu_cmdq *cq)
{
	struct cmdq_wait wait = {};

	while (READ_ONCE(cq->running) && READ_ONCE(cq->phase) != RVIOMMU_CMDQ_RUNS)
		cmdq_poll(cq, &wait);
}

/**
 * rviommu_cmdq_kill() - give a queue up
 * @cq: the queue
 * @why: for the one message
 *
 * Every wait and every later submission returns -EIO.
 *
 * Context: any, but not under rviommu_cmdq.lock. Waits until the owner has taken the IOMMU out
 * of service, for at most rviommu_queue_timeout_us().
 */
void rviommu_cmdq_kill(struct rviommu_cmdq *cq, const char *why)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	cmdq_kill(cq, why);
	spin_unlock_irqrestore(&cq->lock, flags);
	cmdq_finish(cq);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_kill);

static bool cmdq_fence_done(const struct rviommu_cmdq *cq, u32 fence)
{
	u32 done = cmdq_read_done(cq);

	/* What the IOMMU wrote before, and what was issued, after this read. */
	dma_rmb();
	/* in [fence, issued], whatever has wrapped */
	return done - fence <= READ_ONCE(cq->issued) - fence;
}

static int cmdq_wait(struct rviommu_cmdq *cq, u32 fence, bool sleeps)
{
	struct cmdq_wait wait = { .sleeps = sleeps };

	while (!cmdq_fence_done(cq, fence)) {
		if (!READ_ONCE(cq->running))
			return -EIO;
		cmdq_poll(cq, &wait);
	}
	return 0;
}

/**
 * rviommu_cmdq_wait() - wait for a fence
 * @cq: the queue
 * @fence: number from rviommu_cmdq_issue()
 *
 * Recovers the queue from errors meanwhile; needs no interrupt.
 *
 * Context: may sleep, and does when it takes longer than most. Ends when no fence at all completes
 * for %RVIOMMU_FENCE_TIMEOUT_US; a restart, of which there are
 * %RVIOMMU_CMDQ_MAX_RESTARTS without progress, begins that time anew, and may take
 * %RVIOMMU_ATS_TIMEOUT_US itself. Devices that are asked for the second time share one such
 * time.
 * Return: 0: every command of the batch is complete, and device accesses that
 * the IOMMU processed before are globally visible. -EIO: the queue is out of
 * service.
 */
int rviommu_cmdq_wait(struct rviommu_cmdq *cq, u32 fence)
{
	might_sleep();
	return cmdq_wait(cq, fence, true);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_wait);

/**
 * rviommu_cmdq_wait_atomic() - the same, for those who may not sleep, or do not know
 * @cq: the queue
 * @fence: number from rviommu_cmdq_issue_atomic()
 *
 * Context: any, also with interrupts off.
 * Return: as rviommu_cmdq_wait().
 */
int rviommu_cmdq_wait_atomic(struct rviommu_cmdq *cq, u32 fence)
{
	return cmdq_wait(cq, fence, false);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_wait_atomic);

static int cmdq_issue(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
		      unsigned int nr, u32 *fence, bool sleeps)
{
	struct rviommu_cmdq_batch batch = { .cmds = cmds, .nr = nr };
	struct cmdq_wait wait = { .sleeps = sleeps };
	enum rviommu_cmdq_state state;
	unsigned long flags;
	u32 completed;

	cmdq_count(cq, RVIOMMU_CMDQ_WAITERS);
	/*
	 * A full barrier: what the caller stored before, in page tables and
	 * directories, is visible to whoever rings the doorbell for it.
	 */
	llist_add(&batch.node, &cq->incoming);

	for (;;) {
		spin_lock_irqsave(&cq->lock, flags);
		cmdq_drain(cq);
		state = batch.state;
		completed = cq->completed;
		spin_unlock_irqrestore(&cq->lock, flags);
		if (state != RVIOMMU_CMDQ_WAITING)
			break;

		if (!wait.turns)
			cmdq_count(cq, RVIOMMU_CMDQ_FULL);
		/*
		 * Until more is complete than when there was no room. Not than is
		 * known to be now: recovery takes note of fences and makes room,
		 * but queues nothing.
		 */
		do {
			cmdq_poll(cq, &wait);
		} while (READ_ONCE(batch.state) == RVIOMMU_CMDQ_WAITING &&
			 cmdq_read_done(cq) == completed);
	}
	if (state == RVIOMMU_CMDQ_FAILED)
		return -EIO;

	*fence = batch.fence;
	return 0;
}

/**
 * rviommu_cmdq_issue() - queue commands and a fence
 * @cq: the queue
 * @cmds: commands, in order
 * @nr: how many; 0: only the fence. More than the ring holds is fine.
 * @fence: set to the number of a fence behind the last of @cmds, for
 *         rviommu_cmdq_wait(). It may be shared with other producers.
 *
 * Context: may sleep, when the ring is full, and while the queue is being restarted.
 * Return: 0, or -EIO when the queue is out of service; @fence is not set then.
 */
int rviommu_cmdq_issue(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
		       unsigned int nr, u32 *fence)
{
	might_sleep();
	return cmdq_issue(cq, cmds, nr, fence, true);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_issue);

/**
 * rviommu_cmdq_issue_atomic() - the same, for those who may not sleep, or do not know
 * @cq: the queue
 * @cmds: as rviommu_cmdq_issue()
 * @nr: as rviommu_cmdq_issue()
 * @fence: as rviommu_cmdq_issue(), for rviommu_cmdq_wait_atomic()
 *
 * Context: any, also with interrupts off.
 * Return: as rviommu_cmdq_issue().
 */
int rviommu_cmdq_issue_atomic(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
			      unsigned int nr, u32 *fence)
{
	return cmdq_issue(cq, cmds, nr, fence, false);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_issue_atomic);

/**
 * rviommu_cmdq_sync() - queue commands and wait until they are complete
 * @cq: the queue
 * @cmds: commands, in order
 * @nr: how many; 0: wait for all earlier commands
 *
 * Context: see rviommu_cmdq_wait().
 * Return: 0 or -EIO, see rviommu_cmdq_wait().
 */
int rviommu_cmdq_sync(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
		      unsigned int nr)
{
	u32 fence;
	int ret;

	ret = rviommu_cmdq_issue(cq, cmds, nr, &fence);
	return ret ?: rviommu_cmdq_wait(cq, fence);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_sync);

/* ----- From bring-up to removal ----- */

/**
 * rviommu_cmdq_init() - allocate a command queue
 * @cq: filled in here
 * @bus: register access
 * @entries_lg2: lg2 of the wanted number of commands; the IOMMU may take less
 * @pas_lg2: memory must lie below this physical address
 * @nid: NUMA node
 *
 * Context: may sleep.
 * Return: 0 with the queue off, -ENOMEM, -EIO when the IOMMU offers too small a
 * queue, or an error of rviommu_queue_init(). Nothing is left behind on error.
 */
int rviommu_cmdq_init(struct rviommu_cmdq *cq, struct rviommu_bus *bus, u8 entries_lg2,
		      u8 pas_lg2, int nid)
{
	int ret;

	memset(cq, 0, sizeof(*cq));
	init_llist_head(&cq->incoming);
	INIT_LIST_HEAD(&cq->pending);
	spin_lock_init(&cq->lock);
	cq->timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	cq->ats_timeout_us = RVIOMMU_ATS_TIMEOUT_US;

	ret = rviommu_queue_init(&cq->q, bus, "cq", RVIOMMU_REG_CQB, RVIOMMU_REG_CQCSR,
				 ilog2(sizeof(struct rviommu_command)), entries_lg2, pas_lg2, nid);
	if (ret)
		return ret;

	if (cq->q.entries_lg2 < CMDQ_MIN_LG2) {
		dev_err(bus->dev, "cq: %u entries are too few\n", 1U << cq->q.entries_lg2);
		ret = -EIO;
		goto err;
	}

	cq->done_page = rviommu_page_alloc(nid, GFP_KERNEL, 0, pas_lg2);
	cq->fence_end = rviommu_zalloc(sizeof(*cq->fence_end) << cq->q.entries_lg2, GFP_KERNEL);
	cq->scratch = rviommu_zalloc(sizeof(*cq->scratch) << cq->q.entries_lg2, GFP_KERNEL);
	if (!cq->done_page || !cq->fence_end || !cq->scratch) {
		ret = -ENOMEM;
		goto err;
	}
	cq->done = cq->done_page;
	cq->done_pa = virt_to_phys(cq->done);
	return 0;

err:
	rviommu_cmdq_destroy(cq);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_init);

/**
 * rviommu_cmdq_use_ats() - ATS.INVAL will be queued
 * @cq: the queue, initialised, not enabled
 * @device_lost: see struct rviommu_cmdq
 * @device_away: see struct rviommu_cmdq
 */
void rviommu_cmdq_use_ats(struct rviommu_cmdq *cq,
			  bool (*device_lost)(struct rviommu_cmdq *cq, u16 rid, u8 seg),
			  bool (*device_away)(struct rviommu_cmdq *cq, u16 rid, u8 seg))
{
	cq->device_lost = device_lost;
	cq->device_away = device_away;
	cq->reserve = min_t(unsigned int, RVIOMMU_ATS_SEGMENT - 1,
			    (rviommu_queue_mask(&cq->q) + 1) / 4);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_use_ats);

/**
 * rviommu_cmdq_destroy() - give the memory of a command queue back
 * @cq: initialised or zeroed; nobody uses it any more
 *
 * Context: may sleep.
 */
void rviommu_cmdq_destroy(struct rviommu_cmdq *cq)
{
	/* A queue that cannot be switched off may still complete a fence. */
	if (rviommu_queue_destroy(&cq->q) && cq->done_page)
		rviommu_page_free(cq->done_page);
	rviommu_free(cq->fence_end);
	rviommu_free(cq->scratch);
	cq->done_page = NULL;
	cq->fence_end = NULL;
	cq->scratch = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_destroy);

/**
 * rviommu_cmdq_enable() - switch the command queue on
 * @cq: initialised, and not running
 *
 * For bring-up and resume. The queue is empty; numbers of fences go on. One caller at a
 * time: nobody else touches a queue that does not run.
 *
 * Context: any; see rviommu_queue_enable().
 * Return: 0, -EIO when the queue was given up before, or an error of
 * rviommu_queue_enable().
 */
int rviommu_cmdq_enable(struct rviommu_cmdq *cq)
{
	unsigned long flags;
	int ret;

	if (READ_ONCE(cq->dead))
		return -EIO;
	/* Left pending by whoever was before, it would keep new ones away. */
	cq->q.bus->ops->write32(cq->q.bus, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	ret = rviommu_queue_enable(&cq->q, RVIOMMU_QCSR_IE);
	if (ret)
		return ret;

	spin_lock_irqsave(&cq->lock, flags);
	cq->head = 0;
	cq->tail = 0;
	cq->restarts = 0;
	cq->split = 0;
	cq->silent = false;
	cq->again = false;
	WRITE_ONCE(cq->completed, cq->issued);
	cmdq_move_done(cq);
	WRITE_ONCE(cq->running, true);
	spin_unlock_irqrestore(&cq->lock, flags);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_enable);

/**
 * rviommu_cmdq_disable_now() - switch the queue off, whatever it is doing
 * @cq: initialised
 *
 * For when nothing is translated any more, and nobody wants to wait for a device: what is
 * queued is completed or not. Submissions then fail with -EIO until the next enable.
 *
 * Context: any; see rviommu_queue_disable().
 * Return: 0, or the error of rviommu_queue_disable().
 */
int rviommu_cmdq_disable_now(struct rviommu_cmdq *cq)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	/* What has begun to take the IOMMU out of service ends with that. */
	while (cq->phase == RVIOMMU_CMDQ_DIES) {
		spin_unlock_irqrestore(&cq->lock, flags);
		cmdq_finish(cq);
		spin_lock_irqsave(&cq->lock, flags);
	}
	WRITE_ONCE(cq->running, false);
	cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	cmdq_fail_batches(cq);
	spin_unlock_irqrestore(&cq->lock, flags);
	/* From here on nobody else looks at its registers, but to silence a dead one. */
	return rviommu_queue_disable(&cq->q);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_disable_now);

/**
 * rviommu_cmdq_disable() - complete what was queued, and switch the queue off
 * @cq: initialised
 *
 * Spec cqcsr: a fence, to know that fetched commands are committed, before
 * switching off.
 *
 * Context: may sleep; see rviommu_cmdq_wait() and rviommu_cmdq_disable_now().
 * Return: see there.
 */
int rviommu_cmdq_disable(struct rviommu_cmdq *cq)
{
	if (READ_ONCE(cq->running))
		rviommu_cmdq_sync(cq, NULL, 0);
	return rviommu_cmdq_disable_now(cq);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_disable);
