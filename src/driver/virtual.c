// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU that another module brings (the simulated one): a platform device
 * with a struct rviommu_bus, see RVIOMMU_BUS_DEVICE.
 */
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#include "device.h"
#include "glue.h"
#include "rviommu.h"

static int rviommu_virtual_probe(struct platform_device *pdev)
{
	struct rviommu_bus **bus = dev_get_platdata(&pdev->dev);
	struct rviommu *iommu;
	int ret;

	if (!bus || !*bus || (*bus)->dev != &pdev->dev)
		return dev_err_probe(&pdev->dev, -EINVAL, "comes without a register bus\n");
	iommu = devm_kzalloc(&pdev->dev, sizeof(*iommu), GFP_KERNEL);
	if (!iommu)
		return -ENOMEM;
	ret = rviommu_probe(iommu, *bus);
	if (!ret)
		platform_set_drvdata(pdev, iommu);
	return ret;
}

static void rviommu_virtual_remove(struct platform_device *pdev)
{
	rviommu_remove(platform_get_drvdata(pdev));
}

static const struct platform_device_id rviommu_virtual_ids[] = {
	{ .name = RVIOMMU_BUS_DEVICE },
	{}
};
MODULE_DEVICE_TABLE(platform, rviommu_virtual_ids);

static struct platform_driver rviommu_virtual_driver = {
	.probe = rviommu_virtual_probe,
	.remove = rviommu_virtual_remove,
	.id_table = rviommu_virtual_ids,
	.driver = {
		.name = RVIOMMU_BUS_DEVICE,
		.suppress_bind_attrs = true,
		/* Whoever adds the device looks at once whether we took it. */
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

/**
 * rviommu_virtual_register() - take IOMMUs that other modules bring
 *
 * Return: 0, or an error of the driver core.
 */
int rviommu_virtual_register(void)
{
	return platform_driver_register(&rviommu_virtual_driver);
}

/**
 * rviommu_virtual_unregister() - undo rviommu_virtual_register()
 */
void rviommu_virtual_unregister(void)
{
	platform_driver_unregister(&rviommu_virtual_driver);
}
