/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The transaction by which requests of a device get another domain: prepare, publish, settle,
 * retire.
 */
#ifndef RVIOMMU_CHANGE_H
#define RVIOMMU_CHANGE_H

#include <linux/iommu.h>

#include "attachment.h"
#include "context.h"
#include "directory.h"

struct rviommu_endpoint;

/**
 * enum rviommu_change_kind - which contexts a change consists in
 * @RVIOMMU_CHANGE_DEVICE: the device contexts say what the requester IDs use. A process
 *                         directory that has no PASID left goes with it.
 * @RVIOMMU_CHANGE_PROCESS: one process context of the device's live directory; PASID 0 is that
 *                          of the requester IDs
 * @RVIOMMU_CHANGE_EXPAND: the first PASID: a directory comes, and takes the requester IDs'
 *                         translation over
 * @RVIOMMU_CHANGE_COLLAPSE: the last PASID goes, and the directory with it
 */
enum rviommu_change_kind {
	RVIOMMU_CHANGE_DEVICE,
	RVIOMMU_CHANGE_PROCESS,
	RVIOMMU_CHANGE_EXPAND,
	RVIOMMU_CHANGE_COLLAPSE,
};

/**
 * enum rviommu_outcome - what became of a change
 * @RVIOMMU_CHANGE_DONE: no cache holds anything of the old domain for these requests
 * @RVIOMMU_CHANGE_REFUSED: nothing has changed; rviommu_change.error says why
 * @RVIOMMU_CHANGE_OUT: as done, and the IOMMU went out of service meanwhile: nothing is
 *                      translated any more
 */
enum rviommu_outcome {
	RVIOMMU_CHANGE_DONE,
	RVIOMMU_CHANGE_REFUSED,
	RVIOMMU_CHANGE_OUT,
};

/**
 * struct rviommu_change - requests of a device get another domain
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without one
 * @new: what they shall use; NULL or the blocking domain: nothing
 * @must: it must not fail for want of memory, where something valid is replaced
 * @keep_shared: a context that another device uses stays as it is
 * @from: what they use, by the device's record; NULL: nothing
 * @to: what they shall use: @from, if that is @new already; what the device has for being
 *      blocked; or one that is new. NULL: nothing, of a PASID.
 * @kind: which contexts; chosen by prepare
 * @process: process contexts on their way; of RVIOMMU_CHANGE_EXPAND PASID 0 is the first
 * @nr_process: entries of @process
 * @nr_devices: device contexts on their way: so many of rviommu_endpoint.updates
 * @entered: the space of @to leads to @to
 * @published: the new contexts are in force: it can only go on
 * @error: why it was refused: -ENOMEM, or what prepare of a directory returns. After publish it
 *         is -EIO where the outcome is %RVIOMMU_CHANGE_OUT, or 0.
 *
 * On the stack of a writer, who holds the device's lock; fills in @ep to @keep_shared, and the
 * rest is zero. Both links of an attachment are made and cut by the transaction itself, so they
 * say what the contexts say.
 */
struct rviommu_change {
	struct rviommu_endpoint *ep;
	ioasid_t pasid;
	struct iommu_domain *new;
	bool must;
	bool keep_shared;
	struct rviommu_attachment *from;
	struct rviommu_attachment *to;
	enum rviommu_change_kind kind;
	struct rviommu_dir_update process[2];
	unsigned int nr_process;
	unsigned int nr_devices;
	bool entered;
	bool published;
	int error;
};

enum rviommu_outcome rviommu_change(struct rviommu_change *c);
enum rviommu_outcome rviommu_change_contexts(struct rviommu_endpoint *ep);

#endif /* RVIOMMU_CHANGE_H */
