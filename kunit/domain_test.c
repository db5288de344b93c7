// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domains, attach and the iommu_ops, through the IOMMU core: which contexts the
 * hardware finds, which commands it gets, and that a failure changes nothing.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/of.h>
#include <linux/sizes.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/context.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iommu.h"
#include "../src/driver/mem.h"
#include "../src/driver/msi.h"
#include "../src/driver/queue.h"
#include "../src/driver/quirks.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "testdev.h"

#define RW	(IOMMU_READ | IOMMU_WRITE)

static struct iommu_domain *make_domain(struct kunit *test, struct device *dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	return domain;
}

static struct rviommu_domain *dom_of(struct device *dev)
{
	return to_rviommu_domain(iommu_get_domain_for_dev(dev));
}

static u32 pscid_of(struct iommu_domain *domain)
{
	return to_rviommu_domain(domain)->space.pscid;
}

static void expect_context(struct testdev *td, u32 did, u64 tc, u64 iohgatp, u64 ta, u64 fsc)
{
	struct rviommu_dc dc = testdev_context(td, did);
	const u64 want[8] = { tc, iohgatp, ta, fsc };
	unsigned int i;

	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ_MSG(td->test, dc.word[i], want[i], "device %#x, word %u", did, i);
}

/* First stage, by hand: iosatp.MODE is 8 for Sv39, 9 for Sv48, 10 for Sv57. */
static void expect_first_stage(struct testdev *td, u32 did, struct iommu_domain *domain,
			       u64 mode)
{
	struct rviommu_domain *dom = to_rviommu_domain(domain);

	KUNIT_EXPECT_NE(td->test, dom->space.pscid, 0);
	expect_context(td, did, 1, 0, (u64)dom->space.pscid << 12,
		       mode << 60 | virt_to_phys(dom->pt.root) >> 12);
}

static void expect_blocked(struct testdev *td, u32 did)
{
	expect_context(td, did, 0, 0, 0, 0);
}

static struct iommu_domain *attached(struct rviommu_endpoint *ep)
{
	return rviommu_attached_domain(ep, IOMMU_NO_PASID);
}

/* Attachments of @domain to the IOMMU that are counted */
static unsigned int users(struct iommu_domain *domain, struct testdev *td)
{
	return testdev_users(domain, &td->iommu, false);
}

/* ----- Attach, replace, detach ----- */

static void domain_default(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *a, *b;

	a = testdev_add_one(td, 0x100);
	KUNIT_ASSERT_NOT_NULL(test, iommu_get_domain_for_dev(a));
	KUNIT_EXPECT_TRUE(test, iommu_get_domain_for_dev(a)->type & __IOMMU_DOMAIN_PAGING);
	KUNIT_EXPECT_PTR_EQ(test, attached(testdev_ep(a)), iommu_get_domain_for_dev(a));
	expect_first_stage(td, 0x100, iommu_get_domain_for_dev(a), 9);
	KUNIT_EXPECT_EQ(test, users(iommu_get_domain_for_dev(a), td), 1);
	/*
	 * Words under an invalid tc are stored where hardware may read, so walks are
	 * waited for before tc makes them count. For tc itself, invalid before, nothing
	 * is owed but the fence.
	 */
	EXPECT_COMMANDS(td, "first device", CMD_DDT(0x100), CMD_FENCE, CMD_FENCE);
	b = testdev_add_one(td, 0x101);
	expect_first_stage(td, 0x101, iommu_get_domain_for_dev(b), 9);
	EXPECT_COMMANDS(td, "second device", CMD_DDT(0x101), CMD_FENCE, CMD_FENCE);
	KUNIT_EXPECT_PTR_NE(test, iommu_get_domain_for_dev(a), iommu_get_domain_for_dev(b));
	KUNIT_EXPECT_NE(test, dom_of(a)->space.pscid, dom_of(b)->space.pscid);
	expect_blocked(td, 0x102);
	expect_blocked(td, 0);
}

static void domain_notify_valid(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);

	td->bus->quirks = BIT(RVIOMMU_QUIRK_NOTIFY_VALID);
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	fakebus_clear(td->bus);
	testdev_add_one(td, 0x100);
	EXPECT_COMMANDS(td, "told of the new context", CMD_DDT(0x100), CMD_FENCE, CMD_DDT(0x100),
			CMD_FENCE);
}

static void domain_replace(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 0x12345);
	struct iommu_domain *def = iommu_get_domain_for_dev(dev);
	struct iommu_domain *a = make_domain(test, dev), *b = make_domain(test, dev);
	struct rviommu_endpoint *ep = testdev_ep(dev);

	fakebus_clear(td->bus);
	/* ta and fsc change: a new leaf page, and everything of the old domain is forgotten. */
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	EXPECT_COMMANDS(td, "to a", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid_of(def)), CMD_FENCE);
	expect_first_stage(td, 0x12345, a, 9);
	KUNIT_EXPECT_EQ(test, users(a, td), 1);
	KUNIT_EXPECT_EQ(test, users(def, td), 0);

	/* The core does not let another in, and the driver hears nothing of it. */
	KUNIT_EXPECT_EQ(test, iommu_attach_device(b, dev), -EBUSY);
	testdev_expect(td, "busy", NULL, 0);

	/* The same once more: nothing to do. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	testdev_expect(td, "a again", NULL, 0);
	KUNIT_EXPECT_EQ(test, users(a, td), 1);

	/* What iommufd does: directly from one to the other */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, b), 0);
	EXPECT_COMMANDS(td, "a to b", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid_of(a)), CMD_FENCE);
	expect_first_stage(td, 0x12345, b, 9);
	KUNIT_EXPECT_EQ(test, users(a, td), 0);
	KUNIT_EXPECT_EQ(test, users(b, td), 1);

	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_identity_domain), 0);
	EXPECT_COMMANDS(td, "b to identity", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid_of(b)),
			CMD_FENCE);
	expect_context(td, 0x12345, 1, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, users(b, td), 0);

	/* Nothing is cached under identity. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	EXPECT_COMMANDS(td, "identity to a", CMD_DDT_ALL, CMD_FENCE);
	expect_first_stage(td, 0x12345, a, 9);

	/* One word says it all: in place. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	EXPECT_COMMANDS(td, "a to blocking", CMD_DDT(0x12345), CMD_BARRIER, CMD_VMA(pscid_of(a)),
			CMD_FENCE);
	expect_blocked(td, 0x12345);
	KUNIT_EXPECT_EQ(test, users(a, td), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	testdev_expect(td, "blocking again", NULL, 0);

	/* The words are still there: only tc changes. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	EXPECT_COMMANDS(td, "blocking to a", CMD_FENCE);
	expect_first_stage(td, 0x12345, a, 9);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, b), 0);
	EXPECT_COMMANDS(td, "blocking to b", CMD_DDT(0x12345), CMD_FENCE, CMD_FENCE);
	expect_first_stage(td, 0x12345, b, 9);

	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	fakebus_clear(td->bus);
	iommu_detach_device(a, dev);
	EXPECT_COMMANDS(td, "back", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid_of(a)), CMD_FENCE);
	expect_first_stage(td, 0x12345, def, 9);
	KUNIT_EXPECT_EQ(test, users(def, td), 1);
	iommu_domain_free(a);
	iommu_domain_free(b);
}

/**
 * struct order - what is true whenever an attach rings the doorbell
 * @ep: the device
 * @old: what it leaves; NULL where it is no paging domain
 * @new: where it goes; NULL likewise
 * @page: a leaf page of the directory is replaced
 * @doorbells: how often it rang
 * @old_missed: how often an unmap of @old would have passed over this IOMMU
 * @new_missed: the same of @new
 * @retired: how often the old page was given up already
 */
struct order {
	struct rviommu_endpoint *ep;
	struct iommu_domain *old, *new;
	bool page;
	unsigned int doorbells, old_missed, new_missed, retired;
};

static void order_doorbell(struct testdev *td)
{
	struct order *order = td->arg;

	order->doorbells++;
	order->old_missed += order->old && users(order->old, td) != 1;
	order->new_missed += order->new && users(order->new, td) != 1;
	order->retired += order->page && !order->ep->updates[0].replaced;
}

static struct iommu_domain *if_paging(struct iommu_domain *domain)
{
	return rviommu_space_of(domain) ? domain : NULL;
}

/*
 * While the IOMMU may use the old context or the new one, whoever unmaps in either
 * domain has to invalidate there; and the page with the old one is still in use. So
 * it must be when the invalidation goes out: the new target was added before the
 * new context was published, the old one is removed after the fence.
 */
static void domain_order(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 0x12345);
	struct iommu_domain *def = iommu_get_domain_for_dev(dev);
	struct iommu_domain *a = make_domain(test, dev), *b = make_domain(test, dev);
	const struct {
		struct iommu_domain *domain;
		bool page;
		unsigned int doorbells;
	} steps[] = {
		{ a, true, 1 }, { b, true, 1 }, { &rviommu_identity_domain, true, 1 },
		{ a, true, 1 }, { &rviommu_blocking_domain, false, 1 }, { b, false, 2 },
		{ def, true, 1 },
	};
	struct order order = { .ep = testdev_ep(dev), .old = def };
	unsigned int i;

	td->arg = &order;
	td->doorbell = order_doorbell;
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		order.new = if_paging(steps[i].domain);
		order.page = steps[i].page;
		order.doorbells = 0;
		KUNIT_EXPECT_EQ(test, rviommu_attach(order.ep, steps[i].domain), 0);
		KUNIT_EXPECT_EQ_MSG(test, order.doorbells, steps[i].doorbells, "step %u", i);
		order.old = order.new;
	}
	KUNIT_EXPECT_EQ(test, users(a, td) + users(b, td), 0);

	/* The device goes. */
	order.new = NULL;
	order.page = false;
	order.doorbells = 0;
	testdev_del(td, dev);
	KUNIT_EXPECT_EQ(test, order.doorbells, 1);
	td->doorbell = NULL;
	KUNIT_EXPECT_EQ(test, order.old_missed, 0);
	KUNIT_EXPECT_EQ(test, order.new_missed, 0);
	KUNIT_EXPECT_EQ(test, order.retired, 0);
	iommu_domain_free(a);
	iommu_domain_free(b);
}

/* As VFIO does it: nothing is reachable until there is a domain. */
static void domain_dma_owner(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 0x33);
	struct iommu_domain *def = iommu_get_domain_for_dev(dev), *a = make_domain(test, dev);

	fakebus_clear(td->bus);
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, td), 0);
	EXPECT_COMMANDS(td, "claim", CMD_DDT(0x33), CMD_BARRIER, CMD_VMA(pscid_of(def)), CMD_FENCE);
	expect_blocked(td, 0x33);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	expect_first_stage(td, 0x33, a, 9);
	fakebus_clear(td->bus);
	iommu_detach_device(a, dev);
	EXPECT_COMMANDS(td, "detach", CMD_DDT(0x33), CMD_BARRIER, CMD_VMA(pscid_of(a)), CMD_FENCE);
	expect_blocked(td, 0x33);
	iommu_device_release_dma_owner(dev);
	expect_first_stage(td, 0x33, def, 9);
	iommu_domain_free(a);
}

