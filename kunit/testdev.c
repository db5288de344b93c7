// SPDX-License-Identifier: GPL-2.0-only
/* Test devices; see testdev.h. */
#include <kunit/static_stub.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "../src/driver/attachment.h"
#include "../src/driver/device.h"
#include "../src/driver/directory.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/invalidate.h"
#include "../src/driver/mem.h"
#include "../src/driver/queue.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "testdev.h"

/* ----- Registers: recorded on their way to the fake bus ----- */

static struct testdev *to_testdev(struct rviommu_bus *bus)
{
	return dev_get_drvdata(bus->dev);
}

static u32 testdev_read32(struct rviommu_bus *bus, unsigned int offset)
{
	struct testdev *td = to_testdev(bus);
	u32 value;

	if (td->look)
		td->look(td);
	value = td->inner->read32(bus, offset);
	if (offset == RVIOMMU_REG_TR_REQ_CTL && td->translate && td->translate_busy)
		value |= RVIOMMU_TR_REQ_CTL_GO_BUSY;
	return value;
}

unsigned int testdev_mode(struct testdev *td)
{
	return fakebus_peek(td->bus, RVIOMMU_REG_DDTP) & 0xf;
}

/* Spec "ddtp" and "fctl" */
static void check_mode(struct testdev *td, unsigned int offset, u64 value)
{
	const unsigned int old = testdev_mode(td), new = value & 0xf;
	const u64 ppn = RVIOMMU_DDTP_PPN;
	const char *wrong = NULL;

	if (td->fake->gone)
		return;
	if (offset == RVIOMMU_REG_FCTL && value != fakebus_peek(td->bus, offset)) {
		if (old != RVIOMMU_DDTP_MODE_OFF)
			wrong = "fctl changed while not Off";
	} else if (offset == RVIOMMU_REG_DDTP) {
		if (new > RVIOMMU_DDTP_MODE_BARE && old > RVIOMMU_DDTP_MODE_BARE)
			wrong = "ddtp not switched off before a new directory";
		if (new == RVIOMMU_DDTP_MODE_BARE && old != RVIOMMU_DDTP_MODE_OFF)
			wrong = "ddtp to Bare not from Off";
		if (new == RVIOMMU_DDTP_MODE_OFF && (testdev_peek64(td, offset) ^ value) & ppn)
			wrong = "ddtp to Off with another PPN";
	}
	if (wrong)
		KUNIT_FAIL(td->test, "%s (mode %u, value %#llx)", wrong, old, value);
}

/* Registers of 8 bytes that the driver writes; offset is that of either half. */
static bool is_wide(unsigned int offset)
{
	switch (offset & ~4U) {
	case RVIOMMU_REG_DDTP:
	case RVIOMMU_REG_CQB:
	case RVIOMMU_REG_FQB:
	case RVIOMMU_REG_PQB:
	case RVIOMMU_REG_TR_REQ_IOVA:
	case RVIOMMU_REG_TR_REQ_CTL:
	case RVIOMMU_REG_ICVEC:
		return true;
	}
	return offset >= RVIOMMU_REG_MSI_ADDR(0) && !(offset & 8);
}

/*
 * Spec "Memory-mapped register interface": the high half, and then the low one, which
 * sets things going. In between the register has to be what it was as far as it is used.
 */
static void write_high(struct testdev *td, unsigned int offset, u32 value)
{
	td->high_of = offset & ~4U;
	td->high = value;
	if (td->high_of == RVIOMMU_REG_DDTP && testdev_mode(td) > RVIOMMU_DDTP_MODE_BARE &&
	    !td->fake->gone && value != fakebus_peek(td->bus, offset))
		KUNIT_FAIL(td->test, "ddtp.PPN changed while it is used (high half %#x)", value);
}

static u64 with_high(struct testdev *td, unsigned int offset, u32 value)
{
	if (td->high_of != offset)
		KUNIT_FAIL(td->test, "low half of register %#x written before its high half",
			   offset);
	td->high_of = 0;
	return (u64)td->high << 32 | value;
}

