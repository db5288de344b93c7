// SPDX-License-Identifier: GPL-2.0-only
/*
 * "PCIe ATS translation request handling", "IOMMU PCIe ATS commands", "PCIe ATS
 * Page Request handling".
 */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define VA	0x40000000ULL
#define R	RVIOMMU_MODEL_R
#define W	RVIOMMU_MODEL_W
#define X	RVIOMMU_MODEL_X

static u64 root1, root2, pdtp;

static struct rviommu_model_request ats_request(u64 iova)
{
	struct rviommu_model_request req = request(iova);

	req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	req.pv = true;
	req.process_id = PID;
	return req;
}

/* One process with a first stage; tc and ta are added. */
static void with_process(u64 tc, u64 ta)
{
	struct rviommu_dc dc = { .word = {
		RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_PDTV | tc,
	} };

	bench_up();
	root1 = new_page();
	pdtp = fsc(RVIOMMU_PDTP_MODE_PD8, new_page());
	dc.word[3] = pdtp;
	dc_write(DID, &dc);
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V | ta | PSCID << 12, fsc(SV39, root1));
}

static void all_gone(void)
{
	inval_vma(0, 0, 0, 0);
	wr32(RVIOMMU_REG_FQH, faults());
}

/* Success, with what the page tables grant of what was asked for */
static void granted_permissions(void)
{
	struct rviommu_model_request req = ats_request(VA);
	unsigned int perms, asked;

	with_process(0, 0);
	for (perms = 1; perms < 8; perms++) {
		if ((perms & 3) == 2)
			continue;
		map(root1, SV39, VA, DATA, (PTE_RWX & ~0xeULL) | perms << 1);
		for (asked = 0; asked < 4; asked++) {
			u8 expected = perms;

			/* X only if asked for, and only together with R */
			if (!(asked & 1) || !(perms & R))
				expected &= ~X;
			req.exec = asked & 1;
			req.write = asked & 2;
			all_gone();
			CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
			CHECK_EQ(rsp.perms, expected);
			CHECK_EQ(rsp.spa, DATA);
			CHECK_EQ(rsp.size_lg2, 12);
		}
	}
	CHECK_EQ(faults(), 0);
}

/* Page faults and PDT entry not valid: Success, R = W = 0, no record */
static void success_without_permission(void)
{
	struct rviommu_model_request req = ats_request(VA);

	with_process(0, 0);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK_EQ(rsp.cause, 13);
	/* not accessible to user mode */
	map(root1, SV39, VA, DATA, PTE_RWX & ~RVIOMMU_PTE_U);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	req.process_id++;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.cause, 266);
	CHECK_EQ(faults(), 0);
}

/* Privilege Mode Requested: user pages need SUM, and are never executable. */
static void privileged_requests(void)
{
	struct rviommu_model_request req = ats_request(VA);

	req.priv = true;
	req.exec = true;
	with_process(0, RVIOMMU_PC_TA_ENS);
	map(root1, SV39, VA, DATA, PTE_RWX);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK(rsp.priv);
	with_process(0, RVIOMMU_PC_TA_ENS | RVIOMMU_PC_TA_SUM);
	map(root1, SV39, VA, DATA, PTE_RWX);
	map(root1, SV39, VA + 0x1000, DATA, PTE_RWX & ~RVIOMMU_PTE_U);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R | W);
	req.iova += 0x1000;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R | W | X);
	CHECK(rsp.priv);
	/* without ENS: disallowed, UR */
	with_process(0, 0);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 260);
}

/* The two lists of causes, and RAS for corruption: UR, CA; with a record */
static void error_classes(void)
{
	struct rviommu_model_request req = ats_request(VA);

	/* UR */
	with_process(0, 0);
	req.device_id++;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 258);
	CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 8);
	bench.bad_addr = DDT_ROOT;
	bench.bad_size = 0x1000;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	inval_ddt(false, 0);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 257);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 268);
	bench.bad_how = 0;
	dc_write(DID + 1, &(struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V, 1ULL << 60 } });
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 259);

	/* CA */
	req.device_id--;
	bench.bad_addr = FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 265);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 269);
	bench.bad_addr = root1;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 274);
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 5);
	req.write = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 7);
	req.exec = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 1);
	bench.bad_how = 0;
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V | 1ULL << 40, 0);
	inval_pdt(DID, PID);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 267);
}