/* A one-level directory: break before make, with its own grace periods. */
static void domain_replace_one_level(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	struct iommu_domain *def, *a;
	struct device *dev;

	td->fake->ddtp_modes = GENMASK(2, 0);
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	dev = testdev_add_one(td, 0x7f);
	def = iommu_get_domain_for_dev(dev);
	a = make_domain(test, dev);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	EXPECT_COMMANDS(td, "to a", CMD_DDT(0x7f), CMD_FENCE, CMD_DDT(0x7f), CMD_FENCE,
			CMD_DDT(0x7f), CMD_BARRIER, CMD_VMA(pscid_of(def)), CMD_FENCE);
	expect_first_stage(td, 0x7f, a, 9);
	iommu_detach_device(a, dev);
	expect_first_stage(td, 0x7f, def, 9);
	iommu_domain_free(a);
}

/* The format that the IOMMU has, in both formats of the context. */
static void domain_formats(struct kunit *test)
{
	static const struct {
		u64 caps;	/* bits 11:9 and 19:17 */
		u64 mode, mode2;
		u8 lg2, lg2_2;	/* width of the aperture */
	} cases[] = {
		{ 0x20200, 8, 8, 38, 41 },
		{ 0x60600, 9, 9, 47, 50 },
		{ 0xe0e00, 9, 9, 47, 50 },
		{ 0x80800, 10, 10, 56, 59 },
		{ 0x40200, 8, 9, 38, 50 },
		/* No first stage: the second takes its place. */
		{ 0x20000, 0, 8, 0, 41 },
		{ 0x00400, 9, 0, 47, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		const typeof(cases[0]) *c = &cases[i / 2];
		struct testdev *td = testdev_up(test, (TESTDEV_CAPS & ~0xe0e00ULL) | c->caps |
						(i % 2 ? TESTDEV_MSI : 0));
		struct device *dev = testdev_add_one(td, 0x21);
		struct iommu_domain *def = iommu_get_domain_for_dev(dev), *parent;
		struct rviommu_domain *dom;

		if (c->mode) {
			expect_first_stage(td, 0x21, def, c->mode);
			KUNIT_EXPECT_EQ(test, def->geometry.aperture_end, BIT_ULL(c->lg2) - 1);
			KUNIT_EXPECT_TRUE(test, def->geometry.force_aperture);
		}

		parent = rviommu_alloc_nest_parent(dev);
		if (!c->mode2) {
			KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(parent), -EOPNOTSUPP);
			testdev_remove(td);
			continue;
		}
		KUNIT_ASSERT_FALSE(test, IS_ERR(parent));
		dom = to_rviommu_domain(parent);
		KUNIT_EXPECT_EQ(test, parent->geometry.aperture_end, BIT_ULL(c->lg2_2) - 1);
		KUNIT_EXPECT_EQ(test, virt_to_phys(dom->pt.root) & (SZ_16K - 1), 0);
		KUNIT_EXPECT_NE(test, dom->space.gscid, 0);
		KUNIT_ASSERT_EQ(test, iommu_attach_device(parent, dev), 0);
		expect_context(td, 0x21, 1, c->mode2 << 60 | (u64)dom->space.gscid << 44 |
			       virt_to_phys(dom->pt.root) >> 12, 0, 0);
		fakebus_clear(td->bus);
		iommu_detach_device(parent, dev);
		/* Back to another second stage, only one word differs. */
		if (c->mode)
			EXPECT_COMMANDS(td, "to the first stage", CMD_DDT_ALL,
					CMD_BARRIER, CMD_VMA_GSCID(dom->space.gscid),
					CMD_GVMA(dom->space.gscid),
					CMD_FENCE);
		else
			EXPECT_COMMANDS(td, "to a second stage", CMD_DDT(0x21),
					CMD_BARRIER, CMD_VMA_GSCID(dom->space.gscid),
					CMD_GVMA(dom->space.gscid),
					CMD_FENCE);
		iommu_domain_free(parent);
		testdev_remove(td);
	}
}

static void domain_alloc_without_memory(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	const long live = testdev_live();
	struct testdev_failures failures;
	struct iommu_domain *domain;
	unsigned int second;
	int n;

	for (second = 0; second < 2; second++) {
		for (n = 0;; n++) {
			testdev_fail(test, &failures, n);
			domain = second ? rviommu_alloc_nest_parent(dev) :
					  iommu_paging_domain_alloc(dev);
			if (!IS_ERR(domain))
				break;
			KUNIT_EXPECT_EQ(test, PTR_ERR(domain), -ENOMEM);
			KUNIT_EXPECT_EQ(test, testdev_live(), live);
			KUNIT_ASSERT_LT(test, n, 20);
		}
		/* The domain, counters, number, tag, the root and its descriptor */
		KUNIT_EXPECT_EQ(test, n, 6);
		KUNIT_EXPECT_EQ(test, failures.seen, n);
		iommu_domain_free(domain);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	testdev_fail(test, &failures, -1);
}

static void domain_alloc_flags(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	const long live = testdev_live();
	const struct iommu_user_data data = {};
	struct iommu_domain *domain;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (BIT(bit) == IOMMU_HWPT_ALLOC_NEST_PARENT || BIT(bit) == RVIOMMU_ALLOC_PASID)
			continue;
		domain = rviommu_domain_alloc_paging_flags(dev, BIT(bit), NULL);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(domain), -EOPNOTSUPP);
	}
	domain = rviommu_domain_alloc_paging_flags(dev, 0, &data);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(domain), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

static int takes_no_fault(struct iopf_group *group)
{
	return -ENODEV;
}

/*
 * Who made a domain that resolves page requests waits for them: not with a device that
 * sends none.
 */
static void domain_page_requests(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	struct rviommu_endpoint *ep = testdev_ep(dev);
	const struct iommu_domain *old = attached(ep);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	domain->iopf_handler = takes_no_fault;
	KUNIT_EXPECT_EQ(test, iommu_attach_device(domain, dev), -ENODEV);
	KUNIT_EXPECT_PTR_EQ(test, attached(ep), old);
	domain->iopf_handler = NULL;
	KUNIT_EXPECT_EQ(test, iommu_attach_device(domain, dev), 0);
	iommu_detach_device(domain, dev);
	iommu_domain_free(domain);
}

/* ----- Where MSIs are written to ----- */

#define MSI_PAGE(cpu)	(0x28000000ULL + (cpu) * 0x1000)

static phys_addr_t msi_page(unsigned int cpu)
{
	return MSI_PAGE(cpu);
}

/* In the DMA API's address space they are mapped, in that of a program nothing can be. */
static void domain_msi_pages(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct iommu_resv_region *region, *next;
	struct testdev_failures failures;
	unsigned int cpu, n, nr = 0;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct device *dev;
	LIST_HEAD(regions);

	kunit_activate_static_stub(test, rviommu_msi_page, msi_page);
	dev = testdev_add_one(td, 1);
	domain = iommu_get_domain_for_dev(dev);
	KUNIT_ASSERT_TRUE(test, domain->type & __IOMMU_DOMAIN_DMA_API);
	group = iommu_group_get(dev);
	KUNIT_ASSERT_EQ(test, iommu_get_group_resv_regions(group, &regions), 0);
	iommu_group_put(group);
	for_each_possible_cpu(cpu) {
		bool hole = false;

		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, MSI_PAGE(cpu)), MSI_PAGE(cpu));
		/* What VFIO and iommufd go by */
		list_for_each_entry(region, &regions, list) {
			/* With that one they would not have the device at all. */
			KUNIT_EXPECT_NE(test, region->type, IOMMU_RESV_DIRECT);
			if (region->type != IOMMU_RESV_DIRECT_RELAXABLE &&
			    region->start <= MSI_PAGE(cpu) &&
			    region->start + region->length >= MSI_PAGE(cpu) + 0x1000)
				hole = true;
		}
		KUNIT_EXPECT_TRUE(test, hole);
		nr++;
	}
	list_for_each_entry_safe(region, next, &regions, list)
		kfree(region);

	for (n = 0; n < 2 * nr; n++) {
		INIT_LIST_HEAD(&regions);
		testdev_fail(test, &failures, n);
		KUNIT_EXPECT_EQ(test, rviommu_msi_regions(dev, &regions), -ENOMEM);
		KUNIT_EXPECT_EQ(test, list_count_nodes(&regions), n);
		iommu_put_resv_regions(dev, &regions);
	}
	testdev_fail(test, &failures, -1);
}

/* ----- Devices with several IDs, IDs with several devices ----- */

static const u32 many_ids[] = { 0x10, 0x11, 0x1000, 0x123456 };

static void domain_several_ids(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add(td, many_ids, ARRAY_SIZE(many_ids));
	struct iommu_domain *def, *a;
	unsigned int i;

	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(dev));
	def = iommu_get_domain_for_dev(dev);
	a = make_domain(test, dev);
	for (i = 0; i < ARRAY_SIZE(many_ids); i++)
		expect_first_stage(td, many_ids[i], def, 9);
	expect_blocked(td, 0x12);
	KUNIT_EXPECT_EQ(test, users(def, td), 1);

	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	for (i = 0; i < ARRAY_SIZE(many_ids); i++)
		expect_first_stage(td, many_ids[i], a, 9);
	/* However many: what is owed for all of them is said once. */
	EXPECT_COMMANDS(td, "def to a", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid_of(def)),
			CMD_FENCE);

	iommu_detach_device(a, dev);
	iommu_domain_free(a);
	testdev_del(td, dev);
	for (i = 0; i < ARRAY_SIZE(many_ids); i++)
		expect_blocked(td, many_ids[i]);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
}

/* So many that their commands do not fit on the stack at once. */
static void domain_very_many_ids(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct iommu_domain *a;
	struct device *dev;
	u32 ids[100];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = 0x80 * i + i % 3;
	dev = testdev_add(td, ids, ARRAY_SIZE(ids));
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(dev));
	a = make_domain(test, dev);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		expect_first_stage(td, ids[i], a, 9);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), &rviommu_blocking_domain), 0);
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		expect_blocked(td, ids[i]);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), a), 0);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

/*
 * Identity and a second stage differ in one word, which changes in place: each ID owes
 * its own command, up to eight of them; above, one for all is cheaper.
 */
