// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver, an IOMMU that somebody else wrote, and devices that really do
 * DMA: what arrives in memory decides.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iopoll.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/uio.h>
#include <linux/unaligned.h>

#include "../src/driver/compat.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/mem.h"
#include "../src/driver/pgtable.h"
#include "../src/driver/record.h"
#include "../src/driver/rviommu.h"
#include "hw.h"
#include "testdev.h"

#define RW	(IOMMU_READ | IOMMU_WRITE)

/* Bound of everything that waits for another thread; reached only by a bug. */
#define WAIT_US		30000000

static const struct iommu_ops *ops_of(struct rviommu_hw_device *hw)
{
	return hw->ep->iommu->core.ops;
}

/* One failure says enough: the rest of a long loop would only repeat it. */
static bool failed(struct kunit *test)
{
	return READ_ONCE(test->status) == KUNIT_FAILURE;
}

/* --- the DMA API on the default domain ---------------------------------- */

static bool translated(struct rviommu_hw_device *hw)
{
	return iommu_get_domain_for_dev(&hw->pdev->dev)->type & __IOMMU_DOMAIN_PAGING;
}

/* After dma_unmap: at once in strict mode, when the flush queue has run in lazy mode. */
static void expect_revoked(struct kunit *test, struct rviommu_hw_device *hw, dma_addr_t dma,
			   struct rviommu_hw_buf *buf)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&hw->pdev->dev);
	unsigned long end = jiffies + usecs_to_jiffies(WAIT_US);

	if (!translated(hw))
		return;
	if (domain->type == IOMMU_DOMAIN_DMA_FQ) {
		do {
			usleep_range(1000, 2000);
			rviommu_hw_poison(buf);
			hw->write(hw, dma, 4);
		} while (!rviommu_hw_untouched(buf) && time_before(jiffies, end));
	}
	rviommu_hw_expect_blocked(test, hw, dma, buf);
}

static void dma_api_single(struct kunit *test)
{
	static const struct { u32 offset, len; } cases[] = {
		{ 0, 4 }, { 0, 3 }, { 1, 7 }, { 0xffd, 6 }, { 0x1234, 1000 }, { 0xff0, 0x1020 },
	};
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, 4 * PAGE_SIZE);
	struct device *dev = &hw->pdev->dev;
	dma_addr_t dma;
	unsigned int i;

	dma = dma_map_single(dev, buf->virt, buf->size, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	if (translated(hw))
		KUNIT_EXPECT_NE(test, dma, buf->phys);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		if (cases[i].len <= hw->max_len)
			rviommu_hw_expect_lands(test, hw, dma + cases[i].offset, buf,
						cases[i].offset, cases[i].len);
	if (hw->max_len >= buf->size)
		rviommu_hw_expect_lands(test, hw, dma, buf, 0, buf->size);
	dma_unmap_single(dev, dma, buf->size, DMA_FROM_DEVICE);
	expect_revoked(test, hw, dma, buf);
}

static void dma_api_coherent(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct device *dev = &hw->pdev->dev;
	struct rviommu_hw_buf buf = { .size = 16 * PAGE_SIZE };
	dma_addr_t dma;

	buf.virt = dma_alloc_coherent(dev, buf.size, &dma, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf.virt);
	rviommu_hw_expect_lands(test, hw, dma, &buf, 0, 4);
	rviommu_hw_expect_lands(test, hw, dma + buf.size - 4, &buf, buf.size - 4, 4);
	rviommu_hw_expect_lands(test, hw, dma, &buf, 0, min_t(size_t, buf.size, hw->max_len));
	dma_free_coherent(dev, buf.size, buf.virt, dma);
}

/* Pages from all over become one range for the device. */
static void dma_api_scattered(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_testdev(test);
	struct device *dev = &hw->pdev->dev;
	struct rviommu_hw_buf *bufs[32];
	struct scatterlist sgl[ARRAY_SIZE(bufs)];
	struct sg_table sgt = { .sgl = sgl, .orig_nents = ARRAY_SIZE(bufs) };
	unsigned int i;

	if (!translated(hw))
		kunit_skip(test, "the default domain is identity");
	sg_init_table(sgl, ARRAY_SIZE(bufs));
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = rviommu_hw_alloc(test, PAGE_SIZE);
	/* Not in the order in which they lie in memory. */
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		sg_set_buf(&sgl[i], bufs[i * 5 % ARRAY_SIZE(bufs)]->virt, PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, dma_map_sgtable(dev, &sgt, DMA_FROM_DEVICE, 0), 0);
	KUNIT_EXPECT_EQ(test, sgt.nents, 1);
	KUNIT_EXPECT_EQ(test, hw->write(hw, sg_dma_address(sgl), sg_dma_len(sgl)), 0);
	dma_unmap_sgtable(dev, &sgt, DMA_FROM_DEVICE, 0);
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		KUNIT_EXPECT_TRUE_MSG(test, rviommu_hw_written(bufs[i], 0, PAGE_SIZE),
				      "page %u", i);
}

/* Read through one mapping, write through another: the same bytes. */
static void dma_api_read(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_edu(test);
	struct rviommu_hw_buf *from = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *to = rviommu_hw_alloc(test, PAGE_SIZE);
	struct device *dev = &hw->pdev->dev;
	dma_addr_t src, dst;
	unsigned int i;

	for (i = 0; i < from->size; i++)
		from->virt[i] = i * 7 + (i >> 8);
	src = dma_map_single(dev, from->virt, from->size, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, src));
	dst = dma_map_single(dev, to->virt, to->size, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, dst)) {
		KUNIT_FAIL(test, "cannot map");
	} else {
		KUNIT_EXPECT_EQ(test, rviommu_hw_edu_read(hw, src, from->size), 0);
		KUNIT_EXPECT_EQ(test, hw->write(hw, dst, to->size), 0);
		dma_unmap_single(dev, dst, to->size, DMA_FROM_DEVICE);
	}
	dma_unmap_single(dev, src, from->size, DMA_TO_DEVICE);
	KUNIT_EXPECT_MEMEQ(test, to->virt, from->virt, from->size);
}

/* What the DMA API mapped is in force again after somebody else had the device. */
static void dma_api_after_owner(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *other = rviommu_hw_alloc(test, PAGE_SIZE);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct device *dev = &hw->pdev->dev;
	dma_addr_t dma;

	dma = dma_map_single(dev, buf->virt, buf->size, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, dma));
	rviommu_hw_expect_lands(test, hw, dma, buf, 0, 4);
	KUNIT_EXPECT_EQ(test, rviommu_hw_claim(hw), 0);
	rviommu_hw_expect_blocked(test, hw, dma, buf);
	KUNIT_EXPECT_EQ(test, iommu_map(domain, round_down(dma, PAGE_SIZE), other->phys, PAGE_SIZE,
					RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_expect_lands(test, hw, dma, other, offset_in_page(dma), 4);
	rviommu_hw_release(hw);
	rviommu_hw_expect_lands(test, hw, dma, buf, 0, 4);
	dma_unmap_single(dev, dma, buf->size, DMA_FROM_DEVICE);
}

/* --- identity and blocking ---------------------------------------------- */

static void identity(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, SZ_64K);

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, ops_of(hw)->identity_domain), 0);
	rviommu_hw_expect_lands(test, hw, buf->phys, buf, 0, 4);
	rviommu_hw_expect_lands(test, hw, buf->phys + SZ_64K - 4, buf, SZ_64K - 4, 4);
	rviommu_hw_detach(hw);
	rviommu_hw_expect_blocked(test, hw, buf->phys, buf);
}

