// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mutation run leaves out of the commands that are issued (mutate.h). Those who issue
 * them know nothing of it.
 */
#include <linux/bitfield.h>
#include <kunit/visibility.h>

#include "filter.h"
#include "rviommu.h"

static bool rviommu_is_iotinval(struct rviommu_command cmd)
{
	return FIELD_GET(RVIOMMU_CMD_OPCODE, le64_to_cpu(cmd.dword[0])) ==
	       RVIOMMU_CMD_OPCODE_IOTINVAL;
}

static bool rviommu_drops_iotinval(const struct rviommu *iommu, struct rviommu_command cmd)
{
	u64 dword0 = le64_to_cpu(cmd.dword[0]);

	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_ATTACH_IOTINVAL))
		return true;
	if (!(dword0 & RVIOMMU_CMD_IOTINVAL_GV))
		return false;
	return rviommu_mutated(iommu, FIELD_GET(RVIOMMU_CMD_FUNC3, dword0) ==
			       RVIOMMU_CMD_IOTINVAL_VMA ? RVIOMMU_MUTATE_GUEST_VMA :
							  RVIOMMU_MUTATE_GUEST_GVMA);
}

/* Is @cmd left out, with @next behind it? */
static bool rviommu_drops(const struct rviommu *iommu, bool process, struct rviommu_command cmd,
			  const struct rviommu_command *next)
{
	if (rviommu_cmd_is_iodir(cmd))
		return rviommu_mutated(iommu, process ? RVIOMMU_MUTATE_INVAL_PDT :
							RVIOMMU_MUTATE_INVAL_DDT);
	if (rviommu_is_iotinval(cmd))
		return rviommu_drops_iotinval(iommu, cmd);
	if (rviommu_cmd_is_ats_inval(cmd))
		return rviommu_mutated(iommu, RVIOMMU_MUTATE_ATTACH_ATS_INVAL);
	if (rviommu_cmd_is_iofence(cmd))
		return rviommu_mutated(iommu, next && rviommu_cmd_is_ats_inval(*next) ?
					      RVIOMMU_MUTATE_ATS_ORDER :
					      RVIOMMU_MUTATE_INVAL_ORDER);
	return false;
}

/**
 * rviommu_filter_attach() - of what is owed when something was attached or detached
 * @iommu: the IOMMU
 * @process: a process context has changed, in a directory that stays
 * @did: a device_id of the device
 * @cmds: the commands; what is left out is taken out of them
 * @nr: number of @cmds
 *
 * Return: how many are left.
 */
unsigned int rviommu_filter_attach(const struct rviommu *iommu, bool process, u32 did,
				   struct rviommu_command *cmds, unsigned int nr)
{
	const struct rviommu_command links = rviommu_cmd_inval_ddt_all();
	unsigned int i, left = 0;

	for (i = 0; i < nr; i++) {
		if (rviommu_drops(iommu, process, cmds[i], i + 1 < nr ? &cmds[i + 1] : NULL))
			continue;
		cmds[left] = cmds[i];
		if (!process && rviommu_cmd_equal(cmds[left], links) &&
		    rviommu_mutated(iommu, RVIOMMU_MUTATE_DDT_LINKS))
			cmds[left] = rviommu_cmd_inval_ddt(did);
		left++;
	}
	return left;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_filter_attach);

/**
 * rviommu_filter_wait() - is a fence waited for?
 * @iommu: the IOMMU
 * @what: the mutation that leaves it out
 *
 * Return: true if it is.
 */
bool rviommu_filter_wait(const struct rviommu *iommu, enum rviommu_mutation what)
{
	return !rviommu_mutated(iommu, what);
}
