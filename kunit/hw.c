// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that do DMA when told to, and what a test needs around them.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>

#include "../src/driver/attach.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iommu.h"
#include "../src/driver/pasid.h"
#include "../src/driver/record.h"
#include "../src/driver/rviommu.h"
#include "hw.h"

RVIOMMU_IMPORT_NS(IOMMUFD_INTERNAL);

/* QEMU's docs/specs/iommu-testdev.rst and docs/specs/edu.rst */
#define TESTDEV_ID		0x0005
#define TESTDEV_TRIGGER		0x00
#define TESTDEV_IOVA_LO		0x04
#define TESTDEV_IOVA_HI		0x08
#define TESTDEV_LEN		0x0c
#define TESTDEV_RESULT		0x10
#define TESTDEV_ARM		0x14
#define TESTDEV_PA_LO		0x1c
#define TESTDEV_PA_HI		0x20
#define TESTDEV_OK		0x00000000
#define TESTDEV_FAILED		0xdead0002
#define TESTDEV_MISMATCH	0xdead0004

#define EDU_VENDOR		0x1234
#define EDU_ID			0x11e8
#define EDU_SRC			0x80
#define EDU_DST			0x88
#define EDU_COUNT		0x90
#define EDU_CMD			0x98
#define EDU_CMD_RUN		BIT(0)
#define EDU_CMD_TO_RAM		BIT(1)
#define EDU_BUFFER		0x40000
#define EDU_BUFFER_SIZE		4096

/* What both write, byte by byte from the first on. */
static const u8 pattern[4] = { 0x78, 0x56, 0x34, 0x12 };

/* A fault record takes an interrupt to arrive; more than this is a bug. */
#define SETTLE_US		5000000

static int testdev_write(struct rviommu_hw_device *hw, u64 iova, u32 len)
{
	u32 result;

	iowrite32(lower_32_bits(iova), hw->regs + TESTDEV_IOVA_LO);
	iowrite32(upper_32_bits(iova), hw->regs + TESTDEV_IOVA_HI);
	iowrite32(len, hw->regs + TESTDEV_LEN);
	iowrite32(1, hw->regs + TESTDEV_ARM);
	ioread32(hw->regs + TESTDEV_TRIGGER);
	result = ioread32(hw->regs + TESTDEV_RESULT);
	switch (result) {
	case TESTDEV_OK:
	case TESTDEV_MISMATCH:
		/*
		 * It compares with what it reads at one physical address. The
		 * tests compare for themselves.
		 */
		return 0;
	case TESTDEV_FAILED:
		return -EFAULT;
	default:
		return -EIO;
	}
}

/* An offset beyond the buffer ends QEMU: refuse it here. */
static int edu_dma(struct rviommu_hw_device *hw, u64 iova, u32 len, bool to_ram)
{
	u64 cmd;

	if (!len || len > EDU_BUFFER_SIZE)
		return -EINVAL;
	writeq(to_ram ? EDU_BUFFER : iova, hw->regs + EDU_SRC);
	writeq(to_ram ? iova : EDU_BUFFER, hw->regs + EDU_DST);
	writeq(len, hw->regs + EDU_COUNT);
	writeq(EDU_CMD_RUN | (to_ram ? EDU_CMD_TO_RAM : 0), hw->regs + EDU_CMD);
	return readq_poll_timeout(hw->regs + EDU_CMD, cmd, !(cmd & EDU_CMD_RUN), 1000, 10000000) ?
		-EIO : 0;
}

static int edu_write(struct rviommu_hw_device *hw, u64 iova, u32 len)
{
	return edu_dma(hw, iova, len, true);
}

static struct rviommu_hw_device testdev = {
	.name = "iommu-testdev",
	.write = testdev_write,
	.max_len = SZ_4M,
	.has_status = true,
};

static struct rviommu_hw_device edu = {
	.name = "edu",
	.write = edu_write,
	.max_len = EDU_BUFFER_SIZE,
};