/* D: set if write permission is asked for, else W is not granted. */
static void dirty_bit(void)
{
	struct rviommu_model_request req = ats_request(VA);
	u64 clean = PTE_RWX & ~(RVIOMMU_PTE_A | RVIOMMU_PTE_D);

	with_process(RVIOMMU_DC_TC_SADE, 0);
	map(root1, SV39, VA, DATA, clean);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
	CHECK_EQ(mem_read(pte_addr(root1, SV39, VA, 0)), pte(DATA, clean | RVIOMMU_PTE_A));
	req.write = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R | W);
	CHECK_EQ(mem_read(pte_addr(root1, SV39, VA, 0)), pte(DATA, PTE_RWX));
	/*
	 * Without SADE what asks for write permission meets a page fault ("Translation
	 * control": a store, D is 0), which is answered with R = W = 0.
	 */
	with_process(0, 0);
	map(root1, SV39, VA, DATA, PTE_RWX & ~RVIOMMU_PTE_D);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK_EQ(rsp.cause, 15);
	CHECK_EQ(faults(), 0);
	/* ... and what does not ask gets the rest. */
	req.write = false;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
	/* To a page without W nothing is a store. */
	req.write = true;
	map(root1, SV39, VA, DATA, PTE_RWX & ~(RVIOMMU_PTE_D | RVIOMMU_PTE_W));
	all_gone();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
	map(root1, SV39, VA, DATA, clean);
	all_gone();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	req.exec = true;
	req.write = false;
	map(root1, SV39, VA, DATA, PTE_RWX & ~(RVIOMMU_PTE_D | RVIOMMU_PTE_X));
	all_gone();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
}

/* The second stage's D only if both stages grant W */
static void dirty_bit_second_stage(void)
{
	struct rviommu_model_request req = ats_request(VA);
	u64 clean = PTE_RWX & ~RVIOMMU_PTE_D, page;
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	root1 = new_page();
	dc = dc_first(fsc(SV39, root1));
	dc.word[0] |= RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_GADE;
	dc.word[1] = iohgatp(SV39, root2);
	dc_write(DID, &dc);
	map(root1, SV39, VA, DATA, PTE_RWX & ~RVIOMMU_PTE_W);
	for (page = POOL; page < POOL + 0x40000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	map(root2, SV39, DATA, 0x7000, clean);
	req.pv = false;
	req.write = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
	CHECK_EQ(mem_read(pte_addr(root2, SV39, DATA, 0)), pte(0x7000, clean));
	/* Without GADE: a guest-page fault, if the first stage grants W */
	dc.word[0] &= ~RVIOMMU_DC_TC_GADE;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, R);
	map(root1, SV39, VA, DATA, PTE_RWX);
	inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK_EQ(rsp.cause, 23);
}

/* Global, CXL.io; Priv and Global are 0 without a PASID. */
static void response_flags(void)
{
	struct rviommu_model_request req = ats_request(VA);
	struct rviommu_dc dc;

	with_process(0, 0);
	map(root1, SV39, VA, DATA, PTE_RWX | RVIOMMU_PTE_G);
	map(root1, SV39, VA + 0x1000, DATA, PTE_RWX | 1ULL << 61);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(rsp.global);
	CHECK(!rsp.priv);
	CHECK(!rsp.cxl_io);
	/* from the cache, too, and by an entry above */
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(rsp.global);
	map(root1, SV39, VA + 0x200000, DATA, PTE_RWX);
	mem_write(pte_addr(root1, SV39, VA + 0x200000, 1),
		  mem_read(pte_addr(root1, SV39, VA + 0x200000, 1)) | RVIOMMU_PTE_G);
	req.iova = VA + 0x200000;
	send(&req);
	CHECK(rsp.global);
	send(&req);
	CHECK(rsp.global);
	req.iova = VA + 0x1000;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(!rsp.cxl_io);
	req.cxl = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(!rsp.global);
	CHECK(rsp.cxl_io);

	dc = dc_first(fsc(SV39, root1));
	dc.word[0] |= RVIOMMU_DC_TC_EN_ATS;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	req = ats_request(VA);
	req.pv = false;
	req.priv = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.spa, DATA);
	CHECK(!rsp.global);
	CHECK(!rsp.priv);
}

