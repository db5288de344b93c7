// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs and ATS on the fake register bus: exactly which commands each operation
 * sends and in which order, what is in the directories when it sends them, and that a
 * failure leaves nothing. The numbers are made by hand from the bit tables of the
 * specification. What devices then reach is the subject of pasid_test.c.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/sizes.h>

#include "../src/driver/atc.h"
#include "../src/driver/ats.h"
#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/back.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/invalidate.h"
#include "../src/driver/mem.h"
#include "../src/driver/pasid.h"
#include "../src/driver/quirks.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "../src/driver/trace.h"
#include "testdev.h"

#define CAP_PD8		BIT_ULL(38)
#define CAP_PD17	BIT_ULL(39)
#define CAP_PD20	BIT_ULL(40)
#define CAPS		(TESTDEV_CAPS | CAP_PD8 | CAP_PD17 | CAP_PD20)

#define CMD_PDT(did, pid)	{ 0x083 | 1ULL << 33 | (u64)(did) << 40 | (u64)(pid) << 12, 0 }
/* ATS.INVAL of everything: S, and ones from bit 12 on up to the zero that ends them */
#define ATS_ALL			(GENMASK_ULL(62, 12) | BIT_ULL(11))
#define ATS_CMD(rid, seg)	(0x004 | (u64)(rid) << 40 | (u64)(seg) << 56 | 1ULL << 33)
#define CMD_ATS(rid, seg)	{ ATS_CMD(rid, seg), ATS_ALL }
#define CMD_ATS_PV(rid, seg, pid)						\
	{ ATS_CMD(rid, seg) | 1ULL << 32 | (u64)(pid) << 12, ATS_ALL }
#define CMD_ATS_AT(rid, seg, iova)	{ ATS_CMD(rid, seg), iova }
#define CMD_ATS_PV_AT(rid, seg, pid, payload)					\
	{ ATS_CMD(rid, seg) | 1ULL << 32 | (u64)(pid) << 12, payload }

/* Of the device that most cases use: Routing ID 0x200 in segment 1 */
#define DID		0x10200U
#define RID		0x200U
#define SEG		1U

#define TC_V		BIT_ULL(0)
#define TC_EN_ATS	BIT_ULL(1)
#define TC_PDTV		BIT_ULL(5)
#define TC_DPE		BIT_ULL(9)

/**
 * struct pasid_test - what each case starts from
 * @test: the case
 * @td: an IOMMU
 * @dev: a device behind it
 * @ep: what the driver knows of it
 * @def: its default domain
 * @domain: others
 */
struct pasid_test {
	struct kunit *test;
	struct testdev *td;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct iommu_domain *def;
	struct iommu_domain *domain[3];
};

/**
 * struct fake_ats - what the devices' own switches are, of all devices
 * @depth: of their queue; 0: no ATS
 * @fails: enabling fails
 * @enables: how often one was switched on
 * @disables: off
 * @invalid: of all these, how often its context was not valid with EN_ATS
 * @asked: commands that had been executed when one was last switched off
 * @reader: if not NULL, a reader that begins while one is being switched off
 */
static struct fake_ats {
	unsigned int depth;
	bool fails;
	unsigned int enables;
	unsigned int disables;
	unsigned int invalid;
	unsigned int asked;
	struct reader *reader;
} fake_ats;

/* device_ids of those that are on; a case may have several IOMMUs, one after the other */
static DEFINE_XARRAY(fake_ats_on);

/**
 * struct reader - a thread that reads targets, as an unmap does
 * @begin: it shall
 * @inside: it does
 * @done: it has ended
 * @over: it reads no more
 * @waiter: who attaches
 * @asked: he has come to where he has to wait for it
 * @waits: and is there
 * @returned: he has returned, and waits for nothing any more
 */
struct reader {
	struct completion begin;
	struct completion inside;
	struct completion done;
	bool over;
	struct task_struct *waiter;
	bool asked;
	bool waits;
	bool returned;
};

static unsigned int fake_depth(struct device *dev)
{
	return fake_ats.depth;
}

static struct testdev *testdev_of(struct device *dev)
{
	return container_of(testdev_ep(dev)->iommu, struct testdev, iommu);
}

static void fake_switch(struct device *dev)
{
	u64 tc = testdev_context(testdev_of(dev), testdev_ep(dev)->ids[0]).word[RVIOMMU_DC_TC];

	fake_ats.invalid += (tc & (TC_V | TC_EN_ATS)) != (TC_V | TC_EN_ATS);
}

static int fake_enable(struct device *dev)
{
	fake_switch(dev);
	if (fake_ats.fails)
		return -EBUSY;
	fake_ats.enables++;
	return xa_err(xa_store(&fake_ats_on, testdev_ep(dev)->ids[0], dev, GFP_KERNEL));
}

static void fake_disable(struct device *dev)
{
	fake_switch(dev);
	fake_ats.disables++;
	fake_ats.asked = testdev_of(dev)->fake->nr_log;
	if (fake_ats.reader) {
		complete(&fake_ats.reader->begin);
		wait_for_completion(&fake_ats.reader->inside);
	}
	xa_erase(&fake_ats_on, testdev_ep(dev)->ids[0]);
}

static const struct rviommu_ats_ops fake_ats_ops = {
	.depth = fake_depth,
	.enable = fake_enable,
	.disable = fake_disable,
};

static void forget_ats(void *unused)
{
	xa_destroy(&fake_ats_on);
}

static struct testdev *iommu_up(struct kunit *test, u64 caps, unsigned int depth)
{
	struct testdev *td;

	memset(&fake_ats, 0, sizeof(fake_ats));
	fake_ats.depth = depth;
	/* Before anything else: devices are switched off in the end. */
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, forget_ats, NULL), 0);
	td = testdev_create(test, caps, RVIOMMU_NR_CAUSES);
	td->bus->ats = &fake_ats_ops;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	return td;
}

static void free_domain(void *domain)
{
	iommu_domain_free(domain);
}

static struct iommu_domain *make_domain(struct kunit *test, struct device *dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain, domain), 0);
	return domain;
}

/* Before the domains go, whatever the case made of it. */
static void leave(void *data)
{
	struct pasid_test *t = data;
	unsigned long pasid;
	void *domain;

	if (!t->dev)
		return;
	xa_for_each(&t->ep->pasids, pasid, domain)
		rviommu_detach_pasid(t->ep, pasid);
	rviommu_attach(t->ep, t->def);
}

static struct pasid_test *start_ids(struct kunit *test, u64 caps, unsigned int depth,
				    u32 max_pasids, const u32 *ids, unsigned int nr)
{
	struct pasid_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->td = iommu_up(test, caps, depth);
	t->dev = testdev_add(t->td, ids, nr);
	KUNIT_ASSERT_TRUE(test, device_iommu_mapped(t->dev));
	t->ep = testdev_ep(t->dev);
	/* As if the firmware had said so. */
	t->ep->max_pasids = max_pasids;
	t->def = iommu_get_domain_for_dev(t->dev);
	for (i = 0; i < ARRAY_SIZE(t->domain); i++)
		t->domain[i] = make_domain(test, t->dev);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, leave, t), 0);
	fakebus_clear(t->td->bus);
	return t;
}

static struct pasid_test *start(struct kunit *test, unsigned int depth, u32 max_pasids)
{
	static const u32 id = DID;

	return start_ids(test, CAPS, depth, max_pasids, &id, 1);
}

static u32 pscid(struct iommu_domain *domain)
{
	return to_rviommu_domain(domain)->space.pscid;
}

static int attach(struct pasid_test *t, u32 pasid, struct iommu_domain *domain)
{
	return rviommu_attach_pasid(t->ep, pasid, domain, NULL);
}

/* ----- What hardware finds ----- */

/* The process context that requests with @did and @pid use: @domain's, in Sv48. */
static void expect_process(struct pasid_test *t, u32 did, u32 pid, struct iommu_domain *domain)
{
	u64 want[2] = {};
	struct rviommu_pc pc;

	if (domain && domain != &rviommu_blocking_domain)
		want[0] = TC_V;
	if (rviommu_space_of(domain)) {
		want[0] |= (u64)pscid(domain) << 12;
		want[1] = 9ULL << 60 | virt_to_phys(to_rviommu_domain(domain)->pt.root) >> 12;
	}
	rviommu_pdt_read(&t->td->iommu.ddt, did, pid, &pc);
	KUNIT_EXPECT_EQ_MSG(t->test, pc.word[0], want[0], "device %#x, process %#x", did, pid);
	KUNIT_EXPECT_EQ_MSG(t->test, pc.word[1], want[1], "device %#x, process %#x", did, pid);
}

static void expect_pdt(struct pasid_test *t, u32 did, unsigned int levels, bool ats)
{
	struct rviommu_dc dc = testdev_context(t->td, did);

	KUNIT_EXPECT_EQ(t->test, dc.word[0], TC_V | TC_PDTV | TC_DPE | (ats ? TC_EN_ATS : 0));
	KUNIT_EXPECT_EQ(t->test, dc.word[1], 0);
	KUNIT_EXPECT_EQ(t->test, dc.word[2], 0);
	KUNIT_EXPECT_EQ(t->test, dc.word[3] >> 60, levels);
}

static bool has_pdt(struct pasid_test *t, u32 did)
{
	return testdev_context(t->td, did).word[0] & TC_PDTV;
}

