// SPDX-License-Identifier: GPL-2.0-only
/*
 * One IOMMU from bring-up to removal: device.c and quirks.c on the fake register
 * bus. Everything that hardware can refuse is refused once, and afterwards the same
 * IOMMU, repaired, must come up: nothing of the failed attempt may be left.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/kthread.h>

#include "../src/driver/attach.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/device.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/quirks.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "testdev.h"
#include "testlog.h"

/* Of the page-request queue: on, with its interrupt, where the kernel can serve it */
#define PAGEQ_CSR	(IS_ENABLED(CONFIG_IOMMU_IOPF) ?				\
			 RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE | RVIOMMU_QCSR_ON : 0)

#define OFF	0
#define BARE	1

/* ----- Bring-up ----- */

static void expect_off(struct testdev *td)
{
	struct kunit *test = td->test;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);
	for (i = 0; i < td->bus->nr_irqs; i++)
		KUNIT_EXPECT_FALSE(test, irq_has_action(td->bus->irqs[i]));
}

/* The writes that spec "Guidelines for initialization" asks for, in its order. */
static void device_bring_up(struct kunit *test)
{
	const long live = testdev_live();
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	unsigned int at, cq, fq, icvec, ddtp, i;
	u64 cqb, fqb, root;

	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	cqb = virt_to_phys(td->iommu.cmdq.q.base) >> 2 | 9;
	fqb = virt_to_phys(td->iommu.faultq.q.base) >> 2 | 8;
	root = virt_to_phys(td->iommu.ddt.dir.root) >> 2;
	KUNIT_ASSERT_LT(test, td->nr_writes, TESTDEV_WRITES);

	/* icvec: how many vectors there are; then one for each cause */
	at = testdev_find_write(td, 0, RVIOMMU_REG_ICVEC, ~0ULL, 0xffff);
	icvec = testdev_find_write(td, at, RVIOMMU_REG_ICVEC, ~0ULL, 0x3210);
	KUNIT_EXPECT_LT(test, icvec, td->nr_writes);

	/* cqb, cqt, cqcsr.cqen */
	at = testdev_find_write(td, icvec, RVIOMMU_REG_CQB, ~0ULL, cqb);
	at = testdev_find_write(td, at, RVIOMMU_REG_CQT, ~0ULL, 0);
	cq = testdev_find_write(td, at, RVIOMMU_REG_CQCSR, 0x3, 0x3);
	KUNIT_EXPECT_LT(test, cq, td->nr_writes);
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_CQCSR, 1, 1), cq);

	/* fqb, fqh, fqcsr.fqen */
	at = testdev_find_write(td, cq, RVIOMMU_REG_FQB, ~0ULL, fqb);
	at = testdev_find_write(td, at, RVIOMMU_REG_FQH, ~0ULL, 0);
	fq = testdev_find_write(td, at, RVIOMMU_REG_FQCSR, 0x3, 0x3);
	KUNIT_EXPECT_LT(test, fq, td->nr_writes);
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_FQCSR, 1, 1), fq);

	/* Caches are emptied before there is anything to cache: the doorbell comes first. */
	at = testdev_find_write(td, fq, RVIOMMU_REG_CQT, ~0ULL, 4);
	ddtp = testdev_find_write(td, at, RVIOMMU_REG_DDTP, ~0ULL, root | 4);
	KUNIT_EXPECT_LT(test, ddtp, td->nr_writes);
	for (i = 0; i < td->nr_writes; i++)
		if (td->writes[i].offset == RVIOMMU_REG_DDTP && (td->writes[i].value & 0xf) > BARE)
			KUNIT_EXPECT_EQ(test, i, ddtp);
	EXPECT_COMMANDS(td, "bring-up", CMD_DDT_ALL, CMD_VMA_ALL, CMD_GVMA_ALL, CMD_FENCE);

	/* fctl was as wanted, so it was not written. */
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_FCTL, 0, 0), td->nr_writes);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_PQCSR), PAGEQ_CSR);

	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_DDTP), root | 4);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_CQB), cqb);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_FQB), fqb);
	KUNIT_EXPECT_EQ(test, td->iommu.pas_lg2, 56);
	KUNIT_EXPECT_EQ(test, td->iommu.ddt.dir.levels, 3);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_TRUE(test, irq_has_action(td->bus->irqs[i]));

	testdev_remove(td);
	expect_off(td);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* ----- Refusals ----- */

static void break_gone(struct testdev *td)
{
	td->fake->gone = true;
}

static void repair_gone(struct testdev *td)
{
	td->fake->gone = false;
}

static void caps_set(struct testdev *td, u64 mask, u64 value)
{
	u64 caps = testdev_peek64(td, RVIOMMU_REG_CAPABILITIES);

	testdev_poke64(td, RVIOMMU_REG_CAPABILITIES, (caps & ~mask) | value);
}

static void repair_caps(struct testdev *td)
{
	testdev_poke64(td, RVIOMMU_REG_CAPABILITIES, TESTDEV_CAPS);
	testdev_poke32(td, RVIOMMU_REG_FCTL, 0);
	td->fake->writable[RVIOMMU_REG_FCTL / 4] = RVIOMMU_FCTL_WSI;
	td->bus->wired = false;
}

static void break_version_2(struct testdev *td)
{
	caps_set(td, 0xff, 0x20);
}

static void break_version_0(struct testdev *td)
{
	caps_set(td, 0xff, 0x09);
}

static void break_only_wires(struct testdev *td)
{
	caps_set(td, 3ULL << 28, 1ULL << 28);
}

static void break_only_messages(struct testdev *td)
{
	caps_set(td, 3ULL << 28, 0);
	td->bus->wired = true;
}

static void break_igs_reserved(struct testdev *td)
{
	caps_set(td, 3ULL << 28, 3ULL << 28);
}

static void break_formats(struct testdev *td)
{
	caps_set(td, 0xe0e00, 1ULL << 8 | 1ULL << 16);
}

static void break_pas_0(struct testdev *td)
{
	caps_set(td, 0x3fULL << 32, 0);
}

static void break_pas_63(struct testdev *td)
{
	caps_set(td, 0x3fULL << 32, 63ULL << 32);
}

static void break_big_endian(struct testdev *td)
{
	testdev_poke32(td, RVIOMMU_REG_FCTL, 1);
}

static void break_gxl(struct testdev *td)
{
	testdev_poke32(td, RVIOMMU_REG_FCTL, 4);
}

static void break_wsi_stuck(struct testdev *td)
{
	testdev_poke32(td, RVIOMMU_REG_FCTL, 2);
	td->fake->writable[RVIOMMU_REG_FCTL / 4] = 0;
}

static void break_wsi_never(struct testdev *td)
{
	td->bus->wired = true;
	td->fake->writable[RVIOMMU_REG_FCTL / 4] = 0;
}

static void break_icvec(struct testdev *td)
{
	/* A field with a hole: two bits stick, of which the lower is not the lowest. */
	testdev_writable64(td, RVIOMMU_REG_ICVEC, 0xaaaa);
}

static void repair_icvec(struct testdev *td)
{
	testdev_writable64(td, RVIOMMU_REG_ICVEC, 0x3333);
}

static void break_busy(struct testdev *td)
{
	td->fake->busy_forever = true;
}

static void repair_busy(struct testdev *td)
{
	td->fake->busy_forever = false;
}

static void break_modes(struct testdev *td)
{
	td->fake->ddtp_modes = BIT(OFF) | BIT(BARE);
}

static void repair_modes(struct testdev *td)
{
	td->fake->ddtp_modes = GENMASK(4, 0);
}

static void break_ddtp_ppn(struct testdev *td)
{
	testdev_writable64(td, RVIOMMU_REG_DDTP, 0);
}

