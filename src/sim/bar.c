// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of PCI functions (PCI Local Bus Specification, "Base Addresses"). An access to it is an
 * access to memory of the machine, and nobody here notices it. So it serves for what can be looked
 * at when it is needed, as the table of MSI-X vectors can.
 *
 * The kernel maps such memory as it maps that of devices, and refuses to do that with memory which
 * it uses itself. So it has to be told at boot to leave some alone.
 */
#define pr_fmt(fmt) "rviommu_sim: " fmt

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>

#include "bar.h"
#include "config_space.h"

/* ----- The host bridge's ----- */

static const char sim_window_name[] = "rviommu_sim";

/* Is it a part of another bridge's memory? What no driver has there is free to the kernel. */
static bool sim_window_within(const struct resource *res)
{
	while (res && res->name != sim_window_name)
		res = res->parent;
	return res;
}

/*
 * The range becomes the bridge's, below what it is a part of: memory that was left out at boot may
 * be a resource, "Reserved", or none at all. It is not the driver's of any function, so it is not
 * busy; but while it is looked at it is, so that nobody else can have it in between. Returns -EBUSY
 * if somebody has it.
 */
static int sim_window_claim(struct resource *res)
{
	struct resource *probe;
	int ret = -EBUSY;

	probe = request_mem_region(res->start, resource_size(res), "rviommu_sim probe");
	if (!probe)
		return -EBUSY;
	/* It comes between the probe and what that is a part of. */
	if (!sim_window_within(probe->parent))
		ret = insert_resource(probe->parent, res);
	release_mem_region(res->start, resource_size(res));
	return ret;
}

/* It keeps what is written there, in each page. Afterwards all is 0. */
static bool sim_window_works(const struct sim_window *window)
{
	const resource_size_t size = resource_size(&window->res);
	resource_size_t at;
	bool good = true;

	for (at = 0; at < size; at += RVIOMMU_SIM_BAR_SIZE)
		writeq(~at, window->base + at);
	for (at = 0; at < size; at += RVIOMMU_SIM_BAR_SIZE)
		good = good && readq(window->base + at) == ~at;
	if (good)
		memset_io(window->base, 0, size);
	return good;
}

/**
 * sim_window_add() - let the functions of a host bridge have memory
 * @window: filled in
 * @name: of the instance, for the log
 * @start: physical address of memory that the kernel was told to leave alone
 * @size: bytes; both are multiples of %RVIOMMU_SIM_BAR_SIZE
 *
 * May sleep. The log says what is wrong.
 *
 * Return: 0; -EBUSY: the memory is in use; -ENXIO: there is none; -ENOMEM.
 */
int sim_window_add(struct sim_window *window, const char *name, u64 start, u64 size)
{
	window->res = (struct resource) {
		.name = sim_window_name,
		.start = start,
		.end = start + size - 1,
		.flags = IORESOURCE_MEM,
	};
	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT) {
		pr_err("%s: %pR is the kernel's memory: boot with %s, and it leaves some alone\n",
		       name, &window->res,
		       IS_ENABLED(CONFIG_X86) ? "memmap=SIZE$START" : "mem=SIZE");
		return -EBUSY;
	}
	if (sim_window_claim(&window->res)) {
		pr_err("%s: %pR is in use, see /proc/iomem\n", name, &window->res);
		return -EBUSY;
	}
	window->base = ioremap(start, size);
	if (!window->base) {
		release_resource(&window->res);
		return -ENOMEM;
	}
	if (!sim_window_works(window)) {
		pr_err("%s: there is no memory at %pR\n", name, &window->res);
		sim_window_del(window);
		return -ENXIO;
	}
	return 0;
}

/**
 * sim_window_del() - undo sim_window_add(), when bridge and functions are gone
 * @window: the memory, or none
 */
void sim_window_del(struct sim_window *window)
{
	if (!window->base)
		return;
	iounmap(window->base);
	window->base = NULL;
	release_resource(&window->res);
}

/* ----- A function's; the lock of configuration space is held ----- */

/**
 * sim_bar_layout() - the register as it comes out of reset
 * @value: bytes of configuration space
 * @writable: bits that software can write: those of an address, and none of the size
 *
 * 64 bits wide, so that the memory may be anywhere.
 */
void sim_bar_layout(u8 *value, u8 *writable)
{
	rviommu_cfg_put(value, PCI_BASE_ADDRESS_0, 4, PCI_BASE_ADDRESS_MEM_TYPE_64);
	rviommu_cfg_put(writable, PCI_BASE_ADDRESS_0, 4, ~((u32)RVIOMMU_SIM_BAR_SIZE - 1));
	rviommu_cfg_put(writable, PCI_BASE_ADDRESS_1, 4, ~0U);
	rviommu_cfg_put(writable, PCI_COMMAND, 2,
			rviommu_cfg_get(writable, PCI_COMMAND, 2) | PCI_COMMAND_MEMORY);
}

/**
 * sim_bar_place() - do what firmware does for a function that is plugged in
 * @bar: its memory
 * @index: which function of the bridge
 *
 * The kernel finds an address there, and keeps it. It could not find one itself: on a PC, what was
 * left out at boot is not for devices.
 */
void sim_bar_place(struct sim_bar *bar, unsigned int index)
{
	const u64 at = bar->window->res.start + index * RVIOMMU_SIM_BAR_SIZE;

	bar->memory = NULL;
	rviommu_cfg_put(bar->config, PCI_BASE_ADDRESS_0, 4,
			lower_32_bits(at) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	rviommu_cfg_put(bar->config, PCI_BASE_ADDRESS_1, 4, upper_32_bits(at));
}

/* Where the register leads; NULL: nowhere */
static void __iomem *sim_bar_target(const struct sim_bar *bar)
{
	const u64 at = (rviommu_cfg_get(bar->config, PCI_BASE_ADDRESS_0, 4) &
			PCI_BASE_ADDRESS_MEM_MASK) |
		       (u64)rviommu_cfg_get(bar->config, PCI_BASE_ADDRESS_1, 4) << 32;
	const struct resource *res = &bar->window->res;

	return at >= res->start && at <= res->end ? bar->window->base + (at - res->start) : NULL;
}

/**
 * sim_bar_apply() - let what software wrote come true
 * @bar: memory of the function
 *
 * While memory accesses are not enabled, the register may say anything, and does when software asks
 * for the size.
 *
 * Return: the memory has come to another place, where it is all 0.
 */
bool sim_bar_apply(struct sim_bar *bar)
{
	void __iomem *target = sim_bar_target(bar);

	if (!(rviommu_cfg_get(bar->config, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) ||
	    target == bar->memory)
		return false;
	bar->memory = target;
	sim_bar_clear(bar);
	return true;
}

/**
 * sim_bar_clear() - the memory of a function as it comes out of reset
 * @bar: the memory
 */
void sim_bar_clear(struct sim_bar *bar)
{
	if (bar->memory)
		memset_io(bar->memory, 0, RVIOMMU_SIM_BAR_SIZE);
}
