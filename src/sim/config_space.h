/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration space of a PCI function that is not there, byte for byte: little
 * endian (PCI Express Base Specification, "Configuration Space").
 */
#ifndef RVIOMMU_SIM_CONFIG_SPACE_H
#define RVIOMMU_SIM_CONFIG_SPACE_H

#include <linux/types.h>

/**
 * rviommu_cfg_get() - a field of it
 * @config: its bytes; the caller serializes
 * @where: offset, bytes
 * @size: bytes, at most 4
 *
 * Return: its value.
 */
static inline u32 rviommu_cfg_get(const u8 *config, unsigned int where, unsigned int size)
{
	u32 value = 0;

	while (size--)
		value = value << 8 | config[where + size];
	return value;
}

/**
 * rviommu_cfg_put() - set a field of it
 * @config: its bytes; the caller serializes
 * @where: offset, bytes
 * @size: bytes, at most 4
 * @value: what it becomes
 */
static inline void rviommu_cfg_put(u8 *config, unsigned int where, unsigned int size,
				   u32 value)
{
	for (; size--; value >>= 8)
		config[where++] = value;
}

#endif
