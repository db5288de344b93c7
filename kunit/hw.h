/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests on a machine with an IOMMU: devices that do DMA when told to.
 *
 * QEMU has two: "iommu-testdev" writes a pattern, at once, and knows whether it
 * arrived; "edu" reads and writes 4 KiB of its own memory, takes 100 ms and
 * never says whether it worked. Tests use the first where it exists.
 */
#ifndef RVIOMMU_KUNIT_HW_H
#define RVIOMMU_KUNIT_HW_H

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/record.h"
#include "../src/driver/rviommu.h"

/* Spec "Fault record CAUSE field encodings" */
#define RVIOMMU_HW_LOAD_PAGE_FAULT		13
#define RVIOMMU_HW_STORE_PAGE_FAULT		15
#define RVIOMMU_HW_STORE_GUEST_PAGE_FAULT	23
#define RVIOMMU_HW_DDT_ENTRY_NOT_VALID		258

/* Spec "Fault record TTYP field encodings": untranslated write or AMO */
#define RVIOMMU_HW_TTYP_WRITE			3

/* What a buffer is filled with where no device has written. */
#define RVIOMMU_HW_POISON	0xa5

/*
 * Where tests map: within 38 bits, so that every format has it, aligned to
 * 1 GiB, and never equal to a physical address. QEMU does not cache
 * translations to the same address.
 */
#define RVIOMMU_HW_IOVA		0x1000000000UL

/**
 * struct rviommu_hw_device - a PCI function that does DMA on request
 * @name: of the model, for messages
 * @pdev: the function; NULL when the machine has none
 * @regs: its BAR 0
 * @group: its IOMMU group, which must hold nothing else
 * @ep: what the driver knows of it; NULL when it is not behind an rviommu
 * @write: write the pattern to @len bytes from @iova on. Returns 0, -EFAULT when
 *         the device was told that the write failed, -EIO when it did nothing
 * @max_len: bytes it can write at once
 * @has_status: @write can return -EFAULT
 * @claimed: DMA ownership is the test's
 * @attached: domain in force through rviommu_hw_attach(), or NULL
 * @handles: the core wants a new one with each replacement
 * @attaches: counts replacements, to take turns with @handles
 * @pasid: what rviommu_hw_attach_pasid() attached to
 * @pasid_attached: the domain there, or NULL
 *
 * One per model, static; the PCI driver of the tests fills them in between
 * rviommu_hw_init() and rviommu_hw_exit(). Tests run one after the other: no lock.
 */
struct rviommu_hw_device {
	const char *name;
	struct pci_dev *pdev;
	void __iomem *regs;
	struct iommu_group *group;
	struct rviommu_endpoint *ep;
	int (*write)(struct rviommu_hw_device *hw, u64 iova, u32 len);
	u32 max_len;
	bool has_status;
	bool claimed;
	struct iommu_domain *attached;
	struct iommu_attach_handle handles[2];
	unsigned int attaches;
	u32 pasid;
	struct iommu_domain *pasid_attached;
};

/**
 * struct rviommu_hw_buf - memory that a device may write to
 * @virt: kernel address, aligned to @size
 * @phys: physical address
 * @size: in bytes, a power of two
 * @order: of the allocation
 */
struct rviommu_hw_buf {
	u8 *virt;
	phys_addr_t phys;
	size_t size;
	unsigned int order;
};

/*
 * Replacing a domain without passing through "blocked" is for iommufd only: these
 * are exported to it, in the namespace IOMMUFD_INTERNAL, and declared in a header
 * of drivers/iommu. A test of a hitless replacement needs the same entry.
 */
int iommu_attach_group_handle(struct iommu_domain *domain, struct iommu_group *group,
			      struct iommu_attach_handle *handle);
int iommu_replace_group_handle(struct iommu_group *group, struct iommu_domain *new_domain,
			       struct iommu_attach_handle *handle);
void iommu_detach_group_handle(struct iommu_domain *domain, struct iommu_group *group);

int rviommu_hw_init(struct kunit_suite *suite);
void rviommu_hw_exit(struct kunit_suite *suite);
void rviommu_hw_test_exit(struct kunit *test);

struct rviommu_hw_device *rviommu_hw_main(struct kunit *test);
struct rviommu_hw_device *rviommu_hw_testdev(struct kunit *test);
struct rviommu_hw_device *rviommu_hw_edu(struct kunit *test);

struct rviommu_hw_buf *rviommu_hw_alloc(struct kunit *test, size_t size);
void rviommu_hw_poison(struct rviommu_hw_buf *buf);

struct iommu_domain *rviommu_hw_domain(struct kunit *test, struct rviommu_hw_device *hw,
				       bool second_stage);
int rviommu_hw_claim(struct rviommu_hw_device *hw);
int rviommu_hw_attach(struct rviommu_hw_device *hw, struct iommu_domain *domain);
void rviommu_hw_detach(struct rviommu_hw_device *hw);
void rviommu_hw_release(struct rviommu_hw_device *hw);

struct rviommu_hw_device *rviommu_hw_pasids(struct kunit *test);
int rviommu_hw_attach_pasid(struct rviommu_hw_device *hw, u32 pasid, struct iommu_domain *domain);
void rviommu_hw_detach_pasid(struct rviommu_hw_device *hw);
u64 rviommu_hw_translate(struct kunit *test, struct rviommu_hw_device *hw, u32 pasid, u64 iova);

int rviommu_hw_edu_read(struct rviommu_hw_device *hw, u64 iova, u32 len);

u64 rviommu_hw_faults(struct kunit *test, struct rviommu_hw_device *hw);
struct rviommu_fault rviommu_hw_last_fault(struct rviommu_hw_device *hw);
int rviommu_hw_invalidate(struct rviommu *iommu);

bool rviommu_hw_untouched(const struct rviommu_hw_buf *buf);
bool rviommu_hw_written(const struct rviommu_hw_buf *buf, size_t offset, size_t len);
void rviommu_hw_expect_lands(struct kunit *test, struct rviommu_hw_device *hw, u64 iova,
			     struct rviommu_hw_buf *buf, size_t offset, u32 len);
void rviommu_hw_expect_blocked(struct kunit *test, struct rviommu_hw_device *hw, u64 iova,
			       struct rviommu_hw_buf *buf);
void rviommu_hw_map(struct kunit *test, struct iommu_domain *domain, u64 iova,
		    const struct rviommu_hw_buf *buf, int prot);
void rviommu_hw_unmap(struct kunit *test, struct iommu_domain *domain, u64 iova, size_t size);

#endif /* RVIOMMU_KUNIT_HW_H */
