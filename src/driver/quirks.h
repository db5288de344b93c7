/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Workarounds for one implementation. Each has a name, a reason and a way to
 * tell; the table is in quirks.c. The common path only ever tests a bit.
 */
#ifndef RVIOMMU_QUIRKS_H
#define RVIOMMU_QUIRKS_H

#include <linux/bits.h>

struct rviommu;

/**
 * enum rviommu_quirk - bit numbers of rviommu.quirks
 * @RVIOMMU_QUIRK_NO_SVNAPOT: 64 KiB leaves are translated wrongly
 * @RVIOMMU_QUIRK_SMALL_IOTINVAL: an IOTINVAL with AV=1 removes only 4 KiB of a
 *                                larger leaf
 * @RVIOMMU_QUIRK_NOTIFY_VALID: the IOMMU wants to be told when an invalid context
 *                              becomes valid
 * @RVIOMMU_NR_QUIRKS: number of quirks
 */
enum rviommu_quirk {
	RVIOMMU_QUIRK_NO_SVNAPOT,
	RVIOMMU_QUIRK_SMALL_IOTINVAL,
	RVIOMMU_QUIRK_NOTIFY_VALID,
	RVIOMMU_NR_QUIRKS,
};

/* What QEMU's IOMMU is known for, in one version or another (quirks.c). */
#define RVIOMMU_QUIRKS_QEMU	(BIT(RVIOMMU_QUIRK_NO_SVNAPOT) | BIT(RVIOMMU_QUIRK_SMALL_IOTINVAL))

int rviommu_quirks_init(struct rviommu *iommu);
const char *rviommu_quirk_name(unsigned int quirk);
const char *rviommu_quirk_reason(unsigned int quirk);

#endif /* RVIOMMU_QUIRKS_H */
