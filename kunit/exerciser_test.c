// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver that user space exercises simulated devices with: what works
 * succeeds and is counted, what is refused is told, and a device may go at any
 * moment.
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/compat.h"
#include "../src/sim/endpoint.h"
#include "simtest.h"
#include "testdev.h"
#include "testlog.h"

#define WRITE_PAGE_FAULT	15

/* Long, with a PASID, and on this kernel */
static const char *exercise_long(void)
{
	return rviommu_core_replaces_pasids() ? "replace 1000000 2 9" : "replace 1000000 2 9 keep";
}

static void exercise_end(void *sim)
{
	rviommu_sim_destroy(sim);
}

static struct rviommu_sim *exercise_up(struct kunit *test, u32 switches, bool exerciser)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;

	rviommu_sim_config_init(&config);
	config.endpoints = 4;
	config.model.switches = switches;
	config.exerciser = exerciser;
	sim = rviommu_sim_create("rviommu_kunit_exerciser", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	return sim;
}

/* With an end that cannot be forgotten. */
static struct device *exercise_dev(struct kunit *test, u32 switches, bool exerciser)
{
	struct rviommu_sim *sim = exercise_up(test, switches, exerciser);

	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, exercise_end, sim), 0);
	return rviommu_sim_endpoint(sim, 0);
}

#ifdef CONFIG_RVIOMMU_SIM_PCI
/* A function that is told to have this driver */
static struct device *exercise_function(struct kunit *test, struct rviommu_sim *sim)
{
	struct device *dev = rviommu_sim_function(sim, 0);

	KUNIT_ASSERT_NOT_NULL(test, dev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 1 1 1", NULL), -ENODEV);
	KUNIT_ASSERT_EQ(test, rviommu_set_driver_override(to_pci_dev(dev), SIM_EXERCISER), 0);
	KUNIT_ASSERT_EQ(test, device_attach(dev), 1);
	return dev;
}
#endif

struct exercise_kind {
	const char *name;
	u32 switches;
};

static const struct exercise_kind kinds[] = {
	{ "kind" },
	{ "worst case", RVIOMMU_MODEL_SWITCHES },
};

KUNIT_ARRAY_PARAM_DESC(kind, kinds, name);

static u32 exercise_switches(struct kunit *test)
{
	const struct exercise_kind *kind = test->param_value;

	return kind->switches;
}

/* Buffers that are not pages, one page, and more than a leaf table of the IOMMU. */
static void exercise_copy(struct kunit *test)
{
	struct device *dev = exercise_dev(test, exercise_switches(test), true);
	struct rviommu_sim_results r;

	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 1 1 1", &r), 0);
	/* Copied, verified, filled. */
	KUNIT_EXPECT_EQ(test, r.bytes, 3);
	KUNIT_EXPECT_EQ(test, r.mappings, 3);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4095 3 2", NULL), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 65536 4 2", NULL), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4194304 1 2", &r), 0);
	KUNIT_EXPECT_EQ(test, r.bytes, 3 * (1 + 4095 * 6 + SZ_64K * 8 + SZ_4M * 2ULL));
	KUNIT_EXPECT_EQ(test, r.refused, 0);
	KUNIT_EXPECT_EQ(test, r.mismatches, 0);
}

static void exercise_replace(struct kunit *test)
{
	struct device *dev = exercise_dev(test, exercise_switches(test), true);
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct rviommu_sim_results r;

	/* Odd and even: the DMA API's domain is back in both cases. */
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "replace 1", NULL), 0);
	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(dev), domain);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "replace 200 3", &r), 0);
	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(dev), domain);
	KUNIT_EXPECT_EQ(test, r.replacements, 201);
	KUNIT_EXPECT_GE(test, r.dmas, 2 * 201);
	KUNIT_EXPECT_EQ(test, r.refused, 0);
	KUNIT_EXPECT_EQ(test, r.mismatches, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 1 1", NULL), 0);
}

