// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU that is a platform device (device tree: riscv,iommu).
 */
#include <linux/acpi.h>
#include <linux/bitfield.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/msi.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "device.h"
#include "glue.h"
#include "mem.h"
#include "quirks.h"
#include "rviommu.h"

/**
 * struct rviommu_platform - a platform device with its IOMMU
 * @bus: how to reach it
 * @iommu: the IOMMU
 * @msg: message of each vector, as last composed; written by the MSI core
 *       before the interrupt is enabled or when it moves to another CPU
 */
struct rviommu_platform {
	struct rviommu_bus bus;
	struct rviommu iommu;
	struct msi_msg msg[RVIOMMU_NR_CAUSES];
};

static int rviommu_platform_wires(struct platform_device *pdev, struct rviommu_bus *bus)
{
	int i, irq, nr = platform_irq_count(pdev);

	if (nr < 0)
		return nr;
	nr = min(nr, RVIOMMU_NR_CAUSES);
	for (i = 0; i < nr; i++) {
		irq = platform_get_irq(pdev, i);
		if (irq < 0)
			return irq;
		bus->irqs[i] = irq;
	}
	bus->nr_irqs = nr;
	bus->wired = true;
	return nr ? 0 : -ENXIO;
}

#ifdef CONFIG_GENERIC_MSI_IRQ
static void rviommu_platform_write_vector(struct rviommu_platform *plat, unsigned int vector)
{
	const struct msi_msg *msg = &plat->msg[vector];
	struct rviommu_bus *bus = &plat->bus;
	u64 addr = (u64)msg->address_hi << 32 | msg->address_lo;

	/* Masked meanwhile: address and data must not be used half (spec "msi_cfg_tbl"). */
	bus->ops->write32(bus, RVIOMMU_REG_MSI_VEC_CTL(vector), RVIOMMU_MSI_VEC_CTL_M);
	/* Nor before there are any: what was pending would be written to address 0. */
	if (!addr)
		return;
	rviommu_bus_write64(bus, RVIOMMU_REG_MSI_ADDR(vector), addr & RVIOMMU_MSI_ADDR);
	bus->ops->write32(bus, RVIOMMU_REG_MSI_DATA(vector), msg->data);
	bus->ops->write32(bus, RVIOMMU_REG_MSI_VEC_CTL(vector), 0);
}

static void rviommu_platform_write_msg(struct msi_desc *desc, struct msi_msg *msg)
{
	struct rviommu_platform *plat = dev_get_drvdata(msi_desc_to_dev(desc));

	plat->msg[desc->msi_index] = *msg;
	rviommu_platform_write_vector(plat, desc->msi_index);
}

static void rviommu_platform_prepare_msi(struct rviommu_bus *bus)
{
	struct rviommu_platform *plat = container_of(bus, struct rviommu_platform, bus);
	unsigned int i;

	for (i = 0; i < bus->nr_irqs; i++)
		rviommu_platform_write_vector(plat, i);
}

/*
 * Nobody takes messages yet. The MSI parent may probe later than the IOMMU: then so does
 * the IOMMU. What is no MSI controller, or is disabled, will never be one.
 */
static int rviommu_platform_no_parent(struct device *dev)
{
	struct fwnode_handle *parent = fwnode_find_reference(dev_fwnode(dev), "msi-parent", 0);
	bool comes;

	if (IS_ERR(parent))
		return -ENXIO;
	comes = fwnode_property_present(parent, "msi-controller") &&
		fwnode_device_is_available(parent);
	if (!comes)
		dev_warn(dev, "its msi-parent %pfw is no MSI controller, or disabled\n", parent);
	fwnode_handle_put(parent);
	return comes ? -EPROBE_DEFER : -ENXIO;
}

static int rviommu_platform_msis(struct platform_device *pdev, struct rviommu_bus *bus)
{
	struct device *dev = &pdev->dev;
	unsigned int i;
	int ret;

	if (dev->of_node)
		of_msi_configure(dev, dev->of_node);
	if (!dev_get_msi_domain(dev))
		return rviommu_platform_no_parent(dev);
	ret = platform_device_msi_init_and_alloc_irqs(dev, RVIOMMU_NR_CAUSES,
						      rviommu_platform_write_msg);
	if (ret)
		return ret;
	for (i = 0; i < RVIOMMU_NR_CAUSES; i++)
		bus->irqs[i] = msi_get_virq(dev, i);
	bus->nr_irqs = RVIOMMU_NR_CAUSES;
	bus->prepare_msi = rviommu_platform_prepare_msi;
	return 0;
}

static void rviommu_platform_free_msis(struct device *dev)
{
	platform_device_msi_free_irqs_all(dev);
}
#else
static int rviommu_platform_msis(struct platform_device *pdev, struct rviommu_bus *bus)
{
	return -ENXIO;
}

static void rviommu_platform_free_msis(struct device *dev)
{
}
#endif

/**
 * rviommu_platform_wait() - is there still a driver to wait for?
 * @dev: the device that waits
 *
 * As long as the kernel waits for drivers at all (deferred_probe_timeout=), which it
 * says when it is over. A KUnit test decides itself.
 *
 * Return: -EPROBE_DEFER, or another error when nobody comes any more.
 */
int rviommu_platform_wait(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_platform_wait, dev);
	return driver_deferred_probe_check_state(dev);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_platform_wait);

