/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that have a simulated PCI function by VFIO, and nothing else: the two ways to have
 * it, and memory for its DMA.
 */
#ifndef RVIOMMU_GUEST_VFIO_FUNCTION_H
#define RVIOMMU_GUEST_VFIO_FUNCTION_H

#include <fcntl.h>
#include <sys/mman.h>

#include "vfio_registers.h"

#ifdef VFIO_DEVICE_BIND_IOMMUFD
#include <linux/iommufd.h>
#endif

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define IOVA	0x10000000ULL

static int container = -1;
static unsigned char *memory;

/* ----- The two ways to have a device ----- */

static inline void open_type1(const char *group_path, const char *name)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int group;

	container = open("/dev/vfio/vfio", O_RDWR);
	expect(container >= 0, "a container opens");
	group = open(group_path, O_RDWR);
	expect(group >= 0, "the group opens");
	expect(!ioctl(group, VFIO_GROUP_GET_STATUS, &status) &&
	       status.flags & VFIO_GROUP_FLAGS_VIABLE, "it is viable");
	expect(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "it joins the container");
	expect(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
	       "which has an IOMMU, with isolated interrupts");
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	expect(dev >= 0, "the device opens");
}

/* Where the program is compiled for a kernel that has it */
#ifdef VFIO_DEVICE_BIND_IOMMUFD
static int iommufd;
static unsigned int ioas, device;

static inline void open_cdev(const char *path)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	iommufd = open("/dev/iommu", O_RDWR);
	expect(iommufd >= 0, "iommufd opens");
	dev = open(path, O_RDWR);
	expect(dev >= 0, "the device opens");
	bind.iommufd = iommufd;
	expect(!ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &bind),
	       "it is bound to iommufd, with isolated interrupts");
	device = bind.out_devid;
	expect(!ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "an address space");
	ioas = alloc.out_ioas_id;
	at.pt_id = ioas;
	expect(!ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at), "attached to it");
}

static inline bool map_iommufd(__u64 iova, void *at, size_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = size, .iova = iova, .ioas_id = ioas,
		.user_va = (unsigned long)at,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};

	return !ioctl(iommufd, IOMMU_IOAS_MAP, &map);
}

static inline bool unmap_iommufd(__u64 iova, size_t size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas, .iova = iova, .length = size,
	};

	return !ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);
}
#else
static inline void open_cdev(const char *path)
{
	expect(false, path);
}

#define map_iommufd(iova, at, size)	false
#define unmap_iommufd(iova, size)	false
#endif

static inline bool map_at(__u64 iova, void *at, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (unsigned long)at, .iova = iova, .size = size,
	};

	if (container < 0)
		return map_iommufd(iova, at, size);
	return !ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static inline bool unmap_at(__u64 iova, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = size,
	};

	if (container < 0)
		return unmap_iommufd(iova, size);
	return !ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

/* ----- The function ----- */

static inline struct rviommu_sim_descriptor command(__u32 code, __u64 iova, __u64 length,
						    __u64 operand)
{
	return (struct rviommu_sim_descriptor) {
		.command = code, .iova = iova, .source = IOVA, .length = length,
		.operand = operand,
	};
}

static inline __u32 quick(__u32 code, __u64 iova, __u64 length, __u64 operand)
{
	struct rviommu_sim_descriptor d = command(code | RVIOMMU_SIM_COMMAND_INTERRUPT, iova,
						  length, operand);

	return run(&d);
}

/* Have it, ready to work, with SIZE bytes at IOVA: the last arguments say how. */
static inline bool take_function(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 3 && !strcmp(argv[0], "type1"))
		open_type1(argv[1], argv[2]);
	else if (argc == 2 && !strcmp(argv[0], "cdev"))
		open_cdev(argv[1]);
	else
		return false;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(memory != MAP_FAILED && map_at(IOVA, memory, SIZE), "memory is mapped");
	expect(find_registers(), "the function has its registers");
	expect(interrupts(), "an eventfd for each interrupt");
	expect(master(), "the function may master the bus");
	return true;
}

#endif /* RVIOMMU_GUEST_VFIO_FUNCTION_H */