static void exercise_touch(struct kunit *test)
{
	struct device *dev = exercise_dev(test, 0, true);
	struct rviommu_sim_results r;

	if (iommu_get_domain_for_dev(dev)->type == IOMMU_DOMAIN_IDENTITY)
		kunit_skip(test, "devices are not translated");
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "touch 0x7ff000000 write", &r), 0);
	KUNIT_EXPECT_EQ(test, r.refused, 1);
	KUNIT_EXPECT_EQ(test, r.cause, WRITE_PAGE_FAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "touch 0x7ff000000", &r), 0);
	KUNIT_EXPECT_EQ(test, r.refused, 2);
	KUNIT_EXPECT_EQ(test, r.cause, WRITE_PAGE_FAULT - 2);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "touch 4", NULL), -EINVAL);
}

static void exercise_bad_commands(struct kunit *test)
{
	static const char * const commands[] = {
		"", "copy", "copy 0 1 1", "copy 1 0 1", "copy 1 1 0", "copy 4194305 1 1",
		"copy 1 65 1", "copy 1 1 1000001", "copy 1 1 1 1", "copy 1 1", "replace",
		"replace 0", "replace 1 0", "replace 1000001", "replace 1 1 0",
		"replace 1 1 1048576", "replace 1 1 none", "replace 1 1 detach",
		"replace 1 1 1 attach", "replace 1 1 1 keep 1", "touch",
		"touch x", "touch 8 execute", "touch 8 read 8", "fill 1 1 1",
		/* More than what they are put into can hold */
		"copy 4096 4294967297 1", "copy 4096 1 4294967297",
		"copy 18446744073709555712 1 1", "copy -4096 1 1", "replace 4294967297",
		"replace 1 4294967297", "touch 18446744073709551616", "touch -8",
		"copy 4096 1 1x",
		"demand", "demand 1", "demand 0 1", "demand 1 0", "demand 1025 1", "demand 1 65",
		"demand 1 1 0", "demand 1 1 1048576", "demand 1 1 1 1", "demand 1 1 none",
	};
	struct device *dev = exercise_dev(test, 0, true);
	struct rviommu_sim_results r;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_exercise(dev, commands[i], &r), -EINVAL,
				    "'%s'", commands[i]);
		KUNIT_EXPECT_EQ_MSG(test, r.dmas, 0, "'%s'", commands[i]);
	}
}

/* Where nobody asked for it, the group is free for whoever claims it. */
static void exercise_unasked(struct kunit *test)
{
	struct device *dev = exercise_dev(test, 0, false);

	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "touch 8", NULL), -ENODEV);
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, test), 0);
	iommu_device_release_dma_owner(dev);
}

static void exercise_claimed(struct kunit *test)
{
	struct device *dev = exercise_dev(test, 0, true);

	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(dev, test), -EPERM);
	device_release_driver(dev);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "touch 8", NULL), -ENODEV);
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, test), 0);
	/* Not while somebody else has it. */
	KUNIT_EXPECT_LT(test, device_attach(dev), 1);
	iommu_device_release_dma_owner(dev);
	KUNIT_EXPECT_EQ(test, device_attach(dev), 1);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 2 2", NULL), 0);
}

/**
 * struct exercise_user - a thread that has a command run until the device is gone
 * @dev: the device, to which we have a reference
 * @command: what to do, for long
 * @ret: how it ended; 1 before
 * @task: the thread
 */
struct exercise_user {
	struct device *dev;
	const char *command;
	int ret;
	struct task_struct *task;
};

static int exercise_use(void *data)
{
	struct exercise_user *user = data;

	WRITE_ONCE(user->ret, rviommu_sim_exercise(user->dev, user->command, NULL));
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void exercise_start(struct kunit *test, struct exercise_user *user, struct device *dev,
			   const char *command)
{
	user->dev = get_device(dev);
	user->command = command;
	user->ret = 1;
	user->task = kthread_run(exercise_use, user, "exercise");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, user->task);
}