/* The last read put something else than the pattern into the buffer. */
static bool edu_dirty;

static void fill_pattern(u8 *to, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = pattern[i % sizeof(pattern)];
}

/* Through the DMA API: the default domain must be in force. */
static int edu_load_pattern(struct rviommu_hw_device *hw)
{
	dma_addr_t dma;
	void *virt;
	int ret;

	virt = dma_alloc_coherent(&hw->pdev->dev, EDU_BUFFER_SIZE, &dma, GFP_KERNEL);
	if (!virt)
		return -ENOMEM;
	fill_pattern(virt, EDU_BUFFER_SIZE);
	ret = edu_dma(hw, dma, EDU_BUFFER_SIZE, false);
	dma_free_coherent(&hw->pdev->dev, EDU_BUFFER_SIZE, virt, dma);
	if (!ret)
		edu_dirty = false;
	return ret;
}

/**
 * rviommu_hw_edu_read() - make edu read memory into its buffer
 * @hw: edu
 * @iova: where from
 * @len: bytes, at most 4096
 *
 * What the device writes from now on begins with these bytes, until the test
 * ends. Returns 0, or -EIO when the device did not finish; whether it was
 * allowed to read, it does not say.
 *
 * Return: 0, or an error: the device did not do it.
 */
int rviommu_hw_edu_read(struct rviommu_hw_device *hw, u64 iova, u32 len)
{
	edu_dirty = true;
	return edu_dma(hw, iova, len, false);
}

static struct rviommu_hw_device *device_of(const struct pci_device_id *id)
{
	return id->device == TESTDEV_ID ? &testdev : &edu;
}

static bool is_ours(struct device *dev)
{
	return dev->iommu && dev->iommu->iommu_dev &&
	       dev->iommu->iommu_dev->ops == &rviommu_ops;
}

static int hw_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct rviommu_hw_device *hw = device_of(id);
	int ret;

	if (hw->pdev)
		return -EBUSY;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	hw->regs = pcim_iomap(pdev, 0, 0);
	if (!hw->regs)
		return -ENOMEM;
	pci_set_master(pdev);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	hw->pdev = pdev;
	hw->group = iommu_group_get(&pdev->dev);
	hw->ep = hw->group && is_ours(&pdev->dev) ? dev_iommu_priv_get(&pdev->dev) : NULL;
	if (hw == &edu && edu_load_pattern(hw))
		dev_warn(&pdev->dev, "edu does not finish a DMA\n");
	if (hw == &testdev) {
		/* Any memory will do for its own comparison: see testdev_write(). */
		phys_addr_t zero = page_to_phys(ZERO_PAGE(0));

		iowrite32(lower_32_bits(zero), hw->regs + TESTDEV_PA_LO);
		iowrite32(upper_32_bits(zero), hw->regs + TESTDEV_PA_HI);
	}
	return 0;
}

static void hw_remove(struct pci_dev *pdev)
{
	struct rviommu_hw_device *hw = pdev == testdev.pdev ? &testdev : &edu;

	iommu_group_put(hw->group);
	hw->group = NULL;
	hw->ep = NULL;
	hw->pdev = NULL;
}

static const struct pci_device_id hw_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT, TESTDEV_ID) },
	{ PCI_DEVICE(EDU_VENDOR, EDU_ID) },
	{ }
};

/*
 * The tests use the DMA API while the default domain is attached, and take
 * ownership for the rest, as a driver for user space does.
 */
static struct pci_driver hw_driver = {
	.name = "rviommu_kunit",
	.id_table = hw_ids,
	.probe = hw_probe,
	.remove = hw_remove,
	.driver_managed_dma = true,
};

/* Suites that share the driver run one after the other. */
int rviommu_hw_init(struct kunit_suite *suite)
{
	return pci_register_driver(&hw_driver);
}

void rviommu_hw_exit(struct kunit_suite *suite)
{
	if (!suite->suite_init_err)
		pci_unregister_driver(&hw_driver);
}