static void repair_ddtp_ppn(struct testdev *td)
{
	testdev_writable64(td, RVIOMMU_REG_DDTP, RVIOMMU_DDTP_PPN);
}

static void break_off(struct testdev *td)
{
	/* Translating, and it stays so. */
	testdev_poke64(td, RVIOMMU_REG_DDTP, 3 | 0x12345ULL << 10);
	td->fake->ddtp_modes = GENMASK(4, 2);
}

static void repair_off(struct testdev *td)
{
	td->fake->ddtp_modes = GENMASK(4, 0);
	testdev_poke64(td, RVIOMMU_REG_DDTP, 0);
}

static void break_bare_stuck(struct testdev *td)
{
	testdev_poke64(td, RVIOMMU_REG_DDTP, BARE);
	td->fake->ddtp_modes = BIT(BARE);
}

static void repair_bare_stuck(struct testdev *td)
{
	td->fake->ddtp_modes = GENMASK(4, 0);
}

static void break_never_on(struct testdev *td)
{
	td->fake->never_on = true;
}

static void repair_never_on(struct testdev *td)
{
	td->fake->never_on = false;
}

static void break_never_off(struct testdev *td)
{
	testdev_poke32(td, RVIOMMU_REG_FQCSR, 0x10001);
	td->fake->never_off = true;
}

static void repair_never_off(struct testdev *td)
{
	td->fake->never_off = false;
}

static void break_pq_never_off(struct testdev *td)
{
	testdev_poke32(td, RVIOMMU_REG_PQCSR, 0x10001);
	td->fake->never_off = true;
}

static void break_cq_base(struct testdev *td)
{
	td->fake->writable[RVIOMMU_REG_CQB / 4] = 0x1f;
}

static void repair_bases(struct testdev *td)
{
	td->fake->writable[RVIOMMU_REG_CQB / 4] = lower_32_bits(RVIOMMU_QB_PPN) | 0x1f;
	td->fake->writable[RVIOMMU_REG_FQB / 4] = lower_32_bits(RVIOMMU_QB_PPN) | 0x1f;
	td->fake->max_lg2[0] = 10;
}

static void break_fq_base(struct testdev *td)
{
	td->fake->writable[RVIOMMU_REG_FQB / 4] = 0x1f;
}

static void break_cq_size(struct testdev *td)
{
	td->fake->max_lg2[0] = 1;
}

static void break_commands(struct testdev *td)
{
	td->fake->rate = 0;
	td->fence_timeout_us = 200;
}

static void repair_commands(struct testdev *td)
{
	td->fake->rate = UINT_MAX;
	td->fence_timeout_us = 0;
}

static void break_fences(struct testdev *td)
{
	fakebus_trap(td->bus, FAKEBUS_ILLEGAL, 0x7f, 2, 0, UINT_MAX);
}

static void repair_fences(struct testdev *td)
{
	fakebus_trap(td->bus, FAKEBUS_ILLEGAL, 0x7f, 2, 0, 0);
}

static void break_coherence(struct testdev *td)
{
	testdev_snoops(td->test, false);
}

static void repair_coherence(struct testdev *td)
{
	testdev_snoops(td->test, true);
}

static void break_irq(struct testdev *td)
{
	/* Somebody else has the last one for himself. */
	KUNIT_ASSERT_EQ(td->test, 0, request_irq(td->bus->irqs[3], no_action, 0, "test", td));
}

static void repair_irq(struct testdev *td)
{
	free_irq(td->bus->irqs[3], td);
}

/**
 * struct refusal - one way in which an IOMMU cannot be used
 * @name: what is wrong
 * @damage: makes it so
 * @repair: undoes it
 * @ret: what rviommu_probe() has to return
 * @stays_on: it cannot be switched off, so it is not
 * @reports: what else is said before: of a command that is illegal, which it was
 */
struct refusal {
	const char *name;
	void (*damage)(struct testdev *td);
	void (*repair)(struct testdev *td);
	int ret;
	bool stays_on;
	unsigned int reports;
};

static const struct refusal refusals[] = {
	{ "caches are not snooped", break_coherence, repair_coherence, -ENODEV },
	{ "registers read all ones", break_gone, repair_gone, -ENODEV },
	{ "version 2.0", break_version_2, repair_caps, -ENODEV },
	{ "version 0.9", break_version_0, repair_caps, -ENODEV },
	{ "messages wanted, wires only", break_only_wires, repair_caps, -ENODEV },
	{ "wires wanted, messages only", break_only_messages, repair_caps, -ENODEV },
	{ "reserved kind of interrupts", break_igs_reserved, repair_caps, -ENODEV },
	{ "32-bit formats only", break_formats, repair_caps, -ENODEV },
	{ "no physical addresses", break_pas_0, repair_caps, -ENODEV },
	{ "63-bit physical addresses", break_pas_63, repair_caps, -ENODEV },
	{ "big-endian only", break_big_endian, repair_caps, -ENODEV },
	{ "GXL stuck", break_gxl, repair_caps, -ENODEV },
	{ "WSI stuck at 1", break_wsi_stuck, repair_caps, -ENODEV },
	{ "WSI stuck at 0", break_wsi_never, repair_caps, -ENODEV },
	{ "icvec does not hold", break_icvec, repair_icvec, -ENODEV },
	{ "ddtp and queues busy for ever", break_busy, repair_busy, -ETIMEDOUT },
	{ "no directory mode", break_modes, repair_modes, -ENODEV },
	{ "ddtp does not take an address", break_ddtp_ppn, repair_ddtp_ppn, -ENODEV },
	{ "cannot be switched off", break_off, repair_off, -EIO, true },
	{ "queues never on", break_never_on, repair_never_on, -ETIMEDOUT },
	{ "fault queue never off", break_never_off, repair_never_off, -ETIMEDOUT, true },
	{ "page-request queue never off", break_pq_never_off, repair_never_off, -ETIMEDOUT },
	{ "cqb does not take an address", break_cq_base, repair_bases, -EIO },
	{ "fqb does not take an address", break_fq_base, repair_bases, -EIO },
	{ "command queue of two entries", break_cq_size, repair_bases, -EIO },
	{ "commands never complete", break_commands, repair_commands, -EIO },
	{ "fences are illegal", break_fences, repair_fences, -EIO, .reports = 1 },
	{ "interrupt taken", break_irq, repair_irq, -EBUSY },
};

static void refusal_name(const struct refusal *r, char *name)
{
	strscpy(name, r->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refusal, refusals, refusal_name);

static void device_refuses(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	const struct refusal *r = test->param_value;
	const long live = testdev_live();
	const u32 id = 1;
	struct testlog log;
	struct device *dev;
	char speaker[32];
	int ret;

	testdev_short_waits(test);
	r->damage(td);
	testlog_start(&log);
	ret = testdev_probe(td);
	KUNIT_EXPECT_EQ(test, ret, r->ret);
	/* What is wrong is said once, in one sentence. */
	scnprintf(speaker, sizeof(speaker), ".%s: ", td->bus->name);
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, speaker), 1 + r->reports);
	if (!ret)
		testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);

	/* Not registered: nobody takes a device of it. */
	dev = testdev_add(td, &id, 1);
	KUNIT_EXPECT_FALSE(test, device_iommu_mapped(dev));
	testdev_del(td, dev);

	r->repair(td);
	if (!r->stays_on)
		expect_off(td);

	/* A name or an interrupt that was left behind would be in the way here. */
	KUNIT_EXPECT_EQ(test, testdev_probe(td), 0);
	testdev_add_one(td, id);
	testdev_remove(td);
	expect_off(td);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* One allocation after the other fails, until one attempt meets no failure. */