static void exercise_wait_begun(struct rviommu_sim *sim)
{
	struct rviommu_model_stats stats;

	do {
		schedule_timeout_uninterruptible(1);
		rviommu_model_get_stats(rviommu_sim_model(sim), &stats);
	} while (stats.requests < 100);
}

/*
 * The driver is told to let go of its device in the middle of a long command, with
 * another one waiting: both end, and nobody waits for their last round.
 */
static void exercise_unbind(struct kunit *test)
{
	const char * const commands[] = {
		"copy 4096 2 300000", "replace 300000 2", exercise_long(),
		"replace 300000 2 9 detach",
	};
	struct exercise_user user[2];
	unsigned int round, i;

	for (round = 0; round < ARRAY_SIZE(commands); round++) {
		struct rviommu_sim *sim = exercise_up(test, 0, true);
		struct device *dev = rviommu_sim_endpoint(sim, 0);

		memset(user, 0, sizeof(user));
		for (i = 0; i < ARRAY_SIZE(user); i++)
			exercise_start(test, &user[i], dev, commands[round]);
		exercise_wait_begun(sim);
		device_release_driver(dev);
		for (i = 0; i < ARRAY_SIZE(user); i++) {
			kthread_stop(user[i].task);
			KUNIT_EXPECT_EQ(test, user[i].ret, -ENODEV);
			put_device(user[i].dev);
		}
		/* It can have the device again. */
		KUNIT_EXPECT_EQ(test, device_attach(dev), 1);
		KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 1 1", NULL), 0);
		rviommu_sim_destroy(sim);
	}
}

/* Devices, busy with one command each, go with their IOMMU. */
static void exercise_removal(struct kunit *test)
{
	const char * const commands[] = {
		"copy 16384 2 1000000", "replace 1000000 2", exercise_long(),
		"replace 1000000 2 9 detach",
	};
	struct exercise_user user[ARRAY_SIZE(commands)] = {};
	unsigned int round, i;

	for (round = 0; round < 4; round++) {
		u32 switches = round & 1 ? RVIOMMU_MODEL_SWITCHES : 0;
		struct rviommu_sim *sim = exercise_up(test, switches, true);

		for (i = 0; i < ARRAY_SIZE(commands); i++)
			exercise_start(test, &user[i], rviommu_sim_endpoint(sim, i), commands[i]);
		exercise_wait_begun(sim);
		rviommu_sim_destroy(sim);
		for (i = 0; i < ARRAY_SIZE(commands); i++) {
			/* It was waited for. */
			KUNIT_EXPECT_EQ(test, READ_ONCE(user[i].ret), -ENODEV);
			KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(user[i].dev, "touch 8", NULL),
					-ENODEV);
			kthread_stop(user[i].task);
			put_device(user[i].dev);
		}
	}
}

/* ----- PASIDs ----- */

#define PASID_BITS	8

static struct rviommu_sim *pasid_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct rviommu_sim *sim;

	sim = rviommu_sim_create(config->ats ? "rviommu_kunit_ats" : "rviommu_kunit_pasid", config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, exercise_end, sim), 0);
	return sim;
}

static void pasid_config(struct rviommu_sim_config *config, u32 switches, bool ats)
{
	rviommu_sim_config_init(config);
	config->endpoints = 1;
	config->ats = ats;
	config->pasid_bits = PASID_BITS;
	config->exerciser = true;
	config->model.switches = switches;
}

static struct device *pasid_dev(struct kunit *test, u32 switches, bool ats)
{
	struct rviommu_sim_config config;

	pasid_config(&config, switches, ats);
	return rviommu_sim_endpoint(pasid_up(test, &config), 0);
}