/*
 * After each test, also one that was cut short, and before its memory is freed:
 * nothing is left attached. In a mutation run nothing is left stale either: it
 * would lead a device to what was freed.
 */
void rviommu_hw_test_exit(struct kunit *test)
{
	struct rviommu_hw_device *devices[] = { &testdev, &edu };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		if (devices[i]->ep)
			rviommu_hw_release(devices[i]);
	}
	if (edu.ep && edu_dirty)
		edu_load_pattern(&edu);
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		if (devices[i]->ep && READ_ONCE(devices[i]->ep->iommu->mutate))
			rviommu_hw_invalidate(devices[i]->ep->iommu);
	}
}

static struct rviommu_hw_device *need(struct kunit *test, struct rviommu_hw_device *hw)
{
	if (!hw->pdev)
		kunit_skip(test, "this machine has no %s", hw->name);
	if (!hw->ep)
		kunit_skip(test, "%s is not behind an IOMMU of this driver", hw->name);
	return hw;
}

/* The better of the two devices, or skip. */
struct rviommu_hw_device *rviommu_hw_main(struct kunit *test)
{
	return need(test, testdev.pdev || !edu.pdev ? &testdev : &edu);
}

struct rviommu_hw_device *rviommu_hw_testdev(struct kunit *test)
{
	return need(test, &testdev);
}

struct rviommu_hw_device *rviommu_hw_edu(struct kunit *test)
{
	return need(test, &edu);
}

static void buf_free(void *arg)
{
	struct rviommu_hw_buf *buf = arg;

	free_pages((unsigned long)buf->virt, buf->order);
}

/* A poisoned buffer of @size bytes, aligned to its size, freed with the test. */
struct rviommu_hw_buf *rviommu_hw_alloc(struct kunit *test, size_t size)
{
	struct rviommu_hw_buf *buf = kunit_kzalloc(test, sizeof(*buf), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	buf->size = size;
	buf->order = get_order(size);
	buf->virt = (u8 *)__get_free_pages(GFP_KERNEL, buf->order);
	KUNIT_ASSERT_NOT_NULL(test, buf->virt);
	buf->phys = virt_to_phys(buf->virt);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, buf_free, buf), 0);
	rviommu_hw_poison(buf);
	return buf;
}

void rviommu_hw_poison(struct rviommu_hw_buf *buf)
{
	memset(buf->virt, RVIOMMU_HW_POISON, buf->size);
	/* A device that is told to write comes after it. */
	dma_wmb();
}

/* No device has written to the buffer since it was poisoned. */
bool rviommu_hw_untouched(const struct rviommu_hw_buf *buf)
{
	dma_rmb();
	return !memchr_inv(buf->virt, RVIOMMU_HW_POISON, buf->size);
}

/* The pattern is in @len bytes from @offset on, and nowhere else. */
bool rviommu_hw_written(const struct rviommu_hw_buf *buf, size_t offset, size_t len)
{
	size_t end = offset + len, i;

	dma_rmb();
	for (i = 0; i < len; i++) {
		if (buf->virt[offset + i] != pattern[i % sizeof(pattern)])
			return false;
	}
	return !memchr_inv(buf->virt, RVIOMMU_HW_POISON, offset) &&
	       !memchr_inv(buf->virt + end, RVIOMMU_HW_POISON, buf->size - end);
}

static void domain_free(void *arg)
{
	iommu_domain_free(arg);
}

/* A paging domain for the device, freed with the test. */
struct iommu_domain *rviommu_hw_domain(struct kunit *test, struct rviommu_hw_device *hw,
				       bool second_stage)
{
	struct iommu_domain *domain = second_stage ?
		rviommu_alloc_nest_parent(&hw->pdev->dev) :
		iommu_paging_domain_alloc(&hw->pdev->dev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, domain_free, domain), 0);
	return domain;
}

/* Take the device from the DMA API: afterwards all of its DMA is blocked. */
int rviommu_hw_claim(struct rviommu_hw_device *hw)
{
	int ret;

	if (hw->claimed)
		return 0;
	ret = iommu_device_claim_dma_owner(&hw->pdev->dev, hw);
	hw->claimed = !ret;
	return ret;
}

