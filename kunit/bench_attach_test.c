// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long the IOMMU core's attach, replace and detach of a domain take, of requester IDs and of
 * a PASID, and how many fences each of them waits for. The IOMMU and the device are simulated:
 * commands are executed when the driver rings, and an ATC answers at once, so the time is what
 * software takes. On hardware each fence is a wait.
 *
 * Nothing here passes or fails, but that all of it could be done.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/rcupdate.h>
#include <rviommu/sim.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "benchtest.h"
#include "hw.h"
#include "simtest.h"

#define SAMPLES		31
/*
 * Times that one sample is the sum of: the clock may tick every 256 ns only. Not more, because
 * there are kernels on which to wait for readers takes until the next tick.
 */
#define ROUNDS		16
/* Replacements before those that count: who has waited is cold. */
#define WARMING		64
#define PASID		5
#define OTHER_PASID	6

enum bench_step {
	BENCH_ATTACH,
	BENCH_REPLACE,
	BENCH_DETACH,
	BENCH_STEPS,
};

/**
 * struct bench_attach - a device that is attached and detached
 * @dev: the device
 * @iommu: the driver's side of its IOMMU
 * @group: its group, of which we have DMA ownership
 * @domain: what is attached, and what replaces it, in turn
 * @at: which of them is attached
 * @other: what its requester IDs and another PASID are attached to meanwhile
 * @handle: of the core, one for each of @domain
 * @other_handle: one for each use of @other
 */
struct bench_attach {
	struct device *dev;
	struct rviommu *iommu;
	struct iommu_group *group;
	struct iommu_domain *domain[2];
	unsigned int at;
	struct iommu_domain *other;
	struct iommu_attach_handle handle[2];
	struct iommu_attach_handle other_handle[2];
};

/**
 * struct bench_cost - what a step takes, ROUNDS times
 * @ns: time
 * @fences: that the driver queued
 * @commands: that it queued, fences included
 */
struct bench_cost {
	u64 ns;
	u64 fences;
	u64 commands;
};

static int bench_rid(struct bench_attach *b, enum bench_step step)
{
	if (step != BENCH_DETACH)
		return iommu_replace_group_handle(b->group, b->domain[b->at], &b->handle[b->at]);
	iommu_detach_group_handle(b->domain[b->at], b->group);
	return 0;
}

static int bench_pasid(struct bench_attach *b, enum bench_step step)
{
	struct iommu_domain *domain = b->domain[b->at];

	switch (step) {
	case BENCH_ATTACH:
		return iommu_attach_device_pasid(domain, b->dev, PASID, &b->handle[b->at]);
	case BENCH_REPLACE:
		return rviommu_replace_device_pasid(domain, b->dev, PASID, &b->handle[b->at]);
	default:
		iommu_detach_device_pasid(domain, b->dev, PASID);
		return 0;
	}
}

/**
 * struct bench_way - what is attached
 * @name: for the table
 * @step: does one step
 * @rid: requester IDs are attached to another domain meanwhile
 * @pasid: likewise another PASID, so that the process directory stays
 * @in_turn: what is attached is not what was detached before
 */
struct bench_way {
	const char *name;
	int (*step)(struct bench_attach *b, enum bench_step step);
	bool rid;
	bool pasid;
	bool in_turn;
};

static const struct bench_way bench_ways[] = {
	{ "requester IDs", bench_rid },
	{ "  two domains", bench_rid, .in_turn = true },
	{ "the only PASID", bench_pasid, .rid = true },
	{ "one PASID of two", bench_pasid, .rid = true, .pasid = true },
	{ "  two domains", bench_pasid, .rid = true, .pasid = true, .in_turn = true },
};

static u64 bench_event(struct bench_attach *b, enum rviommu_cmdq_event event)
{
	return atomic64_read(&b->iommu->cmdq.events[event]);
}

static int bench_one(struct bench_attach *b, const struct bench_way *way, enum bench_step step,
		     struct bench_cost cost[BENCH_STEPS])
{
	u64 fences = bench_event(b, RVIOMMU_CMDQ_FENCES);
	u64 commands = bench_event(b, RVIOMMU_CMDQ_COMMANDS);
	u64 now = ktime_get_ns();
	int ret = way->step(b, step);

	cost[step].ns += ktime_get_ns() - now;
	cost[step].fences += bench_event(b, RVIOMMU_CMDQ_FENCES) - fences;
	cost[step].commands += bench_event(b, RVIOMMU_CMDQ_COMMANDS) - commands;
	return ret;
}

/*
 * Attach and detach can only come in turn; what they leave behind would be in the time of a
 * replacement between them. Returns an error of any.
 */
