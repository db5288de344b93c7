// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long page requests take: from the device's request until it has moved its bytes, and where
 * that time goes; the driver's own part without anybody else's; and what it costs to put requests
 * together before the core sees them, beside what the core does with them.
 *
 * The device is simulated, and who handles its requests maps pages that are there. Nothing here
 * passes or fails.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/prg.h"
#include "../src/driver/pri.h"
#include "../src/driver/rviommu.h"
#include "benchtest.h"
#include "hw.h"
#include "prgtest.h"
#include "simtest.h"

#define IOVA		0x1000000000ULL
#define SAMPLES		2000
#define REQUESTS	64

/* Where the time of a request goes */
enum bench_stage {
	BENCH_ALL,	/* from the DMA's begin to its end */
	BENCH_HANDLER,	/* until the handler is called */
	BENCH_MAP,	/* until its worker has mapped the page */
	BENCH_RESPONSE,	/* until the response is in the command queue */
	BENCH_RETRY,	/* until the DMA is over */
	BENCH_STAGES,
};

/**
 * struct bench_pri - a device that asks
 * @handle: of the core
 * @sim: the instance
 * @dev: its device
 * @ep: what the driver knows of it
 * @group: its group, of which we have DMA ownership
 * @domain: what its requester IDs are attached to
 * @page: what all of it is mapped to
 * @hold: the handler only keeps groups
 * @held: groups that it keeps
 * @at: when what happened to the request
 * @ns: samples
 */
struct bench_pri {
	struct iommu_attach_handle handle;
	struct rviommu_sim *sim;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct iommu_group *group;
	struct iommu_domain *domain;
	u8 *page;
	bool hold;
	struct list_head held;
	u64 at[BENCH_STAGES];
	u64 ns[BENCH_STAGES][SAMPLES];
};

static void bench_work(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);
	struct bench_pri *b = container_of(group->attach_handle, struct bench_pri, handle);
	struct iopf_fault *fault;

	list_for_each_entry(fault, &group->faults, list)
		iommu_map(b->domain, fault->fault.prm.addr, virt_to_phys(b->page), SZ_4K,
			  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	b->at[BENCH_MAP] = ktime_get_ns();
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	b->at[BENCH_RESPONSE] = ktime_get_ns();
	iopf_free_group(group);
}

static int bench_handler(struct iopf_group *group)
{
	struct bench_pri *b = container_of(group->attach_handle, struct bench_pri, handle);

	b->at[BENCH_HANDLER] = ktime_get_ns();
	if (b->hold) {
		list_add_tail(&group->node, &b->held);
		return 0;
	}
	INIT_WORK(&group->work, bench_work);
	queue_work(group->fault_param->queue->wq, &group->work);
	return 0;
}

static void bench_let_go(struct bench_pri *b)
{
	struct iopf_group *group, *next;

	list_for_each_entry_safe(group, next, &b->held, node) {
		list_del(&group->node);
		iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
		iopf_free_group(group);
	}
}

static void bench_detach(void *data)
{
	struct bench_pri *b = data;

	iommu_detach_group_handle(b->domain, b->group);
	bench_let_go(b);
}

static struct bench_pri *bench_up(struct kunit *test, unsigned int pages)
{
	struct bench_pri *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct rviommu_sim_config config;

	KUNIT_ASSERT_NOT_NULL(test, b);
	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.ats = true;
	config.pri_capacity = REQUESTS;
	config.pri_pages = pages;
	b->sim = rviommu_simtest_create(test, "rviommu_bench_pri", &config);
	b->dev = rviommu_sim_endpoint(b->sim, 0);
	b->ep = dev_iommu_priv_get(b->dev);
	b->group = rviommu_simtest_claim(test, b->dev);
	b->page = rviommu_simtest_pages(test, SZ_4K);
	b->domain = rviommu_simtest_domain(test, b->dev);
	b->domain->iopf_handler = bench_handler;
	INIT_LIST_HEAD(&b->held);
	KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(b->group, b->domain, &b->handle), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, bench_detach, b), 0);
	return b;
}

static u64 bench_median(u64 *ns)
{
	return benchtest_median(ns, SAMPLES);
}

