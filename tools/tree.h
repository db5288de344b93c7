/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are in debugfs, configfs and tracefs, and what it means that they are not.
 *
 * With RVIOMMU_ROOT in the environment "/sys" is looked for below that directory: for tests.
 */
#ifndef RVIOMMU_TOOLS_TREE_H
#define RVIOMMU_TOOLS_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "say.h"

#define TREE_DRIVER	"/sys/kernel/debug/rviommu"
#define TREE_SIM	"/sys/kernel/debug/rviommu_sim"
#define TREE_CONFIG	"/sys/kernel/config/rviommu_sim"
#define TREE_TRACE	"/sys/kernel/tracing"

/**
 * struct names - a sorted list
 * @name: its entries
 * @nr: how many
 */
struct names {
	char **name;
	size_t nr;
};

/**
 * struct device - a device behind an IOMMU
 * @name: of the device
 * @iommu: of the IOMMU
 * @dir: its directory in debugfs
 * @id: its device_id, or the first one
 */
struct device {
	const char *name;
	char *iommu;
	char *dir;
	unsigned int id;
};

char *tree_path(const char *format, ...) __printf(1, 2);
bool tree_exists(const char *path);
char *tree_read(const char *path);
char *tree_read_if(const char *path);
int tree_write(const char *path, const char *words);
char *tree_ask(const char *path, const char *question, size_t *length);

struct names tree_list(const char *path, const char *with);
struct names tree_files(const char *path, const char *without);
char *tree_join(const struct names *names);
struct names tree_iommus(void);
struct names tree_devices(const char *iommu);
struct names tree_lent(const char *iommu);
struct names tree_instances(void);
struct names tree_made(void);
bool tree_has(const struct names *names, const char *name);

bool tree_has_driver(void);
void tree_need_driver(void);
void tree_need_iommu(const char *name);
struct device tree_device(const char *name);
void tree_need_config(void);
void tree_need_instance(const char *name);
char *tree_sim_of(const struct device *device);
char *tree_trace(void);

#endif /* RVIOMMU_TOOLS_TREE_H */