static int bench_sample(struct bench_attach *b, const struct bench_way *way,
			struct bench_cost cost[BENCH_STEPS])
{
	struct bench_cost warming[BENCH_STEPS] = {};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ROUNDS && !ret; i++) {
		b->at ^= way->in_turn;
		ret = bench_one(b, way, BENCH_ATTACH, cost) ?:
		      bench_one(b, way, BENCH_DETACH, cost);
	}
	ret = ret ?: way->step(b, BENCH_ATTACH);
	if (ret)
		return ret;
	for (i = 0; i < WARMING + ROUNDS && !ret; i++) {
		b->at ^= 1;
		ret = bench_one(b, way, BENCH_REPLACE, i < WARMING ? warming : cost);
	}
	if (ret)
		b->at ^= 1;
	way->step(b, BENCH_DETACH);
	/* What was freed comes back. */
	rcu_barrier();
	return ret;
}

static void bench_table(struct kunit *test, const struct bench_way *way,
			const struct bench_cost cost[BENCH_STEPS], u64 ns[][SAMPLES])
{
	static const char * const steps[] = { "attach", "replace", "detach" };
	unsigned int step;

	for (step = 0; step < BENCH_STEPS; step++)
		kunit_info(test, "%-18s%-9s%8llu%8llu.%02llu%8llu.%02llu\n", way->name, steps[step],
			   div_u64(benchtest_median(ns[step], SAMPLES), ROUNDS),
			   cost[step].fences / ROUNDS, cost[step].fences % ROUNDS * 100 / ROUNDS,
			   cost[step].commands / ROUNDS,
			   cost[step].commands % ROUNDS * 100 / ROUNDS);
}

static void bench_measure(struct kunit *test, struct bench_attach *b, const struct bench_way *way)
{
	u64 (*ns)[SAMPLES] = kunit_kcalloc(test, BENCH_STEPS, sizeof(*ns), GFP_KERNEL);
	struct bench_cost cost[BENCH_STEPS];
	struct kunit *running;
	unsigned int n, step;
	int ret = 0;

	KUNIT_ASSERT_NOT_NULL(test, ns);
	running = benchtest_run_no_test();
	/* The first round warms up. */
	for (n = 0; n <= SAMPLES && !ret; n++) {
		memset(cost, 0, sizeof(cost));
		ret = bench_sample(b, way, cost);
		for (step = 0; n && step < BENCH_STEPS; step++)
			ns[step][n - 1] = cost[step].ns;
	}
	benchtest_run_test(running);
	KUNIT_EXPECT_EQ(test, ret, 0);
	bench_table(test, way, cost, ns);
}

static void bench_run_way(struct kunit *test, struct bench_attach *b, const struct bench_way *way)
{
	if (way->rid)
		KUNIT_ASSERT_EQ(test, iommu_replace_group_handle(b->group, b->other,
								 &b->other_handle[0]), 0);
	if (way->pasid)
		KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(b->other, b->dev, OTHER_PASID,
								&b->other_handle[1]), 0);
	bench_measure(test, b, way);
	if (way->pasid)
		iommu_detach_device_pasid(b->other, b->dev, OTHER_PASID);
	if (way->rid)
		iommu_detach_group_handle(b->other, b->group);
}

static const bool bench_has_ats[] = { false, true };

static void bench_ats_desc(const bool *ats, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s ATS", *ats ? "with" : "without");
}

KUNIT_ARRAY_PARAM(bench_ats, bench_has_ats, bench_ats_desc);

static void bench_attach(struct kunit *test)
{
	const bool ats = *(const bool *)test->param_value;
	struct bench_attach *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct rviommu_sim_config config;
	struct rviommu_endpoint *ep;
	struct rviommu_sim *sim;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, b);
	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	config.ats = ats;
	config.pri = false;
	sim = rviommu_simtest_create(test, "rviommu_bench_attach", &config);
	b->dev = rviommu_sim_endpoint(sim, 0);
	ep = dev_iommu_priv_get(b->dev);
	b->iommu = ep->iommu;
	b->group = rviommu_simtest_claim(test, b->dev);
	for (i = 0; i < ARRAY_SIZE(b->domain); i++)
		b->domain[i] = rviommu_simtest_domain(test, b->dev);
	b->other = rviommu_simtest_domain(test, b->dev);
	kunit_info(test, "%-27s%8s%11s%11s\n", ats ? "with ATS" : "without ATS", "ns", "fences",
		   "commands");
	for (i = 0; i < ARRAY_SIZE(bench_ways); i++)
		bench_run_way(test, b, &bench_ways[i]);
}

static struct kunit_case bench_attach_cases[] = {
	KUNIT_CASE_PARAM_ATTR(bench_attach, bench_ats_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite bench_attach_suite = {
	.name = "rviommu_bench_attach",
	.test_cases = bench_attach_cases,
};

kunit_test_suite(bench_attach_suite);
