// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices behind a simulated IOMMU: platform devices, each with a DMA engine
 * whose every access goes through the model and touches real memory.
 */
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <rviommu/formats.h>

#include "sim.h"

/* The engine's own memory for one page of a copy. */
#define SIM_CHUNK	PAGE_SIZE

/**
 * rviommu_sim_pattern() - byte of a fill pattern
 * @seed: which pattern
 * @offset: which byte of it
 *
 * Bytes at neighbouring offsets and of neighbouring seeds differ, so that data
 * in the wrong place does not pass for right.
 *
 * Return: the byte.
 */
u8 rviommu_sim_pattern(u64 seed, size_t offset)
{
	u64 x = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x >> (8 * (offset & 7));
}
EXPORT_SYMBOL_GPL(rviommu_sim_pattern);

/*
 * Ask the model for the first part of an access. Returns its bytes in one
 * page of memory, held until sim_unmap(), or -EFAULT.
 */
static ssize_t sim_map(struct sim_endpoint *ep, struct rviommu_sim_dma *dma, u64 iova,
		       size_t left, bool write, void **addr, u8 *held)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.pv = dma->pv,
		.priv = dma->priv,
		.exec = dma->exec && !write,
		.write = write,
		.amo = dma->op == RVIOMMU_SIM_FETCH_ADD,
		.hold = true,
		.device_id = ep->id,
		.process_id = dma->pasid,
		.iova = iova,
		.length = min_t(size_t, left, PAGE_SIZE - offset_in_page(iova)),
	};
	struct rviommu_model_response rsp;

	if (rviommu_model_translate(ep->sim->model, &req, &rsp)) {
		dma->cause = rsp.cause;
		return -EFAULT;
	}
	*held = rsp.held;
	/* Nothing lies there, or an interrupt file that a copy cannot write. */
	if (rsp.mrif || !sim_memory(rsp.spa, rsp.length)) {
		rviommu_model_release(ep->sim->model, rsp.held);
		return -EFAULT;
	}
	*addr = phys_to_virt(rsp.spa);
	return rsp.length;
}

static void sim_unmap(struct sim_endpoint *ep, u8 held)
{
	/* What was written is visible before a fence that waits for it completes. */
	smp_mb();
	rviommu_model_release(ep->sim->model, held);
}

static int sim_verify(const u8 *p, size_t n, u64 seed, size_t offset, size_t *good)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (READ_ONCE(p[i]) != rviommu_sim_pattern(seed, offset + i))
			break;
	*good = i;
	return i < n ? -EILSEQ : 0;
}

/* Whole pages are what is copied most: of a known length that is twice as fast. */
static void sim_copy(void *to, const void *from, size_t n)
{
	if (n == PAGE_SIZE)
		memcpy(to, from, PAGE_SIZE);
	else
		memcpy(to, from, n);
}

/* What an engine does with @n bytes at @p, the job's bytes from @dma->done on. */
static int sim_touch(struct rviommu_sim_dma *dma, void *p, size_t n, void *copy, size_t *good)
{
	size_t i;

	*good = n;
	switch (dma->op) {
	case RVIOMMU_SIM_READ:
		sim_copy(dma->buf + dma->done, p, n);
		return 0;
	case RVIOMMU_SIM_WRITE:
		sim_copy(p, dma->buf + dma->done, n);
		return 0;
	case RVIOMMU_SIM_COPY:
		sim_copy(p, copy, n);
		return 0;
	case RVIOMMU_SIM_FILL:
		for (i = 0; i < n; i++)
			((u8 *)p)[i] = rviommu_sim_pattern(dma->operand, dma->done + i);
		return 0;
	case RVIOMMU_SIM_VERIFY:
		return sim_verify(p, n, dma->operand, dma->done, good);
	case RVIOMMU_SIM_FETCH_ADD:
		for (i = 0; i < n / sizeof(u64); i++)
			*(u64 *)copy = atomic64_fetch_add(dma->operand, (atomic64_t *)p + i);
		return 0;
	}
	return -EINVAL;
}

/* The bytes of the next part of a copy, into the engine's memory. */
static ssize_t sim_fetch(struct sim_endpoint *ep, struct rviommu_sim_dma *dma, void *copy)
{
	ssize_t n;
	void *p;
	u8 held;

	n = sim_map(ep, dma, dma->src_iova + dma->done, dma->length - dma->done, false, &p, &held);
	if (n > 0) {
		sim_copy(copy, p, n);
		sim_unmap(ep, held);
	}
	return n;
}

