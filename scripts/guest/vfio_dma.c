// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_dma type1 GROUP FUNCTION, vfio_dma cdev CDEV: what a program does with a simulated PCI
 * function that it has by VFIO, and with nothing else: it maps memory, has the function work
 * by its registers (Documentation/endpoint.rst), and waits for its interrupts. Prints each step;
 * exit status 0 if all was as it should be.
 */
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
#define LG2	4

static int container = -1, dev;
static off_t config, vsec;
static unsigned char *memory;
static int event[VECTORS];

static void expect(bool good, const char *what)
{
	if (!good) {
		printf("not ok: %s (%s)\n", what, strerror(errno));
		exit(1);
	}
	printf("ok: %s\n", what);
}

/* ----- The two ways to have a device ----- */

static void open_type1(const char *group_path, const char *name)
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
static unsigned int ioas;

static void open_cdev(const char *path)
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
	expect(!ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "an address space");
	ioas = alloc.out_ioas_id;
	at.pt_id = ioas;
	expect(!ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at), "attached to it");
}

static bool map_iommufd(void)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = SIZE, .iova = IOVA, .ioas_id = ioas,
		.user_va = (unsigned long)memory,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};

	return !ioctl(iommufd, IOMMU_IOAS_MAP, &map);
}

static bool unmap_iommufd(void)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas, .iova = IOVA, .length = SIZE,
	};

	return !ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);
}
#else
static void open_cdev(const char *path)
{
	expect(false, path);
}

static bool map_iommufd(void)
{
	return false;
}

static bool unmap_iommufd(void)
{
	return false;
}
#endif

static bool map(void)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (unsigned long)memory, .iova = IOVA, .size = SIZE,
	};

	return container < 0 ? map_iommufd() : !ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static bool unmap(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = IOVA, .size = SIZE,
	};

	return container < 0 ? unmap_iommufd() : !ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

/* ----- The function ----- */

static __u32 get(off_t where)
{
	__u32 value = ~0U;

	if (pread(dev, &value, sizeof(value), config + where) != sizeof(value))
		expect(false, "a register is read");
	return value;
}

static void put(off_t where, __u32 value)
{
	if (pwrite(dev, &value, sizeof(value), config + where) != sizeof(value))
		expect(false, "a register is written");
}

static bool find_registers(void)
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

static bool master(void)
{
	__u16 command = get(PCI_COMMAND) | PCI_COMMAND_MASTER;

	return pwrite(dev, &command, 2, config + PCI_COMMAND) == 2;
}

static bool interrupts(void)
{
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(event)];
	} irqs = {
		.set = {
			.argsz = sizeof(irqs), .index = VFIO_PCI_MSI_IRQ_INDEX, .count = VECTORS,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
	};
	unsigned int i;

	for (i = 0; i < VECTORS; i++) {
		event[i] = eventfd(0, EFD_NONBLOCK);
		if (event[i] < 0)
			return false;
	}
	memcpy(irqs.set.data, event, sizeof(event));
	return !ioctl(dev, VFIO_DEVICE_SET_IRQS, &irqs);
}

