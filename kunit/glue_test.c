// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the driver and its buses: pci.c and platform.c, with an IOMMU that the buses
 * find, but whose registers are those of the fake register bus. What matters is which
 * interrupts it gets, that they arrive, and what is left when it cannot be used.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/ioport.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/property.h>
#include <linux/sizes.h>

#include "../src/driver/compat.h"
#include "../src/driver/glue.h"
#include "../src/driver/queue.h"
#include "../src/sim/config_space.h"
#include "testdev.h"
#include "testlog.h"

#define DOMAIN		0x7e57
#define DEVFN		PCI_DEVFN(3, 0)
#define BAR_SIZE	SZ_16K
#define CAP_MSI		0x40
#define CAP_MSIX	0x60

/**
 * struct glue - an IOMMU on a bus
 * @sysdata: what x86 wants to find behind every bus's sysdata
 * @test: whose
 * @td: its registers, and its wires
 * @log: what is said of it
 * @bridge: host bridge of the function; NULL: none (any more)
 * @busn: its bus number
 * @window: where the function's memory is. Nothing answers there.
 * @config: configuration space of the function
 * @writable: bits of it that software can write
 * @pdev: the function, as the core found it
 * @platform: the platform device
 * @msi_parent: what firmware says takes its messages; NULL: it says nothing
 */
struct glue {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;
#endif
	struct kunit *test;
	struct testdev *td;
	struct testlog log;
	struct pci_host_bridge *bridge;
	struct resource busn;
	struct resource window;
	u8 config[PCI_CFG_SPACE_SIZE];
	u8 writable[PCI_CFG_SPACE_SIZE];
	struct pci_dev *pdev;
	struct platform_device *platform;
	struct fwnode_handle *msi_parent;
};

/* ----- Registers: wherever the bus says they are ----- */

/* Those of the test that runs. Its interrupt threads read them, too. */
static struct rviommu_bus *glue_bus;

static u32 glue_read32(struct rviommu_bus *bus, unsigned int offset)
{
	return glue_bus->ops->read32(glue_bus, offset);
}

static void glue_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	glue_bus->ops->write32(glue_bus, offset, value);
}

static const struct rviommu_bus_ops glue_ops = {
	.read32 = glue_read32,
	.write32 = glue_write32,
};

static const struct rviommu_bus_ops *glue_bus_ops(void)
{
	return &glue_ops;
}

/* The driver has it translate and signal, or neither. */
static void glue_expect_up(struct glue *g, bool up)
{
	struct kunit *test = g->test;

	KUNIT_EXPECT_EQ(test, testdev_mode(g->td), up ? 4 : 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_CQCSR) & 0x10001,
			up ? 0x10001 : 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_FQCSR) & 0x10001,
			up ? 0x10001 : 0);
}

/**
 * struct glue_interrupt - an interrupt that arrives in hard interrupt context
 * @work: where it does
 * @irq: which
 */
struct glue_interrupt {
	struct irq_work work;
	int irq;
};

static void glue_interrupt(struct irq_work *work)
{
	generic_handle_irq(container_of(work, struct glue_interrupt, work)->irq);
}

/* Messages of a PC want that context; of a wire the fake registers are read, which have a lock. */
static void glue_raise(int irq)
{
	struct glue_interrupt raise = {
		.work = IRQ_WORK_INIT_HARD(glue_interrupt), .irq = irq,
	};

	if (irqd_is_handle_enforce_irqctx(irq_get_irq_data(irq))) {
		irq_work_queue(&raise.work);
		irq_work_sync(&raise.work);
	} else {
		generic_handle_irq_safe(irq);
	}
	synchronize_irq(irq);
}

/* A fault, and the interrupt by which icvec announces it: the driver reads it. */
static void glue_expect_fault(struct glue *g, const int *irqs)
{
	struct rviommu_fault_record rec = { .hdr = cpu_to_le64(0x0001230c0000000f) };
	unsigned int vector = fakebus_peek(g->td->bus, RVIOMMU_REG_ICVEC) >> 4 & 0xf;
	struct kunit *test = g->test;

	KUNIT_ASSERT_TRUE(test, fakebus_fault(g->td->bus, &rec));
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_IPSR), 2);
	glue_raise(irqs[vector]);
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_IPSR), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_FQB + RVIOMMU_QUEUE_HEAD),
			fakebus_peek(g->td->bus, RVIOMMU_REG_FQB + RVIOMMU_QUEUE_TAIL));
}