/* Uses of @domain that its invalidations know: of the IOMMU, or of an ATC */
static unsigned int users(struct iommu_domain *domain, bool atc)
{
	return testdev_users(domain, NULL, atc);
}

/* How often @a is on the list of its space, with others of the device that are there */
static unsigned int linked(const struct rviommu_attachment *a, unsigned int *others)
{
	const struct rviommu_attachment *on;
	unsigned int found = 0;

	guard(mutex)(&a->space->lock);
	list_for_each_entry(on, &a->space->attachments, node) {
		found += on == a;
		*others += on != a && on->ep == a->ep && on->pasid == a->pasid;
	}
	return found;
}

/*
 * The two links of each attachment agree: what the device's record has is on its space's list,
 * once, and nothing else of the same requests is. Spaces that it left have nothing of it.
 */
static void expect_links(struct pasid_test *t, const char *where)
{
	struct rviommu_attachment *a;
	unsigned int i, others = 0, records = 0, all = 0;
	unsigned long pasid;

	guard(mutex)(&t->ep->lock);
	a = rviommu_attached(t->ep, IOMMU_NO_PASID);
	KUNIT_EXPECT_PTR_EQ_MSG(t->test, a->ep, t->ep, "%s", where);
	if (a->space) {
		KUNIT_EXPECT_EQ_MSG(t->test, linked(a, &others), 1, "%s", where);
		records += a->domain != t->def;
	}
	xa_for_each(&t->ep->pasids, pasid, a) {
		KUNIT_EXPECT_PTR_EQ_MSG(t->test, a->ep, t->ep, "%s", where);
		KUNIT_EXPECT_EQ_MSG(t->test, a->pasid, pasid, "%s", where);
		KUNIT_EXPECT_PTR_EQ_MSG(t->test, a->space, rviommu_space_of(a->domain), "%s",
					where);
		if (!a->space)
			continue;
		KUNIT_EXPECT_EQ_MSG(t->test, linked(a, &others), 1, "%s", where);
		records++;
	}
	KUNIT_EXPECT_EQ_MSG(t->test, others, 0, "%s", where);
	for (i = 0; i < ARRAY_SIZE(t->domain); i++) {
		struct rviommu_space *space = to_rviommu_space(t->domain[i]);

		guard(mutex)(&space->lock);
		list_for_each_entry(a, &space->attachments, node)
			all += a->ep == t->ep;
	}
	KUNIT_EXPECT_EQ_MSG(t->test, all, records, "%s", where);
	KUNIT_EXPECT_NOT_NULL_MSG(t->test, t->ep->spare, "%s", where);
}

/* ----- Commands ----- */

/* Each kind of change, PD17, no ATS. */
static void attach_commands(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, BIT(17));
	struct iommu_domain *a = t->domain[0], *b = t->domain[1], *c = t->domain[2];
	struct testdev *td = t->td;
	const long live = testdev_live();

	/* The device context becomes another, through a copy of its page. */
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	EXPECT_COMMANDS(td, "first", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(t->def)), CMD_FENCE);
	expect_pdt(t, DID, 2, false);
	expect_process(t, DID, 0, t->def);
	expect_process(t, DID, 5, a);
	expect_process(t, DID, 6, NULL);

	/* Another page of contexts: one link, and nothing has been cached of it. */
	KUNIT_ASSERT_EQ(test, attach(t, 0x1ff00, b), 0);
	EXPECT_COMMANDS(td, "another page", CMD_FENCE);
	expect_process(t, DID, 0x1ff00, b);
	/* The same page: fsc is seen by every walk before V is. */
	KUNIT_ASSERT_EQ(test, attach(t, 6, b), 0);
	EXPECT_COMMANDS(td, "the same page", CMD_DDT(DID), CMD_FENCE, CMD_FENCE);
	expect_process(t, DID, 6, b);
	/* Nothing to do. */
	KUNIT_ASSERT_EQ(test, attach(t, 6, b), 0);
	testdev_expect(td, "again", NULL, 0);

	KUNIT_ASSERT_EQ(test, attach(t, 6, c), 0);
	EXPECT_COMMANDS(td, "replace", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(b)), CMD_FENCE);
	expect_process(t, DID, 6, c);
	expect_process(t, DID, 5, a);
	KUNIT_ASSERT_EQ(test, attach(t, 6, &rviommu_identity_domain), 0);
	EXPECT_COMMANDS(td, "to identity", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(c)),
			CMD_FENCE);
	expect_process(t, DID, 6, &rviommu_identity_domain);
	KUNIT_ASSERT_EQ(test, attach(t, 6, b), 0);
	EXPECT_COMMANDS(td, "from identity", CMD_DDT(DID), CMD_FENCE);

	/* The requester ID is PASID 0. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, c), 0);
	EXPECT_COMMANDS(td, "requester", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(t->def)),
			CMD_FENCE);
	expect_process(t, DID, 0, c);
	expect_links(t, "requester");
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	EXPECT_COMMANDS(td, "requester blocked", CMD_PDT(DID, 0), CMD_BARRIER, CMD_VMA(pscid(c)),
			CMD_FENCE);
	expect_process(t, DID, 0, NULL);
	KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(t->ep, IOMMU_NO_PASID),
			    &rviommu_blocking_domain);
	expect_links(t, "requester blocked");
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	EXPECT_COMMANDS(td, "requester back", CMD_DDT(DID), CMD_FENCE, CMD_FENCE);
	expect_links(t, "requester back");

	/* Blocked: one word each, and the last takes the directory with it. */
	rviommu_detach_pasid(t->ep, 6);
	EXPECT_COMMANDS(td, "block", CMD_PDT(DID, 6), CMD_BARRIER, CMD_VMA(pscid(b)), CMD_FENCE);
	expect_process(t, DID, 6, NULL);
	rviommu_detach_pasid(t->ep, 6);
	testdev_expect(td, "nothing there", NULL, 0);
	rviommu_detach_pasid(t->ep, 5);
	EXPECT_COMMANDS(td, "block", CMD_PDT(DID, 5), CMD_BARRIER, CMD_VMA(pscid(a)), CMD_FENCE);
	KUNIT_EXPECT_TRUE(test, has_pdt(t, DID));
	rviommu_detach_pasid(t->ep, 0x1ff00);
	EXPECT_COMMANDS(td, "last", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(b)), CMD_FENCE);
	KUNIT_EXPECT_FALSE(test, has_pdt(t, DID));
	KUNIT_EXPECT_EQ(test, users(a, false) + users(b, false) + users(c, false), 0);
	KUNIT_EXPECT_EQ(test, users(t->def, false), 1);
	KUNIT_EXPECT_TRUE(test, xa_empty(&t->ep->pasids));
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* An IOMMU that wants to hear of contexts that have become valid, too */
static void attach_notify_valid(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, BIT(17));

	set_bit(RVIOMMU_QUIRK_NOTIFY_VALID, &t->td->iommu.quirks);
	KUNIT_ASSERT_EQ(test, attach(t, 5, t->domain[0]), 0);
	fakebus_clear(t->td->bus);
	KUNIT_ASSERT_EQ(test, attach(t, 0x1ff00, t->domain[0]), 0);
	EXPECT_COMMANDS(t->td, "another page", CMD_PDT(DID, 0x1ff00), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, attach(t, 6, t->domain[0]), 0);
	EXPECT_COMMANDS(t->td, "the same page", CMD_DDT(DID), CMD_FENCE, CMD_PDT(DID, 6),
			CMD_FENCE);
}

/* PD8: the page of contexts is the root, and the entry that points to it DC.fsc. */
static void attach_root(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, 256);
	struct iommu_domain *a = t->domain[0], *b = t->domain[1];
	struct testdev *td = t->td;
	u64 fsc;

	KUNIT_ASSERT_EQ(test, attach(t, 255, a), 0);
	expect_pdt(t, DID, 1, false);
	fsc = testdev_context(td, DID).word[3];
	fakebus_clear(td->bus);
	KUNIT_ASSERT_EQ(test, attach(t, 255, b), 0);
	EXPECT_COMMANDS(td, "replace", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(a)), CMD_FENCE);
	expect_process(t, DID, 255, b);
	expect_process(t, DID, 0, t->def);
	KUNIT_EXPECT_NE(test, testdev_context(td, DID).word[3], fsc);
	expect_pdt(t, DID, 1, false);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	EXPECT_COMMANDS(td, "requester", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(t->def)),
			CMD_FENCE);
	expect_process(t, DID, 255, b);
	expect_process(t, DID, 0, a);
	rviommu_detach_pasid(t->ep, 255);
	EXPECT_COMMANDS(td, "last", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(b)), CMD_FENCE);
}

