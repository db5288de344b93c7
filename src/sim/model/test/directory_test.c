// SPDX-License-Identifier: GPL-2.0-only
/* Locating device and process contexts, and the steps before translation. */
#include "test/bench.h"

/* "Process to translate an IOVA", 1: Off disallows everything, cause 256. */
static void off_disallows_all(void)
{
	struct rviommu_model_request req = request(DATA);

	bench_config();
	bench_start();
	bench_queues_on();
	expect_fault(&req, 256);
	req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 256);
}

/* Step 2: Bare passes untranslated requests and refuses all others, cause 260. */
static void bare_passes_untranslated(void)
{
	struct rviommu_model_request req = write_request(DATA + 0x123);

	bench_config();
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	expect_pa(&req, DATA + 0x123);
	CHECK_EQ(rsp.perms, 7);
	CHECK_EQ(rsp.size_lg2, 30);
	/* "iommu_qosid": the IDs of all requests in Bare mode */
	wr32(RVIOMMU_REG_QOSID, 0x0abc0123);
	expect_pa(&req, DATA + 0x123);
	CHECK_EQ(rsp.rcid, 0x123);
	CHECK_EQ(rsp.mcid, 0xabc);
	req.kind = RVIOMMU_MODEL_TRANSLATED;
	expect_fault(&req, 260);
	req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 260);
}

/* Steps 3 to 5: the device ID must fit the directory of @mode; @limit is the first too large. */
static void device_id_width(u64 capabilities, unsigned int mode, u32 limit)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	struct rviommu_model_request req = request(DATA);

	bench_config();
	bench.config.capabilities &= capabilities;
	bench_start();
	bench_queues_on();
	bench_ddtp(mode);
	req.device_id = limit - 1;
	dc_write(req.device_id, &dc);
	expect_pa(&req, DATA);
	req.device_id = 0x123456 & (limit - 1);
	expect_fault(&req, 258);
	dc_write(req.device_id, &dc);
	expect_pa(&req, DATA);
	req.device_id = limit;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(rsp.cause, 260);
}

/* Extended format: 6+9+9 */
static void device_id_width_extended(void)
{
	device_id_width(~0ULL, 2, 1 << 6);
	device_id_width(~0ULL, 3, 1 << 15);
	device_id_width(~0ULL, 4, 1 << 24);
}

/* Base format: 7+9+8, contexts of 32 bytes */
static void device_id_width_base(void)
{
	const u64 base = ~(RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF | RVIOMMU_CAP_AMO_MRIF);

	device_id_width(base, 2, 1 << 7);
	device_id_width(base, 3, 1 << 16);
	device_id_width(base, 4, 1 << 24);
}

/* "Process to locate the Device-context", 3 and 8: access violations, 257. */
static void ddt_access_fault(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	struct rviommu_model_request req = request(DATA);

	bench_up();
	dc_write(DID, &dc);
	bench.bad_addr = DDT_ROOT;
	bench.bad_size = 0x1000;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	expect_fault(&req, 257);
	/* any word of the DC, even of one that is not valid */
	bench.bad_addr = dc_addr(DID) + 56;
	bench.bad_size = 8;
	mem_write(dc_addr(DID), 0);
	expect_fault(&req, 257);
}

/* 4 and 8: poisoned data, 268. */
static void ddt_corrupt(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	struct rviommu_model_request req = request(DATA);

	bench_up();
	dc_write(DID, &dc);
	bench.bad_addr = DDT_ROOT;
	bench.bad_size = 0x1000;
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	expect_fault(&req, 268);
	bench.bad_addr = dc_addr(DID) + 8;
	bench.bad_size = 8;
	expect_fault(&req, 268);
}

/* 5 and 9: not valid, 258; whatever else is in the entry. */
static void ddt_not_valid(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc;

	bench_up();
	expect_fault(&req, 258);
	mem_write(DDT_ROOT, ~1ULL);
	expect_fault(&req, 258);
	/* the walk must not go on, whatever it would find */
	mem_write(DDT_ROOT + 64 * DID, RVIOMMU_DC_TC_V);
	expect_fault(&req, 258);
	mem_write(DDT_ROOT + 64 * DID, 0);
	mem_write(DDT_ROOT, 0);
	memset(&dc, 0xff, sizeof(dc));
	dc.word[0] = ~1ULL;
	dc_write(DID, &dc);
	expect_fault(&req, 258);
}

