/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One simulated IOMMU: its state. A header here declares what its .c file has, and
 * <rviommu/sim.h> what other modules may use of it all. scripts/layers says which file may
 * use which.
 */
#ifndef RVIOMMU_SIM_INTERNAL_H
#define RVIOMMU_SIM_INTERNAL_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <rviommu/bus.h>
#include <rviommu/sim.h>

#include "failure.h"

struct dentry;
struct irq_domain;
struct platform_device;
struct sim_endpoint;
struct sim_pci;
struct task_struct;

/* Vectors an instance can have: msi_cfg_tbl has 16 entries, four causes use them. */
#define SIM_VECTORS	RVIOMMU_NR_CAUSES

/**
 * struct rviommu_sim - one simulated IOMMU
 * @node: in the list of all instances, under its lock
 * @name: for logs, sysfs and debugfs; unique
 * @config: what it was built from; constant, but for model.switches, which debugfs
 *          writes and reads with WRITE_ONCE and READ_ONCE
 * @model: the hardware. Locks itself.
 * @bus: what the driver gets
 * @irqs: interrupt controller of the instance, one line per vector
 * @level: levels of the wires, bit per vector; set_bit and clear_bit
 * @masked: wires that the driver masked; likewise
 * @pdev: the device that the driver binds to
 * @worker: runs an asynchronous IOMMU
 * @last: time up to which the model was told that it passed, ns; xchg
 * @endpoints: devices behind it; NULL where one was removed. Written by create,
 *             remove and destroy, which their callers serialise.
 * @pci: host bridge and functions, or NULL
 * @atcs: struct sim_atc by device_id; RCU
 * @pris: struct sim_pri by device_id; RCU
 * @atc_late: one of them put something off; READ_ONCE and WRITE_ONCE
 * @failures: what the kernel's fault injection makes of it
 * @debugfs: directory of this instance
 * @hook: rviommu_sim_set_hook(), or NULL; release and acquire
 * @hook_arg: for @hook; written before it
 */
struct rviommu_sim {
	struct list_head node;
	const char *name;
	struct rviommu_sim_config config;
	struct rviommu_model *model;
	struct rviommu_bus bus;
	struct irq_domain *irqs;
	unsigned long level;
	unsigned long masked;
	struct platform_device *pdev;
	struct task_struct *worker;
	atomic64_t last;
	struct sim_endpoint *endpoints[RVIOMMU_SIM_MAX_ENDPOINTS];
	struct sim_pci *pci;
	struct xarray atcs;
	struct xarray pris;
	bool atc_late;
	struct sim_failures failures;
	struct dentry *debugfs;
	void (*hook)(void *arg);
	void *hook_arg;
};

#endif /* RVIOMMU_SIM_INTERNAL_H */