/* The bus suspends and resumes it without the interrupts, with a loss of power between. */
static void glue_sleep(struct glue *g, struct device *dev)
{
	const struct dev_pm_ops *pm = dev->driver->pm;

	if (!IS_ENABLED(CONFIG_PM_SLEEP))
		return;
	KUNIT_ASSERT_NOT_NULL(g->test, pm);
	KUNIT_EXPECT_EQ(g->test, pm->suspend_noirq(dev), 0);
	KUNIT_EXPECT_EQ(g->test, fakebus_peek(g->td->bus, RVIOMMU_REG_CQCSR) & 0x10001, 0);
	testdev_power_loss(g->td);
	KUNIT_EXPECT_EQ(g->test, pm->resume_noirq(dev), 0);
	glue_expect_up(g, true);
}

/* @text was said once since the last time, and so many errors of @dev, it included. */
static void glue_expect_said(struct glue *g, struct device *dev, const char *text,
			     unsigned int errors)
{
	unsigned int heard;
	char speaker[64];

	snprintf(speaker, sizeof(speaker), "rviommu %s: ", dev_name(dev));
	/* The core of the kernel adds a line of its own for most errors. */
	heard = testlog_errors(&g->log, speaker) -
		testlog_errors(&g->log, "probe with driver rviommu failed");
	KUNIT_EXPECT_EQ_MSG(g->test, heard, errors, "%s", text);
	KUNIT_EXPECT_EQ_MSG(g->test, testlog_lines(&g->log, text), 1, "%s", text);
	testlog_start(&g->log);
}

/* ----- The PCI function ----- */

static struct glue *glue_at(struct pci_bus *bus, unsigned int devfn)
{
	return devfn == DEVFN && !bus->number ? bus->sysdata : NULL;
}

static int glue_config_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
			    u32 *value)
{
	struct glue *g = glue_at(bus, devfn);

	*value = ~0U;
	if (!g)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = where + size <= PCI_CFG_SPACE_SIZE ? rviommu_cfg_get(g->config, where, size) : 0;
	return PCIBIOS_SUCCESSFUL;
}

static int glue_config_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
			     u32 value)
{
	struct glue *g = glue_at(bus, devfn);
	u32 mask;

	if (!g)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (where + size > PCI_CFG_SPACE_SIZE)
		return PCIBIOS_SUCCESSFUL;
	mask = rviommu_cfg_get(g->writable, where, size);
	rviommu_cfg_put(g->config, where, size,
			(rviommu_cfg_get(g->config, where, size) & ~mask) | (value & mask));
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops glue_pci_ops = {
	.read = glue_config_read,
	.write = glue_config_write,
};

/* INTA# is the first wire. */
static int glue_map_irq(const struct pci_dev *pdev, u8 slot, u8 pin)
{
	struct glue *g = pdev->bus->sysdata;

	return g->td->bus->irqs[0];
}

static void glue_pci_remove(void *data)
{
	struct glue *g = data;

	if (!g->bridge)
		return;
	pci_lock_rescan_remove();
	pci_stop_root_bus(g->bridge->bus);
	pci_remove_root_bus(g->bridge->bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(g->bridge);
	g->bridge = NULL;
	g->pdev = NULL;
	if (!IS_ENABLED(CONFIG_PCI_DOMAINS_GENERIC))
		rviommu_release_pci_domain(DOMAIN);
	release_resource(&g->window);
}

/* Address space where nothing is: the driver maps it, and does not get there. */
static int glue_take_window(struct glue *g)
{
	g->window = (struct resource) {
		.name = "rviommu_kunit",
		.flags = IORESOURCE_MEM | IORESOURCE_MEM_64,
	};
	return allocate_resource(&iomem_resource, &g->window, SZ_1M, 1ULL << 32,
				 (1ULL << 38) - 1, SZ_1M, NULL, NULL);
}

static void glue_forget_bus(void *data)
{
	glue_bus = NULL;
}

static struct glue *glue_create(struct kunit *test)
{
	struct glue *g = kunit_kzalloc(test, sizeof(*g), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, g);
#ifdef CONFIG_X86
	/* to_pci_sysdata() */
	BUILD_BUG_ON(offsetof(struct glue, sysdata));
#endif
	g->test = test;
	g->td = testdev_create(test, TESTDEV_CAPS, 4);
	glue_bus = g->td->bus;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, glue_forget_bus, NULL));
	kunit_activate_static_stub(test, rviommu_mmio_bus_ops, glue_bus_ops);
	testlog_start(&g->log);
	return g;
}