/* 6: reserved bits of a non-leaf entry, 259. */
static void ddte_reserved(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	unsigned int bit;
	u64 ddte;

	bench_up();
	dc_write(DID, &dc);
	ddte = mem_read(DDT_ROOT);
	for (bit = 1; bit < 64; bit++) {
		if (bit >= 10 && bit <= 53)
			continue;
		mem_write(DDT_ROOT, ddte | 1ULL << bit);
		wr32(RVIOMMU_REG_FQH, faults());
		expect_fault(&req, 259);
		inval_ddt(false, 0);
	}
	mem_write(DDT_ROOT, ddte);
	expect_pa(&req, DATA);
}

static bool dc_accepted(const struct rviommu_dc *dc)
{
	struct rviommu_model_request req = request(DATA);

	dc_write(DID, dc);
	inval_ddt(false, 0);
	wr32(RVIOMMU_REG_FQH, faults());
	send(&req);
	return rsp.cause != 259;
}

static bool word_accepted(unsigned int word, u64 value)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };

	dc.word[word] |= value;
	return dc_accepted(&dc);
}

/* "Device-context configuration checks", 1: reserved bits. */
static void dc_reserved_bits(void)
{
	unsigned int bit;

	bench_up();
	for (bit = 0; bit < 64; bit++) {
		bool tc_ok = !(bit >= 12 && bit <= 23) && bit < 32;
		u64 value = 1ULL << bit;

		/* EN_PRI, T2GPA, PRPR and DPE need others; 24 to 31 are custom */
		if (bit != 2 && bit != 3 && bit != 6 && bit != 9)
			CHECK_EQ(word_accepted(0, value), tc_ok);
		CHECK_EQ(word_accepted(2, value), bit >= 12 && (bit <= 31 || bit >= 40));
		if (bit < 60) {
			CHECK_EQ(word_accepted(3, value), bit <= 43);
			CHECK_EQ(word_accepted(4, value), bit <= 43);
		}
		/* MGPAW is 59 with Sv57x4 */
		CHECK_EQ(word_accepted(5, value), bit <= 46);
		CHECK_EQ(word_accepted(6, value), bit <= 46);
		CHECK(!word_accepted(7, value));
	}
}

