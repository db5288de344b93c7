// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mutation run leaves out, or makes less, on the way to the hardware (mutate.h). Those who
 * issue commands, or publish contexts, know nothing of it.
 */
#include <linux/bitfield.h>
#include <linux/rculist.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "command.h"
#include "endpoint.h"
#include "filter.h"
#include "invalidate.h"
#include "mutate.h"
#include "prg.h"
#include "rviommu.h"
#include "space.h"

enum {
	IOTINVAL_VMA = BIT(0),		/* of a first stage without a guest */
	IOTINVAL_GUEST_VMA = BIT(1),
	IOTINVAL_GVMA = BIT(2),
	IOTINVAL = IOTINVAL_VMA | IOTINVAL_GUEST_VMA | IOTINVAL_GVMA,
	IODIR = BIT(3),
	ATS_INVAL = BIT(4),
	BARRIER_ATS = BIT(5),		/* in front of ATS.INVAL */
	BARRIER = BIT(6),		/* any other */
	ANYTHING = GENMASK(6, 0),
};

#define UNMAP	BIT(RVIOMMU_WHY_UNMAP)
#define LINK	BIT(RVIOMMU_WHY_LINK)
#define FLUSH	BIT(RVIOMMU_WHY_FLUSH)
#define ATTACH	BIT(RVIOMMU_WHY_ATTACH)
#define PROCESS	BIT(RVIOMMU_WHY_PROCESS)
#define ENABLE	BIT(RVIOMMU_WHY_ENABLE)
#define START	BIT(RVIOMMU_WHY_START)

/* Which commands are left out */
static const struct {
	enum rviommu_mutation what;
	u32 why;
	u32 kind;
} rviommu_drops[] = {
	{ RVIOMMU_MUTATE_IOTINVAL, UNMAP | LINK, IOTINVAL },
	{ RVIOMMU_MUTATE_SYNC_WALK, LINK, IOTINVAL },
	{ RVIOMMU_MUTATE_FLUSH_ALL, FLUSH, IOTINVAL },
	{ RVIOMMU_MUTATE_ATS_INVAL, UNMAP | LINK | FLUSH, ATS_INVAL },
	{ RVIOMMU_MUTATE_ATS_ORDER, UNMAP | LINK | FLUSH | ATTACH | PROCESS, BARRIER_ATS },
	{ RVIOMMU_MUTATE_INVAL_DDT, ATTACH, IODIR },
	{ RVIOMMU_MUTATE_INVAL_PDT, PROCESS, IODIR },
	{ RVIOMMU_MUTATE_INVAL_ORDER, ATTACH | PROCESS, BARRIER },
	{ RVIOMMU_MUTATE_ATTACH_IOTINVAL, ATTACH | PROCESS, IOTINVAL },
	{ RVIOMMU_MUTATE_GUEST_VMA, ATTACH | PROCESS, IOTINVAL_GUEST_VMA },
	{ RVIOMMU_MUTATE_GUEST_GVMA, ATTACH | PROCESS, IOTINVAL_GVMA },
	{ RVIOMMU_MUTATE_ATTACH_ATS_INVAL, ATTACH | PROCESS, ATS_INVAL },
	{ RVIOMMU_MUTATE_ATS_ENABLE_RENEW, ENABLE, IOTINVAL },
	{ RVIOMMU_MUTATE_RESUME, START, IOTINVAL | IODIR },
	{ RVIOMMU_MUTATE_ATS_RESUME, START, ATS_INVAL },
};

static u32 rviommu_kind_iotinval(u64 dword0)
{
	if (FIELD_GET(RVIOMMU_CMD_FUNC3, dword0) != RVIOMMU_CMD_IOTINVAL_VMA)
		return IOTINVAL_GVMA;
	return dword0 & RVIOMMU_CMD_IOTINVAL_GV ? IOTINVAL_GUEST_VMA : IOTINVAL_VMA;
}

static u32 rviommu_kind(struct rviommu_command cmd, const struct rviommu_command *next)
{
	u64 dword0 = le64_to_cpu(cmd.dword[0]);

	if (FIELD_GET(RVIOMMU_CMD_OPCODE, dword0) == RVIOMMU_CMD_OPCODE_IOTINVAL)
		return rviommu_kind_iotinval(dword0);
	if (rviommu_cmd_is_iodir(cmd))
		return IODIR;
	if (rviommu_cmd_is_ats_inval(cmd))
		return ATS_INVAL;
	if (rviommu_cmd_is_iofence(cmd))
		return next && rviommu_cmd_is_ats_inval(*next) ? BARRIER_ATS : BARRIER;
	return 0;
}