/*
 * QEMU's function, with so much memory, so many vectors of each kind (MSI: 1, 2 or 4; 0:
 * without that kind), and maybe a wire.
 */
static void glue_layout(struct glue *g, u32 bar, unsigned int msix, unsigned int msi, bool wire)
{
	u8 *r = g->config, *w = g->writable;
	unsigned int last = PCI_CAPABILITY_LIST;

	memset(r, 0, PCI_CFG_SPACE_SIZE);
	memset(w, 0, PCI_CFG_SPACE_SIZE);
	rviommu_cfg_put(r, PCI_VENDOR_ID, 2, PCI_VENDOR_ID_REDHAT);
	rviommu_cfg_put(r, PCI_DEVICE_ID, 2, 0x0014);
	rviommu_cfg_put(w, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_DISABLE);
	rviommu_cfg_put(r, PCI_CLASS_DEVICE, 2, 0x0806);
	if (bar) {
		rviommu_cfg_put(r, PCI_BASE_ADDRESS_0, 4, PCI_BASE_ADDRESS_MEM_TYPE_64);
		rviommu_cfg_put(w, PCI_BASE_ADDRESS_0, 4, ~(bar - 1));
		rviommu_cfg_put(w, PCI_BASE_ADDRESS_1, 4, ~0U);
	}
	rviommu_cfg_put(w, PCI_INTERRUPT_LINE, 1, 0xff);
	rviommu_cfg_put(r, PCI_INTERRUPT_PIN, 1, wire ? 1 : 0);
	if (msi || msix)
		rviommu_cfg_put(r, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	if (msi) {
		rviommu_cfg_put(r, last, 1, CAP_MSI);
		last = CAP_MSI + 1;
		rviommu_cfg_put(r, CAP_MSI, 1, PCI_CAP_ID_MSI);
		rviommu_cfg_put(r, CAP_MSI + PCI_MSI_FLAGS, 2,
				PCI_MSI_FLAGS_64BIT | (msi > 2 ? 2 : msi - 1) << 1);
		rviommu_cfg_put(w, CAP_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE |
				PCI_MSI_FLAGS_QSIZE);
		rviommu_cfg_put(w, CAP_MSI + PCI_MSI_ADDRESS_LO, 4, ~3U);
		rviommu_cfg_put(w, CAP_MSI + PCI_MSI_ADDRESS_HI, 4, ~0U);
		rviommu_cfg_put(w, CAP_MSI + PCI_MSI_DATA_64, 2, 0xffff);
	}
	if (msix) {
		rviommu_cfg_put(r, last, 1, CAP_MSIX);
		rviommu_cfg_put(r, CAP_MSIX, 1, PCI_CAP_ID_MSIX);
		rviommu_cfg_put(r, CAP_MSIX + PCI_MSIX_FLAGS, 2, msix - 1);
		rviommu_cfg_put(w, CAP_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE |
				PCI_MSIX_FLAGS_MASKALL);
		/* Behind the registers, in the same memory */
		rviommu_cfg_put(r, CAP_MSIX + PCI_MSIX_TABLE, 4, 0x2000);
		rviommu_cfg_put(r, CAP_MSIX + PCI_MSIX_PBA, 4, 0x3000);
	}
}

/* Let the core find it. Whether the driver took it then says glue_bound(). */
static void glue_plug(struct glue *g)
{
	struct pci_host_bridge *bridge;
	struct kunit *test = g->test;
	int ret;

	bridge = pci_alloc_host_bridge(0);
	KUNIT_ASSERT_NOT_NULL(test, bridge);
	g->busn = (struct resource) { .name = "rviommu_kunit", .flags = IORESOURCE_BUS };
	ret = rviommu_reserve_pci_domain(DOMAIN) ? 0 : -EBUSY;
	if (!ret) {
		ret = glue_take_window(g);
		if (ret)
			rviommu_release_pci_domain(DOMAIN);
	}
	if (ret)
		pci_free_host_bridge(bridge);
	KUNIT_ASSERT_EQ(test, ret, 0);
#ifdef CONFIG_X86
	g->sysdata.domain = DOMAIN;
	g->sysdata.node = NUMA_NO_NODE;
#endif
#ifdef CONFIG_PCI_DOMAINS_GENERIC
	bridge->domain_nr = DOMAIN;
#endif
	pci_add_resource(&bridge->windows, &g->busn);
	pci_add_resource(&bridge->windows, &g->window);
	bridge->sysdata = g;
	bridge->ops = &glue_pci_ops;
	bridge->map_irq = glue_map_irq;
	ret = pci_host_probe(bridge);
	if (ret) {
		pci_free_host_bridge(bridge);
		/* The bridge had it, where it knows of that. */
		if (!IS_ENABLED(CONFIG_PCI_DOMAINS_GENERIC))
			rviommu_release_pci_domain(DOMAIN);
		release_resource(&g->window);
	}
	KUNIT_ASSERT_EQ(test, ret, 0);
	g->bridge = bridge;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, glue_pci_remove, g));
	g->pdev = pci_get_slot(bridge->bus, DEVFN);
	KUNIT_ASSERT_NOT_NULL(test, g->pdev);
	/* The bus holds it as long as the test looks at it. */
	pci_dev_put(g->pdev);
}