/* A device with two IDs: everything is said of both, once. */
static void attach_two_ids(struct kunit *test)
{
	static const u32 ids[] = { 0x100, 0x200 };
	struct pasid_test *t = start_ids(test, CAPS, 4, BIT(17), ids, 2);
	struct iommu_domain *a = t->domain[0], *b = t->domain[1];
	struct testdev *td = t->td;
	unsigned int i;

	/* A Routing ID that is not the only one: no ATS. */
	KUNIT_EXPECT_FALSE(test, t->ep->ats.usable);
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	EXPECT_COMMANDS(td, "first", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(t->def)), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, attach(t, 6, a), 0);
	EXPECT_COMMANDS(td, "second", CMD_DDT_ALL, CMD_FENCE, CMD_FENCE);
	KUNIT_ASSERT_EQ(test, attach(t, 6, b), 0);
	EXPECT_COMMANDS(td, "replace", CMD_DDT(0x100), CMD_DDT(0x200), CMD_BARRIER,
			CMD_VMA(pscid(a)), CMD_FENCE);
	for (i = 0; i < 2; i++) {
		expect_pdt(t, ids[i], 2, false);
		expect_process(t, ids[i], 0, t->def);
		expect_process(t, ids[i], 5, a);
		expect_process(t, ids[i], 6, b);
	}
	rviommu_detach_pasid(t->ep, 6);
	EXPECT_COMMANDS(td, "block", CMD_PDT(0x100, 6), CMD_PDT(0x200, 6), CMD_BARRIER,
			CMD_VMA(pscid(b)), CMD_FENCE);
	rviommu_detach_pasid(t->ep, 5);
	EXPECT_COMMANDS(td, "last", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(a)), CMD_FENCE);
	KUNIT_EXPECT_FALSE(test, has_pdt(t, 0x100));
	KUNIT_EXPECT_FALSE(test, has_pdt(t, 0x200));

	/* With one level of contexts both device contexts change each time. */
	t->ep->max_pasids = 256;
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	fakebus_clear(td->bus);
	KUNIT_ASSERT_EQ(test, attach(t, 5, b), 0);
	EXPECT_COMMANDS(td, "replace", CMD_DDT(0x100), CMD_DDT(0x200), CMD_BARRIER,
			CMD_VMA(pscid(a)), CMD_FENCE);
	for (i = 0; i < 2; i++) {
		expect_pdt(t, ids[i], 1, false);
		expect_process(t, ids[i], 5, b);
	}
	rviommu_detach_pasid(t->ep, 5);
}

/**
 * struct seen - contexts that came into force, as people see them
 * @nr: how many
 * @context: each of them
 * @context.how: how
 * @context.id: device_id or PASID
 * @context.process: which of both
 * @context.valid: it translates
 */
struct seen {
	unsigned int nr;
	struct {
		enum rviommu_publish how;
		u32 id;
		bool process;
		bool valid;
	} context[4];
};

static void see(void *data, const struct rviommu_bus *bus, const char *device, bool process,
		const struct rviommu_dir_update *update)
{
	struct seen *seen = data;
	const unsigned int i = seen->nr++;

	if (i >= ARRAY_SIZE(seen->context))
		return;
	seen->context[i].how = update->how;
	seen->context[i].id = update->id;
	seen->context[i].process = process;
	seen->context[i].valid = update->new.word[0] & 1;
}

static void expect_seen(struct kunit *test, struct seen *seen, bool process, u32 id, bool valid,
			enum rviommu_publish how)
{
	KUNIT_EXPECT_EQ(test, seen->nr, 1);
	KUNIT_EXPECT_EQ(test, seen->context[0].process, process);
	KUNIT_EXPECT_EQ(test, seen->context[0].id, id);
	KUNIT_EXPECT_EQ(test, seen->context[0].valid, valid);
	KUNIT_EXPECT_EQ(test, seen->context[0].how, how);
	seen->nr = 0;
}

/* Each context that changes is traced, and nothing else. */
static void attach_watched(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, BIT(17));
	struct seen seen = {};

	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		kunit_skip(test, "this kernel has no tracepoints");
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, t->domain[0]), 0);
	KUNIT_ASSERT_EQ(test, register_trace_rviommu_publish(see, &seen), 0);
	KUNIT_EXPECT_EQ(test, attach(t, 6, t->domain[1]), 0);
	expect_seen(test, &seen, true, 6, true, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, attach(t, 6, t->domain[1]), 0);
	KUNIT_EXPECT_EQ(test, seen.nr, 0);
	rviommu_detach_pasid(t->ep, 6);
	expect_seen(test, &seen, true, 6, false, RVIOMMU_PUBLISH_WORD);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->domain[1]), 0);
	expect_seen(test, &seen, true, 0, true, RVIOMMU_PUBLISH_PAGE);
	rviommu_detach_pasid(t->ep, 5);
	expect_seen(test, &seen, false, DID, true, RVIOMMU_PUBLISH_PAGE);
	unregister_trace_rviommu_publish(see, &seen);
	tracepoint_synchronize_unregister();
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
}

/* Another device has one of the IDs: it would have our PASIDs, too. */
static void attach_shared_id(struct kunit *test)
{
	static const u32 ids[] = { 0x100, 0x200 };
	struct pasid_test *t = start_ids(test, CAPS, 0, BIT(17), ids, 2);
	struct device *other = testdev_add_one(t->td, 0x200);

	fakebus_clear(t->td->bus);
	KUNIT_EXPECT_EQ(test, attach(t, 5, t->domain[0]), -EBUSY);
	testdev_expect(t->td, "shared", NULL, 0);
	KUNIT_EXPECT_EQ(test, users(t->domain[0], false), 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&t->ep->pasids));
	expect_links(t, "shared");
	testdev_del(t->td, other);
	KUNIT_EXPECT_EQ(test, attach(t, 5, t->domain[0]), 0);
	expect_links(t, "not shared");

	/* One that comes now would be translated by the directory of the first. */
	other = testdev_add(t->td, &ids[1], 1);
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(other));
	expect_process(t, ids[1], 0, t->def);
	expect_process(t, ids[1], 5, t->domain[0]);
	testdev_del(t->td, other);
	rviommu_detach_pasid(t->ep, 5);
}

/* What the IOMMU and the device can have; spec "IOMMU capabilities", PD8, PD17, PD20 */
static void attach_limits(struct kunit *test)
{
	static const struct {
		u64 caps;
		u32 limit;
		u32 max;
		u8 levels;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 0xe00 | CAP_PD8, 256, 256, 1 },
		{ 0xe00 | CAP_PD8, 256, 1, 1 },
		{ 0xe00 | CAP_PD17, BIT(17), 256, 2 },
		{ 0xe00 | CAP_PD17, BIT(17), BIT(17), 2 },
		{ 0xe00 | CAP_PD20, BIT(20), 256, 3 },
		{ 0xe00 | CAP_PD8 | CAP_PD20, BIT(20), 256, 1 },
		{ 0xe00 | CAP_PD8 | CAP_PD20, BIT(20), 257, 3 },
		{ 0xe00 | CAP_PD8 | CAP_PD17 | CAP_PD20, BIT(20), BIT(17), 2 },
		{ 0xe00 | CAP_PD8 | CAP_PD17 | CAP_PD20, BIT(20), BIT(17) + 1, 3 },
		/* any of the formats will do, none will not, nor will a second stage */
		{ 0x200 | CAP_PD8, 256, 256, 1 },
		{ 0x400 | CAP_PD8, 256, 256, 1 },
		{ 0x800 | CAP_PD8, 256, 256, 1 },
		{ CAP_PD8 | CAP_PD17 | CAP_PD20, 0, 0, 0 },
		{ 0xe0000 | CAP_PD8 | CAP_PD17 | CAP_PD20, 0, 0, 0 },
	};
	struct rviommu *iommu = kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);
	struct rviommu_endpoint *ep = kunit_kzalloc(test, sizeof(*ep), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	KUNIT_ASSERT_NOT_NULL(test, ep);
	ep->iommu = iommu;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		iommu->caps = cases[i].caps;
		KUNIT_EXPECT_EQ_MSG(test, rviommu_pasid_limit(iommu), cases[i].limit, "case %u", i);
		ep->max_pasids = cases[i].max;
		if (cases[i].levels)
			KUNIT_EXPECT_EQ_MSG(test, rviommu_pasid_levels(ep), cases[i].levels,
					    "case %u", i);
	}
}

/* ----- Order ----- */

/**
 * struct order - what is true whenever an operation rings the doorbell
 * @old: what the PASID leaves; or NULL
 * @new: where it goes; or NULL
 * @old_users: uses of @old besides this one
 * @new_users: of @new
 * @live: pages before; none is given back before the last fence is done
 * @doorbells: how often it rang
 * @wrong: how often something was not so
 */
struct order {
	struct iommu_domain *old, *new;
	unsigned int old_users, new_users;
	long live;
	unsigned int doorbells, wrong;
};

static void order_doorbell(struct testdev *td)
{
	struct order *order = td->arg;

	order->doorbells++;
	order->wrong += order->old && users(order->old, false) != order->old_users + 1;
	order->wrong += order->new && users(order->new, false) != order->new_users + 1;
	order->wrong += rviommu_mem_live() < order->live;
}

/*
 * While the IOMMU may use the old context or the new one, unmaps in both domains
 * have to come here.
 */
static void attach_order(struct kunit *test)
{
	static const u32 max[] = { 256, BIT(17), BIT(20) };
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		struct pasid_test *t = start(test, 0, max[i]);
		struct iommu_domain *a = t->domain[0], *b = t->domain[1];
		const struct {
			u32 pasid;
			struct iommu_domain *old, *new;
		} steps[] = {
			{ 5, NULL, a }, { 6, NULL, b }, { 5, a, b }, { 6, b, a }, { 5, b, NULL },
			{ 6, a, b }, { 6, b, NULL }, { 7, NULL, a }, { 7, a, NULL },
		};
		struct order order = {};

		t->td->arg = &order;
		for (k = 0; k < ARRAY_SIZE(steps); k++) {
			order = (struct order) {
				.old = steps[k].old, .new = steps[k].new, .live = testdev_live(),
				.old_users = steps[k].old ? users(steps[k].old, false) - 1 : 0,
				.new_users = steps[k].new ? users(steps[k].new, false) : 0,
			};
			t->td->doorbell = order_doorbell;
			if (steps[k].new)
				KUNIT_EXPECT_EQ(test, attach(t, steps[k].pasid, steps[k].new), 0);
			else
				rviommu_detach_pasid(t->ep, steps[k].pasid);
			t->td->doorbell = NULL;
			KUNIT_EXPECT_GT(test, order.doorbells, 0);
			KUNIT_EXPECT_EQ_MSG(test, order.wrong, 0, "%u PASIDs, step %u", max[i], k);
		}
		KUNIT_EXPECT_EQ(test, users(a, false) + users(b, false), 0);
		KUNIT_EXPECT_FALSE(test, has_pdt(t, DID));
	}
}

