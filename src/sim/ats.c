// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ATS of a device behind a simulated IOMMU, and its page requests, found by the device: for
 * tests, and for drivers of devices that have no registers for it.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/pci_regs.h>

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

/* ----- Page requests ----- */

/**
 * rviommu_sim_pri_capacity() - page requests that an endpoint can have outstanding
 * @dev: the endpoint
 *
 * Return: 1 to 64; 0: it has no page request interface, or is none of ours.
 */
unsigned int rviommu_sim_pri_capacity(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);
	unsigned int capacity = 0;

	if (!engine)
		return 0;
	if (engine->sim->config.ats && engine->sim->config.pri)
		capacity = engine->sim->config.pri_capacity;
	sim_engine_put(engine);
	return capacity;
}
EXPORT_SYMBOL_GPL(rviommu_sim_pri_capacity);

/**
 * rviommu_sim_pri_status() - status of an endpoint's page request interface
 * @dev: the endpoint
 *
 * Return: as the Page Request Status register of a PCI function; PCI_PRI_STATUS_STOPPED if
 * it is gone or none of ours.
 */
u16 rviommu_sim_pri_status(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);
	u16 status;

	if (!engine)
		return PCI_PRI_STATUS_STOPPED;
	status = sim_pri_status(&engine->pri);
	sim_engine_put(engine);
	return status;
}
EXPORT_SYMBOL_GPL(rviommu_sim_pri_status);

/**
 * rviommu_sim_enable_pri() - let an endpoint that has no registers send page requests
 * @dev: a platform endpoint
 * @requests: as many as it may have outstanding
 *
 * It sends them while its ATS is on. This works where rviommu_sim_pri_capacity() is 0, too,
 * for tests that do what the driver does not. Does not sleep.
 *
 * Return: 0; -EBUSY: it is enabled, or has not stopped yet; -ENODEV: it is gone or none of
 * ours.
 */
int rviommu_sim_enable_pri(struct device *dev, unsigned int requests)
{
	struct sim_engine *engine = sim_engine_get(dev);
	int ret = -EBUSY;

	if (!engine)
		return -ENODEV;
	if (sim_pri_status(&engine->pri) & PCI_PRI_STATUS_STOPPED) {
		sim_pri_allocate(&engine->pri, requests);
		sim_pri_enable(&engine->pri, true);
		ret = 0;
	}
	sim_engine_put(engine);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_enable_pri);

/**
 * rviommu_sim_disable_pri() - let such an endpoint send no more of them
 * @dev: a platform endpoint
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_disable_pri(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_pri_enable(&engine->pri, false);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_disable_pri);

/**
 * rviommu_sim_reset_pri() - let such an endpoint forget what it has asked for
 * @dev: a platform endpoint; while its page requests are enabled nothing happens
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_reset_pri(struct device *dev)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_pri_reset(&engine->pri);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_reset_pri);

/**
 * rviommu_sim_set_pri() - choose how badly the page request interface of an endpoint behaves
 * @dev: the endpoint
 * @switches: RVIOMMU_SIM_PRI_* that are on from now on
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_set_pri(struct device *dev, u32 switches)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_pri_set_switches(&engine->pri, switches);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_set_pri);

/**
 * rviommu_sim_pri_stats() - what the page request interface of an endpoint has seen
 * @dev: the endpoint
 * @stats: filled in
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_pri_stats(struct device *dev, struct rviommu_sim_pri_stats *stats)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	sim_pri_get_stats(&engine->pri, stats);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_pri_stats);

/**
 * rviommu_sim_stop_pasid() - let an endpoint stop using a PASID
 * @dev: the endpoint
 * @pasid: which
 *
 * What a device's own driver does before it gives a PASID away, in whatever way the device has
 * for it: its DMA for the PASID ends with -ECANCELED, and no page request of this use follows.
 * With rviommu_sim_config.stop_markers a Stop Marker says so to the IOMMU, and responses to
 * what was asked for come when they come; without, all of them have. DMA that begins later is
 * of another use. May sleep, for rviommu_sim_config.pri_timeout at most.
 *
 * Return: 0; -ETIMEDOUT: not all responses came; -ENODEV.
 */
int rviommu_sim_stop_pasid(struct device *dev, u32 pasid)
{
	struct sim_engine *engine = sim_engine_get(dev);
	int ret;

	if (!engine)
		return -ENODEV;
	ret = sim_pri_stop(&engine->pri, pasid);
	sim_engine_put(engine);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_stop_pasid);

/**
 * rviommu_sim_page_request() - let an endpoint send any Page Request message
 * @dev: the endpoint, which does not know of it afterwards
 * @pr: the message; its device_id is filled in
 *
 * What a device does that lies. A response to it is to nothing, or to something else.
 *
 * Return: 0 or -ENODEV.
 */
int rviommu_sim_page_request(struct device *dev, struct rviommu_model_page_request *pr)
{
	struct sim_engine *engine = sim_engine_get(dev);

	if (!engine)
		return -ENODEV;
	pr->device_id = engine->id;
	sim_pri_message(&engine->pri, pr);
	sim_engine_put(engine);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_page_request);