/* MGPAW: the width of MSI address mask and pattern follows the second stage. */
static void dc_msi_address_width(void)
{
	static const struct {
		u64 drop;
		unsigned int bits;
	} cases[] = {
		{ 0, 59 },
		{ RVIOMMU_CAP_SV57X4, 50 },
		{ RVIOMMU_CAP_SV57X4 | RVIOMMU_CAP_SV48X4, 41 },
		{ RVIOMMU_CAP_SV57X4 | RVIOMMU_CAP_SV48X4 | RVIOMMU_CAP_SV39X4, 34 },
		{ RVIOMMU_CAP_SV57X4 | RVIOMMU_CAP_SV48X4 | RVIOMMU_CAP_SV39X4 |
		  RVIOMMU_CAP_SV32X4, 56 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bench_config();
		bench.config.capabilities &= ~cases[i].drop;
		bench_start();
		bench_queues_on();
		bench_ddtp(4);
		CHECK(word_accepted(5, 1ULL << (cases[i].bits - 13)));
		CHECK(!word_accepted(5, 1ULL << (cases[i].bits - 12)));
		CHECK(!word_accepted(6, 1ULL << (cases[i].bits - 12)));
	}
}

static void with_caps(u64 drop)
{
	bench_config();
	bench.config.capabilities &= ~drop;
	rviommu_model_config_fit(&bench.config);
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
}

/* 2 to 7: EN_ATS, EN_PRI, PRPR, T2GPA */
static void dc_ats_bits(void)
{
	u64 second = iohgatp(8, 0x200000);
	struct rviommu_dc dc = { .word = { 1 } };
	unsigned int bits;

	bench_up();
	for (bits = 0; bits < 16; bits++) {
		bool ats = bits & 1, pri = bits & 2, t2gpa = bits & 4, prpr = bits & 8;
		bool ok = (ats || !t2gpa) && (ats || !pri) && (pri || !prpr);

		dc.word[0] = 1 | ats << 1 | pri << 2 | t2gpa << 3 | prpr << 6;
		dc.word[1] = second;
		CHECK_EQ(dc_accepted(&dc), ok);
		/* 7: T2GPA needs a second stage */
		dc.word[1] = 0;
		CHECK_EQ(dc_accepted(&dc), ok && !t2gpa);
	}
	with_caps(RVIOMMU_CAP_T2GPA);
	dc.word[0] = 1 | 2 | 8;
	dc.word[1] = second;
	CHECK(!dc_accepted(&dc));
	dc.word[0] = 1 | 2;
	CHECK(dc_accepted(&dc));
	with_caps(RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA);
	CHECK(!dc_accepted(&dc));
	dc.word[0] = 1;
	CHECK(dc_accepted(&dc));
}

/* 8: pdtp.MODE */
static void dc_pdtp_mode(void)
{
	static const u64 cap[] = { 0, RVIOMMU_CAP_PD8, RVIOMMU_CAP_PD17, RVIOMMU_CAP_PD20 };
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	unsigned int mode;

	bench_up();
	for (mode = 0; mode < 16; mode++) {
		dc.word[3] = fsc(mode, 0x200000);
		CHECK_EQ(dc_accepted(&dc), mode <= 3);
	}
	for (mode = 1; mode <= 3; mode++) {
		with_caps(cap[mode]);
		dc.word[3] = fsc(mode, 0x200000);
		CHECK(!dc_accepted(&dc));
		dc.word[3] = fsc(mode % 3 + 1, 0x200000);
		CHECK(dc_accepted(&dc));
	}
}

/* 9 to 11: iosatp.MODE, with SXL 0 and 1 */
static void dc_iosatp_mode(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	unsigned int mode;

	bench_up();
	for (mode = 0; mode < 16; mode++) {
		dc.word[3] = fsc(mode, 0x200000);
		dc.word[0] = RVIOMMU_DC_TC_V;
		CHECK_EQ(dc_accepted(&dc), !mode || (mode >= 8 && mode <= 10));
		dc.word[0] |= RVIOMMU_DC_TC_SXL;
		CHECK_EQ(dc_accepted(&dc), !mode || mode == 8);
	}
	dc.word[0] = RVIOMMU_DC_TC_V;
	with_caps(RVIOMMU_CAP_SV57);
	dc.word[3] = fsc(10, 0x200000);
	CHECK(!dc_accepted(&dc));
	dc.word[3] = fsc(9, 0x200000);
	CHECK(dc_accepted(&dc));
	with_caps(RVIOMMU_CAP_SV57 | RVIOMMU_CAP_SV48);
	CHECK(!dc_accepted(&dc));
	dc.word[3] = fsc(8, 0x200000);
	CHECK(dc_accepted(&dc));
	with_caps(RVIOMMU_CAP_SV57 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV39);
	CHECK(!dc_accepted(&dc));
	with_caps(RVIOMMU_CAP_SV32);
	dc.word[0] |= RVIOMMU_DC_TC_SXL;
	CHECK(!dc_accepted(&dc));
}

/* 12: DPE without PDTV */
static void dc_dpe(void)
{
	bench_up();
	CHECK(!word_accepted(0, RVIOMMU_DC_TC_DPE));
	CHECK(word_accepted(0, RVIOMMU_DC_TC_DPE | RVIOMMU_DC_TC_PDTV));
}

/* 13 to 15, 17: iohgatp */
static void dc_iohgatp(void)
{
	static const u64 cap[] = { [8] = RVIOMMU_CAP_SV39X4, [9] = RVIOMMU_CAP_SV48X4,
				   [10] = RVIOMMU_CAP_SV57X4 };
	unsigned int mode;

	bench_up();
	for (mode = 0; mode < 16; mode++)
		CHECK_EQ(word_accepted(1, iohgatp(mode, 0x200000)),
			 !mode || (mode >= 8 && mode <= 10));
	/* 16-KiB alignment, only asked for if there is a root */
	CHECK(!word_accepted(1, iohgatp(8, 0x201000)));
	CHECK(!word_accepted(1, iohgatp(8, 0x202000)));
	CHECK(word_accepted(1, iohgatp(0, 0x201000)));
	for (mode = 8; mode <= 10; mode++) {
		with_caps(cap[mode]);
		CHECK(!word_accepted(1, iohgatp(mode, 0x200000)));
		CHECK(word_accepted(1, iohgatp(mode == 8 ? 9 : 8, 0x200000)));
	}
	/* fctl.GXL = 1: Sv32x4 only, and SXL must be 1 */
	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_GXL);
	bench_queues_on();
	bench_ddtp(4);
	for (mode = 0; mode < 16; mode++) {
		struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_SXL,
						   iohgatp(mode, 0x200000) } };

		CHECK_EQ(dc_accepted(&dc), !mode || mode == 8);
		dc.word[0] = RVIOMMU_DC_TC_V;
		CHECK(!dc_accepted(&dc));
	}
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_SV32X4;
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_GXL);
	bench_queues_on();
	bench_ddtp(4);
	{
		struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_SXL,
						   iohgatp(8, 0x200000) } };

		CHECK(!dc_accepted(&dc));
		dc.word[1] = 0;
		CHECK(dc_accepted(&dc));
	}
}

