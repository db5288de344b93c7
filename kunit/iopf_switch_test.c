// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device whose page request interface does not let itself be switched on, after its requests
 * have got a domain that handles them: they get back what they had.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/sim.h>

#include "../src/driver/attachment.h"
#include "../src/driver/back.h"
#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "hw.h"
#include "iopftest.h"
#include "simtest.h"
#include "testdev.h"

#define PASID	5

/**
 * struct switch_way - how it does not let itself be switched on
 * @name: of the case
 * @pasid: of its requests, 0: none
 * @where: register of the interface of a PCI function that is not reached; 0: it is none, and
 *         says so itself
 * @error: what becomes of the attach
 */
struct switch_way {
	const char *name;
	u32 pasid;
	int where;
	int error;
};

static const struct switch_way switch_ways[] = {
	{ .name = "requester ID", .error = -EBUSY },
	{ .name = "PASID", .pasid = PASID, .error = -EBUSY },
#if IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI)
	{ .name = "function, status", .where = PCI_PRI_STATUS, .error = -EIO },
	{ .name = "function, status, PASID", .pasid = PASID, .where = PCI_PRI_STATUS,
	  .error = -EIO },
	{ .name = "function, enable", .where = PCI_PRI_CTRL, .error = -EIO },
	{ .name = "function, enable, PASID", .pasid = PASID, .where = PCI_PRI_CTRL,
	  .error = -EIO },
#endif
};

KUNIT_ARRAY_PARAM_DESC(switch_way, switch_ways, name);

/**
 * struct switch_world - a device, and what is between it and the driver
 * @f: devices and domains; of @old nobody handles page requests
 * @ep: the device
 * @way: what it is about
 * @old: has page 0
 * @new: has a handler
 * @fails: it does not let itself be switched on
 * @starves: from then on there is no memory
 * @tries: how often it was to be
 * @failures: of memory
 * @pri: the true access to its interface, if it is no PCI function
 * @pci: and if it is one
 * @pri_ops: what takes the place of @pri
 * @pci_ops: of @pci
 */
struct switch_world {
	struct iopftest *f;
	struct rviommu_endpoint *ep;
	const struct switch_way *way;
	struct iopftest_space *old;
	struct iopftest_space *new;
	bool fails;
	bool starves;
	unsigned int tries;
	struct testdev_failures failures;
	const struct rviommu_pri_ops *pri;
	struct pci_ops *pci;
	struct rviommu_pri_ops pri_ops;
	struct pci_ops pci_ops;
};

/* What is called in the place of others has no argument for it. */
static struct switch_world *switch_now;

/* ----- In the driver's way ----- */

static bool switch_fails(void)
{
	struct switch_world *w = switch_now;

	w->tries++;
	if (w->fails && w->starves)
		w->failures.nth = TESTDEV_ALL;
	return w->fails;
}

static int switch_enable(struct device *dev, unsigned int requests)
{
	return switch_fails() ? switch_now->way->error : switch_now->pri->enable(dev, requests);
}

static bool switch_is_about(struct pci_bus *bus, unsigned int devfn, int where, int what)
{
	const struct switch_world *w = switch_now;

	return devfn == to_pci_dev(w->f->dev[0])->devfn && w->way->where == what &&
	       where == w->ep->pri.ctrl - PCI_PRI_CTRL + what;
}

static int switch_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	if (!switch_is_about(bus, devfn, where, PCI_PRI_STATUS) || !switch_fails())
		return switch_now->pci->read(bus, devfn, where, size, value);
	*value = ~0U;
	return PCIBIOS_DEVICE_NOT_FOUND;
}

static int switch_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	if (!switch_is_about(bus, devfn, where, PCI_PRI_CTRL) ||
	    !(value & PCI_PRI_CTRL_ENABLE) || !switch_fails())
		return switch_now->pci->write(bus, devfn, where, size, value);
	return PCIBIOS_DEVICE_NOT_FOUND;
}

#if IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI)
static struct pci_ops *switch_pci(struct switch_world *w, struct pci_ops *ops)
{
	return pci_bus_set_ops(to_pci_dev(w->f->dev[0])->bus, ops);
}
#else
static struct pci_ops *switch_pci(struct switch_world *w, struct pci_ops *ops)
{
	return NULL;
}
#endif

