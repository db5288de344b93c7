// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the IOMMU core calls: devices come, are grouped, and go.
 */
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/of_iommu.h>
#include <linux/pci.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "ats.h"
#include "attach.h"
#include "compat.h"
#include "debugfs.h"
#include "dirty.h"
#include "domain.h"
#include "endpoint.h"
#include "iommu.h"
#include "iopf.h"
#include "msi.h"
#include "pasid.h"
#include "pri.h"
#include "registry.h"
#include "rviommu.h"
#include "static.h"

static bool rviommu_capable(struct device *dev, enum iommu_cap cap)
{
	const struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);

	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		/* The walks are, in any case; this is about what the device itself reads. */
		return rviommu_snoops(dev);
	case IOMMU_CAP_DIRTY_TRACKING:
		return rviommu_tracks(ep->iommu);
	case IOMMU_CAP_DEFERRED_FLUSH:
	case IOMMU_CAP_NOEXEC:
		return true;
	default:
		return false;
	}
}

/* The device that had an ID before @ep came; with a reference. NULL: it has it for itself. */
static struct rviommu_endpoint *rviommu_shares_id(struct rviommu_endpoint *ep, u32 id)
{
	struct rviommu_did *did;

	guard(mutex)(&ep->iommu->endpoints_lock);
	did = xa_load(&ep->iommu->dids, id);
	return did->owner == ep ? NULL : rviommu_endpoint_get(did->owner);
}

/*
 * ATS needs an ID for itself: a Routing ID that stands for two devices says neither which ATC to
 * empty nor who did not answer, and EN_ATS is for all who have the ID. @ep is known, and
 * nothing is attached to it yet. The other device is asked to forget, which may take it long: so
 * under none but its own lock.
 */
static void rviommu_share_ids(struct rviommu_endpoint *ep)
{
	struct rviommu_endpoint *other;
	unsigned int i;

	for (i = 0; i < ep->nr_ids; i++) {
		other = rviommu_shares_id(ep, ep->ids[i]);
		if (!other)
			continue;
		WRITE_ONCE(ep->ats.usable, false);
		rviommu_attach_without_ats(other);
		rviommu_endpoint_put(other);
	}
}

static bool rviommu_is_below(const struct device *dev, const struct device *above)
{
	for (; dev; dev = dev->parent)
		if (dev == above)
			return true;
	return false;
}

/*
 * The device sleeps and is shut down before its IOMMU, and wakes up after it. What
 * firmware says is not enough: of PCI functions it names the host bridge only. Stateless,
 * so that neither is bound or unbound for the other's sake; and without runtime PM, of
 * which an IOMMU has none.
 *
 * A bridge with the IOMMU below it cannot come after it. Nor, maybe, what the IOMMU needs
 * itself; that is said, and no reason to leave the device without translation.
 */
static void rviommu_link_device(struct rviommu_endpoint *ep)
{
	struct device *iommu = ep->iommu->dev;

	if (rviommu_is_below(iommu, ep->dev))
		return;
	ep->linked = device_link_add(ep->dev, iommu, DL_FLAG_STATELESS);
	if (!ep->linked)
		dev_warn(ep->dev, "cannot be made to sleep before its IOMMU\n");
}

/* Of a device that was deleted the driver core has taken the link already. */
static void rviommu_unlink_device(struct rviommu_endpoint *ep)
{
	if (ep->linked)
		device_link_remove(ep->dev, ep->iommu->dev);
}

static struct iommu_device *rviommu_probe_device(struct device *dev)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);
	struct rviommu_endpoint *ep;
	struct rviommu *iommu;
	int ret;

	if (!fwspec || !fwspec->iommu_fwnode || !fwspec->num_ids)
		return ERR_PTR(-ENODEV);
	iommu = rviommu_find(fwspec->iommu_fwnode);
	if (!iommu)
		return ERR_PTR(-ENODEV);
	if (rviommu_is_dead(iommu))
		return ERR_PTR(-EIO);

	ep = rviommu_endpoint_create(iommu, fwspec->num_ids);
	if (!ep)
		return ERR_PTR(-ENOMEM);
	ep->dev = dev;
	ep->blocked.domain = &rviommu_blocking_domain;
	strscpy(ep->name, dev_name(dev), sizeof(ep->name));
	ret = rviommu_take_ids(ep, fwspec);
	if (ret)
		goto err;
	rviommu_pasid_init(ep);
	rviommu_ats_init(ep);
	ret = rviommu_pri_init(ep);
	if (ret)
		goto err_pasid;

	mutex_lock(&iommu->endpoints_lock);
	mutex_lock(&iommu->ddt.lock);
	ret = rviommu_attach_reserve(ep);
	if (!ret)
		ret = rviommu_get_dids(ep);
	mutex_unlock(&iommu->ddt.lock);
	if (!ret)
		list_add_tail(&ep->node, &iommu->endpoints);
	mutex_unlock(&iommu->endpoints_lock);
	if (ret)
		goto err_pri;

	rviommu_share_ids(ep);
	rviommu_link_device(ep);
	dev_iommu_priv_set(dev, ep);
	rviommu_debugfs_add_endpoint(ep);
	return &iommu->core;

