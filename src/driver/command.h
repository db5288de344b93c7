/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands: encoding, and what can be told from one.
 */
#ifndef RVIOMMU_COMMAND_H
#define RVIOMMU_COMMAND_H

#include <linux/types.h>

#include <rviommu/formats.h>

/* Encoding: each returns a complete command. */
struct rviommu_command rviommu_cmd_iotinval_vma(u32 pscid);
struct rviommu_command rviommu_cmd_iotinval_vma_all(void);
struct rviommu_command rviommu_cmd_iotinval_gvma(u16 gscid);
struct rviommu_command rviommu_cmd_iotinval_vma_gscid(u16 gscid);
struct rviommu_command rviommu_cmd_iotinval_gvma_all(void);
struct rviommu_command rviommu_cmd_with_addr(struct rviommu_command cmd, u64 iova);
struct rviommu_command rviommu_cmd_with_range(struct rviommu_command cmd, u64 iova,
					      unsigned int size_lg2);
struct rviommu_command rviommu_cmd_with_nonleaf(struct rviommu_command cmd);
struct rviommu_command rviommu_cmd_inval_ddt(u32 did);
struct rviommu_command rviommu_cmd_inval_ddt_all(void);
struct rviommu_command rviommu_cmd_inval_pdt(u32 did, u32 pid);
struct rviommu_command rviommu_cmd_iofence(u64 pa, u32 data);
struct rviommu_command rviommu_cmd_barrier(void);
struct rviommu_command rviommu_cmd_ats_prgr(u16 rid, u8 seg, u16 index, u8 code);
struct rviommu_command rviommu_cmd_as_success(struct rviommu_command cmd);
struct rviommu_command rviommu_cmd_ats_inval(u16 rid, u8 seg);
struct rviommu_command rviommu_cmd_with_pasid(struct rviommu_command cmd, u32 pasid);
struct rviommu_command rviommu_cmd_with_atc_range(struct rviommu_command cmd, u64 iova,
						  unsigned int size_lg2);

bool rviommu_cmd_is_iofence(struct rviommu_command cmd);
bool rviommu_cmd_is_iodir(struct rviommu_command cmd);
bool rviommu_cmd_is_ats_inval(struct rviommu_command cmd);
bool rviommu_cmd_is_ats_prgr(struct rviommu_command cmd);
bool rviommu_cmd_is_ats(struct rviommu_command cmd);
bool rviommu_cmd_same_device(struct rviommu_command a, struct rviommu_command b);
bool rviommu_cmd_same_shape(struct rviommu_command a, struct rviommu_command b);
bool rviommu_cmd_widen(struct rviommu_command cmd, struct rviommu_command *wide);

static inline bool rviommu_cmd_equal(struct rviommu_command a, struct rviommu_command b)
{
	return a.dword[0] == b.dword[0] && a.dword[1] == b.dword[1];
}

#endif /* RVIOMMU_COMMAND_H */