/* Attach a domain in place of whatever is attached, hitless. */
int rviommu_hw_attach(struct rviommu_hw_device *hw, struct iommu_domain *domain)
{
	int ret = rviommu_hw_claim(hw);

	if (ret)
		return ret;
	ret = iommu_replace_group_handle(hw->group, domain,
					 &hw->handles[hw->attaches++ % ARRAY_SIZE(hw->handles)]);
	if (!ret)
		hw->attached = domain;
	return ret;
}

/* Afterwards all DMA is blocked. */
void rviommu_hw_detach(struct rviommu_hw_device *hw)
{
	if (hw->attached)
		iommu_detach_group_handle(hw->attached, hw->group);
	hw->attached = NULL;
}

/* Give the device back to the DMA API and its default domain. */
void rviommu_hw_release(struct rviommu_hw_device *hw)
{
	rviommu_hw_detach_pasid(hw);
	/* It has none: see rviommu_hw_pasids(). */
	hw->ep->max_pasids = 0;
	hw->pdev->dev.iommu->max_pasids = 0;
	rviommu_hw_detach(hw);
	if (hw->claimed)
		iommu_device_release_dma_owner(&hw->pdev->dev);
	hw->claimed = false;
}

/*
 * No device of QEMU has PASIDs. This one is said to have some: it sends none, but
 * contexts are made for them, and the debug registers ask what they mean.
 */
struct rviommu_hw_device *rviommu_hw_pasids(struct kunit *test)
{
	struct rviommu_hw_device *hw = need(test, &testdev);
	const struct rviommu *iommu = hw->ep->iommu;

	if (!(iommu->caps & RVIOMMU_CAP_DBG) || !rviommu_pasid_limit(iommu))
		kunit_skip(test, "the IOMMU has no debug registers or no PASIDs");
	hw->ep->max_pasids = rviommu_pasid_limit(iommu);
	hw->pdev->dev.iommu->max_pasids = hw->ep->max_pasids;
	return hw;
}

/* Attach to a PASID, or replace what is attached there, hitless. One PASID at a time. */
int rviommu_hw_attach_pasid(struct rviommu_hw_device *hw, u32 pasid, struct iommu_domain *domain)
{
	int ret;

	if (hw->pasid_attached)
		/* Older kernels have no call to replace it. */
		ret = rviommu_attach_pasid(hw->ep, pasid, domain, hw->pasid_attached);
	else
		ret = iommu_attach_device_pasid(domain, &hw->pdev->dev, pasid, NULL);
	if (ret)
		return ret;
	hw->pasid = pasid;
	hw->pasid_attached = domain;
	return 0;
}

void rviommu_hw_detach_pasid(struct rviommu_hw_device *hw)
{
	if (hw->pasid_attached)
		iommu_detach_device_pasid(hw->pasid_attached, &hw->pdev->dev, hw->pasid);
	hw->pasid_attached = NULL;
}

/* What the IOMMU makes of an IOVA, as the debug registers tell: tr_response. */
u64 rviommu_hw_translate(struct kunit *test, struct rviommu_hw_device *hw, u32 pasid, u64 iova)
{
	struct rviommu *iommu = hw->ep->iommu;
	u64 ctl = FIELD_PREP(RVIOMMU_TR_REQ_CTL_DID, hw->ep->ids[0]) |
		  FIELD_PREP(RVIOMMU_TR_REQ_CTL_PID, pasid) | RVIOMMU_TR_REQ_CTL_GO_BUSY;
	int ret;

	/* QEMU takes no notice of PV. */
	if (pasid)
		ctl |= RVIOMMU_TR_REQ_CTL_PV;
	rviommu_write64(iommu, RVIOMMU_REG_TR_REQ_IOVA, iova & RVIOMMU_TR_REQ_IOVA_VPN);
	rviommu_write64(iommu, RVIOMMU_REG_TR_REQ_CTL, ctl);
	ret = read_poll_timeout(rviommu_read64, ctl, !(ctl & RVIOMMU_TR_REQ_CTL_GO_BUSY), 10,
				SETTLE_US, false, iommu, RVIOMMU_REG_TR_REQ_CTL);
	KUNIT_EXPECT_EQ(test, ret, 0);
	return rviommu_read64(iommu, RVIOMMU_REG_TR_RESPONSE);
}

