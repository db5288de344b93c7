/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's bit masks in user space, for the model and its users. */
#ifndef RVIOMMU_COMPAT_BITS_H
#define RVIOMMU_COMPAT_BITS_H

#define BIT(n)			(1U << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK(high, low)	((~0U >> (31 - (high))) & (~0U << (low)))
#define GENMASK_ULL(high, low)	((~0ULL >> (63 - (high))) & (~0ULL << (low)))

#endif /* RVIOMMU_COMPAT_BITS_H */