/* The last fault is of this device and says what it should. */
static void expect_fault(struct kunit *test, struct rviommu_hw_device *hw, u16 cause, u64 iova)
{
	struct rviommu_fault fault = rviommu_hw_last_fault(hw);

	KUNIT_EXPECT_EQ(test, fault.cause, cause);
	KUNIT_EXPECT_EQ(test, fault.ttyp, RVIOMMU_HW_TTYP_WRITE);
	KUNIT_EXPECT_EQ(test, fault.did, hw->ep->ids[0]);
	KUNIT_EXPECT_EQ(test, fault.did, pci_dev_id(hw->pdev));
	KUNIT_EXPECT_EQ(test, fault.iotval, iova);
}

static void blocking(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_fault fault;
	u64 before;

	KUNIT_ASSERT_EQ(test, rviommu_hw_claim(hw), 0);
	before = rviommu_hw_faults(test, hw);
	rviommu_hw_expect_blocked(test, hw, buf->phys, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 1);
	fault = rviommu_hw_last_fault(hw);
	KUNIT_EXPECT_EQ(test, fault.cause, RVIOMMU_HW_DDT_ENTRY_NOT_VALID);
	KUNIT_EXPECT_EQ(test, fault.did, pci_dev_id(hw->pdev));

	rviommu_hw_release(hw);
	rviommu_hw_expect_blocked(test, hw, 0x1000, buf);
}

/* --- paging domains of our own ------------------------------------------ */

struct kind {
	const char *name;
	bool second_stage;
	size_t size;
};

static const struct kind kinds[] = {
	{ "first stage, 4 KiB", false, SZ_4K },
	{ "first stage, 64 KiB", false, SZ_64K },
	{ "first stage, 2 MiB", false, SZ_2M },
	{ "first stage, 1 GiB", false, SZ_1G },
	{ "second stage, 4 KiB", true, SZ_4K },
	{ "second stage, 64 KiB", true, SZ_64K },
	{ "second stage, 2 MiB", true, SZ_2M },
	{ "second stage, 1 GiB", true, SZ_1G },
};

KUNIT_ARRAY_PARAM_DESC(kinds, kinds, name);

static const struct kind large[] = {
	{ "first stage, 64 KiB", false, SZ_64K },
	{ "first stage, 2 MiB", false, SZ_2M },
	{ "first stage, 1 GiB", false, SZ_1G },
	{ "second stage, 64 KiB", true, SZ_64K },
	{ "second stage, 2 MiB", true, SZ_2M },
	{ "second stage, 1 GiB", true, SZ_1G },
};

KUNIT_ARRAY_PARAM_DESC(large, large, name);

static const struct kind stages[] = {
	{ "first stage", false, SZ_4K },
	{ "second stage", true, SZ_4K },
};

KUNIT_ARRAY_PARAM_DESC(stages, stages, name);

/* Sizes of the leaves seen in a range, or'ed. */
static int collect_sizes(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	*(unsigned long *)arg |= BIT(size_lg2);
	return 0;
}

static unsigned long leaf_sizes(struct iommu_domain *domain, u64 iova, size_t size)
{
	unsigned long sizes = 0;

	rviommu_pgtable_for_each(&to_rviommu_domain(domain)->pt, iova, iova + size - 1,
				 collect_sizes, &sizes);
	return sizes;
}

/*
 * One mapping of a size, in the largest leaves there are for it. For 1 GiB only
 * a part of the memory that is mapped is ours: DMA goes there.
 */
static void map_size(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, min_t(size_t, kind->size, SZ_2M));
	phys_addr_t base = round_down(buf->phys, kind->size);
	u64 iova = RVIOMMU_HW_IOVA + (buf->phys - base);
	const size_t step = hw->has_status ? SZ_4K : max_t(size_t, buf->size / 2, SZ_4K);
	unsigned long leaf = rounddown_pow_of_two(domain->pgsize_bitmap & (2 * kind->size - 1));
	u64 before;
	size_t at;

	KUNIT_ASSERT_EQ(test, iommu_map(domain, RVIOMMU_HW_IOVA, base, kind->size, RW,
					GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, leaf_sizes(domain, RVIOMMU_HW_IOVA, kind->size), leaf);
	if (kind->size != SZ_64K)
		KUNIT_EXPECT_EQ(test, leaf, kind->size);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, iova + 5), buf->phys + 5);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);

	before = rviommu_hw_faults(test, hw);
	rviommu_hw_expect_lands(test, hw, iova, buf, 0, 4);
	rviommu_hw_expect_lands(test, hw, iova + 0x7fd, buf, 0x7fd, 3);
	rviommu_hw_expect_lands(test, hw, iova + buf->size - 4, buf, buf->size - 4, 4);
	if (buf->size > SZ_4K)
		rviommu_hw_expect_lands(test, hw, iova + 0x1ffe, buf, 0x1ffe, 4);
	/* Every page is in the IOMMU's cache now. */
	if (buf->size <= hw->max_len)
		rviommu_hw_expect_lands(test, hw, iova, buf, 0, buf->size);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before);

	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, kind->size);
	for (at = 0; at < buf->size && !failed(test); at += step)
		rviommu_hw_expect_blocked(test, hw, iova + at, buf);
}

/* The device may not write where it may only read. */
static void read_only(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	u64 before;

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, IOMMU_READ);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	before = rviommu_hw_faults(test, hw);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + 8, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 1);
	expect_fault(test, hw, kind->second_stage ? RVIOMMU_HW_STORE_GUEST_PAGE_FAULT :
		     RVIOMMU_HW_STORE_PAGE_FAULT, RVIOMMU_HW_IOVA + 8);

	/* The same IOVA with more rights. */
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + 8, buf, 8, 4);
	/* And with fewer again. */
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, IOMMU_READ);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + 8, buf);
}

/* Every set of rights that lets a device write does. */
static void writable(struct kunit *test)
{
	static const int prots[] = {
		IOMMU_WRITE, RW, RW | IOMMU_CACHE, RW | IOMMU_NOEXEC, RW | IOMMU_MMIO,
		RW | IOMMU_CACHE | IOMMU_NOEXEC,
		/* A hint: requests have user privilege, whatever is asked. */
		RW | IOMMU_PRIV, IOMMU_WRITE | IOMMU_PRIV,
	};
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, prots[i]);
		rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + 16, buf, 16, 4);
		rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
		rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + 16, buf);
	}
}

/*
 * Two devices in one domain: edu reads through a read-only mapping, which puts
 * it into the cache; then a write of the other through the same entry is
 * refused. QEMU reports no fault for that, so none is asked for.
 */
