// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of simulated devices through driver and core: demand paging by a handler of the
 * test, domains that come and go while devices wait, and devices that do what they may not.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/compat.h"
#include "../src/driver/directory.h"
#include "../src/driver/device.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "hw.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"
#include "testlog.h"

/* Nothing is mapped; the device asks for it, and real bytes move. */
static void iopf_demand(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *space = &f->space[0];
	unsigned int page;

	KUNIT_EXPECT_EQ(test, rviommu_ask_iopf(f->dev[0], true), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
	for (page = 0; page < IOPFTEST_PAGES; page++)
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, page, 1, page), 0);
	for (page = 0; page < IOPFTEST_PAGES; page++)
		KUNIT_EXPECT_TRUE(test, iopftest_has(space, page, page));
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), IOPFTEST_PAGES);
	/* What is there is not asked for. */
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, IOPFTEST_PAGES, 1), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), IOPFTEST_PAGES);
	iopftest_expect_clean(f, 0);

	/* Its interface is off again when nobody handles what it sends. */
	iopftest_detach(f, 0);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 0);
	iopftest_expect_clean(f, 0);
}

static const struct rviommu_pri_ops *iopf_real_ops;
static unsigned int iopf_valid;

static void iopf_disable(struct device *dev)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu_dc dc;

	iopf_valid += rviommu_ddt_read(&ep->iommu->ddt, ep->ids[0], &dc);
	iopf_real_ops->disable(dev);
}

/* Its interface goes off before its context is invalid, which the IOMMU answers with a failure. */
static void iopf_off_first(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	struct rviommu_pri_ops ops = *bus->pri;

	iopf_real_ops = bus->pri;
	iopf_valid = 0;
	ops.disable = iopf_disable;
	bus->pri = &ops;
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	bus->pri = iopf_real_ops;
	KUNIT_EXPECT_EQ(test, iopf_valid, 1);
	iopftest_expect_clean(f, 0);
}

static unsigned int iopf_enables, iopf_early;

static int iopf_enable(struct device *dev, unsigned int requests)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu_dc dc;

	iopf_enables++;
	iopf_early += !rviommu_ddt_read(&ep->iommu->ddt, ep->ids[0], &dc) || !ep->ats.enabled;
	return iopf_real_ops->enable(dev, requests);
}

/* It goes on when its context is valid and its ATS is on: before, no request could be served. */
static void iopf_on_last(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	struct rviommu_pri_ops ops = *bus->pri;
	struct rviommu_dc dc;

	iopf_real_ops = bus->pri;
	iopf_enables = 0;
	iopf_early = 0;
	ops.enable = iopf_enable;
	bus->pri = &ops;
	KUNIT_EXPECT_FALSE(test, rviommu_ddt_read(&f->ep[0]->iommu->ddt, f->ep[0]->ids[0], &dc));
	KUNIT_EXPECT_FALSE(test, f->ep[0]->ats.enabled);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopf_enables, 1);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_FALSE(test, f->ep[0]->ats.enabled);
	/* What makes it valid is a PASID. */
	KUNIT_EXPECT_EQ(test, iopftest_attach_pasid(f, 0, 5, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopf_enables, 2);
	iopftest_detach_pasid(f, 0, 5, &f->space[1]);
	bus->pri = iopf_real_ops;
	KUNIT_EXPECT_EQ(test, iopf_early, 0);
	iopftest_expect_clean(f, 0);
}

/* Groups of several pages go to the handler as a whole. */
static void iopf_groups(struct kunit *test)
{
	struct iopftest *f;
	struct rviommu_sim_config config;
	struct iopftest_space *space;

	iopftest_config(&config);
	config.pri_pages = 8;
	f = iopftest_up(test, &config);
	space = &f->space[0];
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 8, 5), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).requests, 8);
	iopftest_expect_clean(f, 0);
}

#define IOPF_SHUFFLED	8

/**
 * struct iopf_order - in which order a handler saw requests
 * @handler: the domain's own
 * @page: of each request of the last group
 * @nr: how many those are
 * @last: page of the one that is flagged as the last
 */
static struct iopf_order {
	int (*handler)(struct iopf_group *group);
	unsigned int page[IOPF_SHUFFLED];
	unsigned int nr;
	unsigned int last;
} iopf_order;

