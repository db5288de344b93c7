// SPDX-License-Identifier: GPL-2.0-only
/*
 * rviommu.ko: module entry and exit.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "debugfs.h"
#include "domain.h"
#include "glue.h"
#include "invalidate.h"
#include "mem.h"

static int __init rviommu_init(void)
{
	int ret;

	ret = rviommu_mem_init();
	if (ret)
		return ret;
	rviommu_debugfs_init();

	ret = rviommu_platform_register();
	if (ret)
		goto err_debugfs;
	ret = rviommu_pci_register();
	if (ret)
		goto err_platform;
	ret = rviommu_virtual_register();
	if (ret)
		goto err_pci;
	return 0;

err_pci:
	rviommu_pci_unregister();
err_platform:
	rviommu_platform_unregister();
err_debugfs:
	rviommu_debugfs_exit();
	/* Devices may have come and gone meanwhile. */
	rviommu_inval_barrier();
	rviommu_mem_exit();
	return ret;
}

static void __exit rviommu_exit(void)
{
	rviommu_virtual_unregister();
	rviommu_pci_unregister();
	rviommu_platform_unregister();
	rviommu_debugfs_exit();
	rviommu_domain_ids_destroy();
	rviommu_inval_barrier();
	rviommu_mem_exit();
}

module_init(rviommu_init);
module_exit(rviommu_exit);

MODULE_DESCRIPTION("RISC-V IOMMU driver");
MODULE_LICENSE("GPL");
