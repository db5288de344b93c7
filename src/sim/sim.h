/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rviommu_sim.ko: what its files share.
 *
 *   config.c    the data model of an instance; no device
 *   instance.c  model, registers, interrupts, platform device of an instance
 *   engine.c    DMA engine of a device, whatever its bus
 *   atc.c       address translation cache of a device
 *   endpoint.c  devices behind it: platform devices
 *   pci.c       and PCI functions, with their host bridge
 *   exerciser.c a driver for them, with commands for user space
 *   configfs.c  user space's way to instances
 *   main.c      module parameters and the default instance
 */
#ifndef RVIOMMU_SIM_INTERNAL_H
#define RVIOMMU_SIM_INTERNAL_H

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/platform_device.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

#include <rviommu/bus.h>
#include <rviommu/sim.h>

#include "atc.h"

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
 * @atc_late: one of them put something off; READ_ONCE and WRITE_ONCE
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
	bool atc_late;
	struct dentry *debugfs;
	void (*hook)(void *arg);
	void *hook_arg;
};

struct sim_pci;

/* What software has enabled in a device; all of it where there is no such switch */
#define SIM_ENGINE_MASTER	BIT(0)
#define SIM_ENGINE_PASID	BIT(1)
#define SIM_ENGINE_EXEC		BIT(2)
#define SIM_ENGINE_PRIV		BIT(3)
#define SIM_ENGINE_ALL		(BIT(4) - 1)

/**
 * struct sim_engine - the DMA engine of one device; part of what describes the device
 * @node: in the table of all engines, under its lock
 * @sim: the instance
 * @dev: the device; a name only, never followed
 * @id: device_id
 * @gone: the device is being removed: jobs shall end
 * @users: jobs under way, and one until sim_engine_del()
 * @idle: of which there is none left
 * @can_reset: the device can be reset while it works; constant since before sim_engine_add()
 * @moving: if @can_reset, held for reading while bytes move, for writing by who waits for that
 * @enabled: SIM_ENGINE_*; READ_ONCE and WRITE_ONCE
 * @in_flight: a test's; READ_ONCE and WRITE_ONCE
 * @resets: counts them: a job ends when it changes; likewise
 * @atc: the device's ATC. Belongs to the device, not to its engine: sim_atc_add() before,
 *       sim_atc_del() after the IOMMU's driver had to do with the device.
 *
 * Everything but @gone, @users and what follows @idle is constant between sim_engine_add() and
 * sim_engine_del().
 */
struct sim_engine {
	struct hlist_node node;
	struct rviommu_sim *sim;
	struct device *dev;
	u32 id;
	bool gone;
	refcount_t users;
	struct completion idle;
	bool can_reset;
	struct rw_semaphore moving;
	unsigned long enabled;
	void (*in_flight)(struct device *dev);
	unsigned int resets;
	struct sim_atc atc;
};

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

extern struct rw_semaphore sim_registering;

void sim_engine_add(struct sim_engine *engine, struct rviommu_sim *sim, struct device *dev,
		    u32 id);
void sim_engine_del(struct sim_engine *engine);
struct sim_engine *sim_engine_get(struct device *dev);
struct sim_engine *sim_engine_find(struct rviommu_sim *sim, u32 id);
void sim_engine_put(struct sim_engine *engine);
int sim_engine_run(struct sim_engine *engine, struct rviommu_sim_dma *dma);

int sim_name_iommu(struct device *dev, struct fwnode_handle *iommu, u32 id);
void sim_forget_iommu(struct device *dev);
void sim_put_device(struct platform_device *pdev);
struct sim_endpoint *sim_endpoint_add(struct rviommu_sim *sim, unsigned int index);
void sim_endpoint_del(struct sim_endpoint *ep);

#ifdef CONFIG_RVIOMMU_SIM_PCI
int sim_pci_register(void);
void sim_pci_unregister(void);
int sim_pci_create(struct rviommu_sim *sim);
void sim_pci_destroy(struct rviommu_sim *sim);
void sim_pci_debugfs(struct rviommu_sim *sim);
int sim_pci_command(struct rviommu_sim *sim, char *text);
#else
static inline int sim_pci_register(void)
{
	return 0;
}

static inline void sim_pci_unregister(void)
{
}

static inline int sim_pci_create(struct rviommu_sim *sim)
{
	return 0;
}

static inline void sim_pci_destroy(struct rviommu_sim *sim)
{
}

static inline void sim_pci_debugfs(struct rviommu_sim *sim)
{
}

static inline int sim_pci_command(struct rviommu_sim *sim, char *text)
{
	return -ENOENT;
}
#endif

unsigned int sim_words(char *text, const char **word, unsigned int max);
int sim_number(const char *who, const char *what, const char *text, u64 min, u64 max, u64 *value);

void sim_debugfs_register(void);
void sim_debugfs_unregister(void);
void sim_debugfs_add(struct rviommu_sim *sim);

int sim_exerciser_register(void);
void sim_exerciser_unregister(void);

int sim_configfs_register(void);
void sim_configfs_unregister(void);

#endif /* RVIOMMU_SIM_INTERNAL_H */
