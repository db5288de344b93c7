/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows kernels differ. scripts/probe-kernel looks into the
 * headers of the kernel being built against and defines RVIOMMU_HAVE_*; the rest
 * of the driver is written against the newest API.
 */
#ifndef RVIOMMU_COMPAT_H
#define RVIOMMU_COMPAT_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <uapi/linux/iommufd.h>

/* MODULE_IMPORT_NS() takes a string in newer kernels. */
#ifdef RVIOMMU_HAVE_IMPORT_NS_STRING
#define RVIOMMU_IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#else
#define RVIOMMU_IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#endif

/* struct iommu_pages_list instead of a bare list head in newer kernels. */
static inline struct list_head *rviommu_gather_pages(struct iommu_iotlb_gather *gather)
{
#ifdef RVIOMMU_HAVE_IOMMU_PAGES_LIST
	return &gather->freelist.pages;
#else
	return &gather->freelist;
#endif
}

/*
 * attach_dev() is told the old domain in newer kernels. The driver keeps its own
 * record, so nothing is lost without.
 *
 * RVIOMMU_ATTACH_THUNK(fn) after the definition of fn(domain, dev, old),
 * RVIOMMU_ATTACH_OP(fn) in the ops.
 */
#ifdef RVIOMMU_HAVE_ATTACH_OLD
#define RVIOMMU_ATTACH_THUNK(fn)
#define RVIOMMU_ATTACH_OP(fn)	fn
#else
#define RVIOMMU_ATTACH_THUNK(fn)						\
static int fn##_thunk(struct iommu_domain *domain, struct device *dev)	\
{										\
	return fn(domain, dev, NULL);						\
}

#define RVIOMMU_ATTACH_OP(fn)	fn##_thunk
#endif

/*
 * set_dev_pasid() likewise; and to take a domain away, newer kernels set the blocking
 * domain in its place, where older ones had an op that cannot fail.
 *
 * RVIOMMU_PASID_THUNK(fn), RVIOMMU_PASID_OP(fn) as above;
 * RVIOMMU_REMOVE_PASID_THUNK(fn) before the iommu_ops, and RVIOMMU_REMOVE_PASID_OPS(fn) in
 * them; RVIOMMU_BLOCK_PASID_THUNK(fn) and RVIOMMU_BLOCK_PASID_OPS(fn) likewise, with those of the
 * blocking domain. What they call is fn(dev, pasid).
 */
#ifdef RVIOMMU_HAVE_PASID_OLD
#define RVIOMMU_PASID_THUNK(fn)
#define RVIOMMU_PASID_OP(fn)	fn
#else
#define RVIOMMU_PASID_THUNK(fn)							\
static int fn##_thunk(struct iommu_domain *domain, struct device *dev,		\
		      ioasid_t pasid)						\
{										\
	return fn(domain, dev, pasid, NULL);					\
}

#define RVIOMMU_PASID_OP(fn)	fn##_thunk
#endif

#ifdef RVIOMMU_HAVE_REMOVE_DEV_PASID
#define RVIOMMU_REMOVE_PASID_THUNK(fn)						\
static void fn##_op(struct device *dev, ioasid_t pasid,			\
		    struct iommu_domain *domain)				\
{										\
	fn(dev, pasid);								\
}

#define RVIOMMU_REMOVE_PASID_OPS(fn)	.remove_dev_pasid = fn##_op,
#define RVIOMMU_BLOCK_PASID_THUNK(fn)
#define RVIOMMU_BLOCK_PASID_OPS(fn)
#else
#define RVIOMMU_BLOCK_PASID_THUNK(fn)						\
static int fn##_block(struct iommu_domain *domain, struct device *dev,		\
		      ioasid_t pasid, struct iommu_domain *old)			\
{										\
	fn(dev, pasid);								\
	return 0;								\
}										\
RVIOMMU_PASID_THUNK(fn##_block)

#define RVIOMMU_REMOVE_PASID_THUNK(fn)
#define RVIOMMU_REMOVE_PASID_OPS(fn)
#define RVIOMMU_BLOCK_PASID_OPS(fn)	.set_dev_pasid = RVIOMMU_PASID_OP(fn##_block),
#endif

/* Newer kernels say which domains will be attached to PASIDs: any of the first stage can. */
#ifdef RVIOMMU_HAVE_ALLOC_PASID
#define RVIOMMU_ALLOC_PASID	IOMMU_HWPT_ALLOC_PASID
#else
#define RVIOMMU_ALLOC_PASID	0
#endif

/*
 * One op allocates paging domains with flags in newer kernels; before, there
 * were one without flags and one for user space with the nesting parent.
 */
#ifdef RVIOMMU_HAVE_ALLOC_PAGING_FLAGS
#define RVIOMMU_ALLOC_THUNK(fn)
#define RVIOMMU_ALLOC_OPS(fn)	.domain_alloc_paging_flags = fn
#else
#define RVIOMMU_ALLOC_THUNK(fn)							\
static struct iommu_domain *fn##_paging(struct device *dev)			\
{										\
	return fn(dev, 0, NULL);						\
}										\
										\
static struct iommu_domain *fn##_user(struct device *dev, u32 flags,		\
				      struct iommu_domain *parent,		\
				      const struct iommu_user_data *user_data)	\
{										\
	return parent ? ERR_PTR(-EOPNOTSUPP) : fn(dev, flags, user_data);	\
}