/* T2GPA: the answer is a GPA, with size and permissions of both stages. */
static void t2gpa(void)
{
	struct rviommu_model_request req = ats_request(VA + 0x1000);
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	dc = dc_second(iohgatp(SV39, root2));
	dc.word[0] |= RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_T2GPA;
	dc_write(DID, &dc);
	req.pv = false;
	req.cxl = true;
	mem_write(pte_addr(root2, SV39, VA, 1), pte(0x600000, PTE_RWX & ~RVIOMMU_PTE_W));
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.spa, VA + 0x1000);
	CHECK_EQ(rsp.size_lg2, 21);
	CHECK_EQ(rsp.perms, R);
	CHECK(rsp.cxl_io);
	req.iova += 0x200000;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK_EQ(rsp.cause, 21);
}

static void ats_inval(u32 rid)
{
	command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, rid),
		0x123456789000ULL);
}

/* ATS.INVAL and ATS.PRGR: what is in the messages */
static void messages(void)
{
	bench_up();
	command(RVIOMMU_CMD_OPCODE_ATS | RVIOMMU_CMD_ATS_PV | RVIOMMU_CMD_ATS_DSV |
		FIELD_PREP(RVIOMMU_CMD_ATS_PID, PID) | FIELD_PREP(RVIOMMU_CMD_ATS_RID, 0x1234) |
		FIELD_PREP(RVIOMMU_CMD_ATS_DSEG, 0x56), 0x123456789801ULL);
	CHECK_EQ(bench.nr_ats, 1);
	CHECK_EQ(bench.ats[0].code, RVIOMMU_MODEL_ATS_INVAL);
	CHECK_EQ(bench.ats[0].device_id, 0x561234);
	CHECK_EQ(bench.ats[0].process_id, PID);
	CHECK(bench.ats[0].pv);
	CHECK_EQ(bench.ats[0].payload, 0x123456789801ULL);
	/* PV = 0, DSV = 0: PID and DSEG are ignored */
	command(RVIOMMU_CMD_OPCODE_ATS | 1 << 7 | FIELD_PREP(RVIOMMU_CMD_ATS_PID, PID) |
		FIELD_PREP(RVIOMMU_CMD_ATS_RID, 0x1234) |
		FIELD_PREP(RVIOMMU_CMD_ATS_DSEG, 0x56), 0x100500000000ULL);
	CHECK_EQ(bench.ats[1].code, RVIOMMU_MODEL_ATS_PRGR);
	CHECK_EQ(bench.ats[1].device_id, 0x1234);
	CHECK_EQ(bench.ats[1].process_id, 0);
	CHECK(!bench.ats[1].pv);
	CHECK_EQ(bench.ats[1].payload, 0x100500000000ULL);
}

