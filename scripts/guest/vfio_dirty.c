// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_dirty CDEV DMA DEVICE_ID: the writes of a simulated PCI function are tracked, as for a
 * migration, by iommufd's own calls. Prints each step, and which page table each combination of
 * flags gives; exit status 0 if all was as it should be.
 */
#include "vfio.h"

#define IOVA	0x10000000ULL
#define PAGES	1024
#define WORDS	(PAGES / 64)
#define PASID	5
#define FLAGS	16

static unsigned int ioas, fault;
static unsigned char *memory;
static __u64 bits[WORDS];

/* A page table with some flags: its ID, or 0. */
static unsigned int table(unsigned int flags)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = flags, .dev_id = devid, .pt_id = ioas,
		.fault_id = flags & IOMMU_HWPT_FAULT_ID_VALID ? fault : 0,
	};

	return ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc) ? 0 : alloc.out_hwpt_id;
}

static bool destroy(unsigned int id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	return !ioctl(iommufd, IOMMU_DESTROY, &destroy);
}

/* Is this combination of flags to be refused? */
static bool refused(unsigned int flags)
{
	return flags & IOMMU_HWPT_ALLOC_NEST_PARENT &&
	       flags & (IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID);
}

static bool tables(void)
{
	unsigned int flags, id;
	bool good = true;

	for (flags = 0; flags < FLAGS; flags++) {
		id = table(flags);
		printf("%c %c %c %c  %s\n", flags & 1 ? 'N' : '.', flags & 2 ? 'D' : '.',
		       flags & 4 ? 'F' : '.', flags & 8 ? 'P' : '.',
		       id ? "a page table" : strerror(errno));
		if (!id != refused(flags) || (!id && errno != EOPNOTSUPP) || (id && !destroy(id)))
			good = false;
	}
	return good;
}

static int track(unsigned int id, bool enable)
{
	struct iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set), .hwpt_id = id,
		.flags = enable ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
	};

	return ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set) ? errno : 0;
}

/* What was written to, one bit per @size bytes */
static bool look(unsigned int id, unsigned int flags, unsigned int size)
{
	struct iommu_hwpt_get_dirty_bitmap get = {
		.size = sizeof(get), .hwpt_id = id, .flags = flags, .iova = IOVA,
		.length = PAGES * PAGE, .page_size = size, .data = (unsigned long)bits,
	};

	memset(bits, 0, sizeof(bits));
	return !ioctl(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
}

/* Are just these two bits set, or one if they are the same; none if @a is NONE? */
static bool only(unsigned int a, unsigned int b)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (!(bits[i / 64] >> i % 64 & 1) != (i != a && i != b))
			return false;
	return true;
}

static bool lands(unsigned int page, unsigned int seed)
{
	return holds(memory + page * PAGE, PAGE, seed);
}

static int write_page(__u32 pasid, unsigned int page, unsigned int seed)
{
	return dma_fill(pasid, IOVA + (__u64)page * PAGE, PAGE, seed);
}

static int map_all(void)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = PAGES * PAGE, .iova = IOVA, .ioas_id = ioas,
		.user_va = (unsigned long)memory,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map) ? errno : 0;
}

/* One stage, for a requester ID or a PASID */
static void migrate(unsigned int flags, __u32 pasid, const char *name)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .iova = IOVA, .length = PAGES * PAGE, .ioas_id = ioas,
	};
	unsigned int id = table(flags | IOMMU_HWPT_ALLOC_DIRTY_TRACKING);

	printf("-- %s\n", name);
	expect(id && !attach(pasid, id), "a page table that can be tracked is attached");
	expect(!write_page(pasid, 3, 1) && lands(3, 1), "DMA lands");
	expect(!track(id, true), "tracking begins");
	expect(look(id, 0, PAGE) && only(NONE, NONE), "nothing was written to since");
	expect(!write_page(pasid, 3, 2) && !write_page(pasid, 1000, 3), "two pages are written to");
	expect(look(id, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, PAGE) && only(3, 1000),
	       "who only looks sees them");
	expect(look(id, 0, PAGE) && only(3, 1000), "and so does who clears");
	expect(look(id, 0, PAGE) && only(NONE, NONE), "once");
	expect(!write_page(pasid, 1000, 4) && lands(1000, 4), "one of them is written to again");
	expect(look(id, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, 512 * PAGE) && only(1, 1),
	       "it is in the second of two larger pages");
	expect(look(id, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, PAGE) && only(1000, 1000) &&
	       !ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), "read before the unmap, as one has to");
	expect(write_page(pasid, 1000, 5) == EFAULT, "DMA is refused");
	expect(!map_all(), "mapped again");
	expect(look(id, 0, PAGE) && only(NONE, NONE), "nobody has written there");
	expect(!write_page(pasid, 7, 6) && look(id, 0, PAGE) && only(7, 7), "one page");
	expect(!track(id, false) && !write_page(pasid, 8, 7) && lands(8, 7), "tracking ends");
	expect(!track(id, true) && look(id, 0, PAGE) && only(NONE, NONE), "and begins anew");
	expect(!detach(pasid) && destroy(id), "it goes while it is tracked");
}

int main(int argc, char **argv)
{
	struct iommu_hw_info info = { .size = sizeof(info) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_fault_alloc faults = { .size = sizeof(faults) };
	struct iommu_hwpt_alloc nested = { .size = sizeof(nested), .data_type = 1, .data_len = 8 };
	unsigned int plain, parent;

	if (argc != 4)
		return 2;
	take_device(argv + 1);
	info.dev_id = devid;
	expect(!ioctl(iommufd, IOMMU_GET_HW_INFO, &info) &&
	       info.out_capabilities & IOMMU_HW_CAP_DIRTY_TRACKING, "writes can be tracked");
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	expect(memory != MAP_FAILED && !ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc),
	       "an address space");
	ioas = alloc.out_ioas_id;
	expect(!map_all(), "mapped");
	expect(master(), "the function may master the bus");
	expect(!ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &faults), "a queue for faults");
	fault = faults.out_fault_id;

	printf("NEST_PARENT, DIRTY_TRACKING, FAULT_ID_VALID, PASID:\n");
	expect(tables(), "each combination of flags");
	plain = table(0);
	expect(plain && track(plain, true) == EOPNOTSUPP, "a plain one cannot be tracked");
	parent = table(IOMMU_HWPT_ALLOC_NEST_PARENT);
	nested.dev_id = devid;
	nested.pt_id = parent;
	nested.data_uptr = (unsigned long)bits;
	expect(parent && ioctl(iommufd, IOMMU_HWPT_ALLOC, &nested) && errno == EOPNOTSUPP,
	       "nothing can be nested");

	migrate(0, NONE, "first stage");
	migrate(IOMMU_HWPT_ALLOC_NEST_PARENT, NONE, "second stage");
	migrate(IOMMU_HWPT_ALLOC_PASID, PASID, "a PASID");
	return 0;
}
