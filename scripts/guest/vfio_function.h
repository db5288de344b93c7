/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that have a simulated PCI function by VFIO, and nothing else: the two ways to have
 * it, memory for its DMA, and its registers (Documentation/endpoint.rst).
 */
#ifndef RVIOMMU_GUEST_VFIO_FUNCTION_H
#define RVIOMMU_GUEST_VFIO_FUNCTION_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#ifdef VFIO_DEVICE_BIND_IOMMUFD
#include <linux/iommufd.h>
#endif

#include "../../include/uapi/linux/rviommu_sim.h"

#define PAGE	4096
#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define IOVA	0x10000000ULL
#define VECTORS	8

static int container = -1, dev;
static __u32 irq_index = VFIO_PCI_MSI_IRQ_INDEX;
static off_t config, vsec;
static unsigned char *memory;
static int event[VECTORS];

static inline void expect(bool good, const char *what)
{
	if (!good) {
		printf("not ok: %s (%s)\n", what, strerror(errno));
		exit(1);
	}
	printf("ok: %s\n", what);
}

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

static inline __u32 get(off_t where)
{
	__u32 value = ~0U;

	if (pread(dev, &value, sizeof(value), config + where) != sizeof(value))
		expect(false, "a register is read");
	return value;
}

static inline void put(off_t where, __u32 value)
{
	if (pwrite(dev, &value, sizeof(value), config + where) != sizeof(value))
		expect(false, "a register is written");
}

static inline bool find_registers(void)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info))
		return false;
	config = info.offset;
	if (get(PCI_VENDOR_ID) != (RVIOMMU_SIM_PCI_VENDOR | RVIOMMU_SIM_PCI_DEVICE << 16))
		return false;
	for (vsec = PCI_CFG_SPACE_SIZE; vsec; vsec = PCI_EXT_CAP_NEXT(get(vsec)))
		if (PCI_EXT_CAP_ID(get(vsec)) == PCI_EXT_CAP_ID_VNDR &&
		    (get(vsec + 4) & 0xffff) == RVIOMMU_SIM_VSEC_ID)
			return true;
	return false;
}

static inline bool master(void)
{
	__u16 command = get(PCI_COMMAND) | PCI_COMMAND_MASTER;

	return pwrite(dev, &command, 2, config + PCI_COMMAND) == 2;
}

static inline bool interrupts(void)
{
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(event)];
	} irqs = {
		.set = {
			.argsz = sizeof(irqs), .index = irq_index, .count = VECTORS,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
	};
	unsigned int i;

	for (i = 0; i < VECTORS; i++) {
		if (event[i] > 0)
			close(event[i]);
		event[i] = eventfd(0, EFD_NONBLOCK);
		if (event[i] < 0)
			return false;
	}
	memcpy(irqs.set.data, event, sizeof(event));
	return !ioctl(dev, VFIO_DEVICE_SET_IRQS, &irqs);
}

/* Interrupts of a vector since the last time; if there are none, it waits for one. */
static inline __u64 interrupted(unsigned int vector)
{
	struct pollfd fd = { .fd = event[vector], .events = POLLIN };
	__u64 count = 0;

	if (poll(&fd, 1, 10000) != 1 || read(event[vector], &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static inline bool silent(unsigned int vector)
{
	__u64 count;

	return read(event[vector], &count, sizeof(count)) < 0 && errno == EAGAIN;
}

static inline struct rviommu_sim_descriptor command(__u32 code, __u64 iova, __u64 length,
						    __u64 operand)
{
	return (struct rviommu_sim_descriptor) {
		.command = code, .iova = iova, .source = IOVA, .length = length,
		.operand = operand,
	};
}

/* Carry it out, and wait for the interrupt that it asks for. Returns the status. */
static inline __u32 run(struct rviommu_sim_descriptor *d)
{
	__u32 word[sizeof(*d) / 4];
	unsigned int i;

	memcpy(word, d, sizeof(word));
	for (i = 0; i < offsetof(struct rviommu_sim_descriptor, status) / 4; i++)
		put(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i, word[i]);
	put(vsec + RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
	if (interrupted(d->command >> 16 & 7) != 1)
		return RVIOMMU_SIM_STATUS_NONE;
	for (i = 0; i < sizeof(*d) / 4; i++)
		word[i] = get(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i);
	memcpy(d, word, sizeof(word));
	return d->status;
}

static inline __u32 quick(__u32 code, __u64 iova, __u64 length, __u64 operand)
{
	struct rviommu_sim_descriptor d = command(code | RVIOMMU_SIM_COMMAND_INTERRUPT, iova,
						  length, operand);

	return run(&d);
}

/* Documentation/endpoint.rst, "A descriptor" */
static inline unsigned char pattern(__u64 seed, size_t offset)
{
	__u64 x = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x >> (8 * (offset & 7));
}

static inline bool holds(const unsigned char *p, size_t length, __u64 seed)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (p[i] != pattern(seed, i))
			return false;
	return true;
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