static void glue_unplug(struct glue *g)
{
	kunit_release_action(g->test, glue_pci_remove, g);
}

static bool glue_bound(const struct device *dev)
{
	return dev->driver && !strcmp(dev->driver->name, "rviommu");
}

/**
 * struct glue_kind - interrupts that a function may have
 * @name: what it has
 * @msix: vectors of MSI-X, or 0
 * @msi: vectors of MSI, or 0
 * @wire: INTA#
 * @used: vectors that the IOMMU gets
 */
struct glue_kind {
	const char *name;
	unsigned int msix;
	unsigned int msi;
	bool wire;
	unsigned int used;
};

static const struct glue_kind glue_kinds[] = {
	{ "MSI-X, 4 vectors", 4, 0, false, 4 },
	{ "MSI-X, 16 vectors", 16, 0, false, 4 },
	{ "MSI-X, 3 vectors", 3, 0, false, 3 },
	{ "MSI-X, 1 vector", 1, 0, false, 1 },
	{ "MSI-X, MSI and a wire", 4, 1, true, 4 },
	{ "MSI, 1 vector", 0, 1, false, 1 },
	{ "MSI, 4 vectors", 0, 4, false, 0 },
	{ "MSI, 1 vector, and a wire", 0, 1, true, 1 },
	{ "a wire", 0, 0, true, 1 },
};

