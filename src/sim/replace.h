/* SPDX-License-Identifier: GPL-2.0-only */
/* Replacement of a domain under DMA, a command of the exerciser. */
#ifndef RVIOMMU_SIM_REPLACE_H
#define RVIOMMU_SIM_REPLACE_H

#include <linux/types.h>

struct exerciser;

/**
 * enum ex_replace_how - what is replaced while a PASID is in use
 * @EX_REPLACE: its domain, by the core, which newer ones can
 * @EX_REPLACE_DETACH: its domain: one is detached and another attached, which all can; in
 *                     between its DMA is refused
 * @EX_REPLACE_KEEP: the domain of requests without PASID, in the same process directory
 */
enum ex_replace_how { EX_REPLACE, EX_REPLACE_DETACH, EX_REPLACE_KEEP };

int sim_ex_replace(struct exerciser *ex, unsigned int times, unsigned int threads, u32 pasid,
		   enum ex_replace_how how);

#endif /* RVIOMMU_SIM_REPLACE_H */
