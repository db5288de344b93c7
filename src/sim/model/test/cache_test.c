// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is cached, and what each command removes: "Caching in-memory data
 * structures", "IOMMU Page-Table cache invalidation commands", "IOMMU directory
 * cache invalidation commands", and the extensions NL and S.
 */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define AV	RVIOMMU_CMD_IOTINVAL_AV
#define GV	RVIOMMU_CMD_IOTINVAL_GV
#define PSCV	RVIOMMU_CMD_IOTINVAL_PSCV
#define NL	RVIOMMU_CMD_IOTINVAL_NL
#define S	RVIOMMU_CMD_IOTINVAL_S
#define VA	0x40000000ULL

static u64 root1, root2;

static struct rviommu_model_request by(u32 did, u64 iova)
{
	struct rviommu_model_request req = request(iova);

	req.device_id = did;
	return req;
}

static void touch(u32 did, u64 iova)
{
	struct rviommu_model_request req = by(did, iova);

	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
}

/* Is it cached? Then memory is not asked. */
static bool hit(u32 did, u64 iova)
{
	struct rviommu_model_request req = by(did, iova);
	unsigned int before = bench.reads;

	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	return bench.reads == before;
}

static void device(u32 did, u32 pscid, u64 first, u64 second)
{
	struct rviommu_dc dc = { .word = {
		RVIOMMU_DC_TC_V, second, (u64)pscid << 12, first,
	} };

	dc_write(did, &dc);
}

/* Entries whose V bit is clear are never cached, of any kind. */
static void invalid_is_not_cached(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	struct rviommu_model_request req = request(VA);

	bench_up();
	req.pv = true;
	req.process_id = PID;
	expect_fault(&req, 258);
	dc_write(DID + 1, &dc);
	expect_fault(&req, 258);
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD20, new_page());
	dc_write(DID, &dc);
	expect_fault(&req, 266);
	root1 = new_page();
	pc_write(dc.word[3], PID + 1, RVIOMMU_PC_TA_V, 0);
	expect_fault(&req, 266);
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V, fsc(SV39, root1));
	expect_fault(&req, 13);
	pte_addr(root1, SV39, VA, 1);
	expect_fault(&req, 13);
	pte_addr(root1, SV39, VA, 0);
	expect_fault(&req, 13);
	map(root1, SV39, VA, DATA, PTE_RWX);
	expect_pa(&req, DATA);
}

/* What is valid stays, through every change in memory. */
static void valid_is_cached(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	struct rviommu_model_request req = request(VA);
	u64 addr;

	bench_up();
	req.pv = true;
	req.process_id = PID;
	root1 = new_page();
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD20, new_page());
	dc_write(DID, &dc);
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V, fsc(SV39, root1));
	map(root1, SV39, VA, DATA, PTE_RWX);
	expect_pa(&req, DATA);
	CHECK_EQ(cached(RVIOMMU_MODEL_DDTE), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_DC), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_PDTE), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 2);
	for (addr = 0x40000; addr < bench.pool; addr += 8)
		mem_write(addr, 0);
	expect_pa(&req, DATA);
	/* Off and back again changes nothing ("Device-directory-table pointer") */
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	expect_fault(&req, 256);
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	expect_pa(&req, DATA);
	/* a reset does ("Reset behavior") */
	rviommu_model_reset(bench.m);
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	expect_fault(&req, 258);
}

/* A cached PTE without permission keeps faulting until invalidated. */
static void cached_without_permission(void)
{
	struct rviommu_model_request req = write_request(VA);

	bench_up();
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	map(root1, SV39, VA, DATA, PTE_RWX & ~RVIOMMU_PTE_W);
	expect_fault(&req, 15);
	map(root1, SV39, VA, DATA, PTE_RWX);
	expect_fault(&req, 15);
	inval_vma(AV | PSCV, PSCID, 0, VA);
	expect_pa(&req, DATA);
}

/*
 * Two host address spaces, two guests with two address spaces each; in every
 * one a page of its own and a global page.
 */