/* Nobody has PASID @pasid, and requests without have @domain. */
static void pasid_expect_free(struct kunit *test, struct device *dev, u32 pasid,
			      struct iommu_domain *domain)
{
	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(dev), domain);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(dev, pasid, SZ_1G * 8ULL, 8, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 1 1", NULL), 0);
}

/**
 * struct pasid_replace - a way to change domains while a PASID is in use
 * @command: once, which leaves the second domain, and often
 * @core: the core has to be able to
 * @gaps: DMA is refused meanwhile
 */
struct pasid_replace {
	const char *command[2];
	bool core;
	bool gaps;
};

#define PASID_TIMES	12

static const struct pasid_replace pasid_replaces[] = {
	{ { "replace 1 2 7", "replace 12 3 255" }, .core = true },
	{ { "replace 1 2 7 keep", "replace 12 3 255 keep" } },
	{ { "replace 1 2 7 detach", "replace 12 3 255 detach" }, .gaps = true },
};

/* A kernel that cannot says so. */
static void pasid_expect_unable(struct kunit *test, struct device *dev, const char *command)
{
	struct rviommu_sim_results before, r;
	struct testlog log;

	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 1 1 1", &before), 0);
	testlog_start(&log);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, command, &r), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, testlog_errors(&log, "replaces no PASID's domain"), 1);
	KUNIT_EXPECT_EQ(test, r.dmas, before.dmas);
}

static void pasid_expect_replaced(struct kunit *test, struct device *dev,
				  const struct pasid_replace *p)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct rviommu_sim_results before, r;

	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 1 1 1", &before), 0);
	/* Odd and even: both domains are gone in both cases. */
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, p->command[0], NULL), 0);
	pasid_expect_free(test, dev, 7, domain);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, p->command[1], &r), 0);
	pasid_expect_free(test, dev, 255, domain);
	KUNIT_EXPECT_EQ(test, r.replacements, before.replacements + 1 + PASID_TIMES);
	KUNIT_EXPECT_GE(test, r.dmas, before.dmas + 2 * (1 + PASID_TIMES));
	KUNIT_EXPECT_EQ(test, r.mismatches, 0);
	if (p->gaps)
		KUNIT_EXPECT_GE(test, r.refused, before.refused + 1 + PASID_TIMES);
	else
		KUNIT_EXPECT_EQ(test, r.refused, before.refused);
}

static void pasid_expect_all(struct kunit *test, struct device *dev)
{
	const struct pasid_replace *p;

	for (p = pasid_replaces; p < pasid_replaces + ARRAY_SIZE(pasid_replaces); p++)
		if (p->core && !rviommu_core_replaces_pasids())
			pasid_expect_unable(test, dev, p->command[0]);
		else
			pasid_expect_replaced(test, dev, p);
}

/* Without an ATC, and with one. What is refused is what should be, and the rest is not. */
static void exercise_replace_pasid(struct kunit *test)
{
	pasid_expect_all(test, pasid_dev(test, exercise_switches(test), false));
	pasid_expect_all(test, pasid_dev(test, exercise_switches(test), true));
}

static void exercise_replace_function(struct kunit *test)
{
#ifdef CONFIG_RVIOMMU_SIM_PCI
	struct rviommu_sim_config config;

	pasid_config(&config, exercise_switches(test), true);
	config.endpoints = 0;
	config.pci_functions = 1;
	pasid_expect_all(test, exercise_function(test, pasid_up(test, &config)));
#else
	kunit_skip(test, "no simulated PCI functions");
#endif
}

/*
 * A device context cannot be replaced without faults here, a process context can. The first PASID
 * comes before any DMA, and the last one goes after it.
 */
static void exercise_replace_one_level(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct device *dev;

	pasid_config(&config, exercise_switches(test), false);
	KUNIT_ASSERT_EQ(test, rviommu_sim_config_levels(&config, 1), 0);
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	pasid_expect_replaced(test, dev, &pasid_replaces[1]);
	if (rviommu_core_replaces_pasids())
		pasid_expect_replaced(test, dev, &pasid_replaces[0]);
}

