// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments: their memory, and the lists of an address space that they are on.
 */
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/rculist.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "attachment.h"
#include "compat.h"
#include "endpoint.h"
#include "invalidate.h"
#include "mem.h"
#include "rviommu.h"
#include "space.h"

/* ----- Memory ----- */

/**
 * rviommu_attachment_alloc() - memory for one
 *
 * Return: it, or NULL.
 */
struct rviommu_attachment *rviommu_attachment_alloc(void)
{
	return rviommu_zalloc(sizeof(struct rviommu_attachment), GFP_KERNEL);
}

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
/* For rviommu_core_handle(). */
RVIOMMU_IMPORT_NS(IOMMUFD_INTERNAL);
#endif

/* Whom the core asks to handle page requests; a function of its own for tests. */
VISIBLE_IF_KUNIT struct iommu_attach_handle *
rviommu_attachment_handle(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_attachment_handle, ep, pasid);
	return rviommu_core_handle(ep->dev, pasid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_handle);

/**
 * rviommu_attachment_is_noted() - has the core noted that something is attached?
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without one
 * @domain: which is about to be attached, and handles page requests
 *
 * It does so afterwards. So that leads back, after a reset, or because another device could not
 * follow: the core takes no refusal then. For who attaches for the core.
 *
 * Return: true if it has.
 */
bool rviommu_attachment_is_noted(struct rviommu_endpoint *ep, ioasid_t pasid,
				 const struct iommu_domain *domain)
{
	const struct iommu_attach_handle *handle = rviommu_attachment_handle(ep, pasid);

	return handle && handle->domain == domain;
}

/*
 * The core attaches first and notes whom it will ask afterwards, under a lock of its own. After a
 * reset it has noted that already. @a is not published yet, and the core changes nothing now.
 */
static void attachment_look_back(struct rviommu_attachment *a)
{
	a->before = rviommu_attachment_handle(a->ep, a->pasid);
	a->lags = jiffies;
	if (!rviommu_attachment_is_noted(a->ep, a->pasid, a->domain))
		a->lags += MAX_JIFFY_OFFSET;
}

/**
 * rviommu_attachment_lag() - how long may the core need to note it?
 * @a: the attachment
 *
 * A function so that a test need not wait for it.
 *
 * Return: jiffies.
 */
unsigned long rviommu_attachment_lag(const struct rviommu_attachment *a)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_attachment_lag, a);
	return msecs_to_jiffies(a->before ? RVIOMMU_CORE_LAG_MS : RVIOMMU_CORE_LAG_NOBODY_MS);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_lag);

/**
 * rviommu_attachment_made() - all has been waited for, and the core can note it now
 * @a: the attachment, which has @faults. The device's lock is held.
 */
void rviommu_attachment_made(struct rviommu_attachment *a)
{
	if (!rviommu_attachment_is_known(a))
		WRITE_ONCE(a->lags, jiffies + rviommu_attachment_lag(a));
}

/**
 * rviommu_attachment_is_known() - does the core ask who handles the page requests of this one?
 * @a: the attachment, which has @faults. Under RCU.
 *
 * Until it does, it would ask who handled those of the one before. It keeps no reference, and
 * he may be gone in a moment. That it has ended shows by another pointer. A pointer may come
 * again, if the same domain is attached once more, of which the core says nothing; so it is
 * not believed for ever.
 *
 * Return: true if it does.
 */
bool rviommu_attachment_is_known(struct rviommu_attachment *a)
{
	if (!time_before(jiffies, READ_ONCE(a->lags)))
		return true;
	if (rviommu_attachment_handle(a->ep, a->pasid) == a->before)
		return false;
	/* Whoever else sees it says the same. */
	WRITE_ONCE(a->lags, jiffies);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_is_known);

/**
 * rviommu_attachment_get() - one that is about to be made
 * @ep: the device
 * @pasid: which requests
 * @domain: what they shall use
 * @must: take what the device has laid aside, if there is no memory
 *
 * Under the device's lock. Whoever may have to takes care that there is always one laid aside: see
 * rviommu_attachment_put(). Who need not gets none while there is none.
 *
 * Return: it, linked nowhere; or NULL.
 */
struct rviommu_attachment *rviommu_attachment_get(struct rviommu_endpoint *ep, ioasid_t pasid,
						  struct iommu_domain *domain, bool must)
{
	struct rviommu_attachment *a;

	lockdep_assert_held(&ep->lock);
	if (!ep->spare)
		ep->spare = rviommu_attachment_alloc();
	if (!ep->spare)
		return NULL;
	a = rviommu_attachment_alloc();
	if (!a && must) {
		a = ep->spare;
		ep->spare = NULL;
	}
	if (!a)
		return NULL;
	*a = (struct rviommu_attachment){
		.ep = ep, .pasid = pasid, .domain = domain, .space = rviommu_space_of(domain),
		.faults = domain->iopf_handler, .nr = ++ep->attachments,
	};
	if (a->faults)
		attachment_look_back(a);
	return a;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_get);

static void rviommu_attachment_free(struct rcu_head *rcu)
{
	rviommu_free(container_of(rcu, struct rviommu_attachment, rcu));
}

