/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that have a simulated PCI function by VFIO, in whichever way: its registers and
 * interrupts (Documentation/endpoint.rst), and the bytes that it writes.
 */
#ifndef RVIOMMU_GUEST_VFIO_REGISTERS_H
#define RVIOMMU_GUEST_VFIO_REGISTERS_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "../../include/uapi/linux/rviommu_sim.h"

#define PAGE	4096
#define VECTORS	8

static int dev;
static __u32 irq_index = VFIO_PCI_MSI_IRQ_INDEX;
static off_t config, vsec;
static int event[VECTORS];

static inline void expect(bool good, const char *what)
{
	if (!good) {
		printf("not ok: %s (%s)\n", what, strerror(errno));
		exit(1);
	}
	printf("ok: %s\n", what);
}

/* ----- Registers and interrupts ----- */

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

/* ----- Commands ----- */

/* Begin it: nothing else is in the registers. */
static inline void give(const struct rviommu_sim_descriptor *d)
{
	__u32 word[sizeof(*d) / 4];
	unsigned int i;

	memcpy(word, d, sizeof(word));
	for (i = 0; i < offsetof(struct rviommu_sim_descriptor, status) / 4; i++)
		put(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i, word[i]);
	put(vsec + RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
}

/* What came of it: the status, and the rest in @d */
static inline __u32 result(struct rviommu_sim_descriptor *d)
{
	__u32 word[sizeof(*d) / 4];
	unsigned int i;

	for (i = 0; i < sizeof(*d) / 4; i++)
		word[i] = get(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i);
	memcpy(d, word, sizeof(word));
	return d->status;
}

/* Carry it out, and wait for the interrupt that it asks for. Returns the status. */
static inline __u32 run(struct rviommu_sim_descriptor *d)
{
	give(d);
	if (interrupted(d->command >> 16 & 7) != 1)
		return RVIOMMU_SIM_STATUS_NONE;
	return result(d);
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

#endif /* RVIOMMU_GUEST_VFIO_REGISTERS_H */
