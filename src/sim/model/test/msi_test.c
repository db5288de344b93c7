// SPDX-License-Identifier: GPL-2.0-only
/* "Process to translate addresses of MSIs", and MRIFs (AIA). */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define FILE	0x28005000ULL	/* a virtual interrupt file: number 2 of mask 5 */
#define TABLE	0x50000ULL
#define MRIF	0x60200ULL
#define M_BASIC	6
#define M_MRIF	2

static u64 root2;

/* Pages 0x28000, 1, 4, 5 are interrupt files 0 to 3. */
static void with_msi(void)
{
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	dc = dc_second(iohgatp(SV39, root2));
	dc.word[0] |= RVIOMMU_DC_TC_EN_ATS;
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
}

static void msipte(unsigned int file, u64 word0, u64 word1)
{
	mem_write(TABLE + 16 * file, word0);
	mem_write(TABLE + 16 * file + 8, word1);
}

static void all_gone(void)
{
	inval_gvma(0, 0, 0);
	wr32(RVIOMMU_REG_FQH, faults());
}

/* Basic translate mode, and the bit extraction of the file number */
static void basic_mode(void)
{
	static const u64 page[] = { 0x28000, 0x28001, 0x28004, 0x28005 };
	struct rviommu_model_request req = write_request(0);
	unsigned int i;

	with_msi();
	for (i = 0; i < 4; i++)
		msipte(i, pte(0x7000000 + 0x1000 * i, 1 | M_BASIC), ~0ULL);
	for (i = 0; i < 4; i++) {
		req.iova = page[i] << 12 | 4;
		expect_pa(&req, 0x7000004 + 0x1000 * i);
		CHECK_EQ(rsp.size_lg2, 12);
		CHECK_EQ(rsp.perms, 3);
		CHECK(!rsp.mrif);
	}
	/* any size of access */
	req.length = 64;
	expect_pa(&req, 0x7003004);
	/* No pattern match: the second stage, which has nothing there */
	req.iova = 0x28002000;
	expect_fault(&req, 23);
	map(root2, SV39, 0x28002000, DATA, PTE_RWX);
	expect_pa(&req, DATA);
}

/* msiptp.MODE = Off: no recognition */
static void mode_off(void)
{
	struct rviommu_model_request req = write_request(FILE);
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	dc = dc_second(iohgatp(SV39, root2));
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	map(root2, SV39, FILE, DATA, PTE_RWX);
	expect_pa(&req, DATA);
}

/* Causes 261, 270, 262, 263 */
static void msi_pte_faults(void)
{
	struct rviommu_model_request req = write_request(FILE);
	unsigned int bit;

	with_msi();
	bench.bad_addr = TABLE + 16 * 3 + 8;
	bench.bad_size = 8;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	expect_fault(&req, 261);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	expect_fault(&req, 270);
	bench.bad_how = 0;
	msipte(3, ~1ULL, ~0ULL);
	expect_fault(&req, 262);
	msipte(3, 1 | 0 << 1, 0);
	expect_fault(&req, 263);
	msipte(3, 1 | 2 << 1, 0);
	all_gone();
	expect_fault(&req, 263);
	for (bit = 3; bit < 64; bit++) {
		msipte(3, 1 | M_BASIC | 1ULL << bit, 0);
		all_gone();
		CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, bit >= 10 && bit <= 53);
		CHECK_EQ(rsp.cause, bit >= 10 && bit <= 53 ? 0 : 263);
	}
}

/* Read works, read for execute is an instruction access fault, cause 1. */
static void msi_permissions(void)
{
	struct rviommu_model_request req = request(FILE);

	with_msi();
	msipte(3, pte(0x7000000, 1 | M_BASIC), 0);
	expect_pa(&req, 0x7000000);
	req.exec = true;
	expect_fault(&req, 1);
}

