// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver of a simulated PCI function for the library of the kernel's VFIO selftests, by the
 * registers that Documentation/endpoint.rst describes: copies go through a ring, interrupts come
 * from the command window. scripts/vm-riscv compiles it with them.
 */
#include <stddef.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/sizes.h>

#include <libvfio.h>

#include "../../include/uapi/linux/rviommu_sim.h"

#define LG2	RVIOMMU_SIM_RING_MAX_LG2
#define RING	RVIOMMU_SIM_REG_RING(0)

/*
 * In the region that the library gives each driver: the ring, and what the driver knows. Only
 * the test's thread uses it; descriptors belong to the function from TAIL on.
 */
struct function {
	struct rviommu_sim_descriptor ring[1 << LG2];
	__u32 tail;
	__u32 started;
	off_t vsec;
};

static struct function *to_function(struct vfio_pci_device *device)
{
	return device->driver.region.vaddr;
}

static off_t find_vsec(struct vfio_pci_device *device)
{
	off_t at;

	for (at = PCI_CFG_SPACE_SIZE; at; at = PCI_EXT_CAP_NEXT(vfio_pci_config_readl(device, at)))
		if (PCI_EXT_CAP_ID(vfio_pci_config_readl(device, at)) == PCI_EXT_CAP_ID_VNDR &&
		    vfio_pci_config_readw(device, at + 4) == RVIOMMU_SIM_VSEC_ID)
			return at;
	return 0;
}

static __u32 get(struct vfio_pci_device *device, off_t reg)
{
	return vfio_pci_config_readl(device, to_function(device)->vsec + reg);
}

static void put(struct vfio_pci_device *device, off_t reg, __u32 value)
{
	vfio_pci_config_writel(device, to_function(device)->vsec + reg, value);
}

static int sim_probe(struct vfio_pci_device *device)
{
	if (!vfio_pci_device_match(device, RVIOMMU_SIM_PCI_VENDOR, RVIOMMU_SIM_PCI_DEVICE))
		return -EINVAL;
	return find_vsec(device) ? 0 : -EINVAL;
}

static void ring_on(struct vfio_pci_device *device)
{
	const iova_t base = to_iova(device, to_function(device)->ring);

	put(device, RING + RVIOMMU_SIM_RING_BASE_LO, base);
	put(device, RING + RVIOMMU_SIM_RING_BASE_HI, base >> 32);
	put(device, RING + RVIOMMU_SIM_RING_CONTROL, RVIOMMU_SIM_RING_ENABLE | LG2 << 8);
	to_function(device)->tail = 0;
}

static void ring_off(struct vfio_pci_device *device)
{
	put(device, RING + RVIOMMU_SIM_RING_CONTROL, 0);
	while (get(device, RING + RVIOMMU_SIM_RING_STATUS) & RVIOMMU_SIM_RING_BUSY)
		usleep(10);
}

static void sim_init(struct vfio_pci_device *device)
{
	to_function(device)->vsec = find_vsec(device);
	vfio_pci_cmd_set(device, PCI_COMMAND_MASTER);
	ring_on(device);
	vfio_pci_msi_enable(device, 0, 1);
	device->driver.msi = 0;
	device->driver.max_memcpy_size = SZ_2M;
	device->driver.max_memcpy_count = 16;
}

static void sim_remove(struct vfio_pci_device *device)
{
	ring_off(device);
	vfio_pci_msi_disable(device);
	vfio_pci_cmd_clear(device, PCI_COMMAND_MASTER);
}

static void sim_memcpy_start(struct vfio_pci_device *device, iova_t src, iova_t dst, u64 size,
			     u64 count)
{
	struct function *fn = to_function(device);
	u64 i;

	for (i = 0; i < count; i++)
		fn->ring[(fn->tail + i) % (1 << LG2)] = (struct rviommu_sim_descriptor) {
			.command = RVIOMMU_SIM_CMD_COPY, .iova = dst, .source = src,
			.length = size,
		};
	fn->started = fn->tail;
	fn->tail = (fn->tail + count) % (1 << LG2);
	/* A system call: the descriptors are visible before. */
	put(device, RING + RVIOMMU_SIM_RING_TAIL, fn->tail);
}

/* The test's own limit ends it when the function does not. */
static int sim_memcpy_wait(struct vfio_pci_device *device)
{
	struct function *fn = to_function(device);
	int ret = 0;
	__u32 i;

	while (get(device, RING + RVIOMMU_SIM_RING_HEAD) != fn->tail) {
		if (get(device, RING + RVIOMMU_SIM_RING_STATUS) & RVIOMMU_SIM_RING_ERROR) {
			ring_off(device);
			ring_on(device);
			return -1;
		}
		usleep(10);
	}
	for (i = fn->started; i != fn->tail; i = (i + 1) % (1 << LG2))
		if (fn->ring[i].status != RVIOMMU_SIM_STATUS_OK)
			ret = -1;
	return ret;
}

static void sim_send_msi(struct vfio_pci_device *device)
{
	put(device, RVIOMMU_SIM_REG_COMMAND,
	    RVIOMMU_SIM_CMD_NOP | RVIOMMU_SIM_COMMAND_INTERRUPT);
	put(device, RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
	while (get(device, RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY)
		usleep(10);
}

const struct vfio_pci_driver_ops rviommu_sim_ops = {
	.name = "rviommu_sim",
	.probe = sim_probe,
	.init = sim_init,
	.remove = sim_remove,
	.memcpy_start = sim_memcpy_start,
	.memcpy_wait = sim_memcpy_wait,
	.send_msi = sim_send_msi,
};