/* IOFENCE.C waits for completions: all of them, from the right device. */
static void completions(void)
{
	bench_up();
	dc_ats(7, 8);
	ats_inval(7);
	ats_inval(8);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	CHECK(bench.ats[0].itag != bench.ats[1].itag);
	rviommu_model_inval_completion(bench.m, 7, BIT(bench.ats[0].itag), 1);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	/* somebody else's tag */
	rviommu_model_inval_completion(bench.m, 7, ~0U, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	rviommu_model_inval_completion(bench.m, 8, BIT(bench.ats[1].itag), 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	rviommu_model_inval_completion(bench.m, 8, BIT(bench.ats[1].itag), 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
}

/*
 * "Translation control": from a device whose context does not have EN_ATS, or where there
 * is none, an Invalidation Completion is an unsupported request. The one that it answers
 * times out.
 */
static void refused_completions(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	unsigned int i;

	for (i = 0; i < 5; i++) {
		static const unsigned int causes[] = { 260, 258, 260, 256, 0 };

		bench_up();
		dc_ats(DID, DID);
		ats_inval(DID);
		fence();
		switch (i) {
		case 0:
			dc_write(DID, &dc);
			break;
		case 1:
			dc_write(DID, &(struct rviommu_dc) { });
			break;
		case 2:
			bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
			bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
			break;
		case 3:
			bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
			break;
		}
		rviommu_model_inval_completion(bench.m, DID, BIT(bench.ats[0].itag), 1);
		CHECK_EQ(faults(), causes[i] ? 1 : 0);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), causes[i] ? 1 : 2);
		if (!causes[i])
			continue;
		CHECK_EQ(last_cause(), causes[i]);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 9);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_DID, fault_word(0, 0)), DID);
		CHECK_EQ(fault_word(0, 2), 2);
		rviommu_model_advance(bench.m, bench.config.ats_timeout);
		CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_TO);
	}
	/* What the IOMMU has cached of the context decides, until it is told. */
	bench_up();
	dc_ats(DID, DID);
	bench.complete = true;
	ats_inval(DID);
	dc_write(DID, &dc);
	ats_inval(DID);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	inval_ddt(true, DID);
	ats_inval(DID);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 5);
	CHECK_EQ(last_cause(), 260);
}

/* More than there are tags: the queue goes on as completions come in. */
static void many_invalidations(void)
{
	unsigned int i;

	bench_up();
	dc_ats(0, 7);
	for (i = 0; i < 40; i++)
		ats_inval(7);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 32);
	CHECK_EQ(bench.nr_ats, 32);
	rviommu_model_inval_completion(bench.m, 7, 0xff, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 40);
	/* answered at once, from within the callback */
	bench.complete = true;
	for (i = 0; i < 60; i++) {
		mem_write(CQ_BASE + 16 * (40 + i), RVIOMMU_CMD_OPCODE_ATS);
		mem_write(CQ_BASE + 16 * (40 + i) + 8, 0);
	}
	rviommu_model_inval_completion(bench.m, 7, ~0U, 1);
	wr32(RVIOMMU_REG_CQT, 100);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 100);
	CHECK_EQ(bench.nr_ats, 100);
}

/* A timeout is reported by the next IOFENCE.C, once. */
static void timeouts(void)
{
	bench_up();
	dc_ats(7, 8);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	ats_inval(7);
	rviommu_model_advance(bench.m, bench.config.ats_timeout - 1);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	rviommu_model_advance(bench.m, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_TO);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_CIP);
	/* too late */
	rviommu_model_inval_completion(bench.m, 7, ~0U, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_CQCSR_CMD_TO);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
}

/* The time to answer begins when the device has the request, however long that takes. */
static void slow_messages(void)
{
	bench_up();
	dc_ats(7, 7);
	bench.on_the_way = bench.config.ats_timeout;
	bench.complete = true;
	ats_inval(7);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	bench.complete = false;
	ats_inval(7);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	rviommu_model_advance(bench.m, bench.config.ats_timeout - 1);
	CHECK(!(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_TO));
	rviommu_model_advance(bench.m, 1);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_TO);
}

/* Lost and late completions on request */
static void lost_and_late(void)
{
	bench_up();
	dc_ats(7, 8);
	bench.complete = true;
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_ATS_LATE, 1);
	ats_inval(7);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	rviommu_model_advance(bench.m, bench.config.ats_timeout);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_ATS_LOST, 1);
	ats_inval(7);
	fence();
	rviommu_model_advance(bench.m, bench.config.ats_timeout);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_TO);
}

#define PR_R	1
#define PR_W	2
#define PR_L	4

static struct rviommu_model_ats_msg answer;

static int page_request(u32 did, bool pv, u64 flags)
{
	struct rviommu_model_page_request pr = {
		.device_id = did,
		.process_id = PID,
		.pv = pv,
		.payload = 0x7000 | 0x155 << 3 | flags,
	};

	memset(&answer, 0, sizeof(answer));
	return rviommu_model_page_request(bench.m, &pr, &answer);
}

