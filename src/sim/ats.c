// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ATS of a device behind a simulated IOMMU, found by the device: for tests, and for
 * drivers of devices that have no registers for it.
 */
#include <linux/errno.h>
#include <linux/export.h>

#include "engine.h"
#include "sim.h"

/**
 * rviommu_sim_ats_depth() - Invalidation Requests that an endpoint can queue
 * @dev: the endpoint
 *
 * Return: 1 to 32; 0: it cannot do ATS, or is none of ours.
 */
unsigned int rviommu_sim_ats_depth(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);
	unsigned int depth;

	if (!engine)
		return 0;
	depth = engine->sim->config.ats ? engine->atc.depth : 0;
	sim_engine_put(engine);
	return depth;
}
EXPORT_SYMBOL_GPL(rviommu_sim_ats_depth);

/**
 * rviommu_sim_set_ats() - the ATS enable bit of an endpoint that has no registers
 * @dev: a platform endpoint
 * @enable: the bit
 *
 * Does not sleep. It works where rviommu_sim_ats_depth() is 0, too, for tests that do
 * what the driver does not.
 *
 * Return: 0 or -ENODEV: it is gone or none of ours.
 */
int rviommu_sim_set_ats(struct device *dev, bool enable)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_atc_enable(&engine->atc, enable);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_set_ats);

/**
 * rviommu_sim_ats_enabled() - does an endpoint use ATS?
 * @dev: the endpoint
 *
 * Return: true if it does.
 */
bool rviommu_sim_ats_enabled(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);
	bool on;

	if (!engine)
		return false;
	on = sim_atc_is_on(&engine->atc);
	sim_engine_put(engine);
	return on;
}
EXPORT_SYMBOL_GPL(rviommu_sim_ats_enabled);

/**
 * rviommu_sim_set_atc() - choose how badly the ATC of an endpoint behaves
 * @dev: the endpoint
 * @switches: RVIOMMU_SIM_ATC_* that are on from now on
 *
 * Requests that were put off are not done earlier because of this.
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_set_atc(struct device *dev, u32 switches)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_atc_set_switches(&engine->atc, switches);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_set_atc);

/**
 * rviommu_sim_atc_stats() - what the ATC of an endpoint has seen
 * @dev: the endpoint
 * @stats: filled in
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_atc_stats(struct device *dev, struct rviommu_sim_atc_stats *stats)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_atc_get_stats(&engine->atc, stats);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_atc_stats);

/**
 * rviommu_sim_list_atc() - look into the ATC of an endpoint
 * @dev: the endpoint
 * @fn: called for each entry, with a spinlock held; the entry counts if it returns
 *      true. May be NULL: all count.
 * @arg: second argument of @fn
 *
 * Return: number of entries that count; 0 if the device is gone.
 */
unsigned int rviommu_sim_list_atc(struct device *dev,
				  bool (*fn)(const struct rviommu_sim_atc_entry *entry, void *arg),
				  void *arg)
{
	struct sim_engine *engine = sim_engine_get(dev);
	unsigned int n;

	if (!engine)
		return 0;
	n = sim_atc_list(&engine->atc, fn, arg);
	sim_engine_put(engine);
	return n;
}
EXPORT_SYMBOL_GPL(rviommu_sim_list_atc);

static bool sim_of_pasid(const struct rviommu_sim_atc_entry *entry, void *arg)
{
	const struct rviommu_sim_atc_entry *want = arg;

	return entry->pv == want->pv && entry->process_id == want->process_id && !entry->global;
}

/**
 * rviommu_sim_count_atc() - how much does an ATC hold for a PASID?
 * @dev: the endpoint
 * @pv: for @pasid; else what was asked for without PASID
 * @pasid: process_id
 *
 * Return: number of entries; global ones are not among them.
 */
unsigned int rviommu_sim_count_atc(struct device *dev, bool pv, u32 pasid)
{
	struct rviommu_sim_atc_entry want = { .pv = pv, .process_id = pv ? pasid : 0 };

	return rviommu_sim_list_atc(dev, sim_of_pasid, &want);
}
EXPORT_SYMBOL_GPL(rviommu_sim_count_atc);