static void read_only_cached(struct kunit *test)
{
	struct rviommu_hw_device *writer = rviommu_hw_testdev(test);
	struct rviommu_hw_device *reader = rviommu_hw_edu(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, writer, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *to = rviommu_hw_alloc(test, PAGE_SIZE);
	unsigned int i;

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, IOMMU_READ);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA + SZ_1M, to, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(reader, domain), 0);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(writer, domain), 0);
	for (i = 0; i < buf->size; i++)
		buf->virt[i] = i * 3 + 1;
	KUNIT_EXPECT_EQ(test, rviommu_hw_edu_read(reader, RVIOMMU_HW_IOVA, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, reader->write(reader, RVIOMMU_HW_IOVA + SZ_1M, PAGE_SIZE), 0);
	KUNIT_EXPECT_MEMEQ(test, to->virt, buf->virt, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, writer, RVIOMMU_HW_IOVA, buf);
	rviommu_hw_expect_lands(test, writer, RVIOMMU_HW_IOVA + SZ_1M, to, 0, 4);

	/* One unmap for both. */
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA + SZ_1M, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, writer, RVIOMMU_HW_IOVA + SZ_1M, to);
	rviommu_hw_expect_blocked(test, reader, RVIOMMU_HW_IOVA + SZ_1M, to);
}

static void unmapped(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, 2 * PAGE_SIZE);
	u16 cause = kind->second_stage ? RVIOMMU_HW_STORE_GUEST_PAGE_FAULT :
		    RVIOMMU_HW_STORE_PAGE_FAULT;
	const u64 iova = RVIOMMU_HW_IOVA;
	u64 before;

	rviommu_hw_map(test, domain, iova, buf, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	before = rviommu_hw_faults(test, hw);

	/* The page before, the page after, the physical address, far away. */
	rviommu_hw_expect_blocked(test, hw, iova - 4, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 1);
	expect_fault(test, hw, cause, iova - 4);
	rviommu_hw_expect_blocked(test, hw, iova + buf->size, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 2);
	expect_fault(test, hw, cause, iova + buf->size);
	rviommu_hw_expect_blocked(test, hw, buf->phys, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 3);
	expect_fault(test, hw, cause, buf->phys);
	rviommu_hw_expect_blocked(test, hw, 0x123456789a8, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 4);
	expect_fault(test, hw, cause, 0x123456789a8);

	/* Out of the mapped range: what is inside arrives, the rest is reported. */
	rviommu_hw_poison(buf);
	KUNIT_EXPECT_EQ(test, hw->write(hw, iova + buf->size - 8, 12),
			hw->has_status ? -EFAULT : 0);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_written(buf, buf->size - 8, 8));
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 5);
	expect_fault(test, hw, cause, iova + buf->size);
}

/* The same IOVA leads to one page after the other, and to nowhere in between. */
static void map_again(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *bufs[] = {
		rviommu_hw_alloc(test, PAGE_SIZE), rviommu_hw_alloc(test, PAGE_SIZE),
	};
	unsigned int i, rounds = hw->has_status ? 100 : 4;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	for (i = 0; i < rounds && !failed(test); i++) {
		struct rviommu_hw_buf *now = bufs[i & 1], *then = bufs[~i & 1];

		rviommu_hw_poison(then);
		rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, now, RW);
		rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + 4 * i, now, 4 * i, 4);
		KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(then));
		rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
		rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + 4 * i, now);
	}
}

/*
 * Several single pages in one call, around the number up to which each gets a
 * command of its own: the first, the last and all between are gone.
 */
static void unmap_pages(struct kunit *test)
{
	static const unsigned int counts[] = { 2, 5, 31, 32, 33 };
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_testdev(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	/* Not at the beginning of a larger leaf. */
	const u64 iova = RVIOMMU_HW_IOVA + PAGE_SIZE;
	unsigned int i, n;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		for (n = 0; n < counts[i]; n++) {
			rviommu_hw_map(test, domain, iova + n * PAGE_SIZE, buf, RW);
			rviommu_hw_expect_lands(test, hw, iova + n * PAGE_SIZE, buf, 0, 4);
		}
		rviommu_hw_unmap(test, domain, iova, counts[i] * PAGE_SIZE);
		for (n = 0; n < counts[i] && !failed(test); n++)
			rviommu_hw_expect_blocked(test, hw, iova + n * PAGE_SIZE, buf);
	}
}

/* 512 single pages, gone in one call, make room for one large leaf. */
static void unmap_table(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *small = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *large = rviommu_hw_alloc(test, SZ_2M);
	size_t step = hw->has_status ? SZ_4K : SZ_1M, at;
	long live;

	/* The tables above exist before and after. */
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA - SZ_2M, small, RW);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA + SZ_2M, small, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	live = testdev_live();
	for (at = 0; at < SZ_2M; at += PAGE_SIZE)
		KUNIT_ASSERT_EQ(test, iommu_map(domain, RVIOMMU_HW_IOVA + at, small->phys,
						PAGE_SIZE, RW, GFP_KERNEL), 0);
	for (at = 0; at < SZ_2M && !failed(test); at += step)
		rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + at + 12, small, 12, 4);

	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, SZ_2M);
	for (at = 0; at < SZ_2M && !failed(test); at += step)
		rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + at + 12, small);

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, large, RW);
	KUNIT_EXPECT_EQ(test, leaf_sizes(domain, RVIOMMU_HW_IOVA, SZ_2M), SZ_2M);
	for (at = 0; at < SZ_2M && !failed(test); at += step)
		rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + at + 12, large, at + 12, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(small));
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, SZ_2M);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, large);
	/* The page of the table came back. */
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* A table that became empty page by page gives way to a large leaf. */
static void map_over_empty_table(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *small = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *large = rviommu_hw_alloc(test, SZ_2M);

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA + SZ_1M, small, RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + SZ_1M, small, 0, 4);
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA + SZ_1M, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + SZ_1M, small);

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, large, RW);
	KUNIT_EXPECT_EQ(test, leaf_sizes(domain, RVIOMMU_HW_IOVA, SZ_2M), SZ_2M);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA + SZ_1M, large, SZ_1M, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(small));
}

/* A page out of the middle of a large leaf: a hole, and all around it as before. */
static void unmap_part(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, min_t(size_t, kind->size, SZ_2M));
	struct rviommu_hw_buf *other = rviommu_hw_alloc(test, PAGE_SIZE);
	phys_addr_t base = round_down(buf->phys, kind->size);
	u64 iova = RVIOMMU_HW_IOVA + (buf->phys - base);
	size_t hole = buf->size / 2;

	KUNIT_ASSERT_EQ(test, iommu_map(domain, RVIOMMU_HW_IOVA, base, kind->size, RW,
					GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_expect_lands(test, hw, iova + hole, buf, hole, 4);
	rviommu_hw_expect_lands(test, hw, iova + hole - 4, buf, hole - 4, 4);

	rviommu_hw_unmap(test, domain, iova + hole, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, hw, iova + hole, buf);
	rviommu_hw_expect_blocked(test, hw, iova + hole + PAGE_SIZE - 4, buf);
	rviommu_hw_expect_lands(test, hw, iova + hole - 4, buf, hole - 4, 4);
	rviommu_hw_expect_lands(test, hw, iova + hole + PAGE_SIZE, buf, hole + PAGE_SIZE, 4);
	rviommu_hw_expect_lands(test, hw, iova, buf, 0, 4);
	rviommu_hw_expect_lands(test, hw, iova + buf->size - 4, buf, buf->size - 4, 4);
	KUNIT_EXPECT_EQ(test, leaf_sizes(domain, iova + hole - PAGE_SIZE, PAGE_SIZE), SZ_4K);

	rviommu_hw_map(test, domain, iova + hole, other, RW);
	rviommu_hw_poison(buf);
	rviommu_hw_expect_lands(test, hw, iova + hole + 8, other, 8, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(buf));
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, kind->size);
	rviommu_hw_expect_blocked(test, hw, iova + hole, other);
	rviommu_hw_expect_blocked(test, hw, iova, buf);
}

