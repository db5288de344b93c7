// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's cache, as whoever invalidates sees it: PCI functions that sleep, that are gone, and
 * that cannot be reached. They are made up: only what the driver looks at is there.
 */
#include <kunit/test.h>
#include <linux/pci.h>

#include "../src/driver/atc.h"
#include "../src/driver/ats.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "testdev.h"

#define ATS_CTRL	0x106
#define PM_CAP		0x40

/**
 * struct atc_world - a function, and the physical one if it is virtual
 * @bus: of both
 * @ops: of @bus
 * @physical: the physical function
 * @function: a function of its own, or a virtual one
 * @ep: the driver's record of @function
 * @ctrl: its ATS control register
 * @state: its power state, as its registers say; of the physical one, too
 * @wakes: it wakes up when that is written
 * @writes: how often that was written
 * @deaf: writes do not arrive
 * @unreachable: nothing arrives, and reads are ones
 */
struct atc_world {
	struct pci_bus bus;
	struct pci_ops ops;
	struct pci_dev physical;
	struct pci_dev function;
	struct rviommu_endpoint *ep;
	u16 ctrl;
	u16 state;
	bool wakes;
	unsigned int writes;
	bool deaf;
	bool unreachable;
};

static int atc_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct atc_world *w = container_of(bus, struct atc_world, bus);

	if (w->unreachable)
		*value = ~0U;
	else if (where == ATS_CTRL)
		*value = w->ctrl;
	else
		*value = where == PM_CAP + PCI_PM_CTRL ? w->state | PCI_PM_CTRL_NO_SOFT_RESET : 0;
	return PCIBIOS_SUCCESSFUL;
}

static int atc_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct atc_world *w = container_of(bus, struct atc_world, bus);

	if (where != ATS_CTRL)
		return PCIBIOS_SUCCESSFUL;
	w->writes++;
	if (!w->deaf && !w->unreachable)
		w->ctrl = value;
	if (w->wakes)
		w->state = 0;
	return PCIBIOS_SUCCESSFUL;
}

/* It has ATS, and it is on. */
static struct atc_world *atc_world(struct kunit *test, struct rviommu *iommu)
{
	struct atc_world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	w->ep = kunit_kzalloc(test, struct_size(w->ep, ids, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w->ep);
	w->ops.read = atc_read;
	w->ops.write = atc_write;
	w->bus.ops = &w->ops;
	w->physical.dev.bus = &pci_bus_type;
	w->physical.bus = &w->bus;
	w->physical.error_state = pci_channel_io_normal;
	w->function.dev.bus = &pci_bus_type;
	w->function.bus = &w->bus;
	w->function.error_state = pci_channel_io_normal;
	w->function.pm_cap = PM_CAP;
	w->ep->iommu = iommu;
	w->ep->dev = &w->function.dev;
	w->ep->nr_ids = 1;
	w->ep->ats = (struct rviommu_ats){
		.usable = true, .enabled = true, .on = true, .depth = 1, .ctrl = ATS_CTRL,
	};
	mutex_init(&w->ep->lock);
	refcount_set(&w->ep->refs, 1);
	xa_init(&w->ep->pasids);
	w->ctrl = PCI_ATS_CTRL_ENABLE;
	return w;
}

static void atc_power(struct kunit *test)
{
	static const struct {
		pci_power_t state;
		enum rviommu_ats_power power;
	} cases[] = {
		{ PCI_D0, RVIOMMU_ATS_AWAKE },
		{ PCI_D1, RVIOMMU_ATS_ASLEEP },
		{ PCI_D2, RVIOMMU_ATS_ASLEEP },
		{ PCI_D3hot, RVIOMMU_ATS_ASLEEP },
		{ PCI_D3cold, RVIOMMU_ATS_OFF },
		{ PCI_UNKNOWN, RVIOMMU_ATS_AWAKE },
	};
	struct atc_world *w = atc_world(test, NULL);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		w->function.current_state = cases[i].state;
		KUNIT_EXPECT_EQ_MSG(test, rviommu_ats_power(w->ep), cases[i].power, "%u", i);
	}
	w->function.current_state = PCI_D0;
	w->function.error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_OFF);
}

/* The kernel suspends it, and does not know yet that it sleeps. One that only says so does not. */
static void atc_power_suspending(struct kunit *test)
{
	struct atc_world *w = atc_world(test, NULL);

	if (!IS_ENABLED(CONFIG_PM))
		kunit_skip(test, "without power management");
#ifdef CONFIG_PM
	w->function.current_state = PCI_D0;
	w->state = (__force u16)PCI_D3hot;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_AWAKE);
	w->function.dev.power.runtime_status = RPM_SUSPENDING;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_ASLEEP);
	w->state = 0;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_AWAKE);
	w->state = (__force u16)PCI_D3hot;
	w->unreachable = true;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_AWAKE);
	w->unreachable = false;
	w->function.pm_cap = 0;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_AWAKE);
#endif
}