/*
 * Messages where the IOMMU has them and there is somebody to take them, else wires. Waits
 * for the drivers of either, but not for ever.
 */
static int rviommu_platform_irqs(struct platform_device *pdev, struct rviommu_bus *bus)
{
	unsigned int igs = FIELD_GET(RVIOMMU_CAP_IGS,
				     rviommu_bus_read64(bus, RVIOMMU_REG_CAPABILITIES));
	struct device *dev = &pdev->dev;
	int ret = -ENXIO;

	if (igs != RVIOMMU_IGS_WSI)
		ret = rviommu_platform_msis(pdev, bus);
	if (ret == -EPROBE_DEFER)
		ret = rviommu_platform_wait(dev);
	if (ret && ret != -EPROBE_DEFER && igs != RVIOMMU_IGS_MSI) {
		ret = rviommu_platform_wires(pdev, bus);
		if (ret == -EPROBE_DEFER)
			ret = rviommu_platform_wait(dev);
	}
	return ret ? dev_err_probe(dev, ret, "no interrupt vector to be had\n") : 0;
}

static void rviommu_platform_free_irqs(struct platform_device *pdev, const struct rviommu_bus *bus)
{
	if (!bus->wired)
		rviommu_platform_free_msis(&pdev->dev);
}

static int rviommu_platform_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct rviommu_platform *plat;
	struct resource *res;
	int ret;

	if (has_acpi_companion(dev))
		return dev_err_probe(dev, -ENODEV,
				     "on ACPI systems devices are bound to it by the RIMT table, which the kernel does not offer to modules\n");

	plat = rviommu_devm_zalloc(dev, sizeof(*plat));
	if (!plat)
		return -ENOMEM;
	plat->bus.regs = devm_platform_get_and_ioremap_resource(pdev, 0, &res);
	/* It says itself why not. */
	if (IS_ERR(plat->bus.regs))
		return PTR_ERR(plat->bus.regs);
	if (resource_size(res) < RVIOMMU_REG_SIZE)
		return dev_err_probe(dev, -ENODEV, "%pR has no room for the registers\n", res);
	plat->bus.ops = rviommu_mmio_bus_ops();
	plat->bus.dev = dev;
	plat->bus.fwnode = dev_fwnode(dev);
	plat->bus.name = rviommu_devm_name(dev);
	if (!plat->bus.name)
		return -ENOMEM;
	/* QEMU's machine "virt", whose IOMMU has no compatible string of its own */
	if (of_machine_is_compatible("riscv-virtio"))
		plat->bus.quirks = RVIOMMU_QUIRKS_QEMU;
	/* Before the interrupts: the MSI core calls back with the device only. */
	platform_set_drvdata(pdev, plat);

	ret = rviommu_platform_irqs(pdev, &plat->bus);
	if (ret)
		return ret;
	ret = rviommu_probe(&plat->iommu, &plat->bus);
	if (ret)
		rviommu_platform_free_irqs(pdev, &plat->bus);
	return ret;
}

static void rviommu_platform_remove(struct platform_device *pdev)
{
	struct rviommu_platform *plat = platform_get_drvdata(pdev);

	rviommu_remove(&plat->iommu);
	rviommu_platform_free_irqs(pdev, &plat->bus);
}

static void rviommu_platform_shutdown(struct platform_device *pdev)
{
	struct rviommu_platform *plat = platform_get_drvdata(pdev);

	rviommu_shutdown(&plat->iommu);
}

static int rviommu_platform_suspend(struct device *dev)
{
	struct rviommu_platform *plat = dev_get_drvdata(dev);

	return rviommu_suspend(&plat->iommu);
}

static int rviommu_platform_resume(struct device *dev)
{
	struct rviommu_platform *plat = dev_get_drvdata(dev);

	return rviommu_resume(&plat->iommu);
}

static DEFINE_NOIRQ_DEV_PM_OPS(rviommu_platform_pm, rviommu_platform_suspend,
			       rviommu_platform_resume);

static const struct of_device_id rviommu_of_ids[] = {
	{ .compatible = "riscv,iommu" },
	{}
};
MODULE_DEVICE_TABLE(of, rviommu_of_ids);

/* Only to say why it does not work. */
static const struct acpi_device_id rviommu_acpi_ids[] = {
	{ "RSCV0004", 0 },
	{}
};
MODULE_DEVICE_TABLE(acpi, rviommu_acpi_ids);

static struct platform_driver rviommu_platform_driver = {
	.probe = rviommu_platform_probe,
	.remove = rviommu_platform_remove,
	.shutdown = rviommu_platform_shutdown,
	.driver = {
		.name = "rviommu",
		.of_match_table = rviommu_of_ids,
		.acpi_match_table = ACPI_PTR(rviommu_acpi_ids),
		.pm = pm_sleep_ptr(&rviommu_platform_pm),
		.suppress_bind_attrs = true,
	},
};

/**
 * rviommu_platform_register() - look for IOMMUs that are platform devices
 *
 * Return: 0, or an error of the driver core.
 */
int rviommu_platform_register(void)
{
	return platform_driver_register(&rviommu_platform_driver);
}

/**
 * rviommu_platform_unregister() - undo rviommu_platform_register()
 */
void rviommu_platform_unregister(void)
{
	platform_driver_unregister(&rviommu_platform_driver);
}
