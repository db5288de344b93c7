// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people see of page requests: the tracepoints from a request to its response. The table
 * of groups in debugfs is in debugfs_test.c.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/prg.h"
#include "../src/driver/pri.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/trace.h"
#include "hw.h"
#include "pritest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define SEEN		16

/**
 * struct watch_seen - an event of a tracepoint
 * @response: of which one
 * @known: the device has a name
 * @message: the request, or the last one of the group
 * @code: of the response
 * @latency_ns: likewise
 */
struct watch_seen {
	bool response;
	bool known;
	struct rviommu_page_message message;
	u8 code;
	u64 latency_ns;
};

/**
 * struct watch_fixture - a device, and who looks on
 * @test: whose
 * @sim: the instance
 * @dev: its device
 * @ep: what the driver knows of it
 * @group: its group, of which we have DMA ownership
 * @domain: what its requester IDs are attached to
 * @handle: of the core
 * @pages: what the handler maps
 * @held: the group that the handler has
 * @arrived: it has one
 * @lock: protects @seen and @nr
 * @seen: events
 * @nr: how many there were
 */
struct watch_fixture {
	struct kunit *test;
	struct rviommu_sim *sim;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct iommu_group *group;
	struct iommu_domain *domain;
	struct iommu_attach_handle handle;
	u8 *pages;
	struct iopf_group *held;
	struct completion arrived;
	spinlock_t lock; /* see above */
	struct watch_seen seen[SEEN];
	unsigned int nr;
};

static void watch_add(struct watch_fixture *f, const struct watch_seen *seen)
{
	guard(spinlock)(&f->lock);
	if (f->nr < SEEN)
		f->seen[f->nr] = *seen;
	f->nr++;
}

static void watch_request(void *data, const struct rviommu_bus *bus, const char *device,
			  const struct rviommu_page_message *message)
{
	const struct watch_seen seen = {
		.known = strcmp(device, "unknown"), .message = *message,
	};

	watch_add(data, &seen);
}

static void watch_response(void *data, const struct rviommu_bus *bus, const char *device,
			   const struct rviommu_page_message *message, u8 code, u64 latency_ns)
{
	const struct watch_seen seen = {
		.response = true, .known = strcmp(device, "unknown"), .message = *message,
		.code = code, .latency_ns = latency_ns,
	};

	watch_add(data, &seen);
}

static int watch_handler(struct iopf_group *group)
{
	struct watch_fixture *f = container_of(group->attach_handle, struct watch_fixture, handle);

	f->held = group;
	complete(&f->arrived);
	return 0;
}

static void watch_down(void *data)
{
	struct watch_fixture *f = data;

	iommu_detach_group_handle(f->domain, f->group);
	unregister_trace_rviommu_page_request(watch_request, f);
	unregister_trace_rviommu_page_response(watch_response, f);
	tracepoint_synchronize_unregister();
}

static struct watch_fixture *watch_up(struct kunit *test)
{
	struct watch_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_sim_config config;

	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		kunit_skip(test, "no tracepoints in this kernel");
	KUNIT_ASSERT_NOT_NULL(test, f);
	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.ats = true;
	config.pasid_bits = 8;
	f->test = test;
	spin_lock_init(&f->lock);
	init_completion(&f->arrived);
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_watch", &config);
	f->dev = rviommu_sim_endpoint(f->sim, 0);
	f->ep = dev_iommu_priv_get(f->dev);
	f->group = rviommu_simtest_claim(test, f->dev);
	f->pages = rviommu_simtest_pages(test, SZ_16K);
	f->domain = rviommu_simtest_domain(test, f->dev);
	f->domain->iopf_handler = watch_handler;
	KUNIT_ASSERT_EQ(test, register_trace_rviommu_page_request(watch_request, f), 0);
	KUNIT_ASSERT_EQ(test, register_trace_rviommu_page_response(watch_response, f), 0);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(f->group, f->domain, &f->handle), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, watch_down, f), 0);
	return f;
}

/* The device writes, and waits until the handler's group has its response. */
static struct rviommu_pritest_job *watch_go(struct watch_fixture *f, size_t length)
{
	const struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .iova = IOVA, .length = length, .operand = 1,
	};
	struct rviommu_pritest_job *job = rviommu_pritest_go(f->test, f->dev, &dma);

	KUNIT_ASSERT_NE(f->test, wait_for_completion_timeout(&f->arrived, 60 * HZ), 0UL);
	return job;
}