/* ----- Failures ----- */

/* Each allocation of each step in turn: nothing is left of it, and nothing has changed. */
static void attach_without_memory(struct kunit *test)
{
	static const u32 max[] = { 256, BIT(17), BIT(20) };
	struct testdev_failures failures;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		struct pasid_test *t = start(test, 4, max[i]);
		struct iommu_domain *a = t->domain[0], *b = t->domain[1], *c = t->domain[2];
		const struct {
			u32 pasid;
			struct iommu_domain *old, *new;
		} steps[] = {
			{ 5, NULL, a }, { max[i] - 1, NULL, a }, { 5, a, b },
			{ max[i] - 1, a, &rviommu_identity_domain }, { 5, b, a },
			{ max[i] - 1, &rviommu_identity_domain, b },
		};

		for (k = 0; k < ARRAY_SIZE(steps); k++) {
			u32 pasid = steps[k].pasid;
			const struct rviommu_dc dc = testdev_context(t->td, DID);
			unsigned int used[3] = { users(a, false), users(b, false), users(a, true) };
			int ret, n;

			for (n = 0; n < 20; n++) {
				const long live = testdev_live();
				struct rviommu_dc after;

				fakebus_clear(t->td->bus);
				testdev_fail(test, &failures, n);
				ret = attach(t, pasid, steps[k].new);
				testdev_fail(test, &failures, -1);
				if (!ret)
					break;
				KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
				KUNIT_EXPECT_EQ(test, testdev_live(), live);
				testdev_expect(t->td, "failed", NULL, 0);
				KUNIT_EXPECT_EQ(test, users(a, false), used[0]);
				KUNIT_EXPECT_EQ(test, users(b, false), used[1]);
				KUNIT_EXPECT_EQ(test, users(a, true), used[2]);
				KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(t->ep, pasid),
						    (void *)steps[k].old);
				after = testdev_context(t->td, DID);
				KUNIT_EXPECT_MEMEQ(test, &dc, &after, sizeof(dc));
				expect_links(t, "failed");
				if (k)
					expect_process(t, DID, pasid, steps[k].old);
			}
			KUNIT_EXPECT_EQ_MSG(test, ret, 0, "%u PASIDs, step %u", max[i], k);
			/* but with a word in place of another nothing is needed */
			if (k < 3)
				KUNIT_EXPECT_GT_MSG(test, n, 0, "%u PASIDs, step %u", max[i], k);
			expect_links(t, "done");
			expect_process(t, DID, pasid, steps[k].new);
		}
		/* Nothing stays reserved either: the first of all is as if never tried. */
		rviommu_detach_pasid(t->ep, max[i] - 1);
		rviommu_detach_pasid(t->ep, 5);
		testdev_fail(test, &failures, 1);
		KUNIT_EXPECT_EQ(test, attach(t, 9, c), -ENOMEM);
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_TRUE(test, xa_empty(&t->ep->pasids));
		KUNIT_EXPECT_FALSE(test, has_pdt(t, DID));

		/* The last one goes, and the directory with it, without memory, too. */
		for (k = 0; k < 3; k++) {
			KUNIT_ASSERT_EQ(test, attach(t, 9, a), 0);
			testdev_fail(test, &failures, TESTDEV_ALL);
			fakebus_clear(t->td->bus);
			rviommu_detach_pasid(t->ep, 9);
			testdev_fail(test, &failures, -1);
			EXPECT_COMMANDS(t->td, "last", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(a)),
					CMD_BARRIER, CMD_ATS_PV(RID, SEG, 9), CMD_FENCE);
			KUNIT_EXPECT_FALSE(test, has_pdt(t, DID));
			KUNIT_EXPECT_NULL(test, t->ep->pdt.dir.root);
		}
		KUNIT_EXPECT_EQ(test, users(a, false) + users(b, false) + users(c, false), 0);
		KUNIT_EXPECT_EQ(test, users(a, true) + users(b, true) + users(c, true), 0);
		KUNIT_EXPECT_EQ(test, users(t->def, true), 1);
	}
}

/* The last PASID goes when there is no memory, and then the device. */
static void attach_release(struct kunit *test)
{
	static const u32 max[] = { 256, BIT(17), BIT(20) };
	struct testdev_failures failures;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		struct pasid_test *t = start(test, 4, max[i]);
		const long live = testdev_live();
		struct device *dev = testdev_add_one(t->td, DID + 1);
		struct rviommu_endpoint *ep = testdev_ep(dev);
		u32 left = pscid(iommu_get_domain_for_dev(dev));

		ep->max_pasids = max[i];
		KUNIT_ASSERT_EQ(test, rviommu_attach_pasid(ep, max[i] - 1, t->domain[0], NULL), 0);
		testdev_fail(test, &failures, 0);
		rviommu_detach_pasid(ep, max[i] - 1);
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_FALSE(test, has_pdt(t, DID + 1));
		fakebus_clear(t->td->bus);
		testdev_del(t->td, dev);
		EXPECT_COMMANDS(t->td, "release", CMD_BARRIER, CMD_ATS(RID + 1, SEG), CMD_FENCE,
				CMD_FENCE, CMD_DDT(DID + 1), CMD_BARRIER, CMD_VMA(left), CMD_FENCE);
		KUNIT_EXPECT_EQ(test, testdev_context(t->td, DID + 1).word[0], 0);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
}

/* What the driver itself asks of a process directory only if something else fails */
static void attach_directory(struct kunit *test)
{
	static const u32 pid = BIT(20) - 1;
	struct testdev *td = iommu_up(test, CAPS, 0);
	struct rviommu_ddt *ddt = &td->iommu.ddt;
	const long live = testdev_live();
	struct rviommu_dir_update update;
	struct testdev_failures failures;
	struct rviommu_pdt pdt;
	u8 levels;

	mutex_lock(&ddt->lock);
	for (levels = 1; levels <= 3; levels++) {
		const u32 last = pid & (BIT(rviommu_pdt_pid_lg2(levels)) - 1);

		KUNIT_ASSERT_EQ(test, rviommu_pdt_init(&pdt, ddt, levels, DID, false), 0);
		pdt.dir.live = true;
		/* Too wide */
		update = (struct rviommu_dir_update){ .id = last + 1, .new.pc = { { TC_V, 0 } } };
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&pdt.dir, &update, 1), -ERANGE);
		/* To block what is not there needs no memory, and does nothing. */
		update = (struct rviommu_dir_update){ .id = last };
		testdev_fail(test, &failures, 0);
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&pdt.dir, &update, 1), 0);
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_NONE);
		KUNIT_EXPECT_NULL(test, update.at.subtree);
		rviommu_dir_abort(&pdt.dir, &update, 1);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 1);
		/* New tables, and given up */
		update = (struct rviommu_dir_update){ .id = last, .new.pc = { { TC_V, 1 } } };
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&pdt.dir, &update, 1), 0);
		KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_VALID);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + levels);
		rviommu_dir_abort(&pdt.dir, &update, 1);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 1);
		/* In force; then a copy, given up */
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&pdt.dir, &update, 1), 0);
		rviommu_dir_publish(&pdt.dir, &update, 1);
		rviommu_dir_retire(&pdt.dir, &update, 1);
		update = (struct rviommu_dir_update){ .id = last };
		update.new.pc = (struct rviommu_pc){ { TC_V | 0x1000, 2 } };
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&pdt.dir, &update, 1), 0);
		KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_PAGE);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + levels + 1);
		rviommu_dir_abort(&pdt.dir, &update, 1);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + levels);
		rviommu_dir_destroy(&pdt.dir);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	}
	mutex_unlock(&ddt->lock);
}

/* Reading a context: not of a device without a directory, nor one that it cannot have */
static void attach_read(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, 256);
	struct rviommu_ddt *ddt = &t->td->iommu.ddt;
	struct rviommu_pc pc;

	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(ddt, DID, 0, &pc));
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(ddt, DID + 1, 0, &pc));
	KUNIT_ASSERT_EQ(test, attach(t, 1, t->domain[0]), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_pdt_read(ddt, DID, 0, &pc));
	KUNIT_EXPECT_TRUE(test, rviommu_pdt_read(ddt, DID, 1, &pc));
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(ddt, DID, 2, &pc));
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(ddt, DID, 256, &pc));
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(ddt, DID, 257, &pc));
	KUNIT_EXPECT_EQ(test, pc.word[0] | pc.word[1], 0);
}

