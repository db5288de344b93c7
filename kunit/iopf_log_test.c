// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the log says of page requests that something is wrong with: who it was, and not more often
 * than somebody can read. Other suites have messages that come once (iopf_test.c: a queue without
 * room, iopf_drain_test.c: a handler that does not end).
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <rviommu/page_request.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/pri.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "testlog.h"

#define STRANGER	0xabcd
/* More than may be said in any time that a test takes */
#define MANY		100

static void log_send(struct iopftest *f, unsigned int index)
{
	struct rviommu_model_page_request pr = {
		.payload = IOPFTEST_IOVA | FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, index) |
			   RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_L,
	};

	KUNIT_ASSERT_EQ(f->test, rviommu_sim_page_request(f->dev[0], &pr), 0);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
}

/* One that finds as much outstanding as there may be */
static void log_excess(struct iopftest *f)
{
	unsigned int i;

	for (i = iopftest_holds(&f->space[0]); i <= f->ep[0]->pri.requests; i++)
		log_send(f, i);
}

/* One that seeks neither to read nor to write */
static void log_purposeless(struct iopftest *f)
{
	struct rviommu_model_page_request pr = { .payload = IOPFTEST_IOVA };

	KUNIT_ASSERT_EQ(f->test, rviommu_sim_page_request(f->dev[0], &pr), 0);
	rviommu_inq_service(&f->ep[0]->iommu->pageq);
}

/* One of a device that is none */
static void log_stranger(struct iopftest *f)
{
	const struct rviommu_page_message message = { .did = STRANGER, .read = true, .last = true };
	struct rviommu *iommu = f->ep[0]->iommu;

	guard(mutex)(&iommu->pageq.lock);
	rviommu_pri_message(iommu, &message);
}

/* One that finds no room */
static void log_overflow(struct iopftest *f)
{
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	log_send(f, 0);
}

/* One that finds no memory */
static void log_memory_fault(struct iopftest *f)
{
	rviommu_model_inject(rviommu_sim_model(f->sim), RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	log_send(f, 0);
}

/* One that is not answered in time */
static void log_late(struct iopftest *f)
{
	log_send(f, 0);
	KUNIT_EXPECT_EQ(f->test, rviommu_iopf_drain(f->dev[0], IOMMU_NO_PASID, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(f->test, iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false), 1);
}

/**
 * struct log_case - something that is wrong
 * @name: for people
 * @iommu: it is said of the IOMMU, and else of the device
 * @text: what is said
 * @happen: it happens once more
 */
struct log_case {
	const char *name;
	bool iommu;
	const char *text;
	void (*happen)(struct iopftest *f);
};

static const struct log_case log_cases[] = {
	{ "excess", false, "asks for more pages than it may", log_excess },
	{ "purposeless", false, "asks for a page without saying what for", log_purposeless },
	{ "stranger", true, "page request of device 0xabcd, which may send none", log_stranger },
	{ "overflow", true, "pq: overflow, page requests were lost", log_overflow },
	{ "memory fault", true, "pq: memory fault, page requests were lost", log_memory_fault },
	{ "late", false, "page requests of PASID 0 had no response in 1 ms: it is given here",
	  log_late },
};

KUNIT_ARRAY_PARAM_DESC(log_all, log_cases, name);

static void log_said(struct kunit *test)
{
	const struct log_case *c = test->param_value;
	struct iopftest *f = iopftest_up_default(test);
	unsigned long end = jiffies + 60 * HZ;
	unsigned int i, lines = 0;
	struct testlog log;
	char text[128];

	snprintf(text, sizeof(text), "%s: %s",
		 dev_name(c->iommu ? f->ep[0]->iommu->dev : f->dev[0]), c->text);
	f->space[0].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	testlog_start(&log);
	/* What came before may have used up all that may be said for a while. */
	while (!lines) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		c->happen(f);
		lines = testlog_lines(&log, text);
	}
	KUNIT_EXPECT_EQ(test, lines, 1);
	for (i = 0; i < MANY; i++)
		c->happen(f);
	KUNIT_EXPECT_LT(test, testlog_lines(&log, text), MANY);
}

static struct kunit_case log_kunit_cases[] = {
	KUNIT_CASE_PARAM(log_said, log_all_gen_params),
	{}
};

static struct kunit_suite log_suite = {
	.name = "rviommu_iopf_log",
	.test_cases = log_kunit_cases,
};

kunit_test_suite(log_suite);
