// SPDX-License-Identifier: GPL-2.0-only
/* Hardware performance monitor, and the debug translation registers. */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define VA	0x40000000ULL
#define EVT_DMASK	BIT_ULL(15)
#define EVT_PV		BIT_ULL(60)
#define EVT_DV		BIT_ULL(61)
#define EVT_IDT		BIT_ULL(62)
#define OF		BIT_ULL(63)

static u64 root1, root2;

/* Two stages and a process directory: every event can happen. */
static void everything(void)
{
	struct rviommu_dc dc = { .word = {
		RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV | RVIOMMU_DC_TC_EN_ATS,
	} };
	u64 page;

	bench_up();
	root2 = new_root();
	root1 = new_page();
	dc.word[1] = iohgatp(SV39, root2);
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD8, new_page());
	dc_write(DID, &dc);
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V | PSCID << 12, fsc(SV39, root1));
	map(root1, SV39, VA, DATA, PTE_RWX);
	for (page = POOL; page < POOL + 0x40000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	map(root2, SV39, DATA, DATA, PTE_RWX);
}

static void go(u8 kind)
{
	struct rviommu_model_request req = request(VA);

	req.kind = kind;
	req.pv = true;
	req.process_id = PID;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
}

static u64 ctr(unsigned int n)
{
	return rd64(RVIOMMU_REG_IOHPMCTR(n));
}

/* "Standard Events list" */
static void events(void)
{
	unsigned int i;

	everything();
	for (i = 0; i < 9; i++)
		wr64(RVIOMMU_REG_IOHPMEVT(i), i);
	go(RVIOMMU_MODEL_UNTRANSLATED);
	CHECK_EQ(ctr(0), 0);
	CHECK_EQ(ctr(1), 1);
	CHECK_EQ(ctr(2), 0);
	CHECK_EQ(ctr(3), 0);
	CHECK_EQ(ctr(4), 1);
	CHECK_EQ(ctr(5), 1);
	CHECK_EQ(ctr(6), 1);
	CHECK_EQ(ctr(7), 1);
	/* the PDT's page, three tables, the data */
	CHECK_EQ(ctr(8), 5);
	go(RVIOMMU_MODEL_ATS_REQUEST);
	CHECK_EQ(ctr(1), 1);
	CHECK_EQ(ctr(3), 1);
	for (i = 4; i < 8; i++)
		CHECK_EQ(ctr(i), 1);
	{
		struct rviommu_model_request req = request(VA);

		req.kind = RVIOMMU_MODEL_TRANSLATED;
		CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	}
	CHECK_EQ(ctr(2), 1);
	{
		struct rviommu_model_request req = request(VA);

		req.kind = RVIOMMU_MODEL_ATS_REQUEST + 1;
		CHECK_EQ(send(&req), RVIOMMU_MODEL_ABORT);
	}
	CHECK_EQ(ctr(4), 1);
}

static u64 counted(u64 evt)
{
	wr64(RVIOMMU_REG_IOHPMEVT(0), evt);
	wr64(RVIOMMU_REG_IOHPMCTR(0), 0);
	inval_ddt(false, 0);
	inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
	inval_gvma(0, 0, 0);
	go(RVIOMMU_MODEL_UNTRANSLATED);
	wr64(RVIOMMU_REG_IOHPMEVT(0), 0);
	return ctr(0);
}

static u64 ids(u32 pid, u32 did)
{
	return (u64)did << 36 | (u64)pid << 16;
}

/* "filtering options" */
static void filters(void)
{
	everything();
	CHECK_EQ(counted(1 | EVT_DV | ids(0, DID)), 1);
	CHECK_EQ(counted(1 | EVT_DV | ids(0, DID + 1)), 0);
	CHECK_EQ(counted(1 | EVT_PV | ids(PID, 0)), 1);
	CHECK_EQ(counted(1 | EVT_PV | ids(PID + 1, 0)), 0);
	CHECK_EQ(counted(1 | EVT_PV | EVT_DV | ids(PID, DID)), 1);
	CHECK_EQ(counted(1 | EVT_PV | EVT_DV | ids(PID, DID + 1)), 0);
	/* IDT = 1 where the event does not support it: no count */
	CHECK_EQ(counted(1 | EVT_IDT), 0);
	CHECK_EQ(counted(5 | EVT_IDT), 0);
	CHECK_EQ(counted(6 | EVT_IDT), 0);
	CHECK_EQ(counted(7 | EVT_IDT), 1);
	CHECK_EQ(counted(7 | EVT_IDT | EVT_DV | ids(0, GSCID)), 1);
	CHECK_EQ(counted(7 | EVT_IDT | EVT_DV | ids(0, GSCID + 1)), 0);
	CHECK_EQ(counted(7 | EVT_IDT | EVT_PV | ids(PSCID, 0)), 1);
	CHECK_EQ(counted(7 | EVT_IDT | EVT_PV | ids(PSCID + 1, 0)), 0);
	CHECK_EQ(counted(7 | EVT_IDT | EVT_PV | EVT_DV | ids(PSCID, GSCID)), 1);
	/* The miss is the request's, though the first was on the way to its context. */
	CHECK_EQ(counted(4 | EVT_IDT), 1);
	CHECK_EQ(counted(4 | EVT_IDT | EVT_DV | ids(0, GSCID)), 1);
	CHECK_EQ(counted(4 | EVT_IDT | EVT_PV | ids(PSCID, 0)), 1);
	CHECK_EQ(counted(4 | EVT_IDT | EVT_PV | ids(PSCID + 1, 0)), 0);
	CHECK_EQ(counted(4 | EVT_IDT | EVT_PV | EVT_DV | ids(PSCID, GSCID)), 1);
	/* DMASK: DID is 5 = 101b; 100b masks one bit, 011b three */
	CHECK_EQ(counted(1 | EVT_DV | ids(0, DID - 1)), 0);
	CHECK_EQ(counted(1 | EVT_DV | EVT_DMASK | ids(0, DID - 1)), 1);
	CHECK_EQ(counted(1 | EVT_DV | EVT_DMASK | ids(0, 3)), 1);
	CHECK_EQ(counted(1 | EVT_DV | EVT_DMASK | ids(0, 11)), 0);
	CHECK_EQ(counted(1 | EVT_DV | EVT_DMASK | ids(0, 1)), 0);
}