static void domain_ids_in_place(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	u32 ids[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct device *eight = testdev_add(td, ids, 8), *nine;
	struct iommu_domain *a;
	u16 gscid;

	for (unsigned int i = 0; i < 9; i++)
		ids[i] += 0x20;
	nine = testdev_add(td, ids, 9);
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(eight) && device_iommu_mapped(nine));
	a = rviommu_alloc_nest_parent(eight);
	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	gscid = to_rviommu_domain(a)->space.gscid;

	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(eight), &rviommu_identity_domain), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(nine), &rviommu_identity_domain), 0);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(eight), a), 0);
	EXPECT_COMMANDS(td, "eight", CMD_DDT(1), CMD_DDT(2), CMD_DDT(3), CMD_DDT(4), CMD_DDT(5),
			CMD_DDT(6), CMD_DDT(7), CMD_DDT(8), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(nine), a), 0);
	EXPECT_COMMANDS(td, "nine", CMD_DDT_ALL, CMD_FENCE);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(nine), &rviommu_identity_domain), 0);
	EXPECT_COMMANDS(td, "nine back", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA_GSCID(gscid),
			CMD_GVMA(gscid),
			CMD_FENCE);

	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(eight), iommu_get_domain_for_dev(eight)),
			0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(nine), iommu_get_domain_for_dev(nine)), 0);
	iommu_domain_free(a);
}

/* IDs that come from many domains owe more than one batch of commands holds. */
static void domain_ids_of_many_domains(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_domain *from[30];
	struct device *dev;
	struct iommu_domain *def;
	unsigned int i, k, nr, found;
	u32 ids[30];

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = i;
	dev = testdev_add(td, ids, ARRAY_SIZE(ids));
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(dev));
	def = iommu_get_domain_for_dev(dev);
	/* As if devices that share its IDs had been attached to them */
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		struct rviommu_dir_update update = { .id = ids[i] };
		struct rviommu_attachment theirs = {};

		from[i] = rviommu_domain_create(&td->iommu, false);
		KUNIT_ASSERT_FALSE(test, IS_ERR(from[i]));
		theirs.domain = &from[i]->space.domain;
		theirs.space = &from[i]->space;
		update.new.dc = rviommu_make_dc(testdev_ep(dev), &theirs, 0);
		mutex_lock(&td->iommu.ddt.lock);
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&td->iommu.ddt.dir, &update, 1), 0);
		rviommu_dir_publish(&td->iommu.ddt.dir, &update, 1);
		rviommu_dir_retire(&td->iommu.ddt.dir, &update, 1);
		mutex_unlock(&td->iommu.ddt.lock);
	}
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(dev), def), 0);
	fakebus_commands(td->bus, &nr);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		const struct testdev_command vma = CMD_VMA(from[i]->space.pscid);

		expect_first_stage(td, ids[i], def, 9);
		for (k = 0, found = 0; k < nr; k++)
			found += fakebus_command(td->bus, k, 0) == vma.dword0;
		KUNIT_EXPECT_EQ_MSG(test, found, 1, "ID %u", i);
		from[i]->space.domain.ops->free(&from[i]->space.domain);
	}
	KUNIT_EXPECT_EQ(test, (u32)fakebus_command(td->bus, nr - 1, 0), 0x3402);
}

static void domain_bad_ids(struct kunit *test)
{
	static const u32 twice[] = { 5, 5, 6, 5, 6 }, wide[] = { 5, 0x1000000 };
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	const long live = testdev_live();
	struct device *dev;

	dev = testdev_add(td, twice, ARRAY_SIZE(twice));
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(dev));
	KUNIT_EXPECT_EQ(test, testdev_ep(dev)->nr_ids, 2);
	expect_first_stage(td, 5, iommu_get_domain_for_dev(dev), 9);
	expect_first_stage(td, 6, iommu_get_domain_for_dev(dev), 9);
	testdev_del(td, dev);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));

	/* One that is too wide: not at all, and nothing is left of the other. */
	dev = testdev_add(td, wide, ARRAY_SIZE(wide));
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(dev));
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
	KUNIT_EXPECT_TRUE(test, list_empty(&td->iommu.endpoints));
	expect_blocked(td, 5);
	testdev_del(td, dev);

	dev = testdev_add(td, wide, 0);
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(dev));
	testdev_del(td, dev);
	/* The directory keeps its tables, two of them for these IDs, and the page laid aside. */
	KUNIT_EXPECT_EQ(test, testdev_live(), live + 3);
}

static void count_release(void *released)
{
	(*(unsigned int *)released)++;
}

/* The core frees a group when nobody has it any more: count that in @released. */
static void watch_group(struct device *dev, unsigned int *released)
{
	struct iommu_group *group = iommu_group_get(dev);

	iommu_group_set_iommudata(group, released, count_release);
	iommu_group_put(group);
}

/* The same group by two IDs is one answer, two groups are none. No reference is lost. */
static void domain_shared_groups(struct kunit *test)
{
	static const u32 ids_a[] = { 1, 2 }, ids_b[] = { 1, 2, 3 }, ids_c[] = { 4 };
	static const u32 ids_both[] = { 3, 5, 4, 1 };
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *a = testdev_add(td, ids_a, 2), *b = testdev_add(td, ids_b, 3);
	struct device *c = testdev_add(td, ids_c, 1), *both;
	unsigned int released[2] = {};

	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(a) && device_iommu_mapped(b) &&
			  device_iommu_mapped(c));
	KUNIT_EXPECT_PTR_EQ(test, a->iommu_group, b->iommu_group);
	KUNIT_EXPECT_PTR_NE(test, a->iommu_group, c->iommu_group);
	watch_group(a, &released[0]);
	watch_group(c, &released[1]);

	both = testdev_add(td, ids_both, ARRAY_SIZE(ids_both));
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(both));
	/* It left nothing, and disturbed nobody. */
	KUNIT_EXPECT_NULL(test, xa_load(&td->iommu.dids, 5));
	expect_blocked(td, 5);
	expect_first_stage(td, 3, iommu_get_domain_for_dev(a), 9);
	expect_first_stage(td, 4, iommu_get_domain_for_dev(c), 9);
	testdev_del(td, both);

	testdev_del(td, a);
	KUNIT_EXPECT_EQ(test, released[0], 0);
	testdev_del(td, b);
	KUNIT_EXPECT_EQ(test, released[0], 1);
	KUNIT_EXPECT_EQ(test, released[1], 0);
	testdev_del(td, c);
	KUNIT_EXPECT_EQ(test, released[1], 1);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
}

/* What is promised to VFIO and iommufd, and what is not */
static void domain_capable(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct of_phandle_args args = { .args_count = 2, .args = { 1, 2 } };

	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY));
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH));
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_NOEXEC));
	KUNIT_EXPECT_FALSE(test, device_iommu_capable(dev, IOMMU_CAP_PRE_BOOT_PROTECTION));
	KUNIT_EXPECT_FALSE(test, device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY));

	/* A device whose accesses are not coherent stays so behind an IOMMU that is. */
	testdev_snoops(test, false);
	KUNIT_EXPECT_FALSE(test, device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY));
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_NOEXEC));
	testdev_snoops(test, true);

	/* One cell: the device ID. */
	KUNIT_EXPECT_EQ(test, rviommu_ops.of_xlate(dev, &args), -EINVAL);
	args.args_count = 0;
	KUNIT_EXPECT_EQ(test, rviommu_ops.of_xlate(dev, &args), -EINVAL);
}

/* Of the test that runs: stores to the directory, and contexts of ID 7 found invalid */
static unsigned int ddt_stores, ddt_blocked;

static void store_and_look(struct rviommu_ddt *ddt, u64 *where, u64 value)
{
	struct rviommu_dc dc;

	rviommu_ddt_store(ddt, where, value);
	ddt_stores++;
	ddt_blocked += !rviommu_ddt_read(ddt, 7, &dc);
}

static void domain_shared_id(struct kunit *test)
{
	static const u32 ids_a[] = { 7, 8 }, ids_b[] = { 7, 9 };
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *a = testdev_add(td, ids_a, 2), *b, *c;
	const struct rviommu_ddt_ops *ops = td->iommu.ddt.ops;
	struct rviommu_ddt_ops looking = *ops;
	struct iommu_domain *def, *domain;
	struct iommu_group *group;
	char name[48];

	/* The second one appears while the first does DMA. */
	looking.store = store_and_look;
	ddt_stores = 0;
	ddt_blocked = 0;
	td->iommu.ddt.ops = &looking;
	b = testdev_add(td, ids_b, 2);
	td->iommu.ddt.ops = ops;
	KUNIT_EXPECT_GT(test, ddt_stores, 0);
	KUNIT_EXPECT_EQ(test, ddt_blocked, 0);

	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(a));
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(b));
	KUNIT_EXPECT_PTR_EQ(test, a->iommu_group, b->iommu_group);
	c = testdev_add_one(td, 10);
	KUNIT_EXPECT_PTR_NE(test, a->iommu_group, c->iommu_group);
	def = iommu_get_domain_for_dev(a);
	KUNIT_EXPECT_PTR_EQ(test, def, iommu_get_domain_for_dev(b));
	KUNIT_EXPECT_EQ(test, users(def, td), 2);

	group = iommu_group_get(a);
	domain = make_domain(test, a);
	KUNIT_EXPECT_EQ(test, iommu_attach_group(domain, group), 0);
	expect_first_stage(td, 7, domain, 9);
	expect_first_stage(td, 8, domain, 9);
	expect_first_stage(td, 9, domain, 9);
	KUNIT_EXPECT_EQ(test, users(domain, td), 2);
	KUNIT_EXPECT_EQ(test, users(def, td), 0);
	iommu_detach_group(domain, group);
	iommu_domain_free(domain);
	iommu_group_put(group);

	rviommu_endpoint_name(&td->iommu, 7, name, sizeof(name));
	KUNIT_EXPECT_STREQ(test, name, dev_name(a));
	fakebus_clear(td->bus);
	testdev_del(td, a);
	/* What only it had is blocked and forgotten; the other one's goes on. */
	EXPECT_COMMANDS(td, "first one goes", CMD_DDT(8), CMD_BARRIER, CMD_VMA(pscid_of(def)),
			CMD_FENCE);
	expect_first_stage(td, 7, def, 9);
	expect_blocked(td, 8);
	expect_first_stage(td, 9, def, 9);
	KUNIT_EXPECT_EQ(test, users(def, td), 1);
	rviommu_endpoint_name(&td->iommu, 7, name, sizeof(name));
	KUNIT_EXPECT_STREQ(test, name, dev_name(b));

	testdev_del(td, b);
	expect_blocked(td, 7);
	expect_blocked(td, 9);
	testdev_del(td, c);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
}

/*
 * The core does not expect that the first attach fails: all that it needs was there
 * before, and the device is refused while it may be.
 */
