// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which PASIDs a device can have. What is attached to them is in attach.c.
 */
#include <linux/device.h>
#include <linux/log2.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/property.h>
#include <kunit/visibility.h>

#include "directory.h"
#include "endpoint.h"
#include "pasid.h"
#include "rviommu.h"

static const u64 rviommu_pd_caps[] = { RVIOMMU_CAP_PD8, RVIOMMU_CAP_PD17, RVIOMMU_CAP_PD20 };

/**
 * rviommu_pasid_limit() - the PASIDs that an IOMMU can tell apart
 * @iommu: the IOMMU
 *
 * Processes have the first stage; without one there are none.
 *
 * Return: one more than the largest; 0: none.
 */
u32 rviommu_pasid_limit(const struct rviommu *iommu)
{
	u32 limit = 0;
	unsigned int i;

	if (!(iommu->caps & (RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57)))
		return 0;
	for (i = 0; i < ARRAY_SIZE(rviommu_pd_caps); i++)
		if (iommu->caps & rviommu_pd_caps[i])
			limit = BIT(rviommu_pdt_pid_lg2(i + 1));
	return limit;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pasid_limit);

/**
 * rviommu_pasid_levels() - depth of a device's process directory
 * @ep: the device; it has PASIDs
 *
 * Return: levels of the smallest supported directory that all its PASIDs fit in.
 */
u8 rviommu_pasid_levels(const struct rviommu_endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rviommu_pd_caps) - 1; i++)
		if (ep->iommu->caps & rviommu_pd_caps[i] &&
		    ep->max_pasids <= BIT(rviommu_pdt_pid_lg2(i + 1)))
			break;
	return i + 1;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_pasid_levels);

/**
 * rviommu_pasid_init() - find out which PASIDs a device can have
 * @ep: the device, with its IDs
 *
 * The least of what its PCI capability or its firmware node says and of what the
 * IOMMU has. A PCI function sends PASIDs from here on, before ATS is enabled, as
 * PCIe demands; without privilege, which no context permits.
 */
void rviommu_pasid_init(struct rviommu_endpoint *ep)
{
	u32 limit = rviommu_pasid_limit(ep->iommu), bits = 0;
	struct pci_dev *pdev;
	int max;

	if (!limit)
		return;
	if (!dev_is_pci(ep->dev)) {
		device_property_read_u32(ep->dev, "pasid-num-bits", &bits);
		if (bits)
			ep->max_pasids = min(limit, 1U << min(bits, 20U));
		return;
	}
	pdev = to_pci_dev(ep->dev);
	max = pci_max_pasids(pdev);
	if (max <= 0)
		return;
	if (pci_enable_pasid(pdev, pci_pasid_features(pdev) & PCI_PASID_CAP_EXEC)) {
		dev_info(ep->dev, "PASIDs cannot be enabled\n");
		return;
	}
	ep->max_pasids = min_t(u32, limit, max);
}

/**
 * rviommu_pasid_restore() - a PCI function sends PASIDs, after a reset too
 * @ep: the device; its ATS is off
 *
 * A reset clears the function's enable, which must not change while ATS is on (PCIe,
 * "PASID Control Register"). The PCI core restores it, but later than it has us attach
 * the domains and enable ATS again.
 */
void rviommu_pasid_restore(struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev = to_pci_dev(ep->dev);
	int pos = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID);
	u16 ctrl;

	/* A virtual function uses that of the physical one. */
	if (!ep->max_pasids || pdev->is_virtfn || !pos ||
	    pci_read_config_word(pdev, pos + PCI_PASID_CTRL, &ctrl) ||
	    ctrl & PCI_PASID_CTRL_ENABLE)
		return;
	pci_write_config_word(pdev, pos + PCI_PASID_CTRL, PCI_PASID_CTRL_ENABLE |
			      (pci_pasid_features(pdev) & PCI_PASID_CAP_EXEC));
}

/**
 * rviommu_pasid_exit() - undo rviommu_pasid_init()
 * @ep: the device; ATS is off
 */
void rviommu_pasid_exit(struct rviommu_endpoint *ep)
{
	if (ep->max_pasids && dev_is_pci(ep->dev))
		pci_disable_pasid(to_pci_dev(ep->dev));
}