static void device_probe_without_memory(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS | TESTDEV_DBG, 4);
	const long live = testdev_live();
	struct testdev_failures failures;
	int n, ret = -ENOMEM;

	for (n = 0; ret; n++) {
		testdev_fail(test, &failures, n);
		ret = testdev_probe(td);
		/* The self-test of a workaround does without, and finds out nothing. */
		if (!ret && failures.seen > n) {
			testdev_remove(td);
			ret = -ENOMEM;
		}
		KUNIT_ASSERT_TRUE(test, !ret || ret == -ENOMEM);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ_MSG(test, testdev_live(), live, "allocation %d", n);
		expect_off(td);
		KUNIT_ASSERT_LT(test, n, 100);
	}
	/* Two queues, what belongs to them, and the directory are more than these. */
	KUNIT_EXPECT_GT(test, n, 10);
	testdev_fail(test, &failures, -1);
}

/* ----- WARL ----- */

static void device_ddt_levels(struct kunit *test)
{
	/* Width of a device_id: spec "Device-Directory-Table (DDT)" */
	static const u8 width[2][4] = { { 0, 7, 16, 24 }, { 0, 6, 15, 24 } };
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	unsigned int ext, modes, levels;
	struct device *dev;
	u32 id;

	for (ext = 0; ext < 2; ext++) {
		caps_set(td, TESTDEV_MSI, ext ? TESTDEV_MSI : 0);
		/* Every set of modes there is; bit 0 is 1LVL. */
		for (modes = 1; modes < 8; modes++) {
			levels = fls(modes);
			td->fake->ddtp_modes = 3 | modes << 2;
			KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
			KUNIT_EXPECT_EQ(test, td->iommu.ddt.dir.levels, levels);
			KUNIT_EXPECT_EQ(test, td->iommu.ddt.dir.shape->words, ext ? 8 : 4);
			KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_DDTP),
					virt_to_phys(td->iommu.ddt.dir.root) >> 2 | (levels + 1));

			id = BIT(width[ext][levels]) - 1;
			dev = testdev_add_one(td, id);
			KUNIT_EXPECT_EQ(test, testdev_context(td, id).word[0], 1);
			testdev_del(td, dev);
			id++;
			dev = testdev_add(td, &id, 1);
			KUNIT_EXPECT_FALSE(test, device_iommu_mapped(dev));
			testdev_del(td, dev);
			testdev_remove(td);
			expect_off(td);
		}
	}
}

/* Causes go round the vectors; fewer of these than asked for is fine. */
static void device_interrupt_vectors(struct kunit *test)
{
	static const struct {
		u16 writable;
		unsigned int irqs, used;
		u16 icvec;
		u8 causes[4];
	} cases[] = {
		{ 0x0000, 1, 1, 0x0000, { 0xf } },
		{ 0x0000, 4, 1, 0x0000, { 0xf } },
		{ 0x1111, 1, 1, 0x0000, { 0xf } },
		{ 0x1111, 2, 2, 0x1010, { 0x5, 0xa } },
		{ 0x1111, 4, 2, 0x1010, { 0x5, 0xa } },
		{ 0x3333, 3, 3, 0x0210, { 0x9, 0x2, 0x4 } },
		{ 0x3333, 4, 4, 0x3210, { 1, 2, 4, 8 } },
		{ 0xffff, 2, 2, 0x1010, { 0x5, 0xa } },
		{ 0xffff, 4, 4, 0x3210, { 1, 2, 4, 8 } },
		/* No page-request queue: its field is hardwired. */
		{ 0x0333, 4, 1, 0x0000, { 0xf } },
	};
	unsigned int i, v, wired;

	for (i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		const typeof(cases[0]) *c = &cases[i / 2];
		struct testdev *td = testdev_create(test, TESTDEV_CAPS, c->irqs);

		wired = i % 2;
		td->bus->wired = wired;
		testdev_writable64(td, RVIOMMU_REG_ICVEC, c->writable);
		KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
		KUNIT_EXPECT_EQ(test, td->iommu.nr_irqs, c->used);
		KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_ICVEC), c->icvec);
		KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FCTL), wired ? 2 : 0);
		for (v = 0; v < c->irqs; v++) {
			KUNIT_EXPECT_EQ(test, irq_has_action(td->bus->irqs[v]), v < c->used);
			if (v < c->used)
				KUNIT_EXPECT_EQ(test, td->iommu.irqs[v].causes, c->causes[v]);
		}
		testdev_remove(td);
		expect_off(td);
	}
}

static void device_small_queues(struct kunit *test)
{
	static const u8 sizes[] = { 2, 3, 7, 8, 9, 12 };
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		td->fake->max_lg2[0] = sizes[i];
		td->fake->max_lg2[1] = sizes[i];
		KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
		KUNIT_EXPECT_EQ(test, td->iommu.cmdq.q.entries_lg2, min(sizes[i], 10));
		KUNIT_EXPECT_EQ(test, td->iommu.faultq.q.entries_lg2, min(sizes[i], 9));
		testdev_del(td, testdev_add_one(td, 5));
		testdev_remove(td);
		expect_off(td);
	}
}

/* ----- What others left behind ----- */

/* A kernel crashed; its directory and its queues are still in use. */
static void device_takes_over(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	u64 *old = kunit_kzalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);
	unsigned int off, ddtp, i;
	u64 ppn;

	KUNIT_ASSERT_NOT_NULL(test, old);
	ppn = virt_to_phys(PTR_ALIGN(old, PAGE_SIZE)) >> 12;
	testdev_poke64(td, RVIOMMU_REG_DDTP, 3 | ppn << 10);
	for (i = 0; i < 3; i++) {
		static const u16 base[] = { RVIOMMU_REG_CQB, RVIOMMU_REG_FQB, RVIOMMU_REG_PQB };

		testdev_poke64(td, base[i], 4 | ppn << 10);
		testdev_poke32(td, base[i] + 8, 7);
		testdev_poke32(td, base[i] + 12, 7);
		testdev_poke32(td, RVIOMMU_REG_CQCSR + 4 * i, 0x10003);
	}
	testdev_poke32(td, RVIOMMU_REG_FCTL, 2);
	testdev_poke64(td, RVIOMMU_REG_ICVEC, 0x1111);
	testdev_poke32(td, RVIOMMU_REG_IPSR, 0xf);

	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	/* Off, under the old root, before anything else changes. */
	off = testdev_find_write(td, 0, RVIOMMU_REG_DDTP, ~0ULL, ppn << 10);
	ddtp = testdev_find_write(td, 0, RVIOMMU_REG_DDTP, 0xf, 4);
	KUNIT_EXPECT_EQ(test, off, 0);
	KUNIT_EXPECT_LT(test, off, ddtp);
	KUNIT_EXPECT_LT(test, ddtp, td->nr_writes);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FCTL), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_PQCSR), PAGEQ_CSR);
	/* Only what was not pending can raise an interrupt. */
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR) &
			(RVIOMMU_IPSR_CIP | RVIOMMU_IPSR_FIP), 0);
	KUNIT_EXPECT_EQ(test, td->iommu.boot_mode, OFF);
	for (i = 0; i < 2 * PAGE_SIZE / sizeof(*old); i++)
		KUNIT_ASSERT_EQ(test, old[i], 0);
	testdev_add_one(td, 1);

	/* Not left to the next kernel the same way */
	testdev_remove(td);
	expect_off(td);
}

/* Of the test that runs: waits for readers, and those that came too early or too late */
static unsigned int remove_waits, remove_waits_wrong;

static void look_at_wait(struct rviommu *iommu)
{
	remove_waits++;
	/* Nobody begins to wait for a fence any more, and who did can still read it. */
	if (READ_ONCE(iommu->cmdq.running) || !iommu->cmdq.done_page || !iommu->cmdq.q.base)
		remove_waits_wrong++;
}