/* 16: msiptp.MODE; and Off if there is no second stage */
static void dc_msiptp(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V, iohgatp(8, 0x200000) } };
	unsigned int mode;

	bench_up();
	for (mode = 0; mode < 16; mode++) {
		dc.word[4] = fsc(mode, 0x300000);
		CHECK_EQ(dc_accepted(&dc), mode <= 1);
	}
	CHECK(!word_accepted(4, fsc(1, 0x300000)));
}

/* 18: SADE and GADE need AMO_HWAD. */
static void dc_hardware_ad(void)
{
	bench_up();
	CHECK(word_accepted(0, RVIOMMU_DC_TC_SADE));
	CHECK(word_accepted(0, RVIOMMU_DC_TC_GADE));
	with_caps(RVIOMMU_CAP_AMO_HWAD);
	CHECK(!word_accepted(0, RVIOMMU_DC_TC_SADE));
	CHECK(!word_accepted(0, RVIOMMU_DC_TC_GADE));
}

/* 19 and 21: SBE; 20: SXL, each against what fctl allows */
static void dc_endianness_and_sxl(void)
{
	bench_up();
	CHECK(word_accepted(0, RVIOMMU_DC_TC_SBE));
	CHECK(word_accepted(0, RVIOMMU_DC_TC_SXL));
	with_caps(RVIOMMU_CAP_END);
	CHECK(!word_accepted(0, RVIOMMU_DC_TC_SBE));
	with_caps(RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV32X4);
	CHECK(!word_accepted(0, RVIOMMU_DC_TC_SXL));
	/* an IOMMU that is big-endian only */
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_END;
	rviommu_model_config_fit(&bench.config);
	bench.config.fctl_reset |= RVIOMMU_FCTL_BE;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	CHECK(!word_accepted(0, 0));
	CHECK(word_accepted(0, RVIOMMU_DC_TC_SBE));
}

/* 22 and 1: RCID and MCID */
static void dc_qos_ids(void)
{
	bench_config();
	bench.config.rcid_bits = 5;
	bench.config.mcid_bits = 7;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	CHECK(word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_RCID, 0x1f)));
	CHECK_EQ(rsp.rcid, 0x1f);
	CHECK(!word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_RCID, 0x20)));
	CHECK(word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_MCID, 0x7f)));
	CHECK_EQ(rsp.mcid, 0x7f);
	CHECK(!word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_MCID, 0x80)));
	with_caps(RVIOMMU_CAP_QOSID);
	CHECK(!word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_RCID, 1)));
	CHECK(!word_accepted(2, FIELD_PREP(RVIOMMU_DC_TA_MCID, 1)));
}

/* Step 7: what the context does not allow, 260 */
static void transaction_type_disallowed(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V } };
	unsigned int mode;

	bench_up();
	dc_write(DID, &dc);
	/* both stages Bare: a large range, as is recommended for ATS */
	expect_pa(&req, DATA);
	CHECK_EQ(rsp.size_lg2, 30);
	req.kind = RVIOMMU_MODEL_ATS_REQUEST + 1;
	expect_fault(&req, 260);
	req.kind = RVIOMMU_MODEL_TRANSLATED;
	expect_fault(&req, 260);
	req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_UR);
	CHECK_EQ(last_cause(), 260);
	req.kind = RVIOMMU_MODEL_UNTRANSLATED;
	req.pv = true;
	expect_fault(&req, 260);

	for (mode = 1; mode <= 2; mode++) {
		dc.word[0] = RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV;
		dc.word[3] = fsc(mode, 0x200000);
		dc_write(DID, &dc);
		inval_ddt(true, DID);
		req.process_id = mode == 1 ? 1 << 8 : 1 << 17;
		expect_fault(&req, 260);
		req.process_id--;
		expect_fault(&req, 266);
	}
	/* Bare pdtp has no width */
	dc.word[3] = 0;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	req.process_id = 0xfffff;
	expect_pa(&req, DATA);
}

