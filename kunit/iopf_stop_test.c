// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is told to use a PASID no more, and its domain is taken away: requests that are stale,
 * Stop Markers that come late or never, and requests that come after all that.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/prg.h"
#include "../src/driver/queue.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "pritest.h"

#define PASID	5
#define PAGES	4

/**
 * struct stop_how - how a device behaves when it is told to use a PASID no more
 * @name: for people
 * @switches: RVIOMMU_SIM_PRI_*
 * @marker: Stop Markers that it sends at once
 * @late: and with its next use of the PASID
 * @after: requests that it sends all the same
 * @complete: of those, last ones of their groups
 * @reuse: of those, with an index that is outstanding, if one is
 */
struct stop_how {
	const char *name;
	u32 switches;
	unsigned int marker;
	unsigned int late;
	unsigned int after;
	unsigned int complete;
	unsigned int reuse;
};

static const struct stop_how stop_hows[] = {
	{ "a marker", 0, 1 },
	{ "a late marker", RVIOMMU_SIM_PRI_LATE_MARKER, 0, 1 },
	{ "no marker", RVIOMMU_SIM_PRI_NO_MARKER },
	{ "a marker, a request after it", RVIOMMU_SIM_PRI_AFTER_STOP, 1, 0, 1, 1 },
	{ "a request, a late marker",
	  RVIOMMU_SIM_PRI_AFTER_STOP | RVIOMMU_SIM_PRI_LATE_MARKER, 0, 1, 1, 1 },
	{ "a request, no marker",
	  RVIOMMU_SIM_PRI_AFTER_STOP | RVIOMMU_SIM_PRI_NO_MARKER, 0, 0, 1, 1 },
	{ "half a group after the marker",
	  RVIOMMU_SIM_PRI_AFTER_STOP | RVIOMMU_SIM_PRI_NO_LAST, 1, 0, 1 },
	{ "half a group, a late marker",
	  RVIOMMU_SIM_PRI_AFTER_STOP | RVIOMMU_SIM_PRI_NO_LAST | RVIOMMU_SIM_PRI_LATE_MARKER,
	  0, 1, 1 },
	{ "a request with an index in use",
	  RVIOMMU_SIM_PRI_AFTER_STOP | RVIOMMU_SIM_PRI_REUSE, 1, 0, 1, 1, 1 },
};

KUNIT_ARRAY_PARAM_DESC(stop_all, stop_hows, name);

/**
 * struct stop_scene - a device whose PASID one domain after the other has
 * @f: devices and domains; the requester IDs of device 0 have space 0 throughout
 * @bus: registers of the IOMMU, whose queue is read when the test says so
 * @pri: what the driver knows of the interface of device 0
 * @how: how it behaves
 */
struct stop_scene {
	struct iopftest *f;
	struct rviommu_bus *bus;
	struct rviommu_pri *pri;
	const struct stop_how *how;
};

static struct stop_scene stop_up(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct stop_scene s;

	iopftest_config(&config);
	config.pri_pages = PAGES;
	/* No job gives up, unless something is wrong. */
	config.pri_timeout = 30ULL * NSEC_PER_SEC;
	s.f = iopftest_up(test, &config);
	s.bus = s.f->ep[0]->iommu->bus;
	s.pri = &s.f->ep[0]->pri;
	s.how = test->param_value;
	KUNIT_ASSERT_EQ(test, iopftest_attach(s.f, 0, &s.f->space[0]), 0);
	s.bus->ops->write32(s.bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	return s;
}

/* Messages that the IOMMU has queued, and nobody has read */
static unsigned int stop_unread(struct stop_scene *s)
{
	const struct rviommu_queue *q = &s->f->ep[0]->iommu->pageq.q;

	return (s->bus->ops->read32(s->bus, RVIOMMU_REG_PQT) -
		s->bus->ops->read32(s->bus, RVIOMMU_REG_PQH)) & rviommu_queue_mask(q);
}

/* A job has asked for all pages of a group. */
static struct rviommu_pritest_job *stop_go(struct stop_scene *s, unsigned int page,
					   unsigned int messages)
{
	struct rviommu_pritest_job *job = iopftest_go(s->f, 0, PASID, page, PAGES, page);
	unsigned long end = jiffies + 60 * HZ;

	while (stop_unread(s) < messages) {
		KUNIT_ASSERT_FALSE(s->f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	return job;
}

static void stop_read(struct stop_scene *s)
{
	KUNIT_ASSERT_EQ(s->f->test, rviommu_iopf_flush(s->f->dev[0]), 0);
	KUNIT_ASSERT_EQ(s->f->test, stop_unread(s), 0);
}

/* The device uses the PASID no more, in its way. */
static void stop_pasid(struct stop_scene *s)
{
	rviommu_sim_set_pri(s->f->dev[0], s->how->switches);
	KUNIT_EXPECT_EQ(s->f->test, rviommu_sim_stop_pasid(s->f->dev[0], PASID), 0);
	rviommu_sim_set_pri(s->f->dev[0], 0);
	KUNIT_EXPECT_EQ(s->f->test, stop_unread(s), s->how->marker + s->how->after);
}

/* Nothing is left here, and each group that had an end has had one response. */
static void stop_expect_nothing(struct stop_scene *s, unsigned int responses, unsigned int left)
{
	struct rviommu_sim_pri_stats stats = iopftest_stats(s->f, 0);
	struct kunit *test = s->f->test;

	KUNIT_EXPECT_EQ(test, stop_unread(s), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&s->pri->prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&s->pri->prgs.outstanding));
	KUNIT_EXPECT_TRUE(test, list_empty(&s->pri->prgs.answers));
	KUNIT_EXPECT_EQ(test, stats.responses, responses);
	KUNIT_EXPECT_EQ(test, stats.unexpected, 0);
	KUNIT_EXPECT_EQ(test, stats.early, 0);
	KUNIT_EXPECT_EQ(test, stats.open, left);
}

/*
 * Somebody else has the PASID, and asks for pages. A marker that is late comes in the middle of
 * his group, and what was half a group has the index of his. He gets what he asked for, with one
 * response, and is asked for nothing else.
 */
static void stop_next(struct stop_scene *s, unsigned int responses, unsigned int left)
{
	const bool half = s->how->after && !s->how->complete;
	struct iopftest_space *next = &s->f->space[2];
	struct rviommu_pritest_job *job;
	struct kunit *test = s->f->test;

	rviommu_sim_set_pri(s->f->dev[0], half ? RVIOMMU_SIM_PRI_REUSE : 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(s->f, 0, PASID, next), 0);
	job = stop_go(s, PAGES, PAGES + s->how->late);
	stop_read(s);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(next, PAGES, PAGES));
	KUNIT_EXPECT_EQ(test, atomic_read(&next->groups), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&next->mixed), 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_drain(s->f->dev[0], PASID, 60000), 0);
	stop_expect_nothing(s, responses + 1, left);
	iopftest_detach_pasid(s->f, 0, PASID, next);
	stop_expect_nothing(s, responses + 1, left);
	rviommu_sim_set_pri(s->f->dev[0], 0);
}

