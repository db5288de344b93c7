/* SPDX-License-Identifier: GPL-2.0-only */
/* What devices have in common, whatever their bus. */
#ifndef RVIOMMU_SIM_DEVICE_H
#define RVIOMMU_SIM_DEVICE_H

#include <linux/rwsem.h>
#include <linux/types.h>

struct device;
struct fwnode_handle;
struct platform_device;

extern struct rw_semaphore sim_registering;

int sim_name_iommu(struct device *dev, struct fwnode_handle *iommu, u32 id);
void sim_forget_iommu(struct device *dev);
void sim_put_device(struct platform_device *pdev);

#endif /* RVIOMMU_SIM_DEVICE_H */