static void domain_probe_without_memory(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct testdev_failures failures;
	struct device *dev;
	bool mapped;
	long live;
	int n;

	/* The directory keeps tables: let it have those that the last of these IDs need. */
	for (n = 0;; n++) {
		testdev_fail(test, &failures, n);
		dev = testdev_add(td, many_ids, ARRAY_SIZE(many_ids));
		mapped = device_iommu_mapped(dev);
		testdev_fail(test, &failures, -1);
		testdev_del(td, dev);
		KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
		KUNIT_EXPECT_TRUE(test, list_empty(&td->iommu.endpoints));
		if (mapped)
			break;
		KUNIT_ASSERT_LT(test, n, 40);
	}
	/* Endpoint, updates; IDs; tables of two allocations each: 2 + 1 + 2 */
	KUNIT_EXPECT_GE(test, n, 2);
	live = testdev_live();
	for (n = 0;; n++) {
		testdev_fail(test, &failures, n);
		dev = testdev_add(td, many_ids, ARRAY_SIZE(many_ids));
		mapped = device_iommu_mapped(dev);
		testdev_fail(test, &failures, failures.seen > n ? -1 : -2);
		testdev_del(td, dev);
		KUNIT_EXPECT_EQ_MSG(test, testdev_live(), live, "allocation %d", n);
		KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
		KUNIT_EXPECT_TRUE(test, list_empty(&td->iommu.endpoints));
		if (failures.nth == -2)
			break;
		KUNIT_ASSERT_LT(test, n, 40);
	}
	KUNIT_EXPECT_TRUE(test, mapped);
	/* Endpoint, updates, IDs, domain; tables, where MSI pages are mapped in it */
	KUNIT_EXPECT_GE(test, n, 2 + (int)ARRAY_SIZE(many_ids) + 5);
}

/* ----- Replace, and the memory for it is not there ----- */

static void domain_replace_without_memory(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add(td, many_ids, ARRAY_SIZE(many_ids));
	struct iommu_domain *def, *a;
	struct testdev_failures failures;
	unsigned int i;
	int n, ret;
	long live;

	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(dev));
	def = iommu_get_domain_for_dev(dev);
	live = testdev_live();
	for (n = 0;; n++) {
		a = make_domain(test, dev);
		fakebus_clear(td->bus);
		testdev_fail(test, &failures, n);
		ret = iommu_attach_device(a, dev);
		testdev_fail(test, &failures, -1);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		testdev_expect(td, "nothing changed", NULL, 0);
		for (i = 0; i < ARRAY_SIZE(many_ids); i++)
			expect_first_stage(td, many_ids[i], def, 9);
		KUNIT_EXPECT_PTR_EQ(test, attached(testdev_ep(dev)), def);
		KUNIT_EXPECT_EQ(test, users(def, td), 1);
		KUNIT_EXPECT_EQ(test, users(a, td), 0);
		iommu_domain_free(a);
		KUNIT_EXPECT_EQ_MSG(test, testdev_live(), live, "allocation %d", n);
		KUNIT_ASSERT_LT(test, n, 40);
	}
	/* The attachment, and three copies of two allocations each */
	KUNIT_EXPECT_EQ(test, n, 7);

	/* Blocking needs none, whatever there was. */
	testdev_fail(test, &failures, 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(dev), &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, failures.seen, 0);
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, rviommu_attach(testdev_ep(dev), a), 0);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* ----- One domain, several IOMMUs ----- */

static void domain_two_iommus(struct kunit *test)
{
	struct testdev *td[2] = { testdev_up(test, TESTDEV_CAPS),
				  testdev_up(test, TESTDEV_CAPS | TESTDEV_S) };
	struct device *dev[2] = { testdev_add_one(td[0], 1), testdev_add_one(td[1], 2) };
	struct iommu_domain *a = make_domain(test, dev[0]);
	const u32 pscid = pscid_of(a);

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev[0]), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x4000, RW, GFP_KERNEL), 0);
	fakebus_clear(td[0]->bus);
	fakebus_clear(td[1]->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0x1000);
	EXPECT_COMMANDS(td[0], "alone", CMD_VMA_AT(pscid, 0x5000), CMD_FENCE);
	testdev_expect(td[1], "not attached", NULL, 0);

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev[1]), 0);
	expect_first_stage(td[0], 1, a, 9);
	expect_first_stage(td[1], 2, a, 9);
	testdev_expect(td[0], "other one's attach", NULL, 0);
	fakebus_clear(td[1]->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x6000, 0x2000), 0x2000);
	EXPECT_COMMANDS(td[0], "pages", CMD_VMA_AT(pscid, 0x6000), CMD_VMA_AT(pscid, 0x7000),
			CMD_FENCE);
	EXPECT_COMMANDS(td[1], "range", { 0x401 | pscid << 12 | 1ULL << 32, 6 << 10 | 1 << 9 },
			CMD_FENCE);

	iommu_detach_device(a, dev[0]);
	fakebus_clear(td[0]->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x8000, 0x1000), 0x1000);
	testdev_expect(td[0], "detached", NULL, 0);
	EXPECT_COMMANDS(td[1], "still attached", CMD_VMA_AT(pscid, 0x8000), CMD_FENCE);
	iommu_detach_device(a, dev[1]);
	iommu_domain_free(a);
}

/*
 * The IOMMU executes a command only now and then. Whoever returns has seen the end of
 * what he asked for, on all IOMMUs.
 */
static void domain_waits(struct kunit *test)
{
	struct testdev *td[2] = { testdev_up(test, TESTDEV_CAPS), testdev_up(test, TESTDEV_CAPS) };
	struct device *dev[2] = { testdev_add_one(td[0], 1), testdev_add_one(td[1], 2) };
	struct iommu_domain *a = make_domain(test, dev[0]);
	const u32 pscid = pscid_of(a);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const u32 def = dom_of(dev[i])->space.pscid;

		fakebus_clear(td[i]->bus);
		td[i]->fake->rate = 1;
		KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev[i]), 0);
		EXPECT_COMMANDS(td[i], "attach", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(def), CMD_FENCE);
	}
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x2000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x2000), 0x2000);
	for (i = 0; i < 2; i++)
		EXPECT_COMMANDS(td[i], "unmap", CMD_VMA_AT(pscid, 0x5000),
				CMD_VMA_AT(pscid, 0x6000), CMD_FENCE);
	iommu_flush_iotlb_all(a);
	for (i = 0; i < 2; i++)
		EXPECT_COMMANDS(td[i], "flush", CMD_VMA(pscid), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0, 0x40000000, 0x200000, RW, GFP_KERNEL), 0);
	for (i = 0; i < 2; i++)
		EXPECT_COMMANDS(td[i], "walk", CMD_VMA(pscid), CMD_FENCE);
	for (i = 0; i < 2; i++) {
		iommu_detach_device(a, dev[i]);
		EXPECT_COMMANDS(td[i], "detach", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid),
				CMD_FENCE);
	}
	iommu_domain_free(a);
}

/* Two devices of one IOMMU: one command, until the last one is gone. */
static void domain_two_devices(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *x = testdev_add_one(td, 1), *y = testdev_add_one(td, 2);
	struct iommu_domain *a = make_domain(test, x);
	const u32 pscid = pscid_of(a);

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, x), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, y), 0);
	KUNIT_EXPECT_EQ(test, users(a, td), 2);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x3000, RW, GFP_KERNEL), 0);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0x1000);
	EXPECT_COMMANDS(td, "both", CMD_VMA_AT(pscid, 0x5000), CMD_FENCE);
	iommu_detach_device(a, x);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x6000, 0x1000), 0x1000);
	EXPECT_COMMANDS(td, "one", CMD_VMA_AT(pscid, 0x6000), CMD_FENCE);
	iommu_detach_device(a, y);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x7000, 0x1000), 0x1000);
	testdev_expect(td, "none", NULL, 0);
	iommu_domain_free(a);
}

static void domain_incompatible(struct kunit *test)
{
	static const struct {
		const char *name;
		u64 clear, set;
		unsigned long quirks;
		int first, second;
	} cases[] = {
		{ "the same", 0, 0, 0, 0, 0 },
		{ "more formats", 0, TESTDEV_S | TESTDEV_NL | TESTDEV_MSI, 0, 0, 0 },
		{ "Sv39 only", 0xc00, 0, 0, -EINVAL, 0 },
		{ "Sv39x4 only", 0xc0000, 0, 0, 0, -EINVAL },
		{ "no Svpbmt", TESTDEV_PBMT, 0, 0, -EINVAL, -EINVAL },
		{ "fewer addresses", 56ULL << 32, 40ULL << 32, 0, -EINVAL, -EINVAL },
		{ "no Svnapot", 0, 0, BIT(RVIOMMU_QUIRK_NO_SVNAPOT), -EINVAL, -EINVAL },
	};
	const u64 caps = TESTDEV_CAPS | TESTDEV_PBMT;
	struct testdev *td = testdev_up(test, caps);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *first = make_domain(test, dev);
	struct iommu_domain *second = rviommu_alloc_nest_parent(dev);
	unsigned int i;

	KUNIT_ASSERT_FALSE(test, IS_ERR(second));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const typeof(cases[0]) *c = &cases[i];
		struct testdev *other = testdev_create(test, (caps & ~c->clear) | c->set, 4);
		struct iommu_domain *def, *domain;
		struct device *odev;
		unsigned int k;

		other->bus->quirks = c->quirks;
		KUNIT_ASSERT_EQ(test, testdev_probe(other), 0);
		odev = testdev_add_one(other, 1);
		def = iommu_get_domain_for_dev(odev);
		for (k = 0; k < 2; k++) {
			int want = k ? c->second : c->first;

			domain = k ? second : first;
			fakebus_clear(other->bus);
			KUNIT_EXPECT_EQ_MSG(test, iommu_attach_device(domain, odev), want,
					    "%s, stage %u", c->name, k + 1);
			if (want) {
				testdev_expect(other, c->name, NULL, 0);
				KUNIT_EXPECT_PTR_EQ(test, attached(testdev_ep(odev)), def);
				KUNIT_EXPECT_EQ(test, users(def, other), 1);
			} else {
				iommu_detach_device(domain, odev);
			}
			KUNIT_EXPECT_EQ(test, users(domain, other), 0);
		}
		testdev_remove(other);
	}
	iommu_domain_free(first);
	iommu_domain_free(second);
}

/* ----- Map and unmap ----- */