/*
 * Somebody may have found the IOMMU among a domain's targets before it goes: the
 * grace period is between the end of the queues and that of their memory.
 */
static void device_remove_waits(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);

	remove_waits = 0;
	remove_waits_wrong = 0;
	kunit_activate_static_stub(test, rviommu_wait_for_readers, look_at_wait);
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_EXPECT_EQ(test, remove_waits, 0);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, remove_waits, 1);

	/* Nor when a probe fails after the queues were on. */
	td->fake->ddtp_modes = BIT(OFF) | BIT(BARE);
	KUNIT_EXPECT_EQ(test, testdev_probe(td), -ENODEV);
	KUNIT_EXPECT_EQ(test, remove_waits, 2);
	KUNIT_EXPECT_EQ(test, remove_waits_wrong, 0);
}

/* Firmware lets DMA through, until there is a directory and after it. */
static void device_bare(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	unsigned int ddtp, i;

	testdev_poke64(td, RVIOMMU_REG_DDTP, BARE);
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	ddtp = testdev_find_write(td, 0, RVIOMMU_REG_DDTP, 0xf, 4);
	KUNIT_ASSERT_LT(test, ddtp, td->nr_writes);
	/* Nothing in between: no DMA of firmware was blocked. */
	for (i = 0; i < ddtp; i++)
		KUNIT_EXPECT_NE(test, td->writes[i].offset, RVIOMMU_REG_DDTP);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), BARE);

	/* The same by shutdown; the queues are off, for whoever comes next. */
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), 4);
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), BARE);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);

	/* fctl must change: not without Off, whatever firmware hopes for. */
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), BARE);
	td->bus->wired = true;
	td->nr_writes = 0;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	i = testdev_find_write(td, 0, RVIOMMU_REG_DDTP, 0xf, OFF);
	i = testdev_find_write(td, i, RVIOMMU_REG_FCTL, ~0ULL, 2);
	i = testdev_find_write(td, i, RVIOMMU_REG_DDTP, 0xf, 4);
	KUNIT_EXPECT_LT(test, i, td->nr_writes);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), BARE);
}

/* An IOMMU that firmware left Bare, and a device behind it. */
static struct device *bare_with_device(struct testdev *td)
{
	testdev_power_loss(td);
	testdev_poke64(td, RVIOMMU_REG_DDTP, BARE);
	KUNIT_ASSERT_EQ(td->test, testdev_probe(td), 0);
	return testdev_add_one(td, 1);
}

/* Bare again only if that takes no DMA, which may go on, anywhere else. */
static void device_shutdown_bare(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	struct device *dev = bare_with_device(td);
	struct iommu_domain *domain;

	domain = iommu_paging_domain_alloc(dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	KUNIT_ASSERT_EQ(test, iommu_attach_device(domain, dev), 0);
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	iommu_detach_device(domain, dev);
	iommu_domain_free(domain);
	testdev_del(td, dev);
	testdev_remove(td);

	/* Blocked, it must not get free that way. */
	dev = bare_with_device(td);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), &rviommu_blocking_domain), 0);
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	testdev_del(td, dev);
	testdev_remove(td);

	/* Its addresses are physical ones already. */
	dev = bare_with_device(td);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), &rviommu_identity_domain), 0);
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), BARE);
	testdev_del(td, dev);
	testdev_remove(td);

	/* Out of service: for good. */
	dev = bare_with_device(td);
	KUNIT_ASSERT_EQ(test, rviommu_attach(testdev_ep(dev), &rviommu_identity_domain), 0);
	rviommu_cmdq_kill(&td->iommu.cmdq, "test");
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	testdev_del(td, dev);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
}

/* The IOMMU itself is pulled out: those behind it still use their addresses. */
static void device_remove_bare(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);

	bare_with_device(td);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
}

static void device_shutdown_off(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);

	testdev_add_one(td, 1);
	rviommu_shutdown(&td->iommu);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);
}

/* Nor does it wait for a queue that executes nothing: nobody is translated any more. */
static void device_shutdown_stuck(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	u32 fence;

	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 200;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_issue(&td->iommu.cmdq, NULL, 0, &fence), 0);
	rviommu_shutdown(&td->iommu);
	/* Whoever waits in vain gives the IOMMU up. */
	KUNIT_EXPECT_FALSE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
}

/**
 * struct shutdown_reader - who reads page requests, and has a response on his way
 * @iommu: the IOMMU
 * @reads: he does
 * @done: he does no more
 * @error: of the command queue, that let him go
 */
struct shutdown_reader {
	struct rviommu *iommu;
	struct completion reads;
	struct completion done;
	int error;
};

static int shutdown_read(void *data)
{
	struct shutdown_reader *reader = data;
	unsigned long end = jiffies + 60 * HZ;

	scoped_guard(mutex, &reader->iommu->pageq.lock) {
		complete(&reader->reads);
		while (!reader->error && !time_after(jiffies, end)) {
			reader->error = rviommu_cmdq_sync(&reader->iommu->cmdq, NULL, 0);
			cond_resched();
		}
	}
	complete(&reader->done);
	return 0;
}

/* Nor for who reads page requests, and waits for that queue. */
static void device_shutdown_reader(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, RVIOMMU_NR_CAUSES);
	struct shutdown_reader reader = { .iommu = &td->iommu };

	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	if (!IS_ENABLED(CONFIG_IOMMU_IOPF))
		kunit_skip(test, "this kernel has no page requests");
	KUNIT_ASSERT_TRUE(test, td->iommu.pageq.running);
	init_completion(&reader.reads);
	init_completion(&reader.done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(shutdown_read, &reader, "rviommu_reader")));
	wait_for_completion(&reader.reads);
	rviommu_shutdown(&td->iommu);
	wait_for_completion(&reader.done);
	KUNIT_EXPECT_EQ(test, reader.error, -EIO);
	KUNIT_EXPECT_FALSE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
}

/* ----- Suspend and resume ----- */

static void prepare_msi(struct rviommu_bus *bus)
{
	rviommu_bus_write64(bus, RVIOMMU_REG_MSI_ADDR(0), 0xfee00000);
	bus->ops->write32(bus, RVIOMMU_REG_MSI_DATA(0), 0x42);
}

static struct testdev *suspended(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);

	td->bus->prepare_msi = prepare_msi;
	td->bus->wired = true;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	testdev_add_one(td, 1);
	KUNIT_ASSERT_EQ(test, rviommu_suspend(&td->iommu), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);
	fakebus_clear(td->bus);
	td->nr_writes = 0;
	return td;
}

static void expect_resumed(struct testdev *td)
{
	struct kunit *test = td->test;

	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_DDTP),
			virt_to_phys(td->iommu.ddt.dir.root) >> 2 | 4);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_CQB),
			virt_to_phys(td->iommu.cmdq.q.base) >> 2 | 9);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_FQB),
			virt_to_phys(td->iommu.faultq.q.base) >> 2 | 8);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FCTL), 2);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_ICVEC), 0x3210);
	KUNIT_EXPECT_EQ(test, testdev_peek64(td, RVIOMMU_REG_MSI_ADDR(0)), 0xfee00000);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_MSI_DATA(0)), 0x42);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR), 0x10003);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR), 0x10003);
	EXPECT_COMMANDS(td, "resume", CMD_DDT_ALL, CMD_VMA_ALL, CMD_GVMA_ALL, CMD_FENCE);

	/* It works: another device, another context. */
	testdev_add_one(td, 2);
	KUNIT_EXPECT_EQ(test, testdev_context(td, 1).word[0], 1);
	KUNIT_EXPECT_EQ(test, testdev_context(td, 2).word[0], 1);
	KUNIT_EXPECT_FALSE(test, td->iommu.dead);
}

