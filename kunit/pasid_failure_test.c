// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left when an attach fails: in a group whose last device cannot follow, when
 * memory runs out on the way there and on the way back, and when the command queue fails in
 * the middle. On the simulated IOMMU, by the bytes that devices move.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/directory.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/invalidate.h"
#include "../src/driver/iommu.h"
#include "../src/driver/mem.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "hw.h"
#include "simtest.h"
#include "testdev.h"

#define IOVA		0x1000000000ULL
#define DEVICES		3

/**
 * struct failure_variant - hardware that makes a difference
 * @name: of the case
 * @bits: width of the devices' PASIDs: depth of the process directory
 * @no_ats: devices without ATS
 * @switches: worst cases
 */
struct failure_variant {
	const char *name;
	u8 bits;
	bool no_ats;
	u32 switches;
};

static const struct failure_variant variants[] = {
	{ .name = "PD8", .bits = 8 },
	{ .name = "PD17, no ATS", .bits = 17, .no_ats = true },
	{ .name = "PD20, worst case", .bits = 20, .switches = RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(variant, variants, name);

/**
 * struct failure_fixture - devices, maybe of two IOMMUs, maybe in one group
 * @test: whose
 * @sim: instances; the second has the last device only
 * @dev: devices in the order of the group
 * @ep: what the driver knows of them
 * @group: groups; of the first device only, if all are in one
 * @nr_groups: how many
 */
struct failure_fixture {
	struct kunit *test;
	struct rviommu_sim *sim[2];
	struct device *dev[DEVICES];
	struct rviommu_endpoint *ep[DEVICES];
	struct iommu_group *group[DEVICES];
	unsigned int nr_groups;
};

/* The group that new devices join, or NULL */
static struct iommu_group *failure_joined;

static struct iommu_group *failure_join(struct device *dev)
{
	if (!failure_joined)
		failure_joined = generic_device_group(dev);
	else
		iommu_group_ref_get(failure_joined);
	return failure_joined;
}

static void failure_end(void *data)
{
	struct failure_fixture *f = data;
	unsigned int i;

	for (i = 0; i < f->nr_groups; i++) {
		iommu_group_release_dma_owner(f->group[i]);
		iommu_group_put(f->group[i]);
	}
	for (i = 0; i < 2; i++)
		rviommu_sim_destroy(f->sim[i]);
}

static void failure_sim(struct failure_fixture *f, const struct failure_variant *v,
			unsigned int which, unsigned int first, unsigned int last, u64 clear)
{
	struct rviommu_sim_config config;
	struct kunit *test = f->test;
	unsigned int i;

	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~clear;
	config.model.switches = v->switches;
	/* As long as it may be, and the queue is busy for, it is a minute and a half. */
	if (v->switches & RVIOMMU_MODEL_LINGER)
		config.model.ats_timeout = 50 * NSEC_PER_MSEC;
	rviommu_model_config_fit(&config.model);
	config.endpoints = last - first + 1;
	config.pasid_bits = v->bits;
	config.ats = !v->no_ats;
	config.ats_depth = 32;
	f->sim[which] = rviommu_sim_create(which ? "rviommu_kunit_second" : "rviommu_kunit_first",
					   &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->sim[which]);
	for (i = first; i <= last; i++) {
		f->dev[i] = rviommu_sim_endpoint(f->sim[which], i - first);
		KUNIT_ASSERT_NOT_NULL(test, f->dev[i]);
		f->ep[i] = dev_iommu_priv_get(f->dev[i]);
	}
}

/* All devices in one group, and the last behind a second IOMMU that lacks @clear; or else not. */
static struct failure_fixture *failure_up(struct kunit *test, const struct failure_variant *v,
					  bool one_group, u64 clear)
{
	struct failure_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, failure_end, f), 0);
	failure_joined = NULL;
	if (one_group)
		kunit_activate_static_stub(test, rviommu_bus_group, failure_join);
	failure_sim(f, v, 0, 0, one_group ? DEVICES - 2 : DEVICES - 1, 0);
	if (one_group) {
		failure_sim(f, v, 1, DEVICES - 1, DEVICES - 1, clear);
		kunit_deactivate_static_stub(test, rviommu_bus_group);
	}
	for (i = 0; i < (one_group ? 1 : DEVICES); i++) {
		struct iommu_group *group = iommu_group_get(f->dev[i]);

		KUNIT_ASSERT_NOT_NULL(test, group);
		KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(group, f), 0);
		f->group[f->nr_groups++] = group;
	}
	return f;
}