static void record(struct testdev *td, unsigned int offset, u64 value)
{
	check_mode(td, offset, value);
	if (offset == RVIOMMU_REG_CQT && td->doorbell)
		td->doorbell(td);
	if (offset == RVIOMMU_REG_CQT && td->fence_timeout_us)
		td->iommu.cmdq.timeout_us = td->fence_timeout_us;
	if (td->nr_writes < TESTDEV_WRITES)
		td->writes[td->nr_writes] = (struct testdev_write){ offset, value };
	td->nr_writes++;
}

static void testdev_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct testdev *td = to_testdev(bus);
	u64 whole = value;

	if (is_wide(offset) && offset & 4) {
		write_high(td, offset, value);
		td->inner->write32(bus, offset, value);
		return;
	}
	if (is_wide(offset))
		whole = with_high(td, offset, value);
	record(td, offset, whole);
	td->inner->write32(bus, offset, value);
	if (offset == RVIOMMU_REG_TR_REQ_CTL && td->translate &&
	    value & RVIOMMU_TR_REQ_CTL_GO_BUSY) {
		u64 iova = testdev_peek64(td, RVIOMMU_REG_TR_REQ_IOVA);

		td->translations++;
		testdev_poke64(td, RVIOMMU_REG_TR_RESPONSE,
			       td->translate(td, whole >> 40, iova));
		testdev_poke64(td, RVIOMMU_REG_TR_REQ_CTL, whole & ~RVIOMMU_TR_REQ_CTL_GO_BUSY);
	}
}

static const struct rviommu_bus_ops testdev_ops = {
	.read32 = testdev_read32,
	.write32 = testdev_write32,
};

unsigned int testdev_find_write(struct testdev *td, unsigned int from, unsigned int offset,
				u64 mask, u64 value)
{
	unsigned int i, nr = min(td->nr_writes, TESTDEV_WRITES);

	for (i = from; i < nr; i++)
		if (td->writes[i].offset == offset && (td->writes[i].value & mask) == value)
			return i;
	return td->nr_writes;
}

u64 testdev_peek64(struct testdev *td, unsigned int offset)
{
	return fakebus_peek(td->bus, offset) | (u64)fakebus_peek(td->bus, offset + 4) << 32;
}

void testdev_poke32(struct testdev *td, unsigned int offset, u32 value)
{
	td->fake->reg[offset / 4] = value;
}

void testdev_poke64(struct testdev *td, unsigned int offset, u64 value)
{
	testdev_poke32(td, offset, lower_32_bits(value));
	testdev_poke32(td, offset + 4, upper_32_bits(value));
}

void testdev_writable64(struct testdev *td, unsigned int offset, u64 mask)
{
	td->fake->writable[offset / 4] = lower_32_bits(mask);
	td->fake->writable[offset / 4 + 1] = upper_32_bits(mask);
}

void testdev_power_loss(struct testdev *td)
{
	u64 caps = testdev_peek64(td, RVIOMMU_REG_CAPABILITIES);
	unsigned long flags;

	spin_lock_irqsave(&td->fake->lock, flags);
	memset(td->fake->reg, 0, sizeof(td->fake->reg));
	memset(td->fake->busy, 0, sizeof(td->fake->busy));
	testdev_poke64(td, RVIOMMU_REG_CAPABILITIES, caps);
	spin_unlock_irqrestore(&td->fake->lock, flags);
}

/* ----- Interrupts ----- */

static int testdev_irq_map(struct irq_domain *domain, unsigned int irq, irq_hw_number_t hwirq)
{
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	return 0;
}

static const struct irq_domain_ops testdev_irq_ops = {
	.map = testdev_irq_map,
};

static void testdev_free_irqs(void *data)
{
	struct testdev *td = data;
	unsigned int i;

	for (i = 0; i < td->bus->nr_irqs; i++)
		irq_dispose_mapping(td->bus->irqs[i]);
	irq_domain_remove(td->irqs);
}

void testdev_irq(struct testdev *td, unsigned int vector)
{
	generic_handle_irq_safe(td->bus->irqs[vector]);
	synchronize_irq(td->bus->irqs[vector]);
}

/* ----- The IOMMU ----- */

static void testdev_end(void *data)
{
	testdev_remove(data);
}

static void testdev_unset_node(void *dev)
{
	device_set_node(dev, NULL);
}

