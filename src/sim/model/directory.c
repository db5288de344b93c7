// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device directory and process directory: "Process to locate the
 * Device-context", "Process to locate the Process-context", and the checks of
 * what is found there.
 */
#include "cache.h"
#include "directory.h"
#include "hpm.h"
#include "mem.h"
#include "walk.h"

#define DIRENT_RESERVED		(~(RVIOMMU_DIRENT_V | RVIOMMU_DIRENT_PPN))
#define TC_RESERVED		(GENMASK_ULL(63, 32) | GENMASK_ULL(23, 12))
#define DC_TA_RESERVED		(GENMASK_ULL(39, 32) | GENMASK_ULL(11, 0))
#define PC_TA_RESERVED		(GENMASK_ULL(63, 32) | GENMASK_ULL(11, 3))
#define FSC_RESERVED		GENMASK_ULL(59, 44)
#define MSI_ADDR_RESERVED	GENMASK_ULL(63, 52)

static u64 ppn_to_addr(u64 ppn)
{
	return ppn << RVIOMMU_PAGE_LG2;
}

/* log2 of the devices that one entry of this level stands for */
static unsigned int ddt_shift(struct rviommu_model *m, unsigned int level)
{
	unsigned int leaf_bits = m->cap & RVIOMMU_CAP_MSI_FLAT ? 6 : 7;

	return level ? leaf_bits + 9 * (level - 1) : 0;
}

static unsigned int ddt_levels(struct rviommu_model *m)
{
	return FIELD_GET(RVIOMMU_DDTP_MODE, m->ddtp_active) - RVIOMMU_DDTP_MODE_1LVL + 1;
}

/* Steps 3 to 5 of "Process to translate an IOVA" */
u16 rviommu_m_check_width(struct rviommu_model *m, u32 device_id)
{
	unsigned int levels = ddt_levels(m);

	return device_id >> min(ddt_shift(m, levels), 24U) ? CAUSE_DISALLOWED : 0;
}

/* Is this iosatp.MODE one of the supported modes? Also of PC.fsc.MODE. */
static bool iosatp_mode_ok(u64 cap, bool sxl, unsigned int mode)
{
	switch (mode) {
	case RVIOMMU_ATP_MODE_BARE:
		return true;
	case RVIOMMU_ATP_MODE_SV39:	/* Sv32 if SXL */
		return cap & (sxl ? RVIOMMU_CAP_SV32 : RVIOMMU_CAP_SV39);
	case RVIOMMU_ATP_MODE_SV48:
		return !sxl && cap & RVIOMMU_CAP_SV48;
	case RVIOMMU_ATP_MODE_SV57:
		return !sxl && cap & RVIOMMU_CAP_SV57;
	}
	return false;
}

static bool iohgatp_mode_ok(u64 cap, bool gxl, unsigned int mode)
{
	switch (mode) {
	case RVIOMMU_ATP_MODE_BARE:
		return true;
	case RVIOMMU_ATP_MODE_SV39:	/* Sv32x4 if GXL */
		return cap & (gxl ? RVIOMMU_CAP_SV32X4 : RVIOMMU_CAP_SV39X4);
	case RVIOMMU_ATP_MODE_SV48:
		return !gxl && cap & RVIOMMU_CAP_SV48X4;
	case RVIOMMU_ATP_MODE_SV57:
		return !gxl && cap & RVIOMMU_CAP_SV57X4;
	}
	return false;
}

static bool pdtp_mode_ok(u64 cap, unsigned int mode)
{
	switch (mode) {
	case RVIOMMU_PDTP_MODE_BARE:
		return true;
	case RVIOMMU_PDTP_MODE_PD8:
		return cap & RVIOMMU_CAP_PD8;
	case RVIOMMU_PDTP_MODE_PD17:
		return cap & RVIOMMU_CAP_PD17;
	case RVIOMMU_PDTP_MODE_PD20:
		return cap & RVIOMMU_CAP_PD20;
	}
	return false;
}