static unsigned int iopf_page_of(const struct iopf_fault *fault)
{
	return (fault->fault.prm.addr - IOPFTEST_IOVA) / SZ_4K;
}

static int iopf_note_order(struct iopf_group *group)
{
	struct iopf_order *o = &iopf_order;
	struct iopf_fault *fault;

	o->nr = 0;
	list_for_each_entry(fault, &group->faults, list) {
		if (o->nr < IOPF_SHUFFLED)
			o->page[o->nr] = iopf_page_of(fault);
		if (fault->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
			o->last = iopf_page_of(fault);
		o->nr++;
	}
	return o->handler(group);
}

/* Are all bytes of one fill of these pages where they belong? */
static bool iopf_has_all(struct iopftest_space *space, u64 seed)
{
	unsigned int i;
	phys_addr_t pa;

	for (i = 0; i < IOPF_SHUFFLED * SZ_4K; i++) {
		pa = iommu_iova_to_phys(space->domain, IOPFTEST_IOVA + i);
		if (!pa || *(u8 *)phys_to_virt(pa) != rviommu_sim_pattern(seed, i))
			return false;
	}
	return true;
}

/*
 * A device need not ask in the order of addresses. Who handles its requests sees them as they were
 * sent, up to the last one, which may be any page's; and real bytes move.
 */
static void iopf_shuffle(struct kunit *test)
{
	static const unsigned int sent[IOPF_SHUFFLED] = { 7, 0, 6, 1, 5, 2, 4, 3 };
	struct rviommu_sim_config config;
	struct iopftest_space *space;
	struct iopftest *f;
	unsigned int i, k;

	iopftest_config(&config);
	config.pri_pages = IOPF_SHUFFLED;
	f = iopftest_up(test, &config);
	space = &f->space[0];
	iopf_order = (struct iopf_order) { .handler = space->domain->iopf_handler };
	space->domain->iopf_handler = iopf_note_order;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	for (k = 0; k < 2; k++) {
		rviommu_sim_set_pri(f->dev[0], k ? RVIOMMU_SIM_PRI_SHUFFLE : 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, IOPF_SHUFFLED, 5 + k), 0);
		KUNIT_EXPECT_TRUE(test, iopf_has_all(space, 5 + k));
		KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), k + 1);
		KUNIT_EXPECT_EQ(test, iopf_order.nr, IOPF_SHUFFLED);
		for (i = 0; i < IOPF_SHUFFLED; i++)
			KUNIT_EXPECT_EQ_MSG(test, iopf_order.page[i], k ? sent[i] : i,
					    "request %u", i);
		KUNIT_EXPECT_EQ(test, iopf_order.last, k ? 3 : IOPF_SHUFFLED - 1);
		iopftest_unmap(space, 0, IOPF_SHUFFLED);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&space->mixed), 0);
	iopftest_expect_clean(f, 0);
}

static const bool iopf_with_pasid[] = { false, true };

static void iopf_desc(const bool *with, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "responses %s PASID", *with ? "with" : "without");
}

KUNIT_ARRAY_PARAM(iopf_responses, iopf_with_pasid, iopf_desc);

/* Two PASIDs and the requester ID at a time, with equal indices; each gets its own pages. */
static void iopf_pasids(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_pritest_job *job[3];
	struct iopftest *f;
	unsigned int i, page;

	iopftest_config(&config);
	config.prg_pasid = *(const bool *)test->param_value;
	f = iopftest_up(test, &config);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.pasid, config.prg_pasid);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	for (i = 1; i < 3; i++)
		KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, i, &f->space[i]), 0);
	for (page = 0; page < IOPFTEST_PAGES; page++) {
		for (i = 0; i < 3; i++)
			job[i] = iopftest_go(f, 0, i, page, 1, 10 * page + i);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[i]), 0);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[i], page, 10 * page + i));
	}
	iopftest_expect_clean(f, 0);
	for (i = 1; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, atomic_read(&f->space[i].groups), IOPFTEST_PAGES);
		iopftest_detach_pasid(f, 0, i, &f->space[i]);
	}
	/* The others' interface stays on. */
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 1);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_STOPPED);
}

/*
 * The domain is taken away while its handler has a request: the device hears of it at once, a
 * later response is none, and the next user of the PASID is not asked.
 */
