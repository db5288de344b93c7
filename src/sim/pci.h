/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices behind an instance: PCI functions, with their host bridge. */
#ifndef RVIOMMU_SIM_PCI_H
#define RVIOMMU_SIM_PCI_H

#include <linux/errno.h>

struct rviommu_sim;

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

#endif /* RVIOMMU_SIM_PCI_H */