static void switch_down(void *data)
{
	struct switch_world *w = data;

	if (w->way->where)
		switch_pci(w, w->pci);
	else
		w->ep->iommu->bus->pri = w->pri;
}

static void switch_hook(struct switch_world *w)
{
	struct rviommu_bus *bus = w->ep->iommu->bus;

	w->pci_ops.read = switch_read;
	w->pci_ops.write = switch_write;
	if (w->way->where) {
		w->pci = switch_pci(w, &w->pci_ops);
	} else {
		w->pri = bus->pri;
		w->pri_ops = *bus->pri;
		w->pri_ops.enable = switch_enable;
		bus->pri = &w->pri_ops;
	}
	KUNIT_ASSERT_EQ(w->f->test, kunit_add_action_or_reset(w->f->test, switch_down, w), 0);
}

static struct switch_world *switch_up(struct kunit *test, const struct switch_way *way)
{
	struct switch_world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct rviommu_sim_config config;

	KUNIT_ASSERT_NOT_NULL(test, w);
	iopftest_config(&config);
	if (way->where) {
		config.endpoints = 0;
		config.pci_functions = IOPFTEST_NR_DEVICES;
	}
	switch_now = w;
	w->way = way;
	w->f = iopftest_up(test, &config);
	w->ep = w->f->ep[0];
	w->new = &w->f->space[0];
	w->old = &w->f->space[1];
	switch_hook(w);
	return w;
}

/* ----- Words ----- */

static struct rviommu_attachment *switch_attached(struct switch_world *w)
{
	guard(mutex)(&w->ep->lock);
	return rviommu_attached(w->ep, w->way->pasid ?: IOMMU_NO_PASID);
}

/* What the core says is attached */
static struct iommu_domain *switch_core(struct switch_world *w)
{
	struct iommu_attach_handle *handle =
		iommu_attach_handle_get(w->f->group[0], w->way->pasid ?: IOMMU_NO_PASID, 0);

	return IS_ERR(handle) ? NULL : handle->domain;
}

/* The page that iopftest_has() calls the first */
static void switch_map_first(struct switch_world *w, struct iopftest_space *space)
{
	KUNIT_ASSERT_EQ(w->f->test,
			iommu_map(space->domain, IOPFTEST_IOVA,
				  virt_to_phys(space->pages + (IOPFTEST_PAGES - 1) * SZ_4K), SZ_4K,
				  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
}

static int switch_replace(struct switch_world *w, struct iopftest_space *space)
{
	if (!w->way->pasid)
		return iopftest_attach(w->f, 0, space);
	return rviommu_replace_device_pasid(space->domain, w->f->dev[0], w->way->pasid,
					    &space->handle);
}

static void switch_attach_old(struct switch_world *w)
{
	struct iopftest *f = w->f;

	KUNIT_ASSERT_EQ(f->test, w->way->pasid ?
			iopftest_attach_pasid(f, 0, w->way->pasid, w->old) :
			iopftest_attach(f, 0, w->old), 0);
}

static void switch_detach(struct switch_world *w, struct iopftest_space *space)
{
	if (w->way->pasid)
		iopftest_detach_pasid(w->f, 0, w->way->pasid, space);
	else
		iopftest_detach(w->f, 0);
}

static void switch_expect_off(struct switch_world *w)
{
	struct kunit *test = w->f->test;

	KUNIT_EXPECT_EQ(test, w->ep->pri.users, 0);
	KUNIT_EXPECT_FALSE(test, w->ep->pri.enabled);
	KUNIT_EXPECT_TRUE(test, rviommu_sim_pri_status(w->f->dev[0]) & PCI_PRI_STATUS_STOPPED);
}

/* DMA reaches what was mapped there, and for what was not the device asks nobody. */
static void switch_expect_old(struct switch_world *w, u64 seed)
{
	struct kunit *test = w->f->test;
	u64 asked = iopftest_stats(w->f, 0).requests;

	KUNIT_EXPECT_EQ(test, iopftest_fill(w->f, 0, w->way->pasid, 0, 1, seed), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(w->old, 0, seed));
	KUNIT_EXPECT_EQ(test, iopftest_fill(w->f, 0, w->way->pasid, 1, 1, seed), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_stats(w->f, 0).requests, asked);
	KUNIT_EXPECT_EQ(test, atomic_read(&w->new->groups), 0);
}

/* ----- Cases ----- */

/* Once, from @old: it fails, and nothing has changed. */
static void switch_once(struct switch_world *w, bool starves, u64 seed)
{
	unsigned int users = rviommu_simtest_users(w->old->domain), tries = w->tries;
	struct iommu_domain *core = switch_core(w);
	struct kunit *test = w->f->test;

	w->fails = true;
	w->starves = starves;
	testdev_fail(test, &w->failures, -1);
	KUNIT_EXPECT_EQ(test, switch_replace(w, w->new), w->way->error);
	testdev_fail(test, &w->failures, -1);
	w->fails = false;
	KUNIT_EXPECT_EQ(test, w->tries, tries + 1);

	switch_expect_off(w);
	KUNIT_EXPECT_PTR_EQ(test, switch_attached(w)->domain, w->old->domain);
	KUNIT_EXPECT_PTR_EQ(test, switch_core(w), core);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(w->old->domain), users);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(w->new->domain), 0);
	rviommu_simtest_expect_forgotten(test, w->f->sim, w->new->domain);
	switch_expect_old(w, seed);
}

