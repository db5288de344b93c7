// SPDX-License-Identifier: GPL-2.0-only
/* rviommu_sim.ko: module parameters and the default instance. */
#include <linux/module.h>

#include <rviommu/sim.h>

#include "configfs.h"
#include "debugfs.h"
#include "exerciser.h"
#include "pci.h"

static struct rviommu_sim_config sim_default;

static bool instance = true;
module_param(instance, bool, 0444);
MODULE_PARM_DESC(instance, "Build a default instance (default: yes)");

static ulong capabilities;
module_param(capabilities, ulong, 0444);
MODULE_PARM_DESC(capabilities, "Its capabilities register (default: everything)");

static unsigned int ddt_levels;
module_param(ddt_levels, uint, 0444);
MODULE_PARM_DESC(ddt_levels, "The only depth of its device directory, 1 to 3 (default: all)");

static unsigned int endpoints = 4;
module_param(endpoints, uint, 0444);
MODULE_PARM_DESC(endpoints, "Devices behind it (default: 4)");

static unsigned int pci_functions = IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI) ? 2 : 0;
module_param(pci_functions, uint, 0444);
MODULE_PARM_DESC(pci_functions, "PCI functions behind it (default: 2, if this kernel can)");

static ushort vfs;
module_param(vfs, ushort, 0444);
MODULE_PARM_DESC(vfs, "Virtual functions that each of them can have (default: 0)");

static bool ats;
module_param(ats, bool, 0444);
MODULE_PARM_DESC(ats, "All of them have ATS and page requests: what is refused they know, and the IOMMU reports nothing (default: no)");

/* What it names is written to: where the kernel is locked down, nobody can name it. */
static unsigned long long bar_memory[2];
static unsigned int bar_words;
module_param_hw_array(bar_memory, ullong, iomem, &bar_words, 0444);
MODULE_PARM_DESC(bar_memory, "START,SIZE of memory for them, which the kernel was told at boot to leave alone (default: none)");

static bool wired;
module_param(wired, bool, 0444);
MODULE_PARM_DESC(wired, "Its interrupts are wires (default: messages)");

static bool exerciser = true;
module_param(exerciser, bool, 0444);
MODULE_PARM_DESC(exerciser, "Bind the driver that user space can command to its devices (default: yes)");

static unsigned int switches;
module_param(switches, uint, 0444);
MODULE_PARM_DESC(switches, "Worst-case switches, see include/rviommu/model.h (default: 0)");

static ulong seed = 1;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "Seed of everything random in it (default: 1)");

static struct rviommu_sim *sim_instance;

static int __init sim_default_create(void)
{
	rviommu_sim_config_init(&sim_default);
	if (capabilities)
		sim_default.model.capabilities = capabilities;
	rviommu_model_config_fit(&sim_default.model);
	sim_default.endpoints = endpoints;
	sim_default.pci_functions = pci_functions;
	sim_default.vfs = vfs;
	sim_default.ats = ats;
	sim_default.bar_start = bar_memory[0];
	sim_default.bar_size = bar_memory[1];
	sim_default.wired = wired;
	sim_default.exerciser = exerciser;
	sim_default.model.switches = switches;
	sim_default.model.seed = seed;
	if (bar_words && !bar_memory[1]) {
		pr_err("rviommu_sim: bar_memory is START,SIZE\n");
		return -EINVAL;
	}
	if (ddt_levels && rviommu_sim_config_levels(&sim_default, ddt_levels)) {
		pr_err("rviommu_sim: ddt_levels is not 0 to 3\n");
		return -EINVAL;
	}
	sim_instance = rviommu_sim_create("rviommu_sim", &sim_default);
	return PTR_ERR_OR_ZERO(sim_instance);
}

static int __init sim_init(void)
{
	int ret;

	ret = sim_pci_register();
	if (ret)
		return ret;
	sim_debugfs_register();
	ret = sim_exerciser_register();
	if (ret)
		goto err_debugfs;
	ret = sim_exerciser_pci_register();
	if (ret)
		goto err_exerciser;
	if (instance)
		ret = sim_default_create();
	if (ret)
		goto err_exerciser_pci;
	ret = sim_configfs_register();
	if (ret)
		goto err_instance;
	return 0;

err_instance:
	rviommu_sim_destroy(sim_instance);
err_exerciser_pci:
	sim_exerciser_pci_unregister();
err_exerciser:
	sim_exerciser_unregister();
err_debugfs:
	sim_debugfs_unregister();
	sim_pci_unregister();
	return ret;
}

static void __exit sim_exit(void)
{
	sim_configfs_unregister();
	rviommu_sim_destroy(sim_instance);
	sim_exerciser_pci_unregister();
	sim_exerciser_unregister();
	sim_debugfs_unregister();
	sim_pci_unregister();
}

module_init(sim_init);
module_exit(sim_exit);

MODULE_DESCRIPTION("Simulated RISC-V IOMMU");
MODULE_SOFTDEP("pre: rviommu");
MODULE_LICENSE("GPL");