static void six_spaces(void)
{
	static const struct {
		u32 did, pscid, gscid;
	} space[] = {
		{ 1, 1, 0 }, { 2, 2, 0 },
		{ 3, 1, 1 }, { 4, 2, 1 },
		{ 5, 1, 2 }, { 6, 2, 2 },
	};
	unsigned int i;
	u64 page;

	bench_up();
	root2 = new_root();
	root1 = new_page();
	map(root1, SV39, VA, DATA, PTE_RWX);
	map(root1, SV39, VA + 0x1000, DATA + 0x1000, PTE_RWX | RVIOMMU_PTE_G);
	for (page = POOL; page < POOL + 0x40000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	map(root2, SV39, DATA, DATA, PTE_RWX);
	map(root2, SV39, DATA + 0x1000, DATA + 0x1000, PTE_RWX);
	for (i = 0; i < ARRAY_SIZE(space); i++) {
		u64 second = space[i].gscid ? FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, SV39) |
			     (u64)space[i].gscid << 44 | root2 >> 12 : 0;

		device(space[i].did, space[i].pscid, fsc(SV39, root1), second);
	}
}

static void touch_all(void)
{
	u32 did;

	inval_vma(0, 0, 0, 0);
	inval_vma(GV, 0, 1, 0);
	inval_vma(GV, 0, 2, 0);
	for (did = 1; did <= 6; did++) {
		touch(did, VA);
		touch(did, VA + 0x1000);
	}
}

static bool leaf_of(const struct rviommu_model_cached *e, void *arg)
{
	unsigned int did = *(unsigned int *)arg;
	unsigned int gscid = (did - 1) / 2, pscid = 2 - (did & 1);

	return e->addr == VA && e->gv == !!gscid && e->gscid == gscid && e->pscid == pscid;
}

/* Bit mask of the devices 1 to 6 whose page is still cached */
static unsigned int left(void)
{
	unsigned int did, mask = 0;

	for (did = 1; did <= 6; did++) {
		if (rviommu_model_list_cached(bench.m, BIT(RVIOMMU_MODEL_S1), leaf_of, &did))
			mask |= 1U << did;
	}
	return mask;
}

static bool is_global(const struct rviommu_model_cached *e, void *arg)
{
	return e->global && e->gscid == *(unsigned int *)arg;
}

static unsigned int globals(unsigned int gscid)
{
	return rviommu_model_list_cached(bench.m, BIT(RVIOMMU_MODEL_S1), is_global, &gscid);
}

/* Global mappings are shared by the address spaces of one guest, or the host. */
static void global_mappings_are_shared(void)
{
	six_spaces();
	touch_all();
	CHECK_EQ(globals(0), 1);
	CHECK_EQ(globals(1), 1);
	CHECK_EQ(globals(2), 1);
	CHECK_EQ(left(), 0x7e);
}

/* The eight rows of the table of IOTINVAL.VMA */
static void vma_scope(void)
{
	static const struct {
		u64 flags;
		u32 pscid, gscid;
		unsigned int left, g0, g1, g2, nonleaf;
	} rows[] = {
		{ 0, 1, 1, 0x78, 0, 1, 1, 8 },
		{ PSCV, 1, 1, 0x7c, 1, 1, 1, 10 },
		{ AV, 1, 1, 0x78, 1, 1, 1, 12 },
		{ AV | PSCV, 1, 1, 0x7c, 1, 1, 1, 12 },
		{ GV, 1, 1, 0x66, 1, 0, 1, 8 },
		{ GV | PSCV, 1, 1, 0x76, 1, 1, 1, 10 },
		{ GV | AV, 1, 1, 0x66, 1, 1, 1, 12 },
		{ GV | AV | PSCV, 1, 1, 0x76, 1, 1, 1, 12 },
	};
	unsigned int i;

	six_spaces();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		touch_all();
		CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 12);
		inval_vma(rows[i].flags, rows[i].pscid, rows[i].gscid, VA);
		CHECK_EQ(left(), rows[i].left);
		CHECK_EQ(globals(0), rows[i].g0);
		CHECK_EQ(globals(1), rows[i].g1);
		CHECK_EQ(globals(2), rows[i].g2);
		CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), rows[i].nonleaf);
	}
}

/* With an address, global pages go only if no PSCID is named. */
static void vma_global_address(void)
{
	six_spaces();
	touch_all();
	inval_vma(AV | PSCV, 1, 0, VA + 0x1000);
	CHECK_EQ(globals(0), 1);
	inval_vma(AV, 0, 0, VA + 0x1000);
	CHECK_EQ(globals(0), 0);
	CHECK_EQ(globals(1), 1);
	CHECK_EQ(left(), 0x7e);
}

