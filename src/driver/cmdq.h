/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command queue: submission, fences, recovery, bring-up.
 */
#ifndef RVIOMMU_CMDQ_H
#define RVIOMMU_CMDQ_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <rviommu/formats.h>

#include "command.h"
#include "mutate.h"
#include "queue.h"

/*
 * Bound of a wait in which no fence completes at all, nor is the queue restarted.
 * ATS invalidations have a timeout of their own in hardware (cmd_to); anything else
 * that takes longer is broken hardware.
 */
#define RVIOMMU_FENCE_TIMEOUT_US	5000000

/*
 * Bound of switching the queue off while requests to devices are outstanding. The hardware may
 * stay busy until they end (spec cqcsr.busy), by its own timeout at the latest, and PCIe gives
 * a device a minute and a half; those that had to wait for their turn begin theirs later.
 */
#define RVIOMMU_ATS_TIMEOUT_US		200000000

/*
 * ATS.INVAL commands that a producer puts between two barriers at most. When they
 * time out, so many slots, less one, may be needed to find out which device it was.
 */
#define RVIOMMU_ATS_SEGMENT		16

/*
 * Recoveries before giving up, without one completed fence between them, and without
 * one ATS.INVAL less to wait for.
 */
#define RVIOMMU_CMDQ_MAX_RESTARTS	8

/**
 * enum rviommu_cmdq_event - what is counted, for debugfs
 * @RVIOMMU_CMDQ_COMMANDS: commands queued, fences included
 * @RVIOMMU_CMDQ_FENCES: IOFENCE.C queued
 * @RVIOMMU_CMDQ_WAITERS: synchronisations asked for (more than fences when one
 *                        fence served several)
 * @RVIOMMU_CMDQ_FULL: times a producer found no room
 * @RVIOMMU_CMDQ_ILLEGAL: cmd_ill
 * @RVIOMMU_CMDQ_TIMEOUT: cmd_to, or no fence completed for long because of a device
 * @RVIOMMU_CMDQ_MEMFAULT: cqmf
 * @RVIOMMU_CMDQ_RESTARTS: recoveries
 * @RVIOMMU_CMDQ_AWAY: ATS.INVAL that were not answered, and given up because the device sleeps
 * @RVIOMMU_CMDQ_AGAIN: responses to page requests that may have been sent, and were submitted
 *                      again: as Success
 * @RVIOMMU_CMDQ_UNSENT: those that were left out, because their device was taken out of service
 * @RVIOMMU_CMDQ_NR_EVENTS: number of counters
 */
enum rviommu_cmdq_event {
	RVIOMMU_CMDQ_COMMANDS,
	RVIOMMU_CMDQ_FENCES,
	RVIOMMU_CMDQ_WAITERS,
	RVIOMMU_CMDQ_FULL,
	RVIOMMU_CMDQ_ILLEGAL,
	RVIOMMU_CMDQ_TIMEOUT,
	RVIOMMU_CMDQ_MEMFAULT,
	RVIOMMU_CMDQ_RESTARTS,
	RVIOMMU_CMDQ_AWAY,
	RVIOMMU_CMDQ_AGAIN,
	RVIOMMU_CMDQ_UNSENT,
	RVIOMMU_CMDQ_NR_EVENTS,
};

/**
 * enum rviommu_cmdq_state - where a batch is
 * @RVIOMMU_CMDQ_WAITING: not all of it is in the ring
 * @RVIOMMU_CMDQ_QUEUED: all in the ring, and a fence after it
 * @RVIOMMU_CMDQ_FAILED: the queue is out of service
 */
enum rviommu_cmdq_state {
	RVIOMMU_CMDQ_WAITING,
	RVIOMMU_CMDQ_QUEUED,
	RVIOMMU_CMDQ_FAILED,
};