/* A virtual function sleeps, and goes, with the physical one, too, and does not know it. */
static void atc_power_virtual(struct kunit *test)
{
	struct atc_world *w = atc_world(test, NULL);

	if (!IS_ENABLED(CONFIG_PCI_IOV))
		kunit_skip(test, "without virtual functions");
#ifdef CONFIG_PCI_IOV
	w->function.is_virtfn = true;
	w->function.physfn = &w->physical;
#endif
	w->function.current_state = PCI_D0;
	w->physical.current_state = PCI_D0;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_AWAKE);
	w->function.current_state = PCI_D3hot;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_ASLEEP);
	w->function.current_state = PCI_D0;
	w->physical.current_state = PCI_D3hot;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_ASLEEP);
	w->physical.current_state = PCI_D3cold;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_OFF);
	w->physical.current_state = PCI_D0;
	/* It may sleep on its own, too. */
	w->function.current_state = PCI_D3hot;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_ASLEEP);
	w->physical.current_state = PCI_D3cold;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_OFF);
	w->physical.current_state = PCI_D0;
	w->function.current_state = PCI_UNKNOWN;
	w->physical.error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_EQ(test, rviommu_ats_power(w->ep), RVIOMMU_ATS_OFF);
}

/* One that sleeps is not asked if its enable could be taken, and asked if not. */
static void atc_asks(struct kunit *test)
{
	struct atc_world *w = atc_world(test, NULL);

	w->function.current_state = PCI_D0;
	KUNIT_EXPECT_TRUE(test, rviommu_ats_asks(w->ep));
	KUNIT_EXPECT_EQ(test, w->writes, 0);

	w->function.current_state = PCI_D3hot;
	w->state = (__force u16)PCI_D3hot;
	KUNIT_EXPECT_FALSE(test, rviommu_ats_asks(w->ep));
	KUNIT_EXPECT_EQ(test, w->ctrl, 0);
	w->ctrl = PCI_ATS_CTRL_ENABLE;
	w->deaf = true;
	KUNIT_EXPECT_TRUE(test, rviommu_ats_asks(w->ep));
	w->deaf = false;
	w->unreachable = true;
	KUNIT_EXPECT_TRUE(test, rviommu_ats_asks(w->ep));

	w->function.current_state = PCI_D3cold;
	KUNIT_EXPECT_FALSE(test, rviommu_ats_asks(w->ep));
	w->function.current_state = PCI_D0;
	w->ep->ats.on = false;
	KUNIT_EXPECT_FALSE(test, rviommu_ats_asks(w->ep));
}

/*
 * One that woke up meanwhile may be using what it remembers, enable or not: it is asked. The
 * kernel need not know yet that it is awake.
 */
static void atc_asks_woken(struct kunit *test)
{
	struct atc_world *w = atc_world(test, NULL);

	w->function.current_state = PCI_D3hot;
	w->state = (__force u16)PCI_D3hot;
	w->wakes = true;
	KUNIT_EXPECT_TRUE(test, rviommu_ats_away(w->ep));
	KUNIT_EXPECT_TRUE(test, rviommu_ats_asks(w->ep));
	KUNIT_EXPECT_EQ(test, w->ctrl, 0);
	/* Nor one that says that it does not sleep at all. */
	KUNIT_EXPECT_TRUE(test, rviommu_ats_asks(w->ep));
	/* It cannot say. */
	w->function.pm_cap = 0;
	KUNIT_EXPECT_FALSE(test, rviommu_ats_asks(w->ep));
	w->ep->ats.on = false;
	KUNIT_EXPECT_FALSE(test, rviommu_ats_away(w->ep));
}

/* After suspend the enable comes back, but not that of a device that was lost. */
static void atc_resume(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct atc_world *w = atc_world(test, &td->iommu), *lost = atc_world(test, &td->iommu);
	struct rviommu_did did = { .owner = w->ep, .users = 1 };
	struct rviommu_did lost_did = { .owner = lost->ep, .users = 1 };
	struct xarray *dids = &td->iommu.dids;

	w->ctrl = 0;
	lost->ctrl = 0;
	lost->ep->lost = true;
	lost->ep->ats.on = false;
	KUNIT_ASSERT_FALSE(test, xa_is_err(xa_store(dids, 1, &lost_did, GFP_KERNEL)));
	KUNIT_EXPECT_FALSE(test, xa_is_err(xa_store(dids, 2, &did, GFP_KERNEL)));
	rviommu_ats_resume(&td->iommu);
	xa_erase(dids, 1);
	xa_erase(dids, 2);
	KUNIT_EXPECT_EQ(test, w->ctrl, PCI_ATS_CTRL_ENABLE);
	KUNIT_EXPECT_EQ(test, lost->ctrl, 0);
	KUNIT_EXPECT_EQ(test, lost->writes, 0);
	KUNIT_EXPECT_EQ(test, refcount_read(&w->ep->refs), 1);
	KUNIT_EXPECT_EQ(test, refcount_read(&lost->ep->refs), 1);
}

static struct kunit_case atc_cases[] = {
	KUNIT_CASE(atc_power),
	KUNIT_CASE(atc_power_suspending),
	KUNIT_CASE(atc_power_virtual),
	KUNIT_CASE(atc_asks),
	KUNIT_CASE(atc_asks_woken),
	KUNIT_CASE(atc_resume),
	{}
};

static struct kunit_suite atc_suite = {
	.name = "rviommu_atc",
	.test_cases = atc_cases,
};

kunit_test_suite(atc_suite);