/* Sign extension: the upper half of a first stage. */
static void upper_half(struct kunit *test)
{
	static const u64 iovas[] = { 0xffffffc000000000, 0xfffffffffffff000 };
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	for (i = 0; i < ARRAY_SIZE(iovas); i++) {
		rviommu_hw_expect_blocked(test, hw, iovas[i] + 0x20, buf);
		rviommu_hw_map(test, domain, iovas[i], buf, RW);
		rviommu_hw_expect_lands(test, hw, iovas[i] + 0x20, buf, 0x20, 4);
		rviommu_hw_unmap(test, domain, iovas[i], PAGE_SIZE);
		rviommu_hw_expect_blocked(test, hw, iovas[i] + 0x20, buf);
	}
}

/* The last page of what the domain says it translates, and the first beyond. */
static void aperture_end(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	u64 end = domain->geometry.aperture_end;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_map(test, domain, end + 1 - PAGE_SIZE, buf, RW);
	rviommu_hw_expect_lands(test, hw, end - 3, buf, PAGE_SIZE - 4, 4);
	rviommu_hw_expect_blocked(test, hw, end + 1, buf);
	KUNIT_EXPECT_NE(test, iommu_map(domain, end + 1, buf->phys, PAGE_SIZE, RW, GFP_KERNEL), 0);
	rviommu_hw_expect_blocked(test, hw, end + 1, buf);
	rviommu_hw_expect_lands(test, hw, end - 3, buf, PAGE_SIZE - 4, 4);
}

/* Invalidation on the caller's terms: gathered, and deferred to a flush of all. */
static void unmap_gathered(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, SZ_64K);
	struct rviommu_hw_buf *page = rviommu_hw_alloc(test, PAGE_SIZE);
	struct iommu_iotlb_gather gather;
	const u64 iova = RVIOMMU_HW_IOVA;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	/* Single pages here and there: not one range. */
	for (i = 0; i < 4; i++) {
		rviommu_hw_map(test, domain, iova + i * SZ_8K, page, RW);
		rviommu_hw_expect_lands(test, hw, iova + i * SZ_8K, page, 0, 4);
	}
	iommu_iotlb_gather_init(&gather);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, iova + i * SZ_8K, PAGE_SIZE,
						       &gather), PAGE_SIZE);
	iommu_iotlb_sync(domain, &gather);
	for (i = 0; i < 4; i++)
		rviommu_hw_expect_blocked(test, hw, iova + i * SZ_8K, page);

	rviommu_hw_map(test, domain, iova, buf, RW);
	rviommu_hw_map(test, domain, iova + SZ_64K, buf, RW);
	rviommu_hw_map(test, domain, iova + SZ_2M, buf, RW);
	rviommu_hw_expect_lands(test, hw, iova, buf, 0, 4);
	rviommu_hw_expect_lands(test, hw, iova + SZ_64K + 0x5000, buf, 0x5000, 4);
	rviommu_hw_expect_lands(test, hw, iova + SZ_2M + 0xf000, buf, 0xf000, 4);
	iommu_iotlb_gather_init(&gather);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, iova, SZ_64K, &gather), SZ_64K);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, iova + SZ_64K, SZ_64K, &gather), SZ_64K);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, iova + SZ_2M, SZ_64K, &gather), SZ_64K);
	iommu_iotlb_sync(domain, &gather);
	rviommu_hw_expect_blocked(test, hw, iova, buf);
	rviommu_hw_expect_blocked(test, hw, iova + SZ_64K + 0x5000, buf);
	rviommu_hw_expect_blocked(test, hw, iova + SZ_2M + 0xf000, buf);

	rviommu_hw_map(test, domain, iova, buf, RW);
	rviommu_hw_expect_lands(test, hw, iova + 0x3000, buf, 0x3000, 4);
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(domain, iova, SZ_64K, &gather), SZ_64K);
	iommu_flush_iotlb_all(domain);
	rviommu_hw_expect_blocked(test, hw, iova + 0x3000, buf);
}

/* --- attach and replace -------------------------------------------------- */

/* The plain way in and out that drivers use. */
static void attach_group(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_claim(hw), 0);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, buf);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(domain, hw->group), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf, 0, 4);
	iommu_detach_group(domain, hw->group);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, buf);
}

/* Two devices, two domains, one IOVA. */
static void devices_apart(struct kunit *test)
{
	struct rviommu_hw_device *one = rviommu_hw_testdev(test);
	struct rviommu_hw_device *two = rviommu_hw_edu(test);
	struct iommu_domain *first = rviommu_hw_domain(test, one, false);
	struct iommu_domain *second = rviommu_hw_domain(test, two, false);
	struct rviommu_hw_buf *a = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *b = rviommu_hw_alloc(test, PAGE_SIZE);

	rviommu_hw_map(test, first, RVIOMMU_HW_IOVA, a, RW);
	rviommu_hw_map(test, second, RVIOMMU_HW_IOVA, b, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(one, first), 0);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(two, second), 0);
	rviommu_hw_expect_lands(test, one, RVIOMMU_HW_IOVA, a, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(b));
	rviommu_hw_poison(a);
	rviommu_hw_expect_lands(test, two, RVIOMMU_HW_IOVA, b, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(a));

	/* What happens to one is nothing to the other. */
	rviommu_hw_unmap(test, second, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_expect_lands(test, one, RVIOMMU_HW_IOVA, a, 0, 4);
	rviommu_hw_expect_blocked(test, two, RVIOMMU_HW_IOVA, b);
	rviommu_hw_release(two);
	rviommu_hw_expect_lands(test, one, RVIOMMU_HW_IOVA, a, 0, 4);
	/* Now both in one. */
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(two, first), 0);
	rviommu_hw_expect_lands(test, two, RVIOMMU_HW_IOVA, a, 0, 4);
	/* The one that leaves takes nothing from the one that stays. */
	rviommu_hw_detach(one);
	rviommu_hw_expect_blocked(test, one, RVIOMMU_HW_IOVA, a);
	rviommu_hw_expect_lands(test, two, RVIOMMU_HW_IOVA, a, 0, 4);
	rviommu_hw_unmap(test, first, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, two, RVIOMMU_HW_IOVA, a);
}

/* What changed in a domain while it was attached nowhere is in force afterwards. */
static void attach_again(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *a = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *b = rviommu_hw_alloc(test, PAGE_SIZE);

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, a, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, a, 0, 4);
	rviommu_hw_detach(hw);
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, b, RW);
	rviommu_hw_poison(a);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, b, 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(a));
}