/**
 * enum rviommu_cmdq_phase - what a queue that was enabled is about
 * @RVIOMMU_CMDQ_RUNS: commands go into the ring
 * @RVIOMMU_CMDQ_STOPS: it is being switched off, to be restarted
 * @RVIOMMU_CMDQ_STARTS: it is being switched on again
 * @RVIOMMU_CMDQ_DIES: it was given up, and its owner is taking the IOMMU out of service. As
 *                     long as that takes rviommu_cmdq.running is true, for those who wait.
 *
 * All but the first wait for hardware, which may take long. Nobody waits under the lock: each
 * look is a step (cmdq_recover.c), and whoever waits for the queue takes it now and then.
 */
enum rviommu_cmdq_phase {
	RVIOMMU_CMDQ_RUNS,
	RVIOMMU_CMDQ_STOPS,
	RVIOMMU_CMDQ_STARTS,
	RVIOMMU_CMDQ_DIES,
};

/**
 * struct rviommu_cmdq_batch - commands of one producer on their way to the ring
 * @node: on rviommu_cmdq.incoming
 * @link: on rviommu_cmdq.pending
 * @cmds: next command to queue
 * @nr: commands left
 * @fence: number of the fence after the last one; with %RVIOMMU_CMDQ_QUEUED
 * @state: where it is
 *
 * On the stack of the producer, who stays until @state has changed. After
 * llist_add() everything in it belongs to whoever holds rviommu_cmdq.lock.
 */
struct rviommu_cmdq_batch {
	struct llist_node node;
	struct list_head link;
	const struct rviommu_command *cmds;
	unsigned int nr;
	u32 fence;
	enum rviommu_cmdq_state state;
};

/**
 * struct rviommu_cmdq - the command queue of one IOMMU
 * @q: memory and registers
 * @incoming: batches that wait for somebody to hold @lock (combining: whoever
 *            gets the lock queues all of them and ends with one fence)
 * @lock: protects everything below up to @dead; taken with interrupts off,
 *        in any context. Held for microseconds: no waiting for a fence, and a
 *        few looks at a register.
 * @phase: what is going on; read without the lock by waiters
 * @epoch: changes with @phase, and with each restart; read without the lock by waiters
 * @asked: requests to devices were outstanding when the restart began
 * @silent: the restart began because no fence completed: the device that the hardware waits for
 *          is to blame, or asleep. @silent_at is where it stood.
 * @silent_at: see @silent
 * @again: devices are asked for the second time, until fence @again_until completes, and
 *         each has @again_us. All three are read without the lock by waiters.
 * @again_until: see @again
 * @again_us: see @again
 * @pending: batches taken from @incoming that are not completely in the ring
 *           yet, oldest first
 * @tail: index of the next free slot, as last written to cqt
 * @head: oldest slot whose command may not have completed. Slots are reused
 *        only when a *fence* after them completed, not when cqh passed them: a
 *        restart must be able to submit them again (spec cqcsr, note on
 *        resubmission).
 * @issued: number of the last fence queued; wraps. Read without the lock by
 *          waiters.
 * @completed: number of the last fence known complete; @head belongs to it. Read
 *             without the lock by waiters.
 * @fence_end: for fence n, slot after it, at index n & mask; one per slot
 * @scratch: copy of the live window during a restart; one per slot
 * @restarts: recoveries since @completed last moved
 * @done: number of the last fence that the IOMMU completed, written by the IOMMU
 *        itself (IOFENCE.C AV=1). A cache line of its own. Read by all waiters,
 *        without a lock. Every restart moves it to the next line of @done_page:
 *        the write of a fence fetched before the restart may still be on its
 *        way, and must not be taken for that of a fence submitted again.
 * @done_pa: its physical address
 * @done_page: one page of cache lines for @done
 * @running: commands are accepted: enabled, not disabled, not dead. Written under
 *           @lock, read anywhere.
 * @dead: the queue was given up; set once under @lock, read anywhere.
 *        Everything then fails with -EIO.
 * @on_dead: called under @lock, interrupts off, when the queue dies: the owner takes the IOMMU
 *           out of service. Does not wait: called again until it returns true, because
 *           nothing is translated any more; with @last because there is no more time, when
 *           it has to return true. May be NULL. Constant while the queue is enabled.
 * @device_lost: called under @lock, interrupts off, when the device with Routing ID
 *               @rid in segment @seg does not complete its invalidations, or the
 *               IOMMU refuses to ask it; more than once if others ask it again. It sees
 *               to it that the device's DMA is blocked once IODIR.INVAL_DDT of all
 *               devices is executed, and returns true; false: no such device, there is
 *               nothing to block. May be NULL. Constant while the queue is enabled.
 * @device_away: called under @lock, interrupts off, when that device has not completed its
 *               invalidations yet, and what they follow is complete: true if it need not any
 *               more, because it sleeps, has gone, or uses ATS no more, and will use nothing that
 *               it had cached until now. May be NULL. Constant while the queue is enabled.
 * @reserve: slots that are kept free to insert fences between the ATS.INVAL of
 *           different devices; constant while the queue is enabled
 * @split: commands at the head of the window between which a restart inserts
 *         them; only during a recovery
 * @timeout_us: %RVIOMMU_FENCE_TIMEOUT_US; tests shorten it before enabling
 * @ats_timeout_us: %RVIOMMU_ATS_TIMEOUT_US; likewise
 * @events: counters, enum rviommu_cmdq_event
 * @mutate: the step that a mutation run leaves out (mutate.h), or NULL
 */
