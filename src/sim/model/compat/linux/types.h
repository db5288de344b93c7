/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's integer types in user space, for the model and its users. */
#ifndef RVIOMMU_COMPAT_TYPES_H
#define RVIOMMU_COMPAT_TYPES_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u16 __le16;
typedef u32 __le32;
typedef u64 __le64;

#endif /* RVIOMMU_COMPAT_TYPES_H */