static int sim_dma_run(struct sim_endpoint *ep, struct rviommu_sim_dma *dma, void *copy)
{
	bool write = dma->op != RVIOMMU_SIM_READ && dma->op != RVIOMMU_SIM_VERIFY;
	u64 old;

	while (dma->done < dma->length) {
		size_t left = dma->length - dma->done, good;
		ssize_t n;
		void *p;
		u8 held;
		int ret;

		if (dma->op == RVIOMMU_SIM_COPY) {
			n = sim_fetch(ep, dma, copy);
			if (n < 0)
				return n;
			left = n;
		}
		n = sim_map(ep, dma, dma->iova + dma->done, left, write, &p, &held);
		if (n < 0)
			return n;
		ret = sim_touch(dma, p, n, dma->op == RVIOMMU_SIM_COPY ? copy : &old, &good);
		sim_unmap(ep, held);
		dma->done += good;
		if (ret)
			return ret;
	}
	if (dma->op == RVIOMMU_SIM_FETCH_ADD)
		dma->operand = old;
	return 0;
}

/**
 * rviommu_sim_dma() - let a device move bytes
 * @dev: an endpoint
 * @dma: the job; its last two members say how far it came
 *
 * Any number of threads may use one device. May sleep.
 *
 * Return: 0; -EFAULT: the IOMMU refused an access (@dma->cause), or nothing is
 * where it led (cause 0); -EILSEQ: VERIFY found a wrong byte after @dma->done;
 * -EINVAL; -ENOMEM; -ENODEV: the device is gone.
 */
int rviommu_sim_dma(struct device *dev, struct rviommu_sim_dma *dma)
{
	struct sim_endpoint *ep = dev_get_drvdata(dev);
	void *copy = NULL;
	int ret = -ENODEV;

	dma->done = 0;
	dma->cause = 0;
	if (dma->op == RVIOMMU_SIM_FETCH_ADD &&
	    !IS_ALIGNED(dma->iova | dma->length, sizeof(u64)))
		return -EINVAL;
	if (dma->op == RVIOMMU_SIM_COPY) {
		copy = kmalloc(SIM_CHUNK, GFP_KERNEL);
		if (!copy)
			return -ENOMEM;
	}
	down_read(&ep->lock);
	if (!ep->gone)
		ret = sim_dma_run(ep, dma, copy);
	up_read(&ep->lock);
	kfree(copy);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_dma);

/*
 * iommu_fwspec_init() asserts a lock of the core that a module cannot take. Before
 * the device is added nobody else can see it, so what names its IOMMU can be put
 * there directly; the core frees it with the device.
 */
static int sim_name_iommu(struct device *dev, struct fwnode_handle *iommu, u32 id)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(iommu);
	fwspec->num_ids = 1;
	fwspec->ids[0] = id;
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

/* Of a device that no IOMMU took, nobody else frees it. */
static void sim_forget_iommu(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	if (!param || device_iommu_mapped(dev))
		return;
	dev->iommu = NULL;
	fwnode_handle_put(param->fwspec->iommu_fwnode);
	kfree(param->fwspec);
	kfree(param);
}

/**
 * sim_endpoint_add() - plug a device in
 * @sim: behind which instance
 * @index: which of its endpoints
 *
 * Return: the device, or an error pointer.
 */
struct platform_device *sim_endpoint_add(struct rviommu_sim *sim, unsigned int index)
{
	struct platform_device *pdev;
	struct sim_endpoint *ep;
	int ret;

	pdev = platform_device_alloc("rviommu-sim-endpoint", PLATFORM_DEVID_AUTO);
	ep = kzalloc(sizeof(*ep), GFP_KERNEL);
	if (!pdev || !ep) {
		ret = -ENOMEM;
		goto err;
	}
	ep->sim = sim;
	ep->id = sim->config.first_id + index;
	init_rwsem(&ep->lock);
	platform_set_drvdata(pdev, ep);
	pdev->dev.coherent_dma_mask = DMA_BIT_MASK(64);
	*pdev->dev.dma_mask = DMA_BIT_MASK(64);
	ret = sim_name_iommu(&pdev->dev, sim->bus.fwnode, ep->id);
	if (ret)
		goto err;
	ret = platform_device_add(pdev);
	if (ret)
		goto err;
	if (device_iommu_mapped(&pdev->dev))
		return pdev;

	dev_err(&pdev->dev, "the IOMMU did not take the device\n");
	sim_endpoint_del(pdev);
	return ERR_PTR(-ENODEV);
err:
	if (pdev)
		sim_forget_iommu(&pdev->dev);
	platform_device_put(pdev);
	kfree(ep);
	return ERR_PTR(ret);
}

/**
 * sim_endpoint_del() - pull a device out
 * @pdev: from sim_endpoint_add()
 */
void sim_endpoint_del(struct platform_device *pdev)
{
	struct sim_endpoint *ep = platform_get_drvdata(pdev);

	down_write(&ep->lock);
	ep->gone = true;
	up_write(&ep->lock);
	sim_forget_iommu(&pdev->dev);
	platform_device_unregister(pdev);
	kfree(ep);
}