/* Step 8: a translated request needs nothing more, unless T2GPA. */
static void translated_request(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_EN_ATS } };
	struct rviommu_model_request req = write_request(DATA + 8);
	u64 root;

	bench_up();
	dc.word[3] = fsc(9, 0x200000);	/* not consulted */
	dc_write(DID, &dc);
	req.kind = RVIOMMU_MODEL_TRANSLATED;
	expect_pa(&req, DATA + 8);

	/* Step 9: with T2GPA the address is a GPA */
	root = new_root();
	dc.word[0] |= RVIOMMU_DC_TC_T2GPA;
	dc.word[1] = iohgatp(8, root);
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	expect_fault(&req, 23);
	CHECK_EQ(fault_word(0, 3), DATA + 8);
	CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 7);
	map(root, 8, DATA, 0x77000, PTE_RWX);
	expect_pa(&req, 0x77008);
}

static struct rviommu_dc dc_pdt(unsigned int mode, u64 *pdtp)
{
	*pdtp = fsc(mode, new_page());
	return (struct rviommu_dc) { .word = {
		RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV, 0, 0, *pdtp,
	} };
}

/* "Process to locate the Process-context": all three depths */
static void process_directories(void)
{
	static const u32 last[] = { 0, 0xff, 0x1ffff, 0xfffff };
	struct rviommu_model_request req = request(DATA);
	unsigned int mode;

	for (mode = 1; mode <= 3; mode++) {
		struct rviommu_dc dc;
		u64 pdtp, root;

		bench_up();
		root = new_page();
		dc = dc_pdt(mode, &pdtp);
		dc_write(DID, &dc);
		pc_write(pdtp, last[mode], RVIOMMU_PC_TA_V, fsc(8, root));
		map(root, 8, DATA, 0x55000, PTE_RWX);
		req.pv = true;
		req.process_id = last[mode];
		expect_pa(&req, 0x55000);
		req.process_id &= 0x54321;
		expect_fault(&req, 266);
		pc_write(pdtp, req.process_id, RVIOMMU_PC_TA_V, fsc(8, root));
		expect_pa(&req, 0x55000);
	}
}

/* Its faults: 265, 269, 266, 267 */
static void process_directory_faults(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc;
	u64 pdtp, pdte;

	bench_up();
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD20, &pdtp);
	dc_write(DID, &dc);
	req.pv = true;
	req.process_id = PID;
	expect_fault(&req, 266);
	/* the walk must not go on, whatever it would find */
	mem_write((FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12) + 16 * PID, RVIOMMU_PC_TA_V);
	expect_fault(&req, 266);
	pc_write(pdtp, PID, 0, ~0ULL);
	expect_fault(&req, 266);

	bench.bad_addr = pc_addr(pdtp, PID) + 8;
	bench.bad_size = 8;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	expect_fault(&req, 265);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	expect_fault(&req, 269);
	inval_ddt(true, DID);
	bench.bad_addr = FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12;
	expect_fault(&req, 269);
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	expect_fault(&req, 265);
	bench.bad_how = 0;

	pdte = mem_read(FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12);
	mem_write(FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12, pdte | 2);
	expect_fault(&req, 267);
	inval_ddt(true, DID);
	mem_write(FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12, pdte);
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V, 0);
	expect_pa(&req, DATA);
}

static bool pc_accepted(u64 pdtp, u64 ta, u64 pc_fsc)
{
	struct rviommu_model_request req = request(DATA);

	req.pv = true;
	req.process_id = PID;
	pc_write(pdtp, PID, ta, pc_fsc);
	inval_pdt(DID, PID);
	wr32(RVIOMMU_REG_FQH, faults());
	send(&req);
	return rsp.cause != 267;
}