/* MGPAW, "MSI address mask and pattern" */
static unsigned int guest_address_bits(u64 cap)
{
	if (cap & RVIOMMU_CAP_SV57X4)
		return 59;
	if (cap & RVIOMMU_CAP_SV48X4)
		return 50;
	if (cap & RVIOMMU_CAP_SV39X4)
		return 41;
	if (cap & RVIOMMU_CAP_SV32X4)
		return 34;
	return FIELD_GET(RVIOMMU_CAP_PAS, cap);
}

static bool msi_fields_ok(u64 cap, const u64 *dc)
{
	u64 reserved = MSI_ADDR_RESERVED | ~0ULL << (guest_address_bits(cap) - RVIOMMU_PAGE_LG2);
	unsigned int mode = FIELD_GET(RVIOMMU_FSC_MODE, dc[RVIOMMU_DC_MSIPTP]);

	if (dc[RVIOMMU_DC_MSIPTP] & FSC_RESERVED || dc[RVIOMMU_DC_RESERVED])
		return false;
	if ((dc[RVIOMMU_DC_MSI_ADDR_MASK] | dc[RVIOMMU_DC_MSI_ADDR_PATTERN]) & reserved)
		return false;
	if (mode > 1)
		return false;
	/* Recommended, not required: without a second stage it must be Off. */
	return !mode || dc[RVIOMMU_DC_IOHGATP] & RVIOMMU_DC_IOHGATP_MODE;
}

/* "Device-context configuration checks". The DC has V set. */
static bool dc_ok(struct rviommu_model *m, const u64 *dc)
{
	u64 cap = m->cap, tc = dc[RVIOMMU_DC_TC];
	bool sxl = tc & RVIOMMU_DC_TC_SXL, gxl = m->fctl & RVIOMMU_FCTL_GXL;
	bool sbe = tc & RVIOMMU_DC_TC_SBE, be = m->fctl & RVIOMMU_FCTL_BE;
	unsigned int fsc_mode = FIELD_GET(RVIOMMU_FSC_MODE, dc[RVIOMMU_DC_FSC]);
	unsigned int g_mode = FIELD_GET(RVIOMMU_DC_IOHGATP_MODE, dc[RVIOMMU_DC_IOHGATP]);
	u64 rcid = FIELD_GET(RVIOMMU_DC_TA_RCID, dc[RVIOMMU_DC_TA]);
	u64 mcid = FIELD_GET(RVIOMMU_DC_TA_MCID, dc[RVIOMMU_DC_TA]);

	/* 1: bits and encodings reserved for future standard use */
	if (tc & TC_RESERVED || dc[RVIOMMU_DC_TA] & DC_TA_RESERVED ||
	    dc[RVIOMMU_DC_FSC] & FSC_RESERVED)
		return false;
	/* 2 to 7: ATS, PRI, T2GPA */
	if (!(cap & RVIOMMU_CAP_ATS) &&
	    tc & (RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_EN_PRI | RVIOMMU_DC_TC_PRPR))
		return false;
	if (!(tc & RVIOMMU_DC_TC_EN_ATS) && tc & (RVIOMMU_DC_TC_T2GPA | RVIOMMU_DC_TC_EN_PRI))
		return false;
	if (!(tc & RVIOMMU_DC_TC_EN_PRI) && tc & RVIOMMU_DC_TC_PRPR)
		return false;
	if (tc & RVIOMMU_DC_TC_T2GPA && (!(cap & RVIOMMU_CAP_T2GPA) || !g_mode))
		return false;
	/* 8 to 12: what fsc holds */
	if (tc & RVIOMMU_DC_TC_PDTV) {
		if (!pdtp_mode_ok(cap, fsc_mode))
			return false;
	} else {
		if (!iosatp_mode_ok(cap, sxl, fsc_mode) || tc & RVIOMMU_DC_TC_DPE)
			return false;
	}
	/* 13 to 15, 17: second stage */
	if (!iohgatp_mode_ok(cap, gxl, g_mode))
		return false;
	if (g_mode && dc[RVIOMMU_DC_IOHGATP] & 3)
		return false;
	/* 16 */
	if (cap & RVIOMMU_CAP_MSI_FLAT && !msi_fields_ok(cap, dc))
		return false;
	/* 18 */
	if (!(cap & RVIOMMU_CAP_AMO_HWAD) && tc & (RVIOMMU_DC_TC_SADE | RVIOMMU_DC_TC_GADE))
		return false;
	/* 19, 21: endianness */
	if (sbe != be && !(m->config.fctl_writable & RVIOMMU_FCTL_BE))
		return false;
	/* 20 */
	if (sxl != gxl && !(sxl && m->config.fctl_writable & RVIOMMU_FCTL_GXL))
		return false;
	/* 22; without the extension these are reserved bits of rule 1 */
	if (!(cap & RVIOMMU_CAP_QOSID))
		return !rcid && !mcid;
	return !(rcid >> m->config.rcid_bits) && !(mcid >> m->config.mcid_bits);
}

