/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices behind an instance: platform devices. */
#ifndef RVIOMMU_SIM_ENDPOINT_H
#define RVIOMMU_SIM_ENDPOINT_H

#include "engine.h"

struct fwnode_handle;
struct platform_device;
struct rviommu_sim;

/* The driver that an endpoint gets with struct rviommu_sim_config.exerciser: exerciser.c */
#define SIM_EXERCISER	"rviommu-sim-exerciser"

/**
 * struct sim_endpoint - a platform device behind an instance
 * @engine: its DMA engine
 * @pdev: the device
 * @fwnode: its properties
 */
struct sim_endpoint {
	struct sim_engine engine;
	struct platform_device *pdev;
	struct fwnode_handle *fwnode;
};

struct sim_endpoint *sim_endpoint_add(struct rviommu_sim *sim, unsigned int index);
void sim_endpoint_del(struct sim_endpoint *ep);

#endif /* RVIOMMU_SIM_ENDPOINT_H */
