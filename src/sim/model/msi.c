// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Process to translate addresses of MSIs", with the PTEs of the Advanced Interrupt
 * Architecture ("MSI PTE, basic translate mode", "MSI PTE, MRIF mode").
 */
#include "cache.h"
#include "mem.h"
#include "msi.h"

#define MSIPTE_V		BIT_ULL(0)
#define MSIPTE_M		GENMASK_ULL(2, 1)
#define MSIPTE_M_MRIF		1
#define MSIPTE_M_BASIC		3
#define MSIPTE_C		BIT_ULL(63)
#define MSIPTE_PPN		GENMASK_ULL(53, 10)
#define MSIPTE_BASIC_RESERVED	(GENMASK_ULL(62, 54) | GENMASK_ULL(9, 3))
#define MSIPTE_MRIF_ADDR	GENMASK_ULL(53, 7)
#define MSIPTE_MRIF_RESERVED	(GENMASK_ULL(62, 54) | GENMASK_ULL(6, 3))
#define MSIPTE_NID_LOW		GENMASK_ULL(9, 0)
#define MSIPTE_NPPN		GENMASK_ULL(53, 10)
#define MSIPTE_NID_HIGH		BIT_ULL(60)
#define MSIPTE_NOTICE_RESERVED	(GENMASK_ULL(63, 61) | GENMASK_ULL(59, 54))

/* "MSI address mask and pattern": is any page of this aligned range a file's? */
bool rviommu_m_is_msi(const struct rviommu_m_xlate *x, u64 gpa, unsigned int size_lg2)
{
	u64 mask = x->dc[RVIOMMU_DC_MSI_ADDR_MASK];
	u64 pattern = x->dc[RVIOMMU_DC_MSI_ADDR_PATTERN];

	if (!FIELD_GET(RVIOMMU_FSC_MODE, x->dc[RVIOMMU_DC_MSIPTP]))
		return false;
	mask |= (1ULL << (size_lg2 - RVIOMMU_PAGE_LG2)) - 1;
	return !((gpa >> RVIOMMU_PAGE_LG2 ^ pattern) & ~mask);
}

/* The bits of x where y has ones, packed at the low end */
static u64 extract(u64 x, u64 y)
{
	unsigned int i, n = 0;
	u64 result = 0;

	for (i = 0; i < 64; i++) {
		if (y >> i & 1)
			result |= (x >> i & 1) << n++;
	}
	return result;
}

static u16 find_msipte(struct rviommu_m_xlate *x, u64 gpa, u64 *msipte)
{
	u64 base = FIELD_GET(RVIOMMU_FSC_PPN, x->dc[RVIOMMU_DC_MSIPTP]) << RVIOMMU_PAGE_LG2;
	struct rviommu_m_key key = {
		.kind = RVIOMMU_MODEL_MSI,
		.shift = RVIOMMU_PAGE_LG2,
		.gscid = x->gscid,
		.index = gpa >> RVIOMMU_PAGE_LG2,
	};
	struct rviommu_m_entry *e = rviommu_m_cache_find(x->m, &key);
	u64 file;
	int ret;

	if (e) {
		memcpy(msipte, e->word, 2 * sizeof(*msipte));
		return 0;
	}
	file = extract(gpa >> RVIOMMU_PAGE_LG2, x->dc[RVIOMMU_DC_MSI_ADDR_MASK]);
	ret = rviommu_m_read_words(x->m, base | file * 16, x->m->fctl & RVIOMMU_FCTL_BE, msipte, 2);
	if (ret)
		return ret == RVIOMMU_MODEL_MEM_FAULT ? CAUSE_MSI_PTE_ACCESS :
							CAUSE_MSI_PT_CORRUPT;
	if (!(msipte[0] & MSIPTE_V))
		return CAUSE_MSI_PTE_INVALID;
	rviommu_m_cache_insert(x, &key, msipte, 2, false);
	return 0;
}

/*
 * What the IOMMU does instead of an access to an MRIF's page. Anything but a
 * naturally aligned 32-bit access is unsupported.
 */
u16 rviommu_m_mrif_shape(const struct rviommu_model_request *req)
{
	if (req->iova & 3)
		return req->write ? CAUSE_WRITE_MISALIGNED : CAUSE_READ_MISALIGNED;
	return req->length == 4 && !req->amo ? 0 : CAUSE_DISALLOWED;
}

/* Translate the address of a virtual interrupt file. */
u16 rviommu_m_msi(struct rviommu_m_xlate *x, u64 gpa, struct rviommu_m_mapping *map)
{
	u64 msipte[2];
	u16 cause;

	cause = find_msipte(x, gpa, msipte);
	if (cause)
		return cause;

	x->msi = true;
	map->size_lg2 = RVIOMMU_PAGE_LG2;
	map->perms = RVIOMMU_MODEL_R | RVIOMMU_MODEL_W;
	map->pbmt = 0;
	map->global = false;
	map->pa = 0;
	/* No custom PTEs here. */
	if (msipte[0] & MSIPTE_C)
		return CAUSE_MSI_PTE_MISCONF;
	switch (FIELD_GET(MSIPTE_M, msipte[0])) {
	case MSIPTE_M_BASIC:
		if (msipte[0] & MSIPTE_BASIC_RESERVED)
			return CAUSE_MSI_PTE_MISCONF;
		map->pa = (FIELD_GET(MSIPTE_PPN, msipte[0]) << RVIOMMU_PAGE_LG2) | (gpa & 0xfff);
		break;
	case MSIPTE_M_MRIF:
		if (!(x->m->cap & RVIOMMU_CAP_MSI_MRIF))
			return CAUSE_MSI_PTE_MISCONF;
		if (msipte[0] & MSIPTE_MRIF_RESERVED || msipte[1] & MSIPTE_NOTICE_RESERVED)
			return CAUSE_MSI_PTE_MISCONF;
		x->mrif = true;
		x->mrif_addr = FIELD_GET(MSIPTE_MRIF_ADDR, msipte[0]) << 9;
		x->notice_addr = FIELD_GET(MSIPTE_NPPN, msipte[1]) << RVIOMMU_PAGE_LG2;
		x->notice_data = FIELD_GET(MSIPTE_NID_LOW, msipte[1]) |
				 FIELD_GET(MSIPTE_NID_HIGH, msipte[1]) << 10;
		break;
	default:
		return CAUSE_MSI_PTE_MISCONF;
	}
	/* Permissions are those of a PTE with R=W=U=1, X=0. */
	if (x->req->exec && !x->ats)
		return CAUSE_INSTR_ACCESS;
	return x->mrif && !x->ats ? rviommu_m_mrif_shape(x->req) : 0;
}