#define RVIOMMU_ALLOC_OPS(fn)							\
	.domain_alloc_paging = fn##_paging,					\
	.domain_alloc_user = fn##_user
#endif

/*
 * The op that translates an address also says, in newer kernels, for how many bytes from
 * there on that holds. More may follow than the rest of the smallest page; nobody is harmed
 * by asking again.
 *
 * RVIOMMU_IOVA_TO_PHYS_THUNK(fn) after the definition of fn(domain, iova),
 * RVIOMMU_IOVA_TO_PHYS_OP(fn) in the ops.
 */
#ifdef RVIOMMU_HAVE_IOVA_TO_PHYS_LENGTH
#define RVIOMMU_IOVA_TO_PHYS_THUNK(fn)						\
static phys_addr_t fn##_length(struct iommu_domain *domain, dma_addr_t iova,	\
			       size_t *length)					\
{										\
	const phys_addr_t phys = fn(domain, iova);				\
										\
	if (length)								\
		*length = phys ? SZ_4K - (iova & (SZ_4K - 1)) : 0;		\
	return phys;								\
}

#define RVIOMMU_IOVA_TO_PHYS_OP(fn)	.iova_to_phys_length = fn##_length
#else
#define RVIOMMU_IOVA_TO_PHYS_THUNK(fn)
#define RVIOMMU_IOVA_TO_PHYS_OP(fn)	.iova_to_phys = fn
#endif

/* Page sizes belong to the domain; older cores read a bitmap of the ops too. */
#ifdef RVIOMMU_HAVE_OPS_PGSIZE_BITMAP
#define RVIOMMU_PGSIZE_OPS	.pgsize_bitmap = SZ_4K,
#else
#define RVIOMMU_PGSIZE_OPS
#endif

/*
 * Older cores ask a driver to switch page requests on before a domain comes that handles them,
 * and off afterwards. Attaching and detaching does it here, so all that is said is whether
 * the device can.
 *
 * RVIOMMU_FEAT_THUNK(fn) before the iommu_ops, RVIOMMU_FEAT_OPS(fn) in them; fn(dev) is
 * true if it can. rviommu_ask_iopf() asks, for tests; @can is what newer cores find out later.
 */
#ifdef RVIOMMU_HAVE_DEV_ENABLE_FEAT
#define RVIOMMU_FEAT_THUNK(fn)							\
static int fn##_feat(struct device *dev, enum iommu_dev_features feat)		\
{										\
	return feat == IOMMU_DEV_FEAT_IOPF && (fn)(dev) ? 0 : -ENODEV;		\
}

#define RVIOMMU_FEAT_OPS(fn)							\
	.dev_enable_feat = fn##_feat,						\
	.dev_disable_feat = fn##_feat,

static inline int rviommu_ask_iopf(struct device *dev, bool can)
{
	int ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);

	return ret ?: iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
}
#else
#define RVIOMMU_FEAT_THUNK(fn)
#define RVIOMMU_FEAT_OPS(fn)

static inline int rviommu_ask_iopf(struct device *dev, bool can)
{
	return can ? 0 : -ENODEV;
}
#endif

/*
 * A domain with flags, as user space gets it from iommufd: newer kernels let the kernel ask for
 * it too. For tests.
 */
