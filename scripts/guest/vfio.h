/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs in user space that have a simulated PCI function by VFIO and iommufd have in
 * common. Its DMA goes by its registers, or by the simulator's debugfs file "dma".
 */
#ifndef RVIOMMU_GUEST_VFIO_H
#define RVIOMMU_GUEST_VFIO_H

#include <fcntl.h>
#include <sys/mman.h>

#include <linux/iommufd.h>

#include "vfio_registers.h"

#define NONE	(~0U)

static int iommufd;
static unsigned int devid;
static const char *dma_file, *device_id;

/* Bytes of the device's, for @pasid, have the pattern of @seed. 0 or the error. */
static inline int dma_fill(__u32 pasid, __u64 iova, unsigned int bytes, unsigned int seed)
{
	char text[80], number[12] = "none";
	int fd = open(dma_file, O_WRONLY), ret;

	if (fd < 0)
		return errno;
	if (pasid != NONE)
		snprintf(number, sizeof(number), "%u", pasid);
	snprintf(text, sizeof(text), "%s %s fill %#llx %u %u", device_id, number, iova, bytes,
		 seed);
	ret = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return ret;
}

/* A page of memory at @iova of an address space: 0 or the error. */
static inline int map_page(unsigned int ioas, __u64 iova, void *page)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = PAGE, .iova = iova, .ioas_id = ioas,
		.user_va = (unsigned long)page,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map) ? errno : 0;
}

static inline int attach(__u32 pasid, unsigned int pt)
{
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at), .pt_id = pt };

	if (pasid != NONE) {
		at.flags = VFIO_DEVICE_ATTACH_PASID;
		at.pasid = pasid;
	}
	return ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at) ? errno : 0;
}

static inline int detach(__u32 pasid)
{
	struct vfio_device_detach_iommufd_pt at = { .argsz = sizeof(at) };

	if (pasid != NONE) {
		at.flags = VFIO_DEVICE_DETACH_PASID;
		at.pasid = pasid;
	}
	return ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &at) ? errno : 0;
}

/* Have the device: argv is CDEV DMA DEVICE_ID. */
static inline void take_device(char **argv)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	setvbuf(stdout, NULL, _IONBF, 0);
	dma_file = argv[1];
	device_id = argv[2];
	iommufd = open("/dev/iommu", O_RDWR);
	expect(iommufd >= 0, "iommufd opens");
	dev = open(argv[0], O_RDWR);
	expect(dev >= 0, "the device opens");
	bind.iommufd = iommufd;
	expect(!ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &bind), "it is bound to iommufd");
	devid = bind.out_devid;
	expect(find_registers(), "the function has its registers");
}

#endif /* RVIOMMU_GUEST_VFIO_H */