/*
 * Nobody handles page requests, and somebody shall: the device cannot, so it goes on as before,
 * be there memory for the way back or not. When it can, it does.
 */
static void switch_refused(struct kunit *test)
{
	struct switch_world *w = switch_up(test, test->param_value);

	if (w->way->pasid && !rviommu_core_replaces_pasids())
		kunit_skip(test, "the core replaces no PASIDs");
	w->old->domain->iopf_handler = NULL;
	switch_map_first(w, w->old);
	/* Where it would lead to if the new domain stayed. */
	switch_map_first(w, w->new);
	switch_attach_old(w);
	switch_expect_off(w);
	switch_expect_old(w, 1);
	switch_once(w, false, 2);
	switch_once(w, true, 3);
	switch_once(w, true, 4);

	KUNIT_ASSERT_EQ(test, switch_replace(w, w->new), 0);
	KUNIT_EXPECT_EQ(test, w->ep->pri.users, 1);
	KUNIT_EXPECT_PTR_EQ(test, switch_core(w), w->new->domain);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_users(w->old->domain), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(w->f, 0, w->way->pasid, 1, 1, 5), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(w->new, 1, 5));
	KUNIT_EXPECT_EQ(test, atomic_read(&w->new->groups), 1);
	iopftest_expect_clean(w->f, 0);
	switch_detach(w, w->new);
	switch_expect_off(w);
}

/* The domain that it did not get may go, and no way leads back there. */
static void switch_domain_goes(struct kunit *test)
{
	struct switch_world *w = switch_up(test, test->param_value);
	struct rviommu_back *back = w->way->pasid ? &w->ep->pasid_back : &w->ep->back;
	struct iommu_domain *gone = w->new->domain;
	u32 pasid = w->way->pasid ?: IOMMU_NO_PASID;

	if (w->way->pasid && !rviommu_core_replaces_pasids())
		kunit_skip(test, "the core replaces no PASIDs");
	w->old->domain->iopf_handler = NULL;
	switch_map_first(w, w->old);
	switch_attach_old(w);
	switch_once(w, false, 1);
	rviommu_simtest_free(test, gone);
	KUNIT_EXPECT_FALSE(test, rviommu_back_leads_to(back, pasid, gone));
	switch_expect_old(w, 2);
	w->new = &w->f->space[2];
	KUNIT_ASSERT_EQ(test, switch_replace(w, w->new), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(w->f, 0, w->way->pasid, 1, 1, 3), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(w->new, 1, 3));
	switch_detach(w, w->new);
}