/**
 * struct failure_space - an address space, and the page that it maps at IOVA
 * @domain: the domain
 * @page: the page
 */
struct failure_space {
	struct iommu_domain *domain;
	u8 *page;
};

static struct failure_space failure_space(struct failure_fixture *f)
{
	struct failure_space s = {
		.domain = iommu_paging_domain_alloc(f->dev[0]),
		.page = (u8 *)get_zeroed_page(GFP_KERNEL),
	};

	KUNIT_ASSERT_NOT_ERR_OR_NULL(f->test, s.domain);
	KUNIT_ASSERT_NOT_NULL(f->test, s.page);
	KUNIT_ASSERT_EQ(f->test, iommu_map(s.domain, IOVA, virt_to_phys(s.page), SZ_4K,
					   IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	return s;
}

static void failure_space_free(struct failure_fixture *f, struct failure_space *s)
{
	KUNIT_EXPECT_EQ(f->test, rviommu_simtest_users(s->domain), 0);
	iommu_domain_free(s->domain);
	free_page((unsigned long)s->page);
}

static int failure_fill(struct device *dev, u32 pasid, u64 seed)
{
	return rviommu_simtest_fill(dev, pasid, IOVA, 64, seed);
}

/* A DMA of device @i gets to the page of @s. */
static void failure_reaches(struct failure_fixture *f, unsigned int i, u32 pasid,
			    const struct failure_space *s)
{
	static u64 seed;

	KUNIT_EXPECT_EQ_MSG(f->test, failure_fill(f->dev[i], pasid, ++seed), 0,
			    "device %u, PASID %u", i, pasid);
	KUNIT_EXPECT_TRUE_MSG(f->test, rviommu_simtest_holds(s->page, 64, seed),
			      "device %u, PASID %u", i, pasid);
}

/* @s is attached nowhere, and nothing has cached anything of it. */
static void failure_forgotten(struct failure_fixture *f, const struct failure_space *s)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(f->test, rviommu_simtest_users(s->domain), 0);
	for (i = 0; i < 2 && f->sim[i]; i++)
		KUNIT_EXPECT_EQ(f->test, rviommu_simtest_cached(f->sim[i], s->domain), 0);
}

/* From the n-th allocation on there is no memory. */
static int failure_from, failure_seen;

static bool failure_no_memory(void)
{
	return failure_seen++ >= failure_from;
}

static void failure_starve(struct kunit *test, int from)
{
	failure_from = from;
	failure_seen = 0;
	kunit_activate_static_stub(test, rviommu_alloc_fails, failure_no_memory);
}

static void failure_feed(struct kunit *test)
{
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
}

/* ----- Groups ----- */

enum group_op { REPLACE_PASID, ATTACH_PASID, FIRST_PASID, REPLACE_RID, REPLACE_RID_ALONE,
		GROUP_OPS };

static const char * const group_op_names[] = {
	"replace a PASID", "attach a second PASID", "attach the first PASID",
	"replace the requester ID's domain", "the same, without PASIDs",
};

static int group_op(struct failure_fixture *f, enum group_op op, struct failure_space *s,
		    struct iommu_attach_handle *handle)
{
	switch (op) {
	case ATTACH_PASID:
	case FIRST_PASID:
		return iommu_attach_device_pasid(s->domain, f->dev[0], 2, handle);
	case REPLACE_PASID:
		return rviommu_replace_device_pasid(s->domain, f->dev[0], 1, handle);
	default:
		return iommu_replace_group_handle(f->group[0], s->domain, handle);
	}
}

/* All devices of the group have what they had, and it works. */
static void group_expect(struct failure_fixture *f, unsigned int devices,
			 struct failure_space *rid, struct failure_space *pasid)
{
	struct kunit *test = f->test;
	unsigned int i;