/*
 * Faults counted for the device so far. A DMA of iommu-testdev has written its
 * records before it returns; this waits for the driver to have read them.
 */
u64 rviommu_hw_faults(struct kunit *test, struct rviommu_hw_device *hw)
{
	struct rviommu *iommu = hw->ep->iommu;
	unsigned int i;
	u32 head;
	int ret;

	ret = read_poll_timeout(READ_ONCE, head, head == rviommu_read32(iommu, RVIOMMU_REG_FQT),
				100, SETTLE_US, false, iommu->faultq.head);
	KUNIT_EXPECT_EQ_MSG(test, ret, 0, "the fault queue is not being read");
	for (i = 0; i < iommu->nr_irqs; i++)
		synchronize_irq(iommu->irqs[i].irq);
	return atomic64_read(&hw->ep->faults);
}

struct rviommu_fault rviommu_hw_last_fault(struct rviommu_hw_device *hw)
{
	guard(spinlock_irqsave)(&hw->ep->fault_lock);
	return hw->ep->last_fault;
}

/* Make the IOMMU forget everything, whatever mutation is on. */
int rviommu_hw_invalidate(struct rviommu *iommu)
{
	struct rviommu_command cmds[] = {
		rviommu_cmd_inval_ddt_all(),
		rviommu_cmd_iotinval_vma_all(),
		rviommu_cmd_iotinval_gvma_all(),
	};

	return rviommu_cmdq_sync(&iommu->cmdq, cmds, ARRAY_SIZE(cmds));
}

/* The device writes @len bytes to @iova: they are at @offset of @buf and nowhere else. */
void rviommu_hw_expect_lands(struct kunit *test, struct rviommu_hw_device *hw, u64 iova,
			     struct rviommu_hw_buf *buf, size_t offset, u32 len)
{
	rviommu_hw_poison(buf);
	KUNIT_EXPECT_EQ_MSG(test, hw->write(hw, iova, len), 0, "%s: %u bytes to %#llx",
			    hw->name, len, iova);
	KUNIT_EXPECT_TRUE_MSG(test, rviommu_hw_written(buf, offset, len),
			      "%s: %u bytes to %#llx are not at offset %#zx, or elsewhere too",
			      hw->name, len, iova, offset);
}

/* The device writes to @iova: it fails, and @buf (where it went before) stays untouched. */
void rviommu_hw_expect_blocked(struct kunit *test, struct rviommu_hw_device *hw, u64 iova,
			       struct rviommu_hw_buf *buf)
{
	int ret;

	rviommu_hw_poison(buf);
	ret = hw->write(hw, iova, sizeof(pattern));
	KUNIT_EXPECT_EQ_MSG(test, ret, hw->has_status ? -EFAULT : 0,
			    "%s: write to %#llx", hw->name, iova);
	KUNIT_EXPECT_TRUE_MSG(test, rviommu_hw_untouched(buf),
			      "%s: write to %#llx reached memory", hw->name, iova);
}

/* Map a whole buffer. */
void rviommu_hw_map(struct kunit *test, struct iommu_domain *domain, u64 iova,
		    const struct rviommu_hw_buf *buf, int prot)
{
	KUNIT_ASSERT_EQ(test, iommu_map(domain, iova, buf->phys, buf->size, prot, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, iova + buf->size - 1),
			buf->phys + buf->size - 1);
}

void rviommu_hw_unmap(struct kunit *test, struct iommu_domain *domain, u64 iova, size_t size)
{
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, iova, size), size);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, iova), 0);
}