static void domain_map_unmap(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	const u32 pscid = pscid_of(a);
	struct rviommu_domain_stats stats;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	fakebus_clear(td->bus);
	/* Invalid entries are not cached. */
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x7f000000, 0x12340000, 0x10000, RW, GFP_KERNEL), 0);
	testdev_expect(td, "map", NULL, 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x7f00abcd), 0x1234abcd);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x7f000000, 0x10000), 0x10000);
	EXPECT_COMMANDS(td, "64 KiB are sixteen entries",
			CMD_VMA_AT(pscid, 0x7f000000), CMD_VMA_AT(pscid, 0x7f001000),
			CMD_VMA_AT(pscid, 0x7f002000), CMD_VMA_AT(pscid, 0x7f003000),
			CMD_VMA_AT(pscid, 0x7f004000), CMD_VMA_AT(pscid, 0x7f005000),
			CMD_VMA_AT(pscid, 0x7f006000), CMD_VMA_AT(pscid, 0x7f007000),
			CMD_VMA_AT(pscid, 0x7f008000), CMD_VMA_AT(pscid, 0x7f009000),
			CMD_VMA_AT(pscid, 0x7f00a000), CMD_VMA_AT(pscid, 0x7f00b000),
			CMD_VMA_AT(pscid, 0x7f00c000), CMD_VMA_AT(pscid, 0x7f00d000),
			CMD_VMA_AT(pscid, 0x7f00e000), CMD_VMA_AT(pscid, 0x7f00f000),
			CMD_FENCE);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x7f00abcd), 0);

	/* Leaves of several sizes in one unmap: strides of the smallest. */
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x1f0000, 0xf0000, 0x10000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x200000, 0x40000000, 0x200000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x1f0000, 0x210000), 0x210000);
	EXPECT_COMMANDS(td, "mixed", CMD_VMA(pscid), CMD_FENCE);

	/* A table went with it: links are cached too. */
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x200000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x201000, 0x8000, 0x1ff000, RW, GFP_KERNEL), 0);
	testdev_expect(td, "map again", NULL, 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x200000, 0x200000), 0x200000);
	EXPECT_COMMANDS(td, "a table", CMD_VMA(pscid), CMD_FENCE);

	stats = rviommu_domain_stats(to_rviommu_domain(a));
	KUNIT_EXPECT_GE(test, stats.maps, 4);
	KUNIT_EXPECT_GE(test, stats.unmaps, 3);
	KUNIT_EXPECT_EQ(test, stats.syncs, 3);
	KUNIT_EXPECT_EQ(test, stats.flushes, 0);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

static void domain_map_second_stage(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = rviommu_alloc_nest_parent(dev);
	u16 gscid;

	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	gscid = to_rviommu_domain(a)->space.gscid;
	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x3ffffffff0000, 0x10000, 0x2000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x3ffffffff1234), 0x11234);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x3ffffffff0000, 0x2000), 0x2000);
	EXPECT_COMMANDS(td, "second stage", CMD_GVMA_AT(gscid, 0x3ffffffff0000),
			CMD_GVMA_AT(gscid, 0x3ffffffff1000), CMD_FENCE);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

/* capabilities with one mode, in one stage, and how wide its aperture is */
static const struct {
	u64 caps;
	bool second;
	u8 lg2;
} tops[] = {
	{ 0x00200, false, 38 }, { 0x00400, false, 47 }, { 0x00800, false, 56 },
	{ 0x20000, true, 41 }, { 0x40000, true, 50 }, { 0x80000, true, 59 },
};

static struct testdev_command command_at(struct iommu_domain *domain, u64 iova)
{
	const struct rviommu_domain *dom = to_rviommu_domain(domain);
	const struct testdev_command vma = CMD_VMA_AT(dom->space.pscid, iova);
	const struct testdev_command gvma = CMD_GVMA_AT(dom->space.gscid, iova);

	return dom->space.gscid ? gvma : vma;
}

/* The last pages of either half, one by one and as a range: nothing wraps. */
static void domain_last_pages(struct kunit *test)
{
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(tops); i++) {
		struct testdev *td = testdev_up(test, (TESTDEV_CAPS & ~0xe0e00ULL) | tops[i].caps);
		struct device *dev = testdev_add_one(td, 1);
		struct iommu_domain *a = make_domain(test, dev);
		const u64 ends[] = { 1ULL << tops[i].lg2, 0 };

		KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
		fakebus_clear(td->bus);
		for (n = 0; n < (tops[i].second ? 1 : 2); n++) {
			const u64 end = ends[n], page = end - SZ_4K;
			struct iommu_iotlb_gather gather;

			KUNIT_EXPECT_EQ(test, iommu_map(a, page, SZ_8K, SZ_4K, RW, GFP_KERNEL), 0);
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, page), SZ_8K);
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, end - 1), SZ_8K + SZ_4K - 1);
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, end), 0);
			KUNIT_EXPECT_NE(test, iommu_map(a, page, 0, SZ_8K, RW, GFP_KERNEL), 0);
			KUNIT_EXPECT_NE(test, iommu_map(a, page - SZ_4K, 0, SZ_16K, RW,
							GFP_KERNEL), 0);
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, end - 1), SZ_8K + SZ_4K - 1);
			testdev_expect(td, "refused", NULL, 0);
			KUNIT_EXPECT_EQ(test, iommu_unmap(a, page, SZ_4K), SZ_4K);
			EXPECT_COMMANDS(td, "last page", command_at(a, page), CMD_FENCE);

			/* In two steps of one gather: all three are forgotten. */
			KUNIT_EXPECT_EQ(test, iommu_map(a, page - SZ_8K, SZ_4K, 3 * SZ_4K, RW,
							GFP_KERNEL), 0);
			iommu_iotlb_gather_init(&gather);
			KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, page - SZ_8K, SZ_8K, &gather),
					SZ_8K);
			KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, page, SZ_4K, &gather), SZ_4K);
			iommu_iotlb_sync(a, &gather);
			/* The core takes the end of 64 bits for disjoint of all before it. */
			if (end)
				EXPECT_COMMANDS(td, "gathered", command_at(a, page - SZ_8K),
						command_at(a, page - SZ_4K), command_at(a, page),
						CMD_FENCE);
			else
				EXPECT_COMMANDS(td, "in two", command_at(a, page - SZ_8K),
						command_at(a, page - SZ_4K), CMD_FENCE,
						command_at(a, page), CMD_FENCE);

			/* And backwards. */
			KUNIT_EXPECT_EQ(test, iommu_map(a, page - SZ_4K, SZ_4K, SZ_8K, RW,
							GFP_KERNEL), 0);
			KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, page, SZ_4K, &gather), SZ_4K);
			KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, page - SZ_4K, SZ_4K, &gather),
					SZ_4K);
			iommu_iotlb_sync(a, &gather);
			if (end)
				EXPECT_COMMANDS(td, "backwards", command_at(a, page - SZ_4K),
						command_at(a, page), CMD_FENCE);
			else
				EXPECT_COMMANDS(td, "backwards in two", command_at(a, page),
						CMD_FENCE, command_at(a, page - SZ_4K), CMD_FENCE);
		}
		iommu_detach_device(a, dev);
		iommu_domain_free(a);
		testdev_remove(td);
	}
}

/* A device with all address bits gets the top of the aperture, and it works. */
static void domain_dma_at_the_top(struct kunit *test)
{
	void *buf = kunit_kzalloc(test, SZ_16K, GFP_KERNEL);
	unsigned int i, byte;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < ARRAY_SIZE(tops); i++) {
		struct testdev *td = testdev_up(test, (TESTDEV_CAPS & ~0xe0e00ULL) | tops[i].caps);
		struct device *dev = testdev_add_one(td, 1);
		struct iommu_domain *def = iommu_get_domain_for_dev(dev);
		const u64 end = 1ULL << tops[i].lg2;
		dma_addr_t dma[2];

		KUNIT_ASSERT_EQ(test, dma_set_mask(dev, DMA_BIT_MASK(64)), 0);
		dma[0] = dma_map_single(dev, buf, SZ_16K, DMA_BIDIRECTIONAL);
		KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, dma[0]), 0);
		KUNIT_EXPECT_EQ(test, dma[0], end - SZ_16K);
		dma[1] = dma_map_single(dev, buf, SZ_4K, DMA_TO_DEVICE);
		KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, dma[1]), 0);
		KUNIT_EXPECT_EQ(test, dma[1], end - SZ_16K - SZ_4K);
		for (byte = 0; byte < SZ_16K; byte += SZ_4K - 1)
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, dma[0] + byte),
					virt_to_phys(buf) + byte);
		dma_unmap_single(dev, dma[0], SZ_16K, DMA_BIDIRECTIONAL);
		dma_unmap_single(dev, dma[1], SZ_4K, DMA_TO_DEVICE);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, end - 1), 0);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, dma[1]), 0);
		testdev_remove(td);
	}
}

static void domain_bad_map(struct kunit *test)
{
	static const struct {
		const char *name;
		u64 iova, pa, size;
		int prot, ret;
	} cases[] = {
		{ "misaligned iova", 0x10800, 0x2000, 0x1000, RW, -EINVAL },
		{ "misaligned pa", 0x10000, 0x2800, 0x1000, RW, -EINVAL },
		{ "misaligned size", 0x10000, 0x2000, 0x1800, RW, -EINVAL },
		{ "size below a page", 0x10000, 0x2000, 0x800, RW, -EINVAL },
		{ "no permission", 0x10000, 0x2000, 0x1000, 0, -EINVAL },
		{ "only modifiers", 0x10000, 0x2000, 0x1000, IOMMU_CACHE, -EINVAL },
		{ "taken", 0x5000, 0x2000, 0x1000, RW, -EADDRINUSE },
		{ "taken, the same", 0x5000, 0x1000, 0x1000, RW, -EADDRINUSE },
		{ "taken at its end", 0x3000, 0x20000, 0x3000, RW, -EADDRINUSE },
		{ "taken by a large one", 0x410000, 0x20000, 0x1000, RW, -EADDRINUSE },
		{ "taken by small ones", 0, 0x200000, 0x200000, RW, -EADDRINUSE },
		{ "beyond the lower half", 0x800000000000, 0x2000, 0x1000, RW, -ERANGE },
		{ "not sign-extended", 0xfffe800000000000, 0x2000, 0x1000, RW, -ERANGE },
		{ "out of the lower half", 0x7ffffffff000, 0x2000, 0x2000, RW, -ERANGE },
		{ "address too wide", 0x10000, 1ULL << 44, 0x1000, RW, -ERANGE },
		{ "range too wide", 0x10000, (1ULL << 44) - 0x1000, 0x2000, RW, -ERANGE },
	};
	struct testdev *td = testdev_up(test, (TESTDEV_CAPS & ~(0x3fULL << 32)) | 44ULL << 32);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	unsigned int i;
	u64 iova;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x400000, 0x200000, 0x200000, RW, GFP_KERNEL), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const typeof(cases[0]) *c = &cases[i];

		KUNIT_EXPECT_EQ_MSG(test, iommu_map(a, c->iova, c->pa, c->size, c->prot,
						    GFP_KERNEL), c->ret, "%s", c->name);
		/* What was there is there, and nothing else, of any of them. */
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x5000), 0x1000);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x410000), 0x210000);
		for (iova = 0; iova < 0x20000; iova += 0x1000)
			KUNIT_EXPECT_EQ_MSG(test, iommu_iova_to_phys(a, iova),
					    iova == 0x5000 ? 0x1000 : 0, "%s", c->name);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x7ffffffff000), 0);
	}
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

