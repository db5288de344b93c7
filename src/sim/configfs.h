/* SPDX-License-Identifier: GPL-2.0-only */
/* User space's way to instances. */
#ifndef RVIOMMU_SIM_CONFIGFS_H
#define RVIOMMU_SIM_CONFIGFS_H

int sim_configfs_register(void);
void sim_configfs_unregister(void);

#endif /* RVIOMMU_SIM_CONFIGFS_H */