static void device_resume_state_kept(struct kunit *test)
{
	struct testdev *td = suspended(test);

	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	/* Translation was never interrupted. */
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_DDTP, 0, 0), td->nr_writes);
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_FCTL, 0, 0), td->nr_writes);
	expect_resumed(td);
}

static void device_resume_state_lost(struct kunit *test)
{
	struct testdev *td = suspended(test);
	unsigned int fctl, doorbell, ddtp;

	testdev_power_loss(td);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	/* Caches are emptied before they can be used. */
	fctl = testdev_find_write(td, 0, RVIOMMU_REG_FCTL, ~0ULL, 2);
	doorbell = testdev_find_write(td, fctl, RVIOMMU_REG_CQT, ~0ULL, 4);
	ddtp = testdev_find_write(td, doorbell, RVIOMMU_REG_DDTP, 0xf, 4);
	KUNIT_EXPECT_LT(test, ddtp, td->nr_writes);
	expect_resumed(td);
}

/* Firmware's own initialisation on the way up: Bare, and other interrupts. */
static void device_resume_bare(struct kunit *test)
{
	struct testdev *td = suspended(test);

	testdev_power_loss(td);
	testdev_poke64(td, RVIOMMU_REG_DDTP, BARE);
	testdev_poke64(td, RVIOMMU_REG_ICVEC, 0x1111);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	expect_resumed(td);
}

/* Who unmaps while it is off is not kept waiting, and forgets nothing that matters. */
static void device_unmap_while_suspended(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *dev = testdev_add_one(td, 1);
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	KUNIT_ASSERT_EQ(test, iommu_attach_device(domain, dev), 0);
	KUNIT_ASSERT_EQ(test, iommu_map(domain, 0x1000, 0x1000, 0x1000, IOMMU_READ, GFP_KERNEL),
			0);
	KUNIT_ASSERT_EQ(test, rviommu_suspend(&td->iommu), 0);
	fakebus_clear(td->bus);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, 0x1000, 0x1000), 0x1000);
	testdev_expect(td, "suspended", NULL, 0);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	KUNIT_EXPECT_FALSE(test, td->iommu.dead);
	iommu_detach_device(domain, dev);
	iommu_domain_free(domain);
}

static void resume_fails(struct kunit *test, void (*damage)(struct testdev *td),
			 void (*repair)(struct testdev *td))
{
	struct testdev *td = suspended(test);
	struct device *dev = testdev_add_one(td, 7);
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	testdev_short_waits(test);
	testdev_power_loss(td);
	damage(td);
	KUNIT_EXPECT_NE(test, rviommu_resume(&td->iommu), 0);
	KUNIT_EXPECT_TRUE(test, td->iommu.dead);
	repair(td);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);

	/* Once and for all: the next resume does not bring half of it back, but the rest down. */
	td->nr_writes = 0;
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	KUNIT_EXPECT_EQ(test, testdev_find_write(td, 0, RVIOMMU_REG_DDTP, 0, 0), td->nr_writes);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_device(domain, dev), -EIO);
	iommu_domain_free(domain);
}

/* Out of service is out of service, whatever a reset made of it meanwhile. */
static void device_resume_dead(struct kunit *test)
{
	static const struct {
		u64 ddtp;
		u32 cqcsr, fqcsr;
		unsigned int said;
	} cases[] = {
		{ OFF, 0, 0, 0 },
		{ BARE, 0, 0, 1 },
		{ BARE, 0x10001, 0x10001, 1 },
		{ 4 | 0x12345ULL << 10, 0x10003, 0x10003, 1 },
	};
	struct testdev *td = suspended(test);
	struct testlog log;
	char speaker[32];
	unsigned int i;

	rviommu_cmdq_kill(&td->iommu.cmdq, "test");
	KUNIT_EXPECT_TRUE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
	scnprintf(speaker, sizeof(speaker), ".%s: ", td->bus->name);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_EXPECT_EQ(test, rviommu_suspend(&td->iommu), 0);
		testdev_power_loss(td);
		testdev_poke64(td, RVIOMMU_REG_DDTP, cases[i].ddtp);
		testdev_poke32(td, RVIOMMU_REG_CQCSR, cases[i].cqcsr);
		testdev_poke32(td, RVIOMMU_REG_FQCSR, cases[i].fqcsr);
		td->nr_writes = 0;
		testlog_start(&log);
		KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
		KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
		KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & 0x10003, 0);
		KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQCSR) & 0x10003, 0);
		KUNIT_EXPECT_EQ(test, testlog_lines(&log, speaker), cases[i].said);
	}

	/* What cannot be done is said, once, and takes no longer than a wait may. */
	testdev_short_waits(test);
	break_bare_stuck(td);
	testlog_start(&log);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), -EIO);
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, speaker), 1);
	repair_bare_stuck(td);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
}

static void die_before_ddtp(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct testdev *td = arg;

	if (offset != RVIOMMU_REG_DDTP || !READ_ONCE(td->iommu.cmdq.running))
		return;
	fake->read_hook = NULL;
	rviommu_cmdq_kill(&td->iommu.cmdq, "test");
}

/* It dies of somebody else's command, when only ddtp is missing. */
static void device_resume_dies(struct kunit *test)
{
	struct testdev *td = suspended(test);

	testdev_power_loss(td);
	td->fake->read_arg = td;
	td->fake->read_hook = die_before_ddtp;
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), -EIO);
	KUNIT_EXPECT_PTR_EQ(test, td->fake->read_hook, NULL);
	KUNIT_EXPECT_TRUE(test, td->iommu.dead);
	KUNIT_EXPECT_EQ(test, testdev_mode(td), OFF);
}

static void device_resume_gone(struct kunit *test)
{
	resume_fails(test, break_gone, repair_gone);
}

static void device_resume_queues_never_on(struct kunit *test)
{
	resume_fails(test, break_never_on, repair_never_on);
}

static void device_resume_no_directory(struct kunit *test)
{
	resume_fails(test, break_modes, repair_modes);
}

static void device_resume_no_commands(struct kunit *test)
{
	resume_fails(test, break_commands, repair_commands);
}

/* ----- Interrupts ----- */

static struct rviommu_fault_record fault_record(u32 did, u16 cause, u64 iova)
{
	/* TTYP 3: untranslated write */
	return (struct rviommu_fault_record){
		.hdr = cpu_to_le64(cause | 3ULL << 34 | (u64)did << 40),
		.iotval = cpu_to_le64(iova),
	};
}

static void device_irq_faults(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *a = testdev_add_one(td, 0x11), *b = testdev_add_one(td, 0x22);
	struct rviommu_fault_record rec = fault_record(0x22, 15, 0xabc000);
	struct rviommu_endpoint *ep = testdev_ep(b);
	char name[48];

	fakebus_fault(td->bus, &rec);
	/* Of the command queue: not a matter for that thread. */
	testdev_irq(td, 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 0);
	testdev_irq(td, 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&testdev_ep(a)->faults), 0);
	KUNIT_EXPECT_EQ(test, ep->last_fault.cause, 15);
	KUNIT_EXPECT_EQ(test, ep->last_fault.ttyp, 3);
	KUNIT_EXPECT_EQ(test, ep->last_fault.did, 0x22);
	KUNIT_EXPECT_EQ(test, ep->last_fault.iotval, 0xabc000);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_FQH), 1);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR), 0);

	rviommu_endpoint_name(&td->iommu, 0x22, name, sizeof(name));
	KUNIT_EXPECT_STREQ(test, name, dev_name(b));
	rviommu_endpoint_name(&td->iommu, 0x33, name, sizeof(name));
	KUNIT_EXPECT_STREQ(test, name, "device 0x33");

	/* Of nobody we know: read, and nobody is blamed. */
	rec = fault_record(0x33, 258, 0);
	fakebus_fault(td->bus, &rec);
	/* No transaction: device_id says nothing. */
	rec = fault_record(0x22, 273, 0);
	rec.hdr &= cpu_to_le64(~(0x3fULL << 34));
	fakebus_fault(td->bus, &rec);
	testdev_irq(td, 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&td->iommu.faultq.records), 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&testdev_ep(a)->faults), 0);

	/* A device that went is not blamed any more. */
	testdev_del(td, b);
	rec = fault_record(0x22, 258, 0);
	fakebus_fault(td->bus, &rec);
	testdev_irq(td, 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&td->iommu.faultq.records), 4);
	rviommu_endpoint_name(&td->iommu, 0x22, name, sizeof(name));
	KUNIT_EXPECT_STREQ(test, name, "device 0x22");
}

