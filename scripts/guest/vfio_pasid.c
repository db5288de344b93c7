// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_pasid CDEV DMA DEVICE_ID MSI SHOWN: what a program in user space does with a simulated
 * PCI function and its PASIDs, by VFIO and iommufd, with DMA by the simulator's debugfs
 * file DMA. MSI is an address that interrupts are written to, SHOWN the function's directory in
 * the driver's debugfs. Prints each step; exit status 0 if all was as it should be.
 */
#include <stdint.h>

#include "vfio.h"

#define IOVA	0x10000000ULL
#define NR	4
#define PASID	5

static unsigned char *page[NR];
static unsigned int ioas[NR], hwpt[NR];
static const char *shown_in;

/* A page of the device's, for @pasid, has the pattern of @seed. 0 or the error. */
static int dma(__u32 pasid, unsigned int seed)
{
	return dma_fill(pasid, IOVA, PAGE, seed);
}

/* It is in this page, and what the others have has not changed. */
static bool lands(unsigned int at, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < NR; i++)
		if (i == at ? !holds(page[i], PAGE, seed) : holds(page[i], PAGE, seed))
			return false;
	return true;
}

/* Where a page is in memory: bits 54 to 0 of its entry are the frame. */
static __u64 physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entry = 0;

	if (pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8)
		entry = 0;
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static int open_shown(const char *name, int flags)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", shown_in, name);
	return open(path, flags);
}

/* All that is to be read from here on */
static const char *rest(int fd)
{
	static char text[65536];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += n;
	text[have] = '\0';
	return text;
}

/* What debugfs says of the page table; "" if it does not. The file of PASIDs stays open. */
static const char *dump(__u32 pasid)
{
	static int pasids = -1;
	const char *text;
	char number[12];
	int fd;

	if (pasid == NONE) {
		fd = open_shown("domain", O_RDONLY);
		text = rest(fd);
		close(fd);
		return text;
	}
	if (pasids < 0)
		pasids = open_shown("pasid_domain", O_RDWR);
	snprintf(number, sizeof(number), "%u", pasid);
	return write(pasids, number, strlen(number)) < 0 ? "" : rest(pasids);
}

/* And that is so: this page is there, or with NR none. */
static bool shown(__u32 pasid, unsigned int at)
{
	const char *text = dump(pasid), *line;
	char want[96];

	snprintf(want, sizeof(want), "\n%#018llx-%#018llx ", IOVA, IOVA + PAGE - 1);
	line = strstr(text, want);
	if (at == NR)
		return *text && !line;
	snprintf(want + strlen(want), sizeof(want) - strlen(want), "%#018llx 1 x 4K rw",
		 physical(page[at]));
	return line && !strncmp(line, want, strlen(want));
}

/* Page @i at @iova of its address space: 0 or the error. */
static int map(unsigned int i, __u64 iova)
{
	return map_page(ioas[i], iova, page[i]);
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
static bool table(unsigned int i)
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

int main(int argc, char **argv)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .iova = IOVA, .length = PAGE };
	unsigned int i;
	__u64 msi;

	if (argc != 6)
		return 2;
	msi = strtoull(argv[4], NULL, 0);
	shown_in = argv[5];
	take_device(argv + 1);
	for (i = 0; i < NR; i++) {
		expect(space(i), "an address space");
		expect(table(i), "a page table for PASIDs");
	}
	expect(master(), "the function may master the bus");

	expect(!attach(NONE, hwpt[0]), "attached");
	expect(map(0, msi) == EINVAL, "nothing can be mapped where MSIs go");
	expect(!map(0, msi - PAGE), "but below that");
	expect(!dma(NONE, 1) && lands(0, 1), "DMA without a PASID lands");
	expect(dma(PASID, 1) == EFAULT, "DMA with a PASID is refused");
	expect(shown(NONE, 0) && shown(PASID, NR), "that is what debugfs shows");
	expect(!attach(PASID, hwpt[1]), "a PASID attached");
	expect(!dma(PASID, 2) && lands(1, 2), "DMA with the PASID lands");
	expect(!dma(NONE, 3) && lands(0, 3), "DMA without a PASID still does");
	expect(shown(NONE, 0) && shown(PASID, 1), "debugfs shows both page tables");
	expect(!attach(PASID, hwpt[2]), "the PASID's table replaced");
	expect(!dma(PASID, 4) && lands(2, 4), "DMA lands in the new one");
	expect(shown(NONE, 0) && shown(PASID, 2), "debugfs shows the new one");
	expect(!attach(NONE, hwpt[3]), "the device's own replaced");
	expect(!dma(NONE, 5) && lands(3, 5), "DMA lands there");
	expect(!dma(PASID, 6) && lands(2, 6), "and the PASID's where it did");
	expect(!attach(PASID + 1, hwpt[3]), "one table for a PASID and the device");
	expect(!dma(PASID + 1, 7) && lands(3, 7), "DMA with that PASID lands");
	expect(shown(NONE, 3) && shown(PASID, 2) && shown(PASID + 1, 3), "debugfs shows all three");

	expect(attach(1U << 20, hwpt[1]), "a PASID that is too large is refused");
	expect(dma(PASID + 2, 8) == EFAULT, "one that is not attached translates nothing");
	expect(!ioctl(dev, VFIO_DEVICE_RESET), "function-level reset");
	expect(master(), "the function may master the bus again");
	expect(!dma(PASID, 9) && lands(2, 9), "the PASID works as before");
	expect(!dma(NONE, 10) && lands(3, 10), "and so does the device");

	unmap.ioas_id = ioas[2];
	expect(!ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), "unmapped");
	expect(dma(PASID, 11) == EFAULT && !lands(2, 11), "DMA is refused at once");
	expect(shown(PASID, NR), "debugfs shows nothing there");
	expect(!detach(PASID + 1) && dma(PASID + 1, 12) == EFAULT, "a PASID detached");
	expect(!strcmp(dump(PASID + 1), "pasid 6\ntype none\n"), "debugfs shows that it is");
	expect(!detach(NONE) && dma(NONE, 13) == EFAULT, "the device detached");
	expect(!attach(PASID, hwpt[1]) && !dma(PASID, 14) && lands(1, 14),
	       "a PASID needs no more than itself");
	expect(!detach(PASID) && dma(PASID, 15) == EFAULT, "the last PASID detached");
	expect(!attach(NONE, hwpt[0]) && !dma(NONE, 16) && lands(0, 16), "attached again");
	/* And the rest is the kernel's to take away. */
	expect(!attach(PASID, hwpt[1]), "left behind with a PASID");
	return 0;
}