static void watch_answer(struct watch_fixture *f, struct rviommu_pritest_job *job, bool map)
{
	if (map)
		KUNIT_EXPECT_EQ(f->test, iommu_map(f->domain, IOVA, virt_to_phys(f->pages), SZ_16K,
						   IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	iopf_group_response(f->held, map ? IOMMU_PAGE_RESP_SUCCESS : IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(f->held);
	KUNIT_EXPECT_EQ(f->test, rviommu_pritest_end(f->test, job), map ? 0 : -EFAULT);
}

/* Each request and the response are seen, and how long the group waited. */
static void watch_served(struct kunit *test)
{
	struct watch_fixture *f = watch_up(test);
	struct rviommu_pritest_job *job;
	unsigned int i;
	u64 begun, end;

	begun = ktime_get_ns();
	job = watch_go(f, SZ_8K);
	/* Nobody could have answered before. */
	usleep_range(2000, 3000);
	watch_answer(f, job, true);
	end = ktime_get_ns();
	KUNIT_ASSERT_EQ(test, f->nr, 3);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_FALSE(test, f->seen[i].response);
		KUNIT_EXPECT_TRUE(test, f->seen[i].known);
		KUNIT_EXPECT_EQ(test, f->seen[i].message.addr, IOVA + i * SZ_4K);
		KUNIT_EXPECT_TRUE(test, f->seen[i].message.write);
		KUNIT_EXPECT_EQ(test, f->seen[i].message.last, i);
	}
	KUNIT_EXPECT_TRUE(test, f->seen[2].response);
	KUNIT_EXPECT_TRUE(test, f->seen[2].known);
	KUNIT_EXPECT_EQ(test, f->seen[2].code, 0);
	KUNIT_EXPECT_EQ(test, f->seen[2].message.index, f->seen[0].message.index);
	KUNIT_EXPECT_GE(test, f->seen[2].latency_ns, 2 * NSEC_PER_MSEC);
	KUNIT_EXPECT_LE(test, f->seen[2].latency_ns, end - begun);
}

/* So are those that no handler gives: of what nobody handles, and what nobody sent. */
static void watch_refused(struct kunit *test)
{
	struct rviommu_model_page_request pr = {
		.payload = IOVA | RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_L, .pv = true,
		.process_id = 9,
	};
	const struct rviommu_page_message stranger = { .did = 0xabcd, .read = true, .last = true };
	struct watch_fixture *f = watch_up(test);
	struct rviommu_pritest_job *job;

	/* The handler's own */
	job = watch_go(f, 8);
	watch_answer(f, job, false);
	KUNIT_ASSERT_EQ(test, f->nr, 2);
	KUNIT_EXPECT_EQ(test, f->seen[1].code, 1);
	KUNIT_EXPECT_GT(test, f->seen[1].latency_ns, 0);
	/* Nothing is attached to the PASID. */
	KUNIT_ASSERT_EQ(test, rviommu_sim_page_request(f->dev, &pr), 0);
	rviommu_inq_service(&f->ep->iommu->pageq);
	KUNIT_ASSERT_EQ(test, f->nr, 4);
	KUNIT_EXPECT_EQ(test, f->seen[2].message.pid, 9);
	KUNIT_EXPECT_TRUE(test, f->seen[2].message.pv);
	KUNIT_EXPECT_TRUE(test, f->seen[3].response);
	KUNIT_EXPECT_EQ(test, f->seen[3].code, 1);
	KUNIT_EXPECT_GT(test, f->seen[3].latency_ns, 0);
	/* A Stop Marker has none. */
	pr.payload = RVIOMMU_MODEL_PAGE_L;
	KUNIT_ASSERT_EQ(test, rviommu_sim_page_request(f->dev, &pr), 0);
	rviommu_inq_service(&f->ep->iommu->pageq);
	KUNIT_EXPECT_EQ(test, f->nr, 5);
	/* One of a device that is none */
	rviommu_pri_message(f->ep->iommu, &stranger);
	KUNIT_ASSERT_EQ(test, f->nr, 7);
	KUNIT_EXPECT_FALSE(test, f->seen[5].known);
	KUNIT_EXPECT_FALSE(test, f->seen[6].known);
	KUNIT_EXPECT_EQ(test, f->seen[6].latency_ns, 0);
	/* And what is taken away */
	job = watch_go(f, 8);
	kunit_release_action(test, watch_down, f);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	iopf_group_response(f->held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(f->held);
	KUNIT_ASSERT_EQ(test, f->nr, 9);
	KUNIT_EXPECT_TRUE(test, f->seen[8].response);
	KUNIT_EXPECT_EQ(test, f->seen[8].code, 1);
	KUNIT_EXPECT_GT(test, f->seen[8].latency_ns, 0);
}

static struct kunit_case watch_cases[] = {
	KUNIT_CASE(watch_served),
	KUNIT_CASE(watch_refused),
	{}
};

static struct kunit_suite watch_suite = {
	.name = "rviommu_pri_watch",
	.test_cases = watch_cases,
};

kunit_test_suite(watch_suite);