/* A new domain gets the tag of one that is gone: nothing of that is left in a cache. */
static void tag_used_again(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct rviommu_hw_buf *bufs[] = {
		rviommu_hw_alloc(test, PAGE_SIZE), rviommu_hw_alloc(test, PAGE_SIZE),
	};
	unsigned int i, again = 0, rounds = hw->has_status ? 20 : 3;
	u32 tag, last = 0;

	if (READ_ONCE(hw->ep->iommu->mutate))
		kunit_skip(test, "frees what stale entries of a mutation run would lead to");
	for (i = 0; i < rounds; i++) {
		struct iommu_domain *domain = kind->second_stage ?
			rviommu_alloc_nest_parent(&hw->pdev->dev) :
			iommu_paging_domain_alloc(&hw->pdev->dev);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
		tag = kind->second_stage ? to_rviommu_domain(domain)->space.gscid :
		      to_rviommu_domain(domain)->space.pscid;
		again += tag == last;
		last = tag;
		rviommu_hw_poison(bufs[~i & 1]);
		KUNIT_EXPECT_EQ(test, iommu_map(domain, RVIOMMU_HW_IOVA, bufs[i & 1]->phys,
						PAGE_SIZE, RW, GFP_KERNEL), 0);
		KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, domain), 0);
		rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, bufs[i & 1], 0, 4);
		KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(bufs[~i & 1]));
		rviommu_hw_detach(hw);
		/* With the mapping in it. */
		iommu_domain_free(domain);
	}
	KUNIT_EXPECT_GT_MSG(test, again, 0, "no tag was used twice: this shows nothing");
}

/**
 * struct hammer - a thread that makes a device write while something changes
 * @hw: the device
 * @iova: where it writes 4 bytes, over and over
 * @bufs: where they may land, at offset 0; one per domain that is attached in turn
 * @nr: used entries of @bufs
 * @seq: odd while the domain is being replaced; written by the test
 * @now: the buffer that the domain in force leads to, while @seq is even
 * @hits: how often each was hit
 * @writes: how often the device wrote
 * @failed: how often it was told that the write failed
 * @lost: how often the bytes were in no buffer
 * @twice: how often they were in more than one
 * @steady: how often nothing was replaced during a write
 * @wrong: how often the bytes then were in another buffer than @now
 *
 * Counters are written by the thread; read by the test while it runs, with
 * READ_ONCE, or after it ended.
 */
struct hammer {
	struct rviommu_hw_device *hw;
	u64 iova;
	struct rviommu_hw_buf *bufs[4];
	unsigned int nr;
	unsigned int seq;
	unsigned int now;
	unsigned long hits[4];
	unsigned long writes;
	unsigned long failed;
	unsigned long lost;
	unsigned long twice;
	unsigned long steady;
	unsigned long wrong;
};

static int hammer_thread(void *arg)
{
	struct hammer *h = arg;

	while (!kthread_should_stop()) {
		unsigned int i, seq, now, last = 0, landed = 0;

		for (i = 0; i < h->nr; i++)
			memset(h->bufs[i]->virt, RVIOMMU_HW_POISON, 4);
		dma_wmb();
		/* Pairs with the release in replace_under_dma(). */
		seq = smp_load_acquire(&h->seq);
		now = READ_ONCE(h->now);
		h->failed += !!h->hw->write(h->hw, h->iova, 4);
		dma_rmb();
		for (i = 0; i < h->nr; i++) {
			if (!rviommu_hw_written(h->bufs[i], 0, 4))
				continue;
			WRITE_ONCE(h->hits[i], h->hits[i] + 1);
			landed++;
			last = i;
		}
		if (!(seq & 1) && seq == READ_ONCE(h->seq)) {
			WRITE_ONCE(h->steady, h->steady + 1);
			h->wrong += landed && last != now;
		}
		h->lost += !landed;
		h->twice += landed > 1;
		WRITE_ONCE(h->writes, h->writes + 1);
		cond_resched();
	}
	return 0;
}

/* Enough was seen: each buffer was hit, and DMA went on all the time. */
static bool hammer_enough(const struct hammer *h)
{
	unsigned int i;

	for (i = 0; i < h->nr; i++)
		if (!READ_ONCE(h->hits[i]))
			return false;
	return READ_ONCE(h->steady) >= (h->hw->has_status ? 500 : 3) &&
	       READ_ONCE(h->writes) >= READ_ONCE(h->steady) + (h->hw->has_status ? 500 : 3);
}

/* Let it write undisturbed: twice, because the first one may be under way. */
static void hammer_breathe(const struct hammer *h)
{
	unsigned long end = jiffies + usecs_to_jiffies(WAIT_US);
	unsigned long writes = READ_ONCE(h->writes);

	while (READ_ONCE(h->writes) < writes + 2 && time_before(jiffies, end))
		cond_resched();
}

/*
 * Replace in turn while the device writes: each write succeeds and lands where
 * one of the domains leads; one that begins after a replacement, and ends before
 * the next, where the new one does. @domains[i] leads to bufs[i].
 */
static void replace_under_dma(struct kunit *test, struct hammer *h, struct iommu_domain **domains,
			      unsigned int nr, unsigned int rounds)
{
	unsigned long end = jiffies + usecs_to_jiffies(2 * WAIT_US);
	struct task_struct *thread;
	unsigned int i, errors = 0;
	u64 before;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(h->hw, domains[0]), 0);
	before = rviommu_hw_faults(test, h->hw);
	thread = kthread_run(hammer_thread, h, "rviommu_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	for (i = 1; i < rounds || (!hammer_enough(h) && time_before(jiffies, end)); i++) {
		/* The attach in between is full of barriers. */
		WRITE_ONCE(h->seq, h->seq + 1);
		errors += !!rviommu_hw_attach(h->hw, domains[i % nr]);
		WRITE_ONCE(h->now, i % nr);
		/* Pairs with the acquire in hammer_thread(). */
		smp_store_release(&h->seq, h->seq + 1);
		if (i % (h->hw->has_status ? 3 : 333) == 0)
			hammer_breathe(h);
		cond_resched();
	}
	kthread_stop(thread);

	KUNIT_EXPECT_EQ(test, errors, 0);
	KUNIT_EXPECT_TRUE_MSG(test, hammer_enough(h), "too few writes to say anything");
	KUNIT_EXPECT_EQ_MSG(test, h->failed, 0, "of %lu writes", h->writes);
	KUNIT_EXPECT_EQ_MSG(test, h->lost, 0, "of %lu writes", h->writes);
	KUNIT_EXPECT_EQ_MSG(test, h->twice, 0, "of %lu writes", h->writes);
	KUNIT_EXPECT_EQ_MSG(test, h->wrong, 0, "of %lu writes", h->steady);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, h->hw), before);
	kunit_info(test, "%u replacements, %lu writes, %lu between: %lu %lu %lu %lu\n", i,
		   h->writes, h->steady, h->hits[0], h->hits[1], h->hits[2], h->hits[3]);
}

static void replace_hitless(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domains[] = {
		rviommu_hw_domain(test, hw, false), rviommu_hw_domain(test, hw, false),
	};
	struct hammer h = { .hw = hw, .iova = RVIOMMU_HW_IOVA, .nr = 2 };
	unsigned int i;
	long live;

	for (i = 0; i < 2; i++) {
		h.bufs[i] = rviommu_hw_alloc(test, PAGE_SIZE);
		rviommu_hw_map(test, domains[i], RVIOMMU_HW_IOVA, h.bufs[i], RW);
	}
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domains[0]), 0);
	live = testdev_live();
	replace_under_dma(test, &h, domains, 2, 2000);
	/* Replaced directory pages came back; what attachments cost does not grow. */
	KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, domains[0]), 0);
	testdev_barrier();
	KUNIT_EXPECT_LE(test, rviommu_mem_live(), live + 1);
	/* And the last one is really in force. */
	rviommu_hw_poison(h.bufs[1]);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, h.bufs[0], 0, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_untouched(h.bufs[1]));
}