static void domain_bad_unmap(struct kunit *test)
{
	static const struct {
		const char *name;
		u64 iova, size;
	} cases[] = {
		{ "nothing mapped", 0x10000, 0x1000 },
		{ "much that is not mapped", 0x10000, 0x40000000 },
		{ "misaligned iova", 0x5800, 0x1000 },
		{ "misaligned size", 0x5000, 0x800 },
		{ "no such address", 0x800000000000, 0x1000 },
		{ "all there is not", 0xfffe800000000000, 0x1000 },
		{ "a hole first", 0x4000, 0x2000 },
	};
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	fakebus_clear(td->bus);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const typeof(cases[0]) *c = &cases[i];

		KUNIT_EXPECT_EQ_MSG(test, iommu_unmap(a, c->iova, c->size), 0, "%s", c->name);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x5000), 0x1000);
		testdev_expect(td, c->name, NULL, 0);
	}
	/* Up to the first hole */
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x2000), 0x1000);
	EXPECT_COMMANDS(td, "up to the hole", CMD_VMA_AT(pscid_of(a), 0x5000), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

static void domain_map_without_memory(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	const long live = testdev_live();
	struct testdev_failures failures;
	struct iommu_domain *a;
	u64 iova;
	int n, ret;

	for (n = 0;; n++) {
		a = make_domain(test, dev);
		testdev_fail(test, &failures, n);
		/* Over the end of one table into the next */
		ret = iommu_map(a, 0x3fff8000, 0x8000, 0x10000, RW, GFP_KERNEL);
		testdev_fail(test, &failures, -1);
		for (iova = 0x3fff0000; iova < 0x40010000; iova += 0x1000)
			KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, iova),
					!ret && iova >= 0x3fff8000 && iova < 0x40008000 ?
					iova - 0x3fff0000 : 0);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		iommu_domain_free(a);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
		KUNIT_ASSERT_LT(test, n, 20);
	}
	/* Three levels, then two for the second gigabyte, two allocations each */
	KUNIT_EXPECT_EQ(test, n, 10);
	iommu_domain_free(a);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* ----- A leaf over a table that is empty ----- */

/* The entry at @level (0 is the last) for @iova, by hand. */
static u64 *entry_at(struct iommu_domain *domain, u64 iova, unsigned int level)
{
	u64 *table = to_rviommu_domain(domain)->pt.root, *e = NULL;
	unsigned int l;

	for (l = 3; l + 1 > level; l--) {
		e = &table[iova >> (12 + 9 * l) & 0x1ff];
		if (l > level)
			table = phys_to_virt((*e >> 10 & GENMASK_ULL(43, 0)) << 12);
	}
	return e;
}

/**
 * struct walk_watch - what is there whenever commands go out
 * @e: the entry
 * @doorbells: how often they did
 * @linked: how often it was valid then
 */
struct walk_watch {
	u64 *e;
	unsigned int doorbells;
	unsigned int linked;
};

static void watch_entry(struct testdev *td)
{
	struct walk_watch *watch = td->arg;

	watch->doorbells++;
	watch->linked += READ_ONCE(*watch->e) & 1;
}

static void map_over_empty(struct kunit *test, u64 caps, bool second_stage, u64 flags,
			   u64 dword1)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS | caps);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = second_stage ? rviommu_alloc_nest_parent(dev) :
						make_domain(test, dev);
	struct rviommu_domain *dom = to_rviommu_domain(a);
	const struct testdev_command vma = CMD_VMA(dom->space.pscid);
	const struct testdev_command gvma = CMD_GVMA(dom->space.gscid);
	struct walk_watch watch = {};
	unsigned int i;
	long live;

	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	/* In pieces, so that the table stays when the last one goes. */
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x200000, 0x1000, 0x8000, RW, GFP_KERNEL), 0);
	for (i = 0; i < 8; i++)
		KUNIT_ASSERT_EQ(test, iommu_unmap(a, 0x200000 + 0x1000 * i, 0x1000), 0x1000);
	fakebus_clear(td->bus);

	watch.e = entry_at(a, 0x200000, 1);
	KUNIT_ASSERT_EQ(test, *watch.e & 0xf, 1);
	td->arg = &watch;
	td->doorbell = watch_entry;
	live = testdev_live();
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x200000, 0x40000000, 0x200000, RW, GFP_KERNEL), 0);
	td->doorbell = NULL;

	/* The walk is forgotten while the entry is invalid, and only then is there a leaf. */
	EXPECT_COMMANDS(td, "walk", { (second_stage ? gvma : vma).dword0 | flags, dword1 },
			CMD_FENCE);
	KUNIT_EXPECT_EQ(test, watch.doorbells, 1);
	KUNIT_EXPECT_EQ(test, watch.linked, 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x212345), 0x40012345);
	/* The empty table is gone. */
	KUNIT_EXPECT_EQ(test, testdev_live(), live - 1);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

static void domain_map_over_empty_table(struct kunit *test)
{
	/* AV, NL; S with eight ones for 2 MiB */
	const u64 flags = 1 << 10 | 1ULL << 34, range = (0x200 | 0xff) << 10 | 1 << 9;

	map_over_empty(test, 0, false, 0, 0);
	map_over_empty(test, TESTDEV_S, false, 0, 0);
	map_over_empty(test, TESTDEV_S | TESTDEV_NL, false, flags, range);
	map_over_empty(test, 0, true, 0, 0);
	map_over_empty(test, TESTDEV_S | TESTDEV_NL, true, flags, range);
}

/* ----- Deferred flushing ----- */

/**
 * struct retire_watch - what became of a table whenever commands go out
 * @dom: its domain
 * @page: its descriptor
 * @doorbells: how often they did
 * @waiting: how often a table still waited for a flush then
 * @retired: how often this one was given up already
 */
struct retire_watch {
	struct rviommu_domain *dom;
	struct rviommu_page *page;
	unsigned int doorbells, waiting, retired;
};

static void watch_retire(struct testdev *td)
{
	struct retire_watch *watch = td->arg;

	watch->doorbells++;
	watch->waiting += !list_empty(&watch->dom->pending);
	/* set by call_rcu() */
	watch->retired += !!watch->page->rcu.func;
}

static void watch_table(struct testdev *td, struct retire_watch *watch,
			struct iommu_domain *domain, u64 iova)
{
	u64 entry = *entry_at(domain, iova, 1);

	*watch = (struct retire_watch) {
		.dom = to_rviommu_domain(domain),
		.page = rviommu_page_of(phys_to_virt((entry >> 10 & GENMASK_ULL(43, 0)) << 12)),
	};
	watch->page->rcu.func = NULL;
	td->arg = watch;
	td->doorbell = watch_retire;
}

/*
 * The order in which tables go: unlinked, then forgotten by the IOMMU, then given up.
 * A flush takes those that wait before it sends its command: one that is unlinked
 * after that is not covered by it.
 */
static void domain_unmap_order(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS | TESTDEV_S | TESTDEV_NL);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	const struct testdev_command vma = CMD_VMA(pscid_of(a));
	struct iommu_iotlb_gather gather;
	struct retire_watch watch;
	long live;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	/* so that the other tables stay */
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40200000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	live = testdev_live();

	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40000000, 0x1000, 0x200000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), live + 1);
	watch_table(td, &watch, a, 0x40000000);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x40000000, 0x200000), 0x200000);
	td->doorbell = NULL;
	/* AV and NL; S, and eight ones for 2 MiB */
	EXPECT_COMMANDS(td, "with its links",
			{ vma.dword0 | 1ULL << 10 | 1ULL << 34,
			  (0x40000000ULL >> 12 | 0xff) << 10 | 1ULL << 9 }, CMD_FENCE);
	KUNIT_EXPECT_EQ(test, watch.doorbells, 1);
	KUNIT_EXPECT_EQ(test, watch.retired, 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);

	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40000000, 0x1000, 0x200000, RW, GFP_KERNEL), 0);
	watch_table(td, &watch, a, 0x40000000);
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x40000000, 0x200000, &gather), 0x200000);
	KUNIT_EXPECT_EQ(test, watch.doorbells, 0);
	KUNIT_EXPECT_FALSE(test, list_empty(&watch.dom->pending));
	iommu_flush_iotlb_all(a);
	td->doorbell = NULL;
	KUNIT_EXPECT_EQ(test, watch.doorbells, 1);
	KUNIT_EXPECT_EQ(test, watch.waiting, 0);
	KUNIT_EXPECT_EQ(test, watch.retired, 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

/* Numbers that a domain had are there for the next one: the lowest free is taken. */
static void domain_numbers_come_back(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_domain *dom;
	unsigned int id, tag, i;

	for (i = 0; i < 2; i++) {
		dom = rviommu_domain_create(&td->iommu, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(dom));
		id = dom->id;
		tag = i ? dom->space.gscid : dom->space.pscid;
		KUNIT_EXPECT_NE(test, id, 0);
		KUNIT_EXPECT_NE(test, tag, 0);
		dom->space.domain.ops->free(&dom->space.domain);
		dom = rviommu_domain_create(&td->iommu, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(dom));
		KUNIT_EXPECT_LE(test, dom->id, id);
		KUNIT_EXPECT_LE(test, i ? dom->space.gscid : dom->space.pscid, tag);
		dom->space.domain.ops->free(&dom->space.domain);
	}
}

static void domain_deferred_flush(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	struct iommu_iotlb_gather gather;
	long live, mapped;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40000000, 0x1000, 0x200000, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x80000000, 0x1000, 0x2000, RW, GFP_KERNEL), 0);
	fakebus_clear(td->bus);
	mapped = testdev_live();

	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x40000000, 0x200000, &gather), 0x200000);
	iommu_iotlb_sync(a, &gather);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x40000000), 0);
	/* Devices may still go through the table that was there. */
	testdev_expect(td, "queued", NULL, 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), mapped);

	/* An unmap that is not queued takes care of its own only. */
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x80000000, 0x2000), 0x2000);
	EXPECT_COMMANDS(td, "not queued", CMD_VMA_AT(pscid_of(a), 0x80000000),
			CMD_VMA_AT(pscid_of(a), 0x80001000), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, testdev_live(), mapped);

	/* Readers in software: the flush does not wait for them, freeing does. */
	rcu_read_lock();
	iommu_flush_iotlb_all(a);
	EXPECT_COMMANDS(td, "flush", CMD_VMA(pscid_of(a)), CMD_FENCE);
	live = rviommu_mem_live();
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, live, mapped);
	KUNIT_EXPECT_EQ(test, testdev_live(), mapped - 1);

	/* Nothing left for the next one. */
	iommu_flush_iotlb_all(a);
	KUNIT_EXPECT_EQ(test, testdev_live(), mapped - 1);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