static void iopf_taken_away(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *space = &f->space[1], *next = &f->space[2];
	struct rviommu_pritest_job *job;
	unsigned int round;

	/* So that the interface is on throughout */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	for (round = 0; round < 20; round++) {
		space->mode = IOPFTEST_HOLD;
		KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, 5, space), 0);
		job = iopftest_go(f, 0, 5, 0, 1, round);
		iopftest_await_held(f, space, 1);
		KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
		iopftest_detach_pasid(f, 0, 5, space);
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
		iopftest_expect_clean(f, 0);

		/* Somebody else has the PASID now. */
		KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, 5, next), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&next->groups), round);
		KUNIT_EXPECT_EQ(test, iopftest_let_go(space, IOMMU_PAGE_RESP_SUCCESS, false), 1);
		iopftest_expect_clean(f, 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 5, round % IOPFTEST_PAGES, 1, round), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(next, round % IOPFTEST_PAGES, round));
		if (round < IOPFTEST_PAGES)
			KUNIT_EXPECT_EQ(test, atomic_read(&next->groups), round + 1);
		iopftest_detach_pasid(f, 0, 5, next);
		iommu_unmap(next->domain, IOPFTEST_IOVA, IOPFTEST_PAGES * SZ_4K);
	}
	/* All the time the first one was served. */
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 2, 1), 0);
}

static const u32 iopf_uses[] = { IOMMU_NO_PASID, 5 };

static void iopf_use_desc(const u32 *pasid, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", *pasid ? "PASID" : "requester ID");
}

KUNIT_ARRAY_PARAM(iopf_use, iopf_uses, iopf_use_desc);

/*
 * Replaced while requests are outstanding: one that is held, one in a worker. Nobody waits for them
 * or answers in their stead; who had them does, once each, and the device tries again, and asks the
 * new one. So it does if the answer is no: that was for the domain before.
 */
static void iopf_replaced(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *from = &f->space[0], *to = &f->space[1];
	const u32 pasid = *(const u32 *)test->param_value;
	struct rviommu_sim_pri_stats stats;
	struct rviommu_pritest_job *stalled, *held;

	if (pasid && !rviommu_core_replaces_pasids())
		kunit_skip(test, "this core replaces no PASIDs");
	from->mode = IOPFTEST_STALL;
	KUNIT_ASSERT_EQ(test, pasid ? iopftest_attach_pasid(f, 0, pasid, from) :
				      iopftest_attach(f, 0, from), 0);
	stalled = iopftest_go(f, 0, pasid, 1, 1, 11);
	iopftest_await_stalled(f, from);
	WRITE_ONCE(from->mode, IOPFTEST_HOLD);
	held = iopftest_go(f, 0, pasid, 3, 1, 33);
	iopftest_await_held(f, from, 1);

	KUNIT_ASSERT_EQ(test, pasid ? iopftest_replace_pasid(f, 0, pasid, to) :
				      iopftest_attach(f, 0, to), 0);
	KUNIT_EXPECT_EQ(test, iopftest_holds(from), 1);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&stalled->done));
	complete(&from->go);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, stalled), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(to, 1, 11));
	KUNIT_EXPECT_FALSE(test, completion_done(&held->done));
	/* What he says no to now he would not say for who came after him. */
	KUNIT_EXPECT_EQ(test, iopftest_let_go(from, IOMMU_PAGE_RESP_INVALID, false), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, held), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(to, 3, 33));

	KUNIT_EXPECT_EQ(test, atomic_read(&from->groups), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&to->groups), 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.refused), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.again), 1);
	stats = iopftest_stats(f, 0);
	KUNIT_EXPECT_EQ(test, stats.groups, 4);
	KUNIT_EXPECT_EQ(test, stats.responses, 4);
	KUNIT_EXPECT_EQ(test, stats.successes, 4);
	iopftest_expect_clean(f, 0);
	if (pasid)
		iopftest_detach_pasid(f, 0, pasid, to);
}