/* Overflow: OF and the interrupt once, as long as OF was 0 */
static void overflow(void)
{
	everything();
	wr64(RVIOMMU_REG_IOHPMCTR(3), ~0ULL);
	wr64(RVIOMMU_REG_IOHPMEVT(3), 1);
	go(0);
	CHECK_EQ(ctr(3), 0);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMEVT(3)), OF | 1);
	CHECK_EQ(rd32(RVIOMMU_REG_IOCOUNTOVF), 1 << 4);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PMIP);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_PMIP);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	wr64(RVIOMMU_REG_IOHPMCTR(3), ~0ULL);
	go(0);
	CHECK_EQ(ctr(3), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
}

/* iocountinh stops counters; eventID is WARL. */
static void inhibit(void)
{
	everything();
	wr64(RVIOMMU_REG_IOHPMEVT(3), 1);
	wr32(RVIOMMU_REG_IOCOUNTINH, 1 << 4);
	go(0);
	CHECK_EQ(ctr(3), 0);
	wr32(RVIOMMU_REG_IOCOUNTINH, 1);
	go(0);
	CHECK_EQ(ctr(3), 1);
	rviommu_model_advance(bench.m, 5);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMCYCLES), 0);
	wr64(RVIOMMU_REG_IOHPMEVT(3), 9);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMEVT(3)), 0);
	wr64(RVIOMMU_REG_IOHPMEVT(3), 16384);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMEVT(3)), 0);
}

/* iohpmcycles: 63 bits and OF */
static void cycles(void)
{
	everything();
	wr64(RVIOMMU_REG_IOHPMCYCLES, OF - 3);
	rviommu_model_advance(bench.m, 2);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMCYCLES), OF - 1);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	rviommu_model_advance(bench.m, 2);
	CHECK_EQ(rd64(RVIOMMU_REG_IOHPMCYCLES), OF | 1);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_PMIP);
	CHECK_EQ(rd32(RVIOMMU_REG_IOCOUNTOVF), 1);
}

/* Fewer and narrower counters */
static void small_monitor(void)
{
	struct rviommu_model_request req = request(VA);

	bench_config();
	bench.config.hpm_counters = 2;
	bench.config.hpm_bits = 32;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	wr64(RVIOMMU_REG_IOHPMCTR(1), ~0ULL);
	CHECK_EQ(ctr(1), 0xffffffff);
	wr64(RVIOMMU_REG_IOHPMEVT(1), 1);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(ctr(1), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_IOCOUNTOVF), 4);
	wr64(RVIOMMU_REG_IOHPMCTR(2), ~0ULL);
	wr64(RVIOMMU_REG_IOHPMEVT(2), ~0ULL);
	CHECK_EQ(ctr(2) | rd64(RVIOMMU_REG_IOHPMEVT(2)), 0);
	wr32(RVIOMMU_REG_IOCOUNTINH, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_IOCOUNTINH), 7);
}

static u64 debug(u64 iova, u64 ctl)
{
	wr64(RVIOMMU_REG_TR_REQ_IOVA, iova);
	wr64(RVIOMMU_REG_TR_REQ_CTL, RVIOMMU_TR_REQ_CTL_GO_BUSY | ctl |
	     FIELD_PREP(RVIOMMU_TR_REQ_CTL_DID, DID));
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL) & RVIOMMU_TR_REQ_CTL_GO_BUSY, 0);
	return rd64(RVIOMMU_REG_TR_RESPONSE);
}

