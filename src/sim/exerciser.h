/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver of devices that user space commands. */
#ifndef RVIOMMU_SIM_EXERCISER_H
#define RVIOMMU_SIM_EXERCISER_H

struct device;

int sim_exerciser_register(void);
void sim_exerciser_unregister(void);

int sim_exerciser_probe(struct device *dev);
void sim_exerciser_remove(struct device *dev);

#ifdef CONFIG_RVIOMMU_SIM_PCI
int sim_exerciser_pci_register(void);
void sim_exerciser_pci_unregister(void);
#else
static inline int sim_exerciser_pci_register(void)
{
	return 0;
}

static inline void sim_exerciser_pci_unregister(void)
{
}
#endif

#endif /* RVIOMMU_SIM_EXERCISER_H */