/* Expect an error and one message of it, and no DMA. */
static void pasid_expect_error(struct kunit *test, struct device *dev, const char *command,
			       int error, const char *message)
{
	struct rviommu_sim_results before, r;
	struct testlog log;

	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 1 1 1", &before), 0);
	testlog_start(&log);
	KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_exercise(dev, command, &r), error, "%s", command);
	KUNIT_EXPECT_EQ_MSG(test, testlog_errors(&log, message), 1, "%s", command);
	KUNIT_EXPECT_EQ_MSG(test, r.dmas, before.dmas, "%s", command);
}

/* PASIDs that the device cannot have, and one that somebody else has and keeps */
static void exercise_replace_impossible(struct kunit *test)
{
	struct device *dev = pasid_dev(test, 0, false);
	const char *mine = rviommu_core_replaces_pasids() ? "replace 1 1 9" : "replace 1 1 9 keep";
	struct iommu_domain *domain;
	u8 *page;

	pasid_expect_error(test, dev, "replace 1 1 256", -EINVAL, "PASIDs up to 255, and not 256");
	pasid_expect_error(test, dev, "replace 1 1 256 keep", -EINVAL, "PASIDs up to 255");
	pasid_expect_error(test, dev, "replace 1 1 0", -EINVAL, "PASID is a number from 1");
	domain = rviommu_simtest_space(test, dev, SZ_1G, SZ_4K, &page);
	KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(domain, dev, 9, NULL), 0);
	pasid_expect_error(test, dev, mine, -EBUSY, "the PASID is in use");
	pasid_expect_error(test, dev, "replace 1 1 9 detach", -EBUSY, "the PASID is in use");
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(dev, 9, SZ_1G, 64, 5), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(page, 64, 5));
	/* Beside it there is room. */
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "replace 2 1 8 detach", NULL), 0);
	iommu_detach_device_pasid(domain, dev, 9);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, mine, NULL), 0);
}

static void exercise_replace_without(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct device *dev;

	pasid_config(&config, 0, true);
	config.pasid_bits = 0;
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	pasid_expect_error(test, dev, "replace 1 1 1", -EOPNOTSUPP, "has no PASIDs");
	pasid_expect_error(test, dev, "replace 1 1 1 keep", -EOPNOTSUPP, "has no PASIDs");
	if (IS_ENABLED(CONFIG_IOMMU_IOPF))
		pasid_expect_error(test, dev, "demand 1 1 1", -EOPNOTSUPP, "has no PASIDs");
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "replace 2", NULL), 0);
}

/* As long as it is refused for want of memory, nothing is left of it. */
static void pasid_starve(struct kunit *test, struct device *dev, const char *command)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct testdev_failures failures;
	unsigned int refused = 0;
	bool more = true;
	int nth, ret;

	for (nth = 0; more; nth++) {
		KUNIT_ASSERT_LT(test, nth, 200);
		testdev_fail(test, &failures, nth);
		ret = rviommu_sim_exercise(dev, command, NULL);
		more = failures.seen > nth;
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_TRUE_MSG(test, !ret || ret == -ENOMEM, "%s: %d", command, ret);
		pasid_expect_free(test, dev, 9, domain);
		refused += ret == -ENOMEM;
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_GT(test, refused, 2);
}

static void exercise_replace_memory(struct kunit *test)
{
	struct device *dev = pasid_dev(test, 0, true);

	if (rviommu_core_replaces_pasids())
		pasid_starve(test, dev, "replace 2 1 9");
	pasid_starve(test, dev, "replace 2 1 9 keep");
	pasid_starve(test, dev, "replace 2 1 9 detach");
}

/* ----- Pages on demand ----- */

static void demand_config(struct kunit *test, struct rviommu_sim_config *config, u32 switches)
{
	if (!IS_ENABLED(CONFIG_IOMMU_IOPF))
		kunit_skip(test, "the kernel has no page requests");
	pasid_config(config, switches, true);
}

