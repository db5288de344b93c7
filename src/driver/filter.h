/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a mutation run leaves out, or makes less, on the way to the hardware: filters that let
 * everything through without CONFIG_RVIOMMU_DEBUG.
 */
#ifndef RVIOMMU_FILTER_H
#define RVIOMMU_FILTER_H

#include "command.h"
#include "directory.h"
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
struct rviommu_command rviommu_filter_fence(const unsigned long *mutate,
					    struct rviommu_command cmd);
struct rviommu_command rviommu_filter_quarantine(const unsigned long *mutate,
						 struct rviommu_command cmd);
struct rviommu_page_message rviommu_filter_page_message(const struct rviommu *iommu,
							struct rviommu_page_message message);
enum rviommu_publish rviommu_filter_publish(const struct rviommu_ddt *ddt,
					    enum rviommu_publish how);
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

static inline struct rviommu_command rviommu_filter_fence(const unsigned long *mutate,
							  struct rviommu_command cmd)
{
	return cmd;
}

static inline struct rviommu_command rviommu_filter_quarantine(const unsigned long *mutate,
							       struct rviommu_command cmd)
{
	return cmd;
}

static inline enum rviommu_publish rviommu_filter_publish(const struct rviommu_ddt *ddt,
							  enum rviommu_publish how)
{
	return how;
}
#endif

#endif /* RVIOMMU_FILTER_H */
