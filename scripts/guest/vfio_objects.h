/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a program that means no good and has a function by iommufd: which objects are the program's
 * own, beside what the function needs.
 */
#ifndef RVIOMMU_GUEST_VFIO_OBJECTS_H
#define RVIOMMU_GUEST_VFIO_OBJECTS_H

#include "vfio_any.h"

#define OBJECTS	4
#define COOKIES	8

/* Page tables and address spaces that are the program's; the function's own is not among them. */
static __u32 tables[OBJECTS], spaces[OBJECTS];

/**
 * struct queue - a fault queue
 * @id: the object; 0: there is none
 * @fd: its file, or -1
 * @cookies: those read last, answered or not
 * @nr: how many were read
 * @open: groups that were read, less those that were answered
 */
struct queue {
	__u32 id;
	int fd;
	__u32 cookies[COOKIES];
	unsigned int nr;
	unsigned int open;
};

static struct queue queues[2] = { { .fd = -1 }, { .fd = -1 } };

static inline bool destroy(__u32 id)
{
	struct iommu_destroy gone = { .size = sizeof(gone), .id = id };

	return !ioctl(iommufd, IOMMU_DESTROY, &gone);
}

/* It does not exist any more. */
static inline void forget(__u32 id)
{
	unsigned int i;

	for (i = 0; i < OBJECTS; i++) {
		if (tables[i] == id)
			tables[i] = 0;
		if (spaces[i] == id)
			spaces[i] = 0;
	}
	for (i = 0; i < 2; i++)
		if (queues[i].id == id)
			queues[i].id = 0;
}

static inline __u32 any_object(void)
{
	const __u32 objects[] = {
		tables[below(OBJECTS)], spaces[below(OBJECTS)], queues[below(2)].id, ioas, device,
	};

	return objects[below(5)];
}

/* The function's own, if there is no other */
static inline __u32 any_space(void)
{
	const __u32 space = spaces[below(OBJECTS)];

	return space && !chance(4) ? space : ioas;
}

#endif /* RVIOMMU_GUEST_VFIO_OBJECTS_H */
