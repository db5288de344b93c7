/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rviommu_sim.ko: what its files share.
 *
 *   config.c    the data model of an instance; no device
 *   instance.c  model, registers, interrupts, platform device of an instance
 *   endpoint.c  devices behind it and their DMA engines
 *   configfs.c  user space's way to instances
 *   main.c      module parameters and the default instance
 */
#ifndef RVIOMMU_SIM_INTERNAL_H
#define RVIOMMU_SIM_INTERNAL_H

#include <linux/kthread.h>
#include <linux/platform_device.h>
#include <linux/rwsem.h>

#include <rviommu/bus.h>
#include <rviommu/sim.h>

/* Vectors an instance can have: msi_cfg_tbl has 16 entries, four causes use them. */
#define SIM_VECTORS	RVIOMMU_NR_CAUSES

/**
 * struct rviommu_sim - one simulated IOMMU
 * @name: for logs and debugfs
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
 * @debugfs: directory of this instance
 * @hook: rviommu_sim_set_hook(), or NULL; release and acquire
 * @hook_arg: for @hook; written before it
 */
struct rviommu_sim {
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
	struct platform_device *endpoints[RVIOMMU_SIM_MAX_ENDPOINTS];
	struct dentry *debugfs;
	void (*hook)(void *arg);
	void *hook_arg;
};

/**
 * struct sim_endpoint - one device behind an instance (its driver data)
 * @sim: the instance
 * @id: device_id
 * @gone: the device is being removed; under @lock
 * @lock: read: a DMA is under way. Write: removal, which waits for all of them.
 */
struct sim_endpoint {
	struct rviommu_sim *sim;
	u32 id;
	bool gone;
	struct rw_semaphore lock;
};

extern struct dentry *sim_debugfs_root;

struct platform_device *sim_endpoint_add(struct rviommu_sim *sim, unsigned int index);
void sim_endpoint_del(struct platform_device *pdev);

bool sim_memory(u64 addr, size_t size);
void sim_time_passes(struct rviommu_sim *sim);

int sim_configfs_register(void);
void sim_configfs_unregister(void);

#endif /* RVIOMMU_SIM_INTERNAL_H */
