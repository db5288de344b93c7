// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual functions of a PCI function (PCI Express Base Specification, "Single Root I/O
 * Virtualization and Sharing"): which routing IDs they have, and the capability of the physical
 * function that switches them on. What they are is in pci.c.
 *
 * Routing IDs here are counted from the first one of the bridge.
 */
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/pci_regs.h>

#include <rviommu/sim.h>
#include <uapi/linux/rviommu_sim.h>

#include "config_space.h"
#include "sriov.h"

/* What a physical function has to support: 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB */
#define SIM_SRIOV_PAGES		0x553

/* ----- Routing IDs ----- */

/**
 * sim_sriov_id() - routing ID of a virtual function
 * @config: of the instance
 * @function: the physical function
 * @index: which of its virtual functions, from 0
 *
 * Return: the ID.
 */
unsigned int sim_sriov_id(const struct rviommu_sim_config *config, unsigned int function,
			  unsigned int index)
{
	return (function << 3) + config->vf_offset + index * config->vf_stride;
}

/**
 * sim_sriov_find() - the virtual function that has a routing ID, if there can be one
 * @config: of the instance
 * @id: the routing ID
 * @function: its physical function
 * @index: which it is of those
 *
 * Return: false if no virtual function has that ID.
 */
bool sim_sriov_find(const struct rviommu_sim_config *config, unsigned int id,
		    unsigned int *function, unsigned int *index)
{
	unsigned int i, behind;

	for (i = 0; i < config->pci_functions; i++) {
		if (!config->vfs || id < sim_sriov_id(config, i, 0))
			continue;
		behind = id - sim_sriov_id(config, i, 0);
		*function = i;
		*index = config->vf_stride ? behind / config->vf_stride : 0;
		if (*index < config->vfs && sim_sriov_id(config, i, *index) == id)
			return true;
	}
	return false;
}

/**
 * sim_sriov_buses() - bus numbers that the functions of a bridge use
 * @config: of the instance; checked
 *
 * Return: how many, from the bridge's own on.
 */
unsigned int sim_sriov_buses(const struct rviommu_sim_config *config)
{
	if (!config->pci_functions || !config->vfs)
		return 1;
	return (sim_sriov_id(config, config->pci_functions - 1, config->vfs - 1) >> 8) + 1;
}

static const char sim_sriov_too_far[] =
	"virtual functions are on at most 8 buses, and on no bus behind the last";

/* Does each function have a routing ID that is nobody else's? */
static const char *sim_sriov_check_ids(const struct rviommu_sim_config *config)
{
	DECLARE_BITMAP(used, SIM_SRIOV_IDS) = {};
	unsigned int i, n, id;

	for (i = 0; i < config->pci_functions; i++)
		__set_bit(i << 3, used);
	for (i = 0; i < config->pci_functions; i++) {
		for (n = 0; n < config->vfs; n++) {
			id = sim_sriov_id(config, i, n);
			if (id >= SIM_SRIOV_IDS || config->pci_bus + (id >> 8) > 0xff)
				return sim_sriov_too_far;
			if (__test_and_set_bit(id, used))
				return "a virtual function has the routing ID of another function";
		}
	}
	return NULL;
}

/**
 * sim_sriov_check() - can there be such virtual functions?
 * @config: what is asked for; pci_functions can be
 *
 * Return: NULL if there can, else a sentence that says why not.
 */
const char *sim_sriov_check(const struct rviommu_sim_config *config)
{
	if (!config->vfs)
		return NULL;
	if (!config->pci_functions)
		return "virtual functions need PCI functions that they belong to";
	if (config->vfs > SIM_SRIOV_IDS)
		return sim_sriov_too_far;
	if (!config->vf_offset || (config->vfs > 1 && !config->vf_stride))
		return "virtual functions come behind their physical one, and behind each other";
	return sim_sriov_check_ids(config);
}

/* ----- The capability ----- */

/**
 * sim_sriov_layout() - the capability as it comes out of reset
 * @config: of the instance
 * @value: its bytes; the header that all extended capabilities have is another's
 *
 * A root-complex integrated endpoint has no ARI, and our functions have no memory.
 */
void sim_sriov_layout(const struct rviommu_sim_config *config, u8 *value)
{
	rviommu_cfg_put(value, PCI_SRIOV_INITIAL_VF, 2, config->vfs);
	rviommu_cfg_put(value, PCI_SRIOV_TOTAL_VF, 2, config->vfs);
	rviommu_cfg_put(value, PCI_SRIOV_VF_OFFSET, 2, config->vf_offset);
	rviommu_cfg_put(value, PCI_SRIOV_VF_STRIDE, 2, config->vf_stride);
	rviommu_cfg_put(value, PCI_SRIOV_VF_DID, 2, RVIOMMU_SIM_PCI_DEVICE);
	rviommu_cfg_put(value, PCI_SRIOV_SUP_PGSIZE, 4, SIM_SRIOV_PAGES);
	rviommu_cfg_put(value, PCI_SRIOV_SYS_PGSIZE, 4, 1);
}

/**
 * sim_sriov_enabled() - virtual functions that there are
 * @cap: the capability
 *
 * Return: how many, the first ones.
 */
unsigned int sim_sriov_enabled(const u8 *cap)
{
	if (!(rviommu_cfg_get(cap, PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_VFE))
		return 0;
	return rviommu_cfg_get(cap, PCI_SRIOV_NUM_VF, 2);
}

/* What software can write of a register; while there are virtual functions, their number stays. */
static u32 sim_sriov_mask(const u8 *cap, unsigned int reg)
{
	bool on = rviommu_cfg_get(cap, PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_VFE;

	switch (reg) {
	case PCI_SRIOV_CTRL:
		return PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE;
	case PCI_SRIOV_NUM_VF:
		return on ? 0 : 0xffff;
	case PCI_SRIOV_SYS_PGSIZE:
		return on ? 0 : ~0U;
	}
	return 0;
}

/* More functions than there are, or a page size that is none of ours: undefined, and no effect. */
static bool sim_sriov_allowed(const u8 *cap, unsigned int reg, u32 value)
{
	switch (reg) {
	case PCI_SRIOV_NUM_VF:
		return (value & 0xffff) <= rviommu_cfg_get(cap, PCI_SRIOV_TOTAL_VF, 2);
	case PCI_SRIOV_SYS_PGSIZE:
		return is_power_of_2(value) && value & SIM_SRIOV_PAGES;
	}
	return true;
}

/**
 * sim_sriov_write() - software writes into the capability
 * @cap: the capability; the caller serializes
 * @where: offset in it; naturally aligned
 * @size: bytes, at most 4
 * @value: what it writes
 */
void sim_sriov_write(u8 *cap, unsigned int where, unsigned int size, u32 value)
{
	const unsigned int reg = where & ~3U, shift = where % 4 * 8;
	const u32 bytes = (size < 4 ? (1U << 8 * size) - 1 : ~0U) << shift;
	const u32 mask = sim_sriov_mask(cap, reg) & bytes;
	u32 new;

	new = (rviommu_cfg_get(cap, reg, 4) & ~mask) | (value << shift & mask);
	if (sim_sriov_allowed(cap, reg, new))
		rviommu_cfg_put(cap, reg, 4, new);
}
