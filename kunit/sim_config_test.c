// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data model of the simulated IOMMU: what can be, and what is refused and why; and what
 * user space can write into its files.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "simtest.h"

/**
 * struct sim_refusal - one thing that is wrong with an IOMMU that can everything
 * @name: of the case
 * @why: words of the reason; NULL: nothing is wrong
 * @break_it: does it
 */
struct sim_refusal {
	const char *name;
	const char *why;
	void (*break_it)(struct rviommu_sim_config *config);
};

static void nothing(struct rviommu_sim_config *c)
{
}

static void no_endpoints(struct rviommu_sim_config *c)
{
	c->endpoints = 0;
	c->first_id = 0xffffff;
}

static void last_id(struct rviommu_sim_config *c)
{
	c->first_id = 0xffffff - 3;
}

static void wide_id(struct rviommu_sim_config *c)
{
	c->first_id = 0xffffff - 2;
}

static void last_id_one_level(struct rviommu_sim_config *c)
{
	rviommu_sim_config_levels(c, 1);
	c->first_id = 64 - 4;
}

static void wide_id_one_level(struct rviommu_sim_config *c)
{
	rviommu_sim_config_levels(c, 1);
	c->first_id = 64 - 3;
}

static void base_format(struct rviommu_sim_config *c)
{
	c->model.capabilities &= ~(RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF |
				   RVIOMMU_CAP_AMO_MRIF);
	rviommu_model_config_fit(&c->model);
}

/* Contexts of half the size: twice as many devices. */
static void last_id_base(struct rviommu_sim_config *c)
{
	base_format(c);
	rviommu_sim_config_levels(c, 2);
	c->first_id = 65536 - 4;
}

static void wide_id_base(struct rviommu_sim_config *c)
{
	last_id_base(c);
	c->first_id++;
}

static void wrapping_id(struct rviommu_sim_config *c)
{
	c->first_id = ~0U;
}

static void many_endpoints(struct rviommu_sim_config *c)
{
	c->endpoints = RVIOMMU_SIM_MAX_ENDPOINTS;
}

static void too_many_endpoints(struct rviommu_sim_config *c)
{
	c->endpoints = RVIOMMU_SIM_MAX_ENDPOINTS + 1;
}

static void set_igs(struct rviommu_sim_config *c, u64 igs)
{
	c->model.capabilities &= ~RVIOMMU_CAP_IGS;
	c->model.capabilities |= FIELD_PREP(RVIOMMU_CAP_IGS, igs);
	rviommu_model_config_fit(&c->model);
}

static void messages_only(struct rviommu_sim_config *c)
{
	set_igs(c, RVIOMMU_IGS_MSI);
}

static void wires_only(struct rviommu_sim_config *c)
{
	set_igs(c, RVIOMMU_IGS_WSI);
}

static void wired(struct rviommu_sim_config *c)
{
	c->wired = true;
}

static void wired_wires_only(struct rviommu_sim_config *c)
{
	wires_only(c);
	wired(c);
}

static void wired_messages_only(struct rviommu_sim_config *c)
{
	messages_only(c);
	wired(c);
}

static void no_levels(struct rviommu_sim_config *c)
{
	c->model.ddtp_modes = 0;
}

static void three_vectors(struct rviommu_sim_config *c)
{
	c->model.vectors = 3;
}

static void no_queue(struct rviommu_sim_config *c)
{
	c->model.cq_max_lg2 = 0;
}

static void wrong_switch(struct rviommu_sim_config *c)
{
	c->model.switches = RVIOMMU_MODEL_SWITCHES + 1;
}

static void no_patience(struct rviommu_sim_config *c)
{
	c->model.ats_timeout = 0;
}

static void endless_patience(struct rviommu_sim_config *c)
{
	c->model.ats_timeout = U64_MAX;
}

static void no_capability(struct rviommu_sim_config *c)
{
	c->model.capabilities = 0;
	rviommu_model_config_fit(&c->model);
}

static void memory_for_functions(struct rviommu_sim_config *c)
{
	c->bar_start = SZ_4G;
	c->bar_size = SZ_64K;
}

static void crooked_memory(struct rviommu_sim_config *c)
{
	memory_for_functions(c);
	c->bar_start += SZ_2K;
}

static void crooked_end(struct rviommu_sim_config *c)
{
	memory_for_functions(c);
	c->bar_size -= 1;
}

static void wrapping_memory(struct rviommu_sim_config *c)
{
	c->bar_start = -(u64)SZ_4K;
	c->bar_size = SZ_8K;
}

static void little_memory(struct rviommu_sim_config *c)
{
	memory_for_functions(c);
	c->pci_functions = 17;
}