/* What a handler can say, or not take; the interface goes on. */
static void iopf_not_served(struct kunit *test)
{
	static const enum iopftest_mode modes[] = { IOPFTEST_INVALID, IOPFTEST_REFUSE };
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *space = &f->space[0];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		space->mode = modes[i];
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, i, 1, 1), -EFAULT);
		iopftest_expect_clean(f, 0);
		space->mode = IOPFTEST_MAP;
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, i, 1, 2), 0);
	}
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).invalid, 2);
	/* A PASID that nothing is attached to */
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 7, 0, 1, 1), -EFAULT);
	iopftest_expect_clean(f, 0);
}

/* A slow handler of one device holds up no other: neither its requests nor its detach. */
static void iopf_alone(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_pritest_job *job;

	f->space[0].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	job = iopftest_go(f, 0, 0, 0, 1, 1);
	iopftest_await_held(f, &f->space[0], 1);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 2), 0);
	iopftest_detach(f, 1);
	iopftest_expect_clean(f, 1);
	KUNIT_EXPECT_EQ(test, iopftest_holds(&f->space[0]), 1);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	iopftest_expect_clean(f, 0);
}

/* Messages are lost: nothing is stuck, and what is asked for again is served. */
static void iopf_overflow(struct kunit *test)
{
	static const unsigned int injections[] = {
		RVIOMMU_MODEL_INJECT_PQ_OF, RVIOMMU_MODEL_INJECT_PQ_MF,
	};
	struct iopftest *f;
	struct rviommu_sim_config config;
	unsigned int i;

	iopftest_config(&config);
	config.pri_pages = 4;
	f = iopftest_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	for (i = 0; i < ARRAY_SIZE(injections); i++) {
		int ret;

		rviommu_model_inject(rviommu_sim_model(f->sim), injections[i], 1);
		ret = iopftest_fill(f, 0, 0, 4 * i, 4, i);
		/* A memory fault is answered with a failure, by the IOMMU itself. */
		if (injections[i] == RVIOMMU_MODEL_INJECT_PQ_OF)
			KUNIT_EXPECT_EQ(test, ret, 0);
	}
	/* The device may have heard of it before the driver has. */
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.overflows), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.memfaults), 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	/* It is open whether a request that wants a response was among those that were lost. */
	flush_delayed_work(&f->ep[0]->iommu->revive);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 8, 4, 9), 0);
}

/*
 * A request is answered with Response Failure by the IOMMU: that device has nothing outstanding
 * any more, whatever somebody has of it still. Others go on.
 */
static void iopf_failure(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		f->space[i].mode = IOPFTEST_HOLD;
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, i, &f->space[i]), 0);
		job[i] = iopftest_go(f, i, 0, 0, 1, i);
		iopftest_await_held(f, &f->space[i], 1);
	}
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[0]), -EFAULT);
	rviommu_inq_service(&iommu->pageq);
	flush_delayed_work(&iommu->revive);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.revived), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[1]->pri.revived), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
	KUNIT_EXPECT_FALSE(test, list_empty(&f->ep[1]->pri.prgs.outstanding));
	/* A response that comes now is none. */
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, true), 1);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job[1]), 0);
	f->space[0].mode = IOPFTEST_MAP;
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 2, 1, 3), 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 0);
	iopftest_expect_clean(f, 1);
}

/* A response is given while the IOMMU is suspended: the device does not wait for ever. */
static void iopf_suspended(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_pritest_job *job;
	unsigned int i;

	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, i, &f->space[i]), 0);
	f->space[0].mode = IOPFTEST_HOLD;
	job = iopftest_go(f, 0, 0, 0, 1, 1);
	iopftest_await_held(f, &f->space[0], 1);
	KUNIT_ASSERT_EQ(test, rviommu_suspend(iommu), 0);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&job->done));
	f->space[0].mode = IOPFTEST_MAP;
	KUNIT_ASSERT_EQ(test, rviommu_resume(iommu), 0);
	flush_delayed_work(&iommu->revive);
	/* It asks again. */
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[0], 0, 1));
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.revived), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[1]->pri.revived), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 1, 2), 0);
	iopftest_expect_clean(f, 0);
}

/* It fails again when it is switched on: that is said, and nobody tries for ever. */
static int iopf_no_enable(struct device *dev, unsigned int requests)
{
	return -EIO;
}

