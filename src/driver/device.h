/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One IOMMU from bring-up to removal.
 */
#ifndef RVIOMMU_DEVICE_H
#define RVIOMMU_DEVICE_H

struct rviommu;
struct rviommu_bus;

int rviommu_probe(struct rviommu *iommu, struct rviommu_bus *bus);
void rviommu_remove(struct rviommu *iommu);
void rviommu_shutdown(struct rviommu *iommu);
int rviommu_suspend(struct rviommu *iommu);
int rviommu_resume(struct rviommu *iommu);
void rviommu_wait_for_readers(struct rviommu *iommu);

#endif /* RVIOMMU_DEVICE_H */
