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

/* 6.13: the namespace became a string. */
#ifdef RVIOMMU_HAVE_IMPORT_NS_STRING
#define RVIOMMU_IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#else
#define RVIOMMU_IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#endif

/* 6.16: struct iommu_pages_list instead of a bare list head. */
static inline struct list_head *rviommu_gather_pages(struct iommu_iotlb_gather *gather)
{
#ifdef RVIOMMU_HAVE_IOMMU_PAGES_LIST
	return &gather->freelist.pages;
#else
	return &gather->freelist;
#endif
}

#endif /* RVIOMMU_COMPAT_H */