/* Between all kinds of domains, each with a page of its own behind one IOVA. */
static void replace_kinds_hitless(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domains[] = {
		rviommu_hw_domain(test, hw, false), ops_of(hw)->identity_domain,
		rviommu_hw_domain(test, hw, true), rviommu_hw_domain(test, hw, false),
	};
	struct hammer h = { .hw = hw, .nr = 4 };
	unsigned int i;

	for (i = 0; i < 4; i++)
		h.bufs[i] = rviommu_hw_alloc(test, PAGE_SIZE);
	h.iova = h.bufs[1]->phys;
	for (i = 0; i < 4; i++)
		if (i != 1)
			rviommu_hw_map(test, domains[i], h.iova, h.bufs[i], RW);
	replace_under_dma(test, &h, domains, 4, 2000);
}

/*
 * While one device writes without a pause, the other device's context, in the
 * same page of the directory, is replaced.
 */
static void neighbour_unharmed(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_testdev(test);
	struct rviommu_hw_device *other = rviommu_hw_edu(test);
	struct iommu_domain *domains[] = {
		rviommu_hw_domain(test, other, false), rviommu_hw_domain(test, other, false),
	};
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct hammer h = { .hw = hw, .iova = RVIOMMU_HW_IOVA, .nr = 1 };
	unsigned long end = jiffies + usecs_to_jiffies(2 * WAIT_US);
	struct task_struct *thread;
	unsigned int i, errors = 0;
	u64 before;

	h.bufs[0] = rviommu_hw_alloc(test, PAGE_SIZE);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, h.bufs[0], RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	before = rviommu_hw_faults(test, hw);
	thread = kthread_run(hammer_thread, &h, "rviommu_hammer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	for (i = 0; i < 1000 || (READ_ONCE(h.writes) < 1000 && time_before(jiffies, end)); i++) {
		if (i % 10 == 9)
			rviommu_hw_detach(other);
		else
			errors += !!rviommu_hw_attach(other, domains[i & 1]);
		cond_resched();
	}
	kthread_stop(thread);
	KUNIT_EXPECT_EQ(test, errors, 0);
	KUNIT_EXPECT_GE_MSG(test, h.writes, 1000, "too few writes to say anything");
	KUNIT_EXPECT_EQ_MSG(test, h.failed, 0, "of %lu writes", h.writes);
	KUNIT_EXPECT_EQ_MSG(test, h.lost, 0, "of %lu writes", h.writes);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before);
}

/**
 * struct churn - a thread that changes something, over and over
 * @hw: the device whose domain it replaces, in turn by @domains; or NULL
 * @domains: domains to attach; or in the first of them it maps and unmaps @buf
 * @buf: what it maps
 * @iova: where
 * @rounds: how often it did. Written by the thread, read with READ_ONCE.
 * @errors: how often that failed. For the test after the thread ended.
 */
struct churn {
	struct rviommu_hw_device *hw;
	struct iommu_domain *domains[2];
	struct rviommu_hw_buf *buf;
	u64 iova;
	unsigned long rounds;
	unsigned long errors;
};

static int churn_thread(void *arg)
{
	struct churn *c = arg;
	unsigned long i;

	for (i = 0; !kthread_should_stop(); i++) {
		u64 iova = c->iova + i % 64 * SZ_64K;

		if (c->hw) {
			c->errors += !!rviommu_hw_attach(c->hw, c->domains[i & 1]);
		} else {
			c->errors += !!iommu_map(c->domains[0], iova, c->buf->phys, c->buf->size,
						 RW, GFP_KERNEL);
			c->errors += iommu_unmap(c->domains[0], iova, c->buf->size) !=
				     c->buf->size;
		}
		WRITE_ONCE(c->rounds, i + 1);
		cond_resched();
	}
	return 0;
}

/*
 * Map, write, unmap, write again, while a thread is busy: what was unmapped is
 * never reached. With @mapped the first write always lands.
 */
static void unmap_under_churn(struct kunit *test, struct rviommu_hw_device *hw, struct churn *c,
			      struct iommu_domain *domain, bool mapped)
{
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	unsigned long end = jiffies + usecs_to_jiffies(2 * WAIT_US);
	unsigned int i, hits = 0, stale = 0, rounds = hw->has_status ? 2000 : 10;
	struct task_struct *thread;

	thread = kthread_run(churn_thread, c, "rviommu_churn");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	for (i = 0; (i < rounds || READ_ONCE(c->rounds) < rounds) && time_before(jiffies, end);
	     i++) {
		if (iommu_map(domain, RVIOMMU_HW_IOVA, buf->phys, PAGE_SIZE, RW, GFP_KERNEL))
			break;
		rviommu_hw_poison(buf);
		hw->write(hw, RVIOMMU_HW_IOVA, 4);
		hits += rviommu_hw_written(buf, 0, 4);
		if (iommu_unmap(domain, RVIOMMU_HW_IOVA, PAGE_SIZE) != PAGE_SIZE)
			break;
		rviommu_hw_poison(buf);
		hw->write(hw, RVIOMMU_HW_IOVA, 4);
		stale += !rviommu_hw_untouched(buf);
	}
	kthread_stop(thread);
	kunit_info(test, "%u rounds, %u writes landed; %lu changes meanwhile\n", i, hits,
		   c->rounds);
	KUNIT_EXPECT_GE(test, i, rounds);
	KUNIT_EXPECT_GE(test, c->rounds, rounds);
	KUNIT_EXPECT_EQ(test, c->errors, 0);
	KUNIT_EXPECT_EQ_MSG(test, stale, 0, "a page was written to after it was unmapped");
	if (mapped)
		KUNIT_EXPECT_EQ(test, hits, i);
	else
		KUNIT_EXPECT_GT(test, hits, 0);
}

/* Unmap must find out where the domain is attached at that very moment. */
static void unmap_races_attach(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct churn c = {
		.hw = hw,
		.domains = { domain, rviommu_hw_domain(test, hw, false) },
	};

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	unmap_under_churn(test, hw, &c, domain, false);
}

/* Two who map and unmap side by side do not see each other. */
static void unmap_races_map(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct churn c = {
		.domains = { domain },
		.buf = rviommu_hw_alloc(test, SZ_64K),
		.iova = RVIOMMU_HW_IOVA + SZ_64K,
	};

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	unmap_under_churn(test, hw, &c, domain, true);
}

/* --- everything at random ------------------------------------------------ */

