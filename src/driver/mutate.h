/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps of the driver that a mutation run leaves out, so that tests can show
 * that they would notice. Compiled out without CONFIG_RVIOMMU_DEBUG.
 */
#ifndef RVIOMMU_MUTATE_H
#define RVIOMMU_MUTATE_H

#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/kernel.h>
#include <linux/types.h>

/**
 * enum rviommu_mutation - a step that a mutation run leaves out, or takes too early or too late
 * @RVIOMMU_MUTATE_NOTHING: none
 * @RVIOMMU_MUTATE_IOTINVAL: IOTINVAL of leaves after unmap
 * @RVIOMMU_MUTATE_NONLEAF: the non-leaf part when tables were unlinked
 * @RVIOMMU_MUTATE_INVAL_DDT: IODIR.INVAL_DDT after a context changed
 * @RVIOMMU_MUTATE_ATTACH_IOTINVAL: IOTINVAL of the old address space on attach
 * @RVIOMMU_MUTATE_FLUSH_ALL: flush_iotlb_all (deferred flushing)
 * @RVIOMMU_MUTATE_NAPOT_STRIDE: a 64 KiB leaf is invalidated as one entry, not sixteen
 * @RVIOMMU_MUTATE_SYNC_WALK: invalidation of a link before a leaf takes its place
 * @RVIOMMU_MUTATE_UNMAP_WAIT: waiting for the fence of an unmap or a flush
 * @RVIOMMU_MUTATE_ATTACH_WAIT: waiting for the fence of an attach
 * @RVIOMMU_MUTATE_ACCESSES: PR and PW of the fence: DMA that is under way
 * @RVIOMMU_MUTATE_DDT_LINKS: DV=0 of IODIR.INVAL_DDT after a page was replaced
 * @RVIOMMU_MUTATE_GUEST_VMA: IOTINVAL.VMA of the guest, leaving a second stage
 * @RVIOMMU_MUTATE_GUEST_GVMA: IOTINVAL.GVMA of the guest, leaving a second stage
 * @RVIOMMU_MUTATE_INVAL_ORDER: the fence between IODIR.INVAL_DDT and IOTINVAL on attach
 * @RVIOMMU_MUTATE_TARGET_LATE: the target is added after the context was published
 * @RVIOMMU_MUTATE_TARGET_EARLY: the old target is removed before anything is published
 * @RVIOMMU_MUTATE_COPY_PAGE: a context of several words changes in place, broken meanwhile,
 *                            and not in a copy of its page
 * @RVIOMMU_MUTATE_BREAK: a context that changes in place stays valid meanwhile
 * @RVIOMMU_MUTATE_BREAK_GRACE: the hardware's grace period after V=0, before words change
 * @RVIOMMU_MUTATE_VALID_GRACE: the hardware's grace period after words changed, before V=1
 * @RVIOMMU_MUTATE_RETIRE_PAGE: a replaced page of the directory is retired before the fence
 * @RVIOMMU_MUTATE_RETIRE_TABLES: unlinked tables are retired before the fence
 * @RVIOMMU_MUTATE_RETIRE_PENDING: the same, of a deferred flush
 * @RVIOMMU_MUTATE_PENDING: tables of a deferred flush are collected after the flush
 * @RVIOMMU_MUTATE_RELEASE: contexts become invalid when a device goes
 * @RVIOMMU_MUTATE_RESUME: caches are emptied after suspend
 * @RVIOMMU_MUTATE_INVAL_PDT: IODIR.INVAL_PDT, or INVAL_DDT for a page of the directory
 * @RVIOMMU_MUTATE_PDT_GRACE: VALID_GRACE, of a process context
 * @RVIOMMU_MUTATE_ATS_INVAL: ATS.INVAL after unmap
 * @RVIOMMU_MUTATE_ATTACH_ATS_INVAL: ATS.INVAL of the old address space on attach
 * @RVIOMMU_MUTATE_ATS_ORDER: the barrier between IOTINVAL and ATS.INVAL
 * @RVIOMMU_MUTATE_ATS_RENEW: the IOTINVAL of a space that other devices use, before one whose
 *                            ATS is on may ask for it
 * @RVIOMMU_MUTATE_ATS_ENABLE_RENEW: the same before the ATS of a device is switched on
 * @RVIOMMU_MUTATE_QUARANTINE: INVAL_DDT in place of a request that was not answered
 * @RVIOMMU_MUTATE_ATS_RESUME: ATCs are empty after suspend
 * @RVIOMMU_MUTATE_DIRTY_INVAL: the invalidation of what D was cleared in
 * @RVIOMMU_MUTATE_DIRTY_EARLY: the same before D is cleared, and not after it
 * @RVIOMMU_MUTATE_DIRTY_START: the invalidation when dirty tracking begins
 * @RVIOMMU_MUTATE_PRI_FLUSH: the hardware's queue is read when a PASID is made quiet
 * @RVIOMMU_MUTATE_PRI_DISCARD: what is not complete is forgotten then
 * @RVIOMMU_MUTATE_PRI_REFUSE: what has no response gets one then
 * @RVIOMMU_MUTATE_PRI_GAP: what is not complete is forgotten after an overflow
 * @RVIOMMU_MUTATE_PRI_OFF: page requests go off before the context is invalid
 * @RVIOMMU_MUTATE_PRI_OTHERS: requests before the last one of a group go to who handles it
 * @RVIOMMU_MUTATE_PRI_LATE: a group waits for its response before its handler is asked
 * @RVIOMMU_MUTATE_PRI_FENCE: responses have reached the device when a PASID is quiet
 * @RVIOMMU_MUTATE_PRI_REUSE: a request with the index of a group that is outstanding is dropped
 * @RVIOMMU_MUTATE_PRI_KEY: groups of several PASIDs with one index are different groups
 * @RVIOMMU_MUTATE_PRI_EARLY: a group is complete with its last request, and not before
 * @RVIOMMU_MUTATE_PRI_DISCARD_EARLY: the queue is read before what is not complete is forgotten
 * @RVIOMMU_MUTATE_PRI_WAIT: handlers that run are over when a PASID is quiet
 * @RVIOMMU_MUTATE_PRI_FENCE_EARLY: the fence that waits for responses is behind the last of them
 * @RVIOMMU_MUTATE_PRI_GAP_EARLY: after an overflow the queue is read before what is not complete
 *                                is forgotten
 * @RVIOMMU_MUTATE_PRI_SETTLE: responses of others are queued before that fence
 * @RVIOMMU_MUTATE_PRI_SWITCH_OFF: a device may ask no more when nobody handles it any more
 * @RVIOMMU_MUTATE_PRI_CLOSE: and counts as one that may not
 * @RVIOMMU_MUTATE_PRI_FLUSH_AGAIN: the queue is read once more after that
 * @RVIOMMU_MUTATE_PRI_RESPONSES: drain() waits for those who handle groups
 * @RVIOMMU_MUTATE_PRI_ROOM: after an overflow the queue is read first
 * @RVIOMMU_MUTATE_PRI_GO_ON: and the IOMMU may store more after that
 * @RVIOMMU_MUTATE_PRI_GAP_LATE: what comes then is read after what is not complete is forgotten
 * @RVIOMMU_MUTATE_PRI_DENIED: after a memory fault interfaces are looked at
 * @RVIOMMU_MUTATE_PRI_REFUSE_EARLY: who handles groups is waited for before they get a response
 * @RVIOMMU_MUTATE_PRI_PASS: who handles requests is replaced behind the one that is looked at
 * @RVIOMMU_MUTATE_PRI_SPOILED: a group of which a request found no room is not handed on
 * @RVIOMMU_MUTATE_PRI_KEPT: a request that asks for nothing, or of nobody, is not kept
 * @RVIOMMU_MUTATE_FACE_OFF: an interface that has failed is off while it is revived
 * @RVIOMMU_MUTATE_FACE_READ: the hardware's queue is read then
 * @RVIOMMU_MUTATE_FACE_FORGET: what was asked before is forgotten before the fence
 * @RVIOMMU_MUTATE_FACE_FORGET_EARLY: the queue is read before that
 * @RVIOMMU_MUTATE_FACE_SETTLE: responses of others are queued before that fence
 * @RVIOMMU_MUTATE_FACE_FENCE: responses have reached the device when its interface goes on
 * @RVIOMMU_MUTATE_FACE_FENCE_EARLY: that fence is behind the last of them
 * @RVIOMMU_MUTATE_FACE_ON: the interface goes on again
 * @RVIOMMU_MUTATE_FACE_ON_EARLY: and not before that fence
 * @RVIOMMU_NR_MUTATIONS: number of them
 *
 * A new one needs a name in debugfs.c and a line in Documentation/debugfs.rst; the
 * suite rviommu_sim_mutation then fails until one of its scenarios notices it.
 */
