/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The translation cache of a device, as whoever invalidates sees it.
 */
#ifndef RVIOMMU_ATC_H
#define RVIOMMU_ATC_H

#include <linux/iommu.h>
#include <linux/types.h>

#include "command.h"

struct rviommu_endpoint;

/**
 * enum rviommu_ats_power - can a device be asked to forget? The later, the less.
 * @RVIOMMU_ATS_AWAKE: it can
 * @RVIOMMU_ATS_ASLEEP: not before it wakes up; its configuration can be written
 * @RVIOMMU_ATS_OFF: it has no power, or is not there any more: it has nothing to forget
 *
 * In this order: the larger one is what a virtual function has of its own and of the physical one.
 */
enum rviommu_ats_power {
	RVIOMMU_ATS_AWAKE,
	RVIOMMU_ATS_ASLEEP,
	RVIOMMU_ATS_OFF,
};

enum rviommu_ats_power rviommu_ats_power(const struct rviommu_endpoint *ep);
bool rviommu_ats_close(const struct rviommu_endpoint *ep);
bool rviommu_ats_away(const struct rviommu_endpoint *ep);
bool rviommu_ats_asks(const struct rviommu_endpoint *ep);
/* commands that rviommu_ats_commands() writes */
#define RVIOMMU_ATS_COMMANDS	2
void rviommu_ats_commands(const struct rviommu_endpoint *ep, ioasid_t pasid,
			  struct rviommu_command *cmds);

#endif /* RVIOMMU_ATC_H */