/* Refused before anything has happened. */
static void attach_refused(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct iommu_domain *guest = rviommu_alloc_nest_parent(t->dev);
	struct iommu_domain *a = t->domain[0];
	const long live = testdev_live();

	KUNIT_ASSERT_FALSE(test, IS_ERR(guest));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain, guest), 0);
	KUNIT_EXPECT_EQ(test, attach(t, 256, a), -EINVAL);
	KUNIT_EXPECT_EQ(test, attach(t, 0, a), -EINVAL);
	KUNIT_EXPECT_EQ(test, attach(t, 1, guest), -EINVAL);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, guest), 0);
	fakebus_clear(t->td->bus);
	KUNIT_EXPECT_EQ(test, attach(t, 1, a), -EBUSY);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 255, a), 0);
	fakebus_clear(t->td->bus);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, guest), -EBUSY);
	testdev_expect(t->td, "refused", NULL, 0);
	KUNIT_EXPECT_EQ(test, users(guest, false), 0);
	KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(t->ep, IOMMU_NO_PASID), t->def);
	expect_links(t, "requester refused");
	rviommu_detach_pasid(t->ep, 255);
	t->ep->max_pasids = 0;
	KUNIT_EXPECT_EQ(test, attach(t, 1, a), -EOPNOTSUPP);
	KUNIT_EXPECT_GE(test, testdev_live(), live);
}

/* ----- ATS ----- */

/* The same changes as above: each forgets what the device may have, behind a barrier. */
static void attach_ats_commands(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, BIT(17));
	struct iommu_domain *a = t->domain[0], *b = t->domain[1];
	struct testdev *td = t->td;

	KUNIT_EXPECT_TRUE(test, t->ep->ats.on);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 1);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], TC_V | TC_EN_ATS);
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	EXPECT_COMMANDS(td, "first", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(t->def)), CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_FENCE);
	expect_pdt(t, DID, 2, true);
	KUNIT_ASSERT_EQ(test, attach(t, 5, b), 0);
	EXPECT_COMMANDS(td, "replace", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(a)), CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	EXPECT_COMMANDS(td, "requester", CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(t->def)),
			CMD_BARRIER, CMD_ATS(RID, SEG), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, attach(t, 6, b), 0);
	fakebus_clear(td->bus);
	rviommu_detach_pasid(t->ep, 5);
	EXPECT_COMMANDS(td, "block", CMD_PDT(DID, 5), CMD_BARRIER, CMD_VMA(pscid(b)), CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_FENCE);
	rviommu_detach_pasid(t->ep, 6);
	EXPECT_COMMANDS(td, "last", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(b)), CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 6), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], TC_V | TC_EN_ATS);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	EXPECT_COMMANDS(td, "no PASIDs", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(a)), CMD_BARRIER,
			CMD_ATS(RID, SEG), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 1);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 0);
}

/* On when the context has become valid, off before it goes, and then forgotten. */
static void attach_ats_switch(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct testdev *td = t->td;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 1);
	/* Switched off, emptied, and only then blocked. */
	KUNIT_EXPECT_EQ(test, fake_ats.asked, 0);
	/* Behind the fence in the middle nobody who saw its ATS on has anything in the queue. */
	EXPECT_COMMANDS(td, "block", CMD_BARRIER, CMD_ATS(RID, SEG), CMD_FENCE, CMD_FENCE,
			CMD_DDT(DID), CMD_BARRIER, CMD_VMA(pscid(t->def)), CMD_FENCE);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.on);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);

	/* The first PASID makes the context valid again. */
	KUNIT_ASSERT_EQ(test, attach(t, 5, t->domain[0]), 0);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 2);
	KUNIT_EXPECT_TRUE(test, t->ep->ats.on);
	/* Before it may ask, the IOMMU forgets what it would be answered from. */
	EXPECT_COMMANDS(td, "a PASID", CMD_DDT(DID), CMD_FENCE, CMD_FENCE, CMD_FENCE,
			CMD_VMA(pscid(t->domain[0])), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, attach(t, 6, t->domain[0]), 0);
	/* Blocking the requester ID leaves the context valid. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 1);
	rviommu_detach_pasid(t->ep, 6);
	fakebus_clear(td->bus);
	/* And the last one makes it invalid: what it has of that PASID goes first. */
	rviommu_detach_pasid(t->ep, 5);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 2);
	KUNIT_EXPECT_EQ(test, fake_ats.asked, 0);
	EXPECT_COMMANDS(td, "last", CMD_BARRIER, CMD_ATS(RID, SEG), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_FENCE, CMD_FENCE, CMD_DDT(DID), CMD_BARRIER,
			CMD_VMA(pscid(t->domain[0])), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 3);
	KUNIT_EXPECT_EQ(test, fake_ats.invalid, 0);

	/* It does not let itself be switched on: it works without. */
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	fake_ats.fails = true;
	fakebus_clear(td->bus);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.on);
	EXPECT_COMMANDS(td, "without", CMD_FENCE, CMD_VMA(pscid(t->def)), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	EXPECT_COMMANDS(td, "without", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(pscid(t->def)), CMD_FENCE,
			CMD_VMA(pscid(t->domain[0])), CMD_FENCE);
	fake_ats.fails = false;
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_EXPECT_TRUE(test, t->ep->ats.on);

	/* The device goes. */
	fakebus_clear(td->bus);
	testdev_del(td, t->dev);
	t->dev = NULL;
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 4);
	KUNIT_EXPECT_TRUE(test, xa_empty(&fake_ats_on));
	KUNIT_EXPECT_EQ(test, fake_ats.invalid, 0);
}

/* Does he sleep in wait_for_reader(), and not somewhere else? */
static bool is_waited_for(const struct reader *reader)
{
	/* Pairs with the release there: a sleep before that is another one, too. */
	if (!smp_load_acquire(&reader->waits) || task_is_running(reader->waiter))
		return false;
	/* Pairs with the barrier behind the wait. */
	smp_rmb();
	return READ_ONCE(reader->waits);
}

/* It ends when it is waited for, or when it is too late for that: so who does not wait is seen. */
static int read_targets(void *data)
{
	struct reader *reader = data;
	int section;

	wait_for_completion(&reader->begin);
	section = rviommu_inval_begin();
	complete(&reader->inside);
	while (!is_waited_for(reader) && !READ_ONCE(reader->returned))
		schedule_timeout_uninterruptible(1);
	WRITE_ONCE(reader->over, true);
	rviommu_inval_end(section);
	complete(&reader->done);
	return 0;
}

/* In the place of rviommu_inval_synchronize(), once */
static void wait_for_reader(void)
{
	struct reader *reader = fake_ats.reader;

	kunit_deactivate_static_stub(kunit_get_current_test(), rviommu_inval_synchronize);
	reader->asked = true;
	smp_store_release(&reader->waits, true); /* for is_waited_for() */
	rviommu_inval_synchronize();
	/* Who sees a later sleep sees this. */
	smp_store_mb(reader->waits, false);
}

/* An unmap that has seen it on is over when the device has been switched off. */
static void attach_ats_switch_waits(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct reader reader = { .waiter = current };
	bool over;

	init_completion(&reader.begin);
	init_completion(&reader.inside);
	init_completion(&reader.done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(read_targets, &reader, "rviommu-reader")));
	fake_ats.reader = &reader;
	kunit_activate_static_stub(test, rviommu_inval_synchronize, wait_for_reader);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	over = READ_ONCE(reader.over);
	WRITE_ONCE(reader.returned, true);
	if (!reader.asked)
		kunit_deactivate_static_stub(test, rviommu_inval_synchronize);
	wait_for_completion(&reader.done);
	fake_ats.reader = NULL;
	KUNIT_EXPECT_TRUE(test, over);
}

/**
 * struct attacher - a thread that attaches
 * @ep: to this device
 * @domain: this domain
 * @done: it has
 */
struct attacher {
	struct rviommu_endpoint *ep;
	struct iommu_domain *domain;
	struct completion done;
};

static int attach_once(void *data)
{
	struct attacher *attacher = data;

	rviommu_attach(attacher->ep, attacher->domain);
	complete(&attacher->done);
	return 0;
}

/* A device that waits for its own readers holds up no other one. */
static void attach_waits_alone(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct rviommu_endpoint *other = testdev_ep(testdev_add_one(t->td, 0x300));
	struct attacher slow = { t->ep, &rviommu_blocking_domain }, fast = { other, t->domain[0] };
	int section = rviommu_inval_begin();
	unsigned int i;
	bool in_time;

	init_completion(&slow.done);
	init_completion(&fast.done);
	KUNIT_EXPECT_FALSE(test, IS_ERR(kthread_run(attach_once, &slow, "rviommu-slow")));
	for (i = 0; i < 10000 && !READ_ONCE(fake_ats.disables); i++)
		usleep_range(1000, 2000);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 1);
	KUNIT_EXPECT_FALSE(test, IS_ERR(kthread_run(attach_once, &fast, "rviommu-fast")));
	in_time = wait_for_completion_timeout(&fast.done, 10 * HZ);
	KUNIT_EXPECT_TRUE(test, in_time);
	KUNIT_EXPECT_FALSE(test, completion_done(&slow.done));
	rviommu_inval_end(section);
	wait_for_completion(&slow.done);
	if (!in_time)
		wait_for_completion(&fast.done);
	KUNIT_EXPECT_EQ(test, users(t->domain[0], false), 1);
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, &rviommu_blocking_domain), 0);
}

