// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_hold GROUP FUNCTION: has a simulated PCI function by VFIO, maps memory for it and does
 * nothing else, so that others can look at the function and let it work. Prints where the memory
 * is, and what is in it as often as a line comes in; ends with its input.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define PAGE	4096
#define SIZE	(4 * PAGE)
#define IOVA	0x10000000
#define SHOWN	16

static void need(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int take(const char *group_path, const char *name, int container)
{
	int group = open(group_path, O_RDWR), dev;

	need(group >= 0, "the group");
	need(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "the container");
	need(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "its IOMMU");
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	need(dev >= 0, "the device");
	return dev;
}

static void master_bus(int dev)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	__u16 command;

	need(!ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &config), "configuration space");
	need(pread(dev, &command, 2, config.offset + PCI_COMMAND) == 2, "the command register");
	command |= PCI_COMMAND_MASTER;
	need(pwrite(dev, &command, 2, config.offset + PCI_COMMAND) == 2, "bus mastering");
}

/* Where a page is in memory: bits 54 to 0 of its entry are the frame. */
static __u64 physical(const void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entry = 0;

	need(pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) == 8, "pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

int main(int argc, char **argv)
{
	int container = open("/dev/vfio/vfio", O_RDWR), dev, i;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA, .size = SIZE,
	};
	unsigned char *memory;
	char line[16];

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	dev = take(argv[1], argv[2], container);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "memory");
	memset(memory, 0x5a, SIZE);
	map.vaddr = (uintptr_t)memory;
	need(!ioctl(container, VFIO_IOMMU_MAP_DMA, &map), "a mapping");
	master_bus(dev);
	printf("iova %#x physical %#018llx\n", IOVA, (unsigned long long)physical(memory));
	while (fgets(line, sizeof(line), stdin)) {
		for (i = 0; i < SHOWN; i++)
			printf("%02x%c", memory[i], i < SHOWN - 1 ? ' ' : '\n');
	}
	return 0;
}