struct testdev *testdev_create(struct kunit *test, u64 caps, unsigned int nr_irqs)
{
	struct testdev *td = kunit_kzalloc(test, sizeof(*td), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, td);
	td->test = test;
	td->writes = kunit_kcalloc(test, TESTDEV_WRITES, sizeof(*td->writes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, td->writes);
	td->bus = fakebus_create(test, caps);
	td->fake = to_fakebus(td->bus);
	td->inner = td->bus->ops;
	td->bus->ops = &testdev_ops;
	dev_set_drvdata(td->bus->dev, td);
	testdev_writable64(td, RVIOMMU_REG_TR_REQ_IOVA, RVIOMMU_TR_REQ_IOVA_VPN);
	/* The core finds the IOMMU by the node of its device. */
	device_set_node(td->bus->dev, td->bus->fwnode);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, testdev_unset_node, td->bus->dev));

	td->irqs = irq_domain_create_linear(NULL, nr_irqs, &testdev_irq_ops, NULL);
	KUNIT_ASSERT_NOT_NULL(test, td->irqs);
	td->bus->nr_irqs = 0;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, testdev_free_irqs, td));
	for (i = 0; i < nr_irqs; i++) {
		td->bus->irqs[i] = irq_create_mapping(td->irqs, i);
		KUNIT_ASSERT_NE(test, td->bus->irqs[i], 0);
		td->bus->nr_irqs++;
	}
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, testdev_end, td));
	return td;
}

int testdev_probe(struct testdev *td)
{
	int ret;

	memset(&td->iommu, 0, sizeof(td->iommu));
	ret = rviommu_probe(&td->iommu, td->bus);
	td->present = !ret;
	return ret;
}

void testdev_remove(struct testdev *td)
{
	if (!td->present)
		return;
	td->present = false;
	rviommu_remove(&td->iommu);
}

struct testdev *testdev_up(struct kunit *test, u64 caps)
{
	struct testdev *td = testdev_create(test, caps, RVIOMMU_NR_CAUSES);

	KUNIT_ASSERT_EQ(test, 0, testdev_probe(td));
	fakebus_clear(td->bus);
	td->nr_writes = 0;
	return td;
}

struct rviommu_dc testdev_context(struct testdev *td, u32 did)
{
	struct rviommu_dc dc;

	rviommu_ddt_read(&td->iommu.ddt, did, &dc);
	return dc;
}

/* ----- Endpoints ----- */

/*
 * iommu_fwspec_init() asserts a lock of the core that a module cannot take. Before
 * the device is added nobody else can see it, so its dev_iommu may as well be
 * made here; the core frees it with the device.
 */
static int testdev_make_fwspec(struct device *dev, struct fwnode_handle *fwnode, const u32 *ids,
			       unsigned int nr)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, nr), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(fwnode);
	fwspec->num_ids = nr;
	memcpy(fwspec->ids, ids, nr * sizeof(*ids));
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

static void testdev_unregister(void *data)
{
	struct device *dev = data;
	struct dev_iommu *left = device_iommu_mapped(dev) ? NULL : dev->iommu;

	/* Of a device that no IOMMU took older cores forget it. */
	if (left) {
		dev->iommu = NULL;
		fwnode_handle_put(left->fwspec->iommu_fwnode);
		kfree(left->fwspec);
		kfree(left);
	}
	platform_device_unregister(to_platform_device(dev));
}

struct device *testdev_add(struct testdev *td, const u32 *ids, unsigned int nr)
{
	struct platform_device *pdev;
	struct kunit *test = td->test;
	int ret;

	pdev = platform_device_alloc("rviommu-kunit-endpoint", PLATFORM_DEVID_AUTO);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	pdev->dev.coherent_dma_mask = DMA_BIT_MASK(64);
	*pdev->dev.dma_mask = DMA_BIT_MASK(64);
	ret = testdev_make_fwspec(&pdev->dev, td->bus->fwnode, ids, nr);
	if (!ret)
		ret = platform_device_add(pdev);
	if (ret)
		platform_device_put(pdev);
	KUNIT_ASSERT_EQ(test, 0, ret);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, testdev_unregister, &pdev->dev));
	td->endpoints++;
	return &pdev->dev;
}