/* Its requests are blocked before and after: nothing is attached, and the next one works. */
static void switch_first(struct kunit *test)
{
	struct switch_world *w = switch_up(test, test->param_value);
	u32 pasid = w->way->pasid;
	struct iopftest *f = w->f;
	unsigned int i;

	switch_map_first(w, w->new);
	w->fails = true;
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, pasid ? iopftest_attach_pasid(f, 0, pasid, w->new) :
				iopftest_attach(f, 0, w->new), w->way->error);
		KUNIT_EXPECT_NULL(test, switch_core(w));
		switch_expect_off(w);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(w->new->domain), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, pasid, 0, 1, i), -EFAULT);
	}
	w->fails = false;
	KUNIT_ASSERT_EQ(test, pasid ? iopftest_attach_pasid(f, 0, pasid, w->new) :
			iopftest_attach(f, 0, w->new), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, pasid, 1, 1, 3), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(w->new, 1, 3));
	switch_detach(w, w->new);
	switch_expect_off(w);
}

/*
 * An interface that is on is not switched on again: while somebody else's requests are handled,
 * nothing can fail there, and he goes on being asked.
 */
static void switch_is_on(struct kunit *test)
{
	static const struct switch_way way = { .pasid = PASID, .error = -EBUSY };
	struct switch_world *w = switch_up(test, &way);
	struct iopftest_space *others = &w->f->space[2];
	struct iopftest *f = w->f;

	if (!rviommu_core_replaces_pasids())
		kunit_skip(test, "the core replaces no PASIDs");
	w->old->domain->iopf_handler = NULL;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, others), 0);
	switch_attach_old(w);
	KUNIT_EXPECT_EQ(test, w->tries, 1);
	w->fails = true;
	KUNIT_EXPECT_EQ(test, switch_replace(w, w->new), 0);
	KUNIT_EXPECT_EQ(test, w->tries, 1);
	KUNIT_EXPECT_EQ(test, w->ep->pri.users, 2);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, PASID, 1, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 2), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(w->new, 1, 1));
	KUNIT_EXPECT_TRUE(test, iopftest_has(others, 1, 2));
	KUNIT_EXPECT_EQ(test, atomic_read(&others->groups), 1);
	switch_detach(w, w->new);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 2, 1, 3), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&others->groups), 2);
	iopftest_expect_clean(f, 0);
}

/* From one handler to another without memory: the old one goes on being asked. */
static void switch_no_memory(struct kunit *test)
{
	struct switch_world *w = switch_up(test, test->param_value);
	struct iopftest *f = w->f;
	unsigned int tries, refused = 0;
	int nth, ret = -ENOMEM;

	if (w->way->pasid && !rviommu_core_replaces_pasids())
		kunit_skip(test, "the core replaces no PASIDs");
	switch_attach_old(w);
	tries = w->tries;
	for (nth = 0; ret && nth < IOPFTEST_PAGES; nth++) {
		testdev_fail(test, &w->failures, nth);
		ret = switch_replace(w, w->new);
		testdev_fail(test, &w->failures, -1);
		KUNIT_EXPECT_EQ(test, w->ep->pri.users, 1);
		KUNIT_EXPECT_TRUE(test, w->ep->pri.enabled);
		KUNIT_EXPECT_EQ(test, w->tries, tries);
		if (!ret)
			break;
		refused++;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_PTR_EQ(test, switch_core(w), w->old->domain);
		KUNIT_EXPECT_EQ(test, rviommu_simtest_users(w->new->domain), 0);
		KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, w->way->pasid, nth, 1, nth), 0);
		KUNIT_EXPECT_TRUE(test, iopftest_has(w->old, nth, nth));
		KUNIT_EXPECT_EQ(test, atomic_read(&w->old->groups), nth + 1);
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	/* The attachment; the copy of a page of contexts */
	KUNIT_EXPECT_GE(test, refused, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&w->new->groups), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, w->way->pasid, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&w->new->groups), 1);
	iopftest_expect_clean(f, 0);
	switch_detach(w, w->new);
	switch_expect_off(w);
}

static struct kunit_case switch_cases[] = {
	KUNIT_CASE_PARAM(switch_refused, switch_way_gen_params),
	KUNIT_CASE_PARAM(switch_domain_goes, switch_way_gen_params),
	KUNIT_CASE_PARAM(switch_first, switch_way_gen_params),
	KUNIT_CASE(switch_is_on),
	KUNIT_CASE_PARAM(switch_no_memory, switch_way_gen_params),
	{}
};

static struct kunit_suite switch_suite = {
	.name = "rviommu_iopf_switch",
	.test_cases = switch_cases,
};

kunit_test_suite(switch_suite);