/* A non-leaf PTE with G = 1 makes all below it global (Priv). */
static void global_from_above(void)
{
	bench_up();
	root1 = new_page();
	device(1, 1, fsc(SV39, root1), 0);
	device(2, 2, fsc(SV39, root1), 0);
	map(root1, SV39, VA, DATA, PTE_RWX);
	map(root1, SV39, VA + 0x1000, DATA + 0x1000, PTE_RWX);
	mem_write(pte_addr(root1, SV39, VA, 2),
		  mem_read(pte_addr(root1, SV39, VA, 2)) | RVIOMMU_PTE_G);
	touch(1, VA);
	touch(1, VA + 0x1000);	/* by the cached non-leaf entry */
	CHECK_EQ(globals(0), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 2);
	inval_vma(PSCV, 1, 0, 0);
	CHECK_EQ(globals(0), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 2);
}

/* NL: the entries above the address, too. */
static void vma_nonleaf(void)
{
	bench_up();
	root1 = new_page();
	device(1, 1, fsc(SV39, root1), 0);
	map(root1, SV39, VA, DATA, PTE_RWX);
	map(root1, SV39, VA + 0x200000, DATA, PTE_RWX);
	touch(1, VA);
	touch(1, VA + 0x200000);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 3);
	inval_vma(AV | PSCV | NL, 1, 0, VA);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 1);
	/* ignored without AV */
	inval_vma(PSCV | NL, 2, 0, VA);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 1);
}

/* A stale pointer to a table is used until something invalidates it. */
static void stale_nonleaf_is_used(void)
{
	struct rviommu_model_request req = request(VA);
	u64 slot, other;

	bench_up();
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	map(root1, SV39, VA, DATA, PTE_RWX);
	expect_pa(&req, DATA);
	slot = pte_addr(root1, SV39, VA, 1);
	other = new_page();
	mem_write(other, pte(DATA + 0x5000, PTE_RWX));
	mem_write(slot, pte(other, RVIOMMU_PTE_V));
	inval_vma(AV | PSCV, PSCID, 0, VA);
	expect_pa(&req, DATA);
	inval_vma(PSCV, PSCID, 0, 0);
	expect_pa(&req, DATA + 0x5000);
}

static u64 range(u64 addr, unsigned int size_lg2)
{
	return (addr & ~((1ULL << size_lg2) - 1)) | ((1ULL << (size_lg2 - 1)) - 0x1000);
}

static void inval_range(u64 flags, u64 addr)
{
	command(RVIOMMU_CMD_OPCODE_IOTINVAL | AV | PSCV | flags |
		FIELD_PREP(RVIOMMU_CMD_IOTINVAL_PSCID, PSCID), addr >> 2 | S);
}

/* S: a NAPOT range of addresses */
static void vma_range(void)
{
	unsigned int i;

	bench_up();
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	for (i = 0; i < 8; i++)
		map(root1, SV39, VA + 0x1000 * i, DATA + 0x1000 * i, PTE_RWX);
	for (i = 0; i < 8; i++)
		touch(DID, VA + 0x1000 * i);
	inval_range(0, range(VA + 0x5000, 13));
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 6);
	CHECK(hit(DID, VA + 0x3000));
	CHECK(hit(DID, VA + 0x6000));
	CHECK(!hit(DID, VA + 0x4000));
	CHECK(!hit(DID, VA + 0x5000));
	inval_range(0, range(VA, 15));
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 2);
	touch(DID, VA);
	inval_range(NL, range(VA, 14));
	CHECK_EQ(cached(RVIOMMU_MODEL_S1_NONLEAF), 0);
	/* all addresses: the top bit 0, all others 1 */
	touch(DID, VA);
	inval_range(0, ~0ULL >> 1 & ~0xfffULL);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 0);
	CHECK(!bench.unspecified);
	inval_range(0, ~0xfffULL);
	CHECK(bench.unspecified);
}

/* A superpage goes with any address in it. */
static void vma_superpage(void)
{
	bench_up();
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	mem_write(pte_addr(root1, SV39, VA, 1), pte(0x600000, PTE_RWX));
	touch(DID, VA);
	CHECK(hit(DID, VA + 0x1ff000));
	inval_vma(AV | PSCV, PSCID, 0, VA + 0x1ff000);
	CHECK(!hit(DID, VA));
}

/*
 * A NAPOT range is sixteen PTEs: each may be cached for itself, so each
 * needs its own invalidation (Svnapot).
 */