/* Several records for one interrupt, all of them read. */
static void device_irq_many_faults(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_endpoint *ep = testdev_ep(testdev_add_one(td, 5));
	unsigned int i;

	for (i = 0; i < 700; i++) {
		struct rviommu_fault_record rec = fault_record(5, 13, (u64)i << 12);

		fakebus_fault(td->bus, &rec);
		if (i % 100 == 99)
			testdev_irq(td, 1);
	}
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 700);
	KUNIT_EXPECT_EQ(test, ep->last_fault.iotval, 699ULL << 12);
}

/* Before power goes, what was reported is read. */
static void device_suspend_reads_faults(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_endpoint *ep = testdev_ep(testdev_add_one(td, 5));
	struct rviommu_fault_record rec = fault_record(5, 13, 0x7000);

	fakebus_fault(td->bus, &rec);
	KUNIT_EXPECT_EQ(test, rviommu_suspend(&td->iommu), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 1);
	testdev_power_loss(td);
	KUNIT_EXPECT_EQ(test, rviommu_resume(&td->iommu), 0);
	fakebus_fault(td->bus, &rec);
	testdev_irq(td, 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 2);
}

/* Nobody waits, and still the queue goes on: its thread repairs it. */
static void device_irq_command_error(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_command cmd = rviommu_cmd_iotinval_vma(0x77);
	u32 fence;

	fakebus_trap(td->bus, FAKEBUS_MEMFAULT, 0x7f, 1, 0, 1);
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_issue(&td->iommu.cmdq, &cmd, 1, &fence), 0);
	KUNIT_EXPECT_TRUE(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_MF);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR), RVIOMMU_IPSR_CIP);
	testdev_irq(td, 0);
	KUNIT_EXPECT_FALSE(test, fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_MF);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&td->iommu.cmdq.events[RVIOMMU_CMDQ_RESTARTS]), 1);
	KUNIT_EXPECT_EQ(test, fakebus_command(td->bus, 0, 0), 0x100077001);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait(&td->iommu.cmdq, fence), 0);
}

/* Causes that nothing of ours asks for are cleared, so that they do not come again. */
static void device_irq_unused_causes(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);

	testdev_poke32(td, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_PMIP | RVIOMMU_IPSR_PIP);
	testdev_irq(td, 2);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PIP);
	testdev_irq(td, 3);
	KUNIT_EXPECT_EQ(test, fakebus_peek(td->bus, RVIOMMU_REG_IPSR), 0);
}

static irqreturn_t count_irq(int irq, void *data)
{
	(*(unsigned int *)data)++;
	return IRQ_HANDLED;
}

/* How often ipsr was read for one interrupt: by the handler, and by the thread. */
static unsigned int looks_at_ipsr(struct testdev *td, unsigned int vector)
{
	fakebus_clear(td->bus);
	testdev_irq(td, vector);
	return td->fake->reads[RVIOMMU_REG_IPSR / 4];
}

/* A wire that is shared: the IOMMU says whether it was its own interrupt. */
static void device_irq_shared_wire(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 2);
	struct rviommu_fault_record rec = fault_record(5, 13, 0x7000);
	struct rviommu_endpoint *ep;
	unsigned int others = 0;
	int irq = td->bus->irqs[1];

	td->bus->wired = true;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	ep = testdev_ep(testdev_add_one(td, 5));
	KUNIT_ASSERT_EQ(test, request_threaded_irq(irq, count_irq, count_irq,
						   IRQF_SHARED, "other", &others), 0);

	/* Not ours: the thread is not woken. */
	KUNIT_EXPECT_EQ(test, looks_at_ipsr(td, 1), 1);
	KUNIT_EXPECT_EQ(test, others, 1);
	/* Pending, but on the other wire */
	testdev_poke32(td, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	KUNIT_EXPECT_EQ(test, looks_at_ipsr(td, 1), 1);
	KUNIT_EXPECT_EQ(test, looks_at_ipsr(td, 0), 2);

	fakebus_fault(td->bus, &rec);
	KUNIT_EXPECT_EQ(test, looks_at_ipsr(td, 1), 2);
	KUNIT_EXPECT_EQ(test, others, 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ep->faults), 1);
	free_irq(irq, &others);
}

/*
 * A command queue that is given up while it is busy keeps its interrupt enable until it is not:
 * as long as that takes the wire stays masked, and for good if it takes too long.
 */