/* First stage first: the GPA is what is compared. */
static void msi_after_first_stage(void)
{
	struct rviommu_model_request req = write_request(0x1000);
	u64 root1, page;
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	root1 = new_page();
	dc = dc_first(fsc(SV39, root1));
	dc.word[1] = iohgatp(SV39, root2);
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	map(root1, SV39, 0x1000, FILE, PTE_RWX);
	for (page = POOL; page < POOL + 0x20000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	msipte(3, pte(0x7000000, 1 | M_BASIC), 0);
	expect_pa(&req, 0x7000000);
	map(root1, SV39, 0x1000, FILE, PTE_RWX & ~RVIOMMU_PTE_W);
	inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
	expect_fault(&req, 15);
}

/* A large page that contains interrupt files is reported in smaller pieces. */
static void msi_hides_in_large_page(void)
{
	struct rviommu_model_request req = request(0x28006000);

	with_msi();
	mem_write(pte_addr(root2, SV39, 0x28000000, 1), pte(0x600000, PTE_RWX));
	expect_pa(&req, 0x606000);
	CHECK_EQ(rsp.size_lg2, 13);
	req.iova = 0x28010000;
	expect_pa(&req, 0x610000);
	CHECK_EQ(rsp.size_lg2, 16);
	req.iova = 0x28003000;
	expect_pa(&req, 0x603000);
	CHECK_EQ(rsp.size_lg2, 13);
}

static u64 notice(u64 ppn, unsigned int nid)
{
	return (u64)(nid >> 10) << 60 | ppn << 10 | (nid & 0x3ff);
}

static void no_cas(u64 addr)
{
	CHECK_EQ(addr, ~0ULL);
}

static void with_mrif(void)
{
	with_msi();
	msipte(3, MRIF >> 2 | 1 | M_MRIF, notice(0x12345, 0x5a5));
}

/* MRIF mode needs the capability; its reserved bits, 263 */
static void mrif_misconfigured(void)
{
	struct rviommu_model_request req = write_request(FILE);
	unsigned int bit;

	with_mrif();
	for (bit = 3; bit < 64; bit++) {
		msipte(3, 1 | M_MRIF | 1ULL << bit, 0);
		all_gone();
		CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, bit >= 7 && bit <= 53);
	}
	for (bit = 0; bit < 64; bit++) {
		msipte(3, 1 | M_MRIF, 1ULL << bit);
		all_gone();
		CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, bit <= 53 || bit == 60);
	}
}

static void mrif_unsupported(void)
{
	struct rviommu_model_request req = write_request(FILE);
	struct rviommu_dc dc;

	bench_config();
	bench.config.capabilities &= ~(RVIOMMU_CAP_MSI_MRIF | RVIOMMU_CAP_AMO_MRIF);
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	msipte(3, MRIF >> 2 | 1 | M_MRIF, notice(0x12345, 0x5a5));
	expect_fault(&req, 263);
}

/* The write sets one pending bit, then the notice MSI goes out. */
static void mrif_store(void)
{
	struct rviommu_model_request req = write_request(FILE);

	with_mrif();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(rsp.mrif);
	CHECK_EQ(rsp.mrif_addr, MRIF);
	CHECK_EQ(rsp.notice_addr, 0x12345000);
	CHECK_EQ(rsp.notice_data, 0x5a5);
	mem_write(MRIF + 16 * 2, 4);
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 128), RVIOMMU_MODEL_OK);
	CHECK_EQ(mem_read(MRIF + 16 * 2), 5);
	CHECK_EQ(mem_read(MRIF + 16 * 2 + 8), 0);
	CHECK_EQ(bench.nr_msi, 1);
	CHECK_EQ(bench.msi_addr[0], 0x12345000);
	CHECK_EQ(bench.msi_data[0], 0x5a5);
	/* identity 2047 is the last, 2048 is discarded, 0 is stored */
	rviommu_model_mrif_write(bench.m, &req, &rsp, 2047);
	CHECK_EQ(mem_read(MRIF + 16 * 31), 1ULL << 63);
	rviommu_model_mrif_write(bench.m, &req, &rsp, 2048);
	CHECK_EQ(bench.nr_msi, 2);
	rviommu_model_mrif_write(bench.m, &req, &rsp, 0);
	CHECK_EQ(mem_read(MRIF), 1);
	CHECK_EQ(bench.nr_msi, 3);
}

/* Offset 4 is big-endian; other offsets are accepted and discarded. */
static void mrif_offsets(void)
{
	struct rviommu_model_request req = write_request(FILE + 4);

	with_mrif();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 0x07000000), RVIOMMU_MODEL_OK);
	CHECK_EQ(mem_read(MRIF), 1 << 7);
	req.iova = FILE + 8;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 9), RVIOMMU_MODEL_OK);
	CHECK_EQ(mem_read(MRIF), 1 << 7);
	CHECK_EQ(bench.nr_msi, 1);
}

/* Without mrif_be, big-endian MSIs are discarded. */
static void mrif_little_endian(void)
{
	struct rviommu_model_request req = write_request(FILE + 4);
	struct rviommu_dc dc;

	bench_config();
	bench.config.mrif_be = false;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	msipte(3, MRIF >> 2 | 1 | M_MRIF, 0);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 0x07000000), RVIOMMU_MODEL_OK);
	CHECK_EQ(mem_read(MRIF), 0);
	CHECK_EQ(bench.nr_msi, 0);
}

