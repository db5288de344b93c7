// SPDX-License-Identifier: GPL-2.0-only
/* The exerciser as a driver of PCI functions: of those whose driver_override asks for it. */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "endpoint.h"
#include "exerciser.h"

static int ex_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = sim_exerciser_probe(&pdev->dev);
	if (ret)
		pci_disable_device(pdev);
	return ret;
}

/* Takes the bus from it, too. */
static void ex_pci_remove(struct pci_dev *pdev)
{
	sim_exerciser_remove(&pdev->dev);
	pci_disable_device(pdev);
}

static struct pci_driver ex_pci_driver = {
	.name = SIM_EXERCISER,
	.probe = ex_pci_probe,
	.remove = ex_pci_remove,
};

/**
 * sim_exerciser_pci_register() - before any instance is built
 *
 * Return: 0, or an error of the driver core.
 */
int sim_exerciser_pci_register(void)
{
	return pci_register_driver(&ex_pci_driver);
}

/**
 * sim_exerciser_pci_unregister() - after all instances are gone
 */
void sim_exerciser_pci_unregister(void)
{
	pci_unregister_driver(&ex_pci_driver);
}
