// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: which IOMMU can walk one, and how its translations are called.
 */
#include <kunit/visibility.h>

#include "command.h"
#include "quirks.h"
#include "rviommu.h"
#include "space.h"

/**
 * rviommu_space_init() - nothing is attached yet
 * @space: the rest of it is filled in by whoever provides it
 */
void rviommu_space_init(struct rviommu_space *space)
{
	mutex_init(&space->lock);
	INIT_LIST_HEAD(&space->attachments);
	INIT_LIST_HEAD(&space->targets);
	INIT_LIST_HEAD(&space->backs);
}

/**
 * rviommu_space_exit() - nothing is attached any more
 * @space: the space, about to be freed
 */
void rviommu_space_exit(struct rviommu_space *space)
{
	WARN_ON(!list_empty(&space->attachments));
	WARN_ON(!list_empty(&space->targets));
	mutex_destroy(&space->lock);
}

/**
 * rviommu_space_compatible() - can an IOMMU walk an address space?
 * @space: the space
 * @iommu: the IOMMU
 *
 * Return: 0, or -EINVAL: the error by which the core and iommufd know that
 * another domain may do.
 */
int rviommu_space_compatible(const struct rviommu_space *space, const struct rviommu *iommu)
{
	if (space->needs & ~iommu->caps)
		return -EINVAL;
	if (space->svnapot && test_bit(RVIOMMU_QUIRK_NO_SVNAPOT, &iommu->quirks))
		return -EINVAL;
	return space->pas_lg2 > iommu->pas_lg2 ? -EINVAL : 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_space_compatible);

/**
 * rviommu_space_command() - forget an address space
 * @space: the space
 *
 * Return: the command.
 */
struct rviommu_command rviommu_space_command(const struct rviommu_space *space)
{
	return space->second_stage ? rviommu_cmd_iotinval_gvma(space->gscid) :
				     rviommu_cmd_iotinval_vma(space->pscid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_space_command);
