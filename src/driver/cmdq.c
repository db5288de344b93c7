// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command queue: submission, fences, bring-up.
 *
 * A producer adds its batch to a lockless list and takes the lock. Whoever has
 * the lock queues everything on the list, in order, and one fence behind it
 * (rviommu_cmdq_drain()); so under contention one fence and one doorbell serve many
 * producers. The fence writes its number to memory (IOFENCE.C with AV=1), and that word is
 * what everybody polls: registers are read only when it takes long, and then whoever waits
 * takes care of errors, too (cmdq_recover.c). So no wait is without end. Nothing here sleeps
 * but a wait that may.
 */
#include <kunit/visibility.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/nmi.h>

#include <rviommu/regs.h>

#include "cmdq.h"
#include "cmdq_private.h"
#include "command.h"
#include "mem.h"
#include "queue.h"

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

/*
 * Fewest entries that work: one slot always stays empty, and a command needs
 * its fence in the ring with it.
 */
#define CMDQ_MIN_LG2	2

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

	return READ_ONCE(cq->again) &&
	       rviommu_cmdq_read_done(cq) - until > READ_ONCE(cq->issued) - until;
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

/* Has something happened to the queue, by whomever, since the waiter last looked? */
static bool cmdq_goes_on(const struct rviommu_cmdq *cq, const struct cmdq_wait *wait)
{
	return READ_ONCE(cq->epoch) != wait->epoch;
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
	if (rviommu_cmdq_suspicious(cq))
		rviommu_cmdq_handle_errors(cq);
	if (!cq->device_away || wait->stuck_us < wait->away_us)
		return;
	wait->away_us = 2 * wait->stuck_us;
	rviommu_cmdq_suspect(cq, wait->seen, wait->epoch);
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
	done = rviommu_cmdq_read_done(cq);
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
	if (wait->stuck_us > cmdq_patience(cq)) {
		rviommu_cmdq_give_up(cq, wait->seen, wait->epoch);
		wait->stuck_us = 0;
	}
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
	rviommu_cmdq_die(cq, why);
	spin_unlock_irqrestore(&cq->lock, flags);
	cmdq_finish(cq);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmdq_kill);

static bool cmdq_fence_done(const struct rviommu_cmdq *cq, u32 fence)
{
	u32 done = rviommu_cmdq_read_done(cq);

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

	rviommu_cmdq_count(cq, RVIOMMU_CMDQ_WAITERS);
	/*
	 * A full barrier: what the caller stored before, in page tables and
	 * directories, is visible to whoever rings the doorbell for it.
	 */
	llist_add(&batch.node, &cq->incoming);

	for (;;) {
		spin_lock_irqsave(&cq->lock, flags);
		rviommu_cmdq_drain(cq);
		state = batch.state;
		completed = cq->completed;
		spin_unlock_irqrestore(&cq->lock, flags);
		if (state != RVIOMMU_CMDQ_WAITING)
			break;

		if (!wait.turns)
			rviommu_cmdq_count(cq, RVIOMMU_CMDQ_FULL);
		/*
		 * Until more is complete than when there was no room. Not than is
		 * known to be now: recovery takes note of fences and makes room,
		 * but queues nothing.
		 */
		do {
			cmdq_poll(cq, &wait);
		} while (READ_ONCE(batch.state) == RVIOMMU_CMDQ_WAITING &&
			 rviommu_cmdq_read_done(cq) == completed);
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
	rviommu_cmdq_move_done(cq);
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
	rviommu_cmdq_set_phase(cq, RVIOMMU_CMDQ_RUNS);
	rviommu_cmdq_fail(cq);
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