/* "Process-context configuration checks". The PC has V set. */
static bool pc_ok(struct rviommu_model *m, const u64 *dc, const u64 *pc)
{
	return !(pc[RVIOMMU_PC_TA] & PC_TA_RESERVED) && !(pc[RVIOMMU_PC_FSC] & FSC_RESERVED) &&
	       iosatp_mode_ok(m->cap, dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_SXL,
			      FIELD_GET(RVIOMMU_FSC_MODE, pc[RVIOMMU_PC_FSC]));
}

static u16 ddt_cause(int ret)
{
	return ret == RVIOMMU_MODEL_MEM_FAULT ? CAUSE_DDT_ACCESS : CAUSE_DDT_CORRUPT;
}

static u16 pdt_cause(int ret)
{
	return ret == RVIOMMU_MODEL_MEM_FAULT ? CAUSE_PDT_ACCESS : CAUSE_PDT_CORRUPT;
}

/* Find the page of the leaf directory, through cached non-leaf entries. */
static u16 walk_ddt(struct rviommu_m_xlate *x, u32 did, u64 *page)
{
	struct rviommu_model *m = x->m;
	bool be = m->fctl & RVIOMMU_FCTL_BE;
	unsigned int level, levels = ddt_levels(m);
	struct rviommu_m_key key = { .kind = RVIOMMU_MODEL_DDTE };
	struct rviommu_m_entry *e = NULL;
	u64 addr, ddte;
	int ret;

	*page = ppn_to_addr(FIELD_GET(RVIOMMU_DDTP_PPN, m->ddtp_active));
	for (level = 1; level < levels; level++) {
		key.shift = ddt_shift(m, level);
		key.index = did >> key.shift;
		e = rviommu_m_cache_find(m, &key);
		if (e)
			break;
	}
	if (e) {
		ddte = e->word[0];
		if (ddte & DIRENT_RESERVED)
			return CAUSE_DDT_MISCONFIGURED;
		*page = ppn_to_addr(FIELD_GET(RVIOMMU_DIRENT_PPN, ddte));
	}
	while (--level) {
		key.shift = ddt_shift(m, level);
		key.index = did >> key.shift;
		addr = *page + 8 * (key.index & 0x1ff);
		ret = rviommu_m_read_words(m, addr, be, &ddte, 1);
		if (ret)
			return ddt_cause(ret);
		if (!(ddte & RVIOMMU_DIRENT_V))
			return CAUSE_DDT_INVALID;
		rviommu_m_cache_insert(x, &key, &ddte, 1, false);
		if (ddte & DIRENT_RESERVED)
			return CAUSE_DDT_MISCONFIGURED;
		*page = ppn_to_addr(FIELD_GET(RVIOMMU_DIRENT_PPN, ddte));
	}
	return 0;
}