static void device_irq_dead_and_busy(struct kunit *test)
{
	static const unsigned int busy[] = { 20, UINT_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(busy); i++) {
		struct testdev *td = testdev_create(test, TESTDEV_CAPS, 1);
		struct irq_data *data = irq_get_irq_data(td->bus->irqs[0]);

		td->bus->wired = true;
		KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
		td->fake->busy[0] = busy[i];
		rviommu_cmdq_kill(&td->iommu.cmdq, "for a test");
		KUNIT_EXPECT_TRUE(test, td->iommu.dead);
		KUNIT_EXPECT_NE(test, td->fake->busy[0], 0);

		testdev_poke32(td, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
		testdev_irq(td, 0);
		KUNIT_EXPECT_EQ(test, irqd_irq_disabled(data), busy[i] == UINT_MAX);
		KUNIT_EXPECT_EQ(test, !(fakebus_peek(td->bus, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_IE),
				busy[i] != UINT_MAX);
		td->fake->busy[0] = 0;
		testdev_remove(td);
	}
}

/* ----- A wire that others have, too ----- */

/* Of the test that runs: is its wire masked, how often did the neighbour and the thread come */
static struct {
	unsigned int masked;
	unsigned int handled;
	unsigned int in_thread;
	int irq;
} wire;

static void wire_mask(struct irq_data *data)
{
	wire.masked = 1;
}

static void wire_unmask(struct irq_data *data)
{
	wire.masked = 0;
}

static struct irq_chip wire_chip = {
	.name = "rviommu-kunit-wire",
	.irq_mask = wire_mask,
	.irq_unmask = wire_unmask,
};

static irqreturn_t wire_other(int irq, void *data)
{
	wire.handled++;
	return IRQ_NONE;
}

static irqreturn_t wire_other_thread(int irq, void *data)
{
	return IRQ_HANDLED;
}

/* In the thread, with the cause still there: the wire stays up, and must not be heard. */
static void wire_is_up(struct fakebus *fake, unsigned int offset, void *arg)
{
	if (offset != RVIOMMU_REG_FQCSR || in_hardirq())
		return;
	wire.in_thread++;
	if (!wire.masked)
		generic_handle_irq_safe(wire.irq);
}

/*
 * Its neighbours have what flags they like, and come first or last. (One with IRQF_ONESHOT
 * has to come first: the kernel lets nobody agree to that later.)
 */
static void device_irq_any_neighbour(struct kunit *test)
{
	static const struct {
		unsigned long flags;
		bool thread, last;
	} cases[] = {
		{ IRQF_SHARED, false, false },
		{ IRQF_SHARED, false, true },
		{ IRQF_SHARED, true, false },
		{ IRQF_SHARED, true, true },
		{ IRQF_SHARED | IRQF_ONESHOT, true, false },
	};
	struct rviommu_fault_record rec = fault_record(5, 13, 0x7000);
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct testdev *td = testdev_create(test, TESTDEV_CAPS, 1);
		irq_handler_t thread = NULL;

		if (cases[i].thread)
			thread = wire_other_thread;
		wire.irq = td->bus->irqs[0];
		wire.masked = 1;
		irq_set_chip_and_handler(wire.irq, &wire_chip, handle_level_irq);
		td->bus->wired = true;
		if (!cases[i].last)
			KUNIT_ASSERT_EQ(test, request_threaded_irq(wire.irq, wire_other, thread,
								   cases[i].flags, "other", td),
					0);
		KUNIT_ASSERT_EQ_MSG(test, testdev_probe(td), 0, "case %u", i);
		if (cases[i].last)
			KUNIT_ASSERT_EQ_MSG(test, request_threaded_irq(wire.irq, wire_other, thread,
								       cases[i].flags, "other",
								       td),
					    0, "case %u", i);
		KUNIT_EXPECT_EQ(test, wire.masked, 0);
		td->fake->read_hook = wire_is_up;
		for (k = 1; k < 4; k++) {
			wire.handled = 0;
			wire.in_thread = 0;
			fakebus_fault(td->bus, &rec);
			testdev_irq(td, 0);
			KUNIT_EXPECT_GE(test, wire.in_thread, 1);
			KUNIT_EXPECT_EQ(test, wire.handled, 1);
			KUNIT_EXPECT_EQ(test, wire.masked, 0);
			KUNIT_EXPECT_EQ(test, atomic64_read(&td->iommu.faultq.records), k);
		}
		/* Not ours: it stays open. */
		testdev_irq(td, 0);
		KUNIT_EXPECT_EQ(test, wire.handled, 2);
		KUNIT_EXPECT_EQ(test, wire.masked, 0);
		td->fake->read_hook = NULL;
		testdev_remove(td);
		/* And when we have gone */
		testdev_irq(td, 0);
		KUNIT_EXPECT_EQ(test, wire.handled, 3);
		free_irq(wire.irq, td);
	}
}

/* ----- Who comes first when all of them sleep ----- */

static bool comes_first(struct device *a, struct device *b)
{
	struct kset *all = a->kobj.kset;
	struct kobject *kobj;
	bool first = false;

	/* Shutdown goes through it from its end; suspend has a list in the same order. */
	spin_lock(&all->list_lock);
	list_for_each_entry(kobj, &all->list, entry)
		if (kobj == &a->kobj || kobj == &b->kobj) {
			first = kobj == &a->kobj;
			break;
		}
	spin_unlock(&all->list_lock);
	return first;
}

static bool linked(struct device *consumer, struct device *supplier)
{
	struct device_link *link;

	list_for_each_entry(link, &consumer->links.suppliers, c_node)
		if (link->supplier == supplier)
			return true;
	return false;
}

/* Of the test that runs: what happens between a device's coming and the core's notice */
static struct {
	struct testdev *td;
	void (*act)(struct testdev *td, struct device *dev);
} coming;

static int coming_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action == BUS_NOTIFY_ADD_DEVICE && coming.act)
		coming.act(coming.td, data);
	return NOTIFY_OK;
}

static struct notifier_block coming_first = {
	.notifier_call = coming_notify,
	.priority = 1,
};

static void stop_coming(void *data)
{
	coming.act = NULL;
	bus_unregister_notifier(&platform_bus_type, &coming_first);
}

static void iommu_comes_last(struct testdev *td, struct device *dev)
{
	struct device *iommu = td->bus->dev;

	KUNIT_EXPECT_EQ(td->test, device_move(iommu, iommu->parent, DPM_ORDER_DEV_LAST), 0);
	KUNIT_EXPECT_TRUE(td->test, comes_first(dev, iommu));
}

static void iommu_below_device(struct testdev *td, struct device *dev)
{
	KUNIT_EXPECT_EQ(td->test, device_move(td->bus->dev, dev, DPM_ORDER_NONE), 0);
}

static void iommu_needs_device(struct testdev *td, struct device *dev)
{
	KUNIT_EXPECT_NOT_NULL(td->test, device_link_add(td->bus->dev, dev, DL_FLAG_STATELESS));
}

static void device_order(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct device *iommu = td->bus->dev, *parent = iommu->parent, *dev;
	struct testlog log;

	coming.td = td;
	coming.act = iommu_comes_last;
	KUNIT_ASSERT_EQ(test, bus_register_notifier(&platform_bus_type, &coming_first), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_coming, NULL), 0);

	/* Suspended and shut down before the IOMMU, wherever it was found before. */
	dev = testdev_add_one(td, 1);
	KUNIT_EXPECT_TRUE(test, linked(dev, iommu));
	KUNIT_EXPECT_TRUE(test, comes_first(iommu, dev));
	testdev_del(td, dev);
	KUNIT_EXPECT_TRUE(test, list_empty(&iommu->links.consumers));

	/* A bridge above the IOMMU must come before it, and does. */
	coming.act = iommu_below_device;
	testlog_start(&log);
	dev = testdev_add_one(td, 1);
	KUNIT_EXPECT_FALSE(test, linked(dev, iommu));
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, "before its IOMMU"), 0);
	KUNIT_ASSERT_EQ(test, device_move(iommu, parent, DPM_ORDER_NONE), 0);
	testdev_del(td, dev);

	/* Firmware says that the IOMMU needs the device: it is translated all the same. */
	coming.act = iommu_needs_device;
	testlog_start(&log);
	dev = testdev_add_one(td, 1);
	KUNIT_EXPECT_FALSE(test, linked(dev, iommu));
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, "before its IOMMU"), 1);
	device_link_remove(iommu, dev);
	testdev_del(td, dev);

	/* The IOMMU may go first: nothing is left of it. */
	coming.act = iommu_comes_last;
	dev = testdev_add_one(td, 1);
	KUNIT_EXPECT_TRUE(test, linked(dev, iommu));
	testdev_remove(td);
	KUNIT_EXPECT_FALSE(test, linked(dev, iommu));
	testdev_del(td, dev);
}

/* ----- The self-test of Svnapot ----- */

/* A walk of the first stage, by hand: the leaf entry, 0 when there is none. */
static u64 walk(struct testdev *td, u32 did, u64 iova)
{
	struct rviommu_dc dc = testdev_context(td, did);
	u64 ppn = dc.word[3] & GENMASK_ULL(43, 0), pte = 0;
	int level;

	KUNIT_EXPECT_EQ(td->test, dc.word[0], 1);
	KUNIT_EXPECT_EQ(td->test, dc.word[1], 0);
	KUNIT_EXPECT_EQ(td->test, dc.word[3] >> 60, 9);
	for (level = 3; level >= 0; level--) {
		pte = ((u64 *)phys_to_virt(ppn << 12))[iova >> (12 + 9 * level) & 0x1ff];
		if (!(pte & 1) || pte & 0xe)
			break;
		ppn = pte >> 10 & GENMASK_ULL(43, 0);
	}
	return pte & 1 ? pte : 0;
}

#define PTE_N	BIT_ULL(63)
#define PTE_PPN	GENMASK_ULL(53, 10)

static u64 answer_good(struct testdev *td, u32 did, u64 iova)
{
	u64 pte = walk(td, did, iova), response = pte & PTE_PPN;

	if (!pte)
		return 1;
	if (pte & PTE_N)
		response = (response & ~(0xfULL << 10)) | (iova >> 12 & 0xf) << 10;
	return response;
}