/* A device copies, in one thread and in several, with PASID and without; then it does as ever. */
static void demand_expect(struct kunit *test, struct device *dev)
{
	static const struct {
		const char *command;
		u64 pages;
	} demands[] = {
		{ "demand 1 1", 2 }, { "demand 64 4", 128 },
		{ "demand 3 5 255", 6 }, { "demand 64 4 1", 128 },
	};
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct rviommu_sim_pri_stats stats;
	struct rviommu_sim_results r;
	u64 mappings = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(demands); i++) {
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_exercise(dev, demands[i].command, &r), 0,
				    "%s", demands[i].command);
		KUNIT_EXPECT_EQ(test, r.demand_pages, demands[i].pages);
		mappings += demands[i].pages;
		KUNIT_EXPECT_EQ(test, r.mappings, mappings);
		/* And the one that is nobody's */
		KUNIT_EXPECT_GT(test, r.demand_requests, demands[i].pages);
		KUNIT_EXPECT_LE(test, r.demand_groups, r.demand_requests);
		KUNIT_EXPECT_GT(test, r.demand_groups, 1);
		KUNIT_EXPECT_EQ(test, rviommu_sim_pri_stats(dev, &stats), 0);
		KUNIT_EXPECT_EQ(test, stats.outstanding, 0);
		KUNIT_EXPECT_EQ(test, stats.invalid, i + 1);
	}
	KUNIT_EXPECT_EQ(test, r.mismatches, 0);
	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(dev), domain);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 2 2", NULL), 0);
}

static void exercise_demand(struct kunit *test)
{
	struct rviommu_sim_config config;

	demand_config(test, &config, exercise_switches(test));
	demand_expect(test, rviommu_sim_endpoint(pasid_up(test, &config), 0));
}

/* A function that is told to have this driver, and loses it */
static void exercise_demand_function(struct kunit *test)
{
#ifdef CONFIG_RVIOMMU_SIM_PCI
	struct rviommu_sim_config config;
	struct device *dev;

	demand_config(test, &config, exercise_switches(test));
	config.endpoints = 0;
	config.pci_functions = 1;
	dev = exercise_function(test, pasid_up(test, &config));
	demand_expect(test, dev);
	device_release_driver(dev);
	KUNIT_EXPECT_FALSE(test, to_pci_dev(dev)->is_busmaster);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 1 1", NULL), -ENODEV);
#else
	kunit_skip(test, "no simulated PCI functions");
#endif
}

/* Devices that can send none, or none with this PASID */
static void exercise_demand_unsupported(struct kunit *test)
{
	struct rviommu_sim_results r;
	struct device *dev;

	dev = exercise_dev(test, 0, true);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 1 1", &r), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 1 1 1", &r), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, r.dmas, 0);
	KUNIT_EXPECT_EQ(test, r.demand_groups, 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 1 1", NULL), 0);
}

/* A PASID that cannot be is an error, and only that. */
static void exercise_demand_impossible(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct device *dev;

	demand_config(test, &config, 0);
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 1 1 256", NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 1 1 255", NULL), 0);
}

/*
 * Memory fails, at each of the driver's allocations in turn: domain, attachment, and the way back,
 * which does without.
 */
static void exercise_demand_memory(struct kunit *test)
{
	static const char * const commands[] = { "demand 4 1", "demand 4 1 9" };
	struct rviommu_sim_config config;
	struct testdev_failures failures;
	struct iommu_domain *domain;
	unsigned int i, refused;
	struct device *dev;
	int nth, ret;
	bool more;

	demand_config(test, &config, 0);
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	domain = iommu_get_domain_for_dev(dev);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		refused = 0;
		more = true;
		for (nth = 0; more; nth++) {
			KUNIT_ASSERT_LT(test, nth, 100);
			testdev_fail(test, &failures, nth);
			ret = rviommu_sim_exercise(dev, commands[i], NULL);
			more = failures.seen > nth;
			testdev_fail(test, &failures, -1);
			KUNIT_EXPECT_TRUE_MSG(test, !ret || ret == -ENOMEM, "%d", ret);
			KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(dev), domain);
			refused += ret == -ENOMEM;
		}
		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_GT(test, refused, 2);
	}
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "copy 4096 1 1", NULL), 0);
}

