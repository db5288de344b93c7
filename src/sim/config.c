// SPDX-License-Identifier: GPL-2.0-only
/* The data model of a simulated IOMMU. */
#include <linux/bitfield.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/time64.h>

#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "atc.h"
#include "pri.h"
#include "sim.h"
#include "sriov.h"

/* Physical addresses of every machine that this runs on fit. */
#define SIM_PAS		56

/**
 * rviommu_sim_config_init() - an IOMMU that can everything, with four endpoints
 * @config: filled in; change what shall be different
 */
void rviommu_sim_config_init(struct rviommu_sim_config *config)
{
	*config = (struct rviommu_sim_config){
		.endpoints = 4,
		.first_id = 0x10,
		.pci_bus = 1,
		.vf_offset = 1,
		.vf_stride = 1,
		.pri = true,
		.pasid_bits = 20,
		.ats_depth = 32,
		.pri_capacity = 32,
		.pri_pages = 4,
		.prg_pasid = true,
		.stop_markers = true,
		.pri_timeout = 10ULL * NSEC_PER_SEC,
	};
	rviommu_model_config_init(&config->model);
	config->model.capabilities &= ~RVIOMMU_CAP_PAS;
	config->model.capabilities |= FIELD_PREP(RVIOMMU_CAP_PAS, SIM_PAS);
	rviommu_model_config_fit(&config->model);
	config->model.vectors = SIM_VECTORS;
}
EXPORT_SYMBOL_GPL(rviommu_sim_config_init);

/**
 * rviommu_sim_config_levels() - let an IOMMU have one depth of directory only
 * @config: to be changed
 * @levels: 1 to 3
 *
 * Return: 0 or -EINVAL.
 */
int rviommu_sim_config_levels(struct rviommu_sim_config *config, unsigned int levels)
{
	if (levels < 1 || levels > 3)
		return -EINVAL;
	config->model.ddtp_modes = BIT(RVIOMMU_DDTP_MODE_1LVL + levels - 1);
	return 0;
}
EXPORT_SYMBOL_GPL(rviommu_sim_config_levels);

static unsigned int sim_id_lg2(const struct rviommu_sim_config *config)
{
	unsigned int leaf = config->model.capabilities & RVIOMMU_CAP_MSI_FLAT ? 6 : 7;

	if (config->model.ddtp_modes & BIT(RVIOMMU_DDTP_MODE_3LVL))
		return 24;
	return config->model.ddtp_modes & BIT(RVIOMMU_DDTP_MODE_2LVL) ? leaf + 9 : leaf;
}

static const char *sim_pri_check(const struct rviommu_sim_config *config)
{
	if (config->pri_capacity < 1 || config->pri_capacity > SIM_PRI_MAX)
		return "a device can have 1 to 64 page requests outstanding";
	if (config->pri_pages < 1 || config->pri_pages > config->pri_capacity)
		return "a group has 1 page request, or as many as a device can have outstanding";
	if (!config->pri_timeout || config->pri_timeout > 3600ULL * NSEC_PER_SEC)
		return "a device waits for pages for some time, and no longer than an hour";
	if (config->pri_switches & ~RVIOMMU_SIM_PRI_SWITCHES)
		return "page request interfaces have no such worst case";
	return NULL;
}

/* The functions' IDs and those of the endpoints are told apart. */
static const char *sim_id_check(const struct rviommu_sim_config *config, u32 id)
{
	id += config->pci_bus << 8;
	if (id >> sim_id_lg2(config))
		return "the PCI functions' routing IDs are wider than the directory";
	if (id >= config->first_id && id - config->first_id < config->endpoints)
		return "endpoints and PCI functions have the same device IDs";
	return NULL;
}

static const char *sim_pci_check(const struct rviommu_sim_config *config)
{
	const char *why;
	unsigned int i, k;

	if (config->pci_functions > RVIOMMU_SIM_MAX_FUNCTIONS)
		return "one PCI bus has 32 slots";
	if (config->pci_functions && !IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI))
		return "this kernel has no PCI ATS and PASID, so there are no PCI functions";
	if ((config->bar_start | config->bar_size) % RVIOMMU_SIM_BAR_SIZE ||
	    config->bar_start + config->bar_size < config->bar_start)
		return "memory of PCI functions begins and ends with a page of 4 KiB";
	if (config->bar_size && config->bar_size / RVIOMMU_SIM_BAR_SIZE < config->pci_functions)
		return "each PCI function has a page of the memory, and there are not so many";
	why = sim_sriov_check(config);
	for (i = 0; i < config->pci_functions && !why; i++) {
		why = sim_id_check(config, i << 3);
		for (k = 0; k < config->vfs && !why; k++)
			why = sim_id_check(config, sim_sriov_id(config, i, k));
	}
	return why;
}

/**
 * rviommu_sim_config_check() - can there be such an IOMMU?
 * @config: what is asked for
 *
 * Return: NULL if there can, else a sentence that says why not.
 */
const char *rviommu_sim_config_check(const struct rviommu_sim_config *config)
{
	unsigned int igs = FIELD_GET(RVIOMMU_CAP_IGS, config->model.capabilities);
	const char *why;

	if (config->endpoints > RVIOMMU_SIM_MAX_ENDPOINTS)
		return "there are too many endpoints";
	if (config->endpoints &&
	    (config->first_id + (u64)config->endpoints - 1) >> sim_id_lg2(config))
		return "the endpoints' device IDs are wider than the directory";
	why = sim_pci_check(config);
	if (why)
		return why;
	if (config->pasid_bits > 20)
		return "PASIDs have at most 20 bits";
	if (config->ats_depth < 1 || config->ats_depth > SIM_ATC_QUEUE)
		return "an ATC can queue 1 to 32 requests";
	why = sim_pri_check(config);
	if (why)
		return why;
	if (config->wired ? igs == RVIOMMU_IGS_MSI : igs == RVIOMMU_IGS_WSI)
		return "capabilities.IGS does not have that kind of interrupt";
	return rviommu_model_config_check(&config->model);
}
EXPORT_SYMBOL_GPL(rviommu_sim_config_check);
