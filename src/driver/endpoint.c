// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices behind an IOMMU: which device_ids they have, what they are called, and when their
 * records go.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "directory.h"
#include "endpoint.h"
#include "invalidate.h"
#include "mem.h"
#include "record.h"
#include "registry.h"
#include "rviommu.h"

static void rviommu_did_free(struct rcu_head *rcu)
{
	rviommu_free(container_of(rcu, struct rviommu_did, rcu));
}

/**
 * rviommu_other_owner() - another device with a device_id
 * @iommu: the IOMMU; endpoints_lock is held
 * @did: device_id
 * @not: the device that is not meant
 *
 * Return: one of those, or NULL.
 */
struct rviommu_endpoint *rviommu_other_owner(struct rviommu *iommu, u32 did,
					     const struct rviommu_endpoint *not)
{
	struct rviommu_endpoint *ep;
	unsigned int i;

	list_for_each_entry(ep, &iommu->endpoints, node)
		for (i = 0; ep != not && i < ep->nr_ids; i++)
			if (ep->ids[i] == did)
				return ep;
	return NULL;
}

/**
 * rviommu_put_dids() - a device gives device_ids up
 * @ep: the device; endpoints_lock and ddt.lock are held
 * @nr: the first of its IDs
 */
void rviommu_put_dids(struct rviommu_endpoint *ep, unsigned int nr)
{
	struct rviommu *iommu = ep->iommu;

	while (nr--) {
		struct rviommu_did *did = xa_load(&iommu->dids, ep->ids[nr]);

		if (--did->users) {
			if (did->owner == ep)
				WRITE_ONCE(did->owner,
					   rviommu_other_owner(iommu, ep->ids[nr], ep));
			continue;
		}
		xa_erase(&iommu->dids, ep->ids[nr]);
		call_rcu(&did->rcu, rviommu_did_free);
	}
}

/**
 * rviommu_get_dids() - a device has its device_ids from now on
 * @ep: the device; ddt.lock is held
 *
 * Return: 0; -EBUSY if another device has one of them, and PASIDs; -ENOMEM. On error it has none.
 */
int rviommu_get_dids(struct rviommu_endpoint *ep)
{
	struct rviommu *iommu = ep->iommu;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ep->nr_ids; i++) {
		struct rviommu_did *did = xa_load(&iommu->dids, ep->ids[i]);

		if (did) {
			/* Its requests would find the other one's process directory. */
			if (did->owner->pdt.dir.root) {
				ret = -EBUSY;
				break;
			}
			did->users++;
			continue;
		}
		did = rviommu_zalloc(sizeof(*did), GFP_KERNEL);
		if (!did) {
			ret = -ENOMEM;
			break;
		}
		did->owner = ep;
		did->users = 1;
		ret = rviommu_xa_store(&iommu->dids, ep->ids[i], did);
		if (ret) {
			rviommu_free(did);
			break;
		}
	}
	if (ret)
		rviommu_put_dids(ep, i);
	return ret;
}

/**
 * rviommu_take_ids() - the IDs of a device, once each
 * @ep: filled in here
 * @fwspec: what firmware says
 *
 * Return: 0, or -EINVAL with a message: one is wider than the directory.
 */
int rviommu_take_ids(struct rviommu_endpoint *ep, const struct iommu_fwspec *fwspec)
{
	unsigned int lg2 = rviommu_dir_id_lg2(&ep->iommu->ddt.dir);
	unsigned int i, k, nr = 0;

	for (i = 0; i < fwspec->num_ids; i++) {
		u32 id = fwspec->ids[i];

		if (id >> lg2) {
			dev_err(ep->dev, "device ID %#x is wider than the %u bits of %s\n", id, lg2,
				ep->iommu->bus->name);
			return -EINVAL;
		}
		for (k = 0; k < nr && ep->ids[k] != id; k++)
			;
		if (k == nr)
			ep->ids[nr++] = id;
	}
	ep->nr_ids = nr;
	return 0;
}

static void rviommu_endpoint_destroy(struct rviommu_endpoint *ep)
{
	mutex_destroy(&ep->lock);
	rviommu_free(ep->spare);
	rviommu_free(ep->updates);
	rviommu_free(ep);
}

/**
 * rviommu_endpoint_create() - the record of a device
 * @iommu: the IOMMU it is behind
 * @nr_ids: room for so many device_ids
 *
 * With all memory that the first attach needs.
 *
 * Return: the record, which nobody finds yet, or NULL.
 */
struct rviommu_endpoint *rviommu_endpoint_create(struct rviommu *iommu, unsigned int nr_ids)
{
	struct rviommu_endpoint *ep = rviommu_zalloc(struct_size(ep, ids, nr_ids), GFP_KERNEL);