/* Interrupts of a vector since the last time; if there are none, it waits for one. */
static __u64 interrupted(unsigned int vector)
{
	struct pollfd fd = { .fd = event[vector], .events = POLLIN };
	__u64 count = 0;

	if (poll(&fd, 1, 10000) != 1 || read(event[vector], &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static bool silent(unsigned int vector)
{
	__u64 count;

	return read(event[vector], &count, sizeof(count)) < 0 && errno == EAGAIN;
}

static struct rviommu_sim_descriptor command(__u32 code, __u64 iova, __u64 length, __u64 operand)
{
	return (struct rviommu_sim_descriptor) {
		.command = code, .iova = iova, .source = IOVA, .length = length,
		.operand = operand,
	};
}

/* Carry it out, and wait for the interrupt that it asks for. Returns the status. */
static __u32 run(struct rviommu_sim_descriptor *d)
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

static __u32 quick(__u32 code, __u64 iova, __u64 length, __u64 operand)
{
	struct rviommu_sim_descriptor d = command(code | RVIOMMU_SIM_COMMAND_INTERRUPT, iova,
						  length, operand);

	return run(&d);
}

/* Documentation/endpoint.rst, "A descriptor" */
static bool holds(const unsigned char *p, size_t length, __u64 seed)
{
	size_t i;

	for (i = 0; i < length; i++) {
		__u64 x = (seed ^ (i >> 3)) * 0x9e3779b97f4a7c15ULL;

		x ^= x >> 29;
		if (p[i] != (unsigned char)(x >> (8 * (i & 7))))
			return false;
	}
	return true;
}

/* ----- What it does ----- */

static void commands(void)
{
	const __u32 irq = RVIOMMU_SIM_COMMAND_INTERRUPT;
	struct rviommu_sim_descriptor d;
	unsigned int vector;
	bool good = true;

	for (vector = 0; vector < VECTORS; vector++) {
		d = command(RVIOMMU_SIM_CMD_NOP | irq | vector << 16, 0, 0, 0);
		good = good && run(&d) == RVIOMMU_SIM_STATUS_OK;
	}
	expect(good, "a command is over, and its interrupt arrives, by each vector");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, 1) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory, PAGE, 1), "DMA lands in the program's memory");
	expect(quick(RVIOMMU_SIM_CMD_COPY, IOVA + PAGE, PAGE, 0) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory + PAGE, PAGE, 1), "it is copied");
	expect(quick(RVIOMMU_SIM_CMD_VERIFY, IOVA + PAGE, PAGE, 1) == RVIOMMU_SIM_STATUS_OK,
	       "it is found right");
	memory[PAGE + 100] ^= 0x80;
	d = command(RVIOMMU_SIM_CMD_VERIFY | irq, IOVA + PAGE, PAGE, 1);
	expect(run(&d) == RVIOMMU_SIM_STATUS_MISMATCH && d.done == 100,
	       "a wrong byte is found, with an interrupt");
	memset(memory, 0, 8);
	d = command(RVIOMMU_SIM_CMD_FETCH_ADD | irq, IOVA, 8, 42);
	expect(run(&d) == RVIOMMU_SIM_STATUS_OK && !d.result && memory[0] == 42,
	       "a number is added");
	d = command(RVIOMMU_SIM_CMD_FILL | irq | 3 << 16, IOVA + SIZE, 8, 1);
	expect(run(&d) == RVIOMMU_SIM_STATUS_FAULT && !d.done,
	       "DMA beside the mapping is refused, with an interrupt");
	expect(quick(0xff, IOVA, 8, 1) == RVIOMMU_SIM_STATUS_INVALID,
	       "what is no command is refused");
}

static void ring(void)
{
	struct rviommu_sim_descriptor *d = (void *)(memory + SIZE - PAGE);
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(1);
	unsigned int i;
	bool good = true;

	put(at + RVIOMMU_SIM_RING_BASE_LO, IOVA + SIZE - PAGE);
	put(at + RVIOMMU_SIM_RING_BASE_HI, 0);
	put(at + RVIOMMU_SIM_RING_CONTROL, RVIOMMU_SIM_RING_ENABLE | LG2 << 8);
	for (i = 0; i < 10; i++)
		d[i] = command(RVIOMMU_SIM_CMD_FILL, IOVA + i * PAGE, PAGE, 100 + i);
	d[9].command |= RVIOMMU_SIM_COMMAND_INTERRUPT | 2 << 16;
	put(at + RVIOMMU_SIM_RING_TAIL, 10);
	expect(interrupted(2) == 1 && get(at + RVIOMMU_SIM_RING_HEAD) == 10,
	       "commands in memory are carried out");
	for (i = 0; i < 10; i++)
		good = good && d[i].status == RVIOMMU_SIM_STATUS_OK &&
		       holds(memory + i * PAGE, PAGE, 100 + i);
	expect(good, "each of them");
}

static void reset(void)
{
	expect(!ioctl(dev, VFIO_DEVICE_RESET), "the function goes through an FLR");
	expect(!get(vsec + RVIOMMU_SIM_REG_COMMAND + 8) &&
	       !get(vsec + RVIOMMU_SIM_REG_RING(1)), "the registers are clear");
	expect(master(), "the function may master the bus");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, 7) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory, PAGE, 7), "DMA and interrupt work as before");
}

int main(int argc, char **argv)
{
	bool quiet = true;
	unsigned int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 4 && !strcmp(argv[1], "type1"))
		open_type1(argv[2], argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "cdev"))
		open_cdev(argv[2]);
	else
		return 2;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(memory != MAP_FAILED && map(), "memory is mapped");
	expect(find_registers(), "the function has its registers");
	expect(interrupts(), "an eventfd for each interrupt");
	expect(master(), "the function may master the bus");
	commands();
	ring();
	reset();
	expect(unmap(), "unmapped");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, 8) == RVIOMMU_SIM_STATUS_FAULT &&
	       holds(memory, PAGE, 7), "DMA is refused at once");
	for (i = 0; i < VECTORS; i++)
		quiet = quiet && silent(i);
	expect(quiet, "no interrupt too many");
	/* The rest is the kernel's to take away, a command that is under way included. */
	expect(map(), "left behind with memory mapped");
	return 0;
}