/* "Process to locate the Device-context"; the ddtp mode is 1LVL to 3LVL. */
u16 rviommu_m_get_dc(struct rviommu_m_xlate *x, u32 did)
{
	struct rviommu_model *m = x->m;
	unsigned int n = m->cap & RVIOMMU_CAP_MSI_FLAT ? RVIOMMU_DC_WORDS_EXT :
							 RVIOMMU_DC_WORDS_BASE;
	struct rviommu_m_key key = {
		.kind = RVIOMMU_MODEL_DC, .device_id = did, .index = did,
	};
	struct rviommu_m_entry *e;
	u64 page;
	u16 cause;
	int ret;

	e = rviommu_m_cache_find(m, &key);
	if (e) {
		memcpy(x->dc, e->word, sizeof(x->dc));
		if (!e->checked) {
			e->cause = dc_ok(m, x->dc) ? 0 : CAUSE_DDT_MISCONFIGURED;
			e->checked = true;
		}
		cause = e->cause;
	} else {
		rviommu_m_count(x, EVENT_DDT_WALK);
		cause = walk_ddt(x, did, &page);
		if (cause)
			return cause;
		page += 8ULL * n * (did & ((1U << ddt_shift(m, 1)) - 1));
		ret = rviommu_m_read_words(m, page, m->fctl & RVIOMMU_FCTL_BE, x->dc, n);
		if (ret)
			return ddt_cause(ret);
		if (!(x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_V))
			return CAUSE_DDT_INVALID;
		rviommu_m_cache_insert(x, &key, x->dc, n, false);
		cause = dc_ok(m, x->dc) ? 0 : CAUSE_DDT_MISCONFIGURED;
	}
	x->dc_found = !cause;
	return cause;
}

/* Width of the process IDs that this pdtp allows */
unsigned int rviommu_m_pdt_bits(u64 pdtp)
{
	switch (FIELD_GET(RVIOMMU_FSC_MODE, pdtp)) {
	case RVIOMMU_PDTP_MODE_PD8:
		return 8;
	case RVIOMMU_PDTP_MODE_PD17:
		return 17;
	}
	return 20;
}

static unsigned int pdt_shift(unsigned int level)
{
	return level ? 8 + 9 * (level - 1) : 0;
}

/*
 * Find the page of the leaf process directory. *owner becomes what points to it: the
 * device context or a non-leaf entry.
 */
static u16 walk_pdt(struct rviommu_m_xlate *x, u64 *page, struct rviommu_m_key *owner)
{
	struct rviommu_model *m = x->m;
	unsigned int level, levels = FIELD_GET(RVIOMMU_FSC_MODE, x->dc[RVIOMMU_DC_FSC]);
	bool be = x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_SBE;
	u32 did = x->req->device_id;
	struct rviommu_m_key key = { .kind = RVIOMMU_MODEL_PDTE, .device_id = did };
	struct rviommu_m_entry *e = NULL;
	u64 addr, pdte;
	u16 cause;
	int ret;

	*page = ppn_to_addr(FIELD_GET(RVIOMMU_FSC_PPN, x->dc[RVIOMMU_DC_FSC]));
	*owner = (struct rviommu_m_key){
		.kind = RVIOMMU_MODEL_DC, .device_id = did, .index = did,
	};
	for (level = 1; level < levels; level++) {
		key.shift = pdt_shift(level);
		key.index = x->pid >> key.shift;
		e = rviommu_m_cache_find(m, &key);
		if (e)
			break;
	}
	if (e) {
		pdte = e->word[0];
		if (pdte & DIRENT_RESERVED)
			return CAUSE_PDT_MISCONFIGURED;
		*page = ppn_to_addr(FIELD_GET(RVIOMMU_DIRENT_PPN, pdte));
		*owner = key;
	}
	while (--level) {
		key.shift = pdt_shift(level);
		key.index = x->pid >> key.shift;
		addr = *page + 8 * (key.index & 0x1ff);
		cause = rviommu_m_context_table(x, owner, addr, &addr);
		if (cause)
			return cause;
		ret = rviommu_m_read_words(m, addr, be, &pdte, 1);
		if (ret)
			return pdt_cause(ret);
		if (!(pdte & RVIOMMU_DIRENT_V))
			return CAUSE_PDT_INVALID;
		rviommu_m_cache_insert(x, &key, &pdte, 1, false);
		if (pdte & DIRENT_RESERVED)
			return CAUSE_PDT_MISCONFIGURED;
		*page = ppn_to_addr(FIELD_GET(RVIOMMU_DIRENT_PPN, pdte));
		*owner = key;
	}
	return 0;
}