struct rviommu_cmdq {
	struct rviommu_queue q;
	struct llist_head incoming;
	spinlock_t lock; /* see above */
	enum rviommu_cmdq_phase phase;
	u32 epoch;
	bool asked;
	bool silent;
	u32 silent_at;
	bool again;
	u32 again_until;
	unsigned int again_us;
	struct list_head pending;
	u32 tail;
	u32 head;
	u32 issued;
	u32 completed;
	u32 *fence_end;
	struct rviommu_command *scratch;
	unsigned int restarts;
	__le32 *done;
	u64 done_pa;
	void *done_page;
	bool running;
	bool dead;
	bool (*on_dead)(struct rviommu_cmdq *cq, bool last);
	bool (*device_lost)(struct rviommu_cmdq *cq, u16 rid, u8 seg);
	bool (*device_away)(struct rviommu_cmdq *cq, u16 rid, u8 seg);
	unsigned int reserve;
	u32 split;
	unsigned int timeout_us;
	unsigned int ats_timeout_us;
	atomic64_t events[RVIOMMU_CMDQ_NR_EVENTS];
	const enum rviommu_mutation *mutate;
};

int rviommu_cmdq_init(struct rviommu_cmdq *cq, struct rviommu_bus *bus, u8 entries_lg2,
		      u8 pas_lg2, int nid);
void rviommu_cmdq_destroy(struct rviommu_cmdq *cq);
void rviommu_cmdq_use_ats(struct rviommu_cmdq *cq,
			  bool (*device_lost)(struct rviommu_cmdq *cq, u16 rid, u8 seg),
			  bool (*device_away)(struct rviommu_cmdq *cq, u16 rid, u8 seg));
int rviommu_cmdq_enable(struct rviommu_cmdq *cq);
int rviommu_cmdq_disable(struct rviommu_cmdq *cq);
int rviommu_cmdq_disable_now(struct rviommu_cmdq *cq);

int rviommu_cmdq_issue(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
		       unsigned int nr, u32 *fence);
int rviommu_cmdq_issue_atomic(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
			      unsigned int nr, u32 *fence);
int rviommu_cmdq_wait(struct rviommu_cmdq *cq, u32 fence);
int rviommu_cmdq_wait_atomic(struct rviommu_cmdq *cq, u32 fence);
int rviommu_cmdq_sync(struct rviommu_cmdq *cq, const struct rviommu_command *cmds,
		      unsigned int nr);
void rviommu_cmdq_handle_errors(struct rviommu_cmdq *cq);
bool rviommu_cmdq_is_quiet(struct rviommu_cmdq *cq);
void rviommu_cmdq_kill(struct rviommu_cmdq *cq, const char *why);

/* ATS.INVAL commands between two barriers, given the size of the ring. */
static inline unsigned int rviommu_cmdq_ats_segment(const struct rviommu_cmdq *cq)
{
	return cq->reserve + 1;
}

#endif /* RVIOMMU_CMDQ_H */