enum rviommu_mutation {
	RVIOMMU_MUTATE_NOTHING,
	RVIOMMU_MUTATE_IOTINVAL,
	RVIOMMU_MUTATE_NONLEAF,
	RVIOMMU_MUTATE_INVAL_DDT,
	RVIOMMU_MUTATE_ATTACH_IOTINVAL,
	RVIOMMU_MUTATE_FLUSH_ALL,
	RVIOMMU_MUTATE_NAPOT_STRIDE,
	RVIOMMU_MUTATE_SYNC_WALK,
	RVIOMMU_MUTATE_UNMAP_WAIT,
	RVIOMMU_MUTATE_ATTACH_WAIT,
	RVIOMMU_MUTATE_ACCESSES,
	RVIOMMU_MUTATE_DDT_LINKS,
	RVIOMMU_MUTATE_GUEST_VMA,
	RVIOMMU_MUTATE_GUEST_GVMA,
	RVIOMMU_MUTATE_INVAL_ORDER,
	RVIOMMU_MUTATE_TARGET_LATE,
	RVIOMMU_MUTATE_TARGET_EARLY,
	RVIOMMU_MUTATE_COPY_PAGE,
	RVIOMMU_MUTATE_BREAK,
	RVIOMMU_MUTATE_BREAK_GRACE,
	RVIOMMU_MUTATE_VALID_GRACE,
	RVIOMMU_MUTATE_RETIRE_PAGE,
	RVIOMMU_MUTATE_RETIRE_TABLES,
	RVIOMMU_MUTATE_RETIRE_PENDING,
	RVIOMMU_MUTATE_PENDING,
	RVIOMMU_MUTATE_RELEASE,
	RVIOMMU_MUTATE_RESUME,
	RVIOMMU_MUTATE_INVAL_PDT,
	RVIOMMU_MUTATE_PDT_GRACE,
	RVIOMMU_MUTATE_ATS_INVAL,
	RVIOMMU_MUTATE_ATTACH_ATS_INVAL,
	RVIOMMU_MUTATE_ATS_ORDER,
	RVIOMMU_MUTATE_ATS_RENEW,
	RVIOMMU_MUTATE_ATS_ENABLE_RENEW,
	RVIOMMU_MUTATE_QUARANTINE,
	RVIOMMU_MUTATE_ATS_RESUME,
	RVIOMMU_MUTATE_DIRTY_INVAL,
	RVIOMMU_MUTATE_DIRTY_EARLY,
	RVIOMMU_MUTATE_DIRTY_START,
	RVIOMMU_MUTATE_PRI_FLUSH,
	RVIOMMU_MUTATE_PRI_DISCARD,
	RVIOMMU_MUTATE_PRI_REFUSE,
	RVIOMMU_MUTATE_PRI_GAP,
	RVIOMMU_MUTATE_PRI_OFF,
	RVIOMMU_MUTATE_PRI_OTHERS,
	RVIOMMU_MUTATE_PRI_LATE,
	RVIOMMU_MUTATE_PRI_FENCE,
	RVIOMMU_MUTATE_PRI_REUSE,
	RVIOMMU_MUTATE_PRI_KEY,
	RVIOMMU_MUTATE_PRI_EARLY,
	RVIOMMU_MUTATE_PRI_DISCARD_EARLY,
	RVIOMMU_MUTATE_PRI_WAIT,
	RVIOMMU_MUTATE_PRI_FENCE_EARLY,
	RVIOMMU_MUTATE_PRI_GAP_EARLY,
	RVIOMMU_MUTATE_PRI_SETTLE,
	RVIOMMU_MUTATE_PRI_SWITCH_OFF,
	RVIOMMU_MUTATE_PRI_CLOSE,
	RVIOMMU_MUTATE_PRI_FLUSH_AGAIN,
	RVIOMMU_MUTATE_PRI_RESPONSES,
	RVIOMMU_MUTATE_PRI_ROOM,
	RVIOMMU_MUTATE_PRI_GO_ON,
	RVIOMMU_MUTATE_PRI_GAP_LATE,
	RVIOMMU_MUTATE_PRI_DENIED,
	RVIOMMU_MUTATE_PRI_REFUSE_EARLY,
	RVIOMMU_MUTATE_PRI_PASS,
	RVIOMMU_MUTATE_PRI_SPOILED,
	RVIOMMU_MUTATE_PRI_KEPT,
	RVIOMMU_MUTATE_FACE_OFF,
	RVIOMMU_MUTATE_FACE_READ,
	RVIOMMU_MUTATE_FACE_FORGET,
	RVIOMMU_MUTATE_FACE_FORGET_EARLY,
	RVIOMMU_MUTATE_FACE_SETTLE,
	RVIOMMU_MUTATE_FACE_FENCE,
	RVIOMMU_MUTATE_FACE_FENCE_EARLY,
	RVIOMMU_MUTATE_FACE_ON,
	RVIOMMU_MUTATE_FACE_ON_EARLY,
	RVIOMMU_NR_MUTATIONS,
};