static void iopf_failure_stays(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu *iommu = f->ep[0]->iommu;
	struct rviommu_bus *bus = iommu->bus;
	const struct rviommu_pri_ops *real = bus->pri;
	struct rviommu_pri_ops ops = *real;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	ops.enable = iopf_no_enable;
	bus->pri = &ops;
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), -EFAULT);
	rviommu_inq_service(&iommu->pageq);
	flush_delayed_work(&iommu->revive);
	bus->pri = real;
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.revived), 0);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&iommu->revive));
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), -EFAULT);
	/* Attached anew it asks again. */
	iopftest_detach(f, 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 1), 0);
}

/* Without ATS it asks for nothing: who comes anew is told, whichever way of the core he comes. */
static void iopf_without_ats(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);

	WRITE_ONCE(f->ep[0]->ats.usable, false);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, iommu_attach_group_handle(f->space[0].domain, f->group[0],
							&f->space[0].handle), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopftest_attach_pasid(f, 0, 5, &f->space[1]), -ENODEV);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 0);
}

/* It cannot be switched on again after a reset, where the core takes no refusal. */
static void iopf_back_without(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_bus *bus = f->ep[0]->iommu->bus;
	const struct rviommu_pri_ops *real = bus->pri;
	struct rviommu_pri_ops ops = *real;

	ops.enable = iopf_no_enable;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(f->ep[0], &rviommu_blocking_domain), 0);
	bus->pri = &ops;
	KUNIT_EXPECT_EQ(test, rviommu_attach(f->ep[0], f->space[0].domain), 0);
	KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(f->ep[0], IOMMU_NO_PASID),
			    f->space[0].domain);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), -EFAULT);
	iopftest_detach(f, 0);
	/* Who comes anew is told. */
	KUNIT_EXPECT_NE(test, iopftest_attach(f, 0, &f->space[1]), 0);
	bus->pri = real;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
}

/* What is not complete is forgotten when messages were lost, of whichever device. */
static void iopf_overflow_partial(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri_timeout = 20 * NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	KUNIT_EXPECT_NE(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_FALSE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	iopftest_fill(f, 1, 0, 0, 1, 1);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.overflows), 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	rviommu_sim_set_pri(f->dev[0], 0);
}

static const struct rviommu_bus_ops *iopf_bus_ops;

static u32 iopf_bad_tail(struct rviommu_bus *bus, unsigned int offset)
{
	return offset == RVIOMMU_REG_PQT ? 0xfffffffe : iopf_bus_ops->read32(bus, offset);
}

/*
 * The queue cannot be trusted, and is given up: nothing is left of what was not complete. Nobody
 * is attached any more who would wait for requests, and who is goes on without.
 */
static void iopf_given_up(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_bus_ops ops;
	struct rviommu_bus *bus;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri_timeout = 20 * NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	bus = f->ep[0]->iommu->bus;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, 5, &f->space[2]), 0);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	KUNIT_EXPECT_NE(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	rviommu_sim_set_pri(f->dev[0], 0);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	KUNIT_EXPECT_FALSE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	iopf_bus_ops = bus->ops;
	ops = *bus->ops;
	ops.read32 = iopf_bad_tail;
	bus->ops = &ops;
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
	bus->ops = iopf_bus_ops;
	KUNIT_EXPECT_FALSE(test, f->ep[0]->iommu->pageq.running);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));

	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 1, &f->space[1]), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[1]), -ENODEV);
	KUNIT_EXPECT_EQ(test, iommu_map(f->space[0].domain, IOPFTEST_IOVA,
					virt_to_phys(f->space[0].pages), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	/* Nor is a PASID refused after a reset. */
	if (rviommu_core_blocks_resets()) {
		rviommu_detach_pasid(f->ep[0], 5);
		KUNIT_EXPECT_EQ(test, rviommu_attach_pasid(f->ep[0], 5, f->space[2].domain,
							   &rviommu_blocking_domain), 0);
	}
	iopftest_detach_pasid(f, 0, 5, &f->space[2]);
	iopftest_detach(f, 0);
}

static void iopf_await_sent(struct iopftest *f, u64 requests)
{
	unsigned long end = jiffies + 60 * HZ;

	while (iopftest_stats(f, 0).requests < requests) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/*
 * The queue has room for three requests, and the device would ask for eight at a time, and again,
 * for ever. Nobody reads them before all that come at a time are there.
 */
static void iopf_room(struct kunit *test)
{
	static const u64 sent[] = { 3, 6, 8 };
	struct rviommu_pritest_job *job;
	struct rviommu_sim_config config;
	struct rviommu_inq *pageq;
	struct rviommu_bus *bus;
	struct testlog log;
	struct iopftest *f;
	unsigned int i;

	iopftest_config(&config);
	config.model.pq_max_lg2 = 2;
	config.pri_pages = 8;
	config.pri_timeout = 30ULL * NSEC_PER_SEC;
	testlog_start(&log);
	f = iopftest_up(test, &config);
	/* Each device is told of. */
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, "has no room for more"), IOPFTEST_NR_DEVICES);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.requests, 3);
	pageq = &f->ep[0]->iommu->pageq;
	bus = f->ep[0]->iommu->bus;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	job = iopftest_go(f, 0, 0, 0, 8, 5);
	for (i = 0; i < ARRAY_SIZE(sent); i++) {
		iopf_await_sent(f, sent[i]);
		rviommu_inq_service(pageq);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).groups, ARRAY_SIZE(sent));
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).requests, 8);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pageq->overflows), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	iopftest_expect_clean(f, 0);
}