/* Responses do not reach the device: the command ends all the same, and nothing is left of it. */
static void exercise_demand_lost(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim_results r;
	struct device *dev;

	demand_config(test, &config, 0);
	config.pri_timeout = 20 * NSEC_PER_MSEC;
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_pri(dev, RVIOMMU_SIM_PRI_LOST), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 4 1", &r), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, r.demand_pages, 4);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 4 1 3", NULL), -ETIMEDOUT);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_pri(dev, 0), 0);
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, "demand 4 1", NULL), 0);
}

/* A command waits for a page that does not come. */
static void demand_start_lost(struct kunit *test, struct exercise_user *user, struct device *dev,
			      const char *command)
{
	struct rviommu_sim_pri_stats stats = {};

	rviommu_sim_set_pri(dev, RVIOMMU_SIM_PRI_LOST);
	exercise_start(test, user, dev, command);
	while (!stats.lost && !rviommu_sim_pri_stats(dev, &stats))
		schedule_timeout_uninterruptible(1);
}

static const char * const demand_waits[] = { "demand 16 2", "demand 16 2 9" };

/* The driver is told to let go of its device meanwhile. It does, and can have it again. */
static void exercise_demand_unbind(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct device *dev;
	unsigned int i;

	demand_config(test, &config, 0);
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	dev = rviommu_sim_endpoint(pasid_up(test, &config), 0);
	for (i = 0; i < ARRAY_SIZE(demand_waits); i++) {
		struct exercise_user user = {};

		demand_start_lost(test, &user, dev, demand_waits[i]);
		device_release_driver(dev);
		kthread_stop(user.task);
		KUNIT_EXPECT_EQ(test, user.ret, -ENODEV);
		put_device(user.dev);
		rviommu_sim_set_pri(dev, 0);
		KUNIT_ASSERT_EQ(test, device_attach(dev), 1);
		KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(dev, demand_waits[i], NULL), 0);
	}
}

/* The device is pulled out while it waits for a page that does not come. */
static void exercise_demand_removal(struct kunit *test)
{
	struct rviommu_sim_config config;
	unsigned int i;

	demand_config(test, &config, 0);
	config.pri_timeout = 600ULL * NSEC_PER_SEC;
	for (i = 0; i < ARRAY_SIZE(demand_waits); i++) {
		struct rviommu_sim *sim = rviommu_sim_create("rviommu_kunit_demand", &config);
		struct exercise_user user = {};

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
		demand_start_lost(test, &user, rviommu_sim_endpoint(sim, 0), demand_waits[i]);
		rviommu_sim_destroy(sim);
		KUNIT_EXPECT_EQ(test, READ_ONCE(user.ret), -ENODEV);
		kthread_stop(user.task);
		put_device(user.dev);
	}
}

/* ----- Devices that do not answer ----- */

#define SILENT_DEVICES	32
#define SILENT_PATIENCE	(60 * HZ)

static bool is_silent(unsigned int i)
{
	return i % 4 == 1;
}

/* Of those that answer, and of those that do not */
static bool is_pulled(unsigned int i)
{
	return i % 8 >= 5 && i % 8 <= 6;
}

static struct rviommu_sim *silent_up(struct kunit *test, u32 switches)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;

	rviommu_sim_config_init(&config);
	config.endpoints = SILENT_DEVICES;
	config.ats = true;
	config.exerciser = true;
	config.model.switches = switches;
	config.model.ats_timeout = 20 * NSEC_PER_MSEC;
	sim = rviommu_sim_create("rviommu_kunit_silent", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	return sim;
}