static const struct sim_refusal refusals[] = {
	{ "nothing", NULL, nothing },
	{ "no endpoints", NULL, no_endpoints },
	{ "the last device ID", NULL, last_id },
	{ "a device ID too wide", "wider", wide_id },
	{ "the last device ID, one level", NULL, last_id_one_level },
	{ "a device ID too wide, one level", "wider", wide_id_one_level },
	{ "base format", NULL, base_format },
	{ "the last device ID, base format", NULL, last_id_base },
	{ "a device ID too wide, base format", "wider", wide_id_base },
	{ "device IDs that wrap", "wider", wrapping_id },
	{ "many endpoints", NULL, many_endpoints },
	{ "too many endpoints", "too many", too_many_endpoints },
	{ "messages only", NULL, messages_only },
	{ "wires only, by message", "interrupt", wires_only },
	{ "wires only, by wire", NULL, wired_wires_only },
	{ "both, by wire", NULL, wired },
	{ "messages only, by wire", "interrupt", wired_messages_only },
	{ "no levels", "ddtp_modes", no_levels },
	{ "three vectors", "vectors", three_vectors },
	{ "no queue", "queue", no_queue },
	{ "a switch that is none", "switch", wrong_switch },
	{ "no time for devices", "ats_timeout", no_patience },
	{ "more time than there is", "ats_timeout", endless_patience },
	{ "no capability", "", no_capability },
	{ "memory for functions", NULL, memory_for_functions },
	{ "memory from within a page", "4 KiB", crooked_memory },
	{ "memory to within a page", "4 KiB", crooked_end },
	{ "memory that wraps", "4 KiB", wrapping_memory },
	{ "memory for fewer functions", IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI) ? "page" : "no PCI",
	  little_memory },
};

KUNIT_ARRAY_PARAM_DESC(refusal, refusals, name);

static void test_check(struct kunit *test)
{
	const struct sim_refusal *r = test->param_value;
	struct rviommu_sim_config config;
	const char *why;

	rviommu_sim_config_init(&config);
	r->break_it(&config);
	why = rviommu_sim_config_check(&config);
	if (!r->why) {
		KUNIT_EXPECT_NULL_MSG(test, why, "refused: %s", why);
		return;
	}
	KUNIT_ASSERT_NOT_NULL(test, why);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(why, r->why), "refused: %s", why);
}

/* What is refused on paper is not built either. */
static void test_create(struct kunit *test)
{
	const struct sim_refusal *r = test->param_value;
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;

	rviommu_sim_config_init(&config);
	r->break_it(&config);
	sim = rviommu_sim_create("rviommu_kunit_sim", &config);
	if (!r->why) {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
		KUNIT_EXPECT_EQ(test, !rviommu_sim_endpoint(sim, 0), !config.endpoints);
		rviommu_sim_destroy(sim);
		return;
	}
	KUNIT_EXPECT_PTR_EQ(test, sim, ERR_PTR(-EINVAL));
}

static void test_levels(struct kunit *test)
{
	struct rviommu_sim_config config;
	unsigned int levels;

	rviommu_sim_config_init(&config);
	KUNIT_EXPECT_EQ(test, rviommu_sim_config_levels(&config, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_sim_config_levels(&config, 4), -EINVAL);
	for (levels = 1; levels <= 3; levels++) {
		KUNIT_EXPECT_EQ(test, rviommu_sim_config_levels(&config, levels), 0);
		KUNIT_EXPECT_EQ(test, config.model.ddtp_modes,
				BIT(RVIOMMU_DDTP_MODE_1LVL + levels - 1));
	}
}

/* sysfs and debugfs have a name only once. */
static void test_names(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *a, *b;

	rviommu_sim_config_init(&config);
	a = rviommu_sim_create("rviommu_kunit_sim", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, a);
	b = rviommu_sim_create("rviommu_kunit_sim", &config);
	KUNIT_EXPECT_PTR_EQ(test, b, ERR_PTR(-EEXIST));
	b = rviommu_sim_create("rviommu_kunit_sim2", &config);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, b);
	rviommu_sim_destroy(a);
	if (!IS_ERR(b))
		rviommu_sim_destroy(b);
	/* And it is free again. */
	a = rviommu_sim_create("rviommu_kunit_sim", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, a);
	rviommu_sim_destroy(a);
}

/* ----- What user space writes ----- */