/* The IOMMU has queued a request, and nobody was told, when the domain is taken away. */
static void iopf_flush(struct kunit *test)
{
	struct rviommu_pritest_job *job;
	struct rviommu_sim_config config;
	struct rviommu_bus *bus;
	struct iopftest *f;
	unsigned long end;

	iopftest_config(&config);
	config.pri_timeout = 5ULL * NSEC_PER_SEC;
	f = iopftest_up(test, &config);
	bus = f->ep[0]->iommu->bus;
	/* So that the interface is on throughout */
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, 5, &f->space[1]), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	job = iopftest_go(f, 0, 5, 0, 1, 1);
	for (end = jiffies + 60 * HZ; bus->ops->read32(bus, RVIOMMU_REG_PQT) ==
				      bus->ops->read32(bus, RVIOMMU_REG_PQH);) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	iopftest_detach_pasid(f, 0, 5, &f->space[1]);
	iopftest_expect_clean(f, 0);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->space[1].groups), 0);
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
}

/* A device whose interface was switched on by somebody else: be it that it wants no response */
static void iopf_stranger(struct kunit *test)
{
	const struct rviommu_page_message first = {
		.did = 0xabcd, .addr = IOPFTEST_IOVA, .read = true,
	};
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu *iommu = f->ep[0]->iommu;

	f->space[0].domain->iopf_handler = NULL;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->strangers), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_enable_pri(f->dev[0], 8), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->strangers), 1);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 0);
	scoped_guard(mutex, &iommu->pageq.lock)
		rviommu_pri_message(iommu, &first);
	KUNIT_EXPECT_EQ(test, atomic64_read(&iommu->strangers), 2);
	KUNIT_EXPECT_EQ(test, rviommu_sim_disable_pri(f->dev[0]), 0);
}

/**
 * struct iopf_count - what was sent, and by whom, at one moment
 * @stats: of the device
 * @groups: groups that the driver has handed on
 * @refused: and that it has refused
 */
struct iopf_count {
	struct rviommu_sim_pri_stats stats;
	u64 groups;
	u64 refused;
};

static struct iopf_count iopf_count(struct iopftest *f)
{
	return (struct iopf_count) {
		.stats = iopftest_stats(f, 0),
		.groups = atomic64_read(&f->ep[0]->pri.groups),
		.refused = atomic64_read(&f->ep[0]->pri.refused),
	};
}

/*
 * Nothing waits, and each group that had an end has had one response: of who handles it, or a
 * refusal.
 */
static void iopf_expect_responses(struct iopftest *f, const struct iopf_count *before,
				  u32 switches)
{
	struct iopf_count now = iopf_count(f);
	u64 responses = now.stats.responses - before->stats.responses;
	struct kunit *test = f->test;

	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.answers));
	KUNIT_EXPECT_EQ_MSG(test, responses, now.groups - before->groups +
					     now.refused - before->refused, "%#x", switches);
	KUNIT_EXPECT_GT(test, now.stats.groups, before->stats.groups);
	KUNIT_EXPECT_EQ_MSG(test, responses, switches & RVIOMMU_SIM_PRI_NO_LAST ? 0 :
					     now.stats.groups - before->stats.groups,
			    "%#x", switches);
}

