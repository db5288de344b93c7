/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attachments: a domain is what requests of a device use.
 */
#ifndef RVIOMMU_ATTACHMENT_H
#define RVIOMMU_ATTACHMENT_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/types.h>

#include "space.h"

/*
 * For so long the core may need to note what was attached, from when it was; it does so at once, or
 * when it has attached the other devices of a group. Milliseconds.
 */
#define RVIOMMU_CORE_LAG_MS	60000
/* Where it asked nobody before, and may have nobody to note: it refuses by itself. */
#define RVIOMMU_CORE_LAG_NOBODY_MS	1000

struct rviommu_endpoint;

/**
 * struct rviommu_attachment - a domain is what requests of a device use
 * @ep: the device
 * @pasid: which requests; IOMMU_NO_PASID: those without
 * @domain: what they use
 * @space: the address space that it is; NULL: identity, or the blocking domain
 * @faults: page requests are handled: by whom, the domain says
 * @nr: which of all attachments of the device it is; never 0
 * @before: whom the core asked for page requests when this one was made; compared, never followed
 * @lags: until then the core may do so still: rviommu_attachment_is_known(), which ends it when
 *        it sees that it does not. Far away until rviommu_attachment_made(). READ_ONCE and
 *        WRITE_ONCE.
 * @node: on rviommu_space.attachments; of identity on none
 * @target: on rviommu_space.targets, if it is @visited
 * @visited: whoever invalidates looks at it: for its IOMMU, or for the cache of its device.
 *           Under rviommu_space.lock.
 * @rcu: freed through SRCU and RCU
 *
 * Two links lead here. That of the device (rviommu_endpoint.attached, or pasids) is its
 * record: written under the device's lock, read there or under RCU, and it says what the context
 * says. That of the space is for who invalidates; it is made before the context is published,
 * and is cut when no cache can hold anything of it any more. Both are made and cut by the
 * transaction (change.c) alone, for one that is new each time: what it says (all but @lags) never
 * changes, so a reader who finds it late finds what was true.
 *
 * @domain may be gone before it: only who knows better follows it.
 */
struct rviommu_attachment {
	struct rviommu_endpoint *ep;
	ioasid_t pasid;
	struct iommu_domain *domain;
	struct rviommu_space *space;
	bool faults;
	u64 nr;
	const struct iommu_attach_handle *before;
	unsigned long lags;
	struct list_head node;
	struct list_head target;
	bool visited;
	struct rcu_head rcu;
};

struct rviommu_attachment *rviommu_attachment_alloc(void);
struct rviommu_attachment *rviommu_attachment_get(struct rviommu_endpoint *ep, ioasid_t pasid,
						  struct iommu_domain *domain, bool must);
void rviommu_attachment_put(struct rviommu_attachment *a);
void rviommu_attachment_link(struct rviommu_attachment *a);
void rviommu_attachment_unlink(struct rviommu_attachment *a);
bool rviommu_attachment_shares(const struct rviommu_attachment *a);
bool rviommu_attachment_is_noted(struct rviommu_endpoint *ep, ioasid_t pasid,
				 const struct iommu_domain *domain);
bool rviommu_attachment_is_known(struct rviommu_attachment *a);
void rviommu_attachment_made(struct rviommu_attachment *a);
unsigned long rviommu_attachment_lag(const struct rviommu_attachment *a);

struct rviommu_attachment *rviommu_attached(struct rviommu_endpoint *ep, ioasid_t pasid);
struct iommu_domain *rviommu_attached_domain(struct rviommu_endpoint *ep, ioasid_t pasid);

/* The address space behind an attachment, or behind none */
static inline struct rviommu_space *rviommu_attachment_space(const struct rviommu_attachment *a)
{
	return a ? a->space : NULL;
}

#if IS_ENABLED(CONFIG_KUNIT)
struct iommu_attach_handle *rviommu_attachment_handle(struct rviommu_endpoint *ep,
						      ioasid_t pasid);
#endif

#endif /* RVIOMMU_ATTACHMENT_H */