/* "Process-context configuration checks" */
static void pc_checks(void)
{
	struct rviommu_dc dc;
	unsigned int bit, mode;
	u64 pdtp;

	bench_up();
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD8, &pdtp);
	dc_write(DID, &dc);
	for (bit = 1; bit < 64; bit++) {
		CHECK_EQ(pc_accepted(pdtp, 1 | 1ULL << bit, 0),
			 bit <= 2 || (bit >= 12 && bit <= 31));
		if (bit < 60)
			CHECK_EQ(pc_accepted(pdtp, 1, 1ULL << bit), bit <= 43);
	}
	for (mode = 0; mode < 16; mode++)
		CHECK_EQ(pc_accepted(pdtp, 1, fsc(mode, 0x200000)),
			 !mode || (mode >= 8 && mode <= 10));
	dc.word[0] |= RVIOMMU_DC_TC_SXL;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	for (mode = 0; mode < 16; mode++)
		CHECK_EQ(pc_accepted(pdtp, 1, fsc(mode, 0x200000)), !mode || mode == 8);
	with_caps(RVIOMMU_CAP_SV57);
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD8, &pdtp);
	dc_write(DID, &dc);
	CHECK(!pc_accepted(pdtp, 1, fsc(10, 0x200000)));
}

/* Steps 11 to 13: no process ID: the default process, or no first stage */
static void default_process(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc;
	u64 pdtp, root;

	bench_up();
	req.process_id = PID;	/* not valid: pv is not set */
	root = new_page();
	map(root, 8, DATA, 0x66000, PTE_RWX);
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD8, &pdtp);
	dc_write(DID, &dc);
	pc_write(pdtp, 0, RVIOMMU_PC_TA_V, fsc(8, root));
	expect_pa(&req, DATA);
	dc.word[0] |= RVIOMMU_DC_TC_DPE;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	expect_pa(&req, 0x66000);
	/* The record of a fault has no process ID then. */
	req.iova += 0x1000;
	expect_fault(&req, 13);
	CHECK(!(fault_word(0, 0) & RVIOMMU_FAULT_PV));
}

/* Step 15: privilege needs ENS, 260; without process ID there is none. */
static void supervisor_needs_ens(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc;
	u64 pdtp;

	bench_up();
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD8, &pdtp);
	dc_write(DID, &dc);
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V, 0);
	req.pv = true;
	req.process_id = PID;
	req.priv = true;
	expect_fault(&req, 260);
	CHECK(fault_word(0, 0) & RVIOMMU_FAULT_PRIV);
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V | RVIOMMU_PC_TA_ENS, 0);
	inval_pdt(DID, PID);
	expect_pa(&req, DATA);
	req.pv = false;
	expect_pa(&req, DATA);
}

/* "Endianness of in-memory data structures": DDT by fctl.BE, PDT by SBE */
static void big_endian_directories(void)
{
	struct rviommu_model_request req = request(DATA);
	struct rviommu_dc dc;
	u64 pdtp, root, page;

	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	bench_queues_on();
	bench_ddtp(4);
	dc_write(DID, &(struct rviommu_dc) { 0 });	/* makes the directory */
	root = new_page();
	dc = dc_pdt(RVIOMMU_PDTP_MODE_PD8, &pdtp);
	map(root, 8, DATA, 0x66000, PTE_RWX);
	/* little-endian process directory and page table */
	pc_write(pdtp, PID, RVIOMMU_PC_TA_V, fsc(8, root));
	dc_write(DID, &dc);
	req.pv = true;
	req.process_id = PID;
	expect_pa(&req, 0x66000);

	/* now big-endian ones */
	dc.word[0] |= RVIOMMU_DC_TC_SBE;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	inval_vma(0, 0, 0, 0);
	for (page = root; page < bench.pool; page += 8)
		mem_write(page, swab64(mem_read(page)));
	expect_pa(&req, 0x66000);
}

static const struct bench_test tests[] = {
	TEST(off_disallows_all),
	TEST(bare_passes_untranslated),
	TEST(device_id_width_extended),
	TEST(device_id_width_base),
	TEST(ddt_access_fault),
	TEST(ddt_corrupt),
	TEST(ddt_not_valid),
	TEST(ddte_reserved),
	TEST(dc_reserved_bits),
	TEST(dc_msi_address_width),
	TEST(dc_ats_bits),
	TEST(dc_pdtp_mode),
	TEST(dc_iosatp_mode),
	TEST(dc_dpe),
	TEST(dc_iohgatp),
	TEST(dc_msiptp),
	TEST(dc_hardware_ad),
	TEST(dc_endianness_and_sxl),
	TEST(dc_qos_ids),
	TEST(transaction_type_disallowed),
	TEST(translated_request),
	TEST(process_directories),
	TEST(process_directory_faults),
	TEST(pc_checks),
	TEST(default_process),
	TEST(supervisor_needs_ens),
	TEST(big_endian_directories),
};

int main(void)
{
	return bench_main("directory", tests, ARRAY_SIZE(tests));
}