static bool rviommu_is_dropped(const struct rviommu *iommu, enum rviommu_why why, u32 kind)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rviommu_drops); i++)
		if (rviommu_mutated(iommu, rviommu_drops[i].what) &&
		    rviommu_drops[i].why & BIT(why) && rviommu_drops[i].kind & kind)
			return true;
	return false;
}

/**
 * rviommu_filter() - which commands are issued
 * @iommu: the IOMMU
 * @why: why they are
 * @cmds: the commands; what is left out is taken out of them
 * @nr: number of @cmds
 *
 * Return: how many are left.
 */
unsigned int rviommu_filter(const struct rviommu *iommu, enum rviommu_why why,
			    struct rviommu_command *cmds, unsigned int nr)
{
	unsigned int i, left = 0;

	for (i = 0; i < nr; i++)
		if (!rviommu_is_dropped(iommu, why,
					rviommu_kind(cmds[i], i + 1 < nr ? &cmds[i + 1] : NULL)))
			cmds[left++] = cmds[i];
	return left;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_filter);

/**
 * rviommu_filter_links() - the same, when contexts have changed
 * @iommu: the IOMMU
 * @why: RVIOMMU_WHY_ATTACH or RVIOMMU_WHY_PROCESS
 * @did: a device_id of the device
 * @cmds: the commands; what is left out is taken out of them
 * @nr: number of @cmds
 *
 * Return: how many are left.
 */
unsigned int rviommu_filter_links(const struct rviommu *iommu, enum rviommu_why why, u32 did,
				  struct rviommu_command *cmds, unsigned int nr)
{
	const struct rviommu_command links = rviommu_cmd_inval_ddt_all();
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (why == RVIOMMU_WHY_ATTACH && rviommu_cmd_equal(cmds[i], links) &&
		    rviommu_mutated(iommu, RVIOMMU_MUTATE_DDT_LINKS))
			cmds[i] = rviommu_cmd_inval_ddt(did);
	return rviommu_filter(iommu, why, cmds, nr);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_filter_links);

/**
 * rviommu_filter_inval() - what an IOMMU is told to forget
 * @iommu: the IOMMU
 * @inval: what it should be
 *
 * Return: what it is.
 */
struct rviommu_inval rviommu_filter_inval(const struct rviommu *iommu, struct rviommu_inval inval)
{
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_NONLEAF))
		inval.nonleaf = false;
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_NAPOT_STRIDE))
		inval.stride_lg2 = inval.leaf_lg2;
	return inval;
}

/* Which fences are not waited for */
static const struct {
	enum rviommu_mutation what;
	u32 why;
} rviommu_unawaited[] = {
	{ RVIOMMU_MUTATE_UNMAP_WAIT, UNMAP | LINK | FLUSH },
	{ RVIOMMU_MUTATE_ATTACH_WAIT, ATTACH | PROCESS },
};

/**
 * rviommu_filter_awaited() - which fence is waited for
 * @iommu: the IOMMU
 * @why: why there is one
 * @fence: the one that should be
 *
 * Return: the one that is; one that is done already stands for none.
 */
u32 rviommu_filter_awaited(const struct rviommu *iommu, enum rviommu_why why, u32 fence)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rviommu_unawaited); i++)
		if (rviommu_mutated(iommu, rviommu_unawaited[i].what) &&
		    rviommu_unawaited[i].why & BIT(why))
			return READ_ONCE(iommu->cmdq.completed);
	return fence;
}

/**
 * rviommu_space_mutes() - does a mutation run concern an address space?
 * @space: the space
 * @what: the step
 *
 * Return: true if an IOMMU that it is attached to shall leave @what out.
 */
bool rviommu_space_mutes(const struct rviommu_space *space, enum rviommu_mutation what)
{
	const struct rviommu_attachment *t;
	bool mutes = false;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &space->targets, target)
		mutes |= rviommu_mutated(t->ep->iommu, what);
	rcu_read_unlock();
	return mutes;
}

/**
 * rviommu_filter_page_message() - a page request on its way into its group
 * @iommu: the IOMMU
 * @message: as it should be
 *
 * Return: as it is.
 */
struct rviommu_page_message rviommu_filter_page_message(const struct rviommu *iommu,
							struct rviommu_page_message message)
{
	if (rviommu_mutated(iommu, RVIOMMU_MUTATE_PRI_EARLY))
		message.last = true;
	return message;
}