/* Maps, unmaps and DMA in an order that nobody chose, against a list of what is mapped. */
static void random_sequence(struct kunit *test)
{
	static const size_t sizes[] = { SZ_4K, SZ_4K, SZ_8K, SZ_64K, SZ_2M };
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_testdev(test);
	struct iommu_domain *domains[] = {
		rviommu_hw_domain(test, hw, kind->second_stage),
		rviommu_hw_domain(test, hw, kind->second_stage),
	};
	struct rviommu_hw_buf *bufs[ARRAY_SIZE(sizes)];
	struct rviommu_hw_buf *mapped[2][16] = {};
	unsigned int steps[4] = {}, i, now = 0;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 0x5249534356);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		bufs[i] = rviommu_hw_alloc(test, sizes[i]);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domains[0]), 0);

	for (i = 0; i < 3000; i++) {
		unsigned int which = prandom_u32_state(&rnd) & 1;
		unsigned int slot = prandom_u32_state(&rnd) % ARRAY_SIZE(mapped[0]);
		struct rviommu_hw_buf **entry = &mapped[which][slot];
		u64 iova = RVIOMMU_HW_IOVA + (u64)slot * SZ_2M;
		unsigned int at;

		switch (prandom_u32_state(&rnd) % 8) {
		case 0 ... 2:
			if (*entry) {
				rviommu_hw_unmap(test, domains[which], iova, (*entry)->size);
				*entry = NULL;
				steps[0]++;
			} else {
				*entry = bufs[prandom_u32_state(&rnd) % ARRAY_SIZE(bufs)];
				rviommu_hw_map(test, domains[which], iova, *entry, RW);
				steps[1]++;
			}
			break;
		case 3:
			now = which;
			KUNIT_EXPECT_EQ(test, rviommu_hw_attach(hw, domains[now]), 0);
			steps[2]++;
			break;
		default:
			entry = &mapped[now][slot];
			at = prandom_u32_state(&rnd) % SZ_2M & ~3;
			if (*entry)
				at %= (*entry)->size;
			/* Pages are shared between slots: look at this one's only. */
			if (*entry) {
				memset((*entry)->virt + at, RVIOMMU_HW_POISON, 4);
				KUNIT_EXPECT_EQ(test, hw->write(hw, iova + at, 4), 0);
				KUNIT_EXPECT_EQ(test, get_unaligned_le32((*entry)->virt + at),
						0x12345678);
			} else {
				KUNIT_EXPECT_EQ(test, hw->write(hw, iova + at, 4), -EFAULT);
			}
			steps[3]++;
			break;
		}
		if (failed(test)) {
			kunit_info(test, "at step %u\n", i);
			break;
		}
	}
	kunit_info(test, "%u maps, %u unmaps, %u attaches, %u writes\n", steps[1], steps[0],
		   steps[2], steps[3]);
}

/* --- faults -------------------------------------------------------------- */

/* More faults at once than the queue holds: some are lost, the next one is not. */
static void fault_storm(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_testdev(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_inq *fq = &hw->ep->iommu->faultq;
	u32 entries = 1U << fq->q.entries_lg2;
	u64 before, overflows;

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	before = rviommu_hw_faults(test, hw);
	overflows = atomic64_read(&fq->overflows);
	/* One record per 4 bytes, all of them before this returns. */
	KUNIT_EXPECT_EQ(test, hw->write(hw, RVIOMMU_HW_IOVA, entries * 8), -EFAULT);
	/* A full queue has one free slot. */
	KUNIT_EXPECT_GE(test, rviommu_hw_faults(test, hw), before + entries - 1);
	KUNIT_EXPECT_GT(test, atomic64_read(&fq->overflows), overflows);

	before = rviommu_hw_faults(test, hw);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA + SZ_1M, buf);
	KUNIT_EXPECT_EQ(test, rviommu_hw_faults(test, hw), before + 1);
	expect_fault(test, hw, RVIOMMU_HW_STORE_PAGE_FAULT, RVIOMMU_HW_IOVA + SZ_1M);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf, 0, 4);
}

/* --- the hardware's own view --------------------------------------------- */

/* What tells nothing about the address is no reason to fail. */
static void need_ppn(struct kunit *test, u64 response, const struct rviommu_hw_buf *buf)
{
	if (response == PFN_DOWN(buf->phys) >> 10 << 10)
		kunit_skip(test, "the PPN is not in bits 53:10 (QEMU before 11)");
}

static void debug_translation(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, kind->second_stage);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	u64 response, ppn;

	if (!(hw->ep->iommu->caps & RVIOMMU_CAP_DBG))
		kunit_skip(test, "the IOMMU has no debug registers");
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	response = rviommu_hw_translate(test, hw, 0, RVIOMMU_HW_IOVA);
	KUNIT_EXPECT_FALSE(test, response & RVIOMMU_TR_RESPONSE_FAULT);
	need_ppn(test, response, buf);
	KUNIT_EXPECT_FALSE(test, response & RVIOMMU_TR_RESPONSE_S);
	ppn = FIELD_GET(RVIOMMU_TR_RESPONSE_PPN, response);
	KUNIT_EXPECT_EQ(test, ppn, PFN_DOWN(buf->phys));
	KUNIT_EXPECT_TRUE(test, rviommu_hw_translate(test, hw, 0, RVIOMMU_HW_IOVA + PAGE_SIZE) &
			  RVIOMMU_TR_RESPONSE_FAULT);
	rviommu_hw_unmap(test, domain, RVIOMMU_HW_IOVA, PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, rviommu_hw_translate(test, hw, 0, RVIOMMU_HW_IOVA) &
			  RVIOMMU_TR_RESPONSE_FAULT);
}

/* --- PASIDs -------------------------------------------------------------- */

#define PASID	5

/* Is @pasid of the device translated to this buffer (to nothing: NULL)? */
static bool leads_to(struct kunit *test, struct rviommu_hw_device *hw, u32 pasid,
		     const struct rviommu_hw_buf *buf)
{
	u64 response = rviommu_hw_translate(test, hw, pasid, RVIOMMU_HW_IOVA);

	if (response & RVIOMMU_TR_RESPONSE_FAULT)
		return !buf;
	return buf && FIELD_GET(RVIOMMU_TR_RESPONSE_PPN, response) == PFN_DOWN(buf->phys);
}

/*
 * The requester ID's own translations, as PASID 0, by DMA; those of a PASID by the
 * debug registers, since the device sends none.
 */
static void pasids(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_pasids(test);
	struct iommu_domain *domain[4];
	struct rviommu_hw_buf *buf[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(buf); i++) {
		domain[i] = rviommu_hw_domain(test, hw, false);
		buf[i] = rviommu_hw_alloc(test, PAGE_SIZE);
		rviommu_hw_map(test, domain[i], RVIOMMU_HW_IOVA, buf[i], RW);
	}
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain[0]), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[0], 0, 4);
	need_ppn(test, rviommu_hw_translate(test, hw, 0, RVIOMMU_HW_IOVA), buf[0]);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, NULL));

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach_pasid(hw, PASID, domain[1]), 0);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, buf[1]));
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID + 1, NULL));
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[0], 0, 4);

	KUNIT_ASSERT_EQ(test, rviommu_hw_attach_pasid(hw, PASID, domain[2]), 0);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, buf[2]));
	rviommu_hw_unmap(test, domain[2], RVIOMMU_HW_IOVA, PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, NULL));
	rviommu_hw_map(test, domain[2], RVIOMMU_HW_IOVA, buf[1], RW);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, buf[1]));

	/* The requester ID's while the PASID is there: it is PASID 0. */
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain[3]), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[3], 0, 4);
	rviommu_hw_unmap(test, domain[3], RVIOMMU_HW_IOVA, PAGE_SIZE);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, buf[3]);
	rviommu_hw_map(test, domain[3], RVIOMMU_HW_IOVA, buf[0], RW);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[0], 0, 4);
	rviommu_hw_detach(hw);
	rviommu_hw_expect_blocked(test, hw, RVIOMMU_HW_IOVA, buf[0]);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, buf[1]));
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain[3]), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[0], 0, 4);

	/* And back, with the last PASID. */
	KUNIT_EXPECT_NOT_NULL(test, hw->ep->pdt.dir.root);
	rviommu_hw_detach_pasid(hw);
	KUNIT_EXPECT_NULL(test, hw->ep->pdt.dir.root);
	KUNIT_EXPECT_TRUE(test, leads_to(test, hw, PASID, NULL));
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf[0], 0, 4);
}