static void bench_line(struct kunit *test, const char *what, u64 *ns)
{
	u64 median = bench_median(ns);

	kunit_info(test, "%-40s%8llu%8llu%8llu%8llu\n", what, median, ns[SAMPLES * 90 / 100],
		   ns[SAMPLES * 99 / 100], ns[SAMPLES - 1]);
}

static void bench_head(struct kunit *test, const char *what)
{
	kunit_info(test, "%-40s%8s%8s%8s%8s    ns\n", what, "p50", "p90", "p99", "max");
}

static void bench_report(struct kunit *test, struct bench_pri *b, unsigned int pages)
{
	static const char * const stages[BENCH_STAGES] = {
		[BENCH_ALL] = "request to retry", [BENCH_HANDLER] = "  to the handler",
		[BENCH_MAP] = "  worker, map", [BENCH_RESPONSE] = "  response to command",
		[BENCH_RETRY] = "  retry, bytes",
	};
	u64 sum = 0;
	char what[40];
	unsigned int i;

	for (i = 0; i < SAMPLES; i++)
		sum += b->ns[BENCH_ALL][i];
	snprintf(what, sizeof(what), "groups of %u: %llu requests/s", pages,
		 div64_u64(SAMPLES * pages * NSEC_PER_SEC, sum));
	bench_head(test, what);
	for (i = BENCH_ALL; i < BENCH_STAGES; i++)
		bench_line(test, stages[i], b->ns[i]);
}

/* A device that does one DMA after the other, each where nothing is mapped */
static void bench_pri_demand(struct kunit *test, unsigned int pages)
{
	struct bench_pri *b = bench_up(test, pages);
	void *buf = rviommu_simtest_pages(test, pages * SZ_4K);
	unsigned int i, k;

	for (i = 0; i < SAMPLES; i++) {
		struct rviommu_sim_dma dma = {
			.op = RVIOMMU_SIM_WRITE, .iova = IOVA + (u64)i * pages * SZ_4K,
			.length = pages * SZ_4K, .buf = buf,
		};

		b->at[BENCH_ALL] = ktime_get_ns();
		KUNIT_ASSERT_EQ(test, rviommu_sim_dma(b->dev, &dma), 0);
		b->at[BENCH_RETRY] = ktime_get_ns();
		KUNIT_ASSERT_EQ(test, dma.page_requests, 1);
		b->ns[BENCH_ALL][i] = b->at[BENCH_RETRY] - b->at[BENCH_ALL];
		for (k = BENCH_HANDLER; k < BENCH_STAGES; k++)
			b->ns[k][i] = b->at[k] - b->at[k - 1];
	}
	bench_report(test, b, pages);
}

static void bench_pri_single(struct kunit *test)
{
	bench_pri_demand(test, 1);
}

static void bench_pri_group(struct kunit *test)
{
	bench_pri_demand(test, 8);
}

/* What is aimed at: from a request in the queue to the handler, without the interrupt */
#define AIM_NS		5000

static void bench_aim(struct kunit *test, const u64 *ns)
{
	unsigned int i, late = 0;

	for (i = 0; i < SAMPLES; i++)
		late += ns[i] > AIM_NS;
	kunit_info(test, "later than the %u ns that are aimed at: %u of %u requests\n", AIM_NS,
		   late, SAMPLES);
}

/*
 * The driver's part: from a request in the queue, where the interrupt's thread begins, to the
 * handler, and from the handler's response to the command. Nobody has to wake up, for the
 * interrupt is off.
 */
