// SPDX-License-Identifier: GPL-2.0-only
/* Devices behind a simulated IOMMU: platform devices, each with a DMA engine. */
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "sim.h"

/* Frees what there is of a device that is not registered (any more). */
static void sim_endpoint_free(struct sim_endpoint *ep)
{
	if (!IS_ERR_OR_NULL(ep->fwnode))
		fwnode_remove_software_node(ep->fwnode);
	if (ep->engine.pri.sim)
		sim_pri_del(&ep->engine.pri);
	if (ep->engine.atc.sim)
		sim_atc_del(&ep->engine.atc);
	kfree(ep);
}

static int sim_endpoint_register(struct sim_endpoint *ep, struct rviommu_sim *sim, u32 id)
{
	const struct property_entry properties[] = {
		PROPERTY_ENTRY_U32("pasid-num-bits", sim->config.pasid_bits),
		{}
	};
	struct device *dev = &ep->pdev->dev;
	int ret;

	ret = sim_atc_add(&ep->engine.atc, sim, id);
	if (!ret)
		ret = sim_pri_add(&ep->engine.pri, sim, id);
	if (ret)
		return ret;
	if (sim->config.pasid_bits) {
		ep->fwnode = fwnode_create_software_node(properties, NULL);
		if (IS_ERR(ep->fwnode))
			return PTR_ERR(ep->fwnode);
		device_set_node(dev, ep->fwnode);
	}
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	*dev->dma_mask = DMA_BIT_MASK(64);
	ret = sim_name_iommu(dev, sim->bus.fwnode, id);
	if (ret)
		return ret;
	/* First the engine: the IOMMU's driver asks about the device it is given. */
	ep->engine.enabled = SIM_ENGINE_ALL;
	sim_engine_add(&ep->engine, sim, dev, id);
	ret = platform_device_add(ep->pdev);
	if (ret)
		sim_engine_del(&ep->engine);
	return ret;
}

/* Let a device, which has its DMA engine, have the driver that user space commands. */
static int sim_bind_exerciser(struct platform_device *pdev)
{
	int ret = rviommu_set_driver_override(pdev, SIM_EXERCISER);

	if (ret)
		return ret;
	ret = device_attach(&pdev->dev);
	if (ret < 0)
		return ret;
	return ret ? 0 : -ENODEV;
}

/**
 * sim_endpoint_add() - plug a device in
 * @sim: behind which instance
 * @index: which of its endpoints
 *
 * Return: the device, or an error pointer.
 */
struct sim_endpoint *sim_endpoint_add(struct rviommu_sim *sim, unsigned int index)
{
	u32 id = sim->config.first_id + index;
	struct platform_device *pdev;
	struct sim_endpoint *ep;
	int ret;

	ep = kzalloc(sizeof(*ep), GFP_KERNEL);
	if (!ep)
		return ERR_PTR(-ENOMEM);
	pdev = platform_device_alloc("rviommu-sim-endpoint", PLATFORM_DEVID_AUTO);
	if (!pdev) {
		kfree(ep);
		return ERR_PTR(-ENOMEM);
	}
	ep->pdev = pdev;
	ret = sim_endpoint_register(ep, sim, id);
	if (ret) {
		sim_forget_iommu(&pdev->dev);
		sim_put_device(pdev);
		sim_endpoint_free(ep);
		return ERR_PTR(ret);
	}
	if (!device_iommu_mapped(&pdev->dev)) {
		dev_err(&pdev->dev, "the IOMMU did not take the device\n");
		ret = -ENODEV;
	} else if (sim->config.exerciser) {
		ret = sim_bind_exerciser(pdev);
	}
	if (!ret)
		return ep;
	sim_endpoint_del(ep);
	return ERR_PTR(ret);
}

/**
 * sim_endpoint_del() - pull a device out
 * @ep: from sim_endpoint_add()
 *
 * Somebody may have a reference to the device still: it has no engine any more.
 */
void sim_endpoint_del(struct sim_endpoint *ep)
{
	sim_engine_del(&ep->engine);
	down_write(&sim_registering);
	sim_forget_iommu(&ep->pdev->dev);
	platform_device_del(ep->pdev);
	sim_put_device(ep->pdev);
	up_write(&sim_registering);
	/* The link to its IOMMU holds the device, and the device its node. */
	device_link_wait_removal();
	sim_endpoint_free(ep);
}