	for (i = 0; i < devices; i++) {
		failure_reaches(f, i, 0, rid);
		KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[i], IOMMU_NO_PASID),
				    rid->domain);
		KUNIT_EXPECT_EQ(test, f->ep[i]->ats.on, f->ep[i]->ats.usable);
		if (pasid) {
			failure_reaches(f, i, 1, pasid);
			KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[i], 1),
					    (void *)pasid->domain);
		}
		KUNIT_EXPECT_EQ(test, failure_fill(f->dev[i], 2, 1), -EFAULT);
		KUNIT_EXPECT_NULL(test, rviommu_attached_domain(f->ep[i], 2));
	}
}

/* Try @op with a new space; it fails with @error, and all is as it was. 0 if it did not fail. */
static int group_fails(struct failure_fixture *f, enum group_op op, int error, int starve,
		       unsigned int devices, struct failure_space *rid,
		       struct failure_space *pasid)
{
	unsigned int rid_users = rviommu_simtest_users(rid->domain);
	unsigned int pasid_users = pasid ? rviommu_simtest_users(pasid->domain) : 0;
	struct failure_space new = failure_space(f);
	struct kunit *test = f->test;
	struct iommu_attach_handle handle;
	int ret;

	if (starve >= 0)
		failure_starve(test, starve);
	ret = group_op(f, op, &new, &handle);
	if (starve >= 0)
		failure_feed(test);
	/* Without memory only the way back may do something worse than to fail. */
	if (!ret && starve >= 0)
		KUNIT_EXPECT_LE_MSG(test, failure_seen, failure_from, "%s",
				    group_op_names[op]);
	if (ret) {
		KUNIT_EXPECT_EQ_MSG(test, ret, error, "%s, allocation %d", group_op_names[op],
				    starve);
		group_expect(f, devices, rid, pasid);
		failure_forgotten(f, &new);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(rid->domain), rid_users);
		if (pasid)
			KUNIT_EXPECT_EQ(test, rviommu_simtest_users(pasid->domain), pasid_users);
	} else if (op == REPLACE_RID || op == REPLACE_RID_ALONE) {
		failure_reaches(f, 0, 0, &new);
		failure_reaches(f, DEVICES - 1, 0, &new);
		iommu_detach_group_handle(new.domain, f->group[0]);
	} else {
		u32 p = op == REPLACE_PASID ? 1 : 2;

		failure_reaches(f, 0, p, &new);
		failure_reaches(f, DEVICES - 1, p, &new);
		iommu_detach_device_pasid(new.domain, f->dev[0], p);
	}
	failure_space_free(f, &new);
	return ret;
}

static struct failure_fixture *group_attach(struct kunit *test, enum group_op op, u64 clear,
					    struct failure_space *rid,
					    struct failure_space *pasid,
					    struct iommu_attach_handle *handles)
{
	struct failure_fixture *f = failure_up(test, test->param_value, true, clear);

	*rid = failure_space(f);
	*pasid = failure_space(f);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(f->group[0], rid->domain, &handles[0]), 0);
	if (op == REPLACE_PASID || op == ATTACH_PASID || op == REPLACE_RID)
		KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(pasid->domain, f->dev[0], 1,
								&handles[1]), 0);
	return f;
}

static void group_detach(struct failure_fixture *f, struct failure_space *rid,
			 struct failure_space *pasid)
{
	if (rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID) == rid->domain)
		iommu_detach_group_handle(rid->domain, f->group[0]);
	if (rviommu_simtest_users(pasid->domain))
		iommu_detach_device_pasid(pasid->domain, f->dev[0], 1);
	failure_space_free(f, rid);
	failure_space_free(f, pasid);
}

static bool group_op_possible(enum group_op op)
{
	return op != REPLACE_PASID || rviommu_core_replaces_pasids();
}