static void glue_kind_name(const struct glue_kind *kind, char *name)
{
	strscpy(name, kind->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(glue_kind, glue_kinds, glue_kind_name);

/* Each kind of interrupts, up to a fault that arrives; suspend, resume, and away again. */
static void glue_pci(struct kunit *test)
{
	const struct glue_kind *kind = test->param_value;
	const bool messages = kind->msix || kind->msi;
	struct glue *g = glue_create(test);
	int irqs[RVIOMMU_NR_CAUSES];
	unsigned int i, used;
	u16 command;

	/* Elsewhere a bridge has to say who takes its messages, and memory has to answer. */
	if (messages && !IS_ENABLED(CONFIG_X86))
		kunit_skip(test, "messages need the interrupt controllers of a PC");
	glue_layout(g, BAR_SIZE, kind->msix, kind->msi, kind->wire);
	glue_plug(g);
	KUNIT_ASSERT_TRUE(test, glue_bound(&g->pdev->dev));
	glue_expect_said(g, &g->pdev->dev, "no device tree describes it", 0);
	glue_expect_up(g, true);
	KUNIT_EXPECT_EQ(test, !g->pdev->msix_enabled, !kind->msix);
	KUNIT_EXPECT_EQ(test, !g->pdev->msi_enabled, !kind->msi || kind->msix);
	KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_FCTL), messages ? 0 : 2);
	command = rviommu_cfg_get(g->config, PCI_COMMAND, 2);
	KUNIT_EXPECT_TRUE(test, command & PCI_COMMAND_MASTER);
	KUNIT_EXPECT_TRUE(test, command & PCI_COMMAND_MEMORY);

	/* Several messages without MSI-X need hardware that remaps them: then one does. */
	for (used = 0; used < RVIOMMU_NR_CAUSES; used++) {
		irqs[used] = pci_irq_vector(g->pdev, used);
		if (irqs[used] < 0 || !irq_has_action(irqs[used]))
			break;
	}
	KUNIT_ASSERT_GT(test, used, 0);
	if (kind->used)
		KUNIT_EXPECT_EQ(test, used, kind->used);
	if (!messages)
		KUNIT_EXPECT_EQ(test, irqs[0], g->td->bus->irqs[0]);

	glue_expect_fault(g, irqs);
	glue_sleep(g, &g->pdev->dev);
	glue_expect_fault(g, irqs);

	glue_unplug(g);
	glue_expect_up(g, false);
	for (i = 0; i < used; i++)
		KUNIT_EXPECT_FALSE(test, irq_has_action(irqs[i]));
	KUNIT_EXPECT_FALSE(test, rviommu_cfg_get(g->config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	KUNIT_EXPECT_FALSE(test, rviommu_cfg_get(g->config, CAP_MSI + PCI_MSI_FLAGS, 2) &
			   PCI_MSI_FLAGS_ENABLE);
	KUNIT_EXPECT_FALSE(test, rviommu_cfg_get(g->config, CAP_MSIX + PCI_MSIX_FLAGS, 2) &
			   PCI_MSIX_FLAGS_ENABLE);
}

/* What the driver refuses, it leaves as it was, and says why once. */
static void glue_expect_refused(struct glue *g, const char *why)
{
	struct kunit *test = g->test;

	glue_plug(g);
	KUNIT_EXPECT_FALSE(test, glue_bound(&g->pdev->dev));
	glue_expect_said(g, &g->pdev->dev, why, 1);
	glue_expect_up(g, false);
	KUNIT_EXPECT_FALSE(test, irq_has_action(g->td->bus->irqs[0]));
	KUNIT_EXPECT_FALSE(test, g->pdev->msi_enabled);
	KUNIT_EXPECT_FALSE(test, rviommu_cfg_get(g->config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	glue_unplug(g);
}

static void glue_pci_refusals(struct kunit *test)
{
	struct glue *g = glue_create(test);

	glue_layout(g, 0, 0, 0, true);
	glue_expect_refused(g, "BAR 0 has no room for the registers");
	glue_layout(g, 2048, 0, 0, true);
	glue_expect_refused(g, "BAR 0 has no room for the registers");
	glue_layout(g, BAR_SIZE, 0, 0, false);
	glue_expect_refused(g, "no interrupt vector to be had");

	/* By a wire, and it knows messages only. */
	testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES, TESTDEV_CAPS & ~(3ULL << 28));
	glue_layout(g, BAR_SIZE, 0, 0, true);
	glue_expect_refused(g, "cannot signal interrupts by wire");
	if (IS_ENABLED(CONFIG_X86)) {
		testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES,
			       (TESTDEV_CAPS & ~(3ULL << 28)) | 1ULL << 28);
		glue_layout(g, BAR_SIZE, 0, 1, false);
		glue_expect_refused(g, "no interrupt vector to be had");
	}

	/* The function has messages, which the IOMMU cannot send: then by the wire. */
	testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES,
		       (TESTDEV_CAPS & ~(3ULL << 28)) | 1ULL << 28);
	testdev_poke32(g->td, RVIOMMU_REG_FCTL, RVIOMMU_FCTL_WSI);
	glue_layout(g, BAR_SIZE, 0, 1, true);
	glue_plug(g);
	KUNIT_EXPECT_TRUE(test, glue_bound(&g->pdev->dev));
	KUNIT_EXPECT_FALSE(test, g->pdev->msi_enabled);
	KUNIT_EXPECT_TRUE(test, irq_has_action(g->td->bus->irqs[0]));
	glue_unplug(g);

	/* It is the same function that works otherwise. */
	testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES, TESTDEV_CAPS);
	glue_layout(g, BAR_SIZE, 0, 0, true);
	glue_plug(g);
	KUNIT_EXPECT_TRUE(test, glue_bound(&g->pdev->dev));
	glue_unplug(g);
}