/* Without AMO_MRIF the bit is set by a read and a write. */
static void mrif_without_amo(void)
{
	struct rviommu_model_request req = write_request(FILE);
	struct rviommu_dc dc;

	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_AMO_MRIF;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	msipte(3, MRIF >> 2 | 1 | M_MRIF, 0);
	bench.cas_hook = no_cas;
	mem_write(MRIF, 8);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 7), RVIOMMU_MODEL_OK);
	CHECK_EQ(mem_read(MRIF), 0x88);
	CHECK_EQ(bench.nr_msi, 1);
}

/* Only naturally aligned 32-bit accesses are supported. */
static void mrif_shape(void)
{
	struct rviommu_model_request req = write_request(FILE + 2);

	with_mrif();
	expect_fault(&req, 6);
	req.write = false;
	expect_fault(&req, 4);
	req.iova = FILE;
	req.length = 8;
	expect_fault(&req, 260);
	req.length = 4;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	req.write = true;
	req.amo = true;
	expect_fault(&req, 260);
	/* also if the answer was for something else */
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 1), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(last_cause(), 260);
	req = request(FILE);
	req.exec = true;
	expect_fault(&req, 1);
}

/* Causes 264 and 271; DTF silences them. */
static void mrif_memory_faults(void)
{
	struct rviommu_model_request req = write_request(FILE);
	unsigned int n;

	with_mrif();
	send(&req);
	bench.bad_addr = MRIF;
	bench.bad_size = 512;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	CHECK_EQ(rviommu_model_mrif_write(bench.m, &req, &rsp, 1), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(last_cause(), 264);
	CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 3);
	CHECK_EQ(bench.nr_msi, 0);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	rviommu_model_mrif_write(bench.m, &req, &rsp, 1);
	CHECK_EQ(last_cause(), 271);
	n = faults();
	mem_write(dc_addr(DID), mem_read(dc_addr(DID)) | RVIOMMU_DC_TC_DTF);
	inval_ddt(true, DID);
	rviommu_model_mrif_write(bench.m, &req, &rsp, 1);
	CHECK_EQ(rsp.cause, 271);
	CHECK_EQ(faults(), n);
}

/* "PCIe ATS translation request handling": MRIF is untranslated-only. */
static void ats_of_msi(void)
{
	struct rviommu_model_request req = write_request(FILE);

	with_msi();
	req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	req.cxl = true;
	/* 262: Success without permissions, not reported */
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.perms, 0);
	CHECK_EQ(rsp.cause, 262);
	CHECK_EQ(faults(), 0);
	msipte(3, pte(0x7000000, 1 | M_BASIC), 0);
	expect_pa(&req, 0x7000000);
	CHECK_EQ(rsp.perms, 3);
	CHECK(rsp.cxl_io);
	CHECK(!rsp.untranslated_only);
	msipte(3, MRIF >> 2 | 1 | M_MRIF, 0);
	all_gone();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(rsp.untranslated_only);
	CHECK_EQ(rsp.perms, 3);
	req.length = 4096;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	CHECK(rsp.untranslated_only);
	/* 263: CA, reported */
	msipte(3, 1, 0);
	all_gone();
	CHECK_EQ(send(&req), RVIOMMU_MODEL_CA);
	CHECK_EQ(last_cause(), 263);
}

/* MSI PTEs follow fctl.BE. */
static void big_endian_msi_pte(void)
{
	struct rviommu_model_request req = write_request(FILE);
	struct rviommu_dc dc;

	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	bench_queues_on();
	bench_ddtp(4);
	dc = dc_second(iohgatp(SV39, new_root()));
	dc.word[4] = fsc(1, TABLE);
	dc.word[5] = 5;
	dc.word[6] = 0x28000;
	dc_write(DID, &dc);
	msipte(3, swab64(pte(0x7000000, 1 | M_BASIC)), 0);
	expect_pa(&req, 0x7000000);
}

static const struct bench_test tests[] = {
	TEST(basic_mode),
	TEST(mode_off),
	TEST(msi_pte_faults),
	TEST(msi_permissions),
	TEST(msi_after_first_stage),
	TEST(msi_hides_in_large_page),
	TEST(mrif_misconfigured),
	TEST(mrif_unsupported),
	TEST(mrif_store),
	TEST(mrif_offsets),
	TEST(mrif_little_endian),
	TEST(mrif_without_amo),
	TEST(mrif_shape),
	TEST(mrif_memory_faults),
	TEST(ats_of_msi),
	TEST(big_endian_msi_pte),
};

int main(void)
{
	return bench_main("msi", tests, ARRAY_SIZE(tests));
}
