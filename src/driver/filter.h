/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where commands are issued, a mutation run leaves some of them out: filters that let
 * everything through without CONFIG_RVIOMMU_DEBUG.
 */
#ifndef RVIOMMU_FILTER_H
#define RVIOMMU_FILTER_H

#include "cmdq.h"
#include "command.h"
#include "mutate.h"

struct rviommu;

#ifdef CONFIG_RVIOMMU_DEBUG
unsigned int rviommu_filter_attach(const struct rviommu *iommu, bool process, u32 did,
				   struct rviommu_command *cmds, unsigned int nr);
bool rviommu_filter_wait(const struct rviommu *iommu, enum rviommu_mutation what);
#else
static inline unsigned int rviommu_filter_attach(const struct rviommu *iommu, bool process,
						 u32 did, struct rviommu_command *cmds,
						 unsigned int nr)
{
	return nr;
}

static inline bool rviommu_filter_wait(const struct rviommu *iommu, enum rviommu_mutation what)
{
	return true;
}
#endif

#endif /* RVIOMMU_FILTER_H */
