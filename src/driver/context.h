/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts: what a device context or a process context says, and what hardware has to forget
 * when it changes.
 */
#ifndef RVIOMMU_CONTEXT_H
#define RVIOMMU_CONTEXT_H

#include <linux/iommu.h>

#include <rviommu/formats.h>

#include "command.h"
#include "directory.h"

struct rviommu;
struct rviommu_attachment;
struct rviommu_endpoint;
struct rviommu_space;

struct rviommu_dc rviommu_make_dc(const struct rviommu_endpoint *ep,
				  const struct rviommu_attachment *rid, u64 pdtp);
struct rviommu_pc rviommu_make_pc(const struct rviommu_attachment *a);

/* commands that rviommu_context_commands() writes at most */
#define RVIOMMU_CONTEXT_COMMANDS	3

bool rviommu_ddt_command(const struct rviommu *iommu, const struct rviommu_dir_update *update,
			 struct rviommu_command *cmd);
bool rviommu_pdt_command(const struct rviommu *iommu, const struct rviommu_dir_update *update,
			 u32 did, struct rviommu_command *cmd);
unsigned int rviommu_context_commands(const struct rviommu *iommu,
				      const struct rviommu_dir_update *update,
				      struct rviommu_command *cmds);

/* IDs whose contexts are invalidated one by one; above, all of the directory is. */
#define RVIOMMU_DIDS_ONE_BY_ONE	8
/* Commands for changed directories that are collected before they have to go out */
#define RVIOMMU_OWED_DIRECTORY	(RVIOMMU_DIDS_ONE_BY_ONE + 1)
/* and for the translations behind them */
#define RVIOMMU_OWED_SPACES	(2 * RVIOMMU_OWED_DIRECTORY)

/**
 * struct rviommu_owed - commands on their way to the IOMMU, each of them once
 * @ep: the device whose contexts have changed
 * @process: a process context has, in a directory that stays
 * @directory: IODIR commands
 * @spaces: IOTINVAL commands
 * @nr_directory: entries of @directory
 * @nr_spaces: entries of @spaces
 *
 * The IDs of a device mostly leave the same domain: what is owed for all of them
 * is said once, and fits into one batch.
 *
 * Between the directory and the translations comes a barrier, for commands are executed
 * in any order (spec "Command-Queue (CQ)"; only IOFENCE.C orders them). DMA that
 * still finds the old context after its translations were invalidated brings them
 * back, and the domain, which this IOMMU is no target of any more, leaves them there
 * for good.
 *
 * On the stack of a writer who holds ddt.lock; zeroed but for @ep and @process.
 */
struct rviommu_owed {
	struct rviommu_endpoint *ep;
	bool process;
	struct rviommu_command directory[RVIOMMU_OWED_DIRECTORY];
	struct rviommu_command spaces[RVIOMMU_OWED_SPACES];
	unsigned int nr_directory;
	unsigned int nr_spaces;
};

void rviommu_owe_space(struct rviommu_owed *owed, const struct rviommu_space *space);
void rviommu_owe_devices(struct rviommu_owed *owed, const struct rviommu_dir_update *updates,
			 unsigned int nr, const struct rviommu_space *left);
void rviommu_owe_process(struct rviommu_owed *owed, const struct rviommu_dir_update *update,
			 const struct rviommu_space *left);
int rviommu_owed_settle(struct rviommu_owed *owed, ioasid_t pasid);

#endif /* RVIOMMU_CONTEXT_H */
