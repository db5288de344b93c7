/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Groups that have their response at once.
 */
#ifndef RVIOMMU_KUNIT_PRGTEST_H
#define RVIOMMU_KUNIT_PRGTEST_H

#include <linux/limits.h>

#include "../src/driver/prg.h"

/* As rviommu_prgs_answer(); the response is queued when this returns. */
static inline bool prgtest_answer(struct rviommu_prgs *prgs, u64 cookie)
{
	struct rviommu_prg_answer answer;

	if (!rviommu_prgs_answer(prgs, cookie, &answer))
		return false;
	rviommu_prgs_answered(prgs, &answer);
	return true;
}

/* As rviommu_prgs_take(); the response is queued when this returns. */
static inline bool prgtest_take(struct rviommu_prgs *prgs, u32 pasid,
				struct rviommu_page_message *which)
{
	struct rviommu_prg_answer answer;

	if (!rviommu_prgs_take(prgs, pasid, U64_MAX, &answer))
		return false;
	rviommu_prgs_answered(prgs, &answer);
	*which = answer.message;
	return true;
}

#endif /* RVIOMMU_KUNIT_PRGTEST_H */