static inline struct iommu_domain *rviommu_alloc_paging(struct device *dev, u32 flags)
{
#ifdef RVIOMMU_HAVE_ALLOC_PAGING_FLAGS
	return iommu_paging_domain_alloc_flags(dev, flags);
#else
	const struct iommu_ops *ops = dev->iommu->iommu_dev->ops;
	struct iommu_domain *domain = ops->domain_alloc_user(dev, flags, NULL, NULL);

	if (!IS_ERR(domain))
		domain->owner = ops;
	return domain;
#endif
}

/* A second-stage domain, as user space gets it for nesting. For tests. */
static inline struct iommu_domain *rviommu_alloc_nest_parent(struct device *dev)
{
	return rviommu_alloc_paging(dev, IOMMU_HWPT_ALLOC_NEST_PARENT);
}

/*
 * Newer cores replace what a PASID is attached to. For iommufd only: the declaration is in a
 * header of drivers/iommu, the symbol in the namespace IOMMUFD_INTERNAL. For tests, and for
 * the exerciser of simulated devices.
 */
#ifdef RVIOMMU_HAVE_ALLOC_PASID
int iommu_replace_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			       struct iommu_attach_handle *handle);
#define rviommu_replace_device_pasid	iommu_replace_device_pasid
#else
static inline int rviommu_replace_device_pasid(struct iommu_domain *domain, struct device *dev,
					       ioasid_t pasid, struct iommu_attach_handle *handle)
{
	return -EOPNOTSUPP;
}
#endif

/*
 * Whom the core asks to handle the page requests of a device: its record for a PASID. Declared, and
 * exported, as the one above. What the pointer leads to may go at any time.
 */
#if IS_ENABLED(CONFIG_IOMMU_IOPF)
struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group, ioasid_t pasid,
						    unsigned int type);

static inline struct iommu_attach_handle *rviommu_core_handle(struct device *dev, ioasid_t pasid)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommu_attach_handle *handle = NULL;

	if (group)
		handle = iommu_attach_handle_get(group, pasid, 0);
	iommu_group_put(group);
	return IS_ERR(handle) ? NULL : handle;
}
#else
static inline struct iommu_attach_handle *rviommu_core_handle(struct device *dev, ioasid_t pasid)
{
	return NULL;
}
#endif

/* Does the core replace them? */
static inline bool rviommu_core_replaces_pasids(void)
{
#ifdef RVIOMMU_HAVE_ALLOC_PASID
	return true;
#else
	return false;
#endif
}

/* Does the core block a PCI function while it is reset? For tests. */
static inline bool rviommu_core_blocks_resets(void)
{
#ifdef RVIOMMU_HAVE_RESET_IOMMU
	return true;
#else
	return false;
#endif
}

/*
 * A PCI domain number for a host bridge of ours. The core has a list of such numbers
 * in newer kernels, and takes one from it when a bridge with that number goes; before,
 * what no bus uses is free.
 */
static inline bool rviommu_reserve_pci_domain(int domain)
{
#ifdef RVIOMMU_HAVE_EMUL_PCI_DOMAIN
	return pci_bus_find_emul_domain_nr(domain, domain, domain) == domain;
#else
	return true;
#endif
}

static inline void rviommu_release_pci_domain(int domain)
{
#ifdef RVIOMMU_HAVE_EMUL_PCI_DOMAIN
	pci_bus_release_emul_domain_nr(domain);
#endif
}

/* Which driver a PCI function or platform device is for: a string of it in older kernels. */
#ifdef RVIOMMU_HAVE_DEVICE_DRIVER_OVERRIDE
#define rviommu_set_driver_override(pdev, name)	device_set_driver_override(&(pdev)->dev, name)
#else
#define rviommu_set_driver_override(pdev, name)	rviommu_keep_name(&(pdev)->driver_override, name)

static inline int rviommu_keep_name(const char **where, const char *name)
{
	*where = kstrdup(name, GFP_KERNEL);
	return *where ? 0 : -ENOMEM;
}
#endif

/*
 * An attribute of the kernel's fault injection knows the name of its directory in debugfs; in
 * older kernels it has a reference to the directory, which nobody gives back.
 */
#define rviommu_put_fault_attr(attr)						\
do {										\
	if (__builtin_types_compatible_p(typeof((attr)->dname), struct dentry *))	\
		dput((void *)(attr)->dname);					\
} while (0)

#endif /* RVIOMMU_COMPAT_H */