static void napot_is_sixteen_ptes(void)
{
	unsigned int i;

	bench_up();
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	for (i = 0; i < 16; i++)
		map(root1, SV39, VA + 0x1000 * i, DATA | 0x8000, PTE_RWX | RVIOMMU_PTE_N);
	touch(DID, VA);
	touch(DID, VA + 0xf000);
	inval_vma(AV | PSCV, PSCID, 0, VA);
	CHECK(hit(DID, VA + 0xf000));
	CHECK(!hit(DID, VA));
}

/* The rows of the table of IOTINVAL.GVMA; MSI PTEs likewise */
static void gvma_scope(void)
{
	six_spaces();
	touch_all();
	/* GVMA removes nothing of the first stage, VMA nothing of the second. */
	inval_gvma(0, 0, 0);
	CHECK_EQ(left(), 0x7e);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2_NONLEAF), 0);
	CHECK(!hit(3, VA));
	touch(5, VA);
	touch(6, VA);	/* another process of the same guest */
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2_NONLEAF), 4);
	inval_vma(GV, 0, 1, 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 2);
	inval_gvma(GV | AV, 1, DATA);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2_NONLEAF), 4);
	CHECK(hit(5, VA));
	inval_gvma(GV, 1, 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2_NONLEAF), 2);
	inval_gvma(GV | AV | NL, 2, DATA);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S2_NONLEAF), 0);
}

static void gvma_msi(void)
{
	struct rviommu_dc dc;

	bench_up();
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, 0x50000);
	dc.word[5] = 1;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	mem_write(0x50000, pte(0x7000000, 7));
	mem_write(0x50010, pte(0x7001000, 7));
	touch(DID, 0x28000000);
	touch(DID, 0x28001000);
	CHECK_EQ(cached(RVIOMMU_MODEL_MSI), 2);
	mem_write(0x50000, 0);
	CHECK(hit(DID, 0x28000000));
	inval_gvma(GV | AV, GSCID + 1, 0x28000000);
	CHECK_EQ(cached(RVIOMMU_MODEL_MSI), 2);
	inval_gvma(GV | AV, GSCID, 0x28000000);
	CHECK_EQ(cached(RVIOMMU_MODEL_MSI), 1);
	inval_gvma(GV, GSCID, 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_MSI), 0);
}

static u64 process_device(u32 did)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	u64 pdtp = fsc(RVIOMMU_PDTP_MODE_PD17, new_page());

	dc.word[3] = pdtp;
	dc_write(did, &dc);
	pc_write(pdtp, 1, RVIOMMU_PC_TA_V, 0);
	pc_write(pdtp, 2, RVIOMMU_PC_TA_V, 0);
	return pdtp;
}

static void touch_processes(void)
{
	struct rviommu_model_request req;
	u32 did, pid;

	for (did = 1; did <= 2; did++) {
		for (pid = 1; pid <= 2; pid++) {
			req = by(did, VA);
			req.pv = true;
			req.process_id = pid;
			CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
		}
	}
}

/* IODIR: leaf entries of one device, one process, or everything */
static void iodir_scope(void)
{
	bench_up();
	process_device(1);
	process_device(2);
	touch_processes();
	CHECK_EQ(cached(RVIOMMU_MODEL_DC), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 4);
	CHECK_EQ(cached(RVIOMMU_MODEL_PDTE), 2);
	inval_pdt(1, 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 3);
	CHECK_EQ(cached(RVIOMMU_MODEL_PDTE), 2);
	inval_ddt(true, 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_DC), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_PDTE), 1);
	CHECK_EQ(cached(RVIOMMU_MODEL_DDTE), 2);
	/* "The IOTINVAL command has no effect on the IOMMU directory caches." */
	inval_vma(0, 0, 0, 0);
	inval_gvma(0, 0, 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 2);
	inval_ddt(false, 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_DDTE), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_DC), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_PDTE), 0);
}

/* A misconfigured entry with V = 1 may stay, too. */
static void misconfigured_is_cached(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | 1ULL << 40 } };
	struct rviommu_model_request req = request(VA);
	u64 page;

	bench_up();
	dc_write(DID, &dc);
	expect_fault(&req, 259);
	dc.word[0] = RVIOMMU_DC_TC_V;
	dc_write(DID, &dc);
	expect_fault(&req, 259);
	inval_ddt(true, DID);
	expect_pa(&req, VA);

	/* non-leaf entries, too */
	bench_up();
	dc.word[0] |= RVIOMMU_DC_TC_PDTV;
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD17, new_page());
	dc_write(DID, &dc);
	mem_write(DDT_ROOT, mem_read(DDT_ROOT) | 2);
	expect_fault(&req, 259);
	mem_write(DDT_ROOT, mem_read(DDT_ROOT) & ~2ULL);
	expect_fault(&req, 259);
	inval_ddt(true, DID);
	expect_fault(&req, 259);
	inval_ddt(false, 0);
	req.pv = true;
	req.process_id = PID;
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V, 0);
	page = FIELD_GET(RVIOMMU_FSC_PPN, dc.word[3]) << 12;
	mem_write(page, mem_read(page) | 2);
	expect_fault(&req, 267);
	mem_write(page, mem_read(page) & ~2ULL);
	expect_fault(&req, 267);
	inval_pdt(DID, PID);
	expect_fault(&req, 267);
	inval_ddt(true, DID);
	expect_pa(&req, VA);
}