/* Memory ends with the 1st, 2nd, 3rd ... allocation, and the devices before go back without. */
static void failure_group_without_memory(struct kunit *test)
{
	struct failure_space rid, pasid;
	struct iommu_attach_handle handles[2];
	struct failure_fixture *f;
	enum group_op op;
	int n, ret;
	long before, live;

	for (op = 0; op < GROUP_OPS; op++) {
		bool with = op <= ATTACH_PASID || op == REPLACE_RID;

		if (!group_op_possible(op))
			continue;
		before = testdev_live();
		f = group_attach(test, op, 0, &rid, &pasid, handles);
		group_expect(f, DEVICES, &rid, with ? &pasid : NULL);
		live = testdev_live();
		for (n = 0, ret = -ENOMEM; ret; n++) {
			KUNIT_ASSERT_LT(test, n, 64);
			ret = group_fails(f, op, -ENOMEM, n, DEVICES, &rid, with ? &pasid : NULL);
			testdev_barrier();
			if (ret)
				KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live,
						    "%s, allocation %d", group_op_names[op], n);
		}
		/* At least one of each device */
		KUNIT_EXPECT_GT(test, n, DEVICES);
		/* Removed as a whole, whatever replaced it. */
		if (op == REPLACE_PASID)
			KUNIT_EXPECT_EQ(test, rviommu_simtest_users(pasid.domain), 0);
		group_detach(f, &rid, &pasid);
		for (n = 0; n < DEVICES; n++)
			KUNIT_EXPECT_NULL(test, f->ep[n]->pdt.dir.root);
		kunit_release_action(test, failure_end, f);
		KUNIT_EXPECT_EQ(test, testdev_live(), before);
	}
}

/* The last device's IOMMU is out of service, or does not complete its ATS invalidations. */
static void failure_group_of_broken(struct kunit *test)
{
	const struct failure_variant *v = test->param_value;
	struct failure_space rid, pasid;
	struct iommu_attach_handle handles[2];
	struct failure_fixture *f;
	enum group_op op;
	bool lost;
	int ret;

	for (op = 0; op < 2 * GROUP_OPS; op++) {
		enum group_op what = op % GROUP_OPS;
		bool with = what <= ATTACH_PASID || what == REPLACE_RID;

		lost = op >= GROUP_OPS;
		/* A lost device that is blocked completely begins anew. */
		if (!group_op_possible(what) || (lost && v->no_ats))
			continue;
		f = group_attach(test, what, 0, &rid, &pasid, handles);
		if (lost) {
			f->ep[DEVICES - 1]->iommu->cmdq.timeout_us = 20000;
			KUNIT_EXPECT_EQ(test, rviommu_sim_set_atc(f->dev[DEVICES - 1],
								  RVIOMMU_SIM_ATC_LOST), 0);
			rviommu_invalidate_all(to_rviommu_space(rid.domain));
			KUNIT_EXPECT_TRUE(test, READ_ONCE(f->ep[DEVICES - 1]->lost));
		} else {
			rviommu_cmdq_kill(&f->ep[DEVICES - 1]->iommu->cmdq, "a test wants it so");
		}
		ret = group_fails(f, what, -EIO, -1, DEVICES - 1, &rid, with ? &pasid : NULL);
		KUNIT_EXPECT_EQ(test, ret, -EIO);
		KUNIT_EXPECT_EQ(test, failure_fill(f->dev[DEVICES - 1], 0, 1), -EFAULT);
		KUNIT_EXPECT_EQ(test, failure_fill(f->dev[DEVICES - 1], 1, 1), -EFAULT);
		group_detach(f, &rid, &pasid);
		kunit_release_action(test, failure_end, f);
	}
}

/* The last device cannot use the domain: its IOMMU has no second stage. */
static void failure_group_of_incapable(struct kunit *test)
{
	struct failure_space rid, pasid;
	struct iommu_attach_handle handles[3];
	struct failure_fixture *f = group_attach(test, REPLACE_RID_ALONE,
						 RVIOMMU_CAP_SV39X4 | RVIOMMU_CAP_SV48X4 |
						 RVIOMMU_CAP_SV57X4, &rid, &pasid, handles);
	struct iommu_domain *guest = rviommu_alloc_nest_parent(f->dev[0]);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, guest);
	KUNIT_EXPECT_EQ(test, iommu_replace_group_handle(f->group[0], guest, &handles[2]), -EINVAL);
	group_expect(f, DEVICES, &rid, NULL);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(guest), 0);
	iommu_domain_free(guest);
	group_detach(f, &rid, &pasid);
}

