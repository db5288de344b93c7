/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual functions: which routing IDs they have, and the capability that switches them on. */
#ifndef RVIOMMU_SIM_SRIOV_H
#define RVIOMMU_SIM_SRIOV_H

#include <linux/types.h>

struct rviommu_sim_config;

/* Bus numbers that one bridge may use, and what a routing ID is there, counted from the first */
#define SIM_SRIOV_BUSES		8
#define SIM_SRIOV_IDS		(SIM_SRIOV_BUSES << 8)

const char *sim_sriov_check(const struct rviommu_sim_config *config);
unsigned int sim_sriov_id(const struct rviommu_sim_config *config, unsigned int function,
			  unsigned int index);
bool sim_sriov_find(const struct rviommu_sim_config *config, unsigned int id,
		    unsigned int *function, unsigned int *index);
unsigned int sim_sriov_buses(const struct rviommu_sim_config *config);

void sim_sriov_layout(const struct rviommu_sim_config *config, u8 *value);
void sim_sriov_write(u8 *cap, unsigned int where, unsigned int size, u32 value);
unsigned int sim_sriov_enabled(const u8 *cap);

#endif /* RVIOMMU_SIM_SRIOV_H */
