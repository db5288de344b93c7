// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU that is a PCI function (spec "Integrating an IOMMU as a PCIe
 * device").
 */
#include <linux/bitfield.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "device.h"
#include "glue.h"
#include "mem.h"
#include "quirks.h"
#include "rviommu.h"

/* Base class 08h, sub-class 06h, programming interface 00h */
#define RVIOMMU_PCI_CLASS	0x080600

#define RVIOMMU_PCI_DEVICE_QEMU	0x0014

/**
 * struct rviommu_pci - a PCI function with its IOMMU
 * @bus: how to reach it
 * @iommu: the IOMMU
 */
struct rviommu_pci {
	struct rviommu_bus bus;
	struct rviommu iommu;
};

/* Messages, or a wire if there are none, or the IOMMU can send none. */
static int rviommu_pci_irqs(struct pci_dev *pdev, struct rviommu_bus *bus)
{
	unsigned int igs = FIELD_GET(RVIOMMU_CAP_IGS,
				     rviommu_bus_read64(bus, RVIOMMU_REG_CAPABILITIES));
	int i, nr = -ENXIO;

	if (igs != RVIOMMU_IGS_WSI)
		nr = pci_alloc_irq_vectors(pdev, 1, RVIOMMU_NR_CAUSES, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (nr < 0) {
		nr = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_INTX);
		bus->wired = true;
	}
	if (nr < 0)
		return dev_err_probe(&pdev->dev, nr, "no interrupt vector to be had\n");
	for (i = 0; i < nr; i++)
		bus->irqs[i] = pci_irq_vector(pdev, i);
	bus->nr_irqs = nr;
	return 0;
}

static int rviommu_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct rviommu_pci *pci;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(dev, ret, "cannot be enabled\n");
	if (!(pci_resource_flags(pdev, 0) & IORESOURCE_MEM) ||
	    pci_resource_len(pdev, 0) < RVIOMMU_REG_SIZE)
		return dev_err_probe(dev, -ENODEV, "BAR 0 has no room for the registers\n");

	pci = rviommu_devm_zalloc(dev, sizeof(*pci));
	if (!pci)
		return -ENOMEM;
	pci->bus.regs = pcim_iomap(pdev, 0, 0);
	if (!pci->bus.regs)
		return dev_err_probe(dev, -ENOMEM, "registers cannot be mapped\n");
	pci->bus.ops = rviommu_mmio_bus_ops();
	pci->bus.dev = dev;
	pci->bus.fwnode = dev_fwnode(dev);
	pci->bus.name = rviommu_devm_name(dev);
	if (!pci->bus.name)
		return -ENOMEM;
	pci->bus.quirks = id->driver_data;
	if (!pci->bus.fwnode)
		dev_warn(dev, "no device tree describes it, so no device will be behind it (the RIMT table of ACPI is not offered to modules)\n");

	pci_set_master(pdev);
	ret = rviommu_pci_irqs(pdev, &pci->bus);
	if (ret)
		goto err_master;
	ret = rviommu_probe(&pci->iommu, &pci->bus);
	if (ret)
		goto err_vectors;
	pci_set_drvdata(pdev, pci);
	return 0;

err_vectors:
	pci_free_irq_vectors(pdev);
err_master:
	pci_clear_master(pdev);
	return ret;
}

static void rviommu_pci_remove(struct pci_dev *pdev)
{
	struct rviommu_pci *pci = pci_get_drvdata(pdev);

	rviommu_remove(&pci->iommu);
	pci_free_irq_vectors(pdev);
	pci_clear_master(pdev);
}

static void rviommu_pci_shutdown(struct pci_dev *pdev)
{
	struct rviommu_pci *pci = pci_get_drvdata(pdev);

	rviommu_shutdown(&pci->iommu);
}

static int rviommu_pci_suspend(struct device *dev)
{
	struct rviommu_pci *pci = dev_get_drvdata(dev);

	return rviommu_suspend(&pci->iommu);
}

static int rviommu_pci_resume(struct device *dev)
{
	struct rviommu_pci *pci = dev_get_drvdata(dev);

	return rviommu_resume(&pci->iommu);
}

static DEFINE_NOIRQ_DEV_PM_OPS(rviommu_pci_pm, rviommu_pci_suspend, rviommu_pci_resume);

static const struct pci_device_id rviommu_pci_ids[] = {
	{
		PCI_DEVICE(PCI_VENDOR_ID_REDHAT, RVIOMMU_PCI_DEVICE_QEMU),
		.driver_data = RVIOMMU_QUIRKS_QEMU,
	},
	/*
	 * On other machines IOMMUs of other architectures carry this class
	 * (AMD's does), and nobody may touch those.
	 */
#ifdef CONFIG_RISCV
	{ PCI_DEVICE_CLASS(RVIOMMU_PCI_CLASS, ~0) },
#endif
	{}
};
MODULE_DEVICE_TABLE(pci, rviommu_pci_ids);

static struct pci_driver rviommu_pci_driver = {
	.name = "rviommu",
	.id_table = rviommu_pci_ids,
	.probe = rviommu_pci_probe,
	.remove = rviommu_pci_remove,
	.shutdown = rviommu_pci_shutdown,
	.driver = {
		.pm = pm_sleep_ptr(&rviommu_pci_pm),
		.suppress_bind_attrs = true,
	},
};

/**
 * rviommu_pci_register() - look for IOMMUs that are PCI functions
 *
 * Return: 0, or an error of the PCI core.
 */
int rviommu_pci_register(void)
{
	return pci_register_driver(&rviommu_pci_driver);
}

/**
 * rviommu_pci_unregister() - undo rviommu_pci_register()
 */
void rviommu_pci_unregister(void)
{
	pci_unregister_driver(&rviommu_pci_driver);
}
