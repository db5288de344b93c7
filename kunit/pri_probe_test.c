// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that can send page requests is found, on the fake register bus: what is there for it
 * afterwards, and what is when memory fails.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci_regs.h>
#include <linux/xarray.h>

#include "testdev.h"

#define DID		0x40
#define CAPACITY	8

static unsigned int probe_depth(struct device *dev)
{
	return 4;
}

static int probe_enable_ats(struct device *dev)
{
	return 0;
}

static void probe_nothing(struct device *dev)
{
}

static const struct rviommu_ats_ops probe_ats_ops = {
	.depth = probe_depth,
	.enable = probe_enable_ats,
	.disable = probe_nothing,
};

static unsigned int probe_capacity(struct device *dev)
{
	return CAPACITY;
}

static u16 probe_status(struct device *dev)
{
	return PCI_PRI_STATUS_STOPPED;
}

static int probe_enable_pri(struct device *dev, unsigned int requests)
{
	return 0;
}

static const struct rviommu_pri_ops probe_pri_ops = {
	.capacity = probe_capacity,
	.status = probe_status,
	.enable = probe_enable_pri,
	.disable = probe_nothing,
	.reset = probe_nothing,
};

static struct testdev *probe_up(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, RVIOMMU_NR_CAUSES);

	td->bus->ats = &probe_ats_ops;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_ASSERT_TRUE(test, td->iommu.pageq.running);
	/* What stays of the first device is there, and not counted below. */
	testdev_del(td, testdev_add_one(td, DID));
	testdev_barrier();
	return td;
}

/* Nobody knows of the device, and nothing has its ID. */
static void probe_expect_nothing(struct testdev *td, long live, int n)
{
	testdev_barrier();
	KUNIT_EXPECT_EQ_MSG(td->test, testdev_live(), live, "allocation %d", n);
	KUNIT_EXPECT_TRUE(td->test, xa_empty(&td->iommu.dids));
	KUNIT_EXPECT_TRUE(td->test, list_empty(&td->iommu.endpoints));
	KUNIT_EXPECT_EQ(td->test, testdev_context(td, DID).word[0], 0);
}

static void probe_expect_interface(struct kunit *test, const struct rviommu_endpoint *ep, bool is)
{
	KUNIT_EXPECT_EQ(test, ep->pri.usable, is);
	KUNIT_EXPECT_EQ(test, ep->pri.requests, is ? CAPACITY : 0);
	KUNIT_EXPECT_EQ(test, !!ep->pri.prgs.memory, is);
	KUNIT_EXPECT_EQ(test, !!ep->pri.shared, is);
}

/*
 * One allocation after the other fails, until a probe meets no failure. The next one finds nothing
 * of those before. Returns how many had to be there.
 */
static int probe_in_turn(struct testdev *td, bool is)
{
	const long live = testdev_live();
	struct testdev_failures failures;
	struct kunit *test = td->test;
	static const u32 id = DID;
	struct device *dev;
	bool mapped, failed;
	int n, needed = 0;

	for (n = 0, failed = true; failed; n++) {
		KUNIT_ASSERT_LT(test, n, 100);
		testdev_fail(test, &failures, n);
		dev = testdev_add(td, &id, 1);
		failed = failures.seen > n;
		testdev_fail(test, &failures, -1);
		mapped = device_iommu_mapped(dev);
		if (mapped)
			probe_expect_interface(test, testdev_ep(dev), is);
		else
			probe_expect_nothing(td, live, n);
		KUNIT_EXPECT_TRUE(test, failed || mapped);
		needed += !mapped;
		testdev_del(td, dev);
		probe_expect_nothing(td, live, n);
	}
	return needed;
}

/* With one there are two more that have to be there: itself, and the memory of its groups. */
static void probe_without_memory(struct kunit *test)
{
	struct testdev *td = probe_up(test);
	int needed = probe_in_turn(td, false);

	KUNIT_EXPECT_GT(test, needed, 0);
	td->bus->pri = &probe_pri_ops;
	KUNIT_EXPECT_EQ(test, probe_in_turn(td, true), needed + 2);
}

static struct kunit_case probe_cases[] = {
	KUNIT_CASE(probe_without_memory),
	{}
};

static struct kunit_suite probe_suite = {
	.name = "rviommu_pri_probe",
	.test_cases = probe_cases,
};

kunit_test_suite(probe_suite);