static unsigned int answer_code(void)
{
	CHECK_EQ(answer.code, RVIOMMU_MODEL_ATS_PRGR);
	CHECK_EQ(answer.payload & ~(0xfULL << 44), 0x155ULL << 32);
	return answer.payload >> 44;
}

static void with_pri(u64 tc)
{
	bench_up();
	dc_write(DID, &(struct rviommu_dc) { .word = {
		 RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_EN_ATS | RVIOMMU_DC_TC_EN_PRI | tc } });
}

/* "Page-Request-Queue (PQ)": the record, and the interrupt */
static void page_request_record(void)
{
	struct rviommu_model_page_request pr = {
		.device_id = DID, .process_id = PID, .pv = true, .priv = true, .exec = true,
		.payload = 0xabcdef0123456789ULL,
	};

	with_pri(0);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	CHECK_EQ(rviommu_model_page_request(bench.m, &pr, &answer), RVIOMMU_MODEL_PR_QUEUED);
	CHECK_EQ(rd32(RVIOMMU_REG_PQT), 1);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PIP);
	CHECK_EQ(mem_read(PQ_BASE), (u64)DID << 40 | 7ULL << 32 | PID << 12);
	CHECK_EQ(mem_read(PQ_BASE + 8), pr.payload);
	pr.priv = false;
	pr.exec = false;
	rviommu_model_page_request(bench.m, &pr, &answer);
	CHECK_EQ(mem_read(PQ_BASE + 16), (u64)DID << 40 | 1ULL << 32 | PID << 12);
	pr.priv = true;
	pr.exec = true;
	/* no PASID: PRIV and EXEC are 0 */
	pr.pv = false;
	rviommu_model_page_request(bench.m, &pr, &answer);
	CHECK_EQ(mem_read(PQ_BASE + 32), (u64)DID << 40);
}

/* Status Response Failure: with the PASID, whatever PRPR says */
static void response_failure(void)
{
	with_pri(0);
	CHECK_EQ(page_request(DID + 1, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	CHECK(answer.pv);
	CHECK_EQ(answer.process_id, PID);
	CHECK_EQ(last_cause(), 258);
	CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 9);
	CHECK_EQ(fault_word(0, 2), 4);
	dc_write(DID + 1, &(struct rviommu_dc) { .word = { 1 | 1ULL << 40 } });
	page_request(DID + 1, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	CHECK_EQ(last_cause(), 259);
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	CHECK_EQ(last_cause(), 256);
}

/* The queue is off, or broken: Response Failure and no record */
static void response_failure_queue(void)
{
	with_pri(0);
	wr32(RVIOMMU_REG_PQCSR, 0);
	CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	bench.bad_addr = PQ_BASE;
	bench.bad_size = 0x1000;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	CHECK(answer.pv);
	CHECK(rd32(RVIOMMU_REG_PQCSR) & RVIOMMU_QCSR_MF);
	bench.bad_how = 0;
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_MF);
	CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_QUEUED);
	CHECK_EQ(faults(), 0);
}

/* Status Invalid Request: PASID only if PRPR */
static void response_invalid(void)
{
	with_pri(0);
	dc_write(DID + 1, &(struct rviommu_dc) { .word = { 1 | RVIOMMU_DC_TC_EN_ATS } });
	CHECK_EQ(page_request(DID + 1, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_INVALID);
	CHECK(!answer.pv);
	CHECK_EQ(last_cause(), 260);
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_INVALID);
	CHECK_EQ(last_cause(), 260);
	bench_ddtp(RVIOMMU_DDTP_MODE_1LVL);
	page_request(64, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_INVALID);
	CHECK_EQ(last_cause(), 260);
}