struct device *testdev_add_one(struct testdev *td, u32 id)
{
	struct device *dev = testdev_add(td, &id, 1);

	KUNIT_ASSERT_TRUE(td->test, device_iommu_mapped(dev));
	return dev;
}

void testdev_del(struct testdev *td, struct device *dev)
{
	kunit_release_action(td->test, testdev_unregister, dev);
}

/* ----- What goes wrong ----- */

/* Of the test that runs: there is only one at a time. */
static struct testdev_failures *testdev_failing;

static bool testdev_alloc_fails(void)
{
	return testdev_failing->seen++ == testdev_failing->nth ||
	       testdev_failing->nth == TESTDEV_ALL;
}

void testdev_fail(struct kunit *test, struct testdev_failures *failures, int nth)
{
	failures->nth = nth;
	failures->seen = 0;
	testdev_failing = failures;
	kunit_activate_static_stub(test, rviommu_alloc_fails, testdev_alloc_fails);
}

static unsigned int testdev_few_looks(void)
{
	return 20;
}

void testdev_short_waits(struct kunit *test)
{
	kunit_activate_static_stub(test, rviommu_queue_timeout_us, testdev_few_looks);
}

static bool testdev_snoops_not(struct device *dev)
{
	return false;
}

void testdev_snoops(struct kunit *test, bool snoops)
{
	if (snoops)
		kunit_deactivate_static_stub(test, rviommu_snoops);
	else
		kunit_activate_static_stub(test, rviommu_snoops, testdev_snoops_not);
}

void testdev_barrier(void)
{
	rviommu_inval_barrier();
	rcu_barrier();
}

long testdev_live(void)
{
	/* What waits for a grace period counts: nothing is nothing, without waiting for one. */
	if (!rviommu_mem_live())
		return 0;
	testdev_barrier();
	return rviommu_mem_live();
}

void testdev_expect(struct testdev *td, const char *where, const struct testdev_command *want,
		    unsigned int nr)
{
	static const struct testdev_command fence = CMD_FENCE;
	struct kunit *test = td->test;
	unsigned int i, got;
	bool same = true;

	fakebus_commands(td->bus, &got);
	for (i = 0; i < got && i < nr; i++) {
		u64 dword0 = fakebus_command(td->bus, i, 0);
		bool is_fence = want[i].dword0 == fence.dword0;

		if (is_fence)
			dword0 &= U32_MAX;
		same &= dword0 == want[i].dword0 &&
			(is_fence || fakebus_command(td->bus, i, 1) == want[i].dword1);
	}
	KUNIT_EXPECT_TRUE_MSG(test, same && got == nr, "%s: other commands than expected", where);
	for (i = 0; (!same || got != nr) && i < max(got, nr) && i < 40; i++) {
		if (i < nr)
			kunit_err(test, "%2u: %016llx %016llx expected\n", i, want[i].dword0,
				  want[i].dword1);
		if (i < got)
			kunit_err(test, "%2u: %016llx %016llx\n", i,
				  fakebus_command(td->bus, i, 0), fakebus_command(td->bus, i, 1));
	}
	fakebus_clear(td->bus);
}

struct rviommu_attachment *testdev_link(struct kunit *test, struct rviommu *iommu,
					struct rviommu_space *space)
{
	struct rviommu_attachment *a = kunit_kzalloc(test, sizeof(*a), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, a);
	a->ep = kunit_kzalloc(test, sizeof(*a->ep), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, a->ep);
	a->ep->iommu = iommu;
	a->domain = &space->domain;
	a->space = space;
	rviommu_attachment_link(a);
	return a;
}

void testdev_unlink(struct rviommu_attachment *a)
{
	rviommu_attachment_unlink(a);
	rviommu_inval_synchronize();
}

unsigned int testdev_users(struct iommu_domain *domain, const struct rviommu *iommu, bool atc)
{
	struct rviommu_space *space = to_rviommu_space(domain);
	const struct rviommu_attachment *a;
	unsigned int users = 0;

	/* Also from under a lock of the queue. */
	guard(rcu)();
	list_for_each_entry_rcu(a, &space->attachments, node)
		users += (!iommu || a->ep->iommu == iommu) && (!atc || a->ep->ats.usable);
	return users;
}
