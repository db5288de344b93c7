/* SPDX-License-Identifier: GPL-2.0-only */
/* The DMA engine of a device, whatever its bus. */
#ifndef RVIOMMU_SIM_ENGINE_H
#define RVIOMMU_SIM_ENGINE_H

#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#include <rviommu/sim.h>

#include "atc.h"
#include "pri.h"

struct device;
struct rviommu_sim;

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
 * @moving: if @can_reset, held for reading while bytes move, for writing by who waits for that;
 *          initialised by who sets that
 * @enabled: SIM_ENGINE_*; READ_ONCE and WRITE_ONCE
 * @in_flight: a test's; READ_ONCE and WRITE_ONCE
 * @resets: counts them: a job ends when it changes; likewise
 * @atc: the device's ATC. Belongs to the device, not to its engine: sim_atc_add() before,
 *       sim_atc_del() after the IOMMU's driver had to do with the device.
 * @pri: its page request interface, likewise; sim_pri_del() before sim_atc_del()
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
	struct sim_pri pri;
};

void sim_engine_add(struct sim_engine *engine, struct rviommu_sim *sim, struct device *dev,
		    u32 id);
void sim_engine_del(struct sim_engine *engine);
struct sim_engine *sim_engine_get(struct device *dev);
struct sim_engine *sim_engine_find(struct rviommu_sim *sim, u32 id);
bool sim_engine_hold(struct sim_engine *engine);
void sim_engine_put(struct sim_engine *engine);
void sim_engine_post(struct sim_engine *engine, u64 address, u32 data);
int sim_engine_run(struct sim_engine *engine, struct rviommu_sim_dma *dma);

#endif /* RVIOMMU_SIM_ENGINE_H */
