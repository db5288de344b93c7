/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver of devices that user space commands. */
#ifndef RVIOMMU_SIM_EXERCISER_H
#define RVIOMMU_SIM_EXERCISER_H

int sim_exerciser_register(void);
void sim_exerciser_unregister(void);

#endif /* RVIOMMU_SIM_EXERCISER_H */
