// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of simulated PCI functions: how the driver switches their interface, and what is
 * left of it after a sleep and a reset.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"
#include "pritest.h"

#define PASID	5

static void fn_config(struct rviommu_sim_config *config)
{
	iopftest_config(config);
	config->endpoints = 0;
	config->pci_functions = IOPFTEST_NR_DEVICES;
	config->pri_capacity = 16;
}

static struct iopftest *fn_up(struct kunit *test)
{
	struct rviommu_sim_config config;

	fn_config(&config);
	return iopftest_up(test, &config);
}

static u16 fn_read(struct iopftest *f, int offset)
{
	struct pci_dev *pdev = to_pci_dev(f->dev[0]);
	u16 value = 0;

	pci_read_config_word(pdev, f->ep[0]->pri.ctrl - PCI_PRI_CTRL + offset, &value);
	return value;
}

static void fn_expect_on(struct iopftest *f, bool on)
{
	KUNIT_EXPECT_EQ(f->test, fn_read(f, PCI_PRI_CTRL), on ? PCI_PRI_CTRL_ENABLE : 0);
	if (on)
		KUNIT_EXPECT_EQ(f->test, fn_read(f, PCI_PRI_ALLOC_REQ), f->ep[0]->pri.requests);
}

/* On with the first who handles them, off after the last, and real bytes in between */
static void fn_demand(struct kunit *test)
{
	struct iopftest *f = fn_up(test);
	unsigned int page;

	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.requests, 16);
	fn_expect_on(f, false);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	fn_expect_on(f, true);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	for (page = 0; page < 4; page++) {
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, page, 1, page), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[0], page, page));
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, PASID, page, 1, 8 + page), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], page, 8 + page));
	}
	iopftest_detach(f, 0);
	fn_expect_on(f, true);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	fn_expect_on(f, false);
	iopftest_expect_clean(f, 0);
}

/* It is allowed what the queue of the IOMMU has room for. */
static void fn_room(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest *f;

	fn_config(&config);
	config.model.pq_max_lg2 = 2;
	config.pri_pages = 8;
	f = iopftest_up(test, &config);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.requests, 3);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, fn_read(f, PCI_PRI_ALLOC_REQ), 3);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 8, 1), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->iommu->pageq.overflows), 0);
	iopftest_expect_clean(f, 0);
}

/* What sleep takes, the PCI core gives back: it was told. And gives back nothing that is off. */
static void fn_sleeps(struct kunit *test)
{
	struct iopftest *f = fn_up(test);
	struct pci_dev *pdev = to_pci_dev(f->dev[0]);
	int base;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	base = f->ep[0]->pri.ctrl - PCI_PRI_CTRL;
	KUNIT_ASSERT_EQ(test, pci_save_state(pdev), 0);
	pci_write_config_word(pdev, base + PCI_PRI_CTRL, 0);
	pci_write_config_dword(pdev, base + PCI_PRI_ALLOC_REQ, 0);
	pci_restore_state(pdev);
	fn_expect_on(f, true);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 1, 1), 0);
	iopftest_detach(f, 0);
	KUNIT_ASSERT_EQ(test, pci_save_state(pdev), 0);
	pci_restore_state(pdev);
	fn_expect_on(f, false);
}

/* Reset with requests outstanding: they are over, and afterwards all is as it was. */
static void fn_reset(struct kunit *test)
{
	struct iopftest *f = fn_up(test);
	struct rviommu_pritest_job *job[2];
	unsigned int i;

	f->space[0].mode = IOPFTEST_HOLD;
	f->space[1].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	job[0] = iopftest_go(f, 0, 0, 0, 1, 1);
	job[1] = iopftest_go(f, 0, PASID, 0, 1, 2);
	for (i = 0; i < 2; i++)
		iopftest_await_held(f, &f->space[i], 1);
	KUNIT_EXPECT_EQ(test, pci_reset_function(to_pci_dev(f->dev[0])), 0);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_NE(test, rviommu_pritest_end(test, job[i]), 0);
		KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[i], IOMMU_PAGE_RESP_SUCCESS, false),
				1);
		f->space[i].mode = IOPFTEST_MAP;
	}
	fn_expect_on(f, true);
	KUNIT_EXPECT_EQ(test, f->ep[0]->pri.users, 2);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 3), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[0], 1, 3));
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, PASID, 1, 1, 4), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(&f->space[1], 1, 4));
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
}

static struct kunit_case fn_cases[] = {
	KUNIT_CASE(fn_demand),
	KUNIT_CASE(fn_room),
	KUNIT_CASE(fn_sleeps),
	KUNIT_CASE(fn_reset),
	{}
};

static struct kunit_suite fn_suite = {
	.name = "rviommu_iopf_pci",
	.test_cases = fn_cases,
};

kunit_test_suite(fn_suite);