/* ATS where it cannot be: a one-level directory, an IOMMU or a device without */
static void attach_ats_unusable(struct kunit *test)
{
	static const u32 id = DID;
	struct pasid_test *t = start(test, 0, 256);
	struct testdev *td;

	KUNIT_EXPECT_FALSE(test, t->ep->ats.usable);
	KUNIT_EXPECT_EQ(test, testdev_context(t->td, DID).word[0], TC_V);
	t = start_ids(test, CAPS & ~BIT_ULL(25), 4, 256, &id, 1);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.usable);
	KUNIT_EXPECT_EQ(test, testdev_context(t->td, DID).word[0], TC_V);

	fake_ats.depth = 4;
	td = testdev_create(test, CAPS, 4);
	td->bus->ats = &fake_ats_ops;
	td->fake->ddtp_modes = GENMASK(2, 0);
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_EXPECT_FALSE(test, testdev_ep(testdev_add_one(td, 0x7f))->ats.usable);
	KUNIT_EXPECT_EQ(test, testdev_context(td, 0x7f).word[0], TC_V);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 0);
}

static enum fakebus_ats never(struct fakebus *fake, u64 dword0, void *arg)
{
	if ((dword0 >> 40 & 0xffff) == RID && dword0 >> 56 == SEG)
		return FAKEBUS_ATS_TIMEOUT;
	return FAKEBUS_ATS_ANSWER;
}

static bool has_en_ats(struct testdev *td, u32 did)
{
	return testdev_context(td, did).word[0] & TC_EN_ATS;
}

/*
 * A second device with the ID: neither has ATS from then on, because a Routing ID has to mean
 * one device. Whether the first is attached already, and whoever goes first.
 */
static void attach_ats_shared_id(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 0);
	struct iommu_domain *a = t->domain[0];
	struct testdev *td = t->td;
	struct rviommu_endpoint *other;
	struct device *dev;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	KUNIT_EXPECT_TRUE(test, t->ep->ats.on);
	KUNIT_EXPECT_TRUE(test, has_en_ats(td, DID));
	KUNIT_EXPECT_EQ(test, users(a, true), 1);

	dev = testdev_add_one(td, DID);
	other = testdev_ep(dev);
	KUNIT_EXPECT_EQ(test, fake_ats.disables, 1);
	KUNIT_EXPECT_EQ(test, fake_ats.invalid, 0);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.usable || t->ep->ats.on || t->ep->ats.enabled);
	KUNIT_EXPECT_FALSE(test, other->ats.usable);
	KUNIT_EXPECT_FALSE(test, has_en_ats(td, DID));
	KUNIT_EXPECT_EQ(test, users(a, true), 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&fake_ats_on));

	/* Nobody switches it on again, and nobody is asked. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->domain[1]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, t->domain[1]), 0);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 1);
	fakebus_clear(td->bus);
	rviommu_invalidate_all(to_rviommu_space(t->domain[1]));
	EXPECT_COMMANDS(td, "shared", CMD_VMA(pscid(t->domain[1])), CMD_FENCE);
	KUNIT_EXPECT_FALSE(test, rviommu_ats_device_lost(&td->iommu.cmdq, RID, SEG));

	KUNIT_EXPECT_EQ(test, rviommu_attach(other, t->def), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	testdev_del(td, dev);
	KUNIT_EXPECT_EQ(test, users(t->domain[1], false), 0);
	KUNIT_EXPECT_EQ(test, users(t->domain[1], true), 0);
	KUNIT_EXPECT_FALSE(test, has_en_ats(td, DID));
}

/* How often was a device about to be asked, and how often under a lock that others need? */
static unsigned int asks, asks_locked;

static enum rviommu_ats_power count_asks(const struct rviommu_endpoint *ep)
{
	asks++;
	asks_locked += mutex_is_locked(&ep->iommu->endpoints_lock);
	return RVIOMMU_ATS_AWAKE;
}

/* A device may take its minute to answer: others come and go meanwhile. */
static void attach_ats_asks_alone(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 0);
	struct device *dev = testdev_add_one(t->td, 0x20);

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), t->domain[0]), 0);
	KUNIT_ASSERT_TRUE(test, t->ep->ats.on && testdev_ep(dev)->ats.on);
	asks = 0;
	asks_locked = 0;
	kunit_activate_static_stub(test, rviommu_ats_power, count_asks);
	/* The system sleeps. */
	rviommu_ats_suspend(&t->td->iommu);
	KUNIT_EXPECT_GT(test, asks, 0);
	asks = 0;
	rviommu_ats_resume(&t->td->iommu);
	KUNIT_EXPECT_GT(test, asks, 0);
	KUNIT_EXPECT_EQ(test, asks_locked, 0);
	asks = 0;
	/* One goes. */
	testdev_del(t->td, dev);
	KUNIT_EXPECT_GT(test, asks, 0);
	KUNIT_EXPECT_EQ(test, asks_locked, 0);
	/* One comes that has the ID of another. */
	asks = 0;
	dev = testdev_add_one(t->td, DID);
	KUNIT_EXPECT_GT(test, asks, 0);
	KUNIT_EXPECT_EQ(test, asks_locked, 0);
	kunit_deactivate_static_stub(test, rviommu_ats_power);
	testdev_del(t->td, dev);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
}

static enum rviommu_ats_power power;
static unsigned int power_looks;

/* Of the device that cases use; awake so many times before it is what it is. */
static enum rviommu_ats_power fake_power(const struct rviommu_endpoint *ep)
{
	if (ep->ats.rid != RID || ep->ats.seg != SEG || power_looks) {
		power_looks -= !!power_looks;
		return RVIOMMU_ATS_AWAKE;
	}
	return power;
}

/* One that sleeps, or has gone, is asked nothing; nor is it lost when it goes after that. */
static void attach_ats_asleep(struct kunit *test)
{
	static const enum rviommu_ats_power powers[] = { RVIOMMU_ATS_ASLEEP, RVIOMMU_ATS_OFF };
	struct pasid_test *t = start(test, 4, 0);
	struct rviommu_domain *a = to_rviommu_domain(t->domain[0]);
	struct testdev *td = t->td;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	kunit_activate_static_stub(test, rviommu_ats_power, fake_power);
	td->fake->ats = never;
	for (i = 0; i < ARRAY_SIZE(powers); i++) {
		power = powers[i];
		power_looks = 0;
		fakebus_clear(td->bus);
		rviommu_invalidate_all(&a->space);
		EXPECT_COMMANDS(td, "unmap", CMD_VMA(a->space.pscid), CMD_FENCE);
		KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[1]), 0);
		EXPECT_COMMANDS(td, "replace", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(a->space.pscid),
				CMD_FENCE);
		KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);

		power_looks = 1;
		fakebus_clear(td->bus);
		rviommu_invalidate_all(&a->space);
		KUNIT_EXPECT_EQ(test, atomic64_read(&td->iommu.cmdq.events[RVIOMMU_CMDQ_AWAY]),
				i + 1);
		KUNIT_EXPECT_FALSE(test, t->ep->lost);
		KUNIT_EXPECT_TRUE(test, t->ep->ats.on);
		KUNIT_EXPECT_NE(test, testdev_context(td, DID).word[0], 0);
	}
	td->fake->ats = NULL;
	kunit_deactivate_static_stub(test, rviommu_ats_power);
	fakebus_clear(td->bus);
	rviommu_invalidate_all(&a->space);
	EXPECT_COMMANDS(td, "awake", CMD_VMA(a->space.pscid), CMD_FENCE, CMD_BARRIER,
			CMD_ATS(RID, SEG),
			CMD_FENCE);
}

static unsigned int sleeps;
static unsigned int executed;

/* Asleep for so many looks, then awake; how many commands were executed at the last one */
static enum rviommu_ats_power waking_power(const struct rviommu_endpoint *ep)
{
	executed = to_fakebus(ep->iommu->bus)->nr_log;
	if (!sleeps)
		return RVIOMMU_ATS_AWAKE;
	sleeps--;
	return RVIOMMU_ATS_ASLEEP;
}

/*
 * One that wakes up before the IOMMU has forgotten may fill its cache with what is just being
 * taken away. It is looked at again when that is over, and asked.
 */
static void attach_ats_wakes(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 0);
	struct rviommu_domain *a = to_rviommu_domain(t->domain[0]);
	struct testdev *td = t->td;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	kunit_activate_static_stub(test, rviommu_ats_power, waking_power);
	fakebus_clear(td->bus);
	/* Only by who waits */
	td->fake->rate = 1;
	sleeps = 1;
	rviommu_invalidate_all(&a->space);
	KUNIT_EXPECT_EQ(test, executed, 2);
	EXPECT_COMMANDS(td, "unmap", CMD_VMA(a->space.pscid), CMD_FENCE, CMD_BARRIER,
			CMD_ATS(RID, SEG), CMD_FENCE);
	sleeps = 1;
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[1]), 0);
	KUNIT_EXPECT_EQ(test, executed, 4);
	EXPECT_COMMANDS(td, "replace", CMD_DDT_ALL, CMD_BARRIER, CMD_VMA(a->space.pscid),
			CMD_FENCE, CMD_BARRIER, CMD_ATS(RID, SEG), CMD_FENCE);
	/* While its enable was taken */
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	fakebus_clear(td->bus);
	sleeps = 2;
	rviommu_invalidate_all(&a->space);
	EXPECT_COMMANDS(td, "unmap", CMD_VMA(a->space.pscid), CMD_FENCE, CMD_BARRIER,
			CMD_ATS(RID, SEG), CMD_FENCE);
	td->fake->rate = UINT_MAX;
	kunit_deactivate_static_stub(test, rviommu_ats_power);
}