	if (!ep)
		return NULL;
	ep->iommu = iommu;
	ep->nr_ids = nr_ids;
	ep->blocked.ep = ep;
	ep->blocked.pasid = IOMMU_NO_PASID;
	refcount_set(&ep->refs, 1);
	spin_lock_init(&ep->fault_lock);
	rviommu_fault_log_init(&ep->fault_log);
	mutex_init(&ep->lock);
	xa_init(&ep->pasids);
	ep->updates = rviommu_zalloc(array_size(nr_ids, sizeof(*ep->updates)), GFP_KERNEL);
	ep->spare = rviommu_attachment_alloc();
	if (ep->updates && ep->spare)
		return ep;
	rviommu_endpoint_destroy(ep);
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_endpoint_create);

static void rviommu_endpoint_free(struct rcu_head *rcu)
{
	rviommu_endpoint_destroy(container_of(rcu, struct rviommu_endpoint, rcu));
}

static void rviommu_endpoint_drop(struct rcu_head *rcu)
{
	call_rcu(rcu, rviommu_endpoint_free);
}

/**
 * rviommu_endpoint_of() - what the driver knows of a device
 * @dev: the device, which stays
 *
 * Return: its record, or NULL: it is not behind an IOMMU of ours.
 */
struct rviommu_endpoint *rviommu_endpoint_of(struct device *dev)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);

	return fwspec && rviommu_find(fwspec->iommu_fwnode) ? dev_iommu_priv_get(dev) : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_endpoint_of);

/**
 * rviommu_endpoint_get() - a device's record stays until rviommu_endpoint_put()
 * @ep: the device; endpoints_lock is held, or the lock of its page request interface
 *
 * The record alone: the device may go, and then has no ATS any more.
 *
 * Return: @ep.
 */
struct rviommu_endpoint *rviommu_endpoint_get(struct rviommu_endpoint *ep)
{
	refcount_inc(&ep->refs);
	return ep;
}

/**
 * rviommu_endpoint_put() - a device's record is not needed any more
 * @ep: the device; if it was the last one who needed it, nothing is attached
 *
 * Freed when nobody looks at it any more.
 */
void rviommu_endpoint_put(struct rviommu_endpoint *ep)
{
	if (refcount_dec_and_test(&ep->refs))
		rviommu_inval_call(&ep->rcu, rviommu_endpoint_drop);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_endpoint_put);

/**
 * rviommu_endpoint_fault() - count a fault on the device that caused it
 * @iommu: where it was reported
 * @fault: the record
 * @hidden: if it may be logged: how many of the same source were not since the last one
 *
 * Takes no lock that anybody holds while waiting for the IOMMU.
 *
 * Context: rviommu.faultq.lock is held.
 * Return: true if it may be logged.
 */
bool rviommu_endpoint_fault(struct rviommu *iommu, const struct rviommu_fault *fault,
			    u64 *hidden)
{
	struct rviommu_fault_log *log = &iommu->fault_log;
	struct rviommu_endpoint *ep;
	struct rviommu_did *did;
	bool room;

	rcu_read_lock();
	did = fault->ttyp ? xa_load(&iommu->dids, fault->did) : NULL;
	ep = did ? READ_ONCE(did->owner) : NULL;
	if (ep) {
		spin_lock(&ep->fault_lock);
		ep->last_fault = *fault;
		spin_unlock(&ep->fault_lock);
		atomic64_inc(&ep->faults);
		log = &ep->fault_log;
	}
	room = rviommu_fault_log_room(log, hidden);
	rcu_read_unlock();
	return room;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_endpoint_fault);

/**
 * rviommu_endpoint_name() - name of the device behind a device_id
 * @iommu: the IOMMU
 * @did: device_id
 * @buf: where to write it; the ID in hexadecimal when no device is known
 * @size: bytes in @buf
 */
void rviommu_endpoint_name(struct rviommu *iommu, u32 did, char *buf, size_t size)
{
	struct rviommu_endpoint *ep;
	struct rviommu_did *entry;

	rcu_read_lock();
	entry = xa_load(&iommu->dids, did);
	ep = entry ? READ_ONCE(entry->owner) : NULL;
	if (ep)
		strscpy(buf, ep->name, size);
	else
		scnprintf(buf, size, "device %#x", did);
	rcu_read_unlock();
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_endpoint_name);

/**
 * rviommu_snoops() - are the accesses of a device coherent with the caches of the CPUs?
 * @dev: the device, an IOMMU or one behind it
 *
 * What firmware says. Nothing that the architecture has makes an access coherent if it
 * is not: a PTE's PBMT only takes coherence away. A KUnit test has devices that are not.
 *
 * Return: true if they are.
 */
bool rviommu_snoops(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_snoops, dev);
	return dev_is_dma_coherent(dev);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_snoops);