static void bench_pri_own(struct kunit *test)
{
	struct bench_pri *b = bench_up(test, 1);
	struct rviommu_bus *bus = b->ep->iommu->bus;
	struct kunit *running;
	unsigned int i;
	u64 now;

	b->hold = true;
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	for (i = 0; i < SAMPLES; i++) {
		struct rviommu_model_page_request pr = {
			.payload = IOVA | RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_L,
		};

		KUNIT_ASSERT_EQ(test, rviommu_sim_page_request(b->dev, &pr), 0);
		running = benchtest_run_no_test();
		now = ktime_get_ns();
		rviommu_inq_service(&b->ep->iommu->pageq);
		b->ns[BENCH_HANDLER][i] = b->at[BENCH_HANDLER] - now;
		benchtest_run_test(running);
		KUNIT_ASSERT_FALSE(test, list_empty(&b->held));
		running = benchtest_run_no_test();
		now = ktime_get_ns();
		bench_let_go(b);
		b->ns[BENCH_RESPONSE][i] = ktime_get_ns() - now;
		benchtest_run_test(running);
	}
	bus->ops->write32(bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	bench_head(test, "driver and core, no interrupt");
	bench_line(test, "request in the queue to handler", b->ns[BENCH_HANDLER]);
	bench_line(test, "response to command", b->ns[BENCH_RESPONSE]);
	bench_aim(test, b->ns[BENCH_HANDLER]);
}

static struct rviommu_page_message bench_message(struct bench_pri *b, unsigned int i,
						 unsigned int pages)
{
	return (struct rviommu_page_message) {
		.did = b->ep->ids[0], .index = i / pages, .addr = IOVA + (u64)i * SZ_4K,
		.read = true, .last = i % pages == pages - 1,
	};
}

/* The core with its own list: all requests go to it, as they come. */
static void bench_core(struct bench_pri *b, unsigned int pages)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		struct rviommu_page_message message = bench_message(b, i, pages);
		struct iopf_fault fault = {
			.fault.type = IOMMU_FAULT_PAGE_REQ,
			.fault.prm = {
				.flags = message.last ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0,
				.pasid = IOMMU_NO_PASID, .grpid = message.index,
				.perm = IOMMU_FAULT_PERM_READ, .addr = message.addr,
			},
		};

		iommu_report_device_fault(b->dev, &fault);
	}
}

/* The driver puts them together before. */
static void bench_driver(struct bench_pri *b, unsigned int pages)
{
	unsigned int i;

	mutex_lock(&b->ep->iommu->pageq.lock);
	for (i = 0; i < REQUESTS; i++) {
		struct rviommu_page_message message = bench_message(b, i, pages);

		rviommu_pri_message(b->ep->iommu, &message);
	}
	mutex_unlock(&b->ep->iommu->pageq.lock);
}

/* That alone */
static void bench_prgs(struct bench_pri *b, unsigned int pages)
{
	struct rviommu_prgs *prgs = &b->ep->pri.prgs;
	struct rviommu_prg *group;
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		struct rviommu_page_message message = bench_message(b, i, pages);

		if (rviommu_prgs_add(prgs, &message, &group) == RVIOMMU_PRG_COMPLETE)
			rviommu_prgs_hand_on(prgs, group);
	}
}

static void bench_pri_assembly(struct kunit *test)
{
	static const struct {
		const char *name;
		void (*run)(struct bench_pri *b, unsigned int pages);
	} ways[] = {
		{ "core alone", bench_core },
		{ "driver and core", bench_driver },
		{ "driver's groups alone", bench_prgs },
	};
	static const unsigned int sizes[] = { 1, 8, REQUESTS };
	struct bench_pri *b = bench_up(test, 1);
	struct rviommu_page_message which;
	unsigned int s, w, i;
	u64 now;

	b->hold = true;
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (w = 0; w < ARRAY_SIZE(ways); w++) {
			for (i = 0; i < SAMPLES; i++) {
				now = ktime_get_ns();
				ways[w].run(b, sizes[s]);
				b->ns[0][i] = ktime_get_ns() - now;
				bench_let_go(b);
				while (prgtest_take(&b->ep->pri.prgs, RVIOMMU_PRG_ALL, &which))
					;
			}
			kunit_info(test, "groups of %2u, %-22s median %4llu ns a request\n",
				   sizes[s], ways[w].name, bench_median(b->ns[0]) / REQUESTS);
		}
	}
}

static struct kunit_case bench_pri_cases[] = {
	KUNIT_CASE(bench_pri_single),
	KUNIT_CASE(bench_pri_group),
	KUNIT_CASE(bench_pri_own),
	KUNIT_CASE(bench_pri_assembly),
	{}
};

static struct kunit_suite bench_pri_suite = {
	.name = "rviommu_bench_pri",
	.test_cases = bench_pri_cases,
};

kunit_test_suite(bench_pri_suite);