/* Memory fails at each of the driver's allocations in turn: nothing of it is left. */
static void glue_pci_memory(struct kunit *test)
{
	struct glue *g = glue_create(test);
	long live = testdev_live();
	struct testdev_failures failures;
	bool failed = true, bound;
	unsigned int n;

	for (n = 0; failed; n++) {
		KUNIT_ASSERT_LT(test, n, 100);
		/* It is fresh, as after its reset. */
		testdev_power_loss(g->td);
		glue_layout(g, BAR_SIZE, 0, 0, true);
		testdev_fail(test, &failures, n);
		glue_plug(g);
		failed = failures.seen > n;
		bound = glue_bound(&g->pdev->dev);
		KUNIT_EXPECT_EQ(test, bound, !failed);
		glue_expect_up(g, bound);
		KUNIT_EXPECT_EQ(test, irq_has_action(g->td->bus->irqs[0]), bound);
		KUNIT_EXPECT_EQ(test, !(rviommu_cfg_get(g->config, PCI_COMMAND, 2) &
					PCI_COMMAND_MASTER), !bound);
		glue_unplug(g);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	testdev_fail(test, &failures, -1);
	/* The device and its name, and what queues and directory need. */
	KUNIT_EXPECT_GT(test, n, 2 + 4);
}

/* Shut down, as before another kernel is started, it translates and signals nothing. */
static void glue_pci_shutdown(struct kunit *test)
{
	struct glue *g = glue_create(test);

	glue_layout(g, BAR_SIZE, 0, 0, true);
	glue_plug(g);
	KUNIT_ASSERT_TRUE(test, glue_bound(&g->pdev->dev));
	glue_expect_up(g, true);
	to_pci_driver(g->pdev->dev.driver)->shutdown(g->pdev);
	glue_expect_up(g, false);
	glue_unplug(g);
}

/* ----- The platform device ----- */

static void glue_platform_remove(void *data)
{
	struct glue *g = data;

	platform_device_unregister(g->platform);
	release_resource(&g->window);
}

/* Registers of @size bytes (0: none), and so many wires. */
static void glue_platform_add(struct glue *g, u32 size, unsigned int wires)
{
	struct kunit *test = g->test;
	struct resource res[1 + 8] = {};
	unsigned int i, nr = 0;
	int ret;

	KUNIT_ASSERT_EQ(test, glue_take_window(g), 0);
	if (size)
		res[nr++] = DEFINE_RES_MEM(g->window.start, size);
	/* There are four; then the first again. */
	for (i = 0; i < wires; i++)
		res[nr++] = DEFINE_RES_IRQ(g->td->bus->irqs[i % 4]);
	ret = -ENOMEM;
	g->platform = platform_device_alloc("rviommu", PLATFORM_DEVID_AUTO);
	if (g->platform)
		ret = platform_device_add_resources(g->platform, res, nr);
	if (!ret && g->msi_parent) {
		const struct software_node *parent = to_software_node(g->msi_parent);
		const struct property_entry properties[] = {
			PROPERTY_ENTRY_REF("msi-parent", parent),
			{}
		};

		ret = device_create_managed_software_node(&g->platform->dev, properties, NULL);
	}
	if (!ret)
		ret = platform_device_add(g->platform);
	if (ret) {
		platform_device_put(g->platform);
		release_resource(&g->window);
	}
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, glue_platform_remove, g));
}

static void glue_platform_del(struct glue *g)
{
	kunit_release_action(g->test, glue_platform_remove, g);
}