/* Tables that no flush came for go with the domain. */
static void domain_free_with_pending(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_iotlb_gather gather;
	struct iommu_domain *a;
	long live;

	/* Its copy of the context's page replaces the old one: no difference. */
	live = testdev_live();
	a = make_domain(test, dev);
	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40000000, 0x1000, 0x200000, RW, GFP_KERNEL), 0);
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x40000000, 0x200000, &gather), 0x200000);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* Several unmaps in one gather: one synchronisation, or two when they are far apart. */
static void domain_gather(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	const u32 pscid = pscid_of(a);
	struct iommu_iotlb_gather gather;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x4000, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x40000000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x600000, 0x200000, 0x200000, RW, GFP_KERNEL), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x800000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
	fakebus_clear(td->bus);

	iommu_iotlb_gather_init(&gather);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x5000, 0x1000, &gather), 0x1000);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x6000, 0x3000, &gather), 0x3000);
	testdev_expect(td, "gathering", NULL, 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x40000000, 0x1000, &gather), 0x1000);
	EXPECT_COMMANDS(td, "far away", CMD_VMA_AT(pscid, 0x5000), CMD_VMA_AT(pscid, 0x6000),
			CMD_VMA_AT(pscid, 0x7000), CMD_VMA_AT(pscid, 0x8000), CMD_FENCE);
	iommu_iotlb_sync(a, &gather);
	EXPECT_COMMANDS(td, "the rest", CMD_VMA_AT(pscid, 0x40000000), CMD_FENCE);

	/* A large leaf, then a small one next to it: the small one's stride. */
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x600000, 0x200000, &gather), 0x200000);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(a, 0x800000, 0x1000, &gather), 0x1000);
	iommu_iotlb_sync(a, &gather);
	EXPECT_COMMANDS(td, "large and small", CMD_VMA(pscid), CMD_FENCE);

	/* Nothing gathered, nothing to do. */
	iommu_iotlb_sync(a, &gather);
	testdev_expect(td, "empty", NULL, 0);
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

static void domain_dma_api(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *def = iommu_get_domain_for_dev(dev);
	void *buf = kunit_kzalloc(test, SZ_16K, GFP_KERNEL);
	struct rviommu_domain_stats before, after;
	dma_addr_t dma, coherent;
	void *cpu;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY));
	KUNIT_EXPECT_TRUE(test, device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH));
	dma = dma_map_single(dev, buf, SZ_16K, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, dma), 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, dma), virt_to_phys(buf));
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, dma + SZ_16K - 1),
			virt_to_phys(buf) + SZ_16K - 1);
	cpu = dma_alloc_coherent(dev, SZ_64K, &coherent, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cpu);
	KUNIT_EXPECT_NE(test, iommu_iova_to_phys(def, coherent + SZ_64K - 1), 0);

	fakebus_clear(td->bus);
	before = rviommu_domain_stats(to_rviommu_domain(def));
	dma_unmap_single(dev, dma, SZ_16K, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, dma), 0);
	after = rviommu_domain_stats(to_rviommu_domain(def));
	/* Strict: forgotten on return. Deferred: some time later. */
	if (def->type == IOMMU_DOMAIN_DMA) {
		KUNIT_EXPECT_EQ(test, after.syncs, before.syncs + 1);
		KUNIT_EXPECT_EQ(test, (u32)fakebus_command(td->bus, 0, 0) & 0x7f, 1);
	} else {
		KUNIT_EXPECT_EQ(test, after.syncs, before.syncs);
	}
	dma_free_coherent(dev, SZ_64K, cpu, coherent);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(def, coherent), 0);
}

/* ----- What ends, and in which order ----- */

static void domain_device_goes(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 0x42);
	u32 pscid;
	long live;

	testdev_del(td, dev);
	/* Tables of the directory stay, for the next device. */
	live = testdev_live();
	dev = testdev_add_one(td, 0x42);
	pscid = dom_of(dev)->space.pscid;
	fakebus_clear(td->bus);
	testdev_del(td, dev);
	EXPECT_COMMANDS(td, "removal", CMD_DDT(0x42), CMD_BARRIER, CMD_VMA(pscid), CMD_FENCE);
	expect_blocked(td, 0x42);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
	KUNIT_EXPECT_TRUE(test, list_empty(&td->iommu.endpoints));
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* All goes while devices are still there: the core takes them away first. */
static void domain_iommu_goes(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add(td, many_ids, ARRAY_SIZE(many_ids));

	KUNIT_EXPECT_TRUE(test, device_iommu_mapped(dev));
	testdev_remove(td);
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(dev));
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

static void domain_outlives_device(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x2000, RW, GFP_KERNEL), 0);
	iommu_detach_device(a, dev);
	testdev_del(td, dev);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0x1000);
	KUNIT_EXPECT_EQ(test, iommu_map(a, 0x200000, 0, 0x200000, RW, GFP_KERNEL), 0);
	testdev_expect(td, "no device", NULL, 0);

	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(a, 0x6000), 0x2000);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x6000, 0x1000), 0x1000);
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x200000, 0x200000), 0x200000);
	iommu_flush_iotlb_all(a);
	iommu_domain_free(a);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

static void domain_dead_queue(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1), *other = testdev_add_one(td, 2);
	struct iommu_domain *a = make_domain(test, dev), *b = make_domain(test, dev);
	struct iommu_domain *def = iommu_get_domain_for_dev(other);
	const u32 late_id = 3;
	struct device *late;

	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x2000, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 4);

	/* Nothing is executed any more; the unmap waits for so long and not longer. */
	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 200;
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0x1000);
	KUNIT_EXPECT_TRUE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 0);

	/* From now on nobody waits, and everything that frees works. */
	td->nr_writes = 0;
	KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x6000, 0x1000), 0x1000);
	iommu_flush_iotlb_all(a);
	KUNIT_EXPECT_EQ(test, td->nr_writes, 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(b, other), -EIO);
	KUNIT_EXPECT_EQ(test, users(b, td), 0);

	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(other), def);

	/* The core lets go of the domain, and frees it: nobody may know it then. */
	iommu_detach_device(a, dev);
	KUNIT_EXPECT_EQ(test, users(a, td), 0);
	KUNIT_EXPECT_PTR_NE(test, attached(testdev_ep(dev)), a);
	iommu_domain_free(a);
	iommu_domain_free(b);

	/* A device that comes now is not taken. */
	late = testdev_add(td, &late_id, 1);
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(late));

	/* Blocking is what it does best. */
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(other, td), 0);
	iommu_device_release_dma_owner(other);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 0);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/**
 * struct rcu_looks - looks at registers, by whoever waits
 * @looks: how many
 * @inside: of those, inside an RCU section
 */
struct rcu_looks {
	unsigned int looks;
	unsigned int inside;
};

/* The IOMMU goes on after the fourth. */
static void look_at_rcu(struct testdev *td)
{
	struct rcu_looks *looks = td->arg;

	looks->inside += rcu_read_lock_held();
	if (++looks->looks == 4)
		td->fake->rate = UINT_MAX;
}

/*
 * Whoever unmaps holds no grace period up while he waits: for his fence, nor for room in a
 * queue that executes nothing.
 */
static void domain_waits_outside_rcu(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);
	struct rviommu_cmdq *cq = &td->iommu.cmdq;
	const u32 mask = rviommu_queue_mask(&cq->q);
	struct rcu_looks looks;
	unsigned int full;
	u32 fence;

	if (!IS_ENABLED(CONFIG_PROVE_RCU))
		kunit_skip(test, "without CONFIG_PROVE_RCU nobody knows");
	KUNIT_ASSERT_EQ(test, iommu_attach_device(a, dev), 0);
	td->arg = &looks;
	for (full = 0; full < 2; full++) {
		looks = (struct rcu_looks){};
		KUNIT_ASSERT_EQ(test, iommu_map(a, 0x5000, 0x1000, 0x1000, RW, GFP_KERNEL), 0);
		td->fake->rate = 0;
		/* Until there is no room for a command and its fence. */
		while (full && ((cq->tail - cq->head) & mask) + cq->reserve + 1 < mask)
			KUNIT_ASSERT_EQ(test, rviommu_cmdq_issue(cq, NULL, 0, &fence), 0);
		td->look = look_at_rcu;
		KUNIT_EXPECT_EQ(test, iommu_unmap(a, 0x5000, 0x1000), 0x1000);
		td->look = NULL;
		KUNIT_EXPECT_GE(test, looks.looks, 4);
		KUNIT_EXPECT_EQ(test, looks.inside, 0);
	}
	iommu_detach_device(a, dev);
	iommu_domain_free(a);
}

/* It dies in the middle of a replace: the replace is complete, blocked. */
static void domain_dies_in_attach(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *a = make_domain(test, dev);

	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 200;
	KUNIT_EXPECT_EQ(test, iommu_attach_device(a, dev), 0);
	KUNIT_EXPECT_TRUE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 0);
	KUNIT_EXPECT_PTR_EQ(test, attached(testdev_ep(dev)), a);
	KUNIT_EXPECT_EQ(test, users(a, td), 1);
	iommu_detach_device(a, dev);
	KUNIT_EXPECT_EQ(test, users(a, td), 0);
	iommu_domain_free(a);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/*
 * The way back on a dead IOMMU: the core frees the domain that is left, and nobody may
 * know it then. Attach one, replace it by two, the IOMMU dies, replace that by one.
 */
static void domain_dead_way_back(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *one = make_domain(test, dev), *two = make_domain(test, dev);
	struct rviommu_endpoint *ep = testdev_ep(dev);

	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, one), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, two), 0);
	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 200;
	iommu_flush_iotlb_all(two);
	KUNIT_ASSERT_TRUE(test, td->iommu.dead);

	/* What is attached may be attached again, and nothing of it changes. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, two), 0);
	KUNIT_EXPECT_PTR_EQ(test, attached(ep), two);
	KUNIT_EXPECT_EQ(test, users(two, td), 1);

	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, one), 0);
	KUNIT_EXPECT_PTR_NE(test, attached(ep), two);
	KUNIT_EXPECT_EQ(test, users(two, td), 0);
	iommu_domain_free(two);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, users(one, td), 0);
	iommu_domain_free(one);
	testdev_del(td, dev);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* Blocked and sent back again and again, as by resets: it stays the way back. */