static void stop_expect_counted(struct stop_scene *s, unsigned int refused, unsigned int dropped)
{
	KUNIT_EXPECT_EQ(s->f->test, atomic64_read(&s->pri->refused), refused);
	KUNIT_EXPECT_EQ(s->f->test, atomic64_read(&s->pri->dropped), dropped);
}

/*
 * Stopped while a group is handled, which is stale then. All that the device sends is in the queue
 * when the domain is taken away: who handled the PASID is not asked for it.
 */
static void stop_before_detach(struct kunit *test)
{
	struct stop_scene s = stop_up(test);
	struct iopftest_space *space = &s.f->space[1];
	const unsigned int answered = 1 + s.how->complete - s.how->reuse;
	const unsigned int left = 1 + s.how->after - answered;
	struct rviommu_pritest_job *job;

	space->mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(s.f, 0, PASID, space), 0);
	job = stop_go(&s, 0, PAGES);
	stop_read(&s);
	KUNIT_ASSERT_EQ(test, iopftest_holds(space), 1);
	stop_pasid(&s);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -ECANCELED);
	iopftest_detach_pasid(s.f, 0, PASID, space);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
	stop_expect_counted(&s, answered, s.how->marker + left);
	stop_expect_nothing(&s, answered, left);
	/* Too late */
	KUNIT_EXPECT_EQ(test, iopftest_let_go(space, IOMMU_PAGE_RESP_SUCCESS, false), 1);
	stop_expect_nothing(&s, answered, left);
	stop_next(&s, answered, left);
	stop_expect_counted(&s, answered, s.how->marker + left + s.how->late);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
}

/*
 * Stopped when nobody has the PASID any more: what the device sends is read, and nothing of it is
 * left when somebody else has it.
 */
static void stop_after_detach(struct kunit *test)
{
	struct stop_scene s = stop_up(test);
	struct iopftest_space *space = &s.f->space[1];
	const unsigned int left = s.how->after - s.how->complete;
	struct rviommu_pritest_job *job;

	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(s.f, 0, PASID, space), 0);
	job = stop_go(&s, 0, PAGES);
	stop_read(&s);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), 0);
	iopftest_detach_pasid(s.f, 0, PASID, space);
	stop_expect_nothing(&s, 1, 0);
	stop_pasid(&s);
	stop_read(&s);
	stop_expect_counted(&s, s.how->complete, s.how->marker + left);
	stop_expect_nothing(&s, 1 + s.how->complete, left);
	stop_next(&s, 1 + s.how->complete, left);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
}

static struct kunit_case stop_cases[] = {
	KUNIT_CASE_PARAM(stop_before_detach, stop_all_gen_params),
	KUNIT_CASE_PARAM(stop_after_detach, stop_all_gen_params),
	{}
};

static struct kunit_suite stop_suite = {
	.name = "rviommu_iopf_stop",
	.test_cases = stop_cases,
};

kunit_test_suite(stop_suite);