/* With the size of the leaf: spec "tr_response", S. */
static u64 answer_sized(struct testdev *td, u32 did, u64 iova)
{
	u64 pte = walk(td, did, iova);

	if (!(pte & PTE_N))
		return answer_good(td, did, iova);
	return (pte & PTE_PPN & ~(0xfULL << 10)) | 0x7 << 10 | 1 << 9;
}

/* The base of the leaf for each of its pages */
static u64 answer_base(struct testdev *td, u32 did, u64 iova)
{
	u64 pte = walk(td, did, iova);

	return pte & PTE_N ? pte & PTE_PPN & ~(0xfULL << 10) : answer_good(td, did, iova);
}

/* N is not known. */
static u64 answer_bad(struct testdev *td, u32 did, u64 iova)
{
	u64 pte = walk(td, did, iova);

	return pte ? pte & PTE_PPN : 1;
}

/* N is known, and makes it a fault. */
static u64 answer_napot_fault(struct testdev *td, u32 did, u64 iova)
{
	u64 pte = walk(td, did, iova);

	return !pte || pte & PTE_N ? 1 : pte & PTE_PPN;
}

static u64 answer_fault(struct testdev *td, u32 did, u64 iova)
{
	return 1;
}

static u64 answer_same(struct testdev *td, u32 did, u64 iova)
{
	return 0x1234ULL << 10;
}

static u64 answer_dead(struct testdev *td, u32 did, u64 iova)
{
	td->fake->rate = 0;
	td->iommu.cmdq.timeout_us = 100;
	return answer_good(td, did, iova);
}

static void device_svnapot(struct kunit *test)
{
	static const struct {
		const char *name;
		u64 (*answer)(struct testdev *td, u32 did, u64 iova);
		bool busy;
		/* with the ID of an IOMMU that is known not to have it, and without */
		bool quirk[2];
	} cases[] = {
		{ "good", answer_good },
		{ "good, with sizes", answer_sized },
		{ "base of the leaf", answer_base },
		{ "bad", answer_bad, false, { true, true } },
		{ "fault", answer_fault, false, { true, false } },
		{ "fault of the large leaf", answer_napot_fault, false, { true, false } },
		{ "always the same", answer_same, false, { true, false } },
		{ "busy for ever", answer_good, true, { true, false } },
	};
	struct testdev *td = testdev_create(test, TESTDEV_CAPS | TESTDEV_DBG, 4);
	const u32 did = BIT(24) - 1;
	struct device *dev;
	unsigned int i;

	testdev_short_waits(test);
	for (i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		const typeof(cases[0]) *c = &cases[i / 2];
		struct iommu_domain *domain;
		bool quirk = c->quirk[i % 2];

		td->translate = c->answer;
		td->translate_busy = c->busy;
		td->translations = 0;
		td->bus->quirks = i % 2 ? 0 : BIT(RVIOMMU_QUIRK_NO_SVNAPOT);
		KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
		KUNIT_EXPECT_GE_MSG(test, td->translations, 1, "%s", c->name);
		KUNIT_EXPECT_EQ_MSG(test, td->iommu.quirks,
				    quirk ? BIT(RVIOMMU_QUIRK_NO_SVNAPOT) : 0, "%s", c->name);

		/* Nothing of it is left: no context, no ID, no busy device. */
		KUNIT_EXPECT_EQ(test, testdev_context(td, did).word[0], 0);
		KUNIT_EXPECT_TRUE(test, xa_empty(&td->iommu.dids));
		KUNIT_EXPECT_TRUE(test, list_empty(&td->iommu.endpoints));

		/* And it has a consequence. */
		dev = testdev_add_one(td, 3);
		domain = iommu_get_domain_for_dev(dev);
		KUNIT_EXPECT_EQ_MSG(test, domain->pgsize_bitmap & SZ_64K, quirk ? 0 : SZ_64K,
				    "%s", c->name);
		testdev_del(td, dev);
		testdev_remove(td);
	}
}

/* Without the registers it is not asked; and it may kill a weak IOMMU. */
static void device_svnapot_no_answer(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);
	const long live = testdev_live();

	td->translate = answer_bad;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_EXPECT_EQ(test, td->translations, 0);
	KUNIT_EXPECT_EQ(test, td->iommu.quirks, 0);
	testdev_remove(td);

	caps_set(td, TESTDEV_DBG, TESTDEV_DBG);
	td->translate = answer_dead;
	KUNIT_EXPECT_EQ(test, testdev_probe(td), -EIO);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	expect_off(td);
}

static struct {
	bool now;
	bool wrong;
	unsigned int times;
} held;

static void hold_devices(struct rviommu_bus *bus, bool hold)
{
	held.wrong |= held.now == hold;
	held.now = hold;
	held.times += hold;
}

/* Devices stay while the core registers an IOMMU, and while it takes it back. */
static void device_holds(struct kunit *test)
{
	struct testdev *td = testdev_create(test, TESTDEV_CAPS, 4);

	memset(&held, 0, sizeof(held));
	td->bus->hold_devices = hold_devices;
	KUNIT_ASSERT_EQ(test, testdev_probe(td), 0);
	KUNIT_EXPECT_EQ(test, held.times, 1);
	KUNIT_EXPECT_FALSE(test, held.now);
	testdev_remove(td);
	KUNIT_EXPECT_EQ(test, held.times, 2);
	KUNIT_EXPECT_FALSE(test, held.now);
	KUNIT_EXPECT_FALSE(test, held.wrong);
}

static struct kunit_case device_cases[] = {
	KUNIT_CASE(device_bring_up),
	KUNIT_CASE(device_holds),
	KUNIT_CASE_PARAM(device_refuses, refusal_gen_params),
	KUNIT_CASE(device_probe_without_memory),
	KUNIT_CASE(device_ddt_levels),
	KUNIT_CASE(device_interrupt_vectors),
	KUNIT_CASE(device_small_queues),
	KUNIT_CASE(device_takes_over),
	KUNIT_CASE(device_remove_waits),
	KUNIT_CASE(device_bare),
	KUNIT_CASE(device_shutdown_bare),
	KUNIT_CASE(device_remove_bare),
	KUNIT_CASE(device_shutdown_off),
	KUNIT_CASE(device_shutdown_stuck),
	KUNIT_CASE(device_shutdown_reader),
	KUNIT_CASE(device_resume_state_kept),
	KUNIT_CASE(device_resume_state_lost),
	KUNIT_CASE(device_resume_bare),
	KUNIT_CASE(device_unmap_while_suspended),
	KUNIT_CASE(device_resume_dead),
	KUNIT_CASE(device_resume_dies),
	KUNIT_CASE(device_resume_gone),
	KUNIT_CASE(device_resume_queues_never_on),
	KUNIT_CASE(device_resume_no_directory),
	KUNIT_CASE(device_resume_no_commands),
	KUNIT_CASE(device_irq_faults),
	KUNIT_CASE(device_irq_many_faults),
	KUNIT_CASE(device_suspend_reads_faults),
	KUNIT_CASE(device_irq_command_error),
	KUNIT_CASE(device_irq_unused_causes),
	KUNIT_CASE(device_irq_shared_wire),
	KUNIT_CASE(device_irq_dead_and_busy),
	KUNIT_CASE(device_irq_any_neighbour),
	KUNIT_CASE(device_order),
	KUNIT_CASE(device_svnapot),
	KUNIT_CASE(device_svnapot_no_answer),
	{}
};

static struct kunit_suite device_suite = {
	.name = "rviommu_device",
	.test_cases = device_cases,
};

kunit_test_suite(device_suite);