/* A file of debugfs as a string, or NULL. */
static char *read_debugfs(struct kunit *test, struct rviommu_hw_device *hw, const char *name)
{
	const size_t size = SZ_64K;
	char *path = kunit_kzalloc(test, 256, GFP_KERNEL);
	char *text = kunit_kzalloc(test, size, GFP_KERNEL);
	size_t used = 0;
	struct file *file;
	ssize_t got;

	KUNIT_ASSERT_NOT_NULL(test, path);
	KUNIT_ASSERT_NOT_NULL(test, text);
	snprintf(path, 256, "/sys/kernel/debug/rviommu/%s/devices/%s/%s",
		 hw->ep->iommu->bus->name, hw->ep->name, name);
	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return NULL;
	do {
		struct kvec vec = { .iov_base = text + used, .iov_len = size - 1 - used };
		struct iov_iter iter;
		struct kiocb kiocb;

		/* kernel_read() wants another kind of file. */
		init_sync_kiocb(&kiocb, file);
		kiocb.ki_pos = used;
		iov_iter_kvec(&iter, ITER_DEST, &vec, 1, vec.iov_len);
		got = seq_read_iter(&kiocb, &iter);
		if (got > 0)
			used += got;
	} while (got > 0 && used < size - 1);
	KUNIT_EXPECT_EQ(test, got, 0);
	fput(file);
	return text;
}

/* What debugfs says of a device is what its DMA does. */
static void debugfs_consistent(struct kunit *test)
{
	struct rviommu_hw_device *hw = rviommu_hw_main(test);
	struct iommu_domain *domain = rviommu_hw_domain(test, hw, false);
	struct rviommu_domain *dom = to_rviommu_domain(domain);
	struct rviommu_hw_buf *buf = rviommu_hw_alloc(test, PAGE_SIZE);
	struct rviommu_hw_buf *large = rviommu_hw_alloc(test, SZ_2M);
	unsigned long long start, last, pa;
	unsigned int lines = 0;
	char *text, *line, want[64];

	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA, buf, RW | IOMMU_NOEXEC);
	rviommu_hw_map(test, domain, RVIOMMU_HW_IOVA + SZ_1G, large, IOMMU_READ);
	KUNIT_ASSERT_EQ(test, rviommu_hw_attach(hw, domain), 0);
	rviommu_hw_expect_lands(test, hw, RVIOMMU_HW_IOVA, buf, 0, 4);
	text = read_debugfs(test, hw, "domain");
	if (!text)
		kunit_skip(test, "debugfs is not mounted on /sys/kernel/debug");
	while ((line = strsep(&text, "\n"))) {
		if (sscanf(line, "%llx-%llx %llx", &start, &last, &pa) != 3)
			continue;
		lines++;
		if (start == RVIOMMU_HW_IOVA) {
			KUNIT_EXPECT_EQ(test, last, start + PAGE_SIZE - 1);
			KUNIT_EXPECT_EQ(test, pa, buf->phys);
			KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(line, " 1 x 4K rw-u-ad-"),
						  "%s", line);
		} else {
			KUNIT_EXPECT_EQ(test, start, RVIOMMU_HW_IOVA + SZ_1G);
			KUNIT_EXPECT_EQ(test, last, start + SZ_2M - 1);
			KUNIT_EXPECT_EQ(test, pa, large->phys);
			KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(line, " 1 x 2M r-xu-a--"),
						  "%s", line);
		}
	}
	KUNIT_EXPECT_EQ(test, lines, 2);

	text = read_debugfs(test, hw, "context");
	KUNIT_ASSERT_NOT_NULL(test, text);
	snprintf(want, sizeof(want), "device_id %#08x\n", pci_dev_id(hw->pdev));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, want), "%s", text);
	snprintf(want, sizeof(want), " pscid %u\n", dom->space.pscid);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, want), "%s", text);
	snprintf(want, sizeof(want), " root %#llx\n", (u64)virt_to_phys(dom->pt.root));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, want), "%s", text);

	rviommu_hw_detach(hw);
	text = read_debugfs(test, hw, "domain");
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_STREQ(test, text, "type blocking\n");
}

static const struct kunit_attributes slow = { .speed = KUNIT_SPEED_SLOW };

static struct kunit_case hw_cases[] = {
	KUNIT_CASE(dma_api_single),
	KUNIT_CASE(dma_api_coherent),
	KUNIT_CASE(dma_api_scattered),
	KUNIT_CASE(dma_api_read),
	KUNIT_CASE(dma_api_after_owner),
	KUNIT_CASE(identity),
	KUNIT_CASE(blocking),
	KUNIT_CASE_PARAM(map_size, kinds_gen_params),
	KUNIT_CASE_PARAM(read_only, stages_gen_params),
	KUNIT_CASE(writable),
	KUNIT_CASE(read_only_cached),
	KUNIT_CASE_PARAM(unmapped, stages_gen_params),
	KUNIT_CASE_PARAM(map_again, stages_gen_params),
	KUNIT_CASE_PARAM(unmap_pages, stages_gen_params),
	KUNIT_CASE_PARAM(unmap_table, stages_gen_params),
	KUNIT_CASE_PARAM(map_over_empty_table, stages_gen_params),
	KUNIT_CASE_PARAM(unmap_part, large_gen_params),
	KUNIT_CASE(upper_half),
	KUNIT_CASE_PARAM(aperture_end, stages_gen_params),
	KUNIT_CASE_PARAM(unmap_gathered, stages_gen_params),
	KUNIT_CASE(attach_group),
	KUNIT_CASE(devices_apart),
	KUNIT_CASE_PARAM(attach_again, stages_gen_params),
	KUNIT_CASE_PARAM(tag_used_again, stages_gen_params),
	KUNIT_CASE_SLOW(replace_hitless),
	KUNIT_CASE_SLOW(replace_kinds_hitless),
	KUNIT_CASE(neighbour_unharmed),
	KUNIT_CASE_PARAM_ATTR(unmap_races_attach, stages_gen_params, slow),
	KUNIT_CASE_PARAM_ATTR(unmap_races_map, stages_gen_params, slow),
	KUNIT_CASE_PARAM(random_sequence, stages_gen_params),
	KUNIT_CASE(fault_storm),
	KUNIT_CASE_PARAM(debug_translation, stages_gen_params),
	KUNIT_CASE(pasids),
	KUNIT_CASE(debugfs_consistent),
	{ }
};

static struct kunit_suite hw_suite = {
	.name = "rviommu_hw",
	.suite_init = rviommu_hw_init,
	.suite_exit = rviommu_hw_exit,
	.exit = rviommu_hw_test_exit,
	.test_cases = hw_cases,
};

kunit_test_suite(hw_suite);