/*
 * An answer is given again only to the same device, process, privilege, page
 * and type of access.
 */
static void answers_are_not_mixed_up(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	struct rviommu_model_request req = request(VA + 0x10), other;
	u64 pa = DATA + 0x10;

	bench_up();
	root1 = new_page();
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD8, new_page());
	dc_write(DID, &dc);
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V | RVIOMMU_PC_TA_ENS, fsc(SV39, root1));
	map(root1, SV39, VA, DATA, PTE_RWX & ~(RVIOMMU_PTE_W | RVIOMMU_PTE_X));
	req.pv = true;
	req.process_id = PID;
	req.length = 0x10000;
	expect_pa(&req, pa);
	CHECK_EQ(rsp.length, 0xff0);
	expect_pa(&req, pa);
	CHECK_EQ(rsp.length, 0xff0);
	CHECK(!rsp.held);
	req.iova += 0x30;
	req.length = 4;
	req.hold = true;
	expect_pa(&req, pa + 0x30);
	CHECK_EQ(rsp.length, 4);
	CHECK(rsp.held);
	rviommu_model_release(bench.m, rsp.held);
	other = req;
	other.write = true;
	expect_fault(&other, 15);
	other = req;
	other.exec = true;
	expect_fault(&other, 12);
	other = req;
	other.priv = true;
	expect_fault(&other, 13);
	other = req;
	other.process_id++;
	expect_fault(&other, 266);
	other = req;
	other.device_id++;
	expect_fault(&other, 258);
	other = req;
	other.iova += 0x1000;
	expect_fault(&other, 13);
	other = req;
	other.kind = RVIOMMU_MODEL_TRANSLATED;
	expect_fault(&other, 260);
	other = req;
	other.pv = false;
	expect_pa(&other, other.iova);
	CHECK(!rviommu_model_translate(bench.m, &req, &rsp));
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_GXL);	/* SXL = 0 is now illegal */
	expect_fault(&req, 259);
}

/* cache_limit: never more entries, and still right */
static void limited_size(void)
{
	struct rviommu_model_stats stats;
	struct rviommu_model_request req;
	unsigned int i, round;

	bench_config();
	bench.config.cache_limit = 20;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	root1 = new_page();
	device(DID, PSCID, fsc(SV39, root1), 0);
	for (i = 0; i < 100; i++)
		map(root1, SV39, VA + 0x1000 * i, DATA + 0x2000 * i, PTE_RWX);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 100; i++) {
			req = request(VA + 0x1000 * i);
			expect_pa(&req, DATA + 0x2000 * i);
			CHECK(rviommu_model_list_cached(bench.m, ~0U, NULL, NULL) <= 20);
		}
	}
	rviommu_model_get_stats(bench.m, &stats);
	CHECK(stats.evictions > 100);
	CHECK_EQ(rviommu_model_list_cached(bench.m, ~0U, NULL, NULL), 20);
}

static const struct bench_test tests[] = {
	TEST(invalid_is_not_cached),
	TEST(valid_is_cached),
	TEST(cached_without_permission),
	TEST(global_mappings_are_shared),
	TEST(vma_scope),
	TEST(vma_global_address),
	TEST(global_from_above),
	TEST(vma_nonleaf),
	TEST(stale_nonleaf_is_used),
	TEST(vma_range),
	TEST(vma_superpage),
	TEST(napot_is_sixteen_ptes),
	TEST(gvma_scope),
	TEST(gvma_msi),
	TEST(iodir_scope),
	TEST(misconfigured_is_cached),
	TEST(answers_are_not_mixed_up),
	TEST(limited_size),
};

int main(void)
{
	return bench_main("cache", tests, ARRAY_SIZE(tests));
}