/* The way back to the domain of the DMA API cannot fail. */
static void failure_back_without_memory(struct kunit *test)
{
	struct failure_fixture *f = failure_up(test, test->param_value, false, 0);
	struct failure_space s = failure_space(f), p = failure_space(f);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		iommu_group_release_dma_owner(f->group[0]);
		if (i)
			KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(p.domain, f->dev[0], 1,
									NULL), 0);
		KUNIT_ASSERT_EQ(test, iommu_attach_group(s.domain, f->group[0]), 0);
		failure_reaches(f, 0, 0, &s);
		failure_starve(test, 0);
		iommu_detach_group(s.domain, f->group[0]);
		failure_feed(test);
		KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID),
				    iommu_get_domain_for_dev(f->dev[0]));
		KUNIT_EXPECT_EQ(test, f->ep[0]->ats.on, f->ep[0]->ats.usable);
		failure_forgotten(f, &s);
		if (i) {
			failure_reaches(f, 0, 1, &p);
			iommu_detach_device_pasid(p.domain, f->dev[0], 1);
		}
		KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(f->group[0], f), 0);
	}
	failure_space_free(f, &s);
	failure_space_free(f, &p);
}

/* ----- The command queue fails in the middle ----- */

enum fence_op { FENCE_FIRST, FENCE_ATTACH, FENCE_REPLACE, FENCE_REMOVE, FENCE_LAST, FENCE_RID,
		FENCE_RID_ALONE, FENCE_BLOCK, FENCE_OPS };

static const char * const fence_op_names[] = {
	"first PASID", "second PASID", "replace", "remove", "last PASID", "requester ID",
	"requester ID without PASIDs", "block the requester ID",
};

/**
 * struct fence_fault - what goes wrong with the next command
 * @name: for messages
 * @what: what to inject; none, but the end of the IOMMU after a grace period
 * @times: in a row
 * @ends: the IOMMU is out of service then, in any case
 */
struct fence_fault {
	const char *name;
	enum rviommu_model_injection what;
	unsigned int times;
	bool ends;
};

static const struct fence_fault fence_faults[] = {
	{ "one memory fault", RVIOMMU_MODEL_INJECT_CQ_MF, 1 },
	{ "memory faults without end", RVIOMMU_MODEL_INJECT_CQ_MF, 1000, true },
	{ "an illegal command", RVIOMMU_MODEL_INJECT_CQ_ILL, 1 },
	{ "a timeout", RVIOMMU_MODEL_INJECT_CQ_TO, 1 },
	{ "the end after a grace period", RVIOMMU_MODEL_NR_INJECTIONS },
};

/* Of the directory, with the end of the IOMMU behind it */
static struct rviommu_ddt_ops fence_ops;
static const struct rviommu_ddt_ops *fence_real_ops;

static int fence_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	int ret = fence_real_ops->sync(ddt, did, all);

	rviommu_cmdq_kill(&container_of(ddt, struct rviommu, ddt)->cmdq, "a test wants it so");
	return ret;
}

static void fence_prepare(struct rviommu *iommu, struct rviommu_model *model,
			  const struct fence_fault *fault)
{
	if (fault->what != RVIOMMU_MODEL_NR_INJECTIONS) {
		rviommu_model_inject(model, fault->what, fault->times);
		return;
	}
	fence_real_ops = iommu->ddt.ops;
	fence_ops = *fence_real_ops;
	fence_ops.sync = fence_sync;
	iommu->ddt.ops = &fence_ops;
}

static void fence_undo(struct rviommu *iommu, struct rviommu_model *model,
		       const struct fence_fault *fault)
{
	if (fault->what != RVIOMMU_MODEL_NR_INJECTIONS)
		rviommu_model_inject(model, fault->what, 0);
	else
		iommu->ddt.ops = fence_real_ops;
}