/* Devices that do what they may not: only they suffer. */
static void iopf_hostile(struct kunit *test)
{
	static const u32 switches[] = {
		RVIOMMU_SIM_PRI_FLOOD, RVIOMMU_SIM_PRI_FLOOD | RVIOMMU_SIM_PRI_EXCESS,
		RVIOMMU_SIM_PRI_NO_LAST, RVIOMMU_SIM_PRI_REUSE, RVIOMMU_SIM_PRI_LOST,
		RVIOMMU_SIM_PRI_SHUFFLE | RVIOMMU_SIM_PRI_FLOOD,
		RVIOMMU_SIM_PRI_SWITCHES,
	};
	struct rviommu_sim_config config;
	struct iopf_count before;
	struct iopftest *f;
	unsigned int i, k;

	iopftest_config(&config);
	config.pri_timeout = 50 * NSEC_PER_MSEC;
	config.pri_pages = 4;
	f = iopftest_up(test, &config);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[1]), 0);
	for (i = 0; i < ARRAY_SIZE(switches); i++) {
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
		before = iopf_count(f);
		rviommu_sim_set_pri(f->dev[0], switches[i]);
		/* Whatever becomes of it, it ends. */
		for (k = 0; k < 4; k++)
			iopftest_fill(f, 0, 0, 4 * k, 4, k);
		KUNIT_EXPECT_EQ_MSG(test, iopftest_fill(f, 1, 0, i, 1, i), 0, "%#x", switches[i]);
		/* Whoever handles them has said something to each. */
		KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(f->dev[0], IOMMU_NO_PASID, 60000), 0);
		iopf_expect_responses(f, &before, switches[i]);
		rviommu_sim_set_pri(f->dev[0], 0);
		iopftest_detach(f, 0);
		iommu_unmap(f->space[0].domain, IOPFTEST_IOVA, SZ_64K);
		/* And works, when it behaves. */
		KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
		KUNIT_EXPECT_EQ_MSG(test, iopftest_fill(f, 0, 0, 0, 4, i), 0, "%#x", switches[i]);
		iopftest_detach(f, 0);
		iommu_unmap(f->space[0].domain, IOPFTEST_IOVA, SZ_64K);
	}
}

/* Devices that can send none */
static void iopf_impossible(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	iopftest_config(&config);
	config.pri = false;
	f = iopftest_up(test, &config);
	KUNIT_EXPECT_EQ(test, rviommu_ask_iopf(f->dev[0], false), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopftest_attach_pasid(f, 0, 5, &f->space[1]), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(f->space[0].domain), 0);
	f->space[0].domain->iopf_handler = NULL;
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
}

static struct kunit_case iopf_cases[] = {
	KUNIT_CASE(iopf_demand),
	KUNIT_CASE(iopf_off_first),
	KUNIT_CASE(iopf_on_last),
	KUNIT_CASE(iopf_groups),
	KUNIT_CASE(iopf_shuffle),
	KUNIT_CASE_PARAM(iopf_pasids, iopf_responses_gen_params),
	KUNIT_CASE(iopf_taken_away),
	KUNIT_CASE_PARAM(iopf_replaced, iopf_use_gen_params),
	KUNIT_CASE(iopf_not_served),
	KUNIT_CASE(iopf_alone),
	KUNIT_CASE(iopf_overflow),
	KUNIT_CASE(iopf_overflow_partial),
	KUNIT_CASE(iopf_failure),
	KUNIT_CASE(iopf_failure_stays),
	KUNIT_CASE(iopf_without_ats),
	KUNIT_CASE(iopf_back_without),
	KUNIT_CASE(iopf_suspended),
	KUNIT_CASE(iopf_given_up),
	KUNIT_CASE(iopf_room),
	KUNIT_CASE(iopf_flush),
	KUNIT_CASE(iopf_stranger),
	KUNIT_CASE(iopf_hostile),
	KUNIT_CASE(iopf_impossible),
	{}
};

static struct kunit_suite iopf_suite = {
	.name = "rviommu_iopf",
	.test_cases = iopf_cases,
};

kunit_test_suite(iopf_suite);