/*
 * All of many devices work, some of them never complete an invalidation, and some of
 * either kind are pulled out meanwhile. Whoever answers and stays notices nothing of it,
 * whoever does not answer is blocked, and it takes less time than a person would wait.
 */
static void exercise_silent(struct kunit *test)
{
	struct rviommu_sim *sim = silent_up(test, exercise_switches(test));
	struct exercise_user *user;
	unsigned long begun = jiffies;
	char some[24];
	unsigned int i;

	snprintf(some, sizeof(some), "copy 4096 1 %u", rviommu_simtest_rounds(300));
	user = kunit_kcalloc(test, SILENT_DEVICES, sizeof(*user), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, user);
	for (i = 0; i < SILENT_DEVICES; i++) {
		struct device *dev = rviommu_sim_endpoint(sim, i);

		if (is_silent(i))
			KUNIT_EXPECT_EQ(test, rviommu_sim_set_atc(dev, RVIOMMU_SIM_ATC_LOST), 0);
		exercise_start(test, &user[i], dev, is_pulled(i) ? "copy 4096 1 1000000" : some);
	}
	exercise_wait_begun(sim);
	for (i = 0; i < SILENT_DEVICES; i++)
		if (is_pulled(i))
			rviommu_sim_remove_endpoint(sim, i);
	for (i = 0; i < SILENT_DEVICES; i++) {
		while (READ_ONCE(user[i].ret) == 1 &&
		       time_before(jiffies, begun + SILENT_PATIENCE))
			schedule_timeout_uninterruptible(1);
		KUNIT_EXPECT_NE_MSG(test, READ_ONCE(user[i].ret), 1, "device %u takes long", i);
		kthread_stop(user[i].task);
		if (is_silent(i) && is_pulled(i))
			KUNIT_EXPECT_TRUE_MSG(test, user[i].ret == -ENODEV ||
					      user[i].ret == -EFAULT, "device %u: %d", i,
					      user[i].ret);
		else
			KUNIT_EXPECT_EQ_MSG(test, user[i].ret, is_pulled(i) ? -ENODEV :
					    is_silent(i) ? -EFAULT : 0, "device %u", i);
		put_device(user[i].dev);
	}
	KUNIT_EXPECT_EQ(test, rviommu_sim_exercise(rviommu_sim_endpoint(sim, 0), "copy 4096 2 2",
						   NULL), 0);
	rviommu_sim_destroy(sim);
}

static struct kunit_case exercise_cases[] = {
	KUNIT_CASE_PARAM(exercise_copy, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_replace, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_replace_pasid, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_replace_function, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_replace_one_level, kind_gen_params),
	KUNIT_CASE(exercise_replace_impossible),
	KUNIT_CASE(exercise_replace_without),
	KUNIT_CASE(exercise_replace_memory),
	KUNIT_CASE(exercise_touch),
	KUNIT_CASE(exercise_bad_commands),
	KUNIT_CASE(exercise_unasked),
	KUNIT_CASE(exercise_claimed),
	KUNIT_CASE(exercise_unbind),
	KUNIT_CASE(exercise_removal),
	KUNIT_CASE_PARAM(exercise_silent, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_demand, kind_gen_params),
	KUNIT_CASE_PARAM(exercise_demand_function, kind_gen_params),
	KUNIT_CASE(exercise_demand_unsupported),
	KUNIT_CASE(exercise_demand_impossible),
	KUNIT_CASE(exercise_demand_memory),
	KUNIT_CASE(exercise_demand_lost),
	KUNIT_CASE(exercise_demand_unbind),
	KUNIT_CASE(exercise_demand_removal),
	{}
};

static struct kunit_suite exercise_suite = {
	.name = "rviommu_exerciser",
	.test_cases = exercise_cases,
};

kunit_test_suite(exercise_suite);