/* Any number of wires */
static void glue_platform(struct kunit *test)
{
	const int *irqs;
	unsigned int wires, i;
	struct glue *g;

	if (!IS_ENABLED(CONFIG_RVIOMMU_PLATFORM))
		kunit_skip(test, "without device trees there are no such IOMMUs");
	for (wires = 1; wires <= 5; wires++) {
		g = glue_create(test);
		irqs = g->td->bus->irqs;
		glue_platform_add(g, SZ_4K, wires);
		KUNIT_ASSERT_TRUE(test, glue_bound(&g->platform->dev));
		glue_expect_up(g, true);
		KUNIT_EXPECT_EQ(test, fakebus_peek(g->td->bus, RVIOMMU_REG_FCTL), 2);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_EQ(test, irq_has_action(irqs[i]), i < wires);
		glue_expect_fault(g, irqs);
		glue_sleep(g, &g->platform->dev);
		glue_expect_fault(g, irqs);
		glue_platform_del(g);
		glue_expect_up(g, false);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_FALSE(test, irq_has_action(irqs[i]));
	}

	g = glue_create(test);
	glue_platform_add(g, SZ_4K, 4);
	KUNIT_ASSERT_TRUE(test, glue_bound(&g->platform->dev));
	to_platform_driver(g->platform->dev.driver)->shutdown(g->platform);
	glue_expect_up(g, false);
	glue_platform_del(g);
}

static int glue_waits(struct device *dev)
{
	return -EPROBE_DEFER;
}

static int glue_waits_no_more(struct device *dev)
{
	return -ETIMEDOUT;
}

static void glue_remove_node(void *fwnode)
{
	fwnode_remove_software_node(fwnode);
}

/* The IOMMU could send messages, or by wires, and firmware has a parent for messages. */
static struct glue *glue_with_parent(struct kunit *test, const struct property_entry *properties,
				     u64 igs, unsigned int wires)
{
	struct glue *g = glue_create(test);

	testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES,
		       (TESTDEV_CAPS & ~(3ULL << 28)) | igs << 28);
	g->msi_parent = fwnode_create_software_node(properties, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(g->msi_parent));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, glue_remove_node, g->msi_parent));
	/* The core of the kernel does not wait for a device there; we may. */
	fwnode_dev_initialized(g->msi_parent, true);
	glue_platform_add(g, SZ_4K, wires);
	return g;
}

static void glue_expect_wired(struct glue *g, unsigned int wires)
{
	const int *irqs = g->td->bus->irqs;
	unsigned int i;

	KUNIT_ASSERT_TRUE(g->test, glue_bound(&g->platform->dev));
	glue_expect_up(g, true);
	KUNIT_EXPECT_EQ(g->test, fakebus_peek(g->td->bus, RVIOMMU_REG_FCTL), 2);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(g->test, irq_has_action(irqs[i]), i < wires);
	glue_expect_fault(g, irqs);
}

/*
 * Messages that are not to be had: those who should take them are no MSI controller, or
 * never come. Then by wires, however many there are; and nobody waits for ever.
 */
static void glue_platform_parent(struct kunit *test)
{
	static const struct property_entry nothing[] = {
		{}
	};
	static const struct property_entry controller[] = {
		PROPERTY_ENTRY_BOOL("msi-controller"),
		{}
	};
	unsigned int wires;
	struct device *dev;
	struct glue *g;

	if (!IS_ENABLED(CONFIG_RVIOMMU_PLATFORM))
		kunit_skip(test, "without device trees there are no such IOMMUs");
	if (!IS_ENABLED(CONFIG_GENERIC_MSI_IRQ))
		kunit_skip(test, "this kernel has no messages");
	for (wires = 1; wires <= 4; wires++) {
		kunit_activate_static_stub(test, rviommu_platform_wait, glue_waits);
		g = glue_with_parent(test, nothing, RVIOMMU_IGS_BOTH, wires);
		glue_expect_said(g, &g->platform->dev, "is no MSI controller", 0);
		glue_expect_wired(g, wires);
		glue_platform_del(g);

		g = glue_with_parent(test, controller, RVIOMMU_IGS_BOTH, wires);
		dev = &g->platform->dev;
		KUNIT_EXPECT_FALSE(test, glue_bound(dev));
		glue_expect_up(g, false);
		kunit_activate_static_stub(test, rviommu_platform_wait, glue_waits_no_more);
		KUNIT_EXPECT_EQ(test, device_attach(dev), 1);
		glue_expect_wired(g, wires);
		glue_platform_del(g);
	}

	/* It has no wires: said, as soon as it is certain. */
	g = glue_with_parent(test, nothing, RVIOMMU_IGS_MSI, 4);
	KUNIT_EXPECT_FALSE(test, glue_bound(&g->platform->dev));
	glue_expect_said(g, &g->platform->dev, "no interrupt vector to be had", 1);
	glue_platform_del(g);
	g = glue_with_parent(test, controller, RVIOMMU_IGS_MSI, 4);
	KUNIT_EXPECT_FALSE(test, glue_bound(&g->platform->dev));
	glue_expect_said(g, &g->platform->dev, "no interrupt vector to be had", 1);
	glue_platform_del(g);
}

