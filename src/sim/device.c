// SPDX-License-Identifier: GPL-2.0-only
/*
 * What devices behind a simulated IOMMU have in common, whatever their bus: how the core
 * gets to know which IOMMU is theirs, and that they do not go while it looks for them.
 */
#include <linux/iommu.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/rwsem.h>
#include <linux/slab.h>

#include "device.h"

/*
 * Of all instances, since the core looks at the devices of all: held for reading while
 * the driver registers an IOMMU or takes it back, for writing while a device goes.
 */
DECLARE_RWSEM(sim_registering);

/**
 * sim_name_iommu() - say which IOMMU a device is behind
 * @dev: initialised, but not added yet
 * @iommu: what stands for the IOMMU
 * @id: device_id
 *
 * iommu_fwspec_init() asserts a lock of the core that a module cannot take. Before
 * the device is added nobody else can see it, so what names its IOMMU can be put
 * there directly; the core frees it with the device.
 *
 * Return: 0 or -ENOMEM.
 */
int sim_name_iommu(struct device *dev, struct fwnode_handle *iommu, u32 id)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(iommu);
	fwspec->num_ids = 1;
	fwspec->ids[0] = id;
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

/**
 * sim_forget_iommu() - undo sim_name_iommu() where the core does not
 * @dev: a device that is going; if no IOMMU took it, nobody else frees the name
 */
void sim_forget_iommu(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	if (!param || device_iommu_mapped(dev))
		return;
	dev->iommu = NULL;
	fwnode_handle_put(param->fwspec->iommu_fwnode);
	kfree(param->fwspec);
	kfree(param);
}

/**
 * sim_put_device() - done with a platform device that is not registered (any more)
 * @pdev: the device; somebody may have a reference to it still
 *
 * Its node is not its own. Some kernels take one reference to a software node away when
 * such a device is freed, others do not; a device without is the same to all of them.
 */
void sim_put_device(struct platform_device *pdev)
{
	device_set_node(&pdev->dev, NULL);
	platform_device_put(pdev);
}