/* What the device has done with its cache is over, and so is what the IOMMU has cached for it. */
static void attach_lost_forgotten(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 0);
	struct iommu_domain *a = t->domain[0];
	struct testdev *td = t->td;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	td->fake->ats = never;
	rviommu_invalidate_range(to_rviommu_space(a), 0x5000, 0x5fff, 12, false);
	td->fake->ats = NULL;
	KUNIT_ASSERT_TRUE(test, t->ep->lost);
	fakebus_clear(td->bus);
	/* Its context is invalid already, and does not tell what it led to. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	EXPECT_COMMANDS(td, "lost, blocked", CMD_FENCE, CMD_VMA(pscid(a)), CMD_FENCE);
	KUNIT_EXPECT_EQ(test, users(a, false), 0);
}

/*
 * A device goes while another that has the same ID is known, and attached to nothing yet: the
 * core frees what only the first was attached to.
 */
static void attach_release_beside_new(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, 0);
	struct device *dev = testdev_add_one(t->td, 0x20);
	struct rviommu_endpoint *ep = testdev_ep(dev), *other;
	struct iommu_domain *a = t->domain[0];
	struct rviommu_attachment *was;
	struct device *second;

	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, a), 0);
	second = testdev_add_one(t->td, 0x20);
	other = testdev_ep(second);

	/* As it is between the core's probe of the second and its joining the group. */
	mutex_lock(&t->td->iommu.endpoints_lock);
	scoped_guard(mutex, &other->lock) {
		was = rviommu_attached(other, IOMMU_NO_PASID);
		rviommu_attachment_unlink(was);
		RCU_INIT_POINTER(other->attached, NULL);
		rviommu_attachment_put(was);
	}
	rviommu_detach_release(ep);
	mutex_unlock(&t->td->iommu.endpoints_lock);
	KUNIT_EXPECT_EQ(test, testdev_context(t->td, 0x20).word[0], 0);
	KUNIT_EXPECT_EQ(test, users(a, false), 0);

	/* One that is blocked does not use it either. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, a), 0);
	mutex_lock(&t->td->iommu.endpoints_lock);
	rviommu_detach_release(ep);
	mutex_unlock(&t->td->iommu.endpoints_lock);
	KUNIT_EXPECT_EQ(test, testdev_context(t->td, 0x20).word[0], 0);

	/* And one that is attached goes on. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, t->domain[1]), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, t->domain[1]), 0);
	mutex_lock(&t->td->iommu.endpoints_lock);
	rviommu_detach_release(ep);
	mutex_unlock(&t->td->iommu.endpoints_lock);
	KUNIT_EXPECT_EQ(test, testdev_context(t->td, 0x20).word[0], TC_V);
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, t->def), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(ep, t->def), 0);
}

/* An unmap: the IOMMU first, then the devices, no more at a time than each can queue. */
static void attach_ats_unmap(struct kunit *test)
{
	struct pasid_test *t = start(test, 2, 256);
	struct testdev *td = t->td;
	struct device *dev = testdev_add_one(td, 0x300);
	struct rviommu_endpoint *other = testdev_ep(dev);
	struct iommu_domain *a = t->domain[0];
	/* 8 KiB from 0x7000 on lie in 64 KiB from 0: bits 12 to 14 are ones. */
	const u64 range = GENMASK_ULL(14, 12) | BIT_ULL(11);

	other->max_pasids = 256;
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 6, a), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach_pasid(other, 5, a, NULL), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 7, a), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(other, a), 0);
	KUNIT_EXPECT_EQ(test, users(a, true), 5);

	fakebus_clear(td->bus);
	rviommu_invalidate_range(to_rviommu_space(a), 0x5000, 0x5fff, 12, false);
	EXPECT_COMMANDS(td, "a page", CMD_VMA_AT(pscid(a), 0x5000), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV_AT(RID, SEG, 5, 0x5000), CMD_ATS_PV_AT(RID, SEG, 6, 0x5000),
			CMD_FENCE, CMD_BARRIER, CMD_ATS_PV_AT(RID, SEG, 7, 0x5000),
			CMD_ATS_PV_AT(0x300, 0, 5, 0x5000), CMD_ATS_AT(0x300, 0, 0x5000),
			CMD_FENCE);
	rviommu_invalidate_range(to_rviommu_space(a), 0x7000, 0x8fff, 12, false);
	EXPECT_COMMANDS(td, "a range", CMD_VMA_AT(pscid(a), 0x7000), CMD_VMA_AT(pscid(a), 0x8000),
			CMD_FENCE, CMD_BARRIER, CMD_ATS_PV_AT(RID, SEG, 5, range),
			CMD_ATS_PV_AT(RID, SEG, 6, range), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV_AT(RID, SEG, 7, range), CMD_ATS_PV_AT(0x300, 0, 5, range),
			CMD_ATS_AT(0x300, 0, range), CMD_FENCE);
	/* Attached no more: no longer asked. */
	rviommu_detach_pasid(t->ep, 6);
	rviommu_detach_pasid(other, 5);
	fakebus_clear(td->bus);
	rviommu_invalidate_all(to_rviommu_space(a));
	EXPECT_COMMANDS(td, "all", CMD_VMA(pscid(a)), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_ATS_PV(RID, SEG, 7), CMD_ATS(0x300, 0),
			CMD_FENCE);
	/* Nor while it is off. */
	WRITE_ONCE(t->ep->ats.on, false);
	rviommu_invalidate_all(to_rviommu_space(a));
	EXPECT_COMMANDS(td, "off", CMD_VMA(pscid(a)), CMD_FENCE, CMD_BARRIER, CMD_ATS(0x300, 0),
			CMD_FENCE);
	WRITE_ONCE(t->ep->ats.on, true);
	/* Two functions that share one queue of two */
	other->ats.shared = t->ep->ats.shared;
	rviommu_invalidate_all(to_rviommu_space(a));
	EXPECT_COMMANDS(td, "shared", CMD_VMA(pscid(a)), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV(RID, SEG, 5), CMD_ATS_PV(RID, SEG, 7), CMD_FENCE, CMD_BARRIER,
			CMD_ATS(0x300, 0), CMD_FENCE);
	KUNIT_ASSERT_EQ(test, rviommu_attach(other, &rviommu_blocking_domain), 0);
	rviommu_detach_pasid(t->ep, 5);
	rviommu_detach_pasid(t->ep, 7);
	KUNIT_EXPECT_EQ(test, users(a, true) + users(a, false), 0);
}

static void hold_ats_doorbell(struct testdev *td)
{
	unsigned int *doorbells = td->arg;

	/* From the second on commands are executed by the waiter's looks, one by one. */
	if (++*doorbells == 2)
		td->fake->rate = 1;
}

/* No more between two fences than the command queue can tell apart; see cmdq.h. */
static void attach_ats_small_ring(struct kunit *test)
{
	struct testdev *td;
	struct rviommu_endpoint *ep[7];
	struct iommu_domain *a;
	struct device *dev[7];
	unsigned int i;

	memset(&fake_ats, 0, sizeof(fake_ats));
	fake_ats.depth = 32;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, forget_ats, NULL), 0);
	td = testdev_create(test, CAPS, RVIOMMU_NR_CAUSES);
	td->bus->ats = &fake_ats_ops;
	td->fake->max_lg2[0] = 4;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_ats_segment(&td->iommu.cmdq), 5);
	for (i = 0; i < 7; i++) {
		dev[i] = testdev_add_one(td, i);
		ep[i] = testdev_ep(dev[i]);
	}
	a = make_domain(test, dev[0]);
	for (i = 0; i < 7; i++)
		KUNIT_ASSERT_EQ(test, rviommu_attach(ep[i], a), 0);
	fakebus_clear(td->bus);
	rviommu_invalidate_all(to_rviommu_space(a));
	EXPECT_COMMANDS(td, "all", CMD_VMA(pscid(a)), CMD_FENCE, CMD_BARRIER, CMD_ATS(0, 0),
			CMD_ATS(1, 0), CMD_ATS(2, 0), CMD_ATS(3, 0), CMD_ATS(4, 0), CMD_FENCE,
			CMD_BARRIER, CMD_ATS(5, 0), CMD_ATS(6, 0), CMD_FENCE);
	for (i = 0; i < 7; i++)
		KUNIT_ASSERT_EQ(test, rviommu_attach(ep[i], iommu_get_domain_for_dev(dev[i])), 0);
}

/* An unmap does not return before the devices have answered. */
static void attach_ats_unmap_waits(struct kunit *test)
{
	struct pasid_test *t = start(test, 2, 256);
	struct iommu_domain *a = t->domain[0];
	unsigned int doorbells = 0, nr;

	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	fakebus_clear(t->td->bus);
	t->td->arg = &doorbells;
	t->td->doorbell = hold_ats_doorbell;
	rviommu_invalidate_all(to_rviommu_space(a));
	fakebus_commands(t->td->bus, &nr);
	KUNIT_EXPECT_EQ(test, nr, 5);
	KUNIT_EXPECT_EQ(test, doorbells, 2);
	t->td->doorbell = NULL;
	t->td->fake->rate = UINT_MAX;
	rviommu_detach_pasid(t->ep, 5);
}