static void domain_dead_resets(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *one = make_domain(test, dev), *two = make_domain(test, dev);
	struct rviommu_endpoint *ep = testdev_ep(dev);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, one), 0);
	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 200;
	iommu_flush_iotlb_all(one);
	KUNIT_ASSERT_TRUE(test, td->iommu.dead);

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
		KUNIT_EXPECT_EQ(test, users(one, td), 0);
		KUNIT_EXPECT_EQ(test, rviommu_attach(ep, two), -EIO);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_attach(ep, one), 0, "reset %u", i);
		KUNIT_EXPECT_EQ(test, users(one, td), 0);
	}
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	iommu_domain_free(one);
	iommu_domain_free(two);
}

/**
 * struct fault_reader - the interrupt's thread, about to count a fault
 * @td: the IOMMU
 * @found: it has found the device
 * @stop: and may go on
 * @did: what it found
 * @ep: the same
 * @kept: both were still waiting for it at the end
 * @done: it has ended
 */
struct fault_reader {
	struct testdev *td;
	struct completion found;
	bool stop;
	struct rviommu_did *did;
	struct rviommu_endpoint *ep;
	bool kept;
	struct completion done;
};

static int read_endpoint(void *arg)
{
	struct fault_reader *reader = arg;
	unsigned long end = jiffies + 20 * HZ;

	rcu_read_lock();
	reader->did = xa_load(&reader->td->iommu.dids, 1);
	reader->ep = reader->did ? READ_ONCE(reader->did->owner) : NULL;
	complete(&reader->found);
	/* A removal that waits for readers ends here, and fails the test. */
	while (!READ_ONCE(reader->stop) && time_before(jiffies, end))
		cpu_relax();
	/* set by call_rcu() */
	reader->kept = reader->ep && READ_ONCE(reader->stop) &&
		       READ_ONCE(reader->did->rcu.func) && READ_ONCE(reader->ep->rcu.func);
	rcu_read_unlock();
	complete(&reader->done);
	return 0;
}

/* Who reports a fault may look at a device that is just removed: it is not freed. */
static void domain_device_goes_under_reader(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct fault_reader reader = { .td = td };

	if (num_online_cpus() < 2)
		kunit_skip(test, "the reader needs a CPU of its own");
	init_completion(&reader.found);
	init_completion(&reader.done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(read_endpoint, &reader, "rviommu-reader")));
	wait_for_completion(&reader.found);
	testdev_del(td, dev);
	WRITE_ONCE(reader.stop, true);
	wait_for_completion(&reader.done);
	KUNIT_EXPECT_TRUE(test, reader.kept);
	KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
}

/* ----- Attach against unmap ----- */

#define RACE_IOVA	0x5000

/**
 * struct race - a cache that keeps what it has until it is told to forget
 * @td: its IOMMU
 * @domain: what is attached and detached there, and mapped and unmapped
 * @ep: the device
 * @pscid: of @domain
 * @cached: a translation of the page is cached
 * @pos: commands that were looked at
 * @hits: how often the cache was filled
 * @stop: end of it
 *
 * @cached and @pos under the fake bus's lock, under which commands execute, too:
 * a walk and what it caches are one step, as hardware must make it look, because a
 * fence waits for walks that have begun.
 */
struct race {
	struct testdev *td;
	struct iommu_domain *domain;
	struct rviommu_endpoint *ep;
	u32 pscid;
	bool cached;
	unsigned int pos;
	unsigned int hits;
	bool stop;
};

/* Take note of the invalidations since the last time. */
static void race_forget(struct race *race)
{
	struct fakebus *fake = race->td->fake;

	for (; race->pos < min(fake->nr_log, FAKEBUS_LOG); race->pos++) {
		u64 dword0 = le64_to_cpu(fake->log[race->pos].dword[0]);

		if ((dword0 & 0x3ff) == 1 && (dword0 >> 12 & 0xfffff) == race->pscid)
			race->cached = false;
	}
	/* The log is long enough for what happens between two looks. */
	if (fake->nr_log > FAKEBUS_LOG / 2) {
		fake->nr_log = 0;
		race->pos = 0;
	}
}

static bool race_cached(struct race *race)
{
	unsigned long flags;
	bool cached;

	spin_lock_irqsave(&race->td->fake->lock, flags);
	race_forget(race);
	cached = race->cached;
	spin_unlock_irqrestore(&race->td->fake->lock, flags);
	return cached;
}

/* The hardware: translates the page whenever it can, from the context down. */
static int race_hardware(void *arg)
{
	struct race *race = arg;
	struct fakebus *fake = race->td->fake;
	u64 *pte = entry_at(race->domain, RACE_IOVA, 0);
	unsigned long flags;

	while (!READ_ONCE(race->stop)) {
		struct rviommu_dc dc;

		spin_lock_irqsave(&fake->lock, flags);
		race_forget(race);
		dc = testdev_context(race->td, race->ep->ids[0]);
		if (dc.word[0] & 1 && dc.word[2] >> 12 == race->pscid &&
		    READ_ONCE(*pte) & 1 && !race->cached) {
			race->cached = true;
			race->hits++;
		}
		spin_unlock_irqrestore(&fake->lock, flags);
		cond_resched();
	}
	return 0;
}

static int race_attach(void *arg)
{
	struct race *race = arg;

	while (!READ_ONCE(race->stop)) {
		rviommu_attach(race->ep, race->domain);
		cond_resched();
		rviommu_attach(race->ep, &rviommu_blocking_domain);
		cond_resched();
	}
	return 0;
}

/*
 * However attach and unmap meet: when the unmap is over, no translation of the page
 * is cached anywhere, and none comes back. Either the unmap saw the new target, or
 * the hardware's first walk the cleared entry.
 */
static void domain_attach_races_unmap(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct race race = { .td = td, .ep = testdev_ep(dev) };
	static int (* const fns[])(void *) = { race_hardware, race_attach };
	struct task_struct *threads[ARRAY_SIZE(fns)] = {};
	unsigned int i, k, stale = 0;
	struct iommu_domain *def = iommu_get_domain_for_dev(dev);

	race.domain = make_domain(test, dev);
	race.pscid = pscid_of(race.domain);
	/* The tables stay; only the last entry comes and goes. */
	KUNIT_ASSERT_EQ(test, iommu_map(race.domain, RACE_IOVA, 0x1000, 0x1000, RW, GFP_KERNEL),
			0);
	KUNIT_ASSERT_EQ(test, iommu_unmap(race.domain, RACE_IOVA, 0x1000), 0x1000);

	for (i = 0; i < ARRAY_SIZE(fns); i++) {
		threads[i] = kthread_run(fns[i], &race, "rviommu-kunit/%u", i);
		KUNIT_EXPECT_FALSE(test, IS_ERR(threads[i]));
		if (!IS_ERR(threads[i]))
			get_task_struct(threads[i]);
	}
	for (i = 0; i < 100000 && (i < 3000 || READ_ONCE(race.hits) < 300) && !stale; i++) {
		if (iommu_map(race.domain, RACE_IOVA, 0x1000, 0x1000, RW, GFP_KERNEL))
			break;
		for (k = 0; k < i % 50; k++)
			cpu_relax();
		/* On one CPU the others come rarely in between: until they did, they are let in. */
		if (i % 64 == 0 && READ_ONCE(race.hits) < 10)
			schedule_timeout_uninterruptible(1);
		cond_resched();
		if (iommu_unmap(race.domain, RACE_IOVA, 0x1000) != 0x1000)
			break;
		stale += race_cached(&race);
		cond_resched();
		stale += race_cached(&race);
	}
	WRITE_ONCE(race.stop, true);
	for (k = 0; k < ARRAY_SIZE(fns); k++)
		if (!IS_ERR(threads[k]))
			kthread_stop_put(threads[k]);

	KUNIT_EXPECT_EQ_MSG(test, stale, 0, "in round %u", i);
	KUNIT_EXPECT_GE(test, i, 3000);
	/* It was a race: the page was cached, and not in every round. */
	kunit_info(test, "%u rounds, cached in %u of them\n", i, race.hits);
	KUNIT_EXPECT_GT(test, race.hits, 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(race.ep, def), 0);
	iommu_domain_free(race.domain);
}

static struct kunit_case domain_cases[] = {
	KUNIT_CASE(domain_default),
	KUNIT_CASE(domain_notify_valid),
	KUNIT_CASE(domain_replace),
	KUNIT_CASE(domain_order),
	KUNIT_CASE(domain_dma_owner),
	KUNIT_CASE(domain_replace_one_level),
	KUNIT_CASE(domain_formats),
	KUNIT_CASE(domain_alloc_without_memory),
	KUNIT_CASE(domain_alloc_flags),
	KUNIT_CASE(domain_page_requests),
	KUNIT_CASE(domain_msi_pages),
	KUNIT_CASE(domain_several_ids),
	KUNIT_CASE(domain_very_many_ids),
	KUNIT_CASE(domain_ids_in_place),
	KUNIT_CASE(domain_ids_of_many_domains),
	KUNIT_CASE(domain_bad_ids),
	KUNIT_CASE(domain_shared_id),
	KUNIT_CASE(domain_shared_groups),
	KUNIT_CASE(domain_capable),
	KUNIT_CASE(domain_probe_without_memory),
	KUNIT_CASE(domain_replace_without_memory),
	KUNIT_CASE(domain_two_iommus),
	KUNIT_CASE(domain_waits),
	KUNIT_CASE(domain_two_devices),
	KUNIT_CASE(domain_incompatible),
	KUNIT_CASE(domain_map_unmap),
	KUNIT_CASE(domain_map_second_stage),
	KUNIT_CASE(domain_last_pages),
	KUNIT_CASE(domain_dma_at_the_top),
	KUNIT_CASE(domain_bad_map),
	KUNIT_CASE(domain_bad_unmap),
	KUNIT_CASE(domain_map_without_memory),
	KUNIT_CASE(domain_map_over_empty_table),
	KUNIT_CASE(domain_unmap_order),
	KUNIT_CASE(domain_numbers_come_back),
	KUNIT_CASE(domain_deferred_flush),
	KUNIT_CASE(domain_free_with_pending),
	KUNIT_CASE(domain_gather),
	KUNIT_CASE(domain_dma_api),
	KUNIT_CASE(domain_device_goes),
	KUNIT_CASE(domain_device_goes_under_reader),
	KUNIT_CASE(domain_iommu_goes),
	KUNIT_CASE(domain_outlives_device),
	KUNIT_CASE(domain_dead_queue),
	KUNIT_CASE(domain_waits_outside_rcu),
	KUNIT_CASE(domain_dies_in_attach),
	KUNIT_CASE(domain_dead_way_back),
	KUNIT_CASE(domain_dead_resets),
	KUNIT_CASE(domain_attach_races_unmap),
	{}
};

static struct kunit_suite domain_suite = {
	.name = "rviommu_domain",
	.test_cases = domain_cases,
};

kunit_test_suite(domain_suite);
