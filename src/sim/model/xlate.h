/* SPDX-License-Identifier: GPL-2.0-only */
/* One translation in progress: what all files on its way know of it. */
#ifndef RVIOMMU_MODEL_XLATE_H
#define RVIOMMU_MODEL_XLATE_H

#include "state.h"

/**
 * struct rviommu_m_key - what an entry is looked up by
 * @kind: RVIOMMU_MODEL_*
 * @shift: log2 of what it covers
 * @gv: kinds of the first stage: a second stage is active
 * @gscid: kinds of the second stage, MSI, and of the first stage with @gv
 * @pscid: kinds of the first stage
 * @device_id: DDT and PDT entries
 * @index: address, process or device, shifted right by @shift
 *
 * Members that do not apply to the kind are 0.
 */
struct rviommu_m_key {
	u8 kind;
	u8 shift;
	bool gv;
	u16 gscid;
	u32 pscid;
	u32 device_id;
	u64 index;
};

/**
 * struct rviommu_m_stage - what one stage of address translation starts from
 * @mode: iosatp.MODE or iohgatp.MODE
 * @sv32: 4-byte PTEs
 * @second: this is the second stage
 * @be: PTEs are big-endian
 * @ade: A and D are set by the IOMMU (SADE, GADE)
 * @root: address of the root table; guest-physical in a two-stage first stage
 */
struct rviommu_m_stage {
	u8 mode;
	bool sv32;
	bool second;
	bool be;
	bool ade;
	u64 root;
};

/**
 * struct rviommu_m_mapping - what one stage says about an address
 * @pa: the address it is translated to
 * @size_lg2: the range for which this holds; 64: Bare, no limit
 * @perms: RVIOMMU_MODEL_R, W, X as allowed to this access
 * @pbmt: memory type
 * @global: first stage: a global mapping
 */
struct rviommu_m_mapping {
	u64 pa;
	u8 size_lg2;
	u8 perms;
	u8 pbmt;
	bool global;
};

/**
 * struct rviommu_m_xlate - one translation in progress
 * @m: the model
 * @req: what is asked
 * @generation: of the model when it began
 * @ats: an ATS Translation Request: permissions are reported, not required
 * @speculative: prefetch: touches neither A and D nor counters
 * @missed: not all that it needed of PTEs was cached
 * @walks_pdt: second-stage accesses are on behalf of the process directory
 * @dc_found: @dc is valid
 * @pv: there is a process ID, maybe the default one
 * @pid: it
 * @priv: the access is privileged
 * @sum: PC.ta.SUM
 * @need: permissions the access requires
 * @pscv: @pscid is in use
 * @pscid: process soft-context
 * @gscid: guest soft-context
 * @s1: first stage
 * @s2: second stage
 * @owner: context that names the root of the first stage
 * @dc: device context
 * @iotval2: for the fault record
 * @result: of both stages
 * @msi: the page is a virtual interrupt file
 * @mrif: it is a memory-resident one
 * @mrif_addr: see struct rviommu_model_response
 * @notice_addr: see there
 * @notice_data: see there
 */
struct rviommu_m_xlate {
	struct rviommu_model *m;
	const struct rviommu_model_request *req;
	u64 generation;
	bool ats;
	bool speculative;
	bool missed;
	bool walks_pdt;
	bool dc_found;
	bool pv;
	u32 pid;
	bool priv;
	bool sum;
	u8 need;
	bool pscv;
	u32 pscid;
	u16 gscid;
	struct rviommu_m_stage s1;
	struct rviommu_m_stage s2;
	struct rviommu_m_key owner;
	u64 dc[RVIOMMU_DC_WORDS_EXT];
	u64 iotval2;
	struct rviommu_m_mapping result;
	bool msi;
	bool mrif;
	u64 mrif_addr;
	u64 notice_addr;
	u32 notice_data;
};

#endif /* RVIOMMU_MODEL_XLATE_H */