static int fence_op(struct failure_fixture *f, enum fence_op op, struct failure_space *new)
{
	switch (op) {
	case FENCE_FIRST:
	case FENCE_ATTACH:
		return rviommu_attach_pasid(f->ep[0], 2, new->domain, NULL);
	case FENCE_REPLACE:
		return rviommu_attach_pasid(f->ep[0], 1, new->domain, NULL);
	case FENCE_REMOVE:
	case FENCE_LAST:
		rviommu_detach_pasid(f->ep[0], 1);
		return 0;
	case FENCE_BLOCK:
		return rviommu_attach(f->ep[0], &rviommu_blocking_domain);
	default:
		return rviommu_attach(f->ep[0], new->domain);
	}
}

static void fence_fails(struct failure_fixture *f, enum fence_op op,
			const struct fence_fault *fault)
{
	struct failure_space rid = failure_space(f), old = failure_space(f);
	struct failure_space other = failure_space(f), new = failure_space(f);
	struct rviommu_model *model = rviommu_sim_model(f->sim[0]);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct kunit *test = f->test;
	bool dead, lost, removes = op == FENCE_REMOVE || op == FENCE_LAST;
	u32 pasid = op == FENCE_FIRST || op == FENCE_ATTACH ? 2 :
		    op == FENCE_REPLACE || removes ? 1 : 0;
	struct iommu_domain *before;
	int ret;

	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], rid.domain), 0);
	failure_reaches(f, 0, 0, &rid);
	if (op != FENCE_FIRST && op != FENCE_RID_ALONE) {
		KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 1, old.domain, NULL), 0);
		failure_reaches(f, 0, 1, &old);
	}
	if (op != FENCE_FIRST && op != FENCE_RID_ALONE && op != FENCE_LAST) {
		KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 3, other.domain, NULL), 0);
		failure_reaches(f, 0, 3, &other);
	}
	before = pasid ? rviommu_attached_domain(f->ep[0], pasid) : NULL;

	fence_prepare(iommu, model, fault);
	ret = fence_op(f, op, &new);
	fence_undo(iommu, model, fault);
	dead = rviommu_is_dead(iommu);
	lost = READ_ONCE(f->ep[0]->lost);
	KUNIT_EXPECT_TRUE_MSG(test, dead || !fault->ends, "%s, %s", fence_op_names[op],
			      fault->name);
	if (op == FENCE_ATTACH && fault->what == RVIOMMU_MODEL_NR_INJECTIONS)
		KUNIT_EXPECT_TRUE(test, dead);

	/* PASIDs say so; the core knows no error of a removal, nor on the way back. */
	KUNIT_EXPECT_EQ_MSG(test, ret, dead && pasid && !removes ? -EIO : 0, "%s, %s",
			    fence_op_names[op], fault->name);
	if (removes)
		KUNIT_EXPECT_NULL(test, rviommu_attached_domain(f->ep[0], pasid));
	else if (pasid)
		KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], pasid),
				    ret ? (void *)before : (void *)new.domain);
	if (dead || lost) {
		/* Blocked, all of it; and nobody gets anything new. */
		for (pasid = 0; pasid < 4; pasid++)
			KUNIT_EXPECT_EQ(test, failure_fill(f->dev[0], pasid, 1), -EFAULT);
		if (dead || !xa_empty(&f->ep[0]->pasids))
			KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 4, other.domain, NULL),
					-EIO);
	} else if (removes || op == FENCE_BLOCK) {
		KUNIT_EXPECT_EQ(test, failure_fill(f->dev[0], pasid, 1), -EFAULT);
		failure_forgotten(f, removes ? &old : &rid);
	} else {
		failure_reaches(f, 0, pasid, &new);
		if (op == FENCE_REPLACE)
			failure_forgotten(f, &old);
		if (op == FENCE_RID || op == FENCE_RID_ALONE)
			failure_forgotten(f, &rid);
	}
	/* The other device goes on, if its IOMMU does. */
	if (!dead) {
		KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[1], other.domain), 0);
		failure_reaches(f, 1, 0, &other);
		KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[1], &rviommu_blocking_domain), 0);
	}

	for (pasid = 1; pasid < 4; pasid++)
		rviommu_detach_pasid(f->ep[0], pasid);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	KUNIT_EXPECT_NULL(test, f->ep[0]->pdt.dir.root);
	KUNIT_EXPECT_EQ(test, failure_fill(f->dev[0], 0, 1), -EFAULT);
	if (!dead) {
		failure_forgotten(f, &new);
		failure_forgotten(f, &old);
		/* Where it was lost, it begins anew. */
		KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], rid.domain), 0);
		failure_reaches(f, 0, 0, &rid);
		KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 1, old.domain, NULL), 0);
		failure_reaches(f, 0, 1, &old);
		KUNIT_EXPECT_EQ(test, f->ep[0]->ats.on, f->ep[0]->ats.usable);
		if (lost)
			KUNIT_EXPECT_FALSE(test, f->ep[0]->ats.usable);
		rviommu_detach_pasid(f->ep[0], 1);
		KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	}
	failure_space_free(f, &rid);
	failure_space_free(f, &old);
	failure_space_free(f, &other);
	failure_space_free(f, &new);
}

