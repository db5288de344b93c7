/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a mutation run leaves out, or makes less, on the way to the hardware: filters that let
 * everything through without CONFIG_RVIOMMU_DEBUG.
 */
#ifndef RVIOMMU_FILTER_H
#define RVIOMMU_FILTER_H

#include "command.h"
#include "mutate.h"

struct rviommu;
struct rviommu_inval;
struct rviommu_page_message;
struct rviommu_space;

/**
 * enum rviommu_why - why commands are issued
 * @RVIOMMU_WHY_UNMAP: entries were cleared
 * @RVIOMMU_WHY_LINK: a link was cleared, before a leaf takes its place
 * @RVIOMMU_WHY_FLUSH: entries were cleared, some time ago
 * @RVIOMMU_WHY_ATTACH: device contexts have changed
 * @RVIOMMU_WHY_PROCESS: a process context has changed, in a directory that stays
 * @RVIOMMU_WHY_ENABLE: a device may use ATS soon
 * @RVIOMMU_WHY_START: whoever was here before, or a time without power, has left something
 */
enum rviommu_why {
	RVIOMMU_WHY_UNMAP,
	RVIOMMU_WHY_LINK,
	RVIOMMU_WHY_FLUSH,
	RVIOMMU_WHY_ATTACH,
	RVIOMMU_WHY_PROCESS,
	RVIOMMU_WHY_ENABLE,
	RVIOMMU_WHY_START,
};

#ifdef CONFIG_RVIOMMU_DEBUG
bool rviommu_space_mutes(const struct rviommu_space *space, enum rviommu_mutation what);
unsigned int rviommu_filter(const struct rviommu *iommu, enum rviommu_why why,
			    struct rviommu_command *cmds, unsigned int nr);
unsigned int rviommu_filter_links(const struct rviommu *iommu, enum rviommu_why why, u32 did,
				  struct rviommu_command *cmds, unsigned int nr);
struct rviommu_inval rviommu_filter_inval(const struct rviommu *iommu,
					  struct rviommu_inval inval);
u32 rviommu_filter_awaited(const struct rviommu *iommu, enum rviommu_why why, u32 fence);
struct rviommu_page_message rviommu_filter_page_message(const struct rviommu *iommu,
							struct rviommu_page_message message);
#else
static inline bool rviommu_space_mutes(const struct rviommu_space *space,
				       enum rviommu_mutation what)
{
	return false;
}

static inline unsigned int rviommu_filter(const struct rviommu *iommu, enum rviommu_why why,
					  struct rviommu_command *cmds, unsigned int nr)
{
	return nr;
}

static inline unsigned int rviommu_filter_links(const struct rviommu *iommu, enum rviommu_why why,
						u32 did, struct rviommu_command *cmds,
						unsigned int nr)
{
	return nr;
}

/* Macros: the types need not be known here. */
#define rviommu_filter_inval(iommu, inval)	((void)(iommu), (inval))
#define rviommu_filter_page_message(iommu, message)	((void)(iommu), (message))

static inline u32 rviommu_filter_awaited(const struct rviommu *iommu, enum rviommu_why why,
					 u32 fence)
{
	return fence;
}
#endif

/* The command queue knows no IOMMU, only what its mutation run leaves out, or NULL. */
static inline bool rviommu_filters(const enum rviommu_mutation *mutate, enum rviommu_mutation what)
{
	return IS_ENABLED(CONFIG_RVIOMMU_DEBUG) && mutate && READ_ONCE(*mutate) == what;
}

/* A fence on its way into the queue: as it is, given as it should be */
static inline struct rviommu_command rviommu_filter_fence(const enum rviommu_mutation *mutate,
							  struct rviommu_command cmd)
{
	if (rviommu_filters(mutate, RVIOMMU_MUTATE_ACCESSES))
		cmd.dword[0] &= ~cpu_to_le64(RVIOMMU_CMD_IOFENCE_PR | RVIOMMU_CMD_IOFENCE_PW);
	return cmd;
}

/* What comes in the place of a request that was not answered, likewise */
static inline struct rviommu_command rviommu_filter_quarantine(const enum rviommu_mutation *mutate,
							       struct rviommu_command cmd)
{
	return rviommu_filters(mutate, RVIOMMU_MUTATE_QUARANTINE) ? rviommu_cmd_barrier() : cmd;
}

/* Whether a page request is kept, given whether it should be */
static inline bool rviommu_filter_kept(const enum rviommu_mutation *mutate, bool kept)
{
	return kept || rviommu_filters(mutate, RVIOMMU_MUTATE_PRI_KEPT);
}

#endif /* RVIOMMU_FILTER_H */