/* Overflow: Success, PASID only if PRPR, no record; all later ones, too */
static void response_overflow(void)
{
	unsigned int prpr, i;

	for (prpr = 0; prpr < 2; prpr++) {
		with_pri(prpr ? RVIOMMU_DC_TC_PRPR : 0);
		for (i = 0; i < 127; i++)
			CHECK_EQ(page_request(DID, true, PR_R), RVIOMMU_MODEL_PR_QUEUED);
		CHECK_EQ(page_request(DID, true, PR_R), RVIOMMU_MODEL_PR_DISCARDED);
		CHECK(rd32(RVIOMMU_REG_PQCSR) & RVIOMMU_QCSR_OF);
		CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
		wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
		CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PIP);
		wr32(RVIOMMU_REG_PQH, 100);
		CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
		CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_SUCCESS);
		CHECK_EQ(answer.pv, prpr);
		page_request(DID, false, PR_W | PR_L);
		CHECK(!answer.pv);
		wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_OF);
		CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_QUEUED);
		CHECK_EQ(faults(), 0);
	}
}

/* Stop Markers are queued, and never answered. */
static void stop_markers(void)
{
	with_pri(0);
	CHECK_EQ(page_request(DID, true, PR_L), RVIOMMU_MODEL_PR_QUEUED);
	wr32(RVIOMMU_REG_PQCSR, 0);
	CHECK_EQ(page_request(DID, true, PR_L), RVIOMMU_MODEL_PR_DISCARDED);
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	CHECK_EQ(page_request(DID, true, PR_L), RVIOMMU_MODEL_PR_DISCARDED);
	CHECK_EQ(page_request(DID, true, PR_R), RVIOMMU_MODEL_PR_DISCARDED);
}

/* DTF silences cause 260 of a page request, not the others. */
static void page_request_dtf(void)
{
	unsigned int n;

	with_pri(0);
	dc_write(DID + 1, &(struct rviommu_dc) { .word = { 1 | RVIOMMU_DC_TC_DTF } });
	n = faults();
	page_request(DID + 1, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_INVALID);
	CHECK_EQ(faults(), n);
}

/* Errors on request */
static void injected_errors(void)
{
	with_pri(0);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PIP);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_SUCCESS);
	CHECK(rd32(RVIOMMU_REG_PQCSR) & RVIOMMU_QCSR_OF);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_OF);
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	page_request(DID, true, PR_R | PR_L);
	CHECK_EQ(answer_code(), RVIOMMU_MODEL_PRGR_FAILURE);
	CHECK(rd32(RVIOMMU_REG_PQCSR) & RVIOMMU_QCSR_MF);
}

/* "The IOMMU itself may generate" a response: it need not, and says nothing of it then. */
static void no_response(void)
{
	with_pri(0);
	wr32(RVIOMMU_REG_PQCSR, 0);
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_PR_SILENT, 1);
	/* Those that nobody would respond to do not count. */
	CHECK_EQ(page_request(DID, true, PR_R), RVIOMMU_MODEL_PR_DISCARDED);
	CHECK_EQ(page_request(DID, true, PR_L), RVIOMMU_MODEL_PR_DISCARDED);
	CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_DISCARDED);
	CHECK_EQ(answer.code, 0);
	CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
	/* A request that is queued needs no response of the IOMMU. */
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_PR_SILENT, 1);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	CHECK_EQ(page_request(DID, true, PR_R | PR_L), RVIOMMU_MODEL_PR_QUEUED);
	CHECK_EQ(page_request(DID + 1, true, PR_R | PR_L), RVIOMMU_MODEL_PR_DISCARDED);
	CHECK_EQ(page_request(DID + 1, true, PR_R | PR_L), RVIOMMU_MODEL_PR_ANSWERED);
}

static const struct bench_test tests[] = {
	TEST(granted_permissions),
	TEST(success_without_permission),
	TEST(privileged_requests),
	TEST(error_classes),
	TEST(dirty_bit),
	TEST(dirty_bit_second_stage),
	TEST(response_flags),
	TEST(t2gpa),
	TEST(messages),
	TEST(completions),
	TEST(refused_completions),
	TEST(many_invalidations),
	TEST(timeouts),
	TEST(slow_messages),
	TEST(lost_and_late),
	TEST(page_request_record),
	TEST(response_failure),
	TEST(response_failure_queue),
	TEST(response_invalid),
	TEST(response_overflow),
	TEST(stop_markers),
	TEST(page_request_dtf),
	TEST(injected_errors),
	TEST(no_response),
};

int main(void)
{
	return bench_main("ats", tests, ARRAY_SIZE(tests));
}