static void glue_platform_memory(struct kunit *test)
{
	struct glue *g = glue_create(test);
	long live = testdev_live();
	struct testdev_failures failures;
	bool failed = true, bound;
	unsigned int n, i;

	if (!IS_ENABLED(CONFIG_RVIOMMU_PLATFORM))
		kunit_skip(test, "without device trees there are no such IOMMUs");
	for (n = 0; failed; n++) {
		KUNIT_ASSERT_LT(test, n, 100);
		testdev_power_loss(g->td);
		testdev_fail(test, &failures, n);
		glue_platform_add(g, SZ_4K, 4);
		failed = failures.seen > n;
		bound = glue_bound(&g->platform->dev);
		KUNIT_EXPECT_EQ(test, bound, !failed);
		glue_expect_up(g, bound);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_EQ(test, irq_has_action(g->td->bus->irqs[i]), bound);
		glue_platform_del(g);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_GT(test, n, 2 + 4);
}

static void glue_platform_refusals(struct kunit *test)
{
	static const struct {
		u32 size;
		unsigned int wires;
		u64 igs;
		const char *why;
	} cases[] = {
		{ 0, 4, 2, "invalid resource" },
		{ 2048, 4, 2, "has no room for the registers" },
		{ SZ_4K, 0, 2, "no interrupt vector to be had" },
		{ SZ_4K, 0, 1, "no interrupt vector to be had" },
		/* Messages only, and nobody takes them. */
		{ SZ_4K, 4, 0, "no interrupt vector to be had" },
		{ SZ_4K, 4, 3, "cannot signal interrupts by wire" },
	};
	struct glue *g;
	unsigned int i;

	if (!IS_ENABLED(CONFIG_RVIOMMU_PLATFORM))
		kunit_skip(test, "without device trees there are no such IOMMUs");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		g = glue_create(test);
		testdev_poke64(g->td, RVIOMMU_REG_CAPABILITIES,
			       (TESTDEV_CAPS & ~(3ULL << 28)) | cases[i].igs << 28);
		glue_platform_add(g, cases[i].size, cases[i].wires);
		KUNIT_EXPECT_FALSE(test, glue_bound(&g->platform->dev));
		glue_expect_said(g, &g->platform->dev, cases[i].why, 1);
		glue_expect_up(g, false);
		KUNIT_EXPECT_FALSE(test, irq_has_action(g->td->bus->irqs[0]));
		glue_platform_del(g);
	}
}

static struct kunit_case glue_cases[] = {
	KUNIT_CASE_PARAM(glue_pci, glue_kind_gen_params),
	KUNIT_CASE(glue_pci_refusals),
	KUNIT_CASE(glue_pci_memory),
	KUNIT_CASE(glue_pci_shutdown),
	KUNIT_CASE(glue_platform),
	KUNIT_CASE(glue_platform_refusals),
	KUNIT_CASE(glue_platform_parent),
	KUNIT_CASE(glue_platform_memory),
	{}
};

static struct kunit_suite glue_suite = {
	.name = "rviommu_glue",
	.test_cases = glue_cases,
};

kunit_test_suite(glue_suite);