/* "Debug support": PPN, size, memory type; or fault and a record */
static void debug_translation(void)
{
	u64 nw = RVIOMMU_TR_REQ_CTL_NW, pte0 = PTE_RWX & ~RVIOMMU_PTE_W;

	bench_up();
	root1 = new_page();
	dc_write(DID, &(struct rviommu_dc) { .word = { 1, 0, 0, fsc(SV39, root1) } });
	map(root1, SV39, VA, 0x12345000, pte0 | 2ULL << 61);
	CHECK_EQ(debug(VA, nw), 0x12345ULL << 10 | 2 << 7);
	CHECK_EQ(debug(VA, nw | RVIOMMU_TR_REQ_CTL_EXE), 0x12345ULL << 10 | 2 << 7);
	/* NW = 0 asks for both permissions */
	CHECK_EQ(debug(VA, 0) & 1, 1);
	CHECK_EQ(last_cause(), 15);
	CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 3);
	CHECK_EQ(fault_word(0, 2), VA);
	CHECK_EQ(debug(VA + 0x1000, nw) & 1, 1);
	CHECK_EQ(last_cause(), 13);
	/* sizes: 64 KiB and 2 MiB as in the table of examples */
	map(root1, SV39, VA + 0x20000, 0x12348000, PTE_RWX | RVIOMMU_PTE_N);
	CHECK_EQ(debug(VA + 0x20000, nw), 0x12347ULL << 10 | RVIOMMU_TR_RESPONSE_S);
	mem_write(pte_addr(root1, SV39, VA + 0x200000, 1), pte(0x600000, PTE_RWX));
	CHECK_EQ(debug(VA + 0x234000, nw), 0x6ffULL << 10 | RVIOMMU_TR_RESPONSE_S);
	/* PV: no process directory here */
	CHECK_EQ(debug(VA, nw | RVIOMMU_TR_REQ_CTL_PV) & 1, 1);
	CHECK_EQ(last_cause(), 260);
	dc_write(DID, &(struct rviommu_dc) { .word = { 1 | RVIOMMU_DC_TC_PDTV, 0, 0,
		 fsc(RVIOMMU_PDTP_MODE_PD8, POOL + 0x70000) } });
	pc_write(fsc(RVIOMMU_PDTP_MODE_PD8, POOL + 0x70000), PID, RVIOMMU_PC_TA_V,
		 fsc(SV39, root1));
	inval_ddt(true, DID);
	wr64(RVIOMMU_REG_IOHPMEVT(0), 1);
	CHECK_EQ(debug(VA, nw | RVIOMMU_TR_REQ_CTL_PV | PID << 12), 0x12345ULL << 10 | 2 << 7);
	CHECK_EQ(ctr(0), 1);
	CHECK_EQ(debug(VA, nw | RVIOMMU_TR_REQ_CTL_PV | (PID + 1) << 12) & 1, 1);
	dc_write(DID, &(struct rviommu_dc) { .word = { 1, 0, 0, fsc(SV39, root1) } });
	inval_ddt(true, DID);
	/* Priv without PV is ignored */
	CHECK_EQ(debug(VA, nw | RVIOMMU_TR_REQ_CTL_PRIV) & 1, 0);
}

/* An MRIF is no translation: cause 260. */
static void debug_mrif(void)
{
	struct rviommu_dc dc;

	bench_up();
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, 0x50000);
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	mem_write(0x50000, 0x60000 >> 2 | 3);
	CHECK_EQ(debug(0x28000000, 0) & 1, 1);
	CHECK_EQ(last_cause(), 260);
	mem_write(0x50000, 0x60000 >> 2 | 7);
	inval_gvma(0, 0, 0);
	CHECK_EQ(debug(0x28000000, 0), 0x60ULL << 10);
}

/* ASYNC: busy until run; requests meanwhile are ignored */
static void debug_busy(void)
{
	bench_config();
	bench.config.switches = RVIOMMU_MODEL_ASYNC;
	bench_start();
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	wr64(RVIOMMU_REG_TR_REQ_IOVA, VA);
	wr64(RVIOMMU_REG_TR_REQ_CTL, RVIOMMU_TR_REQ_CTL_GO_BUSY);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL), RVIOMMU_TR_REQ_CTL_GO_BUSY);
	wr64(RVIOMMU_REG_TR_REQ_CTL, 0);
	CHECK(bench.unspecified);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL), RVIOMMU_TR_REQ_CTL_GO_BUSY);
	rviommu_model_run(bench.m, 0);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL), 0);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_RESPONSE) & RVIOMMU_TR_RESPONSE_FAULT, 0);
}

static const struct bench_test tests[] = {
	TEST(events),
	TEST(filters),
	TEST(overflow),
	TEST(inhibit),
	TEST(cycles),
	TEST(small_monitor),
	TEST(debug_translation),
	TEST(debug_mrif),
	TEST(debug_busy),
};

int main(void)
{
	return bench_main("hpm", tests, ARRAY_SIZE(tests));
}