/*
 * What has a member "mutate" that points to that of its IOMMU, or to nothing:
 * shall @what be left out there?
 */
#define rviommu_mutates(object, what)						\
	(IS_ENABLED(CONFIG_RVIOMMU_DEBUG) && (object)->mutate &&		\
	 READ_ONCE(*(object)->mutate) == (what))

/*
 * Steps stand in a table, and beside it stands @wrong: what a mutation run does in the place of
 * one, each with its "what", "step" and "instead". What is to be done in the place of @right?
 * @mutate points to that of the IOMMU, or is NULL. Without CONFIG_RVIOMMU_DEBUG nothing is left
 * of the table.
 */
#define rviommu_step(mutate, wrong, right)					\
({										\
	const enum rviommu_mutation *_mutate = (mutate);			\
	const enum rviommu_mutation _now = _mutate ? READ_ONCE(*_mutate) :	\
						     RVIOMMU_MUTATE_NOTHING;	\
	const unsigned int _nr = IS_ENABLED(CONFIG_RVIOMMU_DEBUG) ?		\
				 ARRAY_SIZE(wrong) : 0;				\
	__auto_type _right = (right);						\
	unsigned int _i = 0;							\
										\
	while (_i < _nr && ((wrong)[_i].what != _now ||				\
			    (wrong)[_i].step != _right))			\
		_i++;								\
	_i < _nr ? (wrong)[_i].instead : _right;				\
})

#endif /* RVIOMMU_MUTATE_H */