err_pri:
	rviommu_pri_exit(ep);
err_pasid:
	rviommu_pasid_exit(ep);
err:
	/* It may have been found by one of its IDs. */
	rviommu_endpoint_put(ep);
	return ERR_PTR(ret);
}

/*
 * Not left to the core's release_domain: that would block an ID that another
 * device shares.
 */
static void rviommu_release_device(struct device *dev)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu *iommu = ep->iommu;

	/* Waits for readers, which take endpoints_lock. */
	rviommu_debugfs_remove_endpoint(ep);
	rviommu_unlink_device(ep);
	rviommu_detach_begin(ep);
	mutex_lock(&iommu->endpoints_lock);
	rviommu_detach_release(ep);
	mutex_lock(&iommu->ddt.lock);
	rviommu_put_dids(ep, ep->nr_ids);
	mutex_unlock(&iommu->ddt.lock);
	list_del(&ep->node);
	mutex_unlock(&iommu->endpoints_lock);
	rviommu_iopf_exit(ep);
	rviommu_pri_exit(ep);
	rviommu_pasid_exit(ep);

	rviommu_endpoint_put(ep);
}

/**
 * rviommu_bus_group() - the group of a device that the IOMMU can tell apart from others
 * @dev: the device
 *
 * What its bus says. A KUnit test puts devices into one group here.
 *
 * Return: the group, with a reference, or an error pointer.
 */
struct iommu_group *rviommu_bus_group(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_bus_group, dev);
	return dev_is_pci(dev) ? pci_device_group(dev) : generic_device_group(dev);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_bus_group);

/*
 * Devices that share an ID cannot be told apart by the IOMMU: one group. With
 * one that shares IDs with two groups there is no right answer.
 */
static struct iommu_group *rviommu_device_group(struct device *dev)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct iommu_group *group = NULL;
	unsigned int i;

	mutex_lock(&ep->iommu->endpoints_lock);
	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_endpoint *other = rviommu_other_owner(ep->iommu, ep->ids[i], ep);
		struct iommu_group *its = other ? iommu_group_get(other->dev) : NULL;

		if (its && group && its != group) {
			dev_err(dev, "shares device IDs with more than one IOMMU group\n");
			iommu_group_put(its);
			iommu_group_put(group);
			group = ERR_PTR(-EINVAL);
			break;
		}
		if (its && group)
			iommu_group_put(its);
		else if (its)
			group = its;
	}
	mutex_unlock(&ep->iommu->endpoints_lock);
	if (group)
		return group;
	return rviommu_bus_group(dev);
}

static void rviommu_get_resv_regions(struct device *dev, struct list_head *head)
{
	/* The core asks for a list, and takes no error. */
	if (rviommu_msi_regions(dev, head))
		dev_err(dev, "no memory for the pages of its MSIs: it cannot interrupt\n");
	if (dev->of_node)
		of_iommu_get_resv_regions(dev, head);
}

static int rviommu_of_xlate(struct device *dev, const struct of_phandle_args *args)
{
	u32 id = args->args[0];

	if (args->args_count != 1)
		return -EINVAL;
	return iommu_fwspec_add_ids(dev, &id, 1);
}

RVIOMMU_REMOVE_PASID_THUNK(rviommu_remove_pasid)

RVIOMMU_ALLOC_THUNK(rviommu_domain_alloc_paging_flags)

static inline bool rviommu_sends_page_requests(struct device *dev)
{
	const struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);

	return ep->pri.usable;
}

RVIOMMU_FEAT_THUNK(rviommu_sends_page_requests)

const struct iommu_ops rviommu_ops = {
	.owner = THIS_MODULE,
	.capable = rviommu_capable,
	.identity_domain = &rviommu_identity_domain,
	.blocked_domain = &rviommu_blocking_domain,
	RVIOMMU_ALLOC_OPS(rviommu_domain_alloc_paging_flags),
	RVIOMMU_REMOVE_PASID_OPS(rviommu_remove_pasid)
	RVIOMMU_FEAT_OPS(rviommu_sends_page_requests)
	RVIOMMU_PGSIZE_OPS
	.probe_device = rviommu_probe_device,
	.release_device = rviommu_release_device,
	.device_group = rviommu_device_group,
	.get_resv_regions = rviommu_get_resv_regions,
	.of_xlate = rviommu_of_xlate,
#if IS_ENABLED(CONFIG_IOMMU_IOPF)
	.page_response = rviommu_page_response,
#endif
};
EXPORT_SYMBOL_IF_KUNIT(rviommu_ops);