static void failure_at_the_fence(struct kunit *test)
{
	struct failure_fixture *f = NULL;
	unsigned int i;
	long live;
	enum fence_op op;

	for (op = 0; op < FENCE_OPS; op++)
		for (i = 0; i < ARRAY_SIZE(fence_faults); i++) {
			if (!f)
				f = failure_up(test, test->param_value, false, 0);
			live = testdev_live();
			fence_fails(f, op, &fence_faults[i]);
			KUNIT_EXPECT_EQ_MSG(test, testdev_live(), live, "%s, %s",
					    fence_op_names[op], fence_faults[i].name);
			/* A good one can be used again. */
			if (!rviommu_is_dead(f->ep[0]->iommu) &&
			    f->ep[0]->ats.usable == f->ep[1]->ats.usable)
				continue;
			kunit_release_action(test, failure_end, f);
			f = NULL;
		}
}

/* ----- ATS comes on under DMA ----- */

/**
 * struct window - what happens right after a device's ATS was switched on
 * @ops: of the bus
 * @real: its own
 * @dev: the device
 * @domain: of the PASID
 * @ret: of the DMA before the unmap
 */
static struct window {
	struct rviommu_ats_ops ops;
	const struct rviommu_ats_ops *real;
	struct device *dev;
	struct iommu_domain *domain;
	int ret;
} window;

static int window_enable(struct device *dev)
{
	int ret = window.real->enable(dev);

	if (dev == window.dev) {
		window.ret = failure_fill(dev, 1, 1);
		iommu_unmap(window.domain, IOVA, SZ_4K);
	}
	return ret;
}

/* The first thing that a device caches is unmapped at once: it has to forget it. */
static void failure_ats_window(struct kunit *test)
{
	struct failure_fixture *f = failure_up(test, &variants[0], false, 0);
	struct failure_space s = failure_space(f);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;

	window = (struct window){
		.ops = *bus->ats, .real = bus->ats, .dev = f->dev[0], .domain = s.domain, .ret = 1,
	};
	window.ops.enable = window_enable;
	bus->ats = &window.ops;
	KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 1, s.domain, NULL), 0);
	bus->ats = window.real;
	KUNIT_EXPECT_EQ(test, window.ret, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_count_atc(f->dev[0], true, 1), 0);
	KUNIT_EXPECT_EQ(test, failure_fill(f->dev[0], 1, 2), -EFAULT);
	rviommu_detach_pasid(f->ep[0], 1);
	failure_space_free(f, &s);
}

static struct kunit_case failure_cases[] = {
	KUNIT_CASE_PARAM(failure_group_without_memory, variant_gen_params),
	KUNIT_CASE_PARAM(failure_group_of_broken, variant_gen_params),
	KUNIT_CASE_PARAM(failure_group_of_incapable, variant_gen_params),
	KUNIT_CASE_PARAM(failure_back_without_memory, variant_gen_params),
	KUNIT_CASE_PARAM(failure_at_the_fence, variant_gen_params),
	KUNIT_CASE(failure_ats_window),
	{}
};

static struct kunit_suite failure_suite = {
	.name = "rviommu_pasid_failure",
	.test_cases = failure_cases,
};

kunit_test_suite(failure_suite);
