/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page Request Groups: which requests of a device belong together, and which of its groups
 * wait for a response (PCIe "Page Request Message", "Managing PRGs").
 */
#ifndef RVIOMMU_PRG_H
#define RVIOMMU_PRG_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <rviommu/formats.h>

#include "mutate.h"

/**
 * struct rviommu_page_message - one Page Request message, as the driver uses it
 * @did: device_id
 * @pid: PASID, if @pv
 * @index: Page Request Group Index
 * @addr: page address
 * @pv: there is a PASID
 * @priv: privileged
 * @exec: to execute
 * @read: to read
 * @write: to write
 * @last: it is the last one of its group, and wants a response
 * @since: rviommu_prg.since of its group, once it has one; 0 before
 */
struct rviommu_page_message {
	u32 did;
	u32 pid;
	u16 index;
	u64 addr;
	bool pv;
	bool priv;
	bool exec;
	bool read;
	bool write;
	bool last;
	u64 since;
};

/**
 * struct rviommu_prg_request - a request that a group consists of
 * @node: on rviommu_prg.requests, or rviommu_prgs.free_requests
 * @message: what was asked
 */
struct rviommu_prg_request {
	struct list_head node;
	struct rviommu_page_message message;
};

/**
 * struct rviommu_prg - a group
 * @node: on rviommu_prgs.partial, outstanding or free; on none while it is handed on
 * @requests: struct rviommu_prg_request.node, in the order in which they came
 * @cookie: which of all groups of all times it is; never 0
 * @since: when its first request came, ktime_get_ns()
 * @pid: PASID; 0 without
 * @index: Page Request Group Index
 * @pv: its requests have a PASID
 * @spoiled: a request of it found no room: it cannot be served
 * @handler: rviommu_attachment.nr of who handles it, once it is handed on
 */
struct rviommu_prg {
	struct list_head node;
	struct list_head requests;
	u64 cookie;
	u64 since;
	u32 pid;
	u16 index;
	bool pv;
	bool spoiled;
	u64 handler;
};

/**
 * struct rviommu_prg_info - a group, for people
 * @since: see struct rviommu_prg, as the next three
 * @pid: PASID
 * @index: Page Request Group Index
 * @pv: there is a PASID
 * @handed_on: it waits for its response; else for its last request
 * @requests: that have come and found room
 */
struct rviommu_prg_info {
	u64 since;
	u32 pid;
	u16 index;
	bool pv;
	bool handed_on;
	unsigned int requests;
};

/**
 * struct rviommu_prg_answer - a response that somebody has decided on, and not queued yet
 * @node: on rviommu_prgs.answers
 * @cookie: rviommu_prg.cookie of the group, which may be another one by now
 * @handler: rviommu_prg.handler, likewise
 * @message: the last request of the group: what the response has to be to
 *
 * On the stack of who queues it, from rviommu_prgs_answer() or rviommu_prgs_take() to
 * rviommu_prgs_answered().
 */
struct rviommu_prg_answer {
	struct list_head node;
	u64 cookie;
	u64 handler;
	struct rviommu_page_message message;
};

/**
 * struct rviommu_prgs - the groups of one device
 * @lock: protects everything here; a leaf lock. Interrupts on: nobody needs it in one.
 * @partial: struct rviommu_prg.node: the last request has not come, oldest first
 * @outstanding: those that were handed on, and wait for their response, oldest first
 * @answers: struct rviommu_prg_answer.node: those that left @outstanding, and whose responses
 *           are not queued yet
 * @free: groups that are in no use
 * @free_requests: and requests
 * @answered: somebody may wait for a group to leave @outstanding, or @answers
 * @mutate: the step that a mutation run leaves out (mutate.h), or NULL
 * @cookie: of the newest group
 * @memory: groups and requests: as many as the device may have requests outstanding
 *
 * The device was told how many requests it may have outstanding (PCI "Outstanding Page
 * Request Allocation"), and a request is outstanding until its group has its response. So
 * all memory is there from the beginning, and a device that asks for more is not served.
 *
 * Whoever takes a group out of @outstanding sends the response, so there is exactly one. A
 * group is known by its cookie from then on: its index may be used again. Its memory may, too:
 * the device can ask for more as soon as the response is queued, before whoever queued it is
 * seen to have done so. A fence that stands for responses has to come behind @answers.
 */
struct rviommu_prgs {
	spinlock_t lock; /* see above */
	struct list_head partial;
	struct list_head outstanding;
	struct list_head answers;
	struct list_head free;
	struct list_head free_requests;
	wait_queue_head_t answered;
	const enum rviommu_mutation *mutate;
	u64 cookie;
	void *memory;
};

/**
 * enum rviommu_prg_fate - what becomes of a request
 * @RVIOMMU_PRG_KEPT: it waits for the last one of its group
 * @RVIOMMU_PRG_COMPLETE: it was the last one, and the group is the caller's
 * @RVIOMMU_PRG_REFUSED: it was the last one, and the group cannot be served: more was asked for
 *                       than the device may. A response is wanted.
 * @RVIOMMU_PRG_DROPPED: nothing is to be done: not the last one, and no room; or of a group that
 *                       has the index of one that is outstanding, whose response will be taken
 *                       for this one's
 */
enum rviommu_prg_fate {
	RVIOMMU_PRG_KEPT,
	RVIOMMU_PRG_COMPLETE,
	RVIOMMU_PRG_REFUSED,
	RVIOMMU_PRG_DROPPED,
};

/* Whatever the PASID. 0 (IOMMU_NO_PASID) is for those without one, too: they use the same. */
#define RVIOMMU_PRG_ALL		(~0U)

struct rviommu_page_message rviommu_page_decode(const struct rviommu_page_request *record);
bool rviommu_page_is_stop_marker(const struct rviommu_page_message *message);

int rviommu_prgs_init(struct rviommu_prgs *prgs, unsigned int requests);
void rviommu_prgs_exit(struct rviommu_prgs *prgs);
enum rviommu_prg_fate rviommu_prgs_add(struct rviommu_prgs *prgs,
				       const struct rviommu_page_message *message,
				       struct rviommu_prg **group);
void rviommu_prgs_hand_on(struct rviommu_prgs *prgs, struct rviommu_prg *group);
void rviommu_prgs_refuse(struct rviommu_prgs *prgs, struct rviommu_prg *group);
bool rviommu_prgs_answer(struct rviommu_prgs *prgs, u64 cookie,
			 struct rviommu_prg_answer *answer);
unsigned int rviommu_prgs_discard(struct rviommu_prgs *prgs, u32 pasid);
u64 rviommu_prgs_newest(struct rviommu_prgs *prgs);
bool rviommu_prgs_take(struct rviommu_prgs *prgs, u32 pasid, u64 newest,
		       struct rviommu_prg_answer *answer);
void rviommu_prgs_answered(struct rviommu_prgs *prgs, struct rviommu_prg_answer *answer);
void rviommu_prgs_settle(struct rviommu_prgs *prgs, u32 pasid);
unsigned int rviommu_prgs_list(struct rviommu_prgs *prgs, struct rviommu_prg_info *info,
			       unsigned int max);
bool rviommu_prgs_wait(struct rviommu_prgs *prgs, u32 pasid, unsigned long timeout);

#endif /* RVIOMMU_PRG_H */