static const struct sim_command {
	const char *file;
	const char *text;
	int ret;
} commands[] = {
	{ "inject", "8 4294967295", 0 },
	{ "inject", "8 0", 0 },
	{ "inject", "9 1", 0 },
	{ "inject", "9 0", 0 },
	{ "inject", "0 4294967296", -EINVAL },
	{ "inject", "4294967296 1", -EINVAL },
	{ "inject", "10 1", -EINVAL },
	{ "inject", "0 -1", -EINVAL },
	{ "inject", "0", -EINVAL },
	{ "inject", "0 1 1", -EINVAL },
	{ "inject", "0 1x", -EINVAL },
	{ "dma", "0x10 none fill 0x7ff000000 8 1\n", -EFAULT },
	{ "dma", "0x10 none verify 0x7ff000000 0 18446744073709551615", 0 },
	{ "dma", "16 4294967296 fill 0 8 1", -EINVAL },
	{ "dma", "4294967312 none fill 0 8 1", -EINVAL },
	{ "dma", "16 none fill 18446744073709551616 8 1", -EINVAL },
	{ "dma", "16 none fill 0 18446744073709551624 1", -EINVAL },
	{ "dma", "16 none fill 0 16777217 1", -EINVAL },
	{ "dma", "16 none fill 0 8 18446744073709551616", -EINVAL },
	{ "dma", "16 none copy 0x7ff000000 8 0x7fe000000", -EFAULT },
	{ "dma", "16 none copy 0 16777217 1", -EINVAL },
	{ "dma", "16 none read 0x7ff000000 4096 0", -EFAULT },
	{ "dma", "16 none read 0 4097 0", -EINVAL },
	{ "dma", "16 none write 0x7ff000000 8 0xffffffffffffffff", -EFAULT },
	{ "dma", "16 none write 0 9 0", -EINVAL },
	{ "dma", "16 none fetch 0 8 1", -EINVAL },
	{ "dma", "16 none fill 0 8 1 1", -EINVAL },
	{ "dma", "17 none fill 0 8 1", -ENODEV },
	{ "functions", "add 4294967296", -ENOENT },
};

/* A number that does not fit is refused, and is no other number. */
static void test_commands(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct rviommu_sim *sim;
	unsigned int i;
	char text[64];

	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	sim = rviommu_sim_create("rviommu_kunit_commands", &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sim);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		strscpy(text, commands[i].text);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_command(sim, commands[i].file, text),
				    commands[i].ret, "%s: %s", commands[i].file, commands[i].text);
	}
	rviommu_sim_destroy(sim);
}

/* What "dma" writes is in memory, the lowest byte first, and what it copies. */
static void test_dma_moves(struct kunit *test)
{
	static const struct {
		const char *text;
		int ret;
	} steps[] = {
		{ "0x10 none write 0x10001003 5 0xaa0807060504", 0 },
		{ "0x10 none write 0x10001001 0 1", 0 },
		{ "0x10 none copy 0x10002001 6 0x10001002", 0 },
		{ "0x10 none read 0x10001000 4096 0", 0 },
		{ "0x10 none write 0x10003ffc 8 1", -EFAULT },
	};
	static const u8 written[] = { 0, 0, 0, 4, 5, 6, 7, 8, 0 };
	static const u8 copied[] = { 0, 0, 4, 5, 6, 7, 8, 0 };
	struct rviommu_sim_config config;
	struct iommu_group *group;
	struct iommu_domain *domain;
	struct rviommu_sim *sim;
	struct device *dev;
	unsigned int i;
	char text[64];
	u8 *memory;

	rviommu_sim_config_init(&config);
	config.endpoints = 1;
	sim = rviommu_simtest_create(test, "rviommu_kunit_dma", &config);
	dev = rviommu_sim_endpoint(sim, 0);
	group = rviommu_simtest_claim(test, dev);
	domain = rviommu_simtest_space(test, dev, 0x10000000, SZ_16K, &memory);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(domain, group), 0);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		strscpy(text, steps[i].text);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_sim_command(sim, "dma", text), steps[i].ret,
				    "%s", steps[i].text);
	}
	KUNIT_EXPECT_MEMEQ(test, memory + 0x1000, written, sizeof(written));
	KUNIT_EXPECT_MEMEQ(test, memory + 0x2000, copied, sizeof(copied));
	iommu_detach_group(domain, group);
}

static struct kunit_case sim_config_cases[] = {
	KUNIT_CASE_PARAM(test_check, refusal_gen_params),
	KUNIT_CASE_PARAM(test_create, refusal_gen_params),
	KUNIT_CASE(test_levels),
	KUNIT_CASE(test_names),
	KUNIT_CASE(test_commands),
	KUNIT_CASE(test_dma_moves),
	{}
};

static struct kunit_suite sim_config_suite = {
	.name = "rviommu_sim_config",
	.test_cases = sim_config_cases,
};

kunit_test_suite(sim_config_suite);