static u16 read_pc(struct rviommu_m_xlate *x, u64 *pc)
{
	struct rviommu_m_key owner;
	u64 addr;
	u16 cause;
	int ret;

	cause = walk_pdt(x, &addr, &owner);
	if (cause)
		return cause;
	addr += 16 * (x->pid & 0xff);
	cause = rviommu_m_context_table(x, &owner, addr, &addr);
	if (cause)
		return cause;
	ret = rviommu_m_read_words(x->m, addr, x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_SBE, pc,
				   RVIOMMU_PC_WORDS);
	return ret ? pdt_cause(ret) : 0;
}

/*
 * "Process to locate the Process-context" of x->pid. Second-stage accesses are
 * implicit reads, their access faults are those of the PDT.
 */
u16 rviommu_m_get_pc(struct rviommu_m_xlate *x, u64 *pc)
{
	struct rviommu_m_key key = {
		.kind = RVIOMMU_MODEL_PC, .device_id = x->req->device_id, .index = x->pid,
	};
	struct rviommu_m_entry *e;
	u16 cause;

	e = rviommu_m_cache_find(x->m, &key);
	if (e) {
		memcpy(pc, e->word, RVIOMMU_PC_WORDS * sizeof(*pc));
	} else {
		rviommu_m_count(x, EVENT_PDT_WALK);
		x->walks_pdt = true;
		cause = read_pc(x, pc);
		x->walks_pdt = false;
		if (cause)
			return cause;
		if (!(pc[RVIOMMU_PC_TA] & RVIOMMU_PC_TA_V))
			return CAUSE_PDT_INVALID;
		rviommu_m_cache_insert(x, &key, pc, RVIOMMU_PC_WORDS, false);
	}
	return pc_ok(x->m, x->dc, pc) ? 0 : CAUSE_PDT_MISCONFIGURED;
}

void rviommu_m_set_second_stage(struct rviommu_m_xlate *x)
{
	u64 iohgatp = x->dc[RVIOMMU_DC_IOHGATP];

	x->s2.second = true;
	x->s2.mode = FIELD_GET(RVIOMMU_DC_IOHGATP_MODE, iohgatp);
	x->s2.root = ppn_to_addr(FIELD_GET(RVIOMMU_DC_IOHGATP_PPN, iohgatp));
	x->s2.sv32 = x->m->fctl & RVIOMMU_FCTL_GXL;
	x->s2.be = x->m->fctl & RVIOMMU_FCTL_BE;
	x->s2.ade = x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_GADE;
	x->gscid = x->s2.mode ? FIELD_GET(RVIOMMU_DC_IOHGATP_GSCID, iohgatp) : 0;
}

void rviommu_m_set_first_stage(struct rviommu_m_xlate *x, u64 fsc, u32 pscid)
{
	u64 tc = x->dc[RVIOMMU_DC_TC];

	x->s1.mode = FIELD_GET(RVIOMMU_FSC_MODE, fsc);
	x->s1.root = ppn_to_addr(FIELD_GET(RVIOMMU_FSC_PPN, fsc));
	x->s1.sv32 = tc & RVIOMMU_DC_TC_SXL;
	x->s1.be = tc & RVIOMMU_DC_TC_SBE;
	x->s1.ade = tc & RVIOMMU_DC_TC_SADE;
	x->pscv = x->s1.mode != RVIOMMU_ATP_MODE_BARE;
	x->pscid = x->pscv ? pscid : 0;
}
