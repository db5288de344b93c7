// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_pasid CDEV DMA DEVICE_ID MSI: what a program in user space does with a simulated
 * PCI function and its PASIDs, by VFIO and iommufd, with DMA by the simulator's debugfs
 * file DMA. MSI is an address that interrupts are written to. Prints each step; exit
 * status 0 if all was as it should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define PAGE	4096
#define IOVA	0x10000000ULL
#define NR	4
#define PASID	5
#define NONE	(~0U)

static int iommufd, dev;
static const char *dma_file, *device_id;
static unsigned char *page[NR];
static unsigned int ioas[NR], hwpt[NR];

static void expect(bool good, const char *what)
{
	if (!good) {
		printf("not ok: %s (%s)\n", what, strerror(errno));
		exit(1);
	}
	printf("ok: %s\n", what);
}

/* rviommu_sim_pattern() */
static unsigned char pattern(__u64 seed, size_t offset)
{
	__u64 x = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x >> (8 * (offset & 7));
}

/* A page of the device's, for @pasid, has the pattern of @seed. 0 or the error. */
static int dma(__u32 pasid, unsigned int seed)
{
	char text[80], number[12] = "none";
	int fd = open(dma_file, O_WRONLY), ret;

	if (fd < 0)
		return errno;
	if (pasid != NONE)
		snprintf(number, sizeof(number), "%u", pasid);
	snprintf(text, sizeof(text), "%s %s fill %#llx %u %u", device_id, number, IOVA, PAGE, seed);
	ret = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return ret;
}

/* It is in this page, and what the others have has not changed. */
static bool lands(unsigned int at, unsigned int seed)
{
	unsigned char *want = malloc(PAGE);
	bool same;
	size_t i;

	for (i = 0; i < PAGE; i++)
		want[i] = pattern(seed, i);
	same = !memcmp(page[at], want, PAGE);
	for (i = 0; i < NR; i++)
		if (i != at && !memcmp(page[i], want, PAGE))
			same = false;
	free(want);
	return same;
}

/* Page @i at @iova of its address space: 0 or the error. */
static int map(unsigned int i, __u64 iova)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = PAGE, .iova = iova, .ioas_id = ioas[i],
		.user_va = (unsigned long)page[i],
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map) ? errno : 0;
}

static bool space(unsigned int i)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	page[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page[i] == MAP_FAILED || ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc))
		return false;
	ioas[i] = alloc.out_ioas_id;
	return !map(i, IOVA);
}

/* A page table for PASIDs: both the device and its PASIDs can have it. */
static bool table(unsigned int i, unsigned int devid)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = IOMMU_HWPT_ALLOC_PASID, .dev_id = devid,
		.pt_id = ioas[i],
	};

	if (ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc))
		return false;
	hwpt[i] = alloc.out_hwpt_id;
	return true;
}

static int attach(__u32 pasid, unsigned int pt)
{
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at), .pt_id = pt };

	if (pasid != NONE) {
		at.flags = VFIO_DEVICE_ATTACH_PASID;
		at.pasid = pasid;
	}
	return ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at) ? errno : 0;
}

static int detach(__u32 pasid)
{
	struct vfio_device_detach_iommufd_pt at = { .argsz = sizeof(at) };

	if (pasid != NONE) {
		at.flags = VFIO_DEVICE_DETACH_PASID;
		at.pasid = pasid;
	}
	return ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &at) ? errno : 0;
}

static bool master_bus(void)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	__u16 command;

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(dev, &command, 2, config.offset + PCI_COMMAND) != 2)
		return false;
	command |= PCI_COMMAND_MASTER;
	return pwrite(dev, &command, 2, config.offset + PCI_COMMAND) == 2;
}

int main(int argc, char **argv)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .iova = IOVA, .length = PAGE };
	unsigned int i;
	__u64 msi;

	if (argc != 5)
		return 2;
	msi = strtoull(argv[4], NULL, 0);
	setvbuf(stdout, NULL, _IONBF, 0);
	dma_file = argv[2];
	device_id = argv[3];
	iommufd = open("/dev/iommu", O_RDWR);
	expect(iommufd >= 0, "iommufd opens");
	dev = open(argv[1], O_RDWR);
	expect(dev >= 0, "the device opens");
	bind.iommufd = iommufd;
	expect(!ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &bind), "it is bound to iommufd");
	for (i = 0; i < NR; i++) {
		expect(space(i), "an address space");
		expect(table(i, bind.out_devid), "a page table for PASIDs");
	}
	expect(master_bus(), "the function may master the bus");

	expect(!attach(NONE, hwpt[0]), "attached");
	expect(map(0, msi) == EINVAL, "nothing can be mapped where MSIs go");
	expect(!map(0, msi - PAGE), "but below that");
	expect(!dma(NONE, 1) && lands(0, 1), "DMA without a PASID lands");
	expect(dma(PASID, 1) == EFAULT, "DMA with a PASID is refused");
	expect(!attach(PASID, hwpt[1]), "a PASID attached");
	expect(!dma(PASID, 2) && lands(1, 2), "DMA with the PASID lands");
	expect(!dma(NONE, 3) && lands(0, 3), "DMA without a PASID still does");
	expect(!attach(PASID, hwpt[2]), "the PASID's table replaced");
	expect(!dma(PASID, 4) && lands(2, 4), "DMA lands in the new one");
	expect(!attach(NONE, hwpt[3]), "the device's own replaced");
	expect(!dma(NONE, 5) && lands(3, 5), "DMA lands there");
	expect(!dma(PASID, 6) && lands(2, 6), "and the PASID's where it did");
	expect(!attach(PASID + 1, hwpt[3]), "one table for a PASID and the device");
	expect(!dma(PASID + 1, 7) && lands(3, 7), "DMA with that PASID lands");

	expect(attach(1U << 20, hwpt[1]), "a PASID that is too large is refused");
	expect(dma(PASID + 2, 8) == EFAULT, "one that is not attached translates nothing");
	expect(!ioctl(dev, VFIO_DEVICE_RESET), "function-level reset");
	expect(master_bus(), "the function may master the bus again");
	expect(!dma(PASID, 9) && lands(2, 9), "the PASID works as before");
	expect(!dma(NONE, 10) && lands(3, 10), "and so does the device");

	unmap.ioas_id = ioas[2];
	expect(!ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), "unmapped");
	expect(dma(PASID, 11) == EFAULT && !lands(2, 11), "DMA is refused at once");
	expect(!detach(PASID + 1) && dma(PASID + 1, 12) == EFAULT, "a PASID detached");
	expect(!detach(NONE) && dma(NONE, 13) == EFAULT, "the device detached");
	expect(!attach(PASID, hwpt[1]) && !dma(PASID, 14) && lands(1, 14),
	       "a PASID needs no more than itself");
	expect(!detach(PASID) && dma(PASID, 15) == EFAULT, "the last PASID detached");
	expect(!attach(NONE, hwpt[0]) && !dma(NONE, 16) && lands(0, 16), "attached again");
	/* And the rest is the kernel's to take away. */
	expect(!attach(PASID, hwpt[1]), "left behind with a PASID");
	return 0;
}