/* One of two that have the same Routing ID, in two segments, does not answer. */
static void attach_ats_lost(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct testdev *td = t->td;
	struct device *dev = testdev_add_one(td, RID);
	struct rviommu_endpoint *other = testdev_ep(dev);
	struct iommu_domain *a = t->domain[0];

	other->max_pasids = 256;
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach_pasid(other, 5, a, NULL), 0);
	fakebus_clear(td->bus);
	td->fake->ats = never;
	rviommu_invalidate_all(to_rviommu_space(a));
	KUNIT_EXPECT_FALSE(test, td->iommu.cmdq.dead);
	KUNIT_EXPECT_TRUE(test, t->ep->lost);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.on);
	KUNIT_EXPECT_FALSE(test, other->lost);
	KUNIT_EXPECT_TRUE(test, other->ats.on);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);
	KUNIT_EXPECT_NE(test, testdev_context(td, RID).word[0], 0);
	/* Once is enough. */
	KUNIT_EXPECT_FALSE(test, rviommu_ats_device_lost(&td->iommu.cmdq, RID, SEG));
	KUNIT_EXPECT_FALSE(test, rviommu_ats_device_lost(&td->iommu.cmdq, 0x999, SEG));
	KUNIT_EXPECT_FALSE(test, rviommu_ats_device_lost(&td->iommu.cmdq, RID, 7));

	/* It is asked nothing any more, the other is. */
	fakebus_clear(td->bus);
	rviommu_invalidate_all(to_rviommu_space(a));
	EXPECT_COMMANDS(td, "all", CMD_VMA(pscid(a)), CMD_FENCE, CMD_BARRIER,
			CMD_ATS_PV(RID, 0, 5), CMD_FENCE);

	/* Whatever is attached, its context stays invalid, and its switch is left alone. */
	KUNIT_EXPECT_EQ(test, attach(t, 5, t->domain[1]), -EIO);
	KUNIT_EXPECT_EQ(test, attach(t, 6, a), -EIO);
	KUNIT_EXPECT_EQ(test, users(t->domain[1], false), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(other, 5, t->domain[1], NULL), 0);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);
	rviommu_detach_pasid(t->ep, 5);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);
	rviommu_detach_pasid(other, 5);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 2);
	KUNIT_EXPECT_EQ(test, users(a, false), 0);
	td->fake->ats = NULL;
}

/* A lost device begins anew when all of it was blocked, and without ATS. */
static void attach_ats_back(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct iommu_domain *a = t->domain[0];
	struct testdev *td = t->td;

	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	td->fake->ats = never;
	rviommu_invalidate_all(to_rviommu_space(a));
	td->fake->ats = NULL;
	KUNIT_EXPECT_TRUE(test, t->ep->lost);

	/* The requester ID alone is not all of it, nor is the PASID. */
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_EQ(test, attach(t, 6, a), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, a), -EIO);
	KUNIT_EXPECT_TRUE(test, t->ep->lost);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);
	rviommu_detach_pasid(t->ep, 5);
	KUNIT_EXPECT_TRUE(test, t->ep->lost);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], 0);

	/* Now it is. What it is still asked for in the queue comes first. */
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	EXPECT_COMMANDS(td, "back", CMD_FENCE, CMD_DDT(DID), CMD_FENCE, CMD_FENCE);
	KUNIT_EXPECT_FALSE(test, t->ep->lost);
	KUNIT_EXPECT_FALSE(test, t->ep->ats.usable);
	KUNIT_EXPECT_EQ(test, testdev_context(td, DID).word[0], TC_V);
	KUNIT_EXPECT_EQ(test, attach(t, 5, a), 0);
	expect_pdt(t, DID, 1, false);
	rviommu_detach_pasid(t->ep, 5);
	KUNIT_EXPECT_EQ(test, fake_ats.enables, 1);
	KUNIT_EXPECT_EQ(test, users(a, true), 0);
}

/* The way back needs no memory, although the domain has got other targets meanwhile. */
static void attach_back_without_memory(struct kunit *test)
{
	struct pasid_test *t = start(test, 4, 256);
	struct iommu_domain *a = t->domain[0], *b = t->domain[1];
	struct device *dev = testdev_add_one(t->td, 0x300);
	struct rviommu_endpoint *other = testdev_ep(dev);
	struct testdev_failures failures;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, b), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, b), 0);
	KUNIT_EXPECT_EQ(test, users(a, true), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(other, a), 0);
	KUNIT_EXPECT_EQ(test, users(a, true), 1);

	for (i = 0; i < 7; i++) {
		struct iommu_domain *to = i & 1 ? b : a, *from = i & 1 ? a : b;

		testdev_fail(test, &failures, TESTDEV_ALL);
		fakebus_clear(t->td->bus);
		KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, to), 0);
		/* as hitless as with memory */
		if (to == a)
			EXPECT_COMMANDS(t->td, "to a", CMD_VMA(pscid(a)), CMD_FENCE, CMD_DDT(DID),
					CMD_BARRIER, CMD_VMA(pscid(b)), CMD_BARRIER,
					CMD_ATS(RID, SEG), CMD_FENCE);
		else
			EXPECT_COMMANDS(t->td, "to b", CMD_DDT(DID), CMD_BARRIER,
					CMD_VMA(pscid(a)), CMD_BARRIER, CMD_ATS(RID, SEG),
					CMD_FENCE);
		testdev_fail(test, &failures, TESTDEV_ALL);
		KUNIT_EXPECT_EQ(test, attach(t, 5, to), 0);
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_EQ(test, users(to, true), to == a ? 3 : 2);
		KUNIT_EXPECT_EQ(test, users(from, false), from == a);
		expect_process(t, DID, 0, to);
		expect_process(t, DID, 5, to);
		expect_links(t, "back");
	}
	rviommu_detach_pasid(t->ep, 5);
	KUNIT_EXPECT_EQ(test, rviommu_attach(t->ep, t->def), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(other, t->def), 0);
}

/* A domain that is freed takes the way back to it along: what comes to its place is another. */
static void attach_back_is_freed(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, 256);
	struct iommu_domain *a = iommu_paging_domain_alloc(t->dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, a), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(t->ep, t->domain[0]), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, t->domain[0]), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_back_leads_to(&t->ep->back, IOMMU_NO_PASID, a));
	KUNIT_EXPECT_TRUE(test, rviommu_back_leads_to(&t->ep->pasid_back, 5, a));
	KUNIT_EXPECT_FALSE(test, rviommu_back_leads_to(&t->ep->pasid_back, 6, a));
	iommu_domain_free(a);
	KUNIT_EXPECT_NULL(test, t->ep->back.domain);
	KUNIT_EXPECT_NULL(test, t->ep->pasid_back.domain);
	rviommu_detach_pasid(t->ep, 5);
}

/* A PASID's way back on a dead IOMMU: the core frees what is attached, and takes no refusal. */
static void attach_dead_way_back(struct kunit *test)
{
	struct pasid_test *t = start(test, 0, 256);
	struct iommu_domain *a = t->domain[0], *b = t->domain[1];

	KUNIT_ASSERT_EQ(test, attach(t, 5, a), 0);
	KUNIT_ASSERT_EQ(test, attach(t, 5, b), 0);
	t->td->fake->rate = 0;
	t->td->iommu.cmdq.timeout_us = 200;
	iommu_flush_iotlb_all(b);
	KUNIT_ASSERT_TRUE(test, t->td->iommu.dead);

	KUNIT_EXPECT_EQ(test, attach(t, 5, t->domain[2]), -EIO);
	KUNIT_EXPECT_EQ(test, users(b, false), 1);
	expect_links(t, "refused");
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(t->ep, 5, a, b), 0);
	expect_links(t, "blocked");
	KUNIT_EXPECT_EQ(test, users(a, false) + users(b, false), 0);
	KUNIT_EXPECT_NULL(test, rviommu_attached_domain(t->ep, 5));
}

static struct kunit_case attach_cases[] = {
	KUNIT_CASE(attach_commands),
	KUNIT_CASE(attach_notify_valid),
	KUNIT_CASE(attach_root),
	KUNIT_CASE(attach_two_ids),
	KUNIT_CASE(attach_watched),
	KUNIT_CASE(attach_shared_id),
	KUNIT_CASE(attach_limits),
	KUNIT_CASE(attach_order),
	KUNIT_CASE(attach_without_memory),
	KUNIT_CASE(attach_release),
	KUNIT_CASE(attach_directory),
	KUNIT_CASE(attach_read),
	KUNIT_CASE(attach_refused),
	KUNIT_CASE(attach_ats_commands),
	KUNIT_CASE(attach_ats_switch),
	KUNIT_CASE(attach_ats_switch_waits),
	KUNIT_CASE(attach_waits_alone),
	KUNIT_CASE(attach_ats_unusable),
	KUNIT_CASE(attach_ats_shared_id),
	KUNIT_CASE(attach_ats_asks_alone),
	KUNIT_CASE(attach_ats_asleep),
	KUNIT_CASE(attach_ats_wakes),
	KUNIT_CASE(attach_lost_forgotten),
	KUNIT_CASE(attach_release_beside_new),
	KUNIT_CASE(attach_ats_unmap),
	KUNIT_CASE(attach_ats_small_ring),
	KUNIT_CASE(attach_ats_unmap_waits),
	KUNIT_CASE(attach_ats_lost),
	KUNIT_CASE(attach_ats_back),
	KUNIT_CASE(attach_dead_way_back),
	KUNIT_CASE(attach_back_without_memory),
	KUNIT_CASE(attach_back_is_freed),
	{}
};

static struct kunit_suite attach_suite = {
	.name = "rviommu_attach_pasid",
	.test_cases = attach_cases,
};

kunit_test_suite(attach_suite);
