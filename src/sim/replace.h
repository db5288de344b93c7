/* SPDX-License-Identifier: GPL-2.0-only */
/* Replacement of a domain under DMA, a command of the exerciser. */
#ifndef RVIOMMU_SIM_REPLACE_H
#define RVIOMMU_SIM_REPLACE_H

struct exerciser;

int sim_ex_replace(struct exerciser *ex, unsigned int times, unsigned int threads);

#endif /* RVIOMMU_SIM_REPLACE_H */