static void rviommu_attachment_drop(struct rcu_head *rcu)
{
	call_rcu(rcu, rviommu_attachment_free);
}

/**
 * rviommu_attachment_put() - it is no more
 * @a: the attachment; no link leads to it. Of what is part of the device only that is noted.
 *
 * Freed when nobody looks at it any more; or laid aside then, if that was taken for its
 * successor: this waits in that case. Under the device's lock.
 */
void rviommu_attachment_put(struct rviommu_attachment *a)
{
	struct rviommu_endpoint *ep = a->ep;

	lockdep_assert_held(&ep->lock);
	if (a == &ep->blocked)
		return;
	if (ep->spare) {
		rviommu_inval_call(&a->rcu, rviommu_attachment_drop);
		return;
	}
	rviommu_inval_synchronize();
	synchronize_rcu();
	ep->spare = a;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_put);

/* ----- The device's record ----- */

/**
 * rviommu_attached() - what requests of a device use, by its record
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without
 *
 * Under the device's lock, or RCU.
 *
 * Return: the attachment; NULL: nothing, and never before, or no such PASID.
 */
struct rviommu_attachment *rviommu_attached(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	if (pasid != IOMMU_NO_PASID)
		return xa_load(&ep->pasids, pasid);
	return rcu_dereference_check(ep->attached, lockdep_is_held(&ep->lock));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attached);

/**
 * rviommu_attached_domain() - the same, as the core calls it
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without
 *
 * Context: any.
 * Return: the domain, which may be gone unless the caller keeps it; NULL: nothing.
 */
struct iommu_domain *rviommu_attached_domain(struct rviommu_endpoint *ep, ioasid_t pasid)
{
	const struct rviommu_attachment *a;

	guard(rcu)();
	a = rviommu_attached(ep, pasid);
	return a ? READ_ONCE(a->domain) : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attached_domain);

/* ----- The space's lists ----- */

/*
 * A target of the same IOMMU as @a, and not @a: the last of its device, or else the last
 * of all; NULL: there is none. Under space->lock.
 */
static struct rviommu_attachment *rviommu_target_beside(const struct rviommu_attachment *a)
{
	struct rviommu_attachment *t, *of_iommu = NULL, *of_device = NULL;

	list_for_each_entry(t, &a->space->targets, target) {
		if (t == a || t->ep->iommu != a->ep->iommu)
			continue;
		of_iommu = t;
		if (t->ep == a->ep)
			of_device = t;
	}
	return of_device ?: of_iommu;
}

/* An attachment to an IOMMU that is no target; NULL: there is none. Under space->lock. */
static struct rviommu_attachment *rviommu_target_heir(const struct rviommu_space *space,
						      const struct rviommu *iommu)
{
	struct rviommu_attachment *a;

	list_for_each_entry(a, &space->attachments, node)
		if (a->ep->iommu == iommu && !a->visited)
			return a;
	return NULL;
}

/**
 * rviommu_attachment_link() - who invalidates its space reaches it from now on
 * @a: the attachment; of no space: nothing happens
 *
 * Those that are visited are one of each IOMMU, and all whose device may have a cache
 * of its own; so an unmap does not pass all devices that share a domain, and passes each IOMMU
 * once.
 */
void rviommu_attachment_link(struct rviommu_attachment *a)
{
	struct rviommu_space *space = a->space;
	struct rviommu_attachment *other;

	if (!space)
		return;
	mutex_lock(&space->lock);
	list_add_tail_rcu(&a->node, &space->attachments);
	other = rviommu_target_beside(a);
	a->visited = !other || a->ep->ats.usable;
	if (a->visited)
		list_add_rcu(&a->target, other ? &other->target : space->targets.prev);
	mutex_unlock(&space->lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_link);

/**
 * rviommu_attachment_unlink() - who invalidates its space reaches it no more
 * @a: the attachment, linked; of no space: nothing happens
 *
 * Who has found it already may still look at it, and send its device an Invalidation
 * Request; after rviommu_inval_synchronize() nobody does. If it was what stands for its IOMMU,
 * another one does, from before it goes: readers find one of them, or both.
 */
void rviommu_attachment_unlink(struct rviommu_attachment *a)
{
	struct rviommu_space *space = a->space;
	struct rviommu_attachment *heir;

	if (!space)
		return;
	mutex_lock(&space->lock);
	list_del_rcu(&a->node);
	if (a->visited) {
		heir = rviommu_target_beside(a) ? NULL :
						  rviommu_target_heir(space, a->ep->iommu);
		if (heir) {
			heir->visited = true;
			list_add_rcu(&heir->target, &a->target);
		}
		list_del_rcu(&a->target);
	}
	mutex_unlock(&space->lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_attachment_unlink);

/**
 * rviommu_attachment_shares() - is its space attached to its IOMMU elsewhere, too?
 * @a: the attachment, linked
 *
 * Under ddt.lock, under which attachments there come and go.
 *
 * Return: true if it is.
 */
bool rviommu_attachment_shares(const struct rviommu_attachment *a)
{
	const struct rviommu_attachment *other;

	guard(mutex)(&a->space->lock);
	list_for_each_entry(other, &a->space->attachments, node)
		if (other != a && other->ep->iommu == a->ep->iommu)
			return true;
	return false;
}
